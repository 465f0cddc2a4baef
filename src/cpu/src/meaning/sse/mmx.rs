//! MMX registers: the integer instructions of MMX, and what SSE, SSE2 and SSSE3 added to them.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic; vol. 3A §13.2, "Emulation of the MMX
//! Instruction Set", §13.3, "The MMX State and MMX Register Aliasing".

use crate::exception::Fault;
use crate::exec::Exec;
use crate::table::rows;
use crate::target::{Step, Target, VectorSize};
use crate::vector::{self, Xmm};
use cutaway_isa::Width::{self, Dword, Qword, Word};

/// dst := op(dst, src); `from` bytes of the source count.
#[inline(always)]
fn mmx<T: Target>(
    t: &mut T,
    from: VectorSize,
    name: &'static str,
    op: fn(u64, u64) -> u64,
) -> Step<T> {
    t.begin_mmx()?;
    let a = t.read_vector(0, VectorSize::Qword)?;
    let b = t.read_vector(1, from)?;
    let result = t.mmx(name, op, &a, &b);
    t.write_vector(0, VectorSize::Qword, result)?;
    t.end_mmx();
    Ok(())
}

/// dst := op(dst, src, imm).
#[inline(always)]
fn mmx_imm<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm, u8) -> Xmm) -> Step<T> {
    t.begin_mmx()?;
    let a = t.read_vector(0, VectorSize::Qword)?;
    let b = t.read_vector(1, VectorSize::Qword)?;
    let result = t.vector_imm(name, op, &a, &b);
    t.write_vector(0, VectorSize::Qword, result)?;
    t.end_mmx();
    Ok(())
}

/// A shift of each lane by an immediate.
#[inline(always)]
fn shift_imm<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm, u8) -> Xmm) -> Step<T> {
    t.begin_mmx()?;
    let a = t.read_vector(0, VectorSize::Qword)?;
    let result = t.vector_imm(name, op, &a, &a);
    t.write_vector(0, VectorSize::Qword, result)?;
    t.end_mmx();
    Ok(())
}

/// MOVQ, MOVNTQ.
#[inline(always)]
fn mov<T: Target>(t: &mut T) -> Step<T> {
    t.begin_mmx()?;
    let value = t.read_vector(1, VectorSize::Qword)?;
    t.write_vector(0, VectorSize::Qword, value)?;
    t.end_mmx();
    Ok(())
}

/// MOVD, MOVQ from a general-purpose register or memory, zero-extended.
#[inline(always)]
fn from_gpr<T: Target>(t: &mut T, w: Width) -> Step<T> {
    t.begin_mmx()?;
    let value = t.read(1, w)?;
    let vector = t.vector_from(w, &value);
    t.write_vector(0, VectorSize::Qword, vector)?;
    t.end_mmx();
    Ok(())
}

/// MOVD, MOVQ to a general-purpose register or memory.
#[inline(always)]
fn to_gpr<T: Target>(t: &mut T, w: Width) -> Step<T> {
    t.begin_mmx()?;
    let vector = t.read_vector(1, VectorSize::Qword)?;
    let value = t.vector_low(w, &vector);
    t.write(0, w, value)?;
    t.end_mmx();
    Ok(())
}

/// PINSRW: a word from a general-purpose register or memory.
#[inline(always)]
fn pinsrw<T: Target>(t: &mut T) -> Step<T> {
    t.begin_mmx()?;
    let a = t.read_vector(0, VectorSize::Qword)?;
    let value = t.read(1, Word)?;
    let b = t.vector_from(Word, &value);
    let op = |a: Xmm, b: Xmm, imm| low(vector::pinsrw(a.low(), b.low() as u16, imm));
    let result = t.vector_imm("pinsrw", op, &a, &b);
    t.write_vector(0, VectorSize::Qword, result)?;
    t.end_mmx();
    Ok(())
}

/// PEXTRW: a word into a general-purpose register, zero-extended.
#[inline(always)]
fn pextrw<T: Target>(t: &mut T) -> Step<T> {
    t.begin_mmx()?;
    let b = t.read_vector(1, VectorSize::Qword)?;
    let op = |_, b: Xmm, imm| low(vector::pextrw(b.low(), imm).into());
    let word = t.vector_imm("pextrw", op, &b, &b);
    let value = t.vector_low(Qword, &word);
    t.write(0, Qword, value)?;
    t.end_mmx();
    Ok(())
}

/// PMOVMSKB: the signs of the bytes into a general-purpose register.
#[inline(always)]
fn pmovmskb<T: Target>(t: &mut T) -> Step<T> {
    t.begin_mmx()?;
    let b = t.read_vector(1, VectorSize::Qword)?;
    let signs = t.mmx("pmovmskb", |_, b| vector::pmovmskb(b).into(), &b, &b);
    let value = t.vector_low(Qword, &signs);
    t.write(0, Qword, value)?;
    t.end_mmx();
    Ok(())
}

/// EMMS: all x87 registers become empty.
fn emms(e: &mut Exec<'_>) -> Result<(), Fault> {
    e.begin_mmx()?;
    e.cpu.x87.empty_mmx();
    Ok(())
}

#[inline(always)]
fn low(value: u64) -> Xmm {
    Xmm::from_halves(value, 0)
}

rows! {
    slow Paddb_mm_mmm64 => mmx(VectorSize::Qword, "paddb", vector::paddb::<u64>);
    slow Paddw_mm_mmm64 => mmx(VectorSize::Qword, "paddw", vector::paddw::<u64>);
    slow Paddd_mm_mmm64 => mmx(VectorSize::Qword, "paddd", vector::paddd::<u64>);
    slow Paddq_mm_mmm64 => mmx(VectorSize::Qword, "paddq", vector::paddq::<u64>);
    slow Paddsb_mm_mmm64 => mmx(VectorSize::Qword, "paddsb", vector::paddsb::<u64>);
    slow Paddsw_mm_mmm64 => mmx(VectorSize::Qword, "paddsw", vector::paddsw::<u64>);
    slow Paddusb_mm_mmm64 => mmx(VectorSize::Qword, "paddusb", vector::paddusb::<u64>);
    slow Paddusw_mm_mmm64 => mmx(VectorSize::Qword, "paddusw", vector::paddusw::<u64>);
    slow Psubb_mm_mmm64 => mmx(VectorSize::Qword, "psubb", vector::psubb::<u64>);
    slow Psubw_mm_mmm64 => mmx(VectorSize::Qword, "psubw", vector::psubw::<u64>);
    slow Psubd_mm_mmm64 => mmx(VectorSize::Qword, "psubd", vector::psubd::<u64>);
    slow Psubq_mm_mmm64 => mmx(VectorSize::Qword, "psubq", vector::psubq::<u64>);
    slow Psubsb_mm_mmm64 => mmx(VectorSize::Qword, "psubsb", vector::psubsb::<u64>);
    slow Psubsw_mm_mmm64 => mmx(VectorSize::Qword, "psubsw", vector::psubsw::<u64>);
    slow Psubusb_mm_mmm64 => mmx(VectorSize::Qword, "psubusb", vector::psubusb::<u64>);
    slow Psubusw_mm_mmm64 => mmx(VectorSize::Qword, "psubusw", vector::psubusw::<u64>);
    slow Pavgb_mm_mmm64 => mmx(VectorSize::Qword, "pavgb", vector::pavgb::<u64>);
    slow Pavgw_mm_mmm64 => mmx(VectorSize::Qword, "pavgw", vector::pavgw::<u64>);
    slow Pminub_mm_mmm64 => mmx(VectorSize::Qword, "pminub", vector::pminub::<u64>);
    slow Pminsw_mm_mmm64 => mmx(VectorSize::Qword, "pminsw", vector::pminsw::<u64>);
    slow Pmaxub_mm_mmm64 => mmx(VectorSize::Qword, "pmaxub", vector::pmaxub::<u64>);
    slow Pmaxsw_mm_mmm64 => mmx(VectorSize::Qword, "pmaxsw", vector::pmaxsw::<u64>);
    slow Psignb_mm_mmm64 => mmx(VectorSize::Qword, "psignb", vector::psignb::<u64>);
    slow Psignw_mm_mmm64 => mmx(VectorSize::Qword, "psignw", vector::psignw::<u64>);
    slow Psignd_mm_mmm64 => mmx(VectorSize::Qword, "psignd", vector::psignd::<u64>);
    slow Pand_mm_mmm64 => mmx(VectorSize::Qword, "pand", vector::pand::<u64>);
    slow Pandn_mm_mmm64 => mmx(VectorSize::Qword, "pandn", vector::pandn::<u64>);
    slow Por_mm_mmm64 => mmx(VectorSize::Qword, "por", vector::por::<u64>);
    slow Pxor_mm_mmm64 => mmx(VectorSize::Qword, "pxor", vector::pxor::<u64>);
    slow Phaddw_mm_mmm64 => mmx(VectorSize::Qword, "phaddw", vector::phaddw::<u64>);
    slow Phaddd_mm_mmm64 => mmx(VectorSize::Qword, "phaddd", vector::phaddd::<u64>);
    slow Phaddsw_mm_mmm64 => mmx(VectorSize::Qword, "phaddsw", vector::phaddsw::<u64>);
    slow Phsubw_mm_mmm64 => mmx(VectorSize::Qword, "phsubw", vector::phsubw::<u64>);
    slow Phsubd_mm_mmm64 => mmx(VectorSize::Qword, "phsubd", vector::phsubd::<u64>);
    slow Phsubsw_mm_mmm64 => mmx(VectorSize::Qword, "phsubsw", vector::phsubsw::<u64>);
    slow Pmullw_mm_mmm64 => mmx(VectorSize::Qword, "pmullw", vector::pmullw::<u64>);
    slow Pmulhw_mm_mmm64 => mmx(VectorSize::Qword, "pmulhw", vector::pmulhw::<u64>);
    slow Pmulhuw_mm_mmm64 => mmx(VectorSize::Qword, "pmulhuw", vector::pmulhuw::<u64>);
    slow Pmulhrsw_mm_mmm64 => mmx(VectorSize::Qword, "pmulhrsw", vector::pmulhrsw::<u64>);
    slow Pmuludq_mm_mmm64 => mmx(VectorSize::Qword, "pmuludq", vector::pmuludq::<u64>);
    slow Pmaddwd_mm_mmm64 => mmx(VectorSize::Qword, "pmaddwd", vector::pmaddwd::<u64>);
    slow Pmaddubsw_mm_mmm64 => mmx(VectorSize::Qword, "pmaddubsw", vector::pmaddubsw::<u64>);
    slow Psadbw_mm_mmm64 => mmx(VectorSize::Qword, "psadbw", vector::psadbw::<u64>);
    slow Pcmpeqb_mm_mmm64 => mmx(VectorSize::Qword, "pcmpeqb", vector::pcmpeqb::<u64>);
    slow Pcmpeqw_mm_mmm64 => mmx(VectorSize::Qword, "pcmpeqw", vector::pcmpeqw::<u64>);
    slow Pcmpeqd_mm_mmm64 => mmx(VectorSize::Qword, "pcmpeqd", vector::pcmpeqd::<u64>);
    slow Pcmpgtb_mm_mmm64 => mmx(VectorSize::Qword, "pcmpgtb", vector::pcmpgtb::<u64>);
    slow Pcmpgtw_mm_mmm64 => mmx(VectorSize::Qword, "pcmpgtw", vector::pcmpgtw::<u64>);
    slow Pcmpgtd_mm_mmm64 => mmx(VectorSize::Qword, "pcmpgtd", vector::pcmpgtd::<u64>);
    slow Packsswb_mm_mmm64 => mmx(VectorSize::Qword, "packsswb", vector::packsswb::<u64>);
    slow Packuswb_mm_mmm64 => mmx(VectorSize::Qword, "packuswb", vector::packuswb::<u64>);
    slow Packssdw_mm_mmm64 => mmx(VectorSize::Qword, "packssdw", vector::packssdw::<u64>);
    slow Punpckhbw_mm_mmm64 => mmx(VectorSize::Qword, "punpckhbw", vector::punpckhbw::<u64>);
    slow Punpckhwd_mm_mmm64 => mmx(VectorSize::Qword, "punpckhwd", vector::punpckhwd::<u64>);
    slow Punpckhdq_mm_mmm64 => mmx(VectorSize::Qword, "punpckhdq", vector::punpckhdq::<u64>);
    slow Pshufb_mm_mmm64 => mmx(VectorSize::Qword, "pshufb", vector::pshufb::<u64>);
    slow Punpcklbw_mm_mmm32 => mmx(VectorSize::Dword, "punpcklbw", vector::punpcklbw::<u64>);
    slow Punpcklwd_mm_mmm32 => mmx(VectorSize::Dword, "punpcklwd", vector::punpcklwd::<u64>);
    slow Punpckldq_mm_mmm32 => mmx(VectorSize::Dword, "punpckldq", vector::punpckldq::<u64>);
    slow Pabsb_mm_mmm64 => mmx(VectorSize::Qword, "pabsb", |_, b| vector::pabsb(b));
    slow Pabsw_mm_mmm64 => mmx(VectorSize::Qword, "pabsw", |_, b| vector::pabsw(b));
    slow Pabsd_mm_mmm64 => mmx(VectorSize::Qword, "pabsd", |_, b| vector::pabsd(b));
    slow Psllw_mm_mmm64 => mmx(VectorSize::Qword, "psllw", vector::psllw::<u64>);
    slow Psllw_mm_imm8 => shift_imm("psllw", |a, _, imm| low(vector::psllw(a.low(), imm.into())));
    slow Pslld_mm_mmm64 => mmx(VectorSize::Qword, "pslld", vector::pslld::<u64>);
    slow Pslld_mm_imm8 => shift_imm("pslld", |a, _, imm| low(vector::pslld(a.low(), imm.into())));
    slow Psllq_mm_mmm64 => mmx(VectorSize::Qword, "psllq", vector::psllq::<u64>);
    slow Psllq_mm_imm8 => shift_imm("psllq", |a, _, imm| low(vector::psllq(a.low(), imm.into())));
    slow Psrlw_mm_mmm64 => mmx(VectorSize::Qword, "psrlw", vector::psrlw::<u64>);
    slow Psrlw_mm_imm8 => shift_imm("psrlw", |a, _, imm| low(vector::psrlw(a.low(), imm.into())));
    slow Psrld_mm_mmm64 => mmx(VectorSize::Qword, "psrld", vector::psrld::<u64>);
    slow Psrld_mm_imm8 => shift_imm("psrld", |a, _, imm| low(vector::psrld(a.low(), imm.into())));
    slow Psrlq_mm_mmm64 => mmx(VectorSize::Qword, "psrlq", vector::psrlq::<u64>);
    slow Psrlq_mm_imm8 => shift_imm("psrlq", |a, _, imm| low(vector::psrlq(a.low(), imm.into())));
    slow Psraw_mm_mmm64 => mmx(VectorSize::Qword, "psraw", vector::psraw::<u64>);
    slow Psraw_mm_imm8 => shift_imm("psraw", |a, _, imm| low(vector::psraw(a.low(), imm.into())));
    slow Psrad_mm_mmm64 => mmx(VectorSize::Qword, "psrad", vector::psrad::<u64>);
    slow Psrad_mm_imm8 => shift_imm("psrad", |a, _, imm| low(vector::psrad(a.low(), imm.into())));
    slow Pshufw_mm_mmm64_imm8 => mmx_imm("pshufw", |_, b, imm| low(vector::pshufw(b.low(), imm)));
    slow Palignr_mm_mmm64_imm8 => mmx_imm("palignr", |a, b, imm| low(vector::palignr_mmx(a.low(), b.low(), imm)));
    slow Movq_mm_mmm64 | Movq_mmm64_mm | Movntq_m64_mm => mov();
    slow Movd_mm_rm32 => from_gpr(Dword);
    slow Movq_mm_rm64 => from_gpr(Qword);
    slow Movd_rm32_mm => to_gpr(Dword);
    slow Movq_rm64_mm => to_gpr(Qword);
    slow Pinsrw_mm_r32m16_imm8 | Pinsrw_mm_r64m16_imm8 => pinsrw();
    slow Pextrw_r32_mm_imm8 | Pextrw_r64_mm_imm8 => pextrw();
    slow Pmovmskb_r32_mm | Pmovmskb_r64_mm => pmovmskb();
    exec Emms => emms;
}
