//! Mnemonics and the opcodes that each stands for.
//!
//! Names of instructions, and which opcodes exist in which code size, are iced-x86's; here are the
//! names that NASM has besides.
//!
//! Source: The Netwide Assembler manual, appendix B, "Instruction List".

use std::collections::BTreeMap;
use std::sync::LazyLock;

use iced_x86::{Code, EncodingKind, OpCodeOperandKind as Want};

/// What a mnemonic stands for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Entry {
    pub(super) codes: Vec<Code>,
    /// An immediate that is part of the name: 0 in `cmpeqps`.
    pub(super) immediate: Option<u8>,
    /// A number is where it goes on.
    pub(super) branches: bool,
}

static TABLE: LazyLock<BTreeMap<String, Entry>> = LazyLock::new(build);

/// The entry of a name in lower case.
pub(super) fn entry(name: &str) -> Option<&'static Entry> {
    TABLE.get(name)
}

pub(super) fn is_mnemonic(name: &str) -> bool {
    TABLE.contains_key(name)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.keys().map(String::as_str)
}

/// Other names of conditions.
const CONDITIONS: [(&str, &str); 14] = [
    ("c", "b"),
    ("nae", "b"),
    ("nc", "ae"),
    ("nb", "ae"),
    ("z", "e"),
    ("nz", "ne"),
    ("na", "be"),
    ("nbe", "a"),
    ("pe", "p"),
    ("po", "np"),
    ("nge", "l"),
    ("nl", "ge"),
    ("ng", "le"),
    ("nle", "g"),
];

/// A name and others whose opcodes it takes, as far as they exist. Where they differ in operand
/// size alone, that of the code segment is taken.
const ALIASES: [(&str, &[&str]); 13] = [
    ("sal", &["shl"]),
    ("loopz", &["loope"]),
    ("loopnz", &["loopne"]),
    ("fwait", &["wait"]),
    ("xlat", &["xlatb"]),
    ("icebp", &["int1"]),
    ("int01", &["int1"]),
    ("int03", &["int3"]),
    ("retn", &["ret"]),
    ("nop", &["nop", "reservednop"]),
    ("fcmovae", &["fcmovnb"]),
    ("fcmova", &["fcmovnbe"]),
    ("ud2a", &["ud2"]),
];

/// Names that say the operand size of an opcode.
const SIZED: [(&str, &[Code]); 19] = [
    ("retw", &[Code::Retnw, Code::Retnw_imm16]),
    ("retd", &[Code::Retnd, Code::Retnd_imm16]),
    ("retq", &[Code::Retnq, Code::Retnq_imm16]),
    ("retfw", &[Code::Retfw, Code::Retfw_imm16]),
    ("retfd", &[Code::Retfd, Code::Retfd_imm16]),
    ("retfq", &[Code::Retfq, Code::Retfq_imm16]),
    ("iretw", &[Code::Iretw]),
    ("iret", &[Code::Iretw, Code::Iretd]),
    ("pushaw", &[Code::Pushaw]),
    ("pusha", &[Code::Pushaw, Code::Pushad]),
    ("popaw", &[Code::Popaw]),
    ("popa", &[Code::Popaw, Code::Popad]),
    ("pushfw", &[Code::Pushfw]),
    ("pushf", &[Code::Pushfw, Code::Pushfd, Code::Pushfq]),
    ("popfw", &[Code::Popfw]),
    ("popf", &[Code::Popfw, Code::Popfd, Code::Popfq]),
    ("sysret", &[Code::Sysretd, Code::Sysretq]),
    ("sysexit", &[Code::Sysexitd, Code::Sysexitq]),
    ("getsec", &[Code::Getsecd, Code::Getsecq]),
];

/// What CMPPS and its like compare by, from 0 on.
const PREDICATES: [&str; 32] = [
    "eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord", "eq_uq", "nge", "ngt", "false",
    "neq_oq", "ge", "gt", "true", "eq_os", "lt_oq", "le_oq", "unord_s", "neq_us", "nlt_uq",
    "nle_uq", "ord_s", "eq_us", "nge_uq", "ngt_uq", "false_os", "neq_os", "ge_oq", "gt_oq",
    "true_us",
];

/// Full names of predicates that have a short one.
const FULL_PREDICATES: [(u8, &str); 14] = [
    (0, "eq_oq"),
    (1, "lt_os"),
    (2, "le_os"),
    (3, "unord_q"),
    (4, "neq_uq"),
    (5, "nlt_us"),
    (6, "nle_us"),
    (7, "ord_q"),
    (9, "nge_us"),
    (10, "ngt_us"),
    (11, "false_oq"),
    (13, "ge_os"),
    (14, "gt_os"),
    (15, "true_uq"),
];

const CARRYLESS: [(u8, &str); 4] = [(0x00, "lql"), (0x01, "hql"), (0x10, "lqh"), (0x11, "hqh")];

fn build() -> BTreeMap<String, Entry> {
    let mut table: BTreeMap<String, Entry> = BTreeMap::new();
    for code in Code::values() {
        let info = code.op_code();
        let ours = matches!(info.encoding(), EncodingKind::Legacy | EncodingKind::VEX);
        if ours && info.is_instruction() && info.decoder_option() == 0 {
            let name = format!("{:?}", code.mnemonic()).to_ascii_lowercase();
            table.entry(name).or_default().codes.push(code);
        }
    }
    table.remove("sal"); // opcodes that only the reserved /6 reaches
    for (name, others) in ALIASES {
        let all = others.iter().filter_map(|other| table.get(*other));
        let mut codes: Vec<Code> = all.flat_map(|entry| entry.codes.clone()).collect();
        // Of the reserved NOPs, the one that is no hint with any register.
        codes.sort_by_key(|code| {
            let name = format!("{code:?}");
            name.starts_with("Reservednop") && !name.ends_with("0F1D")
        });
        if !codes.is_empty() {
            table.insert(name.to_owned(), Entry { codes, ..Entry::default() });
        }
    }
    for (name, codes) in SIZED {
        table.insert(name.to_owned(), Entry { codes: codes.to_vec(), ..Entry::default() });
    }
    conditions(&mut table);
    predicates(&mut table);
    for entry in table.values_mut() {
        entry.branches = entry.codes.iter().any(|code| branches(*code));
    }
    table
}

fn branches(code: Code) -> bool {
    code.op_code().op_kinds().iter().any(|want| {
        matches!(
            want,
            Want::br16_1
                | Want::br32_1
                | Want::br64_1
                | Want::br16_2
                | Want::br32_4
                | Want::br64_4
                | Want::xbegin_2
                | Want::xbegin_4
        )
    })
}

fn conditions(table: &mut BTreeMap<String, Entry>) {
    for stem in ["j", "set", "cmov"] {
        for (name, other) in CONDITIONS {
            if let Some(entry) = table.get(&format!("{stem}{other}")).cloned() {
                table.entry(format!("{stem}{name}")).or_insert(entry);
            }
        }
    }
    for (name, other) in CONDITIONS {
        if let Some(entry) = table.get(&format!("cmp{name}xadd")).cloned() {
            table.entry(format!("cmp{other}xadd")).or_insert(entry);
        }
    }
}

/// The names that carry an immediate.
fn predicates(table: &mut BTreeMap<String, Entry>) {
    let mut add = |base: String, name: String, immediate: u8| {
        if let Some(Entry { codes, .. }) = table.get(&base) {
            let entry = Entry { codes: codes.clone(), immediate: Some(immediate), branches: false };
            table.entry(name).or_insert(entry);
        }
    };
    for suffix in ["ps", "pd", "ss", "sd"] {
        for (number, predicate) in (0..).zip(PREDICATES) {
            if number < 8 {
                add(format!("cmp{suffix}"), format!("cmp{predicate}{suffix}"), number);
            }
            add(format!("vcmp{suffix}"), format!("vcmp{predicate}{suffix}"), number);
        }
        for (number, predicate) in FULL_PREDICATES {
            add(format!("vcmp{suffix}"), format!("vcmp{predicate}{suffix}"), number);
        }
    }
    for (number, halves) in CARRYLESS {
        for v in ["", "v"] {
            add(format!("{v}pclmulqdq"), format!("{v}pclmul{halves}qdq"), number);
        }
    }
}
