//! The recorder against the interpreter: what the text says is what happens.

mod bench;

use bench::{Bench, CODE};
use cutaway_cpu::record;
use cutaway_isa::{CodeSize, Width, decode};
use std::collections::BTreeMap;

const NAMES: [&str; 8] = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];

/// Reads a record as the reader of the screen would: assignments, from top to bottom. What it
/// cannot read (flags) it passes over.
struct Reader {
    values: BTreeMap<String, u64>,
}

impl Reader {
    fn new(registers: &[u64]) -> Self {
        let values = NAMES.iter().zip(registers).map(|(n, &v)| ((*n).to_owned(), v)).collect();
        Self { values }
    }

    /// The register of a 32-bit name, or the name itself.
    fn full(name: &str) -> String {
        if name.starts_with('e') { name.replacen('e', "r", 1) } else { name.to_owned() }
    }

    fn value(&self, text: &str) -> Option<u64> {
        if let Some(hex) = text.strip_prefix("0x") {
            return u64::from_str_radix(hex, 16).ok();
        }
        let full = self.values.get(&Self::full(text)).copied()?;
        Some(if text.starts_with('e') { full & 0xffff_ffff } else { full })
    }

    fn expression(&self, text: &str) -> Option<u64> {
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            [a] => self.value(a),
            ["not", a] => Some(!self.value(a)?),
            ["low", "32", "bits", "of", a] => Some(self.value(a)? & 0xffff_ffff),
            [a, "sign-extended", "from", "32", "to", "64", "bits"] => {
                Some(i64::from(self.value(a)? as u32 as i32) as u64)
            }
            [a, op, b] => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                Some(match op {
                    "+" => a.wrapping_add(b),
                    "-" => a.wrapping_sub(b),
                    "*" => a.wrapping_mul(b),
                    "and" => a & b,
                    "or" => a | b,
                    "xor" => a ^ b,
                    "<<" => a << (b & 63),
                    ">>" => a >> (b & 63),
                    _ => return None,
                })
            }
            _ => None,
        }
    }

    fn read(&mut self, lines: &[String]) {
        for line in lines {
            let Some((place, text)) = line.split_once(" := ") else { continue };
            let Some(value) = self.expression(text) else { continue };
            let value = if place.starts_with('e') { value & 0xffff_ffff } else { value };
            self.values.insert(Self::full(place), value);
        }
    }
}

#[test]
#[rustfmt::skip] // one row an instruction
fn the_record_leads_to_the_interpreters_registers() {
    let rows: [(&str, &[u8]); 14] = [
        ("add eax, ebx",        &[0x01, 0xd8]),
        ("sub rcx, rdx",        &[0x48, 0x29, 0xd1]),
        ("xor rsi, rdi",        &[0x48, 0x31, 0xfe]),
        ("and edx, 0xff0",      &[0x81, 0xe2, 0xf0, 0x0f, 0, 0]),
        ("or rbx, -2",          &[0x48, 0x83, 0xcb, 0xfe]),
        ("not rdi",             &[0x48, 0xf7, 0xd7]),
        ("neg rax",             &[0x48, 0xf7, 0xd8]),
        ("inc rbp",             &[0x48, 0xff, 0xc5]),
        ("shl rdx, 7",          &[0x48, 0xc1, 0xe2, 7]),
        ("shr rbx, 9",          &[0x48, 0xc1, 0xeb, 9]),
        ("mov esi, eax",        &[0x89, 0xc6]),
        ("movsxd rax, ebx",     &[0x48, 0x63, 0xc3]),
        ("xchg rcx, rdx",       &[0x48, 0x87, 0xd1]),
        ("imul rcx, rdi, 10",   &[0x48, 0x6b, 0xcf, 10]),
    ];
    for (asm, bytes) in rows {
        let program: Vec<u8> = bytes.iter().copied().chain([0xf4]).collect();
        let mut bench = Bench::long(&program);
        let start: [u64; 8] = [
            0x8000_0001_ffff_fff3, 0x17, 0x8000_0000_0000_0005, 0xfedc_ba98_8765_4321,
            0x9_0000, 0x7fff_ffff_ffff_ffff, 0x0123_4567_89ab_cdef, 0x42,
        ];
        bench.edit(|s| s.gpr[..8].copy_from_slice(&start));
        let instruction = decode(CodeSize::Bits64, bytes, CODE).unwrap();

        let text = record(&instruction, Width::Qword).expect(asm);
        let mut reader = Reader::new(&start);
        reader.read(text.lines());
        let state = bench.run_to_halt();

        for (n, name) in NAMES.iter().enumerate() {
            assert_eq!(reader.values[*name], state.gpr[n], "{asm}: {name} by {:?}", text.lines());
        }
    }
}

#[test]
fn a_record_names_operands_and_flags() {
    let instruction = decode(CodeSize::Bits32, &[0x01, 0xd8], 0).unwrap();
    let text = record(&instruction, Width::Dword).unwrap();

    assert_eq!(
        text.lines(),
        [
            "t1 := eax",
            "t2 := ebx",
            "t3 := t1 + t2",
            "eax := t3",
            "CF OF SF ZF AF PF from t1 + t2 = t3 (Dword)"
        ]
    );
}

/// The order rule of meanings (all that can fault, then registers, then flags), for every
/// encoding of one and two opcode bytes with a memory operand and with a register operand.
#[test]
fn no_meaning_faults_after_a_change() {
    let mut seen = 0;
    for prefix in [&[][..], &[0x66], &[0xf2], &[0xf3]] {
        for map in [&[][..], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]] {
            for opcode in 0..=255_u8 {
                for modrm in
                    (0..64).map(|n| (n / 8 * 8) | 0x40).chain((0..8).map(|n| 0xc1 | n << 3))
                {
                    let mut bytes = [prefix, map, &[opcode, modrm]].concat();
                    bytes.resize(15, 0x11);
                    for size in [CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64] {
                        let Ok(instruction) = decode(size, &bytes, 0) else { continue };
                        if let Some(text) = record(&instruction, Width::Qword) {
                            seen += 1;
                            assert!(!text.has_late_fault(), "{bytes:x?}: {:?}", text.lines());
                        }
                    }
                }
            }
        }
    }
    assert!(seen > 100_000, "{seen} encodings");
}

#[test]
fn an_instruction_without_a_meaning_has_no_record() {
    let cpuid = decode(CodeSize::Bits64, &[0x0f, 0xa2], 0).unwrap();
    assert!(record(&cpuid, Width::Qword).is_none());
}
