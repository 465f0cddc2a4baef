//! CPU models: what CPUID says, and which registers and instructions go with it.
//!
//! Source: Intel SDM vol. 2, "CPUID"; AMD APM vol. 3 appendix E. The 64-bit models follow the
//! x86-64 psABI's microarchitecture levels. The vendor is AMD's, as the reference silicon is; the
//! local APIC, and so bit 9 of CPUID.1:EDX, is not there yet.

use crate::Vcpu;
use cutaway_isa::{CpuidFeature, Cr0, Cr4, Efer, Instruction};

/// A CPU that a machine can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CpuModel {
    /// 80486DX with CPUID: integer and x87.
    I486,
    /// Pentium III: P6 instructions, PAE, PSE, SYSENTER, MMX, SSE.
    Pentium3,
    /// Long mode, SSE2.
    X86_64V1,
    /// With CMPXCHG16B, POPCNT, SSE3 to SSE4.2.
    X86_64V2,
}

use CpuModel::{I486, Pentium3, X86_64V1, X86_64V2};

const MODELS: [(CpuModel, &str); 4] =
    [(I486, "486"), (Pentium3, "pentium3"), (X86_64V1, "x86-64-v1"), (X86_64V2, "x86-64-v2")];

impl CpuModel {
    /// The model of a name as `--cpu` takes it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        MODELS.iter().find(|(_, n)| *n == name).map(|(model, _)| *model)
    }

    /// All names, oldest model first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        MODELS.iter().map(|(_, name)| *name)
    }

    /// The model's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        MODELS[self as usize].1
    }

    /// CPUID.1:EAX: family, model, stepping.
    #[must_use]
    pub fn signature(self) -> u32 {
        match self {
            I486 => 0x480,
            Pentium3 => 0x683,
            // Family 0fh, the first with long mode; family 12h, which no erratum in Linux names.
            X86_64V1 => 0x0002_0fc2,
            X86_64V2 => 0x0030_0f10,
        }
    }

    /// Whether EFER.LME can be set.
    #[must_use]
    pub fn has_long_mode(self) -> bool {
        self >= X86_64V1
    }
    pub(crate) fn has_efer(self) -> bool {
        self >= X86_64V1
    }
    pub(crate) fn has_syscall(self) -> bool {
        self >= X86_64V1
    }
    pub(crate) fn has_rdtscp(self) -> bool {
        self >= X86_64V2
    }
    pub(crate) fn has_msr(self) -> bool {
        self >= Pentium3
    }
    pub(crate) fn has_lzcnt(self) -> bool {
        false
    }
    pub(crate) fn has_bmi1(self) -> bool {
        false
    }
    /// Whether XSAVE and XCR0 are there.
    pub(crate) fn has_xsave(self) -> bool {
        self >= X86_64V2
    }

    /// Whether an instruction exists on this CPU, by the CPUID features that it needs.
    pub(crate) fn has_instruction(self, instruction: &Instruction) -> bool {
        instruction.cpuid_features().iter().all(|&feature| self.has_feature(feature))
    }

    fn has_feature(self, feature: CpuidFeature) -> bool {
        use CpuidFeature as F;
        let since = match feature {
            F::INTEL8086
            | F::INTEL8086_ONLY
            | F::INTEL186
            | F::INTEL286
            | F::INTEL386
            | F::INTEL486
            | F::FPU
            | F::FPU287
            | F::FPU387
            | F::CPUID
            | F::X64
            | F::SMM => I486,
            F::TSC
            | F::MSR
            | F::CX8
            | F::CMOV
            | F::SEP
            | F::MMX
            | F::FXSR
            | F::SSE
            | F::MULTIBYTENOP
            | F::RDPMC
            | F::FPU387SL_ONLY
            | F::PAUSE => Pentium3,
            F::SSE2 | F::CLFSH | F::SYSCALL => X86_64V1,
            F::SSE3
            | F::SSSE3
            | F::SSE4_1
            | F::SSE4_2
            | F::POPCNT
            | F::MOVBE
            | F::CMPXCHG16B
            | F::RDTSCP
            | F::XSAVE
            | F::PREFETCHW => X86_64V2,
            // F3 0F BC and BD run as BSF and BSR where TZCNT and LZCNT are not there.
            F::BMI1 | F::LZCNT => I486,
            // Hint space: NOP.
            F::CET_IBT | F::CET_SS => Pentium3,
            _ => return false,
        };
        self >= since
    }

    pub(crate) fn cr0_bits(self) -> u64 {
        Cr0::all().bits()
    }

    pub(crate) fn cr4_bits(self) -> u64 {
        let mut bits = Cr4::empty();
        if self >= Pentium3 {
            bits |= Cr4::VME | Cr4::PVI | Cr4::TSD | Cr4::DE | Cr4::PSE | Cr4::PAE | Cr4::MCE;
            bits |= Cr4::PGE | Cr4::PCE | Cr4::OSFXSR | Cr4::OSXMMEXCPT;
        }
        if self.has_xsave() {
            bits |= Cr4::OSXSAVE;
        }
        bits.bits()
    }

    pub(crate) fn efer_bits(self) -> u64 {
        (Efer::SCE | Efer::LME | Efer::LMA | Efer::NXE).bits()
    }

    fn vendor(self) -> [u32; 3] {
        let name: &[u8; 12] = if self.has_long_mode() { b"AuthenticAMD" } else { b"GenuineIntel" };
        let word =
            |at: usize| u32::from_le_bytes([name[at], name[at + 1], name[at + 2], name[at + 3]]);
        [word(0), word(8), word(4)] // EBX, ECX, EDX
    }

    fn brand(self) -> String {
        format!("Cutaway {} virtual CPU", self.name())
    }

    /// CPUID.1:EDX.
    fn features_edx(self) -> u32 {
        const FPU: u32 = 1 << 0;
        const VME_DE_PSE_TSC_MSR_PAE_MCE_CX8: u32 = 0x1fe;
        const SEP: u32 = 1 << 11;
        const MTRR_PGE_MCA_CMOV_PAT_PSE36: u32 = 0x3f << 12;
        const CLFSH: u32 = 1 << 19;
        const MMX_FXSR_SSE: u32 = 7 << 23;
        const SSE2: u32 = 1 << 26;
        match self {
            I486 => FPU,
            Pentium3 => {
                FPU | VME_DE_PSE_TSC_MSR_PAE_MCE_CX8
                    | SEP
                    | MTRR_PGE_MCA_CMOV_PAT_PSE36
                    | MMX_FXSR_SSE
            }
            X86_64V1 | X86_64V2 => Pentium3.features_edx() | CLFSH | SSE2,
        }
    }

    /// CPUID.1:ECX.
    fn features_ecx(self) -> u32 {
        const SSE3: u32 = 1 << 0;
        const SSSE3: u32 = 1 << 9;
        const CX16: u32 = 1 << 13;
        const SSE41_SSE42: u32 = 3 << 19;
        const MOVBE: u32 = 1 << 22;
        const POPCNT: u32 = 1 << 23;
        const XSAVE: u32 = 1 << 26;
        const HYPERVISOR: u32 = 1 << 31;
        match self {
            I486 | Pentium3 => 0,
            X86_64V1 => HYPERVISOR,
            X86_64V2 => SSE3 | SSSE3 | CX16 | SSE41_SSE42 | MOVBE | POPCNT | XSAVE | HYPERVISOR,
        }
    }
}

impl Vcpu {
    /// EAX, EBX, ECX and EDX of a CPUID leaf. Unknown leaves read as zero.
    #[must_use]
    pub fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let model = self.model;
        let (highest, extended) = match model {
            I486 => (1, 0),
            Pentium3 => (2, 0x8000_0004),
            X86_64V1 => (1, 0x8000_0008),
            X86_64V2 => (0xd, 0x8000_0008),
        };
        let is_basic = leaf <= highest;
        let is_extended = leaf >= 0x8000_0000 && leaf <= extended;
        if !is_basic && !is_extended {
            return [0; 4];
        }
        match leaf {
            0 => {
                let [b, c, d] = model.vendor();
                [highest, b, c, d]
            }
            1 => {
                let osxsave = u32::from(self.system.cr4 & Cr4::OSXSAVE.bits() != 0) << 27;
                let ecx = model.features_ecx() | osxsave;
                // CLFLUSH line of 8 quadwords, one logical processor.
                [model.signature(), 0x0001_0800, ecx, model.features_edx()]
            }
            // No cache or TLB descriptors to tell of.
            2 => [1, 0, 0, 0],
            0xd => self.xsave_leaf(subleaf),
            0x8000_0000 => {
                let [b, c, d] = model.vendor();
                [extended, b, c, d]
            }
            0x8000_0001 if model.has_long_mode() => {
                const SYSCALL: u32 = 1 << 11;
                const NX: u32 = 1 << 20;
                const PAGE1GB: u32 = 1 << 26;
                const RDTSCP: u32 = 1 << 27;
                const LM: u32 = 1 << 29;
                const LAHF: u32 = 1 << 0;
                // AMD repeats the bits of leaf 1 that have the same meaning.
                let common = model.features_edx() & 0x0183_f3ff;
                let rdtscp = if model.has_rdtscp() { RDTSCP } else { 0 };
                let lahf = if model >= X86_64V2 { LAHF } else { 0 };
                [model.signature(), 0, lahf, common | SYSCALL | NX | PAGE1GB | rdtscp | LM]
            }
            0x8000_0002..=0x8000_0004 => {
                let mut text = [0; 48];
                let brand = model.brand();
                text[..brand.len()].copy_from_slice(brand.as_bytes());
                let at = (leaf - 0x8000_0002) as usize * 16;
                std::array::from_fn(|n| {
                    let at = at + 4 * n;
                    u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]])
                })
            }
            // Invariant TSC.
            0x8000_0007 => [0, 0, 0, 1 << 8],
            0x8000_0008 => [crate::paging::PHYSICAL_BITS | 48 << 8, 0, 0, 0],
            _ => [0; 4],
        }
    }

    /// CPUID.0DH: x87 and SSE state in an XSAVE area of 576 bytes.
    fn xsave_leaf(&self, subleaf: u32) -> [u32; 4] {
        const AREA: u32 = 512 + 64;
        if subleaf == 0 { [3, AREA, AREA, 0] } else { [0; 4] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_models_and_back() {
        for name in CpuModel::names() {
            assert_eq!(CpuModel::by_name(name).map(CpuModel::name), Some(name));
        }
        assert_eq!(CpuModel::by_name("pentium9"), None);
    }
}
