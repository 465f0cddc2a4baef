//! How a host has shared out the CPU up to an instant: to look at, and to go back to.

use super::resources::Moving;
use super::{Account, Host, PERIOD, Share, State};
use crate::PhysicalMemory;

/// How a guest stands, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It runs when its turn comes.
    Ready,
    /// It has had what it may of this period.
    Capped,
    /// It waits for its timer, or for an input.
    Asleep,
    /// It is kept off the CPU.
    Suspended,
    /// It runs no more.
    Ended,
}

impl Standing {
    /// A word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Capped => "capped",
            Self::Asleep => "asleep",
            Self::Suspended => "suspended",
            Self::Ended => "ended",
        }
    }
}

/// All that a host knows at one instant, without its guests' machines.
#[derive(Clone, Debug)]
pub struct Schedule {
    now: u64,
    period: u64,
    memory: Option<PhysicalMemory>,
    moves: Vec<Moving>,
    guests: Vec<Account>,
}

impl Schedule {
    /// Ticks of the CPU up to there.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// What was in the host's memory, if it has one of its own.
    #[must_use]
    pub fn memory(&self) -> Option<&PhysicalMemory> {
        self.memory.as_ref()
    }

    /// How many guests there were.
    #[must_use]
    pub fn guests(&self) -> usize {
        self.guests.len()
    }

    /// What a guest may have of the CPU.
    #[must_use]
    pub fn share(&self, number: usize) -> Option<Share> {
        self.guests.get(number).map(|guest| guest.share)
    }

    /// Ticks of the CPU that a guest had.
    #[must_use]
    pub fn used(&self, number: usize) -> u64 {
        self.guests.get(number).map_or(0, |guest| guest.used)
    }

    /// Ticks that a guest could have run and did not: those that are booked when it gets the CPU, and
    /// those that it waits for now.
    #[must_use]
    pub fn stolen(&self, number: usize) -> u64 {
        let Some(guest) = self.guests.get(number) else { return 0 };
        guest.stolen + self.waits_since(guest).map_or(0, |since| self.now.saturating_sub(since))
    }

    /// Since when a guest could run; one whose time has come has not been woken yet.
    fn waits_since(&self, guest: &Account) -> Option<u64> {
        match guest.state {
            State::Ready => Some(guest.ready_since),
            State::Asleep(Some(until)) if until <= self.now => Some(until),
            _ => None,
        }
    }

    /// How a guest stands.
    #[must_use]
    pub fn standing(&self, number: usize) -> Option<Standing> {
        let guest = self.guests.get(number)?;
        Some(match guest.state {
            _ if self.waits_since(guest).is_some() => {
                // The next period lets it run again.
                let is_over = self.now - self.period >= PERIOD;
                match guest.is_at_cap() && !is_over {
                    true => Standing::Capped,
                    false => Standing::Ready,
                }
            }
            State::Ready | State::Asleep(_) => Standing::Asleep,
            State::Suspended(_) => Standing::Suspended,
            State::Ended(_) => Standing::Ended,
        })
    }

    /// Whether a guest that is asleep needs an input to go on.
    #[must_use]
    pub fn waits_for_input(&self, number: usize) -> bool {
        self.guests.get(number).is_some_and(|guest| matches!(guest.state, State::Asleep(None)))
    }
}

impl Host {
    /// All that the host knows now.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        Schedule {
            now: self.now,
            period: self.period,
            memory: self.memory.clone(),
            moves: self.moves.clone(),
            guests: self.guests.iter().map(|guest| guest.account.clone()).collect(),
        }
    }

    /// Knows again what it knew then. The guests' machines are the caller's to put back; guests that
    /// came later go.
    pub fn set_schedule(&mut self, schedule: &Schedule) {
        (self.now, self.period) = (schedule.now, schedule.period);
        self.memory.clone_from(&schedule.memory);
        self.moves.clone_from(&schedule.moves);
        self.guests.truncate(schedule.guests.len());
        for (guest, account) in self.guests.iter_mut().zip(&schedule.guests) {
            guest.account.clone_from(account);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{BUSY, guest, run};
    use super::*;
    use crate::Image;

    #[test]
    fn who_goes_back_shares_out_the_cpu_the_same_again() {
        let mut host = Host::new();
        for shares in [1, 2, 3] {
            host.add("busy", guest(BUSY), Share { shares, cap: None });
        }
        run(&mut host, 7_000_000);
        let then = host.schedule();
        let images: Vec<_> =
            host.guests().iter().map(|guest| Image::of(guest.machine()).unwrap()).collect();
        let slices = |host: &mut Host| (0..20).map(|_| host.step()).collect::<Vec<_>>();
        let first = slices(&mut host);
        host.suspend(1);

        host.set_schedule(&then);
        for (number, image) in images.iter().enumerate() {
            host.guest_mut(number).unwrap().machine_mut().revert(image).unwrap();
        }

        assert_eq!(slices(&mut host), first);
    }

    #[test]
    fn a_slice_that_is_cut_short_ends_where_it_was_cut() {
        let mut host = Host::new();
        let busy = host.add("busy", guest(BUSY), Share { shares: 1, cap: Some(25) });
        assert_eq!(host.step_within(1_234).unwrap().ticks, 1_234);
        assert_eq!(host.guests()[busy].machine().ticks(), 1_234);
        while host.schedule().standing(busy) == Some(Standing::Ready) {
            host.step();
        }
        assert_eq!(host.schedule().standing(busy), Some(Standing::Capped));
        assert_eq!(host.step_within(99).unwrap().ticks, 99, "time passes no further either");
    }
}
