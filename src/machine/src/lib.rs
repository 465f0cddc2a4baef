//! The PC: memory map, wiring, boot.
#![forbid(unsafe_code)]

mod acpi;
mod boot;
mod memory_map;
mod wiring;

pub use boot::{Boot, BootError, KernelKind, LinuxHeader, kernel_kind};
pub use memory_map::{MAX_MEMORY, MIN_MEMORY};
