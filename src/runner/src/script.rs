//! Running a case once: its steps, then its checks.

use crate::case::{Action, Case, Check, Console, Item, Limit, Step, StopKind};
use crate::driver::{Driver, Trouble, kind_of, show_stop};
use crate::outcome::{Failure, last_lines};
use crate::quantity::show_time;
use cutaway_machine::{Input, Machine, StateHash, Stop};
use cutaway_replay::{Recorder, ReplayError};

/// How one run ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) failure: Option<Failure>,
    pub(crate) instructions: u64,
    pub(crate) guest_ns: u64,
    /// The hash of all state, where it was asked for or something failed before the end.
    pub(crate) hash: Option<StateHash>,
}

/// Makes a recorder for a machine that is about to run.
pub(crate) type Record<'a> = &'a mut dyn FnMut(&mut Machine) -> Recorder;

/// Runs a case on its machine.
pub(crate) fn run(
    case: &Case,
    machine: Machine,
    hashed: bool,
    record: Option<Record<'_>>,
) -> Result<Ran, ReplayError> {
    let mut driver = Driver::new(machine, &case.faults, case.coverage());
    if let Some(record) = record {
        driver.record(record);
    }
    let mut script = Script { driver, seen: [0; 2] };
    let mut result = script.run(case);
    let Script { mut driver, .. } = script;

    let (instructions, tick, guest_ns) =
        (driver.instructions(), driver.machine().ticks(), driver.machine().guest_ns());
    // Before the last characters are brought out, so that it is the hash of the recording's end.
    let mut hash = None;
    if hashed || result.is_err() {
        hash = Some(driver.state_hash()?);
    }
    driver.finish_recording()?;
    driver.flush();
    if result.is_ok() {
        let checks = &mut case.checks.iter();
        result = checks.try_for_each(|check| holds(check, &mut driver, Item::is_about_output));
    }
    let failure = match result {
        Ok(()) => None,
        Err(Unmet::Host(error)) => return Err(error),
        Err(Unmet::Line(line, what)) => Some(Failure {
            what,
            line,
            instruction: instructions,
            tick,
            guest_ns,
            console: last_lines(&driver.output(Console::Serial).text()),
            debug_console: last_lines(&driver.output(Console::Debug).text()),
            ..Failure::default()
        }),
    };
    Ok(Ran { failure, instructions, guest_ns, hash })
}

/// Why a script cannot go on.
enum Unmet {
    /// What does not hold, and the line that asks for it.
    Line(Option<usize>, String),
    Host(ReplayError),
}

impl From<ReplayError> for Unmet {
    fn from(error: ReplayError) -> Self {
        Self::Host(error)
    }
}

impl Unmet {
    fn of(trouble: Trouble, line: usize) -> Self {
        match trouble {
            Trouble::Test(what) => Self::Line(Some(line), what),
            Trouble::Fault(line, what) => Self::Line(Some(line), what),
            Trouble::Host(error) => Self::Host(error),
        }
    }
}

/// Checks those items that are chosen.
fn holds(check: &Check, driver: &mut Driver<'_>, chosen: fn(&Item) -> bool) -> Result<(), Unmet> {
    for item in check.items.iter().filter(|item| chosen(item)) {
        if let Some(what) = item.unmet(driver)? {
            return Err(Unmet::Line(Some(check.line), what));
        }
    }
    Ok(())
}

struct Script<'a> {
    driver: Driver<'a>,
    /// Bytes of the serial and the debug console that steps have seen.
    seen: [usize; 2],
}

impl Script<'_> {
    fn run(&mut self, case: &Case) -> Result<(), Unmet> {
        for step in &case.steps {
            self.step(step)?;
        }
        for check in &case.checks {
            if let Some(kind) = check.stop {
                self.run_to_stop(kind, check)?;
            }
        }
        if let Some(stop @ Stop::Unimplemented(_)) = self.driver.stop() {
            return Err(Unmet::Line(None, show_stop(stop)));
        }
        if let [fault, ..] = self.driver.faults_to_come() {
            let what = format!(
                "the fault at instruction {} did not happen: the run ended at instruction {}",
                fault.at,
                self.driver.instructions()
            );
            return Err(Unmet::Line(Some(fault.line), what));
        }
        // What is about output comes when the last of it is out.
        let checks = &mut case.checks.iter();
        checks.try_for_each(|check| holds(check, &mut self.driver, |item| !item.is_about_output()))
    }

    fn step(&mut self, step: &Step) -> Result<(), Unmet> {
        let line = step.line;
        match &step.action {
            Action::Expect { console, text } => self.expect(*console, text, step),
            Action::Check(check) => {
                if let Some(kind) = check.stop {
                    self.run_to_stop(kind, check)?;
                }
                holds(check, &mut self.driver, |_| true)
            }
            Action::Wait(ns) => {
                let limit = Limit { ns: *ns, instructions: None };
                self.pass(limit, line, &format!("{} had passed", show_time(*ns)))
            }
            Action::Run(count) => {
                let limit = Limit { instructions: Some(*count), ..step.limit };
                self.pass(limit, line, &format!("{count} instructions were executed"))
            }
            Action::Send(text) => {
                let bytes = text.as_bytes().to_vec();
                self.enter(&Input::Serial { port: 0, bytes }, line)
            }
            Action::Key(codes) => self.enter(&Input::Key(codes.clone()), line),
            Action::PowerButton => self.enter(&Input::PowerButton, line),
        }
    }

    fn enter(&mut self, input: &Input, line: usize) -> Result<(), Unmet> {
        if let Some(stop) = self.driver.stop() {
            let what = format!("the machine has stopped ({}) and takes no input", show_stop(stop));
            return Err(Unmet::Line(Some(line), what));
        }
        self.driver.input(input);
        Ok(())
    }

    /// Tick and count of instructions at which something has taken too long.
    fn ends(&self, limit: Limit) -> (u64, u64) {
        let machine = self.driver.machine();
        let tick = machine.ticks_of_ns(machine.guest_ns().saturating_add(limit.ns));
        let count = limit.instructions.unwrap_or(u64::MAX);
        (tick, self.driver.instructions().saturating_add(count))
    }

    fn is_beyond(&self, (tick, count): (u64, u64)) -> bool {
        self.driver.machine().ticks() >= tick || self.driver.instructions() >= count
    }

    /// Which of two ends was reached.
    fn within(&self, limit: Limit, (_, count): (u64, u64)) -> String {
        if self.driver.instructions() >= count {
            format!("within {} instructions", limit.instructions.unwrap_or_default())
        } else {
            format!("within {} of guest time", show_time(limit.ns))
        }
    }

    /// Lets time pass.
    fn pass(&mut self, limit: Limit, line: usize, what: &str) -> Result<(), Unmet> {
        let ends = self.ends(limit);
        while !self.is_beyond(ends) {
            if let Some(stop) = self.driver.stop() {
                let what = format!("the machine stopped ({}) before {what}", show_stop(stop));
                return Err(Unmet::Line(Some(line), what));
            }
            self.slice(ends, line)?;
        }
        if self.driver.instructions() < ends.1 && limit.instructions.is_some() {
            let what = format!("a day of guest time passed before {what}");
            return Err(Unmet::Line(Some(line), what));
        }
        Ok(())
    }

    fn slice(&mut self, (tick, count): (u64, u64), line: usize) -> Result<(), Unmet> {
        self.driver.slice(tick, count).map_err(|trouble| Unmet::of(trouble, line))
    }

    /// Runs until a text comes out, behind what earlier steps have seen.
    fn expect(&mut self, console: Console, text: &str, step: &Step) -> Result<(), Unmet> {
        let ends = self.ends(step.limit);
        let seen = self.seen[console as usize];
        // What was searched is not searched again, up to where the text may have begun.
        let mut from = seen;
        loop {
            let output = self.driver.output(console);
            if let Some(end) = output.find(text, from) {
                drop(output);
                self.seen[console as usize] = end;
                return Ok(());
            }
            from = from.max((output.len() + 1).saturating_sub(text.len()));
            let came_before = output.find(text, 0).is_some();
            drop(output);
            let why = if let Some(stop) = self.driver.stop() {
                Some(format!("before the machine stopped: {}", show_stop(stop)))
            } else if self.is_beyond(ends) {
                Some(self.within(step.limit, ends))
            } else {
                None
            };
            if let Some(why) = why {
                let mut what = format!("{text:?} did not come out of {console} {why}");
                if came_before {
                    what += "; it did before, in what earlier steps have passed over";
                }
                return Err(Unmet::Line(Some(step.line), what));
            }
            self.slice(ends, step.line)?;
        }
    }

    /// Runs until the machine stops, and checks why.
    fn run_to_stop(&mut self, kind: StopKind, check: &Check) -> Result<(), Unmet> {
        let ends = self.ends(check.limit);
        let unmet = |what: String| Err(Unmet::Line(Some(check.line), what));
        loop {
            if let Some(stop) = self.driver.stop() {
                if kind_of(stop) == Some(kind) {
                    return Ok(());
                }
                return unmet(format!(
                    "the machine stopped for another reason: {}, not {kind}",
                    show_stop(stop)
                ));
            }
            if kind == StopKind::Idle && self.driver.is_idle() {
                return Ok(());
            }
            if self.is_beyond(ends) {
                let within = self.within(check.limit, ends);
                return unmet(format!("the machine did not stop ({kind}) {within}"));
            }
            self.slice(ends, check.line)?;
        }
    }
}
