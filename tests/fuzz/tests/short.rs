//! The fuzzers for some seconds, from fixed seeds. The long run is the program; see the README.

use cutaway_fuzz::lockstep::Case;
use cutaway_fuzz::{images, states};

/// Enough cases for some seconds; a tenth where everything is checked and little is optimised.
const fn share(cases: u64) -> u64 {
    if cfg!(debug_assertions) { cases / 10 } else { cases }
}

/// Guests run whole, in slices and tick by tick come out equal, and keep their budget.
#[test]
fn guests_of_noise_come_out_equal_however_they_are_run() {
    let mut ticks = 0;
    for seed in 0..share(600) {
        ticks += Case::new(seed).run().unwrap_or_else(|message| panic!("{message}"));
    }

    assert!(ticks > share(600) * 20, "guests live for more than some ticks: {ticks}");
}

/// No image breaks the loader or the machine, and the shaped noise gets in often enough to count.
#[test]
fn images_of_noise_are_refused_or_run() {
    let mut accepted = 0;
    for seed in 0..share(3000) {
        accepted += u64::from(images::run(seed).unwrap_or_else(|message| panic!("{message}")));
    }

    assert!(accepted > share(3000) / 10, "{accepted} images accepted");
}

#[test]
fn states_of_noise_are_refused_or_read() {
    let sound = states::sound();
    let mut accepted = 0;
    for seed in 0..share(20_000) {
        accepted += u64::from(states::run(seed, &sound).unwrap_or_else(|m| panic!("{m}")));
    }

    assert!(accepted > share(20_000) / 20, "{accepted} states accepted");
}

/// All of it in little memory: nothing is reserved for what a header says. The peak of the whole
/// process counts, so this holds for all tests here.
#[test]
#[cfg(target_os = "linux")]
fn files_of_noise_take_no_memory() {
    const LIMIT_KIB: u64 = 400 << 10;
    let sound = states::sound();

    for seed in 0..share(1000) {
        images::run(seed).unwrap_or_else(|message| panic!("{message}"));
        states::run(seed, &sound).unwrap_or_else(|message| panic!("{message}"));
    }

    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux has it");
    let peak: u64 = line.split_ascii_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    assert!((1..LIMIT_KIB).contains(&peak), "{line}");
}
