//! What a machine can be started with: kernels with damaged headers, ROMs of any size, initial
//! RAM disks, command lines, amounts of memory. None may panic or ask for much memory; what is
//! accepted must run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::noise::Noise;
use cutaway::{Boot, Config, CpuModel, Input, Machine, OnReset};

const MIB: u64 = 1 << 20;
/// Ticks that a machine gets when its image was accepted.
const TICKS: u64 = 3000;
/// `e_phoff` and the size of a program header in a 32-bit ELF file.
const ELF_HEADER: usize = 52;
const PROGRAM_HEADER: usize = 32;

/// Starts a machine from the image of a seed.
///
/// # Errors
/// With what was started, if that panics.
pub fn run(seed: u64) -> Result<bool, String> {
    let mut noise = Noise::new(seed);
    let (kind, mut image): (_, Vec<u8>) = match noise.below(4) {
        0 => ("Linux", linux(&mut noise)),
        1 => ("multiboot", multiboot(&mut noise)),
        2 => ("ELF", elf(&mut noise)),
        _ => ("ROM", rom(&mut noise)),
    };
    if kind != "ROM" && !noise.once_in(8) {
        noise.damage(&mut image, 0x280);
    }
    let attempt = catch_unwind(AssertUnwindSafe(|| start(&mut noise, &image, kind == "ROM")));
    attempt.map_err(|_| format!("seed {seed}: a {kind} image of {} bytes panics", image.len()))
}

fn start(noise: &mut Noise, image: &[u8], is_rom: bool) -> bool {
    let models: Vec<_> = CpuModel::names().filter_map(CpuModel::by_name).collect();
    let megabytes = noise.pick(&[1, 2, 16, 128, 3000, 4096]);
    let mut memory_bytes = megabytes * MIB;
    if noise.once_in(16) {
        memory_bytes = noise.edge();
    }
    let initrd_bytes = noise.pick(&[0, 1, 0xfff, 0x1000, 0x1001, 0x1f_0000]);
    let initrd = vec![0x55; initrd_bytes];
    let initrd = noise.once_in(2).then_some(initrd.as_slice());
    let letters = noise.pick(&[0, 1, 20, 255, 2047, 2048, 0xffff, 0x1_0000, 0x2_0000]);
    let cmdline = noise.pick(&["a", "é", "\0", " "]).repeat(letters);
    let seeded = noise.once_in(2).then_some([7; 32]);
    let mut config = Config::new(noise.pick(&models));
    config.memory_bytes = memory_bytes;
    config.rng_seed = seeded;
    config.on_reset = OnReset::Stop;
    if noise.once_in(16) {
        config.ips = noise.edge();
        config.rtc_start = noise.edge() as i64;
    }
    let boot =
        if is_rom { Boot::Rom(image) } else { Boot::Kernel { image, initrd, cmdline: &cmdline } };
    let Ok(mut machine) = Machine::new(config, &boot) else { return false };
    for _ in 0..4 {
        let port = noise.below(5) as usize;
        let bytes = noise.bytes(8);
        machine.input(&match noise.below(3) {
            0 => Input::Serial { port, bytes },
            1 => Input::Key(bytes),
            _ => Input::PowerButton,
        });
        machine.run_until(machine.ticks().saturating_add(TICKS));
    }
    machine.state_hash().is_ok()
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A bzImage that would be accepted: a setup sector, and code with the 64-bit entry point.
fn linux(noise: &mut Noise) -> Vec<u8> {
    let mut image = noise.bytes(0x2000);
    image[0x1f1] = noise.pick(&[0, 1, 1, 4]);
    put(&mut image, 0x1f4, &(0x180_u32).to_le_bytes());
    put(&mut image, 0x1fe, &[0x55, 0xaa, 0xeb, 0x66]);
    put(&mut image, 0x202, b"HdrS");
    put(&mut image, 0x206, &noise.pick(&[0x200_u16, 0x204, 0x20a, 0x20f]).to_le_bytes());
    image[0x211] = 1;
    put(&mut image, 0x214, &0x10_0000_u32.to_le_bytes());
    put(&mut image, 0x22c, &0x7fff_ffff_u32.to_le_bytes());
    put(&mut image, 0x230, &0x1000_u32.to_le_bytes());
    put(&mut image, 0x234, &[1, 21, 1, 0]);
    put(&mut image, 0x238, &2047_u32.to_le_bytes());
    image[0x240..0x258].fill(0);
    put(&mut image, 0x258, &0x10_0000_u64.to_le_bytes());
    put(&mut image, 0x260, &0x10_0000_u32.to_le_bytes());
    image
}

fn multiboot_header(flags: u32) -> Vec<u8> {
    const MAGIC: u32 = 0x1bad_b002;
    let checksum = 0_u32.wrapping_sub(MAGIC).wrapping_sub(flags);
    [MAGIC, flags, checksum].into_iter().flat_map(u32::to_le_bytes).collect()
}

/// A multiboot kernel that gives its addresses.
fn multiboot(noise: &mut Noise) -> Vec<u8> {
    let mut image = multiboot_header(1 << 16 | noise.below(8) as u32);
    let at = 0x10_0000_u32;
    for field in [at, at, at + 0x800, at + 0x1000, at + 32] {
        image.extend(field.to_le_bytes());
    }
    image.extend(noise.bytes(0x1000));
    image
}

/// A multiboot kernel in an ELF file with several segments.
fn elf(noise: &mut Noise) -> Vec<u8> {
    let count = 1 + noise.below(4) as usize;
    let mut image = b"\x7fELF\x01\x01\x01".to_vec();
    image.resize(16, 0);
    image.extend([2, 0, 3, 0, 1, 0, 0, 0]); // an executable, i386, version 1
    let words = [0x10_0000, ELF_HEADER as u32, 0, 0];
    image.extend(words.into_iter().flat_map(u32::to_le_bytes));
    let halves = [ELF_HEADER as u16, PROGRAM_HEADER as u16, count as u16, 0, 0, 0];
    image.extend(halves.into_iter().flat_map(u16::to_le_bytes));
    for n in 0..count as u32 {
        let address = 0x10_0000 + n * 0x1000;
        let fields = [1, 0x200, address, address, 0x400, 0x800, 7, 0x1000];
        image.extend(fields.into_iter().flat_map(u32::to_le_bytes));
    }
    image.extend(multiboot_header(0));
    image.resize(0x200, 0);
    image.extend(noise.bytes(0x1000));
    if noise.once_in(2) {
        // Fields of the program headers to the extreme, one at a time.
        let at = ELF_HEADER + 4 * noise.below(8 * count as u64) as usize;
        put(&mut image, at, &(noise.edge() as u32).to_le_bytes());
    }
    image
}

fn rom(noise: &mut Noise) -> Vec<u8> {
    let len = noise.pick(&[0, 1, 15, 16, 0x1000, 0x1001, 0x2_0000, 0x4_0000, 0x10_0000]);
    let mut rom = noise.bytes(len);
    if len >= 0x1000 {
        // The reset vector jumps to somewhere in the last 64 KiB.
        put(&mut rom, len - 16, &[0xe9, noise.next() as u8, 0xf8]);
    }
    rom
}
