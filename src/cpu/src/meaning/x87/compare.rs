//! FCOM FUCOM FICOM FTST FXAM FCOMI FUCOMI in all their forms.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use super::{registers, source};
use crate::float::X87;
use crate::float::x80_compare::QuietNans::{self, Allowed, Invalid};
use crate::float::x87_operand::Source;
use crate::float::x87_stack::Pops;
use crate::table::rows;
use crate::target::{Step, Target, X87Compare};
use cutaway_isa::Width::{Dword, Qword, Word};
use std::cmp::Ordering;

#[inline(always)]
fn st(number: u64) -> usize {
    (number & 7) as usize
}

/// FCOMI and its kin: ZF PF CF from the comparison, OF SF AF cleared.
#[inline(always)]
fn to_flags<T: Target>(
    t: &mut T,
    name: &'static str,
    opcode: u16,
    run: fn(&mut X87, u64) -> u64,
) -> Step<T> {
    t.x87_ready()?;
    let number = t.st_number();
    t.x87_compare(X87Compare { name, opcode, run }, &number);
    Ok(())
}

/// ZF (bit 6), PF (bit 2) and CF (bit 0) of an outcome.
fn flags(x87: &mut X87, i: u64, nans: QuietNans, pops: Pops) -> u64 {
    match x87.compare_to_flags(st(i), nans, pops) {
        None => 0x45,
        Some(Ordering::Equal) => 0x40,
        Some(Ordering::Less) => 0x01,
        Some(Ordering::Greater) => 0,
    }
}

fn word(x87: &mut X87, bits: u64, pops: Pops) {
    x87.compare_source(Source::integer(Word.sign_extend(bits) as i64), pops);
}
fn dword(x87: &mut X87, bits: u64, pops: Pops) {
    x87.compare_source(Source::integer(Dword.sign_extend(bits) as i64), pops);
}
fn single(x87: &mut X87, bits: u64, pops: Pops) {
    x87.compare_source(Source::single(bits as u32), pops);
}
fn double(x87: &mut X87, bits: u64, pops: Pops) {
    x87.compare_source(Source::double(bits), pops);
}

rows! {
    registers Fcom_st0_sti => registers("fcom", 0x0d0, |x, i| x.compare(st(i), Invalid, Pops::None));
    registers Fcom_st0_sti_DCD0 => registers("fcom", 0x4d0, |x, i| x.compare(st(i), Invalid, Pops::None));
    registers Fcomp_st0_sti => registers("fcomp", 0x0d8, |x, i| x.compare(st(i), Invalid, Pops::Once));
    registers Fcomp_st0_sti_DCD8 => registers("fcomp", 0x4d8, |x, i| x.compare(st(i), Invalid, Pops::Once));
    registers Fcomp_st0_sti_DED0 => registers("fcomp", 0x6d0, |x, i| x.compare(st(i), Invalid, Pops::Once));
    registers Fcompp => registers("fcompp", 0x6d9, |x, _| x.compare(1, Invalid, Pops::Twice));
    registers Fucom_st0_sti => registers("fucom", 0x5e0, |x, i| x.compare(st(i), Allowed, Pops::None));
    registers Fucomp_st0_sti => registers("fucomp", 0x5e8, |x, i| x.compare(st(i), Allowed, Pops::Once));
    registers Fucompp => registers("fucompp", 0x2e9, |x, _| x.compare(1, Allowed, Pops::Twice));
    registers Ftst => registers("ftst", 0x1e4, |x, _| x.compare_zero());
    registers Fxam => registers("fxam", 0x1e5, |x, _| x.examine_top());
    unary Fcom_m32fp => source(Dword, "fcom", 0x010, |x, m| single(x, m, Pops::None));
    unary Fcomp_m32fp => source(Dword, "fcomp", 0x018, |x, m| single(x, m, Pops::Once));
    unary Ficom_m32int => source(Dword, "ficom", 0x210, |x, m| dword(x, m, Pops::None));
    unary Ficomp_m32int => source(Dword, "ficomp", 0x218, |x, m| dword(x, m, Pops::Once));
    unary Fcom_m64fp => source(Qword, "fcom", 0x410, |x, m| double(x, m, Pops::None));
    unary Fcomp_m64fp => source(Qword, "fcomp", 0x418, |x, m| double(x, m, Pops::Once));
    unary Ficom_m16int => source(Word, "ficom", 0x610, |x, m| word(x, m, Pops::None));
    unary Ficomp_m16int => source(Word, "ficomp", 0x618, |x, m| word(x, m, Pops::Once));
    registers Fcomi_st0_sti => to_flags("fcomi", 0x3f0, |x, i| flags(x, i, Invalid, Pops::None));
    registers Fucomi_st0_sti => to_flags("fucomi", 0x3e8, |x, i| flags(x, i, Allowed, Pops::None));
    registers Fcomip_st0_sti => to_flags("fcomip", 0x7f0, |x, i| flags(x, i, Invalid, Pops::Once));
    registers Fucomip_st0_sti => to_flags("fucomip", 0x7e8, |x, i| flags(x, i, Allowed, Pops::Once));
}
