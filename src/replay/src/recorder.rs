//! Writing down a run while it goes on.

use crate::{End, Entry, JournalWriter, ReplayError};
use cutaway_machine::{Input, InputLog, Machine};
use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

/// Ticks between two hashes of a recording: half a second of guest time at the usual rate. It is
/// also what a killed program can lose of a run without input.
pub const HASH_SPACING: u64 = 500_000_000;

/// Records a machine: attach it, let the machine run up to [`Recorder::next_stop`] at most, and
/// call [`Recorder::between`] whenever it stands still.
pub struct Recorder {
    shared: Rc<RefCell<Shared>>,
    spacing: u64,
    next: u64,
}

struct Shared {
    writer: JournalWriter<Box<dyn Write>>,
    /// The first failure, until somebody asks.
    error: Option<std::io::Error>,
}

impl Shared {
    fn write(&mut self, entry: &Entry) {
        if self.error.is_none()
            && let Err(error) = self.writer.write(entry)
        {
            self.error = Some(error);
        }
    }
}

/// The end of the recorder that the machine holds.
struct Log(Rc<RefCell<Shared>>);

impl InputLog for Log {
    fn record(&mut self, at: u64, input: &Input) {
        self.0.borrow_mut().write(&Entry::Input { at, input: input.clone() });
    }
}

impl Recorder {
    /// Writes the journal of a machine to `out`, from now on.
    pub fn attach(machine: &mut Machine, out: Box<dyn Write>, spacing: u64) -> Self {
        let writer = JournalWriter::new(out);
        let shared = Rc::new(RefCell::new(Shared { writer, error: None }));
        machine.set_input_log(Some(Box::new(Log(shared.clone()))));
        let mut recorder = Self { shared, spacing: spacing.max(1), next: 0 };
        recorder.next = recorder.after(machine.ticks());
        recorder
    }

    /// The first multiple of the spacing beyond `ticks`.
    fn after(&self, ticks: u64) -> u64 {
        (ticks / self.spacing + 1).saturating_mul(self.spacing)
    }

    /// The tick at which the machine must stand still next, so that a hash can be taken.
    #[must_use]
    pub fn next_stop(&self) -> u64 {
        self.next
    }

    /// Takes a hash if one is due, and reports what could not be written.
    pub fn between(&mut self, machine: &mut Machine) -> Result<(), ReplayError> {
        let at = machine.ticks();
        if at >= self.next {
            let hash = machine.state_hash()?.0;
            self.shared.borrow_mut().write(&Entry::Hash { at, hash });
            self.next = self.after(at);
        }
        self.check()
    }

    /// Ends the recording with a last hash.
    pub fn finish(&mut self, machine: &mut Machine, end: End) -> Result<(), ReplayError> {
        let (at, hash) = (machine.ticks(), machine.state_hash()?.0);
        let mut shared = self.shared.borrow_mut();
        shared.write(&Entry::Hash { at, hash });
        shared.write(&Entry::End { at, end });
        drop(shared);
        machine.set_input_log(None);
        self.check()
    }

    fn check(&self) -> Result<(), ReplayError> {
        match self.shared.borrow_mut().error.take() {
            None => Ok(()),
            Some(source) => {
                let (what, path) = ("write", "the recording".into());
                Err(ReplayError::Host { what, path, source })
            }
        }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recorder(next hash at {})", self.next)
    }
}
