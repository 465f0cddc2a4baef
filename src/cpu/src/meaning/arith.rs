//! Addition and subtraction: ADD ADC SUB SBB CMP INC DEC NEG, XADD, CMPXCHG.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use crate::flags::Flags;
use crate::table::rows;
use crate::target::{Bin, Cmp, Step, Target};
use cutaway_isa::Width::{self, Byte, Dword, Qword, Word};

/// ADD: dst := dst + src. CF OF SF ZF AF PF from the sum.
#[inline(always)]
fn add<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let a = t.modify(0, w)?;
    let b = t.read(1, w)?;
    let sum = t.bin(Bin::Add, w, &a, &b);
    t.write(0, w, sum.clone())?;
    t.set_flags(Flags::Add { w, a, b, sum });
    Ok(())
}

/// ADC: dst := dst + src + CF. Flags as ADD, the carry counted in.
#[inline(always)]
fn adc<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let a = t.modify(0, w)?;
    let b = t.read(1, w)?;
    let carry = t.carry(w);
    let sum = t.bin(Bin::Add, w, &a, &b);
    let sum = t.bin(Bin::Add, w, &sum, &carry);
    t.write(0, w, sum.clone())?;
    t.set_flags(Flags::Add { w, a, b, sum });
    Ok(())
}

/// SUB: dst := dst - src. CF (borrow) OF SF ZF AF PF from the difference.
#[inline(always)]
fn sub<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let a = t.modify(0, w)?;
    let b = t.read(1, w)?;
    let difference = t.bin(Bin::Sub, w, &a, &b);
    t.write(0, w, difference.clone())?;
    t.set_flags(Flags::Sub { w, a, b, difference });
    Ok(())
}

/// SBB: dst := dst - src - CF. Flags as SUB, the borrow counted in.
#[inline(always)]
fn sbb<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let a = t.modify(0, w)?;
    let b = t.read(1, w)?;
    let carry = t.carry(w);
    let difference = t.bin(Bin::Sub, w, &a, &b);
    let difference = t.bin(Bin::Sub, w, &difference, &carry);
    t.write(0, w, difference.clone())?;
    t.set_flags(Flags::Sub { w, a, b, difference });
    Ok(())
}

/// CMP: flags of dst - src; nothing is written.
#[inline(always)]
fn cmp<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let a = t.read(0, w)?;
    let b = t.read(1, w)?;
    let difference = t.bin(Bin::Sub, w, &a, &b);
    t.set_flags(Flags::Sub { w, a, b, difference });
    Ok(())
}

/// INC: dst := dst + 1. Flags as ADD, but CF stays.
#[inline(always)]
fn inc<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let a = t.modify(0, w)?;
    let one = t.constant(w, 1);
    let result = t.bin(Bin::Add, w, &a, &one);
    t.write(0, w, result.clone())?;
    t.set_flags(Flags::Inc { w, result });
    Ok(())
}

/// DEC: dst := dst - 1. Flags as SUB, but CF stays.
#[inline(always)]
fn dec<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let a = t.modify(0, w)?;
    let one = t.constant(w, 1);
    let result = t.bin(Bin::Sub, w, &a, &one);
    t.write(0, w, result.clone())?;
    t.set_flags(Flags::Dec { w, result });
    Ok(())
}

/// NEG: dst := 0 - dst. Flags as SUB.
#[inline(always)]
fn neg<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let b = t.modify(0, w)?;
    let a = t.constant(w, 0);
    let difference = t.bin(Bin::Sub, w, &a, &b);
    t.write(0, w, difference.clone())?;
    t.set_flags(Flags::Sub { w, a, b, difference });
    Ok(())
}

/// XADD: the sum goes to dst, the old dst to src. Flags as ADD.
#[inline(always)]
fn xadd<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let a = t.modify(0, w)?;
    let b = t.read(1, w)?;
    let sum = t.bin(Bin::Add, w, &a, &b);
    if t.is_memory(0) {
        t.write(0, w, sum.clone())?;
        t.write(1, w, a.clone())?;
    } else {
        // The destination is written last: XADD of a register with itself leaves the sum.
        t.write(1, w, a.clone())?;
        t.write(0, w, sum.clone())?;
    }
    t.set_flags(Flags::Add { w, a, b, sum });
    Ok(())
}

/// CMPXCHG: flags of accumulator - dst; if equal dst := src, else accumulator := dst.
/// Memory is written in either case.
#[inline(always)]
fn cmpxchg<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let b = t.modify(0, w)?;
    let new = t.read(1, w)?;
    let a = t.gpr(0, w);
    let difference = t.bin(Bin::Sub, w, &a, &b);
    let equal = t.compare(Cmp::Eq, w, &a, &b);
    let stored = t.select(&equal, w, &new, &b);
    let accumulator = select_accumulator(t, w, &equal, &b);
    if t.is_memory(0) {
        // Before RAX changes, which may be part of the address.
        t.write(0, w, stored)?;
        t.set_gpr(0, Qword, accumulator);
    } else if w == Dword {
        // An unequal destination is not written at all: its upper half stays (measured on Zen 3).
        let old = t.read(0, Qword)?;
        let new = t.resize(Dword, Qword, &new);
        let stored = t.select(&equal, Qword, &new, &old);
        t.set_gpr(0, Qword, accumulator);
        t.write(0, Qword, stored)?;
    } else {
        t.set_gpr(0, Qword, accumulator);
        t.write(0, w, stored)?;
    }
    t.set_flags(Flags::Sub { w, a, b, difference });
    Ok(())
}

/// RAX after CMPXCHG: unchanged where equal, else with the old destination in its low part.
#[inline(always)]
fn select_accumulator<T: Target>(
    t: &mut T,
    w: Width,
    equal: &T::Cond,
    loaded: &T::Value,
) -> T::Value {
    let rax = t.gpr(0, Qword);
    let wide = t.resize(w, Qword, loaded);
    let merged = if w == Byte || w == Word {
        let keep = t.constant(Qword, !w.mask());
        let upper = t.bin(Bin::And, Qword, &rax, &keep);
        t.bin(Bin::Or, Qword, &upper, &wide)
    } else {
        wide
    };
    t.select(equal, Qword, &rax, &merged)
}

rows! {
    binary Add_rm8_r8 | Add_r8_rm8 | Add_AL_imm8 | Add_rm8_imm8 | Add_rm8_imm8_82 => add(Byte);
    binary Add_rm16_r16 | Add_r16_rm16 | Add_AX_imm16 | Add_rm16_imm16 | Add_rm16_imm8 => add(Word);
    binary Add_rm32_r32 | Add_r32_rm32 | Add_EAX_imm32 | Add_rm32_imm32 | Add_rm32_imm8 => add(Dword);
    binary Add_rm64_r64 | Add_r64_rm64 | Add_RAX_imm32 | Add_rm64_imm32 | Add_rm64_imm8 => add(Qword);
    binary Adc_rm8_r8 | Adc_r8_rm8 | Adc_AL_imm8 | Adc_rm8_imm8 | Adc_rm8_imm8_82 => adc(Byte);
    binary Adc_rm16_r16 | Adc_r16_rm16 | Adc_AX_imm16 | Adc_rm16_imm16 | Adc_rm16_imm8 => adc(Word);
    binary Adc_rm32_r32 | Adc_r32_rm32 | Adc_EAX_imm32 | Adc_rm32_imm32 | Adc_rm32_imm8 => adc(Dword);
    binary Adc_rm64_r64 | Adc_r64_rm64 | Adc_RAX_imm32 | Adc_rm64_imm32 | Adc_rm64_imm8 => adc(Qword);
    binary Sbb_rm8_r8 | Sbb_r8_rm8 | Sbb_AL_imm8 | Sbb_rm8_imm8 | Sbb_rm8_imm8_82 => sbb(Byte);
    binary Sbb_rm16_r16 | Sbb_r16_rm16 | Sbb_AX_imm16 | Sbb_rm16_imm16 | Sbb_rm16_imm8 => sbb(Word);
    binary Sbb_rm32_r32 | Sbb_r32_rm32 | Sbb_EAX_imm32 | Sbb_rm32_imm32 | Sbb_rm32_imm8 => sbb(Dword);
    binary Sbb_rm64_r64 | Sbb_r64_rm64 | Sbb_RAX_imm32 | Sbb_rm64_imm32 | Sbb_rm64_imm8 => sbb(Qword);
    binary Sub_rm8_r8 | Sub_r8_rm8 | Sub_AL_imm8 | Sub_rm8_imm8 | Sub_rm8_imm8_82 => sub(Byte);
    binary Sub_rm16_r16 | Sub_r16_rm16 | Sub_AX_imm16 | Sub_rm16_imm16 | Sub_rm16_imm8 => sub(Word);
    binary Sub_rm32_r32 | Sub_r32_rm32 | Sub_EAX_imm32 | Sub_rm32_imm32 | Sub_rm32_imm8 => sub(Dword);
    binary Sub_rm64_r64 | Sub_r64_rm64 | Sub_RAX_imm32 | Sub_rm64_imm32 | Sub_rm64_imm8 => sub(Qword);
    binary Cmp_rm8_r8 | Cmp_r8_rm8 | Cmp_AL_imm8 | Cmp_rm8_imm8 | Cmp_rm8_imm8_82 => cmp(Byte);
    binary Cmp_rm16_r16 | Cmp_r16_rm16 | Cmp_AX_imm16 | Cmp_rm16_imm16 | Cmp_rm16_imm8 => cmp(Word);
    binary Cmp_rm32_r32 | Cmp_r32_rm32 | Cmp_EAX_imm32 | Cmp_rm32_imm32 | Cmp_rm32_imm8 => cmp(Dword);
    binary Cmp_rm64_r64 | Cmp_r64_rm64 | Cmp_RAX_imm32 | Cmp_rm64_imm32 | Cmp_rm64_imm8 => cmp(Qword);
    unary Inc_rm8 => inc(Byte);
    unary Dec_rm8 => dec(Byte);
    unary Neg_rm8 => neg(Byte);
    transfer Xadd_rm8_r8 => xadd(Byte);
    transfer Cmpxchg_rm8_r8 => cmpxchg(Byte);
    unary Inc_rm16 | Inc_r16 => inc(Word);
    unary Dec_rm16 | Dec_r16 => dec(Word);
    unary Neg_rm16 => neg(Word);
    transfer Xadd_rm16_r16 => xadd(Word);
    transfer Cmpxchg_rm16_r16 => cmpxchg(Word);
    unary Inc_rm32 | Inc_r32 => inc(Dword);
    unary Dec_rm32 | Dec_r32 => dec(Dword);
    unary Neg_rm32 => neg(Dword);
    transfer Xadd_rm32_r32 => xadd(Dword);
    transfer Cmpxchg_rm32_r32 => cmpxchg(Dword);
    unary Inc_rm64 => inc(Qword);
    unary Dec_rm64 => dec(Qword);
    unary Neg_rm64 => neg(Qword);
    transfer Xadd_rm64_r64 => xadd(Qword);
    transfer Cmpxchg_rm64_r64 => cmpxchg(Qword);
}
