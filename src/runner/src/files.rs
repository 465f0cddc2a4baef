//! Finding test files: those named, and those in folders, sorted.

use crate::RunnerError;
use std::path::{Path, PathBuf};

/// Folders within folders that are looked into.
const MAX_DEPTH: usize = 16;

/// The test files of some paths: a file is one by being named, in a folder by its ending. Links to
/// folders are not followed.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, RunnerError> {
    let mut all = Vec::new();
    for path in paths {
        let about = std::fs::metadata(path).map_err(RunnerError::host("open", path))?;
        if !about.is_dir() {
            all.push(path.clone());
            continue;
        }
        let before = all.len();
        collect(path, MAX_DEPTH, &mut all)?;
        if all.len() == before {
            return Err(RunnerError::NoTests { path: path.clone() });
        }
        all[before..].sort();
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|path| seen.insert(path.clone()));
    Ok(all)
}

fn collect(folder: &Path, depth: usize, all: &mut Vec<PathBuf>) -> Result<(), RunnerError> {
    let failed = || RunnerError::host("list", folder);
    for entry in std::fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let kind = entry.file_type().map_err(failed())?;
        let path = entry.path();
        if kind.is_dir() && depth > 0 {
            collect(&path, depth - 1, all)?;
        } else if !kind.is_dir() && path.extension().is_some_and(|ending| ending == "toml") {
            all.push(path);
        }
    }
    Ok(())
}
