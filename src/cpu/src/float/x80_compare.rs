//! FCOM FUCOM FTST FXAM: comparison and examination of 80-bit numbers.
//!
//! Source: Intel SDM vol. 2, "FCOM/FCOMP/FCOMPP", "FUCOM/FUCOMP/FUCOMPP", "FXAM"; vol. 1 table
//! 8-1, "Condition Code Interpretation".

use std::cmp::Ordering;

use super::round::FloatFlags;
use super::x80::{Class, F80};
use super::x80_round::{Context, Unpacked};
use super::x87_state::{SW_C0, SW_C1, SW_C2, SW_C3};

/// What a quiet NaN does to a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuietNans {
    /// It is invalid: FCOM, FTST, FCOMI.
    Invalid,
    /// It is merely unordered: FUCOM, FUCOMI.
    Allowed,
}

/// Compares `a` with `b`; `None` is unordered. Raises IE and DE. The outcome is left in the
/// condition codes too (see [`condition_codes`]), even with IE or DE unmasked, as measured.
pub fn compare(context: &mut Context, a: F80, b: F80, nans: QuietNans) -> Option<Ordering> {
    let outcome = order(context, a, b, nans);
    context.replaces = SW_C0 | SW_C1 | SW_C2 | SW_C3;
    context.status |= condition_codes(outcome);
    outcome
}

fn order(context: &mut Context, a: F80, b: F80, nans: QuietNans) -> Option<Ordering> {
    if let Some(_answer) = context.nan_or_unsupported_2(a, b) {
        if nans == QuietNans::Invalid {
            context.raise(FloatFlags::IE);
        }
        return None;
    }
    context.note_denormals(&[a, b]);
    if a.is_zero() && b.is_zero() {
        return Some(Ordering::Equal);
    }
    let magnitude = |value: F80| match value.class() {
        Class::Zero => (i32::MIN, 0),
        Class::Infinity => (i32::MAX, 0),
        _ => {
            let value = Unpacked::new(value);
            (value.exponent, value.significand)
        }
    };
    Some(match (a.is_negative(), b.is_negative()) {
        (false, false) => magnitude(a).cmp(&magnitude(b)),
        (true, true) => magnitude(b).cmp(&magnitude(a)),
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
    })
}

/// The condition codes of an outcome: C3 equal, C0 less, all three unordered. FCOMI puts them
/// into ZF (C3), PF (C2) and CF (C0).
#[must_use]
pub const fn condition_codes(outcome: Option<Ordering>) -> u16 {
    match outcome {
        Some(Ordering::Greater) => 0,
        Some(Ordering::Less) => SW_C0,
        Some(Ordering::Equal) => SW_C3,
        None => SW_C0 | SW_C2 | SW_C3,
    }
}

/// FXAM: the class of `a` in C3, C2, C0, its sign in C1. Of an `empty` register only the sign
/// is looked at.
#[must_use]
pub fn examine(a: F80, empty: bool) -> u16 {
    let class = match a.class() {
        _ if empty => SW_C3 | SW_C0,
        Class::Unsupported => 0,
        Class::QuietNan | Class::SignalingNan => SW_C0,
        Class::Normal => SW_C2,
        Class::Infinity => SW_C2 | SW_C0,
        Class::Zero => SW_C3,
        Class::Denormal => SW_C3 | SW_C2,
    };
    class | if a.is_negative() { SW_C1 } else { 0 }
}
