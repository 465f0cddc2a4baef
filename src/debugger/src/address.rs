//! Numbers and addresses as a person types them after `monitor`.

use crate::mode;
use cutaway_cpu::{CpuState, Seg, gpr};

/// Segment registers by name.
const SEGMENTS: [(&str, Seg); 6] = [
    ("es", Seg::Es),
    ("cs", Seg::Cs),
    ("ss", Seg::Ss),
    ("ds", Seg::Ds),
    ("fs", Seg::Fs),
    ("gs", Seg::Gs),
];

/// A number: decimal, or hexadecimal with `0x`; digits may be grouped with `_`.
pub(crate) fn number(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let wrong =
        || format!("'{text}' is no number; give decimal digits, or hexadecimal ones with 0x");
    let plain = |digits: &str, radix| {
        let is_plain = digits.chars().all(|digit| digit.is_digit(radix));
        if is_plain { u64::from_str_radix(digits, radix).ok() } else { None }
    };
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => plain(digits, 16),
        None => plain(&digits, 10),
    };
    value.ok_or_else(wrong)
}

/// A linear address: a number, a register, or `SEGMENT:OFFSET`.
///
/// SEGMENT is a segment register, whose base counts as it is cached, or in real and virtual-8086
/// mode a paragraph number. With a segment all numbers are hexadecimal, as they are written so:
/// `f000:fff0`. `$pc` and `pc` are the next instruction.
pub(crate) fn linear(text: &str, state: &CpuState) -> Result<u64, String> {
    let Some((segment, offset)) = text.split_once(':') else {
        return register(text, state).map_or_else(|| number(text), Ok);
    };
    let hexadecimal = |text: &str| {
        let digits = text.trim_start_matches("0x");
        number(&format!("0x{digits}")).map_err(|_| format!("'{text}' is no hexadecimal number"))
    };
    let offset = register(offset, state).map_or_else(|| hexadecimal(offset), Ok)?;
    let name = segment.trim_start_matches('$').to_ascii_lowercase();
    let named = SEGMENTS.iter().find(|(known, _)| *known == name);
    let base = if let Some((_, seg)) = named {
        let is_64_bit = mode::gdb_architecture(state) == "i386:x86-64";
        let has_base = !is_64_bit || matches!(seg, Seg::Fs | Seg::Gs);
        if has_base { state.system.segments[*seg as usize].base } else { 0 }
    } else if mode::is_real_like(state) {
        hexadecimal(segment)? << 4 & 0xf_fff0
    } else {
        return Err(format!(
            "'{segment}' is no segment register, and in {} a selector has no base of its own",
            mode::name(state)
        ));
    };
    let linear = base.wrapping_add(offset);
    Ok(if mode::is_long(state) { linear } else { linear & 0xffff_ffff })
}

/// The value of a general register, or the linear address of the next instruction.
fn register(text: &str, state: &CpuState) -> Option<u64> {
    const NAMES: [&str; 8] = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
    let name = text.trim_start_matches('$').to_ascii_lowercase();
    match name.as_str() {
        "pc" => return Some(mode::pc(state)),
        "rip" | "eip" | "ip" => return Some(state.rip),
        _ => {}
    }
    let place = |bare: &str| NAMES.iter().position(|known| *known == bare);
    let (number, mask) = if let Some(number) = name.strip_prefix('r').and_then(place) {
        (number, u64::MAX)
    } else if let Some(number) = name.strip_prefix('e').and_then(place) {
        (number, 0xffff_ffff)
    } else if let Some(number) = place(&name) {
        (number, 0xffff)
    } else {
        let number: usize = name.strip_prefix('r')?.parse().ok()?;
        ((gpr::RDI + 1..16).contains(&number).then_some(number)?, u64::MAX)
    };
    Some(state.gpr[number] & mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_isa::Cr0;

    #[test]
    #[rustfmt::skip] // one row per case
    fn numbers_are_decimal_or_hexadecimal_with_a_prefix() {
        let rows = [
            ("0",                   Some(0)),
            ("1024",                Some(1024)),
            ("0x7c00",              Some(0x7c00)),
            ("0xffff_ff80_0000_0000", Some(0xffff_ff80_0000_0000)),
            ("1_000",               Some(1000)),
            ("",                    None),
            ("0x",                  None),
            ("7c00",                None),
            ("-1",                  None),
            ("+1",                  None),
            ("0x10000000000000000", None),
        ];
        for (text, expected) in rows {
            assert_eq!(number(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    #[rustfmt::skip] // one row per case
    fn addresses_are_linear_or_have_a_segment() {
        let mut state = CpuState::reset(0);
        state.gpr[gpr::RSP] = 0x1_2345_8000;
        state.gpr[12] = 0x42;
        state.system.segments[Seg::Ss as usize].base = 0x9000;
        let rows = [
            ("0x7c00",    Some(0x7c00)),
            ("f000:fff0", Some(0xf_fff0)),
            ("0xf000:0x10", Some(0xf_0010)),
            ("cs:ip",     Some(0xffff_fff0)),
            ("$pc",       Some(0xffff_fff0)),
            ("ss:sp",     Some(0x1_1000)),
            ("$SS:$SP",   Some(0x1_1000)),
            ("esp",       Some(0x2345_8000)),
            ("r12",       Some(0x42)),
            ("r16",       None),
            ("ss:",       None),
            (":0",        None),
            ("xs:0",      None),
        ];
        for (text, expected) in rows {
            assert_eq!(linear(text, &state).ok(), expected, "{text:?}");
        }
        state.system.cr0 |= Cr0::PE.bits();
        assert!(linear("f000:0", &state).unwrap_err().contains("16-bit protected mode"));
    }
}
