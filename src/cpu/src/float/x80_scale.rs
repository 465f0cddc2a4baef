//! FRNDINT FSCALE FXTRACT: operations on the exponent and the integer part.
//!
//! Source: Intel SDM vol. 2, "FRNDINT", "FSCALE" with table 3-29, "FXTRACT".

use super::round::{FloatFlags, Rounding};
use super::x80::{BIAS, Class, F80, INTEGER_BIT};
use super::x80_convert::{from_integer, round_magnitude};
use super::x80_round::{Context, Unpacked};

/// More than any exponent distance: a scale beyond it overflows or underflows whatever is scaled.
const SCALE_LIMIT: u64 = 0x1_0000;

/// FRNDINT: `a` rounded to an integer by the rounding mode. Precision control has no say.
pub fn round_to_integer(context: &mut Context, a: F80) -> F80 {
    if let Some(answer) = context.nan_or_unsupported(a) {
        return answer;
    }
    if !context.note_denormals(&[a]) {
        return a;
    }
    let Some(rounded) = round_magnitude(context.rounding(), a) else {
        return a; // infinite, or so large that it is an integer
    };
    rounded.note(context);
    if rounded.value >= INTEGER_BIT {
        return F80::from_parts(a.is_negative(), (BIAS + 63) as u16, rounded.value);
    }
    from_integer(rounded.value as i64).with_sign(a.is_negative())
}

/// FSCALE: `a` times two to the power of `b` truncated to an integer.
pub fn scale(context: &mut Context, a: F80, b: F80) -> F80 {
    if let Some(answer) = context.nan_or_unsupported_2(a, b) {
        return answer;
    }
    let negative = a.is_negative();
    if b.is_infinite() && (b.is_negative() && a.is_infinite() || !b.is_negative() && a.is_zero()) {
        return context.invalid();
    }
    if !context.note_denormals(&[a, b]) {
        return a;
    }
    if a.is_infinite() || a.is_zero() {
        return a;
    }
    if b.is_infinite() {
        let limit = if b.is_negative() { F80::ZERO } else { F80::INFINITY };
        return limit.with_sign(negative);
    }
    let by = round_magnitude(Rounding::Zero, b).map_or(SCALE_LIMIT, |by| by.value);
    let by = by.min(SCALE_LIMIT) as i32 * if b.is_negative() { -1 } else { 1 };
    let a = Unpacked::new(a);
    *context = context.with_full_precision();
    context.pack(negative, a.exponent + by, u128::from(a.significand) << 64)
}

/// FXTRACT: the significand (1 <= |x| < 2, with the sign of `a`), which comes to be ST(0), and the
/// unbiased exponent, which comes to be ST(1).
pub fn extract(context: &mut Context, a: F80) -> (F80, F80) {
    if let Some(answer) = context.nan_or_unsupported(a) {
        return (answer, answer);
    }
    match a.class() {
        Class::Infinity => (a, F80::INFINITY),
        Class::Zero => {
            context.raise(FloatFlags::ZE);
            (a, F80::INFINITY.negate())
        }
        _ => {
            context.note_denormals(&[a]);
            let number = Unpacked::new(a);
            let significand = F80::from_parts(a.is_negative(), BIAS as u16, number.significand);
            (significand, from_integer(i64::from(number.unbiased())))
        }
    }
}
