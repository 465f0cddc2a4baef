//! The registers that gdb is shown: which, in which order, how wide, and what is in them.
//!
//! A [`Layout`] is one list; the target description (`description.rs`), the packets `g` and `p`
//! and `monitor info registers` are all made out of it. gdb numbers registers by their place in
//! the list.
//!
//! Source: GDB, features/i386/*.xml, for names and widths of what gdb knows itself; Intel SDM
//! vol. 1 §8.1.7, "x87 FPU Tag Word", for FTAG.

use crate::mode;
use cutaway_cpu::{CpuState, Seg, TableRegister, Vcpu, gpr};

/// Bits of CPUID.1:EDX and CPUID.1:ECX.
const EDX_SSE: u32 = 1 << 25;
const ECX_AVX: u32 = 1 << 28;

/// A register as gdb sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reg {
    /// RAX to R15, as numbered in encodings.
    Gpr(usize),
    /// The linear address of the next instruction.
    Pc,
    Eflags,
    Selector(Seg),
    /// ST(i).
    St(usize),
    /// Control, status and tag word, pointers and opcode.
    X87(X87),
    Xmm(usize),
    Mxcsr,
    /// Bits 255:128.
    YmmHigh(usize),
    Base(Seg),
    Limit(Seg),
    /// The offset of the next instruction in CS.
    Ip,
    KernelGsBase,
    Cr0,
    Cr2,
    Cr3,
    Cr4,
    Cr8,
    Efer,
    Table(Table, Part),
}

/// Registers of the x87 unit but for the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum X87 {
    Control,
    Status,
    Tags,
    InstructionSelector,
    InstructionOffset,
    OperandSelector,
    OperandOffset,
    Opcode,
}

/// A table of descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Gdt,
    Idt,
}

/// A part of a table register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Base,
    Limit,
}

/// A register with its name and width.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) bits: u32,
    /// Its type in the target description.
    pub(crate) kind: &'static str,
    pub(crate) reg: Reg,
}

/// Registers that belong together; a name may come twice.
#[derive(Clone, Debug)]
pub(crate) struct Feature {
    pub(crate) name: &'static str,
    pub(crate) entries: Vec<Entry>,
}

/// The feature without which gdb knows no x86.
pub(crate) const CORE: &str = "org.gnu.gdb.i386.core";

/// How wide the registers are that gdb is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Eight general registers of 32 bits: `i386`.
    I386,
    /// Sixteen general registers of 64 bits: `i386:x86-64`. If the session begins in code of
    /// another size, the eight of 32 bits are there too, by their own names, so that gdb can be
    /// set to any architecture of x86.
    X86_64,
}

/// All registers, in gdb's order.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) architecture: Architecture,
    pub(crate) features: Vec<Feature>,
}

const GPRS_64: [(&str, usize); 16] = [
    ("rax", gpr::RAX),
    ("rbx", gpr::RBX),
    ("rcx", gpr::RCX),
    ("rdx", gpr::RDX),
    ("rsi", gpr::RSI),
    ("rdi", gpr::RDI),
    ("rbp", gpr::RBP),
    ("rsp", gpr::RSP),
    ("r8", 8),
    ("r9", 9),
    ("r10", 10),
    ("r11", 11),
    ("r12", 12),
    ("r13", 13),
    ("r14", 14),
    ("r15", 15),
];
const GPRS_32: [(&str, usize); 8] = [
    ("eax", gpr::RAX),
    ("ecx", gpr::RCX),
    ("edx", gpr::RDX),
    ("ebx", gpr::RBX),
    ("esp", gpr::RSP),
    ("ebp", gpr::RBP),
    ("esi", gpr::RSI),
    ("edi", gpr::RDI),
];
const SELECTORS: [(&str, Seg); 6] = [
    ("cs", Seg::Cs),
    ("ss", Seg::Ss),
    ("ds", Seg::Ds),
    ("es", Seg::Es),
    ("fs", Seg::Fs),
    ("gs", Seg::Gs),
];
const STACK: [&str; 8] = ["st0", "st1", "st2", "st3", "st4", "st5", "st6", "st7"];
const X87S: [(&str, X87); 8] = [
    ("fctrl", X87::Control),
    ("fstat", X87::Status),
    ("ftag", X87::Tags),
    ("fiseg", X87::InstructionSelector),
    ("fioff", X87::InstructionOffset),
    ("foseg", X87::OperandSelector),
    ("fooff", X87::OperandOffset),
    ("fop", X87::Opcode),
];
const XMMS: [&str; 16] = [
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
    "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
];
const YMMS: [&str; 16] = [
    "ymm0h", "ymm1h", "ymm2h", "ymm3h", "ymm4h", "ymm5h", "ymm6h", "ymm7h", "ymm8h", "ymm9h",
    "ymm10h", "ymm11h", "ymm12h", "ymm13h", "ymm14h", "ymm15h",
];
const BASES: [(&str, Seg); 6] = [
    ("cs_base", Seg::Cs),
    ("ss_base", Seg::Ss),
    ("ds_base", Seg::Ds),
    ("es_base", Seg::Es),
    ("fs_base", Seg::Fs),
    ("gs_base", Seg::Gs),
];
const LIMITS: [(&str, Seg); 6] = [
    ("cs_limit", Seg::Cs),
    ("ss_limit", Seg::Ss),
    ("ds_limit", Seg::Ds),
    ("es_limit", Seg::Es),
    ("fs_limit", Seg::Fs),
    ("gs_limit", Seg::Gs),
];
const TABLES: [(&str, Table, Part); 4] = [
    ("gdtr_base", Table::Gdt, Part::Base),
    ("gdtr_limit", Table::Gdt, Part::Limit),
    ("idtr_base", Table::Idt, Part::Base),
    ("idtr_limit", Table::Idt, Part::Limit),
];

fn entry(name: &'static str, bits: u32, kind: &'static str, reg: Reg) -> Entry {
    Entry { name, bits, kind, reg }
}

impl Layout {
    /// All that this vCPU has.
    pub(crate) fn of(vcpu: &Vcpu, architecture: Architecture) -> Self {
        let [_, _, ecx, edx] = vcpu.cpuid(1, 0);
        let wide = architecture == Architecture::X86_64;
        let both = wide && !vcpu.is_64_bit();
        let vectors = if wide { 16 } else { 8 };
        let mut features = vec![Feature { name: CORE, entries: core(wide, both) }];
        if edx & EDX_SSE != 0 {
            let xmms = XMMS.iter().take(vectors).enumerate();
            let mut entries: Vec<_> =
                xmms.map(|(n, name)| entry(name, 128, "vec128", Reg::Xmm(n))).collect();
            entries.push(entry("mxcsr", 32, "int", Reg::Mxcsr));
            features.push(Feature { name: "org.gnu.gdb.i386.sse", entries });
        }
        if ecx & ECX_AVX != 0 {
            let ymms = YMMS.iter().take(vectors).enumerate();
            let entries = ymms.map(|(n, name)| entry(name, 128, "uint128", Reg::YmmHigh(n)));
            features.push(Feature { name: "org.gnu.gdb.i386.avx", entries: entries.collect() });
        }
        features.push(Feature { name: "org.cutaway.system", entries: system() });
        if both {
            features.push(Feature { name: CORE, entries: narrow() });
        }
        Self { architecture, features }
    }

    /// All registers in gdb's order: the index is gdb's number.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.features.iter().flat_map(|feature| &feature.entries)
    }
}

/// The width of gdb's pointers goes by what it is set to: if that can change, registers must not
/// be pointers.
fn core(wide: bool, both: bool) -> Vec<Entry> {
    let (names, bits, kind): (&[_], _, _) =
        if wide { (&GPRS_64, 64, "int64") } else { (&GPRS_32, 32, "int32") };
    let (data, code) = if both { ("uint64", "uint64") } else { ("data_ptr", "code_ptr") };
    let is_stack = |number| matches!(number, gpr::RSP | gpr::RBP);
    let kind = |number| if is_stack(number) { data } else { kind };
    let gprs =
        names.iter().map(|&(name, number)| entry(name, bits, kind(number), Reg::Gpr(number)));
    let mut entries: Vec<_> = gprs.collect();
    entries.push(entry(if wide { "rip" } else { "eip" }, bits, code, Reg::Pc));
    entries.push(entry("eflags", 32, "eflags", Reg::Eflags));
    entries.extend(SELECTORS.map(|(name, seg)| entry(name, 32, "int32", Reg::Selector(seg))));
    let stack = STACK.iter().enumerate();
    entries.extend(stack.map(|(n, name)| entry(name, 80, "i387_ext", Reg::St(n))));
    entries.extend(X87S.map(|(name, which)| entry(name, 32, "int", Reg::X87(which))));
    entries
}

/// What gdb asks for when it is set to `i386` or `i8086`.
fn narrow() -> Vec<Entry> {
    let gprs = GPRS_32.map(|(name, number)| entry(name, 32, "int32", Reg::Gpr(number)));
    gprs.into_iter().chain([entry("eip", 32, "uint32", Reg::Pc)]).collect()
}

fn system() -> Vec<Entry> {
    let mut entries = vec![
        entry("ip", 64, "int64", Reg::Ip),
        entry("cr0", 64, "cr0", Reg::Cr0),
        entry("cr2", 64, "uint64", Reg::Cr2),
        entry("cr3", 64, "uint64", Reg::Cr3),
        entry("cr4", 64, "cr4", Reg::Cr4),
        entry("cr8", 64, "uint64", Reg::Cr8),
        entry("efer", 64, "efer", Reg::Efer),
        entry("k_gs_base", 64, "uint64", Reg::KernelGsBase),
    ];
    entries.extend(BASES.map(|(name, seg)| entry(name, 64, "uint64", Reg::Base(seg))));
    entries.extend(LIMITS.map(|(name, seg)| entry(name, 32, "uint32", Reg::Limit(seg))));
    entries.extend(TABLES.map(|(name, table, part)| match part {
        Part::Base => entry(name, 64, "uint64", Reg::Table(table, part)),
        Part::Limit => entry(name, 32, "uint32", Reg::Table(table, part)),
    }));
    entries
}

impl Entry {
    /// Its bytes, little-endian, as many as it is wide.
    pub(crate) fn bytes(&self, state: &CpuState) -> Vec<u8> {
        let mut bytes = match self.reg {
            Reg::St(n) => state.x87.st(n).to_bytes().to_vec(),
            Reg::Xmm(n) => state.xmm[n].0.to_vec(),
            Reg::YmmHigh(n) => state.ymm_high[n].0.to_vec(),
            reg => reg.value(state).to_le_bytes().to_vec(),
        };
        bytes.resize(self.bits as usize / 8, 0);
        bytes
    }
}

impl Reg {
    /// Its value, if it has at most 64 bits; else 0.
    pub(crate) fn value(self, state: &CpuState) -> u64 {
        let system = &state.system;
        let segment = |seg: Seg| &system.segments[seg as usize];
        match self {
            Self::Gpr(number) => state.gpr[number],
            Self::Pc => mode::pc(state),
            Self::Eflags => state.rflags,
            Self::Selector(seg) => u64::from(segment(seg).selector),
            Self::X87(which) => x87(state, which),
            Self::Mxcsr => u64::from(state.mxcsr),
            Self::Base(seg) => segment(seg).base,
            Self::Limit(seg) => u64::from(segment(seg).limit),
            Self::Ip => state.rip,
            Self::KernelGsBase => system.msrs.kernel_gs_base,
            Self::Cr0 => system.cr0,
            Self::Cr2 => system.cr2,
            Self::Cr3 => system.cr3,
            Self::Cr4 => system.cr4,
            Self::Cr8 => system.cr8,
            Self::Efer => system.efer,
            Self::Table(table, part) => {
                let TableRegister { base, limit } = match table {
                    Table::Gdt => system.gdtr,
                    Table::Idt => system.idtr,
                };
                if part == Part::Base { base } else { u64::from(limit) }
            }
            Self::St(_) | Self::Xmm(_) | Self::YmmHigh(_) => 0,
        }
    }
}

fn x87(state: &CpuState, which: X87) -> u64 {
    let x87 = &state.x87;
    match which {
        X87::Control => u64::from(x87.control()),
        X87::Status => u64::from(x87.status()),
        X87::Tags => u64::from(x87.tag_word()),
        X87::InstructionSelector => u64::from(x87.instruction_selector),
        X87::InstructionOffset => x87.instruction_pointer,
        X87::OperandSelector => u64::from(x87.data_selector),
        X87::OperandOffset => x87.data_pointer,
        X87::Opcode => u64::from(x87.opcode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_cpu::CpuModel;

    fn layout(model: &str, architecture: Architecture) -> Layout {
        Layout::of(&Vcpu::new(CpuModel::by_name(model).unwrap()), architecture)
    }

    fn bytes(layout: &Layout, name: &str, state: &CpuState) -> Vec<u8> {
        let entry = layout.entries().find(|entry| entry.name == name);
        entry.unwrap_or_else(|| panic!("no {name}")).bytes(state)
    }

    #[test]
    fn registers_are_little_endian_and_as_wide_as_described() {
        let layout = layout("x86-64-v3", Architecture::X86_64);
        let mut state = CpuState::reset(0x1234_5678);
        state.xmm[15].0[0] = 0xaa;
        state.ymm_high[3].0[15] = 0xbb;

        assert_eq!(bytes(&layout, "rdx", &state), [0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0]);
        assert_eq!(bytes(&layout, "rip", &state), [0xf0, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        assert_eq!(bytes(&layout, "ip", &state), [0xf0, 0xff, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes(&layout, "cs", &state), [0, 0xf0, 0, 0]);
        assert_eq!(bytes(&layout, "cs_base", &state), [0, 0, 0xff, 0xff, 0, 0, 0, 0]);
        assert_eq!(bytes(&layout, "fctrl", &state), [0x40, 0, 0, 0]);
        assert_eq!(bytes(&layout, "xmm15", &state)[0], 0xaa);
        assert_eq!(bytes(&layout, "ymm3h", &state)[15], 0xbb);
        for entry in layout.entries() {
            let len = entry.bytes(&state).len() as u32;
            assert_eq!(len * 8, entry.bits, "{}", entry.name);
        }
    }

    /// gdb's own order, on which its register numbers rest: amd64-tdep.h, i386-tdep.h.
    #[test]
    fn the_first_registers_have_gdbs_numbers() {
        let wide = layout("x86-64-v1", Architecture::X86_64);
        let narrow = layout("486", Architecture::I386);
        let number = |layout: &Layout, name| layout.entries().position(|e| e.name == name);

        let found = ["rip", "eflags", "st0", "fctrl", "xmm0", "mxcsr"].map(|n| number(&wide, n));
        assert_eq!(found, [16, 17, 24, 32, 40, 56].map(Some));
        let found = ["esp", "eip", "eflags", "st0", "fctrl"].map(|n| number(&narrow, n));
        assert_eq!(found, [4, 8, 9, 16, 24].map(Some));
    }

    #[test]
    fn a_model_shows_only_what_it_has() {
        let has = |model, architecture, name| {
            layout(model, architecture).entries().any(|entry| entry.name == name)
        };

        assert!(!has("486", Architecture::I386, "xmm0"));
        assert!(has("pentium3", Architecture::I386, "xmm7"));
        assert!(!has("pentium3", Architecture::I386, "xmm8"));
        assert!(!has("x86-64-v2", Architecture::X86_64, "ymm0h"));
        assert!(has("x86-64-v3", Architecture::X86_64, "ymm15h"));
    }
}
