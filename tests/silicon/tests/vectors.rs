//! The captured vectors hold on the interpreter, cover all forms in scope, and are what
//! docs/conformance.md says.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use cutaway_silicon::check::{check, code_of};
use cutaway_silicon::vectors::{CASES, Vectors, folder, read_all};
use cutaway_silicon::{known, report};

fn files() -> &'static [Vectors] {
    static FILES: OnceLock<Vec<Vectors>> = OnceLock::new();
    FILES.get_or_init(|| read_all(&folder()).expect("the vectors are in the tree"))
}

/// Unoptimized, the check takes ten minutes; `cargo test --release` runs it.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimization")]
fn the_interpreter_agrees_with_silicon() {
    let verdict = check(files(), &|_| true, &|_| {}).expect("the host has memory for a vCPU");

    assert!(verdict.cases > 1_000_000, "the vectors were read");
    let mut known_differences = BTreeSet::new();
    let mut unknown = Vec::new();
    for failure in &verdict.failures {
        let name = failure.form.split('/').next().unwrap_or_default();
        match code_of(name).and_then(known::reason) {
            Some(reason) => {
                known_differences.insert(reason);
            }
            None => unknown.push((&failure.form, failure.silicon, failure.paths)),
        }
    }
    assert!(unknown.is_empty(), "cutaway-silicon check --only says more: {unknown:?}");
    for entry in known::KNOWN {
        assert!(known_differences.contains(entry.reason), "agrees by now: {}", entry.reason);
    }
}

#[test]
fn all_forms_in_scope_have_cases() {
    let defects = report::defects(files());

    assert!(defects.is_empty(), "no cases of {defects:?}");
    for form in files().iter().flat_map(|file| &file.forms) {
        assert!(form.checks.len() >= CASES as usize, "{}: {}", form.name, form.checks.len());
    }
}

#[test]
fn conformance_md_is_made_from_the_vectors() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md");
    let committed = std::fs::read_to_string(path).expect("docs/conformance.md is there");

    let current = report::document(files());

    assert!(committed == current, "run cargo run --release -p cutaway-silicon -- report");
}
