//! Every instant from either side, searches backwards, and recordings, on test ROMs.

use super::*;
use crate::test_machine::machine;
use crate::{Recorder, Register};
use cutaway_cpu::CpuState;
use cutaway_machine::Watch;

/// The state at every count up to `most`, from a run that was never interrupted otherwise.
fn straight(name: &str, counts: &[u64]) -> Vec<StateHash> {
    let mut machine = machine(name);
    let at = |&count: &u64| {
        while machine.instructions() < count {
            let left = count - machine.instructions();
            let stop = machine.run_until(machine.ticks() + left);
            assert!(matches!(stop, Stop::Limit), "{name} ends before {count}: {stop:?}");
        }
        machine.state_hash().unwrap()
    };
    counts.iter().map(at).collect()
}

fn live(name: &str) -> TimeMachine {
    TimeMachine::live(machine(name), DEFAULT_BUDGET).unwrap()
}

#[test]
fn every_instant_is_the_same_from_either_side() {
    let counts: Vec<_> = (0..40).map(|n| n * 1_733).collect();
    let expected = straight("strings", &counts);
    let mut run = live("strings");
    run.goto(80_000).unwrap();

    for (count, hash) in counts.iter().zip(&expected).rev() {
        run.goto(*count).unwrap();
        assert_eq!((run.count(), run.state_hash().unwrap()), (*count, *hash));
    }
    for (count, hash) in counts.iter().zip(&expected) {
        run.goto(*count).unwrap();
        assert_eq!(run.state_hash().unwrap(), *hash, "forwards at {count}");
    }
}

#[test]
fn a_step_back_undoes_a_step() {
    let mut run = live("protected-mode");
    run.goto(2_000).unwrap();
    for _ in 0..200 {
        let before = run.state_hash().unwrap();
        run.step().unwrap();
        run.step_back().unwrap();
        assert_eq!(run.state_hash().unwrap(), before, "at {}", run.count());
        run.step().unwrap();
    }
    run.goto(0).unwrap();
    assert!(matches!(run.step_back().unwrap(), Reached::Start));
}

#[test]
fn checkpoints_keep_their_budget_and_lose_nothing() {
    let counts: Vec<_> = (1..30).map(|n| n * 2_500).collect();
    let expected = straight("strings", &counts);
    let mut run = TimeMachine::live(machine("strings"), 200_000).unwrap();
    for &count in &counts {
        run.goto(count).unwrap();
        let here = run.next;
        run.checkpoints.add(&mut run.machine, here).unwrap();
    }
    assert!(run.checkpoints.bytes() <= 300_000, "{}", run.checkpoints.bytes());
    assert!((3..29).contains(&run.checkpoints.len()));

    for n in [28, 3, 17, 0, 25, 9, 26, 1] {
        run.goto(counts[n]).unwrap();
        assert_eq!(run.state_hash().unwrap(), expected[n], "at {}", counts[n]);
    }
}

/// Where a register had each of its values, found without any checkpoint.
fn changes(name: &str, register: Register, end: u64) -> Vec<(u64, u64)> {
    let mut machine = machine(name);
    let value = |state: &CpuState| register.of(state);
    let mut last = value(&machine.vcpu().save());
    let mut found = Vec::new();
    while machine.instructions() < end {
        let before = machine.instructions();
        let stop = machine.run_until(machine.ticks() + 1);
        assert!(matches!(stop, Stop::Limit), "{name} ends before {end}: {stop:?}");
        let now = value(&machine.vcpu().save());
        if now != last {
            found.push((before, last));
            last = now;
        }
    }
    found
}

#[test]
fn the_last_change_of_a_register_is_found_again_and_again() {
    for register in [Register::Cr0, Register::Cr3, Register::Gpr(3), Register::Rflags] {
        let expected = changes("paging", register, 25_000);
        let mut run = live("paging");
        run.goto(25_000).unwrap();
        for (count, value) in expected.iter().rev().take(5) {
            assert_eq!(run.last_change(register).unwrap(), Some(*value), "{register:?}");
            assert_eq!(run.count(), *count, "{register:?}");
        }
    }
}

#[test]
fn breakpoints_stop_forwards_and_backwards_at_the_same_instants() {
    // Where the ROM's code is, an instruction that it comes by often.
    let mut run = live("paging");
    run.goto(12_345).unwrap();
    let state = run.machine().vcpu().save();
    let linear = state.system.segments[1].base + state.rip;
    run.goto(0).unwrap();
    run.set_stops(&Stops { breakpoints: vec![linear], ..Stops::default() });
    let mut forwards = Vec::new();
    while let Reached::Stop(Stop::Breakpoint) = run.resume(1_000_000_000).unwrap() {
        if run.count() > 20_000 {
            break;
        }
        forwards.push(run.count());
    }
    assert!(forwards.contains(&12_345), "{forwards:?}");
    run.goto(20_000).unwrap();

    let mut backwards = Vec::new();
    while let Reached::Stop(Stop::Breakpoint) = run.continue_back().unwrap() {
        backwards.push(run.count());
    }
    backwards.reverse();
    assert_eq!(backwards, forwards);
    assert_eq!(run.count(), 0);
}

#[test]
fn the_last_write_of_a_byte_is_found_and_nothing_of_it_is_seen() {
    let mut run = live("paging");
    run.goto(25_000).unwrap();
    let end = run.state_hash().unwrap();
    let state = run.machine().vcpu().save();
    let stack = state.system.segments[2].base + (state.gpr[4] & 0xffff_ffff) - 4;
    let read = |run: &TimeMachine| {
        let mut bytes = [0; 4];
        run.machine().memory().read(stack, &mut bytes);
        u32::from_le_bytes(bytes)
    };
    let value = read(&run);

    let touch = run.last_write(stack, 4, true).unwrap().expect("somebody pushed something");
    let before = run.count();
    run.step().unwrap();

    assert!(touch.write && before < 25_000);
    assert_eq!(read(&run), value, "the instruction wrote what is there");
    run.goto(25_000).unwrap();
    assert_eq!(run.state_hash().unwrap(), end);
}

#[test]
fn a_watched_run_is_the_run() {
    let expected = straight("paging", &[25_000]);
    let mut run = live("paging");
    let all = |start| Watch { start, len: 0x4000, physical: true, reads: true, writes: true };
    let stops = Stops {
        watches: vec![all(0x1000), all(0x10_0000), all(0x7000)],
        breakpoints: vec![0xf_ff00],
        ports: vec![0xe9..=0xe9],
        exceptions: 1 << 14,
    };
    run.set_stops(&stops);
    let mut stopped = 0;
    while run.count() < 25_000 {
        let left = 25_000 - run.count();
        let reached = run.resume(left).unwrap();
        if let Reached::Stop(Stop::Watchpoint(_) | Stop::Port(_) | Stop::Exception(_)) = reached {
            stopped += 1;
        }
    }

    run.set_stops(&Stops::default());
    assert!(stopped > 100, "{stopped}");
    if run.count() > 25_000 {
        run.goto(25_000).unwrap();
    }
    assert_eq!(run.state_hash().unwrap(), expected[0]);
}

/// A keyboard that is typed at, recorded to a file.
fn record(path: &std::path::Path) -> (u64, StateHash) {
    let mut machine = machine("keyboard");
    let options = crate::SnapshotOptions::default();
    let file = crate::save_recording_start(&mut machine, path, &options).unwrap();
    let mut recorder = Recorder::attach(&mut machine, Box::new(file), 10_000);
    for n in 0..50_u64 {
        machine.run_until(n * 3_700);
        recorder.between(&mut machine).unwrap();
        if n % 7 == 0 {
            machine.input(&Input::Key(vec![0x1c, 0xf0, 0x1c]));
        }
    }
    recorder.finish(&mut machine, End::Left).unwrap();
    (machine.instructions(), machine.state_hash().unwrap())
}

#[test]
fn a_recording_replays_and_a_wrong_hash_is_noticed() {
    let path = crate::test_machine::scratch("replay");
    let (count, hash) = record(&path);
    let mut recording = Recording::open(&path).unwrap();
    let again = Recording::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();

    let mut run = TimeMachine::open(again, DEFAULT_BUDGET).unwrap();
    run.set_verify(true);
    assert!(matches!(run.goto(u64::MAX).unwrap(), Reached::End));
    assert_eq!((run.count(), run.state_hash().unwrap()), (count, hash));
    run.goto(count / 2).unwrap();
    assert!(matches!(run.goto(u64::MAX).unwrap(), Reached::End));
    assert_eq!(run.state_hash().unwrap(), hash);

    for entry in &mut recording.journal.entries {
        if let Entry::Hash { at, hash } = entry
            && *at > 100_000
        {
            hash[0] ^= 1;
            break;
        }
    }
    let mut wrong = TimeMachine::open(recording, DEFAULT_BUDGET).unwrap();
    wrong.set_verify(true);
    assert!(matches!(wrong.goto(u64::MAX), Err(ReplayError::Diverged { .. })));
}

#[test]
fn a_recording_can_be_left_for_another_run() {
    let path = crate::test_machine::scratch("live");
    let (_, hash) = record(&path);
    let mut run = TimeMachine::open(Recording::open(&path).unwrap(), DEFAULT_BUDGET).unwrap();
    std::fs::remove_file(&path).unwrap();
    run.goto(2_000).unwrap();

    run.input(&Input::Key(vec![0x29]));
    let tick = run.machine().ticks();
    assert!(matches!(run.run_until(180_000).unwrap(), Reached::Goal));

    assert!(run.journal().entries.iter().all(|entry| entry.at() <= tick));
    assert_ne!(run.state_hash().unwrap(), hash);
}

/// A ROM that halts with interrupts on, and nothing to wake it: an instruction never comes.
#[test]
fn a_step_over_a_halt_without_end_says_so() {
    let mut image = vec![0xf4; 0x1000];
    image[..3].copy_from_slice(&[0xfb, 0xf4, 0xf4]); // STI; HLT; HLT
    image[0xff0..0xff3].copy_from_slice(&[0xe9, 0x0d, 0xf0]); // JMP f000:f000
    let cpu = cutaway_machine::CpuModel::by_name("486").unwrap();
    let config =
        cutaway_machine::Config { memory_bytes: 1 << 20, ..cutaway_machine::Config::new(cpu) };
    let machine = Machine::new(config, &cutaway_machine::Boot::Rom(&image)).unwrap();
    let mut run = TimeMachine::live(machine, DEFAULT_BUDGET).unwrap();

    assert!(matches!(run.goto(3).unwrap(), Reached::Goal));
    let reached = run.step().unwrap();

    assert!(matches!(reached, Reached::Stop(Stop::Idle)), "{reached:?}");
}

/// A timer wakes the halted guest: each instruction comes at the first deadline, not at a later one,
/// however the run was cut before.
#[test]
fn a_step_over_a_halt_ends_at_its_next_instruction() {
    #[rustfmt::skip]
    let code = [
        0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x70, // XOR AX, AX; MOV DS and SS; MOV SP, 7000h
        0xc7, 0x06, 0x20, 0x00, 0x40, 0xf0,                   // MOV word [20h], f040h: vector 8
        0xc7, 0x06, 0x22, 0x00, 0x00, 0xf0,                   // MOV word [22h], f000h
        0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x08, 0xe6, 0x21,       // ICW1, ICW2: vectors from 8 on
        0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21,       // ICW3, ICW4
        0xb0, 0xfe, 0xe6, 0x21,                               // OCW1: IRQ 0 alone
        0xb0, 0x34, 0xe6, 0x43, 0xb0, 0x00, 0xe6, 0x40,       // counter 0, mode 2,
        0xb0, 0x01, 0xe6, 0x40,                               // every 256 clocks
        0xfb, 0xf4, 0xeb, 0xfd,                               // STI; again: HLT; JMP again
    ];
    let mut image = vec![0xf4; 0x1000];
    image[..code.len()].copy_from_slice(&code);
    image[0x40..0x47].copy_from_slice(&[0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf]); // EOI; IRET
    image[0xff0..0xff3].copy_from_slice(&[0xe9, 0x0d, 0xf0]); // JMP f000:f000
    let make = || {
        let cpu = cutaway_machine::CpuModel::by_name("486").unwrap();
        let config = cutaway_machine::Config::new(cpu);
        let config = cutaway_machine::Config { memory_bytes: 1 << 20, ..config };
        Machine::new(config, &cutaway_machine::Boot::Rom(&image)).unwrap()
    };
    let mut straight = make();
    let mut expected = vec![straight.ticks()];
    while expected.len() < 90 {
        let before = straight.instructions();
        straight.run_until(straight.ticks() + 1);
        if straight.instructions() > before {
            expected.push(straight.ticks());
        }
    }

    let mut run = TimeMachine::live(make(), DEFAULT_BUDGET).unwrap();
    for (count, ticks) in expected.iter().enumerate().skip(1) {
        assert!(matches!(run.step().unwrap(), Reached::Goal));
        assert_eq!((run.count(), run.machine().ticks()), (count as u64, *ticks));
    }
    for (count, ticks) in expected.iter().enumerate().rev() {
        run.goto(count as u64).unwrap();
        assert_eq!(run.machine().ticks(), *ticks, "back at {count}");
    }
}
