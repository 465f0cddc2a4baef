//! ADD, SUB, MUL, DIV, MIN, MAX and SQRT of SSE: scalar and packed, single and double.
//!
//! Source: Intel SDM vol. 1 §11.5.2, "SIMD Floating-Point Exception Conditions"; vol. 2, "ADDPS"
//! and its kin. Compared with an AMD Zen 4.
//!
//! Rust's `+ - * /` and `sqrt` round to nearest on every host, so where MXCSR asks for that and
//! has PE set already, an ordinary result is the host's. Ordinary means: nothing but rounding can
//! have happened (`is_ordinary`), whatever the masks, DAZ and FTZ are. While PE is clear, an
//! ordinary result must also be exact. All else goes through integer code (`binary_arith`), which
//! knows every rule.

use super::binary::{Format, Word};
use super::binary_arith as soft;
use super::mxcsr::{Control, Mxcsr, SimdException};
use super::round::FloatFlags;
use crate::vector::{Lanes, Xmm, build};
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
    /// Whether an ordinary result is exact.
    fn is_exact(op: Binary, a: Self::Bits, b: Self::Bits, result: Self::Bits) -> bool;
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

    /// The product of two singles is exact as a double.
    #[inline(always)]
    fn is_exact(op: Binary, a: u32, b: u32, result: u32) -> bool {
        let (a, b) = (Self::from_bits(a), Self::from_bits(b));
        let result = Self::from_bits(result);
        match op {
            Binary::Min | Binary::Max => true,
            Binary::Add => is_sum_exact(a, b, result, 0.0),
            Binary::Sub => is_sum_exact(a, -b, result, 0.0),
            Binary::Mul => f64::from(a) * f64::from(b) == f64::from(result),
            Binary::Div if result == 0.0 => true, // of zero by any number, even infinity
            Binary::Div => f64::from(result) * f64::from(b) == f64::from(a),
        }
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

    #[inline(never)]
    fn is_exact(op: Binary, a: u64, b: u64, result: u64) -> bool {
        let (x, y) = (Self::from_bits(a), Self::from_bits(b));
        match op {
            Binary::Min | Binary::Max => true,
            Binary::Add => is_sum_exact(x, y, Self::from_bits(result), 0.0),
            Binary::Sub => is_sum_exact(x, -y, Self::from_bits(result), 0.0),
            _ if result << 1 == 0 => true,
            Binary::Mul => {
                let product = significand::<Self>(a) * significand::<Self>(b);
                odd_part(product) < 2 << Self::FRACTION_BITS
            }
            Binary::Div => is_product::<Self>(result, b, a),
        }
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

/// Whether `sum`, which is `a + b` rounded, is exact: Knuth's TwoSum has an error term of zero.
#[inline(always)]
fn is_sum_exact<F>(a: F, b: F, sum: F, zero: F) -> bool
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
    let infinity = F::Bits::narrow(2 * F::INFINITY);
    if is_denormal_word::<F>(a) || is_denormal_word::<F>(b) {
        return false;
    }
    if matches!(op, Binary::Min | Binary::Max) {
        return a.doubled() <= infinity && b.doubled() <= infinity;
    }
    if is_plainly_normal::<F>(result) {
        return true;
    }
    // A zero is exact if it comes from zeroes or from x - x; else it may be an underflow.
    result.doubled() == zero
        && match op {
            Binary::Mul => a.doubled() == zero || b.doubled() == zero,
            Binary::Div => a.doubled() == zero,
            _ => true,
        }
}

/// The host's result, if it is the instruction's and MXCSR stays as it is.
#[inline(always)]
fn quick<F: Host>(op: Binary, a: F::Bits, b: F::Bits, mxcsr: Mxcsr) -> Option<F::Bits> {
    let result = F::compute(op, a, b);
    (is_ordinary::<F>(op, a, b, result) && keeps_pe::<F>(op, a, b, result, mxcsr)).then_some(result)
}

/// Whether an ordinary result is right under this MXCSR and leaves PE as it is.
#[inline(always)]
fn keeps_pe<F: Host>(op: Binary, a: F::Bits, b: F::Bits, result: F::Bits, mxcsr: Mxcsr) -> bool {
    matches!(op, Binary::Min | Binary::Max)
        || mxcsr.hides_inexact()
        || mxcsr.rounds_to_nearest() && F::is_exact(op, a, b, result)
}

/// A scalar operation: ADDSS, ADDSD and their kin, on the low bits of a `u64`.
#[inline(always)]
pub fn scalar<F: Host>(
    op: Binary,
    a: u64,
    b: u64,
    control: Control<'_>,
) -> Result<u64, SimdException> {
    match quick::<F>(op, F::Bits::narrow(a), F::Bits::narrow(b), control.mxcsr()) {
        Some(result) => Ok(result.widen()),
        None => scalar_slow::<F>(op, a, b, control.full()?),
    }
}

/// A packed operation: ADDPS, ADDPD and their kin.
#[inline(always)]
pub fn packed<F: Host>(
    op: Binary,
    a: Xmm,
    b: Xmm,
    control: Control<'_>,
) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    by_parity::<F>([op; 2], a, b, control)
}

/// ADDSUBPS, ADDSUBPD: differences in the even lanes, sums in the odd ones.
#[inline(always)]
pub fn addsub<F: Host>(a: Xmm, b: Xmm, control: Control<'_>) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    by_parity::<F>([Binary::Sub, Binary::Add], a, b, control)
}

/// A packed operation of its own for even and odd lanes.
#[inline(always)]
fn by_parity<F: Host>(
    ops: [Binary; 2],
    a: Xmm,
    b: Xmm,
    control: Control<'_>,
) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let (x, y) = (Lanes::<F::Bits>::split(a), Lanes::<F::Bits>::split(b));
    let (x, y) = (x.as_ref(), y.as_ref());
    let mut lanes = <Xmm as Lanes<F::Bits>>::ZERO;
    let mut odd = <Xmm as Lanes<F::Bits>>::ZERO;
    let (results, oddities) = (lanes.as_mut(), odd.as_mut());
    let sign = F::Bits::narrow(F::SIGN);
    for i in 0..results.len() {
        results[i] = F::compute(ops[i % 2], x[i], y[i]);
    }
    for i in 0..results.len() {
        oddities[i] = sign & oddity::<F>(ops[i % 2], x[i], y[i], results[i]);
    }
    let mxcsr = control.mxcsr();
    let mut done = <Xmm as Lanes<F::Bits>>::join(odd).to_u128() == 0;
    if !mxcsr.hides_inexact() {
        for i in 0..results.len() {
            done = done && keeps_pe::<F>(ops[i % 2], x[i], y[i], results[i], mxcsr);
        }
    }
    if done {
        return Ok(<Xmm as Lanes<F::Bits>>::join(lanes));
    }
    let lane = |i: usize, a, b, raised: &mut _| careful::<F>(ops[i % 2], a, b, mxcsr, raised);
    each_lane::<F>(a, b, control.full()?, lane)
}

/// The sign bit is clear if the lane [`is_ordinary`]. Differences of magnitudes stand in for
/// comparisons, so that the host's vector unit looks at all lanes at once.
#[inline(always)]
fn oddity<F: Format>(op: Binary, a: F::Bits, b: F::Bits, result: F::Bits) -> F::Bits {
    let magnitude = |bits: F::Bits| bits & F::Bits::narrow(F::SIGN - 1);
    let below = |bits: F::Bits, limit| magnitude(bits).wrapping_sub(F::Bits::narrow(limit));
    let above = |bits: F::Bits, limit| F::Bits::narrow(limit).wrapping_sub(magnitude(bits));
    let is_zero = |bits| below(bits, 1);
    let is_denormal = |bits| below(bits, F::MIN_NORMAL) & above(bits, 0);

    let denormal = is_denormal(a) | is_denormal(b);
    let exact_zero = match op {
        Binary::Min | Binary::Max => {
            return denormal | above(a, F::INFINITY) | above(b, F::INFINITY);
        }
        Binary::Add | Binary::Sub => is_zero(result),
        Binary::Mul => is_zero(result) & (is_zero(a) | is_zero(b)),
        Binary::Div => is_zero(result) & is_zero(a),
    };
    let unusual = below(result, F::MIN_NORMAL + 1) | above(result, F::INFINITY - 1);
    denormal | unusual & !exact_zero
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

/// Any operands, any MXCSR. The first inexact result sets PE; it is ordinary for the most part.
fn careful<F: Host>(op: Binary, a: u64, b: u64, mxcsr: Mxcsr, raised: &mut FloatFlags) -> u64 {
    let (x, y) = (F::Bits::narrow(a), F::Bits::narrow(b));
    let result = F::compute(op, x, y);
    if !mxcsr.rounds_to_nearest() || !is_ordinary::<F>(op, x, y, result) {
        return software::<F>(op, a, b, mxcsr, raised);
    }
    if !F::is_exact(op, x, y, result) {
        *raised |= FloatFlags::PE;
    }
    result.widen()
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
pub fn sqrt<F: Host>(a: u64, control: Control<'_>) -> Result<u64, SimdException> {
    match quick_root::<F>(a, control.mxcsr()) {
        Some(root) => Ok(root),
        None => sqrt_slow::<F>(a, control.full()?),
    }
}

/// The host's root, if it is the instruction's and MXCSR stays as it is.
#[inline(always)]
fn quick_root<F: Host>(a: u64, mxcsr: Mxcsr) -> Option<u64> {
    let root = F::root(F::Bits::narrow(a)).widen();
    let keeps_pe =
        mxcsr.hides_inexact() || mxcsr.rounds_to_nearest() && is_root_exact::<F>(root, a);
    (is_ordinary_square::<F>(a) && keeps_pe).then_some(root)
}

/// Whether an ordinary root is exact.
#[inline(never)]
fn is_root_exact<F: Format>(root: u64, a: u64) -> bool {
    a & (F::SIGN - 1) == 0 || is_product::<F>(root, root, a)
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
#[inline(always)]
pub fn packed_sqrt<F: Host>(b: Xmm, control: Control<'_>) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let mxcsr = control.mxcsr();
    let mut roots = Lanes::<F::Bits>::split(b);
    let mut done = true;
    for lane in roots.as_mut() {
        let root = quick_root::<F>(lane.widen(), mxcsr);
        done &= root.is_some();
        *lane = F::Bits::narrow(root.unwrap_or(0));
    }
    if done {
        return Ok(Lanes::<F::Bits>::join(roots));
    }
    let lane = |_, lane, _, raised: &mut _| careful_sqrt::<F>(lane, mxcsr, raised);
    each_lane::<F>(b, b, control.full()?, lane)
}

fn careful_sqrt<F: Host>(a: u64, mxcsr: Mxcsr, raised: &mut FloatFlags) -> u64 {
    if !mxcsr.rounds_to_nearest() || !is_ordinary_square::<F>(a) {
        return soft::sqrt::<F>(a, mxcsr, raised);
    }
    let root = F::root(F::Bits::narrow(a)).widen();
    if !is_root_exact::<F>(root, a) {
        *raised |= FloatFlags::PE;
    }
    root
}

/// HADDPS, HADDPD (and HSUBPS, HSUBPD with [`Binary::Sub`]): `op` of neighbours in `a` fill the
/// lower half, those in `b` the upper.
#[inline(always)]
pub fn horizontal<F: Host>(
    op: Binary,
    a: Xmm,
    b: Xmm,
    control: Control<'_>,
) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let (a, b) = (Lanes::<F::Bits>::split(a), Lanes::<F::Bits>::split(b));
    let half = <Xmm as Lanes<F::Bits>>::COUNT / 2;
    let every_second = |first: usize| {
        build::<F::Bits, Xmm>(|i| {
            if i < half { a.as_ref()[2 * i + first] } else { b.as_ref()[2 * (i - half) + first] }
        })
    };
    packed::<F>(op, every_second(0), every_second(1), control)
}

#[cfg(test)]
mod tests {
    use super::{Binary, Host, is_ordinary, oddity, scalar};
    use crate::float::{Control, Mxcsr, SimdException};

    const OPERATIONS: [Binary; 6] =
        [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Min, Binary::Max];

    #[test]
    fn both_forms_of_the_check_agree() {
        let edges = [
            0,
            1,
            0x007f_ffff,
            0x0080_0000,
            0x0080_0001,
            0x3f80_0000,
            0x5f80_0000,
            0x7f7f_ffff,
            0x7f80_0000,
            0x7f80_0001,
            0x7fc0_0000,
            0x7fff_ffff,
        ];
        for (op, a) in OPERATIONS.into_iter().flat_map(|op| edges.map(|a| (op, a))) {
            for b in edges.into_iter().flat_map(|b| [b, b | 1 << 31]) {
                let result = f32::compute(op, a, b);

                let odd = oddity::<f32>(op, a, b, result) >> 31 != 0;

                assert_eq!(odd, !is_ordinary::<f32>(op, a, b, result), "{op:?} {a:#x} {b:#x}");
            }
        }
    }

    #[test]
    fn the_first_inexact_result_sets_pe_and_needs_the_full_path() {
        let (one, three) = (1.0_f64.to_bits(), 3.0_f64.to_bits());
        let mut mxcsr = Mxcsr::RESET;

        let sum = scalar::<f64>(Binary::Add, one, three, Control::Quick(mxcsr));
        assert_eq!(sum, Ok(4.0_f64.to_bits()), "exact");
        let quick = scalar::<f64>(Binary::Div, one, three, Control::Quick(mxcsr));
        assert_eq!(quick, Err(SimdException));
        let full = scalar::<f64>(Binary::Div, one, three, Control::Full(&mut mxcsr));
        assert_eq!((full, mxcsr), (Ok((1.0 / 3.0_f64).to_bits()), Mxcsr::RESET | Mxcsr::PE));
        let quick = scalar::<f64>(Binary::Div, one, three, Control::Quick(mxcsr));
        assert_eq!(quick, full, "PE is set");
    }

    #[test]
    fn unmasked_exceptions_fault_with_their_flag_set() {
        let mut mxcsr = Mxcsr::RESET - Mxcsr::ZM;
        let one = 1.0_f64.to_bits();

        let quotient = scalar::<f64>(Binary::Div, one, 0, Control::Full(&mut mxcsr));

        assert_eq!(quotient, Err(SimdException));
        assert!(mxcsr.contains(Mxcsr::ZE));
    }
}
