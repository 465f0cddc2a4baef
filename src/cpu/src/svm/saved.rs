//! What of a world lies in a VMCB or in the host save area.
//!
//! Source: AMD APM vol. 2 appendix B, "Layout of VMCB".

use super::{SegmentField, Vmcb, field};
use crate::segment::Segment;
use crate::state::{Seg, TableRegister};
use cutaway_isa::{Cr0, Efer, Rflags};
use cutaway_memory::GuestMemory;

/// What VMRUN and #VMEXIT swap between a save area and the vCPU.
pub(super) struct Saved {
    pub(super) segments: [Segment; 4],
    pub(super) gdtr: TableRegister,
    pub(super) idtr: TableRegister,
    pub(super) cr0: u64,
    pub(super) cr3: u64,
    pub(super) cr4: u64,
    pub(super) efer: u64,
    pub(super) rflags: Rflags,
    pub(super) rip: u64,
    pub(super) rsp: u64,
    pub(super) rax: u64,
    pub(super) pat: u64,
}

/// The segment registers that are swapped, in the order of [`Saved::segments`].
pub(super) const SEGMENTS: [(Seg, SegmentField); 4] = [
    (Seg::Es, SegmentField::Es),
    (Seg::Cs, SegmentField::Cs),
    (Seg::Ss, SegmentField::Ss),
    (Seg::Ds, SegmentField::Ds),
];

fn table(memory: &GuestMemory, vmcb: Vmcb, at: SegmentField) -> TableRegister {
    let raw = vmcb.segment(memory, at);
    TableRegister { base: raw.base, limit: raw.limit as u16 }
}

fn set_table(memory: &mut GuestMemory, vmcb: Vmcb, at: SegmentField, table: TableRegister) {
    let TableRegister { base, limit } = table;
    let raw = Segment { selector: 0, attributes: 0, limit: u32::from(limit), base };
    vmcb.set_segment(memory, at, &raw);
}

impl Saved {
    /// EFER.LMA and RFLAGS.VM are made to fit the mode; all else is as it stands there.
    pub(super) fn read(memory: &GuestMemory, at: Vmcb) -> Self {
        let get = |field| at.get(memory, field);
        let (cr0, mut efer) = (get(field::CR0), get(field::EFER));
        let long = efer & Efer::LME.bits() != 0 && cr0 & Cr0::PG.bits() != 0;
        efer = efer & !Efer::LMA.bits() | if long { Efer::LMA.bits() } else { 0 };
        let mut rflags = Rflags::from_bits_truncate(get(field::RFLAGS)) | Rflags::ONE;
        if long || cr0 & Cr0::PE.bits() == 0 {
            rflags = rflags.difference(Rflags::VM);
        }
        Self {
            segments: SEGMENTS.map(|(_, place)| at.segment(memory, place)),
            gdtr: table(memory, at, SegmentField::Gdtr),
            idtr: table(memory, at, SegmentField::Idtr),
            cr0,
            cr3: get(field::CR3),
            cr4: get(field::CR4),
            efer,
            rflags,
            rip: get(field::RIP),
            rsp: get(field::RSP),
            rax: get(field::RAX),
            pat: get(field::G_PAT),
        }
    }

    pub(super) fn write(&self, memory: &mut GuestMemory, at: Vmcb) {
        for ((_, place), segment) in SEGMENTS.iter().zip(&self.segments) {
            at.set_segment(memory, *place, segment);
        }
        set_table(memory, at, SegmentField::Gdtr, self.gdtr);
        set_table(memory, at, SegmentField::Idtr, self.idtr);
        for (field, value) in [
            (field::CR0, self.cr0),
            (field::CR3, self.cr3),
            (field::CR4, self.cr4),
            (field::EFER, self.efer),
            (field::RFLAGS, self.rflags.bits()),
            (field::RIP, self.rip),
            (field::RSP, self.rsp),
            (field::RAX, self.rax),
        ] {
            at.set(memory, field, value);
        }
    }

    pub(super) fn is_long(&self) -> bool {
        self.efer & Efer::LMA.bits() != 0
    }
}

/// Whether all eight types of a PAT are defined.
pub(super) fn is_pat(value: u64) -> bool {
    value.to_le_bytes().iter().all(|&t| matches!(t, 0 | 1 | 4..=7))
}

/// Brings the segments of a VMCB into the form that this CPU's segments have: CS is code, its RPL
/// the CPL; those of virtual-8086 mode are as that mode has them.
pub(super) fn fit_segments(saved: &mut Saved, cpl: u16) {
    if saved.cr0 & Cr0::PE.bits() == 0 {
        return;
    }
    if saved.rflags.contains(Rflags::VM) {
        for segment in &mut saved.segments {
            segment.attributes = 0xf3;
        }
        return;
    }
    let code = &mut saved.segments[1];
    code.attributes |= 0x98;
    code.selector = code.selector & !3 | cpl;
}
