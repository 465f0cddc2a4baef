//! One x86 vCPU: registers, segmentation, paging, exceptions, instruction meanings, interpreter.
//!
//! [`Vcpu::run`] is the one door. It executes at most so many instructions against a [`Bus`] and
//! says why it stopped; everyone above (machine, debugger, monitors, tests) drives the CPU through
//! it. See `target.rs` for how instruction meanings are written once and run by several engines.
//!
//! Not modelled: SMM, VMX, performance counters, caches. The local APIC is a chip of the board, which the
//! bus tells what the CPU does to it.

// The tables of instructions are macros that take a row at a time.
#![recursion_limit = "256"]

mod access;
mod block;
mod bus;
mod code_pages;
mod control;
mod descriptor;
mod event_text;
mod exception;
mod exec;
mod exit;
mod far;
mod fast;
mod features;
mod flags;
pub mod float;
mod interrupt;
mod liveness;
mod meaning;
mod model;
mod paging;
mod peek;
mod places;
mod record;
mod run;
mod segment;
mod shapes;
mod state;
mod stops;
pub mod svm;
mod table;
#[cfg(all(test, chain))]
mod tail_tests;
mod target;
mod task;
mod tlb;
mod translate;
mod values;
mod vcpu;
pub mod vector;
mod world;

pub use bus::{Bus, Event, Pins};
pub use exception::Exception;
pub use exec::seg_of;
pub use exit::{Exit, Unimplemented};
pub use model::{CpuModel, CpuNameError};
pub use record::{Record, record};
pub use segment::Segment;
pub use state::{Activity, CpuState, Msrs, Seg, System, TableRegister, gpr};
pub use stops::{Touch, Watch};
pub use table::is_implemented;
pub use tlb::{Known, Translations};
pub use vcpu::{TraceClasses, Vcpu};
pub use world::{Probe, Walk, World};
