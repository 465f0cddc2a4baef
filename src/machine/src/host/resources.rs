//! Memory and disks on their way from one guest to another while both run.
//!
//! A guest that knows that it is one gives memory up through its balloon, page by page, and the other's
//! balloon shrinks by as much as has come. A disk is taken out of one and put into the other with all that
//! is on it.

use super::{Host, Tenant};
use crate::Input;
use cutaway_memory::PAGE_SIZE;

/// Why something cannot go from one guest to another.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResourceError {
    /// It has no balloon, or no driver for it is at work.
    #[error("no driver is at work in it for a memory balloon")]
    NoBalloon,
    /// Less can be moved.
    #[error("its balloon has {pages} pages, and it cannot get more memory than that")]
    TooSmall {
        /// Pages that it can still get.
        pages: u32,
    },
    /// It has not that much memory.
    #[error("it has no {pages} pages to give")]
    TooLarge {
        /// Pages that were asked for.
        pages: u64,
    },
    /// There is no disk in it.
    #[error("it has no disk with a medium")]
    NoDisk,
    /// There is no place for the disk in it.
    #[error("it has no empty disk drive that takes {bytes} bytes")]
    NoRoom {
        /// What the medium has.
        bytes: u64,
    },
    /// From a guest to itself, or to one that there is not.
    #[error("there is nowhere to move it to")]
    Nowhere,
}

/// Memory on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moving {
    from: usize,
    to: usize,
    pages: u32,
    /// Pages that have come.
    moved: u32,
    /// The size of the giver's balloon that others have asked for: what comes beyond it is the taker's.
    base: u32,
}

impl Tenant {
    /// Pages of 4 KiB that it believes to have.
    fn pages(&self) -> u64 {
        self.machine.config().memory_bytes / PAGE_SIZE
    }
}

impl Host {
    /// Wants a guest to do with so many bytes of memory from now on. Its driver may take its time, and may not
    /// have as much to give.
    pub fn set_balloon(&mut self, number: usize, bytes: u64) -> Result<(), ResourceError> {
        let guest = self.guests.get(number).ok_or(ResourceError::Nowhere)?;
        if guest.machine.balloon().is_none() {
            return Err(ResourceError::NoBalloon);
        }
        let pages = guest.pages().saturating_sub(bytes / PAGE_SIZE);
        self.forget_moves(number);
        self.want_balloon(number, pages.min(u32::MAX.into()) as u32);
        Ok(())
    }

    fn want_balloon(&mut self, number: usize, pages: u32) {
        let Some(guest) = self.guests.get_mut(number) else { return };
        guest.account.balloon_by_hand = true;
        guest.machine.input(&Input::Balloon(pages));
        self.wake(number);
    }

    /// Moves memory from one guest to another: as the balloon of the first grows, that of the second
    /// shrinks. Another size that is asked of either of them, and going back, end it.
    pub fn move_memory(&mut self, from: usize, to: usize, bytes: u64) -> Result<(), ResourceError> {
        let (Some(giver), Some(taker)) = (self.guests.get(from), self.guests.get(to)) else {
            return Err(ResourceError::Nowhere);
        };
        if from == to {
            return Err(ResourceError::Nowhere);
        }
        let (given, taken) = (giver.machine.balloon(), taker.machine.balloon());
        let (given, taken) = given.zip(taken).ok_or(ResourceError::NoBalloon)?;
        let on_the_way = |to| {
            let moves = self.moves.iter().filter(move |it| it.to == to);
            moves.map(|it| it.pages - it.moved).sum::<u32>()
        };
        let room = taken.wanted.saturating_sub(on_the_way(to));
        let pages = bytes / PAGE_SIZE;
        if pages > room.into() {
            return Err(ResourceError::TooSmall { pages: room });
        }
        if u64::from(given.wanted) + pages > giver.pages() {
            return Err(ResourceError::TooLarge { pages });
        }
        // Both fit 32 bits: the room does.
        let pages = pages as u32;
        self.moves.push(Moving { from, to, pages, moved: 0, base: given.wanted });
        self.want_balloon(from, given.wanted + pages);
        Ok(())
    }

    /// Pages on their way from one guest to another.
    #[must_use]
    pub fn pages_moving(&self) -> u64 {
        self.moves.iter().map(|it| u64::from(it.pages - it.moved)).sum()
    }

    /// Lets those have what has come.
    pub(super) fn settle_moves(&mut self) {
        for number in 0..self.moves.len() {
            let it = self.moves[number];
            let size = |guest: usize| self.guests[guest].machine.balloon();
            // While a driver starts anew nothing is on its way.
            let (Some(giver), Some(taker)) = (size(it.from), size(it.to)) else { continue };
            let given = giver.actual.saturating_sub(it.base).min(it.pages);
            if given > it.moved {
                let wanted = taker.wanted.saturating_sub(given - it.moved);
                self.moves[number].moved = given;
                self.want_balloon(it.to, wanted);
            }
        }
        let runs = |guest: usize| self.guests[guest].ended().is_none();
        self.moves.retain(|it| it.moved < it.pages && runs(it.from) && runs(it.to));
    }

    /// Gives up what is on its way from or to a guest; what has come stays.
    pub(super) fn forget_moves(&mut self, guest: usize) {
        self.moves.retain(|it| it.from != guest && it.to != guest);
    }

    /// Takes the disk out of one guest and puts it into another, which has an empty drive.
    pub fn move_disk(&mut self, from: usize, to: usize) -> Result<(), ResourceError> {
        let (Some(giver), Some(taker)) = (self.guests.get(from), self.guests.get(to)) else {
            return Err(ResourceError::Nowhere);
        };
        if from == to {
            return Err(ResourceError::Nowhere);
        }
        let contents = giver.machine.disk_contents();
        if contents.is_empty() {
            return Err(ResourceError::NoDisk);
        }
        let bytes = contents.len() as u64;
        if taker.machine.disk_room() < bytes || !taker.machine.disk_contents().is_empty() {
            return Err(ResourceError::NoRoom { bytes });
        }
        for (number, medium) in [(from, Vec::new()), (to, contents)] {
            if let Some(guest) = self.guests.get_mut(number) {
                guest.machine.input(&Input::Disk(medium));
            }
            self.wake(number);
        }
        Ok(())
    }
}
