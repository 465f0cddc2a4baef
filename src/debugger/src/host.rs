//! Several guests on one CPU and the past of all of them: who had it when, and what was done to them.
//!
//! The past is a list of moments: slices in which a guest ran or nobody did, and what people did in
//! between. Each has all that the host knew behind it, and how far each guest had come by its own clock.
//! As a guest's clock stands while others run, an instant of the host is an instant of each guest's own
//! past, and a guest's instant is one of the host's: [`crate::explorer::Explorer`] goes from one to the
//! other. The host itself stays at the last moment that is known, until something is done earlier.

use cutaway_machine::{Host, Input, InputLog, Schedule, Share, Slice, Standing};
use cutaway_memory::PAGE_SIZE;
use std::cell::RefCell;
use std::rc::Rc;

/// Moments that are kept.
const MAX_MOMENTS: usize = 100_000;
/// Ticks of a column of the chart, if nothing else is asked for: a slice.
const COLUMN: u64 = 1_000_000;

/// What happened in a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The host begins.
    Start,
    /// A guest had the CPU.
    Ran(usize),
    /// Nobody could have had it.
    Nobody,
    /// Somebody did something, in a few words.
    Done(String),
}

/// Something that happened, and what was behind it.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    pub(crate) what: What,
    /// Ticks of the host before it.
    pub(crate) from: u64,
    /// What the host knew behind it.
    pub(crate) schedule: Schedule,
    /// Each guest's tick behind it.
    own: Vec<u64>,
    /// Inputs that had entered each guest.
    entered: Vec<usize>,
}

/// What can be done to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Keep it off the CPU.
    Suspend,
    /// Let it run again.
    Resume,
    /// Give it so many shares from now on.
    Shares(u32),
    /// Hold it to so many percent of the CPU, or to none.
    Cap(Option<u32>),
    /// Want a balloon of so many of its pages.
    Balloon(u64),
    /// Move so many pages to another guest.
    Move {
        /// That guest.
        to: usize,
        /// How many.
        pages: u64,
    },
}

/// Takes down what enters a guest.
#[derive(Clone, Default)]
struct Entries(Rc<RefCell<Vec<(u64, Input)>>>);

impl InputLog for Entries {
    fn record(&mut self, at: u64, input: &Input) {
        self.0.borrow_mut().push((at, input.clone()));
    }
}

/// A host and its past.
pub struct HostRun {
    host: Host,
    past: Vec<Moment>,
    /// Moments that are over at this instant; the first always is.
    here: usize,
    /// Ticks of the moment behind them that are over.
    into: u64,
    /// What entered each guest lately, and how much did so far.
    entries: Vec<Entries>,
    entered: Vec<usize>,
    column: u64,
}

impl HostRun {
    /// A host from here on.
    pub(crate) fn new(mut host: Host) -> Self {
        let entries: Vec<_> = host.guests().iter().map(|_| Entries::default()).collect();
        for (number, log) in entries.iter().enumerate() {
            if let Some(guest) = host.guest_mut(number) {
                guest.machine_mut().set_input_log(Some(Box::new(log.clone())));
            }
        }
        let entered = vec![0; entries.len()];
        let (past, from) = (Vec::new(), host.now());
        let mut this = Self { host, past, here: 0, into: 0, entries, entered, column: COLUMN };
        this.add(What::Start, from);
        this.here = 1;
        this
    }

    fn add(&mut self, what: What, from: u64) {
        for (count, log) in self.entered.iter_mut().zip(&self.entries) {
            *count += log.0.borrow().len();
        }
        let own = self.host.guests().iter().map(|guest| guest.machine().ticks()).collect();
        let (schedule, entered) = (self.host.schedule(), self.entered.clone());
        self.past.push(Moment { what, from, schedule, own, entered });
    }

    /// What has entered a guest since this was asked last.
    pub(crate) fn take_entries(&mut self, guest: usize) -> Vec<(u64, Input)> {
        self.entries[guest].0.take()
    }

    /// The moment that was over last.
    fn last(&self) -> &Moment {
        &self.past[self.here - 1]
    }

    /// The guest that is in the middle of its slice.
    pub(crate) fn running(&self) -> Option<usize> {
        match self.past.get(self.here)?.what {
            What::Ran(guest) if self.into > 0 => Some(guest),
            _ => None,
        }
    }

    /// The guest that has the CPU, or had it last.
    pub(crate) fn has_cpu(&self) -> Option<usize> {
        self.back().find_map(|(moment, ..)| match moment.what {
            What::Ran(guest) => Some(Some(guest)),
            What::Nobody => Some(None),
            _ => None,
        })?
    }

    /// Ticks of the host at this instant.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.last().schedule.now() + self.into
    }

    /// Ticks of the host at the last instant that is known.
    #[must_use]
    pub fn furthest(&self) -> u64 {
        self.host.now()
    }

    /// Whether this is the last instant that is known.
    pub(crate) fn is_furthest(&self) -> bool {
        self.here == self.past.len() && self.into == 0
    }

    /// How many guests there are.
    #[must_use]
    pub fn guests(&self) -> usize {
        self.host.guests().len()
    }

    /// What a guest is called.
    #[must_use]
    pub fn name(&self, guest: usize) -> &str {
        self.host.guests().get(guest).map_or("", |guest| guest.name())
    }

    /// The guest of a name.
    pub(crate) fn named(&self, name: &str) -> Result<usize, String> {
        let names: Vec<_> = self.host.guests().iter().map(|guest| guest.name()).collect();
        let found = names.iter().position(|known| *known == name);
        found.ok_or_else(|| format!("there is no guest '{name}'; there are {}", names.join(", ")))
    }

    /// How a guest stands.
    #[must_use]
    pub fn standing(&self, guest: usize) -> Standing {
        self.last().schedule.standing(guest).unwrap_or(Standing::Ended)
    }

    /// What a guest may have of the CPU.
    #[must_use]
    pub fn share(&self, guest: usize) -> Share {
        self.last().schedule.share(guest).unwrap_or_default()
    }

    /// Ticks of the CPU that a guest had.
    #[must_use]
    pub fn used(&self, guest: usize) -> u64 {
        let now = if self.running() == Some(guest) { self.into } else { 0 };
        self.last().schedule.used(guest) + now
    }

    /// Ticks that a guest could have run and did not.
    #[must_use]
    pub fn stolen(&self, guest: usize) -> u64 {
        let is_ready = matches!(self.standing(guest), Standing::Ready | Standing::Capped);
        let waits = is_ready && self.running() != Some(guest);
        self.last().schedule.stolen(guest) + if waits { self.into } else { 0 }
    }

    /// A guest's own ticks.
    #[must_use]
    pub fn own_ticks(&self, guest: usize) -> u64 {
        let now = if self.running() == Some(guest) { self.into } else { 0 };
        self.last().own.get(guest).copied().unwrap_or_default() + now
    }

    /// The same at the last instant that is known.
    pub(crate) fn own_furthest(&self, guest: usize) -> u64 {
        self.past[self.past.len() - 1].own[guest]
    }

    /// Inputs that have entered a guest. In the middle of a slice those that came before it too.
    pub(crate) fn entered(&self, guest: usize) -> usize {
        let moment = match self.past.get(self.here) {
            Some(moment) if self.into > 0 => moment,
            _ => self.last(),
        };
        moment.entered[guest]
    }

    /// Pages that a guest believes to have.
    pub(crate) fn pages(&self, guest: usize) -> u64 {
        let guest = self.host.guests().get(guest);
        guest.map_or(0, |guest| guest.machine().config().memory_bytes >> 12)
    }

    /// The host's memory, if it has one of its own.
    pub(crate) fn memory(&self) -> Option<&cutaway_machine::PhysicalMemory> {
        self.last().schedule.memory()
    }

    /// The guest as the host has it, if that is at this instant.
    pub(crate) fn machine(&self, guest: usize) -> Option<&cutaway_machine::Machine> {
        let machine = self.host.guests().get(guest)?.machine();
        (machine.ticks() == self.own_ticks(guest)).then_some(machine)
    }

    /// The hash of a guest's machine, as the host has it at the last instant that is known.
    #[cfg(test)]
    pub(crate) fn hash_furthest(&mut self, guest: usize) -> String {
        let machine = self.host.guest_mut(guest).unwrap().machine_mut();
        format!("{:#}", machine.state_hash().unwrap())
    }

    /// Moments up to this instant, the last first, each with the ticks at which it ended and how the
    /// guests stood in it.
    pub(crate) fn back(&self) -> impl Iterator<Item = (&Moment, u64, &Schedule)> {
        let end = self.here + usize::from(self.into > 0);
        (0..end).rev().map(move |at| {
            let moment = &self.past[at];
            // While nobody runs, all stand as they did before; then they wake.
            let stood = match moment.what {
                What::Nobody => &self.past[at - 1].schedule,
                _ => &moment.schedule,
            };
            (moment, moment.schedule.now().min(self.now()), stood)
        })
    }

    /// Ticks of a column of the chart.
    #[must_use]
    pub fn column(&self) -> u64 {
        self.column
    }

    /// Another width of the chart's columns.
    pub(crate) fn set_column(&mut self, ticks: u64) {
        self.column = ticks.max(1);
    }

    /// Whether a guest can go on from the last instant that is known, if the others let it.
    pub(crate) fn goes_on(&self, guest: usize) -> Result<(), &'static str> {
        let schedule = &self.past[self.past.len() - 1].schedule;
        match schedule.standing(guest) {
            Some(Standing::Suspended) => Err("the guest is suspended; host resume lets it run"),
            _ if schedule.waits_for_input(guest) => Err(WAITS),
            _ => Ok(()),
        }
    }

    /// Whether a guest had ended at the last instant that is known.
    pub(crate) fn has_ended(&self, guest: usize) -> bool {
        let schedule = &self.past[self.past.len() - 1].schedule;
        schedule.standing(guest) == Some(Standing::Ended)
    }

    /// Lets the host run for a slice behind what is known; whether it could.
    pub(crate) fn extend(&mut self) -> Result<bool, String> {
        self.extend_by(Host::step)
    }

    /// The same; if nobody can run, time passes to a tick.
    pub(crate) fn extend_to(&mut self, tick: u64) -> Result<bool, String> {
        self.extend_by(|host| host.step_before(tick))
    }

    fn extend_by(&mut self, run: impl FnOnce(&mut Host) -> Option<Slice>) -> Result<bool, String> {
        if self.past.len() >= MAX_MOMENTS {
            return Err(format!(
                "the host's past has {MAX_MOMENTS} slices, which is all that is kept; go back, or \
                 begin again"
            ));
        }
        let Some(Slice { at, guest, .. }) = run(&mut self.host) else { return Ok(false) };
        self.add(guest.map_or(What::Nobody, What::Ran), at);
        Ok(true)
    }

    /// One moment on; whether there is one.
    pub(crate) fn step(&mut self) -> Result<bool, String> {
        if self.here == self.past.len() && !self.extend()? {
            return Ok(false);
        }
        (self.here, self.into) = (self.here + 1, 0);
        Ok(true)
    }

    /// One moment back; whether there is one.
    pub(crate) fn back_one(&mut self) -> bool {
        if self.into == 0 && self.here == 1 {
            return false;
        }
        self.here -= usize::from(self.into == 0);
        self.into = 0;
        true
    }

    /// To a tick, behind all that was done at it.
    pub(crate) fn goto(&mut self, tick: u64) {
        let over = self.past.partition_point(|moment| moment.schedule.now() <= tick).max(1);
        (self.here, self.into) = (over, 0);
        if over < self.past.len() {
            self.into = tick.saturating_sub(self.last().schedule.now());
        }
    }

    /// To where a guest is at a tick of its own.
    pub(crate) fn follow(&mut self, guest: usize, tick: u64) {
        if self.own_ticks(guest) == tick {
            return;
        }
        let at = self.past.partition_point(|moment| moment.own[guest] < tick);
        let Some(moment) = self.past.get(at) else {
            (self.here, self.into) = (self.past.len(), 0);
            return;
        };
        let before = at.checked_sub(1).map(|before| self.past[before].own[guest]);
        let (Some(before), true) = (before, moment.own[guest] > tick) else {
            (self.here, self.into) = (at + 1, 0);
            return;
        };
        // The clock jumps over the sleep at the end of a slice.
        let (into, whole) = (tick - before, moment.schedule.now() - moment.from);
        (self.here, self.into) = if into < whole { (at, into) } else { (at + 1, 0) };
    }

    /// Where this instant is, to come back to.
    pub(crate) fn position(&self) -> (usize, u64) {
        (self.here, self.into)
    }

    /// To a position that it was at.
    pub(crate) fn set_position(&mut self, (here, into): (usize, u64)) {
        let here = here.clamp(1, self.past.len());
        let into = if here < self.past.len() { into } else { 0 };
        (self.here, self.into) = (here, into);
    }

    /// Forgets what comes behind the last whole moment. The machines are the caller's to put back, as
    /// [`Self::own_ticks`] says; the result is how far into the next moment this instant was.
    pub(crate) fn forget_future(&mut self) -> u64 {
        self.past.truncate(self.here);
        self.host.set_schedule(&self.past[self.here - 1].schedule);
        self.entered.clone_from(&self.past[self.here - 1].entered);
        std::mem::take(&mut self.into)
    }

    /// Puts a guest's machine to where an image is.
    pub(crate) fn revert(
        &mut self,
        guest: usize,
        image: &cutaway_machine::Image,
    ) -> Result<(), String> {
        let Some(guest) = self.host.guest_mut(guest) else { return Ok(()) };
        guest.machine_mut().revert(image).map_err(|error| error.to_string())
    }

    /// The first ticks of a slice again, as a slice of their own.
    pub(crate) fn begin_slice(&mut self, ticks: u64) -> Result<(), String> {
        if ticks > 0 && self.extend_by(|host| host.step_within(ticks))? {
            self.here = self.past.len();
        }
        Ok(())
    }

    /// Does something to a guest, at the last instant that is known.
    pub(crate) fn order(&mut self, guest: usize, order: Order) -> Result<(), String> {
        let (name, from) = (self.name(guest).to_owned(), self.host.now());
        let share = self.share(guest);
        let text = match order {
            Order::Suspend => {
                self.host.suspend(guest);
                format!("{name} suspended")
            }
            Order::Resume => {
                self.host.resume(guest);
                format!("{name} resumed")
            }
            Order::Shares(shares) => {
                self.host.set_share(guest, Share { shares, ..share });
                format!("{name} has {shares} shares")
            }
            Order::Cap(cap) => {
                self.host.set_share(guest, Share { cap, ..share });
                match cap {
                    Some(cap) => format!("{name} has at most {cap} % of the CPU"),
                    None => format!("{name} has no cap"),
                }
            }
            Order::Balloon(pages) => {
                let rest = self.pages(guest).saturating_sub(pages) * PAGE_SIZE;
                self.host.set_balloon(guest, rest).map_err(|error| format!("{name}: {error}"))?;
                format!("{name} shall give up {pages} pages")
            }
            Order::Move { to, pages } => {
                let bytes = pages.saturating_mul(PAGE_SIZE);
                self.host.move_memory(guest, to, bytes).map_err(|error| error.to_string())?;
                format!("{pages} pages begin to go from {name} to {}", self.name(to))
            }
        };
        self.add(What::Done(text), from);
        self.here = self.past.len();
        Ok(())
    }

    /// Something enters a guest, at the last instant that is known.
    pub(crate) fn enter(&mut self, guest: usize, input: &Input) {
        let (name, from) = (self.name(guest).to_owned(), self.host.now());
        if let Some(guest) = self.host.guest_mut(guest) {
            guest.machine_mut().input(input);
        }
        self.host.wake(guest);
        self.add(What::Done(format!("input for {name}")), from);
        self.here = self.past.len();
    }
}

/// What a guest does that nothing but an input can wake.
pub(crate) const WAITS: &str = "the guest waits in HLT, and only an input can wake it";
