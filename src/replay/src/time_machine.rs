//! A machine that can be put at any instant of its run, backwards as well as forwards.
//!
//! It keeps checkpoints as it goes, and gets to an instant by going to the one before and running
//! again from there, with the inputs of the journal at their ticks. What is behind the last known
//! instant depends on where the run comes from: a recording has an end; a live run goes on, and
//! what enters is added to its journal.
//!
//! Positions are counts of instructions retired: the instant right behind the last of so many.

use crate::checkpoints::Checkpoints;
use crate::{End, Entry, Journal, Parent, Recording, ReplayError, Snapshot};
use cutaway_machine::{Input, Machine, Stop, Stops};
use cutaway_memory::Backing;
use cutaway_state::StateHash;
use std::cell::Cell;
use std::rc::Rc;

/// Bytes that checkpoints may take.
pub const DEFAULT_BUDGET: usize = 1 << 30;
/// Instructions between two checkpoints, as long as the budget allows.
const SPACING: u64 = 24_000_000;
/// Who goes back to an instant is likely to look around there: a checkpoint so far before it...
const NEAR: u64 = 500_000;
/// ...if there is none within this distance.
const NOT_NEAR: u64 = 3_000_000;
/// Deadlines of chips that pass in a halted machine before a step lets its caller look around.
const DEADLINES: u32 = 1_000;

/// Where a run of a [`TimeMachine`] got to.
#[derive(Debug)]
pub enum Reached {
    /// The instant asked for.
    Goal,
    /// A stop on the way.
    Stop(Stop),
    /// The first instant there is.
    Start,
    /// The end of the recording.
    End,
}

/// What to run to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// So many instructions retired.
    Count(u64),
    /// A tick.
    Tick(u64),
}

/// A run that can be gone about in.
pub struct TimeMachine {
    machine: Machine,
    journal: Journal,
    /// Entries of the journal that have happened.
    next: usize,
    /// Whether the run goes on behind the journal.
    live: bool,
    /// Whether hashes on the way are checked.
    verify: bool,
    /// Instructions between two checkpoints.
    spacing: u64,
    /// The last tick that the run has come to.
    frontier: u64,
    /// Whether this instant lies before it.
    past: Rc<Cell<bool>>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) stops: Stops,
}

impl TimeMachine {
    /// The start of a recording.
    pub fn open(recording: Recording, budget: usize) -> Result<Self, ReplayError> {
        let machine = recording.start.machine()?;
        let base = recording.start.memory()?;
        Self::new(machine, recording.journal, Some(base), false, budget)
    }

    /// A recording from an instant on that a snapshot was taken at, out of this recording.
    pub fn open_at(
        recording: Recording,
        snapshot: &Snapshot,
        budget: usize,
    ) -> Result<Self, ReplayError> {
        let machine = snapshot.machine()?;
        let here = machine.ticks();
        let start = recording.start.hash().0;
        let journal = recording.journal.digest_before(here);
        if snapshot.parent() != Some(&Parent { start, journal, at: here }) {
            return Err(ReplayError::AnotherRun { path: snapshot.path().into() });
        }
        let base = snapshot.memory()?;
        let mut this = Self::new(machine, recording.journal, Some(base), false, budget)?;
        this.next = this.journal.entries.partition_point(|entry| entry.at() < here);
        this.checkpoints.set_first_entries(this.next);
        Ok(this)
    }

    /// A machine that runs on from here.
    pub fn live(machine: Machine, budget: usize) -> Result<Self, ReplayError> {
        Self::new(machine, Journal::default(), None, true, budget)
    }

    fn new(
        mut machine: Machine,
        journal: Journal,
        base: Option<Backing>,
        live: bool,
        budget: usize,
    ) -> Result<Self, ReplayError> {
        let checkpoints = Checkpoints::new(&mut machine, base, budget)?;
        let (stops, frontier) = (Stops::default(), machine.ticks());
        Ok(Self {
            machine,
            journal,
            next: 0,
            live,
            verify: false,
            spacing: SPACING,
            frontier,
            past: Rc::default(),
            checkpoints,
            stops,
        })
    }

    /// The machine at this instant.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The machine, to look through its eyes or to attach something. What changes it is lost
    /// with the next step back.
    pub fn machine_mut(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// What is known to have happened, and will happen.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Instructions retired.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.machine.instructions()
    }

    /// The state's hash at this instant.
    pub fn state_hash(&mut self) -> Result<StateHash, ReplayError> {
        Ok(self.machine.state_hash()?)
    }

    /// Where this instant comes from, for a snapshot of it; `start` is the hash of the recording's
    /// start.
    #[must_use]
    pub fn parent(&self, start: StateHash) -> Parent {
        let at = self.machine.ticks();
        Parent { start: start.0, journal: self.journal.digest_before(at), at }
    }

    /// Whether what happens has happened before: who shows what the guest prints looks here.
    #[must_use]
    pub fn past(&self) -> Rc<Cell<bool>> {
        self.past.clone()
    }

    /// Bytes and number of the checkpoints.
    #[must_use]
    pub fn checkpoint_use(&self) -> (usize, usize) {
        (self.checkpoints.bytes(), self.checkpoints.len())
    }

    /// Makes no checkpoints from now on: for a run that only goes forwards.
    pub fn go_forwards_only(&mut self) {
        self.spacing = u64::MAX;
    }

    /// The machine alone, where it is.
    #[must_use]
    pub fn into_machine(self) -> Machine {
        self.machine
    }

    /// Checks every recorded hash that is passed from now on.
    pub fn set_verify(&mut self, verify: bool) {
        self.verify = verify;
    }

    /// Stops at these from now on.
    pub fn set_stops(&mut self, stops: &Stops) {
        self.stops = stops.clone();
        self.machine.set_stops(stops);
    }

    /// Something enters the live run, here. What was known to come after is forgotten.
    pub fn input(&mut self, input: &Input) {
        self.go_live();
        let at = self.machine.ticks();
        self.machine.input(input);
        self.journal.entries.push(Entry::Input { at, input: input.clone() });
        self.next = self.journal.entries.len();
    }

    /// Something will enter the live run at a tick that it has not passed yet, behind all else that is
    /// known to.
    pub fn expect(&mut self, at: u64, input: &Input) {
        self.journal.entries.push(Entry::Input { at, input: input.clone() });
    }

    /// Goes to a tick, where so many entries of the journal have happened: at one tick that is before
    /// or behind what enters there. Past all stops.
    pub fn goto_behind(&mut self, tick: u64, entries: usize) -> Result<Reached, ReplayError> {
        if tick < self.machine.ticks() || self.next > entries {
            self.restore_tick(tick)?;
            if self.next > entries {
                // That checkpoint is of the same tick, but later.
                self.restore_tick(tick.saturating_sub(1))?;
            }
            let near = tick.saturating_sub(NEAR);
            if self.spacing != u64::MAX && near > self.machine.ticks() + NOT_NEAR {
                self.without_stops(|this| this.run(Goal::Tick(near)))?;
                self.checkpoints.add(&mut self.machine, self.next)?;
            }
        }
        let reached = self.without_stops(|this| this.run(Goal::Tick(tick)))?;
        while self.next < entries
            && let Some(Entry::Input { at, input }) = self.journal.entries.get(self.next)
            && *at <= self.machine.ticks()
        {
            self.machine.input(input);
            self.next += 1;
        }
        Ok(reached)
    }

    /// Goes on from here as a live run: what the journal says of later instants is forgotten.
    pub fn go_live(&mut self) {
        self.journal.entries.truncate(self.next);
        self.checkpoints.forget_after(self.machine.ticks(), self.next);
        self.frontier = self.machine.ticks();
        self.past.set(false);
        self.live = true;
    }

    /// Runs on to the next stop, or to the end; a live run at most for so many ticks.
    pub fn resume(&mut self, most_ticks: u64) -> Result<Reached, ReplayError> {
        self.machine.pass_stops();
        let limit = self.machine.ticks().saturating_add(most_ticks);
        self.run(Goal::Tick(limit))
    }

    /// Runs on to a tick, whatever it takes, stopping at stops.
    pub fn run_until(&mut self, tick: u64) -> Result<Reached, ReplayError> {
        self.run(Goal::Tick(tick))
    }

    /// One instruction on. A halted machine runs until it has executed one.
    pub fn step(&mut self) -> Result<Reached, ReplayError> {
        self.machine.pass_stops();
        self.run(Goal::Count(self.count() + 1))
    }

    /// One instruction on, as far as so many ticks reach; nothing while the CPU still waits.
    pub fn step_within(&mut self, most_ticks: u64) -> Result<Option<Reached>, ReplayError> {
        self.machine.pass_stops();
        let until = self.count() + 1;
        let end = self.machine.ticks().saturating_add(most_ticks);
        for _ in 0..DEADLINES {
            // One tick: an instruction, the delivery of an interrupt, or a tick in HLT.
            let due = self.machine.next_deadline().unwrap_or(u64::MAX);
            let tick = self.machine.ticks().saturating_add(1);
            match self.run(Goal::Tick(tick))? {
                Reached::Goal | Reached::Stop(Stop::Limit | Stop::Idle) => {}
                reached => return Ok(Some(reached)),
            }
            if self.count() >= until {
                return Ok(Some(Reached::Goal));
            }
            // In HLT nothing happens before the next deadline or the next input; but what came due
            // with this tick may wake the CPU in the next.
            let now = self.machine.ticks();
            let next = self.next_change(now).min(end);
            if now < due && next > now && self.machine.is_halted() {
                match self.run(Goal::Tick(next))? {
                    Reached::Goal | Reached::Stop(Stop::Limit | Stop::Idle) => {}
                    reached => return Ok(Some(reached)),
                }
            }
            if self.machine.ticks() >= end {
                break;
            }
        }
        Ok(None)
    }

    /// The tick at which something can happen to a CPU that waits: now, if an input may be due.
    fn next_change(&self, now: u64) -> u64 {
        let deadline = self.machine.next_deadline().unwrap_or(u64::MAX);
        let next = self.journal.entries.partition_point(|entry| entry.at() < now);
        self.journal.entries.get(next).map_or(deadline, |entry| deadline.min(entry.at()))
    }

    /// One instruction back.
    pub fn step_back(&mut self) -> Result<Reached, ReplayError> {
        match self.count().checked_sub(1) {
            Some(count) => self.goto(count),
            None => Ok(Reached::Start),
        }
    }

    /// Goes to the instant at which so many instructions have retired, past all stops.
    pub fn goto(&mut self, count: u64) -> Result<Reached, ReplayError> {
        self.without_stops(|this| this.go(count))
    }

    /// Goes to a tick, past all stops.
    pub fn goto_tick(&mut self, tick: u64) -> Result<Reached, ReplayError> {
        if tick < self.machine.ticks() {
            self.restore_tick(tick)?;
        }
        self.without_stops(|this| this.run(Goal::Tick(tick)))
    }

    pub(crate) fn go(&mut self, count: u64) -> Result<Reached, ReplayError> {
        let here = self.count();
        let (from, ticks) = self.checkpoints.before_count(count);
        if count < here || from > here {
            self.restore_tick(ticks)?;
        }
        let near = count.saturating_sub(NEAR);
        if self.spacing != u64::MAX && near > self.count() + NOT_NEAR {
            if let end @ (Reached::End | Reached::Stop(_)) = self.run(Goal::Count(near))? {
                return Ok(end);
            }
            self.checkpoints.add(&mut self.machine, self.next)?;
        }
        if self.count() > count {
            return Ok(Reached::Start);
        }
        self.run(Goal::Count(count))
    }

    /// Goes to the last checkpoint up to a tick.
    pub(crate) fn restore_tick(&mut self, ticks: u64) -> Result<(), ReplayError> {
        let restored = self.checkpoints.restore(&mut self.machine, ticks)?;
        self.past.set(self.machine.ticks() < self.frontier);
        self.next = restored.entries;
        Ok(())
    }

    /// Does something with all stops off.
    pub(crate) fn without_stops<R>(
        &mut self,
        what: impl FnOnce(&mut Self) -> Result<R, ReplayError>,
    ) -> Result<R, ReplayError> {
        if self.stops == Stops::default() {
            return what(self);
        }
        let stops = self.stops.clone();
        self.set_stops(&Stops::default());
        let result = what(self);
        self.set_stops(&stops);
        result
    }

    /// Runs forwards, with what the journal says at its ticks.
    pub(crate) fn run(&mut self, goal: Goal) -> Result<Reached, ReplayError> {
        let mut is_idle = false;
        loop {
            let (ticks, count) = (self.machine.ticks(), self.count());
            let is_there = match goal {
                Goal::Count(goal) => count >= goal,
                Goal::Tick(goal) => ticks >= goal,
            };
            if is_there {
                return Ok(Reached::Goal);
            }
            let entries = self.next;
            if self.happen(ticks)? {
                return Ok(Reached::End);
            }
            // What has just entered may wake it.
            is_idle &= self.next == entries;
            let due = self.machine.next_deadline().unwrap_or(u64::MAX);
            if count >= self.checkpoints.last_count().saturating_add(self.spacing) {
                self.checkpoints.add(&mut self.machine, self.next)?;
            }
            let mut limit = match goal {
                // A halted machine has nothing to count before its next deadline.
                Goal::Count(_) if is_idle => due.max(ticks + 1),
                Goal::Count(goal) => ticks.saturating_add(goal - count),
                Goal::Tick(goal) => goal,
            };
            let checkpoint = self.checkpoints.last_count().saturating_add(self.spacing);
            if checkpoint > count && !is_idle {
                limit = limit.min(ticks.saturating_add(checkpoint - count));
            }
            match self.journal.entries.get(self.next) {
                Some(entry) => limit = limit.min(entry.at()),
                None if self.live && limit == u64::MAX => return Ok(Reached::Stop(Stop::Idle)),
                None if self.live => {}
                None => return Ok(Reached::End),
            }
            self.past.set(ticks < self.frontier);
            if ticks < self.frontier {
                limit = limit.min(self.frontier);
            }
            let stop = self.machine.run_until(limit);
            self.frontier = self.frontier.max(self.machine.ticks());
            self.past.set(self.machine.ticks() < self.frontier);
            // What came due on the way, or just now, may wake it with the next tick.
            is_idle = self.count() == count && self.machine.ticks() < due;
            match stop {
                Stop::Limit => {}
                stop @ (Stop::Breakpoint
                | Stop::Watchpoint(_)
                | Stop::Port(_)
                | Stop::Exception(_)) => return Ok(Reached::Stop(stop)),
                stop => return self.at_last_stop(stop),
            }
        }
    }

    /// The machine stopped by itself: that must be the end.
    fn at_last_stop(&mut self, stop: Stop) -> Result<Reached, ReplayError> {
        let at = self.machine.ticks();
        if self.happen(at)? {
            return Ok(Reached::End);
        }
        match self.journal.entries.get(self.next) {
            Some(entry) => Err(ReplayError::StoppedEarly { at, expected: entry.at() }),
            None => Ok(Reached::Stop(stop)),
        }
    }

    /// Lets happen what the journal says of this tick. Returns whether the run ends here.
    fn happen(&mut self, ticks: u64) -> Result<bool, ReplayError> {
        while let Some(entry) = self.journal.entries.get(self.next) {
            if entry.at() > ticks {
                return Ok(false);
            }
            if entry.at() < ticks {
                let (at, expected) = (ticks, entry.at());
                return Err(ReplayError::Misplaced { at, expected });
            }
            match entry {
                Entry::Input { input, .. } => self.machine.input(input),
                Entry::Hash { hash, .. } if self.verify => {
                    let expected = StateHash(*hash);
                    let found = self.machine.state_hash()?;
                    if found != expected {
                        return Err(ReplayError::Diverged { at: ticks, expected, found });
                    }
                }
                Entry::Hash { .. } => {}
                Entry::End { .. } => return Ok(true),
            }
            self.next += 1;
        }
        Ok(!self.live && self.journal.entries.len() == self.next)
    }

    /// Why the recording ends, if this is its end.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.journal.end()
    }
}

impl std::fmt::Debug for TimeMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TimeMachine(at instruction {})", self.count())
    }
}

#[cfg(test)]
mod tests;
