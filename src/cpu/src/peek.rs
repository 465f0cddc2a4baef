//! Looking through the page tables from outside: for reports, logs and debuggers.
//!
//! Unlike a walk of the vCPU (`paging.rs`) it touches nothing: no A or D bit, no TLB, no #PF. It
//! asks only where an address leads; access rights and reserved bits are not looked at.
//!
//! Source: Intel SDM vol. 3A §4.3, "32-Bit Paging"; §4.4, "PAE Paging"; §4.5, "4-Level Paging".

use crate::paging::PHYSICAL_BITS;
use crate::state::{CpuState, System};
use crate::svm::Nested;
use cutaway_isa::{Cr0, Cr4, Efer};
use cutaway_memory::GuestMemory;

/// P and PS of a paging-structure entry.
const PRESENT: u64 = 1 << 0;
const LARGE: u64 = 1 << 7;
/// Address bits of an 8-byte entry.
const ADDRESS: u64 = ((1 << PHYSICAL_BITS) - 1) & !0xfff;

/// What a guest-physical address leads to; without nested paging to itself.
type Lead<'a> = &'a dyn Fn(u64) -> Option<u64>;

impl CpuState {
    /// As [`System::physical_of`], of the guest where one runs; under nested paging that is
    /// translated once more.
    #[must_use]
    pub fn physical_of(&self, memory: &GuestMemory, linear: u64) -> Option<u64> {
        match self.svm.guest.as_ref().and_then(|guest| guest.nested) {
            // A monitor outside shows the memory as the guest has it.
            Some(nested) if !memory.is_of_guest() => {
                let lead = |address| nested_walk(memory, &nested, address);
                lead(self.system.walk(memory, linear, &lead)?)
            }
            _ => self.system.physical_of(memory, linear),
        }
    }
}

impl System {
    /// The physical address behind a linear one, as the page tables say now, or nothing if they
    /// lead nowhere. A20M# is not applied, nor is the nested paging of a guest that runs.
    #[must_use]
    pub fn physical_of(&self, memory: &GuestMemory, linear: u64) -> Option<u64> {
        self.walk(memory, linear, &Some)
    }

    fn walk(&self, memory: &GuestMemory, linear: u64, lead: Lead<'_>) -> Option<u64> {
        let system = self;
        let long = system.efer & Efer::LMA.bits() != 0;
        let linear = if long { linear } else { linear & 0xffff_ffff };
        if system.cr0 & Cr0::PG.bits() == 0 {
            return Some(linear);
        }
        if long {
            wide_walk(memory, system.cr3 & ADDRESS, linear, 39, lead)
        } else if system.cr4 & Cr4::PAE.bits() != 0 {
            let pdpte = system.pdptes[(linear >> 30 & 3) as usize];
            if pdpte & PRESENT == 0 {
                return None;
            }
            wide_walk(memory, pdpte & ADDRESS, linear, 21, lead)
        } else {
            let large_pages = system.cr4 & Cr4::PSE.bits() != 0;
            narrow_walk(memory, system.cr3, linear, large_pages, lead)
        }
    }
}

/// Through nested tables, which have the format of the host's paging.
fn nested_walk(memory: &GuestMemory, nested: &Nested, address: u64) -> Option<u64> {
    if nested.efer & Efer::LMA.bits() != 0 {
        return wide_walk(memory, nested.cr3 & ADDRESS, address, 39, &Some);
    }
    if nested.cr4 & Cr4::PAE.bits() == 0 {
        let large_pages = nested.cr4 & Cr4::PSE.bits() != 0;
        return narrow_walk(memory, nested.cr3, address, large_pages, &Some);
    }
    let mut bytes = [0; 8];
    memory.read((nested.cr3 & 0xffff_ffe0) + (address >> 30 & 3) * 8, &mut bytes);
    let pdpte = u64::from_le_bytes(bytes);
    let table = (pdpte & PRESENT != 0).then_some(pdpte & ADDRESS)?;
    wide_walk(memory, table, address, 21, &Some)
}

/// 8-byte entries, 9 index bits a level, from the level at bit `shift` down.
fn wide_walk(
    memory: &GuestMemory,
    mut table: u64,
    linear: u64,
    mut shift: u32,
    lead: Lead<'_>,
) -> Option<u64> {
    loop {
        let mut bytes = [0; 8];
        memory.read(lead(table + (linear >> shift & 0x1ff) * 8)?, &mut bytes);
        let entry = u64::from_le_bytes(bytes);
        if entry & PRESENT == 0 {
            return None;
        }
        if shift == 12 || entry & LARGE != 0 && shift < 39 {
            let within = (1 << shift) - 1;
            return Some(entry & ADDRESS & !within | linear & within);
        }
        table = entry & ADDRESS;
        shift -= 9;
    }
}

/// 4-byte entries, 10 index bits a level. A 4 MiB page keeps address bits 39:32 in bits 20:13.
fn narrow_walk(
    memory: &GuestMemory,
    cr3: u64,
    linear: u64,
    large_pages: bool,
    lead: Lead<'_>,
) -> Option<u64> {
    let read = |at: u64| {
        let mut bytes = [0; 4];
        memory.read(lead(at)?, &mut bytes);
        let entry = u64::from(u32::from_le_bytes(bytes));
        (entry & PRESENT != 0).then_some(entry)
    };
    let directory = read((cr3 & 0xffff_f000) + (linear >> 22 & 0x3ff) * 4)?;
    if directory & LARGE != 0 && large_pages {
        return Some(directory & 0xffc0_0000 | (directory >> 13 & 0xff) << 32 | linear & 0x3f_ffff);
    }
    let page = read((directory & 0xffff_f000) + (linear >> 12 & 0x3ff) * 4)?;
    Some(page & 0xffff_f000 | linear & 0xfff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> GuestMemory {
        let mut memory = GuestMemory::new(0x1_0000).unwrap();
        memory.add_ram(0, 0x1_0000).unwrap();
        memory
    }

    fn state(cr4: Cr4, efer: Efer) -> CpuState {
        let mut state = CpuState::reset(0);
        state.system.cr0 |= (Cr0::PG | Cr0::PE).bits();
        state.system.cr3 = 0x1000;
        state.system.cr4 = cr4.bits();
        state.system.efer = efer.bits();
        state
    }

    #[test]
    fn without_paging_linear_is_physical() {
        let state = CpuState::reset(0);
        assert_eq!(state.physical_of(&memory(), 0x1_2345_6789), Some(0x2345_6789));
    }

    #[test]
    fn a_32_bit_walk_finds_small_and_large_pages() {
        let mut memory = memory();
        memory.write(0x1004, &0x2001_u32.to_le_bytes());
        memory.write(0x2008, &0x5001_u32.to_le_bytes());
        memory.write(0x1008, &0x0080_2081_u32.to_le_bytes());
        let state = state(Cr4::PSE, Efer::empty());

        assert_eq!(state.physical_of(&memory, 0x40_2abc), Some(0x5abc));
        assert_eq!(state.physical_of(&memory, 0x40_3abc), None);
        assert_eq!(state.physical_of(&memory, 0x81_2345), Some(0x1_0081_2345));
    }

    #[test]
    fn a_pae_walk_starts_at_the_loaded_pdptes() {
        let mut memory = memory();
        memory.write(0x2008, &0x60_0081_u64.to_le_bytes());
        let mut state = state(Cr4::PAE, Efer::empty());
        state.system.pdptes[1] = 0x2001;

        assert_eq!(state.physical_of(&memory, 0x4021_2345), Some(0x61_2345));
        assert_eq!(state.physical_of(&memory, 0x0021_2345), None);
    }

    #[test]
    fn a_4_level_walk_ignores_the_bits_that_are_no_address() {
        let mut memory = memory();
        let no_execute = 1_u64 << 63;
        memory.write(0x1ff8, &0x2003_u64.to_le_bytes());
        memory.write(0x2ff0, &0x3003_u64.to_le_bytes());
        memory.write(0x3000, &0x4003_u64.to_le_bytes());
        memory.write(0x4008, &(0x7003 | no_execute).to_le_bytes());
        let state = state(Cr4::PAE, Efer::LMA);

        assert_eq!(state.physical_of(&memory, 0xffff_ffff_8000_1123), Some(0x7123));
    }
}
