//! Ports for those who write kernels and firmware: characters to the host (0xe9, 0x402), and the
//! POST code (0x80).
//!
//! Source: the "port E9 hack" of Bochs's user manual ("Bochs Debug Port"), which reads as 0xe9 to
//! say that it is there; SeaBIOS writes to the same kind of port at 0x402. The POST code: IBM PC
//! AT Technical Reference, "I/O Address Map" (0x80, "Manufacturing Test Port").
//! Time: none passes in them.

use serde::{Deserialize, Serialize};

use crate::{Ctx, OPEN_BUS, PortDevice};

/// What the console reads as.
const PRESENT: u8 = 0xe9;

/// A port whose bytes go to the host. Offset 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebugConsole;

impl DebugConsole {
    /// The port; it has no state.
    pub fn new() -> Self {
        Self
    }
}

impl PortDevice for DebugConsole {
    fn read(&mut self, offset: u16, _ctx: &mut Ctx<'_>) -> u8 {
        if offset == 0 { PRESENT } else { OPEN_BUS }
    }

    fn write(&mut self, offset: u16, value: u8, ctx: &mut Ctx<'_>) {
        if offset == 0 {
            ctx.chars.put_at(value, ctx.now);
        }
    }
}

/// The port at which firmware says how far it has come. Offset 0; it keeps what is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostCode {
    code: u8,
}

impl PostCode {
    /// The port after power-on: code 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// The RESET pin.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// The code written last.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl PortDevice for PostCode {
    fn read(&mut self, offset: u16, _ctx: &mut Ctx<'_>) -> u8 {
        if offset == 0 { self.code } else { OPEN_BUS }
    }

    fn write(&mut self, offset: u16, value: u8, _ctx: &mut Ctx<'_>) {
        if offset == 0 {
            self.code = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{self, Bench};

    #[test]
    fn both_pass_the_device_suite() {
        suite::all(DebugConsole::new, |_| {}, &[0]);
        suite::all(PostCode::new, PostCode::reset, &[0]);
    }

    #[test]
    fn the_console_sends_and_says_that_it_is_there() {
        let mut console = Bench::new(DebugConsole::new());

        for byte in b"hi" {
            console.write(0, *byte);
        }

        assert_eq!(console.sent, b"hi");
        assert_eq!(console.read(0), 0xe9);
    }

    #[test]
    fn the_post_code_is_kept() {
        let mut port = Bench::new(PostCode::new());

        port.write(0, 0x55);

        assert_eq!(port.chip.code(), 0x55);
        assert_eq!(port.read(0), 0x55);
    }
}
