//! The program from outside: exit codes, messages, files.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A 4 KiB ROM: the code at its start, and a jump there at the reset vector.
fn rom(code: &[u8]) -> Vec<u8> {
    let mut rom = vec![0xf4; 0x1000]; // HLT
    rom[..code.len()].copy_from_slice(code);
    rom[0xff0..0xff3].copy_from_slice(&[0xe9, 0x0d, 0xf0]); // JMP from f000:fff0 to f000:f000
    rom
}

/// A file that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let name = format!("cutaway-cli-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("the folder for temporary files can be written");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the path is plain")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn cutaway(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutaway"));
    command.args(args).stdin(Stdio::null()).output().expect("the program starts")
}

/// Runs a ROM with options; exit code and standard error.
fn run_rom(name: &str, code: &[u8], options: &[&str]) -> (i32, String) {
    let file = Scratch::new(name, &rom(code));
    let mut args = vec!["run", "--fast", "--rom", file.path()];
    args.extend(options);
    let output = cutaway(&args);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("no signal ended it"), errors)
}

/// Bad input: exit code 2 and one sentence that contains all of `words`.
fn refused(args: &[&str], words: &[&str]) {
    let output = cutaway(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {errors}");
    assert_eq!(errors.lines().count(), 1, "{args:?}: {errors}");
    assert!(errors.starts_with("cutaway: "), "{errors}");
    for word in words {
        assert!(errors.contains(word), "{word:?} is missing in {errors}");
    }
}

#[test]
fn a_wrong_command_line_is_refused() {
    refused(&["--frobnicate"], &["--frobnicate"]);
    refused(&["frobnicate"], &["frobnicate"]);
    refused(&["run", "--kernle", "x"], &["--kernle", "--kernel"]);
    refused(&["run", "--cpu", "z80"], &["z80", "486", "x86-64-v2"]);
    refused(&["run", "-m", "lots"], &["lots", "512M"]);
    refused(&["run", "--serial", "tty"], &["stdio, file:PATH or none"]);
    refused(&["run", "-d", "everything"], &["everything", "-d help"]);
    refused(&["run", "--rtc", "noon"], &["noon", "2026-01-01"]);
    refused(&["run", "--initrd", "x"], &["--kernel"]);
}

#[test]
fn files_that_are_no_good_are_refused() {
    let empty = Scratch::new("empty", &[]);
    let text = Scratch::new("text", &[b'a'; 10_000]);
    let folder = std::env::temp_dir();
    refused(&["run", "--kernel", "/no/such/file"], &["/no/such/file", "--kernel"]);
    refused(&["run", "--kernel", folder.to_str().expect("plain")], &["kernel"]);
    refused(&["run", "--kernel", empty.path()], &["empty"]);
    refused(&["run", "--kernel", text.path()], &["no kernel", "vmlinuz"]);
    refused(&["run", "--rom", "/no/such/file"], &["/no/such/file", "--rom"]);
    refused(&["run", "--rom", text.path()], &["10000", "4096"]);
    refused(&["run", "--serial", "file:/no/such/folder/x"], &["/no/such/folder/x"]);
}

#[test]
fn a_kernel_that_is_truncated_is_refused() {
    // The setup header of a bzImage that promises a mebibyte (in units of 16 bytes).
    let mut image = vec![0; 0x2000];
    image[0x1f1] = 1;
    image[0x1f4..0x1f8].copy_from_slice(&0x1_0000_u32.to_le_bytes());
    image[0x1fe..0x202].copy_from_slice(&[0x55, 0xaa, 0xeb, 0x66]);
    image[0x202..0x208].copy_from_slice(b"HdrS\x0f\x02");
    image[0x211] = 1;
    let cut = Scratch::new("cut", &image);
    refused(&["run", "--kernel", cut.path()], &["truncated"]);
}

#[test]
fn an_impossible_amount_of_memory_is_refused() {
    refused(&["run", "-m", "64K"], &["65536", "-m"]);
    refused(&["run", "-m", "8000T"], &["-m"]);
}

#[test]
fn help_goes_to_standard_output() {
    let output = cutaway(&["run", "--help"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(text.contains("Examples:") && text.contains("Exit codes:"), "{text}");
}

#[test]
fn cpu_help_lists_the_models() {
    let output = cutaway(&["run", "--cpu", "help"]);
    let text = String::from_utf8_lossy(&output.stdout);
    for model in ["486", "pentium3", "x86-64-v1", "x86-64-v2"] {
        assert!(text.lines().any(|line| line.starts_with(model)), "{text}");
    }
}

/// MOV AL, 10h; OUT F4h, AL.
#[test]
fn the_debug_exit_gives_its_code() {
    let (code, errors) = run_rom("exit", &[0xb0, 0x10, 0xe6, 0xf4], &[]);
    assert_eq!((code, errors.as_str()), (0x21, ""));
}

/// CLI; HLT.
#[test]
fn a_halt_for_good_ends_the_program() {
    let (code, errors) = run_rom("halt", &[0xfa, 0xf4], &[]);
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains("halted"), "{errors}");
}

/// STI; HLT, with no timer running and no input to come.
#[test]
fn a_wait_for_nothing_ends_the_program() {
    let (code, errors) = run_rom("wait", &[0xfb, 0xf4], &[]);
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains("waits for input"), "{errors}");
}

/// LIDT CS:[f800h], where limit 0 stands; INT3.
#[test]
fn a_triple_fault_shows_the_machine() {
    let mut code = vec![0x2e, 0x0f, 0x01, 0x1e, 0x00, 0xf8, 0xcc];
    code.resize(0x806, 0);
    let (code, errors) = run_rom("triple", &code, &["--no-reboot"]);
    assert_eq!(code, 3, "{errors}");
    for expected in ["triple fault", "RIP", "RSP", "CR0", "=> ", "int3"] {
        assert!(errors.contains(expected), "{expected:?} is missing in {errors}");
    }
}

/// JMP to itself.
#[test]
fn the_instruction_limit_is_exact_and_runs_repeat() {
    let options = ["--max-instructions", "12345", "--hash"];
    let (code, errors) = run_rom("loop", &[0xeb, 0xfe], &options);
    assert_eq!(code, 5, "{errors}");
    assert!(errors.contains(" 12345\n"), "{errors}");
    assert_eq!(run_rom("loop-again", &[0xeb, 0xfe], &options), (5, errors));
}

/// MOV DX, 3f8h; MOV AL, 'A'; OUT DX, AL; OUT E9h, AL; CLI; HLT.
#[test]
fn characters_go_where_the_options_say() {
    let serial = Scratch::new("serial", b"old content");
    let debug = Scratch::new("debug", &[]);
    let code = [0xba, 0xf8, 0x03, 0xb0, b'A', 0xee, 0xe6, 0xe9, 0xfa, 0xf4];
    let targets = [format!("file:{}", serial.path()), format!("file:{}", debug.path())];
    let (code, errors) =
        run_rom("out", &code, &["--serial", &targets[0], "--debugcon", &targets[1]]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(std::fs::read(&serial.0).expect("written"), b"A");
    assert_eq!(std::fs::read(&debug.0).expect("written"), b"A");
}

/// OUT 80h, AL; CLI; HLT.
#[test]
fn the_log_shows_ports_and_instructions() {
    let log = Scratch::new("log", &[]);
    let (code, errors) =
        run_rom("log-rom", &[0xe6, 0x80, 0xfa, 0xf4], &["-d", "io,exec", "-D", log.path()]);
    assert_eq!(code, 0, "{errors}");
    let text = std::fs::read_to_string(&log.0).expect("written");
    assert!(text.contains("io    out 0080 <- 00"), "{text}");
    assert!(text.contains("exec  f000:000000000000f002 cli"), "{text}");
}

#[test]
fn stats_show_the_count_of_instructions() {
    let (code, errors) = run_rom("stats", &[0xfa, 0xf4], &["--stats"]);
    assert_eq!(code, 0, "{errors}");
    for expected in ["instructions", "guest time", "MIPS", "exits", "memory touched"] {
        assert!(errors.contains(expected), "{expected:?} is missing in {errors}");
    }
}

#[test]
fn guests_are_cloned_and_go_back_while_others_run() {
    let host = |options: &[&str]| {
        let guests = ["vm", "host", "--max-instructions", "200000000"];
        cutaway(&[&guests, ["--guest", "name=a", "--guest", "name=b"].as_slice(), options].concat())
    };
    let hash_of = |output: &Output, name: &str| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let row = text.lines().rfind(|line| line.starts_with(name));
        row.and_then(|row| row.split_whitespace().next_back().map(str::to_owned))
            .unwrap_or_else(|| panic!("{name} is missing in {text}"))
    };
    let plain = host(&[]);
    let options = ["--snapshot", "a@50000000", "--revert", "a@90000000", "--clone", "a*2@70000000"];
    let copies = host(&options);
    let text = String::from_utf8_lossy(&copies.stdout);
    for expected in ["snapshot of a\n", "a cloned: a-1, a-2\n", "a back at its snapshot\n"] {
        assert!(text.contains(expected), "{expected:?} is missing in {text}");
    }
    assert_eq!(copies.stdout, host(&options).stdout, "no time of the real host is in it");
    // All sleep most of the time, so the neighbour gets what it wants all the same.
    assert_eq!(hash_of(&copies, "b "), hash_of(&plain, "b "));
    assert_eq!(hash_of(&copies, "a-1 "), hash_of(&copies, "a-2 "));

    refused(&["vm", "host", "-g", "name=a", "--revert", "a@1"], &["no snapshot", "--snapshot a@"]);
    refused(&["vm", "host", "-g", "name=a", "--clone", "b@1"], &["no guest 'b'", "there are a"]);
    refused(&["vm", "host", "-g", "name=a", "--clone", "a"], &["no @TICKS", "NAME*COUNT@TICKS"]);
    refused(&["vm", "host", "-g", "name=a,kvm=on"], &["KVM's interface", "hardware"]);
}

/// The screen of several guests, there and back: the same as if one had not gone on.
#[test]
fn several_guests_are_stepped_through_on_the_screen() {
    let file = Scratch::new("host.txt", b"");
    let screen = |there: &[&str]| {
        let guests = ["vm", "host", "-g", "name=web,shares=2", "-g", "name=db,model=hardware"];
        let begin = ["--export", file.path(), "-e", "host goto 20000000"];
        let output = cutaway(&[&guests[..], &begin, there].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read_to_string(file.path()).unwrap()
    };
    let here = screen(&["-e", "host look db"]);
    assert!(here.contains("host at tick 20,000,000") && here.contains("*  db"), "{here}");
    let panes = |text: &str| text[..text.find("─ code").unwrap()].to_owned();
    let back = screen(&["-e", "host look db", "-e", "host step 5", "-e", "host goto 20000000"]);
    assert_eq!(panes(&back), panes(&here));

    let output = cutaway(&["vm", "types", "--export", file.path(), "-e", "host step 2"]);
    assert!(output.status.success());
    let types = std::fs::read_to_string(file.path()).unwrap();
    for owner in ["the kernel alone", "the monitor (type 1)", "the host kernel (type 2)"] {
        assert!(types.contains(owner), "{owner} in:\n{types}");
    }
    refused(&["vm", "host", "-g", "name=a", "--step", "--suspend", "a@1"], &["host goto"]);
    refused(&["step", "--guest", "name=a", "--kernel", "x"], &["--guest", "--kernel"]);
}

#[test]
fn bytes_are_explained() {
    let output = cutaway(&["explain", "--bits", "32", "01 c8"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in
        ["32-bit protected mode", "add eax, ecx", "It adds ecx to eax.", "mod=11 reg=1 rm=0"]
    {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
    assert!(text.lines().all(|line| line.len() <= 78), "{text}");

    // DIV by a register that is zero: SDM vol. 2, "DIV"
    let output = cutaway(&["explain", "--bits", "16", "--cpu", "486", "f7f1"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("#DE: the divisor is zero"), "{text}");
    assert!(text.contains("IVT entry at 0x0"), "{text}");

    refused(&["explain", "0f", "a"], &["'a'", "two digits"]);
    refused(&["explain", "0f"], &["not a whole instruction"]);
    refused(&["explain", "--bits", "8", "90"], &["--bits", "16"]);
    refused(&["explain", "--bits", "64", "--cpu", "486", "90"], &["486", "--bits 32"]);
    refused(&["explain", "--recording", "x", "90"], &["--recording"]);
}

#[test]
fn an_instruction_of_a_guest_is_explained_where_it_is() {
    // mov ax, 0x1234; push ax
    let file = Scratch::new("explain", &rom(&[0xb8, 0x34, 0x12, 0x50]));

    let output = cutaway(&["explain", "--rom", file.path(), "--at", "2"]);

    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("push ax") && text.contains("ax = 0x1234"), "{text}");
    assert!(text.contains("writes 2 bytes at linear 0xfffe: 0x1234"), "{text}");
}
