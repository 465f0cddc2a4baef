//! The models by which a guest can be virtualized.

use serde::{Deserialize, Serialize};

/// How a monitor keeps control of a guest that believes it has the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Model {
    /// Trap-and-emulate: the guest's kernel runs in ring 1 under shadow page tables, and what it may
    /// not do there traps. Its sensitive instructions that do not trap misbehave.
    Trap,
    /// Binary translation: the guest's kernel runs as code that was translated from it, block by
    /// block; user code runs directly.
    Translate,
    /// Paravirtualization: the guest's kernel knows that it runs on a monitor, and asks it by
    /// hypercalls instead of trapping.
    Para,
    /// Hardware assistance: the guest runs in the CPU's guest mode (AMD SVM), with nested paging.
    Hardware,
}

impl Model {
    /// All models.
    pub const ALL: [Self; 4] = [Self::Trap, Self::Translate, Self::Para, Self::Hardware];

    /// The name as options take it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Translate => "translate",
            Self::Para => "para",
            Self::Hardware => "hardware",
        }
    }

    /// What it is, in a line.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Para => {
                "the guest's kernel asks the monitor by hypercalls; what traps is emulated"
            }
            Self::Hardware => "the guest runs in the CPU's guest mode, with nested paging",
            Self::Trap => "the guest's kernel runs in ring 1; what traps there is emulated",
            Self::Translate => {
                "the guest's kernel runs as translated code; user code runs directly"
            }
        }
    }

    /// The model of a name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name() == name)
    }
}
