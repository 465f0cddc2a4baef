//! Differences of far returns: what of the stack they read, and what they check first.
//! What each function is about says the table.

use iced_x86::{Code, Mnemonic as M};

use super::pair::Pair;
use crate::case::seg;
use crate::place::gdt;

/// Bytes of a slot of a far return.
fn slot(code: Code) -> Option<i64> {
    match code {
        Code::Retfw | Code::Retfw_imm16 | Code::Iretw => Some(2),
        Code::Retfd | Code::Retfd_imm16 | Code::Iretd => Some(4),
        Code::Retfq | Code::Retfq_imm16 | Code::Iretq => Some(8),
        _ => None,
    }
}

pub(super) fn far_return(pair: &mut Pair<'_>) {
    let Some(size) = slot(pair.instruction().code()) else { return };
    let fault = |vector: u32| matches!(vector, 11..=14 | 17);
    let (silicon, ours) = pair.vectors();
    let error = pair.silicon.ending.error;
    // An access, or what is wrong with CS or SS.
    let right = matches!(silicon, 14 | 17)
        || error == 0
        || [1, 4].iter().any(|n| pair.before(pair.stack(n * size), 2) as u32 & !3 == error);
    if fault(silicon) && fault(ours) && right {
        pair.ours.ending = pair.silicon.ending;
    }
}

/// A far return as it reads the stack where nothing faults: RIP, CS and RSP after it.
fn popped(pair: &Pair<'_>) -> Option<(u64, u16, u64)> {
    let code = pair.instruction().code();
    let size = slot(code)?;
    let by = i64::from(pair.instruction().stack_pointer_increment());
    let rip = pair.before(pair.stack(0), size.unsigned_abs());
    let selector = pair.before(pair.stack(size), 2) as u16;
    let stack =
        if code == Code::Iretq { pair.before(pair.stack(24), 8) } else { pair.moved_stack(by) };
    Some((rip, selector, stack))
}

pub(super) fn far_return_slot(pair: &mut Pair<'_>) {
    if let (1, 12 | 14 | 17) = pair.vectors()
        && matches!(pair.mnemonic(), M::Retf | M::Iretq)
        && let Some((rip, selector, stack)) = popped(pair)
    {
        land(pair, selector, rip, stack);
    }
}

/// A far return that has come to its target.
fn land(pair: &mut Pair<'_>, selector: u16, rip: u64, stack: u64) {
    pair.land(selector, rip, stack);
    if pair.mnemonic() == M::Iretq {
        // What CPL 3 may change: no IF, no IOPL.
        const FLAGS: u64 = 0x24_4dd5;
        let flags = pair.before(pair.stack(16), 8);
        pair.ours.registers.selectors[seg::SS] = pair.before(pair.stack(32), 2) as u16;
        let rflags = &mut pair.ours.registers.rflags;
        *rflags = *rflags & !FLAGS | flags & FLAGS;
    }
}

pub(super) fn far_return_to_eip(pair: &mut Pair<'_>) {
    if pair.vectors() == (1, 13)
        && let Some((rip, selector, stack)) = popped(pair)
        && selector != gdt::CODE64
        && rip >> 32 != 0
    {
        land(pair, selector, rip, stack);
    }
}
