//! The oracle: runs single instructions on the CPU of this host and tells everything about them.
//!
//! A forked worker process does nothing but return from signals. Its signal handler writes down
//! how the last case ended, puts the next case into the interrupted context and returns; the
//! kernel's `sigreturn` then loads all registers, TF included, and exactly one instruction runs
//! before the next signal. Cases and outcomes lie in shared memory, so a case costs two kernel
//! entries and no copy of the process.
//!
//! 32- and 16-bit code runs by `sigreturn` into the compatibility segment or into segments put
//! into the LDT by `modify_ldt`. A seccomp filter takes every system call but the worker's own
//! two away, so code under test can damage its own process at most; [`Oracle`] then starts
//! another worker and reports the case as lost.
//!
//! Source: Linux `arch/x86/kernel/signal.c`, `signal_64.c`, `traps.c`, `ldt.c`; sigreturn(2),
//! modify_ldt(2), seccomp(2). Needs Linux 5.9 on x86-64, a CPU with FSGSBASE, and AVX.

mod context;
mod parent;
mod seccomp;
mod shared;
mod worker;

pub use parent::{Oracle, OracleError};
