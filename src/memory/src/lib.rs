//! Guest-physical memory: what lies at which physical address, and the bytes of it.
//!
//! Everything that answers like memory (RAM, ROM) lives in one anonymous host mapping, the
//! *backing*; untouched pages of it cost nothing. A map says for each guest-physical page which
//! offset of the backing it is; what is not in the map belongs to devices.
//!
//! Borders: only `backing.rs` touches host memory through pointers; everything above uses
//! offsets into the backing, which are checked at each access.

mod backing;
mod map;

pub use backing::{Backing, FILE_ALIGN, FILE_SLACK, MemoryError, Scalar};
pub use map::{DirtyFor, GuestMemory, PAGE_BITS, PAGE_SIZE, PageKind, Space};
