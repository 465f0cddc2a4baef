//! Descriptor tables: reading descriptors, and loading the data segment registers, LDTR and TR.
//!
//! Source: Intel SDM vol. 3A §3.4.5, "Segment Descriptors"; vol. 2, "MOV", "LLDT", "LTR"; AMD APM
//! vol. 2 §4.10, "Data Limit Checks" (null SS in 64-bit mode).

use crate::exception::{Exception, Fault};
use crate::segment::{Descriptor, Segment, error_of, system_type};
use crate::state::Seg;
use crate::{Bus, Vcpu};
use cutaway_isa::Width;

/// A descriptor with its place, for writing it back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) descriptor: Descriptor,
    /// Linear address.
    pub(crate) at: u64,
}

impl Vcpu {
    /// The descriptor a selector names; none where it lies outside its table.
    pub(crate) fn find_descriptor(
        &mut self,
        bus: &mut dyn Bus,
        selector: u16,
    ) -> Result<Option<Found>, Fault> {
        let ldtr = self.segment(Seg::Ldtr);
        let (base, limit) = match selector & 4 {
            0 => (self.system.gdtr.base, u32::from(self.system.gdtr.limit)),
            _ if ldtr.attributes & 0x80 == 0 => return Ok(None),
            _ => (ldtr.base, ldtr.limit),
        };
        let offset = u32::from(selector & 0xfff8);
        if offset + 7 > limit {
            return Ok(None);
        }
        let at = self.wrap(base.wrapping_add(u64::from(offset)));
        let descriptor = Descriptor(self.read_system(bus, at, Width::Qword)?);
        Ok(Some(Found { descriptor, at }))
    }

    /// `find_descriptor`, or `fault(selector)` where there is none; null selectors fault too.
    pub(crate) fn descriptor(
        &mut self,
        bus: &mut dyn Bus,
        selector: u16,
        fault: fn(u32) -> Exception,
    ) -> Result<Found, Fault> {
        if selector & 0xfffc == 0 {
            return Err(fault(0).into());
        }
        match self.find_descriptor(bus, selector)? {
            Some(found) => Ok(found),
            None => Err(fault(error_of(selector)).into()),
        }
    }

    /// The upper half of a 16-byte system descriptor: base bits 63:32 (long mode).
    pub(crate) fn upper_half(
        &mut self,
        bus: &mut dyn Bus,
        selector: u16,
        at: u64,
    ) -> Result<u64, Fault> {
        let limit = match selector & 4 {
            0 => u32::from(self.system.gdtr.limit),
            _ => self.segment(Seg::Ldtr).limit,
        };
        if u32::from(selector & 0xfff8) + 15 > limit {
            return Err(Exception::GP(error_of(selector)).into());
        }
        self.read_system(bus, at.wrapping_add(8), Width::Qword)
    }

    /// Sets the accessed bit of a code or data descriptor in memory.
    pub(crate) fn mark_accessed(
        &mut self,
        bus: &mut dyn Bus,
        found: &mut Found,
    ) -> Result<(), Fault> {
        if found.descriptor.0 >> 40 & 1 == 0 {
            found.descriptor.0 |= 1 << 40;
            let kind = found.descriptor.0 >> 40 & 0xff;
            self.write_system(bus, found.at.wrapping_add(5), Width::Byte, kind)?;
        }
        Ok(())
    }

    /// Loads ES, SS, DS, FS or GS with all checks.
    pub(crate) fn load_data_segment(
        &mut self,
        bus: &mut dyn Bus,
        seg: Seg,
        selector: u16,
    ) -> Result<(), Fault> {
        if !self.is_protected() {
            // The cache keeps limit and rights: what protected mode left stays ("unreal mode").
            let segment = &mut self.system.segments[seg as usize];
            segment.selector = selector;
            segment.base = u64::from(selector) << 4;
            self.settle();
            return Ok(());
        }
        let segment = if self.is_virtual_8086() {
            Segment::virtual_8086(selector)
        } else if seg == Seg::Ss {
            let cpl = self.cpl();
            self.checked_stack_segment(bus, selector, cpl, Exception::GP)?
        } else {
            self.checked_data_segment(bus, selector)?
        };
        self.system.segments[seg as usize] = segment;
        self.settle();
        Ok(())
    }

    fn checked_data_segment(&mut self, bus: &mut dyn Bus, selector: u16) -> Result<Segment, Fault> {
        if selector & 0xfffc == 0 {
            // The reference clears the base of FS and GS too (NullSelectorClearsBase).
            return Ok(Segment::null(selector));
        }
        let mut found = self.descriptor(bus, selector, Exception::GP)?;
        let segment = found.descriptor.segment(selector);
        let rpl = (selector & 3) as u8;
        let bound = segment.is_data() || segment.is_code() && !segment.is_conforming();
        let allowed = !bound || rpl.max(self.cpl()) <= segment.dpl();
        if !segment.is_readable() || !allowed {
            return Err(Exception::GP(error_of(selector)).into());
        }
        if !segment.is_present() {
            return Err(Exception::NP(error_of(selector)).into());
        }
        self.mark_accessed(bus, &mut found)?;
        Ok(found.descriptor.segment(selector))
    }

    /// A stack segment for privilege `cpl`; `fault` is #GP for MOV SS, #TS for stack switches.
    pub(crate) fn checked_stack_segment(
        &mut self,
        bus: &mut dyn Bus,
        selector: u16,
        cpl: u8,
        fault: fn(u32) -> Exception,
    ) -> Result<Segment, Fault> {
        let rpl = (selector & 3) as u8;
        if selector & 0xfffc == 0 && self.is_64_bit() && cpl < 3 && rpl == cpl {
            return Ok(Segment { attributes: u16::from(cpl) << 5, ..Segment::null(selector) });
        }
        let mut found = self.descriptor(bus, selector, fault)?;
        let segment = found.descriptor.segment(selector);
        if rpl != cpl || segment.dpl() != cpl || !segment.is_writable() {
            return Err(fault(error_of(selector)).into());
        }
        if !segment.is_present() {
            return Err(Exception::SS(error_of(selector)).into());
        }
        self.mark_accessed(bus, &mut found)?;
        Ok(found.descriptor.segment(selector))
    }

    /// LLDT.
    pub(crate) fn load_ldtr(
        &mut self,
        bus: &mut dyn Bus,
        selector: u16,
        fault: fn(u32) -> Exception,
    ) -> Result<(), Fault> {
        if selector & 0xfffc == 0 {
            self.system.segments[Seg::Ldtr as usize] = Segment::null(selector);
            return Ok(());
        }
        if selector & 4 != 0 {
            return Err(fault(error_of(selector)).into());
        }
        let found = self.descriptor(bus, selector, fault)?;
        if found.descriptor.system_type() != Some(system_type::LDT) {
            return Err(fault(error_of(selector)).into());
        }
        if !found.descriptor.is_present() {
            return Err(Exception::NP(error_of(selector)).into());
        }
        let mut segment = found.descriptor.segment(selector);
        if self.is_long_mode() {
            segment.base |= self.upper_half(bus, selector, found.at)? << 32;
        }
        self.system.segments[Seg::Ldtr as usize] = segment;
        Ok(())
    }

    /// LTR: the TSS must be available and becomes busy.
    pub(crate) fn load_tr(&mut self, bus: &mut dyn Bus, selector: u16) -> Result<(), Fault> {
        if selector & 4 != 0 {
            return Err(Exception::GP(error_of(selector)).into());
        }
        let found = self.descriptor(bus, selector, Exception::GP)?;
        let kind = found.descriptor.system_type();
        let long = self.is_long_mode();
        if kind != Some(system_type::TSS) && (long || kind != Some(system_type::TSS16)) {
            return Err(Exception::GP(error_of(selector)).into());
        }
        if !found.descriptor.is_present() {
            return Err(Exception::NP(error_of(selector)).into());
        }
        let busy = Descriptor(found.descriptor.0 | 2 << 40);
        let mut segment = busy.segment(selector);
        if long {
            segment.base |= self.upper_half(bus, selector, found.at)? << 32;
        }
        self.write_system(bus, found.at.wrapping_add(5), Width::Byte, busy.0 >> 40 & 0xff)?;
        self.system.segments[Seg::Tr as usize] = segment;
        Ok(())
    }

    /// After a return to an outer level: data segments that it may not use become null.
    pub(crate) fn drop_inner_segments(&mut self, cpl: u8) {
        for seg in [Seg::Es, Seg::Ds, Seg::Fs, Seg::Gs] {
            let segment = self.system.segments[seg as usize];
            if segment.is_present() && !crate::segment::survives_return(&segment, cpl) {
                // 64-bit mode still uses the base of FS and GS.
                let base = segment.base;
                self.system.segments[seg as usize] = Segment { base, ..Segment::null(0) };
            }
        }
    }
}
