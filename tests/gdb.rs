//! gdb itself, over a loopback connection, on test ROMs: what a person with gdb sees.
//!
//! Instructions are found in the ROMs by their encodings (Intel SDM vol. 2), and what they do
//! stands in the sources of the ROMs, `test-roms/*.asm`; no address or value comes from the stub.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use cutaway::replay::{
    DEFAULT_BUDGET, End, Recorder, Recording, SnapshotOptions, TimeMachine, save_recording_start,
};
use cutaway::{Boot, Config, CpuModel, Machine};
use cutaway_debugger::gdb::{Ended, Listener, Options, serve};
use cutaway_tests::skip::{passed, program, skipped};
use cutaway_tests::workspace_root;

/// Where the firmware's end lies below 1 MiB: a ROM of 64 KiB begins here.
const ROM: u64 = 0xf_0000;
/// More than any of these ROMs runs.
const TICKS: u64 = 20_000_000_000;

/// `mov word [0x3000], 0x1234` in 16-bit code: the first write of protected-mode.asm to VARS.
const MOV_WORD_VARS: &[u8] = &[0xc7, 0x06, 0x00, 0x30, 0x34, 0x12];
/// `mov dword [fs:0x20], 0xfeedf00d` in 16-bit code; FS has base 0x3000 there.
const MOV_FS_20: &[u8] = &[0x64, 0x66, 0xc7, 0x06, 0x20, 0x00, 0x0d, 0xf0, 0xed, 0xfe];
/// `mov eax, esp`, `push eax`, `pop ecx`, `push byte -1` in 32-bit code.
const PUSH_AND_POP: &[u8] = &[0x89, 0xe0, 0x50, 0x59, 0x6a, 0xff];
/// `mov rsi, 0x1122334455667788`, `mov sil, 0x99` in 64-bit code.
const MOV_RSI: &[u8] =
    &[0x48, 0xbe, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x40, 0xb6, 0x99];

fn image(rom: &str) -> Vec<u8> {
    let path = workspace_root().join(format!("test-roms/bin/{rom}.bin"));
    std::fs::read(path).expect("each ROM has its image")
}

/// The linear address of an encoding that the ROM has once.
fn address_of(rom: &str, encoding: &[u8]) -> u64 {
    let image = image(rom);
    let mut places = image.windows(encoding.len()).enumerate();
    let (place, _) = places.find(|(_, bytes)| *bytes == encoding).expect("the ROM has it");
    assert!(places.all(|(_, bytes)| bytes != encoding), "{rom} has it twice");
    ROM + place as u64
}

fn machine(rom: &str, cpu: &str) -> Machine {
    let cpu = CpuModel::by_name(cpu).expect("a CPU model");
    let config = Config { memory_bytes: 4 << 20, ..Config::new(cpu) };
    Machine::new(config, &Boot::Rom(&image(rom))).expect("a ROM makes a machine")
}

fn live(rom: &str, cpu: &str) -> TimeMachine {
    TimeMachine::live(machine(rom, cpu), DEFAULT_BUDGET).expect("a machine has a state")
}

/// Whether gdb is there; says so if not.
fn has_gdb() -> bool {
    let found = program("gdb").is_some();
    if !found {
        skipped("the debugger with gdb", "install gdb");
    }
    found
}

/// What gdb printed.
struct Transcript {
    text: String,
    ended: Ended,
}

impl Transcript {
    /// What came after `echo NAME=` up to the end of its line.
    fn value(&self, name: &str) -> &str {
        let start = format!("\n{name}=");
        let Some((_, rest)) = self.text.split_once(&start) else {
            panic!("gdb did not print {name}:\n{}", self.text)
        };
        rest.lines().next().unwrap_or_default().trim()
    }

    /// A value as a number.
    fn number(&self, name: &str) -> u64 {
        let text = self.value(name).trim_start_matches("0x");
        u64::from_str_radix(text, 16).unwrap_or_else(|_| panic!("{name}:\n{}", self.text))
    }

    fn has(&self, text: &str) {
        assert!(self.text.contains(text), "{text:?} is not in:\n{}", self.text);
    }
}

/// Lets gdb do all commands, then detach. `NAME = EXPRESSION` prints a number, in hexadecimal.
fn gdb(run: &mut TimeMachine, live: bool, commands: &[String]) -> Transcript {
    let listener = Listener::bind(":0").expect("a free port");
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-ex", "set confirm off", "-ex", "set width 0"]);
    gdb.arg("-ex").arg(format!("target remote {}", listener.address()));
    for command in commands {
        match command.split_once(" := ") {
            Some((name, expression)) => {
                gdb.arg("-ex").arg(format!("printf \"\\n{name}=0x%lx\\n\", {expression}"))
            }
            None => gdb.args(["-ex", command]),
        };
    }
    gdb.args(["-ex", "detach"]);
    gdb.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut gdb = gdb.spawn().expect("gdb starts");
    let mut is_there = || match gdb.try_wait() {
        Ok(None) => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    let stream = listener.accept(&mut is_there).expect("the socket works");
    let mut stream = stream.expect("gdb connects before it ends");
    let ended = serve(run, &mut stream, Options { live, ..Options::default() });
    let ended = ended.unwrap_or_else(|error| panic!("the session failed: {error}"));
    drop(stream);
    let output = gdb.wait_with_output().expect("gdb ends");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Transcript { text: format!("{out}\n{err}"), ended }
}

fn commands(lines: &[&str], addresses: &[(&str, u64)]) -> Vec<String> {
    let fill = |line: &&str| {
        let fill = |text: String, (name, at): &(&str, u64)| text.replace(name, &format!("{at:#x}"));
        addresses.iter().fold((*line).to_owned(), fill)
    };
    lines.iter().map(fill).collect()
}

#[test]
fn real_mode_code_is_debugged_by_linear_addresses() {
    if !has_gdb() {
        return;
    }
    let mut run = live("protected-mode", "x86-64-v3");
    let at = address_of("protected-mode", MOV_WORD_VARS);

    let lines = [
        "reset := $pc",
        "reset_ip := $ip",
        "break *AT",
        "continue",
        "pc := $pc",
        "ip := $ip",
        "base := $cs_base",
        "pe := $cr0 & 1",
        "x/i $pc",
        "before := *(unsigned short*)0x3000",
        "stepi",
        "next := $pc",
        "after := *(unsigned short*)0x3000",
        "reverse-stepi",
        "again := $pc",
        "undone := *(unsigned short*)0x3000",
        "monitor mode",
        "monitor disassemble f000:OFFSET 1",
    ];
    let seen = gdb(&mut run, true, &commands(&lines, &[("AT", at), ("OFFSET", at - ROM)]));

    assert_eq!(seen.ended, Ended::Detached, "{}", seen.text);
    // SDM vol. 3A §9.1.4, "First Instruction Executed".
    assert_eq!(seen.number("reset"), 0xffff_fff0);
    assert_eq!(seen.number("reset_ip"), 0xfff0);
    assert_eq!(seen.number("pc"), at);
    assert_eq!(seen.number("ip"), at - ROM);
    assert_eq!(seen.number("base"), ROM);
    assert_eq!(seen.number("pe"), 0);
    seen.has("movw   $0x1234,0x3000");
    assert_eq!(seen.number("next"), at + MOV_WORD_VARS.len() as u64);
    assert_eq!(seen.number("after"), 0x1234);
    assert_eq!(seen.number("again"), at);
    assert_eq!(seen.number("undone"), seen.number("before"));
    seen.has("real mode");
    seen.has("mov word [0x3000], 0x1234");
    passed("gdb in real mode");
}

/// gdb asks for as much at once as a packet holds.
#[test]
fn memory_is_dumped_in_full_packets() {
    if !has_gdb() {
        return;
    }
    let file = std::env::temp_dir().join(format!("cutaway-dump-{}", std::process::id()));
    let dump = format!("dump binary memory {} 0xf0000 0x100000", file.display());

    let seen = gdb(&mut live("protected-mode", "486"), true, &[dump]);

    let dumped = std::fs::read(&file);
    let _ = std::fs::remove_file(&file);
    let dumped = dumped.unwrap_or_else(|error| panic!("{error}: {}", seen.text));
    assert!(dumped == image("protected-mode"), "{}", seen.text);
    passed("gdb dumps memory");
}

/// The ROM writes through FS, loaded in real mode, just behind the switch to protected mode.
#[test]
fn a_watchpoint_is_hit_forwards_and_backwards() {
    if !has_gdb() {
        return;
    }
    let mut run = live("protected-mode", "486");
    let at = address_of("protected-mode", MOV_FS_20);

    let lines = [
        "break *AT",
        "continue",
        "fs := $fs",
        "fs_base := $fs_base",
        "pe := $cr0 & 1",
        "old := *(unsigned*)0x3020",
        "delete",
        "watch *(unsigned*)0x3020",
        "continue",
        "new := *(unsigned*)0x3020",
        "forward := $pc",
        "stepi 50",
        "reverse-continue",
        "backward := $pc",
        "undone := *(unsigned*)0x3020",
        "delete",
        "rwatch *(unsigned*)0x3020",
        "continue",
        "read := *(unsigned*)0x3020",
        "flat := $cs_base",
    ];
    let seen = gdb(&mut run, true, &commands(&lines, &[("AT", at)]));

    assert_eq!(seen.number("fs"), 0x0300);
    assert_eq!(seen.number("fs_base"), 0x3000);
    assert_eq!(seen.number("pe"), 1);
    assert_eq!(seen.number("new"), 0xfeed_f00d);
    assert_eq!(seen.number("forward"), at + MOV_FS_20.len() as u64);
    assert_eq!(seen.number("backward"), at);
    assert_eq!(seen.number("undone"), seen.number("old"));
    seen.has("Value = 4277006349"); // 0xfeedf00d, read by the check that follows
    assert_eq!(seen.number("read"), 0xfeed_f00d);
    assert_eq!(seen.number("flat"), 0);
    passed("gdb's watchpoints, forwards and backwards");
}

#[test]
fn protected_mode_code_steps_there_and_back() {
    if !has_gdb() {
        return;
    }
    let mut run = live("protected-mode", "pentium3");
    let at = address_of("protected-mode", PUSH_AND_POP);

    let lines = [
        "hbreak *AT",
        "continue",
        "set architecture i386",
        "pc := $pc",
        "cs := $cs",
        "esp := $esp",
        "ecx := $ecx",
        "eax := $eax",
        "x/3i $pc",
        "stepi",
        "stepi",
        "pushed := $esp",
        "stack := *(unsigned*)$esp",
        "stepi",
        "popped := $ecx",
        "after := $pc",
        "reverse-stepi",
        "reverse-stepi",
        "reverse-stepi",
        "pc2 := $pc",
        "esp2 := $esp",
        "ecx2 := $ecx",
        "eax2 := $eax",
    ];
    let seen = gdb(&mut run, true, &commands(&lines, &[("AT", at)]));

    let esp = seen.number("esp");
    assert_eq!(seen.number("pc"), at);
    assert_eq!(seen.number("cs"), 8, "KCODE32 of protected.inc");
    seen.has("mov    %esp,%eax");
    assert_eq!(seen.number("pushed"), esp - 4);
    assert_eq!(seen.number("stack"), esp);
    assert_eq!(seen.number("popped"), esp);
    assert_eq!(seen.number("after"), at + 4);
    for name in ["pc", "esp", "ecx", "eax"] {
        assert_eq!(seen.number(name), seen.number(&format!("{name}2")), "{name}");
    }
    passed("gdb in 32-bit protected mode");
}

/// long.inc maps the first GiB as it is: PML4 at 0xa000, one entry to the PDPT at 0xb000, one to
/// the page directory at 0xc000, pages of 2 MiB, all present, writable, for users.
#[test]
fn long_mode_code_has_wide_registers_and_a_page_walk() {
    if !has_gdb() {
        return;
    }
    let mut run = live("long-mode", "x86-64-v1");
    let at = address_of("long-mode", MOV_RSI);

    let lines = [
        "break *AT",
        "continue",
        "set architecture i386:x86-64",
        "pc := $pc",
        "lma := $efer >> 10 & 1",
        "cr3 := $cr3",
        "before := $rsi",
        "x/2i $pc",
        "stepi",
        "rsi := $rsi",
        "stepi",
        "sil := $rsi",
        "reverse-stepi",
        "reverse-stepi",
        "again := $pc",
        "undone := $rsi",
        "monitor walk 0x2f4567",
        "monitor info registers",
    ];
    let seen = gdb(&mut run, true, &commands(&lines, &[("AT", at)]));

    assert_eq!(seen.number("pc"), at);
    assert_eq!(seen.number("lma"), 1);
    assert_eq!(seen.number("cr3"), 0xa000);
    seen.has("movabs $0x1122334455667788,%rsi");
    assert_eq!(seen.number("rsi"), 0x1122_3344_5566_7788);
    assert_eq!(seen.number("sil"), 0x1122_3344_5566_7799);
    assert_eq!(seen.number("again"), at);
    assert_eq!(seen.number("undone"), seen.number("before"));
    seen.has("linear 0x00000000002f4567, 4-level paging, CR3 0x000000a000");
    seen.has("PML4E at 0x000000a000: 0x000000000000b027 P RW US A\n");
    seen.has("PDPTE at 0x000000b000: 0x000000000000c027 P RW US A\n");
    // The second page of 2 MiB, which the ROM has not touched yet.
    seen.has("PDE   at 0x000000c008: 0x0000000000200087 P RW US PS\n");
    seen.has("physical 0x00002f4567, RAM\n");
    seen.has("64-bit mode");
    passed("gdb in 64-bit mode");
}

#[test]
fn memory_and_registers_of_a_live_machine_are_changed_for_good() {
    if !has_gdb() {
        return;
    }
    let mut run = live("protected-mode", "x86-64-v3");
    let at = address_of("protected-mode", MOV_WORD_VARS);

    let lines = [
        "break *AT",
        "continue",
        "set var *(unsigned*)0x2ffe = 0xa1b2c3d4",
        "set $rbx = 0x1122334455667788",
        "set $eflags = 0",
        "set var *(unsigned*)0xf0000 = 1",
        "stepi",
        "stepi",
        "reverse-stepi",
        "memory := *(unsigned*)0x2ffe",
        "rbx := $rbx",
        "set $pc = AT",
        "pc := $pc",
        "ip := $ip",
        "maintenance packet Qqemu.PhyMemMode:1",
        "physical := *(unsigned*)0x2ffe",
        "maintenance packet Qqemu.PhyMemMode:0",
    ];
    let seen = gdb(&mut run, true, &commands(&lines, &[("AT", at)]));

    // The step over `mov word [0x3000], 0x1234` changes the upper half.
    assert_eq!(seen.number("memory"), 0x1234_c3d4);
    assert_eq!(seen.number("rbx"), 0x1122_3344_5566_7788);
    seen.has("only general registers and the instruction pointer can be changed");
    seen.has("Cannot access memory at address 0xf0000");
    assert_eq!(seen.number("pc"), at);
    assert_eq!(seen.number("ip"), at - ROM);
    assert_eq!(seen.number("physical"), 0x1234_c3d4);
    passed("changes by gdb");
}

/// A recording of a ROM from its start to its end.
fn record(rom: &str) -> (TimeMachine, PathBuf) {
    let path = std::env::temp_dir().join(format!("cutaway-gdb-{}-{rom}", std::process::id()));
    let mut machine = machine(rom, "x86-64-v3");
    let options = SnapshotOptions { compress: false, parent: None };
    let file = save_recording_start(&mut machine, &path, &options).expect("a snapshot");
    let mut recorder = Recorder::attach(&mut machine, Box::new(file), 100_000);
    machine.run_until(TICKS);
    recorder.finish(&mut machine, End::Stopped("the ROM ended".to_owned())).expect("a recording");
    let recording = Recording::open(&path).expect("the recording");
    (TimeMachine::open(recording, DEFAULT_BUDGET).expect("a machine"), path)
}

#[test]
fn a_recording_is_gone_through_and_not_changed() {
    if !has_gdb() {
        return;
    }
    let (mut run, path) = record("protected-mode");
    let at = address_of("protected-mode", MOV_FS_20);

    let lines = [
        "continue",
        "end := $pc",
        "monitor time",
        "set $rax = 1",
        "monitor last-write 0x3020 4",
        "maintenance flush register-cache",
        "last := $pc",
        "monitor goto 0",
        "maintenance flush register-cache",
        "start := $pc",
        "break *AT",
        "continue",
        "found := $pc",
        "delete",
        "reverse-continue",
        "back := $pc",
        "monitor nonsense",
    ];
    let seen = gdb(&mut run, false, &commands(&lines, &[("AT", at)]));
    std::fs::remove_file(&path).expect("it was there");

    assert_eq!(seen.text.matches("No more reverse-execution history").count(), 2, "{}", seen.text);
    seen.has("a recording cannot be changed");
    seen.has("the recording ends at tick");
    seen.has("the instruction at linear");
    assert_eq!(seen.number("start"), 0xffff_fff0);
    assert_eq!(seen.number("found"), at);
    assert_eq!(seen.number("back"), 0xffff_fff0);
    seen.has("error: 'nonsense' is no command, or lacks a word; see monitor help");
    passed("gdb on a recording");
}

/// The ROM ends by a write of 0x10 to the debug exit port: code 33, as roms.txt says.
#[test]
fn the_end_of_a_live_machine_leaves_the_way_back() {
    if !has_gdb() {
        return;
    }
    let mut run = live("protected-mode", "x86-64-v3");
    let at = address_of("protected-mode", MOV_FS_20);

    let lines = ["continue", "continue", "break *AT", "reverse-continue", "back := $pc"];
    let seen = gdb(&mut run, true, &commands(&lines, &[("AT", at)]));

    let ends = seen.text.matches("the guest has ended the run, with code 33").count();
    assert_eq!(ends, 2, "{}", seen.text);
    assert_eq!(seen.number("back"), at);
    assert_eq!(seen.ended, Ended::Detached);
    passed("gdb behind the end of a live machine");
}

/// long-mode.asm provokes #DE by `idiv rcx`, once, and sends what it has to say to port 0xe9.
#[test]
fn exceptions_and_ports_stop_forwards_and_backwards() {
    if !has_gdb() {
        return;
    }
    let mut run = live("long-mode", "x86-64-v1");

    let lines = [
        "monitor stop-exception #DE",
        "continue",
        "set architecture i386:x86-64",
        "code := (*(unsigned*)$pc) & 0xffffff",
        "pc := $pc",
        "monitor stop-exception off",
        "stepi 20",
        "monitor stop-exception 0",
        "reverse-continue",
        "back := $pc",
        "monitor stop-exception off",
        "monitor stop-port 0xe9",
        "continue",
        "letter := $al",
        "monitor stop-port off",
        "monitor devices pit",
    ];
    let seen = gdb(&mut run, true, &commands(&lines, &[]));

    seen.has("exceptions that stop: 0 (#DE)");
    assert_eq!(seen.number("code"), 0xf9_f748, "idiv rcx: REX.W F7 /7");
    assert_eq!(seen.number("back"), seen.number("pc"));
    assert_eq!(seen.text.matches("exception 0 (#DE) is about to be delivered").count(), 2);
    seen.has(&format!("write to port 0x00e9, 8 bits: {:#x}", seen.number("letter")));
    seen.has("pit (version 1):");
    passed("gdb at exceptions and ports");
}
