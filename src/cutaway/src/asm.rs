//! `cutaway asm`: assembly text to bytes, as hex digits, as a listing or raw.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::path::Path;

use cutaway::isa::{AssembleError, Assembled, Assembly, assemble};

use crate::args::{AsmArgs, AsmFormat};
use crate::exit::{BAD_INPUT, DONE, HOST_FAILED};
use crate::failure::Failure;

/// Bytes in a line of hex digits, and in one of a listing.
const HEX_ROW: usize = 16;
pub(crate) const LISTING_ROW: usize = 8;
/// Lines that one statement has at most in a listing.
const MAX_ROWS: usize = 4;
/// Characters of a line that are shown with a mistake.
const EXCERPT: usize = 100;
/// The longest input that is read; what is too long for the assembler is refused there.
const MAX_INPUT: u64 = 16 << 20;

/// Where text or bytes come from.
pub(crate) struct Source {
    /// For messages: a file's name.
    pub(crate) name: Option<String>,
    pub(crate) bytes: Vec<u8>,
    /// The arguments themselves are the input.
    pub(crate) given: bool,
}

/// Reads what the arguments mean: a file, standard input, or themselves.
pub(crate) fn source(input: &[String], command: &str) -> Result<Source, Failure> {
    let remedy = || format!("cutaway {command} --help shows how to give the input");
    let from = |name: &str, reader: std::io::Result<Box<dyn Read>>| {
        let mut bytes = Vec::new();
        let read = reader.and_then(|reader| reader.take(MAX_INPUT + 1).read_to_end(&mut bytes));
        let what = match read {
            Ok(_) if bytes.len() as u64 <= MAX_INPUT => {
                return Ok(Source { name: Some(name.to_owned()), bytes, given: false });
            }
            Ok(_) => format!("{name} has more than {MAX_INPUT} bytes"),
            Err(error) => format!("cannot read {name}: {error}"),
        };
        Err(Failure::new(BAD_INPUT, what, remedy()))
    };
    let stdin = || from("standard input", Ok(Box::new(std::io::stdin())));
    match input {
        [] if std::io::stdin().is_terminal() => {
            Err(Failure::new(BAD_INPUT, "nothing to work on", remedy()))
        }
        [] => stdin(),
        [one] if one == "-" => stdin(),
        [one] if is_file(one) => {
            from(one, File::open(one).map(|file| Box::new(file) as Box<dyn Read>))
        }
        _ => {
            // Arguments with spaces in them are lines; words without quotes are one line.
            let lines = input.iter().any(|argument| argument.contains(char::is_whitespace));
            let bytes = input.join(if lines { "\n" } else { " " }).into_bytes();
            Ok(Source { name: None, bytes, given: true })
        }
    }
}

/// Whether an argument is the name of a file, existing or not.
fn is_file(argument: &str) -> bool {
    let looks = !argument.contains(char::is_whitespace) && argument.contains(['/', '.']);
    let local_label = argument.starts_with('.') && !argument.contains('/');
    Path::new(argument).is_file() || looks && !local_label
}

/// Assembles, and writes the bytes.
pub(crate) fn asm(args: &AsmArgs) -> Result<u8, Failure> {
    let source = source(&args.input, "asm")?;
    let Ok(text) = std::str::from_utf8(&source.bytes) else {
        let what = format!("{} is no text", source.name.unwrap_or_default());
        return Err(Failure::new(BAD_INPUT, what, "cutaway disasm takes bytes"));
    };
    let options = Assembly { size: args.bits, origin: args.origin };
    let assembled =
        assemble(text, options).map_err(|error| mistake(&error, text, source.name.as_deref()))?;
    let raw = args.format == AsmFormat::Raw;
    if raw && args.output.is_none() && std::io::stdout().is_terminal() {
        let what = "raw bytes are nothing for a terminal";
        return Err(Failure::new(BAD_INPUT, what, "give -o FILE, or another --format"));
    }
    let bytes = match args.format {
        AsmFormat::Raw => assembled.bytes,
        AsmFormat::Hex => hex(&assembled.bytes).into_bytes(),
        AsmFormat::Listing => listing(&assembled, text).into_bytes(),
    };
    put(&bytes, args.output.as_deref())
}

/// The failure of a mistake in the source, with its line and a mark below the place.
fn mistake(error: &AssembleError, text: &str, name: Option<&str>) -> Failure {
    let AssembleError { line, column, cause } = error;
    let name = name.map(|name| format!("{name}, ")).unwrap_or_default();
    let what = format!("{name}line {line}, column {column}: {cause}");
    let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let before = column.saturating_sub(1);
    let skip = before.saturating_sub(EXCERPT / 2);
    let shown: String = source
        .chars()
        .skip(skip)
        .take(EXCERPT)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let mark = " ".repeat(before - skip);
    Failure::new(BAD_INPUT, what, "").with_excerpt(format!("    {shown}\n    {mark}^"))
}

/// Pairs of digits with spaces between them.
pub(crate) fn pairs(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.chunks(HEX_ROW).map(|row| pairs(row) + "\n").collect()
}

/// A line of a listing or of a disassembly.
pub(crate) fn row(address: u64, bytes: &[u8], text: &str) -> String {
    let line = format!("{address:08x}  {:<24}  {text}", pairs(bytes));
    line.trim_end().to_owned() + "\n"
}

/// Address, bytes and source of every line.
fn listing(assembled: &Assembled, text: &str) -> String {
    let mut listing = String::new();
    let mut lines = assembled.lines.iter().peekable();
    for (number, source) in (1..).zip(text.lines()) {
        let Some(line) = lines.next_if(|line| line.line == number) else {
            let line = format!("{:36}{source}", "");
            listing.push_str(line.trim_end());
            listing.push('\n');
            continue;
        };
        let bytes = &assembled.bytes[line.offset..line.offset + line.len];
        let mut address = assembled.origin.wrapping_add(line.offset as u64);
        for (n, chunk) in bytes.chunks(LISTING_ROW).take(MAX_ROWS).enumerate() {
            listing.push_str(&row(address, chunk, if n == 0 { source } else { "" }));
            address = address.wrapping_add(chunk.len() as u64);
        }
        let more = bytes.len().saturating_sub(LISTING_ROW * MAX_ROWS);
        if more > 0 {
            listing.push_str(&format!("          … {more} more\n"));
        }
    }
    listing
}

/// Writes a result to a file or to standard output.
pub(crate) fn put(bytes: &[u8], output: Option<&Path>) -> Result<u8, Failure> {
    let written = match output {
        Some(path) => File::create(path).and_then(|mut file| file.write_all(bytes)),
        None => {
            let mut out = std::io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        }
    };
    match (written, output) {
        (Ok(()), _) => Ok(DONE),
        // The reader of a pipe has seen enough.
        (Err(error), None) if error.kind() == ErrorKind::BrokenPipe => Ok(DONE),
        (Err(error), None) => {
            let what = format!("cannot write to standard output: {error}");
            Err(Failure::new(HOST_FAILED, what, "give -o FILE"))
        }
        (Err(error), Some(path)) => {
            let what = format!("cannot write {}: {error}", path.display());
            Err(Failure::new(BAD_INPUT, what, "choose another place"))
        }
    }
}
