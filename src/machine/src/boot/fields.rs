//! Reading little-endian fields out of hostile bytes, and building tables of them.

/// The 16-bit field at `at`, if the bytes reach that far.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The 32-bit field at `at`, if the bytes reach that far.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The 64-bit field at `at`, if the bytes reach that far.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Puts `field` at `at` of a table that is known to be long enough.
pub(crate) fn put<const N: usize>(table: &mut [u8], at: usize, field: [u8; N]) {
    table[at..at + N].copy_from_slice(&field);
}

/// The first multiple of `alignment`, a power of two, from `address` on.
pub(crate) fn align_up(address: u64, alignment: u64) -> Option<u64> {
    Some(address.checked_add(alignment - 1)? & !(alignment - 1))
}
