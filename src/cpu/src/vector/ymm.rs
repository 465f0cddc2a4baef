//! The value of a YMM register: two 128-bit lanes.
//!
//! Source: Intel SDM vol. 1 §14.1.1, "256-Bit Wide SIMD Register Support".

use super::Xmm;

/// The value of a 256-bit YMM register: lane 0 is bits 127:0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ymm(pub [Xmm; 2]);

impl Ymm {
    /// All bits clear.
    pub const ZERO: Self = Self([Xmm::ZERO; 2]);

    /// Bits 127:0.
    #[inline(always)]
    #[must_use]
    pub const fn low(self) -> Xmm {
        self.0[0]
    }

    /// Bits 255:128.
    #[inline(always)]
    #[must_use]
    pub const fn high(self) -> Xmm {
        self.0[1]
    }

    /// An XMM register's value, zero above.
    #[inline(always)]
    #[must_use]
    pub const fn from_low(low: Xmm) -> Self {
        Self([low, Xmm::ZERO])
    }
}
