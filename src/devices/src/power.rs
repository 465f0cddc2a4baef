//! Ways to a reset that are no chip of their own: the reset control register at port 0xcf9.
//!
//! Source: Intel 82371SB (PIIX3) datasheet, "RC: Reset Control Register (0CF9h)".
//! Time: none passes in it.
//! Not modelled: the difference between soft and hard reset; both reset the whole board.

use serde::{Deserialize, Serialize};

use crate::{Ctx, OPEN_BUS, PortDevice, PowerRequest};

/// RCPU: its rise resets.
const RESET_CPU: u8 = 0x04;
/// SRST, RCPU, and the bit of later boards for a full power cycle.
const WRITABLE: u8 = 0x0e;

/// The reset control register. Offset 0; on a PC at port 0xcf9, for byte accesses only (wider ones
/// there are PCI's).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetControl {
    value: u8,
    request: Option<PowerRequest>,
}

impl ResetControl {
    /// The register after power-on.
    pub fn new() -> Self {
        Self::default()
    }

    /// The RESET pin.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// Takes the reset that was asked for.
    pub fn take_request(&mut self) -> Option<PowerRequest> {
        self.request.take()
    }
}

impl PortDevice for ResetControl {
    fn read(&mut self, offset: u16, _ctx: &mut Ctx<'_>) -> u8 {
        if offset == 0 { self.value } else { OPEN_BUS }
    }

    fn write(&mut self, offset: u16, value: u8, _ctx: &mut Ctx<'_>) {
        if offset != 0 {
            return;
        }
        if value & !self.value & RESET_CPU != 0 {
            self.request = Some(PowerRequest::Reset);
        }
        self.value = value & WRITABLE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{self, Bench};

    #[test]
    fn passes_the_device_suite() {
        suite::all(ResetControl::new, ResetControl::reset, &[0]);
    }

    #[test]
    fn the_rise_of_rcpu_resets() {
        let mut register = Bench::new(ResetControl::new());

        register.write(0, 0x02);
        assert_eq!(register.chip.take_request(), None, "SRST only chooses the kind");
        register.write(0, 0x06);
        assert_eq!(register.chip.take_request(), Some(PowerRequest::Reset));
        register.write(0, 0x06);
        assert_eq!(register.chip.take_request(), None, "it is set already");
        assert_eq!(register.read(0), 0x06);
    }
}
