//! Which operand kinds have a handler of their own.

use crate::fast::{Branch, Flat, Handler, Long, Meaning, Windowed, branching, quiet, straight};
use crate::places::{Base64, Based64, Flat32, Imm, Index64, Nothing, Reg, Segmented, Vex};

/// What an operand is, as far as handlers tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nothing,
    Reg,
    Imm,
    Base64,
    Index64,
    Based64,
    Flat32,
    Segmented,
    /// Something no handler knows: an MMX, segment or system register, a 67h prefix.
    Other,
}

/// How the stack and strings are addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addressing {
    Long,
    Flat,
    Windowed,
}

/// What a handler is chosen by, beside the instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) a: Kind,
    pub(crate) b: Kind,
    pub(crate) c: Kind,
    pub(crate) addressing: Addressing,
    /// The status flags that it sets are overwritten before anybody can see them.
    pub(crate) dead_flags: bool,
    /// VEX.L: the vectors have 256 bits.
    pub(crate) is_256: bool,
}

/// Chooses a handler, where there is one.
pub(crate) type Choose = fn(Shape) -> Option<Handler>;

/// No handler: rare instructions.
pub(crate) fn slow<I: Meaning>(_: Shape) -> Option<Handler> {
    None
}

/// Two operands, either of them memory.
pub(crate) fn binary<I: Meaning>(s: Shape) -> Option<Handler> {
    Some(match (s.a, s.b) {
        (Kind::Reg, Kind::Reg) if s.dead_flags => quiet::<I, Reg, Reg, Long>,
        (Kind::Reg, Kind::Imm) if s.dead_flags => quiet::<I, Reg, Imm, Long>,
        (Kind::Base64, Kind::Reg) => straight::<I, Base64, Reg, Long>,
        (Kind::Index64, Kind::Reg) => straight::<I, Index64, Reg, Long>,
        (Kind::Based64, Kind::Reg) => straight::<I, Based64, Reg, Long>,
        (Kind::Flat32, Kind::Reg) => straight::<I, Flat32, Reg, Long>,
        (Kind::Segmented, Kind::Reg) => straight::<I, Segmented, Reg, Long>,
        (Kind::Base64, Kind::Imm) => straight::<I, Base64, Imm, Long>,
        (Kind::Index64, Kind::Imm) => straight::<I, Index64, Imm, Long>,
        (Kind::Based64, Kind::Imm) => straight::<I, Based64, Imm, Long>,
        (Kind::Flat32, Kind::Imm) => straight::<I, Flat32, Imm, Long>,
        (Kind::Segmented, Kind::Imm) => straight::<I, Segmented, Imm, Long>,
        (Kind::Reg, Kind::Imm) => straight::<I, Reg, Imm, Long>,
        _ => return to_register::<I>(s),
    })
}

/// A register and a register or memory: loads, extensions, vector arithmetic.
pub(crate) fn to_register<I: Meaning>(s: Shape) -> Option<Handler> {
    Some(match (s.a, s.b) {
        (Kind::Reg, Kind::Reg) => straight::<I, Reg, Reg, Long>,
        (Kind::Reg, Kind::Base64) => straight::<I, Reg, Base64, Long>,
        (Kind::Reg, Kind::Index64) => straight::<I, Reg, Index64, Long>,
        (Kind::Reg, Kind::Based64) => straight::<I, Reg, Based64, Long>,
        (Kind::Reg, Kind::Flat32) => straight::<I, Reg, Flat32, Long>,
        (Kind::Reg, Kind::Segmented) => straight::<I, Reg, Segmented, Long>,
        _ => return None,
    })
}

/// As [`to_register`], but only the commonest forms: what is seldom hot.
pub(crate) fn sparing<I: Meaning>(s: Shape) -> Option<Handler> {
    Some(match (s.a, s.b) {
        (Kind::Reg, Kind::Reg) => straight::<I, Reg, Reg, Long>,
        (Kind::Reg, Kind::Base64) => straight::<I, Reg, Base64, Long>,
        (Kind::Reg, Kind::Index64) => straight::<I, Reg, Index64, Long>,
        _ => return None,
    })
}

/// VEX: a register, a register, and a register or memory without index, of both lengths.
pub(crate) fn vex<I: Meaning>(s: Shape) -> Option<Handler> {
    Some(match (s.a, s.b, s.c, s.is_256) {
        (Kind::Reg, Kind::Reg, Kind::Reg, true) => straight::<I, Reg, Vex<Reg, 2, true>, Long>,
        (Kind::Reg, Kind::Reg, Kind::Base64, true) => {
            straight::<I, Reg, Vex<Base64, 2, true>, Long>
        }
        _ => return vex_scalar::<I>(s),
    })
}

/// As [`vex`], of 128 bits only.
pub(crate) fn vex_scalar<I: Meaning>(s: Shape) -> Option<Handler> {
    Some(match (s.a, s.b, s.c, s.is_256) {
        (Kind::Reg, Kind::Reg, Kind::Reg, false) => straight::<I, Reg, Vex<Reg, 2, false>, Long>,
        (Kind::Reg, Kind::Reg, Kind::Base64, false) => {
            straight::<I, Reg, Vex<Base64, 2, false>, Long>
        }
        _ => return None,
    })
}

/// VEX: a register and a register, of both lengths.
pub(crate) fn vex_registers<I: Meaning>(s: Shape) -> Option<Handler> {
    Some(match (s.a, s.b, s.is_256) {
        (Kind::Reg, Kind::Reg, false) => straight::<I, Reg, Vex<Reg, 1, false>, Long>,
        (Kind::Reg, Kind::Reg, true) => straight::<I, Reg, Vex<Reg, 1, true>, Long>,
        _ => return None,
    })
}

/// VEX: a move between a register and a register or memory, in either direction.
pub(crate) fn vex_move<I: Meaning>(s: Shape) -> Option<Handler> {
    Some(match (s.a, s.b, s.is_256) {
        (Kind::Reg, Kind::Base64, false) => straight::<I, Reg, Vex<Base64, 1, false>, Long>,
        (Kind::Reg, Kind::Base64, true) => straight::<I, Reg, Vex<Base64, 1, true>, Long>,
        (Kind::Reg, Kind::Index64, false) => straight::<I, Reg, Vex<Index64, 1, false>, Long>,
        (Kind::Reg, Kind::Index64, true) => straight::<I, Reg, Vex<Index64, 1, true>, Long>,
        (Kind::Base64, Kind::Reg, false) => straight::<I, Base64, Vex<Reg, 1, false>, Long>,
        (Kind::Base64, Kind::Reg, true) => straight::<I, Base64, Vex<Reg, 1, true>, Long>,
        (Kind::Index64, Kind::Reg, false) => straight::<I, Index64, Vex<Reg, 1, false>, Long>,
        (Kind::Index64, Kind::Reg, true) => straight::<I, Index64, Vex<Reg, 1, true>, Long>,
        _ => return vex_registers::<I>(s),
    })
}

/// A move between a register and a register or memory, in either direction.
pub(crate) fn transfer<I: Meaning>(s: Shape) -> Option<Handler> {
    Some(match (s.a, s.b) {
        (Kind::Base64, Kind::Reg) => straight::<I, Base64, Reg, Long>,
        (Kind::Index64, Kind::Reg) => straight::<I, Index64, Reg, Long>,
        (Kind::Flat32, Kind::Reg) => straight::<I, Flat32, Reg, Long>,
        (Kind::Segmented, Kind::Reg) => straight::<I, Segmented, Reg, Long>,
        _ => return to_register::<I>(s),
    })
}

/// One operand that is read and written; a second one is an immediate or implied register.
pub(crate) fn unary<I: Meaning>(s: Shape) -> Option<Handler> {
    Some(match s.a {
        Kind::Reg if s.dead_flags => quiet::<I, Reg, Imm, Long>,
        Kind::Reg => straight::<I, Reg, Imm, Long>,
        Kind::Base64 => straight::<I, Base64, Imm, Long>,
        Kind::Index64 => straight::<I, Index64, Imm, Long>,
        Kind::Flat32 => straight::<I, Flat32, Imm, Long>,
        Kind::Segmented => straight::<I, Segmented, Imm, Long>,
        _ => return None,
    })
}

/// Registers only.
pub(crate) fn registers<I: Meaning>(s: Shape) -> Option<Handler> {
    Some(match (s.a, s.b) {
        (Kind::Reg, Kind::Reg) => straight::<I, Reg, Reg, Long>,
        (Kind::Reg, _) => straight::<I, Reg, Imm, Long>,
        (Kind::Nothing, _) => straight::<I, Nothing, Nothing, Long>,
        _ => return None,
    })
}

/// LEA: the second operand is only an address.
pub(crate) fn address<I: Meaning>(s: Shape) -> Option<Handler> {
    (s.a == Kind::Reg).then_some(straight::<I, Reg, Nothing, Long>)
}

/// PUSH and POP.
pub(crate) fn stack<I: Meaning>(s: Shape) -> Option<Handler> {
    Some(match (s.addressing, s.a) {
        (Addressing::Long, Kind::Reg) => straight::<I, Reg, Nothing, Long>,
        (Addressing::Long, Kind::Imm) => straight::<I, Imm, Nothing, Long>,
        (Addressing::Long, Kind::Base64) => straight::<I, Base64, Nothing, Long>,
        (Addressing::Flat, Kind::Reg) => straight::<I, Reg, Nothing, Flat>,
        (Addressing::Flat, Kind::Imm) => straight::<I, Imm, Nothing, Flat>,
        (Addressing::Flat, Kind::Flat32) => straight::<I, Flat32, Nothing, Flat>,
        (Addressing::Windowed, Kind::Reg) => straight::<I, Reg, Nothing, Windowed>,
        (Addressing::Windowed, Kind::Imm) => straight::<I, Imm, Nothing, Windowed>,
        _ => return None,
    })
}

/// Implied memory only: strings, LEAVE.
pub(crate) fn implied<I: Meaning>(s: Shape) -> Option<Handler> {
    Some(match s.addressing {
        Addressing::Long => straight::<I, Nothing, Nothing, Long>,
        Addressing::Flat => straight::<I, Nothing, Nothing, Flat>,
        Addressing::Windowed => straight::<I, Nothing, Nothing, Windowed>,
    })
}

/// Branches whose target is encoded or on the stack.
pub(crate) fn relative<I: Branch>(s: Shape) -> Option<Handler> {
    Some(match s.addressing {
        Addressing::Long => branching::<I, Imm, Nothing, Long>,
        Addressing::Flat => branching::<I, Imm, Nothing, Flat>,
        Addressing::Windowed => branching::<I, Imm, Nothing, Windowed>,
    })
}

/// Branches through a register or memory.
pub(crate) fn indirect<I: Branch>(s: Shape) -> Option<Handler> {
    Some(match (s.addressing, s.a) {
        (Addressing::Long, Kind::Reg) => branching::<I, Reg, Nothing, Long>,
        (Addressing::Long, Kind::Base64) => branching::<I, Base64, Nothing, Long>,
        (Addressing::Long, Kind::Index64) => branching::<I, Index64, Nothing, Long>,
        (Addressing::Flat, Kind::Reg) => branching::<I, Reg, Nothing, Flat>,
        (Addressing::Flat, Kind::Flat32) => branching::<I, Flat32, Nothing, Flat>,
        _ => return None,
    })
}
