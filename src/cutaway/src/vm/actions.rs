//! What is done to guests while they run: snapshots, going back, clones, rest.

use std::collections::BTreeMap;
use std::time::Instant;

use cutaway::machine::{CopyError, GuestSnapshot, Host, ResourceError, Share};

use crate::args::VmHostArgs;
use crate::exit::BAD_INPUT;
use crate::failure::Failure;
use crate::quantity::parse_memory;
use cutaway::debugger::grouped;

/// The most clones of one guest at once.
const MOST_CLONES: usize = 1000;

/// What can be done to a guest. At one tick it is done in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Snapshot,
    Revert,
    Clone(usize),
    Suspend,
    Resume,
    Shares(u32),
    Cap(u32),
    Balloon(u64),
    MoveMemory(u64),
    MoveDisk,
    Type,
}

impl Kind {
    fn option(self) -> &'static str {
        match self {
            Self::Snapshot => "--snapshot",
            Self::Revert => "--revert",
            Self::Clone(_) => "--clone",
            Self::Suspend => "--suspend",
            Self::Resume => "--resume",
            Self::Shares(_) => "--shares",
            Self::Cap(_) => "--cap",
            Self::Balloon(_) => "--balloon",
            Self::MoveMemory(_) => "--move-memory",
            Self::MoveDisk => "--move-disk",
            Self::Type => "--type",
        }
    }

    /// What stands behind the option.
    fn form(self) -> &'static str {
        match self {
            Self::Clone(_) => "NAME*COUNT@TICKS",
            Self::Shares(_) => "NAME=SHARES@TICKS, shares from 1 to 10000",
            Self::Cap(_) => "NAME=PERCENT@TICKS, percent from 1 to 100",
            Self::Balloon(_) => "NAME=SIZE@TICKS, such as web=32M@500000000",
            Self::MoveMemory(_) => "FROM:TO=SIZE@TICKS, such as a:b=8M@500000000",
            Self::MoveDisk => "FROM:TO@TICKS",
            Self::Type => "NAME=LINE@TICKS, such as 'web=spawn spin@500000000'",
            _ => "NAME@TICKS",
        }
    }
}

/// Something to be done to a guest at a tick of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Action {
    at: u64,
    kind: Kind,
    guest: String,
    /// What is typed.
    line: String,
}

impl Action {
    /// NAME@TICKS; of a clone NAME*COUNT@TICKS too; of what a guest gets NAME=NUMBER@TICKS. What goes from
    /// one to another has FROM:TO for a name.
    fn parse(kind: Kind, text: &str) -> Result<Self, Failure> {
        let bad = |what: String| {
            Failure::new(BAD_INPUT, what, format!("{} takes {}", kind.option(), kind.form()))
        };
        let Some((guest, at)) = text.rsplit_once('@') else {
            return Err(bad(format!("'{text}' has no @TICKS")));
        };
        let at = at.parse().map_err(|_| bad(format!("'{at}' is no count of ticks")))?;
        if kind == Kind::Type {
            let named = guest.split_once('=');
            let (guest, line) = named.ok_or_else(|| bad(format!("'{text}' has no NAME=")))?;
            return Ok(Self { at, kind, guest: guest.to_owned(), line: line.to_owned() });
        }
        let line = String::new();
        if let Kind::Balloon(_) | Kind::MoveMemory(_) = kind {
            let named = guest.rsplit_once('=');
            let size = named.and_then(|(guest, size)| Some((guest, parse_memory(size).ok()?)));
            let (guest, bytes) = size.ok_or_else(|| bad(format!("'{text}' does not fit")))?;
            let balloon = matches!(kind, Kind::Balloon(_));
            let kind = if balloon { Kind::Balloon(bytes) } else { Kind::MoveMemory(bytes) };
            return Ok(Self { at, kind, guest: guest.to_owned(), line });
        }
        if let Kind::Shares(most) | Kind::Cap(most) = kind {
            let named = guest.rsplit_once('=');
            let number = named.and_then(|(guest, number)| Some((guest, number.parse().ok()?)));
            let number = number.filter(|(_, number)| (1..=most).contains(number));
            let (guest, number) = number.ok_or_else(|| bad(format!("'{text}' does not fit")))?;
            let shares = matches!(kind, Kind::Shares(_));
            let kind = if shares { Kind::Shares(number) } else { Kind::Cap(number) };
            return Ok(Self { at, kind, guest: guest.to_owned(), line });
        }
        let (guest, kind) = match (kind, guest.rsplit_once('*')) {
            (Kind::Clone(_), Some((guest, count))) => {
                let fits = |count: &usize| (1..=MOST_CLONES).contains(count);
                let count = count.parse().ok().filter(fits);
                let count = count
                    .ok_or_else(|| bad(format!("'{text}' is not 1 to {MOST_CLONES} clones")))?;
                (guest, Kind::Clone(count))
            }
            _ => (guest, kind),
        };
        Ok(Self { at, kind, guest: guest.to_owned(), line })
    }
}

/// All that is to be done, and the snapshots taken.
pub(super) struct Actions {
    /// The next one last.
    due: Vec<Action>,
    snapshots: BTreeMap<usize, GuestSnapshot>,
    /// Clones made of each guest.
    clones: BTreeMap<usize, usize>,
    /// What was done, a line each.
    done: String,
}

impl Actions {
    /// As asked for on the command line.
    pub(super) fn of(args: &VmHostArgs) -> Result<Self, Failure> {
        let asked = [
            (Kind::Snapshot, &args.snapshot),
            (Kind::Revert, &args.revert),
            (Kind::Clone(1), &args.clone),
            (Kind::Suspend, &args.suspend),
            (Kind::Resume, &args.resume),
            (Kind::Shares(10_000), &args.shares),
            (Kind::Cap(100), &args.cap),
            (Kind::Balloon(0), &args.balloon),
            (Kind::MoveMemory(0), &args.move_memory),
            (Kind::MoveDisk, &args.move_disk),
            (Kind::Type, &args.typed),
        ];
        let mut due = Vec::new();
        for (kind, texts) in asked {
            for text in texts {
                due.push(Action::parse(kind, text)?);
            }
        }
        due.sort_by_key(|action| (action.at, action.kind));
        due.reverse();
        let (snapshots, clones) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { due, snapshots, clones, done: String::new() })
    }

    /// Refuses what is to be done when the run is over.
    pub(super) fn end_before(&self, end: u64) -> Result<(), Failure> {
        let Some(late) = self.due.iter().find(|action| action.at >= end) else { return Ok(()) };
        let (option, at) = (late.kind.option(), grouped(late.at));
        let what = format!("{option} {}: tick {at} is behind the end of the run", late.guest);
        Err(Failure::new(BAD_INPUT, what, "--max-instructions lets it run longer"))
    }

    /// When something is to be done next.
    pub(super) fn next(&self) -> Option<u64> {
        self.due.last().map(|action| action.at)
    }

    /// Does what is due.
    pub(super) fn act(&mut self, host: &mut Host) -> Result<(), Failure> {
        while let Some(action) = self.due.pop_if(|action| action.at <= host.now()) {
            self.carry_out(host, &action)?;
        }
        Ok(())
    }

    /// What was done and when; nothing if nothing was asked for.
    pub(super) fn text(&self) -> String {
        if self.done.is_empty() { String::new() } else { format!("{}\n", self.done) }
    }

    fn carry_out(&mut self, host: &mut Host, action: &Action) -> Result<(), Failure> {
        let moves = matches!(action.kind, Kind::MoveMemory(_) | Kind::MoveDisk);
        let (name, taker) = match action.guest.split_once(':').filter(|_| moves) {
            Some((name, taker)) => (name, taker),
            None if moves => {
                let what = format!("'{}' names no two guests", action.guest);
                let remedy = format!("{} takes {}", action.kind.option(), action.kind.form());
                return Err(Failure::new(BAD_INPUT, what, remedy));
            }
            None => (action.guest.as_str(), action.guest.as_str()),
        };
        let number = number_of(host, action.kind, name)?;
        let taker_number = number_of(host, action.kind, taker)?;
        let unmoved = |error: ResourceError| {
            let what = format!("{} {}: {error}", action.kind.option(), action.guest);
            Failure::new(BAD_INPUT, what, remedy_of(&error))
        };
        let failed = |error: CopyError| {
            let what = format!("{} {name}: {error}", action.kind.option());
            Failure::new(BAD_INPUT, what, "choose an earlier tick")
        };
        let started = Instant::now();
        let what = match action.kind {
            Kind::Snapshot => {
                self.snapshots.insert(number, host.snapshot(number).map_err(failed)?);
                format!("snapshot of {name}")
            }
            Kind::Revert => {
                let Some(snapshot) = self.snapshots.get(&number) else {
                    let what = format!("--revert {name}: it has no snapshot to go back to");
                    let remedy = format!("--snapshot {name}@TICKS takes one, at an earlier tick");
                    return Err(Failure::new(BAD_INPUT, what, remedy));
                };
                host.revert(number, snapshot).map_err(failed)?;
                format!("{name} back at its snapshot")
            }
            Kind::Clone(count) => {
                let made = self.clones.entry(number).or_default();
                let names: Vec<_> =
                    (0..count).map(|n| format!("{name}-{}", *made + n + 1)).collect();
                *made += count;
                for clone in &names {
                    host.clone_guest(number, clone).map_err(failed)?;
                }
                format!("{name} cloned: {}", names.join(", "))
            }
            Kind::Suspend => {
                host.suspend(number);
                format!("{name} suspended")
            }
            Kind::Resume => {
                host.resume(number);
                format!("{name} resumed")
            }
            Kind::Shares(shares) => {
                let share = Share { shares, ..host.guests()[number].share() };
                host.set_share(number, share);
                format!("{name} has {shares} shares")
            }
            Kind::Cap(cap) => {
                let share = Share { cap: Some(cap), ..host.guests()[number].share() };
                host.set_share(number, share);
                format!("{name} has at most {cap} % of the CPU")
            }
            Kind::Balloon(bytes) => {
                host.set_balloon(number, bytes).map_err(unmoved)?;
                format!("{name} shall do with {} KiB", grouped(bytes >> 10))
            }
            Kind::MoveMemory(bytes) => {
                host.move_memory(number, taker_number, bytes).map_err(unmoved)?;
                format!("{} KiB begin to go from {name} to {taker}", grouped(bytes >> 10))
            }
            Kind::Type => {
                let line = format!("{}\r", action.line);
                if let Some(guest) = host.guest_mut(number) {
                    guest.machine_mut().serial_input(0, line.as_bytes());
                }
                host.wake(number);
                format!("typed at {name}: {}", action.line.escape_debug())
            }
            Kind::MoveDisk => {
                host.move_disk(number, taker_number).map_err(unmoved)?;
                format!("the disk of {name} is in {taker}")
            }
        };
        self.done += &format!("{:>15}  {what}\n", grouped(host.now()));
        // The time hangs on the real host, so it stays out of what runs are compared by.
        eprintln!("cutaway: {what} in {:.2} ms", started.elapsed().as_secs_f64() * 1e3);
        Ok(())
    }
}

/// The guest of a name.
fn number_of(host: &Host, kind: Kind, name: &str) -> Result<usize, Failure> {
    let named = host.guests().iter().position(|guest| guest.name() == name);
    named.ok_or_else(|| {
        let names: Vec<_> = host.guests().iter().map(|guest| guest.name()).collect();
        let what = format!("{}: there is no guest '{name}'", kind.option());
        let then = format!("at tick {} there are {}", grouped(host.now()), names.join(", "));
        Failure::new(BAD_INPUT, what, then)
    })
}

/// What to do about something that cannot be moved.
fn remedy_of(error: &ResourceError) -> &'static str {
    match error {
        ResourceError::NoBalloon => {
            "a guest has one with balloon=on, and its driver a little after it has started; Linux's is \
             the module virtio_balloon"
        }
        ResourceError::NoDisk | ResourceError::NoRoom { .. } => {
            "a guest has a disk with disk=SIZE, and an empty drive for one with drive=SIZE"
        }
        ResourceError::TooSmall { .. } => {
            "--balloon puts a part of its memory into its balloon first"
        }
        _ => "choose other guests, or less",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_have_a_guest_and_a_tick() {
        let clones = Action::parse(Kind::Clone(1), "web*3@4000").unwrap();
        assert_eq!(
            clones,
            Action { at: 4000, kind: Kind::Clone(3), guest: "web".to_owned(), line: String::new() }
        );
        let one = Action::parse(Kind::Clone(1), "a@b@7").unwrap();
        assert_eq!(
            one,
            Action { at: 7, kind: Kind::Clone(1), guest: "a@b".to_owned(), line: String::new() }
        );
        for bad in ["web", "web@", "web@x", "web*0@1", "web*1001@1", "web*x@1"] {
            assert!(Action::parse(Kind::Clone(1), bad).is_err(), "{bad}");
        }
        let error = Action::parse(Kind::Revert, "web").unwrap_err();
        assert_eq!(error.to_string(), "'web' has no @TICKS; --revert takes NAME@TICKS");
    }
}
