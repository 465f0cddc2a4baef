//! Lessons: text, what to do on a machine, questions and small assembly tasks that are checked
//! against the machine's real state.
//!
//! A lesson is a Markdown file (`docs/lessons/`). Between two lines of `+++` at its start stands
//! TOML: the title, the guest, chapters of textbooks. Fenced blocks mean something by the word
//! behind the fence: `do` has commands that are done and shown, `question` and `task` have TOML.
//! All other text is shown as it is. `docs/lessons/README.md` tells the format to authors.

mod guest;
mod hand_in;
mod parse;
mod prose;
mod sitting;

pub use guest::Kernel;
pub use hand_in::{Grade, HandIn, HandInError};
pub use parse::LessonError;
pub use sitting::{Reply, Sitting};

use serde::Deserialize;

/// A lesson.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// What stands at the top of the file.
    pub head: Head,
    /// What comes one after the other.
    pub parts: Vec<Part>,
    /// BLAKE3 of the file, by which hand-ins know it.
    pub(crate) digest: String,
}

/// What is known of a lesson before it begins.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its title.
    pub title: String,
    /// What runs: `teaching-kernel`, `paravirtual-kernel`, `host-kernel`, `balloon-kernel`, `several` on one
    /// CPU, which `guests` has, or `code`, which `code` has the source of.
    pub guest: GuestKind,
    /// Assembly for a 16-bit machine fresh from reset, at f000:0000.
    #[serde(default)]
    pub code: String,
    /// The model by which a monitor runs the guest.
    pub model: Option<String>,
    /// What translates its addresses under hardware assistance.
    pub paging: Option<String>,
    /// Guest memory in MiB.
    #[serde(default = "default_memory")]
    pub memory: u64,
    /// Several guests on one CPU; the first is looked at.
    #[serde(default)]
    pub guests: Vec<Member>,
    /// Memory of their host in KiB, if it has one of its own.
    pub host_memory: Option<u64>,
    /// CPU model.
    #[serde(default = "default_cpu")]
    pub cpu: String,
    /// Where textbooks treat it.
    #[serde(default)]
    pub chapters: Vec<String>,
}

fn default_memory() -> u64 {
    16
}

fn default_cpu() -> String {
    "x86-64-v2".to_owned()
}

/// One of several guests on one CPU. What is not said is as in [`Head`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// What it is called.
    pub name: String,
    /// What runs.
    pub guest: GuestKind,
    /// The model by which a monitor runs it.
    pub model: Option<String>,
    /// What it has of the CPU in relation to the others.
    #[serde(default = "default_shares")]
    pub shares: u32,
    /// The most percent of the CPU that it has.
    pub cap: Option<u32>,
    /// CPU model.
    #[serde(default = "default_cpu")]
    pub cpu: String,
}

fn default_shares() -> u32 {
    1
}

/// What runs in a lesson.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestKind {
    /// The BIOS and the teaching kernel, from reset.
    TeachingKernel,
    /// The teaching kernel as a paravirtual guest, started by a monitor.
    ParavirtualKernel,
    /// The teaching kernel with a hypervisor among its tasks, on a CPU with SVM.
    HostKernel,
    /// The teaching kernel with a driver for a memory balloon, which the machine has.
    BalloonKernel,
    /// A small kernel that counts, prints to port e9 and waits for its timer.
    SmallGuest,
    /// Code of the lesson.
    Code,
    /// Several guests on one CPU.
    Several,
}

/// A piece of a lesson.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Markdown to be read.
    Text(String),
    /// Commands that are done and shown.
    Do(Vec<String>),
    /// Something to answer.
    Question(Question),
    /// Something to write.
    Task(Task),
}

/// A question, whose answer is a number or one of some choices.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What is asked.
    pub ask: String,
    /// The right answer: an expression over the machine's state where the last `do` has led,
    /// wherever the student has gone since.
    #[serde(default)]
    pub answer: Option<String>,
    /// Commands that lead from there to where `answer` is worked out; the machine is put back.
    #[serde(default)]
    pub after: Vec<String>,
    /// Choices, the right one first; they are shown in an order of their own.
    #[serde(default)]
    pub choices: Vec<String>,
    /// What helps.
    pub hint: String,
    /// Why it is so; shown behind the right answer.
    #[serde(default)]
    pub because: String,
    /// What a student might type, for the lesson's test: it must be refused.
    pub wrong: String,
}

/// Assembly to write, checked by running it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// What is asked for.
    pub ask: String,
    /// Assembly before the student's, which sets things up.
    #[serde(default)]
    pub before: String,
    /// Assembly behind it.
    #[serde(default)]
    pub behind: String,
    /// Expressions that must hold when the code halts.
    pub checks: Vec<String>,
    /// Instructions that it may take.
    #[serde(default = "default_limit")]
    pub limit: u64,
    /// What helps.
    pub hint: String,
    /// A solution, for the lesson's test.
    pub right: String,
    /// What is not one, for the lesson's test.
    pub wrong: String,
}

fn default_limit() -> u64 {
    10_000
}

#[cfg(test)]
mod tests;
