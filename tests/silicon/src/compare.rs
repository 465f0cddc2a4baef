//! Whether two outcomes of a case are the same as far as they can be, and what differs.

use iced_x86::{Code, OpKind, Register};

use crate::case::{Case, Outcome, ending, seg};
use crate::generate::Generated;
use crate::generate::encode::decode;
use crate::generate::values::mix;

/// RF: faults push it set, traps do not, and no instruction here reads it.
const RF: u64 = 1 << 16;
const TF: u64 = 1 << 8;
/// First address of the kernel's half in Linux's eyes.
const KERNEL: u64 = 0x7fff_ffff_f000;
/// Vectors with an error code.
const CODED: [u32; 7] = [8, 10, 11, 12, 13, 14, 17];
const PAGE_FAULT: u32 = 14;
/// Selector of 64-bit code.
const CODE64: u16 = crate::place::gdt::CODE64;

/// A bit that is not compared.
#[derive(Clone, Copy, Debug)]
pub struct Masked {
    /// Of which forms.
    pub applies: fn(Code) -> bool,
    /// What of RFLAGS.
    pub rflags: u64,
    /// What is masked, in words.
    pub what: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// All masked bits.
pub const MASKED: &[Masked] = &[Masked {
    applies: stores_mxcsr_mask,
    rflags: 0,
    what: "bit 17 of MXCSR_MASK in memory",
    reason: "the reference CPU offers AMD's misaligned SSE mode (MXCSR.MM), which no model has",
}];

/// Whether a `Code` stores MXCSR_MASK.
fn stores_mxcsr_mask(code: Code) -> bool {
    matches!(
        code,
        Code::Fxsave_m512byte
            | Code::Fxsave64_m512byte
            | Code::Xsave_mem
            | Code::Xsave64_mem
            | Code::Xsaveopt_mem
            | Code::Xsaveopt64_mem
            | Code::Xsavec_mem
            | Code::Xsavec64_mem
    )
}

/// Where the memory operand lies: its offset in the window.
pub(crate) fn operand_offset(generated: &Generated) -> Option<u64> {
    let instruction = &generated.encoding.instruction;
    let registers = &generated.case.registers;
    let operand =
        (0..instruction.op_count()).find(|&n| instruction.op_kind(n) == OpKind::Memory)?;
    let base = |register: Register| {
        let n = register as usize - Register::ES as usize;
        match (generated.case.bits, n) {
            (64, seg::FS | seg::GS) => registers.bases[n - seg::FS],
            (64, _) => 0,
            _ => crate::place::base(registers.selectors[n]),
        }
    };
    let linear = instruction.virtual_address(operand, 0, |register, _, _| {
        if register.is_segment_register() {
            return Some(base(register));
        }
        let value = registers.gpr.get(register.number()).copied()?;
        Some(value & u64::MAX >> (64 - 8 * register.size().min(8)))
    })?;
    let linear = if instruction.is_ip_rel_memory_operand() {
        let base = base(instruction.memory_segment());
        let mask =
            if instruction.memory_base() == Register::EIP { u32::MAX.into() } else { u64::MAX };
        base.wrapping_add(linear.wrapping_sub(base).wrapping_add(registers.rip) & mask)
    } else {
        linear
    };
    Some(linear.wrapping_sub(crate::place::WINDOW))
}

/// Takes everything out of an outcome that says nothing about the instruction.
pub fn normalise(generated: &Generated, outcome: &mut Outcome) {
    let case = &generated.case;
    let code = generated.encoding.instruction.code();
    let vector = outcome.ending.vector;
    if vector >= ending::SYSTEM_CALL {
        let ending = outcome.ending.vector;
        *outcome = Outcome::LOST;
        outcome.ending.vector = ending;
        return;
    }
    if !CODED.contains(&vector) {
        outcome.ending.error = 0;
    }
    if vector != PAGE_FAULT {
        outcome.ending.address = 0;
    } else if outcome.ending.address >= KERNEL {
        // Linux says "protection" of all of them, to hide which are mapped.
        outcome.ending.error |= 1;
    }
    let registers = &mut outcome.registers;
    registers.rflags &= !RF;
    for n in [seg::ES, seg::DS, seg::FS, seg::GS] {
        // The kernel's return to the signal handler clears the RPL of null selectors (Intel SDM
        // vol. 2, "IRET", RETURN-TO-OUTER-PRIVILEGE-LEVEL).
        if registers.selectors[n] <= 3 {
            registers.selectors[n] = 0;
        }
    }
    if case.bits != 64 || registers.selectors[1] != CODE64 {
        // The upper halves are undefined in and after compatibility mode.
        for register in &mut registers.gpr {
            *register &= 0xffff_ffff;
        }
        if registers.selectors[1] != CODE64 {
            registers.rip &= 0xffff_ffff;
        }
    }
    for masked in MASKED.iter().filter(|masked| (masked.applies)(code)) {
        registers.rflags &= !masked.rflags;
    }
    if stores_mxcsr_mask(code)
        && let Some(offset) = operand_offset(generated)
    {
        let count = (outcome.count as usize).min(crate::case::WORDS);
        for (at, word) in &mut outcome.words[..count] {
            if *at == offset.wrapping_add(24) {
                *word &= !(1 << 49);
            }
        }
    }
    for word in &mut outcome.words[(outcome.count as usize).min(crate::case::WORDS)..] {
        *word = (0, 0);
    }
}

/// For a run without TF: sets it, as the other side has it.
pub fn set_trap_flag(outcome: &mut Outcome) {
    outcome.registers.rflags |= TF;
}

/// Whether two normalised outcomes are equal.
#[must_use]
pub fn same(a: &Outcome, b: &Outcome) -> bool {
    a.ending == b.ending
        && a.registers == b.registers
        && a.count == b.count
        && a.words() == b.words()
}

/// A number that differs if a normalised outcome does.
#[must_use]
pub fn hash(outcome: &Outcome) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64;
    let mut put = |word: u64| {
        hash = (hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 29;
    };
    put(u64::from(outcome.ending.vector) << 32 | u64::from(outcome.ending.error));
    put(outcome.ending.address);
    outcome.registers.words().iter().for_each(|&word| put(word));
    put(outcome.count);
    outcome.words().iter().for_each(|&(at, word)| {
        put(at);
        put(word);
    });
    mix(hash)
}

/// What an ending is called.
#[must_use]
pub fn ending_name(vector: u32) -> String {
    match vector {
        1 => "completed".to_owned(),
        ending::SYSTEM_CALL => "system call".to_owned(),
        ending::LOST => "process lost".to_owned(),
        ending::UNIMPLEMENTED => "not implemented".to_owned(),
        ending::STOPPED => "stopped".to_owned(),
        _ => match cutaway_isa::Vector(vector as u8).mnemonic() {
            Some(name) => name.to_owned(),
            None => format!("vector {vector}"),
        },
    }
}

const NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];
const SEGMENTS: [&str; 6] = ["es", "cs", "ss", "ds", "fs", "gs"];

/// Every part of an outcome with its name and value, as text.
fn parts(outcome: &Outcome) -> Vec<(String, String)> {
    let mut parts = Vec::new();
    let mut put = |name: &str, value: String| parts.push((name.to_owned(), value));
    let ending = outcome.ending;
    put("ending", ending_name(ending.vector));
    put("error code", format!("{:#x}", ending.error));
    put("cr2", format!("{:#x}", ending.address));
    let registers = &outcome.registers;
    for (name, value) in NAMES.iter().zip(registers.gpr) {
        put(name, format!("{value:#x}"));
    }
    put("rip", format!("{:#x}", registers.rip));
    put("rflags", flags_text(registers.rflags));
    for (name, value) in SEGMENTS.iter().zip(registers.selectors) {
        put(name, format!("{value:#x}"));
    }
    put("fs base", format!("{:#x}", registers.bases[0]));
    put("gs base", format!("{:#x}", registers.bases[1]));
    let x87 = &registers.x87;
    let word = |at: usize| u16::from_le_bytes([x87[at], x87[at + 1]]);
    put("fcw", format!("{:#x}", word(0)));
    put("fsw", format!("{:#x}", word(2)));
    put("ftw", format!("{:#x}", word(4)));
    put("fop", format!("{:#x}", word(6)));
    put("fip", format!("{:02x?}", &x87[8..16]));
    put("fdp", format!("{:02x?}", &x87[16..24]));
    for (n, st) in registers.st.iter().enumerate() {
        let significand = u64::from_le_bytes(*st.first_chunk().expect("16 bytes"));
        let exponent = u16::from_le_bytes([st[8], st[9]]);
        put(&format!("st{n}"), format!("{exponent:04x}:{significand:016x}"));
    }
    put("mxcsr", format!("{:#x}", registers.mxcsr));
    for (n, ymm) in registers.ymm.iter().enumerate() {
        let [a, b, c, d] = ymm;
        put(&format!("ymm{n}"), format!("{d:016x}_{c:016x}_{b:016x}_{a:016x}"));
    }
    for (at, value) in outcome.words() {
        put(&format!("[window + {at:#x}]"), format!("{value:#018x}"));
    }
    parts
}

fn flags_text(flags: u64) -> String {
    let names = [
        (0, "CF"),
        (2, "PF"),
        (4, "AF"),
        (6, "ZF"),
        (7, "SF"),
        (8, "TF"),
        (10, "DF"),
        (11, "OF"),
        (14, "NT"),
        (18, "AC"),
        (21, "ID"),
    ];
    let set = names.iter().filter(|(bit, _)| flags >> bit & 1 != 0).map(|(_, name)| *name);
    format!("{flags:#x} {}", set.collect::<Vec<_>>().join(" "))
}

/// What differs: name, the first outcome's value, the second's.
#[must_use]
pub fn differences(a: &Outcome, b: &Outcome) -> Vec<[String; 3]> {
    let (a, b) = (parts(a), parts(b));
    let mut differences = Vec::new();
    let find = |parts: &[(String, String)], name: &str| {
        parts.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    };
    for (name, value) in &a {
        let other = find(&b, name).unwrap_or_else(|| "unchanged".to_owned());
        if *value != other {
            differences.push([name.clone(), value.clone(), other]);
        }
    }
    for (name, value) in &b {
        if find(&a, name).is_none() {
            differences.push([name.clone(), "unchanged".to_owned(), value.clone()]);
        }
    }
    differences
}

/// The instruction of a case with its bytes.
#[must_use]
pub fn disassemble(case: &Case) -> String {
    let bytes: Vec<String> = case.code().iter().map(|byte| format!("{byte:02x}")).collect();
    let text = decode(case.size(), case.code()).map_or_else(
        || "no instruction".to_owned(),
        |found| {
            let mut instruction = found.instruction;
            instruction.set_ip(case.registers.rip);
            cutaway_isa::disassemble(&instruction)
        },
    );
    format!("{} ({} bits): {text}", bytes.join(" "), case.bits)
}

/// What of a case can matter: registers and memory before it.
#[must_use]
pub fn describe(case: &Case) -> Vec<(String, String)> {
    let mut outcome = Outcome { registers: case.registers, ..Outcome::LOST };
    outcome.ending.vector = 1;
    let mut parts = parts(&outcome);
    parts.drain(..3);
    for patch in case.patches() {
        let bytes = &patch.bytes()[..patch.bytes().len().min(32)];
        parts.push((format!("[window + {:#x}]", patch.offset), format!("{bytes:02x?}")));
    }
    parts
}

/// Whether silicon's results of a `Code` are approximations that the manuals give an error bound
/// for (Intel SDM vol. 1 §8.3.10, "Transcendental Instruction Accuracy"; AMD APM vol. 5): one
/// processor's last bits are as good as another's.
#[must_use]
pub fn is_tolerant(code: Code) -> bool {
    matches!(
        code,
        Code::F2xm1
            | Code::Fyl2x
            | Code::Fyl2xp1
            | Code::Fptan
            | Code::Fpatan
            | Code::Fsin
            | Code::Fcos
            | Code::Fsincos
    )
}

/// Whether two normalised outcomes are the same but for one unit in the last place of ST(0) and
/// ST(1) and for C1, which says how that was rounded.
#[must_use]
pub fn near(a: &Outcome, b: &Outcome) -> bool {
    const C1: u8 = 1 << 1;
    let (mut a, mut b) = (*a, *b);
    for n in 0..2 {
        let place = |st: &[u8; 16]| {
            let significand = u64::from_le_bytes(*st.first_chunk().expect("16 bytes"));
            let exponent = u16::from_le_bytes([st[8], st[9]]);
            u128::from(exponent) << 63 | u128::from(significand & u64::MAX >> 1)
        };
        if place(&a.registers.st[n]).abs_diff(place(&b.registers.st[n])) <= 1 {
            a.registers.st[n] = b.registers.st[n];
        }
    }
    a.registers.x87[3] &= !C1;
    b.registers.x87[3] &= !C1;
    same(&a, &b)
}
