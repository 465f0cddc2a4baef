//! Hardware assistance: the guest runs in the CPU's guest mode (AMD SVM), with nested paging or on
//! shadow page tables (`paging.rs`).
//!
//! The monitor keeps the virtual CPU in a VMCB and enters the guest by VMRUN; what it asked to intercept
//! comes back by #VMEXIT. Between runs the CPU may be in the guest, whose registers it then has in
//! truth; after a #VMEXIT the state is brought into the guest's own world, where one instruction is emulated.
//!
//! Source: AMD APM vol. 2 §15, "Secure Virtual Machine".

use cutaway_cpu::svm::{SegmentField, Vmcb, event, exit, field, vintr};
use cutaway_cpu::{Bus, Exit, Seg, Segment, System, TableRegister, Vcpu};
use cutaway_isa::{Code, Cr0, Cr4, Efer, Rflags, Vector, msr};
use cutaway_memory::{GuestMemory, Space};

use crate::emulate::instruction_at;
use crate::exits::Reason;
use crate::paging::{PAGE_FAULT, Paging, SHADOW_INTERCEPTS, take_over};
use crate::physical::PhysicalBus;
use crate::vm::{DR6_BS, Vm};

/// Segment registers in the VMCB that VMRUN loads.
const SEGMENTS: [(Seg, SegmentField); 4] = [
    (Seg::Es, SegmentField::Es),
    (Seg::Cs, SegmentField::Cs),
    (Seg::Ss, SegmentField::Ss),
    (Seg::Ds, SegmentField::Ds),
];
/// What leaves the guest, beside all ports and most MSRs.
const INTERCEPTS: [u64; 14] = [
    exit::INTR,
    exit::CPUID,
    exit::HLT,
    exit::IOIO,
    exit::MSR,
    exit::SHUTDOWN,
    exit::VMRUN,
    exit::VMMCALL,
    exit::VMLOAD,
    exit::VMSAVE,
    exit::STGI,
    exit::CLGI,
    exit::SKINIT,
    exit::INVLPGA,
];
/// MSRs that the guest has to itself: VMRUN leaves them alone.
const OWN_MSRS: [u32; 10] = [
    msr::FS_BASE,
    msr::GS_BASE,
    msr::KERNEL_GS_BASE,
    msr::STAR,
    msr::LSTAR,
    msr::CSTAR,
    msr::SFMASK,
    msr::SYSENTER_CS,
    msr::SYSENTER_ESP,
    msr::SYSENTER_EIP,
];
pub(crate) const GUEST_ASID: u32 = 1;
const RAX: usize = 0;
const RCX: usize = 1;
const RSP: usize = 4;

/// The pages of the monitor's memory that SVM needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pages {
    pub(crate) vmcb: Vmcb,
    host_save: u64,
    pub(crate) iopm: u64,
    pub(crate) msrpm: u64,
    /// For the host's CR3: the host executes nothing while a guest is there.
    host_root: u64,
}

impl Pages {
    pub(crate) fn at(start: u64) -> Self {
        let page = |n: u64| start + n * 0x1000;
        let vmcb = Vmcb { address: page(0) };
        Self { vmcb, host_save: page(1), host_root: page(2), iopm: page(3), msrpm: page(6) }
    }
}

/// The host's own registers: 64-bit mode, flat segments.
fn host(guest: &System, pages: &Pages) -> System {
    let mut system = guest.clone();
    let flat = |selector, attributes| Segment { selector, attributes, limit: u32::MAX, base: 0 };
    system.segments[Seg::Cs as usize] = flat(0x08, 0xa09b);
    for seg in [Seg::Es, Seg::Ss, Seg::Ds] {
        system.segments[seg as usize] = flat(0x10, 0xc093);
    }
    system.gdtr = TableRegister { base: 0, limit: 0 };
    system.idtr = system.gdtr;
    system.cr0 = (Cr0::PG | Cr0::PE | Cr0::WP | Cr0::ET | Cr0::NE).bits();
    system.cr3 = pages.host_root;
    system.cr4 = Cr4::PAE.bits();
    system.efer = (Efer::SVME | Efer::LME | Efer::LMA | Efer::NXE).bits();
    system.dr7 = 0x400;
    system
}

impl Vm {
    /// Lets the guest run until something ends the run; see [`Vm::run`].
    pub(crate) fn run_hardware(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus, limit: u64) -> Exit {
        vcpu.set_vmexit_stops(true);
        self.unpark(vcpu, bus.memory());
        self.attend_skipped_eoi(vcpu, bus);
        let exit = self.run_guest(vcpu, bus, limit);
        self.park(vcpu);
        exit
    }

    fn run_guest(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus, limit: u64) -> Exit {
        loop {
            let left = limit.min(bus.stop_at()).saturating_sub(vcpu.ticks());
            if left == 0 {
                return Exit::Budget;
            }
            if vcpu.svm().guest.is_none() {
                match self.prepare(vcpu, bus) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(exit) => return exit,
                }
                if let Err(exit) = self.enter(vcpu, bus)
                    && exit != Exit::VmExit
                {
                    return exit;
                }
            }
            let exit = if vcpu.svm().guest.is_some() {
                self.run_physical(vcpu, bus, !self.window, left)
            } else {
                Exit::VmExit
            };
            match exit {
                Exit::VmExit => {
                    self.leave(vcpu, bus);
                    self.take_skipped_eoi(vcpu, bus);
                    if let Err(exit) = self.serve_exit(vcpu, bus) {
                        return exit;
                    }
                }
                Exit::Budget => return Exit::Budget,
                exit => return exit,
            }
        }
    }

    /// What is to be done in the guest's own world before it can be entered. Returns whether it
    /// can.
    fn prepare(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus) -> Result<bool, Exit> {
        self.attend_skipped_eoi(vcpu, bus);
        let activity = *vcpu.activity();
        let waits = bus.pins().intr && vcpu.rflags() & Rflags::IF.bits() != 0;
        // The monitor's tables know nothing of a masked A20.
        let masked = bus.pins().a20_masked;
        let busy = activity.halted || activity.shut_down || activity.debug_trap != 0;
        if busy || activity.nmi_pending || masked {
            if waits && activity.halted && !activity.nmi_pending && !masked {
                // VMRUN wakes it, with the interrupt to be delivered.
                return Ok(true);
            }
            return self.step(vcpu, bus).map(|()| false);
        }
        Ok(true)
    }

    /// Executes one instruction on the virtual CPU, or delivers what is due.
    fn step(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus) -> Result<(), Exit> {
        match vcpu.run(bus, 1) {
            Exit::Budget => Ok(()),
            exit => Err(exit),
        }
    }

    /// VMRUN: from the guest's own world through the VMCB into the guest.
    fn enter(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus) -> Result<(), Exit> {
        let pages = self.layout.svm;
        let vmcb = pages.vmcb;
        let guest = vcpu.system().clone();
        let rflags = vcpu.rflags();
        let activity = *vcpu.activity();
        let shadow = activity.sti_shadow || activity.ss_shadow;
        let open = rflags & Rflags::IF.bits() != 0 && !shadow;
        let mut inject = std::mem::take(&mut self.reinject);
        let mut v_intr = vintr::V_INTR_MASKING | guest.cr8 & 0xf;
        self.window = false;
        if bus.pins().intr {
            if open && inject & event::V == 0 {
                let vector = bus.acknowledge(vcpu.ticks());
                inject = event::V | event::INTR << 8 | u64::from(vector.0);
                self.offer_to_skip_eoi(vcpu, bus);
                self.count(Reason::Interrupt);
            } else {
                // As soon as the guest lets interrupts in, it leaves for the monitor.
                self.window = true;
                v_intr |= vintr::V_IRQ | vintr::V_IGN_TPR;
            }
        }
        let root = match self.paging {
            Paging::Nested => self.nested.root(bus.memory()),
            Paging::Shadow => 0,
        };
        let paging = self.paging_registers(vcpu, bus.memory());
        let memory = bus.memory();
        memory.select(self.physical);
        if !self.prepared {
            self.prepared = true;
            prepare_pages(memory, &pages, self.paging);
            if vcpu.model().has_apic() {
                // CR8 is the virtual APIC's TPR.
                vmcb.intercept(memory, exit::CR_WRITE + 8);
            }
        }
        for (seg, place) in SEGMENTS {
            vmcb.set_segment(memory, place, &guest.segments[seg as usize]);
        }
        for (place, table) in [(SegmentField::Gdtr, guest.gdtr), (SegmentField::Idtr, guest.idtr)] {
            let limit = u32::from(table.limit);
            let segment = Segment { selector: 0, attributes: 0, limit, base: table.base };
            vmcb.set_segment(memory, place, &segment);
        }
        let window = u64::from(self.window) << (exit::VINTR - 0x60);
        let misc1 = intercepts(self.paging).filter(|code| (0x60..0x80).contains(code));
        let misc1 = misc1.fold(window, |bits, code| bits | 1 << (code - 0x60));
        for (field, value) in [
            (field::INTERCEPT_MISC1, misc1),
            (field::CPL, u64::from(vcpu.cpl())),
            (field::EFER, paging.efer),
            (field::CR0, paging.cr0),
            (field::CR2, guest.cr2),
            (field::CR3, paging.cr3),
            (field::CR4, paging.cr4),
            (field::DR6, guest.dr6),
            (field::DR7, guest.dr7),
            (field::G_PAT, guest.msrs.pat),
            (field::RFLAGS, rflags),
            (field::RIP, vcpu.rip()),
            (field::RSP, vcpu.gpr(RSP)),
            (field::RAX, vcpu.gpr(RAX)),
            (field::V_INTR, v_intr),
            (field::INTERRUPT_SHADOW, u64::from(shadow)),
            (field::EVENTINJ, inject),
            (field::NRIP, vcpu.rip()),
            (field::N_CR3, root),
            (field::TLB_CONTROL, u64::from(std::mem::take(&mut self.flush))),
        ] {
            vmcb.set(memory, field, value);
        }
        self.world.system = host(&guest, &pages);
        self.world.rflags = Rflags::IF.bits();
        vcpu.exchange(&mut self.world);
        vcpu.set_host_save_area(pages.host_save);
        self.has_run = true;
        let entered = vcpu.vmrun(&mut PhysicalBus { guest: bus, interrupts: false }, vmcb.address);
        bus.memory().select(Space::FIRST);
        entered
    }

    /// After a #VMEXIT: the guest's state out of the VMCB into its own world.
    fn leave(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus) {
        let vmcb = self.layout.svm.vmcb;
        vcpu.exchange(&mut self.world);
        vcpu.set_gif();
        let physical = self.world.system.clone();
        let memory = bus.memory();
        memory.select(self.physical);
        let get = |field| vmcb.get(memory, field);
        let segments = SEGMENTS.map(|(seg, place)| (seg, vmcb.segment(memory, place)));
        let table = |place| {
            let raw = vmcb.segment(memory, place);
            TableRegister { base: raw.base, limit: raw.limit as u16 }
        };
        let (gdtr, idtr) = (table(SegmentField::Gdtr), table(SegmentField::Idtr));
        let shadow = get(field::INTERRUPT_SHADOW) & 1 != 0;
        let (rip, rsp, rax) = (get(field::RIP), get(field::RSP), get(field::RAX));
        let (rflags, cr8) = (get(field::RFLAGS), get(field::V_INTR) & 0xf);
        let [cr0, cr2, cr3, cr4] = [field::CR0, field::CR2, field::CR3, field::CR4].map(get);
        let [dr6, dr7, efer, pat] = [field::DR6, field::DR7, field::EFER, field::G_PAT].map(get);
        memory.select(Space::FIRST);
        let system = vcpu.system_mut();
        let pdptes = system.pdptes;
        // VMRUN and #VMEXIT leave all else alone: it is what the guest made of it.
        take_over(system, &physical);
        for (seg, segment) in segments {
            system.segments[seg as usize] = segment;
        }
        (system.gdtr, system.idtr) = (gdtr, idtr);
        (system.cr2, system.cr8) = (cr2, cr8);
        (system.dr6, system.dr7, system.msrs.pat) = (dr6, dr7, pat);
        if self.paging == Paging::Nested {
            (system.cr0, system.cr3, system.cr4) = (cr0, cr3, cr4);
            system.efer = efer & !Efer::SVME.bits();
        }
        vcpu.set_gpr(RSP, rsp);
        vcpu.set_gpr(RAX, rax);
        vcpu.set_rip(rip);
        vcpu.load_rflags(rflags);
        vcpu.set_interrupt_shadow(shadow);
        vcpu.forget_translations(bus);
        if self.paging == Paging::Shadow {
            // They change with CR3 alone.
            vcpu.system_mut().pdptes = pdptes;
        }
    }

    /// Does what the guest left for.
    fn serve_exit(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus) -> Result<(), Exit> {
        let vmcb = self.layout.svm.vmcb;
        let memory = bus.memory();
        memory.select(self.physical);
        let get = |field| vmcb.get(memory, field);
        let [code, info1, address, during] =
            [field::EXITCODE, field::EXITINFO1, field::EXITINFO2, field::EXITINTINFO].map(get);
        memory.select(Space::FIRST);
        // An event whose delivery was interrupted is delivered again.
        let by_int1 = during & 0xff == u64::from(Vector::DB.0)
            && vcpu.system().dr6 & DR6_BS == 0
            && instruction_at(vcpu, bus.memory()).is_some_and(|of| of.code() == Code::Int1);
        self.reinject = if is_to_be_injected(during) && !by_int1 { during } else { 0 };
        if is_fault(self.reinject) {
            // A fault saves EFLAGS with RF, also when it is delivered for the second time.
            vcpu.load_rflags(vcpu.rflags() | Rflags::RF.bits());
        }
        let mut written = None;
        let reason = match code {
            exit::INTR => return Ok(()),
            exit::VINTR => {
                self.count(Reason::InterruptWindow);
                return Ok(());
            }
            exit::NPF => {
                let (memory, write) = (bus.memory(), info1 & 2 != 0);
                let present = info1 & 1 != 0 && !self.nested.is_shared(address);
                let (is_memory, dropped) = self.nested.map(memory, address, write);
                self.flush |= dropped || info1 & 1 != 0;
                if is_memory && !(present && write) {
                    self.count(Reason::NestedFault);
                    return Ok(());
                }
                Reason::DeviceMemory
            }
            PAGE_FAULT => match self.shadow_fault(vcpu, bus, info1 as u32, address) {
                Some((reason, at)) => {
                    written = at;
                    reason
                }
                None => {
                    self.count(Reason::ShadowFault);
                    return Ok(());
                }
            },
            exit::CR_READ..exit::DR_READ => Reason::ControlRegister,
            exit::TASK_SWITCH => Reason::FarTransfer,
            exit::SHUTDOWN => return Err(Exit::Shutdown),
            exit::INVALID => Reason::Interpreted,
            exit::HLT => Reason::Halt,
            exit::IOIO => Reason::Port,
            exit::MSR => Reason::Msr,
            exit::CPUID => Reason::Cpuid,
            _ => Reason::Exception,
        };
        self.count(reason);
        if code == exit::MSR
            && let Some(served) = self.access_kvm_msr(vcpu, bus, info1 & 1 != 0)
        {
            return served;
        }
        let number = vcpu.gpr(RCX);
        let leaf = vcpu.gpr(RAX) as u32;
        let rip = vcpu.rip();
        self.emulate_exit(vcpu, bus, written)?;
        if code == exit::CPUID && vcpu.rip() != rip {
            hide_svm(vcpu, leaf);
            self.show_kvm(vcpu, leaf);
        }
        if code == exit::MSR && info1 & 1 != 0 {
            self.msr_written(vcpu, bus, number);
        }
        Ok(())
    }
}

/// What leaves the guest.
pub(crate) fn intercepts(paging: Paging) -> impl Iterator<Item = u64> {
    let shadow = SHADOW_INTERCEPTS.into_iter().filter(move |_| paging == Paging::Shadow);
    INTERCEPTS.into_iter().chain(shadow)
}

/// Whether an event is an exception of the class of faults (Intel SDM vol. 3A §6.15).
fn is_fault(event: u64) -> bool {
    // #DE, #BR, #UD, #NM, #TS, #NP, #SS, #GP, #PF, #MF, #AC, #XM.
    const FAULTS: u32 = 0xb_7ce1;
    let kind = event >> 8 & 7;
    event & event::V != 0 && kind == event::EXCEPTION && FAULTS >> (event & 31) & 1 != 0
}

/// Whether an event in delivery is delivered again by EVENTINJ. What an instruction raised is not: the
/// instruction is executed again.
fn is_to_be_injected(event: u64) -> bool {
    let kind = event >> 8 & 7;
    let by_instruction =
        kind == event::SOFTWARE || kind == event::EXCEPTION && matches!(event & 0xff, 3 | 4);
    event & event::V != 0 && !by_instruction
}

/// The guest's CPU has no SVM: there is no monitor for a monitor's guests.
fn hide_svm(vcpu: &mut Vcpu, leaf: u32) {
    match leaf {
        0x8000_0001 => vcpu.set_gpr(RCX, vcpu.gpr(RCX) & !(1 << 2)),
        0x8000_000a => (0..4).for_each(|register| vcpu.set_gpr(register, 0)),
        _ => {}
    }
}

/// The fields of the VMCB that stay, and the permission maps: all ports are intercepted, and all MSRs
/// but the guest's own.
fn prepare_pages(memory: &mut GuestMemory, pages: &Pages, paging: Paging) {
    let Pages { vmcb, iopm, msrpm, .. } = *pages;
    memory.write(iopm, &[0xff; 0x3000]);
    let mut map = [0xff; 0x2000];
    for number in OWN_MSRS {
        // Two bits an MSR; three ranges of 2 KiB each.
        let bit = match number {
            0..0x2000 => number * 2,
            0xc000_0000..0xc000_2000 => 0x800 * 8 + (number - 0xc000_0000) * 2,
            _ => continue,
        };
        map[(bit / 8) as usize] &= !(3 << (bit % 8));
    }
    memory.write(msrpm, &map);
    for (field, value) in [
        (field::IOPM_BASE_PA, iopm),
        (field::MSRPM_BASE_PA, msrpm),
        (field::GUEST_ASID, u64::from(GUEST_ASID)),
        (field::NP_ENABLE, u64::from(paging == Paging::Nested)),
    ] {
        vmcb.set(memory, field, value);
    }
    for code in intercepts(paging) {
        vmcb.intercept(memory, code);
    }
}
