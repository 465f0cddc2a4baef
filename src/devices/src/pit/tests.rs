//! Tests of the 8254. The timing diagrams of the datasheet are checked clock by clock: `N` clocks
//! after a write, as the diagrams count them.

use super::*;
use crate::suite::{self, Bench};

const SC_COUNTER_2: u8 = 0x80;
const RW_LATCH: u8 = 0x00;
const RW_LOW: u8 = 0x10;
const RW_HIGH: u8 = 0x20;
const RW_LOW_THEN_HIGH: u8 = 0x30;
const MODE_0: u8 = 0x00;
const MODE_1: u8 = 0x02;
const MODE_2: u8 = 0x04;
const MODE_3: u8 = 0x06;
const MODE_4: u8 = 0x08;
const MODE_5: u8 = 0x0a;
const BCD: u8 = 0x01;
const READ_BACK: u8 = 0xc0;

/// Counter 0 unless named; counter 2 where GATE matters.
struct PitBench(Bench<Pit>);

impl PitBench {
    fn new() -> Self {
        let mut bench = Bench::new(Pit::new());
        bench.now = GuestTime::at_clock(1000, PIT_HZ); // not at a round number
        Self(bench)
    }

    fn run_clocks(&mut self, clocks: u64) {
        let clock = self.0.now.clocks(PIT_HZ);
        self.0.run_until(GuestTime::at_clock(clock + clocks, PIT_HZ));
    }

    fn write_control(&mut self, value: u8) {
        self.0.write(PORT_CONTROL, value);
    }

    /// Low byte, then high byte.
    fn write_count(&mut self, counter: u16, count: u16) {
        for byte in count.to_le_bytes() {
            self.0.write(counter, byte);
        }
    }

    fn read(&mut self, counter: u16) -> u8 {
        self.0.read(counter)
    }

    fn read_count(&mut self, counter: u16) -> u16 {
        u16::from_le_bytes([self.read(counter), self.read(counter)])
    }

    fn out(&self, counter: usize) -> bool {
        self.0.chip.out(counter, self.0.now)
    }

    fn gate_2(&mut self, level: bool) {
        self.0.chip.set_gate(2, level, self.0.now);
    }

    /// OUT at each of the next clocks, high `#` and low `_`, starting now.
    fn trace(&mut self, counter: usize, clocks: usize) -> String {
        let mut trace = String::new();
        for _ in 0..clocks {
            trace.push(if self.out(counter) { '#' } else { '_' });
            self.run_clocks(1);
        }
        trace
    }

    /// Both bytes of the count at each of the next clocks.
    fn counts(&mut self, counter: u16, clocks: usize) -> Vec<u16> {
        let mut counts = Vec::new();
        for _ in 0..clocks {
            self.run_clocks(1);
            counts.push(self.read_count(counter));
        }
        counts
    }
}

#[test]
fn passes_the_device_suite() {
    suite::all(Pit::new, Pit::reset, &[0, 1, 2, 3]);
}

/// Latch freezes the count for both byte reads while the counter runs on
/// (8254 datasheet, "Counter Latch Command").
#[test]
fn latched_count_holds_until_both_bytes_are_read() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_2);
    pit.write_count(0, 0x1234);

    pit.run_clocks(1 + 0x34);
    pit.write_control(RW_LATCH);
    pit.run_clocks(0x100);

    assert_eq!(pit.read(0), 0x00, "low byte of the latched 0x1200");
    assert_eq!(pit.read(0), 0x12, "high byte of the latched 0x1200");
    assert_eq!(pit.read(0), 0x00, "low byte of the running 0x1100");
}

#[test]
fn a_second_latch_command_is_ignored() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_2);
    pit.write_count(0, 0x1000);

    pit.run_clocks(1);
    pit.write_control(RW_LATCH);
    pit.run_clocks(0x10);
    pit.write_control(RW_LATCH);

    assert_eq!(pit.read_count(0), 0x1000);
}

/// "Another feature of the 8254 is that reads and writes of the same counter may be interleaved."
#[test]
fn reads_and_writes_may_be_interleaved() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_2);
    pit.write_count(0, 0x5678);
    pit.run_clocks(1);

    assert_eq!(pit.read(0), 0x78);
    pit.0.write(0, 0x22);
    assert_eq!(pit.read(0), 0x56);
    pit.0.write(0, 0x11);

    pit.run_clocks(0x5678);
    assert_eq!(pit.read_count(0), 0x1122, "the new count after the cycle");
}

/// Mode 0, first diagram: CW = 10h, LSB = 4.
#[test]
fn mode_0_rises_one_clock_after_the_count() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_0);
    assert!(!pit.out(0), "low from the control word on");
    pit.write_count(0, 4);

    assert_eq!(pit.trace(0, 8), "_____###");
}

#[test]
fn mode_0_counts_on_below_zero() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_0);
    pit.write_count(0, 3);

    assert_eq!(pit.counts(0, 6), [3, 2, 1, 0, 0xffff, 0xfffe]);
    assert!(pit.out(0));
}

/// Mode 0, second diagram: GATE low holds the count.
#[test]
fn mode_0_stands_while_gate_is_low() {
    let mut pit = PitBench::new();
    pit.gate_2(true);
    pit.write_control(SC_COUNTER_2 | RW_LOW_THEN_HIGH | MODE_0);
    pit.write_count(2, 3);

    assert_eq!(pit.counts(2, 2), [3, 2]);
    pit.gate_2(false);
    assert_eq!(pit.counts(2, 2), [2, 2]);
    pit.gate_2(true);
    assert_eq!(pit.counts(2, 2), [1, 0]);
    assert!(pit.out(2));
}

/// Mode 0, "If an initial count is written while GATE = 0, it will still be loaded on the next CLK
/// pulse. When GATE goes high, OUT will go high N CLK pulses later."
#[test]
fn mode_0_loads_while_gate_is_low() {
    let mut pit = PitBench::new();
    pit.write_control(SC_COUNTER_2 | RW_LOW_THEN_HIGH | MODE_0);
    pit.write_count(2, 3);
    assert_eq!(pit.counts(2, 2), [3, 3]);

    pit.gate_2(true);

    assert_eq!(pit.trace(2, 5), "___##");
}

/// Mode 0, "Writing the first byte disables counting. OUT is set low immediately."
#[test]
fn mode_0_stops_at_the_first_byte_of_a_new_count() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_0);
    pit.write_count(0, 5);
    pit.run_clocks(9);
    assert!(pit.out(0));

    pit.0.write(0, 2);
    assert!(!pit.out(0));
    assert_eq!(pit.counts(0, 2), [0xfffd, 0xfffd]);
    pit.0.write(0, 0);
    assert_eq!(pit.trace(0, 5), "___##");
}

/// Mode 1, first and second diagrams: CW = 12h, LSB = 3, retriggered.
#[test]
fn mode_1_is_low_for_the_count_after_a_trigger() {
    let mut pit = PitBench::new();
    pit.write_control(SC_COUNTER_2 | RW_LOW | MODE_1);
    pit.0.write(2, 3);
    assert_eq!(pit.trace(2, 3), "###", "no trigger yet");

    pit.gate_2(true);
    assert_eq!(pit.trace(2, 6), "#___##");

    pit.gate_2(false);
    pit.gate_2(true);
    assert_eq!(pit.trace(2, 2), "#_");
    pit.gate_2(false);
    pit.gate_2(true);
    assert_eq!(pit.trace(2, 6), "____##", "retriggered in its second clock");
}

/// Mode 1, "If a new count is written during a one-shot pulse, the current one-shot is not
/// affected unless the counter is retriggered."
#[test]
fn mode_1_takes_a_new_count_at_the_next_trigger() {
    let mut pit = PitBench::new();
    pit.write_control(SC_COUNTER_2 | RW_LOW | MODE_1);
    pit.0.write(2, 2);
    pit.gate_2(true);
    pit.run_clocks(1);
    pit.0.write(2, 4);
    assert_eq!(pit.trace(2, 4), "__##");

    pit.gate_2(false);
    pit.gate_2(true);
    assert_eq!(pit.trace(2, 7), "#____##");
}

/// Mode 2, first diagram: CW = 14h, LSB = 3.
#[test]
fn mode_2_is_low_for_the_last_clock_of_each_cycle() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_2);
    pit.write_count(0, 3);

    assert_eq!(pit.trace(0, 10), "###_##_##_");
}

/// Mode 2, second diagram: GATE low stops it, OUT goes high at once, the rise reloads.
#[test]
fn mode_2_starts_anew_when_gate_rises() {
    let mut pit = PitBench::new();
    pit.gate_2(true);
    pit.write_control(SC_COUNTER_2 | RW_LOW_THEN_HIGH | MODE_2);
    pit.write_count(2, 3);
    assert_eq!(pit.counts(2, 3), [3, 2, 1]);
    assert!(!pit.out(2));

    pit.gate_2(false);
    assert!(pit.out(2));
    assert_eq!(pit.counts(2, 2), [1, 1]);
    pit.gate_2(true);
    assert_eq!(pit.counts(2, 4), [3, 2, 1, 3]);
}

/// Mode 2, third diagram: a new count waits for the end of the cycle.
#[test]
fn mode_2_takes_a_new_count_after_the_cycle() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW | MODE_2);
    pit.0.write(0, 4);
    pit.run_clocks(2);

    pit.0.write(0, 5);

    assert_eq!(pit.trace(0, 9), "##_####_#");
}

/// Mode 3, first diagram (even): CW = 16h, LSB = 4.
#[test]
fn mode_3_is_a_square_wave() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_3);
    pit.write_count(0, 4);

    assert_eq!(pit.trace(0, 9), "###__##__");
}

#[test]
fn mode_3_counts_by_twos() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_3);
    pit.write_count(0, 4);
    assert_eq!(pit.counts(0, 5), [4, 2, 4, 2, 4]);

    pit.write_control(RW_LOW_THEN_HIGH | MODE_3);
    pit.write_count(0, 5);
    assert_eq!(pit.counts(0, 7), [4, 2, 0, 4, 2, 4, 2], "second diagram: odd, 5");
}

/// Mode 3, second diagram (odd): high for (N + 1) / 2, low for (N - 1) / 2.
#[test]
fn mode_3_is_high_longer_with_an_odd_count() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_3);
    pit.write_count(0, 5);

    assert_eq!(pit.trace(0, 12), "####__###__#");
}

#[test]
fn mode_3_takes_a_new_count_after_the_half_cycle() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW | MODE_3);
    pit.0.write(0, 6);
    pit.run_clocks(2);

    pit.0.write(0, 2);

    assert_eq!(pit.trace(0, 8), "##_#_#_#");
}

/// Mode 3, third diagram: GATE low sets OUT high at once, the rise starts anew.
#[test]
fn mode_3_starts_anew_when_gate_rises() {
    let mut pit = PitBench::new();
    pit.gate_2(true);
    pit.write_control(SC_COUNTER_2 | RW_LOW | MODE_3);
    pit.0.write(2, 4);
    pit.run_clocks(4);
    assert!(!pit.out(2));

    pit.gate_2(false);
    assert_eq!(pit.trace(2, 3), "###");
    pit.gate_2(true);
    assert_eq!(pit.trace(2, 6), "###__#");
}

/// Mode 4, first diagram: CW = 18h, LSB = 3: one clock low, N + 1 clocks after the write, once.
#[test]
fn mode_4_strobes_once() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_4);
    assert!(pit.out(0));
    pit.write_count(0, 3);

    assert_eq!(pit.trace(0, 8), "####_###");
    pit.run_clocks(0x1_0000);
    assert_eq!(pit.trace(0, 8), "########");
}

/// Mode 4, third diagram: a new count is loaded at the next clock.
#[test]
fn mode_4_is_retriggered_by_software() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW | MODE_4);
    pit.0.write(0, 3);
    pit.run_clocks(3);

    pit.0.write(0, 2);

    assert_eq!(pit.trace(0, 6), "###_##");
}

#[test]
fn mode_4_stands_while_gate_is_low() {
    let mut pit = PitBench::new();
    pit.write_control(SC_COUNTER_2 | RW_LOW | MODE_4);
    pit.0.write(2, 3);
    assert_eq!(pit.trace(2, 5), "#####");

    pit.gate_2(true);

    assert_eq!(pit.trace(2, 5), "###_#");
}

/// Mode 5, first diagram: CW = 1Ah, LSB = 3: strobe N + 1 clocks after the trigger.
#[test]
fn mode_5_strobes_after_a_trigger() {
    let mut pit = PitBench::new();
    pit.write_control(SC_COUNTER_2 | RW_LOW | MODE_5);
    pit.0.write(2, 3);
    assert_eq!(pit.trace(2, 6), "######");

    pit.gate_2(true);
    assert_eq!(pit.trace(2, 6), "####_#");

    pit.gate_2(false);
    pit.gate_2(true);
    pit.run_clocks(2);
    pit.gate_2(false);
    pit.gate_2(true);
    assert_eq!(pit.trace(2, 6), "####_#", "retriggered");
}

#[test]
fn bcd_counts_in_decimal() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_0 | BCD);
    pit.write_count(0, 0x1001);

    assert_eq!(pit.counts(0, 3), [0x1001, 0x1000, 0x0999]);
    pit.run_clocks(999);
    assert!(pit.out(0));
    assert_eq!(pit.counts(0, 1), [0x9999], "below 0");
}

#[test]
fn a_count_of_zero_is_the_largest() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_2);
    pit.write_count(0, 0);
    pit.write_control(SC_COUNTER_2 | RW_LOW_THEN_HIGH | MODE_1 | BCD);
    pit.write_count(2, 0);
    pit.gate_2(true);

    pit.run_clocks(1);
    assert_eq!(pit.read_count(0), 0, "65,536");
    assert_eq!(pit.read_count(2), 0, "10,000");
    pit.run_clocks(1);
    assert_eq!(pit.read_count(0), 0xffff);
    assert_eq!(pit.read_count(2), 0x9999);
    pit.run_clocks(9998);
    assert!(!pit.out(2));
    pit.run_clocks(1);
    assert!(pit.out(2));
}

#[test]
fn one_byte_access_leaves_the_other_byte_zero() {
    let mut pit = PitBench::new();
    pit.write_control(RW_HIGH | MODE_2);
    pit.0.write(0, 0x12);
    pit.run_clocks(1);
    assert_eq!((pit.read(0), pit.read(0)), (0x12, 0x12));
    pit.run_clocks(1);
    assert_eq!(pit.read(0), 0x11, "0x11ff");

    pit.write_control(RW_LOW | MODE_2);
    pit.0.write(0, 0x34);
    pit.run_clocks(2);
    assert_eq!((pit.read(0), pit.read(0)), (0x33, 0x33));
}

/// "Read-Back Command", Figure 12: OUT, null count, and the mode as programmed.
#[test]
fn read_back_gives_the_status() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_3 | BCD);
    pit.write_control(READ_BACK | 0x20 | 0x02);
    assert_eq!(pit.read(0), 0xf7, "OUT high, null count");

    pit.write_count(0, 0x10);
    pit.write_control(READ_BACK | 0x20 | 0x02);
    assert_eq!(pit.read(0), 0xf7, "written, not loaded yet");

    pit.run_clocks(1);
    pit.write_control(READ_BACK | 0x20 | 0x02);
    assert_eq!(pit.read(0), 0xb7, "loaded");
    pit.run_clocks(5);
    pit.write_control(READ_BACK | 0x20 | 0x02);
    assert_eq!(pit.read(0), 0x37, "OUT low");
}

/// "If both count and status of a counter are latched, the first read operation of that counter
/// will return latched status, regardless of which was latched first."
#[test]
fn read_back_of_several_counters_gives_status_then_count() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_2);
    pit.write_count(0, 0x1111);
    pit.write_control(SC_COUNTER_2 | RW_LOW_THEN_HIGH | MODE_0);
    pit.write_count(2, 0x2222);
    pit.run_clocks(0x11);

    pit.write_control(READ_BACK | 0x02 | 0x08);
    pit.run_clocks(0x100);

    assert_eq!(pit.read(0), 0xb4);
    assert_eq!(pit.read_count(0), 0x1101);
    assert_eq!(pit.read_count(0), 0x1001, "running again");
    assert_eq!(pit.read(2), 0x30);
    assert_eq!(pit.read_count(2), 0x2222, "GATE 2 is low");
}

#[test]
fn programming_a_counter_drops_its_latches() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_2);
    pit.write_count(0, 0x1111);
    pit.run_clocks(1);
    pit.write_control(READ_BACK | 0x02);

    pit.write_control(RW_LOW_THEN_HIGH | MODE_2);
    pit.write_count(0, 0x2222);
    pit.run_clocks(1);

    assert_eq!(pit.read_count(0), 0x2222);
}

/// The board sees every edge of OUT 0 as an event, and nothing between two events.
#[test]
fn events_are_the_edges_of_out_0() {
    for (mode, count) in
        [(MODE_0, 7), (MODE_2, 5), (MODE_2, 2), (MODE_3, 5), (MODE_3, 6), (MODE_4, 3)]
    {
        let mut pit = PitBench::new();
        pit.write_control(RW_LOW_THEN_HIGH | mode);
        pit.write_count(0, count);
        let mut by_events = String::new();
        let mut by_clocks = String::new();
        let mut events = PitBench(Bench::new(pit.0.chip.clone()));
        let (start, mut now) = (pit.0.now.clocks(PIT_HZ), pit.0.now);

        by_clocks.push_str(&pit.trace(0, 40));
        let mut edges = Vec::new();
        while let Some(edge) = events.0.chip.next_event(now) {
            if edge.clocks(PIT_HZ) >= start + 40 {
                break;
            }
            edges.push(edge.clocks(PIT_HZ));
            now = edge;
            events.0.now = edge;
        }
        let mut level = by_clocks.starts_with('#');
        for clock in start..start + 40 {
            level ^= edges.contains(&clock);
            by_events.push(if level { '#' } else { '_' });
        }

        assert_eq!(by_events, by_clocks, "mode {mode:#x}, count {count}");
    }
}

#[test]
fn the_first_instant_of_a_clock_counts() {
    let mut pit = PitBench::new();
    pit.write_control(RW_LOW_THEN_HIGH | MODE_0);
    pit.write_count(0, 1);
    let edge = pit.0.chip.next_event(pit.0.now).unwrap();

    assert!(!pit.0.chip.out(0, GuestTime::from_ns(edge.as_ns() - 1)));
    assert!(pit.0.chip.out(0, edge));
}
