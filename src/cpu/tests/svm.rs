//! SVM: guests entered by the door and by VMRUN, what intercepts them and what the VMCB then says.
//! Sections are those of AMD APM vol. 2.

mod bench;

use bench::{Bench, CODE};
use cutaway_cpu::svm::{SegmentField, Vmcb, event, exit, exit_name, field, npf, vintr};
use cutaway_cpu::{CpuModel, Exception, Exit, Segment, gpr};
use cutaway_isa::{Assembly, CodeSize, assemble};

const VMCB: u64 = 0x20_0000;
const HSAVE: u64 = 0x20_1000;
const IOPM: u64 = 0x21_0000;
const MSRPM: u64 = 0x22_0000;
const GUEST_CODE: u64 = 0x30_0000;
const GUEST_STACK: u64 = 0x31_0000;
const GUEST_IDT: u64 = 0x32_0000;
const HANDLER: u64 = 0x33_0000;
const GUEST_GDT: u64 = 0x34_0000;
/// Nested PML4, PDPT, PD and the page table of the first 2 MiB from 20_0000h on.
const NESTED: u64 = 0x40_0000;

fn bytes(size: CodeSize, origin: u64, source: &str) -> Vec<u8> {
    assemble(source, Assembly { size, origin }).expect("the test's source assembles").bytes
}

/// A host in 64-bit mode with SVM on, and a VMCB of a 64-bit guest with this code. Only VMRUN and
/// HLT are intercepted.
struct Party {
    bench: Bench,
}

impl Party {
    fn new(guest: &str) -> Self {
        Self::with_host("hlt", guest)
    }

    fn with_host(host: &str, guest: &str) -> Self {
        let model = CpuModel::by_name("max,+svm").expect("the model is there");
        let mut bench = Bench::long_of(model, &bytes(CodeSize::Bits64, CODE, host));
        bench.edit(|s| {
            s.system.efer |= 0x1000;
            s.svm.hsave_pa = HSAVE;
        });
        bench.bus.memory.write(GUEST_CODE, &bytes(CodeSize::Bits64, GUEST_CODE, guest));
        let mut this = Self { bench };
        this.intercept(&[exit::VMRUN, exit::HLT]);
        for (field, value) in [
            (field::IOPM_BASE_PA, IOPM),
            (field::MSRPM_BASE_PA, MSRPM),
            (field::GUEST_ASID, 1),
            (field::EFER, 0x1d00),
            (field::CR0, 0x8000_0033),
            (field::CR3, 0x1000),
            (field::CR4, 0x620),
            (field::DR6, 0xffff_0ff0),
            (field::DR7, 0x400),
            (field::RFLAGS, 2),
            (field::RIP, GUEST_CODE),
            (field::RSP, GUEST_STACK),
            (field::G_PAT, 0x0007_0406_0007_0406),
        ] {
            this.set(field, value);
        }
        let code = Segment { selector: 8, attributes: 0xa09b, limit: u32::MAX, base: 0 };
        let data = Segment { selector: 16, attributes: 0xc093, ..code };
        for (place, segment) in [
            (SegmentField::Cs, code),
            (SegmentField::Ss, data),
            (SegmentField::Ds, data),
            (SegmentField::Es, data),
        ] {
            Vmcb { address: VMCB }.set_segment(&mut this.bench.bus.memory, place, &segment);
        }
        this.idt();
        this
    }

    /// An IDT of interrupt gates, vector n to HANDLER + 16 n, which is HLT.
    fn idt(&mut self) {
        let memory = &mut self.bench.bus.memory;
        memory.write(GUEST_GDT + 8, &0x00af_9b00_0000_ffff_u64.to_le_bytes());
        memory.write(GUEST_GDT + 16, &0x00cf_9300_0000_ffff_u64.to_le_bytes());
        for vector in 0..256 {
            let target = HANDLER + 16 * vector;
            let gate = target & 0xffff | 8 << 16 | 0x8e00 << 32 | (target >> 16 & 0xffff) << 48;
            memory.write(GUEST_IDT + 16 * vector, &gate.to_le_bytes());
            memory.write(target, &[0xf4]);
        }
        let table = |base| Segment { selector: 0, attributes: 0, limit: 0xfff, base };
        let vmcb = Vmcb { address: VMCB };
        vmcb.set_segment(memory, SegmentField::Idtr, &table(GUEST_IDT));
        vmcb.set_segment(memory, SegmentField::Gdtr, &table(GUEST_GDT));
    }

    fn set(&mut self, field: cutaway_cpu::svm::Field, value: u64) {
        Vmcb { address: VMCB }.set(&mut self.bench.bus.memory, field, value);
    }

    fn get(&self, field: cutaway_cpu::svm::Field) -> u64 {
        Vmcb { address: VMCB }.get(&self.bench.bus.memory, field)
    }

    fn intercept(&mut self, codes: &[u64]) {
        for &code in codes {
            Vmcb { address: VMCB }.intercept(&mut self.bench.bus.memory, code);
        }
    }

    /// Identity tables for the first GiB, with 4 KiB pages from 20_0000h to 40_0000h.
    fn nest(&mut self) {
        let memory = &mut self.bench.bus.memory;
        memory.write(NESTED, &(NESTED + 0x1007).to_le_bytes());
        memory.write(NESTED + 0x1000, &(NESTED + 0x2007).to_le_bytes());
        for n in 0..512 {
            let entry = if n == 1 { NESTED + 0x3007 } else { n << 21 | 0x87 };
            memory.write(NESTED + 0x2000 + 8 * n, &entry.to_le_bytes());
            let page = (0x20_0000 + (n << 12)) | 7;
            memory.write(NESTED + 0x3000 + 8 * n, &page.to_le_bytes());
        }
        self.set(field::NP_ENABLE, 1);
        self.set(field::N_CR3, NESTED);
    }

    /// The nested entry of a page from 20_0000h to 40_0000h.
    fn nested_entry(&self, address: u64) -> u64 {
        let mut raw = [0; 8];
        self.bench.bus.memory.read(NESTED + 0x3000 + 8 * (address >> 12 & 0x1ff), &mut raw);
        u64::from_le_bytes(raw)
    }

    fn set_nested_entry(&mut self, address: u64, entry: u64) {
        let at = NESTED + 0x3000 + 8 * (address >> 12 & 0x1ff);
        self.bench.bus.memory.write(at, &entry.to_le_bytes());
    }

    /// Enters by the door and runs to the next #VMEXIT; its code.
    fn enter(&mut self) -> u64 {
        self.bench.cpu.set_vmexit_stops(true);
        self.bench.cpu.vmrun(&mut self.bench.bus, VMCB).expect("the host may enter");
        self.resume()
    }

    fn resume(&mut self) -> u64 {
        let exit = self.bench.cpu.run(&mut self.bench.bus, 10_000);
        assert_eq!(exit, Exit::VmExit);
        self.get(field::EXITCODE)
    }

    /// The bytes from the beginning of the guest's code to RIP.
    fn distance(&self) -> u64 {
        self.get(field::RIP) - GUEST_CODE
    }
}

#[test]
fn a_guest_runs_to_hlt_and_the_host_is_as_it_was() {
    let mut party = Party::new("mov rbx, 7\nmov rax, 5\nmov rsp, 0x1234\nstc\nhlt");
    let before = party.bench.cpu.save();

    assert_eq!(exit_name(party.enter()), "VMEXIT_HLT");

    let after = party.bench.cpu.save();
    assert_eq!((after.rip, after.rflags, after.gpr[0]), (CODE, before.rflags, before.gpr[0]));
    assert_eq!((after.gpr[4], after.gpr[gpr::RBX]), (before.gpr[4], 7), "RBX is not swapped");
    assert_eq!(after.system.segments, before.system.segments);
    assert!(!after.svm.gif, "#VMEXIT clears GIF");
    assert_eq!((party.get(field::RAX), party.get(field::RSP)), (5, 0x1234));
    assert_eq!(party.get(field::RFLAGS) & 1, 1);
    assert_eq!(party.get(field::NRIP), party.get(field::RIP) + 1);
}

/// §15.9: the RIP is that of the intercepted instruction, nRIP that behind it.
#[test]
#[rustfmt::skip] // a row a case
fn instructions_are_intercepted_before_they_run() {
    let bit63 = 1 << 63;
    let rows = [
        ("cpuid",                exit::CPUID,         0,       2),
        ("rdtsc",                exit::RDTSC,         0,       2),
        ("rdtscp",               exit::RDTSCP,        0,       3),
        ("pushfq",               exit::PUSHF,         0,       1),
        ("popfq",                exit::POPF,          0,       1),
        ("iretq",                exit::IRET,          0,       2),
        ("int 0x42",             exit::SWINT,         0x42,    2),
        ("int3",                 exit::EXCEPTION + 3, 0,       1),
        ("int1",                 exit::ICEBP,         0,       1),
        ("pause",                exit::PAUSE,         0,       2),
        ("invd",                 exit::INVD,          0,       2),
        ("wbinvd",               exit::WBINVD,        0,       2),
        ("invlpg [0x1234]",      exit::INVLPG,        0x1234,  8),
        ("vmmcall",              exit::VMMCALL,       0,       3),
        ("stgi",                 exit::STGI,          0,       3),
        ("clgi",                 exit::CLGI,          0,       3),
        ("vmload rax",           exit::VMLOAD,        0,       3),
        ("vmsave rax",           exit::VMSAVE,        0,       3),
        ("vmrun rax",            exit::VMRUN,         0,       3),
        ("mov r9, cr0",          exit::CR_READ,       bit63 | 9, 4),
        ("mov cr3, rbx",         exit::CR_WRITE + 3,  bit63 | 3, 3),
        ("mov rcx, cr8",         exit::CR_READ + 8,   bit63 | 1, 4),
        ("clts",                 exit::CR_WRITE,      0,       2),
        ("smsw ax",              exit::CR_READ,       0,       4),
        ("lmsw ax",              exit::CR_WRITE,      0,       3),
        ("mov rdx, dr7",         exit::DR_READ + 7,   2,       3),
        ("mov dr0, rdx",         exit::DR_WRITE,      2,       3),
        ("sidt [0x5000]",        exit::IDTR_READ,     0,       8),
        ("lgdt [0x5000]",        exit::GDTR_WRITE,    0,       8),
        ("sldt ax",              exit::LDTR_READ,     0,       4),
        ("ltr ax",               exit::TR_WRITE,      0,       3),
        ("rdpmc",                exit::RDPMC,         0,       2),
        ("rsm",                  exit::RSM,           0,       2),
    ];
    for (source, code, info1, length) in rows {
        let mut party = Party::new(&format!("nop\n{source}\nhlt"));
        party.intercept(&[code]);

        assert_eq!(exit_name(party.enter()), exit_name(code), "{source}");
        assert_eq!(party.get(field::EXITINFO1), info1, "{source}");
        assert_eq!(party.distance(), 1, "{source}");
        assert_eq!(party.get(field::NRIP) - party.get(field::RIP), length, "{source}");
    }
}

#[test]
fn what_is_not_intercepted_runs() {
    let source = "cpuid\npushfq\npopfq\npause\nmov rax, cr0\nmov cr0, rax\nrdtsc\nclts\nhlt";
    let mut party = Party::new(source);

    assert_eq!(exit_name(party.enter()), "VMEXIT_HLT");
}

/// §15.9.1: TS and MP do not count.
#[test]
fn the_selective_intercept_of_cr0_heeds_what_changes() {
    let source = "mov rax, cr0\nxor rax, 10\nmov cr0, rax\nxor eax, 0x10000\nmov cr0, rax\nhlt";
    let mut party = Party::new(source);
    party.intercept(&[exit::CR0_SEL_WRITE]);

    assert_eq!(exit_name(party.enter()), "VMEXIT_CR0_SEL_WRITE");
    assert_eq!(party.distance(), 3 + 4 + 3 + 5);
    assert_eq!(party.get(field::CR0), 0x8000_0039, "the first write went through");
}

/// §15.10: a bit a port; EXITINFO1 tells how it was accessed.
#[test]
fn the_io_permission_map_decides_about_ports() {
    let mut party = Party::new("in al, 0x70\nmov dx, 0x3f8\nout dx, ax\nhlt");
    party.intercept(&[exit::IOIO]);
    party.bench.bus.memory.write(IOPM + 0x3f9 / 8, &[1 << 1]);

    assert_eq!(exit_name(party.enter()), "VMEXIT_IOIO", "the second port of the word");
    assert_eq!(party.get(field::EXITINFO1), 0x3f8 << 16 | 1 << 9 | 1 << 5);
    assert_eq!(party.get(field::EXITINFO2), GUEST_CODE + 2 + 4 + 2);

    party.bench.bus.memory.write(IOPM + 0x3f9 / 8, &[0]);
    assert_eq!(exit_name(party.enter()), "VMEXIT_HLT");
    assert_eq!(party.bench.bus.written.len(), 1);
}

#[test]
fn a_string_to_a_port_tells_its_repetition_and_segment() {
    let mut party = Party::new("mov ecx, 3\nmov dx, 0x3f8\nrep outsb\nhlt");
    party.intercept(&[exit::IOIO]);
    party.bench.bus.memory.write(IOPM, &[0xff; 0x3000]);

    assert_eq!(exit_name(party.enter()), "VMEXIT_IOIO");
    let string = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 9 | 3 << 10;
    assert_eq!(party.get(field::EXITINFO1), 0x3f8 << 16 | string);
}

/// §15.11: two bits an MSR; what the map does not cover is always intercepted.
#[test]
fn the_msr_permission_map_decides_about_msrs() {
    let source = "mov ecx, 0xc0000082\nrdmsr\nwrmsr\nmov ecx, 0x12345678\nrdmsr\nhlt";
    let mut party = Party::new(source);
    party.intercept(&[exit::MSR]);
    party.bench.bus.memory.write(MSRPM + 0x800 + 0x82 / 4, &[0b10_0000]);

    assert_eq!(exit_name(party.enter()), "VMEXIT_MSR");
    assert_eq!((party.get(field::EXITINFO1), party.distance()), (1, 7), "only the write");

    party.set(field::RIP, GUEST_CODE + 9);
    assert_eq!(exit_name(party.enter()), "VMEXIT_MSR");
    assert_eq!((party.get(field::EXITINFO1), party.distance()), (0, 14));
}

/// §15.12: the fault is told, and nothing of it has happened.
#[test]
fn exceptions_are_intercepted_before_they_are_delivered() {
    let mut party = Party::new("mov rax, 0x123456789\nmov rbx, [rax]\nhlt");
    party.intercept(&[exit::EXCEPTION + 14]);

    assert_eq!(exit_name(party.enter()), "VMEXIT_EXCP14");
    assert_eq!(party.get(field::EXITINFO1), 0, "not present, a read by the supervisor");
    assert_eq!(party.get(field::EXITINFO2), 0x1_2345_6789);
    assert_eq!(party.get(field::CR2), 0);
    assert_eq!((party.distance(), party.get(field::BYTES_FETCHED)), (10, 15));
    assert_eq!(party.get(field::INSTRUCTION_BYTES), 0x48, "mov rbx, [rax]");

    let mut party = Party::new("ud2");
    assert_eq!(exit_name(party.enter()), "VMEXIT_HLT");
    assert_eq!(party.get(field::RIP), HANDLER + 16 * 6, "the guest has handled it");
}

/// §15.7.2: an exception within a delivery tells of the event.
#[test]
fn a_fault_in_a_delivery_tells_what_was_being_delivered() {
    let mut party = Party::new("mov rsp, 0x123456789000\nint 0x42\nhlt");
    party.intercept(&[exit::EXCEPTION + 14]);

    assert_eq!(exit_name(party.enter()), "VMEXIT_EXCP14");
    assert_eq!(party.get(field::EXITINTINFO), event::V | event::SOFTWARE << 8 | 0x42);
    assert_eq!(party.distance(), 10);
}

#[test]
fn a_triple_fault_is_intercepted_as_shutdown() {
    let mut party = Party::new("mov rsp, 0x123456789000\nint 0x42\nhlt");
    party.intercept(&[exit::SHUTDOWN]);

    assert_eq!(exit_name(party.enter()), "VMEXIT_SHUTDOWN");
}

/// §15.20.
#[test]
#[rustfmt::skip]
fn events_are_injected_through_the_guests_idt() {
    let v = event::V;
    let rows = [
        (v | event::INTR << 8 | 0x31,                           0x31, GUEST_CODE, None),
        (v | event::NMI << 8 | 0x31,                            2,    GUEST_CODE, None),
        (v | event::EXCEPTION << 8 | event::EV | 13 | 8 << 32,  13,   GUEST_CODE, Some(8)),
        (v | event::EXCEPTION << 8 | 6,                         6,    GUEST_CODE, None),
        (v | event::EXCEPTION << 8 | 3,                         3,    0x9999,     None),
        (v | event::SOFTWARE << 8 | 0x80,                       0x80, 0x9999,     None),
    ];
    for (inject, vector, returns_to, code) in rows {
        let mut party = Party::new("nop");
        party.set(field::EVENTINJ, inject);
        party.set(field::NRIP, 0x9999);
        party.set(field::RSP, GUEST_STACK);

        assert_eq!(exit_name(party.enter()), "VMEXIT_HLT", "{inject:x}");
        assert_eq!(party.get(field::RIP), HANDLER + 16 * vector, "{inject:x}");
        assert_eq!(party.get(field::EVENTINJ), 0);
        let mut frame = [0; 16];
        party.bench.bus.memory.read(party.get(field::RSP), &mut frame);
        let [first, second] = [0, 8].map(|at| u64::from_le_bytes(frame[at..at + 8].try_into().unwrap()));
        let rip = if let Some(code) = code { assert_eq!(first, code); second } else { first };
        assert_eq!(rip, returns_to, "{inject:x}");
    }
}

#[test]
fn an_injection_that_faults_says_so() {
    let mut party = Party::new("nop");
    party.set(field::RSP, 0x1234_5678_9000);
    let inject = event::V | event::EXCEPTION << 8 | event::EV | 13 | 0x18 << 32;
    party.set(field::EVENTINJ, inject);
    party.intercept(&[exit::EXCEPTION + 14]);

    assert_eq!(exit_name(party.enter()), "VMEXIT_EXCP14");
    assert_eq!(party.get(field::EXITINTINFO), inject);
}

/// §15.21.4: V_IRQ waits for IF and for its priority.
#[test]
fn a_virtual_interrupt_comes_when_the_guest_lets_it() {
    let irq = vintr::V_IRQ | 5 << vintr::V_INTR_PRIO_SHIFT | 0x77 << vintr::V_INTR_VECTOR_SHIFT;
    let mut party = Party::new("nop\nsti\nnop\nnop\nhlt");
    party.set(field::V_INTR, irq | vintr::V_INTR_MASKING);

    assert_eq!(exit_name(party.enter()), "VMEXIT_HLT");
    assert_eq!(party.get(field::RIP), HANDLER + 16 * 0x77);
    assert_eq!(party.get(field::V_INTR) & vintr::V_IRQ, 0, "it has been taken");

    let mut party = Party::new("sti\nnop\nnop\nhlt");
    party.set(field::V_INTR, irq | vintr::V_INTR_MASKING | 5);
    assert_eq!(exit_name(party.enter()), "VMEXIT_HLT");
    assert_eq!(party.distance(), 3, "V_TPR holds it off");

    let mut party = Party::new("sti\nnop\nnop\nhlt");
    party.set(field::V_INTR, irq | vintr::V_IGN_TPR | 5);
    party.intercept(&[exit::VINTR]);
    assert_eq!(exit_name(party.enter()), "VMEXIT_VINTR");
    assert_eq!(party.distance(), 2, "behind the shadow of STI");
    assert_ne!(party.get(field::V_INTR) & vintr::V_IRQ, 0);
}

/// §15.21.1: under V_INTR_MASKING the host's IF decides about physical interrupts.
#[test]
fn a_physical_interrupt_leaves_the_guest() {
    let mut party = Party::new("nop\njmp $-1");
    party.bench.edit(|s| s.rflags |= 0x200);
    party.bench.bus.intr = true;
    party.set(field::V_INTR, vintr::V_INTR_MASKING);
    party.intercept(&[exit::INTR]);

    assert_eq!(exit_name(party.enter()), "VMEXIT_INTR");
    assert_eq!(party.distance(), 0);
    assert_eq!(party.bench.cpu.save().rip, CODE, "the host has not taken it: GIF is clear");
}

/// §15.25.6.
#[test]
fn a_missing_nested_page_is_an_npf() {
    let mut party = Party::new("mov [0x350123], al\nhlt");
    party.nest();
    party.set_nested_entry(0x35_0000, 0);

    assert_eq!(exit_name(party.enter()), "VMEXIT_NPF");
    assert_eq!(party.get(field::EXITINFO1), npf::FINAL | 0b110, "a write, as user");
    assert_eq!(party.get(field::EXITINFO2), 0x35_0123);
    assert_eq!((party.distance(), party.get(field::BYTES_FETCHED)), (0, 15));

    party.set_nested_entry(0x35_0000, 0x36_0007);
    assert_eq!(exit_name(party.enter()), "VMEXIT_HLT");
    assert_eq!(party.nested_entry(0x35_0000), 0x36_0067, "accessed and dirty");
}

#[test]
fn nested_rights_and_bits_are_heeded() {
    let mut party = Party::new("mov al, [0x350000]\nmov [0x350000], al\nhlt");
    party.nest();
    party.set_nested_entry(0x35_0000, 0x36_0005);

    assert_eq!(exit_name(party.enter()), "VMEXIT_NPF");
    assert_eq!(party.get(field::EXITINFO1), npf::FINAL | 0b111);
    assert_eq!(party.nested_entry(0x35_0000), 0x36_0025, "read, not written");
    assert_eq!(party.nested_entry(GUEST_CODE), GUEST_CODE | 0x27);

    let mut party = Party::new("hlt");
    party.nest();
    party.set_nested_entry(GUEST_CODE, GUEST_CODE | 3);
    assert_eq!(exit_name(party.enter()), "VMEXIT_NPF", "all accesses are user accesses");
    assert_eq!(party.get(field::EXITINFO1), npf::FINAL | 0b1_0101, "a fetch");
    assert_eq!(party.get(field::BYTES_FETCHED), 0);
}

/// §15.25.5: a guest's page table is written to, as far as the nested table is concerned.
#[test]
fn the_guests_page_tables_are_translated_as_written() {
    let mut party = Party::new("hlt");
    party.nest();
    party.set(field::CR3, 0x37_0000);
    let mut tables = [0; 8];
    party.bench.bus.memory.read(0x1000, &mut tables);
    party.bench.bus.memory.write(0x38_0000, &tables);
    party.set_nested_entry(0x37_0000, 0x38_0005);

    assert_eq!(exit_name(party.enter()), "VMEXIT_NPF");
    assert_eq!(party.get(field::EXITINFO1), npf::TABLE | 0b111);
    assert_eq!(party.get(field::EXITINFO2), 0x37_0000);

    party.set_nested_entry(0x37_0000, 0x38_0007);
    assert_eq!(exit_name(party.enter()), "VMEXIT_HLT");
}

/// §15.25.10: PDPTEs of a PAE guest are read in the walk, through the nested tables.
#[test]
fn a_pae_guest_runs_under_nested_tables() {
    let mut party = Party::new("");
    let code = bytes(CodeSize::Bits32, 0x1000, "mov eax, [0x5000]\nhlt");
    let memory = &mut party.bench.bus.memory;
    memory.write(0x35_0000, &0x35_1001_u64.to_le_bytes());
    memory.write(0x35_1000, &0x35_2007_u64.to_le_bytes());
    memory.write(0x35_2008, &(GUEST_CODE | 7).to_le_bytes());
    memory.write(0x35_2028, &0x36_0007_u64.to_le_bytes());
    memory.write(0x37_0000, &0x1234_5678_u64.to_le_bytes());
    memory.write(GUEST_CODE, &code);
    party.nest();
    party.set_nested_entry(0x36_0000, 0x37_0007);
    for (field, value) in [
        (field::CR0, 0x8000_0033),
        (field::CR3, 0x35_0000),
        (field::CR4, 0x620),
        (field::EFER, 0x1000),
        (field::RIP, 0x1000),
    ] {
        party.set(field, value);
    }
    let cs = Segment { selector: 8, attributes: 0xc09b, limit: u32::MAX, base: 0 };
    Vmcb { address: VMCB }.set_segment(&mut party.bench.bus.memory, SegmentField::Cs, &cs);

    assert_eq!(exit_name(party.enter()), "VMEXIT_HLT");
    assert_eq!(party.get(field::RAX), 0x1234_5678);

    party.set(field::RIP, 0x1000);
    party.set(field::TLB_CONTROL, 1);
    party.set_nested_entry(0x35_0000, 0);
    assert_eq!(exit_name(party.enter()), "VMEXIT_NPF");
    assert_eq!(party.get(field::EXITINFO2), 0x35_0000);
    assert_eq!(party.get(field::EXITINFO1) >> 32, 2, "of the guest's tables");
}

/// §15.25.5: without paging of its own a guest's linear addresses are guest-physical ones.
#[test]
fn a_guest_without_paging_is_translated_once() {
    let mut party = Party::new("");
    let code = bytes(CodeSize::Bits32, GUEST_CODE, "mov eax, [0x350000]\nhlt");
    party.bench.bus.memory.write(GUEST_CODE, &code);
    party.bench.bus.memory.write(0x36_0000, &0x77_u32.to_le_bytes());
    party.nest();
    party.set_nested_entry(0x35_0000, 0x36_0007);
    for (field, value) in [(field::CR0, 0x33), (field::CR4, 0), (field::EFER, 0x1000)] {
        party.set(field, value);
    }
    let cs = Segment { selector: 8, attributes: 0xc09b, limit: u32::MAX, base: 0 };
    Vmcb { address: VMCB }.set_segment(&mut party.bench.bus.memory, SegmentField::Cs, &cs);

    assert_eq!(exit_name(party.enter()), "VMEXIT_HLT");
    assert_eq!(party.get(field::RAX), 0x77);
}

/// §15.5.1, TSC_OFFSET.
#[test]
fn the_time_stamp_counter_of_a_guest_is_offset() {
    let mut party = Party::new("rdtsc\nhlt");
    party.set(field::TSC_OFFSET, 0x1000_0000);

    assert_eq!(exit_name(party.enter()), "VMEXIT_HLT");
    let tsc = party.get(field::RAX);
    assert!((0x1000_0000..0x1000_0010).contains(&tsc), "{tsc:x}");
}

/// §15.17: with GIF clear interrupts wait, and STGI lets them in.
#[test]
fn interrupts_wait_for_stgi() {
    let mut party = Party::with_host("clgi\nsti\nnop\nmov ebx, 1\nstgi\nmov ebx, 2\nhlt", "hlt");
    party.bench.edit(|s| {
        s.system.idtr.base = GUEST_IDT;
        s.system.gdtr.base = GUEST_GDT;
    });
    party.bench.bus.intr = true;

    let state = party.bench.run_to_halt();

    assert_eq!((state.rip, state.gpr[gpr::RBX]), (HANDLER + 16 * 0x20 + 1, 1));
}

/// What a debugger sees of a guest: linear to guest-physical to host-physical.
#[test]
fn looking_from_outside_goes_through_nested_tables() {
    let mut party = Party::new("nop\nhlt");
    party.nest();
    party.set_nested_entry(0x35_0000, 0x36_0007);
    party.set_nested_entry(0x35_1000, 0);
    party.bench.cpu.vmrun(&mut party.bench.bus, VMCB).expect("the host may enter");
    let state = party.bench.cpu.save();

    assert_eq!(state.physical_of(&party.bench.bus.memory, 0x35_0123), Some(0x36_0123));
    assert_eq!(state.physical_of(&party.bench.bus.memory, 0x35_1123), None);
    assert_eq!(state.system.physical_of(&party.bench.bus.memory, 0x35_0123), Some(0x35_0123));
}

/// The translations of a guest outlive its #VMEXIT when nothing else ran.
#[test]
fn the_same_guest_again_walks_no_tables() {
    let mut party = Party::new("mov al, [0x350000]\nhlt");
    party.nest();
    party.enter();
    let first = party.bench.cpu.walk_counts();
    assert!(first.nested_references > 0 && first.fills > 0);

    party.set(field::RIP, GUEST_CODE);
    party.enter();
    assert_eq!(party.bench.cpu.walk_counts(), first);

    party.set(field::RIP, GUEST_CODE);
    party.set(field::TLB_CONTROL, 3);
    party.enter();
    let flushed = party.bench.cpu.walk_counts();
    assert!(flushed.walks > first.walks, "TLB_CONTROL");

    party.set(field::TLB_CONTROL, 0);
    party.set(field::GUEST_ASID, 2);
    party.set(field::RIP, GUEST_CODE);
    party.enter();
    assert!(party.bench.cpu.walk_counts().walks > flushed.walks, "another ASID");
}

/// A hypervisor in guest memory: it counts what its guest asks for and answers CPUID.
#[test]
fn a_hypervisor_in_memory_drives_a_guest() {
    let host = "
        mov ebx, 0
    again:
        mov rax, 0x200000
        clgi
        vmload rax
        vmrun rax
        vmsave rax
        stgi
        mov rcx, [0x200070]
        cmp rcx, 0x72
        jne done
        inc ebx
        mov rcx, [0x2000c8]
        mov [0x200578], rcx
        mov qword [0x2005f8], 0x55
        jmp again
    done:
        hlt";
    let mut party =
        Party::with_host(host, "mov esi, 3\nl: cpuid\ndec esi\njnz l\nmov rdi, rax\nhlt");
    party.intercept(&[exit::CPUID]);

    let state = party.bench.run_to_halt();

    assert_eq!((state.gpr[gpr::RBX], state.gpr[gpr::RDI], state.gpr[gpr::RCX]), (3, 0x55, 0x78));
    assert!(state.svm.gif && state.svm.guest.is_none());
}

/// Any slicing gives the same end, guests and their hypervisor included, and so does going on from
/// a saved state in the middle.
#[test]
fn a_guest_goes_on_from_a_saved_state_as_if_nothing_had_been() {
    let host = "mov rax, 0x200000\nvmrun rax\nmov rdx, [0x200070]\nhlt";
    let guest = "mov ecx, 50\nl: add rbx, rcx\nmov [0x350000], rbx\nint 0x50\nloop l\nhlt";
    let make = || {
        let mut party = Party::with_host(host, guest);
        party.nest();
        party.bench.bus.memory.write(HANDLER + 16 * 0x50, &[0x48, 0xcf]);
        party
    };
    let mut whole = make();
    let expected = whole.bench.run_to_halt();
    assert_eq!(expected.gpr[gpr::RBX], 1275);
    for slice in [1, 2, 3, 7, 50] {
        let mut party = make();
        loop {
            let before = party.bench.cpu.ticks();
            let exit = party.bench.cpu.run(&mut party.bench.bus, slice);
            if exit == Exit::Halt {
                break;
            }
            assert_eq!((exit, party.bench.cpu.ticks() - before), (Exit::Budget, slice));
            let (state, known) = (party.bench.cpu.save(), party.bench.cpu.translations());
            let model = party.bench.cpu.model();
            party.bench.cpu = cutaway_cpu::Vcpu::new(model);
            party.bench.cpu.restore(&mut party.bench.bus, &state, &known).expect("it fits");
        }
        assert_eq!(party.bench.cpu.save(), expected, "slices of {slice}");
    }
}

/// §15.5.1.
#[test]
#[rustfmt::skip]
fn inconsistent_vmcbs_are_invalid() {
    let rows = [
        ("EFER.SVME",          field::EFER,               0xd00),
        ("EFER reserved",      field::EFER,               0x1d00 | 1 << 20),
        ("CR0.NW without CD",  field::CR0,                0xa000_0033),
        ("CR0 upper half",     field::CR0,                1 << 32 | 0x8000_0033),
        ("CR3 reserved",       field::CR3,                1 << 52),
        ("CR4 reserved",       field::CR4,                1 << 31 | 0x620),
        ("CR4.PAE",            field::CR4,                0x600),
        ("CR0.PE",             field::CR0,                0x8000_0032),
        ("DR6 upper half",     field::DR6,                1 << 32),
        ("DR7 upper half",     field::DR7,                1 << 32),
        ("VMRUN",              field::INTERCEPT_MISC2,    0),
        ("ASID 0",             field::GUEST_ASID,         0),
        ("IOPM",               field::IOPM_BASE_PA,       (1 << 40) - 0x1000),
        ("event type",         field::EVENTINJ,           event::V | 5 << 8),
        ("event vector",       field::EVENTINJ,           event::V | 3 << 8 | 0x20),
    ];
    for (what, field, value) in rows {
        let mut party = Party::new("hlt");
        party.set(field, value);
        party.bench.cpu.set_vmexit_stops(true);
        let entered = party.bench.cpu.vmrun(&mut party.bench.bus, VMCB);

        assert_eq!(entered, Err(Exit::VmExit), "{what}");
        assert_eq!(exit_name(party.get(field::EXITCODE)), "VMEXIT_INVALID", "{what}");
        assert_eq!(party.bench.cpu.save().rip, CODE);
    }
}

/// AMD APM vol. 3, "VMRUN".
#[test]
fn vmrun_needs_svm_cpl_0_and_a_page() {
    let mut party = Party::new("hlt");
    let vmrun = |party: &mut Party, at| party.bench.cpu.vmrun(&mut party.bench.bus, at);

    assert_eq!(vmrun(&mut party, VMCB + 8), Err(Exit::Exception(Exception::GP0)));
    assert_eq!(vmrun(&mut party, 1 << 40), Err(Exit::Exception(Exception::GP0)));
    party.bench.edit(|s| s.system.efer &= !0x1000);
    assert_eq!(vmrun(&mut party, VMCB), Err(Exit::Exception(Exception::UD)));
}

/// §15.31: a model without the option has nothing of it.
#[test]
fn without_the_option_there_is_no_svm() {
    let mut bench = Bench::long(&bytes(CodeSize::Bits64, CODE, "stgi"));
    bench.cpu.set_intercepted_exceptions(!0);
    assert_eq!(bench.cpu.run(&mut bench.bus, 9), Exit::Exception(Exception::UD));
    assert_eq!(bench.cpu.cpuid(0x8000_0001, 0)[2] & 4, 0);
    assert_eq!(bench.cpu.cpuid(0x8000_000a, 0), [0; 4]);

    let party = Party::new("hlt");
    assert_ne!(party.bench.cpu.cpuid(0x8000_0001, 0)[2] & 4, 0);
    assert_eq!(party.bench.cpu.cpuid(0x8000_000a, 0), [1, 16, 0, 0xc9]);
}

#[test]
fn a_guest_in_real_mode_runs_from_its_segments() {
    let mut party = Party::new("");
    let code = bytes(CodeSize::Bits16, 0, "mov ax, 0x1234\nmov ds, ax\nmov [0], ax\nhlt");
    party.bench.bus.memory.write(0x5_0000, &code);
    for (field, value) in
        [(field::CR0, 0x10), (field::CR4, 0), (field::EFER, 0x1000), (field::RIP, 0)]
    {
        party.set(field, value);
    }
    let cs = Segment { selector: 0x5000, attributes: 0x9b, limit: 0xffff, base: 0x5_0000 };
    Vmcb { address: VMCB }.set_segment(&mut party.bench.bus.memory, SegmentField::Cs, &cs);

    assert_eq!(exit_name(party.enter()), "VMEXIT_HLT");
    assert_eq!((party.get(field::RAX), party.get(field::RIP)), (0x1234, 8));
}

/// Whatever stands in a VMCB, the CPU neither panics nor hangs.
#[test]
fn noise_in_a_vmcb_does_no_harm() {
    let mut seed = 0x5eed_u64;
    let mut noise = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut party = Party::new("cpuid\npushfq\nmov [0x350000], eax\nint 0x50\nin al, dx\nhlt");
    party.nest();
    let mut good = vec![0; 0x1000];
    party.bench.bus.memory.read(VMCB, &mut good);
    let mut entered = 0;
    for case in 0..10_000 {
        let mut vmcb = good.clone();
        for _ in 0..noise() % 12 {
            let at = if noise() % 2 == 0 { noise() % 0x100 } else { 0x400 + noise() % 0x280 };
            vmcb[at as usize] = noise() as u8;
        }
        if case % 16 == 0 {
            vmcb.iter_mut().for_each(|byte| *byte = noise() as u8);
        }
        party.bench.bus.memory.write(VMCB, &vmcb);
        let model = party.bench.cpu.model();
        if party.bench.cpu.save().activity.shut_down {
            party.bench.cpu = cutaway_cpu::Vcpu::new(model);
        }
        party.bench.edit(|s| {
            let mut other = Party::new("hlt").bench.cpu.save();
            other.ticks = s.ticks;
            *s = other;
        });
        party.bench.cpu.set_vmexit_stops(true);
        if party.bench.cpu.vmrun(&mut party.bench.bus, VMCB).is_ok() {
            entered += 1;
            if case % 8 == 0 {
                let at = HSAVE + 0x400 + noise() % 0x200;
                party.bench.bus.memory.write(at, &noise().to_le_bytes());
            }
            for _ in 0..3 {
                party.bench.cpu.run(&mut party.bench.bus, 50);
            }
        }
    }
    assert!(entered > 1000, "{entered}");
}
