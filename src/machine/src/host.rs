//! Several guests on one physical CPU: who runs when, and what each got.
//!
//! Guests take turns in slices. Who has had least in relation to its shares goes first (stride
//! scheduling: C. A. Waldspurger and W. E. Weihl, "Stride Scheduling: Deterministic
//! Proportional-Share Resource Management", 1995); equal shares are round robin. A cap holds a guest to
//! a part of each period even if nobody else wants the CPU.
//!
//! A guest's clock stands still while it could run but does not: that time is *stolen*, and the
//! guest cannot see it. So what a guest does hangs on nothing but itself, and is the same
//! whoever else is there. The exception is a guest with KVM's interface ([`crate::Config::kvm`]):
//! before each of its slices it is told what was stolen, by an input.

mod copies;
mod resources;
mod schedule;

use crate::{Input, Machine, PhysicalMemory, Stop};

pub use copies::{CopyError, GuestSnapshot};
pub use resources::ResourceError;
pub use schedule::{Schedule, Standing};

use resources::Moving;

/// Ticks that a guest runs before the next one's turn: a millisecond at the usual rate.
const SLICE: u64 = 1_000_000;
/// Ticks of the physical CPU in which a cap is kept.
const PERIOD: u64 = 100_000_000;
/// What a pass grows by in a slice of a guest with one share.
const STRIDE: u128 = 1 << 20;

/// What a guest may have of the physical CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// In relation to the shares of the others; not zero.
    pub shares: u32,
    /// The most percent of a period, if there is a limit.
    pub cap: Option<u32>,
}

impl Default for Share {
    fn default() -> Self {
        Self { shares: 1, cap: None }
    }
}

/// How a guest stands.
#[derive(Clone, Debug)]
enum State {
    Ready,
    /// Halted until this tick of the host; without one only an input wakes it.
    Asleep(Option<u64>),
    /// Off the CPU, and what it waited for.
    Suspended(Sleep),
    Ended(Stop),
}

/// Whether a guest waits for something.
#[derive(Clone, Copy, Debug)]
enum Sleep {
    No,
    /// For so many ticks of the host still. The guest's own clock stands at the end of them.
    Ticks(u64),
    /// For an input.
    Input,
}

impl State {
    /// What the guest waits for; nothing if it has ended.
    fn sleep(&self, now: u64) -> Option<Sleep> {
        Some(match self {
            Self::Ready => Sleep::No,
            Self::Asleep(Some(until)) => Sleep::Ticks(until.saturating_sub(now)),
            Self::Asleep(None) => Sleep::Input,
            Self::Suspended(sleep) => *sleep,
            Self::Ended(_) => return None,
        })
    }

    /// A guest that waits so from now on.
    fn after(sleep: Sleep, now: u64) -> Self {
        match sleep {
            Sleep::No => Self::Ready,
            Sleep::Ticks(ticks) => Self::Asleep(Some(now.saturating_add(ticks))),
            Sleep::Input => Self::Asleep(None),
        }
    }
}

/// What a host knows of a guest, beside the guest itself.
#[derive(Clone, Debug)]
struct Account {
    share: Share,
    state: State,
    /// Stride scheduling's measure of what it had.
    pass: u128,
    used: u64,
    used_in_period: u64,
    stolen: u64,
    ready_since: u64,
    /// Somebody has said how large its balloon shall be, so that the host leaves it alone.
    balloon_by_hand: bool,
}

impl Account {
    /// Whether it has had what it may of this period.
    fn is_at_cap(&self) -> bool {
        let most = self.share.cap.map(|cap| PERIOD / 100 * u64::from(cap));
        most.is_some_and(|most| self.used_in_period >= most)
    }

    /// Whether it can run and may have more of this period.
    fn may_run(&self) -> bool {
        matches!(self.state, State::Ready) && !self.is_at_cap()
    }
}

/// A guest among several.
pub struct Tenant {
    name: String,
    machine: Machine,
    account: Account,
}

impl Tenant {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The guest.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The guest, to give it inputs or look deeper.
    pub fn machine_mut(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// What it may have.
    #[must_use]
    pub fn share(&self) -> Share {
        self.account.share
    }

    /// Ticks of the physical CPU that it had.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.account.used
    }

    /// Ticks that it could have run and did not.
    #[must_use]
    pub fn stolen(&self) -> u64 {
        self.account.stolen
    }

    /// Why it runs no more, if it has ended.
    #[must_use]
    pub fn ended(&self) -> Option<&Stop> {
        match &self.account.state {
            State::Ended(stop) => Some(stop),
            _ => None,
        }
    }
}

/// A stretch of the physical CPU's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Ticks of the host before it.
    pub at: u64,
    /// How many ticks.
    pub ticks: u64,
    /// The guest that ran, by its number; nobody did if there is none.
    pub guest: Option<usize>,
}

/// One physical CPU and the guests on it.
#[derive(Default)]
pub struct Host {
    guests: Vec<Tenant>,
    now: u64,
    period: u64,
    memory: Option<PhysicalMemory>,
    /// Memory on its way from one guest to another.
    moves: Vec<Moving>,
}

impl Host {
    /// Without guests.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a guest; the result is its number.
    pub fn add(&mut self, name: &str, machine: Machine, share: Share) -> usize {
        let share = Share { shares: share.shares.max(1), cap: share.cap };
        // A newcomer has no claim to the time before it came.
        let pass = self.guests.iter().map(|guest| guest.account.pass).min().unwrap_or(0);
        let account = Account {
            share,
            state: State::Ready,
            pass,
            used: 0,
            used_in_period: 0,
            stolen: 0,
            ready_since: self.now,
            balloon_by_hand: false,
        };
        self.guests.push(Tenant { name: name.to_owned(), machine, account });
        self.guests.len() - 1
    }

    /// All guests.
    #[must_use]
    pub fn guests(&self) -> &[Tenant] {
        &self.guests
    }

    /// A guest by its number.
    pub fn guest_mut(&mut self, number: usize) -> Option<&mut Tenant> {
        self.guests.get_mut(number)
    }

    /// Ticks of the physical CPU so far.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Gives the host a memory of its own, of so many bytes, which the guests share from now on.
    pub fn set_memory(&mut self, bytes: u64) {
        self.memory = Some(PhysicalMemory::new(bytes, self.now));
    }

    /// What is in the host's memory, if it has one of its own.
    #[must_use]
    pub fn memory(&self) -> Option<&PhysicalMemory> {
        self.memory.as_ref()
    }

    /// What a guest may have of the physical CPU from now on: the CPU moves from one to another while
    /// they run.
    pub fn set_share(&mut self, number: usize, share: Share) {
        if let Some(guest) = self.guests.get_mut(number) {
            guest.account.share = Share { shares: share.shares.max(1), cap: share.cap };
        }
    }

    /// Takes a guest off the CPU until [`Self::resume`].
    pub fn suspend(&mut self, number: usize) {
        let now = self.now;
        if let Some(guest) = self.guests.get_mut(number)
            && let Some(sleep) = guest.account.state.sleep(now)
        {
            guest.account.state = State::Suspended(sleep);
        }
    }

    /// Lets a suspended guest run again.
    pub fn resume(&mut self, number: usize) {
        let (now, least) = (self.now, self.least_pass());
        if let Some(guest) = self.guests.get_mut(number)
            && let State::Suspended(sleep) = guest.account.state
        {
            guest.account.state = State::after(sleep, now);
            guest.account.pass = guest.account.pass.max(least);
            guest.account.ready_since = now;
        }
    }

    /// Lets a guest that waits for an input look for it.
    pub fn wake(&mut self, number: usize) {
        let now = self.now;
        let Some(guest) = self.guests.get_mut(number) else { return };
        match guest.account.state {
            State::Asleep(None) => {
                guest.account.state = State::Ready;
                guest.account.ready_since = now;
            }
            State::Suspended(Sleep::Input) => guest.account.state = State::Suspended(Sleep::No),
            _ => {}
        }
    }

    fn least_pass(&self) -> u128 {
        let ready = self.guests.iter().filter(|guest| matches!(guest.account.state, State::Ready));
        ready.map(|guest| guest.account.pass).min().unwrap_or(0)
    }

    /// Wakes the guests whose time has come, and begins a new period if one is over.
    fn settle(&mut self) {
        if self.now - self.period >= PERIOD {
            self.period = self.now - self.now % PERIOD;
            self.guests.iter_mut().for_each(|guest| guest.account.used_in_period = 0);
        }
        let (now, least) = (self.now, self.least_pass());
        for guest in &mut self.guests {
            if let State::Asleep(Some(until)) = guest.account.state
                && until <= now
            {
                // Its clock stands at the deadline already; what the host took longer is stolen.
                guest.account.state = State::Ready;
                guest.account.pass = guest.account.pass.max(least);
                guest.account.ready_since = until;
            }
        }
    }

    /// Lets the next guest run for a slice, or time pass if none can. Nothing is returned when no
    /// guest will ever run again by itself.
    pub fn step(&mut self) -> Option<Slice> {
        self.step_before(u64::MAX)
    }

    /// As [`Self::step`], but time passes no further than to `limit` while no guest runs, even if
    /// none will ever run again by itself.
    pub fn step_before(&mut self, limit: u64) -> Option<Slice> {
        self.step_for(SLICE, limit)
    }

    /// As [`Self::step`], but the guest runs for so many ticks at most: something comes in between.
    pub fn step_within(&mut self, most: u64) -> Option<Slice> {
        self.step_for(SLICE.min(most), self.now.saturating_add(most))
    }

    /// A slice of so many ticks, or time up to `limit`.
    fn step_for(&mut self, slice: u64, limit: u64) -> Option<Slice> {
        self.settle();
        self.settle_moves();
        self.settle_memory();
        let at = self.now;
        let able = self.guests.iter().enumerate().filter(|(_, guest)| guest.account.may_run());
        let Some(number) = able.min_by_key(|(number, guest)| (guest.account.pass, *number)) else {
            return self.wait(at, limit);
        };
        let number = number.0;
        let guest = &mut self.guests[number];
        let stolen = at - guest.account.ready_since;
        guest.account.stolen += stolen;
        if stolen > 0 && guest.machine.config().kvm {
            guest.machine.input(&Input::Stolen(stolen));
        }
        let (ticks, skipped) = (guest.machine.ticks(), guest.machine.instructions());
        let stop = guest.machine.run_until_idle(ticks + slice);
        let ran = guest.machine.ticks() - ticks;
        let ran = ran.max(guest.machine.instructions() - skipped);
        self.now += ran;
        guest.account.used += ran;
        guest.account.used_in_period += ran;
        guest.account.pass +=
            STRIDE * u128::from(ran.max(1)) / u128::from(guest.account.share.shares);
        guest.account.ready_since = self.now;
        match stop {
            Stop::Limit => {}
            Stop::Idle => {
                let sleep = guest.machine.sleep();
                guest.account.state = State::Asleep(sleep.map(|ticks| self.now + ticks));
            }
            stop => guest.account.state = State::Ended(stop),
        }
        Some(Slice { at, ticks: ran, guest: Some(number) })
    }

    /// Shares and takes pages, if it is time.
    fn settle_memory(&mut self) {
        let Some(memory) = self.memory.as_mut().filter(|memory| memory.is_due(self.now)) else {
            return;
        };
        memory.balance(self.now, self.guests.iter_mut().map(|guest| &mut guest.machine));
        let by_itself = |guest: &Tenant| !guest.account.balloon_by_hand && guest.ended().is_none();
        let guests = self.guests.iter_mut().enumerate().filter(|(_, guest)| by_itself(guest));
        let guests = guests.map(|(number, guest)| (number, &mut guest.machine));
        for number in memory.blow_balloons(guests) {
            self.wake(number);
        }
    }

    /// Lets time pass until a guest wakes or a capped one may go on.
    fn wait(&mut self, at: u64, limit: u64) -> Option<Slice> {
        let wakes = self.guests.iter().filter_map(|guest| match guest.account.state {
            State::Asleep(until) => until,
            State::Ready => Some(self.period + PERIOD),
            State::Suspended(_) | State::Ended(_) => None,
        });
        let limit = Some(limit).filter(|limit| *limit != u64::MAX);
        let until = wakes.min().into_iter().chain(limit).min()?.max(at + 1);
        self.now = until;
        Some(Slice { at, ticks: until - at, guest: None })
    }
}

#[cfg(test)]
mod tests;
