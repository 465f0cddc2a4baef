//! The map from guest-physical pages to the backing, and dirty tracking.
//!
//! Reads outside memory give ones (open bus), writes there are dropped, ROM ignores writes.
//! Device ranges are not in the map: the CPU asks [`GuestMemory::page`] and takes those to the
//! bus. A page is *touched* from its first write on, and *dirty* from its first write after
//! [`GuestMemory::clear_dirty`], for each who wants to know; both are exact to the page.

use crate::backing::{Backing, MemoryError};
use std::cell::RefCell;

/// Page size of the map as a power of two: 4 KiB.
pub const PAGE_BITS: u32 = 12;
/// Page size of the map in bytes.
pub const PAGE_SIZE: u64 = 1 << PAGE_BITS;

/// What a guest-physical page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// RAM at this offset of the backing.
    Ram(usize),
    /// ROM at this offset of the backing: writes are dropped.
    Rom(usize),
    /// Not memory: a device, or nobody.
    Device,
}

/// Who wants to know which pages were written, since a time of his own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirtyFor {
    /// The hash of all state.
    Hash,
    /// Checkpoints.
    Checkpoint,
}

/// One of the spaces of addresses of a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space(usize);

impl Space {
    /// The space that every memory has.
    pub const FIRST: Self = Self(0);
}

#[derive(Clone, Copy, Debug)]
struct Region {
    start: u64,
    len: u64,
    offset: usize,
    rom: bool,
}

/// Guest RAM and ROM at their guest-physical addresses.
#[derive(Debug)]
pub struct GuestMemory {
    backing: Backing,
    used: usize,
    /// The map of the selected space.
    regions: Vec<Region>,
    /// The maps of the other spaces; that of the selected one stands empty.
    spaces: Vec<Vec<Region>>,
    selected: usize,
    touched: Vec<u64>,
    /// By [`DirtyFor`].
    dirty: [Vec<u64>; 2],
    original: Option<Original>,
}

/// What a throw-away copy is a copy of.
#[derive(Debug)]
struct Original {
    backing: Backing,
    /// Pages that have been copied, a bit each.
    copied: RefCell<Vec<u64>>,
}

impl Original {
    /// Copies the page at `offset`, unless it has been copied.
    fn copy_page(&self, offset: usize, to: &Backing) {
        let page = offset >> PAGE_BITS;
        let word = &mut self.copied.borrow_mut()[page / 64];
        if *word >> (page % 64) & 1 == 0 {
            *word |= 1 << (page % 64);
            let mut bytes = [0; PAGE_SIZE as usize];
            self.backing.read(offset, &mut bytes);
            to.write(offset, &bytes);
        }
    }
}

impl GuestMemory {
    /// An empty map over a backing that can hold `capacity` bytes of regions.
    pub fn new(capacity: u64) -> Result<Self, MemoryError> {
        let error = || MemoryError::Region { start: 0, len: capacity };
        let len = usize::try_from(capacity.next_multiple_of(PAGE_SIZE)).map_err(|_| error())?;
        Ok(Self::over(Backing::new(len)?))
    }

    /// An empty map over a backing, which may hold bytes already.
    #[must_use]
    pub fn over(backing: Backing) -> Self {
        let none = vec![0; (backing.len() >> PAGE_BITS).div_ceil(64)];
        let dirty = [none.clone(), none.clone()];
        Self {
            backing,
            used: 0,
            regions: Vec::new(),
            spaces: vec![Vec::new()],
            selected: 0,
            touched: none,
            dirty,
            original: None,
        }
    }

    /// A copy to be thrown away: the same map, and bytes of its own. A page is copied when
    /// [`Self::page`] is first asked for it, so the original must not be written meanwhile; who
    /// reaches bytes through [`Self::backing`] asks for their page first.
    pub fn throw_away_copy(&self) -> Result<Self, MemoryError> {
        let mut copy = Self::over(Backing::new(self.backing.len())?);
        copy.used = self.used;
        copy.regions.clone_from(&self.regions);
        copy.spaces.clone_from(&self.spaces);
        copy.selected = self.selected;
        let copied = RefCell::new(vec![0; (self.backing.len() >> PAGE_BITS).div_ceil(64)]);
        copy.original = Some(Original { backing: self.backing.clone(), copied });
        Ok(copy)
    }

    /// Adds RAM at `start`, zeroed. Both numbers are multiples of [`PAGE_SIZE`].
    pub fn add_ram(&mut self, start: u64, len: u64) -> Result<(), MemoryError> {
        self.add(start, len, false).map(|_| ())
    }

    /// Adds ROM at `start`; the image is padded with zeros to a whole page.
    pub fn add_rom(&mut self, start: u64, image: &[u8]) -> Result<(), MemoryError> {
        let len = (image.len() as u64).next_multiple_of(PAGE_SIZE);
        self.add_rom_of_backing(start, len)?;
        let offset = self.used - len as usize;
        self.backing.write(offset, image);
        for page in offset >> PAGE_BITS..(offset + len as usize) >> PAGE_BITS {
            self.mark_dirty(page << PAGE_BITS);
        }
        Ok(())
    }

    /// Adds ROM at `start` whose bytes the backing has already.
    pub fn add_rom_of_backing(&mut self, start: u64, len: u64) -> Result<(), MemoryError> {
        self.add(start, len, true).map(|_| ())
    }

    /// Shows `len` bytes of the ROM or RAM at `original` a second time at `start`.
    pub fn add_alias(&mut self, start: u64, original: u64, len: u64) -> Result<(), MemoryError> {
        let error = MemoryError::Region { start, len };
        let Some(of) = self.region(original) else { return Err(error) };
        let within = original - of.start;
        let fits = len <= of.len - within && (start | original | len).is_multiple_of(PAGE_SIZE);
        if !fits || self.overlaps(start, len) {
            return Err(error);
        }
        self.insert(Region { start, len, offset: of.offset + within as usize, rom: of.rom });
        Ok(())
    }

    /// Adds a space of addresses of its own, in which the whole backing is RAM from address 0 on:
    /// the physical memory of a machine whose guests see parts of it. The space there is from the
    /// beginning stays selected.
    pub fn add_physical_space(&mut self) -> Space {
        let len = self.backing.len() as u64;
        self.spaces.push(vec![Region { start: 0, len, offset: 0, rom: false }]);
        Space(self.spaces.len() - 1)
    }

    /// Whether addresses are now those of a guest, in a memory that has others too.
    #[must_use]
    pub fn is_of_guest(&self) -> bool {
        self.spaces.len() > 1 && self.selected == 0
    }

    /// From now on addresses are of this space.
    ///
    /// # Panics
    /// If the space is of another memory.
    pub fn select(&mut self, space: Space) {
        std::mem::swap(&mut self.regions, &mut self.spaces[self.selected]);
        self.selected = space.0;
        std::mem::swap(&mut self.regions, &mut self.spaces[self.selected]);
    }

    fn add(&mut self, start: u64, len: u64, rom: bool) -> Result<usize, MemoryError> {
        let offset = self.used;
        let room = (self.backing.len() - offset) as u64;
        if !(start | len).is_multiple_of(PAGE_SIZE) || len > room || self.overlaps(start, len) {
            return Err(MemoryError::Region { start, len });
        }
        self.used += len as usize;
        self.insert(Region { start, len, offset, rom });
        Ok(offset)
    }

    fn overlaps(&self, start: u64, len: u64) -> bool {
        let Some(end) = start.checked_add(len) else { return true };
        self.regions.iter().any(|r| start < r.start + r.len && r.start < end)
    }

    fn insert(&mut self, region: Region) {
        let at = self.regions.partition_point(|r| r.start < region.start);
        self.regions.insert(at, region);
    }

    fn region(&self, address: u64) -> Option<Region> {
        let after = self.regions.partition_point(|r| r.start <= address);
        let region = *self.regions.get(after.checked_sub(1)?)?;
        (address - region.start < region.len).then_some(region)
    }

    /// Bytes of the backing that regions were added over, from its beginning on; what follows is for
    /// somebody else.
    #[must_use]
    pub fn mapped_bytes(&self) -> u64 {
        self.used as u64
    }

    /// The bytes themselves, by offset.
    #[must_use]
    pub fn backing(&self) -> &Backing {
        &self.backing
    }

    /// What the page of `address` is; the offset in the answer is that of the page's start.
    #[must_use]
    pub fn page(&self, address: u64) -> PageKind {
        let Some(region) = self.region(address) else { return PageKind::Device };
        let offset = region.offset + ((address - region.start) & !(PAGE_SIZE - 1)) as usize;
        if let Some(original) = &self.original {
            original.copy_page(offset, &self.backing);
        }
        if region.rom { PageKind::Rom(offset) } else { PageKind::Ram(offset) }
    }

    /// RAM regions as (start, length), ascending, without ROM.
    pub fn ram(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.regions.iter().filter(|r| !r.rom).map(|r| (r.start, r.len))
    }

    /// Reads bytes; what is not memory reads as ones.
    pub fn read(&self, address: u64, bytes: &mut [u8]) {
        for_each_page(address, bytes.len(), |address, range| {
            let part = &mut bytes[range];
            let within = (address % PAGE_SIZE) as usize;
            match self.page(address) {
                PageKind::Ram(page) | PageKind::Rom(page) => self.backing.read(page + within, part),
                PageKind::Device => part.fill(0xff),
            }
        });
    }

    /// Writes bytes into RAM and marks the pages; elsewhere the bytes are dropped.
    pub fn write(&mut self, address: u64, bytes: &[u8]) {
        for_each_page(address, bytes.len(), |address, range| {
            if let PageKind::Ram(page) = self.page(address) {
                self.mark_dirty(page);
                self.backing.write(page + (address % PAGE_SIZE) as usize, &bytes[range]);
            }
        });
    }

    /// Whether `address..address + len` is RAM throughout.
    #[must_use]
    pub fn is_ram(&self, address: u64, len: u64) -> bool {
        self.region(address).is_some_and(|r| !r.rom && len <= r.len - (address - r.start))
    }

    /// Marks the backing page at `offset` touched and dirty. Who writes through
    /// [`GuestMemory::backing`] calls this first.
    pub fn mark_dirty(&mut self, offset: usize) {
        let page = offset >> PAGE_BITS;
        self.touched[page / 64] |= 1 << (page % 64);
        for dirty in &mut self.dirty {
            dirty[page / 64] |= 1 << (page % 64);
        }
    }

    /// Whether the backing page at `offset` is ROM.
    #[must_use]
    pub fn is_rom(&self, offset: usize) -> bool {
        let inside = |r: &Region| (r.offset..r.offset + r.len as usize).contains(&offset);
        self.regions.iter().any(|region| region.rom && inside(region))
    }

    /// Whether the backing page at `offset` is touched, and was written since the last
    /// [`Self::clear_dirty`] of everyone: another write changes no mark.
    #[must_use]
    pub fn is_dirty(&self, offset: usize) -> bool {
        let page = offset >> PAGE_BITS;
        let mut marks = self.dirty.iter().chain([&self.touched]);
        marks.all(|marks| marks[page / 64] >> (page % 64) & 1 != 0)
    }

    /// Fills the backing page at `offset` with zeros, as if nobody had ever written to it. The vCPU must be
    /// told, so that it notices writes again.
    pub fn release(&mut self, offset: usize) {
        let page = offset >> PAGE_BITS;
        self.mark_dirty(offset);
        self.backing.fill(page << PAGE_BITS, 0, PAGE_SIZE as usize);
        self.touched[page / 64] &= !(1 << (page % 64));
    }

    /// Forgets what is dirty for one. The vCPU must be told, so that it notices writes again.
    pub fn clear_dirty(&mut self, who: DirtyFor) {
        self.dirty[who as usize].fill(0);
    }

    /// Forgets which pages were ever written; every page must hold zeros.
    pub fn clear_touched(&mut self) {
        self.touched.fill(0);
    }

    /// Backing offsets of the pages ever written, ascending.
    pub fn touched_pages(&self) -> impl Iterator<Item = usize> + '_ {
        set_bits(&self.touched)
    }

    /// Backing offsets of the pages that are dirty for one, ascending.
    pub fn dirty_pages(&self, who: DirtyFor) -> impl Iterator<Item = usize> + '_ {
        set_bits(&self.dirty[who as usize])
    }
}

fn set_bits(words: &[u64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(at, &word)| {
        (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| (at * 64 + bit) << PAGE_BITS)
    })
}

/// Calls `each` with the address and the range of bytes of every page in turn. Addresses
/// wrap at 2^64.
fn for_each_page(address: u64, len: usize, mut each: impl FnMut(u64, std::ops::Range<usize>)) {
    let mut done = 0;
    while done < len {
        let at = address.wrapping_add(done as u64);
        let part = (len - done).min((PAGE_SIZE - at % PAGE_SIZE) as usize);
        each(at, done..done + part);
        done += part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> GuestMemory {
        let mut memory = GuestMemory::new(0x10_0000).unwrap();
        memory.add_ram(0, 0x8000).unwrap();
        memory.add_rom(0xf_0000, &[0x11; 0x1000]).unwrap();
        memory.add_alias(0xffff_f000, 0xf_0000, 0x1000).unwrap();
        memory
    }

    #[test]
    fn a_read_across_the_end_of_ram_gives_open_bus() {
        let mut memory = memory();
        memory.write(0x7ffe, &[1, 2, 3, 4]);

        let mut bytes = [0; 4];
        memory.read(0x7ffe, &mut bytes);
        assert_eq!(bytes, [1, 2, 0xff, 0xff]);
    }

    #[test]
    fn rom_drops_writes_and_shows_at_its_alias() {
        let mut memory = memory();

        memory.write(0xf_0000, &[0x22]);

        let mut byte = [0];
        memory.read(0xffff_f000, &mut byte);
        assert_eq!(byte, [0x11]);
    }

    #[test]
    fn a_throw_away_copy_leaves_the_original_alone() {
        let mut memory = memory();
        memory.write(0x1ffe, &[1, 2, 3, 4]);

        let mut copy = memory.throw_away_copy().unwrap();
        copy.write(0x1fff, &[9]);

        let (mut bytes, mut original, mut rom) = ([0; 4], [0; 4], [0]);
        copy.read(0x1ffe, &mut bytes);
        memory.read(0x1ffe, &mut original);
        copy.read(0xffff_f000, &mut rom);
        assert_eq!((bytes, original, rom), ([1, 9, 3, 4], [1, 2, 3, 4], [0x11]));
    }

    #[test]
    fn regions_may_not_overlap() {
        let mut memory = memory();
        assert!(memory.add_ram(0x7000, 0x2000).is_err());
        assert!(memory.add_ram(0x8000, 0x800).is_err());
        assert!(memory.add_ram(u64::MAX - 0xfff, 0x1000).is_err());
    }

    #[test]
    fn dirty_pages_are_those_written_since_the_clear() {
        let mut memory = memory();
        memory.write(0x1000, &[1]);
        memory.clear_dirty(DirtyFor::Hash);
        memory.write(0x2fff, &[1, 1]);

        assert_eq!(memory.dirty_pages(DirtyFor::Hash).collect::<Vec<_>>(), [0x2000, 0x3000]);
        let of_other = memory.dirty_pages(DirtyFor::Checkpoint).collect::<Vec<_>>();
        assert_eq!(of_other, [0x1000, 0x2000, 0x3000, 0x8000]);
        assert!(memory.is_dirty(0x2000) && !memory.is_dirty(0x1000));
        assert_eq!(memory.touched_pages().collect::<Vec<_>>(), [0x1000, 0x2000, 0x3000, 0x8000]);
    }
}
