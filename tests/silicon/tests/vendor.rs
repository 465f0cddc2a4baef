//! The table of differences between makes explains each of its differences, and nothing else.

use cutaway_silicon::case::{Case, Ending, Outcome, Registers, seg};
use cutaway_silicon::check::MODEL;
use cutaway_silicon::compare;
use cutaway_silicon::generate::Generated;
use cutaway_silicon::generate::encode::{Encoding, decode};
use cutaway_silicon::judge::Judge;
use cutaway_silicon::place::{CODE, DATA, LAST, PAGE, STACK, WINDOW, filler};
use cutaway_silicon::vendor::{DIFFERENCES, explanation};

const AC: u64 = 1 << 18;
const RIP: u64 = CODE + 0x400;
const TOP_OF_STACK: u64 = STACK + 0x800;
const OPERAND: u64 = DATA + 0x100;

/// An instruction with what the other make's CPU does where ours does something else.
struct Sample {
    what: &'static str,
    bits: u8,
    code: &'static [u8],
    /// Changes the case.
    before: fn(&mut Case),
    /// Makes our outcome the other's.
    after: fn(&mut Outcome, &Case),
}

/// The case of some bytes: all registers but RSP point at the operand.
fn case(bits: u8, code: &[u8]) -> Case {
    let mut case = Case { bits, ..Case::EMPTY };
    case.bytes[..code.len()].copy_from_slice(code);
    case.len = code.len() as u8;
    let (selectors, base) = match bits {
        16 => ([0x1f, 0x0f, 0x1f, 0x1f, 0, 0], 0),
        32 => ([0x2b, 0x23, 0x2b, 0x2b, 0, 0], WINDOW),
        _ => ([0, 0x33, 0x2b, 0, 0, 0], WINDOW),
    };
    let mut x87 = [0; 24];
    (x87[0], x87[1]) = (0x7f, 3);
    let mut registers = Registers { gpr: [base + OPERAND; 16], selectors, x87, ..Registers::ZERO };
    registers.gpr[4] = base + TOP_OF_STACK;
    registers.rip = base + RIP;
    registers.rflags = 0x202;
    registers.bases = [WINDOW, 0];
    Case { registers, ..case }
}

/// The decoded case, its code in memory.
fn generated(mut case: Case) -> Generated {
    let base = if case.registers.rip < WINDOW { 0 } else { WINDOW };
    let (code, len) = (case.bytes, usize::from(case.len));
    case.patch(case.registers.rip - base, &code[..len]);
    let encoding = decode(case.size(), case.code()).unwrap_or(Encoding {
        bytes: case.bytes,
        len,
        instruction: iced_x86::Instruction::default(),
        displacement: (0, 0),
    });
    Generated { case, encoding }
}

/// Puts a qword of memory into an outcome.
fn put(outcome: &mut Outcome, offset: u64, value: u64) {
    let mut words = outcome.words().to_vec();
    words.retain(|word| word.0 != offset);
    words.push((offset, value));
    words.sort_unstable();
    outcome.count = words.len() as u64;
    outcome.words[..words.len()].copy_from_slice(&words);
}

/// A qword of memory that no case wrote.
fn untouched(offset: u64) -> u64 {
    (0..8).rev().fold(0, |word, n| word << 8 | u64::from(filler(offset + n)))
}

/// As if nothing had happened but this.
fn ended(outcome: &mut Outcome, case: &Case, vector: u32, error: u32, address: u64) {
    *outcome = Outcome { registers: case.registers, ..Outcome::LOST };
    outcome.registers.rflags |= 0x100;
    outcome.ending = Ending { vector, error, address };
}

fn completed(outcome: &mut Outcome, case: &Case) {
    ended(outcome, case, 1, 0, 0);
    outcome.registers.rip += u64::from(case.len);
}

const SAME: fn(&mut Case) = |_| {};

const SAMPLES: &[Sample] = &[
    Sample {
        what: "x87 pointers without a pending exception",
        bits: 64,
        code: &[0x90],
        before: SAME,
        after: |outcome, _| outcome.registers.x87[8] = 1,
    },
    Sample {
        what: "x87 pointers without a pending exception, in memory",
        bits: 64,
        code: &[0x0f, 0xae, 0x00],
        before: SAME,
        after: |outcome, _| put(outcome, OPERAND + 8, 0x1234),
    },
    Sample {
        what: "upper 16 bits of x87 pointers",
        bits: 64,
        code: &[0x48, 0x0f, 0xae, 0x08],
        before: |case| {
            let mut image = [0; 512];
            (image[0], image[1], image[2], image[3]) = (0x7e, 3, 0x81, 0x80);
            (image[13], image[14], image[15]) = (0x12, 0xc6, 0xc6);
            image[25] = 0x1f;
            case.patch(OPERAND, &image);
        },
        after: |outcome, _| outcome.registers.x87[14..16].fill(0xc6),
    },
    Sample {
        what: "undefined flags",
        bits: 64,
        code: &[0xf7, 0xe1],
        before: SAME,
        after: |outcome, _| outcome.registers.rflags ^= 1 << 7,
    },
    Sample {
        what: "SHLD, SHRD of 16 bits by more than 16",
        bits: 64,
        code: &[0x66, 0x0f, 0xa4, 0xc1, 20],
        before: SAME,
        after: |outcome, _| {
            outcome.registers.gpr[1] ^= 0xff;
            outcome.registers.rflags ^= 1;
        },
    },
    Sample {
        what: "flags of CMPS, SCAS between repetitions",
        bits: 64,
        code: &[0xf3, 0xa6],
        before: |case| case.registers.gpr[1] = 5,
        after: |outcome, _| outcome.registers.rflags = 0x302,
    },
    Sample {
        what: "upper halves of RCX, RSI, RDI under 67h",
        bits: 64,
        code: &[0x67, 0xf3, 0xa4],
        before: |case| {
            case.registers.gpr[6] = 1;
            case.registers.gpr[7] |= u64::MAX << 32;
        },
        after: |outcome, _| outcome.registers.gpr[7] &= 0xffff_ffff,
    },
    Sample {
        what: "TOP behind a store of an MMX register that faults",
        bits: 64,
        code: &[0x0f, 0x7e, 0x08],
        before: |case| {
            case.registers.gpr[0] = 1;
            case.registers.x87[3] = 3 << 3;
            case.registers.st[0][0] = 5;
        },
        after: |outcome, _| {
            outcome.registers.x87[3] = 0;
            outcome.registers.st.swap(0, 3);
        },
    },
    Sample {
        what: "RCPPS, RSQRTPS and their kin",
        bits: 64,
        code: &[0x0f, 0x53, 0xc1],
        before: |case| case.registers.ymm[1][0] = 0x4040_0000_3f80_0000,
        after: |outcome, _| outcome.registers.ymm[0][0] += 0x200,
    },
    Sample {
        what: "LOOPE, LOOPNE with a repeat prefix",
        bits: 64,
        code: &[0xf2, 0xe1, 0x10],
        before: SAME,
        after: |outcome, case| outcome.registers.rip = case.registers.rip + 3,
    },
    Sample {
        what: "F3h REX.B 90h",
        bits: 64,
        code: &[0xf3, 0x41, 0x90],
        before: |case| case.registers.gpr[8] = 7,
        after: completed,
    },
    Sample {
        what: "0F 0D of a register",
        bits: 64,
        code: &[0x0f, 0x0d, 0xc1],
        before: SAME,
        after: completed,
    },
    Sample {
        what: "MOVSXD of 16 bits",
        bits: 64,
        code: &[0x66, 0x63, 0x08],
        before: |case| case.registers.gpr[0] = WINDOW + LAST + PAGE - 2,
        after: |outcome, case| {
            completed(outcome, case);
            let register = &mut outcome.registers.gpr[1];
            *register = *register & !0xffff | untouched(LAST + PAGE - 8) >> 48;
        },
    },
    Sample {
        what: "PUSH, POP of a segment register",
        bits: 32,
        code: &[0x0f, 0xa0],
        before: SAME,
        after: |outcome, _| {
            let word = untouched(TOP_OF_STACK - 8) & !(0xffff << 32);
            put(outcome, TOP_OF_STACK - 8, word);
        },
    },
    Sample {
        what: "ENTER of 32 bits on a 16-bit stack",
        bits: 16,
        code: &[0x66, 0xc8, 0, 0, 1],
        before: |case| case.registers.gpr[4] = 0,
        after: |outcome, _| {
            let word = outcome.words().iter().find(|word| word.0 == 0xfff8).map(|word| word.1);
            put(outcome, 0xfff8, word.unwrap_or_default() | 0xffff_0000);
        },
    },
    Sample {
        what: "66h before a near branch in 64-bit code",
        bits: 64,
        code: &[0x66, 0x75, 0x10],
        before: SAME,
        after: |outcome, case| {
            completed(outcome, case);
            outcome.registers.rip += 0x10;
        },
    },
    Sample {
        what: "far pointers with REX.W",
        bits: 64,
        code: &[0x48, 0x0f, 0xb4, 0x08],
        before: |case| case.patch(OPERAND, &[1, 2, 3, 4, 0, 0, 5, 6, 0, 0]),
        after: |outcome, _| outcome.registers.gpr[1] = 0x0605_0000_0403_0201,
    },
    Sample {
        what: "SYSCALL, SYSRET outside 64-bit code",
        bits: 32,
        code: &[0x0f, 0x05],
        before: SAME,
        after: |outcome, case| ended(outcome, case, 6, 0, 0),
    },
    Sample {
        what: "LOCK before MOV of CR0",
        bits: 64,
        code: &[0xf0, 0x0f, 0x20, 0xc0],
        before: SAME,
        after: |outcome, case| ended(outcome, case, 6, 0, 0),
    },
    Sample {
        what: "LOCK before VERW",
        bits: 64,
        code: &[0xf0, 0x0f, 0x00, 0x28],
        before: |case| case.registers.rflags |= 1 << 6,
        after: |outcome, case| ended(outcome, case, 6, 0, 0),
    },
    Sample {
        what: "no instruction of more than 15 bytes",
        bits: 16,
        code: &[
            0x2e, 0x64, 0x26, 0x36, 0x64, 0x36, 0x64, 0x2e, 0x64, 0x3e, 0x2e, 0x26, 0x0f, 0x3e,
            0x38,
        ],
        before: SAME,
        after: |outcome, case| ended(outcome, case, 13, 0, 0),
    },
    Sample {
        what: "bytes fetched of no instruction, at a page end",
        bits: 64,
        code: &[0x0f, 0x3e],
        before: |case| case.registers.rip = WINDOW + CODE + PAGE - 2,
        after: |outcome, case| ended(outcome, case, 14, 0x14, WINDOW + CODE + PAGE),
    },
    Sample {
        what: "EVEX",
        bits: 64,
        code: &[0x62, 0xb2, 0xdd, 0xa4, 0x43, 0x52, 0xa1],
        before: SAME,
        after: completed,
    },
    Sample {
        what: "a near CALL to where no code is",
        bits: 16,
        code: &[0x66, 0xe8, 0, 0, 0, 0xa0],
        before: SAME,
        after: |outcome, _| {
            let low = untouched(TOP_OF_STACK - 8) & 0xffff_ffff;
            put(outcome, TOP_OF_STACK - 8, (RIP + 6) << 32 | low);
        },
    },
    Sample {
        what: "accesses around the end of a segment of 4 GiB",
        bits: 32,
        code: &[0x8b, 0x0f],
        before: |case| case.registers.gpr[7] = 0xffff_ffff,
        after: |outcome, case| ended(outcome, case, 14, 4, 0xffff_ffff),
    },
    Sample {
        what: "a canonical address by a segment base",
        bits: 64,
        code: &[0x64, 0x8a, 0x08],
        before: |case| case.registers.gpr[0] = 0xffff_8000_0000_0000 - WINDOW,
        after: |outcome, case| ended(outcome, case, 14, 5, 0xffff_8000_0000_0000),
    },
    Sample {
        what: "order of #AC and other faults of an access",
        bits: 64,
        code: &[0x0f, 0x10, 0x08],
        before: |case| {
            case.registers.gpr[0] = 0x1001;
            case.registers.rflags |= AC;
        },
        after: |outcome, case| ended(outcome, case, 14, 4, 0x1001),
    },
    Sample {
        what: "#AC of unaligned vector moves",
        bits: 64,
        code: &[0x0f, 0x10, 0x08],
        before: |case| {
            case.registers.gpr[0] += 1;
            case.registers.rflags |= AC;
        },
        after: |outcome, case| {
            completed(outcome, case);
            outcome.registers.ymm[1][..2]
                .copy_from_slice(&[untouched(OPERAND + 1), untouched(OPERAND + 9)]);
        },
    },
    Sample {
        what: "#AC of unaligned operands of 16 bytes and more with VEX",
        bits: 64,
        code: &[0xc5, 0xf1, 0x65, 0x10],
        before: |case| {
            case.registers.gpr[0] += 1;
            case.registers.rflags |= AC;
        },
        after: |outcome, case| {
            completed(outcome, case);
            outcome.registers.ymm[2][0] = 0xffff;
        },
    },
    Sample {
        what: "#AC or #GP of an unaligned XSAVE area",
        bits: 64,
        code: &[0x0f, 0xae, 0x20],
        before: |case| {
            case.registers.gpr[0] += 8;
            case.registers.rflags |= AC;
        },
        after: |outcome, case| ended(outcome, case, 17, 0, 0),
    },
    Sample {
        what: "alignment of SHA operands",
        bits: 64,
        code: &[0x0f, 0x38, 0xc8, 0x08],
        before: |case| case.registers.gpr[0] += 1,
        after: |outcome, case| ended(outcome, case, 13, 0, 0),
    },
    Sample {
        what: "parts of the XSAVE area that are touched",
        bits: 64,
        code: &[0x0f, 0xae, 0x23],
        before: |case| case.registers.gpr[3] = 0x1000,
        after: |outcome, _| outcome.ending.address += 0x23f,
    },
    Sample {
        what: "MASKMOVDQU, MASKMOVQ: bytes that are not chosen",
        bits: 64,
        code: &[0x66, 0x0f, 0xf7, 0xc1],
        before: |case| {
            case.registers.gpr[7] = 0x1000;
            case.registers.ymm[1][1] = 0x80;
        },
        after: |outcome, _| outcome.ending.address = 0x1008,
    },
    Sample {
        what: "BOUND: the lower bound before the upper is read",
        bits: 32,
        code: &[0x62, 0x08],
        before: |case| {
            case.registers.gpr[0] = WINDOW + LAST + PAGE - 4;
            case.registers.gpr[1] = 0x8000_0000;
        },
        after: |outcome, case| ended(outcome, case, 5, 0, 0),
    },
    Sample {
        what: "order of the faults of both operands of CMPS, MOVS",
        bits: 32,
        code: &[0xa7],
        before: |case| (case.registers.gpr[6], case.registers.gpr[7]) = (1, 0x1000),
        after: |outcome, case| ended(outcome, case, 14, 4, 1),
    },
    Sample {
        what: "elements of VMASKMOV, VPMASKMOV behind the last address of their size",
        bits: 32,
        code: &[0xc4, 0xe2, 0x79, 0x2c, 0x2f],
        before: |case| {
            case.registers.gpr[7] = 0xffff_ffff;
            case.registers.ymm[0] = [1 << 63, 0, 0, 0];
        },
        after: |outcome, case| ended(outcome, case, 13, 0, 0),
    },
    Sample {
        what: "RIP behind INT1",
        bits: 64,
        code: &[0xf1],
        before: SAME,
        after: |outcome, case| outcome.registers.rip = case.registers.rip,
    },
    Sample {
        what: "x87 stores with an unmasked exception to where none can be",
        bits: 64,
        code: &[0xd9, 0x18],
        before: |case| {
            case.registers.gpr[0] = 1;
            case.registers.x87[0] = 0x7e;
        },
        after: |outcome, case| {
            completed(outcome, case);
            outcome.registers.x87[2..4].copy_from_slice(&[0xc1, 0x80]);
        },
    },
    Sample {
        what: "x87 stores of 80 bits over a page end",
        bits: 64,
        code: &[0xdb, 0x38],
        before: |case| {
            case.registers.gpr[0] = WINDOW + DATA + 2 * PAGE - 8;
            case.registers.x87[4] = 1;
            case.registers.st[0][7..10].copy_from_slice(&[0x80, 0xff, 0x3f]);
        },
        after: |outcome, _| put(outcome, DATA + 2 * PAGE - 8, 1 << 63),
    },
    Sample {
        what: "order of the checks of RET far, IRET",
        bits: 64,
        code: &[0xcb],
        before: |case| {
            case.registers.gpr[4] = WINDOW + STACK + PAGE - 8;
            case.patch(STACK + PAGE - 4, &[0x30, 0, 0, 0]);
        },
        after: |outcome, case| ended(outcome, case, 13, 0x30, 0),
    },
    Sample {
        what: "the slots of CS and SS that far returns read",
        bits: 64,
        code: &[0xcb],
        before: |case| {
            case.registers.gpr[4] = WINDOW + STACK + PAGE - 6;
            case.patch(STACK + PAGE - 6, &[0, 0x25, 0x20, 4, 0x33, 0]);
        },
        after: |outcome, case| {
            completed(outcome, case);
            outcome.registers.rip = 0x0420_2500;
            outcome.registers.gpr[4] += 8;
        },
    },
    Sample {
        what: "far returns from 64-bit code to EIP",
        bits: 64,
        code: &[0x48, 0xcb],
        before: |case| {
            case.patch(TOP_OF_STACK, &[0, 0x25, 0x20, 4, 1, 0, 0, 0, 0x23, 0]);
        },
        after: |outcome, case| {
            completed(outcome, case);
            outcome.registers.rip = 0x0420_2500;
            outcome.registers.selectors[seg::CS] = 0x23;
            outcome.registers.gpr[4] += 16;
        },
    },
];

/// The case of a sample with both outcomes, the other make's first.
fn outcomes(judge: &mut Judge, sample: &Sample) -> (Generated, Outcome, Outcome) {
    let mut case = case(sample.bits, sample.code);
    (sample.before)(&mut case);
    let generated = generated(case);
    let ours = *judge.outcome(&generated);
    let mut silicon = ours;
    (sample.after)(&mut silicon, &generated.case);
    compare::normalise(&generated, &mut silicon);
    (generated, silicon, ours)
}

fn explained(generated: &Generated, silicon: &Outcome, ours: &Outcome) -> Option<&'static str> {
    explanation(generated, silicon, ours).map(|number| DIFFERENCES[number].what)
}

#[test]
fn each_difference_explains_its_sample() {
    let mut judge = Judge::new(MODEL).unwrap();
    for sample in SAMPLES {
        let (generated, silicon, ours) = outcomes(&mut judge, sample);
        assert!(!compare::same(&silicon, &ours), "{}: nothing differs", sample.what);
        let found = explained(&generated, &silicon, &ours);
        let differences = compare::differences(&silicon, &ours);
        assert_eq!(found, Some(sample.what), "{differences:#?}");
    }
    let missing: Vec<_> = DIFFERENCES
        .iter()
        .map(|known| known.what)
        .filter(|what| SAMPLES.iter().all(|sample| sample.what != *what))
        .collect();
    assert!(missing.is_empty(), "without a sample: {missing:?}");
}

/// Wrong results that have nothing to do with any difference.
const WRONG: [fn(&mut Outcome); 8] = [
    |outcome| outcome.registers.gpr[5] ^= 1,
    |outcome| outcome.registers.gpr[3] ^= 1 << 16,
    |outcome| outcome.registers.rip ^= 1 << 9,
    |outcome| outcome.registers.rflags ^= 1 << 10,
    |outcome| outcome.registers.selectors[seg::DS] ^= 8,
    |outcome| outcome.registers.bases[0] ^= 8,
    |outcome| outcome.registers.mxcsr ^= 1 << 13,
    |outcome| put(outcome, DATA + PAGE + 0x800, 1),
];

#[test]
fn no_difference_explains_another_wrong_result_with_it() {
    let mut judge = Judge::new(MODEL).unwrap();
    for sample in SAMPLES {
        let (generated, silicon, ours) = outcomes(&mut judge, sample);
        for (number, wrong) in WRONG.iter().enumerate() {
            let mut silicon = silicon;
            wrong(&mut silicon);
            let found = explained(&generated, &silicon, &ours);
            assert_eq!(found, None, "{}: wrong result {number}", sample.what);
        }
    }
}

#[test]
fn no_difference_explains_what_the_manuals_define() {
    let mut judge = Judge::new(MODEL).unwrap();
    // ADD, INC of memory, SHL by 1, PADDB, CALL, FLD1, REP MOVSB.
    let codes: [&[u8]; 7] = [
        &[0x01, 0xc8],
        &[0xff, 0x00],
        &[0xd1, 0xe0],
        &[0x66, 0x0f, 0xfc, 0xc1],
        &[0xe8, 0x10, 0, 0, 0],
        &[0xd9, 0xe8],
        &[0xf3, 0xa4],
    ];
    for code in codes {
        let mut case = case(64, code);
        case.registers.gpr[1] = 1;
        let generated = generated(case);
        let ours = *judge.outcome(&generated);
        assert_eq!(ours.ending.vector, 1, "{code:02x?}");
        let refute = |what: &str, wrong: &dyn Fn(&mut Outcome)| {
            let mut silicon = ours;
            wrong(&mut silicon);
            let found = explained(&generated, &silicon, &ours);
            assert_eq!(found, None, "{code:02x?}: {what}");
        };
        // AF of a shift is undefined.
        for bit in [0, 2, 6, 7, 10, 11] {
            refute("a flag", &|outcome| outcome.registers.rflags ^= 1 << bit);
        }
        for n in 0..16 {
            refute("a register", &|outcome| outcome.registers.gpr[n] ^= 1);
            refute("a vector", &|outcome| outcome.registers.ymm[n][1] ^= 1);
        }
        for vector in [6, 13, 14, 17] {
            refute("a fault", &|outcome| outcome.ending.vector = vector);
        }
        refute("memory", &|outcome| put(outcome, OPERAND, 0x1234_5678));
        refute("TOP", &|outcome| outcome.registers.x87[3] ^= 8);
        refute("ST(0)", &|outcome| outcome.registers.st[0][0] ^= 1);
    }
}
