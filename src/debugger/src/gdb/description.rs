//! The target description: an XML document by which gdb learns the registers.
//!
//! Source: Debugging with GDB, appendix G, "Target Descriptions": "Target Description Format",
//! "Standard Target Features" (i386 Features).

use super::registers::{Entry, Feature, Layout, Reg};
use cutaway_isa::{Cr0, Cr4, Efer, Rflags};
use std::fmt::Write;

/// A vector register as gdb shows it: its lanes, by type.
const VECTORS: &str = r#"
<vector id="v4f" type="ieee_single" count="4"/>
<vector id="v2d" type="ieee_double" count="2"/>
<vector id="v16i8" type="int8" count="16"/>
<vector id="v8i16" type="int16" count="8"/>
<vector id="v4i32" type="int32" count="4"/>
<vector id="v2i64" type="int64" count="2"/>
<union id="vec128">
<field name="v4_float" type="v4f"/>
<field name="v2_double" type="v2d"/>
<field name="v16_int8" type="v16i8"/>
<field name="v8_int16" type="v8i16"/>
<field name="v4_int32" type="v4i32"/>
<field name="v2_int64" type="v2i64"/>
<field name="uint128" type="uint128"/>
</union>
"#;

/// The document. gdb takes `architecture` for its own, unless it is set to another one or has a
/// program that is for another one.
pub(crate) fn xml(layout: &Layout, architecture: &str) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target \
         version=\"1.0\">\n<architecture>{architecture}</architecture>\n<osabi>none</osabi>\n"
    );
    let mut done = Vec::new();
    for Feature { name: feature, .. } in &layout.features {
        if done.contains(feature) {
            continue;
        }
        done.push(*feature);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "<feature name=\"{feature}\">");
        let mut number = 0;
        for Feature { name, entries } in &layout.features {
            if name == feature {
                types(entries, &mut text);
                for (n, entry) in entries.iter().enumerate() {
                    register(entry, number + n, &mut text);
                }
            }
            number += entries.len();
        }
        text.push_str("</feature>\n");
    }
    text.push_str("</target>\n");
    text
}

fn register(entry: &Entry, number: usize, text: &mut String) {
    let Entry { name, bits, kind, .. } = *entry;
    let group = group(entry.reg);
    let _ = writeln!(
        text,
        "<reg name=\"{name}\" bitsize=\"{bits}\" type=\"{kind}\" regnum=\"{number}\"{group}/>"
    );
}

/// The types that the registers of a feature use and gdb does not know by itself.
fn types(entries: &[Entry], text: &mut String) {
    for entry in entries {
        match entry.reg {
            Reg::Eflags => flags("eflags", 4, Rflags::all().iter_names().map(bits), text),
            Reg::Cr0 => flags("cr0", 8, Cr0::all().iter_names().map(bits), text),
            Reg::Cr4 => flags("cr4", 8, Cr4::all().iter_names().map(bits), text),
            Reg::Efer => flags("efer", 8, Efer::all().iter_names().map(bits), text),
            Reg::Xmm(0) => text.push_str(VECTORS),
            _ => {}
        }
    }
}

/// A named flag as its name and bits.
fn bits<F: Into<Bits>>((name, flag): (&'static str, F)) -> (&'static str, u64) {
    (name, flag.into().0)
}

struct Bits(u64);

impl From<Rflags> for Bits {
    fn from(flags: Rflags) -> Self {
        Self(flags.bits())
    }
}
impl From<Cr0> for Bits {
    fn from(flags: Cr0) -> Self {
        Self(flags.bits())
    }
}
impl From<Cr4> for Bits {
    fn from(flags: Cr4) -> Self {
        Self(flags.bits())
    }
}
impl From<Efer> for Bits {
    fn from(flags: Efer) -> Self {
        Self(flags.bits())
    }
}

fn flags(
    id: &str,
    bytes: u32,
    fields: impl Iterator<Item = (&'static str, u64)>,
    text: &mut String,
) {
    let _ = writeln!(text, "<flags id=\"{id}\" size=\"{bytes}\">");
    for (name, bits) in fields.filter(|(_, bits)| *bits != 0) {
        let (start, end) = (bits.trailing_zeros(), 63 - bits.leading_zeros());
        // The bit that is always one is not worth a name.
        let name = if name == "ONE" { "" } else { name };
        let kind = if start == end { "bool" } else { "uint32" };
        let _ = writeln!(
            text,
            "<field name=\"{name}\" start=\"{start}\" end=\"{end}\" type=\"{kind}\"/>"
        );
    }
    text.push_str("</flags>\n");
}

fn group(reg: Reg) -> &'static str {
    match reg {
        Reg::St(_) | Reg::X87(_) => " group=\"float\"",
        Reg::Xmm(_) | Reg::YmmHigh(_) | Reg::Mxcsr => " group=\"vector\"",
        Reg::Base(_) | Reg::Limit(_) | Reg::Table(..) | Reg::KernelGsBase => " group=\"system\"",
        Reg::Cr0 | Reg::Cr2 | Reg::Cr3 | Reg::Cr4 | Reg::Cr8 | Reg::Efer | Reg::Ip => {
            " group=\"system\""
        }
        Reg::Gpr(_) | Reg::Pc | Reg::Eflags | Reg::Selector(_) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::registers::Architecture;
    use super::*;
    use cutaway_cpu::{CpuModel, Vcpu};

    #[test]
    fn the_description_numbers_registers_without_gaps_and_names_a_feature_once() {
        let vcpu = Vcpu::new(CpuModel::by_name("max").unwrap());
        let layout = Layout::of(&vcpu, Architecture::X86_64);

        let text = xml(&layout, "i8086");

        let numbers = text.split("regnum=\"").skip(1);
        let mut numbers: Vec<usize> =
            numbers.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..layout.entries().count()).collect::<Vec<_>>());
        assert_eq!(text.matches("org.gnu.gdb.i386.core").count(), 1);
        for (number, entry) in layout.entries().enumerate() {
            let found = text.split(&format!("regnum=\"{number}\"")).next().unwrap();
            assert!(found.rsplit("<reg ").next().unwrap().contains(entry.name), "{}", entry.name);
        }
        assert!(text.contains("<field name=\"IOPL\" start=\"12\" end=\"13\" type=\"uint32\"/>"));
        assert!(text.contains("<architecture>i8086</architecture>"));
    }
}
