//! Tests of the clock chip.

use super::*;
use crate::{
    NS_PER_SECOND,
    suite::{self, Bench},
};

const B_AIE: u8 = 0x20;
const B_PIE: u8 = 0x40;
/// 2023-12-31 23:59:57, a Sunday.
const NEW_YEARS_EVE: i64 = 1_704_067_197;

struct RtcBench(Bench<Rtc>);

impl RtcBench {
    fn new() -> Self {
        Self(Bench::new(Rtc::new(NEW_YEARS_EVE)))
    }

    fn get(&mut self, index: u8) -> u8 {
        self.0.write(0, index);
        self.0.read(1)
    }

    fn set(&mut self, index: u8, value: u8) {
        self.0.write(0, index);
        self.0.write(1, value);
    }

    fn run_seconds(&mut self, seconds: u64) {
        self.0.run_ns(seconds * NS_PER_SECOND);
    }

    /// Hours, minutes, seconds as they stand in the registers.
    fn time(&mut self) -> [u8; 3] {
        [HOURS, MINUTES, SECONDS].map(|index| self.get(index))
    }

    /// Century, year, month, day of month, day of week.
    fn date(&mut self) -> [u8; 5] {
        [CENTURY, YEAR, MONTH, DAY_OF_MONTH, DAY_OF_WEEK].map(|index| self.get(index))
    }

    fn irq(&self) -> bool {
        self.0.chip.irq(self.0.now)
    }

    /// Nanoseconds to the next event.
    fn to_event(&self) -> Option<u64> {
        self.0.chip.next_event(self.0.now).map(|event| event.since(self.0.now))
    }
}

/// All of it but "reset equals power-on": the battery keeps time and memory.
#[test]
fn passes_the_device_suite() {
    let make = || Rtc::new(NEW_YEARS_EVE);
    suite::snapshot_restores(make, &[0, 1]);
    suite::any_byte_is_survived(make, &[0, 1]);
    suite::advance_between_events_changes_nothing(make, &[0, 1]);
    suite::damaged_snapshots_are_survived(make, &[0, 1]);
}

#[test]
fn the_clock_carries_into_the_year() {
    let mut rtc = RtcBench::new();
    assert_eq!(rtc.time(), [0x23, 0x59, 0x57]);
    assert_eq!(rtc.date(), [0x20, 0x23, 0x12, 0x31, 1]);

    rtc.run_seconds(2);
    assert_eq!(rtc.time(), [0x23, 0x59, 0x59]);
    rtc.run_seconds(1);
    assert_eq!(rtc.time(), [0x00, 0x00, 0x00]);
    assert_eq!(rtc.date(), [0x20, 0x24, 0x01, 0x01, 2]);

    rtc.run_seconds((31 + 28) * 86_400 + 12 * 3600);
    assert_eq!(rtc.date(), [0x20, 0x24, 0x02, 0x29, 5]);
    assert_eq!(rtc.time(), [0x12, 0x00, 0x00]);
}

#[test]
fn the_century_carries() {
    let mut rtc = RtcBench(Bench::new(Rtc::new(946_684_799))); // 1999-12-31 23:59:59

    rtc.run_seconds(1);

    assert_eq!(rtc.date(), [0x20, 0x00, 0x01, 0x01, 7]);
}

#[test]
fn binary_mode_counts_in_binary() {
    let mut rtc = RtcBench::new();
    rtc.set(REGISTER_B, B_SET | B_24_HOURS | B_BINARY);
    for (index, value) in [(HOURS, 9), (MINUTES, 59), (SECONDS, 59), (DAY_OF_MONTH, 30)] {
        rtc.set(index, value);
    }
    rtc.set(REGISTER_B, B_24_HOURS | B_BINARY);

    rtc.run_seconds(1);

    assert_eq!(rtc.time(), [10, 0, 0]);
    assert_eq!(rtc.get(DAY_OF_MONTH), 30);
}

/// Datasheet, Table 3: in 12-hour mode bit 7 is PM, midnight and noon are 12.
#[test]
fn twelve_hour_mode_has_a_pm_bit() {
    for (before, after) in [(0x11, 0x92), (0x91, 0x12), (0x12, 0x01), (0x92, 0x81), (0x09, 0x10)] {
        let mut rtc = RtcBench::new();
        rtc.set(REGISTER_B, 0x00);
        rtc.set(HOURS, before);
        rtc.set(MINUTES, 0x59);
        rtc.set(SECONDS, 0x59);

        rtc.run_seconds(1);

        assert_eq!(rtc.time(), [after, 0x00, 0x00], "an hour after {before:#x}");
    }
}

#[test]
fn set_stops_the_clock_and_clears_uie() {
    let mut rtc = RtcBench::new();

    rtc.set(REGISTER_B, B_SET | B_UIE | B_24_HOURS);
    assert_eq!(rtc.get(REGISTER_B), B_SET | B_24_HOURS);
    rtc.run_seconds(10);
    assert_eq!(rtc.time(), [0x23, 0x59, 0x57]);
    assert_eq!(rtc.get(REGISTER_C) & UPDATE_ENDED, 0);

    rtc.set(REGISTER_B, B_24_HOURS);
    rtc.run_seconds(1);
    assert_eq!(rtc.time(), [0x23, 0x59, 0x58]);
}

#[test]
fn uip_is_set_before_the_update() {
    let mut rtc = RtcBench::new();

    rtc.0.run_ns(NS_PER_SECOND - 2_300_000);
    assert_eq!(rtc.get(REGISTER_A), 0x26);
    rtc.0.run_ns(100_000);
    assert_eq!(rtc.get(REGISTER_A), 0xa6, "2.2 ms before the end of the update");
    rtc.0.run_ns(2_200_000);
    assert_eq!(rtc.get(REGISTER_A), 0x26);
    assert_eq!(rtc.get(SECONDS), 0x58);

    rtc.0.run_ns(NS_PER_SECOND - 1_000_000);
    rtc.set(REGISTER_B, B_SET | B_24_HOURS);
    assert_eq!(rtc.get(REGISTER_A), 0x26, "SET takes it back");
}

#[test]
fn uip_is_read_only() {
    let mut rtc = RtcBench::new();

    rtc.set(REGISTER_A, 0xaf);

    assert_eq!(rtc.get(REGISTER_A), 0x2f);
}

#[test]
fn a_divider_in_reset_stops_the_clock() {
    let mut rtc = RtcBench::new();
    rtc.set(REGISTER_B, B_PIE | B_UIE | B_24_HOURS);
    rtc.set(REGISTER_A, 0x76);
    rtc.get(REGISTER_C);

    rtc.run_seconds(5);
    assert_eq!(rtc.time(), [0x23, 0x59, 0x57]);
    assert_eq!(rtc.get(REGISTER_C), 0);
    assert_eq!(rtc.to_event(), None);

    rtc.set(REGISTER_A, 0x20);
    assert_eq!(rtc.to_event(), Some(NS_PER_SECOND / 2), "the first update half a second later");
    rtc.run_seconds(1);
    assert_eq!(rtc.time(), [0x23, 0x59, 0x58]);
}

/// Datasheet, Table 5, "Periodic Interrupt Rate".
#[test]
fn the_periodic_interrupt_has_fifteen_rates() {
    #[rustfmt::skip]
    let hz = [256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2];
    for (rate, hz) in (1..).zip(hz) {
        let mut rtc = RtcBench::new();
        rtc.set(REGISTER_A, 0x20 | rate);
        rtc.set(REGISTER_B, B_PIE | B_24_HOURS);

        let mut ticks = 0;
        while rtc.0.now < GuestTime::from_ns(NS_PER_SECOND) {
            rtc.0.run_until(rtc.0.chip.next_event(rtc.0.now).unwrap());
            assert!(rtc.irq());
            assert_eq!(rtc.get(REGISTER_C) & !UPDATE_ENDED, C_IRQF | PERIODIC);
            assert!(!rtc.irq());
            ticks += 1;
        }

        assert_eq!(ticks, hz, "rate {rate}");
    }
}

#[test]
fn rate_zero_is_off() {
    let mut rtc = RtcBench::new();
    rtc.set(REGISTER_A, 0x20);
    rtc.set(REGISTER_B, B_PIE | B_24_HOURS);
    rtc.get(REGISTER_C);

    rtc.0.run_ns(NS_PER_SECOND / 2);

    assert_eq!(rtc.get(REGISTER_C), 0);
    assert_eq!(rtc.to_event(), None);
}

#[test]
fn the_update_ended_interrupt_comes_every_second() {
    let mut rtc = RtcBench::new();
    rtc.set(REGISTER_B, B_UIE | B_24_HOURS);
    rtc.get(REGISTER_C);

    assert_eq!(rtc.to_event(), Some(NS_PER_SECOND));
    rtc.run_seconds(1);
    assert!(rtc.irq());
    assert_eq!(rtc.to_event(), None, "the pin is active already");
    assert_eq!(rtc.get(REGISTER_C), C_IRQF | UPDATE_ENDED | PERIODIC);
    assert_eq!(rtc.to_event(), Some(NS_PER_SECOND));
}

#[test]
fn flags_are_set_without_their_enable() {
    let mut rtc = RtcBench::new();

    rtc.run_seconds(1);

    assert!(!rtc.irq());
    assert_eq!(rtc.get(REGISTER_C), UPDATE_ENDED | PERIODIC, "and no IRQF");
    assert_eq!(rtc.get(REGISTER_C), 0);
}

#[test]
fn enabling_an_interrupt_whose_flag_is_set_raises_it() {
    let mut rtc = RtcBench::new();
    rtc.run_seconds(1);

    rtc.set(REGISTER_B, B_UIE | B_24_HOURS);

    assert!(rtc.irq());
}

#[test]
fn the_alarm_comes_at_its_time() {
    // From 23:59:57: the alarm (hours, minutes, seconds), and the seconds until it comes.
    for (alarm, seconds) in [
        ([0x23, 0x59, 0x59], 2),
        ([0x00, 0x00, 0x00], 3),
        ([0x23, 0x59, 0x57], 86_400),
        ([0x12, 0x30, 0x15], 3 + 12 * 3600 + 30 * 60 + 15),
        ([0xff, 0xff, 0xff], 1),
        ([0xc0, 0x00, 0x00], 3),
        ([0xff, 0xff, 0x30], 33),
        ([0xff, 0x05, 0x10], 3 + 310),
        ([0x01, 0xff, 0xff], 3 + 3600),
        ([0x23, 0xff, 0x10], 3 + 23 * 3600 + 10),
    ] {
        let mut rtc = RtcBench::new();
        rtc.set(HOURS_ALARM, alarm[0]);
        rtc.set(MINUTES_ALARM, alarm[1]);
        rtc.set(SECONDS_ALARM, alarm[2]);
        rtc.get(REGISTER_C);
        rtc.set(REGISTER_B, B_AIE | B_24_HOURS);

        assert_eq!(rtc.to_event(), Some(seconds * NS_PER_SECOND), "alarm {alarm:x?}");
        rtc.run_seconds(seconds - 1);
        assert!(!rtc.irq(), "alarm {alarm:x?}");
        rtc.run_seconds(1);
        assert!(rtc.irq(), "alarm {alarm:x?}");
        assert_eq!(rtc.get(REGISTER_C) & (C_IRQF | ALARM), C_IRQF | ALARM);
    }
}

#[test]
fn an_alarm_at_no_time_never_comes() {
    for alarm in [[0x24, 0x00, 0x00], [0x00, 0x60, 0x00], [0x00, 0x00, 0x5a]] {
        let mut rtc = RtcBench::new();
        rtc.set(HOURS_ALARM, alarm[0]);
        rtc.set(MINUTES_ALARM, alarm[1]);
        rtc.set(SECONDS_ALARM, alarm[2]);
        rtc.get(REGISTER_C);
        rtc.set(REGISTER_B, B_AIE | B_24_HOURS);

        assert_eq!(rtc.to_event(), None, "alarm {alarm:x?}");
    }
}

#[test]
fn the_alarm_knows_the_twelve_hour_mode() {
    let mut rtc = RtcBench::new();
    rtc.set(REGISTER_B, B_AIE);
    rtc.set(HOURS, 0x91); // 11 p.m.
    rtc.set(HOURS_ALARM, 0x12); // midnight
    rtc.set(MINUTES_ALARM, 0x00);
    rtc.set(SECONDS_ALARM, 0x00);
    rtc.get(REGISTER_C);

    assert_eq!(rtc.to_event(), Some(3 * NS_PER_SECOND));
}

#[test]
fn reset_keeps_time_and_memory() {
    let mut rtc = RtcBench::new();
    rtc.set(REGISTER_B, 0x7a);
    rtc.set(0x40, 0x99);
    rtc.run_seconds(1);
    assert!(rtc.irq());

    rtc.0.chip.reset(rtc.0.now);

    assert!(!rtc.irq());
    assert_eq!(rtc.get(REGISTER_B), B_24_HOURS);
    assert_eq!(rtc.get(REGISTER_C), 0);
    assert_eq!(rtc.get(0x40), 0x99);
    assert_eq!(rtc.time(), [0x23, 0x59, 0x58]);
}

#[test]
fn registers_c_and_d_are_read_only() {
    let mut rtc = RtcBench::new();
    rtc.set(REGISTER_C, 0xff);
    rtc.set(REGISTER_D, 0x00);

    assert_eq!(rtc.get(REGISTER_C), 0x00);
    assert_eq!(rtc.get(REGISTER_D), 0x80);
}

#[test]
fn the_index_port_masks_the_nmi() {
    let mut rtc = RtcBench::new();
    rtc.0.write(0, 0x80 | REGISTER_D);

    assert!(rtc.0.chip.nmi_masked());
    assert_eq!(rtc.0.read(1), 0x80);
    assert_eq!(rtc.0.read(0), OPEN_BUS);
}

#[test]
fn memory_sizes_stand_where_firmware_looks() {
    const MIB: u64 = 1 << 20;
    let mut rtc = RtcBench::new();

    rtc.0.chip.set_memory_size(512 * MIB, 4096 * MIB);

    let word = |rtc: &mut RtcBench, low| u16::from_le_bytes([rtc.get(low), rtc.get(low + 1)]);
    assert_eq!(word(&mut rtc, 0x15), 640);
    assert_eq!(word(&mut rtc, 0x17), 0xffff);
    assert_eq!(word(&mut rtc, 0x30), 0xffff);
    assert_eq!(word(&mut rtc, 0x34), 496 * 16);
    assert_eq!((word(&mut rtc, 0x5b), rtc.get(0x5d)), (0, 1));
    let sum: u16 = (0x10..=0x2d).map(|index| u16::from(rtc.get(index))).sum();
    assert_eq!(u16::from_be_bytes([rtc.get(0x2e), rtc.get(0x2f)]), sum);
}
