//! The APICs on the board: where they answer, and the paths of interrupts through them.

use super::*;
use crate::memory_map::{MIB, Sizes, with_rom};
use crate::wiring::irq;
use cutaway_cpu::CpuModel;
use cutaway_devices::{IOAPIC_BASE, LAPIC_BASE};

const SVR: u64 = LAPIC_BASE + 0xf0;
const EOI: u64 = LAPIC_BASE + 0xb0;
const LVT_TIMER: u64 = LAPIC_BASE + 0x320;
const LVT_LINT0: u64 = LAPIC_BASE + 0x350;

/// A board whose local APIC takes vectors.
fn board() -> Board {
    let cpu = CpuModel::by_name("max,+apic").expect("the model is there");
    let sizes = Sizes { ram: MIB, disk: 0, monitor: 0 };
    let mut board = Board::new(&Config::new(cpu), with_rom(sizes, &[0xf4; 4096]).unwrap());
    write(&mut board, SVR, 0x1ff);
    board
}

fn write(board: &mut Board, address: u64, value: u32) {
    board.mmio_write(address, Width::Dword, value.into(), 0);
}

/// Writes the lower half of an entry of the redirection table.
fn redirect(board: &mut Board, pin: u32, entry: u32) {
    write(board, IOAPIC_BASE, 0x10 + 2 * pin);
    write(board, IOAPIC_BASE + 0x10, entry);
}

/// Counter 0 in mode 2 with a period of a millisecond.
fn start_pit(board: &mut Board) {
    for (port, value) in [(0x43, 0x34), (0x40, 0xa9), (0x40, 0x04)] {
        board.port_write(port, Width::Byte, value, 0);
    }
}

/// ICW1 to ICW4 of the master, vectors from 20h, all but the timer masked.
fn start_pic(board: &mut Board) {
    for (port, value) in [(0x20, 0x11), (0x21, 0x20), (0x21, 0x04), (0x21, 0x01), (0x21, 0xfe)] {
        board.port_write(port, Width::Byte, value, 0);
    }
}

/// Runs until INTR is high; says when.
fn run_to_intr(board: &mut Board) -> u64 {
    let mut at = 0;
    while !board.pins().intr && board.stop_at() < 1_000_000_000 {
        at = board.stop_at();
        board.advance(at);
    }
    assert!(board.pins().intr);
    at
}

#[test]
fn both_answer_where_chipsets_have_them() {
    let mut board = board();
    write(&mut board, IOAPIC_BASE, 1);

    assert_eq!(board.mmio_read(LAPIC_BASE + 0x30, Width::Dword, 0), 0x5_0014);
    assert_eq!(board.mmio_read(LAPIC_BASE + 0x32, Width::Byte, 0), 5);
    assert_eq!(board.mmio_read(IOAPIC_BASE + 0x10, Width::Dword, 0), 0x17_0011);
    assert_eq!(board.mmio_read(IOAPIC_BASE + 0x20, Width::Dword, 0), 0xffff_ffff);
    board.mmio_write(SVR, Width::Byte, 0, 0);
    assert_eq!(board.mmio_read(SVR, Width::Dword, 0), 0x1ff, "no whole register, no write");
}

#[test]
fn the_base_register_moves_and_removes_the_local_one() {
    let mut board = board();
    board.set_apic_base(0xfe00_0900, 0);
    assert_eq!(board.mmio_read(0xfe00_0030, Width::Dword, 0), 0x5_0014);
    assert_eq!(board.mmio_read(LAPIC_BASE + 0x30, Width::Dword, 0), 0xffff_ffff);

    board.set_apic_base(0xfee0_0100, 0);
    assert_eq!(board.mmio_read(LAPIC_BASE + 0x30, Width::Dword, 0), 0xffff_ffff);
    start_pit(&mut board);
    start_pic(&mut board);
    let at = run_to_intr(&mut board);
    assert_eq!(board.acknowledge(at), Vector(0x20), "the 8259A reaches the CPU directly");
}

/// MultiProcessor Specification 1.4 §3.6.2.2, "Virtual Wire Mode".
#[test]
fn the_8259a_reaches_the_cpu_through_lint0() {
    let mut board = board();
    start_pit(&mut board);
    start_pic(&mut board);
    let at = run_to_intr(&mut board);
    assert_eq!(board.acknowledge(at), Vector(0x20));
    assert!(!board.pins().intr);

    write(&mut board, LVT_LINT0, 0x1_0700);
    board.port_write(0x20, Width::Byte, 0x20, at);
    while board.stop_at() < 5_000_000 {
        board.advance(board.stop_at());
    }
    assert!(!board.pins().intr, "LINT0 is masked");
}

#[test]
fn the_timer_is_on_input_2() {
    let mut board = board();
    redirect(&mut board, 2, 0x31);
    start_pit(&mut board);

    let at = run_to_intr(&mut board);
    assert_eq!(board.acknowledge(at), Vector(0x31));
    board.advance(board.stop_at());
    assert!(!board.pins().intr, "the next waits for the EOI");
    board.mmio_write(EOI, Width::Dword, 0, at);
    run_to_intr(&mut board);
}

#[test]
fn a_level_interrupts_again_until_its_cause_is_gone() {
    let mut board = board();
    redirect(&mut board, 9, 0x8051);
    let sci = |board: &mut Board, level| {
        board.touch(0, |chips, now, _| chips.set_line(irq::SCI, level, now));
    };

    sci(&mut board, true);
    for _ in 0..3 {
        assert_eq!(board.acknowledge(0), Vector(0x51));
        assert!(!board.pins().intr);
        write(&mut board, EOI, 0);
        assert!(board.pins().intr);
    }
    assert_eq!(board.acknowledge(0), Vector(0x51));
    sci(&mut board, false);
    write(&mut board, EOI, 0);
    assert!(!board.pins().intr);
}

/// The level stays until the CPU has seen the edge; then a second message is a second edge.
#[test]
fn an_nmi_to_itself_is_one_edge() {
    let mut board = board();
    write(&mut board, LAPIC_BASE + 0x300, 0x400);
    assert!(board.pins().nmi);
    board.nmi_seen();
    assert!(!board.pins().nmi);
    write(&mut board, LAPIC_BASE + 0x300, 0x400);
    assert!(board.pins().nmi);
}

/// A hundred million zeros a second, and nobody takes the interrupt.
#[test]
fn a_timer_of_one_clock_does_not_hang_the_board() {
    let mut board = board();
    write(&mut board, LAPIC_BASE + 0x3e0, 0xb);
    write(&mut board, LVT_TIMER, 0x2_0080);
    write(&mut board, LAPIC_BASE + 0x380, 1);
    let deadlines = board.counts().deadlines;

    board.advance(3_600_000_000_000);
    assert!(board.counts().deadlines - deadlines <= 1);
    assert_eq!(board.acknowledge(3_600_000_000_000), Vector(0x80));
    assert_eq!(board.deadline(), Some(3_600_000_000_010));
}

#[test]
fn a_snapshot_restores_both() {
    let mut board = board();
    redirect(&mut board, 2, 0x31);
    write(&mut board, LVT_TIMER, 0x2_0080);
    write(&mut board, LAPIC_BASE + 0x380, 1000);
    let sections = board.sections().unwrap();
    let mut state = State::new();
    sections.iter().cloned().for_each(|section| state.add(section).unwrap());

    let mut other = self::board();
    other.load(&state, 0).unwrap();

    assert_eq!(other.sections().unwrap(), sections);
    assert_eq!(other.deadline(), board.deadline());
}

#[test]
fn without_the_feature_nobody_answers() {
    let cpu = CpuModel::by_name("max").expect("the model is there");
    let sizes = Sizes { ram: MIB, disk: 0, monitor: 0 };
    let mut board = Board::new(&Config::new(cpu), with_rom(sizes, &[0xf4; 4096]).unwrap());

    assert_eq!(board.mmio_read(LAPIC_BASE + 0x30, Width::Dword, 0), 0xffff_ffff);
    assert_eq!(board.mmio_read(IOAPIC_BASE, Width::Dword, 0), 0xffff_ffff);
    assert_eq!(board.pins().task_priority, None);
    let names = board.sections().unwrap();
    assert!(names.iter().all(|section| !section.name.contains("apic")));
}
