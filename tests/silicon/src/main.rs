//! The program: checks, captures and hunts.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use clap::{Parser, Subcommand};
use cutaway_silicon::check::{Failure, check};
use cutaway_silicon::judge::Wrong;
use cutaway_silicon::{compare, report, vectors};
use indicatif::{ProgressBar, ProgressStyle};

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod hunt;

/// Judges the interpreter by a real CPU.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = "\
Examples:
  cutaway-silicon check                        all captured vectors, on any host
  cutaway-silicon live --for 10m               new cases on this host's CPU for ten minutes
  cutaway-silicon live --only imul --size 64   only instructions whose name contains imul
  cutaway-silicon random --cases 20000000      random bytes as code
  cutaway-silicon capture --only adc           captures again, and says what changed
  cutaway-silicon report                       writes docs/conformance.md"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the captured vectors on the interpreter.
    Check {
        #[command(flatten)]
        filter: Filter,
    },
    /// Capture vectors from this host's CPU (Linux on x86-64).
    Capture {
        #[command(flatten)]
        filter: Filter,
    },
    /// Compare new cases with this host's CPU (Linux on x86-64).
    Live {
        #[command(flatten)]
        filter: Filter,
        /// Where the cases start; drawn and printed if not given.
        #[arg(long)]
        seed: Option<u64>,
        /// For how long, such as 90s, 10m or 2h; until interrupted if not given.
        #[arg(long = "for", value_parser = duration)]
        time: Option<Duration>,
        /// Rounds over all forms; until interrupted if neither this nor a time is given.
        #[arg(long)]
        rounds: Option<u64>,
        /// Cases of each form in each round.
        #[arg(long, default_value_t = 256)]
        cases: u64,
        /// Stop after so many failing forms.
        #[arg(long, default_value_t = 20)]
        failures: usize,
    },
    /// Compare random bytes as code with this host's CPU (Linux on x86-64).
    Random {
        /// How many, over all code sizes.
        #[arg(long, default_value_t = 1_000_000)]
        cases: u64,
        /// Where they start; drawn and printed if not given.
        #[arg(long)]
        seed: Option<u64>,
        /// 16, 32 or 64; all if not given.
        #[arg(long)]
        size: Option<u32>,
        /// Stop after so many failures.
        #[arg(long, default_value_t = 20)]
        failures: usize,
    },
    /// Write docs/conformance.md from the captured vectors.
    Report,
}

/// Which forms.
#[derive(clap::Args)]
struct Filter {
    /// Only forms whose name contains this, whatever the case.
    #[arg(long)]
    only: Option<String>,
    /// Only this code size: 16, 32 or 64.
    #[arg(long)]
    size: Option<u32>,
}

impl Filter {
    /// Whether a label `name/size` is wanted.
    fn wants(&self, label: &str) -> bool {
        let (name, size) = label.split_once('/').unwrap_or((label, ""));
        let named = self
            .only
            .as_ref()
            .is_none_or(|only| name.to_lowercase().contains(&only.to_lowercase()));
        named && self.size.is_none_or(|wanted| size == wanted.to_string())
    }
}

/// A number with s, m or h.
fn duration(text: &str) -> Result<Duration, String> {
    let error = || format!("{text:?} is no number with s, m or h");
    let unit = text.chars().last().ok_or_else(error)?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| error())?;
    let seconds = match unit {
        's' => number,
        'm' => number.saturating_mul(60),
        'h' => number.saturating_mul(3600),
        _ => return Err(error()),
    };
    Ok(Duration::from_secs(seconds))
}

/// A bar on standard error, which shows nothing where that is no terminal.
fn bar(length: Option<u64>) -> ProgressBar {
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let template = "{bar:40} {human_pos}/{human_len} cases, {per_sec}, {eta} {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// A seed nobody gave.
fn drawn_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(1, |time| time.as_nanos() as u64 & 0xffff_ffff)
}

fn main() -> ExitCode {
    match run(&Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            eprintln!("cutaway-silicon: {text}");
            ExitCode::from(2)
        }
    }
}

/// Runs a command; whether all was well.
fn run(command: &Command) -> Result<bool, Box<dyn std::error::Error>> {
    match command {
        Command::Check { filter } => check_all(filter),
        Command::Report => {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
            let path = path.join("../../docs/conformance.md");
            let files = vectors::read_all(&vectors::folder())?;
            std::fs::write(path, report::document(&files))?;
            Ok(true)
        }
        _ => on_silicon(command),
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn on_silicon(command: &Command) -> Result<bool, Box<dyn std::error::Error>> {
    match command {
        Command::Capture { filter } => hunt::capture(&|label| filter.wants(label)),
        Command::Live { filter, seed, time, rounds, cases, failures } => {
            let seed = seed.unwrap_or_else(drawn_seed);
            println!("seed {seed}");
            let limits = hunt::Limits {
                time: *time,
                rounds: rounds.unwrap_or(u64::MAX),
                failures: *failures,
            };
            hunt::live(&|label| filter.wants(label), seed, *cases, limits)
        }
        Command::Random { cases, seed, size, failures } => {
            let seed = seed.unwrap_or_else(drawn_seed);
            println!("seed {seed}");
            hunt::random(*cases, seed, *size, *failures)
        }
        Command::Check { .. } | Command::Report => Ok(true),
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn on_silicon(_: &Command) -> Result<bool, Box<dyn std::error::Error>> {
    let _ = drawn_seed;
    Err("only Linux on x86-64 can ask silicon".into())
}

fn check_all(filter: &Filter) -> Result<bool, Box<dyn std::error::Error>> {
    let files = vectors::read_all(&vectors::folder())?;
    let total = files.iter().flat_map(|file| &file.forms).map(|form| form.checks.len() as u64);
    let bar = bar(Some(total.sum()));
    let started = Instant::now();
    let verdict = check(&files, &|label| filter.wants(label), &|done| bar.inc(done))?;
    bar.finish_and_clear();
    for failure in &verdict.failures {
        print_failure(failure);
    }
    println!(
        "{} cases of {} forms checked in {:.1} s: {} forms differ",
        verdict.cases,
        verdict.forms,
        started.elapsed().as_secs_f64(),
        verdict.failures.len()
    );
    Ok(verdict.failures.is_empty() && verdict.cases > 0)
}

fn print_failure(failure: &Failure) {
    println!(
        "{}: {} cases differ from silicon, {} between paths",
        failure.form, failure.silicon, failure.paths
    );
    let Some((generated, wrong, expected, ours)) = &failure.first else { return };
    println!("    {}", compare::disassemble(&generated.case));
    let (left, right) = match wrong {
        Wrong::Silicon => ("silicon", "cutaway"),
        Wrong::Block => ("complete path", "fast path"),
    };
    match expected {
        Some(expected) => {
            for [name, a, b] in compare::differences(expected, ours) {
                println!("      {name}: {left} {a}, {right} {b}");
            }
        }
        None => println!("      (only the hash of silicon's outcome is known; ask with `live`)"),
    }
}
