//! Floating-point arithmetic, comparison and rounding, scalar and packed.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use super::{float, of_source, packed};
use crate::float::sse::{self, Binary};
use crate::float::sse_compare::{self, QuietNan};
use crate::float::sse_dot::dot;
use crate::float::sse_estimate::{rcpps, rcpss, rsqrtps, rsqrtss};
use crate::float::{Control, SimdException, sse_convert};
use crate::table::rows;
use crate::target::{FloatImmRule, FloatRule, Step, Target, VectorSize};
use crate::vector::{Xmm, pand, pandn, por, pxor};

/// Both operands' and the result's size: a scalar single.
pub(in crate::meaning) const SINGLE: (VectorSize, VectorSize) =
    (VectorSize::Dword, VectorSize::Dword);
/// A scalar double.
pub(in crate::meaning) const DOUBLE: (VectorSize, VectorSize) =
    (VectorSize::Qword, VectorSize::Qword);
/// A whole register; memory must be aligned.
const PACKED: (VectorSize, VectorSize) = (VectorSize::XmmAligned, VectorSize::Xmm);

/// A scalar in the low bits of a register's value.
#[inline(always)]
pub(in crate::meaning) fn low(value: u64) -> Xmm {
    Xmm::from_halves(value, 0)
}

/// The low single.
#[inline(always)]
pub(in crate::meaning) fn single(a: Xmm) -> u64 {
    a.low() & 0xffff_ffff
}

#[inline(always)]
pub(in crate::meaning) fn ss(
    op: Binary,
    a: Xmm,
    b: Xmm,
    control: Control<'_>,
) -> Result<Xmm, SimdException> {
    sse::scalar::<f32>(op, single(a), single(b), control).map(low)
}

#[inline(always)]
pub(in crate::meaning) fn sd(
    op: Binary,
    a: Xmm,
    b: Xmm,
    control: Control<'_>,
) -> Result<Xmm, SimdException> {
    sse::scalar::<f64>(op, a.low(), b.low(), control).map(low)
}

#[inline(always)]
pub(in crate::meaning) fn ps(
    op: Binary,
    a: Xmm,
    b: Xmm,
    control: Control<'_>,
) -> Result<Xmm, SimdException> {
    sse::packed::<f32>(op, a, b, control)
}

#[inline(always)]
pub(in crate::meaning) fn pd(
    op: Binary,
    a: Xmm,
    b: Xmm,
    control: Control<'_>,
) -> Result<Xmm, SimdException> {
    sse::packed::<f64>(op, a, b, control)
}

/// dst := op(dst, src, imm) under MXCSR.
#[inline(always)]
fn float_imm<T: Target>(
    t: &mut T,
    (from, to): (VectorSize, VectorSize),
    name: &'static str,
    op: FloatImmRule,
) -> Step<T> {
    let a = t.read_vector(0, VectorSize::Xmm)?;
    let b = t.read_vector(1, from)?;
    let result = t.float_imm(name, op, &a, &b)?;
    t.write_vector(0, to, result)
}

/// RCPSS, RSQRTSS: an estimate; MXCSR is not looked at.
#[inline(always)]
fn estimate<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm) -> Xmm) -> Step<T> {
    let b = t.read_vector(1, VectorSize::Dword)?;
    let result = t.vector(name, op, &b, &b);
    t.write_vector(0, VectorSize::Dword, result)
}

/// COMISx, UCOMISx: ZF PF CF of the comparison; OF SF AF become 0.
#[inline(always)]
pub(in crate::meaning) fn compare<T: Target>(
    t: &mut T,
    from: VectorSize,
    name: &'static str,
    op: FloatRule,
) -> Step<T> {
    let a = t.read_vector(0, from)?;
    let b = t.read_vector(1, from)?;
    let flags = t.float(name, op, &a, &b)?;
    t.set_flags_from(&flags);
    Ok(())
}

#[inline(always)]
pub(in crate::meaning) fn comiss(
    q: QuietNan,
    a: Xmm,
    b: Xmm,
    control: Control<'_>,
) -> Result<Xmm, SimdException> {
    sse_compare::comis::<f32>(single(a), single(b), q, control).map(|flags| low(flags.bits()))
}

#[inline(always)]
pub(in crate::meaning) fn comisd(
    q: QuietNan,
    a: Xmm,
    b: Xmm,
    control: Control<'_>,
) -> Result<Xmm, SimdException> {
    sse_compare::comis::<f64>(a.low(), b.low(), q, control).map(|flags| low(flags.bits()))
}

rows! {
    to_register Addss_xmm_xmmm32 => float(SINGLE, "addss", |a, b, m| ss(Binary::Add, a, b, m));
    to_register Subss_xmm_xmmm32 => float(SINGLE, "subss", |a, b, m| ss(Binary::Sub, a, b, m));
    to_register Mulss_xmm_xmmm32 => float(SINGLE, "mulss", |a, b, m| ss(Binary::Mul, a, b, m));
    to_register Divss_xmm_xmmm32 => float(SINGLE, "divss", |a, b, m| ss(Binary::Div, a, b, m));
    to_register Minss_xmm_xmmm32 => float(SINGLE, "minss", |a, b, m| ss(Binary::Min, a, b, m));
    to_register Maxss_xmm_xmmm32 => float(SINGLE, "maxss", |a, b, m| ss(Binary::Max, a, b, m));
    to_register Sqrtss_xmm_xmmm32 => float(SINGLE, "sqrtss", |_, b, m| sse::sqrt::<f32>(single(b), m).map(low));
    to_register Addsd_xmm_xmmm64 => float(DOUBLE, "addsd", |a, b, m| sd(Binary::Add, a, b, m));
    to_register Subsd_xmm_xmmm64 => float(DOUBLE, "subsd", |a, b, m| sd(Binary::Sub, a, b, m));
    to_register Mulsd_xmm_xmmm64 => float(DOUBLE, "mulsd", |a, b, m| sd(Binary::Mul, a, b, m));
    to_register Divsd_xmm_xmmm64 => float(DOUBLE, "divsd", |a, b, m| sd(Binary::Div, a, b, m));
    to_register Minsd_xmm_xmmm64 => float(DOUBLE, "minsd", |a, b, m| sd(Binary::Min, a, b, m));
    to_register Maxsd_xmm_xmmm64 => float(DOUBLE, "maxsd", |a, b, m| sd(Binary::Max, a, b, m));
    to_register Sqrtsd_xmm_xmmm64 => float(DOUBLE, "sqrtsd", |_, b, m| sse::sqrt::<f64>(b.low(), m).map(low));
    to_register Addps_xmm_xmmm128 => float(PACKED, "addps", |a, b, m| ps(Binary::Add, a, b, m));
    to_register Subps_xmm_xmmm128 => float(PACKED, "subps", |a, b, m| ps(Binary::Sub, a, b, m));
    to_register Mulps_xmm_xmmm128 => float(PACKED, "mulps", |a, b, m| ps(Binary::Mul, a, b, m));
    to_register Divps_xmm_xmmm128 => float(PACKED, "divps", |a, b, m| ps(Binary::Div, a, b, m));
    sparing Minps_xmm_xmmm128 => float(PACKED, "minps", |a, b, m| ps(Binary::Min, a, b, m));
    sparing Maxps_xmm_xmmm128 => float(PACKED, "maxps", |a, b, m| ps(Binary::Max, a, b, m));
    sparing Sqrtps_xmm_xmmm128 => float(PACKED, "sqrtps", |_, b, m| sse::packed_sqrt::<f32>(b, m));
    to_register Addpd_xmm_xmmm128 => float(PACKED, "addpd", |a, b, m| pd(Binary::Add, a, b, m));
    to_register Subpd_xmm_xmmm128 => float(PACKED, "subpd", |a, b, m| pd(Binary::Sub, a, b, m));
    to_register Mulpd_xmm_xmmm128 => float(PACKED, "mulpd", |a, b, m| pd(Binary::Mul, a, b, m));
    to_register Divpd_xmm_xmmm128 => float(PACKED, "divpd", |a, b, m| pd(Binary::Div, a, b, m));
    sparing Minpd_xmm_xmmm128 => float(PACKED, "minpd", |a, b, m| pd(Binary::Min, a, b, m));
    sparing Maxpd_xmm_xmmm128 => float(PACKED, "maxpd", |a, b, m| pd(Binary::Max, a, b, m));
    sparing Sqrtpd_xmm_xmmm128 => float(PACKED, "sqrtpd", |_, b, m| sse::packed_sqrt::<f64>(b, m));

    sparing Addsubps_xmm_xmmm128 => float(PACKED, "addsubps", sse::addsub::<f32>);
    sparing Addsubpd_xmm_xmmm128 => float(PACKED, "addsubpd", sse::addsub::<f64>);
    sparing Haddps_xmm_xmmm128 => float(PACKED, "haddps", |a, b, m| sse::horizontal::<f32>(Binary::Add, a, b, m));
    sparing Haddpd_xmm_xmmm128 => float(PACKED, "haddpd", |a, b, m| sse::horizontal::<f64>(Binary::Add, a, b, m));
    sparing Hsubps_xmm_xmmm128 => float(PACKED, "hsubps", |a, b, m| sse::horizontal::<f32>(Binary::Sub, a, b, m));
    sparing Hsubpd_xmm_xmmm128 => float(PACKED, "hsubpd", |a, b, m| sse::horizontal::<f64>(Binary::Sub, a, b, m));
    slow Dpps_xmm_xmmm128_imm8 => float_imm(PACKED, "dpps", dot::<f32>);
    slow Dppd_xmm_xmmm128_imm8 => float_imm(PACKED, "dppd", dot::<f64>);

    slow Roundss_xmm_xmmm32_imm8 => float_imm(SINGLE, "roundss", |_, b, imm, m| sse_convert::round::<f32>(single(b), imm, m).map(low));
    slow Roundsd_xmm_xmmm64_imm8 => float_imm(DOUBLE, "roundsd", |_, b, imm, m| sse_convert::round::<f64>(b.low(), imm, m).map(low));
    slow Roundps_xmm_xmmm128_imm8 => float_imm(PACKED, "roundps", |_, b, imm, m| sse_convert::packed_round::<f32>(b, imm, m));
    slow Roundpd_xmm_xmmm128_imm8 => float_imm(PACKED, "roundpd", |_, b, imm, m| sse_convert::packed_round::<f64>(b, imm, m));

    slow Rcpps_xmm_xmmm128 => of_source(VectorSize::XmmAligned, "rcpps", |_, b| rcpps(b));
    slow Rsqrtps_xmm_xmmm128 => of_source(VectorSize::XmmAligned, "rsqrtps", |_, b| rsqrtps(b));
    slow Rcpss_xmm_xmmm32 => estimate("rcpss", |_, b| low(rcpss(b.low() as u32).into()));
    slow Rsqrtss_xmm_xmmm32 => estimate("rsqrtss", |_, b| low(rsqrtss(b.low() as u32).into()));

    to_register Comiss_xmm_xmmm32 => compare(VectorSize::Dword, "comiss", |a, b, m| comiss(QuietNan::Raises, a, b, m));
    to_register Comisd_xmm_xmmm64 => compare(VectorSize::Qword, "comisd", |a, b, m| comisd(QuietNan::Raises, a, b, m));
    to_register Ucomiss_xmm_xmmm32 => compare(VectorSize::Dword, "ucomiss", |a, b, m| comiss(QuietNan::Passes, a, b, m));
    to_register Ucomisd_xmm_xmmm64 => compare(VectorSize::Qword, "ucomisd", |a, b, m| comisd(QuietNan::Passes, a, b, m));
    sparing Cmpss_xmm_xmmm32_imm8 => float_imm(SINGLE, "cmpss", |a, b, imm, m| sse_compare::cmp::<f32>(single(a), single(b), imm & 7, m).map(low));
    sparing Cmpsd_xmm_xmmm64_imm8 => float_imm(DOUBLE, "cmpsd", |a, b, imm, m| sse_compare::cmp::<f64>(a.low(), b.low(), imm & 7, m).map(low));
    sparing Cmpps_xmm_xmmm128_imm8 => float_imm(PACKED, "cmpps", |a, b, imm, m| sse_compare::packed_cmp::<f32>(a, b, imm & 7, m));
    sparing Cmppd_xmm_xmmm128_imm8 => float_imm(PACKED, "cmppd", |a, b, imm, m| sse_compare::packed_cmp::<f64>(a, b, imm & 7, m));

    to_register Andps_xmm_xmmm128 => packed("andps", pand::<Xmm>);
    to_register Andpd_xmm_xmmm128 => packed("andpd", pand::<Xmm>);
    sparing Andnps_xmm_xmmm128 => packed("andnps", pandn::<Xmm>);
    sparing Andnpd_xmm_xmmm128 => packed("andnpd", pandn::<Xmm>);
    sparing Orps_xmm_xmmm128 => packed("orps", por::<Xmm>);
    sparing Orpd_xmm_xmmm128 => packed("orpd", por::<Xmm>);
    to_register Xorps_xmm_xmmm128 => packed("xorps", pxor::<Xmm>);
    to_register Xorpd_xmm_xmmm128 => packed("xorpd", pxor::<Xmm>);
}
