//! Whoever looks at the machine between slices: to record it, to save it.

use cutaway_machine::Machine;
use std::error::Error;

/// What a [`crate::Session`] does beside running the machine.
pub trait Companion {
    /// The most ticks that the machine may run before [`Self::between`] is called next.
    fn room(&self, machine: &Machine) -> u64;

    /// The machine stands still between two slices.
    fn between(&mut self, machine: &mut Machine) -> Result<(), CompanionError>;

    /// The person asks for a snapshot; the answer is a line for the screen.
    fn save(&mut self, machine: &mut Machine) -> String;
}

/// Why a companion ends the session.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct CompanionError(pub Box<dyn Error>);

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Companion for Alone {
    fn room(&self, _machine: &Machine) -> u64 {
        u64::MAX
    }

    fn between(&mut self, _machine: &mut Machine) -> Result<(), CompanionError> {
        Ok(())
    }

    fn save(&mut self, _machine: &mut Machine) -> String {
        "nothing is set up to save a snapshot".to_owned()
    }
}
