//! Segments: descriptors, descriptor caches, and the checks on loading one.
//!
//! Source: Intel SDM vol. 3A §3.4, "Logical and Linear Addresses"; §5, "Protection".

use serde::{Deserialize, Serialize};

/// A segment register with its hidden part, the descriptor cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The visible 16 bits.
    pub selector: u16,
    /// Bits 7:0 are descriptor bits 47:40 (type, S, DPL, P); bits 15:12 are descriptor bits
    /// 55:52 (AVL, L, D/B, G). 0 stands for a null (unusable) segment.
    pub attributes: u16,
    /// Offset of the last byte, already scaled by G.
    pub limit: u32,
    /// Linear address of offset 0.
    pub base: u64,
}

impl Segment {
    /// As a segment register is loaded in real mode: base from the selector, the rest of
    /// the cache kept. This is the whole cache as reset leaves it.
    #[must_use]
    pub const fn real_mode_data(selector: u16) -> Self {
        Self { selector, attributes: 0x93, limit: 0xffff, base: (selector as u64) << 4 }
    }

    /// A segment of virtual-8086 mode: always DPL 3, 64 KiB, writable.
    #[must_use]
    pub const fn virtual_8086(selector: u16) -> Self {
        Self { selector, attributes: 0xf3, limit: 0xffff, base: (selector as u64) << 4 }
    }

    /// A null selector: nothing can be reached through it.
    #[must_use]
    pub const fn null(selector: u16) -> Self {
        Self { selector, attributes: 0, limit: 0, base: 0 }
    }

    pub(crate) const fn reset_code() -> Self {
        Self { selector: 0xf000, attributes: 0x9b, limit: 0xffff, base: 0xffff_0000 }
    }

    pub(crate) const fn reset_ldtr() -> Self {
        Self { selector: 0, attributes: 0x82, limit: 0xffff, base: 0 }
    }

    pub(crate) const fn reset_tr() -> Self {
        Self { selector: 0, attributes: 0x8b, limit: 0xffff, base: 0 }
    }

    /// Whether the P bit is set.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        self.attributes & 0x80 != 0
    }

    /// Descriptor privilege level.
    #[must_use]
    pub const fn dpl(&self) -> u8 {
        (self.attributes >> 5 & 3) as u8
    }

    /// A code segment (S and type bit 3).
    #[must_use]
    pub const fn is_code(&self) -> bool {
        self.attributes & 0x18 == 0x18
    }

    /// A data segment (S, not type bit 3).
    #[must_use]
    pub const fn is_data(&self) -> bool {
        self.attributes & 0x18 == 0x10
    }

    /// A conforming code segment.
    #[must_use]
    pub const fn is_conforming(&self) -> bool {
        self.attributes & 0x1c == 0x1c
    }

    /// A data segment, or a readable code segment.
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        self.is_data() || self.attributes & 0x1a == 0x1a
    }

    /// A writable data segment.
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.attributes & 0x1a == 0x12
    }

    /// An expand-down data segment: offsets *above* the limit are valid.
    #[must_use]
    pub const fn is_expand_down(&self) -> bool {
        self.attributes & 0x1c == 0x14
    }

    /// D/B: 32-bit operands, addresses or stack pointer.
    #[must_use]
    pub const fn is_big(&self) -> bool {
        self.attributes & 0x4000 != 0
    }

    /// L: 64-bit code.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        self.attributes & 0x2000 != 0
    }

    /// Base 0, limit 4 GiB, readable, writable, expand-up: no check can fail.
    #[must_use]
    pub(crate) const fn is_flat(&self) -> bool {
        self.base == 0
            && self.limit == u32::MAX
            && self.is_present()
            && self.attributes & 0x1e == 0x12
    }

    /// First valid offset, and the first behind the valid ones.
    #[must_use]
    pub(crate) fn offsets(&self) -> (u64, u64) {
        if self.is_expand_down() {
            (u64::from(self.limit) + 1, if self.is_big() { 1 << 32 } else { 1 << 16 })
        } else {
            (0, u64::from(self.limit) + 1)
        }
    }
}

/// An eight-byte descriptor as it lies in the GDT or LDT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor(pub u64);

impl Descriptor {
    /// Bits 39:16 and 63:56.
    pub(crate) fn base(self) -> u64 {
        self.0 >> 16 & 0xff_ffff | self.0 >> 32 & 0xff00_0000
    }

    /// Bits 15:0 and 51:48, scaled by G.
    pub(crate) fn limit(self) -> u32 {
        let raw = (self.0 & 0xffff | self.0 >> 32 & 0xf_0000) as u32;
        if self.0 >> 55 & 1 != 0 { raw << 12 | 0xfff } else { raw }
    }

    /// Descriptor bits 55:40 without the limit's bits.
    pub(crate) fn attributes(self) -> u16 {
        (self.0 >> 40) as u16 & 0xf0ff
    }

    /// The descriptor as a segment register would cache it.
    pub(crate) fn segment(self, selector: u16) -> Segment {
        let (base, limit) = (self.base(), self.limit());
        Segment { selector, attributes: self.attributes(), limit, base }
    }

    /// S = 0 and this type (bits 43:40).
    pub(crate) fn system_type(self) -> Option<u8> {
        (self.0 >> 44 & 1 == 0).then_some((self.0 >> 40 & 0xf) as u8)
    }

    pub(crate) fn is_present(self) -> bool {
        self.0 >> 47 & 1 != 0
    }

    pub(crate) fn dpl(self) -> u8 {
        (self.0 >> 45 & 3) as u8
    }

    /// Gates: target selector, bits 31:16.
    pub(crate) fn gate_selector(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Gates: target offset, bits 15:0 and 63:48.
    pub(crate) fn gate_offset(self) -> u64 {
        self.0 & 0xffff | self.0 >> 32 & 0xffff_0000
    }
}

/// System descriptor types (Intel SDM vol. 3A table 3-2).
pub(crate) mod system_type {
    pub(crate) const TSS16: u8 = 1;
    pub(crate) const LDT: u8 = 2;
    pub(crate) const TSS16_BUSY: u8 = 3;
    pub(crate) const CALL_GATE16: u8 = 4;
    pub(crate) const TASK_GATE: u8 = 5;
    pub(crate) const INTERRUPT_GATE16: u8 = 6;
    pub(crate) const TRAP_GATE16: u8 = 7;
    pub(crate) const TSS: u8 = 9;
    pub(crate) const TSS_BUSY: u8 = 11;
    pub(crate) const CALL_GATE: u8 = 12;
    pub(crate) const INTERRUPT_GATE: u8 = 14;
    pub(crate) const TRAP_GATE: u8 = 15;
}

/// Whether data segment register contents may stay at a new CPL (Intel SDM vol. 3A §5.8.5,
/// returns to an outer level): others become null.
pub(crate) fn survives_return(segment: &Segment, cpl: u8) -> bool {
    let bound = segment.is_data() || segment.is_code() && !segment.is_conforming();
    !(bound && segment.dpl() < cpl)
}

/// Bits 15:2 of a selector, as error codes carry them.
pub(crate) fn error_of(selector: u16) -> u32 {
    u32::from(selector & 0xfffc)
}
