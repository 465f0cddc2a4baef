//! The vCPU: architectural state, caches, and the one door, [`Vcpu::run`] (in `run.rs`).

use crate::block::{BLOCK_MAX, Blocks, Cold};
use crate::exception::{Exception, Fault};
use crate::fast::{Op, Stop};
use crate::flags::Lazy;
use crate::float::{Mxcsr, X87};
use crate::model::CpuModel;
use crate::state::{Activity, CpuState, Seg, System};
use crate::stops::Stops;
use crate::svm::{Svm, Work};
use crate::table::Rows;
use crate::tlb::{Bank, Known, Tlb, Translations};
use crate::vector::Xmm;
use crate::{Bus, Exit, Pins};
use bitflags::bitflags;
use cutaway_isa::{CodeSize, Cr0, Cr4, Efer, Rflags, Xcr0};
use cutaway_memory::Backing;

bitflags! {
    /// Which [`crate::Event`]s a vCPU reports.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TraceClasses: u8 {
        /// Exceptions and interrupts.
        const INT = 1 << 0;
        /// Port accesses.
        const IO = 1 << 1;
        /// Page walks.
        const MMU = 1 << 2;
        /// Every instruction: the vCPU steps.
        const EXEC = 1 << 3;
        /// Reads and writes of memory: they all leave the fast path.
        const MEM = 1 << 4;
        /// Loads of CR0, CR3, CR4 and EFER, and changes of the mode.
        const MODE = 1 << 5;
    }
}

/// Slot of [`Vcpu::r`] that is always zero: "no base", "no index".
pub(crate) const ZERO: usize = 16;
/// Slot of [`Vcpu::r`] with the RIP of the running block's first instruction.
pub(crate) const RIP: usize = 17;

/// One x86 CPU.
pub struct Vcpu {
    /// The general-purpose registers and the two extra slots; so many that any `u8` is an index.
    pub(crate) r: [u64; 256],
    pub(crate) lazy: Lazy,
    /// Instructions that may still retire, with those of the running block taken off.
    pub(crate) left: i64,
    /// Changes with code generation and mode: links of another stamp are void.
    pub(crate) stamp: u64,
    pub(crate) bank: Bank,
    /// Data segment windows for the fast path, by [`Seg`].
    pub(crate) windows: [Window; 8],
    pub(crate) tlb: Tlb,
    pub(crate) ram: Backing,
    pub(crate) blocks: Blocks,
    pub(crate) rows: Rows,
    /// The block being decoded; kept for its memory.
    pub(crate) decoding: Vec<(Op, Cold)>,
    pub(crate) stop: Stop,
    /// The operation that stopped the chain.
    pub(crate) at: *const Op,
    pub(crate) xmm: [Xmm; 16],
    /// Bits 255:128 of the YMM registers.
    pub(crate) ymm_high: [Xmm; 16],
    pub(crate) mxcsr: Mxcsr,

    /// Offset of the next instruction; valid between blocks.
    pub(crate) rip: u64,
    pub(crate) ticks: u64,
    pub(crate) skipped: u64,
    /// State of the generator behind RDRAND and RDSEED.
    pub(crate) random: u64,
    pub(crate) system: System,
    pub(crate) x87: X87,
    pub(crate) activity: Activity,
    pub(crate) svm: Svm,
    pub(crate) svm_work: Work,
    pub(crate) mode: Mode,
    pub(crate) slow_bank: bool,
    /// All supervisor code met since CR3 was loaded lies in global pages.
    pub(crate) global_code: bool,
    /// The access in progress is one the CPU makes itself (SMAP ignores AC).
    pub(crate) implicit_access: bool,
    /// Something has to be looked at before the next instruction.
    pub(crate) attention: bool,
    pub(crate) pins: Pins,
    /// Ticks at which `run` returns.
    pub(crate) limit: u64,
    pub(crate) exit: Option<Exit>,
    pub(crate) model: CpuModel,
    pub(crate) trace: TraceClasses,
    pub(crate) stops: Stops,
    /// Exceptions that leave `run` instead of being delivered, a bit a vector.
    pub(crate) intercepted_exceptions: u32,
    /// All exceptions leave `run`: a monitor has the CPU.
    pub(crate) monitored: bool,
    /// How often something asked that writes be told of, in every world.
    pub(crate) protections: u64,
}

/// What a world's cached code and translations are valid for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Generations {
    pub(crate) blocks: crate::block::Generation,
    protections: u64,
    global_code: bool,
}

/// The offsets of a segment that can be reached without further checks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) base: u64,
    /// Lowest offset.
    pub(crate) low: u64,
    /// First offset too high for reads; 0 when nothing can be read.
    pub(crate) read_end: u64,
    /// First offset too high for writes; 0 when nothing can be written.
    pub(crate) write_end: u64,
}

bitflags! {
    /// What the meaning of code bytes depends on. Blocks are keyed by it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub(crate) struct Mode: u16 {
        /// 32-bit code segment.
        const BITS_32 = 1 << 0;
        /// 64-bit mode.
        const BITS_64 = 1 << 1;
        /// Stack pointer is ESP.
        const STACK_32 = 1 << 2;
        /// CPL 3.
        const USER = 1 << 3;
        /// ES, CS, SS and DS span all linear addresses, so 32-bit offsets are linear.
        const FLAT = 1 << 4;
        /// SSE instructions do not fault.
        const SSE = 1 << 5;
        /// x87 instructions do not fault for CR0's sake.
        const X87 = 1 << 6;
        /// CS has a limit that branches can cross.
        const LIMITED = 1 << 7;
        /// Real or virtual-8086 mode.
        const REAL = 1 << 8;
        /// AVX instructions do not fault.
        const AVX = 1 << 9;
        /// PAUSE is intercepted.
        const PAUSE_EXITS = 1 << 10;
    }
}

impl Mode {
    pub(crate) fn code_size(self) -> CodeSize {
        if self.contains(Self::BITS_64) {
            CodeSize::Bits64
        } else if self.contains(Self::BITS_32) {
            CodeSize::Bits32
        } else {
            CodeSize::Bits16
        }
    }
}

impl Vcpu {
    /// A vCPU as after power-on.
    #[must_use]
    pub fn new(model: CpuModel) -> Self {
        let backing = Backing::new(0).expect("an empty mapping is always to be had");
        let reset = CpuState::reset(model.signature());
        let mut vcpu = Self {
            r: [0; 256],
            lazy: Lazy::new(Rflags::ONE),
            left: 0,
            stamp: 0,
            bank: Bank::Supervisor,
            windows: [Window { base: 0, low: 0, read_end: 0, write_end: 0 }; 8],
            tlb: Tlb::new(),
            ram: backing,
            blocks: Blocks::new(),
            rows: Rows::new(model),
            decoding: Vec::with_capacity(BLOCK_MAX + 1),
            stop: Stop::Slow,
            at: std::ptr::null(),
            xmm: [Xmm::ZERO; 16],
            ymm_high: [Xmm::ZERO; 16],
            mxcsr: Mxcsr::RESET,
            rip: 0,
            ticks: 0,
            skipped: 0,
            random: 0,
            system: reset.system.clone(),
            x87: X87::default(),
            activity: Activity::default(),
            svm: Svm::default(),
            svm_work: Work::default(),
            mode: Mode::empty(),
            slow_bank: false,
            global_code: true,
            implicit_access: false,
            attention: true,
            pins: Pins::default(),
            limit: 0,
            exit: None,
            model,
            trace: TraceClasses::empty(),
            stops: Stops::default(),
            intercepted_exceptions: 0,
            monitored: false,
            protections: 0,
        };
        vcpu.load(&reset);
        vcpu
    }

    /// RESET: the state after power-on; ticks and random numbers go on.
    pub fn reset(&mut self) {
        let (ticks, skipped) = (self.ticks, self.skipped);
        let mut state = CpuState::reset(self.model.signature());
        (state.ticks, state.skipped, state.random) = (ticks, skipped, self.random);
        state.system.msrs.tsc_offset = ticks.wrapping_neg();
        self.load(&state);
    }

    /// A copy of all architectural state.
    #[must_use]
    pub fn save(&self) -> CpuState {
        let mut gpr = [0; 16];
        gpr.copy_from_slice(&self.r[..16]);
        CpuState {
            gpr,
            rip: self.rip,
            rflags: self.lazy.rflags().bits(),
            system: self.system.clone(),
            x87: self.x87.clone(),
            xmm: self.xmm,
            ymm_high: self.ymm_high,
            mxcsr: self.mxcsr.bits(),
            activity: self.activity,
            svm: self.svm.clone(),
            random: self.random,
            ticks: self.ticks,
            skipped: self.skipped,
        }
    }

    /// Replaces all architectural state and drops what was cached from the old one.
    pub fn load(&mut self, state: &CpuState) {
        self.r = [0; 256];
        self.r[..16].copy_from_slice(&state.gpr);
        self.rip = state.rip;
        self.lazy.set_rflags(Rflags::from_bits_truncate(state.rflags) | Rflags::ONE);
        self.system = state.system.clone();
        self.x87 = state.x87.clone();
        self.xmm = state.xmm;
        self.ymm_high = state.ymm_high;
        self.mxcsr = Mxcsr::from_bits_truncate(state.mxcsr);
        self.activity = state.activity;
        self.svm = state.svm.clone();
        self.svm_work.settle();
        self.random = state.random;
        self.ticks = state.ticks;
        self.skipped = state.skipped;
        self.exit = None;
        self.stops.touch = None;
        self.flush();
    }

    /// Drops decoded code, but no translation. To be called after anybody but the vCPU wrote guest
    /// memory, where the guest must not notice anything else.
    pub fn drop_code(&mut self) {
        self.blocks.clear();
        self.restamp();
    }

    /// Drops all cached translations and decoded code. To be called after anybody but the vCPU
    /// wrote guest memory or moved the memory map.
    pub fn flush(&mut self) {
        self.tlb.flush();
        self.blocks.clear();
        self.settle();
    }

    /// What the vCPU knows of page tables. A guest that changed one and has not said so sees the
    /// old translation for as long as it is known, so this is state too.
    #[must_use]
    pub fn translations(&self) -> Translations {
        self.tlb.save()
    }

    /// System registers: segmentation, paging, MSRs.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// The linear address of the next instruction.
    #[must_use]
    pub fn pc(&self) -> u64 {
        if self.is_64_bit() {
            self.rip
        } else {
            self.segment(Seg::Cs).base.wrapping_add(self.rip) & 0xffff_ffff
        }
    }

    /// Offset of the next instruction in CS.
    #[must_use]
    pub fn rip(&self) -> u64 {
        self.rip
    }

    /// A general register, by its number in encodings.
    #[must_use]
    pub fn gpr(&self, number: usize) -> u64 {
        self.r[number & 15]
    }

    /// Which accesses to the page of a linear address hit the TLB now.
    #[must_use]
    pub fn known(&self, linear: u64) -> Known {
        let user = self.is_user();
        self.tlb.known(self.bank_of(user), user, linear)
    }

    /// Replaces all state, translations too, on this bus. `None` if the translations are no
    /// vCPU's, or do not fit the memory; the state is then loaded without any.
    pub fn restore(
        &mut self,
        bus: &mut dyn Bus,
        state: &CpuState,
        translations: &Translations,
    ) -> Option<()> {
        self.ram = bus.memory().backing().clone();
        self.pins = bus.pins();
        self.load(state);
        self.tlb.load(translations, bus.memory())
    }

    /// Makes the first write to each page slow again, as
    /// [`cutaway_memory::GuestMemory::clear_dirty`] needs it.
    pub fn protect_memory(&mut self) {
        self.protections += 1;
        self.tlb.protect_all();
    }

    /// Takes another world's generations up, with its TLB in place.
    pub(crate) fn exchange_generations(&mut self, other: &mut Generations) {
        let blocks = self.blocks.exchange(other.blocks);
        if other.protections != self.protections {
            self.tlb.protect_all();
        }
        let global_code = std::mem::replace(&mut self.global_code, other.global_code);
        *other = Generations { blocks, protections: self.protections, global_code };
    }

    /// Instructions retired plus ticks skipped.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Instructions retired.
    #[must_use]
    pub fn retired(&self) -> u64 {
        self.ticks - self.skipped
    }

    /// Lets time pass while halted.
    pub fn skip_ticks(&mut self, ticks: u64) {
        self.ticks += ticks;
        self.skipped += ticks;
    }

    /// Whether an external interrupt would end HLT.
    #[must_use]
    pub fn can_wake(&self) -> bool {
        self.physical_interrupts_open() && !self.activity.shut_down
    }

    /// Which events go to [`crate::Bus::trace`].
    pub fn set_trace(&mut self, classes: TraceClasses) {
        self.trace = classes;
        self.watch_pages();
        self.attention = true;
    }

    pub(crate) fn traces(&self, class: TraceClasses) -> bool {
        self.trace.contains(class)
    }

    /// Exceptions (a bit a vector) that make [`Self::run`] return [`Exit::Exception`] instead of
    /// being delivered; RIP is that of the faulting instruction.
    pub fn set_intercepted_exceptions(&mut self, vectors: u32) {
        self.intercepted_exceptions = vectors;
    }

    /// Which CPU this is.
    #[must_use]
    pub fn model(&self) -> CpuModel {
        self.model
    }

    /// Current privilege level: the DPL of SS, or RPL of CS in real and virtual-8086 mode's fixed
    /// values 0 and 3.
    #[must_use]
    pub fn cpl(&self) -> u8 {
        if !self.is_protected() {
            0
        } else if self.is_virtual_8086() {
            3
        } else {
            (self.system.segments[Seg::Cs as usize].selector & 3) as u8
        }
    }

    /// CR0.PE.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.system.cr0 & Cr0::PE.bits() != 0
    }

    /// EFLAGS.VM in protected mode.
    #[must_use]
    pub fn is_virtual_8086(&self) -> bool {
        self.lazy.known.contains(Rflags::VM)
    }

    /// EFER.LMA.
    #[must_use]
    pub fn is_long_mode(&self) -> bool {
        self.system.efer & Efer::LMA.bits() != 0
    }

    /// 64-bit mode: long mode with CS.L.
    #[must_use]
    pub fn is_64_bit(&self) -> bool {
        self.mode.contains(Mode::BITS_64)
    }

    /// Default operand and address size of the running code.
    #[must_use]
    pub fn code_size(&self) -> CodeSize {
        self.mode.code_size()
    }

    pub(crate) fn is_user(&self) -> bool {
        self.cpl() == 3
    }

    pub(crate) fn segment(&self, seg: Seg) -> &crate::segment::Segment {
        &self.system.segments[seg as usize]
    }

    /// Works out everything that is derived from system state: mode, windows, bank, stamp. To be
    /// called whenever segments, control registers, EFER, privilege, AC or DR7 changed.
    pub(crate) fn settle(&mut self) {
        let cs = *self.segment(Seg::Cs);
        let protected = self.is_protected() && !self.is_virtual_8086();
        let mut mode = Mode::empty();
        if self.is_long_mode() && cs.is_long() && protected {
            mode |= Mode::BITS_64;
        } else if cs.is_big() {
            mode |= Mode::BITS_32;
        }
        let long = mode.contains(Mode::BITS_64);
        mode.set(Mode::REAL, !protected);
        mode.set(Mode::STACK_32, self.segment(Seg::Ss).is_big());
        mode.set(Mode::USER, self.is_user());
        let flat = [Seg::Es, Seg::Ss, Seg::Ds].iter().all(|&seg| self.segment(seg).is_flat());
        let open_code = cs.base == 0 && cs.limit == u32::MAX;
        mode.set(Mode::FLAT, long || flat && open_code && cs.is_readable());
        mode.set(Mode::LIMITED, !long && !open_code);
        let cr0 = Cr0::from_bits_retain(self.system.cr0);
        let cr4 = Cr4::from_bits_retain(self.system.cr4);
        let available = !cr0.intersects(Cr0::EM | Cr0::TS);
        mode.set(Mode::X87, available);
        mode.set(Mode::SSE, available && cr4.contains(Cr4::OSFXSR));
        mode.set(Mode::AVX, self.avx_enabled() && !cr0.contains(Cr0::TS));
        mode.set(Mode::PAUSE_EXITS, self.intercepts(crate::svm::exit::PAUSE));
        self.mode = mode;
        for seg in Seg::DATA {
            let segment = *self.segment(seg);
            self.windows[seg as usize] = if long {
                let based = matches!(seg, Seg::Fs | Seg::Gs);
                let base = if based { segment.base } else { 0 };
                Window { base, low: 0, read_end: u64::MAX, write_end: u64::MAX }
            } else {
                let (low, end) = segment.offsets();
                // in real mode only limits are checked, whatever protected mode left in the
                // cache: a program back from it writes through CS (SDM vol. 3A §10.9.2)
                let readable = !protected || segment.is_present() && segment.is_readable();
                let read_end = if readable { end } else { 0 };
                let write_end = if !protected || segment.is_writable() { read_end } else { 0 };
                Window { base: segment.base, low, read_end, write_end }
            };
        }
        let aligned =
            cr0.contains(Cr0::AM) && self.lazy.known.contains(Rflags::AC) && self.is_user();
        let watched = (0..4).any(|n| self.watches_data(n));
        self.slow_bank = aligned || watched;
        self.bank = self.bank_of(self.is_user());
        self.restamp();
    }

    /// Whether AVX instructions exist: not in real and virtual-8086 mode, and only with the XMM
    /// and YMM states enabled (SDM vol. 2 §2.4, "AVX and SSE Instruction Exception
    /// Classification"; CR0.EM and CR4.OSFXSR do not matter).
    pub(crate) fn avx_enabled(&self) -> bool {
        let enabled = Xcr0::from_bits_retain(self.system.xcr0);
        self.is_protected()
            && !self.is_virtual_8086()
            && self.system.cr4 & Cr4::OSXSAVE.bits() != 0
            && enabled.contains(Xcr0::SSE | Xcr0::AVX)
    }

    /// Works out which links may be followed now.
    pub(crate) fn restamp(&mut self) {
        let global = self.global_code && !self.mode.contains(Mode::USER);
        self.stamp = self.blocks.stamp(self.mode, global);
    }

    /// Whether breakpoint register `n` is enabled for data or I/O.
    fn watches_data(&self, n: u32) -> bool {
        let dr7 = self.system.dr7;
        dr7 >> (2 * n) & 3 != 0 && dr7 >> (16 + 4 * n) & 1 != 0
    }

    pub(crate) fn take_exit(&mut self) -> Exit {
        self.exit.take().expect("who returns Fault::Exit has put the exit there")
    }

    /// #UD, for what a CPU model does not have.
    pub(crate) fn require(&self, has: bool) -> Result<(), Fault> {
        if has { Ok(()) } else { Err(Exception::UD.into()) }
    }
}
