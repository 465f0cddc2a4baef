//! Memory operands: which register is the base, which the index, and how long the displacement is.
//!
//! Source: Intel SDM vol. 2A §2.1.5, "Addressing-Mode Encoding of ModR/M and SIB Bytes"; choices
//! as in The Netwide Assembler manual, §3.3.

use iced_x86::Register;

use super::error::AssembleCause;
use super::expression::{Term, Value};
use super::operand::{Address, Relative};

/// A memory operand as ModRM and SIB can say it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) segment: Option<Register>,
    pub(super) base: Register,
    pub(super) index: Register,
    pub(super) scale: u32,
    /// Sign-extended; the target where the base is RIP.
    pub(super) displacement: u64,
    /// As iced-x86 counts: 0 none, 1 as short as can be, else bytes of an address.
    pub(super) displacement_size: u32,
    /// Only an opcode with an offset in the place of ModRM will do.
    pub(super) offset_only: bool,
}

fn wrong<T>(text: &str) -> Result<T, AssembleCause> {
    Err(AssembleCause::Address(text.to_owned()))
}

fn range(number: i128, place: &str) -> AssembleCause {
    let value = if number < 0 { number.to_string() } else { format!("{number:#x}") };
    AssembleCause::Range { value, place: place.to_owned() }
}

/// The number if it lies between the smallest signed and the largest unsigned one of so many bits.
pub(super) fn fit(number: i128, bits: u32, place: &str) -> Result<u64, AssembleCause> {
    let half = 1_i128 << (bits - 1);
    if number < -half || number >= 2 * half {
        return Err(range(number, place));
    }
    Ok(number as u64)
}

/// `bits` is the address size that holds where no register says one.
pub(super) fn place(
    address: &Address,
    value: &Value,
    code_bits: u32,
    bits: u32,
) -> Result<Place, AssembleCause> {
    let terms: Vec<Term> =
        value.registers.iter().copied().filter(|term| term.factor != 0).collect();
    if terms.is_empty() {
        return absolute(address, value, code_bits, bits);
    }
    if address.relative == Relative::Yes {
        return wrong("an address relative to RIP has no other register");
    }
    let width = width(&terms, bits)?;
    let (base, index, scale) = match width {
        16 => pair_of_16(&terms)?,
        _ => base_and_index(&terms, address.nosplit)?,
    };
    let displacement = match width {
        16 => fit(value.number, 16, "a displacement of 16 bits")? as i16 as u64,
        32 => fit(value.number, 32, "a displacement of 32 bits")? as i32 as u64,
        _ => signed_32(value.number)?,
    };
    let full = width / 8;
    let displacement_size = match address.displacement_size {
        None if value.section != 0 || base == Register::None => full,
        None if value.number == 0 && !value.unknown => 0,
        None => 1,
        Some(1) if i8::try_from(displacement as i64).is_ok() => 1,
        Some(1) => return Err(range(value.number, "a displacement of 8 bits")),
        Some(2) if width == 16 => full,
        Some(4) if width != 16 => full,
        Some(_) => return wrong("the displacement has no such size with these registers"),
    };
    let segment = address.segment;
    Ok(Place { segment, base, index, scale, displacement, displacement_size, offset_only: false })
}

/// A 64-bit address as a displacement of 32 bits gives it.
fn signed_32(number: i128) -> Result<u64, AssembleCause> {
    let bits = fit(number, 64, "an address of 64 bits")?;
    if i32::try_from(bits as i64).is_err() {
        return Err(range(number, "a displacement of 32 bits with a sign"));
    }
    Ok(bits)
}

/// No registers: a number, or relative to RIP.
fn absolute(
    address: &Address,
    value: &Value,
    code_bits: u32,
    bits: u32,
) -> Result<Place, AssembleCause> {
    let mut place = Place {
        segment: address.segment,
        base: Register::None,
        index: Register::None,
        scale: 1,
        displacement: 0,
        displacement_size: 0,
        offset_only: false,
    };
    let by_default = address.relative == Relative::Labels
        && value.section != 0
        && !matches!(address.segment, Some(Register::FS | Register::GS))
        && address.displacement_size != Some(8);
    if code_bits == 64 && (by_default || address.relative == Relative::Yes) {
        let short = bits == 32 || address.displacement_size == Some(4);
        place.base = if short { Register::EIP } else { Register::RIP };
        let size = if short { 32 } else { 64 };
        place.displacement = fit(value.number, size, "an address")?;
        if short {
            place.displacement &= 0xffff_ffff;
        }
        place.displacement_size = size / 8;
        return Ok(place);
    }
    let bits = match (address.displacement_size, code_bits) {
        // An address that 16 bits do not hold: the disassembler writes it so.
        (None, 16) if bits == 16 && value.number > 0xffff => 32,
        // One that is no sign-extended number of 32 bits, but a number of 32 bits.
        (None, 64) if bits == 64 && (0x8000_0000..0x1_0000_0000).contains(&value.number) => 32,
        (None, _) => bits,
        (Some(2), 16 | 32) => 16,
        (Some(4), 16 | 32) => 32,
        // The address keeps its 64 bits, of which the instruction holds 32.
        (Some(4), _) => {
            signed_32(value.number)?;
            bits
        }
        (Some(8), 64) => {
            place.offset_only = true;
            64
        }
        _ => return wrong("this code has no displacement of that size"),
    };
    let number = fit(value.number, bits, &format!("an address of {bits} bits"))?;
    place.displacement = if bits == 64 { number } else { number & (u64::MAX >> (64 - bits)) };
    place.displacement_size = bits / 8;
    Ok(place)
}

/// Bits of the general registers in an address.
fn width(terms: &[Term], bits: u32) -> Result<u32, AssembleCause> {
    let mut width = None;
    for term in terms {
        let register = term.register;
        let bits = match register {
            _ if register.is_gpr16() => 16,
            _ if register.is_gpr32() => 32,
            _ if register.is_gpr64() => 64,
            _ if register.is_vector_register() => continue,
            _ => return wrong("only general registers of 16 to 64 bits make an address"),
        };
        if width.is_some_and(|other| other != bits) {
            return wrong("its registers have different sizes");
        }
        width = Some(bits);
    }
    match width {
        None if terms.len() > 1 => wrong("a vector of indices stands beside one base register"),
        _ => Ok(width.unwrap_or(bits)),
    }
}

/// The eight forms of 16-bit addresses.
fn pair_of_16(terms: &[Term]) -> Result<(Register, Register, u32), AssembleCause> {
    let is_base = |register| matches!(register, Register::BX | Register::BP);
    let is_index = |register| matches!(register, Register::SI | Register::DI);
    let found = match *terms {
        _ if terms.iter().any(|term| term.factor != 1) => None,
        [Term { register: one, .. }] if is_base(one) || is_index(one) => {
            Some((one, Register::None))
        }
        [Term { register: a, .. }, Term { register: b, .. }] if is_base(a) && is_index(b) => {
            Some((a, b))
        }
        [Term { register: a, .. }, Term { register: b, .. }] if is_base(b) && is_index(a) => {
            Some((b, a))
        }
        _ => None,
    };
    match found {
        Some((base, index)) => Ok((base, index, 1)),
        None => wrong("with 16 bits there are bx or bp, si or di, and a sum of one of each"),
    }
}

fn base_and_index(
    terms: &[Term],
    nosplit: bool,
) -> Result<(Register, Register, u32), AssembleCause> {
    let is_stack = |register| matches!(register, Register::ESP | Register::RSP);
    let (base, index, scale) = match *terms {
        [one] if one.register.is_vector_register() => (Register::None, one.register, one.factor),
        [one] => match one.factor {
            1 if nosplit && one.scaled => (Register::None, one.register, 1),
            1 => (one.register, Register::None, 1),
            2 if !nosplit => (one.register, one.register, 1),
            3 | 5 | 9 => (one.register, one.register, one.factor - 1),
            factor => (Register::None, one.register, factor),
        },
        [a, b] => {
            let a_is_index = a.register.is_vector_register()
                || !b.register.is_vector_register()
                    && (a.factor != 1
                        || b.factor == 1
                            && (is_stack(b.register)
                                || a.scaled && !b.scaled && !is_stack(a.register)));
            let (base, index) = if a_is_index { (b, a) } else { (a, b) };
            if base.factor != 1 {
                return wrong("only one register has a scale");
            }
            (base.register, index.register, index.factor)
        }
        _ => return wrong("it has too many registers"),
    };
    if is_stack(index) {
        return wrong("esp and rsp are no index");
    }
    match u32::try_from(scale) {
        Ok(scale @ (1 | 2 | 4 | 8)) => Ok((base, index, scale)),
        _ => wrong("the scale of an index is 1, 2, 4 or 8"),
    }
}
