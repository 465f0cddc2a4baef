//! Why the monitor got control, counted by reason.

use cutaway_isa::{Instruction, Mnemonic as M};
use serde::{Deserialize, Serialize};

use crate::sensitive::Sensitive;

/// Why the monitor got control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Reason {
    /// The shadow page tables lacked a translation that the guest's have: a hidden page fault.
    ShadowFault,
    /// A page fault that is the guest's own.
    GuestPageFault,
    /// A write to a page that holds the guest's page tables.
    TableWrite,
    /// A write to a page with translated code.
    CodeWrite,
    /// An access to device memory, or a write to ROM.
    DeviceMemory,
    /// IN, OUT, INS, OUTS.
    Port,
    /// CLI, STI, and what else changes the interrupt flag.
    InterruptFlag,
    /// MOV to or from control registers, CLTS, LMSW.
    ControlRegister,
    /// MOV to or from debug registers.
    DebugRegister,
    /// LGDT, LIDT, LLDT, LTR.
    DescriptorTable,
    /// A load of a segment register.
    SegmentLoad,
    /// IRET, far CALL, JMP and RET.
    FarTransfer,
    /// INT n, INT3, INTO, SYSCALL, SYSENTER and their returns.
    SystemCall,
    /// HLT.
    Halt,
    /// INVLPG, INVD, WBINVD.
    Invalidate,
    /// RDMSR, WRMSR.
    Msr,
    /// SGDT, SIDT, SLDT, STR, SMSW, LAR, LSL, VERR, VERW, and reads of CS and SS: sensitive, and
    /// without a trap of their own.
    Sensitive,
    /// VMMCALL: the guest asks the monitor.
    Hypercall,
    /// CPUID, where the model can intercept it.
    Cpuid,
    /// The nested page tables lacked a translation.
    NestedFault,
    /// The guest lets interrupts in, and one waits.
    InterruptWindow,
    /// An exception of the guest's own.
    Exception,
    /// An interrupt of a virtual device.
    Interrupt,
    /// An instruction in a state that cannot be run directly, such as real mode.
    Interpreted,
}

/// How many reasons there are.
const COUNT: usize = Reason::Interpreted as usize + 1;

impl Reason {
    /// All of them, in the order to show them.
    pub const ALL: [Self; COUNT] = [
        Self::ShadowFault,
        Self::GuestPageFault,
        Self::TableWrite,
        Self::CodeWrite,
        Self::DeviceMemory,
        Self::Port,
        Self::InterruptFlag,
        Self::ControlRegister,
        Self::DebugRegister,
        Self::DescriptorTable,
        Self::SegmentLoad,
        Self::FarTransfer,
        Self::SystemCall,
        Self::Halt,
        Self::Invalidate,
        Self::Msr,
        Self::Sensitive,
        Self::Hypercall,
        Self::Cpuid,
        Self::NestedFault,
        Self::InterruptWindow,
        Self::Exception,
        Self::Interrupt,
        Self::Interpreted,
    ];

    /// What it is called in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ShadowFault => "shadow page fault",
            Self::GuestPageFault => "guest page fault",
            Self::TableWrite => "page table write",
            Self::CodeWrite => "code write",
            Self::DeviceMemory => "device memory",
            Self::Port => "port",
            Self::InterruptFlag => "interrupt flag",
            Self::ControlRegister => "control register",
            Self::DebugRegister => "debug register",
            Self::DescriptorTable => "descriptor table",
            Self::SegmentLoad => "segment load",
            Self::FarTransfer => "far transfer",
            Self::SystemCall => "system call",
            Self::Halt => "halt",
            Self::Invalidate => "invalidate",
            Self::Msr => "msr",
            Self::Sensitive => "sensitive",
            Self::Hypercall => "hypercall",
            Self::Cpuid => "cpuid",
            Self::NestedFault => "nested page fault",
            Self::InterruptWindow => "interrupt window",
            Self::Exception => "exception",
            Self::Interrupt => "interrupt",
            Self::Interpreted => "interpreted",
        }
    }

    /// Why an instruction traps outside ring 0. One that may run there has raised an exception of
    /// the guest's own.
    pub(crate) fn of(instruction: &Instruction) -> Self {
        if let Some(sensitive) = Sensitive::of(instruction) {
            return Self::of_sensitive(sensitive);
        }
        match instruction.mnemonic() {
            M::In | M::Out | M::Insb | M::Insw | M::Insd | M::Outsb | M::Outsw | M::Outsd => {
                Self::Port
            }
            M::Cli | M::Sti => Self::InterruptFlag,
            M::Clts | M::Lmsw => Self::ControlRegister,
            M::Lgdt | M::Lidt | M::Lldt | M::Ltr => Self::DescriptorTable,
            M::Hlt => Self::Halt,
            M::Invlpg | M::Invd | M::Wbinvd | M::Invlpga | M::Invpcid => Self::Invalidate,
            M::Rdmsr | M::Wrmsr | M::Xsetbv => Self::Msr,
            M::Int1
            | M::Int3
            | M::Into
            | M::Syscall
            | M::Sysret
            | M::Sysretq
            | M::Sysenter
            | M::Sysexit
            | M::Sysexitq => Self::SystemCall,
            M::Lds | M::Les | M::Lfs | M::Lgs | M::Lss => Self::SegmentLoad,
            M::Mov => {
                let registers = [instruction.op0_register(), instruction.op1_register()];
                if registers.iter().any(|register| register.is_cr()) {
                    Self::ControlRegister
                } else if registers.iter().any(|register| register.is_dr()) {
                    Self::DebugRegister
                } else {
                    Self::Exception
                }
            }
            _ => Self::Exception,
        }
    }

    fn of_sensitive(sensitive: Sensitive) -> Self {
        match sensitive {
            Sensitive::Pushf | Sensitive::Popf => Self::InterruptFlag,
            Sensitive::LoadSegment(_) => Self::SegmentLoad,
            Sensitive::FarCall | Sensitive::FarJump | Sensitive::FarReturn => Self::FarTransfer,
            Sensitive::Interrupt => Self::SystemCall,
            Sensitive::Sgdt
            | Sensitive::Sidt
            | Sensitive::Sldt
            | Sensitive::Str
            | Sensitive::Smsw(_)
            | Sensitive::Lar
            | Sensitive::Lsl
            | Sensitive::Verr
            | Sensitive::Verw
            | Sensitive::ReadSegment(_) => Self::Sensitive,
        }
    }
}

/// Counts by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exits([u64; COUNT]);

impl Exits {
    pub(crate) fn count(&mut self, reason: Reason) {
        self.0[reason as usize] += 1;
    }

    /// How often for this reason.
    #[must_use]
    pub fn of(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }

    /// How often at all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_isa::{CodeSize, decode};

    #[test]
    fn the_list_is_in_the_order_of_the_numbers() {
        for (number, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
        }
    }

    #[test]
    fn reasons_follow_from_the_instruction() {
        let reason = |bytes: &[u8]| Reason::of(&decode(CodeSize::Bits32, bytes, 0).expect("whole"));
        assert_eq!(reason(&[0xfa]), Reason::InterruptFlag);
        assert_eq!(reason(&[0x0f, 0x22, 0xd8]), Reason::ControlRegister);
        assert_eq!(reason(&[0x8e, 0xd8]), Reason::SegmentLoad);
        assert_eq!(reason(&[0xcf]), Reason::FarTransfer);
        assert_eq!(reason(&[0xea, 0, 0, 0, 0, 8, 0]), Reason::FarTransfer);
        assert_eq!(reason(&[0xff, 0x2d, 0, 0, 0, 0]), Reason::FarTransfer);
        assert_eq!(reason(&[0xcd, 0x80]), Reason::SystemCall);
        assert_eq!(reason(&[0xf7, 0xf1]), Reason::Exception);
    }
}
