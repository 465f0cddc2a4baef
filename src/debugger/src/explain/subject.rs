//! What is explained: a CPU's state, the memory it sees, and how it is wired.

use crate::mode;
use cutaway_cpu::{CpuModel, CpuState, Pins, Seg, seg_of};
use cutaway_isa::{CodeSize, Cr0, Register, Rflags, Width};
use cutaway_machine::Machine;
use cutaway_memory::GuestMemory;

/// A CPU between two instructions, and its memory.
pub(crate) struct Subject<'a> {
    pub(crate) state: CpuState,
    pub(crate) memory: &'a GuestMemory,
    pub(crate) model: CpuModel,
    pub(crate) pins: Pins,
}

impl<'a> Subject<'a> {
    pub(crate) fn of(machine: &'a Machine) -> Self {
        let (state, model) = (machine.vcpu().save(), machine.vcpu().model());
        Self { state, memory: machine.memory(), model, pins: machine.pins() }
    }

    pub(crate) fn is_protected(&self) -> bool {
        self.state.system.cr0 & Cr0::PE.bits() != 0
    }

    pub(crate) fn flag(&self, flag: Rflags) -> bool {
        self.state.rflags & flag.bits() != 0
    }

    pub(crate) fn is_virtual_8086(&self) -> bool {
        self.is_protected() && self.flag(Rflags::VM)
    }

    pub(crate) fn is_64_bit(&self) -> bool {
        mode::code_size(&self.state) == CodeSize::Bits64
    }

    /// Current privilege level.
    pub(crate) fn cpl(&self) -> u8 {
        if !self.is_protected() {
            0
        } else if self.is_virtual_8086() {
            3
        } else {
            (self.segment(Seg::Cs).selector & 3) as u8
        }
    }

    pub(crate) fn segment(&self, seg: Seg) -> &cutaway_cpu::Segment {
        &self.state.system.segments[seg as usize]
    }

    /// Width of the stack pointer.
    pub(crate) fn stack_width(&self) -> Width {
        if self.is_64_bit() {
            Width::Qword
        } else if self.segment(Seg::Ss).is_big() {
            Width::Dword
        } else {
            Width::Word
        }
    }

    /// The physical address that leaves the CPU: A20M# may force bit 20 to zero.
    pub(crate) fn on_the_bus(&self, physical: u64) -> u64 {
        if self.pins.a20_masked { physical & !(1 << 20) } else { physical }
    }

    /// Bytes at a linear address by the page tables, without asking for rights; `None` where they
    /// lead nowhere.
    pub(crate) fn peek(&self, linear: u64, count: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(count);
        let long = mode::is_long(&self.state);
        while bytes.len() < count {
            let at = linear.wrapping_add(bytes.len() as u64);
            let at = if long { at } else { at & 0xffff_ffff };
            let physical = self.state.physical_of(self.memory, at)?;
            let room = (0x1000 - (at & 0xfff)) as usize;
            let mut part = vec![0; room.min(count - bytes.len())];
            self.memory.read(self.on_the_bus(physical), &mut part);
            bytes.extend(part);
        }
        Some(bytes)
    }

    /// A little-endian number of up to 8 bytes at a linear address.
    pub(crate) fn peek_number(&self, linear: u64, bytes: usize) -> Option<u64> {
        self.peek(linear, bytes).map(|bytes| number(&bytes))
    }

    /// The value of a general-purpose, segment or instruction-pointer register.
    pub(crate) fn register(&self, register: Register) -> Option<u64> {
        let state = &self.state;
        Some(match register {
            Register::None => 0,
            Register::RIP => state.rip,
            Register::EIP => state.rip & 0xffff_ffff,
            Register::AH | Register::CH | Register::DH | Register::BH => {
                state.gpr[register as usize - Register::AH as usize] >> 8 & 0xff
            }
            _ if register.is_gpr() => {
                let width = Width::of_bytes(register.size())?;
                let full = register.full_register();
                state.gpr[(full as usize - Register::RAX as usize) & 15] & width.mask()
            }
            _ => u64::from(self.segment(seg_of(register)?).selector),
        })
    }
}

/// Bytes as a little-endian number.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}
