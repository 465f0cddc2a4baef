//! The table that binds instruction codes to meanings. Its rows stand beside the meanings.

use crate::CpuModel;
use crate::exception::Fault;
use crate::exec::{Exec, ExecFn};
use crate::fast::{Branch, Meaning};
use crate::record::Record;
use crate::shapes::Choose;
use cutaway_isa::{Code, Instruction};

/// All that the engines need to know of an instruction beside its operands.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// The complete interpreter's function.
    pub(crate) exec: ExecFn,
    /// Chooses the fast handler.
    pub(crate) choose: Choose,
    /// The recorder's function; none where the instruction is a plain function on the vCPU.
    pub(crate) record: Option<fn(&mut Record)>,
    /// It may only be the last of a block.
    pub(crate) ends_block: bool,
}

impl Row {
    pub(crate) fn straight<I: Meaning>(choose: Choose) -> Self {
        fn exec<I: Meaning>(e: &mut Exec<'_>) -> Result<(), Fault> {
            I::run(e)
        }
        fn record<I: Meaning>(r: &mut Record) {
            let Ok(()) = I::run(r);
        }
        Self { exec: exec::<I>, choose, record: Some(record::<I>), ends_block: false }
    }

    pub(crate) fn branching<I: Branch>(choose: Choose) -> Self {
        fn exec<I: Branch>(e: &mut Exec<'_>) -> Result<(), Fault> {
            I::run(e)
        }
        fn record<I: Branch>(r: &mut Record) {
            let Ok(()) = I::run(r);
        }
        Self { exec: exec::<I>, choose, record: Some(record::<I>), ends_block: true }
    }

    pub(crate) fn plain(exec: ExecFn) -> Self {
        Self { exec, choose: |_| None, record: None, ends_block: false }
    }
}

/// Rows of one group of instructions: `kind Code | Code => meaning(arguments);`.
///
/// `kind` is how the fast handler is chosen (a function of `shapes.rs`); `slow` has none;
/// `branch kind` says where execution goes on; `exec` is a plain function on the vCPU.
macro_rules! rows {
    ($($tokens:tt)*) => {
        /// The row of an instruction code, if it belongs to this group.
        pub(crate) fn row(code: cutaway_isa::Code) -> Option<$crate::table::Row> {
            $crate::table::rows_match!(code; []; $($tokens)*)
        }
    };
}

macro_rules! rows_match {
    ($code:ident; [$($arms:tt)*]; ) => {
        Some(match $code { $($arms)* _ => return None })
    };
    ($code:ident; [$($arms:tt)*]; exec $($name:ident)|+ => $f:expr; $($rest:tt)*) => {
        $crate::table::rows_match!($code; [$($arms)*
            $(cutaway_isa::Code::$name)|+ => $crate::table::Row::plain($f),]; $($rest)*)
    };
    ($code:ident; [$($arms:tt)*]; branch $choose:ident $($name:ident)|+ => $f:ident($($arg:expr),*); $($rest:tt)*) => {
        $crate::table::rows_match!($code; [$($arms)*
            $(cutaway_isa::Code::$name)|+ => {
                struct I;
                impl $crate::fast::Branch for I {
                    #[inline(always)]
                    fn run<T: $crate::target::Target>(t: &mut T) -> $crate::target::Flow<T> {
                        $f(t, $($arg),*)
                    }
                }
                $crate::table::Row::branching::<I>($crate::shapes::$choose::<I>)
            }]; $($rest)*)
    };
    ($code:ident; [$($arms:tt)*]; $choose:ident $($name:ident)|+ => $f:ident($($arg:expr),*); $($rest:tt)*) => {
        $crate::table::rows_match!($code; [$($arms)*
            $(cutaway_isa::Code::$name)|+ => {
                struct I;
                impl $crate::fast::Meaning for I {
                    #[inline(always)]
                    fn run<T: $crate::target::Target>(t: &mut T) -> $crate::target::Step<T> {
                        $f(t, $($arg),*)
                    }
                }
                $crate::table::Row::straight::<I>($crate::shapes::$choose::<I>)
            }]; $($rest)*)
    };
}

pub(crate) use {rows, rows_match};

/// What an instruction code is on a CPU model.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    /// #UD.
    Undefined,
    /// The model has it and Cutaway has not.
    Missing,
    /// What it does.
    Row(Row),
}

impl Bound {
    /// The row, where there is one.
    pub(crate) fn row(self) -> Option<Row> {
        match self {
            Self::Row(row) => Some(row),
            Self::Undefined | Self::Missing => None,
        }
    }
}

/// Instruction codes bound to one CPU model, each when it is first decoded: asking the groups and
/// the model's features takes longer than the rest of decoding.
pub(crate) struct Rows {
    model: CpuModel,
    bound: Vec<Option<Bound>>,
}

impl Rows {
    pub(crate) fn new(model: CpuModel) -> Self {
        Self { model, bound: vec![None; Code::values().len()] }
    }

    /// What an instruction is.
    pub(crate) fn bind(&mut self, instruction: &Instruction) -> Bound {
        let code = instruction.code();
        let entry = &mut self.bound[code as usize];
        *entry.get_or_insert_with(|| {
            if code == Code::INVALID || !self.model.has_instruction(instruction) {
                return Bound::Undefined;
            }
            row(self.model.meant_by(code)).map_or(Bound::Missing, Bound::Row)
        })
    }
}

/// The row of an instruction code; none for what is not implemented.
pub(crate) fn row(code: Code) -> Option<Row> {
    crate::meaning::GROUPS.iter().find_map(|group| group(code))
}

/// Whether Cutaway has a meaning for an instruction code, on the CPU models that have it.
#[must_use]
pub fn is_implemented(code: Code) -> bool {
    row(code).is_some()
}
