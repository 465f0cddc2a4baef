//! PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM.
//!
//! Source: Intel SDM vol. 2B §4.1, "Imm8 Control Byte Operation for PCMPESTRI / PCMPESTRM /
//! PCMPISTRI / PCMPISTRM". Memory operands need not be aligned.

use crate::exception::Fault;
use crate::exec::Exec;
use crate::state::gpr;
use crate::table::rows;
use crate::target::{Target, VectorSize};
use crate::vector::{StringFlags, Xmm, pcmpestri, pcmpestrm, pcmpistri, pcmpistrm};
use cutaway_isa::Rflags;
use cutaway_isa::Width::{self, Dword, Qword};

type Done = Result<(), Fault>;

/// The operands and the control byte.
fn operands(e: &mut Exec<'_>) -> Result<(Xmm, Xmm, u8), Fault> {
    let a = e.read_vector(0, VectorSize::Xmm)?;
    let b = e.read_vector(1, VectorSize::Xmm)?;
    Ok((a, b, e.instruction.immediate8()))
}

/// The lengths in rAX and rDX, signed.
fn lengths(e: &mut Exec<'_>, w: Width) -> (i64, i64) {
    let mut length = |number| w.sign_extend(e.gpr(number, w)) as i64;
    (length(gpr::RAX), length(gpr::RDX))
}

fn set_flags(e: &mut Exec<'_>, flags: StringFlags) {
    let others = e.cpu.lazy.known.difference(Rflags::STATUS);
    e.set_status(others.union(flags));
}

/// The place found, to ECX.
fn index(e: &mut Exec<'_>, (place, flags): (u32, StringFlags)) {
    e.set_gpr(gpr::RCX, Dword, place.into());
    set_flags(e, flags);
}

/// The mask, to XMM0.
fn mask(e: &mut Exec<'_>, (mask, flags): (Xmm, StringFlags)) {
    e.cpu.xmm[0] = mask;
    set_flags(e, flags);
}

pub(in crate::meaning) fn estri(e: &mut Exec<'_>, w: Width) -> Done {
    let (a, b, imm) = operands(e)?;
    let found = pcmpestri(a, b, imm, lengths(e, w));
    index(e, found);
    Ok(())
}

pub(in crate::meaning) fn estrm(e: &mut Exec<'_>, w: Width) -> Done {
    let (a, b, imm) = operands(e)?;
    let found = pcmpestrm(a, b, imm, lengths(e, w));
    mask(e, found);
    Ok(())
}

pub(in crate::meaning) fn istri(e: &mut Exec<'_>) -> Done {
    let (a, b, imm) = operands(e)?;
    index(e, pcmpistri(a, b, imm));
    Ok(())
}

pub(in crate::meaning) fn istrm(e: &mut Exec<'_>) -> Done {
    let (a, b, imm) = operands(e)?;
    mask(e, pcmpistrm(a, b, imm));
    Ok(())
}

rows! {
    exec Pcmpestri_xmm_xmmm128_imm8 => |e| estri(e, Dword);
    exec Pcmpestri64_xmm_xmmm128_imm8 => |e| estri(e, Qword);
    exec Pcmpestrm_xmm_xmmm128_imm8 => |e| estrm(e, Dword);
    exec Pcmpestrm64_xmm_xmmm128_imm8 => |e| estrm(e, Qword);
    exec Pcmpistri_xmm_xmmm128_imm8 => istri;
    exec Pcmpistrm_xmm_xmmm128_imm8 => istrm;
}
