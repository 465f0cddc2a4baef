//! Every image is hostile: cut anywhere, bytes changed anywhere, or noise from end to end.

use super::linux::tests::bz_image;
use super::multiboot::tests::kernel as multiboot_kernel;
use super::*;
use crate::Devices;
use crate::acpi::Described;
use crate::memory_map::MIB;
use crate::memory_map::Sizes;

/// Marsaglia's xorshift64, so that a failure repeats.
struct Bytes(u64);

impl Bytes {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// Values at which arithmetic on fields goes wrong.
const EXTREMES: [u8; 4] = [0x00, 0x7f, 0x80, 0xff];

const SMALL: Circumstances = Circumstances {
    sizes: Sizes { ram: 4 * MIB, disk: 0, monitor: 0 },
    long_mode: true,
    rng_seed: Some([7; 32]),
    described: Described { devices: Devices::NONE, apics: false },
};

fn boot(image: &[u8]) -> Result<(GuestMemory, Entry), BootError> {
    load(&Boot::Kernel { image, initrd: Some(&[1; 5000]), cmdline: "quiet" }, &SMALL)
}

/// Every field of the headers gets extreme bytes in turn; each outcome but a panic is right.
fn change_every_byte(image: &[u8], headers: std::ops::Range<usize>) {
    for at in headers {
        for value in EXTREMES {
            for width in [1, 2, 4, 8] {
                let mut changed = image.to_vec();
                let end = (at + width).min(changed.len());
                changed[at..end].fill(value);
                let _ = boot(&changed);
            }
        }
    }
}

#[test]
fn a_linux_header_of_extremes_is_survived() {
    let image = bz_image();
    assert!(boot(&image).is_ok());
    change_every_byte(&image, 0x1f0..0x268);
}

#[test]
fn a_multiboot_header_of_extremes_is_survived() {
    let image = multiboot_kernel(&[0xf4; 64]);
    assert!(boot(&image).is_ok());
    change_every_byte(&image, 0..image.len());
}

#[test]
fn every_truncation_is_survived() {
    for image in [bz_image(), multiboot_kernel(&[0xf4; 64])] {
        for len in 0..image.len().min(4096) {
            let _ = boot(&image[..len]);
        }
    }
}

#[test]
fn noise_is_no_kernel() {
    let mut bytes = Bytes(0x1234_5678_9abc_def0);
    for len in [0, 1, 11, 12, 511, 512, 0x1ff, 0x202, 0x206, 0x268, 8191, 8192, 100_000] {
        assert!(matches!(boot(&bytes.take(len)), Err(BootError::NotAKernel)), "{len} bytes");
    }
}

/// Noise behind sound magic numbers reaches the parsers themselves.
#[test]
fn noise_behind_the_magic_is_survived() {
    let mut bytes = Bytes(0x0bad_cafe_0000_0001);
    for _ in 0..2000 {
        let mut linux = bytes.take(4096);
        linux[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
        linux[0x202..0x206].copy_from_slice(b"HdrS");
        let _ = boot(&linux);

        let mut multiboot = bytes.take(4096);
        let flags = (bytes.next() as u32) & 0x0001_0003;
        for (at, field) in
            [(0, 0x1bad_b002), (4, flags), (8, 0_u32.wrapping_sub(0x1bad_b002 + flags))]
        {
            multiboot[at..at + 4].copy_from_slice(&u32::to_le_bytes(field));
        }
        let _ = boot(&multiboot);
    }
}

#[test]
fn a_rom_is_whole_pages() {
    let rom = |len: usize| load(&Boot::Rom(&vec![0xf4; len]), &SMALL);

    assert!(rom(4096).is_ok());
    assert!(rom(16 << 20).is_ok());
    for len in [0, 1, 4095, 4097, (16 << 20) + 4096] {
        assert!(matches!(rom(len), Err(BootError::RomSize { .. })), "{len} bytes");
    }
}

#[test]
fn a_refusal_is_one_clear_sentence() {
    let no_kernel = boot(b"#!/bin/sh\n").err().map(|error| error.to_string());
    assert_eq!(
        no_kernel.as_deref(),
        Some("the file is no kernel: it is neither a Linux bzImage nor a multiboot kernel")
    );
    let image = bz_image();
    // The header counts paragraphs of 16 bytes: 3072 stands for any length that ends in the last.
    assert!(boot(&image[..3057]).is_ok());
    assert!(boot(&image[..3056]).is_err());
    let truncated = boot(&image[..1024]).err().map(|error| error.to_string());
    assert_eq!(
        truncated.as_deref(),
        Some(
            "the kernel is truncated: its protected-mode code ends at byte 3072, the file has 1024"
        )
    );
}
