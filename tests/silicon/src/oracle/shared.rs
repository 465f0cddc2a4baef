//! The memory that the two processes share: a ring of cases and outcomes, and the window's pages.

use std::sync::atomic::AtomicU32;

use crate::case::{Case, Outcome};
use crate::place::WINDOW_SIZE;

/// Cases that fit in the ring.
pub(crate) const SLOTS: usize = 128;

/// What both processes see. Cases and outcomes below `submitted` belong to the worker until
/// `completed` has passed them; all else belongs to the parent.
#[repr(C)]
pub(crate) struct Shared {
    /// The window's pages, as the worker maps them at [`crate::place::WINDOW`] too.
    pub(crate) window: [u8; WINDOW_SIZE as usize],
    /// What the window should hold before the case; the worker alone uses it.
    pub(crate) shadow: [u8; WINDOW_SIZE as usize],
    /// The filler of the window.
    pub(crate) filler: [u8; WINDOW_SIZE as usize],
    /// Cases handed over since the start; a futex.
    pub(crate) submitted: AtomicU32,
    /// Cases done since the start; a futex.
    pub(crate) completed: AtomicU32,
    /// Where the upper halves of YMM registers lie in an XSAVE area.
    pub(crate) ymm_offset: u32,
    /// Iterations of the running case; the worker alone uses it.
    pub(crate) iterations: u32,
    /// Whether a case runs; the worker alone uses it.
    pub(crate) running: u32,
    /// Keeps the layout free of holes.
    pub(crate) zero: u32,
    /// Cases by number, modulo [`SLOTS`].
    pub(crate) cases: [Case; SLOTS],
    /// Their outcomes.
    pub(crate) outcomes: [Outcome; SLOTS],
}

/// Offset of the window's pages in the shared file; they come first for their alignment.
pub(crate) const WINDOW_OFFSET: u64 = 0;
