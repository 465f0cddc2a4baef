//! VMASKMOV, VPMASKMOV: loads and stores of the elements that a mask chooses.
//!
//! Source: Intel SDM vol. 2, "VMASKMOV", "VPMASKMOV". An element that is not chosen cannot fault;
//! alignment is not checked (measured on Zen 3).

use crate::exception::Fault;
use crate::exec::{Exec, is_256};
use crate::paging::Access;
use crate::table::rows;
use crate::target::Alignment::Any;
use crate::target::Target;
use crate::vector::Ymm;
use cutaway_isa::Width;

type Done = Result<(), Fault>;

/// Element `i` of `w` bits of a YMM value.
pub(super) fn element(value: &Ymm, w: Width, i: usize) -> u64 {
    let at = i * w.bytes() as usize;
    let bytes = &value.0[at / 16].0[at % 16..][..w.bytes() as usize];
    bytes.iter().rev().fold(0, |all, &byte| all << 8 | u64::from(byte))
}

/// Replaces element `i` of `w` bits.
pub(super) fn set_element(value: &mut Ymm, w: Width, i: usize, element: u64) {
    let at = i * w.bytes() as usize;
    let bytes = &mut value.0[at / 16].0[at % 16..][..w.bytes() as usize];
    bytes.copy_from_slice(&element.to_le_bytes()[..w.bytes() as usize]);
}

/// The elements that a mask chooses by their signs.
fn chosen(mask: Ymm, is_256: bool, w: Width) -> impl Iterator<Item = usize> {
    let count = (if is_256 { 32 } else { 16 } / w.bytes()) as usize;
    (0..count).filter(move |&i| element(&mask, w, i) & w.sign_bit() != 0)
}

/// Reads an element. Where it must be aligned, #AC is not raised.
pub(super) fn load_element(e: &mut Exec<'_>, offset: u64, w: Width) -> Result<u64, Fault> {
    let seg = e.segment();
    let linear = e.cpu.linear(seg, offset, w.bytes(), Access::Read)?;
    let user = e.cpu.is_user();
    e.cpu.read_linear(e.bus, linear, w, user)
}

/// To a register; the elements that are not chosen become 0.
fn load(e: &mut Exec<'_>, w: Width) -> Done {
    let (mask, wide) = (e.read_wide(1, Any)?, is_256(e.instruction));
    let (start, wrap) = (e.offset(), e.address_width().mask());
    let mut result = Ymm::ZERO;
    for i in chosen(mask, wide, w) {
        let at = start.wrapping_add(i as u64 * w.bytes()) & wrap;
        let value = load_element(e, at, w)?;
        set_element(&mut result, w, i, value);
    }
    e.write_wide(0, Any, result)
}

/// To memory; where one element cannot be written, none is.
fn store(e: &mut Exec<'_>, w: Width) -> Done {
    let (mask, wide) = (e.read_wide(1, Any)?, is_256(e.instruction));
    let value = e.read_wide(2, Any)?;
    let (seg, start, wrap) = (e.segment(), e.offset(), e.address_width().mask());
    let user = e.cpu.is_user();
    let mut places = [0; 8];
    for i in chosen(mask, wide, w) {
        let at = start.wrapping_add(i as u64 * w.bytes()) & wrap;
        places[i] = e.cpu.linear(seg, at, w.bytes(), Access::Write)?;
        e.cpu.probe_linear(e.bus, places[i], w.bytes(), Access::Write, user)?;
    }
    for i in chosen(mask, wide, w) {
        e.cpu.write_linear(e.bus, places[i], w, element(&value, w, i), user)?;
    }
    Ok(())
}

rows! {
    exec VEX_Vmaskmovps_xmm_xmm_m128 | VEX_Vpmaskmovd_xmm_xmm_m128 | VEX_Vmaskmovps_ymm_ymm_m256 | VEX_Vpmaskmovd_ymm_ymm_m256 => |e| load(e, Width::Dword);
    exec VEX_Vmaskmovpd_xmm_xmm_m128 | VEX_Vpmaskmovq_xmm_xmm_m128 | VEX_Vmaskmovpd_ymm_ymm_m256 | VEX_Vpmaskmovq_ymm_ymm_m256 => |e| load(e, Width::Qword);
    exec VEX_Vmaskmovps_m128_xmm_xmm | VEX_Vpmaskmovd_m128_xmm_xmm | VEX_Vmaskmovps_m256_ymm_ymm | VEX_Vpmaskmovd_m256_ymm_ymm => |e| store(e, Width::Dword);
    exec VEX_Vmaskmovpd_m128_xmm_xmm | VEX_Vpmaskmovq_m128_xmm_xmm | VEX_Vmaskmovpd_m256_ymm_ymm | VEX_Vpmaskmovq_m256_ymm_ymm => |e| store(e, Width::Qword);
}
