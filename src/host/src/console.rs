//! Standard input as the guest's keyboard: a thread that reads it into the [`Inbox`].
//!
//! From a terminal, command keys take effect at once. From a pipe or a file the escape key works
//! too, but a command waits until the bytes before it have gone to the guest; the end of input
//! ends nothing, since the guest may have more to say.

use std::io::IsTerminal;

use crate::escape::{Escape, Input};
use crate::inbox::{Inbox, Notice};

/// Starts the thread. It is never joined: it lives in a read that nothing can end.
pub fn read_stdin(inbox: &Inbox) -> std::io::Result<()> {
    let is_terminal = std::io::stdin().is_terminal();
    let inbox = inbox.clone();
    let reader = move || {
        let mut filter = Filter { escape: Escape::default(), inbox, is_terminal };
        if is_terminal {
            read_terminal(&mut filter);
        } else {
            read_bytes(&mut filter);
        }
        filter.inbox.close();
    };
    std::thread::Builder::new().name("stdin".into()).spawn(reader)?;
    Ok(())
}

/// Where bytes go from the read.
struct Filter {
    escape: Escape,
    inbox: Inbox,
    is_terminal: bool,
}

impl Filter {
    fn take(&mut self, byte: u8) {
        match (self.escape.take(byte), self.is_terminal) {
            (None, _) => {}
            (Some(Input::Byte(byte)), true) => self.inbox.push_byte(byte),
            (Some(Input::Byte(byte)), false) => self.inbox.push_byte_waiting(byte),
            (Some(Input::Command(command)), true) => {
                self.inbox.push_notice(Notice::Command(command));
            }
            (Some(Input::Command(command)), false) => {
                self.inbox.push_notice_in_order(Notice::Command(command));
            }
        }
    }
}

/// Reads until the end of input or an error, which for a console is the same.
fn read_bytes(filter: &mut Filter) {
    use std::io::Read;

    let mut stdin = std::io::stdin().lock();
    let mut bytes = [0; 1024];
    loop {
        match stdin.read(&mut bytes) {
            Ok(0) => return,
            Ok(count) => bytes[..count].iter().for_each(|&byte| filter.take(byte)),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// A terminal in raw mode gives the bytes that the guest's terminal driver expects.
#[cfg(not(windows))]
fn read_terminal(filter: &mut Filter) {
    read_bytes(filter);
}

/// The Windows console gives keys, not bytes.
#[cfg(windows)]
fn read_terminal(filter: &mut Filter) {
    while let Ok(event) = crossterm::event::read() {
        if let crossterm::event::Event::Key(key) = event {
            crate::keys::bytes_of(&key).iter().for_each(|&byte| filter.take(byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape::Command;

    fn filter(is_terminal: bool) -> Filter {
        Filter { escape: Escape::default(), inbox: Inbox::new(), is_terminal }
    }

    #[test]
    fn a_command_key_overtakes_what_was_typed_before_it() {
        let mut filter = filter(true);
        b"ls\x01x".iter().for_each(|&byte| filter.take(byte));
        assert_eq!(filter.inbox.take_notice(), Some(Notice::Command(Command::Leave)));
    }

    #[test]
    fn a_command_in_a_pipe_waits_for_the_bytes_before_it() {
        let mut filter = filter(false);
        b"ls\x01x".iter().for_each(|&byte| filter.take(byte));

        assert_eq!(filter.inbox.take_notice(), None);
        assert_eq!(filter.inbox.take_bytes(10), b"ls");
        assert_eq!(filter.inbox.take_notice(), Some(Notice::Command(Command::Leave)));
    }
}
