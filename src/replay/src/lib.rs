//! Snapshots, recordings and time travel over a machine.
//!
//! A [`Snapshot`] is a machine in a file. A recording is such a file with a journal behind it: all
//! that entered from outside, each at its tick, and hashes of all state by which a replay is
//! checked. A [`TimeMachine`] replays one and goes to any instant of it, forwards and backwards.
//!
//! Everything in a file is untrusted: what cannot be is refused with an error that says what and
//! what to do, and nothing is reserved or followed before it was checked against what is there.
#![forbid(unsafe_code)]

mod checkpoints;
mod diff;
mod error;
mod file;
mod journal;
mod recorder;
mod search;
mod snapshot;
#[cfg(test)]
mod test_machine;
mod time_machine;

pub use diff::{Difference, Divergence, Point, diff};
pub use error::{ReplayError, in_full};
pub use journal::{End, Entry, Journal, JournalWriter};
pub use recorder::{HASH_SPACING, Recorder};
pub use search::Register;
pub use snapshot::{Parent, Recording, Snapshot, SnapshotOptions, save, save_recording_start};
pub use time_machine::{DEFAULT_BUDGET, Reached, TimeMachine};
