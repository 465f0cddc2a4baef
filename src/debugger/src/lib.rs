//! What looks into a machine and moves it about in time: panes, commands, explanations, lessons, the
//! stepping screen, the gdb stub.
#![forbid(unsafe_code)]

mod address;
pub mod command;
pub mod explain;
pub mod explorer;
mod expression;
pub mod gdb;
pub mod host;
pub mod lesson;
mod memory;
mod mode;
mod names;
mod pane;
pub mod screen;
mod symbols;
mod text;
mod walk;

pub use pane::{Pane, Scene};
pub use symbols::{SymbolError, Symbols};
pub use text::{Line, Span, Style, grouped, plain};
