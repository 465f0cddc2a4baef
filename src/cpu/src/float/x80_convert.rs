//! Conversion between the 80-bit format and what memory holds: 32- and 64-bit floating point,
//! integers, packed BCD.
//!
//! Source: Intel SDM vol. 2, "FLD", "FST/FSTP", "FILD", "FIST/FISTP", "FISTTP", "FBLD", "FBSTP";
//! vol. 1 §4.7, "BCD and Packed BCD Integers".

use super::round::{FloatFlags, Rounding, shift_right_sticky_64};
use super::x80::{BIAS, Class, EXPONENT_MAX, F80, INTEGER_BIT};
use super::x80_round::{Context, Unpacked};
use super::x87_state::SW_C1;

/// A binary interchange format with an implicit integer bit.
#[derive(Clone, Copy, Debug)]
struct Format {
    fraction_bits: u32,
    exponent_bits: u32,
}

const SINGLE: Format = Format { fraction_bits: 23, exponent_bits: 8 };
const DOUBLE: Format = Format { fraction_bits: 52, exponent_bits: 11 };

/// 10^18, the first magnitude that 18 packed digits cannot hold.
const BCD_LIMIT: u64 = 1_000_000_000_000_000_000;
/// The packed BCD integer indefinite.
const BCD_INDEFINITE: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff];

impl Format {
    const fn bias(self) -> i32 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    const fn exponent_max(self) -> i32 {
        (1 << self.exponent_bits) - 1
    }

    const fn exponent(self, bits: u64) -> i32 {
        (bits >> self.fraction_bits) as i32 & self.exponent_max()
    }

    /// Sign, exponent field and fraction put together.
    const fn assemble(self, negative: bool, exponent: i32, fraction: u64) -> u64 {
        let sign = (negative as u64) << (self.exponent_bits + self.fraction_bits);
        sign | (exponent as u64) << self.fraction_bits | fraction
    }
}

/// The number of a 32-bit operand, exactly; a signaling NaN stays one.
#[inline(always)]
#[must_use]
pub fn widen_f32(bits: u32) -> F80 {
    widen(SINGLE, u64::from(bits))
}

/// The number of a 64-bit operand, exactly; a signaling NaN stays one.
#[inline(always)]
#[must_use]
pub fn widen_f64(bits: u64) -> F80 {
    widen(DOUBLE, bits)
}

/// FLD m32: raises DE for a denormal, IE for a signaling NaN. Only an unmasked IE keeps the number
/// from being loaded; with DE unmasked it is loaded all the same (measured).
pub fn from_f32(context: &mut Context, bits: u32) -> F80 {
    load(context, SINGLE, u64::from(bits))
}

/// FLD m64: like [`from_f32`].
pub fn from_f64(context: &mut Context, bits: u64) -> F80 {
    load(context, DOUBLE, bits)
}

#[inline(always)]
fn load(context: &mut Context, format: Format, bits: u64) -> F80 {
    let exponent = format.exponent(bits);
    let value = widen(format, bits);
    if exponent == 0 && !value.is_zero() {
        context.raise(FloatFlags::DE);
    }
    if exponent == format.exponent_max() {
        return context.nan_or_unsupported(value).unwrap_or(value);
    }
    value
}

#[inline(always)]
fn widen(format: Format, bits: u64) -> F80 {
    let negative = bits >> (format.exponent_bits + format.fraction_bits) & 1 != 0;
    let exponent = format.exponent(bits);
    let fraction = bits << (64 - format.fraction_bits) >> 1;
    if exponent == format.exponent_max() {
        return F80::from_parts(negative, EXPONENT_MAX, INTEGER_BIT | fraction);
    }
    if exponent != 0 {
        let exponent = (exponent - format.bias() + BIAS) as u16;
        return F80::from_parts(negative, exponent, INTEGER_BIT | fraction);
    }
    if fraction == 0 {
        return F80::ZERO.with_sign(negative);
    }
    let shift = fraction.leading_zeros();
    let exponent = 1 - format.bias() + BIAS - shift as i32;
    F80::from_parts(negative, exponent as u16, fraction << shift)
}

/// FST m32: the nearest 32-bit number by the rounding mode. Nothing is stored if
/// [`Context::blocks_store`] says so afterwards; an unmasked overflow or underflow then leaves PE
/// and C1 clear (measured).
pub fn to_f32(context: &mut Context, a: F80) -> u32 {
    narrow(context, SINGLE, a) as u32
}

/// FST m64: the nearest 64-bit number by the rounding mode. Nothing is stored if
/// [`Context::blocks_store`] says so afterwards.
pub fn to_f64(context: &mut Context, a: F80) -> u64 {
    narrow(context, DOUBLE, a)
}

#[inline(always)]
fn narrow(context: &mut Context, format: Format, a: F80) -> u64 {
    let negative = a.is_negative();
    if let Some(nan) = context.nan_or_unsupported(a) {
        let fraction = (nan.significand & !INTEGER_BIT) >> (63 - format.fraction_bits);
        return format.assemble(nan.is_negative(), format.exponent_max(), fraction);
    }
    if a.is_infinite() {
        return format.assemble(negative, format.exponent_max(), 0);
    }
    if a.is_zero() {
        return format.assemble(negative, 0, 0);
    }
    let a = Unpacked::new(a);
    let exponent = a.unbiased() + format.bias();
    let rounded = Narrowed::new(context.rounding(), format, negative, a.significand);
    // A carry into the place above the integer bit raises the exponent and leaves 1.0.
    let carry = rounded.kept >> (format.fraction_bits + 1) != 0;
    let rounded_exponent = exponent + i32::from(carry);
    if rounded_exponent >= format.exponent_max() {
        context.raise(FloatFlags::OE);
        if !context.is_masked(FloatFlags::OE) {
            return 0;
        }
        context.raise(FloatFlags::PE);
        let infinity = format.assemble(negative, format.exponent_max(), 0);
        if context.rounding().overflows_to_infinity(negative) {
            context.status |= SW_C1;
            return infinity;
        }
        return infinity - 1;
    }
    if rounded_exponent > 0 {
        rounded.note(context);
        let fraction = if carry { 0 } else { rounded.kept & !(1 << format.fraction_bits) };
        return format.assemble(negative, rounded_exponent, fraction);
    }
    if !context.is_masked(FloatFlags::UE) {
        context.raise(FloatFlags::UE);
        return 0;
    }
    let shifted = shift_right_sticky_64(a.significand, (1 - exponent) as u32);
    let denormal = Narrowed::new(context.rounding(), format, negative, shifted);
    denormal.note(context);
    if denormal.inexact {
        context.raise(FloatFlags::UE);
    }
    // Where it rounded up to the smallest normal number, the integer bit is exponent field 1.
    format.assemble(negative, 0, denormal.kept)
}

/// A significand rounded to a narrower format: `fraction_bits` and the integer bit above them.
struct Narrowed {
    kept: u64,
    up: bool,
    inexact: bool,
}

impl Narrowed {
    #[inline(always)]
    fn new(mode: Rounding, format: Format, negative: bool, significand: u64) -> Self {
        let kept = significand >> (63 - format.fraction_bits);
        let rest = significand << (format.fraction_bits + 1);
        let up = mode.rounds_up(negative, kept & 1 != 0, rest);
        Self { kept: kept + u64::from(up), up, inexact: rest != 0 }
    }

    #[inline(always)]
    fn note(&self, context: &mut Context) {
        if self.inexact {
            context.raise(FloatFlags::PE);
        }
        if self.up {
            context.status |= SW_C1;
        }
    }
}

/// FILD: exact for every 64-bit integer.
#[must_use]
pub fn from_integer(value: i64) -> F80 {
    if value == 0 {
        return F80::ZERO;
    }
    let magnitude = value.unsigned_abs();
    let shift = magnitude.leading_zeros();
    F80::from_parts(value < 0, (BIAS + 63) as u16 - shift as u16, magnitude << shift)
}

/// FIST, FISTP (with the mode in force) and FISTTP (toward zero): the integer of `bits` = 16, 32
/// or 64 bits. Out of range, NaN or unsupported: IE and the integer indefinite, which is the
/// most negative integer.
pub fn to_integer(context: &mut Context, a: F80, bits: u32, mode: Rounding) -> i64 {
    let indefinite = i64::MIN >> (64 - bits);
    let limit = indefinite.unsigned_abs();
    match round_magnitude(mode, a) {
        Some(rounded) if rounded.value < limit || rounded.value == limit && a.is_negative() => {
            rounded.note(context);
            let value = rounded.value as i64;
            if a.is_negative() { value.wrapping_neg() } else { value }
        }
        _ => {
            context.raise(FloatFlags::IE);
            indefinite
        }
    }
}

/// A magnitude rounded to an integer.
pub(super) struct Rounded {
    pub(super) value: u64,
    up: bool,
    inexact: bool,
}

impl Rounded {
    pub(super) fn note(&self, context: &mut Context) {
        if self.inexact {
            context.raise(FloatFlags::PE);
        }
        if self.up {
            context.status |= SW_C1;
        }
    }
}

/// `|a|` as an integer below 2^64; `None` if it has none.
pub(super) fn round_magnitude(mode: Rounding, a: F80) -> Option<Rounded> {
    match a.class() {
        Class::Zero => return Some(Rounded { value: 0, up: false, inexact: false }),
        Class::Denormal | Class::Normal => {}
        _ => return None,
    }
    let number = Unpacked::new(a);
    if number.unbiased() > 63 {
        return None;
    }
    let shift = (63 - number.unbiased()) as u32;
    let significand = u128::from(number.significand) << 64;
    let (value, rest) = match shift {
        0..64 => ((significand >> shift >> 64) as u64, (significand >> shift) as u64),
        64 => (0, number.significand),
        _ => (0, 1),
    };
    let up = mode.rounds_up(a.is_negative(), value & 1 != 0, rest);
    // Only a value with bits to drop rounds up, so it lies below 2^63 and cannot wrap.
    Some(Rounded { value: value + u64::from(up), up, inexact: rest != 0 })
}

/// FBLD: 18 decimal digits, two a byte, lowest first; bit 7 of byte 9 is the sign. Digits above
/// 9, which the manual leaves undefined, count by their binary value, as measured.
#[must_use]
pub fn from_bcd(bytes: [u8; 10]) -> F80 {
    let magnitude = bytes[..9].iter().rev().fold(0, |value: u64, byte| {
        value * 100 + u64::from(byte >> 4) * 10 + u64::from(byte & 0xf)
    });
    // At most 9 digits pairs of 165: below 2^63.
    from_integer(magnitude as i64).with_sign(bytes[9] & 0x80 != 0)
}

/// FBSTP: rounded to an integer of 18 digits. What does not fit: IE and the BCD indefinite.
pub fn to_bcd(context: &mut Context, a: F80) -> [u8; 10] {
    let rounded = match round_magnitude(context.rounding(), a) {
        Some(rounded) if rounded.value < BCD_LIMIT => rounded,
        _ => {
            context.raise(FloatFlags::IE);
            return BCD_INDEFINITE;
        }
    };
    rounded.note(context);
    let mut bytes = [0; 10];
    let mut value = rounded.value;
    for byte in &mut bytes[..9] {
        *byte = ((value / 10 % 10) << 4 | (value % 10)) as u8;
        value /= 100;
    }
    bytes[9] = u8::from(a.is_negative()) << 7;
    bytes
}
