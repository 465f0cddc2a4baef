//! The first instruction at which two runs differ.
//!
//! Both are run on in growing steps, with the hashes of their states compared at each, until they
//! differ; then the last step is halved until one instruction is left. It is taken that runs that
//! differ go on differing: what they have in common again later is not looked for.

use crate::{Entry, Reached, ReplayError, TimeMachine};
use cutaway_cpu::{CpuState, Seg};
use cutaway_isa::{CodeSize, decode, disassemble};
use cutaway_memory::{PAGE_SIZE, PageKind};

/// Bytes of memory that are shown at most.
const MAX_BYTES: usize = 64;
/// The longest instruction.
const MAX_INSTRUCTION_BYTES: u64 = 15;

/// Something that is not the same in both runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// A register, a byte of memory, a chip.
    pub what: String,
    /// In the first run.
    pub left: String,
    /// In the second.
    pub right: String,
}

/// An instant of a run, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Ticks.
    pub ticks: u64,
    /// CS selector and RIP.
    pub place: (u16, u64),
    /// The next instruction.
    pub instruction: String,
}

/// Where two runs part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Instructions retired at the last instant at which both are equal; none if they differ from
    /// their first instant on.
    pub equal_until: Option<u64>,
    /// The instruction that does not do the same in both runs, or where it stands in each.
    pub before: [Point; 2],
    /// Behind it, the runs themselves.
    pub after: [Point; 2],
    /// What differs then.
    pub differences: Vec<Difference>,
}

/// Finds the first instruction at which two runs differ; `None` if they are equal up to the end of
/// the shorter one and end alike. `progress` is told how many instructions are still in question.
pub fn diff(
    left: &mut TimeMachine,
    right: &mut TimeMachine,
    mut progress: impl FnMut(u64),
) -> Result<Option<Divergence>, ReplayError> {
    let first = left.count().max(right.count());
    if !are_equal(left, right, first)? {
        return Ok(Some(divergence(left, right, None, first)?));
    }
    let mut equal = first;
    let mut different = None;
    // Both go through in steps, so that both have their checkpoints when they are halved.
    let mut step = 1 << 20;
    loop {
        let goal = equal + step;
        progress(goal);
        let (l, r) = (left.goto(goal)?, right.goto(goal)?);
        let ends = !matches!(l, Reached::Goal) || !matches!(r, Reached::Goal);
        if left.count() != right.count() {
            different = Some(left.count().min(right.count()) + 1);
            break;
        }
        if left.state_hash()? != right.state_hash()? {
            different = Some(left.count());
            break;
        }
        equal = left.count();
        if ends {
            break;
        }
        step = (step * 2).min(1 << 26);
    }
    let Some(mut different) = different else { return Ok(None) };
    while different - equal > 1 {
        let middle = equal + (different - equal) / 2;
        progress(different - equal);
        if are_equal(left, right, middle)? {
            equal = middle;
        } else {
            different = middle;
        }
    }
    Ok(Some(divergence(left, right, Some(equal), different)?))
}

fn are_equal(
    left: &mut TimeMachine,
    right: &mut TimeMachine,
    count: u64,
) -> Result<bool, ReplayError> {
    left.goto(count)?;
    right.goto(count)?;
    Ok(left.count() == right.count() && left.state_hash()? == right.state_hash()?)
}

fn divergence(
    left: &mut TimeMachine,
    right: &mut TimeMachine,
    equal_until: Option<u64>,
    different: u64,
) -> Result<Divergence, ReplayError> {
    let before = equal_until.unwrap_or(different);
    left.goto(before)?;
    right.goto(before)?;
    let points = [point(left), point(right)];
    let mut differences = Vec::new();
    let inputs = [input_here(left), input_here(right)];
    if inputs[0] != inputs[1] {
        let [left, right] = inputs;
        differences.push(Difference { what: "input before it".into(), left, right });
    }
    left.goto(different)?;
    right.goto(different)?;
    differences.extend(compare(left, right)?);
    Ok(Divergence { equal_until, before: points, after: [point(left), point(right)], differences })
}

/// What enters a run at this instant.
fn input_here(run: &TimeMachine) -> String {
    let here = run.machine().ticks();
    let entries = run.journal().entries.iter();
    let inputs = entries.filter_map(|entry| match entry {
        Entry::Input { at, input } if *at == here => Some(format!("{input:?}")),
        _ => None,
    });
    let inputs: Vec<_> = inputs.collect();
    if inputs.is_empty() { "none".into() } else { inputs.join(", ") }
}

fn code_size(state: &CpuState) -> CodeSize {
    let cs = &state.system.segments[Seg::Cs as usize];
    if state.system.efer & cutaway_isa::Efer::LMA.bits() != 0 && cs.is_long() {
        CodeSize::Bits64
    } else if cs.is_big() {
        CodeSize::Bits32
    } else {
        CodeSize::Bits16
    }
}

fn point(run: &TimeMachine) -> Point {
    let machine = run.machine();
    let state = machine.vcpu().save();
    let cs = &state.system.segments[Seg::Cs as usize];
    let size = code_size(&state);
    let base = if size == CodeSize::Bits64 { 0 } else { cs.base };
    let mut bytes = Vec::new();
    for at in 0..MAX_INSTRUCTION_BYTES {
        let linear = base.wrapping_add(state.rip).wrapping_add(at);
        let Some(physical) = state.physical_of(machine.memory(), linear) else { break };
        if machine.memory().page(physical) == PageKind::Device {
            break;
        }
        let mut byte = [0];
        machine.memory().read(physical, &mut byte);
        bytes.extend(byte);
    }
    let instruction = match decode(size, &bytes, state.rip) {
        Ok(instruction) => disassemble(&instruction),
        Err(_) => "(no instruction)".to_owned(),
    };
    Point { ticks: machine.ticks(), place: (cs.selector, state.rip), instruction }
}

/// All that differs between two machines.
fn compare(left: &TimeMachine, right: &TimeMachine) -> Result<Vec<Difference>, ReplayError> {
    let (a, b) = (left.machine().vcpu().save(), right.machine().vcpu().save());
    let mut found = Vec::new();
    let mut add = |what: &str, left: String, right: String| {
        if left != right {
            found.push(Difference { what: what.to_owned(), left, right });
        }
    };
    let hex = |value: u64| format!("{value:016x}");
    let names = [
        "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12",
        "R13", "R14", "R15",
    ];
    for (n, name) in names.iter().enumerate() {
        add(name, hex(a.gpr[n]), hex(b.gpr[n]));
    }
    add("RIP", hex(a.rip), hex(b.rip));
    add("RFLAGS", hex(a.rflags), hex(b.rflags));
    let segments = ["ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"];
    for (n, name) in segments.iter().enumerate() {
        let shown = |state: &CpuState| {
            let s = &state.system.segments[n];
            format!(
                "{:04x} base {:x} limit {:x} attributes {:04x}",
                s.selector, s.base, s.limit, s.attributes
            )
        };
        add(name, shown(&a), shown(&b));
    }
    let (s, t) = (&a.system, &b.system);
    let pairs = [
        ("CR0", s.cr0, t.cr0),
        ("CR2", s.cr2, t.cr2),
        ("CR3", s.cr3, t.cr3),
        ("CR4", s.cr4, t.cr4),
        ("CR8", s.cr8, t.cr8),
        ("EFER", s.efer, t.efer),
        ("DR6", s.dr6, t.dr6),
        ("DR7", s.dr7, t.dr7),
        ("ticks", a.ticks, b.ticks),
        ("RDRAND's generator", a.random, b.random),
    ];
    for (name, l, r) in pairs {
        add(name, hex(l), hex(r));
    }
    add("MSRs", format!("{:?}", s.msrs), format!("{:?}", t.msrs));
    add("x87", format!("{:?}", a.x87), format!("{:?}", b.x87));
    for n in 0..16 {
        add(&format!("XMM{n}"), format!("{:?}", a.xmm[n]), format!("{:?}", b.xmm[n]));
        add(
            &format!("YMM{n} high"),
            format!("{:?}", a.ymm_high[n]),
            format!("{:?}", b.ymm_high[n]),
        );
    }
    add("MXCSR", format!("{:08x}", a.mxcsr), format!("{:08x}", b.mxcsr));
    add("activity", format!("{:?}", a.activity), format!("{:?}", b.activity));
    chips(left, right, &mut found)?;
    memory(left, right, &mut found);
    Ok(found)
}

/// The sections of chips and configuration that differ, by name and first byte.
fn chips(
    left: &TimeMachine,
    right: &TimeMachine,
    found: &mut Vec<Difference>,
) -> Result<(), ReplayError> {
    let (a, b) = (left.machine().save()?, right.machine().save()?);
    for section in a.sections() {
        let name = section.name.as_str();
        if name == "cpu0" || name == "cpu0-translations" || name == "memory-touched" {
            continue;
        }
        let other = b.section(name)?;
        if section.bytes == other.bytes {
            continue;
        }
        let same = section.bytes.iter().zip(&other.bytes).take_while(|(a, b)| a == b).count();
        let shown = |bytes: &[u8]| {
            let part = bytes[same..].iter().take(8).map(|byte| format!("{byte:02x}"));
            format!("{} bytes, from {same} on: {}", bytes.len(), part.collect::<String>())
        };
        let (left, right) = (shown(&section.bytes), shown(&other.bytes));
        found.push(Difference { what: format!("state of {name}"), left, right });
    }
    Ok(())
}

/// The first bytes of memory that differ, by guest-physical address.
fn memory(left: &TimeMachine, right: &TimeMachine, found: &mut Vec<Difference>) {
    let (a, b) = (left.machine().memory(), right.machine().memory());
    let mut count = 0;
    for (start, len) in a.ram() {
        for address in (start..start + len).step_by(PAGE_SIZE as usize) {
            let (mut one, mut other) = ([0; PAGE_SIZE as usize], [0; PAGE_SIZE as usize]);
            a.read(address, &mut one);
            b.read(address, &mut other);
            if one == other {
                continue;
            }
            for (n, (l, r)) in one.iter().zip(&other).enumerate().filter(|(_, (l, r))| l != r) {
                count += 1;
                if count > MAX_BYTES {
                    let more = "more".to_owned();
                    found.push(Difference {
                        what: "memory".into(),
                        left: more.clone(),
                        right: more,
                    });
                    return;
                }
                let what = format!("memory {:#x}", address + n as u64);
                found.push(Difference {
                    what,
                    left: format!("{l:02x}"),
                    right: format!("{r:02x}"),
                });
            }
        }
    }
}
