//! Expressions: numbers, symbols and registers with operators between them.
//!
//! An expression is kept as the steps of a stack machine, so that a long one needs no recursion.
//! Addresses count in multiples of where the section starts, as a difference of two labels is a
//! plain number and a label is not.
//!
//! Source: The Netwide Assembler manual, §3.5, "Expressions".

use iced_x86::Register;

use super::error::{AssembleCause, At};
use super::names::register;
use super::operand::Cursor;
use super::scan::TokenKind;

/// How deep brackets and signs may nest, and how many steps an expression may have.
const MAX_DEPTH: usize = 64;
const MAX_STEPS: usize = 1000;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expression {
    steps: Vec<Step>,
    pub(super) column: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Number(i128),
    /// Index into the symbols of the program.
    Symbol(usize),
    Register(Register),
    /// `$`.
    Here,
    /// `$$`.
    Start,
    Negate,
    Complement,
    Not,
    Binary(Operator),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Or,
    Xor,
    And,
    ShiftLeft,
    ShiftRight,
    Add,
    Subtract,
    Multiply,
    Divide,
    DivideSigned,
    Modulo,
    ModuloSigned,
}
use Operator::{
    Add, And, Divide, DivideSigned, Modulo, ModuloSigned, Multiply, Or, ShiftLeft, ShiftRight,
    Subtract, Xor,
};

/// Operators by their precedence, from the loosest.
const LEVELS: [&[(&str, Operator)]; 6] = [
    &[("|", Or)],
    &[("^", Xor)],
    &[("&", And)],
    &[("<<", ShiftLeft), (">>", ShiftRight)],
    &[("+", Add), ("-", Subtract)],
    &[("*", Multiply), ("/", Divide), ("//", DivideSigned), ("%", Modulo), ("%%", ModuloSigned)],
];

/// What an expression comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Value {
    pub(super) number: i128,
    /// How often the start of the section is contained: 1 in a label, 0 in a difference of labels.
    pub(super) section: i64,
    /// Registers with their factors, in the order of their first mention.
    pub(super) registers: Vec<Term>,
    /// A symbol in it has no value yet.
    pub(super) unknown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Term {
    pub(super) register: Register,
    pub(super) factor: i64,
    /// A factor was written, if only 1.
    pub(super) scaled: bool,
}

impl Value {
    pub(super) fn number(number: i128) -> Self {
        Self { number, ..Self::default() }
    }
}

/// Where symbols get their values.
pub(super) struct Scope<'a> {
    pub(super) symbols: &'a [Option<Value>],
    /// `$`.
    pub(super) here: u64,
    /// `$$`.
    pub(super) start: u64,
}

impl Expression {
    /// The register, if that is all.
    pub(super) fn as_register(&self) -> Option<Register> {
        match self.steps[..] {
            [Step::Register(register)] => Some(register),
            _ => None,
        }
    }

    /// The number, if that is all.
    pub(super) fn as_number(&self) -> Option<i128> {
        match self.steps[..] {
            [Step::Number(number)] => Some(number),
            _ => None,
        }
    }

    /// Steps to work it out.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn has_registers(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Register(_)))
    }

    /// Whether it has the same value everywhere and always.
    pub(super) fn is_constant(&self) -> bool {
        let open = |step: &Step| matches!(step, Step::Symbol(_) | Step::Here | Step::Start);
        !self.steps.iter().any(open)
    }

    /// Works it out. Symbols without a value count as 0.
    pub(super) fn value(&self, scope: &Scope<'_>) -> Result<Value, At> {
        let address = |number: u64| Value { number: number.into(), section: 1, ..Value::default() };
        let mut stack: Vec<Value> = Vec::new();
        for step in &self.steps {
            let value = match *step {
                Step::Number(number) => Ok(Value::number(number)),
                Step::Symbol(index) => Ok(match &scope.symbols[index] {
                    Some(value) => value.clone(),
                    None => Value { unknown: true, ..Value::default() },
                }),
                Step::Register(register) => {
                    let term = Term { register, factor: 1, scaled: false };
                    Ok(Value { registers: vec![term], ..Value::default() })
                }
                Step::Here => Ok(address(scope.here)),
                Step::Start => Ok(address(scope.start)),
                Step::Negate => multiply(pop(&mut stack), &Value::number(-1)),
                Step::Complement => plain(pop(&mut stack), |number| !number),
                Step::Not => plain(pop(&mut stack), |number| i128::from(number == 0)),
                Step::Binary(operator) => {
                    let right = pop(&mut stack);
                    let left = pop(&mut stack);
                    binary(operator, left, right)
                }
            };
            stack.push(value.map_err(|text| (self.column, AssembleCause::Expression(text)))?);
        }
        Ok(pop(&mut stack))
    }
}

fn pop(stack: &mut Vec<Value>) -> Value {
    stack.pop().expect("the parser gives each operator its operands")
}

fn plain(value: Value, apply: impl Fn(i128) -> i128) -> Result<Value, String> {
    if !value.registers.is_empty() {
        return Err("a register can only be added and multiplied".to_owned());
    }
    Ok(Value { number: apply(value.number), section: 0, ..value })
}

fn binary(operator: Operator, left: Value, right: Value) -> Result<Value, String> {
    match operator {
        Add => add(left, right),
        Subtract => add(left, multiply(right, &Value::number(-1))?),
        Multiply if left.registers.is_empty() => multiply(right, &left),
        Multiply => multiply(left, &right),
        _ => arithmetic(operator, left, right),
    }
}

/// Numbers of a few more than 64 bits, so that no intermediate result is lost.
fn bounded(number: Option<i128>) -> Result<i128, String> {
    number
        .filter(|number| number.unsigned_abs() < 1 << 96)
        .ok_or_else(|| "the expression becomes too large".to_owned())
}

fn add(mut left: Value, right: Value) -> Result<Value, String> {
    left.number = bounded(left.number.checked_add(right.number))?;
    left.section = left.section.saturating_add(right.section);
    left.unknown |= right.unknown;
    for term in right.registers {
        match left.registers.iter_mut().find(|other| other.register == term.register) {
            Some(other) => {
                other.factor = other.factor.saturating_add(term.factor);
                other.scaled |= term.scaled;
            }
            None => left.registers.push(term),
        }
    }
    if left.registers.len() > 2 {
        return Err("an address has at most two registers".to_owned());
    }
    Ok(left)
}

fn multiply(mut value: Value, factor: &Value) -> Result<Value, String> {
    if !factor.registers.is_empty() {
        return Err("a register can only be multiplied by a number".to_owned());
    }
    value.number = bounded(value.number.checked_mul(factor.number))?;
    let small = i64::try_from(factor.number).unwrap_or(i64::MAX);
    // A product with a label is a plain number: an origin is always known.
    value.section = if factor.number == -1 { -value.section } else { 0 };
    value.unknown |= factor.unknown;
    for term in &mut value.registers {
        term.factor = term.factor.saturating_mul(small);
        term.scaled = true;
    }
    Ok(value)
}

/// What works on 64 bits.
fn arithmetic(operator: Operator, left: Value, right: Value) -> Result<Value, String> {
    if !left.registers.is_empty() || !right.registers.is_empty() {
        return Err("a register can only be added and multiplied".to_owned());
    }
    let unknown = left.unknown || right.unknown;
    let (a, b) = (left.number as u64, right.number as u64);
    let divides = matches!(operator, Divide | DivideSigned | Modulo | ModuloSigned);
    if divides && b == 0 {
        if unknown {
            return Ok(Value { unknown, ..Value::default() });
        }
        return Err("division by 0".to_owned());
    }
    let signed = |number: i64| i128::from(number);
    let number = match operator {
        Or => left.number | right.number,
        Xor => left.number ^ right.number,
        And => left.number & right.number,
        ShiftLeft if b < 64 => bounded(left.number.checked_mul(1 << b))?,
        ShiftRight if b < 64 => i128::from(a >> b),
        ShiftLeft | ShiftRight => 0,
        Divide => i128::from(a / b),
        Modulo => i128::from(a % b),
        DivideSigned => signed((a as i64).wrapping_div(b as i64)),
        ModuloSigned => signed((a as i64).wrapping_rem(b as i64)),
        Add | Subtract | Multiply => unreachable!("worked out with registers in mind"),
    };
    Ok(Value { number, unknown, ..Value::default() })
}

/// Parses an expression, as far as it goes.
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Expression, At> {
    let mut expression = Expression { steps: Vec::new(), column: cursor.column() };
    level(cursor, &mut expression, 0, 0)?;
    Ok(expression)
}

fn push(expression: &mut Expression, cursor: &Cursor<'_>, step: Step) -> Result<(), At> {
    if expression.steps.len() >= MAX_STEPS {
        let text = format!("the expression has more than {MAX_STEPS} parts");
        return Err((cursor.column(), AssembleCause::TooLarge(text)));
    }
    expression.steps.push(step);
    Ok(())
}

/// Operators of one precedence, from the left to the right.
fn level(cursor: &mut Cursor<'_>, to: &mut Expression, at: usize, depth: usize) -> Result<(), At> {
    let Some(operators) = LEVELS.get(at) else { return unary(cursor, to, depth) };
    level(cursor, to, at + 1, depth)?;
    loop {
        let TokenKind::Sign(sign) = cursor.kind() else { return Ok(()) };
        let Some((_, operator)) = operators.iter().find(|(name, _)| name == sign) else {
            return Ok(());
        };
        cursor.advance();
        level(cursor, to, at + 1, depth)?;
        push(to, cursor, Step::Binary(*operator))?;
    }
}

fn unary(cursor: &mut Cursor<'_>, to: &mut Expression, depth: usize) -> Result<(), At> {
    let column = cursor.column();
    if depth > MAX_DEPTH {
        let text = format!("the expression nests more than {MAX_DEPTH} deep");
        return Err((column, AssembleCause::TooLarge(text)));
    }
    let step = match cursor.kind().clone() {
        TokenKind::Sign(sign @ ("-" | "~" | "!" | "+")) => {
            cursor.advance();
            unary(cursor, to, depth + 1)?;
            return match sign {
                "-" => push(to, cursor, Step::Negate),
                "~" => push(to, cursor, Step::Complement),
                "!" => push(to, cursor, Step::Not),
                _ => Ok(()),
            };
        }
        TokenKind::Sign("(") => {
            cursor.advance();
            level(cursor, to, 0, depth + 1)?;
            return cursor.expect(")");
        }
        TokenKind::Sign("$") => Step::Here,
        TokenKind::Sign("$$") => Step::Start,
        TokenKind::Number(number) => Step::Number(number),
        TokenKind::Text(text) => Step::Number(characters(&text, column)?),
        TokenKind::Word(word) => match register(&word) {
            Some(register) => Step::Register(register),
            None => Step::Symbol(cursor.symbol(&word, column)?),
        },
        TokenKind::Float(_) => {
            let text = "a number with a fraction stands only in dd and dq".to_owned();
            return Err((column, AssembleCause::Syntax(text)));
        }
        TokenKind::Sign(sign) => {
            let text = if cursor.at_end() {
                "a number, name or register is missing here".to_owned()
            } else {
                format!("a number, name or register is missing before {sign}")
            };
            return Err((column, AssembleCause::Syntax(text)));
        }
    };
    push(to, cursor, step)?;
    cursor.advance();
    Ok(())
}

/// A character constant: the first character is the lowest byte.
fn characters(text: &[u8], column: usize) -> Result<i128, At> {
    if text.len() > 8 {
        let text = "a character constant has at most 8 bytes".to_owned();
        return Err((column, AssembleCause::Syntax(text)));
    }
    let mut bytes = [0; 8];
    bytes[..text.len()].copy_from_slice(text);
    Ok(u64::from_le_bytes(bytes).into())
}
