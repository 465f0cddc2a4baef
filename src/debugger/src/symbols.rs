//! Names of addresses, as `nm` and Linux's System.map list them: address, type, name.

/// Names, by address and by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    /// Ascending; of several names of one address the first of the file comes first.
    by_address: Vec<(u64, String)>,
    /// Places in `by_address`, by name.
    by_name: Vec<usize>,
}

/// A line of a symbol file that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is no symbol: give lines of ADDRESS TYPE NAME, as nm writes them")]
pub struct SymbolError {
    /// The line, from 1.
    pub line: usize,
}

/// Symbols that a file may have.
const MAX_SYMBOLS: usize = 1_000_000;
/// What lies further behind a symbol does not belong to it.
const MAX_OFFSET: u64 = 0x10_0000;

impl Symbols {
    /// The symbols of a file's text. Symbols without an address are left out.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn parse(text: &str) -> Result<Self, SymbolError> {
        let mut by_address = Vec::new();
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let mut words = line.split_whitespace();
            let (first, second) = (words.next().unwrap_or_default(), words.next());
            let name = words.next();
            if first.len() == 1 && name.is_none() {
                continue; // undefined: `U name`
            }
            let address = u64::from_str_radix(first.trim_start_matches("0x"), 16);
            let name = name.or(second.filter(|word| word.len() > 1));
            let (Ok(address), Some(name)) = (address, name) else {
                return Err(SymbolError { line: n + 1 });
            };
            if by_address.len() == MAX_SYMBOLS {
                return Err(SymbolError { line: n + 1 });
            }
            by_address.push((address, name.to_owned()));
        }
        by_address.sort_by_key(|(address, _)| *address);
        let mut by_name: Vec<usize> = (0..by_address.len()).collect();
        by_name.sort_by(|a, b| by_address[*a].1.cmp(&by_address[*b].1));
        Ok(Self { by_address, by_name })
    }

    /// The address of a name.
    #[must_use]
    pub fn address_of(&self, name: &str) -> Option<u64> {
        let at = self.by_name.binary_search_by(|at| self.by_address[*at].1.as_str().cmp(name));
        at.ok().map(|at| self.by_address[self.by_name[at]].0)
    }

    /// The name at or before an address, and how far behind it that lies.
    #[must_use]
    pub fn name_at(&self, address: u64) -> Option<(&str, u64)> {
        let end = self.by_address.partition_point(|(at, _)| *at <= address);
        let last = self.by_address[..end].last()?.0;
        let first = self.by_address.partition_point(|(at, _)| *at < last);
        let (at, name) = &self.by_address[first];
        (address - at <= MAX_OFFSET).then_some((name.as_str(), address - at))
    }

    /// `name` or `name+offset`, if there is one.
    #[must_use]
    pub fn text_of(&self, address: u64) -> Option<String> {
        let (name, offset) = self.name_at(address)?;
        Some(if offset == 0 { name.to_owned() } else { format!("{name}+{offset:#x}") })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00001000 T start\n00001000 t start_too\n\n00001100 t loop\n         U outside\n\
                        ffffffff81000000 T _text\n";

    #[test]
    fn addresses_have_names_and_names_addresses() {
        let symbols = Symbols::parse(TEXT).unwrap();

        assert_eq!(symbols.text_of(0x1000).as_deref(), Some("start"));
        assert_eq!(symbols.text_of(0x10ff).as_deref(), Some("start+0xff"));
        assert_eq!(symbols.text_of(0x1100).as_deref(), Some("loop"));
        assert_eq!(symbols.text_of(0xfff), None);
        assert_eq!(symbols.text_of(0x1000_0000), None);
        assert_eq!(symbols.address_of("start_too"), Some(0x1000));
        assert_eq!(symbols.address_of("_text"), Some(0xffff_ffff_8100_0000));
        assert_eq!(symbols.address_of("outside"), None);
    }

    #[test]
    fn a_line_that_is_no_symbol_is_named() {
        assert_eq!(Symbols::parse("1000 t a\nhello\n"), Err(SymbolError { line: 2 }));
        assert_eq!(Symbols::parse("xyz t a\n"), Err(SymbolError { line: 1 }));
        assert!(Symbols::parse("").unwrap().is_empty());
    }
}
