//! The chips of a PC, each from its datasheet.
//!
//! A chip is a struct of plain data plus port handlers ([`PortDevice`]). It knows neither the bus
//! nor any other chip: which port and which interrupt line it has is the board's business (crate
//! `cutaway-machine`). Its outputs (an IRQ level, the A20 gate) are methods that the board reads
//! after each access and each [`PortDevice::advance`]; its input pins are `set_…` methods.
//!
//! Time: nothing ticks. A chip works out its state from guest time when somebody looks, and says
//! with [`PortDevice::next_event`] when an output will change by itself. `advance` at any other
//! time changes nothing, so how often the board calls it cannot be seen in a snapshot.
#![forbid(unsafe_code)]

mod acpi;
mod apic_bus;
mod coprocessor;
mod debug_exit;
mod debug_port;
mod inspect;
mod ioapic;
mod kbc;
mod lapic;
mod pic;
mod pit;
mod power;
mod rtc;
#[cfg(test)]
mod suite;
mod system_control;
mod time;
mod uart;
mod virtio;

pub use acpi::{ACPI_DISABLE, ACPI_ENABLE, AcpiPm, PM_TIMER_HZ};
pub use apic_bus::{ApicMessage, DeliveryMode, Destination};
pub use coprocessor::CoprocessorError;
pub use debug_exit::DebugExit;
pub use debug_port::{DebugConsole, PostCode};
pub use inspect::Reading;
pub use ioapic::{IOAPIC_BASE, IOAPIC_BYTES, IOAPIC_ID, IOAPIC_PINS, IoApic};
pub use kbc::Kbc;
pub use lapic::{LAPIC_BASE, LAPIC_BYTES, LAPIC_HZ, Lapic, LapicOutput};
pub use pic::PicPair;
pub use pit::{PIT_HZ, Pit};
pub use power::ResetControl;
pub use rtc::{RTC_HZ, Rtc};
pub use system_control::{Port61, Port92};
pub use time::{GuestTime, NS_PER_SECOND};
pub use uart::{LineSpeed, ModemInputs, UART_HZ, Uart};
pub use virtio::{
    Balloon, BalloonSize, Block, Chain, Dma, SECTOR, Segment, Served, VirtioDevice, VirtioMmio,
};

/// What a read gives that no chip answers.
pub const OPEN_BUS: u8 = 0xff;

/// A chip that is reached through I/O ports, a byte at a time.
///
/// `offset` is counted from the chip's own first register. Wider accesses are several bytes at the
/// same `now`, lowest first. No offset and no value panics.
pub trait PortDevice {
    /// Reads the register at `offset`; reading may change the chip.
    fn read(&mut self, offset: u16, ctx: &mut Ctx<'_>) -> u8;

    /// Writes the register at `offset`.
    fn write(&mut self, offset: u16, value: u8, ctx: &mut Ctx<'_>);

    /// The earliest instant after `now` at which an output changes with nobody touching the chip.
    ///
    /// [`GuestTime::MAX`] never comes. Valid until the next `read`, `write`, `advance` or change of an input pin.
    fn next_event(&self, now: GuestTime) -> Option<GuestTime> {
        let _ = now;
        None
    }

    /// Brings the chip to `ctx.now`, which is not before any earlier call's.
    ///
    /// The board calls it at each `next_event`, in the order of time and with `now` at the event,
    /// so that no edge of an output is lost.
    fn advance(&mut self, ctx: &mut Ctx<'_>) {
        let _ = ctx;
    }
}

/// What a chip gets at each access: the time, and its host side.
pub struct Ctx<'a> {
    /// Guest time of the access.
    pub now: GuestTime,
    /// Where characters go that the chip sends out. Only [`Uart`] and [`DebugConsole`] use it;
    /// for the others it is [`Unconnected`].
    pub chars: &'a mut dyn CharSink,
}

/// Takes the characters that a chip sends to the outside.
pub trait CharSink {
    /// One character, in the order sent.
    fn put(&mut self, byte: u8);

    /// The same, with the time at which it left the chip.
    fn put_at(&mut self, byte: u8, now: GuestTime) {
        let _ = now;
        self.put(byte);
    }
}

/// A plug with nothing on it: characters vanish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unconnected;

impl CharSink for Unconnected {
    fn put(&mut self, _byte: u8) {}
}

impl CharSink for Vec<u8> {
    fn put(&mut self, byte: u8) {
        self.push(byte);
    }
}

/// What a chip asks of the whole machine. The board takes it after each access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum PowerRequest {
    /// Reset the processor and the chips with a reset pin.
    Reset,
    /// Switch the machine off.
    PowerOff,
    /// End the emulation with this exit code.
    Exit(u8),
}
