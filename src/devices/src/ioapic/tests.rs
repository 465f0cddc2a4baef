//! The redirection table: edges, levels, remote IRR, destinations.

use super::*;
use crate::suite;
use crate::{Ctx, PortDevice};

fn write(chip: &mut IoApic, register: u8, value: u32) {
    chip.write(IOREGSEL, register.into());
    chip.write(IOWIN, value);
}

fn read(chip: &mut IoApic, register: u8) -> u32 {
    chip.write(IOREGSEL, register.into());
    chip.read(IOWIN)
}

/// The chip with an entry of input 4: the lower half, and destination 3.
fn with_entry(low: u32) -> IoApic {
    let mut chip = IoApic::new();
    write(&mut chip, 0x19, 3 << 24);
    write(&mut chip, 0x18, low);
    chip
}

#[test]
fn registers_read_as_the_datasheet_says() {
    let mut chip = IoApic::new();

    assert_eq!(read(&mut chip, 1), 0x0017_0011);
    assert_eq!((read(&mut chip, 0x10), read(&mut chip, 0x3f)), (0x1_0000, 0));
    write(&mut chip, 0, 0xff00_0000);
    assert_eq!((read(&mut chip, 0), read(&mut chip, 2)), (0x0f00_0000, 0x0f00_0000));
    write(&mut chip, 0x10, 0xffff_ffff);
    assert_eq!(read(&mut chip, 0x10), 0x1_afff, "remote IRR and delivery status are read alone");
    assert_eq!(read(&mut chip, 0x40), 0);
}

#[test]
fn an_edge_is_sent_once() {
    let mut chip = with_entry(0x931);
    chip.set_input(4, true);

    let message = chip.message(4).unwrap();
    assert_eq!((message.vector, message.mode), (0x31, DeliveryMode::LowestPriority));
    assert_eq!((message.level, message.destination), (false, Destination::Logical(3)));
    chip.sent(4, true);
    assert_eq!(chip.message(4), None);
    chip.set_input(4, true);
    assert_eq!(chip.message(4), None, "the level alone is no edge");
    chip.set_input(4, false);
    chip.set_input(4, true);
    assert!(chip.message(4).is_some());
}

/// 82093AA, "Interrupt Mask": edges at a masked input are not held.
#[test]
fn an_edge_while_masked_is_lost() {
    let mut chip = with_entry(0x1_0031);
    chip.set_input(4, true);
    write(&mut chip, 0x18, 0x31);

    assert_eq!(chip.message(4), None);
}

#[test]
fn a_level_is_sent_again_after_the_end_while_it_lasts() {
    let mut chip = with_entry(0x8031);
    chip.set_input(4, true);
    assert!(chip.message(4).is_some_and(|message| message.level));
    assert_eq!(read(&mut chip, 0x18), 0x9031, "delivery status: it waits to be sent");

    chip.sent(4, false);
    assert!(chip.message(4).is_some(), "nobody has accepted it");
    chip.sent(4, true);
    assert_eq!((chip.message(4), read(&mut chip, 0x18)), (None, 0xc031));
    chip.end_of_interrupt(0x32);
    assert_eq!(chip.message(4), None, "the end of another vector");
    chip.end_of_interrupt(0x31);
    assert!(chip.message(4).is_some());
    chip.set_input(4, false);
    assert_eq!(chip.message(4), None);
}

#[test]
fn polarity_turns_the_input_round() {
    let mut chip = with_entry(0xa031);
    assert!(chip.message(4).is_some(), "low is active");
    chip.set_input(4, true);
    assert_eq!(chip.message(4), None);
}

/// Linux ends an interrupt of a chip without an EOI register so (io_apic.c, `__eoi_ioapic_pin`).
#[test]
fn becoming_edge_triggered_forgets_the_remote_irr() {
    let mut chip = with_entry(0x8031);
    chip.set_input(4, true);
    chip.sent(4, true);

    write(&mut chip, 0x18, 0x1_0031);
    write(&mut chip, 0x18, 0x8031);

    assert!(chip.message(4).is_some());
}

/// The chip behind byte ports, for the suite. Ports above the window are the inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ported(IoApic);

impl PortDevice for Ported {
    fn read(&mut self, offset: u16, _ctx: &mut Ctx<'_>) -> u8 {
        self.0.read(offset).to_le_bytes().into_iter().fold(0, |all, byte| all ^ byte)
    }

    fn write(&mut self, offset: u16, value: u8, _ctx: &mut Ctx<'_>) {
        match offset {
            0x20 => {
                let pin = value & 0x1f;
                self.0.set_input(pin, value & 0x80 != 0);
                if self.0.message(pin).is_some() {
                    self.0.sent(pin, value & 0x40 != 0);
                }
            }
            0x21 => self.0.end_of_interrupt(value),
            _ => self.0.write(offset, u32::from(value) * 0x0103_0501),
        }
    }
}

#[test]
fn the_suite_passes() {
    let make = || Ported(IoApic::new());
    // A reset leaves the inputs alone, which the suite has none of.
    let reset = |chip: &mut Ported| {
        (0..IOAPIC_PINS).for_each(|pin| chip.0.set_input(pin, false));
        chip.0.reset();
    };
    suite::all(make, reset, &[0x00, 0x10, 0x20, 0x21]);
}
