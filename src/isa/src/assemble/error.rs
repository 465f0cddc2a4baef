//! What can be wrong with a source, and where.

use thiserror::Error;

/// A mistake in a source.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {cause}")]
pub struct AssembleError {
    /// Line of the source, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
    /// What is wrong there.
    pub cause: AssembleCause,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AssembleCause {
    /// The text has no meaning in this syntax.
    #[error("{0}")]
    Syntax(String),
    /// No such instruction or directive.
    #[error("there is no instruction or directive {name}{}", near(.nearest))]
    UnknownMnemonic {
        /// As written.
        name: String,
        /// The names that are most like it.
        nearest: Vec<String>,
    },
    /// The instruction has no form with these operands.
    #[error("{name} does not take these operands; it has {}", .forms.join(", "))]
    Operands {
        /// The mnemonic.
        name: String,
        /// Some of its forms.
        forms: Vec<String>,
    },
    /// Another code size has the instruction.
    #[error("{what} does not exist in {bits}-bit code, only in {others}")]
    CodeSize {
        /// Mnemonic, with its operands or without.
        what: String,
        /// The code size of the place.
        bits: u32,
        /// The ones that have it.
        others: String,
    },
    /// A memory operand may have several sizes.
    #[error("the size of the memory operand is open: write {} before the bracket", .0.join(" or "))]
    SizeOpen(Vec<&'static str>),
    /// A number is too large or too small for its place.
    #[error("{value} does not fit into {place}")]
    Range {
        /// The number.
        value: String,
        /// What it should fit into.
        place: String,
    },
    /// Registers that do not go together in an address, or a displacement that does not fit.
    #[error("this address cannot be encoded: {0}")]
    Address(String),
    /// The parts are right, but not together.
    #[error("{name} cannot be encoded so: {reason}")]
    Encoding {
        /// The mnemonic.
        name: String,
        /// What stands against it.
        reason: String,
    },
    /// A name that is not defined anywhere.
    #[error("{name} is not defined{}", near(.nearest))]
    Undefined {
        /// As written.
        name: String,
        /// Defined names that are most like it.
        nearest: Vec<String>,
    },
    /// A name that is defined a second time.
    #[error("{name} is already defined in line {first}")]
    Duplicate {
        /// As written.
        name: String,
        /// Where it was defined first.
        first: usize,
    },
    /// An expression cannot be worked out.
    #[error("{0}")]
    Expression(String),
    /// A limit that keeps the work bounded.
    #[error("{0}")]
    TooLarge(String),
    /// Addresses and lengths depend on each other and find no rest.
    #[error("the length of this statement depends on itself, and no length fits")]
    Unsettled,
}

/// What can go wrong where the line is not known yet.
pub(super) type At = (usize, AssembleCause);

fn near(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [name] => format!("; is it {name}?"),
        [names @ .., last] => format!("; is it {} or {last}?", names.join(", ")),
    }
}

/// The names that are at most two mistakes away from `name`, the nearest first.
pub(super) fn nearest<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> Vec<String> {
    let name: Vec<u8> = name.bytes().take(40).map(|byte| byte.to_ascii_lowercase()).collect();
    let allowed = if name.len() < 4 { 1 } else { 2 };
    // Of those that are equally far, the ones that begin alike.
    let other_beginning = |other: &str| {
        let same = other.bytes().zip(&name).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
        usize::MAX - same
    };
    let mut found: Vec<(usize, usize, &str)> = all
        .filter(|other| other.len().abs_diff(name.len()) <= allowed)
        .map(|other| (distance(&name, other.to_ascii_lowercase().as_bytes()), other))
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(distance, other)| (distance, other_beginning(other), other))
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(3).map(|(.., other)| other.to_owned()).collect()
}

/// Letters to insert, to leave out, to change or to exchange with their neighbour.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}
