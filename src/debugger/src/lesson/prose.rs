//! A lesson's text as lines that any terminal bears.

use crate::text::{Line, Style};

/// Columns that a line may have: those of the smallest terminal.
const WIDTH: usize = 80;

/// Markdown as lines: paragraphs and items of lists filled anew; code and tables as they are.
pub(super) fn lines(markdown: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut paragraph = String::new();
    let mut in_code = false;
    for line in markdown.lines() {
        let fences = line.starts_with("```");
        in_code ^= fences;
        let is_verbatim = fences || in_code || line.starts_with("    ") || line.starts_with('|');
        let heading = line.trim_start_matches('#');
        let begins = line.starts_with("- ") || line.is_empty() || heading.len() < line.len();
        if is_verbatim || begins {
            lines.extend(filled(&std::mem::take(&mut paragraph), Style::Plain));
        }
        if is_verbatim || line.is_empty() {
            lines.push(Line::of(line));
        } else if heading.len() < line.len() {
            lines.push(Line::default().and(Style::Name, heading.trim()));
        } else {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line.trim_end());
        }
    }
    lines.extend(filled(&paragraph, Style::Plain));
    lines
}

/// Words in lines that are as full as they may be; those below an item of a list stand under its
/// text.
pub(super) fn filled(text: &str, style: Style) -> Vec<Line> {
    let indent = if text.starts_with("- ") { "  " } else { "" };
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let is_first = line.is_empty() || line == indent;
        if !is_first && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(Line::default().and(style, std::mem::replace(&mut line, indent.to_owned())));
        } else if !is_first {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.trim().is_empty() {
        lines.push(Line::default().and(style, line));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::plain;

    #[test]
    fn paragraphs_are_filled_and_code_is_not() {
        let long = "word ".repeat(30);
        let text =
            format!("# Title\n\nshort\nlines\n\n- {long}\n- two\n\n    code  here\n| a | b |");

        let shown = plain(&lines(&text));

        assert!(shown.starts_with("Title\n\nshort lines\n\n- word word"), "{shown}");
        assert!(shown.contains("word\n  word"), "an item goes on below its text: {shown}");
        assert!(shown.ends_with("- two\n\n    code  here\n| a | b |\n"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
    }

    #[test]
    fn a_word_longer_than_a_line_stands_alone() {
        let word = "x".repeat(2 * WIDTH);
        assert_eq!(plain(&filled(&format!("a {word} b"), Style::Plain)), format!("a\n{word}\nb\n"));
    }
}
