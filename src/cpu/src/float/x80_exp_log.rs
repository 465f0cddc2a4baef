//! F2XM1 FYL2X FYL2XP1: powers of and logarithms to the base 2, correctly rounded.
//!
//! Source: Intel SDM vol. 2, "F2XM1", "FYL2X", "FYL2XP1" with their tables of special operands.
//! Methods: 2^x - 1 is the exponential series of x ln 2; log2 takes the exponent apart, then is
//! the series of artanh((m - 1) / (m + 1)), which keeps its relative accuracy beside 1.

use super::round::FloatFlags;
use super::x80::F80;
use super::x80_round::{Context, Unpacked};
use super::x80_wide::{
    FIXED_ONE, Signs, Wide, factorial_reciprocals, mul_fixed, odd_reciprocals, series,
};

/// ln 2.
const LN_2: Wide =
    Wide { negative: false, exponent: -1, significand: 0xb172_17f7_d1cf_79ab_c9e3_b398_03f2_f6af };
/// 2 / ln 2.
const TWO_LOG2_E: Wide =
    Wide { negative: false, exponent: 1, significand: 0xb8aa_3b29_5c17_f0bb_be87_fed0_691d_3e88 };
/// The square root of 2, rounded up, as a significand.
const SQRT_2: u128 = 0xb504_f333_f9de_6484_597d_89b3_754a_bea0;

/// (e^t - 1) / t = 1/1! + t/2! + t^2/3! …: enough terms for |t| <= ln 2.
const EXP_MINUS_1: [u128; 33] = factorial_reciprocals(1, 1);
/// artanh(s) / s = 1 + s^2/3 + s^4/5 …: enough terms for |s| <= 3 - sqrt 8.
const ARTANH: [u128; 27] = odd_reciprocals();

/// F2XM1: `2^a - 1` for `-1 <= a <= 1`. Beyond, where the manual leaves the result undefined, `a`
/// comes back with PE set (measured).
pub fn exp2_minus_1(context: &mut Context, a: F80) -> F80 {
    if let Some(answer) = context.nan_or_unsupported(a) {
        return answer;
    }
    if a.is_zero() {
        return a;
    }
    if !context.note_denormals(&[a]) {
        return a;
    }
    if a.abs() == F80::ONE {
        // Neither is given as exact: the processor rounds 1 from just below (measured).
        return match a.is_negative() {
            true => Wide::ONE.halve().negate().round_exact(context),
            false => Wide { exponent: -1, significand: u128::MAX, ..Wide::ONE }.round(context),
        };
    }
    if a.is_infinite() {
        return if a.is_negative() { F80::ONE.negate() } else { a };
    }
    if a.exponent() >= F80::ONE.exponent() {
        context.raise(FloatFlags::PE);
        return a;
    }
    let t = Wide::new(Unpacked::new(a)).mul(LN_2);
    let signs = if a.is_negative() { Signs::Alternating } else { Signs::Same };
    let factor = series(&EXP_MINUS_1, t.to_fixed(), signs);
    t.mul(Wide::normalized(false, 0, factor)).round(context)
}

/// FYL2X: `y * log2(x)`.
pub fn y_log2_x(context: &mut Context, x: F80, y: F80) -> F80 {
    if let Some(answer) = context.nan_or_unsupported_2(x, y) {
        return answer;
    }
    if x.is_negative() && !x.is_zero() {
        return context.invalid();
    }
    let is_one = x == F80::ONE;
    let below_one = x.exponent() < F80::ONE.exponent();
    if y.is_zero() && (x.is_zero() || x.is_infinite()) || y.is_infinite() && is_one {
        return context.invalid();
    }
    let negative = y.is_negative() != below_one;
    if x.is_zero() && !y.is_infinite() {
        context.raise(FloatFlags::ZE);
        return F80::INFINITY.with_sign(negative);
    }
    if !context.note_denormals(&[x, y]) {
        return y;
    }
    if x.is_infinite() || y.is_infinite() || x.is_zero() {
        return F80::INFINITY.with_sign(negative);
    }
    if y.is_zero() || is_one {
        return F80::ZERO.with_sign(negative);
    }
    let y = Wide::new(Unpacked::new(y));
    match log2(Wide::new(Unpacked::new(x))) {
        Logarithm::Exact(exponent) => {
            let product = y.mul(Wide::integer(exponent));
            product.round_exact(context)
        }
        Logarithm::Inexact(logarithm) => y.mul(logarithm).round(context),
    }
}

/// FYL2XP1: `y * log2(x + 1)`. The manual wants `|x| <= 1 - sqrt(1/2)`; we give the logarithm for
/// all `x` above -1, and `x` itself with PE set from -1 down (measured).
pub fn y_log2_x_plus_1(context: &mut Context, x: F80, y: F80) -> F80 {
    if let Some(answer) = context.nan_or_unsupported_2(x, y) {
        return answer;
    }
    let negative = x.is_negative() != y.is_negative();
    let minus_infinity = x.is_infinite() && x.is_negative();
    if y.is_infinite() && x.is_zero() || y.is_zero() && x.is_infinite() || minus_infinity {
        return context.invalid();
    }
    if !context.note_denormals(&[x, y]) {
        return y;
    }
    if x.is_infinite() || y.is_infinite() {
        return F80::INFINITY.with_sign(negative);
    }
    if x.is_zero() || y.is_zero() {
        return F80::ZERO.with_sign(negative);
    }
    if x.is_negative() && x.exponent() >= F80::ONE.exponent() {
        context.raise(FloatFlags::PE);
        return x;
    }
    let y = Wide::new(Unpacked::new(y));
    let x = Wide::new(Unpacked::new(x));
    if x.exponent < -2 {
        let s = x.div(Wide::integer(2).add(x));
        return y.mul(log2_of_ratio(s)).round(context);
    }
    match log2(Wide::ONE.add(x)) {
        Logarithm::Exact(0) => y.mul(x).round(context),
        Logarithm::Exact(exponent) => y.mul(Wide::integer(exponent)).round_exact(context),
        Logarithm::Inexact(logarithm) => y.mul(logarithm).round(context),
    }
}

enum Logarithm {
    Exact(i32),
    Inexact(Wide),
}

/// log2 of a positive number.
fn log2(x: Wide) -> Logarithm {
    if x.significand == FIXED_ONE {
        return Logarithm::Exact(x.exponent);
    }
    // x = m * 2^exponent with sqrt(1/2) < m < sqrt(2), m - 1 exact.
    let halve = x.significand >= SQRT_2;
    let exponent = x.exponent + i32::from(halve);
    let m = Wide { exponent: -i32::from(halve), ..x };
    let s = m.add(Wide::ONE.negate()).div(m.add(Wide::ONE));
    let logarithm = log2_of_ratio(s);
    if exponent == 0 {
        return Logarithm::Inexact(logarithm);
    }
    Logarithm::Inexact(Wide::integer(exponent).add(logarithm))
}

/// log2((1 + s) / (1 - s)) = 2 artanh(s) / ln 2.
fn log2_of_ratio(s: Wide) -> Wide {
    let fixed = s.to_fixed();
    let factor = series(&ARTANH, mul_fixed(fixed, fixed), Signs::Same);
    s.mul(Wide::normalized(false, 0, factor)).mul(TWO_LOG2_E)
}
