//! The text of a test file, and the way from a place in it to a line.

use crate::FileError;
use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// No test file is longer: they are written by hand.
const MAX_BYTES: u64 = 1 << 18;
/// What all cases of a file may take once the parameters are put in.
const MAX_EXPANDED: usize = 16 << 20;

/// A test file, read.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// Bytes that its cases have taken so far.
    expanded: Cell<usize>,
}

impl Source {
    pub(crate) fn new(path: &Path, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), expanded: Cell::new(0) }
    }

    pub(crate) fn read(path: &Path) -> Result<Self, FileError> {
        let error = |message: String| FileError { path: path.to_owned(), line: None, message };
        let cannot = |why: std::io::Error| error(format!("cannot read the test file: {why}"));
        let about = std::fs::metadata(path).map_err(cannot)?;
        if !about.is_file() || about.len() > MAX_BYTES {
            return Err(error(format!("a test file is a file of at most {MAX_BYTES} bytes")));
        }
        let mut text = String::new();
        let file = File::open(path).map_err(cannot)?;
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(cannot)?;
        Ok(Self::new(path, &text))
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    /// An error about a place.
    pub(crate) fn error(&self, span: Range<usize>, message: impl Into<String>) -> FileError {
        self.error_at(self.line(span.start), message)
    }

    pub(crate) fn error_at(&self, line: usize, message: impl Into<String>) -> FileError {
        FileError { path: self.path.clone(), line: Some(line), message: message.into() }
    }

    /// Takes so many bytes of what the cases may take together; false if there are none left.
    pub(crate) fn spend(&self, bytes: usize) -> bool {
        let all = self.expanded.get().saturating_add(bytes);
        self.expanded.set(all);
        all <= MAX_EXPANDED
    }
}
