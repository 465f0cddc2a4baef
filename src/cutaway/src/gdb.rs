//! A machine that gdb drives: live with the terminal as its console, or a recording.

use std::cell::Cell;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cutaway::debugger::gdb::{Ended, GdbError, Listener, Moment, Options, serve};
use cutaway::host::{
    Command, HELP, Inbox, Notice, Output, Pacer, RawTerminal, Target, for_terminal, read_stdin,
    watch_signals,
};
use cutaway::replay::{DEFAULT_BUDGET, TimeMachine};
use cutaway::{CharSink, Input, Machine};

use crate::args::SessionArgs;
use crate::exit::{BAD_INPUT, DONE, HOST_FAILED};
use crate::failure::Failure;
use crate::replay::replay_failure;
use crate::session::output_failure;

/// Bytes of input that the machine holds at most.
const BACKLOG_BYTES: usize = 64;
/// The longest pause at a time, so that gdb is heard.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A plug that is silent while the past is repeated.
struct FirstTime {
    output: Output,
    past: Rc<Cell<bool>>,
}

impl CharSink for FirstTime {
    fn put(&mut self, byte: u8) {
        if !self.past.get() {
            self.output.write(&[byte]);
        }
    }
}

/// Lets gdb have a live machine.
pub(crate) fn live(args: &SessionArgs, address: &str, machine: Machine) -> Result<u8, Failure> {
    let mut run = TimeMachine::live(machine, DEFAULT_BUDGET).map_err(|e| replay_failure(&e))?;
    let mut outputs = Vec::new();
    let past = run.past();
    let mut plug = |target: &Target| -> Result<Option<Box<FirstTime>>, Failure> {
        let output = match target {
            Target::None => return Ok(None),
            Target::Stdio => Output::stdout(),
            Target::File(path) => Output::file(path).map_err(|error| output_failure(&error))?,
        };
        outputs.push(output.clone());
        Ok(Some(Box::new(FirstTime { output, past: past.clone() })))
    };
    if let Some(sink) = plug(&args.serial)? {
        run.machine_mut().attach_serial(0, sink);
    }
    if let Some(sink) = plug(&args.debugcon)? {
        run.machine_mut().attach_debug_console(sink);
    }
    let mut console = Console::new(args, outputs)?;
    hold(address, &mut run, true, &mut console)
}

/// Lets gdb have a recording, where it is.
pub(crate) fn recording(address: &str, run: &mut TimeMachine) -> Result<u8, Failure> {
    let mut console = Console::silent()?;
    hold(address, run, false, &mut console)
}

fn hold(
    address: &str,
    run: &mut TimeMachine,
    live: bool,
    console: &mut Console,
) -> Result<u8, Failure> {
    let listener = Listener::bind(address).map_err(|error| gdb_failure(&error))?;
    tell(&format!("waiting for gdb: {}", how_to_connect(listener.address())));
    let client = listener.accept(&mut || console.obey()).map_err(|error| gdb_failure(&error))?;
    let Some(mut client) = client else { return Ok(console.code) };
    let mut between = |run: &mut TimeMachine, moment: Moment| console.between(run, moment);
    let options = Options { live, between: Some(&mut between), ..Options::default() };
    let ended = serve(run, &mut client, options).map_err(|error| gdb_failure(&error))?;
    match ended {
        Ended::Detached => tell("gdb has detached"),
        Ended::Disconnected => tell("gdb has gone"),
        Ended::Killed | Ended::BrokenOff => {}
    }
    Ok(console.code)
}

fn how_to_connect(address: SocketAddr) -> String {
    format!("gdb -ex 'target remote {address}'")
}

/// A line on standard error, which may be the terminal in raw mode.
fn tell(line: &str) {
    eprint!("{}", for_terminal(&format!("cutaway: {line}\n")));
}

fn gdb_failure(error: &GdbError) -> Failure {
    let code = match error {
        GdbError::Address { .. } | GdbError::Listen { .. } => BAD_INPUT,
        _ => HOST_FAILED,
    };
    Failure::of(code, error, "give --gdb a free port of this computer, such as :1234")
}

/// The terminal beside gdb.
struct Console {
    inbox: Inbox,
    outputs: Vec<Output>,
    /// Restores the terminal when it goes.
    _terminal: Option<RawTerminal>,
    pacer: Option<Pacer>,
    begun: Instant,
    code: u8,
}

impl Console {
    fn new(args: &SessionArgs, outputs: Vec<Output>) -> Result<Self, Failure> {
        let mut console = Self::silent()?;
        let host_failed = |error: std::io::Error| {
            Failure::of(HOST_FAILED, &error, "try again from another terminal")
        };
        if args.serial == Target::Stdio {
            console._terminal = RawTerminal::enter().map_err(host_failed)?;
            read_stdin(&console.inbox).map_err(host_failed)?;
        }
        console.outputs = outputs;
        console.pacer = (!args.fast).then(|| Pacer::new(Duration::ZERO, Duration::ZERO));
        Ok(console)
    }

    fn silent() -> Result<Self, Failure> {
        let inbox = Inbox::new();
        let failed = |error| Failure::of(HOST_FAILED, &error, "try again from another terminal");
        watch_signals(&inbox).map_err(|error: std::io::Error| failed(error))?;
        let (begun, code) = (Instant::now(), DONE);
        Ok(Self { inbox, outputs: Vec::new(), _terminal: None, pacer: None, begun, code })
    }

    /// Obeys keys and signals; `Break` ends it all.
    fn obey(&mut self) -> ControlFlow<()> {
        while let Some(notice) = self.inbox.take_notice() {
            match notice {
                Notice::Command(Command::Help) => eprint!("{}", for_terminal(HELP)),
                Notice::Command(Command::Save) => tell("under gdb there are no snapshots"),
                Notice::Command(Command::Leave) => return ControlFlow::Break(()),
                Notice::Signal(signal) => {
                    self.code = u8::try_from(128 + signal).unwrap_or(255);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn between(&mut self, run: &mut TimeMachine, moment: Moment) -> ControlFlow<()> {
        if self.outputs.iter().any(|output| output.flush().is_err()) {
            self.code = HOST_FAILED;
            return ControlFlow::Break(());
        }
        self.obey()?;
        if moment == Moment::Waiting {
            return ControlFlow::Continue(());
        }
        // What is typed while the past is repeated waits for the present.
        if !run.past().get() {
            let room = BACKLOG_BYTES.saturating_sub(run.machine().serial_waiting(0));
            let bytes = self.inbox.take_bytes(room);
            if !bytes.is_empty() {
                run.input(&Input::Serial { port: 0, bytes });
            }
        }
        if let Some(pacer) = &mut self.pacer {
            let guest = Duration::from_nanos(run.machine().guest_ns());
            let lead = pacer.pause(guest, self.begun.elapsed());
            if !lead.is_zero() {
                self.inbox.wait(lead.min(LONGEST_PAUSE));
            }
        }
        ControlFlow::Continue(())
    }
}
