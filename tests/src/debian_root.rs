//! A root file system of Debian's own files: what the packages installed on the host have put
//! there, so that a guest runs the very programs that the host can run beside it.
//!
//! Left out is what no program of the tests opens: documentation, configuration, the link-time
//! optimiser, libraries for static linking, sanitizers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::initramfs::Archive;

/// Folders of which nothing is taken.
const LEFT_OUT: &[&str] = &[
    "/etc/",
    "/var/",
    "/run/",
    "/usr/share/",
    "/usr/sbin/",
    "/usr/lib/x86_64-linux-gnu/gconv/",
    "/usr/lib/python3.11/pydoc_data/",
    "/usr/lib/systemd/",
];
/// Beginnings of the names of large files that are not used.
const UNUSED: &[&str] = &[
    "lto1",
    "x86_64-linux-gnu-lto-dump",
    "x86_64-linux-gnu-ld.gold",
    "x86_64-linux-gnu-dwp",
    "libasan",
    "libtsan",
    "liblsan",
    "libubsan",
    "libhwasan",
];
/// Static libraries that dynamic linking needs too.
const LINKED: &[&str] = &["libgcc.a", "libgcc_eh.a", "libc_nonshared.a"];
/// What a file system with `/usr` merged has as links.
const MERGED: &[&str] = &["bin", "sbin", "lib", "lib64"];

/// What stands at a path.
enum Entry {
    Folder,
    File(PathBuf),
    Link(String),
}

/// Puts the files of these packages, and of all that they depend on, into an archive.
///
/// # Errors
/// With what is missing, and how to get it.
pub fn add_packages(archive: &mut Archive, packages: &[&str]) -> Result<(), String> {
    let wanted = closure(packages)?;
    let mut entries = BTreeMap::new();
    for name in MERGED {
        match std::fs::read_link(Path::new("/").join(name)) {
            Ok(target) => entries.insert((*name).to_owned(), Entry::Link(text(&target))),
            Err(_) => entries.insert((*name).to_owned(), Entry::Folder),
        };
    }
    let mut arguments = vec!["-L"];
    arguments.extend(wanted.iter().map(String::as_str));
    let listing = output("dpkg-query", &arguments)?;
    // A package says of a file that it diverts, too; such a line is no path.
    for line in listing.lines().filter(|line| line.starts_with('/')) {
        if let Some((path, entry)) = entry_of(Path::new(line)) {
            entries.insert(path, entry);
        }
    }
    let paths: Vec<String> = entries.keys().cloned().collect();
    for folder in paths.iter().flat_map(|path| Path::new(path).ancestors().skip(1)) {
        let folder = text(folder);
        if !folder.is_empty() {
            entries.entry(folder).or_insert(Entry::Folder);
        }
    }
    // A folder sorts before what is in it.
    for (path, entry) in &entries {
        match entry {
            Entry::Folder => archive.folder(path),
            Entry::Link(target) => archive.link(path, target),
            Entry::File(file) => {
                let content = std::fs::read(file);
                archive.program(path, &content.map_err(|e| format!("{}: {e}", file.display()))?);
            }
        }
    }
    Ok(())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The packages and what they depend on, as the database of installed packages says.
fn closure(packages: &[&str]) -> Result<BTreeSet<String>, String> {
    let format = "${db:Status-Status}\t${binary:Package}\t${Package}\t${Provides}\t\
                  ${Pre-Depends}, ${Depends}\n";
    let database = output("dpkg-query", &["-W", "-f", format])?;
    // Name, or name that is provided, to the installed package and its dependencies.
    let mut known = BTreeMap::new();
    for line in database.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let ["installed", full, name, provides, depends] = fields[..] else { continue };
        for provided in names(provides).flatten() {
            known.entry(provided).or_insert((full, depends));
        }
        known.insert(name, (full, depends));
    }
    let mut found = BTreeSet::new();
    let mut waiting: Vec<&str> = Vec::new();
    for name in packages {
        known.get(name).ok_or_else(|| format!("install {name}"))?;
        waiting.push(name);
    }
    while let Some(name) = waiting.pop() {
        let Some((full, depends)) = known.get(name) else { continue };
        if found.insert((*full).to_owned()) {
            for alternatives in names(depends) {
                waiting.extend(alternatives.into_iter().find(|name| known.contains_key(name)));
            }
        }
    }
    Ok(found)
}

/// The names in a list of dependencies, each with its alternatives, without versions.
fn names(list: &str) -> impl Iterator<Item = Vec<&str>> {
    let name = |one: &'_ str| -> usize { one.find([' ', ':', '(']).unwrap_or(one.len()) };
    list.split(',').map(move |one| {
        let each = one.split('|').map(str::trim).map(|one| &one[..name(one)]);
        each.filter(|name| !name.is_empty()).collect()
    })
}

/// A path of a package, where it really lies, and what is there. None for what is left out and
/// for what the host does not have (a package may list what an administrator has removed).
fn entry_of(path: &Path) -> Option<(String, Entry)> {
    let name = path.file_name()?.to_str()?;
    let place = path.parent()?.canonicalize().ok()?.join(name);
    let shown = text(&place);
    let is_static = name.ends_with(".a") && !LINKED.contains(&name);
    let left_out = LEFT_OUT.iter().any(|folder| shown.starts_with(folder));
    if left_out || is_static || UNUSED.iter().any(|unused| name.starts_with(unused)) {
        return None;
    }
    let kind = std::fs::symlink_metadata(&place).ok()?.file_type();
    let entry = if kind.is_symlink() {
        Entry::Link(text(&std::fs::read_link(&place).ok()?))
    } else if kind.is_file() {
        Entry::File(place)
    } else {
        return None; // the folders come from the files in them
    };
    Some((shown[1..].to_owned(), entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_names_with_alternatives() {
        let list = "libc6 (>= 2.34), awk | mawk:any (= 1), , python3:any";

        let names: Vec<_> = names(list).filter(|names| !names.is_empty()).collect();

        assert_eq!(names, [vec!["libc6"], vec!["awk", "mawk"], vec!["python3"]]);
    }
}
