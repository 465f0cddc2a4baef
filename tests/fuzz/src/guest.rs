//! A guest at random: a mode, tables to go with it, registers, code. The state is one that
//! instructions could have reached; what is in memory obeys nobody.
//!
//! ```text
//! 00000  interrupt vectors of real mode   06000  page tables
//! 01000  GDT, 01800 LDT                   10000  code
//! 02000  IDT                              20000  data, stacks below
//! 03000  TSS with its I/O bitmap          40000  ROM, with code
//! ```

use crate::bus::{RAM_BYTES, ROM_BYTES};
use crate::code::code;
use crate::noise::Noise;
use cutaway::CpuModel;
use cutaway::cpu::float::{FxsavePointers, X87};
use cutaway::cpu::vector::Xmm;
use cutaway::cpu::{CpuState, Pins, Seg, Segment, TableRegister, gpr};
use cutaway::isa::CodeSize;

const GDT: u64 = 0x1000;
const LDT: u64 = 0x1800;
const IDT: u64 = 0x2000;
const TSS: u64 = 0x3000;
const TABLES: u64 = 0x6000;
const CODE: u64 = 0x1_0000;
const CODE_BYTES: u64 = 0x4000;
const STACK: u64 = 0x2_0000;

/// What the CPU is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the manual's")]
pub enum Mode {
    Real,
    Protected16,
    Protected32,
    Virtual8086,
    Compatibility16,
    Compatibility32,
    Long,
}

use Mode::{Compatibility16, Compatibility32, Long, Protected16, Protected32, Real, Virtual8086};

/// All modes.
pub const MODES: [Mode; 7] =
    [Real, Protected16, Protected32, Virtual8086, Compatibility16, Compatibility32, Long];

impl Mode {
    /// The size of its code.
    #[must_use]
    pub fn code_size(self) -> CodeSize {
        match self {
            Real | Protected16 | Virtual8086 | Compatibility16 => CodeSize::Bits16,
            Protected32 | Compatibility32 => CodeSize::Bits32,
            Long => CodeSize::Bits64,
        }
    }

    fn is_long(self) -> bool {
        matches!(self, Long | Compatibility16 | Compatibility32)
    }

    /// Whether a CPU has the mode.
    #[must_use]
    pub fn is_in(self, model: CpuModel) -> bool {
        model.has_long_mode() || !self.is_long()
    }
}

/// A guest before its first instruction.
pub struct Guest {
    /// The CPU.
    pub model: CpuModel,
    /// Its mode.
    pub mode: Mode,
    /// Its registers.
    pub state: CpuState,
    /// RAM.
    pub ram: Vec<u8>,
    /// ROM.
    pub rom: Vec<u8>,
    /// The pins.
    pub pins: Pins,
}

/// How linear addresses are translated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Paging {
    Off,
    Bits32,
    Pae,
    Long,
}

struct Maker {
    noise: Noise,
    model: CpuModel,
    mode: Mode,
    cpl: u8,
    ram: Vec<u8>,
}

impl Guest {
    /// The guest of a seed, on this CPU in this mode.
    ///
    /// # Panics
    /// If the CPU does not have the mode.
    #[must_use]
    pub fn new(seed: u64, model: CpuModel, mode: Mode) -> Self {
        assert!(mode.is_in(model), "{} has no {mode:?}", model.name());
        let mut noise = Noise::new(seed);
        let mut ram = noise.bytes(RAM_BYTES as usize);
        let size = mode.code_size();
        for start in [CODE, CODE + 0x2_0000] {
            let code = code(&mut noise, size, CODE_BYTES as usize);
            ram[start as usize..][..code.len()].copy_from_slice(&code);
        }
        let rom = code(&mut noise, size, ROM_BYTES as usize);
        let cpl = match mode {
            Real => 0,
            Virtual8086 => 3,
            _ => noise.pick(&[0, 0, 0, 3, 3, 1]),
        };
        let mut maker = Maker { noise, model, mode, cpl, ram };
        let state = maker.state();
        let noise = &mut maker.noise;
        let pins = Pins {
            intr: noise.once_in(8),
            nmi: noise.once_in(16),
            a20_masked: noise.once_in(16),
            ignne: noise.once_in(4),
            task_priority: None,
        };
        Self { model, mode, state, ram: maker.ram, rom, pins }
    }
}

impl Maker {
    fn put(&mut self, at: u64, value: u64, bytes: usize) {
        self.ram[at as usize..][..bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
    }

    fn code_offset(&mut self) -> u64 {
        self.noise.below(CODE_BYTES - 64)
    }

    /// A number for a register: a place in memory, or an edge.
    fn value(&mut self) -> u64 {
        match self.noise.below(8) {
            0..=2 => 0x2_0000 + self.noise.below(0x1_0000),
            3 => CODE + self.noise.below(CODE_BYTES),
            4 => self.noise.below(32),
            5 => self.noise.below(RAM_BYTES + 0x4000),
            _ => self.noise.edge(),
        }
    }

    fn state(&mut self) -> CpuState {
        let mut state = CpuState::reset(self.model.signature());
        for n in 0..16 {
            // Registers 8 to 15 exist in 64-bit mode only, but keep their values outside.
            let value = self.value();
            state.gpr[n] = if self.mode.is_long() { value } else { value & 0xffff_ffff };
        }
        state.gpr[gpr::RSP] = STACK - self.noise.below(0x800) * 2;
        if !self.mode.is_long() {
            state.gpr[8..].fill(0);
        }
        if self.noise.once_in(2) {
            state.gpr[gpr::RCX] &= 0xff; // a bearable count for string instructions
        }
        self.float(&mut state);
        self.vectors();
        self.flags(&mut state);
        let paging = self.control(&mut state);
        self.tables(&mut state, paging);
        self.segments(&mut state);
        self.debug(&mut state);
        state
    }

    fn float(&mut self, state: &mut CpuState) {
        let image: Vec<u8> = self.noise.bytes(512);
        let mut x87 = X87::default();
        if !self.noise.once_in(4) {
            let mut bytes = [0; 512];
            bytes.copy_from_slice(&image);
            if self.noise.once_in(2) {
                bytes[0] |= 0x3f; // exceptions masked
                bytes[2] &= 0x40;
            }
            for n in 0..8 {
                let exponent = self.noise.pick(&[0, 1, 0x3ffe, 0x3fff, 0x4003, 0x7ffe, 0x7fff]);
                if self.noise.once_in(2) {
                    let at = 32 + 16 * n + 7;
                    bytes[at] |= 0x80;
                    bytes[at + 1..at + 3].copy_from_slice(&u16::to_le_bytes(exponent));
                }
            }
            x87.read_fxsave(&bytes, FxsavePointers::Selectors);
        }
        state.x87 = x87;
        for xmm in &mut state.xmm {
            let half = self.noise.edge();
            *xmm = Xmm::from_halves(half, if self.noise.once_in(2) { half } else { self.value() });
        }
        state.mxcsr = match self.noise.below(3) {
            0 => 0x1f80,
            1 => self.noise.next() as u32 & 0xffff | 0x1f80,
            _ => self.noise.next() as u32 & 0xffff,
        };
    }

    /// Interrupt vectors and gates, TSS, descriptors.
    fn vectors(&mut self) {
        if matches!(self.mode, Real | Virtual8086) {
            for vector in 0..256 {
                let offset = self.code_offset();
                self.put(vector * 4, offset | (CODE >> 4) << 16, 4);
            }
        }
        let long = self.mode.is_long();
        for vector in 0..256 {
            let (offset, noise) = (CODE + self.code_offset(), self.noise.next());
            let kind = if long {
                [14, 15, 14, noise >> 8 & 15][(noise >> 4 & 3) as usize]
            } else {
                [14, 15, 6, 7, 14, 15, 5, noise >> 8 & 31][(noise >> 4 & 7) as usize]
            };
            let selector = match (kind, long) {
                (5, _) => 9 << 3,
                (6 | 7, _) => 4 << 3,
                (_, true) => 1 << 3,
                _ => self.noise.pick(&[3, 3, 3, 4, 16]) << 3,
            };
            let privilege = if noise >> 16 & 1 == 0 { 3 } else { 0 };
            let present = u64::from(noise >> 17 & 31 != 0);
            let ist = if long && noise >> 22 & 7 == 0 { noise >> 25 & 7 } else { 0 };
            let gate = offset & 0xffff
                | selector << 16
                | ist << 32
                | (kind | privilege << 5 | present << 7) << 40
                | (offset >> 16) << 48;
            if long {
                self.put(IDT + 16 * vector, gate, 8);
                self.put(IDT + 16 * vector + 8, 0, 8);
            } else {
                self.put(IDT + 8 * vector, gate, 8);
            }
        }
        self.task();
        self.descriptors();
    }

    fn task(&mut self) {
        for tss in [TSS, TSS + 0x2800] {
            if self.mode.is_long() {
                for stack in 0..13 {
                    self.put(tss + 4 + 8 * stack, STACK - 0x1000 - 0x100 * stack, 8);
                }
            } else {
                for dword in 1..25 {
                    let value = self.value();
                    self.put(tss + 4 * dword, value, 4);
                }
                for (level, selector) in [(0, 2 << 3), (1, 19 << 3 | 1), (2, 2 << 3)] {
                    self.put(tss + 4 + 8 * level, STACK - 0x1000 * (1 + level), 4);
                    self.put(tss + 8 + 8 * level, selector, 4);
                }
                let start = CODE + self.code_offset();
                self.put(tss + 0x1c, TABLES, 4);
                self.put(tss + 0x20, start, 4);
                self.put(tss + 0x24, 2, 4);
                for (n, selector) in [2, 3, 2, 2, 2, 2].into_iter().enumerate() {
                    self.put(tss + 0x48 + 4 * n as u64, selector << 3, 4);
                }
                self.put(tss + 0x60, 11 << 3, 4);
            }
            let map = self.noise.pick(&[0x68, 0x88, 0x2000, 0xffff]);
            let traps = u64::from(self.noise.once_in(64));
            self.put(tss + 0x64, traps | map << 16, 4);
        }
    }

    fn descriptors(&mut self) {
        const FLAT: u64 = 0x00cf_0000_0000_ffff;
        let with = |access: u64| FLAT | access << 40;
        let long = self.mode.is_long();
        let system = |base: u64, limit: u64, kind: u64| {
            limit & 0xffff | (base & 0xff_ffff) << 16 | kind << 40 | (base >> 24 & 0xff) << 56
        };
        for table in [GDT, LDT] {
            for n in 0..32 {
                // Code or data, mostly present, anything else.
                let mut any = self.noise.next() | 1 << 44;
                any |= u64::from(!self.noise.once_in(8)) << 47;
                if self.noise.once_in(4) {
                    any &= !(1 << 44);
                }
                if self.noise.once_in(2) {
                    any &= 0x00ff_ff00_0000_ffff; // a base of zero
                }
                self.put(table + 8 * n, any, 8);
            }
        }
        let sixteen = |descriptor: u64| descriptor & !(1 << 54);
        let sixty_four = |descriptor: u64| descriptor & !(1 << 54) | 1 << 53;
        let tss = if self.mode.is_long() { 0x8b } else { self.noise.pick(&[0x8b, 0x8b, 0x83]) };
        let gate = CODE & 0xffff | (3 << 3) << 16 | 0xec << 40 | (CODE >> 16) << 48;
        let fixed = [
            (1, if long { sixty_four(with(0x9b)) } else { with(0x9b) }),
            (2, with(0x93)),
            (3, with(0x9b)),
            (4, sixteen(with(0x9b))),
            (5, with(0xfb)),
            (6, with(0xf3)),
            (7, if long { sixty_four(with(0xfb)) } else { with(0xfa) }),
            (8, sixteen(with(0xfb))),
            (9, system(TSS + 0x2800, 0x2067, 0x89)),
            (11, system(LDT, 0xff, 0x82)),
            (13, gate | ((1 << 16) * u64::from(long))),
            (16, with(0x9f)),
            (17, system(TSS, 0x2167, tss)),
            (19, with(0xb3)),
            (20, with(0xbb)),
            (21, sixteen(with(0xbb))),
        ];
        for (n, descriptor) in fixed {
            self.put(GDT + 8 * n, descriptor, 8);
        }
        if long {
            for n in [10, 12, 14, 18] {
                self.put(GDT + 8 * n, 0, 8); // the upper halves
            }
        }
    }

    fn flags(&mut self, state: &mut CpuState) {
        let noise = self.noise.next();
        let mut flags = noise & 0xcd5 | 2; // CF PF AF ZF SF DF OF
        if self.noise.once_in(3) {
            flags &= !0x400;
        }
        flags |= (noise >> 16 & 1) << 9; // IF
        flags |= (noise >> 17 & 3) << 12; // IOPL
        for (bit, times) in [(8, 12), (14, 16), (16, 24), (18, 4), (19, 8), (20, 8), (21, 2)] {
            flags |= u64::from(self.noise.once_in(times)) << bit;
        }
        flags &= !(1 << 14); // NT needs a back link worth following: the guest sets it by POPF
        if self.mode == Virtual8086 {
            flags |= 1 << 17;
        }
        state.rflags = flags;
    }

    fn control(&mut self, state: &mut CpuState) -> Paging {
        let modern = self.model >= CpuModel::Pentium3;
        let protected = self.mode != Real;
        let mut cr0 = 0x10 | u64::from(protected);
        for (bit, times) in [(1, 2), (2, 24), (3, 16), (5, 2), (16, 2), (18, 4)] {
            cr0 |= u64::from(self.noise.once_in(times)) << bit;
        }
        let mut cr4 = 0;
        if modern {
            for (bit, times) in [(0, 4), (1, 4), (2, 8), (3, 2), (4, 2), (7, 2), (8, 2)] {
                cr4 |= u64::from(self.noise.once_in(times)) << bit;
            }
            cr4 |= u64::from(!self.noise.once_in(8)) << 9 | u64::from(!self.noise.once_in(8)) << 10;
        }
        if self.model >= CpuModel::X86_64V2 {
            cr4 |= u64::from(self.noise.once_in(2)) << 18;
        }
        let paging = match self.mode {
            Real => Paging::Off,
            Long | Compatibility16 | Compatibility32 => Paging::Long,
            _ => match self.noise.below(3) {
                0 => Paging::Off,
                1 if modern => Paging::Pae,
                _ => Paging::Bits32,
            },
        };
        if paging != Paging::Off {
            cr0 |= 1 << 31;
        }
        if matches!(paging, Paging::Pae | Paging::Long) {
            cr4 |= 1 << 5;
        }
        let efer = &mut state.system.efer;
        if self.model.has_long_mode() {
            *efer = u64::from(!self.noise.once_in(8)) | u64::from(self.noise.once_in(2)) << 11;
            if self.mode.is_long() {
                *efer |= 0x500;
            }
        }
        state.system.cr0 = cr0;
        state.system.cr4 = cr4;
        let msrs = &mut state.system.msrs;
        if modern {
            (msrs.sysenter_cs, msrs.sysenter_esp) = (1 << 3, STACK - 0x100);
            msrs.sysenter_eip = CODE + 0x40;
        }
        if self.model.has_long_mode() {
            let selectors = self.noise.pick(&[1 << 3, 3 << 3]);
            msrs.star = selectors << 32 | (5 << 3 | 3) << 48 | (CODE + 0x80);
            (msrs.lstar, msrs.cstar) = (CODE + 0xc0, CODE + 0x100);
            msrs.sfmask = self.noise.next() & 0xffff_ffff;
            msrs.kernel_gs_base = 0x2_8000;
        }
        paging
    }

    /// Translations are the identity in the main; some pages are missing, read-only, the
    /// supervisor's, shown twice, or no memory.
    fn tables(&mut self, state: &mut CpuState, paging: Paging) {
        let wide = matches!(paging, Paging::Pae | Paging::Long);
        let size = if wide { 8 } else { 4 };
        let last = TABLES + 0x3000;
        for page in 0..512 {
            let entry = self.page_entry(page, state.system.efer >> 11 & 1 != 0 && wide);
            self.put(last + size * page, entry, size as usize);
        }
        state.system.cr3 = TABLES;
        match paging {
            Paging::Off => state.system.cr3 = self.noise.next() & 0x3_f018,
            Paging::Bits32 => {
                self.put(TABLES, last | 7, 4);
                self.put(TABLES + 4, 0x87, 4); // 4 MiB under CR4.PSE, else more tables
            }
            Paging::Pae => {
                self.put(TABLES, (TABLES + 0x2000) | 1, 8);
                for n in 0..4 {
                    let pdpte = if n == 0 { (TABLES + 0x2000) | 1 } else { 0 };
                    self.put(TABLES + 8 * n, pdpte, 8);
                    state.system.pdptes[n as usize] = pdpte;
                }
            }
            Paging::Long => {
                for n in [0, 511] {
                    self.put(TABLES + 8 * n, (TABLES + 0x1000) | 7, 8);
                    self.put(TABLES + 0x1000 + 8 * n, (TABLES + 0x2000) | 7, 8);
                }
            }
        }
        if wide {
            self.put(TABLES + 0x2000, last | 7, 8);
            self.put(TABLES + 0x2008, 0xe7, 8); // 2 MiB
            self.put(TABLES + 0x2ff8, last | 7, 8);
        }
    }

    fn page_entry(&mut self, page: u64, no_execute: bool) -> u64 {
        let noise = self.noise.next();
        let identity = page < 16 || page < RAM_BYTES >> 12 && noise & 7 != 0;
        let frame = if identity { page } else { noise >> 8 & 0x47 };
        let mut entry = frame << 12 | 0x7;
        if page >= 16 || noise >> 20 & 0xff == 0 {
            if noise >> 32 & 15 == 0 {
                entry &= !1;
            }
            if noise >> 36 & 7 == 0 {
                entry &= !2;
            }
            if noise >> 40 & 7 == 0 && self.cpl != 3 {
                entry &= !4;
            }
            if noise >> 44 & 15 == 0 && no_execute {
                entry |= 1 << 63;
            }
            entry |= noise >> 28 & 0x160; // A, D and G
        }
        entry
    }

    fn cache(&self, index: u64) -> Segment {
        let at = (GDT + 8 * index) as usize;
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.ram[at..at + 8]);
        let descriptor = u64::from_le_bytes(bytes);
        let limit = (descriptor & 0xffff | descriptor >> 32 & 0xf_0000) as u32;
        let limit = if descriptor >> 55 & 1 != 0 { limit << 12 | 0xfff } else { limit };
        Segment {
            selector: (index << 3) as u16,
            attributes: (descriptor >> 40) as u16 & 0xf0ff,
            limit,
            base: descriptor >> 16 & 0xff_ffff | descriptor >> 56 << 24,
        }
    }

    fn segments(&mut self, state: &mut CpuState) {
        let system = &mut state.system;
        let long = self.mode.is_long();
        system.gdtr = TableRegister { base: GDT, limit: 0xff };
        let idt = if self.mode == Real { 0 } else { IDT };
        system.idtr = TableRegister { base: idt, limit: if long { 0xfff } else { 0x7ff } };
        if self.mode == Real {
            system.idtr.limit = 0x3ff;
        } else {
            system.segments[Seg::Tr as usize] = self.cache(17);
            system.segments[Seg::Ldtr as usize] = self.cache(11);
        }
        state.rip = self.code_offset();
        if matches!(self.mode, Real | Virtual8086) {
            for seg in Seg::DATA {
                let selector = if seg == Seg::Cs {
                    (CODE >> 4) as u16
                } else {
                    self.noise.next() as u16 & 0x3fff
                };
                system.segments[seg as usize] = if self.mode == Real {
                    Segment::real_mode_data(selector)
                } else {
                    Segment::virtual_8086(selector)
                };
            }
            if self.mode == Real {
                system.segments[Seg::Cs as usize].attributes = 0x9b;
            }
            system.segments[Seg::Ss as usize].base = STACK - 0x1_0000;
            system.segments[Seg::Ss as usize].selector = ((STACK - 0x1_0000) >> 4) as u16;
            state.gpr[gpr::RSP] &= 0xfffe;
            return;
        }
        let (code, data) = match (self.cpl, self.mode) {
            (0, Long) => (1, 2),
            (0, Protected32 | Compatibility32) => (3, 2),
            (0, _) => (4, 2),
            (1, Long) => (20, 19), // made 64-bit below
            (1, Protected32 | Compatibility32) => (20, 19),
            (1, _) => (21, 19),
            (_, Long) => (7, 6),
            (_, Protected32 | Compatibility32) => (5, 6),
            _ => (8, 6),
        };
        for seg in Seg::DATA {
            let mut cache = self.cache(if seg == Seg::Cs { code } else { data });
            cache.selector |= u16::from(self.cpl);
            let is_extra = !matches!(seg, Seg::Cs | Seg::Ss);
            if is_extra && self.noise.once_in(5) {
                cache.limit = self.noise.next() as u32 >> self.noise.below(32);
                cache.base = self.noise.below(RAM_BYTES);
                cache.attributes &= !0x8000;
                cache.attributes |= self.noise.pick(&[0, 4, 0]); // expand-down
            } else if is_extra && self.noise.once_in(8) {
                cache = Segment::null(0);
            }
            if long && matches!(seg, Seg::Fs | Seg::Gs) {
                cache.base = self.noise.pick(&[0, 0x2_0000, 0x3_0000, 0xffff_8000_0000_0000]);
            }
            system.segments[seg as usize] = cache;
        }
        let cs = &mut system.segments[Seg::Cs as usize];
        if self.mode == Long {
            cs.attributes = cs.attributes & !0x4000 | 0x2000;
        }
        if !long && self.noise.once_in(3) {
            // Code with a base, and a limit that the code can run into.
            cs.base = CODE;
            cs.limit = self.noise.pick(&[0xffff, CODE_BYTES as u32 - 1, state.rip as u32 + 40]);
            cs.attributes &= !0x8000;
        } else {
            state.rip += CODE;
            if self.mode.code_size() == CodeSize::Bits16 && !long && self.noise.once_in(2) {
                cs.base = CODE;
                state.rip -= CODE;
            }
        }
        let ss = &mut system.segments[Seg::Ss as usize];
        if self.mode.code_size() == CodeSize::Bits16 && self.noise.once_in(2) {
            // A 16-bit stack.
            ss.attributes &= !0xc000;
            ss.base = STACK - 0x1_0000;
            ss.limit = 0xffff;
        }
    }

    fn debug(&mut self, state: &mut CpuState) {
        if self.noise.once_in(12) {
            let cs = state.system.segments[Seg::Cs as usize].base;
            for n in 0..4 {
                let data = self.value();
                state.system.dr[n] = if self.noise.once_in(2) {
                    cs + state.rip + self.noise.below(64)
                } else {
                    data
                };
                if !self.mode.is_long() {
                    state.system.dr[n] &= 0xffff_ffff;
                }
            }
            // Conditions, lengths and enables; GD would only make everything a #DB.
            state.system.dr7 = self.noise.next() & 0xffff_03ff | 0x400;
        }
        let activity = &mut state.activity;
        activity.sti_shadow = self.noise.once_in(16) && state.rflags & 0x200 != 0;
        activity.ss_shadow = self.noise.once_in(16);
        activity.nmi_blocked = self.noise.once_in(8);
    }
}
