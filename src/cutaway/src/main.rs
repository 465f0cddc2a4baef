//! The `cutaway` program.
#![forbid(unsafe_code)]

mod args;
mod exit;
mod failure;
mod quantity;
mod run;
mod stats;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let result = match Cli::try_parse_from(args::with_two_dashes(std::env::args_os())) {
        Ok(Cli { command: Some(Command::Run(args)) }) => run::run(&args),
        Ok(Cli { command: None }) => run::run(&args::default_run()),
        Err(error) if !error.use_stderr() => {
            // Help or version. A reader that has gone needs none.
            let _ = error.print();
            Ok(exit::DONE)
        }
        Err(error) => Err(Failure::from(error)),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("cutaway: {failure}");
            ExitCode::from(failure.code)
        }
    }
}
