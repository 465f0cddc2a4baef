//! DPPS and DPPD: dot products.
//!
//! Source: Intel SDM vol. 2, "DPPD", "DPPS". Compared with an AMD Zen 4: the order of the sums,
//! and which NaN comes through.

use super::binary::{Format, Word};
use super::mxcsr::{Control, SimdException};
use super::round::FloatFlags;
use super::sse::{Binary, software};
use crate::vector::{Lanes, Xmm, build};

/// DPPS, DPPD: the products that bits 7:4 of `imm` choose are summed as pairs, and the sum goes
/// to the lanes that bits 3:0 choose; the others become 0.
pub fn dot<F: Format>(a: Xmm, b: Xmm, imm: u8, control: Control<'_>) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let mxcsr = control.full()?;
    let (a, b) = (Lanes::<F::Bits>::split(a), Lanes::<F::Bits>::split(b));
    let count = <Xmm as Lanes<F::Bits>>::COUNT;

    let mut raised = FloatFlags::empty();
    let mut products = [0; 4];
    for (i, product) in products[..count].iter_mut().enumerate() {
        if imm >> (4 + i) & 1 != 0 {
            let (a, b) = (a.as_ref()[i].widen(), b.as_ref()[i].widen());
            *product = software::<F>(Binary::Mul, a, b, *mxcsr, &mut raised);
        }
    }
    mxcsr.raise(raised)?;

    let mut raised = FloatFlags::empty();
    let mut sums = [0; 2];
    for (sum, pair) in sums[..count / 2].iter_mut().zip(products.as_chunks::<2>().0) {
        *sum = software::<F>(Binary::Add, pair[0], pair[1], *mxcsr, &mut raised);
    }
    mxcsr.raise(raised)?;

    let mut raised = FloatFlags::empty();
    let mut total = sums[0];
    if count == 4 {
        total = software::<F>(Binary::Add, sums[0], sums[1], *mxcsr, &mut raised);
    }
    mxcsr.raise(raised)?;

    let total = F::Bits::narrow(total);
    Ok(build::<F::Bits, _>(|i| if imm >> i & 1 != 0 { total } else { F::Bits::default() }))
}
