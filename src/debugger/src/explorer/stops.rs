//! Breakpoints, watchpoints and other stops that people set, with their conditions.

use super::{Explorer, ExplorerError};
use crate::names::vector_text;
use cutaway_isa::Vector;
use cutaway_machine::{Stop, Stops, Watch};
use std::fmt;
use std::ops::RangeInclusive;

/// More than a person sets.
const MAX_POINTS: usize = 1_000;

/// What stops.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Breakpoint(u64),
    Watch(Watch),
    Port(RangeInclusive<u16>),
    Exception(u8),
}

/// A place or happening at which the machine stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopPoint {
    /// The number by which it is deleted.
    pub number: u32,
    kind: Kind,
    /// An expression that must not be zero.
    condition: Option<String>,
}

impl StopPoint {
    /// The linear address, of a breakpoint.
    #[must_use]
    pub fn breakpoint(&self) -> Option<u64> {
        match self.kind {
            Kind::Breakpoint(linear) => Some(linear),
            _ => None,
        }
    }

    fn is_hit(&self, stop: &Stop, pc: u64) -> bool {
        match (&self.kind, stop) {
            (Kind::Breakpoint(linear), Stop::Breakpoint) => *linear == pc,
            (Kind::Watch(watch), Stop::Watchpoint(touch)) => {
                let kind = if touch.write { watch.writes } else { watch.reads };
                let end = touch.address.saturating_add(touch.size);
                let watch_end = watch.start.saturating_add(watch.len);
                kind && touch.address < watch_end && watch.start < end
            }
            (Kind::Port(ports), Stop::Port(access)) => {
                let last = access.port.saturating_add(access.width.bytes() as u16 - 1);
                *ports.start() <= last && access.port <= *ports.end()
            }
            (Kind::Exception(vector), Stop::Exception(raised)) => *vector == raised.0,
            _ => false,
        }
    }
}

impl fmt::Display for StopPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.number)?;
        match &self.kind {
            Kind::Breakpoint(linear) => write!(f, "breakpoint at {linear:#x}")?,
            Kind::Watch(watch) => {
                let what = match (watch.reads, watch.writes) {
                    (true, true) => "reads and writes",
                    (true, false) => "reads",
                    _ => "writes",
                };
                let space = if watch.physical { "physical " } else { "" };
                write!(f, "{what} of {} bytes at {space}{:#x}", watch.len, watch.start)?;
            }
            Kind::Port(ports) => write!(f, "port {:#x} to {:#x}", ports.start(), ports.end())?,
            Kind::Exception(vector) => write!(f, "exception {}", vector_text(Vector(*vector)))?,
        }
        match &self.condition {
            Some(condition) => write!(f, " if {condition}"),
            None => Ok(()),
        }
    }
}

impl Explorer {
    /// All stops that are set.
    #[must_use]
    pub fn points(&self) -> &[StopPoint] {
        &self.points
    }

    /// Puts other stops in the place of those that are set, and returns these.
    pub(crate) fn set_points(&mut self, points: Vec<StopPoint>) -> Vec<StopPoint> {
        let old = std::mem::replace(&mut self.points, points);
        self.apply();
        old
    }

    /// Stops before the instruction at a linear address, in whatever address space.
    pub fn break_at(
        &mut self,
        linear: u64,
        condition: Option<&str>,
    ) -> Result<&StopPoint, ExplorerError> {
        self.add(Kind::Breakpoint(linear), condition)
    }

    /// Stops behind an instruction that touches these bytes.
    pub fn watch(
        &mut self,
        watch: Watch,
        condition: Option<&str>,
    ) -> Result<&StopPoint, ExplorerError> {
        self.add(Kind::Watch(watch), condition)
    }

    /// Stops behind an access to these ports.
    pub fn stop_at_port(
        &mut self,
        ports: RangeInclusive<u16>,
        condition: Option<&str>,
    ) -> Result<&StopPoint, ExplorerError> {
        self.add(Kind::Port(ports), condition)
    }

    /// Stops before an exception is delivered, 0 to 31.
    pub fn stop_at_exception(
        &mut self,
        vector: u8,
        condition: Option<&str>,
    ) -> Result<&StopPoint, ExplorerError> {
        if vector > 31 {
            return Err(format!("vector {vector} is no exception; they are 0 to 31").into());
        }
        self.add(Kind::Exception(vector), condition)
    }

    fn add(&mut self, kind: Kind, condition: Option<&str>) -> Result<&StopPoint, ExplorerError> {
        if self.points.len() >= MAX_POINTS {
            return Err(format!("{MAX_POINTS} stops are set already").into());
        }
        if let Some(condition) = condition {
            // What cannot be read now may be there then; a condition that is no expression never is.
            self.evaluate(condition).or_else(|error| {
                if error.contains("no memory") || error.contains("division") {
                    Ok(0)
                } else {
                    Err(error)
                }
            })?;
        }
        let (number, condition) = (self.next_number, condition.map(str::to_owned));
        self.next_number += 1;
        self.points.push(StopPoint { number, kind, condition });
        self.apply();
        Ok(&self.points[self.points.len() - 1])
    }

    /// Takes a stop away, or all of them.
    pub fn delete(&mut self, number: Option<u32>) -> Result<(), ExplorerError> {
        let before = self.points.len();
        self.points.retain(|point| number.is_some_and(|number| point.number != number));
        if number.is_some() && self.points.len() == before {
            return Err("there is no stop of that number; info stops lists them".to_owned().into());
        }
        self.apply();
        Ok(())
    }

    fn apply(&mut self) {
        let stops = self.stops();
        self.run.set_stops(&stops);
    }

    /// What the machine should stop at, without the conditions.
    pub(super) fn stops(&self) -> Stops {
        let mut stops = Stops::default();
        for point in &self.points {
            match &point.kind {
                Kind::Breakpoint(linear) => stops.breakpoints.push(*linear),
                Kind::Watch(watch) => stops.watches.push(*watch),
                Kind::Port(ports) => stops.ports.push(ports.clone()),
                Kind::Exception(vector) => stops.exceptions |= 1 << vector,
            }
        }
        stops
    }

    /// The stop that this one of the machine's is, if its condition holds.
    pub(super) fn hit(&self, stop: &Stop) -> Option<&StopPoint> {
        let state = self.run.machine().vcpu().save();
        let pc = crate::mode::pc(&state);
        let subject = crate::expression::Subject {
            state: &state,
            memory: self.run.machine().memory(),
            count: self.run.count(),
            moved: self.moved,
            symbols: &self.symbols,
            monitor: self.run.machine().vm(),
            balloon: self.run.machine().balloon(),
            host: self.host().map(|run| (run, self.guest())),
        };
        self.points.iter().filter(|point| point.is_hit(stop, pc)).find(|point| {
            let Some(condition) = &point.condition else { return true };
            // A condition that cannot be looked at is no reason to run past.
            crate::expression::evaluate(condition, &subject) != Ok(0)
        })
    }
}
