//! Operands that NASM lets one leave out, exchange or add.
//!
//! Source: The Netwide Assembler manual, appendix B, "Instruction List"; observed in NASM 2.16.

use iced_x86::Register;

use super::form::{Op, What};
use super::names::Prefixes;

/// Operand lists that mean the same. The first list of those that give an encoding as short wins.
pub(super) struct Readings {
    pub(super) first: Vec<Vec<Op>>,
    /// To be tried where no opcode takes one of the first.
    pub(super) then: Vec<Vec<Op>>,
    /// Address size that an operand names, which is no operand of the opcode.
    pub(super) address_size: Option<u32>,
}

/// How the operands of an instruction can be read.
pub(super) fn readings(
    name: &str,
    ops: &[Op],
    bits: u32,
    prefixes: &Prefixes,
    column: usize,
) -> Readings {
    let mut readings = Readings { first: vec![ops.to_vec()], then: Vec::new(), address_size: None };
    let swapped = || vec![ops[1], ops[0]];
    match (name, ops.len()) {
        // Of two registers NASM encodes the first in ModRM's reg field.
        ("xchg", 2) => readings.first.insert(0, swapped()),
        ("test", 2) => readings.first.push(swapped()),
        ("aam" | "aad", 0) => readings.first.push(vec![Op::immediate(10, column)]),
        ("arpl", 2) if bits == 32 => {
            let wide = |op: &Op| match op.as_register() {
                Some(register) if register.is_gpr16() => {
                    Op { what: What::Register(register.full_register32()), ..*op }
                }
                _ => *op,
            };
            readings.first.insert(0, ops.iter().map(wide).collect());
        }
        ("imul", 2) => readings.first.push(vec![ops[0], ops[0], ops[1]]),
        ("blendvps" | "blendvpd" | "pblendvb" | "sha256rnds2", 3)
            if ops[2].as_register() == Some(Register::XMM0) =>
        {
            readings.first.push(ops[..2].to_vec());
        }
        ("mov" | "lkgs" | "lldt" | "ltr" | "verr" | "verw" | "lmsw" | "lar" | "lsl", _) => {
            let usual = if bits == 16 { 16 } else { 32 };
            let width = prefixes.operand_size.unwrap_or(usual);
            selectors(name, ops, width, &mut readings);
        }
        ("loop" | "loope" | "loopz" | "loopne" | "loopnz", 2) => {
            named_address_size(&ops[..1], &ops[1], &mut readings);
        }
        (
            "invlpga" | "monitor" | "mwait" | "monitorx" | "mwaitx" | "vmrun" | "vmload" | "vmsave"
            | "clzero" | "skinit",
            1..,
        ) => fixed_registers(name, ops, &mut readings),
        _ if name.starts_with('f') => x87(name, ops, column, &mut readings),
        _ if name.starts_with('v') && (1..=3).contains(&ops.len()) => {
            let mut doubled = vec![ops[0]];
            doubled.extend(ops);
            readings.then.push(doubled);
        }
        _ => {}
    }
    readings
}

/// Where 16 bits of a register are a selector, its size says nothing: without a prefix it is short.
fn selectors(name: &str, ops: &[Op], width: u32, readings: &mut Readings) {
    let n = match (name, ops.len()) {
        ("mov", 2) if ops[0].as_register().is_some_and(Register::is_segment_register) => 1,
        ("mov", 2) if ops[1].as_register().is_some_and(Register::is_segment_register) => 0,
        ("mov", _) => return,
        ("lar" | "lsl", 2) => 1,
        (_, 1) => 0,
        _ => return,
    };
    let Some(register) = ops[n].as_register() else { return };
    // What is read out of a segment register fills 32 bits or 64 alike, but not 16.
    let is_source = n == 1 || name != "mov";
    let wide = register.is_gpr32() || register.is_gpr64();
    if !(register.is_gpr16() && is_source || wide) {
        return;
    }
    let other = match (name, ops[0].as_register()) {
        ("lar" | "lsl", Some(first)) if first.is_gpr16() => as_16(register),
        ("lar" | "lsl", Some(first)) if first.is_gpr64() => register.full_register(),
        ("lar" | "lsl", _) => register.full_register32(),
        _ if width == 16 && is_source => as_16(register),
        _ if width == 16 => return,
        _ if width == 64 => register.full_register(),
        _ => register.full_register32(),
    };
    let mut reading = ops.to_vec();
    reading[n].what = What::Register(other);
    if name == "mov" || name == "lar" || name == "lsl" {
        readings.first.insert(0, reading);
    } else {
        readings.first = vec![reading];
    }
}

/// The low 16 bits of a general register.
fn as_16(register: Register) -> Register {
    let number = register.number() as u32;
    Register::AX + number
}

/// `loop label, ecx`.
fn named_address_size(ops: &[Op], counter: &Op, readings: &mut Readings) {
    let bits = match counter.as_register() {
        Some(Register::CX) => 16,
        Some(Register::ECX) => 32,
        Some(Register::RCX) => 64,
        _ => return,
    };
    readings.address_size = Some(bits);
    readings.first = vec![ops.to_vec()];
}

/// Instructions whose registers are fixed may name them; the first says the address size.
fn fixed_registers(name: &str, ops: &[Op], readings: &mut Readings) {
    let (first, rest): (_, &[Register]) = match name {
        "invlpga" => (Register::EAX, &[Register::ECX]),
        "monitor" | "monitorx" => (Register::EAX, &[Register::ECX, Register::EDX]),
        "mwait" | "mwaitx" => (Register::EAX, &[Register::ECX]),
        _ => (Register::EAX, &[]),
    };
    let register = |n: usize| ops.get(n).and_then(Op::as_register);
    let same = |n: usize, fixed: Register| {
        register(n).is_some_and(|given| given.full_register32() == fixed)
    };
    let right = ops.len() == rest.len() + 1
        && same(0, first)
        && (1..).zip(rest).all(|(n, fixed)| same(n, *fixed));
    if !right {
        return;
    }
    readings.first = vec![Vec::new()];
    // MWAIT and SKINIT reach no memory through the register.
    if !matches!(name, "mwait" | "mwaitx" | "skinit") {
        readings.address_size = register(0).map(|given| given.size() as u32 * 8);
    }
}

/// ST(0) and ST(1) are what is meant where nothing else is said.
fn x87(name: &str, ops: &[Op], column: usize, readings: &mut Readings) {
    let st = |register| Op::register(register, column);
    let (st0, st1) = (st(Register::ST0), st(Register::ST1));
    match ops {
        // Arithmetic without operands is that of a stack: it pops.
        [] if matches!(name, "fadd" | "fmul" | "fsub" | "fsubr" | "fdiv" | "fdivr") => {}
        [] => readings.then.extend([vec![st1], vec![st0, st1], vec![st1, st0]]),
        [one] if one.as_register().is_some_and(Register::is_st) => {
            let (to, from) = (vec![*one, st0], vec![st0, *one]);
            if one.words.to {
                readings.first = vec![to];
            } else {
                readings.then.extend([from, to]);
            }
        }
        [a, b] if a.as_register() == Some(Register::ST0) => readings.then.push(vec![*b]),
        [a, b] if b.as_register() == Some(Register::ST0) => readings.then.push(vec![*a]),
        _ => {}
    }
}
