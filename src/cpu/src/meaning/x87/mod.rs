//! x87 instructions: the whole set, from D8 to DF, and WAIT.
//!
//! What they do to the register stack stands in `float/x87_stack.rs` and its neighbours; here
//! their operands are fetched and #NM, #MF and the last-instruction pointers are kept.
//! Source: Intel SDM vol. 2, the page of each mnemonic; vol. 1 §8.1.8, "x87 FPU Instruction and
//! Data (Operand) Pointers", §8.7, "Handling x87 FPU Exceptions in Software".
//!
//! A waiting exception is #MF with CR0.NE set, and FERR# with NE clear (`exec.rs`).

mod arith;
mod compare;
mod control;
mod modrm;
mod transfer;

pub(crate) use modrm::{is_x87, memory_modrm, st_number};

use crate::float::X87;
use crate::table::Row;
use crate::target::{Step, Target, X87Step};
use cutaway_isa::{Code, Width};

/// The row of an x87 instruction.
pub(super) fn row(code: Code) -> Option<Row> {
    arith::row(code)
        .or_else(|| transfer::row(code))
        .or_else(|| compare::row(code))
        .or_else(|| control::row(code))
}

/// An instruction on registers: `run` gets the i of ST(i), or 0.
#[inline(always)]
fn registers<T: Target>(
    t: &mut T,
    name: &'static str,
    opcode: u16,
    run: fn(&mut X87, u64),
) -> Step<T> {
    t.x87_ready()?;
    let number = t.st_number();
    t.x87(X87Step { name, opcode, run }, &number);
    Ok(())
}

/// An instruction with a source of up to 64 bits in memory: `run` gets the bits.
#[inline(always)]
fn source<T: Target>(
    t: &mut T,
    w: Width,
    name: &'static str,
    opcode: u16,
    run: fn(&mut X87, u64),
) -> Step<T> {
    t.x87_ready()?;
    let bits = t.read(0, w)?;
    t.x87(X87Step { name, opcode, run }, &bits);
    Ok(())
}
