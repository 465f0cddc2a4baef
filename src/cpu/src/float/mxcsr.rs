//! MXCSR, the control and status register of SSE.
//!
//! Source: Intel SDM vol. 1 §10.2.3, "MXCSR Control and Status Register"; §11.5, "SSE, SSE2, and
//! SSE3 Exceptions". Not modelled: the misaligned exception mask of AMD (bit 17 reads as 0).
//!
//! | bits  | field |
//! |-------|-------|
//! | 5:0   | sticky exception flags: IE DE ZE OE UE PE |
//! | 6     | DAZ, denormals are zeros |
//! | 12:7  | masks of the six exceptions |
//! | 14:13 | RC, rounding control |
//! | 15    | FTZ, flush to zero |

use super::round::{FloatFlags, Rounding};
use bitflags::bitflags;
use serde::{Deserialize, Serialize};

bitflags! {
    /// MXCSR. LDMXCSR and FXRSTOR refuse bits outside [`Mxcsr::WRITABLE`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub struct Mxcsr: u32 {
        /// Invalid operation happened.
        const IE = 1 << 0;
        /// A denormal operand was used.
        const DE = 1 << 1;
        /// A finite number was divided by zero.
        const ZE = 1 << 2;
        /// A result was too large.
        const OE = 1 << 3;
        /// A result was too small.
        const UE = 1 << 4;
        /// A result was rounded.
        const PE = 1 << 5;
        /// Denormals are zeros: denormal operands count as zero.
        const DAZ = 1 << 6;
        /// Invalid operation is masked.
        const IM = 1 << 7;
        /// Denormal operand is masked.
        const DM = 1 << 8;
        /// Division by zero is masked.
        const ZM = 1 << 9;
        /// Overflow is masked.
        const OM = 1 << 10;
        /// Underflow is masked.
        const UM = 1 << 11;
        /// Inexact result is masked.
        const PM = 1 << 12;
        /// Rounding control, two bits.
        const RC = 3 << 13;
        /// Flush to zero: results that would be denormal become zero.
        const FTZ = 1 << 15;
    }
}

/// An exception that MXCSR does not mask: #XM (or #UD without CR4.OSXMMEXCPT). The destination
/// stays as it was; the flags in MXCSR are set. Under [`Control::Quick`] it only says that the
/// operation was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimdException;

/// MXCSR as one operation sees it.
#[derive(Debug)]
pub enum Control<'a> {
    /// Do what the host's arithmetic gives straight away, if this MXCSR would stay as it is. It
    /// is for code that must not call functions with the address of anything on its stack: the
    /// handlers of the fast interpreter.
    Quick(Mxcsr),
    /// Do it completely.
    Full(&'a mut Mxcsr),
}

impl<'a> Control<'a> {
    /// The register's value.
    #[inline(always)]
    #[must_use]
    pub const fn mxcsr(&self) -> Mxcsr {
        match self {
            Self::Quick(mxcsr) => *mxcsr,
            Self::Full(mxcsr) => **mxcsr,
        }
    }

    /// The register, for an operation that is not quick.
    #[inline(always)]
    pub fn full(self) -> Result<&'a mut Mxcsr, SimdException> {
        match self {
            Self::Quick(_) => Err(SimdException),
            Self::Full(mxcsr) => Ok(mxcsr),
        }
    }
}

/// The exceptions that are found from the operands alone, before there is a result.
const BEFORE_RESULT: FloatFlags = FloatFlags::IE.union(FloatFlags::DE).union(FloatFlags::ZE);

impl Default for Mxcsr {
    fn default() -> Self {
        Self::RESET
    }
}

impl Mxcsr {
    /// The value after reset and FNINIT-like initialisation: all masked, to nearest.
    pub const RESET: Self = Self::MASKS;

    /// What software may set. A one elsewhere is #GP(0) (SDM: "MXCSR_MASK").
    pub const WRITABLE: u32 = 0xffff;

    /// The six masks.
    const MASKS: Self =
        Self::IM.union(Self::DM).union(Self::ZM).union(Self::OM).union(Self::UM).union(Self::PM);

    /// The six sticky flags.
    const FLAGS: u32 = 0x3f;

    /// RC as a rounding mode.
    #[inline(always)]
    #[must_use]
    pub const fn rounding(self) -> Rounding {
        Rounding::from_rc(self.bits() >> 13)
    }

    /// This register with another rounding mode, for instructions that bring their own.
    #[inline(always)]
    #[must_use]
    pub const fn with_rounding(self, rounding: Rounding) -> Self {
        let rc = (rounding as u32) << 13;
        Self::from_bits_retain(self.bits() & !Self::RC.bits() | rc)
    }

    /// The exceptions whose mask is set.
    #[inline(always)]
    #[must_use]
    pub const fn masked(self) -> FloatFlags {
        FloatFlags::from_bits_retain((self.bits() >> 7 & Self::FLAGS) as u8)
    }

    /// Whether results are rounded to nearest, as the host rounds.
    #[inline(always)]
    #[must_use]
    pub const fn rounds_to_nearest(self) -> bool {
        !self.intersects(Self::RC)
    }

    /// Whether results are rounded to nearest and an inexact one neither changes this register
    /// nor raises an exception: PE is already set, and masked.
    #[inline(always)]
    #[must_use]
    pub const fn hides_inexact(self) -> bool {
        let looked_at = Self::RC.union(Self::PM).union(Self::PE);
        self.intersection(looked_at).bits() == Self::PM.union(Self::PE).bits()
    }

    /// This register with no exception flagged, and those masked that are found before there is
    /// a result: what an operation does to it is all that it raises.
    #[must_use]
    pub const fn collecting(self) -> Self {
        let masks = Self::IM.union(Self::DM).union(Self::ZM);
        Self::from_bits_retain(self.bits() & !Self::FLAGS | masks.bits())
    }

    /// The flagged exceptions.
    #[must_use]
    pub const fn raised(self) -> FloatFlags {
        FloatFlags::from_bits_retain((self.bits() & Self::FLAGS) as u8)
    }

    /// Sets what an instruction raised (the union over its lanes), or says that it faults.
    ///
    /// An unmasked exception found before there is a result keeps the results, and with them the
    /// exceptions of rounding, from coming about (SDM vol. 1 §11.5.3, "Exception Priority").
    pub fn raise(&mut self, raised: FloatFlags) -> Result<(), SimdException> {
        let unmasked = raised - self.masked();
        let shown =
            if unmasked.intersects(BEFORE_RESULT) { raised & BEFORE_RESULT } else { raised };
        *self |= Self::from_bits_retain(shown.bits().into());
        if unmasked.is_empty() { Ok(()) } else { Err(SimdException) }
    }
}

#[cfg(test)]
mod tests {
    use super::{FloatFlags, Mxcsr, Rounding, SimdException};

    #[test]
    fn fields_are_where_the_manual_puts_them() {
        let mxcsr = Mxcsr::from_bits_retain(0x7f80);

        assert_eq!(mxcsr.rounding(), Rounding::Zero);
        assert_eq!(mxcsr.masked(), FloatFlags::all());
        assert_eq!(Mxcsr::RESET.bits(), 0x1f80);
        assert_eq!(Mxcsr::RESET.with_rounding(Rounding::Up).bits(), 0x5f80);
    }

    #[test]
    fn only_the_sticky_precision_flag_hides_inexact_results() {
        assert!(!Mxcsr::RESET.hides_inexact());
        assert!(Mxcsr::from_bits_retain(0x1fa0).hides_inexact());
        assert!(Mxcsr::from_bits_retain(0x1fbf).hides_inexact());
        assert!(!Mxcsr::from_bits_retain(0x3fa0).hides_inexact(), "toward minus infinity");
        assert!(!Mxcsr::from_bits_retain(0x0fa0).hides_inexact(), "PM clear");
    }

    #[test]
    fn unmasked_operand_exceptions_hide_those_of_the_result() {
        let mut mxcsr = Mxcsr::from_bits_retain(0x1f00);

        let outcome = mxcsr.raise(FloatFlags::IE | FloatFlags::DE | FloatFlags::PE);

        assert_eq!(outcome, Err(SimdException));
        assert_eq!(mxcsr.bits(), 0x1f03);
    }
}
