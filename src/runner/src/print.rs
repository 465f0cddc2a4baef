//! The report for people: a line for each case, more for one that failed, and a summary.

use crate::case::Case;
use crate::outcome::{Failure, Outcome, Report};
use crate::quantity::show_about;
use crate::{FileError, Summary};
use std::io::{Result, Write};
use std::time::Duration;

/// Characters of the line that says what is running.
const PROGRESS_WIDTH: usize = 78;

#[derive(Clone, Copy)]
enum Colour {
    Red,
    Green,
    Yellow,
}

/// Writes the report.
pub(crate) struct Printer<'a> {
    colour: bool,
    progress: bool,
    cases: usize,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

impl<'a> Printer<'a> {
    pub(crate) fn new(
        colour: bool,
        progress: bool,
        cases: usize,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
    ) -> Self {
        Self { colour, progress, cases, out, err }
    }

    fn coloured(&self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Red => 31,
            Colour::Green => 32,
            Colour::Yellow => 33,
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bad_file(&mut self, error: &FileError) -> Result<()> {
        let word = self.coloured(Colour::Red, "BAD ");
        writeln!(self.err, "{word}  {error}")
    }

    pub(crate) fn name(&mut self, case: &Case) -> Result<()> {
        writeln!(self.out, "{}", case.name())
    }

    /// What is going on, on the one line of a terminal.
    pub(crate) fn progress<'n>(
        &mut self,
        done: usize,
        running: impl Iterator<Item = &'n str>,
    ) -> Result<()> {
        if !self.progress {
            return Ok(());
        }
        let line = format!("{done}/{} {}", self.cases, running.collect::<Vec<_>>().join("  "));
        let line: String = line.chars().take(PROGRESS_WIDTH).collect();
        write!(self.err, "\r\x1b[K{line}")?;
        self.err.flush()
    }

    fn clear_progress(&mut self) -> Result<()> {
        if self.progress {
            write!(self.err, "\r\x1b[K")?;
            self.err.flush()?;
        }
        Ok(())
    }

    pub(crate) fn report(&mut self, case: &Case, report: &Report) -> Result<()> {
        self.clear_progress()?;
        let (colour, word) = match report.outcome {
            Outcome::Passed => (Colour::Green, "PASS"),
            Outcome::Failed(_) => (Colour::Red, "FAIL"),
            Outcome::Skipped(_) => (Colour::Yellow, "SKIPPED"),
        };
        let word = self.coloured(colour, word);
        match &report.outcome {
            Outcome::Passed => {
                writeln!(self.out, "{word}  {}  {}", case.name(), seconds(report.took))?
            }
            Outcome::Skipped(why) => writeln!(self.out, "{word}  {}: {why}", case.name())?,
            Outcome::Failed(failure) => {
                writeln!(self.out, "{word}  {}  {}", case.name(), seconds(report.took))?;
                for line in details(case, failure) {
                    writeln!(self.out, "      {line}")?;
                }
            }
        }
        self.out.flush()
    }

    pub(crate) fn summary(&mut self, summary: &Summary) -> Result<()> {
        self.clear_progress()?;
        let part = |count: usize, word: &str, colour: Colour| {
            let text = format!("{count} {word}");
            if count > 0 { self.coloured(colour, &text) } else { text }
        };
        let mut parts = vec![
            part(summary.passed, "passed", Colour::Green),
            part(summary.failed, "failed", Colour::Red),
            part(summary.skipped, "skipped", Colour::Yellow),
        ];
        if !summary.bad_files.is_empty() {
            parts.push(part(summary.bad_files.len(), "bad files", Colour::Red));
        }
        writeln!(self.out, "\n{} in {}", parts.join(", "), seconds(summary.took))?;
        self.out.flush()
    }
}

/// What there is to say of a failure, in lines.
pub(crate) fn details(case: &Case, failure: &Failure) -> Vec<String> {
    let place = match failure.line {
        Some(line) => format!("{}:{line}: ", case.path().display()),
        None => String::new(),
    };
    let mut lines = vec![format!("{place}{}", failure.what)];
    if failure.tick > 0 {
        let time = show_about(failure.guest_ns);
        lines.push(format!(
            "at instruction {}, tick {}, {time} of guest time",
            failure.instruction, failure.tick
        ));
    }
    for (what, output) in [("console", &failure.console), ("debug console", &failure.debug_console)]
    {
        if !output.is_empty() {
            lines.push(format!("the end of the {what}:"));
            lines.extend(output.iter().map(|line| format!("| {line}")));
        }
    }
    lines.extend(failure.notes.iter().cloned());
    if let Some(kept) = &failure.kept {
        lines.push(format!("look at it there: {}", kept.command));
    }
    lines
}

fn seconds(time: Duration) -> String {
    format!("{}.{:02} s", time.as_secs(), time.subsec_millis() / 10)
}
