//! The page walk of an address, entry by entry, and what the TLB knows of its page.

use super::Scene;
use crate::text::{Line, Style};
use crate::{mode, walk};

pub(super) fn lines(scene: &Scene<'_>) -> Vec<Line> {
    let linear = scene.walk_of.unwrap_or_else(|| mode::pc(scene.state));
    let text = walk::walk(scene.state, scene.machine.memory(), linear);
    let mut lines: Vec<_> = text.lines().map(Line::of).collect();
    lines.push(tlb(scene, linear));
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
