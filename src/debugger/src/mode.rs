//! Which mode the CPU is in, and where its next instruction is.
//!
//! Source: Intel SDM vol. 3A §2.2, "Modes of Operation"; §3.4.5, "Segment Descriptors" (D/B, L).

use cutaway_cpu::{CpuState, Seg};
use cutaway_isa::{CodeSize, Cr0, Efer, Rflags};

/// Default operand and address size of the running code.
pub(crate) fn code_size(state: &CpuState) -> CodeSize {
    let cs = &state.system.segments[Seg::Cs as usize];
    if is_long(state) && cs.is_long() {
        CodeSize::Bits64
    } else if cs.is_big() {
        CodeSize::Bits32
    } else {
        CodeSize::Bits16
    }
}

/// EFER.LMA.
pub(crate) fn is_long(state: &CpuState) -> bool {
    state.system.efer & Efer::LMA.bits() != 0
}

/// Whether a selector is a paragraph number: real and virtual-8086 mode.
pub(crate) fn is_real_like(state: &CpuState) -> bool {
    state.system.cr0 & Cr0::PE.bits() == 0 || state.rflags & Rflags::VM.bits() != 0
}

/// What is added to an offset in CS to get its linear address; 64-bit mode has no base.
pub(crate) fn code_base(state: &CpuState) -> u64 {
    match code_size(state) {
        CodeSize::Bits64 => 0,
        _ => state.system.segments[Seg::Cs as usize].base,
    }
}

/// The linear address of an offset in CS.
pub(crate) fn linear_of_offset(state: &CpuState, offset: u64) -> u64 {
    match code_size(state) {
        CodeSize::Bits64 => offset,
        _ => code_base(state).wrapping_add(offset) & 0xffff_ffff,
    }
}

/// The offset in CS of a linear address.
pub(crate) fn offset_of_linear(state: &CpuState, linear: u64) -> u64 {
    match code_size(state) {
        CodeSize::Bits64 => linear,
        _ => linear.wrapping_sub(code_base(state)) & 0xffff_ffff,
    }
}

/// The linear address of the next instruction: what gdb knows as the program counter.
pub(crate) fn pc(state: &CpuState) -> u64 {
    linear_of_offset(state, state.rip)
}

/// The mode's name.
pub(crate) fn name(state: &CpuState) -> &'static str {
    if state.system.cr0 & Cr0::PE.bits() == 0 {
        "real mode"
    } else if state.rflags & Rflags::VM.bits() != 0 {
        "virtual-8086 mode"
    } else {
        match (is_long(state), code_size(state)) {
            (_, CodeSize::Bits64) => "64-bit mode",
            (true, CodeSize::Bits32) => "32-bit compatibility mode",
            (true, _) => "16-bit compatibility mode",
            (false, CodeSize::Bits32) => "32-bit protected mode",
            (false, _) => "16-bit protected mode",
        }
    }
}

/// What gdb calls the architecture whose instructions these are.
pub(crate) fn gdb_architecture(state: &CpuState) -> &'static str {
    match code_size(state) {
        CodeSize::Bits64 => "i386:x86-64",
        CodeSize::Bits32 => "i386",
        CodeSize::Bits16 => "i8086",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SDM vol. 3A §9.1.4, "First Instruction Executed": FFFFFFF0H.
    #[test]
    fn the_pc_after_reset_is_the_reset_vector() {
        let state = CpuState::reset(0);

        assert_eq!(pc(&state), 0xffff_fff0);
        assert_eq!(offset_of_linear(&state, 0xffff_fff0), 0xfff0);
        assert_eq!((name(&state), gdb_architecture(&state)), ("real mode", "i8086"));
    }

    #[test]
    fn sixty_four_bit_code_has_no_base() {
        let mut state = CpuState::reset(0);
        state.system.cr0 |= (Cr0::PE | Cr0::PG).bits();
        state.system.efer = Efer::LMA.bits();
        state.system.segments[Seg::Cs as usize].attributes |= 0x2000;
        state.rip = 0xffff_8000_0000_0000;

        assert_eq!(pc(&state), 0xffff_8000_0000_0000);
        assert_eq!(name(&state), "64-bit mode");
    }
}
