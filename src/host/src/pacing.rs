//! Pacing: guest time held back to the wall clock.
//!
//! A guest that waits skips its HLT at once, so an idle guest would live through hours in a
//! second and use a whole core for it. The pacer compares guest time with the wall clock after
//! each slice of the run and says how long to sleep. The guest cannot observe it: guest time
//! comes from instructions alone, and the pacer only decides when the next ones run.
//!
//! A guest that is slower than the wall clock is not made to catch up: what it is late by, above
//! [`LATE_LIMIT`], is forgotten, so that a busy minute is not followed by a minute of haste.

use std::time::Duration;

/// How much lateness is made up for.
const LATE_LIMIT: Duration = Duration::from_millis(100);
/// Wall time a slice should take: short enough that keys and signals are noticed, and long
/// enough that looking for them costs nothing.
const SLICE_WALL: Duration = Duration::from_millis(8);
/// Guest time a slice may cover, which bounds how late a key reaches an idle guest.
const SLICE_GUEST: Duration = Duration::from_millis(10);
/// The fewest ticks of a slice.
const SLICE_MIN_TICKS: u64 = 10_000;

/// Compares guest time with the wall clock.
#[derive(Clone, Debug)]
pub struct Pacer {
    /// Guest time and wall time that are taken to be the same instant.
    anchor_guest: Duration,
    anchor_wall: Duration,
}

impl Pacer {
    /// A pacer that takes the two times to be the same instant.
    #[must_use]
    pub const fn new(guest: Duration, wall: Duration) -> Self {
        Self { anchor_guest: guest, anchor_wall: wall }
    }

    /// How long to sleep before the guest goes on: what it is ahead of the wall clock.
    pub fn pause(&mut self, guest: Duration, wall: Duration) -> Duration {
        let guest_passed = guest.saturating_sub(self.anchor_guest);
        let wall_passed = wall.saturating_sub(self.anchor_wall);
        let late = wall_passed.saturating_sub(guest_passed);
        if late > LATE_LIMIT {
            self.anchor_wall += late - LATE_LIMIT;
        }
        guest_passed.saturating_sub(wall_passed)
    }
}

/// How many ticks to run before the host looks at its keys, signals and clock again.
///
/// It follows the speed of the host, and the guest cannot observe it: a slice ends between two
/// instructions and changes nothing.
#[derive(Clone, Debug)]
pub struct SliceLength {
    ticks: u64,
    limit: u64,
}

impl SliceLength {
    /// For a guest with `ips` ticks in a second of guest time.
    #[must_use]
    pub fn new(ips: u64) -> Self {
        let per_slice = u128::from(ips) * SLICE_GUEST.as_nanos() / 1_000_000_000;
        let limit = u64::try_from(per_slice).unwrap_or(u64::MAX).max(SLICE_MIN_TICKS);
        Self { ticks: limit.min(1_000_000), limit }
    }

    /// Ticks of the next slice.
    #[must_use]
    pub const fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Learns from the wall time that the slice took.
    pub fn took(&mut self, wall: Duration) {
        if wall > SLICE_WALL {
            self.ticks = (self.ticks / 2).max(SLICE_MIN_TICKS);
        } else if wall < SLICE_WALL / 4 {
            self.ticks = self.ticks.saturating_mul(2).min(self.limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_guest_ahead_of_the_wall_clock_waits_for_it() {
        let mut pacer = Pacer::new(ms(1000), ms(0));
        assert_eq!(pacer.pause(ms(1010), ms(1)), ms(9));
        assert_eq!(pacer.pause(ms(1020), ms(20)), ms(0));
    }

    #[test]
    fn a_little_lateness_is_made_up_for() {
        let mut pacer = Pacer::new(ms(0), ms(0));
        assert_eq!(pacer.pause(ms(10), ms(60)), ms(0));
        assert_eq!(pacer.pause(ms(80), ms(70)), ms(10));
    }

    #[test]
    fn great_lateness_is_forgotten() {
        let mut pacer = Pacer::new(ms(0), ms(0));
        assert_eq!(pacer.pause(ms(1000), ms(60_000)), ms(0));
        assert_eq!(pacer.pause(ms(1100), ms(60_000)), ms(0), "the limit is made up for");
        assert_eq!(pacer.pause(ms(1110), ms(60_000)), ms(10));
    }

    #[test]
    fn a_slice_shrinks_on_a_slow_host_and_grows_back() {
        let mut slice = SliceLength::new(1_000_000_000);

        for _ in 0..30 {
            slice.took(ms(20));
        }
        assert_eq!(slice.ticks(), SLICE_MIN_TICKS);

        for _ in 0..30 {
            slice.took(ms(1));
        }
        assert_eq!(slice.ticks(), 10_000_000, "10 ms of guest time");
    }
}
