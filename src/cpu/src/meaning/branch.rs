//! Near branches: Jcc JMP CALL RET LOOPcc JrCXZ.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic. Targets are cut to the operand size and
//! checked before anything changes.

use crate::flags::Cc;
use crate::state::{Seg, gpr};
use crate::table::rows;
use crate::target::{Bin, Cmp, Flow, Target};
use cutaway_isa::Width::{self, Dword, Qword, Word};

/// Jcc: jump if the condition holds.
#[inline(always)]
fn jcc<T: Target>(t: &mut T, cc: Cc, w: Width) -> Flow<T> {
    let condition = t.condition(cc);
    t.branch_if(&condition, w)
}

/// JMP to the encoded target.
#[inline(always)]
fn jmp<T: Target>(t: &mut T, w: Width) -> Flow<T> {
    t.branch(w)
}

/// JMP through a register or memory.
#[inline(always)]
fn jmp_indirect<T: Target>(t: &mut T, w: Width) -> Flow<T> {
    let target = t.read(0, w)?;
    t.check_target(w, &target)?;
    t.jump(w, &target)
}

/// CALL of the encoded target: the return address is pushed.
#[inline(always)]
fn call<T: Target>(t: &mut T, w: Width) -> Flow<T> {
    t.call(w)
}

/// CALL through a register or memory, which is read before the push.
#[inline(always)]
fn call_indirect<T: Target>(t: &mut T, w: Width) -> Flow<T> {
    let target = t.read(0, w)?;
    t.check_call(w, &target)?;
    let next = t.next_rip(w);
    super::stack::push_value(t, w, next)?;
    t.jump(w, &target)
}

/// RET: pops the target and releases `imm16` more bytes.
#[inline(always)]
fn ret<T: Target>(t: &mut T, w: Width, releases: bool) -> Flow<T> {
    let stack = t.stack_width();
    let top = t.gpr(gpr::RSP, stack);
    let target = t.load(Seg::Ss, w, &top)?;
    t.check_target(w, &target)?;
    let size = t.constant(stack, w.bytes());
    let mut top = t.bin(Bin::Add, stack, &top, &size);
    if releases {
        let more = t.read(0, Word)?;
        let more = t.resize(Word, stack, &more);
        top = t.bin(Bin::Add, stack, &top, &more);
    }
    t.set_gpr(gpr::RSP, stack, top);
    t.jump(w, &target)
}

/// LOOP, LOOPE, LOOPNE: the counter (of the address size) is decremented; jump if it is not 0 and
/// ZF is as asked. No flag changes.
#[inline(always)]
fn loop_while<T: Target>(t: &mut T, zf: Option<Cc>, counter: Width, w: Width) -> Flow<T> {
    let one = t.constant(counter, 1);
    let zero = t.constant(counter, 0);
    let count = t.gpr(gpr::RCX, counter);
    let count = t.bin(Bin::Sub, counter, &count, &one);
    let more = t.compare(Cmp::Ne, counter, &count, &zero);
    let mut truth = t.truth(counter, &more);
    if let Some(cc) = zf {
        let condition = t.condition(cc);
        let also = t.truth(counter, &condition);
        truth = t.bin(Bin::And, counter, &truth, &also);
    }
    let jumps = t.compare(Cmp::Ne, counter, &truth, &zero);
    t.loop_branch(&jumps, counter, count, w)
}

/// JCXZ, JECXZ, JRCXZ: jump if the counter is 0.
#[inline(always)]
fn jcxz<T: Target>(t: &mut T, counter: Width, w: Width) -> Flow<T> {
    let zero = t.constant(counter, 0);
    let count = t.gpr(gpr::RCX, counter);
    let jumps = t.compare(Cmp::Eq, counter, &count, &zero);
    t.branch_if(&jumps, w)
}

rows! {
    branch relative Jo_rel8_16 | Jo_rel16 => jcc(Cc::O, Word);
    branch relative Jno_rel8_16 | Jno_rel16 => jcc(Cc::No, Word);
    branch relative Jb_rel8_16 | Jb_rel16 => jcc(Cc::B, Word);
    branch relative Jae_rel8_16 | Jae_rel16 => jcc(Cc::Ae, Word);
    branch relative Je_rel8_16 | Je_rel16 => jcc(Cc::E, Word);
    branch relative Jne_rel8_16 | Jne_rel16 => jcc(Cc::Ne, Word);
    branch relative Jbe_rel8_16 | Jbe_rel16 => jcc(Cc::Be, Word);
    branch relative Ja_rel8_16 | Ja_rel16 => jcc(Cc::A, Word);
    branch relative Js_rel8_16 | Js_rel16 => jcc(Cc::S, Word);
    branch relative Jns_rel8_16 | Jns_rel16 => jcc(Cc::Ns, Word);
    branch relative Jp_rel8_16 | Jp_rel16 => jcc(Cc::P, Word);
    branch relative Jnp_rel8_16 | Jnp_rel16 => jcc(Cc::Np, Word);
    branch relative Jl_rel8_16 | Jl_rel16 => jcc(Cc::L, Word);
    branch relative Jge_rel8_16 | Jge_rel16 => jcc(Cc::Ge, Word);
    branch relative Jle_rel8_16 | Jle_rel16 => jcc(Cc::Le, Word);
    branch relative Jg_rel8_16 | Jg_rel16 => jcc(Cc::G, Word);
    branch relative Jmp_rel8_16 | Jmp_rel16 => jmp(Word);
    branch relative Call_rel16 => call(Word);
    branch indirect Jmp_rm16 => jmp_indirect(Word);
    branch indirect Call_rm16 => call_indirect(Word);
    branch relative Retnw => ret(Word, false);
    branch relative Retnw_imm16 => ret(Word, true);
    branch relative Loop_rel8_16_CX => loop_while(None, Word, Word);
    branch relative Loop_rel8_16_ECX => loop_while(None, Dword, Word);
    branch relative Loope_rel8_16_CX => loop_while(Some(Cc::E), Word, Word);
    branch relative Loope_rel8_16_ECX => loop_while(Some(Cc::E), Dword, Word);
    branch relative Loopne_rel8_16_CX => loop_while(Some(Cc::Ne), Word, Word);
    branch relative Loopne_rel8_16_ECX => loop_while(Some(Cc::Ne), Dword, Word);
    branch relative Jcxz_rel8_16 => jcxz(Word, Word);
    branch relative Jecxz_rel8_16 => jcxz(Dword, Word);
    branch relative Loop_rel8_16_RCX => loop_while(None, Qword, Word);
    branch relative Loope_rel8_16_RCX => loop_while(Some(Cc::E), Qword, Word);
    branch relative Loopne_rel8_16_RCX => loop_while(Some(Cc::Ne), Qword, Word);
    branch relative Jrcxz_rel8_16 => jcxz(Qword, Word);
    branch relative Jo_rel8_32 | Jo_rel32_32 => jcc(Cc::O, Dword);
    branch relative Jno_rel8_32 | Jno_rel32_32 => jcc(Cc::No, Dword);
    branch relative Jb_rel8_32 | Jb_rel32_32 => jcc(Cc::B, Dword);
    branch relative Jae_rel8_32 | Jae_rel32_32 => jcc(Cc::Ae, Dword);
    branch relative Je_rel8_32 | Je_rel32_32 => jcc(Cc::E, Dword);
    branch relative Jne_rel8_32 | Jne_rel32_32 => jcc(Cc::Ne, Dword);
    branch relative Jbe_rel8_32 | Jbe_rel32_32 => jcc(Cc::Be, Dword);
    branch relative Ja_rel8_32 | Ja_rel32_32 => jcc(Cc::A, Dword);
    branch relative Js_rel8_32 | Js_rel32_32 => jcc(Cc::S, Dword);
    branch relative Jns_rel8_32 | Jns_rel32_32 => jcc(Cc::Ns, Dword);
    branch relative Jp_rel8_32 | Jp_rel32_32 => jcc(Cc::P, Dword);
    branch relative Jnp_rel8_32 | Jnp_rel32_32 => jcc(Cc::Np, Dword);
    branch relative Jl_rel8_32 | Jl_rel32_32 => jcc(Cc::L, Dword);
    branch relative Jge_rel8_32 | Jge_rel32_32 => jcc(Cc::Ge, Dword);
    branch relative Jle_rel8_32 | Jle_rel32_32 => jcc(Cc::Le, Dword);
    branch relative Jg_rel8_32 | Jg_rel32_32 => jcc(Cc::G, Dword);
    branch relative Jmp_rel8_32 | Jmp_rel32_32 => jmp(Dword);
    branch relative Call_rel32_32 => call(Dword);
    branch indirect Jmp_rm32 => jmp_indirect(Dword);
    branch indirect Call_rm32 => call_indirect(Dword);
    branch relative Retnd => ret(Dword, false);
    branch relative Retnd_imm16 => ret(Dword, true);
    branch relative Loop_rel8_32_CX => loop_while(None, Word, Dword);
    branch relative Loop_rel8_32_ECX => loop_while(None, Dword, Dword);
    branch relative Loope_rel8_32_CX => loop_while(Some(Cc::E), Word, Dword);
    branch relative Loope_rel8_32_ECX => loop_while(Some(Cc::E), Dword, Dword);
    branch relative Loopne_rel8_32_CX => loop_while(Some(Cc::Ne), Word, Dword);
    branch relative Loopne_rel8_32_ECX => loop_while(Some(Cc::Ne), Dword, Dword);
    branch relative Jcxz_rel8_32 => jcxz(Word, Dword);
    branch relative Jecxz_rel8_32 => jcxz(Dword, Dword);
    branch relative Jo_rel8_64 | Jo_rel32_64 => jcc(Cc::O, Qword);
    branch relative Jno_rel8_64 | Jno_rel32_64 => jcc(Cc::No, Qword);
    branch relative Jb_rel8_64 | Jb_rel32_64 => jcc(Cc::B, Qword);
    branch relative Jae_rel8_64 | Jae_rel32_64 => jcc(Cc::Ae, Qword);
    branch relative Je_rel8_64 | Je_rel32_64 => jcc(Cc::E, Qword);
    branch relative Jne_rel8_64 | Jne_rel32_64 => jcc(Cc::Ne, Qword);
    branch relative Jbe_rel8_64 | Jbe_rel32_64 => jcc(Cc::Be, Qword);
    branch relative Ja_rel8_64 | Ja_rel32_64 => jcc(Cc::A, Qword);
    branch relative Js_rel8_64 | Js_rel32_64 => jcc(Cc::S, Qword);
    branch relative Jns_rel8_64 | Jns_rel32_64 => jcc(Cc::Ns, Qword);
    branch relative Jp_rel8_64 | Jp_rel32_64 => jcc(Cc::P, Qword);
    branch relative Jnp_rel8_64 | Jnp_rel32_64 => jcc(Cc::Np, Qword);
    branch relative Jl_rel8_64 | Jl_rel32_64 => jcc(Cc::L, Qword);
    branch relative Jge_rel8_64 | Jge_rel32_64 => jcc(Cc::Ge, Qword);
    branch relative Jle_rel8_64 | Jle_rel32_64 => jcc(Cc::Le, Qword);
    branch relative Jg_rel8_64 | Jg_rel32_64 => jcc(Cc::G, Qword);
    branch relative Jmp_rel8_64 | Jmp_rel32_64 => jmp(Qword);
    branch relative Call_rel32_64 => call(Qword);
    branch indirect Jmp_rm64 => jmp_indirect(Qword);
    branch indirect Call_rm64 => call_indirect(Qword);
    branch relative Retnq => ret(Qword, false);
    branch relative Retnq_imm16 => ret(Qword, true);
    branch relative Loop_rel8_64_ECX => loop_while(None, Dword, Qword);
    branch relative Loop_rel8_64_RCX => loop_while(None, Qword, Qword);
    branch relative Loope_rel8_64_ECX => loop_while(Some(Cc::E), Dword, Qword);
    branch relative Loope_rel8_64_RCX => loop_while(Some(Cc::E), Qword, Qword);
    branch relative Loopne_rel8_64_ECX => loop_while(Some(Cc::Ne), Dword, Qword);
    branch relative Loopne_rel8_64_RCX => loop_while(Some(Cc::Ne), Qword, Qword);
    branch relative Jecxz_rel8_64 => jcxz(Dword, Qword);
    branch relative Jrcxz_rel8_64 => jcxz(Qword, Qword);
}
