//! VMRUN and #VMEXIT: the changes between host and guest.
//!
//! Source: AMD APM vol. 2 §15.5, "VMRUN Instruction" (§15.5.1, "Basic Operation", has the
//! consistency checks); §15.6, "#VMEXIT"; §15.20, "Event Injection"; §15.16, "TLB Control".
//! The host save area has the layout of a VMCB, which the manual leaves to the implementation. What
//! a host wrote there itself is checked like a VMCB; a state that cannot be is shutdown.

use super::saved::{SEGMENTS, Saved, fit_segments, is_pat};
use super::{Guest, Nested, Reason, Space, Vmcb, World, event, exit, field};
use crate::exception::{Exception, Fault};
use crate::interrupt::{Delivery, Source};
use crate::state::{Seg, gpr};
use crate::vcpu::TraceClasses;
use crate::{Bus, Event, Exit, Vcpu};
use cutaway_isa::{Cr0, Cr4, Efer, Rflags, Vector};
use cutaway_memory::{GuestMemory, PageKind};

/// TLB_CONTROL: nothing is flushed; any other value drops more than it asks for.
const TLB_KEEP: u64 = 0;

impl Vcpu {
    /// Does what a [`Fault::World`] asks for.
    pub(crate) fn switch_world(&mut self, bus: &mut dyn Bus) -> Result<(), Exit> {
        match self.svm_work.world.take() {
            Some(World::Enter { vmcb, next }) => self.enter_guest(bus, vmcb, next),
            Some(World::Exit(reason)) => self.leave_guest(bus, reason),
            None => unreachable!("who returns Fault::World has put the change there"),
        }
    }

    fn saved(&self, rip: u64) -> Saved {
        let s = &self.system;
        Saved {
            segments: SEGMENTS.map(|(seg, _)| s.segments[seg as usize]),
            gdtr: s.gdtr,
            idtr: s.idtr,
            cr0: s.cr0,
            cr3: s.cr3,
            cr4: s.cr4,
            efer: s.efer,
            rflags: self.lazy.rflags(),
            rip,
            rsp: self.r[gpr::RSP],
            rax: self.r[gpr::RAX],
            pat: s.msrs.pat,
        }
    }

    fn load_saved(&mut self, saved: &Saved) {
        for ((seg, _), segment) in SEGMENTS.iter().zip(&saved.segments) {
            self.system.segments[*seg as usize] = *segment;
        }
        let cr0 = saved.cr0 & self.model.cr0_bits() | Cr0::ET.bits();
        let s = &mut self.system;
        (s.gdtr, s.idtr) = (saved.gdtr, saved.idtr);
        (s.cr0, s.cr3, s.cr4, s.efer) = (cr0, saved.cr3, saved.cr4, saved.efer);
        self.lazy.set_rflags(saved.rflags);
        self.rip = if saved.is_long() { saved.rip } else { saved.rip & 0xffff_ffff };
        self.r[gpr::RSP] = saved.rsp;
        self.r[gpr::RAX] = saved.rax;
        self.activity.halted = false;
        self.activity.debug_trap = 0;
        self.activity.ss_shadow = false;
        self.activity.sti_shadow = false;
        self.attention = true;
    }

    /// Code that the CPU itself wrote over is decoded anew.
    pub(crate) fn written_page(&mut self, bus: &mut dyn Bus, address: u64) {
        if let PageKind::Ram(page) = bus.memory().page(address) {
            self.written(page, Vmcb::BYTES);
        }
    }

    /// The registers that decide about the mode hold together.
    fn is_consistent(&self, s: &Saved) -> bool {
        let cr0 = Cr0::from_bits_retain(s.cr0);
        let cr4 = Cr4::from_bits_retain(s.cr4);
        let efer = Efer::from_bits_retain(s.efer);
        let long = efer.contains(Efer::LME) && cr0.contains(Cr0::PG);
        let code = &s.segments[1];
        let uncached = cr0.contains(Cr0::CD) || !cr0.contains(Cr0::NW);
        let no_reserved_bits = s.cr0 >> 32 == 0
            && s.cr3 >> crate::paging::PHYSICAL_BITS == 0
            && s.cr4 & !self.model.cr4_bits() == 0
            && s.efer & !self.model.efer_bits() == 0;
        let fit_for_long_mode =
            cr4.contains(Cr4::PAE) && cr0.contains(Cr0::PE) && !(code.is_long() && code.is_big());
        let mode = !long || fit_for_long_mode;
        efer.contains(Efer::SVME) && uncached && no_reserved_bits && mode
    }

    /// The consistency checks of VMRUN (§15.5.1).
    fn is_enterable(&self, memory: &GuestMemory, vmcb: Vmcb, guest: &Guest, s: &Saved) -> bool {
        let get = |field| vmcb.get(memory, field);
        let fits = |address: u64, bytes: u64| {
            address.checked_add(bytes).is_some_and(|end| end >> crate::paging::PHYSICAL_BITS == 0)
        };
        let nested = guest.nested.is_none_or(|n| {
            let paged = self.system.cr0 & Cr0::PG.bits() != 0;
            paged && n.cr3 >> crate::paging::PHYSICAL_BITS == 0 && is_pat(s.pat)
        });
        self.is_consistent(s)
            && get(field::DR6) >> 32 == 0
            && get(field::DR7) >> 32 == 0
            && guest.intercepts[4] & 1 != 0
            && fits(guest.iopm, 0x3000)
            && fits(guest.msrpm, 0x2000)
            && guest.asid != 0
            && guest.asid < super::ASIDS
            && is_event(get(field::EVENTINJ))
            && nested
    }

    /// VMRUN, all its exceptions checked: saves the host, which goes on at `next`, and loads the
    /// guest of the VMCB.
    pub(super) fn enter_guest(
        &mut self,
        bus: &mut dyn Bus,
        address: u64,
        next: u64,
    ) -> Result<(), Exit> {
        let (vmcb, hsave) = (Vmcb { address }, Vmcb { address: self.svm.hsave_pa });
        let host = self.saved(next);
        host.write(bus.memory(), hsave);
        hsave.set(bus.memory(), field::G_PAT, host.pat);
        self.written_page(bus, hsave.address);

        let memory: &GuestMemory = bus.memory();
        let guest = self.controls(memory, vmcb);
        let mut saved = Saved::read(memory, vmcb);
        let enterable = self.is_enterable(memory, vmcb, &guest, &saved);
        let get = |field| vmcb.get(memory, field);
        let (cpl, cr2) = (get(field::CPL) as u16 & 3, get(field::CR2));
        let (dr6, dr7) = (get(field::DR6), get(field::DR7));
        let shadow = get(field::INTERRUPT_SHADOW) & 1 != 0;
        let keep = get(field::TLB_CONTROL) == TLB_KEEP;

        self.report_world(bus, address, None);
        self.svm.gif = true;
        if !enterable {
            self.svm.guest = Some(guest);
            return self.leave_guest(bus, Reason { code: exit::INVALID, ..Reason::default() });
        }
        if guest.nested.is_some() {
            self.system.msrs.pat = saved.pat;
        }
        fit_segments(&mut saved, cpl);
        self.load_saved(&saved);
        self.system.cr2 = cr2;
        self.system.dr6 = dr6 & 0xe00f | 0xffff_0ff0;
        self.system.dr7 = dr7 & 0xffff_2fff | 0x400;
        self.activity.sti_shadow = shadow;
        let (asid, nested) = (guest.asid, guest.nested);
        self.svm.guest = Some(guest);
        let registers = self.space_registers();
        self.enter_space(Space::Guest { asid, nested, registers }, keep);
        self.settle();
        self.report_mode(bus);
        if self.uses_pdptes() && self.load_pdptes(bus, self.system.cr3).is_err() {
            return self.leave_guest(bus, Reason { code: exit::INVALID, ..Reason::default() });
        }
        self.count_switch();
        Ok(())
    }

    /// Tells of a change between host and guest, unless the host is a monitor outside the machine.
    fn report_world(&self, bus: &mut dyn Bus, vmcb: u64, exit: Option<u64>) {
        if !self.svm_work.stops && self.traces(TraceClasses::INT) {
            bus.trace(&Event::World { at: self.ticks, vmcb, exit });
        }
    }

    /// A change between host and guest takes a tick, unless the host is a monitor outside the
    /// machine.
    fn count_switch(&mut self) {
        self.ticks += u64::from(!self.svm_work.stops);
    }

    /// The control area, as far as it is needed while the guest runs.
    fn controls(&self, memory: &GuestMemory, vmcb: Vmcb) -> Guest {
        let get = |field| vmcb.get(memory, field);
        let nested = (get(field::NP_ENABLE) & 1 != 0).then(|| Nested {
            cr3: get(field::N_CR3),
            cr4: self.system.cr4,
            efer: self.system.efer,
        });
        Guest {
            vmcb: vmcb.address,
            intercepts: [
                field::INTERCEPT_CR,
                field::INTERCEPT_DR,
                field::INTERCEPT_EXCEPTIONS,
                field::INTERCEPT_MISC1,
                field::INTERCEPT_MISC2,
            ]
            .map(|field| get(field) as u32),
            iopm: get(field::IOPM_BASE_PA) & !0xfff,
            msrpm: get(field::MSRPM_BASE_PA) & !0xfff,
            tsc_offset: get(field::TSC_OFFSET),
            v_intr: get(field::V_INTR),
            host_if: self.lazy.known.contains(Rflags::IF),
            asid: get(field::GUEST_ASID) as u32,
            nested,
            inject: get(field::EVENTINJ),
            inject_nrip: get(field::NRIP),
        }
    }

    fn uses_pdptes(&self) -> bool {
        let pae = self.system.cr4 & Cr4::PAE.bits() != 0;
        self.paging_enabled() && pae && !self.is_long_mode()
    }

    /// What translations of a guest depend on beside its tables.
    fn space_registers(&self) -> [u64; 4] {
        let s = &self.system;
        let cr0 = (Cr0::PE | Cr0::PG | Cr0::WP).bits();
        let cr4 = (Cr4::PAE | Cr4::PSE | Cr4::PGE | Cr4::SMEP | Cr4::SMAP).bits();
        let efer = (Efer::LMA | Efer::NXE).bits();
        [s.cr0 & cr0, s.cr3, s.cr4 & cr4, s.efer & efer]
    }

    /// Makes the TLB that of an address space. Its entries are dropped unless they belong there.
    fn enter_space(&mut self, space: Space, keep: bool) {
        if !keep || self.svm.space != space {
            self.flush_translations(true);
            self.svm.space = space;
        }
    }

    /// Makes the TLB that of the host, if it is the host that runs.
    pub(crate) fn settle_space(&mut self) {
        if self.svm.guest.is_none() {
            self.enter_space(Space::Host, true);
        }
    }

    /// Delivers the event of EVENTINJ, which is not intercepted itself (§15.20).
    pub(crate) fn inject(&mut self, bus: &mut dyn Bus) -> Result<bool, Exit> {
        let Some(guest) = &mut self.svm.guest else { return Ok(false) };
        let (inject, nrip) = (std::mem::take(&mut guest.inject), guest.inject_nrip);
        if inject & event::V == 0 {
            return Ok(false);
        }
        self.deliver_injected(bus, inject, nrip).map(|()| true)
    }

    fn deliver_injected(&mut self, bus: &mut dyn Bus, inject: u64, nrip: u64) -> Result<(), Exit> {
        self.attention = true;
        let kind = inject >> 8 & 7;
        let vector = if kind == event::NMI { Vector::NMI } else { Vector(inject as u8) };
        let source = match kind {
            event::SOFTWARE => Source::Software,
            event::EXCEPTION => Source::Exception,
            _ => Source::External,
        };
        // An instruction that has been executed returns behind itself.
        let behind = kind == event::SOFTWARE
            || kind == event::EXCEPTION && matches!(vector, Vector::BP | Vector::OF);
        if kind == event::NMI {
            self.activity.nmi_blocked = true;
        }
        let error_code =
            (inject & event::EV != 0 && kind == event::EXCEPTION).then_some((inject >> 32) as u32);
        if self.traces(TraceClasses::INT) {
            self.report(bus, vector, error_code, "injected", None);
        }
        let rip = if behind { nrip } else { self.rip };
        let resume = self.lazy.known.contains(Rflags::RF);
        match self.deliver(bus, Delivery { vector, source, error_code, rip, resume }) {
            Ok(()) => {
                self.ticks += 1;
                Ok(())
            }
            Err(Fault::Exception(e)) => {
                let during = (kind == event::EXCEPTION).then_some(vector);
                self.raise_during(bus, during, e)
            }
            Err(Fault::World) => self.switch_world(bus),
            Err(Fault::Exit | Fault::Wait) => Err(self.take_exit()),
        }
    }

    /// Delivers an event in the format of EVENTINJ to who runs now, without a VMRUN: for a monitor that
    /// emulates what interrupted the delivery. Events of instructions return to RIP.
    ///
    /// # Errors
    /// What [`Vcpu::run`] would have returned with.
    pub fn inject_event(&mut self, bus: &mut dyn Bus, event: u64) -> Result<(), Exit> {
        self.take_up_memory(bus);
        if is_event(event) && event & event::V != 0 {
            self.activity.halted = false;
            self.deliver_injected(bus, event, self.rip)?;
        }
        Ok(())
    }

    /// #VMEXIT (§15.6): the guest into its VMCB, the host out of the save area, GIF cleared.
    pub(crate) fn leave_guest(&mut self, bus: &mut dyn Bus, reason: Reason) -> Result<(), Exit> {
        let Some(guest) = self.svm.guest.take() else {
            unreachable!("only what a guest does is intercepted")
        };
        let vmcb = Vmcb { address: guest.vmcb };
        let delivering = std::mem::take(&mut self.svm_work.delivering);
        self.svm.gif = false;
        if reason.code == exit::INVALID {
            let memory = bus.memory();
            vmcb.set(memory, field::EXITCODE, reason.code);
            vmcb.set(memory, field::EXITINFO1, 0);
            vmcb.set(memory, field::EXITINFO2, 0);
            vmcb.set(memory, field::EXITINTINFO, 0);
        } else {
            self.store_guest(bus, &guest, reason, delivering);
        }
        self.written_page(bus, vmcb.address);
        self.report_world(bus, vmcb.address, Some(reason.code));
        self.count_switch();
        self.load_host(bus, guest.nested.is_some())?;
        if self.svm_work.stops {
            return Err(Exit::VmExit);
        }
        self.settle_space();
        Ok(())
    }

    fn store_guest(&mut self, bus: &mut dyn Bus, guest: &Guest, reason: Reason, delivering: u64) {
        let vmcb = Vmcb { address: guest.vmcb };
        let now = self.space_registers();
        if let Space::Guest { registers, .. } = &mut self.svm.space {
            *registers = now;
        }
        let (bytes, count) = self.instruction_bytes(reason.with_bytes);
        let activity = self.activity;
        let shadow = activity.sti_shadow || activity.ss_shadow || self.svm_work.shadowed;
        let own_if = self.lazy.known.contains(Rflags::IF);
        let saved = self.saved(self.rip);
        saved.write(bus.memory(), vmcb);
        for (field, value) in [
            (field::CPL, u64::from(self.cpl())),
            (field::CR2, self.system.cr2),
            (field::DR6, self.system.dr6),
            (field::DR7, self.system.dr7),
            (field::V_INTR, guest.v_intr),
            (field::INTERRUPT_SHADOW, u64::from(shadow) | u64::from(own_if) << 1),
            (field::EXITCODE, reason.code),
            (field::EXITINFO1, reason.info1),
            (field::EXITINFO2, reason.info2),
            (field::EXITINTINFO, delivering),
            (field::EVENTINJ, 0),
            (field::NRIP, reason.nrip),
            (field::BYTES_FETCHED, count),
        ] {
            vmcb.set(bus.memory(), field, value);
        }
        if guest.nested.is_some() {
            vmcb.set(bus.memory(), field::G_PAT, saved.pat);
        }
        let at = u64::from(field::INSTRUCTION_BYTES.offset);
        bus.memory().write(vmcb.address + at, &bytes);
    }

    /// The bytes at CS:RIP that have been fetched, and how many (§15.8.4, "Guest Instruction
    /// Bytes").
    fn instruction_bytes(&mut self, wanted: bool) -> ([u8; 15], u64) {
        let mut bytes = [0; 15];
        let base = if self.is_64_bit() { 0 } else { self.segment(Seg::Cs).base };
        let linear = self.wrap(base.wrapping_add(self.rip));
        let user = self.is_user();
        let mut count = 0;
        while wanted && count < bytes.len() {
            let at = self.wrap(linear.wrapping_add(count as u64));
            let Some((offset, _)) = self.tlb.fetch(user, at) else { break };
            let room = (0x1000 - (at & 0xfff)) as usize;
            let end = bytes.len().min(count + room);
            self.ram.read(offset, &mut bytes[count..end]);
            count = end;
        }
        (bytes, count as u64)
    }

    fn load_host(&mut self, bus: &mut dyn Bus, nested: bool) -> Result<(), Exit> {
        let host = Saved::read(bus.memory(), Vmcb { address: self.svm.hsave_pa });
        let host = Saved { rflags: host.rflags.difference(Rflags::VM), ..host };
        let consistent = self.is_consistent(&host) && host.cr0 & Cr0::PE.bits() != 0;
        if !consistent || !is_pat(host.pat) {
            self.activity.shut_down = true;
            return Err(Exit::Shutdown);
        }
        if nested {
            self.system.msrs.pat = host.pat;
        }
        self.load_saved(&host);
        self.system.segments[Seg::Cs as usize].selector &= !3;
        self.system.dr7 = 0x400;
        self.settle();
        self.report_mode(bus);
        if self.uses_pdptes() && self.load_pdptes(bus, self.system.cr3).is_err() {
            self.activity.shut_down = true;
            return Err(Exit::Shutdown);
        }
        Ok(())
    }
}

/// Whether EVENTINJ is empty or holds an event that can be injected (§15.20).
fn is_event(inject: u64) -> bool {
    let vector = inject & 0xff;
    inject & event::V == 0
        || match inject >> 8 & 7 {
            event::INTR | event::NMI | event::SOFTWARE => true,
            event::EXCEPTION => vector < 32 && vector != u64::from(Vector::NMI.0),
            _ => false,
        }
}

/// The event in delivery as EXITINTINFO has it, which is the format of EVENTINJ (§15.7.2,
/// "Intercepts During IDT Interrupt Delivery").
pub(super) fn event_of(d: &Delivery, kind: u64) -> u64 {
    let code = d.error_code.map_or(0, |code| event::EV | u64::from(code) << 32);
    event::V | kind << 8 | u64::from(d.vector.0) | code
}

impl Vcpu {
    /// Notes the event whose delivery begins, for who is interrupted in it.
    pub(crate) fn note_delivery(&mut self, d: &Delivery) {
        if self.svm.guest.is_none() {
            return;
        }
        let by_exception_instruction = self.svm_work.instruction.is_some_and(|(code, _)| {
            matches!(code, cutaway_isa::Code::Int3 | cutaway_isa::Code::Into)
        });
        let kind = match d.source {
            Source::Software if !by_exception_instruction => event::SOFTWARE,
            Source::Software | Source::Exception => event::EXCEPTION,
            Source::External if d.vector == Vector::NMI => event::NMI,
            Source::External => event::INTR,
        };
        self.svm_work.delivering = event_of(d, kind);
    }

    /// What intercepts an exception that the guest is about to take (§15.12, "Exception
    /// Intercepts").
    pub(crate) fn exception_exit(&self, e: Exception) -> Option<Reason> {
        let code = exit::EXCEPTION + u64::from(e.vector.0);
        if e.vector.0 >= 32 || !self.intercepts(code) {
            return None;
        }
        let info1 = if e.vector.has_error_code() { u64::from(e.code) } else { 0 };
        let is_pf = e.vector == Vector::PF;
        let info2 = if is_pf { e.address } else { 0 };
        let with_bytes = is_pf && self.svm_work.instruction.is_some();
        Some(Reason { code, info1, info2, nrip: 0, with_bytes })
    }
}
