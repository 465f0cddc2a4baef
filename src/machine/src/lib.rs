//! The PC: memory map, wiring, guest time, boot.
#![forbid(unsafe_code)]

mod acpi;
mod board;
mod boot;
mod chips;
mod com_port;
mod config;
mod memory_map;
mod stats;
mod time;
mod wiring;

pub use board::EventSink;
pub use boot::{Boot, BootError, KernelKind, LinuxHeader, kernel_kind};
pub use config::{Config, MachineError, OnReset};
pub use cutaway_cpu::{CpuModel, Event, TraceClasses, Unimplemented};
pub use cutaway_devices::{CharSink, Unconnected};
pub use cutaway_state::StateHash;
pub use memory_map::{MAX_MEMORY, MIN_MEMORY};
pub use stats::Stats;
