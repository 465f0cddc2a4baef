//! Running a case as often as asked for, and recording it when it fails.
//!
//! A passing run costs nothing more. A failing one is run again with a recorder: both must fail at
//! the same instruction in the same state, or else the run does not repeat, which is worse.

use crate::RunnerError;
use crate::case::Case;
use crate::images::{NoMachine, machine};
use crate::outcome::{Failure, Kept, Outcome, Report};
use crate::script::{Ran, Record, run};
use cutaway_replay::{
    HASH_SPACING, Recorder, ReplayError, SnapshotOptions, in_full, save_recording_start,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How a case is run.
#[derive(Clone, Debug)]
pub struct How<'a> {
    /// The ROM of a test that names no guest.
    pub firmware: &'a [u8],
    /// How often it is run, to see that each run is the same; at least once.
    pub repeat: u32,
    /// The folder for a recording of its failure; made if it is not there.
    pub keep: Option<PathBuf>,
    /// The recording's name without ending; without one it is the case's.
    pub keep_as: Option<String>,
    /// Whether a missing file of the guest fails the test, instead of skipping it.
    pub nothing_skipped: bool,
}

impl<'a> How<'a> {
    /// Once, without a recording; a missing file fails the test if `CUTAWAY_NOTHING_SKIPPED` is
    /// set in the environment.
    #[must_use]
    pub fn new(firmware: &'a [u8]) -> Self {
        let nothing_skipped = std::env::var_os("CUTAWAY_NOTHING_SKIPPED").is_some();
        Self { firmware, repeat: 1, keep: None, keep_as: None, nothing_skipped }
    }
}

/// Runs a case, on this thread. What goes wrong is in the report; nothing panics.
#[must_use]
pub fn run_case(case: &Case, how: &How<'_>) -> Report {
    let begun = Instant::now();
    let ran = catch_unwind(AssertUnwindSafe(|| run_all(case, how)));
    let mut report = ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        failed(format!("the emulator has an error and panicked: {text}"))
    });
    report.took = begun.elapsed();
    report
}

fn run_all(case: &Case, how: &How<'_>) -> Report {
    let repeated = how.repeat > 1;
    let first = match run_once(case, how, repeated, None) {
        Ok(ran) => ran,
        Err(end) => return *end,
    };
    if first.failure.is_some() {
        return record_failure(case, how, first);
    }
    for number in 2..=how.repeat {
        let next = match run_once(case, how, repeated, None) {
            Ok(ran) => ran,
            Err(end) => return *end,
        };
        if let Some(difference) = difference(&first, &next) {
            return record_difference(
                case,
                how,
                &format!("run {number} differs from run 1: {difference}"),
            );
        }
    }
    Report { outcome: Outcome::Passed, ..of(&first) }
}

fn of(ran: &Ran) -> Report {
    Report {
        outcome: Outcome::Passed,
        instructions: ran.instructions,
        guest_ns: ran.guest_ns,
        hash: ran.hash,
        took: Duration::ZERO,
    }
}

fn failed(what: String) -> Report {
    let failure = Failure { what, ..Failure::default() };
    let outcome = Outcome::Failed(Box::new(failure));
    Report { outcome, instructions: 0, guest_ns: 0, hash: None, took: Duration::ZERO }
}

/// Makes the machine and runs the script; an error is the report of a case that cannot be run.
fn run_once(
    case: &Case,
    how: &How<'_>,
    hashed: bool,
    record: Option<Record<'_>>,
) -> Result<Ran, Box<Report>> {
    let machine = machine(case, how.firmware).map_err(|no_machine| match no_machine {
        NoMachine::Bad(what) => failed(what),
        NoMachine::Missing(what) => match &case.missing {
            Some(hint) if how.nothing_skipped => {
                failed(format!("{what}; {hint}; CUTAWAY_NOTHING_SKIPPED is set"))
            }
            Some(hint) => Report {
                outcome: Outcome::Skipped(format!("{what}; {hint}")),
                ..failed(String::new())
            },
            None => failed(what),
        },
    })?;
    run(case, machine, hashed, record).map_err(|error| Box::new(failed(in_full(&error))))
}

/// What is not the same in two runs.
fn difference(first: &Ran, second: &Ran) -> Option<String> {
    let what =
        |ran: &Ran| ran.failure.as_ref().map_or("it passed".to_owned(), |of| of.what.clone());
    if what(first) != what(second) {
        return Some(format!("{}, and now {}", what(first), what(second)));
    }
    if first.instructions != second.instructions {
        let (first, second) = (first.instructions, second.instructions);
        return Some(format!("{first} instructions, and now {second}"));
    }
    match (first.hash, second.hash) {
        (Some(first), Some(second)) if first != second => {
            Some(format!("the state has hash {first} in the end, and now {second}"))
        }
        _ => None,
    }
}

/// Runs a failing case again, into a recording.
fn record_failure(case: &Case, how: &How<'_>, first: Ran) -> Report {
    let mut report = of(&first);
    let mut failure = first.failure.clone().unwrap_or_default();
    if let Some(folder) = &how.keep {
        let path = folder.join(format!("{}.cut", kept_name(case, how)));
        match record(case, how, &path) {
            Ok(second) => {
                report.hash = second.hash;
                if let Some(difference) = difference(&first, &second) {
                    failure.notes.push(format!("not repeatable: run again, {difference}"));
                }
                let instruction = second.instructions;
                let command =
                    format!("cutaway replay {} --until-instruction {instruction}", quoted(&path));
                failure.kept = Some(Kept { path, instruction, command });
            }
            Err(why) => failure.notes.push(format!("there is no recording: {why}")),
        }
    }
    Report { outcome: Outcome::Failed(Box::new(failure)), ..report }
}

/// Two runs of a case that does not repeat, recorded to be compared.
fn record_difference(case: &Case, how: &How<'_>, difference: &str) -> Report {
    let mut failure =
        Failure { what: format!("not repeatable: {difference}"), ..Failure::default() };
    if let Some(folder) = &how.keep {
        let paths = [1, 2].map(|n| folder.join(format!("{}-{n}.cut", kept_name(case, how))));
        let recorded: Result<Vec<_>, _> =
            paths.iter().map(|path| record(case, how, path)).collect();
        failure.notes.push(match recorded {
            Ok(_) => format!(
                "two runs are recorded: cutaway diff {} {}",
                quoted(&paths[0]),
                quoted(&paths[1])
            ),
            Err(why) => format!("there is no recording: {why}"),
        });
    }
    Report { outcome: Outcome::Failed(Box::new(failure)), ..failed(String::new()) }
}

/// Runs a case once more, into a recording.
fn record(case: &Case, how: &How<'_>, path: &Path) -> Result<Ran, String> {
    if let Some(folder) = path.parent() {
        let made = std::fs::create_dir_all(folder).map_err(RunnerError::host("make", folder));
        made.map_err(|error| in_full(&error))?;
    }
    let mut machine = machine(case, how.firmware).map_err(|no_machine| match no_machine {
        NoMachine::Bad(what) | NoMachine::Missing(what) => what,
    })?;
    let told = |error: ReplayError| in_full(&error);
    let file =
        save_recording_start(&mut machine, path, &SnapshotOptions::default()).map_err(told)?;
    let mut file = Some(file);
    let mut record = |machine: &mut _| {
        let file = file.take().expect("a recorder is made once");
        Recorder::attach(machine, Box::new(file), HASH_SPACING)
    };
    run(case, machine, true, Some(&mut record)).map_err(told)
}

/// The name of a recording, of characters that need no quotes anywhere.
fn kept_name(case: &Case, how: &How<'_>) -> String {
    how.keep_as.clone().unwrap_or_else(|| case.file_name())
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=,:@%".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(instructions: u64, hash: u8) -> Ran {
        let hash = Some(cutaway_machine::StateHash([hash; 32]));
        Ran { failure: None, instructions, guest_ns: 0, hash }
    }

    #[test]
    fn runs_are_compared_by_instructions_and_state() {
        assert_eq!(difference(&ran(5, 1), &ran(5, 1)), None);
        let counts = difference(&ran(5, 1), &ran(6, 1)).unwrap();
        assert_eq!(counts, "5 instructions, and now 6");
        assert!(difference(&ran(5, 1), &ran(5, 2)).unwrap().contains("and now 0202"));
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_would_split_it() {
        assert_eq!(quoted(Path::new("a/b-1,c=2.cut")), "a/b-1,c=2.cut");
        assert_eq!(quoted(Path::new("a b/it's")), r"'a b/it'\''s'");
    }
}
