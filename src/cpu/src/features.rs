//! Which features a CPU model has, and where CPUID tells of them.
//!
//! Source: Intel SDM vol. 2, "CPUID"; AMD APM vol. 3 appendices D and E; the x86-64 psABI §3.1.1,
//! "Processor Architecture", for the microarchitecture levels.
//!
//! One table, from which both [`CpuModel::has_feature`] and the CPUID leaves are worked out. What
//! has no row CPUID keeps silent about, and its instructions are #UD.

use crate::model::{CpuModel, Level, Options};
use Level::{I486, Max, Pentium3, X86_64V1, X86_64V2, X86_64V3};
use cutaway_isa::{Code, CpuidFeature, Instruction};

/// A register of a CPUID leaf that holds feature bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf {
    /// CPUID.1:EDX.
    Edx1,
    /// CPUID.1:ECX.
    Ecx1,
    /// CPUID.(7, 0):EBX.
    Ebx7,
    /// CPUID.(7, 0):ECX.
    Ecx7,
    /// CPUID.(0DH, 1):EAX.
    EaxD,
    /// CPUID.8000_0001H:ECX.
    EcxX,
    /// CPUID.8000_0001H:EDX.
    EdxX,
    /// No bit: the feature goes with another one or with the model.
    Silent,
}

/// One row of the table.
struct Feature {
    /// The manual's name, for who reads the table and for its test.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the test looks at it"))]
    name: &'static str,
    /// The first model that has it.
    since: Level,
    /// The options that it comes with.
    with: Options,
    leaf: Leaf,
    bit: u32,
    /// The instructions that come with it, as the decoder names them.
    instructions: Option<CpuidFeature>,
}

use CpuidFeature as F;
use Leaf::{EaxD, Ebx7, Ecx1, Ecx7, EcxX, Edx1, EdxX, Silent};

const fn row(
    name: &'static str,
    since: Level,
    leaf: Leaf,
    bit: u32,
    instructions: Option<CpuidFeature>,
) -> Feature {
    Feature { name, since, with: Options::NONE, leaf, bit, instructions }
}

const fn svm(
    name: &'static str,
    leaf: Leaf,
    bit: u32,
    instructions: Option<CpuidFeature>,
) -> Feature {
    Feature { name, since: X86_64V1, with: Options::SVM, leaf, bit, instructions }
}

const fn apic(name: &'static str, leaf: Leaf, bit: u32) -> Feature {
    Feature { name, since: Pentium3, with: Options::APIC, leaf, bit, instructions: None }
}

#[rustfmt::skip] // one row per feature
const FEATURES: &[Feature] = &[
    row("8086",       I486,     Silent, 0, Some(F::INTEL8086)),
    row("8086 only",  I486,     Silent, 0, Some(F::INTEL8086_ONLY)),
    row("186",        I486,     Silent, 0, Some(F::INTEL186)),
    row("286",        I486,     Silent, 0, Some(F::INTEL286)),
    row("386",        I486,     Silent, 0, Some(F::INTEL386)),
    row("486",        I486,     Silent, 0, Some(F::INTEL486)),
    row("287",        I486,     Silent, 0, Some(F::FPU287)),
    row("387",        I486,     Silent, 0, Some(F::FPU387)),
    row("CPUID",      I486,     Silent, 0, Some(F::CPUID)),
    row("64-bit",     I486,     Silent, 0, Some(F::X64)), // decoded in 64-bit mode alone
    row("SMM",        I486,     Silent, 0, Some(F::SMM)),
    row("NOPL",       Pentium3, Silent, 0, Some(F::MULTIBYTENOP)),
    row("RDPMC",      Pentium3, Silent, 0, Some(F::RDPMC)),
    row("387SL",      Pentium3, Silent, 0, Some(F::FPU387SL_ONLY)),
    row("PAUSE",      Pentium3, Silent, 0, Some(F::PAUSE)),
    row("CET_IBT",    Pentium3, Silent, 0, Some(F::CET_IBT)), // hint space: NOP
    row("CET_SS",     Pentium3, Silent, 0, Some(F::CET_SS)), // likewise

    row("FPU",        I486,     Edx1,  0, Some(F::FPU)),
    row("VME",        Pentium3, Edx1,  1, None),
    row("DE",         Pentium3, Edx1,  2, None),
    row("PSE",        Pentium3, Edx1,  3, None),
    row("TSC",        Pentium3, Edx1,  4, Some(F::TSC)),
    row("MSR",        Pentium3, Edx1,  5, Some(F::MSR)),
    row("PAE",        Pentium3, Edx1,  6, None),
    row("MCE",        Pentium3, Edx1,  7, None),
    row("CX8",        Pentium3, Edx1,  8, Some(F::CX8)),
    apic("APIC",                Edx1,  9),
    row("SEP",        Pentium3, Edx1, 11, Some(F::SEP)),
    row("MTRR",       Pentium3, Edx1, 12, None),
    row("PGE",        Pentium3, Edx1, 13, None),
    row("MCA",        Pentium3, Edx1, 14, None),
    row("CMOV",       Pentium3, Edx1, 15, Some(F::CMOV)),
    row("PAT",        Pentium3, Edx1, 16, None),
    row("PSE36",      Pentium3, Edx1, 17, None),
    row("CLFSH",      X86_64V1, Edx1, 19, Some(F::CLFSH)),
    row("MMX",        Pentium3, Edx1, 23, Some(F::MMX)),
    row("FXSR",       Pentium3, Edx1, 24, Some(F::FXSR)),
    row("SSE",        Pentium3, Edx1, 25, Some(F::SSE)),
    row("SSE2",       X86_64V1, Edx1, 26, Some(F::SSE2)),

    row("SSE3",       X86_64V2, Ecx1,  0, Some(F::SSE3)),
    row("PCLMULQDQ",   Max,      Ecx1,  1, Some(F::PCLMULQDQ)),
    row("SSSE3",      X86_64V2, Ecx1,  9, Some(F::SSSE3)),
    row("FMA",         X86_64V3, Ecx1, 12, Some(F::FMA)),
    row("CMPXCHG16B", X86_64V2, Ecx1, 13, Some(F::CMPXCHG16B)),
    row("SSE4.1",     X86_64V2, Ecx1, 19, Some(F::SSE4_1)),
    row("SSE4.2",     X86_64V2, Ecx1, 20, Some(F::SSE4_2)),
    row("MOVBE",      X86_64V2, Ecx1, 22, Some(F::MOVBE)),
    row("POPCNT",     X86_64V2, Ecx1, 23, Some(F::POPCNT)),
    row("AES",         Max,      Ecx1, 25, Some(F::AES)),
    row("XSAVE",      X86_64V2, Ecx1, 26, Some(F::XSAVE)),
    row("AVX",        X86_64V3, Ecx1, 28, Some(F::AVX)),
    row("F16C",        X86_64V3, Ecx1, 29, Some(F::F16C)),
    row("RDRAND",      Max,      Ecx1, 30, Some(F::RDRAND)),
    row("hypervisor", X86_64V1, Ecx1, 31, None),

    row("FSGSBASE",    Max,      Ebx7,  0, Some(F::FSGSBASE)),
    row("BMI1",        X86_64V3, Ebx7,  3, Some(F::BMI1)),
    row("AVX2",       X86_64V3, Ebx7,  5, Some(F::AVX2)),
    row("SMEP",       Max,      Ebx7,  7, None),
    row("BMI2",        X86_64V3, Ebx7,  8, Some(F::BMI2)),
    row("RDSEED",      Max,      Ebx7, 18, Some(F::RDSEED)),
    row("ADX",         Max,      Ebx7, 19, Some(F::ADX)),
    row("SMAP",       Max,      Ebx7, 20, Some(F::SMAP)),
    row("CLFLUSHOPT",  Max,      Ebx7, 23, Some(F::CLFLUSHOPT)),
    row("CLWB",        Max,      Ebx7, 24, Some(F::CLWB)),
    row("SHA",         Max,      Ebx7, 29, Some(F::SHA)),

    row("UMIP",       Max,      Ecx7,  2, None),
    row("GFNI",        Max,      Ecx7,  8, Some(F::GFNI)),
    row("VAES",        Max,      Ecx7,  9, Some(F::VAES)),
    row("VPCLMULQDQ",  Max,      Ecx7, 10, Some(F::VPCLMULQDQ)),
    row("RDPID",       Max,      Ecx7, 22, Some(F::RDPID)),

    row("XSAVEOPT",    Max,      EaxD,  0, Some(F::XSAVEOPT)),
    row("XSAVEC",      Max,      EaxD,  1, Some(F::XSAVEC)),
    row("XGETBV1",     Max,      EaxD,  2, None),
    row("XSAVES",      Max,      EaxD,  3, Some(F::XSAVES)),

    row("LAHF",       X86_64V2, EcxX,  0, None),
    svm("SVM",                  EcxX,  2, Some(F::SVM)),
    svm("SVM's STGI",           Silent, 0, Some(F::SKINIT_or_SVM)),
    row("LZCNT",       X86_64V3, EcxX,  5, Some(F::LZCNT)),
    row("SSE4A",       Max,      EcxX,  6, Some(F::SSE4A)),
    row("PREFETCHW",  X86_64V1, EcxX,  8, Some(F::PREFETCHW)),
    row("SYSCALL",    X86_64V1, EdxX, 11, Some(F::SYSCALL)),
    row("NX",         X86_64V1, EdxX, 20, None),
    row("PAGE1GB",    X86_64V1, EdxX, 26, None),
    row("RDTSCP",     X86_64V2, EdxX, 27, Some(F::RDTSCP)),
    row("LM",         X86_64V1, EdxX, 29, None),
];

impl CpuModel {
    /// Whether the CPU has a feature that brings instructions.
    pub(crate) fn has_feature(self, feature: CpuidFeature) -> bool {
        FEATURES.iter().any(|row| row.instructions == Some(feature) && self.has(row))
    }

    fn has(self, row: &Feature) -> bool {
        self.level >= row.since && self.options.contains(row.with)
    }

    /// The feature bits of a CPUID register.
    pub(crate) fn feature_bits(self, leaf: Leaf) -> u32 {
        let rows = FEATURES.iter().filter(|row| row.leaf == leaf && self.has(row));
        rows.fold(0, |bits, row| bits | 1 << row.bit)
    }

    /// Whether an instruction exists on this CPU, by the CPUID features that it needs.
    pub(crate) fn has_instruction(self, instruction: &Instruction) -> bool {
        self.meant_by(instruction.code()) != instruction.code()
            || instruction.cpuid_features().iter().all(|&feature| self.has_feature(feature))
    }

    /// The code whose meaning an instruction has on this CPU: F3 before BSF and BSR means nothing
    /// where TZCNT and LZCNT are not there.
    pub(crate) fn meant_by(self, code: Code) -> Code {
        match code {
            Code::Tzcnt_r16_rm16 if !self.has_bmi1() => Code::Bsf_r16_rm16,
            Code::Tzcnt_r32_rm32 if !self.has_bmi1() => Code::Bsf_r32_rm32,
            Code::Tzcnt_r64_rm64 if !self.has_bmi1() => Code::Bsf_r64_rm64,
            Code::Lzcnt_r16_rm16 if !self.has_lzcnt() => Code::Bsr_r16_rm16,
            Code::Lzcnt_r32_rm32 if !self.has_lzcnt() => Code::Bsr_r32_rm32,
            Code::Lzcnt_r64_rm64 if !self.has_lzcnt() => Code::Bsr_r64_rm64,
            code => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_features_share_a_bit_or_a_name() {
        for (n, one) in FEATURES.iter().enumerate() {
            for other in &FEATURES[n + 1..] {
                assert_ne!(one.name, other.name);
                let same = one.leaf == other.leaf && one.bit == other.bit;
                assert!(one.leaf == Silent || !same, "{} and {}", one.name, other.name);
            }
        }
    }

    /// SDM vol. 2, "CPUID": what the oldest models said, as numbers.
    #[test]
    fn leaf_1_of_the_old_models_is_what_it_was() {
        assert_eq!(CpuModel::I486.feature_bits(Edx1), 1);
        assert_eq!(CpuModel::Pentium3.feature_bits(Edx1), 0x0383_f9ff);
        assert_eq!(CpuModel::X86_64V1.feature_bits(Edx1), 0x078b_f9ff);
        let with_apic = CpuModel::by_name("pentium3,+apic").unwrap();
        assert_eq!(with_apic.feature_bits(Edx1), 0x0383_fbff);
        assert_eq!(CpuModel::X86_64V1.feature_bits(Ecx1), 1 << 31);
        assert_eq!(CpuModel::X86_64V2.feature_bits(Ecx1), 0x84d8_2201);
    }
}
