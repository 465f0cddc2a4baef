//! Forms that are known not to agree with silicon yet, and why: listed in docs/conformance.md, and
//! a test holds that they are these and no others.

use iced_x86::Code;

/// A known difference.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Which forms.
    pub applies: fn(Code) -> bool,
    /// What is wrong.
    pub reason: &'static str,
}

/// All of them.
pub const KNOWN: &[Known] = &[];

/// Why a form is known to differ, if it is.
#[must_use]
pub fn reason(code: Code) -> Option<&'static str> {
    KNOWN.iter().find(|known| (known.applies)(code)).map(|known| known.reason)
}
