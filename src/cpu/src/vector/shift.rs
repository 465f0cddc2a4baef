//! Packed shifts, whole-register byte shifts and PALIGNR.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic. A count is the whole low qword of the
//! count operand, or the immediate; a count of a lane's width or more clears (or sign-fills) it.

use super::lanes::{Lanes, Xmm, map};

/// One row: a logical shift, its lane type and the operator.
macro_rules! logical {
    ($($(#[$doc:meta])* $name:ident($lane:ident, $shift:ident);)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        #[must_use]
        pub fn $name<V: Lanes<$lane>>(a: V, count: u64) -> V {
            if count >= u64::from($lane::BITS) {
                return V::join(V::ZERO);
            }
            map::<$lane, V>(a, |lane| lane.$shift(count as u32))
        }
    )*};
}

logical! {
    /// PSLLW: words shifted left.
    psllw(u16, wrapping_shl);
    /// PSLLD: dwords shifted left.
    pslld(u32, wrapping_shl);
    /// PSLLQ: qwords shifted left.
    psllq(u64, wrapping_shl);
    /// PSRLW: words shifted right, zeroes entering.
    psrlw(u16, wrapping_shr);
    /// PSRLD: dwords shifted right, zeroes entering.
    psrld(u32, wrapping_shr);
    /// PSRLQ: qwords shifted right, zeroes entering.
    psrlq(u64, wrapping_shr);
}

/// PSRAW: words shifted right, signs entering; from 16 on, all sign.
#[inline(always)]
#[must_use]
pub fn psraw<V: Lanes<i16>>(a: V, count: u64) -> V {
    let count = count.min(15) as u32;
    map::<i16, V>(a, |lane| lane >> count)
}

/// PSRAD: dwords shifted right, signs entering; from 32 on, all sign.
#[inline(always)]
#[must_use]
pub fn psrad<V: Lanes<i32>>(a: V, count: u64) -> V {
    let count = count.min(31) as u32;
    map::<i32, V>(a, |lane| lane >> count)
}

super::lanes::lanewise! {
    /// VPSLLVD: each dword shifted left by its own count.
    psllvd(u32) = |a, count| a.checked_shl(count).unwrap_or(0);
    /// VPSLLVQ: each qword shifted left by its own count.
    psllvq(u64) = |a, count| if count < 64 { a << count } else { 0 };
    /// VPSRLVD: each dword shifted right by its own count, zeroes entering.
    psrlvd(u32) = |a, count| a.checked_shr(count).unwrap_or(0);
    /// VPSRLVQ: each qword shifted right by its own count, zeroes entering.
    psrlvq(u64) = |a, count| if count < 64 { a >> count } else { 0 };
    /// VPSRAVD: each dword shifted right by its own count, signs entering.
    psravd(i32) = |a, count| a >> (count as u32).min(31);
}

/// PSLLDQ: the register shifted left by bytes; from 16 on, zero.
#[inline(always)]
#[must_use]
pub fn pslldq(a: Xmm, bytes: u8) -> Xmm {
    if bytes > 15 { Xmm::ZERO } else { Xmm::from_u128(a.to_u128() << (8 * bytes)) }
}

/// PSRLDQ: the register shifted right by bytes; from 16 on, zero.
#[inline(always)]
#[must_use]
pub fn psrldq(a: Xmm, bytes: u8) -> Xmm {
    if bytes > 15 { Xmm::ZERO } else { Xmm::from_u128(a.to_u128() >> (8 * bytes)) }
}

/// PALIGNR: `a` above `b`, shifted right by `imm` bytes; the low register of it.
#[inline(always)]
#[must_use]
pub fn palignr(a: Xmm, b: Xmm, imm: u8) -> Xmm {
    let (a, b) = (a.to_u128(), b.to_u128());
    let bits = 8 * u32::from(imm);
    Xmm::from_u128(match imm {
        0 => b,
        1..16 => b >> bits | a << (128 - bits),
        16..32 => a >> (bits - 128),
        _ => 0,
    })
}

/// PALIGNR of MMX registers.
#[inline(always)]
#[must_use]
pub fn palignr_mmx(a: u64, b: u64, imm: u8) -> u64 {
    let both = u128::from(a) << 64 | u128::from(b);
    if imm < 16 { (both >> (8 * u32::from(imm))) as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::{palignr, palignr_mmx, pslldq, psllw, psrad, psraw, psrldq, psrlq};
    use crate::vector::Xmm;

    #[test]
    fn counts_beyond_the_lane_clear_or_fill_with_the_sign() {
        assert_eq!(psllw(0xffff_0001_u64, 15), 0x8000_8000);
        assert_eq!(psllw(0xffff_0001_u64, 16), 0);
        assert_eq!(psrlq(u64::MAX, 64), 0);
        assert_eq!(psrlq(u64::MAX, 1 << 32), 0, "the count is not cut to 32 bits");
        assert_eq!(psraw(0x8000_7fff_u64, 200), 0xffff_0000);
        assert_eq!(psrad(0x8000_0000_u64, u64::MAX), 0xffff_ffff);
    }

    #[test]
    fn byte_shifts_move_whole_registers() {
        let value = Xmm::from_u128(0x0102 << 112 | 0x0304);

        assert_eq!(psrldq(value, 14), Xmm::from_u128(0x0102));
        assert_eq!(pslldq(value, 14), Xmm::from_u128(0x0304 << 112));
        assert_eq!(psrldq(value, 16), Xmm::ZERO);
        assert_eq!(pslldq(value, 255), Xmm::ZERO);
    }

    #[test]
    fn alignment_takes_a_window_of_both() {
        let (a, b) = (0x1f1e_1d1c_1b1a_1918_u64, 0x1716_1514_1312_1110);

        assert_eq!(palignr_mmx(a, b, 3), 0x1a19_1817_1615_1413);
        assert_eq!(palignr_mmx(a, b, 8), a);
        assert_eq!(palignr_mmx(a, b, 14), 0x1f1e);
        assert_eq!(palignr_mmx(a, b, 16), 0);
        assert_eq!(palignr_mmx(a, b, 255), 0);

        let (a, b) = (Xmm::from_halves(2, 3), Xmm::from_halves(0, 1));
        assert_eq!(palignr(a, b, 8), Xmm::from_halves(1, 2));
        assert_eq!(palignr(a, b, 24), Xmm::from_halves(3, 0));
        assert_eq!(palignr(a, b, 32), Xmm::ZERO);
    }
}
