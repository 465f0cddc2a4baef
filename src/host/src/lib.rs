//! The outside of the machine: files, the terminal, the host's threads and the wall clock.
//!
//! Everything the guest cannot repeat by itself enters here and leaves here. The machine runs on
//! one thread, the one that calls [`Session::run`]; the threads of this crate only fill the
//! [`Inbox`].
#![forbid(unsafe_code)]

mod companion;
mod console;
mod escape;
mod files;
mod inbox;
mod interrupt;
#[cfg(windows)]
mod keys;
mod log;
mod output;
mod pacing;
mod report;
mod session;
mod terminal;

pub use companion::{Alone, Companion, CompanionError};
pub use console::read_stdin;
pub use escape::{Command, HELP};
pub use files::{FileError, FileUse, read_file};
pub use inbox::{Inbox, Notice};
pub use interrupt::Interrupt;
pub use log::{CLASSES, Log, RecentExceptions, parse_classes};
pub use output::{Output, OutputError, Target, TargetError};
pub use pacing::{Pacer, SliceLength};
pub use report::crash_report;
pub use session::{End, Pacing, Session, SessionError};
pub use terminal::{FullScreen, RawTerminal, for_terminal, is_raw, watch_signals};
