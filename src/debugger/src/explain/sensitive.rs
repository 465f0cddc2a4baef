//! A sensitive instruction under a monitor: whether it traps, and what it sees of the physical machine
//! if it does not.
//!
//! The instruction is tried twice on a copy: on the virtual CPU, which tells what it should do, and on
//! the physical state that the monitor would run it on. What differs is what the guest is told wrong.
//!
//! Source of the list: `Sensitive`, after Robin and Irvine 2000.

use super::Explanation;
use super::dry_run::{DryRun, Ended, dry_run};
use super::subject::Subject;
use super::{delivery, fetch};
use crate::mode;
use cutaway_cpu::{CpuState, Seg};
use cutaway_isa::{Instruction, OpKind, Rflags, decode};
use cutaway_machine::{Direct, Machine, Sensitive};
use cutaway_memory::MemoryError;

/// What becomes of a sensitive instruction that the CPU executes directly, deprivileged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It traps with this exception, and the monitor emulates it.
    Traps(String),
    /// It runs, and does this to what the guest sees: the physical value, and the virtual CPU's.
    Misbehaves {
        /// What it does, up to the value.
        does: String,
        /// The value that comes of it.
        physical: String,
        /// The value that should come of it.
        guest: String,
    },
    /// It runs, and what comes of it is right here.
    Right,
}

/// A sensitive instruction about to be executed directly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encounter {
    /// Which it is.
    pub which: Sensitive,
    /// Its mnemonic.
    pub name: String,
    /// The ring that it really runs in.
    pub ring: u8,
    /// What becomes of it.
    pub fate: Fate,
}

impl Encounter {
    /// All of it in one paragraph.
    #[must_use]
    pub fn text(&self) -> String {
        let (name, ring) = (&self.name, self.ring);
        match &self.fate {
            Fate::Traps(exception) => {
                let why = match self.which {
                    which if which.heeds_umip() => "CR4.UMIP is on in the physical CPU",
                    Sensitive::Interrupt => "the physical IDT is empty",
                    _ => "the physical GDT is empty, and the ring is not the guest's",
                };
                format!(
                    "{name} is sensitive, and traps in ring {ring}, {exception}: {why}. The monitor \
                     emulates it on the virtual CPU"
                )
            }
            Fate::Misbehaves { does, physical, guest } => {
                let umip = if self.which.heeds_umip() {
                    "UMIP (--umip) would make it trap"
                } else {
                    "UMIP would not make it trap"
                };
                format!(
                    "{name} is sensitive, and does not trap in ring {ring}: {does} {physical}, not \
                     {guest}. {umip}"
                )
            }
            Fate::Right => {
                format!("{name} is sensitive, and does not trap in ring {ring}; it is right here")
            }
        }
    }
}

/// What becomes of the next instruction, if it is a sensitive one that a monitor lets the CPU execute
/// directly.
///
/// # Errors
/// The host has no memory for the copies on which it is tried.
pub fn encounter(machine: &Machine) -> Result<Option<Encounter>, MemoryError> {
    let subject = Subject::of(machine);
    let Some((instruction, which, direct)) = sensitive(machine, &subject) else { return Ok(None) };
    let guest = dry_run(&subject)?;
    judge(&subject, &instruction, which, &direct, &guest)
}

/// The same for an explanation that has already tried it.
pub(super) fn note(
    machine: &Machine,
    subject: &Subject<'_>,
    explanation: &Explanation,
) -> Result<Option<String>, MemoryError> {
    let Some((instruction, which, direct)) = sensitive(machine, subject) else { return Ok(None) };
    let found = judge(subject, &instruction, which, &direct, &explanation.dry_run)?;
    Ok(found.map(|found| found.text()))
}

fn sensitive(machine: &Machine, subject: &Subject<'_>) -> Option<(Instruction, Sensitive, Direct)> {
    let direct = machine.vm()?.direct(machine.vcpu(), machine.pins())?;
    let bytes = fetch(subject);
    let instruction = decode(mode::code_size(&subject.state), &bytes, subject.state.rip).ok()?;
    Some((instruction, Sensitive::of(&instruction)?, direct))
}

fn judge(
    subject: &Subject<'_>,
    instruction: &Instruction,
    which: Sensitive,
    direct: &Direct,
    guest: &DryRun,
) -> Result<Option<Encounter>, MemoryError> {
    let state = CpuState {
        system: direct.on_paging_of(&subject.state.system),
        rflags: direct.rflags,
        ..subject.state.clone()
    };
    let physical = dry_run(&Subject { state, ..*subject })?;
    let fate = match (&physical.ended, &guest.ended) {
        // What is wrong with it is the guest's own doing.
        (Ended::Raised(_), Ended::Raised(_)) if !which.needs_tables() => return Ok(None),
        (Ended::Raised(exception), _) => {
            let (vector, code) = (exception.vector, exception.code);
            let code = if vector.has_error_code() { format!("({code:#x})") } else { String::new() };
            Fate::Traps(format!("{}{}", delivery::vector_name(vector), code.replace("0x0", "0")))
        }
        _ => compare(subject, instruction, which, direct, (&physical, guest)),
    };
    let name = format!("{:?}", instruction.mnemonic()).to_uppercase();
    let ring = (direct.system.segments[Seg::Cs as usize].selector & 3) as u8;
    Ok(Some(Encounter { which, name, ring, fate }))
}

/// What it gives by the physical state against what it should give.
fn compare(
    subject: &Subject<'_>,
    instruction: &Instruction,
    which: Sensitive,
    direct: &Direct,
    (physical, guest): (&DryRun, &DryRun),
) -> Fate {
    let (does, physical, guest) = match which {
        Sensitive::Pushf => {
            let pushed = |run: &DryRun| {
                run.touched.iter().find(|touched| touched.write).map_or(0, |touched| touched.value)
            };
            let does = "it pushes the physical flags,".to_owned();
            (does, flags(pushed(physical)), format!("the guest's, {}", flags(pushed(guest))))
        }
        Sensitive::Popf => {
            let became = Direct::reflected(subject.state.rflags, physical.after.rflags);
            let does = "it leaves IF and IOPL alone: the flags become".to_owned();
            (does, flags(became), flags(guest.after.rflags))
        }
        Sensitive::Lar | Sensitive::Lsl | Sensitive::Verr | Sensitive::Verw => {
            let does = "it looks into the physical GDT, which is empty:".to_owned();
            (does, looked(instruction, physical), looked(instruction, guest))
        }
        _ => {
            let now = which.stored(&direct.system);
            let then = which.stored(&subject.state.system);
            let (Some((register, now)), Some((_, then))) = (now, then) else { return Fate::Right };
            (format!("it stores the physical {register},"), now, format!("the guest's, {then}"))
        }
    };
    if guest.ends_with(&physical) {
        return Fate::Right;
    }
    Fate::Misbehaves { does, physical, guest }
}

fn flags(value: u64) -> String {
    let open = u8::from(value & Rflags::IF.bits() != 0);
    format!("{:08x} (IF {open}, IOPL {})", value & 0xffff_ffff, value >> 12 & 3)
}

/// What LAR, LSL, VERR and VERW say: ZF, and a register behind ZF = 1.
fn looked(instruction: &Instruction, run: &DryRun) -> String {
    let found = run.after.rflags & Rflags::ZF.bits() != 0;
    let register = instruction.op0_register();
    let is_stored = instruction.op_count() == 2 && instruction.op0_kind() == OpKind::Register;
    if !found || !is_stored {
        return format!("ZF = {}", u8::from(found));
    }
    let number = register.number() & 15;
    let value = run.after.gpr[number] & (u64::MAX >> (64 - 8 * register.size().clamp(1, 8)));
    format!("ZF = 1 and {:?} = {value:08x}", register)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_machine::{Boot, Config, CpuModel, Model, Reason, Stop};
    use std::path::Path;

    /// The ROM of the sensitive instructions, at its reset.
    fn rom(model: Option<Model>, umip: bool) -> Machine {
        let file = "../../test-roms/bin/sensitive.bin";
        let image = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let cpu = CpuModel::by_name("x86-64-v2").unwrap();
        let config = Config { memory_bytes: 32 << 20, model, umip, ..Config::new(cpu) };
        Machine::new(config, &Boot::Rom(&image)).unwrap()
    }

    /// Traps that are the instruction's own doing.
    fn traps(machine: &Machine) -> u64 {
        let exits = machine.vm().unwrap().exits();
        let hidden = [Reason::ShadowFault, Reason::Interrupt].map(|reason| exits.of(reason));
        exits.total() - hidden.iter().sum::<u64>()
    }

    /// Every encounter of a whole run, each checked against what then happens.
    fn encounters(mut machine: Machine) -> Vec<Encounter> {
        let mut all = Vec::new();
        loop {
            let found = encounter(&machine).unwrap();
            let before = traps(&machine);
            let stop = machine.run_until(machine.ticks() + 1);
            if let Some(found) = found {
                let trapped = traps(&machine) > before;
                assert_eq!(trapped, matches!(found.fate, Fate::Traps(_)), "{}", found.text());
                let subject = Subject::of(&machine);
                let top = subject.peek_number(subject.state.gpr[4], 4).unwrap();
                if let Fate::Misbehaves { physical, .. } = &found.fate
                    && found.name.starts_with("PUSH")
                {
                    let number = physical.split(' ').next().unwrap();
                    let told = u64::from_str_radix(number, 16).unwrap();
                    assert_eq!(top & 0xffff, told & 0xffff, "{}", found.text());
                }
                all.push(found);
            }
            if !matches!(stop, Stop::Limit) {
                return all;
            }
        }
    }

    fn texts(encounters: &[Encounter], name: &str) -> Vec<String> {
        encounters.iter().filter(|found| found.name == name).map(Encounter::text).collect()
    }

    /// The values are those of the ROM (tests/vmm.rs): its own, and the monitor's.
    #[test]
    fn both_values_are_told_and_what_is_told_happens() {
        let all = encounters(rom(Some(Model::Trap), false));

        let one = |name: &str, expected: &str| {
            let texts = texts(&all, name);
            assert!(texts.iter().any(|text| text.contains(expected)), "{expected} in {texts:#?}");
        };
        one(
            "SGDT",
            "GDTR, base ffc00000 limit 0000, not the guest's, base 00000600 limit 01ff. UMIP (",
        );
        one("SIDT", "IDTR, base ffc01000 limit 0000, not the guest's, base 00000800 limit 07ff");
        one("SLDT", "LDTR, 0000, not the guest's, 0068");
        one("STR", "TR, 0000, not the guest's, 0058");
        one("SMSW", "CR0, 0031, not the guest's, 0011");
        one("PUSHFD", "(IF 1, IOPL 0), not the guest's, 00003002 (IF 0, IOPL 3). UMIP would not");
        one("POPFD", "become 00000202 (IF 1, IOPL 0), not 00003002 (IF 0, IOPL 3)");
        one("LAR", "empty: ZF = 0, not ZF = 1 and EBX = 00cf9");
        one("LSL", "empty: ZF = 0, not ZF = 1 and EBX = ffffffff");
        one("VERR", "ZF = 0, not ZF = 1.");
        one("VERW", "ZF = 0, not ZF = 1.");
        one("PUSH", "CS, 0009, not the guest's, 0008");
        one("MOV", "SS, 0011, not the guest's, 0010");
        one("POP", "traps in ring 1, #GP(0x10): the physical GDT");
        one("CALL", "traps in ring 1");
        one("JMP", "traps in ring 1");
        one("RETF", "traps in ring 1");
        one("INT", "traps in ring 1, #GP(0x182): the physical IDT");
    }

    #[test]
    fn umip_makes_five_of_them_trap() {
        let all = encounters(rom(Some(Model::Trap), true));

        for found in &all {
            let traps = matches!(found.fate, Fate::Traps(_));
            assert_eq!(found.which.heeds_umip() || found.which.needs_tables(), traps, "{found:?}");
        }
        assert!(texts(&all, "STR")[0].contains("#GP(0): CR4.UMIP is on"));
    }

    #[test]
    fn nothing_is_told_where_the_guest_has_the_cpu() {
        for model in [Some(Model::Translate), Some(Model::Hardware)] {
            assert_eq!(encounters(rom(model, false)), [], "{model:?}");
        }
    }
}
