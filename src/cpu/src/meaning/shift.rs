//! Shifts and rotates: group 2 (ROL ROR RCL RCR SHL SHR SAR), SHLD, SHRD.
//!
//! Source: Intel SDM vol. 2, "RCL/RCR/ROL/ROR", "SAL/SAR/SHL/SHR", "SHLD", "SHRD". A masked count
//! of 0 changes no flag.

use crate::flags::Flags;
use crate::table::rows;
use crate::target::{Bin, Cmp, Rule, Step, Target};
use cutaway_isa::Rflags;
use cutaway_isa::Width::{self, Byte, Dword, Qword, Word};

/// The CPU looks at 5 bits of the count, or 6 under a 64-bit operand size.
#[inline(always)]
fn masked_count<T: Target>(t: &mut T, w: Width, n: u32) -> Result<T::Value, T::Fault> {
    let count = t.read(n, Byte)?;
    let mask = t.constant(Byte, if w == Qword { 0x3f } else { 0x1f });
    Ok(t.bin(Bin::And, Byte, &count, &mask))
}

/// The flags of a shift from width, value, count and result.
type ShiftFlags<V> = fn(Width, V, V, V) -> Flags<V>;

#[inline(always)]
fn shift<T: Target>(t: &mut T, op: Bin, w: Width, flags: ShiftFlags<T::Value>) -> Step<T> {
    let a = t.modify(0, w)?;
    let count = masked_count(t, w, 1)?;
    let zero = t.constant(Byte, 0);
    let shifts = t.compare(Cmp::Ne, Byte, &count, &zero);
    let result = t.bin(op, w, &a, &count);
    t.write(0, w, result.clone())?;
    t.set_flags_if(&shifts, flags(w, a, count, result));
    Ok(())
}

/// SHL (alias SAL): zeroes enter at bit 0. CF: the last bit shifted out; OF: CF ^ the new sign;
/// SF ZF PF: the result. Undefined, and what we give: AF = 1; OF for counts above 1 as for 1;
/// CF = 0 for counts above the width.
#[inline(always)]
fn shl<T: Target>(t: &mut T, w: Width) -> Step<T> {
    shift(t, Bin::Shl, w, |w, a, count, result| Flags::Shl { w, a, count, result })
}

/// SHR: zeroes enter at the top. CF: the last bit shifted out; OF: the old sign for a count of 1.
/// Undefined, and what we give: AF = 1, OF for counts above 1: the exclusive or of the result's
/// two top bits.
#[inline(always)]
fn shr<T: Target>(t: &mut T, w: Width) -> Step<T> {
    shift(t, Bin::Shr, w, |w, a, count, result| Flags::Shr { w, a, count, result })
}

/// SAR: copies of the sign enter at the top. CF: the last bit shifted out; OF = 0.
/// Undefined, and what we give: AF = 1.
#[inline(always)]
fn sar<T: Target>(t: &mut T, w: Width) -> Step<T> {
    shift(t, Bin::Sar, w, |w, a, count, result| Flags::Sar { w, a, count, result })
}

/// The rotates through CF: a pure rule on value, count and flags.
#[inline(always)]
fn by_rule<T: Target>(t: &mut T, name: &'static str, rule: Rule, w: Width) -> Step<T> {
    let a = t.modify(0, w)?;
    let count = masked_count(t, w, 1)?;
    let (result, status) = t.rule(name, rule, w, &a, &count);
    t.write(0, w, result)?;
    t.set_status(status);
    Ok(())
}

/// ROL: CF: the new bit 0; OF: CF ^ the new sign (for counts above 1 undefined: as for 1); the
/// others stay.
#[inline(always)]
fn rol<T: Target>(t: &mut T, w: Width) -> Step<T> {
    rotate(t, Bin::Rol, w, |w, result| Flags::Rol { w, result })
}

/// ROR: CF: the new sign; OF: the exclusive or of the two top bits; the others stay.
#[inline(always)]
fn ror<T: Target>(t: &mut T, w: Width) -> Step<T> {
    rotate(t, Bin::Ror, w, |w, result| Flags::Ror { w, result })
}

/// Flags change for a masked count that is not 0, even where it is a multiple of the width.
#[inline(always)]
fn rotate<T: Target>(
    t: &mut T,
    op: Bin,
    w: Width,
    flags: fn(Width, T::Value) -> Flags<T::Value>,
) -> Step<T> {
    let a = t.modify(0, w)?;
    let count = masked_count(t, w, 1)?;
    let zero = t.constant(Byte, 0);
    let turns = t.compare(Cmp::Ne, Byte, &count, &zero);
    let result = t.bin(op, w, &a, &count);
    t.write(0, w, result.clone())?;
    t.set_flags_if(&turns, flags(w, result));
    Ok(())
}

/// RCL: rotate left through CF, as one register of width + 1 bits.
///
/// CF: the bit rotated into it; OF: CF ^ the new sign; no other flag changes. The count is taken
/// modulo width + 1. Undefined: OF for counts above 1, given as for 1, even where the count is a
/// multiple of width + 1 and nothing moves (measured on Zen 3).
pub(crate) fn rcl(w: Width, value: u64, count: u64, flags: Rflags) -> (u64, Rflags) {
    if count == 0 {
        return (value, flags);
    }
    let ring = w.bits() + 1;
    let count = count as u32 % ring;
    let with_cf = u128::from(flags.contains(Rflags::CF)) << w.bits() | u128::from(value);
    let rotated = with_cf << count | with_cf >> (ring - count);
    let result = rotated as u64 & w.mask();
    let carry = rotated >> w.bits() & 1 != 0;
    let overflow = carry != (result & w.sign_bit() != 0);
    (result, flags.with(Rflags::CF, carry).with(Rflags::OF, overflow))
}

/// RCR: rotate right through CF. OF: the exclusive or of the two top bits.
pub(crate) fn rcr(w: Width, value: u64, count: u64, flags: Rflags) -> (u64, Rflags) {
    if count == 0 {
        return (value, flags);
    }
    let ring = w.bits() + 1;
    let count = count as u32 % ring;
    let with_cf = u128::from(flags.contains(Rflags::CF)) << w.bits() | u128::from(value);
    let rotated = with_cf >> count | with_cf << (ring - count);
    let result = rotated as u64 & w.mask();
    let carry = rotated >> w.bits() & 1 != 0;
    let overflow = (result ^ result << 1) & w.sign_bit() != 0;
    (result, flags.with(Rflags::CF, carry).with(Rflags::OF, overflow))
}

/// SHLD and SHRD up to the flags: destination, count, result, and whether anything shifts.
#[inline(always)]
fn double<T: Target>(t: &mut T, left: bool, w: Width) -> Result<[T::Value; 3], T::Fault> {
    let a = t.modify(0, w)?;
    let b = t.read(1, w)?;
    let count = masked_count(t, w, 2)?;
    let result = if w == Word {
        // Counts above 16 are undefined: the source enters a second time (measured on Zen 3).
        let (wide_a, wide_b) = (t.resize(Word, Qword, &a), t.resize(Word, Qword, &b));
        let (sixteen, thirty_two) = (t.constant(Byte, 16), t.constant(Byte, 32));
        let middle = t.bin(Bin::Shl, Qword, &wide_b, &sixteen);
        let (first, last) = if left { (&wide_a, &wide_b) } else { (&wide_b, &wide_a) };
        let high = t.bin(Bin::Shl, Qword, first, &thirty_two);
        let ring = t.bin(Bin::Or, Qword, &high, &middle);
        let ring = t.bin(Bin::Or, Qword, &ring, last);
        let shifted = if left {
            let up = t.bin(Bin::Shl, Qword, &ring, &count);
            t.bin(Bin::Shr, Qword, &up, &thirty_two)
        } else {
            t.bin(Bin::Shr, Qword, &ring, &count)
        };
        t.resize(Qword, Word, &shifted)
    } else {
        // The shift by width - count goes in two steps, since it may be by the whole width.
        let last = t.constant(Byte, u64::from(w.bits() - 1));
        let (one, rest) = (t.constant(Byte, 1), t.bin(Bin::Sub, Byte, &last, &count));
        let (main, other) = if left { (Bin::Shl, Bin::Shr) } else { (Bin::Shr, Bin::Shl) };
        let kept = t.bin(main, w, &a, &count);
        let entering = t.bin(other, w, &b, &one);
        let entering = t.bin(other, w, &entering, &rest);
        t.bin(Bin::Or, w, &kept, &entering)
    };
    Ok([a, count, result])
}

/// SHLD: dst shifted left, the top of src enters. CF: the last bit shifted out; OF: CF ^ the new
/// sign; SF ZF PF: the result; AF undefined (1). Of a word by 16 and more, undefined: OF is CF, and
/// CF is 0 above 16 (measured on Zen 3).
#[inline(always)]
fn shld<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let [a, count, result] = double(t, true, w)?;
    let zero = t.constant(Byte, 0);
    let shifts = t.compare(Cmp::Ne, Byte, &count, &zero);
    t.write(0, w, result.clone())?;
    t.set_flags_if(&shifts, Flags::Shl { w, a, count, result });
    Ok(())
}

/// SHRD: dst shifted right, the bottom of src enters. Flags as SHLD; OF: the two top bits differ.
#[inline(always)]
fn shrd<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let [a, count, result] = double(t, false, w)?;
    let zero = t.constant(Byte, 0);
    let shifts = t.compare(Cmp::Ne, Byte, &count, &zero);
    t.write(0, w, result.clone())?;
    t.set_flags_if(&shifts, Flags::Shr { w, a, count, result });
    Ok(())
}

#[inline(always)]
fn rotate_carry_left<T: Target>(t: &mut T, w: Width) -> Step<T> {
    by_rule(t, "rcl", rcl, w)
}

#[inline(always)]
fn rotate_carry_right<T: Target>(t: &mut T, w: Width) -> Step<T> {
    by_rule(t, "rcr", rcr, w)
}

rows! {
    binary Shl_rm8_imm8 | Shl_rm8_1 | Shl_rm8_CL | Sal_rm8_imm8 | Sal_rm8_1 | Sal_rm8_CL => shl(Byte);
    binary Shr_rm8_imm8 | Shr_rm8_1 | Shr_rm8_CL => shr(Byte);
    binary Sar_rm8_imm8 | Sar_rm8_1 | Sar_rm8_CL => sar(Byte);
    binary Rol_rm8_imm8 | Rol_rm8_1 | Rol_rm8_CL => rol(Byte);
    binary Ror_rm8_imm8 | Ror_rm8_1 | Ror_rm8_CL => ror(Byte);
    binary Rcl_rm8_imm8 | Rcl_rm8_1 | Rcl_rm8_CL => rotate_carry_left(Byte);
    binary Rcr_rm8_imm8 | Rcr_rm8_1 | Rcr_rm8_CL => rotate_carry_right(Byte);
    binary Shl_rm16_imm8 | Shl_rm16_1 | Shl_rm16_CL | Sal_rm16_imm8 | Sal_rm16_1 | Sal_rm16_CL => shl(Word);
    binary Shr_rm16_imm8 | Shr_rm16_1 | Shr_rm16_CL => shr(Word);
    binary Sar_rm16_imm8 | Sar_rm16_1 | Sar_rm16_CL => sar(Word);
    binary Rol_rm16_imm8 | Rol_rm16_1 | Rol_rm16_CL => rol(Word);
    binary Ror_rm16_imm8 | Ror_rm16_1 | Ror_rm16_CL => ror(Word);
    binary Rcl_rm16_imm8 | Rcl_rm16_1 | Rcl_rm16_CL => rotate_carry_left(Word);
    binary Rcr_rm16_imm8 | Rcr_rm16_1 | Rcr_rm16_CL => rotate_carry_right(Word);
    binary Shld_rm16_r16_imm8 => shld(Word);
    slow Shld_rm16_r16_CL => shld(Word);
    binary Shrd_rm16_r16_imm8 => shrd(Word);
    slow Shrd_rm16_r16_CL => shrd(Word);
    binary Shl_rm32_imm8 | Shl_rm32_1 | Shl_rm32_CL | Sal_rm32_imm8 | Sal_rm32_1 | Sal_rm32_CL => shl(Dword);
    binary Shr_rm32_imm8 | Shr_rm32_1 | Shr_rm32_CL => shr(Dword);
    binary Sar_rm32_imm8 | Sar_rm32_1 | Sar_rm32_CL => sar(Dword);
    binary Rol_rm32_imm8 | Rol_rm32_1 | Rol_rm32_CL => rol(Dword);
    binary Ror_rm32_imm8 | Ror_rm32_1 | Ror_rm32_CL => ror(Dword);
    binary Rcl_rm32_imm8 | Rcl_rm32_1 | Rcl_rm32_CL => rotate_carry_left(Dword);
    binary Rcr_rm32_imm8 | Rcr_rm32_1 | Rcr_rm32_CL => rotate_carry_right(Dword);
    binary Shld_rm32_r32_imm8 => shld(Dword);
    slow Shld_rm32_r32_CL => shld(Dword);
    binary Shrd_rm32_r32_imm8 => shrd(Dword);
    slow Shrd_rm32_r32_CL => shrd(Dword);
    binary Shl_rm64_imm8 | Shl_rm64_1 | Shl_rm64_CL | Sal_rm64_imm8 | Sal_rm64_1 | Sal_rm64_CL => shl(Qword);
    binary Shr_rm64_imm8 | Shr_rm64_1 | Shr_rm64_CL => shr(Qword);
    binary Sar_rm64_imm8 | Sar_rm64_1 | Sar_rm64_CL => sar(Qword);
    binary Rol_rm64_imm8 | Rol_rm64_1 | Rol_rm64_CL => rol(Qword);
    binary Ror_rm64_imm8 | Ror_rm64_1 | Ror_rm64_CL => ror(Qword);
    binary Rcl_rm64_imm8 | Rcl_rm64_1 | Rcl_rm64_CL => rotate_carry_left(Qword);
    binary Rcr_rm64_imm8 | Rcr_rm64_1 | Rcr_rm64_CL => rotate_carry_right(Qword);
    binary Shld_rm64_r64_imm8 => shld(Qword);
    slow Shld_rm64_r64_CL => shld(Qword);
    binary Shrd_rm64_r64_imm8 => shrd(Qword);
    slow Shrd_rm64_r64_CL => shrd(Qword);
}

#[cfg(test)]
mod tests {
    use super::*;
    const CF: Rflags = Rflags::CF;
    const OF: Rflags = Rflags::OF;
    const NONE: Rflags = Rflags::empty();

    #[test]
    fn rotates_through_carry_match_the_manual() {
        for (rule, w, value, count, before, result, after, name) in [
            (rcl as Rule, Dword, 0x8000_0000, 1, CF, 1, CF | OF, "rcl eax, 1"),
            (rcl, Byte, 0x5a, 9, CF, 0x5a, CF | OF, "rcl al, 9: as the reference silicon"),
            (rcr, Byte, 0x01, 1, CF, 0x80, CF | OF, "rcr al, 1"),
            (rcr, Word, 0x1234, 0, NONE, 0x1234, NONE, "rcr ax, 0"),
        ] {
            assert_eq!(rule(w, value, count, before), (result, after), "{name}");
        }
    }
}
