//! The counting element (CE) of a counter of the 8254 and its OUT pin, in closed form: a value at
//! a clock, from which every later value follows.

use serde::{Deserialize, Serialize};

/// Control word bits 3:1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mode {
    /// Mode 0: OUT rises when the count has run out.
    InterruptOnTerminalCount = 0,
    /// Mode 1: OUT is low for the count after a trigger.
    OneShot = 1,
    /// Mode 2: OUT is low for the last clock of each cycle.
    RateGenerator = 2,
    /// Mode 3: OUT is high for the first half of each cycle.
    SquareWave = 3,
    /// Mode 4: OUT is low for one clock when the count has run out.
    SoftwareStrobe = 4,
    /// Mode 5: as mode 4, but the count starts with a trigger.
    HardwareStrobe = 5,
}

impl Mode {
    pub(super) fn from_control(control: u8) -> Self {
        match control >> 1 & 7 {
            0 => Self::InterruptOnTerminalCount,
            1 => Self::OneShot,
            2 | 6 => Self::RateGenerator, // bit 2 is "don't care"
            3 | 7 => Self::SquareWave,
            4 => Self::SoftwareStrobe,
            _ => Self::HardwareStrobe,
        }
    }

    pub(super) fn number(self) -> u8 {
        self as u8
    }

    /// As the datasheet calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::InterruptOnTerminalCount => "interrupt on terminal count",
            Self::OneShot => "hardware retriggerable one-shot",
            Self::RateGenerator => "rate generator",
            Self::SquareWave => "square wave mode",
            Self::SoftwareStrobe => "software triggered strobe",
            Self::HardwareStrobe => "hardware triggered strobe",
        }
    }

    /// Whether the mode repeats its cycle by itself.
    fn is_periodic(self) -> bool {
        matches!(self, Self::RateGenerator | Self::SquareWave)
    }
}

/// The counting element from the clock `start` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Element {
    /// The clock at which it has `value`.
    pub(super) start: u64,
    /// In modes 2 and 3, while it counts, this is also the length of the cycle.
    value: u32,
    /// It counts; else it stands at `value`.
    pub(super) counts: bool,
    /// Mode 3: OUT at `start`.
    pub(super) high: bool,
    /// Modes 0, 1, 4, 5: when the count loaded last runs out, which is when OUT acts.
    terminal: Terminal,
}

/// Where terminal count is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Terminal {
    /// No count is loaded that could run out.
    #[default]
    None,
    /// After as many more clocks as the value says, once it counts again.
    Waiting,
    /// At this clock, which may be past.
    At(u64),
}

impl Element {
    /// A count just loaded, standing still.
    pub(super) fn loaded(start: u64, count: u32, high: bool) -> Self {
        Self { start, value: count, counts: false, high, terminal: Terminal::Waiting }
    }

    /// The same, counting if `counts`.
    pub(super) fn counting_if(self, counts: bool) -> Self {
        if counts { self.resumed(self.start) } else { self }
    }

    /// Counting on from `clock`, at which it stood still.
    pub(super) fn resumed(self, clock: u64) -> Self {
        if self.counts {
            return self;
        }
        let terminal = match self.terminal {
            Terminal::Waiting => Terminal::At(clock.saturating_add(u64::from(self.value))),
            other => other,
        };
        Self { start: clock, counts: true, terminal, ..self }
    }

    /// Standing still at the value that it has at `clock`.
    pub(super) fn stopped(self, mode: Mode, modulus: u32, clock: u64) -> Self {
        if !self.counts {
            return self;
        }
        let terminal = match self.terminal {
            Terminal::At(at) if at > clock => Terminal::Waiting,
            other => other,
        };
        let value = self.value(mode, modulus, clock);
        Self { start: clock, value, counts: false, terminal, high: true }
    }

    /// With no terminal count ahead or behind.
    pub(super) fn without_terminal_count(self) -> Self {
        Self { terminal: Terminal::None, ..self }
    }

    /// The value at `clock`. Below 0 it goes on from the top.
    pub(super) fn value(&self, mode: Mode, modulus: u32, clock: u64) -> u32 {
        if !self.counts {
            return self.value;
        }
        match mode {
            Mode::RateGenerator => self.cycle() - self.position(clock),
            Mode::SquareWave => {
                let (_, position, _) = self.half(clock);
                // By twos, from an even number.
                (self.cycle() & !1).saturating_sub(2 * position)
            }
            _ => {
                let modulus = modulus.max(1);
                let passed = (clock.saturating_sub(self.start) % u64::from(modulus)) as u32;
                (self.value % modulus + modulus - passed) % modulus
            }
        }
    }

    /// The OUT pin at `clock`.
    pub(super) fn out(&self, mode: Mode, clock: u64) -> bool {
        match (mode, self.terminal) {
            (Mode::InterruptOnTerminalCount, Terminal::At(at)) => clock >= at,
            (Mode::InterruptOnTerminalCount, _) => false,
            (Mode::OneShot, Terminal::At(at)) => clock >= at,
            (Mode::SoftwareStrobe | Mode::HardwareStrobe, Terminal::At(at)) => clock != at,
            (Mode::RateGenerator, _) if self.oscillates() => {
                self.position(clock) != self.cycle() - 1
            }
            (Mode::SquareWave, _) if self.oscillates() => self.half(clock).0,
            _ => true,
        }
    }

    /// The next clock after `clock` (not before `start`) at which OUT changes.
    pub(super) fn next_edge(&self, mode: Mode, clock: u64) -> Option<u64> {
        if mode.is_periodic() {
            return self.oscillates().then(|| match mode {
                Mode::RateGenerator => {
                    let to_last = self.cycle() - 1 - self.position(clock);
                    clock.saturating_add(u64::from(to_last.max(1)))
                }
                _ => self.end_of_cycle(mode, clock),
            });
        }
        let Terminal::At(at) = self.terminal else { return None };
        let strobe = matches!(mode, Mode::SoftwareStrobe | Mode::HardwareStrobe);
        if at > clock { Some(at) } else { (strobe && at == clock).then_some(at.saturating_add(1)) }
    }

    /// The clock at which a new count is taken: the end of the cycle in mode 2, of the half cycle
    /// in mode 3.
    pub(super) fn end_of_cycle(&self, mode: Mode, clock: u64) -> u64 {
        let left = match mode {
            Mode::SquareWave => {
                let (_, position, length) = self.half(clock);
                length - position
            }
            _ => self.cycle() - self.position(clock),
        };
        clock.saturating_add(u64::from(left))
    }

    /// Whether OUT moves in modes 2 and 3.
    fn oscillates(&self) -> bool {
        self.counts && self.value > 1
    }

    /// Clocks in a cycle of modes 2 and 3.
    fn cycle(&self) -> u32 {
        self.value.max(1)
    }

    /// Clocks since the cycle began.
    fn position(&self, clock: u64) -> u32 {
        (clock.saturating_sub(self.start) % u64::from(self.cycle())) as u32
    }

    /// Mode 3: OUT, the clocks since the half cycle began, and its length. The high half has the
    /// odd clock.
    fn half(&self, clock: u64) -> (bool, u32, u32) {
        let (low, high) = (self.cycle() / 2, self.cycle().div_ceil(2));
        let (first, second) = if self.high { (high, low) } else { (low, high) };
        let position = self.position(clock);
        if position < first {
            (self.high, position, first)
        } else {
            (!self.high, position - first, second)
        }
    }
}
