//! Checks: reading them, and finding out whether they hold.

use crate::FileError;
use crate::case::{Check, Console, Item, Limit, Place, StopKind};
use crate::driver::Driver;
use crate::quantity::{parse_bytes, parse_number, show_bytes};
use crate::raw::{RawCheck, RawConsole, RawCount, RawMemory};
use crate::resolve::Resolver;
use cutaway_cpu::CpuState;
use cutaway_replay::{Register, ReplayError};
use toml::Spanned;

/// Addresses that one check may ask to be executed.
const MAX_COVERAGE: usize = 10_000;
/// Hexadecimal digits of a hash of all state.
const HASH_DIGITS: usize = 64;
/// What an item takes beside its texts, about.
const ITEM_BYTES: usize = 64;

impl Resolver<'_> {
    pub(crate) fn check(&self, raw: &Spanned<RawCheck>, usual: Limit) -> Result<Check, FileError> {
        let (span, raw) = (raw.span(), raw.get_ref());
        if let Some(screen) = &raw.screen {
            let message = "not implemented: screen; there is no display adapter yet";
            return Err(self.source.error(screen.span(), message));
        }
        let stop = raw.stop.as_ref().map(|text| self.parsed(text, stop_kind)).transpose()?;
        let has_limit = raw.within.is_some() || raw.within_instructions.is_some();
        if has_limit && stop.is_none() {
            let message = "within and within-instructions say how long stop may take: give it, too";
            return Err(self.source.error(span, message));
        }
        let limit = self.limit(raw.within.as_ref(), raw.within_instructions.as_ref(), usual)?;
        let mut items = Vec::new();
        if let Some(hash) = &raw.state_hash {
            items.push(Item::StateHash(self.parsed(hash, state_hash)?));
        }
        for (name, number) in &raw.registers {
            let (register, mask) = register(name)
                .ok_or_else(|| self.source.error(number.span(), unknown_register(name)))?;
            let value = self.number(number)?;
            if value & !mask != 0 {
                let message = format!("{value:#x} does not fit into {name}");
                return Err(self.source.error(number.span(), message));
            }
            items.push(Item::Register { name: name.clone(), register, mask, value });
        }
        self.memory(raw.memory.as_ref(), &mut items)?;
        if let Some(count) = &raw.instructions {
            items.push(self.count(count, span.clone())?);
        }
        if let Some(list) = &raw.coverage {
            let addresses = self.numbers(list)?;
            if addresses.len() > MAX_COVERAGE {
                let message = format!("coverage takes at most {MAX_COVERAGE} addresses");
                return Err(self.source.error(list.span(), message));
            }
            items.extend(addresses.into_iter().map(Item::Covered));
        }
        self.console(raw.console.as_ref(), Console::Serial, &mut items)?;
        self.console(raw.debug_console.as_ref(), Console::Debug, &mut items)?;
        if !self.source.spend(items.len() * ITEM_BYTES) {
            return Err(self.source.error(span, "all cases of this file together are too large"));
        }
        if stop.is_none() && items.is_empty() {
            let message = "the check checks nothing: give stop, console, debug-console, registers, \
                memory, state-hash, instructions or coverage";
            return Err(self.source.error(span, message));
        }
        Ok(Check { line: self.source.line(span.start), stop, limit, items })
    }

    fn memory(&self, raw: Option<&RawMemory>, items: &mut Vec<Item>) -> Result<(), FileError> {
        let Some(raw) = raw else { return Ok(()) };
        for (map, linear) in [(&raw.physical, false), (&raw.linear, true)] {
            for (address, bytes) in map {
                let address =
                    parse_number(address).map_err(|why| self.source.error(bytes.span(), why))?;
                let bytes = self.parsed(bytes, parse_bytes)?;
                items.push(Item::Memory { linear, address, bytes });
            }
        }
        Ok(())
    }

    fn count(&self, raw: &RawCount, span: std::ops::Range<usize>) -> Result<Item, FileError> {
        let number = |number: &Option<_>| number.as_ref().map(|n| self.number(n)).transpose();
        let (exactly, least, most) =
            (number(&raw.exactly)?, number(&raw.at_least)?, number(&raw.at_most)?);
        let (least, most) = match (exactly, least, most) {
            (Some(count), None, None) => (count, count),
            (None, None, None) | (Some(_), _, _) => {
                let message = "instructions takes exactly, or at-least and at-most";
                return Err(self.source.error(span, message));
            }
            (None, least, most) => (least.unwrap_or(0), most.unwrap_or(u64::MAX)),
        };
        Ok(Item::Instructions { least, most })
    }

    fn console(
        &self,
        raw: Option<&RawConsole>,
        console: Console,
        items: &mut Vec<Item>,
    ) -> Result<(), FileError> {
        let Some(raw) = raw else { return Ok(()) };
        if let Some(list) = &raw.contains {
            items
                .extend(self.texts(list)?.into_iter().map(|text| Item::Contains { console, text }));
        }
        if let Some(list) = &raw.not_contains {
            items.extend(self.texts(list)?.into_iter().map(|text| Item::Lacks { console, text }));
        }
        if let Some(text) = &raw.exact {
            items.push(Item::Exact { console, text: self.text(text)? });
        }
        Ok(())
    }
}

fn stop_kind(text: &str) -> Result<StopKind, String> {
    let wrong = || {
        format!(
            "unknown stop '{text}': there are power-off, debug-exit:N, halted, reset, shutdown, idle"
        )
    };
    Ok(match text {
        "power-off" => StopKind::PowerOff,
        "halted" => StopKind::Halted,
        "reset" => StopKind::Reset,
        "shutdown" => StopKind::Shutdown,
        "idle" => StopKind::Idle,
        _ => {
            let code = text.strip_prefix("debug-exit:").ok_or_else(wrong)?;
            let code = parse_number(code).ok().and_then(|code| u8::try_from(code).ok());
            StopKind::DebugExit(code.ok_or_else(wrong)?)
        }
    })
}

fn state_hash(text: &str) -> Result<String, String> {
    let is_hash = text.len() == HASH_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let wrong = || format!("'{text}' is no hash: it has {HASH_DIGITS} hexadecimal digits");
    is_hash.then(|| text.to_ascii_lowercase()).ok_or_else(wrong)
}

fn unknown_register(name: &str) -> String {
    format!(
        "unknown register '{name}': there are rax to r15, eax to edi, rip, rflags, cs to gs, cr0, \
         cr2, cr3, cr4, cr8, dr0 to dr3, dr6, dr7, efer"
    )
}

/// A register and the bits of it that a name stands for.
fn register(name: &str) -> Option<(Place, u64)> {
    let name = name.to_ascii_lowercase();
    let narrow = name.len() == 3 && name.starts_with('e') || name == "eflags";
    let mask = if narrow { 0xffff_ffff } else { u64::MAX };
    let place = match name.as_str() {
        "rip" | "eip" => Place::Rip,
        "cr8" => Place::Cr8,
        "dr0" | "dr1" | "dr2" | "dr3" | "dr6" | "dr7" => {
            Place::Dr(usize::from(name.as_bytes()[2] - b'0'))
        }
        _ => Place::Known(Register::by_name(&name)?),
    };
    Some((place, mask))
}

impl Place {
    fn of(self, state: &CpuState) -> u64 {
        let system = &state.system;
        match self {
            Self::Known(register) => register.of(state),
            Self::Rip => state.rip,
            Self::Cr8 => system.cr8,
            Self::Dr(6) => system.dr6,
            Self::Dr(7) => system.dr7,
            Self::Dr(number) => system.dr[number & 3],
        }
    }
}

impl Item {
    pub(crate) fn is_about_output(&self) -> bool {
        matches!(self, Self::Contains { .. } | Self::Lacks { .. } | Self::Exact { .. })
    }

    /// What does not hold, if anything.
    pub(crate) fn unmet(&self, driver: &mut Driver<'_>) -> Result<Option<String>, ReplayError> {
        Ok(match self {
            Self::Contains { console, text } => (!driver.output(*console).contains(text))
                .then(|| format!("{console} does not contain {text:?}")),
            Self::Lacks { console, text } => driver
                .output(*console)
                .contains(text)
                .then(|| format!("{console} contains {text:?}")),
            Self::Exact { console, text } => {
                driver.output(*console).difference(text).map(|difference| {
                    format!("{console} does not hold exactly what it should: {difference}")
                })
            }
            Self::Register { name, register, mask, value } => {
                let found = register.of(&driver.machine().vcpu().save()) & mask;
                (found != *value).then(|| format!("{name} is {found:#x}, not {value:#x}"))
            }
            Self::Memory { linear, address, bytes } => memory(driver, *linear, *address, bytes),
            Self::StateHash(expected) => {
                let found = format!("{:#}", driver.state_hash()?);
                (found != *expected)
                    .then(|| format!("the hash of all state is {found}, not {expected}"))
            }
            Self::Instructions { least, most } => {
                let found = driver.instructions();
                let expected = match (*least, *most) {
                    (least, most) if least == most => format!("{least}"),
                    (least, u64::MAX) => format!("at least {least}"),
                    (0, most) => format!("at most {most}"),
                    (least, most) => format!("{least} to {most}"),
                };
                (!(*least..=*most).contains(&found))
                    .then(|| format!("{found} instructions were executed, not {expected}"))
            }
            Self::Covered(address) => (!driver.has_executed(*address))
                .then(|| format!("the instruction at {address:#x} was not executed")),
        })
    }
}

/// Compares bytes of memory.
fn memory(driver: &Driver<'_>, linear: bool, address: u64, bytes: &[u8]) -> Option<String> {
    let machine = driver.machine();
    let (state, memory) = (machine.vcpu().save(), machine.memory());
    let kind = if linear { "linear" } else { "physical" };
    let mut found = Vec::with_capacity(bytes.len());
    for n in 0..bytes.len() as u64 {
        let at = address.wrapping_add(n);
        let physical = if linear { state.physical_of(memory, at) } else { Some(at) };
        let Some(physical) = physical else {
            return Some(format!("nothing is mapped at linear address {at:#x}"));
        };
        let mut byte = [0];
        memory.read(physical, &mut byte);
        found.push(byte[0]);
    }
    (found != bytes).then(|| {
        let (found, bytes) = (show_bytes(&found), show_bytes(bytes));
        format!("at {kind} address {address:#x} there is {found}, not {bytes}")
    })
}
