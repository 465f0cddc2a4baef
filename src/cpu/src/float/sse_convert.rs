//! Conversions of SSE: between integers, singles and doubles, and rounding to integral values.
//!
//! Source: Intel SDM vol. 2, "CVTSD2SI", "CVTSI2SD", "CVTSS2SD", "CVTSD2SS", "ROUNDPD" and their
//! kin; vol. 1 §4.8.3.7, "Indefinite". Compared with an AMD Zen 4.
//!
//! Scalars travel in the low bits of a `u64`.

use super::binary::{
    Finite, Format, Word, denormal_operand, is_denormal, is_nan, is_negative, is_signalling,
    magnitude, sign,
};
use super::mxcsr::{Control, Mxcsr, SimdException};
use super::round::{FloatFlags, Rounding};
use crate::vector::{Lanes, Xmm};
use cutaway_isa::Width;

/// How a conversion to an integer rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToInteger {
    /// By MXCSR.RC: CVTSD2SI and its kin.
    Rounded,
    /// Toward zero: CVTTSD2SI and its kin.
    Truncated,
}

/// A format that the host can convert from and to integers.
pub trait Convert: Format {
    /// The integer part; the ends of the range stand for all beyond, 0 for a NaN.
    fn truncate(bits: Self::Bits) -> i64;
    /// The nearest number.
    fn nearest(value: i64) -> Self::Bits;
}

impl Convert for f32 {
    #[inline(always)]
    fn truncate(bits: u32) -> i64 {
        Self::from_bits(bits) as i64
    }

    #[inline(always)]
    fn nearest(value: i64) -> u32 {
        (value as Self).to_bits()
    }
}

impl Convert for f64 {
    #[inline(always)]
    fn truncate(bits: u64) -> i64 {
        Self::from_bits(bits) as i64
    }

    #[inline(always)]
    fn nearest(value: i64) -> u64 {
        (value as Self).to_bits()
    }
}

/// CVT(T)SS2SI, CVT(T)SD2SI: to a signed integer of `width` (Dword or Qword). What does not fit
/// gives the integer indefinite, the sign bit alone, and raises IE.
#[inline(always)]
pub fn to_integer<F: Convert>(
    bits: u64,
    width: Width,
    how: ToInteger,
    control: Control<'_>,
) -> Result<u64, SimdException> {
    match plain_integer::<F>(bits, width, how, control.mxcsr()) {
        Some(value) => Ok(value),
        None => to_integer_slow::<F>(bits, width, how, control.full()?),
    }
}

/// The integer, where the host can tell it and MXCSR does not change.
#[inline(always)]
fn plain_integer<F: Convert>(bits: u64, width: Width, how: ToInteger, mxcsr: Mxcsr) -> Option<u64> {
    let narrow = F::Bits::narrow(bits);
    let whole = F::truncate(narrow);
    let fits = width.sign_extend(whole as u64) == whole as u64 && whole.unsigned_abs() < 1 << 62;
    // An integral operand is the same in every mode and raises nothing; -0 does so too.
    let integral = F::nearest(whole).doubled() == narrow.doubled();
    let cut = whole != 0 && how == ToInteger::Truncated && mxcsr.hides_inexact();
    (fits && (integral || cut)).then_some(whole as u64 & width.mask())
}

#[cold]
#[inline(never)]
fn to_integer_slow<F: Format>(
    bits: u64,
    width: Width,
    how: ToInteger,
    mxcsr: &mut Mxcsr,
) -> Result<u64, SimdException> {
    let mut raised = FloatFlags::empty();
    let value = integer_of::<F>(bits, width, how, *mxcsr, &mut raised);
    mxcsr.raise(raised).map(|()| value)
}

/// The masked response of a conversion to an integer. Denormals are no special operands here,
/// but for DAZ.
fn integer_of<F: Format>(
    bits: u64,
    width: Width,
    how: ToInteger,
    mxcsr: Mxcsr,
    raised: &mut FloatFlags,
) -> u64 {
    let rounding = match how {
        ToInteger::Rounded => mxcsr.rounding(),
        ToInteger::Truncated => Rounding::Zero,
    };
    let negative = is_negative::<F>(bits);
    let limit = u128::from(width.sign_bit());
    let rounded = if magnitude::<F>(bits) >= F::INFINITY {
        None
    } else if is_denormal::<F>(bits) && mxcsr.contains(Mxcsr::DAZ) {
        Some((0, false))
    } else {
        integral_magnitude::<F>(bits, rounding)
    };
    match rounded {
        Some((whole, inexact)) if whole < limit || negative && whole == limit => {
            if inexact {
                *raised |= FloatFlags::PE;
            }
            let whole = whole as u64;
            (if negative { whole.wrapping_neg() } else { whole }) & width.mask()
        }
        _ => {
            *raised |= FloatFlags::IE;
            width.sign_bit()
        }
    }
}

/// A finite number's magnitude as an integer, and whether it was rounded; nothing if it is too
/// large to matter.
fn integral_magnitude<F: Format>(bits: u64, rounding: Rounding) -> Option<(u128, bool)> {
    let Finite { negative, weight, significand } = Finite::of::<F>(bits);
    if weight >= 0 {
        return (weight < 64).then(|| (significand << weight, false));
    }
    let drop = weight.unsigned_abs();
    let whole = significand.checked_shr(drop).unwrap_or(0);
    let rest = match drop {
        1..=64 => (significand as u64) << (64 - drop),
        _ => u64::from(significand != 0), // less than a half
    };
    let up = rounding.rounds_up(negative, whole & 1 != 0, rest);
    Some((whole + u128::from(up), rest != 0))
}

/// CVTSI2SS, CVTSI2SD: from a signed integer.
#[inline(always)]
pub fn from_integer<F: Convert>(value: i64, control: Control<'_>) -> Result<u64, SimdException> {
    match plain_number::<F>(value, control.mxcsr()) {
        Some(bits) => Ok(bits),
        None => from_integer_slow::<F>(value, control.full()?),
    }
}

/// The number, where the host can tell it and MXCSR does not change.
#[inline(always)]
fn plain_number<F: Convert>(value: i64, mxcsr: Mxcsr) -> Option<u64> {
    let nearest = F::nearest(value);
    // What reads back as it was is exact; near 2^63 the host's cast saturates and could deceive.
    let exact = || value.unsigned_abs() < 1 << 62 && F::truncate(nearest) == value;
    (mxcsr.hides_inexact() || exact()).then(|| nearest.widen())
}

#[cold]
#[inline(never)]
fn from_integer_slow<F: Format>(value: i64, mxcsr: &mut Mxcsr) -> Result<u64, SimdException> {
    let mut raised = FloatFlags::empty();
    let bits = number_of::<F>(value, *mxcsr, &mut raised);
    mxcsr.raise(raised).map(|()| bits)
}

/// The masked response of a conversion from an integer.
fn number_of<F: Format>(value: i64, mxcsr: Mxcsr, raised: &mut FloatFlags) -> u64 {
    let significand = value.unsigned_abs().into();
    Finite { negative: value < 0, weight: 0, significand }.round::<F>(mxcsr, raised)
}

/// CVTSS2SD: a single as a double.
#[inline(always)]
pub fn single_to_double(bits: u64, control: Control<'_>) -> Result<u64, SimdException> {
    match plain_double(bits) {
        Some(double) => Ok(double),
        None => reformat_slow::<f32, f64>(bits, control.full()?),
    }
}

/// The double that a single is, unless it is a NaN or a denormal.
#[inline(always)]
fn plain_double(bits: u64) -> Option<u64> {
    let plain = !is_nan::<f32>(bits) && !is_denormal::<f32>(bits);
    plain.then(|| f64::from(f32::from_bits(bits as u32)).to_bits())
}

/// CVTSD2SS: a double as a single.
#[inline(always)]
pub fn double_to_single(bits: u64, control: Control<'_>) -> Result<u64, SimdException> {
    match plain_single(bits, control.mxcsr()) {
        Some(single) => Ok(single),
        None => reformat_slow::<f64, f32>(bits, control.full()?),
    }
}

/// The single nearest to a double, where the host can tell it and MXCSR does not change.
#[inline(always)]
fn plain_single(bits: u64, mxcsr: Mxcsr) -> Option<u64> {
    let nearest = f64::from_bits(bits) as f32;
    let is_normal = nearest.abs() > f32::MIN_POSITIVE && nearest.abs() < f32::INFINITY;
    let is_exact = f64::from(nearest).to_bits() == bits;
    let known = is_normal && (mxcsr.hides_inexact() || is_exact) || bits << 1 == 0;
    known.then(|| nearest.to_bits().into())
}

#[cold]
#[inline(never)]
fn reformat_slow<F: Format, G: Format>(bits: u64, mxcsr: &mut Mxcsr) -> Result<u64, SimdException> {
    let mut raised = FloatFlags::empty();
    let result = reformat::<F, G>(bits, *mxcsr, &mut raised);
    mxcsr.raise(raised).map(|()| result)
}

/// A number of format `F` in format `G`. A NaN keeps the upper bits of its payload.
pub(super) fn reformat<F: Format, G: Format>(
    bits: u64,
    mxcsr: Mxcsr,
    raised: &mut FloatFlags,
) -> u64 {
    let sign = sign::<G>(is_negative::<F>(bits));
    if is_nan::<F>(bits) {
        if is_signalling::<F>(bits) {
            *raised |= FloatFlags::IE;
        }
        let top = (bits & F::FRACTION) << (63 - F::FRACTION_BITS);
        return sign | G::INFINITY | G::QUIET | top >> (63 - G::FRACTION_BITS);
    }
    let bits = denormal_operand::<F>(bits, mxcsr, raised);
    if magnitude::<F>(bits) == F::INFINITY {
        return sign | G::INFINITY;
    }
    Finite::of::<F>(bits).round::<G>(mxcsr, raised)
}

/// ROUNDSS, ROUNDSD: to an integral value. Bits 1:0 of `imm` are the mode unless bit 2 asks for
/// MXCSR.RC; bit 3 keeps PE from being raised. Denormals raise no DE.
pub fn round<F: Format>(bits: u64, imm: u8, control: Control<'_>) -> Result<u64, SimdException> {
    let mxcsr = control.full()?;
    let mut raised = FloatFlags::empty();
    let result = integral::<F>(bits, imm, *mxcsr, &mut raised);
    mxcsr.raise(raised).map(|()| result)
}

/// ROUNDPS, ROUNDPD.
pub fn packed_round<F: Format>(b: Xmm, imm: u8, control: Control<'_>) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let mxcsr = control.mxcsr();
    let lane = |_, lane, _, raised: &mut FloatFlags| integral::<F>(lane, imm, mxcsr, raised);
    super::sse::each_lane::<F>(b, b, control.full()?, lane)
}

/// The masked response of ROUND.
fn integral<F: Format>(bits: u64, imm: u8, mxcsr: Mxcsr, raised: &mut FloatFlags) -> u64 {
    if is_nan::<F>(bits) {
        if is_signalling::<F>(bits) {
            *raised |= FloatFlags::IE;
        }
        return bits | F::QUIET;
    }
    let integral_from = (F::BIAS as u64 + u64::from(F::FRACTION_BITS)) << F::FRACTION_BITS;
    let size = magnitude::<F>(bits);
    if size >= integral_from || size == 0 {
        return bits;
    }
    let sign = bits & F::SIGN;
    if is_denormal::<F>(bits) && mxcsr.contains(Mxcsr::DAZ) {
        return sign;
    }
    let rounding =
        if imm & 4 != 0 { mxcsr.rounding() } else { Rounding::from_rc(u32::from(imm & 3)) };
    let Some((whole, inexact)) = integral_magnitude::<F>(bits, rounding) else {
        return bits;
    };
    if inexact && imm & 8 == 0 {
        *raised |= FloatFlags::PE;
    }
    let exact = Finite { negative: false, weight: 0, significand: whole };
    sign | exact.round::<F>(Mxcsr::RESET, &mut FloatFlags::empty())
}

/// Conversions of several lanes: each instruction's exceptions count together.
pub mod packed {
    use super::{
        Control, Convert, FloatFlags, Mxcsr, SimdException, ToInteger, Width, Xmm, integer_of,
        number_of, plain_double, plain_integer, plain_number, plain_single, reformat,
    };
    use crate::vector::{build, split};

    /// Each lane by `plain`, or if there is one that it does not know, all by `careful`.
    #[inline(always)]
    fn lanes<const N: usize>(
        operands: [u64; N],
        control: Control<'_>,
        plain: impl Fn(u64, Mxcsr) -> Option<u64>,
        careful: impl Fn(u64, Mxcsr, &mut FloatFlags) -> u64,
    ) -> Result<[u64; N], SimdException> {
        let mxcsr = control.mxcsr();
        let mut results = operands;
        let mut done = true;
        for lane in &mut results {
            let result = plain(*lane, mxcsr);
            done &= result.is_some();
            *lane = result.unwrap_or(0);
        }
        if done {
            return Ok(results);
        }
        let register = control.full()?;
        let mut raised = FloatFlags::empty();
        let results = operands.map(|lane| careful(lane, mxcsr, &mut raised));
        register.raise(raised).map(|()| results)
    }

    #[inline(always)]
    fn dwords(value: Xmm) -> [u64; 4] {
        let lanes = split::<u32, _>(value);
        core::array::from_fn(|i| lanes[i].into())
    }

    #[inline(always)]
    fn pair(value: u64) -> [u64; 2] {
        [value & 0xffff_ffff, value >> 32]
    }

    #[inline(always)]
    fn of_dwords(lanes: [u64; 4]) -> Xmm {
        build::<u32, _>(|i| lanes[i] as u32)
    }

    #[inline(always)]
    fn of_pair([low, high]: [u64; 2]) -> u64 {
        high << 32 | low
    }

    /// The signed dword that a lane is.
    #[inline(always)]
    fn signed(lane: u64) -> i64 {
        i64::from(lane as i32)
    }

    /// CVTDQ2PS: four signed dwords to singles.
    #[inline(always)]
    pub fn dwords_to_singles(b: Xmm, control: Control<'_>) -> Result<Xmm, SimdException> {
        let plain = |lane, mxcsr| plain_number::<f32>(signed(lane), mxcsr);
        let careful = |lane, mxcsr, raised: &mut _| number_of::<f32>(signed(lane), mxcsr, raised);
        lanes(dwords(b), control, plain, careful).map(of_dwords)
    }

    /// CVTPI2PS: two signed dwords to singles.
    pub fn dword_pair_to_singles(b: u64, control: Control<'_>) -> Result<u64, SimdException> {
        dwords_to_singles(Xmm::from_halves(b, 0), control).map(Xmm::low)
    }

    /// CVTDQ2PD, CVTPI2PD: two signed dwords to doubles, always exact.
    #[inline(always)]
    #[must_use]
    pub fn dword_pair_to_doubles(b: u64) -> Xmm {
        let dwords = split::<i32, _>(b);
        build::<u64, _>(|i| <f64 as Convert>::nearest(dwords[i].into()))
    }

    #[inline(always)]
    fn to_dwords<F: Convert, const N: usize>(
        operands: [u64; N],
        how: ToInteger,
        control: Control<'_>,
    ) -> Result<[u64; N], SimdException> {
        let plain = |lane, mxcsr| plain_integer::<F>(lane, Width::Dword, how, mxcsr);
        let careful =
            |lane, mxcsr, raised: &mut _| integer_of::<F>(lane, Width::Dword, how, mxcsr, raised);
        lanes(operands, control, plain, careful)
    }

    /// CVT(T)PS2DQ: four singles to signed dwords.
    #[inline(always)]
    pub fn singles_to_dwords(
        b: Xmm,
        how: ToInteger,
        control: Control<'_>,
    ) -> Result<Xmm, SimdException> {
        to_dwords::<f32, 4>(dwords(b), how, control).map(of_dwords)
    }

    /// CVT(T)PS2PI: two singles to signed dwords.
    pub fn single_pair_to_dwords(
        b: u64,
        how: ToInteger,
        control: Control<'_>,
    ) -> Result<u64, SimdException> {
        to_dwords::<f32, 2>(pair(b), how, control).map(of_pair)
    }

    /// CVT(T)PD2DQ, CVT(T)PD2PI: two doubles to signed dwords.
    #[inline(always)]
    pub fn doubles_to_dwords(
        b: Xmm,
        how: ToInteger,
        control: Control<'_>,
    ) -> Result<u64, SimdException> {
        to_dwords::<f64, 2>([b.low(), b.high()], how, control).map(of_pair)
    }

    /// CVTPS2PD: two singles to doubles.
    #[inline(always)]
    pub fn singles_to_doubles(b: u64, control: Control<'_>) -> Result<Xmm, SimdException> {
        let plain = |lane, _| plain_double(lane);
        lanes(pair(b), control, plain, reformat::<f32, f64>)
            .map(|[low, high]| Xmm::from_halves(low, high))
    }

    /// CVTPD2PS: two doubles to singles.
    #[inline(always)]
    pub fn doubles_to_singles(b: Xmm, control: Control<'_>) -> Result<u64, SimdException> {
        lanes([b.low(), b.high()], control, plain_single, reformat::<f64, f32>).map(of_pair)
    }
}

#[cfg(test)]
mod tests {
    use super::{ToInteger, Width, double_to_single, from_integer, round, to_integer};
    use crate::float::{Control, Mxcsr};

    #[test]
    fn what_does_not_fit_is_the_integer_indefinite() {
        let mut mxcsr = Mxcsr::RESET;
        let value = 2_147_483_648.0_f64.to_bits();

        let result =
            to_integer::<f64>(value, Width::Dword, ToInteger::Truncated, Control::Full(&mut mxcsr));
        assert_eq!((result, mxcsr), (Ok(0x8000_0000), Mxcsr::RESET | Mxcsr::IE));
        let result =
            to_integer::<f64>(value, Width::Qword, ToInteger::Truncated, Control::Full(&mut mxcsr));
        assert_eq!(result, Ok(0x8000_0000));
    }

    #[test]
    fn integers_round_to_even() {
        let mut mxcsr = Mxcsr::RESET;

        let result = to_integer::<f64>(
            2.5_f64.to_bits(),
            Width::Dword,
            ToInteger::Rounded,
            Control::Full(&mut mxcsr),
        );
        assert_eq!((result, mxcsr), (Ok(2), Mxcsr::RESET | Mxcsr::PE));
        let result = from_integer::<f32>(0x0100_0001, Control::Full(&mut mxcsr));
        assert_eq!(result, Ok(0x4b80_0000));
    }

    #[test]
    fn rounding_keeps_the_sign_of_zero_and_can_hide_precision() {
        let mut mxcsr = Mxcsr::RESET;

        assert_eq!(
            round::<f64>((-0.5_f64).to_bits(), 8, Control::Full(&mut mxcsr)),
            Ok((-0.0_f64).to_bits())
        );
        assert_eq!(mxcsr, Mxcsr::RESET);
        assert_eq!(
            round::<f64>(1.5_f64.to_bits(), 2, Control::Full(&mut mxcsr)),
            Ok(2.0_f64.to_bits())
        );
        assert_eq!(mxcsr, Mxcsr::RESET | Mxcsr::PE);
    }

    #[test]
    fn narrowing_underflows_and_overflows() {
        let mut mxcsr = Mxcsr::RESET;

        assert_eq!(
            double_to_single(1e300_f64.to_bits(), Control::Full(&mut mxcsr)),
            Ok(0x7f80_0000)
        );
        assert_eq!(mxcsr, Mxcsr::RESET | Mxcsr::OE | Mxcsr::PE);
        assert_eq!(double_to_single(1e-300_f64.to_bits(), Control::Full(&mut mxcsr)), Ok(0));
        assert!(mxcsr.contains(Mxcsr::UE));
    }
}
