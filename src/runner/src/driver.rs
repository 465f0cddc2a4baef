//! A machine driven so that it does the same each time: slices of a fixed number of ticks, and
//! what enters does so between two of them.
//!
//! Time is the guest's. A limit in instructions, and a fault, is met to the instruction.

use crate::case::{Console, PlannedFault, StopKind};
use cutaway_cpu::Seg;
use cutaway_machine::{CharSink, Fault, Input, Machine, StateHash, Stop, Stops};
use cutaway_replay::{End, Recorder, ReplayError};
use std::cell::{Ref, RefCell};
use std::rc::Rc;

/// Ticks between two looks at the output.
const SLICE_TICKS: u64 = 1_000_000;
/// Output of one console that is kept; no test means to print more.
pub(crate) const MAX_OUTPUT: usize = 16 << 20;

/// Why a run cannot go on.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The test is at fault, or the guest.
    Test(String),
    /// A fault that cannot happen; its line, and why.
    Fault(usize, String),
    /// The host is.
    Host(ReplayError),
}

impl From<ReplayError> for Trouble {
    fn from(error: ReplayError) -> Self {
        Self::Host(error)
    }
}

/// What a console has printed.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl Output {
    /// Where `text` ends, looked for from `start` on.
    pub(crate) fn find(&self, text: &str, start: usize) -> Option<usize> {
        let text = text.as_bytes();
        let found = self.bytes.get(start..)?.windows(text.len()).position(|window| window == text);
        found.map(|at| start + at + text.len())
    }

    pub(crate) fn contains(&self, text: &str) -> bool {
        text.is_empty() || self.find(text, 0).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Where the output is not this text.
    pub(crate) fn difference(&self, text: &str) -> Option<String> {
        let expected = text.as_bytes();
        if self.bytes == expected {
            return None;
        }
        let same = self.bytes.iter().zip(expected).take_while(|(a, b)| a == b).count();
        let part = |bytes: &[u8]| {
            let bytes = &bytes[same.min(bytes.len())..(same + 32).min(bytes.len())];
            if bytes.is_empty() {
                "the end".to_owned()
            } else {
                format!("{:?}", String::from_utf8_lossy(bytes))
            }
        };
        Some(format!("at byte {same} there is {}, not {}", part(&self.bytes), part(expected)))
    }
}

/// The end that the machine holds.
struct Sink(Rc<RefCell<Output>>);

impl CharSink for Sink {
    fn put(&mut self, byte: u8) {
        let mut output = self.0.borrow_mut();
        if output.bytes.len() < MAX_OUTPUT {
            output.bytes.push(byte);
        } else {
            output.is_too_long = true;
        }
    }
}

/// A machine that runs a test.
pub(crate) struct Driver<'a> {
    machine: Machine,
    serial: Rc<RefCell<Output>>,
    debug: Rc<RefCell<Output>>,
    /// Faults still to come.
    faults: &'a [PlannedFault],
    /// Addresses that have not been executed, sorted.
    uncovered: Vec<u64>,
    recorder: Option<Recorder>,
    stop: Option<Stop>,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(
        mut machine: Machine,
        faults: &'a [PlannedFault],
        coverage: Vec<u64>,
    ) -> Self {
        let (serial, debug) = (Rc::default(), Rc::default());
        machine.attach_serial(0, Box::new(Sink(Rc::clone(&serial))));
        machine.attach_debug_console(Box::new(Sink(Rc::clone(&debug))));
        let mut this = Self {
            machine,
            serial,
            debug,
            faults,
            uncovered: coverage,
            recorder: None,
            stop: None,
        };
        this.set_breakpoints();
        this
    }

    /// Records the run from now on.
    pub(crate) fn record(&mut self, recorder: impl FnOnce(&mut Machine) -> Recorder) {
        self.recorder = Some(recorder(&mut self.machine));
    }

    /// Ends the recording, if there is one.
    pub(crate) fn finish_recording(&mut self) -> Result<(), ReplayError> {
        let Some(mut recorder) = self.recorder.take() else { return Ok(()) };
        let end = match &self.stop {
            Some(stop) => End::Stopped(show_stop(stop)),
            None => End::Left,
        };
        recorder.finish(&mut self.machine, end)
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(crate) fn instructions(&self) -> u64 {
        self.machine.instructions()
    }

    pub(crate) fn state_hash(&mut self) -> Result<StateHash, ReplayError> {
        Ok(self.machine.state_hash()?)
    }

    pub(crate) fn output(&self, console: Console) -> Ref<'_, Output> {
        match console {
            Console::Serial => self.serial.borrow(),
            Console::Debug => self.debug.borrow(),
        }
    }

    /// Why the machine stopped for good, if it has.
    pub(crate) fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    pub(crate) fn has_executed(&self, address: u64) -> bool {
        self.uncovered.binary_search(&address).is_err()
    }

    pub(crate) fn faults_to_come(&self) -> &[PlannedFault] {
        self.faults
    }

    /// Whether only an input can wake the guest.
    pub(crate) fn is_idle(&self) -> bool {
        self.machine.is_halted() && self.machine.next_deadline().is_none()
    }

    pub(crate) fn input(&mut self, input: &Input) {
        self.machine.input(input);
    }

    /// Brings out what the serial port still holds. For the end of a run: it changes the state.
    pub(crate) fn flush(&mut self) {
        self.machine.flush_output();
    }

    /// Runs for a slice, but at most to a tick and to a count of instructions. Does nothing once
    /// the machine has stopped.
    pub(crate) fn slice(&mut self, tick: u64, count: u64) -> Result<(), Trouble> {
        let border = self.machine.ticks().saturating_add(SLICE_TICKS).min(tick);
        self.let_faults_happen()?;
        while self.stop.is_none() && self.machine.ticks() < border && self.instructions() < count {
            let next_fault = self.faults.first().map_or(u64::MAX, |fault| fault.at);
            self.go(border, count.min(next_fault))?;
            self.let_faults_happen()?;
        }
        for console in [Console::Serial, Console::Debug] {
            if self.output(console).is_too_long {
                let message =
                    format!("the guest printed more than {MAX_OUTPUT} bytes on {console}");
                return Err(Trouble::Test(message));
            }
        }
        Ok(())
    }

    /// Lets the machine run once, to a tick or a count of instructions.
    fn go(&mut self, border: u64, count: u64) -> Result<(), Trouble> {
        let now = self.machine.ticks();
        let left = count.saturating_sub(self.instructions());
        let border = self.recorder.as_ref().map_or(border, |of| of.next_stop().min(border));
        let by_count = now.saturating_add(left);
        if by_count >= border {
            return self.run_to(border);
        }
        if !self.machine.is_halted() {
            return self.run_to(by_count);
        }
        // Asleep, ticks pass and no instruction is executed: what can wake the guest in the next
        // tick is tried out, and without that it sleeps up to the deadline of a chip.
        let deadline = self.machine.next_deadline().unwrap_or(u64::MAX);
        let before = self.instructions();
        self.run_to(now + 1)?;
        let sleeps = self.stop.is_none() && self.instructions() == before;
        if sleeps && deadline > now + 1 { self.run_to(deadline.min(border)) } else { Ok(()) }
    }

    fn run_to(&mut self, limit: u64) -> Result<(), Trouble> {
        match self.machine.run_until(limit) {
            Stop::Limit => {}
            Stop::Breakpoint => self.cover(),
            stop => self.stop = Some(stop),
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.between(&mut self.machine)?;
        }
        Ok(())
    }

    fn let_faults_happen(&mut self) -> Result<(), Trouble> {
        while let [fault, rest @ ..] = self.faults
            && self.stop.is_none()
            && fault.at <= self.instructions()
        {
            if fault.at < self.instructions() {
                let message = format!(
                    "the run begins at instruction {}, behind the fault at {}",
                    self.instructions(),
                    fault.at
                );
                return Err(Trouble::Fault(fault.line, message));
            }
            if let Fault::FlipBit { address, .. } = fault.fault
                && !self.machine.memory().is_ram(address, 1)
            {
                let message =
                    format!("there is no RAM at physical address {address:#x} to flip a bit in");
                return Err(Trouble::Fault(fault.line, message));
            }
            self.machine.input(&Input::Fault(fault.fault.clone()));
            self.faults = rest;
        }
        Ok(())
    }

    /// The next instruction is at a breakpoint: it counts as executed.
    fn cover(&mut self) {
        let state = self.machine.vcpu().save();
        let linear = state.system.segments[Seg::Cs as usize].base.wrapping_add(state.rip);
        // Outside of 64-bit mode linear addresses have 32 bits.
        for address in [linear, linear & 0xffff_ffff] {
            if let Ok(at) = self.uncovered.binary_search(&address) {
                self.uncovered.remove(at);
            }
        }
        self.set_breakpoints();
        self.machine.pass_stops();
    }

    fn set_breakpoints(&mut self) {
        if !self.uncovered.is_empty() || self.machine.ticks() > 0 {
            self.machine
                .set_stops(&Stops { breakpoints: self.uncovered.clone(), ..Stops::default() });
        }
    }
}

/// The reason of a stop as checks name it, if they do.
pub(crate) fn kind_of(stop: &Stop) -> Option<StopKind> {
    match stop {
        Stop::PowerOff => Some(StopKind::PowerOff),
        Stop::DebugExit(code) => Some(StopKind::DebugExit(*code)),
        Stop::Halted => Some(StopKind::Halted),
        Stop::Reset => Some(StopKind::Reset),
        Stop::Shutdown => Some(StopKind::Shutdown),
        Stop::Idle => Some(StopKind::Idle),
        _ => None,
    }
}

/// A stop in a few words.
pub(crate) fn show_stop(stop: &Stop) -> String {
    match (kind_of(stop), stop) {
        (Some(kind), _) => kind.to_string(),
        (None, Stop::Unimplemented(missing)) => format!(
            "not implemented: {} at {:04x}:{:x}, bytes {}",
            missing.what,
            missing.cs,
            missing.rip,
            crate::quantity::show_bytes(&missing.bytes)
        ),
        (None, stop) => format!("{stop:?}"),
    }
}
