//! The models by which a guest can be virtualized.

use crate::Paging;
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

/// How a virtual machine is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// How the monitor keeps control.
    pub model: Model,
    /// The stores of descriptor-table registers trap outside ring 0 (CR4.UMIP), where the model runs the
    /// guest there.
    pub umip: bool,
    /// What translates the guest's addresses under hardware assistance. The other models have shadow
    /// page tables.
    pub paging: Paging,
}

impl Options {
    /// The models as they come, and hardware assistance without nested paging.
    pub const ALL: [Self; 5] = [
        Self::of(Model::Trap),
        Self::of(Model::Translate),
        Self::of(Model::Para),
        Self::of(Model::Hardware),
        Self { paging: Paging::Shadow, ..Self::of(Model::Hardware) },
    ];

    /// A model with nothing else asked for.
    #[must_use]
    pub const fn of(model: Model) -> Self {
        Self { model, umip: false, paging: Paging::Nested }
    }

    /// What it is called in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match (self.model, self.paging) {
            (Model::Hardware, Paging::Shadow) => "hardware, shadow",
            (model, _) => model.name(),
        }
    }
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
            Self::Hardware => {
                "the guest runs in the CPU's guest mode, with nested paging or on shadow page tables"
            }
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
