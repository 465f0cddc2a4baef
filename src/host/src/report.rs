//! What the program shows of a machine that stopped for a reason worth looking at: registers,
//! the instructions around RIP, the last exceptions.

use std::fmt::Write;

use cutaway_cpu::{CpuState, Seg};
use cutaway_isa::{CodeSize, Cr0, Efer, Rflags, decode, disassemble};
use cutaway_machine::Machine;

use crate::log::RecentExceptions;

/// Instructions shown before and after the one at RIP.
const BEFORE: usize = 4;
const AFTER: usize = 6;
/// Bytes before RIP that are searched for instructions.
const LOOK_BACK_BYTES: u64 = 32;
/// The longest instruction.
const MAX_INSTRUCTION_BYTES: usize = 15;

const GPR_NAMES: [&str; 16] = [
    "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8 ", "R9 ", "R10", "R11", "R12",
    "R13", "R14", "R15",
];
const SEGMENT_NAMES: [&str; 8] = ["ES", "CS", "SS", "DS", "FS", "GS", "LDT", "TR"];
const FLAGS: [(&str, Rflags); 12] = [
    ("CF", Rflags::CF),
    ("PF", Rflags::PF),
    ("AF", Rflags::AF),
    ("ZF", Rflags::ZF),
    ("SF", Rflags::SF),
    ("TF", Rflags::TF),
    ("IF", Rflags::IF),
    ("DF", Rflags::DF),
    ("OF", Rflags::OF),
    ("NT", Rflags::NT),
    ("VM", Rflags::VM),
    ("AC", Rflags::AC),
];

/// Registers, code and exceptions as text of several lines.
#[must_use]
pub fn crash_report(machine: &Machine, recent: &RecentExceptions) -> String {
    let state = machine.vcpu().save();
    let mut text = registers(&state);
    text.push_str("code around RIP:\n");
    text.push_str(&code(&state, &|linear| read_byte(machine, &state, linear)));
    let exceptions = recent.lines();
    if exceptions.is_empty() {
        text.push_str("no exceptions so far\n");
    } else {
        text.push_str("last exceptions, the tick first:\n");
        exceptions.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text
}

fn registers(state: &CpuState) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for (index, (name, value)) in GPR_NAMES.iter().zip(state.gpr).enumerate() {
        let end = if index % 4 == 3 { '\n' } else { ' ' };
        let _ = write!(text, "{name} {value:016x}{end}");
    }
    let flags = Rflags::from_bits_retain(state.rflags);
    let set = FLAGS.iter().filter(|(_, flag)| flags.contains(*flag)).map(|(name, _)| *name);
    let set = set.collect::<Vec<_>>().join(" ");
    let (rip, rflags) = (state.rip, state.rflags);
    let _ = writeln!(text, "RIP {rip:016x} RFLAGS {rflags:08x} [{set}], {}", mode_name(state));
    let system = &state.system;
    for (name, segment) in SEGMENT_NAMES.iter().zip(&system.segments) {
        let _ = writeln!(
            text,
            "{name:<3} {:04x} base {:016x} limit {:08x} attributes {:04x}",
            segment.selector, segment.base, segment.limit, segment.attributes
        );
    }
    for (name, table) in [("GDT", system.gdtr), ("IDT", system.idtr)] {
        let _ = writeln!(text, "{name}      base {:016x} limit {:08x}", table.base, table.limit);
    }
    let _ = writeln!(
        text,
        "CR0 {:08x} CR2 {:016x} CR3 {:016x} CR4 {:08x} EFER {:04x}",
        system.cr0, system.cr2, system.cr3, system.cr4, system.efer
    );
    text
}

fn code_size(state: &CpuState) -> CodeSize {
    let cs = &state.system.segments[Seg::Cs as usize];
    if state.system.efer & Efer::LMA.bits() != 0 && cs.is_long() {
        CodeSize::Bits64
    } else if cs.is_big() {
        CodeSize::Bits32
    } else {
        CodeSize::Bits16
    }
}

fn mode_name(state: &CpuState) -> &'static str {
    let long = state.system.efer & Efer::LMA.bits() != 0;
    if state.system.cr0 & Cr0::PE.bits() == 0 {
        "real mode"
    } else if state.rflags & Rflags::VM.bits() != 0 {
        "virtual-8086 mode"
    } else {
        match (long, code_size(state)) {
            (_, CodeSize::Bits64) => "64-bit mode",
            (true, _) => "compatibility mode",
            (false, CodeSize::Bits32) => "32-bit protected mode",
            (false, _) => "16-bit protected mode",
        }
    }
}

/// Reads memory, ROM included; `None` where the address leads nowhere or to a device.
fn read_byte(machine: &Machine, state: &CpuState, linear: u64) -> Option<u8> {
    let memory = machine.memory();
    let physical = state.physical_of(memory, linear)?;
    if memory.page(physical) == cutaway_memory::PageKind::Device {
        return None;
    }
    let mut byte = [0];
    memory.read(physical, &mut byte);
    Some(byte[0])
}

/// The instructions around RIP, one a line, with `=>` before the one at RIP.
fn code(state: &CpuState, read: &dyn Fn(u64) -> Option<u8>) -> String {
    let size = code_size(state);
    let base = match size {
        CodeSize::Bits64 => 0,
        _ => state.system.segments[Seg::Cs as usize].base,
    };
    let fetch = |ip: u64| -> Vec<u8> {
        let bytes = (0..MAX_INSTRUCTION_BYTES as u64)
            .map_while(|at| read(base.wrapping_add(ip).wrapping_add(at)));
        bytes.collect()
    };
    let mut text = String::new();
    let mut ip = start_before(state.rip, size, &fetch);
    let mut after = 0;
    while after <= AFTER {
        let marker = if ip == state.rip { "=>" } else { "  " };
        let bytes = fetch(ip);
        if bytes.is_empty() {
            let _ = writeln!(text, "{marker} {ip:016x}  (no memory)");
            break;
        }
        let (len, what) = match decode(size, &bytes, ip) {
            Ok(instruction) => (instruction.len(), disassemble(&instruction)),
            Err(_) => (1, "(no instruction)".to_owned()),
        };
        let shown: String = bytes[..len].iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(text, "{marker} {ip:016x}  {shown:<30} {what}");
        after += usize::from(ip >= state.rip);
        let Some(next) = ip.checked_add(len as u64) else { break };
        ip = next;
    }
    text
}

/// An address some instructions before `rip` from which decoding arrives at `rip`. Code before
/// RIP is a guess: x86 cannot be decoded backwards.
fn start_before(rip: u64, size: CodeSize, fetch: &dyn Fn(u64) -> Vec<u8>) -> u64 {
    for back in (1..=LOOK_BACK_BYTES.min(rip)).rev() {
        let mut starts = Vec::new();
        let mut ip = rip - back;
        while ip < rip {
            starts.push(ip);
            match decode(size, &fetch(ip), ip) {
                Ok(instruction) => ip += instruction.len() as u64,
                Err(_) => break,
            }
        }
        if ip == rip {
            return starts[starts.len().saturating_sub(BEFORE)];
        }
    }
    rip
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory from 0xffff_0000 on, where reset code lies.
    fn shown(bytes: &'static [u8], rip: u64) -> String {
        let mut state = CpuState::reset(0);
        state.rip = rip;
        let read = |linear: u64| {
            let at = usize::try_from(linear.checked_sub(0xffff_0000)?).ok()?;
            bytes.get(at).copied()
        };
        code(&state, &read)
    }

    #[test]
    fn code_shows_the_instructions_around_rip() {
        let text = shown(&[0xb8, 0x34, 0x12, 0x40, 0x0f, 0x0b], 4);

        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<_> = text.lines().map(words).collect();
        let expected = [
            "0000000000000000 b83412 mov ax, 0x1234",
            "0000000000000003 40 inc ax",
            "=> 0000000000000004 0f0b ud2",
            "0000000000000006 (no memory)",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn code_outside_memory_says_so() {
        assert_eq!(shown(&[], 0), "=> 0000000000000000  (no memory)\n");
    }

    #[test]
    fn registers_name_the_mode_and_the_flags_that_are_set() {
        let mut state = CpuState::reset(0x633);
        state.rflags = 0x202;

        let text = registers(&state);

        assert!(text.contains("RDX 0000000000000633"));
        assert!(text.contains("RIP 000000000000fff0 RFLAGS 00000202 [IF], real mode"));
    }
}
