//! Where a guest's linear addresses lead under hardware assistance: nested paging, or shadow page
//! tables, as SVM without nested paging needs them.
//!
//! Under shadow tables CR0, CR3, CR4 and EFER of the physical CPU are the monitor's: paging is on even
//! where the guest's is off, in real mode too, and every access of the guest to its own ones is
//! intercepted, as are page faults. Between runs the guest is *parked*, so that the vCPU shows its own
//! registers.
//!
//! Source: AMD APM vol. 2 §15.25, "Nested Paging" (what a monitor does without it); §15.19, "Paged
//! Real Mode".

use cutaway_cpu::svm::{Guest, event, exit, vintr};
use cutaway_cpu::{Bus, Exception, Exit, System, Vcpu};
use cutaway_isa::{Cr0, Cr4, Efer, Vector};
use cutaway_memory::{GuestMemory, PAGE_SIZE};
use serde::{Deserialize, Serialize};

use crate::exits::Reason;
use crate::hardware::{GUEST_ASID, Pages, intercepts};
use crate::shadow::Verdict;
use crate::vm::Vm;

/// What translates a guest's addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Paging {
    /// The CPU walks the guest's tables, and the monitor's behind each step.
    #[default]
    Nested,
    /// The CPU walks the monitor's tables, which shadow the guest's.
    Shadow,
}

impl Paging {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Nested, Self::Shadow];

    /// The name as options take it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nested => "nested",
            Self::Shadow => "shadow",
        }
    }

    /// The one of a name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|paging| paging.name() == name)
    }
}

/// Exit code of an intercepted #PF.
pub(crate) const PAGE_FAULT: u64 = exit::EXCEPTION + Vector::PF.0 as u64;
/// What leaves the guest for the sake of shadow page tables: whatever could show it the monitor's
/// paging registers, or change them.
pub(crate) const SHADOW_INTERCEPTS: [u64; 8] = [
    exit::CR_READ,
    exit::CR_READ + 3,
    exit::CR_READ + 4,
    exit::CR_WRITE,
    exit::CR_WRITE + 3,
    exit::CR_WRITE + 4,
    PAGE_FAULT,
    exit::TASK_SWITCH,
];

/// The registers by which the CPU pages: CR0, CR3, CR4, EFER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) cr0: u64,
    pub(crate) cr3: u64,
    pub(crate) cr4: u64,
    pub(crate) efer: u64,
}

impl Registers {
    /// The guest's own, as nested paging leaves them.
    pub(crate) fn own(guest: &System) -> Self {
        let System { cr0, cr3, cr4, efer, .. } = *guest;
        Self { cr0, cr3, cr4, efer: efer | Efer::SVME.bits() }
    }

    /// Those for shadow page tables whose root is at `root`.
    fn shadow(guest: &System, root: u64) -> Self {
        let long = guest.efer & Efer::LMA.bits() != 0;
        let efer = (guest.efer & !(Efer::LME | Efer::LMA).bits())
            | (Efer::NXE | Efer::SVME).bits()
            | if long { (Efer::LME | Efer::LMA).bits() } else { 0 };
        Self {
            cr0: guest.cr0 | (Cr0::PG | Cr0::WP).bits(),
            cr3: root,
            cr4: guest.cr4 & !Cr4::PGE.bits() | Cr4::PAE.bits(),
            efer,
        }
    }
}

/// A guest that waits for the next run, shadow page tables behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parked(Guest);

impl Parked {
    pub(crate) fn guest(&self) -> &Guest {
        &self.0
    }
}

/// Whether a guest, which may come out of a file, can be one that was entered with these pages, and
/// leaves for whatever it has to.
pub(crate) fn is_entered_with(guest: &Guest, pages: &Pages, paging: Paging) -> bool {
    let is_on = |code: u64| guest.intercepts[(code / 32) as usize] >> (code % 32) & 1 != 0;
    let own = (guest.vmcb, guest.iopm, guest.msrpm);
    own == (pages.vmcb.address, pages.iopm, pages.msrpm)
        && guest.asid == GUEST_ASID
        && intercepts(paging).all(is_on)
}

impl Vm {
    /// What translates the guest's addresses under hardware assistance.
    #[must_use]
    pub fn paging(&self) -> Paging {
        self.paging
    }

    /// The paging registers to enter the guest with; its tree of shadow tables is the current one
    /// then.
    pub(crate) fn paging_registers(&mut self, vcpu: &Vcpu, memory: &mut GuestMemory) -> Registers {
        match self.paging {
            Paging::Nested => Registers::own(vcpu.system()),
            Paging::Shadow => {
                self.shadow.activate(memory, vcpu.system(), &mut self.world);
                Registers::shadow(vcpu.system(), self.world.system.cr3)
            }
        }
    }

    /// Lets the vCPU show the guest's own registers, if it runs on shadow tables.
    pub(crate) fn park(&mut self, vcpu: &mut Vcpu) {
        if self.paging == Paging::Nested || vcpu.svm().guest.is_none() {
            return;
        }
        let physical = vcpu.system().clone();
        let rflags = vcpu.rflags();
        self.parked = vcpu.take_svm_guest().map(Parked);
        let cr8 = self.parked.as_ref().map_or(0, |parked| parked.0.v_intr & vintr::V_TPR & 0xf);
        vcpu.exchange(&mut self.world);
        take_over(vcpu.system_mut(), &physical);
        vcpu.system_mut().cr8 = cr8;
        vcpu.load_rflags(rflags);
        vcpu.settle_system();
    }

    /// Goes on with a parked guest.
    pub(crate) fn unpark(&mut self, vcpu: &mut Vcpu, memory: &mut GuestMemory) {
        let Some(Parked(mut guest)) = self.parked.take() else { return };
        guest.v_intr = guest.v_intr & !vintr::V_TPR | vcpu.system().cr8 & 0xf;
        let registers = self.paging_registers(vcpu, memory);
        let own = vcpu.system().clone();
        self.world.rflags = vcpu.rflags();
        take_over(&mut self.world.system, &own);
        let system = &mut self.world.system;
        (system.cr0, system.cr3) = (registers.cr0, registers.cr3);
        (system.cr4, system.efer) = (registers.cr4, registers.efer);
        vcpu.exchange(&mut self.world);
        vcpu.put_svm_guest(guest);
    }

    /// A #PF of a guest on shadow tables: why it has to be emulated, and the offset of the backing that it
    /// writes to if that is watched; nothing if the translation is there now.
    pub(crate) fn shadow_fault(
        &mut self,
        vcpu: &mut Vcpu,
        bus: &mut dyn Bus,
        code: u32,
        address: u64,
    ) -> Option<(Reason, Option<u64>)> {
        let fault = Exception { vector: Vector::PF, code, address };
        match self.shadow.fault(vcpu, bus, &mut self.world, fault) {
            Verdict::Filled => None,
            Verdict::Emulate(reason) => Some((reason, None)),
            Verdict::Write(reason, at) => Some((reason, Some(at))),
        }
    }

    /// Does on the virtual CPU what a guest on shadow tables left for: delivers the event in whose
    /// delivery it was, or executes one instruction.
    pub(crate) fn emulate_exit(
        &mut self,
        vcpu: &mut Vcpu,
        bus: &mut dyn Bus,
        written: Option<u64>,
    ) -> Result<(), Exit> {
        let event = std::mem::take(&mut self.reinject);
        if event & event::V != 0 {
            let exit = vcpu.inject_event(bus, event);
            if let Some(at) = written {
                // What was pushed, wherever it is there.
                self.wrote(vcpu, bus.memory(), at & !(PAGE_SIZE - 1), PAGE_SIZE);
            }
            return exit;
        }
        self.emulate(vcpu, bus, written).map(|_| ())
    }
}

/// Takes all system registers over but those of paging.
pub(crate) fn take_over(system: &mut System, from: &System) {
    let System { cr0, cr3, cr4, efer, pdptes, .. } = *system;
    *system = from.clone();
    (system.cr0, system.cr3, system.cr4) = (cr0, cr3, cr4);
    (system.efer, system.pdptes) = (efer, pdptes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Model, Options};
    use cutaway_cpu::CpuModel;
    use cutaway_memory::GuestMemory;

    fn reset() -> System {
        Vcpu::new(CpuModel::Max).system().clone()
    }

    #[test]
    fn a_guest_in_real_mode_is_paged() {
        let guest = System { cr0: Cr0::ET.bits(), ..reset() };
        let registers = Registers::shadow(&guest, 0x5000);
        assert_eq!(registers.cr0, (Cr0::ET | Cr0::PG | Cr0::WP).bits());
        assert_eq!((registers.cr3, registers.cr4), (0x5000, Cr4::PAE.bits()));
    }

    #[test]
    fn a_guest_on_its_way_to_long_mode_is_not_in_it() {
        let (cr0, efer) = (Cr0::PE.bits(), Efer::LME.bits());
        let guest = System { cr0, efer, ..reset() };
        assert_eq!(Registers::shadow(&guest, 0).efer, (Efer::NXE | Efer::SVME).bits());
        let guest = System { efer: (Efer::LME | Efer::LMA).bits(), ..guest };
        let long = Efer::NXE | Efer::SVME | Efer::LME | Efer::LMA;
        assert_eq!(Registers::shadow(&guest, 0).efer, long.bits());
    }

    /// What a CPU in its guest mode has of a guest that this monitor entered.
    fn entered(vm: &Vm, paging: Paging) -> Guest {
        let pages = &vm.layout.svm;
        let mut guest = Guest { vmcb: pages.vmcb.address, asid: GUEST_ASID, ..Guest::default() };
        (guest.iopm, guest.msrpm) = (pages.iopm, pages.msrpm);
        for code in intercepts(paging) {
            guest.intercepts[(code / 32) as usize] |= 1 << (code % 32);
        }
        guest
    }

    #[test]
    fn a_guest_that_this_monitor_did_not_enter_is_refused() {
        let mut memory = GuestMemory::new(1 << 20 | crate::MONITOR_BYTES).expect("it is to be had");
        let vcpu = Vcpu::new(CpuModel::Max);
        for paging in Paging::ALL {
            let options = Options { paging, ..Options::of(Model::Hardware) };
            let mut vm = Vm::new(options, &mut memory, &vcpu);
            let good = entered(&vm, paging);
            let missing = Guest { intercepts: [0; 5], ..good.clone() };
            let elsewhere = Guest { vmcb: good.vmcb + 0x1000, ..good.clone() };
            // Parked is a guest on shadow tables alone, and it has all intercepts.
            for (guest, fits) in [(&good, true), (&missing, false), (&elsewhere, false)] {
                let mut saved = vm.save();
                saved.parked = Some(Parked(guest.clone()));
                let loaded = vm.load(saved, None, &mut memory);
                assert_eq!(loaded.is_some(), fits && paging == Paging::Shadow, "{paging:?}");
            }
            // In the CPU is one with nested tables alone, and they are the monitor's.
            let saved = vm.save();
            assert_eq!(vm.load(saved, Some(&good), &mut memory), None, "no nested tables");
        }
    }
}
