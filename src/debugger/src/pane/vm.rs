//! A virtual machine: what the guest believes, what is true, and what the monitor did.

use cutaway_cpu::{Seg, System};
use cutaway_isa::{CodeSize, Rflags, decode, disassemble};
use cutaway_machine::{Model, Reason};

use super::Scene;
use crate::explain::{encounter, wrap};
use crate::text::{Line, Style};

/// Reasons shown, the most frequent first.
const REASONS: usize = 8;

pub(super) fn none() -> Vec<Line> {
    vec![Line::of("no monitor: the guest has the CPU to itself (--model gives it one)")]
}

/// The guest's view, the physical machine, the monitor's counts.
pub(super) fn lines(scene: &Scene<'_>) -> Vec<Line> {
    let Some(vm) = scene.machine.vm() else { return none() };
    let mut lines = vec![
        Line::default().and(Style::Name, "model     ").value(vm.model().name(), false),
        Line::of(vm.model().about()),
        cpu("guest     ", &scene.state.system, scene.state.rflags),
    ];
    if vm.model() == Model::Hardware {
        let mode = match &scene.state.svm.guest {
            Some(guest) => format!("guest mode, ASID {}, VMCB {:#x}", guest.asid, guest.vmcb),
            None => "host, after a #VMEXIT".to_owned(),
        };
        lines.push(Line::default().and(Style::Name, "physical  ").value(mode, false));
    } else {
        lines.push(cpu("physical  ", vm.physical_system(), Rflags::IF.bits()));
    }
    lines.extend(sensitive(scene));
    for (name, exits) in [("traps", vm.exits()), ("call-outs", vm.call_outs())] {
        if exits.total() == 0 {
            continue;
        }
        let total = exits.total().to_string();
        lines.push(Line::default().and(Style::Name, format!("{name:<10}")).value(total, false));
        let mut counts: Vec<_> =
            Reason::ALL.into_iter().map(|reason| (exits.of(reason), reason.name())).collect();
        counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        for (count, name) in counts.into_iter().take(REASONS).filter(|(count, _)| *count > 0) {
            lines.push(Line::of(format!("  {name:<18} {count:>9}")));
        }
    }
    let shadow = vm.shadow_counts();
    if shadow.filled > 0 {
        let text = format!("{} filled, {} dropped", shadow.filled, shadow.dropped);
        lines.push(Line::default().and(Style::Name, "shadow    ").value(text, false));
    }
    if vm.has_nested_tables() {
        let mapped = vm.resident(scene.machine.memory()).len();
        let balloon = scene.machine.balloon().map(|size| {
            format!(", {} given up in the balloon, {} wanted", size.actual, size.wanted)
        });
        let text = format!("{mapped} pages mapped{}", balloon.unwrap_or_default());
        lines.push(Line::default().and(Style::Name, "memory    ").value(text, false));
    }
    lines
}

/// What the next instruction will see of the physical machine, if it is a sensitive one.
fn sensitive(scene: &Scene<'_>) -> Vec<Line> {
    match encounter(scene.machine) {
        Ok(Some(found)) => {
            const LABEL: &str = "next      ";
            let mut lines = Vec::new();
            wrap(&mut lines, "", &format!("{LABEL}{}.", found.text()));
            let labelled = |line: String| match line.strip_prefix(LABEL) {
                Some(rest) => Line::default().and(Style::Name, LABEL).and(Style::Plain, rest),
                None => Line::of(line),
            };
            lines.into_iter().map(labelled).collect()
        }
        Ok(None) => Vec::new(),
        Err(error) => vec![Line::default().and(Style::Bad, error.to_string())],
    }
}

/// Who runs with which privilege, and by which tables.
fn cpu(name: &str, system: &System, rflags: u64) -> Line {
    let cs = system.segments[Seg::Cs as usize].selector;
    let open = u8::from(rflags & Rflags::IF.bits() != 0);
    let text = format!(
        "ring {}  IF {open}  CS {cs:04x}  CR0 {:08x}  CR3 {:x}  GDTR {:x}",
        cs & 3,
        system.cr0,
        system.cr3,
        system.gdtr.base
    );
    Line::default().and(Style::Name, name).value(text, false)
}

/// The guest's block and its translation side by side, with the kind of each instruction.
pub(super) fn translation(scene: &Scene<'_>) -> Vec<Line> {
    let Some(vm) = scene.machine.vm() else { return none() };
    let parts = vm.translation_of(scene.machine.memory(), scene.state.rip);
    if parts.is_empty() {
        return vec![Line::of(
            "the code here is not translated (yet): it runs directly or is emulated",
        )];
    }
    let mut lines = Vec::new();
    for part in parts {
        let here = part.guest == Some(scene.state.rip);
        let guest = part.guest.map_or("(indirect)".to_owned(), |guest| format!("{guest:08x}"));
        let style = if here { Style::Name } else { Style::Plain };
        let mut left = format!("{guest:<10} {:<10}", part.kind.name());
        for (at, text) in instructions(part.cache, &part.bytes) {
            let cache = part.cache + at;
            lines.push(Line::default().and(style, format!("{left} {cache:08x}  {text}")));
            left = " ".repeat(21);
        }
    }
    lines
}

/// Instructions of a translation, with their offsets.
fn instructions(cache: u64, bytes: &[u8]) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Ok(instruction) = decode(CodeSize::Bits32, &bytes[at..], cache + at as u64) {
        found.push((at as u64, disassemble(&instruction)));
        at += instruction.len();
    }
    found
}
