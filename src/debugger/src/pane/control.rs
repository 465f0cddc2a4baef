//! Control registers by named bit, debug registers, MSRs, and what hides between instructions.

use super::Scene;
use crate::text::{Line, Style};
use cutaway_cpu::CpuState;
use cutaway_isa::{Cr0, Cr4, Efer};

pub(super) fn lines(scene: &Scene<'_>) -> Vec<Line> {
    let (state, before) = (&scene.state.system, &scene.before.system);
    let names = |names: Vec<&str>| names.join(" ");
    let cr0 = names(Cr0::from_bits_truncate(state.cr0).iter_names().map(|(n, _)| n).collect());
    let cr4 = names(Cr4::from_bits_truncate(state.cr4).iter_names().map(|(n, _)| n).collect());
    let efer = names(Efer::from_bits_truncate(state.efer).iter_names().map(|(n, _)| n).collect());
    let registers = [
        ("CR0", state.cr0, before.cr0, cr0),
        ("CR2", state.cr2, before.cr2, "address of the last #PF".to_owned()),
        ("CR3", state.cr3, before.cr3, "root of the page tables".to_owned()),
        ("CR4", state.cr4, before.cr4, cr4),
        ("CR8", state.cr8, before.cr8, String::new()),
        ("EFER", state.efer, before.efer, efer),
        ("XCR0", state.xcr0, before.xcr0, String::new()),
    ];
    let mut lines: Vec<_> = registers
        .into_iter()
        .map(|(name, now, was, bits)| {
            let line = Line::default().and(Style::Name, format!("{name:<5}"));
            line.value(format!("{now:08x}"), now != was).and(Style::Plain, bits)
        })
        .collect();
    let mut debug = Line::default();
    for (n, (now, was)) in state.dr.iter().zip(before.dr).enumerate() {
        debug = debug.and(Style::Name, format!("DR{n} ")).value(format!("{now:x}"), *now != was);
    }
    let debug =
        debug.and(Style::Name, "DR6 ").value(format!("{:x}", state.dr6), state.dr6 != before.dr6);
    lines.push(
        debug.and(Style::Name, "DR7 ").value(format!("{:x}", state.dr7), state.dr7 != before.dr7),
    );
    let (msrs, old) = (&state.msrs, &before.msrs);
    let pairs = [
        ("STAR", msrs.star, old.star, "LSTAR", msrs.lstar, old.lstar),
        ("CSTAR", msrs.cstar, old.cstar, "SFMASK", msrs.sfmask, old.sfmask),
        (
            "SYSENTER_CS",
            msrs.sysenter_cs,
            old.sysenter_cs,
            "EIP",
            msrs.sysenter_eip,
            old.sysenter_eip,
        ),
        (
            "SYSENTER_ESP",
            msrs.sysenter_esp,
            old.sysenter_esp,
            "KERNEL_GS_BASE",
            msrs.kernel_gs_base,
            old.kernel_gs_base,
        ),
    ];
    for (left, now, was, right, other, other_was) in pairs {
        let line = Line::default()
            .and(Style::Name, format!("{left} "))
            .value(format!("{now:x}"), now != was)
            .and(Style::Name, format!("{right} "))
            .value(format!("{other:x}"), other != other_was);
        lines.push(line);
    }
    let hidden = hidden(scene.state);
    if !hidden.is_empty() {
        lines.push(Line::default().and(Style::Name, "CPU ").and(Style::Plain, hidden));
    }
    lines
}

/// What no register shows.
pub(crate) fn hidden(state: &CpuState) -> String {
    let activity = &state.activity;
    let all = [
        (activity.halted, "in HLT"),
        (activity.shut_down, "shut down"),
        (activity.sti_shadow, "behind STI: no interrupt yet"),
        (activity.ss_shadow, "behind a load of SS: no interrupt yet"),
        (activity.nmi_blocked, "NMI blocked"),
        (activity.nmi_pending, "NMI pending"),
        (activity.ferr, "FERR# asserted"),
    ];
    let set: Vec<_> = all.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    set.join(", ")
}
