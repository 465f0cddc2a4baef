//! The PS/2 keyboard at the other end of the cable.
//!
//! Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-key)",
//! "Commands from the System", "Commands to the System".

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::scan_codes::Translator;

/// Bytes of scan codes that the keyboard can hold.
const BUFFER_BYTES: usize = 16;

const SET_INDICATORS: u8 = 0xed;
const ECHO: u8 = 0xee;
const SCAN_CODE_SET: u8 = 0xf0;
const READ_ID: u8 = 0xf2;
const SET_TYPEMATIC: u8 = 0xf3;
const ENABLE: u8 = 0xf4;
const DEFAULT_DISABLE: u8 = 0xf5;
const SET_DEFAULT: u8 = 0xf6;
/// 0xf7 to 0xfd choose in scan code set 3 which keys repeat and break.
const SET_ALL_TYPEMATIC: u8 = 0xf7;
const SET_KEY_MAKE: u8 = 0xfd;
const RESEND: u8 = 0xfe;
const RESET: u8 = 0xff;

const ACK: u8 = 0xfa;
const SELF_TEST_PASSED: u8 = 0xaa;
const ID: [u8; 2] = [0xab, 0x83];

/// Rate and delay after reset: 10.9 a second after half a second.
const DEFAULT_TYPEMATIC: u8 = 0x2b;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Keyboard {
    /// Answers, which go before scan codes.
    replies: VecDeque<u8>,
    /// Scan codes of keys.
    codes: VecDeque<u8>,
    last_sent: u8,
    /// The command whose parameter comes next.
    expects_parameter_of: Option<u8>,
    scans: bool,
    set: ScanCodeSet,
    indicators: u8,
    typematic: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum ScanCodeSet {
    Set1 = 1,
    Set2 = 2,
}

impl Keyboard {
    /// The keyboard after its self test.
    pub(super) fn new() -> Self {
        Self {
            replies: VecDeque::new(),
            codes: VecDeque::new(),
            last_sent: SELF_TEST_PASSED,
            expects_parameter_of: None,
            scans: true,
            set: ScanCodeSet::Set2,
            indicators: 0,
            typematic: DEFAULT_TYPEMATIC,
        }
    }

    /// Scroll Lock, Num Lock, Caps Lock: bits 0, 1, 2.
    pub(super) fn indicators(&self) -> u8 {
        self.indicators
    }

    /// The scan codes (set 2) of a key pressed or released. Without room for all of them the
    /// keyboard sends its overrun code instead.
    pub(super) fn key(&mut self, codes: &[u8]) {
        if !self.scans {
            return;
        }
        let mut translator = Translator::default();
        let codes: Vec<u8> = match self.set {
            ScanCodeSet::Set1 => {
                codes.iter().filter_map(|code| translator.translate(*code)).collect()
            }
            ScanCodeSet::Set2 => codes.to_vec(),
        };
        if self.codes.len() + codes.len() <= BUFFER_BYTES {
            self.codes.extend(codes);
        } else if self.codes.len() <= BUFFER_BYTES {
            self.codes.resize(BUFFER_BYTES, self.overrun());
            self.codes.push_back(self.overrun());
        }
    }

    /// The bytes that it will send, the next one first.
    pub(super) fn waiting(&self) -> impl Iterator<Item = u8> {
        self.replies.iter().chain(&self.codes).copied()
    }

    pub(super) fn has_byte(&self) -> bool {
        !self.replies.is_empty() || !self.codes.is_empty()
    }

    /// The next byte that it sends.
    pub(super) fn send(&mut self) -> Option<u8> {
        let byte = self.replies.pop_front().or_else(|| self.codes.pop_front())?;
        if byte != RESEND {
            self.last_sent = byte;
        }
        Some(byte)
    }

    /// A byte from the system: a command or its parameter.
    pub(super) fn receive(&mut self, byte: u8) {
        match self.expects_parameter_of.take() {
            Some(command) if byte < SET_INDICATORS => self.take_parameter(command, byte),
            _ => self.take_command(byte),
        }
    }

    fn take_command(&mut self, command: u8) {
        match command {
            SET_INDICATORS | SCAN_CODE_SET | SET_TYPEMATIC => {
                self.reply(&[ACK]);
                self.expects_parameter_of = Some(command);
            }
            ECHO => self.reply(&[ECHO]),
            READ_ID => self.reply(&[ACK, ID[0], ID[1]]),
            ENABLE => {
                self.codes.clear();
                self.scans = true;
                self.reply(&[ACK]);
            }
            DEFAULT_DISABLE => {
                self.set_defaults();
                self.scans = false;
                self.reply(&[ACK]);
            }
            SET_DEFAULT => {
                self.set_defaults();
                self.reply(&[ACK]);
            }
            SET_ALL_TYPEMATIC..=SET_KEY_MAKE => self.reply(&[ACK]),
            RESEND => self.reply(&[self.last_sent]),
            RESET => {
                *self = Self::new();
                self.reply(&[ACK, SELF_TEST_PASSED]);
            }
            _ => self.reply(&[RESEND]),
        }
    }

    fn take_parameter(&mut self, command: u8, parameter: u8) {
        match (command, parameter) {
            (SET_INDICATORS, _) => self.indicators = parameter & 0x07,
            (SET_TYPEMATIC, _) => self.typematic = parameter & 0x7f,
            (SCAN_CODE_SET, 0) => return self.reply(&[ACK, self.set as u8]),
            (SCAN_CODE_SET, 1) => self.set = ScanCodeSet::Set1,
            (SCAN_CODE_SET, 2) => self.set = ScanCodeSet::Set2,
            _ => return self.reply(&[RESEND]),
        }
        self.reply(&[ACK]);
    }

    fn set_defaults(&mut self) {
        self.codes.clear();
        self.set = ScanCodeSet::Set2;
        self.typematic = DEFAULT_TYPEMATIC;
    }

    /// An answer; one that was not fetched is forgotten.
    fn reply(&mut self, bytes: &[u8]) {
        self.replies.clear();
        self.replies.extend(bytes);
    }

    fn overrun(&self) -> u8 {
        match self.set {
            ScanCodeSet::Set1 => 0xff,
            ScanCodeSet::Set2 => 0x00,
        }
    }
}
