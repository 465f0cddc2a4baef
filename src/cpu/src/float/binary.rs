//! IEEE 754 binary32 and binary64 in integer code: taking apart, rounding, putting together.
//!
//! Source: Intel SDM vol. 1 §4.8, "Real Numbers and Floating-Point Formats"; §11.5.2, "SIMD
//! Floating-Point Exception Conditions". A number of either format travels in the low bits of a
//! `u64`. This is the path of special cases: see `sse` for the fast one.

use super::mxcsr::Mxcsr;
use super::round::FloatFlags;
use core::ops::{BitAnd, BitOr, Not};

/// Bits of a number of some format, for checks that the host does many lanes at a time.
pub trait Word:
    Copy + Default + Ord + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self>
{
    /// Twice the number, modulo its width: drops the sign bit.
    fn doubled(self) -> Self;
    /// The difference, modulo the width.
    fn wrapping_sub(self, other: Self) -> Self;
    /// In the low bits of a `u64`.
    fn widen(self) -> u64;
    /// The low bits of a `u64`.
    fn narrow(bits: u64) -> Self;
}

impl Word for u32 {
    #[inline(always)]
    fn doubled(self) -> Self {
        self << 1
    }

    #[inline(always)]
    fn wrapping_sub(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline(always)]
    fn widen(self) -> u64 {
        self.into()
    }

    #[inline(always)]
    fn narrow(bits: u64) -> Self {
        bits as Self
    }
}

impl Word for u64 {
    #[inline(always)]
    fn doubled(self) -> Self {
        self << 1
    }

    #[inline(always)]
    fn wrapping_sub(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline(always)]
    fn widen(self) -> u64 {
        self
    }

    #[inline(always)]
    fn narrow(bits: u64) -> Self {
        bits
    }
}

/// A binary floating-point format of up to 64 bits; the types are the host's own.
pub trait Format: Copy {
    /// An unsigned integer of the format's size.
    type Bits: Word;

    /// Bits of the fraction: the significand without its leading one.
    const FRACTION_BITS: u32;
    /// Bits of the exponent.
    const EXPONENT_BITS: u32;

    /// The sign bit.
    const SIGN: u64 = 1 << (Self::FRACTION_BITS + Self::EXPONENT_BITS);
    /// The fraction's mask; also the largest denormal.
    const FRACTION: u64 = (1 << Self::FRACTION_BITS) - 1;
    /// Infinity; also the exponent's mask.
    const INFINITY: u64 = ((1 << Self::EXPONENT_BITS) - 1) << Self::FRACTION_BITS;
    /// The smallest normal number; also the leading one of a significand.
    const MIN_NORMAL: u64 = 1 << Self::FRACTION_BITS;
    /// The bit that makes a NaN quiet.
    const QUIET: u64 = 1 << (Self::FRACTION_BITS - 1);
    /// The QNaN real indefinite: what masked invalid operations give.
    const INDEFINITE: u64 = Self::SIGN | Self::INFINITY | Self::QUIET;
    /// The exponent's bias; also the largest exponent.
    const BIAS: i32 = (1 << (Self::EXPONENT_BITS - 1)) - 1;
}

/// Binary32, a single.
impl Format for f32 {
    type Bits = u32;
    const FRACTION_BITS: u32 = 23;
    const EXPONENT_BITS: u32 = 8;
}

/// Binary64, a double.
impl Format for f64 {
    type Bits = u64;
    const FRACTION_BITS: u32 = 52;
    const EXPONENT_BITS: u32 = 11;
}

/// The magnitude's bits: all but the sign.
#[inline(always)]
pub(super) const fn magnitude<F: Format>(bits: u64) -> u64 {
    bits & (F::SIGN - 1)
}

/// Whether the number is a NaN.
#[inline(always)]
pub(super) const fn is_nan<F: Format>(bits: u64) -> bool {
    magnitude::<F>(bits) > F::INFINITY
}

/// Whether the number is a signalling NaN.
#[inline(always)]
pub(super) const fn is_signalling<F: Format>(bits: u64) -> bool {
    is_nan::<F>(bits) && bits & F::QUIET == 0
}

/// Whether the number is a denormal; zero is none.
#[inline(always)]
pub(super) const fn is_denormal<F: Format>(bits: u64) -> bool {
    magnitude::<F>(bits).wrapping_sub(1) < F::FRACTION
}

/// Whether the number is negative, or a NaN with the sign bit.
#[inline(always)]
pub(super) const fn is_negative<F: Format>(bits: u64) -> bool {
    bits & F::SIGN != 0
}

/// The sign bit, if negative.
#[inline(always)]
pub(super) const fn sign<F: Format>(negative: bool) -> u64 {
    if negative { F::SIGN } else { 0 }
}

/// A denormal operand: zero of its sign under DAZ, else as it is and DE is raised.
pub(super) fn denormal_operand<F: Format>(bits: u64, mxcsr: Mxcsr, raised: &mut FloatFlags) -> u64 {
    if !is_denormal::<F>(bits) {
        bits
    } else if mxcsr.contains(Mxcsr::DAZ) {
        bits & F::SIGN
    } else {
        *raised |= FloatFlags::DE;
        bits
    }
}

/// The result of an operation with a NaN operand: the first NaN, made quiet. A signalling one
/// raises IE.
pub(super) fn nan_result<F: Format>(a: u64, b: u64, raised: &mut FloatFlags) -> Option<u64> {
    if !is_nan::<F>(a) && !is_nan::<F>(b) {
        return None;
    }
    if is_signalling::<F>(a) || is_signalling::<F>(b) {
        *raised |= FloatFlags::IE;
    }
    Some(if is_nan::<F>(a) { a } else { b } | F::QUIET)
}

/// A finite number: the significand times two to the `weight`, the exponent of its bit 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finite {
    pub(super) negative: bool,
    pub(super) weight: i32,
    pub(super) significand: u128,
}

impl Finite {
    /// Takes a finite number apart. A nonzero significand has its leading one at bit
    /// `FRACTION_BITS`, that of a denormal too.
    pub(super) fn of<F: Format>(bits: u64) -> Self {
        let fraction = bits & F::FRACTION;
        let exponent = ((bits & F::INFINITY) >> F::FRACTION_BITS) as i32;
        let lowest = 1 - F::BIAS - F::FRACTION_BITS as i32;
        let (weight, significand) = match exponent {
            0 if fraction == 0 => (lowest, 0),
            0 => {
                let up = fraction.leading_zeros() - (63 - F::FRACTION_BITS);
                (lowest - up as i32, fraction << up)
            }
            _ => (lowest + exponent - 1, fraction | F::MIN_NORMAL),
        };
        Self { negative: is_negative::<F>(bits), weight, significand: significand.into() }
    }

    /// The nearest number of the format by RC, with FTZ and the flags of the result. Bit 0 of the
    /// significand may stand for any smaller rest, if the significand is long enough.
    pub(super) fn round<F: Format>(self, mxcsr: Mxcsr, raised: &mut FloatFlags) -> u64 {
        let sign = sign::<F>(self.negative);
        if self.significand == 0 {
            return sign;
        }
        let lead = self.significand.leading_zeros();
        let aligned = self.significand << lead;
        let exponent = self.weight + 127 - lead as i32;

        let (kept, inexact) = self.cut(aligned, 127 - F::FRACTION_BITS, mxcsr);
        let carried = kept >> (F::FRACTION_BITS + 1) != 0;
        let rounded_exponent = exponent + i32::from(carried);
        if rounded_exponent > F::BIAS {
            return sign | self.overflow::<F>(inexact, mxcsr, raised);
        }
        if rounded_exponent < 1 - F::BIAS {
            if inexact && !mxcsr.contains(Mxcsr::UM) {
                *raised |= FloatFlags::PE;
            }
            return sign | self.underflow::<F>(aligned, exponent, mxcsr, raised);
        }
        if inexact {
            *raised |= FloatFlags::PE;
        }
        // A carry out of the significand adds one to the exponent field, as it should.
        let field = ((exponent + F::BIAS - 1) as u64) << F::FRACTION_BITS;
        sign | field.wrapping_add(kept)
    }

    /// `aligned` without its low `drop` bits (1 to 128), rounded, and whether they were not zero.
    fn cut(&self, aligned: u128, drop: u32, mxcsr: Mxcsr) -> (u64, bool) {
        let kept = aligned.checked_shr(drop).unwrap_or(0) as u64;
        let rest = aligned << (128 - drop);
        let half_up = (rest >> 64) as u64 | u64::from(rest as u64 != 0);
        let up = mxcsr.rounding().rounds_up(self.negative, kept & 1 != 0, half_up);
        (kept + u64::from(up), rest != 0)
    }

    /// The magnitude of a result that is too large.
    fn overflow<F: Format>(&self, inexact: bool, mxcsr: Mxcsr, raised: &mut FloatFlags) -> u64 {
        *raised |= FloatFlags::OE;
        if inexact || mxcsr.contains(Mxcsr::OM) {
            *raised |= FloatFlags::PE;
        }
        F::INFINITY - u64::from(!mxcsr.rounding().overflows_to_infinity(self.negative))
    }

    /// The magnitude of a result that is below the normal numbers, even after rounding.
    fn underflow<F: Format>(
        &self,
        aligned: u128,
        exponent: i32,
        mxcsr: Mxcsr,
        raised: &mut FloatFlags,
    ) -> u64 {
        if !mxcsr.contains(Mxcsr::UM) {
            *raised |= FloatFlags::UE; // tiny is enough; the result will not be used
            return 0;
        }
        if mxcsr.contains(Mxcsr::FTZ) {
            *raised |= FloatFlags::UE | FloatFlags::PE;
            return 0;
        }
        let below = (1 - F::BIAS - exponent) as u32;
        let drop = 127 - F::FRACTION_BITS + below;
        let (kept, inexact) = if drop > 128 {
            self.cut(1, 2, mxcsr) // less than a quarter of the smallest denormal
        } else {
            self.cut(aligned, drop, mxcsr)
        };
        if inexact {
            *raised |= FloatFlags::UE | FloatFlags::PE;
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::{Finite, FloatFlags, Format, is_denormal, nan_result};
    use crate::float::mxcsr::Mxcsr;

    const INFINITY: u64 = <f32 as Format>::INFINITY;

    fn single(significand: u128, weight: i32, mxcsr: u32) -> (u64, FloatFlags) {
        let mut raised = FloatFlags::empty();
        let value = Finite { negative: false, weight, significand };
        (value.round::<f32>(Mxcsr::from_bits_retain(mxcsr), &mut raised), raised)
    }

    #[test]
    fn constants_are_those_of_the_formats() {
        assert_eq!(<f32 as Format>::INDEFINITE, 0xffc0_0000);
        assert_eq!(<f64 as Format>::INDEFINITE, 0xfff8_0000_0000_0000);
        assert_eq!((f32::BIAS, f64::BIAS), (127, 1023));
    }

    #[test]
    fn what_is_taken_apart_rounds_to_itself() {
        let numbers = [1, 0x007f_ffff, 0x0080_0000, 0x3f80_0000, 0x7f7f_ffff, 0x8000_0001];
        for bits in numbers {
            let mut raised = FloatFlags::empty();

            let again = Finite::of::<f32>(bits).round::<f32>(Mxcsr::RESET, &mut raised);

            assert_eq!((again, raised), (bits, FloatFlags::empty()), "{bits:#x}");
        }
    }

    #[test]
    fn results_beyond_the_range_overflow_or_underflow() {
        let (oe, ue, pe) = (FloatFlags::OE, FloatFlags::UE, FloatFlags::PE);

        assert_eq!(single(1, 128, 0x1f80), (INFINITY, oe | pe));
        assert_eq!(single(1, 128, 0x7f80), (INFINITY - 1, oe | pe), "toward zero");
        assert_eq!(single(3, -151, 0x1f80), (1, ue | pe), "0.75 of the smallest");
        assert_eq!(single(1, -150, 0x1f80), (0, ue | pe), "a tie goes to the even zero");
        assert_eq!(single(1, -300, 0x5f80), (1, ue | pe), "up");
        assert_eq!(single(1, -149, 0x1f80), (1, FloatFlags::empty()), "exact");
        assert_eq!(single(1, -149, 0x9f80), (0, ue | pe), "flushed");
        assert_eq!(single(1, -149, 0x1780).1, ue, "unmasked: tiny is enough");
    }

    #[test]
    fn tiny_is_judged_after_rounding() {
        // 2^-126 less a quarter of a unit: with unlimited exponent it rounds up to 2^-126.
        assert_eq!(single((1 << 26) - 1, -152, 0x1f80), (f32::MIN_NORMAL, FloatFlags::PE));
        let tiny = FloatFlags::UE | FloatFlags::PE;
        assert_eq!(single((1 << 24) - 1, -150, 0x1f80), (f32::MIN_NORMAL, tiny));
    }

    #[test]
    fn the_first_nan_wins_and_becomes_quiet() {
        let mut raised = FloatFlags::empty();

        assert_eq!(nan_result::<f32>(0x7fc0_0001, 0x7f80_0002, &mut raised), Some(0x7fc0_0001));
        assert_eq!(raised, FloatFlags::IE);
        assert_eq!(nan_result::<f32>(0, 0xff80_0002, &mut raised), Some(0xffc0_0002));
        assert_eq!(nan_result::<f32>(0, INFINITY, &mut raised), None);
        assert!(is_denormal::<f32>(0x807f_ffff) && !is_denormal::<f32>(0x8000_0000));
    }
}
