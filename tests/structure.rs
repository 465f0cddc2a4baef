//! Checks of the tree itself: crate borders, file length, the `unsafe` policy, where files,
//! sockets, threads and clocks may be named, and the checksums of committed images.
//!
//! Source of the rules: ARCHITECTURE.md, "The crates", and docs/unsafe.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use cutaway_tests::workspace_root;
use sha2::{Digest, Sha256};

/// Which of our crates each crate may use. What is not here is forbidden.
const BORDERS: &[(&str, &[&str])] = &[
    ("isa", &[]),
    ("state", &[]),
    ("memory", &[]),
    ("cpu", &["isa", "memory", "state"]),
    ("devices", &["memory", "state"]),
    ("vmm", &["isa", "memory", "state", "cpu"]),
    ("machine", &["isa", "memory", "state", "cpu", "devices", "vmm"]),
    ("replay", &["isa", "memory", "state", "cpu", "machine"]),
    ("debugger", &["isa", "memory", "state", "cpu", "machine", "replay"]),
    ("runner", &["isa", "memory", "state", "cpu", "machine", "replay"]),
    ("host", &["isa", "memory", "state", "cpu", "devices", "machine"]),
];

/// External crates that only one of ours may name, so that the rest builds without them.
const WALLED: &[(&str, &[&str])] = &[
    // The judge of instructions makes encodings, which the product never does: it needs iced-x86's
    // facts about opcodes, and a decoder that `isa` has not adapted.
    ("iced-x86", &["cutaway-isa", "cutaway-silicon"]),
    ("memmap2", &["cutaway-memory"]),
    ("crossterm", &["cutaway-host", "cutaway-debugger"]),
    ("ratatui-core", &["cutaway-debugger"]),
    ("signal-hook", &["cutaway-host"]),
    ("lz4_flex", &["cutaway-replay"]),
    ("gdbstub", &["cutaway-debugger"]),
    ("toml", &["cutaway-runner", "cutaway-debugger"]),
    ("quick-junit", &["cutaway-runner"]),
    ("rustyline", &["cutaway"]),
    ("indicatif", &["cutaway", "cutaway-silicon"]),
    ("clap", &["cutaway", "cutaway-benches", "cutaway-silicon"]),
];

/// Crates that may hold `unsafe`; every other one forbids it.
const UNSAFE_ALLOWED: &[&str] = &["memory", "cpu"];

/// Crates that name no file, socket, thread or host clock.
const PURE: &[&str] = &["isa", "state", "memory", "cpu", "devices", "vmm", "machine"];

/// The one file of those that does: it maps a file that somebody else has opened.
const MAPS_FILES: &str = "src/memory/src/backing.rs";

const MAX_LINES: usize = 1000;

/// Files of the tree below `folder` with one of these endings, sorted.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a folder of the tree can be listed").path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| endings.iter().any(|&x| e == x)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    let path = path.strip_prefix(workspace_root()).expect("the file lies in the tree");
    path.to_string_lossy().replace('\\', "/")
}

fn crate_files(name: &str) -> Vec<PathBuf> {
    files(&workspace_root().join("src").join(name).join("src"), &["rs"])
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A source file without its comments, as far as lines tell: enough to look for words.
fn code_of(path: &Path) -> String {
    let text = text_of(path);
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The part of a file before its tests, which may name what the product may not.
fn product_code_of(path: &Path) -> String {
    if relative(path).ends_with("/tests.rs") || relative(path).contains("/tests/") {
        return String::new();
    }
    let code = code_of(path);
    code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned()
}

/// What cargo says of the workspace.
fn metadata() -> serde_json::Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(workspace_root())
        .output()
        .expect("cargo runs: it runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

/// Direct dependencies of each package of the workspace, without those of its tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let name =
        |value: &serde_json::Value| value["name"].as_str().expect("each has a name").to_owned();
    let uses = |package: &serde_json::Value| {
        let all = package["dependencies"].as_array().expect("a list, if empty");
        all.iter().filter(|of| of["kind"] != "dev").map(name).collect()
    };
    packages.iter().map(|package| (name(package), uses(package))).collect()
}

#[test]
fn cargo_run_finds_one_program() {
    let metadata = metadata();
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let members = list(&metadata["workspace_default_members"]);
    let packages = list(&metadata["packages"]);

    let targets = packages
        .iter()
        .filter(|of| members.contains(&of["id"]))
        .flat_map(|of| list(&of["targets"]));
    let programs: Vec<_> =
        targets.filter(|target| list(&target["kind"]).contains(&"bin".into())).collect();

    let names: Vec<_> = programs.iter().filter_map(|target| target["name"].as_str()).collect();
    assert_eq!(names, ["cutaway"], "default-members in Cargo.toml");
}

#[test]
fn crates_depend_only_downwards() {
    let dependencies = dependencies();

    for (name, allowed) in BORDERS {
        let package = format!("cutaway-{name}");
        for used in &dependencies[&package] {
            let Some(used) = used.strip_prefix("cutaway-") else { continue };
            assert!(allowed.contains(&used), "{package} may not use cutaway-{used}");
        }
    }
}

#[test]
fn every_crate_has_its_place_in_the_table() {
    let entries = std::fs::read_dir(workspace_root().join("src")).unwrap();
    let listed = |name: &str| name == "cutaway" || BORDERS.iter().any(|(of, _)| *of == name);

    for entry in entries {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(listed(&name), "src/{name} is not in the table of borders");
    }
}

#[test]
fn heavy_crates_stay_behind_their_walls() {
    for (package, uses) in &dependencies() {
        for (walled, owners) in WALLED {
            let owner = owners.contains(&package.as_str());
            assert!(owner || !uses.contains(*walled), "{package} may not use {walled}");
        }
    }
}

#[test]
fn files_are_at_most_a_thousand_lines() {
    let root = workspace_root();
    let mut all = Vec::new();
    for folder in ["src", "tests", "benches", "firmware", "test-roms"] {
        all.extend(files(&root.join(folder), &["rs", "asm", "inc", "s", "S", "c", "h", "sh"]));
    }
    assert!(all.len() > 50, "the walk finds the tree");

    for path in all {
        let text = text_of(&path);
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", relative(&path));
    }
}

#[test]
fn source_files_start_with_their_header() {
    let mut all = files(&workspace_root().join("src"), &["rs"]);
    all.extend(files(&workspace_root().join("tests/silicon"), &["rs"]));
    for path in all {
        let text = text_of(&path);
        assert!(text.starts_with("//!"), "{} has no //! header", relative(&path));
    }
}

#[test]
fn crates_forbid_unsafe_code_where_none_is_allowed() {
    for entry in std::fs::read_dir(workspace_root().join("src")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        if UNSAFE_ALLOWED.contains(&name.as_str()) {
            continue;
        }
        for root in ["lib.rs", "main.rs"] {
            let Ok(text) = std::fs::read_to_string(folder.join("src").join(root)) else {
                continue;
            };
            assert!(text.contains("#![forbid(unsafe_code)]"), "src/{name}/src/{root}");
        }
    }
}

/// docs/unsafe.md has one table row a file: `| path | how many blocks | why |`.
#[test]
fn unsafe_md_lists_every_unsafe_block() {
    let document = text_of(&workspace_root().join("docs/unsafe.md"));
    let mut listed = BTreeMap::new();
    for line in document.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let ["", path, count, _, ""] = cells[..]
            && let Ok(count) = count.parse::<usize>()
        {
            listed.insert(path.trim_matches('`').to_owned(), count);
        }
    }

    let mut found = BTreeMap::new();
    let mut all = files(&workspace_root().join("src"), &["rs"]);
    all.extend(files(&workspace_root().join("tests"), &["rs"]));
    for path in all {
        if relative(&path) == "tests/structure.rs" {
            continue; // which names the words that it looks for
        }
        let code = code_of(&path);
        let count = ["unsafe {", "unsafe fn ", "unsafe impl ", "unsafe trait ", "unsafe extern "]
            .iter()
            .map(|form| code.matches(form).count())
            .sum::<usize>();
        if count > 0 {
            found.insert(relative(&path), count);
        }
    }
    assert_eq!(found, listed, "found in src/ and tests/ (left), listed in docs/unsafe.md (right)");
}

#[test]
fn the_machine_names_no_file_socket_thread_or_clock() {
    let forbidden = ["std::fs", "std::net", "std::thread", "std::time", "std::process"];
    for name in PURE {
        for path in crate_files(name) {
            if relative(&path) == MAPS_FILES {
                continue;
            }
            let code = product_code_of(&path);
            for word in forbidden {
                assert!(!code.contains(word), "{} names {word}", relative(&path));
            }
        }
    }
}

#[test]
fn nothing_is_left_to_do_without_an_issue() {
    let words = ["TODO", "FIXME", "todo!(", "unimplemented!("];
    let root = workspace_root();
    let mut all = files(&root.join("src"), &["rs"]);
    all.extend(files(&root.join("firmware"), &["asm", "inc"]));
    all.extend(files(&root.join("test-roms"), &["asm", "inc"]));
    for path in all {
        let text = text_of(&path);
        for word in words {
            assert!(!text.contains(word), "{} contains {word}", relative(&path));
        }
    }
}

/// Lists of checksums, as `sha256sum` writes them; names are relative to the list.
const CHECKSUMS: &[&str] = &[
    "firmware/SHA256SUMS",
    "test-roms/SHA256SUMS",
    "test-roms/kernel/SHA256SUMS",
    "benches/workloads/workloads.elf.sha256",
];

/// Images that are built from sources of the tree, and one of these lists has.
#[test]
fn committed_images_have_their_checksums() {
    let root = workspace_root();
    let mut checked = Vec::new();
    for list in CHECKSUMS {
        let list = root.join(list);
        for line in text_of(&list).lines() {
            let (expected, name) = line.split_once("  ").expect("<sum>  <file>");
            let path = list.parent().unwrap().join(name).canonicalize().unwrap();
            let digest = Sha256::digest(std::fs::read(&path).unwrap());
            let sum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(sum, expected, "{} is not the file that was built", path.display());
            checked.push(path);
        }
    }

    let mut images = Vec::new();
    for folder in ["firmware", "test-roms", "benches"] {
        images.extend(files(&root.join(folder), &["bin", "elf"]));
    }
    for image in images {
        let image = image.canonicalize().unwrap();
        assert!(checked.contains(&image), "{} has no checksum", image.display());
    }
}

/// Links in documents lead to files of the tree.
#[test]
fn documents_have_no_broken_links() {
    let root = workspace_root();
    let mut documents = files(&root.join("docs"), &["md"]);
    documents.extend(["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|name| root.join(name)));
    for path in documents {
        let text = text_of(&path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let at = path.parent().unwrap().join(target);
            assert!(at.exists(), "{} links to {link}", relative(&path));
        }
    }
}

/// The book has every document, apart from the lessons, which `cutaway lesson` shows.
#[test]
fn the_book_has_every_document() {
    let docs = workspace_root().join("docs");
    let summary = text_of(&docs.join("SUMMARY.md"));
    for path in files(&docs, &["md"]) {
        let path = path.strip_prefix(&docs).unwrap().to_str().unwrap();
        let is_lesson = path.starts_with("lessons/") && path != "lessons/README.md";
        let is_in = summary.contains(&format!("]({path})"));
        assert!(is_in || is_lesson || path == "SUMMARY.md", "SUMMARY.md lacks {path}");
    }
}
