//! x87 instructions as operations on the register stack: empty and full registers, results,
//! condition codes, pops.
//!
//! Source: Intel SDM vol. 1 §8.5.1.1, "Stack Overflow or Underflow Exception (#IS)"; vol. 2 under
//! each instruction. Each method is a whole instruction but for its memory operand, the
//! last-instruction pointers, #NM and #MF, which are the vCPU's. What a masked or unmasked stack
//! fault leaves behind was compared with an AMD Zen 4 for each of them.
//!
//! The instructions are `inline(never)`: a handler of the fast interpreter that had their local
//! variables in its frame could not pass on in tail position (see `fast.rs`).

use std::cmp::Ordering;

use super::x80_arith::{Operator, arithmetic, sqrt};
use super::x80_compare::{QuietNans, compare, condition_codes, examine};
use super::x80_exp_log::{exp2_minus_1, y_log2_x, y_log2_x_plus_1};
use super::x80_remainder::{Quotient, remainder};
use super::x80_scale::{extract, round_to_integer, scale};
use super::x80_trig::{arctan, cos, sin, sin_cos, tan};
use super::x87_state::{SW_C0, SW_C1, SW_C2, SW_C3, SW_SF};
use super::{Context, F80, FloatFlags, Rounding, X87};

/// Whether and how often an instruction pops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pops {
    /// FADD, FCOM and the like.
    None,
    /// FADDP, FCOMP and the like.
    Once,
    /// FCOMPP, FUCOMPP.
    Twice,
}

/// Instructions on ST(0) alone that replace it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the manual's")]
pub enum Unary {
    Fabs,
    Fchs,
    Fsqrt,
    Frndint,
    F2xm1,
    Fsin,
    Fcos,
}

/// Instructions on ST(0) that replace it and push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the manual's")]
pub enum Pushing {
    Fptan,
    Fsincos,
    Fxtract,
}

/// Instructions on ST(0) and ST(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the manual's")]
pub enum Pairwise {
    Fprem,
    Fprem1,
    Fscale,
    Fpatan,
    Fyl2x,
    Fyl2xp1,
}

impl X87 {
    /// A context for an operation under the current control word.
    #[inline(always)]
    #[must_use]
    pub fn context(&self) -> Context {
        Context::new(self.control())
    }

    /// Takes over exceptions and condition codes of an operation.
    #[inline(always)]
    pub fn apply(&mut self, context: &Context) {
        self.replace_codes(context.replaces, context.status);
        self.raise(context.status);
    }

    #[inline(always)]
    fn pop_some(&mut self, pops: Pops) {
        match pops {
            Pops::None => {}
            Pops::Once => self.pop(),
            Pops::Twice => {
                self.pop();
                self.pop();
            }
        }
    }

    /// An operand register is empty: IE and SF, C1 clear. True if masked.
    #[cold]
    pub(super) fn stack_underflow(&mut self) -> bool {
        self.stack_fault(0)
    }

    /// The register to push into is not empty: IE, SF and C1. True if masked.
    #[cold]
    pub(super) fn stack_overflow(&mut self) -> bool {
        self.stack_fault(SW_C1)
    }

    fn stack_fault(&mut self, c1: u16) -> bool {
        let context = Context { status: STACK_FAULT | c1, ..self.context() };
        self.apply(&context);
        !context.blocks_result()
    }

    /// FLD ST(i), FLD m80, FILD, FBLD, FLD1 and its kin: pushes what needs no conversion.
    #[inline(never)]
    pub fn load(&mut self, value: F80) {
        let context = self.context();
        self.load_converted(value, &context);
    }

    /// Pushes a converted number (FLD m32, FLD m64). An unmasked IE prevents it, an unmasked DE
    /// does not.
    #[inline(always)]
    pub fn load_converted(&mut self, value: F80, context: &Context) {
        if !self.is_empty(7) {
            if self.stack_overflow() {
                self.push(F80::INDEFINITE);
            }
            return;
        }
        self.apply(context);
        let invalid = u16::from(FloatFlags::IE.bits());
        if context.status & invalid == 0 || context.is_masked(FloatFlags::IE) {
            self.push(value);
        }
    }

    /// FLD1 FLDL2T FLDL2E FLDPI FLDLG2 FLDLN2 FLDZ: constant `number`, 0 to 6, rounded by the
    /// rounding mode and exact in the manual's sense: PE is not raised.
    #[inline(never)]
    pub fn load_constant(&mut self, number: usize) {
        self.load(constant(number, self.context().rounding()));
    }

    /// FLD ST(i).
    #[inline(never)]
    pub fn load_register(&mut self, i: usize) {
        if !self.is_empty(i) {
            self.load(self.st(i));
        } else if self.stack_underflow() {
            self.push(F80::INDEFINITE);
        }
    }

    /// FST ST(i), FSTP ST(i).
    #[inline(never)]
    pub fn store_register(&mut self, i: usize, pops: Pops) {
        if self.is_empty(0) {
            if self.stack_underflow() {
                self.set_st(i, F80::INDEFINITE);
                self.pop_some(pops);
            }
            return;
        }
        self.replace_codes(SW_C1, 0);
        self.set_st(i, self.st(0));
        self.pop_some(pops);
    }

    /// FSTPNCE ST(i): FSTP that merely pops where ST(0) is empty, without an exception (measured).
    #[inline(never)]
    pub fn store_unchecked(&mut self, i: usize) {
        self.replace_codes(SW_C1, 0);
        if !self.is_empty(0) {
            self.set_st(i, self.st(0));
        }
        self.pop();
    }

    /// FXCH ST(i). An empty register counts as the indefinite.
    #[inline(never)]
    pub fn exchange(&mut self, i: usize) {
        if let Some((top, other)) = self.both(0, i) {
            self.replace_codes(SW_C1, 0);
            self.registers.swap(top, other);
        } else if self.stack_underflow() {
            for n in [0, i] {
                if self.is_empty(n) {
                    self.set_st(n, F80::INDEFINITE);
                }
            }
            let (top, other) = (self.physical(0), self.physical(i));
            self.registers.swap(top, other);
        }
    }

    /// FCMOVcc ST(0), ST(i). C1 stays as it is (measured).
    #[inline(never)]
    pub fn move_if(&mut self, condition: bool, i: usize) {
        if self.is_empty(0) || self.is_empty(i) {
            if self.stack_underflow() {
                self.set_st(0, F80::INDEFINITE);
            }
            return;
        }
        if condition {
            self.set_st(0, self.st(i));
        }
    }

    /// FADD, FSUBR and the like between registers: ST(to) := ST(to) op ST(with).
    #[inline(never)]
    pub fn arithmetic<O: Operator>(&mut self, to: usize, with: usize, pops: Pops) {
        let Some((to, with)) = self.both(to, with) else {
            if self.stack_underflow() {
                self.set_st(to, F80::INDEFINITE);
                self.pop_some(pops);
            }
            return;
        };
        let mut context = self.context();
        let (a, b) = (self.registers[to], self.registers[with]);
        let result = arithmetic(&mut context, O::OPERATION, a, b);
        self.apply(&context);
        if !context.blocks_result() {
            self.registers[to] = result;
            self.pop_some(pops);
        }
    }

    /// FCOM, FUCOM and the like with ST(i).
    #[inline(never)]
    pub fn compare(&mut self, i: usize, nans: QuietNans, pops: Pops) {
        if self.is_empty(0) || self.is_empty(i) {
            self.compare_empty(pops);
        } else {
            let context = self.context();
            self.compare_with(self.st(i), nans, pops, context);
        }
    }

    /// FTST.
    #[inline(never)]
    pub fn compare_zero(&mut self) {
        if self.is_empty(0) {
            self.compare_empty(Pops::None);
        } else {
            let context = self.context();
            self.compare_with(F80::ZERO, QuietNans::Invalid, Pops::None, context);
        }
    }

    pub(super) fn compare_with(
        &mut self,
        other: F80,
        nans: QuietNans,
        pops: Pops,
        mut context: Context,
    ) {
        compare(&mut context, self.st(0), other, nans);
        self.apply(&context);
        if !context.blocks_result() {
            self.pop_some(pops);
        }
    }

    pub(super) fn compare_empty(&mut self, pops: Pops) {
        let masked = self.stack_underflow();
        self.replace_codes(SW_C0 | SW_C2 | SW_C3, condition_codes(None));
        if masked {
            self.pop_some(pops);
        }
    }

    /// FCOMI, FUCOMI: the outcome for ZF, PF and CF, where `None` sets all three. The
    /// condition codes stay as they are, C1 too (measured).
    #[inline(never)]
    pub fn compare_to_flags(&mut self, i: usize, nans: QuietNans, pops: Pops) -> Option<Ordering> {
        if self.is_empty(0) || self.is_empty(i) {
            if self.stack_underflow() {
                self.pop_some(pops);
            }
            return None;
        }
        let mut context = self.context();
        let outcome = compare(&mut context, self.st(0), self.st(i), nans);
        context.replaces = 0;
        self.apply(&context);
        if !context.blocks_result() {
            self.pop_some(pops);
        }
        outcome
    }

    /// FXAM.
    #[inline(never)]
    pub fn examine_top(&mut self) {
        let codes = examine(self.st(0), self.is_empty(0));
        self.replace_codes(SW_C0 | SW_C1 | SW_C2 | SW_C3, codes);
    }

    /// FABS FCHS FSQRT FRNDINT F2XM1 FSIN FCOS.
    #[inline(never)]
    pub fn unary(&mut self, instruction: Unary) {
        if self.is_empty(0) {
            if matches!(instruction, Unary::Fsin | Unary::Fcos) {
                self.replace_codes(SW_C2, 0);
            }
            if self.stack_underflow() {
                self.set_st(0, F80::INDEFINITE);
            }
            return;
        }
        let mut context = self.context();
        let a = self.st(0);
        let result = match instruction {
            Unary::Fabs => a.abs(),
            Unary::Fchs => a.negate(),
            Unary::Fsqrt => sqrt(&mut context, a),
            Unary::Frndint => round_to_integer(&mut context, a),
            Unary::F2xm1 => exp2_minus_1(&mut context, a),
            Unary::Fsin => sin(&mut context, a),
            Unary::Fcos => cos(&mut context, a),
        };
        self.apply(&context);
        if !context.blocks_result() {
            self.set_st(0, result);
        }
    }

    /// FPTAN FSINCOS FXTRACT: the lower result replaces ST(0), the upper one is pushed.
    #[inline(never)]
    pub fn pushing(&mut self, instruction: Pushing) {
        if self.is_empty(0) || !self.is_empty(7) {
            if instruction != Pushing::Fxtract {
                self.replace_codes(SW_C2, 0);
            }
            let masked =
                if self.is_empty(0) { self.stack_underflow() } else { self.stack_overflow() };
            if masked {
                self.set_st(0, F80::INDEFINITE);
                self.push(F80::INDEFINITE);
            }
            return;
        }
        let mut context = self.context();
        let a = self.st(0);
        let (lower, upper) = match instruction {
            Pushing::Fptan => tan(&mut context, a),
            Pushing::Fsincos => sin_cos(&mut context, a),
            Pushing::Fxtract => {
                let (significand, exponent) = extract(&mut context, a);
                (exponent, significand)
            }
        };
        self.apply(&context);
        if !context.blocks_result() && context.status & SW_C2 == 0 {
            self.set_st(0, lower);
            self.push(upper);
        }
    }

    /// FPREM FPREM1 FSCALE (into ST(0)) and FPATAN FYL2X FYL2XP1 (into ST(1), then pop).
    #[inline(never)]
    pub fn pairwise(&mut self, instruction: Pairwise) {
        let pops = matches!(instruction, Pairwise::Fpatan | Pairwise::Fyl2x | Pairwise::Fyl2xp1);
        let mut context = self.context();
        let result = if self.is_empty(0) || self.is_empty(1) {
            if matches!(instruction, Pairwise::Fprem | Pairwise::Fprem1) {
                self.replace_codes(SW_C2, 0);
            }
            if !self.stack_underflow() {
                return;
            }
            F80::INDEFINITE
        } else {
            let (a, b, c) = (self.st(0), self.st(1), &mut context);
            let result = match instruction {
                Pairwise::Fprem => remainder(c, a, b, Quotient::Truncated),
                Pairwise::Fprem1 => remainder(c, a, b, Quotient::Nearest),
                Pairwise::Fscale => scale(c, a, b),
                Pairwise::Fpatan => arctan(c, b, a),
                Pairwise::Fyl2x => y_log2_x(c, a, b),
                Pairwise::Fyl2xp1 => y_log2_x_plus_1(c, a, b),
            };
            self.apply(&context);
            if context.blocks_result() {
                return;
            }
            result
        };
        if pops {
            self.pop();
        }
        self.set_st(0, result);
    }

    /// FFREE ST(i). C1 is cleared (measured).
    #[inline(never)]
    pub fn free_register(&mut self, i: usize) {
        self.replace_codes(SW_C1, 0);
        self.free(i);
    }

    /// FINCSTP and FDECSTP: turns the stack without touching tags. `by` is 1 or 7.
    #[inline(never)]
    pub fn rotate(&mut self, by: usize) {
        self.replace_codes(SW_C1, 0);
        self.set_top(self.top() + by);
    }
}

/// The constants as sign and exponent, and significand rounded down; their next bits decide how
/// they round (Intel SDM vol. 1 §8.3.8 for pi; the others likewise from their binary expansions).
fn constant(number: usize, rounding: Rounding) -> F80 {
    /// The significand, and whether the rest lies above one half.
    const TABLE: [(u16, u64, u64); 6] = [
        (0x3fff, 0x8000_0000_0000_0000, 0),
        (0x4000, 0xd49a_784b_cd1b_8afe, LOW_REST),
        (0x3fff, 0xb8aa_3b29_5c17_f0bb, HIGH_REST),
        (0x4000, 0xc90f_daa2_2168_c234, HIGH_REST),
        (0x3ffd, 0x9a20_9a84_fbcf_f798, HIGH_REST),
        (0x3ffe, 0xb172_17f7_d1cf_79ab, HIGH_REST),
    ];
    let Some(&(exponent, significand, rest)) = TABLE.get(number) else { return F80::ZERO };
    let up = rounding.rounds_up(false, significand & 1 != 0, rest);
    F80::new(exponent, significand + u64::from(up))
}

/// Something below one half of the last place.
const LOW_REST: u64 = 1;
/// Something above one half of the last place.
const HIGH_REST: u64 = u64::MAX;

/// Invalid operation because of the stack.
const STACK_FAULT: u16 = SW_SF | FloatFlags::IE.bits() as u16;

#[cfg(test)]
mod tests {
    use super::super::x80_arith::Add;
    use super::{F80, Pairwise, Pops, Pushing, QuietNans, Unary, X87};

    const MASKED: u16 = 0x037f;
    const IE_UNMASKED: u16 = 0x037e;

    /// An initialized unit with this control word and 1.0 in each of `pushed` registers.
    fn unit(control: u16, pushed: usize) -> X87 {
        let mut x87 = X87::new();
        x87.registers = [F80::ZERO; 8];
        x87.initialize();
        x87.set_control(control);
        for _ in 0..pushed {
            x87.push(F80::ONE);
        }
        x87
    }

    struct Row {
        name: &'static str,
        pushed: usize,
        run: fn(&mut X87),
        /// Status word, tag word, ST(0) with IE masked.
        masked: (u16, u16, F80),
        /// Status word with IE unmasked; tags and ST(0) are then as before.
        unmasked: u16,
    }

    /// Measured on an AMD Zen 4; SDM vol. 1 §8.5.1.1 for IE, SF and C1.
    #[test]
    #[rustfmt::skip] // one row per case
    fn stack_faults_leave_what_silicon_leaves() {
        let d = F80::INDEFINITE;
        let rows = [
            Row { name: "fadd st0, st1", pushed: 1, run: |x| x.arithmetic::<Add>(0, 1, Pops::None), masked: (0x3841, 0xbfff, d), unmasked: 0xb8c1 },
            Row { name: "faddp st1, st0", pushed: 1, run: |x| x.arithmetic::<Add>(1, 0, Pops::Once), masked: (0x0041, 0xfffe, d), unmasked: 0xb8c1 },
            Row { name: "fchs", pushed: 0, run: |x| x.unary(Unary::Fchs), masked: (0x0041, 0xfffe, d), unmasked: 0x80c1 },
            Row { name: "fld st1", pushed: 1, run: |x| x.load_register(1), masked: (0x3041, 0x2fff, d), unmasked: 0xb8c1 },
            Row { name: "fld1", pushed: 8, run: |x| x.load_constant(0), masked: (0x3a41, 0x8000, d), unmasked: 0x82c1 },
            Row { name: "fst st1", pushed: 0, run: |x| x.store_register(1, Pops::None), masked: (0x0041, 0xfffb, F80::ZERO), unmasked: 0x80c1 },
            Row { name: "fxch st1", pushed: 1, run: |x| x.exchange(1), masked: (0x3841, 0xbffc, d), unmasked: 0xb8c1 },
            Row { name: "fcompp", pushed: 1, run: |x| x.compare(1, QuietNans::Invalid, Pops::Twice), masked: (0x4d41, 0xffff, F80::ZERO), unmasked: 0xfdc1 },
            Row { name: "fptan", pushed: 8, run: |x| x.pushing(Pushing::Fptan), masked: (0x3a41, 0x8002, d), unmasked: 0x82c1 },
            Row { name: "fyl2x", pushed: 1, run: |x| x.pairwise(Pairwise::Fyl2x), masked: (0x0041, 0xfffe, d), unmasked: 0xb8c1 },
            Row { name: "fcmovb st0, st1", pushed: 1, run: |x| x.move_if(false, 1), masked: (0x3841, 0xbfff, d), unmasked: 0xb8c1 },
        ];
        for row in rows {
            let mut x87 = unit(MASKED, row.pushed);
            (row.run)(&mut x87);
            assert_eq!((x87.status(), x87.tag_word(), x87.st(0)), row.masked, "{}: masked", row.name);

            let before = unit(IE_UNMASKED, row.pushed);
            let mut x87 = before.clone();
            (row.run)(&mut x87);
            assert_eq!(x87.status(), row.unmasked, "{}: unmasked", row.name);
            assert_eq!(x87.registers, before.registers, "{}: registers unmasked", row.name);
            assert_eq!(x87.tag_word(), before.tag_word(), "{}: tags unmasked", row.name);
        }
    }

    #[test]
    fn constants_follow_the_rounding_mode() {
        let pi = |control| {
            let mut x87 = unit(control, 0);
            x87.load_constant(3);
            x87.st(0).significand
        };

        assert_eq!(pi(0x037f), 0xc90f_daa2_2168_c235, "to nearest");
        assert_eq!(pi(0x077f), 0xc90f_daa2_2168_c234, "down");
        assert_eq!(pi(0x0b7f), 0xc90f_daa2_2168_c235, "up");
    }

    #[test]
    fn fincstp_leaves_tags_alone() {
        let mut x87 = unit(MASKED, 1);

        x87.rotate(1);

        assert_eq!((x87.top(), x87.tag_word()), (0, 0x3fff));
    }
}
