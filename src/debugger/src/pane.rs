//! Panes: each shows one part of the machine as lines of text, for a screen, a prompt or a file.
//!
//! A pane looks and changes nothing. What differs from the instant before is marked.

mod chips;
mod code;
mod control;
mod grid;
mod guests;
mod paging;
mod privilege;
mod registers;
mod tables;
mod vm;

pub(crate) use code::{above, dump, from as instructions, listing};
pub(crate) use control::hidden;

use crate::explorer::Explorer;
use crate::symbols::Symbols;
use crate::text::Line;
use cutaway_cpu::CpuState;
use cutaway_machine::{ChipState, Machine};

/// A part of the machine that can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`about` says what each shows")]
pub enum Pane {
    Code,
    Explain,
    Registers,
    Segments,
    Control,
    Stack,
    Memory,
    Paging,
    Gdt,
    Ldt,
    Idt,
    Tss,
    Fpu,
    Sse,
    Pic,
    Lapic,
    IoApic,
    Pit,
    Rtc,
    Keyboard,
    Uart,
    Balloon,
    Disk,
    Console,
    Log,
    Vm,
    Translation,
    Grid,
    Privilege,
    Guests,
}

/// Every pane with its name and what it shows.
const ALL: [(Pane, &str, &str); 30] = [
    (Pane::Code, "code", "instructions around the next one"),
    (Pane::Explain, "explain", "the next instruction taken apart, before it runs"),
    (Pane::Registers, "registers", "general registers, RIP and RFLAGS"),
    (Pane::Segments, "segments", "segment registers with their hidden parts"),
    (Pane::Control, "control", "control, debug and model-specific registers by named bit"),
    (Pane::Stack, "stack", "the top of the stack"),
    (Pane::Memory, "memory", "bytes at an address"),
    (Pane::Paging, "paging", "the page walk of an address, and whether the TLB knows it"),
    (Pane::Gdt, "gdt", "the global descriptor table, decoded"),
    (Pane::Ldt, "ldt", "the local descriptor table, decoded"),
    (Pane::Idt, "idt", "the interrupt descriptor table or vector table, decoded"),
    (Pane::Tss, "tss", "the task state segment, decoded"),
    (Pane::Fpu, "fpu", "the x87 registers"),
    (Pane::Sse, "sse", "XMM and YMM registers and MXCSR"),
    (Pane::Pic, "pic", "both 8259A: IRR, ISR, IMR, priorities, what comes next"),
    (Pane::Lapic, "lapic", "the local APIC: IRR, ISR, priorities, local vector table, timer"),
    (Pane::IoApic, "ioapic", "the 82093AA: redirection table"),
    (Pane::Pit, "pit", "the 8254: counters, modes, pins"),
    (Pane::Rtc, "rtc", "the MC146818: time, alarm, interrupt flags"),
    (Pane::Keyboard, "keyboard", "the 8042 and its keyboard"),
    (Pane::Uart, "uart", "the 16550A of COM1: registers, FIFOs"),
    (Pane::Balloon, "balloon", "the virtio memory balloon: sizes, queues"),
    (Pane::Disk, "disk", "the virtio disk: medium, queues"),
    (Pane::Console, "console", "what the guest has printed on COM1"),
    (Pane::Vm, "vm", "guest, monitor and physical machine of a virtual machine"),
    (Pane::Translation, "translation", "what binary translation made of the code around"),
    (
        Pane::Grid,
        "grid",
        "the page walk of an address through the guest's tables and the monitor's",
    ),
    (
        Pane::Privilege,
        "privilege",
        "who runs where: guest, monitor, host, their rings, who has the CPU",
    ),
    (
        Pane::Guests,
        "guests",
        "several guests on one CPU: who had it when, shares, stolen time, memory",
    ),
    (Pane::Log, "log", "exceptions, interrupts, ports and mode changes up to here"),
];

impl Pane {
    /// Every pane, in the order in which help lists them.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().map(|(pane, ..)| *pane)
    }

    fn row(self) -> &'static (Self, &'static str, &'static str) {
        ALL.iter().find(|(pane, ..)| *pane == self).expect("every pane has its row")
    }

    /// The name by which it is asked for.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What it shows.
    #[must_use]
    pub fn about(self) -> &'static str {
        self.row().2
    }

    /// The pane of a name, or of the beginning of one alone.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        if let Some((pane, ..)) = ALL.iter().find(|(_, known, _)| *known == name) {
            return Some(*pane);
        }
        let mut found = ALL.iter().filter(|(_, known, _)| known.starts_with(name));
        let (pane, ..) = found.next().filter(|_| !name.is_empty())?;
        found.next().is_none().then_some(*pane)
    }

    /// What it shows of a scene, in about so many rows where it could show any number.
    #[must_use]
    pub fn lines(self, scene: &Scene<'_>, rows: usize) -> Vec<Line> {
        match self {
            Self::Code => code::code(scene, rows),
            Self::Explain => code::explain(scene),
            Self::Registers => registers::general(scene),
            Self::Segments => registers::segments(scene),
            Self::Control => control::lines(scene),
            Self::Stack => code::stack(scene, rows),
            Self::Memory => code::memory(scene, rows),
            Self::Paging => paging::lines(scene),
            Self::Gdt => tables::gdt(scene),
            Self::Ldt => tables::ldt(scene),
            Self::Idt => tables::idt(scene),
            Self::Tss => tables::tss(scene),
            Self::Fpu => registers::fpu(scene),
            Self::Sse => registers::sse(scene),
            Self::Pic => chips::lines(scene, "pic"),
            Self::Lapic => chips::lines(scene, "lapic"),
            Self::IoApic => chips::lines(scene, "ioapic"),
            Self::Pit => chips::lines(scene, "pit"),
            Self::Rtc => chips::lines(scene, "rtc"),
            Self::Keyboard => chips::lines(scene, "kbc"),
            Self::Uart => chips::lines(scene, "com1"),
            Self::Balloon => chips::lines(scene, "balloon"),
            Self::Disk => chips::lines(scene, "disk"),
            Self::Console => tail(scene.console.lines().map(Line::of).collect(), rows),
            Self::Vm => vm::lines(scene),
            Self::Translation => vm::translation(scene),
            Self::Grid => grid::lines(scene),
            Self::Privilege => privilege::lines(scene),
            Self::Guests => guests::lines(scene),
            Self::Log => tail(scene.log.iter().map(Line::of).collect(), rows),
        }
    }
}

/// The last rows of something.
fn tail(mut lines: Vec<Line>, rows: usize) -> Vec<Line> {
    let surplus = lines.len().saturating_sub(rows);
    lines.drain(..surplus);
    lines
}

/// What the panes look at.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The machine at this instant.
    pub machine: &'a Machine,
    /// Its CPU.
    pub state: &'a CpuState,
    /// The CPU at the instant that changes are reckoned from.
    pub before: &'a CpuState,
    /// The chips at that instant.
    pub chips_before: Option<&'a ChipState>,
    /// The linear address that the memory pane begins at.
    pub memory_at: u64,
    /// The linear address whose page walk is shown; the next instruction's if there is none.
    pub walk_of: Option<u64>,
    /// The explorer of all guests, if the machine is one of several on a host.
    pub guests: Option<&'a Explorer>,
    /// Linear addresses of breakpoints.
    pub breakpoints: &'a [u64],
    /// Names of the addresses of the code that runs.
    pub symbols: &'a Symbols,
    /// The same, also while a hypervisor in the machine lets its guest run, whose names they are not.
    pub all_symbols: &'a Symbols,
    /// What the guest has printed.
    pub console: &'a str,
    /// What happened lately, the newest last.
    pub log: &'a [String],
}

#[cfg(test)]
mod tests;
