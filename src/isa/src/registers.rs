//! System registers and their bits (Intel SDM vol. 3A §2.3-§2.5; AMD APM vol. 2 §3.1).

use bitflags::bitflags;
use serde::{Deserialize, Serialize};

bitflags! {
    /// RFLAGS (Intel SDM vol. 1 §3.4.3, "EFLAGS Register"). Bit 1 always reads as one.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub struct Rflags: u64 {
        /// Carry.
        const CF = 1 << 0;
        /// Bit 1, always one.
        const ONE = 1 << 1;
        /// Parity of the low byte.
        const PF = 1 << 2;
        /// Carry out of bit 3.
        const AF = 1 << 4;
        /// Zero.
        const ZF = 1 << 6;
        /// Sign.
        const SF = 1 << 7;
        /// Trap: single step.
        const TF = 1 << 8;
        /// Interrupts enabled.
        const IF = 1 << 9;
        /// Direction of string instructions.
        const DF = 1 << 10;
        /// Signed overflow.
        const OF = 1 << 11;
        /// I/O privilege level, bits 13:12.
        const IOPL = 3 << 12;
        /// Nested task.
        const NT = 1 << 14;
        /// Resume: suppresses instruction breakpoints once.
        const RF = 1 << 16;
        /// Virtual-8086 mode.
        const VM = 1 << 17;
        /// Alignment check; with SMAP, access to user pages.
        const AC = 1 << 18;
        /// Virtual interrupt flag.
        const VIF = 1 << 19;
        /// Virtual interrupt pending.
        const VIP = 1 << 20;
        /// CPUID can be used if this can be changed.
        const ID = 1 << 21;
    }
}

impl Rflags {
    /// The six flags that arithmetic sets.
    pub const STATUS: Self =
        Self::CF.union(Self::PF).union(Self::AF).union(Self::ZF).union(Self::SF).union(Self::OF);

    /// The flags with `flag` set or cleared.
    #[must_use]
    pub const fn with(self, flag: Self, on: bool) -> Self {
        if on { self.union(flag) } else { self.difference(flag) }
    }

    /// I/O privilege level, 0 to 3.
    #[must_use]
    pub const fn iopl(self) -> u8 {
        (self.bits() >> 12 & 3) as u8
    }
}

bitflags! {
    /// CR0.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub struct Cr0: u64 {
        /// Protection enable.
        const PE = 1 << 0;
        /// Monitor coprocessor: WAIT obeys TS.
        const MP = 1 << 1;
        /// Emulation: no x87.
        const EM = 1 << 2;
        /// Task switched.
        const TS = 1 << 3;
        /// Extension type, always one.
        const ET = 1 << 4;
        /// x87 errors by #MF rather than IRQ 13.
        const NE = 1 << 5;
        /// Write protection holds for supervisor writes too.
        const WP = 1 << 16;
        /// Alignment mask: AC is obeyed.
        const AM = 1 << 18;
        /// Not write-through.
        const NW = 1 << 29;
        /// Cache disable.
        const CD = 1 << 30;
        /// Paging.
        const PG = 1 << 31;
    }
}

bitflags! {
    /// CR4.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub struct Cr4: u64 {
        /// Virtual-8086 mode extensions.
        const VME = 1 << 0;
        /// Protected-mode virtual interrupts.
        const PVI = 1 << 1;
        /// RDTSC at CPL 0 only.
        const TSD = 1 << 2;
        /// Debugging extensions: DR4 and DR5 are #UD.
        const DE = 1 << 3;
        /// 4 MiB pages.
        const PSE = 1 << 4;
        /// Physical address extension.
        const PAE = 1 << 5;
        /// Machine check.
        const MCE = 1 << 6;
        /// Global pages.
        const PGE = 1 << 7;
        /// RDPMC at any CPL.
        const PCE = 1 << 8;
        /// FXSAVE and SSE enabled.
        const OSFXSR = 1 << 9;
        /// #XM enabled.
        const OSXMMEXCPT = 1 << 10;
        /// SGDT, SIDT, SLDT, SMSW, STR at CPL 0 only.
        const UMIP = 1 << 11;
        /// 5-level paging.
        const LA57 = 1 << 12;
        /// RDFSBASE and its kin.
        const FSGSBASE = 1 << 16;
        /// Process-context identifiers.
        const PCIDE = 1 << 17;
        /// XSAVE and XCR0 enabled.
        const OSXSAVE = 1 << 18;
        /// No supervisor fetch from user pages.
        const SMEP = 1 << 20;
        /// No supervisor access to user pages.
        const SMAP = 1 << 21;
        /// Protection keys for user pages.
        const PKE = 1 << 22;
    }
}

bitflags! {
    /// XCR0, and the state components that XSAVE knows (Intel SDM vol. 1 §13.1, "XSAVE-Supported
    /// Features and State-Component Bitmaps").
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub struct Xcr0: u64 {
        /// x87; always one.
        const X87 = 1 << 0;
        /// XMM registers and MXCSR.
        const SSE = 1 << 1;
        /// The upper halves of the YMM registers.
        const AVX = 1 << 2;
    }
}

impl Xcr0 {
    /// Bytes of the legacy region and header of an XSAVE area.
    pub const HEADER_END: u32 = 576;
    /// Where the AVX component lies in the standard format of an XSAVE area.
    pub const AVX_OFFSET: u32 = Self::HEADER_END;
    /// Bytes of the AVX component: sixteen upper halves.
    pub const AVX_BYTES: u32 = 256;

    /// Bytes of an XSAVE area in the standard format that holds these components.
    #[must_use]
    pub const fn area_bytes(self) -> u32 {
        if self.contains(Self::AVX) { Self::AVX_OFFSET + Self::AVX_BYTES } else { Self::HEADER_END }
    }

    /// Whether XSETBV takes it: x87 cannot be turned off, and YMM registers need XMM registers
    /// (Intel SDM vol. 1 §13.3, "Enabling the XSAVE Feature Set and XSAVE-Enabled Features").
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.contains(Self::X87) && (!self.contains(Self::AVX) || self.contains(Self::SSE))
    }
}

bitflags! {
    /// EFER, MSR 0xc000_0080.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub struct Efer: u64 {
        /// SYSCALL enabled.
        const SCE = 1 << 0;
        /// Long mode enabled.
        const LME = 1 << 8;
        /// Long mode active.
        const LMA = 1 << 10;
        /// No-execute pages.
        const NXE = 1 << 11;
        /// Secure virtual machine enabled.
        const SVME = 1 << 12;
        /// Fast FXSAVE.
        const FFXSR = 1 << 14;
    }
}

bitflags! {
    /// DR6 (Intel SDM vol. 3B §17.2.3, "Debug Status Register").
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub struct Dr6: u64 {
        /// Breakpoint 0 was met; 1 to 3 follow.
        const B0 = 1 << 0;
        /// Breakpoint 1 was met.
        const B1 = 1 << 1;
        /// Breakpoint 2 was met.
        const B2 = 1 << 2;
        /// Breakpoint 3 was met.
        const B3 = 1 << 3;
        /// Debug register access while DR7.GD.
        const BD = 1 << 13;
        /// Single step.
        const BS = 1 << 14;
        /// Task switch to a task with the T bit.
        const BT = 1 << 15;
    }
}

/// Model-specific registers (Intel SDM vol. 4; AMD APM vol. 2 appendix A).
#[expect(missing_docs, reason = "the names are the manual's")]
pub mod msr {
    pub const TSC: u32 = 0x10;
    pub const PLATFORM_ID: u32 = 0x17;
    pub const APIC_BASE: u32 = 0x1b;
    pub const FEATURE_CONTROL: u32 = 0x3a;
    pub const BIOS_SIGN_ID: u32 = 0x8b;
    pub const MTRRCAP: u32 = 0xfe;
    pub const SYSENTER_CS: u32 = 0x174;
    pub const SYSENTER_ESP: u32 = 0x175;
    pub const SYSENTER_EIP: u32 = 0x176;
    pub const MCG_CAP: u32 = 0x179;
    pub const MCG_STATUS: u32 = 0x17a;
    pub const MISC_ENABLE: u32 = 0x1a0;
    pub const DEBUGCTL: u32 = 0x1d9;
    pub const MTRR_PHYSBASE0: u32 = 0x200;
    pub const MTRR_FIX64K_00000: u32 = 0x250;
    pub const MTRR_FIX16K_80000: u32 = 0x258;
    pub const MTRR_FIX4K_C0000: u32 = 0x268;
    pub const PAT: u32 = 0x277;
    pub const MTRR_DEF_TYPE: u32 = 0x2ff;
    pub const EFER: u32 = 0xc000_0080;
    pub const STAR: u32 = 0xc000_0081;
    pub const LSTAR: u32 = 0xc000_0082;
    pub const CSTAR: u32 = 0xc000_0083;
    pub const SFMASK: u32 = 0xc000_0084;
    pub const FS_BASE: u32 = 0xc000_0100;
    pub const GS_BASE: u32 = 0xc000_0101;
    pub const XSS: u32 = 0xda0;
    pub const KERNEL_GS_BASE: u32 = 0xc000_0102;
    pub const TSC_AUX: u32 = 0xc000_0103;
    pub const SYSCFG: u32 = 0xc001_0010;
    pub const HWCR: u32 = 0xc001_0015;
    pub const VM_CR: u32 = 0xc001_0114;
    pub const VM_HSAVE_PA: u32 = 0xc001_0117;
}
