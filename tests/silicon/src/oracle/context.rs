//! Between a case and the context that the kernel saves at a signal and `sigreturn` loads.
//!
//! Source: Linux `arch/x86/include/uapi/asm/sigcontext.h`; Intel SDM vol. 1 §13.4, "XSAVE Area".

use std::arch::asm;

use crate::case::{Case, Ending, Registers, ending, seg};

/// `gregs` of RAX RCX RDX RBX RSP RBP RSI RDI R8 to R15.
const GPRS: [usize; 16] = [13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7];
const RIP: usize = 16;
const EFLAGS: usize = 17;
/// CS, GS, FS and SS, 16 bits each, low first.
const CS_GS_FS_SS: usize = 18;
const ERROR: usize = 19;
const TRAP: usize = 20;
const CR2: usize = 22;

/// The SS of the context is loaded as it is, in all code sizes.
const UC_STRICT: u64 = 1 | 2 | 4;
/// XSTATE_BV in an XSAVE area.
const XSTATE_BV: usize = 512;
/// x87, SSE and AVX.
const COMPONENTS: u64 = 7;
/// MXCSR in an XSAVE area.
const MXCSR: usize = 24;
/// XMM0 in it.
const XMM0: usize = 160;
const TF: u64 = 1 << 8;

/// Segment registers that a signal leaves alone.
#[derive(Clone, Copy)]
pub(crate) struct Segments {
    /// ES DS FS GS.
    selectors: [u16; 4],
    bases: [u64; 2],
}

impl Segments {
    /// Those of the interrupted code. To be called before anything changes them.
    #[inline(always)]
    pub(crate) fn current() -> Self {
        let (es, ds, fs, gs): (u16, u16, u16, u16);
        let (fs_base, gs_base): (u64, u64);
        // SAFETY: reads registers only; `Oracle::new` has checked for FSGSBASE.
        unsafe {
            asm!(
                "mov {es:x}, es", "mov {ds:x}, ds", "mov {fs:x}, fs", "mov {gs:x}, gs",
                "rdfsbase {fs_base}", "rdgsbase {gs_base}",
                es = out(reg) es, ds = out(reg) ds, fs = out(reg) fs, gs = out(reg) gs,
                fs_base = out(reg) fs_base, gs_base = out(reg) gs_base,
                options(nomem, nostack, preserves_flags),
            );
        }
        Self { selectors: [es, ds, fs, gs], bases: [fs_base, gs_base] }
    }

    /// Loads those of a case. Nothing may use thread-local storage after this.
    #[inline(always)]
    pub(crate) fn load(case: &Case) {
        let selectors = &case.registers.selectors;
        let (es, ds) = (selectors[seg::ES], selectors[seg::DS]);
        let (fs, gs) = (selectors[seg::FS], selectors[seg::GS]);
        // SAFETY: selectors of cases name segments of `place`, which do not fault; the worker
        // addresses memory through CS, SS and DS, whose bases 64-bit mode ignores.
        unsafe {
            asm!(
                "mov es, {es:x}", "mov ds, {ds:x}", "mov fs, {fs:x}", "mov gs, {gs:x}",
                es = in(reg) es, ds = in(reg) ds, fs = in(reg) fs, gs = in(reg) gs,
                options(nostack, preserves_flags),
            );
        }
        let [fs_base, gs_base] = case.registers.bases;
        if fs & !3 == 0 {
            // SAFETY: nothing uses FS from here on; bases of cases are canonical.
            unsafe { asm!("wrfsbase {}", in(reg) fs_base, options(nostack, preserves_flags)) };
        }
        if gs & !3 == 0 {
            // SAFETY: user code has no other use of GS; bases of cases are canonical.
            unsafe { asm!("wrgsbase {}", in(reg) gs_base, options(nostack, preserves_flags)) };
        }
    }
}

/// The XSAVE area of a context, as bytes.
struct Area(*mut u8);

impl Area {
    /// # Safety
    /// `context` is what the kernel handed to a signal handler, so its area has the standard
    /// format and reaches beyond the upper YMM halves.
    unsafe fn of(context: *mut libc::ucontext_t) -> Self {
        // SAFETY: as promised by the caller.
        Self(unsafe { (*context).uc_mcontext.fpregs }.cast())
    }

    /// # Safety
    /// The bytes lie inside the area, which the caller of [`Area::of`] knows.
    unsafe fn read<const N: usize>(&self, at: usize) -> [u8; N] {
        // SAFETY: as promised by the caller; bytes need no alignment.
        unsafe { self.0.add(at).cast::<[u8; N]>().read_unaligned() }
    }

    /// # Safety
    /// As [`Area::read`].
    unsafe fn write<const N: usize>(&self, at: usize, bytes: [u8; N]) {
        // SAFETY: as promised by the caller; bytes need no alignment.
        unsafe { self.0.add(at).cast::<[u8; N]>().write_unaligned(bytes) }
    }
}

/// What ended the case.
///
/// # Safety
/// As [`load`].
pub(crate) unsafe fn ending_of(context: *const libc::ucontext_t, signal: i32) -> Ending {
    // SAFETY: as promised by the caller.
    let gregs = unsafe { &(*context).uc_mcontext.gregs };
    if signal == libc::SIGSYS {
        return Ending { vector: ending::SYSTEM_CALL, error: 0, address: 0 };
    }
    Ending { vector: gregs[TRAP] as u32, error: gregs[ERROR] as u32, address: gregs[CR2] as u64 }
}

/// RIP of the context.
///
/// # Safety
/// As [`load`].
pub(crate) unsafe fn rip_of(context: *const libc::ucontext_t) -> u64 {
    // SAFETY: as promised by the caller.
    unsafe { (*context).uc_mcontext.gregs[RIP] as u64 }
}

/// Copies the registers of the context.
///
/// # Safety
/// As [`load`].
pub(crate) unsafe fn store(
    context: *mut libc::ucontext_t,
    segments: &Segments,
    ymm_offset: usize,
    registers: &mut Registers,
) {
    // SAFETY: as promised by the caller.
    let gregs = unsafe { &(*context).uc_mcontext.gregs };
    for (register, &index) in registers.gpr.iter_mut().zip(&GPRS) {
        *register = gregs[index] as u64;
    }
    registers.rip = gregs[RIP] as u64;
    registers.rflags = gregs[EFLAGS] as u64;
    let selectors = gregs[CS_GS_FS_SS] as u64;
    let [es, ds, fs, gs] = segments.selectors;
    registers.selectors = [es, selectors as u16, (selectors >> 48) as u16, ds, fs, gs];
    registers.bases = segments.bases;
    registers.zero = 0;

    // SAFETY: as promised by the caller.
    let area = unsafe { Area::of(context) };
    // SAFETY: the header lies in each XSAVE area.
    let present = u64::from_le_bytes(unsafe { area.read(XSTATE_BV) });
    // SAFETY: the legacy region lies in each XSAVE area.
    registers.x87 = unsafe { area.read(0) };
    for (n, st) in registers.st.iter_mut().enumerate() {
        // SAFETY: as above.
        *st = unsafe { area.read(32 + 16 * n) };
    }
    // SAFETY: as above.
    registers.mxcsr = u64::from(u32::from_le_bytes(unsafe { area.read(MXCSR) }));
    for (n, ymm) in registers.ymm.iter_mut().enumerate() {
        for (half, word) in ymm.iter_mut().enumerate() {
            let (part, at) = if half < 2 {
                (2, XMM0 + 16 * n + 8 * half)
            } else {
                (4, ymm_offset + 16 * n + 8 * (half - 2))
            };
            // SAFETY: the AVX component lies in the area, `Oracle::new` has checked for AVX.
            let bytes = unsafe { area.read(at) };
            *word = if present & part == 0 { 0 } else { u64::from_le_bytes(bytes) };
        }
    }
}

/// Puts a case's registers into the context, to run one instruction from there.
///
/// # Safety
/// `context` is what the kernel handed to the running signal handler, of a process with AVX whose
/// upper YMM halves lie at `ymm_offset`.
pub(crate) unsafe fn load(context: *mut libc::ucontext_t, ymm_offset: usize, case: &Case) {
    let registers = &case.registers;
    // SAFETY: as promised by the caller.
    let gregs = unsafe { &mut (*context).uc_mcontext.gregs };
    for (&register, &index) in registers.gpr.iter().zip(&GPRS) {
        gregs[index] = register as i64;
    }
    gregs[RIP] = registers.rip as i64;
    gregs[EFLAGS] = (registers.rflags | TF) as i64;
    let [_, cs, ss, ..] = registers.selectors;
    gregs[CS_GS_FS_SS] = (u64::from(cs) | u64::from(ss) << 48) as i64;
    // SAFETY: as promised by the caller.
    unsafe { (*context).uc_flags = UC_STRICT };

    // SAFETY: as promised by the caller.
    let area = unsafe { Area::of(context) };
    // SAFETY: the header lies in each XSAVE area.
    let present = u64::from_le_bytes(unsafe { area.read(XSTATE_BV) }) | COMPONENTS;
    // SAFETY: as above.
    unsafe { area.write(XSTATE_BV, present.to_le_bytes()) };
    // SAFETY: the legacy region lies in each XSAVE area.
    unsafe { area.write(0, registers.x87) };
    for (n, &st) in registers.st.iter().enumerate() {
        // SAFETY: as above.
        unsafe { area.write(32 + 16 * n, st) };
    }
    // SAFETY: as above.
    unsafe { area.write(MXCSR, (registers.mxcsr as u32).to_le_bytes()) };
    for (n, ymm) in registers.ymm.iter().enumerate() {
        for (half, &word) in ymm.iter().enumerate() {
            let at = if half < 2 {
                XMM0 + 16 * n + 8 * half
            } else {
                ymm_offset + 16 * n + 8 * (half - 2)
            };
            // SAFETY: the AVX component lies in the area.
            unsafe { area.write(at, word.to_le_bytes()) };
        }
    }
}
