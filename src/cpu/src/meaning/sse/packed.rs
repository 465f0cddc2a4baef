//! Packed integers in XMM registers: sums, products, comparisons, shifts, logic.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use super::{of_source, packed, packed_imm};
use crate::table::rows;
use crate::target::{Step, Target, VectorSize};
use crate::vector::{self, Xmm};

/// A shift of each lane by an immediate.
#[inline(always)]
fn shift_imm<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm, u8) -> Xmm) -> Step<T> {
    let a = t.read_vector(0, VectorSize::Xmm)?;
    let result = t.vector_imm(name, op, &a, &a);
    t.write_vector(0, VectorSize::Xmm, result)
}

/// PTEST: ZF CF of the two products; OF SF AF PF become 0.
#[inline(always)]
fn ptest<T: Target>(t: &mut T) -> Step<T> {
    let a = t.read_vector(0, VectorSize::Xmm)?;
    let b = t.read_vector(1, VectorSize::XmmAligned)?;
    let flags = t.vector("ptest", ptest_flags, &a, &b);
    t.set_flags_from(&flags);
    Ok(())
}

/// ZF and CF at their places in RFLAGS.
#[inline(always)]
pub(in crate::meaning) fn ptest_flags(a: Xmm, b: Xmm) -> Xmm {
    let (zf, cf) = vector::ptest(a, b);
    Xmm::from_halves(u64::from(zf) << 6 | u64::from(cf), 0)
}

rows! {
    to_register Paddb_xmm_xmmm128 => packed("paddb", vector::paddb::<Xmm>);
    to_register Paddw_xmm_xmmm128 => packed("paddw", vector::paddw::<Xmm>);
    to_register Paddd_xmm_xmmm128 => packed("paddd", vector::paddd::<Xmm>);
    to_register Paddq_xmm_xmmm128 => packed("paddq", vector::paddq::<Xmm>);
    to_register Psubb_xmm_xmmm128 => packed("psubb", vector::psubb::<Xmm>);
    to_register Psubw_xmm_xmmm128 => packed("psubw", vector::psubw::<Xmm>);
    to_register Psubd_xmm_xmmm128 => packed("psubd", vector::psubd::<Xmm>);
    to_register Psubq_xmm_xmmm128 => packed("psubq", vector::psubq::<Xmm>);
    to_register Pand_xmm_xmmm128 => packed("pand", vector::pand::<Xmm>);
    to_register Pandn_xmm_xmmm128 => packed("pandn", vector::pandn::<Xmm>);
    to_register Por_xmm_xmmm128 => packed("por", vector::por::<Xmm>);
    to_register Pxor_xmm_xmmm128 => packed("pxor", vector::pxor::<Xmm>);
    to_register Pcmpeqb_xmm_xmmm128 => packed("pcmpeqb", vector::pcmpeqb::<Xmm>);
    to_register Pcmpeqw_xmm_xmmm128 => packed("pcmpeqw", vector::pcmpeqw::<Xmm>);
    to_register Pcmpeqd_xmm_xmmm128 => packed("pcmpeqd", vector::pcmpeqd::<Xmm>);
    to_register Pcmpgtb_xmm_xmmm128 => packed("pcmpgtb", vector::pcmpgtb::<Xmm>);
    to_register Pcmpgtd_xmm_xmmm128 => packed("pcmpgtd", vector::pcmpgtd::<Xmm>);
    to_register Pminub_xmm_xmmm128 => packed("pminub", vector::pminub::<Xmm>);
    to_register Pmaxub_xmm_xmmm128 => packed("pmaxub", vector::pmaxub::<Xmm>);
    to_register Pmuludq_xmm_xmmm128 => packed("pmuludq", vector::pmuludq::<Xmm>);
    to_register Pmullw_xmm_xmmm128 => packed("pmullw", vector::pmullw::<Xmm>);
    to_register Pmulld_xmm_xmmm128 => packed("pmulld", vector::pmulld::<Xmm>);
    to_register Pmaddwd_xmm_xmmm128 => packed("pmaddwd", vector::pmaddwd::<Xmm>);
    sparing Pcmpgtw_xmm_xmmm128 => packed("pcmpgtw", vector::pcmpgtw::<Xmm>);
    sparing Paddsb_xmm_xmmm128 => packed("paddsb", vector::paddsb::<Xmm>);
    sparing Paddsw_xmm_xmmm128 => packed("paddsw", vector::paddsw::<Xmm>);
    sparing Paddusb_xmm_xmmm128 => packed("paddusb", vector::paddusb::<Xmm>);
    sparing Paddusw_xmm_xmmm128 => packed("paddusw", vector::paddusw::<Xmm>);
    sparing Psubsb_xmm_xmmm128 => packed("psubsb", vector::psubsb::<Xmm>);
    sparing Psubsw_xmm_xmmm128 => packed("psubsw", vector::psubsw::<Xmm>);
    sparing Psubusb_xmm_xmmm128 => packed("psubusb", vector::psubusb::<Xmm>);
    sparing Psubusw_xmm_xmmm128 => packed("psubusw", vector::psubusw::<Xmm>);
    sparing Pavgb_xmm_xmmm128 => packed("pavgb", vector::pavgb::<Xmm>);
    sparing Pavgw_xmm_xmmm128 => packed("pavgw", vector::pavgw::<Xmm>);
    sparing Pminsw_xmm_xmmm128 => packed("pminsw", vector::pminsw::<Xmm>);
    sparing Pmaxsw_xmm_xmmm128 => packed("pmaxsw", vector::pmaxsw::<Xmm>);
    sparing Pmulhw_xmm_xmmm128 => packed("pmulhw", vector::pmulhw::<Xmm>);
    sparing Pmulhuw_xmm_xmmm128 => packed("pmulhuw", vector::pmulhuw::<Xmm>);
    sparing Psadbw_xmm_xmmm128 => packed("psadbw", vector::psadbw::<Xmm>);
    sparing Psignb_xmm_xmmm128 => packed("psignb", vector::psignb::<Xmm>);
    sparing Psignw_xmm_xmmm128 => packed("psignw", vector::psignw::<Xmm>);
    sparing Psignd_xmm_xmmm128 => packed("psignd", vector::psignd::<Xmm>);
    sparing Phaddw_xmm_xmmm128 => packed("phaddw", vector::phaddw::<Xmm>);
    sparing Phaddd_xmm_xmmm128 => packed("phaddd", vector::phaddd::<Xmm>);
    sparing Phaddsw_xmm_xmmm128 => packed("phaddsw", vector::phaddsw::<Xmm>);
    sparing Phsubw_xmm_xmmm128 => packed("phsubw", vector::phsubw::<Xmm>);
    sparing Phsubd_xmm_xmmm128 => packed("phsubd", vector::phsubd::<Xmm>);
    sparing Phsubsw_xmm_xmmm128 => packed("phsubsw", vector::phsubsw::<Xmm>);
    sparing Pmulhrsw_xmm_xmmm128 => packed("pmulhrsw", vector::pmulhrsw::<Xmm>);
    sparing Pmaddubsw_xmm_xmmm128 => packed("pmaddubsw", vector::pmaddubsw::<Xmm>);
    sparing Pminuw_xmm_xmmm128 => packed("pminuw", vector::pminuw::<Xmm>);
    sparing Pminud_xmm_xmmm128 => packed("pminud", vector::pminud::<Xmm>);
    sparing Pminsb_xmm_xmmm128 => packed("pminsb", vector::pminsb::<Xmm>);
    sparing Pminsd_xmm_xmmm128 => packed("pminsd", vector::pminsd::<Xmm>);
    sparing Pmaxuw_xmm_xmmm128 => packed("pmaxuw", vector::pmaxuw::<Xmm>);
    sparing Pmaxud_xmm_xmmm128 => packed("pmaxud", vector::pmaxud::<Xmm>);
    sparing Pmaxsb_xmm_xmmm128 => packed("pmaxsb", vector::pmaxsb::<Xmm>);
    sparing Pmaxsd_xmm_xmmm128 => packed("pmaxsd", vector::pmaxsd::<Xmm>);
    sparing Pmuldq_xmm_xmmm128 => packed("pmuldq", vector::pmuldq::<Xmm>);
    sparing Pcmpeqq_xmm_xmmm128 => packed("pcmpeqq", vector::pcmpeqq::<Xmm>);
    sparing Pcmpgtq_xmm_xmmm128 => packed("pcmpgtq", vector::pcmpgtq::<Xmm>);
    sparing Pabsb_xmm_xmmm128 => of_source(VectorSize::XmmAligned, "pabsb", |_, b| vector::pabsb(b));
    sparing Pabsw_xmm_xmmm128 => of_source(VectorSize::XmmAligned, "pabsw", |_, b| vector::pabsw(b));
    sparing Pabsd_xmm_xmmm128 => of_source(VectorSize::XmmAligned, "pabsd", |_, b| vector::pabsd(b));
    slow Phminposuw_xmm_xmmm128 => of_source(VectorSize::XmmAligned, "phminposuw", |_, b| vector::phminposuw(b));
    slow Mpsadbw_xmm_xmmm128_imm8 => packed_imm("mpsadbw", vector::mpsadbw);
    sparing Psllw_xmm_xmmm128 => packed("psllw", |a, b| vector::psllw(a, b.low()));
    registers Psllw_xmm_imm8 => shift_imm("psllw", |a, _, imm| vector::psllw(a, imm.into()));
    sparing Pslld_xmm_xmmm128 => packed("pslld", |a, b| vector::pslld(a, b.low()));
    registers Pslld_xmm_imm8 => shift_imm("pslld", |a, _, imm| vector::pslld(a, imm.into()));
    sparing Psllq_xmm_xmmm128 => packed("psllq", |a, b| vector::psllq(a, b.low()));
    registers Psllq_xmm_imm8 => shift_imm("psllq", |a, _, imm| vector::psllq(a, imm.into()));
    sparing Psrlw_xmm_xmmm128 => packed("psrlw", |a, b| vector::psrlw(a, b.low()));
    registers Psrlw_xmm_imm8 => shift_imm("psrlw", |a, _, imm| vector::psrlw(a, imm.into()));
    sparing Psrld_xmm_xmmm128 => packed("psrld", |a, b| vector::psrld(a, b.low()));
    registers Psrld_xmm_imm8 => shift_imm("psrld", |a, _, imm| vector::psrld(a, imm.into()));
    sparing Psrlq_xmm_xmmm128 => packed("psrlq", |a, b| vector::psrlq(a, b.low()));
    registers Psrlq_xmm_imm8 => shift_imm("psrlq", |a, _, imm| vector::psrlq(a, imm.into()));
    sparing Psraw_xmm_xmmm128 => packed("psraw", |a, b| vector::psraw(a, b.low()));
    registers Psraw_xmm_imm8 => shift_imm("psraw", |a, _, imm| vector::psraw(a, imm.into()));
    sparing Psrad_xmm_xmmm128 => packed("psrad", |a, b| vector::psrad(a, b.low()));
    registers Psrad_xmm_imm8 => shift_imm("psrad", |a, _, imm| vector::psrad(a, imm.into()));
    registers Pslldq_xmm_imm8 => shift_imm("pslldq", |a, _, imm| vector::pslldq(a, imm));
    registers Psrldq_xmm_imm8 => shift_imm("psrldq", |a, _, imm| vector::psrldq(a, imm));
    sparing Ptest_xmm_xmmm128 => ptest();
}
