//! What a debugger wants the machine to stop at. The guest cannot notice any of it.

use crate::Machine;
use cutaway_cpu::Watch;
use std::ops::RangeInclusive;

/// Reasons for [`Machine::run_until`] to return early.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stops {
    /// Linear addresses of instructions: [`crate::Stop::Breakpoint`], before the instruction.
    pub breakpoints: Vec<u64>,
    /// Data: [`crate::Stop::Watchpoint`], behind the instruction.
    pub watches: Vec<Watch>,
    /// Ports: [`crate::Stop::Port`], behind the instruction.
    pub ports: Vec<RangeInclusive<u16>>,
    /// Exceptions, a bit a vector: [`crate::Stop::Exception`], before the delivery.
    pub exceptions: u32,
}

impl Machine {
    /// Stops at these from now on, and no longer at the earlier ones.
    pub fn set_stops(&mut self, stops: &Stops) {
        let (vcpu, board) = self.parts();
        vcpu.set_breakpoints(&stops.breakpoints);
        vcpu.set_watches(&stops.watches, board.memory_ref());
        vcpu.set_intercepted_exceptions(stops.exceptions);
        board.watch_ports(&stops.ports);
    }

    /// Goes on from here: what would stop before the next instruction does not.
    pub fn pass_stops(&mut self) {
        self.parts().0.pass_stops();
    }
}
