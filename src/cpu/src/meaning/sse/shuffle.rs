//! Packing, unpacking, shuffles, blends, widening, and single lanes in and out.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use super::{of_source, packed, packed_imm};
use crate::exception::Fault;
use crate::exec::Exec;
use crate::table::rows;
use crate::target::{Step, Target, VectorSize};
use crate::vector::{self, Xmm};
use cutaway_isa::Width::{self, Byte, Dword, Qword, Word};

/// PSHUFD and its kin: lanes of the source picked by the immediate.
#[inline(always)]
fn pick<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm, u8) -> Xmm) -> Step<T> {
    let b = t.read_vector(1, VectorSize::XmmAligned)?;
    let result = t.vector_imm(name, op, &b, &b);
    t.write_vector(0, VectorSize::Xmm, result)
}

/// PINSR: a lane from a general-purpose register or memory.
#[inline(always)]
fn insert<T: Target>(
    t: &mut T,
    w: Width,
    name: &'static str,
    op: fn(Xmm, Xmm, u8) -> Xmm,
) -> Step<T> {
    let a = t.read_vector(0, VectorSize::Xmm)?;
    let value = t.read(1, w)?;
    let b = t.vector_from(w, &value);
    let result = t.vector_imm(name, op, &a, &b);
    t.write_vector(0, VectorSize::Xmm, result)
}

/// PEXTR: a lane into a general-purpose register, zero-extended, or into memory.
#[inline(always)]
pub(in crate::meaning) fn extract<T: Target>(
    t: &mut T,
    w: Width,
    name: &'static str,
    op: fn(Xmm, Xmm, u8) -> Xmm,
) -> Step<T> {
    let b = t.read_vector(1, VectorSize::Xmm)?;
    let lane = t.vector_imm(name, op, &b, &b);
    let w = if t.is_memory(0) { w } else { Qword };
    let value = t.vector_low(w, &lane);
    t.write(0, w, value)
}

/// INSERTPS: bits 7:6 of the immediate choose the single of a register, not of memory.
#[inline(always)]
fn insertps<T: Target>(t: &mut T) -> Step<T> {
    let op: fn(Xmm, Xmm, u8) -> Xmm = if t.is_memory(1) {
        |a, b, imm| vector::insertps(a, b.low() as u32, imm)
    } else {
        |a, b, imm| vector::insertps(a, vector::pextrd(b, imm >> 6), imm)
    };
    let a = t.read_vector(0, VectorSize::Xmm)?;
    let b = t.read_vector(1, VectorSize::Dword)?;
    let result = t.vector_imm("insertps", op, &a, &b);
    t.write_vector(0, VectorSize::Xmm, result)
}

/// PBLENDVB, BLENDVPS, BLENDVPD: XMM0 chooses.
fn blend_by_xmm0(e: &mut Exec<'_>, op: fn(Xmm, Xmm, Xmm) -> Xmm) -> Result<(), Fault> {
    let a = e.read_vector(0, VectorSize::Xmm)?;
    let b = e.read_vector(1, VectorSize::XmmAligned)?;
    let mask = e.cpu.xmm[0];
    e.write_vector(0, VectorSize::Xmm, op(a, b, mask))
}

#[inline(always)]
pub(in crate::meaning) fn low(value: u64) -> Xmm {
    Xmm::from_halves(value, 0)
}

rows! {
    to_register Punpcklbw_xmm_xmmm128 => packed("punpcklbw", vector::punpcklbw::<Xmm>);
    to_register Punpcklwd_xmm_xmmm128 => packed("punpcklwd", vector::punpcklwd::<Xmm>);
    to_register Punpckldq_xmm_xmmm128 => packed("punpckldq", vector::punpckldq::<Xmm>);
    to_register Punpcklqdq_xmm_xmmm128 => packed("punpcklqdq", vector::punpcklqdq::<Xmm>);
    sparing Punpckhbw_xmm_xmmm128 => packed("punpckhbw", vector::punpckhbw::<Xmm>);
    sparing Punpckhwd_xmm_xmmm128 => packed("punpckhwd", vector::punpckhwd::<Xmm>);
    sparing Punpckhdq_xmm_xmmm128 => packed("punpckhdq", vector::punpckhdq::<Xmm>);
    sparing Punpckhqdq_xmm_xmmm128 => packed("punpckhqdq", vector::punpckhqdq::<Xmm>);
    sparing Packsswb_xmm_xmmm128 => packed("packsswb", vector::packsswb::<Xmm>);
    sparing Packssdw_xmm_xmmm128 => packed("packssdw", vector::packssdw::<Xmm>);
    sparing Packuswb_xmm_xmmm128 => packed("packuswb", vector::packuswb::<Xmm>);
    sparing Packusdw_xmm_xmmm128 => packed("packusdw", vector::packusdw::<Xmm>);
    sparing Pshufb_xmm_xmmm128 => packed("pshufb", vector::pshufb::<Xmm>);
    to_register Unpcklps_xmm_xmmm128 => packed("unpcklps", vector::punpckldq::<Xmm>);
    sparing Unpckhps_xmm_xmmm128 => packed("unpckhps", vector::punpckhdq::<Xmm>);
    to_register Unpcklpd_xmm_xmmm128 => packed("unpcklpd", vector::punpcklqdq::<Xmm>);
    sparing Unpckhpd_xmm_xmmm128 => packed("unpckhpd", vector::punpckhqdq::<Xmm>);
    to_register Shufps_xmm_xmmm128_imm8 => packed_imm("shufps", vector::shufps);
    to_register Shufpd_xmm_xmmm128_imm8 => packed_imm("shufpd", vector::shufpd);
    sparing Blendps_xmm_xmmm128_imm8 => packed_imm("blendps", vector::blendps);
    sparing Blendpd_xmm_xmmm128_imm8 => packed_imm("blendpd", vector::blendpd);
    sparing Pblendw_xmm_xmmm128_imm8 => packed_imm("pblendw", vector::pblendw);
    sparing Palignr_xmm_xmmm128_imm8 => packed_imm("palignr", vector::palignr);
    sparing Pmovsxbw_xmm_xmmm64 => of_source(VectorSize::Qword, "pmovsxbw", |_, b| vector::pmovsxbw(b));
    sparing Pmovzxbw_xmm_xmmm64 => of_source(VectorSize::Qword, "pmovzxbw", |_, b| vector::pmovzxbw(b));
    sparing Pmovsxbd_xmm_xmmm32 => of_source(VectorSize::Dword, "pmovsxbd", |_, b| vector::pmovsxbd(b));
    sparing Pmovzxbd_xmm_xmmm32 => of_source(VectorSize::Dword, "pmovzxbd", |_, b| vector::pmovzxbd(b));
    sparing Pmovsxbq_xmm_xmmm16 => of_source(VectorSize::Word, "pmovsxbq", |_, b| vector::pmovsxbq(b));
    sparing Pmovzxbq_xmm_xmmm16 => of_source(VectorSize::Word, "pmovzxbq", |_, b| vector::pmovzxbq(b));
    sparing Pmovsxwd_xmm_xmmm64 => of_source(VectorSize::Qword, "pmovsxwd", |_, b| vector::pmovsxwd(b));
    sparing Pmovzxwd_xmm_xmmm64 => of_source(VectorSize::Qword, "pmovzxwd", |_, b| vector::pmovzxwd(b));
    sparing Pmovsxwq_xmm_xmmm32 => of_source(VectorSize::Dword, "pmovsxwq", |_, b| vector::pmovsxwq(b));
    sparing Pmovzxwq_xmm_xmmm32 => of_source(VectorSize::Dword, "pmovzxwq", |_, b| vector::pmovzxwq(b));
    sparing Pmovsxdq_xmm_xmmm64 => of_source(VectorSize::Qword, "pmovsxdq", |_, b| vector::pmovsxdq(b));
    sparing Pmovzxdq_xmm_xmmm64 => of_source(VectorSize::Qword, "pmovzxdq", |_, b| vector::pmovzxdq(b));
    to_register Pshufd_xmm_xmmm128_imm8 => pick("pshufd", |_, b, imm| vector::pshufd(b, imm));
    sparing Pshuflw_xmm_xmmm128_imm8 => pick("pshuflw", |_, b, imm| vector::pshuflw(b, imm));
    sparing Pshufhw_xmm_xmmm128_imm8 => pick("pshufhw", |_, b, imm| vector::pshufhw(b, imm));

    sparing Pinsrb_xmm_r32m8_imm8 | Pinsrb_xmm_r64m8_imm8 => insert(Byte, "pinsrb", |a, b, imm| vector::pinsrb(a, b.low() as u8, imm));
    sparing Pinsrw_xmm_r32m16_imm8 | Pinsrw_xmm_r64m16_imm8 => insert(Word, "pinsrw", |a, b, imm| vector::pinsrw(a, b.low() as u16, imm));
    sparing Pinsrd_xmm_rm32_imm8 => insert(Dword, "pinsrd", |a, b, imm| vector::pinsrd(a, b.low() as u32, imm));
    sparing Pinsrq_xmm_rm64_imm8 => insert(Qword, "pinsrq", |a, b, imm| vector::pinsrq(a, b.low(), imm));
    sparing Pextrb_r32m8_xmm_imm8 | Pextrb_r64m8_xmm_imm8 => extract(Byte, "pextrb", |_, b, imm| low(vector::pextrb(b, imm).into()));
    sparing Pextrw_r32m16_xmm_imm8 | Pextrw_r64m16_xmm_imm8 | Pextrw_r32_xmm_imm8 | Pextrw_r64_xmm_imm8
        => extract(Word, "pextrw", |_, b, imm| low(vector::pextrw(b, imm).into()));
    sparing Pextrd_rm32_xmm_imm8 | Extractps_rm32_xmm_imm8 | Extractps_r64m32_xmm_imm8
        => extract(Dword, "pextrd", |_, b, imm| low(vector::pextrd(b, imm).into()));
    sparing Pextrq_rm64_xmm_imm8 => extract(Qword, "pextrq", |_, b, imm| low(vector::pextrq(b, imm)));
    slow Insertps_xmm_xmmm32_imm8 => insertps();

    exec Pblendvb_xmm_xmmm128 => |e| blend_by_xmm0(e, vector::pblendvb);
    exec Blendvps_xmm_xmmm128 => |e| blend_by_xmm0(e, vector::blendvps);
    exec Blendvpd_xmm_xmmm128 => |e| blend_by_xmm0(e, vector::blendvpd);
}
