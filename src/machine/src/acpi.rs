//! The ACPI tables for a kernel that is booted without firmware: where power-off, reset, the PM
//! timer and the SCI are, and the APICs where there are any.
//!
//! Source: ACPI Specification 6.5 §5.2, "ACPI System Description Tables"; §20.2, "AML Grammar".
//! The FADT is of revision 3, the first with a reset register.
//! Not modelled: devices in the DSDT that are found at their traditional places.

mod aml;
mod madt;

use crate::boot::fields::put;
use crate::config::Devices;
use crate::memory_map::TABLES;
use crate::virtio::{REGISTERS, Slot};
use crate::wiring::{irq, port};
use cutaway_devices::{ACPI_DISABLE, ACPI_ENABLE};
use cutaway_memory::GuestMemory;

const OEM_ID: [u8; 6] = *b"CUTAWY";
const OEM_TABLE_ID: [u8; 8] = *b"CUTAWAY ";
const CREATOR_ID: [u8; 4] = *b"CTWY";
const HEADER_BYTES: usize = 36;
/// The strictest alignment of a table, that of the FACS.
const TABLE_ALIGNMENT: u64 = 64;

/// Offsets in the FADT (ACPI 6.5 table 5.9, "FADT Format").
mod fadt {
    pub(super) const FIRMWARE_CTRL: usize = 36;
    pub(super) const DSDT: usize = 40;
    pub(super) const PREFERRED_PM_PROFILE: usize = 45;
    pub(super) const SCI_INT: usize = 46;
    pub(super) const SMI_CMD: usize = 48;
    pub(super) const ACPI_ENABLE: usize = 52;
    pub(super) const ACPI_DISABLE: usize = 53;
    pub(super) const PM1A_EVT_BLK: usize = 56;
    pub(super) const PM1A_CNT_BLK: usize = 64;
    pub(super) const PM_TMR_BLK: usize = 76;
    pub(super) const GPE0_BLK: usize = 80;
    pub(super) const PM1_EVT_LEN: usize = 88;
    pub(super) const PM1_CNT_LEN: usize = 89;
    pub(super) const PM_TMR_LEN: usize = 91;
    pub(super) const GPE0_BLK_LEN: usize = 92;
    pub(super) const P_LVL2_LAT: usize = 96;
    pub(super) const P_LVL3_LAT: usize = 98;
    pub(super) const CENTURY: usize = 108;
    pub(super) const IAPC_BOOT_ARCH: usize = 109;
    pub(super) const FLAGS: usize = 112;
    pub(super) const RESET_REG: usize = 116;
    pub(super) const RESET_VALUE: usize = 128;
    pub(super) const X_DSDT: usize = 140;
    pub(super) const X_PM1A_EVT_BLK: usize = 148;
    pub(super) const X_PM1A_CNT_BLK: usize = 172;
    pub(super) const X_PM_TMR_BLK: usize = 208;
    pub(super) const X_GPE0_BLK: usize = 220;
    pub(super) const BYTES: usize = 244;

    /// `IAPC_BOOT_ARCH`: legacy devices and an 8042 are there, a VGA is not.
    pub(super) const LEGACY_DEVICES: u16 = 1 << 0;
    pub(super) const HAS_8042: u16 = 1 << 1;
    pub(super) const VGA_NOT_PRESENT: u16 = 1 << 2;
    /// `Flags`: WBINVD works, C1 is HLT, no sleep button, the reset register is there. The power
    /// button is a fixed one and the PM timer has 24 bits, which zeros say.
    pub(super) const WBINVD: u32 = 1 << 0;
    pub(super) const PROC_C1: u32 = 1 << 2;
    pub(super) const SLP_BUTTON: u32 = 1 << 5;
    pub(super) const RESET_REG_SUP: u32 = 1 << 10;

    /// A desktop.
    pub(super) const PROFILE_DESKTOP: u8 = 1;
    /// Latencies that stand for "no such state".
    pub(super) const NO_C2: u16 = 101;
    pub(super) const NO_C3: u16 = 1001;
}

/// SLP_TYPa of S5 in the PM chip.
const SLEEP_TYPE_S5: u8 = 0;
/// The CMOS byte with the century.
const CENTURY: u8 = 0x32;
/// Written to the reset control register: a hard reset (SRST and RCPU).
const RESET_VALUE: u8 = 0x06;

/// A block of the PM chip.
struct Block {
    offset: u16,
    bytes: u8,
}

const PM1A_EVT: Block = Block { offset: 0x0, bytes: 4 };
const PM1A_CNT: Block = Block { offset: 0x4, bytes: 2 };
const PM_TMR: Block = Block { offset: 0x8, bytes: 4 };
const GPE0: Block = Block { offset: 0xc, bytes: 4 };

impl Block {
    fn port(&self) -> u32 {
        u32::from(port::PM + self.offset)
    }

    /// A generic address structure (ACPI 6.5 §5.2.3.2). The access size is that of the block, as
    /// Linux wants it.
    fn address(&self) -> [u8; 12] {
        io_address(u64::from(self.port()), self.bytes)
    }
}

fn io_address(port: u64, bytes: u8) -> [u8; 12] {
    const SYSTEM_IO: u8 = 1;
    let access_size = bytes.trailing_zeros() as u8 + 1;
    let mut address = [SYSTEM_IO, bytes * 8, 0, access_size, 0, 0, 0, 0, 0, 0, 0, 0];
    put(&mut address, 4, port.to_le_bytes());
    address
}

/// What the tables tell of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described {
    pub(crate) devices: Devices,
    /// The CPU has a local APIC, and so the board an I/O APIC.
    pub(crate) apics: bool,
}

/// Writes all tables and gives the address of the RSDP.
pub(crate) fn write(memory: &mut GuestMemory, described: Described) -> u64 {
    let rsdp = TABLES;
    let mut next = TABLES + TABLE_ALIGNMENT;
    let mut place = |table: &[u8]| {
        let at = next;
        memory.write(at, table);
        next = (at + table.len() as u64).next_multiple_of(TABLE_ALIGNMENT);
        at
    };
    let facs = place(&facs());
    let dsdt = place(&table(b"DSDT", 2, &dsdt(&described.devices)));
    let fadt = place(&table(b"FACP", 3, &fadt_body(facs, dsdt)));
    let mut tables = vec![fadt];
    if described.apics {
        tables.push(place(&table(b"APIC", 4, &madt::body())));
    }
    let narrow: Vec<_> = tables.iter().flat_map(|at| (*at as u32).to_le_bytes()).collect();
    let wide: Vec<_> = tables.iter().flat_map(|at| at.to_le_bytes()).collect();
    let rsdt = place(&table(b"RSDT", 1, &narrow));
    let xsdt = place(&table(b"XSDT", 1, &wide));
    memory.write(rsdp, &root_pointer(rsdt, xsdt));
    rsdp
}

/// A table with its header (ACPI 6.5 §5.2.6) around a body.
fn table(signature: &[u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let mut table = vec![0; HEADER_BYTES];
    put(&mut table, 0, *signature);
    put(&mut table, 4, ((HEADER_BYTES + body.len()) as u32).to_le_bytes());
    put(&mut table, 8, [revision]);
    put(&mut table, 10, OEM_ID);
    put(&mut table, 16, OEM_TABLE_ID);
    put(&mut table, 24, 1_u32.to_le_bytes());
    put(&mut table, 28, CREATOR_ID);
    put(&mut table, 32, 1_u32.to_le_bytes());
    table.extend(body);
    table[9] = checksum(&table);
    table
}

/// The byte that makes the sum of all bytes zero.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

/// The RSDP (ACPI 6.5 §5.2.5.3): one checksum over the first 20 bytes, one over all.
fn root_pointer(rsdt: u64, xsdt: u64) -> [u8; 36] {
    let mut rsdp = [0; 36];
    put(&mut rsdp, 0, *b"RSD PTR ");
    put(&mut rsdp, 9, OEM_ID);
    put(&mut rsdp, 15, [2]);
    put(&mut rsdp, 16, (rsdt as u32).to_le_bytes());
    put(&mut rsdp, 20, 36_u32.to_le_bytes());
    put(&mut rsdp, 24, xsdt.to_le_bytes());
    rsdp[8] = checksum(&rsdp[..20]);
    rsdp[32] = checksum(&rsdp);
    rsdp
}

/// The FACS (ACPI 6.5 §5.2.10), which has no checksum.
fn facs() -> [u8; 64] {
    let mut facs = [0; 64];
    put(&mut facs, 0, *b"FACS");
    put(&mut facs, 4, 64_u32.to_le_bytes());
    facs[32] = 1;
    facs
}

/// The FADT behind its header.
fn fadt_body(facs: u64, dsdt: u64) -> Vec<u8> {
    let mut fadt = vec![0; fadt::BYTES];
    put(&mut fadt, fadt::FIRMWARE_CTRL, (facs as u32).to_le_bytes());
    put(&mut fadt, fadt::DSDT, (dsdt as u32).to_le_bytes());
    put(&mut fadt, fadt::PREFERRED_PM_PROFILE, [fadt::PROFILE_DESKTOP]);
    put(&mut fadt, fadt::SCI_INT, u16::from(irq::SCI).to_le_bytes());
    put(&mut fadt, fadt::SMI_CMD, u32::from(port::SMI_CMD).to_le_bytes());
    put(&mut fadt, fadt::ACPI_ENABLE, [ACPI_ENABLE]);
    put(&mut fadt, fadt::ACPI_DISABLE, [ACPI_DISABLE]);
    put(&mut fadt, fadt::PM1A_EVT_BLK, PM1A_EVT.port().to_le_bytes());
    put(&mut fadt, fadt::PM1A_CNT_BLK, PM1A_CNT.port().to_le_bytes());
    put(&mut fadt, fadt::PM_TMR_BLK, PM_TMR.port().to_le_bytes());
    put(&mut fadt, fadt::GPE0_BLK, GPE0.port().to_le_bytes());
    put(&mut fadt, fadt::PM1_EVT_LEN, [PM1A_EVT.bytes]);
    put(&mut fadt, fadt::PM1_CNT_LEN, [PM1A_CNT.bytes]);
    put(&mut fadt, fadt::PM_TMR_LEN, [PM_TMR.bytes]);
    put(&mut fadt, fadt::GPE0_BLK_LEN, [GPE0.bytes]);
    put(&mut fadt, fadt::P_LVL2_LAT, fadt::NO_C2.to_le_bytes());
    put(&mut fadt, fadt::P_LVL3_LAT, fadt::NO_C3.to_le_bytes());
    put(&mut fadt, fadt::CENTURY, [CENTURY]);
    let boot_arch = fadt::LEGACY_DEVICES | fadt::HAS_8042 | fadt::VGA_NOT_PRESENT;
    put(&mut fadt, fadt::IAPC_BOOT_ARCH, boot_arch.to_le_bytes());
    let flags = fadt::WBINVD | fadt::PROC_C1 | fadt::SLP_BUTTON | fadt::RESET_REG_SUP;
    put(&mut fadt, fadt::FLAGS, flags.to_le_bytes());
    put(&mut fadt, fadt::RESET_REG, io_address(u64::from(port::RESET_CONTROL), 1));
    put(&mut fadt, fadt::RESET_VALUE, [RESET_VALUE]);
    // X_FIRMWARE_CTRL stays zero: the specification wants one of the two.
    put(&mut fadt, fadt::X_DSDT, dsdt.to_le_bytes());
    put(&mut fadt, fadt::X_PM1A_EVT_BLK, PM1A_EVT.address());
    put(&mut fadt, fadt::X_PM1A_CNT_BLK, PM1A_CNT.address());
    put(&mut fadt, fadt::X_PM_TMR_BLK, PM_TMR.address());
    put(&mut fadt, fadt::X_GPE0_BLK, GPE0.address());
    fadt.split_off(HEADER_BYTES)
}

/// The DSDT behind its header: `Name (\_S5, Package () { SLP_TYPa, SLP_TYPb, 0, 0 })`, and the virtio
/// devices that are there.
fn dsdt(devices: &Devices) -> Vec<u8> {
    let elements = [SLEEP_TYPE_S5, 0, 0, 0];
    let mut terms = aml::name(b"\\_S5_", &aml::package(&elements.map(aml::byte)));
    let slots: Vec<_> = Slot::ALL.into_iter().filter(|slot| slot.is_there(devices)).collect();
    if !slots.is_empty() {
        let objects: Vec<_> = slots.into_iter().map(virtio).collect();
        terms.extend(aml::scope(b"\\_SB_", &objects.concat()));
    }
    terms
}

/// A virtio device behind memory-mapped registers, by the `_HID` that is registered for it.
fn virtio(slot: Slot) -> Vec<u8> {
    let number = slot as u8;
    let resources = [
        aml::memory_32_fixed(slot.base() as u32, REGISTERS as u32),
        aml::level_interrupt(slot.irq().into()),
    ];
    let objects = [
        aml::name(b"_HID", &aml::string(b"LNRO0005")),
        aml::name(b"_UID", &aml::byte(number)),
        aml::name(b"_CRS", &aml::resources(&resources.concat())),
    ];
    aml::device(&[b'V', b'R', b'T', b'0' + number], &objects.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::fields::{u16_at, u32_at, u64_at};
    use crate::memory_map::{MIB, Sizes, without_rom};

    /// The low mebibyte with the tables in it, and the address of the RSDP.
    fn written() -> (Vec<u8>, usize) {
        written_with(Described { devices: Devices::NONE, apics: false })
    }

    fn written_with(described: Described) -> (Vec<u8>, usize) {
        let mut memory = without_rom(Sizes { ram: 2 * MIB, disk: 0, monitor: 0 }).unwrap();
        let rsdp = write(&mut memory, described) as usize;
        let mut bytes = vec![0; MIB as usize];
        memory.read(0, &mut bytes);
        (bytes, rsdp)
    }

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
    }

    fn table_at(bytes: &[u8], at: usize) -> &[u8] {
        &bytes[at..at + u32_at(bytes, at + 4).unwrap() as usize]
    }

    /// A kernel without a hint searches E0000 to FFFFF in steps of 16 for the signature.
    #[test]
    fn the_root_pointer_is_where_kernels_search() {
        let (bytes, rsdp) = written();

        let found =
            (0xe_0000..0x10_0000).step_by(16).find(|&at| bytes[at..].starts_with(b"RSD PTR "));
        assert_eq!(found, Some(rsdp));
        assert_eq!(sum(&bytes[rsdp..rsdp + 20]), 0);
        assert_eq!(sum(&bytes[rsdp..rsdp + 36]), 0);
    }

    #[test]
    fn both_roots_lead_to_the_same_sound_fadt() {
        let (bytes, rsdp) = written();
        let rsdt = table_at(&bytes, u32_at(&bytes, rsdp + 16).unwrap() as usize);
        let xsdt = table_at(&bytes, u64_at(&bytes, rsdp + 24).unwrap() as usize);

        let fadt = u32_at(rsdt, 36).unwrap();
        assert_eq!(u64_at(xsdt, 36), Some(u64::from(fadt)));
        let fadt = table_at(&bytes, fadt as usize);
        let dsdt = table_at(&bytes, u32_at(fadt, fadt::DSDT).unwrap() as usize);
        for (table, signature) in
            [(rsdt, b"RSDT"), (xsdt, b"XSDT"), (fadt, b"FACP"), (dsdt, b"DSDT")]
        {
            assert_eq!(&table[..4], signature);
            assert_eq!(sum(table), 0);
        }
        assert_eq!(fadt.len(), 244);
        assert_eq!(u16_at(fadt, fadt::SCI_INT), Some(9));
        assert_eq!(u32_at(fadt, fadt::PM_TMR_BLK), Some(0x608));
        assert_eq!(&fadt[116..129], &[1, 8, 0, 1, 0xf9, 0x0c, 0, 0, 0, 0, 0, 0, 6]);
        let facs = u32_at(fadt, fadt::FIRMWARE_CTRL).unwrap() as usize;
        assert_eq!((&bytes[facs..facs + 4], facs % 64), (&b"FACS"[..], 0));
    }

    #[test]
    fn the_roots_lead_to_a_sound_madt_where_there_are_apics() {
        let (bytes, rsdp) = written_with(Described { devices: Devices::NONE, apics: true });
        let rsdt = table_at(&bytes, u32_at(&bytes, rsdp + 16).unwrap() as usize);
        let xsdt = table_at(&bytes, u64_at(&bytes, rsdp + 24).unwrap() as usize);

        let madt = u32_at(rsdt, 40).unwrap();
        assert_eq!(u64_at(xsdt, 44), Some(u64::from(madt)));
        assert_eq!((rsdt.len(), xsdt.len()), (44, 52));
        let madt = table_at(&bytes, madt as usize);
        assert_eq!((&madt[..4], sum(madt), sum(rsdt), sum(xsdt)), (&b"APIC"[..], 0, 0, 0));
    }

    /// As `iasl` encodes `Name (\_S5, Package (4) { 0x0, ... })`, but with byte constants.
    #[test]
    fn the_dsdt_names_the_sleep_type_of_power_off() {
        assert_eq!(dsdt(&Devices::NONE), b"\x08\\_S5_\x12\x0a\x04\x0a\x00\x0a\x00\x0a\x00\x0a\x00");
    }

    /// As `iasl` encodes a device with Memory32Fixed and Interrupt, but with the root in the scope's name and
    /// a byte for _UID.
    #[test]
    fn a_disk_is_named_with_its_registers_and_its_interrupt() {
        let body = dsdt(&Devices { disk_bytes: 4096, ..Devices::NONE });
        let at = |text: &[u8]| body.windows(text.len()).position(|window| window == text);
        let scope = at(b"\x10\x44\x04\\_SB_\x5b\x82\x3bVRT1").expect("scope and device");
        assert_eq!(body.len() - scope, 1 + 0x44, "the lengths count to the end");
        assert!(at(b"\x08_HID\x0dLNRO0005\0").is_some());
        let memory = b"\x86\x09\x00\x01\x00\x10\xb0\xfe\x00\x02\x00\x00";
        let interrupt = b"\x89\x06\x00\x01\x01\x0b\x00\x00\x00";
        assert!(at(memory).is_some() && at(interrupt).is_some());
        assert!(body.ends_with(b"\x79\x00"));
    }
}
