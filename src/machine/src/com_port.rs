//! A serial port: the UART and the line that comes into it.
//!
//! Characters from outside wait in the line's queue and reach the UART at the pace of a line of
//! 115,200 baud, and only while it has room: pasted text overruns no guest, however slow. The
//! line starts at once when it was idle.
//! Not modelled: a terminal that ignores the guest's pace; line errors; flow control by RTS.

use cutaway_devices::{Ctx, GuestTime, LineSpeed, PortDevice, Reading, Uart};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Ten bits a character (8N1) at 115,200 baud, in nanoseconds.
const CHARACTER_NS: u64 = 10 * 1_000_000_000 / 115_200;
/// The UART's transmitter runs at least this fast, whatever was programmed: a guest that sets
/// 9,600 baud and waits for each character should not spend its life doing so.
const TRANSMITTER: LineSpeed = LineSpeed::AtLeast(4_000_000);

/// A UART with its incoming line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ComPort {
    uart: Uart,
    /// What has not reached the UART yet.
    waiting: VecDeque<u8>,
    /// When the line is free for the next character.
    free_at: GuestTime,
}

impl ComPort {
    pub(crate) fn new() -> Self {
        Self { uart: Uart::new(TRANSMITTER), waiting: VecDeque::new(), free_at: GuestTime::ZERO }
    }

    /// The RESET pin. What is on the line stays there.
    pub(crate) fn reset(&mut self) {
        self.uart.reset();
    }

    /// The interrupt request.
    pub(crate) fn irq(&self) -> bool {
        self.uart.irq()
    }

    /// Puts characters on the line.
    pub(crate) fn send(&mut self, bytes: &[u8], now: GuestTime) {
        self.waiting.extend(bytes);
        self.deliver(now);
    }

    /// The UART's registers, and what is still on the line.
    pub(crate) fn inspect(&self) -> Vec<Reading> {
        let mut readings = self.uart.inspect();
        let waiting = format!("{} characters not there yet", self.waiting.len());
        readings.push(Reading { name: "line in".to_owned(), value: waiting });
        readings
    }

    /// Characters that the guest has not got yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Sends out what the transmitter still holds.
    pub(crate) fn flush(&mut self, ctx: &mut Ctx<'_>) {
        self.uart.flush(ctx);
    }

    fn deliver(&mut self, now: GuestTime) {
        if now >= self.free_at
            && self.uart.room() > 0
            && let Some(byte) = self.waiting.pop_front()
        {
            self.uart.receive(byte, now);
            self.free_at = now.plus_ns(CHARACTER_NS);
        }
    }
}

impl PortDevice for ComPort {
    fn read(&mut self, offset: u16, ctx: &mut Ctx<'_>) -> u8 {
        let value = self.uart.read(offset, ctx);
        self.deliver(ctx.now);
        value
    }

    fn write(&mut self, offset: u16, value: u8, ctx: &mut Ctx<'_>) {
        self.uart.write(offset, value, ctx);
        self.deliver(ctx.now);
    }

    fn next_event(&self, now: GuestTime) -> Option<GuestTime> {
        let due = !self.waiting.is_empty() && self.uart.room() > 0;
        let line = due.then(|| self.free_at.max(now.plus_ns(1)));
        [self.uart.next_event(now), line].into_iter().flatten().min()
    }

    fn advance(&mut self, ctx: &mut Ctx<'_>) {
        self.uart.advance(ctx);
        self.deliver(ctx.now);
    }
}
