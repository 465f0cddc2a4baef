//! Who runs where: guest, monitor and host, each with its ring and mode, and who has the CPU now.
//!
//! A monitor below the machine (`vmm`) is told by the machine itself, a hypervisor in the machine by
//! guest mode and EFER.SVME. That its task has the CPU is known of the teaching kernel alone, by the
//! names `current` and `vmm_task`.

use super::Scene;
use crate::expression::cpl;
use crate::memory::{self, Space};
use crate::mode;
use crate::symbols::Symbols;
use crate::text::{Line, Style};
use cutaway_cpu::CpuState;
use cutaway_isa::Efer;
use cutaway_machine::{Machine, Model};

/// Who may have the CPU, and where it then is.
struct Party {
    who: &'static str,
    ring: &'static str,
    place: String,
    /// Has the CPU now.
    runs: bool,
}

/// Who owns the CPU, in a line, and all parties.
struct Order {
    owner: &'static str,
    parties: Vec<Party>,
}

pub(super) fn lines(scene: &Scene<'_>) -> Vec<Line> {
    let head = Line::default().and(Style::Name, "   who                ring  where");
    let Some((explorer, run)) = scene.guests.and_then(|all| Some((all, all.host()?))) else {
        let order = order(scene.machine, scene.state, scene.all_symbols);
        let owner = Line::default().and(Style::Name, "owner   ").and(Style::Plain, order.owner);
        return [owner, head].into_iter().chain(rows(&order)).collect();
    };
    let mut lines = vec![head];
    for guest in 0..run.guests() {
        let now = if run.has_cpu() == Some(guest) { ", has the CPU" } else { "" };
        let name = Line::default().and(Style::Name, format!("{}{now}", run.name(guest)));
        match explorer.guest_here(guest) {
            Some((machine, state, symbols)) => {
                let order = order(machine, &state, symbols);
                lines.push(name.and(Style::Dim, format!(": owner {}", order.owner)));
                lines.extend(rows(&order));
            }
            None => lines.push(name.and(Style::Dim, ": known when it is looked at, by host look")),
        }
    }
    lines
}

/// A line a party.
fn rows(order: &Order) -> Vec<Line> {
    let row = |party: &Party| {
        let (mark, style) = if party.runs { ("=>", Style::Current) } else { ("  ", Style::Plain) };
        let text = format!("{mark} {:<18} {:<5} {}", party.who, party.ring, party.place);
        Line::default().and(style, text.trim_end())
    };
    order.parties.iter().map(row).collect()
}

fn order(machine: &Machine, state: &CpuState, symbols: &Symbols) -> Order {
    let is_program = cpl(state) == 3;
    let in_mode = mode::name(state);
    let here = |is: bool, place: &str| match is {
        true if place.is_empty() => in_mode.to_owned(),
        true => format!("{place}, {in_mode}"),
        false => place.to_owned(),
    };
    let party = |who, ring, runs, place: &str| Party { who, ring, place: here(runs, place), runs };
    let below = |place: &str| Party {
        who: "monitor",
        ring: "-",
        place: format!("below the machine{place}"),
        runs: false,
    };
    match machine.vm().map(|vm| vm.model()) {
        Some(Model::Hardware) => Order {
            owner: "the monitor (type 1)",
            parties: vec![
                party("guest's programs", "3", is_program, "guest mode"),
                party("guest's kernel", "0", !is_program, "guest mode"),
                below(", host mode"),
            ],
        },
        Some(_) => Order {
            owner: "the monitor (type 1)",
            parties: vec![
                party("guest's programs", "3", is_program, ""),
                party("guest's kernel", "1", !is_program, "believes to be in ring 0"),
                below(", ring 0"),
            ],
        },
        None if is_type_2(state) || is_monitor_task(machine, state, symbols) => {
            let is_guest = state.svm.guest.is_some();
            let is_monitor = !is_guest && !is_program && is_monitor_task(machine, state, symbols);
            let is_host = !is_guest && !is_monitor;
            Order {
                owner: "the host kernel (type 2)",
                parties: vec![
                    party("guest's programs", "3", is_guest && is_program, "guest mode"),
                    party("guest's kernel", "0", is_guest && !is_program, "guest mode"),
                    party("monitor, a task", "0", is_monitor, "host mode"),
                    party("other programs", "3", is_host && is_program, "host mode"),
                    party("host kernel", "0", is_host && !is_program, "host mode"),
                ],
            }
        }
        None => Order {
            owner: "the kernel alone (bare, or type 0)",
            parties: vec![
                party("programs", "3", is_program, ""),
                party("kernel", "0", !is_program, ""),
            ],
        },
    }
}

/// Whether a hypervisor in the machine has begun.
fn is_type_2(state: &CpuState) -> bool {
    state.svm.guest.is_some() || state.system.efer & Efer::SVME.bits() != 0
}

/// Whether the running task of the teaching kernel is its monitor.
fn is_monitor_task(machine: &Machine, state: &CpuState, symbols: &Symbols) -> bool {
    let load = |name| {
        let address = symbols.address_of(name)?;
        let mut bytes = [0; 4];
        let read = memory::read(machine.memory(), state, Space::Linear, address, &mut bytes);
        (read == bytes.len()).then(|| u32::from_le_bytes(bytes))
    };
    match (load("current"), load("vmm_task")) {
        (Some(current), Some(task)) => task != 0 && current == task,
        _ => false,
    }
}
