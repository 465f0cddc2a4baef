//! What an instruction does, step by step.
//!
//! Where the engines run a meaning, the steps are what the recorder takes down of that very
//! meaning. Plain functions on the CPU have no such record: their steps are told here.
//!
//! Source: Intel SDM vol. 2, "Operation" of each; vol. 3A §5.8, "Privilege Level Checking when
//! Transferring Program Control"; §7.3, "Task Switching".

use super::operands::{Operand, Place};
use super::sentence::sentence;
use super::subject::Subject;
use cutaway_cpu::record;
use cutaway_isa::{Instruction, Register};

/// Steps of plain functions, by mnemonic in lower case.
#[rustfmt::skip] // one row an instruction
const TOLD: &[(&str, &[&str])] = &[
    ("int", &["find the gate of the vector in the IDT (in real mode: the IVT)", "#GP unless CPL <= DPL of the gate", "push flags, CS and the address of the next instruction", "clear IF behind an interrupt gate, TF and NT in any case", "CS:rIP := the gate's target"]),
    ("int3", &["find gate 3 in the IDT (in real mode: the IVT)", "#GP unless CPL <= DPL of the gate", "push flags, CS and the address of the next instruction", "CS:rIP := the gate's target"]),
    ("int1", &["raise #DB as a trap, without a check of the gate's DPL"]),
    ("into", &["nothing unless OF = 1", "find gate 4 in the IDT (in real mode: the IVT)", "push flags, CS and the address of the next instruction", "CS:rIP := the gate's target"]),
    ("iret", &["pop IP, CS and FLAGS", "check the CS selector; a return to an outer level pops SP and SS as well", "IOPL changes at CPL 0 alone, IF if CPL <= IOPL", "the next NMI is allowed again"]),
    ("iretd", &["pop EIP, CS and EFLAGS (with NT = 1: go back to the task that was left)", "check the CS selector; a return to an outer level pops ESP and SS as well", "with VM in the popped flags at CPL 0: into virtual-8086 mode, with nine slots", "IOPL changes at CPL 0 alone, IF if CPL <= IOPL", "the next NMI is allowed again"]),
    ("iretq", &["#GP(0) if NT = 1", "pop RIP, CS, RFLAGS, RSP and SS", "check CS and SS", "IOPL changes at CPL 0 alone, IF if CPL <= IOPL", "the next NMI is allowed again"]),
    ("retf", &["pop the offset, then CS", "check the CS selector; RPL above CPL is a return to an outer level", "take the operand's bytes off the stack", "outwards: pop rSP and SS too, and empty segment registers that the outer level may not have"]),
    ("call", &["read selector and offset", "real mode: push CS and IP, then load both", "protected mode: the descriptor is code (checked for DPL), a call gate, a TSS or a task gate", "a gate to an inner level takes the stack from the TSS and copies the parameters", "push CS and the address of the next instruction; CS:rIP := the target"]),
    ("jmp", &["read selector and offset", "real mode: load both", "protected mode: the descriptor is code (checked for DPL), a call gate, a TSS or a task gate", "CS:rIP := the target"]),
    ("lds", &["read the offset, then the selector behind it", "load the segment register with all checks", "write the offset"]),
    ("les", &["read the offset, then the selector behind it", "load the segment register with all checks", "write the offset"]),
    ("lfs", &["read the offset, then the selector behind it", "load the segment register with all checks", "write the offset"]),
    ("lgs", &["read the offset, then the selector behind it", "load the segment register with all checks", "write the offset"]),
    ("lss", &["read the offset, then the selector behind it", "load SS with all checks", "write the offset"]),
    ("enter", &["push rBP, and note the stack pointer: the new frame", "at nesting levels above 1 push the outer frames' pointers, from memory at rBP", "at levels above 0 push the new frame's pointer", "rBP := the new frame; rSP := rSP - size"]),
    ("pusha", &["push AX, CX, DX, BX, the old SP, BP, SI, DI"]),
    ("pushad", &["push EAX, ECX, EDX, EBX, the old ESP, EBP, ESI, EDI"]),
    ("popa", &["pop DI, SI, BP, pass one slot over, pop BX, DX, CX, AX"]),
    ("popad", &["pop EDI, ESI, EBP, pass one slot over, pop EBX, EDX, ECX, EAX"]),
    ("cpuid", &["look up leaf EAX, subleaf ECX", "EAX, EBX, ECX, EDX := what it says; zeros for what the CPU does not know"]),
    ("rdmsr", &["#GP(0) unless CPL = 0 and there is an MSR of number ECX", "EDX:EAX := the MSR"]),
    ("wrmsr", &["#GP(0) unless CPL = 0, there is an MSR of number ECX and it takes the value", "the MSR := EDX:EAX"]),
    ("rdtsc", &["#GP(0) if CR4.TSD = 1 and CPL > 0", "EDX:EAX := the time-stamp counter"]),
    ("rdtscp", &["#GP(0) if CR4.TSD = 1 and CPL > 0", "EDX:EAX := the time-stamp counter; ECX := TSC_AUX"]),
    ("syscall", &["#UD unless EFER.SCE = 1", "RCX := the address of the next instruction; R11 := RFLAGS", "clear the flags that SFMASK names", "CS and SS := flat segments of the selectors in STAR 47:32, CPL 0", "RIP := LSTAR (CSTAR from compatibility mode)"]),
    ("sysret", &["#UD unless EFER.SCE = 1; #GP(0) unless CPL = 0", "EIP := ECX; RFLAGS := R11", "CS and SS := flat segments of the selectors in STAR 63:48, CPL 3"]),
    ("sysretq", &["#UD unless EFER.SCE = 1; #GP(0) unless CPL = 0 and RCX is canonical", "RIP := RCX; RFLAGS := R11", "CS and SS := flat segments of the selectors in STAR 63:48, CPL 3"]),
    ("sysenter", &["#GP(0) in real mode or with a null SYSENTER_CS", "clear IF and VM", "CS := SYSENTER_CS, SS := the selector behind it, both flat, CPL 0", "rSP := SYSENTER_ESP; rIP := SYSENTER_EIP"]),
    ("sysexit", &["#GP(0) unless CPL = 0 and SYSENTER_CS is not null", "CS := SYSENTER_CS + 16, SS := SYSENTER_CS + 24, both flat, CPL 3", "EIP := EDX; ESP := ECX"]),
    ("sysexitq", &["#GP(0) unless CPL = 0 and SYSENTER_CS is not null", "CS := SYSENTER_CS + 32, SS := SYSENTER_CS + 40, both flat, CPL 3", "RIP := RDX; RSP := RCX"]),
    ("swapgs", &["#GP(0) unless CPL = 0", "exchange the base of GS and KERNEL_GS_BASE"]),
    ("hlt", &["#GP(0) unless CPL = 0", "stop until an interrupt, an NMI or a reset"]),
    ("ltr", &["#GP(0) unless CPL = 0", "read the descriptor from the GDT: an available TSS", "mark it busy in the GDT", "load the hidden part of TR"]),
    ("lldt", &["#GP(0) unless CPL = 0", "read the descriptor from the GDT: an LDT, or a null selector", "load the hidden part of LDTR"]),
    ("popf", &["pop the flags", "IOPL changes at CPL 0 alone, IF if CPL <= IOPL"]),
    ("popfd", &["pop the flags", "IOPL changes at CPL 0 alone, IF if CPL <= IOPL; VM and RF do not"]),
    ("popfq", &["pop the flags", "IOPL changes at CPL 0 alone, IF if CPL <= IOPL; VM and RF do not"]),
    ("cli", &["#GP(0) unless CPL <= IOPL (or PVI, VME help)", "IF := 0"]),
    ("sti", &["#GP(0) unless CPL <= IOPL (or PVI, VME help)", "IF := 1; interrupts wait for one more instruction"]),
    ("in", &["with CPL > IOPL: #GP(0) unless the TSS's bitmap allows the port", "read the port"]),
    ("out", &["with CPL > IOPL: #GP(0) unless the TSS's bitmap allows the port", "write the port"]),
];

/// The registers that the recorder names.
fn register_named(word: &str) -> Option<Register> {
    let name = word.to_uppercase();
    Register::values().find(|register| register.is_gpr() && format!("{register:?}") == name)
}

/// A recorded line, with the values of the registers that it reads.
fn with_values(subject: &Subject<'_>, line: &str) -> String {
    let read = line.split_once(" := ").map_or(line, |(_, read)| read);
    let words = read.split(|c: char| !c.is_ascii_alphanumeric());
    let values: Vec<String> = words
        .filter_map(|word| {
            let value = subject.register(register_named(word)?)?;
            Some(format!("{word} = {value:#x}"))
        })
        .collect();
    if values.is_empty() { line.to_owned() } else { format!("{line}    ({})", values.join(", ")) }
}

/// The steps of an instruction, one a line.
pub(crate) fn steps(
    subject: &Subject<'_>,
    instruction: &Instruction,
    operands: &[Operand],
) -> Vec<String> {
    if let Some(record) = record(instruction, subject.stack_width()) {
        let lines = record.lines().iter().map(|line| with_values(subject, line));
        let lines: Vec<String> = lines.collect();
        return if lines.is_empty() { vec!["nothing".to_owned()] } else { lines };
    }
    let name = format!("{:?}", instruction.mnemonic()).to_lowercase();
    if let Some((_, lines)) = TOLD.iter().find(|(known, _)| *known == name) {
        return lines.iter().map(|line| (*line).to_owned()).collect();
    }
    let list = |wanted: fn(&Operand) -> bool| -> String {
        let texts: Vec<&str> =
            operands.iter().filter(|o| wanted(o)).map(|operand| operand.text.as_str()).collect();
        texts.join(", ")
    };
    let reads = list(|o| o.access.reads && !matches!(o.place, Place::Immediate(_)));
    let writes = list(|o| o.access.writes);
    let mut lines = Vec::new();
    if !reads.is_empty() {
        lines.push(format!("read {reads}"));
    }
    lines.extend(sentence(instruction));
    if !writes.is_empty() {
        lines.push(format!("write {writes}"));
    }
    lines
}
