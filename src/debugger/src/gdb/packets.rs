//! Packets out of bytes, before gdbstub sees them.
//!
//! gdbstub takes a session for broken at the first byte that it does not expect; here such bytes
//! are dropped, and a packet with a wrong checksum is asked for again. What gdbstub does not know
//! (QEMU's physical memory mode) or would choke on (reads beyond all bounds) is recognised here
//! by `session.rs`.
//!
//! Source: Debugging with GDB, appendix E, "GDB Remote Serial Protocol": "Overview", "Interrupts".

/// Longest packet, which gdb is told; also the size of gdbstub's buffer.
pub(crate) const MAX_PACKET: usize = 16 * 1024;

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// What is between `$` and `#`.
    Packet(Vec<u8>),
    /// Ctrl-C.
    Interrupt,
    /// A packet whose checksum is wrong.
    Damaged,
    /// A packet that is too long.
    TooLong,
}

/// The bytes of the packet that is coming.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    state: State,
    body: Vec<u8>,
    /// More came than fits.
    overflow: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Between,
    Body,
    Checksum,
    LastDigit(u8),
}

impl Packets {
    /// Takes a byte; returns what is complete with it.
    pub(crate) fn take(&mut self, byte: u8) -> Option<Incoming> {
        match self.state {
            State::Between if byte == b'$' => {
                self.body.clear();
                self.overflow = false;
                self.state = State::Body;
            }
            State::Between if byte == 0x03 => return Some(Incoming::Interrupt),
            // Acknowledgements, which TCP makes superfluous, and noise.
            State::Between => {}
            State::Body if byte == b'#' => self.state = State::Checksum,
            // Room for `$`, `#` and the checksum.
            State::Body if self.body.len() + 4 < MAX_PACKET => self.body.push(byte),
            State::Body => self.overflow = true,
            State::Checksum => self.state = State::LastDigit(byte),
            State::LastDigit(first) => {
                self.state = State::Between;
                let body = std::mem::take(&mut self.body);
                let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
                return Some(if self.overflow {
                    Incoming::TooLong
                } else if digits(first, byte) == Some(sum) {
                    Incoming::Packet(body)
                } else {
                    Incoming::Damaged
                });
            }
        }
        None
    }
}

fn digits(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// The two numbers of a packet like `m`: `ADDRESS,LENGTH`, in hexadecimal.
pub(crate) fn address_and_length(text: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, length) = text.split_once(',')?;
    let number = |text: &str| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_plain { u64::from_str_radix(text, 16).ok() } else { None }
    };
    Some((number(address)?, number(length)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<Incoming> {
        let mut packets = Packets::default();
        bytes.iter().filter_map(|byte| packets.take(*byte)).collect()
    }

    /// Checksums by hand: 'g' is 67h; "m0,4" is 6d + 30 + 2c + 34 = fdh.
    #[test]
    fn packets_come_out_between_noise() {
        let packet = |body: &[u8]| Incoming::Packet(body.to_vec());

        assert_eq!(all(b"+$g#67-+junk$m0,4#fd"), [packet(b"g"), packet(b"m0,4")]);
        assert_eq!(all(b"$g#FF$g#67"), [Incoming::Damaged, packet(b"g")]);
        assert_eq!(all(b"$g#zz"), [Incoming::Damaged]);
        assert_eq!(all(b"+\x03"), [Incoming::Interrupt]);
        assert_eq!(all(b"$\x03#03"), [packet(b"\x03")]);
        assert_eq!(all(b"$m0,4#f"), []);
    }

    #[test]
    fn a_packet_without_end_is_dropped_whole() {
        let mut bytes = vec![b'$'];
        bytes.resize(10 * MAX_PACKET, b'a');
        bytes.extend(b"#00$g#67");

        assert_eq!(all(&bytes), [Incoming::TooLong, Incoming::Packet(b"g".to_vec())]);
    }

    #[test]
    fn address_and_length_are_hexadecimal_and_bounded() {
        assert_eq!(address_and_length(b"ffff,10"), Some((0xffff, 0x10)));
        assert_eq!(address_and_length(b"+1,2"), None);
        assert_eq!(address_and_length(b"1"), None);
        assert_eq!(address_and_length(b"10000000000000000,1"), None);
    }
}
