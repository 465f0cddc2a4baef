//! What an instruction reads and writes: operands, memory, flags.
//!
//! Source: iced-x86's tables, wrapped; they follow Intel SDM vol. 2 and AMD APM vol. 3.
//! Not told: accesses that the CPU makes by itself to descriptor tables, TSS and page tables.

use crate::{Rflags, Width};
use iced_x86::{
    CodeSize as IcedSize, Instruction, InstructionInfoFactory, OpAccess, Register, RflagsBits,
};

/// Whether something is read, written or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Its value is read.
    pub reads: bool,
    /// It is replaced.
    pub writes: bool,
    /// It depends on values whether this happens.
    pub conditional: bool,
}

impl Use {
    fn of(access: OpAccess) -> Self {
        let (reads, writes, conditional) = match access {
            OpAccess::None | OpAccess::NoMemAccess => (false, false, false),
            OpAccess::Read => (true, false, false),
            OpAccess::CondRead => (true, false, true),
            OpAccess::Write => (false, true, false),
            OpAccess::CondWrite => (false, true, true),
            OpAccess::ReadWrite => (true, true, false),
            OpAccess::ReadCondWrite => (true, true, true),
        };
        Self { reads, writes, conditional }
    }
}

/// A place in memory that an instruction names or implies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// The segment register.
    pub segment: Register,
    /// A register, or none.
    pub base: Register,
    /// A register, for gathers a vector register, or none.
    pub index: Register,
    /// 1, 2, 4 or 8.
    pub scale: u32,
    /// What is added, sign-extended; for addresses relative to RIP it is the whole address.
    pub displacement: u64,
    /// How wide the sum is.
    pub address: Width,
    /// Bytes of the elements of the index vector, 0 where the index is no vector.
    pub vector_index_bytes: usize,
    /// Bytes accessed; 0 where the table does not say.
    pub size: usize,
    /// How.
    pub access: Use,
}

/// How operand `n` is used; for memory operands without an access (LEA) neither way.
#[must_use]
pub fn operand_use(instruction: &Instruction, n: u32) -> Use {
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    if n < instruction.op_count() { Use::of(info.op_access(n)) } else { Use::default() }
}

/// All places in memory, the operand's own first.
#[must_use]
pub fn memory_uses(instruction: &Instruction) -> Vec<MemoryUse> {
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    let places = info.used_memory().iter().map(|used| MemoryUse {
        segment: used.segment(),
        base: used.base(),
        index: used.index(),
        scale: used.scale(),
        displacement: used.displacement(),
        address: match used.address_size() {
            IcedSize::Code16 => Width::Word,
            IcedSize::Code32 => Width::Dword,
            _ => Width::Qword,
        },
        vector_index_bytes: used.vsib_size() as usize,
        size: used.memory_size().size(),
        access: Use::of(used.access()),
    });
    places.collect()
}

/// All registers that an instruction uses, those of its addresses among them.
#[must_use]
pub fn register_uses(instruction: &Instruction) -> Vec<(Register, Use)> {
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    info.used_registers().iter().map(|used| (used.register(), Use::of(used.access()))).collect()
}

/// What an instruction does to the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagUse {
    /// Their values matter.
    pub read: Rflags,
    /// They come out of the result.
    pub written: Rflags,
    /// They become 0.
    pub cleared: Rflags,
    /// They become 1.
    pub set: Rflags,
    /// The manual leaves them open.
    pub undefined: Rflags,
}

/// The flags that an instruction touches.
#[must_use]
pub fn flag_use(instruction: &Instruction) -> FlagUse {
    FlagUse {
        read: flags(instruction.rflags_read()),
        written: flags(instruction.rflags_written()),
        cleared: flags(instruction.rflags_cleared()),
        set: flags(instruction.rflags_set()),
        undefined: flags(instruction.rflags_undefined()),
    }
}

fn flags(bits: u32) -> Rflags {
    let names = [
        (RflagsBits::CF, Rflags::CF),
        (RflagsBits::PF, Rflags::PF),
        (RflagsBits::AF, Rflags::AF),
        (RflagsBits::ZF, Rflags::ZF),
        (RflagsBits::SF, Rflags::SF),
        (RflagsBits::IF, Rflags::IF),
        (RflagsBits::DF, Rflags::DF),
        (RflagsBits::OF, Rflags::OF),
        (RflagsBits::AC, Rflags::AC),
    ];
    let set = names.iter().filter(|(bit, _)| bits & bit != 0);
    set.fold(Rflags::empty(), |flags, &(_, flag)| flags | flag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CodeSize, decode};

    #[test]
    fn push_of_memory_reads_its_operand_and_writes_the_stack() {
        // push dword [ebx+4*esi+8] in 32-bit code
        let push = decode(CodeSize::Bits32, &[0xff, 0x74, 0xb3, 0x08], 0).unwrap();

        let uses = memory_uses(&push);

        assert_eq!(uses.len(), 2);
        let operand = uses[0];
        assert_eq!((operand.base, operand.index), (Register::EBX, Register::ESI));
        assert_eq!((operand.scale, operand.displacement, operand.size), (4, 8, 4));
        assert!(operand.access.reads && !operand.access.writes);
        assert_eq!((uses[1].segment, uses[1].base), (Register::SS, Register::ESP));
        assert!(uses[1].access.writes && !uses[1].access.reads);
    }

    /// SDM vol. 2, "ADD" and "SHL".
    #[test]
    fn flags_are_those_of_the_manual() {
        let all = Rflags::CF | Rflags::PF | Rflags::AF | Rflags::ZF | Rflags::SF | Rflags::OF;
        let of = |bytes: &[u8]| flag_use(&decode(CodeSize::Bits32, bytes, 0).unwrap());
        assert_eq!(of(&[0x01, 0xd8]).written, all, "add eax, ebx");
        assert_eq!(of(&[0xc1, 0xe0, 4]).undefined, Rflags::AF | Rflags::OF, "shl eax, 4");
        assert_eq!(of(&[0x31, 0xc0]).cleared & Rflags::CF, Rflags::CF, "xor eax, eax");
        assert_eq!(of(&[0xf9]).set, Rflags::CF, "stc");
    }
}
