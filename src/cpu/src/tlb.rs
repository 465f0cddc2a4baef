//! The software TLB: linear pages to offsets in the backing of guest memory.
//!
//! What needs more than an addition is made special by not being in the tag: device memory,
//! pages with cached code, first writes (A, D and dirty tracking), page-crossing accesses. So
//! a hit is one comparison. Banks keep privilege apart; a bank that is never filled makes all
//! accesses slow, for alignment checking and data breakpoints.
//!
//! Not in a snapshot: restoring starts with it empty. An empty TLB can only repeat walks, whose
//! A and D bits are set already, so this cannot be seen.

use crate::code_pages::CodePages;

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
    /// Linear page that may be written if the code cache is told.
    pub(crate) code: u64,
    /// Backing offset minus linear address.
    pub(crate) addend: u64,
}

/// Hashes of the large pages that translations came from, by page size: 2 MiB, 4 MiB, 1 GiB.
#[derive(Default)]
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
    /// The page holds cached code, which writes must be told to.
    pub(crate) code: bool,
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
}

/// A tag that no address looked up at `index` can match.
fn empty(index: usize) -> Entry {
    let tag = ((index & (SIZE - 1)) as u64 ^ 1) << 12;
    Entry { read: tag, write: tag, code: tag, addend: 0 }
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

    /// As `write`, of a page with cached code.
    pub(crate) fn write_code(&self, bank: Bank, linear: u64, size: u64) -> Option<usize> {
        let entry = self.entry(bank, linear);
        (linear ^ entry.code <= 4096 - size).then(|| linear.wrapping_add(entry.addend) as usize)
    }

    pub(crate) fn fill(&mut self, bank: Bank, linear: u64, fill: Fill) {
        if bank == Bank::Slow {
            return;
        }
        let page = linear & !0xfff;
        let index = (linear >> 12) as usize & (SIZE - 1) | bank as usize;
        let none = empty(index).write;
        let write = if fill.writable && !fill.code { page } else { none };
        let code = if fill.writable && fill.code { page } else { none };
        let addend = (fill.offset as u64).wrapping_sub(page);
        self.entries[index] = Entry { read: page, write, code, addend };
        let (word, bit) = (index / 64, 1 << (index % 64));
        self.filled[word] |= bit;
        self.local[word] =
            if fill.global { self.local[word] & !bit } else { self.local[word] | bit };
        self.large.note(linear, fill.page_bits);
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

    /// The page lost its code: lets writes through one linear page be fast.
    pub(crate) fn unprotect(&mut self, bank: Bank, linear: u64) {
        let index = (linear >> 12) as usize & (SIZE - 1) | bank as usize;
        let entry = &mut self.entries[index];
        if entry.code == linear & !0xfff {
            (entry.write, entry.code) = (entry.code, empty(index).code);
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
                    (entry.code, entry.write) = (entry.write, empty(index).write);
                }
                rest &= rest - 1;
            }
        }
    }

    /// Makes every write slow once more, so that dirty pages are noticed anew.
    pub(crate) fn protect_all(&mut self) {
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let none = empty(index);
            (entry.write, entry.code) = (none.write, none.code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(offset: usize) -> Fill {
        Fill { offset, writable: true, code: false, global: false, page_bits: 12 }
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
        assert_eq!(tlb.write_code(Bank::User, 0x7004, 4), Some(0x3004));
        assert_eq!(tlb.write_code(Bank::User, 0x9004, 4), None, "a page that cannot be written");

        tlb.unprotect(Bank::User, 0x7004);

        assert_eq!(tlb.write(Bank::User, 0x7004, 4), Some(0x3004));
        assert_eq!(tlb.write_code(Bank::User, 0x7004, 4), None);
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
}
