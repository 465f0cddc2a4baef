//! What instructions do, one file a group. Each file has its rows of the instruction table.

mod arith;
mod avx;
mod bcd;
mod bit;
mod bmi;
mod branch;
mod control;
mod crypto;
mod flag;
mod fma;
mod io;
mod logic;
mod mul_div;
mod random;
mod shift;
mod sse;
mod stack;
mod string;
mod svm;
mod syscall;
mod system;
mod transfer;
mod vex;
mod x87;

pub(crate) use avx::{avx_unavailable, needs_avx};
pub(crate) use sse::{needs_sse, sse_unavailable};
pub(crate) use x87::{is_x87, memory_modrm, st_number};

use crate::table::Row;
use cutaway_isa::Code;

/// The groups, in the order in which they are asked.
pub(crate) const GROUPS: &[fn(Code) -> Option<Row>] = &[
    arith::row,
    logic::row,
    transfer::row,
    branch::row,
    stack::row,
    shift::row,
    mul_div::row,
    bit::row,
    bmi::row,
    string::row,
    flag::row,
    bcd::row,
    io::row,
    control::row,
    syscall::row,
    system::row,
    random::row,
    x87::row,
    sse::row,
    avx::row,
    crypto::row,
    fma::row,
    vex::row,
    svm::row,
];
