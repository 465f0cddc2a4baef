//! What can be wrong with test files and with the host that runs them.

use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with a test file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1; none where the file as a whole is no good.
    pub line: Option<usize>,
    /// What is wrong and what may be there.
    pub message: String,
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path.display(), self.message),
            None => write!(f, "{}: {}", self.path.display(), self.message),
        }
    }
}

impl std::error::Error for FileError {}

/// Why the tests cannot be run or reported at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The host failed.
    #[error("cannot {what} {}", path.display())]
    Host {
        /// What was being done.
        what: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// The host's reason.
        #[source]
        source: io::Error,
    },
    /// The report could not be shown.
    #[error("cannot write the report")]
    Output(#[source] io::Error),
    /// There is nothing to run.
    #[error("there is no test file (*.toml) in {}", path.display())]
    NoTests {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// No test is chosen.
    #[error("no name of {cases} tests has '{filter}' in it")]
    NothingChosen {
        /// What was looked for in the names.
        filter: String,
        /// How many tests there are.
        cases: usize,
    },
}

impl RunnerError {
    /// Wraps an error of the host.
    pub(crate) fn host(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Host { what, path, source }
    }
}
