//! String instructions: MOVS STOS LODS CMPS SCAS INS OUTS, alone and repeated.
//!
//! Source: Intel SDM vol. 1 §7.3.9, "String Operations"; vol. 2, "REP/REPE/REPZ/REPNE/REPNZ".
//! Each iteration of a repeated one counts as an instruction, can be interrupted and can fault; RIP
//! stays at it until the last. Runs of MOVS and STOS inside pages move at memory speed, but are
//! charged, and cut, as if done one by one.

use crate::exception::Fault;
use crate::exec::Exec;
use crate::flags::Flags;
use crate::paging::Access;
use crate::state::{Seg, gpr};
use crate::target::{Bin, Step, Target};
use crate::vcpu::Mode;
use cutaway_isa::Rflags;
use cutaway_isa::Width::{self, Byte, Dword, Qword, Word};

/// Moves rSI or rDI on by one element.
#[inline(always)]
fn advance<T: Target>(t: &mut T, register: usize, w: Width) {
    let address = t.address_width();
    let step = t.string_step(w, address);
    let old = t.gpr(register, address);
    let new = t.bin(Bin::Add, address, &old, &step);
    t.set_gpr(register, address, new);
}

/// MOVS: ES:rDI := DS:rSI.
#[inline(always)]
fn movs<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let address = t.address_width();
    let seg = t.segment();
    let (from, to) = (t.gpr(gpr::RSI, address), t.gpr(gpr::RDI, address));
    let value = t.load(seg, w, &from)?;
    t.store(Seg::Es, w, &to, value)?;
    advance(t, gpr::RSI, w);
    advance(t, gpr::RDI, w);
    Ok(())
}

/// STOS: ES:rDI := (r)AX.
#[inline(always)]
fn stos<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let address = t.address_width();
    let to = t.gpr(gpr::RDI, address);
    let value = t.gpr(gpr::RAX, w);
    t.store(Seg::Es, w, &to, value)?;
    advance(t, gpr::RDI, w);
    Ok(())
}

/// LODS: (r)AX := DS:rSI.
#[inline(always)]
fn lods<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let address = t.address_width();
    let seg = t.segment();
    let from = t.gpr(gpr::RSI, address);
    let value = t.load(seg, w, &from)?;
    t.set_gpr(gpr::RAX, w, value);
    advance(t, gpr::RSI, w);
    Ok(())
}

/// CMPS: flags of DS:rSI - ES:rDI.
#[inline(always)]
fn cmps<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let address = t.address_width();
    let seg = t.segment();
    let (first, second) = (t.gpr(gpr::RSI, address), t.gpr(gpr::RDI, address));
    // In this order on the reference silicon: a fault of the destination comes first.
    let b = t.load(Seg::Es, w, &second)?;
    let a = t.load(seg, w, &first)?;
    let difference = t.bin(Bin::Sub, w, &a, &b);
    advance(t, gpr::RSI, w);
    advance(t, gpr::RDI, w);
    t.set_flags(Flags::Sub { w, a, b, difference });
    Ok(())
}

/// SCAS: flags of (r)AX - ES:rDI.
#[inline(always)]
fn scas<T: Target>(t: &mut T, w: Width) -> Step<T> {
    let address = t.address_width();
    let at = t.gpr(gpr::RDI, address);
    let a = t.gpr(gpr::RAX, w);
    let b = t.load(Seg::Es, w, &at)?;
    let difference = t.bin(Bin::Sub, w, &a, &b);
    advance(t, gpr::RDI, w);
    t.set_flags(Flags::Sub { w, a, b, difference });
    Ok(())
}

/// INS: ES:rDI := port DX. The destination is checked before the port is read.
fn ins(e: &mut Exec<'_>, w: Width) -> Result<(), Fault> {
    let port = e.cpu.r[gpr::RDX] as u16;
    let at = e.gpr(gpr::RDI, e.address_width());
    super::io::check_port(e, port, w)?;
    e.cpu.probe_write(e.bus, Seg::Es, at, w.bytes())?;
    let value = super::io::input(e, port, w);
    e.cpu.write_segment(e.bus, Seg::Es, at, w, value)?;
    advance(e, gpr::RDI, w);
    Ok(())
}

/// OUTS: port DX := DS:rSI.
fn outs(e: &mut Exec<'_>, w: Width) -> Result<(), Fault> {
    let port = e.cpu.r[gpr::RDX] as u16;
    let (seg, at) = (e.segment(), e.gpr(gpr::RSI, e.address_width()));
    super::io::check_port(e, port, w)?;
    let value = e.cpu.read_segment(e.bus, seg, at, w)?;
    super::io::output(e, port, w, value);
    advance(e, gpr::RSI, w);
    Ok(())
}

/// One iteration.
type One = fn(&mut Exec<'_>, Width) -> Result<(), Fault>;

/// How a repetition may be shortened.
#[derive(Clone, Copy, PartialEq)]
enum Bulk {
    None,
    /// Not at all: the port sees each access.
    Port,
    Move,
    Store,
}

/// Runs an instruction once, or under REP as far as the budget reaches.
fn string(e: &mut Exec<'_>, one: One, w: Width, compares: bool, bulk: Bulk) -> Result<(), Fault> {
    let i = e.instruction;
    let (repe, repne) = (i.has_rep_prefix(), i.has_repne_prefix());
    if !(repe || repne) {
        return one(e, w);
    }
    let address = e.address_width();
    let mut count = e.gpr(gpr::RCX, address);
    if count == 0 {
        if bulk == Bulk::Port {
            // Checked before the counter (measured on Zen 3).
            super::io::check_port(e, e.cpu.r[gpr::RDX] as u16, w)?;
        }
        return Ok(());
    }
    let single = e.cpu.lazy.known.contains(Rflags::TF);
    loop {
        let room = e.cpu.limit.saturating_sub(e.cpu.ticks).max(1);
        let done = match bulk {
            Bulk::None | Bulk::Port => 0,
            _ if single => 0,
            Bulk::Move => move_run(e, w, count.min(room)),
            Bulk::Store => store_run(e, w, count.min(room)),
        };
        let done = if done == 0 {
            one(e, w)?;
            1
        } else {
            done
        };
        count -= done;
        e.set_gpr(gpr::RCX, address, count);
        let stops = compares && e.cpu.lazy.zf() != repe;
        if count == 0 || stops {
            e.cpu.ticks += done - 1;
            return Ok(());
        }
        if done >= room || single || e.cpu.attention || e.cpu.limit <= e.cpu.ticks + done {
            // Not finished: the instruction runs again.
            e.cpu.ticks += done - 1;
            e.next = e.cpu.rip;
            return Ok(());
        }
        e.cpu.ticks += done;
    }
}

/// How many elements at `offset` lie in one page and segment and can be reached at once, and the
/// backing offset of the first.
fn run_of(
    e: &Exec<'_>,
    seg: Seg,
    offset: u64,
    w: Width,
    count: u64,
    access: Access,
) -> Option<(usize, u64)> {
    let size = w.bytes();
    let linear = e.cpu.linear(seg, offset, size, access).ok()?;
    let in_page = (0x1000 - (linear & 0xfff)) / size;
    let mut elements = count.min(in_page);
    if !e.cpu.mode.contains(Mode::BITS_64) {
        let window = &e.cpu.windows[seg as usize];
        let end = if access == Access::Write { window.write_end } else { window.read_end };
        let end = end.min(e.address_width().mask() + 1);
        elements = elements.min(end.saturating_sub(offset) / size);
    }
    if elements == 0 {
        return None;
    }
    let at = if access == Access::Write {
        e.cpu.tlb.write(e.cpu.bank, linear, elements * size)?
    } else {
        e.cpu.tlb.read(e.cpu.bank, linear, elements * size)?
    };
    Some((at, elements))
}

fn moved(e: &mut Exec<'_>, register: usize, bytes: u64) {
    let address = e.address_width();
    let at = e.gpr(register, address).wrapping_add(bytes) & address.mask();
    e.set_gpr(register, address, at);
}

/// MOVS for as many elements as can be copied at once; 0 if not even one.
fn move_run(e: &mut Exec<'_>, w: Width, count: u64) -> u64 {
    if e.cpu.lazy.known.contains(Rflags::DF) {
        return 0;
    }
    let address = e.address_width();
    let (source, destination) = (e.gpr(gpr::RSI, address), e.gpr(gpr::RDI, address));
    let seg = e.segment();
    let Some((from, n)) = run_of(e, seg, source, w, count, Access::Read) else { return 0 };
    let Some((to, n)) = run_of(e, Seg::Es, destination, w, n, Access::Write) else { return 0 };
    let mut elements = n;
    if to > from && ((to - from) as u64) < elements * w.bytes() {
        // Elements written are read again further on: no further than the distance at once.
        elements = (to - from) as u64 / w.bytes();
    }
    let bytes = elements * w.bytes();
    e.cpu.ram.copy_within(from, to, bytes as usize);
    moved(e, gpr::RSI, bytes);
    moved(e, gpr::RDI, bytes);
    elements
}

/// STOS for as many elements as can be filled at once; 0 if not even one.
fn store_run(e: &mut Exec<'_>, w: Width, count: u64) -> u64 {
    if e.cpu.lazy.known.contains(Rflags::DF) {
        return 0;
    }
    let destination = e.gpr(gpr::RDI, e.address_width());
    let Some((to, elements)) = run_of(e, Seg::Es, destination, w, count, Access::Write) else {
        return 0;
    };
    let value = e.cpu.r[gpr::RAX] & w.mask();
    let bytes = elements * w.bytes();
    if value == (value & 0xff) * (w.mask() / 0xff) {
        e.cpu.ram.fill(to, value as u8, bytes as usize);
    } else {
        for n in 0..elements {
            e.cpu.store_scalar(to + (n * w.bytes()) as usize, w, value);
        }
    }
    moved(e, gpr::RDI, bytes);
    elements
}

/// A row whose fast handler is the meaning and whose complete one knows REP.
macro_rules! string_row {
    ($meaning:ident, $w:ident, $compares:expr, $bulk:ident) => {{
        struct I;
        impl crate::fast::Meaning for I {
            #[inline(always)]
            fn run<T: Target>(t: &mut T) -> Step<T> {
                $meaning(t, $w)
            }
        }
        let row = crate::table::Row::straight::<I>(crate::shapes::implied::<I>);
        let exec = |e: &mut Exec<'_>| string(e, |e, w| $meaning(e, w), $w, $compares, Bulk::$bulk);
        Some(crate::table::Row { exec, ..row })
    }};
}

macro_rules! port_row {
    ($one:ident, $w:ident) => {
        Some(crate::table::Row::plain(|e| string(e, $one, $w, false, Bulk::Port)))
    };
}

/// The row of a string instruction.
pub(crate) fn row(code: cutaway_isa::Code) -> Option<crate::table::Row> {
    use cutaway_isa::Code;
    match code {
        Code::Movsb_m8_m8 => string_row!(movs, Byte, false, Move),
        Code::Movsw_m16_m16 => string_row!(movs, Word, false, Move),
        Code::Movsd_m32_m32 => string_row!(movs, Dword, false, Move),
        Code::Movsq_m64_m64 => string_row!(movs, Qword, false, Move),
        Code::Stosb_m8_AL => string_row!(stos, Byte, false, Store),
        Code::Stosw_m16_AX => string_row!(stos, Word, false, Store),
        Code::Stosd_m32_EAX => string_row!(stos, Dword, false, Store),
        Code::Stosq_m64_RAX => string_row!(stos, Qword, false, Store),
        Code::Lodsb_AL_m8 => string_row!(lods, Byte, false, None),
        Code::Lodsw_AX_m16 => string_row!(lods, Word, false, None),
        Code::Lodsd_EAX_m32 => string_row!(lods, Dword, false, None),
        Code::Lodsq_RAX_m64 => string_row!(lods, Qword, false, None),
        Code::Cmpsb_m8_m8 => string_row!(cmps, Byte, true, None),
        Code::Cmpsw_m16_m16 => string_row!(cmps, Word, true, None),
        Code::Cmpsd_m32_m32 => string_row!(cmps, Dword, true, None),
        Code::Cmpsq_m64_m64 => string_row!(cmps, Qword, true, None),
        Code::Scasb_AL_m8 => string_row!(scas, Byte, true, None),
        Code::Scasw_AX_m16 => string_row!(scas, Word, true, None),
        Code::Scasd_EAX_m32 => string_row!(scas, Dword, true, None),
        Code::Scasq_RAX_m64 => string_row!(scas, Qword, true, None),
        Code::Insb_m8_DX => port_row!(ins, Byte),
        Code::Insw_m16_DX => port_row!(ins, Word),
        Code::Insd_m32_DX => port_row!(ins, Dword),
        Code::Outsb_DX_m8 => port_row!(outs, Byte),
        Code::Outsw_DX_m16 => port_row!(outs, Word),
        Code::Outsd_DX_m32 => port_row!(outs, Dword),
        _ => None,
    }
}
