//! A line that is typed: editing, history, completion.

use super::{COMMANDS as SCREEN_COMMANDS, layout};
use crate::command::continuations;
use crate::pane::Pane;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Lines that are kept.
const MAX_HISTORY: usize = 500;
/// Characters that a line may have.
const MAX_CHARACTERS: usize = 4_000;

/// What came of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// The line goes on.
    More,
    /// There are several ways to go on.
    Choices(Vec<&'static str>),
    /// The line is done.
    Done(String),
    /// It is not wanted any more.
    Left,
}

/// The line, with a cursor before one of its characters or behind the last.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    text: Vec<char>,
    cursor: usize,
    /// The line of the history that is shown, from its end; 0 is none.
    back: usize,
    /// What was typed before the history was shown.
    typed: Vec<char>,
}

impl Entry {
    pub(super) fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().collect();
        Self { cursor: text.len(), text, ..Self::default() }
    }

    pub(super) fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// Characters before the cursor.
    pub(super) fn cursor(&self) -> usize {
        self.cursor
    }

    /// Does what a key says.
    pub(super) fn key(&mut self, key: KeyEvent, history: &[String]) -> Typed {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Enter => return Typed::Done(self.text()),
            KeyCode::Esc => return Typed::Left,
            KeyCode::Char('c' | 'g') if control => return Typed::Left,
            KeyCode::Backspace if self.text.is_empty() => return Typed::Left,
            KeyCode::Tab => return self.complete(),
            KeyCode::Backspace => self.delete_before(),
            KeyCode::Char('h') if control => self.delete_before(),
            KeyCode::Delete if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = (self.cursor + 1).min(self.text.len()),
            KeyCode::Home => self.cursor = 0,
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char('u') if control => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            KeyCode::Char('k') if control => self.text.truncate(self.cursor),
            KeyCode::Char('w') if control => self.delete_word(),
            KeyCode::Up => self.show(history, self.back + 1),
            KeyCode::Down => self.show(history, self.back.saturating_sub(1)),
            KeyCode::Char(c) if !control && !c.is_control() => self.insert(c),
            _ => {}
        }
        Typed::More
    }

    fn insert(&mut self, c: char) {
        if self.text.len() < MAX_CHARACTERS {
            self.text.insert(self.cursor, c);
            self.cursor += 1;
        }
    }

    fn delete_before(&mut self) {
        if self.cursor > 0 {
            self.cursor -= 1;
            self.text.remove(self.cursor);
        }
    }

    fn delete_word(&mut self) {
        let before = &self.text[..self.cursor];
        let end = before.iter().rposition(|c| *c != ' ').map_or(0, |at| at + 1);
        let start = before[..end].iter().rposition(|c| *c == ' ').map_or(0, |at| at + 1);
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }

    fn show(&mut self, history: &[String], back: usize) {
        if back > history.len() || back == self.back {
            return;
        }
        if self.back == 0 {
            self.typed.clone_from(&self.text);
        }
        self.back = back;
        self.text = match back {
            0 => self.typed.clone(),
            _ => history[history.len() - back].chars().collect(),
        };
        self.cursor = self.text.len();
    }

    /// Goes on with the word before the cursor as far as there is one way.
    fn complete(&mut self) -> Typed {
        let before: String = self.text[..self.cursor].iter().collect();
        let start = before.rfind(' ').map_or(0, |at| at + 1);
        let (words, word) = before.split_at(start);
        let words: Vec<&str> = words.split_whitespace().collect();
        let all = candidates(&words);
        let found: Vec<_> = all.into_iter().filter(|name| name.starts_with(word)).collect();
        let Some(first) = found.first() else { return Typed::Choices(Vec::new()) };
        let common = found.iter().fold(first.len(), |len, name| {
            first.bytes().zip(name.bytes()).take(len).take_while(|(a, b)| a == b).count()
        });
        let more = first[word.len()..common].to_owned();
        more.chars().for_each(|c| self.insert(c));
        if found.len() == 1 {
            self.insert(' ');
            return Typed::More;
        }
        Typed::Choices(found)
    }
}

/// What the word behind these may be: the commands of the screen, and those of the language.
fn candidates(words: &[&str]) -> Vec<&'static str> {
    let own = SCREEN_COMMANDS.iter().map(|(name, ..)| *name);
    let mut all: Vec<_> = match words {
        ["layout"] => layout::names().chain(["add", "remove"]).collect(),
        ["layout", "add" | "remove"] => Pane::all().map(Pane::name).collect(),
        [] | ["help"] => own.chain(continuations(words)).collect(),
        _ => continuations(words),
    };
    all.sort_unstable();
    all
}

/// Adds a line to the history, once.
pub(super) fn remember(history: &mut Vec<String>, line: &str) {
    if line.trim().is_empty() || history.last().is_some_and(|last| last == line) {
        return;
    }
    if history.len() == MAX_HISTORY {
        history.remove(0);
    }
    history.push(line.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(entry: &mut Entry, code: KeyCode, history: &[String]) -> Typed {
        entry.key(KeyEvent::new(code, KeyModifiers::NONE), history)
    }

    fn completed(text: &str) -> (String, Typed) {
        let mut entry = Entry::new(text);
        let typed = press(&mut entry, KeyCode::Tab, &[]);
        (entry.text(), typed)
    }

    #[test]
    fn tab_goes_on_as_far_as_there_is_one_way() {
        assert_eq!(completed("disas"), ("disassemble ".to_owned(), Typed::More));
        assert_eq!(completed("show reg"), ("show registers ".to_owned(), Typed::More));
        assert_eq!(completed("layout add pag"), ("layout add paging ".to_owned(), Typed::More));
        assert_eq!(completed("to sys"), ("to syscall ".to_owned(), Typed::More));
        let choices = Typed::Choices(vec!["last-change", "last-write"]);
        assert_eq!(
            completed("la"),
            ("la".to_owned(), Typed::Choices(vec!["last-change", "last-write", "layout"]))
        );
        assert_eq!(completed("las"), ("last-".to_owned(), choices));
        assert_eq!(completed("lunch").1, Typed::Choices(Vec::new()));
        assert_eq!(completed("é").1, Typed::Choices(Vec::new()));
    }

    #[test]
    fn arrows_show_the_history_and_what_was_typed() {
        let history = ["one".to_owned(), "two".to_owned()];
        let mut entry = Entry::new("thr");

        let mut seen = Vec::new();
        for code in [KeyCode::Up, KeyCode::Up, KeyCode::Up, KeyCode::Down, KeyCode::Down] {
            press(&mut entry, code, &history);
            seen.push(entry.text());
        }

        assert_eq!(seen, ["two", "one", "one", "two", "thr"]);
    }

    #[test]
    fn a_line_is_edited_at_its_cursor() {
        let mut entry = Entry::new("goto 12");
        for code in [KeyCode::Left, KeyCode::Backspace, KeyCode::Char('é'), KeyCode::End] {
            press(&mut entry, code, &[]);
        }
        assert_eq!((entry.text().as_str(), entry.cursor()), ("goto é2", 7));
        entry.key(KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL), &[]);
        assert_eq!(entry.text(), "goto ");
        assert_eq!(press(&mut entry, KeyCode::Enter, &[]), Typed::Done("goto ".to_owned()));
        assert_eq!(press(&mut entry, KeyCode::Esc, &[]), Typed::Left);
    }
}
