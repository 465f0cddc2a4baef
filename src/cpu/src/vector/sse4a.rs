//! SSE4a: bit fields of the low qword, out of it and into it.
//!
//! Source: AMD APM vol. 4, "EXTRQ", "INSERTQ". A length of 0 means 64. Undefined, and what we
//! give: the high qword becomes 0; a field that reaches beyond bit 63 ends there (measured on an
//! AMD Zen 3).

use super::lanes::Xmm;

/// The mask of a field's length, of which 6 bits count.
fn ones(length: u8) -> u64 {
    match length & 0x3f {
        0 => u64::MAX,
        length => (1 << length) - 1,
    }
}

/// EXTRQ: `length` bits of `a` from bit `index`, moved to bit 0.
#[must_use]
pub fn extrq(a: Xmm, length: u8, index: u8) -> Xmm {
    Xmm::from_halves(a.low() >> (index & 0x3f) & ones(length), 0)
}

/// INSERTQ: the low `length` bits of `b` in the place of those of `a` from bit `index`.
#[must_use]
pub fn insertq(a: Xmm, b: Xmm, length: u8, index: u8) -> Xmm {
    let index = index & 0x3f;
    let field = ones(length) << index;
    Xmm::from_halves(a.low() & !field | b.low() << index & field, 0)
}

#[cfg(test)]
mod tests {
    use super::{extrq, insertq};
    use crate::vector::Xmm;

    #[test]
    fn fields_are_taken_out_and_put_in() {
        let a = Xmm::from_halves(0x0123_4567_89ab_cdef, 5);
        let b = Xmm::from_halves(0xffff_ffff_ffff_ff5a, 7);

        assert_eq!(extrq(a, 12, 8), Xmm::from_halves(0xbcd, 0));
        assert_eq!(extrq(a, 0, 0).low(), a.low());
        assert_eq!(insertq(a, b, 8, 16), Xmm::from_halves(0x0123_4567_895a_cdef, 0));
        assert_eq!(insertq(a, b, 64, 0).low(), b.low());
    }
}
