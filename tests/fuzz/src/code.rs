//! Instructions at random: mostly such as decode, often such as let a guest go on, a few bytes
//! that are nothing.

use crate::noise::Noise;
use cutaway::isa::{CodeSize, decode};

const PREFIXES: &[u8] = &[0x66, 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65];
/// One-byte opcodes of everyday code, which keep a guest alive and its flags busy.
const EVERYDAY: &[u8] = &[
    0x01, 0x03, 0x05, 0x09, 0x0b, 0x11, 0x13, 0x19, 0x1b, 0x21, 0x23, 0x29, 0x2b, 0x31, 0x33, 0x39,
    0x3b, 0x00, 0x02, 0x28, 0x2a, 0x38, 0x3c, 0x3d, 0x80, 0x81, 0x83, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8a, 0x8b, 0x8d, 0x90, 0x98, 0x99, 0xa4, 0xa5, 0xa8, 0xaa, 0xab, 0xac, 0xae, 0xb0,
    0xb8, 0xc0, 0xc1, 0xc6, 0xc7, 0xd0, 0xd1, 0xd3, 0xf6, 0xf7, 0xfe, 0xff, 0x50, 0x53, 0x58, 0x5b,
    0x68, 0x6a, 0x69, 0x6b, 0x9c, 0x9d, 0xf8, 0xf9, 0xfc, 0xfd, 0x40, 0x48,
];
/// The same behind 0F.
const EVERYDAY_0F: &[u8] = &[
    0x1f, 0x40, 0x44, 0x4f, 0x90, 0x95, 0x9f, 0xa2, 0xa3, 0xa4, 0xa5, 0xab, 0xac, 0xaf, 0xb0, 0xb1,
    0xb3, 0xb6, 0xb7, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf, 0xc0, 0xc1, 0xc7, 0xc8, 0x10, 0x11, 0x28,
    0x29, 0x2a, 0x2d, 0x51, 0x54, 0x57, 0x58, 0x59, 0x5c, 0x5e, 0x60, 0x6e, 0x6f, 0x70, 0x7e, 0x7f,
    0xd6, 0xef, 0xfe, 0xc6, 0x2f, 0x5a, 0x5b, 0xe6, 0xae, 0x01, 0x00, 0x20, 0x22, 0x31, 0x06, 0x30,
];

/// So many bytes of code of this size.
pub fn code(noise: &mut Noise, size: CodeSize, len: usize) -> Vec<u8> {
    let mut code = Vec::with_capacity(len + 16);
    while code.len() < len {
        let bytes = candidate(noise, size);
        match decode(size, &bytes, 0) {
            Ok(instruction) => code.extend(&bytes[..instruction.len()]),
            Err(_) if noise.once_in(24) => code.extend(&bytes[..2]),
            Err(_) => {}
        }
    }
    code.truncate(len);
    code
}

/// Fifteen bytes that may begin with an instruction.
fn candidate(noise: &mut Noise, size: CodeSize) -> Vec<u8> {
    let mut bytes = Vec::new();
    match noise.below(40) {
        0 => return noise.bytes(15),
        1..=4 => return branch(noise),
        _ => {}
    }
    while bytes.len() < 4 && noise.once_in(4) {
        bytes.push(noise.pick(PREFIXES));
    }
    if size == CodeSize::Bits64 && !noise.once_in(3) {
        bytes.push(0x40 | noise.below(16) as u8);
    }
    let any = noise.next() as u8;
    match noise.below(32) {
        0..=13 => bytes.push(noise.pick(EVERYDAY)),
        14..=17 => bytes.push(any),
        18..=22 => bytes.extend([0x0f, noise.pick(EVERYDAY_0F)]),
        23..=26 => bytes.extend([0x0f, any]),
        27 => bytes.extend([0xd8 | any & 7]), // x87
        28 => bytes.extend([0x0f, 0x38, any]),
        29 => bytes.extend([0x0f, 0x3a, any & 0x7f]),
        30 => bytes.extend([0xc5, noise.next() as u8, any]),
        _ => bytes.extend([0xc4, 0xe0 | noise.below(4) as u8, noise.next() as u8 & 0x7f, any]),
    }
    // ModRM, then SIB, displacement and immediate: small, so that places stay in memory.
    let modrm = noise.next() as u8;
    bytes.push(match noise.below(3) {
        0 => modrm | 0xc0,
        1 => modrm & 0x3f | 0x40,
        _ => modrm,
    });
    for _ in 0..2 {
        bytes.push(if noise.once_in(2) { noise.next() as u8 } else { noise.below(16) as u8 });
        bytes.extend([noise.next() as u8 & 0x3f, noise.pick(&[0, 0, 1, 2]), 0]);
    }
    bytes.resize(15, 0);
    bytes
}

/// A near branch, often a short way back: a loop.
fn branch(noise: &mut Noise) -> Vec<u8> {
    let near = noise.below(24) as u8;
    let distance = if noise.once_in(2) { near } else { near.wrapping_neg() };
    let wide = if distance == near { 0 } else { 0xff };
    let condition = noise.below(16) as u8;
    let mut bytes = match noise.below(8) {
        0..=3 => vec![0x70 | condition, distance],
        4 => vec![0xe0 | condition & 3, distance],
        5 => vec![0x0f, 0x80 | condition, distance, wide, wide, wide],
        6 => vec![noise.pick(&[0xe8, 0xe9]), distance, wide, wide, wide],
        _ => vec![noise.pick(&[0xeb, 0xc3]), distance],
    };
    bytes.resize(15, 0x90);
    bytes
}
