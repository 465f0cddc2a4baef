//! The table of commands: names, words, one line of help each.

use super::{Answer, Result, Words};
use crate::explorer::{Explorer, Way, What};
use crate::memory::Space;
use crate::pane::Pane;
use crate::text::{Line, Style};

type Run = fn(&mut Explorer, &Words<'_>) -> Result<Answer>;

/// A command.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// Other names of it.
    pub others: &'static [&'static str],
    /// What stands behind the name.
    pub words: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Words that it must have.
    pub(super) least: usize,
    pub(super) run: Run,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const fn command(
    name: &'static str,
    others: &'static [&'static str],
    words: &'static str,
    about: &'static str,
    (least, run): (usize, Run),
) -> Command {
    Command { name, others, words, about, least, run }
}

/// All commands, in the order of help.
#[rustfmt::skip] // one row per command
pub const COMMANDS: &[Command] = &[
    command("step", &["s", "si", "stepi"], "[N]", "one instruction on, or N", (0, |e, w| super::step(e, w, Way::Forwards))),
    command("back", &["rsi", "rs", "reverse-stepi", "reverse-step"], "[N]", "one instruction back, or N; chips go back too", (0, |e, w| super::step(e, w, Way::Backwards))),
    command("over", &["n", "ni", "next", "nexti"], "[N]", "step, but over calls, INT n and REP", (0, |e, w| super::over(e, w, Way::Forwards))),
    command("back-over", &["rn", "rni", "reverse-next", "reverse-nexti"], "[N]", "the same backwards", (0, |e, w| super::over(e, w, Way::Backwards))),
    command("out", &["finish", "fin"], "", "on until this function has returned", (0, |e, w| super::out(e, w, Way::Forwards))),
    command("back-out", &["reverse-finish"], "", "back to before this function was called", (0, |e, w| super::out(e, w, Way::Backwards))),
    command("continue", &["c", "run", "r"], "[TICKS]", "on to the next stop, at most so far", (0, |e, w| super::go(e, w, Way::Forwards))),
    command("back-continue", &["rc", "reverse-continue"], "", "back to the last stop", (0, |e, w| super::go(e, w, Way::Backwards))),
    command("until", &["u", "advance"], "ADDRESS", "on to the instruction there", (1, |e, w| super::until(e, w, Way::Forwards))),
    command("back-until", &["ru"], "ADDRESS", "back to the instruction there", (1, |e, w| super::until(e, w, Way::Backwards))),
    command("to", &[], "WHAT", "on to right behind the next interrupt, exception, port ... (help to lists them)", (1, |e, w| super::seek(e, w, Way::Forwards))),
    command("back-to", &[], "WHAT", "back to right before the last one", (1, |e, w| super::seek(e, w, Way::Backwards))),
    command("goto", &["g"], "COUNT", "to the instant behind so many instructions", (1, super::goto)),
    command("start", &[], "", "to the first instant there is", (0, super::start)),
    command("end", &[], "", "to the last instant that is known", (0, super::end)),
    command("undo", &[], "", "take the last movement back", (0, super::undo)),
    command("break", &["b"], "ADDRESS [if EXPRESSION]", "stop before the instruction there", (1, super::break_at)),
    command("watch", &["w"], "ADDRESS [BYTES] [if EXPRESSION]", "stop behind writes to memory", (1, |e, w| super::watch(e, w, false, true))),
    command("rwatch", &[], "ADDRESS [BYTES] [if EXPRESSION]", "stop behind reads", (1, |e, w| super::watch(e, w, true, false))),
    command("awatch", &[], "ADDRESS [BYTES] [if EXPRESSION]", "stop behind both", (1, |e, w| super::watch(e, w, true, true))),
    command("stop", &[], "port P[-P]|exception V [if EXPRESSION]", "stop at a port or before an exception", (2, super::stop_at)),
    command("delete", &["d"], "[NUMBER]", "take a stop away, or all", (0, super::delete)),
    command("stops", &[], "", "list the stops", (0, super::stops)),
    command("show", &["i", "info"], "PANE ...", "show parts of the machine (help panes lists them)", (1, super::show)),
    command("explain", &["e"], "", "take the next instruction apart, before it runs", (0, super::explain)),
    command("print", &["p"], "EXPRESSION", "the value of an expression", (1, super::print)),
    command("disassemble", &["dis"], "[ADDRESS [N]]", "instructions", (0, super::disassemble)),
    command("x", &[], "ADDRESS [BYTES]", "linear memory", (1, |e, w| super::examine(e, w, Space::Linear))),
    command("xp", &[], "ADDRESS [BYTES]", "physical memory", (1, |e, w| super::examine(e, w, Space::Physical))),
    command("walk", &[], "[ADDRESS]", "how a linear address becomes a physical one; alone, the next instruction's", (0, super::walk)),
    command("last-write", &["lw"], "ADDRESS [BYTES]", "back to before the last write there", (1, super::last_write)),
    command("last-change", &["lc"], "REGISTER", "back to before the last change of a register", (1, super::last_change)),
    command("callers", &["where", "bt", "backtrace"], "[N]", "the calls that led here, out of the past", (0, super::callers)),
    command("type", &[], "TEXT", "characters for COM1; \\r is Enter", (1, super::type_text)),
    command("host", &[], "[WHAT ...]", "several guests on one CPU: slices, shares, who is looked at (help host lists them)", (0, super::host::host)),
    command("power", &[], "", "press the power button", (0, super::power)),
    command("balloon", &[], "PAGES", "want a memory balloon of so many pages of the guest", (1, super::balloon)),
    command("live", &[], "", "go on from here as a live machine", (0, super::live)),
    command("assert", &[], "EXPRESSION", "fail, and end a script, if it is zero", (1, super::assert)),
    command("time", &[], "", "where in the run this is", (0, super::place)),
    command("echo", &[], "TEXT", "show a text", (0, super::echo)),
    command("help", &["h", "?"], "[COMMAND|panes|expressions]", "this list, or more on one", (0, help)),
    command("quit", &["q", "exit"], "", "leave", (0, super::quit)),
];

const EXPRESSIONS: &str = "\
An expression has C's operators on unsigned 64-bit numbers. Operands:
  0x10 16               numbers
  eax rsp cs cr3 efer   registers; pc is the linear address of the next instruction
  cf zf if iopl         flags; cpl is the current privilege level
  byte[A] word[A] dword[A] qword[A]   linear memory; pbyte[A] ... physical memory
  ds:esi f000:fff0      an address with a segment's base
  count moved           instructions retired; how many the last movement went
  traps callouts traps_port physcs physcr3   of a virtual machine
  mapped balloon balloonwanted   pages in nested tables; pages given up, and wanted
  hostticks used stolen shares          of a host and the guest looked at; used_NAME of another
  guestmode             1 while a hypervisor in the machine lets its guest run
Examples: print dword[esp+4]    break 0x7c00 if eax == 3    assert cpl == 3 && zf";

/// The command of a name, or of the beginning of one name alone.
pub(super) fn by_name(name: &str) -> std::result::Result<&'static Command, String> {
    let named = |command: &&Command| command.name == name || command.others.contains(&name);
    if let Some(command) = COMMANDS.iter().find(named) {
        return Ok(command);
    }
    let starts: Vec<_> = COMMANDS.iter().filter(|command| command.name.starts_with(name)).collect();
    match starts.as_slice() {
        [command] => Ok(command),
        [] => {
            let shown: String = name.chars().take(40).collect();
            Err(format!("'{}' is no command; help lists them", shown.escape_debug()))
        }
        several => {
            let names: Vec<_> = several.iter().map(|command| command.name).collect();
            Err(format!("'{name}' may be {}", names.join(", ")))
        }
    }
}

/// One line a command.
pub(super) fn overview() -> Vec<Line> {
    let line = |command: &Command| {
        let usage = format!("{} {}", command.name, command.words);
        Line::default()
            .and(Style::Name, format!("  {:<36} ", usage.trim_end()))
            .and(Style::Plain, command.about)
    };
    let mut lines: Vec<_> = COMMANDS.iter().map(line).collect();
    lines.push(Line::of("An empty line does the last movement again."));
    lines
}

/// All that is to say of a command.
pub(super) fn about(command: &Command) -> Vec<Line> {
    let mut lines = vec![
        Line::default().and(Style::Name, format!("{} {}", command.name, command.words)),
        Line::of(format!("  {}", command.about)),
    ];
    if !command.others.is_empty() {
        lines.push(Line::of(format!("  also: {}", command.others.join(", "))));
    }
    lines
}

fn help(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    let list = |rows: Vec<(&str, &str)>| {
        let line = |(name, about): (&str, &str)| {
            Line::default().and(Style::Name, format!("  {name:<11}")).and(Style::Plain, about)
        };
        Ok(Answer::of(rows.into_iter().map(line).collect()))
    };
    match words.words.as_slice() {
        ["panes"] => list(Pane::all().map(|pane| (pane.name(), pane.about())).collect()),
        ["expressions"] => Ok(Answer::of(EXPRESSIONS.lines().map(Line::of).collect())),
        ["to" | "back-to"] => {
            list(What::ALL.iter().map(|(name, _, about)| (*name, *about)).collect())
        }
        ["host"] => {
            let lines = super::host::WORDS.iter().map(|(word, words, about)| {
                let usage = format!("  host {word} {words}");
                Line::default().and(Style::Name, format!("{usage:<36} ")).and(Style::Plain, *about)
            });
            let all = "host alone shows the pane guests";
            Ok(Answer::of(lines.chain([Line::of(all)]).collect()))
        }
        _ => super::help(explorer, words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_means_one_command() {
        let mut names: Vec<&str> = COMMANDS
            .iter()
            .flat_map(|command| std::iter::once(command.name).chain(command.others.iter().copied()))
            .collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();

        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_beginning_is_enough_if_it_fits_one() {
        assert_eq!(by_name("disas").unwrap().name, "disassemble");
        assert_eq!(by_name("s").unwrap().name, "step");
        assert!(by_name("st").unwrap_err().contains("step, start, stop"));
        assert!(by_name("frobnicate").unwrap_err().contains("help"));
    }
}
