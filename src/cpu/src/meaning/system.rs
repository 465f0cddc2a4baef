//! System instructions: control, debug and segment registers, descriptor tables, HLT, INVLPG,
//! CPUID, time stamp, MSRs, LAR LSL VERR VERW ARPL, SMSW LMSW, CLTS, cache control.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use crate::access::is_canonical;
use crate::exception::{Exception, Fault};
use crate::exec::{Exec, seg_of};
use crate::segment::{Segment, system_type};
use crate::state::{Seg, TableRegister, gpr};
use crate::table::rows;
use crate::target::{Cmp, Target};
use cutaway_isa::Width::{self, Dword, Qword, Word};
use cutaway_isa::{Cr0, Cr4, Register, Rflags, msr};

type Done = Result<(), Fault>;

/// MOV to a segment register; MOV SS holds interrupts off for one instruction.
fn mov_to_segment(e: &mut Exec<'_>) -> Done {
    let seg = match seg_of(e.instruction.op_register(0)) {
        Some(Seg::Cs) | None => return Err(Exception::UD.into()),
        Some(seg) => seg,
    };
    let selector = e.read(1, Word)? as u16;
    e.cpu.load_data_segment(e.bus, seg, selector)?;
    if seg == Seg::Ss {
        e.cpu.activity.ss_shadow = true;
        e.cpu.attention = true;
    }
    Ok(())
}

/// MOV from a segment register: zero-extended into a register, 16 bits into memory.
fn mov_from_segment(e: &mut Exec<'_>, w: Width) -> Done {
    let Some(seg) = seg_of(e.instruction.op_register(1)) else {
        return Err(Exception::UD.into());
    };
    let selector = u64::from(e.cpu.segment(seg).selector);
    let w = if e.operand_in_memory(0) { Word } else { w };
    e.write(0, w, selector)
}

/// PUSH of a segment register, zero-extended to the slot (measured on Zen 3; some Intel processors
/// write 16 bits of a 32-bit slot).
fn push_segment(e: &mut Exec<'_>, w: Width) -> Done {
    let Some(seg) = seg_of(e.instruction.op_register(0)) else {
        return Err(Exception::UD.into());
    };
    let selector = u64::from(e.cpu.segment(seg).selector);
    e.cpu.push(e.bus, w, selector)
}

/// POP of a segment register.
fn pop_segment(e: &mut Exec<'_>, w: Width) -> Done {
    let Some(seg) = seg_of(e.instruction.op_register(0)) else {
        return Err(Exception::UD.into());
    };
    let selector = e.cpu.peek(e.bus, w, 0)? as u16;
    let old = e.cpu.stack_width();
    let top = e.cpu.r[gpr::RSP].wrapping_add(w.bytes()) & old.mask();
    e.cpu.load_data_segment(e.bus, seg, selector)?;
    e.cpu.put_gpr(gpr::RSP, 0, old, top);
    if seg == Seg::Ss {
        e.cpu.activity.ss_shadow = true;
        e.cpu.attention = true;
    }
    Ok(())
}

fn cr_number(register: Register) -> usize {
    register as usize - Register::CR0 as usize
}

fn mov_to_cr(e: &mut Exec<'_>, w: Width) -> Done {
    e.require_cpl0()?;
    let value = e.read(1, w)?;
    match cr_number(e.instruction.op_register(0)) {
        0 => e.cpu.write_cr0(e.bus, value),
        2 => {
            e.cpu.system.cr2 = value;
            Ok(())
        }
        3 => e.cpu.write_cr3(e.bus, value),
        4 => e.cpu.write_cr4(e.bus, value),
        8 if value < 16 => {
            e.cpu.write_cr8(e.bus, value);
            Ok(())
        }
        8 => Err(Exception::GP0.into()),
        _ => Err(Exception::UD.into()),
    }
}

fn mov_from_cr(e: &mut Exec<'_>, w: Width) -> Done {
    e.require_cpl0()?;
    let system = &e.cpu.system;
    let value = match cr_number(e.instruction.op_register(1)) {
        0 => system.cr0,
        2 => system.cr2,
        3 => system.cr3,
        4 => system.cr4,
        8 => e.cpu.read_cr8(),
        _ => return Err(Exception::UD.into()),
    };
    e.write(0, w, value & w.mask())
}

/// The debug register an operand names; DR4 and DR5 are DR6 and DR7 unless CR4.DE.
fn debug_register(e: &mut Exec<'_>, register: Register) -> Result<usize, Fault> {
    e.require_cpl0()?;
    let n = register as usize - Register::DR0 as usize;
    let n = match n {
        4 | 5 if e.cpu.system.cr4 & Cr4::DE.bits() != 0 => return Err(Exception::UD.into()),
        4 | 5 => n + 2,
        8.. => return Err(Exception::UD.into()),
        _ => n,
    };
    if e.cpu.system.dr7 & 1 << 13 != 0 {
        // DR7.GD: the access itself is trapped, as a fault.
        e.cpu.system.dr6 |= cutaway_isa::Dr6::BD.bits();
        e.cpu.system.dr7 &= !(1 << 13);
        return Err(Exception::DB.into());
    }
    Ok(n)
}

fn mov_to_dr(e: &mut Exec<'_>, w: Width) -> Done {
    let n = debug_register(e, e.instruction.op_register(0))?;
    let value = e.read(1, w)?;
    if n >= 6 && value >> 32 != 0 {
        return Err(Exception::GP0.into());
    }
    let system = &mut e.cpu.system;
    match n {
        6 => system.dr6 = value & 0xe00f | 0xffff_0ff0,
        7 => system.dr7 = value & 0xffff_2fff | 0x400,
        _ => system.dr[n] = value,
    }
    e.cpu.settle();
    e.cpu.attention = true;
    Ok(())
}

fn mov_from_dr(e: &mut Exec<'_>, w: Width) -> Done {
    let n = debug_register(e, e.instruction.op_register(1))?;
    let system = &e.cpu.system;
    let value = match n {
        6 => system.dr6,
        7 => system.dr7,
        _ => system.dr[n],
    };
    e.write(0, w, value & w.mask())
}

/// UMIP: the stores of descriptor-table registers are #GP(0) outside CPL 0.
fn check_umip(e: &Exec<'_>) -> Done {
    let on = e.cpu.system.cr4 & Cr4::UMIP.bits() != 0;
    if on { e.require_cpl0() } else { Ok(()) }
}

fn store_table(e: &mut Exec<'_>, table: TableRegister) -> Done {
    check_umip(e)?;
    let (seg, at) = (e.segment(), e.offset());
    let behind = at.wrapping_add(2) & e.address_width().mask();
    let w = if e.cpu.is_64_bit() { Qword } else { Dword };
    e.cpu.probe_write(e.bus, seg, behind, w.bytes())?;
    e.cpu.write_segment(e.bus, seg, at, Word, u64::from(table.limit))?;
    e.cpu.write_segment(e.bus, seg, behind, w, table.base)
}

/// LGDT, LIDT: with a 16-bit operand size the base has 24 bits.
fn load_table(e: &mut Exec<'_>, w: Width) -> Result<TableRegister, Fault> {
    e.require_cpl0()?;
    let (seg, at) = (e.segment(), e.offset());
    let behind = at.wrapping_add(2) & e.address_width().mask();
    let limit = e.cpu.read_segment(e.bus, seg, at, Word)? as u16;
    let base = e.cpu.read_segment(e.bus, seg, behind, if w == Qword { Qword } else { Dword })?;
    let base = if w == Word { base & 0xff_ffff } else { base };
    if w == Qword && !is_canonical(base) {
        return Err(Exception::GP0.into());
    }
    Ok(TableRegister { base, limit })
}

fn lgdt(e: &mut Exec<'_>, w: Width) -> Done {
    e.cpu.system.gdtr = load_table(e, w)?;
    Ok(())
}

fn lidt(e: &mut Exec<'_>, w: Width) -> Done {
    e.cpu.system.idtr = load_table(e, w)?;
    Ok(())
}

/// #UD in real and virtual-8086 mode.
fn require_protected(e: &Exec<'_>) -> Done {
    e.cpu.require(e.cpu.is_protected() && !e.cpu.is_virtual_8086())
}

/// SLDT, STR, SMSW: zero-extended into a register, 16 bits into memory.
fn store_word(e: &mut Exec<'_>, w: Width, value: u64) -> Done {
    check_umip(e)?;
    let w = if e.operand_in_memory(0) { Word } else { w };
    e.write(0, w, value & w.mask())
}

fn sldt(e: &mut Exec<'_>, w: Width) -> Done {
    require_protected(e)?;
    store_word(e, w, u64::from(e.cpu.segment(Seg::Ldtr).selector))
}

fn str(e: &mut Exec<'_>, w: Width) -> Done {
    require_protected(e)?;
    store_word(e, w, u64::from(e.cpu.segment(Seg::Tr).selector))
}

fn smsw(e: &mut Exec<'_>, w: Width) -> Done {
    store_word(e, w, e.cpu.system.cr0)
}

/// LMSW: PE (which it can only set), MP, EM and TS.
fn lmsw(e: &mut Exec<'_>) -> Done {
    e.require_cpl0()?;
    let value = e.read(0, Word)?;
    let old = e.cpu.system.cr0;
    e.cpu.write_cr0(e.bus, old & !0xe | value & 0xf)
}

fn lldt(e: &mut Exec<'_>) -> Done {
    require_protected(e)?;
    e.require_cpl0()?;
    let selector = e.read(0, Word)? as u16;
    e.cpu.load_ldtr(e.bus, selector, Exception::GP)
}

fn ltr(e: &mut Exec<'_>) -> Done {
    require_protected(e)?;
    e.require_cpl0()?;
    let selector = e.read(0, Word)? as u16;
    e.cpu.load_tr(e.bus, selector)
}

fn set_zf(e: &mut Exec<'_>, on: bool) {
    let flags = e.cpu.lazy.rflags().with(Rflags::ZF, on);
    e.cpu.lazy.set_rflags(flags);
}

fn verify(e: &mut Exec<'_>, write: bool) -> Done {
    require_protected(e)?;
    let selector = e.read(0, Word)? as u16;
    let found =
        if selector & 0xfffc == 0 { None } else { e.cpu.find_descriptor(e.bus, selector)? };
    let cpl = e.cpu.cpl();
    let fine = found.is_some_and(|found| found.descriptor.is_verifiable(selector, cpl, write));
    set_zf(e, fine);
    Ok(())
}

/// The descriptor that LAR and LSL may look at, if any.
fn visible(e: &mut Exec<'_>, limit: bool) -> Result<Option<(u64, Segment)>, Fault> {
    require_protected(e)?;
    let selector = e.read(1, Word)? as u16;
    if selector & 0xfffc == 0 {
        return Ok(None);
    }
    let Some(found) = e.cpu.find_descriptor(e.bus, selector)? else { return Ok(None) };
    let segment = found.descriptor.segment(selector);
    let conforming = segment.is_code() && segment.is_conforming();
    let rpl = (selector & 3) as u8;
    if !conforming && e.cpu.cpl().max(rpl) > segment.dpl() {
        return Ok(None);
    }
    let long = e.cpu.is_long_mode();
    let allowed = match found.descriptor.system_type() {
        None | Some(system_type::LDT | system_type::TSS | system_type::TSS_BUSY) => true,
        Some(system_type::TSS16 | system_type::TSS16_BUSY) => !long,
        Some(system_type::CALL_GATE) => !limit,
        Some(system_type::CALL_GATE16 | system_type::TASK_GATE) => !limit && !long,
        Some(_) => false,
    };
    Ok(allowed.then_some((found.descriptor.0, segment)))
}

/// LAR: the access rights, descriptor bits 55:40, at their place.
fn lar(e: &mut Exec<'_>, w: Width) -> Done {
    let found = visible(e, false)?;
    if let Some((raw, _)) = found {
        e.write(0, w, raw >> 32 & 0x00ff_ff00 & w.mask())?;
    }
    set_zf(e, found.is_some());
    Ok(())
}

/// LSL: the limit in bytes.
fn lsl(e: &mut Exec<'_>, w: Width) -> Done {
    let found = visible(e, true)?;
    if let Some((_, segment)) = found {
        e.write(0, w, u64::from(segment.limit) & w.mask())?;
    }
    set_zf(e, found.is_some());
    Ok(())
}

/// ARPL: raises the RPL of dst to that of src; ZF says whether.
fn arpl(e: &mut Exec<'_>) -> Done {
    require_protected(e)?;
    // Write access matters only where something is written (measured on Zen 3).
    let destination = e.read(0, Word)?;
    let source = e.read(1, Word)?;
    let raises = e.compare(Cmp::Below, Word, &(destination & 3), &(source & 3));
    if raises {
        e.write(0, Word, destination & !3 | source & 3)?;
    }
    set_zf(e, raises);
    Ok(())
}

fn clts(e: &mut Exec<'_>) -> Done {
    e.require_cpl0()?;
    e.cpu.system.cr0 &= !Cr0::TS.bits();
    e.cpu.settle();
    Ok(())
}

fn hlt(e: &mut Exec<'_>) -> Done {
    e.require_cpl0()?;
    e.cpu.activity.halted = true;
    e.cpu.attention = true;
    Ok(())
}

fn invlpg(e: &mut Exec<'_>) -> Done {
    e.require_cpl0()?;
    let (seg, offset) = (e.segment(), e.offset());
    let linear = e.cpu.windows[seg as usize].base.wrapping_add(offset);
    let linear = if e.cpu.is_64_bit() { linear } else { linear & 0xffff_ffff };
    e.cpu.invalidate_page(linear);
    Ok(())
}

/// INVD, WBINVD: there are no caches to see.
fn cache_control(e: &mut Exec<'_>) -> Done {
    e.require_cpl0()
}

fn cpuid(e: &mut Exec<'_>) -> Done {
    let (leaf, subleaf) = (e.cpu.r[gpr::RAX] as u32, e.cpu.r[gpr::RCX] as u32);
    let [a, b, c, d] = e.cpu.cpuid(leaf, subleaf);
    for (register, value) in [(gpr::RAX, a), (gpr::RBX, b), (gpr::RCX, c), (gpr::RDX, d)] {
        e.cpu.r[register] = u64::from(value);
    }
    Ok(())
}

fn time_stamp(e: &mut Exec<'_>, with_aux: bool) -> Done {
    if e.cpu.system.cr4 & Cr4::TSD.bits() != 0 && e.cpu.cpl() != 0 {
        return Err(Exception::GP0.into());
    }
    let tsc = e.cpu.tsc();
    e.cpu.r[gpr::RAX] = tsc & 0xffff_ffff;
    e.cpu.r[gpr::RDX] = tsc >> 32;
    if with_aux {
        e.cpu.r[gpr::RCX] = e.cpu.system.msrs.tsc_aux & 0xffff_ffff;
    }
    Ok(())
}

/// RDPMC: no counters are there.
fn rdpmc(e: &mut Exec<'_>) -> Done {
    let _ = e;
    Err(Exception::GP0.into())
}

fn rdmsr(e: &mut Exec<'_>) -> Done {
    e.require_cpl0()?;
    let value = e.cpu.read_msr(e.cpu.r[gpr::RCX] as u32)?;
    e.cpu.r[gpr::RAX] = value & 0xffff_ffff;
    e.cpu.r[gpr::RDX] = value >> 32;
    Ok(())
}

fn wrmsr(e: &mut Exec<'_>) -> Done {
    e.require_cpl0()?;
    let value = e.cpu.r[gpr::RAX] & 0xffff_ffff | e.cpu.r[gpr::RDX] << 32;
    let number = e.cpu.r[gpr::RCX] as u32;
    e.cpu.write_msr(number, value)?;
    if number == msr::APIC_BASE && e.cpu.model.has_apic() {
        e.bus.set_apic_base(value, e.cpu.ticks);
        e.cpu.after_device(e.bus);
    }
    Ok(())
}

/// CMPXCHG8B, CMPXCHG16B: compares (r)DX:(r)AX with memory; if equal stores (r)CX:(r)BX, else
/// loads. ZF says which; the other flags stay.
fn cmpxchg_pair(e: &mut Exec<'_>, w: Width) -> Done {
    if w == Qword {
        e.require_alignment(16)?;
    }
    let (seg, at) = (e.segment(), e.offset());
    let linear = e.cpu.linear(seg, at, 2 * w.bytes(), crate::paging::Access::Write)?;
    e.cpu.check_alignment(linear, 2 * w.bytes())?;
    let user = e.cpu.is_user();
    e.cpu.probe_linear(e.bus, linear, 2 * w.bytes(), crate::paging::Access::Write, user)?;
    let upper = e.cpu.wrap(linear.wrapping_add(w.bytes()));
    let low = e.cpu.read_linear(e.bus, linear, w, user)?;
    let high = e.cpu.read_linear(e.bus, upper, w, user)?;
    let equal = low == e.gpr(gpr::RAX, w) && high == e.gpr(gpr::RDX, w);
    let (new_low, new_high) =
        if equal { (e.gpr(gpr::RBX, w), e.gpr(gpr::RCX, w)) } else { (low, high) };
    e.cpu.write_linear(e.bus, linear, w, new_low, user)?;
    e.cpu.write_linear(e.bus, upper, w, new_high, user)?;
    if !equal {
        e.set_gpr(gpr::RAX, w, low);
        e.set_gpr(gpr::RDX, w, high);
    }
    set_zf(e, equal);
    Ok(())
}

rows! {
    exec Mov_Sreg_rm16 | Mov_Sreg_r32m16 | Mov_Sreg_r64m16 => mov_to_segment;
    exec Mov_rm16_Sreg => |e| mov_from_segment(e, Word);
    exec Mov_r32m16_Sreg => |e| mov_from_segment(e, Dword);
    exec Mov_r64m16_Sreg => |e| mov_from_segment(e, Qword);
    exec Pushw_ES | Pushw_CS | Pushw_SS | Pushw_DS | Pushw_FS | Pushw_GS => |e| push_segment(e, Word);
    exec Pushd_ES | Pushd_CS | Pushd_SS | Pushd_DS | Pushd_FS | Pushd_GS => |e| push_segment(e, Dword);
    exec Pushq_FS | Pushq_GS => |e| push_segment(e, Qword);
    exec Popw_ES | Popw_SS | Popw_DS | Popw_FS | Popw_GS => |e| pop_segment(e, Word);
    exec Popd_ES | Popd_SS | Popd_DS | Popd_FS | Popd_GS => |e| pop_segment(e, Dword);
    exec Popq_FS | Popq_GS => |e| pop_segment(e, Qword);
    exec Mov_cr_r32 => |e| mov_to_cr(e, Dword);
    exec Mov_cr_r64 => |e| mov_to_cr(e, Qword);
    exec Mov_r32_cr => |e| mov_from_cr(e, Dword);
    exec Mov_r64_cr => |e| mov_from_cr(e, Qword);
    exec Mov_dr_r32 => |e| mov_to_dr(e, Dword);
    exec Mov_dr_r64 => |e| mov_to_dr(e, Qword);
    exec Mov_r32_dr => |e| mov_from_dr(e, Dword);
    exec Mov_r64_dr => |e| mov_from_dr(e, Qword);
    exec Sgdt_m1632_16 | Sgdt_m1632 | Sgdt_m1664 => |e| store_table(e, e.cpu.system.gdtr);
    exec Sidt_m1632_16 | Sidt_m1632 | Sidt_m1664 => |e| store_table(e, e.cpu.system.idtr);
    exec Lgdt_m1632_16 => |e| lgdt(e, Word);
    exec Lgdt_m1632 => |e| lgdt(e, Dword);
    exec Lgdt_m1664 => |e| lgdt(e, Qword);
    exec Lidt_m1632_16 => |e| lidt(e, Word);
    exec Lidt_m1632 => |e| lidt(e, Dword);
    exec Lidt_m1664 => |e| lidt(e, Qword);
    exec Sldt_rm16 => |e| sldt(e, Word);
    exec Sldt_r32m16 => |e| sldt(e, Dword);
    exec Sldt_r64m16 => |e| sldt(e, Qword);
    exec Str_rm16 => |e| str(e, Word);
    exec Str_r32m16 => |e| str(e, Dword);
    exec Str_r64m16 => |e| str(e, Qword);
    exec Smsw_rm16 => |e| smsw(e, Word);
    exec Smsw_r32m16 => |e| smsw(e, Dword);
    exec Smsw_r64m16 => |e| smsw(e, Qword);
    exec Lmsw_rm16 | Lmsw_r32m16 | Lmsw_r64m16 => lmsw;
    exec Lldt_rm16 | Lldt_r32m16 | Lldt_r64m16 => lldt;
    exec Ltr_rm16 | Ltr_r32m16 | Ltr_r64m16 => ltr;
    exec Verr_rm16 | Verr_r32m16 | Verr_r64m16 => |e| verify(e, false);
    exec Verw_rm16 | Verw_r32m16 | Verw_r64m16 => |e| verify(e, true);
    exec Lar_r16_rm16 => |e| lar(e, Word);
    exec Lar_r32_r32m16 => |e| lar(e, Dword);
    exec Lar_r64_r64m16 => |e| lar(e, Qword);
    exec Lsl_r16_rm16 => |e| lsl(e, Word);
    exec Lsl_r32_r32m16 => |e| lsl(e, Dword);
    exec Lsl_r64_r64m16 => |e| lsl(e, Qword);
    exec Arpl_rm16_r16 | Arpl_r32m16_r32 => arpl;
    // Shadow stacks, which no model has, outside the space of NOPs; PREFETCH of a register.
    exec Rstorssp_m64 | Clrssbsy_m64 | Setssbsy | Saveprevssp | Incsspd_r32 | Incsspq_r64
        | Wrssd_m32_r32 | Wrssq_m64_r64 | Wrussd_m32_r32 | Wrussq_m64_r64
        | Reservednop_rm16_r16_0F0D | Reservednop_rm32_r32_0F0D | Reservednop_rm64_r64_0F0D => |_| Err(Exception::UD.into());
    exec Clts => clts;
    exec Hlt => hlt;
    exec Invlpg_m => invlpg;
    exec Invd | Wbinvd => cache_control;
    exec Cpuid => cpuid;
    exec Rdtsc => |e| time_stamp(e, false);
    exec Rdtscp => |e| time_stamp(e, true);
    exec Rdpmc => rdpmc;
    exec Rdmsr => rdmsr;
    exec Wrmsr => wrmsr;
    exec Cmpxchg8b_m64 => |e| cmpxchg_pair(e, Dword);
    exec Cmpxchg16b_m128 => |e| cmpxchg_pair(e, Qword);
}
