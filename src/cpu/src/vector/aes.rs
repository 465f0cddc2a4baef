//! AES: one round on a 128-bit state, and the help for key expansion.
//!
//! Source: Intel SDM vol. 2A, "AESENC" and its kin; FIPS-197 §4 and §5. Byte 0 is row 0 of
//! column 0, byte 4 is row 0 of column 1. All tables are computed from the field's arithmetic.

use super::gfni::{INVERSE, multiply};
use super::lanes::{Xmm, build, split};

/// SubBytes of each byte (FIPS-197 §5.1.1).
const S_BOX: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = INVERSE[byte];
        let turned = b.rotate_left(1) ^ b.rotate_left(2) ^ b.rotate_left(3) ^ b.rotate_left(4);
        table[byte] = b ^ turned ^ 0x63;
        byte += 1;
    }
    table
};

/// InvSubBytes of each byte.
const INVERSE_S_BOX: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[S_BOX[byte] as usize] = byte as u8;
        byte += 1;
    }
    table
};

/// What a byte in row 0 adds to its column under MixColumns after SubBytes, row 0 lowest. In
/// row n it adds this rotated by n bytes.
const MIXED: [u32; 256] = columns([2, 1, 1, 3], &S_BOX);

/// The same for InvMixColumns after InvSubBytes.
const INVERSE_MIXED: [u32; 256] = columns([14, 9, 13, 11], &INVERSE_S_BOX);

const fn columns(factors: [u8; 4], substitute: &[u8; 256]) -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = substitute[byte];
        table[byte] = u32::from_le_bytes([
            multiply(b, factors[0]),
            multiply(b, factors[1]),
            multiply(b, factors[2]),
            multiply(b, factors[3]),
        ]);
        byte += 1;
    }
    table
}

/// The byte that ShiftRows moves to a row and column.
#[inline(always)]
fn shifted(state: &[u8; 16], row: usize, column: usize) -> usize {
    state[row + 4 * ((column + row) % 4)].into()
}

/// The byte that InvShiftRows moves to a row and column.
#[inline(always)]
fn shifted_back(state: &[u8; 16], row: usize, column: usize) -> usize {
    state[row + 4 * ((column + 4 - row) % 4)].into()
}

/// A state whose columns are sums of `table` of the bytes that `from` picks.
#[inline(always)]
fn mix(table: &[u32; 256], from: impl Fn(usize, usize) -> usize) -> Xmm {
    build::<u32, _>(|column| {
        (0..4).fold(0, |sum, row| sum ^ table[from(row, column)].rotate_left(8 * row as u32))
    })
}

#[inline(always)]
fn add_round_key(state: Xmm, key: Xmm) -> Xmm {
    Xmm::from_u128(state.to_u128() ^ key.to_u128())
}

/// AESENC: ShiftRows, SubBytes, MixColumns, then the round key `b`.
#[must_use]
pub fn aesenc(a: Xmm, b: Xmm) -> Xmm {
    add_round_key(mix(&MIXED, |row, column| shifted(&a.0, row, column)), b)
}

/// AESENCLAST: the same without MixColumns.
#[must_use]
pub fn aesenclast(a: Xmm, b: Xmm) -> Xmm {
    add_round_key(build::<u8, _>(|i| S_BOX[shifted(&a.0, i % 4, i / 4)]), b)
}

/// AESDEC: InvShiftRows, InvSubBytes, InvMixColumns, then the round key `b` (FIPS-197 §5.3.5,
/// "Equivalent Inverse Cipher").
#[must_use]
pub fn aesdec(a: Xmm, b: Xmm) -> Xmm {
    add_round_key(mix(&INVERSE_MIXED, |row, column| shifted_back(&a.0, row, column)), b)
}

/// AESDECLAST: the same without InvMixColumns.
#[must_use]
pub fn aesdeclast(a: Xmm, b: Xmm) -> Xmm {
    add_round_key(build::<u8, _>(|i| INVERSE_S_BOX[shifted_back(&a.0, i % 4, i / 4)]), b)
}

/// AESIMC: InvMixColumns of a round key.
#[must_use]
pub fn aesimc(b: Xmm) -> Xmm {
    mix(&INVERSE_MIXED, |row, column| S_BOX[usize::from(b.0[row + 4 * column])].into())
}

/// AESKEYGENASSIST: SubWord of dwords 1 and 3, each beside its RotWord with `imm` added.
#[must_use]
pub fn aeskeygenassist(b: Xmm, imm: u8) -> Xmm {
    let dwords = split::<u32, _>(b);
    build::<u32, _>(|i| {
        let bytes = dwords[i | 1].to_le_bytes();
        let word = u32::from_le_bytes(bytes.map(|byte| S_BOX[usize::from(byte)]));
        if i % 2 == 0 { word } else { word.rotate_right(8) ^ u32::from(imm) }
    })
}

#[cfg(test)]
mod tests {
    use super::{
        INVERSE_S_BOX, S_BOX, aesdec, aesdeclast, aesenc, aesenclast, aesimc, aeskeygenassist,
    };
    use crate::vector::Xmm;

    /// A block as FIPS-197 writes it: the first byte first.
    fn block(text: u128) -> Xmm {
        Xmm(text.to_be_bytes())
    }

    /// The eleven round keys of a 128-bit key (FIPS-197 §5.2), by AESKEYGENASSIST.
    fn expand(key: Xmm) -> [Xmm; 11] {
        let mut keys = [key; 11];
        let mut rcon = 1_u8;
        for n in 1..11 {
            let last = keys[n - 1].to_u128();
            let assist = aeskeygenassist(keys[n - 1], rcon).to_u128() >> 96;
            let prefixes = last ^ last << 32 ^ last << 64 ^ last << 96;
            keys[n] = Xmm::from_u128(prefixes ^ (assist * 0x1_0000_0001_0000_0001_0000_0001));
            rcon = rcon << 1 ^ if rcon & 0x80 != 0 { 0x1b } else { 0 };
        }
        keys
    }

    fn exclusive_or(a: Xmm, b: Xmm) -> Xmm {
        Xmm::from_u128(a.to_u128() ^ b.to_u128())
    }

    /// FIPS-197 figures 7 and 14.
    #[test]
    fn s_boxes_are_those_of_the_standard() {
        assert_eq!((S_BOX[0], S_BOX[0x53], S_BOX[0xff]), (0x63, 0xed, 0x16));
        assert_eq!((INVERSE_S_BOX[0], INVERSE_S_BOX[0x63], INVERSE_S_BOX[0xff]), (0x52, 0, 0x7d));
    }

    /// FIPS-197 appendix A.1: the last round key.
    #[test]
    fn keys_expand_as_in_the_standard() {
        let keys = expand(block(0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c));

        assert_eq!(keys[1], block(0xa0fa_fe17_8854_2cb1_23a3_3939_2a6c_7605));
        assert_eq!(keys[10], block(0xd014_f9a8_c9ee_2589_e13f_0cc8_b663_0ca6));
    }

    /// FIPS-197 appendix C.1.
    #[test]
    fn the_standards_example_encrypts_and_decrypts() {
        let keys = expand(block(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f));
        let plain = block(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        let cipher = block(0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55a);

        let mut state = exclusive_or(plain, keys[0]);
        for &key in &keys[1..10] {
            state = aesenc(state, key);
        }
        assert_eq!(aesenclast(state, keys[10]), cipher);

        let mut state = exclusive_or(cipher, keys[10]);
        for &key in keys[1..10].iter().rev() {
            state = aesdec(state, aesimc(key));
        }
        assert_eq!(aesdeclast(state, keys[0]), plain);
    }
}
