//! Where a case runs: one 64 KiB window of linear addresses with code, data, stack and guard
//! pages, and the descriptor tables. The oracle and the interpreter build the same place.
//!
//! The window lies below 4 GiB, so that all code sizes reach it, and not at zero, so that segment
//! bases count. Source of the GDT: what Linux gives a process on x86-64; of the descriptor format:
//! Intel SDM vol. 3A §3.4.5, "Segment Descriptors".

/// Linear address of the window's first byte.
pub const WINDOW: u64 = 0x0420_0000;
/// Bytes of the window.
pub const WINDOW_SIZE: u64 = 0x1_0000;
/// Bytes of a page.
pub const PAGE: u64 = 0x1000;

/// Offset of the code page. The page behind it is not there.
pub const CODE: u64 = 0x2000;
/// Offset of two data pages. The pages around them are not there.
pub const DATA: u64 = 0x4000;
/// Offset of a page that can only be read.
pub const READ_ONLY: u64 = 0x8000;
/// Offset of the stack page. The pages around it are not there.
pub const STACK: u64 = 0xb000;
/// Offset of the last page of the window, so that 16-bit offsets can wrap behind it.
pub const LAST: u64 = 0xf000;

/// A page that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its offset in the window.
    pub offset: u64,
    /// Whether a case may write it.
    pub writable: bool,
}

/// The pages that are there; a user may run code in all of them.
pub const PAGES: [Page; 6] = [
    Page { offset: CODE, writable: true },
    Page { offset: DATA, writable: true },
    Page { offset: DATA + PAGE, writable: true },
    Page { offset: READ_ONLY, writable: false },
    Page { offset: STACK, writable: true },
    Page { offset: LAST, writable: true },
];

/// What a byte of a page holds before a case puts its own values there: INT3 in the code page, so
/// that nothing runs on, and else a pattern in which neighbours differ.
#[must_use]
pub const fn filler(offset: u64) -> u8 {
    if offset & !(PAGE - 1) == CODE {
        return 0xcc;
    }
    let mixed = offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 29;
    (mixed ^ mixed >> 13) as u8
}

/// Selectors of Linux's GDT.
pub mod gdt {
    /// 32-bit code, base 0, 4 GiB.
    pub const CODE32: u16 = 0x23;
    /// Data, base 0, 4 GiB.
    pub const DATA: u16 = 0x2b;
    /// 64-bit code.
    pub const CODE64: u16 = 0x33;
}

/// The first entries of Linux's GDT: null, kernel 32-bit code, kernel code, kernel data, user
/// 32-bit code, user data, user code. Bit 40 (accessed) is set as the processor leaves it.
pub const GDT: [u64; 7] = [
    0,
    0x00cf_9b00_0000_ffff,
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0x00cf_fb00_0000_ffff,
    0x00cf_f300_0000_ffff,
    0x00af_fb00_0000_ffff,
];
/// The last entry of Linux's GDT, whose limit tells a process its CPU: data.
pub const CPU_NUMBER: u64 = 0x0040_f500_0000_0000;
/// Limit of Linux's GDT: 16 entries.
pub const GDT_LIMIT: u16 = 0x7f;
/// Selector of the TSS in it.
pub const TSS: u16 = 0x40;
/// Selector of the LDT in it.
pub const LDTR: u16 = 0x50;

/// A descriptor of the LDT, in the terms of `modify_ldt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LdtEntry {
    /// Linear address of offset 0.
    pub base: u32,
    /// Limit, in units of `pages`.
    pub limit: u32,
    /// D/B.
    pub big: bool,
    /// 0: data, 1: expand-down data, 2: code.
    pub contents: u8,
    /// Not writable; for code: not readable.
    pub closed: bool,
    /// G: the limit counts pages.
    pub pages: bool,
    /// P.
    pub present: bool,
}

const fn entry(contents: u8, limit: u32) -> LdtEntry {
    let base = WINDOW as u32;
    LdtEntry { base, limit, big: false, contents, closed: false, pages: false, present: true }
}

/// The LDT. Entry 0 stays empty.
pub const LDT: [Option<LdtEntry>; 12] = [
    None,
    Some(entry(2, 0xffff)),
    Some(LdtEntry { big: true, ..entry(2, 0xffff) }),
    Some(entry(0, 0xffff)),
    Some(LdtEntry { big: true, pages: true, ..entry(0, 0xf_ffff) }),
    Some(LdtEntry { big: true, ..entry(0, 0x57ff) }),
    Some(LdtEntry { closed: true, ..entry(0, 0xffff) }),
    Some(entry(1, 0x4fff)),
    Some(LdtEntry { present: false, ..entry(0, 0xffff) }),
    Some(LdtEntry { closed: true, ..entry(2, 0xffff) }),
    None,
    Some(LdtEntry { base: WINDOW as u32 + 0x40, ..entry(0, 0xffff) }),
];

/// Selectors of the LDT, all with RPL 3.
pub mod ldt {
    /// 16-bit code over the window.
    pub const CODE16: u16 = 0x0f;
    /// 32-bit code over the window.
    pub const CODE32: u16 = 0x17;
    /// Data over the window; as a stack segment, SP counts.
    pub const DATA16: u16 = 0x1f;
    /// Data from the window on, 4 GiB; as a stack segment, ESP counts.
    pub const DATA32: u16 = 0x27;
    /// Data that ends inside the second data page.
    pub const SHORT: u16 = 0x2f;
    /// Data that cannot be written.
    pub const READ_ONLY: u16 = 0x37;
    /// Data above 0x4fff.
    pub const EXPAND_DOWN: u16 = 0x3f;
    /// Not present.
    pub const ABSENT: u16 = 0x47;
    /// Code that cannot be read.
    pub const EXECUTE_ONLY: u16 = 0x4f;
    /// Data 0x40 bytes into the window.
    pub const SHIFTED: u16 = 0x5f;
}

impl LdtEntry {
    /// The descriptor as Linux writes it: DPL 3, accessed.
    #[must_use]
    pub const fn descriptor(self) -> u64 {
        let (base, limit) = (self.base as u64, self.limit as u64);
        let kind = (self.contents as u64) << 2 | (!self.closed as u64) << 1 | 1;
        let access = kind | 1 << 4 | 3 << 5 | (self.present as u64) << 7;
        let flags = (self.big as u64) << 2 | (self.pages as u64) << 3;
        limit & 0xffff
            | (base & 0xff_ffff) << 16
            | access << 40
            | (limit >> 16) << 48
            | flags << 52
            | (base >> 24) << 56
    }
}

/// The descriptor that a selector names, if the table has it.
#[must_use]
pub fn descriptor(selector: u16) -> Option<u64> {
    let index = usize::from(selector >> 3);
    if selector & 4 == 0 {
        let last = (index == usize::from(GDT_LIMIT >> 3)).then_some(CPU_NUMBER);
        GDT.get(index).copied().filter(|_| index != 0).or(last)
    } else {
        LDT.get(index).copied().flatten().map(LdtEntry::descriptor)
    }
}

/// Base of a segment as the processor adds it in 16- and 32-bit code.
#[must_use]
pub fn base(selector: u16) -> u64 {
    descriptor(selector).map_or(0, |d| d >> 16 & 0xff_ffff | d >> 32 & 0xff00_0000)
}
