//! Runs the fuzzers for as long as asked: `cutaway-fuzz [cpu|images|states|all] [--for 10m]
//! [--seed N]`. Each case is its seed; a failure prints it, and `--seed N --cases 1` runs it alone.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use cutaway_fuzz::lockstep::Case;
use cutaway_fuzz::{images, states};

const USAGE: &str =
    "usage: cutaway-fuzz [cpu|images|states|all] [--for 10m] [--seed N] [--cases N]";
/// Failures after which there is no need for more.
const ENOUGH: u64 = 10;

struct Options {
    what: String,
    time: Duration,
    seed: u64,
    cases: u64,
}

fn options() -> Option<Options> {
    let mut options =
        Options { what: "all".into(), time: Duration::from_secs(60), seed: 1, cases: u64::MAX };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "cpu" | "images" | "states" | "all" => options.what = argument,
            "--for" => options.time = duration(&arguments.next()?)?,
            "--seed" => options.seed = arguments.next()?.parse().ok()?,
            "--cases" => options.cases = arguments.next()?.parse().ok()?,
            _ => return None,
        }
    }
    Some(options)
}

/// `90s`, `10m` or `8h`.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let wants = |what: &str| options.what == what || options.what == "all";
    let sound = states::sound();
    let (started, mut told) = (Instant::now(), Instant::now());
    let (mut cases, mut ticks, mut accepted, mut failures) = (0, 0, 0, 0);
    let mut seed = options.seed;
    println!("{} from seed {seed} on", options.what);
    while started.elapsed() < options.time && cases < options.cases && failures < ENOUGH {
        let mut fail = |message: String| {
            println!("FAILED: {message}");
            failures += 1;
        };
        if wants("cpu") {
            Case::new(seed).run().map_or_else(&mut fail, |took| ticks += took);
        }
        if wants("images") {
            images::run(seed).map_or_else(&mut fail, |taken| accepted += u64::from(taken));
        }
        if wants("states") {
            states::run(seed, &sound).map_or_else(&mut fail, |taken| accepted += u64::from(taken));
        }
        seed = seed.wrapping_add(1);
        cases += 1;
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            println!("{cases} cases, {ticks} ticks, {accepted} files accepted, next seed {seed}");
        }
    }
    println!("{cases} cases, {ticks} ticks, {accepted} files accepted, {failures} failures");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
