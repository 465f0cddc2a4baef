//! The host mapping behind guest memory, and checked access to it by offset.
//!
//! A [`Backing`] is a cheap handle; the machine's map and the CPU's fast path each hold one.
//! It hands out copies of bytes, never references, so no Rust reference into guest memory
//! exists that two handles could alias. It is neither `Send` nor `Sync`.

use std::rc::Rc;

/// Why guest memory could not be had.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The host gave no address space.
    #[error("cannot reserve {bytes} bytes of guest memory")]
    Reserve {
        /// What was asked for, in bytes.
        bytes: u64,
        /// The host's reason.
        #[source]
        source: std::io::Error,
    },
    /// A region does not lie on page borders, overlaps another, or exceeds the backing.
    #[error("memory region {start:#x}+{len:#x} is not page-aligned, or overlaps another")]
    Region {
        /// First guest-physical address.
        start: u64,
        /// Length in bytes.
        len: u64,
    },
}

/// A little-endian integer as the guest's memory holds it: 8 to 128 bits.
pub trait Scalar: Copy + private::Sealed {}

mod private {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
    impl Sealed for u64 {}
    impl Sealed for u128 {}
    impl Sealed for [u8; 16] {}
}
impl Scalar for u8 {}
impl Scalar for u16 {}
impl Scalar for u32 {}
impl Scalar for u64 {}
impl Scalar for u128 {}
impl Scalar for [u8; 16] {}

/// What offsets of a mapping in a file are a multiple of: the largest granularity of any host.
pub const FILE_ALIGN: u64 = 64 * 1024;
/// Bytes that a file must have behind a mapping, so that a scalar may begin at its last byte.
pub const FILE_SLACK: usize = 4096;
/// Bytes of the largest [`Scalar`].
const SCALAR_MAX: usize = size_of::<u128>();

/// A handle on the bytes of all guest RAM and ROM.
#[derive(Clone)]
pub struct Backing {
    start: *mut u8,
    len: usize,
    /// Keeps `start..start + len` mapped.
    owner: Rc<mapping::Mapping>,
}

impl Backing {
    /// Reserves `len` zero bytes; the host commits a page when it is first written.
    pub fn new(len: usize) -> Result<Self, MemoryError> {
        let owner = mapping::Mapping::new(len + SCALAR_MAX)
            .map_err(|source| MemoryError::Reserve { bytes: len as u64, source })?;
        Ok(Self { start: owner.start(), len, owner: Rc::new(owner) })
    }

    /// The `len` bytes of a file from `offset` on, which is a multiple of [`FILE_ALIGN`]. They are
    /// mapped copy-on-write: nothing is read before it is needed, and the file never changes.
    /// It must go on for [`FILE_SLACK`] bytes behind them.
    ///
    /// As with every mapping of a file, nobody may cut it short or write to it meanwhile: the host
    /// would end the program, or the guest would see the change.
    #[cfg(not(target_family = "wasm"))]
    pub fn map(file: &std::fs::File, offset: u64, len: usize) -> Result<Self, MemoryError> {
        let failed = |source| MemoryError::Reserve { bytes: len as u64, source };
        let end = offset.checked_add((len + FILE_SLACK) as u64);
        let reaches = |end: u64| Ok(file.metadata()?.len() >= end);
        if !end.map_or(Ok(false), reaches).map_err(failed)? {
            return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
        }
        let owner = mapping::Mapping::of_file(file, offset, len + SCALAR_MAX).map_err(failed)?;
        Ok(Self { start: owner.start(), len, owner: Rc::new(owner) })
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether both handles name the same bytes.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.owner, &other.owner)
    }

    /// Where a scalar may begin. The mapping goes on for the largest scalar behind `len`, so that
    /// one comparison is enough; what is written there is never part of guest memory.
    #[inline(always)]
    fn check_start(&self, offset: usize) {
        assert!(offset < self.len, "backing offset comes from the map, so it lies inside");
    }

    #[inline(always)]
    fn check(&self, offset: usize, size: usize) {
        assert!(
            offset <= self.len && size <= self.len - offset,
            "backing offset comes from the map, so it lies inside"
        );
    }

    /// The scalar at `offset`, which may be unaligned.
    ///
    /// # Panics
    /// If its first byte lies outside the backing.
    #[inline(always)]
    #[must_use]
    pub fn load<T: Scalar>(&self, offset: usize) -> T {
        self.check_start(offset);
        // SAFETY: the mapping, which `owner` keeps alive, is `SCALAR_MAX` bytes longer than the
        // `len` that `check_start` compares with, and a `Scalar` has at most that size; every bit
        // pattern is a valid one; no reference into the mapping exists.
        unsafe { self.start.add(offset).cast::<T>().read_unaligned() }
    }

    /// Stores a scalar at `offset`, which may be unaligned.
    ///
    /// # Panics
    /// If its first byte lies outside the backing.
    #[inline(always)]
    pub fn store<T: Scalar>(&self, offset: usize, value: T) {
        self.check_start(offset);
        // SAFETY: as in `load`; the mapping is writable.
        unsafe { self.start.add(offset).cast::<T>().write_unaligned(value) }
    }

    /// Copies bytes out.
    ///
    /// # Panics
    /// If any byte lies outside the backing.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        self.check(offset, bytes.len());
        // SAFETY: the range lies inside the mapping; `bytes` is a Rust slice, so elsewhere.
        unsafe { self.start.add(offset).copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) }
    }

    /// Copies bytes in.
    ///
    /// # Panics
    /// If any byte lies outside the backing.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        self.check(offset, bytes.len());
        // SAFETY: as in `read`; the mapping is writable.
        unsafe { self.start.add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    /// Copies `len` bytes inside the backing; the ranges may overlap (the result is as if the
    /// source were read whole first).
    ///
    /// # Panics
    /// If any byte lies outside the backing.
    pub fn copy_within(&self, from: usize, to: usize, len: usize) {
        self.check(from, len);
        self.check(to, len);
        // SAFETY: both ranges lie inside the mapping; `copy` allows overlap.
        unsafe { self.start.add(from).copy_to(self.start.add(to), len) }
    }

    /// Fills `len` bytes with one value.
    ///
    /// # Panics
    /// If any byte lies outside the backing.
    pub fn fill(&self, offset: usize, value: u8, len: usize) {
        self.check(offset, len);
        // SAFETY: the range lies inside the mapping, which is writable.
        unsafe { self.start.add(offset).write_bytes(value, len) }
    }
}

impl std::fmt::Debug for Backing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Backing({:#x} bytes)", self.len)
    }
}

/// Hosts with virtual memory: an anonymous mapping.
#[cfg(not(target_family = "wasm"))]
mod mapping {
    pub(super) struct Mapping(memmap2::MmapRaw);

    impl Mapping {
        pub(super) fn new(len: usize) -> std::io::Result<Self> {
            let map = memmap2::MmapOptions::new().len(len.max(1)).no_reserve_swap().map_anon()?;
            Ok(Self(map.into()))
        }

        pub(super) fn of_file(
            file: &std::fs::File,
            offset: u64,
            len: usize,
        ) -> std::io::Result<Self> {
            let mut options = memmap2::MmapOptions::new();
            options.offset(offset).len(len.max(1)).no_reserve_swap();
            // SAFETY: the mapping is private, so nothing here changes the file; it is only reached
            // through raw pointers, so what another process does to the file is a changed byte and
            // breaks no promise of a Rust reference. `map` checked that it lies inside the file.
            let map = unsafe { options.map_copy(file)? };
            Ok(Self(map.into()))
        }

        pub(super) fn start(&self) -> *mut u8 {
            self.0.as_mut_ptr()
        }
    }
}

/// wasm32: the linear memory itself, from the allocator.
#[cfg(target_family = "wasm")]
mod mapping {
    pub(super) struct Mapping(Box<[std::cell::UnsafeCell<u8>]>);

    impl Mapping {
        pub(super) fn new(len: usize) -> std::io::Result<Self> {
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(len).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
            bytes.resize_with(len, Default::default);
            Ok(Self(bytes.into_boxed_slice()))
        }

        pub(super) fn start(&self) -> *mut u8 {
            std::cell::UnsafeCell::raw_get(self.0.as_ptr())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_little_endian_and_may_be_unaligned() {
        let backing = Backing::new(0x1000).unwrap();

        backing.store(3, 0x1122_3344_u32);

        let mut bytes = [0; 4];
        backing.read(3, &mut bytes);
        assert_eq!(bytes, [0x44, 0x33, 0x22, 0x11]);
        assert_eq!(backing.load::<u16>(5), 0x1122);
    }

    #[test]
    #[should_panic(expected = "lies inside")]
    fn a_scalar_may_not_begin_behind_the_end() {
        let _: u32 = Backing::new(0x1000).unwrap().load(0x1000);
    }

    #[cfg(not(target_family = "wasm"))]
    #[test]
    fn a_mapped_file_is_read_and_never_written() {
        let name = format!("cutaway-backing-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut bytes = vec![0; FILE_ALIGN as usize + 0x2000 + FILE_SLACK];
        bytes[FILE_ALIGN as usize + 0x1234] = 0x55;
        std::fs::write(&path, &bytes).unwrap();
        let file = std::fs::File::open(&path).unwrap();

        let one = Backing::map(&file, FILE_ALIGN, 0x2000).unwrap();
        let other = Backing::map(&file, FILE_ALIGN, 0x2000).unwrap();
        one.store(0x10, 0x99_u8);
        let too_long = Backing::map(&file, FILE_ALIGN, 0x2001);

        std::fs::remove_file(&path).unwrap();
        assert_eq!((one.load::<u8>(0x1234), one.load::<u8>(0x10)), (0x55, 0x99));
        assert_eq!((other.load::<u8>(0x1234), other.load::<u8>(0x10)), (0x55, 0));
        assert!(too_long.is_err());
    }

    #[test]
    fn overlapping_copy_reads_the_source_first() {
        let backing = Backing::new(0x1000).unwrap();
        backing.write(0, &[1, 2, 3, 4]);

        backing.copy_within(0, 1, 4);

        let mut bytes = [0; 5];
        backing.read(0, &mut bytes);
        assert_eq!(bytes, [1, 1, 2, 3, 4]);
    }
}
