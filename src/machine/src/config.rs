//! What a machine is made of: everything that, with its inputs, decides what a run does.

use crate::boot::BootError;
use crate::memory_map::{MAX_MEMORY, MIB, MIN_MEMORY, Sizes};
use cutaway_cpu::CpuModel;
use cutaway_memory::PAGE_SIZE;
use cutaway_vmm::{MONITOR_BYTES, Model, Options, Paging};
use serde::{Deserialize, Serialize};

/// The configuration of a machine. Two machines of one configuration that start the same and get
/// the same inputs at the same ticks are equal for ever.
#[derive(Clone, Debug)]
pub struct Config {
    /// RAM in bytes: a multiple of 4 KiB, from [`MIN_MEMORY`] to [`MAX_MEMORY`]. As on a PC, the
    /// part between 640 KiB and 1 MiB is hidden by devices.
    pub memory_bytes: u64,
    /// The CPU.
    pub cpu: CpuModel,
    /// Ticks (instructions) in a second of guest time; not zero.
    pub ips: u64,
    /// What the real-time clock shows at power-on, in seconds since 1970.
    pub rtc_start: i64,
    /// Where the `isa-debug-exit` port is, if anywhere.
    pub debug_exit: Option<u16>,
    /// A seed for the guest's random numbers, handed to Linux.
    pub rng_seed: Option<[u8; 32]>,
    /// Where the random numbers of RDRAND and RDSEED start.
    pub cpu_seed: u64,
    /// What a reset by the guest does.
    pub on_reset: OnReset,
    /// The model by which a monitor runs the guest on the CPU; without one the guest has the CPU
    /// to itself.
    pub model: Option<Model>,
    /// The monitor turns CR4.UMIP on: SGDT, SIDT, SLDT, STR and SMSW trap outside ring 0.
    pub umip: bool,
    /// What translates the guest's addresses under hardware assistance.
    pub paging: Paging,
    /// The monitor shows the guest KVM's clock and steal time; by hardware assistance alone.
    pub kvm: bool,
    /// What is plugged in beyond what every PC has.
    pub devices: Devices,
}

/// Virtio devices of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// A memory balloon.
    pub balloon: bool,
    /// A disk whose medium can have so many bytes, up to [`MAX_DISK`]; none if zero. Its contents are
    /// zeros at the start, and a part of the machine's state.
    pub disk_bytes: u64,
    /// The disk has no medium at the start.
    pub disk_empty: bool,
}

impl Devices {
    /// None of them.
    pub const NONE: Self = Self { balloon: false, disk_bytes: 0, disk_empty: false };
}

/// The most bytes of a disk.
pub const MAX_DISK: u64 = 256 * MIB;

/// What a reset by the guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnReset {
    /// The machine starts anew from its ROM. Without a ROM it stops.
    Restart,
    /// The machine stops with [`crate::Stop::Reset`].
    Stop,
}

impl Config {
    /// The usual machine around a CPU: 128 MiB, 10^9 instructions a second, clock at 1 January
    /// 2020, debug exit at port F4h.
    #[must_use]
    pub fn new(cpu: CpuModel) -> Self {
        Self {
            memory_bytes: 128 * MIB,
            cpu,
            ips: 1_000_000_000,
            rtc_start: 1_577_836_800,
            debug_exit: Some(0xf4),
            rng_seed: None,
            cpu_seed: 0,
            on_reset: OnReset::Restart,
            model: None,
            umip: false,
            paging: Paging::default(),
            kvm: false,
            devices: Devices::NONE,
        }
    }

    /// The same on a CPU with SVM, if the model is hardware assistance.
    pub(crate) fn with_what_the_model_needs(self) -> Result<Self, MachineError> {
        if self.model != Some(Model::Hardware) {
            return Ok(self);
        }
        let cpu = self.cpu.with_svm().ok_or(MachineError::NoSvm { cpu: self.cpu.name() })?;
        Ok(Self { cpu, ..self })
    }

    /// How the guest is virtualized, if it is.
    pub(crate) fn virtualization(&self) -> Option<Options> {
        self.model.map(|model| Options { model, umip: self.umip, paging: self.paging })
    }

    /// The same with the guest virtualized so, or not.
    #[must_use]
    pub fn virtualized(self, options: Option<Options>) -> Self {
        let model = options.map(|options| options.model);
        let Options { umip, paging, .. } = options.unwrap_or(Options::of(Model::Trap));
        Self { model, umip, paging, ..self }
    }

    pub(crate) fn sizes(&self) -> Sizes {
        let monitor = if self.model.is_some() { MONITOR_BYTES } else { 0 };
        Sizes { ram: self.memory_bytes, disk: self.devices.disk_bytes, monitor }
    }

    pub(crate) fn check(&self) -> Result<(), MachineError> {
        let bytes = self.memory_bytes;
        if !(MIN_MEMORY..=MAX_MEMORY).contains(&bytes) || !bytes.is_multiple_of(PAGE_SIZE) {
            return Err(MachineError::MemorySize { bytes });
        }
        if self.ips == 0 {
            return Err(MachineError::NoTime);
        }
        if self.kvm && self.model != Some(Model::Hardware) {
            return Err(MachineError::NoKvm);
        }
        let disk = self.devices.disk_bytes;
        if disk > MAX_DISK || !disk.is_multiple_of(PAGE_SIZE) {
            return Err(MachineError::DiskSize { bytes: disk });
        }
        Ok(())
    }
}

/// Why there is no machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// An impossible amount of memory.
    #[error(
        "the machine cannot have {bytes} bytes of memory: it takes {} MiB to {} GiB, in whole 4 KiB",
        MIN_MEMORY >> 20, MAX_MEMORY >> 30
    )]
    MemorySize {
        /// What was asked for.
        bytes: u64,
    },
    /// A rate of zero.
    #[error("the machine cannot run at 0 instructions a second")]
    NoTime,
    /// Hardware assistance on a CPU that cannot have it.
    #[error("the CPU {cpu} has no hardware assistance: that takes long mode")]
    NoSvm {
        /// The CPU.
        cpu: &'static str,
    },
    /// KVM's interface without a monitor that can intercept CPUID and its MSRs.
    #[error("KVM's interface takes a guest by the model hardware")]
    NoKvm,
    /// An impossible disk.
    #[error(
        "the disk cannot have {bytes} bytes: it takes up to {} MiB, in whole 4 KiB",
        MAX_DISK >> 20
    )]
    DiskSize {
        /// What was asked for.
        bytes: u64,
    },
    /// What it should start cannot be started.
    #[error(transparent)]
    Boot(#[from] BootError),
}
