//! What lies in memory: instructions, the stack, bytes.

use super::Scene;
use crate::memory::{self, Space};
use crate::mode;
use crate::text::{Line, Style};
use cutaway_cpu::{Seg, gpr};
use cutaway_isa::{CodeSize, Instruction, MAX_LENGTH, OpKind, decode, disassemble};

/// Bytes of code before the next instruction in which a beginning is looked for.
const BEFORE: u64 = 64;
/// The same from the name before it.
const MOST_FROM_NAME: u64 = 4096;

/// Instructions around the next one; above it those that lead to it.
pub(super) fn code(scene: &Scene<'_>, rows: usize) -> Vec<Line> {
    let above = above(rows);
    let listing = listing(scene, above, rows);
    listing.into_iter().map(|(_, line)| line).take(rows).collect()
}

/// Rows of so many that lie above the next instruction.
pub(crate) fn above(rows: usize) -> usize {
    (rows / 3).min(8)
}

/// At most so many instructions that lead to the next one, and from that on so many, each with its
/// linear address.
pub(crate) fn listing(scene: &Scene<'_>, above: usize, below: usize) -> Vec<(u64, Line)> {
    let pc = mode::pc(scene.state);
    let mut all: Vec<_> =
        leading_to(scene, pc, above).into_iter().map(|at| (at, instruction(scene, at).0)).collect();
    let mut at = pc;
    for _ in 0..below {
        let (line, len) = instruction(scene, at);
        all.push((at, line));
        let Some(next) = at.checked_add(len).filter(|_| len > 0) else { break };
        at = next;
    }
    all
}

/// The next instruction taken apart.
pub(super) fn explain(scene: &Scene<'_>) -> Vec<Line> {
    match crate::explain::explain(scene.machine) {
        Ok(explanation) => explanation.lines().into_iter().map(Line::of).collect(),
        Err(error) => vec![Line::default().and(Style::Bad, error.to_string())],
    }
}

/// So many instructions from a linear address on.
pub(crate) fn from(scene: &Scene<'_>, mut at: u64, count: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for _ in 0..count {
        let (line, len) = instruction(scene, at);
        lines.push(line);
        let Some(next) = at.checked_add(len).filter(|_| len > 0) else { break };
        at = next;
    }
    lines
}

/// Addresses of the instructions right before one, as far as decoding from some place before it
/// meets it: x86 code cannot be read backwards for sure. The name before it is such a place if
/// there is one.
fn leading_to(scene: &Scene<'_>, pc: u64, count: usize) -> Vec<u64> {
    let named = pc.checked_sub(1).and_then(|before| {
        let (_, offset) = scene.symbols.name_at(before)?;
        (offset < MOST_FROM_NAME).then(|| before - offset)
    });
    if let Some(path) = named.and_then(|start| path(scene, start, pc)) {
        return last(path, count);
    }
    let mut best = Vec::new();
    // Code does not begin before its segment.
    let first = match mode::code_size(scene.state) {
        CodeSize::Bits64 => 0,
        _ => scene.state.system.segments[Seg::Cs as usize].base,
    };
    for back in 1..=BEFORE.min(pc.saturating_sub(first)) {
        if let Some(path) = path(scene, pc - back, pc).filter(|path| path.len() > best.len()) {
            best = path;
        }
        if best.len() >= count {
            break;
        }
    }
    last(best, count)
}

/// The instructions from one address to another, if decoding meets it.
fn path(scene: &Scene<'_>, mut at: u64, to: u64) -> Option<Vec<u64>> {
    let mut path = Vec::new();
    while at < to {
        path.push(at);
        at += length_at(scene, at)?;
    }
    (at == to).then_some(path)
}

fn last(mut path: Vec<u64>, count: usize) -> Vec<u64> {
    let surplus = path.len().saturating_sub(count);
    path.split_off(surplus)
}

fn bytes_at(scene: &Scene<'_>, at: u64, bytes: &mut [u8]) -> usize {
    memory::read(scene.machine.memory(), scene.state, Space::Linear, at, bytes)
}

fn length_at(scene: &Scene<'_>, at: u64) -> Option<u64> {
    let mut bytes = [0; MAX_LENGTH];
    let read = bytes_at(scene, at, &mut bytes);
    let offset = mode::offset_of_linear(scene.state, at);
    let instruction = decode(mode::code_size(scene.state), &bytes[..read], offset).ok()?;
    Some(instruction.len() as u64)
}

/// An instruction and its length; 0 where there is no memory.
fn instruction(scene: &Scene<'_>, at: u64) -> (Line, u64) {
    let state = scene.state;
    let mut bytes = [0; MAX_LENGTH];
    let read = bytes_at(scene, at, &mut bytes);
    let is_next = at == mode::pc(state);
    let is_breakpoint = scene.breakpoints.contains(&at);
    let marker = match (is_next, is_breakpoint) {
        (true, true) => "=>b",
        (true, false) => "=> ",
        (false, true) => "  b",
        (false, false) => "   ",
    };
    let style = if is_next { Style::Current } else { Style::Plain };
    let place = if mode::is_real_like(state) {
        let (cs, offset) =
            (state.system.segments[Seg::Cs as usize].selector, mode::offset_of_linear(state, at));
        format!("{cs:04x}:{offset:04x}")
    } else if mode::is_long(state) {
        format!("{at:016x}")
    } else {
        format!("{at:08x}")
    };
    let line = Line::default().and(style, marker).and(Style::Dim, place + "  ");
    let cs = &state.system.segments[Seg::Cs as usize];
    if !mode::is_long(state) && at.wrapping_sub(cs.base) & 0xffff_ffff > u64::from(cs.limit) {
        return (line.and(Style::Bad, "past the limit of CS"), 0);
    }
    if read == 0 {
        let why = crate::walk::why_not(state, scene.machine.memory(), at);
        return (line.and(Style::Bad, format!("no memory: {why}")), 0);
    }
    let offset = mode::offset_of_linear(state, at);
    let (len, what, target) = match decode(mode::code_size(state), &bytes[..read], offset) {
        Ok(instruction) => {
            let target = branch_target(scene, &instruction).unwrap_or_default();
            (instruction.len(), disassemble(&instruction), target)
        }
        Err(_) => (1, "(no instruction)".to_owned(), String::new()),
    };
    let label = match scene.symbols.name_at(at) {
        Some((name, 0)) => format!("{name}: "),
        _ => String::new(),
    };
    let shown: String = bytes[..len].iter().map(|byte| format!("{byte:02x}")).collect();
    let line = line.and(Style::Dim, format!("{shown:<20} ")).and(Style::Name, label);
    (line.and(style, what).and(Style::Dim, target), len as u64)
}

/// The name of where a branch leads.
fn branch_target(scene: &Scene<'_>, instruction: &Instruction) -> Option<String> {
    let is_near = (0..instruction.op_count()).any(|n| {
        let kind = instruction.op_kind(n);
        matches!(kind, OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
    });
    let target = mode::linear_of_offset(scene.state, instruction.near_branch_target());
    let name = scene.symbols.text_of(target).filter(|_| is_near)?;
    Some(format!("  <{name}>"))
}

/// The stack from its top on, a slot a line.
pub(super) fn stack(scene: &Scene<'_>, rows: usize) -> Vec<Line> {
    let state = scene.state;
    let ss = &state.system.segments[Seg::Ss as usize];
    let slot = match mode::code_size(state) {
        CodeSize::Bits64 => 8,
        CodeSize::Bits32 => 4,
        CodeSize::Bits16 => 2,
    };
    let (mask, base) = match (slot, ss.is_big()) {
        (8, _) => (u64::MAX, 0),
        (_, true) => (0xffff_ffff, ss.base),
        (_, false) => (0xffff, ss.base),
    };
    let mut lines = Vec::new();
    for n in 0..rows as u64 {
        let offset = state.gpr[gpr::RSP].wrapping_add(n * slot) & mask;
        let linear = base.wrapping_add(offset);
        let linear = if mode::is_long(state) { linear } else { linear & 0xffff_ffff };
        let marker = if n == 0 { "=> " } else { "   " };
        let place = if slot == 8 { format!("{offset:016x}") } else { format!("SS:{offset:04x}") };
        let line = Line::default().and(Style::Plain, marker).and(Style::Dim, place + "  ");
        let mut bytes = [0; 8];
        let read = bytes_at(scene, linear, &mut bytes[..slot as usize]);
        if read < slot as usize {
            lines.push(line.and(Style::Bad, "no memory"));
            break;
        }
        let value = u64::from_le_bytes(bytes);
        lines.push(line.and(Style::Plain, format!("{value:0width$x}", width = slot as usize * 2)));
    }
    lines
}

/// Bytes from the chosen linear address on.
pub(super) fn memory(scene: &Scene<'_>, rows: usize) -> Vec<Line> {
    dump(scene, Space::Linear, scene.memory_at, rows * 16)
}

/// So many bytes as lines of sixteen.
pub(crate) fn dump(scene: &Scene<'_>, space: Space, address: u64, len: usize) -> Vec<Line> {
    let mut bytes = vec![0; len];
    let guest = scene.machine.memory();
    let read = memory::read(guest, scene.state, space, address, &mut bytes);
    let text = memory::hex_dump(address, &bytes[..read]);
    let mut lines: Vec<_> = text.lines().map(Line::of).collect();
    if read < len && lines.len() * 16 < len {
        let end = address.wrapping_add(read as u64);
        let why = match space {
            Space::Linear => crate::walk::why_not(scene.state, guest, end),
            Space::Physical => "nothing or a device is there".to_owned(),
        };
        lines.push(Line::default().and(Style::Bad, format!("no memory at {end:#x}: {why}")));
    }
    lines
}
