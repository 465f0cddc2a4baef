//! The page walk over two dimensions: behind each step of the guest's own walk one of the monitor's.
//!
//! With four levels each that is a grid of up to 24 references to memory: 4 entries of the guest's
//! tables, and for each of their addresses and for the data's one 4 of the nested tables. On shadow page
//! tables the CPU walks one dimension, the monitor's.
//!
//! Source: AMD APM vol. 2 §15.25.5, "Nested Table Walk".

use super::Scene;
use crate::text::{Line, Style};
use crate::{mode, walk};
use cutaway_machine::{Model, Paging, Vm};

/// Counts references in the order in which the CPU makes them.
#[derive(Default)]
struct Count(usize);

impl Count {
    fn next(&mut self) -> usize {
        self.0 += 1;
        self.0
    }
}

pub(super) fn lines(scene: &Scene<'_>) -> Vec<Line> {
    let linear = scene.walk_of.unwrap_or_else(|| mode::pc(scene.state));
    let Some(vm) = scene.machine.vm() else { return super::vm::none() };
    let mut lines =
        vec![Line::of(format!("linear {linear:#x}, CR3 {:#x}", scene.state.system.cr3))];
    lines.extend(match (vm.model(), vm.paging()) {
        (Model::Hardware, Paging::Nested) => nested(scene, vm, linear),
        _ => shadow(scene, vm, linear),
    });
    lines
}

/// Each row: an address of the guest's walk, its nested walk, the guest's entry there.
fn nested(scene: &Scene<'_>, vm: &Vm, linear: u64) -> Vec<Line> {
    let memory = scene.machine.memory();
    let guest = walk::look(scene.state, memory, linear);
    let head = "guest's walk             nested walk of that address, root first";
    let mut lines = vec![Line::default().and(Style::Name, head)];
    let mut count = Count::default();
    let mut own = 0;
    for level in &guest.levels {
        let Some(at) = level.at else {
            lines.push(Line::of(format!("{:<6}in a register: {}", level.name, level.text())));
            continue;
        };
        let (line, whole) = second(vm, scene, level.name, at, &mut count);
        lines.push(line);
        own += 1;
        let number = count.next();
        lines.push(Line::of(format!("{:>6} {number:>2} {}", "", level.text())));
        if !whole || !level.is_present() {
            break;
        }
    }
    if let Some(physical) = guest.physical {
        lines.push(second(vm, scene, "data", physical, &mut count).0);
    }
    let all = count.0;
    let text =
        format!("{all} references: {own} to the guest's tables, {} to nested ones", all - own);
    lines.push(Line::default().and(Style::Name, text));
    lines
}

/// The nested walk of a guest-physical address, and whether it leads anywhere.
fn second(vm: &Vm, scene: &Scene<'_>, name: &str, at: u64, count: &mut Count) -> (Line, bool) {
    let walk = vm.nested_walk(scene.machine.memory(), at);
    let mut line = Line::of(format!("{name:<6}{at:012x}"));
    for &(at, _) in &walk {
        line = line.and(Style::Plain, format!("  {:>2} {at:08x}", count.next()));
    }
    match walk.last() {
        Some(&(_, entry)) if walk.len() == 4 && entry & 1 != 0 => {
            let frame = entry & 0x000f_ffff_ffff_f000;
            (line.and(Style::Plain, format!("  -> {:x}", frame | at & 0xfff)), true)
        }
        _ => (line.and(Style::Bad, "  not there: a nested page fault fills it"), false),
    }
}

/// The monitor's tables, which the CPU walks in place of the guest's.
fn shadow(scene: &Scene<'_>, vm: &Vm, linear: u64) -> Vec<Line> {
    let guest = walk::look(scene.state, scene.machine.memory(), linear);
    let mut lines =
        vec![Line::default().and(Style::Name, "guest's walk, which the CPU never makes")];
    lines.extend(guest.levels.iter().map(|level| {
        let at = level.at.map_or("in a register".to_owned(), |at| format!("{at:012x}"));
        Line::of(format!("{:<6}{at:<13} {}", level.name, level.text()))
    }));
    lines.push(Line::default().and(Style::Name, "walk of the shadow page tables, root first"));
    let walk = vm.shadow_walk(scene.machine.memory(), linear);
    for (number, (at, entry)) in walk.iter().enumerate() {
        lines.push(Line::of(format!("{:>2}    {at:012x}  {entry:016x}", number + 1)));
    }
    let whole = walk.last().is_some_and(|(_, entry)| entry & 1 != 0);
    lines.push(match whole {
        true => Line::default().and(Style::Name, format!("{} references", walk.len())),
        false => Line::default().and(Style::Bad, "not there: a hidden page fault fills it"),
    });
    lines
}
