//! The transmitter: THR or its FIFO, and the shift register behind it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::GuestTime;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Transmitter {
    /// What waits: one character in THR, or up to 16 with FIFOs.
    waiting: VecDeque<u8>,
    shift_register: Option<Shifting>,
    /// THR became empty and IIR has not told yet.
    pub(super) announces_empty: bool,
}

/// A character on its way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Shifting {
    byte: u8,
    /// The end of its stop bit.
    until: GuestTime,
}

impl Transmitter {
    /// The character in the shift register and those behind it, the oldest first.
    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> {
        let shifting = self.shift_register.iter().map(|shifting| shifting.byte);
        shifting.chain(self.waiting.iter().copied())
    }

    /// THR is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// THR and the shift register are empty.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.shift_register.is_none()
    }

    /// When the character in the shift register has been sent.
    pub(super) fn sends_until(&self) -> Option<GuestTime> {
        self.shift_register.as_ref().map(|shifting| shifting.until)
    }

    /// A character is written to THR; if it can start at once, it ends at `end`. A full FIFO
    /// drops it, a full THR is written over.
    pub(super) fn push(&mut self, byte: u8, depth: usize, end: GuestTime) {
        if self.waiting.len() < depth {
            self.waiting.push_back(byte);
        } else if depth == 1 {
            self.waiting.clear();
            self.waiting.push_back(byte);
        }
        self.announces_empty = false;
        if self.shift_register.is_none() {
            self.start_character(end);
        }
    }

    /// The character in the shift register is out; the next one starts and will end at `end`.
    pub(super) fn finish_character(&mut self, end: GuestTime) -> Option<u8> {
        let sent = self.shift_register.take()?.byte;
        self.start_character(end);
        Some(sent)
    }

    /// Empties THR or the FIFO; what is in the shift register still goes out.
    pub(super) fn clear(&mut self) {
        if !self.waiting.is_empty() {
            self.waiting.clear();
            self.announces_empty = true;
        }
    }

    /// Takes everything out that was to be sent.
    pub(super) fn drain(&mut self) -> Vec<u8> {
        let shifting = self.shift_register.take().map(|shifting| shifting.byte);
        self.announces_empty |= !self.waiting.is_empty();
        shifting.into_iter().chain(self.waiting.drain(..)).collect()
    }

    fn start_character(&mut self, end: GuestTime) {
        let Some(byte) = self.waiting.pop_front() else { return };
        self.shift_register = Some(Shifting { byte, until: end });
        if self.waiting.is_empty() {
            self.announces_empty = true;
        }
    }
}
