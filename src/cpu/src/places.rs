//! Where the operands of fast handlers are: registers, immediates, and memory by the ways of
//! addressing it that have a handler of their own.

use crate::Vcpu;
use crate::fast::{Miss, Op};
use cutaway_isa::Width;
use std::marker::PhantomData;

/// Where an operand is.
pub(crate) trait Place: 'static {
    const MEMORY: bool = false;
    /// As the second place of a target: the number of the operand it is.
    const OPERAND: u32 = 1;
    /// The instruction's vectors have 256 bits.
    const IS_256: bool = false;
    /// The value of a register or immediate; `register` is the operand's field.
    fn value(_: &Vcpu, _: &Op, _register: u8, _: Width) -> u64 {
        0
    }
    /// The linear address of a memory operand.
    fn linear(_: &Vcpu, _: &Op, _size: u64, _write: bool) -> Result<u64, Miss> {
        Err(Miss)
    }
}

/// No such operand.
pub(crate) struct Nothing;
/// A register.
pub(crate) struct Reg;
/// The immediate.
pub(crate) struct Imm;
/// Memory, 64-bit address without index.
pub(crate) struct Base64;
/// Memory, 64-bit address.
pub(crate) struct Index64;
/// Memory, 64-bit address in FS or GS.
pub(crate) struct Based64;
/// Memory, 32-bit address in a flat segment.
pub(crate) struct Flat32;
/// Memory, 16- or 32-bit address in any segment.
pub(crate) struct Segmented;

/// The place of operand `OPERAND` of a VEX instruction with vectors of 128 or 256 bits.
pub(crate) struct Vex<P, const OPERAND: u32, const IS_256: bool>(PhantomData<P>);

impl<P: Place, const OPERAND: u32, const IS_256: bool> Place for Vex<P, OPERAND, IS_256> {
    const MEMORY: bool = P::MEMORY;
    const OPERAND: u32 = OPERAND;
    const IS_256: bool = IS_256;
    #[inline(always)]
    fn value(cpu: &Vcpu, op: &Op, register: u8, w: Width) -> u64 {
        P::value(cpu, op, register, w)
    }
    #[inline(always)]
    fn linear(cpu: &Vcpu, op: &Op, size: u64, write: bool) -> Result<u64, Miss> {
        P::linear(cpu, op, size, write)
    }
}

impl Place for Nothing {}
impl Place for Reg {
    #[inline(always)]
    fn value(cpu: &Vcpu, _: &Op, register: u8, w: Width) -> u64 {
        if w == Width::Byte {
            cpu.r[usize::from(register & 31)] >> (register >> 4 & 8) & 0xff
        } else {
            cpu.r[usize::from(register)] & w.mask()
        }
    }
}
impl Place for Imm {
    #[inline(always)]
    fn value(_: &Vcpu, op: &Op, _: u8, w: Width) -> u64 {
        op.imm & w.mask()
    }
}

#[inline(always)]
fn base(cpu: &Vcpu, op: &Op) -> u64 {
    cpu.r[usize::from(op.base)].wrapping_add(i64::from(op.disp) as u64)
}
#[inline(always)]
pub(crate) fn base_index(cpu: &Vcpu, op: &Op) -> u64 {
    base(cpu, op).wrapping_add(cpu.r[usize::from(op.index)] << (op.scale & 63))
}

impl Place for Base64 {
    const MEMORY: bool = true;
    #[inline(always)]
    fn linear(cpu: &Vcpu, op: &Op, _: u64, _: bool) -> Result<u64, Miss> {
        Ok(base(cpu, op))
    }
}
impl Place for Index64 {
    const MEMORY: bool = true;
    #[inline(always)]
    fn linear(cpu: &Vcpu, op: &Op, _: u64, _: bool) -> Result<u64, Miss> {
        Ok(base_index(cpu, op))
    }
}
impl Place for Based64 {
    const MEMORY: bool = true;
    #[inline(always)]
    fn linear(cpu: &Vcpu, op: &Op, _: u64, _: bool) -> Result<u64, Miss> {
        Ok(base_index(cpu, op).wrapping_add(cpu.windows[usize::from(op.seg & 7)].base))
    }
}
impl Place for Flat32 {
    const MEMORY: bool = true;
    #[inline(always)]
    fn linear(cpu: &Vcpu, op: &Op, _: u64, _: bool) -> Result<u64, Miss> {
        Ok(base_index(cpu, op) & 0xffff_ffff)
    }
}
impl Place for Segmented {
    const MEMORY: bool = true;
    #[inline(always)]
    fn linear(cpu: &Vcpu, op: &Op, size: u64, write: bool) -> Result<u64, Miss> {
        let mask = if op.address == Width::Word as u8 { 0xffff } else { 0xffff_ffff };
        in_window(cpu, usize::from(op.seg & 7), base_index(cpu, op) & mask, size, write)
    }
}

#[inline(always)]
pub(crate) fn in_window(
    cpu: &Vcpu,
    seg: usize,
    offset: u64,
    size: u64,
    write: bool,
) -> Result<u64, Miss> {
    let window = &cpu.windows[seg];
    let end = if write { window.write_end } else { window.read_end };
    if offset < window.low || offset + size > end {
        return Err(Miss);
    }
    Ok(window.base.wrapping_add(offset) & 0xffff_ffff)
}
