//! Addition, multiplication, division and square root of singles and doubles in integer code.
//!
//! Source: Intel SDM vol. 1 §4.8.3.5, "Operating on SNaNs and QNaNs"; §11.5.2, "SIMD
//! Floating-Point Exception Conditions". Each function gives the masked response and adds what it
//! raises to `raised`.

use super::binary::{Finite, Format, denormal_operand, is_negative, magnitude, nan_result, sign};
use super::mxcsr::Mxcsr;
use super::round::{FloatFlags, Rounding, shift_right_sticky_128};

/// Free bits below the significand while adding: what is shifted further out is sticky.
const GUARD_BITS: u32 = 64;

/// ADD: `a + b`.
pub(super) fn add<F: Format>(a: u64, b: u64, mxcsr: Mxcsr, raised: &mut FloatFlags) -> u64 {
    if let Some(nan) = nan_result::<F>(a, b, raised) {
        return nan;
    }
    if magnitude::<F>(a) == F::INFINITY && b == a ^ F::SIGN {
        return invalid::<F>(raised);
    }
    let a = denormal_operand::<F>(a, mxcsr, raised);
    let b = denormal_operand::<F>(b, mxcsr, raised);
    if magnitude::<F>(a) == F::INFINITY {
        return a;
    }
    if magnitude::<F>(b) == F::INFINITY {
        return b;
    }
    add_finite(Finite::of::<F>(a), Finite::of::<F>(b), mxcsr).round::<F>(mxcsr, raised)
}

/// SUB: `a - b`. The sign of a NaN stays as it is.
pub(super) fn sub<F: Format>(a: u64, b: u64, mxcsr: Mxcsr, raised: &mut FloatFlags) -> u64 {
    match nan_result::<F>(a, b, raised) {
        Some(nan) => nan,
        None => add::<F>(a, b ^ F::SIGN, mxcsr, raised),
    }
}

/// The sum before rounding. An exact zero from unlike signs is negative only toward minus.
fn add_finite(a: Finite, b: Finite, mxcsr: Mxcsr) -> Finite {
    let (high, low) = match (a.significand, b.significand) {
        (0, 0) if a.negative != b.negative => return cancelled(mxcsr),
        (_, 0) => return a,
        (0, _) => return b,
        _ if a.weight >= b.weight => (a, b),
        _ => (b, a),
    };
    let weight = high.weight - GUARD_BITS as i32;
    let h = high.significand << GUARD_BITS;
    let l =
        shift_right_sticky_128(low.significand << GUARD_BITS, (high.weight - low.weight) as u32);
    if high.negative == low.negative {
        return Finite { weight, significand: h + l, ..high };
    }
    match h.cmp(&l) {
        core::cmp::Ordering::Equal => cancelled(mxcsr),
        core::cmp::Ordering::Greater => Finite { weight, significand: h - l, ..high },
        core::cmp::Ordering::Less => Finite { weight, significand: l - h, ..low },
    }
}

/// The zero that `x - x` gives.
pub(super) fn cancelled(mxcsr: Mxcsr) -> Finite {
    Finite { negative: mxcsr.rounding() == Rounding::Down, weight: 0, significand: 0 }
}

/// MUL: `a * b`.
pub(super) fn mul<F: Format>(a: u64, b: u64, mxcsr: Mxcsr, raised: &mut FloatFlags) -> u64 {
    if let Some(nan) = nan_result::<F>(a, b, raised) {
        return nan;
    }
    let mut denormal = FloatFlags::empty();
    let a = denormal_operand::<F>(a, mxcsr, &mut denormal);
    let b = denormal_operand::<F>(b, mxcsr, &mut denormal);
    let (ma, mb) = (magnitude::<F>(a), magnitude::<F>(b));
    if ma == F::INFINITY && mb == 0 || ma == 0 && mb == F::INFINITY {
        return invalid::<F>(raised);
    }
    *raised |= denormal;
    let negative = is_negative::<F>(a ^ b);
    if ma == F::INFINITY || mb == F::INFINITY {
        return sign::<F>(negative) | F::INFINITY;
    }
    let (a, b) = (Finite::of::<F>(a), Finite::of::<F>(b));
    let significand = a.significand * b.significand;
    Finite { negative, weight: a.weight + b.weight, significand }.round::<F>(mxcsr, raised)
}

/// DIV: `a / b`.
pub(super) fn div<F: Format>(a: u64, b: u64, mxcsr: Mxcsr, raised: &mut FloatFlags) -> u64 {
    if let Some(nan) = nan_result::<F>(a, b, raised) {
        return nan;
    }
    let mut denormal = FloatFlags::empty();
    let a = denormal_operand::<F>(a, mxcsr, &mut denormal);
    let b = denormal_operand::<F>(b, mxcsr, &mut denormal);
    let (ma, mb) = (magnitude::<F>(a), magnitude::<F>(b));
    if ma == mb && (ma == 0 || ma == F::INFINITY) {
        return invalid::<F>(raised);
    }
    let negative = is_negative::<F>(a ^ b);
    if mb == 0 && ma != F::INFINITY {
        *raised |= FloatFlags::ZE;
        return sign::<F>(negative) | F::INFINITY;
    }
    *raised |= denormal;
    if ma == F::INFINITY {
        return sign::<F>(negative) | F::INFINITY;
    }
    if mb == F::INFINITY {
        return sign::<F>(negative);
    }
    let (a, b) = (Finite::of::<F>(a), Finite::of::<F>(b));
    let up = 125 - F::FRACTION_BITS;
    let numerator = a.significand << up;
    let quotient = numerator / b.significand;
    let rest = u128::from(quotient * b.significand != numerator);
    let weight = a.weight - b.weight - up as i32 - 1;
    Finite { negative, weight, significand: quotient << 1 | rest }.round::<F>(mxcsr, raised)
}

/// SQRT: the square root of `a`.
pub(super) fn sqrt<F: Format>(a: u64, mxcsr: Mxcsr, raised: &mut FloatFlags) -> u64 {
    if let Some(nan) = nan_result::<F>(a, a, raised) {
        return nan;
    }
    let mut denormal = FloatFlags::empty();
    let a = denormal_operand::<F>(a, mxcsr, &mut denormal);
    if magnitude::<F>(a) == 0 {
        return a;
    }
    if is_negative::<F>(a) {
        return invalid::<F>(raised);
    }
    *raised |= denormal;
    if a == F::INFINITY {
        return a;
    }
    let a = Finite::of::<F>(a);
    let up = 125 - F::FRACTION_BITS;
    let up = up + (a.weight - up as i32).rem_euclid(2) as u32; // the weight must be even
    let square = a.significand << up;
    let root = square.isqrt();
    let rest = u128::from(root * root != square);
    let weight = (a.weight - up as i32) / 2 - 1;
    Finite { negative: false, weight, significand: root << 1 | rest }.round::<F>(mxcsr, raised)
}

/// MIN or MAX: `a` where `takes_first` of the order of `a` and `b`, else `b`. `b` also where
/// either is a NaN (IE, even a quiet one; the NaN stays as it is) or both are zeroes. DAZ holds
/// for what is returned too.
pub(super) fn select<F: Format>(
    a: u64,
    b: u64,
    mxcsr: Mxcsr,
    raised: &mut FloatFlags,
    takes_first: impl Fn(core::cmp::Ordering) -> bool,
) -> u64 {
    if nan_result::<F>(a, b, raised).is_some() {
        *raised |= FloatFlags::IE;
        let mut no_matter = FloatFlags::empty();
        return denormal_operand::<F>(b, mxcsr, &mut no_matter);
    }
    let a = denormal_operand::<F>(a, mxcsr, raised);
    let b = denormal_operand::<F>(b, mxcsr, raised);
    if takes_first(order::<F>(a, b)) { a } else { b }
}

/// The order of two numbers that are no NaNs; zeroes are equal.
pub(super) fn order<F: Format>(a: u64, b: u64) -> core::cmp::Ordering {
    let key = |bits: u64| {
        let magnitude = magnitude::<F>(bits) as i64;
        if is_negative::<F>(bits) { -magnitude } else { magnitude }
    };
    key(a).cmp(&key(b))
}

/// The masked response to an invalid operation.
pub(super) fn invalid<F: Format>(raised: &mut FloatFlags) -> u64 {
    *raised |= FloatFlags::IE;
    F::INDEFINITE
}
