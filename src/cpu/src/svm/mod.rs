//! AMD's virtualization, SVM: the state of the CPU for it, and the door for a monitor outside.
//!
//! VMRUN and #VMEXIT are in `world.rs`, what they save in `saved.rs`, what is intercepted in
//! `intercept.rs`, nested paging in `nested.rs`, the control block in `vmcb.rs`, the instructions in
//! `meaning/svm.rs`.
//!
//! Source: AMD APM vol. 2 §15, "Secure Virtual Machine"; vol. 3, the page of each instruction.
//! Not modelled: SKINIT (#UD), LBR virtualization, virtual GIF, virtual VMLOAD and VMSAVE, AVIC,
//! pause filters, VMCB clean bits (nothing is cached, so they are not heeded), SEV. The CPU models
//! do not claim them. SMI and INIT do not reach this vCPU.

mod intercept;
mod nested;
mod saved;
mod vmcb;
mod world;

pub use vmcb::{Field, SegmentField, Vmcb, event, exit, exit_name, field, npf, vintr};

pub(crate) use intercept::port_info;
pub(crate) use nested::Stage;

use crate::exception::{Exception, Fault};
use crate::{Bus, Exit, Vcpu};
use cutaway_isa::{Code, Efer, Rflags};
use serde::{Deserialize, Serialize};

/// Address space identifiers: ASIDs 0 to 15, where 0 is the host's.
const ASIDS: u32 = 16;
/// Features of CPUID Fn8000_000A_EDX: NP, NRIPS, FlushByAsid, DecodeAssists.
const FEATURES: u32 = 1 << 0 | 1 << 3 | 1 << 6 | 1 << 7;
/// CPUID Fn8000_000A (AMD APM vol. 3 §E.4.9, "Function 8000_000Ah—SVM Features").
pub(crate) const CPUID_LEAF: [u32; 4] = [1, ASIDS, 0, FEATURES];

/// VM_CR (AMD APM vol. 2 §15.30.1): bits that can be written.
const VM_CR_BITS: u64 = 0x1f;
/// VM_CR.LOCK: LOCK and SVMDIS stay as they are.
const VM_CR_LOCK: u64 = 1 << 3;
/// VM_CR.SVMDIS: EFER.SVME cannot be set.
const VM_CR_SVMDIS: u64 = 1 << 4;

/// The state of SVM in a vCPU. On a model without SVM it stays as it is after reset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Svm {
    /// The global interrupt flag.
    pub gif: bool,
    /// The MSR VM_CR.
    pub vm_cr: u64,
    /// The MSR VM_HSAVE_PA: where VMRUN keeps the host state.
    pub hsave_pa: u64,
    /// The guest that runs; none in the host.
    pub guest: Option<Guest>,
    /// Whose translations the TLB holds.
    pub space: Space,
}

/// What VMRUN took out of the control area of a VMCB, for as long as the guest runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Physical address of the VMCB.
    pub vmcb: u64,
    /// The intercept vectors: exit code `n` below 160 is bit `n % 32` of word `n / 32`.
    pub intercepts: [u32; 5],
    /// Physical address of the I/O permission map.
    pub iopm: u64,
    /// Physical address of the MSR permission map.
    pub msrpm: u64,
    /// Added to the time-stamp counter.
    pub tsc_offset: u64,
    /// V_TPR, V_IRQ and their kin as they are now ([`vintr`]).
    pub v_intr: u64,
    /// The host's RFLAGS.IF, which masks physical interrupts under V_INTR_MASKING.
    pub host_if: bool,
    /// ASID.
    pub asid: u32,
    /// Nested paging, if it is on.
    pub nested: Option<Nested>,
    /// EVENTINJ, until its event is delivered.
    pub inject: u64,
    /// nRIP for it.
    pub inject_nrip: u64,
}

/// Nested paging: the root and the format of the tables, which are in host format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nested {
    /// N_CR3.
    pub cr3: u64,
    /// The host's CR4 at VMRUN, for PAE and PSE.
    pub cr4: u64,
    /// The host's EFER at VMRUN, for LMA and NXE.
    pub efer: u64,
}

/// An address space whose translations the TLB can hold. Entries are dropped where another is
/// entered, or where the paging registers are others than when it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Space {
    /// The host's.
    Host,
    /// A guest's.
    Guest {
        /// ASID.
        asid: u32,
        /// Nested paging.
        nested: Option<Nested>,
        /// CR0, CR3, CR4 and EFER when the guest was left.
        registers: [u64; 4],
    },
}

impl Svm {
    /// The state after reset. Without SVM, VM_CR says that it is locked off.
    pub(crate) fn reset() -> Self {
        Self { gif: true, vm_cr: 0, hsave_pa: 0, guest: None, space: Space::Host }
    }

    /// Whether a snapshot's state can be one of a vCPU: its addresses are of pages that the CPU
    /// could have accepted.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let page =
            |address: u64| address & 0xfff == 0 && address >> crate::paging::PHYSICAL_BITS == 0;
        page(self.hsave_pa)
            && self.guest.as_ref().is_none_or(|g| page(g.vmcb) && page(g.iopm) && page(g.msrpm))
    }
}

impl Default for Svm {
    fn default() -> Self {
        Self::reset()
    }
}

/// What the vCPU has done of address translation; for people, not part of any state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalkCounts {
    /// Page walks through the tables at CR3, of host and guests.
    pub walks: u64,
    /// Entries read in them.
    pub references: u64,
    /// Guest-physical addresses translated by nested tables.
    pub nested_walks: u64,
    /// Entries of nested tables read for that.
    pub nested_references: u64,
    /// Translations put into the TLB.
    pub fills: u64,
}

impl WalkCounts {
    /// What was counted since an earlier reading.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            walks: self.walks - earlier.walks,
            references: self.references - earlier.references,
            nested_walks: self.nested_walks - earlier.nested_walks,
            nested_references: self.nested_references - earlier.nested_references,
            fills: self.fills - earlier.fills,
        }
    }
}

impl std::ops::AddAssign for WalkCounts {
    fn add_assign(&mut self, more: Self) {
        self.walks += more.walks;
        self.references += more.references;
        self.nested_walks += more.nested_walks;
        self.nested_references += more.nested_references;
        self.fills += more.fills;
    }
}

/// A change between host and guest that an instruction asked for or ran into.
#[derive(Clone, Copy, Debug)]
pub(crate) enum World {
    /// VMRUN of this VMCB; the host goes on at this RIP.
    Enter { vmcb: u64, next: u64 },
    /// #VMEXIT.
    Exit(Reason),
}

/// What a #VMEXIT tells.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reason {
    pub(crate) code: u64,
    pub(crate) info1: u64,
    pub(crate) info2: u64,
    pub(crate) nrip: u64,
    /// The bytes at RIP are told too.
    pub(crate) with_bytes: bool,
}

/// What is only known in the middle of an instruction; never between two.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// What the outer loop has to do for [`Fault::World`].
    pub(crate) world: Option<World>,
    /// The event in delivery, as EXITINTINFO has it.
    pub(crate) delivering: u64,
    /// The instruction in execution and the RIP behind it.
    pub(crate) instruction: Option<(Code, u64)>,
    /// That instruction began in an interrupt shadow.
    pub(crate) shadowed: bool,
    /// `run` returns behind each #VMEXIT.
    pub(crate) stops: bool,
    pub(crate) counts: WalkCounts,
}

impl Work {
    /// Forgets what an instruction left behind.
    pub(crate) fn settle(&mut self) {
        (self.world, self.delivering, self.instruction) = (None, 0, None);
        self.shadowed = false;
    }
}

impl Space {
    /// The ASID; the host's is 0.
    pub(crate) fn asid(&self) -> u32 {
        match self {
            Self::Host => 0,
            Self::Guest { asid, .. } => *asid,
        }
    }
}

impl Vcpu {
    /// Enters a guest as VMRUN does, from the present host state; the host's next instruction is
    /// the one at RIP. Afterwards [`Vcpu::run`] runs the guest, or the host if the VMCB was not
    /// consistent; with [`Vcpu::set_vmexit_stops`] that is [`Exit::VmExit`] here.
    ///
    /// # Errors
    /// [`Exit::Exception`] with what VMRUN would raise (no SVM, EFER.SVME clear, not CPL 0 in
    /// protected mode, a VMCB that is not on a page of the physical address space) or within a
    /// guest, where VMRUN is intercepted; or what became of the guest at once.
    pub fn vmrun(&mut self, bus: &mut dyn Bus, vmcb: u64) -> Result<(), Exit> {
        self.take_up_memory(bus);
        let permitted = self.check_svm().and_then(|()| check_page(vmcb));
        let outside = if self.svm.guest.is_some() { Err(Exception::UD.into()) } else { Ok(()) };
        match permitted.and(outside) {
            Ok(()) => self.enter_guest(bus, vmcb, self.rip),
            Err(Fault::Exception(e)) => Err(Exit::Exception(e)),
            Err(Fault::World | Fault::Exit | Fault::Wait) => Err(Exit::Exception(Exception::UD)),
        }
    }

    /// Whether [`Vcpu::run`] returns [`Exit::VmExit`] behind each #VMEXIT instead of going on in
    /// the host. By then the VMCB is written and the host state loaded; the TLB still holds the
    /// guest's translations, which serve it again if it is entered next with TLB_CONTROL 0. Who
    /// changes page tables, code or paging registers of the guest in between says so, by TLB_CONTROL
    /// and [`Vcpu::drop_code`]. [`Vcpu::load`] drops all translations.
    pub fn set_vmexit_stops(&mut self, on: bool) {
        self.svm_work.stops = on;
    }

    /// As a write to the MSR VM_HSAVE_PA: where VMRUN keeps the host state. Not the address of a
    /// page: nothing happens.
    pub fn set_host_save_area(&mut self, address: u64) {
        if check_page(address).is_ok() {
            self.svm.hsave_pa = address;
        }
    }

    /// Takes the guest away that runs, as if there was none; what [`Vcpu::put_svm_guest`] needs to go on
    /// with it.
    pub fn take_svm_guest(&mut self) -> Option<Guest> {
        self.svm.guest.take()
    }

    /// Goes on with a guest that was taken away, in the world in which that was.
    pub fn put_svm_guest(&mut self, guest: Guest) {
        self.svm.guest = Some(guest);
        self.attention = true;
        self.settle();
    }

    /// Looks into the memory that the bus has.
    pub(crate) fn take_up_memory(&mut self, bus: &mut dyn Bus) {
        if !self.ram.is_same(bus.memory().backing()) {
            self.ram = bus.memory().backing().clone();
            self.flush();
        }
    }

    /// As STGI.
    pub fn set_gif(&mut self) {
        self.svm.gif = true;
        self.attention = true;
    }

    /// The state of SVM.
    #[must_use]
    pub fn svm(&self) -> &Svm {
        &self.svm
    }

    /// What page walks there were since the vCPU was made.
    #[must_use]
    pub fn walk_counts(&self) -> WalkCounts {
        self.svm_work.counts
    }

    /// #UD unless SVM is there, on and in protected mode; #GP(0) outside CPL 0.
    pub(crate) fn check_svm(&self) -> Result<(), Fault> {
        let on = self.model.has_svm() && self.system.efer & Efer::SVME.bits() != 0;
        self.require(on && self.is_protected() && !self.is_virtual_8086())?;
        if self.cpl() == 0 { Ok(()) } else { Err(Exception::GP0.into()) }
    }

    /// Whether a guest runs and has the intercept of an exit code on.
    pub(crate) fn intercepts(&self, code: u64) -> bool {
        let word = (code / 32) as usize;
        let guest = self.svm.guest.as_ref();
        guest.is_some_and(|g| g.intercepts.get(word).is_some_and(|w| w >> (code % 32) & 1 != 0))
    }

    /// Marks a #VMEXIT that the instruction runs into.
    pub(crate) fn vmexit(&mut self, reason: Reason) -> Fault {
        self.svm_work.world = Some(World::Exit(reason));
        Fault::World
    }

    /// Whether RFLAGS.IF, or the host's under V_INTR_MASKING, and GIF let a physical interrupt in.
    pub(crate) fn physical_interrupts_open(&self) -> bool {
        let own = self.lazy.known.contains(Rflags::IF);
        self.svm.gif
            && match &self.svm.guest {
                Some(guest) if guest.v_intr & vintr::V_INTR_MASKING != 0 => guest.host_if,
                _ => own,
            }
    }

    /// The vector of a virtual interrupt that the guest would take now (§15.21.4, "Injecting
    /// Virtual (INTR) Interrupts").
    pub(crate) fn virtual_interrupt(&self) -> Option<u8> {
        let v = self.svm.guest.as_ref()?.v_intr;
        let priority = v >> vintr::V_INTR_PRIO_SHIFT & 0xf;
        let high = v & vintr::V_IGN_TPR != 0 || priority > v & 0xf;
        let taken = v & vintr::V_IRQ != 0 && high && self.lazy.known.contains(Rflags::IF);
        taken.then_some((v >> vintr::V_INTR_VECTOR_SHIFT) as u8)
    }

    /// MOV to CR8: the virtual TPR in a guest, and the physical one unless that is kept apart.
    pub(crate) fn write_cr8(&mut self, bus: &mut dyn Bus, value: u64) {
        let mut physical = true;
        if let Some(guest) = &mut self.svm.guest {
            guest.v_intr = guest.v_intr & !vintr::V_TPR | value;
            physical = guest.v_intr & vintr::V_INTR_MASKING == 0;
            self.attention = true;
        }
        if physical {
            self.system.cr8 = value;
            if self.model.has_apic() {
                bus.set_task_priority(value as u8, self.ticks);
                self.after_device(bus);
            }
        }
    }

    /// MOV from CR8.
    pub(crate) fn read_cr8(&self) -> u64 {
        match &self.svm.guest {
            Some(guest) if guest.v_intr & vintr::V_INTR_MASKING != 0 => guest.v_intr & 0xf,
            _ => self.system.cr8,
        }
    }

    /// WRMSR to VM_CR.
    pub(crate) fn write_vm_cr(&mut self, value: u64) -> Result<(), Fault> {
        let on = self.system.efer & Efer::SVME.bits() != 0;
        if value & !VM_CR_BITS != 0 || on && value & VM_CR_SVMDIS != 0 {
            return Err(Exception::GP0.into());
        }
        let old = self.svm.vm_cr;
        let kept = if old & VM_CR_LOCK != 0 { VM_CR_LOCK | VM_CR_SVMDIS } else { 0 };
        self.svm.vm_cr = old & kept | value & !kept;
        Ok(())
    }

    /// Whether VM_CR forbids EFER.SVME.
    pub(crate) fn svm_disabled(&self) -> bool {
        self.svm.vm_cr & VM_CR_SVMDIS != 0
    }

    /// WRMSR to VM_HSAVE_PA.
    pub(crate) fn write_hsave_pa(&mut self, value: u64) -> Result<(), Fault> {
        check_page(value)?;
        self.svm.hsave_pa = value;
        Ok(())
    }
}

/// #GP(0) unless this is the physical address of a page.
pub(crate) fn check_page(address: u64) -> Result<(), Fault> {
    let page = address & 0xfff == 0 && address >> crate::paging::PHYSICAL_BITS == 0;
    if page { Ok(()) } else { Err(Exception::GP0.into()) }
}
