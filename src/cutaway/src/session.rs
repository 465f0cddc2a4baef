//! A machine with its outside, from its first instruction to the exit code.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cutaway::Machine;
use cutaway::cpu::TraceClasses;
use cutaway::host::{
    Companion, CompanionError, Inbox, Log, Output, OutputError, Pacing, RawTerminal,
    RecentExceptions, Session, SessionError, Target, crash_report, parse_classes, read_stdin,
    watch_signals,
};
use cutaway::replay::{self, HASH_SPACING, Parent, Recorder, ReplayError, SnapshotOptions};

use crate::args::SessionArgs;
use crate::check::Check;
use crate::exit::{BAD_INPUT, HOST_FAILED, ending};
use crate::failure::Failure;
use crate::gdb;
use crate::stats;

/// Where the machine of a session comes from.
#[derive(Default)]
pub(crate) struct Start {
    /// The recording that it was taken out of.
    pub(crate) parent: Option<Parent>,
    /// A file whose memory is still being checked.
    pub(crate) check: Option<Check>,
}

/// Runs a machine to its end; the result is the exit code.
pub(crate) fn hold(args: &SessionArgs, machine: Machine, start: Start) -> Result<u8, Failure> {
    hold_and_tell(args, machine, start, |_| String::new())
}

/// As [`hold`]; at the end shows what `tell` has to say of the machine.
pub(crate) fn hold_and_tell(
    args: &SessionArgs,
    mut machine: Machine,
    start: Start,
    tell: impl FnOnce(&Machine) -> String,
) -> Result<u8, Failure> {
    if let Some(address) = &args.gdb {
        start.check.map_or(Ok(()), Check::finish)?;
        return gdb::live(args, address, machine);
    }
    let recent = RecentExceptions::default();
    let outputs = connect(args, &mut machine, &recent)?;
    let mut keeper = Keeper::new(args, &mut machine, start)?;

    let (end, running) = converse(args, &mut machine, &mut keeper, outputs)?;

    let ending = ending(&end);
    keeper.finish(&mut machine, ending.message.as_deref(), &end)?;
    if let Some(message) = &ending.message {
        eprintln!("cutaway: {message}");
    }
    if ending.show_state {
        eprint!("{}", crash_report(&machine, &recent));
    }
    eprint!("{}", tell(&machine));
    if args.stats {
        eprint!("{}", stats::text(&machine.stats(), running));
    }
    if args.hash {
        eprint!("{}", stats::hash(&mut machine)?);
    }
    Ok(ending.code)
}

/// Records a session and saves snapshots of it.
struct Keeper {
    recorder: Option<Recorder>,
    snapshot_at: Option<u64>,
    snapshot: Option<PathBuf>,
    parent: Option<Parent>,
    check: Option<Check>,
}

impl Keeper {
    fn new(args: &SessionArgs, machine: &mut Machine, start: Start) -> Result<Self, Failure> {
        let Start { parent, check } = start;
        let recorder = match &args.record {
            Some(path) => {
                let options = SnapshotOptions { compress: false, parent: parent.clone() };
                let file = replay::save_recording_start(machine, path, &options);
                let file = file.map_err(|error| save_failure(&error))?;
                Some(Recorder::attach(machine, Box::new(file), HASH_SPACING))
            }
            None => None,
        };
        let (snapshot_at, snapshot) = (args.snapshot_at, args.snapshot.clone());
        Ok(Self { recorder, snapshot_at, snapshot, parent, check })
    }

    /// Saves a snapshot; the result is what to tell.
    fn snapshot(&self, machine: &mut Machine) -> Result<String, ReplayError> {
        let instructions = machine.instructions();
        let usual = || PathBuf::from(format!("cutaway-{instructions}.snap"));
        let path = self.snapshot.clone().unwrap_or_else(usual);
        let options = SnapshotOptions { compress: false, parent: self.parent.clone() };
        replay::save(machine, &path, &options)?;
        let place = path.display();
        Ok(format!("snapshot at instruction {instructions}: cutaway restore {place}"))
    }

    /// Ends the recording, and waits for the check of the file that the machine came from.
    fn finish(
        &mut self,
        machine: &mut Machine,
        message: Option<&str>,
        end: &cutaway::host::End,
    ) -> Result<(), Failure> {
        if let Some(recorder) = &mut self.recorder {
            let end = match end {
                cutaway::host::End::Stop(_) => {
                    replay::End::Stopped(message.unwrap_or("the guest ended the run").to_owned())
                }
                _ => replay::End::Left,
            };
            recorder.finish(machine, end).map_err(|error| save_failure(&error))?;
        }
        self.check.take().map_or(Ok(()), Check::finish)
    }
}

impl Companion for Keeper {
    fn room(&self, machine: &Machine) -> u64 {
        let instructions = machine.instructions();
        let to_snapshot = self.snapshot_at.map_or(u64::MAX, |at| at.saturating_sub(instructions));
        let next = self.recorder.as_ref().map_or(u64::MAX, Recorder::next_stop);
        next.saturating_sub(machine.ticks()).min(to_snapshot)
    }

    fn between(&mut self, machine: &mut Machine) -> Result<(), CompanionError> {
        let failed = |error: ReplayError| CompanionError(Box::new(error));
        if let Some(recorder) = &mut self.recorder {
            recorder.between(machine).map_err(failed)?;
        }
        if self.snapshot_at.is_some_and(|at| machine.instructions() >= at) {
            self.snapshot_at = None;
            let line = self.snapshot(machine).map_err(failed)?;
            eprint!("{}", cutaway::host::for_terminal(&format!("cutaway: {line}\n")));
        }
        match self.check.as_mut().and_then(Check::damage) {
            Some(error) => Err(failed(error)),
            None => Ok(()),
        }
    }

    fn save(&mut self, machine: &mut Machine) -> String {
        match self.snapshot(machine) {
            Ok(line) => line,
            Err(error) => save_failure(&error).to_string(),
        }
    }
}

/// A failure to write a snapshot or recording.
pub(crate) fn save_failure(error: &ReplayError) -> Failure {
    Failure::of(HOST_FAILED, error, "choose a place that can be written and has room")
}

/// A failure to read one.
pub(crate) fn open_failure(error: &ReplayError, path: &Path) -> Failure {
    let remedy = match error {
        ReplayError::Host { .. } => "give a file that is there".to_owned(),
        ReplayError::Newer { .. } => "the newest program reads all older files".to_owned(),
        ReplayError::Foreign { .. } => {
            "cutaway run --record FILE makes a recording, --snapshot-at N a snapshot".to_owned()
        }
        ReplayError::NotARecording { .. } => format!("cutaway restore {} runs it", path.display()),
        _ => "copy it again, or use another one".to_owned(),
    };
    Failure::of(BAD_INPUT, error, &remedy)
}

pub(crate) fn output_failure(error: &OutputError) -> Failure {
    let code = match error {
        OutputError::Create { .. } => BAD_INPUT,
        OutputError::Write { .. } => HOST_FAILED,
    };
    Failure::of(code, error, "choose a place that can be written")
}

/// Plugs the outputs in; the result is what has to be flushed.
pub(crate) fn connect(
    args: &SessionArgs,
    machine: &mut Machine,
    recent: &RecentExceptions,
) -> Result<Vec<Output>, Failure> {
    let mut outputs = Vec::new();
    let mut open = |target: &Target| -> Result<Option<Output>, Failure> {
        let output = match target {
            Target::Stdio => Output::stdout(),
            Target::File(path) => Output::file(path).map_err(|error| output_failure(&error))?,
            Target::None => return Ok(None),
        };
        outputs.push(output.clone());
        Ok(Some(output))
    };
    if let Some(output) = open(&args.serial)? {
        machine.attach_serial(0, Box::new(output));
    }
    if let Some(output) = open(&args.debugcon)? {
        machine.attach_debug_console(Box::new(output));
    }
    let mut log = Log { classes: TraceClasses::empty(), output: None, recent: recent.clone() };
    if let Some(list) = &args.log_classes {
        log.classes = parse_classes(list).map_err(|name| {
            let what = format!("unknown log class '{name}'");
            Failure::new(BAD_INPUT, what, "-d help lists what there is")
        })?;
        let output = match &args.log_file {
            Some(path) => Output::file(path).map_err(|error| output_failure(&error))?,
            None => Output::stderr(),
        };
        outputs.push(output.clone());
        log.output = Some(output);
    }
    machine.set_trace(log.classes | TraceClasses::INT, Some(Box::new(log)));
    Ok(outputs)
}

/// Runs the session with the terminal in raw mode, if the guest has it.
fn converse(
    args: &SessionArgs,
    machine: &mut Machine,
    keeper: &mut Keeper,
    outputs: Vec<Output>,
) -> Result<(cutaway::host::End, Duration), Failure> {
    let host_failed = |error: std::io::Error, what: &str| {
        Failure::new(HOST_FAILED, format!("{what}: {error}"), "try again from another terminal")
    };
    let inbox = Inbox::new();
    watch_signals(&inbox).map_err(|error| host_failed(error, "cannot watch signals"))?;
    let mut terminal = None;
    if args.serial == Target::Stdio {
        terminal = RawTerminal::enter().map_err(|error| host_failed(error, "no raw terminal"))?;
        read_stdin(&inbox).map_err(|error| host_failed(error, "cannot read standard input"))?;
    } else {
        inbox.close();
    }
    let pacing = if args.fast { Pacing::Fast } else { Pacing::WallClock };
    let mut session = Session::new(machine, &inbox, keeper, outputs, pacing);
    session.max_instructions = args.max_instructions;
    let end = session.run();
    let running = session.running();
    if terminal.is_some() {
        drop(terminal);
        // The guest may have left the cursor in the middle of a line.
        eprintln!();
    }
    end.map(|end| (end, running)).map_err(|error| match error {
        SessionError::Output(error) => output_failure(&error),
        SessionError::Companion(error) => companion_failure(&error),
    })
}

/// A failure of the keeper: of writing, or of the file that the machine came from.
fn companion_failure(error: &CompanionError) -> Failure {
    match error.0.downcast_ref::<ReplayError>() {
        Some(ReplayError::Damaged { .. }) => {
            Failure::of(BAD_INPUT, error, "copy it again, or use another one")
        }
        _ => Failure::of(HOST_FAILED, error, "what was written before is whole"),
    }
}
