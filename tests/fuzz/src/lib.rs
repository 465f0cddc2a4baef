//! Fuzzing: guests and files made of noise with a seed, and what must hold for each of them.
//!
//! [`lockstep`] is the way from bytes to execution, [`images`] what a machine can be started
//! with, [`states`] what a saved state can be. Nothing here measures coverage: the noise is
//! shaped so that it gets past the first check.
#![forbid(unsafe_code)]

pub mod bus;
pub mod code;
pub mod guest;
pub mod images;
pub mod lockstep;
mod noise;
pub mod states;

pub use noise::Noise;
