//! The virtual machine control block (VMCB) as it lies in guest memory, and the exit codes.
//!
//! Source: AMD APM vol. 2 appendix B, "VMCB Layout"; appendix C, "SVM Intercept Exit Codes"; §15.20,
//! "Event Injection".

use crate::segment::Segment;
use cutaway_memory::GuestMemory;

/// A field of the VMCB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Bytes from the beginning of the VMCB.
    pub offset: u16,
    /// How many bytes it has: 1, 2, 4 or 8.
    pub bytes: u8,
}

const fn byte(offset: u16) -> Field {
    Field { offset, bytes: 1 }
}
const fn dword(offset: u16) -> Field {
    Field { offset, bytes: 4 }
}
const fn qword(offset: u16) -> Field {
    Field { offset, bytes: 8 }
}

/// The fields (AMD APM vol. 2 appendix B, tables B-1 and B-2).
#[expect(missing_docs, reason = "the names are the manual's")]
pub mod field {
    use super::{Field, byte, dword, qword};

    /// Intercepts of reads (bits 15:0) and writes (31:16) of CR0 to CR15.
    pub const INTERCEPT_CR: Field = dword(0x000);
    /// Intercepts of reads (bits 15:0) and writes (31:16) of DR0 to DR15.
    pub const INTERCEPT_DR: Field = dword(0x004);
    /// Intercepts of exception vectors 0 to 31.
    pub const INTERCEPT_EXCEPTIONS: Field = dword(0x008);
    /// Intercepts with exit codes 60h to 7fh, a bit each.
    pub const INTERCEPT_MISC1: Field = dword(0x00c);
    /// Intercepts with exit codes 80h to 9fh, a bit each.
    pub const INTERCEPT_MISC2: Field = dword(0x010);
    pub const IOPM_BASE_PA: Field = qword(0x040);
    pub const MSRPM_BASE_PA: Field = qword(0x048);
    pub const TSC_OFFSET: Field = qword(0x050);
    pub const GUEST_ASID: Field = dword(0x058);
    pub const TLB_CONTROL: Field = byte(0x05c);
    /// V_TPR, V_IRQ, V_INTR_PRIO, V_IGN_TPR, V_INTR_MASKING, V_INTR_VECTOR; see [`super::vintr`].
    pub const V_INTR: Field = qword(0x060);
    /// Bit 0: the guest is in an interrupt shadow; bit 1, written only: the guest's RFLAGS.IF.
    pub const INTERRUPT_SHADOW: Field = qword(0x068);
    pub const EXITCODE: Field = qword(0x070);
    pub const EXITINFO1: Field = qword(0x078);
    pub const EXITINFO2: Field = qword(0x080);
    pub const EXITINTINFO: Field = qword(0x088);
    /// Bit 0: nested paging.
    pub const NP_ENABLE: Field = qword(0x090);
    pub const EVENTINJ: Field = qword(0x0a8);
    pub const N_CR3: Field = qword(0x0b0);
    /// Accepted and not heeded: no field is cached.
    pub const VMCB_CLEAN: Field = dword(0x0c0);
    pub const NRIP: Field = qword(0x0c8);
    pub const BYTES_FETCHED: Field = byte(0x0d0);
    /// The first of fifteen.
    pub const INSTRUCTION_BYTES: Field = byte(0x0d1);

    pub const CPL: Field = byte(0x4cb);
    pub const EFER: Field = qword(0x4d0);
    pub const CR4: Field = qword(0x548);
    pub const CR3: Field = qword(0x550);
    pub const CR0: Field = qword(0x558);
    pub const DR7: Field = qword(0x560);
    pub const DR6: Field = qword(0x568);
    pub const RFLAGS: Field = qword(0x570);
    pub const RIP: Field = qword(0x578);
    pub const RSP: Field = qword(0x5d8);
    pub const RAX: Field = qword(0x5f8);
    pub const STAR: Field = qword(0x600);
    pub const LSTAR: Field = qword(0x608);
    pub const CSTAR: Field = qword(0x610);
    pub const SFMASK: Field = qword(0x618);
    pub const KERNEL_GS_BASE: Field = qword(0x620);
    pub const SYSENTER_CS: Field = qword(0x628);
    pub const SYSENTER_ESP: Field = qword(0x630);
    pub const SYSENTER_EIP: Field = qword(0x638);
    pub const CR2: Field = qword(0x640);
    pub const G_PAT: Field = qword(0x668);
}

/// A segment register in the state save area: selector, attributes, limit and base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
#[expect(missing_docs, reason = "the names are the manual's")]
pub enum SegmentField {
    Es = 0x400,
    Cs = 0x410,
    Ss = 0x420,
    Ds = 0x430,
    Fs = 0x440,
    Gs = 0x450,
    Gdtr = 0x460,
    Ldtr = 0x470,
    Idtr = 0x480,
    Tr = 0x490,
}

/// Bits of [`field::V_INTR`].
#[expect(missing_docs, reason = "the names are the manual's")]
pub mod vintr {
    pub const V_TPR: u64 = 0xff;
    pub const V_IRQ: u64 = 1 << 8;
    pub const V_INTR_PRIO_SHIFT: u32 = 16;
    pub const V_IGN_TPR: u64 = 1 << 20;
    pub const V_INTR_MASKING: u64 = 1 << 24;
    pub const V_INTR_VECTOR_SHIFT: u32 = 32;
}

/// Bits of [`field::EVENTINJ`] and [`field::EXITINTINFO`].
pub mod event {
    /// The field holds an event.
    pub const V: u64 = 1 << 31;
    /// It pushes the error code in bits 63:32.
    pub const EV: u64 = 1 << 11;
    /// TYPE, in bits 10:8: an external or virtual interrupt.
    pub const INTR: u64 = 0;
    /// TYPE: NMI.
    pub const NMI: u64 = 2;
    /// TYPE: an exception, or INT3 and INTO.
    pub const EXCEPTION: u64 = 3;
    /// TYPE: INT n.
    pub const SOFTWARE: u64 = 4;
}

/// Bits of EXITINFO1 of [`exit::NPF`] beside those of a #PF error code (§15.25.6).
pub mod npf {
    /// Met in translating the final physical address.
    pub const FINAL: u64 = 1 << 32;
    /// Met in translating the address of a guest page table.
    pub const TABLE: u64 = 1 << 33;
}

/// Exit codes (AMD APM vol. 2 appendix C, table C-1).
#[expect(missing_docs, reason = "the names are the manual's")]
pub mod exit {
    /// And the number of the register.
    pub const CR_READ: u64 = 0x00;
    /// And the number of the register.
    pub const CR_WRITE: u64 = 0x10;
    /// And the number of the register.
    pub const DR_READ: u64 = 0x20;
    /// And the number of the register.
    pub const DR_WRITE: u64 = 0x30;
    /// And the vector.
    pub const EXCEPTION: u64 = 0x40;
    pub const INTR: u64 = 0x60;
    pub const NMI: u64 = 0x61;
    pub const SMI: u64 = 0x62;
    pub const INIT: u64 = 0x63;
    pub const VINTR: u64 = 0x64;
    pub const CR0_SEL_WRITE: u64 = 0x65;
    pub const IDTR_READ: u64 = 0x66;
    pub const GDTR_READ: u64 = 0x67;
    pub const LDTR_READ: u64 = 0x68;
    pub const TR_READ: u64 = 0x69;
    pub const IDTR_WRITE: u64 = 0x6a;
    pub const GDTR_WRITE: u64 = 0x6b;
    pub const LDTR_WRITE: u64 = 0x6c;
    pub const TR_WRITE: u64 = 0x6d;
    pub const RDTSC: u64 = 0x6e;
    pub const RDPMC: u64 = 0x6f;
    pub const PUSHF: u64 = 0x70;
    pub const POPF: u64 = 0x71;
    pub const CPUID: u64 = 0x72;
    pub const RSM: u64 = 0x73;
    pub const IRET: u64 = 0x74;
    pub const SWINT: u64 = 0x75;
    pub const INVD: u64 = 0x76;
    pub const PAUSE: u64 = 0x77;
    pub const HLT: u64 = 0x78;
    pub const INVLPG: u64 = 0x79;
    pub const INVLPGA: u64 = 0x7a;
    pub const IOIO: u64 = 0x7b;
    pub const MSR: u64 = 0x7c;
    pub const TASK_SWITCH: u64 = 0x7d;
    pub const FERR_FREEZE: u64 = 0x7e;
    pub const SHUTDOWN: u64 = 0x7f;
    pub const VMRUN: u64 = 0x80;
    pub const VMMCALL: u64 = 0x81;
    pub const VMLOAD: u64 = 0x82;
    pub const VMSAVE: u64 = 0x83;
    pub const STGI: u64 = 0x84;
    pub const CLGI: u64 = 0x85;
    pub const SKINIT: u64 = 0x86;
    pub const RDTSCP: u64 = 0x87;
    pub const ICEBP: u64 = 0x88;
    pub const WBINVD: u64 = 0x89;
    pub const MONITOR: u64 = 0x8a;
    pub const MWAIT: u64 = 0x8b;
    pub const MWAIT_CONDITIONAL: u64 = 0x8c;
    pub const XSETBV: u64 = 0x8d;
    pub const NPF: u64 = 0x400;
    /// The guest state or the controls were not consistent.
    pub const INVALID: u64 = u64::MAX;
}

/// Names of the exit codes from 60h on, without `VMEXIT_`.
const NAMES: [&str; 46] = [
    "INTR",
    "NMI",
    "SMI",
    "INIT",
    "VINTR",
    "CR0_SEL_WRITE",
    "IDTR_READ",
    "GDTR_READ",
    "LDTR_READ",
    "TR_READ",
    "IDTR_WRITE",
    "GDTR_WRITE",
    "LDTR_WRITE",
    "TR_WRITE",
    "RDTSC",
    "RDPMC",
    "PUSHF",
    "POPF",
    "CPUID",
    "RSM",
    "IRET",
    "SWINT",
    "INVD",
    "PAUSE",
    "HLT",
    "INVLPG",
    "INVLPGA",
    "IOIO",
    "MSR",
    "TASK_SWITCH",
    "FERR_FREEZE",
    "SHUTDOWN",
    "VMRUN",
    "VMMCALL",
    "VMLOAD",
    "VMSAVE",
    "STGI",
    "CLGI",
    "SKINIT",
    "RDTSCP",
    "ICEBP",
    "WBINVD",
    "MONITOR",
    "MWAIT",
    "MWAIT_CONDITIONAL",
    "XSETBV",
];

/// The manual's name of an exit code: `VMEXIT_CPUID`, `VMEXIT_CR0_READ`, `VMEXIT_EXCP14`. A code
/// that the manual does not have comes as a number.
#[must_use]
pub fn exit_name(code: u64) -> String {
    let number = code & 0xf;
    match code {
        0x00..0x10 => format!("VMEXIT_CR{number}_READ"),
        0x10..0x20 => format!("VMEXIT_CR{number}_WRITE"),
        0x20..0x30 => format!("VMEXIT_DR{number}_READ"),
        0x30..0x40 => format!("VMEXIT_DR{number}_WRITE"),
        0x40..0x60 => format!("VMEXIT_EXCP{}", code - 0x40),
        0x60..=exit::XSETBV => format!("VMEXIT_{}", NAMES[(code - 0x60) as usize]),
        exit::NPF => "VMEXIT_NPF".to_owned(),
        exit::INVALID => "VMEXIT_INVALID".to_owned(),
        _ => format!("VMEXIT_{code:x}h"),
    }
}

/// A VMCB at its physical address. What lies outside RAM reads as ones and is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vmcb {
    /// Physical address of its first byte, a multiple of 4096.
    pub address: u64,
}

impl Vmcb {
    /// Bytes that a VMCB takes.
    pub const BYTES: u64 = 0x1000;

    /// The value of a field, zero-extended.
    #[must_use]
    pub fn get(self, memory: &GuestMemory, field: Field) -> u64 {
        let mut bytes = [0; 8];
        let size = usize::from(field.bytes).min(8);
        memory.read(self.address.wrapping_add(u64::from(field.offset)), &mut bytes[..size]);
        u64::from_le_bytes(bytes)
    }

    /// Writes the low bytes of a value into a field.
    pub fn set(self, memory: &mut GuestMemory, field: Field, value: u64) {
        let size = usize::from(field.bytes).min(8);
        memory.write(
            self.address.wrapping_add(u64::from(field.offset)),
            &value.to_le_bytes()[..size],
        );
    }

    /// A segment register of the state save area. The limit of GDTR and IDTR is in its low half.
    #[must_use]
    pub fn segment(self, memory: &GuestMemory, segment: SegmentField) -> Segment {
        let mut bytes = [0; 16];
        memory.read(self.address.wrapping_add(segment as u64), &mut bytes);
        let raw = u128::from_le_bytes(bytes);
        let packed = (raw >> 16) as u16;
        Segment {
            selector: raw as u16,
            attributes: packed & 0xff | (packed & 0xf00) << 4,
            limit: (raw >> 32) as u32,
            base: (raw >> 64) as u64,
        }
    }

    /// Writes a segment register of the state save area.
    pub fn set_segment(self, memory: &mut GuestMemory, segment: SegmentField, value: &Segment) {
        let packed = value.attributes & 0xff | value.attributes >> 4 & 0xf00;
        let raw = u128::from(value.selector)
            | u128::from(packed) << 16
            | u128::from(value.limit) << 32
            | u128::from(value.base) << 64;
        memory.write(self.address.wrapping_add(segment as u64), &raw.to_le_bytes());
    }

    /// Turns the intercept with this exit code on: a register access, an exception, or one of
    /// [`exit`] from `INTR` to `XSETBV`. Others have no bit, and nothing happens.
    pub fn intercept(self, memory: &mut GuestMemory, code: u64) {
        if code < 160 {
            let field = dword(code as u16 / 32 * 4);
            let old = self.get(memory, field);
            self.set(memory, field, old | 1 << (code % 32));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AMD APM vol. 2 appendix C.
    #[test]
    fn exit_codes_have_the_names_of_the_manual() {
        assert_eq!(exit_name(exit::CPUID), "VMEXIT_CPUID");
        assert_eq!(exit_name(exit::XSETBV), "VMEXIT_XSETBV");
        assert_eq!(exit_name(exit::VMRUN), "VMEXIT_VMRUN");
        assert_eq!(exit_name(exit::CR_WRITE + 3), "VMEXIT_CR3_WRITE");
        assert_eq!(exit_name(exit::EXCEPTION + 14), "VMEXIT_EXCP14");
        assert_eq!(exit_name(exit::INVALID), "VMEXIT_INVALID");
        assert_eq!(exit_name(0x123), "VMEXIT_123h");
    }

    #[test]
    fn a_segment_comes_back_from_its_packed_attributes() {
        let mut memory = GuestMemory::new(0x1000).unwrap();
        memory.add_ram(0, 0x1000).unwrap();
        let code = Segment { selector: 8, attributes: 0xa09b, limit: u32::MAX, base: 1 << 40 };

        Vmcb { address: 0 }.set_segment(&mut memory, SegmentField::Cs, &code);

        assert_eq!(Vmcb { address: 0 }.segment(&memory, SegmentField::Cs), code);
        assert_eq!(Vmcb { address: 0 }.get(&memory, byte(0x413)), 0x0a, "attributes are packed");
    }
}
