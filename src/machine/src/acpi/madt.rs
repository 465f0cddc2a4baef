//! The MADT: the local APIC, the I/O APIC, and the lines that are not where an ISA bus has them.
//!
//! Source: ACPI Specification 6.5 §5.2.12, "Multiple APIC Description Table (MADT)".

use cutaway_devices::{IOAPIC_BASE, IOAPIC_ID, LAPIC_BASE};

use crate::wiring::irq;

/// Flags: there is an 8259A pair too, which has to be masked.
const PCAT_COMPAT: u32 = 1;
/// Structure types.
const LOCAL_APIC: u8 = 0;
const IO_APIC: u8 = 1;
const SOURCE_OVERRIDE: u8 = 2;
const LOCAL_APIC_NMI: u8 = 4;
/// Flags of a local APIC: it can be used.
const ENABLED: u32 = 1;
/// MPS INTI flags: as the bus has it; active high and level triggered.
const CONFORMS: u16 = 0;
const HIGH_LEVEL: u16 = 0b11 << 2 | 0b01;
const ALL_PROCESSORS: u8 = 0xff;
const LINT1: u8 = 1;

/// The MADT behind its header.
pub(super) fn body() -> Vec<u8> {
    let mut body = [(LAPIC_BASE as u32).to_le_bytes(), PCAT_COMPAT.to_le_bytes()].concat();
    // ACPI processor UID 0, APIC ID 0.
    body.extend([LOCAL_APIC, 8, 0, 0]);
    body.extend(ENABLED.to_le_bytes());
    body.extend([IO_APIC, 12, IOAPIC_ID, 0]);
    body.extend((IOAPIC_BASE as u32).to_le_bytes());
    body.extend(0_u32.to_le_bytes()); // its first GSI
    body.extend(source_override(irq::PIT, irq::PIT_GSI, CONFORMS));
    body.extend(source_override(irq::SCI, irq::SCI, HIGH_LEVEL));
    body.extend([LOCAL_APIC_NMI, 6, ALL_PROCESSORS, 0, 0, LINT1]);
    body
}

/// An ISA interrupt that has another GSI, or another trigger mode.
fn source_override(irq: u8, gsi: u8, flags: u16) -> [u8; 10] {
    let flags = flags.to_le_bytes();
    [SOURCE_OVERRIDE, 10, 0, irq, gsi, 0, 0, 0, flags[0], flags[1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `iasl` compiles the table that QEMU gives a PC of one processor, without its overrides of
    /// IRQ 5, 10 and 11.
    #[test]
    #[rustfmt::skip] // one structure per line
    fn it_names_one_processor_one_io_apic_and_two_overrides() {
        let expected = [
            &[0, 0, 0xe0, 0xfe, 1, 0, 0, 0][..],
            &[0, 8, 0, 0, 1, 0, 0, 0],
            &[1, 12, 1, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0],
            &[2, 10, 0, 0, 2, 0, 0, 0, 0, 0],
            &[2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0],
            &[4, 6, 0xff, 0, 0, 1],
        ];
        assert_eq!(body(), expected.concat());
    }
}
