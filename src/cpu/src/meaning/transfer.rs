//! Moves: MOV MOVZX MOVSX MOVSXD MOVBE XCHG BSWAP LEA CMOVcc SETcc, XLAT, CBW CWD and their kin.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic. No flag changes.

use crate::flags::Cc;
use crate::table::rows;
use crate::target::{Bin, Step, Target};
use cutaway_isa::Width::{self, Byte, Dword, Qword, Word};

/// MOV: dst := src.
#[inline(always)]
fn mov<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let value = t.read(1, w)?;
    t.write(0, w, value)
}

/// MOVZX: dst := src, zero above.
#[inline(always)]
fn movzx<T: Target>(t: &mut T, to: Width, from: Width) -> Step<T> {
    let value = t.read(1, from)?;
    let value = t.resize(from, to, &value);
    t.write(0, to, value)
}

/// MOVSX, MOVSXD: dst := src, its sign above.
#[inline(always)]
fn movsx<T: Target>(t: &mut T, to: Width, from: Width) -> Step<T> {
    let value = t.read(1, from)?;
    let value = t.sign_extend(from, to, &value);
    t.write(0, to, value)
}

/// MOVSXD with 66h: a move of 16 bits that reads 32 (measured on Zen 3).
#[inline(always)]
fn movsxd_word<T: Target>(t: &mut T) -> Step<T> {
    let value = t.read(1, Dword)?;
    let value = t.resize(Dword, Word, &value);
    t.write(0, Word, value)
}

/// XCHG: both operands change places.
#[inline(always)]
fn xchg<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let a = t.modify(0, w)?;
    let b = t.read(1, w)?;
    t.write(0, w, b)?;
    t.write(1, w, a)
}

/// LEA: dst := the effective address, cut or zero-extended.
#[inline(always)]
fn lea<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let address = t.effective_address();
    let from = t.address_width();
    let value = t.resize(from, w, &address);
    t.write(0, w, value)
}

/// CMOVcc: dst := src if the condition holds. The source is read in any case, and a 32-bit
/// destination loses its upper half in any case.
#[inline(always)]
fn cmov<T: Target>(t: &mut T, cc: Cc, w: Width) -> Step<T> {
    let source = t.read(1, w)?;
    let old = t.read(0, w)?;
    let condition = t.condition(cc);
    let value = t.select(&condition, w, &source, &old);
    t.write(0, w, value)
}

/// SETcc: dst := 1 if the condition holds, else 0.
#[inline(always)]
fn set<T: Target>(t: &mut T, cc: Cc) -> Step<T> {
    let condition = t.condition(cc);
    let value = t.truth(Byte, &condition);
    t.write(0, Byte, value)
}

/// The bytes of a value in reverse order.
#[inline(always)]
fn reversed<T: Target>(t: &mut T, w: Width, value: &T::Value) -> T::Value {
    let bytes = w.bytes();
    let mask = t.constant(w, 0xff);
    let mut result = t.constant(w, 0);
    for byte in 0..bytes {
        let down = t.constant(Byte, 8 * byte);
        let up = t.constant(Byte, 8 * (bytes - 1 - byte));
        let part = t.bin(Bin::Shr, w, value, &down);
        let part = t.bin(Bin::And, w, &part, &mask);
        let part = t.bin(Bin::Shl, w, &part, &up);
        result = t.bin(Bin::Or, w, &result, &part);
    }
    result
}

/// BSWAP: byte order reversed. For words undefined: the reference gives 0.
#[inline(always)]
fn bswap<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let value = t.read(0, w)?;
    let result = if w == Word { t.constant(Word, 0) } else { reversed(t, w, &value) };
    t.write(0, w, result)
}

/// MOVBE: a move with the byte order reversed.
#[inline(always)]
fn movbe<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let value = t.read(1, w)?;
    let result = reversed(t, w, &value);
    t.write(0, w, result)
}

/// XLAT: AL := the byte at (r)BX + AL, which the decoder shows as the memory operand.
#[inline(always)]
fn xlat<T: Target>(t: &mut T) -> Step<T> {
    let value = t.read(0, Byte)?;
    t.set_gpr(0, Byte, value);
    Ok(())
}

/// CBW, CWDE, CDQE: (r)AX := the sign extension of its lower half.
#[inline(always)]
fn extend_accumulator<T: Target>(t: &mut T, from: Width, to: Width) -> Step<T> {
    let value = t.gpr(0, from);
    let value = t.sign_extend(from, to, &value);
    t.set_gpr(0, to, value);
    Ok(())
}

/// CWD, CDQ, CQO: every bit of (r)DX := the sign of (r)AX.
#[inline(always)]
fn sign_to_rdx<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let value = t.gpr(0, w);
    let last = t.constant(Byte, u64::from(w.bits() - 1));
    let sign = t.bin(Bin::Sar, w, &value, &last);
    t.set_gpr(2, w, sign);
    Ok(())
}

/// NOP, multi-byte NOP, PAUSE and hints: nothing; a memory operand is not touched.
#[inline(always)]
fn nop<T: Target>(_: &mut T) -> Step<T> {
    Ok(())
}

rows! {
    binary Mov_rm8_r8 | Mov_r8_rm8 | Mov_AL_moffs8 | Mov_moffs8_AL | Mov_r8_imm8 | Mov_rm8_imm8 => mov(Byte);
    transfer Xchg_rm8_r8 => xchg(Byte);
    binary Mov_rm16_r16 | Mov_r16_rm16 | Mov_AX_moffs16 | Mov_moffs16_AX | Mov_r16_imm16 | Mov_rm16_imm16 => mov(Word);
    transfer Xchg_rm16_r16 | Xchg_r16_AX => xchg(Word);
    address Lea_r16_m => lea(Word);
    registers Bswap_r16 => bswap(Word);
    transfer Movbe_r16_m16 | Movbe_m16_r16 => movbe(Word);
    to_register Movzx_r16_rm8 => movzx(Word, Byte);
    to_register Movsx_r16_rm8 => movsx(Word, Byte);
    to_register Movzx_r16_rm16 => movzx(Word, Word);
    to_register Movsx_r16_rm16 => movsx(Word, Word);
    binary Mov_rm32_r32 | Mov_r32_rm32 | Mov_EAX_moffs32 | Mov_moffs32_EAX | Mov_r32_imm32 | Mov_rm32_imm32 => mov(Dword);
    transfer Xchg_rm32_r32 | Xchg_r32_EAX => xchg(Dword);
    address Lea_r32_m => lea(Dword);
    registers Bswap_r32 => bswap(Dword);
    transfer Movbe_r32_m32 | Movbe_m32_r32 => movbe(Dword);
    to_register Movzx_r32_rm8 => movzx(Dword, Byte);
    to_register Movsx_r32_rm8 => movsx(Dword, Byte);
    to_register Movzx_r32_rm16 => movzx(Dword, Word);
    to_register Movsx_r32_rm16 => movsx(Dword, Word);
    binary Mov_rm64_r64 | Mov_r64_rm64 | Mov_RAX_moffs64 | Mov_moffs64_RAX | Mov_r64_imm64 | Mov_rm64_imm32 => mov(Qword);
    transfer Xchg_rm64_r64 | Xchg_r64_RAX => xchg(Qword);
    address Lea_r64_m => lea(Qword);
    registers Bswap_r64 => bswap(Qword);
    transfer Movbe_r64_m64 | Movbe_m64_r64 => movbe(Qword);
    to_register Movzx_r64_rm8 => movzx(Qword, Byte);
    to_register Movsx_r64_rm8 => movsx(Qword, Byte);
    to_register Movzx_r64_rm16 => movzx(Qword, Word);
    to_register Movsx_r64_rm16 => movsx(Qword, Word);
    to_register Movsxd_r16_rm16 => movsxd_word();
    to_register Movsxd_r32_rm32 => mov(Dword);
    to_register Movsxd_r64_rm32 => movsx(Qword, Dword);
    slow Xlat_m8 => xlat();
    registers Cbw => extend_accumulator(Byte, Word);
    registers Cwde => extend_accumulator(Word, Dword);
    registers Cdqe => extend_accumulator(Dword, Qword);
    registers Cwd => sign_to_rdx(Word);
    registers Cdq => sign_to_rdx(Dword);
    registers Cqo => sign_to_rdx(Qword);
    implied Nopw | Nopd | Nopq | Nop_rm16 | Nop_rm32 | Nop_rm64 | Pause | Endbr32 | Endbr64 | Rdsspd_r32 | Rdsspq_r64 => nop();
    implied Reservednop_rm16_r16_0F18 | Reservednop_rm32_r32_0F18 | Reservednop_rm64_r64_0F18
        | Reservednop_rm16_r16_0F19 | Reservednop_rm32_r32_0F19 | Reservednop_rm64_r64_0F19
        | Reservednop_rm16_r16_0F1A | Reservednop_rm32_r32_0F1A | Reservednop_rm64_r64_0F1A
        | Reservednop_rm16_r16_0F1B | Reservednop_rm32_r32_0F1B | Reservednop_rm64_r64_0F1B
        | Reservednop_rm16_r16_0F1C | Reservednop_rm32_r32_0F1C | Reservednop_rm64_r64_0F1C
        | Reservednop_rm16_r16_0F1D | Reservednop_rm32_r32_0F1D | Reservednop_rm64_r64_0F1D
        | Reservednop_rm16_r16_0F1E | Reservednop_rm32_r32_0F1E | Reservednop_rm64_r64_0F1E
        | Reservednop_rm16_r16_0F1F | Reservednop_rm32_r32_0F1F | Reservednop_rm64_r64_0F1F => nop();
    unary Seto_rm8 => set(Cc::O);
    to_register Cmovo_r16_rm16 => cmov(Cc::O, Word);
    to_register Cmovo_r32_rm32 => cmov(Cc::O, Dword);
    to_register Cmovo_r64_rm64 => cmov(Cc::O, Qword);
    unary Setno_rm8 => set(Cc::No);
    to_register Cmovno_r16_rm16 => cmov(Cc::No, Word);
    to_register Cmovno_r32_rm32 => cmov(Cc::No, Dword);
    to_register Cmovno_r64_rm64 => cmov(Cc::No, Qword);
    unary Setb_rm8 => set(Cc::B);
    to_register Cmovb_r16_rm16 => cmov(Cc::B, Word);
    to_register Cmovb_r32_rm32 => cmov(Cc::B, Dword);
    to_register Cmovb_r64_rm64 => cmov(Cc::B, Qword);
    unary Setae_rm8 => set(Cc::Ae);
    to_register Cmovae_r16_rm16 => cmov(Cc::Ae, Word);
    to_register Cmovae_r32_rm32 => cmov(Cc::Ae, Dword);
    to_register Cmovae_r64_rm64 => cmov(Cc::Ae, Qword);
    unary Sete_rm8 => set(Cc::E);
    to_register Cmove_r16_rm16 => cmov(Cc::E, Word);
    to_register Cmove_r32_rm32 => cmov(Cc::E, Dword);
    to_register Cmove_r64_rm64 => cmov(Cc::E, Qword);
    unary Setne_rm8 => set(Cc::Ne);
    to_register Cmovne_r16_rm16 => cmov(Cc::Ne, Word);
    to_register Cmovne_r32_rm32 => cmov(Cc::Ne, Dword);
    to_register Cmovne_r64_rm64 => cmov(Cc::Ne, Qword);
    unary Setbe_rm8 => set(Cc::Be);
    to_register Cmovbe_r16_rm16 => cmov(Cc::Be, Word);
    to_register Cmovbe_r32_rm32 => cmov(Cc::Be, Dword);
    to_register Cmovbe_r64_rm64 => cmov(Cc::Be, Qword);
    unary Seta_rm8 => set(Cc::A);
    to_register Cmova_r16_rm16 => cmov(Cc::A, Word);
    to_register Cmova_r32_rm32 => cmov(Cc::A, Dword);
    to_register Cmova_r64_rm64 => cmov(Cc::A, Qword);
    unary Sets_rm8 => set(Cc::S);
    to_register Cmovs_r16_rm16 => cmov(Cc::S, Word);
    to_register Cmovs_r32_rm32 => cmov(Cc::S, Dword);
    to_register Cmovs_r64_rm64 => cmov(Cc::S, Qword);
    unary Setns_rm8 => set(Cc::Ns);
    to_register Cmovns_r16_rm16 => cmov(Cc::Ns, Word);
    to_register Cmovns_r32_rm32 => cmov(Cc::Ns, Dword);
    to_register Cmovns_r64_rm64 => cmov(Cc::Ns, Qword);
    unary Setp_rm8 => set(Cc::P);
    to_register Cmovp_r16_rm16 => cmov(Cc::P, Word);
    to_register Cmovp_r32_rm32 => cmov(Cc::P, Dword);
    to_register Cmovp_r64_rm64 => cmov(Cc::P, Qword);
    unary Setnp_rm8 => set(Cc::Np);
    to_register Cmovnp_r16_rm16 => cmov(Cc::Np, Word);
    to_register Cmovnp_r32_rm32 => cmov(Cc::Np, Dword);
    to_register Cmovnp_r64_rm64 => cmov(Cc::Np, Qword);
    unary Setl_rm8 => set(Cc::L);
    to_register Cmovl_r16_rm16 => cmov(Cc::L, Word);
    to_register Cmovl_r32_rm32 => cmov(Cc::L, Dword);
    to_register Cmovl_r64_rm64 => cmov(Cc::L, Qword);
    unary Setge_rm8 => set(Cc::Ge);
    to_register Cmovge_r16_rm16 => cmov(Cc::Ge, Word);
    to_register Cmovge_r32_rm32 => cmov(Cc::Ge, Dword);
    to_register Cmovge_r64_rm64 => cmov(Cc::Ge, Qword);
    unary Setle_rm8 => set(Cc::Le);
    to_register Cmovle_r16_rm16 => cmov(Cc::Le, Word);
    to_register Cmovle_r32_rm32 => cmov(Cc::Le, Dword);
    to_register Cmovle_r64_rm64 => cmov(Cc::Le, Qword);
    unary Setg_rm8 => set(Cc::G);
    to_register Cmovg_r16_rm16 => cmov(Cc::G, Word);
    to_register Cmovg_r32_rm32 => cmov(Cc::G, Dword);
    to_register Cmovg_r64_rm64 => cmov(Cc::G, Qword);
}
