//! Encodings of a form: prefixes, opcode, ModRM, SIB, displacement and immediate, with what is
//! free drawn at random. The decoder has the last word on what came out.
//!
//! Source: Intel SDM vol. 2 §2, "Instruction Format".

use cutaway_isa::CodeSize;
use iced_x86::{
    Code, Decoder, DecoderError, DecoderOptions, EncodingKind, Instruction, MandatoryPrefix,
    OpCodeInfo, OpCodeOperandKind as Kind, OpCodeTableKind,
};

use super::forms::Form;
use super::values::{Draw, Lanes};

/// What an operand kind asks of ModRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rm {
    None,
    Memory,
    /// Memory with a vector index: SIB needed.
    Vsib,
    Register,
    Either,
}

/// A form with what its encodings have in common.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The form.
    pub form: Form,
    op: &'static OpCodeInfo,
    rm: Rm,
    has_modrm: bool,
    has_vvvv: bool,
    is4: bool,
    opcode_register: bool,
    /// What its vectors are mostly taken for, if its name says.
    pub(super) lanes: Option<Lanes>,
}

/// An encoding with its decoded form and where its displacement lies.
#[derive(Clone, Copy, Debug)]
pub struct Encoding {
    /// The bytes.
    pub bytes: [u8; 16],
    /// How many.
    pub len: usize,
    /// As decoded at address 0.
    pub instruction: Instruction,
    /// Offset and size of the displacement, if any.
    pub displacement: (usize, usize),
}

impl Plan {
    /// Works out what the form's encodings have in common.
    #[must_use]
    pub fn new(form: Form) -> Self {
        let op = form.op_code();
        let mut plan = Self {
            form,
            op,
            rm: Rm::None,
            has_modrm: op.is_group() || op.is_rm_group(),
            has_vvvv: false,
            is4: false,
            opcode_register: false,
            lanes: super::state::lanes_of(form.code),
        };
        for &kind in op.op_kinds() {
            plan.note(kind);
        }
        if plan.has_modrm && plan.rm == Rm::None {
            plan.rm = Rm::Register;
        }
        plan
    }

    fn note(&mut self, kind: Kind) {
        use Kind as K;
        match kind {
            K::mem | K::mem_mib | K::mem_mpx => (self.rm, self.has_modrm) = (Rm::Memory, true),
            K::mem_vsib32x | K::mem_vsib64x | K::mem_vsib32y | K::mem_vsib64y => {
                (self.rm, self.has_modrm) = (Rm::Vsib, true);
            }
            K::r8_or_mem
            | K::r16_or_mem
            | K::r32_or_mem
            | K::r64_or_mem
            | K::mm_or_mem
            | K::xmm_or_mem
            | K::ymm_or_mem => (self.rm, self.has_modrm) = (Rm::Either, true),
            K::r16_rm | K::r32_rm | K::r64_rm | K::mm_rm | K::xmm_rm | K::ymm_rm => {
                (self.rm, self.has_modrm) = (Rm::Register, true);
            }
            K::r16_reg_mem | K::r32_reg_mem | K::r64_reg_mem => {
                self.has_modrm = true;
            }
            K::r8_reg
            | K::r16_reg
            | K::r32_reg
            | K::r64_reg
            | K::seg_reg
            | K::mm_reg
            | K::xmm_reg
            | K::ymm_reg
            | K::cr_reg
            | K::dr_reg
            | K::tr_reg => self.has_modrm = true,
            K::r32_vvvv | K::r64_vvvv | K::xmm_vvvv | K::ymm_vvvv => self.has_vvvv = true,
            K::xmm_is4 | K::ymm_is4 => self.is4 = true,
            K::r8_opcode | K::r16_opcode | K::r32_opcode | K::r64_opcode | K::sti_opcode => {
                self.opcode_register = true;
            }
            _ => {}
        }
    }

    /// One encoding. `None` if the decoder found none of many tries to be this form.
    pub fn encode(&self, draw: &mut Draw) -> Option<Encoding> {
        (0..64).find_map(|attempt| {
            let mut bytes = Bytes::default();
            if self.op.encoding() == EncodingKind::VEX {
                self.vex(draw, &mut bytes);
            } else {
                self.legacy(draw, &mut bytes, attempt);
            }
            decode_as(self.form, &bytes.bytes[..bytes.len.min(15)])
        })
    }

    fn default_address_bits(&self) -> u32 {
        self.form.size.bits()
    }

    /// Whether the form wants another address size than the code size's own.
    fn needs_67(&self, draw: &mut Draw) -> bool {
        let wanted = self.op.address_size();
        if wanted != 0 {
            return wanted != self.default_address_bits();
        }
        if self.rm == Rm::Vsib && self.form.size == CodeSize::Bits16 {
            return true; // 16-bit addresses have no SIB byte
        }
        draw.chance(8)
    }

    fn address_bits(&self, other: bool) -> u32 {
        match (self.form.size, other) {
            (CodeSize::Bits16, false) | (CodeSize::Bits32, true) => 16,
            (CodeSize::Bits64, false) => 64,
            _ => 32,
        }
    }

    fn legacy(&self, draw: &mut Draw, out: &mut Bytes, attempt: u32) {
        let op = self.op;
        let size = self.form.size;
        let mandatory = op.mandatory_prefix();
        let other_address = self.needs_67(draw);
        let by_66 = match op.operand_size() {
            16 => size != CodeSize::Bits16,
            32 => size == CodeSize::Bits16,
            _ => false,
        };
        let mut with_66 = by_66 || mandatory == MandatoryPrefix::P66;
        let default_64 = op.default_op_size64() || op.force_op_size64();
        let mut rex_w = size == CodeSize::Bits64
            && (op.operand_size() == 64 && !default_64 || op.w() != 0 && !op.is_wig());
        // Where prefixes mean nothing, they may stand; where they mean something, the decoder
        // says that the form is another one.
        let loose = if attempt > 8 { 40 } else { 6 };
        if draw.chance(loose) {
            with_66 = !with_66;
        }
        if size == CodeSize::Bits64 && draw.chance(loose) {
            rex_w = !rex_w;
        }

        let mut prefixes = Bytes::default();
        if with_66 {
            prefixes.push(0x66);
        }
        if other_address {
            prefixes.push(0x67);
        }
        match mandatory {
            MandatoryPrefix::PF3 => prefixes.push(0xf3),
            MandatoryPrefix::PF2 => prefixes.push(0xf2),
            MandatoryPrefix::None if draw.chance(5) => prefixes.push(draw.pick(&[0xf2, 0xf3])),
            _ => {}
        }
        let repeats = op.can_use_rep_prefix() || op.can_use_repne_prefix();
        if repeats && draw.chance(60) {
            prefixes.push(draw.pick(&[0xf2, 0xf3]));
        }
        let lockable = op.can_use_lock_prefix();
        if draw.chance(if lockable { 25 } else { 3 }) {
            prefixes.push(0xf0);
        }
        if draw.chance(12) {
            prefixes.push(draw.pick(&[0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]));
        }
        if draw.chance(3) {
            // The same again, or more than one segment.
            for _ in 0..=draw.below(3) {
                prefixes.push(draw.pick(&[0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67]));
            }
        }
        prefixes.shuffle(draw);
        for &prefix in &prefixes.bytes[..prefixes.len.min(9)] {
            out.push(prefix);
        }
        if size == CodeSize::Bits64 {
            let random = if draw.chance(55) { draw.bits() as u8 & 7 } else { 0 };
            let rex = 0x40 | random | u8::from(rex_w) << 3;
            if rex_w || random != 0 || draw.chance(10) {
                if draw.chance(1) {
                    out.push(rex ^ 0x0f); // ignored: another REX follows
                }
                out.push(rex);
                if draw.chance(1) {
                    out.push(0x66); // makes the REX ignored
                }
            }
        }
        match op.table() {
            OpCodeTableKind::T0F => out.push(0x0f),
            OpCodeTableKind::T0F38 => out.extend(&[0x0f, 0x38]),
            OpCodeTableKind::T0F3A => out.extend(&[0x0f, 0x3a]),
            _ => {}
        }
        self.opcode(draw, out);
        let address = self.address_bits(other_address);
        self.rest(draw, out, address);
    }

    fn opcode(&self, draw: &mut Draw, out: &mut Bytes) {
        let opcode = self.op.op_code();
        let register = if self.opcode_register { draw.below(8) as u8 } else { 0 };
        if self.op.op_code_len() == 2 {
            out.push((opcode >> 8) as u8);
        }
        out.push(opcode as u8 + register);
    }

    fn vex(&self, draw: &mut Draw, out: &mut Bytes) {
        let op = self.op;
        let long = self.form.size == CodeSize::Bits64;
        let other_address = self.needs_67(draw);
        if other_address {
            out.push(0x67);
        }
        if draw.chance(10) {
            out.push(draw.pick(&[0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]));
        }
        let pp = match op.mandatory_prefix() {
            MandatoryPrefix::P66 => 1,
            MandatoryPrefix::PF3 => 2,
            MandatoryPrefix::PF2 => 3,
            _ => 0,
        };
        let l = if op.is_lig() { draw.below(2) as u8 } else { op.l() as u8 & 1 };
        let w = if op.is_wig() || !long && op.is_wig32() {
            draw.below(2) as u8
        } else {
            op.w() as u8 & 1
        };
        let vvvv = if self.has_vvvv { draw.below(if long { 16 } else { 8 }) as u8 } else { 0 };
        let rxb = if long && draw.chance(55) { draw.below(8) as u8 } else { 0 };
        let map = match op.table() {
            OpCodeTableKind::T0F38 => 2,
            OpCodeTableKind::T0F3A => 3,
            _ => 1,
        };
        let low = (!vvvv & 15) << 3 | l << 2 | pp;
        if map == 1 && w == 0 && rxb & 3 == 0 && draw.chance(60) {
            out.extend(&[0xc5, (!rxb << 5) & 0x80 | low]);
        } else {
            out.extend(&[0xc4, (!rxb & 7) << 5 | map, w << 7 | low]);
        }
        self.opcode(draw, out);
        let address = self.address_bits(other_address);
        self.rest(draw, out, address);
    }

    /// ModRM, SIB, displacement and immediates.
    fn rest(&self, draw: &mut Draw, out: &mut Bytes, address: u32) {
        if self.has_modrm {
            self.modrm(draw, out, address);
        }
        let mut immediate_done = false;
        for &kind in self.op.op_kinds() {
            match kind {
                Kind::imm8 | Kind::imm8sex16 | Kind::imm8sex32 | Kind::imm8sex64 => {
                    let value = if draw.chance(50) { draw.integer(8) } else { draw.bits() & 0x3f };
                    out.push(value as u8);
                    immediate_done = true;
                }
                Kind::br16_1 | Kind::br32_1 | Kind::br64_1 => out.push(draw.bits() as u8),
                Kind::imm16 => out.extend(&(draw.integer(16) as u16).to_le_bytes()),
                Kind::imm32 | Kind::imm32sex64 => {
                    out.extend(&(draw.integer(32) as u32).to_le_bytes());
                }
                Kind::imm64 => out.extend(&draw.integer(64).to_le_bytes()),
                Kind::br16_2 | Kind::xbegin_2 | Kind::brdisp_2 => {
                    out.extend(&(branch(draw) as i16).to_le_bytes());
                }
                Kind::br32_4 | Kind::br64_4 | Kind::xbegin_4 | Kind::brdisp_4 => {
                    out.extend(&(branch(draw) as i32).to_le_bytes());
                }
                Kind::farbr2_2 | Kind::farbr4_2 => {
                    let offset = crate::place::CODE + draw.below(0x1000);
                    let offset = if draw.chance(90) { offset } else { draw.integer(32) };
                    if kind == Kind::farbr2_2 {
                        out.extend(&(offset as u16).to_le_bytes());
                    } else {
                        out.extend(&(offset as u32).to_le_bytes());
                    }
                    let selector = super::state::far_selector(draw, self.form);
                    out.extend(&selector.to_le_bytes());
                }
                Kind::mem_offs => out.extend(&draw.bits().to_le_bytes()[..address as usize / 8]),
                _ => {}
            }
        }
        if self.is4 && !immediate_done {
            out.push(draw.bits() as u8);
        }
    }

    fn modrm(&self, draw: &mut Draw, out: &mut Bytes, address: u32) {
        let memory = match self.rm {
            Rm::Memory | Rm::Vsib => true,
            Rm::Register | Rm::None => false,
            Rm::Either => draw.chance(40),
        };
        let mut mode = if memory { draw.below(3) as u8 } else { 3 };
        let mut rm = draw.below(8) as u8;
        let mut reg = draw.below(8) as u8;
        if self.op.is_group() {
            reg = self.op.group_index() as u8;
        }
        if self.op.is_rm_group() {
            rm = self.op.rm_group_index() as u8;
            mode = 3;
        }
        if self.rm == Rm::Vsib {
            rm = 4;
        }
        out.push(mode << 6 | reg << 3 | rm);
        if mode == 3 {
            return;
        }
        let size = if address == 16 {
            match (mode, rm) {
                (0, 6) | (2, _) => 2,
                (1, _) => 1,
                _ => 0,
            }
        } else {
            let mut base = rm;
            if rm == 4 {
                let sib = draw.bits() as u8;
                out.push(sib);
                base = sib & 7;
            }
            match (mode, base) {
                (0, 5) | (2, _) => 4,
                (1, _) => 1,
                _ => 0,
            }
        };
        let displacement = if draw.chance(60) {
            i64::from(draw.integer(8) as i8) as u64
        } else {
            draw.integer(32)
        };
        out.extend(&displacement.to_le_bytes()[..size]);
    }
}

/// A branch distance, mostly inside the code page.
fn branch(draw: &mut Draw) -> i64 {
    if draw.chance(75) { draw.below(0x800) as i64 - 0x400 } else { draw.bits() as i64 }
}

/// Decodes the bytes if they are this form.
#[must_use]
pub fn decode_as(form: Form, bytes: &[u8]) -> Option<Encoding> {
    let found = decode(form.size, bytes)?;
    (found.instruction.code() == form.code && form.code != Code::INVALID).then_some(found)
}

/// Decodes bytes at address 0.
#[must_use]
pub fn decode(size: CodeSize, bytes: &[u8]) -> Option<Encoding> {
    let mut decoder = Decoder::new(size.bits(), bytes, DecoderOptions::AMD);
    let instruction = decoder.decode();
    if decoder.last_error() != DecoderError::None {
        return None;
    }
    let offsets = decoder.get_constant_offsets(&instruction);
    let displacement = if offsets.has_displacement() {
        (offsets.displacement_offset(), offsets.displacement_size())
    } else {
        (0, 0)
    };
    let len = instruction.len();
    let mut all = [0; 16];
    all[..len].copy_from_slice(&bytes[..len]);
    Some(Encoding { bytes: all, len, instruction, displacement })
}

/// Bytes under construction; what does not fit is dropped, and the decoder then says no.
#[derive(Default)]
struct Bytes {
    bytes: [u8; 32],
    len: usize,
}

impl Bytes {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.push(byte);
        }
    }

    fn shuffle(&mut self, draw: &mut Draw) {
        for n in (1..self.len).rev() {
            self.bytes.swap(n, draw.below(n as u64 + 1) as usize);
        }
    }
}
