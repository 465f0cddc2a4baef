//! The stack: PUSH POP PUSHA POPA LEAVE ENTER, PUSHF POPF.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic. The store comes before RSP changes, so a
//! fault leaves RSP as it was.

use crate::exception::{Exception, Fault};
use crate::exec::Exec;
use crate::state::{Seg, gpr};
use crate::table::rows;
use crate::target::{Bin, Step, Target};
use cutaway_isa::Width::{self, Dword, Qword, Word};
use cutaway_isa::{Cr4, Rflags};

/// Stores below RSP and moves RSP down.
#[inline(always)]
pub(super) fn push_value<T: Target>(t: &mut T, w: Width, value: T::Value) -> Step<T> {
    let stack = t.stack_width();
    let size = t.constant(stack, w.bytes());
    let top = t.gpr(gpr::RSP, stack);
    let top = t.bin(Bin::Sub, stack, &top, &size);
    t.store(Seg::Ss, w, &top, value)?;
    t.set_gpr(gpr::RSP, stack, top);
    Ok(())
}

/// PUSH: the value is read first; PUSH RSP stores the old RSP.
#[inline(always)]
fn push<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let value = t.read(0, w)?;
    push_value(t, w, value)
}

/// POP into a register: RSP is moved before the write, so POP RSP leaves the popped value.
#[inline(always)]
fn pop<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let stack = t.stack_width();
    let size = t.constant(stack, w.bytes());
    let top = t.gpr(gpr::RSP, stack);
    let value = t.load(Seg::Ss, w, &top)?;
    let top = t.bin(Bin::Add, stack, &top, &size);
    t.set_gpr(gpr::RSP, stack, top);
    t.write(0, w, value)
}

/// POP into memory: an address that uses RSP is reckoned with the moved RSP.
fn pop_memory(e: &mut Exec<'_>, w: Width) -> Result<(), Fault> {
    if !e.operand_in_memory(0) {
        return pop(e, w);
    }
    let old = e.cpu.r[gpr::RSP];
    let value = e.cpu.peek(e.bus, w, 0)?;
    e.cpu.release(w.bytes());
    let done = e.write(0, w, value);
    if done.is_err() {
        e.cpu.r[gpr::RSP] = old;
    }
    done
}

/// LEAVE: RSP := RBP, then RBP is popped.
#[inline(always)]
fn leave<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let stack = t.stack_width();
    let size = t.constant(stack, w.bytes());
    let frame = t.gpr(gpr::RBP, stack);
    let value = t.load(Seg::Ss, w, &frame)?;
    let top = t.bin(Bin::Add, stack, &frame, &size);
    t.set_gpr(gpr::RSP, stack, top);
    t.set_gpr(gpr::RBP, w, value);
    Ok(())
}

/// ENTER: makes a stack frame, copying up to 31 outer frame pointers.
fn enter(e: &mut Exec<'_>, w: Width) -> Result<(), Fault> {
    let size = u64::from(e.instruction.immediate16());
    let level = u64::from(e.instruction.immediate8_2nd() & 31);
    let stack = e.cpu.stack_width();
    let (old_rsp, old_rbp) = (e.cpu.r[gpr::RSP], e.cpu.r[gpr::RBP]);
    let push = |e: &mut Exec<'_>, value: u64| e.cpu.push(e.bus, w, value);
    let mut attempt = || -> Result<(), Fault> {
        push(e, old_rbp & w.mask())?;
        let frame = e.cpu.r[gpr::RSP] & w.mask();
        for n in 1..level {
            let at = old_rbp.wrapping_sub(n * w.bytes()) & stack.mask();
            let outer = e.cpu.read_segment(e.bus, Seg::Ss, at, w)?;
            push(e, outer)?;
        }
        if level > 0 {
            push(e, frame)?;
        }
        let top = e.cpu.r[gpr::RSP].wrapping_sub(size) & stack.mask();
        // The new top must be writable, or the fault comes now with nothing changed.
        e.cpu.probe_write(e.bus, Seg::Ss, top, w.bytes())?;
        e.cpu.put_gpr(gpr::RSP, 0, stack, top);
        e.cpu.put_gpr(gpr::RBP, 0, w, frame);
        Ok(())
    };
    let done = attempt();
    if done.is_err() {
        e.cpu.r[gpr::RSP] = old_rsp;
    }
    done
}

/// PUSHA: the eight registers, RSP as it was before.
fn pusha(e: &mut Exec<'_>, w: Width) -> Result<(), Fault> {
    let old = e.cpu.r[gpr::RSP];
    for register in 0..8 {
        let value = if register == gpr::RSP { old } else { e.cpu.r[register] };
        if let Err(fault) = e.cpu.push(e.bus, w, value & w.mask()) {
            // What was pushed stays in memory (measured on Zen 3).
            e.cpu.r[gpr::RSP] = old;
            return Err(fault);
        }
    }
    Ok(())
}

/// POPA: the eight registers but RSP, whose value is skipped. A fault leaves those popped before
/// it with their new values (measured on Zen 3); RSP stays, so the instruction can run again.
fn popa(e: &mut Exec<'_>, w: Width) -> Result<(), Fault> {
    for (n, register) in (0..8).rev().enumerate() {
        let value = e.cpu.peek(e.bus, w, n as u64 * w.bytes())?;
        if register != gpr::RSP {
            e.cpu.put_gpr(register, 0, w, value);
        }
    }
    e.cpu.release(8 * w.bytes());
    Ok(())
}

/// PUSHF: VM and RF are stored as 0. In virtual-8086 mode with IOPL below 3: #GP(0), or with
/// CR4.VME VIF in the place of IF.
fn pushf(e: &mut Exec<'_>, w: Width) -> Result<(), Fault> {
    let flags = e.cpu.lazy.rflags();
    let mut image = flags.difference(Rflags::VM | Rflags::RF);
    if e.cpu.is_virtual_8086() && flags.iopl() < 3 {
        if e.cpu.system.cr4 & Cr4::VME.bits() == 0 || w != Word {
            return Err(Exception::GP0.into());
        }
        image = image.with(Rflags::IF, flags.contains(Rflags::VIF)) | Rflags::IOPL;
    }
    e.cpu.push(e.bus, w, image.bits() & w.mask())
}

/// POPF: which flags change depends on CPL, IOPL and operand size (SDM vol. 2, "POPF", table 4-16).
fn popf(e: &mut Exec<'_>, w: Width) -> Result<(), Fault> {
    let value = e.cpu.peek(e.bus, w, 0)?;
    let old = e.cpu.lazy.rflags();
    let mut changes = Rflags::STATUS | Rflags::TF | Rflags::DF | Rflags::NT;
    if w != Word {
        changes |= Rflags::AC | Rflags::ID;
    }
    let mut new = Rflags::from_bits_truncate(value);
    if e.cpu.is_virtual_8086() && old.iopl() < 3 {
        let vme = e.cpu.system.cr4 & Cr4::VME.bits() != 0;
        let pending = new.contains(Rflags::IF) && old.contains(Rflags::VIP);
        if !vme || w != Word || pending || new.contains(Rflags::TF) {
            return Err(Exception::GP0.into());
        }
        new = new.with(Rflags::VIF, new.contains(Rflags::IF));
        changes |= Rflags::VIF;
    } else {
        if e.cpu.cpl() == 0 {
            changes |= Rflags::IOPL;
        }
        if e.cpu.cpl() <= old.iopl() {
            changes |= Rflags::IF;
        }
    }
    e.cpu.release(w.bytes());
    let kept = old.difference(changes | Rflags::RF);
    e.cpu.set_rflags(kept | new.intersection(changes));
    Ok(())
}

rows! {
    stack Push_r16 | Push_rm16 | Push_imm16 | Pushw_imm8 => push(Word);
    stack Push_r32 | Push_rm32 | Pushd_imm32 | Pushd_imm8 => push(Dword);
    stack Push_r64 | Push_rm64 | Pushq_imm32 | Pushq_imm8 => push(Qword);
    stack Pop_r16 => pop(Word);
    stack Pop_r32 => pop(Dword);
    stack Pop_r64 => pop(Qword);
    exec Pop_rm16 => |e| pop_memory(e, Word);
    exec Pop_rm32 => |e| pop_memory(e, Dword);
    exec Pop_rm64 => |e| pop_memory(e, Qword);
    implied Leavew => leave(Word);
    implied Leaved => leave(Dword);
    implied Leaveq => leave(Qword);
    exec Enterw_imm16_imm8 => |e| enter(e, Word);
    exec Enterd_imm16_imm8 => |e| enter(e, Dword);
    exec Enterq_imm16_imm8 => |e| enter(e, Qword);
    exec Pushaw => |e| pusha(e, Word);
    exec Pushad => |e| pusha(e, Dword);
    exec Popaw => |e| popa(e, Word);
    exec Popad => |e| popa(e, Dword);
    exec Pushfw => |e| pushf(e, Word);
    exec Pushfd => |e| pushf(e, Dword);
    exec Pushfq => |e| pushf(e, Qword);
    exec Popfw => |e| popf(e, Word);
    exec Popfd => |e| popf(e, Dword);
    exec Popfq => |e| popf(e, Qword);
}
