//! Operands: registers, immediates, far pointers and memory, with the words before them.
//!
//! Source: The Netwide Assembler manual, §3.2, "Layout of a NASM Source Line", and §3.3,
//! "Effective Addresses".

use iced_x86::Register;

use super::error::{AssembleCause, At};
use super::expression::{self, Expression};
use super::names::{is_segment, size};
use super::program::Symbols;
use super::scan::{Token, TokenKind};

/// Reads the tokens of a line one after the other.
pub(super) struct Cursor<'a> {
    tokens: &'a [Token],
    at: usize,
    end: usize,
    symbols: &'a mut Symbols,
}

impl<'a> Cursor<'a> {
    /// `end` is the column behind the line.
    pub(super) fn new(tokens: &'a [Token], end: usize, symbols: &'a mut Symbols) -> Self {
        Self { tokens, at: 0, end, symbols }
    }

    /// The token at hand; behind the end it is an empty sign.
    pub(super) fn kind(&self) -> &TokenKind {
        self.tokens.get(self.at).map_or(&TokenKind::Sign(""), |token| &token.kind)
    }

    pub(super) fn column(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |token| token.column)
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    /// The word at hand in lower case; empty if it is none.
    pub(super) fn word(&self) -> String {
        match self.kind() {
            TokenKind::Word(word) => word.to_ascii_lowercase(),
            _ => String::new(),
        }
    }

    /// What stands `n` tokens further.
    pub(super) fn peek(&self, n: usize) -> Option<&TokenKind> {
        self.tokens.get(self.at + n).map(|token| &token.kind)
    }

    pub(super) fn is(&self, sign: &str) -> bool {
        matches!(self.kind(), TokenKind::Sign(other) if *other == sign)
    }

    /// Takes the sign, if it stands here.
    pub(super) fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, sign: &str) -> Result<(), At> {
        if self.take(sign) {
            return Ok(());
        }
        Err(self.wrong(&format!("{sign} is missing here")))
    }

    pub(super) fn expect_end(&self) -> Result<(), At> {
        if self.at_end() { Ok(()) } else { Err(self.wrong("the statement should end here")) }
    }

    pub(super) fn wrong(&self, text: &str) -> At {
        (self.column(), AssembleCause::Syntax(text.to_owned()))
    }

    /// The symbol of a name, which may be defined later.
    pub(super) fn symbol(&mut self, name: &str, column: usize) -> Result<usize, At> {
        self.symbols.used(name, column)
    }

    /// Defines a symbol here.
    pub(super) fn define(&mut self, name: &str, column: usize) -> Result<usize, At> {
        self.symbols.define(name, column)
    }
}

/// `short`, `near` or `far`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distance {
    Short,
    Near,
    Far,
}

/// The words before an operand.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Words {
    /// Bytes.
    pub(super) size: Option<u32>,
    pub(super) distance: Option<Distance>,
    /// The size is also that of the encoding.
    pub(super) strict: bool,
    /// `to`, of x87 arithmetic.
    pub(super) to: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operand {
    pub(super) column: usize,
    pub(super) words: Words,
    pub(super) kind: OperandKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum OperandKind {
    Register(Register),
    Immediate(Expression),
    /// Selector and offset.
    FarPointer(Expression, Expression),
    Memory(Address),
}

/// What stands in square brackets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Address {
    pub(super) segment: Option<Register>,
    /// Bytes of the displacement.
    pub(super) displacement_size: Option<u32>,
    /// `rel` or `abs`, or what `default` says.
    pub(super) relative: Relative,
    /// `nosplit`: a scale of 2 is not made a sum.
    pub(super) nosplit: bool,
    pub(super) expression: Expression,
}

/// Whether an address counts from RIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relative {
    /// `rel`.
    Yes,
    /// `abs`, or nothing.
    No,
    /// Nothing under `default rel`: labels do.
    Labels,
}

/// The operands up to the end of the line.
pub(super) fn parse_all(cursor: &mut Cursor<'_>, relative: Relative) -> Result<Vec<Operand>, At> {
    let mut operands = Vec::new();
    if cursor.at_end() {
        return Ok(operands);
    }
    loop {
        if operands.len() == 5 {
            return Err(cursor.wrong("no instruction has so many operands"));
        }
        operands.push(parse(cursor, relative)?);
        if !cursor.take(",") {
            cursor.expect_end()?;
            return Ok(operands);
        }
    }
}

fn parse(cursor: &mut Cursor<'_>, relative: Relative) -> Result<Operand, At> {
    let column = cursor.column();
    let words = words(cursor)?;
    if cursor.take("[") {
        let address = address(cursor, relative)?;
        return Ok(Operand { column, words, kind: OperandKind::Memory(address) });
    }
    let expression = expression::parse(cursor)?;
    let far = cursor.is(":");
    if let Some(register) = expression.as_register() {
        if far && is_segment(register) {
            return Err(cursor.wrong("the segment register stands inside of the bracket: [fs:0]"));
        }
        return Ok(Operand { column, words, kind: OperandKind::Register(register) });
    }
    no_registers(&expression)?;
    if !far {
        return Ok(Operand { column, words, kind: OperandKind::Immediate(expression) });
    }
    cursor.advance();
    let offset = expression::parse(cursor)?;
    no_registers(&offset)?;
    Ok(Operand { column, words, kind: OperandKind::FarPointer(expression, offset) })
}

pub(super) fn no_registers(expression: &Expression) -> Result<(), At> {
    if !expression.has_registers() {
        return Ok(());
    }
    let text = "registers can only be reckoned with in square brackets".to_owned();
    Err((expression.column, AssembleCause::Syntax(text)))
}

fn words(cursor: &mut Cursor<'_>) -> Result<Words, At> {
    let mut words = Words::default();
    loop {
        let word = cursor.word();
        match word.as_str() {
            "strict" => words.strict = true,
            "to" => words.to = true,
            "short" => words.distance = Some(Distance::Short),
            "near" => words.distance = Some(Distance::Near),
            "far" => words.distance = Some(Distance::Far),
            "ptr" => return Err(cursor.wrong("NASM has no ptr: write dword [ebx]")),
            "" => return Ok(words),
            _ => match size(&word) {
                Some(size) if words.size.is_none_or(|other| other == size) => {
                    words.size = Some(size);
                }
                Some(_) => return Err(cursor.wrong("an operand has one size")),
                None => return Ok(words),
            },
        }
        cursor.advance();
    }
}

fn address(cursor: &mut Cursor<'_>, relative: Relative) -> Result<Address, At> {
    let (mut segment, mut displacement_size) = (None, None);
    let (mut relative, mut nosplit) = (relative, false);
    loop {
        let word = cursor.word();
        match word.as_str() {
            "rel" => relative = Relative::Yes,
            "abs" => relative = Relative::No,
            "nosplit" => nosplit = true,
            _ => match size(&word) {
                Some(size) => displacement_size = Some(size),
                None => {
                    let register = super::names::register(&word).filter(|r| is_segment(*r));
                    let colon = matches!(cursor.peek(1), Some(TokenKind::Sign(":")));
                    let Some(register) = register.filter(|_| colon) else { break };
                    segment = Some(register);
                    cursor.advance();
                }
            },
        }
        cursor.advance();
    }
    let expression = expression::parse(cursor)?;
    cursor.expect("]")?;
    Ok(Address { segment, displacement_size, relative, nosplit, expression })
}
