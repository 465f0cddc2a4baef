//! Runs the guest workloads as a native process, under QEMU's translator and under Cutaway, and
//! prints what they cost in host CPU time, as multiples of each other.
//!
//! See `benches/README.md` for how to run it and how to read the table.
#![forbid(unsafe_code)]

mod contestant;
mod cpu_time;
mod initramfs;
mod measure;
mod report;
mod samples;
mod workload;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use contestant::{Contestant, ProgramFile, Stage};
use report::{Report, Setup};
use samples::Samples;
use workload::{WORKLOADS, Workload};

/// Run the guest workloads natively, under QEMU and under Cutaway, and compare their CPU time.
#[derive(Debug, Parser)]
struct Options {
    /// Only these workloads (their short names, as in benches/README.md)
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    only: Vec<String>,
    /// Multiply all iteration counts by this
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    scale: f64,
    /// How often to boot each guest; medians are reported
    #[arg(long, default_value_t = 1, value_name = "N")]
    rounds: u32,
    /// Who takes part
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "native,qemu,cutaway",
        value_name = "WHO,..."
    )]
    contestants: Vec<Contestant>,
    /// The guest's kernel, unmodified [default: the newest /boot/vmlinuz-*cloud*]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// More words for the guest kernel's command line
    #[arg(long, default_value = "", value_name = "WORDS")]
    append: String,
    /// The Cutaway program to measure
    #[arg(long, default_value = "target/release/cutaway", value_name = "FILE")]
    cutaway: PathBuf,
    /// The QEMU program to measure
    #[arg(long, default_value = "qemu-system-x86_64", value_name = "FILE")]
    qemu: PathBuf,
    /// Seconds without any output after which a contestant is given up
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    /// Also write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the workloads and the guest's initramfs in this folder, to start a guest by hand
    #[arg(long, value_name = "FOLDER")]
    files: Option<PathBuf>,
    /// Also write each contestant's console output to a file in this folder
    #[arg(long, value_name = "FOLDER")]
    log: Option<PathBuf>,
}

/// What keeps the program from measuring anything.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("there is no workload {0:?}; there are: {1}")]
    UnknownWorkload(String, String),
    #[error("--scale and --rounds must be above zero")]
    NothingToDo,
    #[error("cannot write {0}")]
    Write(PathBuf, #[source] io::Error),
    #[error("cannot write the results as JSON")]
    Json(#[source] serde_json::Error),
}

fn main() -> ExitCode {
    let options = Options::parse();
    match compare(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let cause = std::error::Error::source(&error);
            let cause = cause.map_or(String::new(), |cause| format!(": {cause}"));
            eprintln!("error: {error}{cause}");
            ExitCode::from(2)
        }
    }
}

/// Runs everything. Gives whether all that took part came through with the right results.
fn compare(options: &Options) -> Result<bool, Error> {
    if options.scale.is_nan() || options.scale <= 0.0 || options.rounds == 0 {
        return Err(Error::NothingToDo);
    }
    let workloads = chosen(&options.only)?;
    let program = match &options.files {
        Some(folder) => {
            ProgramFile::keep_in(folder).map_err(|e| Error::Write(folder.clone(), e))?
        }
        None => ProgramFile::temporary().map_err(|e| Error::Write(std::env::temp_dir(), e))?,
    };
    let stage = Stage {
        qemu: options.qemu.clone(),
        cutaway: options.cutaway.clone(),
        kernel: options.kernel.clone().or_else(contestant::installed_kernel),
        append: options.append.clone(),
        program,
    };
    let mut samples = taking_part(options, &stage);
    let specification = workload::specification(&workloads, options.scale);
    let mut flawless = true;
    for round in 0..options.rounds {
        for turn in order(&samples) {
            let (who, samples) = &mut samples[turn];
            eprintln!("round {} of {}: {}", round + 1, options.rounds, who.title());
            flawless &= run_once(options, &stage, *who, &specification, samples)?;
        }
    }

    let setup = Setup { workloads: &workloads, scale: options.scale, rounds: options.rounds };
    let report = Report::new(&setup, &samples);
    println!("{}", report.table());
    for (workload, who) in report.wrong() {
        eprintln!("WRONG RESULT: {workload} gives another checksum under {}", who.join(" and "));
        flawless = false;
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report).map_err(Error::Json)?;
        std::fs::write(path, text + "\n").map_err(|e| Error::Write(path.clone(), e))?;
    }
    Ok(flawless)
}

fn chosen(only: &[String]) -> Result<Vec<&'static Workload>, Error> {
    if let Some(unknown) = only.iter().find(|name| WORKLOADS.iter().all(|w| w.name != **name)) {
        let names: Vec<&str> = WORKLOADS.iter().map(|w| w.name).collect();
        return Err(Error::UnknownWorkload(unknown.clone(), names.join(", ")));
    }
    let wanted = |w: &&Workload| only.is_empty() || only.iter().any(|name| *name == w.name);
    Ok(WORKLOADS.iter().filter(wanted).collect())
}

/// The contestants asked for that can be started. Says loudly who cannot.
fn taking_part(options: &Options, stage: &Stage) -> Vec<(Contestant, Samples)> {
    let mut part = Vec::new();
    for who in [Contestant::Native, Contestant::Qemu, Contestant::Cutaway] {
        if !options.contestants.contains(&who) {
            continue;
        }
        match stage.obstacle(who) {
            None => part.push((who, Samples::default())),
            Some(reason) => eprintln!("SKIPPED: {}: {reason}", who.title()),
        }
    }
    part
}

/// Whose turn it is within a round: the native process before, between and after the guests,
/// since it is short and everything is divided by it.
fn order(samples: &[(Contestant, Samples)]) -> Vec<usize> {
    let native = samples.iter().position(|(who, _)| *who == Contestant::Native);
    let mut turns: Vec<usize> = native.into_iter().collect();
    for guest in (0..samples.len()).filter(|index| Some(*index) != native) {
        turns.push(guest);
        turns.extend(native);
    }
    turns
}

/// One run of one contestant, into its samples. Gives whether it came through.
fn run_once(
    options: &Options,
    stage: &Stage,
    who: Contestant,
    specification: &str,
    samples: &mut Samples,
) -> Result<bool, Error> {
    let mut command = stage.command(who, specification);
    let mut log = options.log.as_deref().map(|folder| log_file(folder, who)).transpose()?;
    let log = log.as_mut().map(|file| file as &mut dyn Write);
    let run = measure::run(&mut command, Duration::from_secs(options.timeout), log);
    let trouble = run.trouble.is_some();
    if let Some(trouble) = &run.trouble {
        eprintln!("FAILED: {}: {trouble}", who.title());
        eprintln!("    the command was {command:?}");
    }
    let unsteady = samples.add(run);
    for workload in &unsteady {
        eprintln!("WRONG RESULT: {workload} gave two checksums under {}", who.title());
    }
    Ok(!trouble && unsteady.is_empty())
}

fn log_file(folder: &Path, who: Contestant) -> Result<File, Error> {
    let path = folder.join(format!("{}.log", who.title().to_lowercase()));
    let open = File::options().create(true).append(true).open(&path);
    open.map_err(|error| Error::Write(path, error))
}

#[cfg(test)]
mod tests {
    use super::{Contestant, Options, Samples, chosen, order};
    use clap::CommandFactory;

    #[test]
    fn the_options_are_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn native_runs_before_between_and_after_the_guests() {
        let part = |list: &[Contestant]| {
            list.iter().map(|who| (*who, Samples::default())).collect::<Vec<_>>()
        };
        let (native, qemu, cutaway) = (Contestant::Native, Contestant::Qemu, Contestant::Cutaway);

        assert_eq!(order(&part(&[native, qemu, cutaway])), [0, 1, 0, 2, 0]);
        assert_eq!(order(&part(&[qemu, cutaway])), [0, 1]);
        assert_eq!(order(&part(&[native])), [0]);
    }

    #[test]
    fn an_unknown_workload_is_refused_with_the_names_there_are() {
        let error = chosen(&["seive".to_owned()]).unwrap_err();

        let text = error.to_string();
        assert!(text.contains("\"seive\"") && text.contains("sieve, crc32"), "{text}");
    }
}
