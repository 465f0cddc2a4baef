//! The x87 register file: eight registers with TOP, control, status and tag words, the
//! last-instruction pointers, the MMX registers that lie over it, and its part of FXSAVE.
//!
//! Source: Intel SDM vol. 1 §8.1, "x87 FPU Execution Environment", §9.2, "The MMX Technology
//! Programming Environment", §10.5.1, "FXSAVE Area"; AMD APM vol. 2 §11.4.4, "Saving and
//! Restoring 64-Bit Media and x87 Processor State".
//!
//! Of the tag word only "empty or not" is state; valid, zero and special are worked out from the
//! registers whenever the whole word is stored, as every processor since the Pentium does.

use serde::{Deserialize, Serialize};

use super::x80::{Class, F80};

/// Status word: stack fault (bit 6).
pub const SW_SF: u16 = 1 << 6;
/// Status word: error summary, an unmasked exception waits (bit 7).
pub const SW_ES: u16 = 1 << 7;
/// Status word: condition code 0 (bit 8).
pub const SW_C0: u16 = 1 << 8;
/// Status word: condition code 1 (bit 9): rounded up, or stack overflow.
pub const SW_C1: u16 = 1 << 9;
/// Status word: condition code 2 (bit 10).
pub const SW_C2: u16 = 1 << 10;
/// Status word: condition code 3 (bit 14).
pub const SW_C3: u16 = 1 << 14;
/// Status word: busy, a copy of ES (bit 15).
pub const SW_B: u16 = 1 << 15;
/// Status word: the six exception flags (bits 5:0).
pub const SW_EXCEPTIONS: u16 = 0x3f;

const SW_TOP_SHIFT: u32 = 11;
const SW_TOP: u16 = 7 << SW_TOP_SHIFT;
/// Control word bits that can be written: masks, PC, RC and the ineffective infinity bit.
const CW_WRITABLE: u16 = 0x1f3f;
/// Bit 6 of the control word always reads as one.
const CW_FIXED: u16 = 0x0040;
/// The control word after FNINIT: all masked, 64-bit precision, to nearest even.
const CW_INIT: u16 = 0x037f;
/// The x87 opcode register has 11 bits.
const OPCODE_MASK: u16 = 0x07ff;

/// Bits of a full tag word for one register.
const TAG_VALID: u16 = 0;
const TAG_ZERO: u16 = 1;
const TAG_SPECIAL: u16 = 2;
const TAG_EMPTY: u16 = 3;

/// The visible state of the x87 unit and of MMX.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct X87 {
    /// R0 to R7, physical: ST(i) is R((TOP + i) mod 8), MMn lies over Rn.
    pub registers: [F80; 8],
    control: u16,
    /// Without TOP: the place of ST(0) must not wait for the flags of the instruction before.
    flags: u16,
    top: u8,
    /// Bit n: Rn is not empty (the abridged tag word of FXSAVE).
    in_use: u8,
    /// FOP: the low three bits of the first opcode byte and the ModRM byte, 11 bits.
    pub opcode: u16,
    /// FIP: the offset of the last instruction that was not a control instruction.
    pub instruction_pointer: u64,
    /// FCS: its code segment selector.
    pub instruction_selector: u16,
    /// FDP: the offset of its memory operand.
    pub data_pointer: u64,
    /// FDS: the selector of its memory operand.
    pub data_selector: u16,
}

impl Default for X87 {
    fn default() -> Self {
        Self::new()
    }
}

/// How the FXSAVE image holds the two pointers: FXSAVE64 (REX.W) or FXSAVE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FxsavePointers {
    /// 32-bit offsets with selectors.
    Selectors,
    /// 64-bit offsets without selectors.
    Wide,
}

impl X87 {
    /// The state after power-up (Intel SDM vol. 3A table 10-1, "IA-32 and Intel 64 Processor
    /// States Following Power-up, Reset, or INIT"): all registers +0, control word 0040H, tag
    /// word 5555H.
    #[must_use]
    pub fn new() -> Self {
        Self {
            registers: [F80::ZERO; 8],
            control: CW_FIXED,
            flags: 0,
            top: 0,
            in_use: 0xff,
            opcode: 0,
            instruction_pointer: 0,
            instruction_selector: 0,
            data_pointer: 0,
            data_selector: 0,
        }
    }

    /// FNINIT: all but the contents of the registers.
    pub fn initialize(&mut self) {
        *self = Self { registers: self.registers, control: CW_INIT, in_use: 0, ..Self::new() };
    }

    /// The control word.
    #[inline(always)]
    #[must_use]
    pub fn control(&self) -> u16 {
        self.control
    }

    /// Loads the control word; an exception flag that it unmasks sets ES.
    pub fn set_control(&mut self, value: u16) {
        self.control = value & CW_WRITABLE | CW_FIXED;
        self.update_summary();
    }

    /// The status word, TOP included.
    #[inline(always)]
    #[must_use]
    pub fn status(&self) -> u16 {
        self.flags | u16::from(self.top) << SW_TOP_SHIFT
    }

    /// Loads the status word; ES and B follow from the flags and masks, not from `value`.
    pub fn set_status(&mut self, value: u16) {
        self.flags = value & !SW_TOP;
        self.set_top(usize::from(value >> SW_TOP_SHIFT));
        self.update_summary();
    }

    /// Replaces the condition codes in `which` (C0 to C3 at their bits) by those of `codes`.
    #[inline(always)]
    pub fn replace_codes(&mut self, which: u16, codes: u16) {
        self.flags = self.flags & !which | codes & which;
    }

    /// Adds exception flags (bits 5:0) and the stack fault bit; sets ES if one is unmasked.
    #[inline(always)]
    pub fn raise(&mut self, flags: u16) {
        self.flags |= flags & (SW_EXCEPTIONS | SW_SF);
        if flags & !self.control & SW_EXCEPTIONS != 0 {
            self.flags |= SW_ES | SW_B;
        }
    }

    /// FNCLEX: clears the exception flags, SF, ES and B.
    pub fn clear_exceptions(&mut self) {
        self.flags &= !(SW_EXCEPTIONS | SW_SF | SW_ES | SW_B);
    }

    /// Whether an unmasked exception waits for the next waiting instruction.
    #[inline(always)]
    #[must_use]
    pub fn exception_pending(&self) -> bool {
        self.flags & SW_ES != 0
    }

    fn update_summary(&mut self) {
        self.flags &= !(SW_ES | SW_B);
        if self.flags & !self.control & SW_EXCEPTIONS != 0 {
            self.flags |= SW_ES | SW_B;
        }
    }

    /// TOP, 0 to 7.
    #[inline(always)]
    #[must_use]
    pub fn top(&self) -> usize {
        usize::from(self.top & 7)
    }

    /// Sets TOP; only bits 2:0 count.
    #[inline(always)]
    pub fn set_top(&mut self, top: usize) {
        self.top = top as u8 & 7;
    }

    /// The number of the physical register that ST(i) is now.
    #[inline(always)]
    #[must_use]
    pub fn physical(&self, i: usize) -> usize {
        self.top().wrapping_add(i) & 7
    }

    /// ST(i), empty or not.
    #[inline(always)]
    #[must_use]
    pub fn st(&self, i: usize) -> F80 {
        self.registers[self.physical(i)]
    }

    /// The physical registers of ST(i) and ST(j), if neither is empty.
    #[inline(always)]
    pub(super) fn both(&self, i: usize, j: usize) -> Option<(usize, usize)> {
        let (i, j) = (self.physical(i), self.physical(j));
        let needed = 1 << i | 1 << j;
        (self.in_use & needed == needed).then_some((i, j))
    }

    /// Whether ST(i) is empty.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self, i: usize) -> bool {
        self.in_use >> self.physical(i) & 1 == 0
    }

    /// Writes ST(i) and tags it in use.
    #[inline(always)]
    pub fn set_st(&mut self, i: usize, value: F80) {
        let register = self.physical(i);
        self.registers[register] = value;
        self.in_use |= 1 << register;
    }

    /// FFREE: tags ST(i) empty, its contents stay.
    #[inline(always)]
    pub fn free(&mut self, i: usize) {
        self.in_use &= !(1 << self.physical(i));
    }

    /// TOP := TOP - 1, ST(0) := `value`. Whether the register was empty is the caller's to check.
    #[inline(always)]
    pub fn push(&mut self, value: F80) {
        self.set_top(self.top().wrapping_sub(1));
        self.set_st(0, value);
    }

    /// Tags ST(0) empty, TOP := TOP + 1.
    #[inline(always)]
    pub fn pop(&mut self) {
        self.free(0);
        self.set_top(self.top() + 1);
    }

    /// The abridged tag word: bit n is set if Rn is not empty.
    #[must_use]
    pub fn abridged_tags(&self) -> u8 {
        self.in_use
    }

    /// Loads the abridged tag word.
    pub fn set_abridged_tags(&mut self, tags: u8) {
        self.in_use = tags;
    }

    /// The full tag word: two bits a register, R0 in bits 1:0.
    #[must_use]
    pub fn tag_word(&self) -> u16 {
        (0..8).fold(0, |word, register| {
            let tag = if self.in_use >> register & 1 == 0 {
                TAG_EMPTY
            } else {
                match self.registers[register].class() {
                    Class::Zero => TAG_ZERO,
                    Class::Normal => TAG_VALID,
                    _ => TAG_SPECIAL,
                }
            };
            word | tag << (2 * register)
        })
    }

    /// Loads a full tag word, of which only "empty" is kept.
    pub fn set_tag_word(&mut self, word: u16) {
        self.in_use = (0..8).fold(0, |tags, register| {
            let in_use = word >> (2 * register) & 3 != TAG_EMPTY;
            tags | u8::from(in_use) << register
        });
    }

    /// MMn; only bits 2:0 of `n` count. An instruction that reads one also calls
    /// [`X87::enter_mmx`].
    #[inline(always)]
    #[must_use]
    pub fn mmx(&self, n: usize) -> u64 {
        self.registers[n & 7].significand
    }

    /// Writes MMn: the significand of Rn, whose sign and exponent become ones; TOP := 0 and all
    /// tags in use, as [`X87::enter_mmx`] does.
    #[inline(always)]
    pub fn set_mmx(&mut self, n: usize, value: u64) {
        self.registers[n & 7] = F80::new(0xffff, value);
        self.enter_mmx();
    }

    /// What each MMX instruction but EMMS does to the x87 state: TOP := 0, all tags in use
    /// (Intel SDM vol. 3A §14.2, "Effect of MMX Instructions on x87 FPU State").
    #[inline(always)]
    pub fn enter_mmx(&mut self) {
        self.top = 0;
        self.in_use = 0xff;
    }

    /// EMMS: all registers empty, TOP := 0.
    pub fn empty_mmx(&mut self) {
        self.top = 0;
        self.in_use = 0;
    }

    /// Writes the x87 and MMX part of the FXSAVE image: bytes 0 to 23 and 32 to 159.
    ///
    /// Without a pending exception FOP and the pointers are stored as zeros, as AMD processors
    /// do (measured on Zen 4). Bytes 24 to 31 (MXCSR) and from 160 on are left alone.
    pub fn write_fxsave(&self, image: &mut [u8; 512], pointers: FxsavePointers) {
        image[..24].fill(0);
        image[0..2].copy_from_slice(&self.control.to_le_bytes());
        image[2..4].copy_from_slice(&self.status().to_le_bytes());
        image[4] = self.in_use;
        if self.exception_pending() {
            image[6..8].copy_from_slice(&self.opcode.to_le_bytes());
            image[8..16].copy_from_slice(&self.instruction_pointer.to_le_bytes());
            image[16..24].copy_from_slice(&self.data_pointer.to_le_bytes());
            if pointers == FxsavePointers::Selectors {
                image[12..16].copy_from_slice(&u32::from(self.instruction_selector).to_le_bytes());
                image[20..24].copy_from_slice(&u32::from(self.data_selector).to_le_bytes());
            }
        }
        for i in 0..8 {
            let slot = &mut image[32 + 16 * i..48 + 16 * i];
            slot[..10].copy_from_slice(&self.st(i).to_bytes());
            slot[10..].fill(0);
        }
    }

    /// Loads what [`X87::write_fxsave`] wrote. Any image is accepted: reserved bits are ignored,
    /// ES and B follow from flags and masks.
    pub fn read_fxsave(&mut self, image: &[u8; 512], pointers: FxsavePointers) {
        let word = |at: usize| u16::from_le_bytes([image[at], image[at + 1]]);
        let qword = |at: usize| (0..4).rev().fold(0, |q, i| q << 16 | u64::from(word(at + 2 * i)));

        self.control = word(0) & CW_WRITABLE | CW_FIXED;
        self.set_status(word(2));
        self.in_use = image[4];
        self.opcode = word(6) & OPCODE_MASK;
        // 48 bits are kept, and read as a canonical address (measured on Zen 3).
        let canonical = |pointer: u64| ((pointer << 16) as i64 >> 16) as u64;
        (self.instruction_pointer, self.data_pointer) = (canonical(qword(8)), canonical(qword(16)));
        (self.instruction_selector, self.data_selector) = (0, 0);
        if pointers == FxsavePointers::Selectors {
            self.instruction_pointer &= 0xffff_ffff;
            self.data_pointer &= 0xffff_ffff;
            (self.instruction_selector, self.data_selector) = (word(12), word(20));
        }
        for i in 0..8 {
            let at = 32 + 16 * i;
            self.registers[self.physical(i)] = F80::new(word(at + 8), qword(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{F80, FxsavePointers, SW_B, SW_ES, SW_SF, X87};

    fn initialized() -> X87 {
        let mut x87 = X87::new();
        x87.initialize();
        x87
    }

    #[test]
    fn push_and_pop_turn_the_stack() {
        let mut x87 = initialized();

        x87.push(F80::ONE);
        x87.push(F80::INFINITY);

        assert_eq!((x87.top(), x87.st(0), x87.st(1)), (6, F80::INFINITY, F80::ONE), "two pushed");
        assert_eq!(x87.tag_word(), 0x2fff, "R7 valid, R6 special, the rest empty");
        x87.pop();
        assert_eq!((x87.top(), x87.st(0)), (7, F80::ONE), "one popped");
        assert_eq!(x87.abridged_tags(), 0x80, "R6 empty again");
    }

    #[test]
    fn power_up_state_has_all_registers_zero_and_in_use() {
        let x87 = X87::new();

        assert_eq!((x87.control(), x87.status(), x87.tag_word()), (0x0040, 0, 0x5555));
    }

    /// SDM vol. 1 §8.1.3.3: ES is set when an unmasked flag is set, also by FLDCW.
    #[test]
    fn error_summary_follows_flags_and_masks() {
        let mut x87 = initialized();

        x87.raise(0x41);
        assert_eq!(x87.status(), 0x41 | SW_SF, "masked: flags only");
        x87.set_control(0x037e);
        assert_eq!(x87.status(), 0x41 | SW_ES | SW_B, "FLDCW unmasks it");
        x87.clear_exceptions();
        assert_eq!(x87.status(), 0, "cleared");
    }

    /// SDM vol. 3A §14.2, table 14-1.
    #[test]
    fn mmx_write_fills_exponent_and_tags() {
        let mut x87 = initialized();
        x87.push(F80::ONE);

        x87.set_mmx(3, 0x1234);

        assert_eq!(x87.registers[3], F80::new(0xffff, 0x1234), "MM3 is R3");
        assert_eq!((x87.top(), x87.abridged_tags()), (0, 0xff), "TOP and tags");
        x87.empty_mmx();
        assert_eq!(x87.tag_word(), 0xffff, "EMMS");
    }

    #[test]
    fn fxsave_holds_registers_in_stack_order() {
        let mut x87 = initialized();
        x87.push(F80::ONE);
        let mut image = [0xcc; 512];

        x87.write_fxsave(&mut image, FxsavePointers::Wide);

        assert_eq!(image[..5], [0x7f, 0x03, 0x00, 0x38, 0x80], "FCW, FSW, abridged FTW");
        assert_eq!(image[32..42], F80::ONE.to_bytes(), "ST(0) comes first");
        assert_eq!((image[24], image[160]), (0xcc, 0xcc), "MXCSR and XMM0 untouched");
    }

    #[test]
    fn fxsave_round_trips_with_a_pending_exception() {
        for pointers in [FxsavePointers::Wide, FxsavePointers::Selectors] {
            let mut x87 = initialized();
            x87.push(F80::INDEFINITE);
            x87.set_control(0x0340);
            x87.raise(0x04);
            (x87.opcode, x87.instruction_pointer, x87.data_pointer) = (0x0f9, 0x1234, 0x5678);
            if pointers == FxsavePointers::Selectors {
                (x87.instruction_selector, x87.data_selector) = (0x08, 0x10);
            }
            let mut image = [0; 512];

            x87.write_fxsave(&mut image, pointers);
            let mut restored = X87::new();
            restored.read_fxsave(&image, pointers);

            assert_eq!(restored, x87, "{pointers:?}");
        }
    }
}
