//! From a segment and an offset to a byte of memory, with every check on the way.
//!
//! Source: Intel SDM vol. 3A §5.3, "Limit Checking"; §5.4, "Type Checking"; §4.6, "Access Rights";
//! vol. 1 §3.3.7.1, "Canonical Addressing".
//! Not modelled: translations that the TLB still holds although a table says otherwise.

use super::subject::Subject;
use crate::walk;
use cutaway_cpu::{Seg, Segment};
use cutaway_isa::{Cr0, Cr4, Efer, Rflags, Width};
use cutaway_memory::PageKind;

/// Address bits that the CPU models have.
const PHYSICAL_BITS: u32 = 40;
const RW: u64 = 1 << 1;
const US: u64 = 1 << 2;
const PS: u64 = 1 << 7;
const XD: u64 = 1 << 63;

/// What is done to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A read.
    Read,
    /// A write.
    Write,
    /// An instruction fetch.
    Fetch,
}

/// A check that an access fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The exception, such as `#GP(0)`.
    pub exception: &'static str,
    /// The check, in words.
    pub why: String,
}

/// Bits 63:47 all alike.
pub(crate) fn is_canonical(address: u64) -> bool {
    ((address << 16) as i64 >> 16) as u64 == address
}

impl Subject<'_> {
    /// The base that counts.
    pub(crate) fn base(&self, seg: Seg) -> u64 {
        let counts = !self.is_64_bit() || matches!(seg, Seg::Fs | Seg::Gs | Seg::Ldtr | Seg::Tr);
        if counts { self.segment(seg).base } else { 0 }
    }

    /// The linear address of an offset, not yet checked.
    pub(crate) fn linear(&self, seg: Seg, offset: u64) -> u64 {
        let linear = self.base(seg).wrapping_add(offset);
        if self.is_64_bit() { linear } else { linear & 0xffff_ffff }
    }

    /// The check of the segment that an access fails, if it fails one.
    pub(crate) fn segment_obstacle(
        &self,
        seg: Seg,
        offset: u64,
        size: u64,
        reach: Reach,
    ) -> Option<Obstacle> {
        let (segment, name) = (self.segment(seg), seg.name());
        let exception = if seg == Seg::Ss { "#SS(0)" } else { "#GP(0)" };
        let fails = |why: String| Some(Obstacle { exception, why });
        let size = size.max(1);
        if self.is_64_bit() {
            let first = self.base(seg).wrapping_add(offset);
            let last = first.wrapping_add(size - 1);
            return if is_canonical(first) && is_canonical(last) {
                None
            } else {
                fails(format!("{first:#x} is not canonical: bits 63:47 differ"))
            };
        }
        if self.is_protected() && !self.is_virtual_8086() {
            if segment.attributes == 0 {
                return fails(format!("{name} holds a null selector"));
            }
            if !segment.is_present() {
                return fails(format!("the segment in {name} is not present"));
            }
            if reach != Reach::Fetch && !segment.is_readable() {
                return fails(format!("{name} is code that may not be read"));
            }
            if reach == Reach::Write && !segment.is_writable() {
                return fails(format!("the segment in {name} is not writable"));
            }
        }
        limit_obstacle(segment, name, offset, size).and_then(fails)
    }

    /// The physical address behind a linear one, or the check of paging that stops it. `user` is
    /// the privilege of the access.
    pub(crate) fn translate(&self, linear: u64, reach: Reach, user: bool) -> Result<u64, Obstacle> {
        let walk = walk::look(&self.state, self.memory, linear);
        let fails = |why: String| Err(Obstacle { exception: "#PF", why });
        let system = &self.state.system;
        let nxe = system.efer & Efer::NXE.bits() != 0;
        let place = |level: &walk::Level| match level.at {
            Some(at) => format!("{} at {at:#x} = {}", level.name, level.text()),
            None => format!("{} = {}", level.name, level.text()),
        };
        for level in &walk.levels {
            if !level.is_present() {
                return fails(format!("not present: {}", place(level)));
            }
            if let Some(bit) = reserved_bit(level, nxe) {
                return fails(format!("reserved bit {bit} is set: {}", place(level)));
            }
        }
        let rights: Vec<&walk::Level> =
            walk.levels.iter().filter(|level| level.at.is_some()).collect();
        let without = |bit: u64| rights.iter().find(|level| level.entry & bit == 0);
        let user_page = without(US).is_none() && !rights.is_empty();
        if let (true, Some(level)) = (user, without(US)) {
            return fails(format!("CPL 3 may not reach a supervisor page: {}", place(level)));
        }
        let write_protect = user || system.cr0 & Cr0::WP.bits() != 0;
        if let (Reach::Write, true, Some(level)) = (reach, write_protect, without(RW)) {
            return fails(format!("not writable (RW = 0): {}", place(level)));
        }
        if reach == Reach::Fetch {
            if let Some(level) = rights.iter().find(|level| nxe && level.entry & XD != 0) {
                return fails(format!("no code may be fetched (XD = 1): {}", place(level)));
            }
            if user_page && !user && system.cr4 & Cr4::SMEP.bits() != 0 {
                return fails("SMEP: the supervisor may not run code of user pages".to_owned());
            }
        } else if user_page && !user && system.cr4 & Cr4::SMAP.bits() != 0 && !self.flag(Rflags::AC)
        {
            return fails("SMAP: the supervisor may not touch user pages while AC = 0".to_owned());
        }
        walk.physical
            .map(|physical| self.on_the_bus(physical))
            .ok_or_else(|| Obstacle { exception: "#PF", why: "the walk leads nowhere".to_owned() })
    }

    /// What lies at a physical address.
    pub(crate) fn kind(&self, physical: u64) -> &'static str {
        match self.memory.page(physical) {
            PageKind::Ram(_) => "RAM",
            PageKind::Rom(_) => "ROM",
            PageKind::Device => "device memory",
        }
    }
}

fn limit_obstacle(segment: &Segment, name: &str, offset: u64, size: u64) -> Option<String> {
    let limit = u64::from(segment.limit);
    let last = offset + (size - 1);
    if segment.is_expand_down() {
        let top = if segment.is_big() { 0xffff_ffff } else { 0xffff };
        if offset <= limit || last > top {
            return Some(format!(
                "offset {offset:#x} is not above the limit {limit:#x} of {name}, which expands down"
            ));
        }
    } else if last > limit {
        return Some(format!(
            "last byte at offset {last:#x} is beyond the limit {limit:#x} of {name}"
        ));
    }
    None
}

/// A bit that has to be zero in an entry.
fn reserved_bit(level: &walk::Level, nxe: bool) -> Option<u32> {
    let (entry, wide) = (level.entry, level.is_wide());
    if !wide {
        let set = level.page_bits == Some(22) && entry >> 21 & 1 != 0;
        return set.then_some(21);
    }
    if level.name == "PML4E" && entry & PS != 0 {
        return Some(7);
    }
    level.at?; // a PDPTE was judged when CR3 was loaded
    let mut reserved = (PHYSICAL_BITS..52).fold(0, |bits, bit| bits | 1_u64 << bit);
    if !nxe {
        reserved |= XD;
    }
    if let Some(bits) = level.page_bits.filter(|bits| *bits > 12) {
        reserved |= ((1 << bits) - 1) & !0x1fff;
    }
    let set = entry & reserved;
    (set != 0).then(|| set.trailing_zeros())
}

/// The name of a width, as a size of memory.
pub(crate) fn bytes_text(size: u64) -> String {
    match Width::of_bytes(size as usize) {
        Some(Width::Byte) => "byte".to_owned(),
        Some(Width::Word) => "word".to_owned(),
        Some(Width::Dword) => "dword".to_owned(),
        Some(Width::Qword) => "qword".to_owned(),
        None => format!("{size} bytes"),
    }
}
