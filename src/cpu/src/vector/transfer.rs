//! Single lanes in and out: PINSR, PEXTR, INSERTPS, EXTRACTPS.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic. Immediates wrap at the number of lanes.

use super::lanes::{Lanes, Xmm, join, split};

/// One row: PINSR and PEXTR of one lane type.
macro_rules! lane_access {
    ($($(#[$doc_in:meta])* $insert:ident, $(#[$doc_out:meta])* $extract:ident: $lane:ident;)*) => {$(
        $(#[$doc_in])*
        #[inline(always)]
        #[must_use]
        pub fn $insert<V: Lanes<$lane>>(a: V, value: $lane, imm: u8) -> V {
            let mut lanes = split::<$lane, _>(a);
            lanes.as_mut()[usize::from(imm) & (V::COUNT - 1)] = value;
            join::<$lane, _>(lanes)
        }

        $(#[$doc_out])*
        #[inline(always)]
        #[must_use]
        pub fn $extract<V: Lanes<$lane>>(b: V, imm: u8) -> $lane {
            split::<$lane, _>(b).as_ref()[usize::from(imm) & (V::COUNT - 1)]
        }
    )*};
}

lane_access! {
    /// PINSRB: `a` with one byte replaced.
    pinsrb,
    /// PEXTRB: one byte.
    pextrb: u8;
    /// PINSRW: `a` with one word replaced.
    pinsrw,
    /// PEXTRW: one word.
    pextrw: u16;
    /// PINSRD: `a` with one dword replaced.
    pinsrd,
    /// PEXTRD, EXTRACTPS: one dword.
    pextrd: u32;
    /// PINSRQ: `a` with one qword replaced.
    pinsrq,
    /// PEXTRQ: one qword.
    pextrq: u64;
}

/// INSERTPS: `single` goes to the place that bits 5:4 of `imm` name; then the places with a bit
/// set in bits 3:0 are cleared. Bits 7:6 choose the single of a register operand: see
/// [`pextrd`]; a memory operand is the single.
#[inline(always)]
#[must_use]
pub fn insertps(a: Xmm, single: u32, imm: u8) -> Xmm {
    let mut lanes = split::<u32, _>(a);
    lanes[usize::from(imm >> 4 & 3)] = single;
    for (i, lane) in lanes.iter_mut().enumerate() {
        if imm >> i & 1 != 0 {
            *lane = 0;
        }
    }
    join::<u32, _>(lanes)
}

#[cfg(test)]
mod tests {
    use super::{insertps, pextrb, pextrw, pinsrw};
    use crate::vector::Xmm;

    #[test]
    fn lane_numbers_wrap() {
        assert_eq!(pinsrw(0_u64, 0x1234, 4 + 1), 0x1234_0000);
        assert_eq!(pextrw(0x4444_3333_2222_1111_u64, 0xfe), 0x3333);
        assert_eq!(pextrb(Xmm::from_u128(0xab << 120), 31), 0xab);
    }

    #[test]
    fn clearing_comes_after_inserting() {
        let ones = Xmm::from_u128(u128::MAX);

        let expected = 0xffff_ffff_1234_5678_ffff_ffff_0000_0000;
        assert_eq!(insertps(ones, 0x1234_5678, 0b0010_0001), Xmm::from_u128(expected));
        assert_eq!(insertps(ones, 0x1234_5678, 0b0010_1111), Xmm::ZERO);
    }
}
