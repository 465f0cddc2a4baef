//! The keys of the stepping screen: one table for what they do and for the help.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A line of the command language.
    Command(&'static str),
    /// The command line, with this in it.
    Prompt(&'static str),
    Search,
    /// The next place, or the one before, that the last search finds.
    Found(Turn),
    /// A breakpoint at the cursor, or none any more.
    ToggleBreakpoint,
    /// To the cursor, by this command.
    Cursor(&'static str),
    Focus(Turn),
    Layout(Turn),
    /// Lines, or pages.
    Scroll(Turn, Amount),
    Sideways(Turn),
    /// Along the timeline.
    Scrub(Turn),
    Zoom,
    Help,
    Redraw,
    Escape,
    Hint,
}

/// On, or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    On,
    Back,
}

/// How far to scroll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    Line,
    Page,
}

/// Keys and what they do.
pub(super) struct Binding {
    pub(super) keys: &'static [(KeyCode, KeyModifiers)],
    pub(super) act: Act,
    pub(super) about: &'static str,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CONTROL: KeyModifiers = KeyModifiers::CONTROL;

const fn c(c: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(c), NONE)
}

const fn k(code: KeyCode) -> (KeyCode, KeyModifiers) {
    (code, NONE)
}

const fn ctrl(c: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(c), CONTROL)
}

/// Every key, in the order of the help.
#[rustfmt::skip] // one row per binding
pub(super) const BINDINGS: &[Binding] = &[
    Binding { keys: &[c('s'), k(KeyCode::Right), c('l')], act: Act::Command("step"), about: "step: one instruction on" },
    Binding { keys: &[c('S'), k(KeyCode::Left), c('h')], act: Act::Command("back"), about: "one instruction back, chips too" },
    Binding { keys: &[c('n')], act: Act::Command("over"), about: "step over calls, INT n and REP" },
    Binding { keys: &[c('N')], act: Act::Command("back-over"), about: "the same backwards" },
    Binding { keys: &[c('f')], act: Act::Command("out"), about: "on until this function has returned" },
    Binding { keys: &[c('F')], act: Act::Command("back-out"), about: "back to before its call" },
    Binding { keys: &[c('c')], act: Act::Command("continue"), about: "on to the next stop; any key ends it" },
    Binding { keys: &[c('C')], act: Act::Command("back-continue"), about: "back to the last stop" },
    Binding { keys: &[c('i')], act: Act::Command("to interrupt"), about: "on behind the next interrupt of a chip" },
    Binding { keys: &[c('I')], act: Act::Command("back-to interrupt"), about: "back before the last one" },
    Binding { keys: &[c('e')], act: Act::Command("to exception"), about: "on behind the next exception" },
    Binding { keys: &[c('E')], act: Act::Command("back-to exception"), about: "back before the last one" },
    Binding { keys: &[c('m')], act: Act::Command("to mode"), about: "on behind the next change of PE, PG or LMA" },
    Binding { keys: &[c('M')], act: Act::Command("back-to mode"), about: "back before the last one" },
    Binding { keys: &[c('p')], act: Act::Command("to port"), about: "on behind the next access to a port" },
    Binding { keys: &[c('P')], act: Act::Command("back-to port"), about: "back before the last one" },
    Binding { keys: &[c('y')], act: Act::Command("to syscall"), about: "on behind the next system call" },
    Binding { keys: &[c('Y')], act: Act::Command("back-to syscall"), about: "back before the last one" },
    Binding { keys: &[c('r')], act: Act::Command("to cr"), about: "on behind the next load of CR0, 3, 4, EFER" },
    Binding { keys: &[c('R')], act: Act::Command("back-to cr"), about: "back before the last one" },
    Binding { keys: &[c('u')], act: Act::Command("undo"), about: "take the last movement back" },
    Binding { keys: &[c('g')], act: Act::Prompt("goto "), about: "to a count of instructions" },
    Binding { keys: &[k(KeyCode::Home), c('0')], act: Act::Command("start"), about: "to the first instant" },
    Binding { keys: &[k(KeyCode::End), c('G')], act: Act::Command("end"), about: "to the last instant that is known" },
    Binding { keys: &[c('{')], act: Act::Scrub(Turn::Back), about: "back a twentieth of the timeline" },
    Binding { keys: &[c('}')], act: Act::Scrub(Turn::On), about: "on a twentieth" },
    Binding { keys: &[c('o')], act: Act::Command("host step"), about: "of several guests: one slice of the CPU on" },
    Binding { keys: &[c('O')], act: Act::Command("host back"), about: "one slice back, all guests with it" },
    Binding { keys: &[c('w')], act: Act::Command("host look next"), about: "look at the next guest" },
    Binding { keys: &[c('W')], act: Act::Command("host look previous"), about: "look at the one before" },
    Binding { keys: &[c('b')], act: Act::ToggleBreakpoint, about: "breakpoint at the cursor of the code, or none" },
    Binding { keys: &[k(KeyCode::Enter)], act: Act::Cursor("until"), about: "run to the cursor" },
    Binding { keys: &[k(KeyCode::Backspace)], act: Act::Cursor("back-until"), about: "run back to the cursor" },
    Binding { keys: &[k(KeyCode::Tab)], act: Act::Focus(Turn::On), about: "the next pane" },
    Binding { keys: &[k(KeyCode::BackTab)], act: Act::Focus(Turn::Back), about: "the pane before" },
    Binding { keys: &[c('j'), k(KeyCode::Down)], act: Act::Scroll(Turn::On, Amount::Line), about: "scroll; in the code, move the cursor" },
    Binding { keys: &[c('k'), k(KeyCode::Up)], act: Act::Scroll(Turn::Back, Amount::Line), about: "the same upwards" },
    Binding { keys: &[k(KeyCode::PageDown), ctrl('f')], act: Act::Scroll(Turn::On, Amount::Page), about: "scroll by a page" },
    Binding { keys: &[k(KeyCode::PageUp), ctrl('b')], act: Act::Scroll(Turn::Back, Amount::Page), about: "the same upwards" },
    Binding { keys: &[c('>')], act: Act::Sideways(Turn::On), about: "scroll to the right" },
    Binding { keys: &[c('<')], act: Act::Sideways(Turn::Back), about: "scroll to the left" },
    Binding { keys: &[c('z')], act: Act::Zoom, about: "this pane alone, or all again" },
    Binding { keys: &[c(']')], act: Act::Layout(Turn::On), about: "the next layout" },
    Binding { keys: &[c('[')], act: Act::Layout(Turn::Back), about: "the layout before" },
    Binding { keys: &[c(':')], act: Act::Prompt(""), about: "a command; Tab completes, :help lists them" },
    Binding { keys: &[c('/')], act: Act::Search, about: "search in this pane; then n and N" },
    Binding { keys: &[c('.')], act: Act::Found(Turn::On), about: "search the same again" },
    Binding { keys: &[c(',')], act: Act::Found(Turn::Back), about: "the same upwards" },
    Binding { keys: &[c('t')], act: Act::Prompt("type "), about: "characters for the guest; \\r is Enter" },
    Binding { keys: &[c('?'), k(KeyCode::F(1))], act: Act::Help, about: "this list" },
    Binding { keys: &[ctrl('l')], act: Act::Redraw, about: "draw everything again" },
    Binding { keys: &[k(KeyCode::Esc)], act: Act::Escape, about: "leave what is open" },
    Binding { keys: &[ctrl('c')], act: Act::Hint, about: "stop what runs" },
    Binding { keys: &[c('q')], act: Act::Command("quit"), about: "quit" },
];

/// What a key does; nothing if it has no meaning.
pub(super) fn act(key: KeyEvent) -> Option<Act> {
    let modifiers = key.modifiers - KeyModifiers::SHIFT;
    let is_this = |binding: &&Binding| binding.keys.contains(&(key.code, modifiers));
    BINDINGS.iter().find(is_this).map(|binding| binding.act)
}

/// A key's name, for people.
pub(super) fn name((code, modifiers): (KeyCode, KeyModifiers)) -> String {
    let name = match code {
        KeyCode::Char(' ') => "Space".to_owned(),
        KeyCode::Char(c) if modifiers.contains(CONTROL) => c.to_ascii_uppercase().to_string(),
        KeyCode::Char(c) => c.to_string(),
        KeyCode::F(n) => format!("F{n}"),
        KeyCode::BackTab => "Shift-Tab".to_owned(),
        other => format!("{other:?}"),
    };
    if modifiers.contains(CONTROL) { format!("Ctrl-{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_meaning() {
        let mut all: Vec<_> = BINDINGS.iter().flat_map(|binding| binding.keys).collect();
        let count = all.len();
        all.sort_by_key(|key| name(**key));
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn capitals_come_with_and_without_shift() {
        let shifted = KeyEvent::new(KeyCode::Char('S'), KeyModifiers::SHIFT);
        assert_eq!(act(shifted), Some(Act::Command("back")));
        assert_eq!(act(KeyEvent::new(KeyCode::Char('S'), NONE)), Some(Act::Command("back")));
        assert_eq!(act(KeyEvent::new(KeyCode::Char('s'), CONTROL)), None);
    }
}
