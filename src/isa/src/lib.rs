//! What x86 is, without state: the decoder and the assembler, and the names of registers, flags, vectors and MSRs.
//!
//! iced-x86 is wrapped here and named nowhere else. Sources: Intel SDM vol. 1-4, AMD APM vol. 2;
//! the editions are fixed in `docs/references.md`.
#![forbid(unsafe_code)]

mod assemble;
mod decode;
mod length;
mod registers;
mod uses;
mod vector;

pub use assemble::{
    AssembleCause, AssembleError, Assembled, AssembledLine, Assembly, MAX_ASSEMBLY, assemble,
};
pub use decode::{CodeSize, DecodeError, MAX_LENGTH, Stream, decode, disassemble};
pub use iced_x86::{
    Code, CpuidFeature, EncodingKind, FlowControl, Instruction, MemorySize, Mnemonic, OpKind,
    Register,
};
pub use length::{Layout, layout};
pub use registers::{Cr0, Cr4, Dr6, Efer, Rflags, Xcr0, msr};
pub use uses::{FlagUse, MemoryUse, Use, flag_use, memory_uses, operand_use, register_uses};
pub use vector::Vector;

/// Width of an integer operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Word,
    /// 32 bits.
    Dword,
    /// 64 bits.
    Qword,
}

impl Width {
    /// 8, 16, 32 or 64.
    #[inline(always)]
    #[must_use]
    pub const fn bits(self) -> u32 {
        8 << self as u32
    }

    /// 1, 2, 4 or 8.
    #[inline(always)]
    #[must_use]
    pub const fn bytes(self) -> u64 {
        1 << self as u64
    }

    /// All bits of the width set.
    #[inline(always)]
    #[must_use]
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// The most significant bit of the width.
    #[inline(always)]
    #[must_use]
    pub const fn sign_bit(self) -> u64 {
        1 << (self.bits() - 1)
    }

    /// `value` cut to the width and sign-extended to 64 bits.
    #[inline(always)]
    #[must_use]
    pub const fn sign_extend(self, value: u64) -> u64 {
        let up = 64 - self.bits();
        ((value << up) as i64 >> up) as u64
    }

    /// The width of this many bytes, if there is one.
    #[must_use]
    pub const fn of_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            8 => Some(Self::Qword),
            _ => None,
        }
    }
}
