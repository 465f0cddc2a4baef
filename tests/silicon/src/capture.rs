//! Captures vectors from the host's CPU.

use std::collections::BTreeMap;
use std::path::Path;

use iced_x86::{CpuidFeature, EncodingKind};

use crate::case::{Case, Outcome};
use crate::compare;
use crate::generate::forms::{self, Form};
use crate::generate::{Generated, Generator};
use crate::oracle::{Oracle, OracleError};
use crate::vectors::{self, CASES, FORMAT, FormVectors, Header, Vectors, VectorsError};

/// Why capturing failed.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Silicon cannot be asked.
    #[error("no oracle")]
    Oracle(#[from] OracleError),
    /// The vectors cannot be written.
    #[error("vectors not written")]
    Vectors(#[from] VectorsError),
    /// A file would hold results of two CPUs.
    #[error("{name} holds vectors of {cpu} for more forms than were captured; capture all of them")]
    OtherCpu {
        /// Which file.
        name: String,
        /// The CPU that it is of.
        cpu: String,
    },
}

/// The group of a form: the file that its vectors are in.
#[must_use]
pub fn group(form: Form) -> &'static str {
    use CpuidFeature as F;
    let features = form.code.cpuid_features();
    let has = |wanted: &[F]| features.iter().any(|feature| wanted.contains(feature));
    let scalar = [F::BMI1, F::BMI2, F::LZCNT];
    if has(&[F::GFNI]) {
        // Of a younger CPU than the others.
        "gfni"
    } else if form.op_code().encoding() == EncodingKind::VEX && !has(&scalar) {
        "avx"
    } else if has(&[F::FPU, F::FPU287, F::FPU387]) {
        "x87"
    } else if has(&[
        F::MMX,
        F::SSE,
        F::SSE2,
        F::SSE3,
        F::SSSE3,
        F::SSE4_1,
        F::SSE4_2,
        F::SSE4A,
        F::AES,
        F::PCLMULQDQ,
        F::SHA,
    ]) {
        "sse"
    } else {
        "integer"
    }
}

/// The host's CPU.
#[must_use]
pub fn header() -> Header {
    use std::arch::x86_64::__cpuid;
    let leaf = __cpuid(0);
    let vendor: Vec<u8> =
        [leaf.ebx, leaf.edx, leaf.ecx].iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut brand = Vec::new();
    for number in 0x8000_0002..=0x8000_0004_u32 {
        let leaf = __cpuid(number);
        for word in [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx] {
            brand.extend(word.to_le_bytes());
        }
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_matches(['\0', ' ']).to_owned();
    let eax = __cpuid(1).eax;
    let (family, model) = (eax >> 8 & 15, eax >> 4 & 15);
    let (family, model) = if family == 15 {
        (family + (eax >> 20 & 0xff), model | eax >> 12 & 0xf0)
    } else {
        (family, model)
    };
    Header {
        format: FORMAT,
        generator: crate::generate::VERSION,
        cpu: format!("{} {}", text(&vendor), text(&brand)),
        signature: [family, model, eax & 15],
    }
}

/// Captures the forms that `wanted` accepts and the host has.
pub fn capture(
    oracle: &mut Oracle,
    wanted: &dyn Fn(&str) -> bool,
    progress: &dyn Fn(u64),
) -> Result<Vec<(Form, FormVectors)>, OracleError> {
    let mut all = Vec::new();
    for form in forms::all() {
        if forms::host_has(form.code) && wanted(&form.label()) {
            let vectors = capture_form(oracle, form)?;
            if !vectors.checks.is_empty() {
                all.push((form, vectors));
            }
            progress(u64::from(CASES));
        }
    }
    Ok(all)
}

/// Runs the cases of a form twice, the second time backwards, so that what hangs on the cases
/// before shows.
pub fn capture_form(oracle: &mut Oracle, form: Form) -> Result<FormVectors, OracleError> {
    let generator = Generator::new(form);
    let mut vectors = FormVectors::new(form);
    let made: Vec<Generated> =
        (0..u64::from(CASES)).map_while(|index| generator.generate(index)).collect();
    if made.len() < CASES as usize {
        return Ok(vectors);
    }
    let cases: Vec<Case> = made.iter().map(|generated| generated.case).collect();
    let mut first = oracle.run(&cases)?;
    let backwards: Vec<Case> = cases.iter().rev().copied().collect();
    let mut second = oracle.run(&backwards)?;
    second.reverse();
    let whole = compare::is_tolerant(form.code);
    for (index, (generated, (a, b))) in
        made.iter().zip(first.iter_mut().zip(&mut second)).enumerate()
    {
        compare::normalise(generated, a);
        compare::normalise(generated, b);
        let lost = a.ending.vector == crate::case::ending::LOST;
        if lost || !compare::same(a, b) {
            vectors.unstable.push(index as u32);
        }
        vectors.add(&generated.case, a, whole);
    }
    Ok(vectors)
}

/// Writes captured vectors into their files. Forms that were not captured now stay as they are,
/// if they are of the same CPU.
pub fn store(folder: &Path, captured: Vec<(Form, FormVectors)>) -> Result<(), CaptureError> {
    let _ = std::fs::create_dir_all(folder);
    let header = header();
    let mut files: BTreeMap<String, Vec<(Form, FormVectors)>> = BTreeMap::new();
    for (form, vectors) in captured {
        files.entry(file_name(form)).or_default().push((form, vectors));
    }
    let known: BTreeMap<String, Form> =
        forms::all().into_iter().map(|form| (form.label(), form)).collect();
    for file in vectors::read_all(folder).unwrap_or_default() {
        for vectors in file.forms {
            let label = format!("{}/{}", vectors.name, vectors.bits);
            let Some(&form) = known.get(&label) else { continue };
            let name = file_name(form);
            let Some(new) = files.get_mut(&name) else { continue };
            if new.iter().any(|(of, _)| *of == form) {
                continue;
            }
            if file.header != header {
                return Err(CaptureError::OtherCpu { name, cpu: file.header.cpu });
            }
            new.push((form, vectors));
        }
    }
    for (name, mut forms) in files {
        forms.sort_by_key(|(form, _)| form.code as usize);
        let forms = forms.into_iter().map(|(_, vectors)| vectors).collect();
        let file = Vectors { header: header.clone(), forms };
        vectors::write(&folder.join(name), &file)?;
    }
    Ok(())
}

/// The file that a form's vectors are in.
fn file_name(form: Form) -> String {
    format!("{}-{}.zst", group(form), form.size.bits())
}

/// What silicon gives for one case, normalised.
pub fn ask(oracle: &mut Oracle, generated: &Generated) -> Result<Outcome, OracleError> {
    let mut outcome = oracle.run(&[generated.case])?[0];
    compare::normalise(generated, &mut outcome);
    Ok(outcome)
}
