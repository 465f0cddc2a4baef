//! Nested page tables: from a guest's physical addresses to those of the machine, walked by the CPU itself
//! behind each step of the guest's own tables.
//!
//! They have the format of 4-level paging and are filled lazily: a nested page fault maps one page.
//!
//! Source: AMD APM vol. 2 §15.25, "Nested Paging".

use cutaway_memory::{GuestMemory, PAGE_SIZE, PageKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::shadow::pool::{Pool, load, store};

const P: u64 = 1 << 0;
const RW: u64 = 1 << 1;
const US: u64 = 1 << 2;
const A: u64 = 1 << 5;
const D: u64 = 1 << 6;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Tables that a page may need: a root, and three on the way.
const TABLES_OF_A_PAGE: u64 = 4;

/// What a host does with a page of a guest that it does not let the guest have alone and at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Held {
    /// The same as others: mapped read-only, until the guest writes.
    Shared,
    /// Written to the host's disk: not mapped, until the guest needs it.
    Out,
}

/// A page that is mapped for a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Guest-physical address.
    pub address: u64,
    /// Used since the last [`crate::Vm::hold_pages`].
    pub accessed: bool,
    /// Written since then.
    pub dirty: bool,
    /// Mapped read-only, since others have the same.
    pub shared: bool,
}

/// What a guest's accesses did to what its host held, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCounts {
    /// Writes to shared pages: the guest has got a copy of its own.
    pub copied: u64,
    /// Accesses to pages on the host's disk.
    pub read_in: u64,
    /// Of these, pages that were read in for nothing but to be written to the guest's own disk: double
    /// paging.
    pub paged_twice: u64,
}

/// The nested page tables of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NestedTables {
    pool: Pool,
    root: Option<u64>,
    pub(crate) filled: u64,
    /// By guest-physical address of the page.
    held: BTreeMap<u64, Held>,
    pub(crate) held_counts: HeldCounts,
}

impl NestedTables {
    /// Empty ones in this range of the monitor's memory.
    pub(crate) fn new(start: u64, end: u64) -> Self {
        let (held, held_counts) = (BTreeMap::new(), HeldCounts::default());
        Self { pool: Pool::new(start, end), root: None, filled: 0, held, held_counts }
    }

    /// Whether they hold together and lie in this range.
    pub(crate) fn fits(&self, start: u64, end: u64) -> bool {
        let inside = |at: u64| at.is_multiple_of(PAGE_SIZE) && (start..end).contains(&at);
        self.pool.fits(start, end) && self.root.is_none_or(inside)
    }

    /// Whether this is where the root is.
    pub(crate) fn is_root(&self, address: u64) -> bool {
        self.root == Some(address)
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
    pub(crate) fn map(
        &mut self,
        memory: &mut GuestMemory,
        address: u64,
        write: bool,
    ) -> (bool, bool) {
        let (frame, mut rights) = match memory.page(address) {
            PageKind::Ram(offset) => (offset as u64, RW),
            PageKind::Rom(offset) => (offset as u64, 0),
            PageKind::Device => return (false, false),
        };
        match self.held.get(&(address & !(PAGE_SIZE - 1))) {
            Some(Held::Shared) if !write => rights = 0,
            Some(held) => {
                match held {
                    Held::Shared => self.held_counts.copied += 1,
                    Held::Out => self.held_counts.read_in += 1,
                }
                self.held.remove(&(address & !(PAGE_SIZE - 1)));
            }
            None => {}
        }
        let mut dropped = false;
        if self.pool.left() < TABLES_OF_A_PAGE {
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

    /// Whether a page is mapped read-only for others' sake.
    pub(crate) fn is_shared(&self, address: u64) -> bool {
        self.held.get(&(address & !(PAGE_SIZE - 1))) == Some(&Held::Shared)
    }

    /// Lets the guest have a page read-only, or take it from the guest until it is needed.
    fn hold(&mut self, memory: &mut GuestMemory, address: u64, how: Held) {
        let Some(at) = self.leaf(memory, address) else { return };
        let entry = load(memory.backing(), at);
        self.held.insert(address & !(PAGE_SIZE - 1), how);
        store(memory, at, if how == Held::Out { 0 } else { entry & !RW });
    }

    /// Lets the guest read a page that is the same as others.
    pub(crate) fn share(&mut self, memory: &mut GuestMemory, address: u64) {
        self.hold(memory, address, Held::Shared);
    }

    /// A device reads or writes a page in the guest's place.
    pub(crate) fn touch(&mut self, memory: &mut GuestMemory, address: u64, write: bool) {
        let page = address & !(PAGE_SIZE - 1);
        match self.held.get(&page) {
            Some(Held::Out) => self.held_counts.paged_twice += u64::from(!write),
            Some(Held::Shared) if write => {}
            _ => return,
        }
        // As when the guest needs it. Without room for tables it is mapped when the guest does.
        if self.pool.left() >= TABLES_OF_A_PAGE {
            self.map(memory, page, write);
        }
    }

    /// The guest gives a page up.
    pub(crate) fn release(&mut self, memory: &mut GuestMemory, address: u64) {
        self.held.remove(&(address & !(PAGE_SIZE - 1)));
        if let Some(at) = self.leaf(memory, address) {
            store(memory, at, 0);
        }
    }

    /// Takes a page from the guest until the guest needs it.
    pub(crate) fn evict(&mut self, memory: &mut GuestMemory, address: u64) {
        self.hold(memory, address, Held::Out);
    }

    /// Pages that were taken and not needed since.
    pub(crate) fn pages_out(&self) -> u64 {
        self.held.values().filter(|&&held| held == Held::Out).count() as u64
    }

    /// Where the leaf of a mapped page is.
    fn leaf(&self, memory: &GuestMemory, address: u64) -> Option<u64> {
        let walk = self.walk(memory, address);
        walk.last().filter(|(_, entry)| walk.len() == 4 && entry & P != 0).map(|&(at, _)| at)
    }

    /// Every page that is mapped, ascending.
    pub(crate) fn resident(&self, memory: &GuestMemory) -> Vec<Resident> {
        let mut pages = Vec::new();
        self.each_leaf(memory, |address, _, entry| {
            let page = Resident {
                address,
                accessed: entry & A != 0,
                dirty: entry & D != 0,
                shared: self.is_shared(address),
            };
            pages.push(page);
        });
        pages.sort_unstable_by_key(|page| page.address);
        pages
    }

    /// Clears the A and D bits of all pages.
    pub(crate) fn forget_accesses(&self, memory: &mut GuestMemory) {
        let mut leaves = Vec::new();
        self.each_leaf(memory, |_, at, entry| leaves.push((at, entry & !(A | D))));
        leaves.into_iter().for_each(|(at, entry)| store(memory, at, entry));
    }

    /// Calls with the guest-physical address, the place and the entry of every leaf.
    fn each_leaf(&self, memory: &GuestMemory, mut each: impl FnMut(u64, u64, u64)) {
        let Some(root) = self.root else { return };
        // A damaged tree may lead in circles: there are no more tables than pages.
        let mut left = self.pool.pages();
        let mut tables = vec![(root, 39, 0)];
        while let Some((table, shift, base)) = tables.pop() {
            if left == 0 {
                return;
            }
            left -= 1;
            for index in 0..512 {
                let (at, address) = (table + index * 8, base + (index << shift));
                let entry = load(memory.backing(), at);
                match entry & P {
                    0 => {}
                    _ if shift > 12 => tables.push((entry & ADDRESS, shift - 9, address)),
                    _ => each(address, at, entry),
                }
            }
        }
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
        let mut wrong = Ok(());
        self.each_leaf(memory, |address, _, entry| {
            let frame = entry & ADDRESS;
            let writable = entry & RW != 0;
            let protected = memory.is_rom(frame as usize) || self.is_shared(address);
            if frame >= end || writable && protected {
                wrong = Err(format!("a nested entry {entry:#x} leads out of the guest"));
            }
        });
        wrong
    }
}
