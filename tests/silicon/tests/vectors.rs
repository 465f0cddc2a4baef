//! The captured vectors hold on the interpreter, cover all forms in scope, and are what
//! docs/conformance.md says.

use std::sync::OnceLock;

use cutaway_silicon::check::check;
use cutaway_silicon::report;
use cutaway_silicon::vectors::{CASES, Vectors, folder, read_all};

fn files() -> &'static [Vectors] {
    static FILES: OnceLock<Vec<Vectors>> = OnceLock::new();
    FILES.get_or_init(|| read_all(&folder()).expect("the vectors are in the tree"))
}

/// Unoptimized, the check takes ten minutes; `cargo test --release` runs it.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimization")]
fn the_interpreter_agrees_with_silicon() {
    let verdict = check(files(), &|_| true, &|_| {}).expect("the host has memory for a vCPU");

    assert!(verdict.cases > 11_800_000, "{} cases", verdict.cases);
    let differs: Vec<_> = verdict
        .failures
        .iter()
        .map(|f| format!("{}: {} cases, {} between paths", f.form, f.silicon, f.paths))
        .collect();
    assert!(differs.is_empty(), "cutaway-silicon check --only says more: {differs:#?}");
}

#[test]
fn all_forms_in_scope_have_cases() {
    assert_eq!(report::defects(files()), Vec::<String>::new());
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
