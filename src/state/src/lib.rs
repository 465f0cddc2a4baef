//! The state of a machine as data: named, versioned sections, the container that holds them,
//! and the hash by which two states are compared.
//!
//! A component gives its state as one [`Section`]; what is in the bytes is the component's
//! affair, and a layout change raises the section's version. Guest RAM does not pass through
//! here except page by page into the hash.
#![forbid(unsafe_code)]

mod container;
mod hash;
mod pages;
mod section;

pub use container::State;
pub use hash::{StateHash, StateHasher};
pub use pages::PageHashes;
pub use section::{Section, StateError};
