//! Lines of text with a meaning to each piece, for whoever shows them: a terminal colours it, a
//! file leaves it out. Nothing is said by the style alone.

use std::fmt;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Text.
    #[default]
    Plain,
    /// Of less weight: addresses, units.
    Dim,
    /// A name or a heading.
    Name,
    /// Changed since the instant before; a `*` stands beside it.
    Changed,
    /// The next instruction, the chosen line; `=>` stands before it.
    Current,
    /// Something that is wrong, or cannot be.
    Bad,
}

/// A piece of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The text, without line ends.
    pub text: String,
    /// What it is.
    pub style: Style,
}

/// A line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Its pieces.
    pub spans: Vec<Span>,
}

impl Line {
    /// A line of plain text.
    #[must_use]
    pub fn of(text: impl Into<String>) -> Self {
        Self::default().and(Style::Plain, text)
    }

    /// The line with another piece behind it.
    #[must_use]
    pub fn and(mut self, style: Style, text: impl Into<String>) -> Self {
        self.spans.push(Span { text: text.into(), style });
        self
    }

    /// The line with a value behind it that is marked if it has changed.
    #[must_use]
    pub(crate) fn value(self, text: impl Into<String>, changed: bool) -> Self {
        let text = text.into();
        if changed {
            self.and(Style::Changed, text + "*")
        } else {
            self.and(Style::Plain, text + " ")
        }
    }

    /// Columns that it takes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.spans.iter().map(|span| span.text.chars().count()).sum()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.spans.iter().map(|span| span.text.as_str()).collect();
        f.write_str(text.trim_end())
    }
}

/// Lines as text, each with its line end.
#[must_use]
pub fn plain(lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The number with its digits in groups of three.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_value_is_marked_without_colour() {
        let line = Line::of("EAX ").value("0000_0001", true).value("2", false);

        assert_eq!(line.to_string(), "EAX 0000_0001*2");
        assert_eq!(line.width(), 16);
    }

    #[test]
    fn numbers_are_grouped_in_threes() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(1_234_567_890), "1,234,567,890");
    }
}
