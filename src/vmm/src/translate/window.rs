//! The monitor's window in the guest's linear addresses: variables, the table for indirect branches,
//! and the translation cache.
//!
//! It lies where the guest's page tables have nothing, for supervisors alone, and can be written
//! by the translations' own instructions in its first two pages only. When the guest wants the place, the
//! window moves.

use cutaway_cpu::System;
use cutaway_isa::{Cr0, Cr4};
use cutaway_memory::{GuestMemory, PageKind};

/// Bytes of the window: what one entry of a 32-bit page directory covers.
pub(crate) const WINDOW_BYTES: u64 = 4 << 20;
/// Offsets in the window.
pub(super) const TABLE: u32 = 0x2000;
pub(crate) const ALIAS_PAGE: u32 = 0x90;
pub(super) const CACHE: u32 = 0x10_0000;
pub(super) const CACHE_END: u32 = WINDOW_BYTES as u32;
/// Entries of the table, by the low 16 bits of the guest's address.
pub(super) const TABLE_ENTRIES: u32 = 1 << 16;

/// Variables: the first has a page of its own, so that writes to it can be made to trap.
pub(crate) mod variable {
    /// The guest's IF minus 200h: what has to be added to what PUSHF pushes.
    pub(crate) const FLAGS: u32 = 0;
    /// The same variable at another address, where writes never trap: CLI lets no interrupt in.
    pub(crate) const FLAGS_OFF: u32 = super::ALIAS_PAGE * 0x1000;
    /// Saved registers of a sequence.
    pub(crate) const EAX: u32 = 0x1000;
    pub(crate) const ECX: u32 = 0x1004;
    pub(crate) const EDX: u32 = 0x1008;
    /// Where an indirect branch leads: the guest's address, then the cache's.
    pub(crate) const TARGET: u32 = 0x100c;
    pub(crate) const GOAL: u32 = 0x1010;
    /// The guest's IOPL, as EFLAGS has it; the physical one is 0.
    pub(crate) const IOPL: u32 = 0x1014;
}

/// A place for the window, from the top of the linear addresses down.
pub(super) fn find(memory: &GuestMemory, guest: &System) -> Option<u32> {
    (1..0x3ff_u64)
        .rev()
        .map(|slot| slot * WINDOW_BYTES)
        .find(|&at| is_free(memory, guest, at))
        .map(|at| at as u32)
}

/// Whether the guest has nothing in a place for the window.
pub(super) fn is_free(memory: &GuestMemory, guest: &System, at: u64) -> bool {
    if guest.cr0 & Cr0::PG.bits() == 0 {
        return memory.page(at) == PageKind::Device;
    }
    let present = |address: u64| {
        let mut byte = [0];
        memory.read(address, &mut byte);
        byte[0] & 1 != 0
    };
    if guest.cr4 & Cr4::PAE.bits() == 0 {
        return !present((guest.cr3 & 0xffff_f000) + (at >> 22) * 4);
    }
    let pdpte = guest.pdptes[(at >> 30 & 3) as usize];
    let directory = pdpte & 0x000f_ffff_ffff_f000;
    pdpte & 1 == 0 || (0..2).all(|n| !present(directory + ((at >> 21 & 0x1ff) + n) * 8))
}
