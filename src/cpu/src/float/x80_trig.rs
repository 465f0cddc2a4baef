//! FSIN FCOS FSINCOS FPTAN FPATAN, correctly rounded for the angle as reduced.
//!
//! Source: Intel SDM vol. 2, "FSIN", "FCOS", "FSINCOS", "FPTAN", "FPATAN" with their tables of
//! special operands; vol. 1 §8.3.8, "Approximation of Pi". The angle is reduced with a pi of 66
//! bits, as processors do: measured on an AMD Zen 4, and the SDM's value.
//! Methods: power series on [-pi/4, pi/4]; the arc tangent first subtracts arctan(k/4).

use super::x80::{EXPONENT_MAX, F80};
use super::x80_round::{Context, Unpacked};
use super::x80_wide::{Signs, Wide, factorial_reciprocals, mul_fixed, odd_reciprocals, series};
use super::x87_state::{SW_C1, SW_C2};

/// Half of the 66-bit pi, in units of 2^-65.
const HALF_PI_66: u128 = 0x3_243f_6a88_85a3_08d3;
/// Fraction bits of a reduced angle.
const ANGLE_BITS: i32 = 65;
/// Unbiased exponent from which on an angle is out of range: 2^63.
const OUT_OF_RANGE: i32 = 63;

/// pi, for arc tangents.
const PI: Wide =
    Wide { negative: false, exponent: 1, significand: 0xc90f_daa2_2168_c234_c4c6_628b_80dc_1cd1 };
/// pi / 2.
const HALF_PI: Wide = Wide { exponent: 0, ..PI };
/// arctan(k/4) for k = 0 to 4, with 127 fraction bits.
const ARCTAN_QUARTERS: [u128; 5] = [
    0,
    0x1f5b_75f9_2c80_dd62_adb8_f3de_bef4_42fc,
    0x3b58_ce0a_c376_9ed1_5bf9_117b_2f0e_a340,
    0x525e_3e8c_9a7b_8492_0cd4_3f95_22be_d64f,
    0x6487_ed51_10b4_611a_6263_3145_c06e_0e68,
];

/// sin(r) / r = 1/1! - r^2/3! + r^4/5! …: enough terms for |r| <= pi/4.
const SIN: [u128; 17] = factorial_reciprocals(1, 2);
/// cos(r) = 1/0! - r^2/2! + r^4/4! …
const COS: [u128; 18] = factorial_reciprocals(0, 2);
/// arctan(s) / s = 1 - s^2/3 + s^4/5 …: enough terms for |s| <= 1/8.
const ARCTAN: [u128; 22] = odd_reciprocals();

/// An angle within the first octant to either side, and the quadrant that it is turned by.
struct Reduced {
    quadrant: u32,
    rest: Wide,
}

/// What trigonometry makes of an operand before it computes.
enum Angle {
    /// The answer is known: NaN, invalid.
    Answer(F80),
    /// Out of range, C2 is set.
    OutOfRange,
    /// Plus or minus zero.
    Zero,
    /// DE is unmasked and stops the operation.
    Stopped,
    /// To be computed.
    Reduced(Reduced),
}

fn angle(context: &mut Context, a: F80) -> Angle {
    context.replaces |= SW_C2;
    if let Some(answer) = context.nan_or_unsupported(a) {
        return Angle::Answer(answer);
    }
    if a.exponent() == EXPONENT_MAX {
        return Angle::Answer(context.invalid());
    }
    if a.is_zero() {
        return Angle::Zero;
    }
    if !context.note_denormals(&[a]) {
        return Angle::Stopped;
    }
    let number = Unpacked::new(a);
    if number.unbiased() >= OUT_OF_RANGE {
        context.status |= SW_C2;
        return Angle::OutOfRange;
    }
    Angle::Reduced(reduce(number))
}

/// `a - quadrant * pi/2`, exactly.
fn reduce(a: Unpacked) -> Reduced {
    let shift = a.unbiased() - 63 + ANGLE_BITS;
    if shift < 0 {
        // Below 1/4: no need.
        return Reduced { quadrant: 0, rest: Wide::new(a) };
    }
    let magnitude = u128::from(a.significand) << shift;
    let (mut quadrant, mut rest) = (magnitude / HALF_PI_66, magnitude % HALF_PI_66);
    let mut negative = a.negative;
    if rest > HALF_PI_66 / 2 {
        rest = HALF_PI_66 - rest;
        quadrant += 1;
        negative = !negative;
    }
    // Turned the other way for a negative angle.
    let turns = quadrant as u32;
    let quadrant = if a.negative { turns.wrapping_neg() } else { turns } & 3;
    Reduced { quadrant, rest: Wide::normalized(negative, 127 - ANGLE_BITS, rest) }
}

impl Reduced {
    fn sin_of_rest(&self) -> Wide {
        let r = self.rest.to_fixed();
        // One unit less, so that a tiny angle has a sine just below it.
        let factor = series(&SIN, mul_fixed(r, r), Signs::Alternating) - 1;
        self.rest.mul(Wide::normalized(false, 0, factor))
    }

    fn cos_of_rest(&self) -> Wide {
        let r = self.rest.to_fixed();
        Wide::normalized(false, 0, series(&COS, mul_fixed(r, r), Signs::Alternating) - 1)
    }

    /// sin(r) / cos(r), which for a tiny angle lies just above it.
    fn tan_of_rest(&self) -> Wide {
        let r = self.rest.to_fixed();
        let factor = Wide::normalized(false, 0, series(&SIN, mul_fixed(r, r), Signs::Alternating));
        self.rest.mul(factor.div(self.cos_of_rest()))
    }

    fn sin(&self) -> Wide {
        let magnitude =
            if self.quadrant & 1 == 0 { self.sin_of_rest() } else { self.cos_of_rest() };
        if self.quadrant & 2 == 0 { magnitude } else { magnitude.negate() }
    }

    fn cos(&self) -> Wide {
        let magnitude =
            if self.quadrant & 1 == 0 { self.cos_of_rest() } else { self.sin_of_rest() };
        if matches!(self.quadrant, 1 | 2) { magnitude.negate() } else { magnitude }
    }

    fn tan(&self) -> Wide {
        let tangent = self.tan_of_rest();
        if self.quadrant & 1 == 0 { tangent } else { Wide::ONE.div(tangent).negate() }
    }
}

/// FSIN. With C2 set afterwards the angle was out of range and comes back.
pub fn sin(context: &mut Context, a: F80) -> F80 {
    match angle(context, a) {
        Angle::Answer(answer) => answer,
        Angle::OutOfRange | Angle::Zero | Angle::Stopped => a,
        Angle::Reduced(angle) => angle.sin().round(context),
    }
}

/// FCOS. With C2 set afterwards the angle was out of range and comes back.
pub fn cos(context: &mut Context, a: F80) -> F80 {
    match angle(context, a) {
        Angle::Answer(answer) => answer,
        Angle::OutOfRange | Angle::Stopped => a,
        Angle::Zero => F80::ONE,
        Angle::Reduced(angle) => angle.cos().round(context),
    }
}

/// FSINCOS: sine and cosine; C1 tells how the sine was rounded (measured). With C2 set afterwards the angle was out of range and nothing is
/// pushed.
pub fn sin_cos(context: &mut Context, a: F80) -> (F80, F80) {
    match angle(context, a) {
        Angle::Answer(answer) => (answer, answer),
        Angle::OutOfRange | Angle::Stopped => (a, a),
        Angle::Zero => (a, F80::ONE),
        Angle::Reduced(angle) => {
            let cos = angle.cos().round(context);
            context.status &= !SW_C1;
            (angle.sin().round(context), cos)
        }
    }
}

/// FPTAN: the tangent, after which 1 is pushed (a NaN twice). With C2 set afterwards the angle was
/// out of range and nothing is pushed.
pub fn tan(context: &mut Context, a: F80) -> (F80, F80) {
    match angle(context, a) {
        Angle::Answer(answer) => (answer, answer),
        Angle::OutOfRange | Angle::Stopped => (a, a),
        Angle::Zero => (a, F80::ONE),
        Angle::Reduced(angle) => (angle.tan().round(context), F80::ONE),
    }
}

/// FPATAN: the angle of the point (`x`, `y`), between -pi and pi.
pub fn arctan(context: &mut Context, y: F80, x: F80) -> F80 {
    if let Some(answer) = context.nan_or_unsupported_2(y, x) {
        return answer;
    }
    if !context.note_denormals(&[y, x]) {
        return y;
    }
    let negative = y.is_negative();
    let magnitude = match (y.is_infinite(), x.is_infinite()) {
        (true, true) if x.is_negative() => HALF_PI.add(HALF_PI.halve()),
        (true, true) => HALF_PI.halve(),
        (true, false) => HALF_PI,
        (false, true) => return half_turn_or_zero(context, negative, x.is_negative()),
        (false, false) if y.is_zero() => {
            return half_turn_or_zero(context, negative, x.is_negative());
        }
        (false, false) if x.is_zero() => HALF_PI,
        (false, false) => {
            let first = first_quadrant(y.abs(), x.abs());
            if x.is_negative() { PI.add(first.negate()) } else { first }
        }
    };
    magnitude.with_sign(negative).round(context)
}

/// Where `y` vanishes beside `x`: plus or minus pi to the left, zero to the right.
fn half_turn_or_zero(context: &mut Context, negative: bool, left: bool) -> F80 {
    if left { PI.with_sign(negative).round(context) } else { F80::ZERO.with_sign(negative) }
}

/// The angle of a point with two positive, finite coordinates.
fn first_quadrant(y: F80, x: F80) -> Wide {
    let (y, x) = (Wide::new(Unpacked::new(y)), Wide::new(Unpacked::new(x)));
    if (y.exponent, y.significand) <= (x.exponent, x.significand) {
        first_octant(y.div(x))
    } else {
        HALF_PI.add(first_octant(x.div(y)).negate())
    }
}

/// arctan(t) for 0 < t <= 1.
fn first_octant(t: Wide) -> Wide {
    let fixed = t.to_fixed();
    let quarters = ((fixed >> 124) as usize + 1) >> 1;
    if quarters == 0 {
        return small_arctan(t);
    }
    // arctan(t) = arctan(c) + arctan((t - c) / (1 + t c)), c = quarters / 4.
    let c = (quarters as u128) << 125;
    let base = Wide::normalized(false, 0, ARCTAN_QUARTERS[quarters]);
    if fixed == c {
        return base;
    }
    let numerator = Wide::normalized(fixed < c, 0, fixed.abs_diff(c));
    let denominator = Wide::ONE.add(Wide::normalized(false, 0, mul_fixed(fixed, c)));
    base.add(small_arctan(numerator.div(denominator)))
}

/// arctan(s) for |s| <= 1/8, s not 0.
fn small_arctan(s: Wide) -> Wide {
    let fixed = s.to_fixed();
    // One unit less, so that a tiny tangent has an angle just below it.
    let factor = series(&ARCTAN, mul_fixed(fixed, fixed), Signs::Alternating) - 1;
    s.mul(Wide::normalized(false, 0, factor))
}
