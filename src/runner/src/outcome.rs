//! What came of a case.

use cutaway_machine::StateHash;
use std::path::PathBuf;
use std::time::Duration;

/// What came of a case.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whether it passed.
    pub outcome: Outcome,
    /// Instructions that the guest executed; zero if it was not run.
    pub instructions: u64,
    /// Guest time at the end, in nanoseconds.
    pub guest_ns: u64,
    /// The hash of all state at the end: of a failed case, or where it was run more than once.
    pub hash: Option<StateHash>,
    /// What it took on the host, for people.
    pub took: Duration,
}

/// Whether a case passed.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Everything held.
    Passed,
    /// Something did not.
    Failed(Box<Failure>),
    /// It was not run: a file of its guest is not on this host. What is missing, and what to do.
    Skipped(String),
}

/// The first thing that did not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// What, in one sentence.
    pub what: String,
    /// The line of the test file that asks for it, if one does.
    pub line: Option<usize>,
    /// Instructions retired then.
    pub instruction: u64,
    /// Ticks then.
    pub tick: u64,
    /// Guest time then, in nanoseconds.
    pub guest_ns: u64,
    /// The last lines of the serial console.
    pub console: Vec<String>,
    /// The last lines of the debug console.
    pub debug_console: Vec<String>,
    /// The recording, if one was asked for and could be made.
    pub kept: Option<Kept>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

/// A recording of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The file.
    pub path: PathBuf,
    /// Instructions retired where it failed.
    pub instruction: u64,
    /// The command that opens it there.
    pub command: String,
}

/// Lines of a console that are shown, and the characters of one.
const SHOWN_LINES: usize = 20;
const SHOWN_CHARACTERS: usize = 200;

/// The last lines of an output, fit to be shown.
pub(crate) fn last_lines(output: &str) -> Vec<String> {
    let lines: Vec<_> = output.lines().rev().filter(|line| !line.trim().is_empty()).collect();
    let shown = lines.iter().take(SHOWN_LINES).rev();
    let clean = |line: &&str| -> String {
        let printable = line.chars().filter(|c| !c.is_control() || *c == '\t');
        printable.take(SHOWN_CHARACTERS).collect()
    };
    shown.map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_few_and_clean() {
        let output: String = (0..100).map(|n| format!("\x1b[1mline {n}\r\n\r\n")).collect();

        let lines = last_lines(&output);

        assert_eq!(lines.len(), 20);
        assert_eq!((lines[0].as_str(), lines[19].as_str()), ("[1mline 80", "[1mline 99"));
        assert_eq!(last_lines(&"x".repeat(1_000_000))[0].len(), 200);
    }
}
