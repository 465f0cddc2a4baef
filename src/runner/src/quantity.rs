//! Durations, sizes, dates and bytes as test files give them.

/// The longest time that a test can name: a day.
pub(crate) const MAX_NS: u64 = 86_400 * SECOND;
const SECOND: u64 = 1_000_000_000;

/// Units of guest time, the longest first.
const UNITS: [(&str, u64); 5] =
    [("min", 60 * SECOND), ("s", SECOND), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

/// Nanoseconds from a time such as `10ms`, up to a day.
pub(crate) fn parse_time(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("'{text}' is no time: give a number with ns, us, ms, s or min, up to 1440min");
    let (number, unit) = split(text);
    let (_, ns) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(*ns).filter(|ns| *ns <= MAX_NS).ok_or_else(wrong)
}

/// A time in the largest unit that leaves a whole number.
pub(crate) fn show_time(ns: u64) -> String {
    let fits = |unit: u64| ns.is_multiple_of(unit) && ns > 0;
    let unit = UNITS.iter().find(|(_, unit)| fits(*unit)).unwrap_or(&UNITS[4]);
    format!("{} {}", ns / unit.1, unit.0)
}

/// A point in guest time, rounded to something that can be read.
pub(crate) fn show_about(ns: u64) -> String {
    let (unit, name, digits) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (1_000, "us", 3),
        1_000_000..SECOND => (1_000_000, "ms", 3),
        _ => (SECOND, "s", 3),
    };
    let thousandths = ns / (unit / 1_000);
    format!("{}.{:0digits$} {name}", thousandths / 1_000, thousandths % 1_000)
}

/// Bytes from a size such as `512K`, `64M` or `2G`; without a unit it is mebibytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no size: give one such as 64M or 2G");
    let (number, unit) = split(text);
    let unit: u64 = match unit {
        "K" => 1 << 10,
        "" | "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

/// Digits and what follows them.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// A number, decimal or as `0x…`, `0b…`, `0o…`, with `_` between digits where one likes.
pub(crate) fn parse_number(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no number of 64 bits");
    let digits = text.replace('_', "");
    let (digits, radix) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        Some("0b") => (&digits[2..], 2),
        Some("0o") => (&digits[2..], 8),
        _ => (&digits[..], 10),
    };
    if digits.starts_with(['+', '-']) {
        return Err(wrong());
    }
    u64::from_str_radix(digits, radix).map_err(|_| wrong())
}

/// Bytes written as pairs of hexadecimal digits, with spaces where one likes.
pub(crate) fn parse_bytes(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("'{text}' is no bytes: give pairs of hexadecimal digits, as in 'eb fe'");
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let value = |digit: u8| (digit as char).to_digit(16);
    let byte = |pair: &[u8]| Some((value(pair[0])? << 4 | value(pair[1])?) as u8);
    digits.chunks_exact(2).map(|pair| byte(pair).ok_or_else(wrong)).collect()
}

/// Bytes as [`parse_bytes`] takes them.
pub(crate) fn show_bytes(bytes: &[u8]) -> String {
    let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

/// Seconds since 1970 of a date and time such as `2026-01-01T12:00:00`, in UTC, or of a date.
pub(crate) fn parse_date(text: &str) -> Result<i64, String> {
    let wrong =
        || format!("'{text}' is no date from 1980 to 2099: give one such as 2026-01-01T12:00:00");
    let parsed: toml::value::Datetime = text.parse().map_err(|_| wrong())?;
    let date = parsed.date.filter(|date| (1980..=2099).contains(&date.year)).ok_or_else(wrong)?;
    let midnight = toml::value::Time { hour: 0, minute: 0, second: Some(0), nanosecond: None };
    let time = parsed.time.unwrap_or(midnight);
    let is_utc = parsed.offset.is_none_or(|offset| offset == toml::value::Offset::Z);
    let second = time.second.unwrap_or(0);
    if !is_utc || time.nanosecond.unwrap_or(0) != 0 || second > 59 {
        return Err(wrong());
    }
    let year = i64::from(date.year);
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_years: i64 = (1970..year).map(|year| 365 + i64::from(is_leap(year))).sum();
    let lengths = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days_of_months: i64 = lengths.iter().take(usize::from(date.month) - 1).sum();
    let days = days_of_years + days_of_months + i64::from(date.day) - 1;
    let seconds = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(second);
    Ok(days * 86_400 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(parse_time("10ms"), Ok(10_000_000));
        assert_eq!(parse_time("2min"), Ok(120 * SECOND));
        assert_eq!(parse_time("0ns"), Ok(0));
        for wrong in ["", "10", "ms", "1.5s", "-1s", "1441min", "99999999999999999999s", "1 s", "é"]
        {
            assert!(parse_time(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_time_is_shown_in_its_largest_whole_unit() {
        let shown = [0, 1, 90 * SECOND, 120 * SECOND, 1_500_000].map(show_time);
        assert_eq!(shown, ["0 ns", "1 ns", "90 s", "2 min", "1500 us"]);
        let shown = [7, 1_500, 2_000_001, 61 * SECOND].map(show_about);
        assert_eq!(shown, ["7 ns", "1.500 us", "2.000 ms", "61.000 s"]);
    }

    #[test]
    fn a_size_without_unit_is_mebibytes() {
        assert_eq!(parse_size("64"), Ok(64 << 20));
        assert_eq!(parse_size("512K"), Ok(512 << 10));
        assert_eq!(parse_size("2G"), Ok(2 << 30));
        for wrong in ["", "M", "1T", "1.5G", "99999999999G"] {
            assert!(parse_size(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn numbers_reach_to_64_bits() {
        assert_eq!(parse_number("0xffff_ffff_8000_0000"), Ok(0xffff_ffff_8000_0000));
        assert_eq!(parse_number("18446744073709551615"), Ok(u64::MAX));
        for wrong in ["", "0x", "-1", "0x-1", "18446744073709551616", "1e3"] {
            assert!(parse_number(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn bytes_are_pairs_of_digits() {
        assert_eq!(parse_bytes("EB fe00"), Ok(vec![0xeb, 0xfe, 0]));
        for wrong in ["", "e", "eb f", "xy", "+1"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong:?}");
        }
    }

    /// The expected values are those of `date -u -d … +%s`.
    #[test]
    fn dates_are_seconds_since_1970() {
        assert_eq!(parse_date("2000-01-01"), Ok(946_684_800));
        assert_eq!(parse_date("2024-02-29T23:59:59Z"), Ok(1_709_251_199));
        assert_eq!(parse_date("2026-01-01 12:00:00"), Ok(1_767_268_800));
        for wrong in
            ["", "now", "2023-02-29", "1979-12-31", "12:00:00", "2026-01-01T00:00:00+01:00"]
        {
            assert!(parse_date(wrong).is_err(), "{wrong:?}");
        }
    }
}
