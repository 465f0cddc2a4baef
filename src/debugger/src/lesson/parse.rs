//! Lesson files, read: front matter, text, blocks.

use super::{GuestKind, Head, Lesson, Part, Question, Task};
use crate::command;

/// Bytes of a lesson, at most.
const MAX_BYTES: usize = 1 << 20;

/// What is wrong with a lesson file.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct LessonError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub cause: String,
}

type Result<T> = std::result::Result<T, LessonError>;

fn wrong<T>(line: usize, cause: impl Into<String>) -> Result<T> {
    Err(LessonError { line, cause: cause.into() })
}

impl Lesson {
    /// How much is asked: questions and tasks.
    #[must_use]
    pub fn questions(&self) -> usize {
        let asked = |part: &&Part| matches!(part, Part::Question(_) | Part::Task(_));
        self.parts.iter().filter(asked).count()
    }

    /// A lesson out of the text of its file.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return wrong(1, "a lesson has at most 1 MiB");
        }
        let lines: Vec<&str> = text.lines().collect();
        if lines.first().map(|line| line.trim_end()) != Some("+++") {
            return wrong(1, "a lesson begins with +++, TOML, and +++");
        }
        let end = lines.iter().skip(1).position(|line| line.trim_end() == "+++");
        let Some(end) = end.map(|at| at + 1) else { return wrong(1, "the second +++ is missing") };
        let head: Head = toml_of(&lines[1..end], 2)?;
        let kinds = || head.guests.iter().map(|guest| guest.guest).chain([head.guest]);
        if kinds().any(|kind| kind == GuestKind::Code) == head.code.is_empty() {
            return wrong(2, "guest = \"code\" and the code itself go together");
        }
        if (head.guest == GuestKind::Several) == head.guests.is_empty() {
            return wrong(2, "guest = \"several\" and the guests themselves go together");
        }
        if head.guests.iter().any(|guest| guest.guest == GuestKind::Several) {
            return wrong(2, "one of several guests is none of its own");
        }
        let parts = parts(&lines[end + 1..], end + 2)?;
        let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
        Ok(Self { head, parts, digest })
    }
}

/// TOML that begins at a line of the file.
fn toml_of<T: serde::de::DeserializeOwned>(lines: &[&str], first: usize) -> Result<T> {
    let text = lines.join("\n");
    toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| text[..span.start.min(text.len())].lines().count());
        LessonError { line: first + at.saturating_sub(1), cause: error.message().to_owned() }
    })
}

fn parts(lines: &[&str], first: usize) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut text = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let Some(kind) = line.strip_prefix("```") else {
            text.push(line);
            at += 1;
            continue;
        };
        let begin = at + 1;
        let end = lines[begin..].iter().position(|line| line.trim_end() == "```");
        let Some(len) = end else { return wrong(first + at, "the block has no end") };
        let inside = &lines[begin..begin + len];
        at = begin + len + 1;
        let line_of_block = first + begin;
        let part = match kind.trim() {
            "do" => Part::Do(commands(inside, line_of_block)?),
            "question" => Part::Question(question(inside, line_of_block)?),
            "task" => Part::Task(toml_of::<Task>(inside, line_of_block)?),
            _ => {
                // Code to be read.
                text.extend(&lines[begin - 1..at]);
                continue;
            }
        };
        flush(&mut text, &mut parts);
        parts.push(part);
    }
    flush(&mut text, &mut parts);
    Ok(parts)
}

fn flush(text: &mut Vec<&str>, parts: &mut Vec<Part>) {
    let all = text.join("\n");
    text.clear();
    if !all.trim().is_empty() {
        parts.push(Part::Text(all.trim_matches('\n').to_owned()));
    }
}

fn commands(lines: &[&str], first: usize) -> Result<Vec<String>> {
    let mut commands = Vec::new();
    for (n, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        if let Err(cause) = command::check(line) {
            return wrong(first + n, cause);
        }
        commands.push(line.trim().to_owned());
    }
    Ok(commands)
}

fn question(lines: &[&str], first: usize) -> Result<Question> {
    let question: Question = toml_of(lines, first)?;
    match (&question.answer, question.choices.len()) {
        (Some(_), 0) => {}
        (None, 2..=8) if question.after.is_empty() => {}
        (None, 0) => return wrong(first, "a question has an answer or choices"),
        (None, _) => return wrong(first, "there are 2 to 8 choices, and nothing comes after them"),
        (Some(_), _) => return wrong(first, "a question has an answer or choices, not both"),
    }
    for line in &question.after {
        command::check(line).or_else(|cause| wrong(first, cause))?;
    }
    Ok(question)
}
