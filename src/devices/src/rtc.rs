//! Motorola MC146818 real-time clock (RTC) with 128 bytes of CMOS memory, 114 of them free.
//!
//! Source: Motorola MC146818 datasheet, "Address Map", "Interrupts", "Divider Stages", "Registers";
//! the place of the century byte (0x32) is the one the ACPI table FADT names.
//! Time: the 32,768 Hz divider runs from power-on; time and flags are worked out when looked at.
//! Only interrupts that are enabled are events. During an update cycle (UIP) the time still reads
//! as before it.
//! Not modelled: the time bases of 4.194304 MHz and 1.048576 MHz (with a 32,768 Hz crystal the
//! divider then stands still here), the square wave output, daylight saving (bit DSE is kept).
//! Unverified: fields that are no valid time (13 o'clock in 12-hour mode, month 0) are taken
//! for the nearest valid value when the next update comes.

mod calendar;
mod inspect;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::{Ctx, GuestTime, OPEN_BUS, PortDevice};
use calendar::DateTime;

/// Frequency of the crystal in Hz.
pub const RTC_HZ: u32 = 32_768;

const SECONDS: u8 = 0x00;
const SECONDS_ALARM: u8 = 0x01;
const MINUTES: u8 = 0x02;
const MINUTES_ALARM: u8 = 0x03;
const HOURS: u8 = 0x04;
const HOURS_ALARM: u8 = 0x05;
const DAY_OF_WEEK: u8 = 0x06;
const DAY_OF_MONTH: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const REGISTER_A: u8 = 0x0a;
const REGISTER_B: u8 = 0x0b;
const REGISTER_C: u8 = 0x0c;
const REGISTER_D: u8 = 0x0d;
/// Memory below is kept by the PC's firmware: 0x10 to 0x2d are summed up in 0x2e and 0x2f.
const CHECKSUM: u8 = 0x2e;
const CENTURY: u8 = 0x32;

const A_UIP: u8 = 0x80;
const A_DIVIDER: u8 = 0x70;
const A_DIVIDER_32768_HZ: u8 = 0x20;
const A_RATE: u8 = 0x0f;
/// After reset: divider on, 1024 Hz.
const A_POWER_ON: u8 = 0x26;

const B_SET: u8 = 0x80;
const B_UIE: u8 = 0x10;
const B_BINARY: u8 = 0x04;
const B_24_HOURS: u8 = 0x02;
/// What the RESET pin clears: PIE, AIE, UIE, SQWE.
const B_CLEARED_BY_RESET: u8 = 0x78;

/// Flags of register C; each has its enable at the same bit of register B.
const C_IRQF: u8 = 0x80;
const PERIODIC: u8 = 0x40;
const ALARM: u8 = 0x20;
const UPDATE_ENDED: u8 = 0x10;

const D_VALID_RAM_AND_TIME: u8 = 0x80;

/// Clocks of the crystal in a second.
const SECOND: u64 = RTC_HZ as u64;
/// UIP is set 244 µs before the update cycle, which takes 1984 µs: 8 + 65 clocks.
const UIP_CLOCKS: u64 = 73;
/// An alarm byte from here on matches always.
const ALARM_ANY: u8 = 0xc0;
const PM: u8 = 0x80;

/// The chip. Offset 0 is the index (on a PC port 0x70), offset 1 the data (0x71).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rtc {
    index: u8,
    nmi_masked: bool,
    /// All bytes as of the crystal's clock `settled`.
    cmos: [[u8; 32]; 4],
    /// PF, AF and UF as of `settled`.
    flags: u8,
    settled: u64,
    /// The clock of an end of an update cycle; the others are whole seconds apart.
    update_phase: u64,
}

impl Rtc {
    /// The chip with its battery, showing `unix_seconds` (since 1970, UTC) at power-on, in BCD and
    /// 24-hour mode; the memory is zero.
    pub fn new(unix_seconds: i64) -> Self {
        let mut rtc = Self {
            index: 0,
            nmi_masked: false,
            cmos: [[0; 32]; 4],
            flags: 0,
            settled: 0,
            update_phase: SECOND,
        };
        rtc.put(REGISTER_A, A_POWER_ON);
        rtc.put(REGISTER_B, B_24_HOURS);
        rtc.show(DateTime::from_unix_seconds(unix_seconds));
        rtc
    }

    /// The RESET pin: interrupts are off, time and memory stay.
    pub fn reset(&mut self, now: GuestTime) {
        self.settle(now.clocks(RTC_HZ));
        self.flags = 0;
        self.put(REGISTER_B, self.get(REGISTER_B) & !B_CLEARED_BY_RESET);
        self.index = 0;
        self.nmi_masked = false;
    }

    /// The IRQ pin, active until register C is read.
    pub fn irq(&self, now: GuestTime) -> bool {
        self.flags_at(now.clocks(RTC_HZ)) & self.enabled() != 0
    }

    /// Bit 7 of the index port, which on a PC masks the NMI.
    pub fn nmi_masked(&self) -> bool {
        self.nmi_masked
    }

    /// A byte of CMOS memory, 0x0e to 0x7f; others read as they were last settled.
    pub fn cmos(&self, index: u8) -> u8 {
        self.get(index & 0x7f)
    }

    /// Sets a byte of CMOS memory, 0x0e to 0x7f, and the firmware's checksum over 0x10 to 0x2d.
    pub fn set_cmos(&mut self, index: u8, value: u8) {
        if !(REGISTER_D + 1..0x80).contains(&index) {
            return;
        }
        self.put(index, value);
        let sum: u16 = (0x10..CHECKSUM).map(|index| u16::from(self.get(index))).sum();
        let [low, high] = sum.to_le_bytes();
        self.put(CHECKSUM, high);
        self.put(CHECKSUM + 1, low);
    }

    /// Sets the memory sizes where firmware looks for them: RAM in bytes below and above 4 GiB.
    pub fn set_memory_size(&mut self, below_4g: u64, above_4g: u64) {
        const KIB: u64 = 1024;
        let mut set = |low: u8, count: u64| {
            let [low_byte, high_byte] = (count.min(0xffff) as u16).to_le_bytes();
            self.set_cmos(low, low_byte);
            self.set_cmos(low + 1, high_byte);
        };
        let extended = below_4g.saturating_sub(1024 * KIB) / KIB;
        set(0x15, (below_4g / KIB).min(640));
        set(0x17, extended);
        set(0x30, extended);
        set(0x34, below_4g.saturating_sub(16 * 1024 * KIB) / (64 * KIB));
        let high_blocks = (above_4g / (64 * KIB)).min(0xff_ffff);
        set(0x5b, high_blocks & 0xffff);
        self.set_cmos(0x5d, (high_blocks >> 16) as u8);
    }

    fn read_data(&mut self, clock: u64) -> u8 {
        match self.index {
            REGISTER_A => self.get(REGISTER_A) | if self.is_updating(clock) { A_UIP } else { 0 },
            REGISTER_C => {
                self.settle(clock);
                let flags = std::mem::take(&mut self.flags);
                flags | if flags & self.enabled() != 0 { C_IRQF } else { 0 }
            }
            REGISTER_D => D_VALID_RAM_AND_TIME,
            index => {
                self.settle(clock);
                self.get(index)
            }
        }
    }

    fn write_data(&mut self, value: u8, clock: u64) {
        self.settle(clock);
        match self.index {
            REGISTER_A => {
                let was_running = self.divider_runs();
                self.put(REGISTER_A, value & !A_UIP);
                if self.divider_runs() && !was_running {
                    // "The first update cycle begins one-half second after" the divider is freed.
                    self.update_phase = clock + SECOND / 2;
                }
            }
            REGISTER_B => {
                let ends_updates = value & B_SET != 0;
                self.put(REGISTER_B, if ends_updates { value & !B_UIE } else { value });
            }
            REGISTER_C | REGISTER_D => {} // read-only
            index => self.put(index, value),
        }
    }

    /// Brings time and flags to `clock`.
    fn settle(&mut self, clock: u64) {
        self.flags = self.flags_at(clock);
        let updates = self.updates(self.settled, clock);
        if updates != 0 {
            self.show(self.shown().plus_seconds(updates));
        }
        self.settled = clock;
    }

    /// The flags of register C at `clock`, not before `settled`.
    fn flags_at(&self, clock: u64) -> u8 {
        let passed = |event: Option<u64>| event.is_some_and(|event| event <= clock);
        let flag = |set, flag| if set { flag } else { 0 };
        self.flags
            | flag(passed(self.next_tick(self.settled)), PERIODIC)
            | flag(passed(self.next_update(self.settled)), UPDATE_ENDED)
            | flag(self.flags & ALARM == 0 && passed(self.next_alarm(self.settled)), ALARM)
    }

    /// The interrupts that register B enables.
    fn enabled(&self) -> u8 {
        self.get(REGISTER_B) & (PERIODIC | ALARM | UPDATE_ENDED)
    }

    fn divider_runs(&self) -> bool {
        self.get(REGISTER_A) & A_DIVIDER == A_DIVIDER_32768_HZ
    }

    fn has_updates(&self) -> bool {
        self.divider_runs() && self.get(REGISTER_B) & B_SET == 0
    }

    fn is_updating(&self, clock: u64) -> bool {
        self.next_update(clock).is_some_and(|end| end - clock <= UIP_CLOCKS)
    }

    /// The next tick of the periodic interrupt after `clock`.
    fn next_tick(&self, clock: u64) -> Option<u64> {
        let rate = self.get(REGISTER_A) & A_RATE;
        if rate == 0 || !self.divider_runs() {
            return None;
        }
        // Rates 1 and 2 are those of 8 and 9: 256 Hz and 128 Hz.
        let period = 1 << if rate <= 2 { rate + 6 } else { rate - 1 };
        Some(next_multiple(clock, self.update_phase, period))
    }

    /// The end of the next update cycle after `clock`.
    fn next_update(&self, clock: u64) -> Option<u64> {
        self.has_updates().then(|| {
            if clock < self.update_phase {
                self.update_phase
            } else {
                next_multiple(clock, self.update_phase, SECOND)
            }
        })
    }

    /// Update cycles that end after `from` and not after `to`.
    fn updates(&self, from: u64, to: u64) -> u64 {
        match self.next_update(from) {
            Some(first) if first <= to => (to - first) / SECOND + 1,
            _ => 0,
        }
    }

    /// The end of the next update cycle after `clock` (not before `settled`) that brings the time
    /// of the alarm.
    fn next_alarm(&self, clock: u64) -> Option<u64> {
        let next_update = self.next_update(clock)?;
        let wanted = |index, number: Option<u32>, limit| match number {
            _ if self.get(index) >= ALARM_ANY => Some(None),
            Some(number) if number < limit => Some(Some(number)),
            _ => None, // never: no such time
        };
        let second = wanted(SECONDS_ALARM, self.number(SECONDS_ALARM), 60)?;
        let minute = wanted(MINUTES_ALARM, self.number(MINUTES_ALARM), 60)?;
        let hour = wanted(HOURS_ALARM, self.hour(HOURS_ALARM), 24)?;

        let shown = self.shown().plus_seconds(self.updates(self.settled, clock));
        let first = (shown.second_of_day + 1) % 86_400;
        let matched = next_match(first, hour, minute, second)?;
        Some(next_update.saturating_add(u64::from(matched) * SECOND))
    }

    /// The time that the registers show.
    fn shown(&self) -> DateTime {
        let in_range = |number: Option<u32>, low, high| number.unwrap_or(high).clamp(low, high);
        let hour = in_range(self.hour(HOURS), 0, 23);
        let minute = in_range(self.number(MINUTES), 0, 59);
        let second = in_range(self.number(SECONDS), 0, 59);
        let year = in_range(self.number(YEAR), 0, 99);
        DateTime {
            year: in_range(self.number(CENTURY), 0, 99) * 100 + year,
            month: in_range(self.number(MONTH), 1, 12),
            day: in_range(self.number(DAY_OF_MONTH), 1, 31),
            weekday: in_range(self.number(DAY_OF_WEEK), 1, 7),
            second_of_day: (hour * 60 + minute) * 60 + second,
        }
    }

    fn show(&mut self, time: DateTime) {
        let (hour, minute) = (time.second_of_day / 3600, time.second_of_day / 60 % 60);
        let hours = if self.get(REGISTER_B) & B_24_HOURS != 0 {
            self.encoded(hour)
        } else {
            self.encoded((hour + 11) % 12 + 1) | if hour >= 12 { PM } else { 0 }
        };
        for (index, value) in [
            (SECONDS, self.encoded(time.second_of_day % 60)),
            (MINUTES, self.encoded(minute)),
            (HOURS, hours),
            (DAY_OF_WEEK, self.encoded(time.weekday)),
            (DAY_OF_MONTH, self.encoded(time.day)),
            (MONTH, self.encoded(time.month)),
            (YEAR, self.encoded(time.year % 100)),
            (CENTURY, self.encoded(time.year / 100)),
        ] {
            self.put(index, value);
        }
    }

    /// The hours, 0 to 23, from a register in 24- or 12-hour mode.
    fn hour(&self, index: u8) -> Option<u32> {
        if self.get(REGISTER_B) & B_24_HOURS != 0 {
            return self.number(index);
        }
        let raw = self.get(index);
        let hour = self.decoded(raw & !PM).filter(|hour| (1..=12).contains(hour))?;
        Some(hour % 12 + if raw & PM != 0 { 12 } else { 0 })
    }

    /// The number that a register holds in BCD or binary.
    fn number(&self, index: u8) -> Option<u32> {
        self.decoded(self.get(index))
    }

    fn decoded(&self, raw: u8) -> Option<u32> {
        let (tens, ones) = (u32::from(raw >> 4), u32::from(raw & 15));
        if self.get(REGISTER_B) & B_BINARY != 0 {
            Some(u32::from(raw))
        } else {
            (tens < 10 && ones < 10).then_some(tens * 10 + ones)
        }
    }

    fn encoded(&self, number: u32) -> u8 {
        if self.get(REGISTER_B) & B_BINARY != 0 {
            number as u8
        } else {
            ((number / 10) << 4 | (number % 10)) as u8
        }
    }

    fn get(&self, index: u8) -> u8 {
        self.cmos[usize::from(index >> 5 & 3)][usize::from(index & 31)]
    }

    fn put(&mut self, index: u8, value: u8) {
        self.cmos[usize::from(index >> 5 & 3)][usize::from(index & 31)] = value;
    }
}

/// The first clock after `clock` that is whole periods away from `phase`. The period is a power
/// of two.
fn next_multiple(clock: u64, phase: u64, period: u64) -> u64 {
    let since = clock.wrapping_sub(phase) & (period - 1);
    clock.saturating_add(period - since)
}

/// Seconds from `first` (a second of the day) to the first second that has the given parts, in
/// which `None` is any.
fn next_match(
    first: u32,
    hour: Option<u32>,
    minute: Option<u32>,
    second: Option<u32>,
) -> Option<u32> {
    let fits = |wanted: Option<u32>, value| wanted.is_none_or(|wanted| wanted == value);
    // From hour to hour and minute to minute; the seconds then follow directly.
    let mut at = first;
    let end = first + 2 * 86_400;
    while at < end {
        if !fits(hour, at / 3600 % 24) {
            at = (at / 3600 + 1) * 3600;
        } else if !fits(minute, at / 60 % 60) {
            at = (at / 60 + 1) * 60;
        } else {
            let to_second = second.map_or(0, |second| (second + 60 - at % 60) % 60);
            if at % 60 + to_second < 60 {
                return Some(at + to_second - first);
            }
            at = (at / 60 + 1) * 60;
        }
    }
    None
}

impl PortDevice for Rtc {
    fn read(&mut self, offset: u16, ctx: &mut Ctx<'_>) -> u8 {
        match offset {
            1 => self.read_data(ctx.now.clocks(RTC_HZ)),
            _ => OPEN_BUS, // the index is write-only
        }
    }

    fn write(&mut self, offset: u16, value: u8, ctx: &mut Ctx<'_>) {
        match offset {
            0 => {
                self.index = value & 0x7f;
                self.nmi_masked = value & 0x80 != 0;
            }
            1 => self.write_data(value, ctx.now.clocks(RTC_HZ)),
            _ => {}
        }
    }

    /// The next interrupt of those enabled; none while one waits for register C to be read.
    fn next_event(&self, now: GuestTime) -> Option<GuestTime> {
        let (clock, enabled) = (now.clocks(RTC_HZ), self.enabled());
        if enabled == 0 || self.irq(now) {
            return None;
        }
        let if_enabled = |flag: u8, next: Option<u64>| next.filter(|_| enabled & flag != 0);
        [
            if_enabled(PERIODIC, self.next_tick(clock)),
            if_enabled(UPDATE_ENDED, self.next_update(clock)),
            if_enabled(ALARM, self.next_alarm(clock)),
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|event| GuestTime::at_clock(event, RTC_HZ))
    }
}
