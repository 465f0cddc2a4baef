//! Machines for the tests of this crate.

use cutaway_machine::{Boot, Config, CpuModel, Machine};

/// A test ROM on the newest CPU.
pub(crate) fn machine(name: &str) -> Machine {
    let path = format!("{}/../../test-roms/bin/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    let image = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let cpu = CpuModel::by_name("x86-64-v2").unwrap();
    let config = Config { memory_bytes: 2 << 20, ..Config::new(cpu) };
    Machine::new(config, &Boot::Rom(&image)).unwrap()
}

/// A path in the folder for temporary files.
pub(crate) fn scratch(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("cutaway-replay-{}-{name}", std::process::id()))
}
