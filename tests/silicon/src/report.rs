//! docs/conformance.md, from the captured vectors.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use cutaway_isa::CodeSize;
use iced_x86::Code;

use crate::compare::{MASKED, ending_name, is_tolerant};
use crate::generate::forms::{self, Excluded, Form};
use crate::vectors::{FormVectors, Header, Vectors};

const SIZES: [CodeSize; 3] = [CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64];

/// Why a form has no vectors.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Missing {
    /// The reference CPU has no such instruction.
    NoSilicon(String),
    /// It should have been captured.
    Defect,
}

/// Forms in scope without captured cases: a defect, unless the reference CPU lacks them.
#[must_use]
pub fn defects(files: &[Vectors]) -> Vec<String> {
    missing(files)
        .into_iter()
        .filter(|(_, why)| *why == Missing::Defect)
        .map(|(form, _)| form.label())
        .collect()
}

fn missing(files: &[Vectors]) -> Vec<(Form, Missing)> {
    let captured: BTreeSet<(&str, u8)> = files
        .iter()
        .flat_map(|file| &file.forms)
        .map(|form| (form.name.as_str(), form.bits))
        .collect();
    let all = forms::all();
    let features: BTreeSet<String> = all
        .iter()
        .filter(|form| captured.contains(&(form.name().as_str(), form.size.bits() as u8)))
        .flat_map(|form| form.code.cpuid_features())
        .map(|feature| format!("{feature:?}"))
        .collect();
    all.iter()
        .filter(|form| !captured.contains(&(form.name().as_str(), form.size.bits() as u8)))
        .map(|&form| {
            let lacks = form
                .code
                .cpuid_features()
                .iter()
                .map(|feature| format!("{feature:?}"))
                .find(|feature| !features.contains(feature));
            (form, lacks.map_or(Missing::Defect, Missing::NoSilicon))
        })
        .collect()
}

/// The whole document.
#[must_use]
pub fn document(files: &[Vectors]) -> String {
    let mut text = String::new();
    let by_name = collect(files);
    introduction(&mut text, files, &by_name);
    not_compared(&mut text, files);
    masked(&mut text, files);
    table(&mut text, &by_name);
    text
}

type ByName<'a> = BTreeMap<usize, (Code, [Option<&'a FormVectors>; 3])>;

fn collect(files: &[Vectors]) -> ByName<'_> {
    let codes: BTreeMap<String, Code> =
        Code::values().map(|code| (format!("{code:?}"), code)).collect();
    let mut by_name = ByName::new();
    for vectors in files.iter().flat_map(|file| &file.forms) {
        let Some(&code) = codes.get(&vectors.name) else { continue };
        let entry = by_name.entry(code as usize).or_insert((code, [None; 3]));
        let size = SIZES.iter().position(|size| size.bits() == u32::from(vectors.bits));
        if let Some(size) = size {
            entry.1[size] = Some(vectors);
        }
    }
    by_name
}

fn introduction(text: &mut String, files: &[Vectors], by_name: &ByName<'_>) {
    let (mut forms, mut cases) = (0, 0_u64);
    for (_, sizes) in by_name.values() {
        for vectors in sizes.iter().flatten() {
            forms += 1;
            cases += vectors.checks.len() as u64;
        }
    }
    let generator = crate::generate::VERSION;
    let references = references(files);
    let _ = write!(
        text,
        "# Conformance

Which instructions agree with a real CPU. This page is written by
`cargo run --release -p cutaway-silicon -- report`; a test compares it with the captured vectors
that it is made from, another checks all of them on the interpreter.

{references}

The cases are those of generator {generator}:
**{forms} pairs of an instruction form and a code size, {cases} cases.** All agree.

A form is an opcode with its operand kinds; each runs in every code size it exists in, in
64-bit mode and in compatibility mode. A case is one encoding, with prefixes, registers, memory and
rounding modes weighted to the edges; compared are all general, segment, x87, MMX and vector
registers, flags, MXCSR, all memory the case can reach, and for faults vector, error code and CR2.

To ask another CPU (Linux on x86-64): `cargo run --release -p cutaway-silicon -- live`.

"
    );
}

/// The CPUs that the vectors are of, the one of most forms first.
fn references(files: &[Vectors]) -> String {
    let mut cpus: Vec<(&Header, usize)> = Vec::new();
    for file in files {
        match cpus.iter_mut().find(|(header, _)| *header == &file.header) {
            Some((_, forms)) => *forms += file.forms.len(),
            None => cpus.push((&file.header, file.forms.len())),
        }
    }
    cpus.sort_by_key(|(_, forms)| std::cmp::Reverse(*forms));
    let mut cpus = cpus.into_iter();
    let Some((first, _)) = cpus.next() else { return "There are no vectors.".to_owned() };
    let mut text = format!("The reference is an {first}");
    for (header, forms) in cpus {
        let _ = write!(text, ",\nfor {forms} forms that it lacks an {header}");
    }
    text + "."
}

fn not_compared(text: &mut String, files: &[Vectors]) {
    text.push_str("## Not compared\n\n| instruction | why |\n|---|---|\n");
    let mut reasons: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for code in Code::values() {
        if let Some(Excluded::NotComparable(why)) = forms::excluded(code) {
            reasons.entry(why).or_default().insert(format!("{:?}", code.mnemonic()).to_uppercase());
        }
    }
    for (why, names) in reasons {
        let names: Vec<_> = names.into_iter().collect();
        let _ = writeln!(text, "| {} | {why} |", names.join(" "));
    }
    let mut lacking: BTreeMap<Missing, Vec<String>> = BTreeMap::new();
    for (form, why) in missing(files) {
        lacking.entry(why).or_default().push(form.label());
    }
    for (why, labels) in lacking {
        match why {
            Missing::NoSilicon(feature) => {
                let _ = write!(
                    text,
                    "\nThe reference CPU has no {feature}, so {} forms have no silicon to agree with.\n",
                    labels.len()
                );
            }
            Missing::Defect => {
                let _ = write!(
                    text,
                    "\n**Defect: forms in scope without cases:** {}.\n",
                    labels.join(", ")
                );
            }
        }
    }
}

fn masked(text: &mut String, files: &[Vectors]) {
    text.push_str("\n## Masked\n\n| forms | what | why |\n|---|---|---|\n");
    for masked in MASKED {
        let names: BTreeSet<String> = Code::values()
            .filter(|&code| (masked.applies)(code))
            .map(|code| format!("{:?}", code.mnemonic()).to_uppercase())
            .collect();
        let names: Vec<_> = names.into_iter().collect();
        let names = if names.len() > 24 { "all".to_owned() } else { names.join(" ") };
        let _ = writeln!(text, "| {names} | {} | {} |", masked.what, masked.reason);
    }
    let unstable: usize =
        files.iter().flat_map(|file| &file.forms).map(|form| form.unstable.len()).sum();
    let _ = write!(
        text,
        "\nCases whose results differed between two runs on the reference CPU, and are left out: \
         {unstable}.\n"
    );
}

fn table(text: &mut String, by_name: &ByName<'_>) {
    text.push_str(
        "\n## Forms\n\nCases by code size; exceptions by how many cases ended with them, over all \
         sizes.\n\n| form | opcode | 16 | 32 | 64 | exceptions |\n|---|---|---:|---:|---:|---|\n",
    );
    for (code, sizes) in by_name.values() {
        let op = code.op_code();
        let mut cells = String::new();
        let mut endings: BTreeMap<u32, u32> = BTreeMap::new();
        for vectors in sizes {
            match vectors {
                Some(vectors) => {
                    let _ = write!(cells, " {} |", vectors.checks.len());
                    for &(vector, count) in &vectors.endings {
                        *endings.entry(vector).or_default() += count;
                    }
                }
                None => cells.push_str(" |"),
            }
        }
        let faults: Vec<String> = endings
            .iter()
            .filter(|(vector, _)| **vector != 1)
            .map(|(&vector, count)| format!("{} {count}", ending_name(vector)))
            .collect();
        let note = if is_tolerant(*code) { " (to one unit in the last place)" } else { "" };
        let form = op.instruction_string().replace('|', "\\|").replace('<', "&lt;");
        let _ = writeln!(
            text,
            "| {form}{note} | {} |{cells} {} |",
            op.op_code_string(),
            faults.join(", ")
        );
    }
}
