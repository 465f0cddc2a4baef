//! The sensitive unprivileged instructions: what reads or changes the state that a monitor keeps for
//! itself, without a trap outside ring 0.
//!
//! An architecture can be virtualized by trap-and-emulate if its sensitive instructions are all
//! privileged (Popek and Goldberg 1974, theorem 1). Those of x86 are not. The list is Robin and
//! Irvine's, "Analysis of the Intel Pentium's Ability to Support a Secure Virtual Machine Monitor",
//! USENIX Security 2000, section 3.2, where RET stands for IRET as well.
//!
//! | group | instructions | what is sensitive |
//! |---|---|---|
//! | registers | SGDT SIDT SLDT SMSW | where the tables are, CR0 |
//! | registers | PUSHF POPF | IF and IOPL; above IOPL, POPF leaves IF alone |
//! | protection system | LAR LSL VERR VERW | the descriptor, and CPL |
//! | protection system | PUSH POP MOV of segment registers | RPL of CS and SS is CPL; loads read descriptors |
//! | protection system | far CALL, JMP and RET, INT n | they push CS, and compare with CPL |
//! | protection system | STR | which task this is |
//!
//! Under this monitor those that read a descriptor table to load a register trap after all, since the
//! physical tables are empty; LAR, LSL, VERR and VERW clear ZF instead. CR4.UMIP makes SGDT, SIDT,
//! SLDT, SMSW and STR trap outside ring 0 (Intel SDM vol. 3A §2.5, "Control Registers").

use cutaway_cpu::{Pins, Seg, System, Vcpu, seg_of};
use cutaway_isa::{Cr0, Cr4, Efer, Instruction, Mnemonic as M, OpKind, Width};

use crate::deprivilege;
use crate::model::Model;
use crate::vm::{Next, Vm};

/// Which of the list an instruction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitive {
    /// SGDT.
    Sgdt,
    /// SIDT.
    Sidt,
    /// SLDT.
    Sldt,
    /// STR.
    Str,
    /// SMSW, and how much of CR0 it stores.
    Smsw(Width),
    /// PUSHF at any size.
    Pushf,
    /// POPF at any size.
    Popf,
    /// LAR.
    Lar,
    /// LSL.
    Lsl,
    /// VERR.
    Verr,
    /// VERW.
    Verw,
    /// PUSH of a segment register, or MOV from one.
    ReadSegment(Seg),
    /// POP of a segment register, or MOV to one.
    LoadSegment(Seg),
    /// Far CALL.
    FarCall,
    /// Far JMP.
    FarJump,
    /// INT n.
    Interrupt,
    /// Far RET, and IRET.
    FarReturn,
}

impl Sensitive {
    /// Which one an instruction is, if any.
    #[must_use]
    pub fn of(instruction: &Instruction) -> Option<Self> {
        Some(match instruction.mnemonic() {
            M::Sgdt => Self::Sgdt,
            M::Sidt => Self::Sidt,
            M::Sldt => Self::Sldt,
            M::Str => Self::Str,
            M::Smsw => Self::Smsw(match instruction.op0_kind() {
                OpKind::Register => Width::of_bytes(instruction.op0_register().size())?,
                _ => Width::Word,
            }),
            M::Pushf | M::Pushfd | M::Pushfq => Self::Pushf,
            M::Popf | M::Popfd | M::Popfq => Self::Popf,
            M::Lar => Self::Lar,
            M::Lsl => Self::Lsl,
            M::Verr => Self::Verr,
            M::Verw => Self::Verw,
            M::Push => Self::ReadSegment(seg_of(instruction.op0_register())?),
            M::Pop => Self::LoadSegment(seg_of(instruction.op0_register())?),
            M::Mov => match seg_of(instruction.op0_register()) {
                Some(loaded) => Self::LoadSegment(loaded),
                None => Self::ReadSegment(seg_of(instruction.op1_register())?),
            },
            M::Call if instruction.is_call_far() || instruction.is_call_far_indirect() => {
                Self::FarCall
            }
            M::Jmp if instruction.is_jmp_far() || instruction.is_jmp_far_indirect() => {
                Self::FarJump
            }
            M::Int => Self::Interrupt,
            M::Retf | M::Iret | M::Iretd | M::Iretq => Self::FarReturn,
            _ => return None,
        })
    }

    /// Whether CR4.UMIP makes it trap outside ring 0.
    #[must_use]
    pub fn heeds_umip(self) -> bool {
        matches!(self, Self::Sgdt | Self::Sidt | Self::Sldt | Self::Str | Self::Smsw(_))
    }

    /// Whether it always traps under a monitor whose descriptor tables are empty, unless it loads a
    /// null selector.
    #[must_use]
    pub fn needs_tables(self) -> bool {
        matches!(
            self,
            Self::LoadSegment(_)
                | Self::FarCall
                | Self::FarJump
                | Self::Interrupt
                | Self::FarReturn
        )
    }

    /// Whether a translation has to replace it: whatever does not give, run in ring 1, what the guest
    /// itself has put there.
    pub(crate) fn is_replaced(self) -> bool {
        !matches!(self, Self::ReadSegment(Seg::Es | Seg::Ds | Seg::Fs | Seg::Gs))
    }

    /// The register that it stores, by name and value, if that is what it does.
    #[must_use]
    pub fn stored(self, system: &System) -> Option<(&'static str, String)> {
        let selector = |seg: Seg| format!("{:04x}", system.segments[seg as usize].selector);
        Some(match self {
            Self::Sgdt => {
                ("GDTR", format!("base {:08x} limit {:04x}", system.gdtr.base, system.gdtr.limit))
            }
            Self::Sidt => {
                ("IDTR", format!("base {:08x} limit {:04x}", system.idtr.base, system.idtr.limit))
            }
            Self::Sldt => ("LDTR", selector(Seg::Ldtr)),
            Self::Str => ("TR", selector(Seg::Tr)),
            Self::Smsw(width) => {
                let digits = (width.bits() / 4) as usize;
                ("CR0", format!("{:0digits$x}", system.cr0 & width.mask()))
            }
            Self::ReadSegment(seg) => (seg.name(), selector(seg)),
            _ => return None,
        })
    }
}

/// The physical state on which the guest's next instruction runs directly.
#[derive(Clone, Debug)]
pub struct Direct {
    /// The system registers, but for the roots of paging, which the shadow fills in.
    pub system: System,
    /// RFLAGS.
    pub rflags: u64,
}

impl Direct {
    /// The same with the guest's own paging, which leads to where the shadow page tables lead: for
    /// trying the instruction on the memory as the guest has it.
    #[must_use]
    pub fn on_paging_of(&self, guest: &System) -> System {
        let take = |bits: u64, from: u64, to: u64| to & !bits | from & bits;
        let mut system = self.system.clone();
        system.cr0 = take((Cr0::PG | Cr0::WP).bits(), guest.cr0, system.cr0);
        system.cr4 = take((Cr4::PAE | Cr4::PSE | Cr4::PGE).bits(), guest.cr4, system.cr4);
        system.efer = take(Efer::NXE.bits(), guest.efer, system.efer);
        system
    }

    /// What the guest's RFLAGS would be when the physical CPU's have become these.
    #[must_use]
    pub fn reflected(guest: u64, physical: u64) -> u64 {
        deprivilege::reflect_rflags(guest, physical)
    }
}

impl Vm {
    /// The physical state that the guest's next instruction runs on, if the CPU executes it
    /// directly, deprivileged; `None` if it is emulated, translated, or run in guest mode.
    #[must_use]
    pub fn direct(&self, vcpu: &Vcpu, pins: Pins) -> Option<Direct> {
        let translated = self.model == Model::Translate && vcpu.cpl() == 0;
        if self.model == Model::Hardware || translated {
            return None;
        }
        matches!(self.due(vcpu, pins), Next::Direct | Next::Step).then(|| Direct {
            system: deprivilege::project(vcpu.system(), vcpu.cpl(), self.umip),
            rflags: deprivilege::project_rflags(vcpu.rflags(), vcpu.cpl()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_isa::{CodeSize, decode};

    fn of(bytes: &[u8]) -> Option<Sensitive> {
        Sensitive::of(&decode(CodeSize::Bits32, bytes, 0).expect("whole"))
    }

    /// Encodings from the Intel SDM vol. 2, one or more for each row of the list.
    #[test]
    #[rustfmt::skip] // one row per case
    fn the_list_is_known_by_its_encodings() {
        use Sensitive as S;
        let rows: &[(&[u8], Option<Sensitive>)] = &[
            (&[0x0f, 0x01, 0x00],                         Some(S::Sgdt)),
            (&[0x0f, 0x01, 0x08],                         Some(S::Sidt)),
            (&[0x0f, 0x00, 0xc0],                         Some(S::Sldt)),
            (&[0x0f, 0x00, 0xc8],                         Some(S::Str)),
            (&[0x0f, 0x01, 0xe0],                         Some(S::Smsw(Width::Dword))),
            (&[0x66, 0x0f, 0x01, 0xe0],                   Some(S::Smsw(Width::Word))),
            (&[0x0f, 0x01, 0x20],                         Some(S::Smsw(Width::Word))),
            (&[0x9c],                                     Some(S::Pushf)),
            (&[0x66, 0x9c],                               Some(S::Pushf)),
            (&[0x9d],                                     Some(S::Popf)),
            (&[0x0f, 0x02, 0xc1],                         Some(S::Lar)),
            (&[0x0f, 0x03, 0xc1],                         Some(S::Lsl)),
            (&[0x0f, 0x00, 0xe1],                         Some(S::Verr)),
            (&[0x0f, 0x00, 0xe9],                         Some(S::Verw)),
            (&[0x0e],                                     Some(S::ReadSegment(Seg::Cs))),
            (&[0x0f, 0xa8],                               Some(S::ReadSegment(Seg::Gs))),
            (&[0x8c, 0xd0],                               Some(S::ReadSegment(Seg::Ss))),
            (&[0x8c, 0x18],                               Some(S::ReadSegment(Seg::Ds))),
            (&[0x17],                                     Some(S::LoadSegment(Seg::Ss))),
            (&[0x8e, 0xd8],                               Some(S::LoadSegment(Seg::Ds))),
            (&[0x9a, 0, 0, 0, 0, 8, 0],                   Some(S::FarCall)),
            (&[0xff, 0x1d, 0, 0, 0, 0],                   Some(S::FarCall)),
            (&[0xea, 0, 0, 0, 0, 8, 0],                   Some(S::FarJump)),
            (&[0xff, 0x2d, 0, 0, 0, 0],                   Some(S::FarJump)),
            (&[0xcd, 0x80],                               Some(S::Interrupt)),
            (&[0xcb],                                     Some(S::FarReturn)),
            (&[0xcf],                                     Some(S::FarReturn)),
            // Near, privileged, or none of it.
            (&[0xe8, 0, 0, 0, 0],                         None),
            (&[0xff, 0xe0],                               None),
            (&[0xc3],                                     None),
            (&[0x50],                                     None),
            (&[0x8b, 0xc1],                               None),
            (&[0x0f, 0x20, 0xc0],                         None),
            (&[0x0f, 0x01, 0x10],                         None),
            (&[0xfa],                                     None),
        ];
        for (bytes, expected) in rows {
            assert_eq!(of(bytes), *expected, "{bytes:02x?}");
        }
    }

    /// SDM vol. 3A §2.5: SGDT, SIDT, SLDT, SMSW and STR.
    #[test]
    fn umip_concerns_five() {
        let all: [&[u8]; 7] = [
            &[0x0f, 0x01, 0x00],
            &[0x0f, 0x01, 0x08],
            &[0x0f, 0x00, 0xc0],
            &[0x0f, 0x00, 0xc8],
            &[0x0f, 0x01, 0xe0],
            &[0x9c],
            &[0x0f, 0x02, 0xc1],
        ];
        let heeds = all.map(|bytes| of(bytes).is_some_and(Sensitive::heeds_umip));
        assert_eq!(heeds, [true, true, true, true, true, false, false]);
    }
}
