//! Commands on small machines.

use super::*;
use crate::text::plain;
use cutaway_machine::{Boot, Config, CpuModel, Machine};
use cutaway_replay::{DEFAULT_BUDGET, TimeMachine};

fn explorer() -> Explorer {
    let mut image = vec![0xf4; 0x1_0000];
    image[..4].copy_from_slice(&[0xb8, 0x34, 0x12, 0x50]); // mov ax, 0x1234; push ax
    image[0xfff0..0xfff3].copy_from_slice(&[0xe9, 0x0d, 0x00]);
    let cpu = CpuModel::by_name("x86-64-v3").unwrap();
    let config = Config { memory_bytes: 1 << 20, ..Config::new(cpu) };
    let machine = Machine::new(config, &Boot::Rom(&image)).unwrap();
    Explorer::new(TimeMachine::live(machine, DEFAULT_BUDGET).unwrap(), true)
}

fn say(explorer: &mut Explorer, line: &str) -> String {
    match execute(explorer, line) {
        Ok(answer) => plain(&answer.lines),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn a_movement_says_where_it_led() {
    let mut explorer = explorer();

    let text = say(&mut explorer, "step");

    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "instruction 1 of 1  0.000000001 s  real mode  CS:IP f000:0",
            "=> f000:0000  b83412               mov ax, 0x1234",
        ]
    );
    let text = say(&mut explorer, "back");
    assert!(text.contains("instruction 0 of 1"), "{text}");
}

#[test]
fn changed_registers_are_marked() {
    let mut explorer = explorer();
    say(&mut explorer, "step 2");

    let text = say(&mut explorer, "show registers");

    assert!(text.starts_with("EAX 00001234*ESP"), "{text}");
}

/// What people get wrong is answered with what there is.
#[test]
#[rustfmt::skip] // one row per case
fn errors_say_what_to_do() {
    let rows = [
        ("frobnicate",        "'frobnicate' is no command; help lists them"),
        ("goto",              "goto lacks a word: goto COUNT"),
        ("show frob",         "'frob' is no pane; there are code, explain, registers"),
        ("to lunch",          "'lunch' is none of: interrupt, exception"),
        ("x 0x80000000 1 2",  ""),
        ("break 0 if nix",    "'nix' is no register, flag or symbol"),
        ("stop port 70000",   "0x11170 is no port"),
        ("stop exception 40", "vector 40 is no exception"),
        ("type \\q",          "'\\q' is no escape"),
        ("assert ax == 1",    "'ax == 1' does not hold; instruction 0"),
        ("undo",              "there is no movement to take back"),
        ("print 1 / 0",       "a division by zero"),
        ("delete 7",          "there is no stop of that number"),
    ];
    let mut explorer = explorer();
    for (line, expected) in rows {
        let text = say(&mut explorer, line);
        assert!(text.contains(expected), "{line}: {text}");
    }
}

/// Every pane can be shown right after reset, where nothing is set up yet.
#[test]
fn every_pane_shows_something_at_reset() {
    let mut explorer = explorer();
    for pane in Pane::all().filter(|pane| !matches!(pane, Pane::Console | Pane::Log)) {
        let text = say(&mut explorer, &format!("show {}", pane.name()));
        assert!(!text.is_empty() && !text.starts_with("error"), "{}: {text}", pane.name());
    }
}

#[test]
fn a_type_of_text_understands_escapes() {
    assert_eq!(unescape(r"ls\r\x41\\").unwrap(), b"ls\rA\\");
    assert!(unescape(r"\xZZ").is_err());
}

#[test]
fn noise_is_no_reason_to_panic() {
    let mut explorer = explorer();
    let names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        // Xorshift64 (Marsaglia, "Xorshift RNGs").
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 33) as usize % below
    };
    let words = [
        "0",
        "-1",
        "0xffffffffffffffff",
        "ax",
        "if",
        "[",
        "port",
        "exception",
        "é",
        "\\x",
        "paging",
        "(",
        "byte[",
        "1000",
    ];
    for _ in 0..3_000 {
        let name = names[next(names.len())];
        if ["continue", "until", "to", "callers", "goto", "end", "over", "out"].contains(&name) {
            continue; // they run, as far as they are told
        }
        let count = next(4);
        let rest: Vec<_> = (0..count).map(|_| words[next(words.len())]).collect();
        let line = format!("{name} {}", rest.join(" "));
        if name == "step" && line.contains("0xffff") || line.contains("step -1") {
            continue;
        }
        let _ = say(&mut explorer, &line);
    }
}
