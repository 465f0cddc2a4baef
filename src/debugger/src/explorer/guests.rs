//! An explorer of one of several guests: the host goes where the guest goes, and the other way round.

use super::{Explorer, ExplorerError, Way};
use crate::host::{HostRun, Order};
use crate::symbols::Symbols;
use cutaway_cpu::CpuState;
use cutaway_machine::{Host, Image, Input, Machine};
use cutaway_replay::TimeMachine;
use std::ops::ControlFlow;

/// The other guests, and the host of all.
pub(super) struct Guests {
    run: HostRun,
    /// By number; the one that is looked at is not here.
    others: Vec<Option<Explorer>>,
    /// The one that is looked at.
    number: usize,
}

/// An instant of a machine, or of one of several guests and their host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    tick: u64,
    host: Option<(usize, (usize, u64))>,
}

impl Explorer {
    /// One of the guests of a host, the first, with names of each guest's addresses.
    pub fn of_host(
        host: Host,
        symbols: Vec<Symbols>,
        budget: usize,
    ) -> Result<Self, ExplorerError> {
        let count = host.guests().len();
        let asked = |error: cutaway_machine::RestoreError| ExplorerError::Asked(error.to_string());
        let mut others = Vec::new();
        let mut symbols = symbols.into_iter();
        for guest in host.guests() {
            let machine = Image::of(guest.machine()).and_then(Image::into_machine);
            let run = TimeMachine::live(machine.map_err(asked)?, budget / count.max(1))?;
            let mut explorer = Self::new(run, true);
            explorer.set_symbols(symbols.next().unwrap_or_default());
            others.push(Some(explorer));
        }
        let first = others.first_mut().and_then(Option::take);
        let mut this = first.ok_or_else(|| "a host needs a guest".to_owned())?;
        let run = HostRun::new(host);
        this.guests = Some(Box::new(Guests { run, others, number: 0 }));
        Ok(this)
    }

    /// The host, if this is one of several guests.
    #[must_use]
    pub fn host(&self) -> Option<&HostRun> {
        self.guests.as_ref().map(|guests| &guests.run)
    }

    /// The number of the guest that is looked at.
    #[must_use]
    pub fn guest(&self) -> usize {
        self.guests.as_ref().map_or(0, |guests| guests.number)
    }

    /// The host, where there must be one.
    fn guests(&mut self) -> Result<&mut Guests, ExplorerError> {
        const NONE: &str = "this machine has no host; --guest puts several on one CPU";
        self.guests.as_deref_mut().ok_or_else(|| ExplorerError::Asked(NONE.to_owned()))
    }

    /// A guest of the host's and its CPU, if it is known at this instant.
    pub(crate) fn guest_here(&self, number: usize) -> Option<(&Machine, CpuState, &Symbols)> {
        let guests = self.guests.as_ref()?;
        let explorer = match guests.others.get(number)? {
            Some(other) => other,
            None => self,
        };
        let own = explorer.run.machine();
        let machine = match own.ticks() == guests.run.own_ticks(number) {
            true => own,
            false => guests.run.machine(number)?,
        };
        Some((machine, machine.vcpu().save(), &explorer.symbols))
    }

    /// Looks at another guest at this instant.
    pub fn look_at(&mut self, name: &str) -> Result<String, ExplorerError> {
        let guests = self.guests()?;
        let count = guests.run.guests();
        let number = match name {
            "next" => (guests.number + 1) % count,
            "previous" => (guests.number + count - 1) % count,
            name => guests.run.named(name)?,
        };
        self.change_to(number);
        self.meet()?;
        Ok(format!("guest {}", self.host().map_or("", |run| run.name(number))))
    }

    fn change_to(&mut self, number: usize) {
        let Some(mut guests) = self.guests.take() else { return };
        if let Some(other) = guests.others.get_mut(number).and_then(Option::take) {
            let between = self.between.take();
            let this = std::mem::replace(self, other);
            guests.others[guests.number] = Some(this);
            guests.number = number;
            self.between = between;
        }
        self.guests = Some(guests);
    }

    /// What has entered the guests is known of their future.
    fn note_entries(&mut self) {
        let Some(guests) = &mut self.guests else { return };
        for (number, other) in guests.others.iter_mut().enumerate() {
            let run = match other {
                Some(other) => &mut other.run,
                None => &mut self.run,
            };
            for (at, input) in guests.run.take_entries(number) {
                run.expect(at, &input);
            }
        }
    }

    /// The guest goes to where the host is.
    fn meet(&mut self) -> Result<(), ExplorerError> {
        self.note_entries();
        let Some(guests) = &self.guests else { return Ok(()) };
        let (number, from) = (guests.number, self.run.machine().ticks());
        let (tick, entered) = (guests.run.own_ticks(number), guests.run.entered(number));
        let reached = self.run.goto_behind(tick, entered)?;
        self.stopped(reached);
        self.arrived(from);
        Ok(())
    }

    /// The host goes to where the guest is.
    pub(super) fn lead_host(&mut self) {
        let tick = self.run.machine().ticks();
        if let Some(guests) = &mut self.guests {
            guests.run.follow(guests.number, tick);
        }
    }

    /// How far the guest may run, more than it has: as far as its host has let it, and the host runs on
    /// for that. Breaks with a sentence if it may not.
    pub(super) fn reach(&mut self) -> Result<ControlFlow<String, u64>, ExplorerError> {
        let here = self.run.machine().ticks();
        loop {
            let Some(guests) = &mut self.guests else { return Ok(ControlFlow::Continue(u64::MAX)) };
            let (number, run) = (guests.number, &mut guests.run);
            let known = run.own_furthest(number);
            if known > here {
                return Ok(ControlFlow::Continue(known));
            }
            if run.has_ended(number) {
                return Ok(ControlFlow::Continue(u64::MAX)); // to the end that it has come to
            }
            if let Err(why) = run.goes_on(number) {
                return Ok(ControlFlow::Break(why.to_owned()));
            }
            if !run.extend()? {
                return Ok(ControlFlow::Break("no guest will ever run again".to_owned()));
            }
            self.note_entries();
            if self.is_interrupted() {
                return Ok(ControlFlow::Break("interrupted".to_owned()));
            }
        }
    }

    /// So many slices on or back.
    pub fn host_step(&mut self, count: u64, way: Way) -> Result<String, ExplorerError> {
        self.guests()?;
        self.as_one(|this| {
            for _ in 0..count {
                let run = &mut this.guests()?.run;
                let went = match way {
                    Way::Forwards => run.step()?,
                    Way::Backwards => run.back_one(),
                };
                if !went {
                    return Ok(match way {
                        Way::Forwards => "no guest will ever run again",
                        Way::Backwards => "this is the start of the host",
                    });
                }
                this.meet()?;
                if this.is_interrupted() {
                    return Ok("interrupted");
                }
            }
            Ok("")
        })
        .and_then(|text| self.meet_others().map(|()| text.to_owned()))
    }

    /// To a tick of the host.
    pub fn host_goto(&mut self, tick: u64) -> Result<String, ExplorerError> {
        while self.guests()?.run.furthest() < tick {
            let went = self.guests()?.run.extend_to(tick)?;
            self.note_entries();
            if !went || self.is_interrupted() {
                break;
            }
        }
        self.guests()?.run.goto(tick);
        self.meet()?;
        self.meet_others()?;
        Ok(String::new())
    }

    /// The other guests go to where the host is, if its own machines are elsewhere.
    fn meet_others(&mut self) -> Result<(), ExplorerError> {
        let Some(guests) = &mut self.guests else { return Ok(()) };
        for (number, other) in guests.others.iter_mut().enumerate() {
            let Some(other) = other.as_mut().filter(|_| guests.run.machine(number).is_none())
            else {
                continue;
            };
            let from = other.run.machine().ticks();
            let (tick, entered) = (guests.run.own_ticks(number), guests.run.entered(number));
            other.run.goto_behind(tick, entered)?;
            other.arrived(from);
        }
        Ok(())
    }

    /// Does something to a guest here; what came after is forgotten.
    pub fn order(&mut self, name: &str, order: Order) -> Result<(), ExplorerError> {
        let number = self.guests()?.run.named(name)?;
        self.branch()?;
        self.guests()?.run.order(number, order)?;
        self.changes += 1;
        self.meet()
    }

    /// Something enters the guest that is looked at.
    pub(super) fn enter(&mut self, input: &Input) -> Result<(), ExplorerError> {
        self.branch()?;
        let guests = self.guests()?;
        guests.run.enter(guests.number, input);
        self.meet()
    }

    /// Makes this instant the last one: the host and its guests are put back here.
    fn branch(&mut self) -> Result<(), ExplorerError> {
        let guests = self.guests()?;
        if guests.run.is_furthest() {
            return Ok(());
        }
        let rest = guests.run.forget_future();
        let mut images = Vec::new();
        for number in 0..guests.run.guests() {
            let (tick, entered) = (guests.run.own_ticks(number), guests.run.entered(number));
            let explorer = match guests.others[number].as_mut() {
                Some(other) => other,
                None => {
                    images.push(None);
                    continue;
                }
            };
            images.push(Some(explorer.cut_at(tick, entered)?));
        }
        let number = guests.number;
        let (tick, entered) = (guests.run.own_ticks(number), guests.run.entered(number));
        images[number] = Some(self.cut_at(tick, entered)?);
        let run = &mut self.guests()?.run;
        for (number, image) in images.iter().enumerate() {
            if let Some(image) = image {
                run.revert(number, image)?;
            }
        }
        run.begin_slice(rest)?;
        self.meet()
    }

    /// Goes to a tick of this guest, forgets what comes after, and keeps the machine.
    fn cut_at(&mut self, tick: u64, entered: usize) -> Result<Image, ExplorerError> {
        self.run.goto_behind(tick, entered)?;
        self.run.go_live();
        self.forget_future();
        Image::of(self.run.machine()).map_err(|error| ExplorerError::Asked(error.to_string()))
    }

    /// Where this is, to come back to.
    pub(crate) fn mark(&self) -> Mark {
        let host = self.guests.as_ref().map(|guests| (guests.number, guests.run.position()));
        Mark { tick: self.run.machine().ticks(), host }
    }

    /// Goes to where the machine has been, as if it had never left. Nothing may have changed what
    /// comes since.
    pub(crate) fn return_to(&mut self, mark: Mark) -> Result<(), ExplorerError> {
        let Some((number, position)) = mark.host else {
            self.run.goto_tick(mark.tick)?;
            self.here = super::Instant::of(self.run.machine());
            return Ok(());
        };
        self.change_to(number);
        let run = &mut self.guests()?.run;
        run.set_position(position);
        self.meet()
    }

    /// Another width of the chart's columns.
    pub fn set_column(&mut self, ticks: u64) -> Result<(), ExplorerError> {
        self.guests()?.run.set_column(ticks);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
