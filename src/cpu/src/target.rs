//! What instruction meanings are written against.
//!
//! A meaning (`meaning/`) is a function generic over a [`Target`]. Three targets run it: the fast
//! interpreter (`fast.rs`, specialised handlers that only know memory in the TLB), the complete
//! interpreter (`exec.rs`, any operand, any fault) and the recorder (`record.rs`, text).
//!
//! Order inside a meaning: all that can fault, then registers, then flags. It is what lets the
//! fast target give up in the middle and the complete one start the instruction over.
//! `#[inline(always)]` on every meaning is correctness: a handler must reduce to straight code
//! that ends in a jump, see `fast.rs`.

use crate::flags::{Cc, Flags};
use crate::float::x87_operand::Format;
use crate::float::x87_stack::Pops;
use crate::float::{Control, SimdException, X87};
use crate::state::Seg;
use crate::vector::{Xmm, Ymm};
use cutaway_isa::{Rflags, Width};

/// A step of a meaning that may fault.
pub(crate) type Step<T> = Result<(), <T as Target>::Fault>;
/// A meaning that decides where execution goes on.
pub(crate) type Flow<T> = Result<<T as Target>::Next, <T as Target>::Fault>;

/// Two-operand arithmetic. Results are cut to the width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bin {
    Add,
    Sub,
    And,
    Or,
    Xor,
    /// Product, low half.
    Mul,
    /// High half of the unsigned product.
    MulHighUnsigned,
    /// High half of the signed product.
    MulHighSigned,
    /// Shift by less than 64; the second operand may exceed the width.
    Shl,
    /// Logical shift by less than 64.
    Shr,
    /// Arithmetic shift by less than 64.
    Sar,
    /// Rotate left by any count.
    Rol,
    /// Rotate right by any count.
    Ror,
}

/// Comparisons of clean values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cmp {
    Eq,
    Ne,
    /// Unsigned below.
    Below,
}

/// How many bytes of a vector operand lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VectorSize {
    /// Low 16 bits.
    Word,
    /// Low 32 bits: a scalar single.
    Dword,
    /// Low 64 bits: a scalar double, an MMX register.
    Qword,
    /// 128 bits, any alignment.
    Xmm,
    /// 128 bits; a misaligned memory operand is #GP(0).
    XmmAligned,
}

impl VectorSize {
    /// Twice as many bytes, of at most 16.
    pub(crate) const fn doubled(self) -> Self {
        match self {
            Self::Word => Self::Dword,
            Self::Dword => Self::Qword,
            _ => Self::Xmm,
        }
    }
}

/// What a vector operand in memory asks of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alignment {
    /// Nothing.
    Any,
    /// A multiple of its size, or #GP(0).
    Natural,
}

/// A floating-point operation on two vectors. It accumulates its exceptions in MXCSR.
pub(crate) type FloatRule = fn(Xmm, Xmm, Control<'_>) -> Result<Xmm, SimdException>;
/// A floating-point operation on two vectors and the immediate byte.
pub(crate) type FloatImmRule = fn(Xmm, Xmm, u8, Control<'_>) -> Result<Xmm, SimdException>;
/// A pure rule: width, two operands, RFLAGS in; value and RFLAGS out.
pub(crate) type Rule = fn(Width, u64, u64, Rflags) -> (u64, Rflags);

/// An x87 instruction as a step on the register file: a value goes in.
#[derive(Clone, Copy)]
pub(crate) struct X87Step {
    /// What the recorder calls it.
    pub(crate) name: &'static str,
    /// FOP without what the operand adds: low three bits of the first opcode byte, then the
    /// ModRM byte with r/m 0 (and mod 0 where the operand is memory).
    pub(crate) opcode: u16,
    /// The instruction on a register number or on the bits of a memory operand.
    pub(crate) run: fn(&mut X87, u64),
}

/// An x87 comparison whose outcome goes to RFLAGS: ZF, PF and CF at bits 6, 2 and 0.
/// Otherwise as [`X87Step`].
#[derive(Clone, Copy)]
pub(crate) struct X87Compare {
    pub(crate) name: &'static str,
    pub(crate) opcode: u16,
    pub(crate) run: fn(&mut X87, u64) -> u64,
}

/// One way of running meanings. Integer values are clean: zero above their width.
pub(crate) trait Target: Sized {
    /// Up to 64 bits.
    type Value: Clone;
    /// 128 bits (an XMM register; MMX in the low half).
    type Vector: Clone;
    /// 256 bits (a YMM register).
    type Wide: Clone;
    /// A truth value.
    type Cond: Clone;
    /// All of RFLAGS, as a rule computed it.
    type Status: Clone;
    /// What stops a meaning.
    type Fault;
    /// Where a branch goes.
    type Next;

    /// A constant.
    fn constant(&mut self, w: Width, value: u64) -> Self::Value;
    /// Arithmetic on two values of width `w`.
    fn bin(&mut self, op: Bin, w: Width, a: &Self::Value, b: &Self::Value) -> Self::Value;
    /// Bitwise complement.
    fn not(&mut self, w: Width, a: &Self::Value) -> Self::Value;
    /// The low bits of a wider value, or a clean value seen at a wider width.
    fn resize(&mut self, from: Width, to: Width, a: &Self::Value) -> Self::Value;
    /// Sign extension from one width to another.
    fn sign_extend(&mut self, from: Width, to: Width, a: &Self::Value) -> Self::Value;
    /// A comparison.
    fn compare(&mut self, cmp: Cmp, w: Width, a: &Self::Value, b: &Self::Value) -> Self::Cond;
    /// `yes` where the condition holds, else `no`.
    fn select(
        &mut self,
        c: &Self::Cond,
        w: Width,
        yes: &Self::Value,
        no: &Self::Value,
    ) -> Self::Value;
    /// 1 where the condition holds, else 0.
    fn truth(&mut self, w: Width, c: &Self::Cond) -> Self::Value;
    /// Runs a pure rule on two values and RFLAGS. The flags take effect by [`Self::set_status`].
    fn rule(
        &mut self,
        name: &'static str,
        rule: Rule,
        w: Width,
        a: &Self::Value,
        b: &Self::Value,
    ) -> (Self::Value, Self::Status);

    /// Operand `n`: a register, an immediate (sign-extended to `w`), or memory.
    fn read(&mut self, n: u32, w: Width) -> Result<Self::Value, Self::Fault>;
    /// `read` of an operand that will be written: faults as the write would.
    fn modify(&mut self, n: u32, w: Width) -> Result<Self::Value, Self::Fault>;
    /// Writes operand `n`. A 32-bit register write clears bits 63:32; narrower ones keep the rest.
    fn write(&mut self, n: u32, w: Width, value: Self::Value) -> Step<Self>;
    /// Operand `n` is memory.
    fn is_memory(&self, n: u32) -> bool;
    /// The effective address of the memory operand, cut to the address size.
    fn effective_address(&mut self) -> Self::Value;
    /// Width of the address of the memory operand, or of implied string operands.
    fn address_width(&self) -> Width;
    /// The segment of the memory operand or of an implied DS:rSI, with overrides.
    fn segment(&self) -> Seg;

    /// General-purpose register `number` (encoding order), low bits.
    fn gpr(&mut self, number: usize, w: Width) -> Self::Value;
    /// Writes a general-purpose register as [`Self::write`] does.
    fn set_gpr(&mut self, number: usize, w: Width, value: Self::Value);
    /// AH; bits 15:8 of RAX.
    fn ah(&mut self) -> Self::Value;
    /// Writes AH.
    fn set_ah(&mut self, value: Self::Value);

    /// Reads memory at an offset in a segment.
    fn load(
        &mut self,
        seg: Seg,
        w: Width,
        offset: &Self::Value,
    ) -> Result<Self::Value, Self::Fault>;
    /// Writes memory at an offset in a segment.
    fn store(&mut self, seg: Seg, w: Width, offset: &Self::Value, value: Self::Value)
    -> Step<Self>;
    /// Width of the stack pointer: Word, Dword or Qword.
    fn stack_width(&self) -> Width;

    /// Records what the status flags come from.
    fn set_flags(&mut self, flags: Flags<Self::Value>);
    /// `set_flags` where the condition holds.
    fn set_flags_if(&mut self, c: &Self::Cond, flags: Flags<Self::Value>);
    /// Puts RFLAGS as a rule computed them.
    fn set_status(&mut self, status: Self::Status);
    /// One of the sixteen conditions.
    fn condition(&mut self, cc: Cc) -> Self::Cond;
    /// CF as 0 or 1.
    fn carry(&mut self, w: Width) -> Self::Value;
    /// The number of bytes that string instructions move: `w` bytes, negative with DF.
    fn string_step(&mut self, w: Width, address: Width) -> Self::Value;

    /// Quotient and remainder of `high:low / divisor`, or #DE.
    fn divide(
        &mut self,
        signed: bool,
        w: Width,
        high: &Self::Value,
        low: &Self::Value,
        divisor: &Self::Value,
    ) -> Result<(Self::Value, Self::Value), Self::Fault>;

    /// A near branch to the target encoded in the instruction if the condition holds.
    fn branch_if(&mut self, c: &Self::Cond, w: Width) -> Result<Self::Next, Self::Fault>;
    /// As `branch_if`, with a counter in rCX that is written once the target is checked.
    fn loop_branch(
        &mut self,
        c: &Self::Cond,
        counter: Width,
        count: Self::Value,
        w: Width,
    ) -> Result<Self::Next, Self::Fault>;
    /// A near branch to the target encoded in the instruction.
    fn branch(&mut self, w: Width) -> Result<Self::Next, Self::Fault>;
    /// Pushes the return address, then branches to the encoded target.
    fn call(&mut self, w: Width) -> Result<Self::Next, Self::Fault>;
    /// A near branch to a computed offset.
    fn jump(&mut self, w: Width, offset: &Self::Value) -> Result<Self::Next, Self::Fault>;
    /// The offset of the next instruction.
    fn next_rip(&mut self, w: Width) -> Self::Value;
    /// As `check_target`, for a call: the stack for the return address is checked first.
    #[inline(always)]
    fn check_call(&mut self, w: Width, offset: &Self::Value) -> Result<(), Self::Fault> {
        self.check_target(w, offset)
    }
    /// Checks that a branch to `offset` is allowed (limit, canonical), before other effects.
    fn check_target(&mut self, w: Width, offset: &Self::Value) -> Step<Self>;

    /// Operand `n` as a vector: a whole XMM or MMX register, or `size` bytes of memory.
    fn read_vector(&mut self, n: u32, size: VectorSize) -> Result<Self::Vector, Self::Fault>;
    /// Writes `size` low bytes of operand `n`; the rest of a register stays.
    fn write_vector(&mut self, n: u32, size: VectorSize, value: Self::Vector) -> Step<Self>;
    /// A pure operation on two vectors.
    fn vector(
        &mut self,
        name: &'static str,
        op: fn(Xmm, Xmm) -> Xmm,
        a: &Self::Vector,
        b: &Self::Vector,
    ) -> Self::Vector;
    /// A pure operation on two vectors and the immediate byte of the instruction.
    fn vector_imm(
        &mut self,
        name: &'static str,
        op: fn(Xmm, Xmm, u8) -> Xmm,
        a: &Self::Vector,
        b: &Self::Vector,
    ) -> Self::Vector;
    /// A floating-point operation under MXCSR: accumulates its exceptions, #XM for unmasked ones.
    fn float(
        &mut self,
        name: &'static str,
        op: FloatRule,
        a: &Self::Vector,
        b: &Self::Vector,
    ) -> Result<Self::Vector, Self::Fault>;
    /// `float` with the immediate byte of the instruction.
    fn float_imm(
        &mut self,
        name: &'static str,
        op: FloatImmRule,
        a: &Self::Vector,
        b: &Self::Vector,
    ) -> Result<Self::Vector, Self::Fault>;
    /// A pure operation on two MMX registers: the low halves of vectors.
    fn mmx(
        &mut self,
        name: &'static str,
        op: fn(u64, u64) -> u64,
        a: &Self::Vector,
        b: &Self::Vector,
    ) -> Self::Vector;
    /// What comes before an MMX instruction: #UD with CR0.EM, #NM with CR0.TS, #MF for an x87
    /// exception that waits.
    fn begin_mmx(&mut self) -> Step<Self>;
    /// What comes after an MMX instruction: TOP becomes 0, all x87 registers are in use.
    fn end_mmx(&mut self);
    /// The low `w` bits of a vector as an integer.
    fn vector_low(&mut self, w: Width, a: &Self::Vector) -> Self::Value;
    /// An integer as a vector, zero above.
    fn vector_from(&mut self, w: Width, a: &Self::Value) -> Self::Vector;
    /// Replaces ZF PF CF by bits 6, 2 and 0 of a vector's low byte; OF SF AF become 0
    /// (COMISS, PTEST and their kin).
    fn set_flags_from(&mut self, a: &Self::Vector);

    /// VEX.L: whether the instruction's vectors have 256 bits, else 128.
    fn is_256(&self) -> bool;
    /// Operand `n` of a VEX instruction: a whole YMM register, or 16 or 32 bytes of memory (by
    /// [`Self::is_256`]) and zero above.
    fn read_wide(&mut self, n: u32, alignment: Alignment) -> Result<Self::Wide, Self::Fault>;
    /// Writes operand `n` of a VEX instruction: 16 or 32 bytes of memory (by [`Self::is_256`]), or
    /// a whole YMM register, with zero above the 128 bits of a shorter vector.
    fn write_wide(&mut self, n: u32, alignment: Alignment, value: Self::Wide) -> Step<Self>;
    /// Bits 127:0.
    fn low_lane(&mut self, a: &Self::Wide) -> Self::Vector;
    /// Bits 255:128.
    fn high_lane(&mut self, a: &Self::Wide) -> Self::Vector;
    /// A 256-bit value from its 128-bit lanes.
    fn join_lanes(&mut self, low: &Self::Vector, high: &Self::Vector) -> Self::Wide;
    /// A vector with zero above.
    fn widen(&mut self, a: &Self::Vector) -> Self::Wide;
    /// A pure operation on each 128-bit lane of two values.
    fn lanes(
        &mut self,
        name: &'static str,
        op: fn(Xmm, Xmm) -> Xmm,
        a: &Self::Wide,
        b: &Self::Wide,
    ) -> Self::Wide;
    /// `lanes` with the immediate byte of the instruction.
    fn lanes_imm(
        &mut self,
        name: &'static str,
        op: fn(Xmm, Xmm, u8) -> Xmm,
        a: &Self::Wide,
        b: &Self::Wide,
    ) -> Self::Wide;
    /// A pure operation on two values, across lanes, and the immediate byte of the instruction.
    fn across(
        &mut self,
        name: &'static str,
        op: fn(Ymm, Ymm, u8) -> Ymm,
        a: &Self::Wide,
        b: &Self::Wide,
    ) -> Self::Wide;
    /// [`Self::float`] on each 128-bit lane: the exceptions of all lanes are one set.
    fn float_lanes(
        &mut self,
        name: &'static str,
        op: FloatRule,
        a: &Self::Wide,
        b: &Self::Wide,
    ) -> Result<Self::Wide, Self::Fault>;
    /// `float_lanes` with the immediate byte of the instruction.
    fn float_lanes_imm(
        &mut self,
        name: &'static str,
        op: FloatImmRule,
        a: &Self::Wide,
        b: &Self::Wide,
    ) -> Result<Self::Wide, Self::Fault>;

    /// #NM unless CR0 allows x87 instructions.
    fn x87_available(&mut self) -> Step<Self>;
    /// `x87_available`, and #MF if an unmasked x87 exception waits.
    fn x87_ready(&mut self) -> Step<Self>;
    /// The i of the ST(i) operand that is not ST(0), or 0.
    fn st_number(&mut self) -> Self::Value;
    /// Runs an x87 instruction and notes it in the last-instruction pointers.
    fn x87(&mut self, step: X87Step, operand: &Self::Value);
    /// `x87` for FCOMI and its kin.
    fn x87_compare(&mut self, step: X87Compare, operand: &Self::Value);
    /// Runs an x87 instruction on the ten bytes of its memory operand: `run` gets the low eight,
    /// then the high two.
    fn x87_wide(
        &mut self,
        name: &'static str,
        opcode: u16,
        run: fn(&mut X87, u64, u16),
    ) -> Step<Self>;
    /// Stores ST(0), converted, to the memory operand; nothing if an unmasked exception forbids.
    fn x87_store(
        &mut self,
        name: &'static str,
        opcode: u16,
        format: Format,
        pops: Pops,
    ) -> Step<Self>;
    /// The control or status word.
    fn x87_word(&mut self, name: &'static str, word: fn(&X87) -> u16) -> Self::Value;
    /// Loads the control word.
    fn x87_set_control(&mut self, word: &Self::Value);
}
