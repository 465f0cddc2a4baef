//! The architectural state of a vCPU as plain data, and its state after reset.
//!
//! Source: Intel SDM vol. 3A §9.1, "Initialization Overview" (table 9-1).

use crate::float::X87;
use crate::segment::Segment;
use crate::svm::Svm;
use crate::vector::Xmm;
use serde::{Deserialize, Serialize};

/// Index of a general-purpose register in [`CpuState::gpr`].
#[expect(missing_docs, reason = "the names are the manual's")]
pub mod gpr {
    pub const RAX: usize = 0;
    pub const RCX: usize = 1;
    pub const RDX: usize = 2;
    pub const RBX: usize = 3;
    pub const RSP: usize = 4;
    pub const RBP: usize = 5;
    pub const RSI: usize = 6;
    pub const RDI: usize = 7;
}

/// Index of a segment register in [`System::segments`]; ES to GS are numbered as encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the manual's")]
pub enum Seg {
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
    Ldtr,
    Tr,
}

impl Seg {
    /// The six that instructions can load, in encoding order.
    pub const DATA: [Self; 6] = [Self::Es, Self::Cs, Self::Ss, Self::Ds, Self::Fs, Self::Gs];

    /// The register's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es => "ES",
            Self::Cs => "CS",
            Self::Ss => "SS",
            Self::Ds => "DS",
            Self::Fs => "FS",
            Self::Gs => "GS",
            Self::Ldtr => "LDTR",
            Self::Tr => "TR",
        }
    }
}

/// GDTR or IDTR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRegister {
    /// Linear address of the table.
    pub base: u64,
    /// Offset of its last byte.
    pub limit: u16,
}

/// Everything that an instruction stream can see of a vCPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CpuState {
    /// RAX RCX RDX RBX RSP RBP RSI RDI R8 to R15.
    pub gpr: [u64; 16],
    /// Offset of the next instruction in CS.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// Segmentation, control and debug registers, MSRs.
    pub system: System,
    /// The x87 unit; MMX registers are in it.
    pub x87: X87,
    /// XMM0 to XMM15.
    pub xmm: [Xmm; 16],
    /// Bits 255:128 of YMM0 to YMM15; the lower halves are in `xmm`.
    pub ymm_high: [Xmm; 16],
    /// MXCSR.
    pub mxcsr: u32,
    /// What hides between instructions: halt, interrupt shadow, NMI blocking.
    pub activity: Activity,
    /// SVM: the guest that runs and what is kept for it. A state without it, as it is written out,
    /// is that of a CPU that never entered a guest; who keeps states of CPUs with SVM keeps this
    /// beside them.
    #[serde(skip)]
    pub svm: Svm,
    /// State of the generator behind RDRAND and RDSEED; any value will do.
    pub random: u64,
    /// Instructions retired plus ticks skipped in HLT: the TSC's clock.
    pub ticks: u64,
    /// Ticks skipped in HLT.
    pub skipped: u64,
}

/// System registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// Descriptor caches, by [`Seg`].
    pub segments: [Segment; 8],
    /// GDTR.
    pub gdtr: TableRegister,
    /// IDTR.
    pub idtr: TableRegister,
    /// CR0.
    pub cr0: u64,
    /// CR2: linear address of the last #PF.
    pub cr2: u64,
    /// CR3: physical address of the paging root.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// CR8: the task priority, bits 3:0.
    pub cr8: u64,
    /// EFER.
    pub efer: u64,
    /// XCR0.
    pub xcr0: u64,
    /// DR0 to DR3.
    pub dr: [u64; 4],
    /// DR6.
    pub dr6: u64,
    /// DR7.
    pub dr7: u64,
    /// The four PDPTEs loaded with CR3 under PAE paging.
    pub pdptes: [u64; 4],
    /// The remaining MSRs.
    pub msrs: Msrs,
}

/// MSRs which are only stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Msrs {
    /// TSC minus ticks.
    pub tsc_offset: u64,
    /// IA32_APIC_BASE; kept for guests that save and restore it.
    pub apic_base: u64,
    /// SYSENTER_CS.
    pub sysenter_cs: u64,
    /// SYSENTER_ESP.
    pub sysenter_esp: u64,
    /// SYSENTER_EIP.
    pub sysenter_eip: u64,
    /// STAR.
    pub star: u64,
    /// LSTAR.
    pub lstar: u64,
    /// CSTAR.
    pub cstar: u64,
    /// SFMASK.
    pub sfmask: u64,
    /// KERNEL_GS_BASE.
    pub kernel_gs_base: u64,
    /// TSC_AUX.
    pub tsc_aux: u64,
    /// PAT.
    pub pat: u64,
    /// MTRR_DEF_TYPE.
    pub mtrr_def_type: u64,
    /// MTRR_PHYSBASEn at even, MTRR_PHYSMASKn at odd places.
    pub mtrr_var: [u64; 16],
    /// MTRR_FIX64K, FIX16K and FIX4K.
    pub mtrr_fixed: [u64; 11],
    /// MISC_ENABLE.
    pub misc_enable: u64,
    /// BIOS_SIGN_ID: the microcode revision.
    pub bios_sign_id: u64,
    /// DEBUGCTL.
    pub debugctl: u64,
    /// MCG_STATUS.
    pub mcg_status: u64,
    /// SYSCFG.
    pub syscfg: u64,
    /// HWCR.
    pub hwcr: u64,
}

/// State between instructions that no register shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// In HLT.
    pub halted: bool,
    /// After a triple fault, until reset.
    pub shut_down: bool,
    /// STI: interrupts wait for one instruction.
    pub sti_shadow: bool,
    /// MOV SS or POP SS: interrupts, NMI and debug traps wait for one instruction.
    pub ss_shadow: bool,
    /// Between an NMI and the next IRET.
    pub nmi_blocked: bool,
    /// An NMI waits.
    pub nmi_pending: bool,
    /// The level of the NMI pin when last looked at.
    pub nmi_pin: bool,
    /// FERR# is asserted: an x87 error was met while CR0.NE is 0.
    pub ferr: bool,
    /// DR6 bits of a debug trap that follows the current instruction.
    pub debug_trap: u64,
}

impl CpuState {
    /// The state after power-on or reset. `signature` is CPUID.1:EAX, which reset leaves in EDX.
    #[must_use]
    pub fn reset(signature: u32) -> Self {
        let mut gpr = [0; 16];
        gpr[gpr::RDX] = u64::from(signature);
        Self {
            gpr,
            rip: 0xfff0,
            rflags: 2,
            system: System::reset(),
            x87: X87::default(),
            xmm: [Xmm::ZERO; 16],
            ymm_high: [Xmm::ZERO; 16],
            mxcsr: 0x1f80,
            activity: Activity::default(),
            svm: Svm::default(),
            random: 0,
            ticks: 0,
            skipped: 0,
        }
    }
}

impl System {
    fn reset() -> Self {
        let mut segments = [Segment::real_mode_data(0); 8];
        segments[Seg::Cs as usize] = Segment::reset_code();
        segments[Seg::Ldtr as usize] = Segment::reset_ldtr();
        segments[Seg::Tr as usize] = Segment::reset_tr();
        Self {
            segments,
            gdtr: TableRegister { base: 0, limit: 0xffff },
            idtr: TableRegister { base: 0, limit: 0xffff },
            cr0: 0x6000_0010,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            cr8: 0,
            efer: 0,
            xcr0: 1,
            dr: [0; 4],
            dr6: 0xffff_0ff0,
            dr7: 0x400,
            pdptes: [0; 4],
            msrs: Msrs {
                tsc_offset: 0,
                apic_base: 0xfee0_0900,
                sysenter_cs: 0,
                sysenter_esp: 0,
                sysenter_eip: 0,
                star: 0,
                lstar: 0,
                cstar: 0,
                sfmask: 0,
                kernel_gs_base: 0,
                tsc_aux: 0,
                pat: 0x0007_0406_0007_0406,
                mtrr_def_type: 0,
                mtrr_var: [0; 16],
                mtrr_fixed: [0; 11],
                misc_enable: 1,
                bios_sign_id: 0,
                debugctl: 0,
                mcg_status: 0,
                syscfg: 0,
                hwcr: 0,
            },
        }
    }
}
