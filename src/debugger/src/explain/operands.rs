//! The operands of an instruction, named and implied, with their places and values.
//!
//! Memory is in `places.rs`.
//!
//! Source: Intel SDM vol. 2; vol. 1 §3.7, "Operand Addressing".
//! Accesses to descriptor tables and TSS are not operands: the dry run tells of them.

use super::places::{MemoryPlace, places};
use super::sentence::operand_texts;
use super::subject::Subject;
use cutaway_isa::{Instruction, OpKind, Register, Use, operand_use, register_uses};

/// An operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operand {
    /// As it is written, or what it is where it is implied.
    pub text: String,
    /// Whether the instruction does not name it.
    pub implied: bool,
    /// How it is used.
    pub access: Use,
    /// Where it is, with its value.
    pub place: Place,
}

/// Where an operand is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a register, with its value in hexadecimal digits.
    Register(String),
    /// In the instruction itself.
    Immediate(u64),
    /// An offset to go on at.
    Target(String),
    /// In memory.
    Memory(MemoryPlace),
}

/// All operands: those that are named, in their order, then those that are implied.
pub(crate) fn operands(subject: &Subject<'_>, instruction: &Instruction) -> Vec<Operand> {
    let mut all = Vec::new();
    let texts = operand_texts(instruction);
    let mut memory = places(subject, instruction);
    for n in 0..instruction.op_count() {
        let text = texts.get(n as usize).cloned();
        let access = operand_use(instruction, n);
        let place = match instruction.op_kind(n) {
            OpKind::Register => {
                let register = instruction.op_register(n);
                let name = format!("{register:?}").to_lowercase();
                let text = text.filter(|text| *text == name).unwrap_or(name);
                let place = Place::Register(register_text(subject, register));
                all.push(Operand { text, implied: false, access, place });
                continue;
            }
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
                Place::Target(format!("{:#x}", instruction.near_branch_target()))
            }
            OpKind::FarBranch16 | OpKind::FarBranch32 => {
                Place::Target(text.clone().unwrap_or_default())
            }
            OpKind::Memory => {
                let text = text.unwrap_or_default();
                let of_operand: Vec<_> =
                    memory.iter().filter(|(named, _)| *named).cloned().collect();
                memory.retain(|(named, _)| !named);
                for (_, (_, access, place)) in of_operand {
                    let place = Place::Memory(place);
                    all.push(Operand { text: text.clone(), implied: false, access, place });
                }
                continue;
            }
            kind if is_immediate(kind) => Place::Immediate(instruction.immediate(n)),
            _ => continue, // string operands come with the implied ones
        };
        let text = text.unwrap_or_else(|| "operand".to_owned());
        all.push(Operand { text, implied: false, access, place });
    }
    for (_, (text, access, place)) in memory {
        all.push(Operand { text, implied: true, access, place: Place::Memory(place) });
    }
    all.extend(implied_registers(subject, instruction));
    all
}

fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate8
            | OpKind::Immediate8_2nd
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
}

/// Registers that are neither operands nor parts of an address.
fn implied_registers(subject: &Subject<'_>, instruction: &Instruction) -> Vec<Operand> {
    let named = |register: Register| {
        (0..instruction.op_count()).any(|n| {
            instruction.op_kind(n) == OpKind::Register
                && instruction.op_register(n).full_register() == register.full_register()
        })
    };
    let stack = |register: Register| register.full_register() == Register::RSP;
    let of_address = |register: Register| {
        instruction.memory_base().full_register() == register.full_register()
            || instruction.memory_index().full_register() == register.full_register()
    };
    let mut found: Vec<Operand> = Vec::new();
    for (register, access) in register_uses(instruction) {
        let wanted = (register.is_gpr() || register == Register::XMM0)
            && !named(register)
            && (!of_address(register) || access.writes)
            && !stack(register);
        let text = format!("{register:?}").to_lowercase();
        if let Some(known) = found.iter_mut().find(|operand| operand.text == text) {
            known.access.reads |= access.reads;
            known.access.writes |= access.writes;
        } else if wanted {
            let place = Place::Register(register_text(subject, register));
            found.push(Operand { text, implied: true, access, place });
        }
    }
    found
}

/// The value of any register, in hexadecimal digits.
pub(crate) fn register_text(subject: &Subject<'_>, register: Register) -> String {
    let state = &subject.state;
    let number = register.number();
    if let Some(value) = subject.register(register) {
        return format!("{value:#x}");
    }
    if register.is_xmm() || register.is_ymm() {
        let low = state.xmm[number & 15].to_u128();
        if register.is_xmm() {
            return format!("{low:#034x}");
        }
        return format!("{:#034x}:{low:032x}", state.ymm_high[number & 15].to_u128());
    }
    if register.is_mm() {
        return format!("{:#018x}", state.x87.mmx(number & 7));
    }
    if register.is_st() {
        if state.x87.is_empty(number) {
            return "empty".to_owned();
        }
        let value = state.x87.st(number);
        return format!("{:#06x}:{:016x}", value.sign_exponent, value.significand);
    }
    let system = &state.system;
    let value = match register {
        Register::CR0 => system.cr0,
        Register::CR2 => system.cr2,
        Register::CR3 => system.cr3,
        Register::CR4 => system.cr4,
        Register::CR8 => system.cr8,
        Register::DR0 | Register::DR1 | Register::DR2 | Register::DR3 => system.dr[number & 3],
        Register::DR4 | Register::DR6 => system.dr6,
        Register::DR5 | Register::DR7 => system.dr7,
        _ => return "?".to_owned(),
    };
    format!("{value:#x}")
}
