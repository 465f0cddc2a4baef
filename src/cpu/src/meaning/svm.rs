//! SVM: VMRUN VMLOAD VMSAVE VMMCALL STGI CLGI INVLPGA. SKINIT is #UD: no model has it.
//!
//! Source: AMD APM vol. 3, the page of each mnemonic; vol. 2 §15.5.2, "VMSAVE and VMLOAD
//! Instructions". What a guest's VMM intercepts has been left before it gets here.

use crate::access::is_canonical;
use crate::exception::{Exception, Fault};
use crate::exec::{Exec, gpr_place};
use crate::state::{Seg, gpr};
use crate::svm::{SegmentField, Vmcb, World, check_page, field};
use crate::table::Row;
use cutaway_isa::{Code, Register};

type Done = Result<(), Fault>;

/// The VMCB that rAX points at, after all checks of an instruction that uses one.
fn vmcb(e: &Exec<'_>) -> Result<Vmcb, Fault> {
    e.cpu.check_svm()?;
    let width = gpr_place(e.instruction.op_register(0)).map(|place| place.width);
    let address = e.cpu.r[gpr::RAX] & width.map_or(u64::MAX, |width| width.mask());
    check_page(address)?;
    Ok(Vmcb { address })
}

/// VMRUN: the outer loop does it, since no instruction ends where it began.
fn vmrun(e: &mut Exec<'_>) -> Done {
    let vmcb = vmcb(e)?.address;
    let next = e.next;
    e.cpu.svm_work.world = Some(World::Enter { vmcb, next });
    Err(Fault::World)
}

/// The segment registers that VMLOAD and VMSAVE move, hidden parts and all.
const SEGMENTS: [(Seg, SegmentField); 4] = [
    (Seg::Fs, SegmentField::Fs),
    (Seg::Gs, SegmentField::Gs),
    (Seg::Tr, SegmentField::Tr),
    (Seg::Ldtr, SegmentField::Ldtr),
];

/// The address with bits 63:47 all alike.
fn canonical(address: u64) -> u64 {
    if is_canonical(address) { address } else { ((address << 16) as i64 >> 16) as u64 }
}

/// VMLOAD: what VMRUN leaves alone, out of a VMCB. Addresses become canonical.
fn vmload(e: &mut Exec<'_>) -> Done {
    let vmcb = vmcb(e)?;
    let memory = e.bus.memory();
    for (seg, place) in SEGMENTS {
        let mut segment = vmcb.segment(memory, place);
        segment.base = canonical(segment.base);
        e.cpu.system.segments[seg as usize] = segment;
    }
    let m = &mut e.cpu.system.msrs;
    m.star = vmcb.get(memory, field::STAR);
    m.lstar = canonical(vmcb.get(memory, field::LSTAR));
    m.cstar = canonical(vmcb.get(memory, field::CSTAR));
    m.sfmask = vmcb.get(memory, field::SFMASK) & 0xffff_ffff;
    m.kernel_gs_base = canonical(vmcb.get(memory, field::KERNEL_GS_BASE));
    m.sysenter_cs = vmcb.get(memory, field::SYSENTER_CS) & 0xffff_ffff;
    m.sysenter_esp = canonical(vmcb.get(memory, field::SYSENTER_ESP));
    m.sysenter_eip = canonical(vmcb.get(memory, field::SYSENTER_EIP));
    e.cpu.settle();
    Ok(())
}

/// VMSAVE: the other way.
fn vmsave(e: &mut Exec<'_>) -> Done {
    let vmcb = vmcb(e)?;
    let memory = e.bus.memory();
    for (seg, place) in SEGMENTS {
        vmcb.set_segment(memory, place, e.cpu.segment(seg));
    }
    let m = &e.cpu.system.msrs;
    for (field, value) in [
        (field::STAR, m.star),
        (field::LSTAR, m.lstar),
        (field::CSTAR, m.cstar),
        (field::SFMASK, m.sfmask),
        (field::KERNEL_GS_BASE, m.kernel_gs_base),
        (field::SYSENTER_CS, m.sysenter_cs),
        (field::SYSENTER_ESP, m.sysenter_esp),
        (field::SYSENTER_EIP, m.sysenter_eip),
    ] {
        vmcb.set(memory, field, value);
    }
    e.cpu.written_page(e.bus, vmcb.address);
    Ok(())
}

/// STGI and CLGI: the global interrupt flag.
fn set_gif(e: &mut Exec<'_>, on: bool) -> Done {
    e.cpu.check_svm()?;
    e.cpu.svm.gif = on;
    e.cpu.attention = true;
    Ok(())
}

/// INVLPGA: the translations of the page at rAX in the address space ECX.
fn invlpga(e: &mut Exec<'_>) -> Done {
    e.cpu.check_svm()?;
    let asid = e.cpu.r[gpr::RCX] as u32;
    if e.cpu.svm.space.asid() == asid {
        let wide = e.instruction.op_register(0) == Register::RAX;
        let linear = e.cpu.r[gpr::RAX] & if wide { u64::MAX } else { 0xffff_ffff };
        e.cpu.invalidate_page(linear);
    }
    Ok(())
}

/// The row of an instruction of SVM.
pub(crate) fn row(code: Code) -> Option<Row> {
    Some(match code {
        Code::Vmrunw | Code::Vmrund | Code::Vmrunq => Row { ends_block: true, ..Row::plain(vmrun) },
        Code::Vmloadw | Code::Vmloadd | Code::Vmloadq => Row::plain(vmload),
        Code::Vmsavew | Code::Vmsaved | Code::Vmsaveq => Row::plain(vmsave),
        // Without an intercept it is undefined.
        Code::Vmmcall => Row::plain(|_| Err(Exception::UD.into())),
        Code::Stgi => Row::plain(|e| set_gif(e, true)),
        Code::Clgi => Row::plain(|e| set_gif(e, false)),
        Code::Invlpgaw | Code::Invlpgad | Code::Invlpgaq => Row::plain(invlpga),
        _ => return None,
    })
}
