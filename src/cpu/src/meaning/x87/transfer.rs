//! Loads, stores, constants, exchanges and conditional moves.
//!
//! Source: Intel SDM vol. 2, "FLD", "FST/FSTP", "FILD", "FIST/FISTP", "FISTTP", "FBLD", "FBSTP",
//! "FLD1 …", "FXCH", "FCMOVcc", "FFREE", "FINCSTP", "FDECSTP".

use super::{registers, source};
use crate::flags::Cc;
use crate::float::x87_operand::Format;
use crate::float::x87_stack::Pops;
use crate::float::{F80, X87};
use crate::table::rows;
use crate::target::{Bin, Step, Target, X87Step};
use cutaway_isa::Width::{self, Byte, Dword, Qword, Word};

#[inline(always)]
fn st(number: u64) -> usize {
    (number & 7) as usize
}

/// FCMOVcc: ST(0) := ST(i) if the condition holds.
#[inline(always)]
fn move_if<T: Target>(t: &mut T, name: &'static str, opcode: u16, cc: Cc) -> Step<T> {
    /// Bit 3 of the operand is the condition, bits 2:0 are i.
    fn run(x87: &mut X87, operand: u64) {
        x87.move_if(operand & 8 != 0, st(operand));
    }
    t.x87_ready()?;
    let condition = t.condition(cc);
    let condition = t.truth(Byte, &condition);
    let three = t.constant(Byte, 3);
    let shifted = t.bin(Bin::Shl, Byte, &condition, &three);
    let number = t.st_number();
    let operand = t.bin(Bin::Or, Byte, &shifted, &number);
    t.x87(X87Step { name, opcode, run }, &operand);
    Ok(())
}

/// FST, FIST, FBSTP and their kin.
#[inline(always)]
fn store<T: Target>(
    t: &mut T,
    name: &'static str,
    opcode: u16,
    format: Format,
    pops: Pops,
) -> Step<T> {
    t.x87_ready()?;
    t.x87_store(name, opcode, format, pops)
}

const fn integer(w: Width) -> Format {
    Format::Integer { bits: w.bits(), truncate: false }
}
const fn truncated(w: Width) -> Format {
    Format::Integer { bits: w.bits(), truncate: true }
}

/// FLD m80fp and FBLD.
#[inline(always)]
fn load_wide<T: Target>(
    t: &mut T,
    name: &'static str,
    opcode: u16,
    run: fn(&mut X87, u64, u16),
) -> Step<T> {
    t.x87_ready()?;
    t.x87_wide(name, opcode, run)
}

rows! {
    unary Fld_m32fp => source(Dword, "fld", 0x100, |x, m| x.load_single(m as u32));
    unary Fld_m64fp => source(Qword, "fld", 0x500, |x, m| x.load_double(m));
    unary Fld_m80fp => load_wide("fld", 0x328, |x, low, high| x.load(F80::new(high, low)));
    unary Fbld_m80bcd => load_wide("fbld", 0x720, |x, low, high| x.load_bcd(F80::new(high, low).to_bytes()));
    unary Fild_m16int => source(Word, "fild", 0x700, |x, m| x.load_integer(Word.sign_extend(m) as i64));
    unary Fild_m32int => source(Dword, "fild", 0x300, |x, m| x.load_integer(Dword.sign_extend(m) as i64));
    unary Fild_m64int => source(Qword, "fild", 0x728, |x, m| x.load_integer(m as i64));
    unary Fst_m32fp => store("fst", 0x110, Format::Single, Pops::None);
    unary Fstp_m32fp => store("fstp", 0x118, Format::Single, Pops::Once);
    unary Fst_m64fp => store("fst", 0x510, Format::Double, Pops::None);
    unary Fstp_m64fp => store("fstp", 0x518, Format::Double, Pops::Once);
    unary Fstp_m80fp => store("fstp", 0x338, Format::Extended, Pops::Once);
    unary Fbstp_m80bcd => store("fbstp", 0x730, Format::Bcd, Pops::Once);
    unary Fist_m16int => store("fist", 0x710, integer(Word), Pops::None);
    unary Fistp_m16int => store("fistp", 0x718, integer(Word), Pops::Once);
    unary Fist_m32int => store("fist", 0x310, integer(Dword), Pops::None);
    unary Fistp_m32int => store("fistp", 0x318, integer(Dword), Pops::Once);
    unary Fistp_m64int => store("fistp", 0x738, integer(Qword), Pops::Once);
    unary Fisttp_m16int => store("fisttp", 0x708, truncated(Word), Pops::Once);
    unary Fisttp_m32int => store("fisttp", 0x308, truncated(Dword), Pops::Once);
    unary Fisttp_m64int => store("fisttp", 0x508, truncated(Qword), Pops::Once);
    registers Fld_sti => registers("fld", 0x1c0, |x, i| x.load_register(st(i)));
    registers Fst_sti => registers("fst", 0x5d0, |x, i| x.store_register(st(i), Pops::None));
    registers Fstp_sti => registers("fstp", 0x5d8, |x, i| x.store_register(st(i), Pops::Once));
    registers Fstp_sti_DFD0 => registers("fstp", 0x7d0, |x, i| x.store_register(st(i), Pops::Once));
    registers Fstp_sti_DFD8 => registers("fstp", 0x7d8, |x, i| x.store_register(st(i), Pops::Once));
    registers Fstpnce_sti => registers("fstpnce", 0x1d8, |x, i| x.store_unchecked(st(i)));
    registers Fxch_st0_sti => registers("fxch", 0x1c8, |x, i| x.exchange(st(i)));
    registers Fxch_st0_sti_DDC8 => registers("fxch", 0x5c8, |x, i| x.exchange(st(i)));
    registers Fxch_st0_sti_DFC8 => registers("fxch", 0x7c8, |x, i| x.exchange(st(i)));
    registers Fld1 => registers("fld1", 0x1e8, |x, _| x.load_constant(0));
    registers Fldl2t => registers("fldl2t", 0x1e9, |x, _| x.load_constant(1));
    registers Fldl2e => registers("fldl2e", 0x1ea, |x, _| x.load_constant(2));
    registers Fldpi => registers("fldpi", 0x1eb, |x, _| x.load_constant(3));
    registers Fldlg2 => registers("fldlg2", 0x1ec, |x, _| x.load_constant(4));
    registers Fldln2 => registers("fldln2", 0x1ed, |x, _| x.load_constant(5));
    registers Fldz => registers("fldz", 0x1ee, |x, _| x.load_constant(6));
    registers Fcmovb_st0_sti => move_if("fcmovb", 0x2c0, Cc::B);
    registers Fcmove_st0_sti => move_if("fcmove", 0x2c8, Cc::E);
    registers Fcmovbe_st0_sti => move_if("fcmovbe", 0x2d0, Cc::Be);
    registers Fcmovu_st0_sti => move_if("fcmovu", 0x2d8, Cc::P);
    registers Fcmovnb_st0_sti => move_if("fcmovnb", 0x3c0, Cc::Ae);
    registers Fcmovne_st0_sti => move_if("fcmovne", 0x3c8, Cc::Ne);
    registers Fcmovnbe_st0_sti => move_if("fcmovnbe", 0x3d0, Cc::A);
    registers Fcmovnu_st0_sti => move_if("fcmovnu", 0x3d8, Cc::Np);
    registers Ffree_sti => registers("ffree", 0x5c0, |x, i| x.free_register(st(i)));
    registers Ffreep_sti => registers("ffreep", 0x7c0, |x, i| {
        x.free_register(st(i));
        x.pop();
    });
    registers Fincstp => registers("fincstp", 0x1f7, |x, _| x.rotate(1));
    registers Fdecstp => registers("fdecstp", 0x1f6, |x, _| x.rotate(7));
    registers Fnop => registers("fnop", 0x1d0, |_, _| {});
}
