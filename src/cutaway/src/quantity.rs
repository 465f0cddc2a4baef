//! Sizes, addresses and dates as the command line gives them.

use cutaway::isa::CodeSize;

/// A code size: `16`, `32` or `64`.
pub(crate) fn parse_bits(text: &str) -> Result<CodeSize, String> {
    match text {
        "16" => Ok(CodeSize::Bits16),
        "32" => Ok(CodeSize::Bits32),
        "64" => Ok(CodeSize::Bits64),
        _ => Err("give 16, 32 or 64".to_owned()),
    }
}

/// An address such as `0x7c00`, `7c00h` or `31744`.
pub(crate) fn parse_address(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.strip_prefix("0x").or_else(|| lower.strip_suffix('h'));
    let (digits, radix) = digits.map_or((lower.as_str(), 10), |digits| (digits, 16));
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u64::from_str_radix(digits, radix).ok().filter(|_| plain);
    number.ok_or_else(|| "give an address such as 0x7c00, 7c00h or 31744".to_owned())
}

/// Bytes from a size such as `512`, `512M` or `2G`; without a suffix it is mebibytes.
pub(crate) fn parse_memory(text: &str) -> Result<u64, String> {
    let wrong = || "give a size such as 512M or 2G; a plain number is MiB".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "k" | "kib" => 1 << 10,
        "" | "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1_u64 << 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

/// Where the RTC starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RtcStart {
    /// At the host's time.
    Now,
    /// At this many seconds since 1970-01-01, UTC.
    At(i64),
}

/// `now`, a date `2026-01-01`, or a date and time `2026-01-01T12:00:00`, in UTC.
pub(crate) fn parse_rtc(text: &str) -> Result<RtcStart, String> {
    if text == "now" {
        return Ok(RtcStart::Now);
    }
    seconds_of(text)
        .map(RtcStart::At)
        .ok_or_else(|| "give now or a UTC time such as 2026-01-01T12:00:00".to_owned())
}

/// Seconds since 1970 of a date in the years the chip can show.
fn seconds_of(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let valid = (1980..=2099).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second);
    let seconds = hour * 3600 + minute * 60 + second;
    valid.then(|| days_since_1970(year, month, day) * 86_400 + seconds)
}

/// Three decimal numbers with a separator between them.
fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for number in &mut numbers {
        let part = parts.next()?;
        let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = if plain { part.parse().ok()? } else { return None };
    }
    parts.next().is_none().then_some(numbers)
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + is_leap(year) as i64,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let years: i64 = (1970..year).map(|year| 365 + i64::from(is_leap(year))).sum();
    let months: i64 = (1..month).map(|month| days_in(year, month)).sum();
    years + months + day - 1
}

/// The size of a screen, such as `120x40`.
pub(crate) fn parse_size(text: &str) -> Result<(u16, u16), String> {
    let size = || {
        let (width, height) = text.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?))
    };
    match size() {
        Some((width @ 80..=500, height @ 24..=200)) => Ok((width, height)),
        _ => Err("give a size from 80x24 to 500x200, such as 120x40".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_size_is_mebibytes() {
        assert_eq!(parse_memory("512"), Ok(512 << 20));
        assert_eq!(parse_memory("64K"), Ok(64 << 10));
        assert_eq!(parse_memory("2g"), Ok(2 << 30));
    }

    #[test]
    fn a_size_that_is_none_is_refused() {
        for wrong in ["", "M", "12Q", "-1", "1.5G", "99999999999999G", "é"] {
            assert!(parse_memory(wrong).is_err(), "{wrong:?}");
        }
    }

    /// The expected values are those of `date -u -d … +%s`.
    #[test]
    fn dates_are_seconds_since_1970() {
        assert_eq!(parse_rtc("now"), Ok(RtcStart::Now));
        assert_eq!(parse_rtc("2000-01-01"), Ok(RtcStart::At(946_684_800)));
        assert_eq!(parse_rtc("2024-02-29T23:59:59Z"), Ok(RtcStart::At(1_709_251_199)));
        assert_eq!(parse_rtc("2026-01-01 12:00:00"), Ok(RtcStart::At(1_767_268_800)));
    }

    #[test]
    fn a_date_that_is_none_is_refused() {
        for wrong in ["", "2023-02-29", "2026-13-01", "2026-01-01T24:00:00", "2026-01", "yesterday"]
        {
            assert!(parse_rtc(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn sizes_of_screens_have_bounds() {
        assert_eq!(parse_size("120x40"), Ok((120, 40)));
        for text in ["", "x", "79x24", "80x23", "501x40", "80", "80x24x1", "-1x30"] {
            assert!(parse_size(text).unwrap_err().contains("80x24"), "{text}");
        }
    }
}
