//! Random bytes as code: decoding, lengths, #UD against #GP, the limit of 15 bytes.

use cutaway_isa::{CodeSize, DecodeError};

use super::encode::{Encoding, decode};
use super::values::{Draw, mix};
use super::{Generated, around};

const PREFIXES: [u8; 11] = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3];

/// The case of random bytes of this seed and index.
#[must_use]
pub fn generate(size: CodeSize, seed: u64, index: u64) -> Generated {
    let mut draw = Draw::new(mix(mix(seed ^ u64::from(size.bits())) ^ mix(index)));
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&draw.bits().to_le_bytes());
    bytes[8..].copy_from_slice(&draw.bits().to_le_bytes());
    let prefixes = match draw.below(100) {
        0..=59 => 0,
        60..=79 => 1,
        80..=89 => 2,
        90..=96 => 3 + draw.below(8),
        _ => 8 + draw.below(8),
    };
    for byte in bytes.iter_mut().take(prefixes as usize) {
        *byte = draw.pick(&PREFIXES);
    }
    let at = prefixes as usize;
    if size == CodeSize::Bits64 && at < 15 && draw.chance(25) {
        bytes[at] = 0x40 | bytes[at] & 15;
    }
    if at < 14 && draw.chance(40) {
        bytes[at + usize::from(draw.chance(20))] = 0x0f;
    }
    let encoding = decode(size, &bytes[..15]).unwrap_or_else(|| {
        // No instruction: what the decoder read of it, or all of it.
        let len = match cutaway_isa::decode(size, &bytes[..15], 0) {
            Err(DecodeError::Invalid) => 15,
            _ => 16,
        };
        let instruction = iced_x86::Instruction::default();
        Encoding { bytes, len, instruction, displacement: (0, 0) }
    });
    let mut generated = around(size, encoding, &mut draw);
    generated.case.len = encoding.len as u8;
    generated
}

/// Whether silicon can be asked: the bytes are no instruction, or one in scope that this CPU has
/// and whose result is a function of what it sees.
#[must_use]
pub fn is_comparable(generated: &Generated) -> bool {
    let code = generated.encoding.instruction.code();
    if code != iced_x86::Code::INVALID {
        return super::forms::excluded(code).is_none()
            && has(code)
            && super::special::is_safe(generated);
    }
    // Behind prefixes VMCALL, RDPKRU and INVLPGB are no instructions to the decoder, but to silicon.
    let case = &generated.case;
    let plain: Vec<u8> = case
        .code()
        .iter()
        .copied()
        .filter(|byte| ![0x66, 0xf0, 0xf2, 0xf3].contains(byte))
        .collect();
    let plain = cutaway_isa::decode(case.size(), &plain, 0);
    !plain.is_ok_and(|instruction| super::forms::excluded(instruction.code()).is_some())
}

/// Whether the host's CPU has it; only such a one is asked.
fn has(code: iced_x86::Code) -> bool {
    #[cfg(target_arch = "x86_64")]
    return super::forms::host_has(code);
    #[cfg(not(target_arch = "x86_64"))]
    return code != iced_x86::Code::INVALID;
}
