//! The calendar of the clock chip: seconds, days and dates as numbers.
//!
//! The chip takes every fourth year for a leap year, so its dates are counted as in the Julian
//! calendar: 1461 days in four years, without exception.

const DAYS_IN_FOUR_YEARS: u32 = 1461;
const SECONDS_IN_DAY: u64 = 24 * 60 * 60;

/// Days before each month, in a year that is no leap year, and of the whole year.
const DAYS_BEFORE: [u32; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];

/// A moment on the clock's face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DateTime {
    /// 0 to 9999.
    pub(super) year: u32,
    /// 1 to 12.
    pub(super) month: u32,
    /// 1 to 31.
    pub(super) day: u32,
    /// 1 to 7; 1 is Sunday.
    pub(super) weekday: u32,
    /// Since midnight, below 86,400.
    pub(super) second_of_day: u32,
}

impl DateTime {
    /// From seconds since 1970-01-01 00:00:00 UTC; outside of the years 0 to 9999, their borders.
    pub(super) fn from_unix_seconds(seconds: i64) -> Self {
        let seconds = seconds.clamp(-62_167_219_200, 253_402_300_799);
        let days = seconds.div_euclid(SECONDS_IN_DAY as i64);
        // Gregorian, with the year starting in March so that the leap day is its last:
        // 146,097 days in 400 years, 719,468 days from 0000-03-01 to 1970-01-01.
        let since = days + 719_468;
        let (era, day) = (since.div_euclid(146_097), since.rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day_of_year + 2) / 153; // 0 is March
        let january_or_february = month >= 10;
        Self {
            year: (era * 400 + year + i64::from(january_or_february)) as u32,
            month: (if january_or_february { month - 9 } else { month + 3 }) as u32,
            day: (day_of_year - (153 * month + 2) / 5 + 1) as u32,
            weekday: (days + 4).rem_euclid(7) as u32 + 1, // 1970-01-01 was a Thursday
            second_of_day: seconds.rem_euclid(SECONDS_IN_DAY as i64) as u32,
        }
    }

    /// So many seconds later. After the year 9999 comes the year 0.
    pub(super) fn plus_seconds(self, seconds: u64) -> Self {
        let seconds = u64::from(self.second_of_day) + seconds;
        let days = seconds / SECONDS_IN_DAY;
        let second_of_day = (seconds % SECONDS_IN_DAY) as u32;
        if days == 0 {
            return Self { second_of_day, ..self };
        }
        let all_days = u64::from(DAYS_IN_FOUR_YEARS) * 2500;
        let day = ((u64::from(self.day_number()) + days) % all_days) as u32;
        let weekday = ((u64::from(self.weekday) - 1 + days) % 7) as u32 + 1;
        Self { weekday, second_of_day, ..Self::from_day_number(day) }
    }

    /// Days since the first of January of the year 0.
    fn day_number(self) -> u32 {
        let before = days_before(self.month as usize - 1, self.year.is_multiple_of(4));
        self.year / 4 * DAYS_IN_FOUR_YEARS
            + if self.year.is_multiple_of(4) { 0 } else { self.year % 4 * 365 + 1 }
            + before
            + self.day
            - 1
    }

    fn from_day_number(number: u32) -> Self {
        let (four_years, day) = (number / DAYS_IN_FOUR_YEARS, number % DAYS_IN_FOUR_YEARS);
        let is_leap = day < 366;
        let (year, day) = if is_leap { (0, day) } else { ((day - 1) / 365, (day - 1) % 365) };
        let month = (1..=12).find(|month| day < days_before(*month, is_leap)).unwrap_or(12);
        Self {
            year: four_years * 4 + year,
            month: month as u32,
            day: day - days_before(month - 1, is_leap) + 1,
            weekday: 1,
            second_of_day: 0,
        }
    }
}

/// Days of the year before the month that comes after `months`.
fn days_before(months: usize, is_leap: bool) -> u32 {
    DAYS_BEFORE[months] + u32::from(is_leap && months >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: u32, month: u32, day: u32, weekday: u32, second_of_day: u32) -> DateTime {
        DateTime { year, month, day, weekday, second_of_day }
    }

    #[test]
    fn unix_seconds_are_dates() {
        for (seconds, expected) in [
            (0, date(1970, 1, 1, 5, 0)),
            (-1, date(1969, 12, 31, 4, 86_399)),
            (951_782_400, date(2000, 2, 29, 3, 0)),
            (1_709_164_800, date(2024, 2, 29, 5, 0)),
            (1_735_689_599, date(2024, 12, 31, 3, 86_399)),
            (i64::MAX, date(9999, 12, 31, 6, 86_399)),
            (i64::MIN, date(0, 1, 1, 7, 0)),
        ] {
            assert_eq!(DateTime::from_unix_seconds(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn dates_carry() {
        for (from, seconds, to) in [
            (date(1999, 12, 31, 6, 86_399), 1, date(2000, 1, 1, 7, 0)),
            (date(2023, 2, 28, 3, 86_399), 1, date(2023, 3, 1, 4, 0)),
            (date(2024, 2, 28, 4, 86_399), 1, date(2024, 2, 29, 5, 0)),
            (date(2024, 2, 29, 5, 0), 86_400, date(2024, 3, 1, 6, 0)),
            (date(2024, 12, 31, 3, 5), 366 * 86_400, date(2026, 1, 1, 5, 5)),
            (date(9999, 12, 31, 6, 86_399), 1, date(0, 1, 1, 7, 0)),
        ] {
            assert_eq!(from.plus_seconds(seconds), to, "{from:?} + {seconds}");
        }
    }

    /// The chip's calendar and the Gregorian one agree from March 1900 to February 2100.
    #[test]
    fn every_day_of_a_century_follows_the_one_before() {
        let start = DateTime::from_unix_seconds(-631_152_000); // 1950-01-01
        for day in 0..36_525 {
            let by_chip = start.plus_seconds(day * 86_400);
            let gregorian = DateTime::from_unix_seconds(-631_152_000 + day as i64 * 86_400);

            assert_eq!(by_chip, gregorian, "day {day}");
        }
    }
}
