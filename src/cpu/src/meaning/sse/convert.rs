//! Conversions between integers, singles and doubles.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use super::float;
use crate::exception::Fault;
use crate::exec::Exec;
use crate::float::sse_convert::packed as lanes;
use crate::float::sse_convert::{
    ToInteger, double_to_single, from_integer, single_to_double, to_integer,
};
use crate::table::rows;
use crate::target::{FloatRule, Step, Target, VectorSize};
use crate::vector::Xmm;
use ToInteger::{Rounded, Truncated};
use cutaway_isa::Width::{self, Dword, Qword};

/// A value in the low bits of a register's.
#[inline(always)]
fn low(value: u64) -> Xmm {
    Xmm::from_halves(value, 0)
}

/// The low single.
#[inline(always)]
fn single(a: Xmm) -> u64 {
    a.low() & 0xffff_ffff
}

/// The low half as a signed dword.
#[inline(always)]
pub(in crate::meaning) fn dword(a: Xmm) -> i64 {
    i64::from(a.low() as i32)
}

/// CVT(T)SS2SI, CVT(T)SD2SI: to a general-purpose register.
#[inline(always)]
pub(in crate::meaning) fn to_gpr<T: Target>(
    t: &mut T,
    (from, to): (VectorSize, Width),
    name: &'static str,
    op: FloatRule,
) -> Step<T> {
    let b = t.read_vector(1, from)?;
    let result = t.float(name, op, &b, &b)?;
    let value = t.vector_low(to, &result);
    t.write(0, to, value)
}

/// CVTSI2SS, CVTSI2SD: from a general-purpose register or memory.
#[inline(always)]
fn from_gpr<T: Target>(
    t: &mut T,
    (from, to): (Width, VectorSize),
    name: &'static str,
    op: FloatRule,
) -> Step<T> {
    let value = t.read(1, from)?;
    let b = t.vector_from(from, &value);
    let result = t.float(name, op, &b, &b)?;
    t.write_vector(0, to, result)
}

/// A packed conversion; the destination's old value is of no concern.
#[inline(always)]
fn whole<T: Target>(t: &mut T, from: VectorSize, name: &'static str, op: FloatRule) -> Step<T> {
    float(t, (from, VectorSize::Xmm), name, op)
}

/// CVTPS2PI and its kin: between an XMM and an MMX register. No meaning for all targets, since it
/// changes the x87 tags and then may raise #XM (measured on Zen 3; a Zen 4 leaves the tags).
fn with_mmx(
    e: &mut Exec<'_>,
    (from, to): (VectorSize, VectorSize),
    name: &'static str,
    op: FloatRule,
) -> Result<(), Fault> {
    e.begin_mmx()?;
    let a = e.read_vector(0, to)?;
    let b = e.read_vector(1, from)?;
    e.end_mmx();
    let result = e.float(name, op, &a, &b)?;
    e.write_vector(0, to, result)
}

/// CVTPI2PS, CVTPI2PD: from memory they are no MMX instructions. (For CVTPI2PS the manual says
/// otherwise. Measured on Zen 4.)
fn from_mmx(
    e: &mut Exec<'_>,
    to: VectorSize,
    name: &'static str,
    op: FloatRule,
) -> Result<(), Fault> {
    if e.is_memory(1) {
        return float(e, (VectorSize::Qword, to), name, op);
    }
    with_mmx(e, (VectorSize::Qword, to), name, op)
}

rows! {
    to_register Cvtsi2ss_xmm_rm32 => from_gpr((Dword, VectorSize::Dword), "cvtsi2ss", |a, _, m| from_integer::<f32>(dword(a), m).map(low));
    to_register Cvtsi2ss_xmm_rm64 => from_gpr((Qword, VectorSize::Dword), "cvtsi2ss", |a, _, m| from_integer::<f32>(a.low() as i64, m).map(low));
    to_register Cvtsi2sd_xmm_rm32 => from_gpr((Dword, VectorSize::Qword), "cvtsi2sd", |a, _, m| from_integer::<f64>(dword(a), m).map(low));
    to_register Cvtsi2sd_xmm_rm64 => from_gpr((Qword, VectorSize::Qword), "cvtsi2sd", |a, _, m| from_integer::<f64>(a.low() as i64, m).map(low));
    to_register Cvttss2si_r32_xmmm32 => to_gpr((VectorSize::Dword, Dword), "cvttss2si", |a, _, m| to_integer::<f32>(single(a), Dword, Truncated, m).map(low));
    to_register Cvttss2si_r64_xmmm32 => to_gpr((VectorSize::Dword, Qword), "cvttss2si", |a, _, m| to_integer::<f32>(single(a), Qword, Truncated, m).map(low));
    to_register Cvttsd2si_r32_xmmm64 => to_gpr((VectorSize::Qword, Dword), "cvttsd2si", |a, _, m| to_integer::<f64>(a.low(), Dword, Truncated, m).map(low));
    to_register Cvttsd2si_r64_xmmm64 => to_gpr((VectorSize::Qword, Qword), "cvttsd2si", |a, _, m| to_integer::<f64>(a.low(), Qword, Truncated, m).map(low));
    sparing Cvtss2si_r32_xmmm32 => to_gpr((VectorSize::Dword, Dword), "cvtss2si", |a, _, m| to_integer::<f32>(single(a), Dword, Rounded, m).map(low));
    sparing Cvtss2si_r64_xmmm32 => to_gpr((VectorSize::Dword, Qword), "cvtss2si", |a, _, m| to_integer::<f32>(single(a), Qword, Rounded, m).map(low));
    sparing Cvtsd2si_r32_xmmm64 => to_gpr((VectorSize::Qword, Dword), "cvtsd2si", |a, _, m| to_integer::<f64>(a.low(), Dword, Rounded, m).map(low));
    sparing Cvtsd2si_r64_xmmm64 => to_gpr((VectorSize::Qword, Qword), "cvtsd2si", |a, _, m| to_integer::<f64>(a.low(), Qword, Rounded, m).map(low));
    to_register Cvtss2sd_xmm_xmmm32 => float((VectorSize::Dword, VectorSize::Qword), "cvtss2sd", |_, b, m| single_to_double(single(b), m).map(low));
    to_register Cvtsd2ss_xmm_xmmm64 => float((VectorSize::Qword, VectorSize::Dword), "cvtsd2ss", |_, b, m| double_to_single(b.low(), m).map(low));

    sparing Cvtps2pd_xmm_xmmm64 => whole(VectorSize::Qword, "cvtps2pd", |_, b, m| lanes::singles_to_doubles(b.low(), m));
    sparing Cvtpd2ps_xmm_xmmm128 => whole(VectorSize::XmmAligned, "cvtpd2ps", |_, b, m| lanes::doubles_to_singles(b, m).map(low));
    sparing Cvtdq2pd_xmm_xmmm64 => whole(VectorSize::Qword, "cvtdq2pd", |_, b, _| Ok(lanes::dword_pair_to_doubles(b.low())));
    sparing Cvtdq2ps_xmm_xmmm128 => whole(VectorSize::XmmAligned, "cvtdq2ps", |_, b, m| lanes::dwords_to_singles(b, m));
    sparing Cvtps2dq_xmm_xmmm128 => whole(VectorSize::XmmAligned, "cvtps2dq", |_, b, m| lanes::singles_to_dwords(b, Rounded, m));
    sparing Cvttps2dq_xmm_xmmm128 => whole(VectorSize::XmmAligned, "cvttps2dq", |_, b, m| lanes::singles_to_dwords(b, Truncated, m));
    slow Cvtpd2dq_xmm_xmmm128 => whole(VectorSize::XmmAligned, "cvtpd2dq", |_, b, m| lanes::doubles_to_dwords(b, Rounded, m).map(low));
    sparing Cvttpd2dq_xmm_xmmm128 => whole(VectorSize::XmmAligned, "cvttpd2dq", |_, b, m| lanes::doubles_to_dwords(b, Truncated, m).map(low));

    exec Cvtpi2ps_xmm_mmm64 => |e| from_mmx(e, VectorSize::Qword, "cvtpi2ps", |_, b, m| lanes::dword_pair_to_singles(b.low(), m).map(low));
    exec Cvtpi2pd_xmm_mmm64 => |e| from_mmx(e, VectorSize::Xmm, "cvtpi2pd", |_, b, _| Ok(lanes::dword_pair_to_doubles(b.low())));
    exec Cvtps2pi_mm_xmmm64 => |e| with_mmx(e, (VectorSize::Qword, VectorSize::Qword), "cvtps2pi", |_, b, m| lanes::single_pair_to_dwords(b.low(), Rounded, m).map(low));
    exec Cvttps2pi_mm_xmmm64 => |e| with_mmx(e, (VectorSize::Qword, VectorSize::Qword), "cvttps2pi", |_, b, m| lanes::single_pair_to_dwords(b.low(), Truncated, m).map(low));
    exec Cvtpd2pi_mm_xmmm128 => |e| with_mmx(e, (VectorSize::XmmAligned, VectorSize::Qword), "cvtpd2pi", |_, b, m| lanes::doubles_to_dwords(b, Rounded, m).map(low));
    exec Cvttpd2pi_mm_xmmm128 => |e| with_mmx(e, (VectorSize::XmmAligned, VectorSize::Qword), "cvttpd2pi", |_, b, m| lanes::doubles_to_dwords(b, Truncated, m).map(low));
}
