//! Which port and which interrupt request line each chip of the board has.
//!
//! Sources: IBM PC/AT Technical Reference, "I/O Address Map", "System Interrupts"; Intel
//! 82371AB (PIIX4) datasheet §3, for ports F0h, 4D0h, B2h and CF9h. The PM block's base is ours: on
//! a PIIX4, firmware chooses it.

/// Base ports.
pub(crate) mod port {
    pub(crate) const PIC_MASTER: u16 = 0x20;
    pub(crate) const PIT: u16 = 0x40;
    pub(crate) const KBC_DATA: u16 = 0x60;
    pub(crate) const SYSTEM_CONTROL_B: u16 = 0x61;
    pub(crate) const KBC_COMMAND: u16 = 0x64;
    pub(crate) const RTC: u16 = 0x70;
    pub(crate) const POST_CODE: u16 = 0x80;
    pub(crate) const SYSTEM_CONTROL_A: u16 = 0x92;
    pub(crate) const PIC_SLAVE: u16 = 0xa0;
    pub(crate) const SMI_CMD: u16 = 0xb2;
    pub(crate) const COPROCESSOR_ERROR: u16 = 0xf0;
    pub(crate) const DEBUG_CONSOLE: u16 = 0xe9;
    pub(crate) const FIRMWARE_CONSOLE: u16 = 0x402;
    pub(crate) const ELCR: u16 = 0x4d0;
    pub(crate) const PM: u16 = 0x600;
    pub(crate) const PM_BYTES: u16 = 0x40;
    pub(crate) const RESET_CONTROL: u16 = 0xcf9;
    /// COM1 to COM4.
    pub(crate) const COM: [u16; 4] = [0x3f8, 0x2f8, 0x3e8, 0x2e8];
}

/// Interrupt request lines.
pub(crate) mod irq {
    pub(crate) const PIT: u8 = 0;
    pub(crate) const KEYBOARD: u8 = 1;
    /// The slave 8259A's INT.
    pub(crate) const CASCADE: u8 = 2;
    /// The I/O APIC's input of the timer; the other lines have inputs of their own number.
    pub(crate) const PIT_GSI: u8 = 2;
    pub(crate) const RTC: u8 = 8;
    pub(crate) const SCI: u8 = 9;
    pub(crate) const MOUSE: u8 = 12;
    /// The virtio devices.
    pub(crate) const VIRTIO: [u8; 2] = [10, 11];
    pub(crate) const COPROCESSOR: u8 = 13;
    /// COM1 to COM4, which share two lines.
    pub(crate) const COM: [u8; 4] = [4, 3, 4, 3];
}
