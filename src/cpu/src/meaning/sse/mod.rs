//! MMX, SSE, SSE2, SSE3, SSSE3, SSE4.1 and SSE4.2 in their legacy encodings.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic; vol. 2A table 2-18 and its neighbours for
//! exception classes; vol. 3A §12 and §13, "Intel MMX Technology System Programming" and "System
//! Programming for Instruction Set Extensions and Processor Extended States".
//!
//! What the operations compute is in `vector/` and `float/`; here is where their operands come
//! from. Instructions with an XMM operand and LDMXCSR and STMXCSR run only where CR0 and CR4
//! allow it ([`needs_sse`], asked while decoding); MMX instructions ask themselves.

pub(in crate::meaning) mod arith;
pub(in crate::meaning) mod convert;
mod mmx;
pub(in crate::meaning) mod moves;
pub(in crate::meaning) mod packed;
pub(in crate::meaning) mod shuffle;
pub(in crate::meaning) mod state;
pub(in crate::meaning) mod text;

use crate::exception::{Exception, Fault};
use crate::exec::Exec;
use crate::table::Row;
use crate::target::{FloatRule, Step, Target, VectorSize};
use crate::vector::Xmm;
use cutaway_isa::{Code, Cr0, Cr4, Instruction, OpKind};

/// The row of an instruction code, if it belongs to one of these files.
pub(crate) fn row(code: Code) -> Option<Row> {
    let groups: [fn(Code) -> Option<Row>; 8] = [
        moves::row,
        arith::row,
        convert::row,
        packed::row,
        shuffle::row,
        mmx::row,
        text::row,
        state::row,
    ];
    groups.iter().find_map(|group| group(code))
}

/// Whether an instruction in legacy encoding needs SSE to be enabled: CR0.EM and CR0.TS clear, CR4.OSFXSR set.
pub(crate) fn needs_sse(i: &Instruction) -> bool {
    matches!(i.code(), Code::Ldmxcsr_m32 | Code::Stmxcsr_m32)
        || (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Register && i.op_register(n).is_xmm())
}

/// What runs in place of an instruction that needs SSE where it is not enabled.
pub(crate) fn sse_unavailable(e: &mut Exec<'_>) -> Result<(), Fault> {
    let emulated = e.cpu.system.cr0 & Cr0::EM.bits() != 0;
    let enabled = e.cpu.system.cr4 & Cr4::OSFXSR.bits() != 0;
    Err(if emulated || !enabled { Exception::UD } else { Exception::NM }.into())
}

/// dst := op(dst, src), on whole registers; a memory operand must be aligned.
#[inline(always)]
pub(super) fn packed<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm) -> Xmm) -> Step<T> {
    let a = t.read_vector(0, VectorSize::Xmm)?;
    let b = t.read_vector(1, VectorSize::XmmAligned)?;
    let result = t.vector(name, op, &a, &b);
    t.write_vector(0, VectorSize::Xmm, result)
}

/// dst := op(dst, src, imm), on whole registers; a memory operand must be aligned.
#[inline(always)]
pub(super) fn packed_imm<T: Target>(
    t: &mut T,
    name: &'static str,
    op: fn(Xmm, Xmm, u8) -> Xmm,
) -> Step<T> {
    let a = t.read_vector(0, VectorSize::Xmm)?;
    let b = t.read_vector(1, VectorSize::XmmAligned)?;
    let result = t.vector_imm(name, op, &a, &b);
    t.write_vector(0, VectorSize::Xmm, result)
}

/// dst := op(src), the destination's old value aside; the source has `from` bytes.
#[inline(always)]
pub(super) fn of_source<T: Target>(
    t: &mut T,
    from: VectorSize,
    name: &'static str,
    op: fn(Xmm, Xmm) -> Xmm,
) -> Step<T> {
    let b = t.read_vector(1, from)?;
    let result = t.vector(name, op, &b, &b);
    t.write_vector(0, VectorSize::Xmm, result)
}

/// dst := op(dst, src) under MXCSR. `from` bytes are read and `to` bytes written.
#[inline(always)]
fn float<T: Target>(
    t: &mut T,
    (from, to): (VectorSize, VectorSize),
    name: &'static str,
    op: FloatRule,
) -> Step<T> {
    let a = t.read_vector(0, VectorSize::Xmm)?;
    let b = t.read_vector(1, from)?;
    let result = t.float(name, op, &a, &b)?;
    t.write_vector(0, to, result)
}

#[cfg(test)]
mod tests {
    use super::row;
    use cutaway_isa::{Code, CpuidFeature};

    /// Codes of the groups that these files are about, but for AMD's SSE4a and what belongs to
    /// other files.
    #[test]
    fn every_legacy_code_has_a_row() {
        let mut count = 0;
        for code in Code::values() {
            let name = format!("{code:?}");
            let features = code.cpuid_features();
            let other = ["VEX_", "EVEX_", "MVEX_", "XOP_", "Fisttp", "Crc32", "Popcnt"];
            let is_ours = features.iter().any(|feature| {
                use CpuidFeature as F;
                matches!(feature, F::MMX | F::SSE | F::SSE2 | F::SSE3 | F::SSSE3 | F::SSE4_1)
                    || matches!(feature, F::SSE4_2 | F::FXSR | F::CLFSH | F::PREFETCHW)
            });
            if is_ours && !other.iter().any(|prefix| name.starts_with(prefix)) {
                assert!(row(code).is_some(), "{name} has no row");
                count += 1;
            }
        }
        assert!(count > 400, "{count} codes");
    }
}
