//! VEX forms of AES, PCLMULQDQ and GFNI, of 128 and 256 bits, and F16C.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic. A form of 256 bits is the operation of 128
//! bits on each half.

use crate::exception::Fault;
use crate::exec::{Exec, is_256};
use crate::float::half::{halves_to_singles, singles_to_halves};
use crate::table::rows;
use crate::target::{Alignment, Step, Target, VectorSize};
use crate::vector::{self, Xmm, Ymm};

type Done = Result<(), Fault>;

/// dst := op(src1, src2) on each half.
#[inline(always)]
fn lanes<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm) -> Xmm) -> Step<T> {
    let a = t.read_wide(1, Alignment::Any)?;
    let b = t.read_wide(2, Alignment::Any)?;
    let result = t.lanes(name, op, &a, &b);
    t.write_wide(0, Alignment::Any, result)
}

/// dst := op(src1, src2, imm) on each half.
#[inline(always)]
fn lanes_imm<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm, u8) -> Xmm) -> Step<T> {
    let a = t.read_wide(1, Alignment::Any)?;
    let b = t.read_wide(2, Alignment::Any)?;
    let result = t.lanes_imm(name, op, &a, &b);
    t.write_wide(0, Alignment::Any, result)
}

/// VAESIMC, VAESKEYGENASSIST: of one source.
#[inline(always)]
fn of_source<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm, u8) -> Xmm) -> Step<T> {
    let b = t.read_wide(1, Alignment::Any)?;
    let result = t.lanes_imm(name, op, &b, &b);
    t.write_wide(0, Alignment::Any, result)
}

/// VCVTPH2PS: four or eight halves.
fn vcvtph2ps(e: &mut Exec<'_>) -> Done {
    let is_256 = is_256(e.instruction);
    let source = e.read_vector(1, if is_256 { VectorSize::Xmm } else { VectorSize::Qword })?;
    let mxcsr = &mut e.cpu.mxcsr;
    let result = if is_256 {
        halves_to_singles([source.low(), source.high()], mxcsr).map(Ymm)
    } else {
        halves_to_singles([source.low()], mxcsr).map(|[low]| Ymm::from_low(low))
    };
    let result = result.map_err(|_| e.simd_fault())?;
    e.write_wide(0, Alignment::Any, result)
}

/// VCVTPS2PH: to memory, or to the low part of a register whose rest becomes zero.
fn vcvtps2ph(e: &mut Exec<'_>) -> Done {
    let is_256 = is_256(e.instruction);
    let in_memory = e.operand_in_memory(0);
    if in_memory {
        // A fault of the store comes before MXCSR changes.
        let (seg, offset) = (e.segment(), e.offset());
        e.cpu.probe_write(e.bus, seg, offset, if is_256 { 16 } else { 8 })?;
    }
    let source = e.read_wide(1, Alignment::Any)?;
    let imm = e.instruction.immediate8();
    let mxcsr = &mut e.cpu.mxcsr;
    let result = if is_256 {
        singles_to_halves(source.0, imm, mxcsr)
    } else {
        singles_to_halves([source.low()], imm, mxcsr).map(|[low]| [low, 0])
    };
    let [low, high] = result.map_err(|_| e.simd_fault())?;
    let result = Xmm::from_halves(low, high);
    if in_memory {
        return e.write_vector(0, if is_256 { VectorSize::Xmm } else { VectorSize::Qword }, result);
    }
    e.write_wide(0, Alignment::Any, Ymm::from_low(result))
}

rows! {
    slow VEX_Vaesenc_xmm_xmm_xmmm128 | VEX_Vaesenc_ymm_ymm_ymmm256 => lanes("aesenc", vector::aesenc);
    slow VEX_Vaesenclast_xmm_xmm_xmmm128 | VEX_Vaesenclast_ymm_ymm_ymmm256 => lanes("aesenclast", vector::aesenclast);
    slow VEX_Vaesdec_xmm_xmm_xmmm128 | VEX_Vaesdec_ymm_ymm_ymmm256 => lanes("aesdec", vector::aesdec);
    slow VEX_Vaesdeclast_xmm_xmm_xmmm128 | VEX_Vaesdeclast_ymm_ymm_ymmm256 => lanes("aesdeclast", vector::aesdeclast);
    slow VEX_Vaesimc_xmm_xmmm128 => of_source("aesimc", |_, b, _| vector::aesimc(b));
    slow VEX_Vaeskeygenassist_xmm_xmmm128_imm8 => of_source("aeskeygenassist", |_, b, imm| vector::aeskeygenassist(b, imm));
    slow VEX_Vpclmulqdq_xmm_xmm_xmmm128_imm8 | VEX_Vpclmulqdq_ymm_ymm_ymmm256_imm8 => lanes_imm("pclmulqdq", vector::pclmulqdq);
    slow VEX_Vgf2p8mulb_xmm_xmm_xmmm128 | VEX_Vgf2p8mulb_ymm_ymm_ymmm256 => lanes("gf2p8mulb", vector::gf2p8mulb::<Xmm>);
    slow VEX_Vgf2p8affineqb_xmm_xmm_xmmm128_imm8 | VEX_Vgf2p8affineqb_ymm_ymm_ymmm256_imm8 => lanes_imm("gf2p8affineqb", vector::gf2p8affineqb);
    slow VEX_Vgf2p8affineinvqb_xmm_xmm_xmmm128_imm8 | VEX_Vgf2p8affineinvqb_ymm_ymm_ymmm256_imm8 => lanes_imm("gf2p8affineinvqb", vector::gf2p8affineinvqb);
    exec VEX_Vcvtph2ps_xmm_xmmm64 | VEX_Vcvtph2ps_ymm_xmmm128 => vcvtph2ps;
    exec VEX_Vcvtps2ph_xmmm64_xmm_imm8 | VEX_Vcvtps2ph_xmmm128_ymm_imm8 => vcvtps2ph;
}
