//! KVM's paravirtual interface, as an unmodified Linux looks for it: a clock, the time that the host
//! took from the guest, and ends of interrupts without an exit.
//!
//! The guest finds it by CPUID and hands over guest-physical addresses in MSRs; there the monitor keeps
//! records for it. Each has a version, odd while it is written. The guest adds to the clock's record what
//! its TSC counted since, so the record changes only where the TSC stops to tell the truth: when the TSC
//! is written, and when time was stolen.
//!
//! Time: system time is the guest's own clock, from power-on, plus what was stolen. The TSC and all
//! chips stand still while time is stolen, so the TSC is not invariant and CPUID does not say so.
//!
//! Source: Linux, Documentation/virt/kvm/x86/cpuid.rst and msr.rst.
//!
//! Not modelled: asynchronous page faults and PV unhalt; the MSRs 11h and 12h of the first kernels; the
//! flag of a guest that was stopped.

mod eoi;

use cutaway_cpu::{Bus, Exit, Vcpu};
use cutaway_isa::msr;
use cutaway_memory::{GuestMemory, PAGE_SIZE, PageKind};
use serde::{Deserialize, Serialize};

use crate::vm::Vm;
use eoi::EOI_EN;
pub use eoi::PvEoi;

const WALL_CLOCK_NEW: u32 = 0x4b56_4d00;
const SYSTEM_TIME_NEW: u32 = 0x4b56_4d01;
const STEAL_TIME: u32 = 0x4b56_4d03;
/// IA32_BIOS_UPDT_TRIG, which the CPU takes any value for and does nothing.
const BIOS_UPDT_TRIG: u32 = 0x79;

/// Bit 0 of the MSRs of clock and steal time: the record is kept.
const ENABLED: u64 = 1;
/// Bits of [`STEAL_TIME`] that must be zero: its record is aligned to 64 bytes.
const STEAL_RESERVED: u64 = 0x3e;
const CLOCK_ALIGN: u64 = 4;

/// The leaves, from the first on.
const LEAF: u32 = 0x4000_0000;
const LEAF_FEATURES: u32 = 0x4000_0001;
/// "KVMKVMKVM\0\0\0" in EBX, ECX and EDX.
const SIGNATURE: [u32; 3] = [0x4b4d_564b, 0x564b_4d56, 0x0000_004d];
/// NOP_IO_DELAY, CLOCKSOURCE2, STEAL_TIME, CLOCKSOURCE_STABLE.
const FEATURES: u32 = 1 << 1 | 1 << 3 | 1 << 5 | 1 << 24;
/// PVCLOCK_TSC_STABLE: the clock is monotonic over all CPUs, of which there is one.
const TSC_STABLE: u8 = 1 << 0;

const NS_PER_SECOND: u128 = 1_000_000_000;
const RAX: usize = 0;
const RCX: usize = 1;
const RDX: usize = 2;
const RBX: usize = 3;

/// The interface, as one guest has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kvm {
    /// Ticks in a second; not zero.
    ips: u64,
    /// When the guest was switched on, in seconds since 1970.
    boot: i64,
    state: KvmState,
    /// For a guest with a local APIC.
    eoi: Option<PvEoi>,
}

/// What of it the guest sees and a snapshot keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvmState {
    /// The MSRs, as written last.
    wall_clock: u64,
    system_time: u64,
    steal_time: u64,
    /// Ticks that the host took since power-on.
    stolen: u64,
}

impl Kvm {
    /// For a guest of so many ticks a second, switched on at a time in seconds since 1970.
    #[must_use]
    pub fn new(ips: u64, boot: i64) -> Self {
        Self { ips: ips.max(1), boot, state: KvmState::default(), eoi: None }
    }

    /// The same for a guest with a local APIC.
    #[must_use]
    pub fn with_pv_eoi(self) -> Self {
        Self { eoi: Some(PvEoi::default()), ..self }
    }

    /// What a snapshot keeps of PV EOI, if the guest has it.
    #[must_use]
    pub fn eoi(&self) -> Option<PvEoi> {
        self.eoi
    }

    /// What a snapshot keeps.
    #[must_use]
    pub fn state(&self) -> KvmState {
        self.state
    }

    fn ns(&self, ticks: u128) -> u64 {
        u64::try_from(ticks * NS_PER_SECOND / u128::from(self.ips)).unwrap_or(u64::MAX)
    }

    /// Nanoseconds since power-on, those that were stolen included.
    fn system_ns(&self, ticks: u64) -> u64 {
        self.ns(u128::from(ticks) + u128::from(self.state.stolen))
    }

    /// What makes nanoseconds of ticks: shifted left by the second, or right if it is negative, and
    /// times the first through 2^32. The first has its top bit set. Both are rounded down, so that
    /// the guest's clock is never ahead of the monitor's.
    fn scale(&self) -> (u32, i8) {
        let mut shift = 0_i8;
        loop {
            // At most 62 bits, and 35 more for the highest rate.
            let wide = NS_PER_SECOND << 32;
            let wide = if shift < 0 { wide << -shift } else { wide >> shift };
            match wide / u128::from(self.ips) {
                ratio if ratio >> 32 != 0 => shift += 1,
                ratio if ratio >> 31 == 0 => shift -= 1,
                ratio => return (ratio as u32, shift),
            }
        }
    }

    /// `pvclock_vcpu_time_info` behind its version.
    fn clock_record(&self, ticks: u64, tsc: u64) -> [u8; 28] {
        let mut record = [0; 28];
        let (mul, shift) = self.scale();
        record[4..12].copy_from_slice(&tsc.to_le_bytes());
        record[12..20].copy_from_slice(&self.system_ns(ticks).to_le_bytes());
        record[20..24].copy_from_slice(&mul.to_le_bytes());
        record[24] = shift as u8;
        record[25] = TSC_STABLE;
        record
    }

    /// `pvclock_wall_clock` behind its version: when system time was zero.
    fn wall_record(&self) -> [u8; 8] {
        let mut record = [0; 8];
        record[..4].copy_from_slice(&(self.boot as u32).to_le_bytes());
        record
    }

    /// The value of an MSR, if it is one of these.
    fn read(&self, number: u32) -> Option<u64> {
        match number {
            WALL_CLOCK_NEW => Some(self.state.wall_clock),
            SYSTEM_TIME_NEW => Some(self.state.system_time),
            STEAL_TIME => Some(self.state.steal_time),
            EOI_EN => self.eoi.map(|eoi| eoi.msr),
            _ => None,
        }
    }

    /// Takes a value for an MSR; whether it may have it.
    fn write(&mut self, number: u32, value: u64) -> bool {
        let place = match number {
            WALL_CLOCK_NEW => &mut self.state.wall_clock,
            SYSTEM_TIME_NEW => &mut self.state.system_time,
            STEAL_TIME if value & STEAL_RESERVED == 0 => &mut self.state.steal_time,
            EOI_EN => return self.eoi.as_mut().is_some_and(|eoi| eoi.write(value)),
            _ => return false,
        };
        *place = value;
        true
    }
}

impl Vm {
    /// Lets a guest by hardware assistance find KVM's interface.
    pub fn offer_kvm(&mut self, kvm: Kvm) {
        self.kvm = Some(kvm);
    }

    /// KVM's interface, if the guest has it.
    #[must_use]
    pub fn kvm(&self) -> Option<&Kvm> {
        self.kvm.as_ref()
    }

    /// Puts back what a snapshot kept of it.
    pub fn load_kvm(&mut self, state: KvmState) {
        if let Some(kvm) = &mut self.kvm {
            kvm.state = state;
        }
    }

    /// Puts back what a snapshot kept of PV EOI.
    pub fn load_pv_eoi(&mut self, state: PvEoi) {
        if let Some(kvm) = &mut self.kvm {
            kvm.eoi = kvm.eoi.map(|_| state);
        }
    }

    /// As a reset of the CPU: the MSRs are zero, and no record is kept. Time goes on.
    pub fn reset_kvm(&mut self) {
        if let Some(kvm) = &mut self.kvm {
            kvm.state = KvmState { stolen: kvm.state.stolen, ..KvmState::default() };
            kvm.eoi = kvm.eoi.map(|_| PvEoi::default());
        }
    }

    /// Tells the guest that the host took so many ticks from it. Only between runs.
    pub fn steal(&mut self, vcpu: &mut Vcpu, memory: &mut GuestMemory, ticks: u64) {
        let Some(kvm) = &mut self.kvm else { return };
        kvm.state.stolen = kvm.state.stolen.saturating_add(ticks);
        self.keep_clock(vcpu, memory);
        self.keep_steal_time(vcpu, memory);
    }

    /// Brings the record of the clock up to date.
    fn keep_clock(&mut self, vcpu: &mut Vcpu, memory: &mut GuestMemory) {
        let Some(kvm) = &self.kvm else { return };
        let (ticks, msr) = (vcpu.ticks(), kvm.state.system_time);
        if msr & ENABLED != 0 {
            let tsc = ticks.wrapping_add(vcpu.system().msrs.tsc_offset);
            let record = kvm.clock_record(ticks, tsc);
            self.keep(vcpu, memory, msr & !ENABLED, 0, &record);
        }
    }

    /// Brings the record of stolen time up to date: nanoseconds, the version, and no flags.
    fn keep_steal_time(&mut self, vcpu: &mut Vcpu, memory: &mut GuestMemory) {
        let Some(kvm) = &self.kvm else { return };
        let msr = kvm.state.steal_time;
        if msr & ENABLED != 0 {
            let address = msr & !ENABLED;
            let steal = kvm.ns(u128::from(kvm.state.stolen));
            if memory.is_ram(address, 64) {
                self.put(vcpu, memory, address, &steal.to_le_bytes());
                self.keep(vcpu, memory, address, 8, &[0; 4]);
            }
        }
    }

    /// RDMSR or WRMSR of one of these MSRs. None if the CPU has to say what becomes of it.
    pub(crate) fn access_kvm_msr(
        &mut self,
        vcpu: &mut Vcpu,
        bus: &mut dyn Bus,
        write: bool,
    ) -> Option<Result<(), Exit>> {
        let (number, rip) = (vcpu.gpr(RCX), vcpu.rip());
        let mut value = self.kvm.as_ref()?.read(number as u32)?;
        if write {
            if number as u32 == EOI_EN {
                self.forget_skip(vcpu, bus.memory());
            }
            let kvm = self.kvm.as_mut()?;
            value = vcpu.gpr(RAX) & 0xffff_ffff | vcpu.gpr(RDX) << 32;
            if !kvm.write(number as u32, value) {
                return None;
            }
        }
        // The instruction runs with an MSR in the place that it does no harm to: so it ends as any
        // other does, in a trap of single-stepping too.
        vcpu.set_gpr(RCX, u64::from(if write { BIOS_UPDT_TRIG } else { msr::TSC }));
        let exit = vcpu.run(bus, 1);
        vcpu.set_gpr(RCX, number);
        if !write && vcpu.rip() != rip {
            vcpu.set_gpr(RAX, value & 0xffff_ffff);
            vcpu.set_gpr(RDX, value >> 32);
        }
        match number as u32 {
            WALL_CLOCK_NEW if write => {
                let record = self.kvm.as_ref()?.wall_record();
                self.keep(vcpu, bus.memory(), value, 0, &record);
            }
            SYSTEM_TIME_NEW if write => self.keep_clock(vcpu, bus.memory()),
            STEAL_TIME if write => self.keep_steal_time(vcpu, bus.memory()),
            _ => {}
        }
        Some(if exit == Exit::Budget { Ok(()) } else { Err(exit) })
    }

    /// The guest has written an MSR of the CPU: the clock hangs on the TSC.
    pub(crate) fn msr_written(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus, number: u64) {
        if number as u32 == msr::TSC {
            self.keep_clock(vcpu, bus.memory());
        }
    }

    /// What CPUID says about the interface, over what the CPU has said.
    pub(crate) fn show_kvm(&self, vcpu: &mut Vcpu, leaf: u32) {
        const HYPERVISOR: u64 = 1 << 31;
        const INVARIANT_TSC: u64 = 1 << 8;
        let Some(kvm) = &self.kvm else { return };
        let [b, c, d] = SIGNATURE;
        let all = match leaf {
            1 => return vcpu.set_gpr(RCX, vcpu.gpr(RCX) | HYPERVISOR),
            0x8000_0007 => return vcpu.set_gpr(RDX, vcpu.gpr(RDX) & !INVARIANT_TSC),
            LEAF => [LEAF_FEATURES, b, c, d],
            LEAF_FEATURES => [FEATURES | kvm.eoi.map_or(0, |_| eoi::FEATURE), 0, 0, 0],
            _ => return,
        };
        for (register, value) in [RAX, RBX, RCX, RDX].into_iter().zip(all) {
            vcpu.set_gpr(register, u64::from(value));
        }
    }
}

/// Records in guest memory.
impl Vm {
    /// Writes a record behind its version, which is at `version` from its address on: it is odd while
    /// the guest must not look, and even and another one in the end. What does not lie in RAM is not
    /// kept.
    fn keep(
        &mut self,
        vcpu: &mut Vcpu,
        memory: &mut GuestMemory,
        address: u64,
        version: u64,
        record: &[u8],
    ) {
        let len = version + 4 + record.len() as u64;
        if !address.is_multiple_of(CLOCK_ALIGN) || !memory.is_ram(address, len) {
            return;
        }
        let at = address + version;
        let mut before = [0; 4];
        memory.read(at, &mut before);
        let odd = (u32::from_le_bytes(before) | 1).wrapping_add(2 * u32::from(before[0] & 1));
        self.put(vcpu, memory, at, &odd.to_le_bytes());
        self.put(vcpu, memory, at + 4, record);
        self.put(vcpu, memory, at, &odd.wrapping_add(1).to_le_bytes());
    }

    /// Writes to guest RAM, and lets the CPU and the shadow page tables know.
    fn put(&mut self, vcpu: &mut Vcpu, memory: &mut GuestMemory, address: u64, bytes: &[u8]) {
        memory.write(address, bytes);
        // Aligned as it is, no dword lies in two pages.
        for (at, dword) in (address..).step_by(4).zip(bytes.chunks(4)) {
            let PageKind::Ram(frame) = memory.page(at) else { continue };
            let (offset, len) = (frame as u64 + (at & (PAGE_SIZE - 1)), dword.len() as u64);
            vcpu.memory_written(offset as usize, len);
            self.wrote(vcpu, memory, offset, len);
        }
    }
}

#[cfg(test)]
mod tests;
