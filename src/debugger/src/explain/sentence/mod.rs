//! What an instruction does, in one sentence.
//!
//! The sentence is that of its mnemonic (`table.rs`) with the operands named in it. Forms with VEX
//! have the sentence of the older form without the V, and say where the result goes.

mod table;

use cutaway_isa::{Code, EncodingKind, Instruction, Mnemonic, OpKind, disassemble};
use table::{BEGINS, CONDITION, EXACT, FLOAT, INTEGER, Row, STRING};

/// A sentence, not yet of an instruction.
struct Template {
    text: &'static str,
    /// For `{e}`.
    elements: &'static str,
    /// For `{c}`.
    condition: &'static str,
}

impl Template {
    fn plain(text: &'static str) -> Self {
        Self { text, elements: "", condition: "" }
    }
}

/// Endings of a name that are a condition, and what they ask. The longer ones come first.
const CONDITIONS: [(&str, &str); 20] = [
    ("nbe", "CF = 0 and ZF = 0 (above)"),
    ("nb", "CF = 0 (above or equal)"),
    ("nu", "PF = 0 (ordered)"),
    ("ne", "ZF = 0 (not equal)"),
    ("no", "OF = 0 (no overflow)"),
    ("np", "PF = 0 (odd parity)"),
    ("ns", "SF = 0 (not negative)"),
    ("be", "CF = 1 or ZF = 1 (below or equal, unsigned)"),
    ("ae", "CF = 0 (above or equal, unsigned)"),
    ("le", "ZF = 1 or SF differs from OF (less or equal, signed)"),
    ("ge", "SF equals OF (greater or equal, signed)"),
    ("o", "OF = 1 (overflow)"),
    ("b", "CF = 1 (below, unsigned)"),
    ("e", "ZF = 1 (equal)"),
    ("a", "CF = 0 and ZF = 0 (above, unsigned)"),
    ("s", "SF = 1 (negative)"),
    ("p", "PF = 1 (even parity)"),
    ("l", "SF differs from OF (less, signed)"),
    ("g", "ZF = 0 and SF equals OF (greater, signed)"),
    ("u", "PF = 1 (unordered)"),
];

const FLOATS: [(&str, &str); 4] =
    [("ps", "singles"), ("pd", "doubles"), ("ss", "lowest single"), ("sd", "lowest double")];
const INTEGERS: [(&str, &str); 4] =
    [("b", "bytes"), ("w", "words"), ("d", "doublewords"), ("q", "quadwords")];
const ONE_OF: [(&str, &str); 4] =
    [("b", "byte"), ("w", "word"), ("d", "doubleword"), ("q", "quadword")];

fn find(rows: &[Row], name: &str) -> Option<&'static str> {
    rows.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The sentence of a family, and the word for the ending.
fn family(
    rows: &[Row],
    endings: &[(&'static str, &'static str)],
    name: &str,
) -> Option<(&'static str, &'static str)> {
    endings.iter().find_map(|(ending, word)| {
        let stem = name.strip_suffix(ending)?;
        find(rows, stem).map(|text| (text, *word))
    })
}

/// FMA: `fmadd132ps` and the like.
fn fused(name: &str) -> Option<Template> {
    let rest = name.strip_prefix('f')?;
    let (kind, ending) = rest.split_at_checked(rest.len().checked_sub(5)?)?;
    let (order, elements) = ending.split_at_checked(3)?;
    let elements = FLOATS.iter().find(|(known, _)| *known == elements)?.1;
    let text = match (kind, order) {
        ("madd", "132") => "multiplies the {e} of {0} by {2} and adds {1}, rounded once",
        ("madd", "213") => "multiplies the {e} of {0} by {1} and adds {2}, rounded once",
        ("madd", "231") => "multiplies the {e} of {1} by {2} and adds {0}, rounded once",
        ("msub", "132") => "multiplies the {e} of {0} by {2} and subtracts {1}, rounded once",
        ("msub", "213") => "multiplies the {e} of {0} by {1} and subtracts {2}, rounded once",
        ("msub", "231") => "multiplies the {e} of {1} by {2} and subtracts {0}, rounded once",
        ("nmadd", "132") => {
            "subtracts the product of the {e} of {0} and {2} from {1}, rounded once"
        }
        ("nmadd", "213") => {
            "subtracts the product of the {e} of {0} and {1} from {2}, rounded once"
        }
        ("nmadd", "231") => {
            "subtracts the product of the {e} of {1} and {2} from {0}, rounded once"
        }
        ("nmsub", "132") => {
            "negates the product of the {e} of {0} and {2} and subtracts {1}, rounded once"
        }
        ("nmsub", "213") => {
            "negates the product of the {e} of {0} and {1} and subtracts {2}, rounded once"
        }
        ("nmsub", "231") => {
            "negates the product of the {e} of {1} and {2} and subtracts {0}, rounded once"
        }
        ("maddsub", "132") => {
            "multiplies the {e} of {0} by {2}, then subtracts (even) or adds (odd) {1}"
        }
        ("maddsub", "213") => {
            "multiplies the {e} of {0} by {1}, then subtracts (even) or adds (odd) {2}"
        }
        ("maddsub", "231") => {
            "multiplies the {e} of {1} by {2}, then subtracts (even) or adds (odd) {0}"
        }
        ("msubadd", "132") => {
            "multiplies the {e} of {0} by {2}, then adds (even) or subtracts (odd) {1}"
        }
        ("msubadd", "213") => {
            "multiplies the {e} of {0} by {1}, then adds (even) or subtracts (odd) {2}"
        }
        ("msubadd", "231") => {
            "multiplies the {e} of {1} by {2}, then adds (even) or subtracts (odd) {0}"
        }
        _ => return None,
    };
    Some(Template { elements, ..Template::plain(text) })
}

/// `begins` rows: a name with any ending.
fn beginning(name: &str) -> Option<Template> {
    let (_, text) = BEGINS.iter().find(|(start, _)| name.starts_with(start))?;
    // pmovsxbw: from bytes
    let from = name.strip_prefix("pmovsx").or_else(|| name.strip_prefix("pmovzx"));
    let of = |letter: &str| INTEGERS.iter().find(|(known, _)| *known == letter).map(|row| row.1);
    let elements = from.and_then(|ends| of(ends.get(..1)?)).unwrap_or("");
    Some(Template { elements, ..Template::plain(text) })
}

/// The sentence of a name in lower case.
fn by_name(name: &str) -> Option<Template> {
    if let Some(text) = find(EXACT, name) {
        return Some(Template::plain(text));
    }
    if let Some((text, condition)) = family(CONDITION, &CONDITIONS, name) {
        return Some(Template { condition, ..Template::plain(text) });
    }
    let elements = family(FLOAT, &FLOATS, name).or_else(|| family(INTEGER, &INTEGERS, name));
    if let Some((text, elements)) = elements {
        return Some(Template { elements, ..Template::plain(text) });
    }
    if let Some((text, elements)) = family(STRING, &ONE_OF, name) {
        return Some(Template { elements, ..Template::plain(text) });
    }
    beginning(name).or_else(|| fused(name))
}

/// MOVSD and CMPSD are two instructions each.
fn is_string_of_doublewords(code: Code) -> bool {
    matches!(code, Code::Movsd_m32_m32 | Code::Cmpsd_m32_m32)
}

fn template(code: Code) -> Option<Template> {
    let mnemonic: Mnemonic = code.mnemonic();
    let name = format!("{mnemonic:?}").to_lowercase();
    if is_string_of_doublewords(code) {
        let (text, elements) = family(STRING, &ONE_OF, &name)?;
        return Some(Template { elements, ..Template::plain(text) });
    }
    let bare = name.strip_prefix('v').filter(|_| is_vex(code));
    bare.map_or_else(|| by_name(&name), by_name)
}

fn is_vex(code: Code) -> bool {
    format!("{code:?}").starts_with("VEX_")
}

/// Whether there is a sentence for an instruction code.
#[must_use]
pub fn has_sentence(code: Code) -> bool {
    template(code).is_some()
}

/// The operands as they are written.
pub(crate) fn operand_texts(instruction: &Instruction) -> Vec<String> {
    let text = disassemble(instruction);
    let mut rest = text.as_str();
    for prefix in ["lock ", "rep ", "repe ", "repne ", "xacquire ", "xrelease ", "bnd "] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let operands = rest.split_once(' ').map_or("", |(_, operands)| operands);
    let bare = |text: &str| {
        let kinds = ["short ", "near ", "far "];
        kinds.iter().find_map(|kind| text.strip_prefix(kind)).unwrap_or(text).to_owned()
    };
    operands.split(", ").filter(|text| !text.is_empty()).map(bare).collect()
}

/// What an instruction does, in one sentence; `None` for what is not implemented.
#[must_use]
pub fn sentence(instruction: &Instruction) -> Option<String> {
    let template = template(instruction.code())?;
    let mut operands = operand_texts(instruction);
    let count = instruction.op_count() as usize;
    if operands.len() < count {
        operands = written_out(instruction);
    }
    if count == 1 && template.text.contains("{1}") {
        operands.insert(0, "st0".to_owned()); // x87 arithmetic with memory
    }
    let operand = |n: usize| operands.get(n).map_or("", String::as_str);
    let vex = instruction.encoding() == EncodingKind::VEX;
    let sources = (0..count).filter(|&n| !is_immediate(instruction.op_kind(n as u32))).count();
    let (a, b) = if vex && sources >= 3 { (1, 2) } else { (0, 1) };
    let mut text = template.text.replace("{e}", template.elements);
    text = text.replace("{c}", template.condition);
    for (mark, n) in [("{a}", a), ("{b}", b), ("{0}", 0), ("{1}", 1), ("{2}", 2), ("{3}", 3)] {
        text = text.replace(mark, operand(n));
    }
    if vex && count > 0 && instruction.op_kind(0) == OpKind::Register {
        let to = instruction.op_register(0);
        let names_it = [" {0}", "{a}"].iter().any(|mark| template.text.contains(mark)) && a == 0;
        if (to.is_xmm() || to.is_ymm()) && !names_it {
            text.push_str(&format!(", into {}", operand(0)));
        }
        if to.is_xmm() {
            text.push_str("; the upper half of its YMM register is cleared");
        }
    }
    if instruction.has_lock_prefix() {
        text.push_str("; LOCK keeps others from memory meanwhile");
    }
    Some(text)
}

/// The operands one by one, where the usual notation leaves some out.
fn written_out(instruction: &Instruction) -> Vec<String> {
    let texts = operand_texts(instruction);
    let memory = texts.iter().find(|text| text.contains('[')).cloned().unwrap_or_default();
    let operand = |n: u32| match instruction.op_kind(n) {
        OpKind::Register => format!("{:?}", instruction.op_register(n)).to_lowercase(),
        OpKind::Memory => memory.clone(),
        kind if is_immediate(kind) => format!("{:#x}", instruction.immediate(n)),
        _ => texts.get(n as usize).cloned().unwrap_or_default(),
    };
    (0..instruction.op_count()).map(operand).collect()
}

fn is_immediate(kind: OpKind) -> bool {
    matches!(kind, OpKind::Immediate8 | OpKind::Immediate8_2nd)
}

#[cfg(test)]
mod tests;
