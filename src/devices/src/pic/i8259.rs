//! One 8259A. Its pins are methods: the IR lines, INT, and the INTA cycle.

use serde::{Deserialize, Serialize};

/// ICW1 at A0 = 0: this bit tells it from OCW2 and OCW3.
const ICW1: u8 = 0x10;
const ICW1_IC4: u8 = 0x01; // ICW4 will follow
const ICW1_SNGL: u8 = 0x02; // no cascade, ICW3 will not follow
const ICW1_LTIM: u8 = 0x08; // all lines level triggered

const ICW4_AEOI: u8 = 0x02;
const ICW4_SFNM: u8 = 0x10;

/// OCW3 at A0 = 0: this bit tells it from OCW2.
const OCW3: u8 = 0x08;
const OCW3_RIS: u8 = 0x01;
const OCW3_RR: u8 = 0x02;
const OCW3_POLL: u8 = 0x04;
const OCW3_SMM: u8 = 0x20;
const OCW3_ESMM: u8 = 0x40;

/// OCW2 bits 7:5.
const ROTATE_IN_AEOI_CLEAR: u8 = 0b000;
const NON_SPECIFIC_EOI: u8 = 0b001;
const SPECIFIC_EOI: u8 = 0b011;
const ROTATE_IN_AEOI_SET: u8 = 0b100;
const ROTATE_ON_NON_SPECIFIC_EOI: u8 = 0b101;
const SET_PRIORITY: u8 = 0b110;
const ROTATE_ON_SPECIFIC_EOI: u8 = 0b111;

/// Bit 7 of a polled read: there was a request.
const POLL_REQUEST: u8 = 0x80;

/// The line of a spurious interrupt: nothing asked when INTA came.
const SPURIOUS: u8 = 7;

/// One 8259A with eight lines, all of its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pic {
    /// The level of the IR pins.
    lines: u8,
    /// The edge sense latches: the line rose and was not acknowledged since.
    edges: u8,
    /// ELCR: lines that are level triggered.
    elcr: u8,
    imr: u8,
    isr: u8,
    /// ICW1, for LTIM, SNGL and IC4.
    icw1: u8,
    /// ICW2: vector bits 7:3.
    icw2: u8,
    /// ICW3: a master's lines with a slave, or a slave's own number.
    icw3: u8,
    icw4: u8,
    expects: Expects,
    /// The line with the highest priority; the one before it, around the circle, has the lowest.
    rotation: u8,
    rotate_in_aeoi: bool,
    special_mask: bool,
    /// Reads at A0 = 0 give ISR rather than IRR.
    read_isr: bool,
    /// The next read is a poll.
    poll: bool,
}

/// What the next write at A0 = 1 is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Expects {
    /// Nothing yet: without ICW1 the chip is not in operation.
    #[default]
    Icw1,
    Icw2,
    Icw3,
    Icw4,
    /// Initialized: OCW1.
    Ocw1,
}

impl Pic {
    /// Drives one IR pin, 0 to 7.
    pub(super) fn set_line(&mut self, line: u8, level: bool) {
        let bit = bit(line);
        if !level {
            // A request that goes away before INTA is forgotten, also in edge mode.
            self.lines &= !bit;
            self.edges &= !bit;
        } else if self.lines & bit == 0 {
            self.lines |= bit;
            self.edges |= bit;
        }
    }

    /// The INT pin.
    pub(super) fn int(&self) -> bool {
        self.expects == Expects::Ocw1 && self.highest_request().is_some()
    }

    /// INTA: puts the request with the highest priority in service; says which line it is.
    /// With no request it is line 7, and nothing is put in service.
    pub(super) fn acknowledge(&mut self) -> u8 {
        let Some(line) = self.highest_request().filter(|_| self.int()) else { return SPURIOUS };
        self.edges &= !bit(line);
        if self.icw4 & ICW4_AEOI == 0 {
            self.isr |= bit(line);
        } else if self.rotate_in_aeoi {
            self.set_lowest(line);
        }
        line
    }

    /// The vector for `line`: ICW2 gives the high five bits.
    pub(super) fn vector(&self, line: u8) -> u8 {
        self.icw2 & 0xf8 | line & 7
    }

    /// Whether a slave hangs on `line`, as ICW1 and ICW3 say.
    pub(super) fn has_slave(&self, line: u8) -> bool {
        self.icw1 & ICW1_SNGL == 0 && self.icw3 & bit(line) != 0
    }

    /// The number that a slave answers to on the cascade lines.
    pub(super) fn slave_number(&self) -> u8 {
        self.icw3 & 7
    }

    /// Whether the next read is a poll that acknowledges a request.
    pub(super) fn is_polled(&self) -> bool {
        self.poll && self.int()
    }

    pub(super) fn elcr(&self) -> u8 {
        self.elcr
    }

    pub(super) fn set_elcr(&mut self, value: u8) {
        self.elcr = value;
    }

    /// Read with A0 = 0: the polled request, ISR or IRR.
    pub(super) fn read_command(&mut self) -> u8 {
        if self.poll {
            self.poll()
        } else if self.read_isr {
            self.isr
        } else {
            self.irr()
        }
    }

    /// Read with A0 = 1: the polled request, or IMR.
    pub(super) fn read_data(&mut self) -> u8 {
        if self.poll { self.poll() } else { self.imr }
    }

    /// Write with A0 = 0: ICW1, OCW2 or OCW3.
    pub(super) fn write_command(&mut self, value: u8) {
        if value & ICW1 != 0 {
            self.start_initialization(value);
        } else if value & OCW3 == 0 {
            self.operate(value >> 5, value & 7);
        } else {
            self.set_modes(value);
        }
    }

    /// Write with A0 = 1: ICW2, ICW3 and ICW4 in turn, then OCW1.
    pub(super) fn write_data(&mut self, value: u8) {
        let after_icw3 = if self.icw1 & ICW1_IC4 == 0 { Expects::Ocw1 } else { Expects::Icw4 };
        match self.expects {
            Expects::Icw1 => {}
            Expects::Icw2 => {
                self.icw2 = value;
                let single = self.icw1 & ICW1_SNGL != 0;
                self.expects = if single { after_icw3 } else { Expects::Icw3 };
            }
            Expects::Icw3 => {
                self.icw3 = value;
                self.expects = after_icw3;
            }
            Expects::Icw4 => {
                self.icw4 = value;
                self.expects = Expects::Ocw1;
            }
            Expects::Ocw1 => self.imr = value,
        }
    }

    /// ICW1 (datasheet, "Initialization Command Words 1 and 2"): the edge sense circuit, IMR, ISR
    /// and the modes are cleared, line 7 gets the lowest priority.
    fn start_initialization(&mut self, icw1: u8) {
        *self = Self {
            lines: self.lines,
            elcr: self.elcr,
            icw1,
            icw2: self.icw2,
            expects: Expects::Icw2,
            ..Self::default()
        };
    }

    /// OCW2: `command` is its bits 7:5, `line` its bits 2:0.
    fn operate(&mut self, command: u8, line: u8) {
        match command {
            ROTATE_IN_AEOI_CLEAR => self.rotate_in_aeoi = false,
            ROTATE_IN_AEOI_SET => self.rotate_in_aeoi = true,
            SPECIFIC_EOI => self.isr &= !bit(line),
            ROTATE_ON_SPECIFIC_EOI => {
                self.isr &= !bit(line);
                self.set_lowest(line);
            }
            SET_PRIORITY => self.set_lowest(line),
            NON_SPECIFIC_EOI | ROTATE_ON_NON_SPECIFIC_EOI => {
                let Some(served) = self.highest(self.unmasked_isr()) else { return };
                self.isr &= !bit(served);
                if command == ROTATE_ON_NON_SPECIFIC_EOI {
                    self.set_lowest(served);
                }
            }
            _ => {} // 010: no operation
        }
    }

    /// OCW3.
    fn set_modes(&mut self, value: u8) {
        if value & OCW3_ESMM != 0 {
            self.special_mask = value & OCW3_SMM != 0;
        }
        self.poll = value & OCW3_POLL != 0;
        if value & OCW3_RR != 0 {
            self.read_isr = value & OCW3_RIS != 0;
        }
    }

    /// The read after a poll command is an INTA; bits 2:0 are the line.
    fn poll(&mut self) -> u8 {
        self.poll = false;
        if self.int() { POLL_REQUEST | self.acknowledge() } else { 0 }
    }

    /// IRR: level triggered lines as they are, edge triggered ones as latched.
    fn irr(&self) -> u8 {
        let level = if self.icw1 & ICW1_LTIM != 0 { 0xff } else { self.elcr };
        self.lines & level | self.edges & !level
    }

    /// The request that INT stands for: not masked, and above everything in service.
    fn highest_request(&self) -> Option<u8> {
        let request = self.highest(self.irr() & !self.imr)?;
        let Some(served) = self.highest(self.unmasked_isr()) else { return Some(request) };
        let (rank, served_rank) = (self.rank(request), self.rank(served));
        // Special fully nested: a slave in service may ask again, for something more urgent.
        let may_nest = self.icw4 & ICW4_SFNM != 0 && self.has_slave(request);
        (rank < served_rank || may_nest && rank == served_rank).then_some(request)
    }

    /// What is in service and counts: in special mask mode, what is masked does not.
    fn unmasked_isr(&self) -> u8 {
        if self.special_mask { self.isr & !self.imr } else { self.isr }
    }

    /// The line of highest priority among the bits set.
    fn highest(&self, lines: u8) -> Option<u8> {
        let rotated = lines.rotate_right(u32::from(self.rotation & 7));
        (rotated != 0).then(|| (rotated.trailing_zeros() as u8 + (self.rotation & 7)) & 7)
    }

    /// Priority of a line: 0 is the highest, 7 the lowest.
    fn rank(&self, line: u8) -> u8 {
        line.wrapping_sub(self.rotation) & 7
    }

    fn set_lowest(&mut self, line: u8) {
        self.rotation = (line + 1) & 7;
    }
}

impl Pic {
    /// The registers of 8 bits with a bit for each line, by their names.
    pub(super) fn line_registers(&self) -> [(&'static str, u8); 5] {
        [
            ("lines", self.lines),
            ("IRR", self.irr()),
            ("ISR", self.isr),
            ("IMR", self.imr),
            ("ELCR", self.elcr),
        ]
    }

    /// The line that INT stands for and its vector; an error before initialization is over.
    pub(super) fn next(&self) -> Result<Option<(u8, u8)>, &'static str> {
        if self.expects != Expects::Ocw1 {
            return Err("waits for its ICWs");
        }
        Ok(self.highest_request().map(|line| (line, self.vector(line))))
    }

    /// The vector of line 0.
    pub(super) fn first_vector(&self) -> u8 {
        self.vector(0)
    }

    /// The line of highest priority.
    pub(super) fn highest_priority(&self) -> u8 {
        self.rotation
    }

    /// The modes that are set, in words.
    pub(super) fn modes(&self) -> String {
        let modes = [
            (self.icw4 & ICW4_AEOI != 0, "automatic EOI"),
            (self.rotate_in_aeoi, "rotates with it"),
            (self.special_mask, "special mask"),
            (self.read_isr, "A0=0 reads ISR"),
            (!self.read_isr, "A0=0 reads IRR"),
            (self.poll, "polled next"),
        ];
        let set: Vec<_> = modes.iter().filter(|(is, _)| *is).map(|(_, text)| *text).collect();
        set.join(", ")
    }
}

/// The bit of a line.
fn bit(line: u8) -> u8 {
    1 << (line & 7)
}
