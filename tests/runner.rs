//! The test runner: the test files of `guests/` pass, and a failure is found, kept and opened
//! again.

use std::path::{Path, PathBuf};

use cutaway::FIRMWARE;
use cutaway::replay::{Reached, Recording, TimeMachine};
use cutaway_runner::{How, Options, Outcome, Summary, TestFile, run, run_case};
use cutaway_tests::skip::{passed, skipped};
use cutaway_tests::workspace_root;

/// An empty folder of a test's own.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("runner").join(name);
    // There is none at the first time.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the folder of the tests can be written");
    folder
}

fn options(paths: &[PathBuf], keep: &Path) -> Options {
    Options::new(paths.to_vec(), keep.to_owned(), FIRMWARE)
}

/// Runs tests; what they print, on both ways.
fn run_all(options: &Options) -> (Summary, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let summary = run(options, &mut out, &mut err).unwrap_or_else(|error| panic!("{error}"));
    let text = |bytes| String::from_utf8(bytes).expect("reports are text");
    (summary, text(out), text(err))
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the folder of the tests can be written");
    path
}

fn failing_file() -> PathBuf {
    workspace_root().join("tests/guests-failing/fault.toml")
}

#[test]
fn all_guests_pass() {
    let keep = folder("guests");
    let all = workspace_root().join("tests/guests");
    let mut options = options(&[all], &keep);
    if cfg!(debug_assertions) {
        skipped("the test files of whole systems", "run the tests with --release");
        options.paths = vec![workspace_root().join("tests/guests/roms")];
        options.filter = Some("cpu=max".to_owned());
    }

    let (summary, out, err) = run_all(&options);

    assert_eq!(summary.exit_code(), 0, "{out}{err}");
    assert!(summary.passed >= 48, "{out}");
    for (name, report) in &summary.reports {
        if let Outcome::Skipped(why) = &report.outcome {
            skipped(name, why);
        }
    }
    passed(&format!("{} cases of tests/guests", summary.passed));
}

#[test]
fn every_rom_has_its_test_file() {
    let table = std::fs::read_to_string(workspace_root().join("test-roms/roms.txt")).unwrap();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let [name, cpu, ..] = line.split(" | ").map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("columns: {line}")
        };
        let path = workspace_root().join(format!("tests/guests/roms/{name}.toml"));

        let file = TestFile::load(&path).unwrap_or_else(|error| panic!("{error}"));

        let models: Vec<_> = cutaway::CpuModel::names().skip_while(|model| *model != cpu).collect();
        let tested: Vec<_> =
            file.cases().iter().map(|case| case.parameters()[0].1.as_str()).collect();
        assert_eq!(tested, models, "{name}");
    }
}

#[test]
fn a_failure_is_kept_and_opens_at_its_instant() {
    let keep = folder("kept");

    let (summary, out, _) = run_all(&options(&[failing_file()], &keep));

    assert_eq!((summary.exit_code(), summary.failed), (1, 1), "{out}");
    let report = &summary.reports[0].1;
    let Outcome::Failed(failure) = &report.outcome else { panic!("{report:?}") };
    assert_eq!(
        failure.what,
        "the machine stopped for another reason: debug-exit:35, not debug-exit:33"
    );
    assert!(failure.notes.is_empty(), "{:?}", failure.notes);
    assert!(failure.debug_console.last().unwrap().starts_with("FAIL paging"), "{out}");
    let kept = failure.kept.as_ref().expect("it was recorded");
    assert!(out.contains(&kept.command), "{out}");
    assert_eq!(kept.path, keep.join("fault.cut"));
    assert_eq!(kept.instruction, failure.instruction);

    let recording = Recording::open(&kept.path).unwrap();
    let last = recording.journal.last_tick();
    let mut run = TimeMachine::open(recording, 0).unwrap();
    run.set_verify(true);
    let reached = run.goto(kept.instruction).unwrap();
    // It is where the recording ends, too.
    assert!(matches!(reached, Reached::Goal | Reached::End), "{reached:?}");
    assert_eq!(run.count(), kept.instruction);
    let end = run.run_until(last + 1).unwrap();
    assert!(matches!(end, Reached::End), "{end:?}");
    assert_eq!((run.count(), run.machine().ticks()), (kept.instruction, failure.tick));
    assert_eq!(Some(run.state_hash().unwrap()), report.hash, "the state where it failed");
}

#[test]
fn without_its_fault_the_failing_test_passes() {
    let text = std::fs::read_to_string(failing_file()).unwrap();
    let (before, rest) = text.split_once("[[fault]]").unwrap();
    let text = format!("{before}[[check]]{}", rest.split_once("[[check]]").unwrap().1);
    let file = TestFile::parse(&failing_file(), &text).unwrap();

    let report = run_case(&file.cases()[0], &How::new(FIRMWARE));

    assert!(matches!(report.outcome, Outcome::Passed), "{report:?}");
}

#[test]
fn repeated_runs_are_compared() {
    let rom = workspace_root().join("tests/guests/roms/paging.toml");
    let repeated = Options { repeat: 3, ..options(&[rom], &folder("repeat")) };

    let (summary, out, _) = run_all(&repeated);

    assert_eq!(summary.exit_code(), 0, "{out}");
    assert!(summary.reports.iter().all(|(_, report)| report.hash.is_some()), "{out}");
}

/// Each fault acts: the run is another one than without it.
#[test]
fn every_kind_of_fault_changes_the_run() {
    let faults = [
        "flip-bit = { address = 0x70_0000, bit = 3 }",
        "flip-register = { register = 'rsp', bit = 4 }",
        "add-interrupt = 0",
        "drop-interrupt = 0",
        "delay-device = { irq = 0, by = '500ms' }",
    ];
    let run_with = |fault: &str| {
        let check = "[[check]]\nstate-hash = '0000000000000000000000000000000000000000000000000000000000000000'";
        let text = format!("[[step]]\nwait = '40ms'\n{fault}\n{check}\n");
        let file = TestFile::parse(Path::new("t.toml"), &text).unwrap();
        run_case(&file.cases()[0], &How::new(FIRMWARE)).hash.expect("it fails at the hash")
    };
    let none = run_with("");
    for fault in faults {
        let with = run_with(&format!("[[fault]]\nat = 1_440_000\n{fault}"));
        assert_ne!(with, none, "{fault}");
        assert_eq!(with, run_with(&format!("[[fault]]\nat = 1_440_000\n{fault}")), "{fault}");
    }
}

/// At 5 ms the teaching kernel sleeps until the next timer interrupt.
#[test]
fn a_count_of_instructions_is_met_over_a_halt() {
    let run_case_of = |rest: &str| {
        let text = format!("[[step]]\nwait = '5ms'\n{rest}");
        let file = TestFile::parse(Path::new("t.toml"), &text).unwrap();
        run_case(&file.cases()[0], &How::new(FIRMWARE))
    };
    let asleep = run_case_of("").instructions;
    for more in [1, 2, 100] {
        let exactly = asleep + more;

        let report = run_case_of(&format!(
            "[[step]]\nrun = {more}\n[[check]]\ninstructions = {{ exactly = {exactly} }}\n"
        ));

        assert!(matches!(report.outcome, Outcome::Passed), "{more}: {report:?}");
        assert!(report.guest_ns > 5_000_000, "{more}: it slept on");
    }
}

/// A run without stops is the same with breakpoints for coverage, and they are met.
#[test]
fn coverage_is_found_and_not_noticed() {
    let hash = |coverage: &str| {
        let text = format!(
            "[guest]\nrom = 'test-roms/bin/paging.bin'\n[machine]\nmemory = '2M'\n\
             [[check]]\nstop = 'debug-exit:33'\n{coverage}"
        );
        let file = TestFile::parse(&workspace_root().join("t.toml"), &text).unwrap();
        let report = run_case(&file.cases()[0], &How { repeat: 2, ..How::new(FIRMWARE) });
        (report.outcome, report.hash)
    };

    let (without, expected) = hash("");
    let (covered, found) = hash("coverage = 0xffff_fff0");
    let (missed, _) = hash("coverage = [0xffff_fff0, 0x1234]");

    assert!(matches!(without, Outcome::Passed) && matches!(covered, Outcome::Passed));
    assert_eq!(found, expected);
    let Outcome::Failed(failure) = missed else { panic!("0x1234 is no code") };
    assert_eq!(failure.what, "the instruction at 0x1234 was not executed");
}

#[test]
fn a_missing_guest_is_skipped_with_what_to_do() {
    let folder = folder("missing");
    let text = "[guest]\nrom = 'none.bin'\nmissing = 'make it'\n[[step]]\nrun = 1\n";
    let path = written(&folder, "missing.toml", text);
    let mut options = options(&[path], &folder.join("keep"));

    options.nothing_skipped = false;
    let (summary, out, _) = run_all(&options);
    assert_eq!((summary.exit_code(), summary.skipped), (0, 1), "{out}");
    assert!(out.contains("SKIPPED") && out.contains("make it"), "{out}");

    options.nothing_skipped = true;
    let (summary, out, _) = run_all(&options);
    assert_eq!((summary.exit_code(), summary.failed), (1, 1), "{out}");
}

#[test]
fn bad_files_are_errors_with_their_line() {
    let folder = folder("bad");
    written(&folder, "bad.toml", "[[step]]\nrun = 1\n\n[[step]]\nexpct = 'x'\n");
    written(&folder, "good.toml", "[[step]]\nrun = 1\n");
    let junit = folder.join("junit.xml");
    let options = Options {
        junit: Some(junit.clone()),
        ..options(std::slice::from_ref(&folder), &folder.join("keep"))
    };

    let (summary, out, err) = run_all(&options);

    assert_eq!((summary.exit_code(), summary.passed), (2, 1), "{out}{err}");
    assert!(err.contains("bad.toml:5: unknown field `expct`"), "{err}");
    assert!(std::fs::read_to_string(junit).unwrap().contains("<error"));
}

#[test]
fn the_report_for_servers_is_well_formed() {
    let folder = folder("junit");
    let junit = folder.join("junit.xml");
    let odd = written(
        &folder,
        "odd <&>.toml",
        "[[step]]\nexpect = '\\u0000 ]]> & <x> \"'\nwithin = '10ms'\n",
    );
    let paths = [odd, failing_file()];
    let options = Options { junit: Some(junit.clone()), ..options(&paths, &folder.join("keep")) };

    let (summary, out, _) = run_all(&options);

    assert_eq!(summary.failed, 2, "{out}");
    let text = std::fs::read_to_string(junit).unwrap();
    let report = quick_junit::Report::deserialize_from_str(&text);
    let report = report.unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!((report.tests, report.failures), (2, 2), "{text}");
}

#[test]
fn cases_are_listed_and_chosen_by_name() {
    let roms = workspace_root().join("tests/guests/roms");
    let mut options = options(&[roms], &folder("list"));
    options.list = true;
    options.filter = Some("x87.toml[cpu=4".to_owned());

    let (summary, out, _) = run_all(&options);

    assert_eq!(summary.exit_code(), 0);
    assert!(out.trim().ends_with("x87.toml[cpu=486]"), "{out}");
    assert_eq!(out.lines().count(), 1, "{out}");

    options.filter = Some("x88".to_owned());
    let nothing = cutaway::runner::run(&options, &mut Vec::new(), &mut Vec::new());
    let why = nothing.err().map(|error| error.to_string());
    assert!(why.is_some_and(|why| why.contains("tests has 'x88' in it")));
}
