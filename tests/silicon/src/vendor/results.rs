//! Differences of results. What each function is about says the table.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic as M, OpKind};

use super::pair::{GENERAL_PROTECTION, PENDING, Pair, is_access, is_canonical, segment};
use crate::case::{Outcome, seg};
use crate::place::WINDOW;

/// OF SF ZF AF PF CF.
const STATUS: u64 = 0x8d5;
/// TOP of FSW's high byte.
const TOP: u8 = 0x38;
const UPPER: u64 = 0xffff_ffff_0000_0000;

pub(super) fn x87_pointers(pair: &mut Pair<'_>) {
    if pair.ours.registers.x87[6..].iter().all(|&byte| byte == 0) {
        pair.clear_x87_pointers();
    }
}

pub(super) fn x87_pointers_in_memory(pair: &mut Pair<'_>) {
    let wide = pair.instruction().memory_size().size();
    let range = match pair.mnemonic() {
        _ if pair.case().registers.x87[2] & PENDING != 0 => return,
        M::Fnsave | M::Fnstenv if matches!(wide, 14 | 94) => 6..14,
        M::Fnsave | M::Fnstenv => 12..28,
        M::Fxsave | M::Fxsave64 | M::Xsave | M::Xsave64 => 6..24,
        M::Xsavec | M::Xsavec64 | M::Xsaveopt | M::Xsaveopt64 => 6..24,
        _ => return,
    };
    let Some(operand) = pair.operand() else { return };
    for at in range {
        let byte = pair.after(&pair.silicon, operand + at, 1);
        pair.put_ours(operand + at, 1, byte);
    }
}

pub(super) fn x87_pointer_width(pair: &mut Pair<'_>) {
    let loads = matches!(pair.mnemonic(), M::Fxrstor64 | M::Xrstor64);
    let ours = &mut pair.ours.registers.x87;
    for at in [8, 16] {
        let top = if ours[at + 5] & 0x80 == 0 { 0 } else { 0xff };
        if loads && ours[at + 6..at + 8] == [top; 2] {
            ours[at + 6..at + 8].copy_from_slice(&pair.silicon.registers.x87[at + 6..at + 8]);
        }
    }
}

pub(super) fn undefined_flags(pair: &mut Pair<'_>) {
    let mask = undefined(pair);
    if pair.completed() {
        pair.silicon.registers.rflags &= !mask;
        pair.ours.registers.rflags &= !mask;
    }
}

/// RFLAGS that an instruction leaves undefined.
fn undefined(pair: &Pair<'_>) -> u64 {
    use iced_x86::RflagsBits as B;
    let count = count(pair);
    match pair.mnemonic() {
        M::Shld | M::Shrd if count > 16 && double_shift_is_short(pair) => return STATUS,
        M::Rcl | M::Rcr if count > 1 => return 1 << 11,
        _ => {}
    }
    let bits = pair.instruction().rflags_undefined();
    [(B::OF, 11), (B::SF, 7), (B::ZF, 6), (B::AF, 4), (B::CF, 0), (B::PF, 2)]
        .iter()
        .filter(|(flag, _)| bits & flag != 0)
        .map(|(_, bit)| 1 << bit)
        .sum()
}

/// The count of a shift or rotation of at most 32 bits: its last operand, modulo 32.
fn count(pair: &Pair<'_>) -> u64 {
    let instruction = pair.instruction();
    let last = instruction.op_count().saturating_sub(1);
    match instruction.op_count() {
        0 | 1 => 0,
        _ if instruction.op_kind(last) == OpKind::Immediate8 => {
            u64::from(instruction.immediate8()) & 31
        }
        _ if instruction.op_kind(last) == OpKind::Register => pair.case().registers.gpr[1] & 31,
        _ => 0,
    }
}

fn double_shift_is_short(pair: &Pair<'_>) -> bool {
    pair.instruction().op_register(1).size() == 2
}

pub(super) fn double_shift(pair: &mut Pair<'_>) {
    let double = matches!(pair.mnemonic(), M::Shld | M::Shrd);
    if !double || !double_shift_is_short(pair) || count(pair) <= 16 || !pair.completed() {
        return;
    }
    if let Some(operand) = pair.operand() {
        let value = pair.after(&pair.silicon, operand, 2);
        pair.put_ours(operand, 2, value);
    } else {
        let n = pair.instruction().op0_register().number();
        let value = pair.silicon.registers.gpr[n];
        let ours = &mut pair.ours.registers.gpr[n];
        *ours = *ours & !0xffff | value & 0xffff;
    }
}

pub(super) fn repeated_comparison(pair: &mut Pair<'_>) {
    let start = pair.case().registers;
    let scans = matches!(
        pair.mnemonic(),
        M::Cmpsb | M::Cmpsw | M::Cmpsd | M::Cmpsq | M::Scasb | M::Scasw | M::Scasd | M::Scasq
    );
    let repeated = pair.instruction().has_repe_prefix() || pair.instruction().has_repne_prefix();
    if scans
        && repeated
        && pair.silicon.registers.rip == start.rip
        && pair.ours.registers.rip == start.rip
    {
        let ours = &mut pair.ours.registers.rflags;
        *ours = *ours & !STATUS | start.rflags & STATUS;
    }
}

pub(super) fn string_registers(pair: &mut Pair<'_>) {
    if !pair.instruction().is_string_instruction() || pair.case().bits != 64 {
        return;
    }
    let short = (0..pair.instruction().op_count()).any(|n| {
        matches!(pair.instruction().op_kind(n), OpKind::MemorySegESI | OpKind::MemoryESEDI)
    });
    let start = pair.case().registers.gpr;
    for n in [1, 6, 7] {
        let (silicon, ours) = (pair.silicon.registers.gpr[n], pair.ours.registers.gpr[n]);
        let either = |value: u64| value & UPPER == 0 || value & UPPER == start[n] & UPPER;
        if short && either(silicon) && either(ours) {
            pair.ours.registers.gpr[n] = silicon & UPPER | ours & !UPPER;
        }
    }
}

pub(super) fn mmx_top(pair: &mut Pair<'_>) {
    let instruction = pair.instruction();
    let stores = matches!(pair.mnemonic(), M::Movd | M::Movq | M::Movntq)
        && instruction.op0_kind() == OpKind::Memory
        && instruction.op1_register().is_mm();
    let faulted = is_access(pair.ours.ending.vector);
    let registers = &mut pair.ours.registers;
    let top = usize::from((registers.x87[3] & TOP) >> 3);
    if stores && faulted {
        // Each stays where it is, so that another is ST(0).
        registers.x87[3] &= !TOP;
        registers.st.rotate_right(top);
    }
}

pub(super) fn estimates(pair: &mut Pair<'_>) {
    let mnemonic = pair.mnemonic();
    let lanes = match mnemonic {
        M::Rcpps | M::Vrcpps | M::Rsqrtps | M::Vrsqrtps => 8,
        M::Rcpss | M::Vrcpss | M::Rsqrtss | M::Vrsqrtss => 1,
        _ => return,
    };
    let n = pair.instruction().op0_register().number();
    for lane in 0..lanes {
        let silicon = pair.silicon.registers.ymm[n][lane / 2];
        let ours = &mut pair.ours.registers.ymm[n][lane / 2];
        let (shift, mask) = (32 * (lane % 2), 0xffff_ffff << (32 * (lane % 2)));
        let value = |word: u64| f64::from(f32::from_bits((word >> shift) as u32));
        // Both within the error of what is right.
        let (a, b) = (value(silicon), value(*ours));
        if a.is_finite() && (a - b).abs() <= 3.01 / 4096.0 * a.abs().min(b.abs()) {
            *ours = *ours & !mask | silicon & mask;
        }
    }
}

pub(super) fn repeated_loop(pair: &mut Pair<'_>) {
    let code = pair.case().code();
    let prefixes = &code[..pair.prefixes()];
    let Some(prefix) = prefixes.iter().rev().find(|&byte| matches!(byte, 0xf2 | 0xf3)) else {
        return;
    };
    let equal = match (pair.mnemonic(), prefix) {
        (M::Loope, 0xf2) => true,
        (M::Loopne, 0xf3) => false,
        _ => return,
    };
    // Of the two one jumped: silicon by what the opcode says, ours by what the prefix says.
    let zero = pair.case().registers.rflags & 1 << 6 != 0;
    let (silicon, next) = (pair.silicon, pair.next());
    let jumped = |outcome: &Outcome| outcome.ending.vector != 1 || outcome.registers.rip != next;
    if jumped(&silicon) == jumped(&pair.ours) || jumped(&silicon) != (zero == equal) {
        return;
    }
    let target = pair.instruction().near_branch_target().wrapping_add(pair.case().registers.rip);
    let wide = match pair.instruction().op0_kind() {
        OpKind::NearBranch16 => 0xffff,
        OpKind::NearBranch32 => 0xffff_ffff,
        _ => u64::MAX,
    };
    if silicon.ending.vector != 1 {
        pair.restart(silicon.ending);
    } else if !jumped(&silicon) || (silicon.registers.rip ^ target) & wide == 0 {
        let count = silicon.registers.gpr[1];
        if pair.ours.ending.vector != 1
            && count.wrapping_add(1) as u16 == pair.start().gpr[1] as u16
        {
            pair.ours.registers.gpr[1] = count;
        }
        pair.ours.ending = silicon.ending;
        pair.ours.registers.rip = silicon.registers.rip;
    }
}

pub(super) fn pause(pair: &mut Pair<'_>) {
    if pair.mnemonic() == M::Pause && pair.rex() & 1 != 0 {
        pair.complete();
    }
}

pub(super) fn prefetch_of_register(pair: &mut Pair<'_>) {
    let code = &pair.case().code()[pair.prefixes()..];
    if matches!(code, [0x0f, 0x0d, 0xc0..=0xff, ..]) && pair.ours.ending.vector == 6 {
        pair.complete();
    }
}

pub(super) fn movsxd(pair: &mut Pair<'_>) {
    let instruction = *pair.instruction();
    let (12..=17, Some(operand)) = (pair.ours.ending.vector, pair.operand()) else { return };
    if instruction.mnemonic() != M::Movsxd || instruction.op0_register().size() != 2 {
        return;
    }
    if is_access(pair.silicon.ending.vector) {
        pair.restart(pair.silicon.ending);
        return;
    }
    pair.complete();
    let value = pair.before(operand, 2);
    let register = &mut pair.ours.registers.gpr[instruction.op0_register().number()];
    *register = *register & !0xffff | value;
}

pub(super) fn segment_on_stack(pair: &mut Pair<'_>) {
    let (mnemonic, register) = (pair.mnemonic(), pair.instruction().op0_register());
    let by = i64::from(pair.instruction().stack_pointer_increment());
    let ending = pair.silicon.ending;
    if !matches!(mnemonic, M::Push | M::Pop) || !register.is_segment_register() || by.abs() < 4 {
        return;
    }
    let n = segment(register);
    match (mnemonic, ending.vector) {
        // In 64-bit code it is extended.
        (M::Push, _) if by != -4 => {}
        (M::Push, 1) => {
            pair.complete();
            pair.ours.registers.gpr[4] = pair.moved_stack(by);
            let selector = u64::from(pair.case().registers.selectors[n]);
            pair.put_ours(pair.stack(by), 2, selector);
        }
        (M::Push, 12 | 17) => pair.restart(ending),
        (M::Push, 14) if (ending.address.wrapping_sub(pair.stack(by) + WINDOW) as u32) < 2 => {
            pair.restart(ending);
        }
        (M::Pop, 1) if pair.ours.ending.vector != 1 => {
            pair.complete();
            pair.ours.registers.gpr[4] = pair.moved_stack(by);
            let selector = pair.before(pair.stack(0), 2) as u16;
            pair.load_segment(n, selector);
        }
        (M::Pop, 11..=14 | 17) if matches!(pair.ours.ending.vector, 12 | 14 | 17) => {
            pair.restart(ending);
        }
        _ => {}
    }
}

pub(super) fn enter(pair: &mut Pair<'_>) {
    let code = pair.instruction().code();
    if code != Code::Enterd_imm16_imm8 {
        return;
    }
    let level = i64::from(pair.instruction().immediate8_2nd() & 31);
    let slot = pair.stack(-4 * (level + 1)) + 2;
    let frame = pair.case().registers.gpr[4].wrapping_sub(4) & 0xffff_ffff;
    if level > 0 && pair.after(&pair.silicon, slot, 2) == frame >> 16 {
        pair.put_ours(slot, 2, frame >> 16);
    }
}

pub(super) fn near_branch(pair: &mut Pair<'_>) {
    let case = *pair.case();
    if case.bits != 64 || !case.code()[..pair.prefixes()].contains(&0x66) {
        return;
    }
    // As the other make reads it; a patch of the code holds what follows the bytes, too.
    let rip = case.registers.rip;
    let offset = rip.wrapping_sub(WINDOW);
    let bytes: Vec<u8> = (0..15).map(|n| pair.before(offset + n, 1) as u8).collect();
    let intel = Decoder::with_ip(64, &bytes, rip, DecoderOptions::NONE).decode();
    if intel.code() == Code::INVALID && branch_target(pair, pair.instruction()).is_some() {
        // Its displacement is longer than the limit lets it, or than the page.
        let fetch = pair.silicon.ending.vector == 14;
        pair.restart(if fetch { pair.silicon.ending } else { GENERAL_PROTECTION });
        return;
    }
    let Some(target) = branch_target(pair, &intel) else { return };
    let ending = pair.silicon.ending;
    if ending.vector != 1 {
        if is_access(ending.vector) {
            pair.restart(ending);
        }
        if intel.mnemonic() == M::Call && ending.vector == 13 && !is_canonical(target) {
            pair.put_ours(pair.stack(-8), 8, intel.next_ip());
        }
        return;
    }
    let by = i64::from(intel.stack_pointer_increment());
    let conditional = intel.flow_control() == FlowControl::ConditionalBranch;
    let taken = !conditional || pair.ours.registers.rip != pair.next();
    pair.complete();
    let next = intel.next_ip();
    pair.ours.registers.rip = if taken { target } else { next };
    pair.ours.registers.gpr[4] = pair.moved_stack(by);
    if matches!(intel.mnemonic(), M::Loop | M::Loope | M::Loopne) {
        let short = matches!(
            intel.code(),
            Code::Loop_rel8_64_ECX | Code::Loope_rel8_64_ECX | Code::Loopne_rel8_64_ECX
        );
        let count = case.registers.gpr[1].wrapping_sub(1);
        pair.ours.registers.gpr[1] = if short { count & 0xffff_ffff } else { count };
    }
    if intel.mnemonic() == M::Call {
        pair.put_ours(pair.stack(by), 8, next);
    }
}

/// Where a near branch of 64-bit code goes.
fn branch_target(pair: &Pair<'_>, intel: &Instruction) -> Option<u64> {
    let near = match intel.flow_control() {
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => true,
        FlowControl::Call | FlowControl::IndirectBranch | FlowControl::IndirectCall => {
            !intel.is_call_far_indirect() && !intel.is_jmp_far_indirect()
        }
        FlowControl::Return => intel.mnemonic() == M::Ret,
        _ => false,
    };
    let target = match intel.op0_kind() {
        _ if !near => return None,
        _ if intel.mnemonic() == M::Ret => pair.before(pair.stack(0), 8),
        OpKind::NearBranch16 | OpKind::NearBranch64 => intel.near_branch_target(),
        OpKind::Register => pair.case().registers.gpr[intel.op0_register().number()],
        OpKind::Memory => pair.before(pair.operand()?, 8),
        _ => return None,
    };
    Some(target)
}

pub(super) fn far_pointer(pair: &mut Pair<'_>) {
    let instruction = *pair.instruction();
    let loaded = match instruction.mnemonic() {
        M::Lfs => seg::FS,
        M::Lgs => seg::GS,
        M::Lss => seg::SS,
        M::Jmp if instruction.is_jmp_far_indirect() => seg::CS,
        M::Call if instruction.is_call_far_indirect() => seg::CS,
        _ => return,
    };
    let Some(operand) = pair.operand().filter(|_| pair.rex() & 8 != 0) else { return };
    let (offset, selector) = (pair.before(operand, 8), pair.before(operand + 8, 2) as u16);
    let ending = pair.silicon.ending;
    match ending.vector {
        1 if loaded != seg::CS => {
            pair.complete();
            let n = instruction.op0_register().number();
            pair.ours.registers.gpr[n] = offset;
            pair.load_segment(loaded, selector);
        }
        1 => {
            let (cs, next) = (u64::from(pair.case().registers.selectors[seg::CS]), pair.next());
            let by = if instruction.mnemonic() == M::Call { -16 } else { 0 };
            // RPL becomes CPL.
            pair.land(selector | 3, offset, pair.moved_stack(by));
            if by != 0 {
                pair.put_ours(pair.stack(-8), 8, cs);
                pair.put_ours(pair.stack(-16), 8, next);
            }
        }
        11..=13 if ending.error == 0 || ending.error == u32::from(selector & !3) => {
            pair.restart(ending);
        }
        12 | 14 | 17 => pair.restart(ending),
        _ => {}
    }
}
