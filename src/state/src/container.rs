//! The container of a state: a header, the sections, a checksum.
//!
//! ```text
//! "CUTAWAY\x1a"  format: u32  count: u32
//! count times:   name length: u16, name (UTF-8), version: u32, length: u64, bytes
//! checksum:      BLAKE3 of everything before, 32 bytes
//! ```
//! Integers are little-endian. Reading treats the bytes as hostile: nothing is reserved or
//! followed before it was checked against what is there.

use crate::{Section, StateError};

const MAGIC: [u8; 8] = *b"CUTAWAY\x1a";
const FORMAT: u32 = 1;
const CHECKSUM_BYTES: usize = 32;
/// More than any machine has; bounds the work that hostile bytes can ask for.
const MAX_SECTIONS: usize = 4096;

/// The sections of a machine, in the order they were put in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    sections: Vec<Section>,
}

impl State {
    /// A state without sections.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a section; its name must be new.
    pub fn add(&mut self, section: Section) -> Result<(), StateError> {
        if self.sections.len() == MAX_SECTIONS {
            return Err(StateError::Damaged { what: "it has too many sections" });
        }
        if section.name.len() > usize::from(u16::MAX) {
            return Err(StateError::Damaged { what: "a section's name is too long" });
        }
        if self.sections.iter().any(|s| s.name == section.name) {
            return Err(StateError::Duplicate { name: section.name });
        }
        self.sections.push(section);
        Ok(())
    }

    /// The section of this name.
    pub fn section(&self, name: &str) -> Result<&Section, StateError> {
        let found = self.sections.iter().find(|section| section.name == name);
        found.ok_or_else(|| StateError::Missing { name: name.to_owned() })
    }

    /// All sections in order.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The container's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(FORMAT.to_le_bytes());
        out.extend((self.sections.len() as u32).to_le_bytes());
        for section in &self.sections {
            out.extend((section.name.len() as u16).to_le_bytes());
            out.extend(section.name.as_bytes());
            out.extend(section.version.to_le_bytes());
            out.extend((section.bytes.len() as u64).to_le_bytes());
            out.extend(&section.bytes);
        }
        let checksum = blake3::hash(&out);
        out.extend(checksum.as_bytes());
        out
    }

    /// Reads a container, which must fill `bytes` exactly.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader { rest: bytes };
        if !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())]) {
            return Err(StateError::Foreign);
        }
        reader.take(MAGIC.len() as u64, "the header")?;
        let found = u32::from_le_bytes(reader.array("the header")?);
        if found > FORMAT {
            return Err(StateError::Newer { found, known: FORMAT });
        }
        if found == 0 {
            return Err(StateError::Damaged { what: "there is no format 0" });
        }
        let count = u32::from_le_bytes(reader.array("the header")?);

        let mut state = Self::new();
        for _ in 0..count {
            state.add(reader.section()?)?;
        }
        let covered = bytes.len() - reader.rest.len();
        let checksum: [u8; CHECKSUM_BYTES] = reader.array("the checksum")?;
        if blake3::hash(&bytes[..covered]) != checksum {
            return Err(StateError::Damaged { what: "the checksum is wrong" });
        }
        if !reader.rest.is_empty() {
            return Err(StateError::Damaged { what: "bytes follow the checksum" });
        }
        Ok(state)
    }
}

/// The bytes not yet read.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: u64, what: &'static str) -> Result<&'a [u8], StateError> {
        let len = usize::try_from(len).map_err(|_| StateError::Truncated { what })?;
        let (taken, rest) =
            self.rest.split_at_checked(len).ok_or(StateError::Truncated { what })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], StateError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(StateError::Truncated { what })?;
        self.rest = rest;
        Ok(*taken)
    }

    fn section(&mut self) -> Result<Section, StateError> {
        let name_len = u16::from_le_bytes(self.array("a section's header")?);
        let name = self.take(u64::from(name_len), "a section's name")?;
        let name = std::str::from_utf8(name)
            .map_err(|_| StateError::Damaged { what: "a section's name is not text" })?;
        let version = u32::from_le_bytes(self.array("a section's header")?);
        let len = u64::from_le_bytes(self.array("a section's header")?);
        let bytes = self.take(len, "a section")?;
        Ok(Section { name: name.to_owned(), version, bytes: bytes.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let mut state = State::new();
        state.add(Section { name: "cpu0".into(), version: 2, bytes: vec![1, 2, 3] }).unwrap();
        state.add(Section { name: "pit".into(), version: 1, bytes: vec![] }).unwrap();
        state
    }

    #[test]
    fn a_container_gives_back_its_sections_in_order() {
        let read = State::from_bytes(&state().to_bytes()).unwrap();

        assert_eq!(read, state());
        assert_eq!(read.section("cpu0").unwrap().bytes, [1, 2, 3]);
    }

    #[test]
    fn a_name_is_there_once() {
        let again = Section { name: "pit".into(), version: 1, bytes: vec![] };
        assert!(matches!(state().add(again), Err(StateError::Duplicate { .. })));
        assert!(matches!(state().section("rtc"), Err(StateError::Missing { .. })));
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = state().to_bytes();
        for len in 0..bytes.len() {
            let error = State::from_bytes(&bytes[..len]).unwrap_err();
            assert!(matches!(error, StateError::Truncated { .. }), "{len} bytes: {error}");
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let bytes = state().to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(State::from_bytes(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn sections_without_end_are_refused() {
        let mut state = State::new();
        let named = |name: String| Section { name, version: 1, bytes: vec![] };
        for number in 0..MAX_SECTIONS {
            state.add(named(number.to_string())).unwrap();
        }

        assert!(state.add(named("one more".into())).is_err());
    }

    #[test]
    fn what_is_refused_is_named() {
        let mut newer = state().to_bytes();
        newer[8] = 9;
        let mut longer = state().to_bytes();
        longer.push(0);

        let message = |bytes: &[u8]| State::from_bytes(bytes).unwrap_err().to_string();
        assert_eq!(message(b"\x7fELF and more bytes"), "this is not a Cutaway state");
        assert_eq!(
            message(&newer),
            "the state has format 9, this program reads up to 1: use a newer one"
        );
        assert_eq!(message(&longer), "the state is damaged: bytes follow the checksum");

        let mut older = state().to_bytes();
        older[8] = 0;
        let covered = older.len() - CHECKSUM_BYTES;
        let checksum = blake3::hash(&older[..covered]);
        older[covered..].copy_from_slice(checksum.as_bytes());
        assert_eq!(message(&older), "the state is damaged: there is no format 0");
    }
}
