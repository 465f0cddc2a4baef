//! The log of what the vCPU does (`-d`), and the last exceptions for the report of a crash.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Write;
use std::rc::Rc;

use cutaway_cpu::{Event, TraceClasses};
use cutaway_machine::EventSink;

use crate::output::Output;
use crate::terminal::for_terminal;

/// Exceptions that are remembered.
const REMEMBERED: usize = 8;

/// The names of the log classes, with what each shows.
pub const CLASSES: &[(&str, TraceClasses, &str)] = &[
    ("int", TraceClasses::INT, "exceptions and interrupts"),
    ("io", TraceClasses::IO, "port reads and writes"),
    ("mmu", TraceClasses::MMU, "page walks, and changes of CR0, CR3, CR4 and EFER"),
    ("mem", TraceClasses::MEM, "reads and writes of memory"),
    ("exec", TraceClasses::EXEC, "every instruction"),
];

/// Classes from a list such as `int,io`; an unknown name is the error.
pub fn parse_classes(list: &str) -> Result<TraceClasses, String> {
    let mut classes = TraceClasses::empty();
    for name in list.split(',') {
        match CLASSES.iter().find(|(of, _, _)| *of == name) {
            Some((_, class, _)) => classes |= *class,
            None => return Err(name.to_owned()),
        }
    }
    Ok(classes)
}

/// The last exceptions, oldest first. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct RecentExceptions {
    events: Rc<RefCell<VecDeque<Event>>>,
}

impl RecentExceptions {
    fn note(&self, event: &Event) {
        if !matches!(event, Event::Interrupt { source: "exception", .. }) {
            return;
        }
        let mut events = self.events.borrow_mut();
        if events.len() == REMEMBERED {
            events.pop_front();
        }
        events.push_back(event.clone());
    }

    /// One line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.events.borrow().iter().map(line_of).collect()
    }
}

/// Takes the machine's events: remembers exceptions, and writes what was asked for.
#[derive(Debug)]
pub struct Log {
    /// What is written; INT is always traced, for [`RecentExceptions`].
    pub classes: TraceClasses,
    /// Where it is written.
    pub output: Option<Output>,
    /// The exceptions remembered.
    pub recent: RecentExceptions,
}

impl EventSink for Log {
    fn event(&mut self, event: &Event) {
        self.recent.note(event);
        let Some(output) = &self.output else { return };
        if self.classes.contains(class_of(event)) {
            let mut line = line_of(event);
            line.push('\n');
            output.write(for_terminal_if_shown(output, &line).as_bytes());
        }
    }
}

/// Standard error may be the raw terminal; a file never is.
fn for_terminal_if_shown(output: &Output, line: &str) -> String {
    if output.is_standard() { for_terminal(line) } else { line.to_owned() }
}

fn class_of(event: &Event) -> TraceClasses {
    match event {
        Event::Interrupt { .. } => TraceClasses::INT,
        Event::Port { .. } => TraceClasses::IO,
        Event::PageWalk { .. } | Event::Mode { .. } => TraceClasses::MMU,
        Event::Access { .. } => TraceClasses::MEM,
        Event::Instruction { .. } => TraceClasses::EXEC,
    }
}

/// `<tick> <class> <what happened>`.
#[must_use]
pub fn line_of(event: &Event) -> String {
    match event {
        Event::Interrupt { at, vector, error_code, source, cs, rip, cr2 } => {
            let name = match vector.mnemonic() {
                Some(name) if *source != "external" => format!(" {name}"),
                _ => String::new(),
            };
            let mut line = format!(
                "{at:>12} int   {source}{name} vector {:#04x} at {cs:04x}:{rip:016x}",
                vector.0
            );
            // Writing to a String cannot fail.
            if let Some(code) = error_code {
                let _ = write!(line, " error code {code:#06x}");
            }
            if let Some(cr2) = cr2 {
                let _ = write!(line, " CR2 {cr2:016x}");
            }
            line
        }
        Event::Port { at, write, port, width, value } => {
            let digits = 2 * width.bytes() as usize;
            let (direction, arrow) = if *write { ("out", "<-") } else { ("in ", "->") };
            format!("{at:>12} io    {direction} {port:04x} {arrow} {value:0digits$x}")
        }
        Event::PageWalk { at, linear, physical, write, fetch } => {
            let access = match (write, fetch) {
                (true, _) => "write",
                (_, true) => "fetch",
                _ => "read",
            };
            format!("{at:>12} mmu   {linear:016x} -> {physical:010x} ({access})")
        }
        Event::Mode { at, cr0, cr3, cr4, efer } => {
            format!("{at:>12} mmu   CR0 {cr0:08x} CR3 {cr3:016x} CR4 {cr4:08x} EFER {efer:04x}")
        }
        Event::Access { at, write, linear, size, value } => {
            let digits = 2 * *size as usize;
            let (direction, arrow) = if *write { ("write", "<-") } else { ("read ", "->") };
            format!("{at:>12} mem   {direction} {linear:016x} {arrow} {value:0digits$x}")
        }
        Event::Instruction { at, cs, rip, text } => {
            format!("{at:>12} exec  {cs:04x}:{rip:016x} {text}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_isa::{Vector, Width};

    fn exception(at: u64) -> Event {
        Event::Interrupt {
            at,
            vector: Vector::PF,
            error_code: Some(2),
            source: "exception",
            cs: 8,
            rip: 0x1234,
            cr2: Some(0x5678),
        }
    }

    #[test]
    fn classes_are_read_from_a_list() {
        assert_eq!(parse_classes("int,mmu"), Ok(TraceClasses::INT | TraceClasses::MMU));
        assert_eq!(parse_classes("int,foo"), Err("foo".to_owned()));
        assert_eq!(parse_classes(""), Err(String::new()));
    }

    #[test]
    fn the_last_exceptions_are_remembered() {
        let recent = RecentExceptions::default();
        let mut log = Log { classes: TraceClasses::empty(), output: None, recent: recent.clone() };

        (0..20).for_each(|at| log.event(&exception(at)));

        let lines = recent.lines();
        assert_eq!(lines.len(), REMEMBERED);
        assert!(lines[7].trim_start().starts_with("19 "), "{}", lines[7]);
    }

    #[test]
    fn a_line_tells_what_happened() {
        let port = Event::Port { at: 7, write: true, port: 0x3f8, width: Width::Byte, value: 0x41 };
        assert_eq!(line_of(&port), "           7 io    out 03f8 <- 41");
        assert_eq!(
            line_of(&exception(9)),
            "           9 int   exception #PF vector 0x0e at 0008:0000000000001234 \
             error code 0x0002 CR2 0000000000005678"
        );
    }
}
