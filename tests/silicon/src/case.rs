//! A case and its outcome, as plain data that both sides fill in and shared memory can hold.

use cutaway_isa::CodeSize;

/// Registers that a process can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Registers {
    /// RAX RCX RDX RBX RSP RBP RSI RDI R8 to R15.
    pub gpr: [u64; 16],
    /// Offset in CS of the next instruction.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// ES CS SS DS FS GS.
    pub selectors: [u16; 6],
    /// Keeps the layout free of holes.
    pub zero: u32,
    /// Base of FS and of GS.
    pub bases: [u64; 2],
    /// FCW, FSW, abridged FTW, FOP, FIP and FDP as FXSAVE64 lays them out.
    pub x87: [u8; 24],
    /// ST(0) to ST(7), 10 bytes each of 16, as FXSAVE lays them out.
    pub st: [[u8; 16]; 8],
    /// MXCSR.
    pub mxcsr: u64,
    /// YMM0 to YMM15, least significant qword first.
    pub ymm: [[u64; 4]; 16],
}

impl Registers {
    /// All zero, which no processor has: to be filled in.
    pub const ZERO: Self = Self {
        gpr: [0; 16],
        rip: 0,
        rflags: 2,
        selectors: [0; 6],
        zero: 0,
        bases: [0; 2],
        x87: [0; 24],
        st: [[0; 16]; 8],
        mxcsr: 0x1f80,
        ymm: [[0; 4]; 16],
    };
}

/// Index of a segment register in [`Registers::selectors`].
pub mod seg {
    /// ES.
    pub const ES: usize = 0;
    /// CS.
    pub const CS: usize = 1;
    /// SS.
    pub const SS: usize = 2;
    /// DS.
    pub const DS: usize = 3;
    /// FS.
    pub const FS: usize = 4;
    /// GS.
    pub const GS: usize = 5;
}

/// Most patches of a case.
pub const PATCHES: usize = 4;

/// Bytes that a case puts over the filler of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Patch {
    /// Offset in the window; the bytes lie within pages that are there.
    pub offset: u32,
    /// How many of `bytes`.
    pub len: u32,
    /// The bytes.
    pub bytes: [u8; 640],
}

impl Patch {
    /// No bytes.
    pub const NONE: Self = Self { offset: 0, len: 0, bytes: [0; 640] };

    /// The bytes that count.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..(self.len as usize).min(self.bytes.len())]
    }
}

/// How long a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Length {
    /// Until the first trap: one instruction, or one iteration of a repeated one.
    Step,
    /// Until RIP leaves the instruction: all iterations.
    Whole,
}

/// One experiment: an instruction and all that it can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Case {
    /// The instruction; what follows lies in the code page.
    pub bytes: [u8; 16],
    /// How many bytes.
    pub len: u8,
    /// 16, 32 or 64.
    pub bits: u8,
    /// How long it runs.
    pub length: Length,
    /// Patches in use.
    pub patches: u8,
    /// Keeps the layout free of holes.
    pub zero: u32,
    /// Registers before it. RIP is where its first byte lies.
    pub registers: Registers,
    /// Memory before it, laid over the filler in this order.
    pub memory: [Patch; PATCHES],
}

impl Case {
    /// No bytes, no patches.
    pub const EMPTY: Self = Self {
        bytes: [0; 16],
        len: 0,
        bits: 64,
        length: Length::Step,
        patches: 0,
        zero: 0,
        registers: Registers::ZERO,
        memory: [Patch::NONE; PATCHES],
    };

    /// The instruction's bytes.
    #[must_use]
    pub fn code(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len).min(16)]
    }

    /// Code size.
    #[must_use]
    pub fn size(&self) -> CodeSize {
        match self.bits {
            16 => CodeSize::Bits16,
            32 => CodeSize::Bits32,
            _ => CodeSize::Bits64,
        }
    }

    /// The patches that count.
    #[must_use]
    pub fn patches(&self) -> &[Patch] {
        &self.memory[..usize::from(self.patches).min(PATCHES)]
    }

    /// Adds a patch, unless it is empty or there is no room.
    pub fn patch(&mut self, offset: u64, bytes: &[u8]) {
        let at = usize::from(self.patches);
        if at < PATCHES && !bytes.is_empty() {
            let patch = &mut self.memory[at];
            let len = bytes.len().min(patch.bytes.len());
            patch.bytes = [0; 640];
            patch.bytes[..len].copy_from_slice(&bytes[..len]);
            (patch.offset, patch.len) = (offset as u32, len as u32);
            self.patches += 1;
        }
    }
}

/// What ended a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ending {
    /// The exception's vector: 1 (#DB) is the trap behind a completed instruction. Or one of the
    /// constants of [`ending`].
    pub vector: u32,
    /// Error code, of vectors that have one.
    pub error: u32,
    /// CR2, of #PF.
    pub address: u64,
}

/// Endings that are no exception.
pub mod ending {
    /// A system call.
    pub const SYSTEM_CALL: u32 = 0x100;
    /// The process died or hung.
    pub const LOST: u32 = 0x101;
    /// The interpreter says that it has no such instruction.
    pub const UNIMPLEMENTED: u32 = 0x102;
    /// The interpreter shut down or halted.
    pub const STOPPED: u32 = 0x103;
}

/// Most qwords of memory that an outcome lists.
pub const WORDS: usize = 176;

/// All that is left of a case.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Outcome {
    /// What ended it.
    pub ending: Ending,
    /// Registers after it.
    pub registers: Registers,
    /// Changed qwords of memory; may exceed [`WORDS`], of which the first are listed.
    pub count: u64,
    /// Offset in the window and new value, ascending.
    pub words: [(u64, u64); WORDS],
}

impl Outcome {
    /// Nothing known yet.
    pub const LOST: Self = Self {
        ending: Ending { vector: ending::LOST, error: 0, address: 0 },
        registers: Registers::ZERO,
        count: 0,
        words: [(0, 0); WORDS],
    };

    /// The changed qwords that are listed.
    #[must_use]
    pub fn words(&self) -> &[(u64, u64)] {
        &self.words[..(self.count as usize).min(WORDS)]
    }
}

/// Qwords of [`Registers`].
pub const REGISTER_WORDS: usize = 106;

impl Registers {
    /// All of it as qwords, in the order of the fields.
    #[must_use]
    pub fn words(&self) -> [u64; REGISTER_WORDS] {
        let mut words = [0; REGISTER_WORDS];
        words[..16].copy_from_slice(&self.gpr);
        (words[16], words[17]) = (self.rip, self.rflags);
        for (n, &selector) in self.selectors.iter().enumerate() {
            words[18 + n / 4] |= u64::from(selector) << (16 * (n % 4));
        }
        words[20..22].copy_from_slice(&self.bases);
        for (word, bytes) in words[22..25].iter_mut().zip(self.x87.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let st = self.st.as_flattened().as_chunks::<8>().0;
        for (word, bytes) in words[25..41].iter_mut().zip(st) {
            *word = u64::from_le_bytes(*bytes);
        }
        words[41] = self.mxcsr;
        words[42..].copy_from_slice(self.ymm.as_flattened());
        words
    }

    /// The reverse of [`Self::words`].
    #[must_use]
    pub fn from_words(words: &[u64; REGISTER_WORDS]) -> Self {
        let mut registers = Self::ZERO;
        registers.gpr.copy_from_slice(&words[..16]);
        (registers.rip, registers.rflags) = (words[16], words[17]);
        for (n, selector) in registers.selectors.iter_mut().enumerate() {
            *selector = (words[18 + n / 4] >> (16 * (n % 4))) as u16;
        }
        registers.bases.copy_from_slice(&words[20..22]);
        let x87 = registers.x87.as_chunks_mut::<8>().0;
        for (bytes, word) in x87.iter_mut().zip(&words[22..25]) {
            *bytes = word.to_le_bytes();
        }
        let st = registers.st.as_flattened_mut().as_chunks_mut::<8>().0;
        for (bytes, word) in st.iter_mut().zip(&words[25..41]) {
            *bytes = word.to_le_bytes();
        }
        registers.mxcsr = words[41];
        registers.ymm.as_flattened_mut().copy_from_slice(&words[42..]);
        registers
    }
}
