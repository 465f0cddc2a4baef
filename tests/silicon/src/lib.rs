//! Judges the interpreter by a real CPU.
//!
//! The [`generate`] module makes cases: an instruction with all registers and memory that it can
//! see. The oracle (Linux on x86-64) runs them on the host's CPU, [`emulator`] on the
//! interpreter; [`compare`] says what differs. `vectors` keeps results of a reference CPU, so
//! that every host can check them.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod capture;
pub mod case;
pub mod check;
pub mod compare;
pub mod emulator;
pub mod generate;
pub mod judge;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod oracle;
pub mod place;
pub mod report;
pub mod shrink;
pub mod vectors;
pub mod vendor;
