//! Priorities, EOI, the timer and the pins.

use super::*;
use crate::suite::{self, Bench};
use crate::{Ctx, PortDevice};

const SELF_IPI: u32 = 1 << 18;

/// A local APIC that software has enabled, on a clock of its own.
struct LapicBench {
    chip: Lapic,
    now: GuestTime,
}

impl LapicBench {
    fn new() -> Self {
        let mut bench = Self { chip: Lapic::new(), now: GuestTime::ZERO };
        bench.write(SVR, SVR_ENABLED | 0xff);
        bench
    }

    fn read(&mut self, offset: u16) -> u32 {
        self.chip.read(offset, self.now)
    }

    fn write(&mut self, offset: u16, value: u32) -> Option<LapicOutput> {
        self.chip.write(offset, value, self.now)
    }

    fn send_to_itself(&mut self, vector: u8) {
        self.write(ICR_LOW, SELF_IPI | u32::from(vector));
    }

    fn acknowledge(&mut self) -> u8 {
        self.chip.acknowledge(self.now)
    }

    /// Lets clocks pass, with each event at its time; says how many events there were.
    fn run_clocks(&mut self, clocks: u64) -> usize {
        let end = GuestTime::at_clock(self.now.clocks(LAPIC_HZ) + clocks, LAPIC_HZ);
        let mut events = 0;
        while let Some(at) = self.chip.next_event(self.now).filter(|at| *at <= end) {
            self.chip.advance(at);
            self.now = at;
            events += 1;
        }
        self.now = end;
        events
    }

    fn message(&mut self, vector: u8, level: bool, destination: Destination) -> bool {
        let message = ApicMessage { vector, mode: DeliveryMode::Fixed, level, destination };
        self.chip.accept(&message, self.now)
    }
}

/// SDM, "Interrupt, Task, and Processor Priority": the class decides, then the vector.
#[test]
fn the_highest_vector_comes_first_and_its_class_blocks_until_its_eoi() {
    let mut apic = LapicBench::new();
    for vector in [0x31, 0x55, 0x52] {
        apic.send_to_itself(vector);
    }

    assert_eq!(apic.acknowledge(), 0x55);
    assert_eq!(apic.read(PPR), 0x50);
    assert!(!apic.chip.intr(), "52h is of the class in service");
    apic.send_to_itself(0x60);
    assert_eq!(apic.acknowledge(), 0x60, "a higher class comes in between");

    apic.write(EOI, 0);
    assert_eq!(apic.read(ISR + 0x20), 1 << 0x15, "the highest in service has ended");
    apic.write(EOI, 0);
    assert_eq!(apic.acknowledge(), 0x52);
    apic.write(EOI, 0);
    assert_eq!(apic.acknowledge(), 0x31);
}

/// SDM, "Task Priority in IA-32e Mode": CR8 is bits 7:4 of the TPR.
#[test]
fn the_task_priority_holds_back_its_class_and_those_below() {
    let mut apic = LapicBench::new();
    apic.write(TPR, 0x5f);
    apic.send_to_itself(0x5f);

    assert!(!apic.chip.intr());
    assert_eq!((apic.read(PPR), apic.chip.task_priority()), (0x5f, 5));
    apic.chip.set_task_priority(4, apic.now);
    assert!(apic.chip.intr());
    assert_eq!(apic.read(TPR), 0x40);
}

/// SDM, "Spurious Interrupt": the request was masked between INTR and the acknowledge.
#[test]
fn a_request_that_is_masked_meanwhile_is_spurious() {
    let mut apic = LapicBench::new();
    apic.send_to_itself(0x41);
    apic.write(TPR, 0xf0);

    assert_eq!(apic.acknowledge(), 0xff);
    assert_eq!(apic.chip.isr.highest(), None, "it wants no EOI");
    assert_eq!(apic.read(IRR + 0x20), 2, "the request waits on");
}

#[test]
fn the_end_of_a_level_triggered_interrupt_is_told() {
    let mut apic = LapicBench::new();
    apic.message(0x41, false, Destination::Physical(0));
    apic.message(0x61, true, Destination::Physical(0));

    assert_eq!((apic.acknowledge(), apic.read(TMR + 0x30)), (0x61, 2));
    assert_eq!(apic.write(EOI, 0), Some(LapicOutput::EndOfInterrupt(0x61)));
    assert_eq!(apic.acknowledge(), 0x41);
    assert_eq!(apic.write(EOI, 0), None);
    assert_eq!(apic.write(EOI, 0), None, "nothing is in service");
}

#[test]
fn destinations_are_physical_flat_or_in_clusters() {
    let mut apic = LapicBench::new();
    apic.write(ID, 3 << 24);
    apic.write(LDR, 0x21 << 24);
    let fits = |apic: &mut LapicBench, of: fn(u8) -> Destination, to: u8| {
        apic.message(0x40, false, of(to))
    };

    for (to, expected) in [(3, true), (0xff, true), (0, false)] {
        assert_eq!(fits(&mut apic, Destination::Physical, to), expected, "physical {to:#x}");
    }
    for (to, expected) in [(0x20, true), (0x01, true), (0x12, false), (0xff, true)] {
        assert_eq!(fits(&mut apic, Destination::Logical, to), expected, "flat {to:#x}");
    }
    apic.write(DFR, 0);
    for (to, expected) in [(0x21, true), (0x2e, false), (0x11, false), (0xf1, true)] {
        assert_eq!(fits(&mut apic, Destination::Logical, to), expected, "cluster {to:#x}");
    }
}

#[test]
fn ipis_reach_this_processor_or_nobody() {
    let mut apic = LapicBench::new();
    apic.write(ICR_HIGH, 7 << 24);
    apic.write(ICR_LOW, 0x4_0041); // self
    apic.write(ICR_LOW, 0x8_0042); // all
    apic.write(ICR_LOW, 0xc_0043); // all others
    apic.write(ICR_LOW, 0x44); // the one of ID 7
    apic.write(ICR_HIGH, 0);
    apic.write(ICR_LOW, 0x45);
    apic.write(ICR_LOW, 0x4_4500); // INIT to itself is no valid combination
    apic.write(ICR_LOW, 0xc_4600); // start-up of all others

    assert_eq!(apic.read(IRR + 0x20), 1 << 1 | 1 << 2 | 1 << 5);
    apic.write(ICR_LOW, 0x400);
    assert!(apic.chip.nmi());
    apic.chip.nmi_seen();
    assert!(!apic.chip.nmi());
}

/// SDM, "Error Handling": ESR shows what was there when it was written.
#[test]
fn illegal_vectors_are_errors_that_interrupt_once() {
    let mut apic = LapicBench::new();
    apic.write(LVT_LAST, 0xfe);
    apic.send_to_itself(0x0f);
    apic.message(0x05, false, Destination::Physical(0));

    assert_eq!(apic.acknowledge(), 0xfe);
    assert_eq!(apic.read(ESR), 0);
    apic.write(ESR, 0);
    assert_eq!(apic.read(ESR), 0x60);
    apic.write(ESR, 0);
    assert_eq!(apic.read(ESR), 0);
}

#[test]
fn the_one_shot_timer_interrupts_at_zero_and_stays_there() {
    let mut apic = LapicBench::new();
    apic.write(DIVIDE, 0b0011); // by 16
    apic.write(LVT_FIRST, 0x80);
    apic.write(INITIAL_COUNT, 1000);

    assert_eq!(apic.run_clocks(15), 0);
    assert_eq!(apic.read(CURRENT_COUNT), 1000);
    apic.run_clocks(1);
    assert_eq!(apic.read(CURRENT_COUNT), 999);
    assert_eq!(apic.run_clocks(16 * 999 - 1), 0);
    assert_eq!((apic.run_clocks(1), apic.acknowledge()), (1, 0x80));
    assert_eq!(apic.run_clocks(1 << 40), 0);
    assert_eq!(apic.read(CURRENT_COUNT), 0);
}

#[test]
fn the_periodic_timer_interrupts_at_every_zero() {
    let mut apic = LapicBench::new();
    apic.write(DIVIDE, 0b1011); // by 1
    apic.write(LVT_FIRST, LVT_PERIODIC | 0x80);
    apic.write(INITIAL_COUNT, 100);

    for round in 0..5 {
        assert_eq!((apic.run_clocks(100), apic.acknowledge()), (1, 0x80), "round {round}");
        apic.write(EOI, 0);
    }
    apic.run_clocks(30);
    assert_eq!(apic.read(CURRENT_COUNT), 70);
}

/// Nobody takes the interrupt: a second has one event and not a hundred million.
#[test]
fn a_timer_of_one_clock_has_one_event_until_it_is_taken() {
    let mut apic = LapicBench::new();
    apic.write(DIVIDE, 0b1011);
    apic.write(LVT_FIRST, LVT_PERIODIC | 0x80);
    apic.write(INITIAL_COUNT, 1);

    assert_eq!(apic.run_clocks(LAPIC_HZ.into()), 1);
    assert_eq!(apic.acknowledge(), 0x80);
    assert_eq!(apic.run_clocks(LAPIC_HZ.into()), 1);
    apic.write(INITIAL_COUNT, 0);
    apic.acknowledge();
    assert_eq!(apic.run_clocks(LAPIC_HZ.into()), 0, "zero stops it");
}

/// Zeros while masked are lost; the count goes on.
#[test]
fn a_masked_timer_counts_on_without_an_interrupt() {
    let mut apic = LapicBench::new();
    apic.write(DIVIDE, 0b1011);
    apic.write(LVT_FIRST, LVT_MASKED | LVT_PERIODIC | 0x80);
    apic.write(INITIAL_COUNT, 100);

    assert_eq!(apic.run_clocks(250), 0);
    assert_eq!(apic.read(CURRENT_COUNT), 50);
    apic.write(LVT_FIRST, LVT_PERIODIC | 0x80);
    assert!(!apic.chip.intr());
    assert_eq!(apic.run_clocks(50), 1);
}

/// SDM, "Local APIC State After It Has Been Software Disabled".
#[test]
fn disabling_by_software_masks_the_lvt_and_takes_no_vectors() {
    let mut apic = LapicBench::new();
    apic.write(LVT_FIRST, 0x80);
    apic.write(SVR, 0xff);
    apic.write(LVT_FIRST, 0x80);

    assert_eq!(apic.read(LVT_FIRST), LVT_MASKED | 0x80);
    assert!(!apic.message(0x41, false, Destination::Physical(0)));
    assert!(!apic.chip.takes_extint(), "LINT0 is masked too");
    apic.chip.set_base(LAPIC_BASE);
    assert!(apic.chip.takes_extint(), "without an APIC the 8259A reaches the processor");
    assert_eq!(apic.chip.address(), None);
}

#[test]
fn a_level_on_lint0_requests_again_after_its_eoi() {
    let mut apic = LapicBench::new();
    apic.write(0x350, LVT_LEVEL | 0x51);
    apic.chip.set_lint(0, true, apic.now);

    assert_eq!(apic.acknowledge(), 0x51);
    assert_eq!(apic.read(0x350), LVT_REMOTE_IRR | LVT_LEVEL | 0x51);
    apic.write(EOI, 0);
    assert_eq!(apic.acknowledge(), 0x51);
    apic.chip.set_lint(0, false, apic.now);
    apic.write(EOI, 0);
    assert!(!apic.chip.intr());
}

#[test]
fn the_end_may_wait_if_nothing_hangs_on_it() {
    let mut apic = LapicBench::new();
    assert!(!apic.chip.end_may_wait(), "nothing is in service");
    apic.message(0x51, true, Destination::Physical(0));
    apic.acknowledge();
    assert!(!apic.chip.end_may_wait(), "a level's end is told to the I/O APIC");
    apic.write(EOI, 0);
    apic.send_to_itself(0x41);
    apic.acknowledge();
    assert!(apic.chip.end_may_wait());
    apic.send_to_itself(0x31);
    assert!(!apic.chip.end_may_wait(), "its end lets 31h in");
}

/// The chip behind byte ports, for the suite: a port for each register, each byte made four.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ported(Lapic);

impl PortDevice for Ported {
    fn read(&mut self, offset: u16, ctx: &mut Ctx<'_>) -> u8 {
        if offset == ACKNOWLEDGE {
            return self.0.acknowledge(ctx.now);
        }
        let value = self.0.read(offset.wrapping_mul(16), ctx.now).to_le_bytes();
        value.into_iter().fold(0, |all, byte| all ^ byte)
    }

    fn write(&mut self, offset: u16, value: u8, ctx: &mut Ctx<'_>) {
        let value = u32::from(value) * 0x0103_0501;
        self.0.write(offset.wrapping_mul(16), value, ctx.now);
    }

    fn next_event(&self, now: GuestTime) -> Option<GuestTime> {
        self.0.next_event(now)
    }

    fn advance(&mut self, ctx: &mut Ctx<'_>) {
        self.0.advance(ctx.now);
    }
}

const ACKNOWLEDGE: u16 = 0x400;
const PORTS: [u16; 18] = [
    0x02,
    0x08,
    0x0a,
    0x0b,
    0x0d,
    0x0e,
    0x0f,
    0x20,
    0x28,
    0x30,
    0x31,
    0x32,
    0x35,
    0x37,
    0x38,
    0x39,
    0x3e,
    ACKNOWLEDGE,
];

#[test]
fn the_suite_passes() {
    let make = || Ported(Lapic::new());
    suite::all(make, |chip| chip.0.reset(), &PORTS);
}

#[test]
fn the_timer_runs_under_the_suite() {
    let mut bench = Bench::new(Ported(Lapic::new()));
    for (port, value) in [(0x0f, 0xff), (0x32, 0x80), (0x38, 1)] {
        bench.write(port, value);
    }

    assert_eq!(bench.run_ns(1_000_000_000), 1);
}
