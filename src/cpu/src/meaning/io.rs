//! Port I/O: IN and OUT, and the permission check that INS and OUTS share.
//!
//! Source: Intel SDM vol. 1 §19.5, "Protected-Mode I/O".

use crate::exception::{Exception, Fault};
use crate::exec::Exec;
use crate::state::{Seg, gpr};
use crate::table::rows;
use crate::vcpu::TraceClasses;
use crate::{Event, segment};
use cutaway_isa::Width::{self, Byte, Dword, Word};

/// #GP(0) unless the ports may be reached; in a guest, #VMEXIT where they are intercepted.
pub(super) fn check_port(e: &mut Exec<'_>, port: u16, w: Width) -> Result<(), Fault> {
    check_permission(e, port, w)?;
    match crate::svm::port_info(e, port, w) {
        Some(reason) => Err(e.cpu.vmexit(reason)),
        None => Ok(()),
    }
}

/// #GP(0) unless IOPL or the I/O permission bitmap of the TSS allows the ports.
fn check_permission(e: &mut Exec<'_>, port: u16, w: Width) -> Result<(), Fault> {
    let flags = e.cpu.lazy.known;
    let by_iopl = !e.cpu.is_virtual_8086() && e.cpu.cpl() <= flags.iopl();
    if !e.cpu.is_protected() || by_iopl {
        return Ok(());
    }
    let tss = *e.cpu.segment(Seg::Tr);
    let kind = (tss.attributes & 0xf) as u8;
    let is_386 = matches!(kind, segment::system_type::TSS | segment::system_type::TSS_BUSY);
    if !is_386 || tss.limit < 103 {
        return Err(Exception::GP0.into());
    }
    let map = e.cpu.read_system(e.bus, tss.base.wrapping_add(102), Word)?;
    let at = map + u64::from(port / 8);
    // Two bytes are read, so that ports across a byte border are seen together.
    if at + 1 > u64::from(tss.limit) {
        return Err(Exception::GP0.into());
    }
    let bits = e.cpu.read_system(e.bus, tss.base.wrapping_add(at), Word)?;
    let mask = ((1 << w.bytes()) - 1) << (port % 8);
    if bits & mask != 0 { Err(Exception::GP0.into()) } else { Ok(()) }
}

/// Reads a port, all checks done.
pub(super) fn input(e: &mut Exec<'_>, port: u16, w: Width) -> u64 {
    let value = e.bus.port_read(port, w, e.cpu.ticks);
    if e.cpu.traces(TraceClasses::IO) {
        e.bus.trace(&Event::Port { at: e.cpu.ticks, write: false, port, width: w, value });
    }
    e.cpu.note_port(port, w.bytes());
    e.cpu.after_port(e.bus);
    u64::from(value) & w.mask()
}

/// Writes a port, all checks done.
pub(super) fn output(e: &mut Exec<'_>, port: u16, w: Width, value: u64) {
    let value = (value & w.mask()) as u32;
    if e.cpu.traces(TraceClasses::IO) {
        e.bus.trace(&Event::Port { at: e.cpu.ticks, write: true, port, width: w, value });
    }
    e.bus.port_write(port, w, value, e.cpu.ticks);
    e.cpu.note_port(port, w.bytes());
    e.cpu.after_port(e.bus);
}

fn port_of(e: &Exec<'_>, immediate: bool) -> u16 {
    if immediate { u16::from(e.instruction.immediate8()) } else { e.cpu.r[gpr::RDX] as u16 }
}

/// IN: (r)AX := port.
fn r#in(e: &mut Exec<'_>, immediate: bool, w: Width) -> Result<(), Fault> {
    let port = port_of(e, immediate);
    check_port(e, port, w)?;
    let value = input(e, port, w);
    e.cpu.put_gpr(gpr::RAX, 0, w, value);
    Ok(())
}

/// OUT: port := (r)AX.
fn out(e: &mut Exec<'_>, immediate: bool, w: Width) -> Result<(), Fault> {
    let port = port_of(e, immediate);
    check_port(e, port, w)?;
    output(e, port, w, e.cpu.r[gpr::RAX]);
    Ok(())
}

rows! {
    exec In_AL_imm8 => |e| r#in(e, true, Byte);
    exec In_AX_imm8 => |e| r#in(e, true, Word);
    exec In_EAX_imm8 => |e| r#in(e, true, Dword);
    exec In_AL_DX => |e| r#in(e, false, Byte);
    exec In_AX_DX => |e| r#in(e, false, Word);
    exec In_EAX_DX => |e| r#in(e, false, Dword);
    exec Out_imm8_AL => |e| out(e, true, Byte);
    exec Out_imm8_AX => |e| out(e, true, Word);
    exec Out_imm8_EAX => |e| out(e, true, Dword);
    exec Out_DX_AL => |e| out(e, false, Byte);
    exec Out_DX_AX => |e| out(e, false, Word);
    exec Out_DX_EAX => |e| out(e, false, Dword);
}
