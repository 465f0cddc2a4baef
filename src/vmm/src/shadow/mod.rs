//! Shadow page tables: what the CPU really walks while a guest with page tables of its own runs.
//!
//! A guest's page tables lead from its linear to its guest-physical addresses; the shadow leads from
//! the same linear addresses to physical ones. It is filled lazily: each *hidden fault* takes over one
//! page that the guest's tables lead to. Pages with guest tables are *watched*: mapped read-only, so that
//! a write to one traps and what was taken over from it is dropped. There is a tree for each root
//! that the guest used lately.
//!
//! Shadow entries have 8 bytes, whatever the guest's have: PAE for 32-bit guests, four levels for 64-bit
//! ones. D is kept exact by mapping a page read-only until its D bit is set.
//!
//! Source: Intel SDM vol. 3A §4.4, "PAE Paging", §4.5, "4-Level Paging"; Adams and Agesen (2006), §2.2, "Tracing".

mod audit;
pub(crate) mod pool;
mod tree;

use cutaway_cpu::{Bus, Exception, Probe, System, Vcpu, World};
use cutaway_isa::{Cr4, Efer};
use cutaway_memory::{GuestMemory, PAGE_SIZE, PageKind};
use pool::{Pool, load, store};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::Reason;
use crate::translate::ALIAS_PAGE;
use tree::{Key, Root};

/// Bits of a shadow entry.
mod bit {
    pub(super) const P: u64 = 1 << 0;
    pub(super) const RW: u64 = 1 << 1;
    pub(super) const US: u64 = 1 << 2;
    pub(super) const XD: u64 = 1 << 63;
    /// The address within an entry.
    pub(super) const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
}

/// Bits of a #PF error code.
const WRITE: u32 = 1 << 1;
const USER: u32 = 1 << 2;
const FETCH: u32 = 1 << 4;

/// So many writes to a watched page that changed nothing in the shadow, and it is a table no more.
const IDLE_WRITES: u8 = 3;
/// The most places that a table is used at before all is dropped.
const MOST_USES: usize = 4096;
/// The most pages that one hidden fault takes: a tree's first ones, and those of the window or the way
/// to a leaf.
const NEEDED: u64 = 8;

/// Linear addresses in a tree that were reached through a watched page: what its entry 0 covers
/// begins at `base`, and each covers 2^`shift` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Use {
    root: u64,
    base: u64,
    shift: u32,
}

/// A page of guest page tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Watched {
    uses: Vec<Use>,
    idle: u8,
}

/// Memory of the monitor that shows in every tree, for supervisors alone: one entry of a 32-bit
/// page directory. Its first page can be written when the monitor lets it, the second always; the
/// first shows a second time, writable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    linear: u64,
    memory: u64,
    tables: [u64; 2],
    writable: bool,
}

/// What the shadow did, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowCounts {
    /// Pages taken over.
    pub filled: u64,
    /// Translations dropped because the guest changed its tables.
    pub dropped: u64,
    /// Pages of guest tables that came under watch.
    pub watched: u64,
    /// Trees made.
    pub roots: u64,
    /// Times that all was dropped for want of memory or because the guest's paging mode changed.
    pub resets: u64,
}

/// What to do about a page fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The translation is there now; the instruction can go on.
    Filled,
    /// The instruction must be emulated.
    Emulate(Reason),
    /// The instruction must be emulated, and writes to a watched page at this offset of the backing.
    Write(Reason, u64),
}

/// The shadow of one guest's page tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shadow {
    pool: Pool,
    /// By the number that uses name.
    roots: BTreeMap<u64, Root>,
    current: Option<u64>,
    next_root: u64,
    clock: u64,
    /// By offset in the backing.
    watched: BTreeMap<u64, Watched>,
    /// Shadow entries that lead to a page of the backing.
    reverse: BTreeMap<u64, Vec<u64>>,
    /// Bytes of an entry of the guest's tables.
    entry_bytes: u64,
    mode: u64,
    /// Pages of the backing that are mapped read-only for others' sake.
    guarded: BTreeSet<u64>,
    window: Option<Window>,
    /// A table is used at too many places.
    crowded: bool,
    /// Ranges of linear addresses whose tables the guest changed since somebody asked.
    remapped: Vec<(u64, u64)>,
    pub(crate) counts: ShadowCounts,
}

impl Shadow {
    /// An empty one in this range of the monitor's memory.
    pub(crate) fn new(start: u64, end: u64) -> Self {
        Self {
            pool: Pool::new(start, end),
            roots: BTreeMap::new(),
            current: None,
            next_root: 0,
            clock: 0,
            watched: BTreeMap::new(),
            reverse: BTreeMap::new(),
            entry_bytes: 4,
            mode: 0,
            guarded: BTreeSet::new(),
            window: None,
            crowded: false,
            remapped: Vec::new(),
            counts: ShadowCounts::default(),
        }
    }

    /// Whether it holds together and lies in this range of a backing of so many bytes: what it says
    /// of itself comes out of a file.
    pub(crate) fn fits(&self, start: u64, end: u64) -> bool {
        let inside = |at: u64, unit: u64| at.is_multiple_of(unit) && (start..end).contains(&at);
        self.pool.fits(start, end)
            && self.roots.values().all(|root| root.bases().all(|(t, ..)| inside(t, PAGE_SIZE)))
            && self.roots.values().all(|root| inside(root.top, PAGE_SIZE))
            && self.reverse.values().flatten().all(|&at| inside(at, 8))
            && matches!(self.entry_bytes, 4 | 8)
            // The translator's window lies behind.
            && self.window.is_none_or(|window| {
                window.memory == end
                    && window.linear.is_multiple_of(1 << 22)
                    && window.linear >> 32 == 0
                    && window.tables.iter().all(|&table| table == 0 || inside(table, PAGE_SIZE))
            })
            && self.watched.values().flat_map(|of| &of.uses).all(|of| of.shift < 40)
            && self.current.is_none_or(|root| self.roots.contains_key(&root))
    }

    /// Drops everything.
    fn reset(&mut self) {
        self.pool.clear();
        self.roots.clear();
        self.current = None;
        self.watched.clear();
        self.reverse.clear();
        self.counts.resets += 1;
        if let Some(window) = &mut self.window {
            window.tables = [0; 2];
        }
    }

    /// Shows the monitor's memory from this offset of the backing on at a linear address. To be
    /// called before [`Self::activate`].
    pub(crate) fn set_window(&mut self, linear: u64, memory: u64) {
        self.window = Some(Window { linear, memory, tables: [0; 2], writable: true });
        self.reset();
    }

    /// Lets the window's first page be written, or not.
    pub(crate) fn open_window(&mut self, memory: &mut GuestMemory, world: &mut World, open: bool) {
        let Some(window) = &mut self.window else { return };
        if window.writable != open {
            window.writable = open;
            let entry = window.memory | bit::P | if open { bit::RW } else { 0 };
            store(memory, window.tables[0], entry);
            world.invalidate(window.linear);
        }
    }

    /// Makes the tables of the window, if it has none, and puts them into a tree.
    fn show_window(&mut self, memory: &mut GuestMemory, tables: [u64; 4]) {
        let Some(mut window) = self.window else { return };
        if window.tables == [0; 2] {
            for (half, table) in window.tables.iter_mut().enumerate() {
                *table = self.pool.take(memory).unwrap_or_default();
                for page in 0..512 {
                    let number = half as u64 * 512 + page;
                    let alias = number == u64::from(ALIAS_PAGE);
                    let writable = number == 1 || alias || number == 0 && window.writable;
                    let page_of = if alias { 0 } else { number };
                    let entry = (window.memory + page_of * PAGE_SIZE) | bit::P;
                    store(memory, *table + page * 8, entry | if writable { bit::RW } else { 0 });
                }
            }
            self.window = Some(window);
        }
        let directory = tables[(window.linear >> 30 & 3) as usize];
        for (half, table) in window.tables.into_iter().enumerate() {
            let at = directory + ((window.linear >> 21 & 0x1ff) + half as u64) * 8;
            store(memory, at, table | bit::P | bit::RW);
        }
    }

    /// Whether there are pages that writes have to be told of.
    pub(crate) fn watches(&self) -> bool {
        !self.watched.is_empty() || !self.guarded.is_empty()
    }

    /// Whether writes to a page of the backing have to be told of.
    pub(crate) fn is_watched(&self, frame: u64) -> bool {
        self.watched.contains_key(&frame) || self.guarded.contains(&frame)
    }

    /// Maps a page of the backing read-only from now on.
    pub(crate) fn guard(&mut self, memory: &mut GuestMemory, world: &mut World, frame: u64) {
        if self.guarded.insert(frame) {
            self.protect(memory, world, frame);
        }
    }

    /// Ends that.
    pub(crate) fn unguard(&mut self, frame: u64) {
        self.guarded.remove(&frame);
    }

    /// Takes every right to write a page of the backing away.
    fn protect(&self, memory: &mut GuestMemory, world: &mut World, frame: u64) {
        let Some(entries) = self.reverse.get(&frame) else { return };
        for &at in entries {
            let entry = load(memory.backing(), at);
            store(memory, at, entry & !bit::RW);
        }
        world.flush();
    }

    /// Ranges of linear addresses, first and length, whose tables the guest changed since the last
    /// call.
    pub(crate) fn take_remapped(&mut self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.remapped)
    }

    /// Watches the guest tables on the way of a walk that nothing is taken over from.
    pub(crate) fn watch_walk(
        &mut self,
        memory: &mut GuestMemory,
        world: &mut World,
        walk: &cutaway_cpu::Walk,
        linear: u64,
    ) {
        for &(at, shift) in walk.entries() {
            if let PageKind::Ram(table) = memory.page(at) {
                self.watch(memory, world, table as u64, linear, shift);
            }
        }
    }

    /// Makes the tree for the guest's present tables the current one, and points the physical
    /// world at it.
    pub(crate) fn activate(&mut self, memory: &mut GuestMemory, guest: &System, world: &mut World) {
        let key = Key::of(guest);
        if key.mode != self.mode {
            self.reset();
            self.mode = key.mode;
            self.entry_bytes = if guest.cr4 & Cr4::PAE.bits() != 0 { 8 } else { 4 };
        }
        let current = self.current.and_then(|number| self.roots.get(&number));
        if current.is_none_or(|root| root.key != key) {
            self.current = Some(self.select(memory, key));
            world.flush();
        }
        let root = self.current.and_then(|number| self.roots.get(&number));
        world.system.cr3 = root.map_or(0, |root| root.top);
        world.system.pdptes = self.tables().map(|table| table | bit::P);
    }

    /// The number of the current tree.
    pub(crate) fn current(&self) -> u64 {
        self.current.unwrap_or(u64::MAX)
    }

    fn tables(&self) -> [u64; 4] {
        let root = self.current.and_then(|number| self.roots.get(&number));
        root.map_or([0; 4], |root| root.tables)
    }

    /// A page fault of code that runs directly. The vCPU shows the guest's world.
    pub(crate) fn fault(
        &mut self,
        vcpu: &mut Vcpu,
        bus: &mut dyn Bus,
        world: &mut World,
        fault: Exception,
    ) -> Verdict {
        let (linear, user) = (fault.address, fault.code & USER != 0);
        let write = fault.code & WRITE != 0;
        let probe = match (fault.code & FETCH != 0, write) {
            (true, _) => Probe::Fetch,
            (false, true) => Probe::Write,
            (false, false) => Probe::Read,
        };
        let Ok(walk) = vcpu.probe(bus, linear, probe, user) else {
            return Verdict::Emulate(Reason::GuestPageFault);
        };
        let memory = bus.memory();
        let (frame, ram) = match memory.page(walk.physical) {
            PageKind::Ram(offset) => (offset as u64, true),
            PageKind::Rom(offset) => (offset as u64, false),
            PageKind::Device => return Verdict::Emulate(Reason::DeviceMemory),
        };
        if self.pool.left() < NEEDED || std::mem::take(&mut self.crowded) {
            let guest = vcpu.system().clone();
            self.reset();
            self.activate(memory, &guest, world);
        }
        self.watch_walk(memory, world, &walk, linear);
        let table = self.watched.contains_key(&frame);
        let watched = table || self.guarded.contains(&frame);
        if write && watched {
            let reason = if table { Reason::TableWrite } else { Reason::CodeWrite };
            return Verdict::Write(reason, frame + (walk.physical & 0xfff));
        }
        if write && !ram {
            return Verdict::Emulate(Reason::DeviceMemory);
        }
        // With WP clear the guest's kernel writes to what no shadow entry may let it write.
        if write && !walk.writable {
            return Verdict::Emulate(Reason::GuestPageFault);
        }
        let mut entry = frame | bit::P;
        entry |= if walk.user { bit::US } else { 0 };
        entry |= if walk.writable && walk.dirty && ram && !watched { bit::RW } else { 0 };
        entry |= if walk.no_execute { bit::XD } else { 0 };
        let Some(at) = self.leaf(memory, linear) else {
            return Verdict::Emulate(Reason::ShadowFault);
        };
        let old = load(memory.backing(), at);
        // What the walk itself sets.
        let own = 0x60;
        if old & !own == entry {
            // The entry allows what was asked for, and yet it faulted.
            return Verdict::Emulate(Reason::ShadowFault);
        }
        if old & bit::P != 0 {
            self.forget_leaf(at, old);
        }
        store(memory, at, entry);
        self.reverse.entry(frame).or_default().push(at);
        world.invalidate(linear);
        self.counts.filled += 1;
        Verdict::Filled
    }

    /// A page of guest tables was used on the way to `linear`: it comes under watch.
    fn watch(
        &mut self,
        memory: &mut GuestMemory,
        world: &mut World,
        table: u64,
        linear: u64,
        shift: u32,
    ) {
        let Some(root) = self.current else { return };
        let covered = (PAGE_SIZE / self.entry_bytes) << shift;
        let base = linear & !(covered - 1);
        let of = Use { root, base, shift };
        let fresh = !self.watched.contains_key(&table);
        let watched = self.watched.entry(table).or_default();
        if !watched.uses.contains(&of) {
            watched.uses.push(of);
            self.crowded |= watched.uses.len() >= MOST_USES;
        }
        if fresh {
            self.counts.watched += 1;
            self.protect(memory, world, table);
        }
    }

    /// The guest wrote `len` bytes at this offset of the backing, within a watched page.
    pub(crate) fn written(
        &mut self,
        memory: &mut GuestMemory,
        world: &mut World,
        offset: u64,
        len: u64,
    ) {
        let table = offset & !(PAGE_SIZE - 1);
        let Some(watched) = self.watched.get(&table) else { return };
        let uses = watched.uses.clone();
        let first = (offset & 0xfff) / self.entry_bytes;
        let last = ((offset & 0xfff) + len.max(1) - 1).min(PAGE_SIZE - 1) / self.entry_bytes;
        let mut dropped = 0;
        for of in &uses {
            for index in first..=last {
                self.remapped.push((of.base.wrapping_add(index << of.shift), 1 << of.shift));
                dropped += self.drop_range(
                    memory,
                    world,
                    of.root,
                    of.base.wrapping_add(index << of.shift),
                    of.shift,
                );
            }
        }
        let Some(watched) = self.watched.get_mut(&table) else { return };
        // A root stays under watch: the window's place must not be taken unseen.
        let long = self.mode >> 40 & Efer::LMA.bits() != 0;
        let root = if long { 39 } else { 21 };
        let is_root = uses.iter().any(|of| of.shift >= root);
        watched.idle = if dropped == 0 { watched.idle.saturating_add(1) } else { 0 };
        let current = self.current;
        if watched.idle >= IDLE_WRITES && is_root {
            // A directory that is not in use, and that the guest empties or fills: its tree goes.
            if uses.iter().all(|of| Some(of.root) != current) {
                self.watched.remove(&table);
                uses.iter().for_each(|of| self.drop_root(memory, of.root));
            }
        } else if watched.idle >= IDLE_WRITES {
            self.watched.remove(&table);
            for of in uses {
                for index in 0..PAGE_SIZE / self.entry_bytes {
                    let start = of.base.wrapping_add(index << of.shift);
                    self.drop_range(memory, world, of.root, start, of.shift);
                }
            }
        }
    }
}
