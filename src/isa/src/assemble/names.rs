//! Names of registers, sizes and prefixes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use iced_x86::Register;

/// Registers by name, in lower case.
static REGISTERS: LazyLock<BTreeMap<String, Register>> = LazyLock::new(|| {
    let mut names = BTreeMap::new();
    for register in Register::values() {
        let name = format!("{register:?}").to_ascii_lowercase();
        let hidden = matches!(register, Register::None | Register::EIP | Register::RIP);
        if hidden || name.starts_with("dontuse") {
            continue;
        }
        // The low byte of R8 is r8b to NASM, and r8l to Intel.
        if let Some(number) = name.strip_prefix('r').and_then(|name| name.strip_suffix('l')) {
            names.insert(format!("r{number}b"), register);
        }
        names.insert(name, register);
    }
    names
});

/// The register of a name in upper or lower case.
pub(super) fn register(name: &str) -> Option<Register> {
    if name.len() > 5 {
        return None;
    }
    REGISTERS.get(&name.to_ascii_lowercase()).copied()
}

pub(super) fn is_segment(register: Register) -> bool {
    register.is_segment_register()
}

/// Bytes of a size word.
pub(super) fn size(word: &str) -> Option<u32> {
    Some(match word.to_ascii_lowercase().as_str() {
        "byte" => 1,
        "word" => 2,
        "dword" => 4,
        "qword" => 8,
        "tword" => 10,
        "oword" => 16,
        "yword" => 32,
        "zword" => 64,
        _ => return None,
    })
}

/// The word of a size, if it has one.
pub(super) fn size_word(bytes: usize) -> Option<&'static str> {
    Some(match bytes {
        1 => "byte",
        2 => "word",
        4 => "dword",
        8 => "qword",
        10 => "tword",
        16 => "oword",
        32 => "yword",
        64 => "zword",
        _ => return None,
    })
}

/// The prefixes that stand before a mnemonic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefixes {
    pub(super) lock: bool,
    pub(super) rep: bool,
    pub(super) repne: bool,
    pub(super) segment: Option<Register>,
    /// `o16` to `o64`.
    pub(super) operand_size: Option<u32>,
    /// `a16` to `a64`.
    pub(super) address_size: Option<u32>,
}

impl Prefixes {
    /// Takes the prefix of that name, if it is one.
    pub(super) fn take(&mut self, word: &str) -> bool {
        match word.to_ascii_lowercase().as_str() {
            "lock" => self.lock = true,
            "rep" | "repe" | "repz" | "xrelease" => self.rep = true,
            "repne" | "repnz" | "bnd" | "xacquire" => self.repne = true,
            "notrack" => self.segment = Some(Register::DS),
            "o16" => self.operand_size = Some(16),
            "o32" => self.operand_size = Some(32),
            "o64" => self.operand_size = Some(64),
            "a16" => self.address_size = Some(16),
            "a32" => self.address_size = Some(32),
            "a64" => self.address_size = Some(64),
            _ => match register(word).filter(|register| is_segment(*register)) {
                Some(segment) => self.segment = Some(segment),
                None => return false,
            },
        }
        true
    }
}
