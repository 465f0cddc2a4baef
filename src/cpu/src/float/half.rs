//! F16C: between half-precision numbers, which exist in memory only, and singles.
//!
//! Source: Intel SDM vol. 2C, "VCVTPH2PS", "VCVTPS2PH"; vol. 1 §14.4.1, "Detection of F16C
//! Instructions" and its table of exceptions. Compared with an AMD Zen 3.

use super::binary::Format;
use super::mxcsr::{Mxcsr, SimdException};
use super::round::{FloatFlags, Rounding};
use super::sse_convert::reformat;
use crate::vector::{Xmm, build, split};

/// Binary16, a half. It travels in the low bits of a wider number like the other formats.
#[derive(Clone, Copy, Debug)]
struct Half;

impl Format for Half {
    type Bits = u32;
    const FRACTION_BITS: u32 = 10;
    const EXPONENT_BITS: u32 = 5;
}

/// VCVTPH2PS: the four halves of each qword as singles. A denormal half is a normal single: DAZ
/// does not hold for it and it raises nothing, so all that can be raised is IE.
pub fn halves_to_singles<const N: usize>(
    halves: [u64; N],
    mxcsr: &mut Mxcsr,
) -> Result<[Xmm; N], SimdException> {
    let mut raised = FloatFlags::empty();
    let singles = halves.map(|four| {
        let mut lanes = [0; 4];
        for (lane, half) in lanes.iter_mut().zip(split::<u16, u64>(four)) {
            let exact = *mxcsr - Mxcsr::DAZ;
            *lane = reformat::<Half, f32>(half.into(), exact, &mut raised) as u32;
        }
        build::<u32, Xmm>(|i| lanes[i])
    });
    mxcsr.raise(raised & FloatFlags::IE).map(|()| singles)
}

/// VCVTPS2PH: the four singles of each register as the halves of a qword. Bits 1:0 of `imm` are
/// the rounding mode unless bit 2 asks for MXCSR.RC. FTZ does not hold for the results.
pub fn singles_to_halves<const N: usize>(
    singles: [Xmm; N],
    imm: u8,
    mxcsr: &mut Mxcsr,
) -> Result<[u64; N], SimdException> {
    let own = Rounding::from_rc(u32::from(imm & 3));
    let rounded = if imm & 4 != 0 { *mxcsr } else { mxcsr.with_rounding(own) };
    let mut raised = FloatFlags::empty();
    let halves = singles.map(|four| {
        let mut lanes = [0; 4];
        for (lane, single) in lanes.iter_mut().zip(split::<u32, Xmm>(four)) {
            let mxcsr = rounded - Mxcsr::FTZ;
            *lane = reformat::<f32, Half>(single.into(), mxcsr, &mut raised) as u16;
        }
        build::<u16, u64>(|i| lanes[i])
    });
    mxcsr.raise(raised).map(|()| halves)
}

#[cfg(test)]
mod tests {
    use super::{Mxcsr, halves_to_singles, singles_to_halves};
    use crate::vector::{Xmm, build, split};

    fn to_half(single: f32, imm: u8) -> (u16, Mxcsr) {
        let mut mxcsr = Mxcsr::RESET | Mxcsr::FTZ;
        let singles = build::<u32, Xmm>(|_| single.to_bits());
        let [halves] = singles_to_halves([singles], imm, &mut mxcsr).expect("all masked");
        (halves as u16, mxcsr - Mxcsr::FTZ)
    }

    /// IEEE 754-2019 table 3.5: the largest half is 65,504, the smallest 2^-24.
    #[test]
    fn halves_have_their_range() {
        let none = Mxcsr::RESET;

        assert_eq!(to_half(65_504.0, 0), (0x7bff, none));
        assert_eq!(to_half(65_520.0, 0), (0x7c00, none | Mxcsr::OE | Mxcsr::PE));
        assert_eq!(to_half(65_520.0, 3), (0x7bff, none | Mxcsr::PE), "toward zero");
        assert_eq!(to_half(65_536.0, 3), (0x7bff, none | Mxcsr::OE | Mxcsr::PE));
        assert_eq!(to_half(f32::powi(2.0, -24), 0), (1, none), "not flushed");
        assert_eq!(to_half(f32::powi(2.0, -25), 0), (0, none | Mxcsr::UE | Mxcsr::PE));
        assert_eq!(to_half(-1.0 - 1.0 / 2048.0, 1), (0xbc01, none | Mxcsr::PE), "down");
    }

    #[test]
    fn denormal_halves_are_plain_numbers() {
        let mut mxcsr = Mxcsr::RESET | Mxcsr::DAZ;

        let [singles] = halves_to_singles([0x7c01_fc00_8001_0200], &mut mxcsr).expect("masked");

        let lanes = split::<u32, Xmm>(singles);
        assert_eq!(f32::from_bits(lanes[0]), f32::powi(2.0, -15));
        assert_eq!(f32::from_bits(lanes[1]), -f32::powi(2.0, -24));
        assert_eq!(lanes[2..], [0xff80_0000, 0x7fc0_2000]);
        assert_eq!(mxcsr, Mxcsr::RESET | Mxcsr::DAZ | Mxcsr::IE);
    }
}
