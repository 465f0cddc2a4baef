//! Floating-point arithmetic, comparison, rounding and conversion, scalar and packed.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use super::{
    float_lanes, float_source, lanes, merge, read_low, scalar, scalar_imm, source, write_low,
};
use crate::float::sse::{self, Binary};
use crate::float::sse_compare::{self, QuietNan};
use crate::float::sse_convert::packed as lane;
use crate::float::sse_convert::{
    self, ToInteger, double_to_single, from_integer, single_to_double, to_integer,
};
use crate::float::sse_dot::{self, dot};
use crate::float::sse_estimate::{rcpps, rcpss, rsqrtps, rsqrtss};
use crate::meaning::sse::arith::{
    DOUBLE, SINGLE, comisd, comiss, compare, low, pd, ps, sd, single, ss,
};
use crate::meaning::sse::convert::{dword, to_gpr};
use crate::table::rows;
use crate::target::Alignment::Any;
use crate::target::{FloatImmRule, FloatRule, Step, Target, VectorSize};
use crate::vector::{Xmm, pand, pandn, por, psrldq, punpcklqdq, pxor};
use ToInteger::{Rounded, Truncated};
use cutaway_isa::Width::{self, Dword, Qword};

/// dst := op(src1, src2, imm) under MXCSR.
#[inline(always)]
fn float_imm<T: Target>(t: &mut T, name: &'static str, op: FloatImmRule) -> Step<T> {
    let a = t.read_wide(1, Any)?;
    let b = t.read_wide(2, Any)?;
    let result = t.float_lanes_imm(name, op, &a, &b)?;
    t.write_wide(0, Any, result)
}

/// VDPPS: each step in both lanes before the next.
fn dot_products<T: Target>(t: &mut T, name: &'static str) -> Step<T> {
    let a = t.read_wide(1, Any)?;
    let b = t.read_wide(2, Any)?;
    let products = t.float_lanes_imm("vdpps products", sse_dot::products::<f32>, &a, &b)?;
    let sums = t.float_lanes("vdpps sums", sse_dot::pair_sums::<f32>, &products, &products)?;
    let result = t.float_lanes_imm(name, sse_dot::total::<f32>, &sums, &sums)?;
    t.write_wide(0, Any, result)
}

/// dst := op(src, imm) under MXCSR; `op` is given the source twice.
#[inline(always)]
fn float_imm_source<T: Target>(t: &mut T, name: &'static str, op: FloatImmRule) -> Step<T> {
    let b = t.read_wide(1, Any)?;
    let result = t.float_lanes_imm(name, op, &b, &b)?;
    t.write_wide(0, Any, result)
}

/// VRCPSS, VRSQRTSS: an estimate; MXCSR is not looked at.
#[inline(always)]
fn estimate<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm) -> Xmm) -> Step<T> {
    let a = read_low(t, 1)?;
    let b = t.read_vector(2, VectorSize::Dword)?;
    let result = t.vector(name, op, &b, &b);
    let merged = merge(t, VectorSize::Dword, &a, &result);
    write_low(t, &merged)
}

/// VCVTSI2SS, VCVTSI2SD: from a general-purpose register or memory.
#[inline(always)]
fn from_gpr<T: Target>(
    t: &mut T,
    (from, to): (Width, VectorSize),
    name: &'static str,
    op: FloatRule,
) -> Step<T> {
    let a = read_low(t, 1)?;
    let value = t.read(2, from)?;
    let b = t.vector_from(from, &value);
    let result = t.float(name, op, &b, &b)?;
    let merged = merge(t, to, &a, &result);
    write_low(t, &merged)
}

/// Elements of 32 bits to as many of 64: VCVTPS2PD, VCVTDQ2PD. `op` looks at the low half of a
/// lane.
#[inline(always)]
fn doubled<T: Target>(t: &mut T, name: &'static str, op: FloatRule) -> Step<T> {
    let size = if t.is_256() { VectorSize::Xmm } else { VectorSize::Qword };
    let b = t.read_vector(1, size)?;
    let above = t.vector("high half", |b, _| psrldq(b, 8), &b, &b);
    let both = t.join_lanes(&b, &above);
    let result = t.float_lanes(name, op, &both, &both)?;
    t.write_wide(0, Any, result)
}

/// Elements of 64 bits to half as many bits: VCVTPD2PS, VCVT(T)PD2DQ. `op` leaves its results in
/// the low half of a lane.
#[inline(always)]
fn halved<T: Target>(t: &mut T, name: &'static str, op: FloatRule) -> Step<T> {
    let b = t.read_wide(1, Any)?;
    let result = t.float_lanes(name, op, &b, &b)?;
    let (low, high) = (t.low_lane(&result), t.high_lane(&result));
    let joined =
        if t.is_256() { t.vector("both low halves", punpcklqdq::<Xmm>, &low, &high) } else { low };
    write_low(t, &joined)
}

rows! {
    vex_scalar VEX_Vaddss_xmm_xmm_xmmm32 => scalar(SINGLE, "vaddss", |a, b, m| ss(Binary::Add, a, b, m));
    vex_scalar VEX_Vsubss_xmm_xmm_xmmm32 => scalar(SINGLE, "vsubss", |a, b, m| ss(Binary::Sub, a, b, m));
    vex_scalar VEX_Vmulss_xmm_xmm_xmmm32 => scalar(SINGLE, "vmulss", |a, b, m| ss(Binary::Mul, a, b, m));
    vex_scalar VEX_Vdivss_xmm_xmm_xmmm32 => scalar(SINGLE, "vdivss", |a, b, m| ss(Binary::Div, a, b, m));
    vex_scalar VEX_Vminss_xmm_xmm_xmmm32 => scalar(SINGLE, "vminss", |a, b, m| ss(Binary::Min, a, b, m));
    vex_scalar VEX_Vmaxss_xmm_xmm_xmmm32 => scalar(SINGLE, "vmaxss", |a, b, m| ss(Binary::Max, a, b, m));
    vex_scalar VEX_Vsqrtss_xmm_xmm_xmmm32 => scalar(SINGLE, "vsqrtss", |_, b, m| sse::sqrt::<f32>(single(b), m).map(low));
    vex_scalar VEX_Vaddsd_xmm_xmm_xmmm64 => scalar(DOUBLE, "vaddsd", |a, b, m| sd(Binary::Add, a, b, m));
    vex_scalar VEX_Vsubsd_xmm_xmm_xmmm64 => scalar(DOUBLE, "vsubsd", |a, b, m| sd(Binary::Sub, a, b, m));
    vex_scalar VEX_Vmulsd_xmm_xmm_xmmm64 => scalar(DOUBLE, "vmulsd", |a, b, m| sd(Binary::Mul, a, b, m));
    vex_scalar VEX_Vdivsd_xmm_xmm_xmmm64 => scalar(DOUBLE, "vdivsd", |a, b, m| sd(Binary::Div, a, b, m));
    vex_scalar VEX_Vminsd_xmm_xmm_xmmm64 => scalar(DOUBLE, "vminsd", |a, b, m| sd(Binary::Min, a, b, m));
    vex_scalar VEX_Vmaxsd_xmm_xmm_xmmm64 => scalar(DOUBLE, "vmaxsd", |a, b, m| sd(Binary::Max, a, b, m));
    vex_scalar VEX_Vsqrtsd_xmm_xmm_xmmm64 => scalar(DOUBLE, "vsqrtsd", |_, b, m| sse::sqrt::<f64>(b.low(), m).map(low));
    vex VEX_Vaddps_xmm_xmm_xmmm128 | VEX_Vaddps_ymm_ymm_ymmm256 => float_lanes("vaddps", |a, b, m| ps(Binary::Add, a, b, m));
    vex VEX_Vsubps_xmm_xmm_xmmm128 | VEX_Vsubps_ymm_ymm_ymmm256 => float_lanes("vsubps", |a, b, m| ps(Binary::Sub, a, b, m));
    vex VEX_Vmulps_xmm_xmm_xmmm128 | VEX_Vmulps_ymm_ymm_ymmm256 => float_lanes("vmulps", |a, b, m| ps(Binary::Mul, a, b, m));
    vex VEX_Vdivps_xmm_xmm_xmmm128 | VEX_Vdivps_ymm_ymm_ymmm256 => float_lanes("vdivps", |a, b, m| ps(Binary::Div, a, b, m));
    slow VEX_Vminps_xmm_xmm_xmmm128 | VEX_Vminps_ymm_ymm_ymmm256 => float_lanes("vminps", |a, b, m| ps(Binary::Min, a, b, m));
    slow VEX_Vmaxps_xmm_xmm_xmmm128 | VEX_Vmaxps_ymm_ymm_ymmm256 => float_lanes("vmaxps", |a, b, m| ps(Binary::Max, a, b, m));
    slow VEX_Vsqrtps_xmm_xmmm128 | VEX_Vsqrtps_ymm_ymmm256 => float_source("vsqrtps", |_, b, m| sse::packed_sqrt::<f32>(b, m));
    vex VEX_Vaddpd_xmm_xmm_xmmm128 | VEX_Vaddpd_ymm_ymm_ymmm256 => float_lanes("vaddpd", |a, b, m| pd(Binary::Add, a, b, m));
    vex VEX_Vsubpd_xmm_xmm_xmmm128 | VEX_Vsubpd_ymm_ymm_ymmm256 => float_lanes("vsubpd", |a, b, m| pd(Binary::Sub, a, b, m));
    vex VEX_Vmulpd_xmm_xmm_xmmm128 | VEX_Vmulpd_ymm_ymm_ymmm256 => float_lanes("vmulpd", |a, b, m| pd(Binary::Mul, a, b, m));
    vex VEX_Vdivpd_xmm_xmm_xmmm128 | VEX_Vdivpd_ymm_ymm_ymmm256 => float_lanes("vdivpd", |a, b, m| pd(Binary::Div, a, b, m));
    slow VEX_Vminpd_xmm_xmm_xmmm128 | VEX_Vminpd_ymm_ymm_ymmm256 => float_lanes("vminpd", |a, b, m| pd(Binary::Min, a, b, m));
    slow VEX_Vmaxpd_xmm_xmm_xmmm128 | VEX_Vmaxpd_ymm_ymm_ymmm256 => float_lanes("vmaxpd", |a, b, m| pd(Binary::Max, a, b, m));
    slow VEX_Vsqrtpd_xmm_xmmm128 | VEX_Vsqrtpd_ymm_ymmm256 => float_source("vsqrtpd", |_, b, m| sse::packed_sqrt::<f64>(b, m));
    slow VEX_Vaddsubps_xmm_xmm_xmmm128 | VEX_Vaddsubps_ymm_ymm_ymmm256 => float_lanes("vaddsubps", sse::addsub::<f32>);
    slow VEX_Vaddsubpd_xmm_xmm_xmmm128 | VEX_Vaddsubpd_ymm_ymm_ymmm256 => float_lanes("vaddsubpd", sse::addsub::<f64>);
    slow VEX_Vhaddps_xmm_xmm_xmmm128 | VEX_Vhaddps_ymm_ymm_ymmm256 => float_lanes("vhaddps", |a, b, m| sse::horizontal::<f32>(Binary::Add, a, b, m));
    slow VEX_Vhaddpd_xmm_xmm_xmmm128 | VEX_Vhaddpd_ymm_ymm_ymmm256 => float_lanes("vhaddpd", |a, b, m| sse::horizontal::<f64>(Binary::Add, a, b, m));
    slow VEX_Vhsubps_xmm_xmm_xmmm128 | VEX_Vhsubps_ymm_ymm_ymmm256 => float_lanes("vhsubps", |a, b, m| sse::horizontal::<f32>(Binary::Sub, a, b, m));
    slow VEX_Vhsubpd_xmm_xmm_xmmm128 | VEX_Vhsubpd_ymm_ymm_ymmm256 => float_lanes("vhsubpd", |a, b, m| sse::horizontal::<f64>(Binary::Sub, a, b, m));
    slow VEX_Vdpps_xmm_xmm_xmmm128_imm8 | VEX_Vdpps_ymm_ymm_ymmm256_imm8 => dot_products("vdpps");
    slow VEX_Vdppd_xmm_xmm_xmmm128_imm8 => float_imm("vdppd", dot::<f64>);
    slow VEX_Vroundss_xmm_xmm_xmmm32_imm8 => scalar_imm(SINGLE, "vroundss", |_, b, imm, m| sse_convert::round::<f32>(single(b), imm, m).map(low));
    slow VEX_Vroundsd_xmm_xmm_xmmm64_imm8 => scalar_imm(DOUBLE, "vroundsd", |_, b, imm, m| sse_convert::round::<f64>(b.low(), imm, m).map(low));
    slow VEX_Vroundps_xmm_xmmm128_imm8 | VEX_Vroundps_ymm_ymmm256_imm8 => float_imm_source("vroundps", |_, b, imm, m| sse_convert::packed_round::<f32>(b, imm, m));
    slow VEX_Vroundpd_xmm_xmmm128_imm8 | VEX_Vroundpd_ymm_ymmm256_imm8 => float_imm_source("vroundpd", |_, b, imm, m| sse_convert::packed_round::<f64>(b, imm, m));
    slow VEX_Vrcpps_xmm_xmmm128 | VEX_Vrcpps_ymm_ymmm256 => source("vrcpps", |_, b| rcpps(b));
    slow VEX_Vrsqrtps_xmm_xmmm128 | VEX_Vrsqrtps_ymm_ymmm256 => source("vrsqrtps", |_, b| rsqrtps(b));
    slow VEX_Vrcpss_xmm_xmm_xmmm32 => estimate("vrcpss", |_, b| low(rcpss(b.low() as u32).into()));
    slow VEX_Vrsqrtss_xmm_xmm_xmmm32 => estimate("vrsqrtss", |_, b| low(rsqrtss(b.low() as u32).into()));
    sparing VEX_Vcomiss_xmm_xmmm32 => compare(VectorSize::Dword, "vcomiss", |a, b, m| comiss(QuietNan::Raises, a, b, m));
    sparing VEX_Vcomisd_xmm_xmmm64 => compare(VectorSize::Qword, "vcomisd", |a, b, m| comisd(QuietNan::Raises, a, b, m));
    sparing VEX_Vucomiss_xmm_xmmm32 => compare(VectorSize::Dword, "vucomiss", |a, b, m| comiss(QuietNan::Passes, a, b, m));
    sparing VEX_Vucomisd_xmm_xmmm64 => compare(VectorSize::Qword, "vucomisd", |a, b, m| comisd(QuietNan::Passes, a, b, m));
    slow VEX_Vcmpss_xmm_xmm_xmmm32_imm8 => scalar_imm(SINGLE, "vcmpss", |a, b, imm, m| sse_compare::cmp::<f32>(single(a), single(b), imm & 31, m).map(low));
    slow VEX_Vcmpsd_xmm_xmm_xmmm64_imm8 => scalar_imm(DOUBLE, "vcmpsd", |a, b, imm, m| sse_compare::cmp::<f64>(a.low(), b.low(), imm & 31, m).map(low));
    slow VEX_Vcmpps_xmm_xmm_xmmm128_imm8 | VEX_Vcmpps_ymm_ymm_ymmm256_imm8 => float_imm("vcmpps", |a, b, imm, m| sse_compare::packed_cmp::<f32>(a, b, imm & 31, m));
    slow VEX_Vcmppd_xmm_xmm_xmmm128_imm8 | VEX_Vcmppd_ymm_ymm_ymmm256_imm8 => float_imm("vcmppd", |a, b, imm, m| sse_compare::packed_cmp::<f64>(a, b, imm & 31, m));
    vex VEX_Vandps_xmm_xmm_xmmm128 | VEX_Vandps_ymm_ymm_ymmm256 => lanes("vandps", pand::<Xmm>);
    vex VEX_Vandpd_xmm_xmm_xmmm128 | VEX_Vandpd_ymm_ymm_ymmm256 => lanes("vandpd", pand::<Xmm>);
    slow VEX_Vandnps_xmm_xmm_xmmm128 | VEX_Vandnps_ymm_ymm_ymmm256 => lanes("vandnps", pandn::<Xmm>);
    slow VEX_Vandnpd_xmm_xmm_xmmm128 | VEX_Vandnpd_ymm_ymm_ymmm256 => lanes("vandnpd", pandn::<Xmm>);
    slow VEX_Vorps_xmm_xmm_xmmm128 | VEX_Vorps_ymm_ymm_ymmm256 => lanes("vorps", por::<Xmm>);
    slow VEX_Vorpd_xmm_xmm_xmmm128 | VEX_Vorpd_ymm_ymm_ymmm256 => lanes("vorpd", por::<Xmm>);
    vex VEX_Vxorps_xmm_xmm_xmmm128 | VEX_Vxorps_ymm_ymm_ymmm256 => lanes("vxorps", pxor::<Xmm>);
    vex VEX_Vxorpd_xmm_xmm_xmmm128 | VEX_Vxorpd_ymm_ymm_ymmm256 => lanes("vxorpd", pxor::<Xmm>);

    slow VEX_Vcvtsi2ss_xmm_xmm_rm32 => from_gpr((Dword, VectorSize::Dword), "vcvtsi2ss", |a, _, m| from_integer::<f32>(dword(a), m).map(low));
    slow VEX_Vcvtsi2ss_xmm_xmm_rm64 => from_gpr((Qword, VectorSize::Dword), "vcvtsi2ss", |a, _, m| from_integer::<f32>(a.low() as i64, m).map(low));
    slow VEX_Vcvtsi2sd_xmm_xmm_rm32 => from_gpr((Dword, VectorSize::Qword), "vcvtsi2sd", |a, _, m| from_integer::<f64>(dword(a), m).map(low));
    slow VEX_Vcvtsi2sd_xmm_xmm_rm64 => from_gpr((Qword, VectorSize::Qword), "vcvtsi2sd", |a, _, m| from_integer::<f64>(a.low() as i64, m).map(low));
    sparing VEX_Vcvttss2si_r32_xmmm32 => to_gpr((VectorSize::Dword, Dword), "vcvttss2si", |a, _, m| to_integer::<f32>(single(a), Dword, Truncated, m).map(low));
    sparing VEX_Vcvttss2si_r64_xmmm32 => to_gpr((VectorSize::Dword, Qword), "vcvttss2si", |a, _, m| to_integer::<f32>(single(a), Qword, Truncated, m).map(low));
    sparing VEX_Vcvttsd2si_r32_xmmm64 => to_gpr((VectorSize::Qword, Dword), "vcvttsd2si", |a, _, m| to_integer::<f64>(a.low(), Dword, Truncated, m).map(low));
    sparing VEX_Vcvttsd2si_r64_xmmm64 => to_gpr((VectorSize::Qword, Qword), "vcvttsd2si", |a, _, m| to_integer::<f64>(a.low(), Qword, Truncated, m).map(low));
    slow VEX_Vcvtss2si_r32_xmmm32 => to_gpr((VectorSize::Dword, Dword), "vcvtss2si", |a, _, m| to_integer::<f32>(single(a), Dword, Rounded, m).map(low));
    slow VEX_Vcvtss2si_r64_xmmm32 => to_gpr((VectorSize::Dword, Qword), "vcvtss2si", |a, _, m| to_integer::<f32>(single(a), Qword, Rounded, m).map(low));
    slow VEX_Vcvtsd2si_r32_xmmm64 => to_gpr((VectorSize::Qword, Dword), "vcvtsd2si", |a, _, m| to_integer::<f64>(a.low(), Dword, Rounded, m).map(low));
    slow VEX_Vcvtsd2si_r64_xmmm64 => to_gpr((VectorSize::Qword, Qword), "vcvtsd2si", |a, _, m| to_integer::<f64>(a.low(), Qword, Rounded, m).map(low));
    slow VEX_Vcvtss2sd_xmm_xmm_xmmm32 => scalar((VectorSize::Dword, VectorSize::Qword), "vcvtss2sd", |_, b, m| single_to_double(single(b), m).map(low));
    slow VEX_Vcvtsd2ss_xmm_xmm_xmmm64 => scalar((VectorSize::Qword, VectorSize::Dword), "vcvtsd2ss", |_, b, m| double_to_single(b.low(), m).map(low));
    slow VEX_Vcvtps2pd_xmm_xmmm64 | VEX_Vcvtps2pd_ymm_xmmm128 => doubled("vcvtps2pd", |_, b, m| lane::singles_to_doubles(b.low(), m));
    slow VEX_Vcvtdq2pd_xmm_xmmm64 | VEX_Vcvtdq2pd_ymm_xmmm128 => doubled("vcvtdq2pd", |_, b, _| Ok(lane::dword_pair_to_doubles(b.low())));
    slow VEX_Vcvtpd2ps_xmm_xmmm128 | VEX_Vcvtpd2ps_xmm_ymmm256 => halved("vcvtpd2ps", |_, b, m| lane::doubles_to_singles(b, m).map(low));
    slow VEX_Vcvtpd2dq_xmm_xmmm128 | VEX_Vcvtpd2dq_xmm_ymmm256 => halved("vcvtpd2dq", |_, b, m| lane::doubles_to_dwords(b, Rounded, m).map(low));
    slow VEX_Vcvttpd2dq_xmm_xmmm128 | VEX_Vcvttpd2dq_xmm_ymmm256 => halved("vcvttpd2dq", |_, b, m| lane::doubles_to_dwords(b, Truncated, m).map(low));
    slow VEX_Vcvtdq2ps_xmm_xmmm128 | VEX_Vcvtdq2ps_ymm_ymmm256 => float_source("vcvtdq2ps", |_, b, m| lane::dwords_to_singles(b, m));
    slow VEX_Vcvtps2dq_xmm_xmmm128 | VEX_Vcvtps2dq_ymm_ymmm256 => float_source("vcvtps2dq", |_, b, m| lane::singles_to_dwords(b, Rounded, m));
    slow VEX_Vcvttps2dq_xmm_xmmm128 | VEX_Vcvttps2dq_ymm_ymmm256 => float_source("vcvttps2dq", |_, b, m| lane::singles_to_dwords(b, Truncated, m));
}
