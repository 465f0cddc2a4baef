//! Nested paging: guest-physical to host-physical addresses.
//!
//! Source: AMD APM vol. 2 §15.25, "Nested Paging" (§15.25.5, "Nested Table Walk"; §15.25.6, "Nested
//! versus Guest Page Faults, Fault Ordering"). Every access counts as a user access, one to a guest
//! page table as a user write. The tables have the format that the host's paging had at VMRUN.

use super::{Nested, Reason, exit, npf};
use crate::exception::Fault;
use crate::paging::{ADDRESS, Access, LEVELS_32, LEVELS_64, Level, PHYSICAL_BITS, code, entry};
use crate::{Bus, Vcpu};
use cutaway_isa::{Cr4, Efer};

/// What of a guest's page walk is being translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The address of an entry of the guest's tables.
    Table,
    /// The address that the guest's walk has led to.
    Final,
}

/// A guest-physical address translated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NestedPage {
    pub(crate) physical: u64,
    pub(crate) writable: bool,
    /// The leaf's D bit is set.
    pub(crate) dirty: bool,
}

/// The format of the nested tables.
struct Format {
    levels: &'static [Level],
    /// Entries of 8 bytes.
    wide: bool,
    long: bool,
    nxe: bool,
    large: bool,
}

impl Nested {
    fn format(&self) -> Format {
        let wide = self.cr4 & Cr4::PAE.bits() != 0;
        let long = self.efer & Efer::LMA.bits() != 0;
        let levels: &[Level] = match (long, wide) {
            (true, _) => &LEVELS_64,
            (false, true) => &LEVELS_64[2..],
            (false, false) => &LEVELS_32,
        };
        let nxe = wide && self.efer & Efer::NXE.bits() != 0;
        Format { levels, wide, long, nxe, large: wide || self.cr4 & Cr4::PSE.bits() != 0 }
    }
}

impl Format {
    /// Bits that must be zero in an entry at a level.
    fn reserved(&self, value: u64, level: &Level) -> u64 {
        let mut reserved = 0;
        if self.wide {
            reserved = !((1 << PHYSICAL_BITS) - 1) & 0x000f_ffff_ffff_f000;
            reserved |= if self.nxe { 0 } else { entry::XD };
            reserved |= if self.long { 0 } else { 0x7ff0_0000_0000_0000 };
        }
        let large = self.is_large(value, level);
        reserved
            | match (large, self.wide) {
                (true, true) => ((1_u64 << level.shift) - 1) & !0x1fff,
                (true, false) => 1 << 21,
                // PS where no page of that size is.
                (false, true) if self.long && level.shift == 39 => entry::PS,
                (false, _) => 0,
            }
    }

    fn is_large(&self, value: u64, level: &Level) -> bool {
        value & entry::PS != 0 && self.large && level.may_be_large
    }
}

impl Vcpu {
    /// Nested paging of the guest that runs.
    pub(crate) fn nested_paging(&self) -> Option<Nested> {
        self.svm.guest.as_ref().and_then(|guest| guest.nested)
    }

    /// Translates a guest-physical address, setting A and D bits, or runs into a #VMEXIT(NPF).
    pub(crate) fn nested(
        &mut self,
        bus: &mut dyn Bus,
        address: u64,
        access: Access,
        stage: Stage,
    ) -> Result<NestedPage, Fault> {
        let Some(nested) = self.nested_paging() else {
            return Ok(NestedPage { physical: address, writable: true, dirty: true });
        };
        self.svm_work.counts.nested_walks += 1;
        match self.nested_walk(bus, &nested, address, access) {
            Ok(page) => Ok(page),
            Err(error) => {
                let stage = if stage == Stage::Final { npf::FINAL } else { npf::TABLE };
                let fetch = access == Access::Fetch && nested.format().nxe;
                let error = error
                    | code::U
                    | if access == Access::Write { code::W } else { 0 }
                    | if fetch { code::I } else { 0 };
                Err(self.vmexit(Reason {
                    code: exit::NPF,
                    info1: u64::from(error) | stage,
                    info2: address,
                    nrip: 0,
                    with_bytes: self.svm_work.instruction.is_some(),
                }))
            }
        }
    }

    /// The walk; an error has P and RSVD of the error code.
    fn nested_walk(
        &mut self,
        bus: &mut dyn Bus,
        nested: &Nested,
        address: u64,
        access: Access,
    ) -> Result<NestedPage, u32> {
        let format = nested.format();
        let wide = format.wide;
        if !format.long && address >> 32 != 0 {
            return Err(0);
        }
        let mut table = match (format.long, wide) {
            (true, _) => nested.cr3 & ADDRESS,
            (false, false) => nested.cr3 & 0xffff_f000,
            (false, true) => {
                let at = (nested.cr3 & 0xffff_ffe0) + (address >> 30 & 3) * 8;
                let pdpte = self.read_nested_entry(bus, at, true);
                if pdpte & entry::P == 0 {
                    return Err(0);
                }
                pdpte & ADDRESS
            }
        };
        let mut rights = entry::RW | entry::US;
        let mut no_execute = 0;
        let mut visited = [(0, 0); 4];
        for (depth, level) in format.levels.iter().enumerate() {
            let index = address >> level.shift & ((1 << level.index_bits) - 1);
            let at = table + index * if wide { 8 } else { 4 };
            let value = self.read_nested_entry(bus, at, wide);
            if value & entry::P == 0 {
                return Err(0);
            }
            if value & format.reserved(value, level) != 0 {
                return Err(code::P | code::RSVD);
            }
            visited[depth] = (at, value);
            rights &= value;
            no_execute |= value & entry::XD;
            let large = format.is_large(value, level);
            if !large && level.shift != 12 {
                table = value & if wide { ADDRESS } else { 0xffff_f000 };
                continue;
            }
            let writable = rights & entry::RW != 0;
            let allowed = rights & entry::US != 0
                && (access != Access::Write || writable)
                && (access != Access::Fetch || no_execute == 0);
            if !allowed {
                return Err(code::P);
            }
            let marked = self.mark_entries(bus, &visited[..=depth], access, wide);
            let below = (1_u64 << level.shift) - 1;
            let frame = match (large, wide) {
                (true, false) => value & 0xffc0_0000 | (value >> 13 & 0xff) << 32,
                (_, true) => value & ADDRESS & !below,
                (false, false) => value & 0xffff_f000,
            };
            let dirty = marked & entry::D != 0;
            return Ok(NestedPage { physical: frame | address & below, writable, dirty });
        }
        unreachable!("the last level is a leaf")
    }

    fn read_nested_entry(&mut self, bus: &mut dyn Bus, at: u64, wide: bool) -> u64 {
        self.svm_work.counts.nested_references += 1;
        self.read_entry(bus, at, wide)
    }
}
