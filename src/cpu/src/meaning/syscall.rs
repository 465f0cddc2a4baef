//! Fast system calls: SYSCALL SYSRET SYSENTER SYSEXIT, SWAPGS.
//!
//! Source: AMD APM vol. 3, "SYSCALL", "SYSRET", "SYSENTER", "SYSEXIT"; Intel SDM vol. 2, the same
//! and "SWAPGS". The models with long mode are AMD's, which know SYSENTER and SYSEXIT in legacy mode
//! only.

use super::control::RETURN_CLEARS;
use crate::exception::{Exception, Fault};
use crate::exec::Exec;
use crate::segment::Segment;
use crate::state::{Seg, gpr};
use crate::table::Row;
use cutaway_isa::{Code, Efer, Rflags};

/// A flat code segment of 4 GiB as these instructions load it.
fn code(selector: u16, dpl: u16, long: bool) -> Segment {
    let size = if long { 0xa000 } else { 0xc000 };
    Segment { selector, attributes: size | 0x9b | dpl << 5, limit: u32::MAX, base: 0 }
}

/// A flat data segment of 4 GiB.
fn data(selector: u16, dpl: u16) -> Segment {
    Segment { selector, attributes: 0xc093 | dpl << 5, limit: u32::MAX, base: 0 }
}

fn load(e: &mut Exec<'_>, cs: Segment, ss: Segment) {
    e.cpu.system.segments[Seg::Cs as usize] = cs;
    e.cpu.system.segments[Seg::Ss as usize] = ss;
    e.cpu.settle();
}

/// SYSCALL.
fn syscall(e: &mut Exec<'_>) -> Result<(), Fault> {
    if e.cpu.system.efer & Efer::SCE.bits() == 0 || !e.cpu.is_protected() {
        return Err(Exception::UD.into());
    }
    let msrs = &e.cpu.system.msrs;
    let flags = e.cpu.lazy.rflags();
    let selector = (msrs.star >> 32) as u16 & 0xfffc;
    let long = e.cpu.is_long_mode();
    if long {
        let target = if e.cpu.is_64_bit() { msrs.lstar } else { msrs.cstar };
        let mask = Rflags::from_bits_truncate(msrs.sfmask);
        e.cpu.r[gpr::RCX] = e.next;
        e.cpu.r[11] = flags.difference(Rflags::RF).bits();
        e.cpu.set_rflags(flags.difference(mask | Rflags::RF));
        e.next = target;
    } else {
        let target = msrs.star & 0xffff_ffff;
        e.cpu.r[gpr::RCX] = e.next & 0xffff_ffff;
        e.cpu.set_rflags(flags.difference(Rflags::IF | Rflags::RF | Rflags::VM));
        e.next = target;
    }
    load(e, code(selector, 0, long), data(selector.wrapping_add(8), 0));
    Ok(())
}

/// SYSRET.
fn sysret(e: &mut Exec<'_>, to_64: bool) -> Result<(), Fault> {
    if e.cpu.system.efer & Efer::SCE.bits() == 0 || !e.cpu.is_protected() {
        return Err(Exception::UD.into());
    }
    e.require_cpl0()?;
    let long = e.cpu.is_long_mode();
    let selector = (e.cpu.system.msrs.star >> 48) as u16 | 3;
    let rcx = e.cpu.r[gpr::RCX];
    let cs =
        if to_64 { code(selector.wrapping_add(16) | 3, 3, true) } else { code(selector, 3, false) };
    if long {
        let flags = Rflags::from_bits_truncate(e.cpu.r[11]).difference(RETURN_CLEARS) | Rflags::ONE;
        e.cpu.set_rflags(flags);
    } else {
        e.cpu.set_rflags(e.cpu.lazy.rflags() | Rflags::IF);
    }
    e.next = if to_64 { rcx } else { rcx & 0xffff_ffff };
    load(e, cs, data(selector.wrapping_add(8) | 3, 3));
    Ok(())
}

/// SYSENTER.
fn sysenter(e: &mut Exec<'_>) -> Result<(), Fault> {
    require_legacy_mode(e)?;
    let msrs = &e.cpu.system.msrs;
    let selector = msrs.sysenter_cs as u16 & 0xfffc;
    if !e.cpu.is_protected() || selector == 0 {
        return Err(Exception::GP0.into());
    }
    let (rip, rsp) = (msrs.sysenter_eip & 0xffff_ffff, msrs.sysenter_esp & 0xffff_ffff);
    let flags = e.cpu.lazy.rflags();
    e.cpu.set_rflags(flags.difference(Rflags::VM | Rflags::IF | Rflags::RF));
    e.cpu.r[gpr::RSP] = rsp;
    e.next = rip;
    load(e, code(selector, 0, false), data(selector.wrapping_add(8), 0));
    Ok(())
}

/// SYSEXIT.
fn sysexit(e: &mut Exec<'_>) -> Result<(), Fault> {
    e.require_cpl0()?;
    require_legacy_mode(e)?;
    let selector = e.cpu.system.msrs.sysenter_cs as u16 & 0xfffc;
    if !e.cpu.is_protected() || selector == 0 {
        return Err(Exception::GP0.into());
    }
    let base = selector.wrapping_add(16);
    e.next = e.cpu.r[gpr::RDX] & 0xffff_ffff;
    e.cpu.r[gpr::RSP] = e.cpu.r[gpr::RCX] & 0xffff_ffff;
    load(e, code(base | 3, 3, false), data(base.wrapping_add(8) | 3, 3));
    Ok(())
}

/// #UD in long mode.
fn require_legacy_mode(e: &Exec<'_>) -> Result<(), Fault> {
    if e.cpu.is_long_mode() { Err(Exception::UD.into()) } else { Ok(()) }
}

/// SWAPGS.
fn swapgs(e: &mut Exec<'_>) -> Result<(), Fault> {
    e.require_cpl0()?;
    let gs = &mut e.cpu.system.segments[Seg::Gs as usize];
    std::mem::swap(&mut gs.base, &mut e.cpu.system.msrs.kernel_gs_base);
    e.cpu.settle();
    Ok(())
}

/// The row of a fast system call.
pub(crate) fn row(code: Code) -> Option<Row> {
    let ending = |exec| Some(Row { ends_block: true, ..Row::plain(exec) });
    match code {
        Code::Syscall => ending(syscall),
        Code::Sysretd => ending(|e| sysret(e, false)),
        Code::Sysretq => ending(|e| sysret(e, true)),
        Code::Sysenter => ending(sysenter),
        Code::Sysexitd | Code::Sysexitq => ending(sysexit),
        Code::Swapgs => Some(Row::plain(swapgs)),
        _ => None,
    }
}
