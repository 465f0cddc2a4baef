//! One x87 operation's control and outcome, and how its exact result is rounded and packed.
//!
//! Source: Intel SDM vol. 1 §8.1.5, "x87 FPU Control Word", §8.5, "x87 FPU Floating-Point
//! Exception Conditions"; AMD APM vol. 1 §6.8, "x87 Floating-Point Exceptions". What the manuals
//! leave open (which of two exceptions wins, C1 in odd cases) was measured on an AMD Zen 4.

use super::round::{FloatFlags, Rounding, shift_right_sticky_128};
use super::x80::{BIAS, Class, EXPONENT_MAX, F80};
use super::x87_state::{SW_C1, SW_EXCEPTIONS};

/// What an unmasked overflow takes from the exponent, and an unmasked underflow adds to it.
pub const BIAS_ADJUST: i32 = 24576;

/// Positions of PE and C1 in the status word.
const PE_SHIFT: u32 = FloatFlags::PE.bits().trailing_zeros();
const C1_SHIFT: u32 = SW_C1.trailing_zeros();

/// The control word that an operation runs under, and what it leaves in the status word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    pub(super) control: u16,
    /// Exceptions raised (bits 5:0) and condition codes (C0 to C3 at their status word bits).
    pub status: u16,
    /// The condition codes that the operation replaces, at their status word bits. The others
    /// keep their value in the status word.
    pub replaces: u16,
    /// A memory operand was a denormal of its format and has become a normal number here: DE is
    /// due where a denormal operand raises it.
    pub denormal_source: bool,
}

/// A nonzero number taken apart: `significand` has bit 63 set, `exponent` is biased but may be
/// zero or negative, where the number was denormal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpacked {
    pub(super) negative: bool,
    pub(super) exponent: i32,
    pub(super) significand: u64,
}

impl Context {
    /// For an operation under this x87 control word.
    #[inline(always)]
    #[must_use]
    pub const fn new(control: u16) -> Self {
        Self { control, status: 0, replaces: SW_C1, denormal_source: false }
    }

    /// Rounding control (bits 11:10).
    #[inline(always)]
    #[must_use]
    pub const fn rounding(self) -> Rounding {
        Rounding::from_rc(self.control as u32 >> 10)
    }

    /// How many low bits of a 64-bit significand precision control (bits 9:8) cuts off: 40, 11
    /// or 0. The reserved encoding 1 acts as 3, as measured.
    #[inline(always)]
    const fn surplus_bits(self) -> u32 {
        match self.control >> 8 & 3 {
            0 => 40,
            2 => 11,
            _ => 0,
        }
    }

    /// The same operation with 64-bit precision: what precision control does not govern.
    #[inline(always)]
    #[must_use]
    pub const fn with_full_precision(self) -> Self {
        Self { control: self.control | 0x0300, ..self }
    }

    /// Adds exception flags.
    #[inline(always)]
    pub fn raise(&mut self, flags: FloatFlags) {
        self.status |= u16::from(flags.bits());
    }

    /// Whether this exception is masked.
    #[inline(always)]
    #[must_use]
    pub const fn is_masked(self, flag: FloatFlags) -> bool {
        self.control & flag.bits() as u16 != 0
    }

    /// Whether an unmasked exception forbids to change the destination register and TOP:
    /// invalid operation, denormal operand, division by zero.
    #[inline(always)]
    #[must_use]
    pub const fn blocks_result(self) -> bool {
        const BEFORE: u16 =
            FloatFlags::IE.union(FloatFlags::DE).union(FloatFlags::ZE).bits() as u16;
        self.status & !self.control & BEFORE != 0
    }

    /// Whether an unmasked exception forbids to store to memory, and to pop: those of
    /// [`Context::blocks_result`], overflow and underflow.
    #[inline(always)]
    #[must_use]
    pub const fn blocks_store(self) -> bool {
        const ALL_BUT_PE: u16 = SW_EXCEPTIONS & !(FloatFlags::PE.bits() as u16);
        self.status & !self.control & ALL_BUT_PE != 0
    }

    /// Invalid operation: raises IE and gives the real indefinite.
    #[cold]
    pub(super) fn invalid(&mut self) -> F80 {
        self.raise(FloatFlags::IE);
        F80::INDEFINITE
    }

    /// Notes a denormal operand. False if that ends the operation (DE unmasked).
    pub(super) fn denormal_operand(&mut self) -> bool {
        self.raise(FloatFlags::DE);
        self.is_masked(FloatFlags::DE)
    }

    /// DE for each of `operands` that is denormal. False if that ends the operation.
    pub(super) fn note_denormals(&mut self, operands: &[F80]) -> bool {
        let denormal = self.denormal_source
            || operands.iter().any(|operand| operand.class() == Class::Denormal);
        !denormal || self.denormal_operand()
    }

    /// The answer to one operand that is a NaN or unsupported; `None` for any other.
    #[inline(always)]
    pub(super) fn nan_or_unsupported(&mut self, a: F80) -> Option<F80> {
        match a.class() {
            Class::QuietNan => Some(a),
            Class::SignalingNan => {
                self.raise(FloatFlags::IE);
                Some(a.quiet())
            }
            Class::Unsupported => Some(self.invalid()),
            _ => None,
        }
    }

    /// The answer to two operands of which one is a NaN or unsupported; `None` for any others.
    ///
    /// The NaN with the larger significand wins, at equality the positive one; a signaling one
    /// raises IE and is quieted, and loses against a quiet one.
    pub(super) fn nan_or_unsupported_2(&mut self, a: F80, b: F80) -> Option<F80> {
        let (class_a, class_b) = (a.class(), b.class());
        if class_a == Class::Unsupported || class_b == Class::Unsupported {
            return Some(self.invalid());
        }
        if class_a == Class::SignalingNan || class_b == Class::SignalingNan {
            self.raise(FloatFlags::IE);
        }
        let nan = match (a.is_nan(), b.is_nan()) {
            (false, false) => return None,
            (true, false) => a,
            (false, true) => b,
            (true, true) => match (class_a, class_b) {
                (Class::SignalingNan, Class::QuietNan) => b,
                (Class::QuietNan, Class::SignalingNan) => a,
                _ if a.significand > b.significand => a,
                _ if a.significand < b.significand => b,
                _ if a.is_negative() => b,
                _ => a,
            },
        };
        Some(nan.quiet())
    }

    /// Rounds and packs the value `significand / 2^127 * 2^(exponent - BIAS)`. Bit 127 of
    /// `significand` is set; its bit 0 may be a sticky bit.
    #[inline(always)]
    pub(super) fn pack(&mut self, negative: bool, exponent: i32, significand: u128) -> F80 {
        if self.surplus_bits() == 0 && exponent > 0 && exponent < i32::from(EXPONENT_MAX) - 1 {
            let (kept, rest) = ((significand >> 64) as u64, significand as u64);
            let up = self.rounding().rounds_up(negative, kept & 1 != 0, rest);
            self.note_rounding(up, rest != 0);
            let (rounded, carry) = kept.overflowing_add(u64::from(up));
            let exponent = exponent as u16 + u16::from(carry);
            return F80::from_parts(negative, exponent, rounded | u64::from(carry) << 63);
        }
        self.apart(|context| context.pack_any(negative, exponent, significand))
    }

    /// Runs a rare, long way on a copy, so that the short way can keep its context in registers.
    #[inline(always)]
    pub(super) fn apart<R>(&mut self, run: impl FnOnce(&mut Self) -> R) -> R {
        let mut copy = *self;
        let result = run(&mut copy);
        *self = copy;
        result
    }

    /// [`Context::pack`] without assumptions.
    #[inline(never)]
    fn pack_any(&mut self, negative: bool, exponent: i32, significand: u128) -> F80 {
        let rounded = self.round_significand(negative, significand);
        let rounded_exponent = exponent + i32::from(rounded.carry);
        if rounded_exponent >= i32::from(EXPONENT_MAX) {
            return self.overflow(negative, rounded_exponent, rounded);
        }
        if rounded_exponent > 0 {
            self.note_rounding(rounded.up, rounded.inexact);
            return F80::from_parts(negative, rounded_exponent as u16, rounded.significand);
        }
        if !self.is_masked(FloatFlags::UE) {
            self.raise(FloatFlags::UE);
            self.note_rounding(rounded.up, rounded.inexact);
            let adjusted = rounded_exponent + BIAS_ADJUST;
            if adjusted <= 0 {
                // Only FSCALE gets here, and then gives zero (measured).
                self.raise(FloatFlags::PE);
                return F80::from_parts(negative, 0, 0);
            }
            return F80::from_parts(negative, adjusted as u16, rounded.significand);
        }
        // Masked: round once, at the place where the denormal number ends.
        let shifted = shift_right_sticky_128(significand, (1 - exponent) as u32);
        let denormal = self.round_significand(negative, shifted);
        self.note_rounding(denormal.up, denormal.inexact);
        if denormal.inexact {
            self.raise(FloatFlags::UE);
        }
        // Rounded up to the smallest normal number: the integer bit became 1.
        let exponent = (denormal.significand >> 63) as u16;
        F80::from_parts(negative, exponent, denormal.significand)
    }

    fn overflow(&mut self, negative: bool, exponent: i32, rounded: Rounded) -> F80 {
        self.raise(FloatFlags::OE);
        if !self.is_masked(FloatFlags::OE) {
            self.note_rounding(rounded.up, rounded.inexact);
            let adjusted = exponent - BIAS_ADJUST;
            if adjusted >= i32::from(EXPONENT_MAX) {
                // Only FSCALE gets here, and then gives infinity in every mode (measured).
                self.raise(FloatFlags::PE);
                self.status |= SW_C1;
                return F80::INFINITY.with_sign(negative);
            }
            return F80::from_parts(negative, adjusted as u16, rounded.significand);
        }
        self.raise(FloatFlags::PE);
        if self.rounding().overflows_to_infinity(negative) {
            self.status |= SW_C1;
            return F80::INFINITY.with_sign(negative);
        }
        let largest = u64::MAX << self.surplus_bits();
        F80::from_parts(negative, EXPONENT_MAX - 1, largest)
    }

    /// Rounds to the precision in force; a carry out of bit 63 leaves 1.0 with `carry` set.
    #[inline(always)]
    fn round_significand(self, negative: bool, significand: u128) -> Rounded {
        let (high, low) = ((significand >> 64) as u64, significand as u64);
        let surplus = self.surplus_bits();
        let rest = if surplus == 0 { low } else { high << (64 - surplus) | u64::from(low != 0) };
        let up = self.rounding().rounds_up(negative, high >> surplus & 1 != 0, rest);
        let kept = high & u64::MAX << surplus;
        let (rounded, carry) = kept.overflowing_add(u64::from(up) << surplus);
        let significand = rounded | u64::from(carry) << 63;
        Rounded { significand, carry, up, inexact: rest != 0 }
    }

    #[inline(always)]
    fn note_rounding(&mut self, up: bool, inexact: bool) {
        // Shifts, since which way a number rounds is nothing that a branch could predict.
        self.status |= u16::from(inexact) << PE_SHIFT | u16::from(up) << C1_SHIFT;
    }
}

struct Rounded {
    significand: u64,
    carry: bool,
    up: bool,
    inexact: bool,
}

impl Unpacked {
    /// Takes a nonzero finite number apart.
    #[inline(always)]
    pub(super) fn new(a: F80) -> Self {
        let shift = a.significand.leading_zeros();
        let exponent = i32::from(a.exponent()) + i32::from(a.exponent() == 0);
        Self {
            negative: a.is_negative(),
            exponent: exponent - shift as i32,
            significand: a.significand << (shift & 63),
        }
    }

    /// Takes a normal number apart.
    #[inline(always)]
    pub(super) fn normal(a: F80) -> Self {
        Self {
            negative: a.is_negative(),
            exponent: i32::from(a.exponent()),
            significand: a.significand,
        }
    }

    /// The exponent without its bias: the value is `1.x * 2^unbiased`.
    pub(super) const fn unbiased(self) -> i32 {
        self.exponent - BIAS
    }
}
