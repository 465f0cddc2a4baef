//! Intel 82093AA I/O advanced programmable interrupt controller: 24 inputs, each with an entry of the
//! redirection table that says which message it sends to the local APICs.
//!
//! Source: Intel 82093AA datasheet (order number 290566), "Register Description"; Intel SDM vol. 3A,
//! "Signaling Interrupt Servicing Completion".
//! Time: none passes in it.
//! Not modelled: the bus's arbitration. An entry whose message nobody accepts tries again when anything
//! reaches an APIC, if it is level triggered; if not, the edge is lost.
//! Unverified: an entry that becomes edge triggered loses its remote IRR, as Linux relies on.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::apic_bus::{ApicMessage, DeliveryMode, Destination};
use crate::inspect::Reading;

/// Where the registers are, as chipsets have it.
pub const IOAPIC_BASE: u64 = 0xfec0_0000;
/// Bytes of the window with the registers.
pub const IOAPIC_BYTES: u64 = 0x20;
/// Inputs, INTIN0 to INTIN23.
pub const IOAPIC_PINS: u8 = 24;
/// The ID that firmware gives it: not that of the local APIC.
pub const IOAPIC_ID: u8 = 1;

/// Offsets in the window: register select, and the selected register.
const IOREGSEL: u16 = 0x00;
const IOWIN: u16 = 0x10;

/// The registers behind them.
const IOAPICID: u8 = 0;
const IOAPICVER: u8 = 1;
const IOAPICARB: u8 = 2;
const IOREDTBL: u8 = 0x10;
const IOREDTBL_LAST: u8 = IOREDTBL + 2 * IOAPIC_PINS - 1;

/// Version 11h, and the number of the last entry.
const VERSION_VALUE: u32 = (IOAPIC_PINS as u32 - 1) << 16 | 0x11;

/// Bits of an entry.
const MASKED: u64 = 1 << 16;
const LEVEL: u64 = 1 << 15;
const REMOTE_IRR: u64 = 1 << 14;
const ACTIVE_LOW: u64 = 1 << 13;
const DELIVERY_STATUS: u64 = 1 << 12;
const LOGICAL: u64 = 1 << 11;
/// The lower half's bits that can be written: not remote IRR and delivery status.
const WRITABLE_LOW: u64 = 0x1_afff;

/// The chip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoApic {
    select: u8,
    id: u8,
    entries: [u64; IOAPIC_PINS as usize],
    /// Levels of the inputs, a bit each.
    inputs: u32,
    /// Inputs whose edge has not been sent.
    edges: u32,
}

impl Default for IoApic {
    fn default() -> Self {
        Self::new()
    }
}

impl IoApic {
    /// The chip after power-on, with the ID that firmware gives it, all inputs low.
    #[must_use]
    pub fn new() -> Self {
        let entries = [MASKED; IOAPIC_PINS as usize];
        Self { select: 0, id: IOAPIC_ID, entries, inputs: 0, edges: 0 }
    }

    /// Back to power-on, the inputs at the levels they have.
    pub fn reset(&mut self) {
        *self = Self { inputs: self.inputs, ..Self::new() };
    }

    /// Reads the register at an offset of the window.
    #[must_use]
    pub fn read(&self, offset: u16) -> u32 {
        match (offset, self.select) {
            (IOREGSEL, select) => select.into(),
            (IOWIN, IOAPICID | IOAPICARB) => u32::from(self.id) << 24,
            (IOWIN, IOAPICVER) => VERSION_VALUE,
            (IOWIN, register @ IOREDTBL..=IOREDTBL_LAST) => {
                let entry = self.shown(usize::from(register - IOREDTBL) / 2);
                if register & 1 == 0 { entry as u32 } else { (entry >> 32) as u32 }
            }
            _ => 0,
        }
    }

    /// Writes the register at an offset of the window.
    pub fn write(&mut self, offset: u16, value: u32) {
        match (offset, self.select) {
            (IOREGSEL, _) => self.select = value as u8,
            (IOWIN, IOAPICID) => self.id = (value >> 24) as u8 & 0xf,
            (IOWIN, register @ IOREDTBL..=IOREDTBL_LAST) => {
                self.write_entry(usize::from(register - IOREDTBL) / 2, register & 1 != 0, value);
            }
            _ => {}
        }
    }

    /// Drives an input.
    pub fn set_input(&mut self, pin: u8, high: bool) {
        if pin >= IOAPIC_PINS {
            return;
        }
        let (was, bit) = (self.is_asserted(pin.into()), 1 << pin);
        self.inputs = if high { self.inputs | bit } else { self.inputs & !bit };
        if !was && self.is_asserted(pin.into()) && self.entries[usize::from(pin)] & LEVEL == 0 {
            // An edge at a masked input is lost (82093AA, "Interrupt Mask").
            self.edges |= if self.entries[usize::from(pin)] & MASKED == 0 { bit } else { 0 };
        }
    }

    /// What an input has to send.
    #[must_use]
    pub fn message(&self, pin: u8) -> Option<ApicMessage> {
        let entry = *self.entries.get(usize::from(pin))?;
        let waits = if entry & LEVEL != 0 {
            entry & REMOTE_IRR == 0 && self.is_asserted(pin.into())
        } else {
            self.edges >> pin & 1 != 0
        };
        (waits && entry & MASKED == 0).then(|| ApicMessage {
            vector: entry as u8,
            mode: DeliveryMode::of(entry as u32),
            level: entry & LEVEL != 0,
            destination: Destination::of(entry & LOGICAL != 0, (entry >> 56) as u8),
        })
    }

    /// The input's message has been sent, and accepted or not.
    pub fn sent(&mut self, pin: u8, accepted: bool) {
        let Some(entry) = self.entries.get_mut(usize::from(pin)) else { return };
        self.edges &= !(1 << pin);
        if *entry & LEVEL != 0 && accepted {
            *entry |= REMOTE_IRR;
        }
    }

    /// A local APIC tells the end of a level-triggered interrupt.
    pub fn end_of_interrupt(&mut self, vector: u8) {
        for entry in &mut self.entries {
            if *entry & LEVEL != 0 && *entry as u8 == vector {
                *entry &= !REMOTE_IRR;
            }
        }
    }

    /// The registers, and the entries that are not as after power-on.
    #[must_use]
    pub fn inspect(&self) -> Vec<Reading> {
        let mut readings = vec![
            Reading::new("ID", format!("{:x}", self.id)),
            Reading::new("IOREGSEL", format!("{:02x}", self.select)),
            Reading::new("inputs", format!("{:06x}", self.inputs)),
        ];
        for (pin, entry) in self.entries.iter().enumerate().filter(|(_, entry)| **entry != MASKED) {
            let of = |bit, yes, no| if entry & bit != 0 { yes } else { no };
            let text = format!(
                "vector {:02x} {} to {} {:02x}, {} {}, {}{}",
                *entry as u8,
                DeliveryMode::of(*entry as u32).name(),
                of(LOGICAL, "logical", "physical"),
                entry >> 56,
                of(LEVEL, "level", "edge"),
                of(ACTIVE_LOW, "low", "high"),
                of(MASKED, "masked", "open"),
                of(REMOTE_IRR, ", in service", ""),
            );
            readings.push(Reading::new(format!("INTIN{pin}"), text));
        }
        readings
    }

    /// Whether an input is at the level that its entry calls active.
    fn is_asserted(&self, pin: usize) -> bool {
        (self.inputs >> pin & 1 != 0) != (self.entries[pin] & ACTIVE_LOW != 0)
    }

    /// An entry with its delivery status.
    fn shown(&self, pin: usize) -> u64 {
        let waits = self.message(pin as u8).is_some();
        self.entries[pin] | if waits { DELIVERY_STATUS } else { 0 }
    }

    fn write_entry(&mut self, pin: usize, high_half: bool, value: u32) {
        let entry = &mut self.entries[pin];
        if high_half {
            *entry = *entry & 0xffff_ffff | u64::from(value & 0xff00_0000) << 32;
            return;
        }
        let value = u64::from(value) & WRITABLE_LOW;
        let kept = if value & LEVEL != 0 { *entry & REMOTE_IRR } else { 0 };
        *entry = *entry & !0xffff_ffff | kept | value;
        if value & LEVEL != 0 {
            self.edges &= !(1 << pin);
        }
    }
}
