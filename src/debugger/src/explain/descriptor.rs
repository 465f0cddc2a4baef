//! Descriptors and gates as they lie in the tables, in words.
//!
//! Source: Intel SDM vol. 3A §3.4.5, "Segment Descriptors"; §3.5, "System Descriptor Types"; §6.11,
//! "IDT Descriptors"; §6.14.1, "64-Bit Mode IDT".

use super::subject::Subject;
use cutaway_cpu::{Seg, Segment};

/// Eight bytes of a descriptor table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor(pub(super) u64);

impl Descriptor {
    pub(super) fn is_present(self) -> bool {
        self.0 >> 47 & 1 != 0
    }

    pub(super) fn dpl(self) -> u8 {
        (self.0 >> 45 & 3) as u8
    }

    pub(super) fn is_system(self) -> bool {
        self.0 >> 44 & 1 == 0
    }

    pub(super) fn kind(self) -> u8 {
        (self.0 >> 40 & 0xf) as u8
    }

    /// A gate's target: selector and the low 32 bits of the offset.
    pub(super) fn target(self) -> (u16, u64) {
        ((self.0 >> 16) as u16, self.0 & 0xffff | self.0 >> 32 & 0xffff_0000)
    }

    pub(super) fn segment(self, selector: u16) -> Segment {
        let raw = (self.0 & 0xffff | self.0 >> 32 & 0xf_0000) as u32;
        let limit = if self.0 >> 55 & 1 != 0 { raw << 12 | 0xfff } else { raw };
        let base = self.0 >> 16 & 0xff_ffff | self.0 >> 32 & 0xff00_0000;
        Segment { selector, attributes: (self.0 >> 40) as u16 & 0xf0ff, limit, base }
    }

    /// What it is, in words.
    pub(super) fn text(self) -> String {
        let present = if self.is_present() { "present" } else { "not present" };
        format!("{}, DPL {}, {present}", self.kind_name(), self.dpl())
    }

    pub(super) fn kind_name(self) -> &'static str {
        if self.is_system() {
            return match self.kind() {
                1 => "16-bit TSS",
                2 => "LDT",
                3 => "busy 16-bit TSS",
                4 => "16-bit call gate",
                5 => "task gate",
                6 => "16-bit interrupt gate",
                7 => "16-bit trap gate",
                9 => "TSS",
                11 => "busy TSS",
                12 => "call gate",
                14 => "interrupt gate",
                15 => "trap gate",
                _ => "reserved type",
            };
        }
        let bits = match (self.0 >> 53 & 1, self.0 >> 54 & 1) {
            (1, _) => 2,
            (_, big) => big as usize,
        };
        match self.kind() >> 1 {
            0 => "read-only data",
            1 => "writable data",
            2 => "read-only data that expands down",
            3 => "writable data that expands down",
            4 | 5 => ["16-bit code", "32-bit code", "64-bit code"][bits],
            _ => {
                ["16-bit conforming code", "32-bit conforming code", "64-bit conforming code"][bits]
            }
        }
    }
}

impl Subject<'_> {
    /// The descriptor of a selector, with its linear address; nothing beyond the table.
    pub(super) fn descriptor(&self, selector: u16) -> Option<(u64, Descriptor)> {
        let (base, limit) = if selector & 4 != 0 {
            let ldt = self.segment(Seg::Ldtr);
            (ldt.base, ldt.limit)
        } else {
            let table = self.state.system.gdtr;
            (table.base, u32::from(table.limit))
        };
        let at = u32::from(selector & 0xfff8);
        if at + 7 > limit {
            return None;
        }
        let linear = base.wrapping_add(u64::from(at));
        self.peek_number(linear, 8).map(|raw| (linear, Descriptor(raw)))
    }
}

/// What a selector leads to.
pub(super) fn descriptor_state(subject: &Subject<'_>, selector: u16) -> String {
    match subject.descriptor(selector) {
        Some((_, descriptor)) => descriptor.text(),
        None => "beyond the table".to_owned(),
    }
}
