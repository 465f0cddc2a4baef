//! Waiting for gdb: the address, and the one client.

use super::GdbError;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::ops::ControlFlow;
use std::time::Duration;

/// How often somebody is asked whether to wait on.
const LOOK: Duration = Duration::from_millis(20);

/// A socket that gdb can connect to.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens on an address as QEMU's users know it: `:1234`, `tcp::1234`, `tcp:HOST:PORT`,
    /// `HOST:PORT` or `1234`. Without a host only this computer can connect. Port 0 takes any
    /// that is free.
    pub fn bind(text: &str) -> Result<Self, GdbError> {
        let wrong = || GdbError::Address { text: text.to_owned() };
        let (host, port) = host_and_port(text).ok_or_else(wrong)?;
        let failed = |source| GdbError::Listen { address: text.to_owned(), source };
        let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(failed)?.collect();
        let socket = TcpListener::bind(&addresses[..]).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address })
    }

    /// Where it listens, with the port that was free.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for one client. `go_on` is asked now and then; after `Break` there is none.
    pub fn accept(
        &self,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<TcpStream>, GdbError> {
        loop {
            match self.socket.accept() {
                Ok((stream, _)) => {
                    // Some hosts hand the listener's way on.
                    stream.set_nonblocking(false).map_err(GdbError::Link)?;
                    return Ok(Some(stream));
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(GdbError::Link(error)),
            }
            if go_on().is_break() {
                return Ok(None);
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let text = text.strip_prefix("tcp:").unwrap_or(text);
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    Some((host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip] // one row per case
    fn addresses_are_read_as_qemu_reads_them() {
        let rows = [
            (":1234",               Some(("127.0.0.1", 1234))),
            ("tcp::1234",           Some(("127.0.0.1", 1234))),
            ("1234",                Some(("127.0.0.1", 1234))),
            ("127.0.0.1:1234",      Some(("127.0.0.1", 1234))),
            ("tcp:0.0.0.0:4",       Some(("0.0.0.0", 4))),
            ("[::1]:1234",          Some(("::1", 1234))),
            ("localhost:0",         Some(("localhost", 0))),
            ("",                    None),
            (":",                   None),
            ("tcp:",                None),
            ("host",                None),
            (":65536",              None),
            (":-1",                 None),
        ];
        for (text, expected) in rows {
            assert_eq!(host_and_port(text), expected, "{text:?}");
        }
    }

    #[test]
    fn waiting_ends_when_somebody_says_so() {
        let listener = Listener::bind(":0").unwrap();

        let client = listener.accept(&mut || ControlFlow::Break(())).unwrap();

        assert!(client.is_none());
        assert!(listener.address().ip().is_loopback());
    }
}
