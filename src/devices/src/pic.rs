//! Intel 8259A programmable interrupt controllers (PIC): the AT's pair, the slave on line 2 of the
//! master, with the edge/level control registers (ELCR) of later boards.
//!
//! Source: Intel 8259A datasheet (order number 231468), all operating modes; Intel 82371FB/SB
//! (PIIX/PIIX3) datasheet, "ELCR1/ELCR2 Edge/Level Control Registers".
//! Time: none passes in it.
//! Not modelled: the CALL sequence of MCS-80/85 mode (ICW4 bit 0 is taken as set), buffered mode
//! (nothing to buffer), more than one slave.

mod i8259;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::inspect::Reading;
use crate::{Ctx, OPEN_BUS, PortDevice};
use i8259::Pic;

const MASTER_COMMAND: u16 = 0;
const MASTER_DATA: u16 = 1;
const SLAVE_COMMAND: u16 = 2;
const SLAVE_DATA: u16 = 3;
const ELCR1: u16 = 4;
const ELCR2: u16 = 5;

/// The master's line that the slave's INT pin drives.
const CASCADE: u8 = 2;

/// Lines that may be level triggered: not the timer, the keyboard, the cascade (0, 1, 2) ...
const ELCR1_WRITABLE: u8 = 0xf8;
/// ... nor the clock and the coprocessor (8, 13).
const ELCR2_WRITABLE: u8 = 0xde;

/// The two chips.
///
/// Offsets: 0 and 1 the master, 2 and 3 the slave, 4 and 5 the ELCR. On a PC these are the ports
/// 0x20, 0x21, 0xa0, 0xa1, 0x4d0 and 0x4d1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PicPair {
    master: Pic,
    slave: Pic,
}

impl PicPair {
    /// The pair after power-on: not initialized, INTR low.
    pub fn new() -> Self {
        Self::default()
    }

    /// Back to power-on, the input lines low. (The 8259A has no reset pin, the ELCR has one;
    /// chipsets reset both.)
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// Drives an interrupt line, IRQ 0 to 15. IRQ 2 is the cascade and leads nowhere.
    pub fn set_irq(&mut self, irq: u8, level: bool) {
        match irq {
            CASCADE => {}
            0..=7 => self.master.set_line(irq, level),
            8..=15 => {
                self.slave.set_line(irq - 8, level);
                self.update_cascade();
            }
            _ => {}
        }
    }

    /// The INTR pin of the processor.
    pub fn intr(&self) -> bool {
        self.master.int()
    }

    /// The interrupt acknowledge cycle: the vector, with the request now in service.
    ///
    /// If the request has gone meanwhile it is the spurious interrupt: line 7 of the master, or of
    /// the slave (with the master's line 2 in service, which wants its EOI).
    pub fn acknowledge(&mut self) -> u8 {
        let line = self.master.acknowledge();
        if !self.master.has_slave(line) {
            return self.master.vector(line);
        }
        if line != CASCADE || self.slave.slave_number() != CASCADE {
            return OPEN_BUS; // no slave answers on the cascade lines
        }
        let slave_line = self.slave.acknowledge();
        self.end_slave_cycle();
        self.slave.vector(slave_line)
    }

    /// The slave's INT pin drops in the acknowledge cycle and rises again for another request,
    /// so that the master sees an edge.
    fn end_slave_cycle(&mut self) {
        self.master.set_line(CASCADE, false);
        self.update_cascade();
    }

    fn update_cascade(&mut self) {
        self.master.set_line(CASCADE, self.slave.int());
    }
}

impl PicPair {
    /// The registers of both chips. In lists of lines, bit 0 stands first.
    #[must_use]
    pub fn inspect(&self) -> Vec<Reading> {
        let intr = if self.intr() { "high: an interrupt waits" } else { "low" };
        let (master, slave) = (&self.master, &self.slave);
        let mut readings = vec![Reading::new("INTR", intr)];
        for ((name, low), (_, high)) in
            master.line_registers().into_iter().zip(slave.line_registers())
        {
            let both = u16::from_le_bytes([low, high]);
            let set: Vec<_> = (0..16).filter(|line| both >> line & 1 != 0).collect();
            let set: Vec<_> = set.iter().map(ToString::to_string).collect();
            let list =
                if set.is_empty() { "none".to_owned() } else { format!("IRQ {}", set.join(", ")) };
            let text = format!("master {low:08b}  slave {high:08b}  {list}");
            readings.push(Reading::new(name, text));
        }
        let next = |pic: &Pic, first: u8| match pic.next() {
            Ok(Some((line, vector))) => format!("IRQ {}, vector {vector:#04x}", first + line),
            Ok(None) => "none".to_owned(),
            Err(why) => why.to_owned(),
        };
        let vectors = |pic: &Pic| {
            let first = pic.first_vector();
            format!("{first:#04x} to {:#04x}", first | 7)
        };
        let both = |low: String, high: String| format!("master {low}; slave {high}");
        let first = |pic: &Pic, first: u8| format!("IRQ {}", first + pic.highest_priority());
        readings.extend([
            Reading::new("next", both(next(master, 0), next(slave, 8))),
            Reading::new("vectors", both(vectors(master), vectors(slave))),
            Reading::new("highest priority", both(first(master, 0), first(slave, 8))),
            Reading::new("modes", both(master.modes(), slave.modes())),
        ]);
        readings
    }
}

impl PortDevice for PicPair {
    fn read(&mut self, offset: u16, _ctx: &mut Ctx<'_>) -> u8 {
        let slave_cycle = matches!(offset, SLAVE_COMMAND | SLAVE_DATA) && self.slave.is_polled();
        let value = match offset {
            MASTER_COMMAND => self.master.read_command(),
            MASTER_DATA => self.master.read_data(),
            SLAVE_COMMAND => self.slave.read_command(),
            SLAVE_DATA => self.slave.read_data(),
            ELCR1 => self.master.elcr(),
            ELCR2 => self.slave.elcr(),
            _ => OPEN_BUS,
        };
        if slave_cycle {
            self.end_slave_cycle();
        }
        value
    }

    fn write(&mut self, offset: u16, value: u8, _ctx: &mut Ctx<'_>) {
        match offset {
            MASTER_COMMAND => self.master.write_command(value),
            MASTER_DATA => self.master.write_data(value),
            SLAVE_COMMAND => self.slave.write_command(value),
            SLAVE_DATA => self.slave.write_data(value),
            ELCR1 => self.master.set_elcr(value & ELCR1_WRITABLE),
            ELCR2 => self.slave.set_elcr(value & ELCR2_WRITABLE),
            _ => {}
        }
        self.update_cascade();
    }
}
