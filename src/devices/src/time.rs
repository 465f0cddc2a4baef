//! Guest time: nanoseconds since the machine was switched on, as the guest's own instructions
//! make it, and its conversion to and from the clocks of chips.
//!
//! A chip's clock runs freely from power-on: clock `n` of a clock of `hz` is the instant
//! `n * 10^9 / hz` nanoseconds. [`GuestTime::clocks`] counts the clocks that have passed (rounded
//! down) and [`GuestTime::at_clock`] gives the first nanosecond at which that many have passed
//! (rounded up), so the two are exact inverses and no event is ever early.

use serde::{Deserialize, Serialize};

/// Nanoseconds in a second.
pub const NS_PER_SECOND: u64 = 1_000_000_000;

/// An instant of guest time, in nanoseconds since power-on.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct GuestTime(u64);

impl GuestTime {
    /// Power-on.
    pub const ZERO: Self = Self(0);
    /// The last instant that can be named, 584 years after power-on; it stands for "never".
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `ns` nanoseconds after power-on.
    #[inline]
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since power-on.
    #[inline]
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `earlier` to here; 0 if `earlier` is later.
    #[inline]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The instant `ns` nanoseconds later, or [`Self::MAX`] beyond the end of time.
    #[inline]
    #[must_use]
    pub const fn plus_ns(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }

    /// Clocks of a free-running clock of `hz` that have passed since power-on, rounded down.
    ///
    /// Exact for every `hz` up to 2^29 (no chip is faster); above that it saturates.
    #[inline]
    pub const fn clocks(self, hz: u32) -> u64 {
        // Whole seconds apart from the rest, so that 64 bits are enough: the chips that guests
        // poll come through here on every read.
        let (seconds, ns) = (self.0 / NS_PER_SECOND, self.0 % NS_PER_SECOND);
        seconds.saturating_mul(hz as u64).saturating_add(ns * hz as u64 / NS_PER_SECOND)
    }

    /// The first instant at which `clocks` clocks of `hz` have passed since power-on.
    ///
    /// `at_clock(n, hz).clocks(hz) == n`, and one nanosecond earlier it is `n - 1`, for every `hz`
    /// from 1 to 10^9. Beyond the end of time it is [`Self::MAX`].
    #[inline]
    pub const fn at_clock(clocks: u64, hz: u32) -> Self {
        let (seconds, rest) = (clocks / hz as u64, clocks % hz as u64);
        let ns = (rest * NS_PER_SECOND).div_ceil(hz as u64);
        Self(seconds.saturating_mul(NS_PER_SECOND).saturating_add(ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frequencies of the chips, and borders.
    const HZ: [u32; 7] = [1, 32_768, 1_193_182, 1_843_200, 3_579_545, 1 << 29, 1_000_000_000];

    #[test]
    fn clocks_round_down() {
        assert_eq!(GuestTime::from_ns(838).clocks(1_193_182), 0);
        assert_eq!(GuestTime::from_ns(839).clocks(1_193_182), 1, "a clock is 838.09 ns");
        assert_eq!(GuestTime::from_ns(NS_PER_SECOND).clocks(1_193_182), 1_193_182);
    }

    #[test]
    fn at_clock_is_the_first_instant_of_that_clock() {
        for hz in HZ {
            for n in [1, 2, 3, 17, 1000, 65_535, 65_536, 1_193_181, 1_193_182, 9_000_000_001] {
                let at = GuestTime::at_clock(n, hz);

                assert_eq!(at.clocks(hz), n, "clock {n} of {hz} Hz");
                assert_eq!(
                    GuestTime::from_ns(at.as_ns() - 1).clocks(hz),
                    n - 1,
                    "1 ns before {n} of {hz} Hz"
                );
            }
        }
    }

    #[test]
    fn clocks_agree_with_128_bit_arithmetic() {
        for hz in HZ {
            for ns in [0, 1, 999_999_999, 1_000_000_001, 123_456_789_012_345, 1 << 60] {
                let wide = u128::from(ns) * u128::from(hz) / u128::from(NS_PER_SECOND);

                assert_eq!(u128::from(GuestTime::from_ns(ns).clocks(hz)), wide, "{ns} ns, {hz} Hz");
            }
        }
    }

    #[test]
    fn the_end_of_time_saturates() {
        assert_eq!(GuestTime::at_clock(u64::MAX, 1), GuestTime::MAX);
        assert_eq!(GuestTime::MAX.plus_ns(1), GuestTime::MAX);
        assert_eq!(GuestTime::ZERO.since(GuestTime::MAX), 0);
    }
}
