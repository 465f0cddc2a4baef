//! Rows of source and bytes, mistakes, and noise. Comparison with NASM itself is in
//! `tests/assembler.rs`.

use super::{AssembleCause, AssembleError, Assembly, assemble};
use crate::decode::CodeSize::{self, Bits16, Bits32, Bits64};

fn bytes(size: CodeSize, origin: u64, source: &str) -> Result<String, AssembleError> {
    let assembled = assemble(source, Assembly { size, origin })?;
    let bytes: Vec<String> = assembled.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(bytes.join(" "))
}

fn error(size: CodeSize, source: &str) -> AssembleError {
    match assemble(source, Assembly { size, origin: 0 }) {
        Err(error) => error,
        Ok(assembled) => panic!("{source:?} became {:02x?}", assembled.bytes),
    }
}

/// Intel SDM vol. 2, the "Opcode" column of each instruction with ModRM and SIB from vol. 2A tables
/// 2-1 to 2-3.
#[test]
#[rustfmt::skip] // one row per case
fn instructions_are_encoded_as_the_manual_says() {
    let rows = [
        // ADD: 04 ib; 83 /0 ib; 05 id; 01 /r; 03 /r
        (Bits32, "add al, 5",                   "04 05"),
        (Bits32, "add ecx, 5",                  "83 c1 05"),
        (Bits32, "add ecx, -1",                 "83 c1 ff"),
        (Bits32, "add ecx, 0xffffffff",         "83 c1 ff"),
        (Bits32, "add eax, 0x12345678",         "05 78 56 34 12"),
        (Bits32, "add eax, ecx",                "01 c8"),
        (Bits32, "add eax, [ecx]",              "03 01"),
        (Bits32, "add ax, cx",                  "66 01 c8"),
        (Bits16, "add ax, cx",                  "01 c8"),
        (Bits16, "add eax, ecx",                "66 01 c8"),
        (Bits64, "add rax, rcx",                "48 01 c8"),
        (Bits64, "add r8, r9",                  "4d 01 c8"),
        (Bits32, "add ecx, strict dword 5",     "81 c1 05 00 00 00"),
        // MOV: b8+ id; c6 /0 ib; c7 /0; a1 moffs; 8e /r; 0f 22 /r
        (Bits32, "mov eax, 1",                  "b8 01 00 00 00"),
        (Bits32, "mov byte [ebx], 'a'",         "c6 03 61"),
        (Bits32, "mov [ebx], word 7",           "66 c7 03 07 00"),
        (Bits32, "mov eax, [0x1234]",           "a1 34 12 00 00"),
        (Bits32, "mov ds, ax",                  "8e d8"),
        (Bits32, "mov cr0, eax",                "0f 22 c0"),
        (Bits64, "mov rax, -1",                 "48 c7 c0 ff ff ff ff"),
        (Bits64, "mov rax, 0x123456789abcdef0", "48 b8 f0 de bc 9a 78 56 34 12"),
        (Bits64, "mov spl, 1",                  "40 b4 01"),
        (Bits64, "mov eax, [rel 0x1000]",       "8b 05 fa 0f 00 00"),
        // Addresses: tables 2-1, 2-2 and 2-3
        (Bits16, "mov al, [bx+si]",             "8a 00"),
        (Bits16, "mov al, [bp]",                "8a 46 00"),
        (Bits16, "mov al, [di+0x1234]",         "8a 85 34 12"),
        (Bits16, "mov al, [ebx]",               "67 8a 03"),
        (Bits32, "mov al, [bx]",                "67 8a 07"),
        (Bits32, "mov al, [esp]",               "8a 04 24"),
        (Bits32, "mov al, [ebp]",               "8a 45 00"),
        (Bits32, "mov al, [ebx+4*esi+8]",       "8a 44 b3 08"),
        (Bits32, "mov al, [esi*4]",             "8a 04 b5 00 00 00 00"),
        (Bits32, "mov al, [dword ebx+8]",       "8a 83 08 00 00 00"),
        (Bits32, "mov al, [fs:ebx]",            "64 8a 03"),
        (Bits64, "mov al, [r13]",               "41 8a 45 00"),
        (Bits64, "mov al, [r12]",               "41 8a 04 24"),
        (Bits64, "mov al, [0x10]",              "8a 04 25 10 00 00 00"),
        // Others
        (Bits32, "push 5",                      "6a 05"),
        (Bits32, "push 0x12345678",             "68 78 56 34 12"),
        (Bits32, "push cx",                     "66 51"),
        (Bits64, "push rbx",                    "53"),
        (Bits32, "shl eax, 1",                  "d1 e0"),
        (Bits32, "shl eax, 2",                  "c1 e0 02"),
        (Bits32, "sar dword [ebx], cl",         "d3 3b"),
        (Bits32, "int 0x80",                    "cd 80"),
        (Bits32, "int3",                        "cc"),
        (Bits16, "iret",                        "cf"),
        (Bits32, "iret",                        "cf"),
        (Bits64, "iretq",                       "48 cf"),
        (Bits32, "rep movsd",                   "f3 a5"),
        (Bits32, "es lodsb",                    "26 ac"),
        (Bits32, "a16 stosw",                   "66 67 ab"),
        (Bits32, "lock cmpxchg [ebx], ecx",     "f0 0f b1 0b"),
        (Bits32, "in al, dx",                   "ec"),
        (Bits32, "out 0x80, al",                "e6 80"),
        (Bits16, "jmp 0x10:0x20",               "ea 20 00 10 00"),
        (Bits32, "call far [ebx]",              "ff 1b"),
        (Bits32, "fld qword [ebx]",             "dd 03"),
        (Bits32, "fadd to st3",                 "dc c3"),
        (Bits32, "faddp",                       "de c1"),
        (Bits32, "movaps xmm0, xmm1",           "0f 28 c1"),
        (Bits32, "cmpleps xmm0, xmm1",          "0f c2 c1 02"),
        (Bits64, "vaddps ymm0, ymm1, [rax]",    "c5 f4 58 00"),
        (Bits64, "sysret",                      "0f 07"),
        (Bits64, "o64 sysret",                  "48 0f 07"),
    ];
    for (size, source, expected) in rows {
        assert_eq!(bytes(size, 0, source).as_deref(), Ok(expected), "{size:?} {source}");
    }
}

/// The Netwide Assembler manual, §3.4.1 and §3.4.2: the same number in all its notations.
#[test]
fn numbers_have_all_notations() {
    let rows = [
        ("200, 0200, 0200d, 0d200, 0t200", [0xc8; 5]),
        ("0c8h, $0c8, 0xc8, 0hc8, 0xC8", [0xc8; 5]),
        ("310q, 310o, 0o310, 0q310, 3_1_0o", [0xc8; 5]),
        ("11001000b, 1100_1000b, 1100_1000y, 0b1100_1000, 0y1100_1000", [0xc8; 5]),
        ("'a', \"a\", `a`, `\\x61`, `\\141`", [b'a'; 5]),
    ];
    for (source, expected) in rows {
        let source = format!("db {source}");
        let assembled = assemble(&source, Assembly { size: Bits32, origin: 0 });
        assert_eq!(assembled.map(|a| a.bytes), Ok(expected.to_vec()), "{source}");
    }
}

/// The Netwide Assembler manual, §3.4.3: `'abcd'` is 0x64636261; §3.5: precedence.
#[test]
fn expressions_follow_the_manual() {
    let rows = [
        ("dd 'abcd'", "61 62 63 64"),
        ("dd 0 + 'abcd'", "61 62 63 64"),
        ("db 1 + 2 * 3, (1 + 2) * 3, -3 + 5, ~0 & 15", "07 09 02 0f"),
        ("db 1 | 2 ^ 3 & 2, 1 << 3 + 1, 7 / 2, 7 % 4, -7 // 2", "01 10 03 03 fd"),
        ("a: dw b - a\nb: db $ - $$", "02 00 02"),
        ("n equ 3\ntimes n db n * 2", "06 06 06"),
        ("times 4 - ($ - $$) db 9", "09 09 09 09"),
        ("db 'ab'\nalign 4, db 0\ndb 1", "61 62 00 00 01"),
        ("dw 'abc'\ndq 1.5", "61 62 63 00 00 00 00 00 00 00 f8 3f"),
        ("resb 2\nresw 1", "00 00 00 00"),
    ];
    for (source, expected) in rows {
        assert_eq!(bytes(Bits32, 0, source).as_deref(), Ok(expected), "{source}");
    }
}

/// Intel SDM vol. 2A, "JMP": EB cb, E9 cd; "Jcc": 74 cb, 0F 84 cd. Distances count from the end.
#[test]
fn jumps_are_short_where_they_reach() {
    let near = |gap: usize| format!("jmp end\ntimes {gap} nop\nend:");
    assert!(bytes(Bits32, 0, &near(127)).is_ok_and(|bytes| bytes.starts_with("eb 7f 90")));
    assert!(bytes(Bits32, 0, &near(128)).is_ok_and(|bytes| bytes.starts_with("e9 80 00 00 00 90")));
    assert!(bytes(Bits16, 0, &near(128)).is_ok_and(|bytes| bytes.starts_with("e9 80 00 90")));
    let far = "start: times 126 nop\njz start\njz start";
    assert!(bytes(Bits64, 0, far).is_ok_and(|bytes| bytes.ends_with("74 80 0f 84 7a ff ff ff")));
    // The second jump fits only while the first is short.
    let pull = "jmp b\ntimes 121 nop\njmp c\nb: times 126 nop\nc:";
    assert!(bytes(Bits32, 0x7c00, pull).is_ok_and(|bytes| bytes.starts_with("eb 7b 90")));
}

#[test]
fn labels_lines_and_origin_come_back() {
    let source = "org 0x7c00\nstart: nop ; first\n\n.again: loop .again\nlast equ $ - $$\n";
    let assembled = assemble(source, Assembly { size: Bits16, origin: 0 }).unwrap();

    assert_eq!(assembled.bytes, [0x90, 0xe2, 0xfe]);
    assert_eq!(assembled.origin, 0x7c00);
    let lines: Vec<_> = assembled.lines.iter().map(|l| (l.line, l.offset, l.len)).collect();
    assert_eq!(lines, [(2, 0, 1), (4, 1, 2)]);
    let symbols: Vec<_> = assembled.symbols.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    assert_eq!(symbols, [("last", 3), ("start", 0x7c00), ("start.again", 0x7c01)]);
}

#[test]
#[rustfmt::skip] // one row per case
fn mistakes_are_named_with_their_place() {
    let rows = [
        (Bits32, "nop\n  movv eax, 1",       (2, 3),  "no instruction or directive movv; is it "),
        (Bits32, "mov eax",                  (1, 1),  "mov does not take these operands; it has mov r/m8, r8"),
        (Bits32, "mov al, ebx",              (1, 1),  "mov does not take these operands"),
        (Bits32, "mov al, 256",              (1, 9),  "0x100 does not fit into a byte"),
        (Bits32, "mov [ebx], 1",             (1, 5),  "write byte or word or dword before the bracket"),
        (Bits32, "inc [ebx]",                (1, 5),  "the size of the memory operand is open"),
        (Bits32, "mov rax, 1",               (1, 1),  "does not exist in 32-bit code, only in 64-bit code"),
        (Bits64, "pusha",                    (1, 1),  "pusha does not exist in 64-bit code, only in 16-bit and 32-bit code"),
        (Bits32, "jmp ther\nthere:",         (1, 5),  "ther is not defined; is it there?"),
        (Bits32, "a: nop\na: nop",           (2, 1),  "a is already defined in line 1"),
        (Bits32, "jmp short a\ntimes 200 nop\na:", (1, 1), "does not fit into a short jump"),
        (Bits32, "mov al, [esp*2]",          (1, 9),  "esp and rsp are no index"),
        (Bits32, "mov al, [eax*7]",          (1, 9),  "the scale of an index is 1, 2, 4 or 8"),
        (Bits32, "mov al, [eax+bx]",         (1, 9),  "different sizes"),
        (Bits16, "mov al, [ax]",             (1, 9),  "bx or bp, si or di"),
        (Bits32, "mov eax, [ebx",            (1, 14), "] is missing here"),
        (Bits32, "mov eax, 1 2",             (1, 12), "the statement should end here"),
        (Bits32, "mov eax, 0x12g",           (1, 10), "0x12g is no number"),
        (Bits32, "db 'abc",                  (1, 4),  "does not end in this line"),
        (Bits32, "nop\nforever\njmp forever", (2, 1), "a label ends with a colon"),
        (Bits32, "db 300",                   (1, 4),  "0x12c does not fit into a byte"),
        (Bits32, "mov dword ptr [ebx], 1",   (1, 11), "NASM has no ptr"),
        (Bits32, "mov eax, fs:[0]",          (1, 12), "inside of the bracket"),
        (Bits32, "lock nop",                 (1, 1),  "does not take lock"),
        (Bits32, "section .text",            (1, 1),  "there is no directive section here"),
        (Bits32, "%define x 1",              (1, 1),  "no macros"),
        (Bits32, "dd 1 / 0",                 (1, 4),  "division by 0"),
        (Bits32, "bits 33",                  (1, 6),  "16, 32 or 64"),
        (Bits32, "align 3",                  (1, 7),  "a power of 2"),
        (Bits32, "times -1 nop",             (1, 7),  "less than 0"),
    ];
    for (size, source, place, text) in rows {
        let error = error(size, source);
        assert!(error.to_string().contains(text), "{source:?}: {error}");
        assert_eq!((error.line, error.column), place, "{source:?}: {error}");
    }
}

#[test]
fn work_is_bounded() {
    let deep = format!("db {}1", "(".repeat(100_000));
    let signs = format!("db {}1", "-".repeat(100_000));
    let long = format!("db 1{}", "+1".repeat(100_000));
    let chain: String = (0..200).map(|n| format!("a{n} equ a{} + 1\n", n + 1)).collect();
    let chain = format!("{chain}a200 equ 0");
    let sources = [
        "times 0xffffffffffffffff nop",
        "times 2000000 db 0",
        "resq 0xffffffffffffffff",
        "align 0x8000000000000000\nnop\nalign 0x8000000000000000",
        "times 1000000 jmp $",
        "a equ a + 1",
        "a equ b + 1\nb equ a + 1",
        "a: times 1 - (b - a) nop\nb:",
        "db 1 << 63 << 63 << 63",
        "dq 0x10000000000000000",
        &deep,
        &signs,
        &long,
        &chain,
        &"a".repeat(2 << 20),
    ];
    for source in sources {
        let result = assemble(source, Assembly { size: Bits32, origin: 0 });
        let start: String = source.chars().take(40).collect();
        assert!(result.is_err(), "{start}");
    }
    // Nothing is quickly repeated, however often.
    let nothing = assemble("times 0xffffffffffffffff db ''", Assembly { size: Bits32, origin: 0 });
    assert_eq!(nothing.map(|a| a.bytes.len()), Ok(0));
}

/// Words of the syntax in any order: no panic, and no result but bytes or a place in the source.
#[test]
fn noise_is_answered() {
    const WORDS: [&str; 64] = [
        "mov",
        "add",
        "jmp",
        "call",
        "push",
        "lea",
        "imul",
        "xchg",
        "test",
        "fadd",
        "movsd",
        "vaddps",
        "loop",
        "in",
        "enter",
        "shl",
        "lock",
        "rep",
        "o16",
        "a32",
        "fs",
        "times",
        "db",
        "dw",
        "dq",
        "equ",
        "align",
        "org",
        "bits",
        "default",
        "rel",
        "byte",
        "word",
        "dword",
        "qword",
        "far",
        "short",
        "strict",
        "to",
        "eax",
        "al",
        "rsp",
        "bx",
        "si",
        "xmm1",
        "ymm2",
        "st1",
        "cr0",
        "[",
        "]",
        ",",
        ":",
        "+",
        "-",
        "*",
        "(",
        ")",
        "$",
        "$$",
        "x",
        ".y",
        "7",
        "0xffffffffffffffff",
        "'ab'",
    ];
    let seed = 0x2545_f491_4f6c_dd1d_u64;
    println!("seed {seed:#x}");
    let mut random = seed;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 16) as usize % below
    };
    let mut assembled = 0;
    for _ in 0..30_000 {
        let mut source = String::new();
        for _ in 0..1 + next(4) {
            for _ in 0..1 + next(7) {
                match next(20) {
                    0 => source.push(char::from_u32(next(0x3000) as u32).unwrap_or('?')),
                    _ => source.push_str(WORDS[next(WORDS.len())]),
                }
                source.push(' ');
            }
            source.push('\n');
        }
        let size = [Bits16, Bits32, Bits64][next(3)];
        match assemble(&source, Assembly { size, origin: 0x7c00 }) {
            Ok(_) => assembled += 1,
            Err(error) => {
                let line = source.lines().nth(error.line - 1).unwrap_or_default();
                assert!(error.column >= 1, "{source:?}: {error}");
                assert!(error.column <= line.chars().count() + 1, "{source:?}: {error}");
            }
        }
    }
    assert!(assembled > 20, "some of it is assembly: {assembled}");
}

#[test]
fn a_cause_says_what_is_near() {
    let unknown = error(Bits32, "addd eax, 1");
    let AssembleCause::UnknownMnemonic { name, nearest } = unknown.cause else {
        panic!("{unknown}")
    };
    assert_eq!((name.as_str(), nearest.first().map(String::as_str)), ("addd", Some("add")));
}
