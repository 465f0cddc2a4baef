//! Packed products, sums of products, and sums of absolute differences.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use super::lanes::{Lanes, Xmm, build, join, lanewise, split};

lanewise! {
    /// PMULLW: low words of the products.
    pmullw(u16) = u16::wrapping_mul;
    /// PMULHW: high words of the signed products.
    pmulhw(i16) = |a, b| ((i32::from(a) * i32::from(b)) >> 16) as i16;
    /// PMULHUW: high words of the unsigned products.
    pmulhuw(u16) = |a, b| ((u32::from(a) * u32::from(b)) >> 16) as u16;
    /// PMULHRSW: bits 30:15 of the signed products, rounded.
    pmulhrsw(i16) = |a, b| ((((i32::from(a) * i32::from(b)) >> 14) + 1) >> 1) as i16;
    /// PMULLD: low dwords of the products.
    pmulld(u32) = u32::wrapping_mul;
    /// PMULUDQ: the unsigned products of the low dwords of each qword.
    pmuludq(u64) = |a, b| (a & 0xffff_ffff) * (b & 0xffff_ffff);
    /// PMULDQ: the signed products of the low dwords of each qword.
    pmuldq(i64) = |a, b| i64::from(a as i32) * i64::from(b as i32);
}

/// PMADDWD: sums of two neighbouring signed products of words, wrapping.
#[inline(always)]
#[must_use]
pub fn pmaddwd<V: Lanes<i16> + Lanes<i32>>(a: V, b: V) -> V {
    let (a, b) = (split::<i16, _>(a), split::<i16, _>(b));
    let (a, b) = (a.as_ref(), b.as_ref());
    let product = |i: usize| i32::from(a[i]) * i32::from(b[i]);
    build::<i32, V>(|i| product(2 * i).wrapping_add(product(2 * i + 1)))
}

/// PMADDUBSW: sums of two neighbouring products of unsigned bytes of `a` and signed bytes of
/// `b`, saturating to signed words.
#[inline(always)]
#[must_use]
pub fn pmaddubsw<V: Lanes<u8> + Lanes<i8> + Lanes<i16>>(a: V, b: V) -> V {
    let (a, b) = (split::<u8, _>(a), split::<i8, _>(b));
    let (a, b) = (a.as_ref(), b.as_ref());
    let product = |i: usize| i16::from(a[i]) * i16::from(b[i]);
    build::<i16, V>(|i| product(2 * i).saturating_add(product(2 * i + 1)))
}

/// PSADBW: per qword, the sum of the absolute differences of its unsigned bytes.
#[inline(always)]
#[must_use]
pub fn psadbw<V: Lanes<u8> + Lanes<u64>>(a: V, b: V) -> V {
    let (a, b) = (split::<u8, _>(a), split::<u8, _>(b));
    let (a, b) = (a.as_ref(), b.as_ref());
    build::<u64, V>(|i| {
        let mut sum = 0;
        for j in 8 * i..8 * i + 8 {
            sum += u64::from(a[j].abs_diff(b[j]));
        }
        sum
    })
}

/// MPSADBW: eight sums of absolute differences of 4 bytes: a block of `b` (bits 1:0 of `imm`)
/// against `a` at eight successive places (from byte 0, or from byte 4 if bit 2).
#[must_use]
pub fn mpsadbw(a: Xmm, b: Xmm, imm: u8) -> Xmm {
    let block = 4 * usize::from(imm & 3);
    let start = usize::from(imm & 4);
    build::<u16, Xmm>(|i| {
        let mut sum = 0;
        for j in 0..4 {
            sum += u16::from(a.0[start + i + j].abs_diff(b.0[block + j]));
        }
        sum
    })
}

/// PHMINPOSUW: the smallest unsigned word in bits 15:0 and its lowest place in bits 18:16.
#[must_use]
pub fn phminposuw(b: Xmm) -> Xmm {
    let words = split::<u16, _>(b);
    let mut place = 0;
    for i in 1..words.len() {
        if words[i] < words[place] {
            place = i;
        }
    }
    join::<u16, Xmm>([words[place], place as u16, 0, 0, 0, 0, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::{mpsadbw, phminposuw, pmaddubsw, pmaddwd, pmulhrsw, psadbw};
    use crate::vector::Xmm;

    #[test]
    fn extreme_products_wrap_or_saturate_as_the_manual_says() {
        let lowest = 0x8000_8000_8000_8000_u64;

        assert_eq!(pmaddwd(lowest, lowest), 0x8000_0000_8000_0000, "the one sum that wraps");
        assert_eq!(pmaddubsw(0xffff_u64, 0x7f7f), 0x7fff);
        assert_eq!(pmaddubsw(0xffff_u64, 0x8080), 0x8000);
        assert_eq!(pmulhrsw(0x8000_u64, 0x8000), 0x8000);
    }

    #[test]
    fn differences_are_absolute_and_summed() {
        assert_eq!(psadbw(0x00ff_0000_0000_0005_u64, 0xff00_0000_0000_0007), 0x200);

        let rising = Xmm(core::array::from_fn(|i| i as u8));
        assert_eq!(mpsadbw(rising, rising, 0).low(), 0x000c_0008_0004_0000);
        assert_eq!(mpsadbw(rising, rising, 0b101).low(), 0x000c_0008_0004_0000);
    }

    #[test]
    fn the_first_of_equal_minima_is_reported() {
        let words = Xmm::from_u128(0x0009_0003_0007_0003_0008_0006_0005_0004);

        assert_eq!(phminposuw(words), Xmm::from_u128(0x0004_0003));
    }
}
