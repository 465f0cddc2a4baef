//! Makes a failing case as small as it can be while it still fails.

use crate::case::{Case, Registers, seg};
use crate::generate::Generated;
use crate::generate::encode::decode;

/// Prefix bytes.
const PREFIXES: [u8; 11] = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3];

/// The smallest case that `fails` still accepts, by removing prefixes and simplifying values one
/// after the other until nothing helps.
pub fn shrink(start: &Generated, fails: &mut dyn FnMut(&Generated) -> bool) -> Generated {
    let mut best = *start;
    for _ in 0..4 {
        let mut better = false;
        better |= fewer_prefixes(&mut best, fails);
        better |= simpler_registers(&mut best, fails);
        better |= simpler_memory(&mut best, fails);
        if !better {
            break;
        }
    }
    best
}

fn accept(best: &mut Generated, case: Case, fails: &mut dyn FnMut(&Generated) -> bool) -> bool {
    if case == best.case {
        return false;
    }
    let candidate = Generated { case, ..*best };
    let fails = fails(&candidate);
    if fails {
        *best = candidate;
    }
    fails
}

/// Replaces the code: its patch is the last one.
fn with_code(generated: &Generated, bytes: &[u8]) -> Option<Generated> {
    let encoding = decode(generated.case.size(), bytes)?;
    let mut case = generated.case;
    case.bytes = encoding.bytes;
    case.len = encoding.len as u8;
    let last = usize::from(case.patches).checked_sub(1)?;
    let patch = &mut case.memory[last];
    let mut code = [0; 18];
    code[..bytes.len()].copy_from_slice(bytes);
    code[bytes.len()..bytes.len() + 2].copy_from_slice(&[0xeb, 0xfe]);
    let len = bytes.len() + 2;
    patch.bytes[..len].copy_from_slice(&code[..len]);
    patch.len = len as u32;
    Some(Generated { case, encoding })
}

fn fewer_prefixes(best: &mut Generated, fails: &mut dyn FnMut(&Generated) -> bool) -> bool {
    let mut better = false;
    let mut at = 0;
    while at < best.encoding.len {
        let bytes = best.case.code().to_vec();
        let byte = bytes[at];
        let rex = best.case.bits == 64 && byte & 0xf0 == 0x40;
        if !PREFIXES.contains(&byte) && !rex {
            break;
        }
        let mut fewer = bytes;
        fewer.remove(at);
        let code = best.encoding.instruction.code();
        match with_code(best, &fewer) {
            Some(candidate)
                if candidate.encoding.instruction.code() == code && fails(&candidate) =>
            {
                *best = candidate;
                better = true;
            }
            _ => at += 1,
        }
    }
    better
}

fn simpler_registers(best: &mut Generated, fails: &mut dyn FnMut(&Generated) -> bool) -> bool {
    let mut better = false;
    let mut attempt = |change: &dyn Fn(&mut Registers)| {
        let mut case = best.case;
        change(&mut case.registers);
        better |= accept(best, case, fails);
    };
    attempt(&|registers| registers.ymm = [[0; 4]; 16]);
    attempt(&|registers| registers.st = [[0; 16]; 8]);
    attempt(&|registers| registers.mxcsr = 0x1f80);
    attempt(&|registers| {
        registers.x87 = [0; 24];
        (registers.x87[0], registers.x87[1], registers.x87[4]) = (0x7f, 3, 0xff);
    });
    for n in 0..16 {
        attempt(&|registers| registers.gpr[n] = 0);
        attempt(&|registers| registers.gpr[n] = 1);
        attempt(&|registers| registers.gpr[n] &= 0xff);
        attempt(&|registers| registers.gpr[n] &= 0xffff_ffff);
        attempt(&|registers| registers.ymm[n] = [0; 4]);
        attempt(&|registers| (registers.ymm[n][2], registers.ymm[n][3]) = (0, 0));
    }
    for n in 0..8 {
        attempt(&|registers| registers.st[n] = [0; 16]);
    }
    for bit in [0, 2, 4, 6, 7, 10, 11, 18] {
        attempt(&|registers| registers.rflags &= !(1 << bit));
    }
    for bit in [0, 1, 2, 3, 4, 5, 6, 13, 14, 15] {
        attempt(&|registers| registers.mxcsr &= !(1 << bit));
    }
    for n in [seg::ES, seg::DS, seg::FS, seg::GS] {
        attempt(&|registers| registers.selectors[n] = 0);
    }
    better
}

fn simpler_memory(best: &mut Generated, fails: &mut dyn FnMut(&Generated) -> bool) -> bool {
    let mut better = false;
    let data = usize::from(best.case.patches).saturating_sub(1);
    for n in 0..data {
        let mut case = best.case;
        case.memory[n].bytes = [0; 640];
        better |= accept(best, case, fails);
        for at in (0..case.memory[n].bytes().len().min(64)).step_by(8) {
            let mut case = best.case;
            let end = (at + 8).min(case.memory[n].bytes().len());
            case.memory[n].bytes[at..end].fill(0);
            better |= accept(best, case, fails);
        }
    }
    better
}
