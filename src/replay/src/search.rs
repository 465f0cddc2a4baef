//! Questions about the past of a run.
//!
//! Each is answered from checkpoint to checkpoint backwards: from one the run is repeated up to
//! where the search has come to, and the last answer in that stretch is the one.

use crate::time_machine::Goal;
use crate::{Reached, ReplayError, TimeMachine};
use cutaway_cpu::{CpuState, Event, Seg, TraceClasses, Vcpu};
use cutaway_machine::{EventSink, Stop, Stops, Touch, Watch};
use std::cell::Cell;
use std::rc::Rc;

/// Instructions that are stepped through at a time, looking for a change.
const FIRST_WINDOW: u64 = 4_096;
const LAST_WINDOW: u64 = 4_194_304;

/// A register by which one can ask for the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the manual's")]
pub enum Register {
    /// RAX to R15, as numbered in encodings.
    Gpr(usize),
    Rflags,
    Segment(Seg),
    Cr0,
    Cr2,
    Cr3,
    Cr4,
    Efer,
}

impl Register {
    /// A register by its name, in any case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        const GPRS: [&str; 8] = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];
        let known = [
            ("rflags", Self::Rflags),
            ("eflags", Self::Rflags),
            ("es", Self::Segment(Seg::Es)),
            ("cs", Self::Segment(Seg::Cs)),
            ("ss", Self::Segment(Seg::Ss)),
            ("ds", Self::Segment(Seg::Ds)),
            ("fs", Self::Segment(Seg::Fs)),
            ("gs", Self::Segment(Seg::Gs)),
            ("cr0", Self::Cr0),
            ("cr2", Self::Cr2),
            ("cr3", Self::Cr3),
            ("cr4", Self::Cr4),
            ("efer", Self::Efer),
        ];
        if let Some((_, register)) = known.iter().find(|(known, _)| *known == name) {
            return Some(*register);
        }
        let wide = name.strip_prefix('e').map(|rest| format!("r{rest}")).unwrap_or(name);
        if let Some(number) = GPRS.iter().position(|gpr| *gpr == wide) {
            return Some(Self::Gpr(number));
        }
        let number: usize = wide.strip_prefix('r')?.parse().ok()?;
        (8..16).contains(&number).then_some(Self::Gpr(number))
    }

    /// Its value in a running vCPU.
    #[must_use]
    pub fn read(self, vcpu: &Vcpu) -> u64 {
        match self {
            Self::Gpr(number) => vcpu.gpr(number),
            Self::Segment(seg) => u64::from(vcpu.system().segments[seg as usize].selector),
            _ => self.of(&vcpu.save()),
        }
    }

    /// Its value.
    #[must_use]
    pub fn of(self, state: &CpuState) -> u64 {
        let system = &state.system;
        match self {
            Self::Gpr(number) => state.gpr[number],
            Self::Rflags => state.rflags,
            Self::Segment(seg) => u64::from(system.segments[seg as usize].selector),
            Self::Cr0 => system.cr0,
            Self::Cr2 => system.cr2,
            Self::Cr3 => system.cr3,
            Self::Cr4 => system.cr4,
            Self::Efer => system.efer,
        }
    }
}

/// A stop of a search: what, where, and how to get there.
struct Hit {
    stop: Stop,
    /// Instructions retired at the stop.
    count: u64,
    /// Whether the stop is behind its instruction.
    behind: bool,
}

impl TimeMachine {
    /// Goes back to the last stop before this instant: breakpoints and exceptions before their
    /// instruction, watchpoints and ports before the instruction that touched them, so that it
    /// is the next one.
    pub fn continue_back(&mut self) -> Result<Reached, ReplayError> {
        let mut until = self.machine().ticks();
        let here = self.count();
        // The instant that the last run went on from is past again and stops like any other.
        self.machine_mut().pass_stops();
        while let Some(from) = self.checkpoints.tick_before(until) {
            self.restore_tick(from)?;
            if let Some(hit) = self.last_hit(until, here)? {
                let count = if hit.behind { hit.count.saturating_sub(1) } else { hit.count };
                self.goto(count)?;
                return Ok(Reached::Stop(hit.stop));
            }
            until = from;
        }
        // Nothing on the way: the first instant there is, where no entry has happened yet.
        self.restore_tick(0)?;
        Ok(Reached::Start)
    }

    /// The last stop between here and a tick that lies before the instant `here`.
    fn last_hit(&mut self, until: u64, here: u64) -> Result<Option<Hit>, ReplayError> {
        let mut last = None;
        // The first instruction counts, too.
        loop {
            match self.run(Goal::Tick(until))? {
                Reached::Stop(stop) => {
                    let behind = matches!(stop, Stop::Watchpoint(_) | Stop::Port(_));
                    let is_stop = behind || matches!(stop, Stop::Breakpoint | Stop::Exception(_));
                    if !is_stop {
                        return Ok(last);
                    }
                    let count = self.count();
                    if count - u64::from(behind && count > 0) < here {
                        last = Some(Hit { stop, count, behind });
                    }
                    self.machine_mut().pass_stops();
                }
                _ => return Ok(last),
            }
        }
    }

    /// Goes back to before the last instruction that wrote any of these bytes, and says what it
    /// did; without one the machine stays where it is.
    pub fn last_write(
        &mut self,
        start: u64,
        len: u64,
        physical: bool,
    ) -> Result<Option<Touch>, ReplayError> {
        let watch = Watch { start, len, physical, reads: false, writes: true };
        let stops = Stops { watches: vec![watch], ..Stops::default() };
        match self.back_to(&stops)? {
            Some(Stop::Watchpoint(touch)) => Ok(Some(touch)),
            _ => Ok(None),
        }
    }

    /// Goes back to the last of these stops; without one the machine stays where it is.
    pub fn back_to(&mut self, stops: &Stops) -> Result<Option<Stop>, ReplayError> {
        let (before, here) = (self.stops.clone(), self.count());
        self.set_stops(stops);
        let result = self.continue_back();
        self.set_stops(&before);
        match result? {
            Reached::Stop(stop) => Ok(Some(stop)),
            _ => {
                self.goto(here)?;
                Ok(None)
            }
        }
    }

    /// Goes back to before the last instruction that changed a register, and gives its value
    /// there; without a change the machine stays where it is.
    pub fn last_change(&mut self, register: Register) -> Result<Option<u64>, ReplayError> {
        let here = self.count();
        let found = if let Register::Cr0 | Register::Cr3 | Register::Cr4 | Register::Efer = register
        {
            self.last_mode_change(register, here)?
        } else {
            self.last_seen_change(register, here)?
        };
        self.goto(found.unwrap_or(here))?;
        Ok(found.map(|_| register.read(self.machine().vcpu())))
    }

    /// The count before the last change, by looking behind every instruction.
    fn last_seen_change(
        &mut self,
        register: Register,
        here: u64,
    ) -> Result<Option<u64>, ReplayError> {
        let (mut end, mut window) = (here, FIRST_WINDOW);
        while end > 0 {
            let start = end.saturating_sub(window);
            if !matches!(self.goto(start)?, Reached::Goal) && self.count() >= end {
                return Ok(None);
            }
            let mut last = None;
            let mut value = register.read(self.machine().vcpu());
            while self.count() < end {
                let before = self.count();
                self.without_stops(TimeMachine::step)?;
                let now = register.read(self.machine().vcpu());
                if now != value {
                    (last, value) = (Some(before), now);
                }
            }
            if last.is_some() || self.is_first(start) {
                return Ok(last);
            }
            end = start;
            window = (window * 2).min(LAST_WINDOW);
        }
        Ok(None)
    }

    fn is_first(&self, count: u64) -> bool {
        self.checkpoints.before_count(0).0 >= count
    }

    /// The count before the last change of a control register, by what the CPU reports.
    fn last_mode_change(
        &mut self,
        register: Register,
        here: u64,
    ) -> Result<Option<u64>, ReplayError> {
        let mut until = self.machine().ticks();
        while let Some(from) = self.checkpoints.tick_before(until) {
            self.restore_tick(from)?;
            let value = register.read(self.machine().vcpu());
            let changes = Rc::new(ModeChanges { value: Cell::new(value), at: Cell::new(None) });
            let sink = ModeSink { register, changes: changes.clone() };
            self.machine_mut().set_trace(TraceClasses::MODE, Some(Box::new(sink)));
            let ran = self.without_stops(|this| this.run(Goal::Tick(until)));
            self.machine_mut().set_trace(TraceClasses::empty(), None);
            ran?;
            if let Some(at) = changes.at.get() {
                self.restore_tick(from)?;
                self.without_stops(|this| this.run(Goal::Tick(at)))?;
                return Ok(Some(self.count()).filter(|&count| count < here));
            }
            until = from;
        }
        Ok(None)
    }

    /// Goes on to the first instant from here at which something holds. Looks behind every
    /// instruction, so it is slow: some millions a second.
    pub fn find(
        &mut self,
        mut predicate: impl FnMut(&TimeMachine) -> bool,
    ) -> Result<Reached, ReplayError> {
        loop {
            if predicate(self) {
                return Ok(Reached::Goal);
            }
            match self.without_stops(TimeMachine::step)? {
                Reached::Goal => {}
                end => return Ok(end),
            }
        }
    }
}

struct ModeChanges {
    value: Cell<u64>,
    at: Cell<Option<u64>>,
}

/// Notes the last change of a control register.
struct ModeSink {
    register: Register,
    changes: Rc<ModeChanges>,
}

impl EventSink for ModeSink {
    fn event(&mut self, event: &Event) {
        let Event::Mode { at, cr0, cr3, cr4, efer } = *event else { return };
        let now = match self.register {
            Register::Cr0 => cr0,
            Register::Cr3 => cr3,
            Register::Cr4 => cr4,
            _ => efer,
        };
        if self.changes.value.replace(now) != now {
            self.changes.at.set(Some(at));
        }
    }
}
