//! The memory map of the board: where RAM and ROM lie, and what software is told about it.
//!
//! ```text
//! 0000_0000 - 0009_ffff   RAM (640 KiB); software is told to keep off its last KiB, the EBDA
//! 000a_0000 - 000d_ffff   device memory; nobody drives it yet
//! 000e_0000 - 000f_ffff   the end of the ROM; RAM with the ACPI tables if a kernel is booted directly
//! 0010_0000 - bfff_ffff   RAM
//! c000_0000 - ffff_ffff   device memory: virtio devices from feb0_0000 on, APICs at fec0_0000 and fee0_0000 if
//!                         the CPU has one; the ROM ends at ffff_ffff
//! 1_0000_0000 -           RAM beyond 3 GiB
//! ```
//! As on a PC, the RAM that device memory hides between 640 KiB and 1 MiB is lost, and what
//! does not fit below 3 GiB goes on at 4 GiB.
//!
//! Sources: Intel 440FX datasheet §3.3, "Memory Map"; ACPI 6.5 §15, "System Address Map
//! Interfaces" (E820).
//! Not modelled: the PAM registers, by which a chipset shadows the ROM in RAM.

use cutaway_memory::{Backing, GuestMemory, MemoryError, PAGE_SIZE};

/// 1 KiB.
pub(crate) const KIB: u64 = 1024;
/// 1 MiB.
pub(crate) const MIB: u64 = 1024 * KIB;
/// 1 GiB.
pub(crate) const GIB: u64 = 1024 * MIB;

/// Where RAM below 1 MiB ends and device memory begins.
pub(crate) const BASE_MEMORY_END: u64 = 0xa_0000;
/// The extended BIOS data area: the last KiB of base memory.
pub(crate) const EBDA: u64 = BASE_MEMORY_END - KIB;
/// Where RAM above the device hole begins.
pub(crate) const EXTENDED_MEMORY: u64 = MIB;
/// The largest window that shows the ROM below 1 MiB.
pub(crate) const ROM_WINDOW_BYTES: u64 = 128 * KIB;
/// Where the ACPI tables of a directly booted kernel lie, up to 1 MiB.
pub(crate) const TABLES: u64 = 0xf_0000;
/// Where RAM gives way to device memory below 4 GiB.
const HOLE: u64 = 3 * GIB;
const FOUR_GIB: u64 = 4 * GIB;

/// The least RAM a machine can have.
pub const MIN_MEMORY: u64 = MIB;
/// The most RAM a machine can have: with the hole it ends at 2^36, what every 64-bit model
/// can address.
pub const MAX_MEMORY: u64 = 63 * GIB;

/// What a range of the E820 map is; the numbers are those of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum RangeKind {
    /// RAM that the operating system may use.
    Usable = 1,
    /// Not for the operating system.
    Reserved = 2,
}

/// A range of the E820 map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) kind: RangeKind,
}

/// End of the RAM below 4 GiB of a machine with this much memory.
pub(crate) fn low_memory_end(memory_bytes: u64) -> u64 {
    memory_bytes.min(HOLE)
}

/// Length of the RAM from 4 GiB on.
pub(crate) fn high_memory_bytes(memory_bytes: u64) -> u64 {
    memory_bytes.saturating_sub(HOLE)
}

/// RAM alone: base memory, extended memory, and what lies above 4 GiB.
fn ram(memory_bytes: u64) -> impl Iterator<Item = (u64, u64)> {
    let extended = low_memory_end(memory_bytes).saturating_sub(EXTENDED_MEMORY);
    let high = high_memory_bytes(memory_bytes);
    [(0, BASE_MEMORY_END), (EXTENDED_MEMORY, extended), (FOUR_GIB, high)]
        .into_iter()
        .filter(|&(_, len)| len > 0)
}

/// How much memory of each kind a machine has, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) ram: u64,
    /// The medium of the disk, which no address leads to.
    pub(crate) disk: u64,
    /// What a monitor has for itself, behind all that the guest can reach.
    pub(crate) monitor: u64,
}

/// Guest memory with a ROM, which ends at 4 GiB and whose end shows below 1 MiB.
pub(crate) fn with_rom(sizes: Sizes, image: &[u8]) -> Result<GuestMemory, MemoryError> {
    let len = image.len() as u64;
    let mut memory = GuestMemory::new(capacity(sizes, Some(len)))?;
    add_ram(&mut memory, sizes.ram)?;
    memory.add_rom(FOUR_GIB - len, image)?;
    add_rom_window(&mut memory, len)?;
    Ok(memory)
}

/// Guest memory without a ROM: there is RAM in its place below 1 MiB, for the ACPI tables.
pub(crate) fn without_rom(sizes: Sizes) -> Result<GuestMemory, MemoryError> {
    of_backing(sizes, None, Backing::new(capacity(sizes, None) as usize)?)
}

/// Guest memory over a backing that holds all bytes already; it has [`capacity`] bytes.
pub(crate) fn of_backing(
    sizes: Sizes,
    rom_bytes: Option<u64>,
    backing: Backing,
) -> Result<GuestMemory, MemoryError> {
    let mut memory = GuestMemory::over(backing);
    add_ram(&mut memory, sizes.ram)?;
    match rom_bytes {
        Some(len) => {
            memory.add_rom_of_backing(FOUR_GIB - len, len)?;
            add_rom_window(&mut memory, len)?;
        }
        None => memory.add_ram(MIB - ROM_WINDOW_BYTES, ROM_WINDOW_BYTES)?,
    }
    Ok(memory)
}

/// Bytes of the backing: all RAM, the ROM or what lies in its place, the disk's, and the monitor's.
pub(crate) fn capacity(sizes: Sizes, rom_bytes: Option<u64>) -> u64 {
    let ram = ram(sizes.ram).map(|(_, len)| len).sum::<u64>();
    ram + rom_bytes.unwrap_or(ROM_WINDOW_BYTES) + sizes.disk + sizes.monitor
}

fn add_ram(memory: &mut GuestMemory, memory_bytes: u64) -> Result<(), MemoryError> {
    debug_assert!(memory_bytes.is_multiple_of(PAGE_SIZE), "the configuration was checked");
    ram(memory_bytes).try_for_each(|(start, len)| memory.add_ram(start, len))
}

fn add_rom_window(memory: &mut GuestMemory, rom_bytes: u64) -> Result<(), MemoryError> {
    let window = rom_bytes.min(ROM_WINDOW_BYTES);
    memory.add_alias(MIB - window, FOUR_GIB - window, window)
}

/// The E820 map for a kernel that is booted directly.
pub(crate) fn e820(memory_bytes: u64) -> Vec<Range> {
    let reserved = |start, len| Range { start, len, kind: RangeKind::Reserved };
    let usable = |start, len| Range { start, len, kind: RangeKind::Usable };
    let mut map = vec![
        usable(0, EBDA),
        reserved(EBDA, BASE_MEMORY_END - EBDA),
        reserved(TABLES, MIB - TABLES),
    ];
    map.extend(ram(memory_bytes).skip(1).map(|(start, len)| usable(start, len)));
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_memory::PageKind;

    #[test]
    fn memory_beyond_3_gib_goes_on_at_4_gib() {
        let ranges: Vec<_> = ram(4 * GIB).collect();

        assert_eq!(ranges, [(0, 0xa_0000), (MIB, 3 * GIB - MIB), (4 * GIB, GIB)]);
        assert_eq!(low_memory_end(4 * GIB), 0xc000_0000);
    }

    #[test]
    fn one_mib_is_base_memory_alone() {
        assert_eq!(ram(MIB).collect::<Vec<_>>(), [(0, 0xa_0000)]);
    }

    #[test]
    fn a_rom_ends_below_4_gib_and_shows_below_1_mib() {
        let mut image = vec![0x11; 256 * 1024];
        image[256 * 1024 - 16] = 0x22;
        image[128 * 1024] = 0x33;
        let memory = with_rom(Sizes { ram: MIB, disk: 0, monitor: 0 }, &image).unwrap();

        let byte = |address| {
            let mut byte = [0];
            memory.read(address, &mut byte);
            byte[0]
        };
        assert_eq!(byte(0xffff_fff0), 0x22);
        assert_eq!(byte(0xf_fff0), 0x22);
        assert_eq!(byte(0xe_0000), 0x33);
        assert_eq!(byte(0xfffc_0000), 0x11);
        assert_eq!(byte(0xd_ffff), 0xff, "device memory that nobody drives");
        assert_eq!(memory.page(0xa_0000), PageKind::Device);
    }

    #[test]
    fn a_rom_of_one_page_shows_at_the_top_alone() {
        let memory = with_rom(Sizes { ram: MIB, disk: 0, monitor: 0 }, &[0x11; 4096]).unwrap();

        assert!(matches!(memory.page(0xf_f000), PageKind::Rom(_)));
        assert_eq!(memory.page(0xf_e000), PageKind::Device);
    }

    #[test]
    fn e820_covers_each_byte_once_and_all_usable_ranges_are_ram() {
        let memory = without_rom(Sizes { ram: 5 * GIB, disk: 0, monitor: 0 }).unwrap();

        let map = e820(5 * GIB);
        for pair in map.windows(2) {
            assert!(pair[0].start + pair[0].len <= pair[1].start, "{pair:?}");
        }
        for range in map {
            assert!(memory.is_ram(range.start, range.len), "{range:?}");
        }
    }
}
