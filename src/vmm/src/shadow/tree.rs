//! The trees of shadow tables: one for each root that the guest used lately.

use cutaway_cpu::{System, World};
use cutaway_isa::{Cr0, Cr4, Efer};
use cutaway_memory::{GuestMemory, PAGE_SIZE};
use serde::{Deserialize, Serialize};

use super::pool::{load, store};
use super::{NEEDED, Shadow, bit};

/// Bits of a linear address.
const LINEAR_BITS: u32 = 48;
/// Trees kept at once.
const ROOTS: usize = 64;

/// What makes a tree's translations valid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    cr3: u64,
    pub(super) pdptes: [u64; 4],
    /// The bits of CR0, CR4 and EFER that change what entries mean.
    pub(super) mode: u64,
}

impl Key {
    pub(super) fn of(guest: &System) -> Self {
        let paging = guest.cr0 & Cr0::PG.bits() != 0;
        let pae = guest.cr4 & Cr4::PAE.bits() != 0;
        let long = guest.efer & Efer::LMA.bits() != 0;
        let cr4 = guest.cr4 & (Cr4::PAE | Cr4::PSE).bits();
        let efer = guest.efer & (Efer::NXE | Efer::LMA).bits();
        let mode = guest.cr0 & (Cr0::PG | Cr0::WP).bits() | cr4 << 32 | efer << 40;
        let pdptes = if paging && pae && !long { guest.pdptes } else { [0; 4] };
        Self { cr3: if paging { guest.cr3 & !0xfff } else { 0 }, pdptes, mode }
    }

    pub(super) fn is_long(&self) -> bool {
        self.mode >> 40 & Efer::LMA.bits() != 0
    }
}

/// A tree of shadow tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Root {
    pub(super) key: Key,
    /// Where CR3 points: the PML4 table, or with PAE the page-directory-pointer table.
    pub(super) top: u64,
    /// With PAE the page directories, for 1 GiB each.
    pub(super) tables: [u64; 4],
    pub(super) last_used: u64,
}

impl Root {
    /// The tables that everything else hangs on, with log2 of the bytes that each entry of theirs
    /// covers, and the first linear address of each.
    pub(super) fn bases(&self) -> impl Iterator<Item = (u64, u32, u64)> + use<> {
        let (long, top, tables) = (self.key.is_long(), self.top, self.tables);
        let pae = tables.into_iter().zip(0..).map(|(table, gib)| (table, 21, gib << 30));
        long.then_some((top, 39, 0)).into_iter().chain(pae.filter(move |_| !long))
    }

    /// That of them which a linear address is under.
    fn base_of(&self, linear: u64) -> Option<(u64, u32, u64)> {
        self.bases().find(|&(_, shift, base)| linear.wrapping_sub(base) >> shift < 512)
    }
}

impl Shadow {
    /// The tree with this key; a new one if there is none.
    pub(super) fn select(&mut self, memory: &mut GuestMemory, key: Key) -> u64 {
        self.clock += 1;
        let clock = self.clock;
        let found = self.roots.iter_mut().find(|(_, root)| root.key == key);
        if let Some((&number, root)) = found {
            root.last_used = clock;
            return number;
        }
        if self.pool.left() < NEEDED {
            self.reset();
        }
        if self.roots.len() >= ROOTS {
            let oldest = self.roots.iter().min_by_key(|(_, root)| root.last_used);
            if let Some((&number, _)) = oldest {
                self.drop_root(memory, number);
            }
        }
        let top = self.pool.take(memory).unwrap_or_default();
        let mut tables = [0; 4];
        if !key.is_long() {
            for (index, table) in tables.iter_mut().enumerate() {
                *table = self.pool.take(memory).unwrap_or_default();
                store(memory, top + 8 * index as u64, *table | bit::P);
            }
            self.show_window(memory, tables);
        }
        let number = self.next_root;
        self.next_root += 1;
        self.counts.roots += 1;
        self.roots.insert(number, Root { key, top, tables, last_used: clock });
        number
    }

    pub(super) fn drop_root(&mut self, memory: &mut GuestMemory, number: u64) {
        let Some(root) = self.roots.remove(&number) else { return };
        if let Some(window) = self.window {
            let directory = root.tables[(window.linear >> 30 & 3) as usize];
            for half in 0..2 {
                store(memory, directory + ((window.linear >> 21 & 0x1ff) + half) * 8, 0);
            }
        }
        for (table, shift, _) in root.bases() {
            self.free_table(memory, table, shift);
        }
        if !root.key.is_long() {
            self.pool.give_back(root.top);
        }
        self.watched.retain(|_, watched| {
            watched.uses.retain(|of| of.root != number);
            !watched.uses.is_empty()
        });
    }

    /// Gives a table and all below it back. `shift` is that of its entries.
    fn free_table(&mut self, memory: &mut GuestMemory, table: u64, shift: u32) -> u64 {
        let mut present = 0;
        // What a damaged tree leads to in circles ends when all is given back.
        if !self.pool.give_back(table) {
            return 0;
        }
        for at in (table..table + PAGE_SIZE).step_by(8) {
            let entry = load(memory.backing(), at);
            if entry & bit::P == 0 {
                continue;
            }
            if shift > 12 {
                present += self.free_table(memory, entry & bit::ADDRESS, shift - 9);
            } else {
                self.forget_leaf(at, entry);
                present += 1;
            }
        }
        present
    }

    pub(super) fn forget_leaf(&mut self, at: u64, entry: u64) {
        let frame = entry & bit::ADDRESS;
        if let Some(entries) = self.reverse.get_mut(&frame) {
            if let Some(place) = entries.iter().position(|&of| of == at) {
                entries.swap_remove(place);
            }
            if entries.is_empty() {
                self.reverse.remove(&frame);
            }
        }
    }

    /// Whether CR3 with this value walks a tree of the shadow.
    pub(crate) fn is_root(&self, cr3: u64) -> bool {
        self.roots.values().any(|root| root.top == cr3)
    }

    /// The entries of the current tree that lead from a linear address on, with where they are, as
    /// far as they are there. The page-directory-pointer entries of PAE paging are in registers.
    pub(crate) fn walk(&self, memory: &GuestMemory, linear: u64) -> Vec<(u64, u64)> {
        let mut entries = Vec::new();
        let root = self.current.and_then(|number| self.roots.get(&number));
        let linear = linear & ((1 << LINEAR_BITS) - 1);
        let Some((mut table, mut shift, _)) = root.and_then(|root| root.base_of(linear)) else {
            return entries;
        };
        loop {
            let at = table + (linear >> shift & 0x1ff) * 8;
            let entry = load(memory.backing(), at);
            entries.push((at, entry));
            if entry & bit::P == 0 || shift == 12 {
                return entries;
            }
            (table, shift) = (entry & bit::ADDRESS, shift - 9);
        }
    }

    /// Where the current tree keeps the leaf for a linear address; makes the tables on the way.
    pub(super) fn leaf(&mut self, memory: &mut GuestMemory, linear: u64) -> Option<u64> {
        let root = self.current.and_then(|number| self.roots.get(&number))?;
        let linear = linear & ((1 << LINEAR_BITS) - 1);
        let (mut table, mut shift, _) = root.base_of(linear)?;
        while shift > 12 {
            let at = table + (linear >> shift & 0x1ff) * 8;
            let mut entry = load(memory.backing(), at);
            if entry & bit::P == 0 {
                entry = self.pool.take(memory)? | bit::P | bit::RW | bit::US;
                store(memory, at, entry);
            }
            (table, shift) = (entry & bit::ADDRESS, shift - 9);
        }
        Some(table + (linear >> 12 & 0x1ff) * 8)
    }

    /// Drops what a tree has for 2^`shift` bytes from `start` on. Returns how many pages that were.
    pub(super) fn drop_range(
        &mut self,
        memory: &mut GuestMemory,
        world: &mut World,
        root: u64,
        start: u64,
        shift: u32,
    ) -> u64 {
        let Some(root) = self.roots.get(&root) else { return 0 };
        let mask = if root.key.is_long() { (1 << LINEAR_BITS) - 1 } else { 0xffff_ffff };
        let range = (start & mask, (start & mask) + (1 << shift));
        let mut dropped = 0;
        for (table, shift, base) in root.bases() {
            dropped += self.drop_within(memory, world, (table, shift, base), range);
        }
        self.counts.dropped += dropped;
        dropped
    }

    /// Drops what a table and those below it have for linear addresses from `start` up to `end`. The
    /// table's entries cover 2^`shift` bytes each, the first from `base` on.
    fn drop_within(
        &mut self,
        memory: &mut GuestMemory,
        world: &mut World,
        (table, shift, base): (u64, u32, u64),
        (start, end): (u64, u64),
    ) -> u64 {
        let first = start.saturating_sub(base) >> shift;
        let last = end.saturating_sub(base).div_ceil(1 << shift).min(512);
        let mut dropped = 0;
        for index in first..last {
            let (at, from) = (table + index * 8, base + (index << shift));
            let entry = load(memory.backing(), at);
            if entry & bit::P == 0 {
                continue;
            }
            let whole = start <= from && from + (1 << shift) <= end;
            let below = (entry & bit::ADDRESS, shift - 9, from);
            if shift == 12 {
                self.forget_leaf(at, entry);
                store(memory, at, 0);
                // The upper half of the addresses begins with ones.
                world.invalidate(((from << 16) as i64 >> 16) as u64);
                dropped += 1;
            } else if whole {
                store(memory, at, 0);
                dropped += self.free_table(memory, below.0, below.1);
                world.flush();
            } else {
                dropped += self.drop_within(memory, world, below, (start, end));
            }
        }
        dropped
    }
}
