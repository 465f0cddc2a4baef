//! Nested page tables: from a guest's physical addresses to those of the machine, walked by the CPU itself
//! behind each step of the guest's own tables.
//!
//! They have the format of 4-level paging and are filled lazily: a nested page fault maps one page.
//!
//! Source: AMD APM vol. 2 §15.25, "Nested Paging".

use cutaway_memory::{GuestMemory, PAGE_SIZE, PageKind};
use serde::{Deserialize, Serialize};

use crate::shadow::pool::{Pool, load, store};

const P: u64 = 1 << 0;
const RW: u64 = 1 << 1;
const US: u64 = 1 << 2;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The nested page tables of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NestedTables {
    pool: Pool,
    root: Option<u64>,
    pub(crate) filled: u64,
}

impl NestedTables {
    /// Empty ones in this range of the monitor's memory.
    pub(crate) fn new(start: u64, end: u64) -> Self {
        Self { pool: Pool::new(start, end), root: None, filled: 0 }
    }

    /// Whether they hold together and lie in this range.
    pub(crate) fn fits(&self, start: u64, end: u64) -> bool {
        let inside = |at: u64| at.is_multiple_of(PAGE_SIZE) && (start..end).contains(&at);
        self.pool.fits(start, end) && self.root.is_none_or(inside)
    }

    /// Physical address of the root.
    pub(crate) fn root(&mut self, memory: &mut GuestMemory) -> u64 {
        match self.root {
            Some(root) => root,
            None => {
                let root = self.pool.take(memory).unwrap_or_default();
                self.root = Some(root);
                root
            }
        }
    }

    /// Maps the page of a guest-physical address, as the guest's own map of memory has it. Returns
    /// whether it is memory, and whether translations must be dropped for it.
    pub(crate) fn map(&mut self, memory: &mut GuestMemory, address: u64) -> (bool, bool) {
        let (frame, rights) = match memory.page(address) {
            PageKind::Ram(offset) => (offset as u64, RW),
            PageKind::Rom(offset) => (offset as u64, 0),
            PageKind::Device => return (false, false),
        };
        let mut dropped = false;
        // Three tables on the way at most.
        if self.pool.left() < 4 {
            self.pool.clear();
            self.root = None;
            dropped = true;
        }
        let mut table = self.root(memory);
        for shift in [39, 30, 21] {
            let at = table + (address >> shift & 0x1ff) * 8;
            let mut entry = load(memory.backing(), at);
            if entry & P == 0 {
                entry = self.pool.take(memory).unwrap_or_default() | P | RW | US;
                store(memory, at, entry);
            }
            table = entry & ADDRESS;
        }
        store(memory, table + (address >> 12 & 0x1ff) * 8, frame | P | US | rights);
        self.filled += 1;
        (true, dropped)
    }

    /// The entries that lead from a guest-physical address on, with where they are, as far as they
    /// are there.
    pub(crate) fn walk(&self, memory: &GuestMemory, address: u64) -> Vec<(u64, u64)> {
        let mut entries = Vec::new();
        let Some(mut table) = self.root else { return entries };
        for shift in [39, 30, 21, 12] {
            let at = table + (address >> shift & 0x1ff) * 8;
            let entry = load(memory.backing(), at);
            entries.push((at, entry));
            if entry & P == 0 {
                break;
            }
            table = entry & ADDRESS;
        }
        entries
    }

    /// Checks that every translation leads into the guest's own memory, which ends at `end`, and that none lets it write
    /// to ROM.
    pub(crate) fn audit(&self, memory: &GuestMemory, end: u64) -> Result<(), String> {
        let Some(root) = self.root else { return Ok(()) };
        let mut tables = vec![(root, 39)];
        while let Some((table, shift)) = tables.pop() {
            for index in 0..512 {
                let entry = load(memory.backing(), table + index * 8);
                if entry & P == 0 {
                    continue;
                }
                if shift > 12 {
                    tables.push((entry & ADDRESS, shift - 9));
                    continue;
                }
                let frame = entry & ADDRESS;
                if frame >= end || entry & RW != 0 && memory.is_rom(frame as usize) {
                    return Err(format!("a nested entry {entry:#x} leads out of the guest"));
                }
            }
        }
        Ok(())
    }
}
