//! Calls: over one, out of one, who made this one; and who last changed something.
//!
//! Who called is not guessed from frames on the stack: the past is repeated, and calls are matched
//! with returns as they happen. An interrupt is a call that IRET ends.

use super::movement::stack_pointer;
use super::{Explorer, ExplorerError, Way};
use crate::memory::{self, Space};
use crate::mode;
use cutaway_isa::{FlowControl, Instruction, MAX_LENGTH, decode};
use cutaway_memory::PAGE_SIZE;
use cutaway_replay::{Reached, Register};

/// Instructions of the past that are looked through for a call, at first and at most.
const FIRST_STRETCH: u64 = 10_000;
const LAST_STRETCH: u64 = 20_000_000;

/// A call that has not returned yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Instructions retired before it.
    pub count: u64,
    /// The linear address of the call.
    pub from: u64,
    /// Where it went.
    pub to: u64,
}

impl Explorer {
    /// The next instruction, if there is one.
    #[must_use]
    pub fn next_instruction(&self) -> Option<Instruction> {
        let (vcpu, guest) = (self.run.machine().vcpu(), self.run.machine().memory());
        let (pc, size) = (vcpu.pc(), vcpu.code_size());
        let mut bytes = [0; MAX_LENGTH];
        // One page, as nearly always: looked at so often that the state is not copied for it.
        let read = if pc % PAGE_SIZE <= PAGE_SIZE - MAX_LENGTH as u64 {
            guest.read(vcpu.system().physical_of(guest, pc)?, &mut bytes);
            MAX_LENGTH
        } else {
            memory::read(guest, &vcpu.save(), Space::Linear, pc, &mut bytes)
        };
        // The offset is what branch targets are reckoned from; there is no need of it here.
        decode(size, &bytes[..read], pc).ok()
    }

    /// So many instructions, each with all that a call, an INT n or a repeated string instruction
    /// does.
    pub fn step_over(&mut self, count: u64, way: Way) -> Result<String, ExplorerError> {
        self.as_one(|explorer| {
            for _ in 0..count {
                let before = explorer.count();
                let text = match way {
                    Way::Forwards => explorer.step_over_on()?,
                    Way::Backwards => explorer.step_over_back()?,
                };
                if !text.is_empty() || explorer.count() == before {
                    return Ok(text);
                }
                if explorer.is_interrupted() {
                    return Ok("interrupted".to_owned());
                }
            }
            Ok(String::new())
        })
    }

    fn step_over_on(&mut self) -> Result<String, ExplorerError> {
        let Some(next) = self.next_instruction() else { return self.step(1, Way::Forwards) };
        let repeats = next.has_rep_prefix() || next.has_repne_prefix();
        let has_an_inside = is_call(&next) || repeats && next.is_string_instruction();
        if !has_an_inside {
            return self.step(1, Way::Forwards);
        }
        let depth = stack_pointer(&self.here.cpu);
        let behind = mode::linear_of_offset(
            &self.here.cpu,
            self.here.cpu.rip.wrapping_add(next.len() as u64),
        );
        self.until_if(behind, Way::Forwards, |state| stack_pointer(state) >= depth)
    }

    fn step_over_back(&mut self) -> Result<String, ExplorerError> {
        let (from, here) = (self.run.machine().ticks(), self.count());
        let text = self.step(1, Way::Backwards)?;
        let undone = self.next_instruction();
        if !undone.as_ref().is_some_and(is_return) {
            return Ok(text);
        }
        // Back over a return: to the call that it ended, if it is not too far away.
        if let Some(call) = self.callers(here - 1, 1)?.first() {
            self.run.goto(call.count)?;
            self.arrived(from);
        }
        Ok(text)
    }

    /// On until this function has returned, or back to before it was called.
    pub fn step_out(&mut self, way: Way) -> Result<String, ExplorerError> {
        match way {
            Way::Forwards => self.step_out_on(),
            Way::Backwards => {
                let from = self.run.machine().ticks();
                let call = self.callers(self.count(), 1)?.first().copied();
                let Some(call) = call else {
                    return Err(format!(
                        "no call that leads here in the last {LAST_STRETCH} instructions"
                    )
                    .into());
                };
                self.run.goto(call.count)?;
                self.arrived(from);
                Ok(String::new())
            }
        }
    }

    fn step_out_on(&mut self) -> Result<String, ExplorerError> {
        let depth = stack_pointer(&self.here.cpu);
        self.as_one(|explorer| {
            loop {
                let next = explorer.next_instruction();
                let returns = next.as_ref().is_some_and(is_return);
                if returns && stack_pointer(&explorer.here.cpu) >= depth {
                    return explorer.step(1, Way::Forwards);
                }
                let before = explorer.count();
                let text = explorer.step_over_on()?;
                if !text.is_empty() || explorer.count() == before {
                    return Ok(text);
                }
                if explorer.is_interrupted() {
                    return Ok("interrupted".to_owned());
                }
            }
        })
    }

    /// The calls that led to the instant behind so many instructions and have not returned, the
    /// innermost first, as far as the past is looked through. The machine is back where it was.
    pub fn callers(&mut self, count: u64, most: usize) -> Result<Vec<Call>, ExplorerError> {
        let here = self.run.machine().ticks();
        let mut stretch = FIRST_STRETCH;
        let stops = self.stops();
        self.run.set_stops(&cutaway_machine::Stops::default());
        let calls = loop {
            let start = count.saturating_sub(stretch);
            let calls = self.calls_between(start, count)?;
            if calls.len() >= most || start == 0 || stretch >= LAST_STRETCH || self.is_interrupted()
            {
                break calls;
            }
            stretch = (stretch * 8).min(LAST_STRETCH);
        };
        self.run.goto_tick(here)?;
        self.run.set_stops(&stops);
        Ok(calls.into_iter().rev().take(most).collect())
    }

    /// Open calls of a stretch, the outermost first.
    fn calls_between(&mut self, start: u64, end: u64) -> Result<Vec<Call>, ExplorerError> {
        let mut open: Vec<Call> = Vec::new();
        self.run.goto(start)?;
        while self.count() < end {
            let (count, from) = (self.count(), self.run.machine().vcpu().pc());
            let next = self.next_instruction();
            let ticks = self.run.machine().ticks();
            if !matches!(self.run.step()?, Reached::Goal) {
                break;
            }
            let to = self.run.machine().vcpu().pc();
            // A step out of HLT takes as long as it waits.
            let now = self.run.machine().ticks();
            let delivered = self.witness.delivers_between(ticks, now);
            let behind = next.as_ref().map(|next| from.wrapping_add(next.len() as u64));
            if delivered || next.as_ref().is_some_and(is_call) && Some(to) != behind {
                open.push(Call { count, from, to });
            } else if next.as_ref().is_some_and(is_return) {
                open.pop();
            }
        }
        Ok(open)
    }

    /// Back to before the last write to linear memory, and says what did it.
    pub fn last_write(&mut self, linear: u64, len: u64) -> Result<String, ExplorerError> {
        let from = self.run.machine().ticks();
        let touch = self.run.last_write(linear, len, false)?;
        self.arrived(from);
        let Some(touch) = touch else {
            return Ok(format!("nothing has written to {linear:#x} so far"));
        };
        let (pc, size, to) = (mode::pc(&self.here.cpu), touch.size, touch.address);
        Ok(format!("the instruction at linear {pc:#x} writes {size} bytes to {to:#x}"))
    }

    /// Back to before the last change of a register, and says what did it.
    pub fn last_change(&mut self, name: &str) -> Result<String, ExplorerError> {
        let register = Register::by_name(name.trim_start_matches('$'));
        let register = register.ok_or_else(|| format!("'{name}' is no register known here"))?;
        let (from, now) = (self.run.machine().ticks(), register.of(&self.here.cpu));
        let before = self.run.last_change(register)?;
        // The search looked on by itself.
        self.witness.attach(self.run.machine_mut());
        self.arrived(from);
        let Some(before) = before else { return Ok(format!("{name} has always been {now:#x}")) };
        let pc = mode::pc(&self.here.cpu);
        Ok(format!("the instruction at linear {pc:#x} changes {name} from {before:#x} to {now:#x}"))
    }
}

fn is_call(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::Call | FlowControl::IndirectCall | FlowControl::Interrupt
    )
}

fn is_return(instruction: &Instruction) -> bool {
    instruction.flow_control() == FlowControl::Return
}
