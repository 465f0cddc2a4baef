//! A session with one client, from its first byte to its last.

use super::error::GdbError;
use super::link::{Link, Wait, Wire};
use super::packets::{Incoming, MAX_PACKET, Packets};
use super::registers::Architecture;
use super::run::Outcome;
use super::session::Session;
use cutaway_replay::{ReplayError, TimeMachine, in_full};
use gdbstub::common::Signal;
use gdbstub::stub::state_machine::{GdbStubStateMachine, GdbStubStateMachineInner, state};
use gdbstub::stub::{DisconnectReason, GdbStub, GdbStubError};
use std::ops::ControlFlow;

/// How a session ended. The machine is where the client left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client detached: the machine may run on.
    Detached,
    /// The client asked to end the machine.
    Killed,
    /// The connection is gone.
    Disconnected,
    /// The caller broke it off.
    BrokenOff,
}

/// When the caller is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Between two slices of a run forwards: for input, output and pace.
    Running,
    /// The machine stands still, and gdb has not said anything for some milliseconds.
    Waiting,
}

/// Called at each [`Moment`]; `Break` ends the session. What it gives to the machine
/// ([`TimeMachine::input`]) while the machine is in the past makes what came after forgotten.
pub type Between<'a> = dyn FnMut(&mut TimeMachine, Moment) -> ControlFlow<()> + 'a;

/// What is debugged, and how.
#[derive(Default)]
pub struct Options<'a> {
    /// Whether the machine runs on behind what is known of it, and can be changed. Else it is a
    /// recording.
    pub live: bool,
    /// The registers that gdb is shown; without, what fits the CPU model.
    pub architecture: Option<Architecture>,
    /// Asked at each [`Moment`].
    pub between: Option<&'a mut Between<'a>>,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Options(live: {}, architecture: {:?})", self.live, self.architecture)
    }
}

type Stub<'a, 's> = GdbStubStateMachine<'static, Session<'s>, Wire<'a>>;
type Idle<'a, 's> =
    GdbStubStateMachineInner<'static, state::Idle<Session<'s>>, Session<'s>, Wire<'a>>;
type Running<'a, 's> = GdbStubStateMachineInner<'static, state::Running, Session<'s>, Wire<'a>>;

/// Why the loop is left.
enum Leave {
    Ended(Ended),
    Failed(GdbError),
}

impl From<GdbStubError<ReplayError, std::io::Error>> for Leave {
    fn from(error: GdbStubError<ReplayError, std::io::Error>) -> Self {
        let what = in_full(&error);
        if error.is_target_error() {
            if let Some(error) = error.into_target_error() {
                return Self::Failed(GdbError::Replay(error));
            }
        } else if error.is_connection_error()
            && let Some((error, _)) = error.into_connection_error()
        {
            return Self::link(error);
        }
        Self::Failed(GdbError::Protocol { what })
    }
}

impl Leave {
    /// A client that goes without a word is no failure.
    fn link(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset => {
                Self::Ended(Ended::Disconnected)
            }
            _ => Self::Failed(GdbError::Link(error)),
        }
    }
}

/// Lets gdb have the machine until it goes. Whatever the client sends, the machine stays whole.
pub fn serve(
    time_machine: &mut TimeMachine,
    link: &mut dyn Link,
    options: Options<'_>,
) -> Result<Ended, GdbError> {
    let Options { live, architecture, mut between } = options;
    let mut session = Session::new(time_machine, live, architecture);
    let mut server = Server { packets: Packets::default(), acknowledges: true };
    let stub = GdbStub::builder(Wire::new(link)).packet_buffer_size(MAX_PACKET).build();
    let stub = stub.map_err(|error| GdbError::Protocol { what: error.to_string() })?;
    let result: Result<Ended, Leave> = (|| {
        let mut stub = stub.run_state_machine(&mut session)?;
        loop {
            let mut ask = |session: &mut Session<'_>, moment| match between.as_deref_mut() {
                Some(between) => {
                    let known = |run: &TimeMachine| {
                        (run.journal().entries.len(), run.journal().last_tick())
                    };
                    let before = known(session.time_machine);
                    let flow = between(session.time_machine, moment);
                    if known(session.time_machine) != before {
                        session.forget_future();
                    }
                    flow
                }
                None => ControlFlow::Continue(()),
            };
            stub = match stub {
                GdbStubStateMachine::Idle(idle) => server.wait(idle, &mut session, &mut ask)?,
                GdbStubStateMachine::Running(running) => {
                    server.run(running, &mut session, &mut ask)?
                }
                GdbStubStateMachine::CtrlCInterrupt(inner) => {
                    let nothing = None::<gdbstub::stub::SingleThreadStopReason<u64>>;
                    inner.interrupt_handled(&mut session, nothing)?
                }
                GdbStubStateMachine::Disconnected(mut inner) => {
                    inner.borrow_conn().push().map_err(Leave::link)?;
                    return Err(Leave::Ended(match inner.get_reason() {
                        DisconnectReason::Kill => Ended::Killed,
                        _ => Ended::Detached,
                    }));
                }
            };
        }
    })();
    session.clear_stops();
    match result {
        Ok(ended) | Err(Leave::Ended(ended)) => Ok(ended),
        Err(Leave::Failed(error)) => Err(error),
    }
}

/// Asks the caller.
type Ask<'x, 's> = &'x mut dyn FnMut(&mut Session<'s>, Moment) -> ControlFlow<()>;

/// The protocol below gdbstub.
struct Server {
    packets: Packets,
    /// Whether packets are acknowledged: until the client says that they need not be.
    acknowledges: bool,
}

impl Server {
    /// What comes next on the wire, if it is all there.
    fn incoming(&mut self, wire: &mut Wire<'_>, wait: Wait) -> Result<Option<Incoming>, Leave> {
        loop {
            match wire.next(wait) {
                Ok(Some(byte)) => {
                    if let Some(incoming) = self.packets.take(byte) {
                        return Ok(Some(incoming));
                    }
                }
                Ok(None) => return Ok(None),
                Err(None) => return Err(Leave::Ended(Ended::Disconnected)),
                Err(Some(error)) => return Err(Leave::link(error)),
            }
        }
    }

    /// The machine stands still: one command, or the caller's turn.
    fn wait<'a, 's>(
        &mut self,
        mut idle: Idle<'a, 's>,
        session: &mut Session<'s>,
        ask: Ask<'_, 's>,
    ) -> Result<Stub<'a, 's>, Leave> {
        match self.incoming(idle.borrow_conn(), Wait::Shortly)? {
            Some(Incoming::Packet(body)) => self.command(idle.into(), session, &body),
            Some(other) => {
                self.refuse(idle.borrow_conn(), &other).map_err(Leave::link)?;
                Ok(idle.into())
            }
            None if ask(session, Moment::Waiting).is_break() => Err(Leave::Ended(Ended::BrokenOff)),
            None => Ok(idle.into()),
        }
    }

    /// The machine runs: one slice, then a look at the wire.
    fn run<'a, 's>(
        &mut self,
        mut running: Running<'a, 's>,
        session: &mut Session<'s>,
        ask: Ask<'_, 's>,
    ) -> Result<Stub<'a, 's>, Leave> {
        if let Some(outcome) = session.slice() {
            return report(running, session, outcome);
        }
        if ask(session, Moment::Running).is_break() {
            return Err(Leave::Ended(Ended::BrokenOff));
        }
        match self.incoming(running.borrow_conn(), Wait::No)? {
            None => Ok(running.into()),
            Some(Incoming::Interrupt) => {
                report(running, session, Outcome::signal(Signal::SIGINT, ""))
            }
            Some(Incoming::Packet(body)) => self.command(running.into(), session, &body),
            Some(other) => {
                self.refuse(running.borrow_conn(), &other).map_err(Leave::link)?;
                Ok(running.into())
            }
        }
    }

    /// Something that is no good packet.
    fn refuse(&self, wire: &mut Wire<'_>, what: &Incoming) -> std::io::Result<()> {
        match what {
            Incoming::Damaged if self.acknowledges => wire.byte(b'-'),
            Incoming::TooLong => {
                if self.acknowledges {
                    wire.byte(b'+');
                }
                wire.packet(b"E.the packet is too long");
            }
            // A Ctrl-C that comes too late.
            _ => {}
        }
        wire.push()
    }

    /// A packet: answered here, or by gdbstub.
    fn command<'a, 's>(
        &mut self,
        mut stub: Stub<'a, 's>,
        session: &mut Session<'s>,
        body: &[u8],
    ) -> Result<Stub<'a, 's>, Leave> {
        if let Some(answer) = session.answer(body) {
            let wire = match &mut stub {
                GdbStubStateMachine::Idle(inner) => inner.borrow_conn(),
                GdbStubStateMachine::Running(inner) => inner.borrow_conn(),
                GdbStubStateMachine::CtrlCInterrupt(inner) => inner.borrow_conn(),
                GdbStubStateMachine::Disconnected(inner) => inner.borrow_conn(),
            };
            if self.acknowledges {
                wire.byte(b'+');
            }
            wire.packet(&answer);
            wire.push().map_err(Leave::link)?;
            return Ok(stub);
        }
        let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        let end = format!("#{sum:02x}");
        let frame = b"$".iter().chain(body).chain(end.as_bytes());
        for byte in frame {
            stub = match stub {
                GdbStubStateMachine::Idle(inner) => inner.incoming_data(session, *byte)?,
                GdbStubStateMachine::Running(inner) => inner.incoming_data(session, *byte)?,
                other => other,
            };
        }
        match &mut stub {
            GdbStubStateMachine::Idle(inner) => inner.borrow_conn().push(),
            GdbStubStateMachine::Running(inner) => inner.borrow_conn().push(),
            _ => Ok(()),
        }
        .map_err(Leave::link)?;
        if body == b"QStartNoAckMode" {
            self.acknowledges = false;
        }
        Ok(stub)
    }
}

/// Tells gdb why the machine stands still, and the person what the protocol has no words for.
fn report<'a, 's>(
    mut running: Running<'a, 's>,
    session: &mut Session<'s>,
    outcome: Outcome,
) -> Result<Stub<'a, 's>, Leave> {
    if !outcome.message.is_empty() {
        let mut packet = b"O".to_vec();
        packet.extend(outcome.message.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()));
        running.borrow_conn().packet(&packet);
    }
    Ok(running.report_stop(session, outcome.reason)?)
}

#[cfg(test)]
mod tests;
