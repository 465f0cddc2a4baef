//! FMA: VFMADD VFMSUB VFNMADD VFNMSUB VFMADDSUB VFMSUBADD, with their operands in three orders.
//!
//! Source: Intel SDM vol. 2C, "VFMADD132PD" and its kin. What they compute is in `float/fma.rs`.

use crate::exception::Fault;
use crate::exec::Exec;
use crate::float::binary::Format;
use crate::float::fma::{self, Fused, Operands};
use crate::table::rows;
use crate::target::{Alignment, Target, VectorSize};
use crate::vector::{Lanes, Xmm, Ymm};

type Done = Result<(), Fault>;

/// Which operands are the factors, and which is the addend: the digits of the mnemonic.
#[derive(Clone, Copy)]
enum Order {
    /// `op1 * op3 + op2`.
    O132,
    /// `op2 * op1 + op3`.
    O213,
    /// `op2 * op3 + op1`.
    O231,
}

impl Order {
    /// The operands in the order of the instruction, as those of the operation.
    fn sort<V>(self, [first, second, third]: [V; 3]) -> Operands<V> {
        match self {
            Self::O132 => Operands { a: first, b: third, c: second },
            Self::O213 => Operands { a: second, b: first, c: third },
            Self::O231 => Operands { a: second, b: third, c: first },
        }
    }
}

/// A packed operation, of 128 or 256 bits.
fn packed<F: Format>(e: &mut Exec<'_>, op: Fused, order: Order) -> Done
where
    Xmm: Lanes<F::Bits>,
{
    let first = e.read_wide(0, Alignment::Any)?;
    let second = e.read_wide(1, Alignment::Any)?;
    let third = e.read_wide(2, Alignment::Any)?;
    let operands = [first, second, third];
    let mxcsr = &mut e.cpu.mxcsr;
    let result = if crate::exec::is_256(e.instruction) {
        fma::packed::<F, 2>(op, order.sort(operands.map(|value| value.0)), mxcsr).map(Ymm)
    } else {
        let low = operands.map(|value| [value.low()]);
        fma::packed::<F, 1>(op, order.sort(low), mxcsr).map(|[low]| Ymm::from_low(low))
    };
    let result = result.map_err(|_| e.simd_fault())?;
    e.write_wide(0, Alignment::Any, result)
}

/// A scalar operation; bits 127:32 or 127:64 of the destination stay.
fn scalar<F: Format>(e: &mut Exec<'_>, op: Fused, order: Order) -> Done {
    let is_single = F::FRACTION_BITS == 23;
    let (size, mask) =
        if is_single { (VectorSize::Dword, 0xffff_ffff) } else { (VectorSize::Qword, u64::MAX) };
    let first = e.read_vector(0, VectorSize::Xmm)?;
    let second = e.read_vector(1, VectorSize::Xmm)?;
    let third = e.read_vector(2, size)?;
    let operands = [first, second, third].map(|value| value.low() & mask);
    let result = fma::scalar::<F>(op, order.sort(operands), &mut e.cpu.mxcsr);
    let result = result.map_err(|_| e.simd_fault())?;
    let result = first.with_low_qword(first.low() & !mask | result);
    e.write_wide(0, Alignment::Any, Ymm::from_low(result))
}

#[rustfmt::skip] // one row per form
mod table {
    use super::{Fused, Order, packed, rows, scalar};
    rows! {
        exec VEX_Vfmadd132ps_xmm_xmm_xmmm128 | VEX_Vfmadd132ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::Add, Order::O132);
        exec VEX_Vfmadd132pd_xmm_xmm_xmmm128 | VEX_Vfmadd132pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::Add, Order::O132);
        exec VEX_Vfmadd132ss_xmm_xmm_xmmm32 => |e| scalar::<f32>(e, Fused::Add, Order::O132);
        exec VEX_Vfmadd132sd_xmm_xmm_xmmm64 => |e| scalar::<f64>(e, Fused::Add, Order::O132);
        exec VEX_Vfmadd213ps_xmm_xmm_xmmm128 | VEX_Vfmadd213ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::Add, Order::O213);
        exec VEX_Vfmadd213pd_xmm_xmm_xmmm128 | VEX_Vfmadd213pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::Add, Order::O213);
        exec VEX_Vfmadd213ss_xmm_xmm_xmmm32 => |e| scalar::<f32>(e, Fused::Add, Order::O213);
        exec VEX_Vfmadd213sd_xmm_xmm_xmmm64 => |e| scalar::<f64>(e, Fused::Add, Order::O213);
        exec VEX_Vfmadd231ps_xmm_xmm_xmmm128 | VEX_Vfmadd231ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::Add, Order::O231);
        exec VEX_Vfmadd231pd_xmm_xmm_xmmm128 | VEX_Vfmadd231pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::Add, Order::O231);
        exec VEX_Vfmadd231ss_xmm_xmm_xmmm32 => |e| scalar::<f32>(e, Fused::Add, Order::O231);
        exec VEX_Vfmadd231sd_xmm_xmm_xmmm64 => |e| scalar::<f64>(e, Fused::Add, Order::O231);
        exec VEX_Vfmsub132ps_xmm_xmm_xmmm128 | VEX_Vfmsub132ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::Sub, Order::O132);
        exec VEX_Vfmsub132pd_xmm_xmm_xmmm128 | VEX_Vfmsub132pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::Sub, Order::O132);
        exec VEX_Vfmsub132ss_xmm_xmm_xmmm32 => |e| scalar::<f32>(e, Fused::Sub, Order::O132);
        exec VEX_Vfmsub132sd_xmm_xmm_xmmm64 => |e| scalar::<f64>(e, Fused::Sub, Order::O132);
        exec VEX_Vfmsub213ps_xmm_xmm_xmmm128 | VEX_Vfmsub213ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::Sub, Order::O213);
        exec VEX_Vfmsub213pd_xmm_xmm_xmmm128 | VEX_Vfmsub213pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::Sub, Order::O213);
        exec VEX_Vfmsub213ss_xmm_xmm_xmmm32 => |e| scalar::<f32>(e, Fused::Sub, Order::O213);
        exec VEX_Vfmsub213sd_xmm_xmm_xmmm64 => |e| scalar::<f64>(e, Fused::Sub, Order::O213);
        exec VEX_Vfmsub231ps_xmm_xmm_xmmm128 | VEX_Vfmsub231ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::Sub, Order::O231);
        exec VEX_Vfmsub231pd_xmm_xmm_xmmm128 | VEX_Vfmsub231pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::Sub, Order::O231);
        exec VEX_Vfmsub231ss_xmm_xmm_xmmm32 => |e| scalar::<f32>(e, Fused::Sub, Order::O231);
        exec VEX_Vfmsub231sd_xmm_xmm_xmmm64 => |e| scalar::<f64>(e, Fused::Sub, Order::O231);
        exec VEX_Vfnmadd132ps_xmm_xmm_xmmm128 | VEX_Vfnmadd132ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::NegatedAdd, Order::O132);
        exec VEX_Vfnmadd132pd_xmm_xmm_xmmm128 | VEX_Vfnmadd132pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::NegatedAdd, Order::O132);
        exec VEX_Vfnmadd132ss_xmm_xmm_xmmm32 => |e| scalar::<f32>(e, Fused::NegatedAdd, Order::O132);
        exec VEX_Vfnmadd132sd_xmm_xmm_xmmm64 => |e| scalar::<f64>(e, Fused::NegatedAdd, Order::O132);
        exec VEX_Vfnmadd213ps_xmm_xmm_xmmm128 | VEX_Vfnmadd213ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::NegatedAdd, Order::O213);
        exec VEX_Vfnmadd213pd_xmm_xmm_xmmm128 | VEX_Vfnmadd213pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::NegatedAdd, Order::O213);
        exec VEX_Vfnmadd213ss_xmm_xmm_xmmm32 => |e| scalar::<f32>(e, Fused::NegatedAdd, Order::O213);
        exec VEX_Vfnmadd213sd_xmm_xmm_xmmm64 => |e| scalar::<f64>(e, Fused::NegatedAdd, Order::O213);
        exec VEX_Vfnmadd231ps_xmm_xmm_xmmm128 | VEX_Vfnmadd231ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::NegatedAdd, Order::O231);
        exec VEX_Vfnmadd231pd_xmm_xmm_xmmm128 | VEX_Vfnmadd231pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::NegatedAdd, Order::O231);
        exec VEX_Vfnmadd231ss_xmm_xmm_xmmm32 => |e| scalar::<f32>(e, Fused::NegatedAdd, Order::O231);
        exec VEX_Vfnmadd231sd_xmm_xmm_xmmm64 => |e| scalar::<f64>(e, Fused::NegatedAdd, Order::O231);
        exec VEX_Vfnmsub132ps_xmm_xmm_xmmm128 | VEX_Vfnmsub132ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::NegatedSub, Order::O132);
        exec VEX_Vfnmsub132pd_xmm_xmm_xmmm128 | VEX_Vfnmsub132pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::NegatedSub, Order::O132);
        exec VEX_Vfnmsub132ss_xmm_xmm_xmmm32 => |e| scalar::<f32>(e, Fused::NegatedSub, Order::O132);
        exec VEX_Vfnmsub132sd_xmm_xmm_xmmm64 => |e| scalar::<f64>(e, Fused::NegatedSub, Order::O132);
        exec VEX_Vfnmsub213ps_xmm_xmm_xmmm128 | VEX_Vfnmsub213ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::NegatedSub, Order::O213);
        exec VEX_Vfnmsub213pd_xmm_xmm_xmmm128 | VEX_Vfnmsub213pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::NegatedSub, Order::O213);
        exec VEX_Vfnmsub213ss_xmm_xmm_xmmm32 => |e| scalar::<f32>(e, Fused::NegatedSub, Order::O213);
        exec VEX_Vfnmsub213sd_xmm_xmm_xmmm64 => |e| scalar::<f64>(e, Fused::NegatedSub, Order::O213);
        exec VEX_Vfnmsub231ps_xmm_xmm_xmmm128 | VEX_Vfnmsub231ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::NegatedSub, Order::O231);
        exec VEX_Vfnmsub231pd_xmm_xmm_xmmm128 | VEX_Vfnmsub231pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::NegatedSub, Order::O231);
        exec VEX_Vfnmsub231ss_xmm_xmm_xmmm32 => |e| scalar::<f32>(e, Fused::NegatedSub, Order::O231);
        exec VEX_Vfnmsub231sd_xmm_xmm_xmmm64 => |e| scalar::<f64>(e, Fused::NegatedSub, Order::O231);
        exec VEX_Vfmaddsub132ps_xmm_xmm_xmmm128 | VEX_Vfmaddsub132ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::AddSub, Order::O132);
        exec VEX_Vfmaddsub132pd_xmm_xmm_xmmm128 | VEX_Vfmaddsub132pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::AddSub, Order::O132);
        exec VEX_Vfmaddsub213ps_xmm_xmm_xmmm128 | VEX_Vfmaddsub213ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::AddSub, Order::O213);
        exec VEX_Vfmaddsub213pd_xmm_xmm_xmmm128 | VEX_Vfmaddsub213pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::AddSub, Order::O213);
        exec VEX_Vfmaddsub231ps_xmm_xmm_xmmm128 | VEX_Vfmaddsub231ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::AddSub, Order::O231);
        exec VEX_Vfmaddsub231pd_xmm_xmm_xmmm128 | VEX_Vfmaddsub231pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::AddSub, Order::O231);
        exec VEX_Vfmsubadd132ps_xmm_xmm_xmmm128 | VEX_Vfmsubadd132ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::SubAdd, Order::O132);
        exec VEX_Vfmsubadd132pd_xmm_xmm_xmmm128 | VEX_Vfmsubadd132pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::SubAdd, Order::O132);
        exec VEX_Vfmsubadd213ps_xmm_xmm_xmmm128 | VEX_Vfmsubadd213ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::SubAdd, Order::O213);
        exec VEX_Vfmsubadd213pd_xmm_xmm_xmmm128 | VEX_Vfmsubadd213pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::SubAdd, Order::O213);
        exec VEX_Vfmsubadd231ps_xmm_xmm_xmmm128 | VEX_Vfmsubadd231ps_ymm_ymm_ymmm256 => |e| packed::<f32>(e, Fused::SubAdd, Order::O231);
        exec VEX_Vfmsubadd231pd_xmm_xmm_xmmm128 | VEX_Vfmsubadd231pd_ymm_ymm_ymmm256 => |e| packed::<f64>(e, Fused::SubAdd, Order::O231);
    }
}
pub(crate) use table::row;
