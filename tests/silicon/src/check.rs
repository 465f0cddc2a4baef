//! Checks captured vectors on the interpreter; runs on every host.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cutaway_cpu::CpuModel;
use cutaway_memory::MemoryError;
use iced_x86::Code;

use crate::case::Outcome;
use crate::compare;
use crate::generate::forms::Form;
use crate::generate::{Generated, Generator};
use crate::judge::{Judge, Wrong};
use crate::vectors::{FormVectors, Vectors};

/// The model that the vectors are checked on: everything that the reference CPU has.
pub const MODEL: CpuModel = CpuModel::Max;

/// What was wrong with a form.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The form, as `name/size`.
    pub form: String,
    /// Cases that differ from silicon.
    pub silicon: u32,
    /// Cases whose paths differ from one another.
    pub paths: u32,
    /// The first such case, what is wrong, silicon's outcome where it is known, ours.
    pub first: Option<(Generated, Wrong, Option<Outcome>, Outcome)>,
}

/// Result of a check.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Forms checked.
    pub forms: usize,
    /// Cases checked.
    pub cases: u64,
    /// What was wrong, in the order of the vectors.
    pub failures: Vec<Failure>,
}

/// The `Code` of a name.
#[must_use]
pub fn code_of(name: &str) -> Option<Code> {
    Code::values().find(|code| format!("{code:?}") == name)
}

/// Checks all vectors whose form's label `wanted` accepts, on all processors of the host.
pub fn check(
    files: &[Vectors],
    wanted: &(dyn Fn(&str) -> bool + Sync),
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Verdict, MemoryError> {
    let names: std::collections::BTreeMap<String, Code> =
        Code::values().map(|code| (format!("{code:?}"), code)).collect();
    let mut work = Vec::new();
    for vectors in files.iter().flat_map(|file| &file.forms) {
        if let Some(&code) = names.get(&vectors.name) {
            let form = Form { code, size: vectors.size() };
            if wanted(&form.label()) {
                work.push((form, vectors));
            }
        }
    }
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let worker = || -> Result<(), MemoryError> {
        let mut judge = Judge::new(MODEL)?;
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(&(form, vectors)) = work.get(at) else { return Ok(()) };
            if let Some(failure) = check_form(&mut judge, form, vectors) {
                let mut failures = failures.lock().expect("no thread panics with the lock");
                failures.push((at, failure));
            }
            progress(vectors.checks.len() as u64);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a worker returns"))
    })?;
    let mut failures = failures.into_inner().expect("all threads have returned");
    failures.sort_by_key(|(at, _)| *at);
    Ok(Verdict {
        forms: work.len(),
        cases: work.iter().map(|(_, vectors)| vectors.checks.len() as u64).sum(),
        failures: failures.into_iter().map(|(_, failure)| failure).collect(),
    })
}

/// Checks the vectors of one form.
pub fn check_form(judge: &mut Judge, form: Form, vectors: &FormVectors) -> Option<Failure> {
    let generator = Generator::new(form);
    let tolerant = compare::is_tolerant(form.code);
    let mut failure = Failure { form: form.label(), silicon: 0, paths: 0, first: None };
    for (index, &check) in vectors.checks.iter().enumerate() {
        let index = index as u32;
        let Some(generated) = generator.generate(u64::from(index)) else { continue };
        if vectors.unstable.contains(&index) {
            continue;
        }
        let ours = judge.outcome(&generated);
        let right = if tolerant {
            vectors
                .sample(index, &generated.case)
                .is_some_and(|silicon| compare::near(&silicon, ours))
        } else {
            compare::hash(ours) as u8 == check
        };
        if !right {
            failure.silicon += 1;
            let silicon = vectors.sample(index, &generated.case);
            let better = silicon.is_some() && !matches!(failure.first, Some((_, _, Some(_), _)));
            if failure.first.is_none() || better {
                failure.first = Some((generated, Wrong::Silicon, silicon, *ours));
            }
        } else if let Some(block) = judge.block_difference(&generated) {
            failure.paths += 1;
            let block = *block;
            if failure.first.is_none() {
                let ours = *judge.outcome(&generated);
                failure.first = Some((generated, Wrong::Block, Some(ours), block));
            }
        }
    }
    (failure.silicon + failure.paths > 0).then_some(failure)
}
