//! The MC146818 as a person reads it.

use super::{
    A_UIP, ALARM, B_24_HOURS, B_BINARY, B_SET, B_UIE, C_IRQF, CENTURY, DAY_OF_MONTH, HOURS,
    HOURS_ALARM, MINUTES, MINUTES_ALARM, MONTH, PERIODIC, REGISTER_A, REGISTER_B, RTC_HZ, Rtc,
    SECONDS, SECONDS_ALARM, UPDATE_ENDED, YEAR,
};
use crate::GuestTime;
use crate::inspect::Reading;

const A_NAMES: [(u8, &str); 1] = [(A_UIP, "UIP")];
const B_NAMES: [(u8, &str); 7] = [
    (B_SET, "SET"),
    (PERIODIC, "PIE"),
    (ALARM, "AIE"),
    (B_UIE, "UIE"),
    (0x08, "SQWE"),
    (B_BINARY, "binary"),
    (B_24_HOURS, "24h"),
];
const C_NAMES: [(u8, &str); 4] =
    [(C_IRQF, "IRQF"), (PERIODIC, "PF"), (ALARM, "AF"), (UPDATE_ENDED, "UF")];

impl Rtc {
    /// Time, alarm and control registers at an instant.
    #[must_use]
    pub fn inspect(&self, now: GuestTime) -> Vec<Reading> {
        let mut rtc = self.clone();
        let clock = now.clocks(RTC_HZ);
        rtc.settle(clock);
        let byte = |index| rtc.get(index);
        let uip = if rtc.is_updating(clock) { A_UIP } else { 0 };
        let irqf = if rtc.irq(now) { C_IRQF } else { 0 };
        vec![
            Reading::new("index", format!("{:02x}", self.index)),
            Reading::new(
                "time (as stored)",
                format!("{:02x}:{:02x}:{:02x}", byte(HOURS), byte(MINUTES), byte(SECONDS)),
            ),
            Reading::new(
                "date (as stored)",
                format!(
                    "{:02x}{:02x}-{:02x}-{:02x}",
                    byte(CENTURY),
                    byte(YEAR),
                    byte(MONTH),
                    byte(DAY_OF_MONTH)
                ),
            ),
            Reading::new(
                "alarm",
                format!(
                    "{:02x}:{:02x}:{:02x}",
                    byte(HOURS_ALARM),
                    byte(MINUTES_ALARM),
                    byte(SECONDS_ALARM)
                ),
            ),
            Reading::bits("A", byte(REGISTER_A) & !A_UIP | uip, &A_NAMES),
            Reading::bits("B", byte(REGISTER_B), &B_NAMES),
            Reading::bits("C", rtc.flags | irqf, &C_NAMES),
            Reading::new("NMI", if self.nmi_masked { "masked" } else { "not masked" }),
        ]
    }
}
