//! What x87 and SSE arithmetic share: exception flags, rounding modes, sticky shifts.
//!
//! Source: Intel SDM vol. 1 §4.8.4, "Rounding", §4.9, "Overview of Floating-Point Exceptions".

use bitflags::bitflags;

bitflags! {
    /// Floating-point exceptions, at the bits that they have both in the x87 status word
    /// (bits 5:0) and in MXCSR (bits 5:0; masks are bits 12:7 there, 5:0 of the x87 control word).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FloatFlags: u8 {
        /// Invalid operation.
        const IE = 1 << 0;
        /// Denormal operand.
        const DE = 1 << 1;
        /// Division of a finite number by zero.
        const ZE = 1 << 2;
        /// Overflow.
        const OE = 1 << 3;
        /// Underflow.
        const UE = 1 << 4;
        /// Inexact result ("precision").
        const PE = 1 << 5;
    }
}

/// Rounding control, the RC field of the x87 control word (bits 11:10) and of MXCSR (bits 14:13).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Rounding {
    /// To the nearest; a tie goes to the even significand.
    #[default]
    NearestEven,
    /// Toward minus infinity.
    Down,
    /// Toward plus infinity.
    Up,
    /// Toward zero.
    Zero,
}

/// Bit 63: exactly one half, where the discarded bits stand at the top of a `u64`.
const HALF: u64 = 1 << 63;

impl Rounding {
    /// The mode of a two-bit RC field; higher bits are ignored.
    #[inline(always)]
    #[must_use]
    pub const fn from_rc(rc: u32) -> Self {
        match rc & 3 {
            0 => Self::NearestEven,
            1 => Self::Down,
            2 => Self::Up,
            _ => Self::Zero,
        }
    }

    /// Whether the magnitude is rounded up to the next representable one.
    ///
    /// `odd` is the lowest kept bit; `rest` are the discarded bits, aligned to bit 63, with
    /// everything below bit 0 ORed into bit 0. An exact value (`rest == 0`) never rounds up.
    #[inline(always)]
    #[must_use]
    pub const fn rounds_up(self, negative: bool, odd: bool, rest: u64) -> bool {
        let addend = if matches!(self, Self::NearestEven) {
            HALF - 1 + odd as u64
        } else if self.overflows_to_infinity(negative) {
            u64::MAX // away from zero
        } else {
            0
        };
        rest.checked_add(addend).is_none()
    }

    /// Whether an overflow gives infinity and not the largest finite number: to nearest, and where
    /// the direction leads away from zero.
    #[inline(always)]
    #[must_use]
    pub const fn overflows_to_infinity(self, negative: bool) -> bool {
        match self {
            Self::NearestEven => true,
            Self::Down => negative,
            Self::Up => !negative,
            Self::Zero => false,
        }
    }
}

/// `value >> count` for any count, with the bits shifted out ORed into bit 0 ("sticky").
#[inline(always)]
#[must_use]
pub const fn shift_right_sticky_64(value: u64, count: u32) -> u64 {
    match count {
        0 => value,
        1..64 => value >> count | (value << (64 - count) != 0) as u64,
        _ => (value != 0) as u64,
    }
}

/// `value >> count` for any count, with the bits shifted out ORed into bit 0 ("sticky").
#[inline(always)]
#[must_use]
pub const fn shift_right_sticky_128(value: u128, count: u32) -> u128 {
    match count {
        0 => value,
        1..128 => value >> count | (value << (128 - count) != 0) as u128,
        _ => (value != 0) as u128,
    }
}

#[cfg(test)]
mod tests {
    use super::{HALF, Rounding, shift_right_sticky_64, shift_right_sticky_128};

    /// SDM vol. 1 table 4-8, "Rounding Modes and Encoding of Rounding Control (RC) Field".
    #[test]
    fn each_mode_rounds_its_way() {
        let rows = [
            // mode, negative, odd, rest, up
            (Rounding::NearestEven, false, false, HALF, false),
            (Rounding::NearestEven, false, true, HALF, true),
            (Rounding::NearestEven, true, false, HALF + 1, true),
            (Rounding::NearestEven, false, true, HALF - 1, false),
            (Rounding::Down, false, true, u64::MAX, false),
            (Rounding::Down, true, false, 1, true),
            (Rounding::Up, false, false, 1, true),
            (Rounding::Up, true, false, u64::MAX, false),
            (Rounding::Zero, true, true, u64::MAX, false),
        ];

        for (mode, negative, odd, rest, up) in rows {
            assert_eq!(mode.rounds_up(negative, odd, rest), up, "{mode:?} {negative} {rest:#x}");
        }
    }

    #[test]
    fn exact_values_never_round_up() {
        for rc in 0..4 {
            let mode = Rounding::from_rc(rc);
            assert!(!mode.rounds_up(false, true, 0), "{mode:?}, positive");
            assert!(!mode.rounds_up(true, true, 0), "{mode:?}, negative");
        }
    }

    #[test]
    fn sticky_shifts_keep_a_trace_of_what_they_drop() {
        assert_eq!(shift_right_sticky_64(0b1001, 3), 0b1, "the dropped 1 meets bit 0");
        assert_eq!(shift_right_sticky_64(0b1_0001, 3), 0b11, "0b10 with the trace of bit 0");
        assert_eq!(shift_right_sticky_64(HALF, 64), 1, "all shifted out");
        assert_eq!(shift_right_sticky_64(0, 200), 0, "nothing to drop");
        assert_eq!(shift_right_sticky_128(1 << 100, 99), 0b10, "exact");
        assert_eq!(shift_right_sticky_128(1 << 100 | 1, 99), 0b11, "with a trace");
        assert_eq!(shift_right_sticky_128(1, 128), 1, "all shifted out");
    }
}
