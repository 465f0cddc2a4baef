//! The connection with gdb: bytes in, bytes out.

use gdbstub::conn::Connection;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long the stub waits for a command before it looks elsewhere.
const PATIENCE: Duration = Duration::from_millis(20);
/// A client that takes nothing for so long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// Whether to wait for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Only what is there.
    No,
    /// A few milliseconds, if there is nothing.
    Shortly,
}

/// A stream of bytes to and from gdb. A TCP stream is one.
pub trait Link {
    /// Once, before all else.
    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    /// Takes bytes into `buffer`: how many, 0 at the end of the stream, or nothing if none came.
    fn receive(&mut self, buffer: &mut [u8], wait: Wait) -> Result<Option<usize>>;

    /// Sends all bytes.
    fn send(&mut self, bytes: &[u8]) -> Result<()>;
}

impl Link for TcpStream {
    fn prepare(&mut self) -> Result<()> {
        self.set_nodelay(true)?;
        self.set_nonblocking(false)?;
        self.set_read_timeout(Some(PATIENCE))?;
        self.set_write_timeout(Some(WRITE_PATIENCE))
    }

    fn receive(&mut self, buffer: &mut [u8], wait: Wait) -> Result<Option<usize>> {
        if wait == Wait::No {
            self.set_nonblocking(true)?;
        }
        let read = self.read(buffer);
        if wait == Wait::No {
            self.set_nonblocking(false)?;
        }
        match read {
            Ok(count) => Ok(Some(count)),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(None),
                ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Ok(Some(0)),
                _ => Err(error),
            },
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Write::write_all(self, bytes)
    }
}

/// A link with what is to be sent and what has come.
pub(crate) struct Wire<'a> {
    link: &'a mut dyn Link,
    out: Vec<u8>,
    incoming: VecDeque<u8>,
}

impl<'a> Wire<'a> {
    pub(crate) fn new(link: &'a mut dyn Link) -> Self {
        Self { link, out: Vec::new(), incoming: VecDeque::new() }
    }

    /// Sends what was written.
    pub(crate) fn push(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.out);
        if bytes.is_empty() { Ok(()) } else { self.link.send(&bytes) }
    }

    /// A whole packet of ours, past gdbstub.
    pub(crate) fn packet(&mut self, body: &[u8]) {
        let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        self.out.push(b'$');
        self.out.extend(body);
        self.out.extend(format!("#{sum:02x}").bytes());
    }

    /// A byte that is no packet: an acknowledgement.
    pub(crate) fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// The next byte, if one came; `Err(None)` at the end of the stream.
    pub(crate) fn next(
        &mut self,
        wait: Wait,
    ) -> std::result::Result<Option<u8>, Option<std::io::Error>> {
        if self.incoming.is_empty() {
            let mut buffer = [0; 4096];
            match self.link.receive(&mut buffer, wait).map_err(Some)? {
                Some(0) => return Err(None),
                Some(count) => self.incoming.extend(buffer.iter().take(count)),
                None => {}
            }
        }
        Ok(self.incoming.pop_front())
    }
}

impl Connection for Wire<'_> {
    type Error = std::io::Error;

    fn write(&mut self, byte: u8) -> Result<()> {
        self.out.push(byte);
        Ok(())
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.extend(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.push()
    }

    fn on_session_start(&mut self) -> Result<()> {
        self.link.prepare()
    }
}
