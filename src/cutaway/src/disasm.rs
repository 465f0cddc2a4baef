//! `cutaway disasm`: bytes to assembly text. What is no instruction is shown as a byte.

use cutaway::isa::{CodeSize, decode, disassemble};

use crate::args::{DisasmArgs, DisasmInput};
use crate::asm::{LISTING_ROW, put, row, source};
use crate::exit::BAD_INPUT;
use crate::failure::Failure;

/// Disassembles, and writes the text.
pub(crate) fn disasm(args: &DisasmArgs) -> Result<u8, Failure> {
    let source = source(&args.input, "disasm")?;
    let digits = match args.input_format {
        DisasmInput::Raw if source.given => {
            let what = "arguments are hexadecimal digits, never raw bytes";
            return Err(Failure::new(BAD_INPUT, what, "give a file, or - for standard input"));
        }
        DisasmInput::Raw => false,
        DisasmInput::Hex => true,
        DisasmInput::Auto => source.given || looks_like_digits(&source.bytes),
    };
    let bytes = if digits { digits_of(&source.bytes)? } else { source.bytes };
    put(text(args.bits, args.origin, &bytes).as_bytes(), None)
}

fn text(size: CodeSize, origin: u64, bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while at < bytes.len() {
        let address = origin.wrapping_add(at as u64);
        let (len, line) = match decode(size, &bytes[at..], address) {
            Ok(instruction) => (instruction.len(), disassemble(&instruction)),
            Err(_) => (1, format!("db {:#04x}", bytes[at])),
        };
        for (n, chunk) in bytes[at..at + len].chunks(LISTING_ROW).enumerate() {
            let address = address.wrapping_add((n * LISTING_ROW) as u64);
            text.push_str(&row(address, chunk, if n == 0 { &line } else { "" }));
        }
        at += len;
    }
    text
}

/// Whether a file is one of digits and not of code: all of it, and there is something.
fn looks_like_digits(bytes: &[u8]) -> bool {
    let fits = |byte: &u8| {
        byte.is_ascii_hexdigit() || byte.is_ascii_whitespace() || matches!(byte, b',' | b'x' | b'X')
    };
    bytes.iter().any(u8::is_ascii_hexdigit) && bytes.iter().all(fits)
}

/// The bytes that hexadecimal digits mean; between bytes there may be spaces, commas, `0x`, `\x`.
fn digits_of(text: &[u8]) -> Result<Vec<u8>, Failure> {
    let text = String::from_utf8_lossy(text);
    let words = text.replace("\\x", " ");
    let remedy = "give two digits for each byte, such as 0f 0b";
    let mut bytes = Vec::new();
    for word in words.split(|c: char| c.is_whitespace() || c == ',').filter(|w| !w.is_empty()) {
        let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(word);
        if let Some(wrong) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
            let what = format!("{wrong:?} in {} is no hexadecimal digit", clipped(word));
            return Err(Failure::new(BAD_INPUT, what, remedy));
        }
        if digits.len() % 2 != 0 || digits.is_empty() {
            let what = format!("{} has half a byte", clipped(word));
            return Err(Failure::new(BAD_INPUT, what, remedy));
        }
        let pairs = digits.as_bytes().chunks(2);
        bytes.extend(pairs.map(|pair| {
            pair.iter().fold(0, |byte: u8, digit| {
                byte << 4 | char::from(*digit).to_digit(16).unwrap_or(0) as u8
            })
        }));
    }
    Ok(bytes)
}

/// A word of a message.
fn clipped(word: &str) -> String {
    let start: String = word.chars().take(20).collect();
    if start.len() < word.len() { format!("{start}…") } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_may_be_separated_in_many_ways() {
        for text in ["b801", "b8 01", "0xb8, 0x01", "\\xb8\\x01", "B8\n01\n"] {
            assert_eq!(digits_of(text.as_bytes()).unwrap(), [0xb8, 0x01], "{text}");
        }
        for text in ["b80", "b8 1", "0x", "zz"] {
            assert!(digits_of(text.as_bytes()).is_err(), "{text}");
        }
    }

    /// 0F 0B is UD2; 06 does not exist in 64-bit code; 0F alone goes on behind the end.
    #[test]
    fn what_is_no_instruction_is_a_byte() {
        let text = text(CodeSize::Bits64, 0x1000, &[0x06, 0x0f, 0x0b, 0x0f]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("00001000  06") && lines[0].ends_with("db 0x06"), "{text}");
        assert!(lines[1].starts_with("00001001  0f 0b") && lines[1].ends_with("ud2"), "{text}");
        assert!(lines[2].starts_with("00001003  0f") && lines[2].ends_with("db 0x0f"), "{text}");
    }
}
