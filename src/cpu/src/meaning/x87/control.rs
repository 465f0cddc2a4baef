//! Control instructions: FLDCW FNSTCW FNSTSW FNINIT FNCLEX, the environment and state images,
//! WAIT. They leave the last-instruction pointers alone.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic. FENI, FDISI and FSETPM of the 8087 and
//! 80287 do nothing, as since the 80387.

use crate::exception::{Exception, Fault};
use crate::exec::Exec;
use crate::float::X87;
use crate::float::x87_image::{IMAGE_BYTES, ImageLayout};
use crate::paging::Access;
use crate::state::gpr;
use crate::table::rows;
use crate::target::{Step, Target};
use crate::vcpu::Mode;
use cutaway_isa::Cr0;
use cutaway_isa::Width::{self, Dword, Word};

/// FLDCW.
#[inline(always)]
fn load_control<T: Target>(t: &mut T) -> Step<T> {
    t.x87_ready()?;
    let word = t.read(0, Word)?;
    t.x87_set_control(&word);
    Ok(())
}

/// FNSTCW, FNSTSW to memory.
#[inline(always)]
fn store_word<T: Target>(t: &mut T, name: &'static str, word: fn(&X87) -> u16) -> Step<T> {
    t.x87_available()?;
    let word = t.x87_word(name, word);
    t.write(0, Word, word)
}

/// FNSTSW AX.
#[inline(always)]
fn status_to_ax<T: Target>(t: &mut T) -> Step<T> {
    t.x87_available()?;
    let word = t.x87_word("status word", X87::status);
    t.set_gpr(gpr::RAX, Word, word);
    Ok(())
}

/// FNINIT, FNCLEX and what has become of FENI, FDISI, FSETPM: nothing waits.
fn change(e: &mut Exec<'_>, change: fn(&mut X87)) -> Result<(), Fault> {
    e.x87_available()?;
    change(&mut e.cpu.x87);
    Ok(())
}

/// WAIT: #NM if both MP and TS are set, #MF if an exception waits.
fn wait(e: &mut Exec<'_>) -> Result<(), Fault> {
    let monitored = Cr0::MP.union(Cr0::TS).bits();
    if e.cpu.system.cr0 & monitored == monitored {
        return Err(Exception::NM.into());
    }
    e.x87_pending()
}

fn layout(e: &Exec<'_>, wide: bool) -> ImageLayout {
    match (e.cpu.mode.contains(Mode::REAL), wide) {
        (false, false) => ImageLayout::Protected16,
        (false, true) => ImageLayout::Protected32,
        (true, false) => ImageLayout::Real16,
        (true, true) => ImageLayout::Real32,
    }
}

/// Raises what an access to an image of `bytes` bytes raises: for its first element, then for its
/// last byte (the order of a Zen 3).
fn probe_image(e: &mut Exec<'_>, w: Width, bytes: usize, access: Access) -> Result<(), Fault> {
    let (seg, start, mask) = (e.segment(), e.offset(), e.address_width().mask());
    let user = e.cpu.is_user();
    let last = start.wrapping_add(bytes as u64 - 1) & mask;
    for (offset, size) in [(start, w.bytes()), (last, 1)] {
        let linear = e.cpu.linear(seg, offset, size, access)?;
        e.cpu.check_alignment(linear, size)?;
        e.cpu.probe_linear(e.bus, linear, size, access, user)?;
    }
    Ok(())
}

/// Reads the first `bytes` of an image, word by word or dword by dword.
fn read_image(e: &mut Exec<'_>, wide: bool, bytes: usize) -> Result<[u8; IMAGE_BYTES], Fault> {
    let w = if wide { Dword } else { Word };
    let (seg, start, mask) = (e.segment(), e.offset(), e.address_width().mask());
    probe_image(e, w, bytes, Access::Read)?;
    let mut image = [0; IMAGE_BYTES];
    for (at, chunk) in
        (0..).step_by(w.bytes() as usize).zip(image[..bytes].chunks_mut(w.bytes() as usize))
    {
        let value = e.cpu.read_segment(e.bus, seg, start.wrapping_add(at) & mask, w)?;
        chunk.copy_from_slice(&value.to_le_bytes()[..chunk.len()]);
    }
    Ok(image)
}

/// Writes the first `bytes` of an image, all or nothing.
fn write_image(
    e: &mut Exec<'_>,
    wide: bool,
    image: &[u8; IMAGE_BYTES],
    bytes: usize,
) -> Result<(), Fault> {
    let w = if wide { Dword } else { Word };
    let (seg, start, mask) = (e.segment(), e.offset(), e.address_width().mask());
    let size = w.bytes() as usize;
    probe_image(e, w, bytes, Access::Write)?;
    for at in (0..bytes as u64).step_by(size) {
        e.cpu.probe_write(e.bus, seg, start.wrapping_add(at) & mask, w.bytes())?;
    }
    for (at, chunk) in (0..).step_by(size).zip(image[..bytes].chunks(size)) {
        let value = chunk.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
        e.cpu.write_segment(e.bus, seg, start.wrapping_add(at) & mask, w, value)?;
    }
    Ok(())
}

/// FLDENV.
fn load_environment(e: &mut Exec<'_>, wide: bool) -> Result<(), Fault> {
    e.x87_ready()?;
    let layout = layout(e, wide);
    let image = read_image(e, wide, layout.environment_bytes())?;
    e.cpu.x87.load_environment(layout, &image);
    Ok(())
}

/// FRSTOR.
fn load_state(e: &mut Exec<'_>, wide: bool) -> Result<(), Fault> {
    e.x87_ready()?;
    let layout = layout(e, wide);
    let image = read_image(e, wide, layout.state_bytes())?;
    e.cpu.x87.load_state(layout, &image);
    Ok(())
}

/// FNSTENV: then all exceptions are masked.
fn store_environment(e: &mut Exec<'_>, wide: bool) -> Result<(), Fault> {
    e.x87_available()?;
    let layout = layout(e, wide);
    let image = e.cpu.x87.image(layout);
    write_image(e, wide, &image, layout.environment_bytes())?;
    e.cpu.x87.mask_exceptions();
    Ok(())
}

/// FNSAVE: then FNINIT.
fn store_state(e: &mut Exec<'_>, wide: bool) -> Result<(), Fault> {
    e.x87_available()?;
    let layout = layout(e, wide);
    let image = e.cpu.x87.image(layout);
    write_image(e, wide, &image, layout.state_bytes())?;
    e.cpu.x87.initialize();
    Ok(())
}

rows! {
    unary Fldcw_m2byte => load_control();
    unary Fnstcw_m2byte => store_word("control word", X87::control);
    unary Fnstsw_m2byte => store_word("status word", X87::status);
    registers Fnstsw_AX => status_to_ax();
    exec Fninit => |e| change(e, X87::initialize);
    exec Fnclex => |e| change(e, X87::clear_exceptions);
    exec Fneni | Fndisi | Fnsetpm => |e| change(e, |_| {});
    exec Fldenv_m14byte => |e| load_environment(e, false);
    exec Fldenv_m28byte => |e| load_environment(e, true);
    exec Fnstenv_m14byte => |e| store_environment(e, false);
    exec Fnstenv_m28byte => |e| store_environment(e, true);
    exec Frstor_m94byte => |e| load_state(e, false);
    exec Frstor_m108byte => |e| load_state(e, true);
    exec Fnsave_m94byte => |e| store_state(e, false);
    exec Fnsave_m108byte => |e| store_state(e, true);
    exec Wait => wait;
}
