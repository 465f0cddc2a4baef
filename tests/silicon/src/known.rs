//! What is known not to agree with silicon yet, or to have no cases: `known.txt`. A test holds
//! that it is this and nothing else, and docs/conformance.md lists it.

use std::collections::BTreeMap;

const TEXT: &str = include_str!("../known.txt");

/// Forms, as `name/size`, and how many of their cases differ from silicon; 0 for a form in scope
/// that has no cases.
///
/// # Panics
///
/// If the file is damaged.
#[must_use]
pub fn known() -> BTreeMap<String, u32> {
    let lines = TEXT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (form, count) = line.split_once(' ').expect("a form and a count");
            (form.to_owned(), count.parse().expect("a count is a number"))
        })
        .collect()
}
