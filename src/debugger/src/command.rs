//! Commands on a machine and its past, one a line: what the prompt, scripts and the command line
//! of the stepping screen understand. The names are gdb's where gdb has one.

mod completion;
mod host;
mod table;

pub use completion::continuations;
pub use table::{COMMANDS, Command};

use crate::explorer::{Explorer, ExplorerError, Way, What};
use crate::memory::Space;
use crate::names::vector_named;
use crate::pane::{self, Pane};
use crate::text::{Line, Style};
use cutaway_machine::{Input, Watch};

/// Rows of panes that could show any number.
const ROWS: usize = 16;
/// The most that is shown at once.
const MAX_INSTRUCTIONS: u64 = 256;
const MAX_BYTES: u64 = 0x1000;
const MAX_CALLERS: u64 = 64;

/// What came of a command.
#[derive(Debug, Default)]
pub struct Answer {
    /// What to show.
    pub lines: Vec<Line>,
    /// Whether the machine may be elsewhere now.
    pub moved: bool,
    /// Whether the person wants to leave.
    pub quit: bool,
}

impl Answer {
    fn of(lines: Vec<Line>) -> Self {
        Self { lines, ..Self::default() }
    }

    fn text(text: impl Into<String>) -> Self {
        Self::of(vec![Line::of(text)])
    }
}

type Result<T> = std::result::Result<T, ExplorerError>;

/// Does what a line says. An empty line, or one that begins with `#`, does nothing.
pub fn execute(explorer: &mut Explorer, line: &str) -> Result<Answer> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(Answer::default());
    }
    check(line)?;
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let command = table::by_name(name)?;
    let rest = rest.trim();
    let words: Vec<&str> = rest.split_whitespace().collect();
    (command.run)(explorer, &Words { rest, words })
}

/// Whether a line names a command and has the words that it needs.
pub fn check(line: &str) -> std::result::Result<(), String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let command = table::by_name(name)?;
    if rest.split_whitespace().count() < command.least {
        return Err(format!("{name} lacks a word: {} {}", command.name, command.words));
    }
    Ok(())
}

/// Whether a line changes what comes: something enters, or is done to a guest.
pub(crate) fn changes(line: &str) -> bool {
    let mut words = line.split_whitespace();
    match words.next().and_then(|name| table::by_name(name).ok()).map(|command| command.name) {
        Some("type" | "power" | "live") => true,
        Some("host") => {
            words.next().is_some_and(|word| ["suspend", "resume", "shares", "cap"].contains(&word))
        }
        _ => false,
    }
}

/// What stands behind a command's name.
pub(crate) struct Words<'a> {
    rest: &'a str,
    words: Vec<&'a str>,
}

impl Words<'_> {
    /// A count, 1 if there is none.
    fn count(&self, explorer: &Explorer) -> Result<u64> {
        self.value_or(explorer, 0, 1)
    }

    fn value_or(&self, explorer: &Explorer, n: usize, default: u64) -> Result<u64> {
        match self.words.get(n) {
            Some(word) => Ok(explorer.evaluate(word)?),
            None => Ok(default),
        }
    }

    /// The words before and behind `if`.
    fn condition(&self) -> (String, Option<&str>) {
        let at = self.rest.find(" if ").map(|at| (at, at + 4));
        match at {
            Some((end, start)) => {
                (self.rest[..end].trim().to_owned(), Some(self.rest[start..].trim()))
            }
            None => (self.rest.to_owned(), None),
        }
    }
}

/// Where a movement led: its sentence, the place, the next instruction.
fn moved(explorer: &Explorer, text: String) -> Answer {
    let mut lines = Vec::new();
    if !text.is_empty() {
        lines.push(Line::default().and(Style::Name, text));
    }
    lines.push(Line::default().and(Style::Dim, explorer.place()));
    let hidden = pane::hidden(explorer.state());
    if !hidden.is_empty() {
        lines.push(Line::of(hidden));
    }
    let pc = crate::mode::pc(explorer.state());
    lines.extend(explorer.with_scene(|scene| pane::instructions(scene, pc, 1)));
    Answer { lines, moved: true, quit: false }
}

fn step(explorer: &mut Explorer, words: &Words<'_>, way: Way) -> Result<Answer> {
    let count = words.count(explorer)?;
    let text = explorer.step(count, way)?;
    Ok(moved(explorer, text))
}

fn over(explorer: &mut Explorer, words: &Words<'_>, way: Way) -> Result<Answer> {
    let text = explorer.step_over(words.count(explorer)?, way)?;
    Ok(moved(explorer, text))
}

fn out(explorer: &mut Explorer, _: &Words<'_>, way: Way) -> Result<Answer> {
    let text = explorer.step_out(way)?;
    Ok(moved(explorer, text))
}

fn go(explorer: &mut Explorer, words: &Words<'_>, way: Way) -> Result<Answer> {
    let most = words.value_or(explorer, 0, u64::MAX)?;
    let text = explorer.go(way, most)?;
    Ok(moved(explorer, text))
}

fn until(explorer: &mut Explorer, words: &Words<'_>, way: Way) -> Result<Answer> {
    let address = explorer.address(words.rest)?;
    let text = explorer.until(address, way)?;
    Ok(moved(explorer, text))
}

fn seek(explorer: &mut Explorer, words: &Words<'_>, way: Way) -> Result<Answer> {
    let Some(what) = What::by_name(words.rest) else {
        let all: Vec<_> = What::ALL.iter().map(|(name, ..)| *name).collect();
        return Err(format!("'{}' is none of: {}", words.rest, all.join(", ")).into());
    };
    let text = explorer.seek(what, way)?;
    Ok(moved(explorer, text))
}

fn goto(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    let count = explorer.evaluate(words.rest)?;
    let text = explorer.goto(count)?;
    Ok(moved(explorer, text))
}

fn start(explorer: &mut Explorer, _: &Words<'_>) -> Result<Answer> {
    let text = explorer.goto(0)?;
    Ok(moved(explorer, text))
}

fn end(explorer: &mut Explorer, _: &Words<'_>) -> Result<Answer> {
    let text = if explorer.is_live() {
        explorer.goto(explorer.furthest())?
    } else {
        explorer.goto(u64::MAX)?
    };
    Ok(moved(explorer, text))
}

fn undo(explorer: &mut Explorer, _: &Words<'_>) -> Result<Answer> {
    let text = explorer.undo()?;
    Ok(moved(explorer, text))
}

fn break_at(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    let (place, condition) = words.condition();
    let address = explorer.address(&place)?;
    Ok(Answer::text(explorer.break_at(address, condition)?.to_string()))
}

fn watch(explorer: &mut Explorer, words: &Words<'_>, reads: bool, writes: bool) -> Result<Answer> {
    let (place, condition) = words.condition();
    let (address, len) = match place.rsplit_once(char::is_whitespace) {
        Some((address, len)) if explorer.evaluate(address).is_ok() => {
            (address.to_owned(), explorer.evaluate(len)?)
        }
        _ => (place, 1),
    };
    let start = explorer.address(&address)?;
    if len == 0 || start.checked_add(len).is_none() {
        return Err(format!("{len} bytes at {start:#x} cannot be watched").into());
    }
    let watch = Watch { start, len, physical: false, reads, writes };
    Ok(Answer::text(explorer.watch(watch, condition)?.to_string()))
}

fn stop_at(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    let (what, condition) = words.condition();
    let words: Vec<&str> = what.split_whitespace().collect();
    let point = match words.as_slice() {
        ["port", ports] => {
            let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
            let port = |text: &str| -> Result<u16> {
                let value = explorer.evaluate(text)?;
                let wrong = || format!("{value:#x} is no port; they are 0 to 0xffff");
                Ok(u16::try_from(value).map_err(|_| wrong())?)
            };
            let (first, last) = (port(first)?, port(last)?);
            if first > last {
                return Err(format!("{first:#x} to {last:#x} is no range of ports").into());
            }
            explorer.stop_at_port(first..=last, condition)?
        }
        ["exception", vector] => {
            let vector = match vector_named(vector) {
                Some(vector) => vector,
                None => u8::try_from(explorer.evaluate(vector)?).unwrap_or(u8::MAX),
            };
            explorer.stop_at_exception(vector, condition)?
        }
        _ => return Err("give `port P`, `port P-P` or `exception V`".to_owned().into()),
    };
    Ok(Answer::text(point.to_string()))
}

fn delete(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    let number = match words.words.first() {
        Some(word) => Some(u32::try_from(explorer.evaluate(word)?).unwrap_or(u32::MAX)),
        None => None,
    };
    explorer.delete(number)?;
    Ok(Answer::default())
}

fn stops(explorer: &mut Explorer, _: &Words<'_>) -> Result<Answer> {
    let lines: Vec<_> = explorer.points().iter().map(|point| Line::of(point.to_string())).collect();
    Ok(if lines.is_empty() { Answer::text("no stops are set") } else { Answer::of(lines) })
}

fn show(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    let mut lines = Vec::new();
    if words.words == ["stops"] {
        return stops(explorer, words);
    }
    for word in &words.words {
        let Some(pane) = Pane::by_name(word) else {
            let all: Vec<_> = Pane::all().map(Pane::name).collect();
            return Err(format!("'{word}' is no pane; there are {}", all.join(", ")).into());
        };
        lines.extend(explorer.show(pane, ROWS));
    }
    Ok(Answer::of(lines))
}

fn explain(explorer: &mut Explorer, _: &Words<'_>) -> Result<Answer> {
    Ok(Answer::of(explorer.show(Pane::Explain, ROWS)))
}

fn print(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    let value = explorer.evaluate(words.rest)?;
    let signed = value as i64;
    let more = if signed < 0 { format!(" = {signed}") } else { String::new() };
    Ok(Answer::text(format!("{value:#x} = {value}{more}")))
}

fn disassemble(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    let address = match words.words.first() {
        Some(word) => explorer.address(word)?,
        None => crate::mode::pc(explorer.state()),
    };
    let count = words.value_or(explorer, 1, 8)?.min(MAX_INSTRUCTIONS) as usize;
    Ok(Answer::of(explorer.with_scene(|scene| pane::instructions(scene, address, count))))
}

fn examine(explorer: &mut Explorer, words: &Words<'_>, space: Space) -> Result<Answer> {
    let address = match space {
        Space::Linear => explorer.address(words.words[0])?,
        Space::Physical => explorer.evaluate(words.words[0])?,
    };
    let len = words.value_or(explorer, 1, 64)?.min(MAX_BYTES) as usize;
    if space == Space::Linear {
        explorer.memory_at = address;
    }
    Ok(Answer::of(explorer.with_scene(|scene| pane::dump(scene, space, address, len))))
}

fn walk(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    explorer.walk_of =
        if words.rest.is_empty() { None } else { Some(explorer.address(words.rest)?) };
    Ok(Answer::of(explorer.show(Pane::Paging, ROWS)))
}

fn last_write(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    let address = explorer.address(words.words[0])?;
    let len = words.value_or(explorer, 1, 1)?;
    let text = explorer.last_write(address, len)?;
    Ok(moved(explorer, text))
}

fn last_change(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    let text = explorer.last_change(words.words[0])?;
    Ok(moved(explorer, text))
}

fn callers(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    let most = words.value_or(explorer, 0, 16)?.clamp(1, MAX_CALLERS) as usize;
    let calls = explorer.callers(explorer.count(), most)?;
    if calls.is_empty() {
        return Ok(Answer::text("no call that leads here was found in the past"));
    }
    let name = |address| {
        let name = explorer.symbols().text_of(address).map(|name| format!(" <{name}>"));
        format!("{address:#x}{}", name.unwrap_or_default())
    };
    let line = |(n, call): (usize, &crate::explorer::Call)| {
        let (to, from, count) = (name(call.to), name(call.from), call.count);
        Line::of(format!("#{n}  {to}, called from {from} at instruction {count}"))
    };
    Ok(Answer::of(calls.iter().enumerate().map(line).collect()))
}

fn type_text(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    let bytes = unescape(words.rest)?;
    explorer.input(&Input::Serial { port: 0, bytes })?;
    Ok(Answer { moved: true, ..Answer::default() })
}

/// `\r`, `\n`, `\t`, `\e`, `\\` and `\xHH`.
fn unescape(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.extend(c.to_string().bytes());
            continue;
        }
        bytes.push(match chars.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('e') => 0x1b,
            Some('\\') => b'\\',
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16)
                    .map_err(|_| format!("'\\x{digits}' is no byte in hexadecimal"))?
            }
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(format!(
                    "'\\{other}' is no escape; there are \\r \\n \\t \\e \\\\ \\xHH"
                )
                .into());
            }
        });
    }
    Ok(bytes)
}

fn power(explorer: &mut Explorer, _: &Words<'_>) -> Result<Answer> {
    explorer.input(&Input::PowerButton)?;
    Ok(Answer { moved: true, ..Answer::default() })
}

fn balloon(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    if explorer.machine().balloon().is_none() {
        let what = "no driver is at work for a memory balloon (--device virtio-balloon)";
        return Err(what.to_owned().into());
    }
    let pages = words.value_or(explorer, 0, 0)?;
    let pages = u32::try_from(pages).map_err(|_| format!("{pages} pages are too many"))?;
    explorer.input(&Input::Balloon(pages))?;
    Ok(Answer { moved: true, ..Answer::default() })
}

fn live(explorer: &mut Explorer, _: &Words<'_>) -> Result<Answer> {
    explorer.go_live();
    Ok(Answer::text("live from here on; what came after is forgotten"))
}

fn assert(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    if explorer.evaluate(words.rest)? == 0 {
        return Err(format!("'{}' does not hold; {}", words.rest, explorer.place()).into());
    }
    Ok(Answer::default())
}

fn place(explorer: &mut Explorer, _: &Words<'_>) -> Result<Answer> {
    let mut lines = vec![Line::of(explorer.place())];
    let (bytes, count) = explorer.run_mut().checkpoint_use();
    let kind = if explorer.is_live() { "live" } else { "a recording" };
    lines.push(Line::of(format!("{kind}; {count} checkpoints of {} KiB", bytes / 1024)));
    Ok(Answer::of(lines))
}

fn echo(_: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    Ok(Answer::text(words.rest))
}

fn quit(_: &mut Explorer, _: &Words<'_>) -> Result<Answer> {
    Ok(Answer { quit: true, ..Answer::default() })
}

fn help(_: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    match words.words.first() {
        None => Ok(Answer::of(table::overview())),
        Some(name) => {
            let command = table::by_name(name).map_err(ExplorerError::Asked)?;
            Ok(Answer::of(table::about(command)))
        }
    }
}

#[cfg(test)]
mod tests;
