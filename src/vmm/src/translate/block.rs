//! What is known of the translation cache: blocks, and for each of their instructions where it comes
//! from and how it was translated.

use serde::{Deserialize, Serialize};

/// How an instruction of the guest was translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// As it stands.
    Identical,
    /// Into a sequence that does to the virtual CPU what it would do to the real one.
    Rewritten,
    /// A branch, whose target is another place in the cache.
    Branch,
    /// Into a call of the monitor, which emulates it.
    CallOut,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Identical, Self::Rewritten, Self::Branch, Self::CallOut];

    /// What it is called in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Rewritten => "rewritten",
            Self::Branch => "branch",
            Self::CallOut => "call-out",
        }
    }
}

/// What the monitor does when a block calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Call {
    /// Emulates the guest's instruction.
    Emulate,
    /// Goes on at the guest's address; the displacement at `place` can be made to lead there.
    Chain { target: u32, place: u32 },
    /// Goes on where the variable of indirect branches says.
    Lookup,
    /// Goes on at the guest's address.
    Continue,
}

/// Part of a block: the translation of an instruction, or a call of the monitor behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    /// Offset in the block's translation.
    pub(crate) at: u32,
    /// The guest's address of the instruction; none behind an indirect branch, which leads where the
    /// variable says.
    pub(crate) guest: Option<u32>,
    pub(crate) kind: Kind,
    /// The guest's state here is that before the instruction, so that interrupts can be delivered.
    pub(crate) is_start: bool,
    /// The instruction before was STI.
    pub(crate) in_shadow: bool,
    /// What is asked for, if this is a call of the monitor.
    pub(crate) call: Option<Call>,
}

/// A run of guest instructions with its translation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Block {
    /// The guest's linear address.
    pub(crate) guest: u32,
    /// The guest's bytes.
    pub(crate) guest_bytes: u32,
    /// Length of the translation.
    pub(crate) bytes: u32,
    /// Frames that the guest's bytes lie in, as offsets of the backing.
    pub(crate) frames: [u64; 2],
    pub(crate) items: Vec<Item>,
    /// Out of use: its first instruction calls the monitor.
    pub(crate) stale: bool,
}

impl Block {
    /// The part that an offset in the translation belongs to.
    pub(crate) fn item(&self, offset: u32) -> Option<&Item> {
        let behind = self.items.partition_point(|item| item.at <= offset);
        self.items.get(behind.checked_sub(1)?)
    }
}
