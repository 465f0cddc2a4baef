//! 32-bit ELF executables: which bytes of the file go where in physical memory.
//!
//! Source: System V ABI, "Object Files" (ELF-32 header and program header); Intel386 supplement.
//! Not modelled: sections, relocation, dynamic linking. A kernel has no use for them.

use super::BootError;
use super::fields::{u16_at, u32_at};

const MAGIC: &[u8] = b"\x7fELF";
const CLASS: usize = 4;
const CLASS_32: u8 = 1;
const CLASS_64: u8 = 2;
const DATA: usize = 5;
const LITTLE_ENDIAN: u8 = 1;
const ET_EXEC: u16 = 2;
const EM_386: u16 = 3;
const PT_LOAD: u32 = 1;
const HEADER_BYTES: u64 = 52;
const PROGRAM_HEADER_BYTES: usize = 32;
/// Far more than any kernel has; bounds the work that a hostile file can ask for.
const MAX_SEGMENTS: usize = 64;

/// Bytes of the file and the physical memory they go to; the memory beyond them stays zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoadSegment<'a> {
    pub(crate) start: u64,
    pub(crate) bytes: &'a [u8],
    pub(crate) memory_len: u64,
}

impl LoadSegment<'_> {
    /// The first address behind it. Neither number has more than 33 bits.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.memory_len
    }
}

/// An executable's segments, at least one, and the physical address of its entry point.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elf<'a> {
    pub(crate) segments: Vec<LoadSegment<'a>>,
    pub(crate) entry: u32,
}

/// Whether the file calls itself an ELF file.
pub(crate) fn is_elf(file: &[u8]) -> bool {
    file.starts_with(MAGIC)
}

/// Parses a file that [`is_elf`].
pub(crate) fn parse(file: &[u8]) -> Result<Elf<'_>, BootError> {
    let has = file.len() as u64;
    let truncated = |part, needs| BootError::Truncated { part, needs, has };
    let header = || truncated("ELF header", HEADER_BYTES);
    let half = |at| u16_at(file, at).ok_or_else(header);
    let word = |at| u32_at(file, at).ok_or_else(header);

    match (file.get(CLASS), file.get(DATA)) {
        (Some(&CLASS_64), _) => return Err(BootError::Elf64),
        (Some(&CLASS_32), Some(&LITTLE_ENDIAN)) => {}
        _ => {
            return Err(BootError::Malformed { what: "its ELF class or byte order is not a PC's" });
        }
    }
    if half(16)? != ET_EXEC || half(18)? != EM_386 {
        return Err(BootError::Malformed { what: "its ELF file is not an i386 executable" });
    }
    let (virtual_entry, table) = (word(24)?, word(28)? as usize);
    let (entry_len, count) = (usize::from(half(42)?), usize::from(half(44)?));
    if entry_len < PROGRAM_HEADER_BYTES {
        return Err(BootError::Malformed { what: "its program headers are too short" });
    }

    let mut segments = Vec::new();
    let mut entry = virtual_entry;
    for number in 0..count {
        let at = table.saturating_add(number * entry_len);
        let end = at as u64 + PROGRAM_HEADER_BYTES as u64;
        let field = |offset: usize| {
            let field = at.checked_add(offset).and_then(|at| u32_at(file, at));
            field.ok_or_else(|| truncated("program header table", end))
        };
        if field(0)? != PT_LOAD {
            continue;
        }
        let (offset, virtual_address, start) = (field(4)?, field(8)?, field(12)?);
        let (file_len, memory_len) = (field(16)?, field(20)?);
        if file_len > memory_len {
            return Err(BootError::Malformed {
                what: "a segment is larger in the file than in memory",
            });
        }
        let file_end = u64::from(offset) + u64::from(file_len);
        let bytes = file.get(offset as usize..).and_then(|rest| rest.get(..file_len as usize));
        let bytes = bytes.ok_or_else(|| truncated("segment", file_end))?;
        // The entry point is a virtual address; paging is off, so its physical one is wanted.
        if virtual_entry.checked_sub(virtual_address).is_some_and(|within| within < memory_len) {
            entry = start.wrapping_add(virtual_entry - virtual_address);
        }
        if segments.len() == MAX_SEGMENTS {
            return Err(BootError::Malformed { what: "its ELF file has too many segments" });
        }
        if memory_len > 0 {
            segments.push(LoadSegment {
                start: u64::from(start),
                bytes,
                memory_len: u64::from(memory_len),
            });
        }
    }
    if segments.is_empty() {
        return Err(BootError::Malformed { what: "its ELF file has nothing to load" });
    }
    Ok(Elf { segments, entry })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::boot::fields::put;

    /// An executable with one segment: the whole file, at `physical`, linked for `linked`.
    pub(crate) fn executable(physical: u32, linked: u32, entry: u32, contents: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 52 + 32];
        file[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', CLASS_32, LITTLE_ENDIAN, 1]);
        put(&mut file, 16, ET_EXEC.to_le_bytes());
        put(&mut file, 18, EM_386.to_le_bytes());
        put(&mut file, 24, entry.to_le_bytes());
        put(&mut file, 28, 52_u32.to_le_bytes());
        put(&mut file, 42, 32_u16.to_le_bytes());
        put(&mut file, 44, 1_u16.to_le_bytes());
        file.extend(contents);
        let len = file.len() as u32;
        for (at, field) in
            [(0, PT_LOAD), (8, linked), (12, physical), (16, len), (20, len + 0x1000)]
        {
            put(&mut file, 52 + at, field.to_le_bytes());
        }
        file
    }

    #[test]
    fn the_entry_point_becomes_physical() {
        let file = executable(0x10_0000, 0xc010_0000, 0xc010_0054, &[0xf4]);

        let elf = parse(&file).unwrap();
        assert_eq!(elf.entry, 0x10_0054);
        assert_eq!(elf.segments[0].start, 0x10_0000);
        assert_eq!(elf.segments[0].memory_len, file.len() as u64 + 0x1000);
    }

    #[test]
    fn every_truncation_is_refused() {
        let file = executable(0x10_0000, 0x10_0000, 0x10_0054, &[0xf4; 32]);
        for len in 4..file.len() {
            assert!(parse(&file[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_64_bit_file_is_named_as_such() {
        let mut file = executable(0x10_0000, 0x10_0000, 0x10_0054, &[]);
        file[CLASS] = CLASS_64;

        assert!(matches!(parse(&file), Err(BootError::Elf64)));
    }

    /// Offsets and lengths of 0xffff_ffff must neither overflow nor be believed.
    #[test]
    fn extreme_fields_are_refused() {
        let sound = executable(0x10_0000, 0x10_0000, 0x10_0054, &[0xf4; 32]);
        for at in [28, 52 + 4, 52 + 16] {
            let mut file = sound.clone();
            put(&mut file, at, u32::MAX.to_le_bytes());
            assert!(parse(&file).is_err(), "field at {at}");
        }
    }
}
