//! Two outcomes of a case, and what the case says of memory and stack.

use std::collections::BTreeMap;

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use crate::case::{Case, Ending, Outcome, Registers, WORDS, seg};
use crate::compare;
use crate::generate::Generated;
use crate::place::{self, WINDOW, WINDOW_SIZE, filler, gdt};

const TF: u64 = 1 << 8;
/// ES of FSW's low byte.
pub(super) const PENDING: u8 = 0x80;
/// The trap behind a completed instruction.
pub(super) const COMPLETED: Ending = Ending { vector: 1, error: 0, address: 0 };
pub(super) const INVALID_OPCODE: Ending = Ending { vector: 6, error: 0, address: 0 };
pub(super) const GENERAL_PROTECTION: Ending = Ending { vector: 13, error: 0, address: 0 };

/// Whether a vector is of a fault of an access to memory.
pub(super) fn is_access(vector: u32) -> bool {
    matches!(vector, 12 | 13 | 14 | 17)
}

pub(super) fn is_canonical(address: u64) -> bool {
    address as i64 >> 47 == 0 || address as i64 >> 47 == -1
}

/// Normalised outcomes: silicon's, and ours, which the differences make into the other make's.
pub(super) struct Pair<'a> {
    pub(super) generated: &'a Generated,
    pub(super) silicon: Outcome,
    pub(super) ours: Outcome,
}

impl Pair<'_> {
    /// Whether nothing differs any more.
    pub(super) fn same(&self) -> bool {
        if compare::is_tolerant(self.instruction().code()) {
            compare::near(&self.silicon, &self.ours)
        } else {
            compare::same(&self.silicon, &self.ours)
        }
    }

    pub(super) fn case(&self) -> &Case {
        &self.generated.case
    }

    pub(super) fn instruction(&self) -> &Instruction {
        &self.generated.encoding.instruction
    }

    pub(super) fn mnemonic(&self) -> Mnemonic {
        self.instruction().mnemonic()
    }

    /// The vectors of silicon's ending and of ours.
    pub(super) fn vectors(&self) -> (u32, u32) {
        (self.silicon.ending.vector, self.ours.ending.vector)
    }

    /// Whether both ran to the instruction's end.
    pub(super) fn completed(&self) -> bool {
        self.vectors() == (1, 1)
    }

    /// Offset of the byte behind the instruction.
    pub(super) fn next(&self) -> u64 {
        self.case().registers.rip.wrapping_add(self.instruction().len() as u64)
    }

    /// How many prefixes stand first, REX included.
    pub(super) fn prefixes(&self) -> usize {
        let long = self.case().bits == 64;
        let prefix = |byte: &u8| match byte {
            0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3 => true,
            0x40..=0x4f => long,
            _ => false,
        };
        self.case().code().iter().take_while(|byte| prefix(byte)).count()
    }

    /// The REX prefix that counts, or 0.
    pub(super) fn rex(&self) -> u8 {
        let code = self.case().code();
        let last = self.prefixes().checked_sub(1).map_or(0, |last| code[last]);
        if self.case().bits == 64 && last & 0xf0 == 0x40 { last } else { 0 }
    }

    /// Registers as nothing has changed them.
    pub(super) fn start(&self) -> Registers {
        let mut outcome = Outcome { registers: self.case().registers, ..Outcome::LOST };
        outcome.ending = COMPLETED;
        compare::normalise(self.generated, &mut outcome);
        Registers { rflags: outcome.registers.rflags | 0x202 | TF, ..outcome.registers }
    }

    /// Takes the x87 pointers out that AMD saves as zeros for want of a pending exception.
    pub(super) fn clear_x87_pointers(&mut self) {
        if self.ours.registers.x87[2] & PENDING == 0 {
            self.silicon.registers.x87[6..].fill(0);
            self.ours.registers.x87[6..].fill(0);
        }
    }

    /// Makes ours an instruction that did nothing but end so.
    pub(super) fn restart(&mut self, ending: Ending) {
        self.ours = Outcome { ending, registers: self.start(), count: 0, words: [(0, 0); WORDS] };
        self.clear_x87_pointers();
    }

    /// Makes ours a completed jump to another code segment.
    pub(super) fn land(&mut self, selector: u16, rip: u64, stack: u64) {
        self.complete();
        let registers = &mut self.ours.registers;
        (registers.rip, registers.gpr[4]) = (rip, stack);
        registers.selectors[seg::CS] = selector;
        if selector != gdt::CODE64 {
            // The upper halves do not count there.
            registers.gpr.iter_mut().for_each(|register| *register &= 0xffff_ffff);
            registers.rip &= 0xffff_ffff;
        }
    }

    /// Makes ours an instruction that did nothing but complete.
    pub(super) fn complete(&mut self) {
        self.restart(COMPLETED);
        self.ours.registers.rip = self.next();
    }

    /// Offset in the window of the memory operand.
    pub(super) fn operand(&self) -> Option<u64> {
        let memory = (0..self.instruction().op_count())
            .any(|n| self.instruction().op_kind(n) == OpKind::Memory);
        let offset = compare::operand_offset(self.generated).filter(|_| memory)?;
        let linear = offset.wrapping_add(WINDOW);
        let linear = if self.case().bits == 64 { linear } else { linear & 0xffff_ffff };
        Some(linear.wrapping_sub(WINDOW))
    }

    /// RSP moved by so much, as wide as the stack segment has it.
    pub(super) fn moved_stack(&self, by: i64) -> u64 {
        let Registers { gpr, selectors, .. } = self.case().registers;
        let big = place::descriptor(selectors[seg::SS]).is_some_and(|d| d >> 54 & 1 != 0);
        let mask = match (self.case().bits, big) {
            (64, _) => u64::MAX,
            (_, true) => 0xffff_ffff,
            (_, false) => 0xffff,
        };
        let start = if self.case().bits == 64 { gpr[4] } else { gpr[4] & 0xffff_ffff };
        start & !mask | gpr[4].wrapping_add_signed(by) & mask
    }

    /// Offset in the window of what lies so far from the stack's top.
    pub(super) fn stack(&self, by: i64) -> u64 {
        let Registers { selectors, .. } = self.case().registers;
        let big = place::descriptor(selectors[seg::SS]).is_some_and(|d| d >> 54 & 1 != 0);
        let (base, mask) = match (self.case().bits, big) {
            (64, _) => (0, u64::MAX),
            (_, true) => (place::base(selectors[seg::SS]), 0xffff_ffff),
            (_, false) => (place::base(selectors[seg::SS]), 0xffff),
        };
        (self.moved_stack(by) & mask).wrapping_add(base).wrapping_sub(WINDOW)
    }

    /// A byte of the window before the instruction.
    fn byte(&self, offset: u64) -> u8 {
        let patched = self.case().patches().iter().rev().find_map(|patch| {
            let at = offset.checked_sub(patch.offset.into())?;
            patch.bytes().get(at as usize).copied()
        });
        patched.unwrap_or_else(|| filler(offset))
    }

    /// Some bytes of the window before the instruction, as a number.
    pub(super) fn before(&self, offset: u64, bytes: u64) -> u64 {
        (0..bytes)
            .rev()
            .fold(0, |value, n| value << 8 | u64::from(self.byte(offset.wrapping_add(n))))
    }

    /// Some bytes of the window after it.
    pub(super) fn after(&self, outcome: &Outcome, offset: u64, bytes: u64) -> u64 {
        (0..bytes).rev().fold(0, |value, n| {
            let at = offset.wrapping_add(n);
            let word = outcome.words().iter().find(|word| word.0 == at & !7);
            let byte = word.map_or_else(|| self.byte(at), |word| (word.1 >> (8 * (at & 7))) as u8);
            value << 8 | u64::from(byte)
        })
    }

    /// Puts the low bytes of a number into an outcome's memory.
    pub(super) fn put(&self, outcome: &mut Outcome, offset: u64, bytes: u64, value: u64) {
        let mut words: BTreeMap<u64, u64> = outcome.words().iter().copied().collect();
        for n in 0..bytes {
            let at = offset.wrapping_add(n);
            let word = words.entry(at & !7).or_insert_with(|| self.before(at & !7, 8));
            let shift = 8 * (at & 7);
            *word = *word & !(0xff << shift) | (value >> (8 * n) & 0xff) << shift;
        }
        words.retain(|&at, word| at < WINDOW_SIZE && *word != self.before(at, 8));
        outcome.words = [(0, 0); WORDS];
        outcome.count = words.len() as u64;
        for (word, new) in outcome.words.iter_mut().zip(words) {
            *word = new;
        }
    }

    /// Puts it into ours.
    pub(super) fn put_ours(&mut self, offset: u64, bytes: u64, value: u64) {
        let mut ours = self.ours;
        self.put(&mut ours, offset, bytes, value);
        self.ours = ours;
    }

    /// Loads a segment register of ours.
    pub(super) fn load_segment(&mut self, n: usize, selector: u16) {
        let null = selector <= 3 && n != seg::CS && n != seg::SS;
        self.ours.registers.selectors[n] = if null { 0 } else { selector };
        if let Some(base) = n.checked_sub(seg::FS) {
            self.ours.registers.bases[base] = place::base(selector);
        }
    }
}

/// Index in [`Registers::selectors`].
pub(super) fn segment(register: Register) -> usize {
    register as usize - Register::ES as usize
}
