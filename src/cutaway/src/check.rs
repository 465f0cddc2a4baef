//! Checking the memory of a snapshot while its guest runs already.

use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use cutaway::replay::{ReplayError, Snapshot};

use crate::failure::Failure;
use crate::session::open_failure;

/// A check that goes on in another thread.
pub(crate) struct Check {
    result: Receiver<Result<(), ReplayError>>,
    path: std::path::PathBuf,
}

impl Check {
    /// Starts to check a file.
    pub(crate) fn start(path: &Path) -> Self {
        let (sender, result) = channel();
        let path = path.to_owned();
        let file = path.clone();
        std::thread::spawn(move || {
            let result = Snapshot::open(&file).and_then(|snapshot| snapshot.verify());
            // Who no longer waits has ended the program's run.
            let _ = sender.send(result);
        });
        Self { result, path }
    }

    /// The damage, if any was found so far.
    pub(crate) fn damage(&mut self) -> Option<ReplayError> {
        match self.result.try_recv() {
            Ok(Err(error)) => Some(error),
            Ok(Ok(())) | Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Waits for the end of the check.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self.result.recv() {
            Ok(Err(error)) => Err(open_failure(&error, &self.path)),
            // The result was taken already, and was good.
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}
