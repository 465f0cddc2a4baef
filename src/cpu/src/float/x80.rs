//! The 80-bit extended format of the x87: the type, its classes, its constants and NaN rules.
//!
//! Source: Intel SDM vol. 1 §4.2.2, "Floating-Point Data Types", §4.8.3, "Real Number and
//! Non-number Encodings", §8.2.2, "Unsupported Double Extended-Precision Floating-Point
//! Encodings and Pseudo-Denormals", table 4-7, "Rules for Handling NaNs".

use serde::{Deserialize, Serialize};

/// Exponent bias of the extended format.
pub const BIAS: i32 = 0x3fff;
/// The exponent field of infinities and NaNs.
pub const EXPONENT_MAX: u16 = 0x7fff;
/// Bit 63 of the significand: the explicit integer bit.
pub const INTEGER_BIT: u64 = 1 << 63;
/// Bit 62 of the significand: set in a quiet NaN.
pub const QUIET_BIT: u64 = 1 << 62;

const SIGN: u16 = 0x8000;

/// An 80-bit number as an x87 register holds it, any bit pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct F80 {
    /// Bit 15: sign. Bits 14:0: exponent, biased by 16,383.
    pub sign_exponent: u16,
    /// Bit 63: the integer bit. Bits 62:0: the fraction.
    pub significand: u64,
}

/// What a bit pattern stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Zero of either sign.
    Zero,
    /// Exponent field 0, significand not 0: denormals, and pseudo-denormals (integer bit set).
    Denormal,
    /// Exponent field neither 0 nor all ones, integer bit set.
    Normal,
    /// Infinity of either sign.
    Infinity,
    /// NaN with the quiet bit set.
    QuietNan,
    /// NaN with the quiet bit clear.
    SignalingNan,
    /// Unnormal, pseudo-infinity, pseudo-NaN: invalid as an operand since the 80387.
    Unsupported,
}

impl F80 {
    /// +0.
    pub const ZERO: Self = Self::new(0, 0);
    /// +1.
    pub const ONE: Self = Self::new(0x3fff, INTEGER_BIT);
    /// Plus infinity.
    pub const INFINITY: Self = Self::new(EXPONENT_MAX, INTEGER_BIT);
    /// The QNaN real indefinite, answer to a masked invalid operation.
    pub const INDEFINITE: Self = Self::new(SIGN | EXPONENT_MAX, INTEGER_BIT | QUIET_BIT);

    /// From the two fields.
    #[inline(always)]
    #[must_use]
    pub const fn new(sign_exponent: u16, significand: u64) -> Self {
        Self { sign_exponent, significand }
    }

    /// From sign, biased exponent field (15 bits) and significand.
    #[inline(always)]
    #[must_use]
    pub const fn from_parts(negative: bool, exponent: u16, significand: u64) -> Self {
        Self::new((negative as u16) << 15 | exponent, significand)
    }

    /// From ten bytes of memory, little-endian.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 10]) -> Self {
        let mut significand = [0; 8];
        significand.copy_from_slice(&bytes[..8]);
        Self::new(u16::from_le_bytes([bytes[8], bytes[9]]), u64::from_le_bytes(significand))
    }

    /// Ten bytes as stored in memory, little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&self.significand.to_le_bytes());
        bytes[8..].copy_from_slice(&self.sign_exponent.to_le_bytes());
        bytes
    }

    /// Whether the sign bit is set.
    #[inline(always)]
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.sign_exponent & SIGN != 0
    }

    /// The biased exponent field, 0 to 0x7fff.
    #[inline(always)]
    #[must_use]
    pub const fn exponent(self) -> u16 {
        self.sign_exponent & EXPONENT_MAX
    }

    /// FABS: the sign bit cleared, whatever the class.
    #[inline(always)]
    #[must_use]
    pub const fn abs(self) -> Self {
        Self::new(self.sign_exponent & !SIGN, self.significand)
    }

    /// FCHS: the sign bit inverted, whatever the class.
    #[inline(always)]
    #[must_use]
    pub const fn negate(self) -> Self {
        Self::new(self.sign_exponent ^ SIGN, self.significand)
    }

    /// The same number with this sign.
    #[inline(always)]
    #[must_use]
    pub const fn with_sign(self, negative: bool) -> Self {
        Self::from_parts(negative, self.exponent(), self.significand)
    }

    /// A normal number: the common case of every operation.
    #[inline(always)]
    #[must_use]
    pub const fn is_normal(self) -> bool {
        self.significand & INTEGER_BIT != 0 && !matches!(self.exponent(), 0 | EXPONENT_MAX)
    }

    /// Zero of either sign.
    #[inline(always)]
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.exponent() == 0 && self.significand == 0
    }

    /// A quiet or signaling NaN. Pseudo-NaNs are unsupported and not meant.
    #[inline(always)]
    #[must_use]
    pub const fn is_nan(self) -> bool {
        self.exponent() == EXPONENT_MAX && self.significand > INTEGER_BIT
    }

    /// Infinity of either sign.
    #[inline(always)]
    #[must_use]
    pub const fn is_infinite(self) -> bool {
        self.exponent() == EXPONENT_MAX && self.significand == INTEGER_BIT
    }

    /// What the bit pattern stands for.
    #[must_use]
    pub const fn class(self) -> Class {
        match (self.exponent(), self.significand) {
            (0, 0) => Class::Zero,
            (0, _) => Class::Denormal,
            (_, s) if s & INTEGER_BIT == 0 => Class::Unsupported,
            (EXPONENT_MAX, INTEGER_BIT) => Class::Infinity,
            (EXPONENT_MAX, s) if s & QUIET_BIT != 0 => Class::QuietNan,
            (EXPONENT_MAX, _) => Class::SignalingNan,
            _ => Class::Normal,
        }
    }

    /// The NaN with its quiet bit set.
    #[inline(always)]
    #[must_use]
    pub const fn quiet(self) -> Self {
        Self::new(self.sign_exponent, self.significand | QUIET_BIT)
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, F80};

    /// SDM vol. 1 tables 4-3 and 8-3.
    #[test]
    fn every_encoding_has_its_class() {
        let rows = [
            (0x0000, 0, Class::Zero),
            (0x8000, 0, Class::Zero),
            (0x0000, 1, Class::Denormal),
            (0x8000, 0x8000_0000_0000_0000, Class::Denormal),
            (0x3fff, 0x8000_0000_0000_0000, Class::Normal),
            (0x3fff, 0x7fff_ffff_ffff_ffff, Class::Unsupported),
            (0x0001, 0, Class::Unsupported),
            (0x7fff, 0, Class::Unsupported),
            (0xffff, 0x4000_0000_0000_0000, Class::Unsupported),
            (0x7fff, 0x8000_0000_0000_0000, Class::Infinity),
            (0xffff, 0x8000_0000_0000_0001, Class::SignalingNan),
            (0xffff, 0xc000_0000_0000_0000, Class::QuietNan),
        ];

        for (sign_exponent, significand, class) in rows {
            let value = F80::new(sign_exponent, significand);
            assert_eq!(value.class(), class, "{sign_exponent:04x} {significand:016x}");
        }
    }

    #[test]
    fn memory_image_is_little_endian_with_the_significand_first() {
        let one = F80::ONE.to_bytes();

        assert_eq!(one, [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f], "1.0");
        assert_eq!(F80::from_bytes(one), F80::ONE, "and back");
    }
}
