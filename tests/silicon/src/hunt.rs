//! The commands that ask silicon: capture, live, random.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use cutaway_isa::CodeSize;
use cutaway_silicon::case::{Case, Outcome, Registers, ending};
use cutaway_silicon::check::MODEL;
use cutaway_silicon::generate::{Generated, Generator, forms, noise};
use cutaway_silicon::judge::{Judge, Wrong};
use cutaway_silicon::oracle::Oracle;
use cutaway_silicon::vectors::CASES;
use cutaway_silicon::{capture as capturing, compare, shrink::shrink, vectors, vendor};
use iced_x86::Code;

use crate::bar;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The host's CPU beside the one that the vectors, and with them all undefined results, are of.
struct Host {
    /// Of another vendor or family.
    foreign: bool,
    /// Cases of each of [`vendor::DIFFERENCES`].
    explained: [u64; vendor::DIFFERENCES.len()],
}

impl Host {
    /// Says so if it is another CPU.
    fn new() -> Self {
        let (here, all) = (capturing::header(), vectors::read_all(&vectors::folder()));
        let captured = all.ok().and_then(|all| Some(all.into_iter().next()?.header));
        let other = captured.filter(|captured| captured.signature != here.signature);
        let make = |header: &vectors::Header| {
            (header.cpu.split(' ').next().map(str::to_owned), header.signature[0])
        };
        let foreign = other.as_ref().is_some_and(|captured| make(captured) != make(&here));
        if let Some(captured) = other {
            let told = if foreign {
                "what is known to differ between makes and families is counted apart"
            } else {
                "a difference may be one between these two"
            };
            eprintln!(
                "this host's CPU is {here}; Cutaway follows {captured} where the manuals leave a \
                 result undefined: {told}"
            );
        }
        Self { foreign, explained: [0; vendor::DIFFERENCES.len()] }
    }

    /// Whether an outcome of ours is wrong.
    fn refutes(&mut self, generated: &Generated, silicon: &Outcome, ours: &Outcome) -> bool {
        let code = generated.encoding.instruction.code();
        if !differs(code, silicon, ours) {
            return false;
        }
        let explained =
            self.foreign.then(|| vendor::explanation(generated, silicon, ours)).flatten();
        explained.inspect(|&number| self.explained[number] += 1).is_none()
    }

    /// Prints how often the two CPUs differed.
    fn print_explained(&self) {
        for (known, count) in vendor::DIFFERENCES.iter().zip(self.explained) {
            if count > 0 {
                println!("  between the two CPUs: {count} of {} ({})", known.what, known.source);
            }
        }
    }
}

/// Captures the wanted forms and says what changed.
pub(crate) fn capture(wanted: &dyn Fn(&str) -> bool) -> Result<bool> {
    let mut oracle = Oracle::new()?;
    let forms = forms::all();
    let count = forms.iter().filter(|form| forms::host_has(form.code) && wanted(&form.label()));
    let bar = bar(Some(count.count() as u64 * u64::from(CASES)));
    let captured = capturing::capture(&mut oracle, wanted, &|done| bar.inc(done))?;
    bar.finish_and_clear();
    let folder = vectors::folder();
    let before: BTreeMap<(String, u8), u64> = vectors::read_all(&folder)
        .unwrap_or_default()
        .into_iter()
        .flat_map(|file| file.forms)
        .map(|form| ((form.name, form.bits), form.hash))
        .collect();
    let (mut new, mut changed, mut unstable) = (0, 0, 0);
    for (form, vectors) in &captured {
        match before.get(&(vectors.name.clone(), vectors.bits)) {
            None => new += 1,
            Some(hash) if *hash != vectors.hash => {
                changed += 1;
                println!("changed: {}", form.label());
            }
            Some(_) => {}
        }
        if !vectors.unstable.is_empty() {
            unstable += vectors.unstable.len();
            println!("{}: {} cases differ between runs", form.label(), vectors.unstable.len());
        }
    }
    println!(
        "{} forms captured on {}: {new} new, {changed} changed; {unstable} unstable cases, {} lost",
        captured.len(),
        capturing::header().cpu,
        oracle.lost()
    );
    capturing::store(&folder, captured)?;
    Ok(true)
}

/// A case that went wrong.
struct Found {
    generated: Generated,
    wrong: Wrong,
}

/// What came of a batch.
#[derive(Default)]
struct Judged {
    wrong: u64,
    /// Cases that silicon answered otherwise when asked again.
    unstable: u64,
    first: Option<Found>,
}

/// Runs one batch on both sides.
fn judge_batch(
    oracle: &mut Oracle,
    judge: &mut Judge,
    batch: &[Generated],
    outcomes: &mut Vec<Outcome>,
    fails: &mut dyn FnMut(&Generated, &Outcome, &Outcome) -> bool,
) -> Result<Judged> {
    let cases: Vec<Case> = batch.iter().map(|generated| generated.case).collect();
    oracle.start_batch(&cases);
    let mut ours = Vec::with_capacity(batch.len());
    for generated in batch {
        let outcome = *judge.outcome(generated);
        let paths_differ = judge.block_difference(generated).is_some();
        ours.push((outcome, paths_differ));
    }
    oracle.finish(outcomes)?;
    let mut judged = Judged::default();
    for ((generated, silicon), (ours, paths_differ)) in batch.iter().zip(outcomes).zip(&ours) {
        compare::normalise(generated, silicon);
        let wrong = if fails(generated, silicon, ours) {
            if !compare::same(silicon, &capturing::ask(oracle, generated)?) {
                judged.unstable += 1;
                continue;
            }
            Wrong::Silicon
        } else if *paths_differ {
            Wrong::Block
        } else {
            continue;
        };
        judged.wrong += 1;
        judged.first.get_or_insert(Found { generated: *generated, wrong });
    }
    Ok(judged)
}

/// Whether an outcome of ours is wrong, for instructions with and without tolerance.
fn differs(code: Code, silicon: &Outcome, ours: &Outcome) -> bool {
    let lost = silicon.ending.vector == ending::LOST;
    let same = if compare::is_tolerant(code) {
        compare::near(silicon, ours)
    } else {
        compare::same(silicon, ours)
    };
    !lost && !same
}

/// When to stop.
pub(crate) struct Limits {
    pub(crate) time: Option<Duration>,
    pub(crate) rounds: u64,
    pub(crate) failures: usize,
}

/// New cases of all wanted forms, round after round.
pub(crate) fn live(
    wanted: &dyn Fn(&str) -> bool,
    seed: u64,
    cases: u64,
    limits: Limits,
) -> Result<bool> {
    let mut host = Host::new();
    let (mut oracle, mut judge) = (Oracle::new()?, Judge::new(MODEL)?);
    let forms: Vec<_> = forms::all()
        .into_iter()
        .filter(|form| forms::host_has(form.code) && wanted(&form.label()))
        .collect();
    if forms.is_empty() {
        return Err("no form has that name, or this CPU has none of them".into());
    }
    let bar = bar(None);
    let started = Instant::now();
    let (mut done, mut unstable) = (0_u64, 0);
    let (mut failures, mut outcomes) = (BTreeMap::new(), Vec::new());
    'rounds: for round in 0..limits.rounds {
        for form in &forms {
            let generator = Generator::with_seed(*form, seed);
            let indices = round * cases..(round + 1) * cases;
            let made: Vec<_> = indices.map_while(|index| generator.generate(index)).collect();
            let (mut wrong, mut first) = (0, None);
            for batch in made.chunks(Oracle::BATCH) {
                let mut fails = |generated: &Generated, silicon: &Outcome, ours: &Outcome| {
                    host.refutes(generated, silicon, ours)
                };
                let judged =
                    judge_batch(&mut oracle, &mut judge, batch, &mut outcomes, &mut fails)?;
                wrong += judged.wrong;
                unstable += judged.unstable;
                first = first.or(judged.first);
                for (generated, outcome) in batch.iter().zip(&outcomes) {
                    if outcome.ending.vector == ending::LOST {
                        let text = compare::disassemble(&generated.case);
                        bar.suspend(|| println!("lost: {text}"));
                    }
                }
                bar.inc(batch.len() as u64);
                done += batch.len() as u64;
            }
            if let Some(found) = first
                && failures.insert(form.label(), wrong).is_none()
            {
                bar.suspend(|| println!("{}: {wrong} of {} cases", form.label(), made.len()));
                let text = explain(&mut oracle, &mut judge, &mut host, &found)?;
                bar.suspend(|| print!("{text}"));
            }
            let over = limits.time.is_some_and(|time| started.elapsed() >= time);
            if failures.len() >= limits.failures || over {
                break 'rounds;
            }
        }
    }
    bar.finish_and_clear();
    println!(
        "{done} cases in {:.1} s, {} failing forms, {unstable} unstable, {} lost",
        started.elapsed().as_secs_f64(),
        failures.len(),
        oracle.lost()
    );
    host.print_explained();
    Ok(failures.is_empty())
}

/// Shrinks a failure and describes it: the instruction, what it starts from, both results.
fn explain(
    oracle: &mut Oracle,
    judge: &mut Judge,
    host: &mut Host,
    found: &Found,
) -> Result<String> {
    let mut both = |generated: &Generated| -> Option<(Outcome, Outcome)> {
        match found.wrong {
            Wrong::Silicon => {
                let silicon = capturing::ask(oracle, generated).ok()?;
                Some((silicon, *judge.outcome(generated)))
            }
            Wrong::Block => {
                let complete = *judge.outcome(generated);
                let block = judge.block_difference(generated).copied().unwrap_or(complete);
                Some((complete, block))
            }
        }
    };
    let explained = host.explained;
    let mut fails = |generated: &Generated| {
        both(generated).is_some_and(|(a, b)| host.refutes(generated, &a, &b))
    };
    let small = shrink(&found.generated, &mut fails);
    host.explained = explained;
    let Some((a, b)) = both(&small) else { return Ok(String::new()) };
    let (left, right) = match found.wrong {
        Wrong::Silicon => ("silicon", "cutaway"),
        Wrong::Block => ("complete path", "fast path"),
    };
    let mut text = format!("    {}\n", compare::disassemble(&small.case));
    if b.ending.vector == ending::UNIMPLEMENTED {
        text += &format!("      {left} {}, ", compare::ending_name(a.ending.vector));
        text += &format!("{right} {}\n", judge.unimplemented());
        return Ok(text);
    }
    text += "      from";
    let nothing = Case { registers: Registers::ZERO, ..Case::EMPTY };
    let nothing = compare::describe(&nothing);
    for (name, value) in compare::describe(&small.case) {
        if !nothing.iter().any(|(n, v)| *n == name && *v == value) {
            text += &format!(" {name}={value}");
        }
    }
    text.push('\n');
    for [name, a, b] in compare::differences(&a, &b) {
        text += &format!("      {name}: {left} {a}, {right} {b}\n");
    }
    Ok(text)
}

/// Random bytes as code.
pub(crate) fn random(cases: u64, seed: u64, size: Option<u32>, most: usize) -> Result<bool> {
    let mut host = Host::new();
    let (mut oracle, mut judge) = (Oracle::new()?, Judge::new(MODEL)?);
    let sizes: Vec<CodeSize> = [CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64]
        .into_iter()
        .filter(|of| size.is_none_or(|size| of.bits() == size))
        .collect();
    let bar = bar(Some(cases));
    let (mut index, mut failures, mut skipped, mut unstable) = (0, 0, 0_u64, 0);
    let mut outcomes = Vec::new();
    let mut endings: BTreeMap<String, u64> = BTreeMap::new();
    while index < cases && failures < most {
        let count = (cases - index).min(Oracle::BATCH as u64);
        let made: Vec<_> = (index..index + count)
            .map(|n| noise::generate(sizes[n as usize % sizes.len()], seed, n))
            .collect();
        index += count;
        let mut fails = |generated: &Generated, silicon: &Outcome, ours: &Outcome| {
            *endings.entry(compare::ending_name(silicon.ending.vector)).or_default() += 1;
            if !noise::is_comparable(generated) {
                skipped += 1;
                return false;
            }
            silicon.ending.vector != ending::SYSTEM_CALL && host.refutes(generated, silicon, ours)
        };
        let Judged { wrong, unstable: more, first } =
            judge_batch(&mut oracle, &mut judge, &made, &mut outcomes, &mut fails)?;
        unstable += more;
        bar.inc(count);
        if let Some(found) = first
            && noise::is_comparable(&found.generated)
        {
            failures += wrong as usize;
            let text = explain(&mut oracle, &mut judge, &mut host, &found)?;
            bar.suspend(|| print!("{wrong} in {count}:\n{text}"));
        }
    }
    bar.finish_and_clear();
    println!(
        "{index} cases, {failures} failures, {skipped} not comparable, {unstable} unstable, {} lost",
        oracle.lost()
    );
    for (name, count) in endings {
        println!("  {name}: {count}");
    }
    host.print_explained();
    Ok(failures == 0)
}
