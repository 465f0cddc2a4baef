//! The decoder: bytes to instructions, and instructions to text.

use iced_x86::{Decoder, DecoderError, DecoderOptions, Formatter, Instruction, NasmFormatter};

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
}

/// Decodes the first instruction of `bytes` as if it stood at `ip`.
///
/// Branch targets and RIP-relative addresses in the result are absolute, reckoned from `ip`.
pub fn decode(size: CodeSize, bytes: &[u8], ip: u64) -> Result<Instruction, DecodeError> {
    let mut decoder = Decoder::with_ip(size.bits(), bytes, ip, DecoderOptions::AMD);
    let instruction = decoder.decode();
    match decoder.last_error() {
        DecoderError::None => Ok(instruction),
        DecoderError::NoMoreBytes => Err(DecodeError::NeedsMore),
        _ => Err(DecodeError::Invalid),
    }
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
