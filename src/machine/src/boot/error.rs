//! Why a machine cannot be started: one sentence each, with what to do where that helps.

use cutaway_memory::MemoryError;

const MIB: u64 = 1 << 20;

/// Why the image cannot be booted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// Neither of the known formats.
    #[error("the file is no kernel: it is neither a Linux bzImage nor a multiboot kernel")]
    NotAKernel,
    /// The file ends before what its headers promise.
    #[error("the kernel is truncated: its {part} ends at byte {needs}, the file has {has}")]
    Truncated {
        /// What is cut off.
        part: &'static str,
        /// Bytes the file would need.
        needs: u64,
        /// Bytes it has.
        has: u64,
    },
    /// A header field cannot be.
    #[error("the kernel is damaged: {what}")]
    Malformed {
        /// What does not hold.
        what: &'static str,
    },
    /// A Linux kernel older than what is supported.
    #[error(
        "the kernel speaks boot protocol {}.{:02}, which is too old: 2.02 and a bzImage are needed",
        version >> 8, version & 0xff
    )]
    ProtocolTooOld {
        /// The version, major in the high byte.
        version: u16,
    },
    /// A 64-bit kernel and a 32-bit CPU.
    #[error(
        "the kernel is a 64-bit one and the CPU is not: take a 32-bit kernel, or a CPU such as x86-64-v2"
    )]
    NeedsLongMode,
    /// A multiboot kernel that is a 64-bit ELF.
    #[error("the multiboot kernel is a 64-bit ELF, multiboot 1 loads 32-bit ELF only")]
    Elf64,
    /// A multiboot header asks for what is not there.
    #[error("the multiboot kernel requires features {flags:#x}, which this loader does not have")]
    MultibootFlags {
        /// The flags that are not known, of bits 15:0.
        flags: u32,
    },
    /// A part of the kernel lies where the machine has no RAM.
    #[error("the kernel loads at {start:#x}, where the machine has no memory")]
    NoMemoryThere {
        /// First guest-physical address of the part.
        start: u64,
    },
    /// The kernel is larger than the machine.
    #[error(
        "the kernel needs {} MiB of memory, the machine has {}: give it more",
        needs.div_ceil(MIB), has / MIB
    )]
    TooLittleMemory {
        /// Bytes of memory below which it cannot start.
        needs: u64,
        /// Bytes of memory there are.
        has: u64,
    },
    /// The initial RAM disk does not fit beside the kernel.
    #[error(
        "the initrd of {bytes} bytes does not fit into the {room} bytes beside the kernel: \
         give the machine more memory"
    )]
    InitrdDoesNotFit {
        /// Its length.
        bytes: u64,
        /// What is free where it may lie.
        room: u64,
    },
    /// The command line exceeds what the kernel takes.
    #[error("the kernel command line has {len} bytes, this kernel takes at most {max}")]
    CommandLineTooLong {
        /// Its length in bytes.
        len: usize,
        /// The most that can be.
        max: usize,
    },
    /// The command line would end early.
    #[error("the kernel command line contains a zero byte")]
    CommandLineHasZero,
    /// A ROM of impossible size.
    #[error("the ROM has {bytes} bytes; it must be a multiple of 4096, at most 16 MiB")]
    RomSize {
        /// Its length.
        bytes: u64,
    },
    /// The memory map could not be built.
    #[error("no memory for the guest")]
    Memory(#[from] MemoryError),
}
