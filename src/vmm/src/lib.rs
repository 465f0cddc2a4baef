//! Virtual machines on the emulated CPU, by the textbook's models.
//!
//! The emulated CPU is the *physical machine*; this crate is the virtual machine monitor. A
//! [`Vm`] has the same door as a CPU: [`Vm::run`] lets the guest run for so many instructions and says
//! why it stopped, so a machine whose CPU is virtual is a machine like any other, and records, replays
//! and steps like one.
//!
//! Between runs the vCPU shows the guest's *virtual CPU*: the registers as the guest set them. To
//! run the guest, the monitor *projects* that state onto a deprivileged physical one (another
//! [`cutaway_cpu::World`]), lets the CPU execute the guest's code directly, and *reflects* the outcome
//! back. What traps is *emulated*: one instruction on the virtual CPU, by the interpreter itself, since
//! an instruction's meaning is written once.
//!
//! Sources: Popek and Goldberg, "Formal Requirements for Virtualizable Third Generation
//! Architectures" (1974); Robin and Irvine, "Analysis of the Intel Pentium's Ability to Support a
//! Secure Virtual Machine Monitor" (2000); Adams and Agesen, "A Comparison of Software and Hardware
//! Techniques for x86 Virtualization" (2006).
#![forbid(unsafe_code)]

mod deprivilege;
mod emulate;
mod exits;
mod hardware;
mod kernel;
mod kvm;
mod model;
mod nested;
mod overcommit;
mod paging;
mod para;
mod physical;
mod saved;
mod sensitive;
mod shadow;
mod translate;
mod vm;

pub use exits::{Exits, Reason};
pub use kvm::{Kvm, KvmState, PvEoi};
pub use model::{Model, Options};
pub use nested::{HeldCounts, Resident};
pub use overcommit::Touched;
pub use paging::Paging;
pub use physical::MONITOR_BYTES;
pub use saved::SavedVm;
pub use sensitive::{Direct, Sensitive};
pub use shadow::ShadowCounts;
pub use translate::{Kind, Translated, TranslationCounts};
pub use vm::Vm;
