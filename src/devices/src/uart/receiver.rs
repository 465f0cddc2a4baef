//! The receiver: RBR or its FIFO, the errors, and the timeout that announces what waits there.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::LSR_OVERRUN;
use crate::GuestTime;

/// Characters in the FIFO at which it is announced: FCR bits 7:6.
const TRIGGER_LEVELS: [usize; 4] = [1, 4, 8, 14];

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Receiver {
    /// One character in RBR, or up to 16 with FIFOs.
    waiting: VecDeque<Received>,
    /// LSR bits 4:1: the errors of the characters that came to the top, and overrun.
    errors: u8,
    /// FCR bits 7:6.
    trigger: u8,
    timeout: Timeout,
}

/// A character with its LSR bits 4:2, which show when it comes to the top.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Received {
    byte: u8,
    errors: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Timeout {
    #[default]
    Off,
    At(GuestTime),
    Passed,
}

impl Receiver {
    /// The characters that wait, the oldest first.
    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> {
        self.waiting.iter().map(|received| received.byte)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// A character arrives. Without room it is an overrun: a FIFO stays as it is, RBR is written
    /// over.
    pub(super) fn push(&mut self, byte: u8, errors: u8, depth: usize) {
        if self.waiting.len() >= depth {
            self.errors |= LSR_OVERRUN;
            if depth > 1 {
                return;
            }
            self.waiting.clear();
        }
        self.waiting.push_back(Received { byte, errors });
        self.show_errors_of_top();
    }

    /// The character at the top; 0 if there is none.
    pub(super) fn pop(&mut self) -> u8 {
        self.timeout = Timeout::Off;
        let byte = self.waiting.pop_front().map_or(0, |top| top.byte);
        self.show_errors_of_top();
        byte
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.timeout = Timeout::Off;
    }

    /// The errors that LSR shows, which reading takes back.
    pub(super) fn take_errors(&mut self) -> u8 {
        std::mem::take(&mut self.errors)
    }

    pub(super) fn has_error(&self) -> bool {
        self.errors != 0
    }

    /// An error will show when its character comes to the top.
    pub(super) fn has_error_below_top(&self) -> bool {
        self.waiting.iter().any(|received| received.errors != 0)
    }

    /// Sets the trigger level, FCR bits 7:6.
    pub(super) fn set_trigger(&mut self, trigger: u8) {
        self.trigger = trigger & 3;
    }

    /// So many characters wait that it is announced.
    pub(super) fn reached_trigger(&self, fifos: bool) -> bool {
        let level = if fifos { TRIGGER_LEVELS[usize::from(self.trigger & 3)] } else { 1 };
        self.waiting.len() >= level
    }

    pub(super) fn has_timed_out(&self) -> bool {
        self.timeout == Timeout::Passed
    }

    /// When the timeout will pass.
    pub(super) fn timeout_at(&self) -> Option<GuestTime> {
        match self.timeout {
            Timeout::At(at) => Some(at),
            Timeout::Off | Timeout::Passed => None,
        }
    }

    /// There was traffic: the timeout starts anew, if something waits. One that has passed stays
    /// until a character is read.
    pub(super) fn restart_timeout(&mut self, at: Option<GuestTime>) {
        if self.timeout != Timeout::Passed {
            self.timeout = match at.filter(|_| !self.waiting.is_empty()) {
                Some(at) => Timeout::At(at),
                None => Timeout::Off,
            };
        }
    }

    pub(super) fn advance(&mut self, now: GuestTime) {
        if self.timeout_at().is_some_and(|at| at <= now) {
            self.timeout = Timeout::Passed;
        }
    }

    fn show_errors_of_top(&mut self) {
        if let Some(top) = self.waiting.front_mut() {
            self.errors |= std::mem::take(&mut top.errors);
        }
    }
}
