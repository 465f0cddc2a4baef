//! The teaching kernel as somebody's own guest: by hand, from a test file, and with a fault.

use std::path::Path;

use cutaway::replay::{DEFAULT_BUDGET, Reached, TimeMachine};
use cutaway::runner::{How, Outcome, TestFile, run_case};
use cutaway::{Boot, Config, CpuModel, FIRMWARE, Fault, Input, Machine};

/// A second of guest time at the usual rate.
const SECOND: u64 = 1_000_000_000;

fn machine() -> Machine {
    let cpu = CpuModel::by_name("x86-64-v2").expect("this model is always there");
    let config = Config { memory_bytes: 4 << 20, ..Config::new(cpu) };
    Machine::new(config, &Boot::Rom(FIRMWARE)).expect("the built-in firmware starts")
}

/// A guest driven by hand: the machine is a value, run for exactly as long as you say.
#[test]
fn two_runs_are_the_same_to_the_last_bit() {
    let run = || {
        let mut machine = machine();
        machine.run_until(SECOND / 1000);
        machine.serial_input(0, b"help\r");
        machine.run_until(SECOND);
        (machine.instructions(), machine.state_hash().expect("all state can be hashed"))
    };

    assert_eq!(run(), run());
}

/// The same runner as `cutaway test`, inside a Rust test.
#[test]
fn the_kernel_answers_at_its_prompt() {
    let text = r#"
        [machine]
        memory = "4M"

        [[step]]
        expect = "> "

        [[step]]
        send-line = "help"

        [[step]]
        expect = "help"

        [[check]]
        instructions = { at-most = 100_000_000 }
    "#;
    let file = TestFile::parse(Path::new("prompt.toml"), text).expect("the file is right");

    for case in file.cases() {
        let report = run_case(case, &How::new(FIRMWARE));
        assert!(matches!(report.outcome, Outcome::Passed), "{}: {:?}", case.name(), report.outcome);
    }
}

/// What goes wrong at one instruction can be looked at from both sides.
#[test]
fn a_flipped_bit_is_undone_by_going_back() {
    let mut run = TimeMachine::live(machine(), DEFAULT_BUDGET).expect("the machine can be saved");
    run.goto(400_000).expect("it runs so far");
    let before = run.state_hash().expect("all state can be hashed");

    run.input(&Input::Fault(Fault::FlipBit { address: 0x500, bit: 3 }));
    assert_ne!(run.state_hash().expect("all state can be hashed"), before);
    run.goto(500_000).expect("it runs on");
    let reached = run.goto(400_000).expect("it was there");

    assert!(matches!(reached, Reached::Goal));
    assert_eq!(run.state_hash().expect("all state can be hashed"), before);
}
