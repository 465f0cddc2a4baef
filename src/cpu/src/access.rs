//! Memory as the complete interpreter and the CPU itself reach it: segmentation, alignment,
//! breakpoints, page crossing, devices, self-modified code.
//!
//! Source: Intel SDM vol. 3A §5.3 to §5.5 (limit and type checks), §6.15 (#AC), §17.2.4 (data
//! breakpoints).

use crate::exception::{Exception, Fault};
use crate::paging::Access;
use crate::state::Seg;
use crate::{Bus, Vcpu};
use cutaway_isa::{Cr0, Cr4, Rflags, Width};
use cutaway_memory::PageKind;

/// Whether bits 63:47 are all alike.
#[inline(always)]
pub(crate) fn is_canonical(address: u64) -> bool {
    ((address << 16) as i64 >> 16) as u64 == address
}

impl Vcpu {
    /// The linear address of `seg:offset` for an access of `size` bytes, after all checks.
    pub(crate) fn linear(
        &self,
        seg: Seg,
        offset: u64,
        size: u64,
        access: Access,
    ) -> Result<u64, Fault> {
        let fault = if seg == Seg::Ss { Exception::SS0 } else { Exception::GP0 };
        let window = &self.windows[seg as usize];
        if self.is_64_bit() {
            let linear = window.base.wrapping_add(offset);
            let last = linear.wrapping_add(size - 1);
            // With a base, the offset counts as well (measured on Zen 3).
            let offset_fits = window.base == 0 || is_canonical(offset);
            return if is_canonical(linear) && is_canonical(last) && offset_fits {
                Ok(linear)
            } else {
                Err(fault.into())
            };
        }
        let end = if access == Access::Write { window.write_end } else { window.read_end };
        if offset < window.low || offset + size > end {
            // Type violations are #GP even through SS, where the segment would be readable.
            return Err(fault.into());
        }
        Ok(window.base.wrapping_add(offset) & 0xffff_ffff)
    }

    /// #AC where the access is misaligned and checking is on.
    pub(crate) fn check_alignment(&self, linear: u64, size: u64) -> Result<(), Fault> {
        let on = self.slow_bank
            && self.system.cr0 & Cr0::AM.bits() != 0
            && self.lazy.known.contains(Rflags::AC)
            && self.is_user();
        if on && linear & (size - 1) != 0 { Err(Exception::AC.into()) } else { Ok(()) }
    }

    /// Reads up to 8 bytes at a segment offset, at the current privilege.
    pub(crate) fn read_segment(
        &mut self,
        bus: &mut dyn Bus,
        seg: Seg,
        offset: u64,
        w: Width,
    ) -> Result<u64, Fault> {
        let linear = self.linear(seg, offset, w.bytes(), Access::Read)?;
        self.check_alignment(linear, w.bytes())?;
        let user = self.is_user();
        self.read_linear(bus, linear, w, user)
    }

    /// Writes up to 8 bytes at a segment offset, at the current privilege.
    pub(crate) fn write_segment(
        &mut self,
        bus: &mut dyn Bus,
        seg: Seg,
        offset: u64,
        w: Width,
        value: u64,
    ) -> Result<(), Fault> {
        let linear = self.linear(seg, offset, w.bytes(), Access::Write)?;
        self.check_alignment(linear, w.bytes())?;
        let user = self.is_user();
        self.write_linear(bus, linear, w, value, user)
    }

    /// Raises what a write of `size` bytes would raise, without writing.
    pub(crate) fn probe_write(
        &mut self,
        bus: &mut dyn Bus,
        seg: Seg,
        offset: u64,
        size: u64,
    ) -> Result<u64, Fault> {
        let linear = self.linear(seg, offset, size, Access::Write)?;
        self.check_alignment(linear, size.next_power_of_two())?;
        let user = self.is_user();
        self.probe_linear(bus, linear, size, Access::Write, user)?;
        Ok(linear)
    }

    /// Raises what an access to `size` bytes at a linear address would raise.
    pub(crate) fn probe_linear(
        &mut self,
        bus: &mut dyn Bus,
        linear: u64,
        size: u64,
        access: Access,
        user: bool,
    ) -> Result<(), Fault> {
        let bank = self.bank_of(user);
        let known = access == Access::Write
            && (self.tlb.write(bank, linear, size).is_some()
                || self.tlb.write_told(bank, linear, size).is_some()
                || self.tlb.parked(bank, linear, size, true).is_some());
        if known {
            return Ok(());
        }
        self.translate(bus, linear, access, user)?;
        let last = self.wrap(linear.wrapping_add(size - 1));
        if (linear ^ last) >> 12 != 0 {
            self.translate(bus, last & !0xfff, access, user)?;
        }
        Ok(())
    }

    /// Linear addresses have 32 bits outside 64-bit mode.
    pub(crate) fn wrap(&self, linear: u64) -> u64 {
        if self.is_long_mode() { linear } else { linear & 0xffff_ffff }
    }

    /// Reads up to 8 bytes at a linear address.
    pub(crate) fn read_linear(
        &mut self,
        bus: &mut dyn Bus,
        linear: u64,
        w: Width,
        user: bool,
    ) -> Result<u64, Fault> {
        let size = w.bytes();
        let bank = self.bank_of(user);
        if let Some(offset) = self.tlb.read(bank, linear, size) {
            return Ok(self.load_scalar(offset, w));
        }
        if let Some(offset) = self.tlb.parked(bank, linear, size, false) {
            let value = self.load_scalar(offset, w);
            self.note_touch(bus, Some(linear), offset, (size, value), false);
            return Ok(value);
        }
        if linear & 0xfff > 0x1000 - size {
            return self.read_across(bus, linear, size, user);
        }
        let physical = self.translate(bus, linear, Access::Read, user)?;
        self.note_data(linear, size, false);
        Ok(match bus.memory().page(physical) {
            PageKind::Ram(page) | PageKind::Rom(page) => {
                let offset = page + (physical & 0xfff) as usize;
                let value = self.load_scalar(offset, w);
                self.note_touch(bus, Some(linear), offset, (size, value), false);
                value
            }
            PageKind::Device => {
                let value = bus.mmio_read(physical, w, self.ticks);
                self.after_device(bus);
                value & w.mask()
            }
        })
    }

    fn read_across(
        &mut self,
        bus: &mut dyn Bus,
        linear: u64,
        size: u64,
        user: bool,
    ) -> Result<u64, Fault> {
        self.probe_linear(bus, linear, size, Access::Read, user)?;
        let mut value = 0;
        for byte in 0..size {
            let at = self.wrap(linear.wrapping_add(byte));
            value |= self.read_linear(bus, at, Width::Byte, user)? << (8 * byte);
        }
        Ok(value)
    }

    /// Writes up to 8 bytes at a linear address.
    pub(crate) fn write_linear(
        &mut self,
        bus: &mut dyn Bus,
        linear: u64,
        w: Width,
        value: u64,
        user: bool,
    ) -> Result<(), Fault> {
        let size = w.bytes();
        let bank = self.bank_of(user);
        if let Some(offset) = self.tlb.write(bank, linear, size) {
            self.store_scalar(offset, w, value);
            return Ok(());
        }
        if let Some(offset) = self.tlb.write_told(bank, linear, size) {
            bus.memory().mark_dirty(offset);
            self.store_scalar(offset, w, value);
            self.written(offset, size);
            if !self.blocks.has_code(offset) {
                self.tlb.unprotect(bank, linear);
            }
            return Ok(());
        }
        if let Some(offset) = self.tlb.parked(bank, linear, size, true) {
            bus.memory().mark_dirty(offset);
            self.note_touch(bus, Some(linear), offset, (size, value & w.mask()), true);
            self.store_scalar(offset, w, value);
            self.written(offset, size);
            return Ok(());
        }
        if linear & 0xfff > 0x1000 - size {
            self.probe_linear(bus, linear, size, Access::Write, user)?;
            for byte in 0..size {
                let at = self.wrap(linear.wrapping_add(byte));
                self.write_linear(bus, at, Width::Byte, value >> (8 * byte) & 0xff, user)?;
            }
            return Ok(());
        }
        let physical = self.translate(bus, linear, Access::Write, user)?;
        self.note_data(linear, size, true);
        match bus.memory().page(physical) {
            PageKind::Ram(page) => {
                let offset = page + (physical & 0xfff) as usize;
                bus.memory().mark_dirty(page);
                self.note_touch(bus, Some(linear), offset, (size, value & w.mask()), true);
                self.store_scalar(offset, w, value);
                self.written(offset, size);
            }
            PageKind::Rom(_) => {}
            PageKind::Device => {
                bus.mmio_write(physical, w, value & w.mask(), self.ticks);
                self.after_device(bus);
            }
        }
        Ok(())
    }

    /// Reads a little-endian value of a system structure (descriptor, TSS) with supervisor rights.
    pub(crate) fn read_system(
        &mut self,
        bus: &mut dyn Bus,
        linear: u64,
        w: Width,
    ) -> Result<u64, Fault> {
        let linear = self.wrap(linear);
        self.implicit_access = true;
        let value = self.read_linear(bus, linear, w, false);
        self.implicit_access = false;
        value
    }

    /// Writes a value of a system structure with supervisor rights.
    pub(crate) fn write_system(
        &mut self,
        bus: &mut dyn Bus,
        linear: u64,
        w: Width,
        value: u64,
    ) -> Result<(), Fault> {
        let linear = self.wrap(linear);
        self.implicit_access = true;
        let done = self.write_linear(bus, linear, w, value, false);
        self.implicit_access = false;
        done
    }

    #[inline(always)]
    pub(crate) fn load_scalar(&self, offset: usize, w: Width) -> u64 {
        match w {
            Width::Byte => u64::from(self.ram.load::<u8>(offset)),
            Width::Word => u64::from(self.ram.load::<u16>(offset)),
            Width::Dword => u64::from(self.ram.load::<u32>(offset)),
            Width::Qword => self.ram.load::<u64>(offset),
        }
    }

    #[inline(always)]
    pub(crate) fn store_scalar(&self, offset: usize, w: Width, value: u64) {
        match w {
            Width::Byte => self.ram.store(offset, value as u8),
            Width::Word => self.ram.store(offset, value as u16),
            Width::Dword => self.ram.store(offset, value as u32),
            Width::Qword => self.ram.store(offset, value),
        }
    }

    /// Drops code blocks that a write to the backing hit.
    pub(crate) fn written(&mut self, offset: usize, size: u64) {
        if self.blocks.written(offset, size as usize) {
            // The running block may be among them.
            self.attention = true;
        }
    }

    /// `written` by physical address.
    pub(crate) fn written_physical(&mut self, bus: &mut dyn Bus, physical: u64, size: u64) {
        if let PageKind::Ram(page) = bus.memory().page(physical) {
            let offset = page + (physical & 0xfff) as usize;
            self.note_touch(bus, None, offset, (size, 0), true);
            self.written(offset, size);
        }
    }

    /// After a port access: time passes while the bus is busy.
    pub(crate) fn after_port(&mut self, bus: &mut dyn Bus) {
        self.skip_ticks(bus.port_wait());
        self.after_device(bus);
    }

    /// After anything that reached a device: pins, deadline and A20 may have changed.
    pub(crate) fn after_device(&mut self, bus: &mut dyn Bus) {
        self.look_at_pins(bus);
        self.limit = self.limit.min(bus.stop_at());
        self.attention = true;
    }

    /// Samples the pins.
    pub(crate) fn look_at_pins(&mut self, bus: &mut dyn Bus) {
        let mut pins = bus.pins();
        if pins.a20_masked != self.pins.a20_masked {
            self.tlb.flush();
            self.blocks.unlink(true);
            self.attention = true;
        }
        if pins.nmi && !self.activity.nmi_pin {
            self.activity.nmi_pending = true;
            bus.nmi_seen();
            pins.nmi = bus.pins().nmi;
        }
        self.activity.nmi_pin = pins.nmi;
        if let Some(priority) = pins.task_priority {
            self.system.cr8 = priority.into();
        }
        self.pins = pins;
        self.restamp();
    }

    /// Marks data breakpoints that an access touches; the trap follows the instruction.
    fn note_data(&mut self, linear: u64, size: u64, write: bool) {
        if self.slow_bank {
            self.note_access(linear, size, |kind| kind == 3 || kind == 1 && write);
        }
    }

    /// Marks I/O breakpoints (CR4.DE) that a port access touches.
    pub(crate) fn note_port(&mut self, port: u16, size: u64) {
        if self.system.dr7 & 0xff != 0 && self.system.cr4 & Cr4::DE.bits() != 0 {
            self.note_access(u64::from(port), size, |kind| kind == 2);
        }
    }

    /// Puts the enabled breakpoints of these kinds (DR7 R/Wn) that a range touches into the trap
    /// to come.
    fn note_access(&mut self, address: u64, size: u64, kinds: impl Fn(u64) -> bool) {
        for n in 0..4 {
            let control = self.system.dr7 >> (16 + 4 * n);
            let length = [1, 2, 8, 4][(control >> 2 & 3) as usize];
            let start = self.system.dr[n as usize] & !(length - 1);
            let hits = address < start.saturating_add(length) && start < address + size;
            let enabled = self.system.dr7 >> (2 * n) & 3 != 0;
            if hits && enabled && kinds(control & 3) {
                self.activity.debug_trap |= 1 << n;
                self.attention = true;
            }
        }
    }
}
