//! CPU models: what CPUID says, and which registers go with it. Their features are in
//! `features.rs`.
//!
//! Source: Intel SDM vol. 2, "CPUID"; AMD APM vol. 3 appendix E. The 64-bit models follow the
//! x86-64 psABI's microarchitecture levels. The vendor is AMD's, as the reference silicon is; the
//! local APIC, and so bit 9 of CPUID.1:EDX, is not there yet.

use crate::Vcpu;
use crate::features::Leaf;
use cutaway_isa::{CpuidFeature, Cr0, Cr4, Efer, Xcr0};

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
    /// With 256-bit registers and what the psABI's third level asks for.
    X86_64V3,
    /// With everything there is.
    Max,
}

use CpuModel::{I486, Max, Pentium3, X86_64V1, X86_64V2, X86_64V3};

const MODELS: [(CpuModel, &str); 6] = [
    (I486, "486"),
    (Pentium3, "pentium3"),
    (X86_64V1, "x86-64-v1"),
    (X86_64V2, "x86-64-v2"),
    (X86_64V3, "x86-64-v3"),
    (Max, "max"),
];

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
            // Family 0fh, the first with long mode; family 12h, which no erratum in Linux names,
            // nor any speculative execution vulnerability.
            X86_64V1 => 0x0002_0fc2,
            X86_64V2 => 0x0030_0f10,
            X86_64V3 => 0x0030_0f20,
            Max => 0x0030_0f30,
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
        self.has_feature(CpuidFeature::LZCNT)
    }
    pub(crate) fn has_bmi1(self) -> bool {
        self.has_feature(CpuidFeature::BMI1)
    }
    /// Whether XSAVE and XCR0 are there.
    pub(crate) fn has_xsave(self) -> bool {
        self.has_feature(CpuidFeature::XSAVE)
    }
    /// Whether XSAVEC, the compacted format, and XGETBV with ECX = 1 are there.
    pub(crate) fn has_xsavec(self) -> bool {
        self.has_feature(CpuidFeature::XSAVEC)
    }
    /// The bits that XCR0 can have: the state components that XSAVE knows.
    pub(crate) fn xcr0_bits(self) -> Xcr0 {
        let ymm = if self >= X86_64V3 { Xcr0::AVX } else { Xcr0::empty() };
        Xcr0::X87 | Xcr0::SSE | ymm
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
        if self.has_feature(CpuidFeature::FSGSBASE) {
            bits |= Cr4::FSGSBASE;
        }
        if self >= Max {
            bits |= Cr4::UMIP | Cr4::SMEP | Cr4::SMAP;
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
            X86_64V2 | X86_64V3 | Max => (0xd, 0x8000_0008),
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
                let ecx = model.feature_bits(Leaf::Ecx1) | osxsave;
                // CLFLUSH line of 8 quadwords, one logical processor.
                [model.signature(), 0x0001_0800, ecx, model.feature_bits(Leaf::Edx1)]
            }
            // No cache or TLB descriptors to tell of.
            2 => [1, 0, 0, 0],
            7 if subleaf == 0 => {
                [0, model.feature_bits(Leaf::Ebx7), model.feature_bits(Leaf::Ecx7), 0]
            }
            0xd => self.xsave_leaf(subleaf),
            0x8000_0000 => {
                let [b, c, d] = model.vendor();
                [extended, b, c, d]
            }
            0x8000_0001 if model.has_long_mode() => {
                // AMD repeats the bits of leaf 1 that have the same meaning.
                let common = model.feature_bits(Leaf::Edx1) & 0x0183_f3ff;
                let edx = model.feature_bits(Leaf::EdxX) | common;
                [model.signature(), 0, model.feature_bits(Leaf::EcxX), edx]
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

    /// CPUID.0DH: the state components and where they lie in an XSAVE area (SDM vol. 1 §13.2,
    /// "Enumeration of CPU Support for XSAVE").
    fn xsave_leaf(&self, subleaf: u32) -> [u32; 4] {
        let (known, enabled) = (self.model.xcr0_bits(), Xcr0::from_bits_truncate(self.system.xcr0));
        match subleaf {
            0 => [known.bits() as u32, enabled.area_bytes(), known.area_bytes(), 0],
            // The area of XSAVES, compacted: no larger, since AVX is the first component.
            1 if self.model.has_xsavec() => {
                [self.model.feature_bits(Leaf::EaxD), enabled.area_bytes(), 0, 0]
            }
            2 if known.contains(Xcr0::AVX) => [Xcr0::AVX_BYTES, Xcr0::AVX_OFFSET, 0, 0],
            _ => [0; 4],
        }
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

    /// Linux runs it on every AMD CPU with long mode.
    #[test]
    fn long_mode_implies_prefetchw() {
        let prefetchw = [0x0f, 0x0d, 0x0c, 0x03];
        let instruction = cutaway_isa::decode(cutaway_isa::CodeSize::Bits32, &prefetchw, 0);
        let instruction = instruction.expect("these bytes are prefetchw [ebx+eax]");

        assert!(X86_64V1.has_instruction(&instruction));
        assert!(!Pentium3.has_instruction(&instruction));
    }
}
