//! Snapshots and recordings with wrong bytes: an error or a right result, never a panic, a hang or
//! memory without bounds.
//!
//! Bytes are flipped and files are cut at random. A second kind of case changes what is inside the
//! sections and makes the checksums right again, as only somebody with bad intentions does: what
//! loads then must run.

use std::path::PathBuf;

use cutaway::machine::{Devices, Options};
use cutaway::replay::{
    DEFAULT_BUDGET, End, Reached, Recorder, Recording, Snapshot, SnapshotOptions, TimeMachine,
    save, save_recording_start,
};
use cutaway::state::{Section, State, StateHash};
use cutaway::{
    BALLOON_KERNEL, Boot, Config, CpuModel, Input, Machine, Model, PARAVIRTUAL_KERNEL,
    TEACHING_KERNEL, memory::Backing,
};
use cutaway_tests::guest::cpu_models;
use cutaway_tests::skip::passed;

/// Cases of each kind; CUTAWAY_DAMAGE_CASES asks for another number.
fn cases(usual: u64) -> u64 {
    let asked = std::env::var("CUTAWAY_DAMAGE_CASES").ok();
    asked.map_or(usual, |text| text.parse().expect("CUTAWAY_DAMAGE_CASES is a number"))
}

/// Numbers without a pattern, the same in each run (SplitMix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("cutaway-damage-{}-{name}", std::process::id()))
}

fn machine(rom: &str, cpu: CpuModel) -> Machine {
    let path = cutaway_tests::workspace_root().join(format!("test-roms/bin/{rom}.bin"));
    let image = std::fs::read(path).expect("each ROM has its image");
    let config = Config { memory_bytes: 2 << 20, ..Config::new(cpu) };
    Machine::new(config, &Boot::Rom(&image)).expect("a ROM makes a machine")
}

fn newest() -> CpuModel {
    *cpu_models().last().expect("there are CPU models")
}

/// A recording of a ROM that is typed at.
fn record(compress: bool) -> Vec<u8> {
    let path = scratch(if compress { "packed" } else { "plain" });
    let mut machine = machine("keyboard", newest());
    let options = SnapshotOptions { compress, parent: None };
    let file = save_recording_start(&mut machine, &path, &options)
        .expect("the folder for temporary files can be written");
    let mut recorder = Recorder::attach(&mut machine, Box::new(file), 20_000);
    for n in 1..40 {
        machine.run_until(n * 5_000);
        recorder.between(&mut machine).expect("the folder for temporary files can be written");
        machine.input(&Input::Key(vec![0x1c]));
    }
    recorder
        .finish(&mut machine, End::Left)
        .expect("the folder for temporary files can be written");
    let bytes = std::fs::read(&path).expect("the folder for temporary files can be written");
    std::fs::remove_file(&path).expect("the folder for temporary files can be written");
    bytes
}

/// Replays with all checks; the hash at the end, or none after an error.
fn replay(path: &std::path::Path) -> Option<StateHash> {
    let recording = Recording::open(path).ok()?;
    recording.start.verify().ok()?;
    let torn = recording.journal.end().is_none();
    let mut run = TimeMachine::open(recording, DEFAULT_BUDGET).ok()?;
    run.go_forwards_only();
    run.set_verify(true);
    match run.run_until(u64::MAX).ok()? {
        // What was cut off is a right result as far as it goes.
        Reached::End if torn => None,
        Reached::End => run.state_hash().ok(),
        other => panic!("a replay ends at its end: {other:?}"),
    }
}

#[test]
fn flipped_and_cut_files_are_refused_or_right() {
    let path = scratch("case");
    let goods = [record(true), record(false)];
    let rights = goods.each_ref().map(|good| {
        std::fs::write(&path, good).unwrap();
        replay(&path).expect("the undamaged file replays")
    });
    let mut noise = Noise(1);
    let (mut refused, all) = (0, cases(3_000));
    for case in 0..all {
        // Most in the small file, where a byte is more likely one that counts.
        let which = usize::from(case % 16 == 0);
        let mut bytes = goods[which].clone();
        match noise.below(4) {
            0 => bytes.truncate(noise.below(goods[which].len())),
            1 => {
                let (at, len) = (noise.below(bytes.len()), 1 + noise.below(64));
                bytes.iter_mut().skip(at).take(len).for_each(|byte| *byte = noise.next() as u8);
            }
            _ => {
                let at = noise.below(bytes.len());
                bytes[at] ^= 1 << noise.below(8);
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        match replay(&path) {
            None => refused += 1,
            Some(hash) => assert_eq!(hash, rights[which], "case {case} replays to something else"),
        }
    }
    std::fs::remove_file(&path).unwrap();
    assert!(refused > all / 4, "{refused} of {all} noticed");
    passed(&format!("{all} damaged recordings: {refused} refused, the others right"));
}

/// The sections of a machine with bytes changed, as a state whose checksums are right.
fn changed(state: &State, noise: &mut Noise) -> State {
    let mut changed = State::new();
    let victim = noise.below(state.sections().len());
    for (n, section) in state.sections().iter().enumerate() {
        let mut section: Section = section.clone();
        if n == victim && !section.bytes.is_empty() {
            for _ in 0..=noise.below(4) {
                let at = noise.below(section.bytes.len());
                section.bytes[at] = match noise.below(4) {
                    0 => 0xff,
                    1 => 0,
                    2 => section.bytes[at] ^ 1 << noise.below(8),
                    _ => noise.next() as u8,
                };
            }
        }
        changed.add(section).expect("the names are those of a state");
    }
    changed
}

/// The bytes of a machine's memory for a state; none if it is of a much larger one, for which no memory is
/// taken before somebody has it.
fn backing_for(state: &State, machine: &Machine) -> Option<Backing> {
    let len = cutaway::machine::memory_len(state).ok().filter(|len| *len <= 64 << 20)? as usize;
    let backing = Backing::new(len).expect("so much can be had");
    let mut page = [0; 4096];
    for offset in machine.memory().touched_pages().filter(|at| at + 4096 <= len) {
        machine.memory().backing().read(offset, &mut page);
        backing.write(offset, &page);
    }
    Some(backing)
}

#[test]
fn states_with_right_checksums_and_wrong_contents_are_refused_or_run() {
    let mut noise = Noise(2);
    let (mut ran, all) = (0, cases(4_000));
    let roms = ["device-details", "paging", "task-switch", "long-mode", "x87", "rtc", "pit"];
    for case in 0..all {
        let mut machine = machine(roms[case as usize % roms.len()], newest());
        machine.run_until(1_000 + noise.next() % 60_000);
        let state = changed(&machine.save().unwrap(), &mut noise);
        let Some(backing) = backing_for(&state, &machine) else { continue };
        let Ok(mut odd) = Machine::restore(&state, backing) else { continue };
        odd.run_until(odd.ticks().saturating_add(100_000));
        odd.state_hash().unwrap();
        ran += 1;
    }
    passed(&format!("{all} states changed inside: {ran} ran, the others were refused"));
}

/// What a monitor keeps, in its section and in its memory, is no more to be trusted.
#[test]
fn monitors_with_wrong_contents_are_refused_or_run() {
    let mut noise = Noise(3);
    let (mut ran, all) = (0, cases(800));
    for case in 0..all {
        let options = Options::ALL[case as usize % Options::ALL.len()];
        let kvm = options.model == Model::Hardware;
        let config = Config { memory_bytes: 4 << 20, kvm, ..Config::new(CpuModel::Max) };
        let config = config.virtualized(Some(options));
        let image = if options.model == Model::Para { PARAVIRTUAL_KERNEL } else { TEACHING_KERNEL };
        let boot = Boot::Kernel { image, initrd: None, cmdline: "" };
        let mut machine = Machine::new(config, &boot).expect("the kernel can be booted");
        machine.run_until(1_000 + noise.next() % 100_000);
        let good = machine.save().unwrap();
        // The other sections have a test of their own.
        let mut state = State::new();
        for section in good.sections() {
            let mut section = section.clone();
            let victim = ["monitor", "cpu0-svm", "kvm"].contains(&section.name.as_str());
            if victim && noise.below(4) != 0 {
                for _ in 0..=noise.below(4) {
                    let at = noise.below(section.bytes.len());
                    section.bytes[at] = noise.next() as u8;
                }
            }
            state.add(section).unwrap();
        }
        let len = cutaway::machine::memory_len(&state).unwrap() as usize;
        let backing = Backing::new(len).unwrap();
        let mut page = [0; 4096];
        for offset in machine.memory().touched_pages() {
            machine.memory().backing().read(offset, &mut page);
            if offset >= len - (16 << 20) && noise.below(4) == 0 {
                let at = noise.below(512) * 8;
                page[at..at + 8].copy_from_slice(&noise.next().to_le_bytes());
            }
            backing.write(offset, &page);
        }
        let Ok(mut odd) = Machine::restore(&state, backing) else { continue };
        odd.input(&Input::Stolen(noise.next()));
        odd.run_until(odd.ticks().saturating_add(100_000));
        odd.state_hash().unwrap();
        ran += 1;
    }
    passed(&format!("{all} monitors changed inside: {ran} ran, the others were refused"));
}

/// Nor is what devices keep that reach into memory by themselves: requests under way, and queues.
#[test]
fn virtio_devices_with_wrong_contents_are_refused_or_run() {
    let mut noise = Noise(4);
    let (mut ran, all) = (0, cases(800));
    let devices = Devices { balloon: true, disk_bytes: 1 << 20, disk_empty: false };
    let config = Config { memory_bytes: 4 << 20, devices, ..Config::new(CpuModel::Max) };
    let boot = Boot::Kernel { image: BALLOON_KERNEL, initrd: None, cmdline: "" };
    for case in 0..all {
        let model = [None, Some(Options::of(Model::Hardware))][case as usize % 2];
        let machine = Machine::new(config.clone().virtualized(model), &boot);
        let mut machine = machine.expect("the kernel can be booted");
        machine.run_until(40_000_000);
        machine.input(&Input::Balloon(600));
        // The driver looks every 50 ms; requests take 10 µs.
        while machine.next_deadline().is_some()
            && machine.balloon().is_some_and(|it| it.actual == 0)
        {
            machine.run_until(machine.ticks() + 1_000 + noise.next() % 500_000);
        }
        machine.run_until(machine.ticks() + noise.next() % 100_000);
        let mut state = State::new();
        let victim = ["virtio-balloon", "virtio-balloon", "virtio-blk", "devices"][noise.below(4)];
        for section in machine.save().unwrap().sections() {
            let mut section = section.clone();
            if section.name == victim {
                for _ in 0..=noise.below(4) {
                    let at = noise.below(section.bytes.len());
                    section.bytes[at] = noise.next() as u8;
                }
            }
            state.add(section).unwrap();
        }
        let Some(backing) = backing_for(&state, &machine) else { continue };
        let Ok(mut odd) = Machine::restore(&state, backing) else { continue };
        odd.input(&Input::Balloon(noise.next() as u32));
        odd.input(&Input::Disk(vec![0x5a; noise.below(1 << 12)]));
        odd.run_until(odd.ticks().saturating_add(60_000_000));
        odd.state_hash().unwrap();
        ran += 1;
    }
    passed(&format!("{all} states of virtio devices changed inside: {ran} ran"));
}

#[test]
fn a_snapshot_is_what_was_saved_packed_or_not() {
    let mut machine = machine("long-mode", newest());
    machine.run_until(30_000);
    let hash = machine.state_hash().unwrap();
    for compress in [false, true] {
        let path = scratch(if compress { "small" } else { "large" });
        save(&mut machine, &path, &SnapshotOptions { compress, parent: None }).unwrap();
        let snapshot = Snapshot::open(&path).unwrap();
        snapshot.verify().unwrap();
        assert_eq!(snapshot.machine().unwrap().state_hash().unwrap(), hash);
        std::fs::remove_file(&path).unwrap();
    }
}
