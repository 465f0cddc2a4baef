//! The teaching kernel on Cutaway: from reset through our firmware and by multiboot, each command
//! with its answer. The same dialogue runs under QEMU in `firmware/test-qemu.sh`.

use std::process::Command;

use cutaway::{Boot, Config, FIRMWARE, OnReset, Stop};
use cutaway_tests::dialogue::{PROMPT, TICKS, ask, dialogue};
use cutaway_tests::guest::{Guest, cpu_models, usual_config};
use cutaway_tests::skip::{passed, program, skipped};
use cutaway_tests::workspace_root;

const MIB: u64 = 1 << 20;

fn config() -> Config {
    Config { memory_bytes: 128 * MIB, on_reset: OnReset::Stop, ..usual_config() }
}

fn from_reset() -> Guest {
    Guest::new(config(), &Boot::Rom(FIRMWARE))
}

#[test]
fn every_command_answers_after_a_boot_by_the_firmware() {
    let mut guest = from_reset();
    guest.wait_for("Cutaway BIOS", TICKS);
    guest.wait_for("started by Cutaway BIOS", TICKS);
    dialogue(&mut guest);
    passed("teaching kernel, from reset by the BIOS");
}

#[test]
fn every_command_answers_after_a_boot_by_multiboot() {
    let kernel = std::fs::read(workspace_root().join("test-roms/kernel.bin")).unwrap();
    let boot = Boot::Kernel { image: &kernel, initrd: None, cmdline: "" };
    let mut guest = Guest::new(config(), &boot);
    dialogue(&mut guest);
    passed("teaching kernel, by multiboot");
}

#[test]
fn every_cpu_model_reaches_the_prompt() {
    for cpu in cpu_models() {
        let mut guest = Guest::new(Config { cpu, ..config() }, &Boot::Rom(FIRMWARE));
        guest.wait_for(PROMPT, TICKS);
    }
}

#[test]
fn poweroff_halt_and_reboot_end_the_run() {
    for command in ["poweroff", "halt", "reboot"] {
        let mut guest = from_reset();
        guest.wait_for(PROMPT, TICKS);
        guest.type_line(command);
        let stop = guest.wait_for_stop(TICKS);
        let is_expected = match command {
            "poweroff" => matches!(stop, Stop::PowerOff | Stop::DebugExit(_)),
            "halt" => matches!(stop, Stop::Halted),
            _ => matches!(stop, Stop::Reset),
        };
        assert!(is_expected, "{command}: {stop:?}; {}", guest.tail());
    }
}

#[test]
fn reboot_starts_again_from_the_rom() {
    let config = Config { on_reset: OnReset::Restart, ..config() };
    let mut guest = Guest::new(config, &Boot::Rom(FIRMWARE));
    guest.wait_for(PROMPT, TICKS);
    guest.type_line("reboot");
    guest.wait_for("Cutaway BIOS", TICKS);
    guest.wait_for(PROMPT, TICKS);
}

/// Both with the same input at the same ticks.
#[test]
fn two_runs_are_equal() {
    let run = || {
        let mut guest = from_reset();
        guest.wait_for(PROMPT, TICKS);
        ask(&mut guest, "syscall", &["exited with code 7"]);
        guest.fingerprint()
    };
    assert_eq!(run(), run());
}

/// The ROM that tests the services of the BIOS.
#[test]
fn the_services_of_the_bios_pass_their_tests() {
    let rom = std::fs::read(workspace_root().join("firmware/tests/services.bin")).unwrap();
    for memory in [2, 16, 17, 64, 3072] {
        let config = Config { memory_bytes: memory * MIB, ..config() };
        let mut guest = Guest::new(config, &Boot::Rom(&rom));
        let stop = guest.wait_for_stop(5 * TICKS);
        assert!(matches!(stop, Stop::DebugExit(33)), "{memory} MiB: {stop:?}; {}", guest.tail());
    }
    passed("services of the BIOS with 2 to 3072 MiB");
}

#[test]
fn firmware_and_kernel_do_the_same_under_qemu() {
    if program("qemu-system-i386").is_none() || cfg!(windows) {
        skipped("firmware and teaching kernel under QEMU", "install qemu-system-x86");
        return;
    }
    let folder = workspace_root().join("firmware");
    let output = Command::new("sh").arg("test-qemu.sh").current_dir(folder).output().unwrap();
    let (text, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}{errors}");
    passed(text.trim());
}
