//! Delivery of interrupts and exceptions through the IVT or IDT.
//!
//! Source: Intel SDM vol. 3A §6.12, "Exception and Interrupt Handling"; §6.14 (64-bit mode);
//! §20.3 (virtual-8086 mode); vol. 2, "INT n/INTO/INT3/INT1".

use crate::access::is_canonical;
use crate::exception::{Exception, Fault};
use crate::paging::Access;
use crate::segment::{Descriptor, Segment, error_of, system_type};
use crate::state::{Seg, gpr};
use crate::vcpu::TraceClasses;
use crate::{Bus, Event, Vcpu};
use cutaway_isa::{Cr4, Rflags, Vector, Width};

/// What is being delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// INT n, INT3, INTO: the gate's DPL is checked.
    Software,
    /// INTR or NMI.
    External,
    /// An exception, or INT1.
    Exception,
}

/// An event on its way through the IDT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) vector: Vector,
    pub(crate) source: Source,
    pub(crate) error_code: Option<u32>,
    /// The RIP to push.
    pub(crate) rip: u64,
    /// RF in the pushed image.
    pub(crate) resume: bool,
}

impl Delivery {
    /// EXT: bit 0 of error codes of faults met on the way.
    pub(crate) fn ext(&self) -> u32 {
        u32::from(self.source != Source::Software)
    }

    /// The error code that names this IDT entry.
    fn idt_error(&self) -> u32 {
        u32::from(self.vector.0) << 3 | 2 | self.ext()
    }
}

/// A stack to push on, not yet that of the vCPU.
pub(crate) struct Frame {
    pub(crate) segment: Segment,
    pub(crate) rsp: u64,
    pub(crate) cpl: u8,
    /// Slot width.
    pub(crate) width: Width,
    /// EXT bit for #SS.
    pub(crate) ext: u32,
}

impl Vcpu {
    pub(crate) fn report_exception(&mut self, bus: &mut dyn Bus, e: Exception) {
        if self.traces(TraceClasses::INT) {
            let error_code = e.vector.has_error_code().then_some(e.code);
            let cr2 = (e.vector == Vector::PF).then_some(e.address);
            self.report(bus, e.vector, error_code, "exception", cr2);
        }
    }

    pub(crate) fn report(
        &mut self,
        bus: &mut dyn Bus,
        vector: Vector,
        error_code: Option<u32>,
        source: &'static str,
        cr2: Option<u64>,
    ) {
        let cs = self.segment(Seg::Cs).selector;
        let (at, rip) = (self.ticks, self.rip);
        bus.trace(&Event::Interrupt { at, vector, error_code, source, cs, rip, cr2 });
    }

    /// Delivers an exception with RIP still at the instruction that raised it.
    pub(crate) fn deliver_exception(
        &mut self,
        bus: &mut dyn Bus,
        e: Exception,
    ) -> Result<(), Fault> {
        let is_trap = e.vector == Vector::DB;
        self.deliver(
            bus,
            Delivery {
                vector: e.vector,
                source: Source::Exception,
                error_code: e.vector.has_error_code().then_some(e.code),
                rip: self.rip,
                resume: !is_trap && e.vector != Vector::DF,
            },
        )
    }

    /// Pushes the frame, loads CS:RIP and the stack. On a fault nothing has changed.
    pub(crate) fn deliver(&mut self, bus: &mut dyn Bus, d: Delivery) -> Result<(), Fault> {
        self.activity.halted = false;
        self.note_delivery(&d);
        let delivered = if !self.is_protected() {
            self.deliver_real(bus, &d)
        } else if self.is_long_mode() {
            self.deliver_long(bus, &d)
        } else {
            self.deliver_protected(bus, &d)
        };
        self.settle();
        if delivered.is_ok() {
            self.svm_work.delivering = 0;
        }
        delivered
    }

    fn deliver_protected(&mut self, bus: &mut dyn Bus, d: &Delivery) -> Result<(), Fault> {
        let offset = u32::from(d.vector.0) * 8;
        let idt_fault = |kind: fn(u32) -> Exception| -> Fault { kind(d.idt_error()).into() };
        if offset + 7 > u32::from(self.system.idtr.limit) {
            return Err(idt_fault(Exception::GP));
        }
        let at = self.system.idtr.base.wrapping_add(u64::from(offset));
        let gate = Descriptor(self.read_system(bus, at, Width::Qword)?);
        let Some(kind) = gate.system_type() else { return Err(idt_fault(Exception::GP)) };
        let known = matches!(
            kind,
            system_type::TASK_GATE
                | system_type::INTERRUPT_GATE16
                | system_type::TRAP_GATE16
                | system_type::INTERRUPT_GATE
                | system_type::TRAP_GATE
        );
        if !known || d.source == Source::Software && gate.dpl() < self.cpl() {
            return Err(idt_fault(Exception::GP));
        }
        if !gate.is_present() {
            return Err(idt_fault(Exception::NP));
        }
        if kind == system_type::TASK_GATE {
            return self.interrupt_task(bus, gate.gate_selector(), d);
        }
        self.deliver_gate(bus, d, gate, kind)
    }

    fn deliver_real(&mut self, bus: &mut dyn Bus, d: &Delivery) -> Result<(), Fault> {
        let offset = u32::from(d.vector.0) * 4;
        if offset + 3 > u32::from(self.system.idtr.limit) {
            return Err(Exception::GP(d.idt_error()).into());
        }
        let at = self.system.idtr.base.wrapping_add(u64::from(offset));
        let entry = self.read_system(bus, at, Width::Dword)?;
        let flags = self.lazy.rflags();
        let cs = self.segment(Seg::Cs).selector;
        let frame = Frame {
            segment: *self.segment(Seg::Ss),
            rsp: self.r[gpr::RSP],
            cpl: self.cpl(),
            width: Width::Word,
            ext: d.ext(),
        };
        let top = self.push_frame(bus, &frame, &[flags.bits(), u64::from(cs), d.rip])?;
        let stack = self.stack_width();
        self.put_gpr(gpr::RSP, 0, stack, top);
        let code = &mut self.system.segments[Seg::Cs as usize];
        code.selector = (entry >> 16) as u16;
        code.base = (entry >> 16) << 4;
        self.rip = entry & 0xffff;
        self.set_rflags(flags.difference(Rflags::IF | Rflags::TF | Rflags::AC | Rflags::RF));
        Ok(())
    }

    /// Interrupt and trap gates outside long mode.
    fn deliver_gate(
        &mut self,
        bus: &mut dyn Bus,
        d: &Delivery,
        gate: Descriptor,
        kind: u8,
    ) -> Result<(), Fault> {
        let wide = kind >= system_type::INTERRUPT_GATE;
        let width = if wide { Width::Dword } else { Width::Word };
        let selector = gate.gate_selector();
        if selector & 0xfffc == 0 {
            return Err(Exception::GP(d.ext()).into());
        }
        let error = error_of(selector) | d.ext();
        let Some(mut found) = self.find_descriptor(bus, selector)? else {
            return Err(Exception::GP(error).into());
        };
        let code = found.descriptor.segment(selector);
        if !code.is_code() || code.dpl() > self.cpl() {
            return Err(Exception::GP(error).into());
        }
        if !code.is_present() {
            return Err(Exception::NP(error).into());
        }
        let from_v86 = self.is_virtual_8086();
        let cpl = self.cpl();
        let inner = !code.is_conforming() && code.dpl() < cpl;
        if from_v86 && (!inner || code.dpl() != 0) {
            return Err(Exception::GP(error).into());
        }
        let new_cpl = if inner { code.dpl() } else { cpl };
        let offset = gate.gate_offset() & width.mask();
        if offset > u64::from(code.limit) {
            return Err(Exception::GP(d.ext()).into());
        }

        let flags = self.lazy.rflags().with(Rflags::RF, d.resume);
        let old_ss = self.segment(Seg::Ss).selector;
        let mut values = Vec::with_capacity(10);
        let frame = if inner {
            if from_v86 {
                for seg in [Seg::Gs, Seg::Fs, Seg::Ds, Seg::Es] {
                    values.push(u64::from(self.segment(seg).selector));
                }
            }
            values.extend([u64::from(old_ss), self.r[gpr::RSP]]);
            let (selector, rsp) = self.stack_from_tss(bus, new_cpl)?;
            let segment = self.inner_stack(bus, selector, new_cpl, d.ext())?;
            Frame { segment, rsp, cpl: new_cpl, width, ext: d.ext() }
        } else {
            let segment = *self.segment(Seg::Ss);
            Frame { segment, rsp: self.r[gpr::RSP], cpl, width, ext: d.ext() }
        };
        values.extend([flags.bits(), u64::from(self.segment(Seg::Cs).selector), d.rip]);
        values.extend(d.error_code.map(u64::from));
        let top = self.push_frame(bus, &frame, &values)?;
        self.mark_accessed(bus, &mut found)?;

        let mut new_flags = flags.difference(Rflags::TF | Rflags::NT | Rflags::VM | Rflags::RF);
        if kind == system_type::INTERRUPT_GATE || kind == system_type::INTERRUPT_GATE16 {
            new_flags = new_flags.difference(Rflags::IF);
        }
        if from_v86 {
            for seg in [Seg::Gs, Seg::Fs, Seg::Ds, Seg::Es] {
                self.system.segments[seg as usize] = Segment::null(0);
            }
        }
        let selector = selector & 0xfffc | u16::from(new_cpl);
        self.system.segments[Seg::Cs as usize] = found.descriptor.segment(selector);
        self.system.segments[Seg::Ss as usize] = frame.segment;
        let stack = if frame.segment.is_big() { Width::Dword } else { Width::Word };
        self.put_gpr(gpr::RSP, 0, stack, top);
        self.rip = offset;
        self.set_rflags(new_flags);
        Ok(())
    }

    /// SS:ESP for an inner level from the current TSS.
    pub(crate) fn stack_from_tss(
        &mut self,
        bus: &mut dyn Bus,
        cpl: u8,
    ) -> Result<(u16, u64), Fault> {
        let tss = *self.segment(Seg::Tr);
        let wide = tss.attributes & 8 != 0;
        let (at, size) =
            if wide { (4 + 8 * u32::from(cpl), 5) } else { (2 + 4 * u32::from(cpl), 3) };
        if at + size > tss.limit {
            return Err(Exception::TS(error_of(tss.selector)).into());
        }
        let base = tss.base.wrapping_add(u64::from(at));
        let width = if wide { Width::Dword } else { Width::Word };
        let rsp = self.read_system(bus, base, width)?;
        let selector = self.read_system(bus, base.wrapping_add(width.bytes()), Width::Word)?;
        Ok((selector as u16, rsp))
    }

    /// The stack segment of an inner level, #TS or #SS with EXT.
    pub(crate) fn inner_stack(
        &mut self,
        bus: &mut dyn Bus,
        selector: u16,
        cpl: u8,
        ext: u32,
    ) -> Result<Segment, Fault> {
        self.checked_stack_segment(bus, selector, cpl, Exception::TS).map_err(|fault| match fault {
            Fault::Exception(e) if e.vector == Vector::TS || e.vector == Vector::SS => {
                Fault::Exception(Exception { code: e.code | ext, ..e })
            }
            other => other,
        })
    }

    /// Pushes values on a stack that need not be the current one, all or nothing. Returns the
    /// new stack pointer.
    pub(crate) fn push_frame(
        &mut self,
        bus: &mut dyn Bus,
        frame: &Frame,
        values: &[u64],
    ) -> Result<u64, Fault> {
        let size = frame.width.bytes();
        let mask = if self.is_long_mode() && frame.width == Width::Qword {
            u64::MAX
        } else if frame.segment.is_big() {
            0xffff_ffff
        } else {
            0xffff
        };
        let user = frame.cpl == 3;
        let switched = frame.cpl != self.cpl();
        let error = if switched { error_of(frame.segment.selector) } else { 0 } | frame.ext;
        let mut places = Vec::with_capacity(values.len());
        let mut rsp = frame.rsp;
        for _ in values {
            rsp = rsp.wrapping_sub(size) & mask;
            let linear = if mask == u64::MAX {
                if !is_canonical(rsp) {
                    return Err(Exception::SS(frame.ext).into());
                }
                rsp
            } else {
                let (low, end) = frame.segment.offsets();
                let usable = frame.segment.is_present() && frame.segment.is_writable();
                if !usable || rsp < low || rsp + size > end {
                    return Err(Exception::SS(error).into());
                }
                frame.segment.base.wrapping_add(rsp) & 0xffff_ffff
            };
            places.push(linear);
        }
        for &linear in &places {
            self.probe_linear(bus, linear, size, Access::Write, user)?;
        }
        for (&linear, &value) in places.iter().zip(values) {
            self.write_linear(bus, linear, frame.width, value & frame.width.mask(), user)?;
        }
        Ok(rsp)
    }

    fn deliver_long(&mut self, bus: &mut dyn Bus, d: &Delivery) -> Result<(), Fault> {
        let offset = u32::from(d.vector.0) * 16;
        let idt_fault = |kind: fn(u32) -> Exception| -> Fault { kind(d.idt_error()).into() };
        if offset + 15 > u32::from(self.system.idtr.limit) {
            return Err(idt_fault(Exception::GP));
        }
        let at = self.system.idtr.base.wrapping_add(u64::from(offset));
        let gate = Descriptor(self.read_system(bus, at, Width::Qword)?);
        let upper = self.read_system(bus, at.wrapping_add(8), Width::Qword)?;
        let kind = gate.system_type();
        let is_interrupt = kind == Some(system_type::INTERRUPT_GATE);
        if !is_interrupt && kind != Some(system_type::TRAP_GATE) {
            return Err(idt_fault(Exception::GP));
        }
        if d.source == Source::Software && gate.dpl() < self.cpl() {
            return Err(idt_fault(Exception::GP));
        }
        if !gate.is_present() {
            return Err(idt_fault(Exception::NP));
        }
        let selector = gate.gate_selector();
        if selector & 0xfffc == 0 {
            return Err(Exception::GP(d.ext()).into());
        }
        let error = error_of(selector) | d.ext();
        let Some(mut found) = self.find_descriptor(bus, selector)? else {
            return Err(Exception::GP(error).into());
        };
        let code = found.descriptor.segment(selector);
        let cpl = self.cpl();
        if !code.is_code() || code.dpl() > cpl || !code.is_long() || code.is_big() {
            return Err(Exception::GP(error).into());
        }
        if !code.is_present() {
            return Err(Exception::NP(error).into());
        }
        let inner = !code.is_conforming() && code.dpl() < cpl;
        let new_cpl = if inner { code.dpl() } else { cpl };
        let target = gate.gate_offset() & 0xffff_ffff | upper << 32;
        if !is_canonical(target) {
            return Err(Exception::GP(d.ext()).into());
        }
        let ist = gate.0 >> 32 & 7;
        let rsp = if ist != 0 {
            self.read_tss64(bus, 0x24 + 8 * (ist as u32 - 1))?
        } else if inner {
            self.read_tss64(bus, 4 + 8 * u32::from(new_cpl))?
        } else {
            self.r[gpr::RSP]
        };
        let flags = self.lazy.rflags().with(Rflags::RF, d.resume);
        let null_stack =
            Segment { attributes: u16::from(new_cpl) << 5, ..Segment::null(u16::from(new_cpl)) };
        let old_ss = *self.segment(Seg::Ss);
        let segment = if inner { null_stack } else { old_ss };
        let frame =
            Frame { segment, rsp: rsp & !0xf, cpl: new_cpl, width: Width::Qword, ext: d.ext() };
        let cs = self.segment(Seg::Cs).selector;
        let mut values =
            vec![u64::from(old_ss.selector), self.r[gpr::RSP], flags.bits(), u64::from(cs), d.rip];
        values.extend(d.error_code.map(u64::from));
        let top = self.push_frame(bus, &frame, &values)?;
        self.mark_accessed(bus, &mut found)?;

        let mut new_flags = flags.difference(Rflags::TF | Rflags::NT | Rflags::RF);
        if is_interrupt {
            new_flags = new_flags.difference(Rflags::IF);
        }
        let selector = selector & 0xfffc | u16::from(new_cpl);
        self.system.segments[Seg::Cs as usize] = found.descriptor.segment(selector);
        self.system.segments[Seg::Ss as usize] = segment;
        self.r[gpr::RSP] = top;
        self.rip = target;
        self.set_rflags(new_flags);
        Ok(())
    }

    /// A stack pointer of the 64-bit TSS.
    pub(crate) fn read_tss64(&mut self, bus: &mut dyn Bus, at: u32) -> Result<u64, Fault> {
        let tss = *self.segment(Seg::Tr);
        if at + 7 > tss.limit {
            return Err(Exception::TS(error_of(tss.selector)).into());
        }
        self.read_system(bus, tss.base.wrapping_add(u64::from(at)), Width::Qword)
    }

    /// INT n in virtual-8086 mode: by VME's redirection bitmap through the guest's own IVT, by
    /// the IDT with IOPL 3, or #GP(0) (SDM vol. 3A §20.3.3, table 20-2).
    pub(crate) fn software_interrupt_v86(
        &mut self,
        bus: &mut dyn Bus,
        vector: Vector,
        next: u64,
    ) -> Result<bool, Fault> {
        let flags = self.lazy.rflags();
        if self.system.cr4 & Cr4::VME.bits() != 0 {
            let tss = *self.segment(Seg::Tr);
            let map = self.read_system(bus, tss.base.wrapping_add(102), Width::Word)?;
            let at = map.wrapping_sub(32) + u64::from(vector.0 / 8);
            if map >= 32 && at <= u64::from(tss.limit) {
                let bits = self.read_system(bus, tss.base.wrapping_add(at), Width::Byte)?;
                if bits >> (vector.0 % 8) & 1 == 0 {
                    self.redirect_v86(bus, vector, next)?;
                    return Ok(true);
                }
            }
        }
        if flags.iopl() < 3 { Err(Exception::GP0.into()) } else { Ok(false) }
    }

    fn redirect_v86(&mut self, bus: &mut dyn Bus, vector: Vector, next: u64) -> Result<(), Fault> {
        let flags = self.lazy.rflags();
        let entry = self.read_linear(bus, u64::from(vector.0) * 4, Width::Dword, true)?;
        let virtualized = flags.iopl() < 3;
        let image = if virtualized {
            flags.with(Rflags::IF, flags.contains(Rflags::VIF)) | Rflags::IOPL
        } else {
            flags
        };
        let cs = self.segment(Seg::Cs).selector;
        let segment = *self.segment(Seg::Ss);
        let frame = Frame { segment, rsp: self.r[gpr::RSP], cpl: 3, width: Width::Word, ext: 0 };
        let top = self.push_frame(bus, &frame, &[image.bits(), u64::from(cs), next])?;
        self.put_gpr(gpr::RSP, 0, Width::Word, top);
        self.system.segments[Seg::Cs as usize] = Segment::virtual_8086((entry >> 16) as u16);
        self.rip = entry & 0xffff;
        let cleared = if virtualized { Rflags::VIF } else { Rflags::IF };
        self.set_rflags(flags.difference(cleared | Rflags::TF | Rflags::NT));
        Ok(())
    }
}
