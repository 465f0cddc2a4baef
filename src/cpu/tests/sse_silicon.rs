//! MMX and SSE instructions against silicon: rows captured from a processor, checked on every
//! host and by both interpreters.
//!
//! A row of `vectors/sse.txt` is one instruction in 64-bit mode as an AMD Zen 4 (EPYC, family 25,
//! model 17) ran it: `bytes mxcsr first second rax | what changed`, all hexadecimal. Before it,
//! `first` is in XMM0, `second` in XMM1 and at [RDI], their low halves are in MM0 and MM1; RCX is
//! as RAX, RDX is the low five bits of `second`, the status flags are clear, ST(0) and ST(1) are
//! in use and TOP is 0. `#XM` says that the instruction faulted; `mxcsr=` is then what it left.

mod bench;

use bench::{Bench, CODE};
use cutaway_cpu::float::{F80, FxsavePointers};
use cutaway_cpu::vector::Xmm;
use cutaway_cpu::{CpuState, Exit, gpr};

const ROWS: &str = include_str!("vectors/sse.txt");
const DATA: u64 = 0x20_0000;
const IDT: u64 = 0x5000;
const GDT: u64 = 0x4000;
/// Handlers lie 16 bytes apart; each is a HLT.
const HANDLERS: u64 = 0x6000;
const VECTOR_XM: u64 = 19;
const STATUS_FLAGS: u64 = 0x8d5;

/// All that a row can tell of, after the instruction.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    faulted: bool,
    mxcsr: u32,
    xmm: [u128; 2],
    /// RAX, RCX, RDX.
    gpr: [u64; 3],
    flags: u64,
    mmx: [u64; 2],
    tags: u8,
    memory: u128,
}

fn hex(text: &str) -> u128 {
    u128::from_str_radix(text, 16).expect("a row is hexadecimal")
}

/// The starting point and the expected outcome of a row.
fn parse(row: &str) -> (Vec<u8>, Outcome, Outcome) {
    let (given, changes) = row.split_once(" |").expect("a row has a bar");
    let fields: Vec<&str> = given.split(' ').collect();
    let [bytes, mxcsr, first, second, rax] = fields[..] else { panic!("five fields: {row}") };
    let code = (0..bytes.len()).step_by(2).map(|i| hex(&bytes[i..i + 2]) as u8).collect();
    let (first, second, rax) = (hex(first), hex(second), hex(rax) as u64);
    let before = Outcome {
        faulted: false,
        mxcsr: hex(mxcsr) as u32,
        xmm: [first, second],
        gpr: [rax, rax, second as u64 & 0x1f],
        flags: 0,
        mmx: [first as u64, second as u64],
        tags: 3,
        memory: second,
    };

    let mut after = before.clone();
    for change in changes.split_whitespace() {
        let (name, value) = change.split_once('=').unwrap_or((change, "0"));
        let value = hex(value);
        match name {
            "#XM" => after.faulted = true,
            "mxcsr" => after.mxcsr = value as u32,
            "xmm0" => after.xmm[0] = value,
            "xmm1" => after.xmm[1] = value,
            "rax" => after.gpr[0] = value as u64,
            "rcx" => after.gpr[1] = value as u64,
            "rdx" => after.gpr[2] = value as u64,
            "flags" => after.flags = value as u64,
            "mm0" => after.mmx[0] = value as u64,
            "mm1" => after.mmx[1] = value as u64,
            "tags" => after.tags = value as u8,
            "memory" => after.memory = value,
            _ => panic!("unknown change in {row}"),
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

fn prepare(bench: &mut Bench, code: &[u8], given: &Outcome) {
    bench.bus.memory.write(CODE, code);
    bench.bus.memory.write(CODE + code.len() as u64, &[0xf4]);
    bench.bus.memory.write(DATA, &given.memory.to_le_bytes());
    bench.edit(|s| {
        (s.system.gdtr.base, s.system.gdtr.limit) = (GDT, 0xf);
        (s.system.idtr.base, s.system.idtr.limit) = (IDT, 0x1ff);
        s.rflags = 2;
        s.mxcsr = given.mxcsr;
        for n in 0..2 {
            s.xmm[n] = Xmm::from_u128(given.xmm[n]);
            s.x87.set_st(n, F80::new(0x3fff, given.mmx[n]));
        }
        [s.gpr[gpr::RAX], s.gpr[gpr::RCX], s.gpr[gpr::RDX]] = given.gpr;
        s.gpr[gpr::RDI] = DATA;
        s.x87.initialize();
        s.x87.set_abridged_tags(given.tags);
        s.activity.halted = false;
    });
}

fn outcome(bench: &mut Bench, state: &CpuState, code: &[u8], row: &str) -> Outcome {
    let faulted = state.rip == HANDLERS + 16 * VECTOR_XM + 1;
    let next = CODE + code.len() as u64 + 1;
    assert!(faulted || state.rip == next, "RIP is {:#x} after {row}", state.rip);
    let mut memory = [0; 16];
    bench.bus.memory.read(DATA, &mut memory);
    let mut image = [0; 512];
    state.x87.write_fxsave(&mut image, FxsavePointers::Wide);
    Outcome {
        faulted,
        mxcsr: state.mxcsr,
        xmm: [state.xmm[0].to_u128(), state.xmm[1].to_u128()],
        gpr: [state.gpr[gpr::RAX], state.gpr[gpr::RCX], state.gpr[gpr::RDX]],
        flags: if faulted { 0 } else { state.rflags & STATUS_FLAGS },
        mmx: [state.x87.mmx(0), state.x87.mmx(1)],
        // At #XM a Zen 3 marks the registers in use for MMX and a Zen 4 does not; a row is from the
        // latter, and what we do from the former (docs/conformance.md).
        tags: if faulted { 3 } else { image[4] },
        memory: u128::from_le_bytes(memory),
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
    assert!(count > 2000, "the file has its rows");
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
