//! What looks into a machine and moves it about in time: the gdb stub.
#![forbid(unsafe_code)]

mod address;
pub mod command;
pub mod explorer;
mod expression;
pub mod gdb;
mod memory;
mod mode;
mod names;
mod pane;
mod text;
mod walk;

pub use pane::{Pane, Scene};
pub use text::{Line, Span, Style, plain};
