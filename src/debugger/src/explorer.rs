//! A machine and its past, to be looked at and moved about in: what the stepping screen and the
//! line prompt have in common.
//!
//! Positions are counts of instructions retired, as people say them, and ticks, which alone tell
//! apart the instants of a halted CPU. A live machine goes on where it has not been yet; what
//! enters it there is part of its history. A recording ends where it ends, unless one goes live.
//!
//! Not modelled: interrupting a search backwards between two checkpoints.

mod guests;
mod movement;
mod past;
mod stops;
mod witness;

pub(crate) use guests::Mark;
pub(crate) use movement::port_text;
pub use movement::{Way, What};
pub use past::Call;
pub use stops::StopPoint;

use crate::expression::{Subject, evaluate};
use crate::mode;
use crate::pane::{Pane, Scene};
use crate::symbols::Symbols;
use crate::text::Line;
use cutaway_cpu::CpuState;
use cutaway_machine::{ChipState, Input, Machine};
use cutaway_replay::{ReplayError, TimeMachine};
use std::ops::ControlFlow;
use witness::Witness;

/// Movements that can be undone.
const MAX_UNDO: usize = 1_000;
/// Log lines that a scene has.
const LOG_LINES: usize = 200;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplorerError {
    /// What was asked for makes no sense, in words.
    #[error("{0}")]
    Asked(String),
    /// The run cannot be repeated.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

impl From<String> for ExplorerError {
    fn from(text: String) -> Self {
        Self::Asked(text)
    }
}

/// What is compared with another instant to mark changes.
#[derive(Clone)]
struct Instant {
    count: u64,
    cpu: CpuState,
    chips: ChipState,
}

impl Instant {
    fn of(machine: &Machine) -> Self {
        let count = machine.instructions();
        Self { count, cpu: machine.vcpu().save(), chips: machine.chip_state() }
    }
}

type Between = Box<dyn FnMut(&Explorer) -> ControlFlow<()>>;

/// A machine and its past.
pub struct Explorer {
    run: TimeMachine,
    live: bool,
    /// Instructions at the furthest instant that is known.
    furthest: u64,
    witness: Witness,
    /// The instant that changes are reckoned from.
    before: Instant,
    here: Instant,
    points: Vec<StopPoint>,
    next_number: u32,
    /// Instructions that the last movement went on or back.
    moved: u64,
    /// Ticks to go back to.
    undo: Vec<u64>,
    /// Why the machine has ended, and at which tick.
    ended: Option<(u64, String)>,
    between: Option<Between>,
    symbols: Symbols,
    nameless: Symbols,
    /// The others on the same CPU, if there are some.
    guests: Option<Box<guests::Guests>>,
    /// How often something was done that changed what comes.
    changes: u64,
    /// Where the memory pane begins.
    pub memory_at: u64,
    /// The address whose page walk is shown.
    pub walk_of: Option<u64>,
}

impl Explorer {
    /// A run to be looked at: `live` goes on behind what is known of it.
    #[must_use]
    pub fn new(mut run: TimeMachine, live: bool) -> Self {
        let witness = Witness::new(run.past());
        witness.attach(run.machine_mut());
        let here = Instant::of(run.machine());
        let furthest = run.count();
        Self {
            run,
            live,
            furthest,
            witness,
            before: here.clone(),
            here,
            points: Vec::new(),
            next_number: 1,
            moved: 0,
            undo: Vec::new(),
            ended: None,
            between: None,
            symbols: Symbols::default(),
            nameless: Symbols::default(),
            guests: None,
            changes: 0,
            memory_at: 0,
            walk_of: None,
        }
    }

    /// Called between stretches of a long run, to look at where it is; a break stops it.
    pub fn set_between(&mut self, between: impl FnMut(&Self) -> ControlFlow<()> + 'static) {
        self.between = Some(Box::new(between));
    }

    /// Knows these names of addresses from now on.
    pub fn set_symbols(&mut self, symbols: Symbols) {
        self.symbols = symbols;
    }

    /// The names of addresses that it knows.
    #[must_use]
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// The machine at this instant.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        self.run.machine()
    }

    /// The CPU at this instant.
    #[must_use]
    pub fn state(&self) -> &CpuState {
        &self.here.cpu
    }

    /// Instructions retired.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.run.count()
    }

    /// Instructions at the furthest instant that is known, or that the recording has.
    #[must_use]
    pub fn furthest(&self) -> u64 {
        // While the machine runs on, it may be further already.
        self.furthest.max(self.count())
    }

    /// Whether the run goes on behind what is known.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// The time machine, for what the explorer has no word for.
    pub fn run_mut(&mut self) -> &mut TimeMachine {
        &mut self.run
    }

    /// What the guest has printed on COM1 up to here.
    #[must_use]
    pub fn console(&self) -> String {
        self.witness.console(self.run.machine().guest_ns())
    }

    /// The value of an expression here.
    pub fn evaluate(&self, text: &str) -> Result<u64, String> {
        evaluate(text, &self.subject())
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            state: &self.here.cpu,
            memory: self.run.machine().memory(),
            count: self.run.count(),
            moved: self.moved,
            symbols: &self.symbols,
            monitor: self.run.machine().vm(),
            balloon: self.run.machine().balloon(),
            host: self.host().map(|run| (run, self.guest())),
        }
    }

    /// A linear address: an expression, or `segment:offset`.
    pub fn address(&self, text: &str) -> Result<u64, String> {
        crate::address::linear(text, &self.here.cpu).or_else(|_| self.evaluate(text))
    }

    /// What a pane shows here, in about so many rows.
    #[must_use]
    pub fn show(&self, pane: Pane, rows: usize) -> Vec<Line> {
        self.with_scene(|scene| pane.lines(scene, rows))
    }

    /// Does something with everything that can be seen.
    pub fn with_scene<R>(&self, look: impl FnOnce(&Scene<'_>) -> R) -> R {
        let breakpoints: Vec<u64> = self.points.iter().filter_map(StopPoint::breakpoint).collect();
        let console = self.console();
        let log = self.witness.log(self.run.machine().ticks(), LOG_LINES);
        look(&Scene {
            machine: self.run.machine(),
            state: &self.here.cpu,
            before: &self.before.cpu,
            chips_before: Some(&self.before.chips),
            memory_at: self.memory_at,
            walk_of: self.walk_of,
            breakpoints: &breakpoints,
            symbols: self.symbols_here(),
            all_symbols: &self.symbols,
            guests: self.guests.is_some().then_some(self),
            console: &console,
            log: &log,
        })
    }

    /// The names of the code that runs here: those of a hypervisor in the machine are not its guest's.
    fn symbols_here(&self) -> &Symbols {
        let is_guest = self.here.cpu.svm.guest.is_some() && self.run.machine().vm().is_none();
        if is_guest { &self.nameless } else { &self.symbols }
    }

    /// One line on where the machine is.
    #[must_use]
    pub fn place(&self) -> String {
        let [count, furthest, time, mode, cs_ip] = self.place_parts();
        format!("{count}{furthest}  {time} s  {mode}  {cs_ip}")
    }

    /// The same with at most so many characters if it can be: the digits of the time go first, then
    /// the time.
    #[must_use]
    pub fn place_within(&self, width: usize) -> String {
        let [count, _, time, mode, cs_ip] = self.place_parts();
        let micros = time.get(..time.len() - 3).unwrap_or(&time);
        let shorter = [
            self.place(),
            format!("{count}  {time} s  {mode}  {cs_ip}"),
            format!("{count}  {micros} s  {mode}  {cs_ip}"),
        ];
        let fitting = shorter.into_iter().find(|text| text.chars().count() <= width);
        fitting.unwrap_or_else(|| format!("{count}  {mode}  {cs_ip}"))
    }

    fn place_parts(&self) -> [String; 5] {
        let (state, machine) = (&self.here.cpu, self.run.machine());
        let ns = machine.guest_ns();
        let cs = state.system.segments[cutaway_cpu::Seg::Cs as usize].selector;
        let symbol = self.symbols_here().text_of(mode::pc(state));
        let guest = self.host().map(|run| format!("{}: ", run.name(self.guest())));
        let guest = guest.unwrap_or_default();
        let symbol = symbol.map(|symbol| format!("  {symbol}")).unwrap_or_default();
        [
            format!("{guest}instruction {}", self.count()),
            format!(" of {}", self.furthest()),
            format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000),
            mode::name(state).to_owned(),
            format!("CS:IP {cs:04x}:{:x}{symbol}", state.rip),
        ]
    }

    /// Something enters the live machine here: what came after is forgotten.
    pub fn input(&mut self, input: &Input) -> Result<(), ExplorerError> {
        if !self.live {
            let what =
                "a recording cannot be changed; go live first, which forgets what comes after";
            return Err(ExplorerError::Asked(what.to_owned()));
        }
        self.changes += 1;
        if self.guests.is_some() {
            return self.enter(input);
        }
        self.run.input(input);
        self.forget_future();
        Ok(())
    }

    /// Goes on from here as a live machine.
    pub fn go_live(&mut self) {
        self.run.go_live();
        self.changes += 1;
        self.live = true;
        self.forget_future();
    }

    fn forget_future(&mut self) {
        self.furthest = self.count();
        let (tick, ns) = (self.run.machine().ticks(), self.run.machine().guest_ns());
        self.witness.forget_after(tick, ns);
        self.ended.take_if(|(at, _)| *at >= tick);
        self.here = Instant::of(self.run.machine());
    }

    /// How often something was done that changed what comes: inputs, going live, orders to a host.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// After a movement: what was before is what changes are reckoned from.
    fn arrived(&mut self, from: u64) {
        let here = Instant::of(self.run.machine());
        self.before = std::mem::replace(&mut self.here, here);
        self.moved = self.here.count.abs_diff(self.before.count);
        self.furthest = self.furthest.max(self.count());
        if self.run.machine().ticks() != from {
            if self.undo.len() == MAX_UNDO {
                self.undo.remove(0);
            }
            self.undo.push(from);
        }
        self.lead_host();
    }

    /// Several movements as one: to be undone at once, with changes reckoned from where the first
    /// began.
    fn as_one<R>(&mut self, movements: impl FnOnce(&mut Self) -> R) -> R {
        let from = self.run.machine().ticks();
        let begun = self.here.clone();
        let undo = std::mem::take(&mut self.undo);
        let result = movements(self);
        self.undo = undo;
        self.here = begun;
        self.arrived(from);
        result
    }
}

impl std::fmt::Debug for Explorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Explorer({})", self.place())
    }
}

#[cfg(test)]
mod tests;
