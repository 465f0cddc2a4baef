//! The BIOS data area, as far as a kernel that was booted without firmware looks at it: where
//! the serial ports are, and how much base memory there is.
//!
//! Source: IBM PC/AT Technical Reference, "BIOS Data Area" (segment 40h).

use crate::memory_map::{EBDA, KIB};
use cutaway_memory::GuestMemory;

const COM_PORTS: u64 = 0x400;
const EBDA_SEGMENT: u64 = 0x40e;
const BASE_MEMORY_KIB: u64 = 0x413;

/// Fills the area in. The EBDA is the last KiB of base memory; its first byte is its size.
pub(super) fn write(memory: &mut GuestMemory) {
    for (at, port) in (COM_PORTS..).step_by(2).zip([0x3f8_u16, 0x2f8, 0x3e8, 0x2e8]) {
        memory.write(at, &port.to_le_bytes());
    }
    memory.write(EBDA_SEGMENT, &((EBDA >> 4) as u16).to_le_bytes());
    memory.write(BASE_MEMORY_KIB, &((EBDA / KIB) as u16).to_le_bytes());
    memory.write(EBDA, &[1]);
}
