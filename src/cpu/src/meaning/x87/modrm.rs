//! What FOP wants to know of an instruction: its ModRM byte.
//!
//! Source: Intel SDM vol. 2 §2.1.3, tables 2-1 and 2-2. The decoder does not keep the byte, so it
//! is put together again from the operand.

use cutaway_isa::{Code, Instruction, OpKind, Register};

/// The decoder's number for 64-bit code.
const CODE_64: usize = 3;

/// Whether it is an instruction of opcodes D8 to DF.
pub(crate) fn is_x87(code: Code) -> bool {
    (Code::Fadd_m32fp as usize..=Code::Fcomip_st0_sti as usize).contains(&(code as usize))
}

/// The i of the ST(i) that is not ST(0), or 0.
pub(crate) fn st_number(i: &Instruction) -> u8 {
    (0..i.op_count())
        .filter(|&n| i.op_kind(n) == OpKind::Register && i.op_register(n).is_st())
        .map(|n| (i.op_register(n) as usize - Register::ST0 as usize) as u8)
        .max()
        .unwrap_or(0)
}

/// Bits 7:6 (mod) and 2:0 (r/m) of the ModRM byte of a memory operand.
pub(crate) fn memory_modrm(i: &Instruction) -> u8 {
    let (base, index) = (i.memory_base(), i.memory_index());
    let bare = base == Register::None;
    let displacement = match i.memory_displ_size() {
        _ if bare || i.is_ip_rel_memory_operand() => 0x00,
        0 => 0x00,
        1 => 0x40,
        _ => 0x80,
    };
    let is_16_bit =
        base.is_gpr16() || bare && index == Register::None && i.memory_displ_size() == 2;
    displacement | if is_16_bit { rm_16(base, index) } else { rm_32(i) }
}

fn rm_16(base: Register, index: Register) -> u8 {
    match (base, index) {
        (Register::BX, Register::SI) => 0,
        (Register::BX, Register::DI) => 1,
        (Register::BP, Register::SI) => 2,
        (Register::BP, Register::DI) => 3,
        (Register::SI, _) => 4,
        (Register::DI, _) => 5,
        (Register::BX, _) => 7,
        _ => 6, // BP, or a displacement alone
    }
}

fn rm_32(i: &Instruction) -> u8 {
    const SIB: u8 = 4;
    const DISPLACEMENT: u8 = 5;
    let base = i.memory_base();
    if i.is_ip_rel_memory_operand() {
        return DISPLACEMENT;
    }
    // A scale without an index is how our decoder tells of a SIB byte that says no more.
    if i.memory_index() != Register::None || i.memory_index_scale() != 1 {
        return SIB;
    }
    if base == Register::None {
        // In 64-bit mode r/m 5 is relative to RIP, so an address alone takes a SIB byte.
        return if i.code_size() as usize == CODE_64 { SIB } else { DISPLACEMENT };
    }
    (base.number() & 7) as u8
}
