//! VPGATHER, VGATHER: elements from wherever a vector of indices says.
//!
//! Source: Intel SDM vol. 2, "VGATHERDPD/VGATHERQPD" and its kin; vol. 2A §2.3.12, "Vector SIB
//! (VSIB) Memory Addressing". An element's mask is cleared once it is loaded, so an instruction
//! that faults in the middle goes on where it was; the masks of elements not yet loaded stay as they
//! are, and alignment is not checked (measured on Zen 3).

use super::masked::{element, load_element, set_element};
use crate::exception::{Exception, Fault};
use crate::exec::{Exec, gpr_place};
use crate::table::rows;
use crate::target::Target;
use crate::vector::Ymm;
use cutaway_isa::Rflags;
use cutaway_isa::Width::{self, Dword, Qword};

/// The shape of a gather.
#[derive(Clone, Copy)]
struct Shape {
    index: Width,
    data: Width,
    count: usize,
}

impl Shape {
    /// `bytes` is the length of the larger one of the index and data vectors.
    const fn new(index: Width, data: Width, bytes: u64) -> Self {
        let wider = if index.bytes() > data.bytes() { index } else { data };
        Self { index, data, count: (bytes / wider.bytes()) as usize }
    }
}

/// A debug trap that earlier elements brought about comes in place of a later element's fault; the
/// instruction goes on behind it.
fn trap_first(e: &mut Exec<'_>, fault: Fault) -> Result<(), Fault> {
    if e.cpu.activity.debug_trap == 0 && !e.cpu.lazy.known.contains(Rflags::TF) {
        return Err(fault);
    }
    e.next = e.cpu.rip;
    Ok(())
}

fn gather(e: &mut Exec<'_>, shape: Shape) -> Result<(), Fault> {
    let i = e.instruction;
    let number = |register: cutaway_isa::Register| register.number();
    let (dst, index, mask) =
        (number(i.op_register(0)), number(i.memory_index()), number(i.op_register(2)));
    if dst == index || dst == mask || index == mask {
        return Err(Exception::UD.into());
    }
    let indices = Ymm([e.cpu.xmm[index], e.cpu.ymm_high[index]]);
    let base = gpr_place(i.memory_base());
    let base = base.map_or(0, |place| e.cpu.r[place.slot] & place.width.mask());
    let start = base.wrapping_add(i.memory_displacement64());
    let (scale, wrap) = (u64::from(i.memory_index_scale()), e.address_width().mask());

    let w = shape.data;
    let mut gathered = false;
    let mut masks = Ymm([e.cpu.xmm[mask], e.cpu.ymm_high[mask]]);
    let mut result = Ymm([e.cpu.xmm[dst], e.cpu.ymm_high[dst]]);
    for n in 0..shape.count {
        if element(&masks, w, n) & w.sign_bit() != 0 {
            let offset = shape.index.sign_extend(element(&indices, shape.index, n));
            let at = start.wrapping_add(offset.wrapping_mul(scale)) & wrap;
            match load_element(e, at, w) {
                Ok(value) => set_element(&mut result, w, n, value),
                Err(fault) => {
                    e.write_register(0, result);
                    e.write_register(2, masks);
                    return if gathered { trap_first(e, fault) } else { Err(fault) };
                }
            }
            gathered = true;
        }
        set_element(&mut masks, w, n, 0);
    }
    for n in shape.count..(32 / w.bytes()) as usize {
        set_element(&mut result, w, n, 0);
    }
    e.write_register(0, result);
    e.write_register(2, Ymm::ZERO);
    Ok(())
}

rows! {
    exec VEX_Vpgatherdd_xmm_vm32x_xmm | VEX_Vgatherdps_xmm_vm32x_xmm => |e| gather(e, Shape::new(Dword, Dword, 16));
    exec VEX_Vpgatherdd_ymm_vm32y_ymm | VEX_Vgatherdps_ymm_vm32y_ymm => |e| gather(e, Shape::new(Dword, Dword, 32));
    exec VEX_Vpgatherdq_xmm_vm32x_xmm | VEX_Vgatherdpd_xmm_vm32x_xmm => |e| gather(e, Shape::new(Dword, Qword, 16));
    exec VEX_Vpgatherdq_ymm_vm32x_ymm | VEX_Vgatherdpd_ymm_vm32x_ymm => |e| gather(e, Shape::new(Dword, Qword, 32));
    exec VEX_Vpgatherqd_xmm_vm64x_xmm | VEX_Vgatherqps_xmm_vm64x_xmm => |e| gather(e, Shape::new(Qword, Dword, 16));
    exec VEX_Vpgatherqd_xmm_vm64y_xmm | VEX_Vgatherqps_xmm_vm64y_xmm => |e| gather(e, Shape::new(Qword, Dword, 32));
    exec VEX_Vpgatherqq_xmm_vm64x_xmm | VEX_Vgatherqpd_xmm_vm64x_xmm => |e| gather(e, Shape::new(Qword, Qword, 16));
    exec VEX_Vpgatherqq_ymm_vm64y_ymm | VEX_Vgatherqpd_ymm_vm64y_ymm => |e| gather(e, Shape::new(Qword, Qword, 32));
}
