//! Numbers with 128-bit significands, in which the transcendental instructions compute.
//!
//! Each operation here errs by a few units of bit 0, each function of `x80_exp_log` and
//! `x80_trig` by less than 2^-118 of its result: 54 bits beyond what an 80-bit number keeps, so
//! that rounding it once gives the correctly rounded result in all but some 2^-53 of cases.

use super::round::FloatFlags;
use super::x80::{BIAS, Class, F80};
use super::x80_round::{Context, Unpacked};

/// `significand / 2^127 * 2^exponent`, where bit 127 of `significand` is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wide {
    pub(super) negative: bool,
    pub(super) exponent: i32,
    pub(super) significand: u128,
}

/// 1.0 as a fixed-point number with one integer bit, as the series sum up in.
pub(super) const FIXED_ONE: u128 = 1 << 127;

impl Wide {
    pub(super) const ONE: Self = Self { negative: false, exponent: 0, significand: FIXED_ONE };

    pub(super) fn new(number: Unpacked) -> Self {
        Self {
            negative: number.negative,
            exponent: number.unbiased(),
            significand: u128::from(number.significand) << 64,
        }
    }

    /// `value / 2^127 * 2^exponent` for any nonzero `value`.
    pub(super) fn normalized(negative: bool, exponent: i32, value: u128) -> Self {
        let shift = value.leading_zeros();
        Self { negative, exponent: exponent - shift as i32, significand: value << (shift & 127) }
    }

    /// A small integer other than 0.
    pub(super) fn integer(value: i32) -> Self {
        Self::normalized(value < 0, 127, u128::from(value.unsigned_abs()))
    }

    pub(super) fn with_sign(self, negative: bool) -> Self {
        Self { negative, ..self }
    }

    pub(super) fn negate(self) -> Self {
        self.with_sign(!self.negative)
    }

    pub(super) fn halve(self) -> Self {
        Self { exponent: self.exponent - 1, ..self }
    }

    pub(super) fn mul(self, other: Self) -> Self {
        let product = mul_high(self.significand, other.significand);
        let negative = self.negative != other.negative;
        Self::normalized(negative, self.exponent + other.exponent + 1, product)
    }

    pub(super) fn div(self, other: Self) -> Self {
        let negative = self.negative != other.negative;
        let exponent = self.exponent - other.exponent;
        let (a, b) = (self.significand, other.significand);
        if a >= b {
            let significand = FIXED_ONE | divide(a - b, b) >> 1;
            return Self { negative, exponent, significand };
        }
        Self::normalized(negative, exponent - 1, divide(a, b))
    }

    /// The sum; the two must not cancel to zero.
    pub(super) fn add(self, other: Self) -> Self {
        let (large, small) =
            if (self.exponent, self.significand) >= (other.exponent, other.significand) {
                (self, other)
            } else {
                (other, self)
            };
        let distance = (large.exponent - small.exponent) as u32;
        let addend = small.significand.checked_shr(distance).unwrap_or(0);
        if large.negative != small.negative {
            return Self::normalized(large.negative, large.exponent, large.significand - addend);
        }
        let (sum, carry) = large.significand.overflowing_add(addend);
        if carry {
            let significand = FIXED_ONE | sum >> 1;
            return Self { exponent: large.exponent + 1, significand, ..large };
        }
        Self { significand: sum, ..large }
    }

    /// The magnitude, which must be below 2, with 127 fraction bits.
    pub(super) fn to_fixed(self) -> u128 {
        self.significand.checked_shr(self.exponent.unsigned_abs()).unwrap_or(0)
    }

    /// Rounds to an 80-bit number a value that is exact as it stands. PE is set all the same, and
    /// UE for a denormal result (measured).
    pub(super) fn round_exact(self, context: &mut Context) -> F80 {
        *context = context.with_full_precision();
        let result = context.pack(self.negative, self.exponent + BIAS, self.significand);
        context.raise(FloatFlags::PE);
        if result.class() == Class::Denormal {
            context.raise(FloatFlags::UE);
        }
        result
    }

    /// Rounds to an 80-bit number, as inexact: no argument but those treated apart has an exact
    /// result. Precision control does not govern transcendental instructions.
    pub(super) fn round(self, context: &mut Context) -> F80 {
        *context = context.with_full_precision();
        context.pack(self.negative, self.exponent + BIAS, self.significand | 1)
    }
}

/// `a * b / 2^128`, rounded down.
pub(super) const fn mul_high(a: u128, b: u128) -> u128 {
    let (a1, a0) = (a >> 64, a & u64::MAX as u128);
    let (b1, b0) = (b >> 64, b & u64::MAX as u128);
    let (cross, low) = (a1 * b0, (a0 * b0) >> 64);
    let middle = a0 * b1 + low; // cannot overflow: (2^64 - 1)^2 + 2^64 - 1 < 2^128
    let middle_low = (middle & u64::MAX as u128) + (cross & u64::MAX as u128);
    a1 * b1 + (cross >> 64) + (middle >> 64) + (middle_low >> 64)
}

/// `a * b` of two numbers with 127 fraction bits, whose product is below 2.
pub(super) const fn mul_fixed(a: u128, b: u128) -> u128 {
    mul_high(a, b) << 1
}

/// `a * 2^128 / b`, rounded down, where `a < b` and bit 127 of `b` is set.
fn divide(a: u128, b: u128) -> u128 {
    let (high, rest) = divide_step(a, b);
    let (low, _) = divide_step(rest, b);
    u128::from(high) << 64 | u128::from(low)
}

/// `a * 2^64 / b` and the remainder, by Knuth's algorithm D with 64-bit digits.
fn divide_step(a: u128, b: u128) -> (u64, u128) {
    const DIGIT: u128 = 1 << 64;
    let (b1, b0) = (b >> 64, b & (DIGIT - 1));
    let (mut quotient, mut rest) = (a / b1, a % b1);
    while quotient >= DIGIT || quotient * b0 > rest << 64 {
        quotient -= 1;
        rest += b1;
        if rest >= DIGIT {
            break;
        }
    }
    let remainder = (a << 64).wrapping_sub(quotient.wrapping_mul(b));
    (quotient as u64, remainder)
}

/// Whether the terms of a power series keep or change their sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signs {
    Same,
    Alternating,
}

/// `c0 ± c1 x ± c2 x^2 …` by Horner's rule, coefficients and `x` with 127 fraction bits. Partial
/// sums of alternating series stay positive, since their terms fall.
pub(super) fn series(coefficients: &[u128], x: u128, signs: Signs) -> u128 {
    coefficients.iter().rev().fold(0, |sum, &coefficient| {
        let terms = mul_fixed(sum, x);
        match signs {
            Signs::Same => coefficient + terms,
            Signs::Alternating => coefficient - terms,
        }
    })
}

/// 1, 1/3, 1/5 …: the coefficients of the series of both arc tangents.
pub(super) const fn odd_reciprocals<const N: usize>() -> [u128; N] {
    let mut table = [0; N];
    let mut k = 0;
    while k < N {
        table[k] = FIXED_ONE / (2 * k as u128 + 1);
        k += 1;
    }
    table
}

/// `1 / (first)!, 1 / (first + step)!, 1 / (first + 2 step)! …`
pub(super) const fn factorial_reciprocals<const N: usize>(first: u128, step: u128) -> [u128; N] {
    let mut table = [0; N];
    let (mut k, mut n, mut value) = (0, 1, FIXED_ONE);
    while k < N {
        while n <= first + k as u128 * step {
            value /= n;
            n += 1;
        }
        table[k] = value;
        k += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{FIXED_ONE, Wide, divide, mul_high};

    #[test]
    fn mul_high_is_the_upper_half_of_the_product() {
        assert_eq!(mul_high(u128::MAX, u128::MAX), u128::MAX - 1, "largest factors");
        assert_eq!(mul_high(1 << 127, 6), 3, "a shift");
        assert_eq!(mul_high(u128::MAX, 1), 0, "below one");
        assert_eq!(
            mul_high(1 << 64 | 1, u128::from(u64::MAX) << 64),
            u128::from(u64::MAX),
            "carries"
        );
    }

    #[test]
    fn divide_inverts_mul_high() {
        let divisors = [FIXED_ONE, FIXED_ONE + 1, u128::MAX, 0x9e37_79b9_7f4a_7c15 << 64 | 0xffff];
        for b in divisors {
            for a in [0, 1, b >> 1, b - 1, b / 3] {
                let quotient = divide(a, b);

                let product = mul_high(quotient, b);
                assert!(product == a || product + 1 == a, "{a:#x} / {b:#x} = {quotient:#x}");
            }
        }
    }

    #[test]
    fn add_and_div_agree_on_thirds() {
        let third = Wide::ONE.div(Wide::integer(3));

        let sum = third.add(third).add(third);

        let error = Wide::ONE.significand - sum.to_fixed();
        assert!(error < 4, "3 * (1/3) is 1 but for {error} units");
    }
}
