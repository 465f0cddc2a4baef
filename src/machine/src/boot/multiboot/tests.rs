//! Loading small multiboot kernels of our own, in both formats.

use super::*;
use crate::Devices;
use crate::acpi::Described;
use crate::boot::{Boot, Circumstances, load};
use crate::memory_map::MIB;
use crate::memory_map::Sizes;

fn header(flags: u32) -> Vec<u8> {
    let checksum = 0_u32.wrapping_sub(HEADER_MAGIC.wrapping_add(flags));
    [HEADER_MAGIC, flags, checksum].iter().flat_map(|field| field.to_le_bytes()).collect()
}

/// An ELF kernel for 1 MiB: headers, multiboot header, code.
pub(in crate::boot) fn kernel(code: &[u8]) -> Vec<u8> {
    let contents = [header(0x3), code.to_vec()].concat();
    elf::tests::executable(0x10_0000, 0x10_0000, 0x10_0060, &contents)
}

/// A kernel of no format: the header says it is loaded at 1 MiB from byte 4 on.
fn by_address(code: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 8];
    file.extend(header(HAS_ADDRESSES));
    for field in [0x10_0004_u32, 0x10_0000, 0, 0x10_2000, 0x10_0024] {
        file.extend(field.to_le_bytes());
    }
    file.extend(code);
    file
}

fn start(image: &[u8], initrd: Option<&[u8]>) -> Result<(GuestMemory, Entry), BootError> {
    let circumstances = Circumstances {
        sizes: Sizes { ram: 4 * MIB, disk: 0, monitor: 0 },
        long_mode: false,
        rng_seed: None,
        described: Described { devices: Devices::NONE, apics: false },
    };
    load(&Boot::Kernel { image, initrd, cmdline: "one two" }, &circumstances)
}

fn word(memory: &GuestMemory, address: u32) -> u32 {
    let mut bytes = [0; 4];
    memory.read(u64::from(address), &mut bytes);
    u32::from_le_bytes(bytes)
}

fn text<const N: usize>(memory: &GuestMemory, address: u32) -> [u8; N] {
    let mut bytes = [0; N];
    memory.read(u64::from(address), &mut bytes);
    bytes
}

#[test]
fn an_elf_kernel_is_loaded_and_told_about_the_machine() {
    let (memory, entry) = start(&kernel(&[0xf4; 8]), Some(&[0x77; 100])).unwrap();

    let Entry::Multiboot { eip, information } = entry else { panic!("{entry:?}") };
    assert_eq!(eip, 0x10_0060);
    assert_eq!(text(&memory, eip), [0xf4; 8]);
    assert_eq!(word(&memory, information), 0x24d, "flags");
    assert_eq!(word(&memory, information + 4), 639, "KiB of base memory");
    assert_eq!(word(&memory, information + 8), 3072, "KiB from 1 MiB on");
    assert_eq!(&text(&memory, word(&memory, information + 16)), b"one two\0");
    assert_eq!(&text(&memory, word(&memory, information + 64)), b"Cutaway\0");
    let (length, map) = (word(&memory, information + 44), word(&memory, information + 48));
    let last = map + length - 24;
    assert_eq!(
        [0, 4, 12, 20].map(|field| word(&memory, last + field)),
        [20, 0x10_0000, 0x30_0000, 1],
        "size, base, length, type"
    );
}

#[test]
fn the_module_lies_behind_the_kernel_at_a_page() {
    let image = kernel(&[0xf4; 8]);
    let (memory, entry) = start(&image, Some(&[0x77; 100])).unwrap();

    let Entry::Multiboot { information, .. } = entry else { panic!("{entry:?}") };
    assert_eq!(word(&memory, information + 20), 1, "mods_count");
    let module = word(&memory, information + 24);
    assert_eq!((word(&memory, module), word(&memory, module + 4)), (0x10_2000, 0x10_2064));
    assert_eq!(text(&memory, 0x10_2000), [0x77; 100]);
    let too_much = vec![0; 3 << 20];
    assert!(matches!(start(&image, Some(&too_much)), Err(BootError::InitrdDoesNotFit { .. })));
}

#[test]
fn a_kernel_may_give_its_addresses_itself() {
    let (memory, entry) = start(&by_address(&[0xf4; 8]), None).unwrap();

    let Entry::Multiboot { eip, information } = entry else { panic!("{entry:?}") };
    assert_eq!(eip, 0x10_0024);
    assert_eq!(text(&memory, eip), [0xf4; 8]);
    assert_eq!(word(&memory, 0x10_0004), HEADER_MAGIC);
    assert_eq!(word(&memory, information + 20), 0, "mods_count");
}

#[test]
fn unknown_requirements_are_refused_by_number() {
    let mut image = kernel(&[0xf4; 8]);
    let at = image.len() - 8 - 12;
    image.splice(at..at + 12, header(0x7));

    let error = start(&image, None).err().map(|error| error.to_string());
    assert_eq!(
        error.as_deref(),
        Some("the multiboot kernel requires features 0x4, which this loader does not have")
    );
}

#[test]
fn a_kernel_outside_memory_is_refused() {
    let contents = header(0);
    let elsewhere = |address| elf::tests::executable(address, address, address, &contents);

    assert!(matches!(
        start(&elsewhere(0x3f_f000), None),
        Err(BootError::TooLittleMemory { has: 0x40_0000, .. })
    ));
    assert!(matches!(
        start(&elsewhere(0xb_8000), None),
        Err(BootError::NoMemoryThere { start: 0xb_8000 })
    ));
}

/// A kernel in base memory keeps what it loaded: the information goes elsewhere.
#[test]
fn the_information_avoids_the_kernel() {
    let low = elf::tests::executable(0x1000, 0x1000, 0x1060, &header(0));
    let (memory, entry) = start(&low, None).unwrap();

    let Entry::Multiboot { information, .. } = entry else { panic!("{entry:?}") };
    assert_eq!(information, 0x3000, "the kernel ends at 0x2060");
    assert_eq!(text(&memory, 0x1000), *b"\x7fELF");
}
