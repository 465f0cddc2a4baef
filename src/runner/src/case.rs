//! A case: a test file with one value for each of its parameters, ready to be run.

use cutaway_machine::{Config, Fault};
use cutaway_replay::Register;
use std::fmt;
use std::path::{Path, PathBuf};

/// Characters of a name that are taken for a file; file systems take 255.
const LONGEST_NAME: usize = 150;

/// One test: a machine, what it starts, a script and checks.
#[derive(Clone, Debug)]
pub struct Case {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) description: String,
    pub(crate) parameters: Vec<(String, String)>,
    /// None if the guest is a snapshot, which has its own.
    pub(crate) config: Option<Config>,
    pub(crate) guest: Guest,
    /// What to do if a file of the guest is missing.
    pub(crate) missing: Option<String>,
    pub(crate) steps: Vec<Step>,
    pub(crate) checks: Vec<Check>,
    /// In the order in which they happen.
    pub(crate) faults: Vec<PlannedFault>,
}

impl Case {
    /// The file, and behind it the values of the parameters, as in `boot.toml[cpu=486]`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The test file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says that it shows; may be empty.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Names and values of the parameters.
    #[must_use]
    pub fn parameters(&self) -> &[(String, String)] {
        &self.parameters
    }

    /// The name as that of a file in another folder: the test file's own and the parameters.
    pub(crate) fn file_name(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let pairs = self.parameters.iter().map(|(name, value)| format!("-{name}={value}"));
        let name: String = std::iter::once(stem.into_owned()).chain(pairs).collect();
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_=".contains(c) { c } else { '-' };
        name.chars().take(LONGEST_NAME).map(plain).collect()
    }

    /// All linear addresses that a check asks the guest to have executed.
    pub(crate) fn coverage(&self) -> Vec<u64> {
        let in_steps = self.steps.iter().filter_map(|step| match &step.action {
            Action::Check(check) => Some(check),
            _ => None,
        });
        let items = in_steps.chain(&self.checks).flat_map(|check| &check.items);
        let addresses = items.filter_map(|item| match item {
            Item::Covered(address) => Some(*address),
            _ => None,
        });
        let mut all: Vec<_> = addresses.collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// What the machine starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Guest {
    /// The built-in firmware with the teaching kernel.
    Firmware,
    Rom(PathBuf),
    Kernel {
        image: PathBuf,
        initrd: Option<PathBuf>,
        cmdline: String,
    },
    Snapshot(PathBuf),
}

/// How long something may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Guest time.
    pub(crate) ns: u64,
    pub(crate) instructions: Option<u64>,
}

/// A step of the script.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Where it is in the file.
    pub(crate) line: usize,
    pub(crate) action: Action,
    pub(crate) limit: Limit,
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Run until this comes out, behind what earlier steps have seen.
    Expect {
        console: Console,
        text: String,
    },
    /// Characters for the serial console.
    Send(String),
    /// Scan codes from the keyboard.
    Key(Vec<u8>),
    /// Nanoseconds of guest time.
    Wait(u64),
    /// Instructions.
    Run(u64),
    PowerButton,
    Check(Check),
}

/// Where characters come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Console {
    Serial,
    Debug,
}

impl fmt::Display for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serial => "the console",
            Self::Debug => "the debug console",
        })
    }
}

/// What must hold.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) line: usize,
    /// Run until the machine stops, for this reason.
    pub(crate) stop: Option<StopKind>,
    pub(crate) limit: Limit,
    pub(crate) items: Vec<Item>,
}

#[derive(Clone, Debug)]
pub(crate) enum Item {
    Contains { console: Console, text: String },
    Lacks { console: Console, text: String },
    Exact { console: Console, text: String },
    Register { name: String, register: Place, mask: u64, value: u64 },
    Memory { linear: bool, address: u64, bytes: Vec<u8> },
    StateHash(String),
    Instructions { least: u64, most: u64 },
    Covered(u64),
}

/// A register that can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Known(Register),
    Rip,
    Cr8,
    Dr(usize),
}

/// Why a machine can stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopKind {
    PowerOff,
    DebugExit(u8),
    Halted,
    Reset,
    Shutdown,
    Idle,
}

impl fmt::Display for StopKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerOff => "power-off",
            Self::DebugExit(code) => return write!(f, "debug-exit:{code}"),
            Self::Halted => "halted",
            Self::Reset => "reset",
            Self::Shutdown => "shutdown",
            Self::Idle => "idle",
        })
    }
}

/// Something that goes wrong on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedFault {
    pub(crate) line: usize,
    /// Instructions retired before it.
    pub(crate) at: u64,
    pub(crate) fault: Fault,
}
