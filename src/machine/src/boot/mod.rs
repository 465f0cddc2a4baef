//! Starting a guest: what is put into memory and where the CPU begins.
//!
//! A ROM starts as a PC does, at the reset vector. A kernel is started as a boot loader would:
//! loaded, told about the machine, and entered. Every image is untrusted: nothing in it is
//! believed before it was checked against the file and the memory there is.

mod bios_data;
mod elf;
mod entry;
mod error;
pub(crate) mod fields;
mod linux;
mod multiboot;

pub use error::BootError;
pub use linux::LinuxHeader;

use crate::acpi::{self, Described};
use crate::memory_map;
use cutaway_memory::{GuestMemory, PAGE_SIZE};
pub(crate) use entry::Entry;

/// The largest ROM: it must stay clear of the registers of APICs and virtio devices.
pub(crate) const MAX_ROM_BYTES: u64 = 16 * memory_map::MIB;

/// What a machine starts.
#[derive(Clone, Copy, Debug)]
pub enum Boot<'a> {
    /// A ROM that ends at 4 GiB; its last 128 KiB show below 1 MiB too. The CPU starts at the
    /// reset vector, 16 bytes below its end.
    Rom(&'a [u8]),
    /// A kernel, without firmware.
    Kernel {
        /// A Linux bzImage or a multiboot 1 kernel; which one, its contents say.
        image: &'a [u8],
        /// The initial RAM disk; to a multiboot kernel it is the one module.
        initrd: Option<&'a [u8]>,
        /// The command line.
        cmdline: &'a str,
    },
}

/// What a kernel image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelKind {
    /// A Linux bzImage.
    Linux(LinuxHeader),
    /// A multiboot 1 kernel.
    Multiboot,
}

/// Finds out what a kernel image is.
pub fn kernel_kind(image: &[u8]) -> Result<KernelKind, BootError> {
    if linux::is_linux(image) {
        Ok(KernelKind::Linux(LinuxHeader::parse(image)?))
    } else if multiboot::is_multiboot(image) {
        Ok(KernelKind::Multiboot)
    } else {
        Err(BootError::NotAKernel)
    }
}

/// What the loaders of kernels need to know.
pub(crate) struct KernelBoot<'a> {
    pub(crate) image: &'a [u8],
    pub(crate) initrd: Option<&'a [u8]>,
    pub(crate) cmdline: &'a str,
    /// Whether the CPU has 64-bit mode.
    pub(crate) long_mode: bool,
    /// A seed for the guest's random numbers.
    pub(crate) rng_seed: Option<[u8; 32]>,
    /// Where the ACPI tables begin.
    pub(crate) rsdp: u64,
}

/// What the machine tells its loader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    pub(crate) sizes: memory_map::Sizes,
    pub(crate) long_mode: bool,
    pub(crate) rng_seed: Option<[u8; 32]>,
    pub(crate) described: Described,
}

/// Where the loaders put things in base memory.
mod low {
    /// The Linux zero page.
    pub(super) const ZERO_PAGE: u64 = 0x1_0000;
    /// The random seed.
    pub(super) const SETUP_DATA: u64 = 0x1_1000;
    /// The Linux command line, up to 64 KiB.
    pub(super) const COMMAND_LINE: u64 = 0x2_0000;
}

/// Builds the memory of a machine, with all that is in it at the start.
pub(crate) fn load(
    boot: &Boot<'_>,
    circumstances: &Circumstances,
) -> Result<(GuestMemory, Entry), BootError> {
    let sizes = circumstances.sizes;
    let memory_bytes = sizes.ram;
    match *boot {
        Boot::Rom(image) => {
            let bytes = image.len() as u64;
            if bytes == 0 || bytes > MAX_ROM_BYTES || !bytes.is_multiple_of(PAGE_SIZE) {
                return Err(BootError::RomSize { bytes });
            }
            Ok((memory_map::with_rom(sizes, image)?, Entry::ResetVector))
        }
        Boot::Kernel { image, initrd, cmdline } => {
            let kind = kernel_kind(image)?;
            let mut memory = memory_map::without_rom(sizes)?;
            bios_data::write(&mut memory);
            let rsdp = acpi::write(&mut memory, circumstances.described);
            let Circumstances { long_mode, rng_seed, .. } = *circumstances;
            let kernel = KernelBoot { image, initrd, cmdline, long_mode, rng_seed, rsdp };
            let entry = match kind {
                KernelKind::Linux(header) => {
                    linux::load(&kernel, &header, memory_bytes, &mut memory)?
                }
                KernelKind::Multiboot => multiboot::load(&kernel, memory_bytes, &mut memory)?,
            };
            Ok((memory, entry))
        }
    }
}

#[cfg(test)]
pub(crate) use linux::tests::bz_image as small_linux_kernel;
#[cfg(test)]
mod tests;
