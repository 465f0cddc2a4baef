//! AVX and AVX2.
//!
//! Source: Intel SDM vol. 2 §2.3, "Intel Advanced Vector Extensions (Intel AVX)", §2.4, "AVX and
//! SSE Instruction Exception Classification", and the page of each mnemonic.

use crate::exception::{Exception, Fault};
use crate::exec::Exec;
use cutaway_isa::{CpuidFeature, Instruction};

/// Whether a VEX instruction needs the YMM state to be enabled: all but those on general-purpose
/// registers.
pub(crate) fn needs_avx(i: &Instruction) -> bool {
    let is_integer = |f: &CpuidFeature| matches!(f, CpuidFeature::BMI1 | CpuidFeature::BMI2);
    !i.cpuid_features().iter().any(is_integer)
}

/// What runs in place of an instruction that needs AVX where it is not enabled: #UD, or #NM where
/// CR0.TS alone is in the way.
pub(crate) fn avx_unavailable(e: &mut Exec<'_>) -> Result<(), Fault> {
    Err(if e.cpu.avx_enabled() { Exception::NM } else { Exception::UD }.into())
}
