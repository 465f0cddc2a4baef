//! Intel 8254 programmable interval timer (PIT): three 16-bit down-counters on one clock. On a PC
//! counter 0 drives IRQ 0, counter 1 the memory refresh, counter 2 the speaker.
//!
//! Source: Intel 8254 datasheet (order number 231164), "Programming the 8254", "Read Operations",
//! "Mode Definitions".
//! Time: counts and OUT levels are worked out from guest time when looked at; nothing ticks. The
//! clock runs freely from power-on, and the chip acts at whole clocks as the real one does.
//! Not modelled: OUT edges of counters 1 and 2 are no events, since no interrupt hangs on them.
//! Unverified: what the datasheet leaves open. Before its first control word a counter is in mode
//! 0 with OUT low; a count of 1 in modes 2 and 3 leaves OUT high; a BCD digit above 9 counts as
//! its value.

mod counter;
mod element;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::inspect::Reading;
use crate::{Ctx, GuestTime, OPEN_BUS, PortDevice};
use counter::Counter;

/// Counter clock in Hz: the board's 14.31818 MHz crystal divided by 12.
pub const PIT_HZ: u32 = 1_193_182;

const PORT_COUNTER_2: u16 = 2;
const PORT_CONTROL: u16 = 3;

/// Control word bits 7:6 = 11: read-back command.
const SC_READ_BACK: u8 = 3;
const READ_BACK_NO_COUNT: u8 = 0x20;
const READ_BACK_NO_STATUS: u8 = 0x10;
/// Control word bits 5:4 = 00: counter latch command.
const RW_MASK: u8 = 0x30;

/// The chip. Offsets 0 to 2 are the counters, 3 the control word; on a PC from port 0x40.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pit {
    counters: [Counter; 3],
}

impl Pit {
    /// The chip after power-on, GATE 0 and 1 high as they are tied on a PC, GATE 2 low.
    pub fn new() -> Self {
        Self { counters: [Counter::new(true), Counter::new(true), Counter::new(false)] }
    }

    /// Back to power-on. (The 8254 has no reset pin; chipsets have.)
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// The OUT pin of a counter, 0 to 2.
    pub fn out(&self, counter: usize, now: GuestTime) -> bool {
        self.counters.get(counter).is_some_and(|it| it.out(now.clocks(PIT_HZ)))
    }

    /// Drives the GATE pin of a counter, 0 to 2.
    pub fn set_gate(&mut self, counter: usize, level: bool, now: GuestTime) {
        if let Some(counter) = self.counters.get_mut(counter) {
            counter.set_gate(level, now.clocks(PIT_HZ));
        }
    }

    /// The instant of the next edge of a counter's OUT pin, if nobody touches the chip.
    pub fn next_edge(&self, counter: usize, now: GuestTime) -> Option<GuestTime> {
        let edge = self.counters.get(counter)?.next_edge(now.clocks(PIT_HZ))?;
        Some(GuestTime::at_clock(edge, PIT_HZ))
    }

    fn write_control(&mut self, value: u8, clock: u64) {
        let selected = value >> 6;
        if selected == SC_READ_BACK {
            for (number, counter) in self.counters.iter_mut().enumerate() {
                if value & 2 << number == 0 {
                    continue;
                }
                // Status first: that order is seen when both are latched.
                if value & READ_BACK_NO_STATUS == 0 {
                    counter.latch_status(clock);
                }
                if value & READ_BACK_NO_COUNT == 0 {
                    counter.latch_count(clock);
                }
            }
            return;
        }
        let counter = &mut self.counters[usize::from(selected)];
        if value & RW_MASK == 0 {
            counter.latch_count(clock);
        } else {
            counter.program(value, clock);
        }
    }
}

impl Pit {
    /// The three counters at an instant.
    #[must_use]
    pub fn inspect(&self, now: GuestTime) -> Vec<Reading> {
        let mut readings = Vec::new();
        for (number, counter) in self.counters.iter().enumerate() {
            readings.extend(counter.inspect(number, now.clocks(PIT_HZ)));
        }
        if let Some(edge) = self.next_edge(0, now) {
            let ns = edge.since(now);
            readings.push(Reading::new("next edge of OUT 0", format!("in {ns} ns")));
        }
        readings
    }
}

impl Default for Pit {
    fn default() -> Self {
        Self::new()
    }
}

impl PortDevice for Pit {
    fn read(&mut self, offset: u16, ctx: &mut Ctx<'_>) -> u8 {
        match offset {
            0..=PORT_COUNTER_2 => self.counters[usize::from(offset)].read(ctx.now.clocks(PIT_HZ)),
            _ => OPEN_BUS, // the control word is write-only
        }
    }

    fn write(&mut self, offset: u16, value: u8, ctx: &mut Ctx<'_>) {
        let clock = ctx.now.clocks(PIT_HZ);
        match offset {
            0..=PORT_COUNTER_2 => self.counters[usize::from(offset)].write(value, clock),
            PORT_CONTROL => self.write_control(value, clock),
            _ => {}
        }
    }

    /// The next edge of OUT 0.
    fn next_event(&self, now: GuestTime) -> Option<GuestTime> {
        self.next_edge(0, now)
    }
}
