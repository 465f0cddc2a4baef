//! Cutaway: an x86 PC in software that can be seen into, as a library.
//!
//! A machine is a value: make it from a [`Config`] and a [`Boot`], run it, look at it. It starts
//! no threads, opens no files and reads no clock, so two machines with the same start and the same
//! input do the same, instruction by instruction.
//!
//! ```
//! use cutaway::{Boot, Config, CpuModel, FIRMWARE, Machine};
//!
//! let cpu = CpuModel::by_name("x86-64-v2").expect("this model is always there");
//! let mut machine = Machine::new(Config::new(cpu), &Boot::Rom(FIRMWARE))?;
//! machine.run_until(100_000);
//! println!("{} instructions, POST code {:#x}", machine.instructions(), machine.post_code());
//! # Ok::<(), cutaway::MachineError>(())
//! ```
//!
//! The parts lie in their own modules: [`machine`] the PC, [`cpu`] one vCPU, [`devices`] the
//! chips, [`memory`] guest memory, [`replay`] snapshots,
//! recordings and time travel, [`debugger`] the gdb stub, [`runner`] test files, [`isa`] names and the decoder, [`state`] snapshots and hashes,
//! [`host`] files, terminal and pacing.
#![forbid(unsafe_code)]

pub use cutaway_cpu as cpu;
pub use cutaway_debugger as debugger;
pub use cutaway_devices as devices;
pub use cutaway_host as host;
pub use cutaway_isa as isa;
pub use cutaway_machine as machine;
pub use cutaway_memory as memory;
pub use cutaway_replay as replay;
pub use cutaway_runner as runner;
pub use cutaway_state as state;

pub use cutaway_devices::CharSink;
pub use cutaway_machine::{
    Boot, BootError, Config, CpuModel, CpuNameError, Event, EventSink, Fault, Input, InputLog,
    Machine, MachineError, Model, OnReset, Paging, PortAccess, StateHash, Stats, Stop, Stops,
    Touch, TraceClasses, Watch,
};

/// Our firmware with the teaching kernel as the image it starts: what runs when nothing else is
/// asked for. Sources in `firmware/` and `test-roms/`.
pub const FIRMWARE: &[u8] = include_bytes!("../../../firmware/bios.bin");

/// The teaching kernel alone, to be booted by multiboot.
pub const TEACHING_KERNEL: &[u8] = include_bytes!("../../../test-roms/kernel.bin");

/// The same with its sensitive instructions replaced, for trap-and-emulate.
pub const VIRTUALIZABLE_KERNEL: &[u8] =
    include_bytes!("../../../test-roms/kernel-virtualizable.bin");

/// The names of [`VIRTUALIZABLE_KERNEL`]'s addresses.
pub const VIRTUALIZABLE_KERNEL_SYMBOLS: &str =
    include_str!("../../../test-roms/kernel-virtualizable.sym");

/// The same as a paravirtual guest.
pub const PARAVIRTUAL_KERNEL: &[u8] = include_bytes!("../../../test-roms/kernel-paravirtual.bin");

/// The names of [`PARAVIRTUAL_KERNEL`]'s addresses.
pub const PARAVIRTUAL_KERNEL_SYMBOLS: &str =
    include_str!("../../../test-roms/kernel-paravirtual.sym");

/// The same with a hypervisor of type 2: a virtual machine, by SVM, beside its tasks.
pub const HOST_KERNEL: &[u8] = include_bytes!("../../../test-roms/kernel-host.bin");

/// The names of [`HOST_KERNEL`]'s addresses, as `nm` would list them.
pub const HOST_KERNEL_SYMBOLS: &str = include_str!("../../../test-roms/kernel-host.sym");

/// The same with a driver for a memory balloon, by which it gives memory back to its host.
pub const BALLOON_KERNEL: &[u8] = include_bytes!("../../../test-roms/kernel-balloon.bin");

/// The names of [`BALLOON_KERNEL`]'s addresses.
pub const BALLOON_KERNEL_SYMBOLS: &str = include_str!("../../../test-roms/kernel-balloon.sym");

/// The guest of [`HOST_KERNEL`] alone, for a machine of its own. It prints to port e9.
pub const SMALL_GUEST: &[u8] = include_bytes!("../../../test-roms/guest.bin");

/// The names of the teaching kernel's addresses, as `nm` would list them.
pub const KERNEL_SYMBOLS: &str = include_str!("../../../test-roms/kernel.sym");

/// What lessons run on.
pub const LESSON_KERNELS: debugger::lesson::Kernel<'static> = debugger::lesson::Kernel {
    rom: FIRMWARE,
    image: TEACHING_KERNEL,
    symbols: KERNEL_SYMBOLS,
    paravirtual: PARAVIRTUAL_KERNEL,
    host: HOST_KERNEL,
    host_symbols: HOST_KERNEL_SYMBOLS,
    balloon: BALLOON_KERNEL,
    balloon_symbols: BALLOON_KERNEL_SYMBOLS,
    small: SMALL_GUEST,
};
