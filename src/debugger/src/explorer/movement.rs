//! Moving about: by instructions, to stops, to what happens, forwards and backwards.
//!
//! A movement returns a sentence on where it ended, and leaves the machine there. Forwards it ends
//! right behind what was looked for, backwards right before it, so that each can be repeated.

use super::{Explorer, ExplorerError, Instant};
use crate::host::WAITS;
use crate::mode;
use crate::names::vector_text;
use cutaway_cpu::{CpuState, Event, gpr};
use cutaway_isa::{Cr0, Efer};
use cutaway_machine::{PortAccess, Stop, Touch};
use cutaway_replay::Reached;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;

/// Ticks between two looks at whether to go on.
const SLICE: u64 = 2_000_000;
/// The first stretch of a search for what happens; they double.
const FIRST_STRETCH: u64 = 50_000;

/// The vectors below are exceptions.
const FIRST_INTERRUPT: u8 = 32;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// On in time.
    Forwards,
    /// Back in time.
    Backwards,
}

/// Something that happens in a machine, to be gone to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An interrupt from a chip, or an NMI.
    Interrupt,
    /// An exception.
    Exception,
    /// PE, PG or LMA changes.
    Mode,
    /// A port is read or written.
    Port,
    /// CR0, CR3, CR4 or EFER is loaded.
    Control,
    /// INT n, SYSCALL or SYSENTER.
    SystemCall,
    /// A hypervisor in the machine lets its guest run.
    Vmrun,
    /// It has the CPU again.
    Vmexit,
}

impl What {
    /// All of them by name.
    pub const ALL: [(&'static str, Self, &'static str); 8] = [
        ("interrupt", Self::Interrupt, "an interrupt from a chip"),
        ("exception", Self::Exception, "an exception"),
        ("mode", Self::Mode, "a change of PE, PG or LMA"),
        ("port", Self::Port, "an access to a port"),
        ("cr", Self::Control, "a load of CR0, CR3, CR4 or EFER"),
        ("syscall", Self::SystemCall, "INT n, SYSCALL or SYSENTER"),
        ("vmrun", Self::Vmrun, "VMRUN: a hypervisor in the machine lets its guest run"),
        ("vmexit", Self::Vmexit, "#VMEXIT: it has the CPU again"),
    ];

    /// By its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, ..)| *known == name).map(|(_, what, _)| *what)
    }

    /// Whether an event is one, for a CPU that begins in this state.
    fn filter(self, state: &CpuState) -> Rc<dyn Fn(&Event) -> bool> {
        let mode_bits =
            |cr0: u64, efer: u64| (cr0 & (Cr0::PE | Cr0::PG).bits(), efer & Efer::LMA.bits());
        let known = Cell::new(mode_bits(state.system.cr0, state.system.efer));
        Rc::new(move |event| match (self, event) {
            // What a monitor injects may be an exception of its guest's as well.
            (Self::Interrupt, Event::Interrupt { source: "injected", vector, .. }) => {
                vector.0 >= FIRST_INTERRUPT
            }
            (Self::Interrupt, Event::Interrupt { source, .. }) => {
                ["external", "nmi", "virtual"].contains(source)
            }
            (Self::Exception, Event::Interrupt { source, .. }) => *source == "exception",
            (Self::SystemCall, Event::Interrupt { source, .. }) => *source == "software",
            (Self::Vmrun, Event::World { exit: None, .. })
            | (Self::Vmexit, Event::World { exit: Some(_), .. }) => true,
            (Self::Port, Event::Port { .. }) | (Self::Control, Event::Mode { .. }) => true,
            (Self::Mode, Event::Mode { cr0, efer, .. }) => {
                let now = mode_bits(*cr0, *efer);
                known.replace(now) != now
            }
            _ => false,
        })
    }

    /// Where instructions lead that no event tells of: the entries of SYSCALL and SYSENTER.
    fn entries(self, state: &CpuState) -> Vec<u64> {
        let msrs = &state.system.msrs;
        let all = [msrs.lstar, msrs.cstar, msrs.sysenter_eip];
        match self {
            Self::SystemCall => all.into_iter().filter(|entry| *entry != 0).collect(),
            _ => Vec::new(),
        }
    }
}

impl Explorer {
    /// So many instructions on or back. A delivery of an interrupt or exception is one.
    pub fn step(&mut self, count: u64, way: Way) -> Result<String, ExplorerError> {
        let from = self.run.machine().ticks();
        let result = match way {
            Way::Forwards => self.step_on(count),
            Way::Backwards => {
                let to = self.count().saturating_sub(count);
                self.run.goto(to).map(|reached| self.sentence(reached)).map_err(Into::into)
            }
        };
        self.arrived(from);
        result
    }

    fn step_on(&mut self, count: u64) -> Result<String, ExplorerError> {
        for n in 0..count {
            loop {
                if let Some(text) = self.ended_here() {
                    return Ok(text);
                }
                let known = match self.reach()? {
                    ControlFlow::Continue(tick) => tick,
                    ControlFlow::Break(text) => return Ok(text),
                };
                let most = SLICE.min(known - self.run.machine().ticks());
                match self.run.step_within(most)? {
                    Some(Reached::Goal) => break,
                    // The instruction after which it stops is over; the others stop before one.
                    Some(Reached::Stop(Stop::Watchpoint(_) | Stop::Port(_))) if n + 1 == count => {
                        return Ok(String::new());
                    }
                    Some(reached) => {
                        if let Some(text) = self.stopped(reached) {
                            return Ok(text);
                        }
                    }
                    None if self.waits_for_input() => return Ok(WAITS.to_owned()),
                    None => {}
                }
                if self.is_interrupted() {
                    return Ok("interrupted".to_owned());
                }
            }
        }
        Ok(String::new())
    }

    /// On to the next stop, or back to the last; at most so many ticks on.
    pub fn go(&mut self, way: Way, most_ticks: u64) -> Result<String, ExplorerError> {
        let from = self.run.machine().ticks();
        let result = match way {
            Way::Forwards => self.go_on(from.saturating_add(most_ticks)),
            Way::Backwards => self.go_back(),
        };
        self.arrived(from);
        result
    }

    fn go_on(&mut self, end: u64) -> Result<String, ExplorerError> {
        let mut passes = true;
        loop {
            if let Some(text) = self.ended_here() {
                return Ok(text);
            }
            let now = self.run.machine().ticks();
            if now >= end {
                return Ok("that far".to_owned());
            }
            let known = match self.reach()? {
                ControlFlow::Continue(tick) => tick,
                ControlFlow::Break(text) => return Ok(text),
            };
            let slice = SLICE.min(end - now).min(known - now);
            let reached = if std::mem::take(&mut passes) {
                self.run.resume(slice)?
            } else {
                self.run.run_until(now + slice)?
            };
            match reached {
                Reached::Goal | Reached::Stop(Stop::Limit | Stop::Idle) => {}
                reached => {
                    if let Some(text) = self.stopped(reached) {
                        return Ok(text);
                    }
                    passes = true;
                }
            }
            if self.waits_for_input() {
                return Ok(WAITS.to_owned());
            }
            if self.is_interrupted() {
                return Ok("interrupted".to_owned());
            }
        }
    }

    fn go_back(&mut self) -> Result<String, ExplorerError> {
        loop {
            let reached = self.run.continue_back()?;
            if let Some(text) = self.stopped(reached) {
                return Ok(text);
            }
            if self.is_interrupted() {
                return Ok("interrupted".to_owned());
            }
        }
    }

    /// To the next thing of a kind that happens, or back to the last.
    pub fn seek(&mut self, what: What, way: Way) -> Result<String, ExplorerError> {
        let from = self.run.machine().ticks();
        let result = match way {
            Way::Forwards => self.seek_on(what),
            Way::Backwards => self.seek_back(what, from),
        };
        self.witness.look_for(None);
        let stops = self.stops();
        self.run.set_stops(&stops);
        self.arrived(from);
        result
    }

    fn seek_on(&mut self, what: What) -> Result<String, ExplorerError> {
        let mut stops = self.stops();
        let entries = what.entries(&self.here.cpu);
        stops.breakpoints.extend(&entries);
        self.run.set_stops(&stops);
        self.witness.look_for(Some(what.filter(&self.here.cpu)));
        let (mut stretch, mut passes) = (FIRST_STRETCH, true);
        loop {
            if let Some(text) = self.ended_here() {
                return Ok(text);
            }
            let now = self.run.machine().ticks();
            let known = match self.reach()? {
                ControlFlow::Continue(tick) => tick,
                ControlFlow::Break(text) => return Ok(text),
            };
            let ticks = stretch.min(known - now);
            let reached = if std::mem::take(&mut passes) {
                self.run.resume(ticks)?
            } else {
                self.run.run_until(now.saturating_add(ticks))?
            };
            if let (Some(event), _) = self.witness.found() {
                self.run.goto_tick(event.at() + 1)?;
                return Ok(event.to_string().trim_start().to_owned());
            }
            let pc = mode::pc(&self.run.machine().vcpu().save());
            match reached {
                Reached::Goal | Reached::Stop(Stop::Limit | Stop::Idle) => {}
                Reached::Stop(Stop::Breakpoint) if entries.contains(&pc) => {
                    return Ok("a system call has come in".to_owned());
                }
                reached => {
                    if let Some(text) = self.stopped(reached) {
                        return Ok(text);
                    }
                    passes = true;
                }
            }
            if self.waits_for_input() {
                return Ok(WAITS.to_owned());
            }
            if self.is_interrupted() {
                return Ok("interrupted".to_owned());
            }
            stretch = (stretch * 2).min(SLICE);
        }
    }

    fn seek_back(&mut self, what: What, here: u64) -> Result<String, ExplorerError> {
        let entries = what.entries(&self.here.cpu);
        let stops = cutaway_machine::Stops { breakpoints: entries, ..Default::default() };
        let (mut end, mut stretch) = (here, FIRST_STRETCH);
        let mut first = self.count();
        loop {
            let before = first;
            first = first.saturating_sub(stretch);
            self.run.goto(first)?;
            first = self.count();
            let start = self.run.machine().ticks();
            let state = self.run.machine().vcpu().save();
            self.witness.look_for(Some(what.filter(&state)));
            self.run.set_stops(&stops);
            let mut last = None;
            while let Reached::Stop(Stop::Breakpoint) = self.run.run_until(end)? {
                // The instruction that came here is the one before.
                last = self.run.machine().ticks().checked_sub(1).filter(|tick| *tick >= start);
                self.run.machine_mut().pass_stops();
            }
            let event = self.witness.found().1.filter(|event| event.at() < here);
            let text = match &event {
                Some(event) if last.is_none_or(|tick| tick < event.at()) => {
                    event.to_string().trim_start().to_owned()
                }
                _ => "a system call".to_owned(),
            };
            if let Some(tick) = event.map(|event| event.at()).max(last) {
                self.witness.look_for(None);
                self.run.goto_tick(tick)?;
                return Ok(format!("before: {text}"));
            }
            if first == 0 || first >= before || self.is_interrupted() {
                self.run.goto_tick(here)?;
                return Ok("there was none before; the machine is where it was".to_owned());
            }
            end = start;
            stretch = stretch.saturating_mul(2).min(64_000_000);
        }
    }

    /// To the instruction at a linear address, once, and no matter how deep.
    pub fn until(&mut self, linear: u64, way: Way) -> Result<String, ExplorerError> {
        self.until_if(linear, way, |_| true)
    }

    pub(super) fn until_if(
        &mut self,
        linear: u64,
        way: Way,
        holds: impl Fn(&CpuState) -> bool,
    ) -> Result<String, ExplorerError> {
        let mut stops = self.stops();
        stops.breakpoints.push(linear);
        let from = self.run.machine().ticks();
        let result = loop {
            self.run.set_stops(&stops);
            let reached = match way {
                Way::Forwards => match self.reach() {
                    Ok(ControlFlow::Continue(known)) => {
                        let most = SLICE.min(known - self.run.machine().ticks());
                        self.run.resume(most)
                    }
                    Ok(ControlFlow::Break(text)) => break Ok(text),
                    Err(error) => break Err(error),
                },
                Way::Backwards => self.run.continue_back(),
            };
            let reached = match reached {
                Ok(reached) => reached,
                Err(error) => break Err(error.into()),
            };
            let state = self.run.machine().vcpu().save();
            match reached {
                Reached::Goal | Reached::Stop(Stop::Limit | Stop::Idle) => {}
                Reached::Stop(Stop::Breakpoint) if mode::pc(&state) == linear && holds(&state) => {
                    break Ok(String::new());
                }
                reached => {
                    if let Some(text) = self.stopped(reached) {
                        break Ok(text);
                    }
                }
            }
            if self.waits_for_input() {
                break Ok(WAITS.to_owned());
            }
            if self.is_interrupted() {
                break Ok("interrupted".to_owned());
            }
        };
        let stops = self.stops();
        self.run.set_stops(&stops);
        self.arrived(from);
        result
    }

    /// To the instant behind so many instructions.
    pub fn goto(&mut self, count: u64) -> Result<String, ExplorerError> {
        let from = self.run.machine().ticks();
        let result = if count > self.furthest && self.live {
            self.run.goto(self.furthest)?;
            self.step_far(count)
        } else {
            self.run.goto(count).map(|reached| self.sentence(reached)).map_err(Into::into)
        };
        self.arrived(from);
        result
    }

    /// On into what has not been yet, past all stops.
    fn step_far(&mut self, count: u64) -> Result<String, ExplorerError> {
        while self.count() < count {
            if let Some(text) = self.ended_here() {
                return Ok(text);
            }
            let now = self.run.machine().ticks();
            let known = match self.reach()? {
                ControlFlow::Continue(tick) => tick,
                ControlFlow::Break(text) => return Ok(text),
            };
            let ticks = SLICE.min(count - self.count()).min(known - now);
            match self.run.goto_tick(now + ticks)? {
                Reached::Goal | Reached::Stop(Stop::Limit | Stop::Idle) => {}
                reached => return Ok(self.sentence(reached)),
            }
            if self.waits_for_input() {
                return Ok(WAITS.to_owned());
            }
            if self.is_interrupted() {
                return Ok("interrupted".to_owned());
            }
        }
        Ok(String::new())
    }

    /// Back to where the last movement began.
    pub fn undo(&mut self) -> Result<String, ExplorerError> {
        let Some(tick) = self.undo.pop() else {
            return Err("there is no movement to take back".to_owned().into());
        };
        let from = self.run.machine().ticks();
        self.run.goto_tick(tick)?;
        self.arrived(from);
        self.undo.pop();
        Ok(String::new())
    }

    fn waits_for_input(&self) -> bool {
        let machine = self.run.machine();
        self.live && machine.is_halted() && machine.next_deadline().is_none()
    }

    pub(super) fn is_interrupted(&mut self) -> bool {
        let Some(mut between) = self.between.take() else { return false };
        // Who looks sees this instant; changes are reckoned from where the movement began.
        let now = Instant::of(self.run.machine());
        let begun = std::mem::replace(&mut self.here, now);
        let before = std::mem::replace(&mut self.before, begun);
        self.lead_host();
        let result = between(self);
        self.here = std::mem::replace(&mut self.before, before);
        self.between = Some(between);
        result.is_break()
    }

    /// Where the machine has stopped for good, it stays: there is only the way back.
    fn ended_here(&self) -> Option<String> {
        let (at, text) = self.ended.as_ref()?;
        (*at == self.run.machine().ticks()).then(|| text.clone())
    }

    /// What a stop says, unless its condition does not hold.
    pub(super) fn stopped(&mut self, reached: Reached) -> Option<String> {
        if let Reached::Stop(stop) = &reached
            && let Stop::Breakpoint | Stop::Watchpoint(_) | Stop::Port(_) | Stop::Exception(_) =
                stop
        {
            let point = self.hit(stop)?.number;
            return Some(format!("stop {point}: {}", self.sentence(reached)));
        }
        Some(self.sentence(reached))
    }

    fn sentence(&mut self, reached: Reached) -> String {
        let stop = match reached {
            Reached::Goal => return String::new(),
            Reached::Start => return "this is the start: there is nothing before".to_owned(),
            Reached::End => return "this is the end of the recording".to_owned(),
            Reached::Stop(stop) => stop,
        };
        let for_good = match stop {
            Stop::Limit | Stop::Idle => return String::new(),
            Stop::Breakpoint => return "at a breakpoint".to_owned(),
            Stop::Watchpoint(touch) => return touch_text(&touch),
            Stop::Port(access) => return port_text(&access),
            Stop::Exception(vector) => {
                return format!("exception {} is about to be delivered", vector_text(vector));
            }
            Stop::PowerOff => "the guest has switched the machine off".to_owned(),
            Stop::Halted => "the guest waits in HLT with interrupts off, for ever".to_owned(),
            Stop::Reset => "the guest has asked for a reset".to_owned(),
            Stop::DebugExit(code) => format!("the guest has ended the run, with code {code}"),
            Stop::Shutdown => "triple fault".to_owned(),
            Stop::Unimplemented(what) => {
                format!("not implemented: {} at {:04x}:{:x}", what.what, what.cs, what.rip)
            }
        };
        let text = format!("{for_good}; only the way back is left");
        self.ended = Some((self.run.machine().ticks(), text.clone()));
        text
    }
}

/// The stack pointer, as wide as the stack segment makes it.
pub(super) fn stack_pointer(state: &CpuState) -> u64 {
    let ss = &state.system.segments[cutaway_cpu::Seg::Ss as usize];
    let mask = match (mode::code_size(state), ss.is_big()) {
        (cutaway_isa::CodeSize::Bits64, _) => u64::MAX,
        (_, true) => 0xffff_ffff,
        (_, false) => 0xffff,
    };
    state.gpr[gpr::RSP] & mask
}

/// A port access, for people.
pub(crate) fn port_text(access: &PortAccess) -> String {
    let (what, port, value) =
        (if access.write { "write to" } else { "read from" }, access.port, access.value);
    format!("{what} port {port:#06x}, {} bits: {value:#x}", access.width.bits())
}

fn touch_text(touch: &Touch) -> String {
    let what = if touch.write { "writes" } else { "reads" };
    format!("the instruction {what} {} bytes at {:#x}", touch.size, touch.address)
}
