//! Fused multiply-add of singles and doubles in integer code: `±(a * b) ± c`, rounded once.
//!
//! Source: Intel SDM vol. 1 §14.5.2, "Fused-Multiply-ADD (FMA) Numeric Behavior"; vol. 2C,
//! "VFMADD132PS" and its kin. Compared with an AMD Zen 3. The host's own fused operation is not
//! used: where the host has no such instruction it is a call into a library.

use super::binary::{
    Finite, Format, denormal_operand, is_nan, is_negative, is_signalling, magnitude, sign,
};
use super::binary_arith::{cancelled, invalid};
use super::mxcsr::{Mxcsr, SimdException};
use super::round::{FloatFlags, shift_right_sticky_128};
use crate::vector::{Lanes, Xmm};
use core::cmp::Ordering;

/// What is done with product and addend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fused {
    /// VFMADD: `a * b + c`.
    Add,
    /// VFMSUB: `a * b - c`.
    Sub,
    /// VFNMADD: `-(a * b) + c`.
    NegatedAdd,
    /// VFNMSUB: `-(a * b) - c`.
    NegatedSub,
    /// VFMADDSUB: as `Sub` in even lanes, as `Add` in odd ones.
    AddSub,
    /// VFMSUBADD: as `Add` in even lanes, as `Sub` in odd ones.
    SubAdd,
}

impl Fused {
    /// Whether the product and the addend change their signs in a lane.
    fn signs(self, lane: usize) -> (bool, bool) {
        match self {
            Self::Add => (false, false),
            Self::Sub => (false, true),
            Self::NegatedAdd => (true, false),
            Self::NegatedSub => (true, true),
            Self::AddSub => (false, lane.is_multiple_of(2)),
            Self::SubAdd => (false, !lane.is_multiple_of(2)),
        }
    }
}

/// The three operands of a fused operation: the factors, in the order in which the processor
/// looks for NaNs, then the addend.
#[derive(Clone, Copy, Debug)]
pub struct Operands<V> {
    /// First factor.
    pub a: V,
    /// Second factor.
    pub b: V,
    /// Addend.
    pub c: V,
}

/// A scalar fused operation on the low bits of `u64`s.
pub fn scalar<F: Format>(
    op: Fused,
    operands: Operands<u64>,
    mxcsr: &mut Mxcsr,
) -> Result<u64, SimdException> {
    let mut raised = FloatFlags::empty();
    let result = fused::<F>(op.signs(0), operands, *mxcsr, &mut raised);
    mxcsr.raise(raised).map(|()| result)
}

/// A packed fused operation on one or two registers of 128 bits; what all lanes raise counts
/// together.
pub fn packed<F: Format, const N: usize>(
    op: Fused,
    operands: Operands<[Xmm; N]>,
    mxcsr: &mut Mxcsr,
) -> Result<[Xmm; N], SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    use super::binary::Word;
    let mut raised = FloatFlags::empty();
    let mut results = operands.a;
    for n in 0..N {
        let split = |value: [Xmm; N]| <Xmm as Lanes<F::Bits>>::split(value[n]);
        let (a, b, c) = (split(operands.a), split(operands.b), split(operands.c));
        let mut lanes = a;
        for (i, lane) in lanes.as_mut().iter_mut().enumerate() {
            let widen = |array: &[F::Bits]| array[i].widen();
            let operands =
                Operands { a: widen(a.as_ref()), b: widen(b.as_ref()), c: widen(c.as_ref()) };
            let result = fused::<F>(op.signs(i), operands, *mxcsr, &mut raised);
            *lane = F::Bits::narrow(result);
        }
        results[n] = <Xmm as Lanes<F::Bits>>::join(lanes);
    }
    mxcsr.raise(raised).map(|()| results)
}

/// The masked response of one lane.
fn fused<F: Format>(
    (negate_product, negate_addend): (bool, bool),
    Operands { a, b, c }: Operands<u64>,
    mxcsr: Mxcsr,
    raised: &mut FloatFlags,
) -> u64 {
    if let Some(nan) = nan_result::<F>([a, b, c], raised) {
        return nan;
    }
    let mut denormal = FloatFlags::empty();
    let a = denormal_operand::<F>(a, mxcsr, &mut denormal);
    let b = denormal_operand::<F>(b, mxcsr, &mut denormal);
    let c = denormal_operand::<F>(c, mxcsr, &mut denormal) ^ sign::<F>(negate_addend);
    let negative = is_negative::<F>(a ^ b) != negate_product;
    let (ma, mb) = (magnitude::<F>(a), magnitude::<F>(b));
    let infinite = ma == F::INFINITY || mb == F::INFINITY;
    let infinite_addend = magnitude::<F>(c) == F::INFINITY;
    if infinite && (ma == 0 || mb == 0 || infinite_addend && is_negative::<F>(c) != negative) {
        return invalid::<F>(raised);
    }
    *raised |= denormal;
    if infinite {
        return sign::<F>(negative) | F::INFINITY;
    }
    if infinite_addend {
        return c;
    }
    let (a, b) = (Finite::of::<F>(a), Finite::of::<F>(b));
    let significand = a.significand * b.significand;
    let product = Finite { negative, weight: a.weight + b.weight, significand };
    sum(product, Finite::of::<F>(c), mxcsr).round::<F>(mxcsr, raised)
}

/// The result where an operand is a NaN: the first, made quiet. Only a signalling one raises IE,
/// even where the product would be invalid.
fn nan_result<F: Format>(operands: [u64; 3], raised: &mut FloatFlags) -> Option<u64> {
    let first = operands.into_iter().find(|&bits| is_nan::<F>(bits))?;
    if operands.into_iter().any(is_signalling::<F>) {
        *raised |= FloatFlags::IE;
    }
    Some(first | F::QUIET)
}

/// A number with its leading one at bit 126, so that a carry still has room.
fn aligned(number: Finite) -> Finite {
    let up = number.significand.leading_zeros() as i32 - 1;
    Finite { significand: number.significand << up, weight: number.weight - up, ..number }
}

/// The sum before rounding. A product has 106 bits at most, so aligned it ends at bit 21, and a
/// number that loses bits on its way to the other's place is too small to take more than one
/// leading bit away: what is lost may be sticky.
fn sum(product: Finite, addend: Finite, mxcsr: Mxcsr) -> Finite {
    match (product.significand, addend.significand) {
        (0, 0) if product.negative != addend.negative => return cancelled(mxcsr),
        (0, _) => return addend,
        (_, 0) => return product,
        _ => {}
    }
    let (product, addend) = (aligned(product), aligned(addend));
    let (high, low) =
        if product.weight >= addend.weight { (product, addend) } else { (addend, product) };
    let h = high.significand;
    let l = shift_right_sticky_128(low.significand, (high.weight - low.weight) as u32);
    if high.negative == low.negative {
        return Finite { significand: h + l, ..high };
    }
    match h.cmp(&l) {
        Ordering::Equal => cancelled(mxcsr),
        Ordering::Greater => Finite { significand: h - l, ..high },
        Ordering::Less => Finite { significand: l - h, weight: high.weight, ..low },
    }
}

#[cfg(test)]
mod tests {
    use super::{Fused, Operands, packed, scalar};
    use crate::float::Mxcsr;
    use crate::vector::Xmm;

    fn double(op: Fused, a: f64, b: f64, c: f64) -> (f64, Mxcsr) {
        let mut mxcsr = Mxcsr::RESET;
        let operands = Operands { a: a.to_bits(), b: b.to_bits(), c: c.to_bits() };
        let result = scalar::<f64>(op, operands, &mut mxcsr).expect("all masked");
        (f64::from_bits(result), mxcsr)
    }

    #[test]
    fn the_product_is_not_rounded() {
        let a = 1.0 + f64::EPSILON;

        // (1 + e)^2 - (1 + 2e) = e^2.
        let (result, mxcsr) = double(Fused::Sub, a, a, 1.0 + 2.0 * f64::EPSILON);

        assert_eq!((result, mxcsr), (f64::EPSILON * f64::EPSILON, Mxcsr::RESET));
    }

    #[test]
    fn a_tiny_addend_decides_a_tie() {
        let half = f64::EPSILON / 2.0;

        let (result, mxcsr) = double(Fused::Add, 1.0 + half * 2.0, 1.0, half);
        assert_eq!((result, mxcsr), (1.0 + 4.0 * half, Mxcsr::RESET | Mxcsr::PE), "a tie to even");
        let (result, _) = double(Fused::NegatedAdd, f64::MIN_POSITIVE, 1.0, 1.0 + half * 2.0);
        assert_eq!(result, 1.0 + half * 2.0);
        let (result, _) = double(Fused::Add, 1.0, half * (1.0 + 2.0 * half), 1.0);
        assert_eq!(result, 1.0 + 2.0 * half, "just above a tie");
    }

    /// A quiet NaN hides that infinity times zero is invalid (measured on an AMD Zen 3).
    #[test]
    fn nans_are_looked_for_in_the_factors_first() {
        let nan = |payload: u64| f64::from_bits(0x7ff8_0000_0000_0000 | payload);

        let (result, mxcsr) = double(Fused::Add, f64::INFINITY, 0.0, nan(3));
        assert_eq!((result.to_bits(), mxcsr), (nan(3).to_bits(), Mxcsr::RESET));
        let (result, _) = double(Fused::NegatedSub, 1.0, nan(2), nan(3));
        assert_eq!(result.to_bits(), nan(2).to_bits(), "with its sign");
        let (result, mxcsr) = double(Fused::Add, f64::INFINITY, 1.0, f64::NEG_INFINITY);
        assert_eq!((result.to_bits(), mxcsr), (0xfff8 << 48, Mxcsr::RESET | Mxcsr::IE));
    }

    #[test]
    fn lanes_alternate_from_the_lowest() {
        let all = |value: f64| [Xmm::from_halves(value.to_bits(), value.to_bits())];
        let operands = Operands { a: all(3.0), b: all(2.0), c: all(1.0) };
        let mut mxcsr = Mxcsr::RESET;

        let [result] = packed::<f64, 1>(Fused::AddSub, operands, &mut mxcsr).expect("masked");
        assert_eq!(result, Xmm::from_halves(5.0_f64.to_bits(), 7.0_f64.to_bits()));
        let [result] = packed::<f64, 1>(Fused::SubAdd, operands, &mut mxcsr).expect("masked");
        assert_eq!(result, Xmm::from_halves(7.0_f64.to_bits(), 5.0_f64.to_bits()));
    }
}
