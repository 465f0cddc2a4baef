//! What firmware leaves in the chips, for a kernel that is booted without firmware.
//!
//! Kernels take it for granted: Linux concludes from an 8259A that was never initialised that
//! there is none. Interrupts stay masked, since there are no handlers for them.
//!
//! Sources: IBM PC/AT Technical Reference, "ROM BIOS": vectors 08h and 70h, counter 0 of the 8254
//! at 18.2 Hz, counter 1 for the refresh. Intel 8259A datasheet, "Initialization Command Words".

/// Port writes in their order.
pub(crate) const WRITES: [(u16, u8); 15] = [
    // Master 8259A: edges, vectors from 08h, a slave on line 2, 8086 mode; all lines masked.
    (0x20, 0x11),
    (0x21, 0x08),
    (0x21, 0x04),
    (0x21, 0x01),
    (0x21, 0xff),
    // Slave 8259A: vectors from 70h, its number is 2.
    (0xa0, 0x11),
    (0xa1, 0x70),
    (0xa1, 0x02),
    (0xa1, 0x01),
    (0xa1, 0xff),
    // 8254: counter 0 in mode 3 with 65,536 clocks, counter 1 in mode 2 with 18.
    (0x43, 0x36),
    (0x40, 0x00),
    (0x40, 0x00),
    (0x43, 0x54),
    (0x41, 0x12),
];
