//! An explanation as lines of text, at most 78 columns wide.

use super::operands::{Operand, Place};
use super::{Ended, Explanation};

/// Columns that a line may take.
const COLUMNS: usize = 78;

impl Explanation {
    /// Everything, section by section.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let bytes: Vec<String> = self.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut lines = vec![format!("{:#x}  {}", self.linear, self.text)];
        wrap(&mut lines, "  ", &format!("It {}.", self.sentence));
        for note in &self.notes {
            wrap(&mut lines, "  ", &format!("Note: {note}."));
        }
        heading(&mut lines, "Bytes");
        if self.anatomy.is_empty() {
            wrap(&mut lines, "  ", &bytes.join(" "));
        }
        for part in &self.anatomy {
            let bytes: Vec<String> = part.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let text = format!("{:<12} {:<12} {}", bytes.join(" "), part.kind.name(), part.meaning);
            wrap(&mut lines, "  ", &text);
        }
        if !self.operands.is_empty() {
            heading(&mut lines, "Operands");
            for operand in &self.operands {
                wrap(&mut lines, "  ", &operand.text());
            }
        }
        if !self.steps.is_empty() {
            heading(&mut lines, "Steps");
            for step in &self.steps {
                wrap(&mut lines, "  ", step);
            }
        }
        if let Some(flags) = &self.flags {
            heading(&mut lines, "Flags");
            for line in flags.lines().iter().chain(&self.flags_after) {
                wrap(&mut lines, "  ", line);
            }
        }
        self.outcome(&mut lines);
        lines
    }

    /// What comes of it.
    fn outcome(&self, lines: &mut Vec<String>) {
        heading(lines, "Outcome");
        match (&self.exception, &self.dry_run.ended) {
            (Some(predicted), _) => {
                wrap(lines, "  ", &format!("{}: {}", predicted.name, predicted.why));
            }
            (None, Ended::Unimplemented(what)) => {
                wrap(lines, "  ", &format!("not implemented: {what}"));
            }
            (None, Ended::Shutdown) => wrap(lines, "  ", "the CPU shuts down (triple fault)"),
            _ => wrap(lines, "  ", "no exception"),
        }
        if let Some(way) = &self.delivery {
            heading(lines, "Delivery");
            for line in way.lines() {
                wrap(lines, "  ", &line);
            }
        }
        if !self.dry_run.touched.is_empty() || !self.dry_run.ports.is_empty() {
            heading(lines, "Accesses");
        }
        for touched in &self.dry_run.touched {
            let what = if touched.write { "writes" } else { "reads" };
            let (size, linear, value) = (touched.size, touched.linear, touched.value);
            let digits = size as usize * 2 + 2;
            let text = format!("{what} {size} bytes at linear {linear:#x}: {value:#0digits$x}");
            wrap(lines, "  ", &text.replace(" 1 bytes", " 1 byte"));
        }
        for (port, width, value) in &self.dry_run.ports {
            let what = match value {
                Some(value) => format!("writes {value:#x} to port {port:#x}"),
                None => format!("reads port {port:#x}; what it answers is not asked"),
            };
            wrap(lines, "  ", &format!("{what} ({} bits)", width.bits()));
        }
    }
}

impl Operand {
    /// The operand with its place and value.
    #[must_use]
    pub fn text(&self) -> String {
        let used = match (self.access.reads, self.access.writes) {
            (true, true) => "read and written",
            (true, false) => "read",
            (false, true) => "written",
            (false, false) => "not accessed",
        };
        let perhaps = if self.access.conditional { ", perhaps" } else { "" };
        let name = if self.text.is_empty() { "memory" } else { &self.text };
        match &self.place {
            Place::Register(value) => format!("{name} = {value}  ({used}{perhaps})"),
            Place::Immediate(value) if format!("{value:#x}") == *name => {
                format!("{name}  (constant)")
            }
            Place::Immediate(value) => format!("{name} = {value:#x}  (constant)"),
            Place::Target(target) => format!("{target}  (where it goes on)"),
            Place::Memory(place) => {
                let size = super::address::bytes_text(place.size);
                format!("{name} = {}  ({size}, {used}{perhaps})", place.text())
            }
        }
    }
}

fn heading(lines: &mut Vec<String>, text: &str) {
    lines.push(text.to_owned());
}

/// Adds text in lines that fit, each behind the indent; continuation lines go in deeper.
pub(crate) fn wrap(lines: &mut Vec<String>, indent: &str, text: &str) {
    let mut line = indent.to_owned();
    let mut is_empty = true;
    let mut rest = text;
    while !rest.is_empty() {
        let gap = rest.len() - rest.trim_start_matches(' ').len();
        let word = rest[gap..].split(' ').next().unwrap_or_default();
        if !is_empty && line.len() + gap + word.len() > COLUMNS {
            lines.push(std::mem::replace(&mut line, format!("{indent}    ")));
            line.push_str(word);
        } else {
            line.push_str(&rest[..gap + word.len()]);
        }
        is_empty = false;
        rest = &rest[gap + word.len()..];
    }
    lines.push(line);
}
