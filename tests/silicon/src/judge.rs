//! The interpreter's answer to a case, on both of its paths, and whether silicon's is the same.

use cutaway_cpu::CpuModel;
use cutaway_memory::MemoryError;
use iced_x86::{Code, FlowControl, Mnemonic};

use crate::case::{Case, Length, Outcome, ending};
use crate::compare;
use crate::emulator::{Emulator, Path};
use crate::generate::Generated;
use crate::place::{CODE, PAGE, WINDOW};

/// The interpreter as a defendant.
pub struct Judge {
    emulator: Emulator,
    trap: Box<Outcome>,
    block: Box<Outcome>,
}

/// How an answer is wrong.
#[derive(Clone, Copy, Debug)]
pub enum Wrong {
    /// It differs from silicon.
    Silicon,
    /// The fast handlers differ from the complete path.
    Block,
}

impl Judge {
    /// A vCPU of a model.
    pub fn new(model: CpuModel) -> Result<Self, MemoryError> {
        let (trap, block) = (Box::new(Outcome::LOST), Box::new(Outcome::LOST));
        Ok(Self { emulator: Emulator::new(model)?, trap, block })
    }

    /// The normalised outcome on the complete path.
    pub fn outcome(&mut self, generated: &Generated) -> &Outcome {
        self.emulator.run(&generated.case, Path::Trap, &mut self.trap);
        compare::normalise(generated, &mut self.trap);
        &self.trap
    }

    /// The normalised outcome on the fast path where it differs from the last [`Self::outcome`].
    pub fn block_difference(&mut self, generated: &Generated) -> Option<&Outcome> {
        let count = block_length(generated)?;
        if self.writes_code() || self.trapped_within(generated) {
            return None;
        }
        self.emulator.run(&generated.case, Path::Block { count }, &mut self.block);
        if self.block.ending.vector < ending::SYSTEM_CALL {
            compare::set_trap_flag(&mut self.block);
        }
        compare::normalise(generated, &mut self.block);
        (!compare::same(&self.trap, &self.block)).then_some(&self.block)
    }

    /// Whether the last outcome changed code, and so what would run next.
    fn writes_code(&self) -> bool {
        self.trap.words().iter().any(|(at, _)| at & !(PAGE - 1) == CODE)
    }

    /// Whether the trap of TF came in the middle of a gather, in place of an element's fault; without
    /// TF that fault comes.
    fn trapped_within(&self, generated: &Generated) -> bool {
        generated.encoding.instruction.is_vsib()
            && self.trap.ending.vector == 1
            && self.trap.registers.rip == generated.case.registers.rip
    }

    /// What the interpreter lacks, after an outcome that says so.
    #[must_use]
    pub fn unimplemented(&self) -> &str {
        &self.emulator.unimplemented
    }
}

/// Instructions of the block that the case's code makes, if it can run without TF and be compared.
fn block_length(generated: &Generated) -> Option<u64> {
    let instruction = &generated.encoding.instruction;
    let Case { registers, length, .. } = &generated.case;
    let repeated = instruction.is_string_instruction()
        && (instruction.has_rep_prefix() || instruction.has_repne_prefix());
    // These see TF or change it.
    let sees_trap = matches!(
        instruction.mnemonic(),
        Mnemonic::Pushf
            | Mnemonic::Pushfd
            | Mnemonic::Pushfq
            | Mnemonic::Popf
            | Mnemonic::Popfd
            | Mnemonic::Popfq
            | Mnemonic::Iret
            | Mnemonic::Iretd
            | Mnemonic::Iretq
            | Mnemonic::Syscall
            | Mnemonic::Int1
            | Mnemonic::Int3
            | Mnemonic::Int
            | Mnemonic::Into
    );
    let base = if generated.case.bits == 64 {
        0
    } else {
        crate::place::base(registers.selectors[crate::case::seg::CS])
    };
    let end = base.wrapping_add(registers.rip).wrapping_add(u64::from(generated.case.len) + 2);
    let fits = end <= WINDOW + CODE + PAGE;
    if *length == Length::Whole || repeated || sees_trap || !fits {
        return None;
    }
    let falls = instruction.flow_control() == FlowControl::Next;
    Some(if falls && instruction.code() != Code::INVALID { 2 } else { 1 })
}
