//! RFLAGS, worked out when read: what set the status flags last is kept instead of the flags.
//!
//! Source: Intel SDM vol. 1 §3.4.3.1, "Status Flags", and each instruction in vol. 2.

use cutaway_isa::{Rflags, Width};

/// What the status flags come from. Values are clean: zero above the width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flags<V> {
    /// `sum = a + b (+ carry)`.
    Add { w: Width, a: V, b: V, sum: V },
    /// `difference = a - b (- borrow)`.
    Sub { w: Width, a: V, b: V, difference: V },
    /// AND, OR, XOR, TEST: CF and OF are clear, AF too (undefined; as on the reference).
    Logic { w: Width, result: V },
    /// INC: as ADD 1, but CF stays.
    Inc { w: Width, result: V },
    /// DEC: as SUB 1, but CF stays.
    Dec { w: Width, result: V },
    /// SHL by a masked count that is not 0.
    Shl { w: Width, a: V, count: V, result: V },
    /// SHR by a masked count that is not 0.
    Shr { w: Width, a: V, count: V, result: V },
    /// SAR by a masked count that is not 0.
    Sar { w: Width, a: V, count: V, result: V },
    /// ROL: CF is bit 0 of the result, OF is CF ^ the new sign; the others stay.
    Rol { w: Width, result: V },
    /// ROR: CF is the new sign, OF says whether the two top bits differ; the others stay.
    Ror { w: Width, result: V },
    /// BT and its kin: CF is 0 or 1; the others stay.
    Carry { carry: V },
    /// MUL, IMUL: CF and OF are `significant` (0 or 1). The others are undefined: on the reference
    /// silicon they stay.
    Product { significant: V },
    /// DIV, IDIV: all undefined. On the reference silicon SF ZF PF are cleared, AF is set, CF and
    /// OF stay.
    Quotient,
}

/// The kinds of [`Flags`] as the lazy form stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// All flags stand in `Lazy::known`.
    Known,
    Add,
    Sub,
    Logic,
    Inc,
    Dec,
    Shl,
    Shr,
    Sar,
}

/// Bits of `Lazy::carry`.
const CARRY_KNOWN: u8 = 1;
const CARRY: u8 = 2;
const OVERFLOW: u8 = 4;

fn carry_bits(cf: bool, of: bool) -> u8 {
    CARRY_KNOWN | (u8::from(cf) * CARRY) | (u8::from(of) * OVERFLOW)
}

/// The last setter of the status flags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lazy {
    pub(crate) kind: Kind,
    pub(crate) width: Width,
    /// 0, or [`CARRY_KNOWN`] with CF and OF beside it where they do not come from `kind`.
    carry: u8,
    pub(crate) a: u64,
    /// Second operand, shift count, or (INC, DEC) the CF that stays.
    pub(crate) b: u64,
    pub(crate) result: u64,
    /// Status flags while `kind` is `Known`; the other flags always.
    pub(crate) known: Rflags,
}

/// The sixteen conditions of Jcc, SETcc and CMOVcc, as encoded in the opcode's low four bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Cc {
    O,
    No,
    B,
    Ae,
    E,
    Ne,
    Be,
    A,
    S,
    Ns,
    P,
    Np,
    L,
    Ge,
    Le,
    G,
}

impl Lazy {
    pub(crate) fn new(rflags: Rflags) -> Self {
        Self {
            kind: Kind::Known,
            width: Width::Byte,
            carry: 0,
            a: 0,
            b: 0,
            result: 0,
            known: rflags,
        }
    }

    #[inline(always)]
    pub(crate) fn set(&mut self, flags: Flags<u64>) {
        let (kind, width, a, b, result) = match flags {
            Flags::Add { w, a, b, sum } => (Kind::Add, w, a, b, sum),
            Flags::Sub { w, a, b, difference } => (Kind::Sub, w, a, b, difference),
            Flags::Logic { w, result } => {
                (self.kind, self.width, self.carry, self.result) = (Kind::Logic, w, 0, result);
                return;
            }
            Flags::Rol { w, result } => {
                let cf = result & 1 != 0;
                self.carry = carry_bits(cf, cf != (result & w.sign_bit() != 0));
                return;
            }
            Flags::Ror { w, result } => {
                let of = (result ^ result << 1) & w.sign_bit() != 0;
                self.carry = carry_bits(result & w.sign_bit() != 0, of);
                return;
            }
            Flags::Carry { carry } => {
                self.carry = carry_bits(carry != 0, self.of());
                return;
            }
            Flags::Product { significant } => {
                let on = significant != 0;
                self.carry = carry_bits(on, on);
                return;
            }
            Flags::Quotient => {
                let carry = carry_bits(self.cf(), self.of());
                // As after a SAR to 1: positive, not zero, odd parity, AF set.
                (self.kind, self.width, self.carry) = (Kind::Sar, Width::Byte, carry);
                (self.a, self.b, self.result) = (2, 1, 1);
                return;
            }
            Flags::Inc { w, result } => (Kind::Inc, w, self.a, u64::from(self.cf()), result),
            Flags::Dec { w, result } => (Kind::Dec, w, self.a, u64::from(self.cf()), result),
            Flags::Shl { w, a, count, result } => (Kind::Shl, w, a, count, result),
            Flags::Shr { w, a, count, result } => (Kind::Shr, w, a, count, result),
            Flags::Sar { w, a, count, result } => (Kind::Sar, w, a, count, result),
        };
        (self.kind, self.width, self.carry) = (kind, width, 0);
        (self.a, self.b, self.result) = (a, b, result);
    }

    #[inline(always)]
    pub(crate) fn cf(&self) -> bool {
        let Self { a, b, result, width, .. } = *self;
        let top = width.bits() - 1;
        if self.carry != 0 {
            return self.carry & CARRY != 0;
        }
        match self.kind {
            Kind::Known => self.known.contains(Rflags::CF),
            Kind::Add => ((a & b) | ((a | b) & !result)) >> top & 1 != 0,
            Kind::Sub => ((!a & b) | ((!a | b) & result)) >> top & 1 != 0,
            Kind::Logic => false,
            Kind::Inc | Kind::Dec => b != 0,
            Kind::Shl => {
                b <= u64::from(width.bits()) && a >> (u64::from(width.bits()) - b) & 1 != 0
            }
            Kind::Shr => a >> (b - 1) & 1 != 0,
            Kind::Sar => (width.sign_extend(a) as i64) >> (b - 1) & 1 != 0,
        }
    }

    #[inline(always)]
    pub(crate) fn zf(&self) -> bool {
        if self.kind == Kind::Known { self.known.contains(Rflags::ZF) } else { self.result == 0 }
    }

    #[inline(always)]
    pub(crate) fn sf(&self) -> bool {
        if self.kind == Kind::Known {
            self.known.contains(Rflags::SF)
        } else {
            self.result & self.width.sign_bit() != 0
        }
    }

    #[inline(always)]
    pub(crate) fn pf(&self) -> bool {
        if self.kind == Kind::Known { self.known.contains(Rflags::PF) } else { parity(self.result) }
    }

    #[inline(always)]
    pub(crate) fn of(&self) -> bool {
        let Self { a, b, result, width, .. } = *self;
        let sign = width.sign_bit();
        if self.carry != 0 {
            return self.carry & OVERFLOW != 0;
        }
        match self.kind {
            Kind::Known => self.known.contains(Rflags::OF),
            Kind::Add => (a ^ result) & (b ^ result) & sign != 0,
            Kind::Sub => (a ^ b) & (a ^ result) & sign != 0,
            Kind::Logic | Kind::Sar => false,
            Kind::Inc => result == sign,
            Kind::Dec => result == sign - 1,
            // SHLD of a word by more than it has bits brings in bits of the source a second time;
            // the reference silicon takes its sign for 0 then.
            Kind::Shl => self.cf() != (result & sign != 0 && b < u64::from(width.bits())),
            // The two top bits of the result differ: for a count of 1 this is the old sign.
            Kind::Shr => (result ^ result << 1) & sign != 0,
        }
    }

    pub(crate) fn af(&self) -> bool {
        match self.kind {
            Kind::Known => self.known.contains(Rflags::AF),
            Kind::Add | Kind::Sub => (self.a ^ self.b ^ self.result) & 0x10 != 0,
            Kind::Logic => false,
            Kind::Inc => self.result & 0xf == 0,
            Kind::Dec => self.result & 0xf == 0xf,
            // Undefined; the reference silicon sets it.
            Kind::Shl | Kind::Shr | Kind::Sar => true,
        }
    }

    /// All of RFLAGS.
    pub(crate) fn rflags(&self) -> Rflags {
        if self.kind == Kind::Known && self.carry == 0 {
            return self.known;
        }
        self.known
            .with(Rflags::CF, self.cf())
            .with(Rflags::PF, self.pf())
            .with(Rflags::AF, self.af())
            .with(Rflags::ZF, self.zf())
            .with(Rflags::SF, self.sf())
            .with(Rflags::OF, self.of())
    }

    /// Replaces all of RFLAGS.
    pub(crate) fn set_rflags(&mut self, rflags: Rflags) {
        (self.kind, self.carry) = (Kind::Known, 0);
        self.known = rflags;
    }

    #[inline(always)]
    pub(crate) fn condition(&self, cc: Cc) -> bool {
        let Self { a, b, width, .. } = *self;
        let up = 64 - width.bits();
        let (sa, sb) = ((a << up) as i64, (b << up) as i64);
        // CMP and SUB answer most conditions by one comparison; SBB does not fit that.
        let direct = self.kind == Kind::Sub
            && self.carry == 0
            && a.wrapping_sub(b) & width.mask() == self.result;
        match cc {
            Cc::O => self.of(),
            Cc::No => !self.of(),
            Cc::B if direct => a < b,
            Cc::B => self.cf(),
            Cc::Ae if direct => a >= b,
            Cc::Ae => !self.cf(),
            Cc::E => self.zf(),
            Cc::Ne => !self.zf(),
            Cc::Be if direct => a <= b,
            Cc::Be => self.cf() || self.zf(),
            Cc::A if direct => a > b,
            Cc::A => !(self.cf() || self.zf()),
            Cc::S => self.sf(),
            Cc::Ns => !self.sf(),
            Cc::P => self.pf(),
            Cc::Np => !self.pf(),
            Cc::L if direct => sa < sb,
            Cc::L => self.sf() != self.of(),
            Cc::Ge if direct => sa >= sb,
            Cc::Ge => self.sf() == self.of(),
            Cc::Le if direct => sa <= sb,
            Cc::Le => self.zf() || self.sf() != self.of(),
            Cc::G if direct => sa > sb,
            Cc::G => !self.zf() && self.sf() == self.of(),
        }
    }
}

/// PF: an even number of ones in the low byte.
#[inline(always)]
pub(crate) fn parity(value: u64) -> bool {
    (value as u8).count_ones() & 1 == 0
}

/// SF, ZF and PF of a result; the other flags as given.
#[must_use]
pub(crate) fn with_result(flags: Rflags, w: Width, result: u64) -> Rflags {
    flags
        .with(Rflags::SF, result & w.sign_bit() != 0)
        .with(Rflags::ZF, result == 0)
        .with(Rflags::PF, parity(result))
}
