//! FADD FMUL FSUB FSUBR FDIV FDIVR in all their forms, and the instructions on ST(0) alone or on
//! ST(0) and ST(1): FABS to FYL2XP1.
//!
//! Source: Intel SDM vol. 2; opcode maps in vol. 2 appendix A, tables.

use super::{registers, source};
use crate::float::x80_arith::{Add, Div, DivReversed, Mul, Sub, SubReversed};
use crate::float::x87_operand::Source;
use crate::float::x87_stack::{Pairwise, Pops, Pushing, Unary};
use crate::table::rows;
use cutaway_isa::Width::{Dword, Qword, Word};

/// The number of ST(i) as an index.
#[inline(always)]
fn st(number: u64) -> usize {
    (number & 7) as usize
}

/// m16int and m32int, sign-extended.
#[inline(always)]
fn word(bits: u64) -> Source {
    Source::integer(Word.sign_extend(bits) as i64)
}
#[inline(always)]
fn dword(bits: u64) -> Source {
    Source::integer(Dword.sign_extend(bits) as i64)
}
#[inline(always)]
fn single(bits: u64) -> Source {
    Source::single(bits as u32)
}
#[inline(always)]
fn double(bits: u64) -> Source {
    Source::double(bits)
}

rows! {
    // ST(0) := ST(0) op ST(i)
    registers Fadd_st0_sti => registers("fadd", 0x0c0, |x, i| x.arithmetic::<Add>(0, st(i), Pops::None));
    registers Fmul_st0_sti => registers("fmul", 0x0c8, |x, i| x.arithmetic::<Mul>(0, st(i), Pops::None));
    registers Fsub_st0_sti => registers("fsub", 0x0e0, |x, i| x.arithmetic::<Sub>(0, st(i), Pops::None));
    registers Fsubr_st0_sti => registers("fsubr", 0x0e8, |x, i| x.arithmetic::<SubReversed>(0, st(i), Pops::None));
    registers Fdiv_st0_sti => registers("fdiv", 0x0f0, |x, i| x.arithmetic::<Div>(0, st(i), Pops::None));
    registers Fdivr_st0_sti => registers("fdivr", 0x0f8, |x, i| x.arithmetic::<DivReversed>(0, st(i), Pops::None));
    // ST(i) := ST(i) op ST(0)
    registers Fadd_sti_st0 => registers("fadd to st(i)", 0x4c0, |x, i| x.arithmetic::<Add>(st(i), 0, Pops::None));
    registers Fmul_sti_st0 => registers("fmul to st(i)", 0x4c8, |x, i| x.arithmetic::<Mul>(st(i), 0, Pops::None));
    registers Fsub_sti_st0 => registers("fsub to st(i)", 0x4e8, |x, i| x.arithmetic::<Sub>(st(i), 0, Pops::None));
    registers Fsubr_sti_st0 => registers("fsubr to st(i)", 0x4e0, |x, i| x.arithmetic::<SubReversed>(st(i), 0, Pops::None));
    registers Fdiv_sti_st0 => registers("fdiv to st(i)", 0x4f8, |x, i| x.arithmetic::<Div>(st(i), 0, Pops::None));
    registers Fdivr_sti_st0 => registers("fdivr to st(i)", 0x4f0, |x, i| x.arithmetic::<DivReversed>(st(i), 0, Pops::None));
    registers Faddp_sti_st0 => registers("faddp", 0x6c0, |x, i| x.arithmetic::<Add>(st(i), 0, Pops::Once));
    registers Fmulp_sti_st0 => registers("fmulp", 0x6c8, |x, i| x.arithmetic::<Mul>(st(i), 0, Pops::Once));
    registers Fsubp_sti_st0 => registers("fsubp", 0x6e8, |x, i| x.arithmetic::<Sub>(st(i), 0, Pops::Once));
    registers Fsubrp_sti_st0 => registers("fsubrp", 0x6e0, |x, i| x.arithmetic::<SubReversed>(st(i), 0, Pops::Once));
    registers Fdivp_sti_st0 => registers("fdivp", 0x6f8, |x, i| x.arithmetic::<Div>(st(i), 0, Pops::Once));
    registers Fdivrp_sti_st0 => registers("fdivrp", 0x6f0, |x, i| x.arithmetic::<DivReversed>(st(i), 0, Pops::Once));
    // ST(0) := ST(0) op memory
    unary Fadd_m32fp => source(Dword, "fadd", 0x000, |x, m| x.arithmetic_source::<Add>(single(m)));
    unary Fmul_m32fp => source(Dword, "fmul", 0x008, |x, m| x.arithmetic_source::<Mul>(single(m)));
    unary Fsub_m32fp => source(Dword, "fsub", 0x020, |x, m| x.arithmetic_source::<Sub>(single(m)));
    unary Fsubr_m32fp => source(Dword, "fsubr", 0x028, |x, m| x.arithmetic_source::<SubReversed>(single(m)));
    unary Fdiv_m32fp => source(Dword, "fdiv", 0x030, |x, m| x.arithmetic_source::<Div>(single(m)));
    unary Fdivr_m32fp => source(Dword, "fdivr", 0x038, |x, m| x.arithmetic_source::<DivReversed>(single(m)));
    unary Fiadd_m32int => source(Dword, "fiadd", 0x200, |x, m| x.arithmetic_source::<Add>(dword(m)));
    unary Fimul_m32int => source(Dword, "fimul", 0x208, |x, m| x.arithmetic_source::<Mul>(dword(m)));
    unary Fisub_m32int => source(Dword, "fisub", 0x220, |x, m| x.arithmetic_source::<Sub>(dword(m)));
    unary Fisubr_m32int => source(Dword, "fisubr", 0x228, |x, m| x.arithmetic_source::<SubReversed>(dword(m)));
    unary Fidiv_m32int => source(Dword, "fidiv", 0x230, |x, m| x.arithmetic_source::<Div>(dword(m)));
    unary Fidivr_m32int => source(Dword, "fidivr", 0x238, |x, m| x.arithmetic_source::<DivReversed>(dword(m)));
    unary Fadd_m64fp => source(Qword, "fadd", 0x400, |x, m| x.arithmetic_source::<Add>(double(m)));
    unary Fmul_m64fp => source(Qword, "fmul", 0x408, |x, m| x.arithmetic_source::<Mul>(double(m)));
    unary Fsub_m64fp => source(Qword, "fsub", 0x420, |x, m| x.arithmetic_source::<Sub>(double(m)));
    unary Fsubr_m64fp => source(Qword, "fsubr", 0x428, |x, m| x.arithmetic_source::<SubReversed>(double(m)));
    unary Fdiv_m64fp => source(Qword, "fdiv", 0x430, |x, m| x.arithmetic_source::<Div>(double(m)));
    unary Fdivr_m64fp => source(Qword, "fdivr", 0x438, |x, m| x.arithmetic_source::<DivReversed>(double(m)));
    unary Fiadd_m16int => source(Word, "fiadd", 0x600, |x, m| x.arithmetic_source::<Add>(word(m)));
    unary Fimul_m16int => source(Word, "fimul", 0x608, |x, m| x.arithmetic_source::<Mul>(word(m)));
    unary Fisub_m16int => source(Word, "fisub", 0x620, |x, m| x.arithmetic_source::<Sub>(word(m)));
    unary Fisubr_m16int => source(Word, "fisubr", 0x628, |x, m| x.arithmetic_source::<SubReversed>(word(m)));
    unary Fidiv_m16int => source(Word, "fidiv", 0x630, |x, m| x.arithmetic_source::<Div>(word(m)));
    unary Fidivr_m16int => source(Word, "fidivr", 0x638, |x, m| x.arithmetic_source::<DivReversed>(word(m)));
    // ST(0) := f(ST(0))
    registers Fchs => registers("fchs", 0x1e0, |x, _| x.unary(Unary::Fchs));
    registers Fabs => registers("fabs", 0x1e1, |x, _| x.unary(Unary::Fabs));
    registers F2xm1 => registers("f2xm1", 0x1f0, |x, _| x.unary(Unary::F2xm1));
    registers Fsqrt => registers("fsqrt", 0x1fa, |x, _| x.unary(Unary::Fsqrt));
    registers Frndint => registers("frndint", 0x1fc, |x, _| x.unary(Unary::Frndint));
    registers Fsin => registers("fsin", 0x1fe, |x, _| x.unary(Unary::Fsin));
    registers Fcos => registers("fcos", 0x1ff, |x, _| x.unary(Unary::Fcos));
    // ST(0) := f(ST(0)), push g(ST(0))
    registers Fptan => registers("fptan", 0x1f2, |x, _| x.pushing(Pushing::Fptan));
    registers Fxtract => registers("fxtract", 0x1f4, |x, _| x.pushing(Pushing::Fxtract));
    registers Fsincos => registers("fsincos", 0x1fb, |x, _| x.pushing(Pushing::Fsincos));
    // f(ST(0), ST(1))
    registers Fyl2x => registers("fyl2x", 0x1f1, |x, _| x.pairwise(Pairwise::Fyl2x));
    registers Fpatan => registers("fpatan", 0x1f3, |x, _| x.pairwise(Pairwise::Fpatan));
    registers Fprem1 => registers("fprem1", 0x1f5, |x, _| x.pairwise(Pairwise::Fprem1));
    registers Fprem => registers("fprem", 0x1f8, |x, _| x.pairwise(Pairwise::Fprem));
    registers Fyl2xp1 => registers("fyl2xp1", 0x1f9, |x, _| x.pairwise(Pairwise::Fyl2xp1));
    registers Fscale => registers("fscale", 0x1fd, |x, _| x.pairwise(Pairwise::Fscale));
}
