//! The captured vectors hold on the interpreter but for what `known.txt` lists, cover all forms in
//! scope, and are what docs/conformance.md says.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use cutaway_silicon::check::check;
use cutaway_silicon::known::known;
use cutaway_silicon::report;
use cutaway_silicon::vectors::{CASES, Vectors, folder, read_all};

fn files() -> &'static [Vectors] {
    static FILES: OnceLock<Vec<Vectors>> = OnceLock::new();
    FILES.get_or_init(|| read_all(&folder()).expect("the vectors are in the tree"))
}

/// Unoptimized, the check takes ten minutes; `cargo test --release` runs it.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimization")]
fn the_interpreter_differs_from_silicon_only_where_it_is_known() {
    let verdict = check(files(), &|_| true, &|_| {}).expect("the host has memory for a vCPU");

    assert!(verdict.cases > 11_000_000, "{} cases", verdict.cases);
    let found: BTreeMap<String, u32> = verdict
        .failures
        .into_iter()
        .map(|failure| (failure.form, failure.silicon + failure.paths))
        .collect();
    let mut expected = known();
    expected.retain(|_, count| *count > 0);
    let changed: Vec<_> = found
        .keys()
        .chain(expected.keys())
        .filter(|form| found.get(*form) != expected.get(*form))
        .map(|form| format!("{form}: {:?}, known {:?}", found.get(form), expected.get(form)))
        .collect();
    assert!(changed.is_empty(), "cutaway-silicon check --only says more: {changed:#?}");
}

#[test]
fn all_forms_in_scope_but_those_known_have_cases() {
    let expected: Vec<_> = known().into_iter().filter(|(_, count)| *count == 0).collect();

    let mut found: Vec<_> = report::defects(files()).into_iter().map(|form| (form, 0)).collect();
    found.sort();
    assert_eq!(found, expected);
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
