//! Copies of a guest among several: snapshots to go back to, and clones.
//!
//! None of it takes the host's time, and no other guest notices: what they do hangs on themselves.

use super::{Host, Share, Sleep, State};
use crate::{Image, RestoreError};

/// A guest of a [`Host`] at one instant. It is a template as well: [`Host::add_copy`].
#[derive(Debug)]
pub struct GuestSnapshot {
    image: Image,
    sleeps: Sleep,
}

impl GuestSnapshot {
    /// The guest itself.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }
}

/// Why there is no copy of a guest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// There is no such guest.
    #[error("there is no guest {number}")]
    NoGuest {
        /// The number.
        number: usize,
    },
    /// It has ended: a copy would be at its end too.
    #[error("the guest {name} has ended")]
    Ended {
        /// The guest.
        name: String,
    },
    /// It cannot be made, or is of another guest.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

impl Host {
    /// A guest as it is now. One that is suspended is kept as if it were not.
    pub fn snapshot(&self, number: usize) -> Result<GuestSnapshot, CopyError> {
        let guest = self.guests.get(number).ok_or(CopyError::NoGuest { number })?;
        let sleeps = guest.account.state.sleep(self.now);
        let sleeps = sleeps.ok_or_else(|| CopyError::Ended { name: guest.name.clone() })?;
        Ok(GuestSnapshot { image: Image::of(&guest.machine)?, sleeps })
    }

    /// Puts a guest back to where it was; one that has ended since runs again, one that is suspended
    /// stays so. What it had of the CPU, and what was stolen from it, remains had and stolen.
    pub fn revert(&mut self, number: usize, snapshot: &GuestSnapshot) -> Result<(), CopyError> {
        let (now, least) = (self.now, self.least_pass());
        let guest = self.guests.get_mut(number).ok_or(CopyError::NoGuest { number })?;
        guest.machine.revert(&snapshot.image)?;
        guest.account.state = match guest.account.state {
            State::Suspended(_) => State::Suspended(snapshot.sleeps),
            _ => State::after(snapshot.sleeps, now),
        };
        guest.account.pass = guest.account.pass.max(least);
        guest.account.ready_since = now;
        self.forget_moves(number);
        Ok(())
    }

    /// Adds a guest that goes on from a snapshot; the result is its number. Nobody takes its output
    /// yet.
    pub fn add_copy(
        &mut self,
        name: &str,
        template: &GuestSnapshot,
        share: Share,
    ) -> Result<usize, CopyError> {
        let machine = template.image.machine()?;
        let number = self.add(name, machine, share);
        self.guests[number].account.state = State::after(template.sleeps, self.now);
        Ok(number)
    }

    /// Adds a guest that goes on from where another is now, with the same share; the result is its
    /// number.
    pub fn clone_guest(&mut self, number: usize, name: &str) -> Result<usize, CopyError> {
        let GuestSnapshot { image, sleeps } = self.snapshot(number)?;
        let share = self.guests[number].account.share;
        let number = self.add(name, image.into_machine()?, share);
        self.guests[number].account.state = State::after(sleeps, self.now);
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{BUSY, guest, run};
    use super::*;
    use crate::{Machine, Stop};

    /// INC of a byte in memory and of AX, for ever.
    const COUNTS: &[u8] = &[0xfe, 0x06, 0x00, 0x10, 0x40, 0xeb, 0xf9];

    fn hash(host: &mut Host, number: usize) -> String {
        let machine: &mut Machine = host.guest_mut(number).unwrap().machine_mut();
        format!("{:#}", machine.state_hash().unwrap())
    }

    /// Runs until a guest has had so many ticks, and takes its hash then.
    fn hash_at(host: &mut Host, number: usize, ticks: u64) -> String {
        while host.guests()[number].used() < ticks && host.step().is_some() {}
        hash(host, number)
    }

    #[test]
    fn a_clone_goes_on_as_the_first_would() {
        let mut host = Host::new();
        let first = host.add("first", guest(COUNTS), Share { shares: 3, cap: None });
        run(&mut host, 5_000_000);
        let clone = host.clone_guest(first, "clone").unwrap();

        assert_eq!(hash(&mut host, clone), hash(&mut host, first));
        assert_eq!(host.guests()[clone].share().shares, 3);
        let later = hash_at(&mut host, clone, 7_000_000);
        assert_eq!(hash_at(&mut host, first, 12_000_000), later);
    }

    #[test]
    fn the_others_do_not_notice_clones_and_reverts() {
        let other_after = |copies: bool| {
            let mut host = Host::new();
            let first = host.add("first", guest(COUNTS), Share::default());
            let other = host.add("other", guest(COUNTS), Share::default());
            run(&mut host, 4_000_000);
            if copies {
                let snapshot = host.snapshot(first).unwrap();
                host.clone_guest(first, "clone").unwrap();
                host.add_copy("copy", &snapshot, Share::default()).unwrap();
                run(&mut host, 12_000_000);
                host.revert(first, &snapshot).unwrap();
            }
            hash_at(&mut host, other, 20_000_000)
        };

        assert_eq!(other_after(true), other_after(false));
    }

    #[test]
    fn a_guest_that_has_ended_runs_again_after_going_back() {
        let mut host = Host::new();
        // A delay of 65,536 times, then CLI and HLT.
        let ends = host.add("ends", guest(&[0x49, 0x75, 0xfd, 0xfa, 0xf4]), Share::default());
        let snapshot = host.snapshot(ends).unwrap();
        let start = hash(&mut host, ends);
        run(&mut host, 1_000_000);
        assert!(matches!(host.guests()[ends].ended(), Some(Stop::Halted)));
        let refused = host.clone_guest(ends, "clone").unwrap_err();
        assert_eq!(refused.to_string(), "the guest ends has ended");

        host.revert(ends, &snapshot).unwrap();

        assert_eq!(hash(&mut host, ends), start);
        assert!(host.guests()[ends].ended().is_none());
        run(&mut host, 2_000_000);
        assert!(matches!(host.guests()[ends].ended(), Some(Stop::Halted)));
    }

    #[test]
    fn a_suspended_template_stays_and_its_copies_run() {
        let mut host = Host::new();
        let template = host.add("template", guest(BUSY), Share::default());
        run(&mut host, 1_000_000);
        host.suspend(template);
        let used = host.guests()[template].used();
        let kept = host.snapshot(template).unwrap();
        let copies: Vec<_> =
            (0..3).map(|_| host.add_copy("copy", &kept, Share::default()).unwrap()).collect();
        run(&mut host, 10_000_000);

        assert_eq!(host.guests()[template].used(), used);
        assert!(copies.iter().all(|copy| host.guests()[*copy].used() >= 2_000_000));
        assert!(host.snapshot(9).is_err() && host.revert(9, &kept).is_err());
    }
}
