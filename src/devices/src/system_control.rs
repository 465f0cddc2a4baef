//! System control ports A (0x92) and B (0x61): odds and ends of the AT and PS/2 boards.
//!
//! Source: IBM PS/2 Hardware Interface Technical Reference, "System Control Port A (Hex 0092)";
//! Intel 82371SB (PIIX3) datasheet, "NMI Status and Control Register (061h)".
//! Time: the refresh toggle of port B follows guest time; nothing ticks.
//! Not modelled: the disk activity light and the password lock of port A (their bits are kept),
//! sources of NMI (no parity, no SERR#, no IOCHK# happens on this board).

use serde::{Deserialize, Serialize};

use crate::{Ctx, OPEN_BUS, PIT_HZ, PortDevice, PowerRequest};

const A_RESET: u8 = 0x01;
const A_A20: u8 = 0x02;
/// Reset, A20, password lock, disk lights.
const A_WRITABLE: u8 = 0xcb;

const B_GATE_2: u8 = 0x01;
const B_SPEAKER: u8 = 0x02;
/// Gate, speaker, and the bits that hold off SERR# and IOCHK#.
const B_WRITABLE: u8 = 0x0f;
const B_REFRESH: u8 = 0x10;
const B_OUT_2: u8 = 0x20;

/// Timer clocks from one memory refresh to the next: 15.09 µs.
const REFRESH_CLOCKS: u64 = 18;

/// System control port A: the fast way to A20 and to a reset of the processor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port92 {
    value: u8,
    request: Option<PowerRequest>,
}

impl Port92 {
    /// The port after power-on: it does not open A20.
    pub fn new() -> Self {
        Self::default()
    }

    /// The RESET pin.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// Whether the port opens address line A20. The keyboard controller may open it, too.
    pub fn a20(&self) -> bool {
        self.value & A_A20 != 0
    }

    /// Takes the reset that bit 0 asked for as it rose.
    pub fn take_request(&mut self) -> Option<PowerRequest> {
        self.request.take()
    }
}

impl PortDevice for Port92 {
    fn read(&mut self, offset: u16, _ctx: &mut Ctx<'_>) -> u8 {
        if offset == 0 { self.value } else { OPEN_BUS }
    }

    fn write(&mut self, offset: u16, value: u8, _ctx: &mut Ctx<'_>) {
        if offset != 0 {
            return;
        }
        if value & !self.value & A_RESET != 0 {
            self.request = Some(PowerRequest::Reset);
        }
        self.value = value & A_WRITABLE;
    }
}

/// System control port B: the gate of timer 2, the speaker, and what can be seen of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port61 {
    value: u8,
    out_2: bool,
}

impl Port61 {
    /// The port after power-on: gate and speaker off.
    pub fn new() -> Self {
        Self::default()
    }

    /// The RESET pin.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// Drives the input from the timer's OUT 2. The board does so before each read of the port.
    pub fn set_timer_2_out(&mut self, level: bool) {
        self.out_2 = level;
    }

    /// The GATE of timer 2.
    pub fn gate_2(&self) -> bool {
        self.value & B_GATE_2 != 0
    }

    /// Whether the speaker follows the timer's OUT 2.
    pub fn speaker(&self) -> bool {
        self.value & B_SPEAKER != 0
    }
}

impl PortDevice for Port61 {
    fn read(&mut self, offset: u16, ctx: &mut Ctx<'_>) -> u8 {
        if offset != 0 {
            return OPEN_BUS;
        }
        let refreshes = ctx.now.clocks(PIT_HZ) / REFRESH_CLOCKS;
        let toggle = if refreshes.is_multiple_of(2) { 0 } else { B_REFRESH };
        self.value | toggle | if self.out_2 { B_OUT_2 } else { 0 }
    }

    fn write(&mut self, offset: u16, value: u8, _ctx: &mut Ctx<'_>) {
        if offset == 0 {
            self.value = value & B_WRITABLE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{self, Bench};

    #[test]
    fn both_ports_pass_the_device_suite() {
        suite::all(Port92::new, Port92::reset, &[0]);
        suite::all(Port61::new, Port61::reset, &[0]);
    }

    #[test]
    fn port_92_opens_a20() {
        let mut port = Bench::new(Port92::new());
        assert!(!port.chip.a20());

        port.write(0, 0x02);

        assert!(port.chip.a20());
        assert_eq!(port.read(0), 0x02);
        assert_eq!(port.chip.take_request(), None);
    }

    #[test]
    fn port_92_resets_when_bit_0_rises() {
        let mut port = Bench::new(Port92::new());

        port.write(0, 0x01);
        assert_eq!(port.chip.take_request(), Some(PowerRequest::Reset));
        assert_eq!(port.chip.take_request(), None, "taken once");
        port.write(0, 0x03);
        assert_eq!(port.chip.take_request(), None, "no rise");
        port.write(0, 0x02);
        port.write(0, 0x03);
        assert_eq!(port.chip.take_request(), Some(PowerRequest::Reset));
    }

    #[test]
    fn port_61_keeps_its_low_bits() {
        let mut port = Bench::new(Port61::new());

        port.write(0, 0xff);

        assert_eq!(port.read(0), 0x0f);
        assert!(port.chip.gate_2() && port.chip.speaker());
    }

    #[test]
    fn port_61_shows_out_2() {
        let mut port = Bench::new(Port61::new());

        port.chip.set_timer_2_out(true);

        assert_eq!(port.read(0), 0x20);
    }

    #[test]
    fn port_61_toggles_with_each_refresh() {
        let mut port = Bench::new(Port61::new());
        let mut toggles = 0;
        let mut before = port.read(0);

        for _ in 0..1000 {
            port.run_ns(1000);
            let after = port.read(0);
            toggles += u32::from(after != before);
            before = after;
        }

        assert_eq!(toggles, 66, "a millisecond has 66 times 15.09 µs");
    }
}
