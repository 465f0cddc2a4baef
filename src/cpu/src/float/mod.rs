//! Floating point: the same bits on every host.
//!
//! All arithmetic is there in integer code, so an ARM host, wasm32 and x86 agree. Of the host, SSE
//! uses `+ - * / sqrt` and conversions of doubles and singles where their result is beyond doubt
//! (see [`sse`]); never its rounding modes, NaNs or mathematical library.
//!
//! [`round`] holds what x87 and SSE share: the six exception flags, the four rounding modes and the
//! rounding decision. `x80` and the files named after it are the arithmetic of the x87's extended
//! format, `x87_state` its register file; `binary` and `binary_arith` are singles and doubles, `sse`
//! and the files named after it the operations under [`Mxcsr`].

pub mod binary;
mod binary_arith;
pub mod fma;
pub mod half;
pub mod mxcsr;
pub mod round;
pub mod sse;
pub mod sse_compare;
pub mod sse_convert;
pub mod sse_dot;
pub mod sse_estimate;
pub mod x80;
pub mod x80_arith;
pub mod x80_compare;
pub mod x80_convert;
pub mod x80_exp_log;
pub mod x80_remainder;
pub mod x80_round;
pub mod x80_scale;
pub mod x80_trig;
#[cfg(test)]
mod x80_vectors;
mod x80_wide;
pub mod x87_image;
pub mod x87_operand;
pub mod x87_stack;
pub mod x87_state;

pub use mxcsr::{Control, Mxcsr, SimdException};
pub use round::{FloatFlags, Rounding};
pub use x80::F80;
pub use x80_round::Context;
pub use x87_state::{FxsavePointers, X87};
