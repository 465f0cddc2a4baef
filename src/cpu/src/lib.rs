//! One x86 vCPU.
mod bus;
pub use bus::{Bus, Event, Pins};
pub mod float;
pub mod vector;
