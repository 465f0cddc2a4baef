//! LDMXCSR, STMXCSR, FXSAVE, FXRSTOR, XSAVE and its kin, XRSTOR, XGETBV, XSETBV, CLFLUSH.
//!
//! Source: Intel SDM vol. 1 §10.5, "FXSAVE and FXRSTOR Instructions", §13, "Managing State Using
//! the XSAVE Feature Set"; vol. 2, the page of each mnemonic.
//!
//! XSAVE knows x87 (bit 0 of XCR0), SSE (bit 1) and AVX (bit 2), which always count as in use
//! (XINUSE) and modified; the manual allows that, and so XSAVEOPT is XSAVE. No supervisor component
//! is there, so XSAVES and XRSTORS are XSAVEC and XRSTOR for CPL 0. The compacted format differs
//! from the standard one only in the header and in what becomes of MXCSR: AVX is the first
//! component in either. Not modelled: the fast FXSAVE of AMD (EFER.FFXSR).

use crate::exception::{Exception, Fault};
use crate::exec::Exec;
use crate::float::{FxsavePointers, Mxcsr, X87};
use crate::paging::Access;
use crate::state::gpr;
use crate::table::rows;
use crate::target::Target;
use crate::vector::Xmm;
use cutaway_isa::Width::{Byte, Dword, Qword};
use cutaway_isa::{Cr0, Cr4, Xcr0};

type Done = Result<(), Fault>;

/// Bytes of the legacy region: what FXSAVE writes.
const LEGACY: usize = 512;
/// Where MXCSR lies in it; MXCSR_MASK follows.
const MXCSR: usize = 24;
/// Where ST(0) lies in it.
const ST0: usize = 32;
/// Where XMM0 lies in it.
const XMM0: usize = 160;
/// Bytes of an XSAVE area with everything. Behind the legacy region come the 64 bytes of the
/// header (XSTATE_BV, XCOMP_BV, reserved), then the upper halves of the YMM registers.
const AREA: usize = Xcr0::all().area_bytes() as usize;
/// Where the upper halves of the YMM registers lie.
const YMM_HIGH: usize = Xcr0::AVX_OFFSET as usize;
/// Bit of XCOMP_BV: the area is in the compacted format.
const COMPACTED: u64 = 1 << 63;

/// Where an area lies. Its bytes are addressed one by one: they wrap with the address size.
#[derive(Clone, Copy)]
struct Area {
    base: u64,
    offset: u64,
    offset_mask: u64,
    linear_mask: u64,
}

impl Area {
    /// The linear address of a byte.
    fn at(self, byte: u64) -> u64 {
        let offset = self.offset.wrapping_add(byte) & self.offset_mask;
        self.base.wrapping_add(offset) & self.linear_mask
    }
}

impl Exec<'_> {
    /// XMM registers that instructions can name in this mode.
    fn xmm_count(&self) -> usize {
        if self.cpu.is_64_bit() { 16 } else { 8 }
    }

    /// #UD unless CR4.OSXSAVE is set.
    fn require_osxsave(&self) -> Done {
        let enabled = self.cpu.system.cr4 & Cr4::OSXSAVE.bits() != 0;
        if enabled { Ok(()) } else { Err(Exception::UD.into()) }
    }

    fn area(&self) -> Area {
        let base = self.cpu.windows[self.segment() as usize].base;
        let linear = if self.cpu.is_64_bit() { Qword } else { Dword };
        let (offset_mask, linear_mask) = (self.address_width().mask(), linear.mask());
        Area { base, offset: self.offset(), offset_mask, linear_mask }
    }

    /// The segment's checks for byte `at` of an area.
    fn check_byte(&self, area: Area, at: u64, access: Access) -> Result<u64, Fault> {
        self.cpu.linear(self.segment(), area.offset.wrapping_add(at) & area.offset_mask, 1, access)
    }

    /// The 512 bytes of FXSAVE. In the order of a Zen 3: what reading the first 4 bytes asks of the
    /// segment, #AC for them, alignment, the last byte, the first one.
    fn fxsave_area(&mut self, access: Access) -> Result<Area, Fault> {
        let first = self.operand_linear(4, Access::Read)?;
        self.cpu.check_alignment(first, 4)?;
        self.require_alignment(16)?;
        let area = self.area();
        self.probe_bytes(area, &[LEGACY as u64 - 1, 0], access)?;
        Ok(area)
    }

    /// An area of XSAVE. In the order of a Zen 3: alignment, the first byte, and as the caller goes
    /// on; #AC is not raised.
    fn xsave_area(&mut self, access: Access) -> Result<Area, Fault> {
        self.require_alignment(64)?;
        let area = self.area();
        self.probe_bytes(area, &[0], access)?;
        Ok(area)
    }

    /// An area of XSAVE that all of the components can be written to.
    fn writable_area(&mut self, components: Xcr0) -> Result<Area, Fault> {
        let area = self.xsave_area(Access::Write)?;
        self.probe_bytes(area, &[u64::from(components.area_bytes()) - 1], Access::Write)?;
        Ok(area)
    }

    fn probe_bytes(&mut self, area: Area, bytes: &[u64], access: Access) -> Done {
        for &at in bytes {
            self.check_byte(area, at, access)?;
        }
        let user = self.cpu.is_user();
        for &at in bytes {
            let linear = area.at(at);
            self.cpu.probe_linear(self.bus, linear, 1, access, user)?;
        }
        Ok(())
    }

    /// Reads whole qwords of an area, from its byte `from` on.
    fn read_area(&mut self, area: Area, from: usize, bytes: &mut [u8]) -> Done {
        let user = self.cpu.is_user();
        for (i, chunk) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let at = area.at((from + 8 * i) as u64);
            *chunk = self.cpu.read_linear(self.bus, at, Qword, user)?.to_le_bytes();
        }
        Ok(())
    }

    /// Writes whole qwords of an area, which has been probed.
    fn write_area(&mut self, area: Area, from: usize, bytes: &[u8]) -> Done {
        let user = self.cpu.is_user();
        for (i, chunk) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let at = area.at((from + 8 * i) as u64);
            self.cpu.write_linear(self.bus, at, Qword, u64::from_le_bytes(*chunk), user)?;
        }
        Ok(())
    }

    /// Writes the x87 part of the legacy region.
    fn save_x87(&mut self, area: Area, pointers: FxsavePointers) -> Done {
        let mut image = [0; LEGACY];
        self.cpu.x87.write_fxsave(&mut image, pointers);
        self.write_area(area, 0, &image[..MXCSR])?;
        self.write_area(area, ST0, &image[ST0..XMM0])
    }

    /// Writes MXCSR and MXCSR_MASK of the legacy region.
    fn save_mxcsr(&mut self, area: Area) -> Done {
        let both = u64::from(Mxcsr::WRITABLE) << 32 | u64::from(self.cpu.mxcsr.bits());
        self.write_area(area, MXCSR, &both.to_le_bytes())
    }

    /// Writes the XMM registers of the legacy region.
    fn save_xmm(&mut self, area: Area) -> Done {
        for n in 0..self.xmm_count() {
            let bytes = self.cpu.xmm[n].0;
            self.write_area(area, XMM0 + 16 * n, &bytes)?;
        }
        Ok(())
    }

    fn load_xmm(&mut self, image: &[u8]) {
        let count = self.xmm_count();
        let registers = image[XMM0..].as_chunks::<16>().0;
        for (register, bytes) in self.cpu.xmm[..count].iter_mut().zip(registers) {
            *register = Xmm(*bytes);
        }
    }

    /// Writes the upper halves of the YMM registers.
    fn save_ymm_high(&mut self, area: Area) -> Done {
        for n in 0..self.xmm_count() {
            let bytes = self.cpu.ymm_high[n].0;
            self.write_area(area, YMM_HIGH + 16 * n, &bytes)?;
        }
        Ok(())
    }

    /// Writes components of an XSAVE area, MXCSR aside.
    fn save_components(&mut self, area: Area, components: Xcr0, pointers: FxsavePointers) -> Done {
        if components.contains(Xcr0::X87) {
            self.save_x87(area, pointers)?;
        }
        if components.contains(Xcr0::SSE) {
            self.save_xmm(area)?;
        }
        if components.contains(Xcr0::AVX) {
            self.save_ymm_high(area)?;
        }
        Ok(())
    }

    fn load_ymm_high(&mut self, image: &[u8]) {
        let count = self.xmm_count();
        let registers = image[YMM_HIGH..].as_chunks::<16>().0;
        for (register, bytes) in self.cpu.ymm_high[..count].iter_mut().zip(registers) {
            *register = Xmm(*bytes);
        }
    }

    fn fxsave_available(&self) -> Done {
        let blocked = Cr0::EM.union(Cr0::TS).bits();
        if self.cpu.system.cr0 & blocked != 0 { Err(Exception::NM.into()) } else { Ok(()) }
    }

    fn has_xmm(&self) -> bool {
        self.cpu.system.cr4 & Cr4::OSFXSR.bits() != 0
    }

    /// What XSAVE and XRSTOR need, and the components asked for: XCR0 AND EDX:EAX.
    fn xsave_components(&mut self) -> Result<Xcr0, Fault> {
        self.require_osxsave()?;
        if self.cpu.system.cr0 & Cr0::TS.bits() != 0 {
            return Err(Exception::NM.into());
        }
        let mask = self.gpr(gpr::RDX, Dword) << 32 | self.gpr(gpr::RAX, Dword);
        Ok(Xcr0::from_bits_retain(mask & self.cpu.system.xcr0))
    }
}

/// MXCSR in an image; #GP(0) for reserved bits.
fn mxcsr_of(image: &[u8]) -> Result<Mxcsr, Fault> {
    let bytes = image[MXCSR..].first_chunk().expect("the image is longer");
    checked_mxcsr(u32::from_le_bytes(*bytes))
}

fn checked_mxcsr(value: u32) -> Result<Mxcsr, Fault> {
    Mxcsr::from_bits(value).ok_or(Exception::GP0.into())
}

/// LDMXCSR: reserved bits are #GP(0).
pub(in crate::meaning) fn ldmxcsr(e: &mut Exec<'_>) -> Done {
    let value = e.read(0, Dword)?;
    e.cpu.mxcsr = checked_mxcsr(value as u32)?;
    Ok(())
}

/// STMXCSR.
pub(in crate::meaning) fn stmxcsr(e: &mut Exec<'_>) -> Done {
    let value = e.cpu.mxcsr.bits();
    e.write(0, Dword, value.into())
}

/// FXSAVE: x87 and, with CR4.OSFXSR, MXCSR and the XMM registers, to 512 bytes. Reserved bytes,
/// and those of registers that the mode cannot name, stay.
fn fxsave(e: &mut Exec<'_>, pointers: FxsavePointers) -> Done {
    e.fxsave_available()?;
    let area = e.fxsave_area(Access::Write)?;
    e.save_x87(area, pointers)?;
    if e.has_xmm() {
        e.save_mxcsr(area)?;
        e.save_xmm(area)?;
    }
    Ok(())
}

/// FXRSTOR: the reverse.
fn fxrstor(e: &mut Exec<'_>, pointers: FxsavePointers) -> Done {
    e.fxsave_available()?;
    let area = e.fxsave_area(Access::Read)?;
    let mut image = [0; LEGACY];
    e.read_area(area, 0, &mut image)?;
    if e.has_xmm() {
        e.cpu.mxcsr = mxcsr_of(&image)?;
        e.load_xmm(&image);
    }
    e.cpu.x87.read_fxsave(&image, pointers);
    Ok(())
}

/// XSAVE: the components asked for; XSTATE_BV gets their bits.
fn xsave(e: &mut Exec<'_>, pointers: FxsavePointers) -> Done {
    let components = e.xsave_components()?;
    let area = e.writable_area(components)?;
    let mut xstate_bv = [0; 8];
    e.read_area(area, LEGACY, &mut xstate_bv)?;

    if components.intersects(Xcr0::SSE | Xcr0::AVX) {
        e.save_mxcsr(area)?;
    }
    e.save_components(area, components, pointers)?;
    let present = u64::from_le_bytes(xstate_bv) | components.bits();
    e.write_area(area, LEGACY, &present.to_le_bytes())
}

/// XSAVEC: as XSAVE, and the header's first two qwords say what is there and that the format is
/// the compacted one.
fn xsavec(e: &mut Exec<'_>, pointers: FxsavePointers) -> Done {
    let components = e.xsave_components()?;
    let area = e.writable_area(components)?;
    if components.contains(Xcr0::SSE) {
        e.save_mxcsr(area)?;
    }
    e.save_components(area, components, pointers)?;
    let present = u128::from(components.bits());
    let header = (present | u128::from(COMPACTED)) << 64 | present;
    e.write_area(area, LEGACY, &header.to_le_bytes())
}

/// XSAVES: XSAVEC at CPL 0.
fn xsaves(e: &mut Exec<'_>, pointers: FxsavePointers) -> Done {
    e.require_osxsave()?;
    e.require_cpl0()?;
    xsavec(e, pointers)
}

/// XRSTORS: XRSTOR at CPL 0; #GP(0) for the standard format.
fn xrstors(e: &mut Exec<'_>, pointers: FxsavePointers) -> Done {
    e.require_osxsave()?;
    e.require_cpl0()?;
    restore(e, pointers, Formats::Compacted)
}

/// XRSTOR, from either format where the CPU has XSAVEC.
fn xrstor(e: &mut Exec<'_>, pointers: FxsavePointers) -> Done {
    restore(e, pointers, Formats::Both)
}

/// The formats that an instruction loads from.
#[derive(Clone, Copy, PartialEq)]
enum Formats {
    Both,
    Compacted,
}

/// XSTATE_BV of a header, and whether the format is the compacted one; #GP(0) for a bad header.
fn checked_header(
    e: &Exec<'_>,
    header: &[u8; 64],
    formats: Formats,
) -> Result<(Xcr0, bool), Fault> {
    let words = header.as_chunks::<8>().0;
    let (xstate_bv, xcomp_bv) = (u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]));
    let is_compacted = xcomp_bv & COMPACTED != 0;
    let xcr0 = e.cpu.system.xcr0;
    let (known, reserved) = if is_compacted && e.cpu.model.has_xsavec() {
        (xcomp_bv & !COMPACTED, &header[16..])
    } else {
        (xcr0, &header[8..24])
    };
    let foreign = known & !xcr0 != 0 || xstate_bv & !known != 0;
    let refused = formats == Formats::Compacted && !is_compacted;
    if foreign || refused || reserved.iter().any(|&byte| byte != 0) {
        return Err(Exception::GP0.into());
    }
    Ok((Xcr0::from_bits_retain(xstate_bv), is_compacted))
}

/// Of the components asked for, those that XSTATE_BV has are loaded and the others initialised.
/// MXCSR belongs to SSE in the compacted format; in the standard one it is loaded in either case,
/// for AVX as for SSE.
fn restore(e: &mut Exec<'_>, pointers: FxsavePointers, formats: Formats) -> Done {
    let components = e.xsave_components()?;
    let area = e.xsave_area(Access::Read)?;
    e.probe_bytes(area, &[LEGACY as u64], Access::Read)?;
    let mut header = [0; 64];
    e.read_area(area, LEGACY, &mut header)?;
    let (present, is_compacted) = checked_header(e, &header, formats)?;
    let size = components.area_bytes() as usize;
    e.probe_bytes(area, &[size as u64 - 1], Access::Read)?;
    let mut image = [0; AREA];
    e.read_area(area, 0, &mut image[..size])?;

    if is_compacted && components.contains(Xcr0::SSE) {
        let is_there = present.contains(Xcr0::SSE);
        e.cpu.mxcsr = if is_there { mxcsr_of(&image)? } else { Mxcsr::RESET };
    } else if !is_compacted && components.intersects(Xcr0::SSE | Xcr0::AVX) {
        e.cpu.mxcsr = mxcsr_of(&image)?;
    }
    let count = e.xmm_count();
    if components.contains(Xcr0::SSE) {
        if present.contains(Xcr0::SSE) {
            e.load_xmm(&image);
        } else {
            e.cpu.xmm[..count].fill(Xmm::ZERO);
        }
    }
    if components.contains(Xcr0::AVX) {
        if present.contains(Xcr0::AVX) {
            e.load_ymm_high(&image);
        } else {
            e.cpu.ymm_high[..count].fill(Xmm::ZERO);
        }
    }
    if components.contains(Xcr0::X87) {
        let legacy = image.first_chunk().expect("the image is longer");
        if present.contains(Xcr0::X87) {
            e.cpu.x87.read_fxsave(legacy, pointers);
        } else {
            e.cpu.x87 = X87::new();
            e.cpu.x87.initialize();
        }
    }
    Ok(())
}

/// XGETBV: XCR0 to EDX:EAX; for ECX = 1, where the CPU has XSAVEC, its components in use: all.
fn xgetbv(e: &mut Exec<'_>) -> Done {
    e.require_osxsave()?;
    if e.gpr(gpr::RCX, Dword) > u64::from(e.cpu.model.has_xsavec()) {
        return Err(Exception::GP0.into());
    }
    let xcr0 = e.cpu.system.xcr0;
    e.set_gpr(gpr::RAX, Dword, xcr0 & 0xffff_ffff);
    e.set_gpr(gpr::RDX, Dword, xcr0 >> 32);
    Ok(())
}

/// XSETBV: EDX:EAX to XCR0, where that is valid and the model has the components.
fn xsetbv(e: &mut Exec<'_>) -> Done {
    e.require_osxsave()?;
    e.require_cpl0()?;
    let value = e.gpr(gpr::RDX, Dword) << 32 | e.gpr(gpr::RAX, Dword);
    let new = Xcr0::from_bits_retain(value);
    let known = e.cpu.model.xcr0_bits().contains(new);
    if e.gpr(gpr::RCX, Dword) != 0 || !known || !new.is_valid() {
        return Err(Exception::GP0.into());
    }
    e.cpu.system.xcr0 = value;
    e.cpu.settle(); // it decides whether there is AVX
    Ok(())
}

/// CLFLUSH, CLFLUSHOPT, CLWB: no cache, but the address must be readable.
fn clflush(e: &mut Exec<'_>) -> Done {
    e.read(0, Byte).map(drop)
}

rows! {
    exec Ldmxcsr_m32 => ldmxcsr;
    exec Stmxcsr_m32 => stmxcsr;
    exec Fxsave_m512byte => |e| fxsave(e, FxsavePointers::Selectors);
    exec Fxsave64_m512byte => |e| fxsave(e, FxsavePointers::Wide);
    exec Fxrstor_m512byte => |e| fxrstor(e, FxsavePointers::Selectors);
    exec Fxrstor64_m512byte => |e| fxrstor(e, FxsavePointers::Wide);
    exec Xsave_mem => |e| xsave(e, FxsavePointers::Selectors);
    exec Xsave64_mem => |e| xsave(e, FxsavePointers::Wide);
    exec Xrstor_mem => |e| xrstor(e, FxsavePointers::Selectors);
    exec Xrstor64_mem => |e| xrstor(e, FxsavePointers::Wide);
    exec Xsaveopt_mem => |e| xsave(e, FxsavePointers::Selectors);
    exec Xsaveopt64_mem => |e| xsave(e, FxsavePointers::Wide);
    exec Xsavec_mem => |e| xsavec(e, FxsavePointers::Selectors);
    exec Xsavec64_mem => |e| xsavec(e, FxsavePointers::Wide);
    exec Xsaves_mem => |e| xsaves(e, FxsavePointers::Selectors);
    exec Xsaves64_mem => |e| xsaves(e, FxsavePointers::Wide);
    exec Xrstors_mem => |e| xrstors(e, FxsavePointers::Selectors);
    exec Xrstors64_mem => |e| xrstors(e, FxsavePointers::Wide);
    exec Xgetbv => xgetbv;
    exec Xsetbv => xsetbv;
    exec Clflush_m8 | Clflushopt_m8 | Clwb_m8 => clflush;
}
