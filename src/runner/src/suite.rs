//! All cases of many files, over the cores of the host, reported in one order.

use crate::case::Case;
use crate::files::find;
use crate::outcome::{Outcome, Report};
use crate::print::Printer;
use crate::run_case::{How, run_case};
use crate::{FileError, RunnerError, TestFile, junit};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Test files, and folders of them.
    pub paths: Vec<PathBuf>,
    /// Cases that run side by side; zero for as many as the host has cores.
    pub jobs: usize,
    /// How often each case is run, to see that all runs are the same.
    pub repeat: u32,
    /// Where a report in the format of JUnit goes.
    pub junit: Option<PathBuf>,
    /// The folder for recordings of failures; it is made when there is one.
    pub keep: PathBuf,
    /// Only list the names of the cases.
    pub list: bool,
    /// Only cases with this in their name.
    pub filter: Option<String>,
    /// Whether the report has colours.
    pub colour: bool,
    /// Whether to show on `err`, a terminal, what is going on.
    pub progress: bool,
    /// The ROM of tests that name no guest.
    pub firmware: &'static [u8],
    /// Whether a missing file of a guest fails its test, instead of skipping it.
    pub nothing_skipped: bool,
}

impl Options {
    /// All cases of these files and folders, once, on all cores; nothing is kept outside of
    /// `keep`. As with [`How::new`] the environment decides whether a test may be skipped.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>, keep: PathBuf, firmware: &'static [u8]) -> Self {
        let nothing_skipped = How::new(firmware).nothing_skipped;
        Self {
            paths,
            jobs: 0,
            repeat: 1,
            junit: None,
            keep,
            list: false,
            filter: None,
            colour: false,
            progress: false,
            firmware,
            nothing_skipped,
        }
    }
}

/// What came of all cases.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Cases that passed.
    pub passed: usize,
    /// Cases that failed.
    pub failed: usize,
    /// Cases that were not run, since a file of their guest is missing.
    pub skipped: usize,
    /// What is wrong with test files.
    pub bad_files: Vec<FileError>,
    /// Each case that was run or skipped, by its name, in the order of the report.
    pub reports: Vec<(String, Report)>,
    /// What all of it took on the host, for people.
    pub took: Duration,
}

impl Summary {
    /// The exit code: 0 if all passed, 1 if a case failed, 2 if a test file is no good.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if !self.bad_files.is_empty() { 2 } else { u8::from(self.failed > 0) }
    }
}

/// What a worker tells.
enum Event {
    Started(usize),
    Finished(usize, Box<Report>),
}

/// Runs tests: results go to `out` in the order of the files, what is wrong with files and the
/// progress to `err`.
pub fn run(
    options: &Options,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Summary, RunnerError> {
    let begun = Instant::now();
    let mut summary = Summary::default();
    let mut cases = Vec::new();
    for path in find(&options.paths)? {
        match TestFile::load(&path) {
            Ok(file) => cases.extend(file.into_cases()),
            Err(error) => summary.bad_files.push(error),
        }
    }
    if let Some(filter) = &options.filter {
        let all = cases.len();
        cases.retain(|case| case.name().contains(filter));
        if cases.is_empty() && summary.bad_files.is_empty() {
            return Err(RunnerError::NothingChosen { filter: filter.clone(), cases: all });
        }
    }
    let mut printer = Printer::new(options.colour, options.progress, cases.len(), out, err);
    for error in &summary.bad_files {
        printer.bad_file(error).map_err(RunnerError::Output)?;
    }
    if options.list {
        for case in &cases {
            printer.name(case).map_err(RunnerError::Output)?;
        }
        return Ok(summary);
    }
    let reports = run_cases(options, &cases, &mut printer)?;
    summary.took = begun.elapsed();
    for report in &reports {
        match report.outcome {
            Outcome::Passed => summary.passed += 1,
            Outcome::Failed(_) => summary.failed += 1,
            Outcome::Skipped(_) => summary.skipped += 1,
        }
    }
    if let Some(path) = &options.junit {
        junit::write(path, &cases, &reports, &summary)?;
    }
    let names = cases.iter().map(|case| case.name().to_owned());
    summary.reports = names.zip(reports).collect();
    printer.summary(&summary).map_err(RunnerError::Output)?;
    Ok(summary)
}

fn run_cases(
    options: &Options,
    cases: &[Case],
    printer: &mut Printer<'_>,
) -> Result<Vec<Report>, RunnerError> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = if options.jobs == 0 { cores() } else { options.jobs };
    let names = names_of_recordings(cases);
    let next = AtomicUsize::new(0);
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(cases.len()) {
            let (sender, names, next) = (sender.clone(), &names, &next);
            scope.spawn(move || work(options, cases, names, next, &sender));
        }
        drop(sender);
        let reports = collect(cases, &receiver, printer);
        // If the report cannot be written, nobody waits for more.
        next.store(cases.len(), Ordering::Relaxed);
        reports
    })
    .map_err(RunnerError::Output)
}

/// Runs one case after another, until there are no more.
fn work(
    options: &Options,
    cases: &[Case],
    names: &[String],
    next: &AtomicUsize,
    sender: &Sender<Event>,
) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(case) = cases.get(number) else { return };
        let how = How {
            firmware: options.firmware,
            repeat: options.repeat,
            keep: Some(options.keep.clone()),
            keep_as: Some(names[number].clone()),
            nothing_skipped: options.nothing_skipped,
        };
        // Who does not listen any more has ended the run.
        let _ = sender.send(Event::Started(number));
        let report = run_case(case, &how);
        let _ = sender.send(Event::Finished(number, Box::new(report)));
    }
}

/// Takes reports as they come and shows them in order.
fn collect(
    cases: &[Case],
    events: &Receiver<Event>,
    printer: &mut Printer<'_>,
) -> std::io::Result<Vec<Report>> {
    let mut waiting = BTreeMap::new();
    let mut running = Vec::new();
    let mut reports = Vec::new();
    for event in events {
        match event {
            Event::Started(number) => running.push(number),
            Event::Finished(number, report) => {
                running.retain(|other| *other != number);
                waiting.insert(number, report);
            }
        }
        while let Some(report) = waiting.remove(&reports.len()) {
            printer.report(&cases[reports.len()], &report)?;
            reports.push(*report);
        }
        let done = reports.len() + waiting.len();
        printer.progress(done, running.iter().map(|number| cases[*number].name()))?;
    }
    Ok(reports)
}

/// A name for the recording of each case, no two alike.
fn names_of_recordings(cases: &[Case]) -> Vec<String> {
    let mut used = std::collections::BTreeSet::new();
    let mut free = |name: String| {
        let numbered = (2..).map(|n| format!("{name}-{n}"));
        let name = std::iter::once(name.clone()).chain(numbered).find(|name| !used.contains(name));
        let name = name.expect("one of them is free");
        used.insert(name.clone());
        name
    };
    cases.iter().map(|case| free(case.file_name())).collect()
}
