//! Logic: AND OR XOR NOT TEST.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic. AF is undefined; the reference clears it.

use crate::flags::Flags;
use crate::table::rows;
use crate::target::{Bin, Step, Target};
use cutaway_isa::Width::{self, Byte, Dword, Qword, Word};

/// AND, OR, XOR: CF and OF are cleared, SF ZF PF from the result.
#[inline(always)]
fn bitwise<T: Target>(t: &mut T, op: Bin, w: Width) -> Step<T> {
    let a = t.modify(0, w)?;
    let b = t.read(1, w)?;
    let result = t.bin(op, w, &a, &b);
    t.write(0, w, result.clone())?;
    t.set_flags(Flags::Logic { w, result });
    Ok(())
}

#[inline(always)]
fn and<T: Target>(t: &mut T, w: Width) -> Step<T> {
    bitwise(t, Bin::And, w)
}

#[inline(always)]
fn or<T: Target>(t: &mut T, w: Width) -> Step<T> {
    bitwise(t, Bin::Or, w)
}

#[inline(always)]
fn xor<T: Target>(t: &mut T, w: Width) -> Step<T> {
    bitwise(t, Bin::Xor, w)
}

/// TEST: flags of dst AND src; nothing is written.
#[inline(always)]
fn test<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let a = t.read(0, w)?;
    let b = t.read(1, w)?;
    let result = t.bin(Bin::And, w, &a, &b);
    t.set_flags(Flags::Logic { w, result });
    Ok(())
}

/// NOT: no flag changes.
#[inline(always)]
fn not<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let a = t.modify(0, w)?;
    let result = t.not(w, &a);
    t.write(0, w, result)
}

rows! {
    binary Or_rm8_r8 | Or_r8_rm8 | Or_AL_imm8 | Or_rm8_imm8 | Or_rm8_imm8_82 => or(Byte);
    binary Or_rm16_r16 | Or_r16_rm16 | Or_AX_imm16 | Or_rm16_imm16 | Or_rm16_imm8 => or(Word);
    binary Or_rm32_r32 | Or_r32_rm32 | Or_EAX_imm32 | Or_rm32_imm32 | Or_rm32_imm8 => or(Dword);
    binary Or_rm64_r64 | Or_r64_rm64 | Or_RAX_imm32 | Or_rm64_imm32 | Or_rm64_imm8 => or(Qword);
    binary And_rm8_r8 | And_r8_rm8 | And_AL_imm8 | And_rm8_imm8 | And_rm8_imm8_82 => and(Byte);
    binary And_rm16_r16 | And_r16_rm16 | And_AX_imm16 | And_rm16_imm16 | And_rm16_imm8 => and(Word);
    binary And_rm32_r32 | And_r32_rm32 | And_EAX_imm32 | And_rm32_imm32 | And_rm32_imm8 => and(Dword);
    binary And_rm64_r64 | And_r64_rm64 | And_RAX_imm32 | And_rm64_imm32 | And_rm64_imm8 => and(Qword);
    binary Xor_rm8_r8 | Xor_r8_rm8 | Xor_AL_imm8 | Xor_rm8_imm8 | Xor_rm8_imm8_82 => xor(Byte);
    binary Xor_rm16_r16 | Xor_r16_rm16 | Xor_AX_imm16 | Xor_rm16_imm16 | Xor_rm16_imm8 => xor(Word);
    binary Xor_rm32_r32 | Xor_r32_rm32 | Xor_EAX_imm32 | Xor_rm32_imm32 | Xor_rm32_imm8 => xor(Dword);
    binary Xor_rm64_r64 | Xor_r64_rm64 | Xor_RAX_imm32 | Xor_rm64_imm32 | Xor_rm64_imm8 => xor(Qword);
    binary Test_rm8_r8 | Test_AL_imm8 | Test_rm8_imm8 | Test_rm8_imm8_F6r1 => test(Byte);
    unary Not_rm8 => not(Byte);
    binary Test_rm16_r16 | Test_AX_imm16 | Test_rm16_imm16 | Test_rm16_imm16_F7r1 => test(Word);
    unary Not_rm16 => not(Word);
    binary Test_rm32_r32 | Test_EAX_imm32 | Test_rm32_imm32 | Test_rm32_imm32_F7r1 => test(Dword);
    unary Not_rm32 => not(Dword);
    binary Test_rm64_r64 | Test_RAX_imm32 | Test_rm64_imm32 | Test_rm64_imm32_F7r1 => test(Qword);
    unary Not_rm64 => not(Qword);
}
