//! Tests of the 16550A. At 115,200 baud 8N1 a character takes 10 bits: 86,806 ns.

use super::*;
use crate::suite::{self, Bench};

const OFFSETS: [u16; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
const CHARACTER_NS: u64 = 86_806;
const LCR_8N1: u8 = 0x03;
const FCR_TRIGGER_4: u8 = 0x40;
const FCR_TRIGGER_14: u8 = 0xc0;

/// 115,200 baud, 8N1, no interrupts, connected by OUT2.
fn programmed() -> Bench<Uart> {
    let mut uart = Bench::new(Uart::new(LineSpeed::AsProgrammed));
    uart.write(LCR, LCR_DLAB);
    uart.write(DATA, 1);
    uart.write(IER, 0);
    uart.write(LCR, LCR_8N1);
    uart.write(MCR, MCR_OUT2);
    uart.read(MSR);
    uart
}

fn with_fifos(fcr: u8) -> Bench<Uart> {
    let mut uart = programmed();
    uart.write(IIR_FCR, FCR_ENABLE | fcr);
    uart
}

/// What `receive` of the chip does, at the bench's time.
fn receive(uart: &mut Bench<Uart>, bytes: &[u8]) {
    for byte in bytes {
        uart.chip.receive(*byte, uart.now);
    }
}

#[test]
fn passes_the_device_suite() {
    suite::all(|| Uart::new(LineSpeed::AsProgrammed), Uart::reset, &OFFSETS);
    suite::all(|| Uart::new(LineSpeed::AtLeast(4_000_000)), Uart::reset, &OFFSETS);
    suite::snapshot_restores(|| with_fifos(0).chip, &[DATA, IIR_FCR, MCR, LSR]);
}

/// Datasheet, Table I, "UART Reset Configuration".
#[test]
fn registers_after_reset() {
    let mut uart = Bench::new(Uart::new(LineSpeed::AsProgrammed));

    assert_eq!(uart.read(IER), 0x00);
    assert_eq!(uart.read(IIR_FCR), 0x01);
    assert_eq!(uart.read(LCR), 0x00);
    assert_eq!(uart.read(MCR), 0x00);
    assert_eq!(uart.read(LSR), 0x60);
    assert_eq!(uart.read(MSR), 0xb0, "a terminal is connected, nothing changed");
}

#[test]
fn dlab_shows_the_divisor() {
    let mut uart = programmed();
    uart.write(LCR, LCR_DLAB | LCR_8N1);
    uart.write(DATA, 0x34);
    uart.write(IER, 0x12);

    assert_eq!((uart.read(DATA), uart.read(IER)), (0x34, 0x12));
    uart.write(LCR, LCR_8N1);
    assert_eq!((uart.read(DATA), uart.read(IER)), (0x00, 0x00), "RBR and IER");
}

#[test]
fn unused_bits_read_as_zero() {
    let mut uart = programmed();
    uart.write(IER, 0xf0);
    uart.write(MCR, 0xe0);
    uart.write(SCR, 0xa5);

    assert_eq!(uart.read(IER), 0);
    assert_eq!(uart.read(MCR), 0);
    assert_eq!(uart.read(SCR), 0xa5);
}

#[test]
fn a_character_leaves_after_its_time() {
    let mut uart = programmed();
    uart.write(DATA, b'A');
    assert_eq!(uart.read(LSR), 0x20, "in the shift register, THR is empty again");

    uart.run_ns(CHARACTER_NS - 1);
    assert_eq!(uart.sent, b"");
    assert_eq!(uart.read(LSR), 0x20);
    uart.run_ns(1);
    assert_eq!(uart.sent, b"A");
    assert_eq!(uart.read(LSR), 0x60);
}

#[test]
fn the_frame_and_the_divisor_make_the_time() {
    // 1 start + 5 data + 1 parity + 1.5 stop bits = 8.5; 1 + 8 + 2 = 11; 1 + 7 + 1 + 1 = 10.
    for (lcr, divisor, ns) in
        [(0x0c, 1, 73_785), (0x07, 1, 95_487), (0x0a, 12, 1_041_667), (0x03, 96, 8_333_334)]
    {
        let mut uart = programmed();
        uart.write(LCR, LCR_DLAB);
        uart.write(DATA, divisor);
        uart.write(LCR, lcr);

        uart.write(DATA, 0x55);

        assert_eq!(uart.chip.next_event(uart.now), Some(GuestTime::from_ns(ns)), "LCR {lcr:#x}");
    }
}

#[test]
fn a_slow_line_runs_at_the_least_speed() {
    let mut uart = Bench::new(Uart::new(LineSpeed::AtLeast(1_000_000)));
    uart.write(LCR, LCR_8N1);

    uart.write(DATA, 0x55);

    assert_eq!(uart.chip.next_event(uart.now), Some(GuestTime::from_ns(10_000)));
}

#[test]
fn thr_holds_one_more_character_without_fifos() {
    let mut uart = programmed();
    uart.write(DATA, b'A');
    uart.write(DATA, b'B');
    assert_eq!(uart.read(LSR), 0x00);
    uart.write(DATA, b'C'); // writes over B

    uart.run_ns(2 * CHARACTER_NS);

    assert_eq!(uart.sent, b"AC");
    assert_eq!(uart.read(LSR), 0x60);
}

#[test]
fn the_fifo_holds_sixteen_beside_the_shift_register() {
    let mut uart = with_fifos(0);
    for byte in 0..18 {
        uart.write(DATA, byte);
    }
    assert_eq!(uart.read(LSR), 0x00);

    uart.run_ns(16 * CHARACTER_NS);
    assert_eq!(uart.read(LSR), 0x20, "the last one is in the shift register");
    uart.run_ns(CHARACTER_NS);
    assert_eq!(uart.read(LSR), 0x60);
    assert_eq!(uart.sent, (0..17).collect::<Vec<u8>>(), "the eighteenth had no room");
}

#[test]
fn clearing_the_transmitter_keeps_the_shift_register() {
    let mut uart = with_fifos(0);
    for byte in b"ABC" {
        uart.write(DATA, *byte);
    }

    uart.write(IIR_FCR, FCR_ENABLE | FCR_CLEAR_TRANSMITTER);
    uart.run_ns(3 * CHARACTER_NS);

    assert_eq!(uart.sent, b"A");
}

#[test]
fn flush_sends_what_is_left() {
    let mut uart = with_fifos(0);
    for byte in b"bye" {
        uart.write(DATA, *byte);
    }

    uart.chip.flush(&mut Ctx { now: uart.now, chars: &mut uart.sent });

    assert_eq!(uart.sent, b"bye");
    assert_eq!(uart.read(LSR), 0x60);
}

#[test]
fn thre_interrupt_comes_when_enabled_and_when_empty() {
    let mut uart = with_fifos(0);
    uart.write(IER, IER_THR_EMPTY);
    assert!(uart.chip.irq(), "THR is empty when it is enabled");
    assert_eq!(uart.read(IIR_FCR), 0xc2);
    assert_eq!(uart.read(IIR_FCR), 0xc1, "reading IIR takes it back");
    assert!(!uart.chip.irq());

    uart.write(DATA, b'A');
    uart.write(DATA, b'B');
    assert!(!uart.chip.irq(), "B waits");
    uart.run_ns(CHARACTER_NS);
    assert!(uart.chip.irq(), "B is on its way");
    uart.write(DATA, b'C');
    assert!(!uart.chip.irq(), "writing THR takes it back, too");
}

#[test]
fn out2_connects_the_interrupt() {
    let mut uart = programmed();
    uart.write(IER, IER_THR_EMPTY);
    uart.write(MCR, 0);

    assert!(!uart.chip.irq());
    assert_eq!(uart.read(IIR_FCR), 0x02, "the chip still shows it");
}

#[test]
fn a_received_character_is_ready_until_read() {
    let mut uart = programmed();
    uart.write(IER, IER_RECEIVED_DATA);
    assert_eq!(uart.chip.room(), 1);

    receive(&mut uart, b"x");

    assert_eq!(uart.chip.room(), 0);
    assert!(uart.chip.irq());
    assert_eq!(uart.read(IIR_FCR), 0x04);
    assert_eq!(uart.read(LSR), 0x61);
    assert_eq!(uart.read(DATA), b'x');
    assert!(!uart.chip.irq());
    assert_eq!(uart.read(LSR), 0x60);
}

#[test]
fn overrun_keeps_the_newer_in_rbr_and_the_older_in_the_fifo() {
    let mut plain = programmed();
    receive(&mut plain, b"ab");
    assert_eq!(plain.read(LSR), 0x63);
    assert_eq!(plain.read(LSR), 0x61, "reading LSR takes the error back");
    assert_eq!(plain.read(DATA), b'b');

    let mut fifo = with_fifos(0);
    receive(&mut fifo, b"0123456789abcdefX");
    assert_eq!(fifo.read(LSR), 0x63, "overrun is no error in the FIFO");
    let read: Vec<u8> = (0..16).map(|_| fifo.read(DATA)).collect();
    assert_eq!(read, b"0123456789abcdef");
    assert_eq!(fifo.read(LSR), 0x60);
}

#[test]
fn the_trigger_level_announces_received_data() {
    for (fcr, level) in [(0x00, 1), (0x40, 4), (0x80, 8), (0xc0, 14)] {
        let mut uart = with_fifos(fcr);
        uart.write(IER, IER_RECEIVED_DATA);

        receive(&mut uart, &vec![b'x'; level - 1]);
        assert!(!uart.chip.irq(), "below {level}");
        receive(&mut uart, b"x");
        assert!(uart.chip.irq(), "at {level}");
        assert_eq!(uart.read(IIR_FCR), 0xc4);
        uart.read(DATA);
        assert!(!uart.chip.irq(), "read to below {level}");
    }
}

/// Datasheet, "FIFO Interrupt Mode Operation": four character times without traffic.
#[test]
fn what_waits_below_the_trigger_times_out() {
    let mut uart = with_fifos(FCR_TRIGGER_14);
    uart.write(IER, IER_RECEIVED_DATA);
    receive(&mut uart, b"ab");

    uart.run_ns(3 * CHARACTER_NS);
    receive(&mut uart, b"c");
    uart.run_ns(4 * CHARACTER_NS - 1);
    assert!(!uart.chip.irq(), "c started it anew");
    uart.run_ns(1);
    assert!(uart.chip.irq());
    assert_eq!(uart.read(IIR_FCR), 0xcc);
    assert_eq!(uart.read(IIR_FCR), 0xcc, "only reading data takes it back");

    assert_eq!(uart.read(DATA), b'a');
    assert_eq!(uart.read(IIR_FCR), 0xc1);
    uart.run_ns(4 * CHARACTER_NS);
    assert_eq!(uart.read(IIR_FCR), 0xcc, "b and c still wait");
    uart.read(DATA);
    uart.read(DATA);
    uart.run_ns(10 * CHARACTER_NS);
    assert_eq!(uart.read(IIR_FCR), 0xc1, "nothing waits");
}

#[test]
fn there_is_no_timeout_without_fifos() {
    let mut uart = programmed();
    receive(&mut uart, b"a");

    assert_eq!(uart.chip.next_event(uart.now), None);
}

#[test]
fn a_break_is_a_zero_with_its_error() {
    let mut uart = programmed();
    uart.write(IER, IER_LINE_STATUS);

    uart.chip.receive_break(uart.now);

    assert_eq!(uart.read(IIR_FCR), 0x06);
    assert_eq!(uart.read(LSR), 0x79);
    assert_eq!(uart.read(IIR_FCR), 0x01, "reading LSR takes it back");
    assert_eq!(uart.read(DATA), 0x00);
}

/// Datasheet, LSR: "This error is revealed to the CPU when its associated character is at the top
/// of the FIFO."
#[test]
fn an_error_shows_when_its_character_comes_to_the_top() {
    let mut uart = with_fifos(0);
    receive(&mut uart, b"a");
    uart.chip.receive_break(uart.now);

    assert_eq!(uart.read(LSR), 0xe1, "somewhere in the FIFO");
    uart.read(DATA);
    assert_eq!(uart.read(LSR), 0xf9, "at the top");
    assert_eq!(uart.read(LSR), 0x61, "taken back");
}

#[test]
fn interrupts_have_priorities() {
    let mut uart = programmed();
    uart.write(IER, 0x0f);
    uart.chip.receive_break(uart.now);
    uart.chip.set_modem_inputs(ModemInputs { cts: false, ..ModemInputs::CONNECTED });

    assert_eq!(uart.read(IIR_FCR), 0x06);
    uart.read(LSR);
    assert_eq!(uart.read(IIR_FCR), 0x04);
    uart.read(DATA);
    assert_eq!(uart.read(IIR_FCR), 0x02);
    assert_eq!(uart.read(IIR_FCR), 0x00);
    assert_eq!(uart.read(MSR), 0xa1);
    assert_eq!(uart.read(IIR_FCR), 0x01);
}

#[test]
fn msr_notes_changes_and_only_the_end_of_ringing() {
    let mut uart = programmed();
    let off = ModemInputs { cts: false, dsr: false, ri: false, dcd: false };

    uart.chip.set_modem_inputs(off);
    assert_eq!(uart.read(MSR), 0x0b);
    uart.chip.set_modem_inputs(ModemInputs { ri: true, ..off });
    assert_eq!(uart.read(MSR), 0x40, "the start of ringing is no change");
    uart.chip.set_modem_inputs(off);
    assert_eq!(uart.read(MSR), 0x04);
    assert_eq!(uart.read(MSR), 0x00);
}

#[test]
fn loopback_returns_what_is_sent() {
    let mut uart = with_fifos(FCR_TRIGGER_4);
    uart.write(MCR, MCR_LOOP | MCR_OUT2);
    uart.write(IER, IER_RECEIVED_DATA);
    for byte in b"abcd" {
        uart.write(DATA, *byte);
    }
    receive(&mut uart, b"x"); // the pin is disconnected
    assert_eq!(uart.chip.room(), 0);

    uart.run_ns(3 * CHARACTER_NS);
    assert!(!uart.chip.irq());
    uart.run_ns(CHARACTER_NS);
    assert!(uart.chip.irq());
    let read: Vec<u8> = (0..4).map(|_| uart.read(DATA)).collect();
    assert_eq!(read, b"abcd");
    assert_eq!(uart.sent, b"", "nothing leaves");
}

#[test]
fn loopback_feeds_the_modem_outputs_back() {
    let mut uart = programmed();
    for (mcr, msr) in [(MCR_RTS, 0x10), (MCR_DTR, 0x20), (MCR_OUT1, 0x40), (MCR_OUT2, 0x80)] {
        uart.write(MCR, MCR_LOOP | mcr);
        assert_eq!(uart.read(MSR) & 0xf0, msr, "MCR {mcr:#x}");
    }
    uart.write(MCR, MCR_LOOP);
    uart.read(MSR);
    uart.write(MCR, MCR_LOOP | MCR_OUT1);
    uart.write(MCR, MCR_LOOP);
    assert_eq!(uart.read(MSR), 0x04, "TERI");
}

#[test]
fn a_break_comes_back_in_loopback() {
    let mut uart = programmed();
    uart.write(MCR, MCR_LOOP);

    uart.write(LCR, LCR_8N1 | LCR_BREAK);

    assert_eq!(uart.read(LSR), 0x79);
    assert_eq!(uart.read(DATA), 0);
}

#[test]
fn switching_the_fifos_empties_them() {
    let mut uart = with_fifos(0);
    receive(&mut uart, b"abc");

    uart.write(IIR_FCR, 0);

    assert_eq!(uart.read(LSR), 0x60);
    assert_eq!(uart.read(IIR_FCR), 0x01, "bits 7:6 say that they are off");
}

#[test]
fn clearing_the_receiver_empties_it() {
    let mut uart = with_fifos(0);
    receive(&mut uart, b"abc");

    uart.write(IIR_FCR, FCR_ENABLE | FCR_CLEAR_RECEIVER);

    assert_eq!(uart.read(LSR), 0x60);
    assert_eq!(uart.chip.room(), 16);
}
