//! `cutaway debug` from outside: scripts, what they print, how they end.

use std::process::{Command, Output, Stdio};

fn debug(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cutaway"))
        .arg("debug")
        .args(["-m", "4M"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    // A program that refuses its options does not read.
    let _ = std::io::Write::write_all(&mut stdin, input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// From reset over protected mode and paging to the kernel's scheduler, and back again.
#[test]
fn a_script_goes_through_the_teaching_kernel_and_back() {
    let script = "\
# the reset vector
assert pc == 0xfffffff0 && count == 0
break schedule
continue
assert pc == schedule && cpl == 0
assert (cr0 >> 31) == 1
to interrupt
assert !if
back-to interrupt
assert if
start
assert pc == 0xfffffff0
";
    let output = debug(&["--script", "-"], script);

    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    assert!(shown.contains("| Cutaway BIOS"), "{shown}");
    assert!(shown.contains("32-bit protected mode  CS:IP 0008:100f5b  schedule"), "{shown}");
    assert!(!shown.contains('\x1b'), "no colours in a pipe: {shown}");
}

#[test]
fn a_command_that_fails_ends_a_script() {
    let output = debug(&["-e", "step", "-e", "assert ax == 1", "-e", "echo never"], "");

    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("-e, line 2: assert ax == 1: 'ax == 1' does not hold"), "{error}");
    assert!(!text(&output.stdout).contains("never"));
}

#[test]
fn the_prompt_answers_and_goes_on_after_mistakes() {
    let output = debug(&[], "step\n\nfrobnicate\nprint count\nquit\n");

    assert!(output.status.success());
    let shown = text(&output.stdout);
    assert!(shown.contains("'frobnicate' is no command; help lists them"), "{shown}");
    // An empty line had stepped again.
    assert!(shown.contains("0x2 = 2"), "{shown}");
}

#[test]
fn wrong_files_are_named() {
    for args in [["--symbols", "no-such"], ["--script", "no-such"], ["--recording", "no-such"]] {
        let output = debug(&args, "");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains("no-such"), "{}", text(&output.stderr));
    }
}
