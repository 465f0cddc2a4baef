//! A port that ends the emulation with an exit code, for tests: writing `v` gives `v * 2 + 1`, so
//! that the code is never 0.
//!
//! Source: QEMU's documentation of the device `isa-debug-exit`.
//! Time: none passes in it.

use serde::{Deserialize, Serialize};

use crate::{Ctx, OPEN_BUS, PortDevice, PowerRequest};

/// The port. Offset 0 counts; of wider writes that is the lowest byte. Commonly at port 0xf4.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebugExit {
    request: Option<PowerRequest>,
}

impl DebugExit {
    /// The port after power-on.
    pub fn new() -> Self {
        Self::default()
    }

    /// The RESET pin.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// Takes the exit that was asked for.
    pub fn take_request(&mut self) -> Option<PowerRequest> {
        self.request.take()
    }
}

impl PortDevice for DebugExit {
    /// Up to four ports wide, and zero.
    fn read(&mut self, offset: u16, _ctx: &mut Ctx<'_>) -> u8 {
        if offset < 4 { 0 } else { OPEN_BUS }
    }

    fn write(&mut self, offset: u16, value: u8, _ctx: &mut Ctx<'_>) {
        if offset == 0 {
            self.request = Some(PowerRequest::Exit(value << 1 | 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{self, Bench};

    #[test]
    fn passes_the_device_suite() {
        suite::all(DebugExit::new, DebugExit::reset, &[0, 1, 2, 3]);
    }

    #[test]
    fn the_exit_code_is_odd() {
        for (value, code) in [(0, 1), (0x10, 33), (0xff, 255)] {
            let mut port = Bench::new(DebugExit::new());

            port.write(0, value);
            port.write(1, 0); // the rest of a wider write

            assert_eq!(port.chip.take_request(), Some(PowerRequest::Exit(code)));
        }
    }
}
