//! How long the bytes of an instruction are that does not exist.
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

/// Bytes of the first instruction, whether it exists or not; `None` if there are too few to say.
pub(crate) fn length(size: CodeSize, bytes: &[u8]) -> Option<usize> {
    let long = size == CodeSize::Bits64;
    let mut reader = Reader { bytes, at: 0 };
    let (mut narrow, mut other_address, mut rex, mut rex_w) = (false, false, false, false);
    let mut opcode = reader.next()?;
    loop {
        if PREFIXES.contains(&opcode) {
            narrow |= opcode == 0x66;
            other_address |= opcode == 0x67;
            (rex, rex_w) = (false, false);
        } else if long && opcode & 0xf0 == 0x40 {
            (rex, rex_w) = (true, opcode & 8 != 0);
        } else {
            break;
        }
        opcode = reader.next()?;
    }
    // VEX, and AMD's XOP, which this CPU has no instructions of: POP with a ModRM that is not its
    // own. Behind REX their first bytes are opcodes.
    let vector = match opcode {
        0xc4 | 0xc5 => !rex && (long || reader.peek()? >= 0xc0),
        0x8f => !rex && reader.peek()? & 0x38 != 0,
        _ => false,
    };
    let mut map = 0;
    if vector {
        let payload = reader.next()?;
        if opcode == 0xc5 {
            map = 1;
        } else {
            reader.next()?;
            map = if opcode == 0xc4 { payload & 31 } else { XOP | payload & 31 };
        }
        opcode = reader.next()?;
    } else if opcode == 0x0f {
        map = 1;
        opcode = reader.next()?;
        if matches!(opcode, 0x38 | 0x3a) {
            map = if opcode == 0x38 { 2 } else { 3 };
            opcode = reader.next()?;
        }
    }
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
        1 => two_byte(opcode),
        3 => (true, Bytes(1)),
        XOP_A => (true, Bytes(4)),
        _ => (true, Bytes(0)),
    };
    if has_modrm {
        let registers_only = map == 1 && matches!(opcode, 0x20..=0x23);
        let modrm = if registers_only { reader.next()? } else { modrm(&mut reader, address)? };
        if map == 0 && !vector && matches!(opcode, 0xf6 | 0xf7) && modrm & 0x38 > 8 {
            immediate = Bytes(0);
        }
    }
    let more = match immediate {
        Bytes(count) => count,
        Operand => operand,
        Wide if rex_w => 8,
        Wide => operand,
        Address => address,
        Far => operand + 2,
    };
    let end = reader.at + more;
    (end <= bytes.len()).then_some(end)
}

/// Reads ModRM and what it brings along.
fn modrm(reader: &mut Reader<'_>, address: usize) -> Option<u8> {
    let modrm = reader.next()?;
    let (mode, rm) = (modrm >> 6, modrm & 7);
    if mode == 3 {
        return Some(modrm);
    }
    let far = if address == 2 { 2 } else { 4 };
    let bare = if address == 2 { 6 } else { 5 };
    let mut base = rm;
    if address != 2 && rm == 4 {
        base = reader.next()? & 7;
    }
    reader.at += match mode {
        0 if base == bare => far,
        0 => 0,
        1 => 1,
        _ => far,
    };
    Some(modrm)
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
        0x78 => (true, Bytes(2)), // EXTRQ
        0x80..=0x8f => (false, Operand),
        _ => (true, Bytes(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
