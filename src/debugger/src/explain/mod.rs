//! The next instruction, explained: its bytes, its operands, what it does and what comes of it.
//!
//! [`explain`] looks at a machine between two instructions and changes nothing. What would happen
//! is asked of the engines themselves, on a copy (`dry_run.rs`), so that no prediction can drift
//! from what then happens; the rest is read out of state and memory.
//!
//! Not modelled: what a port or device memory would answer; translations that the TLB still holds
//! although a page table has changed; interrupts that wait.

mod address;
mod anatomy;
mod bare;
mod check;
mod delivery;
mod descriptor;
mod dry_run;
mod flags;
mod operands;
mod places;
mod sensitive;
mod sentence;
mod show;
mod steps;
mod subject;

pub use address::Obstacle;
pub use anatomy::{Part, PartKind, anatomy};
pub use bare::{BARE_ORIGIN, BARE_STACK, bare_machine};
pub use check::Predicted;
pub use delivery::{Delivery, DeliveryStep, Slot, Source, delivery};
pub use dry_run::{DryRun, Ended, Touched};
pub use flags::{FlagsUse, flags_after};
pub use operands::{Operand, Place};
pub use places::MemoryPlace;
pub use sensitive::{Encounter, Fate, encounter};
pub use sentence::{has_sentence, sentence};

pub(crate) use show::wrap;

use crate::mode;
use address::Reach;
use cutaway_cpu::Seg;
use cutaway_isa::{
    DecodeError, Instruction, MAX_LENGTH, Mnemonic, Rflags, Vector, decode, disassemble,
};
use cutaway_machine::Machine;
use cutaway_memory::MemoryError;
use subject::Subject;

/// An instruction, explained.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Its linear address.
    pub linear: u64,
    /// The instruction in NASM syntax, or what is there instead.
    pub text: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The bytes, part by part.
    pub anatomy: Vec<Part>,
    /// What it does, in one sentence.
    pub sentence: String,
    /// What it works on.
    pub operands: Vec<Operand>,
    /// What it does, step by step.
    pub steps: Vec<String>,
    /// What it does to the flags.
    pub flags: Option<FlagsUse>,
    /// How each flag that it touches would come out, and why; empty where an exception comes.
    pub flags_after: Vec<String>,
    /// The exception that it would raise.
    pub exception: Option<Predicted>,
    /// The way to the handler, of an exception or a software interrupt.
    pub delivery: Option<Delivery>,
    /// What happened when it ran on a copy.
    pub dry_run: DryRun,
    /// What else there is to say: an interrupt that comes first, a repetition.
    pub notes: Vec<String>,
}

/// Explains the instruction that a machine runs next.
///
/// # Errors
/// The host has no memory for the copy on which it is tried.
pub fn explain(machine: &Machine) -> Result<Explanation, MemoryError> {
    let subject = Subject::of(machine);
    let mut explanation = of_subject(&subject)?;
    explanation.notes.extend(sensitive::note(machine, &subject, &explanation)?);
    Ok(explanation)
}

fn of_subject(subject: &Subject<'_>) -> Result<Explanation, MemoryError> {
    let dry_run = dry_run::dry_run(subject)?;
    let linear = mode::pc(&subject.state);
    let bytes = fetch(subject);
    let size = mode::code_size(&subject.state);
    let mut explanation = Explanation {
        linear,
        text: String::new(),
        bytes: Vec::new(),
        anatomy: Vec::new(),
        sentence: String::new(),
        operands: Vec::new(),
        steps: Vec::new(),
        flags: None,
        flags_after: Vec::new(),
        exception: None,
        delivery: None,
        dry_run,
        notes: notes(subject),
    };
    let decoded = decode(size, &bytes, subject.state.rip);
    match &decoded {
        Ok(instruction) => {
            explanation.bytes = bytes[..instruction.len()].to_vec();
            fill(&mut explanation, subject, instruction);
        }
        Err(error) => {
            let (text, sentence) = match error {
                DecodeError::Invalid => {
                    ("(no instruction)", "raises #UD: there is no such instruction")
                }
                DecodeError::TooLong => {
                    ("(too long)", "raises #GP(0): no instruction has more than 15 bytes")
                }
                DecodeError::NeedsMore => ("(not readable)", "cannot be fetched whole"),
            };
            explanation.text = text.to_owned();
            explanation.sentence = sentence.to_owned();
            explanation.bytes = bytes;
        }
    }
    let instruction = decoded.as_ref().ok();
    explanation.exception = check::predicted(subject, instruction, &explanation);
    explanation.delivery = way(subject, instruction, explanation.exception.as_ref());
    Ok(explanation)
}

/// The way to a handler, if the instruction leads to one.
fn way(
    subject: &Subject<'_>,
    instruction: Option<&Instruction>,
    exception: Option<&Predicted>,
) -> Option<Delivery> {
    if let Some(predicted) = exception {
        let (vector, code) = (predicted.vector, predicted.code);
        return Some(delivery::of_subject(subject, vector, code, Source::Exception));
    }
    let vector = match instruction?.mnemonic() {
        Mnemonic::Int => instruction?.immediate8(),
        Mnemonic::Int3 => 3,
        Mnemonic::Into if subject.flag(Rflags::OF) => 4,
        _ => return None,
    };
    Some(delivery::of_subject(subject, Vector(vector), None, Source::Software))
}

fn fill(explanation: &mut Explanation, subject: &Subject<'_>, instruction: &Instruction) {
    let size = mode::code_size(&subject.state);
    explanation.text = disassemble(instruction);
    explanation.anatomy = anatomy(size, &explanation.bytes, instruction);
    explanation.sentence = sentence(instruction)
        .unwrap_or_else(|| "is not implemented: the machine would stop here and say so".to_owned());
    explanation.operands = operands::operands(subject, instruction);
    explanation.steps = steps::steps(subject, instruction, &explanation.operands);
    explanation.flags = Some(flags::flags_use(instruction));
    if explanation.dry_run.ended == Ended::Done {
        let (operands, after) = (&explanation.operands, &explanation.dry_run.after);
        explanation.flags_after = flags_after(&subject.state, instruction, operands, after);
    }
    if instruction.has_rep_prefix() || instruction.has_repne_prefix() {
        let counter = subject.state.gpr[cutaway_cpu::gpr::RCX];
        if explanation.anatomy.iter().any(|part| part.meaning.starts_with("REP")) {
            explanation.notes.push(format!("one iteration is shown; rCX = {counter:#x}"));
        }
    }
}

/// What is to be known of the moment.
fn notes(subject: &Subject<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let activity = &subject.state.activity;
    let shadow = activity.sti_shadow || activity.ss_shadow;
    if activity.halted {
        notes.push("the CPU waits in HLT: this instruction comes after an interrupt".to_owned());
    }
    if subject.pins.intr && subject.flag(Rflags::IF) {
        notes.push(if shadow {
            "an interrupt waits, and is taken after this instruction".to_owned()
        } else {
            "an interrupt waits, and is taken before this instruction".to_owned()
        });
    }
    notes
}

/// The bytes at the next instruction, as far as they can be fetched.
fn fetch(subject: &Subject<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let user = subject.cpl() == 3;
    while bytes.len() < MAX_LENGTH {
        let offset = subject.state.rip.wrapping_add(bytes.len() as u64);
        let linear = mode::linear_of_offset(&subject.state, offset);
        let stopped = subject.segment_obstacle(Seg::Cs, offset, 1, Reach::Fetch).is_some()
            || subject.translate(linear, Reach::Fetch, user).is_err();
        let byte = if stopped { None } else { subject.peek(linear, 1) };
        let Some(byte) = byte else { break };
        bytes.extend(byte);
    }
    bytes
}

#[cfg(test)]
mod tests;
