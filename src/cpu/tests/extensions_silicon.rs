//! Instructions beyond SSE4.2 and AVX2 against silicon: rows captured from a processor, checked on
//! every host and by both interpreters. BMI1, BMI2, ADX, LZCNT, AES, PCLMULQDQ, SHA, SSE4a, FMA,
//! F16C, and the 256-bit forms of AES and PCLMULQDQ.
//!
//! A row of `vectors/extensions.txt` is one instruction in 64-bit mode as an AMD Zen 3 (EPYC,
//! family 25, model 1) ran it: `bytes mxcsr flags a b c | what changed`, all hexadecimal. Before
//! it, YMM0 to YMM2 are `a`, `b` and `c`, and RAX, RCX and RDX their low qwords; the 32 bytes at
//! [RDI] are `c` too; RBX is fixed. `flags` are the status flags. `#XM` says that the instruction
//! faulted; `mxcsr=` is then what it left.

mod bench;

use bench::{Bench, CODE};
use cutaway_cpu::vector::Xmm;
use cutaway_cpu::{CpuState, Exit, gpr};

const ROWS: &str = include_str!("vectors/extensions.txt");
const DATA: u64 = 0x20_0000;
const IDT: u64 = 0x5000;
const GDT: u64 = 0x4000;
/// Handlers lie 16 bytes apart; each is a HLT.
const HANDLERS: u64 = 0x6000;
const VECTOR_XM: u64 = 19;
const STATUS_FLAGS: u64 = 0x8d5;
const CR4_OSXSAVE: u64 = 1 << 18;
const RBX: u64 = 0x1122_3344_5566_7788;
const REGISTERS: [(&str, usize); 4] =
    [("rax", gpr::RAX), ("rcx", gpr::RCX), ("rdx", gpr::RDX), ("rbx", gpr::RBX)];

/// A YMM register: bits 127:0 and 255:128.
type Wide = [u128; 2];

/// All that a row can tell of, after the instruction.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    faulted: bool,
    mxcsr: u32,
    flags: u64,
    ymm: [Wide; 3],
    gpr: [u64; 4],
    memory: Wide,
}

fn hex(text: &str) -> Wide {
    let (high, low) = text.split_at(text.len().saturating_sub(32));
    let number = |text| u128::from_str_radix(text, 16).expect("a row is hexadecimal");
    [number(low), if high.is_empty() { 0 } else { number(high) }]
}

/// The starting point and the expected outcome of a row.
fn parse(row: &str) -> (Vec<u8>, Outcome, Outcome) {
    let (given, changes) = row.split_once(" |").expect("a row has a bar");
    let fields: Vec<&str> = given.split(' ').collect();
    let [bytes, mxcsr, flags, a, b, c] = fields[..] else { panic!("six fields: {row}") };
    let code = (0..bytes.len()).step_by(2).map(|i| hex(&bytes[i..i + 2])[0] as u8).collect();
    let ymm = [hex(a), hex(b), hex(c)];
    let before = Outcome {
        faulted: false,
        mxcsr: hex(mxcsr)[0] as u32,
        flags: hex(flags)[0] as u64,
        ymm,
        gpr: [ymm[0][0] as u64, ymm[1][0] as u64, ymm[2][0] as u64, RBX],
        memory: ymm[2],
    };

    let mut after = before.clone();
    for change in changes.split_whitespace() {
        let (name, value) = change.split_once('=').unwrap_or((change, "0"));
        let value = hex(value);
        match name {
            "#XM" => (after.faulted, after.flags) = (true, 0),
            "mxcsr" => after.mxcsr = value[0] as u32,
            "flags" => after.flags = value[0] as u64,
            "v0" => after.ymm[0] = value,
            "v1" => after.ymm[1] = value,
            "v2" => after.ymm[2] = value,
            "memory" => after.memory = value,
            _ => {
                let n = REGISTERS.iter().position(|(register, _)| *register == name);
                after.gpr[n.expect("the name of a register")] = value[0] as u64;
            }
        }
    }
    (code, before, after)
}

/// A vCPU in 64-bit mode whose exceptions end at a HLT of their own.
fn bench() -> Bench {
    let mut bench = Bench::long(&[]);
    bench.bus.memory.write(GDT + 8, &0x00af_9b00_0000_ffff_u64.to_le_bytes());
    for vector in 0..32 {
        let handler = HANDLERS + 16 * vector;
        let gate = handler | 8 << 16 | 0x8e00 << 32;
        bench.bus.memory.write(IDT + 16 * vector, &u128::from(gate).to_le_bytes());
        bench.bus.memory.write(handler, &[0xf4]);
    }
    bench
}

fn write_wide(bench: &mut Bench, at: u64, value: Wide) {
    bench.bus.memory.write(at, &value[0].to_le_bytes());
    bench.bus.memory.write(at + 16, &value[1].to_le_bytes());
}

fn prepare(bench: &mut Bench, code: &[u8], given: &Outcome) {
    bench.bus.memory.write(CODE, code);
    bench.bus.memory.write(CODE + code.len() as u64, &[0xf4]);
    write_wide(bench, DATA, given.memory);
    bench.edit(|s| {
        (s.system.gdtr.base, s.system.gdtr.limit) = (GDT, 0xf);
        (s.system.idtr.base, s.system.idtr.limit) = (IDT, 0x1ff);
        s.rflags = 2 | given.flags;
        s.mxcsr = given.mxcsr;
        s.system.cr4 |= CR4_OSXSAVE;
        s.system.xcr0 = 7;
        for n in 0..3 {
            s.xmm[n] = Xmm::from_u128(given.ymm[n][0]);
            s.ymm_high[n] = Xmm::from_u128(given.ymm[n][1]);
        }
        for (n, (_, register)) in REGISTERS.iter().enumerate() {
            s.gpr[*register] = given.gpr[n];
        }
        s.gpr[gpr::RDI] = DATA;
        s.activity.halted = false;
    });
}

fn outcome(bench: &mut Bench, state: &CpuState, code: &[u8], row: &str) -> Outcome {
    let faulted = state.rip == HANDLERS + 16 * VECTOR_XM + 1;
    let next = CODE + code.len() as u64 + 1;
    assert!(faulted || state.rip == next, "RIP is {:#x} after {row}", state.rip);
    let mut memory = [[0; 16]; 2];
    bench.bus.memory.read(DATA, &mut memory[0]);
    bench.bus.memory.read(DATA + 16, &mut memory[1]);
    Outcome {
        faulted,
        mxcsr: state.mxcsr,
        flags: if faulted { 0 } else { state.rflags & STATUS_FLAGS },
        ymm: std::array::from_fn(|n| [state.xmm[n].to_u128(), state.ymm_high[n].to_u128()]),
        gpr: REGISTERS.map(|(_, register)| state.gpr[register]),
        memory: memory.map(u128::from_le_bytes),
    }
}

/// Runs all rows with at most `budget` instructions at a time.
fn check(budget: u64) {
    let mut bench = bench();
    let mut count = 0;
    for row in ROWS.lines().filter(|row| !row.starts_with('#')) {
        let (code, given, expected) = parse(row);
        prepare(&mut bench, &code, &given);

        while bench.cpu.run(&mut bench.bus, budget) == Exit::Budget {}

        let state = bench.cpu.save();
        let outcome = outcome(&mut bench, &state, &code, row);
        assert_eq!(outcome, expected, "{row}");
        count += 1;
    }
    assert!(count > 500, "the file has its rows");
}

/// A block entered whole runs in the fast handlers, where there are such.
#[test]
fn blocks_agree_with_silicon() {
    check(1000);
}

/// A budget of one never covers a block, so the complete interpreter steps.
#[test]
fn single_steps_agree_with_silicon() {
    check(1);
}
