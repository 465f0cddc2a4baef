//! What the whole-machine tests share: where the tree is, how a skipped test says so, and the
//! guests that are built or found on the host.
#![forbid(unsafe_code)]

pub mod debian_root;
pub mod dialogue;
pub mod guest;
pub mod initramfs;
pub mod intruder;
pub mod repeat;
pub mod skip;

use std::path::PathBuf;

/// The folder of the workspace.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests.parent().map(PathBuf::from).unwrap_or(tests)
}
