//! Blends: each lane from one operand or the other.
//!
//! Source: Intel SDM vol. 2, "BLENDPS", "BLENDPD", "PBLENDW", "BLENDVPS", "BLENDVPD", "PBLENDVB".

use super::lanes::{Lanes, Xmm, build, split};

/// Lane `i` of `b` where bit `i` of `imm` is set, else of `a`.
#[inline(always)]
fn by_immediate<L: Copy + Default>(a: Xmm, b: Xmm, imm: u8) -> Xmm
where
    Xmm: Lanes<L>,
{
    let (a, b) = (split::<L, _>(a), split::<L, _>(b));
    let (a, b) = (a.as_ref(), b.as_ref());
    build(|i| if imm >> i & 1 == 0 { a[i] } else { b[i] })
}

/// PBLENDW: words of `b` where the bit of `imm` is set, else of `a`.
#[inline(always)]
#[must_use]
pub fn pblendw(a: Xmm, b: Xmm, imm: u8) -> Xmm {
    by_immediate::<u16>(a, b, imm)
}

/// BLENDPS: singles of `b` where the bit of `imm` is set, else of `a`.
#[inline(always)]
#[must_use]
pub fn blendps(a: Xmm, b: Xmm, imm: u8) -> Xmm {
    by_immediate::<u32>(a, b, imm)
}

/// BLENDPD: doubles of `b` where the bit of `imm` is set, else of `a`.
#[inline(always)]
#[must_use]
pub fn blendpd(a: Xmm, b: Xmm, imm: u8) -> Xmm {
    by_immediate::<u64>(a, b, imm)
}

/// One row: a blend by the sign bits of a mask register.
macro_rules! by_sign {
    ($($(#[$doc:meta])* $name:ident($lane:ident);)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        #[must_use]
        pub fn $name(a: Xmm, b: Xmm, mask: Xmm) -> Xmm {
            let (a, b) = (split::<$lane, _>(a), split::<$lane, _>(b));
            let mask = split::<$lane, _>(mask);
            build::<$lane, _>(|i| if mask[i] < 0 { b[i] } else { a[i] })
        }
    )*};
}

by_sign! {
    /// PBLENDVB: bytes of `b` where the sign of the mask's byte is set, else of `a`.
    pblendvb(i8);
    /// BLENDVPS: singles of `b` where the sign of the mask's dword is set, else of `a`.
    blendvps(i32);
    /// BLENDVPD: doubles of `b` where the sign of the mask's qword is set, else of `a`.
    blendvpd(i64);
}

#[cfg(test)]
mod tests {
    use super::{blendpd, blendvps, pblendvb, pblendw};
    use crate::vector::Xmm;

    #[test]
    fn set_bits_take_the_second_operand() {
        let (zero, ones) = (Xmm::ZERO, Xmm::from_u128(u128::MAX));

        assert_eq!(pblendw(zero, ones, 0b0000_0101), Xmm::from_u128(0xffff_0000_ffff));
        assert_eq!(blendpd(zero, ones, 0b10), Xmm::from_halves(0, u64::MAX));
        assert_eq!(pblendvb(zero, ones, Xmm::from_u128(0x80_7f)), Xmm::from_u128(0xff00));
        let mask = Xmm::from_u128(0x8000_0000_7fff_ffff);
        assert_eq!(blendvps(zero, ones, mask), Xmm::from_u128(0xffff_ffff_0000_0000));
    }
}
