//! Descriptor tables and the task state segment, decoded.
//!
//! Source: Intel SDM vol. 3A §3.4.5, "Segment Descriptors"; §6.11, "IDT Descriptors"; §7.2.1,
//! "Task-State Segment (TSS)"; §7.7, "Task Management in 64-bit Mode".

use super::Scene;
use crate::memory::{self, Space};
use crate::mode;
use crate::names::{segment_kind, system_type, vector_text};
use crate::text::{Line, Style};
use cutaway_cpu::Seg;
use cutaway_isa::Vector;

/// Entries that are shown at most.
const MAX_ENTRIES: u64 = 256;

pub(super) fn gdt(scene: &Scene<'_>) -> Vec<Line> {
    let gdtr = scene.state.system.gdtr;
    descriptors(scene, "GDT", gdtr.base, u64::from(gdtr.limit), 0)
}

pub(super) fn ldt(scene: &Scene<'_>) -> Vec<Line> {
    let ldtr = &scene.state.system.segments[Seg::Ldtr as usize];
    if ldtr.selector & !3 == 0 {
        return vec![Line::of("LDTR is null: there is no LDT")];
    }
    descriptors(scene, "LDT", ldtr.base, u64::from(ldtr.limit), 4)
}

fn read(scene: &Scene<'_>, at: u64, bytes: &mut [u8]) -> bool {
    let guest = scene.machine.memory();
    memory::read(guest, scene.state, Space::Linear, at, bytes) == bytes.len()
}

fn no_memory(scene: &Scene<'_>, at: u64) -> Line {
    let why = crate::walk::why_not(scene.state, scene.machine.memory(), at);
    Line::default().and(Style::Bad, format!("no memory at {at:#x}: {why}"))
}

/// Code, data and system segments and gates; `table` is the TI bit of their selectors.
fn descriptors(scene: &Scene<'_>, name: &str, base: u64, limit: u64, table: u64) -> Vec<Line> {
    let mut lines = vec![Line::of(format!("{name} at {base:#x}, limit {limit:#x}"))];
    let long = mode::is_long(scene.state);
    let entries = (limit + 1) / 8;
    let mut index = 0;
    while index < entries.min(MAX_ENTRIES) {
        let mut bytes = [0; 16];
        let at = base.wrapping_add(index * 8);
        if !read(scene, at, &mut bytes[..8]) {
            lines.push(no_memory(scene, at));
            break;
        }
        let low = u64::from_le_bytes(bytes[..8].try_into().unwrap_or_default());
        let is_system = low >> 44 & 1 == 0;
        let is_wide = long && is_system && low != 0;
        if is_wide && index + 1 < entries {
            read(scene, at.wrapping_add(8), &mut bytes[8..]);
        }
        let high = u64::from_le_bytes(bytes[8..].try_into().unwrap_or_default());
        if low != 0 {
            let selector = (index * 8) | table;
            let line = Line::default().and(Style::Name, format!("{selector:04x}  "));
            lines.push(line.and(Style::Plain, descriptor(low, high)));
        }
        index += if is_wide { 2 } else { 1 };
    }
    lines
}

/// A descriptor in words; `high` is the upper half of a 16-byte one.
pub(crate) fn descriptor(low: u64, high: u64) -> String {
    let kind = (low >> 40 & 15) as u8;
    let is_system = low >> 44 & 1 == 0;
    if is_system && matches!(kind, 4..=7 | 12 | 14 | 15) {
        return gate(low, high);
    }
    let attributes = (low >> 40 & 0xf0ff) as u16;
    let base = low >> 16 & 0xff_ffff | low >> 32 & 0xff00_0000 | high << 32;
    let limit = low & 0xffff | low >> 32 & 0xf_0000;
    let limit = if attributes & 0x8000 != 0 { limit << 12 | 0xfff } else { limit };
    format!("base {base:x} limit {limit:x} {}", segment_kind(attributes))
}

/// A gate in words.
pub(crate) fn gate(low: u64, high: u64) -> String {
    let (selector, dpl, kind) = (low >> 16 & 0xffff, low >> 45 & 3, (low >> 40 & 15) as u8);
    let present = if low >> 47 & 1 == 0 { " not present" } else { "" };
    let name = system_type(kind);
    if kind == 5 {
        return format!("{name} to TSS {selector:04x} DPL {dpl}{present}");
    }
    let offset = low & 0xffff | low >> 32 & 0xffff_0000 | high << 32;
    let ist = low >> 32 & 7;
    let stack = match kind {
        4 | 12 if low >> 32 & 31 != 0 => format!(" copies {}", low >> 32 & 31),
        14 | 15 if ist != 0 => format!(" IST {ist}"),
        _ => String::new(),
    };
    format!("{name} to {selector:04x}:{offset:x} DPL {dpl}{stack}{present}")
}

/// Gates by vector; in real mode the vector table's pointers.
pub(super) fn idt(scene: &Scene<'_>) -> Vec<Line> {
    let idtr = scene.state.system.idtr;
    let (base, limit) = (idtr.base, u64::from(idtr.limit));
    let real = scene.state.system.cr0 & 1 == 0;
    let size = if real {
        4
    } else if mode::is_long(scene.state) {
        16
    } else {
        8
    };
    let what = if real { "vector table" } else { "IDT" };
    let mut lines = vec![Line::of(format!("{what} at {base:#x}, limit {limit:#x}"))];
    for vector in 0..((limit + 1) / size).min(MAX_ENTRIES) {
        let mut bytes = [0; 16];
        let at = base.wrapping_add(vector * size);
        if !read(scene, at, &mut bytes[..size as usize]) {
            lines.push(no_memory(scene, at));
            break;
        }
        let low = u64::from_le_bytes(bytes[..8].try_into().unwrap_or_default());
        let high = u64::from_le_bytes(bytes[8..].try_into().unwrap_or_default());
        if low == 0 {
            continue;
        }
        let name = vector_text(Vector(vector as u8));
        let line = Line::default().and(Style::Name, format!("{vector:02x}  {name:<10} "));
        lines.push(if real {
            line.and(Style::Plain, format!("{:04x}:{:04x}", low >> 16 & 0xffff, low & 0xffff))
        } else {
            line.and(Style::Plain, gate(low, high))
        });
    }
    lines
}

/// The fields of the task state segment that the CPU uses.
pub(super) fn tss(scene: &Scene<'_>) -> Vec<Line> {
    let tr = &scene.state.system.segments[Seg::Tr as usize];
    if tr.selector & !3 == 0 {
        return vec![Line::of("TR is null: there is no TSS")];
    }
    let kind = (tr.attributes & 15) as u8;
    let head = format!(
        "{} {:04x} at {:#x}, limit {:#x}",
        system_type(kind),
        tr.selector,
        tr.base,
        tr.limit
    );
    let mut lines = vec![Line::of(head)];
    let fields: &[(&str, u64, usize)] = if mode::is_long(scene.state) {
        &TSS_64
    } else if kind & 8 != 0 {
        &TSS_32
    } else {
        &TSS_16
    };
    for (name, offset, size) in fields {
        if offset + *size as u64 > u64::from(tr.limit) + 1 {
            continue;
        }
        let mut bytes = [0; 8];
        let at = tr.base.wrapping_add(*offset);
        if !read(scene, at, &mut bytes[..*size]) {
            lines.push(no_memory(scene, at));
            break;
        }
        let value = u64::from_le_bytes(bytes);
        let line = Line::default().and(Style::Name, format!("{name:<9}"));
        lines.push(line.and(Style::Plain, format!("{value:0width$x}", width = size * 2)));
    }
    lines
}

/// Name, offset and bytes of each field.
const TSS_64: [(&str, u64, usize); 11] = [
    ("RSP0", 0x04, 8),
    ("RSP1", 0x0c, 8),
    ("RSP2", 0x14, 8),
    ("IST1", 0x24, 8),
    ("IST2", 0x2c, 8),
    ("IST3", 0x34, 8),
    ("IST4", 0x3c, 8),
    ("IST5", 0x44, 8),
    ("IST6", 0x4c, 8),
    ("IST7", 0x54, 8),
    ("I/O map", 0x66, 2),
];
const TSS_32: [(&str, u64, usize); 27] = [
    ("link", 0x00, 2),
    ("ESP0", 0x04, 4),
    ("SS0", 0x08, 2),
    ("ESP1", 0x0c, 4),
    ("SS1", 0x10, 2),
    ("ESP2", 0x14, 4),
    ("SS2", 0x18, 2),
    ("CR3", 0x1c, 4),
    ("EIP", 0x20, 4),
    ("EFLAGS", 0x24, 4),
    ("EAX", 0x28, 4),
    ("ECX", 0x2c, 4),
    ("EDX", 0x30, 4),
    ("EBX", 0x34, 4),
    ("ESP", 0x38, 4),
    ("EBP", 0x3c, 4),
    ("ESI", 0x40, 4),
    ("EDI", 0x44, 4),
    ("ES", 0x48, 2),
    ("CS", 0x4c, 2),
    ("SS", 0x50, 2),
    ("DS", 0x54, 2),
    ("FS", 0x58, 2),
    ("GS", 0x5c, 2),
    ("LDT", 0x60, 2),
    ("T bit", 0x64, 2),
    ("I/O map", 0x66, 2),
];
const TSS_16: [(&str, u64, usize); 22] = [
    ("link", 0x00, 2),
    ("SP0", 0x02, 2),
    ("SS0", 0x04, 2),
    ("SP1", 0x06, 2),
    ("SS1", 0x08, 2),
    ("SP2", 0x0a, 2),
    ("SS2", 0x0c, 2),
    ("IP", 0x0e, 2),
    ("FLAGS", 0x10, 2),
    ("AX", 0x12, 2),
    ("CX", 0x14, 2),
    ("DX", 0x16, 2),
    ("BX", 0x18, 2),
    ("SP", 0x1a, 2),
    ("BP", 0x1c, 2),
    ("SI", 0x1e, 2),
    ("DI", 0x20, 2),
    ("ES", 0x22, 2),
    ("CS", 0x24, 2),
    ("SS", 0x26, 2),
    ("DS", 0x28, 2),
    ("LDT", 0x2a, 2),
];
