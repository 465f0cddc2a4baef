//! A page walk, told level by level.
//!
//! It looks and touches nothing, as [`CpuState::physical_of`] does, and says more: each entry with
//! its flags, and where the walk ends.
//!
//! Source: Intel SDM vol. 3A §4.3, "32-Bit Paging"; §4.4, "PAE Paging"; §4.5, "4-Level Paging and
//! 5-Level Paging".
//! Not modelled: A20M#; reserved bits are not judged.

use crate::mode;
use cutaway_cpu::CpuState;
use cutaway_isa::{Cr0, Cr4};
use cutaway_memory::{GuestMemory, PageKind};
use std::fmt::Write;

const PRESENT: u64 = 1 << 0;
const LARGE: u64 = 1 << 7;
/// Bits of an entry with a letter or two each. PS is bit 7 of what is no PTE; there it is PAT.
const FLAGS: [(u32, &str); 7] =
    [(0, "P"), (1, "RW"), (2, "US"), (3, "PWT"), (4, "PCD"), (5, "A"), (6, "D")];
/// Address bits of an 8-byte entry: the CPU models have 40.
const ADDRESS: u64 = 0xff_ffff_f000;

/// How the tables of a mode are read.
#[derive(Debug)]
struct Scheme {
    name: &'static str,
    /// Bytes of an entry.
    entry_bytes: u64,
    index_bits: u32,
    /// From the top: the entry's name, the lowest bit of its index.
    levels: &'static [(&'static str, u32)],
    /// Levels at or below this bit may be a leaf by their PS bit.
    largest: u32,
}

static BITS_32: Scheme = Scheme {
    name: "32-bit paging",
    entry_bytes: 4,
    index_bits: 10,
    levels: &[("PDE", 22), ("PTE", 12)],
    largest: 22,
};
static PAE: Scheme = Scheme {
    name: "PAE paging",
    entry_bytes: 8,
    index_bits: 9,
    levels: &[("PDE", 21), ("PTE", 12)],
    largest: 21,
};
static LEVEL_4: Scheme = Scheme {
    name: "4-level paging",
    entry_bytes: 8,
    index_bits: 9,
    levels: &[("PML4E", 39), ("PDPTE", 30), ("PDE", 21), ("PTE", 12)],
    largest: 30,
};

/// One entry that a walk went through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    /// The manual's name.
    pub(crate) name: &'static str,
    /// Physical address of the entry; none for a PDPTE that CR3's load brought along.
    pub(crate) at: Option<u64>,
    pub(crate) entry: u64,
    /// It maps a page of this many bits; none where it leads to a table.
    pub(crate) page_bits: Option<u32>,
    scheme: &'static Scheme,
}

impl Level {
    pub(crate) fn is_present(&self) -> bool {
        self.entry & PRESENT != 0
    }

    /// The entry with its flags by name.
    pub(crate) fn text(&self) -> String {
        entry_text(self.scheme, self.entry, self.page_bits.is_some(), self.name == "PTE")
    }

    /// Whether it has 8 bytes.
    pub(crate) fn is_wide(&self) -> bool {
        self.scheme.entry_bytes == 8
    }
}

/// All entries from the root down, and where they lead.
pub(crate) struct Walk {
    pub(crate) linear: u64,
    scheme: Option<&'static Scheme>,
    pub(crate) levels: Vec<Level>,
    /// Nothing where an entry, the last one, is not present.
    pub(crate) physical: Option<u64>,
}

/// Walks the page tables for a linear address.
pub(crate) fn look(state: &CpuState, memory: &GuestMemory, linear: u64) -> Walk {
    let system = &state.system;
    let long = mode::is_long(state);
    let linear = if long { linear } else { linear & 0xffff_ffff };
    let mut walk = Walk { linear, scheme: None, levels: Vec::new(), physical: Some(linear) };
    if system.cr0 & Cr0::PG.bits() == 0 {
        return walk;
    }
    let (scheme, table) = if long {
        (&LEVEL_4, system.cr3 & ADDRESS)
    } else if system.cr4 & Cr4::PAE.bits() != 0 {
        let pdpte = system.pdptes[(linear >> 30 & 3) as usize];
        let (name, scheme) = ("PDPTE", &PAE);
        walk.levels.push(Level { name, at: None, entry: pdpte, page_bits: None, scheme });
        (&PAE, pdpte & ADDRESS)
    } else {
        (&BITS_32, system.cr3 & 0xffff_f000)
    };
    walk.scheme = Some(scheme);
    let is_open = walk.levels.iter().all(Level::is_present);
    let large_pages = scheme.entry_bytes == 8 || system.cr4 & Cr4::PSE.bits() != 0;
    walk.physical = if is_open {
        descend(scheme, large_pages, memory, (table, linear), &mut walk.levels)
    } else {
        None
    };
    walk
}

/// The walk of a linear address as lines of text; the last one says where it leads.
pub(crate) fn walk(state: &CpuState, memory: &GuestMemory, linear: u64) -> String {
    let walk = look(state, memory, linear);
    let mut text = format!("linear {:#018x}, ", walk.linear);
    // Writing to a String cannot fail.
    let _ = match walk.scheme {
        None => writeln!(text, "{}: no paging", mode::name(state)),
        Some(scheme) => writeln!(text, "{}, CR3 {:#012x}", scheme.name, state.system.cr3),
    };
    for level in &walk.levels {
        let (name, shown) = (level.name, level.text());
        let _ = match level.at {
            Some(at) => writeln!(text, "{name:<5} at {at:#012x}: {shown}"),
            None => {
                writeln!(text, "{name:<5} {} as loaded with CR3: {shown}", walk.linear >> 30 & 3)
            }
        };
    }
    match walk.physical {
        Some(physical) => text + &target(memory, physical),
        None => text + "not present\n",
    }
}

/// Why a linear address leads to no memory: the last word of its page walk, with the entry.
pub(crate) fn why_not(state: &CpuState, memory: &GuestMemory, linear: u64) -> String {
    let text = walk(state, memory, linear);
    let lines: Vec<_> = text.lines().collect();
    match lines.as_slice() {
        [.., entry, last] if *last == "not present" => {
            let name = entry.split_whitespace().next().unwrap_or("entry");
            format!("the {name} is not present")
        }
        [.., last] => (*last).to_owned(),
        [] => String::new(),
    }
}

/// From the top table to the page; `None` where an entry is not present.
fn descend(
    scheme: &'static Scheme,
    large_pages: bool,
    memory: &GuestMemory,
    (mut table, linear): (u64, u64),
    levels: &mut Vec<Level>,
) -> Option<u64> {
    for &(name, shift) in scheme.levels {
        let index = linear >> shift & ((1 << scheme.index_bits) - 1);
        let at = table + index * scheme.entry_bytes;
        let mut bytes = [0; 8];
        memory.read(at, &mut bytes[..scheme.entry_bytes as usize]);
        let entry = u64::from_le_bytes(bytes);
        let large = entry & LARGE != 0 && large_pages && shift <= scheme.largest && shift > 12;
        let leaf = large || shift == 12;
        let page_bits = leaf.then_some(shift);
        levels.push(Level { name, at: Some(at), entry, page_bits, scheme });
        if entry & PRESENT == 0 {
            return None;
        }
        if leaf {
            let within = (1 << shift) - 1;
            return Some(frame(scheme, entry, large) & !within | linear & within);
        }
        table = frame(scheme, entry, false);
    }
    None
}

/// The physical address in an entry. A 4 MiB page keeps address bits 39:32 in bits 20:13.
fn frame(scheme: &Scheme, entry: u64, large: bool) -> u64 {
    match (scheme.entry_bytes, large) {
        (4, true) => entry & 0xffc0_0000 | (entry >> 13 & 0xff) << 32,
        (4, false) => entry & 0xffff_f000,
        _ => entry & ADDRESS,
    }
}

/// An entry with its flags by name.
fn entry_text(scheme: &Scheme, entry: u64, leaf: bool, is_pte: bool) -> String {
    let digits = scheme.entry_bytes as usize * 2 + 2;
    let mut text = format!("{entry:#0digits$x}");
    let is_set = |bit: u32| entry >> bit & 1 != 0;
    for (bit, name) in FLAGS {
        if is_set(bit) {
            text.push(' ');
            text.push_str(name);
        }
    }
    if is_set(7) {
        text.push_str(if is_pte { " PAT" } else { " PS" });
    }
    if leaf && is_set(8) {
        text.push_str(" G");
    }
    if scheme.entry_bytes == 8 && is_set(63) {
        text.push_str(" XD");
    }
    text
}

/// The last line: a physical address and what is there.
fn target(memory: &GuestMemory, physical: u64) -> String {
    let what = match memory.page(physical) {
        PageKind::Ram(_) => "RAM",
        PageKind::Rom(_) => "ROM",
        PageKind::Device => "device memory",
    };
    format!("physical {physical:#012x}, {what}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_isa::Efer;

    fn ram() -> GuestMemory {
        let mut memory = GuestMemory::new(0x1_0000).unwrap();
        memory.add_ram(0, 0x1_0000).unwrap();
        memory
    }

    fn state(cr3: u64, cr4: Cr4, efer: Efer) -> CpuState {
        let mut state = CpuState::reset(0);
        state.system.cr0 |= (Cr0::PG | Cr0::PE).bits();
        state.system.cr3 = cr3;
        state.system.cr4 = cr4.bits();
        state.system.efer = efer.bits();
        state
    }

    /// Indices by hand: 0x0000_7f80_0040_2123 is PML4E 255, PDPTE 0, PDE 2, PTE 2, offset 0x123.
    #[test]
    fn a_4_level_walk_names_every_entry_and_its_flags() {
        let mut memory = ram();
        memory.write(0x1000 + 255 * 8, &0x2027_u64.to_le_bytes());
        memory.write(0x2000, &0x3003_u64.to_le_bytes());
        memory.write(0x3000 + 2 * 8, &0x4003_u64.to_le_bytes());
        memory.write(0x4000 + 2 * 8, &0x8000_0000_0000_7163_u64.to_le_bytes());

        let text = walk(&state(0x1000, Cr4::PAE, Efer::LMA), &memory, 0x7f80_0040_2123);

        let expected = "\
linear 0x00007f8000402123, 4-level paging, CR3 0x0000001000
PML4E at 0x00000017f8: 0x0000000000002027 P RW US A
PDPTE at 0x0000002000: 0x0000000000003003 P RW
PDE   at 0x0000003010: 0x0000000000004003 P RW
PTE   at 0x0000004010: 0x8000000000007163 P RW A D G XD
physical 0x0000007123, RAM
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_walk_ends_at_a_large_page() {
        let mut memory = ram();
        memory.write(0x1000, &0x2003_u64.to_le_bytes());
        memory.write(0x2000, &0x0000_0000_4000_0083_u64.to_le_bytes());

        let text = walk(&state(0x1000, Cr4::PAE, Efer::LMA), &memory, 0x1234_5678);

        let lines: Vec<_> = text.lines().skip(2).collect();
        let expected = [
            "PDPTE at 0x0000002000: 0x0000000040000083 P RW PS",
            "physical 0x0052345678, device memory",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_32_bit_walk_ends_where_nothing_is_present() {
        let mut memory = ram();
        memory.write(0x1004, &0x2007_u32.to_le_bytes());
        memory.write(0x1008, &0x0080_2083_u32.to_le_bytes());
        let state = state(0x1000, Cr4::PSE, Efer::empty());

        let text = walk(&state, &memory, 0x40_3abc);
        let lines: Vec<_> = text.lines().skip(1).collect();
        let expected = [
            "PDE   at 0x0000001004: 0x00002007 P RW US",
            "PTE   at 0x000000200c: 0x00000000",
            "not present",
        ];
        assert_eq!(lines, expected);
        assert!(
            walk(&state, &memory, 0x81_2345).ends_with("physical 0x0100812345, device memory\n")
        );
    }

    #[test]
    fn a_pae_walk_starts_at_the_loaded_pdptes() {
        let mut memory = ram();
        memory.write(0x2008, &0x60_0081_u64.to_le_bytes());
        let mut state = state(0x1000, Cr4::PAE, Efer::empty());
        state.system.pdptes[1] = 0x2001;

        let text = walk(&state, &memory, 0x4021_2345);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "PDPTE 1 as loaded with CR3: 0x0000000000002001 P");
        assert_eq!(lines[2], "PDE   at 0x0000002008: 0x0000000000600081 P PS");
        assert!(walk(&state, &memory, 0).ends_with("not present\n"));
    }

    /// The walk and the translation that memory is read through are two readings of the manual.
    #[test]
    fn the_walk_leads_where_the_translation_does() {
        let mut memory = ram();
        // Numbers without a pattern (SplitMix64's constant), so tables of all kinds come up.
        for at in (0x1000..0x1_0000_u64).step_by(8) {
            let noise = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            memory.write(at, &(noise & 0x8000_0000_0000_ffff | 1).to_le_bytes());
        }
        let modes =
            [(Cr4::empty(), Efer::empty()), (Cr4::PAE, Efer::empty()), (Cr4::PAE, Efer::LMA)];
        for (cr4, efer) in modes {
            let mut state = state(0x3000, cr4, efer);
            state.system.pdptes = [0x2001, 0x3001, 0x4000, 0x5001];
            for n in 0..2000_u64 {
                let linear = n.wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let text = walk(&state, &memory, linear);
                let found = text.lines().last().unwrap().strip_prefix("physical 0x");
                let found = found.map(|rest| rest.split(',').next().unwrap());
                let found = found.map(|digits| u64::from_str_radix(digits, 16).unwrap());
                assert_eq!(
                    found,
                    state.physical_of(&memory, linear),
                    "{cr4:?} {linear:#x}\n{text}"
                );
            }
        }
    }
}
