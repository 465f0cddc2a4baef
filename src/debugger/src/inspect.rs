//! What `monitor` shows of a machine: registers, code, the state of the chips.

use crate::memory::{self, Space};
use crate::mode;
use cutaway_cpu::{CpuState, Seg};
use cutaway_isa::{Cr0, Cr4, Efer, MAX_LENGTH, Rflags, decode, disassemble};
use cutaway_machine::Machine;
use cutaway_state::State;
use std::fmt::Write;

/// Bytes of a section that are shown where all sections are.
const SHOWN: usize = 64;

const GPR_NAMES: [&str; 16] = [
    "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12", "R13",
    "R14", "R15",
];
const SEGMENTS: [(&str, Seg); 8] = [
    ("ES", Seg::Es),
    ("CS", Seg::Cs),
    ("SS", Seg::Ss),
    ("DS", Seg::Ds),
    ("FS", Seg::Fs),
    ("GS", Seg::Gs),
    ("LDT", Seg::Ldtr),
    ("TR", Seg::Tr),
];

/// All registers as lines of text.
pub(crate) fn registers(state: &CpuState) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for (index, (name, value)) in GPR_NAMES.iter().zip(state.gpr).enumerate() {
        let end = if index % 4 == 3 { '\n' } else { ' ' };
        let _ = write!(text, "{name:<3} {value:016x}{end}");
    }
    let names = |names: Vec<&str>| names.join(" ");
    let flags = Rflags::from_bits_truncate(state.rflags) & !Rflags::ONE;
    let flags = names(flags.iter_names().map(|(name, _)| name).collect());
    let (rip, rflags, pc) = (state.rip, state.rflags, mode::pc(state));
    let _ = writeln!(text, "RIP {rip:016x} RFLAGS {rflags:08x} [{flags}]");
    let _ = writeln!(text, "{}, the next instruction at linear {pc:016x}", mode::name(state));
    let system = &state.system;
    for (name, seg) in SEGMENTS {
        let segment = &system.segments[seg as usize];
        let _ = writeln!(
            text,
            "{name:<3} {:04x} base {:016x} limit {:08x} attributes {:04x}",
            segment.selector, segment.base, segment.limit, segment.attributes
        );
    }
    for (name, table) in [("GDT", system.gdtr), ("IDT", system.idtr)] {
        let _ = writeln!(text, "{name}      base {:016x} limit {:08x}", table.base, table.limit);
    }
    let cr0 = names(Cr0::from_bits_truncate(system.cr0).iter_names().map(|(n, _)| n).collect());
    let cr4 = names(Cr4::from_bits_truncate(system.cr4).iter_names().map(|(n, _)| n).collect());
    let efer = names(Efer::from_bits_truncate(system.efer).iter_names().map(|(n, _)| n).collect());
    let _ = writeln!(text, "CR0 {:016x} [{cr0}]", system.cr0);
    let _ = writeln!(text, "CR2 {:016x} CR3 {:016x}", system.cr2, system.cr3);
    let _ = writeln!(text, "CR4 {:016x} [{cr4}] CR8 {:x}", system.cr4, system.cr8);
    let _ = writeln!(text, "EFER {:08x} [{efer}] XCR0 {:x}", system.efer, system.xcr0);
    let [dr0, dr1, dr2, dr3] = system.dr;
    let _ = writeln!(text, "DR0 {dr0:016x} DR1 {dr1:016x} DR2 {dr2:016x} DR3 {dr3:016x}");
    let _ = writeln!(text, "DR6 {:08x} DR7 {:08x}", system.dr6, system.dr7);
    let msrs = &system.msrs;
    let _ = writeln!(
        text,
        "STAR {:016x} LSTAR {:016x} CSTAR {:016x} SFMASK {:08x}",
        msrs.star, msrs.lstar, msrs.cstar, msrs.sfmask
    );
    let _ = writeln!(
        text,
        "SYSENTER {:04x}:{:016x} ESP {:016x} KERNEL_GS_BASE {:016x}",
        msrs.sysenter_cs, msrs.sysenter_eip, msrs.sysenter_esp, msrs.kernel_gs_base
    );
    text + &floating_point(state) + &activity(state)
}

fn floating_point(state: &CpuState) -> String {
    let x87 = &state.x87;
    let mut text = format!(
        "FCW {:04x} FSW {:04x} FTW {:04x} MXCSR {:08x}\n",
        x87.control(),
        x87.status(),
        x87.tag_word(),
        state.mxcsr
    );
    for n in 0..8 {
        let value = x87.st(n);
        let empty = if x87.is_empty(n) { " empty" } else { "" };
        let _ =
            writeln!(text, "ST{n} {:04x} {:016x}{empty}", value.sign_exponent, value.significand);
    }
    for (n, (low, high)) in state.xmm.iter().zip(&state.ymm_high).enumerate() {
        let _ = writeln!(text, "YMM{n:<2} {:032x} {:032x}", high.to_u128(), low.to_u128());
    }
    text
}

/// What hides between instructions.
fn activity(state: &CpuState) -> String {
    let activity = &state.activity;
    let all = [
        (activity.halted, "in HLT"),
        (activity.shut_down, "shut down"),
        (activity.sti_shadow, "behind STI"),
        (activity.ss_shadow, "behind a load of SS"),
        (activity.nmi_blocked, "NMI blocked"),
        (activity.nmi_pending, "NMI pending"),
        (activity.ferr, "FERR# asserted"),
    ];
    let set: Vec<_> = all.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    if set.is_empty() { String::new() } else { set.join(", ") + "\n" }
}

/// So many instructions from a linear address on, as the running code would have them decoded.
pub(crate) fn disassembly(machine: &Machine, mut linear: u64, count: usize) -> String {
    let state = machine.vcpu().save();
    let (size, pc) = (mode::code_size(&state), mode::pc(&state));
    let mut text = String::new();
    for _ in 0..count {
        let mut bytes = [0; MAX_LENGTH];
        let read = memory::read(machine.memory(), &state, Space::Linear, linear, &mut bytes);
        let marker = if linear == pc { "=>" } else { "  " };
        if read == 0 {
            let _ = writeln!(text, "{marker} {linear:016x}  (no memory)");
            break;
        }
        let offset = mode::offset_of_linear(&state, linear);
        let (len, what) = match decode(size, &bytes[..read], offset) {
            Ok(instruction) => (instruction.len(), disassemble(&instruction)),
            Err(_) => (1, "(no instruction)".to_owned()),
        };
        let shown: String = bytes[..len].iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(text, "{marker} {linear:016x}  {shown:<30} {what}");
        let Some(next) = linear.checked_add(len as u64) else { break };
        linear = next;
    }
    text
}

/// The sections of a state: names, sizes and bytes; of one by name all of them.
pub(crate) fn sections(state: &State, name: Option<&str>) -> Result<String, String> {
    let mut text = String::new();
    let all = state.sections().iter();
    let chosen: Vec<_> = all.filter(|section| name.is_none_or(|n| n == section.name)).collect();
    if chosen.is_empty() {
        return Err("there is no such section; monitor devices lists them".to_owned());
    }
    for section in chosen {
        let bytes = &section.bytes;
        let _ =
            writeln!(text, "{} (version {}): {} bytes", section.name, section.version, bytes.len());
        let count = if name.is_some() { bytes.len() } else { bytes.len().min(SHOWN) };
        text.push_str(&memory::hex_dump(0, &bytes[..count]));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_state::Section;

    #[test]
    fn registers_name_mode_flags_and_hidden_parts() {
        let mut state = CpuState::reset(0x633);
        state.rflags = 0x202;
        state.activity.halted = true;

        let text = registers(&state);

        assert!(text.contains("RDX 0000000000000633"), "{text}");
        assert!(text.contains("RIP 000000000000fff0 RFLAGS 00000202 [IF]\n"), "{text}");
        assert!(text.contains("real mode, the next instruction at linear 00000000fffffff0"));
        assert!(text.contains("CS  f000 base 00000000ffff0000 limit 0000ffff"), "{text}");
        assert!(text.ends_with("in HLT\n"), "{text}");
    }

    #[test]
    fn a_section_is_shown_whole_only_by_name() {
        let mut state = State::new();
        let bytes = vec![0x11; 100];
        state.add(Section { name: "pit".to_owned(), version: 1, bytes }).unwrap();

        let all = sections(&state, None).unwrap();
        let one = sections(&state, Some("pit")).unwrap();

        assert_eq!(all.matches(" 11").count(), 64);
        assert_eq!(one.matches(" 11").count(), 100);
        assert!(one.starts_with("pit (version 1): 100 bytes\n"));
        assert!(sections(&state, Some("pic")).is_err());
    }
}
