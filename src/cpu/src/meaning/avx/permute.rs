//! Packing, unpacking, shuffles, permutes, blends, broadcasts, widening, and single elements and
//! lanes in and out.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use super::{lanes, lanes_imm, read_low, source, source_imm, two_lanes_imm, write_low};
use crate::exception::Fault;
use crate::exec::Exec;
use crate::meaning::sse::shuffle::{extract, low};
use crate::table::rows;
use crate::target::Alignment::Any;
use crate::target::{Step, Target, VectorSize};
use crate::vector::{self, Xmm, Ymm};
use cutaway_isa::Width::{self, Byte, Dword, Qword, Word};

type Done = Result<(), Fault>;

/// VPMOVSX, VPMOVZX. The source has `from` bytes for 128 bits, twice as many for 256; `above`
/// brings down the elements of the upper lane.
#[inline(always)]
fn widen<T: Target>(
    t: &mut T,
    from: VectorSize,
    above: fn(Xmm, Xmm) -> Xmm,
    name: &'static str,
    op: fn(Xmm, Xmm) -> Xmm,
) -> Step<T> {
    let from = if t.is_256() { from.doubled() } else { from };
    let b = t.read_vector(1, from)?;
    let upper = t.vector("upper elements", above, &b, &b);
    let both = t.join_lanes(&b, &upper);
    let result = t.lanes(name, op, &both, &both);
    t.write_wide(0, Any, result)
}

/// VMOVDDUP of 64 bits.
#[inline(always)]
fn movddup<T: Target>(t: &mut T) -> Step<T> {
    let b = t.read_vector(1, VectorSize::Qword)?;
    let result = t.vector("vmovddup", |_, b| vector::punpcklqdq(b, b), &b, &b);
    write_low(t, &result)
}

/// The lowest element of a register or of memory, of `w` bits, in every place.
#[inline(always)]
fn broadcast<T: Target>(
    t: &mut T,
    w: Width,
    name: &'static str,
    op: fn(Xmm, Xmm) -> Xmm,
) -> Step<T> {
    let b = if t.is_memory(1) {
        let value = t.read(1, w)?;
        t.vector_from(w, &value)
    } else {
        read_low(t, 1)?
    };
    let lane = t.vector(name, op, &b, &b);
    let result = t.join_lanes(&lane, &lane);
    t.write_wide(0, Any, result)
}

/// VBROADCASTF128, VBROADCASTI128.
#[inline(always)]
fn broadcast_lane<T: Target>(t: &mut T) -> Step<T> {
    let b = t.read_vector(1, VectorSize::Xmm)?;
    let result = t.join_lanes(&b, &b);
    t.write_wide(0, Any, result)
}

/// VINSERTF128, VINSERTI128: bit 0 of the immediate chooses the lane.
#[inline(always)]
fn insert_lane<T: Target>(t: &mut T, name: &'static str) -> Step<T> {
    let a = t.read_wide(1, Any)?;
    let b = t.read_vector(2, VectorSize::Xmm)?;
    let b = t.widen(&b);
    let result = t.across(name, insert_low, &a, &b);
    t.write_wide(0, Any, result)
}

/// `a` with one lane replaced by the low lane of `b`.
fn insert_low(a: Ymm, b: Ymm, imm: u8) -> Ymm {
    if imm & 1 == 0 { Ymm([b.low(), a.high()]) } else { Ymm([a.low(), b.low()]) }
}

/// VEXTRACTF128, VEXTRACTI128, to a register or memory.
fn extract_lane(e: &mut Exec<'_>) -> Done {
    let b = e.read_wide(1, Any)?;
    let lane = b.0[usize::from(e.instruction.immediate8() & 1)];
    if e.operand_in_memory(0) {
        return e.write_vector(0, VectorSize::Xmm, lane);
    }
    e.write_register(0, Ymm::from_low(lane));
    Ok(())
}

/// VPINSR: src1 with an element from a general-purpose register or memory.
#[inline(always)]
fn insert<T: Target>(
    t: &mut T,
    w: Width,
    name: &'static str,
    op: fn(Xmm, Xmm, u8) -> Xmm,
) -> Step<T> {
    let a = read_low(t, 1)?;
    let value = t.read(2, w)?;
    let b = t.vector_from(w, &value);
    let result = t.vector_imm(name, op, &a, &b);
    write_low(t, &result)
}

/// VINSERTPS: bits 7:6 of the immediate choose the single of a register, not of memory.
#[inline(always)]
fn insertps<T: Target>(t: &mut T) -> Step<T> {
    let op: fn(Xmm, Xmm, u8) -> Xmm = if t.is_memory(2) {
        |a, b, imm| vector::insertps(a, b.low() as u32, imm)
    } else {
        |a, b, imm| vector::insertps(a, vector::pextrd(b, imm >> 6), imm)
    };
    let a = read_low(t, 1)?;
    let b = t.read_vector(2, VectorSize::Dword)?;
    let result = t.vector_imm("vinsertps", op, &a, &b);
    write_low(t, &result)
}

/// An operation of one source across its lanes.
#[inline(always)]
fn across_source<T: Target>(t: &mut T, name: &'static str, op: fn(Ymm, Ymm, u8) -> Ymm) -> Step<T> {
    let b = t.read_wide(1, Any)?;
    let result = t.across(name, op, &b, &b);
    t.write_wide(0, Any, result)
}

/// VPERMQ, VPERMPD: each qword of the result is one of the four of the source, by two bits of the
/// immediate.
fn permute_qwords(_: Ymm, b: Ymm, imm: u8) -> Ymm {
    let all = [b.low().low(), b.low().high(), b.high().low(), b.high().high()];
    let pick = |n: u32| all[usize::from(imm >> (2 * n) & 3)];
    Ymm([Xmm::from_halves(pick(0), pick(1)), Xmm::from_halves(pick(2), pick(3))])
}

/// VPERM2F128, VPERM2I128: each lane of the result is one of four, or zero.
fn permute_lanes(a: Ymm, b: Ymm, imm: u8) -> Ymm {
    let all = [a.low(), a.high(), b.low(), b.high()];
    let lane = |imm: u8| if imm & 8 == 0 { all[usize::from(imm & 3)] } else { Xmm::ZERO };
    Ymm([lane(imm), lane(imm >> 4)])
}

/// VPERMD, VPERMPS: each dword of the result is one of the eight of `b`, by the low three bits of
/// `index`'s.
fn permute_dwords(index: Ymm, b: Ymm, _: u8) -> Ymm {
    let dword = |of: Ymm, i: usize| vector::pextrd(of.0[i / 4], (i % 4) as u8);
    Ymm([0, 1].map(|lane| {
        vector::build::<u32, Xmm>(|i| dword(b, (dword(index, 4 * lane + i) & 7) as usize))
    }))
}

/// VBLENDVPS, VBLENDVPD, VPBLENDVB: the register in bits 7:4 of the immediate chooses.
fn blend_by_register(e: &mut Exec<'_>, op: fn(Xmm, Xmm, Xmm) -> Xmm) -> Done {
    let (a, b) = (e.read_wide(1, Any)?, e.read_wide(2, Any)?);
    let mask = e.read_wide(3, Any)?;
    let result = [0, 1].map(|lane| op(a.0[lane], b.0[lane], mask.0[lane]));
    e.write_wide(0, Any, Ymm(result))
}

/// A function of a lane and the immediate on both lanes, the upper one's immediate `shift` bits up.
#[inline(always)]
fn by_lane(op: fn(Xmm, Xmm, u8) -> Xmm, (a, b): (Ymm, Ymm), imm: u8, shift: u32) -> Ymm {
    Ymm([op(a.low(), b.low(), imm), op(a.high(), b.high(), imm >> shift)])
}

/// VZEROUPPER, VZEROALL: of the registers that the mode can name.
fn zero(e: &mut Exec<'_>, all: bool) -> Done {
    let count = if e.cpu.is_64_bit() { 16 } else { 8 };
    e.cpu.ymm_high[..count].fill(Xmm::ZERO);
    if all {
        e.cpu.xmm[..count].fill(Xmm::ZERO);
    }
    Ok(())
}

rows! {
    vex VEX_Vpunpcklbw_xmm_xmm_xmmm128 | VEX_Vpunpcklbw_ymm_ymm_ymmm256 => lanes("vpunpcklbw", vector::punpcklbw::<Xmm>);
    vex VEX_Vpunpcklwd_xmm_xmm_xmmm128 | VEX_Vpunpcklwd_ymm_ymm_ymmm256 => lanes("vpunpcklwd", vector::punpcklwd::<Xmm>);
    vex VEX_Vpunpckldq_xmm_xmm_xmmm128 | VEX_Vpunpckldq_ymm_ymm_ymmm256 => lanes("vpunpckldq", vector::punpckldq::<Xmm>);
    vex VEX_Vpunpcklqdq_xmm_xmm_xmmm128 | VEX_Vpunpcklqdq_ymm_ymm_ymmm256 => lanes("vpunpcklqdq", vector::punpcklqdq::<Xmm>);
    slow VEX_Vpunpckhbw_xmm_xmm_xmmm128 | VEX_Vpunpckhbw_ymm_ymm_ymmm256 => lanes("vpunpckhbw", vector::punpckhbw::<Xmm>);
    slow VEX_Vpunpckhwd_xmm_xmm_xmmm128 | VEX_Vpunpckhwd_ymm_ymm_ymmm256 => lanes("vpunpckhwd", vector::punpckhwd::<Xmm>);
    slow VEX_Vpunpckhdq_xmm_xmm_xmmm128 | VEX_Vpunpckhdq_ymm_ymm_ymmm256 => lanes("vpunpckhdq", vector::punpckhdq::<Xmm>);
    vex VEX_Vpunpckhqdq_xmm_xmm_xmmm128 | VEX_Vpunpckhqdq_ymm_ymm_ymmm256 => lanes("vpunpckhqdq", vector::punpckhqdq::<Xmm>);
    slow VEX_Vpacksswb_xmm_xmm_xmmm128 | VEX_Vpacksswb_ymm_ymm_ymmm256 => lanes("vpacksswb", vector::packsswb::<Xmm>);
    slow VEX_Vpackssdw_xmm_xmm_xmmm128 | VEX_Vpackssdw_ymm_ymm_ymmm256 => lanes("vpackssdw", vector::packssdw::<Xmm>);
    vex VEX_Vpackuswb_xmm_xmm_xmmm128 | VEX_Vpackuswb_ymm_ymm_ymmm256 => lanes("vpackuswb", vector::packuswb::<Xmm>);
    slow VEX_Vpackusdw_xmm_xmm_xmmm128 | VEX_Vpackusdw_ymm_ymm_ymmm256 => lanes("vpackusdw", vector::packusdw::<Xmm>);
    vex VEX_Vpshufb_xmm_xmm_xmmm128 | VEX_Vpshufb_ymm_ymm_ymmm256 => lanes("vpshufb", vector::pshufb::<Xmm>);
    vex VEX_Vunpcklps_xmm_xmm_xmmm128 | VEX_Vunpcklps_ymm_ymm_ymmm256 => lanes("vunpcklps", vector::punpckldq::<Xmm>);
    slow VEX_Vunpckhps_xmm_xmm_xmmm128 | VEX_Vunpckhps_ymm_ymm_ymmm256 => lanes("vunpckhps", vector::punpckhdq::<Xmm>);
    vex VEX_Vunpcklpd_xmm_xmm_xmmm128 | VEX_Vunpcklpd_ymm_ymm_ymmm256 => lanes("vunpcklpd", vector::punpcklqdq::<Xmm>);
    slow VEX_Vunpckhpd_xmm_xmm_xmmm128 | VEX_Vunpckhpd_ymm_ymm_ymmm256 => lanes("vunpckhpd", vector::punpckhqdq::<Xmm>);
    vex VEX_Vshufps_xmm_xmm_xmmm128_imm8 | VEX_Vshufps_ymm_ymm_ymmm256_imm8 => lanes_imm("vshufps", vector::shufps);
    vex VEX_Vshufpd_xmm_xmm_xmmm128_imm8 | VEX_Vshufpd_ymm_ymm_ymmm256_imm8 => two_lanes_imm("vshufpd", |a, b, imm| by_lane(vector::shufpd, (a, b), imm, 2));
    slow VEX_Vblendps_xmm_xmm_xmmm128_imm8 | VEX_Vblendps_ymm_ymm_ymmm256_imm8 | VEX_Vpblendd_xmm_xmm_xmmm128_imm8 | VEX_Vpblendd_ymm_ymm_ymmm256_imm8 => two_lanes_imm("vblendps", |a, b, imm| by_lane(vector::blendps, (a, b), imm, 4));
    slow VEX_Vblendpd_xmm_xmm_xmmm128_imm8 | VEX_Vblendpd_ymm_ymm_ymmm256_imm8 => two_lanes_imm("vblendpd", |a, b, imm| by_lane(vector::blendpd, (a, b), imm, 2));
    slow VEX_Vpblendw_xmm_xmm_xmmm128_imm8 | VEX_Vpblendw_ymm_ymm_ymmm256_imm8 => lanes_imm("vpblendw", vector::pblendw);
    vex VEX_Vpalignr_xmm_xmm_xmmm128_imm8 | VEX_Vpalignr_ymm_ymm_ymmm256_imm8 => lanes_imm("vpalignr", vector::palignr);
    slow VEX_Vpmovsxbw_xmm_xmmm64 | VEX_Vpmovsxbw_ymm_xmmm128 => widen(VectorSize::Qword, |b, _| vector::psrldq(b, 8), "vpmovsxbw", |_, b| vector::pmovsxbw(b));
    slow VEX_Vpmovzxbw_xmm_xmmm64 | VEX_Vpmovzxbw_ymm_xmmm128 => widen(VectorSize::Qword, |b, _| vector::psrldq(b, 8), "vpmovzxbw", |_, b| vector::pmovzxbw(b));
    slow VEX_Vpmovsxbd_xmm_xmmm32 | VEX_Vpmovsxbd_ymm_xmmm64 => widen(VectorSize::Dword, |b, _| vector::psrldq(b, 4), "vpmovsxbd", |_, b| vector::pmovsxbd(b));
    slow VEX_Vpmovzxbd_xmm_xmmm32 | VEX_Vpmovzxbd_ymm_xmmm64 => widen(VectorSize::Dword, |b, _| vector::psrldq(b, 4), "vpmovzxbd", |_, b| vector::pmovzxbd(b));
    slow VEX_Vpmovsxbq_xmm_xmmm16 | VEX_Vpmovsxbq_ymm_xmmm32 => widen(VectorSize::Word, |b, _| vector::psrldq(b, 2), "vpmovsxbq", |_, b| vector::pmovsxbq(b));
    slow VEX_Vpmovzxbq_xmm_xmmm16 | VEX_Vpmovzxbq_ymm_xmmm32 => widen(VectorSize::Word, |b, _| vector::psrldq(b, 2), "vpmovzxbq", |_, b| vector::pmovzxbq(b));
    slow VEX_Vpmovsxwd_xmm_xmmm64 | VEX_Vpmovsxwd_ymm_xmmm128 => widen(VectorSize::Qword, |b, _| vector::psrldq(b, 8), "vpmovsxwd", |_, b| vector::pmovsxwd(b));
    slow VEX_Vpmovzxwd_xmm_xmmm64 | VEX_Vpmovzxwd_ymm_xmmm128 => widen(VectorSize::Qword, |b, _| vector::psrldq(b, 8), "vpmovzxwd", |_, b| vector::pmovzxwd(b));
    slow VEX_Vpmovsxwq_xmm_xmmm32 | VEX_Vpmovsxwq_ymm_xmmm64 => widen(VectorSize::Dword, |b, _| vector::psrldq(b, 4), "vpmovsxwq", |_, b| vector::pmovsxwq(b));
    slow VEX_Vpmovzxwq_xmm_xmmm32 | VEX_Vpmovzxwq_ymm_xmmm64 => widen(VectorSize::Dword, |b, _| vector::psrldq(b, 4), "vpmovzxwq", |_, b| vector::pmovzxwq(b));
    slow VEX_Vpmovsxdq_xmm_xmmm64 | VEX_Vpmovsxdq_ymm_xmmm128 => widen(VectorSize::Qword, |b, _| vector::psrldq(b, 8), "vpmovsxdq", |_, b| vector::pmovsxdq(b));
    slow VEX_Vpmovzxdq_xmm_xmmm64 | VEX_Vpmovzxdq_ymm_xmmm128 => widen(VectorSize::Qword, |b, _| vector::psrldq(b, 8), "vpmovzxdq", |_, b| vector::pmovzxdq(b));
    vex_registers VEX_Vpshufd_xmm_xmmm128_imm8 | VEX_Vpshufd_ymm_ymmm256_imm8 => source_imm("vpshufd", |_, b, imm| vector::pshufd(b, imm));
    slow VEX_Vpshuflw_xmm_xmmm128_imm8 | VEX_Vpshuflw_ymm_ymmm256_imm8 => source_imm("vpshuflw", |_, b, imm| vector::pshuflw(b, imm));
    slow VEX_Vpshufhw_xmm_xmmm128_imm8 | VEX_Vpshufhw_ymm_ymmm256_imm8 => source_imm("vpshufhw", |_, b, imm| vector::pshufhw(b, imm));

    exec VEX_Vblendvps_xmm_xmm_xmmm128_xmm | VEX_Vblendvps_ymm_ymm_ymmm256_ymm => |e| blend_by_register(e, vector::blendvps);
    exec VEX_Vblendvpd_xmm_xmm_xmmm128_xmm | VEX_Vblendvpd_ymm_ymm_ymmm256_ymm => |e| blend_by_register(e, vector::blendvpd);
    exec VEX_Vpblendvb_xmm_xmm_xmmm128_xmm | VEX_Vpblendvb_ymm_ymm_ymmm256_ymm => |e| blend_by_register(e, vector::pblendvb);

    slow VEX_Vpermilps_xmm_xmm_xmmm128 | VEX_Vpermilps_ymm_ymm_ymmm256 => lanes("vpermilps", vector::permilps);
    slow VEX_Vpermilpd_xmm_xmm_xmmm128 | VEX_Vpermilpd_ymm_ymm_ymmm256 => lanes("vpermilpd", vector::permilpd);
    slow VEX_Vpermilps_xmm_xmmm128_imm8 | VEX_Vpermilps_ymm_ymmm256_imm8 => source_imm("vpermilps", |_, b, imm| vector::pshufd(b, imm));
    slow VEX_Vpermilpd_xmm_xmmm128_imm8 | VEX_Vpermilpd_ymm_ymmm256_imm8 => across_source("vpermilpd", |a, b, imm| by_lane(vector::shufpd, (a, b), imm, 2));
    slow VEX_Vpermq_ymm_ymmm256_imm8 => across_source("vpermq", permute_qwords);
    slow VEX_Vpermpd_ymm_ymmm256_imm8 => across_source("vpermpd", permute_qwords);
    slow VEX_Vpermd_ymm_ymm_ymmm256 | VEX_Vpermps_ymm_ymm_ymmm256 => two_lanes_imm("vpermd", permute_dwords);
    slow VEX_Vperm2f128_ymm_ymm_ymmm256_imm8 | VEX_Vperm2i128_ymm_ymm_ymmm256_imm8 => two_lanes_imm("vperm2i128", permute_lanes);

    slow VEX_Vmovsldup_xmm_xmmm128 | VEX_Vmovsldup_ymm_ymmm256 => source("vmovsldup", |_, b| vector::movsldup(b));
    slow VEX_Vmovshdup_xmm_xmmm128 | VEX_Vmovshdup_ymm_ymmm256 => source("vmovshdup", |_, b| vector::movshdup(b));
    slow VEX_Vmovddup_xmm_xmmm64 => movddup();
    slow VEX_Vmovddup_ymm_ymmm256 => source("vmovddup", |_, b| vector::punpcklqdq(b, b));

    slow VEX_Vbroadcastss_xmm_m32 | VEX_Vbroadcastss_xmm_xmm | VEX_Vpbroadcastd_xmm_xmmm32 | VEX_Vbroadcastss_ymm_m32 | VEX_Vbroadcastss_ymm_xmm | VEX_Vpbroadcastd_ymm_xmmm32 => broadcast(Dword, "vpbroadcastd", |_, b| vector::pshufd(b, 0));
    slow VEX_Vpbroadcastq_xmm_xmmm64 | VEX_Vbroadcastsd_ymm_m64 | VEX_Vbroadcastsd_ymm_xmm | VEX_Vpbroadcastq_ymm_xmmm64 => broadcast(Qword, "vpbroadcastq", |_, b| vector::punpcklqdq(b, b));
    slow VEX_Vpbroadcastb_xmm_xmmm8 | VEX_Vpbroadcastb_ymm_xmmm8 => broadcast(Byte, "vpbroadcastb", |_, b| vector::pshufb(b, Xmm::ZERO));
    slow VEX_Vpbroadcastw_xmm_xmmm16 | VEX_Vpbroadcastw_ymm_xmmm16 => broadcast(Word, "vpbroadcastw", |_, b| vector::pshufd(vector::pshuflw(b, 0), 0));
    slow VEX_Vbroadcastf128_ymm_m128 | VEX_Vbroadcasti128_ymm_m128 => broadcast_lane();
    slow VEX_Vinsertf128_ymm_ymm_xmmm128_imm8 => insert_lane("vinsertf128");
    slow VEX_Vinserti128_ymm_ymm_xmmm128_imm8 => insert_lane("vinserti128");
    exec VEX_Vextractf128_xmmm128_ymm_imm8 | VEX_Vextracti128_xmmm128_ymm_imm8 => extract_lane;

    slow VEX_Vpinsrb_xmm_xmm_r32m8_imm8 | VEX_Vpinsrb_xmm_xmm_r64m8_imm8 => insert(Byte, "vpinsrb", |a, b, imm| vector::pinsrb(a, b.low() as u8, imm));
    slow VEX_Vpinsrw_xmm_xmm_r32m16_imm8 | VEX_Vpinsrw_xmm_xmm_r64m16_imm8 => insert(Word, "vpinsrw", |a, b, imm| vector::pinsrw(a, b.low() as u16, imm));
    slow VEX_Vpinsrd_xmm_xmm_rm32_imm8 => insert(Dword, "vpinsrd", |a, b, imm| vector::pinsrd(a, b.low() as u32, imm));
    slow VEX_Vpinsrq_xmm_xmm_rm64_imm8 => insert(Qword, "vpinsrq", |a, b, imm| vector::pinsrq(a, b.low(), imm));
    slow VEX_Vinsertps_xmm_xmm_xmmm32_imm8 => insertps();
    slow VEX_Vpextrb_r32m8_xmm_imm8 | VEX_Vpextrb_r64m8_xmm_imm8 => extract(Byte, "vpextrb", |_, b, imm| low(vector::pextrb(b, imm).into()));
    slow VEX_Vpextrw_r32m16_xmm_imm8 | VEX_Vpextrw_r64m16_xmm_imm8 | VEX_Vpextrw_r32_xmm_imm8 | VEX_Vpextrw_r64_xmm_imm8 => extract(Word, "vpextrw", |_, b, imm| low(vector::pextrw(b, imm).into()));
    slow VEX_Vpextrd_rm32_xmm_imm8 | VEX_Vextractps_rm32_xmm_imm8 | VEX_Vextractps_r64m32_xmm_imm8 => extract(Dword, "vpextrd", |_, b, imm| low(vector::pextrd(b, imm).into()));
    slow VEX_Vpextrq_rm64_xmm_imm8 => extract(Qword, "vpextrq", |_, b, imm| low(vector::pextrq(b, imm)));

    exec VEX_Vzeroupper => |e| zero(e, false);
    exec VEX_Vzeroall => |e| zero(e, true);
}
