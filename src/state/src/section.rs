//! One component's state: a name, the version of its layout, and the bytes.
//!
//! The bytes are postcard's encoding of the component's plain data: compact, without names,
//! the same on every host. Decoding treats them as hostile: they must fit the type exactly.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why saved state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The bytes do not begin as a state does.
    #[error("this is not a Cutaway state")]
    Foreign,
    /// The bytes end too early.
    #[error("the state is cut off in {what}")]
    Truncated {
        /// What was being read.
        what: &'static str,
    },
    /// A later version of the program wrote the container.
    #[error("the state has format {found}, this program reads up to {known}: use a newer one")]
    Newer {
        /// The format in the file.
        found: u32,
        /// The newest that can be read.
        known: u32,
    },
    /// The checksum over the container is wrong, or its structure is.
    #[error("the state is damaged: {what}")]
    Damaged {
        /// What does not hold.
        what: &'static str,
    },
    /// Two sections have one name.
    #[error("the state has two sections named '{name}'")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A section that the machine needs is not there.
    #[error("the state has no section '{name}'")]
    Missing {
        /// The name.
        name: String,
    },
    /// A section has a layout that this program does not know.
    #[error("section '{name}' has version {found}, this program reads version {known}")]
    Version {
        /// The section.
        name: String,
        /// Its version.
        found: u32,
        /// The version that can be read.
        known: u32,
    },
    /// The bytes of a section are not what its version says.
    #[error("section '{name}' does not hold what its version says")]
    Layout {
        /// The section.
        name: String,
        /// What the decoder found, if it was not merely bytes too many.
        #[source]
        source: Option<postcard::Error>,
    },
}

/// A named, versioned piece of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The component, such as `cpu0` or `pit`.
    pub name: String,
    /// Version of the layout of `bytes`.
    pub version: u32,
    /// The state.
    pub bytes: Vec<u8>,
}

impl Section {
    /// Encodes a component's state.
    pub fn encode<T: Serialize>(name: &str, version: u32, state: &T) -> Result<Self, StateError> {
        let bytes = postcard::to_stdvec(state)
            .map_err(|source| StateError::Layout { name: name.to_owned(), source: Some(source) })?;
        Ok(Self { name: name.to_owned(), version, bytes })
    }

    /// Decodes the state, which must have this version and fill the bytes exactly.
    pub fn decode<T: DeserializeOwned>(&self, version: u32) -> Result<T, StateError> {
        let name = self.name.clone();
        if self.version != version {
            return Err(StateError::Version { name, found: self.version, known: version });
        }
        match postcard::take_from_bytes(&self.bytes) {
            Ok((state, [])) => Ok(state),
            Ok(_) => Err(StateError::Layout { name, source: None }),
            Err(source) => Err(StateError::Layout { name, source: Some(source) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_gives_back_what_it_was_made_of() {
        let section = Section::encode("pit", 3, &(7_u64, "text", [1_u8, 2])).unwrap();

        let (number, text, bytes): (u64, String, [u8; 2]) = section.decode(3).unwrap();
        assert_eq!((number, text.as_str(), bytes), (7, "text", [1, 2]));
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let section = Section::encode("pit", 3, &7_u64).unwrap();

        let error = section.decode::<u64>(2).unwrap_err().to_string();
        assert_eq!(error, "section 'pit' has version 3, this program reads version 2");
    }

    #[test]
    fn bytes_too_many_or_too_few_are_refused() {
        let mut section = Section::encode("pit", 1, &[1_u8, 2]).unwrap();

        section.bytes.push(0);
        assert!(matches!(section.decode::<[u8; 2]>(1), Err(StateError::Layout { .. })));
        section.bytes.truncate(1);
        assert!(matches!(section.decode::<[u8; 2]>(1), Err(StateError::Layout { .. })));
    }

    /// A length of 2^63 must not make the decoder reserve that much.
    #[test]
    fn an_absurd_length_is_refused_without_memory() {
        let bytes = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        let section = Section { name: "ram".into(), version: 1, bytes };

        assert!(section.decode::<Vec<u64>>(1).is_err());
    }
}
