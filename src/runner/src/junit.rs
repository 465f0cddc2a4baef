//! The report in the format of JUnit, for the servers that show it.

use crate::RunnerError;
use crate::case::Case;
use crate::outcome::{Outcome, Report};
use crate::print::details;
use crate::suite::Summary;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Writes a report: a suite for each file, a test for each of its cases.
pub(crate) fn write(
    path: &Path,
    cases: &[Case],
    reports: &[Report],
    summary: &Summary,
) -> Result<(), RunnerError> {
    let text = report(cases, reports, summary).to_string();
    let text = text.map_err(|error| std::io::Error::other(error.to_string()));
    let written = text.and_then(|text| File::create(path)?.write_all(text.as_bytes()));
    written.map_err(RunnerError::host("write", path))
}

fn report(cases: &[Case], reports: &[Report], summary: &Summary) -> quick_junit::Report {
    let mut all = quick_junit::Report::new("cutaway");
    all.set_time(summary.took);
    let mut suite: Option<(&Path, TestSuite)> = None;
    for (case, report) in cases.iter().zip(reports) {
        match &mut suite {
            Some((path, tests)) if *path == case.path() => {
                tests.add_test_case(test(case, report));
            }
            other => {
                all.add_test_suites(other.take().map(|(_, tests)| tests));
                let mut tests = TestSuite::new(case.path().display().to_string());
                tests.add_test_case(test(case, report));
                *other = Some((case.path(), tests));
            }
        }
    }
    all.add_test_suites(suite.map(|(_, tests)| tests));
    for error in &summary.bad_files {
        let name = error.path.display().to_string();
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_type("bad file").set_message(error.to_string());
        let mut tests = TestSuite::new(name.clone());
        tests.add_test_case(TestCase::new(name, status));
        all.add_test_suite(tests);
    }
    all
}

fn test(case: &Case, report: &Report) -> TestCase {
    let status = match &report.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Skipped(why) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(why.as_str());
            status
        }
        Outcome::Failed(failure) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type("failure").set_message(failure.what.as_str());
            status.set_description(details(case, failure).join("\n"));
            status
        }
    };
    let mut test = TestCase::new(case.name(), status);
    let stem = case.path().file_stem().unwrap_or_default().to_string_lossy();
    test.set_classname(stem.into_owned()).set_time(report.took);
    test
}
