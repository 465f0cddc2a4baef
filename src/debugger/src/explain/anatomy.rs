//! The bytes of an instruction, part by part.
//!
//! Source: Intel SDM vol. 2A §2.1, "Instruction Format for Protected Mode, …"; §2.2.1, "REX
//! Prefixes"; §2.3.5, "The VEX Prefix".

use cutaway_isa::{CodeSize, EncodingKind, Instruction, Layout, OpKind, layout};

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// A legacy prefix, or a REX prefix that does not count.
    Prefix,
    /// REX.
    Rex,
    /// VEX with its payload.
    Vex,
    /// The opcode with its escape bytes.
    Opcode,
    /// ModRM.
    ModRm,
    /// SIB.
    Sib,
    /// The displacement of an address, or an absolute address.
    Displacement,
    /// An immediate, a branch distance, or half of a far pointer.
    Immediate,
    /// Bytes that belong to no instruction.
    Rest,
}

/// Some bytes of an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What they are.
    pub kind: PartKind,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What they say, in a few words.
    pub meaning: String,
}

impl PartKind {
    /// The manual's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Rex => "REX",
            Self::Vex => "VEX",
            Self::Opcode => "opcode",
            Self::ModRm => "ModRM",
            Self::Sib => "SIB",
            Self::Displacement => "displacement",
            Self::Immediate => "immediate",
            Self::Rest => "rest",
        }
    }
}

/// The parts of an instruction that was decoded from `bytes`; they join to its bytes.
#[must_use]
pub fn anatomy(size: CodeSize, bytes: &[u8], instruction: &Instruction) -> Vec<Part> {
    let bytes = &bytes[..instruction.len().min(bytes.len())];
    let Some(layout) = layout(size, bytes).filter(|layout| layout.len() == bytes.len()) else {
        return vec![part(PartKind::Rest, bytes, "in no known format".to_owned())];
    };
    let mut cut = Cutter { bytes, at: 0, parts: Vec::new() };
    prefixes(&mut cut, size, &layout, instruction);
    if layout.vex > 0 {
        let meaning = vex_text(&bytes[cut.at..cut.at + layout.vex]);
        cut.take(PartKind::Vex, layout.vex, meaning);
    }
    let meaning = opcode_text(&bytes[cut.at..cut.at + layout.opcode], &layout, instruction);
    cut.take(PartKind::Opcode, layout.opcode, meaning);
    if layout.has_modrm {
        let modrm = bytes[cut.at];
        let (mode, reg, rm) = (modrm >> 6, modrm >> 3 & 7, modrm & 7);
        let what = if mode == 3 { "rm is a register" } else { "rm is memory" };
        cut.take(PartKind::ModRm, 1, format!("mod={mode:02b} reg={reg} rm={rm}: {what}"));
    }
    if layout.has_sib {
        let sib = bytes[cut.at];
        let (scale, index, base) = (1 << (sib >> 6), sib >> 3 & 7, sib & 7);
        cut.take(PartKind::Sib, 1, format!("scale={scale} index={index} base={base}"));
    }
    data(&mut cut, &layout, instruction);
    cut.parts
}

fn part(kind: PartKind, bytes: &[u8], meaning: String) -> Part {
    Part { kind, bytes: bytes.to_vec(), meaning }
}

/// Cuts the bytes from the front.
struct Cutter<'a> {
    bytes: &'a [u8],
    at: usize,
    parts: Vec<Part>,
}

impl Cutter<'_> {
    fn take(&mut self, kind: PartKind, count: usize, meaning: String) {
        if count > 0 {
            self.parts.push(part(kind, &self.bytes[self.at..self.at + count], meaning));
            self.at += count;
        }
    }
}

fn prefixes(cut: &mut Cutter<'_>, size: CodeSize, layout: &Layout, instruction: &Instruction) {
    for n in 0..layout.prefixes {
        let byte = cut.bytes[n];
        let is_last = n + 1 == layout.prefixes;
        if size == CodeSize::Bits64 && byte & 0xf0 == 0x40 {
            let counts = is_last && layout.has_rex;
            let kind = if counts { PartKind::Rex } else { PartKind::Prefix };
            let meaning =
                if counts { rex_text(byte) } else { "REX that does not count here".to_owned() };
            cut.take(kind, 1, meaning);
        } else {
            cut.take(PartKind::Prefix, 1, prefix_text(byte, size, layout, instruction));
        }
    }
}

/// Whether 66h, F2h or F3h chooses the instruction rather than changing it.
fn is_mandatory(instruction: &Instruction) -> bool {
    let vector = (0..instruction.op_count()).any(|n| {
        let register = instruction.op_register(n);
        let is_register = instruction.op_kind(n) == OpKind::Register;
        is_register && (register.is_xmm() || register.is_ymm() || register.is_mm())
    });
    let name = format!("{:?}", instruction.mnemonic());
    let others = [
        "Popcnt",
        "Tzcnt",
        "Lzcnt",
        "Crc32",
        "Adcx",
        "Adox",
        "Rdfsbase",
        "Rdgsbase",
        "Wrfsbase",
        "Wrgsbase",
        "Rdpid",
        "Pause",
        "Clwb",
        "Clflushopt",
        "Endbr32",
        "Endbr64",
    ];
    vector || others.contains(&name.as_str())
}

fn is_string(instruction: &Instruction) -> bool {
    (0..instruction.op_count()).any(|n| {
        matches!(
            instruction.op_kind(n),
            OpKind::MemorySegSI
                | OpKind::MemorySegESI
                | OpKind::MemorySegRSI
                | OpKind::MemoryESDI
                | OpKind::MemoryESEDI
                | OpKind::MemoryESRDI
        )
    })
}

fn prefix_text(byte: u8, size: CodeSize, layout: &Layout, instruction: &Instruction) -> String {
    let ignored = size == CodeSize::Bits64;
    let segment = |name: &str| {
        if ignored {
            format!("segment {name}, ignored in 64-bit code")
        } else {
            format!("segment {name}")
        }
    };
    let mandatory = layout.opcode > 1 && is_mandatory(instruction);
    match byte {
        0x26 => segment("ES"),
        0x2e => segment("CS"),
        0x36 => segment("SS"),
        0x3e => segment("DS"),
        0x64 => "segment FS".to_owned(),
        0x65 => "segment GS".to_owned(),
        0x66 if mandatory => "chooses the instruction with the opcode".to_owned(),
        0x66 => {
            let bits = if size == CodeSize::Bits16 { 32 } else { 16 };
            format!("operand size {bits} bits")
        }
        0x67 => {
            let bits = if size == CodeSize::Bits32 { 16 } else { 32 };
            format!("address size {bits} bits")
        }
        0xf0 => "LOCK".to_owned(),
        0xf2 | 0xf3 if is_string(instruction) => {
            let name = format!("{:?}", instruction.mnemonic());
            let compares = name.starts_with("Cmps") || name.starts_with("Scas");
            match (byte, compares) {
                (0xf3, true) => "REPE: repeats while rCX is not 0 and ZF = 1".to_owned(),
                (_, true) => "REPNE: repeats while rCX is not 0 and ZF = 0".to_owned(),
                _ => "REP: repeats while rCX is not 0".to_owned(),
            }
        }
        _ if mandatory || format!("{:?}", instruction.mnemonic()) == "Pause" => {
            "chooses the instruction with the opcode".to_owned()
        }
        _ => "repeat, says nothing here".to_owned(),
    }
}

fn rex_text(byte: u8) -> String {
    let bits = [(3, "W"), (2, "R"), (1, "X"), (0, "B")];
    let names: Vec<String> = bits
        .iter()
        .filter(|(bit, _)| byte >> bit & 1 != 0)
        .map(|(_, name)| format!("REX.{name}"))
        .collect();
    if names.is_empty() {
        "REX with no bit set: SPL, BPL, SIL, DIL".to_owned()
    } else {
        names.join(" ")
    }
}

fn vex_text(bytes: &[u8]) -> String {
    let last = bytes[bytes.len() - 1];
    let (vvvv, length) = (!(last >> 3) & 15, if last & 4 != 0 { 256 } else { 128 });
    let prefix = ["none", "66", "F3", "F2"][usize::from(last & 3)];
    let (map, bits) = if bytes.len() == 3 {
        let inverted = !bytes[1] >> 5 & 7;
        (
            bytes[1] & 31,
            format!(
                " W={} R={} X={} B={}",
                last >> 7,
                inverted >> 2,
                inverted >> 1 & 1,
                inverted & 1
            ),
        )
    } else {
        (1, format!(" R={}", !bytes[1] >> 7))
    };
    let map = ["?", "0F", "0F38", "0F3A"].get(usize::from(map)).copied().unwrap_or("?");
    format!("map {map}, prefix {prefix}, {length} bits, vvvv={vvvv}{bits}")
}

fn opcode_text(bytes: &[u8], layout: &Layout, instruction: &Instruction) -> String {
    let name = format!("{:?}", instruction.mnemonic()).to_uppercase();
    let map = match bytes {
        _ if layout.vex > 0 || instruction.encoding() == EncodingKind::VEX => "",
        [0x0f, 0x38, _] => ", map 0F38",
        [0x0f, 0x3a, _] => ", map 0F3A",
        [0x0f, _] => ", map 0F",
        _ => "",
    };
    format!("{name}{map}")
}

/// Displacement and immediates.
fn data(cut: &mut Cutter<'_>, layout: &Layout, instruction: &Instruction) {
    let value =
        |cut: &Cutter<'_>, count: usize| super::subject::number(&cut.bytes[cut.at..cut.at + count]);
    if layout.displacement > 0 {
        let bits = layout.displacement as u32 * 8;
        let raw = value(cut, layout.displacement);
        let signed = (raw << (64 - bits)) as i64 >> (64 - bits);
        let sign = if signed < 0 { "-" } else { "+" };
        let from =
            if instruction.is_ip_rel_memory_operand() { ", from the next instruction" } else { "" };
        let meaning = format!("{sign}{:#x}{from}", signed.unsigned_abs());
        cut.take(PartKind::Displacement, layout.displacement, meaning);
    }
    if layout.absolute > 0 {
        let meaning = format!("the offset {:#x}", value(cut, layout.absolute));
        cut.take(PartKind::Displacement, layout.absolute, meaning);
    }
    let far = (0..instruction.op_count())
        .any(|n| matches!(instruction.op_kind(n), OpKind::FarBranch16 | OpKind::FarBranch32));
    let near = (0..instruction.op_count()).any(|n| {
        let kind = instruction.op_kind(n);
        matches!(kind, OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
    });
    for (n, count) in layout.immediates.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        let raw = value(cut, count);
        let meaning = match (far, near, n) {
            (true, _, 0) => format!("the offset {raw:#x}"),
            (true, _, _) => format!("the selector {raw:#06x}"),
            (_, true, _) => {
                let bits = count as u32 * 8;
                let signed = (raw << (64 - bits)) as i64 >> (64 - bits);
                format!("{signed:+} from the next instruction")
            }
            _ => format!("{raw:#x}"),
        };
        cut.take(PartKind::Immediate, count, meaning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_isa::decode;

    fn shown(size: CodeSize, bytes: &[u8]) -> Vec<String> {
        let instruction = decode(size, bytes, 0).expect("the bytes are an instruction");
        let parts = anatomy(size, bytes, &instruction);
        let line =
            |part: &Part| format!("{} {:02x?} {}", part.kind.name(), part.bytes, part.meaning);
        parts.iter().map(line).collect()
    }

    /// By hand, after SDM vol. 2A §2.1.
    #[test]
    fn every_part_has_its_bytes_and_its_meaning() {
        assert_eq!(
            shown(CodeSize::Bits32, &[0x66, 0x81, 0x44, 0xb3, 0xf8, 0x34, 0x12]),
            [
                "prefix [66] operand size 16 bits",
                "opcode [81] ADD",
                "ModRM [44] mod=01 reg=0 rm=4: rm is memory",
                "SIB [b3] scale=4 index=6 base=3",
                "displacement [f8] -0x8",
                "immediate [34, 12] 0x1234",
            ]
        );
        assert_eq!(
            shown(CodeSize::Bits64, &[0x4c, 0x0f, 0xaf, 0x15, 0x10, 0, 0, 0]),
            [
                "REX [4c] REX.W REX.R",
                "opcode [0f, af] IMUL, map 0F",
                "ModRM [15] mod=00 reg=2 rm=5: rm is memory",
                "displacement [10, 00, 00, 00] +0x10, from the next instruction",
            ]
        );
        assert_eq!(
            shown(CodeSize::Bits64, &[0xc5, 0xf4, 0x58, 0xd3]),
            [
                "VEX [c5, f4] map 0F, prefix none, 256 bits, vvvv=1 R=0",
                "opcode [58] VADDPS",
                "ModRM [d3] mod=11 reg=2 rm=3: rm is a register"
            ]
        );
        assert_eq!(
            shown(CodeSize::Bits16, &[0xea, 0x5b, 0xe0, 0x00, 0xf0]),
            [
                "opcode [ea] JMP",
                "immediate [5b, e0] the offset 0xe05b",
                "immediate [00, f0] the selector 0xf000"
            ]
        );
    }

    #[test]
    fn parts_join_to_the_bytes_of_any_instruction() {
        let mut seed = 0x5eed_0002_u64;
        println!("seed {seed:#x}");
        let mut found = 0;
        for size in [CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64] {
            for _ in 0..100_000 {
                let mut bytes = [0; 20];
                for byte in &mut bytes {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *byte = (seed >> 33) as u8;
                }
                let Ok(instruction) = decode(size, &bytes, 0) else { continue };
                if !cutaway_cpu::is_implemented(instruction.code()) {
                    continue;
                }
                let parts = anatomy(size, &bytes, &instruction);
                let joined: Vec<u8> = parts.iter().flat_map(|part| part.bytes.clone()).collect();
                assert_eq!(joined, bytes[..instruction.len()], "{size:?}");
                assert!(parts.iter().all(|p| p.kind != PartKind::Rest), "{size:?} {bytes:x?}");
                found += 1;
            }
        }
        assert!(found > 100_000, "{found} instructions");
    }
}
