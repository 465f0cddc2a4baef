//! Bits: BT BTS BTR BTC BSF BSR TZCNT LZCNT POPCNT, CRC32.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use crate::flags::Flags;
use crate::table::rows;
use crate::target::{Bin, Step, Target};
use cutaway_isa::Rflags;
use cutaway_isa::Width::{self, Byte, Dword, Qword, Word};

/// What BT and its kin do to the bit that they put into CF.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    Nothing,
    Set,
    Reset,
    Complement,
}

/// With the bit index taken modulo the width: registers, and memory with an immediate index.
#[inline(always)]
fn test_bit<T: Target>(t: &mut T, change: Change, w: Width) -> Step<T> {
    let a = if change == Change::Nothing { t.read(0, w)? } else { t.modify(0, w)? };
    let index = t.read(1, w)?;
    let low = t.constant(w, u64::from(w.bits() - 1));
    let one = t.constant(w, 1);
    let at = t.bin(Bin::And, w, &index, &low);
    let down = t.bin(Bin::Shr, w, &a, &at);
    let carry = t.bin(Bin::And, w, &down, &one);
    if change != Change::Nothing {
        let mask = t.bin(Bin::Shl, w, &one, &at);
        let result = match change {
            Change::Set => t.bin(Bin::Or, w, &a, &mask),
            Change::Complement => t.bin(Bin::Xor, w, &a, &mask),
            Change::Reset | Change::Nothing => {
                let others = t.not(w, &mask);
                t.bin(Bin::And, w, &a, &others)
            }
        };
        t.write(0, w, result)?;
    }
    t.set_flags(Flags::Carry { carry });
    Ok(())
}

/// With a register index, memory is a string of bits: the index, signed, reaches beyond the
/// operand.
fn test_bit_string(
    e: &mut crate::exec::Exec<'_>,
    change: Change,
    w: Width,
) -> Result<(), crate::exception::Fault> {
    use crate::paging::Access;
    if !e.operand_in_memory(0) {
        return test_bit(e, change, w);
    }
    let index = w.sign_extend(e.read(1, w)?) as i64;
    let bits = i64::from(w.bits());
    let away = index.div_euclid(bits).wrapping_mul(w.bytes() as i64) as u64;
    let offset = e.offset().wrapping_add(away) & e.address_width().mask();
    let seg = e.segment();
    if change != Change::Nothing {
        e.cpu.probe_write(e.bus, seg, offset, w.bytes())?;
    }
    let value = e.cpu.read_segment(e.bus, seg, offset, w)?;
    let mask = 1 << index.rem_euclid(bits);
    let result = match change {
        Change::Nothing => value,
        Change::Set => value | mask,
        Change::Reset => value & !mask,
        Change::Complement => value ^ mask,
    };
    if change != Change::Nothing {
        let linear = e.cpu.linear(seg, offset, w.bytes(), Access::Write)?;
        let user = e.cpu.is_user();
        e.cpu.write_linear(e.bus, linear, w, result, user)?;
    }
    e.set_flags(Flags::Carry { carry: u64::from(value & mask != 0) });
    Ok(())
}

/// BSF rule. A source of 0 sets ZF and leaves the destination (`old`), as on the reference. The
/// other flags are undefined: left as they are.
pub(crate) fn bsf(_: Width, value: u64, old: u64, flags: Rflags) -> (u64, Rflags) {
    if value == 0 {
        return (old, flags.with(Rflags::ZF, true));
    }
    (u64::from(value.trailing_zeros()), flags.with(Rflags::ZF, false))
}

/// BSR rule, as BSF from the top.
pub(crate) fn bsr(_: Width, value: u64, old: u64, flags: Rflags) -> (u64, Rflags) {
    if value == 0 {
        return (old, flags.with(Rflags::ZF, true));
    }
    (u64::from(63 - value.leading_zeros()), flags.with(Rflags::ZF, false))
}

#[inline(always)]
fn scan<T: Target>(t: &mut T, name: &'static str, rule: crate::target::Rule, w: Width) -> Step<T> {
    let source = t.read(1, w)?;
    // The whole register: where the source is 0 even a 32-bit destination keeps its upper half.
    let old = t.read(0, Qword)?;
    let (result, status) = t.rule(name, rule, w, &source, &old);
    let width = if w == Word { Word } else { Qword };
    let result = t.resize(Qword, width, &result);
    t.write(0, width, result)?;
    t.set_status(status);
    Ok(())
}

#[inline(always)]
fn scan_forward<T: Target>(t: &mut T, w: Width) -> Step<T> {
    scan(t, "bsf", bsf, w)
}

#[inline(always)]
fn scan_reverse<T: Target>(t: &mut T, w: Width) -> Step<T> {
    scan(t, "bsr", bsr, w)
}

/// POPCNT rule: ZF from the source, the other status flags are cleared.
pub(crate) fn popcnt(_: Width, value: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    let flags = flags.difference(Rflags::STATUS).with(Rflags::ZF, value == 0);
    (u64::from(value.count_ones()), flags)
}

/// CF and ZF of TZCNT and LZCNT: the source, the count. Undefined: SF = AF = PF = 0, OF stays
/// (measured on an AMD Zen 3).
fn count_flags(flags: Rflags, source: u64, count: u64) -> Rflags {
    let kept = flags.difference(Rflags::STATUS.difference(Rflags::OF));
    kept.with(Rflags::CF, source == 0).with(Rflags::ZF, count == 0)
}

/// TZCNT rule: how many bits are clear below the lowest one set.
pub(crate) fn tzcnt(w: Width, value: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    let count = u64::from(value.trailing_zeros().min(w.bits()));
    (count, count_flags(flags, value, count))
}

/// LZCNT rule, as TZCNT from the top.
pub(crate) fn lzcnt(w: Width, value: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    let count = u64::from(value.leading_zeros() - (64 - w.bits()));
    (count, count_flags(flags, value, count))
}

#[inline(always)]
fn count<T: Target>(t: &mut T, name: &'static str, rule: crate::target::Rule, w: Width) -> Step<T> {
    let source = t.read(1, w)?;
    let (result, status) = t.rule(name, rule, w, &source, &source);
    t.write(0, w, result)?;
    t.set_status(status);
    Ok(())
}

#[inline(always)]
fn count_ones<T: Target>(t: &mut T, w: Width) -> Step<T> {
    count(t, "popcnt", popcnt, w)
}

#[inline(always)]
fn count_trailing<T: Target>(t: &mut T, w: Width) -> Step<T> {
    count(t, "tzcnt", tzcnt, w)
}

#[inline(always)]
fn count_leading<T: Target>(t: &mut T, w: Width) -> Step<T> {
    count(t, "lzcnt", lzcnt, w)
}

/// CRC32 rule (SSE4.2): the CRC-32C of `a` continued over the bytes of `b`.
pub(crate) fn crc32c(w: Width, crc: u64, data: u64, flags: Rflags) -> (u64, Rflags) {
    let mut crc = crc as u32;
    for byte in 0..w.bytes() {
        crc ^= (data >> (8 * byte)) as u32 & 0xff;
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 != 0 { 0x82f6_3b78 } else { 0 };
        }
    }
    (u64::from(crc), flags)
}

/// CRC32: the low half of dst continued over src; the upper half of a 64-bit dst is cleared.
#[inline(always)]
fn crc32<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let data = t.read(1, w)?;
    let crc = t.read(0, Dword)?;
    let (result, _) = t.rule("crc32c", crc32c, w, &crc, &data);
    t.write(0, Dword, result)
}

rows! {
    binary Bt_rm16_imm8 => test_bit(Change::Nothing, Word);
    exec Bt_rm16_r16 => |e| test_bit_string(e, Change::Nothing, Word);
    binary Bts_rm16_imm8 => test_bit(Change::Set, Word);
    exec Bts_rm16_r16 => |e| test_bit_string(e, Change::Set, Word);
    binary Btr_rm16_imm8 => test_bit(Change::Reset, Word);
    exec Btr_rm16_r16 => |e| test_bit_string(e, Change::Reset, Word);
    binary Btc_rm16_imm8 => test_bit(Change::Complement, Word);
    exec Btc_rm16_r16 => |e| test_bit_string(e, Change::Complement, Word);
    to_register Bsf_r16_rm16 => scan_forward(Word);
    to_register Bsr_r16_rm16 => scan_reverse(Word);
    to_register Popcnt_r16_rm16 => count_ones(Word);
    sparing Tzcnt_r16_rm16 => count_trailing(Word);
    sparing Lzcnt_r16_rm16 => count_leading(Word);
    binary Bt_rm32_imm8 => test_bit(Change::Nothing, Dword);
    exec Bt_rm32_r32 => |e| test_bit_string(e, Change::Nothing, Dword);
    binary Bts_rm32_imm8 => test_bit(Change::Set, Dword);
    exec Bts_rm32_r32 => |e| test_bit_string(e, Change::Set, Dword);
    binary Btr_rm32_imm8 => test_bit(Change::Reset, Dword);
    exec Btr_rm32_r32 => |e| test_bit_string(e, Change::Reset, Dword);
    binary Btc_rm32_imm8 => test_bit(Change::Complement, Dword);
    exec Btc_rm32_r32 => |e| test_bit_string(e, Change::Complement, Dword);
    to_register Bsf_r32_rm32 => scan_forward(Dword);
    to_register Bsr_r32_rm32 => scan_reverse(Dword);
    to_register Popcnt_r32_rm32 => count_ones(Dword);
    sparing Tzcnt_r32_rm32 => count_trailing(Dword);
    sparing Lzcnt_r32_rm32 => count_leading(Dword);
    binary Bt_rm64_imm8 => test_bit(Change::Nothing, Qword);
    exec Bt_rm64_r64 => |e| test_bit_string(e, Change::Nothing, Qword);
    binary Bts_rm64_imm8 => test_bit(Change::Set, Qword);
    exec Bts_rm64_r64 => |e| test_bit_string(e, Change::Set, Qword);
    binary Btr_rm64_imm8 => test_bit(Change::Reset, Qword);
    exec Btr_rm64_r64 => |e| test_bit_string(e, Change::Reset, Qword);
    binary Btc_rm64_imm8 => test_bit(Change::Complement, Qword);
    exec Btc_rm64_r64 => |e| test_bit_string(e, Change::Complement, Qword);
    to_register Bsf_r64_rm64 => scan_forward(Qword);
    to_register Bsr_r64_rm64 => scan_reverse(Qword);
    to_register Popcnt_r64_rm64 => count_ones(Qword);
    sparing Tzcnt_r64_rm64 => count_trailing(Qword);
    sparing Lzcnt_r64_rm64 => count_leading(Qword);
    to_register Crc32_r32_rm8 | Crc32_r64_rm8 => crc32(Byte);
    to_register Crc32_r32_rm16 => crc32(Word);
    to_register Crc32_r32_rm32 => crc32(Dword);
    to_register Crc32_r64_rm64 => crc32(Qword);
}
