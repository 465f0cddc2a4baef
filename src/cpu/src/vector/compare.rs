//! Packed comparisons, PTEST and the sign masks (PMOVMSKB, MOVMSKPS, MOVMSKPD).
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use super::lanes::{Lanes, Xmm, lanewise, split};

lanewise! {
    /// PCMPEQB: all ones in bytes that are equal.
    pcmpeqb(u8) = |a, b| if a == b { u8::MAX } else { 0 };
    /// PCMPEQW: all ones in words that are equal.
    pcmpeqw(u16) = |a, b| if a == b { u16::MAX } else { 0 };
    /// PCMPEQD: all ones in dwords that are equal.
    pcmpeqd(u32) = |a, b| if a == b { u32::MAX } else { 0 };
    /// PCMPEQQ: all ones in qwords that are equal.
    pcmpeqq(u64) = |a, b| if a == b { u64::MAX } else { 0 };
    /// PCMPGTB: all ones in bytes where `a` is greater, signed.
    pcmpgtb(i8) = |a, b| if a > b { -1 } else { 0 };
    /// PCMPGTW: all ones in words where `a` is greater, signed.
    pcmpgtw(i16) = |a, b| if a > b { -1 } else { 0 };
    /// PCMPGTD: all ones in dwords where `a` is greater, signed.
    pcmpgtd(i32) = |a, b| if a > b { -1 } else { 0 };
    /// PCMPGTQ: all ones in qwords where `a` is greater, signed.
    pcmpgtq(i64) = |a, b| if a > b { -1 } else { 0 };
}

/// PTEST: (ZF, CF). ZF: `a & b` is zero; CF: `!a & b` is zero. OF, AF, PF and SF become 0.
#[inline(always)]
#[must_use]
pub fn ptest(a: Xmm, b: Xmm) -> (bool, bool) {
    let (a, b) = (a.to_u128(), b.to_u128());
    (a & b == 0, !a & b == 0)
}

/// PMOVMSKB: bit `i` is the sign of byte `i`.
#[inline(always)]
#[must_use]
pub fn pmovmskb<V: Lanes<u64>>(value: V) -> u32 {
    let qwords = split::<u64, _>(value);
    let mut mask = 0;
    for (i, &qword) in qwords.as_ref().iter().enumerate() {
        // The product moves bit 7 of byte i to bit 56 + i; no two terms meet, so nothing carries.
        let signs = qword >> 7 & 0x0101_0101_0101_0101;
        let byte = signs.wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask |= (byte as u32) << (8 * i);
    }
    mask
}

/// MOVMSKPS: bit `i` is the sign of single `i`.
#[inline(always)]
#[must_use]
pub fn movmskps(value: Xmm) -> u32 {
    let lanes = split::<u32, _>(value);
    lanes[0] >> 31 | lanes[1] >> 31 << 1 | lanes[2] >> 31 << 2 | lanes[3] >> 31 << 3
}

/// MOVMSKPD: bit `i` is the sign of double `i`.
#[inline(always)]
#[must_use]
pub fn movmskpd(value: Xmm) -> u32 {
    (value.low() >> 63 | value.high() >> 63 << 1) as u32
}

#[cfg(test)]
mod tests {
    use super::{movmskpd, movmskps, pcmpgtb, pmovmskb, ptest};
    use crate::vector::Xmm;

    #[test]
    fn greater_than_is_signed() {
        assert_eq!(pcmpgtb(0x7f80_0100_u64, 0x807f_0001), 0xff00_ff00);
    }

    #[test]
    fn masks_collect_signs_from_lane_zero_up() {
        let value = Xmm::from_u128(0x80ff_007f_0000_0000_8000_0000_0000_0081);

        assert_eq!(pmovmskb(value), 0b1100_0000_1000_0001);
        assert_eq!(movmskps(value), 0b1010);
        assert_eq!(movmskpd(value), 0b11);
        assert_eq!(pmovmskb(0x80ff_7f80_0000_0080_u64), 0b1101_0001);
    }

    #[test]
    fn ptest_looks_at_both_products() {
        let value = |v| Xmm::from_u128(v);

        assert_eq!(ptest(value(0b1100), value(0b0011)), (true, false));
        assert_eq!(ptest(value(0b1100), value(0b0100)), (false, true));
        assert_eq!(ptest(value(0), value(0)), (true, true));
    }
}
