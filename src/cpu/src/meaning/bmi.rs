//! BMI1, BMI2 and ADX: ANDN BEXTR BLSI BLSMSK BLSR, BZHI MULX PDEP PEXT RORX SARX SHLX SHRX,
//! ADCX ADOX. TZCNT is with the other counts in `bit.rs`.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic. Flags that it calls undefined are as
//! measured on an AMD Zen 3.

use crate::flags::{Flags, with_result};
use crate::table::rows;
use crate::target::{Bin, Rule, Step, Target};
use cutaway_isa::Rflags;
use cutaway_isa::Width::{self, Byte, Dword, Qword};

const RDX: usize = 2;

/// ANDN: dst := NOT src1 AND src2. Flags as AND; AF = 0, PF of the result (undefined).
#[inline(always)]
fn andn<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let a = t.read(1, w)?;
    let b = t.read(2, w)?;
    let others = t.not(w, &a);
    let result = t.bin(Bin::And, w, &others, &b);
    t.write(0, w, result.clone())?;
    t.set_flags(Flags::Logic { w, result });
    Ok(())
}

/// SF ZF PF of a result and CF as given; OF and AF become 0.
fn flags_of(w: Width, result: u64, carry: bool, flags: Rflags) -> Rflags {
    with_result(flags.difference(Rflags::STATUS), w, result).with(Rflags::CF, carry)
}

/// BLSI rule: the lowest bit set. CF: there is one; OF = 0; SF and ZF: the result. Undefined:
/// AF = 0, PF of the result.
fn blsi(w: Width, a: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    let result = a & a.wrapping_neg();
    (result, flags_of(w, result, a != 0, flags))
}

/// BLSMSK rule: all bits up to the lowest one set. CF: there is none; else as BLSI.
fn blsmsk(w: Width, a: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    let result = (a ^ a.wrapping_sub(1)) & w.mask();
    (result, flags_of(w, result, a == 0, flags))
}

/// BLSR rule: without the lowest bit set. CF: there was none; else as BLSI.
fn blsr(w: Width, a: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    let result = a & a.wrapping_sub(1);
    (result, flags_of(w, result, a == 0, flags))
}

/// BZHI rule: `a` without the bits from number `b` (8 bits) up. CF: `b` is beyond the operand;
/// else as BLSI.
fn bzhi(w: Width, a: u64, b: u64, flags: Rflags) -> (u64, Rflags) {
    let count = b & 0xff;
    let keeps_all = count >= u64::from(w.bits());
    let result = if keeps_all { a } else { a & ((1 << count) - 1) };
    (result, flags_of(w, result, keeps_all, flags))
}

/// BEXTR rule: as many bits of `a` as bits 15:8 of `b` say, from the one that bits 7:0 say.
/// ZF: the result; CF = OF = 0. Undefined: AF = 1, SF = 0, PF of the result.
fn bextr(_: Width, a: u64, b: u64, flags: Rflags) -> (u64, Rflags) {
    let (start, length) = (b as u32 & 0xff, b as u32 >> 8 & 0xff);
    let rest = a.checked_shr(start).unwrap_or(0);
    let result = if length < 64 { rest & ((1 << length) - 1) } else { rest };
    let flags = flags_of(Qword, result, false, flags).difference(Rflags::SF);
    (result, flags.with(Rflags::AF, true))
}

/// PEXT rule: the bits of `a` where the mask `b` has ones, side by side from bit 0.
fn pext(_: Width, a: u64, b: u64, flags: Rflags) -> (u64, Rflags) {
    let (mut result, mut mask, mut to) = (0, b, 1_u64);
    while mask != 0 {
        if a & mask & mask.wrapping_neg() != 0 {
            result |= to;
        }
        mask &= mask - 1;
        to = to.wrapping_shl(1);
    }
    (result, flags)
}

/// PDEP rule: the low bits of `a`, each to where the mask `b` has its next one.
fn pdep(_: Width, a: u64, b: u64, flags: Rflags) -> (u64, Rflags) {
    let (mut result, mut mask, mut rest) = (0, b, a);
    while mask != 0 {
        if rest & 1 != 0 {
            result |= mask & mask.wrapping_neg();
        }
        mask &= mask - 1;
        rest >>= 1;
    }
    (result, flags)
}

/// `a + b + carry`, cut to the width, and the carry out.
fn add_carry(w: Width, a: u64, b: u64, carry: bool) -> (u64, bool) {
    let sum = u128::from(a) + u128::from(b) + u128::from(carry);
    (sum as u64 & w.mask(), sum >> w.bits() != 0)
}

/// ADCX rule: the sum with CF, which is the only flag to change.
fn adcx(w: Width, a: u64, b: u64, flags: Rflags) -> (u64, Rflags) {
    let (sum, carry) = add_carry(w, a, b, flags.contains(Rflags::CF));
    (sum, flags.with(Rflags::CF, carry))
}

/// ADOX rule: as ADCX with OF in the place of CF.
fn adox(w: Width, a: u64, b: u64, flags: Rflags) -> (u64, Rflags) {
    let (sum, carry) = add_carry(w, a, b, flags.contains(Rflags::OF));
    (sum, flags.with(Rflags::OF, carry))
}

/// dst := rule(operand `first`, operand `second`), with the rule's flags.
#[inline(always)]
fn by_rule<T: Target>(
    t: &mut T,
    (first, second): (u32, u32),
    name: &'static str,
    rule: Rule,
    w: Width,
) -> Step<T> {
    let a = t.read(first, w)?;
    let b = t.read(second, w)?;
    let (result, status) = t.rule(name, rule, w, &a, &b);
    t.write(0, w, result)?;
    t.set_status(status);
    Ok(())
}

/// BLSI and its kin.
#[inline(always)]
fn lowest_bit<T: Target>(t: &mut T, name: &'static str, rule: Rule, w: Width) -> Step<T> {
    by_rule(t, (1, 1), name, rule, w)
}

/// BEXTR, BZHI: the control stands in the last operand.
#[inline(always)]
fn field<T: Target>(t: &mut T, name: &'static str, rule: Rule, w: Width) -> Step<T> {
    by_rule(t, (1, 2), name, rule, w)
}

/// ADCX, ADOX.
#[inline(always)]
fn add_one_flag<T: Target>(t: &mut T, name: &'static str, rule: Rule, w: Width) -> Step<T> {
    by_rule(t, (0, 1), name, rule, w)
}

/// PDEP, PEXT: no flag changes.
#[inline(always)]
fn by_mask<T: Target>(t: &mut T, name: &'static str, rule: Rule, w: Width) -> Step<T> {
    let a = t.read(1, w)?;
    let b = t.read(2, w)?;
    let (result, _) = t.rule(name, rule, w, &a, &b);
    t.write(0, w, result)
}

/// SARX, SHLX, SHRX: the count modulo the width; no flag changes.
#[inline(always)]
fn shift<T: Target>(t: &mut T, op: Bin, w: Width) -> Step<T> {
    let a = t.read(1, w)?;
    let count = t.read(2, w)?;
    let low = t.constant(w, u64::from(w.bits() - 1));
    let count = t.bin(Bin::And, w, &count, &low);
    let count = t.resize(w, Byte, &count);
    let result = t.bin(op, w, &a, &count);
    t.write(0, w, result)
}

/// RORX: a rotate by an immediate; no flag changes.
#[inline(always)]
fn rorx<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let a = t.read(1, w)?;
    let count = t.read(2, Byte)?;
    let low = t.constant(Byte, u64::from(w.bits() - 1));
    let count = t.bin(Bin::And, Byte, &count, &low);
    let result = t.bin(Bin::Ror, w, &a, &count);
    t.write(0, w, result)
}

/// MULX: (r)DX * src, low half to operand 1, high half to operand 0, which wins where both are
/// one register. No flag changes.
#[inline(always)]
fn mulx<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let b = t.read(2, w)?;
    let a = t.gpr(RDX, w);
    let low = t.bin(Bin::Mul, w, &a, &b);
    let high = t.bin(Bin::MulHighUnsigned, w, &a, &b);
    t.write(1, w, low)?;
    t.write(0, w, high)
}

rows! {
    slow VEX_Andn_r32_r32_rm32 => andn(Dword);
    slow VEX_Andn_r64_r64_rm64 => andn(Qword);
    slow VEX_Bextr_r32_rm32_r32 => field("bextr", bextr, Dword);
    slow VEX_Bextr_r64_rm64_r64 => field("bextr", bextr, Qword);
    slow VEX_Blsi_r32_rm32 => lowest_bit("blsi", blsi, Dword);
    slow VEX_Blsi_r64_rm64 => lowest_bit("blsi", blsi, Qword);
    slow VEX_Blsmsk_r32_rm32 => lowest_bit("blsmsk", blsmsk, Dword);
    slow VEX_Blsmsk_r64_rm64 => lowest_bit("blsmsk", blsmsk, Qword);
    slow VEX_Blsr_r32_rm32 => lowest_bit("blsr", blsr, Dword);
    slow VEX_Blsr_r64_rm64 => lowest_bit("blsr", blsr, Qword);
    slow VEX_Bzhi_r32_rm32_r32 => field("bzhi", bzhi, Dword);
    slow VEX_Bzhi_r64_rm64_r64 => field("bzhi", bzhi, Qword);
    slow VEX_Mulx_r32_r32_rm32 => mulx(Dword);
    slow VEX_Mulx_r64_r64_rm64 => mulx(Qword);
    slow VEX_Pdep_r32_r32_rm32 => by_mask("pdep", pdep, Dword);
    slow VEX_Pdep_r64_r64_rm64 => by_mask("pdep", pdep, Qword);
    slow VEX_Pext_r32_r32_rm32 => by_mask("pext", pext, Dword);
    slow VEX_Pext_r64_r64_rm64 => by_mask("pext", pext, Qword);
    slow VEX_Rorx_r32_rm32_imm8 => rorx(Dword);
    slow VEX_Rorx_r64_rm64_imm8 => rorx(Qword);
    slow VEX_Sarx_r32_rm32_r32 => shift(Bin::Sar, Dword);
    slow VEX_Sarx_r64_rm64_r64 => shift(Bin::Sar, Qword);
    slow VEX_Shlx_r32_rm32_r32 => shift(Bin::Shl, Dword);
    slow VEX_Shlx_r64_rm64_r64 => shift(Bin::Shl, Qword);
    slow VEX_Shrx_r32_rm32_r32 => shift(Bin::Shr, Dword);
    slow VEX_Shrx_r64_rm64_r64 => shift(Bin::Shr, Qword);
    slow Adcx_r32_rm32 => add_one_flag("adcx", adcx, Dword);
    slow Adcx_r64_rm64 => add_one_flag("adcx", adcx, Qword);
    slow Adox_r32_rm32 => add_one_flag("adox", adox, Dword);
    slow Adox_r64_rm64 => add_one_flag("adox", adox, Qword);
}

#[cfg(test)]
mod tests {
    use super::{bextr, bzhi, pdep, pext};
    use cutaway_isa::{Rflags, Width};

    /// Bits 7, 5, 2 and 1 of the mask, by hand after Intel SDM vol. 2B, "PDEP" and "PEXT".
    #[test]
    fn masks_scatter_and_gather() {
        let flags = Rflags::empty();

        assert_eq!(pdep(Width::Qword, 0b1101, 0b1010_0110, flags).0, 0b1010_0010);
        assert_eq!(pext(Width::Qword, 0b1111_0010, 0b1010_0110, flags).0, 0b1101);
        assert_eq!(pext(Width::Qword, u64::MAX, u64::MAX, flags).0, u64::MAX);
    }

    #[test]
    fn fields_may_reach_beyond_the_operand() {
        let flags = Rflags::empty();

        assert_eq!(bextr(Width::Dword, 0x8765_4321, 0x0804, flags).0, 0x32);
        assert_eq!(bextr(Width::Qword, u64::MAX, 0xff3c, flags).0, 0xf);
        assert_eq!(bextr(Width::Qword, u64::MAX, 0xff40, flags).0, 0);
        assert_eq!(bzhi(Width::Dword, 0xffff_ffff, 0x120, flags).0, 0xffff_ffff);
        assert!(bzhi(Width::Dword, 1, 32, flags).1.contains(Rflags::CF));
    }
}
