//! Running: forwards in slices, back in one go, and what gdb is told of the stop.
//!
//! An instruction is stepped while the CPU is halted by letting time pass until something wakes
//! it, in slices too, so that gdb can interrupt a wait for something that never comes.

use super::session::Session;
use crate::explorer::port_text;
use crate::names::vector_text;
use cutaway_isa::Vector;
use cutaway_machine::{Stop, Stops, Touch};
use cutaway_replay::{Reached, ReplayError, in_full};
use gdbstub::common::Signal;
use gdbstub::stub::SingleThreadStopReason;
use gdbstub::target::ext::base::reverse_exec::ReplayLogPosition;
use gdbstub::target::ext::breakpoints::WatchKind;

/// Ticks between two looks at the connection: some milliseconds.
const SLICE: u64 = 2_000_000;

/// What gdb waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    None,
    /// `passes`: what would stop right here does not, for the first slice.
    Continue {
        passes: bool,
    },
    /// Until so many instructions have retired.
    Step {
        until: u64,
    },
    StepBack,
    ContinueBack,
}

/// A stop: what gdb is told by the protocol, and what the person reads.
pub(crate) struct Outcome {
    pub(crate) reason: SingleThreadStopReason<u64>,
    pub(crate) message: String,
}

impl Outcome {
    fn of(reason: SingleThreadStopReason<u64>) -> Self {
        Self { reason, message: String::new() }
    }

    pub(crate) fn signal(signal: Signal, message: impl Into<String>) -> Self {
        Self { reason: SingleThreadStopReason::Signal(signal), message: message.into() }
    }
}

impl Session<'_> {
    /// Does a slice of what gdb asked for; what came of it, if it is done.
    pub(crate) fn slice(&mut self) -> Option<Outcome> {
        self.apply_stops();
        let done = match self.order {
            Order::None => Ok(Some(Outcome::of(SingleThreadStopReason::DoneStep))),
            Order::Continue { passes } => self.go_on(passes),
            Order::Step { until } => self.step_on(until),
            Order::StepBack => self.step_back(),
            Order::ContinueBack => self.continue_back(),
        };
        let done = done.unwrap_or_else(|error| {
            let message = format!("the run cannot go on: {}\n", in_full(&error));
            Some(Outcome::signal(Signal::SIGABRT, message))
        });
        self.furthest = self.furthest.max(self.time_machine.count());
        if done.is_some() {
            self.order = Order::None;
        }
        done
    }

    fn apply_stops(&mut self) {
        let stops = self.stops();
        if stops != self.applied {
            self.time_machine.set_stops(&stops);
            self.applied = stops;
        }
    }

    /// Leaves the machine without our stops.
    pub(crate) fn clear_stops(&mut self) {
        self.time_machine.set_stops(&Stops::default());
        self.applied = Stops::default();
    }

    fn go_on(&mut self, passes: bool) -> Result<Option<Outcome>, ReplayError> {
        if let Some(again) = self.ended_here() {
            return Ok(Some(again));
        }
        let reached = if passes {
            self.order = Order::Continue { passes: false };
            self.time_machine.resume(SLICE)?
        } else {
            let until = self.time_machine.machine().ticks().saturating_add(SLICE);
            self.time_machine.run_until(until)?
        };
        Ok(self.outcome(reached))
    }

    fn step_on(&mut self, until: u64) -> Result<Option<Outcome>, ReplayError> {
        if let Some(again) = self.ended_here() {
            return Ok(Some(again));
        }
        while self.time_machine.count() < until {
            match self.time_machine.step_within(SLICE)? {
                Some(Reached::Goal) => {}
                Some(reached) => return Ok(Some(self.stopped(reached))),
                None => return Ok(None),
            }
        }
        Ok(Some(Outcome::of(SingleThreadStopReason::DoneStep)))
    }

    fn step_back(&mut self) -> Result<Option<Outcome>, ReplayError> {
        let reached = self.time_machine.step_back()?;
        Ok(Some(match reached {
            Reached::Goal => Outcome::of(SingleThreadStopReason::DoneStep),
            other => self.stopped(other),
        }))
    }

    fn continue_back(&mut self) -> Result<Option<Outcome>, ReplayError> {
        let reached = self.time_machine.continue_back()?;
        Ok(Some(self.stopped(reached)))
    }

    /// Where the machine has stopped for good, it stays: there is only the way back.
    fn ended_here(&self) -> Option<Outcome> {
        let (at, message, signal) = self.ended.as_ref()?;
        (*at == self.time_machine.machine().ticks())
            .then(|| Outcome::signal(*signal, message.clone()))
    }

    /// What came of a run, if it is not just the end of the slice.
    fn outcome(&mut self, reached: Reached) -> Option<Outcome> {
        match reached {
            Reached::Goal | Reached::Stop(Stop::Limit | Stop::Idle) => None,
            other => Some(self.stopped(other)),
        }
    }

    fn stopped(&mut self, reached: Reached) -> Outcome {
        let log = |pos| Outcome::of(SingleThreadStopReason::ReplayLog { tid: Some(()), pos });
        match reached {
            Reached::Goal => Outcome::of(SingleThreadStopReason::DoneStep),
            Reached::Start => log(ReplayLogPosition::Begin),
            Reached::End => log(ReplayLogPosition::End),
            Reached::Stop(stop) => self.stop(stop),
        }
    }

    fn stop(&mut self, stop: Stop) -> Outcome {
        match stop {
            Stop::Breakpoint => self.at_breakpoint(),
            Stop::Watchpoint(touch) => self.at_watchpoint(touch),
            Stop::Port(access) => Outcome::signal(Signal::SIGTRAP, port_text(&access) + "\n"),
            Stop::Exception(vector) => {
                let message =
                    format!("exception {} is about to be delivered\n", vector_text(vector));
                Outcome::signal(signal_of(vector), message)
            }
            Stop::Limit | Stop::Idle => Outcome::of(SingleThreadStopReason::DoneStep),
            Stop::PowerOff => self.end(Signal::SIGTERM, "the guest has switched the machine off"),
            Stop::Halted => {
                self.end(Signal::SIGTERM, "the guest waits in HLT with interrupts off, for ever")
            }
            Stop::Reset => self.end(Signal::SIGTERM, "the guest has asked for a reset"),
            Stop::DebugExit(code) => {
                self.end(Signal::SIGTERM, &format!("the guest has ended the run, with code {code}"))
            }
            Stop::Shutdown => self.end(Signal::SIGABRT, "triple fault"),
            Stop::Unimplemented(what) => {
                let (name, cs, rip) = (&what.what, what.cs, what.rip);
                let text = format!("not implemented: {name} at {cs:04x}:{rip:x}");
                self.end(Signal::SIGILL, &text)
            }
        }
    }

    /// The machine does not go on from here.
    fn end(&mut self, signal: Signal, what: &str) -> Outcome {
        let message = format!("{what}; only the way back is left\n");
        self.ended = Some((self.time_machine.machine().ticks(), message.clone(), signal));
        Outcome::signal(signal, message)
    }

    fn at_breakpoint(&self) -> Outcome {
        let pc = crate::mode::pc(&self.time_machine.machine().vcpu().save());
        Outcome::of(if self.software.contains(&pc) || !self.hardware.contains(&pc) {
            SingleThreadStopReason::SwBreak(())
        } else {
            SingleThreadStopReason::HwBreak(())
        })
    }

    fn at_watchpoint(&self, touch: Touch) -> Outcome {
        let end = touch.address.saturating_add(touch.size);
        let hit = self.watches.iter().find(|(watch, _)| {
            let kind = if touch.write { watch.writes } else { watch.reads };
            kind && watch.start < end && touch.address < watch.start.saturating_add(watch.len)
        });
        let usual = if touch.write { WatchKind::Write } else { WatchKind::Read };
        // gdb looks for the address in its own ranges.
        let (kind, addr) = hit.map_or((usual, touch.address), |(watch, kind)| {
            (*kind, touch.address.max(watch.start))
        });
        Outcome::of(SingleThreadStopReason::Watch { tid: (), kind, addr })
    }
}

/// The signal that a program of a Unix system gets for an exception.
fn signal_of(vector: Vector) -> Signal {
    match vector {
        Vector::DE | Vector::OF | Vector::MF | Vector::XM => Signal::SIGFPE,
        Vector::UD | Vector::NM => Signal::SIGILL,
        Vector::AC => Signal::SIGBUS,
        Vector::DB | Vector::BP | Vector::NMI => Signal::SIGTRAP,
        _ => Signal::SIGSEGV,
    }
}
