//! Numbers in all of NASM's notations.
//!
//! Source: The Netwide Assembler manual, §3.4.1, "Numeric Constants".

/// The value of a number without underscores: at most 64 bits.
pub(super) fn parse(word: &str) -> Result<i128, String> {
    let lower = word.to_ascii_lowercase();
    let (digits, radix) = notation(&lower);
    let value = u64::from_str_radix(digits, radix);
    value.map(i128::from).map_err(|error| match error.kind() {
        std::num::IntErrorKind::PosOverflow => format!("{word} has more than 64 bits"),
        _ => format!("{word} is no number"),
    })
}

/// The digits and their base, from a prefix or a suffix.
fn notation(word: &str) -> (&str, u32) {
    if let Some(digits) = word.strip_prefix("0x").or_else(|| word.strip_prefix('$')) {
        return (digits, 16);
    }
    // Before the other prefixes, of which some are hexadecimal digits: 0b1h is b1h.
    if let Some(digits) = word.strip_suffix('h') {
        return (digits, 16);
    }
    let radix = |letter: char| match letter {
        'h' => Some(16),
        'b' | 'y' => Some(2),
        'o' | 'q' => Some(8),
        'd' | 't' => Some(10),
        _ => None,
    };
    let mut letters = word.chars();
    if letters.next() == Some('0')
        && let Some(radix) = letters.next().and_then(radix)
        && word.len() > 2
    {
        return (&word[2..], radix);
    }
    match word.chars().next_back() {
        Some(last) => match radix(last) {
            Some(radix) => (&word[..word.len() - 1], radix),
            None => (word, 10),
        },
        None => (word, 10),
    }
}
