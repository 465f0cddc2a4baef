//! A multiboot 1 kernel: 32-bit ELF, or any format whose header gives the addresses.
//!
//! Source: Multiboot Specification 0.6.96 §3, "Specification".
//! Not modelled: video modes, the drive and APM tables, the symbols of the kernel.

use super::elf::{self, LoadSegment};
use super::fields::{align_up, put, u32_at};
use super::{BootError, Entry, KernelBoot};
use crate::memory_map::{self, EBDA, EXTENDED_MEMORY, KIB, low_memory_end};
use cutaway_memory::{GuestMemory, PAGE_SIZE};

/// The header lies in this much of the file, at a multiple of four.
const SEARCHED_BYTES: usize = 8192;
const HEADER_MAGIC: u32 = 0x1bad_b002;
/// Header flags that a loader must know or refuse: pages, memory information.
const KNOWN_REQUIREMENTS: u32 = 0x0003;
const REQUIREMENTS: u32 = 0xffff;
/// The address fields of the header are valid.
const HAS_ADDRESSES: u32 = 1 << 16;

/// Flags of the information: memory sizes, command line, modules, memory map, loader's name.
const INFO_FLAGS: u32 = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9;
/// Offsets in the information.
mod info {
    pub(super) const FLAGS: usize = 0;
    pub(super) const MEM_LOWER: usize = 4;
    pub(super) const MEM_UPPER: usize = 8;
    pub(super) const CMDLINE: usize = 16;
    pub(super) const MODS_COUNT: usize = 20;
    pub(super) const MODS_ADDR: usize = 24;
    pub(super) const MMAP_LENGTH: usize = 44;
    pub(super) const MMAP_ADDR: usize = 48;
    pub(super) const BOOT_LOADER_NAME: usize = 64;
    pub(super) const BYTES: usize = 88;
}
const MODULE_BYTES: usize = 16;
const MMAP_ENTRY_BYTES: usize = 24;
const LOADER_NAME: &[u8] = b"Cutaway\0";
/// Where the search for room for the information begins: above vectors and BIOS data.
const LOWEST_INFO: u64 = 0x1000;
const MAX_CMDLINE_BYTES: usize = 0xffff;

/// A multiboot header and where it lies.
struct Header {
    offset: usize,
    flags: u32,
}

fn find_header(file: &[u8]) -> Option<Header> {
    let end = file.len().min(SEARCHED_BYTES);
    (0..end.saturating_sub(11)).step_by(4).find_map(|offset| {
        let [magic, flags, checksum] =
            [u32_at(file, offset)?, u32_at(file, offset + 4)?, u32_at(file, offset + 8)?];
        let sum = magic.wrapping_add(flags).wrapping_add(checksum);
        (magic == HEADER_MAGIC && sum == 0).then_some(Header { offset, flags })
    })
}

/// Whether the file carries a multiboot header.
pub(crate) fn is_multiboot(file: &[u8]) -> bool {
    find_header(file).is_some()
}

/// Loads the kernel, its module and the multiboot information.
pub(crate) fn load(
    boot: &KernelBoot<'_>,
    memory_bytes: u64,
    memory: &mut GuestMemory,
) -> Result<Entry, BootError> {
    let header = find_header(boot.image).ok_or(BootError::NotAKernel)?;
    let unknown = header.flags & REQUIREMENTS & !KNOWN_REQUIREMENTS;
    if unknown != 0 {
        return Err(BootError::MultibootFlags { flags: unknown });
    }
    let (segments, eip) = if header.flags & HAS_ADDRESSES != 0 {
        let (segment, entry) = by_addresses(boot.image, header.offset)?;
        (vec![segment], entry)
    } else if elf::is_elf(boot.image) {
        let elf = elf::parse(boot.image)?;
        (elf.segments, elf.entry)
    } else {
        return Err(BootError::Malformed { what: "it has neither addresses nor an ELF header" });
    };
    let low_end = low_memory_end(memory_bytes);
    for segment in &segments {
        if memory.is_ram(segment.start, segment.memory_len) {
            memory.write(segment.start, segment.bytes);
        } else if segment.start >= EXTENDED_MEMORY && segment.end() > low_end {
            return Err(BootError::TooLittleMemory { needs: segment.end(), has: memory_bytes });
        } else {
            return Err(BootError::NoMemoryThere { start: segment.start });
        }
    }

    let module = boot.initrd.map(|module| place_module(module, &segments, low_end)).transpose()?;
    if let Some((start, module)) = module {
        memory.write(start, module);
    }
    let information = Information { boot, memory_bytes, module }.write(&segments, memory)?;
    Ok(Entry::Multiboot { eip, information })
}

/// What the address fields of the header say to load, and the entry point.
fn by_addresses(file: &[u8], offset: usize) -> Result<(LoadSegment<'_>, u32), BootError> {
    let has = file.len() as u64;
    let truncated = |part, needs| BootError::Truncated { part, needs, has };
    let field = |at: usize| {
        let needs = offset as u64 + 32;
        u32_at(file, offset + at).ok_or_else(|| truncated("multiboot header", needs))
    };
    let [header_addr, load_addr, load_end, bss_end, entry] =
        [field(12)?, field(16)?, field(20)?, field(24)?, field(28)?];

    let malformed =
        || BootError::Malformed { what: "its multiboot addresses contradict each other" };
    let before_header = header_addr.checked_sub(load_addr).ok_or_else(malformed)? as usize;
    let from = offset.checked_sub(before_header).ok_or_else(malformed)?;
    let bytes = match load_end {
        0 => &file[from..],
        _ => {
            let len = load_end.checked_sub(load_addr).ok_or_else(malformed)?;
            let needs = from as u64 + u64::from(len);
            let rest = file[from..].get(..len as usize);
            rest.ok_or_else(|| truncated("image", needs))?
        }
    };
    let load_len = bytes.len() as u64;
    let bss_len = match bss_end {
        0 => 0,
        _ => bss_end.checked_sub(load_addr).ok_or_else(malformed)?,
    };
    let memory_len = load_len.max(u64::from(bss_len));
    Ok((LoadSegment { start: u64::from(load_addr), bytes, memory_len }, entry))
}

/// Behind the kernel, at a page border.
fn place_module<'a>(
    module: &'a [u8],
    segments: &[LoadSegment<'_>],
    low_end: u64,
) -> Result<(u64, &'a [u8]), BootError> {
    let kernel_end = segments.iter().map(LoadSegment::end).fold(EXTENDED_MEMORY, u64::max);
    let bytes = module.len() as u64;
    let start = align_up(kernel_end, PAGE_SIZE).unwrap_or(u64::MAX);
    let room = low_end.saturating_sub(start);
    if bytes > room {
        Err(BootError::InitrdDoesNotFit { bytes, room })
    } else {
        Ok((start, module))
    }
}

/// What the information is made of.
struct Information<'a> {
    boot: &'a KernelBoot<'a>,
    memory_bytes: u64,
    module: Option<(u64, &'a [u8])>,
}

impl Information<'_> {
    /// Writes it where the kernel is not, and gives its address.
    fn write(
        &self,
        segments: &[LoadSegment<'_>],
        memory: &mut GuestMemory,
    ) -> Result<u32, BootError> {
        let (max, len) = (MAX_CMDLINE_BYTES, self.boot.cmdline.len());
        if len > max {
            return Err(BootError::CommandLineTooLong { len, max });
        }
        if self.boot.cmdline.contains('\0') {
            return Err(BootError::CommandLineHasZero);
        }
        let block_len = self.block(0).len() as u64;
        let start = gap(segments, block_len)
            .ok_or(BootError::Malformed { what: "it leaves no base memory to the loader" })?;
        memory.write(u64::from(start), &self.block(start));
        Ok(start)
    }

    /// The information and all it points to, for the address `start`.
    fn block(&self, start: u32) -> Vec<u8> {
        let mut block = vec![0; info::BYTES];
        let place = |block: &Vec<u8>| (start + block.len() as u32).to_le_bytes();

        put(&mut block, info::FLAGS, INFO_FLAGS.to_le_bytes());
        put(&mut block, info::MEM_LOWER, ((EBDA / KIB) as u32).to_le_bytes());
        let upper_kib = (low_memory_end(self.memory_bytes) - EXTENDED_MEMORY) / KIB;
        put(&mut block, info::MEM_UPPER, (upper_kib as u32).to_le_bytes());

        let map = memory_map::e820(self.memory_bytes);
        let map_len = (map.len() * MMAP_ENTRY_BYTES) as u32;
        put(&mut block, info::MMAP_LENGTH, map_len.to_le_bytes());
        let at = place(&block);
        put(&mut block, info::MMAP_ADDR, at);
        for range in map {
            // The size field does not count itself.
            block.extend((MMAP_ENTRY_BYTES as u32 - 4).to_le_bytes());
            block.extend(range.start.to_le_bytes());
            block.extend(range.len.to_le_bytes());
            block.extend((range.kind as u32).to_le_bytes());
        }

        let at = place(&block);
        put(&mut block, info::CMDLINE, at);
        block.extend(self.boot.cmdline.as_bytes());
        block.push(0);
        let at = place(&block);
        put(&mut block, info::BOOT_LOADER_NAME, at);
        block.extend(LOADER_NAME);
        block.resize(block.len().next_multiple_of(4), 0);

        let at = place(&block);
        put(&mut block, info::MODS_ADDR, at);
        if let Some((start, module)) = self.module {
            put(&mut block, info::MODS_COUNT, 1_u32.to_le_bytes());
            let mut entry = [0; MODULE_BYTES]; // without a string of its own
            put(&mut entry, 0, (start as u32).to_le_bytes());
            put(&mut entry, 4, (start as u32 + module.len() as u32).to_le_bytes());
            block.extend(entry);
        }
        block
    }
}

/// The lowest page of base memory with `len` bytes that no segment touches.
fn gap(segments: &[LoadSegment<'_>], len: u64) -> Option<u32> {
    let mut start = LOWEST_INFO;
    // Each round moves behind a segment, so after as many rounds nothing is left to hit.
    for _ in 0..=segments.len() {
        let hit = segments.iter().find(|s| s.start < start + len && start < s.end());
        match hit {
            Some(segment) => start = align_up(segment.end(), PAGE_SIZE)?,
            None if start + len <= EBDA => return u32::try_from(start).ok(),
            None => return None,
        }
    }
    None
}

#[cfg(test)]
pub(in crate::boot) mod tests;
