//! From what TOML has to a case: parameters put in, names looked up, values checked.

use crate::FileError;
use crate::case::{Action, Case, Console, Guest, Limit, PlannedFault, Step};
use crate::params::Params;
use crate::quantity::{MAX_NS, parse_date, parse_number, parse_size, parse_time};
use crate::raw::{
    Number, RawFault, RawFile, RawGuest, RawLimits, RawMachine, RawStep, Scalar, Scalars, Text,
};
use crate::source::Source;
use cutaway_machine::{Config, CpuModel, Fault, MAX_MEMORY, MIN_MEMORY, OnReset, register_number};
use cutaway_memory::PAGE_SIZE;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The CPU of a machine that names none.
const USUAL_CPU: &str = "x86-64-v2";
/// What a step may take if nothing is said: a minute of guest time.
const USUAL_NS: u64 = 60_000_000_000;
/// Instructions in a second that a machine can have, as on the command line.
const IPS: std::ops::RangeInclusive<u64> = 1_000_000..=100_000_000_000;
/// What a step takes beside its texts, about.
const STEP_BYTES: usize = 256;
/// Interrupt request lines.
const IRQS: u64 = 16;

/// Makes one case out of a file.
pub(crate) struct Resolver<'a> {
    pub(crate) source: &'a Source,
    pub(crate) params: &'a Params,
}

impl Resolver<'_> {
    pub(crate) fn case(&self, raw: &RawFile) -> Result<Case, FileError> {
        let limit = self.limits(raw.limits.as_ref())?;
        let guest = self.guest(raw.guest.as_ref())?;
        let config = match (&guest, &raw.machine) {
            (Guest::Snapshot(_), Some(machine)) => {
                let message = "a snapshot has its own machine: leave [machine] out";
                return Err(self.source.error(machine.span(), message));
            }
            (Guest::Snapshot(_), None) => None,
            (_, machine) => Some(self.config(machine.as_ref())?),
        };
        let steps: Result<Vec<_>, _> = raw.step.iter().map(|step| self.step(step, limit)).collect();
        let checks: Result<Vec<_>, _> =
            raw.check.iter().map(|check| self.check(check, limit)).collect();
        let (steps, checks) = (steps?, checks?);
        if let [_, second, ..] =
            checks.iter().filter(|check| check.stop.is_some()).collect::<Vec<_>>()[..]
        {
            let message = "the machine stops once: only one [[check]] can have stop";
            return Err(self.source.error_at(second.line, message));
        }
        if steps.is_empty() && checks.iter().all(|check| check.stop.is_none()) {
            let message = "the test runs nothing: give it a [[step]], or a [[check]] with stop";
            return Err(self.source.error(0..0, message));
        }
        let faults: Result<Vec<_>, _> = raw.fault.iter().map(|fault| self.fault(fault)).collect();
        let mut faults = faults?;
        faults.sort_by_key(|fault| fault.at);
        let missing = raw.guest.as_ref().and_then(|guest| guest.get_ref().missing.as_ref());
        Ok(Case {
            name: format!("{}{}", self.source.path.display(), self.params.suffix()),
            path: self.source.path.clone(),
            description: raw.description.clone().unwrap_or_default(),
            parameters: self.params.0.clone(),
            config,
            guest,
            missing: missing.map(|hint| self.text(hint)).transpose()?,
            steps,
            checks,
            faults,
        })
    }

    /// A text with the parameters put in.
    pub(crate) fn text(&self, text: &Text) -> Result<String, FileError> {
        self.expand(text.get_ref(), text.span())
    }

    fn expand(&self, text: &str, span: std::ops::Range<usize>) -> Result<String, FileError> {
        let text =
            self.params.put_into(text).map_err(|why| self.source.error(span.clone(), why))?;
        self.spend(text.len(), span)?;
        Ok(text)
    }

    fn spend(&self, bytes: usize, span: std::ops::Range<usize>) -> Result<(), FileError> {
        let message = "all cases of this file together are too large";
        if self.source.spend(bytes) { Ok(()) } else { Err(self.source.error(span, message)) }
    }

    /// What a function makes of a text.
    pub(crate) fn parsed<T>(
        &self,
        text: &Text,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, FileError> {
        parse(&self.text(text)?).map_err(|why| self.source.error(text.span(), why))
    }

    pub(crate) fn number(&self, number: &Number) -> Result<u64, FileError> {
        self.scalar(number.get_ref(), number.span())
    }

    fn scalar(&self, scalar: &Scalar, span: std::ops::Range<usize>) -> Result<u64, FileError> {
        let number = match scalar {
            Scalar::Text(text) => parse_number(&self.expand(text, span.clone())?),
            Scalar::Number(number) => u64::try_from(*number)
                .map_err(|_| format!("{number} is no number of 64 bits without sign")),
        };
        number.map_err(|why| self.source.error(span, why))
    }

    /// A number below an end.
    fn below(&self, number: &Number, end: u64, what: &str) -> Result<u8, FileError> {
        let value = self.number(number)?;
        u8::try_from(value).ok().filter(|small| u64::from(*small) < end).ok_or_else(|| {
            self.source.error(
                number.span(),
                format!("{value} is no {what}: they go from 0 to {}", end - 1),
            )
        })
    }

    pub(crate) fn numbers(&self, list: &Spanned<Scalars>) -> Result<Vec<u64>, FileError> {
        list.get_ref().0.iter().map(|scalar| self.scalar(scalar, list.span())).collect()
    }

    pub(crate) fn texts(&self, list: &Spanned<Scalars>) -> Result<Vec<String>, FileError> {
        let text = |scalar: &Scalar| self.expand(&scalar.to_string(), list.span());
        list.get_ref().0.iter().map(text).collect()
    }

    fn config(&self, machine: Option<&Spanned<RawMachine>>) -> Result<Config, FileError> {
        let none = RawMachine::default();
        let machine = machine.map_or(&none, Spanned::get_ref);
        let cpu = match &machine.cpu {
            Some(name) => self.parsed(name, cpu)?,
            None => CpuModel::by_name(USUAL_CPU).expect("this model is always there"),
        };
        let mut config = Config::new(cpu);
        if let Some(memory) = &machine.memory {
            config.memory_bytes = self.parsed(memory, memory_bytes)?;
        }
        if let Some(ips) = &machine.ips {
            config.ips = self.number(ips)?;
            if !IPS.contains(&config.ips) {
                let message = format!("ips goes from {} to {}", IPS.start(), IPS.end());
                return Err(self.source.error(ips.span(), message));
            }
        }
        if let Some(rtc) = &machine.rtc {
            config.rtc_start = self.parsed(rtc, parse_date)?;
        }
        if let Some(seed) = &machine.seed {
            config.cpu_seed = self.number(seed)?;
        }
        if let Some(on_reset) = &machine.on_reset {
            config.on_reset = self.parsed(on_reset, |text| match text {
                "restart" => Ok(OnReset::Restart),
                "stop" => Ok(OnReset::Stop),
                _ => Err(format!("on-reset is restart or stop, not '{text}'")),
            })?;
        }
        Ok(config)
    }

    fn guest(&self, guest: Option<&Spanned<RawGuest>>) -> Result<Guest, FileError> {
        let Some(guest) = guest else { return Ok(Guest::Firmware) };
        let (span, guest) = (guest.span(), guest.get_ref());
        let error = |message: &str| Err(self.source.error(span.clone(), message));
        if guest.kernel.is_none() && (guest.initrd.is_some() || guest.append.is_some()) {
            return error("initrd and append need a kernel");
        }
        match (&guest.kernel, &guest.rom, &guest.snapshot) {
            (Some(kernel), None, None) => Ok(Guest::Kernel {
                image: self.path(kernel)?,
                initrd: guest.initrd.as_ref().map(|path| self.path(path)).transpose()?,
                cmdline: guest
                    .append
                    .as_ref()
                    .map(|text| self.text(text))
                    .transpose()?
                    .unwrap_or_default(),
            }),
            (None, Some(rom), None) => Ok(Guest::Rom(self.path(rom)?)),
            (None, None, Some(snapshot)) => Ok(Guest::Snapshot(self.path(snapshot)?)),
            (None, None, None) => error(
                "[guest] needs kernel, rom or snapshot; leave it out for the built-in firmware",
            ),
            _ => error("[guest] takes one of kernel, rom and snapshot"),
        }
    }

    /// A path, relative to the folder of the test file.
    fn path(&self, text: &Text) -> Result<PathBuf, FileError> {
        let folder = self.source.path.parent().unwrap_or(Path::new(""));
        self.parsed(text, |text| {
            if text.is_empty() || text.contains('\0') {
                return Err(format!("{text:?} is no path"));
            }
            Ok(folder.join(text))
        })
    }

    fn limits(&self, limits: Option<&RawLimits>) -> Result<Limit, FileError> {
        let usual = Limit { ns: USUAL_NS, instructions: None };
        match limits {
            Some(limits) => self.limit(limits.time.as_ref(), limits.instructions.as_ref(), usual),
            None => Ok(usual),
        }
    }

    /// A limit where it is given, and what else holds.
    pub(crate) fn limit(
        &self,
        time: Option<&Text>,
        instructions: Option<&Number>,
        usual: Limit,
    ) -> Result<Limit, FileError> {
        let ns = time.map(|text| self.parsed(text, parse_time)).transpose()?;
        let instructions = instructions.map(|number| self.number(number)).transpose()?;
        Ok(Limit { ns: ns.unwrap_or(usual.ns), instructions: instructions.or(usual.instructions) })
    }

    fn step(&self, raw: &Spanned<RawStep>, usual: Limit) -> Result<Step, FileError> {
        let (span, raw) = (raw.span(), raw.get_ref());
        let line = self.source.line(span.start);
        self.spend(STEP_BYTES, span.clone())?;
        let mut actions = Vec::new();
        for (text, console) in [(&raw.expect, Console::Serial), (&raw.expect_debug, Console::Debug)]
        {
            if let Some(text) = text {
                let text = self.parsed(text, not_empty)?;
                actions.push(Action::Expect { console, text });
            }
        }
        if let Some(text) = &raw.send {
            actions.push(Action::Send(self.parsed(text, not_empty)?));
        }
        if let Some(text) = &raw.send_line {
            actions.push(Action::Send(self.text(text)? + "\r"));
        }
        if let Some(list) = &raw.key {
            actions.push(Action::Key(self.scan_codes(list)?));
        }
        if let Some(text) = &raw.wait {
            actions.push(Action::Wait(self.parsed(text, parse_time)?));
        }
        if let Some(number) = &raw.run {
            actions.push(Action::Run(self.number(number)?));
        }
        if let Some(pressed) = &raw.power_button {
            if !pressed.get_ref() {
                return Err(self.source.error(pressed.span(), "power-button is true or not there"));
            }
            actions.push(Action::PowerButton);
        }
        if let Some(check) = &raw.check {
            actions.push(Action::Check(self.check(check, usual)?));
        }
        let (Some(action), true) = (actions.pop(), actions.is_empty()) else {
            let message = "a step does one thing: expect, expect-debug, send, send-line, key, wait, \
                run, power-button or check";
            return Err(self.source.error(span, message));
        };
        let has_limit = raw.within.is_some() || raw.within_instructions.is_some();
        if has_limit && !matches!(action, Action::Expect { .. }) {
            let message = "within and within-instructions belong to expect and expect-debug, and \
                into a check with stop";
            return Err(self.source.error(span, message));
        }
        let mut limit = self.limit(raw.within.as_ref(), raw.within_instructions.as_ref(), usual)?;
        if let Action::Run(_) = action {
            // However long that takes: a halted guest must not hold it up for ever.
            limit.ns = MAX_NS;
        }
        Ok(Step { line, action, limit })
    }

    fn scan_codes(&self, list: &Spanned<Scalars>) -> Result<Vec<u8>, FileError> {
        let wrong = |code: u64| {
            let message = format!("{code:#x} is no scan code: they go from 0 to 0xff");
            self.source.error(list.span(), message)
        };
        let codes = self.numbers(list)?;
        if codes.is_empty() {
            return Err(self.source.error(list.span(), "key needs at least one scan code"));
        }
        codes.into_iter().map(|code| u8::try_from(code).map_err(|_| wrong(code))).collect()
    }

    fn fault(&self, raw: &Spanned<RawFault>) -> Result<PlannedFault, FileError> {
        let (span, raw) = (raw.span(), raw.get_ref());
        let mut faults = Vec::new();
        if let Some(flip) = &raw.flip_bit {
            let (address, bit) =
                (self.number(&flip.address)?, self.below(&flip.bit, 8, "bit of a byte")?);
            faults.push(Fault::FlipBit { address, bit });
        }
        if let Some(flip) = &raw.flip_register {
            let register = self.parsed(&flip.register, |name| {
                register_number(name)
                    .ok_or_else(|| format!("unknown register '{name}': give rax to r15, or rip"))
            })?;
            faults.push(Fault::FlipRegister {
                register,
                bit: self.below(&flip.bit, 64, "bit of a register")?,
            });
        }
        if let Some(irq) = &raw.add_interrupt {
            faults.push(Fault::AddInterrupt { irq: self.below(irq, IRQS, "IRQ")? });
        }
        if let Some(irq) = &raw.drop_interrupt {
            faults.push(Fault::DropInterrupt { irq: self.below(irq, IRQS, "IRQ")? });
        }
        if let Some(delay) = &raw.delay_device {
            let (irq, ns) =
                (self.below(&delay.irq, IRQS, "IRQ")?, self.parsed(&delay.by, parse_time)?);
            faults.push(Fault::DelayDevice { irq, ns });
        }
        let (Some(fault), true) = (faults.pop(), faults.is_empty()) else {
            let message = "a fault is one of flip-bit, flip-register, add-interrupt, \
                drop-interrupt and delay-device";
            return Err(self.source.error(span, message));
        };
        Ok(PlannedFault { line: self.source.line(span.start), at: self.number(&raw.at)?, fault })
    }
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("the text is empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn cpu(name: &str) -> Result<CpuModel, String> {
    CpuModel::parse(name).map_err(|error| error.to_string())
}

fn memory_bytes(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text)?;
    if (MIN_MEMORY..=MAX_MEMORY).contains(&bytes) && bytes.is_multiple_of(PAGE_SIZE) {
        return Ok(bytes);
    }
    let (least, most) = (MIN_MEMORY >> 20, MAX_MEMORY >> 20);
    Err(format!("a machine has {least}M to {most}M of memory, in whole 4K, not {text}"))
}
