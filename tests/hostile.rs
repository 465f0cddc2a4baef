//! Guests that are noise: no machine panics, hangs, or runs past its limit, whatever the bytes.
//!
//! Each guest gets a million instructions. The noise comes from a counter, so a failure repeats;
//! the message names the seed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cutaway::{Boot, Config, Machine, Stop};
use cutaway_tests::guest::{cpu_models, usual_config};

const INSTRUCTIONS: u64 = 1_000_000;
/// A guest may pass time without instructions: halted, or in one exception after the other.
const TICKS: u64 = 4 * INSTRUCTIONS;
const MIB: u64 = 1 << 20;

/// `SplitMix64` (Steele, Lea, Flood 2014): noise from a seed.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(len);
        bytes
    }
}

/// Runs a guest to its end or the limit; a panic is reported with its seed.
fn run(seed: u64, boot: &Boot<'_>, memory_bytes: u64) {
    let models = cpu_models();
    let cpu = models[seed as usize % models.len()];
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let config = Config { memory_bytes, ..Config::new(cpu) };
        let Ok(mut machine) = Machine::new(config, boot) else { return };
        loop {
            let (stats, ticks) = (machine.stats(), machine.ticks());
            if stats.instructions >= INSTRUCTIONS || ticks >= TICKS {
                break;
            }
            let limit = ticks + (INSTRUCTIONS - stats.instructions);
            if !matches!(machine.run_until(limit), Stop::Limit) {
                break;
            }
            let instructions = machine.instructions();
            assert!(instructions <= INSTRUCTIONS, "{instructions} instructions, past the limit");
        }
        machine.state_hash().expect("all state can be encoded");
    }));
    assert!(attempt.is_ok(), "the guest of seed {seed} on {} broke the machine", cpu.name());
}

/// The noise, without the bytes that a random ROM would die of in its first instruction: the
/// reset vector jumps to the ROM's start.
#[test]
fn noise_as_rom_breaks_nothing() {
    for seed in 0..48 {
        let mut rom = Noise(seed).bytes(0x1_0000);
        if seed % 4 != 0 {
            rom[0xfff0..0xfff3].copy_from_slice(&[0xe9, 0x0d, 0x00]);
        }
        run(seed, &Boot::Rom(&rom), 2 * MIB);
    }
}

#[test]
fn noise_as_kernel_is_refused() {
    for seed in 0..200 {
        let image = Noise(seed).bytes(1 + seed as usize * 100);
        let boot = Boot::Kernel { image: &image, initrd: None, cmdline: "" };
        assert!(Machine::new(usual_config(), &boot).is_err(), "seed {seed}");
    }
}

/// Noise behind a multiboot header that gives its addresses: 32-bit protected mode.
#[test]
fn noise_as_multiboot_kernel_breaks_nothing() {
    const MAGIC: u32 = 0x1bad_b002;
    const HAS_ADDRESSES: u32 = 1 << 16;
    for seed in 0..48 {
        let mut image = Vec::new();
        let checksum = 0_u32.wrapping_sub(MAGIC).wrapping_sub(HAS_ADDRESSES);
        let at = 0x10_0000;
        for field in [MAGIC, HAS_ADDRESSES, checksum, at, at, 0, 0, at + 32] {
            image.extend_from_slice(&field.to_le_bytes());
        }
        image.extend(Noise(seed).bytes(0x1_0000));
        let boot = Boot::Kernel { image: &image, initrd: None, cmdline: "noise" };
        run(seed, &boot, 4 * MIB);
    }
}

/// Noise behind a Linux setup header with a 64-bit entry point: long mode, paging on.
#[test]
fn noise_as_linux_kernel_breaks_nothing() {
    for seed in 0..48 {
        let mut image = Noise(seed).bytes(0x1_0000);
        image[0x1f1] = 1;
        image[0x1fe..0x202].copy_from_slice(&[0x55, 0xaa, 0xeb, 0x66]);
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
        image[0x211] = 1;
        image[0x1f4..0x1f8].copy_from_slice(&0xfc0_u32.to_le_bytes());
        image[0x214..0x218].copy_from_slice(&0x10_0000_u32.to_le_bytes());
        image[0x22c..0x234].copy_from_slice(&0x1000_0000_7fff_ffff_u64.to_le_bytes());
        image[0x234..0x238].copy_from_slice(&[1, 21, 1, 0]);
        image[0x238..0x23c].copy_from_slice(&2047_u32.to_le_bytes());
        image[0x240..0x258].fill(0);
        image[0x258..0x260].copy_from_slice(&0x10_0000_u64.to_le_bytes());
        image[0x260..0x264].copy_from_slice(&0x10_0000_u32.to_le_bytes());
        let boot = Boot::Kernel { image: &image, initrd: Some(b"noise"), cmdline: "noise" };
        run(seed, &boot, 16 * MIB);
    }
}

/// Each field of a header at its extremes.
#[test]
fn damaged_headers_are_refused_or_run() {
    let path = cutaway_tests::workspace_root().join("test-roms/kernel.bin");
    let kernel = std::fs::read(path).unwrap();
    for seed in 0..300 {
        let mut noise = Noise(seed);
        let mut image = kernel.clone();
        for _ in 0..1 + seed % 4 {
            let at = noise.next() as usize % 512.min(image.len());
            image[at] = noise.next() as u8;
        }
        image.truncate(1 + noise.next() as usize % (2 * image.len()));
        let boot = Boot::Kernel { image: &image, initrd: None, cmdline: "" };
        let attempt = catch_unwind(|| Machine::new(usual_config(), &boot).is_ok());
        assert!(attempt.is_ok(), "the header of seed {seed} broke the loader");
    }
}
