//! What can go wrong with snapshots, recordings and time travel.

use cutaway_machine::RestoreError;
use cutaway_memory::MemoryError;
use cutaway_state::{StateError, StateHash};
use std::path::PathBuf;

/// Why a snapshot or recording cannot be written, read or replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The host failed.
    #[error("cannot {what} {}", path.display())]
    Host {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// The host's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file does not begin as ours do.
    #[error("{} is neither a snapshot nor a recording of Cutaway", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later version of the program wrote it.
    #[error("{} has format {found}, this program reads up to {known}: use a newer one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that can be read.
        known: u32,
    },
    /// It ends too early, or does not hold what it says.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not hold.
        what: String,
    },
    /// A snapshot was given where a recording is needed.
    #[error("{} is a snapshot and has nothing to replay", path.display())]
    NotARecording {
        /// The file.
        path: PathBuf,
    },
    /// The state in it is no machine's.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The state of a machine cannot be encoded.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is no memory for the guest.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A replay is not what was recorded.
    #[error(
        "the replay differs from the recording at tick {at}: its state has hash {found}, recorded was {expected}"
    )]
    Diverged {
        /// Where the hashes were compared.
        at: u64,
        /// The recorded hash.
        expected: StateHash,
        /// That of the replay.
        found: StateHash,
    },
    /// The machine stopped where it had not stopped before.
    #[error("the replay stops at tick {at}, the recording goes on to {expected}")]
    StoppedEarly {
        /// Where it stopped.
        at: u64,
        /// Where something was recorded.
        expected: u64,
    },
    /// A snapshot was not taken out of the recording that it is to be replayed with.
    #[error("{} was not taken out of this recording", path.display())]
    AnotherRun {
        /// The snapshot.
        path: PathBuf,
    },
    /// The recording says that something entered in the middle of an instruction.
    #[error(
        "the recording has something at tick {expected}, where no instruction ends (the next ends at {at})"
    )]
    Misplaced {
        /// Where an instruction ended.
        at: u64,
        /// Where something was recorded.
        expected: u64,
    },
    /// There is nothing there.
    #[error("an instant lies behind the end of the recording, which is at instruction {end}")]
    BeyondEnd {
        /// Instructions retired at the end.
        end: u64,
    },
}

/// An error and what caused it, as one sentence.
#[must_use]
pub fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
