//! Shares, caps, sleep and rest of guests that count or end.

use super::*;
use crate::{Boot, Config, CpuModel, OnReset};

/// A guest that runs these bytes from the reset vector on.
pub(super) fn guest(code: &[u8]) -> Machine {
    let mut image = vec![0xf4; 4096];
    image[0xff0..0xff0 + code.len()].copy_from_slice(code);
    let cpu = CpuModel::by_name("x86-64-v2").unwrap();
    let config = Config { memory_bytes: 1 << 20, on_reset: OnReset::Stop, ..Config::new(cpu) };
    Machine::new(config, &Boot::Rom(&image)).unwrap()
}

/// JMP to itself.
pub(super) const BUSY: &[u8] = &[0xeb, 0xfe];

pub(super) fn run(host: &mut Host, ticks: u64) {
    while host.now() < ticks && host.step().is_some() {}
}

#[test]
fn shares_of_1_2_and_4_are_kept_within_2_percent() {
    let mut host = Host::new();
    for shares in [1, 2, 4] {
        host.add("busy", guest(BUSY), Share { shares, cap: None });
    }
    run(&mut host, 700_000_000);
    for (tenant, wanted) in host.guests().iter().zip([100, 200, 400]) {
        let got = tenant.used() as f64 / 1e6;
        assert!((got / f64::from(wanted) - 1.0).abs() < 0.02, "{got} of {wanted}");
    }
}

#[test]
fn a_cap_holds_even_alone() {
    let mut host = Host::new();
    host.add("busy", guest(BUSY), Share { shares: 1, cap: Some(25) });
    run(&mut host, 1_000_000_000);
    let used = host.guests()[0].used() as f64 / host.now() as f64;
    assert!((used - 0.25).abs() < 0.02, "{used}");
}

#[test]
fn the_cpu_moves_from_one_guest_to_another_while_they_run() {
    let mut host = Host::new();
    let half = Share { shares: 1, cap: Some(50) };
    let numbers = ["a", "b"].map(|name| host.add(name, guest(BUSY), half));
    run(&mut host, 200_000_000);
    let before = numbers.map(|number| host.guests()[number].used());
    for (number, cap) in numbers.into_iter().zip([20, 80]) {
        host.set_share(number, Share { shares: 1, cap: Some(cap) });
    }
    let start = host.now();
    run(&mut host, start + 200_000_000);
    for ((number, before), percent) in numbers.into_iter().zip(before).zip([20.0, 80.0]) {
        assert!((before as f64 / 1e6 - 100.0).abs() < 2.0, "{before}");
        let got = (host.guests()[number].used() - before) as f64 / 2e6;
        assert!((got - percent).abs() < 2.0, "{got} % of {percent} %");
    }
}

/// The teaching kernel prints, and waits for the transmitter and the timer in HLT.
#[test]
fn who_waits_does_what_it_does_alone() {
    let image = include_bytes!("../../../../test-roms/kernel.bin");
    let cpu = CpuModel::by_name("x86-64-v2").unwrap();
    let config = Config { memory_bytes: 16 << 20, ..Config::new(cpu) };
    let boot = Boot::Kernel { image, initrd: None, cmdline: "" };
    let mut alone = Machine::new(config.clone(), &boot).unwrap();
    let mut host = Host::new();
    let number = host.add("kernel", Machine::new(config, &boot).unwrap(), Share::default());
    for _ in 0..50 {
        host.step();
        let guest = host.guest_mut(number).unwrap().machine_mut();
        alone.run_until(guest.ticks());
        assert_eq!(guest.instructions(), alone.instructions());
        let (hash, expected) = (guest.state_hash().unwrap(), alone.state_hash().unwrap());
        assert_eq!(hash, expected, "at its tick {}", guest.ticks());
    }
}

#[test]
fn who_slept_when_suspended_sleeps_on() {
    let mut host = Host::new();
    // STI, HLT, JMP back: no timer is set up.
    let sleeper = host.add("sleeper", guest(&[0xfb, 0xf4, 0xeb, 0xfc]), Share::default());
    run(&mut host, 10_000_000);
    assert!(host.step().is_none(), "only an input can wake it");
    host.suspend(sleeper);
    host.resume(sleeper);
    assert!(host.step().is_none(), "it sleeps on");
    host.suspend(sleeper);
    host.wake(sleeper);
    assert!(host.step().is_none(), "it is suspended");
    host.resume(sleeper);
    assert!(host.step().is_some(), "it looks for its input");
}

#[test]
fn who_is_suspended_or_has_ended_gets_nothing_more() {
    let mut host = Host::new();
    let shared = Share::default();
    let (busy, ends) =
        (host.add("busy", guest(BUSY), shared), host.add("ends", guest(&[0xfa]), shared));
    run(&mut host, 10_000_000);
    assert!(matches!(host.guests()[ends].ended(), Some(Stop::Halted)));
    host.suspend(busy);
    let used = host.guests()[busy].used();
    assert!(host.step().is_none(), "nobody is left");
    host.resume(busy);
    run(&mut host, 20_000_000);
    assert!(host.guests()[busy].used() > used);
}
