//! Moves between XMM registers, general-purpose registers and memory.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic. Non-temporal hints have no effect.

use crate::exception::Fault;
use crate::exec::Exec;
use crate::paging::Access;
use crate::state::gpr;
use crate::table::rows;
use crate::target::{Step, Target, VectorSize};
use crate::vector::{Xmm, movmskpd, movmskps, movshdup, movsldup, pmovmskb, punpcklqdq};
use cutaway_isa::Width::{self, Byte, Dword, Qword};

/// MOVUPS, MOVAPS and their kin, in either direction.
#[inline(always)]
pub(in crate::meaning) fn mov<T: Target>(t: &mut T, size: VectorSize) -> Step<T> {
    let value = t.read_vector(1, size)?;
    t.write_vector(0, size, value)
}

/// MOVSS, MOVSD: from memory the upper part is cleared, from a register it stays.
#[inline(always)]
fn mov_scalar<T: Target>(t: &mut T, size: VectorSize) -> Step<T> {
    let value = t.read_vector(1, size)?;
    let to = if t.is_memory(1) { VectorSize::Xmm } else { size };
    t.write_vector(0, to, value)
}

/// MOVQ: 64 bits; a register's upper half is cleared.
#[inline(always)]
fn movq<T: Target>(t: &mut T) -> Step<T> {
    let value = t.read_vector(1, VectorSize::Qword)?;
    if t.is_memory(0) {
        return t.write_vector(0, VectorSize::Qword, value);
    }
    let cleared = t.vector("low half", |_, b| Xmm::from_halves(b.low(), 0), &value, &value);
    t.write_vector(0, VectorSize::Xmm, cleared)
}

/// MOVD, MOVQ from a general-purpose register or memory; the upper part is cleared.
#[inline(always)]
fn from_gpr<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let value = t.read(1, w)?;
    let vector = t.vector_from(w, &value);
    t.write_vector(0, VectorSize::Xmm, vector)
}

/// MOVD, MOVQ to a general-purpose register or memory.
#[inline(always)]
pub(in crate::meaning) fn to_gpr<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let vector = t.read_vector(1, VectorSize::Xmm)?;
    let value = t.vector_low(w, &vector);
    t.write(0, w, value)
}

/// MOVHPS, MOVHPD, MOVLHPS: the upper half from the low half of a register or from memory.
#[inline(always)]
fn to_high<T: Target>(t: &mut T) -> Step<T> {
    let a = t.read_vector(0, VectorSize::Xmm)?;
    let b = t.read_vector(1, VectorSize::Qword)?;
    let result = t.vector("both low halves", punpcklqdq::<Xmm>, &a, &b);
    t.write_vector(0, VectorSize::Xmm, result)
}

/// MOVHPS, MOVHPD to memory, MOVHLPS: the upper half into the low half or memory.
#[inline(always)]
pub(in crate::meaning) fn from_high<T: Target>(t: &mut T) -> Step<T> {
    let b = t.read_vector(1, VectorSize::Xmm)?;
    let high = t.vector("high half", |_, b| Xmm::from_halves(b.high(), 0), &b, &b);
    t.write_vector(0, VectorSize::Qword, high)
}

/// MOVSLDUP, MOVSHDUP, MOVDDUP.
#[inline(always)]
fn duplicate<T: Target>(
    t: &mut T,
    from: VectorSize,
    name: &'static str,
    op: fn(Xmm, Xmm) -> Xmm,
) -> Step<T> {
    super::of_source(t, from, name, op)
}

/// MOVMSKPS, MOVMSKPD, PMOVMSKB: sign bits into a general-purpose register.
#[inline(always)]
fn mask<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm) -> Xmm) -> Step<T> {
    let b = t.read_vector(1, VectorSize::Xmm)?;
    let signs = t.vector(name, op, &b, &b);
    let value = t.vector_low(Qword, &signs);
    t.write(0, Qword, value)
}

#[inline(always)]
fn low(value: u32) -> Xmm {
    Xmm::from_halves(value.into(), 0)
}

/// MOVNTI: a store from a general-purpose register.
#[inline(always)]
fn movnti<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let value = t.read(1, w)?;
    t.write(0, w, value)
}

/// MOVQ2DQ: an MMX register zero-extended.
#[inline(always)]
fn movq2dq<T: Target>(t: &mut T) -> Step<T> {
    t.begin_mmx()?;
    let value = t.read_vector(1, VectorSize::Qword)?;
    t.write_vector(0, VectorSize::Xmm, value)?;
    t.end_mmx();
    Ok(())
}

/// MOVDQ2Q: the low half into an MMX register.
#[inline(always)]
fn movdq2q<T: Target>(t: &mut T) -> Step<T> {
    t.begin_mmx()?;
    let value = t.read_vector(1, VectorSize::Qword)?;
    t.write_vector(0, VectorSize::Qword, value)?;
    t.end_mmx();
    Ok(())
}

/// MASKMOVDQU, MASKMOVQ: the bytes of operand 1 whose mask byte in operand 2 has its sign set
/// go to DS:rDI, all or none.
pub(in crate::meaning) fn masked_store(e: &mut Exec<'_>, count: usize) -> Result<(), Fault> {
    let value = e.read_vector(1, VectorSize::Xmm)?;
    let mask = e.read_vector(2, VectorSize::Xmm)?;
    let seg = e.segment();
    let w = e.address_width();
    let address = e.gpr(gpr::RDI, w);
    let chosen = |i: usize| mask.0[i] & 0x80 != 0;
    // All of it must be writable, chosen or not (measured on Zen 3).
    let linear = e.cpu.linear(seg, address, count as u64, Access::Write)?;
    e.cpu.check_alignment(linear, 8)?;
    let user = e.cpu.is_user();
    e.cpu.probe_linear(e.bus, linear, count as u64, Access::Write, user)?;
    for i in (0..count).filter(|&i| chosen(i)) {
        let at = address.wrapping_add(i as u64) & w.mask();
        e.store(seg, Byte, &at, value.0[i].into())?;
    }
    Ok(())
}

fn maskmovq(e: &mut Exec<'_>) -> Result<(), Fault> {
    e.begin_mmx()?;
    // Even where the store faults (measured on Zen 3).
    e.end_mmx();
    masked_store(e, 8)
}

/// PREFETCHh, PREFETCHW: a hint that never faults.
#[inline(always)]
fn hint<T: Target>(_: &mut T) -> Step<T> {
    Ok(())
}

/// SFENCE, LFENCE, MFENCE: one processor, in order.
#[inline(always)]
fn fence<T: Target>(_: &mut T) -> Step<T> {
    Ok(())
}

rows! {
    transfer Movups_xmm_xmmm128 | Movups_xmmm128_xmm => mov(VectorSize::Xmm);
    transfer Movupd_xmm_xmmm128 | Movupd_xmmm128_xmm => mov(VectorSize::Xmm);
    transfer Movdqu_xmm_xmmm128 | Movdqu_xmmm128_xmm | Lddqu_xmm_m128 => mov(VectorSize::Xmm);
    transfer Movaps_xmm_xmmm128 | Movaps_xmmm128_xmm | Movntps_m128_xmm => mov(VectorSize::XmmAligned);
    transfer Movapd_xmm_xmmm128 | Movapd_xmmm128_xmm | Movntpd_m128_xmm => mov(VectorSize::XmmAligned);
    transfer Movdqa_xmm_xmmm128 | Movdqa_xmmm128_xmm | Movntdq_m128_xmm | Movntdqa_xmm_m128 => mov(VectorSize::XmmAligned);
    transfer Movss_xmm_xmmm32 | Movss_xmmm32_xmm => mov_scalar(VectorSize::Dword);
    transfer Movsd_xmm_xmmm64 | Movsd_xmmm64_xmm => mov_scalar(VectorSize::Qword);
    transfer Movlps_xmm_m64 | Movlps_m64_xmm | Movlpd_xmm_m64 | Movlpd_m64_xmm => mov(VectorSize::Qword);
    transfer Movq_xmm_xmmm64 | Movq_xmmm64_xmm => movq();
    transfer Movd_xmm_rm32 => from_gpr(Dword);
    transfer Movq_xmm_rm64 => from_gpr(Qword);
    transfer Movd_rm32_xmm => to_gpr(Dword);
    transfer Movq_rm64_xmm => to_gpr(Qword);
    transfer Movhps_xmm_m64 | Movhpd_xmm_m64 | Movlhps_xmm_xmm => to_high();
    transfer Movhps_m64_xmm | Movhpd_m64_xmm | Movhlps_xmm_xmm => from_high();
    sparing Movsldup_xmm_xmmm128 => duplicate(VectorSize::XmmAligned, "movsldup", |_, b| movsldup(b));
    sparing Movshdup_xmm_xmmm128 => duplicate(VectorSize::XmmAligned, "movshdup", |_, b| movshdup(b));
    sparing Movddup_xmm_xmmm64 => duplicate(VectorSize::Qword, "movddup", |_, b| punpcklqdq(b, b));
    registers Movmskps_r32_xmm | Movmskps_r64_xmm => mask("movmskps", |_, b| low(movmskps(b)));
    registers Movmskpd_r32_xmm | Movmskpd_r64_xmm => mask("movmskpd", |_, b| low(movmskpd(b)));
    registers Pmovmskb_r32_xmm | Pmovmskb_r64_xmm => mask("pmovmskb", |_, b| low(pmovmskb(b)));
    transfer Movnti_m32_r32 => movnti(Dword);
    transfer Movnti_m64_r64 => movnti(Qword);
    slow Movq2dq_xmm_mm => movq2dq();
    slow Movdq2q_mm_xmm => movdq2q();
    exec Maskmovdqu_rDI_xmm_xmm => |e| masked_store(e, 16);
    exec Maskmovq_rDI_mm_mm => maskmovq;
    unary Prefetchnta_m8 | Prefetcht0_m8 | Prefetcht1_m8 | Prefetcht2_m8 | Prefetchw_m8 | Prefetch_m8
        | Prefetchwt1_m8 | Prefetchreserved3_m8 | Prefetchreserved4_m8 | Prefetchreserved5_m8
        | Prefetchreserved6_m8 | Prefetchreserved7_m8 => hint();
    registers Lfence | Lfence_E9 | Lfence_EA | Lfence_EB | Lfence_EC | Lfence_ED | Lfence_EE | Lfence_EF
        | Mfence | Mfence_F1 | Mfence_F2 | Mfence_F3 | Mfence_F4 | Mfence_F5 | Mfence_F6 | Mfence_F7
        | Sfence | Sfence_F9 | Sfence_FA | Sfence_FB | Sfence_FC | Sfence_FD | Sfence_FE | Sfence_FF => fence();
}
