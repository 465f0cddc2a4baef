//! Names that several views share: registers, descriptor types, exceptions.
//!
//! Source: Intel SDM vol. 3A, tables 3-1, 3-2 ("Code- and Data-Segment Types", "System-Segment and
//! Gate-Descriptor Types") and 6-1 ("Exceptions and Interrupts").

use cutaway_cpu::Seg;
use cutaway_isa::Vector;

/// The general registers by their number in encodings.
pub(crate) const GPRS: [&str; 16] = [
    "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12", "R13",
    "R14", "R15",
];

/// The segment registers, and the two for system segments.
pub(crate) const SEGMENTS: [(&str, Seg); 8] = [
    ("ES", Seg::Es),
    ("CS", Seg::Cs),
    ("SS", Seg::Ss),
    ("DS", Seg::Ds),
    ("FS", Seg::Fs),
    ("GS", Seg::Gs),
    ("LDTR", Seg::Ldtr),
    ("TR", Seg::Tr),
];

/// What a segment is, by the attributes as a descriptor cache has them.
pub(crate) fn segment_kind(attributes: u16) -> String {
    if attributes & 0xff == 0 {
        return "null".to_owned();
    }
    let mut parts = vec![format!("DPL {}", attributes >> 5 & 3)];
    let is_set = |bit: u16| attributes & bit != 0;
    if !is_set(0x10) {
        parts.push(system_type((attributes & 15) as u8).to_owned());
    } else if is_set(0x08) {
        parts.push("code".to_owned());
        parts.push(if is_set(0x02) { "readable" } else { "execute-only" }.to_owned());
        if is_set(0x04) {
            parts.push("conforming".to_owned());
        }
        let size = match (is_set(0x2000), is_set(0x4000)) {
            (true, _) => "64-bit",
            (false, true) => "32-bit",
            (false, false) => "16-bit",
        };
        parts.push(size.to_owned());
    } else {
        parts.push("data".to_owned());
        parts.push(if is_set(0x02) { "writable" } else { "read-only" }.to_owned());
        if is_set(0x04) {
            parts.push("expand-down".to_owned());
        }
        parts.push(if is_set(0x4000) { "32-bit" } else { "16-bit" }.to_owned());
    }
    if is_set(0x10) && is_set(0x01) {
        parts.push("accessed".to_owned());
    }
    if !is_set(0x80) {
        parts.push("not present".to_owned());
    }
    parts.join(" ")
}

/// A system segment or gate by its type.
pub(crate) fn system_type(number: u8) -> &'static str {
    match number {
        1 => "16-bit TSS",
        2 => "LDT",
        3 => "16-bit TSS, busy",
        4 => "16-bit call gate",
        5 => "task gate",
        6 => "16-bit interrupt gate",
        7 => "16-bit trap gate",
        9 => "TSS",
        11 => "TSS, busy",
        12 => "call gate",
        14 => "interrupt gate",
        15 => "trap gate",
        _ => "reserved type",
    }
}

/// Exceptions by name, as far as they have one.
const EXCEPTIONS: [(&str, Vector); 17] = [
    ("#DE", Vector::DE),
    ("#DB", Vector::DB),
    ("NMI", Vector::NMI),
    ("#BP", Vector::BP),
    ("#OF", Vector::OF),
    ("#BR", Vector::BR),
    ("#UD", Vector::UD),
    ("#NM", Vector::NM),
    ("#DF", Vector::DF),
    ("#TS", Vector::TS),
    ("#NP", Vector::NP),
    ("#SS", Vector::SS),
    ("#GP", Vector::GP),
    ("#PF", Vector::PF),
    ("#MF", Vector::MF),
    ("#AC", Vector::AC),
    ("#XM", Vector::XM),
];

/// A vector with its name.
pub(crate) fn vector_text(vector: Vector) -> String {
    let name = EXCEPTIONS.iter().find(|(_, known)| *known == vector).map(|(name, _)| *name);
    name.map_or_else(|| vector.0.to_string(), |name| format!("{} ({name})", vector.0))
}

/// An exception's vector by its name, with or without `#`.
pub(crate) fn vector_named(text: &str) -> Option<u8> {
    let text = text.to_ascii_uppercase();
    let bare = |name: &str| name.trim_start_matches('#').to_owned();
    EXCEPTIONS.iter().find(|(name, _)| bare(name) == bare(&text)).map(|(_, vector)| vector.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_known_by_name_and_number() {
        assert_eq!(vector_text(Vector(14)), "14 (#PF)");
        assert_eq!(vector_text(Vector(20)), "20");
        assert_eq!(vector_named("#gp"), Some(13));
        assert_eq!(vector_named("UD"), Some(6));
        assert_eq!(vector_named("13"), None);
    }

    /// SDM vol. 3A §3.4.5, "Segment Descriptors".
    #[test]
    fn segments_are_what_their_attributes_say() {
        assert_eq!(segment_kind(0xc09b), "DPL 0 code readable 32-bit accessed");
        assert_eq!(segment_kind(0xc0f2), "DPL 3 data writable 32-bit");
        assert_eq!(segment_kind(0x2098), "DPL 0 code execute-only 64-bit");
        assert_eq!(segment_kind(0x0016), "DPL 0 data writable expand-down 16-bit not present");
        assert_eq!(segment_kind(0x008b), "DPL 0 TSS, busy");
        assert_eq!(segment_kind(0), "null");
    }
}
