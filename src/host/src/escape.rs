//! The escape key of the console: Ctrl-A and one more key speak to the program, everything else
//! goes to the guest. The same keys as in other emulators' serial consoles.

/// Ctrl-A.
const ESCAPE: u8 = 0x01;

/// What the person asks the program to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ctrl-A X: end the program.
    Leave,
    /// Ctrl-A S: save a snapshot.
    Save,
    /// Ctrl-A H: show the keys.
    Help,
}

/// One byte of input after the escape key was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// For the guest.
    Byte(u8),
    /// For the program.
    Command(Command),
}

/// The keys, for Ctrl-A H.
pub const HELP: &str = "\
Ctrl-A X   leave the program
Ctrl-A S   save a snapshot
Ctrl-A H   this help
Ctrl-A A   send Ctrl-A to the guest (as does Ctrl-A Ctrl-A)
";

/// Tells the guest's bytes from the program's commands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Escape {
    armed: bool,
}

impl Escape {
    /// Takes the next byte. The escape key itself, and a key that means nothing after it, give
    /// nothing.
    pub(crate) fn take(&mut self, byte: u8) -> Option<Input> {
        if !std::mem::take(&mut self.armed) {
            self.armed = byte == ESCAPE;
            return (!self.armed).then_some(Input::Byte(byte));
        }
        match byte.to_ascii_lowercase() {
            b'x' => Some(Input::Command(Command::Leave)),
            b's' => Some(Input::Command(Command::Save)),
            b'h' | b'?' => Some(Input::Command(Command::Help)),
            b'a' | ESCAPE => Some(Input::Byte(ESCAPE)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<Input> {
        let mut escape = Escape::default();
        bytes.iter().filter_map(|&byte| escape.take(byte)).collect()
    }

    #[test]
    fn plain_bytes_go_to_the_guest() {
        assert_eq!(all(b"x\x03h"), [Input::Byte(b'x'), Input::Byte(3), Input::Byte(b'h')]);
    }

    #[test]
    fn ctrl_a_x_leaves_and_ctrl_a_h_helps() {
        use Command::{Help, Leave};
        let expected = [Leave, Leave, Help, Help].map(Input::Command);
        assert_eq!(all(b"\x01x\x01X\x01h\x01H"), expected);
    }

    #[test]
    fn ctrl_a_is_sent_by_ctrl_a_twice_or_with_a() {
        assert_eq!(all(b"\x01\x01\x01a"), [Input::Byte(1), Input::Byte(1)]);
    }

    #[test]
    fn another_key_after_ctrl_a_is_dropped_and_ends_the_escape() {
        assert_eq!(all(b"\x01qx"), [Input::Byte(b'x')]);
    }
}
