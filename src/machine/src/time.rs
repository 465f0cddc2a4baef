//! Guest time: ticks and nanoseconds.
//!
//! A tick is an instruction retired, or its stand-in while the CPU is halted or waits for the bus.
//! Guest time is a function of the tick count and the configured rate alone:
//! `ns = ticks * 10^9 / ips`, rounded down. All of it is exact integer arithmetic with 128-bit
//! intermediates.

const NS_PER_SECOND: u128 = 1_000_000_000;

/// The fixed relation of ticks and guest time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Ticks in a second of guest time; not zero.
    ips: u64,
}

impl Clock {
    /// A clock of `ips` ticks a second, which the configuration holds above zero.
    pub(crate) fn new(ips: u64) -> Self {
        Self { ips: ips.max(1) }
    }

    /// The guest time at a tick, in nanoseconds rounded down.
    pub(crate) fn ns(self, ticks: u64) -> u64 {
        saturate(u128::from(ticks) * NS_PER_SECOND / u128::from(self.ips))
    }

    /// The first tick at which guest time is at least `ns`.
    pub(crate) fn ticks(self, ns: u64) -> u64 {
        saturate((u128::from(ns) * u128::from(self.ips)).div_ceil(NS_PER_SECOND))
    }
}

fn saturate(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_the_first_tick_that_reaches_it() {
        for ips in [1, 3, 1_193_182, 999_999_999, 1_000_000_000, 1_000_000_001, 4_000_000_000] {
            let clock = Clock::new(ips);
            for ns in [0, 1, 2, 838, 54_925_439, 1_000_000_000, 86_400_000_000_000] {
                let tick = clock.ticks(ns);
                assert!(clock.ns(tick) >= ns, "{ips} {ns}: not too early");
                assert!(tick == 0 || clock.ns(tick - 1) < ns, "{ips} {ns}: not too late");
            }
        }
    }

    #[test]
    fn the_ends_of_time_saturate() {
        assert_eq!(Clock::new(1).ns(u64::MAX), u64::MAX);
        assert_eq!(Clock::new(u64::MAX).ticks(u64::MAX), u64::MAX);
    }
}
