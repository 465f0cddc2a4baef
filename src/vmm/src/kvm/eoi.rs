//! PV EOI: the guest ends an interrupt by clearing a bit in its own memory, and need not leave for it.
//!
//! The monitor sets the bit when it injects an interrupt whose end nobody waits for: it is edge
//! triggered, alone in service, and nothing is requested behind it. The guest that finds the bit clears
//! it and writes no EOI. The monitor looks at each exit, and makes the EOI good before the local APIC is
//! looked at. If something comes to be requested meanwhile, it takes the bit back: the guest's end of
//! the interrupt then is an exit again.
//!
//! Source: Linux, Documentation/virt/kvm/x86/msr.rst, "MSR_KVM_EOI_EN".

use cutaway_cpu::{Bus, Vcpu};
use cutaway_memory::GuestMemory;
use serde::{Deserialize, Serialize};

use super::ENABLED;
use crate::vm::Vm;

pub(super) const EOI_EN: u32 = 0x4b56_4d04;
/// KVM_FEATURE_PV_EOI.
pub(super) const FEATURE: u32 = 1 << 6;
/// Bit of the MSR that must be zero: the word is aligned to 4 bytes.
const RESERVED: u64 = 2;
/// KVM_PV_EOI_ENABLED in the guest's word: it need not write an EOI.
const SKIP: u32 = 1;

/// What of it the guest sees and a snapshot keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PvEoi {
    /// The MSR, as written last.
    pub(super) msr: u64,
    /// The bit was set, and the end of the interrupt has not been seen.
    waits: bool,
}

impl PvEoi {
    /// Takes a value for the MSR; whether it may have it.
    pub(super) fn write(&mut self, value: u64) -> bool {
        if value & RESERVED != 0 {
            return false;
        }
        self.msr = value;
        true
    }

    /// The guest's word, if there is one and it lies in RAM.
    fn word(&self, memory: &GuestMemory) -> Option<u64> {
        let address = self.msr & !ENABLED;
        (self.msr & ENABLED != 0 && memory.is_ram(address, 4)).then_some(address)
    }
}

impl Vm {
    fn pv_eoi(&mut self) -> Option<&mut PvEoi> {
        self.kvm.as_mut()?.eoi.as_mut()
    }

    /// An interrupt is being injected: the guest may skip its EOI, if nothing hangs on it.
    pub(crate) fn offer_to_skip_eoi(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus) {
        if !bus.end_may_wait() {
            return;
        }
        let Some(eoi) = self.pv_eoi().filter(|eoi| !eoi.waits) else { return };
        let Some(address) = eoi.word(bus.memory()) else { return };
        eoi.waits = true;
        let word = read(bus.memory(), address);
        self.put(vcpu, bus.memory(), address, &(word | SKIP).to_le_bytes());
    }

    /// The guest has left: makes good the EOI that it has skipped.
    pub(crate) fn take_skipped_eoi(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus) {
        let Some(eoi) = self.pv_eoi().filter(|eoi| eoi.waits) else { return };
        let word = eoi.word(bus.memory()).map(|address| read(bus.memory(), address));
        if word.is_some_and(|word| word & SKIP != 0) {
            return self.take_back_skip(vcpu, bus);
        }
        eoi.waits = false;
        if word.is_some() {
            bus.end_of_interrupt(vcpu.ticks());
        }
    }

    /// Something may have come to be requested since the guest has left, or while it ran.
    pub(crate) fn attend_skipped_eoi(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus) {
        if self.pv_eoi().is_some_and(|eoi| eoi.waits) && bus.is_interrupt_requested() {
            self.take_skipped_eoi(vcpu, bus);
        }
    }

    /// The guest is about to name another word, or none.
    pub(super) fn forget_skip(&mut self, vcpu: &mut Vcpu, memory: &mut GuestMemory) {
        let Some(eoi) = self.pv_eoi().filter(|eoi| eoi.waits) else { return };
        eoi.waits = false;
        let Some(address) = eoi.word(memory) else { return };
        let word = read(memory, address);
        self.put(vcpu, memory, address, &(word & !SKIP).to_le_bytes());
    }

    /// The guest has not ended its interrupt. If another one hangs on that, it must not skip it.
    fn take_back_skip(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus) {
        if bus.is_interrupt_requested() {
            self.forget_skip(vcpu, bus.memory());
        }
    }
}

fn read(memory: &GuestMemory, address: u64) -> u32 {
    let mut word = [0; 4];
    memory.read(address, &mut word);
    u32::from_le_bytes(word)
}

#[cfg(test)]
mod tests;
