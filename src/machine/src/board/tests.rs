//! Port decoding, the path of an interrupt from a chip to INTR, and deadlines.

use super::*;
use crate::memory_map::{MIB, Sizes, with_rom};
use cutaway_cpu::CpuModel;
use std::cell::RefCell;
use std::rc::Rc;

/// A sink whose characters can be looked at.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl cutaway_devices::CharSink for Shared {
    fn put(&mut self, byte: u8) {
        self.0.borrow_mut().push(byte);
    }
}

fn board() -> Board {
    let cpu = CpuModel::by_name("486").expect("the 486 is there");
    Board::new(
        &Config::new(cpu),
        with_rom(Sizes { ram: MIB, disk: 0, monitor: 0 }, &[0xf4; 4096]).unwrap(),
    )
}

/// ICW1 to ICW4 of the master: edge triggered, vectors from 20h, slave on line 2; all unmasked.
fn initialise_master_pic(board: &mut Board) {
    for (port, value) in [(0x20, 0x11), (0x21, 0x20), (0x21, 0x04), (0x21, 0x01), (0x21, 0x00)] {
        board.port_write(port, Width::Byte, value, 0);
    }
}

#[test]
fn each_port_has_its_chip() {
    let rows = [
        (0x20, Chip::Pic, 0),
        (0xa1, Chip::Pic, 3),
        (0x4d1, Chip::Pic, 5),
        (0x43, Chip::Pit, 3),
        (0x60, Chip::Kbc, 0),
        (0x64, Chip::Kbc, 4),
        (0x71, Chip::Rtc, 1),
        (0x3f8, Chip::Com(0), 0),
        (0x2ff, Chip::Com(1), 7),
        (0x3e8, Chip::Com(2), 0),
        (0x2e8, Chip::Com(3), 0),
        (0xb2, Chip::Pm, 0x40),
        (0x608, Chip::Pm, 8),
        (0xcf9, Chip::ResetControl, 0),
        (0xf4, Chip::DebugExit, 0),
    ];
    for (port, chip, offset) in rows {
        assert_eq!(decode(port, Some(0xf4)), Some((chip, offset)), "port {port:#x}");
    }
    for port in [0x22, 0x44, 0x62, 0xe8, 0x3f7, 0x400, 0x640, 0xcf8, 0xcfc, 0xffff] {
        assert_eq!(decode(port, Some(0xf4)), None, "port {port:#x}");
    }
    assert_eq!(decode(0xf4, None), None);
}

#[test]
fn what_nobody_drives_reads_as_ones() {
    let mut board = board();

    assert_eq!(board.port_read(0xcfc, Width::Dword, 0), 0xffff_ffff);
    assert_eq!(board.port_read(0xffff, Width::Word, 0) >> 8, 0xff, "port 0 follows, as on a bus");
    assert_eq!(board.mmio_read(0xfed0_0000, Width::Qword, 0), u64::MAX);
    board.port_write(0xcfc, Width::Dword, 0, 0);
    board.mmio_write(0xa_0000, Width::Byte, 0, 0);
}

#[test]
fn a_wide_access_is_one_of_a_byte_for_each_port() {
    let mut board = board();
    let output = Shared::default();
    board.sinks().debug = Box::new(output.clone());

    board.port_write(0xe8, Width::Word, 0x4100, 0);
    board.port_write(0xe9, Width::Byte, 0x42, 0);

    assert_eq!(*output.0.borrow(), b"AB");
}

/// The PCI configuration address register must not reset the machine.
#[test]
fn only_a_byte_reaches_the_reset_register() {
    let mut board = board();
    board.port_write(0xcf8, Width::Dword, 0x8000_0600, 0);
    assert_eq!(board.take_request(), None);

    board.port_write(0xcf9, Width::Byte, 0x06, 0);
    assert_eq!(board.stop_at(), 0, "the CPU stops at once");
    assert_eq!(board.take_request(), Some(Request::ResetBoard));
}

#[test]
fn the_timer_interrupts_at_its_deadline() {
    let mut board = board();
    // Counter 0: low then high byte, mode 2, 1,193 clocks, which is a millisecond. OUT rises
    // with the control word; ICW1 forgets that edge.
    for (port, value) in [(0x43, 0x34), (0x40, 0xa9), (0x40, 0x04)] {
        board.port_write(port, Width::Byte, value, 0);
    }
    initialise_master_pic(&mut board);
    assert!(!board.pins().intr);

    let mut at = 0;
    while !board.pins().intr && board.stop_at() < 2_000_000 {
        at = board.stop_at();
        board.advance(at);
    }

    assert!((999_000..1_002_000).contains(&at), "{at} ns");
    assert_eq!(board.acknowledge(at), Vector(0x20));
    assert!(!board.pins().intr);
}

#[test]
fn two_serial_ports_share_a_line() {
    let mut board = board();
    initialise_master_pic(&mut board);
    for base in [0x3f8, 0x3e8] {
        board.port_write(base + 4, Width::Byte, 0x08, 0); // MCR: OUT2
        board.port_write(base + 1, Width::Byte, 0x01, 0); // IER: received data
    }

    board.touch(10, |chips, now, _| chips.send_to_com(2, b"x", now));
    while !board.pins().intr && board.stop_at() < 10_000_000 {
        board.advance(board.stop_at());
    }
    assert_eq!(board.acknowledge(20), Vector(0x24));
    assert_eq!(board.port_read(0x3e8, Width::Byte, 20), u32::from(b'x'));
}

#[test]
fn pasted_text_waits_until_the_guest_reads() {
    let mut board = board();
    let text: Vec<u8> = (b'a'..=b'z').cycle().take(200).collect();
    board.touch(0, |chips, now, _| chips.send_to_com(0, &text, now));

    let mut read = Vec::new();
    let mut at = 0;
    while read.len() < text.len() && at < 1_000_000_000 {
        at += 50_000;
        board.advance(at);
        if board.port_read(0x3fd, Width::Byte, at) & 1 != 0 {
            read.push(board.port_read(0x3f8, Width::Byte, at) as u8);
        }
    }
    assert_eq!(read, text);
    assert!(at > 200 * 86_000, "not faster than the line: {at} ns");
}

#[test]
fn the_keyboard_controller_masks_a20() {
    let mut board = board();
    assert!(!board.pins().a20_masked);

    board.port_write(0x64, Width::Byte, 0xd1, 0); // write the output port
    board.port_write(0x60, Width::Byte, 0xdd, 0); // A20 low
    assert!(board.pins().a20_masked);
    board.port_write(0x92, Width::Byte, 0x02, 0);
    assert!(!board.pins().a20_masked);
}

/// Any value to any port, at any width, neither panics nor hangs.
#[test]
fn every_port_survives_every_access() {
    let mut board = board();
    let mut at = 0;
    for port in 0..=u16::MAX {
        for (width, value) in
            [(Width::Byte, 0x5a), (Width::Word, 0xff00), (Width::Dword, 0x8765_4321)]
        {
            board.port_write(port, width, value, at);
            board.port_read(port, width, at);
            board.take_request();
            at += 1000;
            board.advance(at);
        }
    }
}
