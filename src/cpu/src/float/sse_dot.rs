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
/// to the lanes that bits 3:0 choose; the others become 0. An exception of one of the three steps
/// keeps the next from being taken, in both lanes of VDPPS.
pub fn dot<F: Format>(a: Xmm, b: Xmm, imm: u8, control: Control<'_>) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let mxcsr = control.full()?;
    let products = products::<F>(a, b, imm, Control::Full(mxcsr))?;
    let sums = pair_sums::<F>(products, products, Control::Full(mxcsr))?;
    total::<F>(sums, sums, imm, Control::Full(mxcsr))
}

/// The first step: the products that are chosen, 0 for the others.
pub fn products<F: Format>(
    a: Xmm,
    b: Xmm,
    imm: u8,
    control: Control<'_>,
) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let mxcsr = control.full()?;
    let mut raised = FloatFlags::empty();
    let products = lanes::<F>(a, |i, a| {
        let chosen = imm >> (4 + i) & 1 != 0;
        let b = Lanes::<F::Bits>::split(b).as_ref()[i].widen();
        if chosen { software::<F>(Binary::Mul, a[i].widen(), b, *mxcsr, &mut raised) } else { 0 }
    });
    mxcsr.raise(raised)?;
    Ok(products)
}

/// The second step: the sums of neighbours, in the low lanes.
pub fn pair_sums<F: Format>(
    products: Xmm,
    _: Xmm,
    control: Control<'_>,
) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let mxcsr = control.full()?;
    let mut raised = FloatFlags::empty();
    let sums = lanes::<F>(products, |i, products| match products.get(2 * i..2 * i + 2) {
        Some([a, b]) => software::<F>(Binary::Add, a.widen(), b.widen(), *mxcsr, &mut raised),
        _ => 0,
    });
    mxcsr.raise(raised)?;
    Ok(sums)
}

/// The third step: the sum of the sums, if there are two, where `imm` wants it.
pub fn total<F: Format>(
    sums: Xmm,
    _: Xmm,
    imm: u8,
    control: Control<'_>,
) -> Result<Xmm, SimdException>
where
    Xmm: Lanes<F::Bits>,
{
    let mxcsr = control.full()?;
    let sums = Lanes::<F::Bits>::split(sums);
    let [a, b] = [sums.as_ref()[0].widen(), sums.as_ref()[1].widen()];
    let mut raised = FloatFlags::empty();
    let total = match <Xmm as Lanes<F::Bits>>::COUNT {
        4 => software::<F>(Binary::Add, a, b, *mxcsr, &mut raised),
        _ => a,
    };
    mxcsr.raise(raised)?;
    let total = F::Bits::narrow(total);
    Ok(build::<F::Bits, _>(|i| if imm >> i & 1 != 0 { total } else { F::Bits::default() }))
}

/// Each lane from all lanes of `source`.
fn lanes<F: Format>(source: Xmm, mut op: impl FnMut(usize, &[F::Bits]) -> u64) -> Xmm
where
    Xmm: Lanes<F::Bits>,
{
    let source = Lanes::<F::Bits>::split(source);
    let mut results = [F::Bits::default(); 4];
    for (i, result) in results[..source.as_ref().len()].iter_mut().enumerate() {
        *result = F::Bits::narrow(op(i, source.as_ref()));
    }
    build::<F::Bits, _>(|i| results[i])
}
