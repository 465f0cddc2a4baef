//! The local APIC's timer: a count that goes down to zero once, or again and again.
//!
//! Time: the count is worked out from guest time when looked at. Zeros that have passed are taken in by
//! [`Timer::settle`].

use serde::{Deserialize, Serialize};

use super::LAPIC_HZ;
use crate::GuestTime;

/// Initial count, current count and divide configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Timer {
    initial: u32,
    /// The divide configuration register: bits 3, 1 and 0.
    divide: u8,
    /// The current count at the clock `since`.
    count: u32,
    since: u64,
}

impl Timer {
    pub(super) fn initial(&self) -> u32 {
        self.initial
    }

    pub(super) fn divide(&self) -> u8 {
        self.divide
    }

    /// Clocks of one count (SDM, "Divide Configuration Register": 2 for 0000b, up to 128 for 1010b,
    /// 1 for 1011b).
    pub(super) fn divisor(&self) -> u64 {
        let value = self.divide & 3 | self.divide >> 1 & 4;
        1 << ((value + 1) & 7)
    }

    /// The current count. `periodic` is the mode in force.
    pub(super) fn current(&self, periodic: bool, now: GuestTime) -> u32 {
        let counted = self.counted(now);
        let left = u64::from(self.count).saturating_sub(counted);
        if left > 0 || !periodic || self.initial == 0 || self.count == 0 {
            return left as u32;
        }
        let beyond = (counted - u64::from(self.count)) % u64::from(self.initial);
        self.initial - beyond as u32
    }

    /// Takes in the zeros up to now; whether there were any.
    pub(super) fn settle(&mut self, periodic: bool, now: GuestTime) -> bool {
        let counted = self.counted(now);
        if self.count == 0 || counted < u64::from(self.count) {
            return false;
        }
        // The last zero up to now is where the count goes on from.
        let beyond = counted - u64::from(self.count);
        let last = if periodic && self.initial > 0 {
            beyond / u64::from(self.initial) * u64::from(self.initial)
        } else {
            0
        };
        let counts = u64::from(self.count) + last;
        self.since = self.since.saturating_add(counts.saturating_mul(self.divisor()));
        self.count = if periodic { self.initial } else { 0 };
        true
    }

    /// The first zero after now.
    pub(super) fn next_zero(&self, periodic: bool, now: GuestTime) -> Option<GuestTime> {
        if self.count == 0 {
            return None;
        }
        let first = u64::from(self.count);
        let counted = self.counted(now);
        let zero = if counted < first {
            first
        } else if periodic && self.initial > 0 {
            let period = u64::from(self.initial);
            first + ((counted - first) / period + 1) * period
        } else {
            return None;
        };
        let clock = self.since.saturating_add(zero.saturating_mul(self.divisor()));
        Some(GuestTime::at_clock(clock, LAPIC_HZ))
    }

    /// Writes the initial count, which starts the timer; zero stops it.
    pub(super) fn start(&mut self, initial: u32, now: GuestTime) {
        self.initial = initial;
        self.count = initial;
        self.since = now.clocks(LAPIC_HZ);
    }

    /// Writes the divide configuration; the current count goes on from where it is.
    pub(super) fn set_divide(&mut self, divide: u8, periodic: bool, now: GuestTime) {
        self.count = self.current(periodic, now);
        self.since = now.clocks(LAPIC_HZ);
        self.divide = divide & 0b1011;
    }

    /// Counts since `since`.
    fn counted(&self, now: GuestTime) -> u64 {
        now.clocks(LAPIC_HZ).saturating_sub(self.since) / self.divisor()
    }
}
