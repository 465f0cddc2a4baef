//! Checkpoints of a run: the state of CPU and chips, and the pages that changed since the one
//! before.
//!
//! A page has a version for each checkpoint before which it changed; at any checkpoint it is the
//! last version up to there. So a checkpoint costs what was written, and going to one costs what
//! differs between here and there. When the budget is spent, the checkpoint goes that leaves the
//! smallest gap, and the versions that nobody needs any more with it.

use crate::ReplayError;
use cutaway_machine::Machine;
use cutaway_memory::{Backing, PAGE_SIZE};
use cutaway_state::State;
use std::collections::{BTreeMap, BTreeSet};

const PAGE: usize = PAGE_SIZE as usize;
type Page = [u8; PAGE];

/// An instant that can be gone to at once.
#[derive(Debug)]
struct Checkpoint {
    ticks: u64,
    /// Instructions retired.
    count: u64,
    /// Entries of the journal that have happened.
    entries: usize,
    state: State,
    /// Offsets of the pages with a version of this checkpoint.
    pages: Vec<usize>,
}

impl Checkpoint {
    fn bytes(&self) -> usize {
        let sections = self.state.sections().iter().map(|section| section.bytes.len());
        sections.sum::<usize>() + self.pages.len() * size_of::<usize>()
    }
}

/// All checkpoints of a run, by time.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    list: Vec<Checkpoint>,
    /// By page: its contents from a tick on, ascending.
    versions: BTreeMap<usize, Vec<(u64, Box<Page>)>>,
    /// What a page held before its first version; without it, zeros.
    base: Option<Backing>,
    /// Ticks of the checkpoint since which the machine notes what it writes.
    synced: u64,
    bytes: usize,
    budget: usize,
}

/// What the machine is at after a checkpoint was restored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Restored {
    pub(crate) entries: usize,
}

impl Checkpoints {
    /// The first checkpoint of a machine, here. If memory is still that of `base`, it need not be
    /// copied.
    pub(crate) fn new(
        machine: &mut Machine,
        base: Option<Backing>,
        budget: usize,
    ) -> Result<Self, ReplayError> {
        let (list, versions) = (Vec::new(), BTreeMap::new());
        let synced = machine.ticks();
        let mut this = Self { list, versions, base, synced, bytes: 0, budget };
        if this.base.is_some() {
            machine.take_dirty_pages();
        }
        this.add(machine, 0)?;
        Ok(this)
    }

    /// Instructions retired at the last checkpoint.
    pub(crate) fn last_count(&self) -> u64 {
        self.list.last().map_or(0, |last| last.count)
    }

    /// Count and ticks of the last checkpoint at which fewer than `count` instructions have
    /// retired, or of the first: from there the first instant with `count` can be run to.
    pub(crate) fn before_count(&self, count: u64) -> (u64, u64) {
        let after = self.list.partition_point(|point| point.count < count);
        let point = &self.list[after.saturating_sub(1)];
        (point.count, point.ticks)
    }

    /// Ticks of the last checkpoint before a tick, if there is one.
    pub(crate) fn tick_before(&self, ticks: u64) -> Option<u64> {
        let after = self.list.partition_point(|point| point.ticks < ticks);
        Some(self.list[after.checked_sub(1)?].ticks)
    }

    /// The first checkpoint is behind so many entries.
    pub(crate) fn set_first_entries(&mut self, entries: usize) {
        if let Some(first) = self.list.first_mut() {
            first.entries = entries;
        }
    }

    /// Adds a checkpoint here, unless there is one.
    pub(crate) fn add(&mut self, machine: &mut Machine, entries: usize) -> Result<(), ReplayError> {
        let ticks = machine.ticks();
        let at = self.list.partition_point(|point| point.ticks < ticks);
        if self.list.get(at).is_some_and(|point| point.ticks == ticks) {
            return Ok(());
        }
        let pages = machine.take_dirty_pages();
        for &offset in &pages {
            let mut page = Box::new([0; PAGE]);
            machine.memory().backing().read(offset, page.as_mut_slice());
            let versions = self.versions.entry(offset).or_default();
            let place = versions.partition_point(|(since, _)| *since < ticks);
            versions.insert(place, (ticks, page));
        }
        let state = machine.save()?;
        let point = Checkpoint { ticks, count: machine.instructions(), entries, state, pages };
        self.bytes += point.bytes() + point.pages.len() * PAGE;
        self.list.insert(at, point);
        self.synced = ticks;
        self.thin();
        Ok(())
    }

    /// Forgets everything behind a tick, and at that tick behind so many entries of the journal.
    pub(crate) fn forget_after(&mut self, ticks: u64, entries: usize) {
        let is_after = |point: &Checkpoint| {
            point.ticks > ticks || point.ticks == ticks && point.entries > entries
        };
        while self.list.last().is_some_and(is_after) && self.list.len() > 1 {
            let Some(point) = self.list.pop() else { return };
            self.bytes -= point.bytes();
            for offset in point.pages {
                let Some(versions) = self.versions.get_mut(&offset) else { continue };
                let before = versions.len();
                versions.retain(|(since, _)| *since != point.ticks);
                self.bytes -= (before - versions.len()) * PAGE;
            }
        }
    }

    /// Puts the machine at the last checkpoint up to a tick; the first, if there is none.
    pub(crate) fn restore(
        &mut self,
        machine: &mut Machine,
        ticks: u64,
    ) -> Result<Restored, ReplayError> {
        let after = self.list.partition_point(|point| point.ticks <= ticks);
        let index = after.saturating_sub(1);
        let goal = self.list[index].ticks;
        let mut changed: BTreeSet<usize> = machine.take_dirty_pages().into_iter().collect();
        let (low, high) = (self.synced.min(goal), self.synced.max(goal));
        for point in self.list.iter().filter(|point| point.ticks > low && point.ticks <= high) {
            changed.extend(&point.pages);
        }
        for offset in changed {
            machine.write_page(offset, &self.page_at(offset, goal));
        }
        let point = &self.list[index];
        machine.load(&point.state)?;
        machine.take_dirty_pages();
        self.synced = goal;
        Ok(Restored { entries: point.entries })
    }

    fn page_at(&self, offset: usize, ticks: u64) -> Page {
        let versions = self.versions.get(&offset).map_or(&[][..], Vec::as_slice);
        let after = versions.partition_point(|(since, _)| *since <= ticks);
        let mut page = [0; PAGE];
        match (after.checked_sub(1), &self.base) {
            (Some(last), _) => page = *versions[last].1,
            (None, Some(base)) => base.read(offset, &mut page),
            (None, None) => {}
        }
        page
    }

    /// Drops checkpoints until the budget is kept. The first, the last and the one that the
    /// machine's memory is compared with stay.
    fn thin(&mut self) {
        while self.bytes > self.budget {
            let inner = 1..self.list.len().saturating_sub(1);
            let gap = |at: &usize| self.list[at + 1].count - self.list[at - 1].count;
            let free = |at: &usize| self.list[*at].ticks != self.synced;
            let Some(at) = inner.filter(free).min_by_key(gap) else { return };
            self.remove(at);
        }
    }

    /// Drops one checkpoint; the next one takes over the versions that it has none of its own of.
    fn remove(&mut self, at: usize) {
        let gone = self.list.remove(at);
        self.bytes -= gone.bytes();
        let next = &mut self.list[at];
        let own: BTreeSet<usize> = next.pages.iter().copied().collect();
        let mut inherited = Vec::new();
        for offset in gone.pages {
            let Some(versions) = self.versions.get_mut(&offset) else { continue };
            let Ok(place) = versions.binary_search_by_key(&gone.ticks, |(since, _)| *since) else {
                continue;
            };
            if own.contains(&offset) {
                versions.remove(place);
                self.bytes -= PAGE;
            } else {
                versions[place].0 = next.ticks;
                inherited.push(offset);
            }
        }
        self.bytes += inherited.len() * size_of::<usize>();
        next.pages.extend(inherited);
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
}
