//! What single instructions want of registers and memory beyond random values, to do something
//! worth looking at often enough.

use cutaway_isa::CodeSize;
use iced_x86::{Instruction, Mnemonic as M, OpKind, Register};

use super::Generated;
use super::state::{Scene, far_selector, selector};
use crate::case::seg;
use crate::place::{CODE, DATA, PAGE, READ_ONLY, STACK, WINDOW, WINDOW_SIZE};

const RAX: usize = 0;
const RCX: usize = 1;
const RDX: usize = 2;
const RBX: usize = 3;
const RSP: usize = 4;
const RBP: usize = 5;
const RDI: usize = 7;

/// Bytes of an XSAVE area as far as AVX.
const XSAVE_AREA: usize = 832;

/// Bytes that an instruction's memory operand may cover.
pub(super) fn memory_bytes(instruction: &Instruction) -> usize {
    let size = instruction.memory_size().size();
    match instruction.mnemonic() {
        M::Xsave
        | M::Xsave64
        | M::Xrstor
        | M::Xrstor64
        | M::Xsavec
        | M::Xsavec64
        | M::Xsaveopt
        | M::Xsaveopt64 => XSAVE_AREA,
        M::Fxsave | M::Fxsave64 | M::Fxrstor | M::Fxrstor64 => 512,
        M::Fnsave | M::Frstor => 108,
        M::Fnstenv | M::Fldenv => 28,
        _ => size.clamp(1, 512),
    }
}

/// Whether a vector index has 64-bit elements.
pub(super) fn has_qword_indices(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), M::Vgatherqps | M::Vgatherqpd | M::Vpgatherqd | M::Vpgatherqq)
}

/// Registers, before memory operands are aimed.
pub(super) fn adjust(scene: &mut Scene<'_>) {
    let instruction = scene.instruction();
    string_registers(scene, &instruction);
    match instruction.mnemonic() {
        M::Div | M::Idiv => divide(scene, &instruction),
        M::Bt | M::Bts | M::Btr | M::Btc if scene.draw.chance(70) => {
            let register = instruction.op_register(1);
            if register != Register::None && instruction.op_kind(1) == OpKind::Register {
                let small = scene.draw.below(0x200).wrapping_sub(0x100);
                scene.set_address(register.full_register(), small);
            }
        }
        M::Loop | M::Loope | M::Loopne | M::Jcxz | M::Jecxz | M::Jrcxz if scene.draw.chance(60) => {
            scene.case.registers.gpr[RCX] = scene.draw.below(3);
        }
        M::Xlatb => {
            let at = WINDOW + DATA + scene.draw.below(PAGE);
            scene.case.registers.gpr[RBX] = in_data_segment(scene, at);
        }
        M::Maskmovdqu | M::Maskmovq | M::Vmaskmovdqu => {
            let at = WINDOW + DATA + PAGE - 8 + scene.draw.below(32);
            scene.case.registers.gpr[RDI] = in_data_segment(scene, at);
        }
        M::Leave | M::Enter => {
            let at = WINDOW + STACK + 0x200 + scene.draw.below(0x800) - scene.stack_base();
            if scene.draw.chance(85) {
                scene.case.registers.gpr[RBP] = at;
            }
        }
        M::Mov | M::Verr | M::Verw | M::Lar | M::Lsl | M::Arpl => selectors(scene, &instruction),
        _ if is_xsave(&instruction) && scene.draw.chance(60) => {
            scene.case.registers.gpr[RAX] &= 7;
        }
        M::Wrfsbase | M::Wrgsbase if scene.draw.chance(60) => {
            let register = instruction.op0_register().full_register();
            let value = scene.draw.bits() >> 17;
            scene.set_address(register, value);
        }
        M::Jmp | M::Call
            if instruction.op_count() == 1
                && instruction.op_kind(0) == OpKind::Register
                && scene.draw.chance(80) =>
        {
            let to = WINDOW + CODE + scene.draw.below(PAGE) - scene.code_base();
            scene.set_address(instruction.op0_register().full_register(), to);
        }
        M::Mul | M::Imul | M::Aam | M::Aad => {}
        _ => {}
    }
}

/// An offset in DS for a linear address; in 64-bit mode they are the same.
fn in_data_segment(scene: &Scene<'_>, linear: u64) -> u64 {
    let base = if scene.size == CodeSize::Bits64 {
        0
    } else {
        crate::place::base(scene.case.registers.selectors[seg::DS])
    };
    linear.wrapping_sub(base) & if scene.size == CodeSize::Bits64 { u64::MAX } else { 0xffff_ffff }
}

/// Aims RSI and RDI of string instructions, and keeps most counts small.
fn string_registers(scene: &mut Scene<'_>, instruction: &Instruction) {
    if !instruction.is_string_instruction() {
        return;
    }
    for n in 0..instruction.op_count() {
        let (register, segment) = match instruction.op_kind(n) {
            OpKind::MemorySegSI => (Register::SI, instruction.memory_segment()),
            OpKind::MemorySegESI => (Register::ESI, instruction.memory_segment()),
            OpKind::MemorySegRSI => (Register::RSI, instruction.memory_segment()),
            OpKind::MemoryESDI => (Register::DI, Register::ES),
            OpKind::MemoryESEDI => (Register::EDI, Register::ES),
            OpKind::MemoryESRDI => (Register::RDI, Register::ES),
            _ => continue,
        };
        let at = match scene.draw.below(20) {
            0 => READ_ONLY + scene.draw.below(PAGE),
            1 => DATA + 2 * PAGE - scene.draw.below(24),
            2 => DATA - scene.draw.below(24),
            3 => DATA + PAGE - scene.draw.below(24),
            4 => WINDOW_SIZE - scene.draw.below(24),
            _ => DATA + 0x200 + scene.draw.below(0x400),
        };
        if scene.draw.chance(97) {
            aim_string(scene, register, segment, WINDOW + at);
        }
    }
    if scene.draw.chance(85) {
        let count =
            if scene.draw.chance(90) { scene.draw.below(12) } else { scene.draw.below(200) };
        scene.case.registers.gpr[RCX] = count;
        let wide = instruction.op_kind(0);
        let short = matches!(wide, OpKind::MemorySegSI | OpKind::MemoryESDI);
        if short && scene.draw.chance(30) {
            scene.case.registers.gpr[RCX] |= scene.draw.bits() & 0xffff_0000;
        }
    }
    // Compared bytes are equal now and then.
    if scene.draw.chance(50) {
        let value = scene.draw.bits() as u8;
        let run = scene.draw.below(40) as usize;
        let bytes = [value; 40];
        let rdi = scene.case.registers.gpr[RDI];
        let base = if scene.size == CodeSize::Bits64 {
            0
        } else {
            crate::place::base(scene.case.registers.selectors[seg::ES])
        };
        let at = base.wrapping_add(rdi).wrapping_sub(WINDOW);
        if at < WINDOW_SIZE - 40 {
            scene.case.patch(at, &bytes[..run]);
        }
        let rax = &mut scene.case.registers.gpr[RAX];
        *rax = u64::from(value) * 0x0101_0101;
    }
    if scene.draw.chance(50) {
        scene.whole();
    }
}

fn aim_string(scene: &mut Scene<'_>, register: Register, segment: Register, linear: u64) {
    let index = match segment {
        Register::ES => seg::ES,
        Register::CS => seg::CS,
        Register::SS => seg::SS,
        Register::FS => seg::FS,
        Register::GS => seg::GS,
        _ => seg::DS,
    };
    let registers = &scene.case.registers;
    let base = match (scene.size, index) {
        (CodeSize::Bits64, seg::FS | seg::GS) => registers.bases[index - seg::FS],
        (CodeSize::Bits64, _) => 0,
        _ => crate::place::base(registers.selectors[index]),
    };
    scene.set_address(register, linear.wrapping_sub(base));
}

/// Dividends small enough that most quotients fit.
fn divide(scene: &mut Scene<'_>, instruction: &Instruction) {
    if scene.draw.chance(25) {
        return;
    }
    let bits = match instruction.op_kind(0) {
        OpKind::Register => instruction.op0_register().size() * 8,
        _ => instruction.memory_size().size() * 8,
    };
    let negative = instruction.mnemonic() == M::Idiv && scene.draw.chance(50);
    let high = if negative { u64::MAX } else { 0 };
    let high = if scene.draw.chance(70) { high } else { high ^ scene.draw.below(8) };
    if bits == 8 {
        let rax = &mut scene.case.registers.gpr[RAX];
        *rax = *rax & !0xff00 | (high & 0xff) << 8;
    } else {
        let mask = u64::MAX >> (64 - bits);
        let rdx = &mut scene.case.registers.gpr[RDX];
        *rdx = *rdx & !mask | high & mask;
    }
}

/// Puts selectors worth loading into the source register.
fn selectors(scene: &mut Scene<'_>, instruction: &Instruction) {
    let loads =
        instruction.mnemonic() != M::Mov || instruction.op0_register().is_segment_register();
    if !loads {
        return;
    }
    for n in 0..instruction.op_count() {
        let register = instruction.op_register(n);
        if instruction.op_kind(n) == OpKind::Register && register.is_gpr() {
            let value = u64::from(selector(scene.draw));
            let old = &mut scene.case.registers.gpr[register.full_register().number()];
            *old = *old & !0xffff | value;
        }
    }
}

/// Memory and what depends on it, once operands are aimed.
pub(super) fn adjust_memory(scene: &mut Scene<'_>) {
    let instruction = scene.instruction();
    match instruction.mnemonic() {
        M::Ret
        | M::Retf
        | M::Iret
        | M::Iretd
        | M::Iretq
        | M::Popf
        | M::Popfd
        | M::Popfq
        | M::Pop
        | M::Leave => stack_frame(scene, &instruction),
        M::Jmp | M::Call | M::Lds | M::Les | M::Lfs | M::Lgs | M::Lss => {
            far_pointer(scene, &instruction);
        }
        M::Mov | M::Verr | M::Verw | M::Lar | M::Lsl | M::Arpl
            if instruction.mnemonic() != M::Mov
                || instruction.op0_register().is_segment_register() =>
        {
            let value = selector(scene.draw).to_le_bytes();
            patch_operand(scene, 0, &value);
        }
        M::Ldmxcsr | M::Vldmxcsr => {
            // Bit 17 is the host's misaligned mode, which no model has.
            let mask = if scene.draw.chance(80) { 0xffff } else { 0xfffd_ffff };
            let value = scene.draw.bits() & mask;
            patch_operand(scene, 0, &(value as u32).to_le_bytes());
        }
        M::Fldenv | M::Frstor => environment(scene),
        M::Fxrstor | M::Fxrstor64 | M::Xrstor | M::Xrstor64 => state_image(scene, &instruction),
        M::Xsave | M::Xsave64 | M::Xsaveopt | M::Xsaveopt64 => {
            let value = (scene.draw.bits() & 7).to_le_bytes();
            if let Some(at) = operand_offset(scene) {
                patch_over(scene, at + 512, &value);
            }
        }
        M::Cmpxchg | M::Cmpxchg8b | M::Cmpxchg16b => compare_equal(scene, &instruction),
        M::Fbld if scene.draw.chance(70) => {
            let mut digits = [0; 10];
            for byte in &mut digits {
                *byte = (scene.draw.below(10) << 4 | scene.draw.below(10)) as u8;
            }
            digits[9] = if scene.draw.chance(50) { 0x80 } else { 0 };
            patch_operand(scene, 0, &digits);
        }
        _ => {}
    }
}

/// Offset in the window of the explicit memory operand: its patch is the last one.
fn operand_offset(scene: &Scene<'_>) -> Option<u64> {
    let instruction = scene.instruction();
    let has = (0..instruction.op_count()).any(|n| instruction.op_kind(n) == OpKind::Memory);
    let patch = scene.case.patches().last()?;
    has.then_some(u64::from(patch.offset))
}

/// Overwrites the operand's patch from its byte `from` on.
fn patch_operand(scene: &mut Scene<'_>, from: usize, bytes: &[u8]) {
    if operand_offset(scene).is_none() {
        return;
    }
    let last = usize::from(scene.case.patches) - 1;
    let patch = &mut scene.case.memory[last];
    let len = patch.len as usize;
    for (n, &byte) in bytes.iter().enumerate() {
        if from + n < len {
            patch.bytes[from + n] = byte;
        }
    }
}

/// Adds a patch if it lies in the window.
fn patch_over(scene: &mut Scene<'_>, at: u64, bytes: &[u8]) {
    if at < WINDOW_SIZE {
        let room = (WINDOW_SIZE - at) as usize;
        scene.case.patch(at, &bytes[..bytes.len().min(room)]);
    }
}

/// An instruction pointer that mostly lies in the code page.
fn code_offset(scene: &mut Scene<'_>, base: u64) -> u64 {
    if scene.draw.chance(85) {
        (WINDOW + CODE + scene.draw.below(PAGE)).wrapping_sub(base)
    } else {
        scene.draw.integer(scene.register_bits())
    }
}

/// What POP, RET, RETF and IRET find: IP, CS, FLAGS, SP, SS of the operand size.
fn stack_frame(scene: &mut Scene<'_>, instruction: &Instruction) {
    let width = match instruction.code().op_code().operand_size() {
        16 => 2,
        32 => 4,
        64 => 8,
        _ if scene.size == CodeSize::Bits64 => 8,
        _ => scene.size.bits() as usize / 8,
    };
    let own = scene.case.registers.selectors;
    let keep = scene.draw.chance(60);
    let cs = if keep { own[seg::CS] } else { selector(scene.draw) };
    let code_base = if keep { scene.code_base() } else { crate::place::base(cs) };
    let ip = code_offset(scene, code_base);
    let flags = scene.draw.bits() & 0x24_4fd7 | u64::from(scene.draw.chance(50)) << 8;
    let ss = if scene.draw.chance(60) { own[seg::SS] } else { selector(scene.draw) };
    let sp = scene.case.registers.gpr[RSP].wrapping_add(scene.draw.below(64));
    let words = match instruction.mnemonic() {
        M::Popf | M::Popfd | M::Popfq => [flags, 0, 0, 0, 0],
        M::Pop => [u64::from(selector(scene.draw)), scene.draw.bits(), 0, 0, 0],
        M::Leave => [scene.draw.integer(64), 0, 0, 0, 0],
        M::Ret => [ip, scene.draw.bits(), 0, 0, 0],
        M::Retf => [ip, u64::from(cs), sp, u64::from(ss), 0],
        _ => [ip, u64::from(cs), flags, sp, u64::from(ss)],
    };
    let mut bytes = [0; 40];
    for (n, word) in words.iter().enumerate() {
        bytes[n * width..(n + 1) * width].copy_from_slice(&word.to_le_bytes()[..width]);
    }
    let pointer = if instruction.mnemonic() == M::Leave { RBP } else { RSP };
    let linear = scene.stack_base().wrapping_add(scene.case.registers.gpr[pointer]);
    patch_over(scene, linear.wrapping_sub(WINDOW), &bytes[..5 * width]);
}

/// Far pointers in memory: an offset of the operand size, then a selector. And near ones.
fn far_pointer(scene: &mut Scene<'_>, instruction: &Instruction) {
    let far = !matches!(instruction.mnemonic(), M::Jmp | M::Call)
        || instruction.is_jmp_far_indirect()
        || instruction.is_call_far_indirect();
    let size = instruction.memory_size().size();
    let keep = scene.draw.chance(50);
    let form = super::forms::Form { code: instruction.code(), size: scene.size };
    let cs =
        if keep { scene.case.registers.selectors[seg::CS] } else { far_selector(scene.draw, form) };
    let base = if keep { scene.code_base() } else { crate::place::base(cs) };
    let offset = code_offset(scene, base).to_le_bytes();
    if far && size > 2 {
        patch_operand(scene, 0, &offset[..size - 2]);
        patch_operand(scene, size - 2, &cs.to_le_bytes());
    } else if size > 0 && size <= 8 {
        patch_operand(scene, 0, &offset[..size]);
    }
}

/// An x87 environment: control, status and tag word with what they may hold.
fn environment(scene: &mut Scene<'_>) {
    if scene.draw.chance(20) {
        return;
    }
    let width = if scene.instruction().code().op_code().operand_size() == 16 { 2 } else { 4 };
    let control = if scene.draw.chance(70) { 0x37f } else { scene.draw.bits() as u16 };
    let status = scene.draw.bits() as u16 & if scene.draw.chance(80) { 0x7f00 } else { 0xffff };
    let tags = scene.draw.bits() as u16;
    for (n, word) in [control, status, tags].into_iter().enumerate() {
        patch_operand(scene, n * width, &word.to_le_bytes());
    }
}

/// An FXSAVE or XSAVE image that mostly can be loaded.
fn state_image(scene: &mut Scene<'_>, instruction: &Instruction) {
    let mxcsr = if scene.draw.chance(90) {
        scene.draw.bits() & 0xffff
    } else {
        scene.draw.bits() & 0xfffd_ffff
    };
    patch_operand(scene, 24, &(mxcsr as u32).to_le_bytes());
    let control = (scene.draw.bits() & 0x1f7f) as u16;
    let status = (scene.draw.bits() & 0x7f7f) as u16;
    patch_operand(scene, 0, &control.to_le_bytes());
    patch_operand(scene, 2, &status.to_le_bytes());
    if matches!(instruction.mnemonic(), M::Xrstor | M::Xrstor64) {
        let mut header = [0; 24];
        let present = match scene.draw.below(20) {
            0 => scene.draw.bits() & !0x200,
            _ => scene.draw.bits() & 7,
        };
        header[..8].copy_from_slice(&present.to_le_bytes());
        match scene.draw.below(20) {
            0 => header[8..16].copy_from_slice(&scene.draw.bits().to_le_bytes()),
            1..=4 => header[8..16].copy_from_slice(&(1 << 63 | present | 7).to_le_bytes()),
            _ => {}
        }
        if let Some(at) = operand_offset(scene) {
            patch_over(scene, at + 512, &header);
        }
    }
}

/// Makes the accumulator equal to memory in half of all cases.
fn compare_equal(scene: &mut Scene<'_>, instruction: &Instruction) {
    if scene.draw.chance(50) {
        return;
    }
    let registers = scene.case.registers.gpr;
    let word = |n: usize| registers[n].to_le_bytes();
    match instruction.mnemonic() {
        M::Cmpxchg8b => {
            patch_operand(scene, 0, &word(RAX)[..4]);
            patch_operand(scene, 4, &word(RDX)[..4]);
        }
        M::Cmpxchg16b => {
            patch_operand(scene, 0, &word(RAX));
            patch_operand(scene, 8, &word(RDX));
        }
        _ if instruction.op_kind(0) == OpKind::Memory => {
            let size = instruction.memory_size().size().min(8);
            patch_operand(scene, 0, &word(RAX)[..size]);
        }
        _ => {
            let register = instruction.op0_register().full_register().number();
            if register != RSP {
                scene.case.registers.gpr[register] = registers[RAX];
            }
        }
    }
}

fn is_xsave(instruction: &Instruction) -> bool {
    matches!(
        instruction.mnemonic(),
        M::Xsave
            | M::Xsave64
            | M::Xrstor
            | M::Xrstor64
            | M::Xsavec
            | M::Xsavec64
            | M::Xsaveopt
            | M::Xsaveopt64
            | M::Xsaves
            | M::Xsaves64
            | M::Xrstors
            | M::Xrstors64
    )
}

/// Whether the case leaves alone what the host has and no model: protection keys (bit 9 of XCR0), as
/// memory that restores them could close the worker's own; and misaligned mode (bit 17 of MXCSR),
/// which an image has where its address could not be aimed at.
pub(super) fn is_safe(generated: &Generated) -> bool {
    let instruction = &generated.encoding.instruction;
    if is_xsave(instruction) && generated.case.registers.gpr[RAX] & 0x200 != 0 {
        return false;
    }
    let loads = matches!(
        instruction.mnemonic(),
        M::Fxrstor | M::Fxrstor64 | M::Xrstor | M::Xrstor64 | M::Ldmxcsr | M::Vldmxcsr
    );
    let (base, index) = (instruction.memory_base(), instruction.memory_index());
    !loads || index == Register::None || base != Register::None && base != index
}
