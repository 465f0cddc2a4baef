//! The value of an XMM register, and packed registers seen as lanes of one type.
//!
//! Source: Intel SDM vol. 1 §4.6, "Packed Data Types". Lane 0 is the lowest.

use core::fmt;
use serde::{Deserialize, Serialize};

/// The value of a 128-bit XMM register: byte 0 is bits 7:0.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(C, align(16))]
pub struct Xmm(pub [u8; 16]);

impl Xmm {
    /// All bits clear.
    pub const ZERO: Self = Self([0; 16]);

    /// From a number, bit for bit.
    #[inline(always)]
    #[must_use]
    pub const fn from_u128(value: u128) -> Self {
        Self(value.to_le_bytes())
    }

    /// As a number, bit for bit.
    #[inline(always)]
    #[must_use]
    pub const fn to_u128(self) -> u128 {
        u128::from_le_bytes(self.0)
    }

    /// Bits 63:0.
    #[inline(always)]
    #[must_use]
    pub fn low(self) -> u64 {
        self.to_u128() as u64
    }

    /// Bits 127:64.
    #[inline(always)]
    #[must_use]
    pub fn high(self) -> u64 {
        (self.to_u128() >> 64) as u64
    }

    /// From bits 63:0 and 127:64.
    #[inline(always)]
    #[must_use]
    pub fn from_halves(low: u64, high: u64) -> Self {
        join::<u64, Self>([low, high])
    }

    /// This value with bits 31:0 replaced.
    #[inline(always)]
    #[must_use]
    pub fn with_low_dword(self, value: u32) -> Self {
        let mut lanes = split::<u32, _>(self);
        lanes[0] = value;
        join::<u32, _>(lanes)
    }

    /// This value with bits 63:0 replaced.
    #[inline(always)]
    #[must_use]
    pub fn with_low_qword(self, value: u64) -> Self {
        let mut lanes = split::<u64, _>(self);
        lanes[0] = value;
        join::<u64, _>(lanes)
    }
}

impl fmt::Debug for Xmm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#034x}", self.to_u128())
    }
}

/// A packed register that can be seen as lanes of type `L`. `u64` is an MMX register.
pub trait Lanes<L: Copy + Default>: Copy {
    /// The lanes, the lowest first.
    type Array: Copy + AsRef<[L]> + AsMut<[L]>;

    /// How many lanes there are.
    const COUNT: usize;

    /// All lanes zero.
    const ZERO: Self::Array;

    /// The lanes of a value.
    fn split(self) -> Self::Array;

    /// The value of lanes.
    fn join(lanes: Self::Array) -> Self;
}

/// One row: the register, its lanes' type and how many it has.
macro_rules! lanes {
    ($($register:ident: [$lane:ident; $count:literal], $zero:literal;)*) => {$(
        impl Lanes<$lane> for $register {
            type Array = [$lane; $count];
            const COUNT: usize = $count;
            const ZERO: Self::Array = [$zero; $count];

            #[inline(always)]
            fn split(self) -> Self::Array {
                let bytes = bytes_of::$register(self);
                let (chunks, _) = bytes.as_chunks::<{ size_of::<$lane>() }>();
                core::array::from_fn(|i| $lane::from_le_bytes(chunks[i]))
            }

            #[inline(always)]
            fn join(lanes: Self::Array) -> Self {
                let mut bytes = [0; size_of::<$register>()];
                let (chunks, _) = bytes.as_chunks_mut::<{ size_of::<$lane>() }>();
                for (chunk, lane) in chunks.iter_mut().zip(lanes) {
                    *chunk = lane.to_le_bytes();
                }
                of_bytes::$register(bytes)
            }
        }
    )*};
}

#[expect(non_snake_case, reason = "named like the register types, for the table")]
mod bytes_of {
    #[inline(always)]
    pub(super) fn Xmm(value: super::Xmm) -> [u8; 16] {
        value.0
    }

    #[inline(always)]
    pub(super) fn u64(value: u64) -> [u8; 8] {
        value.to_le_bytes()
    }
}

#[expect(non_snake_case, reason = "named like the register types, for the table")]
mod of_bytes {
    #[inline(always)]
    pub(super) fn Xmm(bytes: [u8; 16]) -> super::Xmm {
        super::Xmm(bytes)
    }

    #[inline(always)]
    pub(super) fn u64(bytes: [u8; 8]) -> u64 {
        u64::from_le_bytes(bytes)
    }
}

lanes! {
    Xmm: [u8; 16], 0;
    Xmm: [i8; 16], 0;
    Xmm: [u16; 8], 0;
    Xmm: [i16; 8], 0;
    Xmm: [u32; 4], 0;
    Xmm: [i32; 4], 0;
    Xmm: [u64; 2], 0;
    Xmm: [i64; 2], 0;
    Xmm: [f32; 4], 0.0;
    Xmm: [f64; 2], 0.0;
    u64: [u8; 8], 0;
    u64: [i8; 8], 0;
    u64: [u16; 4], 0;
    u64: [i16; 4], 0;
    u64: [u32; 2], 0;
    u64: [i32; 2], 0;
    u64: [u64; 1], 0;
    u64: [i64; 1], 0;
}

/// The lanes of `value`, the lowest first.
#[inline(always)]
pub(crate) fn split<L: Copy + Default, V: Lanes<L>>(value: V) -> V::Array {
    value.split()
}

/// The value of lanes.
#[inline(always)]
pub(crate) fn join<L: Copy + Default, V: Lanes<L>>(lanes: V::Array) -> V {
    V::join(lanes)
}

/// A value whose lane `i` is `f(i)`.
#[inline(always)]
pub(crate) fn build<L: Copy + Default, V: Lanes<L>>(f: impl Fn(usize) -> L) -> V {
    let mut lanes = V::ZERO;
    for (i, lane) in lanes.as_mut().iter_mut().enumerate() {
        *lane = f(i);
    }
    V::join(lanes)
}

/// `f` of each lane.
#[inline(always)]
pub(crate) fn map<L: Copy + Default, V: Lanes<L>>(a: V, f: impl Fn(L) -> L) -> V {
    let mut lanes = a.split();
    for lane in lanes.as_mut() {
        *lane = f(*lane);
    }
    V::join(lanes)
}

/// `f` of each pair of lanes.
#[inline(always)]
pub(crate) fn map2<L: Copy + Default, V: Lanes<L>>(a: V, b: V, f: impl Fn(L, L) -> L) -> V {
    let mut lanes = a.split();
    let others = b.split();
    for (lane, &other) in lanes.as_mut().iter_mut().zip(others.as_ref()) {
        *lane = f(*lane, other);
    }
    V::join(lanes)
}

/// One row: `/// text  name(lane type) = function of a lane of each operand`.
macro_rules! lanewise {
    ($($(#[$doc:meta])* $name:ident($lane:ident) = $f:expr;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        #[must_use]
        pub fn $name<V: $crate::vector::Lanes<$lane>>(a: V, b: V) -> V {
            $crate::vector::lanes::map2::<$lane, V>(a, b, $f)
        }
    )*};
}
pub(crate) use lanewise;

#[cfg(test)]
mod tests {
    use super::{Xmm, build, split};

    #[test]
    fn lane_zero_is_the_lowest() {
        let value = Xmm::from_u128(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100);

        assert_eq!(split::<u8, _>(value)[3], 3);
        assert_eq!(split::<u16, _>(value)[1], 0x0302);
        assert_eq!(split::<u64, _>(value)[1], 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(build::<u16, Xmm>(|i| i as u16).low(), 0x0003_0002_0001_0000);
    }

    #[test]
    fn halves_and_low_parts_are_what_they_say() {
        let value = Xmm::from_halves(0x1111_2222_3333_4444, 0x5555_6666_7777_8888);

        assert_eq!(value.low(), 0x1111_2222_3333_4444);
        assert_eq!(value.high(), 0x5555_6666_7777_8888);
        assert_eq!(value.with_low_dword(9).low(), 0x1111_2222_0000_0009);
        assert_eq!(value.with_low_qword(9), Xmm::from_halves(9, 0x5555_6666_7777_8888));
    }
}
