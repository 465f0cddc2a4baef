//! Registers and memory for an encoding: values weighted to edges, and memory operands that mostly
//! reach the data pages.

use cutaway_isa::CodeSize;
use iced_x86::{Code, Instruction, MemorySize, OpKind, Register};

use super::Generated;
use super::encode::Encoding;
use super::forms::Form;
use super::special;
use super::values::{Draw, Lanes};
use crate::case::{Case, Length, seg};
use crate::place::{self, CODE, DATA, LAST, PAGE, READ_ONLY, STACK, WINDOW, WINDOW_SIZE, gdt, ldt};

/// What stands behind the instruction: a jump to itself, so that a block ends there and a vCPU
/// without TF stays.
const BEHIND: [u8; 2] = [0xeb, 0xfe];

/// A case in the making.
pub(super) struct Scene<'a> {
    pub(super) size: CodeSize,
    pub(super) encoding: Encoding,
    pub(super) case: Case,
    pub(super) draw: &'a mut Draw,
    /// What vectors and memory mostly hold.
    pub(super) lanes: Lanes,
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        size: CodeSize,
        encoding: Encoding,
        lanes: Option<Lanes>,
        draw: &'a mut Draw,
    ) -> Self {
        let lanes = preferred_lanes(&encoding.instruction, lanes, draw);
        let case = Case { bits: size.bits() as u8, ..Case::EMPTY };
        let mut scene = Self { size, encoding, case, draw, lanes };
        scene.segments();
        scene.place_code();
        scene.general_registers();
        scene.float_state();
        scene
    }

    pub(super) fn instruction(&self) -> Instruction {
        self.encoding.instruction
    }

    /// Aims operands, puts the code in place.
    pub(super) fn finish(mut self) -> Generated {
        special::adjust(&mut self);
        self.aim_operands();
        special::adjust_memory(&mut self);
        self.put_code();
        Generated { case: self.case, encoding: self.encoding }
    }

    pub(super) fn is_64(&self) -> bool {
        self.size == CodeSize::Bits64
    }

    /// Bits of a general-purpose register.
    pub(super) fn register_bits(&self) -> u32 {
        if self.is_64() { 64 } else { 32 }
    }

    fn segments(&mut self) {
        let long = self.is_64();
        let flat = self.draw.chance(50);
        let data = [0, gdt::DATA, ldt::DATA32, ldt::SHIFTED];
        let registers = &mut self.case.registers;
        // ES CS SS DS FS GS
        registers.selectors = match self.size {
            CodeSize::Bits64 => {
                let (es, ds) = (self.draw.pick(&data), self.draw.pick(&data));
                [es, gdt::CODE64, gdt::DATA, ds, 0, 0]
            }
            CodeSize::Bits32 if flat => {
                [gdt::DATA, gdt::CODE32, gdt::DATA, gdt::DATA, ldt::SHORT, ldt::SHIFTED]
            }
            CodeSize::Bits32 => {
                [ldt::DATA32, ldt::CODE32, ldt::DATA32, ldt::DATA32, ldt::SHORT, ldt::READ_ONLY]
            }
            CodeSize::Bits16 => {
                [ldt::SHIFTED, ldt::CODE16, ldt::DATA16, ldt::DATA16, ldt::SHORT, ldt::READ_ONLY]
            }
        };
        if !long && self.draw.chance(4) {
            let other = [0, ldt::EXPAND_DOWN, ldt::READ_ONLY, ldt::SHORT, ldt::CODE32];
            registers.selectors[seg::DS] = self.draw.pick(&other);
        }
        if long {
            registers.bases = [WINDOW + 0x40, WINDOW];
        } else {
            for (n, base) in registers.bases.iter_mut().enumerate() {
                *base = place::base(registers.selectors[seg::FS + n]);
            }
        }
    }

    /// Base of the code segment.
    pub(super) fn code_base(&self) -> u64 {
        if self.is_64() { 0 } else { place::base(self.case.registers.selectors[seg::CS]) }
    }

    /// Base of the stack segment.
    pub(super) fn stack_base(&self) -> u64 {
        if self.is_64() { 0 } else { place::base(self.case.registers.selectors[seg::SS]) }
    }

    fn place_code(&mut self) {
        let len = self.encoding.len as u64;
        let at = match self.draw.below(100) {
            0 | 1 => CODE + PAGE - len,
            2 => CODE + PAGE - self.draw.below(len) - 1,
            _ => CODE + 0x400 + self.draw.below(0x800),
        };
        self.case.registers.rip = WINDOW + at - self.code_base();
        self.case.len = self.encoding.len as u8;
    }

    fn put_code(&mut self) {
        let at = self.code_base() + self.case.registers.rip - WINDOW;
        self.case.bytes = self.encoding.bytes;
        let mut bytes = [0; 18];
        let len = self.encoding.len;
        bytes[..len].copy_from_slice(&self.encoding.bytes[..len]);
        bytes[len..len + 2].copy_from_slice(&BEHIND);
        let room = (CODE + PAGE - at) as usize;
        self.case.patch(at, &bytes[..(len + 2).min(room)]);
    }

    fn general_registers(&mut self) {
        let bits = self.register_bits();
        let count = if self.is_64() { 16 } else { 8 };
        for n in 0..count {
            self.case.registers.gpr[n] = self.draw.integer(bits);
        }
        if self.draw.chance(25) {
            let (from, to) = (self.draw.below(count as u64), self.draw.below(count as u64));
            self.case.registers.gpr[to as usize] = self.case.registers.gpr[from as usize];
        }
        self.case.registers.gpr[4] = self.stack_pointer();
        let random = self.draw.bits();
        let mut flags = random & 0x8d5 | 0x202;
        if random >> 16 & 3 == 0 {
            flags |= 0x400; // DF
        }
        if random >> 20 & 15 == 0 {
            flags |= 0x4_0000; // AC
        }
        self.case.registers.rflags = flags;
    }

    /// An offset in the stack segment, mostly with room above and below.
    fn stack_pointer(&mut self) -> u64 {
        let linear = match self.draw.below(100) {
            0..=84 => STACK + 0x400 + 8 * self.draw.below(0x80),
            85..=91 => STACK + 0x400 + self.draw.below(0x400),
            92 | 93 => STACK + self.draw.below(64),
            94 | 95 => STACK + PAGE - self.draw.below(64),
            96 => WINDOW_SIZE - self.draw.below(8),
            _ => {
                return self.draw.integer(if self.size == CodeSize::Bits16 {
                    16
                } else {
                    self.register_bits()
                });
            }
        };
        let mask = if self.size == CodeSize::Bits16 { 0xffff } else { u64::MAX };
        (WINDOW + linear - self.stack_base()) & mask
    }

    fn float_state(&mut self) {
        let registers = &mut self.case.registers;
        let draw = &mut *self.draw;
        for n in 0..16 {
            for word in 0..4 {
                let lanes = if draw.chance(80) { self.lanes } else { draw.pick(&Lanes::ALL) };
                registers.ymm[n][word] = draw.lanes(lanes);
            }
        }
        if draw.chance(20) {
            let (from, to) = (draw.below(16) as usize, draw.below(16) as usize);
            registers.ymm[to] = registers.ymm[from];
        }
        let random = draw.bits();
        let mut mxcsr = 0x1f80;
        if random & 3 == 0 {
            mxcsr = random >> 8 & 0x1f80;
        }
        if random >> 2 & 1 == 0 {
            mxcsr |= random >> 24 & 0x6000; // RC
        }
        if random >> 3 & 3 == 0 {
            mxcsr |= random >> 32 & 0x8040; // FTZ, DAZ
        }
        if random >> 5 & 1 == 0 {
            mxcsr |= random >> 48 & 0x3f;
        }
        registers.mxcsr = mxcsr;
        self.x87_state();
    }

    fn x87_state(&mut self) {
        let registers = &mut self.case.registers;
        let draw = &mut *self.draw;
        for st in &mut registers.st {
            st[..10].copy_from_slice(&draw.f80());
        }
        if draw.chance(15) {
            registers.st[1] = registers.st[0];
        }
        let random = draw.bits();
        let mut control = 0x37f;
        if random & 3 == 0 {
            control = 0x340 | (random >> 8 & 0x3f) as u16;
        }
        if random >> 2 & 1 == 0 {
            control = control & 0x00ff | (random >> 16 & 0x1f00) as u16;
        }
        let mut status = (random >> 32 & 0x7f00) as u16;
        if random >> 3 & 3 == 0 {
            let flags = (random >> 48 & 0x7f) as u16;
            // Mostly no pending exception, which nearly all instructions would stop at.
            status |= if draw.chance(90) { flags & (control | 0x40) } else { flags };
        }
        if status & !control & 0x3f != 0 {
            status |= 0x8080;
        }
        let tags = match draw.below(10) {
            0..=5 => 0xff,
            6 => 0,
            _ => draw.bits() as u8,
        };
        registers.x87 = [0; 24];
        registers.x87[..2].copy_from_slice(&control.to_le_bytes());
        registers.x87[2..4].copy_from_slice(&status.to_le_bytes());
        registers.x87[4] = tags;
        if random >> 5 & 1 == 0 {
            registers.x87[6..8].copy_from_slice(&(draw.bits() as u16 & 0x7ff).to_le_bytes());
            registers.x87[8..16].copy_from_slice(&(draw.bits() >> 17).to_le_bytes());
            registers.x87[16..24].copy_from_slice(&(draw.bits() >> 17).to_le_bytes());
        }
    }

    /// Makes the explicit memory operand reach what `target` chooses.
    fn aim_operands(&mut self) {
        let instruction = self.instruction();
        let has_memory =
            (0..instruction.op_count()).any(|n| instruction.op_kind(n) == OpKind::Memory);
        if !has_memory {
            return;
        }
        let size = special::memory_bytes(&instruction);
        let (linear, offset_in_window) = self.target(size as u64);
        self.aim(linear);
        if let Some(at) = offset_in_window {
            let mut bytes = [0; 640];
            let len = (size + 8).min(if size > 64 { 640 } else { 72 });
            self.fill(&mut bytes[..len], instruction.memory_size());
            let room = (WINDOW_SIZE - at) as usize;
            self.case.patch(at, &bytes[..len.min(room)]);
        }
    }

    /// Where a memory operand of `size` bytes shall lie: a linear address, and its offset in the
    /// window if it is there.
    fn target(&mut self, size: u64) -> (u64, Option<u64>) {
        let draw = &mut *self.draw;
        let data = 2 * PAGE;
        let room = data - size;
        let at = match draw.below(100) {
            0..=57 => DATA + draw.below(room / 64 + 1) * 64,
            58..=74 => DATA + draw.below(room + 1),
            75..=81 => DATA + PAGE - 1 - draw.below(size.max(2) - 1),
            82..=86 => DATA + data - draw.below(size + 1),
            87 => DATA - draw.below(size + 1),
            88..=90 => READ_ONLY + draw.below(PAGE),
            91 | 92 => draw.below(WINDOW_SIZE),
            93 | 94 => WINDOW_SIZE - 1 - draw.below(2 * size),
            95 => LAST + draw.below(PAGE - size),
            96 => CODE + draw.below(PAGE),
            97 => STACK + 0x400 + draw.below(0x400),
            _ if self.is_64() => return (self.far_address(size), None),
            _ => return (self.draw.integer(32), None),
        };
        (WINDOW + at, Some(at & (WINDOW_SIZE - 1)))
    }

    /// An address in 64-bit mode that is not in the window: non-canonical, or the kernel's.
    fn far_address(&mut self, size: u64) -> u64 {
        const HOLE: u64 = 1 << 47;
        match self.draw.below(5) {
            0 => HOLE - self.draw.below(size + 1),
            1 => HOLE.wrapping_neg() - self.draw.below(size + 1),
            2 => 0_u64.wrapping_sub(self.draw.below(size + 1)),
            3 => HOLE + (self.draw.bits() >> 3),
            _ => self.draw.integer(64),
        }
    }

    /// Base that the memory operand's segment adds.
    fn operand_base(&self, segment: Register) -> u64 {
        let registers = &self.case.registers;
        let index = segment_index(segment);
        match (self.is_64(), index) {
            (true, seg::FS | seg::GS) => registers.bases[index - seg::FS],
            (true, _) => 0,
            (false, _) => place::base(registers.selectors[index]),
        }
    }

    /// Chooses address registers or the displacement so that the memory operand lies at `linear`.
    pub(super) fn aim(&mut self, linear: u64) {
        let instruction = self.instruction();
        let offset = linear.wrapping_sub(self.operand_base(instruction.memory_segment()));
        let (base, index) = (instruction.memory_base(), instruction.memory_index());
        let scale = u64::from(instruction.memory_index_scale());
        let displacement = instruction.memory_displacement64();
        let rest = offset.wrapping_sub(displacement);
        match (base, index) {
            (Register::RIP | Register::EIP, _) => {
                let next = self.case.registers.rip.wrapping_add(self.encoding.len as u64);
                self.set_displacement(offset.wrapping_sub(next));
            }
            (Register::None, Register::None) => self.set_displacement(offset),
            (base, index) if index.is_vector_register() => {
                self.small_vector_index(index, scale);
                self.set_address(base, rest);
            }
            (base, Register::None) => self.set_address(base, rest),
            (Register::None, index) => self.set_address(index, rest / scale),
            (base, index) if base == index => self.set_address(base, rest / (scale + 1)),
            (base, index) => {
                let value = if self.draw.chance(70) {
                    self.draw.below(64)
                } else {
                    self.draw.integer(self.register_bits())
                };
                self.set_address(index, value);
                let used = self.address(index);
                self.set_address(base, rest.wrapping_sub(used.wrapping_mul(scale)));
            }
        }
    }

    fn address(&self, register: Register) -> u64 {
        let value = self.case.registers.gpr[register.number()];
        match register.size() {
            2 => value & 0xffff,
            4 => value & 0xffff_ffff,
            _ => value,
        }
    }

    /// Sets an address register; what is above its width stays random.
    pub(super) fn set_address(&mut self, register: Register, value: u64) {
        if register == Register::None {
            return;
        }
        let narrow = !self.is_64();
        let old = &mut self.case.registers.gpr[register.number()];
        let mask = match register.size() {
            2 => 0xffff,
            4 => 0xffff_ffff,
            _ => u64::MAX,
        };
        *old = *old & !mask | value & mask;
        if narrow {
            *old &= 0xffff_ffff;
        }
    }

    fn small_vector_index(&mut self, index: Register, scale: u64) {
        let qwords = special::has_qword_indices(&self.instruction());
        let ymm = &mut self.case.registers.ymm[index.number()];
        for word in ymm {
            let draw = &mut *self.draw;
            let mut small = |bits: u32| {
                let value = match draw.below(20) {
                    0 => draw.integer(bits),
                    1 => draw.below(0x1000) / scale,
                    2 => (draw.below(0x200) / scale).wrapping_neg(),
                    _ => draw.below(64),
                };
                value & u64::MAX >> (64 - bits)
            };
            *word = if qwords { small(64) } else { small(32) << 32 | small(32) };
        }
    }

    fn set_displacement(&mut self, value: u64) {
        let (at, size) = self.encoding.displacement;
        if size == 0 {
            return;
        }
        self.encoding.bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
        let bytes = &self.encoding.bytes[..self.encoding.len];
        if let Some(again) = super::encode::decode(self.size, bytes) {
            self.encoding = again;
        }
    }

    /// Fills memory with what suits its type.
    pub(super) fn fill(&mut self, bytes: &mut [u8], kind: MemorySize) {
        let f80 = matches!(kind, MemorySize::Float80);
        if f80 {
            for chunk in bytes.chunks_mut(10) {
                let value = self.draw.f80();
                chunk.copy_from_slice(&value[..chunk.len()]);
            }
            return;
        }
        let lanes = match kind.element_type() {
            MemorySize::Float32 => Lanes::F32,
            MemorySize::Float64 => Lanes::F64,
            MemorySize::Float16 => Lanes::F16,
            _ => self.lanes,
        };
        for chunk in bytes.chunks_mut(8) {
            let lanes = if self.draw.chance(85) { lanes } else { self.draw.pick(&Lanes::ALL) };
            let value = self.draw.lanes(lanes).to_le_bytes();
            chunk.copy_from_slice(&value[..chunk.len()]);
        }
    }

    /// Whether the case is to run all iterations of a repeated instruction.
    pub(super) fn whole(&mut self) {
        self.case.length = Length::Whole;
    }
}

/// Place of a segment register in [`crate::case::Registers::selectors`].
fn segment_index(segment: Register) -> usize {
    match segment {
        Register::ES => seg::ES,
        Register::CS => seg::CS,
        Register::SS => seg::SS,
        Register::FS => seg::FS,
        Register::GS => seg::GS,
        _ => seg::DS,
    }
}

/// A selector that is worth loading.
pub(super) fn selector(draw: &mut Draw) -> u16 {
    let good = [
        gdt::CODE32,
        gdt::DATA,
        gdt::CODE64,
        ldt::CODE16,
        ldt::CODE32,
        ldt::DATA16,
        ldt::DATA32,
        ldt::SHORT,
        ldt::READ_ONLY,
        ldt::EXPAND_DOWN,
        ldt::ABSENT,
        ldt::EXECUTE_ONLY,
        ldt::SHIFTED,
    ];
    match draw.below(20) {
        0..=12 => draw.pick(&good),
        13 => draw.below(4) as u16,
        14 => draw.pick(&good) & !3 | draw.below(4) as u16,
        15 => draw.pick(&[0x08, 0x10, 0x18, 0x0b, 0x13, 0x1b]),
        16 => draw.pick(&[0x40, 0x43, 0x50, 0x53, 0x3b, 0x07]),
        // Beyond the limits, but for the entry that names the host's CPU.
        17 => draw.pick(&[0x80, 0x83, 0x67, 0x6f, 0xffff, 0xfffc]),
        _ => loop {
            let selector = draw.bits() as u16;
            if selector & 0xfff8 != 0x78 {
                break selector;
            }
        },
    }
}

/// A selector for a far transfer. A far CALL from 16- or 32-bit code into 64-bit code hangs the
/// single-stepped process on the reference host, so it is left out.
pub(super) fn far_selector(draw: &mut Draw, form: Form) -> u16 {
    let selector = selector(draw);
    let calls = form.code.mnemonic() == iced_x86::Mnemonic::Call;
    let to_64 = selector & !3 == gdt::CODE64 & !3;
    if calls && to_64 && form.size != CodeSize::Bits64 { gdt::CODE32 } else { selector }
}

/// What an instruction takes its vectors for, by its mnemonic's ending.
pub(super) fn lanes_of(code: Code) -> Option<Lanes> {
    let mnemonic = format!("{:?}", code.mnemonic()).to_lowercase();
    Some(match &mnemonic[mnemonic.len().saturating_sub(2)..] {
        "ps" | "ss" => Lanes::F32,
        "pd" | "sd" => Lanes::F64,
        "dq" | "pi" if mnemonic.contains("ps") => Lanes::F32,
        "dq" | "pi" if mnemonic.contains("pd") => Lanes::F64,
        "si" if mnemonic.contains("ss2") => Lanes::F32,
        "si" if mnemonic.contains("sd2") => Lanes::F64,
        _ => return None,
    })
}

/// What a case's vectors mostly hold.
fn preferred_lanes(instruction: &Instruction, known: Option<Lanes>, draw: &mut Draw) -> Lanes {
    let other = draw.pick(&Lanes::ALL);
    match instruction.memory_size().element_type() {
        MemorySize::Float32 => Lanes::F32,
        MemorySize::Float64 => Lanes::F64,
        _ => known.unwrap_or(other),
    }
}
