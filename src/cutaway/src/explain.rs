//! `cutaway explain`: an instruction taken apart.
//!
//! Bytes on the command line are explained on a machine that has just been switched into their
//! mode; without bytes it is the next instruction of a recording or a guest, where it is.

use std::io::Write;

use cutaway::debugger::explain::{BARE_ORIGIN, BARE_STACK, bare_machine, explain as explain_next};
use cutaway::isa::{Assembly, CodeSize, DecodeError, MAX_LENGTH, assemble, decode};
use cutaway::{CpuModel, Machine};

use crate::args::ExplainArgs;
use crate::exit::{BAD_INPUT, DONE, HOST_FAILED};
use crate::failure::Failure;
use crate::guest;
use crate::trace::{go, open_run};

/// Explains the instruction that the options name.
pub(crate) fn explain(args: &ExplainArgs) -> Result<u8, Failure> {
    let mut text = String::new();
    if args.bytes.is_empty() {
        let mut run = open_run(args.recording.as_deref(), &args.guest)?;
        run.go_forwards_only();
        go(&mut run, args.at)?;
        if run.count() < args.at {
            let what = format!("the run ends after {} instructions", run.count());
            return Err(Failure::new(BAD_INPUT, what, "give --at a smaller number"));
        }
        text.push_str(&format!("after {} instructions\n", run.count()));
        text.push_str(&explained(run.machine())?);
    } else {
        let size = args.bits;
        let bytes = match bytes_of(&args.bytes) {
            Ok(bytes) => bytes,
            Err(not_bytes) => bytes_of_text(&args.bytes, size, not_bytes)?,
        };
        let model = guest::cpu_model(&args.guest.cpu)?;
        text.push_str(&of_bytes(model, size, &bytes)?);
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(DONE),
        // The reader of a pipe has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(DONE),
        Err(error) => {
            let what = format!("cannot write the explanation: {error}");
            Err(Failure::new(HOST_FAILED, what, "choose a place that has room"))
        }
    }
}

fn explained(machine: &Machine) -> Result<String, Failure> {
    let explanation = explain_next(machine)
        .map_err(|error| Failure::of(HOST_FAILED, &error, "give it a host with more memory"))?;
    let mut text = explanation.lines().join("\n");
    text.push('\n');
    Ok(text)
}

/// The explanation of bytes, on a machine with nothing else in it.
fn of_bytes(model: CpuModel, size: CodeSize, bytes: &[u8]) -> Result<String, Failure> {
    if size == CodeSize::Bits64 && !model.has_long_mode() {
        let what = format!("the CPU {} has no 64-bit code", model.name());
        return Err(Failure::new(BAD_INPUT, what, "give --bits 32 or 16, or another --cpu"));
    }
    let length = match decode(size, bytes, BARE_ORIGIN) {
        Ok(instruction) => instruction.len(),
        Err(DecodeError::NeedsMore) => {
            let what = format!("{} bytes are not a whole instruction", bytes.len());
            return Err(Failure::new(BAD_INPUT, what, "give all of its bytes"));
        }
        Err(DecodeError::Invalid | DecodeError::TooLong) => bytes.len().min(MAX_LENGTH),
    };
    let machine = bare_machine(model, size, &bytes[..length])
        .map_err(|error| Failure::of(HOST_FAILED, &error, "give it a host with more memory"))?;
    let mode = match size {
        CodeSize::Bits16 => "real mode",
        CodeSize::Bits32 => "32-bit protected mode, flat segments, no paging",
        CodeSize::Bits64 => "64-bit mode, the first GiB mapped onto itself",
    };
    let mut text = format!(
        "{} in {mode}, CPL 0\n\
         all registers are zero but rIP = {BARE_ORIGIN:#x} and rSP = {BARE_STACK:#x}\n",
        model.name()
    );
    text.push_str(&explained(&machine)?);
    if length < bytes.len() {
        text.push_str(&format!("{} bytes behind it are not looked at\n", bytes.len() - length));
    }
    Ok(text)
}

/// The bytes of an instruction's text. What has no letter beyond hexadecimal digits was meant as
/// bytes, and what is wrong with those is said.
fn bytes_of_text(words: &[String], size: CodeSize, not_bytes: Failure) -> Result<Vec<u8>, Failure> {
    let text = words.join(" ");
    let is_digits = text.chars().all(|c| c.is_ascii_hexdigit() || c.is_whitespace());
    let assembled = assemble(&text, Assembly { size, origin: BARE_ORIGIN });
    match assembled {
        Ok(assembled) if !assembled.bytes.is_empty() => Ok(assembled.bytes),
        Err(error) if !is_digits => {
            let remedy = "give two digits a byte, or an instruction as NASM writes it";
            Err(Failure::of(BAD_INPUT, &error, remedy))
        }
        _ => Err(not_bytes),
    }
}

/// Bytes in hexadecimal, with or without gaps.
fn bytes_of(words: &[String]) -> Result<Vec<u8>, Failure> {
    let wrong = |word: &str| {
        let what = format!("'{word}' is no row of hexadecimal bytes");
        Failure::new(BAD_INPUT, what, "give two digits a byte, such as 0f af c3")
    };
    let mut bytes = Vec::new();
    for word in words.iter().flat_map(|word| word.split_whitespace()) {
        let digits = word.strip_prefix("0x").unwrap_or(word);
        if digits.is_empty() || digits.len() % 2 != 0 || !digits.is_ascii() {
            return Err(wrong(word));
        }
        for at in (0..digits.len()).step_by(2) {
            let pair = &digits[at..at + 2];
            if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(wrong(word));
            }
            bytes.push(u8::from_str_radix(pair, 16).map_err(|_| wrong(word))?);
        }
    }
    if bytes.is_empty() { Err(wrong("")) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip] // one row per case
    fn bytes_are_pairs_of_digits() {
        let rows: [(&[&str], Option<&[u8]>); 8] = [
            (&["0f", "af", "c3"], Some(&[0x0f, 0xaf, 0xc3])),
            (&["0fAFc3"],         Some(&[0x0f, 0xaf, 0xc3])),
            (&["0f af", "c3"],    Some(&[0x0f, 0xaf, 0xc3])),
            (&["0xf4"],           Some(&[0xf4])),
            (&["f"],              None),
            (&["+1"],             None),
            (&["mov eax, ebx"],   None),
            (&[" "],              None),
        ];
        for (words, expected) in rows {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(bytes_of(&words).ok().as_deref(), expected, "{words:?}");
        }
    }
}
