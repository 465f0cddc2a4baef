//! The flags: what an instruction does to them, and why they came out as they did.
//!
//! Source: Intel SDM vol. 1 §3.4.3.1, "Status Flags"; vol. 2 for each instruction. What the manual
//! leaves undefined this CPU gives as the reference silicon does; the value is shown.

use super::operands::{Operand, Place};
use super::subject::number;
use cutaway_cpu::CpuState;
use cutaway_isa::{FlagUse, Instruction, Mnemonic, Rflags, Width, flag_use};

/// The flags that an instruction touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagsUse(pub FlagUse);

/// The status flags, and those that come with them, by name.
const NAMES: [(Rflags, &str); 9] = [
    (Rflags::CF, "CF"),
    (Rflags::PF, "PF"),
    (Rflags::AF, "AF"),
    (Rflags::ZF, "ZF"),
    (Rflags::SF, "SF"),
    (Rflags::OF, "OF"),
    (Rflags::DF, "DF"),
    (Rflags::IF, "IF"),
    (Rflags::AC, "AC"),
];

pub(super) fn flags_use(instruction: &Instruction) -> FlagsUse {
    FlagsUse(flag_use(instruction))
}

impl FlagsUse {
    /// A line for each way of use.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let of = |flags: Rflags| -> String {
            let names: Vec<_> = NAMES
                .iter()
                .filter(|(flag, _)| flags.contains(*flag))
                .map(|(_, name)| *name)
                .collect();
            names.join(" ")
        };
        let all = [
            ("reads", self.0.read),
            ("sets by the result", self.0.written),
            ("clears", self.0.cleared),
            ("sets to 1", self.0.set),
            ("undefined in the manual", self.0.undefined),
        ];
        let lines = all.iter().filter(|(_, flags)| !of(*flags).is_empty());
        let lines: Vec<String> =
            lines.map(|(what, flags)| format!("{what}: {}", of(*flags))).collect();
        if lines.is_empty() { vec!["touches none".to_owned()] } else { lines }
    }
}

/// What the flags come out of.
enum Rule {
    /// `a + b + carry`.
    Sum { a: u64, b: u64, carry: u64 },
    /// `a - b - borrow`.
    Difference { a: u64, b: u64, borrow: u64 },
    /// Bitwise.
    Logic { result: u64 },
    /// A shift or rotation by a masked count.
    Shift { result: Option<u64>, count: u64 },
    /// A product.
    Product,
}

/// Why the flags are as they are behind an instruction: one line for each that it touches.
/// `operands` are those from before it ran.
#[must_use]
pub fn flags_after(
    before: &CpuState,
    instruction: &Instruction,
    operands: &[Operand],
    after: &CpuState,
) -> Vec<String> {
    let used = flag_use(instruction);
    let found = rule(before, instruction, operands);
    let touched = used.written | used.cleared | used.set | used.undefined;
    let mut lines = Vec::new();
    if let Some((Rule::Shift { count: 0, .. }, _)) = found {
        return vec!["a count of 0 leaves all flags as they are".to_owned()];
    }
    for (flag, name) in NAMES {
        if !touched.contains(flag) {
            continue;
        }
        let value = after.rflags & flag.bits() != 0;
        let why = if used.undefined.contains(flag) {
            "undefined in the manual; this is what the CPU gives".to_owned()
        } else if used.cleared.contains(flag) {
            "the instruction clears it".to_owned()
        } else if used.set.contains(flag) {
            "the instruction sets it".to_owned()
        } else {
            let told = found.as_ref().and_then(|(rule, width)| reason(rule, *width, flag, value));
            told.unwrap_or_else(|| "from the result".to_owned())
        };
        lines.push(format!("{name}={}: {why}", u8::from(value)));
    }
    lines
}

fn value(operand: Option<&Operand>) -> Option<u64> {
    match &operand?.place {
        Place::Register(text) => u64::from_str_radix(text.strip_prefix("0x")?, 16).ok(),
        Place::Immediate(value) => Some(*value),
        Place::Memory(place) => place.value.as_deref().filter(|v| v.len() <= 8).map(number),
        Place::Target(_) => None,
    }
}

/// The width of what the flags come out of: that of the first operand.
fn width(operand: &Operand, instruction: &Instruction) -> Option<Width> {
    match &operand.place {
        Place::Memory(place) => Width::of_bytes(place.size as usize),
        _ => Width::of_bytes(instruction.op0_register().size()),
    }
}

fn rule(
    before: &CpuState,
    instruction: &Instruction,
    operands: &[Operand],
) -> Option<(Rule, Width)> {
    use Mnemonic as M;
    let mut named = operands.iter().filter(|operand| !operand.implied);
    let (first, second) = (named.next()?, named.next());
    let w = width(first, instruction)?;
    let carry = before.rflags & Rflags::CF.bits();
    let a = value(Some(first));
    let b = value(second).map(|b| b & w.mask());
    let rule = match instruction.mnemonic() {
        M::Add | M::Xadd => Rule::Sum { a: a?, b: b?, carry: 0 },
        M::Adc => Rule::Sum { a: a?, b: b?, carry },
        M::Inc => Rule::Sum { a: a?, b: 1, carry: 0 },
        M::Sub | M::Cmp => Rule::Difference { a: a?, b: b?, borrow: 0 },
        M::Sbb => Rule::Difference { a: a?, b: b?, borrow: carry },
        M::Dec => Rule::Difference { a: a?, b: 1, borrow: 0 },
        M::Neg => Rule::Difference { a: 0, b: a?, borrow: 0 },
        M::And | M::Test => Rule::Logic { result: a? & b? },
        M::Or => Rule::Logic { result: a? | b? },
        M::Xor => Rule::Logic { result: a? ^ b? },
        M::Mul | M::Imul => Rule::Product,
        M::Shl | M::Sal | M::Shr | M::Sar | M::Rol | M::Ror | M::Rcl | M::Rcr => {
            let count = b? & if w == Width::Qword { 0x3f } else { 0x1f };
            let a = a? & w.mask();
            let result = match instruction.mnemonic() {
                M::Shl | M::Sal => Some(a.checked_shl(count as u32).unwrap_or(0)),
                M::Shr => Some(a >> count),
                M::Sar => Some(((w.sign_extend(a) as i64) >> count) as u64),
                _ => None,
            };
            Rule::Shift { result: result.map(|result| result & w.mask()), count }
        }
        _ => return None,
    };
    Some((rule, w))
}

/// Why a flag has the value that it has.
fn reason(rule: &Rule, w: Width, flag: Rflags, value: bool) -> Option<String> {
    let bits = w.bits();
    let result = match rule {
        Rule::Sum { a, b, carry } => Some(a.wrapping_add(*b).wrapping_add(*carry) & w.mask()),
        Rule::Difference { a, b, borrow } => {
            Some(a.wrapping_sub(*b).wrapping_sub(*borrow) & w.mask())
        }
        Rule::Logic { result } => Some(*result & w.mask()),
        Rule::Shift { result, .. } => *result,
        Rule::Product => None,
    };
    if let Some(result) = result
        && let Some(text) = of_result(result, w, flag, value)
    {
        return Some(text);
    }
    let fits = if value { "does not fit" } else { "fits" };
    Some(match (rule, flag) {
        (Rule::Sum { a, b, carry }, Rflags::CF) => {
            let sum = u128::from(a & w.mask()) + u128::from(*b) + u128::from(*carry);
            format!("the sum {sum:#x} {fits} in {bits} bits")
        }
        (Rule::Difference { a, b, borrow }, Rflags::CF) => {
            let than = if value { "is less than" } else { "is not less than" };
            let borrowed = if *borrow != 0 { " and the borrow" } else { "" };
            format!("{:#x} {than} {b:#x}{borrowed}, unsigned", a & w.mask())
        }
        (Rule::Sum { a, b, carry }, Rflags::OF) => {
            let sum = signed(*a, w) + signed(*b, w) + i128::from(*carry);
            format!("the signed sum {sum} {fits} in {bits} bits")
        }
        (Rule::Difference { a, b, borrow }, Rflags::OF) => {
            let difference = signed(*a, w) - signed(*b, w) - i128::from(*borrow);
            format!("the signed difference {difference} {fits} in {bits} bits")
        }
        (Rule::Sum { .. }, Rflags::AF) => {
            format!("{} carry out of bit 3", if value { "a" } else { "no" })
        }
        (Rule::Difference { .. }, Rflags::AF) => {
            format!("{} borrow into bit 3", if value { "a" } else { "no" })
        }
        (Rule::Shift { .. }, Rflags::CF) => "the last bit that was moved out".to_owned(),
        (Rule::Shift { .. }, Rflags::OF) => {
            let changed = if value { "changed" } else { "did not change" };
            format!("by a shift of 1: the sign {changed}, as the instruction reckons it")
        }
        (Rule::Product, Rflags::CF | Rflags::OF) => {
            format!("the product {fits} in the lower half")
        }
        _ => return None,
    })
}

/// ZF, SF and PF.
fn of_result(result: u64, w: Width, flag: Rflags, value: bool) -> Option<String> {
    Some(match flag {
        Rflags::ZF if value => "the result is zero".to_owned(),
        Rflags::ZF => format!("the result {result:#x} is not zero"),
        Rflags::SF => {
            format!("bit {} of the result {result:#x} is {}", w.bits() - 1, u8::from(value))
        }
        Rflags::PF => {
            let ones = (result as u8).count_ones();
            let parity = if value { "even" } else { "odd" };
            format!("the low byte {:#04x} has {ones} ones: {parity}", result as u8)
        }
        _ => return None,
    })
}

fn signed(value: u64, w: Width) -> i128 {
    i128::from(w.sign_extend(value & w.mask()) as i64)
}
