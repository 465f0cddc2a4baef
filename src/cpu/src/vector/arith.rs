//! Packed sums, differences, averages, minima, maxima, absolute values, and bitwise logic.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use super::lanes::{Lanes, build, lanewise, map, split};

lanewise! {
    /// PADDB: sums of bytes, wrapping.
    paddb(u8) = u8::wrapping_add;
    /// PADDW: sums of words, wrapping.
    paddw(u16) = u16::wrapping_add;
    /// PADDD: sums of dwords, wrapping.
    paddd(u32) = u32::wrapping_add;
    /// PADDQ: sums of qwords, wrapping.
    paddq(u64) = u64::wrapping_add;
    /// PADDSB: sums of signed bytes, saturating.
    paddsb(i8) = i8::saturating_add;
    /// PADDSW: sums of signed words, saturating.
    paddsw(i16) = i16::saturating_add;
    /// PADDUSB: sums of unsigned bytes, saturating.
    paddusb(u8) = u8::saturating_add;
    /// PADDUSW: sums of unsigned words, saturating.
    paddusw(u16) = u16::saturating_add;
    /// PSUBB: differences of bytes, wrapping.
    psubb(u8) = u8::wrapping_sub;
    /// PSUBW: differences of words, wrapping.
    psubw(u16) = u16::wrapping_sub;
    /// PSUBD: differences of dwords, wrapping.
    psubd(u32) = u32::wrapping_sub;
    /// PSUBQ: differences of qwords, wrapping.
    psubq(u64) = u64::wrapping_sub;
    /// PSUBSB: differences of signed bytes, saturating.
    psubsb(i8) = i8::saturating_sub;
    /// PSUBSW: differences of signed words, saturating.
    psubsw(i16) = i16::saturating_sub;
    /// PSUBUSB: differences of unsigned bytes, saturating at 0.
    psubusb(u8) = u8::saturating_sub;
    /// PSUBUSW: differences of unsigned words, saturating at 0.
    psubusw(u16) = u16::saturating_sub;
    /// PAVGB: averages of unsigned bytes, halves rounded up.
    pavgb(u8) = |a, b| ((u16::from(a) + u16::from(b) + 1) >> 1) as u8;
    /// PAVGW: averages of unsigned words, halves rounded up.
    pavgw(u16) = |a, b| ((u32::from(a) + u32::from(b) + 1) >> 1) as u16;
    /// PMINUB: the smaller unsigned bytes.
    pminub(u8) = Ord::min;
    /// PMINUW: the smaller unsigned words.
    pminuw(u16) = Ord::min;
    /// PMINUD: the smaller unsigned dwords.
    pminud(u32) = Ord::min;
    /// PMINSB: the smaller signed bytes.
    pminsb(i8) = Ord::min;
    /// PMINSW: the smaller signed words.
    pminsw(i16) = Ord::min;
    /// PMINSD: the smaller signed dwords.
    pminsd(i32) = Ord::min;
    /// PMAXUB: the larger unsigned bytes.
    pmaxub(u8) = Ord::max;
    /// PMAXUW: the larger unsigned words.
    pmaxuw(u16) = Ord::max;
    /// PMAXUD: the larger unsigned dwords.
    pmaxud(u32) = Ord::max;
    /// PMAXSB: the larger signed bytes.
    pmaxsb(i8) = Ord::max;
    /// PMAXSW: the larger signed words.
    pmaxsw(i16) = Ord::max;
    /// PMAXSD: the larger signed dwords.
    pmaxsd(i32) = Ord::max;
    /// PSIGNB: bytes of `a`, negated, kept or cleared by the sign of those of `b`.
    psignb(i8) = |a, b| if b < 0 { a.wrapping_neg() } else if b == 0 { 0 } else { a };
    /// PSIGNW: words of `a`, negated, kept or cleared by the sign of those of `b`.
    psignw(i16) = |a, b| if b < 0 { a.wrapping_neg() } else if b == 0 { 0 } else { a };
    /// PSIGND: dwords of `a`, negated, kept or cleared by the sign of those of `b`.
    psignd(i32) = |a, b| if b < 0 { a.wrapping_neg() } else if b == 0 { 0 } else { a };
    /// PAND, ANDPS, ANDPD: bitwise AND.
    pand(u64) = |a, b| a & b;
    /// PANDN, ANDNPS, ANDNPD: bitwise AND of `b` with NOT `a`.
    pandn(u64) = |a, b| !a & b;
    /// POR, ORPS, ORPD: bitwise OR.
    por(u64) = |a, b| a | b;
    /// PXOR, XORPS, XORPD: bitwise exclusive OR.
    pxor(u64) = |a, b| a ^ b;
}

/// PABSB: absolute values of bytes; -128 stays 0x80.
#[inline(always)]
#[must_use]
pub fn pabsb<V: Lanes<i8>>(b: V) -> V {
    map(b, i8::wrapping_abs)
}

/// PABSW: absolute values of words; -32768 stays 0x8000.
#[inline(always)]
#[must_use]
pub fn pabsw<V: Lanes<i16>>(b: V) -> V {
    map(b, i16::wrapping_abs)
}

/// PABSD: absolute values of dwords; the lowest stays 0x8000_0000.
#[inline(always)]
#[must_use]
pub fn pabsd<V: Lanes<i32>>(b: V) -> V {
    map(b, i32::wrapping_abs)
}

/// Horizontal operation: `f` of neighbours in `a` fill the lower half, those in `b` the upper.
#[inline(always)]
fn horizontal<L: Copy + Default, V: Lanes<L>>(a: V, b: V, f: impl Fn(L, L) -> L) -> V {
    let (a, b) = (split::<L, _>(a), split::<L, _>(b));
    let (a, b) = (a.as_ref(), b.as_ref());
    let half = V::COUNT / 2;
    build(|i| {
        let (from, pair) = if i < half { (a, i) } else { (b, i - half) };
        f(from[2 * pair], from[2 * pair + 1])
    })
}

/// PHADDW: sums of neighbouring words, wrapping.
#[inline(always)]
#[must_use]
pub fn phaddw<V: Lanes<i16>>(a: V, b: V) -> V {
    horizontal(a, b, i16::wrapping_add)
}

/// PHADDD: sums of neighbouring dwords, wrapping.
#[inline(always)]
#[must_use]
pub fn phaddd<V: Lanes<i32>>(a: V, b: V) -> V {
    horizontal(a, b, i32::wrapping_add)
}

/// PHADDSW: sums of neighbouring signed words, saturating.
#[inline(always)]
#[must_use]
pub fn phaddsw<V: Lanes<i16>>(a: V, b: V) -> V {
    horizontal(a, b, i16::saturating_add)
}

/// PHSUBW: even words less their odd neighbours, wrapping.
#[inline(always)]
#[must_use]
pub fn phsubw<V: Lanes<i16>>(a: V, b: V) -> V {
    horizontal(a, b, i16::wrapping_sub)
}

/// PHSUBD: even dwords less their odd neighbours, wrapping.
#[inline(always)]
#[must_use]
pub fn phsubd<V: Lanes<i32>>(a: V, b: V) -> V {
    horizontal(a, b, i32::wrapping_sub)
}

/// PHSUBSW: even signed words less their odd neighbours, saturating.
#[inline(always)]
#[must_use]
pub fn phsubsw<V: Lanes<i16>>(a: V, b: V) -> V {
    horizontal(a, b, i16::saturating_sub)
}

#[cfg(test)]
mod tests {
    use super::{paddsw, paddusb, pavgb, phaddsw, psignb, psubusb};
    use crate::vector::Xmm;

    #[test]
    fn saturation_stops_at_the_ends_of_the_lane() {
        assert_eq!(paddusb(0xfff0_0110_u64, 0x2020_2020), 0xffff_2130);
        assert_eq!(psubusb(0x1020_3040_u64, 0x2010_4030), 0x0010_0010);
        assert_eq!(paddsw(0x7fff_8000_u64, 0x0001_ffff), 0x7fff_8000);
    }

    #[test]
    fn averages_round_halves_up() {
        assert_eq!(pavgb(0x0001_02ff_u64, 0x0100_01ff), 0x0101_02ff);
    }

    #[test]
    fn sign_of_the_second_operand_decides() {
        assert_eq!(psignb(0x8005_0505_u64, 0xff01_00ff), 0x8005_00fb);
    }

    #[test]
    fn horizontal_sums_put_the_first_operand_low() {
        let a = Xmm::from_u128(0x7fff_0001_0002_0003_0004_0005_8000_8000);
        let b = Xmm::from_u128(0x0000_0001_0000_0002_0000_0003_0000_0004);

        let expected = Xmm::from_u128(0x0001_0002_0003_0004_7fff_0005_0009_8000);
        assert_eq!(phaddsw(a, b), expected);
    }
}
