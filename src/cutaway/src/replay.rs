//! `cutaway snapshot`, `restore`, `replay` and `diff`.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use cutaway::host::{Output, RecentExceptions, crash_report};
use cutaway::replay::{
    self, DEFAULT_BUDGET, End, Journal, Parent, Reached, Recording, ReplayError, Snapshot,
    SnapshotOptions, TimeMachine,
};
use cutaway::{Machine, Stop};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{DiffArgs, ReplayArgs, RestoreArgs, SnapshotArgs};
use crate::check::Check;
use crate::exit::{BAD_INPUT, DIFFERS, DONE, HOST_FAILED};
use crate::failure::Failure;
use crate::session::{self, Start, open_failure, save_failure};
use crate::{gdb, guest, stats};

/// Ticks of a replay between two looks at its progress.
const SLICE_TICKS: u64 = 20_000_000;

/// A bar on standard error, if that is a terminal and it takes more than a moment.
pub(crate) struct Progress {
    bar: ProgressBar,
    begun: Instant,
}

impl Progress {
    pub(crate) fn new(what: &str, all: u64) -> Self {
        let bar = ProgressBar::hidden();
        bar.set_length(all);
        let style = ProgressStyle::with_template("{msg} [{wide_bar}] {percent} %, {eta} left");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        Self { bar, begun: Instant::now() }
    }

    pub(crate) fn at(&self, done: u64) {
        if self.bar.is_hidden()
            && std::io::stderr().is_terminal()
            && self.begun.elapsed() > Duration::from_secs(1)
        {
            self.bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        }
        self.bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Opens a recording, and warns where its end is missing.
pub(crate) fn open(path: &Path) -> Result<Recording, Failure> {
    let recording = Recording::open(path).map_err(|error| open_failure(&error, path))?;
    if recording.journal.end().is_none() {
        let tick = recording.journal.last_tick();
        eprintln!("cutaway: the recording was cut off; it is good up to tick {tick}");
    }
    Ok(recording)
}

/// A failure of a replay.
pub(crate) fn replay_failure(error: &ReplayError) -> Failure {
    match error {
        ReplayError::Diverged { .. }
        | ReplayError::StoppedEarly { .. }
        | ReplayError::Misplaced { .. } => {
            let remedy = "replay it with the program that recorded it, or report this as a defect";
            Failure::of(DIFFERS, error, remedy)
        }
        _ => Failure::of(BAD_INPUT, error, "copy the file again, or use another one"),
    }
}

/// Saves a machine after so many instructions.
pub(crate) fn snapshot(args: &SnapshotArgs) -> Result<u8, Failure> {
    let (mut machine, parent) = match &args.from {
        Some(path) => out_of_recording(path, args.at)?,
        None => (run_to(guest::boot(&args.guest)?, args.at)?, None),
    };
    let options = SnapshotOptions { compress: args.compress, parent };
    replay::save(&mut machine, &args.file, &options).map_err(|error| save_failure(&error))?;
    eprint!("{}", stats::hash(&mut machine)?);
    Ok(DONE)
}

/// Runs a machine, without input, until so many instructions have retired.
fn run_to(mut machine: Machine, count: u64) -> Result<Machine, Failure> {
    let progress = Progress::new("running", count);
    loop {
        let retired = machine.instructions();
        progress.at(retired);
        if retired >= count {
            return Ok(machine);
        }
        let ticks = (count - retired).min(SLICE_TICKS);
        let stop = machine.run_until(machine.ticks() + ticks);
        if !matches!(stop, Stop::Limit) {
            let retired = machine.instructions();
            let what = format!("the guest stopped after {retired} instructions ({stop:?})");
            return Err(Failure::new(BAD_INPUT, what, "choose an earlier instant"));
        }
    }
}

fn out_of_recording(path: &Path, count: u64) -> Result<(Machine, Option<Parent>), Failure> {
    let recording = open(path)?;
    let start = recording.start.hash();
    recording.start.verify().map_err(|error| open_failure(&error, path))?;
    let mut run = TimeMachine::open(recording, 0).map_err(|error| replay_failure(&error))?;
    run.go_forwards_only();
    play(&mut run, Some(count))?;
    let parent = run.parent(start);
    Ok((run.into_machine(), Some(parent)))
}

/// Goes on with a snapshot.
pub(crate) fn restore(args: &RestoreArgs) -> Result<u8, Failure> {
    let failed = |error: ReplayError| open_failure(&error, &args.file);
    let snapshot = Snapshot::open(&args.file).map_err(failed)?;
    let machine = snapshot.machine().map_err(failed)?;
    let check = Some(Check::start(&args.file));
    let journal = Journal::default().digest_before(0);
    let parent = Some(Parent { start: snapshot.hash().0, journal, at: machine.ticks() });
    session::hold(&args.session, machine, Start { parent, check })
}

/// Plays a run on to an instruction or to its end, and shows how far it is.
fn play(run: &mut TimeMachine, count: Option<u64>) -> Result<Reached, Failure> {
    let end = run.journal().last_tick();
    let progress = Progress::new("replaying", end);
    loop {
        progress.at(run.machine().ticks());
        let next = run.machine().ticks().saturating_add(SLICE_TICKS);
        let left = count.map(|count| count.saturating_sub(run.count()));
        let reached = match left {
            Some(left) if left <= SLICE_TICKS => run.goto(run.count() + left),
            _ => run.run_until(next),
        };
        match reached.map_err(|error| replay_failure(&error))? {
            Reached::Goal if left.is_some_and(|left| left <= SLICE_TICKS) => {
                return Ok(Reached::Goal);
            }
            Reached::Goal => {}
            reached => return Ok(reached),
        }
    }
}

/// What only a run that goes on live heeds is not left aside in silence.
fn refuse_what_needs_live(args: &ReplayArgs) -> Result<(), Failure> {
    let session = &args.session;
    let options = [
        ("--record", session.record.is_some(), "add --live"),
        ("--max-instructions", session.max_instructions.is_some(), "use --until-instruction"),
        ("--snapshot-at", session.snapshot_at.is_some(), "use cutaway snapshot --from FILE --at N"),
        ("--snapshot", session.snapshot.is_some(), "use cutaway snapshot --from FILE --at N"),
    ];
    match options.into_iter().find(|(_, is_given, _)| *is_given && !args.live) {
        Some((option, _, remedy)) => {
            let what = format!("{option} is for a run that goes on live");
            Err(Failure::new(BAD_INPUT, what, remedy))
        }
        None => Ok(()),
    }
}

/// Repeats a recorded run.
pub(crate) fn replay(args: &ReplayArgs) -> Result<u8, Failure> {
    refuse_what_needs_live(args)?;
    let recording = open(&args.file)?;
    let start = recording.start.hash();
    let check = Check::start(&args.file);
    let (chain, end) = (recording.journal.chain(), recording.journal.end().cloned());
    let hashes = recording.journal.hashes();
    let budget = if args.session.gdb.is_some() { DEFAULT_BUDGET } else { 0 };
    let run = match &args.start {
        None => TimeMachine::open(recording, budget),
        Some(path) => {
            let failed = |error: ReplayError| open_failure(&error, path);
            let snapshot = Snapshot::open(path).map_err(failed)?;
            snapshot.verify().map_err(failed)?;
            TimeMachine::open_at(recording, &snapshot, budget)
        }
    };
    let mut run = run.map_err(|error| replay_failure(&error))?;
    if args.session.gdb.is_none() {
        run.go_forwards_only();
    }
    run.set_verify(args.verify);
    let recent = RecentExceptions::default();
    // Who goes on live sees what comes then.
    let outputs = if args.live {
        Vec::new()
    } else {
        session::connect(&args.session, run.machine_mut(), &recent)?
    };

    let begun = Instant::now();
    let reached = play(&mut run, args.until_instruction)?;
    let running = begun.elapsed();
    flush(&outputs)?;
    check.finish()?;

    if let (Some(address), false) = (&args.session.gdb, args.live) {
        return gdb::recording(address, &mut run);
    }
    if args.live {
        let start = Start { parent: Some(run.parent(start)), check: None };
        return session::hold(&args.session, run.into_machine(), start);
    }
    // The instant asked for may be the last one.
    let asked = args.until_instruction.is_some_and(|count| run.count() >= count);
    match (&reached, end) {
        (_, _) if asked => eprint!("{}", crash_report(run.machine(), &recent)),
        (Reached::End, Some(End::Stopped(why))) => eprintln!("cutaway: the recording ends: {why}"),
        (Reached::End, _) => eprintln!("cutaway: the recording ends"),
        _ => eprint!("{}", crash_report(run.machine(), &recent)),
    }
    if args.verify {
        let passed = if matches!(reached, Reached::End) { "all" } else { "the" };
        eprintln!("cutaway: {passed} recorded hashes passed are right; chain of {hashes}: {chain}");
    }
    let mut machine = run.into_machine();
    if args.session.stats {
        eprint!("{}", stats::text(&machine.stats(), running));
    }
    if args.session.hash {
        eprint!("{}", stats::hash(&mut machine)?);
    }
    Ok(DONE)
}

fn flush(outputs: &[Output]) -> Result<(), Failure> {
    let failed = |error| Failure::of(HOST_FAILED, &error, "choose a place that can be written");
    outputs.iter().try_for_each(Output::flush).map_err(failed)
}

/// Finds the first instruction at which two recordings differ.
pub(crate) fn diff(args: &DiffArgs) -> Result<u8, Failure> {
    let open_one = |path: &Path| -> Result<TimeMachine, Failure> {
        let recording = open(path)?;
        recording.start.verify().map_err(|error| open_failure(&error, path))?;
        TimeMachine::open(recording, DEFAULT_BUDGET / 2).map_err(|error| replay_failure(&error))
    };
    let (mut left, mut right) = (open_one(&args.left)?, open_one(&args.right)?);
    let progress = Progress::new("comparing", 0);
    let found = replay::diff(&mut left, &mut right, |count| progress.at(count));
    drop(progress);
    let Some(found) = found.map_err(|error| replay_failure(&error))? else {
        println!("the recordings are equal: {} instructions", left.count());
        return Ok(DONE);
    };
    match found.equal_until {
        Some(count) => println!("equal for {count} instructions; the next one differs"),
        None => println!("different from the start"),
    }
    let names = [args.left.display().to_string(), args.right.display().to_string()];
    for (when, points) in [("before", &found.before), ("behind", &found.after)] {
        for (name, point) in names.iter().zip(points) {
            let (cs, rip) = point.place;
            println!(
                "{when}  {cs:04x}:{rip:016x}  {:<40} tick {}  {name}",
                point.instruction, point.ticks
            );
        }
    }
    println!("{:<24} {:<40} {}", "", names[0], names[1]);
    for difference in &found.differences {
        println!("{:<24} {:<40} {}", difference.what, difference.left, difference.right);
    }
    Ok(DIFFERS)
}
