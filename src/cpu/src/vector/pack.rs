//! Narrowing with saturation (PACK), interleaving (PUNPCK) and widening (PMOVSX, PMOVZX).
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use super::lanes::{Lanes, Xmm, build, split};

/// Lanes of `a` narrowed fill the lower half of the result, those of `b` the upper.
#[inline(always)]
fn narrow<W, N, V>(a: V, b: V, f: impl Fn(W) -> N) -> V
where
    W: Copy + Default,
    N: Copy + Default,
    V: Lanes<W> + Lanes<N>,
{
    let (a, b) = (split::<W, _>(a), split::<W, _>(b));
    let (a, b) = (a.as_ref(), b.as_ref());
    build::<N, V>(|i| f(if i < a.len() { a[i] } else { b[i - a.len()] }))
}

/// PACKSSWB: signed words to signed bytes, saturating.
#[inline(always)]
#[must_use]
pub fn packsswb<V: Lanes<i16> + Lanes<i8>>(a: V, b: V) -> V {
    narrow(a, b, |lane: i16| lane.clamp(-0x80, 0x7f) as i8)
}

/// PACKUSWB: signed words to unsigned bytes, saturating.
#[inline(always)]
#[must_use]
pub fn packuswb<V: Lanes<i16> + Lanes<u8>>(a: V, b: V) -> V {
    narrow(a, b, |lane: i16| lane.clamp(0, 0xff) as u8)
}

/// PACKSSDW: signed dwords to signed words, saturating.
#[inline(always)]
#[must_use]
pub fn packssdw<V: Lanes<i32> + Lanes<i16>>(a: V, b: V) -> V {
    narrow(a, b, |lane: i32| lane.clamp(-0x8000, 0x7fff) as i16)
}

/// PACKUSDW: signed dwords to unsigned words, saturating.
#[inline(always)]
#[must_use]
pub fn packusdw<V: Lanes<i32> + Lanes<u16>>(a: V, b: V) -> V {
    narrow(a, b, |lane: i32| lane.clamp(0, 0xffff) as u16)
}

/// Lanes of `a` and `b` in turn, from lane `first` on.
#[inline(always)]
fn interleave<L: Copy + Default, V: Lanes<L>>(a: V, b: V, first: usize) -> V {
    let (a, b) = (split::<L, _>(a), split::<L, _>(b));
    let (a, b) = (a.as_ref(), b.as_ref());
    build(|i| if i % 2 == 0 { a[first + i / 2] } else { b[first + i / 2] })
}

/// One row: a PUNPCK instruction, its lane type, and whether it takes the upper halves.
macro_rules! unpack {
    ($($(#[$doc:meta])* $name:ident($lane:ident, $upper:literal);)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        #[must_use]
        pub fn $name<V: Lanes<$lane>>(a: V, b: V) -> V {
            interleave::<$lane, V>(a, b, if $upper { V::COUNT / 2 } else { 0 })
        }
    )*};
}

unpack! {
    /// PUNPCKLBW: the low bytes of `a` and `b` in turn.
    punpcklbw(u8, false);
    /// PUNPCKLWD: the low words of `a` and `b` in turn.
    punpcklwd(u16, false);
    /// PUNPCKLDQ, UNPCKLPS: the low dwords of `a` and `b` in turn.
    punpckldq(u32, false);
    /// PUNPCKLQDQ, UNPCKLPD: the low qwords of `a` and `b`.
    punpcklqdq(u64, false);
    /// PUNPCKHBW: the high bytes of `a` and `b` in turn.
    punpckhbw(u8, true);
    /// PUNPCKHWD: the high words of `a` and `b` in turn.
    punpckhwd(u16, true);
    /// PUNPCKHDQ, UNPCKHPS: the high dwords of `a` and `b` in turn.
    punpckhdq(u32, true);
    /// PUNPCKHQDQ, UNPCKHPD: the high qwords of `a` and `b`.
    punpckhqdq(u64, true);
}

/// The lowest lanes of `b`, each widened.
#[inline(always)]
fn widen<N, W>(b: Xmm, f: impl Fn(N) -> W) -> Xmm
where
    N: Copy + Default,
    W: Copy + Default,
    Xmm: Lanes<N> + Lanes<W>,
{
    let narrow = split::<N, _>(b);
    let narrow = narrow.as_ref();
    build::<W, Xmm>(|i| f(narrow[i]))
}

/// One row: a PMOVSX or PMOVZX instruction, from and to which lane type.
macro_rules! widening {
    ($($(#[$doc:meta])* $name:ident($narrow:ident => $wide:ident);)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        #[must_use]
        pub fn $name(b: Xmm) -> Xmm {
            widen::<$narrow, $wide>(b, $wide::from)
        }
    )*};
}

widening! {
    /// PMOVSXBW: the 8 low bytes, sign-extended to words.
    pmovsxbw(i8 => i16);
    /// PMOVSXBD: the 4 low bytes, sign-extended to dwords.
    pmovsxbd(i8 => i32);
    /// PMOVSXBQ: the 2 low bytes, sign-extended to qwords.
    pmovsxbq(i8 => i64);
    /// PMOVSXWD: the 4 low words, sign-extended to dwords.
    pmovsxwd(i16 => i32);
    /// PMOVSXWQ: the 2 low words, sign-extended to qwords.
    pmovsxwq(i16 => i64);
    /// PMOVSXDQ: the 2 low dwords, sign-extended to qwords.
    pmovsxdq(i32 => i64);
    /// PMOVZXBW: the 8 low bytes, zero-extended to words.
    pmovzxbw(u8 => u16);
    /// PMOVZXBD: the 4 low bytes, zero-extended to dwords.
    pmovzxbd(u8 => u32);
    /// PMOVZXBQ: the 2 low bytes, zero-extended to qwords.
    pmovzxbq(u8 => u64);
    /// PMOVZXWD: the 4 low words, zero-extended to dwords.
    pmovzxwd(u16 => u32);
    /// PMOVZXWQ: the 2 low words, zero-extended to qwords.
    pmovzxwq(u16 => u64);
    /// PMOVZXDQ: the 2 low dwords, zero-extended to qwords.
    pmovzxdq(u32 => u64);
}

#[cfg(test)]
mod tests {
    use super::{packsswb, packusdw, packuswb, pmovsxbw, punpckhbw, punpcklbw, punpcklqdq};
    use crate::vector::Xmm;

    #[test]
    fn packing_saturates_and_puts_the_first_operand_low() {
        assert_eq!(packuswb(0x0100_00ff_ffff_007f_u64, 1), 0x0000_0001_ffff_007f);
        assert_eq!(packsswb(0x0100_00ff_ffff_ff00_u64, 1), 0x0000_0001_7f7f_ff80);

        let dwords = Xmm::from_u128(0x0001_0000_ffff_ffff_0000_ffff_8000_0000);
        assert_eq!(packusdw(dwords, dwords).low(), 0xffff_0000_ffff_0000);
    }

    #[test]
    fn interleaving_starts_with_the_first_operand() {
        assert_eq!(punpcklbw(0x4444_4444_0706_0504_u64, 0x8786_8584), 0x8707_8606_8505_8404);
        assert_eq!(punpckhbw(0x0706_0504_0000_0000_u64, 0), 0x0007_0006_0005_0004);

        let halves = |low, high| Xmm::from_halves(low, high);
        assert_eq!(punpcklqdq(halves(1, 2), halves(3, 4)), halves(1, 3));
    }

    #[test]
    fn widening_keeps_the_sign() {
        assert_eq!(pmovsxbw(Xmm::from_u128(0x80_7f_ff)).low(), 0x0000_ff80_007f_ffff);
    }
}
