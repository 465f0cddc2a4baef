//! Differences of faults: which of several an instruction raises, and what is done before.
//! What each function is about says the table.

use iced_x86::{Code, EncodingKind, FlowControl, MemorySize, Mnemonic as M, OpKind, Register};

use super::pair::{
    GENERAL_PROTECTION, INVALID_OPCODE, PENDING, Pair, is_access, is_canonical, segment,
};
use crate::case::{Ending, Outcome, WORDS, seg};
use crate::place::{self, CODE, PAGE, WINDOW};

const AC: u64 = 1 << 18;
/// The sticky flags of MXCSR.
const EXCEPTIONS: u64 = 0x3f;
/// User, fetch.
const FETCH: u32 = 0x14;
/// Bytes of the XSAVE area with all that an Intel CPU of today has, of which AMX ends it.
const LARGEST_AREA: u64 = 0x2b00;
/// Where its header lies.
const HEADER: u64 = 512;
/// Bytes of it that the reference has.
const AREA: u64 = 832;

pub(super) fn fast_system_call(pair: &mut Pair<'_>) {
    let fast = matches!(pair.mnemonic(), M::Syscall | M::Sysret | M::Sysretq);
    if fast && pair.case().bits != 64 {
        pair.restart(INVALID_OPCODE);
    }
}

pub(super) fn evex(pair: &mut Pair<'_>) {
    let code = &pair.case().code()[pair.prefixes()..];
    let evex = match code {
        [0x62, 0xc0..=0xff, ..] => true,
        [0x62, _, ..] => pair.case().bits == 64,
        _ => false,
    };
    if evex && pair.instruction().code() == Code::INVALID && pair.ours.ending == INVALID_OPCODE {
        let Outcome { ending, registers, .. } = pair.silicon;
        let next = registers.rip.wrapping_sub(pair.case().registers.rip);
        if ending.vector == 1 && (6..=15).contains(&next) {
            pair.ours.ending = ending;
            pair.ours.registers.rip = registers.rip;
            pair.ours.registers.ymm = registers.ymm;
            pair.ours.registers.mxcsr |= registers.mxcsr & EXCEPTIONS;
        } else if is_access(ending.vector) {
            pair.ours.ending = ending;
        }
    }
}

pub(super) fn locked_cr8(pair: &mut Pair<'_>) {
    let instruction = pair.instruction();
    let cr8 = [instruction.op0_register(), instruction.op1_register()].contains(&Register::CR8);
    if cr8 && pair.case().code()[..pair.prefixes()].contains(&0xf0) {
        pair.restart(INVALID_OPCODE);
    }
}

pub(super) fn locked_verw(pair: &mut Pair<'_>) {
    let (prefixes, code) = pair.case().code().split_at(pair.prefixes());
    let verw = matches!(code, [0x0f, 0x00, modrm, ..] if modrm & 0x38 == 0x28 && *modrm < 0xc0);
    if verw && prefixes.contains(&0xf0) {
        pair.restart(INVALID_OPCODE);
    }
}

pub(super) fn length_limit(pair: &mut Pair<'_>) {
    let none = matches!(pair.mnemonic(), M::INVALID | M::Ud0 | M::Ud1);
    // The most that an opcode takes, with SIB, displacement and immediates.
    let most = match pair.case().code().get(pair.prefixes()) {
        Some(0x8f) => 14,
        Some(0x62) => 12,
        _ => 11,
    };
    if none && pair.prefixes() + most > 15 {
        match (pair.silicon.ending, pair.ours.ending) {
            (INVALID_OPCODE, GENERAL_PROTECTION) => pair.ours.ending = INVALID_OPCODE,
            (GENERAL_PROTECTION, INVALID_OPCODE) => pair.ours.ending = GENERAL_PROTECTION,
            _ => {}
        }
    }
}

pub(super) fn fetched_bytes(pair: &mut Pair<'_>) {
    let undefined = matches!(pair.mnemonic(), M::INVALID | M::Ud0 | M::Ud1);
    let registers = pair.case().registers;
    let base = if pair.case().bits == 64 { 0 } else { place::base(registers.selectors[seg::CS]) };
    let end = WINDOW + CODE + PAGE;
    let near = (end - 15..end).contains(&registers.rip.wrapping_add(base));
    let at_end = Ending { vector: 14, error: FETCH, address: end };
    match (pair.silicon.ending, pair.ours.ending) {
        (silicon @ INVALID_OPCODE, ours) | (silicon, ours @ INVALID_OPCODE)
            if undefined && near && [silicon, ours].contains(&at_end) =>
        {
            pair.ours.ending = silicon;
        }
        _ => {}
    }
}

pub(super) fn call_target(pair: &mut Pair<'_>) {
    let instruction = pair.instruction();
    let far = instruction.is_call_far_indirect() || instruction.is_call_far();
    let near =
        !far && matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall);
    let by = i64::from(instruction.stack_pointer_increment());
    if near && pair.vectors() == (13, 13) && pair.ours.count == 0 {
        pair.put_ours(pair.stack(by), by.unsigned_abs(), pair.next());
    }
}

pub(super) fn end_of_segment(pair: &mut Pair<'_>) {
    const NEAR: u64 = 0x400;
    let (silicon, ours) = (pair.silicon.ending, pair.ours.ending);
    let selectors = pair.case().registers.selectors;
    let at_end = selectors.iter().any(|&selector| {
        let offset = silicon.address.wrapping_sub(place::base(selector)) as u32;
        u64::from(offset.wrapping_add(NEAR as u32)) < 2 * NEAR
    });
    // A far CALL to 32-bit code has its stack.
    if (pair.case().bits == 32 || pair.instruction().is_call_far_indirect())
        && silicon.vector == 14
        && matches!(ours.vector, 12 | 13)
        && ours.error == 0
        && at_end
    {
        pair.ours.ending = silicon;
    }
}

pub(super) fn canonical_offset(pair: &mut Pair<'_>) {
    let instruction = pair.instruction();
    let based = matches!(instruction.segment_prefix(), Register::FS | Register::GS);
    let Some(operand) = pair.operand() else { return };
    let linear = match pair.silicon.ending {
        // BT and its kin add to the operand's.
        Ending { vector: 14, address, .. } => address,
        _ => operand.wrapping_add(WINDOW),
    };
    let base = usize::from(instruction.segment_prefix() == Register::GS);
    let offset = linear.wrapping_sub(pair.case().registers.bases[base]);
    let silicon = pair.silicon.ending;
    if pair.case().bits == 64
        && based
        && is_canonical(linear)
        && !is_canonical(offset)
        && matches!(silicon.vector, 14 | 17)
        && matches!(pair.ours.ending.vector, 12 | 13)
    {
        pair.ours.ending = silicon;
    }
}

pub(super) fn alignment_order(pair: &mut Pair<'_>) {
    let flag = pair.case().registers.rflags & AC != 0;
    let (silicon, ours) = pair.vectors();
    let one = (silicon == 17) != (ours == 17);
    // #GP and #SS without a selector only.
    let plain = |ending: Ending| ending.vector == 14 || ending.error == 0;
    let other = match (silicon, ours) {
        (17, 12..=14) => plain(pair.ours.ending),
        (12..=14, 17) => plain(pair.silicon.ending),
        _ => false,
    };
    if flag && one && other {
        pair.ours.ending = pair.silicon.ending;
    }
}

/// Whether an instruction may complete that ours ends with #AC.
fn passes_alignment(pair: &Pair<'_>) -> bool {
    pair.case().registers.rflags & AC != 0 && pair.vectors() == (1, 17)
}

pub(super) fn unaligned_move(pair: &mut Pair<'_>) {
    let unaligned = matches!(pair.mnemonic(), M::Movups | M::Movupd | M::Movdqu | M::Lddqu);
    let Some(operand) = pair.operand().filter(|_| unaligned && passes_alignment(pair)) else {
        return;
    };
    let instruction = *pair.instruction();
    pair.complete();
    let start = pair.case().registers.ymm;
    for (lane, at) in [operand, operand + 8].into_iter().enumerate() {
        if instruction.op0_kind() == OpKind::Memory {
            pair.put_ours(at, 8, start[instruction.op1_register().number()][lane]);
        } else {
            let value = pair.before(at, 8);
            pair.ours.registers.ymm[instruction.op0_register().number()][lane] = value;
        }
    }
}

pub(super) fn unaligned_vex(pair: &mut Pair<'_>) {
    let instruction = *pair.instruction();
    let bytes = instruction.memory_size().size() as u64;
    let vex = instruction.op_code().encoding() == EncodingKind::VEX && bytes >= 16;
    let Some(operand) = pair.operand().filter(|_| vex && passes_alignment(pair)) else { return };
    let destination = instruction.op0_register();
    pair.complete();
    // Ours has no result to compare: the destination's is silicon's, and nothing else may change.
    if instruction.op0_kind() == OpKind::Memory {
        for at in (0..bytes).step_by(8) {
            let value = pair.after(&pair.silicon, operand + at, 8);
            pair.put_ours(operand + at, 8, value);
        }
    } else if destination.is_vector_register() {
        let n = destination.number();
        pair.ours.registers.ymm[n] = pair.silicon.registers.ymm[n];
    }
    pair.ours.registers.mxcsr |= pair.silicon.registers.mxcsr & EXCEPTIONS;
}

fn is_xsave(mnemonic: M) -> bool {
    matches!(
        mnemonic,
        M::Xsave
            | M::Xsave64
            | M::Xsavec
            | M::Xsavec64
            | M::Xsaveopt
            | M::Xsaveopt64
            | M::Xrstor
            | M::Xrstor64
    )
}

pub(super) fn unaligned_area(pair: &mut Pair<'_>) {
    let fast = matches!(pair.mnemonic(), M::Fxsave | M::Fxsave64 | M::Fxrstor | M::Fxrstor64);
    let align = if fast { 16 } else { 64 };
    let area = fast || is_xsave(pair.mnemonic());
    let unaligned = pair.operand().is_some_and(|operand| operand % align != 0);
    if area && unaligned && matches!(pair.vectors(), (17, 13) | (13, 17)) {
        pair.ours.ending = pair.silicon.ending;
    }
}

pub(super) fn sha_alignment(pair: &mut Pair<'_>) {
    let sha = matches!(
        pair.mnemonic(),
        M::Sha1msg1
            | M::Sha1msg2
            | M::Sha1nexte
            | M::Sha1rnds4
            | M::Sha256msg1
            | M::Sha256msg2
            | M::Sha256rnds2
    );
    if sha && pair.operand().is_some_and(|operand| operand % 16 != 0) {
        pair.restart(GENERAL_PROTECTION);
    }
}

pub(super) fn xsave_area(pair: &mut Pair<'_>) {
    let Some(operand) = pair.operand().filter(|_| is_xsave(pair.mnemonic())) else { return };
    let reach = |bytes: u64| move |at: u64| at.wrapping_sub(operand) < bytes;
    let faults = |ending: Ending| {
        ending.vector == 14 && reach(LARGEST_AREA)(ending.address.wrapping_sub(WINDOW))
    };
    let (silicon, ours) = (pair.silicon, pair.ours);
    match (faults(silicon.ending), faults(ours.ending)) {
        (true, true) => pair.ours.ending = silicon.ending,
        (true, false) if matches!(ours.ending.vector, 1 | 13) => pair.restart(silicon.ending),
        (false, true) if silicon.ending.vector == 1 => pair.complete(),
        _ if pair.completed() => {}
        (false, false) if ends_at_limit(pair, operand) => pair.restart(silicon.ending),
        (false, true) if crosses_canonical_end(operand) => pair.restart(silicon.ending),
        _ => return,
    }
    let completed = pair.completed() && ours.ending.vector == 1;
    let first = if !completed {
        // What was written before the fault.
        0
    } else if matches!(pair.mnemonic(), M::Xsavec | M::Xsavec64) && ours_has_no_avx(pair) {
        HEADER + 64
    } else {
        AREA
    };
    let count = (silicon.count as usize).min(WORDS);
    for &(at, word) in &silicon.words[..count] {
        let state = at.wrapping_sub(operand);
        // What the reference has no registers for: XSTATE_BV and XCOMP_BV say so.
        let bits = (word ^ pair.after(&pair.ours, at, 8)) & (1 << 63 | 7) == 0;
        let header = matches!(state.wrapping_sub(HEADER), 0 | 8) && bits;
        if (first..LARGEST_AREA).contains(&state) || header {
            pair.put_ours(at, 8, word);
        }
    }
    if silicon.count as usize > WORDS {
        // More than are listed.
        pair.ours.count = silicon.count;
    }
}

/// Whether an area there reaches addresses that are not canonical.
fn crosses_canonical_end(operand: u64) -> bool {
    let first = operand.wrapping_add(WINDOW);
    is_canonical(first) && !is_canonical(first.wrapping_add(LARGEST_AREA))
}

/// Whether the segment ends within an area there, with components that the reference lacks.
fn ends_at_limit(pair: &Pair<'_>, operand: u64) -> bool {
    let case = pair.case();
    let selector = case.registers.selectors[segment(pair.instruction().memory_segment())];
    let Some(descriptor) = place::descriptor(selector) else { return false };
    let raw = descriptor & 0xffff | descriptor >> 32 & 0xf_0000;
    let limit = if descriptor >> 55 & 1 != 0 { raw << 12 | 0xfff } else { raw };
    let end = place::base(selector).wrapping_add(limit).wrapping_sub(WINDOW);
    let more = (case.registers.gpr[0] as u32 & !7) != 0 || case.registers.gpr[2] as u32 != 0;
    let fault = matches!(pair.silicon.ending, Ending { vector: 12 | 13, error: 0, .. });
    let near = end.wrapping_sub(operand) < LARGEST_AREA;
    case.bits != 64 && more && near && fault && pair.ours.ending.vector == 1
}

/// Whether the requested components are without AVX's.
fn ours_has_no_avx(pair: &Pair<'_>) -> bool {
    pair.case().registers.gpr[0] & 4 == 0
}

pub(super) fn masked_store(pair: &mut Pair<'_>) {
    const BYTES: u64 = 16;
    if !matches!(pair.mnemonic(), M::Maskmovq | M::Maskmovdqu | M::Vmaskmovdqu) {
        return;
    }
    let (silicon, ours) = (pair.silicon, pair.ours.ending);
    let near = |address: u64| address.wrapping_sub(ours.address).wrapping_add(BYTES) < 2 * BYTES;
    match pair.vectors() {
        (14, 14) if near(silicon.ending.address) => pair.ours.ending = silicon.ending,
        (1, 14) => {
            pair.ours.ending = silicon.ending;
            pair.ours.registers.rip = pair.next();
            for &(at, word) in silicon.words() {
                if near(at.wrapping_add(WINDOW)) {
                    pair.put_ours(at, 8, word);
                }
            }
        }
        _ => {}
    }
}

pub(super) fn bound(pair: &mut Pair<'_>) {
    let register = pair.instruction().op0_register();
    let Some(operand) = pair.operand().filter(|_| pair.mnemonic() == M::Bound) else { return };
    let bytes = register.size() as u64;
    let signed = |value: u64| (value << (64 - 8 * bytes)) as i64;
    let index = pair.case().registers.gpr[register.number()];
    let below = signed(index) < signed(pair.before(operand, bytes));
    if below && pair.silicon.ending.vector == 5 && is_access(pair.ours.ending.vector) {
        pair.ours.ending = pair.silicon.ending;
    }
}

pub(super) fn string_operands(pair: &mut Pair<'_>) {
    let two = matches!(
        pair.mnemonic(),
        M::Cmpsb | M::Cmpsw | M::Cmpsd | M::Cmpsq | M::Movsb | M::Movsw | M::Movsd | M::Movsq
    );
    let plain = |ending: Ending| match ending.vector {
        13 | 17 => ending.error == 0,
        vector => matches!(vector, 12 | 14),
    };
    let (silicon, ours) = (pair.silicon.ending, pair.ours.ending);
    if two && pair.instruction().is_string_instruction() && plain(silicon) && plain(ours) {
        pair.ours.ending = silicon;
    }
}

pub(super) fn masked_move(pair: &mut Pair<'_>) {
    let instruction = pair.instruction();
    let masked =
        matches!(pair.mnemonic(), M::Vmaskmovps | M::Vmaskmovpd | M::Vpmaskmovd | M::Vpmaskmovq);
    let Some(operand) = pair.operand().filter(|_| masked) else { return };
    let base = match (pair.case().bits, segment(instruction.memory_segment())) {
        (64, n @ (seg::FS | seg::GS)) => pair.case().registers.bases[n - seg::FS],
        (64, _) => 0,
        (_, n) => place::base(pair.case().registers.selectors[n]),
    };
    let offset = operand.wrapping_add(WINDOW).wrapping_sub(base) & 0xffff_ffff;
    let last = offset + instruction.memory_size().size() as u64 - 1;
    let wraps = (offset ^ last) >> 16 != 0;
    let (silicon, ours) = pair.vectors();
    if wraps && is_access(silicon) && is_access(ours) {
        pair.ours.ending = pair.silicon.ending;
    }
}

pub(super) fn int1(pair: &mut Pair<'_>) {
    let start = pair.start().rip;
    if pair.mnemonic() == M::Int1 && pair.vectors() == (1, 1) && pair.silicon.registers.rip == start
    {
        pair.ours.registers.rip = start;
    }
}

/// Whether it is a store of an x87 register.
fn is_x87_store(mnemonic: M) -> bool {
    matches!(mnemonic, M::Fst | M::Fstp | M::Fist | M::Fistp | M::Fisttp | M::Fbstp)
}

pub(super) fn x87_store(pair: &mut Pair<'_>) {
    let (before, after) = (pair.case().registers.x87, pair.silicon.registers.x87);
    let raised = before[2] & PENDING == 0 && after[2] & PENDING != 0;
    let top = (before[3] ^ after[3]) & 0x38 != 0;
    let (1, true) = (pair.silicon.ending.vector, is_access(pair.ours.ending.vector)) else {
        return;
    };
    if is_x87_store(pair.mnemonic()) && pair.operand().is_some() && raised && !top {
        pair.complete();
        pair.ours.registers.x87[2..4].copy_from_slice(&after[2..4]);
    }
}

pub(super) fn split_store(pair: &mut Pair<'_>) {
    let wide = matches!(pair.instruction().memory_size(), MemorySize::Float80 | MemorySize::Bcd);
    let Some(operand) = pair.operand().filter(|_| wide && is_x87_store(pair.mnemonic())) else {
        return;
    };
    if is_access(pair.ours.ending.vector) && pair.silicon.ending == pair.ours.ending {
        let low = pair.after(&pair.silicon, operand, 8);
        pair.put_ours(operand, 8, low);
    }
}
