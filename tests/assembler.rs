//! The assembler against the disassembler and against NASM, over many forms of all instructions.
//!
//! Texts are made from random bytes: what decodes is disassembled, a few times for each opcode and
//! code size. Each text must assemble, and disassemble to the same text again; and where NASM takes
//! the text, its bytes must be ours. The exceptions are few, and each has its rule below.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use cutaway::isa::{Assembly, CodeSize, assemble, decode, disassemble};
use cutaway_tests::skip::{passed, program, skipped};

const SIZES: [CodeSize; 3] = [CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64];
const SEED: u64 = 0x1234_5678_9abc_def1;
/// Texts of each opcode in each code size.
const EACH: usize = 6;
const DRAWS: usize = 300_000;

/// In a file for NASM each text has a slot of its own, so that both sides know its address.
const SLOT: usize = 32;
const SLOTS: usize = 1000;
const ORIGIN: usize = 0x1000;
const PADDING: u8 = 0x90;

/// A disassembled instruction.
struct Sample {
    text: String,
    bytes: Vec<u8>,
    ip: u64,
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Bytes that are more often an instruction than just any: prefixes are few, and each opcode
    /// map has its share.
    fn instruction(&mut self, size: CodeSize) -> [u8; 16] {
        const PREFIXES: [u8; 11] =
            [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3];
        let mut bytes = [0; 16];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes());
        }
        let choice = self.next();
        let mut at = 0;
        for shift in [0, 2] {
            if choice >> shift & 3 == 0 && at == shift as usize / 2 {
                bytes[at] = PREFIXES[(choice >> (8 + 4 * shift)) as usize % PREFIXES.len()];
                at += 1;
            }
        }
        if size == CodeSize::Bits64 && choice & 0x30 == 0 {
            bytes[at] = 0x40 | (choice >> 24) as u8 & 15;
            at += 1;
        }
        match choice >> 32 & 7 {
            0 | 1 => bytes[at] = 0x0f,
            2 => bytes[at..at + 2].copy_from_slice(&[0x0f, 0x38]),
            3 => bytes[at..at + 2].copy_from_slice(&[0x0f, 0x3a]),
            4 => bytes[at] = 0xc5,
            5 => {
                bytes[at] = 0xc4;
                bytes[at + 1] = bytes[at + 1] & 0xe0 | (1 + (choice >> 40) as u8 % 3);
            }
            _ => {}
        }
        bytes
    }
}

/// A few texts of every opcode that random bytes reach, in files of [`SLOTS`].
fn samples(size: CodeSize) -> Vec<Vec<Sample>> {
    let mut random = Random(SEED);
    let mut counts = BTreeMap::new();
    let mut files = vec![Vec::new()];
    for _ in 0..DRAWS {
        let bytes = random.instruction(size);
        if files.last().is_some_and(|file| file.len() == SLOTS) {
            files.push(Vec::new());
        }
        let file = files.last_mut().expect("there is one from the start on");
        let ip = (ORIGIN + file.len() * SLOT) as u64;
        let Ok(instruction) = decode(size, &bytes, ip) else { continue };
        let count = counts.entry(instruction.code()).or_insert(0);
        if *count < EACH {
            *count += 1;
            let bytes = bytes[..instruction.len()].to_vec();
            file.push(Sample { text: disassemble(&instruction), bytes, ip });
        }
    }
    assert!(counts.len() > 1000, "{} opcodes in {}-bit code", counts.len(), size.bits());
    files
}

/// The text of bytes, and how many they are.
fn text_of(size: CodeSize, bytes: &[u8], ip: u64) -> (String, usize) {
    match decode(size, bytes, ip) {
        Ok(instruction) => (disassemble(&instruction), instruction.len()),
        Err(error) => (format!("{error:?}"), bytes.len()),
    }
}

fn ours(size: CodeSize, sample: &Sample) -> Result<Vec<u8>, String> {
    let assembled = assemble(&sample.text, Assembly { size, origin: sample.ip });
    assembled.map(|assembled| assembled.bytes).map_err(|error| error.to_string())
}

/// Why a text may come back as another one, which means the same.
fn other_text(size: CodeSize, sample: &Sample, again: &str) -> Option<&'static str> {
    let text = sample.text.as_str();
    let mnemonic = |text: &str| text.split(' ').find(|word| *word != "lock").map(str::to_owned);
    let same_mnemonic = mnemonic(text) == mnemonic(again);
    if text.contains("*1") || text.contains("*2") {
        return Some("an index without a base is made a base, or both, if that is shorter");
    }
    if text.contains("sal ") && again.contains("shl ") {
        return Some("SAL and SHL are one operation; SHL's opcode is the documented one");
    }
    if text.starts_with("xchg") && same_mnemonic {
        return Some("XCHG's operands may be exchanged");
    }
    if text.starts_with("mov ") && text.contains("s, ") && same_mnemonic {
        return Some("a selector is loaded out of a register of any size");
    }
    if size == CodeSize::Bits64 && text.starts_with("mov r") && text.ends_with("s") {
        return Some("32 bits are zero-extended to 64");
    }
    None
}

#[test]
fn every_disassembled_text_assembles_to_the_same_text() {
    println!("seed {SEED:#x}");
    let (mut all, mut same_bytes, mut others) = (0, 0, BTreeMap::new());
    for size in SIZES {
        for sample in samples(size).iter().flatten() {
            let bits = size.bits();
            // A prefix that says nothing has made room for one byte more of distance.
            let Ok(bytes) = ours(size, sample) else {
                let reason = ours(size, sample).expect_err("it has failed before");
                assert!(
                    reason.contains("short jump") && sample.bytes.len() > 2,
                    "{bits}: {} ({:02x?}): {reason}",
                    sample.text,
                    sample.bytes
                );
                continue;
            };
            let (again, len) = text_of(size, &bytes, sample.ip);
            assert_eq!(len, bytes.len(), "{bits}: {}: one instruction", sample.text);
            all += 1;
            same_bytes += usize::from(bytes == sample.bytes);
            if again != sample.text {
                let rule = other_text(size, sample, &again);
                let rule = rule.unwrap_or_else(|| {
                    panic!("{bits}: {} became {bytes:02x?}: {again}", sample.text)
                });
                *others.entry(rule).or_insert(0) += 1;
            }
        }
    }
    println!("{all} texts; {same_bytes} have the very bytes that they came from; other texts:");
    for (rule, count) in &others {
        println!("{count:6} {rule}");
    }
    let other: usize = others.values().sum();
    assert!(other * 50 < all, "{other} of {all} have another text");
}

/// A folder that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("cutaway-assembler-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the folder for temporary files can be written");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What NASM makes of a source, or the lines that it does not take.
fn nasm(folder: &Path, source: &str) -> Result<Vec<u8>, BTreeSet<usize>> {
    let (input, output) = (folder.join("source.asm"), folder.join("source.bin"));
    std::fs::write(&input, source).expect("the folder can be written");
    let run = Command::new("nasm")
        .args(["-w-all", "-f", "bin", "-o"])
        .args([&output, &input])
        .output()
        .expect("nasm starts: it is there");
    if run.status.success() {
        return Ok(std::fs::read(&output).expect("nasm has written it"));
    }
    let errors = String::from_utf8_lossy(&run.stderr);
    let lines: BTreeSet<usize> =
        errors.lines().filter_map(|line| line.split(':').nth(1)?.parse().ok()).collect();
    assert!(!lines.is_empty(), "{errors}");
    Err(lines)
}

/// The slots that NASM makes of the texts that it takes.
fn slots(folder: &Path, size: CodeSize, file: &[Sample]) -> Vec<Option<Vec<u8>>> {
    let mut taken: Vec<bool> = vec![true; file.len()];
    loop {
        let mut source = format!("bits {}\norg {ORIGIN}\n", size.bits());
        for (n, sample) in file.iter().enumerate() {
            // Two lines for each, whether it is taken or not.
            if taken[n] {
                let text = relative_to_section(&sample.text);
                source.push_str(&format!("times {}-($-$$) db {PADDING}\n{text}\n", n * SLOT));
            } else {
                source.push_str("\n\n");
            }
        }
        source.push_str(&format!("times {}-($-$$) db {PADDING}\n", file.len() * SLOT));
        match nasm(folder, &source) {
            Ok(bytes) => {
                let slots = bytes.chunks(SLOT).map(<[u8]>::to_vec);
                return slots.zip(taken).map(|(slot, taken)| taken.then_some(slot)).collect();
            }
            Err(lines) => {
                for line in lines {
                    taken[(line - 3) / 2] = false;
                }
            }
        }
    }
}

/// NASM makes only addresses of the section relative to RIP, and no plain numbers.
fn relative_to_section(text: &str) -> String {
    let Some(number) = text.find("rel ").and_then(|rel| Some(rel + text[rel..].find("0x")?)) else {
        return text.to_owned();
    };
    format!("{}$$-{ORIGIN}+{}", &text[..number], &text[number..])
}

/// Why NASM's bytes may be other ones than ours.
fn difference(size: CodeSize, sample: &Sample, ours: &[u8], slot: &[u8]) -> Option<&'static str> {
    let text = sample.text.as_str();
    let (theirs, len) = text_of(size, slot, sample.ip);
    let (our_text, _) = text_of(size, ours, sample.ip);
    let vex = |byte: &u8| matches!(byte, 0xc4 | 0xc5);
    let starts = |names: &[&str]| names.iter().any(|name| text.starts_with(name));
    if ours.iter().take(4).any(vex) && slot.iter().take(5).any(|byte| *byte == 0x62) {
        return Some("NASM prefers EVEX, which the decoder does not have");
    }
    if slot.iter().all(|byte| *byte == PADDING) && !text.contains(' ') {
        return Some("NASM does not know the word and takes it for a label");
    }
    if ours.iter().take(4).any(vex) && our_text == theirs && ours.len() < len {
        return Some("ours is shorter: the opcode with its operands the other way around");
    }
    if text.contains("[dword rel ") {
        return Some("NASM ignores dword in a relative address: EIP becomes RIP");
    }
    if starts(&["enqcmd", "invpcid", "wruss", "wrss", "rdssp", "notrack", "ptwrite"]) {
        return Some("a prefix too many or too few in NASM, which changes or wastes a byte");
    }
    if text.contains("retw 0x") || text.contains("retw ") {
        return Some("NASM leaves out the operand size prefix of RETW with a number");
    }
    if text.starts_with("o16 push ") {
        return Some("NASM makes a number of 32 bits behind an operand size prefix of 16");
    }
    if text.starts_with("sldt r") {
        return Some("NASM leaves out REX.W, which says nothing here");
    }
    let long = |digits: usize| {
        text.split("0x")
            .skip(1)
            .any(|number| number.chars().take_while(char::is_ascii_hexdigit).count() >= digits)
    };
    if size == CodeSize::Bits16 && long(5) || size == CodeSize::Bits64 && long(8) {
        return Some("NASM cuts a number off, with a warning");
    }
    if text.contains(" short ") {
        return Some("NASM cuts a distance off, with a warning");
    }
    None
}

#[test]
fn nasm_makes_the_same_bytes() {
    if program("nasm").is_none() {
        skipped("assembling with NASM for comparison", "apt install nasm");
        return;
    }
    println!("seed {SEED:#x}");
    let folder = Scratch::new("forms");
    let (mut all, mut same, mut refused) = (0, 0, 0);
    let mut others: BTreeMap<_, usize> = BTreeMap::new();
    for size in SIZES {
        for file in samples(size) {
            for (sample, slot) in file.iter().zip(slots(&folder.0, size, &file)) {
                let Some(slot) = slot else {
                    refused += 1;
                    continue;
                };
                let Ok(bytes) = ours(size, sample) else { continue };
                all += 1;
                let mut padded = bytes.clone();
                padded.resize(SLOT, PADDING);
                if padded == slot {
                    same += 1;
                    continue;
                }
                let rule = difference(size, sample, &bytes, &slot).unwrap_or_else(|| {
                    let bits = size.bits();
                    panic!("{bits}: {}: ours {bytes:02x?}, NASM's {slot:02x?}", sample.text)
                });
                *others.entry(rule).or_default() += 1;
            }
        }
    }
    println!("NASM takes {all} texts and refuses {refused}; {same} have the same bytes; others:");
    for (rule, count) in &others {
        println!("{count:6} {rule}");
    }
    assert!(all > 20_000, "{all} texts compared");
    assert!((all - same) * 100 < all, "{same} of {all} are the same");
    let percent = f64::from(same) * 100.0 / f64::from(all);
    passed(&format!("{all} instructions as in NASM, {percent:.2} % with the same bytes"));
}

/// Whole sources: labels, jumps that grow, data, directives. None has a displacement that is defined
/// behind its use, which NASM never makes short.
const SOURCES: [&str; 3] = [
    r#"bits 16
org 0x7c00
start:  cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, start
        lgdt [gdtr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp 8:protected
align 8
gdt:    dq 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdtr:   dw gdtr - gdt - 1
        dd gdt
bits 32
protected:
        mov ax, 0x10
        mov ds, ax
        mov esi, message
.next:  lodsb
        test al, al
        jz .done
        out 0xe9, al
        jmp .next
.done:  hlt
        jmp .done
message: db 'Hello', 13, 10, 0
times 510-($-$$) db 0
dw 0xaa55
"#,
    "bits 64
default rel
later equ 0x40
size equ end - begin
begin:  mov rax, [value]
        lea rsi, [table + 8]
        mov rdi, table
        mov ecx, size
        add rax, last - value
        mov [value], rax
        mov byte [table + rbx], size / 2
        cmp dword [rbx + rcx*4 + later], 'abcd'
        jne far_away
        call begin
        mov al, [fs:value]
        mov rax, [rsp + 8*9]
        jmp end
        times 119 nop
        jz begin
        loop $
end:    ret
value:  dq 1, -1, value, $ - $$
table:  dd 1.5, 0x10, later
last:   db `a\\tb\\n`, \"it's\", 0
        times 300 db 0xcc
far_away:
        jrcxz near_by
near_by: iretq
",
    "bits 32
a:      jmp d
        times 60 jz c
b:      times 3 jmp a
        push a
        push word 7
        push strict dword 7
        imul eax, [ebx*4 + a], b - a
        mov eax, [a + ecx]
        mov al, [byte ebx + 4]
        xchg [ebx], al
        test [ebx], cl
        sub esp, d - b
c:      enter 8, 0
        movzx eax, word [ebx]
        a16 lodsb
        rep es movsw
        lock inc dword [fs:eax]
d:      ret 4
        align 16
        dw a, b, c - a, (d - a) / 2, ~1 & 0xff, 1 << 4 | 3
",
];

#[test]
fn nasm_makes_the_same_of_whole_sources() {
    if program("nasm").is_none() {
        skipped("assembling whole sources with NASM for comparison", "apt install nasm");
        return;
    }
    let folder = Scratch::new("sources");
    for source in SOURCES {
        let theirs = nasm(&folder.0, source).unwrap_or_else(|lines| panic!("{lines:?}: {source}"));

        let ours = assemble(source, Assembly { size: CodeSize::Bits16, origin: 0 });

        let ours = ours.unwrap_or_else(|error| panic!("{error}: {source}"));
        for line in &ours.lines {
            let range = line.offset..line.offset + line.len;
            let (left, right) = (&ours.bytes[range.clone()], theirs.get(range).unwrap_or_default());
            assert_eq!(left, right, "line {}: {:?}", line.line, source.lines().nth(line.line - 1));
        }
        assert_eq!(ours.bytes.len(), theirs.len());
    }
}
