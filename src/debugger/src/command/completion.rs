//! How a line of the command language may go on.

use super::COMMANDS;
use crate::explorer::What;
use crate::pane::Pane;

/// What the word behind these may be, sorted.
#[must_use]
pub fn continuations(words: &[&str]) -> Vec<&'static str> {
    let commands = COMMANDS.iter().map(|command| command.name);
    let mut all: Vec<_> = match words {
        [] => commands.collect(),
        ["show" | "info" | "i", ..] => Pane::all().map(Pane::name).collect(),
        ["to" | "back-to"] => What::ALL.iter().map(|(name, ..)| *name).collect(),
        ["help"] => commands.chain(["panes", "expressions"]).collect(),
        ["host"] => super::host::WORDS.iter().map(|(word, ..)| *word).collect(),
        ["stop"] => vec!["port", "exception"],
        _ => Vec::new(),
    };
    all.sort_unstable();
    all
}
