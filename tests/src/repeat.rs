//! Repeating a recording, forwards and backwards.

use std::path::Path;

use cutaway::replay::{Recording, TimeMachine};

/// Memory for checkpoints.
const CHECKPOINT_BYTES: usize = 64 << 20;

/// Repeats a recording to its end, at this tick and with this hash; goes back to its middle, on and
/// back again; and removes the file.
///
/// # Panics
/// If a state is not the one that was there before.
pub fn repeat(path: &Path, end: u64, hash: &str) {
    let recording = Recording::open(path).expect("it was written whole");
    let mut run = TimeMachine::open(recording, CHECKPOINT_BYTES).expect("it can be repeated");
    run.set_verify(true);
    let mut state_at = |tick: u64| {
        run.goto_tick(tick).expect("the recording reaches so far");
        format!("{:#}", run.state_hash().expect("the state can be encoded"))
    };
    assert_eq!(state_at(end), hash, "{}: repeated", path.display());
    let middle = state_at(end / 2);
    let _ = state_at(end / 2 + 1000);
    assert_eq!(state_at(end / 2), middle, "{}: back", path.display());
    let _ = state_at(end);
    assert_eq!(state_at(end / 2), middle, "{}: back from the end", path.display());
    // What the host keeps of a recording that was repeated is of no more use.
    let _ = std::fs::remove_file(path);
}
