//! Addresses: passes over all statements until no symbol moves any more.
//!
//! Jumps start short. From the [`GROW`]nd pass on no statement becomes shorter, so that two that
//! pull at each other come to rest; what does not is a mistake.

use super::error::{AssembleCause, AssembleError, At};
use super::expression::{Expression, Scope, Value};
use super::instruction::Encoded;
use super::program::{Datum, Kind, Program, Statement};
use super::{Assembled, AssembledLine, Assembly, MAX_ASSEMBLY};

/// Passes in which statements may still become shorter.
const GROW: usize = 32;
const MAX_PASSES: usize = 64;
/// Steps of expressions that may be taken over all passes; an instruction counts as many as [`BUILD`].
const MAX_WORK: usize = 1 << 23;
const BUILD: usize = 8;

/// What is kept of a statement from pass to pass.
#[derive(Clone, Default)]
struct Kept {
    /// Its bytes, where they are always the same.
    bytes: Option<Vec<u8>>,
    /// Its length before, of one repetition.
    len: usize,
}

struct Layout {
    program: Program,
    kept: Vec<Kept>,
    values: Vec<Option<Value>>,
    origin: u64,
    pass: usize,
    work: usize,
}

/// One pass.
struct Pass {
    bytes: Vec<u8>,
    lines: Vec<AssembledLine>,
    /// Where a symbol or the origin is not what it was.
    moved: Option<(usize, usize)>,
    /// The first mistake.
    error: Option<AssembleError>,
}

/// Gives all statements their addresses and bytes.
pub(super) fn lay_out(program: Program, options: Assembly) -> Result<Assembled, AssembleError> {
    let mut layout = Layout {
        kept: vec![Kept::default(); program.statements.len()],
        values: vec![None; program.symbols.entries.len()],
        program,
        origin: options.origin,
        pass: 0,
        work: 0,
    };
    loop {
        let pass = layout.pass()?;
        layout.pass += 1;
        let Some((line, column)) = pass.moved else {
            return match pass.error {
                Some(error) => Err(error),
                None => Ok(layout.finish(pass)),
            };
        };
        if layout.pass == MAX_PASSES {
            let cause = AssembleCause::Unsettled;
            return Err(pass.error.unwrap_or(AssembleError { line, column, cause }));
        }
    }
}

impl Layout {
    fn pass(&mut self) -> Result<Pass, AssembleError> {
        let mut pass = Pass { bytes: Vec::new(), lines: Vec::new(), moved: None, error: None };
        if self.pass == 0 {
            pass.moved = Some((1, 1));
        }
        let statements = std::mem::take(&mut self.program.statements);
        let mut result = Ok(());
        for (n, statement) in statements.iter().enumerate() {
            let at = |(column, cause)| AssembleError { line: statement.line, column, cause };
            let offset = pass.bytes.len();
            if let Some(symbol) = statement.label {
                let here = self.origin.wrapping_add(offset as u64);
                let value = Value { number: here.into(), section: 1, ..Value::default() };
                self.set(symbol, value, statement, &mut pass);
            }
            if let Err(error) = self.statement(n, statement, &mut pass) {
                if matches!(error.1, AssembleCause::TooLarge(_)) {
                    result = Err(at(error));
                    break;
                }
                // It may come right when the symbols have: until then it keeps its length.
                pass.error.get_or_insert(at(error));
                let len = self.kept[n].len;
                pass.bytes.resize(offset + len, 0);
            }
            let len = pass.bytes.len() - offset;
            if len > 0 {
                let (line, size) = (statement.line, statement.size);
                pass.lines.push(AssembledLine { line, offset, len, size });
            }
        }
        self.program.statements = statements;
        result.map(|()| pass)
    }

    fn set(&mut self, symbol: usize, value: Value, statement: &Statement, pass: &mut Pass) {
        let value = Some(value);
        if self.values[symbol] != value {
            self.values[symbol] = value;
            pass.moved = Some((statement.line, statement.column));
        }
    }

    fn scope(&self, pass: &Pass) -> Scope<'_> {
        let here = self.origin.wrapping_add(pass.bytes.len() as u64);
        Scope { symbols: &self.values, here, start: self.origin }
    }

    /// A number that says how many.
    fn count(&self, expression: &Expression, pass: &Pass) -> Result<usize, At> {
        let number = expression.value(&self.scope(pass))?.number;
        if number < 0 {
            let text = format!("a count of {number} is less than 0");
            return Err((expression.column, AssembleCause::Expression(text)));
        }
        Ok(usize::try_from(number).unwrap_or(usize::MAX))
    }

    fn statement(&mut self, n: usize, statement: &Statement, pass: &mut Pass) -> Result<(), At> {
        let column = statement.column;
        match &statement.kind {
            Kind::Nothing => Ok(()),
            Kind::Equ(symbol, value) => {
                let value = value.value(&self.scope(pass))?;
                self.set(*symbol, value, statement, pass);
                Ok(())
            }
            Kind::Org(value) => self.org(value, pass),
            Kind::Align(multiple, fill) => {
                let count = self.count(multiple, pass)?;
                if !count.is_power_of_two() {
                    let text = format!("align takes a power of 2, not {count}");
                    return Err((multiple.column, AssembleCause::Expression(text)));
                }
                let gap = pass.bytes.len().wrapping_neg() & (count - 1);
                let unit = if fill.is_empty() { vec![0x90] } else { self.data(1, fill, pass)? };
                repeat(pass, &unit, gap / unit.len().max(1), column)
            }
            Kind::Reserve(unit, count) => {
                let count = self.count(count, pass)?;
                self.repeated(statement, pass, |_, pass| {
                    repeat(pass, &[0], count.saturating_mul(*unit), column)
                })
            }
            Kind::Data(unit, data) => {
                let constant = data.iter().all(|datum| match datum {
                    Datum::Value(value) => value.is_constant(),
                    Datum::Text(_) | Datum::Float(_) => true,
                });
                if constant {
                    let bytes = self.data(*unit, data, pass)?;
                    return self.same(statement, &bytes, pass);
                }
                self.repeated(statement, pass, |layout, pass| {
                    let bytes = layout.data(*unit, data, pass)?;
                    repeat(pass, &bytes, 1, column)
                })
            }
            Kind::Instruction(instruction) => {
                if let Some(bytes) = self.kept[n].bytes.take() {
                    let result = self.same(statement, &bytes, pass);
                    self.kept[n].bytes = Some(bytes);
                    return result;
                }
                let constant = instruction.is_constant();
                if constant {
                    let Encoded { bytes, anchored } = self.encode(n, statement, pass)?;
                    if !anchored {
                        self.same(statement, &bytes, pass)?;
                        self.kept[n].bytes = Some(bytes);
                        return Ok(());
                    }
                }
                self.repeated(statement, pass, |layout, pass| {
                    let encoded = layout.encode(n, statement, pass)?;
                    repeat(pass, &encoded.bytes, 1, column)
                })
            }
        }
    }

    fn org(&mut self, value: &Expression, pass: &mut Pass) -> Result<(), At> {
        let wrong = |text: &str| (value.column, AssembleCause::Expression(text.to_owned()));
        if !value.is_constant() {
            return Err(wrong("org takes a number without labels"));
        }
        let number = value.value(&self.scope(pass))?.number;
        let origin = u64::try_from(number).map_err(|_| wrong("org takes an address of 64 bits"))?;
        if self.origin != origin {
            if self.pass > 0 {
                return Err(wrong("there is another org before this one"));
            }
            self.origin = origin;
            pass.moved = Some((1, value.column));
        }
        Ok(())
    }

    fn encode(&mut self, n: usize, statement: &Statement, pass: &Pass) -> Result<Encoded, At> {
        let Kind::Instruction(instruction) = &statement.kind else {
            unreachable!("called for instructions")
        };
        let least = if self.pass >= GROW { self.kept[n].len } else { 0 };
        let encoded = instruction.encode(&self.scope(pass), statement.size, least)?;
        self.kept[n].len = encoded.bytes.len();
        Ok(encoded)
    }

    /// Repeats bytes that do not depend on where they stand.
    fn same(&self, statement: &Statement, bytes: &[u8], pass: &mut Pass) -> Result<(), At> {
        let times = match &statement.times {
            Some(times) => self.count(times, pass)?,
            None => 1,
        };
        repeat(pass, bytes, times, statement.column)
    }

    /// Repeats what depends on where it stands.
    fn repeated(
        &mut self,
        statement: &Statement,
        pass: &mut Pass,
        mut once: impl FnMut(&mut Self, &mut Pass) -> Result<(), At>,
    ) -> Result<(), At> {
        let times = match &statement.times {
            Some(times) => self.count(times, pass)?,
            None => 1,
        };
        let cost = cost(&statement.kind);
        for _ in 0..times {
            self.work += cost;
            if self.work > MAX_WORK {
                let text = "the source needs too many passes over too many statements".to_owned();
                return Err((statement.column, AssembleCause::TooLarge(text)));
            }
            let before = pass.bytes.len();
            once(self, pass)?;
            if pass.bytes.len() == before {
                break; // nothing, as often as one likes
            }
        }
        Ok(())
    }

    fn data(&self, unit: usize, data: &[Datum], pass: &Pass) -> Result<Vec<u8>, At> {
        let mut bytes = Vec::new();
        for datum in data {
            match datum {
                Datum::Text(text) => {
                    bytes.extend(text);
                    let whole = bytes.len().next_multiple_of(unit);
                    bytes.resize(whole, 0);
                }
                Datum::Float(value) if unit == 4 => bytes.extend((*value as f32).to_le_bytes()),
                Datum::Float(value) => bytes.extend(value.to_le_bytes()),
                Datum::Value(expression) => {
                    let number = expression.value(&self.scope(pass))?.number;
                    let place = ["a byte", "a word", "a dword", "a qword"][unit.ilog2() as usize];
                    let fits = super::address::fit(number, unit as u32 * 8, place);
                    let number = fits.map_err(|cause| (expression.column, cause))?;
                    bytes.extend(&number.to_le_bytes()[..unit]);
                }
            }
        }
        Ok(bytes)
    }

    fn finish(self, pass: Pass) -> Assembled {
        let entries = self.program.symbols.entries.into_iter();
        let mut symbols: Vec<(String, u64)> = entries
            .zip(self.values)
            .filter_map(|(symbol, value)| Some((symbol.name, value?.number as u64)))
            .collect();
        symbols.sort();
        Assembled { bytes: pass.bytes, origin: self.origin, lines: pass.lines, symbols }
    }
}

/// What one repetition of a statement costs.
fn cost(kind: &Kind) -> usize {
    match kind {
        Kind::Instruction(instruction) => BUILD + instruction.steps(),
        Kind::Data(_, data) => {
            let steps = data.iter().map(|datum| match datum {
                Datum::Value(value) => value.len(),
                Datum::Text(_) | Datum::Float(_) => 1,
            });
            steps.sum()
        }
        _ => 1,
    }
}

fn repeat(pass: &mut Pass, bytes: &[u8], times: usize, column: usize) -> Result<(), At> {
    let room = MAX_ASSEMBLY - pass.bytes.len();
    if bytes.len().checked_mul(times).is_none_or(|len| len > room) {
        let text = format!("the result is longer than {MAX_ASSEMBLY} bytes");
        return Err((column, AssembleCause::TooLarge(text)));
    }
    for _ in 0..if bytes.is_empty() { 0 } else { times } {
        pass.bytes.extend_from_slice(bytes);
    }
    Ok(())
}
