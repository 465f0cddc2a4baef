//! What a machine shows of itself while it runs: what it prints, and what happens in it.
//!
//! Both are kept by time, so that at an earlier instant they are as they were then. Repeating the
//! past adds nothing.

use cutaway_cpu::{Event, TraceClasses};
use cutaway_machine::{CharSink, EventSink, GuestTime, Machine};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// What is kept of the console and of the log; the oldest goes first.
const MAX_CHARACTERS: usize = 1 << 20;
const MAX_EVENTS: usize = 1 << 16;

/// What is written down.
const CLASSES: TraceClasses = TraceClasses::INT.union(TraceClasses::IO).union(TraceClasses::MODE);

type Filter = Rc<dyn Fn(&Event) -> bool>;

/// What has been seen.
#[derive(Default)]
struct Seen {
    characters: VecDeque<(u64, u8)>,
    events: VecDeque<Event>,
    /// An event that is looked for, and the first and last tick at which there was one.
    wanted: Option<Filter>,
    first: Option<Event>,
    last: Option<Event>,
}

/// Looks on while a machine runs.
#[derive(Clone)]
pub(super) struct Witness {
    seen: Rc<RefCell<Seen>>,
    past: Rc<Cell<bool>>,
}

impl Witness {
    /// A witness of nothing yet; `past` says whether what happens has happened before.
    pub(super) fn new(past: Rc<Cell<bool>>) -> Self {
        Self { seen: Rc::default(), past }
    }

    /// Looks on from now on.
    pub(super) fn attach(&self, machine: &mut Machine) {
        machine.attach_serial(0, Box::new(self.clone()));
        machine.set_trace(CLASSES, Some(Box::new(self.clone())));
    }

    /// The console as it is at a time, in nanoseconds.
    pub(super) fn console(&self, ns: u64) -> String {
        let seen = self.seen.borrow();
        let bytes: Vec<u8> =
            seen.characters.iter().take_while(|(at, _)| *at <= ns).map(|(_, byte)| *byte).collect();
        printable(&bytes)
    }

    /// The last events before a tick, as lines.
    pub(super) fn log(&self, tick: u64, count: usize) -> Vec<String> {
        let seen = self.seen.borrow();
        let end = seen.events.partition_point(|event| event.at() < tick);
        seen.events.range(end.saturating_sub(count)..end).map(Event::to_string).collect()
    }

    /// Whether an exception or interrupt was delivered from a tick on and before another one.
    pub(super) fn delivers_between(&self, from: u64, to: u64) -> bool {
        let seen = self.seen.borrow();
        let first = seen.events.partition_point(|event| event.at() < from);
        let mut here = seen.events.range(first..).take_while(|event| event.at() < to);
        here.any(|event| matches!(event, Event::Interrupt { .. }))
    }

    /// Forgets what was after this instant: something else will be.
    pub(super) fn forget_after(&self, tick: u64, ns: u64) {
        let mut seen = self.seen.borrow_mut();
        let events = seen.events.partition_point(|event| event.at() < tick);
        seen.events.truncate(events);
        let characters = seen.characters.partition_point(|(at, _)| *at <= ns);
        seen.characters.truncate(characters);
    }

    /// Looks out for an event from now on, or no longer.
    pub(super) fn look_for(&self, wanted: Option<Filter>) {
        let mut seen = self.seen.borrow_mut();
        (seen.wanted, seen.first, seen.last) = (wanted, None, None);
    }

    /// The first and the last event that was looked for.
    pub(super) fn found(&self) -> (Option<Event>, Option<Event>) {
        let seen = self.seen.borrow();
        (seen.first.clone(), seen.last.clone())
    }
}

impl CharSink for Witness {
    fn put(&mut self, byte: u8) {
        let last = self.seen.borrow().characters.back().map_or(0, |(at, _)| *at);
        self.put_at(byte, GuestTime::from_ns(last));
    }

    fn put_at(&mut self, byte: u8, now: GuestTime) {
        if self.past.get() {
            return;
        }
        let mut seen = self.seen.borrow_mut();
        if seen.characters.len() == MAX_CHARACTERS {
            seen.characters.pop_front();
        }
        seen.characters.push_back((now.as_ns(), byte));
    }
}

impl EventSink for Witness {
    fn event(&mut self, event: &Event) {
        let mut seen = self.seen.borrow_mut();
        if seen.wanted.as_ref().is_some_and(|wanted| wanted(event)) {
            seen.last = Some(event.clone());
            if seen.first.is_none() {
                seen.first = Some(event.clone());
            }
        }
        let at = event.at();
        let newest = seen.events.back().map(Event::at);
        let is_new = match newest {
            Some(newest) if at == newest => {
                !seen.events.iter().rev().take_while(|known| known.at() == at).any(|k| k == event)
            }
            Some(newest) => at > newest,
            None => true,
        };
        if is_new {
            if seen.events.len() == MAX_EVENTS {
                seen.events.pop_front();
            }
            seen.events.push_back(event.clone());
        }
    }
}

/// Text without what would disturb a terminal: escape sequences and control characters.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => clean.push(c),
            '\u{8}' => {
                clean.pop();
            }
            // CSI: parameters up to a letter; any other sequence is one character.
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {}
            }
            '\u{1b}' => {
                chars.next();
            }
            c if c.is_control() => {}
            c => clean.push(c),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(at: u64, value: u32) -> Event {
        let width = cutaway_isa::Width::Byte;
        Event::Port { at, write: true, port: 0x80, width, value }
    }

    #[test]
    fn the_console_is_as_it_was_at_a_time() {
        let past = Rc::new(Cell::new(false));
        let mut witness = Witness::new(past.clone());
        for (byte, ns) in [(b'a', 10), (b'\n', 20), (b'b', 30)] {
            witness.put_at(byte, GuestTime::from_ns(ns));
        }
        past.set(true);
        witness.put_at(b'a', GuestTime::from_ns(10));

        assert_eq!(witness.console(5), "");
        assert_eq!(witness.console(20), "a\n");
        assert_eq!(witness.console(99), "a\nb");
    }

    #[test]
    fn the_log_does_not_grow_while_the_past_is_repeated() {
        let mut witness = Witness::new(Rc::default());
        let events = [port(1, 1), port(1, 2), port(5, 3)];
        events.iter().chain(&events).for_each(|event| witness.event(event));

        assert_eq!(witness.log(6, 10).len(), 3);
        assert_eq!(witness.log(5, 10).len(), 2);
        assert_eq!(witness.log(5, 1), [port(1, 2).to_string()]);
        witness.forget_after(5, 0);
        assert_eq!(witness.log(99, 10).len(), 2);
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable(b"\x1b[1;31mred\x1b[0m\x07 x\x08y\r\n"), "red y\n");
    }
}
