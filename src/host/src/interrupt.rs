//! Ctrl-C as a question that can be asked: whether somebody wants what runs to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether Ctrl-C was pressed. Clones share the answer.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on: Ctrl-C no longer ends the program. Elsewhere than on Unix it still
    /// does.
    pub fn new() -> std::io::Result<Self> {
        let this = Self::default();
        #[cfg(unix)]
        signal_hook::flag::register(signal_hook::consts::SIGINT, this.0.clone())?;
        Ok(this)
    }

    /// Whether it was pressed since this was asked last.
    #[must_use]
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}
