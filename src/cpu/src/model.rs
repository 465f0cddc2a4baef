//! CPU models: what CPUID says, and which registers go with it. Their features are in
//! `features.rs`.
//!
//! Source: Intel SDM vol. 2, "CPUID"; AMD APM vol. 3 appendix E. The 64-bit models follow the
//! x86-64 psABI's microarchitecture levels. The vendor is AMD's, as the reference silicon is.

use crate::Vcpu;
use crate::control;
use crate::features::Leaf;
use cutaway_isa::{CpuidFeature, Cr0, Cr4, Efer, Xcr0};

/// How much a CPU model has, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    I486,
    Pentium3,
    X86_64V1,
    X86_64V2,
    X86_64V3,
    Max,
}

/// What a CPU has beyond its level, asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Options(u8);

impl Options {
    pub(crate) const NONE: Self = Self(0);
    /// AMD's virtualization.
    pub(crate) const SVM: Self = Self(1);
    /// A local APIC, and so an I/O APIC on the board.
    pub(crate) const APIC: Self = Self(2);

    pub(crate) fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn with(self, other: Self, on: bool) -> Self {
        Self(if on { self.0 | other.0 } else { self.0 & !other.0 })
    }
}

/// A CPU that a machine can have: a level and options beside it. Compared by level first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuModel {
    pub(crate) level: Level,
    pub(crate) options: Options,
}

use Level::{I486, Max, Pentium3, X86_64V1, X86_64V2, X86_64V3};

/// Names of the levels: alone, with SVM, with an APIC, and with both, where they can have it.
#[rustfmt::skip] // one row per level
const MODELS: [(Level, &str, [Option<&str>; 3]); 6] = [
    (I486, "486", [None, None, None]),
    (Pentium3, "pentium3", [None, Some("pentium3,+apic"), None]),
    (X86_64V1, "x86-64-v1",
        [Some("x86-64-v1,+svm"), Some("x86-64-v1,+apic"), Some("x86-64-v1,+svm,+apic")]),
    (X86_64V2, "x86-64-v2",
        [Some("x86-64-v2,+svm"), Some("x86-64-v2,+apic"), Some("x86-64-v2,+svm,+apic")]),
    (X86_64V3, "x86-64-v3",
        [Some("x86-64-v3,+svm"), Some("x86-64-v3,+apic"), Some("x86-64-v3,+svm,+apic")]),
    (Max, "max", [Some("max,+svm"), Some("max,+apic"), Some("max,+svm,+apic")]),
];

/// Why a name is that of no CPU model. Its text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpuNameError {
    /// There is no such model.
    Model(String),
    /// There is no such feature to choose.
    Feature(String),
    /// The model cannot have SVM.
    NoLongMode(String),
    /// The model cannot have a local APIC.
    NoMsr(String),
}

impl std::fmt::Display for CpuNameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Model(name) => {
                let names: Vec<_> = CpuModel::names().collect();
                write!(f, "unknown CPU model '{name}': there are {}", names.join(", "))
            }
            Self::Feature(name) => {
                write!(f, "unknown CPU feature '{name}': there are +svm, -svm, +apic and -apic")
            }
            Self::NoLongMode(name) => write!(f, "CPU model '{name}' cannot have svm"),
            Self::NoMsr(name) => write!(f, "CPU model '{name}' cannot have apic"),
        }
    }
}

impl std::error::Error for CpuNameError {}

#[expect(non_upper_case_globals, reason = "they read like the names of the models")]
impl CpuModel {
    /// 80486DX with CPUID: integer and x87.
    pub const I486: Self = Self::of(I486);
    /// Pentium III: P6 instructions, PAE, PSE, SYSENTER, MMX, SSE.
    pub const Pentium3: Self = Self::of(Pentium3);
    /// Long mode, SSE2.
    pub const X86_64V1: Self = Self::of(X86_64V1);
    /// With CMPXCHG16B, POPCNT, SSE3 to SSE4.2.
    pub const X86_64V2: Self = Self::of(X86_64V2);
    /// With 256-bit registers and what the psABI's third level asks for.
    pub const X86_64V3: Self = Self::of(X86_64V3);
    /// With everything there is but SVM and the APIC, which are asked for by name.
    pub const Max: Self = Self::of(Max);
}

impl CpuModel {
    const fn of(level: Level) -> Self {
        Self { level, options: Options::NONE }
    }

    /// The same with SVM, if it can have it.
    #[must_use]
    pub fn with_svm(self) -> Option<Self> {
        let options = self.options.with(Options::SVM, true);
        self.has_long_mode().then_some(Self { options, ..self })
    }

    /// The model of a name as `--cpu` takes it: that of a level, with `,+svm`, `,-svm`, `,+apic`
    /// and `,-apic` behind it.
    ///
    /// # Errors
    /// There is no such level or feature, or the level cannot have the feature.
    pub fn parse(name: &str) -> Result<Self, CpuNameError> {
        let mut words = name.split(',');
        let level = words.next().unwrap_or_default();
        let Some(&(level, ..)) = MODELS.iter().find(|(_, n, _)| *n == level) else {
            return Err(CpuNameError::Model(level.to_owned()));
        };
        let mut options = Options::NONE;
        for word in words {
            let (option, on) = match word {
                "+svm" => (Options::SVM, true),
                "-svm" => (Options::SVM, false),
                "+apic" => (Options::APIC, true),
                "-apic" => (Options::APIC, false),
                _ => return Err(CpuNameError::Feature(word.to_owned())),
            };
            options = options.with(option, on);
        }
        let plain = Self::of(level);
        if options.contains(Options::SVM) && !plain.has_long_mode() {
            return Err(CpuNameError::NoLongMode(plain.name().to_owned()));
        }
        if options.contains(Options::APIC) && !plain.has_msr() {
            return Err(CpuNameError::NoMsr(plain.name().to_owned()));
        }
        Ok(Self { level, options })
    }

    /// [`Self::parse`] for who does not ask why.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::parse(name).ok()
    }

    /// The names of the levels, oldest first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        MODELS.iter().map(|(_, name, _)| *name)
    }

    /// The model's name, which [`Self::parse`] takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        let (_, plain, with) = MODELS[self.level as usize];
        let Some(place) = usize::from(self.options.0).checked_sub(1) else { return plain };
        with[place].unwrap_or(plain)
    }

    /// Whether the CPU has AMD's virtualization, SVM.
    #[must_use]
    pub fn has_svm(self) -> bool {
        self.options.contains(Options::SVM)
    }

    /// Whether the CPU has a local APIC.
    #[must_use]
    pub fn has_apic(self) -> bool {
        self.options.contains(Options::APIC)
    }

    /// CPUID.1:EAX: family, model, stepping.
    #[must_use]
    pub fn signature(self) -> u32 {
        match self.level {
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
        self.level >= X86_64V1
    }
    pub(crate) fn has_efer(self) -> bool {
        self.level >= X86_64V1
    }
    pub(crate) fn has_syscall(self) -> bool {
        self.level >= X86_64V1
    }
    pub(crate) fn has_rdtscp(self) -> bool {
        self.level >= X86_64V2
    }
    pub(crate) fn has_msr(self) -> bool {
        self.level >= Pentium3
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
        let ymm = if self.level >= X86_64V3 { Xcr0::AVX } else { Xcr0::empty() };
        Xcr0::X87 | Xcr0::SSE | ymm
    }

    pub(crate) fn cr0_bits(self) -> u64 {
        Cr0::all().bits()
    }

    pub(crate) fn cr4_bits(self) -> u64 {
        let mut bits = Cr4::empty();
        if self.level >= Pentium3 {
            bits |= Cr4::VME | Cr4::PVI | Cr4::TSD | Cr4::DE | Cr4::PSE | Cr4::PAE | Cr4::MCE;
            bits |= Cr4::PGE | Cr4::PCE | Cr4::OSFXSR | Cr4::OSXMMEXCPT;
        }
        if self.has_xsave() {
            bits |= Cr4::OSXSAVE;
        }
        if self.has_feature(CpuidFeature::FSGSBASE) {
            bits |= Cr4::FSGSBASE;
        }
        if self.level >= Max {
            bits |= Cr4::UMIP | Cr4::SMEP | Cr4::SMAP;
        }
        bits.bits()
    }

    pub(crate) fn efer_bits(self) -> u64 {
        let svm = if self.has_svm() { Efer::SVME } else { Efer::empty() };
        (Efer::SCE | Efer::LME | Efer::LMA | Efer::NXE | svm).bits()
    }

    fn vendor(self) -> [u32; 3] {
        let name: &[u8; 12] = if self.has_long_mode() { b"AuthenticAMD" } else { b"GenuineIntel" };
        let word =
            |at: usize| u32::from_le_bytes([name[at], name[at + 1], name[at + 2], name[at + 3]]);
        [word(0), word(8), word(4)] // EBX, ECX, EDX
    }

    fn brand(self) -> String {
        format!("Cutaway {} virtual CPU", Self::of(self.level).name())
    }
}

impl Vcpu {
    /// EAX, EBX, ECX and EDX of a CPUID leaf. Unknown leaves read as zero.
    #[must_use]
    pub fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let model = self.model;
        let (highest, extended) = match model.level {
            I486 => (1, 0),
            Pentium3 => (2, 0x8000_0004),
            X86_64V1 => (1, 0x8000_0008),
            X86_64V2 | X86_64V3 | Max => (0xd, 0x8000_0008),
        };
        let extended = if model.has_svm() { 0x8000_000a } else { extended };
        let is_basic = leaf <= highest;
        let is_extended = leaf >= 0x8000_0000 && leaf <= extended;
        if !is_basic && !is_extended {
            return [0; 4];
        }
        // An APIC that IA32_APIC_BASE has disabled is not there (SDM vol. 3A, "Presence of the Local
        // APIC"); without one the bit is zero anyway.
        let apic_is_on = self.system.msrs.apic_base & control::APIC_ENABLE != 0;
        let edx_1 = model.feature_bits(Leaf::Edx1) & !(u32::from(!apic_is_on) << 9);
        match leaf {
            0 => {
                let [b, c, d] = model.vendor();
                [highest, b, c, d]
            }
            1 => {
                let osxsave = u32::from(self.system.cr4 & Cr4::OSXSAVE.bits() != 0) << 27;
                let ecx = model.feature_bits(Leaf::Ecx1) | osxsave;
                // CLFLUSH line of 8 quadwords, one logical processor.
                [model.signature(), 0x0001_0800, ecx, edx_1]
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
                let common = edx_1 & 0x0183_f3ff;
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
            0x8000_000a => crate::svm::CPUID_LEAF,
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

    #[test]
    fn svm_is_an_option_of_the_models_with_long_mode() {
        let model = CpuModel::by_name("max,+svm").unwrap();
        assert!(model.has_svm() && model > CpuModel::Max && model.name() == "max,+svm");
        assert_eq!(CpuModel::by_name("max,+svm,-svm"), Some(CpuModel::Max));
        assert_eq!(CpuModel::parse("486,+svm"), Err(CpuNameError::NoLongMode("486".to_owned())));
        assert_eq!(CpuModel::parse("486,+apic"), Err(CpuNameError::NoMsr("486".to_owned())));
        for name in ["pentium3,+apic", "max,+apic", "x86-64-v2,+svm,+apic"] {
            assert_eq!(CpuModel::parse(name).map(CpuModel::name), Ok(name));
        }
        assert_eq!(CpuModel::parse("max,+vmx"), Err(CpuNameError::Feature("+vmx".to_owned())));
    }

    /// Linux runs it on every AMD CPU with long mode.
    #[test]
    fn long_mode_implies_prefetchw() {
        let prefetchw = [0x0f, 0x0d, 0x0c, 0x03];
        let instruction = cutaway_isa::decode(cutaway_isa::CodeSize::Bits32, &prefetchw, 0);
        let instruction = instruction.expect("these bytes are prefetchw [ebx+eax]");

        assert!(CpuModel::X86_64V1.has_instruction(&instruction));
        assert!(!CpuModel::Pentium3.has_instruction(&instruction));
    }
}
