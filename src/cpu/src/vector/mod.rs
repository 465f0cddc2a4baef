//! Packed-integer operations of MMX, SSE2, SSSE3, SSE4.1, SSE4.2, SSE4a, AES, PCLMULQDQ, SHA and
//! GFNI as functions of values.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic; a function here has the mnemonic's name.
//! Operand 1 of an instruction (which is also the destination) is `a`, operand 2 is `b`.
//!
//! Nothing here has state, faults or reads memory. MMX and SSE forms share one function, generic
//! over how many lanes there are. [`Xmm`] is 16 bytes and not a `u128` on purpose: LLVM turns the
//! byte arrays into the host's vector instructions (PADDB becomes one `paddb`), while a `u128` is
//! taken apart with scalar shifts.

mod aes;
mod arith;
mod blend;
mod clmul;
mod compare;
mod crc32;
mod gfni;
mod lanes;
mod multiply;
mod pack;
mod sha;
mod shift;
mod shuffle;
mod sse4a;
mod string;
mod transfer;
mod ymm;

pub use aes::*;
pub use arith::*;
pub use blend::*;
pub use clmul::pclmulqdq;
pub use compare::*;
pub use crc32::crc32;
pub use gfni::{gf2p8affineinvqb, gf2p8affineqb, gf2p8mulb};
pub use lanes::{Lanes, Xmm};
pub(crate) use lanes::{build, map, split};
pub use multiply::*;
pub use pack::*;
pub use sha::*;
pub use shift::*;
pub use shuffle::*;
pub use sse4a::{extrq, insertq};
pub use string::{StringFlags, pcmpestri, pcmpestrm, pcmpistri, pcmpistrm};
pub use transfer::*;
pub use ymm::Ymm;
