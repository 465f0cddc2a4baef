//! The gdb remote stub: a live machine or a recording, forwards and backwards, as gdb sees it.
//!
//! [`serve`] is a session with one client over a [`Link`]; [`Listener`] waits for one.
//!
//! **Addresses.** gdb knows no segments, so its addresses are linear ones: memory, breakpoints and
//! watchpoints. What gdb takes for the program counter, `$pc`, `$eip`, `$rip`, is the linear
//! address of the next instruction, CS base + IP, outside 64-bit mode cut to 32 bits; when gdb
//! writes it the base is taken off again. So `x/i $pc` and `break *ADDRESS` are right in real mode
//! and with any descriptor. The offset alone is `$ip`, the bases are `$cs_base` and so on. The
//! stack pointer is what the register holds; the stack of 16-bit code is at `$ss_base + $sp`.
//! A breakpoint counts by its linear address, in whatever address space it is met.
//!
//! **Registers.** gdb takes one description a session: 64-bit registers where the CPU model has
//! long mode, else 32-bit ones; [`Options::architecture`] can choose. A session that begins in 16-
//! or 32-bit code of a 64-bit CPU has both. The architecture in it, by which gdb decodes code, is
//! that of the code at the beginning; `set architecture` changes it as the CPU changes its mode,
//! and `monitor mode` says to which. From `i386`, or with 64-bit registers alone, gdb does not get
//! to `i8086`: then `monitor disassemble` helps, or to connect again.
//!
//! **Changes.** Memory, general registers and the instruction pointer of a live machine can be
//! changed; this is an input like others, part of its history. A recording cannot be changed.
//!
//! **Not modelled**: changes of other registers; interrupting a search backwards; A20M# (addresses
//! are looked up as if it were never asserted); gdb sees one thread.
//!
//! Source: Debugging with GDB, appendix E, "GDB Remote Serial Protocol", and appendix G, "Target
//! Descriptions".

mod breakpoints;
mod description;
mod error;
mod link;
mod listen;
mod monitor;
mod packets;
mod registers;
mod run;
mod serve;
mod session;

pub use error::GdbError;
pub use link::{Link, Wait};
pub use listen::Listener;
pub use registers::Architecture;
pub use serve::{Between, Ended, Moment, Options, serve};
