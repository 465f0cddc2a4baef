//! PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM: text comparison on 16 bytes or 8 words.
//!
//! Source: Intel SDM vol. 1 §12.3 / vol. 2B §4.1, "Imm8 Control Byte Operation for PCMPESTRI /
//! PCMPESTRM / PCMPISTRI / PCMPISTRM".

use super::lanes::{Xmm, build, split};
use cutaway_isa::Rflags;

/// The status flags that a string comparison sets; AF and PF become 0.
///
/// CF: any bit of the result; ZF: an end inside `b`; SF: an end inside `a`; OF: bit 0.
pub type StringFlags = Rflags;

/// The operands taken apart as the control byte says.
struct Strings {
    a: [i32; 16],
    b: [i32; 16],
    /// How many lanes of `a` count.
    a_len: usize,
    /// How many lanes of `b` count.
    b_len: usize,
    /// 16 bytes or 8 words.
    count: usize,
}

impl Strings {
    fn new(a: Xmm, b: Xmm, imm: u8) -> Self {
        let count = if imm & 1 == 0 { 16 } else { 8 };
        let (a, b) = (elements(a, imm), elements(b, imm));
        Self { a, b, a_len: count, b_len: count, count }
    }

    /// Lengths given as numbers: their magnitude counts, up to all lanes.
    fn with_lengths(mut self, a_len: i64, b_len: i64) -> Self {
        let cap = |len: i64| len.unsigned_abs().min(self.count as u64) as usize;
        (self.a_len, self.b_len) = (cap(a_len), cap(b_len));
        self
    }

    /// Lengths given by the first lane that is zero.
    fn zero_terminated(mut self) -> Self {
        let length = |lanes: &[i32; 16]| {
            lanes[..self.count].iter().position(|&lane| lane == 0).unwrap_or(self.count)
        };
        (self.a_len, self.b_len) = (length(&self.a), length(&self.b));
        self
    }

    /// IntRes1: the aggregation that bits 3:2 of the control byte name.
    fn aggregate(&self, imm: u8) -> u32 {
        let hit = |j: usize| match imm >> 2 & 3 {
            0 => self.equals_any(j),
            1 => self.in_ranges(j),
            2 => self.equals_each(j),
            _ => self.starts_here(j),
        };
        (0..self.count).fold(0, |mask, j| mask | u32::from(hit(j)) << j)
    }

    /// Equal any: lane `j` of `b` is one of the lanes of `a`.
    fn equals_any(&self, j: usize) -> bool {
        j < self.b_len && self.a[..self.a_len].contains(&self.b[j])
    }

    /// Ranges: lane `j` of `b` lies in one of the ranges that pairs of lanes of `a` are.
    fn in_ranges(&self, j: usize) -> bool {
        let (ranges, _) = self.a[..self.a_len].as_chunks::<2>();
        j < self.b_len && ranges.iter().any(|&[low, high]| (low..=high).contains(&self.b[j]))
    }

    /// Equal each: lanes `j` are equal, or both strings have ended.
    fn equals_each(&self, j: usize) -> bool {
        match (j < self.a_len, j < self.b_len) {
            (true, true) => self.a[j] == self.b[j],
            (false, false) => true,
            _ => false,
        }
    }

    /// Equal ordered: `a` occurs in `b` at lane `j`, or begins there and reaches the last lane.
    fn starts_here(&self, j: usize) -> bool {
        (0..self.a_len.min(self.count - j))
            .all(|i| j + i < self.b_len && self.a[i] == self.b[j + i])
    }

    /// IntRes2, the result after the polarity of bits 5:4, and the flags.
    fn compare(&self, imm: u8) -> (u32, StringFlags) {
        let all = (1 << self.count) - 1;
        let raw = self.aggregate(imm);
        let result = match imm >> 4 & 3 {
            1 => raw ^ all,
            3 => raw ^ ((1 << self.b_len) - 1),
            _ => raw,
        };
        let flags = Rflags::empty()
            .with(Rflags::CF, result != 0)
            .with(Rflags::ZF, self.b_len < self.count)
            .with(Rflags::SF, self.a_len < self.count)
            .with(Rflags::OF, result & 1 != 0);
        (result, flags)
    }

    /// The place of the lowest (or, with bit 6, the highest) bit; the number of lanes if none.
    fn index(&self, imm: u8) -> (u32, StringFlags) {
        let (result, flags) = self.compare(imm);
        let index = match result {
            0 => self.count as u32,
            _ if imm & 0x40 != 0 => result.ilog2(),
            _ => result.trailing_zeros(),
        };
        (index, flags)
    }

    /// The bits, or with bit 6 a lane of ones for each.
    fn mask(&self, imm: u8) -> (Xmm, StringFlags) {
        let (result, flags) = self.compare(imm);
        let mask = match (imm & 0x40 != 0, self.count) {
            (false, _) => Xmm::from_u128(u128::from(result)),
            (true, 16) => build::<u8, Xmm>(|i| if result >> i & 1 != 0 { u8::MAX } else { 0 }),
            (true, _) => build::<u16, Xmm>(|i| if result >> i & 1 != 0 { u16::MAX } else { 0 }),
        };
        (mask, flags)
    }
}

/// The lanes of `value` as numbers: bit 0 of the control byte chooses words, bit 1 signed.
fn elements(value: Xmm, imm: u8) -> [i32; 16] {
    let mut lanes = [0; 16];
    match imm & 3 {
        0 => split::<u8, _>(value).iter().zip(&mut lanes).for_each(|(&v, to)| *to = v.into()),
        1 => split::<u16, _>(value).iter().zip(&mut lanes).for_each(|(&v, to)| *to = v.into()),
        2 => split::<i8, _>(value).iter().zip(&mut lanes).for_each(|(&v, to)| *to = v.into()),
        _ => split::<i16, _>(value).iter().zip(&mut lanes).for_each(|(&v, to)| *to = v.into()),
    }
    lanes
}

/// PCMPESTRI: the index for ECX, lengths from (E/R)AX and (E/R)DX.
#[must_use]
pub fn pcmpestri(a: Xmm, b: Xmm, imm: u8, lengths: (i64, i64)) -> (u32, StringFlags) {
    Strings::new(a, b, imm).with_lengths(lengths.0, lengths.1).index(imm)
}

/// PCMPESTRM: the mask for XMM0, lengths from (E/R)AX and (E/R)DX.
#[must_use]
pub fn pcmpestrm(a: Xmm, b: Xmm, imm: u8, lengths: (i64, i64)) -> (Xmm, StringFlags) {
    Strings::new(a, b, imm).with_lengths(lengths.0, lengths.1).mask(imm)
}

/// PCMPISTRI: the index for ECX, strings that end at a zero lane.
#[must_use]
pub fn pcmpistri(a: Xmm, b: Xmm, imm: u8) -> (u32, StringFlags) {
    Strings::new(a, b, imm).zero_terminated().index(imm)
}

/// PCMPISTRM: the mask for XMM0, strings that end at a zero lane.
#[must_use]
pub fn pcmpistrm(a: Xmm, b: Xmm, imm: u8) -> (Xmm, StringFlags) {
    Strings::new(a, b, imm).zero_terminated().mask(imm)
}

#[cfg(test)]
mod tests {
    use super::{pcmpestri, pcmpistri, pcmpistrm};
    use crate::vector::Xmm;
    use cutaway_isa::Rflags;

    fn text(bytes: &[u8]) -> Xmm {
        let mut value = [0; 16];
        value[..bytes.len()].copy_from_slice(bytes);
        Xmm(value)
    }

    #[test]
    fn substring_search_reports_where_it_begins() {
        let (needle, hay) = (text(b"tri"), text(b"a string, a tri"));

        let (index, flags) = pcmpistri(needle, hay, 0b0000_1100);

        assert_eq!(index, 3);
        assert_eq!(flags, Rflags::CF | Rflags::ZF | Rflags::SF);
    }

    #[test]
    fn ranges_and_sets_find_characters() {
        assert_eq!(pcmpistri(text(b"09AZ"), text(b"abc7xQ"), 0b0000_0100).0, 3);
        assert_eq!(pcmpistri(text(b"09AZ"), text(b"abc7xQ"), 0b0100_0100).0, 5, "the last");
        assert_eq!(pcmpistri(text(b"xyz"), text(b"abcd"), 0).0, 16, "none");
        let (mask, _) = pcmpistrm(text(b"lo"), text(b"hello"), 0);
        assert_eq!(mask, Xmm::from_u128(0b1_1100));
    }

    #[test]
    fn explicit_lengths_count_by_magnitude() {
        let a = text(b"ab\0cd");

        let (index, flags) = pcmpestri(a, text(b"ab\0cX"), 0b0001_1000, (-5, i64::MIN));

        assert_eq!(index, 4, "the first lane that differs");
        assert_eq!(flags & Rflags::ZF, Rflags::empty(), "b fills its register");
        assert_eq!(flags & Rflags::SF, Rflags::SF);
    }
}
