//! The PC: memory map, wiring, guest time, boot, and the event loop.
//!
//! [`Machine::new`] makes a machine from a [`Config`] and a [`Boot`]; [`Machine::run_until`] lets
//! it run. A machine is a value: no statics, no threads, no files, no host time. What it prints
//! goes to [`CharSink`]s, what comes in is an [`Input`] at a counted tick.
#![forbid(unsafe_code)]

mod acpi;
mod apics;
mod board;
mod boot;
mod chips;
mod com_port;
mod config;
mod fault;
mod host;
mod image;
mod machine;
mod memory_map;
mod overcommit;
mod post;
mod save;
mod stats;
mod stops;
mod time;
mod virtio;
mod wiring;

pub use board::{EventSink, PortAccess};
pub use boot::{Boot, BootError, KernelKind, LinuxHeader, kernel_kind};
pub use chips::{ChipState, ChipView};
pub use config::{Config, Devices, MAX_DISK, MachineError, OnReset};
pub use cutaway_cpu::{CpuModel, CpuNameError, Event, Touch, TraceClasses, Unimplemented, Watch};
pub use cutaway_devices::{BalloonSize, CharSink, GuestTime, Reading, Unconnected};
pub use cutaway_state::StateHash;
pub use cutaway_vmm::{
    Direct, Exits, Kind, Model, Options, Paging, Reason, Sensitive, ShadowCounts, Translated,
    TranslationCounts, Vm,
};
pub use fault::{Fault, register_number};
pub use host::{
    CopyError, GuestSnapshot, Host, ResourceError, Schedule, Share, Slice, Standing, Tenant,
};
pub use image::Image;
pub use machine::{Input, InputLog, Machine, Stop};
pub use memory_map::{MAX_MEMORY, MIN_MEMORY};
pub use overcommit::{GuestPages, PhysicalMemory};
pub use save::{RestoreError, memory_len};
pub use stats::Stats;
pub use stops::Stops;
