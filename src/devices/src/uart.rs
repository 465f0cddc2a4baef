//! 16550A universal asynchronous receiver/transmitter (UART): a serial port with FIFOs.
//!
//! Source: National Semiconductor PC16550D datasheet, §8 "Registers", "FIFO Interrupt Mode
//! Operation", "FIFO Polled Mode Operation".
//! Time: a character takes its bits' time to leave; nothing ticks, the end of a character and the
//! receiver's timeout are events. What the host side sends arrives at once, so the host asks
//! [`Uart::room`] first. Frequent consoles set slow lines (Linux: 9600 baud, a millisecond a
//! character), so the board may run slower lines at a higher speed, see [`LineSpeed`].
//! Not modelled: the RXRDY and TXRDY pins (FCR bit 3), the shortened stop bit in the delay of
//! the THRE interrupt, parity on the line, a break sent to the host; the upper bits of words
//! shorter than 8 bits do travel, since guests that leave LCR as it was expect 8-bit characters.
//! Unverified: a divisor of 0 counts as 65,536; after power-on it is 12 (9600 baud), where the
//! datasheet leaves it undefined.

mod inspect;
mod receiver;
#[cfg(test)]
mod tests;
mod transmitter;

use serde::{Deserialize, Serialize};

use crate::{Ctx, GuestTime, NS_PER_SECOND, OPEN_BUS, PortDevice};
use receiver::Receiver;
use transmitter::Transmitter;

/// Input clock of the baud generator in Hz; 16 clocks times the divisor make a bit.
pub const UART_HZ: u32 = 1_843_200;

/// RBR and THR; with DLAB the divisor's low byte DLL.
const DATA: u16 = 0;
/// IER; with DLAB the divisor's high byte DLM.
const IER: u16 = 1;
/// IIR when read, FCR when written.
const IIR_FCR: u16 = 2;
const LCR: u16 = 3;
const MCR: u16 = 4;
const LSR: u16 = 5;
const MSR: u16 = 6;
const SCR: u16 = 7;

const IER_RECEIVED_DATA: u8 = 0x01;
const IER_THR_EMPTY: u8 = 0x02;
const IER_LINE_STATUS: u8 = 0x04;
const IER_MODEM_STATUS: u8 = 0x08;

const IIR_NONE: u8 = 0x01;
const IIR_MODEM_STATUS: u8 = 0x00;
const IIR_THR_EMPTY: u8 = 0x02;
const IIR_RECEIVED_DATA: u8 = 0x04;
const IIR_LINE_STATUS: u8 = 0x06;
const IIR_CHARACTER_TIMEOUT: u8 = 0x0c;
const IIR_FIFOS_ENABLED: u8 = 0xc0;

const FCR_ENABLE: u8 = 0x01;
const FCR_CLEAR_RECEIVER: u8 = 0x02;
const FCR_CLEAR_TRANSMITTER: u8 = 0x04;

const LCR_WORD_LENGTH: u8 = 0x03; // 5 bits and more
const LCR_STOP_BITS: u8 = 0x04;
const LCR_PARITY: u8 = 0x08;
const LCR_BREAK: u8 = 0x40;
const LCR_DLAB: u8 = 0x80;

const MCR_DTR: u8 = 0x01;
const MCR_RTS: u8 = 0x02;
const MCR_OUT1: u8 = 0x04;
const MCR_OUT2: u8 = 0x08;
const MCR_LOOP: u8 = 0x10;
const MCR_WRITABLE: u8 = 0x1f;

const LSR_DATA_READY: u8 = 0x01;
const LSR_OVERRUN: u8 = 0x02;
const LSR_FRAMING: u8 = 0x08;
const LSR_BREAK: u8 = 0x10;
const LSR_THR_EMPTY: u8 = 0x20;
const LSR_TRANSMITTER_EMPTY: u8 = 0x40;
const LSR_ERROR_IN_FIFO: u8 = 0x80;

const MSR_TERI: u8 = 0x04; // trailing edge of RI
const MSR_CTS: u8 = 0x10;
const MSR_DSR: u8 = 0x20;
const MSR_RI: u8 = 0x40;
const MSR_DCD: u8 = 0x80;

/// Characters in a FIFO.
const FIFO_DEPTH: usize = 16;
/// Character times without traffic after which waiting data is announced.
const TIMEOUT_CHARACTERS: u64 = 4;
/// The divisor after power-on: 9600 baud.
const POWER_ON_DIVISOR: u16 = 12;

/// How fast the line runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LineSpeed {
    /// As the guest programs it.
    AsProgrammed,
    /// As the guest programs it, but never slower than so many baud.
    AtLeast(u32),
}

/// The modem's pins, `true` is asserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModemInputs {
    /// Clear to send.
    pub cts: bool,
    /// Data set ready.
    pub dsr: bool,
    /// Ring indicator.
    pub ri: bool,
    /// Data carrier detect.
    pub dcd: bool,
}

impl ModemInputs {
    /// A terminal that is switched on.
    pub const CONNECTED: Self = Self { cts: true, dsr: true, ri: false, dcd: true };

    /// As MSR bits 7:4.
    fn bits(self) -> u8 {
        let bit = |pin, bit| if pin { bit } else { 0 };
        bit(self.cts, MSR_CTS)
            | bit(self.dsr, MSR_DSR)
            | bit(self.ri, MSR_RI)
            | bit(self.dcd, MSR_DCD)
    }
}

/// The chip. Offsets 0 to 7 are its registers; on a PC COM1 is at port 0x3f8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uart {
    speed: LineSpeed,
    divisor: u16,
    ier: u8,
    lcr: u8,
    mcr: u8,
    scr: u8,
    fifos: bool,
    receiver: Receiver,
    transmitter: Transmitter,
    modem: ModemInputs,
    /// MSR bits 3:0: which pins changed since MSR was read.
    modem_changes: u8,
}

impl Uart {
    /// The chip after reset, with a terminal that is switched on at the other end.
    pub fn new(speed: LineSpeed) -> Self {
        Self {
            speed,
            divisor: POWER_ON_DIVISOR,
            ier: 0,
            lcr: 0,
            mcr: 0,
            scr: 0,
            fifos: false,
            receiver: Receiver::default(),
            transmitter: Transmitter::default(),
            modem: ModemInputs::CONNECTED,
            modem_changes: 0,
        }
    }

    /// The RESET pin. What the datasheet leaves as it was (divisor, scratch register, data) is as
    /// after power-on, too.
    pub fn reset(&mut self) {
        *self = Self { modem: self.modem, ..Self::new(self.speed) };
    }

    /// The interrupt as it reaches the PIC: on a PC, OUT2 connects it.
    pub fn irq(&self) -> bool {
        self.mcr & MCR_OUT2 != 0 && self.interrupt() != IIR_NONE
    }

    /// How many characters may arrive before one is lost. In loopback nothing can arrive.
    pub fn room(&self) -> usize {
        if self.is_loopback() { 0 } else { self.depth().saturating_sub(self.receiver.len()) }
    }

    /// A character arrives from the line. Beyond [`Self::room`] it is an overrun; in loopback it
    /// is lost, as the pin is disconnected.
    pub fn receive(&mut self, byte: u8, now: GuestTime) {
        if !self.is_loopback() {
            self.take(byte, 0, now);
        }
    }

    /// A break arrives: a zero with the stop bit missing.
    pub fn receive_break(&mut self, now: GuestTime) {
        if !self.is_loopback() {
            self.take(0, LSR_BREAK | LSR_FRAMING, now);
        }
    }

    /// Drives the modem's pins.
    pub fn set_modem_inputs(&mut self, modem: ModemInputs) {
        let before = self.modem_pins();
        self.modem = modem;
        self.note_modem_changes(before);
    }

    /// Sends at once what still is in the transmitter: for the end of the machine, so that the
    /// last words of a guest are not lost.
    pub fn flush(&mut self, ctx: &mut Ctx<'_>) {
        if !self.is_loopback() {
            for byte in self.transmitter.drain() {
                ctx.chars.put_at(byte, ctx.now);
            }
        }
    }

    /// What IIR bits 3:0 show: the pending enabled interrupt with the highest priority.
    fn interrupt(&self) -> u8 {
        let enabled = |bit| self.ier & bit != 0;
        if enabled(IER_LINE_STATUS) && self.receiver.has_error() {
            IIR_LINE_STATUS
        } else if enabled(IER_RECEIVED_DATA) && self.receiver.reached_trigger(self.fifos) {
            IIR_RECEIVED_DATA
        } else if enabled(IER_RECEIVED_DATA) && self.receiver.has_timed_out() {
            IIR_CHARACTER_TIMEOUT
        } else if enabled(IER_THR_EMPTY) && self.transmitter.announces_empty {
            IIR_THR_EMPTY
        } else if enabled(IER_MODEM_STATUS) && self.modem_changes != 0 {
            IIR_MODEM_STATUS
        } else {
            IIR_NONE
        }
    }

    /// IIR. Reading it takes back the THRE interrupt, if that is what it shows.
    fn read_iir(&mut self) -> u8 {
        let interrupt = self.interrupt();
        if interrupt == IIR_THR_EMPTY {
            self.transmitter.announces_empty = false;
        }
        interrupt | if self.fifos { IIR_FIFOS_ENABLED } else { 0 }
    }

    fn write_ier(&mut self, value: u8) {
        let enables_empty = value & !self.ier & IER_THR_EMPTY != 0;
        self.ier = value & 0x0f;
        if enables_empty && self.transmitter.is_empty() {
            self.transmitter.announces_empty = true;
        }
    }

    fn write_fcr(&mut self, value: u8) {
        let enable = value & FCR_ENABLE != 0;
        let toggled = enable != self.fifos;
        self.fifos = enable;
        if toggled || value & FCR_CLEAR_RECEIVER != 0 {
            self.receiver.clear();
        }
        if toggled || value & FCR_CLEAR_TRANSMITTER != 0 {
            self.transmitter.clear();
        }
        if enable {
            self.receiver.set_trigger(value >> 6);
        }
    }

    fn write_lcr(&mut self, value: u8, now: GuestTime) {
        let starts_break = value & !self.lcr & LCR_BREAK != 0;
        self.lcr = value;
        if starts_break && self.is_loopback() {
            self.take(0, LSR_BREAK | LSR_FRAMING, now);
        }
    }

    fn write_mcr(&mut self, value: u8) {
        let before = self.modem_pins();
        self.mcr = value & MCR_WRITABLE;
        self.note_modem_changes(before);
    }

    /// LSR. Reading it takes back the errors.
    fn read_lsr(&mut self) -> u8 {
        let mut lsr = self.receiver.take_errors();
        if self.fifos && (lsr & !LSR_OVERRUN != 0 || self.receiver.has_error_below_top()) {
            lsr |= LSR_ERROR_IN_FIFO;
        }
        if self.receiver.len() != 0 {
            lsr |= LSR_DATA_READY;
        }
        if self.transmitter.is_empty() {
            lsr |= LSR_THR_EMPTY;
        }
        if self.transmitter.is_idle() {
            lsr |= LSR_TRANSMITTER_EMPTY;
        }
        lsr
    }

    /// MSR. Reading it takes back the changes.
    fn read_msr(&mut self) -> u8 {
        self.modem_pins() | std::mem::take(&mut self.modem_changes)
    }

    /// MSR bits 7:4: the pins, or in loopback what MCR says.
    fn modem_pins(&self) -> u8 {
        if !self.is_loopback() {
            return self.modem.bits();
        }
        ModemInputs {
            cts: self.mcr & MCR_RTS != 0,
            dsr: self.mcr & MCR_DTR != 0,
            ri: self.mcr & MCR_OUT1 != 0,
            dcd: self.mcr & MCR_OUT2 != 0,
        }
        .bits()
    }

    /// Notes in MSR bits 3:0 what changed; of RI only the end of the ringing counts.
    fn note_modem_changes(&mut self, before: u8) {
        let after = self.modem_pins();
        let changed = (before ^ after) >> 4;
        let ringing_ended = before & !after & MSR_RI != 0;
        self.modem_changes |= changed & !MSR_TERI | if ringing_ended { MSR_TERI } else { 0 };
    }

    /// A character reaches the receiver, from outside or through the loop.
    fn take(&mut self, byte: u8, errors: u8, now: GuestTime) {
        let depth = self.depth();
        self.receiver.push(byte, errors, depth);
        self.restart_timeout(now);
    }

    /// The timeout runs from the last traffic, and only with FIFOs.
    fn restart_timeout(&mut self, now: GuestTime) {
        let at = now.plus_ns(TIMEOUT_CHARACTERS * self.character_ns());
        self.receiver.restart_timeout(self.fifos.then_some(at));
    }

    fn depth(&self) -> usize {
        if self.fifos { FIFO_DEPTH } else { 1 }
    }

    fn is_loopback(&self) -> bool {
        self.mcr & MCR_LOOP != 0
    }

    fn has_dlab(&self) -> bool {
        self.lcr & LCR_DLAB != 0
    }

    /// The time of a character on the line: start bit, data, parity, stop bits.
    fn character_ns(&self) -> u64 {
        let data = 5 + u64::from(self.lcr & LCR_WORD_LENGTH);
        let parity = u64::from(self.lcr & LCR_PARITY != 0);
        let stop_halves = match (self.lcr & LCR_STOP_BITS != 0, data) {
            (false, _) => 2,
            (true, 5) => 3,
            (true, _) => 4,
        };
        let half_bits = 2 * (1 + data + parity) + stop_halves;
        let divisor = if self.divisor == 0 { 0x1_0000 } else { u64::from(self.divisor) };
        let programmed = (half_bits * 8 * divisor * NS_PER_SECOND).div_ceil(u64::from(UART_HZ));
        match self.speed {
            LineSpeed::AsProgrammed => programmed,
            LineSpeed::AtLeast(baud) => {
                let longest = (half_bits * NS_PER_SECOND).div_ceil(2 * u64::from(baud.max(1)));
                programmed.min(longest)
            }
        }
    }
}

impl PortDevice for Uart {
    fn read(&mut self, offset: u16, ctx: &mut Ctx<'_>) -> u8 {
        self.advance(ctx);
        match offset {
            DATA if self.has_dlab() => self.divisor.to_le_bytes()[0],
            IER if self.has_dlab() => self.divisor.to_le_bytes()[1],
            DATA => {
                let byte = self.receiver.pop();
                self.restart_timeout(ctx.now);
                byte
            }
            IER => self.ier,
            IIR_FCR => self.read_iir(),
            LCR => self.lcr,
            MCR => self.mcr,
            LSR => self.read_lsr(),
            MSR => self.read_msr(),
            SCR => self.scr,
            _ => OPEN_BUS,
        }
    }

    fn write(&mut self, offset: u16, value: u8, ctx: &mut Ctx<'_>) {
        self.advance(ctx);
        let [low, high] = self.divisor.to_le_bytes();
        match offset {
            DATA if self.has_dlab() => self.divisor = u16::from_le_bytes([value, high]),
            IER if self.has_dlab() => self.divisor = u16::from_le_bytes([low, value]),
            DATA => {
                let end = ctx.now.plus_ns(self.character_ns());
                self.transmitter.push(value, self.depth(), end);
            }
            IER => self.write_ier(value),
            IIR_FCR => self.write_fcr(value),
            LCR => self.write_lcr(value, ctx.now),
            MCR => self.write_mcr(value),
            SCR => self.scr = value,
            _ => {} // LSR and MSR are read-only
        }
    }

    /// The end of the character being sent, or the receiver's timeout.
    fn next_event(&self, now: GuestTime) -> Option<GuestTime> {
        let timeout = self.receiver.timeout_at().filter(|at| *at > now);
        [self.transmitter.sends_until(), timeout].into_iter().flatten().min()
    }

    fn advance(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(end) = self.transmitter.sends_until().filter(|end| *end <= ctx.now) {
            let next_end = end.plus_ns(self.character_ns());
            let Some(byte) = self.transmitter.finish_character(next_end) else { break };
            if self.is_loopback() {
                self.receiver.advance(end);
                self.take(byte, 0, end);
            } else {
                ctx.chars.put_at(byte, ctx.now);
            }
            if next_end == GuestTime::MAX {
                break; // the end of time
            }
        }
        self.receiver.advance(ctx.now);
    }
}
