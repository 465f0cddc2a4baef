//! The hash of all guest-visible state: equal states, equal hashes, on every host.
//!
//! What goes in is framed (length before content), so that no two different states feed the
//! same bytes. RAM goes in by the hashes of its pages (`pages.rs`); a page of zeros is skipped, so
//! that a page never written and a page cleared again are the same, as they are to the guest.

use crate::Section;

/// A 256-bit hash (BLAKE3) of a machine's state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateHash(pub [u8; 32]);

impl StateHash {
    /// The hash of bytes by themselves.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl std::fmt::Display for StateHash {
    /// The first 128 bits in hexadecimal; `{:#}` gives all of it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = if f.alternate() { 32 } else { 16 };
        self.0[..shown].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for StateHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StateHash({self:#})")
    }
}

/// Takes the state in, piece by piece. The order of the pieces counts.
#[derive(Clone, Debug, Default)]
pub struct StateHasher {
    hasher: blake3::Hasher,
}

/// Kinds of pieces, so that a section never looks like pages.
const SECTION: u8 = 1;
const PAGES: u8 = 2;

impl StateHasher {
    /// A hasher of nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a section: name, version and bytes.
    pub fn section(&mut self, section: &Section) {
        self.hasher.update(&[SECTION]);
        self.hasher.update(&(section.name.len() as u64).to_le_bytes());
        self.hasher.update(section.name.as_bytes());
        self.hasher.update(&section.version.to_le_bytes());
        self.hasher.update(&(section.bytes.len() as u64).to_le_bytes());
        self.hasher.update(&section.bytes);
    }

    /// Takes in the hash of a group of pages, by its place.
    pub(crate) fn pages(&mut self, place: u64, hash: u128) {
        self.hasher.update(&[PAGES]);
        self.hasher.update(&place.to_le_bytes());
        self.hasher.update(&hash.to_le_bytes());
    }

    /// The hash of all that was taken in.
    #[must_use]
    pub fn finish(&self) -> StateHash {
        StateHash(*self.hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(name: &str, bytes: &[u8]) -> Section {
        Section { name: name.into(), version: 1, bytes: bytes.to_vec() }
    }

    #[test]
    fn a_byte_cannot_move_from_one_section_to_the_next() {
        let mut one = StateHasher::new();
        one.section(&section("a", &[1, 2]));
        one.section(&section("b", &[3]));
        let mut other = StateHasher::new();
        other.section(&section("a", &[1]));
        other.section(&section("b", &[2, 3]));

        assert_ne!(one.finish(), other.finish());
    }

    /// BLAKE3 of nothing, from the reference test vectors: hashes mean the same in every build.
    #[test]
    fn the_hash_of_nothing_is_blake3s() {
        let hash = StateHasher::new().finish();

        assert_eq!(hash.to_string(), "af1349b9f5f9a1a6a0404dea36dcc949");
        assert_eq!(format!("{hash:#}").len(), 64);
    }
}
