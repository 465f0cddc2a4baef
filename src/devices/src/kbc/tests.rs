//! Tests of the keyboard controller and the keyboard.

use super::*;
use crate::suite::{self, Bench};

const STATUS: u16 = STATUS_COMMAND;
const COMMAND: u16 = STATUS_COMMAND;
/// Set 2 codes of the key A, pressed and released.
const A_MAKE: [u8; 1] = [0x1c];
const A_BREAK: [u8; 2] = [0xf0, 0x1c];

fn bench() -> Bench<Kbc> {
    Bench::new(Kbc::new())
}

/// Without translation, as it comes from the keyboard.
fn untranslated() -> Bench<Kbc> {
    let mut kbc = bench();
    kbc.write(COMMAND, 0x60);
    kbc.write(DATA, CB_IRQ1);
    kbc
}

/// All that comes in the next tenth of a second, read at each interrupt.
fn read_all(kbc: &mut Bench<Kbc>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let end = kbc.now.plus_ns(100_000_000);
    while kbc.now < end {
        if kbc.read(STATUS) & STATUS_OBF != 0 {
            bytes.push(kbc.read(DATA));
        }
        kbc.run_ns(10_000);
    }
    bytes
}

fn command(kbc: &mut Bench<Kbc>, command: u8) -> u8 {
    kbc.write(COMMAND, command);
    kbc.read(DATA)
}

fn tell_keyboard(kbc: &mut Bench<Kbc>, byte: u8) -> Vec<u8> {
    kbc.write(DATA, byte);
    read_all(kbc)
}

fn key(kbc: &mut Bench<Kbc>, codes: &[u8]) {
    kbc.chip.key(codes, kbc.now);
}

#[test]
fn passes_the_device_suite() {
    suite::all(Kbc::new, Kbc::reset, &[DATA, STATUS_COMMAND]);
    let with_keys = || {
        let mut kbc = Kbc::new();
        kbc.key(&[0xe0, 0xf0, 0x75, 0x1c], GuestTime::ZERO);
        kbc
    };
    suite::snapshot_restores(with_keys, &[DATA, STATUS_COMMAND]);
}

#[test]
fn self_test_passes_and_sets_the_system_flag() {
    let mut kbc = bench();
    assert_eq!(kbc.read(STATUS), 0x18, "unlocked, nothing there");

    kbc.write(COMMAND, 0xaa);

    assert_eq!(kbc.read(STATUS), 0x1d);
    assert_eq!(kbc.read(DATA), 0x55);
    assert_eq!(kbc.read(STATUS), 0x1c);
}

#[test]
fn status_tells_command_from_data() {
    let mut kbc = bench();

    kbc.write(COMMAND, 0xae);
    assert_eq!(kbc.read(STATUS) & STATUS_COMMAND_WRITTEN, STATUS_COMMAND_WRITTEN);
    kbc.write(DATA, 0xf4);
    assert_eq!(kbc.read(STATUS) & STATUS_COMMAND_WRITTEN, 0);
}

#[test]
fn memory_is_read_and_written() {
    let mut kbc = bench();
    for (address, value) in [(0x00, 0x65), (0x1f, 0xa5)] {
        kbc.write(COMMAND, 0x60 | address);
        kbc.write(DATA, value);
        assert_eq!(command(&mut kbc, 0x20 | address), value);
    }
}

#[test]
fn interfaces_are_switched_in_the_command_byte() {
    let mut kbc = bench();
    for (switch, bit, set) in [
        (0xad, CB_KEYBOARD_OFF, true),
        (0xae, CB_KEYBOARD_OFF, false),
        (0xa7, CB_AUX_OFF, true),
        (0xa8, CB_AUX_OFF, false),
    ] {
        kbc.write(COMMAND, switch);
        assert_eq!(command(&mut kbc, 0x20) & bit != 0, set, "command {switch:#x}");
    }
}

#[test]
fn tests_of_the_lines_find_nothing_wrong() {
    let mut kbc = bench();

    assert_eq!(command(&mut kbc, 0xab), 0x00);
    assert_eq!(command(&mut kbc, 0xa9), 0x00);
    assert_eq!(command(&mut kbc, 0xa4), 0xf1, "no password");
    assert_eq!(command(&mut kbc, 0xc0), 0xb0);
}

#[test]
fn the_output_port_opens_a20() {
    let mut kbc = bench();
    assert!(kbc.chip.a20());

    kbc.write(COMMAND, 0xd1);
    kbc.write(DATA, 0xdd);
    assert!(!kbc.chip.a20());
    assert_eq!(command(&mut kbc, 0xd0) & 0x03, 0x01);
    kbc.write(COMMAND, 0xdf);
    assert!(kbc.chip.a20());
    kbc.write(COMMAND, 0xdd);
    assert!(!kbc.chip.a20());
    assert_eq!(kbc.chip.take_request(), None);
}

#[test]
fn a_pulse_on_the_reset_line_resets() {
    let mut kbc = bench();
    kbc.write(COMMAND, 0xff);
    assert_eq!(kbc.chip.take_request(), None, "no line");

    kbc.write(COMMAND, 0xfe);
    assert_eq!(kbc.chip.take_request(), Some(PowerRequest::Reset));

    kbc.write(COMMAND, 0xd1);
    kbc.write(DATA, 0xde);
    assert_eq!(kbc.chip.take_request(), Some(PowerRequest::Reset), "bit 0 of the output port");
}

#[test]
fn a_key_takes_its_time_and_interrupts() {
    let mut kbc = bench();
    key(&mut kbc, &A_MAKE);

    assert_eq!(kbc.chip.next_event(kbc.now), Some(kbc.now.plus_ns(KEYBOARD_BYTE_NS)));
    assert!(!kbc.chip.irq1());
    kbc.run_ns(KEYBOARD_BYTE_NS);
    assert!(kbc.chip.irq1());
    assert_eq!(command_free_status(&mut kbc), STATUS_OBF);
    assert_eq!(kbc.read(DATA), 0x1e);
    assert!(!kbc.chip.irq1());
    assert_eq!(kbc.read(DATA), 0x1e, "the buffer keeps its byte");
}

/// Status without the bits that say nothing of the output buffer.
fn command_free_status(kbc: &mut Bench<Kbc>) -> u8 {
    kbc.read(STATUS) & (STATUS_OBF | STATUS_AUX | STATUS_TIMEOUT)
}

/// The interrupt line falls between two bytes, or an edge-triggered PIC would miss the second.
#[test]
fn each_byte_has_its_own_edge() {
    let mut kbc = untranslated();
    key(&mut kbc, &A_BREAK);

    kbc.run_ns(10 * KEYBOARD_BYTE_NS);
    assert_eq!(kbc.read(DATA), 0xf0);
    assert!(!kbc.chip.irq1());
    kbc.run_ns(KEYBOARD_BYTE_NS);
    assert!(kbc.chip.irq1());
    assert_eq!(kbc.read(DATA), 0x1c);
}

#[test]
fn the_controller_translates_to_set_1() {
    #[rustfmt::skip]
    let keys: [(&str, &[u8], &[u8]); 8] = [
        ("A", &A_MAKE, &[0x1e]),
        ("A released", &A_BREAK, &[0x9e]),
        ("Enter", &[0x5a], &[0x1c]),
        ("Escape", &[0x76], &[0x01]),
        ("F7 released", &[0xf0, 0x83], &[0xc1]),
        ("Up released", &[0xe0, 0xf0, 0x75], &[0xe0, 0xc8]),
        ("Right Ctrl", &[0xe0, 0x14], &[0xe0, 0x1d]),
        ("Pause", &[0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77],
                  &[0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]),
    ];
    for (name, set_2, set_1) in keys {
        let mut kbc = bench();
        key(&mut kbc, set_2);
        assert_eq!(read_all(&mut kbc), set_1, "{name}");

        let mut kbc = untranslated();
        key(&mut kbc, set_2);
        assert_eq!(read_all(&mut kbc), set_2, "{name}, untranslated");
    }
}

#[test]
fn a_disabled_interface_holds_keys_back() {
    let mut kbc = bench();
    kbc.write(COMMAND, 0xad);
    key(&mut kbc, &A_MAKE);
    assert_eq!(read_all(&mut kbc), []);

    kbc.write(COMMAND, 0xae);

    assert_eq!(read_all(&mut kbc), [0x1e]);
}

#[test]
fn interrupts_are_off_unless_enabled() {
    let mut kbc = bench();
    kbc.write(COMMAND, 0x60);
    kbc.write(DATA, CB_TRANSLATE);
    key(&mut kbc, &A_MAKE);

    kbc.run_ns(KEYBOARD_BYTE_NS);

    assert!(!kbc.chip.irq1());
    assert_eq!(kbc.read(STATUS) & STATUS_OBF, STATUS_OBF);
}

#[test]
fn an_answer_waits_for_the_output_buffer() {
    let mut kbc = bench();
    key(&mut kbc, &A_MAKE);
    kbc.run_ns(KEYBOARD_BYTE_NS);

    kbc.write(COMMAND, 0xaa);

    assert_eq!(read_all(&mut kbc), [0x1e, 0x55]);
}

#[test]
fn the_keyboard_answers_commands() {
    #[rustfmt::skip]
    let commands: [(&str, &[u8], &[u8]); 11] = [
        ("echo", &[0xee], &[0xee]),
        ("identify", &[0xf2], &[0xfa, 0xab, 0x83]),
        ("reset", &[0xff], &[0xfa, 0xaa]),
        ("enable", &[0xf4], &[0xfa]),
        ("disable", &[0xf5], &[0xfa]),
        ("set defaults", &[0xf6], &[0xfa]),
        ("indicators", &[0xed, 0x07], &[0xfa, 0xfa]),
        ("typematic", &[0xf3, 0x20], &[0xfa, 0xfa]),
        ("which scan code set", &[0xf0, 0x00], &[0xfa, 0xfa, 0x02]),
        ("scan code set 3", &[0xf0, 0x03], &[0xfa, 0xfe]),
        ("unknown", &[0x55], &[0xfe]),
    ];
    for (name, sent, answer) in commands {
        let mut kbc = untranslated();

        let answers: Vec<u8> =
            sent.iter().flat_map(|byte| tell_keyboard(&mut kbc, *byte)).collect();

        assert_eq!(answers, answer, "{name}");
    }
}

#[test]
fn answers_are_translated_too() {
    let mut kbc = bench();

    assert_eq!(tell_keyboard(&mut kbc, 0xf2), [0xfa, 0xab, 0x41]);
}

#[test]
fn resend_repeats_the_last_byte() {
    let mut kbc = untranslated();
    tell_keyboard(&mut kbc, 0xf2);

    assert_eq!(tell_keyboard(&mut kbc, 0xfe), [0x83]);
    assert_eq!(tell_keyboard(&mut kbc, 0xfe), [0x83]);
}

#[test]
fn a_command_in_place_of_a_parameter_is_a_command() {
    let mut kbc = untranslated();

    assert_eq!(tell_keyboard(&mut kbc, 0xed), [0xfa]);
    assert_eq!(tell_keyboard(&mut kbc, 0xee), [0xee]);
    assert_eq!(kbc.chip.indicators(), 0);
}

#[test]
fn indicators_are_set() {
    let mut kbc = bench();

    tell_keyboard(&mut kbc, 0xed);
    tell_keyboard(&mut kbc, 0x05);

    assert_eq!(kbc.chip.indicators(), 0x05);
}

#[test]
fn a_disabled_keyboard_drops_keys() {
    let mut kbc = untranslated();
    tell_keyboard(&mut kbc, 0xf5);
    key(&mut kbc, &A_MAKE);
    assert_eq!(read_all(&mut kbc), []);

    tell_keyboard(&mut kbc, 0xf4);
    key(&mut kbc, &A_MAKE);
    assert_eq!(read_all(&mut kbc), A_MAKE);
}

#[test]
fn the_keyboard_speaks_set_1_if_told() {
    let mut kbc = untranslated();
    tell_keyboard(&mut kbc, 0xf0);
    tell_keyboard(&mut kbc, 0x01);

    key(&mut kbc, &[0xe0, 0xf0, 0x75]);

    assert_eq!(read_all(&mut kbc), [0xe0, 0xc8]);
}

#[test]
fn too_many_keys_are_an_overrun() {
    let mut kbc = untranslated();
    for _ in 0..20 {
        key(&mut kbc, &A_MAKE);
    }

    let mut expected = vec![0x1c; 16];
    expected.push(0x00);
    assert_eq!(read_all(&mut kbc), expected);
}

#[test]
fn bytes_written_to_the_output_buffer_come_back() {
    let mut kbc = bench();
    kbc.write(COMMAND, 0x60);
    kbc.write(DATA, CB_IRQ1 | CB_IRQ12);

    kbc.write(COMMAND, 0xd2);
    kbc.write(DATA, 0x11);
    assert!(kbc.chip.irq1() && !kbc.chip.irq12());
    assert_eq!(command_free_status(&mut kbc), STATUS_OBF);
    assert_eq!(kbc.read(DATA), 0x11);

    kbc.write(COMMAND, 0xd3);
    kbc.write(DATA, 0x22);
    assert!(!kbc.chip.irq1() && kbc.chip.irq12());
    assert_eq!(command_free_status(&mut kbc), STATUS_OBF | STATUS_AUX);
    assert_eq!(command_for_p2(&mut kbc), [0x22, 0xef]);
}

/// The byte that waits, and then the output port as it was read while that waited.
fn command_for_p2(kbc: &mut Bench<Kbc>) -> Vec<u8> {
    kbc.write(COMMAND, 0xd0);
    read_all(kbc)
}

#[test]
fn nothing_answers_on_the_auxiliary_port() {
    let mut kbc = bench();

    kbc.write(COMMAND, 0xd4);
    kbc.write(DATA, 0xf2);

    assert_eq!(command_free_status(&mut kbc), STATUS_OBF | STATUS_AUX | STATUS_TIMEOUT);
    assert_eq!(kbc.read(DATA), 0xfe);
}
