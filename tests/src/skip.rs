//! Tests that need something the host may not have, and how loudly they say that they did not
//! run.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Set where everything is installed (`.ci/run`): there a skipped test is a failed one.
const NOTHING_SKIPPED: &str = "CUTAWAY_NOTHING_SKIPPED";

/// Says that a test did not run and what to do about it. The line goes past the test harness,
/// which would hide it.
///
/// # Panics
/// Where nothing may be skipped.
pub fn skipped(what: &str, remedy: &str) {
    assert!(
        std::env::var_os(NOTHING_SKIPPED).is_none(),
        "{what} was skipped, and {NOTHING_SKIPPED} is set; {remedy}"
    );
    let line = format!("\nSKIPPED: {what}: {remedy}\n");
    // Nobody reads standard error: then nobody is told.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Says that a test ran, in the same way, so that a log shows what was proven.
pub fn passed(what: &str) {
    let _ = std::io::stderr().write_all(format!("\nPASSED: {what}\n").as_bytes());
}

/// The path, if the file can be read; else the test is [`skipped`].
#[must_use]
pub fn readable(path: impl AsRef<Path>, what: &str, remedy: &str) -> Option<PathBuf> {
    let path = path.as_ref();
    if std::fs::File::open(path).is_ok() {
        return Some(path.to_owned());
    }
    skipped(what, remedy);
    None
}

/// Where a program is, if it is in the host's search path.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The newest of Debian's kernels for virtual machines that is installed and can be read.
#[must_use]
pub fn newest_cloud_kernel() -> Option<PathBuf> {
    let entries = std::fs::read_dir("/boot").ok()?;
    let is_cloud = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("vmlinuz-") && name.ends_with("-cloud-amd64")
    };
    let mut kernels: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_cloud).collect();
    kernels.sort();
    let kernel = kernels.pop()?;
    std::fs::File::open(&kernel).is_ok().then_some(kernel)
}
