//! Captured vectors: what a reference CPU gave, small enough for the repository.
//!
//! Cases are functions of form and index, so a file holds results alone: of each case eight bits
//! of its outcome's hash, of each form the hash over all outcomes, and of a few cases the whole
//! outcome, so that a difference can be explained on a host that cannot ask silicon. Forms whose
//! results are compared with a tolerance have all outcomes whole.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cutaway_isa::CodeSize;
use serde::{Deserialize, Serialize};

use crate::case::{Case, Ending, Outcome, REGISTER_WORDS, Registers, WORDS};
use crate::compare;
use crate::generate::forms::Form;
use crate::generate::values::mix;

/// Version of the files' layout.
pub const FORMAT: u32 = 1;
/// Cases captured of each form.
pub const CASES: u32 = 2000;
/// Whole outcomes kept of each form.
const SAMPLES: usize = 6;

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// [`crate::generate::VERSION`].
    pub generator: u32,
    /// The CPU's vendor and name as CPUID gives them.
    pub cpu: String,
    /// Its family, model and stepping.
    pub signature: [u32; 3],
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [family, model, stepping] = self.signature;
        write!(f, "{} (family {family}, model {model}, stepping {stepping})", self.cpu)
    }
}

/// Results of one form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormVectors {
    /// Name of the `Code`.
    pub name: String,
    /// 16, 32 or 64.
    pub bits: u8,
    /// Hash over all outcomes in order.
    pub hash: u64,
    /// Of each case the low byte of its outcome's hash.
    pub checks: Vec<u8>,
    /// How many cases ended with which exception.
    pub endings: Vec<(u32, u32)>,
    /// Cases whose results differed between two runs; they are not compared.
    pub unstable: Vec<u32>,
    /// Whole outcomes.
    pub samples: Vec<(u32, Compact)>,
}

/// An outcome as what it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compact {
    /// Vector, error code, address.
    ending: (u32, u32, u64),
    /// Changed qwords of the registers, by place in [`Registers::words`].
    registers: Vec<(u8, u64)>,
    /// Changed qwords of memory, how many, and the first of them.
    count: u64,
    words: Vec<(u16, u64)>,
}

impl Compact {
    /// What an outcome changes of its case.
    #[must_use]
    pub fn new(case: &Case, outcome: &Outcome) -> Self {
        let (before, after) = (case.registers.words(), outcome.registers.words());
        let changed = before.iter().zip(after).enumerate().filter(|(_, (b, a))| *b != a);
        Self {
            ending: (outcome.ending.vector, outcome.ending.error, outcome.ending.address),
            registers: changed.map(|(n, (_, after))| (n as u8, after)).collect(),
            count: outcome.count,
            words: outcome.words().iter().map(|&(at, word)| (at as u16, word)).collect(),
        }
    }

    /// The outcome.
    #[must_use]
    pub fn expand(&self, case: &Case) -> Outcome {
        let mut words = case.registers.words();
        for &(n, value) in &self.registers {
            if usize::from(n) < REGISTER_WORDS {
                words[usize::from(n)] = value;
            }
        }
        let (vector, error, address) = self.ending;
        let mut outcome = Outcome {
            ending: Ending { vector, error, address },
            registers: Registers::from_words(&words),
            count: self.count.min(WORDS as u64),
            ..Outcome::LOST
        };
        for (to, &(at, word)) in outcome.words.iter_mut().zip(&self.words) {
            *to = (u64::from(at), word);
        }
        outcome
    }
}

impl FormVectors {
    /// Nothing yet.
    #[must_use]
    pub fn new(form: Form) -> Self {
        Self {
            name: form.name(),
            bits: form.size.bits() as u8,
            hash: 0,
            checks: Vec::new(),
            endings: Vec::new(),
            unstable: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Code size.
    #[must_use]
    pub fn size(&self) -> CodeSize {
        match self.bits {
            16 => CodeSize::Bits16,
            32 => CodeSize::Bits32,
            _ => CodeSize::Bits64,
        }
    }

    /// Adds the normalised outcome of the next case. `whole` keeps all of it.
    pub fn add(&mut self, case: &Case, outcome: &Outcome, whole: bool) {
        let hash = compare::hash(outcome);
        let index = self.checks.len() as u32;
        self.checks.push(hash as u8);
        self.hash = mix(self.hash ^ hash);
        let vector = outcome.ending.vector;
        let known = self.endings.iter_mut().find(|(v, _)| *v == vector);
        let new = known.is_none();
        match known {
            Some((_, count)) => *count += 1,
            None => self.endings.push((vector, 1)),
        }
        if whole || new || self.samples.len() < SAMPLES {
            self.samples.push((index, Compact::new(case, outcome)));
        }
    }

    /// The whole outcome of a case, if it was kept.
    #[must_use]
    pub fn sample(&self, index: u32, case: &Case) -> Option<Outcome> {
        let place = self.samples.binary_search_by_key(&index, |(n, _)| *n).ok()?;
        Some(self.samples[place].1.expand(case))
    }
}

/// A file of vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vectors {
    /// What it says of itself.
    pub header: Header,
    /// Results by form.
    pub forms: Vec<FormVectors>,
}

/// Why vectors cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    /// The file system says no.
    #[error("cannot access {path}")]
    File {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The bytes are no vectors.
    #[error("{path} does not hold vectors")]
    Content {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: postcard::Error,
    },
    /// The vectors were made by another version.
    #[error("{path} is of layout {format} and generator {generator}")]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its layout.
        format: u32,
        /// Its generator.
        generator: u32,
    },
}

/// Where the captured vectors lie.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// Reads all files of a folder, in the order of their names.
pub fn read_all(folder: &Path) -> Result<Vec<Vectors>, VectorsError> {
    let failed = |source| VectorsError::File { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|end| end == "zst") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Vectors, VectorsError> {
    let failed = |source| VectorsError::File { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    let bytes = zstd::decode_all(file).map_err(failed)?;
    let vectors: Vectors = postcard::from_bytes(&bytes)
        .map_err(|source| VectorsError::Content { path: path.to_owned(), source })?;
    let Header { format, generator, .. } = vectors.header;
    if (format, generator) != (FORMAT, crate::generate::VERSION) {
        return Err(VectorsError::Version { path: path.to_owned(), format, generator });
    }
    Ok(vectors)
}

/// Writes one file.
pub fn write(path: &Path, vectors: &Vectors) -> Result<(), VectorsError> {
    const LEVEL: i32 = 19;
    let failed = |source| VectorsError::File { path: path.to_owned(), source };
    let bytes = postcard::to_stdvec(vectors)
        .map_err(|source| VectorsError::Content { path: path.to_owned(), source })?;
    let packed = zstd::encode_all(bytes.as_slice(), LEVEL).map_err(failed)?;
    fs::write(path, packed).map_err(failed)
}
