//! Whether an operand fits where an opcode wants one, and how it is put there.
//!
//! Source: Intel SDM vol. 2A §3.1.1.3, "Instruction Column in the Opcode Summary Table".

use iced_x86::{
    Code, CodeSize, Instruction, OpCodeInfo, OpCodeOperandKind as Want, OpKind, Register,
};

use super::address::{Place, fit};
use super::error::AssembleCause;
use super::operand::{Distance, Words};

/// An operand whose expressions are worked out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Op {
    pub(super) column: usize,
    pub(super) words: Words,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    Register(Register),
    /// A number, and whether it is an address of this program, which keeps its full length.
    Immediate(i128, bool),
    /// Selector and offset.
    Far(i128, i128),
    Memory(Place),
}

impl Op {
    pub(super) fn register(register: Register, column: usize) -> Self {
        Self { column, words: Words::default(), what: What::Register(register) }
    }

    pub(super) fn immediate(number: i128, column: usize) -> Self {
        Self { column, words: Words::default(), what: What::Immediate(number, false) }
    }

    pub(super) fn as_register(&self) -> Option<Register> {
        match self.what {
            What::Register(register) => Some(register),
            _ => None,
        }
    }
}

/// Operands that the text does not name: memory that a string instruction and its like reach.
fn is_hidden(want: Want) -> bool {
    matches!(want, Want::seg_rSI | Want::es_rDI | Want::seg_rDI | Want::seg_rBX_al)
}

/// Which operands of an opcode are written.
pub(super) fn visible(info: &OpCodeInfo) -> impl Iterator<Item = (u32, Want)> + '_ {
    let string = info.op_kinds().iter().any(|want| matches!(want, Want::seg_rSI | Want::es_rDI));
    let wants = (0..).zip(info.op_kinds().iter().copied());
    wants.filter(move |(_, want)| !string && !is_hidden(*want))
}

/// Whether the opcode takes these operands, as far as their kinds go.
pub(super) fn takes(code: Code, ops: &[Op], bits: u32) -> bool {
    let info = code.op_code();
    let mut wants = visible(info);
    let all = ops.iter().all(|op| wants.next().is_some_and(|(_, want)| fits(want, op, info, bits)));
    all && wants.next().is_none()
}

fn fits(want: Want, op: &Op, info: &OpCodeInfo, bits: u32) -> bool {
    match op.what {
        What::Register(register) => {
            let only_to = op.words.to && want == Want::st0;
            fits_register(want, register) && op.words.distance.is_none() && !only_to
        }
        What::Immediate(number, section) => fits_immediate(want, op, number, section, bits),
        What::Far(..) => match want {
            Want::farbr2_2 => matches!(op.words.size, None | Some(2)),
            Want::farbr4_2 => matches!(op.words.size, None | Some(4)),
            _ => false,
        },
        What::Memory(place) => fits_memory(want, op, place, info),
    }
}

fn fits_register(want: Want, register: Register) -> bool {
    let is = |other| register == other;
    match want {
        Want::r8_or_mem | Want::r8_reg | Want::r8_opcode => register.is_gpr8(),
        Want::r16_or_mem | Want::r16_reg | Want::r16_reg_mem | Want::r16_rm | Want::r16_opcode => {
            register.is_gpr16()
        }
        Want::r32_or_mem
        | Want::r32_or_mem_mpx
        | Want::r32_reg
        | Want::r32_reg_mem
        | Want::r32_rm
        | Want::r32_opcode
        | Want::r32_vvvv => register.is_gpr32(),
        Want::r64_or_mem
        | Want::r64_or_mem_mpx
        | Want::r64_reg
        | Want::r64_reg_mem
        | Want::r64_rm
        | Want::r64_opcode
        | Want::r64_vvvv => register.is_gpr64(),
        Want::mm_or_mem | Want::mm_reg | Want::mm_rm => register.is_mm(),
        Want::xmm_or_mem
        | Want::xmm_reg
        | Want::xmm_rm
        | Want::xmm_vvvv
        | Want::xmm_is4
        | Want::xmm_is5 => register.is_xmm(),
        Want::ymm_or_mem
        | Want::ymm_reg
        | Want::ymm_rm
        | Want::ymm_vvvv
        | Want::ymm_is4
        | Want::ymm_is5 => register.is_ymm(),
        Want::bnd_or_mem_mpx | Want::bnd_reg => register.is_bnd(),
        Want::k_or_mem | Want::k_reg | Want::k_rm | Want::k_vvvv => register.is_k(),
        Want::tmm_reg | Want::tmm_rm | Want::tmm_vvvv => register.is_tmm(),
        Want::seg_reg => register.is_segment_register(),
        Want::cr_reg => register.is_cr(),
        Want::dr_reg => register.is_dr(),
        Want::tr_reg => register.is_tr(),
        Want::es => is(Register::ES),
        Want::cs => is(Register::CS),
        Want::ss => is(Register::SS),
        Want::ds => is(Register::DS),
        Want::fs => is(Register::FS),
        Want::gs => is(Register::GS),
        Want::al => is(Register::AL),
        Want::cl => is(Register::CL),
        Want::ax => is(Register::AX),
        Want::dx => is(Register::DX),
        Want::eax => is(Register::EAX),
        Want::rax => is(Register::RAX),
        Want::st0 => is(Register::ST0),
        Want::sti_opcode => register.is_st(),
        _ => false,
    }
}

/// Bytes of the operand that an immediate stands for, and of its encoding.
fn immediate_sizes(want: Want, bits: u32) -> Option<(&'static [u32], u32)> {
    Some(match want {
        Want::imm8 | Want::imm8_const_1 | Want::imm4_m2z => (&[1], 1),
        Want::imm8sex16 => (&[1, 2], 1),
        Want::imm8sex32 => (&[1, 4], 1),
        // A dword that is pushed, or added to 64 bits, is extended.
        Want::imm8sex64 if bits == 64 => (&[1, 4, 8], 1),
        Want::imm8sex64 => (&[1, 8], 1),
        Want::imm16 => (&[2], 2),
        Want::imm32 => (&[4], 4),
        Want::imm32sex64 => (&[4, 8], 4),
        Want::imm64 => (&[8], 8),
        _ => return None,
    })
}

fn fits_immediate(want: Want, op: &Op, number: i128, section: bool, bits: u32) -> bool {
    if let Some((sizes, encoded)) = immediate_sizes(want, bits) {
        let extended = matches!(want, Want::imm8sex16 | Want::imm8sex32 | Want::imm8sex64);
        let size = op.words.size;
        return op.words.distance.is_none()
            && size.is_none_or(|size| sizes.contains(&size))
            && !(op.words.strict && size.is_some_and(|size| size != encoded))
            && !(op.words.strict && size.is_none() && extended)
            && !(section && extended && size != Some(1))
            && !(want == Want::imm8_const_1 && (number != 1 || section));
    }
    let (near, target) = match want {
        Want::br16_1 => (false, 16),
        Want::br32_1 => (false, 32),
        Want::br64_1 => (false, 64),
        Want::br16_2 => (true, 16),
        Want::br32_4 => (true, 32),
        Want::br64_4 => (true, 64),
        Want::xbegin_2 | Want::xbegin_4 => (true, if bits == 64 { 64 } else { 32 }),
        _ => return false,
    };
    let distance = if near { Distance::Near } else { Distance::Short };
    op.words.distance.is_none_or(|asked| asked == distance)
        && op.words.size.is_none_or(|size| size * 8 == target)
}

fn fits_memory(want: Want, op: &Op, place: Place, info: &OpCodeInfo) -> bool {
    let shape = match want {
        Want::mem_offs => place.base == Register::None && place.index == Register::None,
        _ if place.offset_only => false,
        Want::mem_vsib32x | Want::mem_vsib64x => place.index.is_xmm(),
        Want::mem_vsib32y | Want::mem_vsib64y => place.index.is_ymm(),
        Want::mem
        | Want::mem_mpx
        | Want::mem_mib
        | Want::sibmem
        | Want::r8_or_mem
        | Want::r16_or_mem
        | Want::r32_or_mem
        | Want::r32_or_mem_mpx
        | Want::r64_or_mem
        | Want::r64_or_mem_mpx
        | Want::mm_or_mem
        | Want::xmm_or_mem
        | Want::ymm_or_mem
        | Want::bnd_or_mem_mpx
        | Want::k_or_mem => !place.index.is_vector_register(),
        _ => false,
    };
    let far = is_far(info.code());
    let asked = op.words.distance;
    if !shape || (asked == Some(Distance::Far)) != far || asked == Some(Distance::Short) {
        return false;
    }
    let Some(size) = op.words.size else { return true };
    if far {
        return size * 8 == info.operand_size();
    }
    matches!(info.memory_size().size(), 0) || info.memory_size().size() == size as usize
}

/// CALL and JMP through a far pointer in memory.
fn is_far(code: Code) -> bool {
    matches!(
        code,
        Code::Call_m1616
            | Code::Call_m1632
            | Code::Call_m1664
            | Code::Jmp_m1616
            | Code::Jmp_m1632
            | Code::Jmp_m1664
    )
}

/// Puts an operand into an instruction.
pub(super) fn put(
    instruction: &mut Instruction,
    (n, want): (u32, Want),
    op: &Op,
) -> Result<(), AssembleCause> {
    match op.what {
        What::Register(register) => {
            instruction.set_op_kind(n, OpKind::Register);
            instruction.set_op_register(n, register);
        }
        What::Far(selector, offset) => {
            let selector = fit(selector, 16, "a selector")? as u16;
            instruction.set_far_branch_selector(selector);
            if want == Want::farbr2_2 {
                instruction.set_op_kind(n, OpKind::FarBranch16);
                instruction.set_far_branch16(fit(offset, 16, "an offset of 16 bits")? as u16);
            } else {
                instruction.set_op_kind(n, OpKind::FarBranch32);
                instruction.set_far_branch32(fit(offset, 32, "an offset of 32 bits")? as u32);
            }
        }
        What::Memory(place) => {
            instruction.set_op_kind(n, OpKind::Memory);
            instruction.set_memory_base(place.base);
            instruction.set_memory_index(place.index);
            instruction.set_memory_index_scale(place.scale);
            instruction.set_memory_displacement64(place.displacement);
            instruction.set_memory_displ_size(place.displacement_size);
            if let Some(segment) = place.segment {
                instruction.set_segment_prefix(segment);
            }
        }
        What::Immediate(number, _) => put_number(instruction, n, want, number)?,
    }
    Ok(())
}

fn put_number(to: &mut Instruction, n: u32, want: Want, number: i128) -> Result<(), AssembleCause> {
    let target = |bits| fit(number, bits, &format!("an address of {bits} bits"));
    let (kind, value) = match want {
        Want::br16_1 | Want::br16_2 => {
            to.set_op_kind(n, OpKind::NearBranch16);
            to.set_near_branch16(target(16)? as u16);
            return Ok(());
        }
        Want::br32_1 | Want::br32_4 => {
            to.set_op_kind(n, OpKind::NearBranch32);
            to.set_near_branch32(target(32)? as u32);
            return Ok(());
        }
        Want::br64_1 | Want::br64_4 => {
            to.set_op_kind(n, OpKind::NearBranch64);
            to.set_near_branch64(target(64)?);
            return Ok(());
        }
        Want::xbegin_2 | Want::xbegin_4 if to.code_size() == CodeSize::Code64 => {
            to.set_op_kind(n, OpKind::NearBranch64);
            to.set_near_branch64(target(64)?);
            return Ok(());
        }
        // Of 32 bits in 16-bit code, too.
        Want::xbegin_2 | Want::xbegin_4 => {
            to.set_op_kind(n, OpKind::NearBranch32);
            to.set_near_branch32(target(32)? as u32);
            return Ok(());
        }
        Want::imm8 | Want::imm8_const_1 => (OpKind::Immediate8, fit(number, 8, "a byte")?),
        Want::imm4_m2z => (OpKind::Immediate8, fit(number, 4, "4 bits")?),
        Want::imm8sex16 => (OpKind::Immediate8to16, sign_extended(number, 16, 8)?),
        Want::imm8sex32 => (OpKind::Immediate8to32, sign_extended(number, 32, 8)?),
        Want::imm8sex64 => (OpKind::Immediate8to64, sign_extended(number, 64, 8)?),
        Want::imm16 => (OpKind::Immediate16, fit(number, 16, "a word")?),
        Want::imm32 => (OpKind::Immediate32, fit(number, 32, "a dword")?),
        Want::imm32sex64 => (OpKind::Immediate32to64, sign_extended(number, 64, 32)?),
        _ => (OpKind::Immediate64, fit(number, 64, "a qword")?),
    };
    // Two bytes behind one another: ENTER, EXTRQ, INSERTQ.
    let second = kind == OpKind::Immediate8
        && (0..n).any(|n| matches!(to.op_kind(n), OpKind::Immediate8 | OpKind::Immediate16));
    let kind = if second { OpKind::Immediate8_2nd } else { kind };
    to.set_op_kind(n, kind);
    match kind {
        OpKind::Immediate8 => to.set_immediate8(value as u8),
        OpKind::Immediate8_2nd => to.set_immediate8_2nd(value as u8),
        OpKind::Immediate16 => to.set_immediate16(value as u16),
        OpKind::Immediate32 => to.set_immediate32(value as u32),
        OpKind::Immediate64 => to.set_immediate64(value),
        OpKind::Immediate8to16 => to.set_immediate8to16(value as i16),
        OpKind::Immediate8to32 => to.set_immediate8to32(value as i32),
        OpKind::Immediate8to64 => to.set_immediate8to64(value as i64),
        _ => to.set_immediate32to64(value as i64),
    }
    Ok(())
}

/// A number of `bits` bits that is the sign extension of its low `low` ones.
fn sign_extended(number: i128, bits: u32, low: u32) -> Result<u64, AssembleCause> {
    let place = format!("{low} bits that are extended by their sign to {bits}");
    let full = fit(number, bits, &place)?;
    let signed = ((full << (64 - bits)) as i64) >> (64 - bits);
    let shift = 64 - low;
    if (signed << shift) >> shift != signed {
        let value = number.to_string();
        return Err(AssembleCause::Range { value, place });
    }
    Ok(signed as u64)
}

/// Puts the operands that the text does not name.
pub(super) fn put_hidden(instruction: &mut Instruction, info: &OpCodeInfo, address_bits: u32) {
    let string = info.op_kinds().iter().any(|want| matches!(want, Want::seg_rSI | Want::es_rDI));
    for (n, want) in (0..).zip(info.op_kinds().iter().copied()) {
        let by_size = |kinds: [OpKind; 3]| match address_bits {
            16 => kinds[0],
            32 => kinds[1],
            _ => kinds[2],
        };
        let kind = match want {
            Want::seg_rSI => {
                by_size([OpKind::MemorySegSI, OpKind::MemorySegESI, OpKind::MemorySegRSI])
            }
            Want::es_rDI => by_size([OpKind::MemoryESDI, OpKind::MemoryESEDI, OpKind::MemoryESRDI]),
            Want::seg_rDI => {
                by_size([OpKind::MemorySegDI, OpKind::MemorySegEDI, OpKind::MemorySegRDI])
            }
            Want::seg_rBX_al => {
                let base = match address_bits {
                    16 => Register::BX,
                    32 => Register::EBX,
                    _ => Register::RBX,
                };
                instruction.set_memory_base(base);
                instruction.set_memory_index(Register::AL);
                OpKind::Memory
            }
            _ if string => {
                let register = match want {
                    Want::al => Register::AL,
                    Want::ax => Register::AX,
                    Want::eax => Register::EAX,
                    Want::rax => Register::RAX,
                    _ => Register::DX,
                };
                instruction.set_op_register(n, register);
                OpKind::Register
            }
            _ => continue,
        };
        instruction.set_op_kind(n, kind);
    }
}
