//! What time travel costs: restoring a booted guest, and stepping back in a long run.
//! `cargo bench -p cutaway-benches --bench time`. Needs Debian's installer kernel; says so if it is
//! missing. The first run takes a minute to boot it.
#![expect(missing_docs, reason = "criterion_group! makes a function without")]

use std::path::PathBuf;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use cutaway::replay::{DEFAULT_BUDGET, Snapshot, SnapshotOptions, TimeMachine, save};
use cutaway::{Boot, Config, CpuModel, Machine};

/// Instructions of the run, as the goal has it.
const INSTRUCTIONS: u64 = 2_000_000_000;

fn machine(memory_bytes: u64) -> Option<Machine> {
    let folder = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64";
    let kernel = std::fs::read(format!("{folder}/linux")).ok()?;
    let initrd = std::fs::read(format!("{folder}/initrd.gz")).ok()?;
    let cpu = CpuModel::by_name("x86-64-v2")?;
    let cmdline = "console=ttyS0 rdinit=/bin/sh";
    let boot = Boot::Kernel { image: &kernel, initrd: Some(&initrd), cmdline };
    Machine::new(Config { memory_bytes, ..Config::new(cpu) }, &boot).ok()
}

fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("cutaway-bench-{}.snap", std::process::id()))
}

fn time(c: &mut Criterion) {
    let Some(machine) = machine(1 << 30) else {
        println!("SKIPPED: time travel: install debian-installer-12-netboot-amd64");
        return;
    };
    let mut run = TimeMachine::live(machine, DEFAULT_BUDGET).expect("the machine can be saved");
    run.goto(INSTRUCTIONS).expect("the guest runs");
    let (bytes, points) = run.checkpoint_use();
    println!("{points} checkpoints, {} MiB", bytes >> 20);
    let mut group = c.benchmark_group("time");
    group.sample_size(20);

    let mut place = 0_u64;
    group.bench_function("step back anywhere", |b| {
        b.iter_batched(
            || {
                place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                INSTRUCTIONS / 10 + (place >> 20) % (INSTRUCTIONS * 9 / 10)
            },
            |count| {
                run.goto(count).expect("it was there");
                run.step_back().expect("there is an instant before")
            },
            BatchSize::PerIteration,
        );
    });
    run.goto(INSTRUCTIONS).expect("it was there");
    let path = scratch();
    save(run.machine_mut(), &path, &SnapshotOptions::default()).expect("there is room");
    group.bench_function("restore to the first instruction", |b| {
        b.iter(|| {
            let snapshot = Snapshot::open(&path).expect("it was saved");
            let mut machine = snapshot.machine().expect("it was saved");
            machine.run_until(machine.ticks() + 1)
        });
    });
    std::fs::remove_file(&path).expect("it is there");
    group.finish();
}

criterion_group!(benches, time);
criterion_main!(benches);
