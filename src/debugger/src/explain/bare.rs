//! A machine with nothing in it but one instruction, just switched into a mode.
//!
//! 16 bits: real mode, all segments at 0. 32 bits: protected mode, flat segments, no paging.
//! 64 bits: long mode, the first GiB mapped onto itself. CPL 0, SSE and AVX switched on. All
//! registers are zero but the instruction pointer and the stack pointer.

use cutaway_cpu::{CpuModel, CpuState, Seg, Segment, gpr};
use cutaway_isa::CodeSize;
use cutaway_machine::{Boot, Config, Machine, MachineError};

/// Where the instruction is.
pub const BARE_ORIGIN: u64 = 0x7c00;
/// The stack pointer.
pub const BARE_STACK: u64 = 0x7000;
const PAGE_TABLES: u64 = 0x1000;
/// CR4: PAE, OSFXSR, OSXMMEXCPT; with XSAVE also OSXSAVE.
const CR4: u64 = 0x620;
const CR4_OSXSAVE: u64 = 1 << 18;

/// The machine; `bytes` are the instruction.
///
/// # Errors
/// The CPU model has no such mode ([`MachineError`] has no word for it, so ask
/// [`CpuModel::has_long_mode`] before), or the host has no memory.
pub fn bare_machine(
    model: CpuModel,
    size: CodeSize,
    bytes: &[u8],
) -> Result<Machine, MachineError> {
    let config = Config { memory_bytes: 4 << 20, ..Config::new(model) };
    let mut rom = vec![0xf4; 0x1000];
    rom[0xff0] = 0xf4;
    let mut machine = Machine::new(config, &Boot::Rom(&rom))?;
    let (vcpu, bus) = machine.vcpu_and_bus();
    let memory = bus.memory();
    memory.write(BARE_ORIGIN, bytes);
    if size == CodeSize::Bits64 {
        memory.write(PAGE_TABLES, &(PAGE_TABLES + 0x1003).to_le_bytes());
        memory.write(PAGE_TABLES + 0x1000, &0x83_u64.to_le_bytes());
    }
    let mut state = vcpu.save();
    switch(&mut state, size, model);
    vcpu.load(&state);
    Ok(machine)
}

fn switch(state: &mut CpuState, size: CodeSize, model: CpuModel) {
    let flat = Segment { selector: 16, attributes: 0xc093, limit: u32::MAX, base: 0 };
    let system = &mut state.system;
    state.gpr = [0; 16];
    state.gpr[gpr::RSP] = BARE_STACK;
    state.rip = BARE_ORIGIN;
    let old = model == CpuModel::I486;
    system.cr4 = if old { 0 } else { CR4 & !0x20 };
    if model >= CpuModel::X86_64V3 {
        system.cr4 |= CR4_OSXSAVE;
        system.xcr0 = 7;
    }
    let data = if size == CodeSize::Bits16 { Segment::real_mode_data(0) } else { flat };
    for seg in [Seg::Es, Seg::Ss, Seg::Ds, Seg::Fs, Seg::Gs] {
        system.segments[seg as usize] = data;
    }
    let code = match size {
        CodeSize::Bits16 => Segment { attributes: 0x9b, ..data },
        CodeSize::Bits32 => Segment { selector: 8, attributes: 0xc09b, ..flat },
        CodeSize::Bits64 => Segment { selector: 8, attributes: 0xa09b, ..flat },
    };
    system.segments[Seg::Cs as usize] = code;
    system.cr0 = 0x10;
    if size != CodeSize::Bits16 {
        system.cr0 |= 0x23;
    }
    if size == CodeSize::Bits64 {
        system.cr0 |= 1 << 31;
        system.cr3 = PAGE_TABLES;
        system.cr4 |= 0x20;
        system.efer = 0xd00;
    }
}
