//! Floating point in integer code: the same bits on every host.
//!
//! No operation here uses the host's floating-point unit, its rounding mode or its library, so an
//! ARM host, wasm32 and x86 agree. [`round`] holds what x87 and SSE share: the six exception
//! flags, the four rounding modes and the rounding decision.

pub mod round;

pub use round::{FloatFlags, Rounding};
