//! Which instruction forms there are, which are compared, and which cannot be and why.
//!
//! A form is an iced-x86 `Code` (opcode, operand kinds and sizes) in a code size.

use cutaway_isa::CodeSize;
use iced_x86::{Code, CpuidFeature, DecoderOptions, EncodingKind, OpCodeInfo};

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Opcode and operands.
    pub code: Code,
    /// The code size it is run in.
    pub size: CodeSize,
}

/// Why a form is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excluded {
    /// Not in what Cutaway sets out to have.
    OutOfScope,
    /// What silicon gives says nothing about the instruction.
    NotComparable(&'static str),
}

impl Form {
    /// The name of its `Code`: unique, and stable across versions of iced-x86.
    #[must_use]
    pub fn name(self) -> String {
        format!("{:?}", self.code)
    }

    /// As `name/size`.
    #[must_use]
    pub fn label(self) -> String {
        format!("{:?}/{}", self.code, self.size.bits())
    }

    /// Facts about its encoding.
    #[must_use]
    pub fn op_code(self) -> &'static OpCodeInfo {
        self.code.op_code()
    }
}

/// All forms in scope that silicon can be asked about, in the order of iced-x86.
#[must_use]
pub fn all() -> Vec<Form> {
    let sizes = [CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64];
    Code::values()
        .flat_map(|code| sizes.map(|size| Form { code, size }))
        .filter(|form| exists(*form) && excluded(form.code).is_none())
        .collect()
}

/// Whether the decoder, set to AMD's ways, can give this form.
#[must_use]
pub fn exists(form: Form) -> bool {
    let op = form.op_code();
    let decodable = match form.size {
        CodeSize::Bits16 => op.mode16(),
        CodeSize::Bits32 => op.mode32(),
        CodeSize::Bits64 => op.mode64() && op.amd_decoder64(),
    };
    let plain = matches!(op.encoding(), EncodingKind::Legacy | EncodingKind::VEX);
    let option = op.decoder_option();
    let on = option == DecoderOptions::NONE || option == DecoderOptions::AMD;
    // AMD's has no ModRM byte.
    let intel = matches!(form.code, Code::Ud0_r16_rm16 | Code::Ud0_r32_rm32 | Code::Ud0_r64_rm64);
    op.is_instruction() && !intel && plain && decodable && on && !op.fwait()
}

/// Why this `Code` is not compared, if it is not.
#[must_use]
pub fn excluded(code: Code) -> Option<Excluded> {
    if code.cpuid_features().iter().any(|&feature| !in_scope(feature)) {
        return Some(Excluded::OutOfScope);
    }
    not_comparable(code).map(Excluded::NotComparable)
}

/// Whether Cutaway sets out to have instructions of this feature.
fn in_scope(feature: CpuidFeature) -> bool {
    use CpuidFeature as F;
    matches!(
        feature,
        F::INTEL8086
            | F::INTEL186
            | F::INTEL286
            | F::INTEL386
            | F::INTEL486
            | F::FPU
            | F::FPU287
            | F::FPU387
            | F::CPUID
            | F::X64
            | F::TSC
            | F::MSR
            | F::CX8
            | F::CMOV
            | F::SEP
            | F::MMX
            | F::FXSR
            | F::MULTIBYTENOP
            | F::RDPMC
            | F::PAUSE
            | F::SSE
            | F::SSE2
            | F::SSE3
            | F::SSSE3
            | F::SSE4_1
            | F::SSE4_2
            | F::SSE4A
            | F::CLFSH
            | F::CLFLUSHOPT
            | F::CLWB
            | F::SYSCALL
            | F::POPCNT
            | F::LZCNT
            | F::MOVBE
            | F::CMPXCHG16B
            | F::RDTSCP
            | F::PREFETCHW
            | F::CET_IBT
            | F::CET_SS
            | F::XSAVE
            | F::XSAVEC
            | F::XSAVEOPT
            | F::XSAVES
            | F::FSGSBASE
            | F::BMI1
            | F::BMI2
            | F::AVX
            | F::AVX2
            | F::FMA
            | F::F16C
            | F::AES
            | F::PCLMULQDQ
            | F::SHA
            | F::ADX
            | F::RDRAND
            | F::RDSEED
            | F::RDPID
            | F::VAES
            | F::VPCLMULQDQ
            | F::GFNI
    )
}

/// Codes whose result on silicon depends on the host, or that Linux answers itself.
fn not_comparable(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Cpuid => "names the host's CPU",
        Code::Rdtsc | Code::Rdtscp => "reads the host's clock",
        Code::Rdpid_r32 | Code::Rdpid_r64 => "reads the number of the host's CPU",
        Code::Xgetbv => "reads the host's XCR0, which has more components",
        Code::Rdrand_r16
        | Code::Rdrand_r32
        | Code::Rdrand_r64
        | Code::Rdseed_r16
        | Code::Rdseed_r32
        | Code::Rdseed_r64 => "random",
        Code::Syscall | Code::Sysenter => "enters the host's kernel",
        Code::Sgdt_m1632
        | Code::Sgdt_m1632_16
        | Code::Sgdt_m1664
        | Code::Sidt_m1632
        | Code::Sidt_m1632_16
        | Code::Sidt_m1664
        | Code::Sldt_rm16
        | Code::Sldt_r32m16
        | Code::Sldt_r64m16
        | Code::Str_rm16
        | Code::Str_r32m16
        | Code::Str_r64m16
        | Code::Smsw_rm16
        | Code::Smsw_r32m16
        | Code::Smsw_r64m16 => "Linux emulates it under UMIP",
        Code::Xrstors_mem | Code::Xrstors64_mem | Code::Xsaves_mem | Code::Xsaves64_mem => {
            return None;
        }
        _ => return None,
    })
}

/// Whether the host's CPU has what this `Code` needs.
#[cfg(target_arch = "x86_64")]
#[must_use]
pub fn host_has(code: Code) -> bool {
    use CpuidFeature as F;
    use std::arch::x86_64::__cpuid_count;
    let bit = |leaf: u32, subleaf: u32, register: usize, bit: u32| {
        let r = __cpuid_count(leaf, subleaf);
        [r.eax, r.ebx, r.ecx, r.edx][register] >> bit & 1 != 0
    };
    code.cpuid_features().iter().all(|feature| match feature {
        F::SSE3 => bit(1, 0, 2, 0),
        F::PCLMULQDQ => bit(1, 0, 2, 1),
        F::SSSE3 => bit(1, 0, 2, 9),
        F::FMA => bit(1, 0, 2, 12),
        F::CMPXCHG16B => bit(1, 0, 2, 13),
        F::SSE4_1 => bit(1, 0, 2, 19),
        F::SSE4_2 => bit(1, 0, 2, 20),
        F::MOVBE => bit(1, 0, 2, 22),
        F::POPCNT => bit(1, 0, 2, 23),
        F::AES => bit(1, 0, 2, 25),
        F::XSAVE => bit(1, 0, 2, 27),
        F::AVX => bit(1, 0, 2, 28),
        F::F16C => bit(1, 0, 2, 29),
        F::FSGSBASE => bit(7, 0, 1, 0),
        F::BMI1 => bit(7, 0, 1, 3),
        F::AVX2 => bit(7, 0, 1, 5),
        F::BMI2 => bit(7, 0, 1, 8),
        F::ADX => bit(7, 0, 1, 19),
        F::CLFLUSHOPT => bit(7, 0, 1, 23),
        F::CLWB => bit(7, 0, 1, 24),
        F::SHA => bit(7, 0, 1, 29),
        F::GFNI => bit(7, 0, 2, 8),
        F::VAES => bit(7, 0, 2, 9),
        F::VPCLMULQDQ => bit(7, 0, 2, 10),
        F::XSAVEOPT => bit(0xd, 1, 0, 0),
        F::XSAVEC => bit(0xd, 1, 0, 1),
        F::XSAVES => bit(0xd, 1, 0, 3),
        F::LZCNT => bit(0x8000_0001, 0, 2, 5),
        F::SSE4A => bit(0x8000_0001, 0, 2, 6),
        F::PREFETCHW => bit(0x8000_0001, 0, 2, 8),
        _ => true,
    })
}
