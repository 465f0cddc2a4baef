//! Pages of the monitor's memory, for shadow page tables.
//!
//! A physical address of the monitor is an offset of the backing.

use cutaway_memory::{Backing, GuestMemory, PAGE_SIZE};
use serde::{Deserialize, Serialize};

/// Which pages of a range of the monitor's memory are in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pool {
    start: u64,
    end: u64,
    /// The first page that was never in use.
    fresh: u64,
    free: Vec<u64>,
}

impl Pool {
    /// All pages of a range, which holds whole ones.
    pub(crate) fn new(start: u64, end: u64) -> Self {
        Self { start, end, fresh: start, free: Vec::new() }
    }

    /// A page of zeros.
    pub(crate) fn take(&mut self, memory: &mut GuestMemory) -> Option<u64> {
        let page = match self.free.pop() {
            Some(page) => page,
            None if self.fresh < self.end => {
                self.fresh += PAGE_SIZE;
                self.fresh - PAGE_SIZE
            }
            None => return None,
        };
        memory.mark_dirty(page as usize);
        memory.backing().fill(page as usize, 0, PAGE_SIZE as usize);
        Some(page)
    }

    /// Takes a page back. Returns whether one was in use.
    pub(crate) fn give_back(&mut self, page: u64) -> bool {
        let used = self.left() < self.pages();
        if used {
            self.free.push(page);
        }
        used
    }

    /// Pages that there are.
    pub(crate) fn pages(&self) -> u64 {
        (self.end - self.start) / PAGE_SIZE
    }

    /// Pages that can still be taken.
    pub(crate) fn left(&self) -> u64 {
        self.free.len() as u64 + (self.end - self.fresh) / PAGE_SIZE
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.start, self.end);
    }

    /// Whether it can be the pool of this range.
    pub(crate) fn fits(&self, start: u64, end: u64) -> bool {
        let is_page =
            |page: u64| page.is_multiple_of(PAGE_SIZE) && (start..self.fresh).contains(&page);
        (self.start, self.end) == (start, end)
            && self.fresh.is_multiple_of(PAGE_SIZE)
            && (start..=end).contains(&self.fresh)
            && self.free.iter().all(|&page| is_page(page))
    }
}

/// A shadow entry. One outside memory, which only a damaged snapshot can name, is not present.
pub(crate) fn load(backing: &Backing, at: u64) -> u64 {
    if is_inside(backing, at) { backing.load(at as usize) } else { 0 }
}

fn is_inside(backing: &Backing, at: u64) -> bool {
    at <= (backing.len() as u64).saturating_sub(8)
}

pub(crate) fn store(memory: &mut GuestMemory, at: u64, value: u64) {
    if is_inside(memory.backing(), at) {
        memory.mark_dirty(at as usize);
        memory.backing().store(at as usize, value);
    }
}
