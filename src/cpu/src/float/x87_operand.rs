//! Memory operands of x87 instructions: what FADD m32 and FST m64 make of bits.
//!
//! Source: Intel SDM vol. 2, "FADD", "FCOM", "FICOM", "FLD", "FST", "FIST", "FBSTP". The vCPU reads and
//! writes the bits; nothing here touches memory. Instructions are `inline(never)` for the reason
//! that `x87_stack.rs` gives.

use super::x80_arith::{Operator, arithmetic, arithmetic_special};
use super::x80_compare::QuietNans;
use super::x80_convert::{
    from_bcd, from_f32, from_f64, from_integer, to_bcd, to_f32, to_f64, to_integer, widen_f32,
    widen_f64,
};
use super::x87_stack::Pops;
use super::x87_state::SW_SF;
use super::{Context, F80, FloatFlags, Rounding, X87};
use cutaway_isa::Width;

/// A source operand in memory, as an 80-bit number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    value: F80,
    /// It was a denormal of its own format: DE is due although `value` is normal.
    denormal: bool,
}

impl Source {
    /// m32fp.
    #[inline(always)]
    #[must_use]
    pub fn single(bits: u32) -> Self {
        Self { value: widen_f32(bits), denormal: bits << 1 >> 24 == 0 && bits << 1 != 0 }
    }

    /// m64fp.
    #[inline(always)]
    #[must_use]
    pub fn double(bits: u64) -> Self {
        Self { value: widen_f64(bits), denormal: bits << 1 >> 53 == 0 && bits << 1 != 0 }
    }

    /// m16int and m32int, sign-extended.
    #[inline(always)]
    #[must_use]
    pub fn integer(value: i64) -> Self {
        Self { value: from_integer(value), denormal: false }
    }
}

/// What a store instruction converts ST(0) to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// FST m32fp.
    Single,
    /// FST m64fp.
    Double,
    /// FSTP m80fp.
    Extended,
    /// FIST m16int, m32int, m64int: the number of bits, and whether it truncates (FISTTP).
    Integer {
        /// 16, 32 or 64.
        bits: u32,
        /// FISTTP.
        truncate: bool,
    },
    /// FBSTP m80bcd.
    Bcd,
}

impl Format {
    /// Whether it takes ten bytes in memory.
    #[inline(always)]
    #[must_use]
    pub const fn is_wide(self) -> bool {
        matches!(self, Self::Extended | Self::Bcd)
    }

    /// Width in memory; the ten-byte formats have their low eight bytes here.
    #[inline(always)]
    #[must_use]
    pub const fn width(self) -> Width {
        match self {
            Self::Single | Self::Integer { bits: 32, .. } => Width::Dword,
            Self::Integer { bits: 16, .. } => Width::Word,
            _ => Width::Qword,
        }
    }
}

/// A store worked out, before memory is written: see [`X87::prepare_store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// The first eight bytes that go to memory, as far as the format has them.
    pub low: u64,
    /// The last two bytes of the ten-byte formats.
    pub high: u16,
    /// Whether anything is written; an unmasked exception forbids it.
    pub allowed: bool,
    context: Context,
}

impl X87 {
    /// FLD m32fp.
    #[inline(never)]
    pub fn load_single(&mut self, bits: u32) {
        let mut context = self.context();
        let value = from_f32(&mut context, bits);
        self.load_converted(value, &context);
    }

    /// FLD m64fp.
    #[inline(never)]
    pub fn load_double(&mut self, bits: u64) {
        let mut context = self.context();
        let value = from_f64(&mut context, bits);
        self.load_converted(value, &context);
    }

    /// FILD, the integer sign-extended.
    #[inline(never)]
    pub fn load_integer(&mut self, value: i64) {
        self.load(from_integer(value));
    }

    /// FBLD.
    #[inline(never)]
    pub fn load_bcd(&mut self, bytes: [u8; 10]) {
        self.load(from_bcd(bytes));
    }

    /// FADD m32fp, FISUBR m16int and the like: ST(0) := ST(0) op source.
    #[inline(never)]
    pub fn arithmetic_source<O: Operator>(&mut self, source: Source) {
        if self.is_empty(0) {
            if self.stack_underflow() {
                self.set_st(0, F80::INDEFINITE);
            }
            return;
        }
        let mut context = self.context();
        let top = self.st(0);
        let result = if source.denormal {
            context.denormal_source = true;
            arithmetic_special(&mut context, O::OPERATION, top, source.value)
        } else {
            arithmetic(&mut context, O::OPERATION, top, source.value)
        };
        self.apply(&context);
        if !context.blocks_result() {
            self.set_st(0, result);
        }
    }

    /// FCOM m32fp, FICOMP m16int and the like.
    #[inline(never)]
    pub fn compare_source(&mut self, source: Source, pops: Pops) {
        if self.is_empty(0) {
            self.compare_empty(pops);
            return;
        }
        let context = Context { denormal_source: source.denormal, ..self.context() };
        self.compare_with(source.value, QuietNans::Invalid, pops, context);
    }

    /// Works out what FST, FIST or FBSTP writes, and changes nothing yet: the write may fault.
    #[inline(always)]
    #[must_use]
    pub fn prepare_store(&self, format: Format) -> Store {
        let mut context = self.context();
        let top = if self.is_empty(0) {
            context.status = SW_SF | u16::from(FloatFlags::IE.bits());
            F80::INDEFINITE
        } else {
            self.st(0)
        };
        let (low, high) = convert(&mut context, format, top);
        Store { low, high, allowed: !context.blocks_store(), context }
    }

    /// Completes a store whose bytes have been written: flags and pop.
    #[inline(always)]
    pub fn finish_store(&mut self, store: &Store, pops: Pops) {
        self.apply(&store.context);
        if store.allowed && pops == Pops::Once {
            self.pop();
        }
    }
}

#[inline(always)]
fn convert(context: &mut Context, format: Format, value: F80) -> (u64, u16) {
    match format {
        Format::Single => (u64::from(to_f32(context, value)), 0),
        Format::Double => (to_f64(context, value), 0),
        Format::Extended => (value.significand, value.sign_exponent),
        Format::Integer { bits, truncate } => {
            let mode = if truncate { Rounding::Zero } else { context.rounding() };
            (to_integer(context, value, bits, mode) as u64, 0)
        }
        Format::Bcd => {
            let bytes = F80::from_bytes(to_bcd(context, value));
            (bytes.significand, bytes.sign_exponent)
        }
    }
}
