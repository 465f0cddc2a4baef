//! The event loop, on ROMs of a few bytes of machine code.

use super::*;
use cutaway_cpu::CpuModel;
use cutaway_isa::Width;
use std::cell::RefCell;
use std::rc::Rc;

/// A ROM of one page with `code` at its start, and a jump there at the reset vector.
fn rom(code: &[u8]) -> Vec<u8> {
    let mut rom = vec![0xf4; 4096];
    rom[..code.len()].copy_from_slice(code);
    rom[0xff0..0xff5].copy_from_slice(&[0xea, 0x00, 0xf0, 0x00, 0xf0]); // jmp 0xf000:0xf000
    rom
}

fn machine(code: &[u8]) -> Machine {
    let cpu = CpuModel::by_name("486").expect("the 486 is there");
    Machine::new(Config::new(cpu), &Boot::Rom(&rom(code))).unwrap()
}

/// Sets vector 8 (the master's first after reset values 08h) to `handler` and counter 0 of the
/// PIT to mode 2 with 1,193 clocks.
#[rustfmt::skip]
const TIMER: &[u8] = &[
    0xb0, 0x34, 0xe6, 0x43,             // mov al, 0x34; out 0x43, al: counter 0, mode 2
    0xb0, 0xa9, 0xe6, 0x40,             // 1,193 clocks
    0xb0, 0x04, 0xe6, 0x40,
    0xb0, 0x80, 0xa2, 0x20, 0x00,       // vector 8: 0xf000:0xf080
    0xb0, 0xf0, 0xa2, 0x21, 0x00,
    0xb0, 0x00, 0xa2, 0x22, 0x00,
    0xb0, 0xf0, 0xa2, 0x23, 0x00,
    0xb0, 0x11, 0xe6, 0x20,             // ICW1: edges, ICW4 follows
    0xb0, 0x08, 0xe6, 0x21,             // ICW2: vectors from 8
    0xb0, 0x04, 0xe6, 0x21,             // ICW3
    0xb0, 0x01, 0xe6, 0x21,             // ICW4
    0xb0, 0xfe, 0xe6, 0x21,             // OCW1: only IRQ 0
    0xfb,                               // sti
    0xf4,                               // hlt
    0xeb, 0xfd,                         // jmp back to hlt
];

/// [`TIMER`] and a handler that reports `code` by the debug exit.
fn timer_then_exit(code: u8) -> Vec<u8> {
    let mut all = TIMER.to_vec();
    all.resize(0x80, 0xf4);
    all.extend([0xb0, code, 0xe6, 0xf4]); // mov al, code; out 0xf4, al
    all
}

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl CharSink for Shared {
    fn put(&mut self, byte: u8) {
        self.0.borrow_mut().push(byte);
    }
}

#[test]
fn the_limit_is_met_exactly() {
    let mut machine = machine(&[0xeb, 0xfe]); // jmp $

    for limit in [1, 2, 10, 12_345, 12_346] {
        assert!(matches!(machine.run_until(limit), Stop::Limit));
        assert_eq!(machine.ticks(), limit);
    }
    assert!(matches!(machine.run_until(5), Stop::Limit), "a limit in the past");
    assert_eq!(machine.instructions(), 12_346);
}

#[test]
fn hlt_with_interrupts_off_is_the_end() {
    let mut machine = machine(&[0xfa, 0xf4]); // cli; hlt

    assert!(matches!(machine.run_until(1000), Stop::Halted));
    assert_eq!(machine.ticks(), 3);
}

#[test]
fn a_halted_guest_skips_to_the_timer_interrupt() {
    let mut machine = machine(&timer_then_exit(0x21));

    assert!(matches!(machine.run_until(10_000_000), Stop::DebugExit(0x43)));
    let stats = machine.stats();
    assert_eq!(stats.interrupts, 1);
    assert!(stats.instructions < 100, "{stats:?}");
    assert!((990_000..1_010_000).contains(&machine.guest_ns()), "{stats:?}");
}

#[test]
fn a_slower_machine_lives_through_the_same_guest_time() {
    let cpu = CpuModel::by_name("486").expect("the 486 is there");
    let config = Config { ips: 1_000_000, ..Config::new(cpu) };
    let mut machine = Machine::new(config, &Boot::Rom(&rom(&timer_then_exit(0)))).unwrap();

    assert!(matches!(machine.run_until(10_000_000), Stop::DebugExit(1)));
    assert!((1000..1100).contains(&machine.ticks()), "{} us", machine.ticks());
}

#[test]
fn a_halted_guest_reaches_the_limit_between_deadlines() {
    let mut machine = machine(&timer_then_exit(0));

    assert!(matches!(machine.run_until(500_000), Stop::Limit));
    assert_eq!(machine.ticks(), 500_000);
    assert!(machine.is_halted());
    assert!(machine.next_deadline().is_some_and(|at| at > 500_000));
}

#[test]
fn output_and_input_pass_through_the_serial_port() {
    #[rustfmt::skip]
    let mut machine = machine(&[
        0xba, 0xfd, 0x03,   // mov dx, 0x3fd
        0xec,               // in al, dx
        0x24, 0x01,         // and al, 1
        0x74, 0xfb,         // jz back to in
        0xba, 0xf8, 0x03,   // mov dx, 0x3f8
        0xec,               // in al, dx
        0xee,               // out dx, al
        0xeb, 0xf1,         // jmp start
    ]);
    let output = Shared::default();
    machine.attach_serial(0, Box::new(output.clone()));

    machine.run_until(1000);
    machine.serial_input(0, b"hello");
    assert!(machine.serial_waiting(0) > 0);
    machine.run_until(10_000_000);

    assert_eq!(*output.0.borrow(), b"hello");
    assert_eq!(machine.serial_waiting(0), 0);
}

#[test]
fn inputs_are_noted_with_their_tick() {
    struct Log(Rc<RefCell<Vec<(u64, Input)>>>);
    impl InputLog for Log {
        fn record(&mut self, at: u64, input: &Input) {
            self.0.borrow_mut().push((at, input.clone()));
        }
    }
    let noted = Rc::new(RefCell::new(Vec::new()));
    let mut machine = machine(&[0xeb, 0xfe]);
    machine.set_input_log(Some(Box::new(Log(Rc::clone(&noted)))));

    machine.run_until(77);
    machine.serial_input(1, b"x");
    machine.input(&Input::PowerButton);

    let serial = Input::Serial { port: 1, bytes: b"x".to_vec() };
    assert_eq!(*noted.borrow(), [(77, serial), (77, Input::PowerButton)]);
}

#[test]
fn a_reset_restarts_a_rom_or_stops() {
    let code = [0xb0, 0xfe, 0xe6, 0x64, 0xf4]; // mov al, 0xfe; out 0x64, al
    let mut restarting = machine(&code);
    assert!(matches!(restarting.run_until(10_000), Stop::Limit));
    assert!(restarting.ticks() >= 10_000, "ticks go on across resets");
    assert!(restarting.stats().port_writes > 5);

    let cpu = CpuModel::by_name("486").expect("the 486 is there");
    let config = Config { on_reset: OnReset::Stop, ..Config::new(cpu) };
    let mut stopping = Machine::new(config, &Boot::Rom(&rom(&code))).unwrap();
    assert!(matches!(stopping.run_until(100), Stop::Reset));
    assert_eq!(stopping.instructions(), 3);
}

/// An instruction a nanosecond, and a microsecond of the ISA bus.
#[test]
fn a_port_access_takes_a_bus_cycle() {
    let mut machine = machine(&[0xe4, 0x80, 0xeb, 0xfe]); // in al, 0x80; jmp $

    machine.run_until(2);
    assert_eq!(machine.instructions(), 2);
    assert_eq!(machine.ticks(), 1002);
}

#[test]
fn acpi_switches_the_machine_off() {
    // mov dx, 0x605; mov al, 0x20; out dx, al: PM1a_CNT with SLP_EN and SLP_TYP 0
    let mut machine = machine(&[0xba, 0x05, 0x06, 0xb0, 0x20, 0xee]);

    assert!(matches!(machine.run_until(100), Stop::PowerOff));
}

/// Two machines of one configuration with one history are equal at every look; a history that
/// differs in one byte of input is not.
#[test]
fn equal_histories_have_equal_hashes() {
    let (mut one, mut other) = (machine(&timer_then_exit(3)), machine(&timer_then_exit(3)));
    for limit in [0, 10, 30, 400_000, 900_000] {
        one.run_until(limit);
        other.run_until(limit / 2);
        other.run_until(limit);
        assert_eq!(one.state_hash().unwrap(), other.state_hash().unwrap(), "at {limit}");
    }

    one.serial_input(0, b"a");
    other.serial_input(0, b"b");
    assert_ne!(one.state_hash().unwrap(), other.state_hash().unwrap());
}

#[test]
fn memory_that_was_touched_and_is_zero_counts_as_untouched() {
    let mut touched = machine(&[0xeb, 0xfe]);
    let mut untouched = machine(&[0xeb, 0xfe]);
    touched.board.memory().write(0x5_0000, &[0]);

    assert_eq!(touched.state_hash().unwrap(), untouched.state_hash().unwrap());
    touched.board.memory().write(0x5_0000, &[1]);
    assert_ne!(touched.state_hash().unwrap(), untouched.state_hash().unwrap());
}

#[test]
fn an_impossible_configuration_is_refused() {
    let cpu = CpuModel::by_name("486").expect("the 486 is there");
    let boot = rom(&[0xf4]);
    let message = |config| match Machine::new(config, &Boot::Rom(&boot)) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("the configuration should be refused"),
    };

    assert_eq!(
        message(Config { memory_bytes: 4096, ..Config::new(cpu) }),
        "the machine cannot have 4096 bytes of memory: it takes 1 MiB to 63 GiB, in whole 4 KiB"
    );
    assert_eq!(
        message(Config { ips: 0, ..Config::new(cpu) }),
        "the machine cannot run at 0 instructions a second"
    );
}

/// Linux takes an 8259A whose mask register does not hold a value for absent.
#[test]
fn a_kernel_finds_the_chips_as_firmware_leaves_them() {
    let image = crate::boot::small_linux_kernel();
    let boot = Boot::Kernel { image: &image, initrd: None, cmdline: "" };
    let cpu = CpuModel::by_name("x86-64-v2").expect("the model is there");
    let mut machine = Machine::new(Config::new(cpu), &boot).unwrap();

    assert_eq!(machine.board.port_read(0x21, Width::Byte, 0), 0xff, "all lines are masked");
    machine.board.port_write(0x21, Width::Byte, 0xfb, 0);
    assert_eq!(machine.board.port_read(0x21, Width::Byte, 0), 0xfb);
    assert!(machine.next_deadline().is_some(), "counter 0 of the 8254 runs");
}
