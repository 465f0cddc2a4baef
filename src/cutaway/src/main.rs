//! The `cutaway` program.
#![forbid(unsafe_code)]

mod args;
mod asm;
mod check;
mod debug;
mod device;
mod disasm;
mod exit;
mod explain;
mod failure;
mod gdb;
mod guest;
mod lesson;
mod prompt;
mod quantity;
mod replay;
mod run;
mod session;
mod stats;
mod step;
mod test;
mod trace;
mod vm;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let given = args::with_two_dashes(std::env::args_os());
    let result = match Cli::try_parse_from(&given) {
        Ok(Cli { command }) => match command {
            None => run::run(&args::default_run()),
            Some(Command::Run(args)) => run::run(&args),
            Some(Command::Vm(command)) => vm::vm(&command),
            Some(Command::Snapshot(args)) => replay::snapshot(&args),
            Some(Command::Restore(args)) => replay::restore(&args),
            Some(Command::Replay(args)) => replay::replay(&args),
            Some(Command::Diff(args)) => replay::diff(&args),
            Some(Command::Debug(args)) => debug::debug(&args),
            Some(Command::Lesson(args)) => lesson::lesson(&args),
            Some(Command::Step(args)) => step::step(&args),
            Some(Command::Test(args)) => test::test(&args),
            Some(Command::Trace(args)) => trace::trace(&args),
            Some(Command::Asm(args)) => asm::asm(&args),
            Some(Command::Disasm(args)) => disasm::disasm(&args),
            Some(Command::Explain(args)) => explain::explain(&args),
        },
        Err(error) if !error.use_stderr() => {
            // Help or version. A reader that has gone needs none.
            let _ = error.print();
            Ok(exit::DONE)
        }
        Err(error) => {
            let command = given.get(1).and_then(|command| command.to_str());
            let command = command.filter(|command| matches!(*command, "asm" | "disasm"));
            Err(Failure::from(error).for_command(command.unwrap_or("run")))
        }
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("cutaway: {failure}");
            ExitCode::from(failure.code)
        }
    }
}
