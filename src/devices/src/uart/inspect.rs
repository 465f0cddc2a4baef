//! The 16550A as a person reads it.

use super::{
    IER_LINE_STATUS, IER_MODEM_STATUS, IER_RECEIVED_DATA, IER_THR_EMPTY, IIR_CHARACTER_TIMEOUT,
    IIR_LINE_STATUS, IIR_MODEM_STATUS, IIR_RECEIVED_DATA, IIR_THR_EMPTY, LCR_BREAK, LCR_DLAB,
    LCR_PARITY, LCR_STOP_BITS, LCR_WORD_LENGTH, LSR_BREAK, LSR_DATA_READY, LSR_ERROR_IN_FIFO,
    LSR_FRAMING, LSR_OVERRUN, LSR_THR_EMPTY, LSR_TRANSMITTER_EMPTY, MCR_DTR, MCR_LOOP, MCR_OUT1,
    MCR_OUT2, MCR_RTS, MSR_CTS, MSR_DCD, MSR_DSR, MSR_RI, UART_HZ, Uart,
};
use crate::inspect::{Reading, bytes_text};

const IER_NAMES: [(u8, &str); 4] = [
    (IER_RECEIVED_DATA, "received-data"),
    (IER_THR_EMPTY, "THR-empty"),
    (IER_LINE_STATUS, "line-status"),
    (IER_MODEM_STATUS, "modem-status"),
];
const LCR_NAMES: [(u8, &str); 4] =
    [(LCR_STOP_BITS, "2-stop"), (LCR_PARITY, "parity"), (LCR_BREAK, "break"), (LCR_DLAB, "DLAB")];
const MCR_NAMES: [(u8, &str); 5] = [
    (MCR_DTR, "DTR"),
    (MCR_RTS, "RTS"),
    (MCR_OUT1, "OUT1"),
    (MCR_OUT2, "OUT2"),
    (MCR_LOOP, "loop"),
];
const LSR_NAMES: [(u8, &str); 7] = [
    (LSR_DATA_READY, "DR"),
    (LSR_OVERRUN, "OE"),
    (LSR_FRAMING, "FE"),
    (LSR_BREAK, "BI"),
    (LSR_THR_EMPTY, "THRE"),
    (LSR_TRANSMITTER_EMPTY, "TEMT"),
    (LSR_ERROR_IN_FIFO, "FIFO-error"),
];
const MSR_NAMES: [(u8, &str); 4] =
    [(MSR_CTS, "CTS"), (MSR_DSR, "DSR"), (MSR_RI, "RI"), (MSR_DCD, "DCD")];

impl Uart {
    /// The registers, FIFOs and what asks for an interrupt.
    #[must_use]
    pub fn inspect(&self) -> Vec<Reading> {
        let interrupt = match self.interrupt() {
            IIR_MODEM_STATUS => "modem status",
            IIR_THR_EMPTY => "THR empty",
            IIR_RECEIVED_DATA => "received data",
            IIR_CHARACTER_TIMEOUT => "characters waited too long",
            IIR_LINE_STATUS => "line status",
            _ => "none",
        };
        let connected = if self.mcr & MCR_OUT2 == 0 { ", cut off by OUT2" } else { "" };
        // LSR as it would be read; reading it clears errors.
        let lsr = self.clone().read_lsr();
        let bits = 5 + (self.lcr & LCR_WORD_LENGTH);
        let baud =
            UART_HZ / 16 / if self.divisor == 0 { 0x1_0000 } else { u32::from(self.divisor) };
        vec![
            Reading::new("interrupt", format!("{interrupt}{connected}")),
            Reading::bits("IER", self.ier, &IER_NAMES),
            Reading::bits("LSR", lsr, &LSR_NAMES),
            Reading::bits("LCR", self.lcr, &LCR_NAMES),
            Reading::bits("MCR", self.mcr, &MCR_NAMES),
            Reading::bits("MSR", self.modem_pins() | self.modem_changes, &MSR_NAMES),
            Reading::new("line", format!("{baud} baud, {bits} bits, divisor {}", self.divisor)),
            Reading::new("FIFOs", if self.fifos { "on" } else { "off" }),
            Reading::new("receiver", bytes_text(self.receiver.bytes())),
            Reading::new("transmitter", bytes_text(self.transmitter.bytes())),
            Reading::new("SCR", format!("{:02x}", self.scr)),
        ]
    }
}
