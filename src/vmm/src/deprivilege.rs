//! The projection of a guest's system state onto a physical one with less privilege, and back.
//!
//! The guest's ring 0 becomes ring 1, where paging still counts it as a supervisor: one set of
//! shadow page tables serves kernel and user, and the privileged instructions trap. Descriptor tables
//! are empty, so whatever would read one traps too and is emulated on the guest's own.

use cutaway_cpu::{Seg, Segment, System, TableRegister};
use cutaway_isa::{Cr0, Cr4, Efer, Rflags};

/// The ring that stands for the guest's ring 0.
const KERNEL_RING: u16 = 1;
/// Where the monitor's own descriptor tables would lie; SGDT and SIDT, which do not trap, show it.
const MONITOR_TABLES: u64 = 0xffc0_0000;

/// RFLAGS that the guest may change without the monitor.
const OWN_FLAGS: Rflags = Rflags::CF
    .union(Rflags::PF)
    .union(Rflags::AF)
    .union(Rflags::ZF)
    .union(Rflags::SF)
    .union(Rflags::DF)
    .union(Rflags::OF)
    .union(Rflags::NT)
    .union(Rflags::AC)
    .union(Rflags::ID)
    .union(Rflags::RF);

/// Whether a guest in this state can run directly: protected mode without TF, breakpoint registers,
/// virtual-8086 mode or rings 1 and 2, which would need a physical state that ring 1 does not have.
pub(crate) fn is_projectable(system: &System, rflags: u64, cpl: u8) -> bool {
    let rflags = Rflags::from_bits_truncate(rflags);
    system.cr0 & Cr0::PE.bits() != 0
        && system.efer & Efer::LMA.bits() == 0
        && !rflags.intersects(Rflags::VM | Rflags::TF | Rflags::RF)
        && system.dr7 & 0xff == 0
        && matches!(cpl, 0 | 3)
}

/// The physical system state for a guest in a projectable state. Paging is the shadow's to fill in.
pub(crate) fn project(guest: &System, cpl: u8, umip: bool) -> System {
    let mut system = guest.clone();
    if cpl == 0 {
        for seg in [Seg::Cs, Seg::Ss] {
            lower(&mut system.segments[seg as usize]);
        }
    }
    let none = |base| TableRegister { base, limit: 0 };
    system.gdtr = none(MONITOR_TABLES);
    system.idtr = none(MONITOR_TABLES + 0x1000);
    system.segments[Seg::Ldtr as usize] = Segment::null(0);
    // A TSS without an I/O permission map.
    let tr = &mut system.segments[Seg::Tr as usize];
    (tr.selector, tr.base, tr.limit) = (0, MONITOR_TABLES + 0x2000, 0);
    let kept = Cr0::TS | Cr0::EM | Cr0::MP | Cr0::AM;
    let own = Cr0::PG | Cr0::PE | Cr0::WP | Cr0::ET | Cr0::NE;
    system.cr0 = guest.cr0 & kept.bits() | own.bits();
    let kept = Cr4::OSFXSR | Cr4::OSXMMEXCPT | Cr4::OSXSAVE | Cr4::TSD | Cr4::SMEP | Cr4::SMAP;
    system.cr4 = guest.cr4 & kept.bits() | Cr4::PAE.bits();
    if umip {
        system.cr4 |= Cr4::UMIP.bits();
    }
    system.efer = Efer::NXE.bits();
    system.msrs.sysenter_cs = 0;
    system
}

/// Ring compression: the selector's RPL and the cached DPL become those of the kernel's ring.
fn lower(segment: &mut Segment) {
    segment.selector = segment.selector & !3 | KERNEL_RING;
    segment.attributes = segment.attributes & !0x60 | KERNEL_RING << 5;
}

/// RFLAGS for running directly: IOPL is 0, so that what changes IF traps outside user mode, and IF
/// itself the physical CPU's, which is on. User code, which cannot change it, sees its own.
pub(crate) fn project_rflags(guest: u64, cpl: u8) -> u64 {
    let interrupts = if cpl == 3 { guest & Rflags::IF.bits() } else { Rflags::IF.bits() };
    guest & OWN_FLAGS.bits() | interrupts | Rflags::ONE.bits()
}

/// The guest's RFLAGS after it ran directly. IF and IOPL are the virtual CPU's: POPF could not
/// change them, which is how it misbehaves. TF is what POPF made of it.
pub(crate) fn reflect_rflags(guest: u64, physical: u64) -> u64 {
    let own = (OWN_FLAGS | Rflags::TF).bits();
    guest & !own | physical & own
}

/// Takes over what code that ran directly may have changed: data segments, where it loaded null
/// selectors. All else that is the system's traps.
pub(crate) fn reflect(guest: &mut System, physical: &System) {
    for seg in [Seg::Es, Seg::Ds, Seg::Fs, Seg::Gs] {
        guest.segments[seg as usize] = physical.segments[seg as usize];
    }
}
