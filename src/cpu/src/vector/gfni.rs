//! GFNI: products, inverses and affine transformations of bytes over GF(2^8) and GF(2).
//!
//! Source: Intel SDM vol. 2A, "GF2P8MULB", "GF2P8AFFINEQB", "GF2P8AFFINEINVQB". The field is that
//! of AES: polynomials over GF(2) modulo x^8 + x^4 + x^3 + x + 1.

use super::lanes::{Xmm, build, lanewise, split};

/// The product of two elements of the field.
pub(super) const fn multiply(a: u8, b: u8) -> u8 {
    let mut product = 0;
    let mut shifted = a;
    let mut bit = 0;
    while bit < 8 {
        if b >> bit & 1 != 0 {
            product ^= shifted;
        }
        shifted = shifted << 1 ^ if shifted & 0x80 != 0 { 0x1b } else { 0 };
        bit += 1;
    }
    product
}

/// The inverse of each element; that of 0 is 0.
pub(super) const INVERSE: [u8; 256] = {
    let mut table = [0; 256];
    let mut element = 0;
    while element < 256 {
        // The group has 255 elements, so the inverse is the 254th power: x^2 * x^4 * ... * x^128.
        let mut power = element as u8;
        let mut inverse = 1;
        let mut step = 0;
        while step < 7 {
            power = multiply(power, power);
            inverse = multiply(inverse, power);
            step += 1;
        }
        table[element] = inverse;
        element += 1;
    }
    table
};

lanewise! {
    /// GF2P8MULB: the products of bytes in the field.
    gf2p8mulb(u8) = multiply;
}

/// Each byte `x` as a column of bits, times the 8 by 8 matrix in the same qword of `matrices`
/// (byte 7 is the row that gives bit 0), plus `constant`.
fn affine(x: Xmm, matrices: Xmm, constant: u8) -> Xmm {
    let rows = matrices.0;
    build::<u8, _>(|i| {
        let matrix = &rows[i & 8..];
        let mut result = constant;
        for bit in 0..8 {
            let product = matrix[7 - bit] & x.0[i];
            result ^= (product.count_ones() as u8 & 1) << bit;
        }
        result
    })
}

/// GF2P8AFFINEQB: `b * a + imm` for each byte of `a`, by the matrix in its qword of `b`.
#[must_use]
pub fn gf2p8affineqb(a: Xmm, b: Xmm, imm: u8) -> Xmm {
    affine(a, b, imm)
}

/// GF2P8AFFINEINVQB: as [`gf2p8affineqb`], of the inverse of each byte of `a`.
#[must_use]
pub fn gf2p8affineinvqb(a: Xmm, b: Xmm, imm: u8) -> Xmm {
    let bytes = split::<u8, _>(a);
    affine(build::<u8, _>(|i| INVERSE[usize::from(bytes[i])]), b, imm)
}

#[cfg(test)]
mod tests {
    use super::{INVERSE, gf2p8affineinvqb, gf2p8affineqb, gf2p8mulb, multiply};
    use crate::vector::Xmm;

    /// FIPS-197 §4.2: 57h * 83h = c1h, 57h * 13h = feh.
    #[test]
    fn products_are_those_of_the_aes_field() {
        assert_eq!((multiply(0x57, 0x83), multiply(0x57, 0x13)), (0xc1, 0xfe));
        assert_eq!(gf2p8mulb(0x5757_u64, 0x1383), 0xfec1);
    }

    #[test]
    fn an_element_times_its_inverse_is_one() {
        for element in 1..=255_u8 {
            assert_eq!(multiply(element, INVERSE[usize::from(element)]), 1, "{element:#x}");
        }
        assert_eq!(INVERSE[0], 0);
        // SDM vol. 2A, "GF2P8AFFINEINVQB", table of inverses: 2 and 8dh, 53h and cah.
        assert_eq!((INVERSE[2], INVERSE[0x53]), (0x8d, 0xca));
    }

    /// The first row of the matrix, byte 7, gives bit 0.
    #[test]
    fn a_matrix_acts_on_the_bytes_of_its_qword() {
        let x = Xmm::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let identity = 0x0102_0408_1020_4080;
        let reversal = 0x8040_2010_0804_0201;

        let both = gf2p8affineqb(x, Xmm::from_halves(identity, reversal), 0);

        assert_eq!(both.low(), x.low());
        assert_eq!(both.high(), 0x80c4_a2e6_91d5_b3f7);
        assert_eq!(gf2p8affineqb(x, Xmm::from_halves(identity, identity), 0xff).low(), !x.low());
    }

    /// SubBytes of AES is such a transformation (FIPS-197 §5.1.1): row i of its matrix has ones
    /// at i, i + 4, i + 5, i + 6 and i + 7, its constant is 63h.
    #[test]
    fn the_aes_s_box_is_an_affine_transformation_of_the_inverse() {
        let rows: [u8; 8] = core::array::from_fn(|i| {
            [0, 4, 5, 6, 7].iter().fold(0, |row, n| row | 1 << ((i + n) % 8))
        });
        let matrix = u64::from_be_bytes(rows);

        let image =
            gf2p8affineinvqb(Xmm::from_halves(0x0053_ff00, 0), Xmm::from_halves(matrix, 0), 0x63);

        assert_eq!(image.low() as u32, 0x63ed_1663);
    }
}
