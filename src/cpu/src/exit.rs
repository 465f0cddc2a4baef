//! Why `run` returned.

use crate::exception::Exception;
use crate::stops::Touch;

/// Why [`crate::Vcpu::run`] stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The budget is spent, or the bus asked to stop.
    Budget,
    /// HLT: nothing happens before the next interrupt.
    Halt,
    /// A triple fault. Only a reset helps.
    Shutdown,
    /// The next instruction is at a breakpoint ([`crate::Vcpu::set_breakpoints`]).
    Breakpoint,
    /// An instruction touched a watchpoint ([`crate::Vcpu::set_watches`]); the state is that
    /// behind it, and behind the delivery of an exception that it raised.
    Watchpoint(Touch),
    /// An exception that was asked to be intercepted; the state is that before the instruction.
    Exception(Exception),
    /// A guest was left, and [`crate::Vcpu::set_vmexit_stops`] is on: its VMCB says why, and the
    /// state is the host's behind VMRUN.
    VmExit,
    /// Something that this vCPU does not implement; the state is that before the instruction.
    Unimplemented(Box<Unimplemented>),
}

/// What was met that is not implemented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unimplemented {
    /// Its name, with the instruction in NASM syntax.
    pub what: String,
    /// CS selector.
    pub cs: u16,
    /// RIP of the instruction.
    pub rip: u64,
    /// The instruction's bytes, as far as they are known.
    pub bytes: Vec<u8>,
}
