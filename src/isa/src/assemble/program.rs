//! A source as statements.
//!
//! Source: The Netwide Assembler manual, §3.1 to §3.2 and chapter 6.

use std::collections::BTreeMap;

use super::MAX_ASSEMBLY;
use super::error::{AssembleCause, AssembleError, At, nearest};
use super::expression::{self, Expression};
use super::instruction::Instruction;
use super::names::Prefixes;
use super::operand::{Cursor, Operand, Relative, no_registers, parse_all};
use super::scan::{TokenKind, scan};
use super::table;
use crate::decode::CodeSize;

/// One label, directive or instruction.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) size: CodeSize,
    /// A symbol that becomes the address of this statement.
    pub(super) label: Option<usize>,
    pub(super) times: Option<Expression>,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A label alone.
    Nothing,
    Instruction(Instruction),
    /// Bytes of a unit, and what is put into units.
    Data(usize, Vec<Datum>),
    /// Bytes of a unit, and how many units of zeroes.
    Reserve(usize, Expression),
    /// Symbol and value.
    Equ(usize, Expression),
    Org(Expression),
    /// Multiple, and bytes to fill up with.
    Align(Expression, Vec<Datum>),
}

#[derive(Clone, Debug)]
pub(super) enum Datum {
    Value(Expression),
    Text(Vec<u8>),
    Float(f64),
}

/// A whole source.
pub(super) struct Program {
    pub(super) statements: Vec<Statement>,
    pub(super) symbols: Symbols,
}

/// The names of a program.
#[derive(Default)]
pub(super) struct Symbols {
    by_name: BTreeMap<String, usize>,
    pub(super) entries: Vec<Symbol>,
    line: usize,
    /// The label that local ones belong to.
    owner: String,
}

pub(super) struct Symbol {
    pub(super) name: String,
    /// Line.
    defined: Option<usize>,
    /// Line and column of the first use.
    used: Option<(usize, usize)>,
}

impl Symbols {
    fn entry(&mut self, name: &str) -> usize {
        let name = if name.starts_with('.') && !name.starts_with("..") {
            format!("{}{name}", self.owner)
        } else {
            name.to_owned()
        };
        let next = self.entries.len();
        let index = *self.by_name.entry(name.clone()).or_insert(next);
        if index == next {
            self.entries.push(Symbol { name, defined: None, used: None });
        }
        index
    }

    pub(super) fn used(&mut self, name: &str, column: usize) -> Result<usize, At> {
        if super::names::size(name).is_some() {
            let text = format!("{name} stands before an operand, not inside of it");
            return Err((column, AssembleCause::Syntax(text)));
        }
        let index = self.entry(name);
        let line = self.line;
        self.entries[index].used.get_or_insert((line, column));
        Ok(index)
    }

    pub(super) fn define(&mut self, name: &str, column: usize) -> Result<usize, At> {
        if super::names::register(name).is_some() || super::names::size(name).is_some() {
            let text = format!("{name} cannot be a label: the name is taken");
            return Err((column, AssembleCause::Syntax(text)));
        }
        let index = self.entry(name);
        let line = self.line;
        let symbol = &mut self.entries[index];
        if let Some(first) = symbol.defined {
            return Err((column, AssembleCause::Duplicate { name: name.to_owned(), first }));
        }
        symbol.defined = Some(line);
        if !name.starts_with('.') {
            name.clone_into(&mut self.owner);
        }
        Ok(index)
    }

    /// The first use of a name that is defined nowhere.
    fn undefined(&self) -> Option<AssembleError> {
        let open = self.entries.iter().filter(|symbol| symbol.defined.is_none());
        let place = |symbol: &&Symbol| symbol.used;
        let symbol = open.min_by_key(place)?;
        let (line, column) = symbol.used?;
        let defined = self.entries.iter().filter(|other| other.defined.is_some());
        let nearest = nearest(&symbol.name, defined.map(|other| other.name.as_str()));
        let cause = AssembleCause::Undefined { name: symbol.name.clone(), nearest };
        Some(AssembleError { line, column, cause })
    }
}

/// What goes on from line to line.
struct Parser {
    size: CodeSize,
    relative: Relative,
    statements: Vec<Statement>,
}

/// Statements and symbols of a source.
pub(super) fn parse(source: &str, size: CodeSize) -> Result<Program, AssembleError> {
    if source.len() > MAX_ASSEMBLY {
        let text = format!("the source is longer than {MAX_ASSEMBLY} bytes");
        return Err(AssembleError { line: 1, column: 1, cause: AssembleCause::TooLarge(text) });
    }
    let mut symbols = Symbols::default();
    let mut parser = Parser { size, relative: Relative::No, statements: Vec::new() };
    for (line, text) in (1..).zip(source.lines()) {
        let at = |(column, cause)| AssembleError { line, column, cause };
        let tokens = scan(text).map_err(at)?;
        symbols.line = line;
        let end = text.trim_end().chars().count() + 1;
        let mut cursor = Cursor::new(&tokens, end, &mut symbols);
        parser.line(&mut cursor, line).map_err(at)?;
    }
    match symbols.undefined() {
        Some(error) => Err(error),
        None => Ok(Program { statements: parser.statements, symbols }),
    }
}

impl Parser {
    fn line(&mut self, cursor: &mut Cursor<'_>, line: usize) -> Result<(), At> {
        if cursor.at_end() {
            return Ok(());
        }
        let mut statement = Statement {
            line,
            column: cursor.column(),
            size: self.size,
            label: None,
            times: None,
            kind: Kind::Nothing,
        };
        let next = match cursor.peek(1) {
            Some(TokenKind::Word(word)) => word.to_ascii_lowercase(),
            _ => String::new(),
        };
        let colon = matches!(cursor.peek(1), Some(TokenKind::Sign(":")));
        let bare = !known(&cursor.word()) && known(&next);
        if let TokenKind::Word(name) = cursor.kind().clone()
            && (colon || bare || next == "equ")
        {
            let symbol = cursor.define(&name, cursor.column())?;
            cursor.advance();
            cursor.take(":");
            if cursor.word() == "equ" {
                cursor.advance();
                let value = number(cursor)?;
                cursor.expect_end()?;
                statement.kind = Kind::Equ(symbol, value);
                self.statements.push(statement);
                return Ok(());
            }
            statement.label = Some(symbol);
        }
        statement.column = cursor.column();
        if cursor.word() == "times" {
            cursor.advance();
            statement.times = Some(number(cursor)?);
        }
        if !cursor.at_end() {
            statement.kind = self.body(cursor)?;
            // `bits` holds from its own line on.
            statement.size = self.size;
        } else if statement.times.is_some() {
            return Err(cursor.wrong("an instruction is missing here"));
        }
        if statement.times.is_some() && !repeats(&statement.kind) {
            let text = "only instructions and data can be repeated".to_owned();
            return Err((statement.column, AssembleCause::Syntax(text)));
        }
        self.statements.push(statement);
        Ok(())
    }

    /// A directive or an instruction.
    fn body(&mut self, cursor: &mut Cursor<'_>) -> Result<Kind, At> {
        let bracket = cursor.take("[");
        let column = cursor.column();
        let word = cursor.word();
        if word.is_empty() {
            let text = match cursor.kind() {
                TokenKind::Sign("%") => "there are no macros here",
                _ => "an instruction, a directive or a label should stand here",
            };
            return Err(cursor.wrong(text));
        }
        if bracket && !matches!(word.as_str(), "bits" | "org" | "default") {
            return Err(cursor.wrong("only bits, org and default stand in brackets"));
        }
        if let Some(unit) = unit(&word, "d") {
            cursor.advance();
            return Ok(Kind::Data(unit, data(cursor, unit)?));
        }
        if let Some(unit) = unit(&word, "res") {
            cursor.advance();
            let count = number(cursor)?;
            cursor.expect_end()?;
            return Ok(Kind::Reserve(unit, count));
        }
        let kind = match word.as_str() {
            "bits" => {
                cursor.advance();
                let column = cursor.column();
                let bits = number(cursor)?.as_number();
                let size = bits.and_then(|bits| code_size(&bits.to_string()));
                let text = "bits takes 16, 32 or 64".to_owned();
                self.size = size.ok_or((column, AssembleCause::Syntax(text)))?;
                Kind::Nothing
            }
            "use16" | "use32" | "use64" => {
                self.size = code_size(&word[3..]).expect("one of the three");
                cursor.advance();
                Kind::Nothing
            }
            "default" => {
                cursor.advance();
                self.relative = match cursor.word().as_str() {
                    "rel" => Relative::Labels,
                    "abs" => Relative::No,
                    _ => return Err(cursor.wrong("default takes rel or abs")),
                };
                cursor.advance();
                Kind::Nothing
            }
            "org" => {
                cursor.advance();
                Kind::Org(number(cursor)?)
            }
            "align" => {
                cursor.advance();
                let multiple = number(cursor)?;
                let mut fill = Vec::new();
                if cursor.take(",") {
                    if cursor.word() != "db" {
                        return Err(cursor.wrong("align fills up with a db"));
                    }
                    cursor.advance();
                    fill = data(cursor, 1)?;
                }
                Kind::Align(multiple, fill)
            }
            _ => return self.instruction(cursor, column).map(Kind::Instruction),
        };
        if bracket {
            cursor.expect("]")?;
        }
        cursor.expect_end()?;
        Ok(kind)
    }

    fn instruction(&mut self, cursor: &mut Cursor<'_>, column: usize) -> Result<Instruction, At> {
        let mut prefixes = Prefixes::default();
        while !table::is_mnemonic(&cursor.word()) && prefixes.take(&cursor.word()) {
            cursor.advance();
        }
        let name = cursor.word();
        if name.is_empty() {
            return Err(cursor.wrong("a mnemonic is missing behind the prefix"));
        }
        let Some(entry) = table::entry(&name) else {
            let alone = cursor.peek(1).is_none() && prefixes == Prefixes::default();
            return Err((cursor.column(), unknown(&name, alone)));
        };
        cursor.advance();
        let operands: Vec<Operand> = parse_all(cursor, self.relative)?;
        Ok(Instruction { column, name, prefixes, operands, entry })
    }
}

/// `alone`: nothing follows, so that it may have been meant as a label.
fn unknown(name: &str, alone: bool) -> AssembleCause {
    const ELSEWHERE: [&str; 11] = [
        "section", "segment", "global", "extern", "common", "struc", "istruc", "absolute",
        "incbin", "cpu", "float",
    ];
    if ELSEWHERE.contains(&name) {
        return AssembleCause::Syntax(format!("there is no directive {name} here"));
    }
    let names = table::names().chain(DIRECTIVES.iter().copied());
    let nearest = nearest(name, names);
    if alone && nearest.is_empty() {
        let text =
            format!("there is no instruction or directive {name}; a label ends with a colon");
        return AssembleCause::Syntax(text);
    }
    AssembleCause::UnknownMnemonic { name: name.to_owned(), nearest }
}

const DIRECTIVES: [&str; 17] = [
    "bits", "use16", "use32", "use64", "default", "org", "align", "times", "equ", "db", "dw", "dd",
    "dq", "resb", "resw", "resd", "resq",
];

/// Whether a word in lower case starts a statement.
fn known(word: &str) -> bool {
    let mut prefixes = Prefixes::default();
    DIRECTIVES.contains(&word) || table::is_mnemonic(word) || prefixes.take(word)
}

fn repeats(kind: &Kind) -> bool {
    matches!(kind, Kind::Instruction(_) | Kind::Data(..) | Kind::Reserve(..))
}

fn code_size(bits: &str) -> Option<CodeSize> {
    match bits {
        "16" => Some(CodeSize::Bits16),
        "32" => Some(CodeSize::Bits32),
        "64" => Some(CodeSize::Bits64),
        _ => None,
    }
}

/// Bytes of the unit that a word such as `dw` names behind its beginning.
fn unit(word: &str, beginning: &str) -> Option<usize> {
    match word.strip_prefix(beginning)? {
        "b" => Some(1),
        "w" => Some(2),
        "d" => Some(4),
        "q" => Some(8),
        _ => None,
    }
}

fn number(cursor: &mut Cursor<'_>) -> Result<Expression, At> {
    let expression = expression::parse(cursor)?;
    no_registers(&expression)?;
    Ok(expression)
}

fn data(cursor: &mut Cursor<'_>, unit: usize) -> Result<Vec<Datum>, At> {
    let mut data = Vec::new();
    loop {
        let (sign, ahead) = match cursor.kind() {
            TokenKind::Sign("-") => (-1.0, cursor.peek(1)),
            kind => (1.0, Some(kind)),
        };
        let alone = matches!(cursor.peek(1), None | Some(TokenKind::Sign(",")));
        match ahead.cloned() {
            Some(TokenKind::Float(word)) => {
                if unit < 4 {
                    return Err(cursor.wrong("a number with a fraction needs dd or dq"));
                }
                let value: f64 = word.parse().map_err(|_| cursor.wrong("this is no number"))?;
                data.push(Datum::Float(sign * value));
                cursor.advance();
                if sign < 0.0 {
                    cursor.advance();
                }
            }
            Some(TokenKind::Text(text)) if alone => {
                data.push(Datum::Text(text));
                cursor.advance();
            }
            _ => data.push(Datum::Value(number(cursor)?)),
        }
        if !cursor.take(",") {
            cursor.expect_end()?;
            return Ok(data);
        }
    }
}
