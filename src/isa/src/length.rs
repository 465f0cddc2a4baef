//! The parts of an instruction's bytes, and how long they are even where no such instruction exists.
//!
//! A CPU finds the length before it finds that there is no such instruction: more than 15 bytes are
//! #GP(0) and not #UD, and the bytes behind a page end are fetched first (measured on Zen 3).
//!
//! Source: Intel SDM vol. 2 §2, "Instruction Format", and appendix A, "Opcode Map".

use crate::decode::CodeSize;

/// The prefixes of all modes; REX is none of them.
pub(crate) const PREFIXES: [u8; 11] =
    [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3];

/// What follows an opcode besides ModRM, SIB and displacement.
#[derive(Clone, Copy, PartialEq)]
enum Immediate {
    Bytes(usize),
    /// 2 or 4 bytes, by the operand size.
    Operand,
    /// 2, 4 or 8 bytes, by the operand size.
    Wide,
    /// An offset of the address size.
    Address,
    /// An offset of the operand size and a selector.
    Far,
}
use Immediate::{Address, Bytes, Far, Operand, Wide};

/// In the number of an opcode map: XOP's.
const XOP: u8 = 0x20;
/// XOP's map with immediates of 4 bytes.
const XOP_A: u8 = XOP | 10;

/// The bytes as they are read.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }
}

/// Where the parts of an instruction are among its bytes: first byte and count, 0 for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Bytes before VEX or the opcode: legacy prefixes and REX, in the order in which they stand.
    pub prefixes: usize,
    /// The last prefix is a REX that counts.
    pub has_rex: bool,
    /// VEX with its payload: 2 or 3 bytes.
    pub vex: usize,
    /// The opcode with its escape bytes.
    pub opcode: usize,
    /// Whether a ModRM byte follows.
    pub has_modrm: bool,
    /// Whether a SIB byte follows.
    pub has_sib: bool,
    /// Bytes of the displacement.
    pub displacement: usize,
    /// Bytes of an absolute offset without ModRM (MOV with moffs).
    pub absolute: usize,
    /// Bytes of the immediates, one after the other.
    pub immediates: [usize; 2],
}

impl Layout {
    /// Bytes of the instruction.
    #[must_use]
    pub fn len(&self) -> usize {
        let modrm = usize::from(self.has_modrm) + usize::from(self.has_sib);
        let data = self.displacement + self.absolute + self.immediates[0] + self.immediates[1];
        self.prefixes + self.vex + self.opcode + modrm + data
    }

    /// Whether there is nothing, which no instruction is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Bytes of the first instruction, whether it exists or not; `None` if there are too few to say.
pub(crate) fn length(size: CodeSize, bytes: &[u8]) -> Option<usize> {
    parts(size, bytes, (false, Bytes(0))).map(|layout| layout.len())
}

/// The parts of the first instruction, whether it exists or not; `None` if there are too few bytes
/// to say.
#[must_use]
pub fn layout(size: CodeSize, bytes: &[u8]) -> Option<Layout> {
    parts(size, bytes, (true, Bytes(0)))
}

/// `ud1` is what follows UD1's opcode: the decoder takes a ModRM byte, the CPU does not wait for it.
fn parts(size: CodeSize, bytes: &[u8], ud1: (bool, Immediate)) -> Option<Layout> {
    let long = size == CodeSize::Bits64;
    let mut reader = Reader { bytes, at: 0 };
    let (mut narrow, mut other_address, mut rex, mut rex_w) = (false, false, false, false);
    let mut repne = false;
    let mut opcode = reader.next()?;
    loop {
        if PREFIXES.contains(&opcode) {
            narrow |= opcode == 0x66;
            other_address |= opcode == 0x67;
            repne |= opcode == 0xf2;
            (rex, rex_w) = (false, false);
        } else if long && opcode & 0xf0 == 0x40 {
            (rex, rex_w) = (true, opcode & 8 != 0);
        } else {
            break;
        }
        opcode = reader.next()?;
    }
    let mut layout = Layout { prefixes: reader.at - 1, has_rex: rex, ..Layout::default() };
    // VEX, and AMD's XOP, which this CPU has no instructions of: POP with a ModRM that is not its
    // own. Behind REX their first bytes are opcodes.
    let vector = match opcode {
        0xc4 | 0xc5 => !rex && (long || reader.peek()? >= 0xc0),
        0x8f => !rex && reader.peek()? & 0x38 != 0,
        _ => false,
    };
    let mut map = 0;
    let mut opcode_at = reader.at - 1;
    if vector {
        let payload = reader.next()?;
        if opcode == 0xc5 {
            map = 1;
        } else {
            reader.next()?;
            map = if opcode == 0xc4 { payload & 31 } else { XOP | payload & 31 };
        }
        layout.vex = reader.at - layout.prefixes;
        opcode_at = reader.at;
        opcode = reader.next()?;
    } else if opcode == 0x0f {
        map = 1;
        opcode = reader.next()?;
        if matches!(opcode, 0x38 | 0x3a) {
            map = if opcode == 0x38 { 2 } else { 3 };
            opcode = reader.next()?;
        }
    }
    layout.opcode = reader.at - opcode_at;
    let operand = match (size, narrow) {
        _ if rex_w || vector => 4,
        (CodeSize::Bits16, false) | (CodeSize::Bits32 | CodeSize::Bits64, true) => 2,
        _ => 4,
    };
    let address = match (size, other_address) {
        (CodeSize::Bits16, false) | (CodeSize::Bits32, true) => 2,
        (CodeSize::Bits64, false) => 8,
        _ => 4,
    };
    let (has_modrm, mut immediate) = match map {
        0 if !vector => one_byte(opcode),
        // VMREAD, to the decoder; to the CPU one more that is not there.
        1 if opcode == 0x78 && ud1.0 && !vector && !narrow && !repne => (true, Bytes(0)),
        1 if opcode == 0xb9 && !vector => ud1,
        1 => two_byte(opcode),
        3 => (true, Bytes(1)),
        XOP_A => (true, Bytes(4)),
        _ => (true, Bytes(0)),
    };
    if has_modrm {
        layout.has_modrm = true;
        let modrm = reader.next()?;
        // With VEX, too, where there is no such instruction (measured on Zen 3).
        let registers_only = map == 1 && matches!(opcode, 0x20..=0x23);
        if !registers_only {
            memory_parts(&mut reader, address, modrm, &mut layout)?;
        }
        if map == 0 && !vector && matches!(opcode, 0xf6 | 0xf7) && modrm & 0x38 > 8 {
            immediate = Bytes(0);
        }
    }
    match immediate {
        Bytes(3) => layout.immediates = [2, 1],             // ENTER
        Bytes(2) if map == 1 => layout.immediates = [1, 1], // EXTRQ, INSERTQ
        Bytes(count) => layout.immediates[0] = count,
        Operand => layout.immediates[0] = operand,
        Wide if rex_w => layout.immediates[0] = 8,
        Wide => layout.immediates[0] = operand,
        Address => layout.absolute = address,
        Far => layout.immediates = [operand, 2],
    }
    (layout.len() <= bytes.len()).then_some(layout)
}

/// What ModRM brings along.
fn memory_parts(
    reader: &mut Reader<'_>,
    address: usize,
    modrm: u8,
    layout: &mut Layout,
) -> Option<()> {
    let (mode, rm) = (modrm >> 6, modrm & 7);
    if mode == 3 {
        return Some(());
    }
    let far = if address == 2 { 2 } else { 4 };
    let bare = if address == 2 { 6 } else { 5 };
    let mut base = rm;
    if address != 2 && rm == 4 {
        base = reader.next()? & 7;
        layout.has_sib = true;
    }
    layout.displacement = match mode {
        0 if base == bare => far,
        0 => 0,
        1 => 1,
        _ => far,
    };
    Some(())
}

fn one_byte(opcode: u8) -> (bool, Immediate) {
    match opcode {
        0x00..=0x3f => match opcode & 7 {
            0..=3 => (true, Bytes(0)),
            4 => (false, Bytes(1)),
            5 => (false, Operand),
            _ => (false, Bytes(0)),
        },
        0x62 | 0x63 | 0x84..=0x8f | 0xd0..=0xd3 | 0xd8..=0xdf | 0xfe | 0xff => (true, Bytes(0)),
        0xc4 | 0xc5 => (true, Bytes(0)),
        0x68 | 0xa9 | 0xe8 | 0xe9 => (false, Operand),
        0x69 | 0x81 | 0xc7 | 0xf7 => (true, Operand),
        0x6b | 0x80 | 0x82 | 0x83 | 0xc0 | 0xc1 | 0xc6 | 0xf6 => (true, Bytes(1)),
        0x6a | 0x70..=0x7f | 0xa8 | 0xb0..=0xb7 | 0xcd | 0xd4 | 0xd5 | 0xe0..=0xe7 | 0xeb => {
            (false, Bytes(1))
        }
        0x9a | 0xea => (false, Far),
        0xa0..=0xa3 => (false, Address),
        0xb8..=0xbf => (false, Wide),
        0xc2 | 0xca => (false, Bytes(2)),
        0xc8 => (false, Bytes(3)),
        _ => (false, Bytes(0)),
    }
}

fn two_byte(opcode: u8) -> (bool, Immediate) {
    match opcode {
        0x77 => (false, Bytes(0)),
        0x70..=0x73 | 0xc2 | 0xc4..=0xc6 => (true, Bytes(1)),
        0x05..=0x09 | 0x0b | 0x0e | 0x30..=0x37 | 0xa0..=0xa2 | 0xa8..=0xaa | 0xc8..=0xcf => {
            (false, Bytes(0))
        }
        0x04
        | 0x0a
        | 0x0c
        | 0x24..=0x27
        | 0x38..=0x3f
        | 0xa6
        | 0xa7
        | 0x7a
        | 0x7b
        | 0xb9
        | 0xff => (false, Bytes(0)),
        0x0f | 0xa4 | 0xac | 0xba => (true, Bytes(1)),
        0x78 => (true, Bytes(2)), // EXTRQ, INSERTQ
        0x80..=0x8f => (false, Operand),
        _ => (true, Bytes(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::Mnemonic;

    #[test]
    fn lengths_are_those_of_the_format() {
        let of = |size, bytes: &[u8]| length(size, bytes);
        assert_eq!(of(CodeSize::Bits32, &[0x0f, 0x71, 0x3a, 1]), Some(4), "group 12, /7 of memory");
        assert_eq!(of(CodeSize::Bits32, &[0x0f, 0x71, 0x3a]), None);
        assert_eq!(of(CodeSize::Bits16, &[0xf0, 0x0f, 0xda, 0xac, 1, 2]), Some(6));
        assert_eq!(of(CodeSize::Bits64, &[0x66, 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8]), Some(11));
        assert_eq!(
            of(CodeSize::Bits64, &[0xc4, 0xe3, 0xf9, 0, 0x04, 0x25, 0, 0, 0, 0, 7]),
            Some(11)
        );
        assert_eq!(of(CodeSize::Bits32, &[0xc5, 0x03]), Some(2), "LDS, not VEX");
    }

    /// iced-x86 notes where it found displacement and immediates: the two readings agree on every
    /// instruction that exists.
    #[test]
    fn parts_are_where_the_decoder_found_them() {
        let mut seed = 0x5eed_0001_u64;
        println!("seed {seed:#x}");
        let mut found = 0;
        for size in [CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64] {
            for _ in 0..200_000 {
                let mut bytes = [0; 20];
                for byte in &mut bytes {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *byte = (seed >> 33) as u8;
                }
                if seed >> 40 & 3 == 0 {
                    bytes[0] = 0x0f;
                } else if seed >> 40 & 3 == 1 {
                    (bytes[0], bytes[1]) = (0xc4, 0xe0 | bytes[1] & 3);
                }
                let Ok(instruction) = crate::decode(size, &bytes, 0) else { continue };
                let of = layout(size, &bytes).expect("an instruction has its bytes");
                if instruction.mnemonic() == Mnemonic::Xstore {
                    continue; // VIA's, on no CPU model
                }
                assert_eq!(of.len(), instruction.len(), "{size:?} {bytes:x?}");
                let constants = crate::decode::constants(size, &bytes);
                let displacement = of.displacement + of.absolute;
                if displacement > 0 || constants.displacement_size() > 0 {
                    assert_eq!(displacement, constants.displacement_size(), "{size:?} {bytes:x?}");
                }
                let immediates = [constants.immediate_size(), constants.immediate_size2()];
                // A register in the last byte is no immediate to the decoder.
                if of.vex == 0 || immediates[0] > 0 {
                    assert_eq!(of.immediates, immediates, "{size:?} {bytes:x?}");
                }
                found += 1;
            }
        }
        assert!(found > 100_000, "{found} instructions");
    }
}
