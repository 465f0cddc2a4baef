//! ADD, SUB, MUL, DIV, MIN, MAX and SQRT of SSE: scalar and packed, single and double.
//!
//! Source: Intel SDM vol. 1 §11.5.2, "SIMD Floating-Point Exception Conditions"; vol. 2, "ADDPS"
//! and its kin. Compared with an AMD Zen 4.
//!
//! Rust's `+ - * /` and `sqrt` round to nearest on every host, so where MXCSR is as after reset
//! and PE is set already, an ordinary result is the host's. Ordinary means: nothing but rounding
//! can have happened ([`is_ordinary`]). All else goes through integer code (`binary_arith`),
//! which knows every rule.

use super::binary::{Format, Word};
use super::binary_arith as soft;
use super::mxcsr::{Mxcsr, SimdException};
use super::round::FloatFlags;
use crate::vector::{Lanes, Xmm};
use core::cmp::Ordering;

/// An operation of two floating-point operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
    /// `a / b`.
    Div,
    /// The smaller; `b` where they are equal or one is a NaN.
    Min,
    /// The larger; `b` where they are equal or one is a NaN.
    Max,
}

/// A format whose arithmetic the host has too. Only ordinary results may be used.
pub trait Host: Format {
    /// The host's own result; for MIN and MAX that of numbers.
    fn compute(op: Binary, a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// The host's square root.
    fn root(a: Self::Bits) -> Self::Bits;
    /// Whether a finite sum or difference has lost nothing (Knuth's TwoSum).
    fn is_sum_exact(op: Binary, a: Self::Bits, b: Self::Bits, result: Self::Bits) -> bool;
}

impl Host for f32 {
    #[inline(always)]
    fn compute(op: Binary, a: u32, b: u32) -> u32 {
        let (a, b) = (Self::from_bits(a), Self::from_bits(b));
        arithmetic(op, a, b).to_bits()
    }

    #[inline(always)]
    fn root(a: u32) -> u32 {
        Self::from_bits(a).sqrt().to_bits()
    }

    fn is_sum_exact(op: Binary, a: u32, b: u32, result: u32) -> bool {
        let b = if op == Binary::Sub { -Self::from_bits(b) } else { Self::from_bits(b) };
        two_sum_is_exact(Self::from_bits(a), b, Self::from_bits(result), 0.0)
    }
}

impl Host for f64 {
    #[inline(always)]
    fn compute(op: Binary, a: u64, b: u64) -> u64 {
        let (a, b) = (Self::from_bits(a), Self::from_bits(b));
        arithmetic(op, a, b).to_bits()
    }

    #[inline(always)]
    fn root(a: u64) -> u64 {
        Self::from_bits(a).sqrt().to_bits()
    }

    fn is_sum_exact(op: Binary, a: u64, b: u64, result: u64) -> bool {
        let b = if op == Binary::Sub { -Self::from_bits(b) } else { Self::from_bits(b) };
        two_sum_is_exact(Self::from_bits(a), b, Self::from_bits(result), 0.0)
    }
}

/// The host's operators.
#[inline(always)]
fn arithmetic<F>(op: Binary, a: F, b: F) -> F
where
    F: Copy
        + PartialOrd
        + core::ops::Add<Output = F>
        + core::ops::Sub<Output = F>
        + core::ops::Mul<Output = F>
        + core::ops::Div<Output = F>,
{
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Min => {
            if a < b {
                a
            } else {
                b
            }
        }
        Binary::Max => {
            if a > b {
                a
            } else {
                b
            }
        }
    }
}

/// Whether `sum`, which is `a + b` rounded, is exact: the error term is zero.
fn two_sum_is_exact<F>(a: F, b: F, sum: F, zero: F) -> bool
where
    F: Copy + PartialEq + core::ops::Add<Output = F> + core::ops::Sub<Output = F>,
{
    let b_part = sum - a;
    let a_part = sum - b_part;
    (a - a_part) + (b - b_part) == zero
}

/// Whether a denormal went in. Works on all but the sign, doubled.
#[inline(always)]
fn is_denormal_word<F: Format>(bits: F::Bits) -> bool {
    let below = F::Bits::narrow(2 * F::MIN_NORMAL - 1);
    bits.doubled().wrapping_sub(F::Bits::narrow(1)) < below
}

/// Whether a result is a normal number above the smallest one. The smallest may come from
/// rounding a tiny one up; infinities and NaNs may have raised something.
#[inline(always)]
fn is_plainly_normal<F: Format>(bits: F::Bits) -> bool {
    let first = 2 * F::MIN_NORMAL + 1;
    bits.doubled().wrapping_sub(F::Bits::narrow(first)) < F::Bits::narrow(2 * F::INFINITY - first)
}

/// Whether the host's result can be taken: if anything was raised, it was PE.
#[inline(always)]
fn is_ordinary<F: Format>(op: Binary, a: F::Bits, b: F::Bits, result: F::Bits) -> bool {
    let zero = F::Bits::default();
    let usual = match op {
        Binary::Min | Binary::Max => {
            let infinity = F::Bits::narrow(2 * F::INFINITY);
            (a.doubled() <= infinity) & (b.doubled() <= infinity)
        }
        Binary::Add | Binary::Sub => is_plainly_normal::<F>(result) | (result.doubled() == zero),
        Binary::Mul => {
            let zero_factor = (a.doubled() == zero) | (b.doubled() == zero);
            is_plainly_normal::<F>(result) | (result.doubled() == zero) & zero_factor
        }
        Binary::Div => {
            let zero_dividend = a.doubled() == zero;
            is_plainly_normal::<F>(result) | (result.doubled() == zero) & zero_dividend
        }
    };
    usual & !is_denormal_word::<F>(a) & !is_denormal_word::<F>(b)
}

/// Whether the host's arithmetic may be asked at all. MIN and MAX never round.
#[inline(always)]
fn is_host_mode(op: Binary, mxcsr: Mxcsr) -> bool {
    matches!(op, Binary::Min | Binary::Max) || mxcsr.hides_inexact()
}

/// A scalar operation: ADDSS, ADDSD and their kin, on the low bits of a `u64`.
#[inline(always)]
pub fn scalar<F: Host>(
    op: Binary,
    a: u64,
    b: u64,
    mxcsr: &mut Mxcsr,
) -> Result<u64, SimdException> {
    if is_host_mode(op, *mxcsr) {
        let (a, b) = (F::Bits::narrow(a), F::Bits::narrow(b));
        let result = F::compute(op, a, b);
        if is_ordinary::<F>(op, a, b, result) {
            return Ok(result.widen());
        }
    }
    scalar_slow::<F>(op, a, b, mxcsr)
}

/// A packed operation: ADDPS, ADDPD and their kin.
#[inline(always)]
pub fn packed<F: Host>(op: Binary, a: Xmm, b: Xmm, mxcsr: &mut Mxcsr) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    if is_host_mode(op, *mxcsr) {
        let (a, b) = (Lanes::<F::Bits>::split(a), Lanes::<F::Bits>::split(b));
        let mut result = a;
        let mut ordinary = true;
        for (lane, &b) in result.as_mut().iter_mut().zip(b.as_ref()) {
            let a = *lane;
            *lane = F::compute(op, a, b);
            ordinary &= is_ordinary::<F>(op, a, b, *lane);
        }
        if ordinary {
            return Ok(Lanes::<F::Bits>::join(result));
        }
    }
    packed_slow::<F>(op, a, b, mxcsr)
}

#[cold]
#[inline(never)]
fn scalar_slow<F: Host>(
    op: Binary,
    a: u64,
    b: u64,
    mxcsr: &mut Mxcsr,
) -> Result<u64, SimdException> {
    let mut raised = FloatFlags::empty();
    let result = careful::<F>(op, a, b, *mxcsr, &mut raised);
    mxcsr.raise(raised).map(|()| result)
}

#[cold]
#[inline(never)]
fn packed_slow<F: Host>(op: Binary, a: Xmm, b: Xmm, mxcsr: &mut Mxcsr) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let control = *mxcsr;
    each_lane::<F>(a, b, mxcsr, |_, a, b, raised| careful::<F>(op, a, b, control, raised))
}

/// `f(lane number, a, b, raised)` of each lane; what the lanes raise counts together.
#[inline(always)]
pub(super) fn each_lane<F: Format>(
    a: Xmm,
    b: Xmm,
    mxcsr: &mut Mxcsr,
    f: impl Fn(usize, u64, u64, &mut FloatFlags) -> u64,
) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let mut raised = FloatFlags::empty();
    let mut lanes = Lanes::<F::Bits>::split(a);
    let others = Lanes::<F::Bits>::split(b);
    for (i, (lane, b)) in lanes.as_mut().iter_mut().zip(others.as_ref()).enumerate() {
        *lane = F::Bits::narrow(f(i, lane.widen(), b.widen(), &mut raised));
    }
    mxcsr.raise(raised).map(|()| Lanes::<F::Bits>::join(lanes))
}

/// Any operands, any MXCSR. Where only PE is in question, it is worked out from the host's
/// result, so that programs whose results are all exact (and PE stays clear) are not slow.
fn careful<F: Host>(op: Binary, a: u64, b: u64, mxcsr: Mxcsr, raised: &mut FloatFlags) -> u64 {
    if mxcsr.is_default() {
        let (x, y) = (F::Bits::narrow(a), F::Bits::narrow(b));
        let result = F::compute(op, x, y);
        if is_ordinary::<F>(op, x, y, result) {
            if !is_exact::<F>(op, a, b, result.widen()) {
                *raised |= FloatFlags::PE;
            }
            return result.widen();
        }
    }
    software::<F>(op, a, b, mxcsr, raised)
}

/// The operation in integer code.
pub(super) fn software<F: Format>(
    op: Binary,
    a: u64,
    b: u64,
    mxcsr: Mxcsr,
    raised: &mut FloatFlags,
) -> u64 {
    match op {
        Binary::Add => soft::add::<F>(a, b, mxcsr, raised),
        Binary::Sub => soft::sub::<F>(a, b, mxcsr, raised),
        Binary::Mul => soft::mul::<F>(a, b, mxcsr, raised),
        Binary::Div => soft::div::<F>(a, b, mxcsr, raised),
        Binary::Min => soft::select::<F>(a, b, mxcsr, raised, |order| order == Ordering::Less),
        Binary::Max => soft::select::<F>(a, b, mxcsr, raised, |order| order == Ordering::Greater),
    }
}

/// Whether an ordinary result is exact.
fn is_exact<F: Host>(op: Binary, a: u64, b: u64, result: u64) -> bool {
    match op {
        Binary::Min | Binary::Max => true,
        Binary::Add | Binary::Sub => {
            let narrow = F::Bits::narrow;
            F::is_sum_exact(op, narrow(a), narrow(b), narrow(result))
        }
        _ if result & (F::SIGN - 1) == 0 => true,
        Binary::Mul => odd_part(significand::<F>(a) * significand::<F>(b)) < 2 << F::FRACTION_BITS,
        Binary::Div => is_product::<F>(result, b, a),
    }
}

/// Whether `a * b` is `product` exactly, where it is so but for rounding.
fn is_product<F: Format>(a: u64, b: u64, product: u64) -> bool {
    odd_part(significand::<F>(a) * significand::<F>(b)) == odd_part(significand::<F>(product))
}

/// The significand of a normal number.
fn significand<F: Format>(bits: u64) -> u128 {
    (bits & F::FRACTION | F::MIN_NORMAL).into()
}

/// A nonzero number without its factors of two.
fn odd_part(value: u128) -> u128 {
    value >> value.trailing_zeros()
}

/// SQRTSS, SQRTSD: the square root of `a`, on the low bits of a `u64`.
#[inline(always)]
pub fn sqrt<F: Host>(a: u64, mxcsr: &mut Mxcsr) -> Result<u64, SimdException> {
    if mxcsr.hides_inexact() && is_ordinary_square::<F>(a) {
        return Ok(F::root(F::Bits::narrow(a)).widen());
    }
    sqrt_slow::<F>(a, mxcsr)
}

/// Whether a square root can raise nothing but PE: of zeroes and positive normal numbers.
#[inline(always)]
fn is_ordinary_square<F: Format>(a: u64) -> bool {
    a & (F::SIGN - 1) == 0 || a.wrapping_sub(F::MIN_NORMAL) < F::INFINITY - F::MIN_NORMAL
}

#[cold]
#[inline(never)]
fn sqrt_slow<F: Host>(a: u64, mxcsr: &mut Mxcsr) -> Result<u64, SimdException> {
    let mut raised = FloatFlags::empty();
    let result = careful_sqrt::<F>(a, *mxcsr, &mut raised);
    mxcsr.raise(raised).map(|()| result)
}

/// SQRTPS, SQRTPD: the square roots of `b`.
pub fn packed_sqrt<F: Host>(b: Xmm, mxcsr: &mut Mxcsr) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let control = *mxcsr;
    each_lane::<F>(b, b, mxcsr, |_, lane, _, raised| careful_sqrt::<F>(lane, control, raised))
}

fn careful_sqrt<F: Host>(a: u64, mxcsr: Mxcsr, raised: &mut FloatFlags) -> u64 {
    if mxcsr.is_default() && is_ordinary_square::<F>(a) {
        let root = F::root(F::Bits::narrow(a)).widen();
        if a & (F::SIGN - 1) != 0 && !is_product::<F>(root, root, a) {
            *raised |= FloatFlags::PE;
        }
        return root;
    }
    soft::sqrt::<F>(a, mxcsr, raised)
}

/// ADDSUBPS, ADDSUBPD: differences in the even lanes, sums in the odd ones.
pub fn addsub<F: Host>(a: Xmm, b: Xmm, mxcsr: &mut Mxcsr) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let control = *mxcsr;
    each_lane::<F>(a, b, mxcsr, |i, a, b, raised| {
        let op = if i % 2 == 0 { Binary::Sub } else { Binary::Add };
        careful::<F>(op, a, b, control, raised)
    })
}

/// HADDPS, HADDPD (and HSUBPS, HSUBPD with [`Binary::Sub`]): `op` of neighbours in `a` fill the
/// lower half, those in `b` the upper.
pub fn horizontal<F: Host>(
    op: Binary,
    a: Xmm,
    b: Xmm,
    mxcsr: &mut Mxcsr,
) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let control = *mxcsr;
    let (a_lanes, b_lanes) = (Lanes::<F::Bits>::split(a), Lanes::<F::Bits>::split(b));
    let half = <Xmm as Lanes<F::Bits>>::COUNT / 2;
    each_lane::<F>(a, b, mxcsr, |i, _, _, raised| {
        let (from, pair) = if i < half { (&a_lanes, i) } else { (&b_lanes, i - half) };
        let (x, y) = (from.as_ref()[2 * pair], from.as_ref()[2 * pair + 1]);
        careful::<F>(op, x.widen(), y.widen(), control, raised)
    })
}
