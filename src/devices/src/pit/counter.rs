//! One counter of the 8254 as it is programmed: control word, count register CR, output latch OL,
//! status latch, and the counting element behind them.

use serde::{Deserialize, Serialize};

use super::element::{Element, Mode};
use crate::inspect::{Reading, level};

/// One counter, all of its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counter {
    mode: Mode,
    access: Access,
    bcd: bool,
    gate: bool,
    /// CR, the count last written, 1 to 65,536.
    cr: u32,
    /// The low byte of a count whose high byte has not come yet.
    cr_low: Option<u8>,
    /// No count came since the control word.
    wants_count: bool,
    /// CR holds what the counting element has not taken yet.
    null_count: bool,
    /// OL, the count that a latch command froze.
    ol: Option<u16>,
    /// The status byte that a read-back command froze.
    status: Option<u8>,
    /// The next byte read is the high one (when both are accessed).
    read_high: bool,
    /// The counting element.
    element: Element,
    /// What it becomes at the clock at which it takes a new count.
    reload: Option<Element>,
}

/// Which bytes of the count the processor accesses: control word bits 5:4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Access {
    Low = 1,
    High = 2,
    LowThenHigh = 3,
}

impl Counter {
    pub(super) fn new(gate: bool) -> Self {
        Self {
            mode: Mode::InterruptOnTerminalCount,
            access: Access::LowThenHigh,
            bcd: false,
            gate,
            cr: 0x1_0000,
            cr_low: None,
            wants_count: true,
            null_count: true,
            ol: None,
            status: None,
            read_high: false,
            element: Element::default(),
            reload: None,
        }
    }

    pub(super) fn out(&self, clock: u64) -> bool {
        self.element_at(clock).out(self.mode, clock)
    }

    /// The clock of the next edge of OUT after `clock`.
    pub(super) fn next_edge(&self, clock: u64) -> Option<u64> {
        let now = self.element_at(clock);
        let edge = now.next_edge(self.mode, clock);
        let Some(reload) = self.reload.as_ref().filter(|reload| reload.start > clock) else {
            return edge;
        };
        if edge.is_some_and(|edge| edge < reload.start) {
            return edge;
        }
        if now.out(self.mode, reload.start - 1) != reload.out(self.mode, reload.start) {
            return Some(reload.start);
        }
        reload.next_edge(self.mode, reload.start)
    }

    /// Control word: everything starts anew, and waits for a count.
    pub(super) fn program(&mut self, control: u8, clock: u64) {
        self.settle(clock);
        let stopped = self.element.stopped(self.mode, self.modulus(), clock);
        *self = Self {
            mode: Mode::from_control(control),
            access: match control >> 4 & 3 {
                1 => Access::Low,
                2 => Access::High,
                _ => Access::LowThenHigh,
            },
            bcd: control & 1 != 0,
            element: stopped.without_terminal_count(),
            ..Self::new(self.gate)
        };
    }

    /// Counter latch command. A latch that is still unread stays as it is.
    pub(super) fn latch_count(&mut self, clock: u64) {
        self.settle(clock);
        if self.ol.is_none() {
            self.ol = Some(self.count(clock));
        }
    }

    /// Read-back of the status: OUT, null count, and the control word's bits 5:0.
    pub(super) fn latch_status(&mut self, clock: u64) {
        self.settle(clock);
        if self.status.is_none() {
            self.status = Some(
                u8::from(self.out(clock)) << 7
                    | u8::from(self.null_count) << 6
                    | (self.access as u8) << 4
                    | self.mode.number() << 1
                    | u8::from(self.bcd),
            );
        }
    }

    /// A byte of the latched status, the latched count or the running count.
    pub(super) fn read(&mut self, clock: u64) -> u8 {
        self.settle(clock);
        if let Some(status) = self.status.take() {
            return status;
        }
        let [low, high] = self.ol.unwrap_or_else(|| self.count(clock)).to_le_bytes();
        let is_high = match self.access {
            Access::Low => false,
            Access::High => true,
            Access::LowThenHigh => {
                self.read_high = !self.read_high;
                !self.read_high
            }
        };
        if is_high || self.access == Access::Low {
            self.ol = None;
        }
        if is_high { high } else { low }
    }

    /// A byte of a new count.
    pub(super) fn write(&mut self, value: u8, clock: u64) {
        self.settle(clock);
        let count = match (self.access, self.cr_low) {
            (Access::Low, _) => u16::from(value),
            (Access::High, _) => u16::from_le_bytes([0, value]),
            (Access::LowThenHigh, Some(low)) => u16::from_le_bytes([low, value]),
            (Access::LowThenHigh, None) => {
                self.cr_low = Some(value);
                if self.mode == Mode::InterruptOnTerminalCount {
                    // The first byte stops the counting, and OUT is low at once.
                    self.element = self
                        .element
                        .stopped(self.mode, self.modulus(), clock)
                        .without_terminal_count();
                    self.reload = None;
                }
                return;
            }
        };
        self.cr_low = None;
        self.cr = self.decode(count);
        self.null_count = true;
        self.take_new_count(clock);
    }

    /// When the counting element takes the count just written (datasheet, "Mode Definitions").
    fn take_new_count(&mut self, clock: u64) {
        let first = std::mem::replace(&mut self.wants_count, false);
        match self.mode {
            // At the next clock.
            Mode::InterruptOnTerminalCount => {
                self.element = self.element.without_terminal_count(); // OUT is low at once
                self.load_at(clock + 1, true);
            }
            Mode::SoftwareStrobe => self.load_at(clock + 1, true),
            // At the trigger; a load that a trigger has ordered already takes it, too.
            Mode::OneShot | Mode::HardwareStrobe => {
                if let Some(reload) = &self.reload {
                    self.load_at(reload.start, true);
                }
            }
            // The first one at the next clock, later ones when the cycle ends.
            Mode::RateGenerator | Mode::SquareWave => {
                if let Some(Element { start, high, .. }) = self.reload {
                    self.load_at(start, high);
                } else if first {
                    self.load_at(clock + 1, true);
                } else if self.element.counts {
                    let end = self.element.end_of_cycle(self.mode, clock);
                    let high = self.mode == Mode::RateGenerator
                        || !self.element.out(self.mode, end.saturating_sub(1));
                    self.load_at(end, high);
                }
            }
        }
    }

    /// The GATE pin (datasheet, "Gate Pin Operations Summary").
    pub(super) fn set_gate(&mut self, level: bool, clock: u64) {
        self.settle(clock);
        if level == self.gate {
            return;
        }
        self.gate = level;
        match self.mode {
            // Level: counting is on or off.
            Mode::InterruptOnTerminalCount | Mode::SoftwareStrobe => {
                let half_written =
                    self.mode == Mode::InterruptOnTerminalCount && self.cr_low.is_some();
                let counts = level && !half_written;
                let modulus = self.modulus();
                self.element = if counts {
                    self.element.resumed(clock)
                } else {
                    self.element.stopped(self.mode, modulus, clock)
                };
                if let Some(reload) = self.reload {
                    self.load_at(reload.start, true);
                }
            }
            // The rising edge is a trigger.
            Mode::OneShot | Mode::HardwareStrobe => {
                if level && !self.wants_count {
                    self.load_at(clock + 1, true);
                }
            }
            // Off while low, and the rising edge is a trigger.
            Mode::RateGenerator | Mode::SquareWave => {
                if !level {
                    if self.element.counts {
                        self.reload = None; // the end of the cycle will not come
                    }
                    self.element = self.element.stopped(self.mode, self.modulus(), clock);
                }
                if self.reload.is_some() || level && !self.wants_count {
                    self.load_at(clock + 1, true);
                }
            }
        }
    }

    /// Orders that the counting element takes CR at `start`.
    fn load_at(&mut self, start: u64, high: bool) {
        let triggered = matches!(self.mode, Mode::OneShot | Mode::HardwareStrobe);
        self.reload =
            Some(Element::loaded(start, self.cr, high).counting_if(self.gate || triggered));
    }

    /// Makes a load that is due by `clock` the present state.
    fn settle(&mut self, clock: u64) {
        if let Some(reload) = self.reload.filter(|reload| reload.start <= clock) {
            self.element = reload;
            self.reload = None;
            self.null_count = false;
        }
    }

    fn element_at(&self, clock: u64) -> &Element {
        self.reload.as_ref().filter(|reload| reload.start <= clock).unwrap_or(&self.element)
    }

    /// The counting element's value as the processor reads it, binary or BCD.
    fn count(&self, clock: u64) -> u16 {
        let value = self.element_at(clock).value(self.mode, self.modulus(), clock);
        if self.bcd {
            let digit = |weight: u32| (value / weight % 10) as u16;
            digit(1000) << 12 | digit(100) << 8 | digit(10) << 4 | digit(1)
        } else {
            value as u16 // 65,536 reads as 0, as on the chip
        }
    }

    /// A count as written, binary or BCD, where 0 stands for the largest.
    fn decode(&self, count: u16) -> u32 {
        if count == 0 {
            return self.modulus();
        }
        if !self.bcd {
            return u32::from(count);
        }
        let digit = |shift: u16| u32::from(count >> shift & 15);
        digit(12) * 1000 + digit(8) * 100 + digit(4) * 10 + digit(0)
    }

    /// The number of different counts.
    fn modulus(&self) -> u32 {
        if self.bcd { 10_000 } else { 0x1_0000 }
    }
}

impl Counter {
    /// What it is programmed to and where it is.
    pub(super) fn inspect(&self, number: usize, clock: u64) -> Vec<Reading> {
        let reading = |name: &str, value: String| Reading::new(format!("{number} {name}"), value);
        let access = match self.access {
            Access::Low => "low byte",
            Access::High => "high byte",
            Access::LowThenHigh => "low, then high byte",
        };
        let digits = if self.bcd { "BCD" } else { "binary" };
        let (mode, name) = (self.mode.number(), self.mode.name());
        let mut readings = vec![reading("mode", format!("{mode}, {name}; {access}; {digits}"))];
        let count = self.count(clock);
        let waits = if self.wants_count { ", waits for a count" } else { "" };
        readings.push(reading("CE", format!("{count:#06x} of CR {:#06x}{waits}", self.cr)));
        let (gate, out) = (level(self.gate), level(self.out(clock)));
        readings.push(reading("pins", format!("GATE {gate}, OUT {out}")));
        if let Some(ol) = self.ol {
            readings.push(reading("OL", format!("{ol:#06x}, latched")));
        }
        readings
    }
}
