//! The page walk of an address, entry by entry, and what the TLB knows of its page.

use super::Scene;
use crate::text::{Line, Style};
use crate::{mode, walk};
use cutaway_isa::Cr0;

pub(super) fn lines(scene: &Scene<'_>) -> Vec<Line> {
    let linear = scene.walk_of.unwrap_or_else(|| mode::pc(scene.state));
    let text = walk::walk(scene.state, scene.machine.memory(), linear);
    let mut lines: Vec<_> = text.lines().map(Line::of).collect();
    if scene.state.system.cr0 & Cr0::PG.bits() != 0 {
        lines.push(tlb(scene, linear));
    }
    if scene.walk_of.is_some() {
        lines.push(Line::default().and(Style::Dim, "stays at this address; walk alone goes on"));
    }
    lines
}

fn tlb(scene: &Scene<'_>, linear: u64) -> Line {
    let known = scene.machine.vcpu().known(linear);
    let line = Line::default().and(Style::Name, "TLB ");
    let all = [(known.read, "read"), (known.write, "write"), (known.fetch, "fetch")];
    let hits: Vec<_> = all.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    if hits.is_empty() {
        return line.and(Style::Plain, "miss: the next access walks the tables");
    }
    line.and(Style::Plain, format!("hit for {}", hits.join(", ")))
}
