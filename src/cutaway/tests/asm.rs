//! `cutaway asm` and `cutaway disasm` from outside: what goes in, what comes out, what is refused.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A file that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let name = format!("cutaway-asm-{}-{name}", std::process::id());
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

fn run(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cutaway"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that does not read its input closes it: that is no failure.
    let _ = child.stdin.take().expect("it is a pipe").write_all(input);
    child.wait_with_output().expect("the program ends")
}

/// Standard output of a run that must succeed.
fn output(args: &[&str], input: &[u8]) -> String {
    let output = run(args, input);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*errors), (Some(0), ""), "{args:?}");
    String::from_utf8(output.stdout).expect("it is text")
}

/// Standard error of a run that must be refused as bad input.
fn refused(args: &[&str], input: &[u8]) -> String {
    let output = run(args, input);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {errors}");
    assert!(errors.starts_with("cutaway: "), "{errors}");
    assert!(output.stdout.is_empty(), "{args:?}");
    errors
}

/// Intel SDM vol. 2: MOV r64, r/m64 is REX.W 8B /r; PUSH r64 50+rd; POP r64 58+rd.
#[test]
fn text_comes_from_arguments_files_and_standard_input() {
    let file = Scratch::new("file.asm", b"push rbp ; one\n\npop rbp\n");
    assert_eq!(output(&["asm", "mov rax, [rbx+8*rcx]"], b""), "48 8b 04 cb\n");
    assert_eq!(output(&["asm", "mov", "rax,", "[rbx+8*rcx]"], b""), "48 8b 04 cb\n");
    assert_eq!(output(&["asm", "push rbp", "pop rbp"], b""), "55 5d\n");
    assert_eq!(output(&["asm", file.path()], b""), "55 5d\n");
    assert_eq!(output(&["asm", "-"], b"push rbp\npop rbp"), "55 5d\n");
    assert_eq!(output(&["asm"], b"push rbp"), "55\n");
    assert_eq!(output(&["asm", "add", "al,", "-1"], b""), "04 ff\n");
}

/// Intel SDM vol. 2: IN AL, imm8 is E4 ib; TEST r/m8, r8 is 84 /r; JZ rel8 is 74 cb.
#[test]
fn a_listing_has_addresses_bytes_and_source() {
    let args = ["asm", "-b", "16", "--origin", "0x7c00", "-f", "listing"];
    let lines = ["start: in al, 0x60", "  test al, al", "; again", "  jz start", "times 40 db 1"];
    let text = output(&[&args[..], &lines[..]].concat(), b"");
    let expected = [
        "00007c00  e4 60                     start: in al, 0x60",
        "00007c02  84 c0                       test al, al",
        "                                    ; again",
        "00007c04  74 fa                       jz start",
        "00007c06  01 01 01 01 01 01 01 01   times 40 db 1",
        "00007c0e  01 01 01 01 01 01 01 01",
        "00007c16  01 01 01 01 01 01 01 01",
        "00007c1e  01 01 01 01 01 01 01 01",
        "          … 8 more",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn raw_bytes_go_into_a_file() {
    let file = Scratch::new("out.bin", b"old content");
    output(&["asm", "--format", "raw", "-o", file.path(), "db 0, 255"], b"");
    assert_eq!(std::fs::read(&file.0).expect("written"), [0, 255]);
    assert_eq!(run(&["asm", "-f", "raw", "db 0, 255"], b"").stdout, [0, 255]);
}

#[test]
fn a_mistake_is_shown_with_a_mark_below_it() {
    let errors = refused(&["asm", "-"], b"nop\n\tmov eax, 0x1_0000_0000\n");
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(
        lines,
        [
            "cutaway: standard input, line 2, column 11: 0x100000000 does not fit into a dword",
            "     mov eax, 0x1_0000_0000",
            "              ^",
        ]
    );
    assert!(refused(&["asm", "movv eax, 1"], b"").contains("there is no instruction"));
    assert!(refused(&["asm", "--bits", "16", "mov rax, 1"], b"").contains("only in 64-bit code"));
    assert!(refused(&["asm", "/no/such/file.asm"], b"").contains("/no/such/file.asm"));
    assert!(refused(&["asm", "-"], &[0xff, 0xfe]).contains("is no text"));
    assert!(refused(&["asm", "--bits", "33", "nop"], b"").contains("16, 32 or 64"));
    assert!(refused(&["asm", "--frob", "nop"], b"").contains("--frob"));
    assert!(refused(&["asm", "--origin", "here", "nop"], b"").contains("0x7c00"));
    assert!(refused(&["asm", "-o", "/no/such/folder/x", "nop"], b"").contains("/no/such/folder/x"));
}

/// Intel SDM vol. 2: 0F 0B is UD2, 06 is PUSH ES outside of 64-bit mode.
#[test]
fn bytes_become_text_and_what_is_none_a_byte() {
    let expected = "\
00000000  48 8b 04 cb               mov rax, [rbx+rcx*8]
00000004  06                        db 0x06
00000005  0f 0b                     ud2
";
    let file = Scratch::new("code.bin", &[0x48, 0x8b, 0x04, 0xcb, 0x06, 0x0f, 0x0b]);
    assert_eq!(output(&["disasm", "48 8b 04 cb", "06", "0f0b"], b""), expected);
    assert_eq!(output(&["disasm", "488b04cb060f0b"], b""), expected);
    assert_eq!(output(&["disasm", file.path()], b""), expected);
    assert_eq!(output(&["disasm", "-"], b"48 8b 04 cb\n06 0f 0b\n"), expected);
    let raw = output(&["disasm", "--input", "raw", "-b", "16", "--org", "100h", "-"], b"06");
    assert_eq!(
        raw,
        "00000100  30                        db 0x30\n00000101  36                        db 0x36\n"
    );
}

#[test]
fn digits_that_are_none_are_refused() {
    assert!(refused(&["disasm", "48 8"], b"").contains("half a byte"));
    assert!(refused(&["disasm", "zz"], b"").contains("hexadecimal"));
    assert!(refused(&["disasm", "--input", "raw", "90"], b"").contains("a file"));
    assert!(refused(&["disasm", "/no/such/file.bin"], b"").contains("/no/such/file.bin"));
}

#[test]
fn what_asm_makes_disasm_takes() {
    let hex = output(&["asm", "-b", "32", "lock inc dword [edi]", "jmp 0"], b"");
    let text = output(&["disasm", "-b", "32"], hex.as_bytes());
    assert!(text.contains("lock inc dword [edi]") && text.contains("jmp short 0"), "{text}");
}

#[test]
fn help_has_examples() {
    for command in ["asm", "disasm"] {
        let text = output(&[command, "--help"], b"");
        assert!(text.contains("Examples:") && text.contains("--bits"), "{text}");
    }
}
