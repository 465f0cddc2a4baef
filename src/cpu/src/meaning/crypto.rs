//! AES, PCLMULQDQ, SHA, GFNI and SSE4a in their legacy encodings.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic; AMD APM vol. 4 for SSE4a. What they
//! compute is in `vector/`.

use super::sse::{of_source, packed, packed_imm};
use crate::exception::Fault;
use crate::exec::Exec;
use crate::table::rows;
use crate::target::{Step, Target, VectorSize};
use crate::vector::{self, Xmm};

/// SHA1 and SHA256: memory need not be aligned (measured on Zen 3; the manual says #GP).
#[inline(always)]
fn sha<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm) -> Xmm) -> Step<T> {
    let a = t.read_vector(0, VectorSize::Xmm)?;
    let b = t.read_vector(1, VectorSize::Xmm)?;
    let result = t.vector(name, op, &a, &b);
    t.write_vector(0, VectorSize::Xmm, result)
}

/// SHA1RNDS4, likewise.
#[inline(always)]
fn sha1rnds4<T: Target>(t: &mut T) -> Step<T> {
    let a = t.read_vector(0, VectorSize::Xmm)?;
    let b = t.read_vector(1, VectorSize::Xmm)?;
    let result = t.vector_imm("sha1rnds4", vector::sha1rnds4, &a, &b);
    t.write_vector(0, VectorSize::Xmm, result)
}

/// SHA256RNDS2: XMM0 holds the words.
fn sha256rnds2(e: &mut Exec<'_>) -> Result<(), Fault> {
    let a = e.read_vector(0, VectorSize::Xmm)?;
    let b = e.read_vector(1, VectorSize::Xmm)?;
    let result = vector::sha256rnds2(a, b, e.cpu.xmm[0]);
    e.write_vector(0, VectorSize::Xmm, result)
}

/// AESKEYGENASSIST: of the source alone.
#[inline(always)]
fn aeskeygenassist<T: Target>(t: &mut T) -> Step<T> {
    let b = t.read_vector(1, VectorSize::XmmAligned)?;
    let result =
        t.vector_imm("aeskeygenassist", |_, b, imm| vector::aeskeygenassist(b, imm), &b, &b);
    t.write_vector(0, VectorSize::Xmm, result)
}

/// EXTRQ, INSERTQ with two immediates: `operand` is the first of them, the length.
fn field_by_immediates(
    e: &mut Exec<'_>,
    operand: u32,
    op: fn(Xmm, Xmm, u8, u8) -> Xmm,
) -> Result<(), Fault> {
    use cutaway_isa::Width::Byte;
    let length = e.read(operand, Byte)? as u8;
    let index = e.read(operand + 1, Byte)? as u8;
    let a = e.read_vector(0, VectorSize::Xmm)?;
    let b = e.read_vector(operand - 1, VectorSize::Xmm)?;
    e.write_vector(0, VectorSize::Xmm, op(a, b, length, index))
}

/// EXTRQ by a register: length in its bits 5:0, index in bits 13:8.
fn extrq(a: Xmm, b: Xmm) -> Xmm {
    vector::extrq(a, b.0[0], b.0[1])
}

/// INSERTQ by a register: length in its bits 69:64, index in bits 77:72.
fn insertq(a: Xmm, b: Xmm) -> Xmm {
    vector::insertq(a, b, b.0[8], b.0[9])
}

/// MOVNTSS, MOVNTSD: a scalar to memory.
#[inline(always)]
fn store_scalar<T: Target>(t: &mut T, size: VectorSize) -> Step<T> {
    let value = t.read_vector(1, VectorSize::Xmm)?;
    t.write_vector(0, size, value)
}

rows! {
    slow Aesenc_xmm_xmmm128 => packed("aesenc", vector::aesenc);
    slow Aesenclast_xmm_xmmm128 => packed("aesenclast", vector::aesenclast);
    slow Aesdec_xmm_xmmm128 => packed("aesdec", vector::aesdec);
    slow Aesdeclast_xmm_xmmm128 => packed("aesdeclast", vector::aesdeclast);
    slow Aesimc_xmm_xmmm128 => of_source(VectorSize::XmmAligned, "aesimc", |_, b| vector::aesimc(b));
    slow Aeskeygenassist_xmm_xmmm128_imm8 => aeskeygenassist();
    slow Pclmulqdq_xmm_xmmm128_imm8 => packed_imm("pclmulqdq", vector::pclmulqdq);

    slow Sha1rnds4_xmm_xmmm128_imm8 => sha1rnds4();
    slow Sha1nexte_xmm_xmmm128 => sha("sha1nexte", vector::sha1nexte);
    slow Sha1msg1_xmm_xmmm128 => sha("sha1msg1", vector::sha1msg1);
    slow Sha1msg2_xmm_xmmm128 => sha("sha1msg2", vector::sha1msg2);
    exec Sha256rnds2_xmm_xmmm128 => sha256rnds2;
    slow Sha256msg1_xmm_xmmm128 => sha("sha256msg1", vector::sha256msg1);
    slow Sha256msg2_xmm_xmmm128 => sha("sha256msg2", vector::sha256msg2);

    slow Gf2p8mulb_xmm_xmmm128 => packed("gf2p8mulb", vector::gf2p8mulb::<Xmm>);
    slow Gf2p8affineqb_xmm_xmmm128_imm8 => packed_imm("gf2p8affineqb", vector::gf2p8affineqb);
    slow Gf2p8affineinvqb_xmm_xmmm128_imm8 => packed_imm("gf2p8affineinvqb", vector::gf2p8affineinvqb);

    exec Extrq_xmm_imm8_imm8 => |e| field_by_immediates(e, 1, |a, _, length, index| vector::extrq(a, length, index));
    exec Insertq_xmm_xmm_imm8_imm8 => |e| field_by_immediates(e, 2, vector::insertq);
    slow Extrq_xmm_xmm => packed("extrq", extrq);
    slow Insertq_xmm_xmm => packed("insertq", insertq);
    slow Movntss_m32_xmm => store_scalar(VectorSize::Dword);
    slow Movntsd_m64_xmm => store_scalar(VectorSize::Qword);
}
