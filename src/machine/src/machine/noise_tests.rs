//! Noise as ROM and as kernel: whatever the guest does, the machine neither panics nor hangs.

use super::*;
use cutaway_cpu::CpuModel;

/// Instructions that each guest of noise may run.
const TICKS: u64 = 1_000_000;
/// Guests of each kind.
const GUESTS: u64 = 12;

/// Marsaglia's xorshift64, so that a failure repeats.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// The limit holds, and what stopped the guest is stable: a second look changes nothing.
fn run(model: &str, seed: u64, boot: &Boot<'_>) {
    println!("{model}, seed {seed}");
    let cpu = CpuModel::by_name(model).expect("the model is there");
    let config = Config { on_reset: OnReset::Stop, ..Config::new(cpu) };
    let Ok(mut machine) = Machine::new(config, boot) else { panic!("the image is sound") };
    for _ in 0..100 {
        machine.run_until(TICKS);
        assert!(machine.ticks() <= TICKS + 1000, "at most a bus cycle too far");
    }
    machine.state_hash().unwrap();
}

#[test]
fn noise_as_rom_is_survived() {
    for seed in 1..=GUESTS {
        for model in ["486", "x86-64-v2"] {
            run(model, seed, &Boot::Rom(&noise(seed, 0x1_0000)));
        }
    }
}

/// A multiboot header and noise at the entry point, in 32-bit mode.
#[test]
fn noise_as_multiboot_kernel_is_survived() {
    for seed in 1..=GUESTS {
        let (magic, flags) = (0x1bad_b002_u32, 0x0001_0000_u32);
        let checksum = 0_u32.wrapping_sub(magic + flags);
        let addresses = [0x10_0000, 0x10_0000, 0, 0, 0x10_0020];
        let fields = [magic, flags, checksum].into_iter().chain(addresses);
        let mut image: Vec<u8> = fields.flat_map(u32::to_le_bytes).collect();
        image.extend(noise(seed, 0x1_0000));

        run("pentium3", seed, &Boot::Kernel { image: &image, initrd: None, cmdline: "" });
    }
}

/// A Linux header and noise at the 64-bit entry point.
#[test]
fn noise_as_linux_kernel_is_survived() {
    for seed in 1..=GUESTS {
        let mut image = crate::boot::small_linux_kernel();
        let code = image.len() - 2048;
        image[code..].copy_from_slice(&noise(seed, 2048));

        run("x86-64-v2", seed, &Boot::Kernel { image: &image, initrd: None, cmdline: "" });
    }
}
