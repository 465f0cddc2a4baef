//! Expressions over a machine's state, for conditions, questions and what people want printed.
//!
//! C's operators and precedence on unsigned 64-bit numbers that wrap around. Operands: numbers,
//! registers and flags by name, `pc`, `cpl`, `guestmode`, `count`, `moved`, symbols, and memory: `byte[A]`, `word[A]`, `dword[A]`,
//! `qword[A]` at a linear address, `pbyte[A]` and so on at a physical one. `ds:A` is an address
//! with a segment's base added. Divisions by zero and memory that is not there are errors.

use crate::address;
use crate::host::HostRun;
use crate::memory::{self, Space};
use crate::mode;
use crate::symbols::Symbols;
use cutaway_cpu::{CpuState, Seg};
use cutaway_isa::Rflags;
use cutaway_machine::{BalloonSize, Machine, Reason, Vm};
use cutaway_memory::GuestMemory;

/// Brackets and signs inside each other, at most.
const MAX_DEPTH: usize = 64;
/// Characters of an expression, at most.
const MAX_LENGTH: usize = 1_000;

/// Operators by precedence, from the weakest; those of a level bind from the left.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

/// What is asked.
pub(crate) struct Subject<'a> {
    pub(crate) state: &'a CpuState,
    pub(crate) memory: &'a GuestMemory,
    /// Instructions retired.
    pub(crate) count: u64,
    /// Instructions that the last movement went.
    pub(crate) moved: u64,
    pub(crate) symbols: &'a Symbols,
    /// The monitor of a virtual machine.
    pub(crate) monitor: Option<&'a Vm>,
    /// The memory balloon whose driver is at work.
    pub(crate) balloon: Option<BalloonSize>,
    /// The host of several guests, and which of them this is.
    pub(crate) host: Option<(&'a HostRun, usize)>,
}

/// The value of an expression.
pub(crate) fn evaluate(text: &str, subject: &Subject<'_>) -> Result<u64, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("an expression has at most {MAX_LENGTH} characters"));
    }
    let mut parser = Parser { rest: text, subject, depth: 0, idle: false };
    let value = parser.level(0)?;
    parser.skip_spaces();
    match parser.rest {
        "" => Ok(value),
        rest => Err(format!("'{rest}' is not understood here")),
    }
}

struct Parser<'a> {
    rest: &'a str,
    subject: &'a Subject<'a>,
    depth: usize,
    /// The value is not wanted: the other side of `&&` or `||` has decided.
    idle: bool,
}

impl<'a> Parser<'a> {
    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, what: &str) -> bool {
        self.skip_spaces();
        match self.rest.strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn level(&mut self, level: usize) -> Result<u64, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        loop {
            self.skip_spaces();
            let Some(&operator) = operators.iter().find(|operator| self.has(operator)) else {
                return Ok(left);
            };
            self.rest = &self.rest[operator.len()..];
            let was_idle = self.idle;
            self.idle |= operator == "&&" && left == 0 || operator == "||" && left != 0;
            let right = self.level(level + 1)?;
            let decided = self.idle && !was_idle;
            self.idle = was_idle;
            left = match operator {
                _ if decided => u64::from(left != 0),
                "/" | "%" if right == 0 && self.idle => 0,
                _ => apply(operator, left, right)?,
            };
        }
    }

    /// Whether an operator of this level comes next, and not a longer one.
    fn has(&self, operator: &str) -> bool {
        let Some(behind) = self.rest.strip_prefix(operator) else { return false };
        match operator {
            "|" | "&" => !behind.starts_with(operator),
            "<" | ">" => !behind.starts_with(operator) && !behind.starts_with('='),
            _ => true,
        }
    }

    fn unary(&mut self) -> Result<u64, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("the expression has too many brackets".to_owned());
        }
        let value = if self.take("-") {
            self.unary()?.wrapping_neg()
        } else if self.take("~") {
            !self.unary()?
        } else if self.take("!") {
            u64::from(self.unary()? == 0)
        } else if self.take("(") {
            let value = self.level(0)?;
            self.close(")")?;
            value
        } else {
            self.operand()?
        };
        self.depth -= 1;
        Ok(value)
    }

    fn close(&mut self, bracket: &str) -> Result<(), String> {
        if self.take(bracket) { Ok(()) } else { Err(format!("a '{bracket}' is missing")) }
    }

    fn operand(&mut self) -> Result<u64, String> {
        self.skip_spaces();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || c == ':';
        let len = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(len);
        self.rest = rest;
        if word.is_empty() {
            return Err(match self.rest.chars().next() {
                Some(c) => format!("'{c}' is not understood here"),
                None => "the expression ends too early".to_owned(),
            });
        }
        if let Some((bytes, space)) = memory_of(word)
            && self.take("[")
        {
            let address = self.level(0)?;
            self.close("]")?;
            return if self.idle { Ok(0) } else { self.load(space, address, bytes) };
        }
        self.named(word)
    }

    fn named(&self, word: &str) -> Result<u64, String> {
        let state = self.subject.state;
        let name = word.trim_start_matches('$').to_ascii_lowercase();
        if name == "count" {
            return Ok(self.subject.count);
        }
        if name == "moved" {
            return Ok(self.subject.moved);
        }
        if let Some(register) = cutaway_replay::Register::by_name(&name)
            && !name.starts_with('e') | ["es", "efer", "eflags"].contains(&name.as_str())
        {
            return Ok(register.of(state));
        }
        let flag = Rflags::from_name(&name.to_ascii_uppercase());
        if let Some(flag) = flag.filter(|flag| *flag != Rflags::ONE) {
            let bits = state.rflags & flag.bits();
            return Ok(bits >> flag.bits().trailing_zeros());
        }
        let system = &state.system;
        match name.as_str() {
            "cpl" => Ok(u64::from(cpl(state))),
            "guestmode" => Ok(u64::from(state.svm.guest.is_some())),
            "gdtr" => Ok(system.gdtr.base),
            "idtr" => Ok(system.idtr.base),
            "tr" => Ok(u64::from(system.segments[Seg::Tr as usize].selector)),
            _ if name.starts_with("traps") || name.starts_with("callouts") => self.counted(&name),
            _ if name.starts_with("phys") => self.physical(&name),
            "mapped" => Ok(self.monitor()?.resident(self.subject.memory).len() as u64),
            "balloon" => Ok(self.balloon()?.actual.into()),
            "balloonwanted" => Ok(self.balloon()?.wanted.into()),
            _ if self.subject.host.is_some() && is_hosted(&name) && !self.is_symbol(word) => {
                self.hosted(word)
            }
            _ => address::linear(word, state).or_else(|error| {
                if let Some(address) = self.subject.symbols.address_of(word) {
                    return Ok(address);
                }
                let wrong = word.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
                Err(if wrong && !word.contains(':') {
                    format!("'{word}' is no register, flag or symbol")
                } else {
                    error
                })
            }),
        }
    }

    fn is_symbol(&self, word: &str) -> bool {
        self.subject.symbols.address_of(word).is_some()
    }

    fn monitor(&self) -> Result<&'a Vm, String> {
        self.subject.monitor.ok_or_else(|| "there is no monitor (--model gives one)".to_owned())
    }

    fn balloon(&self) -> Result<BalloonSize, String> {
        let none = || "no driver is at work for a memory balloon".to_owned();
        self.subject.balloon.ok_or_else(none)
    }

    /// `traps`, `callouts`, or those for one reason: `traps_page_table_write`.
    fn counted(&self, name: &str) -> Result<u64, String> {
        let vm = self.monitor()?;
        let (counts, reason) = match name.strip_prefix("traps") {
            Some(reason) => (vm.exits(), reason),
            None => (vm.call_outs(), name.strip_prefix("callouts").unwrap_or_default()),
        };
        if reason.is_empty() {
            return Ok(counts.total());
        }
        let reason = reason.trim_start_matches('_').replace('_', " ");
        let known = Reason::ALL.into_iter().find(|known| known.name() == reason);
        known.map(|reason| counts.of(reason)).ok_or_else(|| {
            let names = Reason::ALL.map(|reason| reason.name().replace(' ', "_"));
            format!("'{name}' is no count; the reasons are {}", names.join(", "))
        })
    }

    /// A register of the physical CPU, as it is while the guest runs directly.
    fn physical(&self, name: &str) -> Result<u64, String> {
        let system = self.monitor()?.physical_system();
        let selector = |seg: Seg| u64::from(system.segments[seg as usize].selector);
        Ok(match name {
            "physcs" => selector(Seg::Cs),
            "physss" => selector(Seg::Ss),
            "physldtr" => selector(Seg::Ldtr),
            "phystr" => selector(Seg::Tr),
            "physgdtr" => system.gdtr.base,
            "physidtr" => system.idtr.base,
            "physcr0" => system.cr0,
            "physcr3" => system.cr3,
            "physcr4" => system.cr4,
            _ => return Err(format!("'{name}' is no register of the physical CPU")),
        })
    }

    /// Of the host, of the guest that is looked at, or of a guest by name: `used_web`.
    fn hosted(&self, word: &str) -> Result<u64, String> {
        let (run, here) = self.subject.host.ok_or("there is no host of several guests")?;
        let (what, guest) = match word.split_once('_') {
            Some((what, name)) => (what, run.named(name)?),
            None => (word, here),
        };
        let memory = || run.memory().ok_or("the host has no memory of its own");
        let pages = || Ok::<_, String>(memory()?.guests().get(guest).copied().unwrap_or_default());
        Ok(match what {
            "hostticks" => run.now(),
            "guestticks" => run.own_ticks(guest),
            "used" => run.used(guest),
            "stolen" => run.stolen(guest),
            "shares" => u64::from(run.share(guest).shares),
            "cap" => u64::from(run.share(guest).cap.unwrap_or(100)),
            "pages" => run.pages(guest),
            "frames" => memory()?.frames(),
            "framesused" => memory()?.used(),
            "mapped" => pages()?.mapped,
            "shared" => pages()?.shared,
            "ondisk" => pages()?.out,
            "copied" => pages()?.copied,
            "readin" => pages()?.read_in,
            "twice" => pages()?.paged_twice,
            "balloon" if run.memory().is_some() => pages()?.balloon,
            "balloon" => {
                let balloon = run.machine(guest).and_then(Machine::balloon);
                balloon.map_or(0, |size| size.actual.into())
            }
            _ => return Err(format!("'{word}' is nothing of a host")),
        })
    }

    fn load(&self, space: Space, address: u64, bytes: usize) -> Result<u64, String> {
        let mut buffer = [0; 8];
        let (state, wanted) = (self.subject.state, &mut buffer[..bytes]);
        let read = memory::read(self.subject.memory, state, space, address, wanted);
        if read < bytes {
            let kind = if space == Space::Linear { "linear" } else { "physical" };
            return Err(format!("there is no memory at {kind} {address:#x}"));
        }
        Ok(u64::from_le_bytes(buffer))
    }
}

/// The current privilege level.
pub(crate) fn cpl(state: &CpuState) -> u8 {
    if state.rflags & Rflags::VM.bits() != 0 {
        3
    } else if mode::is_real_like(state) {
        0
    } else {
        // The CPL is the DPL of SS (AMD APM vol. 2 §4.8, "Legacy Segment Descriptors").
        state.system.segments[Seg::Ss as usize].dpl()
    }
}

/// What expressions know of a host of several guests.
const HOSTED: [&str; 16] = [
    "hostticks",
    "guestticks",
    "used",
    "stolen",
    "shares",
    "cap",
    "pages",
    "frames",
    "framesused",
    "mapped",
    "shared",
    "ondisk",
    "copied",
    "readin",
    "twice",
    "balloon",
];

fn is_hosted(name: &str) -> bool {
    HOSTED.contains(&name.split('_').next().unwrap_or_default())
}

fn memory_of(word: &str) -> Option<(usize, Space)> {
    let word = word.to_ascii_lowercase();
    let (word, space) = match word.strip_prefix('p') {
        Some(word) => (word, Space::Physical),
        None => (word.as_str(), Space::Linear),
    };
    let bytes = match word {
        "byte" => 1,
        "word" => 2,
        "dword" => 4,
        "qword" => 8,
        _ => return None,
    };
    Some((bytes, space))
}

fn apply(operator: &str, a: u64, b: u64) -> Result<u64, String> {
    Ok(match operator {
        "||" => u64::from(a != 0 || b != 0),
        "&&" => u64::from(a != 0 && b != 0),
        "|" => a | b,
        "^" => a ^ b,
        "&" => a & b,
        "==" => u64::from(a == b),
        "!=" => u64::from(a != b),
        "<=" => u64::from(a <= b),
        ">=" => u64::from(a >= b),
        "<" => u64::from(a < b),
        ">" => u64::from(a > b),
        "<<" => a.checked_shl(u32::try_from(b).unwrap_or(u32::MAX)).unwrap_or(0),
        ">>" => a.checked_shr(u32::try_from(b).unwrap_or(u32::MAX)).unwrap_or(0),
        "+" => a.wrapping_add(b),
        "-" => a.wrapping_sub(b),
        "*" => a.wrapping_mul(b),
        "/" => a.checked_div(b).ok_or("a division by zero")?,
        _ => a.checked_rem(b).ok_or("a division by zero")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_cpu::gpr;

    fn value(text: &str) -> Result<u64, String> {
        let mut memory = GuestMemory::new(0x2000).unwrap();
        memory.add_ram(0, 0x2000).unwrap();
        memory.write(0x1000, &[0x78, 0x56, 0x34, 0x12]);
        let mut state = CpuState::reset(0);
        state.gpr[gpr::RAX] = 0x1_0000_0005;
        state.rflags = 0x3043;
        let symbols = Symbols::parse("1000 t table\n").unwrap();
        let subject = Subject {
            state: &state,
            memory: &memory,
            count: 77,
            balloon: None,
            moved: 7,
            symbols: &symbols,
            monitor: None,
            host: None,
        };
        evaluate(text, &subject)
    }

    #[test]
    #[rustfmt::skip] // one row per case
    fn expressions_have_the_precedence_of_c() {
        let rows = [
            ("1 + 2 * 3",                   Some(7)),
            ("(1 + 2) * 3",                 Some(9)),
            ("1 << 4 | 1",                  Some(17)),
            ("10 - 4 - 3",                  Some(3)),
            ("1 + 1 == 2 && 3 > 2",         Some(1)),
            ("5 & 4 == 4",                  Some(1)), // as in C: 5 & (4 == 4)
            ("-1",                          Some(u64::MAX)),
            ("~0 >> 63",                    Some(1)),
            ("!5",                          Some(0)),
            ("1 << 64",                     Some(0)),
            ("eax",                         Some(5)),
            ("rax == 0x100000005",          Some(1)),
            ("zf + cf * 2",                 Some(3)),
            ("iopl",                        Some(3)),
            ("word[0x1000]",                Some(0x5678)),
            ("dword[0xff8 + 8] == 0x12345678", Some(1)),
            ("pbyte[0x1003]",               Some(0x12)),
            ("count + moved",               Some(84)),
            ("byte[table + 1]",             Some(0x56)),
            ("cs",                          Some(0xf000)),
            ("pc",                          Some(0xffff_fff0)),
            ("guestmode",                   Some(0)),
            ("0 && byte[0x9999999]",        Some(0)),
            ("1 || 1 / 0",                  Some(1)),
            ("1 / 0",                       None),
            ("byte[0x9999999]",             None),
            ("byte[0",                      None),
            ("1 +",                         None),
            ("1 2",                         None),
            ("xyz",                         None),
            ("traps",                       None), // there is no monitor
            ("traps_port",                  None),
            ("physcs",                      None),
            ("mapped",                      None),
            ("balloon",                     None),
            ("",                            None),
        ];
        for (text, expected) in rows {
            assert_eq!(value(text).ok(), expected, "{text}: {:?}", value(text));
        }
    }

    #[test]
    fn endless_brackets_are_an_error() {
        assert!(value(&"(".repeat(900)).unwrap_err().contains("too many brackets"));
        assert!(value(&"1+".repeat(900)).unwrap_err().contains("at most"));
    }
}
