//! CMPPS and its kin, COMISS, UCOMISS, COMISD, UCOMISD.
//!
//! Source: Intel SDM vol. 2, "CMPPD", "COMISD", "UCOMISD". Compared with an AMD Zen 4.

use super::binary::{Format, Word, denormal_operand, is_denormal, is_nan, is_signalling};
use super::binary_arith::order;
use super::mxcsr::{Control, Mxcsr, SimdException};
use super::round::FloatFlags;
use super::sse::each_lane;
use crate::vector::{Lanes, Xmm};
use core::cmp::Ordering;
use cutaway_isa::Rflags;

/// Whether quiet NaNs raise IE too, as signalling ones always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuietNan {
    /// COMISx, and the predicates LT, LE, NLT and NLE.
    Raises,
    /// UCOMISx, and the predicates EQ, UNORD, NEQ and ORD.
    Passes,
}

/// Whether nothing can be raised: no NaN and no denormal.
#[inline(always)]
fn is_plain<F: Format>(a: u64, b: u64) -> bool {
    let ordered = !is_nan::<F>(a) && !is_nan::<F>(b);
    ordered && !is_denormal::<F>(a) && !is_denormal::<F>(b)
}

/// The order of any two numbers; nothing if one is a NaN.
fn compare<F: Format>(
    a: u64,
    b: u64,
    quiet: QuietNan,
    mxcsr: Mxcsr,
    raised: &mut FloatFlags,
) -> Option<Ordering> {
    if is_nan::<F>(a) || is_nan::<F>(b) {
        let signalling = is_signalling::<F>(a) || is_signalling::<F>(b);
        if signalling || quiet == QuietNan::Raises {
            *raised |= FloatFlags::IE;
        }
        return None;
    }
    let a = denormal_operand::<F>(a, mxcsr, raised);
    let b = denormal_operand::<F>(b, mxcsr, raised);
    Some(order::<F>(a, b))
}

/// COMISx and UCOMISx: ZF, PF and CF of the comparison; OF, AF and SF become 0.
///
/// Greater: none; less: CF; equal: ZF; unordered: all three.
#[inline(always)]
pub fn comis<F: Format>(
    a: u64,
    b: u64,
    quiet: QuietNan,
    control: Control<'_>,
) -> Result<Rflags, SimdException> {
    if is_plain::<F>(a, b) {
        return Ok(flags(Some(order::<F>(a, b))));
    }
    let mxcsr = control.full()?;
    let mut raised = FloatFlags::empty();
    let order = compare::<F>(a, b, quiet, *mxcsr, &mut raised);
    mxcsr.raise(raised).map(|()| flags(order))
}

#[inline(always)]
fn flags(order: Option<Ordering>) -> Rflags {
    match order {
        Some(Ordering::Less) => Rflags::CF,
        Some(Ordering::Equal) => Rflags::ZF,
        Some(Ordering::Greater) => Rflags::empty(),
        None => Rflags::ZF.union(Rflags::PF).union(Rflags::CF),
    }
}

/// Whether predicate `imm` holds for an order. Bits 2:0: EQ LT LE UNORD, and their opposites;
/// bit 3: a NaN compares as equal and as less, UNORD becomes FALSE (SDM vol. 2A table 3-1,
/// "Comparison Predicate for CMPPD and CMPPS Instructions").
#[inline(always)]
fn holds(order: Option<Ordering>, imm: u8) -> bool {
    let positive = match imm & 11 {
        0 => order == Some(Ordering::Equal),
        1 => order == Some(Ordering::Less),
        2 => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        3 => order.is_none(),
        8 => matches!(order, None | Some(Ordering::Equal)),
        9 => matches!(order, None | Some(Ordering::Less)),
        10 => order != Some(Ordering::Greater),
        _ => false,
    };
    positive != (imm & 4 != 0)
}

/// Whether a quiet NaN raises IE: of bits 1:0, LT and LE do; bit 4 turns it over.
#[inline(always)]
fn raises(imm: u8) -> QuietNan {
    let signals = matches!(imm & 3, 1 | 2) != (imm & 16 != 0);
    if signals { QuietNan::Raises } else { QuietNan::Passes }
}

/// Whether the predicate holds for any two numbers.
fn careful<F: Format>(a: u64, b: u64, imm: u8, mxcsr: Mxcsr, raised: &mut FloatFlags) -> bool {
    holds(compare::<F>(a, b, raises(imm), mxcsr, raised), imm)
}

/// A mask of ones or zero.
#[inline(always)]
fn mask<F: Format>(holds: bool) -> F::Bits {
    F::Bits::narrow(if holds { u64::MAX } else { 0 })
}

/// CMPSS, CMPSD: all ones where predicate `imm` (below 32) holds, else zero, on the low bits of a `u64`.
#[inline(always)]
pub fn cmp<F: Format>(a: u64, b: u64, imm: u8, control: Control<'_>) -> Result<u64, SimdException> {
    if is_plain::<F>(a, b) {
        return Ok(mask::<F>(holds(Some(order::<F>(a, b)), imm)).widen());
    }
    let mxcsr = control.full()?;
    let mut raised = FloatFlags::empty();
    let holds = careful::<F>(a, b, imm, *mxcsr, &mut raised);
    mxcsr.raise(raised).map(|()| mask::<F>(holds).widen())
}

/// CMPPS, CMPPD: all ones in the lanes where the predicate holds.
#[inline(always)]
pub fn packed_cmp<F: Format>(
    a: Xmm,
    b: Xmm,
    imm: u8,
    control: Control<'_>,
) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let mut result = Lanes::<F::Bits>::split(a);
    let others = Lanes::<F::Bits>::split(b);
    let mut plain = true;
    for (lane, b) in result.as_mut().iter_mut().zip(others.as_ref()) {
        let (a, b) = (lane.widen(), b.widen());
        plain &= is_plain::<F>(a, b);
        *lane = mask::<F>(holds(Some(order::<F>(a, b)), imm));
    }
    if plain {
        return Ok(Lanes::<F::Bits>::join(result));
    }
    let mxcsr = control.mxcsr();
    each_lane::<F>(a, b, control.full()?, |_, a, b, raised| {
        mask::<F>(careful::<F>(a, b, imm, mxcsr, raised)).widen()
    })
}

#[cfg(test)]
mod tests {
    use super::{QuietNan, cmp, comis};
    use crate::float::{Control, Mxcsr, SimdException};
    use cutaway_isa::Rflags;

    const ONE: u64 = 0x3f80_0000;
    const QNAN: u64 = 0x7fc0_0000;

    #[test]
    fn a_quiet_nan_is_unordered_and_only_comis_minds() {
        let mut mxcsr = Mxcsr::RESET;
        let unordered = Rflags::ZF | Rflags::PF | Rflags::CF;

        assert_eq!(
            comis::<f32>(ONE, QNAN, QuietNan::Passes, Control::Full(&mut mxcsr)),
            Ok(unordered)
        );
        assert_eq!(mxcsr, Mxcsr::RESET);
        assert_eq!(
            comis::<f32>(ONE, QNAN, QuietNan::Raises, Control::Full(&mut mxcsr)),
            Ok(unordered)
        );
        assert_eq!(mxcsr, Mxcsr::RESET | Mxcsr::IE);
    }

    #[test]
    fn unmasked_invalid_faults_and_leaves_its_flag() {
        let mut mxcsr = Mxcsr::RESET - Mxcsr::IM;

        assert_eq!(cmp::<f32>(ONE, QNAN, 1, Control::Full(&mut mxcsr)), Err(SimdException));
        assert!(mxcsr.contains(Mxcsr::IE));
    }

    #[test]
    fn predicates_are_those_of_the_table() {
        let two = 0x4000_0000;
        let holds = |a, b| {
            let mask = |imm| {
                cmp::<f32>(a, b, imm, Control::Full(&mut Mxcsr::RESET.clone())) == Ok(0xffff_ffff)
            };
            core::array::from_fn::<bool, 8, _>(|imm| mask(imm as u8))
        };

        // EQ, LT, LE, UNORD, NEQ, NLT, NLE, ORD
        assert_eq!(holds(ONE, ONE), [true, false, true, false, false, true, false, true]);
        assert_eq!(holds(ONE, two), [false, true, true, false, true, false, false, true]);
        assert_eq!(holds(two, ONE), [false, false, false, false, true, true, true, true]);
        assert_eq!(holds(QNAN, ONE), [false, false, false, true, true, true, true, false]);
        assert_eq!(holds(0x8000_0000, 0), [true, false, true, false, false, true, false, true]);
    }
}
