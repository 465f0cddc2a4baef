//! What the guest finds in its records, by the layouts in Documentation/virt/kvm/x86/msr.rst.

use super::*;
use crate::{Model, Options};
use cutaway_cpu::CpuModel;

/// A guest with 64 KiB of RAM whose records are at 1000h and 2000h.
struct Bench {
    vm: Vm,
    vcpu: Vcpu,
    memory: GuestMemory,
}

impl Bench {
    fn new(ips: u64) -> Self {
        let mut memory = GuestMemory::new(0x1_0000 + crate::MONITOR_BYTES).unwrap();
        memory.add_ram(0, 0x1_0000).unwrap();
        let vcpu = Vcpu::new(CpuModel::by_name("max,+svm").unwrap());
        let mut vm = Vm::new(Options::of(Model::Hardware), &mut memory, &vcpu);
        vm.offer_kvm(Kvm::new(ips, 1_600_000_000));
        Self { vm, vcpu, memory }
    }

    fn set(&mut self, number: u32, value: u64) -> bool {
        let taken = self.vm.kvm.as_mut().unwrap().write(number, value);
        self.vm.keep_clock(&mut self.vcpu, &mut self.memory);
        self.vm.keep_steal_time(&mut self.vcpu, &mut self.memory);
        taken
    }

    fn steal(&mut self, ticks: u64) {
        self.vm.steal(&mut self.vcpu, &mut self.memory, ticks);
    }

    fn number(&self, address: u64, bytes: usize) -> u64 {
        let mut value = [0; 8];
        self.memory.read(address, &mut value[..bytes]);
        u64::from_le_bytes(value)
    }

    /// System time, as msr.rst has the guest work it out.
    fn guest_ns(&self, tsc: u64) -> u64 {
        let shift = self.number(0x101c, 1) as u8 as i8;
        let delta = tsc - self.number(0x1008, 8);
        let delta = if shift < 0 { delta >> -shift } else { delta << shift };
        let scaled = u128::from(delta) * u128::from(self.number(0x1018, 4));
        self.number(0x1010, 8) + (scaled >> 32) as u64
    }
}

#[test]
fn the_clock_counts_nanoseconds_at_every_rate() {
    for ips in [1_000_000, 999_999_999, 1_000_000_000, 2_400_000_000, 100_000_000_000] {
        let mut bench = Bench::new(ips);
        bench.vcpu.skip_ticks(ips);
        assert!(bench.set(SYSTEM_TIME_NEW, 0x1001));

        assert_eq!(bench.guest_ns(ips), 1_000_000_000, "{ips}");
        let minute = bench.guest_ns(61 * ips);
        assert!((60_999_999_900..=61_000_000_000).contains(&minute), "{ips}: {minute}");
    }
}

#[test]
fn stolen_time_is_in_the_clock_and_in_its_own_record() {
    let mut bench = Bench::new(2_000_000_000);
    bench.set(SYSTEM_TIME_NEW, 0x1001);
    bench.set(STEAL_TIME, 0x2001);
    let version = bench.number(0x1000, 4);

    bench.steal(6_000_000_000);

    assert_eq!(bench.guest_ns(0), 3_000_000_000);
    assert_eq!(bench.number(0x2000, 8), 3_000_000_000, "steal");
    assert_eq!(bench.number(0x1000, 4), version + 2, "even, and another");
    assert_eq!(bench.number(0x2008, 4) % 2, 0, "version of the steal time");
    assert_eq!(bench.number(0x101d, 1), 1, "PVCLOCK_TSC_STABLE");
}

#[test]
fn the_clock_goes_on_when_the_guest_writes_its_tsc() {
    let mut bench = Bench::new(1_000_000_000);
    bench.vcpu.skip_ticks(500);
    bench.set(SYSTEM_TIME_NEW, 0x1001);

    bench.vcpu.system_mut().msrs.tsc_offset = 7_000;
    bench.vm.keep_clock(&mut bench.vcpu, &mut bench.memory);

    assert_eq!(bench.guest_ns(7_500), 500);
}

#[test]
fn the_version_is_odd_only_within_a_write() {
    let mut bench = Bench::new(1_000_000_000);
    for (before, after) in [(0_u32, 2_u32), (1, 4), (2, 4), (u32::MAX, 2), (u32::MAX - 1, 0)] {
        bench.memory.write(0x1000, &before.to_le_bytes());
        bench.set(SYSTEM_TIME_NEW, 0x1001);
        assert_eq!(bench.number(0x1000, 4), u64::from(after), "after {before}");
    }
}

#[test]
fn records_outside_ram_are_not_kept() {
    let mut bench = Bench::new(1_000_000_000);
    let ends = [0xfff0, 0x1_0000, 0xffff_ffff_ffff_fffc, 0x1002, 1 << 63];
    for address in ends {
        assert!(bench.set(SYSTEM_TIME_NEW, address | 1));
        bench.steal(u64::MAX);
    }
    for address in [0x1_0000, 0xffff_ffff_ffff_ffc0, 1 << 63] {
        assert!(bench.set(STEAL_TIME, address | 1));
        bench.steal(u64::MAX);
    }
    let mut all = vec![0; 0x1_0000];
    bench.memory.read(0, &mut all);
    assert!(all.iter().all(|byte| *byte == 0));
    assert!(!bench.set(STEAL_TIME, 0x2003), "reserved bits are a #GP");
}

#[test]
fn nothing_is_kept_after_a_reset_or_when_turned_off() {
    let mut bench = Bench::new(1_000_000_000);
    bench.set(SYSTEM_TIME_NEW, 0x1001);
    bench.set(SYSTEM_TIME_NEW, 0x1000);
    let version = bench.number(0x1000, 4);
    bench.steal(1);
    assert_eq!(bench.number(0x1000, 4), version, "turned off");

    bench.set(SYSTEM_TIME_NEW, 0x1001);
    bench.vm.reset_kvm();
    let version = bench.number(0x1000, 4);
    bench.steal(1);
    assert_eq!(bench.number(0x1000, 4), version, "after a reset");
    assert_eq!(bench.vm.kvm().unwrap().state().stolen, 2, "time goes on");
}
