//! The state in which the CPU is handed to a kernel.
//!
//! Sources: Linux `Documentation/arch/x86/boot.rst`, "32-bit Boot Protocol", "64-bit Boot
//! Protocol"; Multiboot Specification 0.6.96 §3.2, "Machine state".

use super::fields::put;
use cutaway_cpu::{CpuState, Segment, TableRegister, gpr};
use cutaway_isa::{Cr0, Cr4, Efer, Rflags};
use cutaway_memory::{GuestMemory, PAGE_SIZE};

/// Where the boot-time GDT lies.
const GDT: u64 = 0x6000;
/// Where the boot-time page tables lie: a PML4, a PDPT, four page directories.
const PAGE_TABLES: u64 = 0x7000;

/// `__BOOT_CS` and `__BOOT_DS` of the Linux protocol; multiboot leaves them open.
const CODE: u16 = 0x10;
const DATA: u16 = 0x18;
/// Task state for CPUs that want a valid TR; nobody switches through it.
const TASK: u16 = 0x20;

/// Descriptor attributes as in [`Segment::attributes`].
const CODE_32: u16 = 0xc09b;
const CODE_64: u16 = 0xa09b;
const DATA_32: u16 = 0xc093;
const TSS_BUSY: u16 = 0x008b;
/// A 32-bit TSS has 104 bytes.
const TSS_LIMIT: u32 = 0x67;

/// Page table bits: present, writable, accessed, dirty; PS.
const TABLE: u64 = 0x03;
const LARGE_PAGE: u64 = 0xe3;
const LARGE_PAGE_BYTES: u64 = 2 << 20;

/// How the CPU starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// At the reset vector, as after power-on.
    ResetVector,
    /// In flat 32-bit protected mode, paging off, by the Linux 32-bit protocol.
    Linux32 {
        /// EIP.
        eip: u32,
        /// ESI: where the zero page lies.
        zero_page: u32,
    },
    /// In 64-bit mode with the first 4 GiB mapped one to one, by the Linux 64-bit protocol.
    Linux64 {
        /// RIP.
        rip: u64,
        /// RSI: where the zero page lies.
        zero_page: u64,
    },
    /// In flat 32-bit protected mode, paging off, no GDT in memory, by multiboot.
    Multiboot {
        /// EIP.
        eip: u32,
        /// EBX: where the multiboot information lies.
        information: u32,
    },
}

/// What EAX tells a kernel that a multiboot loader started it.
const MULTIBOOT_LOADER_MAGIC: u64 = 0x2bad_b002;

impl Entry {
    /// Turns the reset state of a CPU into this one, with its tables in memory.
    pub(crate) fn apply(self, cpu: &mut CpuState, memory: &mut GuestMemory) {
        match self {
            Self::ResetVector => {}
            Self::Linux32 { eip, zero_page } => {
                flat(cpu, CODE_32);
                load_gdt(cpu, memory, CODE_32);
                cpu.rip = u64::from(eip);
                cpu.gpr[gpr::RSI] = u64::from(zero_page);
            }
            Self::Linux64 { rip, zero_page } => {
                flat(cpu, CODE_64);
                load_gdt(cpu, memory, CODE_64);
                identity_map(memory);
                cpu.rip = rip;
                cpu.gpr[gpr::RSI] = zero_page;
                cpu.system.cr3 = PAGE_TABLES;
                cpu.system.cr4 = Cr4::PAE.bits();
                cpu.system.efer = (Efer::LME | Efer::LMA).bits();
                cpu.system.cr0 |= Cr0::PG.bits();
            }
            Self::Multiboot { eip, information } => {
                flat(cpu, CODE_32);
                cpu.rip = u64::from(eip);
                cpu.gpr[gpr::RAX] = MULTIBOOT_LOADER_MAGIC;
                cpu.gpr[gpr::RBX] = u64::from(information);
            }
        }
    }
}

/// Protected mode, flat segments, empty tables, registers zero, interrupts off.
fn flat(cpu: &mut CpuState, code: u16) {
    let segment = |selector, attributes| Segment { selector, attributes, limit: u32::MAX, base: 0 };
    let data = segment(DATA, DATA_32);
    let task = Segment { selector: TASK, attributes: TSS_BUSY, limit: TSS_LIMIT, base: 0 };
    cpu.system.segments =
        [data, segment(CODE, code), data, data, data, data, Segment::null(0), task];
    cpu.system.gdtr = TableRegister { base: 0, limit: 0 };
    cpu.system.idtr = TableRegister { base: 0, limit: 0 };
    cpu.system.cr0 = (Cr0::PE | Cr0::ET).bits();
    cpu.rflags = Rflags::ONE.bits();
    cpu.gpr = [0; 16];
}

/// The GDT that the flat segments come from.
fn load_gdt(cpu: &mut CpuState, memory: &mut GuestMemory, code: u16) {
    let gdt = [
        0,
        0,
        descriptor(code, 0xf_ffff),
        descriptor(DATA_32, 0xf_ffff),
        descriptor(TSS_BUSY, TSS_LIMIT),
    ];
    for (at, descriptor) in (GDT..).step_by(8).zip(gdt) {
        memory.write(at, &descriptor.to_le_bytes());
    }
    cpu.system.gdtr = TableRegister { base: GDT, limit: gdt.len() as u16 * 8 - 1 };
}

/// A descriptor of base 0 (Intel SDM vol. 3A §3.4.5, "Segment Descriptors").
fn descriptor(attributes: u16, limit: u32) -> u64 {
    let limit = u64::from(limit);
    u64::from(attributes) << 40 | (limit & 0xf_0000) << 32 | limit & 0xffff
}

/// Maps the first 4 GiB one to one in pages of 2 MiB (Intel SDM vol. 3A §4.5).
fn identity_map(memory: &mut GuestMemory) {
    let (pml4, pdpt, first_directory) =
        (PAGE_TABLES, PAGE_TABLES + PAGE_SIZE, PAGE_TABLES + 2 * PAGE_SIZE);
    let mut page = vec![0; PAGE_SIZE as usize];
    put(&mut page, 0, (pdpt | TABLE).to_le_bytes());
    memory.write(pml4, &page);

    page.fill(0);
    for number in 0..4 {
        let directory = first_directory + number * PAGE_SIZE;
        put(&mut page, number as usize * 8, (directory | TABLE).to_le_bytes());
    }
    memory.write(pdpt, &page);

    for number in 0..4 {
        for entry in 0..512 {
            let target = (number * 512 + entry) * LARGE_PAGE_BYTES;
            put(&mut page, entry as usize * 8, (target | LARGE_PAGE).to_le_bytes());
        }
        memory.write(first_directory + number * PAGE_SIZE, &page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_map::{MIB, Sizes, without_rom};

    fn entered(entry: Entry) -> (CpuState, GuestMemory) {
        let mut memory = without_rom(Sizes { ram: 16 * MIB, disk: 0, monitor: 0 }).unwrap();
        let mut cpu = CpuState::reset(0x600);
        entry.apply(&mut cpu, &mut memory);
        (cpu, memory)
    }

    fn qword(memory: &GuestMemory, address: u64) -> u64 {
        let mut bytes = [0; 8];
        memory.read(address, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// The classic flat descriptors, as every textbook prints them.
    #[test]
    fn the_gdt_holds_flat_descriptors() {
        let (cpu, memory) = entered(Entry::Linux32 { eip: 0x10_0000, zero_page: 0x1_0000 });

        assert_eq!(qword(&memory, cpu.system.gdtr.base + 0x10), 0x00cf_9b00_0000_ffff);
        assert_eq!(qword(&memory, cpu.system.gdtr.base + 0x18), 0x00cf_9300_0000_ffff);
        assert_eq!(cpu.gpr[gpr::RSI], 0x1_0000);
        assert_eq!(cpu.rflags & Rflags::IF.bits(), 0);
    }

    #[test]
    fn the_last_page_below_4_gib_is_mapped_to_itself() {
        let (cpu, memory) = entered(Entry::Linux64 { rip: 0x100_0200, zero_page: 0x1_0000 });

        let pdpt = qword(&memory, cpu.system.cr3) & !0xfff;
        let directory = qword(&memory, pdpt + 3 * 8) & !0xfff;
        assert_eq!(qword(&memory, directory + 511 * 8), 0xffe0_0000 | 0xe3);
        assert!(directory + PAGE_SIZE <= 0x1_0000, "clear of the zero page");
    }
}
