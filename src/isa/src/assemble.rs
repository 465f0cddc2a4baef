//! The assembler: text in NASM's syntax to bytes.
//!
//! It takes what a lesson or a test needs: labels, instructions with their prefixes, `db` `dw` `dd`
//! `dq`, `resb` to `resq`, `times`, `equ`, `align`, `org`, `bits` and `default`. Of all encodings of
//! an instruction it takes the shortest, as NASM does. The instructions are those that
//! [`decode`](crate::decode) knows, so that there is no EVEX, XOP or 3DNow!.
//!
//! Not there: macros, conditional assembly, sections, external symbols, structures.
//!
//! Source: The Netwide Assembler manual, version 2.16, chapters 3 and 6; Intel SDM vol. 2.

mod address;
mod error;
mod expression;
mod form;
mod implied;
mod instruction;
mod layout;
mod names;
mod number;
mod operand;
mod program;
mod scan;
mod table;
#[cfg(test)]
mod tests;

pub use error::{AssembleCause, AssembleError};

use crate::decode::CodeSize;

/// The most bytes that one assembly may make, and that one source may have.
pub const MAX_ASSEMBLY: usize = 1 << 20;

/// How text is assembled where it does not say so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assembly {
    /// Until the first `bits`.
    pub size: CodeSize,
    /// Address of the first byte, unless there is an `org`.
    pub origin: u64,
}

/// Bytes and what they came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// All bytes, from the origin on.
    pub bytes: Vec<u8>,
    /// Address of the first byte: the given one, or that of `org`.
    pub origin: u64,
    /// For each statement, in order, which bytes it made.
    pub lines: Vec<AssembledLine>,
    /// Labels and `equ`s with their values, sorted by name; local labels have the name of the label
    /// that they belong to before them.
    pub symbols: Vec<(String, u64)>,
}

/// The bytes of one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssembledLine {
    /// Line of the source, from 1.
    pub line: usize,
    /// Where its bytes start in [`Assembled::bytes`].
    pub offset: usize,
    /// How many there are.
    pub len: usize,
    /// The code size that held there.
    pub size: CodeSize,
}

/// Assembles a source of one or more lines.
///
/// # Errors
/// The first mistake, with its place. A source that is too large, or whose addresses never settle,
/// is a mistake too: the work is bounded.
pub fn assemble(source: &str, options: Assembly) -> Result<Assembled, AssembleError> {
    let program = program::parse(source, options.size)?;
    layout::lay_out(program, options)
}
