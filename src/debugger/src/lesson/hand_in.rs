//! What a student hands in, and how it is graded: everything that was typed, and what it led to.
//!
//! The file is TOML, so that anybody can read it. Grading types the same lines into the same lesson
//! again; since a machine repeats bit for bit, the score and the hash of the machine's state must
//! come out as they stand in the file.

use super::{Kernel, Lesson, Sitting};
use serde::{Deserialize, Serialize};

/// Bytes of a hand-in, at most.
const MAX_BYTES: usize = 4 << 20;
const FORMAT: u32 = 1;

/// A hand-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandIn {
    format: u32,
    /// The lesson's name.
    pub lesson: String,
    /// BLAKE3 of the lesson's file.
    digest: String,
    /// Right answers.
    pub right: usize,
    /// Hash of the machine's state at the end.
    state: String,
    /// The lines, as typed.
    typed: Vec<String>,
}

/// What a hand-in is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grade {
    /// Right answers.
    pub right: usize,
    /// Questions and tasks.
    pub all: usize,
    /// Answers that were refused on the way.
    pub refused: usize,
    /// Whether score and state came out as they stand in the file.
    pub confirmed: bool,
}

/// Why a hand-in cannot be graded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandInError {
    /// It is no hand-in.
    #[error("this is no hand-in: {0}")]
    Format(String),
    /// It was made by a newer program.
    #[error("the hand-in has format {0}; this program knows {FORMAT}")]
    Newer(u32),
    /// The lesson has changed since.
    #[error("the hand-in is of another edition of lesson {0}")]
    OtherEdition(String),
    /// The lesson cannot be done again.
    #[error("the lesson cannot be done: {0}")]
    Lesson(String),
}

impl HandIn {
    /// What a sitting has come to.
    ///
    /// # Errors
    /// If the machine's state cannot be read.
    pub fn of(name: &str, lesson: &Lesson, sitting: &mut Sitting<'_>) -> Result<Self, HandInError> {
        let (right, _) = sitting.score();
        Ok(Self {
            format: FORMAT,
            lesson: name.to_owned(),
            digest: lesson.digest.clone(),
            right,
            state: state_of(sitting)?,
            typed: sitting.typed().to_vec(),
        })
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// If it is no hand-in, or a newer one.
    pub fn parse(text: &str) -> Result<Self, HandInError> {
        if text.len() > MAX_BYTES {
            return Err(HandInError::Format("it is longer than 4 MiB".to_owned()));
        }
        let this: Self = toml::from_str(text)
            .map_err(|error| HandInError::Format(error.message().to_owned()))?;
        if this.format > FORMAT { Err(HandInError::Newer(this.format)) } else { Ok(this) }
    }

    /// The text of the file.
    ///
    /// # Errors
    /// If a line cannot be written down.
    pub fn text(&self) -> Result<String, HandInError> {
        toml::to_string(self).map_err(|error| HandInError::Format(error.to_string()))
    }

    /// The lines that were typed, to go on with.
    #[must_use]
    pub fn typed(&self) -> &[String] {
        &self.typed
    }

    /// Whether it is of this edition of a lesson.
    #[must_use]
    pub fn is_of(&self, lesson: &Lesson) -> bool {
        self.digest == lesson.digest
    }

    /// Does the lesson again as the student did.
    ///
    /// # Errors
    /// If it is of another edition, or the lesson's machine cannot be made.
    pub fn grade(&self, lesson: &Lesson, kernel: &Kernel<'_>) -> Result<Grade, HandInError> {
        if !self.is_of(lesson) {
            return Err(HandInError::OtherEdition(self.lesson.clone()));
        }
        let (mut sitting, _) = Sitting::begin(lesson, kernel).map_err(HandInError::Lesson)?;
        for line in &self.typed {
            sitting.line(line);
        }
        let (right, all) = sitting.score();
        let refused = sitting.refused;
        let confirmed = right == self.right && state_of(&mut sitting)? == self.state;
        Ok(Grade { right, all, refused, confirmed })
    }
}

fn state_of(sitting: &mut Sitting<'_>) -> Result<String, HandInError> {
    let hash = sitting.explorer().run_mut().state_hash();
    Ok(hash.map_err(|error| HandInError::Lesson(error.to_string()))?.to_string())
}
