//! The decoder: bytes to instructions, and instructions to text.

use iced_x86::{
    Code, Decoder, DecoderError, DecoderOptions, Formatter, Instruction, NasmFormatter, OpKind,
    Register,
};

use crate::length::{PREFIXES, length};

/// Default operand and address size of a code segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodeSize {
    /// Real mode, virtual-8086 mode, 16-bit code segments.
    Bits16,
    /// 32-bit code segments.
    Bits32,
    /// 64-bit mode.
    Bits64,
}

impl CodeSize {
    /// 16, 32 or 64.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits16 => 16,
            Self::Bits32 => 32,
            Self::Bits64 => 64,
        }
    }
}

/// Why bytes are no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The instruction goes on behind the end of the bytes.
    NeedsMore,
    /// No instruction: #UD.
    Invalid,
    /// More than 15 bytes: #GP(0).
    TooLong,
}

/// The most bytes that an instruction may have.
pub const MAX_LENGTH: usize = 15;

/// Decodes the first instruction of `bytes` as if it stood at `ip`.
///
/// Branch targets and RIP-relative addresses in the result are absolute, reckoned from `ip`.
pub fn decode(size: CodeSize, bytes: &[u8], ip: u64) -> Result<Instruction, DecodeError> {
    let mut decoder = Decoder::with_ip(size.bits(), bytes, ip, DecoderOptions::AMD);
    let mut instruction = decoder.decode();
    match decoder.last_error() {
        DecoderError::None => adapt(size, bytes, &mut instruction).map(|()| instruction),
        _ => refused(size, bytes, ip),
    }
}

/// Where the decoder finds displacement and immediates.
#[cfg(test)]
pub(crate) fn constants(size: CodeSize, bytes: &[u8]) -> iced_x86::ConstantOffsets {
    let mut decoder = Decoder::with_ip(size.bits(), bytes, 0, DecoderOptions::AMD);
    let instruction = decoder.decode();
    decoder.get_constant_offsets(&instruction)
}

/// Decodes one instruction after the other.
pub struct Stream<'a> {
    size: CodeSize,
    bytes: &'a [u8],
    decoder: Decoder<'a>,
}

impl<'a> Stream<'a> {
    /// From the start of `bytes`, as if they stood at 0.
    #[must_use]
    pub fn new(size: CodeSize, bytes: &'a [u8]) -> Self {
        Self { size, bytes, decoder: Decoder::new(size.bits(), bytes, DecoderOptions::AMD) }
    }

    /// The next instruction, as [`decode`] gives it, with its place in the stream for IP. After an
    /// error there is no next one.
    pub fn decode(&mut self) -> Result<Instruction, DecodeError> {
        let start = self.decoder.position();
        let mut instruction = self.decoder.decode();
        match self.decoder.last_error() {
            DecoderError::None => {
                adapt(self.size, &self.bytes[start..], &mut instruction).map(|()| instruction)
            }
            _ => refused(self.size, &self.bytes[start..], start as u64),
        }
    }
}

/// What the reference silicon takes otherwise than iced-x86 (measured on Zen 3).
fn adapt(size: CodeSize, bytes: &[u8], instruction: &mut Instruction) -> Result<(), DecodeError> {
    if size != CodeSize::Bits64 && has_vex_w_of_64_bits(bytes, instruction) {
        return Err(DecodeError::Invalid);
    }
    let segment = instruction.segment_prefix();
    if size == CodeSize::Bits64
        && matches!(segment, Register::ES | Register::CS | Register::SS | Register::DS)
    {
        // Ignored; the base register alone says whether #SS or #GP is raised (Intel SDM vol. 1
        // §3.4.2.1, "Segment Registers in 64-Bit Mode").
        instruction.set_segment_prefix(Register::None);
    }
    mark_sib(bytes, instruction);
    if size == CodeSize::Bits64
        && instruction.code() == Code::Call_m1632
        && has_rex_w(&bytes[..instruction.len()])
    {
        // The pointer stays m16:32, but the slots of the return address are as wide as m16:64's.
        instruction.set_code(Code::Call_m1664);
    }
    let (repe, repne) = (instruction.has_repe_prefix(), instruction.has_repne_prefix());
    if repe || repne {
        let (equal, unequal) = match instruction.code() {
            Code::Loope_rel8_16_CX | Code::Loopne_rel8_16_CX => {
                (Code::Loope_rel8_16_CX, Code::Loopne_rel8_16_CX)
            }
            Code::Loope_rel8_16_ECX | Code::Loopne_rel8_16_ECX => {
                (Code::Loope_rel8_16_ECX, Code::Loopne_rel8_16_ECX)
            }
            Code::Loope_rel8_16_RCX | Code::Loopne_rel8_16_RCX => {
                (Code::Loope_rel8_16_RCX, Code::Loopne_rel8_16_RCX)
            }
            Code::Loope_rel8_32_CX | Code::Loopne_rel8_32_CX => {
                (Code::Loope_rel8_32_CX, Code::Loopne_rel8_32_CX)
            }
            Code::Loope_rel8_32_ECX | Code::Loopne_rel8_32_ECX => {
                (Code::Loope_rel8_32_ECX, Code::Loopne_rel8_32_ECX)
            }
            Code::Loope_rel8_64_ECX | Code::Loopne_rel8_64_ECX => {
                (Code::Loope_rel8_64_ECX, Code::Loopne_rel8_64_ECX)
            }
            Code::Loope_rel8_64_RCX | Code::Loopne_rel8_64_RCX => {
                (Code::Loope_rel8_64_RCX, Code::Loopne_rel8_64_RCX)
            }
            _ => return Ok(()),
        };
        // A repeat prefix wins over the opcode.
        instruction.set_code(if repe { equal } else { unequal });
    }
    if size == CodeSize::Bits64 && instruction.code() == Code::Pause {
        exchange_for_pause(&bytes[..instruction.len()], instruction);
    }
    Ok(())
}

/// Whether VEX.W makes this VPEXTRQ or VPINSRQ, which 64-bit code alone has.
fn has_vex_w_of_64_bits(bytes: &[u8], instruction: &Instruction) -> bool {
    let either = matches!(
        instruction.code(),
        Code::VEX_Vpextrd_rm32_xmm_imm8 | Code::VEX_Vpinsrd_xmm_xmm_rm32_imm8
    );
    let vex = bytes.iter().position(|byte| !PREFIXES.contains(byte));
    either && vex.and_then(|at| bytes.get(at + 2)).is_some_and(|byte| byte & 0x80 != 0)
}

/// Whether REX.W stands right before the opcode. To be asked in 64-bit code only.
fn has_rex_w(bytes: &[u8]) -> bool {
    let opcode = bytes.iter().position(|byte| !PREFIXES.contains(byte) && byte & 0xf0 != 0x40);
    opcode.is_some_and(|opcode| opcode > 0 && bytes[opcode - 1] & 0xf8 == 0x48)
}

/// Gives a memory operand of an x87 instruction a scale where a SIB byte names a base alone or
/// nothing, which iced-x86 does not tell apart from no SIB byte; FOP does.
fn mark_sib(bytes: &[u8], instruction: &mut Instruction) {
    let x87 = Code::Fadd_m32fp as usize..=Code::Fcomip_st0_sti as usize;
    if !x87.contains(&(instruction.code() as usize))
        || instruction.memory_index() != Register::None
        || (0..instruction.op_count()).all(|n| instruction.op_kind(n) != OpKind::Memory)
    {
        return;
    }
    let displacement = match instruction.memory_displ_size() {
        8 => 4,
        size => size as usize,
    };
    // Without SIB, the opcode (D8 to DF) is two bytes before the displacement.
    let opcode = (instruction.len() - displacement).checked_sub(2).and_then(|at| bytes.get(at));
    if opcode.is_some_and(|opcode| !(0xd8..=0xdf).contains(opcode)) {
        instruction.set_memory_index_scale(2);
    }
}

/// F3 90 with REX.B is no PAUSE but XCHG of R8 and rAX: as without REX, the prefix says nothing.
fn exchange_for_pause(bytes: &[u8], instruction: &mut Instruction) {
    let [prefixes @ .., rex, _] = bytes else { return };
    if rex & 0xf1 != 0x41 {
        return;
    }
    let (code, operands) = if rex & 8 != 0 {
        (Code::Xchg_r64_RAX, [Register::R8, Register::RAX])
    } else if prefixes.contains(&0x66) {
        (Code::Xchg_r16_AX, [Register::R8W, Register::AX])
    } else {
        (Code::Xchg_r32_EAX, [Register::R8D, Register::EAX])
    };
    instruction.set_code(code);
    instruction.set_op0_kind(OpKind::Register);
    instruction.set_op0_register(operands[0]);
    instruction.set_op1_kind(OpKind::Register);
    instruction.set_op1_register(operands[1]);
}

/// What becomes of bytes that iced-x86 has no instruction for.
fn refused(size: CodeSize, bytes: &[u8], ip: u64) -> Result<Instruction, DecodeError> {
    match length(size, bytes) {
        Some(len) if len <= MAX_LENGTH => locked_verw(size, bytes, ip).ok_or(DecodeError::Invalid),
        None if bytes.len() < MAX_LENGTH => Err(DecodeError::NeedsMore),
        _ => Err(DecodeError::TooLong),
    }
}

/// VERW of memory takes a LOCK prefix, which says nothing (measured on Zen 3).
fn locked_verw(size: CodeSize, bytes: &[u8], ip: u64) -> Option<Instruction> {
    let options = DecoderOptions::AMD | DecoderOptions::NO_INVALID_CHECK;
    let mut instruction = Decoder::with_ip(size.bits(), bytes, ip, options).decode();
    let takes =
        matches!(instruction.code(), Code::Verw_rm16 | Code::Verw_r32m16 | Code::Verw_r64m16)
            && instruction.op0_kind() == OpKind::Memory
            && instruction.has_lock_prefix();
    if !takes {
        return None;
    }
    instruction.set_has_lock_prefix(false);
    adapt(size, bytes, &mut instruction).ok().map(|()| instruction)
}

/// The instruction in NASM syntax.
#[must_use]
pub fn disassemble(instruction: &Instruction) -> String {
    let mut formatter = NasmFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_space_after_operand_separator(true);
    options.set_uppercase_hex(false);
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_bytes_are_an_instruction_and_sixteen_are_not() {
        let mut bytes = [0x2e; 15];
        bytes[14] = 0x90;
        assert_eq!(decode(CodeSize::Bits32, &bytes, 0).map(|i| i.len()), Ok(15));

        let mut bytes = [0x2e; 16];
        bytes[15] = 0x90;
        assert_eq!(decode(CodeSize::Bits32, &bytes, 0), Err(DecodeError::TooLong));
        assert_eq!(decode(CodeSize::Bits32, &[0x0f, 0x0b], 0).map(|i| i.len()), Ok(2));
        assert_eq!(decode(CodeSize::Bits32, &[0x0f, 0xa4], 0), Err(DecodeError::NeedsMore));
        assert_eq!(decode(CodeSize::Bits64, &[0x06, 0, 0], 0), Err(DecodeError::Invalid));
    }

    /// Intel SDM vol. 2A §2.3.2 to §2.3.6: what may not stand before a VEX prefix, and VEX.vvvv
    /// where there is no such operand.
    #[test]
    fn vex_takes_no_other_prefixes_and_no_superfluous_register() {
        let vaddps = [0xc5, 0xf8, 0x58, 0xc1];
        for prefix in [0x66, 0xf0, 0xf2, 0xf3, 0x48] {
            let bytes = [&[prefix], &vaddps[..]].concat();
            assert_eq!(
                decode(CodeSize::Bits64, &bytes, 0),
                Err(DecodeError::Invalid),
                "{prefix:#x}"
            );
        }
        assert!(decode(CodeSize::Bits64, &vaddps, 0).is_ok());
        let vmovaps = [0xc5, 0xf8, 0x28, 0xc1];
        assert!(decode(CodeSize::Bits64, &vmovaps, 0).is_ok());
        let with_register = [0xc5, 0xf0, 0x28, 0xc1];
        assert_eq!(decode(CodeSize::Bits64, &with_register, 0), Err(DecodeError::Invalid));
    }
}
