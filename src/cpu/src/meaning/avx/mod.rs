//! AVX and AVX2: the VEX encodings of vector instructions, of 128 and 256 bits.
//!
//! Source: Intel SDM vol. 2 §2.3, "Intel Advanced Vector Extensions (Intel AVX)", §2.4, "AVX and
//! SSE Instruction Exception Classification", and the page of each mnemonic.
//!
//! What the operations compute is in `vector/` and `float/`, the functions that the legacy
//! encodings use: all but a few instructions work on each 128-bit lane by itself. Here is where the
//! operands come from. Operand 0 is the destination, operand 1 a register, operand 2 a register or
//! memory, which need not be aligned; a register that is written changes whole.

mod float;
mod gather;
mod integer;
mod masked;
mod moves;
mod permute;

use crate::exception::{Exception, Fault};
use crate::exec::Exec;
use crate::table::Row;
use crate::target::Alignment::Any;
use crate::target::{FloatImmRule, FloatRule, Step, Target, VectorSize};
use crate::vector::{Xmm, Ymm};
use cutaway_isa::{Code, CpuidFeature, Instruction};

/// The row of an instruction code, if it belongs to one of these files.
pub(crate) fn row(code: Code) -> Option<Row> {
    let groups: [fn(Code) -> Option<Row>; 6] =
        [moves::row, integer::row, float::row, permute::row, masked::row, gather::row];
    groups.iter().find_map(|group| group(code))
}

/// Whether a VEX instruction needs the YMM state to be enabled: all but those on general-purpose
/// registers.
pub(crate) fn needs_avx(i: &Instruction) -> bool {
    let is_integer = |f: &CpuidFeature| matches!(f, CpuidFeature::BMI1 | CpuidFeature::BMI2);
    !i.cpuid_features().iter().any(is_integer)
}

/// What runs in place of an instruction that needs AVX where it is not enabled: #UD, or #NM where
/// CR0.TS alone is in the way.
pub(crate) fn avx_unavailable(e: &mut Exec<'_>) -> Result<(), Fault> {
    Err(if e.cpu.avx_enabled() { Exception::NM } else { Exception::UD }.into())
}

/// dst := op(src1, src2) in each 128-bit lane.
#[inline(always)]
pub(super) fn lanes<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm) -> Xmm) -> Step<T> {
    let a = t.read_wide(1, Any)?;
    let b = t.read_wide(2, Any)?;
    let result = t.lanes(name, op, &a, &b);
    t.write_wide(0, Any, result)
}

/// dst := op(src1, src2, imm) in each 128-bit lane.
#[inline(always)]
pub(super) fn lanes_imm<T: Target>(
    t: &mut T,
    name: &'static str,
    op: fn(Xmm, Xmm, u8) -> Xmm,
) -> Step<T> {
    let a = t.read_wide(1, Any)?;
    let b = t.read_wide(2, Any)?;
    let result = t.lanes_imm(name, op, &a, &b);
    t.write_wide(0, Any, result)
}

/// dst := op(src1, src2, imm) where the upper lane looks at other bits of the immediate.
#[inline(always)]
fn two_lanes_imm<T: Target>(t: &mut T, name: &'static str, op: fn(Ymm, Ymm, u8) -> Ymm) -> Step<T> {
    let a = t.read_wide(1, Any)?;
    let b = t.read_wide(2, Any)?;
    let result = t.across(name, op, &a, &b);
    t.write_wide(0, Any, result)
}

/// dst := op(src) in each 128-bit lane; `op` is given the source twice.
#[inline(always)]
fn source<T: Target>(t: &mut T, name: &'static str, op: fn(Xmm, Xmm) -> Xmm) -> Step<T> {
    let b = t.read_wide(1, Any)?;
    let result = t.lanes(name, op, &b, &b);
    t.write_wide(0, Any, result)
}

/// dst := op(src, imm) in each 128-bit lane; `op` is given the source twice.
#[inline(always)]
pub(super) fn source_imm<T: Target>(
    t: &mut T,
    name: &'static str,
    op: fn(Xmm, Xmm, u8) -> Xmm,
) -> Step<T> {
    let b = t.read_wide(1, Any)?;
    let result = t.lanes_imm(name, op, &b, &b);
    t.write_wide(0, Any, result)
}

/// dst := op(src1, src2) under MXCSR.
#[inline(always)]
fn float_lanes<T: Target>(t: &mut T, name: &'static str, op: FloatRule) -> Step<T> {
    let a = t.read_wide(1, Any)?;
    let b = t.read_wide(2, Any)?;
    let result = t.float_lanes(name, op, &a, &b)?;
    t.write_wide(0, Any, result)
}

/// dst := op(src) under MXCSR; `op` is given the source twice.
#[inline(always)]
fn float_source<T: Target>(t: &mut T, name: &'static str, op: FloatRule) -> Step<T> {
    let b = t.read_wide(1, Any)?;
    let result = t.float_lanes(name, op, &b, &b)?;
    t.write_wide(0, Any, result)
}

/// Writes 128 bits to a register, zero above.
#[inline(always)]
fn write_low<T: Target>(t: &mut T, value: &T::Vector) -> Step<T> {
    let wide = t.widen(value);
    t.write_wide(0, Any, wide)
}

/// Bits 127:0 of a register operand.
#[inline(always)]
fn read_low<T: Target>(t: &mut T, n: u32) -> Result<T::Vector, T::Fault> {
    t.read_vector(n, VectorSize::Xmm)
}

/// `a` with its low single or double replaced by `low`'s.
#[inline(always)]
fn merge<T: Target>(t: &mut T, size: VectorSize, a: &T::Vector, low: &T::Vector) -> T::Vector {
    if size == VectorSize::Dword {
        t.vector("low single into", |a, low| a.with_low_dword(low.low() as u32), a, low)
    } else {
        t.vector("low double into", |a, low| a.with_low_qword(low.low()), a, low)
    }
}

/// A scalar operation: the low bits of dst are op(src1, src2), the others up to bit 127 src1's.
/// Operand 2 has `from` bytes, the result `to`.
#[inline(always)]
fn scalar<T: Target>(
    t: &mut T,
    (from, to): (VectorSize, VectorSize),
    name: &'static str,
    op: FloatRule,
) -> Step<T> {
    let a = read_low(t, 1)?;
    let b = t.read_vector(2, from)?;
    let result = t.float(name, op, &a, &b)?;
    let merged = merge(t, to, &a, &result);
    write_low(t, &merged)
}

/// `scalar` with the immediate byte.
#[inline(always)]
fn scalar_imm<T: Target>(
    t: &mut T,
    (from, to): (VectorSize, VectorSize),
    name: &'static str,
    op: FloatImmRule,
) -> Step<T> {
    let a = read_low(t, 1)?;
    let b = t.read_vector(2, from)?;
    let result = t.float_imm(name, op, &a, &b)?;
    let merged = merge(t, to, &a, &result);
    write_low(t, &merged)
}

#[cfg(test)]
mod tests {
    use super::row;
    use cutaway_isa::{Code, CpuidFeature};

    #[test]
    fn every_code_of_avx_and_avx2_has_a_row() {
        let mut count = 0;
        for code in Code::values() {
            let ours = matches!(code.cpuid_features(), [CpuidFeature::AVX | CpuidFeature::AVX2]);
            if ours && format!("{code:?}").starts_with("VEX_V") {
                assert!(row(code).is_some(), "{code:?} has no row");
                count += 1;
            }
        }
        assert!(count > 550, "{count} codes");
    }
}
