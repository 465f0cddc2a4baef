//! Shuffles: lanes of the operands picked by an immediate or by a register.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use super::lanes::{Lanes, Xmm, build, join, split};

/// Two bits of an immediate: which of four lanes goes to place `i`.
#[inline(always)]
fn pick(imm: u8, i: usize) -> usize {
    usize::from(imm >> (2 * i) & 3)
}

/// PSHUFB: byte `i` is the byte of `a` that byte `i` of `b` names, or 0 where bit 7 of it is set.
#[inline(always)]
#[must_use]
pub fn pshufb<V: Lanes<u8>>(a: V, b: V) -> V {
    let (bytes, places) = (a.split(), b.split());
    let (bytes, places) = (bytes.as_ref(), places.as_ref());
    build::<u8, V>(|i| {
        let keep = !((places[i] as i8) >> 7) as u8;
        bytes[usize::from(places[i]) & (V::COUNT - 1)] & keep
    })
}

/// PSHUFD: dword `i` is the dword of `b` that bits `2i+1:2i` of `imm` name.
#[inline(always)]
#[must_use]
pub fn pshufd(b: Xmm, imm: u8) -> Xmm {
    let lanes = split::<u32, _>(b);
    build::<u32, Xmm>(|i| lanes[pick(imm, i)])
}

/// PSHUFLW: the four low words picked by `imm`; the high ones stay.
#[inline(always)]
#[must_use]
pub fn pshuflw(b: Xmm, imm: u8) -> Xmm {
    let lanes = split::<u16, _>(b);
    build::<u16, Xmm>(|i| if i < 4 { lanes[pick(imm, i)] } else { lanes[i] })
}

/// PSHUFHW: the four high words picked by `imm`; the low ones stay.
#[inline(always)]
#[must_use]
pub fn pshufhw(b: Xmm, imm: u8) -> Xmm {
    let lanes = split::<u16, _>(b);
    build::<u16, Xmm>(|i| if i < 4 { lanes[i] } else { lanes[4 + pick(imm, i - 4)] })
}

/// PSHUFW: the four words of an MMX register picked by `imm`.
#[inline(always)]
#[must_use]
pub fn pshufw(b: u64, imm: u8) -> u64 {
    let lanes = split::<u16, _>(b);
    build::<u16, u64>(|i| lanes[pick(imm, i)])
}

/// SHUFPS: two singles of `a`, then two of `b`, picked by `imm`.
#[inline(always)]
#[must_use]
pub fn shufps(a: Xmm, b: Xmm, imm: u8) -> Xmm {
    let (a, b) = (split::<u32, _>(a), split::<u32, _>(b));
    join::<u32, Xmm>([a[pick(imm, 0)], a[pick(imm, 1)], b[pick(imm, 2)], b[pick(imm, 3)]])
}

/// SHUFPD: a double of `a` (bit 0 of `imm`), then one of `b` (bit 1).
#[inline(always)]
#[must_use]
pub fn shufpd(a: Xmm, b: Xmm, imm: u8) -> Xmm {
    let low = if imm & 1 == 0 { a.low() } else { a.high() };
    let high = if imm & 2 == 0 { b.low() } else { b.high() };
    Xmm::from_halves(low, high)
}

/// MOVSLDUP: each even single twice.
#[inline(always)]
#[must_use]
pub fn movsldup(b: Xmm) -> Xmm {
    let lanes = split::<u32, _>(b);
    join::<u32, Xmm>([lanes[0], lanes[0], lanes[2], lanes[2]])
}

/// MOVSHDUP: each odd single twice.
#[inline(always)]
#[must_use]
pub fn movshdup(b: Xmm) -> Xmm {
    let lanes = split::<u32, _>(b);
    join::<u32, Xmm>([lanes[1], lanes[1], lanes[3], lanes[3]])
}

/// VPERMILPS: each single of the result is one of the four of `a`, by bits 1:0 of `b`'s.
#[inline(always)]
#[must_use]
pub fn permilps(a: Xmm, b: Xmm) -> Xmm {
    let (a, b) = (split::<u32, _>(a), split::<u32, _>(b));
    build::<u32, Xmm>(|i| a[(b[i] & 3) as usize])
}

/// VPERMILPD: each double of the result is one of the two of `a`, by bit 1 of `b`'s.
#[inline(always)]
#[must_use]
pub fn permilpd(a: Xmm, b: Xmm) -> Xmm {
    let (a, b) = (split::<u64, _>(a), split::<u64, _>(b));
    build::<u64, Xmm>(|i| a[(b[i] >> 1 & 1) as usize])
}

#[cfg(test)]
mod tests {
    use super::{pshufb, pshufd, pshufhw, pshuflw, shufpd, shufps};
    use crate::vector::Xmm;

    const A: Xmm = Xmm::from_u128(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100);
    const B: Xmm = Xmm::from_u128(0x1f1e_1d1c_1b1a_1918_1716_1514_1312_1110);

    #[test]
    fn bytes_are_looked_up_or_cleared() {
        let places = Xmm::from_u128(0x80_1f_0f);

        assert_eq!(pshufb(A, places), Xmm::from_u128(0x0f0f).with_high_bytes_from(A));
        assert_eq!(pshufb(0x0706_0504_0302_0100_u64, 0x8007_0f08_0102_03ff), 0x0007_0700_0102_0300);
    }

    #[test]
    fn immediates_pick_lanes_from_place_zero_up() {
        let expected = 0x0302_0100_0706_0504_0b0a_0908_0f0e_0d0c;
        assert_eq!(pshufd(A, 0b00_01_10_11), Xmm::from_u128(expected));
        assert_eq!(pshuflw(A, 0b00_01_10_11).low(), 0x0100_0302_0504_0706);
        assert_eq!(pshuflw(A, 0b00_01_10_11).high(), A.high());
        assert_eq!(pshufhw(A, 0b00_00_00_11).high(), 0x0908_0908_0908_0f0e);
        assert_eq!(shufps(A, B, 0b11_00_00_01).low(), 0x0302_0100_0706_0504);
        assert_eq!(shufps(A, B, 0b11_00_00_01).high(), 0x1f1e_1d1c_1312_1110);
        assert_eq!(shufpd(A, B, 0b01), Xmm::from_halves(A.high(), B.low()));
    }

    impl Xmm {
        /// Bytes 3 and up are byte 0 of `from`: what PSHUFB gives for places that are 0.
        fn with_high_bytes_from(self, from: Xmm) -> Self {
            Self(core::array::from_fn(|i| if i < 3 { self.0[i] } else { from.0[0] }))
        }
    }
}
