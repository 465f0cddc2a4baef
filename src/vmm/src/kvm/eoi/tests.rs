//! The guest's word, by Documentation/virt/kvm/x86/msr.rst, and the EOIs that follow from it.

use super::*;
use crate::shadow::Verdict;
use crate::{Kvm, Model, Options, Paging};
use cutaway_cpu::{CpuModel, Exception, Pins};
use cutaway_isa::{Cr0, Vector, Width};

const WORD: u64 = 0x3000;

/// A machine whose local APIC is three facts.
struct Apic {
    memory: GuestMemory,
    end_may_wait: bool,
    requested: bool,
    ends: usize,
}

impl Bus for Apic {
    fn memory(&mut self) -> &mut GuestMemory {
        &mut self.memory
    }
    fn port_read(&mut self, _port: u16, width: Width, _at: u64) -> u32 {
        width.mask() as u32
    }
    fn port_write(&mut self, _port: u16, _width: Width, _value: u32, _at: u64) {}
    fn mmio_read(&mut self, _address: u64, width: Width, _at: u64) -> u64 {
        width.mask()
    }
    fn mmio_write(&mut self, _address: u64, _width: Width, _value: u64, _at: u64) {}
    fn pins(&self) -> Pins {
        Pins::default()
    }
    fn acknowledge(&mut self, _at: u64) -> Vector {
        Vector(0x30)
    }
    fn stop_at(&self) -> u64 {
        u64::MAX
    }
    fn end_may_wait(&self) -> bool {
        self.end_may_wait
    }
    fn is_interrupt_requested(&self) -> bool {
        self.requested
    }
    fn end_of_interrupt(&mut self, _at: u64) {
        self.ends += 1;
    }
}

struct Bench {
    vm: Vm,
    vcpu: Vcpu,
    bus: Apic,
}

impl Bench {
    /// The word is at [`WORD`], and an interrupt has been injected.
    fn new(msr: u64, end_may_wait: bool) -> Self {
        let mut memory = GuestMemory::new(0x1_0000 + crate::MONITOR_BYTES).unwrap();
        memory.add_ram(0, 0x1_0000).unwrap();
        let vcpu = Vcpu::new(CpuModel::by_name("max,+svm,+apic").unwrap());
        let mut vm = Vm::new(Options::of(Model::Hardware), &mut memory, &vcpu);
        vm.offer_kvm(Kvm::new(1_000_000_000, 0).with_pv_eoi());
        let mut bench =
            Self { vm, vcpu, bus: Apic { memory, end_may_wait, requested: false, ends: 0 } };
        assert!(bench.vm.kvm.as_mut().unwrap().write(EOI_EN, msr));
        bench.vm.offer_to_skip_eoi(&mut bench.vcpu, &mut bench.bus);
        bench
    }

    fn leave(&mut self) {
        self.vm.take_skipped_eoi(&mut self.vcpu, &mut self.bus);
    }

    fn word(&self) -> u32 {
        read(&self.bus.memory, WORD)
    }
}

#[test]
fn a_bit_that_the_guest_has_cleared_is_one_eoi() {
    let mut bench = Bench::new(WORD | 1, true);
    assert_eq!(bench.word(), 1);

    bench.leave();
    assert_eq!((bench.bus.ends, bench.word()), (0, 1), "the interrupt is still in service");
    bench.bus.memory.write(WORD, &[0; 4]);
    bench.leave();
    bench.leave();

    assert_eq!(bench.bus.ends, 1);
}

#[test]
fn no_bit_where_it_is_off_or_something_hangs_on_the_end() {
    for (msr, end_may_wait) in [(WORD, true), (WORD | 1, false), (0x1_0000 | 1, true)] {
        let mut bench = Bench::new(msr, end_may_wait);
        assert_eq!(bench.word(), 0, "{msr:#x}");
        bench.leave();
        assert_eq!(bench.bus.ends, 0, "{msr:#x}");
    }
    assert!(!PvEoi::default().write(WORD | 3), "a reserved bit is a #GP");
}

#[test]
fn the_bit_is_taken_back_when_something_is_requested() {
    let mut bench = Bench::new(WORD | 1, true);
    bench.vm.attend_skipped_eoi(&mut bench.vcpu, &mut bench.bus);
    assert_eq!(bench.word(), 1);

    bench.bus.requested = true;
    bench.vm.attend_skipped_eoi(&mut bench.vcpu, &mut bench.bus);
    assert_eq!((bench.word(), bench.bus.ends), (0, 0));
    bench.leave();
    assert_eq!(bench.bus.ends, 0, "the guest writes its EOI itself");
}

#[test]
fn a_request_lets_a_skipped_end_in() {
    let mut bench = Bench::new(WORD | 1, true);
    bench.bus.memory.write(WORD, &[0; 4]);

    bench.bus.requested = true;
    bench.vm.attend_skipped_eoi(&mut bench.vcpu, &mut bench.bus);

    assert_eq!(bench.bus.ends, 1);
}

#[test]
fn a_word_that_is_given_up_has_no_bit_left() {
    let mut bench = Bench::new(WORD | 1, true);

    bench.vm.forget_skip(&mut bench.vcpu, &mut bench.bus.memory);

    assert_eq!(bench.word(), 0);
    bench.leave();
    assert_eq!(bench.bus.ends, 0);
}

/// The word is a PTE, whose present bit the monitor sets and takes back: the shadow must follow.
#[test]
fn a_word_among_page_tables_reaches_the_shadow() {
    const LINEAR: u64 = 0x8000;
    const PTE: u64 = 0x5000 + LINEAR / 0x1000 * 4;
    let mut bench = Bench::new(PTE | 1, false);
    for (at, entry) in [(0x4000, 0x5007_u32), (PTE, 0x8006)] {
        bench.bus.memory.write(at, &entry.to_le_bytes());
    }
    let system = bench.vcpu.system_mut();
    (system.cr0, system.cr3) = ((Cr0::PG | Cr0::PE).bits(), 0x4000);
    bench.vcpu.settle_system();
    bench.vm.paging = Paging::Shadow;
    let guest = bench.vcpu.system().clone();
    bench.vm.shadow.activate(&mut bench.bus.memory, &guest, &mut bench.vm.world);

    bench.bus.end_may_wait = true;
    bench.vm.offer_to_skip_eoi(&mut bench.vcpu, &mut bench.bus);
    let fault = Exception { vector: Vector::PF, code: 0, address: LINEAR };
    let verdict =
        bench.vm.shadow.fault(&mut bench.vcpu, &mut bench.bus, &mut bench.vm.world, fault);
    assert!(matches!(verdict, Verdict::Filled));
    let is_mapped = |bench: &Bench| {
        let walk = bench.vm.shadow_walk(&bench.bus.memory, LINEAR);
        walk.last().is_some_and(|(_, leaf)| leaf & 1 != 0)
    };
    assert!(is_mapped(&bench));

    bench.bus.requested = true;
    bench.vm.attend_skipped_eoi(&mut bench.vcpu, &mut bench.bus);
    assert!(!is_mapped(&bench), "the guest has no such page any more");
}
