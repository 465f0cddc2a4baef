//! Tests of the 8259A pair, programmed as a PC programs it unless said otherwise.

use super::*;
use crate::{GuestTime, Unconnected, suite};

const OCW2_EOI: u8 = 0x20;
const OCW2_SPECIFIC_EOI: u8 = 0x60;
const OCW3_READ_IRR: u8 = 0x0a;
const OCW3_READ_ISR: u8 = 0x0b;
const OCW3_POLL: u8 = 0x0c;

/// ICW4: 8086 mode, then the options.
const X86: u8 = 0x01;
const AEOI: u8 = 0x02;
const SFNM: u8 = 0x10;

fn write(pic: &mut PicPair, offset: u16, value: u8) {
    pic.write(offset, value, &mut Ctx { now: GuestTime::ZERO, chars: &mut Unconnected });
}

fn read(pic: &mut PicPair, offset: u16) -> u8 {
    pic.read(offset, &mut Ctx { now: GuestTime::ZERO, chars: &mut Unconnected })
}

/// Vectors 0x20 and 0x28, nothing masked.
fn initialized(master_icw4: u8) -> PicPair {
    let mut pic = PicPair::new();
    for (command, icw2, icw3, icw4) in [(0, 0x20, 0x04, master_icw4), (2, 0x28, 0x02, X86)] {
        write(&mut pic, command, 0x11);
        write(&mut pic, command + 1, icw2);
        write(&mut pic, command + 1, icw3);
        write(&mut pic, command + 1, icw4);
        write(&mut pic, command + 1, 0x00);
    }
    pic
}

fn isr(pic: &mut PicPair) -> u8 {
    write(pic, MASTER_COMMAND, OCW3_READ_ISR);
    read(pic, MASTER_COMMAND)
}

fn irr(pic: &mut PicPair) -> u8 {
    write(pic, MASTER_COMMAND, OCW3_READ_IRR);
    read(pic, MASTER_COMMAND)
}

/// Raises a line from low, as an edge.
fn pulse(pic: &mut PicPair, irq: u8) {
    pic.set_irq(irq, false);
    pic.set_irq(irq, true);
}

#[test]
fn passes_the_device_suite() {
    suite::all(PicPair::new, PicPair::reset, &[0, 1, 2, 3, 4, 5]);
    suite::snapshot_restores(|| initialized(X86), &[0, 1, 2, 3, 4, 5]);
}

#[test]
fn nothing_is_asked_before_initialization() {
    let mut pic = PicPair::new();

    pulse(&mut pic, 0);

    assert!(!pic.intr());
}

#[test]
fn a_request_gives_its_vector_and_is_in_service() {
    let mut pic = initialized(X86);

    pulse(&mut pic, 4);
    assert!(pic.intr());
    assert_eq!(irr(&mut pic), 0x10);

    assert_eq!(pic.acknowledge(), 0x24);
    assert!(!pic.intr());
    assert_eq!(irr(&mut pic), 0x00, "the edge is taken though the line is high");
    assert_eq!(isr(&mut pic), 0x10);
}

#[test]
fn icw4_is_skipped_without_ic4_and_icw3_when_single() {
    let mut pic = PicPair::new();
    write(&mut pic, MASTER_COMMAND, 0x12); // SNGL, no IC4
    write(&mut pic, MASTER_DATA, 0x40);
    write(&mut pic, MASTER_DATA, 0xfb); // already OCW1

    assert_eq!(read(&mut pic, MASTER_DATA), 0xfb);
    pulse(&mut pic, 2); // the cascade line is not IRQ 2
    assert!(!pic.intr());
}

#[test]
fn a_masked_line_waits() {
    let mut pic = initialized(X86);
    write(&mut pic, MASTER_DATA, 0x02);

    pulse(&mut pic, 1);
    assert!(!pic.intr());

    write(&mut pic, MASTER_DATA, 0x00);
    assert_eq!(pic.acknowledge(), 0x21);
}

#[test]
fn lower_lines_come_first_and_interrupt_higher_ones() {
    let mut pic = initialized(X86);
    pulse(&mut pic, 3);
    pulse(&mut pic, 5);

    assert_eq!(pic.acknowledge(), 0x23);
    assert!(!pic.intr(), "5 is below 3, which is in service");
    pulse(&mut pic, 1);
    assert_eq!(pic.acknowledge(), 0x21);
    assert_eq!(isr(&mut pic), 0x0a);
}

#[test]
fn eoi_clears_highest_isr_bit() {
    let mut pic = initialized(X86);
    pulse(&mut pic, 3);
    pic.acknowledge();
    pulse(&mut pic, 1);
    pic.acknowledge();

    write(&mut pic, MASTER_COMMAND, OCW2_EOI);
    assert_eq!(isr(&mut pic), 0x08);
    write(&mut pic, MASTER_COMMAND, OCW2_EOI);
    assert_eq!(isr(&mut pic), 0x00);
}

#[test]
fn specific_eoi_clears_the_named_bit() {
    let mut pic = initialized(X86);
    pulse(&mut pic, 3);
    pic.acknowledge();
    pulse(&mut pic, 1);
    pic.acknowledge();

    write(&mut pic, MASTER_COMMAND, OCW2_SPECIFIC_EOI | 3);

    assert_eq!(isr(&mut pic), 0x02);
}

#[test]
fn aeoi_leaves_nothing_in_service() {
    let mut pic = initialized(X86 | AEOI);
    pulse(&mut pic, 3);

    assert_eq!(pic.acknowledge(), 0x23);

    assert_eq!(isr(&mut pic), 0);
    pulse(&mut pic, 6);
    assert!(pic.intr(), "a lower one is not held back");
}

/// Datasheet, "Automatic Rotation": line 4 served and rotated becomes the lowest.
#[test]
fn rotate_on_non_specific_eoi_makes_the_served_line_the_lowest() {
    let mut pic = initialized(X86);
    pulse(&mut pic, 4);
    pulse(&mut pic, 6);
    assert_eq!(pic.acknowledge(), 0x24);

    write(&mut pic, MASTER_COMMAND, 0xa0);

    pulse(&mut pic, 4);
    pulse(&mut pic, 5);
    assert_eq!(pic.acknowledge(), 0x25, "5 is the highest now");
    write(&mut pic, MASTER_COMMAND, OCW2_EOI);
    assert_eq!(pic.acknowledge(), 0x26);
    write(&mut pic, MASTER_COMMAND, OCW2_EOI);
    assert_eq!(pic.acknowledge(), 0x24, "4 is the lowest");
}

#[test]
fn rotate_on_specific_eoi_names_the_lowest_line() {
    let mut pic = initialized(X86);
    pulse(&mut pic, 2 + 1);
    pic.acknowledge();

    write(&mut pic, MASTER_COMMAND, 0xe0 | 3);

    assert_eq!(isr(&mut pic), 0);
    pulse(&mut pic, 3);
    pulse(&mut pic, 4);
    assert_eq!(pic.acknowledge(), 0x24);
}

/// Datasheet, "Specific Rotation": with 5 the lowest, 6 is the highest.
#[test]
fn set_priority_names_the_lowest_line() {
    let mut pic = initialized(X86);

    write(&mut pic, MASTER_COMMAND, 0xc0 | 5);

    pulse(&mut pic, 0);
    pulse(&mut pic, 5);
    pulse(&mut pic, 6);
    assert_eq!(pic.acknowledge(), 0x26);
    write(&mut pic, MASTER_COMMAND, OCW2_EOI);
    assert_eq!(pic.acknowledge(), 0x20);
    write(&mut pic, MASTER_COMMAND, OCW2_EOI);
    assert_eq!(pic.acknowledge(), 0x25);
}

#[test]
fn rotation_in_aeoi_mode_is_set_and_cleared() {
    let mut pic = initialized(X86 | AEOI);
    write(&mut pic, MASTER_COMMAND, 0x80);
    pulse(&mut pic, 0);
    pic.acknowledge();
    pulse(&mut pic, 0);
    pulse(&mut pic, 1);
    assert_eq!(pic.acknowledge(), 0x21, "0 went to the bottom");

    write(&mut pic, MASTER_COMMAND, 0x00);
    pulse(&mut pic, 3);
    assert_eq!(pic.acknowledge(), 0x23);
    pulse(&mut pic, 3);
    assert_eq!(pic.acknowledge(), 0x23, "3 did not rotate");
}

/// Datasheet, "Special Mask Mode".
#[test]
fn special_mask_lets_lower_lines_through_while_one_is_served() {
    let mut pic = initialized(X86);
    pulse(&mut pic, 1);
    pic.acknowledge();
    pulse(&mut pic, 6);
    assert!(!pic.intr());

    write(&mut pic, MASTER_DATA, 0x02);
    write(&mut pic, MASTER_COMMAND, 0x68);

    assert_eq!(pic.acknowledge(), 0x26);
    write(&mut pic, MASTER_COMMAND, OCW2_EOI);
    assert_eq!(isr(&mut pic), 0x02, "a masked bit is not cleared by a non-specific EOI");
    write(&mut pic, MASTER_COMMAND, 0x48);
    write(&mut pic, MASTER_COMMAND, OCW2_EOI);
    assert_eq!(isr(&mut pic), 0x00, "without the mode it is");
}

#[test]
fn poll_acknowledges_and_names_the_line() {
    let mut pic = initialized(X86);
    pulse(&mut pic, 6);

    write(&mut pic, MASTER_COMMAND, OCW3_POLL);
    assert_eq!(read(&mut pic, MASTER_COMMAND), 0x86);

    assert!(!pic.intr());
    assert_eq!(isr(&mut pic), 0x40);
    write(&mut pic, MASTER_COMMAND, OCW3_POLL);
    assert_eq!(read(&mut pic, MASTER_DATA), 0x00, "nothing asks");
    assert_eq!(read(&mut pic, MASTER_DATA), 0x00, "a poll is one read: this is IMR");
}

#[test]
fn polling_reaches_the_slave_through_the_master() {
    let mut pic = initialized(X86);
    pulse(&mut pic, 12);

    write(&mut pic, MASTER_COMMAND, OCW3_POLL);
    assert_eq!(read(&mut pic, MASTER_COMMAND), 0x82);
    write(&mut pic, SLAVE_COMMAND, OCW3_POLL);
    assert_eq!(read(&mut pic, SLAVE_COMMAND), 0x84);

    write(&mut pic, SLAVE_COMMAND, OCW2_EOI);
    write(&mut pic, MASTER_COMMAND, OCW2_EOI);
    assert!(!pic.intr());
}

#[test]
fn the_slave_is_reached_through_line_2() {
    let mut pic = initialized(X86);
    pulse(&mut pic, 8);

    assert_eq!(irr(&mut pic), 0x04);
    assert_eq!(pic.acknowledge(), 0x28);
    assert_eq!(isr(&mut pic), 0x04);
    pulse(&mut pic, 3);
    assert!(!pic.intr(), "line 3 is below line 2");

    write(&mut pic, SLAVE_COMMAND, OCW2_EOI);
    write(&mut pic, MASTER_COMMAND, OCW2_EOI);
    assert_eq!(pic.acknowledge(), 0x23);
}

#[test]
fn two_slave_requests_come_one_after_the_other() {
    let mut pic = initialized(X86);
    pulse(&mut pic, 14);
    pulse(&mut pic, 9);

    for vector in [0x29, 0x2e] {
        assert_eq!(pic.acknowledge(), vector);
        assert!(!pic.intr());
        write(&mut pic, MASTER_COMMAND, OCW2_EOI);
        write(&mut pic, SLAVE_COMMAND, OCW2_EOI);
    }
    assert!(!pic.intr());
}

/// Datasheet, "The Special Fully Nest Mode".
#[test]
fn special_fully_nested_lets_the_slave_ask_for_something_higher() {
    let mut plain = initialized(X86);
    let mut nested = initialized(X86 | SFNM);
    for pic in [&mut plain, &mut nested] {
        pulse(pic, 12);
        assert_eq!(pic.acknowledge(), 0x2c);
        pulse(pic, 8);
    }

    assert!(!plain.intr());
    assert_eq!(nested.acknowledge(), 0x28);
    pulse(&mut nested, 15);
    assert!(!nested.intr(), "15 is below both");
}

#[test]
fn a_request_that_goes_away_is_spurious_irq_7() {
    let mut pic = initialized(X86);
    pulse(&mut pic, 3);
    pic.set_irq(3, false);

    assert!(!pic.intr());
    assert_eq!(pic.acknowledge(), 0x27);
    assert_eq!(isr(&mut pic), 0x00, "and nothing is in service");
}

#[test]
fn a_slave_request_that_goes_away_is_spurious_irq_15() {
    let mut pic = initialized(X86);
    pulse(&mut pic, 10);
    // Masked on the slave after the master has seen the request in level mode.
    write(&mut pic, MASTER_COMMAND, 0x19);
    for icw in [0x20, 0x04, X86, 0x00] {
        write(&mut pic, MASTER_DATA, icw);
    }
    assert!(pic.intr());
    pic.slave.set_line(2, false);

    assert_eq!(pic.acknowledge(), 0x2f);
    assert_eq!(isr(&mut pic), 0x04, "the master knows of no spuriousness");
}

#[test]
fn edge_mode_wants_a_new_edge() {
    let mut pic = initialized(X86);
    pulse(&mut pic, 5);
    pic.acknowledge();
    write(&mut pic, MASTER_COMMAND, OCW2_EOI);

    assert!(!pic.intr(), "the line is still high");
    pulse(&mut pic, 5);
    assert!(pic.intr());
}

#[test]
fn initialization_forgets_edges() {
    let mut pic = initialized(X86);
    pulse(&mut pic, 5);

    for (offset, icw) in [(0, 0x11), (1, 0x20), (1, 0x04), (1, X86)] {
        write(&mut pic, offset, icw);
    }

    assert!(!pic.intr());
    assert_eq!(irr(&mut pic), 0);
}

#[test]
fn elcr_makes_a_line_level_triggered() {
    let mut pic = initialized(X86);
    write(&mut pic, ELCR1, 0xff);
    write(&mut pic, ELCR2, 0xff);
    assert_eq!(read(&mut pic, ELCR1), 0xf8);
    assert_eq!(read(&mut pic, ELCR2), 0xde);

    pic.set_irq(5, true);
    pic.acknowledge();
    write(&mut pic, MASTER_COMMAND, OCW2_EOI);
    assert!(pic.intr(), "as long as the line is high");

    pic.acknowledge();
    pic.set_irq(5, false);
    write(&mut pic, MASTER_COMMAND, OCW2_EOI);
    assert!(!pic.intr());
}

#[test]
fn ltim_makes_all_lines_level_triggered() {
    let mut pic = PicPair::new();
    pic.set_irq(0, true);

    for (offset, icw) in [(0, 0x19), (1, 0x20), (1, 0x04), (1, X86)] {
        write(&mut pic, offset, icw);
    }

    assert_eq!(pic.acknowledge(), 0x20);
}

#[test]
fn a_wrong_slave_number_leaves_the_bus_open() {
    let mut pic = initialized(X86);
    for (offset, icw) in [(2, 0x11), (3, 0x28), (3, 0x05), (3, X86), (3, 0x00)] {
        write(&mut pic, offset, icw);
    }
    pulse(&mut pic, 8);

    assert_eq!(pic.acknowledge(), 0xff);
}
