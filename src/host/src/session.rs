//! The run loop: lets the machine run in slices, and in between hands it input, writes its
//! output, obeys command keys and signals, and holds it back to the wall clock.
//!
//! Where a slice ends cannot be seen by the guest; where input enters is its tick, which the
//! machine notes.

use std::time::{Duration, Instant};

use cutaway_machine::{Machine, Stop};

use crate::companion::{Companion, CompanionError};
use crate::escape::{Command, HELP};
use crate::inbox::{Inbox, Notice};
use crate::output::{Output, OutputError};
use crate::pacing::{Pacer, SliceLength};
use crate::terminal::for_terminal;

/// The serial port that standard input feeds: COM1.
const CONSOLE: usize = 0;
/// Bytes of input that the machine holds at most; more wait in the [`Inbox`].
const BACKLOG_BYTES: usize = 64;
/// A pause below this is not worth a system call; it adds up until it is.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// How far guest time may be ahead when input cuts pauses short.
const LEAD_LIMIT: Duration = Duration::from_millis(50);
/// How long an unpaced guest that only input can wake is left alone.
const IDLE_PAUSE: Duration = Duration::from_millis(100);

/// Whether guest time follows the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// Guest time does not run ahead of the wall clock.
    WallClock,
    /// The guest runs as fast as it can, and skips what time it would wait.
    Fast,
}

/// Why a session ended.
#[derive(Debug)]
pub enum End {
    /// The machine stopped.
    Stop(Stop),
    /// The instructions that were allowed are retired.
    InstructionLimit,
    /// Ctrl-A X.
    Left,
    /// The host asked the program to end, with this signal.
    Signal(i32),
}

/// Why a session cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Output could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The companion failed.
    #[error(transparent)]
    Companion(#[from] CompanionError),
}

/// A machine with its outside.
pub struct Session<'a> {
    machine: &'a mut Machine,
    inbox: &'a Inbox,
    companion: &'a mut dyn Companion,
    outputs: Vec<Output>,
    /// Where the help on Ctrl-A H goes.
    screen: Output,
    pacing: Pacing,
    running: Duration,
    /// Ends the session at exactly this count of instructions.
    pub max_instructions: Option<u64>,
}

impl<'a> Session<'a> {
    /// Brings together what runs, where input comes from, and what is flushed after each slice.
    pub fn new(
        machine: &'a mut Machine,
        inbox: &'a Inbox,
        companion: &'a mut dyn Companion,
        outputs: Vec<Output>,
        pacing: Pacing,
    ) -> Self {
        let screen = Output::stdout();
        let running = Duration::ZERO;
        let max_instructions = None;
        Self { machine, inbox, companion, outputs, screen, pacing, running, max_instructions }
    }

    /// Host time spent inside the machine so far, without pauses.
    #[must_use]
    pub const fn running(&self) -> Duration {
        self.running
    }

    /// Runs the machine until it or the person ends it. All output is written on return.
    pub fn run(&mut self) -> Result<End, SessionError> {
        let start = Instant::now();
        let mut pacer = Pacer::new(self.guest_time(), Duration::ZERO);
        let mut slice = SliceLength::new(self.machine.config().ips);
        loop {
            if let Some(end) = self.obey_notices() {
                self.flush()?;
                return Ok(end);
            }
            self.feed_input();
            let room = self.companion.room(self.machine);
            let begun = Instant::now();
            let end = self.run_slice(slice.ticks().min(room));
            let took = begun.elapsed();
            self.running += took;
            slice.took(took);
            self.flush()?;
            self.companion.between(self.machine)?;
            if let Some(end) = end {
                return Ok(end);
            }
            match self.pacing {
                Pacing::WallClock => self.pause(&mut pacer, start),
                Pacing::Fast if self.waits_for_input() => self.inbox.wait(IDLE_PAUSE),
                Pacing::Fast => {}
            }
        }
    }

    fn feed_input(&mut self) {
        let room = BACKLOG_BYTES.saturating_sub(self.machine.serial_waiting(CONSOLE));
        let bytes = self.inbox.take_bytes(room);
        if !bytes.is_empty() {
            self.machine.serial_input(CONSOLE, &bytes);
        }
    }

    fn run_slice(&mut self, ticks: u64) -> Option<End> {
        let mut allowed = ticks;
        if let Some(most) = self.max_instructions {
            let left = most.saturating_sub(self.machine.instructions());
            if left == 0 {
                return Some(End::InstructionLimit);
            }
            allowed = allowed.min(left);
        }
        match self.machine.run_until(self.machine.ticks().saturating_add(allowed)) {
            Stop::Limit if self.waits_for_input() && self.inbox.is_closed() => {
                Some(End::Stop(Stop::Idle))
            }
            Stop::Limit => None,
            Stop::Idle if !self.inbox.is_closed() => None,
            stop => Some(End::Stop(stop)),
        }
    }

    /// Halted with nothing to wake the guest but what comes from outside.
    fn waits_for_input(&self) -> bool {
        let machine = &self.machine;
        machine.is_halted()
            && machine.next_deadline().is_none()
            && machine.serial_waiting(CONSOLE) == 0
    }

    fn guest_time(&self) -> Duration {
        Duration::from_nanos(self.machine.guest_ns())
    }

    fn pause(&self, pacer: &mut Pacer, start: Instant) {
        let guest = self.guest_time();
        let lead = pacer.pause(guest, start.elapsed());
        if lead < SHORTEST_PAUSE {
            return;
        }
        self.inbox.wait(lead);
        // Input that keeps coming must not let the guest run away from the clock.
        loop {
            let lead = pacer.pause(guest, start.elapsed());
            if lead <= LEAD_LIMIT {
                return;
            }
            self.inbox.wait(lead - LEAD_LIMIT);
        }
    }

    fn obey_notices(&mut self) -> Option<End> {
        while let Some(notice) = self.inbox.take_notice() {
            match notice {
                Notice::Command(Command::Help) => self.screen.write(for_terminal(HELP).as_bytes()),
                Notice::Command(Command::Save) => {
                    let line = self.companion.save(self.machine);
                    self.screen.write(for_terminal(&format!("\n{line}\n")).as_bytes());
                }
                Notice::Command(Command::Leave) => return Some(End::Left),
                Notice::Signal(signal) => return Some(End::Signal(signal)),
            }
        }
        None
    }

    fn flush(&self) -> Result<(), OutputError> {
        self.screen.flush()?;
        self.outputs.iter().try_for_each(Output::flush)
    }
}
