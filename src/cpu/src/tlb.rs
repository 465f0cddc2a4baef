//! The software TLB: linear pages to offsets in the backing of guest memory.
//!
//! What needs more than an addition is made special by not being in the tag: device memory,
//! pages with cached code, clean pages (dirty tracking), page-crossing accesses. So a hit is one
//! comparison. Banks keep privilege apart; a bank that is never filled makes all accesses slow,
//! for alignment checking and data breakpoints.
//!
//! What is known is state: a guest that clears an A bit without INVLPG does not see it set again
//! before the translation goes. So it is in a snapshot, and nothing that only serves the host (which
//! pages are dirty, hold code or are watched) decides about a walk. Entries of watched pages are
//! *parked*: they are in their place for all that fills and drops entries, and out of it for the
//! fast path.

use crate::code_pages::CodePages;
use crate::stops::Watched;
use cutaway_memory::GuestMemory;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Entries of a bank.
const SIZE: usize = 1024;

/// Which translations apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Bank {
    Supervisor = 0,
    User = SIZE,
    /// Supervisor with EFLAGS.AC under SMAP: user pages may be reached.
    SupervisorAc = 2 * SIZE,
    /// Never filled.
    Slow = 3 * SIZE,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Linear page that may be read.
    pub(crate) read: u64,
    /// Linear page that may be written without further ado.
    pub(crate) write: u64,
    /// Linear page that may be written if dirty tracking and the code cache are told.
    pub(crate) told: u64,
    /// Backing offset minus linear address.
    pub(crate) addend: u64,
}

/// Hashes of the large pages that translations came from, by page size: 2 MiB, 4 MiB, 1 GiB.
#[derive(Clone, Default)]
struct LargePages([[u64; 16]; 3]);

impl LargePages {
    const BITS: [u32; 3] = [21, 22, 30];

    fn note(&mut self, linear: u64, page_bits: u32) {
        if let Some(size) = Self::BITS.iter().position(|&bits| bits == page_bits) {
            let (word, bit) = hash_bit(linear >> page_bits);
            self.0[size][word] |= bit;
        }
    }

    fn may_hold(&self, linear: u64) -> bool {
        Self::BITS.iter().zip(&self.0).any(|(&bits, seen)| {
            let (word, bit) = hash_bit(linear >> bits);
            seen[word] & bit != 0
        })
    }
}

/// What a filled translation allows and where it came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fill {
    pub(crate) offset: usize,
    pub(crate) writable: bool,
    /// The page is clean or holds cached code, so writes must be told of.
    pub(crate) told: bool,
    pub(crate) global: bool,
    /// log2 of the page's size.
    pub(crate) page_bits: u32,
}

/// All translations.
pub(crate) struct Tlb {
    entries: Box<[Entry; 4 * SIZE]>,
    /// Entries filled from pages that are not global.
    local: Box<[u64; 4 * SIZE / 64]>,
    /// Entries filled at all.
    filled: Box<[u64; 4 * SIZE / 64]>,
    code: CodePages,
    /// Pages larger than 4 KiB with pieces in the TLB.
    large: LargePages,
    watched: Vec<Watched>,
    /// Entries of watched pages by index, which stand in `entries` as empty ones.
    parked: BTreeMap<usize, Entry>,
    /// All pages count as watched.
    watch_all: bool,
}

/// Which accesses to a page the TLB answers without a page walk, at the current privilege.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Reads of data.
    pub read: bool,
    /// Writes of data.
    pub write: bool,
    /// Fetches of instructions.
    pub fetch: bool,
}

/// What a vCPU knows of page tables, as data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translations {
    data: Vec<Saved>,
    /// Key, page offset and whether global, ascending.
    code: Vec<(u64, u64, bool)>,
    large: [[u64; 16]; 3],
}

/// An entry of the TLB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Saved {
    index: u16,
    page: u64,
    offset: u64,
    writable: bool,
    global: bool,
}

/// A tag that no address looked up at `index` can match.
fn empty(index: usize) -> Entry {
    let tag = ((index & (SIZE - 1)) as u64 ^ 1) << 12;
    Entry { read: tag, write: tag, told: tag, addend: 0 }
}

fn hash_bit(number: u64) -> (usize, u64) {
    ((number >> 6 & 15) as usize, 1 << (number & 63))
}

impl Tlb {
    pub(crate) fn new() -> Self {
        Self {
            entries: Box::new(std::array::from_fn(empty)),
            local: Box::new([0; 4 * SIZE / 64]),
            filled: Box::new([0; 4 * SIZE / 64]),
            code: CodePages::new(),
            large: LargePages::default(),
            watched: Vec::new(),
            parked: BTreeMap::new(),
            watch_all: false,
        }
    }

    #[inline(always)]
    pub(crate) fn entry(&self, bank: Bank, linear: u64) -> &Entry {
        &self.entries[(linear >> 12) as usize & (SIZE - 1) | bank as usize]
    }

    /// The backing offset for an access of `size` bytes, if it may be read at once.
    #[inline(always)]
    pub(crate) fn read(&self, bank: Bank, linear: u64, size: u64) -> Option<usize> {
        let entry = self.entry(bank, linear);
        (linear ^ entry.read <= 4096 - size).then(|| linear.wrapping_add(entry.addend) as usize)
    }

    /// The backing offset for an access of `size` bytes, if it may be written at once.
    #[inline(always)]
    pub(crate) fn write(&self, bank: Bank, linear: u64, size: u64) -> Option<usize> {
        let entry = self.entry(bank, linear);
        (linear ^ entry.write <= 4096 - size).then(|| linear.wrapping_add(entry.addend) as usize)
    }

    /// As `write`, of a page whose writes are told.
    pub(crate) fn write_told(&self, bank: Bank, linear: u64, size: u64) -> Option<usize> {
        let entry = self.entry(bank, linear);
        (linear ^ entry.told <= 4096 - size).then(|| linear.wrapping_add(entry.addend) as usize)
    }

    pub(crate) fn fill(&mut self, bank: Bank, linear: u64, fill: Fill) {
        if bank == Bank::Slow {
            return;
        }
        let page = linear & !0xfff;
        let index = (linear >> 12) as usize & (SIZE - 1) | bank as usize;
        let none = empty(index).write;
        let write = if fill.writable && !fill.told { page } else { none };
        let told = if fill.writable && fill.told { page } else { none };
        let addend = (fill.offset as u64).wrapping_sub(page);
        self.put(index, Entry { read: page, write, told, addend });
        let (word, bit) = (index / 64, 1 << (index % 64));
        self.filled[word] |= bit;
        self.local[word] =
            if fill.global { self.local[word] & !bit } else { self.local[word] | bit };
        self.large.note(linear, fill.page_bits);
    }

    /// Puts an entry where it belongs: watched pages aside.
    fn put(&mut self, index: usize, entry: Entry) {
        let offset = entry.read.wrapping_add(entry.addend) as usize;
        let mut watched = self.watched.iter();
        if self.watch_all || watched.any(|watch| watch.is_on(entry.read, offset)) {
            self.parked.insert(index, entry);
            self.entries[index] = empty(index);
        } else {
            self.parked.remove(&index);
            self.entries[index] = entry;
        }
    }

    /// What accesses to the page of a linear address would find here.
    pub(crate) fn known(&self, bank: Bank, user: bool, linear: u64) -> Known {
        let data = |write| {
            let told = if write { self.write_told(bank, linear, 1) } else { None };
            let fast = if write { self.write(bank, linear, 1) } else { self.read(bank, linear, 1) };
            told.or(fast).or_else(|| self.parked(bank, linear, 1, write)).is_some()
        };
        Known { read: data(false), write: data(true), fetch: self.code.knows(user, linear) }
    }

    /// The backing offset for an access of `size` bytes to a watched page, if its translation
    /// allows it.
    pub(crate) fn parked(&self, bank: Bank, linear: u64, size: u64, write: bool) -> Option<usize> {
        let index = (linear >> 12) as usize & (SIZE - 1) | bank as usize;
        let entry = self.parked.get(&index)?;
        let fits = |tag: u64| linear ^ tag <= 4096 - size;
        let allowed = if write { fits(entry.write) || fits(entry.told) } else { fits(entry.read) };
        allowed.then(|| linear.wrapping_add(entry.addend) as usize)
    }

    /// Replaces the watched pages; they can be all there are.
    pub(crate) fn watch(&mut self, watched: Vec<Watched>, all: bool) {
        self.watched = watched;
        self.watch_all = all;
        for (index, entry) in std::mem::take(&mut self.parked) {
            self.entries[index] = entry;
        }
        for index in self.indexes() {
            self.put(index, self.entries[index]);
        }
    }

    /// Whether any page counts as watched.
    pub(crate) fn is_watching(&self) -> bool {
        self.watch_all || !self.watched.is_empty()
    }

    /// Indexes of the filled entries.
    fn indexes(&self) -> Vec<usize> {
        let words = self.filled.iter().enumerate();
        let bits = words.flat_map(|(word, &bits)| (0..64).map(move |n| (word * 64 + n, bits >> n)));
        bits.filter(|(_, bit)| bit & 1 != 0).map(|(index, _)| index).collect()
    }

    /// All that is known, as data.
    pub(crate) fn save(&self) -> Translations {
        let data = self.indexes().into_iter().map(|index| {
            let entry = *self.parked.get(&index).unwrap_or(&self.entries[index]);
            Saved {
                index: index as u16,
                page: entry.read,
                offset: entry.read.wrapping_add(entry.addend),
                writable: entry.write == entry.read || entry.told == entry.read,
                global: self.local[index / 64] >> (index % 64) & 1 == 0,
            }
        });
        Translations { data: data.collect(), code: self.code.save(), large: self.large.0 }
    }

    /// Replaces all that is known. `None`, and nothing known, if the data does not fit the memory.
    pub(crate) fn load(&mut self, saved: &Translations, memory: &GuestMemory) -> Option<()> {
        self.flush();
        let end = memory.backing().len() as u64;
        let is_page = |offset: u64| offset & 0xfff == 0 && offset < end;
        let fits = |entry: &Saved| {
            let index = usize::from(entry.index);
            index < Bank::Slow as usize
                && entry.page & 0xfff == 0
                && (entry.page >> 12) as usize & (SIZE - 1) == index & (SIZE - 1)
                && is_page(entry.offset)
                && !(entry.writable && memory.is_rom(entry.offset as usize))
        };
        if !saved.data.iter().all(fits) || !saved.code.iter().all(|&(_, at, _)| is_page(at)) {
            return None;
        }
        self.code.load(&saved.code)?;
        self.large = LargePages(saved.large);
        for entry in &saved.data {
            let Saved { page, offset, writable, global, .. } = *entry;
            let index = usize::from(entry.index);
            let told = if writable { page } else { empty(index).told };
            let addend = offset.wrapping_sub(page);
            self.put(index, Entry { read: page, write: empty(index).write, told, addend });
            let (word, bit) = (index / 64, 1 << (index % 64));
            self.filled[word] |= bit;
            self.local[word] |= if global { 0 } else { bit };
        }
        Some(())
    }

    /// The backing offset of code at a linear address, and whether its page is global.
    pub(crate) fn fetch(&mut self, user: bool, linear: u64) -> Option<(usize, bool)> {
        self.code.find(user, linear)
    }

    /// As `fill`, for code. Returns whether translations of other code were dropped for it.
    pub(crate) fn fill_fetch(&mut self, user: bool, linear: u64, fill: Fill) -> bool {
        self.large.note(linear, fill.page_bits);
        self.code.add(user, linear, fill.offset, fill.global)
    }

    /// Drops every translation.
    pub(crate) fn flush(&mut self) {
        for word in 0..self.filled.len() {
            self.drop_entries(word, self.filled[word]);
        }
        self.large = LargePages::default();
        self.code.clear();
    }

    /// Drops the translations that are not global.
    pub(crate) fn flush_local(&mut self) {
        for word in 0..self.local.len() {
            self.drop_entries(word, self.local[word]);
        }
        self.code.clear_local();
    }

    fn drop_entries(&mut self, word: usize, bits: u64) {
        let mut rest = bits;
        while rest != 0 {
            let index = word * 64 + rest.trailing_zeros() as usize;
            self.entries[index] = empty(index);
            self.parked.remove(&index);
            rest &= rest - 1;
        }
        self.filled[word] &= !bits;
        self.local[word] &= !bits;
    }

    /// INVLPG. Returns whether translations of code were dropped.
    pub(crate) fn invalidate(&mut self, linear: u64) -> bool {
        if self.large.may_hold(linear) {
            self.flush();
            return true;
        }
        for bank in [Bank::Supervisor, Bank::User, Bank::SupervisorAc] {
            let index = (linear >> 12) as usize & (SIZE - 1) | bank as usize;
            self.drop_entries(index / 64, 1 << (index % 64) & self.filled[index / 64]);
        }
        self.code.remove(linear)
    }

    /// Nobody has to be told any more: lets writes through one linear page be fast.
    pub(crate) fn unprotect(&mut self, bank: Bank, linear: u64) {
        let index = (linear >> 12) as usize & (SIZE - 1) | bank as usize;
        let entry = &mut self.entries[index];
        if entry.told == linear & !0xfff {
            (entry.write, entry.told) = (entry.told, empty(index).told);
        }
    }

    /// A backing page got code: makes writes to it slow, through whatever linear page.
    pub(crate) fn protect(&mut self, page_offset: usize) {
        for word in 0..self.filled.len() {
            let mut rest = self.filled[word];
            while rest != 0 {
                let index = word * 64 + rest.trailing_zeros() as usize;
                let entry = &mut self.entries[index];
                let here = entry.read.wrapping_add(entry.addend) as usize == page_offset;
                if here && entry.write == entry.read {
                    (entry.told, entry.write) = (entry.write, empty(index).write);
                }
                rest &= rest - 1;
            }
        }
    }

    /// Makes every write slow once more, so that dirty pages are noticed anew.
    pub(crate) fn protect_all(&mut self) {
        for index in self.indexes() {
            let entry = &mut self.entries[index];
            if entry.write == entry.read {
                (entry.told, entry.write) = (entry.write, empty(index).write);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(offset: usize) -> Fill {
        Fill { offset, writable: true, told: false, global: false, page_bits: 12 }
    }

    #[test]
    fn an_empty_entry_matches_no_address() {
        let tlb = Tlb::new();
        for page in 0..4 * SIZE as u64 {
            for linear in [page << 12, page << 12 | 0xfff, !(page << 12)] {
                assert_eq!(tlb.read(Bank::User, linear, 1), None);
                assert_eq!(tlb.write(Bank::User, linear, 1), None);
            }
        }
    }

    #[test]
    fn an_access_across_the_page_end_is_no_hit() {
        let mut tlb = Tlb::new();
        tlb.fill(Bank::User, 0x7000, fill(0x3000));

        assert_eq!(tlb.read(Bank::User, 0x7ffc, 4), Some(0x3ffc));
        assert_eq!(tlb.read(Bank::User, 0x7ffd, 4), None);
        assert_eq!(tlb.read(Bank::Supervisor, 0x7000, 4), None);
    }

    #[test]
    fn a_page_with_code_is_written_by_the_way_that_tells_of_it() {
        let mut tlb = Tlb::new();
        tlb.fill(Bank::User, 0x7000, fill(0x3000));
        tlb.fill(Bank::User, 0x9000, Fill { writable: false, ..fill(0x3000) });

        tlb.protect(0x3000);

        assert_eq!(tlb.write(Bank::User, 0x7004, 4), None);
        assert_eq!(tlb.write_told(Bank::User, 0x7004, 4), Some(0x3004));
        assert_eq!(tlb.write_told(Bank::User, 0x9004, 4), None, "a page that cannot be written");

        tlb.unprotect(Bank::User, 0x7004);

        assert_eq!(tlb.write(Bank::User, 0x7004, 4), Some(0x3004));
        assert_eq!(tlb.write_told(Bank::User, 0x7004, 4), None);
    }

    #[test]
    fn global_pages_outlive_a_local_flush_only() {
        let mut tlb = Tlb::new();
        tlb.fill(Bank::Supervisor, 0x7000, Fill { global: true, ..fill(0x3000) });
        tlb.fill(Bank::Supervisor, 0x8000, fill(0x4000));

        tlb.flush_local();
        assert_eq!(tlb.read(Bank::Supervisor, 0x7000, 1), Some(0x3000));
        assert_eq!(tlb.read(Bank::Supervisor, 0x8000, 1), None);
        tlb.flush();
        assert_eq!(tlb.read(Bank::Supervisor, 0x7000, 1), None);
    }

    #[test]
    fn invalidating_one_piece_of_a_large_page_drops_all() {
        let mut tlb = Tlb::new();
        tlb.fill(Bank::Supervisor, 0x20_1000, Fill { page_bits: 21, ..fill(0x3000) });

        tlb.invalidate(0x20_5000);

        assert_eq!(tlb.read(Bank::Supervisor, 0x20_1000, 1), None);
    }

    fn memory() -> GuestMemory {
        let mut memory = GuestMemory::new(0x1_0000).unwrap();
        memory.add_ram(0, 0x8000).unwrap();
        memory.add_rom(0xf_0000, &[0; 0x1000]).unwrap();
        memory
    }

    #[test]
    fn what_is_known_comes_back_and_writes_are_told_of() {
        let mut tlb = Tlb::new();
        tlb.fill(Bank::User, 0x7000, fill(0x3000));
        tlb.fill(Bank::Supervisor, 0x9000, Fill { writable: false, ..fill(0x4000) });
        tlb.fill(Bank::Supervisor, 0xa000, Fill { global: true, page_bits: 21, ..fill(0x5000) });
        tlb.fill_fetch(true, 0xb000, fill(0x6000));
        let saved = tlb.save();

        let mut other = Tlb::new();
        other.load(&saved, &memory()).unwrap();

        assert_eq!(other.save(), saved);
        assert_eq!(other.write(Bank::User, 0x7000, 1), None);
        assert_eq!(other.write_told(Bank::User, 0x7000, 1), Some(0x3000));
        assert_eq!(other.fetch(true, 0xb004), Some((0x6004, false)));
        other.flush_local();
        assert_eq!(other.read(Bank::Supervisor, 0xa000, 1), Some(0x5000));
        assert_eq!(other.read(Bank::User, 0x7000, 1), None);
    }

    #[test]
    fn translations_that_do_not_fit_are_refused() {
        let mut tlb = Tlb::new();
        tlb.fill(Bank::User, 0x7000, fill(0x3000));
        let good = tlb.save();
        let spoilt = |change: fn(&mut Saved)| {
            let mut saved = good.clone();
            change(&mut saved.data[0]);
            Tlb::new().load(&saved, &memory())
        };

        assert!(spoilt(|_| {}).is_some());
        assert!(spoilt(|entry| entry.index += 1).is_none(), "the place of another page");
        assert!(spoilt(|entry| entry.index = u16::MAX).is_none());
        assert!(spoilt(|entry| entry.offset = 0x1_0000).is_none(), "behind the end of memory");
        assert!(spoilt(|entry| entry.offset = 0x3008).is_none());
        assert!(spoilt(|entry| entry.offset = 0x8000).is_none(), "ROM is not written");
    }

    #[test]
    fn a_watched_page_is_known_but_not_in_the_fast_path() {
        let watched = Watched::linear(0x7010..0x7018);
        let mut tlb = Tlb::new();
        tlb.fill(Bank::User, 0x7000, fill(0x3000));
        let before = tlb.save();

        tlb.watch(vec![watched], false);

        assert_eq!(tlb.save(), before);
        assert_eq!(tlb.read(Bank::User, 0x7000, 1), None);
        assert_eq!(tlb.parked(Bank::User, 0x7004, 4, true), Some(0x3004));
        assert_eq!(tlb.parked(Bank::User, 0x8004, 4, true), None);
        tlb.fill(Bank::User, 0x7000 + (SIZE as u64) * 0x1000, fill(0x4000));
        assert_eq!(tlb.parked(Bank::User, 0x7004, 4, false), None, "its place is taken");
        tlb.fill(Bank::User, 0x7000, fill(0x3000));
        tlb.watch(Vec::new(), false);
        assert_eq!(tlb.write(Bank::User, 0x7004, 4), Some(0x3004));
        assert_eq!(tlb.save(), before);
    }
}
