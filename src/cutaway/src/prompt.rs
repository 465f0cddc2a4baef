//! Lines typed at a prompt: on a terminal they can be edited, completed and fetched back, elsewhere
//! they are read as they come.

use std::io::{BufRead, IsTerminal, Write};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Editor, Helper};

use crate::exit::HOST_FAILED;
use crate::failure::Failure;

/// What a word may be, given the words before it.
type Continuations = fn(&[&str]) -> Vec<&'static str>;

/// Completes words.
struct Words(Continuations);

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let before = line.get(..at).unwrap_or_default();
        let start = before.rfind(' ').map_or(0, |at| at + 1);
        let (words, word) = before.split_at(start);
        let words: Vec<&str> = words.split_whitespace().collect();
        let fits = (self.0)(&words).into_iter().filter(|name| name.starts_with(word));
        Ok((start, fits.map(|name| format!("{name} ")).collect()))
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}

/// Where lines come from.
pub(crate) struct Prompt {
    text: &'static str,
    /// Nothing if standard input or output is no terminal.
    editor: Option<Editor<Words, MemHistory>>,
}

impl Prompt {
    /// A prompt with this text, which completes words by what they may be.
    pub(crate) fn new(text: &'static str, continuations: Continuations) -> Result<Self, Failure> {
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            return Ok(Self { text, editor: None });
        }
        let config = Config::builder().bracketed_paste(false).build();
        let mut editor =
            Editor::with_history(config, MemHistory::new()).map_err(|error| failure(&error))?;
        editor.set_helper(Some(Words(continuations)));
        Ok(Self { text, editor: Some(editor) })
    }

    /// The next line; nothing at the end. Ctrl-C gives an empty one.
    pub(crate) fn line(&mut self) -> Result<Option<String>, Failure> {
        let Some(editor) = &mut self.editor else {
            print!("{}", self.text);
            let _ = std::io::stdout().flush();
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            let read = read.map_err(|error| failure(&error))?;
            if read == 0 {
                println!();
            }
            return Ok((read > 0).then_some(line));
        };
        match editor.readline(self.text) {
            Ok(line) => {
                editor.add_history_entry(&line).map_err(|error| failure(&error))?;
                Ok(Some(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Some(String::new())),
            Err(ReadlineError::Eof) => {
                println!();
                Ok(None)
            }
            Err(error) => Err(failure(&error)),
        }
    }
}

fn failure(error: &dyn std::error::Error) -> Failure {
    let what = format!("cannot read what is typed: {error}");
    Failure::new(HOST_FAILED, what, "try again, or give commands through a pipe")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_before_the_cursor_is_completed() {
        let words = Words(|words| match words {
            [] => vec!["show", "step", "stop"],
            ["show"] => vec!["pic", "pit"],
            _ => Vec::new(),
        });
        let history = MemHistory::new();
        let completed = |line: &str, at| {
            words.complete(line, at, &Context::new(&history)).expect("it never fails")
        };

        assert_eq!(completed("sh", 2), (0, vec!["show ".to_owned()]));
        assert_eq!(completed("show pi", 7), (5, vec!["pic ".to_owned(), "pit ".to_owned()]));
        assert_eq!(completed("st x", 2), (0, vec!["step ".to_owned(), "stop ".to_owned()]));
        assert_eq!(completed("show pic é", 11), (9, Vec::new()));
        assert_eq!(completed("é", 1), (0, completed("", 0).1), "a cursor inside a character");
    }
}
