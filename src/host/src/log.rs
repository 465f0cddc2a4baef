//! The log of what the vCPU does (`-d`), and the last exceptions for the report of a crash.

use std::cell::RefCell;
use std::collections::VecDeque;
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
    (
        "mmu",
        TraceClasses::MMU.union(TraceClasses::MODE),
        "page walks, and changes of CR0, CR3, CR4 and EFER",
    ),
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
        self.events.borrow().iter().map(Event::to_string).collect()
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
            let mut line = event.to_string();
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
        Event::Interrupt { .. } | Event::World { .. } => TraceClasses::INT,
        Event::Port { .. } => TraceClasses::IO,
        Event::PageWalk { .. } => TraceClasses::MMU,
        Event::Mode { .. } => TraceClasses::MODE,
        Event::Access { .. } => TraceClasses::MEM,
        Event::Instruction { .. } => TraceClasses::EXEC,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_isa::Vector;

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
        assert_eq!(
            parse_classes("int,mmu"),
            Ok(TraceClasses::INT | TraceClasses::MMU | TraceClasses::MODE)
        );
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
}
