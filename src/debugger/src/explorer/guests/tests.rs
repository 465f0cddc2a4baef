//! Several guests on one CPU, forwards and backwards.

use super::*;
use cutaway_machine::{Boot, Config, CpuModel, Model, OnReset, Share};

const BUDGET: usize = 256 << 20;

/// A guest with code at f000:0000, which the reset vector jumps to.
fn of_code(code: &[u8]) -> Machine {
    let mut image = vec![0xf4; 0x1_0000];
    image[..code.len()].copy_from_slice(code);
    image[0xfff0..0xfff3].copy_from_slice(&[0xe9, 0x0d, 0x00]);
    let cpu = CpuModel::by_name("x86-64-v2").unwrap();
    let config = Config { memory_bytes: 1 << 20, on_reset: OnReset::Stop, ..Config::new(cpu) };
    Machine::new(config, &Boot::Rom(&image)).unwrap()
}

/// INC AX and a byte in memory, for ever.
const COUNTS: &[u8] = &[0x40, 0xfe, 0x06, 0x00, 0x10, 0xeb, 0xf9];

/// Two that count, with one share and with two.
fn two() -> Explorer {
    let mut host = Host::new();
    for (name, shares) in [("one", 1), ("two", 2)] {
        host.add(name, of_code(COUNTS), Share { shares, cap: None });
    }
    Explorer::of_host(host, Vec::new(), BUDGET).unwrap()
}

/// The teaching kernel by hardware assistance.
fn kernel(kvm: bool) -> Machine {
    let image = include_bytes!("../../../../../test-roms/kernel.bin");
    let cpu = CpuModel::by_name("x86-64-v2").unwrap();
    let (memory_bytes, model) = (64 << 20, Some(Model::Hardware));
    let config = Config { memory_bytes, model, kvm, on_reset: OnReset::Stop, ..Config::new(cpu) };
    Machine::new(config, &Boot::Kernel { image, initrd: None, cmdline: "" }).unwrap()
}

fn hash(explorer: &mut Explorer) -> String {
    format!("{:#}", explorer.run_mut().state_hash().unwrap())
}

/// The hash of each guest here, by looking at one after the other.
fn hashes(explorer: &mut Explorer) -> Vec<String> {
    let count = explorer.host().unwrap().guests();
    let mut all = vec![String::new(); count];
    for _ in 0..count {
        all[explorer.guest()] = hash(explorer);
        explorer.look_at("next").unwrap();
    }
    all
}

/// The same as the host has them at the last instant that is known.
fn hashes_of_host(explorer: &mut Explorer) -> Vec<String> {
    let run = &mut explorer.guests().unwrap().run;
    (0..run.guests()).map(|guest| run.hash_furthest(guest)).collect()
}

fn now(explorer: &Explorer) -> u64 {
    explorer.host().unwrap().now()
}

#[test]
fn every_guest_goes_back_with_the_host() {
    let mut explorer = two();
    let mut then = Vec::new();
    for _ in 0..7 {
        explorer.host_step(1, Way::Forwards).unwrap();
        let seen = (now(&explorer), hashes_of_host(&mut explorer));
        assert_eq!(hashes(&mut explorer), seen.1, "forwards, at {}", seen.0);
        then.push(seen);
    }
    for (tick, expected) in then.iter().rev().skip(1) {
        explorer.host_step(1, Way::Backwards).unwrap();
        assert_eq!(now(&explorer), *tick);
        assert_eq!(&hashes(&mut explorer), expected, "backwards, at {tick}");
    }
    explorer.host_step(1, Way::Backwards).unwrap();
    let text = explorer.host_step(1, Way::Backwards).unwrap();
    assert_eq!((now(&explorer), text.as_str()), (0, "this is the start of the host"));
    explorer.host_goto(then[4].0).unwrap();
    assert_eq!(hashes(&mut explorer), then[4].1);
    explorer.host_goto(2_345_678).unwrap();
    let run = explorer.host().unwrap();
    assert_eq!((run.now(), run.used(0), run.used(1)), (2_345_678, 1_000_000, 1_345_678));
}

#[test]
fn the_host_goes_where_the_guest_goes() {
    let mut explorer = two();
    explorer.host_step(6, Way::Forwards).unwrap();
    let (tick, own) = (now(&explorer), explorer.machine().ticks());
    // One had the CPU first, then two twice.
    assert_eq!((tick, own), (6_000_000, 2_000_000));

    explorer.step(1, Way::Backwards).unwrap();
    assert_eq!(now(&explorer), 3_999_999, "in the middle of its second slice");
    let run = explorer.host().unwrap();
    assert_eq!((run.used(0), run.used(1), run.running()), (1_999_999, 2_000_000, Some(0)));
    explorer.step(1_500_000, Way::Backwards).unwrap();
    assert_eq!(now(&explorer), 499_999, "and of its first");
    explorer.step(3_000_000, Way::Forwards).unwrap();
    assert_eq!(explorer.host().unwrap().used(0), 3_499_999);
    assert_eq!(now(&explorer), 9_499_999, "the host ran on for it");
}

/// What is done in the middle of a slice of the past makes another future, as if it had been done
/// when it was the present.
#[test]
fn what_is_done_in_the_past_forgets_what_came_after() {
    let mut explorer = two();
    explorer.step(1_200_000, Way::Forwards).unwrap();
    let (tick, here) = (now(&explorer), hash(&mut explorer));
    explorer.host_step(9, Way::Forwards).unwrap();
    explorer.goto(1_200_000).unwrap();
    assert_eq!((now(&explorer), hash(&mut explorer)), (tick, here.clone()));

    explorer.order("two", Order::Suspend).unwrap();

    let run = explorer.host().unwrap();
    assert_eq!((run.now(), run.furthest()), (tick, tick));
    assert_eq!((run.used(0), hash(&mut explorer)), (1_200_000, here));
    explorer.host_step(5, Way::Forwards).unwrap();
    let run = explorer.host().unwrap();
    assert_eq!((run.used(0), run.used(1)), (6_200_000, 2_000_000), "one has the CPU alone");
    let expected = hashes_of_host(&mut explorer);
    assert_eq!(hashes(&mut explorer), expected);
    explorer.look_at("two").unwrap();
    let text = explorer.step(1, Way::Forwards).unwrap();
    assert_eq!(text, "the guest is suspended; host resume lets it run");
}

#[test]
fn an_input_is_part_of_the_past() {
    let mut explorer = two();
    explorer.host_step(2, Way::Forwards).unwrap();
    let before = hash(&mut explorer);
    let input = Input::Serial { port: 0, bytes: b"x".to_vec() };
    explorer.input(&input).unwrap();
    let behind = hash(&mut explorer);
    explorer.host_step(4, Way::Forwards).unwrap();
    let later = hashes(&mut explorer);
    assert_eq!(later, hashes_of_host(&mut explorer));

    explorer.host_step(4, Way::Backwards).unwrap();
    assert_eq!(hash(&mut explorer), behind);
    explorer.host_step(1, Way::Backwards).unwrap();
    assert_eq!(hash(&mut explorer), before);
    explorer.host_step(5, Way::Forwards).unwrap();
    assert_eq!(hashes(&mut explorer), later);
    assert_ne!(before, behind);
}

/// What the host does to the pages of its guests is repeated as well, and what it tells of stolen time.
#[test]
fn guests_in_one_memory_go_back_to_what_they_were() {
    let mut host = Host::new();
    for (name, kvm) in [("a", false), ("b", true)] {
        host.add(name, kernel(kvm), Share::default());
    }
    host.set_memory(28 << 12);
    let mut explorer = Explorer::of_host(host, Vec::new(), BUDGET).unwrap();
    explorer.host_goto(60_000_000).unwrap();
    let (tick, then) = (now(&explorer), hashes_of_host(&mut explorer));
    let memory = explorer.host().unwrap().memory().unwrap().guests().to_vec();
    assert!(memory.iter().all(|pages| pages.shared > 0 && pages.read_in > 0), "{memory:?}");
    explorer.host_goto(150_000_000).unwrap();
    let (late, later) = (now(&explorer), hashes_of_host(&mut explorer));
    assert_eq!(hashes(&mut explorer), later);

    explorer.host_goto(tick).unwrap();
    assert_eq!(hashes(&mut explorer), then);
    assert_eq!(explorer.host().unwrap().memory().unwrap().guests(), memory);
    // Another future of the same kind: nothing comes out otherwise.
    explorer.order("a", Order::Shares(1)).unwrap();
    explorer.host_goto(late).unwrap();
    assert_eq!(hashes_of_host(&mut explorer), later);
    assert_eq!(hashes(&mut explorer), later);
}

/// Whatever is done in whatever order: at the last instant the guests are those of the host.
#[test]
fn guests_and_host_stay_together() {
    let mut host = Host::new();
    host.add("busy", of_code(COUNTS), Share { shares: 1, cap: Some(50) });
    host.add("kernel", kernel(true), Share::default());
    let mut explorer = Explorer::of_host(host, Vec::new(), BUDGET).unwrap();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: u64| {
        // Xorshift64 (Marsaglia, "Xorshift RNGs").
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 33) % below
    };
    let mut looks = 0;
    for n in 0..60 {
        let way = if next(2) == 0 { Way::Forwards } else { Way::Backwards };
        let name = ["busy", "kernel"][next(2) as usize];
        let input = Input::Serial { port: 0, bytes: b"tasks\r".to_vec() };
        match next(10) {
            0 => explorer.host_step(1 + next(3), way).map(drop),
            1 => explorer.host_goto(next(4_000_000)).map(drop),
            2 => explorer.look_at(name).map(drop),
            3 => explorer.order(name, Order::Suspend),
            4 | 5 => explorer.order(name, Order::Resume),
            6 => explorer.order(name, Order::Shares(1 + next(5) as u32)),
            7 => explorer.input(&input),
            _ => explorer.step(next(300), way).map(drop),
        }
        .unwrap();
        let run = explorer.host().unwrap();
        assert_eq!(run.own_ticks(explorer.guest()), explorer.machine().ticks(), "step {n}");
        if run.is_furthest() {
            looks += 1;
            let expected = hashes_of_host(&mut explorer);
            assert_eq!(hashes(&mut explorer), expected, "step {n}");
        }
    }
    assert!(looks > 20, "{looks}");
}
