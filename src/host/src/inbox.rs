//! What comes from outside, on its way from the host's threads to the thread that runs the
//! machine: bytes for the guest's console, commands and signals.
//!
//! Bytes wait until the guest's UART has room. What they enter at is the machine's affair.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::escape::Command;

/// Bytes that wait at most; the thread that reads a pipe waits when there are more.
const ROOM: usize = 64 * 1024;

/// Something for the program and not for the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A command key.
    Command(Command),
    /// The host asks the program to end, with this signal.
    Signal(i32),
}

/// A queue that threads fill and the run loop empties. Clones are the same queue.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    taken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    /// Notices, each with the count of bytes that go before it.
    notices: VecDeque<(u64, Notice)>,
    bytes_in: u64,
    bytes_out: u64,
    /// No more bytes come.
    closed: bool,
    /// Something arrived since the last wait.
    news: bool,
}

impl Inbox {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A thread that panicked while it held the lock has left whole state behind: each method
    /// changes it in one piece.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a byte for the guest; waits while the queue is full.
    pub fn push_byte_waiting(&self, byte: u8) {
        let state = self.state();
        let full = |state: &mut State| state.bytes.len() >= ROOM;
        let waited = self.shared.taken.wait_while(state, full);
        self.push_to(waited.unwrap_or_else(PoisonError::into_inner), byte);
    }

    /// Adds a byte for the guest, or drops it when the queue is full: a person at a keyboard
    /// is not made to wait, so that the command keys always work.
    pub fn push_byte(&self, byte: u8) {
        let state = self.state();
        if state.bytes.len() < ROOM {
            self.push_to(state, byte);
        }
    }

    fn push_to(&self, mut state: MutexGuard<'_, State>, byte: u8) {
        state.bytes.push_back(byte);
        state.bytes_in += 1;
        state.news = true;
        self.shared.arrived.notify_one();
    }

    /// Says that no more bytes come. Notices still may.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.news = true;
        self.shared.arrived.notify_one();
    }

    /// Whether all bytes that will ever come were taken.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let state = self.state();
        state.closed && state.bytes.is_empty() && state.notices.is_empty()
    }

    /// Adds a notice that is taken before the bytes that wait.
    pub fn push_notice(&self, notice: Notice) {
        let mut state = self.state();
        state.notices.push_front((0, notice));
        state.news = true;
        self.shared.arrived.notify_one();
    }

    /// Adds a notice that is taken after the bytes that wait.
    pub fn push_notice_in_order(&self, notice: Notice) {
        let mut state = self.state();
        let place = state.bytes_in;
        state.notices.push_back((place, notice));
        state.news = true;
        self.shared.arrived.notify_one();
    }

    /// Takes the next notice that is due.
    #[must_use]
    pub fn take_notice(&self) -> Option<Notice> {
        let mut state = self.state();
        let due = state.notices.front().is_some_and(|&(place, _)| place <= state.bytes_out);
        if due { state.notices.pop_front().map(|(_, notice)| notice) } else { None }
    }

    /// Takes at most `most` bytes for the guest.
    #[must_use]
    pub fn take_bytes(&self, most: usize) -> Vec<u8> {
        let mut state = self.state();
        let count = most.min(state.bytes.len());
        let bytes = state.bytes.drain(..count).collect();
        state.bytes_out += count as u64;
        self.shared.taken.notify_one();
        bytes
    }

    /// Sleeps for `time`, or until something arrives.
    pub fn wait(&self, time: Duration) {
        let state = self.state();
        let quiet = |state: &mut State| !state.news;
        let waited = self.shared.arrived.wait_timeout_while(state, time, quiet);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.news = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_and_no_more_than_asked_for() {
        let inbox = Inbox::new();
        b"abc".iter().for_each(|&byte| inbox.push_byte(byte));

        assert_eq!(inbox.take_bytes(2), b"ab");
        assert_eq!(inbox.take_bytes(2), b"c");
    }

    #[test]
    fn a_notice_in_order_waits_for_the_bytes_before_it() {
        let inbox = Inbox::new();
        let leave = Notice::Command(Command::Leave);
        inbox.push_byte(b'a');
        inbox.push_notice_in_order(leave);
        inbox.push_byte(b'b');

        assert_eq!(inbox.take_notice(), None);
        assert_eq!(inbox.take_bytes(1), b"a");
        assert_eq!(inbox.take_notice(), Some(leave));
    }

    #[test]
    fn a_notice_overtakes_bytes_that_nobody_takes() {
        let inbox = Inbox::new();
        inbox.push_byte(b'a');
        inbox.push_notice(Notice::Signal(15));

        assert_eq!(inbox.take_notice(), Some(Notice::Signal(15)));
    }

    #[test]
    fn a_full_queue_drops_keys_and_keeps_commands() {
        let inbox = Inbox::new();
        (0..=ROOM).for_each(|_| inbox.push_byte(b'a'));
        inbox.push_notice(Notice::Command(Command::Leave));

        assert_eq!(inbox.take_bytes(usize::MAX).len(), ROOM);
        assert_eq!(inbox.take_notice(), Some(Notice::Command(Command::Leave)));
    }

    #[test]
    fn a_closed_queue_is_closed_when_it_is_empty() {
        let inbox = Inbox::new();
        inbox.push_byte(b'a');
        inbox.close();
        assert!(!inbox.is_closed());

        let _ = inbox.take_bytes(1);
        assert!(inbox.is_closed());
    }

    /// The wait is long: only what arrives can end it in the time a test may take.
    #[test]
    fn what_arrives_ends_the_wait() {
        let inbox = Inbox::new();
        let writer = inbox.clone();
        let thread = std::thread::spawn(move || writer.push_byte(b'a'));

        inbox.wait(Duration::from_secs(3600));

        thread.join().unwrap();
        assert_eq!(inbox.take_bytes(1), b"a");
    }
}
