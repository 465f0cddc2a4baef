//! Which status flags of a block nobody can see.
//!
//! Flags are visible at the end of a block and wherever execution can leave it: at everything that
//! may fault, reach a device or be given up by the fast path. Between such places an instruction's
//! flags are dead if those behind it overwrite them unread.

use cutaway_isa::{Instruction, Mnemonic, OpKind, Rflags};

/// Whether an instruction always completes in the fast path: it touches registers only.
fn always_completes(i: &Instruction) -> bool {
    use Mnemonic as M;
    if i.mnemonic() == M::Lea {
        return true;
    }
    let in_registers = (0..i.op_count()).all(|n| {
        let kind = i.op_kind(n);
        let immediate =
            (OpKind::Immediate8 as u32..=OpKind::Immediate32to64 as u32).contains(&(kind as u32));
        kind == OpKind::Register && i.op_register(n).is_gpr() || immediate
    });
    in_registers
        && matches!(
            i.mnemonic(),
            M::Add
                | M::Sub
                | M::Adc
                | M::Sbb
                | M::And
                | M::Or
                | M::Xor
                | M::Not
                | M::Neg
                | M::Inc
                | M::Dec
                | M::Cmp
                | M::Test
                | M::Mov
                | M::Movzx
                | M::Movsx
                | M::Movsxd
                | M::Shl
                | M::Shr
                | M::Sar
                | M::Rol
                | M::Ror
                | M::Rcl
                | M::Rcr
                | M::Imul
                | M::Bswap
        )
}

/// The flags an instruction sets whatever its operands; a shift by CL may set none.
fn surely_set(i: &Instruction) -> Rflags {
    let variable = i.op_count() > 1
        && matches!(
            i.mnemonic(),
            Mnemonic::Shl
                | Mnemonic::Shr
                | Mnemonic::Sar
                | Mnemonic::Rol
                | Mnemonic::Ror
                | Mnemonic::Rcl
                | Mnemonic::Rcr
        );
    if variable { Rflags::empty() } else { may_set(i) }
}

fn may_set(i: &Instruction) -> Rflags {
    if i.mnemonic() == Mnemonic::Imul {
        // What is undefined after it stays.
        return Rflags::CF | Rflags::OF;
    }
    flags_of(i.rflags_modified())
}

/// iced's flag bits as RFLAGS' (its order is OF SF ZF AF CF PF).
fn flags_of(bits: u32) -> Rflags {
    if bits == 0 {
        return Rflags::empty();
    }
    let order = [Rflags::OF, Rflags::SF, Rflags::ZF, Rflags::AF, Rflags::CF, Rflags::PF];
    let chosen = order.iter().enumerate().filter(|(n, _)| bits >> n & 1 != 0);
    chosen.fold(Rflags::empty(), |all, (_, &flag)| all | flag)
}

/// Bit `n` says that the status flags that instruction `n` of a block sets are dead. A block has at
/// most 32 instructions.
pub(crate) fn dead_flags<'a>(
    block: impl DoubleEndedIterator<Item = &'a Instruction> + ExactSizeIterator,
) -> u32 {
    let mut live = Rflags::STATUS;
    let mut dead = 0;
    for (n, i) in block.enumerate().rev() {
        if !always_completes(i) {
            live = Rflags::STATUS;
            continue;
        }
        let sets = may_set(i);
        if !sets.is_empty() && !live.intersects(sets) {
            dead |= 1 << n;
        }
        live = live.difference(surely_set(i)) | flags_of(i.rflags_read());
    }
    dead
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_isa::{CodeSize, decode};

    fn dead(code: &[&[u8]]) -> Vec<bool> {
        let block: Vec<_> =
            code.iter().map(|bytes| decode(CodeSize::Bits64, bytes, 0).unwrap()).collect();
        let dead = dead_flags(block.iter());
        (0..block.len()).map(|n| dead >> n & 1 != 0).collect()
    }

    const ROR_EAX_6: &[u8] = &[0xc1, 0xc8, 6];
    const XOR_EAX_EBX: &[u8] = &[0x31, 0xd8];
    const ADD_ECX_MEM: &[u8] = &[0x03, 0x0b];
    const ADC_EAX_EBX: &[u8] = &[0x11, 0xd8];
    const SHL_EAX_CL: &[u8] = &[0xd3, 0xe0];
    const INC_EAX: &[u8] = &[0xff, 0xc0];

    #[test]
    fn flags_overwritten_by_the_next_instruction_are_dead() {
        assert_eq!(dead(&[ROR_EAX_6, XOR_EAX_EBX]), [true, false]);
    }

    #[test]
    fn a_place_that_can_fault_sees_all_flags() {
        assert_eq!(dead(&[ROR_EAX_6, ADD_ECX_MEM]), [false, false]);
    }

    #[test]
    fn a_flag_that_is_read_or_may_stay_is_live() {
        assert_eq!(dead(&[XOR_EAX_EBX, ADC_EAX_EBX]), [false, false]);
        assert_eq!(dead(&[XOR_EAX_EBX, SHL_EAX_CL]), [false, false]);
        assert_eq!(dead(&[XOR_EAX_EBX, INC_EAX]), [false, false], "INC leaves CF");
        assert_eq!(dead(&[XOR_EAX_EBX, INC_EAX, XOR_EAX_EBX]), [true, true, false]);
    }
}
