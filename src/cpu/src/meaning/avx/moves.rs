//! Moves between vector registers, general-purpose registers and memory; MXCSR; the string
//! comparisons.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic. Non-temporal hints have no effect.

use super::{merge, read_low, write_low};
use crate::exec::Exec;
use crate::meaning::sse::moves::{from_high, masked_store, mov, to_gpr};
use crate::meaning::sse::state::{ldmxcsr, stmxcsr};
use crate::meaning::sse::text::{estri, estrm, istri, istrm};
use crate::table::rows;
use crate::target::Alignment::{self, Any, Natural};
use crate::target::{Step, Target, VectorSize};
use crate::vector::{Xmm, movmskpd, movmskps, pmovmskb, punpcklqdq};
use cutaway_isa::Width::{self, Dword, Qword};

/// A whole register from or to a register or memory.
#[inline(always)]
fn whole<T: Target>(t: &mut T, alignment: Alignment) -> Step<T> {
    let value = t.read_wide(1, alignment)?;
    t.write_wide(0, alignment, value)
}

/// VMOVSS, VMOVSD, VMOVQ to a register: what lies above is cleared.
#[inline(always)]
fn load<T: Target>(t: &mut T, size: VectorSize) -> Step<T> {
    let value = t.read_vector(1, size)?;
    if size != VectorSize::Qword {
        return write_low(t, &value);
    }
    let cleared = t.vector("low half", |_, b| Xmm::from_halves(b.low(), 0), &value, &value);
    write_low(t, &cleared)
}

/// VMOVSS, VMOVSD between registers: the low bits from operand 2, the others from operand 1.
#[inline(always)]
fn merged<T: Target>(t: &mut T, size: VectorSize) -> Step<T> {
    let a = read_low(t, 1)?;
    let b = read_low(t, 2)?;
    let result = merge(t, size, &a, &b);
    write_low(t, &result)
}

/// VMOVD, VMOVQ from a general-purpose register or memory.
#[inline(always)]
fn from_gpr<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let value = t.read(1, w)?;
    let vector = t.vector_from(w, &value);
    write_low(t, &vector)
}

/// VMOVLPS, VMOVHPS, VMOVLHPS, VMOVHLPS to a register: operand 1 with one half replaced. Operand 2
/// has `from` bytes.
#[inline(always)]
fn half<T: Target>(
    t: &mut T,
    from: VectorSize,
    name: &'static str,
    op: fn(Xmm, Xmm) -> Xmm,
) -> Step<T> {
    let a = read_low(t, 1)?;
    let b = t.read_vector(2, from)?;
    let result = t.vector(name, op, &a, &b);
    write_low(t, &result)
}

/// VMOVMSKPS, VMOVMSKPD, VPMOVMSKB: sign bits into a general-purpose register; those of the upper
/// lane are joined on by `join`.
#[inline(always)]
fn mask<T: Target>(
    t: &mut T,
    name: &'static str,
    op: fn(Xmm, Xmm) -> Xmm,
    join: fn(Xmm, Xmm) -> Xmm,
) -> Step<T> {
    let b = t.read_wide(1, Any)?;
    let lanes = t.lanes(name, op, &b, &b);
    let (low, high) = (t.low_lane(&lanes), t.high_lane(&lanes));
    let signs = if t.is_256() { t.vector("joined", join, &low, &high) } else { low };
    let value = t.vector_low(Qword, &signs);
    t.write(0, Qword, value)
}

/// VMOVQ to memory, or to a register whose upper part is cleared.
#[inline(always)]
fn store_qword<T: Target>(t: &mut T) -> Step<T> {
    if t.is_memory(0) { mov(t, VectorSize::Qword) } else { load(t, VectorSize::Qword) }
}

/// VPCMPESTRM, VPCMPISTRM write all of YMM0.
fn clear_above_xmm0(e: &mut Exec<'_>) {
    e.cpu.ymm_high[0] = Xmm::ZERO;
}

#[inline(always)]
fn low(value: u32) -> Xmm {
    Xmm::from_halves(value.into(), 0)
}

/// Two masks side by side, the lower one of `bits`.
#[inline(always)]
fn side_by_side(low: Xmm, high: Xmm, bits: u32) -> Xmm {
    Xmm::from_halves(low.low() | high.low() << bits, 0)
}

rows! {
    vex_move VEX_Vmovups_xmm_xmmm128 | VEX_Vmovups_xmmm128_xmm | VEX_Vmovupd_xmm_xmmm128 | VEX_Vmovupd_xmmm128_xmm | VEX_Vmovdqu_xmm_xmmm128 | VEX_Vmovdqu_xmmm128_xmm | VEX_Vlddqu_xmm_m128 | VEX_Vmovups_ymm_ymmm256 | VEX_Vmovups_ymmm256_ymm | VEX_Vmovupd_ymm_ymmm256 | VEX_Vmovupd_ymmm256_ymm | VEX_Vmovdqu_ymm_ymmm256 | VEX_Vmovdqu_ymmm256_ymm | VEX_Vlddqu_ymm_m256 => whole(Any);
    vex_move VEX_Vmovaps_xmm_xmmm128 | VEX_Vmovaps_xmmm128_xmm | VEX_Vmovapd_xmm_xmmm128 | VEX_Vmovapd_xmmm128_xmm | VEX_Vmovdqa_xmm_xmmm128 | VEX_Vmovdqa_xmmm128_xmm | VEX_Vmovntps_m128_xmm | VEX_Vmovntpd_m128_xmm | VEX_Vmovntdq_m128_xmm | VEX_Vmovntdqa_xmm_m128 | VEX_Vmovaps_ymm_ymmm256 | VEX_Vmovaps_ymmm256_ymm | VEX_Vmovapd_ymm_ymmm256 | VEX_Vmovapd_ymmm256_ymm | VEX_Vmovdqa_ymm_ymmm256 | VEX_Vmovdqa_ymmm256_ymm | VEX_Vmovntps_m256_ymm | VEX_Vmovntpd_m256_ymm | VEX_Vmovntdq_m256_ymm | VEX_Vmovntdqa_ymm_m256 => whole(Natural);
    vex_move VEX_Vmovss_xmm_m32 => load(VectorSize::Dword);
    vex_move VEX_Vmovsd_xmm_m64 | VEX_Vmovq_xmm_xmmm64 => load(VectorSize::Qword);
    vex_move VEX_Vmovss_m32_xmm => mov(VectorSize::Dword);
    vex_move VEX_Vmovsd_m64_xmm | VEX_Vmovlps_m64_xmm | VEX_Vmovlpd_m64_xmm => mov(VectorSize::Qword);
    vex_scalar VEX_Vmovss_xmm_xmm_xmm | VEX_Vmovss_xmm_xmm_xmm_0F11 => merged(VectorSize::Dword);
    vex_scalar VEX_Vmovsd_xmm_xmm_xmm | VEX_Vmovsd_xmm_xmm_xmm_0F11 => merged(VectorSize::Qword);
    slow VEX_Vmovq_xmmm64_xmm => store_qword();
    sparing VEX_Vmovd_xmm_rm32 => from_gpr(Dword);
    sparing VEX_Vmovq_xmm_rm64 => from_gpr(Qword);
    sparing VEX_Vmovd_rm32_xmm => to_gpr(Dword);
    sparing VEX_Vmovq_rm64_xmm => to_gpr(Qword);
    slow VEX_Vmovlps_xmm_xmm_m64 | VEX_Vmovlpd_xmm_xmm_m64 => half(VectorSize::Qword, "low half into", |a, b| a.with_low_qword(b.low()));
    slow VEX_Vmovhlps_xmm_xmm_xmm => half(VectorSize::Xmm, "high half into low", |a, b| a.with_low_qword(b.high()));
    slow VEX_Vmovhps_xmm_xmm_m64 | VEX_Vmovhpd_xmm_xmm_m64 | VEX_Vmovlhps_xmm_xmm_xmm => half(VectorSize::Qword, "both low halves", punpcklqdq::<Xmm>);
    slow VEX_Vmovhps_m64_xmm | VEX_Vmovhpd_m64_xmm => from_high();
    vex_registers VEX_Vmovmskps_r32_xmm | VEX_Vmovmskps_r64_xmm | VEX_Vmovmskps_r32_ymm | VEX_Vmovmskps_r64_ymm => mask("vmovmskps", |_, b| low(movmskps(b)), |a, b| side_by_side(a, b, 4));
    vex_registers VEX_Vmovmskpd_r32_xmm | VEX_Vmovmskpd_r64_xmm | VEX_Vmovmskpd_r32_ymm | VEX_Vmovmskpd_r64_ymm => mask("vmovmskpd", |_, b| low(movmskpd(b)), |a, b| side_by_side(a, b, 2));
    vex_registers VEX_Vpmovmskb_r32_xmm | VEX_Vpmovmskb_r64_xmm | VEX_Vpmovmskb_r32_ymm | VEX_Vpmovmskb_r64_ymm => mask("vpmovmskb", |_, b| low(pmovmskb(b)), |a, b| side_by_side(a, b, 16));
    exec VEX_Vmaskmovdqu_rDI_xmm_xmm => |e| masked_store(e, 16);
    exec VEX_Vldmxcsr_m32 => ldmxcsr;
    exec VEX_Vstmxcsr_m32 => stmxcsr;
    exec VEX_Vpcmpestri_xmm_xmmm128_imm8 => |e| estri(e, Dword);
    exec VEX_Vpcmpestri64_xmm_xmmm128_imm8 => |e| estri(e, Qword);
    exec VEX_Vpcmpestrm_xmm_xmmm128_imm8 => |e| estrm(e, Dword).map(|()| clear_above_xmm0(e));
    exec VEX_Vpcmpestrm64_xmm_xmmm128_imm8 => |e| estrm(e, Qword).map(|()| clear_above_xmm0(e));
    exec VEX_Vpcmpistri_xmm_xmmm128_imm8 => istri;
    exec VEX_Vpcmpistrm_xmm_xmmm128_imm8 => |e| istrm(e).map(|()| clear_above_xmm0(e));
}
