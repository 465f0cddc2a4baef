//! Paravirtualization: hypercalls, and what guest and monitor share.
//!
//! A guest that knows of the monitor asks it by VMMCALL: the number in EAX, arguments in EBX and ECX, the
//! result in EAX. IF lies in memory that both can reach, so that turning interrupts off and on traps only
//! if one waits; the monitor acknowledges interrupts in the guest's place. The rest of the guest runs as by
//! trap-and-emulate, since a port need not be complete.
//!
//! The interface is documented in docs/virtualization.md.

use cutaway_cpu::{Bus, Vcpu};
use cutaway_isa::{Rflags, Width};
use cutaway_memory::{GuestMemory, PageKind};
use serde::{Deserialize, Serialize};

use crate::vm::Vm;

/// VMMCALL.
pub(crate) const VMMCALL: [u8; 3] = [0x0f, 0x01, 0xd9];
/// The version that the first call answers with.
const VERSION: u32 = 1;
/// What a call answers that cannot be done.
const FAILED: u32 = u32::MAX;
/// The most characters, and entries of page tables, that a call takes.
const CONSOLE_MAX: u32 = 16 << 10;
const PAGES_MAX: u32 = 512;
/// The 8254's clock and ports, the 8259As' command ports and their end of interrupt.
const PIT_HZ: u32 = 1_193_182;
const PIT: [u16; 2] = [0x40, 0x43];
const PIC: [u16; 2] = [0x20, 0xa0];
const EOI: u32 = 0x20;

/// What a guest can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hypercall {
    /// EBX: where the shared variables lie.
    Start,
    /// EBX, ECX: characters for the console.
    Console,
    /// EBX, ECX: entries of page tables to set.
    Pages,
    /// EBX: the page directory to use.
    SetCr3,
    /// Takes interrupts and waits for one.
    Block,
    /// Takes interrupts that wait.
    Events,
    /// EBX: timer interrupts a second.
    Timer,
}

impl Hypercall {
    const ALL: [Self; 7] = [
        Self::Start,
        Self::Console,
        Self::Pages,
        Self::SetCr3,
        Self::Block,
        Self::Events,
        Self::Timer,
    ];
}

/// The variables that guest and monitor share: IF as a dword of any value, and behind it whether an
/// interrupt waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shared {
    /// Guest-physical address.
    pub(crate) address: u64,
}

impl Shared {
    fn read(self, memory: &GuestMemory) -> u32 {
        let mut bytes = [0; 4];
        memory.read(self.address, &mut bytes);
        u32::from_le_bytes(bytes)
    }
}

impl Vm {
    /// Lets the guest's kernel see IF and what waits.
    pub(crate) fn share(&self, vcpu: &mut Vcpu, bus: &mut dyn Bus) {
        let Some(shared) = self.shared.filter(|_| vcpu.cpl() == 0) else { return };
        let waits = u32::from(bus.pins().intr);
        let open = (vcpu.rflags() & Rflags::IF.bits()) as u32;
        let memory = bus.memory();
        let mut bytes = [0; 8];
        memory.read(shared.address, &mut bytes);
        let mut now = [0; 8];
        now[..4].copy_from_slice(&open.to_le_bytes());
        now[4..].copy_from_slice(&waits.to_le_bytes());
        if bytes != now {
            memory.write(shared.address, &now);
            wrote(vcpu, memory, shared.address, 8);
        }
    }

    /// Takes IF as the guest's kernel left it.
    pub(crate) fn take_shared(&self, vcpu: &mut Vcpu, memory: &GuestMemory) {
        if let Some(shared) = self.shared.filter(|_| vcpu.cpl() == 0) {
            vcpu.set_interrupt_flag(shared.read(memory) != 0);
        }
    }

    /// Acknowledges an interrupt that was delivered, in the guest's place.
    pub(crate) fn acknowledge(&self, bus: &mut dyn Bus, at: u64) {
        if self.shared.is_some() {
            PIC.into_iter().rev().for_each(|pic| bus.port_write(pic, Width::Byte, EOI, at));
        }
    }

    /// Does what the guest asks for. It takes a tick, as an instruction.
    pub(crate) fn hypercall(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus) {
        let [number, ebx, ecx] = [0, 3, 1].map(|register| vcpu.gpr(register) as u32);
        let result = match Hypercall::ALL.get(number as usize) {
            Some(call) => self.serve(vcpu, bus, *call, ebx, ecx),
            None => FAILED,
        };
        vcpu.set_gpr(0, u64::from(result));
        vcpu.set_rip((vcpu.rip() + VMMCALL.len() as u64) & 0xffff_ffff);
        vcpu.retire();
    }

    fn serve(
        &mut self,
        vcpu: &mut Vcpu,
        bus: &mut dyn Bus,
        call: Hypercall,
        ebx: u32,
        ecx: u32,
    ) -> u32 {
        match call {
            Hypercall::Start => {
                let address = vcpu.system().physical_of(bus.memory(), u64::from(ebx));
                let fits = address.filter(|at| at % 8 == 0 && bus.memory().is_ram(*at, 8));
                let Some(address) = fits else { return FAILED };
                self.shared = Some(Shared { address });
                VERSION
            }
            Hypercall::Console => {
                for n in 0..ecx.min(CONSOLE_MAX) {
                    let linear = u64::from(ebx.wrapping_add(n));
                    let physical = vcpu.system().physical_of(bus.memory(), linear);
                    let Some(physical) = physical else { return FAILED };
                    let mut byte = [0];
                    bus.memory().read(physical, &mut byte);
                    bus.console(byte[0]);
                }
                0
            }
            Hypercall::Pages => {
                for n in 0..ecx.min(PAGES_MAX) {
                    let mut pair = [0; 8];
                    for (byte, at) in pair.iter_mut().zip(ebx.wrapping_add(n * 8)..) {
                        let physical = vcpu.system().physical_of(bus.memory(), u64::from(at));
                        let Some(physical) = physical else { return FAILED };
                        bus.memory().read(physical, std::slice::from_mut(byte));
                    }
                    let address =
                        u64::from(u32::from_le_bytes([pair[0], pair[1], pair[2], pair[3]]));
                    let memory = bus.memory();
                    let PageKind::Ram(frame) = memory.page(address) else { return FAILED };
                    if address % 4 != 0 {
                        return FAILED;
                    }
                    memory.write(address, &pair[4..]);
                    vcpu.memory_written(frame + (address & 0xfff) as usize, 4);
                    self.wrote(vcpu, memory, frame as u64 + (address & 0xfff), 4);
                }
                0
            }
            Hypercall::SetCr3 => {
                if vcpu.load_cr3(bus, u64::from(ebx)).is_err() {
                    FAILED
                } else {
                    0
                }
            }
            Hypercall::Block => {
                vcpu.set_interrupt_flag(true);
                vcpu.halt();
                0
            }
            Hypercall::Events => {
                vcpu.set_interrupt_flag(true);
                0
            }
            Hypercall::Timer => {
                let count = PIT_HZ / ebx.clamp(19, PIT_HZ);
                let at = vcpu.ticks();
                // Counter 0, both bytes, mode 2.
                bus.port_write(PIT[1], Width::Byte, 0x34, at);
                bus.port_write(PIT[0], Width::Byte, count & 0xff, at);
                bus.port_write(PIT[0], Width::Byte, count >> 8, at);
                0
            }
        }
    }
}

/// Tells the CPU of a write to guest memory.
pub(crate) fn wrote(vcpu: &mut Vcpu, memory: &GuestMemory, address: u64, len: u64) {
    if let PageKind::Ram(frame) = memory.page(address) {
        vcpu.memory_written(frame + (address & 0xfff) as usize, len);
    }
}
