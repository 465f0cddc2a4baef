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
        let operand = instruction.as_ref().and_then(|it| destination(vcpu, it));
        let parts = operand.map(|(at, len)| self.watched_parts(vcpu, bus.memory(), at, len));
        let [first, second] = parts.unwrap_or_default();
        // What the operand does not tell: a bit string, or what a delivery has pushed.
        let page = |at: u64| at & !(PAGE_SIZE - 1);
        let is_known =
            |at: u64| [first, second].iter().flatten().any(|(known, _)| page(*known) == page(at));
        let other = written.filter(|at| !is_known(*at)).map(|at| (at, 8));
        let exit = vcpu.run(bus, 1);
        self.resume = None;
        self.pushed(vcpu, bus.memory(), stack);
        for (at, len) in [first, second, other].into_iter().flatten() {
            self.wrote(vcpu, bus.memory(), at, len);
        }
        if exit == Exit::Budget { Ok(None) } else { Err(exit) }
    }

    /// The parts of linear memory that lie in watched pages, as offsets of the backing. It reaches
    /// into two pages at most.
    fn watched_parts(
        &self,
        vcpu: &Vcpu,
        memory: &GuestMemory,
        first: u64,
        len: u64,
    ) -> [Option<(u64, u64)>; 2] {
        let in_first = len.min(PAGE_SIZE - (first & (PAGE_SIZE - 1)));
        let parts = [(first, in_first), (first.wrapping_add(in_first), len - in_first)];
        parts.map(|(linear, len)| {
            let physical = vcpu.system().physical_of(memory, linear).filter(|_| len > 0)?;
            let PageKind::Ram(frame) = memory.page(physical) else { return None };
            let watched = self.shadow.is_watched(frame as u64);
            watched.then_some((frame as u64 + (physical & (PAGE_SIZE - 1)), len))
        })
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
        for (at, len) in self.watched_parts(vcpu, memory, first, len).into_iter().flatten() {
            self.wrote(vcpu, memory, at, len);
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

/// Where an instruction writes its first operand, and how much, if that is memory.
fn destination(vcpu: &Vcpu, instruction: &Instruction) -> Option<(u64, u64)> {
    /// Operands of no fixed size: FXSAVE and XSAVE areas.
    const AREA: u64 = 1024;
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
    let size = instruction.memory_size().size() as u64;
    Some((linear, if size == 0 { AREA } else { size }))
}

/// The instruction that the guest is at.
pub(crate) fn instruction_at(vcpu: &Vcpu, memory: &GuestMemory) -> Option<Instruction> {
    let bytes = vcpu.code_bytes(memory);
    decode(vcpu.code_size(), &bytes, vcpu.pc()).ok()
}
