//! Intel 8042 as the keyboard controller (KBC) of an AT and PS/2, with a keyboard and nothing on
//! the auxiliary port.
//!
//! Source: IBM PC AT Technical Reference, "Keyboard Controller"; IBM PS/2 Hardware Interface
//! Technical Reference, "Keyboard and Auxiliary Device Controller".
//! Time: a byte takes 880 µs from the keyboard (11 bits), and a further answer of the controller
//! 20 µs after the last was read; the arrival is an event. The controller's first answer is there
//! at once, and IBF never shows.
//! Not modelled: typematic repeat (the host repeats keys), scan code set 3 (asked for, the
//! keyboard says "resend"), passwords, the diagnostic dump (0xac), continuous polling of the input
//! port (0xc1, 0xc2), pulses on lines other than reset, the time of the self tests, and a mouse:
//! what is sent to one times out, as on a board with nothing plugged in.
//! Unverified: the command byte after power-on is as firmware leaves it, for guests that start
//! without one.

mod inspect;
mod keyboard;
mod scan_codes;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{Ctx, GuestTime, OPEN_BUS, PortDevice, PowerRequest};
use keyboard::Keyboard;
use scan_codes::Translator;

/// Data: the output buffer when read.
const DATA: u16 = 0;
/// Status when read, command when written.
const STATUS_COMMAND: u16 = 4;

const STATUS_OBF: u8 = 0x01;
const STATUS_SYSTEM: u8 = 0x04;
const STATUS_COMMAND_WRITTEN: u8 = 0x08;
const STATUS_UNLOCKED: u8 = 0x10;
const STATUS_AUX: u8 = 0x20;
const STATUS_TIMEOUT: u8 = 0x40;

/// The command byte, at address 0 of the controller's memory.
const CB_IRQ1: u8 = 0x01;
const CB_IRQ12: u8 = 0x02;
const CB_SYSTEM: u8 = 0x04;
const CB_KEYBOARD_OFF: u8 = 0x10;
const CB_AUX_OFF: u8 = 0x20;
const CB_TRANSLATE: u8 = 0x40;
const CB_POWER_ON: u8 = CB_TRANSLATE | CB_AUX_OFF | CB_IRQ1;

/// The output port P2.
const P2_NO_RESET: u8 = 0x01;
const P2_A20: u8 = 0x02;
const P2_IRQ1: u8 = 0x10;
const P2_IRQ12: u8 = 0x20;
const P2_POWER_ON: u8 = 0xcf;
/// The input port P1: not locked, no manufacturing jumper, all memory on the board enabled.
const P1: u8 = 0xb0;

const SELF_TEST_PASSED: u8 = 0x55;
const NO_PASSWORD: u8 = 0xf1;
/// What the controller says when a device does not answer.
const RESEND: u8 = 0xfe;

/// Start bit, 8 data bits, parity, stop bit, at 12.5 kHz.
const KEYBOARD_BYTE_NS: u64 = 880_000;
const REPLY_NS: u64 = 20_000;

/// The controller and its keyboard. Offset 0 is data, offset 4 status and command; on a PC ports
/// 0x60 and 0x64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kbc {
    /// Memory of the controller, with the command byte at 0.
    ram: [u8; 32],
    p2: u8,
    /// The output buffer, which keeps its byte when read.
    output: Byte,
    obf: bool,
    /// The last write was to the command port.
    command_written: bool,
    /// The command whose parameter comes next through the data port.
    expects_parameter_of: Option<u8>,
    /// Answers of the controller that wait for the output buffer.
    replies: VecDeque<Byte>,
    translator: Translator,
    keyboard: Keyboard,
    /// When the next byte reaches the output buffer, if it is on its way.
    arrives_at: Option<GuestTime>,
    request: Option<PowerRequest>,
}

/// A byte for the output buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Byte {
    value: u8,
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Source {
    /// The keyboard, or the controller itself.
    Keyboard,
    Aux,
    /// The auxiliary port, where nothing answers.
    AuxTimeout,
}

impl Kbc {
    /// The controller after power-on, A20 open.
    pub fn new() -> Self {
        let mut ram = [0; 32];
        ram[0] = CB_POWER_ON;
        Self {
            ram,
            p2: P2_POWER_ON,
            output: Byte { value: 0, source: Source::Keyboard },
            obf: false,
            command_written: true,
            expects_parameter_of: None,
            replies: VecDeque::new(),
            translator: Translator::default(),
            keyboard: Keyboard::new(),
            arrives_at: None,
            request: None,
        }
    }

    /// The RESET pin; the keyboard is as after power-on, too.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// IRQ 1: a byte from keyboard or controller waits.
    pub fn irq1(&self) -> bool {
        self.obf && self.output.source == Source::Keyboard && self.has_option(CB_IRQ1)
    }

    /// IRQ 12: a byte from the auxiliary port waits.
    pub fn irq12(&self) -> bool {
        self.obf && self.output.source != Source::Keyboard && self.has_option(CB_IRQ12)
    }

    /// Whether the controller opens address line A20. Port 0x92 may open it, too.
    pub fn a20(&self) -> bool {
        self.p2 & P2_A20 != 0
    }

    /// Takes the reset that the guest asked for.
    pub fn take_request(&mut self) -> Option<PowerRequest> {
        self.request.take()
    }

    /// The keyboard's lights: bit 0 Scroll Lock, bit 1 Num Lock, bit 2 Caps Lock.
    pub fn indicators(&self) -> u8 {
        self.keyboard.indicators()
    }

    /// A key was pressed or released: its bytes in scan code set 2, prefixes included.
    pub fn key(&mut self, codes: &[u8], now: GuestTime) {
        self.keyboard.key(codes);
        self.schedule(now);
    }

    fn read_status(&self) -> u8 {
        let source = match self.output.source {
            _ if !self.obf => 0,
            Source::Keyboard => 0,
            Source::Aux => STATUS_AUX,
            Source::AuxTimeout => STATUS_AUX | STATUS_TIMEOUT,
        };
        let bit = |set, bit| if set { bit } else { 0 };
        source
            | bit(self.obf, STATUS_OBF)
            | bit(self.has_option(CB_SYSTEM), STATUS_SYSTEM)
            | bit(self.command_written, STATUS_COMMAND_WRITTEN)
            | STATUS_UNLOCKED
    }

    fn read_data(&mut self, now: GuestTime) -> u8 {
        self.obf = false;
        self.schedule(now);
        self.output.value
    }

    fn write_command(&mut self, command: u8) {
        self.command_written = true;
        self.expects_parameter_of = None;
        match command {
            0x20..=0x3f => self.reply(self.ram[usize::from(command & 0x1f)]),
            0x60..=0x7f | 0xd1..=0xd4 => self.expects_parameter_of = Some(command),
            0xa4 => self.reply(NO_PASSWORD),
            0xa7 => self.set_option(CB_AUX_OFF, true),
            0xa8 => self.set_option(CB_AUX_OFF, false),
            0xa9 | 0xab => self.reply(0x00), // the lines of aux and keyboard are well
            0xaa => {
                self.set_option(CB_SYSTEM, true);
                self.reply(SELF_TEST_PASSED);
            }
            0xad => self.set_option(CB_KEYBOARD_OFF, true),
            0xae => self.set_option(CB_KEYBOARD_OFF, false),
            0xc0 => self.reply(P1),
            0xd0 => self.reply(self.output_port()),
            0xdd => self.p2 &= !P2_A20,
            0xdf => self.p2 |= P2_A20,
            0xe0 => self.reply(0x00), // test inputs: clock and data lines are idle
            0xf0..=0xff if command & P2_NO_RESET == 0 => self.request = Some(PowerRequest::Reset),
            _ => {}
        }
    }

    fn write_data(&mut self, value: u8) {
        self.command_written = false;
        match self.expects_parameter_of.take() {
            Some(command @ 0x60..=0x7f) => self.ram[usize::from(command & 0x1f)] = value,
            Some(0xd1) => {
                self.p2 = value;
                if value & P2_NO_RESET == 0 {
                    self.request = Some(PowerRequest::Reset);
                }
            }
            Some(0xd2) => self.reply(value),
            Some(0xd3) => self.reply_from(Source::Aux, value),
            Some(0xd4) => {
                self.set_option(CB_AUX_OFF, false);
                self.reply_from(Source::AuxTimeout, RESEND);
            }
            _ => {
                // To talk to the keyboard enables it.
                self.set_option(CB_KEYBOARD_OFF, false);
                self.keyboard.receive(value);
            }
        }
    }

    fn reply(&mut self, value: u8) {
        self.reply_from(Source::Keyboard, value);
    }

    /// An answer of the controller: into the output buffer, or behind what waits there.
    fn reply_from(&mut self, source: Source, value: u8) {
        let byte = Byte { value, source };
        if !self.obf && self.replies.is_empty() {
            self.fill_output(byte);
        } else if self.replies.len() < 16 {
            self.replies.push_back(byte);
        }
    }

    fn fill_output(&mut self, byte: Byte) {
        self.output = byte;
        self.obf = true;
        self.arrives_at = None; // the keyboard is held off
    }

    /// Sends the next byte on its way, if the output buffer is free for it.
    fn schedule(&mut self, now: GuestTime) {
        let takes_ns = if self.obf {
            None
        } else if !self.replies.is_empty() {
            Some(REPLY_NS)
        } else if !self.has_option(CB_KEYBOARD_OFF) && self.keyboard.has_byte() {
            Some(KEYBOARD_BYTE_NS)
        } else {
            None
        };
        self.arrives_at = match takes_ns {
            None => None,
            Some(ns) => self.arrives_at.or(Some(now.plus_ns(ns))),
        };
    }

    /// The byte on its way arrives.
    fn arrive(&mut self) {
        if let Some(reply) = self.replies.pop_front() {
            return self.fill_output(reply);
        }
        let Some(byte) = self.keyboard.send() else { return };
        let value = if self.has_option(CB_TRANSLATE) {
            self.translator.translate(byte)
        } else {
            Some(byte)
        };
        if let Some(value) = value {
            self.fill_output(Byte { value, source: Source::Keyboard });
        }
    }

    /// P2 as it is read back: two of its lines are the interrupts.
    fn output_port(&self) -> u8 {
        let bit = |set, bit| if set { bit } else { 0 };
        self.p2 & !(P2_IRQ1 | P2_IRQ12) | bit(self.irq1(), P2_IRQ1) | bit(self.irq12(), P2_IRQ12)
    }

    fn has_option(&self, bit: u8) -> bool {
        self.ram[0] & bit != 0
    }

    fn set_option(&mut self, bit: u8, set: bool) {
        if set {
            self.ram[0] |= bit;
        } else {
            self.ram[0] &= !bit;
        }
    }
}

impl Default for Kbc {
    fn default() -> Self {
        Self::new()
    }
}

impl PortDevice for Kbc {
    fn read(&mut self, offset: u16, ctx: &mut Ctx<'_>) -> u8 {
        self.advance(ctx);
        match offset {
            DATA => self.read_data(ctx.now),
            STATUS_COMMAND => self.read_status(),
            _ => OPEN_BUS,
        }
    }

    fn write(&mut self, offset: u16, value: u8, ctx: &mut Ctx<'_>) {
        self.advance(ctx);
        match offset {
            DATA => self.write_data(value),
            STATUS_COMMAND => self.write_command(value),
            _ => {}
        }
        self.schedule(ctx.now);
    }

    /// The arrival of a byte in the output buffer.
    fn next_event(&self, _now: GuestTime) -> Option<GuestTime> {
        self.arrives_at
    }

    fn advance(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(arrival) = self.arrives_at.filter(|arrival| *arrival <= ctx.now) {
            self.arrives_at = None;
            self.arrive();
            self.schedule(arrival);
        }
    }
}
