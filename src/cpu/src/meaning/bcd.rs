//! Decimal adjustment: DAA DAS AAA AAS AAM AAD.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic. Flags called undefined there come from the
//! addition or subtraction that the adjustment is (measured on Zen 3).

use crate::exception::{Exception, Fault};
use crate::exec::Exec;
use crate::flags::with_result;
use crate::table::rows;
use crate::target::{Step, Target};
use cutaway_isa::Rflags;
use cutaway_isa::Width::{self, Byte, Word};

/// DAA and DAS rule: AL made a pair of decimal digits after an addition or subtraction.
fn adjust_packed(al: u64, flags: Rflags, subtract: bool) -> (u64, Rflags) {
    let (carry, auxiliary) = (flags.contains(Rflags::CF), flags.contains(Rflags::AF));
    let low = al & 0xf > 9 || auxiliary;
    let high = al > 0x99 || carry;
    let amount = if low { 6 } else { 0 } + if high { 0x60 } else { 0 };
    let result = if subtract { al.wrapping_sub(amount) } else { al + amount } & 0xff;
    // DAS: borrowing in the low digit's step sets CF too.
    let borrow = subtract && low && al < 6;
    let flags = with_result(flags, Byte, result)
        .with(Rflags::CF, high || borrow)
        .with(Rflags::AF, low)
        .with(Rflags::OF, overflows(Byte, al, amount, result, subtract));
    (result, flags)
}

/// OF of an addition or subtraction.
fn overflows(w: Width, a: u64, b: u64, result: u64, subtract: bool) -> bool {
    let differs = if subtract { a ^ b } else { b ^ result };
    (a ^ result) & differs & w.sign_bit() != 0
}

/// DAA rule.
pub(crate) fn daa(_: Width, al: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    adjust_packed(al, flags, false)
}

/// DAS rule.
pub(crate) fn das(_: Width, al: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    adjust_packed(al, flags, true)
}

/// AAA and AAS rule: AX with one decimal digit in AL, the carry or borrow into AH.
fn adjust_unpacked(ax: u64, flags: Rflags, subtract: bool) -> (u64, Rflags) {
    let adjusts = ax & 0xf > 9 || flags.contains(Rflags::AF);
    let amount = if adjusts { 0x106 } else { 0 };
    let sum = if subtract { ax.wrapping_sub(amount) } else { ax + amount } & 0xffff;
    let flags = with_result(flags, Word, sum)
        .with(Rflags::CF, adjusts)
        .with(Rflags::AF, adjusts)
        .with(Rflags::OF, overflows(Word, ax, amount, sum, subtract));
    (sum & 0xff0f, flags)
}

/// AAA rule.
pub(crate) fn aaa(_: Width, ax: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    adjust_unpacked(ax, flags, false)
}

/// AAS rule.
pub(crate) fn aas(_: Width, ax: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    adjust_unpacked(ax, flags, true)
}

/// AAD rule: AL := AL + AH * base, AH := 0.
pub(crate) fn aad(_: Width, ax: u64, base: u64, flags: Rflags) -> (u64, Rflags) {
    let (al, tens) = (ax & 0xff, (ax >> 8).wrapping_mul(base) & 0xff);
    let result = (al + tens) & 0xff;
    let flags = with_result(flags, Byte, result)
        .with(Rflags::CF, al + tens > 0xff)
        .with(Rflags::AF, (al ^ tens ^ result) & 0x10 != 0)
        .with(Rflags::OF, overflows(Byte, al, tens, result, false));
    (result, flags)
}

/// AAM rule: AH := AL / base, AL := AL mod base; `base` is not 0.
pub(crate) fn aam(_: Width, ax: u64, base: u64, flags: Rflags) -> (u64, Rflags) {
    let al = ax & 0xff;
    let result = ((al / base) << 8) | (al % base);
    let flags = with_result(flags, Byte, al % base);
    (result, flags.difference(Rflags::CF | Rflags::AF | Rflags::OF))
}

#[inline(always)]
fn adjust<T: Target>(
    t: &mut T,
    name: &'static str,
    rule: crate::target::Rule,
    w: Width,
) -> Step<T> {
    let a = t.gpr(0, w);
    let zero = t.constant(w, 0);
    let (result, status) = t.rule(name, rule, w, &a, &zero);
    t.set_gpr(0, w, result);
    t.set_status(status);
    Ok(())
}

#[inline(always)]
fn adjust_with_base<T: Target>(
    t: &mut T,
    name: &'static str,
    rule: crate::target::Rule,
) -> Step<T> {
    let a = t.gpr(0, Word);
    let base = t.read(0, Byte)?;
    let (result, status) = t.rule(name, rule, Word, &a, &base);
    t.set_gpr(0, Word, result);
    t.set_status(status);
    Ok(())
}

/// AAM: #DE for base 0.
fn aam_checked(e: &mut Exec<'_>) -> Result<(), Fault> {
    if e.instruction.immediate8() == 0 {
        return Err(Exception::DE.into());
    }
    adjust_with_base(e, "aam", aam)
}

rows! {
    slow Daa => adjust("daa", daa, Byte);
    slow Das => adjust("das", das, Byte);
    slow Aaa => adjust("aaa", aaa, Word);
    slow Aas => adjust("aas", aas, Word);
    slow Aad_imm8 => adjust_with_base("aad", aad);
    exec Aam_imm8 => aam_checked;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Intel SDM vol. 2, examples of "DAA" and "DAS".
    #[test]
    fn the_manuals_examples_hold() {
        let sum = 0x79 + 0x35;
        assert_eq!(daa(Byte, sum, 0, Rflags::empty()).0, 0x14);
        assert!(daa(Byte, sum, 0, Rflags::empty()).1.contains(Rflags::CF | Rflags::AF));
        assert_eq!(
            das(Byte, 0x35_u64.wrapping_sub(0x47) & 0xff, 0, Rflags::CF | Rflags::AF).0,
            0x88
        );
        assert_eq!(aam(Word, 63, 10, Rflags::empty()).0, 0x0603);
        assert_eq!(aad(Word, 0x0603, 10, Rflags::empty()).0, 63);
        assert_eq!(aaa(Word, 0x000f, 0, Rflags::empty()).0, 0x0105);
    }
}
