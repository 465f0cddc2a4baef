//! Arithmetic on clean values, as both interpreters compute it.

use crate::target::{Bin, Cmp, VectorSize};
use crate::vector::Xmm;
use cutaway_isa::{Rflags, Width};

/// `a op b`, cut to the width.
#[inline(always)]
pub(crate) fn bin(op: Bin, w: Width, a: u64, b: u64) -> u64 {
    let bits = w.bits();
    let signed = |v: u64| w.sign_extend(v) as i64;
    let value = match op {
        Bin::Add => a.wrapping_add(b),
        Bin::Sub => a.wrapping_sub(b),
        Bin::And => a & b,
        Bin::Or => a | b,
        Bin::Xor => a ^ b,
        Bin::Mul => a.wrapping_mul(b),
        Bin::MulHighUnsigned => ((u128::from(a) * u128::from(b)) >> bits) as u64,
        Bin::MulHighSigned => ((i128::from(signed(a)) * i128::from(signed(b))) >> bits) as u64,
        Bin::Shl => a << (b & 63),
        Bin::Shr => a >> (b & 63),
        Bin::Sar => (signed(a) >> (b & 63)) as u64,
        Bin::Rol => match w {
            Width::Byte => u64::from((a as u8).rotate_left(b as u32)),
            Width::Word => u64::from((a as u16).rotate_left(b as u32)),
            Width::Dword => u64::from((a as u32).rotate_left(b as u32)),
            Width::Qword => a.rotate_left(b as u32),
        },
        Bin::Ror => match w {
            Width::Byte => u64::from((a as u8).rotate_right(b as u32)),
            Width::Word => u64::from((a as u16).rotate_right(b as u32)),
            Width::Dword => u64::from((a as u32).rotate_right(b as u32)),
            Width::Qword => a.rotate_right(b as u32),
        },
    };
    value & w.mask()
}

/// A comparison of clean values.
#[inline(always)]
pub(crate) fn compare(cmp: Cmp, a: u64, b: u64) -> bool {
    match cmp {
        Cmp::Eq => a == b,
        Cmp::Ne => a != b,
        Cmp::Below => a < b,
    }
}

/// Quotient and remainder of `high:low / divisor`; nothing for a zero divisor or a quotient that
/// does not fit.
#[inline(always)]
pub(crate) fn divide(
    signed: bool,
    w: Width,
    high: u64,
    low: u64,
    divisor: u64,
) -> Option<(u64, u64)> {
    if divisor == 0 {
        return None;
    }
    // The usual cases fit the host's 64-bit division.
    if w != Width::Qword {
        let dividend = high << w.bits() | low;
        if !signed {
            let (quotient, remainder) = (dividend / divisor, dividend % divisor);
            return (quotient <= w.mask()).then_some((quotient, remainder));
        }
        let up = 64 - 2 * w.bits();
        let dividend = (dividend << up) as i64 >> up;
        let divisor = w.sign_extend(divisor) as i64;
        let quotient = dividend.checked_div(divisor)?;
        let fits = w.sign_extend(quotient as u64) as i64 == quotient;
        let remainder = dividend.wrapping_rem(divisor);
        return fits.then_some((quotient as u64 & w.mask(), remainder as u64 & w.mask()));
    }
    if !signed {
        if high == 0 {
            return Some((low / divisor, low % divisor));
        }
        if high >= divisor {
            return None;
        }
        let dividend = u128::from(high) << 64 | u128::from(low);
        let divisor = u128::from(divisor);
        return Some(((dividend / divisor) as u64, (dividend % divisor) as u64));
    }
    let (low_signed, divisor) = (low as i64, divisor as i64);
    if high == (low_signed >> 63) as u64 {
        let quotient = low_signed.checked_div(divisor)?;
        return Some((quotient as u64, low_signed.wrapping_rem(divisor) as u64));
    }
    let dividend = (u128::from(high) << 64 | u128::from(low)) as i128;
    let quotient = dividend.checked_div(i128::from(divisor))?;
    let fits = i128::from(quotient as i64) == quotient;
    let remainder = dividend % i128::from(divisor);
    fits.then_some((quotient as u64, remainder as u64))
}

/// Writes the low `size` bytes of a register; the rest stays.
#[inline(always)]
pub(crate) fn merge_vector(register: &mut Xmm, size: VectorSize, value: Xmm) {
    match size {
        VectorSize::Xmm | VectorSize::XmmAligned => *register = value,
        VectorSize::Qword => register.0[..8].copy_from_slice(&value.0[..8]),
        VectorSize::Dword => register.0[..4].copy_from_slice(&value.0[..4]),
        VectorSize::Word => register.0[..2].copy_from_slice(&value.0[..2]),
    }
}

/// RFLAGS after COMISS and its kin: ZF, PF and CF from a byte that has them at their places.
#[inline(always)]
pub(crate) fn compare_flags(known: Rflags, bits: u64) -> Rflags {
    let result = Rflags::from_bits_truncate(bits & 0x45);
    known.difference(Rflags::STATUS).union(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Intel SDM vol. 2A, "IDIV": the quotient range of each width.
    #[test]
    fn division_overflows_where_the_manual_says() {
        let min = 0x8000_0000_0000_0000;
        assert_eq!(divide(false, Width::Byte, 1, 0, 1), None);
        assert_eq!(divide(false, Width::Byte, 0, 0xff, 1), Some((0xff, 0)));
        assert_eq!(divide(true, Width::Byte, 0xff, 0x80, 0xff), None);
        assert_eq!(divide(true, Width::Byte, 0xff, 0x80, 1), Some((0x80, 0)));
        assert_eq!(
            divide(true, Width::Dword, 0xffff_ffff, 0xffff_fff9, 2),
            Some((0xffff_fffd, 0xffff_ffff))
        );
        assert_eq!(divide(true, Width::Dword, 0x8000_0000, 0, 0xffff_ffff), None);
        assert_eq!(divide(true, Width::Qword, u64::MAX, min, u64::MAX), None);
        assert_eq!(divide(true, Width::Qword, min, 0, u64::MAX), None);
        assert_eq!(divide(false, Width::Qword, 1, 0, 2), Some((min, 0)));
        assert_eq!(divide(false, Width::Qword, 2, 0, 2), None);
    }
}
