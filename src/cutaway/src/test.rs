//! `cutaway test`: the runner of test files.

use std::io::{IsTerminal, stderr, stdout};
use std::path::PathBuf;

use cutaway::FIRMWARE;
use cutaway::runner::{Options, RunnerError, run};

use crate::args::TestArgs;
use crate::exit::{BAD_INPUT, HOST_FAILED};
use crate::failure::Failure;

/// Runs test files; the result is the exit code.
pub(crate) fn test(args: &TestArgs) -> Result<u8, Failure> {
    let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let keep = args.keep.clone().unwrap_or_else(|| PathBuf::from("cutaway-failures"));
    let options = Options {
        jobs: args.jobs,
        repeat: args.repeat,
        junit: args.junit.clone(),
        list: args.list,
        filter: args.filter.clone(),
        colour,
        progress: stderr().is_terminal(),
        ..Options::new(args.paths.clone(), keep, FIRMWARE)
    };
    let summary = run(&options, &mut stdout(), &mut stderr()).map_err(|error| {
        let (code, remedy) = match &error {
            RunnerError::NoTests { .. } => (BAD_INPUT, "give a test file, or a folder of them"),
            RunnerError::NothingChosen { .. } => (BAD_INPUT, "--list shows the names"),
            _ => (HOST_FAILED, "give files and places that are there"),
        };
        Failure::of(code, &error, remedy)
    })?;
    Ok(summary.exit_code())
}
