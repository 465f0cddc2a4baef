//! What the monitor does in the guest's place: one instruction on the virtual CPU, and what it may have
//! written to watched pages.

use cutaway_cpu::{Bus, Exit, Seg, Vcpu};
use cutaway_isa::{Instruction, OpKind, Register, decode};
use cutaway_memory::{GuestMemory, PAGE_SIZE, PageKind};

use crate::Model;
use crate::vm::{Next, Vm};

/// The number of RSP in encodings.
const RSP: usize = 4;

impl Vm {
    /// Executes one instruction on the virtual CPU, or delivers what is due to it.
    pub(crate) fn emulate(
        &mut self,
        vcpu: &mut Vcpu,
        bus: &mut dyn Bus,
        written: Option<u64>,
    ) -> Result<Option<Next>, Exit> {
        let instruction = instruction_at(vcpu, bus.memory());
        let stack = vcpu.gpr(RSP);
        let written = match (&instruction, written) {
            (Some(instruction), Some(at)) => Some((at, instruction.memory_size().size() as u64)),
            (None, Some(at)) => Some((at, 8)),
            (Some(instruction), None) => self.destination(vcpu, bus.memory(), instruction),
            (None, None) => None,
        };
        let exit = vcpu.run(bus, 1);
        self.resume = None;
        self.pushed(vcpu, bus.memory(), stack);
        if let Some((at, len)) = written {
            self.wrote(vcpu, bus.memory(), at, len.max(8));
        }
        if exit == Exit::Budget { Ok(None) } else { Err(exit) }
    }

    /// Where in a watched page an instruction writes, as an offset of the backing, and how much.
    fn destination(
        &self,
        vcpu: &Vcpu,
        memory: &GuestMemory,
        instruction: &Instruction,
    ) -> Option<(u64, u64)> {
        let memory_operand = matches!(
            instruction.op0_kind(),
            OpKind::Memory | OpKind::MemoryESDI | OpKind::MemoryESEDI | OpKind::MemoryESRDI
        );
        if !memory_operand {
            return None;
        }
        let linear = instruction.virtual_address(0, 0, |register, _, _| {
            Some(if register.is_segment_register() {
                let number = register as usize - Register::ES as usize;
                vcpu.system().segments[number].base
            } else {
                vcpu.gpr(register.number()) & (u64::MAX >> (64 - 8 * register.size().clamp(1, 8)))
            })
        })?;
        let physical = vcpu.system().physical_of(memory, linear)?;
        let PageKind::Ram(frame) = memory.page(physical) else { return None };
        let watched = self.shadow.is_watched(frame as u64);
        let at = frame as u64 + (physical & 0xfff);
        watched.then_some((at, instruction.memory_size().size() as u64))
    }

    /// Takes note of what an emulated instruction, or a delivery, has pushed onto a stack in a watched page.
    fn pushed(&mut self, vcpu: &mut Vcpu, memory: &mut GuestMemory, before: u64) {
        // A delivery with a change of stacks pushes less.
        const MOST: u64 = 0x80;
        let top = vcpu.gpr(RSP);
        if top == before || !self.shadow.watches() {
            return;
        }
        let base = vcpu.system().segments[Seg::Ss as usize].base;
        let (first, len) = (base.wrapping_add(top), before.wrapping_sub(top).min(MOST));
        let in_first = len.min(PAGE_SIZE - (first & (PAGE_SIZE - 1)));
        for (linear, len) in [(first, in_first), (first.wrapping_add(in_first), len - in_first)] {
            let physical = vcpu.system().physical_of(memory, linear).filter(|_| len > 0);
            if let Some((PageKind::Ram(frame), at)) = physical.map(|at| (memory.page(at), at))
                && self.shadow.is_watched(frame as u64)
            {
                self.wrote(vcpu, memory, frame as u64 + (at & (PAGE_SIZE - 1)), len);
            }
        }
    }

    /// Takes note of a write to a watched page.
    pub(crate) fn wrote(&mut self, vcpu: &mut Vcpu, memory: &mut GuestMemory, at: u64, len: u64) {
        self.shadow.written(memory, &mut self.world, at, len);
        if self.model != Model::Translate {
            // Nobody else asks.
            self.shadow.take_remapped();
        }
        for changed in self.translator.written(memory, at, len) {
            vcpu.memory_written(changed as usize, 2);
        }
        let frame = at & !0xfff;
        if !self.translator.has_code(frame) {
            self.shadow.unguard(frame);
        }
    }
}

/// The instruction that the guest is at.
pub(crate) fn instruction_at(vcpu: &Vcpu, memory: &GuestMemory) -> Option<Instruction> {
    let bytes = vcpu.code_bytes(memory);
    decode(vcpu.code_size(), &bytes, vcpu.pc()).ok()
}
