//! Packed integers: sums, products, comparisons, shifts, logic; PTEST and VTEST.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use super::{lanes, lanes_imm, source, source_imm, two_lanes_imm};
use crate::meaning::sse::packed::ptest_flags;
use crate::table::rows;
use crate::target::Alignment::Any;
use crate::target::{Step, Target, VectorSize};
use crate::vector::{self, Xmm, Ymm};

/// A shift of all lanes by the low qword of an XMM register or of 16 bytes in memory.
#[inline(always)]
fn by_count<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm) -> Xmm) -> Step<T> {
    let a = t.read_wide(1, Any)?;
    let count = t.read_vector(2, VectorSize::Xmm)?;
    let counts = t.join_lanes(&count, &count);
    let result = t.lanes(name, op, &a, &counts);
    t.write_wide(0, Any, result)
}

/// VPTEST, VTESTPS, VTESTPD: ZF CF of the two products; OF SF AF PF become 0. `op` gives ZF and CF
/// of a lane at their places in RFLAGS.
#[inline(always)]
fn test<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm) -> Xmm) -> Step<T> {
    let a = t.read_wide(0, Any)?;
    let b = t.read_wide(1, Any)?;
    let flags = t.lanes(name, op, &a, &b);
    let (low, high) = (t.low_lane(&flags), t.high_lane(&flags));
    let both = if t.is_256() { t.vector("both", vector::pand::<Xmm>, &low, &high) } else { low };
    t.set_flags_from(&both);
    Ok(())
}

/// PTEST of the signs of singles.
#[inline(always)]
fn test_singles(a: Xmm, b: Xmm) -> Xmm {
    let signs = Xmm::from_u128(0x8000_0000_8000_0000_8000_0000_8000_0000);
    ptest_flags(a, vector::pand(b, signs))
}

/// PTEST of the signs of doubles.
#[inline(always)]
fn test_doubles(a: Xmm, b: Xmm) -> Xmm {
    let signs = Xmm::from_u128(0x8000_0000_0000_0000_8000_0000_0000_0000);
    ptest_flags(a, vector::pand(b, signs))
}

rows! {
    vex VEX_Vpaddb_xmm_xmm_xmmm128 | VEX_Vpaddb_ymm_ymm_ymmm256 => lanes("vpaddb", vector::paddb::<Xmm>);
    vex VEX_Vpaddw_xmm_xmm_xmmm128 | VEX_Vpaddw_ymm_ymm_ymmm256 => lanes("vpaddw", vector::paddw::<Xmm>);
    vex VEX_Vpaddd_xmm_xmm_xmmm128 | VEX_Vpaddd_ymm_ymm_ymmm256 => lanes("vpaddd", vector::paddd::<Xmm>);
    vex VEX_Vpaddq_xmm_xmm_xmmm128 | VEX_Vpaddq_ymm_ymm_ymmm256 => lanes("vpaddq", vector::paddq::<Xmm>);
    vex VEX_Vpsubb_xmm_xmm_xmmm128 | VEX_Vpsubb_ymm_ymm_ymmm256 => lanes("vpsubb", vector::psubb::<Xmm>);
    vex VEX_Vpsubw_xmm_xmm_xmmm128 | VEX_Vpsubw_ymm_ymm_ymmm256 => lanes("vpsubw", vector::psubw::<Xmm>);
    vex VEX_Vpsubd_xmm_xmm_xmmm128 | VEX_Vpsubd_ymm_ymm_ymmm256 => lanes("vpsubd", vector::psubd::<Xmm>);
    vex VEX_Vpsubq_xmm_xmm_xmmm128 | VEX_Vpsubq_ymm_ymm_ymmm256 => lanes("vpsubq", vector::psubq::<Xmm>);
    vex VEX_Vpand_xmm_xmm_xmmm128 | VEX_Vpand_ymm_ymm_ymmm256 => lanes("vpand", vector::pand::<Xmm>);
    vex VEX_Vpandn_xmm_xmm_xmmm128 | VEX_Vpandn_ymm_ymm_ymmm256 => lanes("vpandn", vector::pandn::<Xmm>);
    vex VEX_Vpor_xmm_xmm_xmmm128 | VEX_Vpor_ymm_ymm_ymmm256 => lanes("vpor", vector::por::<Xmm>);
    vex VEX_Vpxor_xmm_xmm_xmmm128 | VEX_Vpxor_ymm_ymm_ymmm256 => lanes("vpxor", vector::pxor::<Xmm>);
    vex VEX_Vpcmpeqb_xmm_xmm_xmmm128 | VEX_Vpcmpeqb_ymm_ymm_ymmm256 => lanes("vpcmpeqb", vector::pcmpeqb::<Xmm>);
    vex VEX_Vpcmpeqw_xmm_xmm_xmmm128 | VEX_Vpcmpeqw_ymm_ymm_ymmm256 => lanes("vpcmpeqw", vector::pcmpeqw::<Xmm>);
    vex VEX_Vpcmpeqd_xmm_xmm_xmmm128 | VEX_Vpcmpeqd_ymm_ymm_ymmm256 => lanes("vpcmpeqd", vector::pcmpeqd::<Xmm>);
    vex VEX_Vpcmpgtb_xmm_xmm_xmmm128 | VEX_Vpcmpgtb_ymm_ymm_ymmm256 => lanes("vpcmpgtb", vector::pcmpgtb::<Xmm>);
    vex VEX_Vpcmpgtd_xmm_xmm_xmmm128 | VEX_Vpcmpgtd_ymm_ymm_ymmm256 => lanes("vpcmpgtd", vector::pcmpgtd::<Xmm>);
    vex VEX_Vpminub_xmm_xmm_xmmm128 | VEX_Vpminub_ymm_ymm_ymmm256 => lanes("vpminub", vector::pminub::<Xmm>);
    vex VEX_Vpmaxub_xmm_xmm_xmmm128 | VEX_Vpmaxub_ymm_ymm_ymmm256 => lanes("vpmaxub", vector::pmaxub::<Xmm>);
    vex VEX_Vpmuludq_xmm_xmm_xmmm128 | VEX_Vpmuludq_ymm_ymm_ymmm256 => lanes("vpmuludq", vector::pmuludq::<Xmm>);
    vex VEX_Vpmullw_xmm_xmm_xmmm128 | VEX_Vpmullw_ymm_ymm_ymmm256 => lanes("vpmullw", vector::pmullw::<Xmm>);
    vex VEX_Vpmulld_xmm_xmm_xmmm128 | VEX_Vpmulld_ymm_ymm_ymmm256 => lanes("vpmulld", vector::pmulld::<Xmm>);
    vex VEX_Vpmaddwd_xmm_xmm_xmmm128 | VEX_Vpmaddwd_ymm_ymm_ymmm256 => lanes("vpmaddwd", vector::pmaddwd::<Xmm>);
    slow VEX_Vpcmpgtw_xmm_xmm_xmmm128 | VEX_Vpcmpgtw_ymm_ymm_ymmm256 => lanes("vpcmpgtw", vector::pcmpgtw::<Xmm>);
    slow VEX_Vpaddsb_xmm_xmm_xmmm128 | VEX_Vpaddsb_ymm_ymm_ymmm256 => lanes("vpaddsb", vector::paddsb::<Xmm>);
    slow VEX_Vpaddsw_xmm_xmm_xmmm128 | VEX_Vpaddsw_ymm_ymm_ymmm256 => lanes("vpaddsw", vector::paddsw::<Xmm>);
    slow VEX_Vpaddusb_xmm_xmm_xmmm128 | VEX_Vpaddusb_ymm_ymm_ymmm256 => lanes("vpaddusb", vector::paddusb::<Xmm>);
    slow VEX_Vpaddusw_xmm_xmm_xmmm128 | VEX_Vpaddusw_ymm_ymm_ymmm256 => lanes("vpaddusw", vector::paddusw::<Xmm>);
    slow VEX_Vpsubsb_xmm_xmm_xmmm128 | VEX_Vpsubsb_ymm_ymm_ymmm256 => lanes("vpsubsb", vector::psubsb::<Xmm>);
    slow VEX_Vpsubsw_xmm_xmm_xmmm128 | VEX_Vpsubsw_ymm_ymm_ymmm256 => lanes("vpsubsw", vector::psubsw::<Xmm>);
    slow VEX_Vpsubusb_xmm_xmm_xmmm128 | VEX_Vpsubusb_ymm_ymm_ymmm256 => lanes("vpsubusb", vector::psubusb::<Xmm>);
    slow VEX_Vpsubusw_xmm_xmm_xmmm128 | VEX_Vpsubusw_ymm_ymm_ymmm256 => lanes("vpsubusw", vector::psubusw::<Xmm>);
    slow VEX_Vpavgb_xmm_xmm_xmmm128 | VEX_Vpavgb_ymm_ymm_ymmm256 => lanes("vpavgb", vector::pavgb::<Xmm>);
    slow VEX_Vpavgw_xmm_xmm_xmmm128 | VEX_Vpavgw_ymm_ymm_ymmm256 => lanes("vpavgw", vector::pavgw::<Xmm>);
    slow VEX_Vpminsw_xmm_xmm_xmmm128 | VEX_Vpminsw_ymm_ymm_ymmm256 => lanes("vpminsw", vector::pminsw::<Xmm>);
    slow VEX_Vpmaxsw_xmm_xmm_xmmm128 | VEX_Vpmaxsw_ymm_ymm_ymmm256 => lanes("vpmaxsw", vector::pmaxsw::<Xmm>);
    slow VEX_Vpmulhw_xmm_xmm_xmmm128 | VEX_Vpmulhw_ymm_ymm_ymmm256 => lanes("vpmulhw", vector::pmulhw::<Xmm>);
    slow VEX_Vpmulhuw_xmm_xmm_xmmm128 | VEX_Vpmulhuw_ymm_ymm_ymmm256 => lanes("vpmulhuw", vector::pmulhuw::<Xmm>);
    slow VEX_Vpsadbw_xmm_xmm_xmmm128 | VEX_Vpsadbw_ymm_ymm_ymmm256 => lanes("vpsadbw", vector::psadbw::<Xmm>);
    slow VEX_Vpsignb_xmm_xmm_xmmm128 | VEX_Vpsignb_ymm_ymm_ymmm256 => lanes("vpsignb", vector::psignb::<Xmm>);
    slow VEX_Vpsignw_xmm_xmm_xmmm128 | VEX_Vpsignw_ymm_ymm_ymmm256 => lanes("vpsignw", vector::psignw::<Xmm>);
    slow VEX_Vpsignd_xmm_xmm_xmmm128 | VEX_Vpsignd_ymm_ymm_ymmm256 => lanes("vpsignd", vector::psignd::<Xmm>);
    slow VEX_Vphaddw_xmm_xmm_xmmm128 | VEX_Vphaddw_ymm_ymm_ymmm256 => lanes("vphaddw", vector::phaddw::<Xmm>);
    slow VEX_Vphaddd_xmm_xmm_xmmm128 | VEX_Vphaddd_ymm_ymm_ymmm256 => lanes("vphaddd", vector::phaddd::<Xmm>);
    slow VEX_Vphaddsw_xmm_xmm_xmmm128 | VEX_Vphaddsw_ymm_ymm_ymmm256 => lanes("vphaddsw", vector::phaddsw::<Xmm>);
    slow VEX_Vphsubw_xmm_xmm_xmmm128 | VEX_Vphsubw_ymm_ymm_ymmm256 => lanes("vphsubw", vector::phsubw::<Xmm>);
    slow VEX_Vphsubd_xmm_xmm_xmmm128 | VEX_Vphsubd_ymm_ymm_ymmm256 => lanes("vphsubd", vector::phsubd::<Xmm>);
    slow VEX_Vphsubsw_xmm_xmm_xmmm128 | VEX_Vphsubsw_ymm_ymm_ymmm256 => lanes("vphsubsw", vector::phsubsw::<Xmm>);
    slow VEX_Vpmulhrsw_xmm_xmm_xmmm128 | VEX_Vpmulhrsw_ymm_ymm_ymmm256 => lanes("vpmulhrsw", vector::pmulhrsw::<Xmm>);
    slow VEX_Vpmaddubsw_xmm_xmm_xmmm128 | VEX_Vpmaddubsw_ymm_ymm_ymmm256 => lanes("vpmaddubsw", vector::pmaddubsw::<Xmm>);
    slow VEX_Vpminuw_xmm_xmm_xmmm128 | VEX_Vpminuw_ymm_ymm_ymmm256 => lanes("vpminuw", vector::pminuw::<Xmm>);
    vex VEX_Vpminud_xmm_xmm_xmmm128 | VEX_Vpminud_ymm_ymm_ymmm256 => lanes("vpminud", vector::pminud::<Xmm>);
    slow VEX_Vpminsb_xmm_xmm_xmmm128 | VEX_Vpminsb_ymm_ymm_ymmm256 => lanes("vpminsb", vector::pminsb::<Xmm>);
    slow VEX_Vpminsd_xmm_xmm_xmmm128 | VEX_Vpminsd_ymm_ymm_ymmm256 => lanes("vpminsd", vector::pminsd::<Xmm>);
    slow VEX_Vpmaxuw_xmm_xmm_xmmm128 | VEX_Vpmaxuw_ymm_ymm_ymmm256 => lanes("vpmaxuw", vector::pmaxuw::<Xmm>);
    vex VEX_Vpmaxud_xmm_xmm_xmmm128 | VEX_Vpmaxud_ymm_ymm_ymmm256 => lanes("vpmaxud", vector::pmaxud::<Xmm>);
    slow VEX_Vpmaxsb_xmm_xmm_xmmm128 | VEX_Vpmaxsb_ymm_ymm_ymmm256 => lanes("vpmaxsb", vector::pmaxsb::<Xmm>);
    slow VEX_Vpmaxsd_xmm_xmm_xmmm128 | VEX_Vpmaxsd_ymm_ymm_ymmm256 => lanes("vpmaxsd", vector::pmaxsd::<Xmm>);
    slow VEX_Vpmuldq_xmm_xmm_xmmm128 | VEX_Vpmuldq_ymm_ymm_ymmm256 => lanes("vpmuldq", vector::pmuldq::<Xmm>);
    slow VEX_Vpcmpeqq_xmm_xmm_xmmm128 | VEX_Vpcmpeqq_ymm_ymm_ymmm256 => lanes("vpcmpeqq", vector::pcmpeqq::<Xmm>);
    slow VEX_Vpcmpgtq_xmm_xmm_xmmm128 | VEX_Vpcmpgtq_ymm_ymm_ymmm256 => lanes("vpcmpgtq", vector::pcmpgtq::<Xmm>);
    slow VEX_Vpabsb_xmm_xmmm128 | VEX_Vpabsb_ymm_ymmm256 => source("vpabsb", |_, b| vector::pabsb(b));
    slow VEX_Vpabsw_xmm_xmmm128 | VEX_Vpabsw_ymm_ymmm256 => source("vpabsw", |_, b| vector::pabsw(b));
    slow VEX_Vpabsd_xmm_xmmm128 | VEX_Vpabsd_ymm_ymmm256 => source("vpabsd", |_, b| vector::pabsd(b));
    slow VEX_Vphminposuw_xmm_xmmm128 => source("vphminposuw", |_, b| vector::phminposuw(b));
    slow VEX_Vmpsadbw_xmm_xmm_xmmm128_imm8 => lanes_imm("vmpsadbw", vector::mpsadbw);
    slow VEX_Vpsllw_xmm_xmm_xmmm128 | VEX_Vpsllw_ymm_ymm_xmmm128 => by_count("vpsllw", |a, b| vector::psllw(a, b.low()));
    slow VEX_Vpsllw_xmm_xmm_imm8 | VEX_Vpsllw_ymm_ymm_imm8 => source_imm("vpsllw", |a, _, imm| vector::psllw(a, imm.into()));
    slow VEX_Vpslld_xmm_xmm_xmmm128 | VEX_Vpslld_ymm_ymm_xmmm128 => by_count("vpslld", |a, b| vector::pslld(a, b.low()));
    vex_registers VEX_Vpslld_xmm_xmm_imm8 | VEX_Vpslld_ymm_ymm_imm8 => source_imm("vpslld", |a, _, imm| vector::pslld(a, imm.into()));
    slow VEX_Vpsllq_xmm_xmm_xmmm128 | VEX_Vpsllq_ymm_ymm_xmmm128 => by_count("vpsllq", |a, b| vector::psllq(a, b.low()));
    vex_registers VEX_Vpsllq_xmm_xmm_imm8 | VEX_Vpsllq_ymm_ymm_imm8 => source_imm("vpsllq", |a, _, imm| vector::psllq(a, imm.into()));
    slow VEX_Vpsrlw_xmm_xmm_xmmm128 | VEX_Vpsrlw_ymm_ymm_xmmm128 => by_count("vpsrlw", |a, b| vector::psrlw(a, b.low()));
    slow VEX_Vpsrlw_xmm_xmm_imm8 | VEX_Vpsrlw_ymm_ymm_imm8 => source_imm("vpsrlw", |a, _, imm| vector::psrlw(a, imm.into()));
    slow VEX_Vpsrld_xmm_xmm_xmmm128 | VEX_Vpsrld_ymm_ymm_xmmm128 => by_count("vpsrld", |a, b| vector::psrld(a, b.low()));
    vex_registers VEX_Vpsrld_xmm_xmm_imm8 | VEX_Vpsrld_ymm_ymm_imm8 => source_imm("vpsrld", |a, _, imm| vector::psrld(a, imm.into()));
    slow VEX_Vpsrlq_xmm_xmm_xmmm128 | VEX_Vpsrlq_ymm_ymm_xmmm128 => by_count("vpsrlq", |a, b| vector::psrlq(a, b.low()));
    vex_registers VEX_Vpsrlq_xmm_xmm_imm8 | VEX_Vpsrlq_ymm_ymm_imm8 => source_imm("vpsrlq", |a, _, imm| vector::psrlq(a, imm.into()));
    slow VEX_Vpsraw_xmm_xmm_xmmm128 | VEX_Vpsraw_ymm_ymm_xmmm128 => by_count("vpsraw", |a, b| vector::psraw(a, b.low()));
    slow VEX_Vpsraw_xmm_xmm_imm8 | VEX_Vpsraw_ymm_ymm_imm8 => source_imm("vpsraw", |a, _, imm| vector::psraw(a, imm.into()));
    slow VEX_Vpsrad_xmm_xmm_xmmm128 | VEX_Vpsrad_ymm_ymm_xmmm128 => by_count("vpsrad", |a, b| vector::psrad(a, b.low()));
    slow VEX_Vpsrad_xmm_xmm_imm8 | VEX_Vpsrad_ymm_ymm_imm8 => source_imm("vpsrad", |a, _, imm| vector::psrad(a, imm.into()));
    vex_registers VEX_Vpslldq_xmm_xmm_imm8 | VEX_Vpslldq_ymm_ymm_imm8 => source_imm("vpslldq", |a, _, imm| vector::pslldq(a, imm));
    vex_registers VEX_Vpsrldq_xmm_xmm_imm8 | VEX_Vpsrldq_ymm_ymm_imm8 => source_imm("vpsrldq", |a, _, imm| vector::psrldq(a, imm));
    slow VEX_Vmpsadbw_ymm_ymm_ymmm256_imm8 => two_lanes_imm("vmpsadbw", |a, b, imm| Ymm([vector::mpsadbw(a.low(), b.low(), imm), vector::mpsadbw(a.high(), b.high(), imm >> 3)]));

    slow VEX_Vpsllvd_xmm_xmm_xmmm128 | VEX_Vpsllvd_ymm_ymm_ymmm256 => lanes("vpsllvd", vector::psllvd::<Xmm>);
    slow VEX_Vpsllvq_xmm_xmm_xmmm128 | VEX_Vpsllvq_ymm_ymm_ymmm256 => lanes("vpsllvq", vector::psllvq::<Xmm>);
    slow VEX_Vpsrlvd_xmm_xmm_xmmm128 | VEX_Vpsrlvd_ymm_ymm_ymmm256 => lanes("vpsrlvd", vector::psrlvd::<Xmm>);
    slow VEX_Vpsrlvq_xmm_xmm_xmmm128 | VEX_Vpsrlvq_ymm_ymm_ymmm256 => lanes("vpsrlvq", vector::psrlvq::<Xmm>);
    slow VEX_Vpsravd_xmm_xmm_xmmm128 | VEX_Vpsravd_ymm_ymm_ymmm256 => lanes("vpsravd", vector::psravd::<Xmm>);

    vex_registers VEX_Vptest_xmm_xmmm128 | VEX_Vptest_ymm_ymmm256 => test("vptest", ptest_flags);
    slow VEX_Vtestps_xmm_xmmm128 | VEX_Vtestps_ymm_ymmm256 => test("vtestps", test_singles);
    slow VEX_Vtestpd_xmm_xmmm128 | VEX_Vtestpd_ymm_ymmm256 => test("vtestpd", test_doubles);
}
