//! Far transfers and software interrupts: JMP, CALL, RET far; INT INT3 INTO INT1 IRET; BOUND UD.
//!
//! The work is in `far.rs` and `interrupt.rs`; here operands are fetched.

use crate::exception::{Exception, Fault};
use crate::exec::Exec;
use crate::interrupt::{Delivery, Source};
use crate::table::Row;
use crate::target::Target;
use cutaway_isa::Width::{self, Dword, Qword, Word};
use cutaway_isa::{Code, Rflags, Vector};

/// The far pointer in memory: offset, then selector.
fn pointer(e: &mut Exec<'_>, w: Width) -> Result<(u16, u64), Fault> {
    let (seg, at) = (e.segment(), e.offset());
    let behind = at.wrapping_add(w.bytes()) & e.address_width().mask();
    let offset = e.cpu.read_segment(e.bus, seg, at, w)?;
    let selector = e.cpu.read_segment(e.bus, seg, behind, Word)?;
    Ok((selector as u16, offset))
}

/// The far pointer in the instruction.
fn immediate(e: &Exec<'_>) -> (u16, u64) {
    let i = e.instruction;
    let wide = i.op_kind(0) == cutaway_isa::OpKind::FarBranch32;
    let offset = if wide { u64::from(i.far_branch32()) } else { u64::from(i.far_branch16()) };
    (i.far_branch_selector(), offset)
}

fn interrupt(e: &mut Exec<'_>, vector: Vector, source: Source) -> Result<(), Fault> {
    if e.cpu.traces(crate::TraceClasses::INT) {
        e.cpu.report(e.bus, vector, None, "software", None);
    }
    let (rip, resume, error_code) = (e.next, false, None);
    e.cpu.deliver(e.bus, Delivery { vector, source, error_code, rip, resume })?;
    e.next = e.cpu.rip;
    Ok(())
}

/// INT n.
fn int(e: &mut Exec<'_>) -> Result<(), Fault> {
    let vector = Vector(e.instruction.immediate8());
    if e.cpu.is_virtual_8086() && e.cpu.software_interrupt_v86(e.bus, vector, e.next)? {
        e.next = e.cpu.rip;
        return Ok(());
    }
    interrupt(e, vector, Source::Software)
}

/// INTO: #OF if OF.
fn into(e: &mut Exec<'_>) -> Result<(), Fault> {
    if e.cpu.lazy.of() { interrupt(e, Vector::OF, Source::Software) } else { Ok(()) }
}

/// BOUND: #BR unless lower <= index <= upper, all signed.
fn bound(e: &mut Exec<'_>, w: Width) -> Result<(), Fault> {
    let (seg, at) = (e.segment(), e.offset());
    let behind = at.wrapping_add(w.bytes()) & e.address_width().mask();
    let lower = e.cpu.read_segment(e.bus, seg, at, w)?;
    let upper = e.cpu.read_segment(e.bus, seg, behind, w)?;
    let index = e.read(0, w)?;
    let signed = |value| w.sign_extend(value) as i64;
    let inside = (signed(lower)..=signed(upper)).contains(&signed(index));
    if inside { Ok(()) } else { Err(Exception::BR.into()) }
}

fn ret(e: &mut Exec<'_>, w: Width) -> Result<(), Fault> {
    let more = if e.instruction.op_count() > 0 { e.instruction.immediate16() } else { 0 };
    e.far_return(w, u64::from(more))
}

/// LDS LES LFS LGS LSS: a far pointer into a register and a segment register.
fn load_pointer(e: &mut Exec<'_>, seg: crate::state::Seg, w: Width) -> Result<(), Fault> {
    let (selector, offset) = pointer(e, w)?;
    e.cpu.load_data_segment(e.bus, seg, selector)?;
    e.write(0, w, offset)
}

/// The row of a far transfer or software interrupt.
pub(crate) fn row(code: Code) -> Option<Row> {
    use crate::state::Seg;
    let ending = |exec| Some(Row { ends_block: true, ..Row::plain(exec) });
    match code {
        Code::Jmp_ptr1616 | Code::Jmp_ptr1632 => ending(|e| {
            let (selector, offset) = immediate(e);
            e.far_jump(selector, offset)
        }),
        Code::Jmp_m1616 => ending(|e| pointer(e, Word).and_then(|(s, o)| e.far_jump(s, o))),
        Code::Jmp_m1632 => ending(|e| pointer(e, Dword).and_then(|(s, o)| e.far_jump(s, o))),
        Code::Call_ptr1616 => ending(|e| {
            let (selector, offset) = immediate(e);
            e.far_call(selector, offset, Word)
        }),
        Code::Call_ptr1632 => ending(|e| {
            let (selector, offset) = immediate(e);
            e.far_call(selector, offset, Dword)
        }),
        Code::Call_m1616 => ending(|e| pointer(e, Word).and_then(|(s, o)| e.far_call(s, o, Word))),
        Code::Call_m1632 => {
            ending(|e| pointer(e, Dword).and_then(|(s, o)| e.far_call(s, o, Dword)))
        }
        // As AMD's CPUs take REX.W: the offset has 32 bits all the same.
        Code::Call_m1664 => {
            ending(|e| pointer(e, Dword).and_then(|(s, o)| e.far_call(s, o, Qword)))
        }
        Code::Retfw | Code::Retfw_imm16 => ending(|e| ret(e, Word)),
        Code::Retfd | Code::Retfd_imm16 => ending(|e| ret(e, Dword)),
        Code::Retfq | Code::Retfq_imm16 => ending(|e| ret(e, Qword)),
        Code::Iretw => ending(|e| e.interrupt_return(Word)),
        Code::Iretd => ending(|e| e.interrupt_return(Dword)),
        Code::Iretq => ending(|e| e.interrupt_return(Qword)),
        Code::Int_imm8 => ending(int),
        Code::Int3 => ending(|e| interrupt(e, Vector::BP, Source::Software)),
        Code::Into => ending(into),
        Code::Int1 => ending(|e| interrupt(e, Vector::DB, Source::Exception)),
        Code::Bound_r16_m1616 => Some(Row::plain(|e| bound(e, Word))),
        Code::Bound_r32_m3232 => Some(Row::plain(|e| bound(e, Dword))),
        Code::Ud2
        | Code::Ud0
        | Code::Ud0_r16_rm16
        | Code::Ud0_r32_rm32
        | Code::Ud0_r64_rm64
        | Code::Ud1_r16_rm16
        | Code::Ud1_r32_rm32
        | Code::Ud1_r64_rm64 => ending(|_| Err(Exception::UD.into())),
        Code::Les_r16_m1616 => Some(Row::plain(|e| load_pointer(e, Seg::Es, Word))),
        Code::Les_r32_m1632 => Some(Row::plain(|e| load_pointer(e, Seg::Es, Dword))),
        Code::Lds_r16_m1616 => Some(Row::plain(|e| load_pointer(e, Seg::Ds, Word))),
        Code::Lds_r32_m1632 => Some(Row::plain(|e| load_pointer(e, Seg::Ds, Dword))),
        Code::Lss_r16_m1616 => Some(Row::plain(|e| load_pointer(e, Seg::Ss, Word))),
        Code::Lss_r32_m1632 => Some(Row::plain(|e| load_pointer(e, Seg::Ss, Dword))),
        Code::Lss_r64_m1664 => Some(Row::plain(|e| load_pointer(e, Seg::Ss, Qword))),
        Code::Lfs_r16_m1616 => Some(Row::plain(|e| load_pointer(e, Seg::Fs, Word))),
        Code::Lfs_r32_m1632 => Some(Row::plain(|e| load_pointer(e, Seg::Fs, Dword))),
        Code::Lfs_r64_m1664 => Some(Row::plain(|e| load_pointer(e, Seg::Fs, Qword))),
        Code::Lgs_r16_m1616 => Some(Row::plain(|e| load_pointer(e, Seg::Gs, Word))),
        Code::Lgs_r32_m1632 => Some(Row::plain(|e| load_pointer(e, Seg::Gs, Dword))),
        Code::Lgs_r64_m1664 => Some(Row::plain(|e| load_pointer(e, Seg::Gs, Qword))),
        _ => None,
    }
}

/// Flags that SYSCALL and its kin leave to `meaning/syscall.rs`.
pub(super) const RETURN_CLEARS: Rflags = Rflags::RF.union(Rflags::VM);
