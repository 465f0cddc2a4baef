//! Page walks: linear to physical addresses, with A and D bits and precise #PF.
//!
//! Source: Intel SDM vol. 3A §4, "Paging" (§4.3 32-bit, §4.4 PAE, §4.5 4-level, §4.6 access
//! rights, §4.7 page-fault exceptions, §4.8 accessed and dirty flags).
//! Not modelled: 5-level paging, protection keys, PCID. The CPU models do not claim them.

use crate::exception::{Exception, Fault};
use crate::svm::Stage;
use crate::tlb::{Bank, Fill};
use crate::{Bus, Event, Vcpu};
use cutaway_isa::{Cr0, Cr4, Efer, Rflags};
use cutaway_memory::PageKind;

/// Bits of a paging-structure entry.
pub(crate) mod entry {
    pub(crate) const P: u64 = 1 << 0;
    pub(crate) const RW: u64 = 1 << 1;
    pub(crate) const US: u64 = 1 << 2;
    pub(crate) const A: u64 = 1 << 5;
    pub(crate) const D: u64 = 1 << 6;
    pub(crate) const PS: u64 = 1 << 7;
    pub(crate) const G: u64 = 1 << 8;
    pub(crate) const XD: u64 = 1 << 63;
}

/// Bits of the #PF error code.
pub(crate) mod code {
    pub(crate) const P: u32 = 1 << 0;
    pub(crate) const W: u32 = 1 << 1;
    pub(crate) const U: u32 = 1 << 2;
    pub(crate) const RSVD: u32 = 1 << 3;
    pub(crate) const I: u32 = 1 << 4;
}

/// Physical address width that the CPU models report: 40 bits.
pub(crate) const PHYSICAL_BITS: u32 = 40;
pub(crate) const ADDRESS: u64 = ((1 << PHYSICAL_BITS) - 1) & !0xfff;

/// Why memory is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    Fetch,
}

/// A finished walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Translation {
    /// Physical address of the byte asked for.
    pub(crate) physical: u64,
    pub(crate) writable: bool,
    /// The leaf's D bit is set, so a write need not walk.
    pub(crate) dirty: bool,
    pub(crate) global: bool,
    /// log2 of the page's size.
    pub(crate) page_bits: u32,
    /// The entries allow CPL 3.
    pub(crate) user: bool,
    /// The entries allow writing, whoever asks.
    pub(crate) rights_writable: bool,
    /// An entry forbids execution.
    pub(crate) no_execute: bool,
    /// Addresses of the entries read, root first, and log2 of what each covers.
    pub(crate) entries: [(u64, u32); 4],
    /// How many of them.
    pub(crate) depth: usize,
}

/// One level of a walk: entry size, index position, where PS is allowed.
pub(crate) struct Level {
    pub(crate) shift: u32,
    pub(crate) index_bits: u32,
    pub(crate) may_be_large: bool,
}

pub(crate) const LEVELS_32: [Level; 2] = [
    Level { shift: 22, index_bits: 10, may_be_large: true },
    Level { shift: 12, index_bits: 10, may_be_large: false },
];
pub(crate) const LEVELS_64: [Level; 4] = [
    Level { shift: 39, index_bits: 9, may_be_large: false },
    Level { shift: 30, index_bits: 9, may_be_large: true },
    Level { shift: 21, index_bits: 9, may_be_large: true },
    Level { shift: 12, index_bits: 9, may_be_large: false },
];

impl Vcpu {
    pub(crate) fn paging_enabled(&self) -> bool {
        self.system.cr0 & Cr0::PG.bits() != 0
    }

    /// The TLB bank for explicit accesses at the current privilege.
    pub(crate) fn bank_of(&self, user: bool) -> Bank {
        let ac = self.lazy.known.contains(Rflags::AC);
        if self.slow_bank {
            Bank::Slow
        } else if user {
            Bank::User
        } else if ac && !self.implicit_access && self.system.cr4 & Cr4::SMAP.bits() != 0 {
            Bank::SupervisorAc
        } else {
            Bank::Supervisor
        }
    }

    /// Reads a paging-structure entry of 4 or 8 bytes.
    pub(crate) fn read_entry(&self, bus: &mut dyn Bus, address: u64, wide: bool) -> u64 {
        let mut bytes = [0; 8];
        let size = if wide { 8 } else { 4 };
        bus.memory().read(self.physical(address), &mut bytes[..size]);
        u64::from_le_bytes(bytes)
    }

    pub(crate) fn write_entry(&mut self, bus: &mut dyn Bus, address: u64, value: u64, wide: bool) {
        let size = if wide { 8 } else { 4 };
        let address = self.physical(address);
        bus.memory().write(address, &value.to_le_bytes()[..size]);
        self.written_physical(bus, address, size as u64);
    }

    /// The address as A20M# lets it out.
    pub(crate) fn physical(&self, address: u64) -> u64 {
        if self.pins.a20_masked { address & !(1 << 20) } else { address }
    }

    /// Translates a linear address, setting A (and D for writes), or raises #PF.
    ///
    /// `user` is the privilege of the access: explicit ones at CPL 3; accesses to descriptor
    /// tables and TSS are always supervisor ones.
    pub(crate) fn walk(
        &mut self,
        bus: &mut dyn Bus,
        linear: u64,
        access: Access,
        user: bool,
    ) -> Result<Translation, Fault> {
        if !self.paging_enabled() {
            let physical = linear & if self.is_long_mode() { u64::MAX } else { 0xffff_ffff };
            let page = self.nested(bus, physical, access, Stage::Final)?;
            return Ok(Translation {
                physical: page.physical,
                writable: page.writable,
                dirty: page.dirty,
                // Turning paging on drops everything.
                global: true,
                page_bits: 12,
                user: true,
                rights_writable: true,
                no_execute: false,
                entries: [(0, 0); 4],
                depth: 0,
            });
        }
        self.svm_work.counts.walks += 1;
        let wide = self.system.cr4 & Cr4::PAE.bits() != 0;
        let long = self.is_long_mode();
        let nxe = wide && self.system.efer & Efer::NXE.bits() != 0;
        let fetch_bit = nxe || self.system.cr4 & Cr4::SMEP.bits() != 0;
        let fail = |present: bool, reserved: bool| -> Fault {
            let mut error = 0;
            error |= if present { code::P } else { 0 };
            error |= if access == Access::Write { code::W } else { 0 };
            error |= if user { code::U } else { 0 };
            error |= if reserved { code::RSVD } else { 0 };
            error |= if access == Access::Fetch && fetch_bit { code::I } else { 0 };
            Exception::PF(error, linear).into()
        };
        let levels: &[Level] = match (long, wide) {
            (true, _) => &LEVELS_64,
            (false, true) => &LEVELS_64[2..],
            (false, false) => &LEVELS_32,
        };
        let mut table = match (long, wide) {
            (true, _) => self.system.cr3 & ADDRESS,
            (false, false) => self.system.cr3 & 0xffff_f000,
            (false, true) => {
                let pdpte = self.pdpte(bus, linear)?;
                if pdpte & entry::P == 0 {
                    return Err(fail(false, false));
                }
                pdpte & ADDRESS
            }
        };
        let mut reserved =
            if wide { !((1 << PHYSICAL_BITS) - 1) & 0x000f_ffff_ffff_f000 } else { 0 };
        if wide && !nxe {
            reserved |= entry::XD;
        }
        if wide && !long {
            reserved |= 0x7ff0_0000_0000_0000;
        }
        let pse = wide || self.system.cr4 & Cr4::PSE.bits() != 0;
        let mut rights = entry::RW | entry::US;
        let mut no_execute = 0;
        let size = if wide { 8 } else { 4 };
        // At most four entries; the upper ones get their A bit once the walk has succeeded.
        let mut visited = [(0, 0); 4];
        for (depth, level) in levels.iter().enumerate() {
            let index = linear >> level.shift & ((1 << level.index_bits) - 1);
            let at = self.nested(bus, table + index * size, Access::Write, Stage::Table)?.physical;
            self.svm_work.counts.references += 1;
            let value = self.read_entry(bus, at, wide);
            if value & entry::P == 0 {
                return Err(fail(false, false));
            }
            let large = value & entry::PS != 0 && pse && level.may_be_large;
            let leaf = large || level.shift == 12;
            let misplaced_ps = long && value & entry::PS != 0 && !leaf && !level.may_be_large;
            // The address bits below the page size; bit 12 of a large page is PAT. A 4 MiB page
            // keeps address bits 39:32 in bits 20:13.
            let below = match (large, wide) {
                (true, true) => ((1_u64 << level.shift) - 1) & !0x1fff,
                (true, false) => 1 << 21,
                (false, _) => 0,
            };
            if value & (reserved | below) != 0 || misplaced_ps {
                return Err(fail(true, true));
            }
            visited[depth] = (at, value);
            rights &= value;
            no_execute |= value & entry::XD;
            if !leaf {
                table = value & if wide { ADDRESS } else { 0xffff_f000 };
                continue;
            }
            self.check_rights(rights, no_execute, access, user).map_err(|()| fail(true, false))?;
            let marked = self.mark_entries(bus, &visited[..=depth], access, wide);
            let frame = match (large, wide) {
                (true, false) => value & 0xffc0_0000 | (value >> 13 & 0xff) << 32,
                (true, true) => value & ADDRESS & !((1 << level.shift) - 1),
                (false, true) => value & ADDRESS,
                (false, false) => value & 0xffff_f000,
            };
            let physical = frame | linear & ((1 << level.shift) - 1);
            let global = value & entry::G != 0 && self.system.cr4 & Cr4::PGE.bits() != 0;
            let writable = self.check_rights(rights, 0, Access::Write, user).is_ok();
            let page = self.nested(bus, physical, access, Stage::Final)?;
            let (physical, writable) = (page.physical, writable && page.writable);
            let dirty = marked & entry::D != 0 && page.dirty;
            let mut entries = [(0, 0); 4];
            for (entry, (&(at, _), level)) in entries.iter_mut().zip(visited.iter().zip(levels)) {
                *entry = (at, level.shift);
            }
            return Ok(Translation {
                physical,
                writable,
                dirty,
                global,
                page_bits: level.shift,
                user: rights & entry::US != 0,
                rights_writable: rights & entry::RW != 0,
                no_execute: no_execute != 0,
                entries,
                depth: depth + 1,
            });
        }
        unreachable!("the last level is a leaf")
    }

    /// The PDPTE of PAE paging for a linear address: as it was loaded with CR3, or under nested
    /// paging as it is in memory (AMD APM vol. 2 §15.25.10, "PAE Paging").
    fn pdpte(&mut self, bus: &mut dyn Bus, linear: u64) -> Result<u64, Fault> {
        let index = linear >> 30 & 3;
        if self.nested_paging().is_none() {
            return Ok(self.system.pdptes[index as usize]);
        }
        let at = (self.system.cr3 & 0xffff_ffe0) + index * 8;
        let at = self.nested(bus, at, Access::Write, Stage::Table)?.physical;
        Ok(self.read_entry(bus, at, true))
    }

    /// Sets A in the entries of a walk that has succeeded, root first, and D in the leaf for a
    /// write. Returns the leaf as it is then.
    pub(crate) fn mark_entries(
        &mut self,
        bus: &mut dyn Bus,
        visited: &[(u64, u64)],
        access: Access,
        wide: bool,
    ) -> u64 {
        let mut last = 0;
        for (n, &(at, value)) in visited.iter().enumerate() {
            let is_leaf = n + 1 == visited.len();
            let dirty = if is_leaf && access == Access::Write { entry::D } else { 0 };
            last = value | entry::A | dirty;
            if last != value {
                self.write_entry(bus, at, last, wide);
            }
        }
        last
    }

    /// Access rights (SDM vol. 3A §4.6.1).
    fn check_rights(
        &self,
        rights: u64,
        no_execute: u64,
        access: Access,
        user: bool,
    ) -> Result<(), ()> {
        let (cr0, cr4) = (self.system.cr0, self.system.cr4);
        let user_page = rights & entry::US != 0;
        let allowed = match (access, user) {
            (Access::Read, true) => user_page,
            (Access::Write, true) => user_page && rights & entry::RW != 0,
            (Access::Fetch, true) => user_page && no_execute == 0,
            (Access::Fetch, false) => {
                no_execute == 0 && !(user_page && cr4 & Cr4::SMEP.bits() != 0)
            }
            (Access::Read | Access::Write, false) => {
                let smap = cr4 & Cr4::SMAP.bits() != 0 && user_page;
                let permitted = self.lazy.known.contains(Rflags::AC) && !self.implicit_access;
                let writable = rights & entry::RW != 0 || cr0 & Cr0::WP.bits() == 0;
                (!smap || permitted) && (access == Access::Read || writable)
            }
        };
        if allowed { Ok(()) } else { Err(()) }
    }

    /// Translates for a data access and fills the TLB where the page is plain memory.
    pub(crate) fn translate(
        &mut self,
        bus: &mut dyn Bus,
        linear: u64,
        access: Access,
        user: bool,
    ) -> Result<u64, Fault> {
        let found = self.walk(bus, linear, access, user)?;
        let physical = self.physical(found.physical);
        let page = bus.memory().page(physical);
        if self.traces(crate::TraceClasses::MMU) {
            let write = access == Access::Write;
            bus.trace(&Event::PageWalk { at: self.ticks, linear, physical, write, fetch: false });
        }
        let (offset, ram) = match page {
            PageKind::Ram(offset) => (offset, true),
            PageKind::Rom(offset) => (offset, false),
            PageKind::Device => return Ok(physical),
        };
        let writable = ram && found.writable && found.dirty;
        if writable && access == Access::Write {
            bus.memory().mark_dirty(offset);
        }
        let bank = self.bank_of(user);
        let told = self.blocks.has_code(offset) || !bus.memory().is_dirty(offset);
        let Translation { global, page_bits, .. } = found;
        let fill = Fill { offset, writable, told, global, page_bits };
        self.svm_work.counts.fills += 1;
        self.tlb.fill(bank, linear, fill);
        Ok(physical)
    }

    /// Reloads the PAE PDPTEs from CR3; #GP(0) for reserved bits in a present one.
    pub(crate) fn load_pdptes(&mut self, bus: &mut dyn Bus, cr3: u64) -> Result<(), Exception> {
        if self.nested_paging().is_some() {
            return Ok(());
        }
        let mut pdptes = [0; 4];
        for (index, pdpte) in pdptes.iter_mut().enumerate() {
            *pdpte = self.read_entry(bus, (cr3 & 0xffff_ffe0) + index as u64 * 8, true);
            let reserved = 0x1e6 | !((1 << PHYSICAL_BITS) - 1);
            if *pdpte & entry::P != 0 && *pdpte & reserved != 0 {
                return Err(Exception::GP0);
            }
        }
        self.system.pdptes = pdptes;
        Ok(())
    }
}
