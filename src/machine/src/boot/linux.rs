//! A Linux bzImage, booted directly by the 32-bit or the 64-bit boot protocol.
//!
//! Source: Linux `Documentation/arch/x86/boot.rst`, "The Linux/x86 Boot Protocol", and
//! `zero-page.rst`.
//! Not modelled: the 16-bit entry point (real-mode setup code; a firmware's loader uses it),
//! zImage and protocols before 2.02, entry above 4 GiB, the EFI handover.

use super::fields::{align_up, put, u16_at, u32_at, u64_at};
use super::{BootError, Entry, KernelBoot, low};
use crate::memory_map::{self, MIB};
use cutaway_memory::{GuestMemory, PAGE_SIZE};

/// Offsets in the setup header, which are the same in the file and in the zero page.
mod field {
    pub(super) const SETUP_SECTS: usize = 0x1f1;
    pub(super) const SYSSIZE: usize = 0x1f4;
    pub(super) const VID_MODE: usize = 0x1fa;
    pub(super) const BOOT_FLAG: usize = 0x1fe;
    /// The displacement of a short jump over the rest of the header: where the header ends.
    pub(super) const JUMP_LENGTH: usize = 0x201;
    pub(super) const MAGIC: usize = 0x202;
    pub(super) const VERSION: usize = 0x206;
    pub(super) const TYPE_OF_LOADER: usize = 0x210;
    pub(super) const LOADFLAGS: usize = 0x211;
    pub(super) const CODE32_START: usize = 0x214;
    pub(super) const RAMDISK_IMAGE: usize = 0x218;
    pub(super) const RAMDISK_SIZE: usize = 0x21c;
    pub(super) const CMD_LINE_PTR: usize = 0x228;
    pub(super) const INITRD_ADDR_MAX: usize = 0x22c;
    pub(super) const KERNEL_ALIGNMENT: usize = 0x230;
    pub(super) const RELOCATABLE_KERNEL: usize = 0x234;
    pub(super) const XLOADFLAGS: usize = 0x236;
    pub(super) const CMDLINE_SIZE: usize = 0x238;
    pub(super) const SETUP_DATA: usize = 0x250;
    pub(super) const PREF_ADDRESS: usize = 0x258;
    pub(super) const INIT_SIZE: usize = 0x260;
    /// Beyond this no field is looked at.
    pub(super) const END: usize = 0x264;
    /// Where the zero page's next field begins: no header reaches farther.
    pub(super) const LIMIT: usize = 0x290;
}

/// Offsets in the zero page outside the setup header.
mod page_field {
    /// `screen_info.ext_mem_k`: KiB above 1 MiB, as INT 15h AH=88h tells it.
    pub(super) const EXT_MEM_K: usize = 0x002;
    pub(super) const ACPI_RSDP_ADDR: usize = 0x070;
    pub(super) const ALT_MEM_K: usize = 0x1e0;
    pub(super) const E820_ENTRIES: usize = 0x1e8;
    pub(super) const E820_TABLE: usize = 0x2d0;
    pub(super) const E820_ENTRY_BYTES: usize = 20;
}

const BOOT_FLAG: u16 = 0xaa55;
const HEADER_MAGIC: &[u8] = b"HdrS";
const SECTOR_BYTES: usize = 512;
/// `loadflags` bit 0: the protected-mode code is loaded at 1 MiB, which makes it a bzImage.
const LOADED_HIGH: u8 = 1 << 0;
/// `xloadflags` bit 0: there is a 64-bit entry point.
const XLF_KERNEL_64: u16 = 1 << 0;
/// Where it lies in the protected-mode code.
const ENTRY_64: u64 = 0x200;
/// "A loader without an assigned ID".
const UNDEFINED_LOADER: u8 = 0xff;
const VIDEO_NORMAL: u16 = 0xffff;
/// Longest command line before protocol 2.06, and the most we have room for.
const OLD_CMDLINE_SIZE: u32 = 255;
const MAX_CMDLINE_SIZE: u32 = 0xffff;
/// The `initrd_addr_max` of kernels before 2.03.
const OLD_INITRD_MAX: u32 = 0x37ff_ffff;
/// `setup_data` type: a seed for the random number generator.
const SETUP_RNG_SEED: u32 = 9;

/// What the setup header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinuxHeader {
    /// Boot protocol version, major in the high byte.
    pub version: u16,
    /// Whether the kernel has a 64-bit entry point.
    pub is_64_bit: bool,
    /// Longest command line in bytes.
    pub cmdline_size: u32,
    /// Highest address that the initrd may occupy.
    pub initrd_addr_max: u32,
    /// Where the protected-mode code is loaded.
    pub load_address: u64,
    /// End of the memory that the kernel needs before it reads the memory map.
    pub runtime_end: u64,
    /// Offset of the protected-mode code in the file.
    payload: usize,
    /// End of the setup header.
    header_end: usize,
}

/// Whether the file carries the boot flag and the magic of a Linux kernel.
pub(crate) fn is_linux(file: &[u8]) -> bool {
    u16_at(file, field::BOOT_FLAG) == Some(BOOT_FLAG)
        && file.get(field::MAGIC..).is_some_and(|rest| rest.starts_with(HEADER_MAGIC))
}

/// Bytes of the unit that the header counts code in.
const PARAGRAPH: u64 = 16;

impl LinuxHeader {
    /// Reads and checks the header of a file that [`is_linux`].
    pub(crate) fn parse(file: &[u8]) -> Result<Self, BootError> {
        let has = file.len() as u64;
        let truncated = |part, needs| BootError::Truncated { part, needs, has };
        let header = || truncated("setup header", field::END as u64);
        let byte = |at: usize| file.get(at).copied().ok_or_else(header);
        let half = |at| u16_at(file, at).ok_or_else(header);
        let word = |at| u32_at(file, at).ok_or_else(header);

        let version = half(field::VERSION)?;
        if version < 0x202 || byte(field::LOADFLAGS)? & LOADED_HIGH == 0 {
            return Err(BootError::ProtocolTooOld { version });
        }
        // The field is a byte, and 0 means 4 for compatibility.
        let sectors = match byte(field::SETUP_SECTS)? {
            0 => 4,
            sectors => usize::from(sectors),
        };
        let payload = (sectors + 1) * SECTOR_BYTES;
        let payload_len = match version {
            0x204.. => u64::from(word(field::SYSSIZE)?) * PARAGRAPH,
            _ => 1, // a 16-bit field, too small for the kernels of the time
        };
        let needs = payload as u64 + payload_len;
        if payload_len == 0 {
            return Err(BootError::Malformed { what: "it has no protected-mode code" });
        }
        // The size is in paragraphs, and the last need not be whole: memtest86+'s is not.
        if has.saturating_add(PARAGRAPH - 1) < needs {
            return Err(truncated("protected-mode code", needs));
        }

        let since = |first: u16, value: Result<u32, BootError>, before: u32| match version {
            v if v >= first => value,
            _ => Ok(before),
        };
        let relocatable = version >= 0x205 && byte(field::RELOCATABLE_KERNEL)? != 0;
        let alignment = u64::from(since(0x205, word(field::KERNEL_ALIGNMENT), 1)?);
        if relocatable && !alignment.is_power_of_two() {
            return Err(BootError::Malformed { what: "its alignment is not a power of two" });
        }
        let preferred = match version {
            0x20a.. => u64_at(file, field::PREF_ADDRESS).ok_or_else(header)?,
            _ => MIB,
        };
        let load_address = if relocatable { preferred.max(MIB) } else { MIB };
        let runtime = if relocatable { align_up(load_address, alignment) } else { Some(preferred) };
        let init_size = u64::from(since(0x20a, word(field::INIT_SIZE), 0)?);
        let payload_end = load_address.checked_add((file.len() - payload) as u64);
        let runtime_end = runtime.and_then(|start| start.checked_add(init_size)).max(payload_end);
        let (Some(_), Some(runtime_end)) = (payload_end, runtime_end) else {
            return Err(BootError::Malformed { what: "its load address is impossible" });
        };
        Ok(Self {
            version,
            is_64_bit: version >= 0x20c && half(field::XLOADFLAGS)? & XLF_KERNEL_64 != 0,
            cmdline_size: since(0x206, word(field::CMDLINE_SIZE), OLD_CMDLINE_SIZE)?,
            initrd_addr_max: since(0x203, word(field::INITRD_ADDR_MAX), OLD_INITRD_MAX)?,
            load_address,
            runtime_end,
            payload,
            header_end: (field::MAGIC + usize::from(byte(field::JUMP_LENGTH)?)).min(field::LIMIT),
        })
    }
}

/// Loads kernel, initrd, command line and zero page. `header` is the one of the image.
pub(crate) fn load(
    boot: &KernelBoot<'_>,
    header: &LinuxHeader,
    memory_bytes: u64,
    memory: &mut GuestMemory,
) -> Result<Entry, BootError> {
    if header.is_64_bit && !boot.long_mode {
        return Err(BootError::NeedsLongMode);
    }
    let low_end = memory_map::low_memory_end(memory_bytes);
    if header.runtime_end > low_end {
        return Err(BootError::TooLittleMemory { needs: header.runtime_end, has: memory_bytes });
    }
    check_command_line(boot.cmdline, header)?;
    let initrd = match boot.initrd {
        Some(initrd) => place_initrd(initrd.len() as u64, header, low_end)?,
        None => 0,
    };

    memory.write(header.load_address, &boot.image[header.payload..]);
    memory.write(initrd, boot.initrd.unwrap_or_default());
    memory.write(low::COMMAND_LINE, boot.cmdline.as_bytes());
    let page = zero_page(boot, header, memory_bytes, initrd);
    memory.write(low::ZERO_PAGE, &page);
    if let Some(seed) = &boot.rng_seed {
        memory.write(low::SETUP_DATA, &seed_data(seed));
    }

    Ok(if header.is_64_bit {
        Entry::Linux64 { rip: header.load_address + ENTRY_64, zero_page: low::ZERO_PAGE }
    } else {
        // Both lie below the end of RAM, which is below 4 GiB.
        Entry::Linux32 { eip: header.load_address as u32, zero_page: low::ZERO_PAGE as u32 }
    })
}

fn check_command_line(cmdline: &str, header: &LinuxHeader) -> Result<(), BootError> {
    let max = header.cmdline_size.min(MAX_CMDLINE_SIZE) as usize;
    if cmdline.len() > max {
        return Err(BootError::CommandLineTooLong { len: cmdline.len(), max });
    }
    if cmdline.contains('\0') {
        return Err(BootError::CommandLineHasZero);
    }
    Ok(())
}

/// As high as the kernel allows, at a page border, clear of the kernel itself.
fn place_initrd(bytes: u64, header: &LinuxHeader, low_end: u64) -> Result<u64, BootError> {
    let end = low_end.min(u64::from(header.initrd_addr_max) + 1);
    let room = end.saturating_sub(header.runtime_end);
    let start = end.checked_sub(bytes).map(|start| start & !(PAGE_SIZE - 1));
    start
        .filter(|&start| start >= header.runtime_end)
        .ok_or(BootError::InitrdDoesNotFit { bytes, room })
}

fn zero_page(
    boot: &KernelBoot<'_>,
    header: &LinuxHeader,
    memory_bytes: u64,
    initrd: u64,
) -> Vec<u8> {
    let mut page = vec![0; PAGE_SIZE as usize];
    page[field::SETUP_SECTS..header.header_end]
        .copy_from_slice(&boot.image[field::SETUP_SECTS..header.header_end]);

    let extended_kib = (memory_map::low_memory_end(memory_bytes) - MIB) / 1024;
    put(&mut page, page_field::EXT_MEM_K, (extended_kib.min(0xfc00) as u16).to_le_bytes());
    put(&mut page, page_field::ALT_MEM_K, (extended_kib as u32).to_le_bytes());
    put(&mut page, page_field::ACPI_RSDP_ADDR, boot.rsdp.to_le_bytes());
    put(&mut page, field::VID_MODE, VIDEO_NORMAL.to_le_bytes());
    put(&mut page, field::TYPE_OF_LOADER, [UNDEFINED_LOADER]);
    put(&mut page, field::CODE32_START, (header.load_address as u32).to_le_bytes());
    put(&mut page, field::RAMDISK_IMAGE, (initrd as u32).to_le_bytes());
    let initrd_len = boot.initrd.map_or(0, |initrd| initrd.len() as u32);
    put(&mut page, field::RAMDISK_SIZE, initrd_len.to_le_bytes());
    put(&mut page, field::CMD_LINE_PTR, (low::COMMAND_LINE as u32).to_le_bytes());
    if boot.rng_seed.is_some() && header.version >= 0x209 {
        put(&mut page, field::SETUP_DATA, low::SETUP_DATA.to_le_bytes());
    }

    let map = memory_map::e820(memory_bytes);
    page[page_field::E820_ENTRIES] = map.len() as u8;
    for (number, range) in map.iter().enumerate() {
        let at = page_field::E820_TABLE + number * page_field::E820_ENTRY_BYTES;
        put(&mut page, at, range.start.to_le_bytes());
        put(&mut page, at + 8, range.len.to_le_bytes());
        put(&mut page, at + 16, (range.kind as u32).to_le_bytes());
    }
    page
}

/// A `struct setup_data` without a successor.
fn seed_data(seed: &[u8; 32]) -> Vec<u8> {
    let mut data = vec![0; 16];
    put(&mut data, 8, SETUP_RNG_SEED.to_le_bytes());
    put(&mut data, 12, (seed.len() as u32).to_le_bytes());
    data.extend(seed);
    data
}

#[cfg(test)]
pub(crate) mod tests;
