//! The test ROMs of `test-roms/roms.txt`: each passes on every CPU model from its least one on and in
//! virtual machines, each run repeats, and QEMU agrees.

use std::process::Command;

use cutaway::machine::{Options, Paging};
use cutaway::{Boot, Config, CpuModel, Model, Stop};
use cutaway_tests::guest::{Guest, cpu_models};
use cutaway_tests::skip::{passed, program, skipped};
use cutaway_tests::workspace_root;

/// Far more than any ROM needs.
const TICKS: u64 = 20_000_000_000;

/// A line of `roms.txt`.
struct Row {
    name: String,
    least_cpu: String,
    memory_bytes: u64,
    status: u8,
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(workspace_root().join("test-roms/roms.txt"));
    let text = text.expect("the table of ROMs is in the tree");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rows: Vec<_> = lines.map(row).collect();
    assert!(rows.len() >= 12, "only {} ROMs", rows.len());
    rows
}

fn row(line: &str) -> Row {
    let columns: Vec<_> = line.split(" | ").map(str::trim).collect();
    let [name, cpu, memory, status, _, _] = columns[..] else { panic!("six columns: {line}") };
    let memory = memory.strip_suffix('M').expect("memory in MiB");
    Row {
        name: name.to_owned(),
        least_cpu: cpu.to_owned(),
        memory_bytes: memory.parse::<u64>().expect("a number of MiB") << 20,
        status: status.parse().expect("an exit status"),
    }
}

/// Runs a ROM to its end: instructions retired and state hash.
fn run(row: &Row, cpu: CpuModel) -> (u64, String) {
    let image = std::fs::read(workspace_root().join(format!("test-roms/bin/{}.bin", row.name)));
    let config = Config { memory_bytes: row.memory_bytes, ..Config::new(cpu) };
    let image = image.expect("each ROM of the table has its image");
    let mut guest = Guest::new(config, &Boot::Rom(&image));

    let stop = guest.wait_for_stop(TICKS);

    let Stop::DebugExit(status) = stop else {
        panic!("{} on {}: {stop:?}\n{}", row.name, cpu.name(), guest.debug_output());
    };
    assert_eq!(status, row.status, "{} on {}:\n{}", row.name, cpu.name(), guest.debug_output());
    guest.fingerprint()
}

#[test]
fn every_rom_passes_from_its_least_cpu_on() {
    for row in rows() {
        let all = cpu_models().into_iter();
        let models: Vec<_> = all.skip_while(|model| model.name() != row.least_cpu).collect();
        assert!(!models.is_empty(), "{}: unknown CPU {}", row.name, row.least_cpu);
        for model in &models {
            run(&row, *model);
        }
        passed(&format!("ROM {} on {} CPU models", row.name, models.len()));
    }
}

#[test]
fn two_runs_of_a_rom_are_equal() {
    for row in rows() {
        let model = CpuModel::by_name(&row.least_cpu).unwrap();
        assert_eq!(run(&row, model), run(&row, model), "{}", row.name);
    }
}

#[test]
fn every_rom_does_the_same_under_qemu() {
    if program("qemu-system-x86_64").is_none() || cfg!(windows) {
        skipped("all test ROMs under QEMU", "install qemu-system-x86");
        return;
    }
    let folder = workspace_root().join("test-roms");
    let output = Command::new("sh").arg("run-qemu.sh").current_dir(folder).output().unwrap();
    let (text, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}{errors}");
    passed(text.trim());
}

/// Ways to virtualize under which a ROM finds something else than on the bare machine, and why.
const ODD: &[(Model, Paging, &str, &str)] = &[
    (Model::Hardware, Paging::Nested, "protection-details", PDPTES),
    (Model::Hardware, Paging::Nested, "matrix-control", PDPTES),
    (Model::Translate, Paging::Nested, "matrix-segments", USER),
    (Model::Translate, Paging::Nested, "matrix-flags", USER),
];
const PDPTES: &str = "PDPTEs are read at each walk there, not with CR3 (AMD APM vol. 2 §15.25)";
const USER: &str =
    "user code runs directly, where LAR and its kin find no descriptors and IOPL is 0";

#[test]
fn every_rom_passes_in_a_virtual_machine() {
    let ways =
        Options::ALL.into_iter().filter(|way| !matches!(way.model, Model::Trap | Model::Para));
    for way in ways {
        let (mut passed_all, mut odd) = (0, Vec::new());
        for row in rows() {
            let image = workspace_root().join(format!("test-roms/bin/{}.bin", row.name));
            let image = std::fs::read(image).expect("each ROM of the table has its image");
            let config = Config { memory_bytes: row.memory_bytes, ..Config::new(CpuModel::Max) };
            let mut guest = Guest::new(config.virtualized(Some(way)), &Boot::Rom(&image));
            let stop = guest.wait_for_stop(TICKS);
            let known = ODD.iter().find(|(model, paging, name, _)| {
                (*model, *paging, *name) == (way.model, way.paging, row.name.as_str())
            });
            let right = matches!(stop, Stop::DebugExit(status) if status == row.status);
            match known {
                Some((.., why)) => odd.push(format!("{}: {why}", row.name)),
                None => passed_all += 1,
            }
            let what = format!("{}, {}: {stop:?}", row.name, way.name());
            assert_eq!(right, known.is_none(), "{what}\n{}", guest.debug_output());
        }
        passed(&format!("{passed_all} ROMs by {}; otherwise {odd:?}", way.name()));
    }
}
