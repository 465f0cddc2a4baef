//! The test runner: test files for guests, read, run and reported.
//!
//! A [`TestFile`] says in TOML which machine starts what, what is typed and expected, what goes
//! wrong on purpose, and what must hold in the end; `docs/test-files.md` is its reference. Its
//! matrix of parameters makes [`Case`]s of it. [`run_case`] runs one, [`run`] all of many files,
//! over the cores of the host.
//!
//! A case is driven in slices of a fixed number of ticks, and everything enters at the border of
//! two, so it does the same each time on every host; the host's clock is only asked for durations
//! that are shown. Since every run repeats, a passing test is not recorded at all, and a failing
//! one is simply run again with a recorder.
//!
//! Test files are untrusted: what cannot be is an error that says where and what may be there.
//! Not implemented: checks of the screen, as there is no display adapter.
#![forbid(unsafe_code)]

mod case;
mod checks;
mod driver;
mod error;
mod files;
mod images;
mod junit;
mod load;
mod outcome;
mod params;
mod print;
mod quantity;
mod raw;
mod resolve;
mod run_case;
mod script;
mod source;
mod suite;

pub use case::Case;
pub use error::{FileError, RunnerError};
pub use load::TestFile;
pub use outcome::{Failure, Kept, Outcome, Report};
pub use run_case::{How, run_case};
pub use suite::{Options, Summary, run};
