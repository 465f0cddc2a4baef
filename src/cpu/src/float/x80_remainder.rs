//! FPREM and FPREM1: the exact remainder, in steps of a limited reduction.
//!
//! Source: Intel SDM vol. 2, "FPREM", "FPREM1" with their tables of special operands. How far an
//! incomplete step reduces is up to the processor; ours was measured on an AMD Zen 4.

use super::x80::F80;
use super::x80_round::{Context, Unpacked};
use super::x87_state::{SW_C0, SW_C1, SW_C2, SW_C3};

/// Which integer the quotient is rounded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quotient {
    /// Toward zero: FPREM, the remainder of the 8087.
    Truncated,
    /// To the nearest, ties to even: FPREM1, the remainder of IEEE 754.
    Nearest,
}

/// The remainder of `a / b`. C2 is set if it is only reduced yet; otherwise C0, C3, C1 are bits
/// 2, 1, 0 of the quotient. C0 and C3 stay as they are where there is no quotient.
pub fn remainder(context: &mut Context, a: F80, b: F80, quotient: Quotient) -> F80 {
    context.replaces = SW_C1 | SW_C2;
    if let Some(answer) = context.nan_or_unsupported_2(a, b) {
        return answer;
    }
    if a.is_infinite() || b.is_zero() {
        return context.invalid();
    }
    if !context.note_denormals(&[a, b]) {
        return a;
    }
    context.replaces = SW_C0 | SW_C1 | SW_C2 | SW_C3;
    if a.is_zero() {
        return a;
    }
    *context = context.with_full_precision();
    let dividend = Unpacked::new(a);
    if b.is_infinite() {
        return context.pack(
            a.is_negative(),
            dividend.exponent,
            u128::from(dividend.significand) << 64,
        );
    }
    reduce(context, dividend, Unpacked::new(b), quotient)
}

fn reduce(context: &mut Context, a: Unpacked, b: Unpacked, quotient: Quotient) -> F80 {
    let distance = a.exponent - b.exponent;
    if distance < -1 {
        return context.pack(a.negative, a.exponent, u128::from(a.significand) << 64);
    }
    if distance >= 64 {
        let left = distance - step(distance);
        let (rest, _) = divide(a.significand, b.significand, (distance - left) as u32);
        context.status |= SW_C2;
        return pack_rest(context, a.negative, b.exponent + left, rest);
    }
    if distance == -1 {
        // |a| < |b|: half of b is what decides, so count in halves of b's last place.
        let (rest, twice) = (u128::from(a.significand), u128::from(b.significand) * 2);
        if quotient == Quotient::Nearest && rest * 2 > twice {
            context.status |= SW_C1;
            return pack_wide(context, !a.negative, a.exponent, twice - rest);
        }
        return pack_rest(context, a.negative, a.exponent, a.significand);
    }
    let (mut rest, mut whole) = divide(a.significand, b.significand, distance as u32);
    let mut negative = a.negative;
    if quotient == Quotient::Nearest {
        let twice = u128::from(rest) * 2;
        let divisor = u128::from(b.significand);
        if twice > divisor || twice == divisor && whole & 1 != 0 {
            rest = b.significand - rest;
            whole = whole.wrapping_add(1);
            negative = !negative;
        }
    }
    for (bit, code) in [(4, SW_C0), (2, SW_C3), (1, SW_C1)] {
        if whole & bit != 0 {
            context.status |= code;
        }
    }
    if rest == 0 {
        return F80::ZERO.with_sign(a.negative);
    }
    pack_rest(context, negative, b.exponent, rest)
}

/// How many bits of the quotient an incomplete step works out.
const fn step(distance: i32) -> i32 {
    distance % 32 + 32
}

/// `a * 2^by / b` with `by` at most 63: the remainder and the low 64 bits of the quotient.
fn divide(a: u64, b: u64, by: u32) -> (u64, u64) {
    let dividend = u128::from(a) << by;
    let divisor = u128::from(b);
    ((dividend % divisor) as u64, (dividend / divisor) as u64)
}

/// Packs `rest / 2^63 * 2^(exponent - BIAS)`, which is exact.
fn pack_rest(context: &mut Context, negative: bool, exponent: i32, rest: u64) -> F80 {
    pack_wide(context, negative, exponent, u128::from(rest))
}

fn pack_wide(context: &mut Context, negative: bool, exponent: i32, rest: u128) -> F80 {
    if rest == 0 {
        return F80::ZERO.with_sign(negative);
    }
    let shift = rest.leading_zeros();
    context.pack(negative, exponent + 64 - shift as i32, rest << shift)
}
