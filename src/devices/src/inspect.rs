//! What a chip shows of itself to a person: its registers by the datasheet's names, with their
//! bits in words. Looking changes nothing, other than reading a port.

/// A register, pin or buffer of a chip, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The name, as the datasheet has it.
    pub name: String,
    /// The contents, for a person.
    pub value: String,
}

impl Reading {
    pub(crate) fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }

    /// A register of 8 bits with the names of those that are set.
    pub(crate) fn bits(name: &str, value: u8, names: &[(u8, &str)]) -> Self {
        let set: Vec<_> =
            names.iter().filter(|(bit, _)| value & bit != 0).map(|(_, n)| *n).collect();
        Self::new(name, format!("{value:02x} {}", set.join(" ")).trim_end())
    }
}

/// Bytes of a buffer.
pub(crate) fn bytes_text(bytes: impl Iterator<Item = u8>) -> String {
    let all: Vec<_> = bytes.map(|byte| format!("{byte:02x}")).collect();
    if all.is_empty() { "empty".to_owned() } else { all.join(" ") }
}

/// `yes` and `no` as a level of a pin.
pub(crate) fn level(high: bool) -> &'static str {
    if high { "high" } else { "low" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_named_after_the_value() {
        let reading = Reading::bits("LSR", 0x60, &[(0x20, "THRE"), (0x40, "TEMT"), (0x01, "DR")]);

        assert_eq!(reading.value, "60 THRE TEMT");
        assert_eq!(Reading::bits("LSR", 0, &[(1, "DR")]).value, "00");
        assert_eq!(bytes_text([].into_iter()), "empty");
    }
}
