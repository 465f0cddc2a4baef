//! FADD FSUB FMUL FDIV FSQRT on the 80-bit format, under rounding and precision control.
//!
//! Source: Intel SDM vol. 2, "FADD/FADDP/FIADD", "FSUB", "FMUL", "FDIV", "FSQRT" with their
//! tables of special operands. Each function returns what the destination gets unless
//! [`Context::blocks_result`] then says that nothing is written.

use super::round::{FloatFlags, Rounding, shift_right_sticky_64};
use super::x80::{BIAS, F80};
use super::x80_round::{Context, Unpacked};

/// The four operations, and those with exchanged operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `a + b`.
    Add,
    /// `a * b`.
    Mul,
    /// `a - b`.
    Sub,
    /// `b - a`.
    SubReversed,
    /// `a / b`.
    Div,
    /// `b / a`.
    DivReversed,
}

/// An [`Operation`] as a type, for functions that are compiled for each.
pub trait Operator {
    /// Which operation it is.
    const OPERATION: Operation;
}

macro_rules! operators {
    ($($name:ident)*) => {$(
        /// The operation of this name.
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl Operator for $name {
            const OPERATION: Operation = Operation::$name;
        }
    )*};
}

operators! { Add Mul Sub SubReversed Div DivReversed }

/// One of the four operations, under rounding and precision control.
#[inline(always)]
pub fn arithmetic(context: &mut Context, operation: Operation, a: F80, b: F80) -> F80 {
    match operation {
        Operation::Add => add(context, a, b),
        Operation::Mul => mul(context, a, b),
        Operation::Sub => sub(context, a, b),
        Operation::SubReversed => sub(context, b, a),
        Operation::Div => div(context, a, b),
        Operation::DivReversed => div(context, b, a),
    }
}

/// [`arithmetic`] for operands that may be anything.
#[cold]
pub(super) fn arithmetic_special(
    context: &mut Context,
    operation: Operation,
    a: F80,
    b: F80,
) -> F80 {
    match operation {
        Operation::Add => add_special(context, a, b, b),
        Operation::Mul => mul_special(context, a, b),
        Operation::Sub => add_special(context, a, b, b.negate()),
        Operation::SubReversed => add_special(context, b, a, a.negate()),
        Operation::Div => div_special(context, a, b),
        Operation::DivReversed => div_special(context, b, a),
    }
}

/// `a + b`.
#[inline(always)]
pub fn add(context: &mut Context, a: F80, b: F80) -> F80 {
    if a.is_normal() && b.is_normal() {
        return add_finite(context, Unpacked::normal(a), Unpacked::normal(b));
    }
    context.apart(|context| add_special(context, a, b, b))
}

/// `a - b`.
#[inline(always)]
pub fn sub(context: &mut Context, a: F80, b: F80) -> F80 {
    if a.is_normal() && b.is_normal() {
        return add_finite(context, Unpacked::normal(a), Unpacked::normal(b.negate()));
    }
    context.apart(|context| add_special(context, a, b, b.negate()))
}

/// `a + addend` where one is zero, denormal, infinite or no number. `b` is the operand as given,
/// whose sign a NaN keeps in a subtraction.
#[cold]
fn add_special(context: &mut Context, a: F80, b: F80, addend: F80) -> F80 {
    if let Some(answer) = context.nan_or_unsupported_2(a, b) {
        return answer;
    }
    if a.is_infinite() && addend.is_infinite() && a != addend {
        return context.invalid();
    }
    if !context.note_denormals(&[a, b]) {
        return a;
    }
    if a.is_infinite() {
        return a;
    }
    if addend.is_infinite() {
        return addend;
    }
    match (a.is_zero(), addend.is_zero()) {
        (true, true) if a == addend => a,
        (true, true) => F80::ZERO.with_sign(context.rounding() == Rounding::Down),
        (true, false) => repack(context, addend),
        (false, true) => repack(context, a),
        (false, false) => add_finite(context, Unpacked::new(a), Unpacked::new(addend)),
    }
}

/// A finite number by itself, rounded to the precision in force.
fn repack(context: &mut Context, a: F80) -> F80 {
    let a = Unpacked::new(a);
    context.pack(a.negative, a.exponent, u128::from(a.significand) << 64)
}

#[inline(always)]
fn add_finite(context: &mut Context, a: Unpacked, b: Unpacked) -> F80 {
    let (large, small) =
        if (a.exponent, a.significand) >= (b.exponent, b.significand) { (a, b) } else { (b, a) };
    let distance = (large.exponent - small.exponent) as u32;
    let augend = u128::from(large.significand) << 64;
    let addend = align(small.significand, distance);
    if a.negative == b.negative {
        let (sum, carry) = augend.overflowing_add(addend);
        if carry {
            let sum = sum >> 1 | sum & 1 | 1 << 127;
            return context.pack(a.negative, large.exponent + 1, sum);
        }
        return context.pack(a.negative, large.exponent, sum);
    }
    let difference = augend - addend;
    if difference == 0 {
        return F80::ZERO.with_sign(context.rounding() == Rounding::Down);
    }
    let shift = difference.leading_zeros();
    context.pack(large.negative, large.exponent - shift as i32, difference << shift)
}

/// `significand * 2^64 >> distance` with what drops out ORed into bit 0.
#[inline(always)]
fn align(significand: u64, distance: u32) -> u128 {
    if distance < 64 {
        return u128::from(significand) << 64 >> distance;
    }
    u128::from(shift_right_sticky_64(significand, distance - 64))
}

/// `a * b`.
#[inline(always)]
pub fn mul(context: &mut Context, a: F80, b: F80) -> F80 {
    if a.is_normal() && b.is_normal() {
        return mul_finite(context, Unpacked::normal(a), Unpacked::normal(b));
    }
    context.apart(|context| mul_special(context, a, b))
}

#[cold]
fn mul_special(context: &mut Context, a: F80, b: F80) -> F80 {
    if let Some(answer) = context.nan_or_unsupported_2(a, b) {
        return answer;
    }
    if a.is_infinite() && b.is_zero() || a.is_zero() && b.is_infinite() {
        return context.invalid();
    }
    if !context.note_denormals(&[a, b]) {
        return a;
    }
    let negative = a.is_negative() != b.is_negative();
    if a.is_infinite() || b.is_infinite() {
        return F80::INFINITY.with_sign(negative);
    }
    if a.is_zero() || b.is_zero() {
        return F80::ZERO.with_sign(negative);
    }
    mul_finite(context, Unpacked::new(a), Unpacked::new(b))
}

#[inline(always)]
fn mul_finite(context: &mut Context, a: Unpacked, b: Unpacked) -> F80 {
    let product = u128::from(a.significand) * u128::from(b.significand);
    let shift = u32::from(product >> 127 == 0);
    let exponent = a.exponent + b.exponent - BIAS + 1 - shift as i32;
    context.pack(a.negative != b.negative, exponent, product << shift)
}

/// `a / b`.
#[inline(always)]
pub fn div(context: &mut Context, a: F80, b: F80) -> F80 {
    if a.is_normal() && b.is_normal() {
        return div_finite(context, Unpacked::normal(a), Unpacked::normal(b));
    }
    context.apart(|context| div_special(context, a, b))
}

#[cold]
fn div_special(context: &mut Context, a: F80, b: F80) -> F80 {
    if let Some(answer) = context.nan_or_unsupported_2(a, b) {
        return answer;
    }
    if a.is_infinite() && b.is_infinite() || a.is_zero() && b.is_zero() {
        return context.invalid();
    }
    let negative = a.is_negative() != b.is_negative();
    if b.is_zero() && !a.is_infinite() {
        context.raise(FloatFlags::ZE);
        return F80::INFINITY.with_sign(negative);
    }
    if !context.note_denormals(&[a, b]) {
        return a;
    }
    if a.is_infinite() {
        return F80::INFINITY.with_sign(negative);
    }
    if b.is_infinite() || a.is_zero() {
        return F80::ZERO.with_sign(negative);
    }
    div_finite(context, Unpacked::new(a), Unpacked::new(b))
}

#[inline(always)]
fn div_finite(context: &mut Context, a: Unpacked, b: Unpacked) -> F80 {
    let below = u32::from(a.significand < b.significand);
    let dividend = u128::from(a.significand) << (63 + below);
    let divisor = u128::from(b.significand);
    let quotient = dividend / divisor;
    let remainder = dividend - quotient * divisor;
    // One more quotient bit, then all that follows as a sticky bit.
    let half = u128::from(remainder * 2 >= divisor) << 63;
    let sticky = u128::from(remainder != 0);
    let exponent = a.exponent - b.exponent + BIAS - below as i32;
    context.pack(a.negative != b.negative, exponent, quotient << 64 | half | sticky)
}

/// FSQRT: the square root of `a`. The root of -0 is -0.
pub fn sqrt(context: &mut Context, a: F80) -> F80 {
    if let Some(answer) = context.nan_or_unsupported(a) {
        return answer;
    }
    if a.is_zero() {
        return a;
    }
    if a.is_negative() {
        return context.invalid();
    }
    if a.is_infinite() {
        return a;
    }
    if !context.note_denormals(&[a]) {
        return a;
    }
    let a = Unpacked::new(a);
    // An even power of two under the root: 2^127 <= radicand or 2^126 <= radicand.
    let odd = a.unbiased() & 1;
    let radicand = u128::from(a.significand) << (63 + odd);
    let root = radicand.isqrt();
    let remainder = radicand - root * root;
    // The root lies above root + 1/2 exactly if the remainder exceeds root; it is never a tie.
    let half = u128::from(remainder > root) << 63;
    let sticky = u128::from(remainder != 0);
    context.pack(false, (a.unbiased() - odd) / 2 + BIAS, root << 64 | half | sticky)
}
