//! Every implemented instruction has its sentence.

use super::*;
use cutaway_cpu::is_implemented;
use cutaway_isa::{CodeSize, decode};

#[test]
fn every_implemented_instruction_has_a_sentence() {
    let missing: Vec<Code> =
        Code::values().filter(|&code| is_implemented(code) && !has_sentence(code)).collect();

    assert!(missing.is_empty(), "{missing:?}");
}

/// A row that no mnemonic leads to is a slip of the pen.
#[test]
fn every_row_is_of_a_mnemonic() {
    let names: Vec<String> = Code::values()
        .filter(|&code| is_implemented(code))
        .map(|code| format!("{:?}", code.mnemonic()).to_lowercase())
        .collect();
    let known = |name: &str| names.iter().any(|n| n == name || n.strip_prefix('v') == Some(name));
    for (name, _) in EXACT {
        assert!(known(name), "{name}");
    }
    let begins = |stem: &str| {
        names.iter().any(|n| {
            n.starts_with(stem) || n.strip_prefix('v').is_some_and(|n| n.starts_with(stem))
        })
    };
    for (stem, _) in [CONDITION, FLOAT, INTEGER, STRING, BEGINS].into_iter().flatten() {
        assert!(begins(stem), "{stem}");
    }
}

#[test]
#[rustfmt::skip] // one row an instruction
fn sentences_name_their_operands() {
    let rows: [(&[u8], &str); 10] = [
        (&[0x01, 0xc8],                   "adds ecx to eax"),
        (&[0x8b, 0x44, 0xb3, 0x08],       "copies [ebx+esi*4+8] to eax"),
        (&[0x0f, 0x8f, 0, 0, 0, 0],       "goes on at 6 if ZF = 0 and SF equals OF (greater, signed)"),
        (&[0x0f, 0x9c, 0xc3],             "sets bl to 1 if SF differs from OF (less, signed), else to 0"),
        (&[0x66, 0x0f, 0xfe, 0xca],       "adds the doublewords of xmm2 to those of xmm1, wrapping"),
        (&[0xc5, 0xe9, 0xfe, 0xcb],       "adds the doublewords of xmm3 to those of xmm2, wrapping, into xmm1; the upper half of its YMM register is cleared"),
        (&[0xa5],                         "copies one doubleword from DS:rSI to ES:rDI and moves both pointers on"),
        (&[0xf2, 0x0f, 0x10, 0xca],       "copies lowest double from xmm2 to xmm1"),
        (&[0xd8, 0x03],                   "adds dword [ebx] to st0 on the x87 stack"),
        (&[0xd8, 0xc2],                   "adds st2 to st0 on the x87 stack"),
    ];
    for (bytes, expected) in rows {
        let instruction = decode(CodeSize::Bits32, bytes, 0).expect("the bytes are an instruction");
        assert_eq!(sentence(&instruction).as_deref(), Some(expected), "{bytes:x?}");
    }
}
