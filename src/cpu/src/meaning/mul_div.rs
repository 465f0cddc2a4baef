//! Multiplication and division: MUL IMUL DIV IDIV.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic. SF ZF AF PF are undefined after a
//! multiplication and stay; all flags are undefined after a division, which clears SF ZF PF, sets AF
//! and leaves CF OF. (Measured on Zen 3.)

use crate::flags::Flags;
use crate::table::rows;
use crate::target::{Bin, Cmp, Step, Target};
use cutaway_isa::Width::{self, Byte, Dword, Qword, Word};

const RAX: usize = 0;
const RDX: usize = 2;

/// MUL, IMUL with one operand: (r)DX:(r)AX := (r)AX * src, for bytes AX := AL * src.
#[inline(always)]
fn wide<T: Target>(t: &mut T, signed: bool, w: Width) -> Step<T> {
    let b = t.read(0, w)?;
    let a = t.gpr(RAX, w);
    let low = t.bin(Bin::Mul, w, &a, &b);
    let high = t.bin(if signed { Bin::MulHighSigned } else { Bin::MulHighUnsigned }, w, &a, &b);
    let extension = if signed {
        let last = t.constant(Byte, u64::from(w.bits() - 1));
        t.bin(Bin::Sar, w, &low, &last)
    } else {
        t.constant(w, 0)
    };
    let significant = t.compare(Cmp::Ne, w, &high, &extension);
    if w == Byte {
        t.set_gpr(RAX, Byte, low);
        t.set_ah(high);
    } else {
        t.set_gpr(RAX, w, low);
        t.set_gpr(RDX, w, high);
    }
    let significant = t.truth(w, &significant);
    t.set_flags(Flags::Product { significant });
    Ok(())
}

#[inline(always)]
fn mul<T: Target>(t: &mut T, w: Width) -> Step<T> {
    wide(t, false, w)
}

#[inline(always)]
fn imul<T: Target>(t: &mut T, w: Width) -> Step<T> {
    wide(t, true, w)
}

/// IMUL with two or three operands: dst := factors' low half; CF = OF = it does not fit.
#[inline(always)]
fn imul_into<T: Target>(t: &mut T, first: u32, second: u32, w: Width) -> Step<T> {
    let a = t.read(first, w)?;
    let b = t.read(second, w)?;
    let low = t.bin(Bin::Mul, w, &a, &b);
    let high = t.bin(Bin::MulHighSigned, w, &a, &b);
    let last = t.constant(Byte, u64::from(w.bits() - 1));
    let extension = t.bin(Bin::Sar, w, &low, &last);
    let significant = t.compare(Cmp::Ne, w, &high, &extension);
    t.write(0, w, low)?;
    let significant = t.truth(w, &significant);
    t.set_flags(Flags::Product { significant });
    Ok(())
}

/// DIV, IDIV: (r)DX:(r)AX by src, quotient to (r)AX, remainder to (r)DX; for bytes AX by src,
/// quotient to AL, remainder to AH. #DE for a zero divisor or a quotient that does not fit.
#[inline(always)]
fn division<T: Target>(t: &mut T, signed: bool, w: Width) -> Step<T> {
    let divisor = t.read(0, w)?;
    let low = t.gpr(RAX, w);
    let high = if w == Byte { t.ah() } else { t.gpr(RDX, w) };
    let (quotient, remainder) = t.divide(signed, w, &high, &low, &divisor)?;
    t.set_gpr(RAX, w, quotient);
    if w == Byte {
        t.set_ah(remainder)
    } else {
        t.set_gpr(RDX, w, remainder)
    }
    t.set_flags(Flags::Quotient);
    Ok(())
}

#[inline(always)]
fn div<T: Target>(t: &mut T, w: Width) -> Step<T> {
    division(t, false, w)
}

#[inline(always)]
fn idiv<T: Target>(t: &mut T, w: Width) -> Step<T> {
    division(t, true, w)
}

rows! {
    unary Mul_rm8 => mul(Byte);
    unary Imul_rm8 => imul(Byte);
    unary Div_rm8 => div(Byte);
    unary Idiv_rm8 => idiv(Byte);
    unary Mul_rm16 => mul(Word);
    unary Imul_rm16 => imul(Word);
    unary Div_rm16 => div(Word);
    unary Idiv_rm16 => idiv(Word);
    unary Mul_rm32 => mul(Dword);
    unary Imul_rm32 => imul(Dword);
    unary Div_rm32 => div(Dword);
    unary Idiv_rm32 => idiv(Dword);
    unary Mul_rm64 => mul(Qword);
    unary Imul_rm64 => imul(Qword);
    unary Div_rm64 => div(Qword);
    unary Idiv_rm64 => idiv(Qword);
    to_register Imul_r16_rm16 => imul_into(0, 1, Word);
    to_register Imul_r16_rm16_imm8 | Imul_r16_rm16_imm16 => imul_into(1, 2, Word);
    to_register Imul_r32_rm32 => imul_into(0, 1, Dword);
    to_register Imul_r32_rm32_imm8 | Imul_r32_rm32_imm32 => imul_into(1, 2, Dword);
    to_register Imul_r64_rm64 => imul_into(0, 1, Qword);
    to_register Imul_r64_rm64_imm8 | Imul_r64_rm64_imm32 => imul_into(1, 2, Qword);
}
