//! Hardware task switching.
//!
//! Source: Intel SDM vol. 3A §7.2, "Task Management Data Structures"; §7.3, "Task Switching".
//! Long mode has no task switches.

use crate::exception::{Exception, Fault};
use crate::interrupt::{Delivery, Frame};
use crate::segment::{Descriptor, Segment, error_of, system_type};
use crate::state::{Seg, gpr};
use crate::{Bus, Vcpu};
use cutaway_isa::{Cr0, Cr4, Rflags, Vector, Width};

/// Why tasks are switched; it decides about busy flags and NT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    Jump,
    /// CALL, or an interrupt or exception through a task gate.
    Call,
    Return,
}

/// Offsets in the 32-bit and the 16-bit TSS.
struct Layout {
    width: Width,
    min_limit: u32,
    ip: u64,
    flags: u64,
    registers: u64,
    segments: u64,
    segment_count: usize,
    segment_step: u64,
    ldt: u64,
}

const TSS32: Layout = Layout {
    width: Width::Dword,
    min_limit: 103,
    ip: 0x20,
    flags: 0x24,
    registers: 0x28,
    segments: 0x48,
    segment_count: 6,
    segment_step: 4,
    ldt: 0x60,
};
const TSS16: Layout = Layout {
    width: Width::Word,
    min_limit: 43,
    ip: 0x0e,
    flags: 0x10,
    registers: 0x12,
    segments: 0x22,
    segment_count: 4,
    segment_step: 2,
    ldt: 0x2a,
};

/// The state that a TSS holds of a task.
struct Image {
    cr3: Option<u64>,
    ip: u64,
    flags: Rflags,
    registers: [u64; 8],
    selectors: [u16; 6],
    ldt: u16,
    trap: bool,
}

fn layout(wide: bool) -> &'static Layout {
    if wide { &TSS32 } else { &TSS16 }
}

impl Vcpu {
    /// An interrupt or exception through a task gate.
    pub(crate) fn interrupt_task(
        &mut self,
        bus: &mut dyn Bus,
        selector: u16,
        d: &Delivery,
    ) -> Result<(), Fault> {
        let switched = self.switch_task(bus, selector, Switch::Call, d.rip);
        switched.map_err(|fault| with_ext(fault, d.ext()))?;
        if let Some(code) = d.error_code {
            let width =
                if self.segment(Seg::Tr).attributes & 8 != 0 { Width::Dword } else { Width::Word };
            let frame = Frame {
                segment: *self.segment(Seg::Ss),
                rsp: self.r[gpr::RSP],
                cpl: self.cpl(),
                width,
                ext: d.ext(),
            };
            let top = self.push_frame(bus, &frame, &[u64::from(code)])?;
            let stack = self.stack_width();
            self.put_gpr(gpr::RSP, 0, stack, top);
        }
        Ok(())
    }

    /// Switches to the task of a TSS selector. `next` is the RIP that the old task resumes at.
    pub(crate) fn switch_task(
        &mut self,
        bus: &mut dyn Bus,
        selector: u16,
        why: Switch,
        next: u64,
    ) -> Result<(), Fault> {
        let wrong = if why == Switch::Return { Exception::TS } else { Exception::GP };
        if selector & 4 != 0 {
            return Err(wrong(error_of(selector)).into());
        }
        let found = self.descriptor(bus, selector, wrong)?;
        let busy = why == Switch::Return;
        let wide = match (found.descriptor.system_type(), busy) {
            (Some(system_type::TSS), false) | (Some(system_type::TSS_BUSY), true) => true,
            (Some(system_type::TSS16), false) | (Some(system_type::TSS16_BUSY), true) => false,
            _ => return Err(wrong(error_of(selector)).into()),
        };
        if !found.descriptor.is_present() {
            return Err(Exception::NP(error_of(selector)).into());
        }
        let new_layout = layout(wide);
        if found.descriptor.limit() < new_layout.min_limit {
            return Err(Exception::TS(error_of(selector)).into());
        }
        if let Some(exit) = self.task_switch_exit(selector, why) {
            return Err(self.vmexit(exit));
        }
        let image = self.read_task(bus, found.descriptor.base(), new_layout)?;

        // The old task: its busy flag, its NT, its registers.
        let old = *self.segment(Seg::Tr);
        let mut flags = self.lazy.rflags();
        if why == Switch::Return {
            flags = flags.difference(Rflags::NT);
        }
        self.save_task(bus, &old, flags, next)?;
        if why != Switch::Call {
            self.set_busy(bus, old.selector, false)?;
        }
        if why == Switch::Call {
            let link = u64::from(old.selector);
            self.write_system(bus, found.descriptor.base(), Width::Word, link)?;
        }
        if why != Switch::Return {
            self.set_busy(bus, selector, true)?;
        }

        // From here on faults belong to the new task.
        let tss = Descriptor(found.descriptor.0 | 2 << 40).segment(selector);
        self.system.segments[Seg::Tr as usize] = tss;
        self.system.cr0 |= Cr0::TS.bits();
        let mut flags = image.flags;
        if why == Switch::Call {
            flags |= Rflags::NT;
        }
        self.load_task(bus, image, flags)
    }

    fn read_task(&mut self, bus: &mut dyn Bus, base: u64, l: &Layout) -> Result<Image, Fault> {
        let w = l.width;
        let mut registers = [0; 8];
        for (n, register) in registers.iter_mut().enumerate() {
            *register = self.read_system(bus, base + l.registers + n as u64 * w.bytes(), w)?;
        }
        let mut selectors = [0; 6];
        for (n, selector) in selectors.iter_mut().enumerate().take(l.segment_count) {
            let at = base + l.segments + n as u64 * l.segment_step;
            *selector = self.read_system(bus, at, Width::Word)? as u16;
        }
        let wide = w == Width::Dword;
        let cr3 = if wide { Some(self.read_system(bus, base + 0x1c, w)?) } else { None };
        let trap = wide && self.read_system(bus, base + 0x64, Width::Word)? & 1 != 0;
        let flags = self.read_system(bus, base + l.flags, w)?;
        Ok(Image {
            cr3,
            ip: self.read_system(bus, base + l.ip, w)?,
            flags: Rflags::from_bits_truncate(flags) | Rflags::ONE,
            registers,
            selectors,
            ldt: self.read_system(bus, base + l.ldt, Width::Word)? as u16,
            trap,
        })
    }

    fn save_task(
        &mut self,
        bus: &mut dyn Bus,
        tss: &Segment,
        flags: Rflags,
        next: u64,
    ) -> Result<(), Fault> {
        let l = layout(tss.attributes & 8 != 0);
        let (w, base) = (l.width, tss.base);
        self.write_system(bus, base + l.ip, w, next & w.mask())?;
        self.write_system(bus, base + l.flags, w, flags.bits() & w.mask())?;
        for n in 0..8 {
            let value = self.r[n] & w.mask();
            self.write_system(bus, base + l.registers + n as u64 * w.bytes(), w, value)?;
        }
        for n in 0..l.segment_count {
            let at = base + l.segments + n as u64 * l.segment_step;
            let selector = u64::from(self.system.segments[n].selector);
            self.write_system(bus, at, Width::Word, selector)?;
        }
        Ok(())
    }

    fn set_busy(&mut self, bus: &mut dyn Bus, selector: u16, busy: bool) -> Result<(), Fault> {
        if let Some(found) = self.find_descriptor(bus, selector)? {
            let kind = found.descriptor.0 >> 40 & 0xff;
            let kind = if busy { kind | 2 } else { kind & !2 };
            self.write_system(bus, found.at.wrapping_add(5), Width::Byte, kind)?;
        }
        Ok(())
    }

    fn load_task(&mut self, bus: &mut dyn Bus, image: Image, flags: Rflags) -> Result<(), Fault> {
        if let Some(cr3) = image.cr3.filter(|_| self.paging_enabled()) {
            if self.system.cr4 & Cr4::PAE.bits() != 0 {
                self.load_pdptes(bus, cr3)?;
            }
            self.system.cr3 = cr3;
            self.flush_translations(false);
            self.report_mode(bus);
        }
        self.rip = image.ip;
        self.r[..8].copy_from_slice(&image.registers);
        for (n, &selector) in image.selectors.iter().enumerate() {
            self.system.segments[n] = Segment::null(selector);
        }
        self.system.segments[Seg::Ldtr as usize] = Segment::null(image.ldt);
        self.system.dr7 &= !0x155; // the local enables
        self.set_rflags(flags);
        // An LDT that is not present is #TS as well (SDM vol. 3A table 7-1).
        self.load_ldtr(bus, image.ldt, Exception::TS).map_err(|fault| match fault {
            Fault::Exception(e) if e.vector == Vector::NP => Exception::TS(e.code).into(),
            other => other,
        })?;
        if flags.contains(Rflags::VM) {
            for (n, &selector) in image.selectors.iter().enumerate() {
                self.system.segments[n] = Segment::virtual_8086(selector);
            }
        } else {
            self.load_task_segments(bus, &image)?;
        }
        self.settle();
        if self.rip > u64::from(self.segment(Seg::Cs).limit) {
            return Err(Exception::GP0.into());
        }
        if image.trap {
            self.activity.debug_trap |= cutaway_isa::Dr6::BT.bits();
            self.attention = true;
        }
        Ok(())
    }

    fn task_code(&mut self, bus: &mut dyn Bus, cs: u16, cpl: u8) -> Result<Segment, Fault> {
        let mut found = self.descriptor(bus, cs, Exception::TS)?;
        let code = found.descriptor.segment(cs);
        let fits = if code.is_conforming() { code.dpl() <= cpl } else { code.dpl() == cpl };
        if !code.is_code() || !fits {
            return Err(Exception::TS(error_of(cs)).into());
        }
        if !code.is_present() {
            return Err(Exception::NP(error_of(cs)).into());
        }
        self.mark_accessed(bus, &mut found)?;
        Ok(found.descriptor.segment(cs))
    }

    fn load_task_segments(&mut self, bus: &mut dyn Bus, image: &Image) -> Result<(), Fault> {
        let cs = image.selectors[Seg::Cs as usize];
        let cpl = (cs & 3) as u8;
        // CS is judged first, but a good SS is loaded even beside a bad CS: the #TS handler, which
        // runs in the new task, pushes on it.
        let ss = image.selectors[Seg::Ss as usize];
        let stack = self.checked_stack_segment(bus, ss, cpl, Exception::TS);
        if let Ok(stack) = stack {
            self.system.segments[Seg::Ss as usize] = stack;
        }
        self.system.segments[Seg::Cs as usize] = self.task_code(bus, cs, cpl)?;
        stack?;
        self.settle();
        for seg in [Seg::Ds, Seg::Es, Seg::Fs, Seg::Gs] {
            self.load_data_segment(bus, seg, image.selectors[seg as usize]).map_err(as_ts)?;
        }
        Ok(())
    }
}

/// The EXT bit in an error code that names a selector.
fn with_ext(fault: Fault, ext: u32) -> Fault {
    match fault {
        Fault::Exception(e)
            if matches!(e.vector, Vector::TS | Vector::NP | Vector::SS | Vector::GP) =>
        {
            Exception { code: e.code | ext, ..e }.into()
        }
        other => other,
    }
}

/// Faults of segment loads in the new task are #TS where they would be #GP.
fn as_ts(fault: Fault) -> Fault {
    match fault {
        Fault::Exception(e) if e.vector == Vector::GP => Exception::TS(e.code).into(),
        other => other,
    }
}
