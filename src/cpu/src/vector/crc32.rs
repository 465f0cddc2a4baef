//! CRC32 (SSE4.2): the Castagnoli checksum, polynomial 0x11EDC6F41, bits reflected.
//!
//! Source: Intel SDM vol. 2A, "CRC32 - Accumulate CRC32 Value".

use cutaway_isa::Width;

/// The polynomial 0x1EDC6F41 with its bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// What each byte contributes.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = (rest >> 1) ^ (POLYNOMIAL * (rest & 1));
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
};

/// CRC32: `sum` after the bytes of `value`, the lowest first. No inversion before or after.
#[must_use]
pub fn crc32(sum: u32, value: u64, width: Width) -> u32 {
    let mut sum = sum;
    for byte in &value.to_le_bytes()[..width.bytes() as usize] {
        sum = (sum >> 8) ^ TABLE[usize::from(sum as u8 ^ byte)];
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::crc32;
    use cutaway_isa::Width;

    /// The check value of CRC-32C: of "123456789" it is 0xe3069283.
    #[test]
    fn check_value_of_crc_32c() {
        let sum = crc32(u32::MAX, u64::from_le_bytes(*b"12345678"), Width::Qword);

        assert_eq!(!crc32(sum, u64::from(b'9'), Width::Byte), 0xe306_9283);
    }
}
