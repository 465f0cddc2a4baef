//! Test files, loaded: from TOML to cases.

use crate::FileError;
use crate::case::Case;
use crate::params::combinations;
use crate::raw::RawFile;
use crate::resolve::Resolver;
use crate::source::Source;
use std::path::Path;

/// A test file whose cases can be run.
#[derive(Clone, Debug)]
pub struct TestFile {
    cases: Vec<Case>,
}

impl TestFile {
    /// Reads a test file and checks all of it that can be checked without running it.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        Self::of_source(&Source::read(path)?)
    }

    /// A test file from its text; paths in it are relative to the folder of `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        Self::of_source(&Source::new(path, text))
    }

    fn of_source(source: &Source) -> Result<Self, FileError> {
        let raw: RawFile = toml::from_str(&source.text).map_err(|error| {
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            source.error(error.span().unwrap_or(0..0), message)
        })?;
        let mut cases = Vec::new();
        for params in combinations(source, &raw.matrix)? {
            cases.push(Resolver { source, params: &params }.case(&raw)?);
        }
        Ok(Self { cases })
    }

    /// The cases: one for each combination of the matrix.
    #[must_use]
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The cases alone.
    #[must_use]
    pub fn into_cases(self) -> Vec<Case> {
        self.cases
    }
}

#[cfg(test)]
mod tests;
