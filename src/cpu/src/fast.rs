//! The fast interpreter: operations whose handlers pass on to one another.
//!
//! A handler is a meaning specialised on operand kinds and width. It touches registers and memory
//! that the TLB holds; at the first thing beyond that it gives up with nothing changed (that is
//! what the order inside meanings is for), and the outer loop lets `exec.rs` run the instruction.
//! So handlers call nothing, and end in a call that the compiler makes a jump.
//!
//! Stable Rust does not promise that jump. With optimization (`cfg(chain)`, see `build.rs`) LLVM
//! makes it where the target never lives in memory, hence `inline(always)` throughout;
//! a test measures the stack. Otherwise handlers return the next operation to a loop.

use crate::Vcpu;
use crate::access::is_canonical;
use crate::flags::{Cc, Flags};
use crate::float::x87_operand::Format;
use crate::float::x87_stack::Pops;
use crate::float::{Control, X87};
use crate::places::{Place, Reg, base_index, in_window};
use crate::state::{Seg, gpr};
use crate::target::{
    Alignment, Bin, Cmp, FloatImmRule, FloatRule, Flow, Rule, Step, Target, VectorSize, X87Compare,
    X87Step,
};
use crate::tlb::Bank;
use crate::values;
use crate::vcpu::{Mode, RIP};
use crate::vector::{Xmm, Ymm};
use cutaway_isa::{Rflags, Width};
use std::cell::Cell;
use std::marker::PhantomData;

/// Runs one operation and says which is next; null leaves the chain, with the reason in
/// [`Vcpu::stop`].
pub(crate) type Handler = fn(&mut Vcpu, *const Op) -> *const Op;

/// One decoded instruction as the fast path sees it. 32 bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Op {
    pub(crate) run: Handler,
    /// Immediate, sign-extended; for branches the target minus the block's RIP.
    pub(crate) imm: u64,
    /// Displacement; for the last operation of a block the number of its links.
    pub(crate) disp: i32,
    /// Register of operand 0: slot, with bit 7 for AH to BH; or XMM or YMM number.
    pub(crate) a: u8,
    /// Register of operand 1, likewise.
    pub(crate) b: u8,
    pub(crate) base: u8,
    pub(crate) index: u8,
    /// Bytes from the block's start to the next instruction.
    pub(crate) next: u16,
    /// Left shift of the index.
    pub(crate) scale: u8,
    pub(crate) seg: u8,
    /// Instructions from this one to the end of the block, itself included.
    pub(crate) left: u8,
    pub(crate) len: u8,
    /// Address width as `Width as u8`.
    pub(crate) address: u8,
    /// Register of operand 2, likewise.
    pub(crate) c: u8,
}

/// From the end of a block to another block.
pub(crate) struct Link {
    /// Followed only if this is the vCPU's stamp.
    pub(crate) stamp: Cell<u64>,
    /// The other block's first operation.
    pub(crate) first: Cell<u32>,
}

/// Why the chain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The operation `at` needs the complete interpreter; it has not begun.
    Slow,
    /// The block is done; its link `which` leads nowhere yet, or the budget is short.
    Link { links: i32, which: usize },
    /// The block is done; the jump cache does not know the target.
    Indirect,
}

/// The fast path cannot do this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Miss;

/// Enters the chain at an operation. Comes back with the operation that stopped it.
pub(crate) fn run(cpu: &mut Vcpu, first: u32) -> Stop {
    let mut op = cpu.op_pointer(first);
    while !op.is_null() {
        // SAFETY: handlers return null or an operation of the arena, which does not change
        // while the chain runs.
        op = unsafe { ((*op).run)(cpu, op) };
    }
    cpu.stop
}

#[inline(always)]
fn pass(cpu: &mut Vcpu, op: *const Op) -> *const Op {
    if cfg!(chain) {
        if op.is_null() {
            return op;
        }
        // SAFETY: as in `run`.
        unsafe { ((*op).run)(cpu, op) }
    } else {
        op
    }
}

impl Vcpu {
    #[inline(always)]
    fn op_pointer(&self, index: u32) -> *const Op {
        // SAFETY: indices of operations come from the arena, which is never shortened while
        // anybody holds one (links are checked by stamp).
        unsafe { self.blocks.ops_start().add(index as usize) }
    }

    /// Enters the block at `first` if the budget covers it.
    #[inline(always)]
    fn enter(&mut self, first: u32, rip: u64) -> Option<*const Op> {
        let op = self.op_pointer(first);
        // SAFETY: `op` points into the arena.
        let count = i64::from(unsafe { (*op).left });
        if self.left < count {
            return None;
        }
        self.left -= count;
        self.r[RIP] = rip;
        Some(op)
    }

    #[inline(always)]
    fn follow(&mut self, op: &Op, which: usize, rip: u64) -> *const Op {
        // SAFETY: the last operation of a block has the number of its links in `disp`.
        let link = unsafe { &(*self.blocks.links_start().add(op.disp as usize))[which] };
        if link.stamp.get() == self.stamp
            && let Some(first) = self.enter(link.first.get(), rip)
        {
            return first;
        }
        self.rip = rip;
        self.stop = Stop::Link { links: op.disp, which };
        std::ptr::null()
    }

    #[inline(always)]
    fn jump_to(&mut self, rip: u64) -> *const Op {
        if let Some(first) = self.blocks.jump(rip, self.stamp)
            && let Some(first) = self.enter(first, rip)
        {
            return first;
        }
        self.rip = rip;
        self.stop = Stop::Indirect;
        std::ptr::null()
    }
}

/// The handler of everything that the fast path does not do. Not inlined, so that its address says
/// so of an operation.
#[inline(never)]
pub(crate) fn slow(cpu: &mut Vcpu, op: *const Op) -> *const Op {
    cpu.at = op;
    cpu.stop = Stop::Slow;
    std::ptr::null()
}

/// Handler of the pseudo-operation that ends a block without a branch: on to the next byte.
#[inline(never)]
pub(crate) fn fall(cpu: &mut Vcpu, op: *const Op) -> *const Op {
    // SAFETY: as in `run`.
    let op = unsafe { &*op };
    let rip = cpu.r[RIP].wrapping_add(u64::from(op.next));
    let next = cpu.follow(op, 1, rip);
    pass(cpu, next)
}

/// Handler of a dropped block's first operation: RIP is there, decode anew. The block charged
/// nothing.
#[inline(never)]
pub(crate) fn gone(cpu: &mut Vcpu, _: *const Op) -> *const Op {
    cpu.rip = cpu.r[RIP];
    cpu.stop = Stop::Indirect;
    std::ptr::null()
}

/// How implied memory (stack, strings) is addressed.
pub(crate) trait Model: 'static {
    /// Stack pointer width, if the model fixes it.
    const STACK: Option<Width>;
    fn linear(cpu: &Vcpu, seg: Seg, offset: u64, size: u64, write: bool) -> Result<u64, Miss>;
}

/// 64-bit mode, not FS or GS.
pub(crate) struct Long;
/// 32-bit flat segments with a 32-bit stack.
pub(crate) struct Flat;
/// Anything else.
pub(crate) struct Windowed;

impl Model for Long {
    const STACK: Option<Width> = Some(Width::Qword);
    #[inline(always)]
    fn linear(_: &Vcpu, _: Seg, offset: u64, _: u64, _: bool) -> Result<u64, Miss> {
        Ok(offset)
    }
}
impl Model for Flat {
    const STACK: Option<Width> = Some(Width::Dword);
    #[inline(always)]
    fn linear(_: &Vcpu, _: Seg, offset: u64, _: u64, _: bool) -> Result<u64, Miss> {
        Ok(offset)
    }
}
impl Model for Windowed {
    const STACK: Option<Width> = None;
    #[inline(always)]
    fn linear(cpu: &Vcpu, seg: Seg, offset: u64, size: u64, write: bool) -> Result<u64, Miss> {
        in_window(cpu, seg as usize, offset, size, write)
    }
}

/// Not (yet) the place of a modified operand.
const NOWHERE: usize = usize::MAX;

/// The fast path as a target. `A` and `B` are the places of operands 0 and 1 (or, for VEX
/// instructions with three, 2; then operand 1 is a register); without `FLAGS` the
/// status flags stay as they are, for instructions whose flags nobody can see.
pub(crate) struct Fast<'a, A, B, M, const FLAGS: bool> {
    cpu: &'a mut Vcpu,
    op: &'a Op,
    /// Backing offset that `modify` found for operand 0.
    modified: usize,
    places: PhantomData<(A, B, M)>,
}

/// A meaning that falls through to the next instruction.
pub(crate) trait Meaning: 'static {
    fn run<T: Target>(t: &mut T) -> Step<T>;
}
/// A meaning that says where execution goes on.
pub(crate) trait Branch: 'static {
    fn run<T: Target>(t: &mut T) -> Flow<T>;
}

/// The handler of a [`Meaning`].
pub(crate) fn straight<I: Meaning, A: Place, B: Place, M: Model>(
    cpu: &mut Vcpu,
    op: *const Op,
) -> *const Op {
    run_meaning::<I, A, B, M, true>(cpu, op)
}

/// The handler of a [`Meaning`] whose flags are dead.
pub(crate) fn quiet<I: Meaning, A: Place, B: Place, M: Model>(
    cpu: &mut Vcpu,
    op: *const Op,
) -> *const Op {
    run_meaning::<I, A, B, M, false>(cpu, op)
}

#[inline(always)]
fn run_meaning<I: Meaning, A: Place, B: Place, M: Model, const FLAGS: bool>(
    cpu: &mut Vcpu,
    op: *const Op,
) -> *const Op {
    let mut target: Fast<'_, A, B, M, FLAGS> = Fast {
        cpu: &mut *cpu,
        // SAFETY: handlers are given operations of the arena.
        op: unsafe { &*op },
        modified: NOWHERE,
        places: PhantomData,
    };
    match I::run(&mut target) {
        // SAFETY: only a block's last operation has no successor in the arena, and that is a
        // branch or `fall`.
        Ok(()) => pass(cpu, unsafe { op.add(1) }),
        Err(Miss) => slow(cpu, op),
    }
}

/// The handler of a [`Branch`].
pub(crate) fn branching<I: Branch, A: Place, B: Place, M: Model>(
    cpu: &mut Vcpu,
    op: *const Op,
) -> *const Op {
    let mut target: Fast<'_, A, B, M, true> = Fast {
        cpu: &mut *cpu,
        // SAFETY: handlers are given operations of the arena.
        op: unsafe { &*op },
        modified: NOWHERE,
        places: PhantomData,
    };
    match I::run(&mut target) {
        Ok(next) => pass(cpu, next),
        Err(Miss) => slow(cpu, op),
    }
}

impl<A: Place, B: Place, M: Model, const FLAGS: bool> Fast<'_, A, B, M, FLAGS> {
    #[inline(always)]
    fn linear(&self, n: u32, size: u64, write: bool) -> Result<u64, Miss> {
        if n == 0 {
            A::linear(self.cpu, self.op, size, write)
        } else {
            B::linear(self.cpu, self.op, size, write)
        }
    }

    #[inline(always)]
    fn in_memory(n: u32) -> bool {
        if n == 0 { A::MEMORY } else { n == B::OPERAND && B::MEMORY }
    }

    /// The register field of an operand.
    #[inline(always)]
    fn register(&self, n: u32) -> u8 {
        match n {
            0 => self.op.a,
            1 => self.op.b,
            _ => self.op.c,
        }
    }

    #[inline(always)]
    fn readable(&self, linear: u64, size: u64) -> Result<usize, Miss> {
        self.cpu.tlb.read(self.cpu.bank, linear, size).ok_or(Miss)
    }

    #[inline(always)]
    fn writable(&self, linear: u64, size: u64) -> Result<usize, Miss> {
        self.cpu.tlb.write(self.cpu.bank, linear, size).ok_or(Miss)
    }

    #[inline(always)]
    fn target(&self, w: Width) -> u64 {
        self.cpu.r[RIP].wrapping_add(self.op.imm) & w.mask()
    }
}

impl<A: Place, B: Place, M: Model, const FLAGS: bool> Target for Fast<'_, A, B, M, FLAGS> {
    type Value = u64;
    type Vector = Xmm;
    type Wide = Ymm;
    type Cond = bool;
    type Status = Rflags;
    type Fault = Miss;
    type Next = *const Op;

    #[inline(always)]
    fn constant(&mut self, w: Width, value: u64) -> u64 {
        value & w.mask()
    }
    #[inline(always)]
    fn bin(&mut self, op: Bin, w: Width, a: &u64, b: &u64) -> u64 {
        values::bin(op, w, *a, *b)
    }
    #[inline(always)]
    fn not(&mut self, w: Width, a: &u64) -> u64 {
        !a & w.mask()
    }
    #[inline(always)]
    fn resize(&mut self, _: Width, to: Width, a: &u64) -> u64 {
        a & to.mask()
    }
    #[inline(always)]
    fn sign_extend(&mut self, from: Width, to: Width, a: &u64) -> u64 {
        from.sign_extend(*a) & to.mask()
    }
    #[inline(always)]
    fn compare(&mut self, cmp: Cmp, _: Width, a: &u64, b: &u64) -> bool {
        values::compare(cmp, *a, *b)
    }
    #[inline(always)]
    fn select(&mut self, c: &bool, _: Width, yes: &u64, no: &u64) -> u64 {
        if *c { *yes } else { *no }
    }
    #[inline(always)]
    fn truth(&mut self, _: Width, c: &bool) -> u64 {
        u64::from(*c)
    }
    #[inline(always)]
    fn rule(&mut self, _: &'static str, rule: Rule, w: Width, a: &u64, b: &u64) -> (u64, Rflags) {
        rule(w, *a, *b, self.cpu.lazy.rflags())
    }

    #[inline(always)]
    fn read(&mut self, n: u32, w: Width) -> Result<u64, Miss> {
        if Self::in_memory(n) {
            let linear = self.linear(n, w.bytes(), false)?;
            let at = self.readable(linear, w.bytes())?;
            return Ok(self.cpu.load_scalar(at, w));
        }
        let register = self.register(n);
        Ok(if n == 0 {
            A::value(self.cpu, self.op, register, w)
        } else if n == B::OPERAND {
            B::value(self.cpu, self.op, register, w)
        } else if n == 1 {
            Reg::value(self.cpu, self.op, register, w)
        } else {
            self.op.imm & w.mask()
        })
    }
    #[inline(always)]
    fn modify(&mut self, n: u32, w: Width) -> Result<u64, Miss> {
        if Self::in_memory(n) {
            let linear = self.linear(n, w.bytes(), true)?;
            self.modified = self.writable(linear, w.bytes())?;
            return Ok(self.cpu.load_scalar(self.modified, w));
        }
        self.read(n, w)
    }
    #[inline(always)]
    fn write(&mut self, n: u32, w: Width, value: u64) -> Result<(), Miss> {
        if Self::in_memory(n) {
            if self.modified == NOWHERE {
                let linear = self.linear(n, w.bytes(), true)?;
                self.modified = self.writable(linear, w.bytes())?;
            }
            self.cpu.store_scalar(self.modified, w, value);
            return Ok(());
        }
        let register = self.register(n);
        let shift = if w == Width::Byte { u32::from(register >> 4 & 8) } else { 0 };
        let slot = if w == Width::Byte { register & 31 } else { register };
        self.cpu.put_gpr(usize::from(slot), shift, w, value);
        Ok(())
    }
    #[inline(always)]
    fn is_memory(&self, n: u32) -> bool {
        Self::in_memory(n)
    }
    #[inline(always)]
    fn effective_address(&mut self) -> u64 {
        let sum = base_index(self.cpu, self.op);
        match self.op.address {
            1 => sum & 0xffff,
            2 => sum & 0xffff_ffff,
            _ => sum,
        }
    }
    #[inline(always)]
    fn address_width(&self) -> Width {
        match self.op.address {
            1 => Width::Word,
            2 => Width::Dword,
            _ => Width::Qword,
        }
    }
    #[inline(always)]
    fn segment(&self) -> Seg {
        // Only `Windowed` looks at it, and only strings ask.
        Seg::DATA[usize::from(self.op.seg % 6)]
    }

    #[inline(always)]
    fn gpr(&mut self, number: usize, w: Width) -> u64 {
        self.cpu.r[number] & w.mask()
    }
    #[inline(always)]
    fn set_gpr(&mut self, number: usize, w: Width, value: u64) {
        self.cpu.put_gpr(number, 0, w, value);
    }
    #[inline(always)]
    fn ah(&mut self) -> u64 {
        self.cpu.r[gpr::RAX] >> 8 & 0xff
    }
    #[inline(always)]
    fn set_ah(&mut self, value: u64) {
        self.cpu.put_gpr(gpr::RAX, 8, Width::Byte, value);
    }

    #[inline(always)]
    fn load(&mut self, seg: Seg, w: Width, offset: &u64) -> Result<u64, Miss> {
        let linear = M::linear(self.cpu, seg, *offset, w.bytes(), false)?;
        let at = self.readable(linear, w.bytes())?;
        Ok(self.cpu.load_scalar(at, w))
    }
    #[inline(always)]
    fn store(&mut self, seg: Seg, w: Width, offset: &u64, value: u64) -> Result<(), Miss> {
        let linear = M::linear(self.cpu, seg, *offset, w.bytes(), true)?;
        let at = self.writable(linear, w.bytes())?;
        self.cpu.store_scalar(at, w, value);
        Ok(())
    }
    #[inline(always)]
    fn stack_width(&self) -> Width {
        match M::STACK {
            Some(width) => width,
            None if self.cpu.mode.contains(Mode::STACK_32) => Width::Dword,
            None => Width::Word,
        }
    }

    #[inline(always)]
    fn set_flags(&mut self, flags: Flags<u64>) {
        if FLAGS {
            self.cpu.lazy.set(flags);
        }
    }
    #[inline(always)]
    fn set_flags_if(&mut self, c: &bool, flags: Flags<u64>) {
        if FLAGS && *c {
            self.cpu.lazy.set(flags);
        }
    }
    #[inline(always)]
    fn set_status(&mut self, status: Rflags) {
        if FLAGS {
            self.cpu.lazy.set_rflags(status);
        }
    }
    #[inline(always)]
    fn condition(&mut self, cc: Cc) -> bool {
        self.cpu.lazy.condition(cc)
    }
    #[inline(always)]
    fn carry(&mut self, _: Width) -> u64 {
        u64::from(self.cpu.lazy.cf())
    }
    #[inline(always)]
    fn string_step(&mut self, w: Width, address: Width) -> u64 {
        let down = self.cpu.lazy.known.contains(Rflags::DF);
        if down { w.bytes().wrapping_neg() & address.mask() } else { w.bytes() }
    }

    #[inline(always)]
    fn divide(
        &mut self,
        signed: bool,
        w: Width,
        high: &u64,
        low: &u64,
        by: &u64,
    ) -> Result<(u64, u64), Miss> {
        values::divide(signed, w, *high, *low, *by).ok_or(Miss)
    }

    #[inline(always)]
    fn branch_if(&mut self, c: &bool, w: Width) -> Flow<Self> {
        if *c {
            return self.branch(w);
        }
        let rip = self.cpu.r[RIP].wrapping_add(u64::from(self.op.next));
        Ok(self.cpu.follow(self.op, 1, rip))
    }
    #[inline(always)]
    fn loop_branch(&mut self, c: &bool, counter: Width, count: u64, w: Width) -> Flow<Self> {
        self.set_gpr(gpr::RCX, counter, count);
        self.branch_if(c, w)
    }
    #[inline(always)]
    fn branch(&mut self, w: Width) -> Flow<Self> {
        let target = self.target(w);
        Ok(self.cpu.follow(self.op, 0, target))
    }
    #[inline(always)]
    fn call(&mut self, w: Width) -> Flow<Self> {
        let next = self.next_rip(w);
        let stack = self.stack_width();
        let top = self.cpu.r[gpr::RSP].wrapping_sub(w.bytes()) & stack.mask();
        self.store(Seg::Ss, w, &top, next)?;
        self.cpu.put_gpr(gpr::RSP, 0, stack, top);
        self.branch(w)
    }
    #[inline(always)]
    fn jump(&mut self, w: Width, offset: &u64) -> Flow<Self> {
        Ok(self.cpu.jump_to(*offset & w.mask()))
    }
    #[inline(always)]
    fn next_rip(&mut self, w: Width) -> u64 {
        self.cpu.r[RIP].wrapping_add(u64::from(self.op.next)) & w.mask()
    }
    #[inline(always)]
    fn check_target(&mut self, w: Width, offset: &u64) -> Step<Self> {
        // Code with a limit (Mode::LIMITED) has no fast branches.
        if w == Width::Qword && !is_canonical(*offset) { Err(Miss) } else { Ok(()) }
    }

    #[inline(always)]
    fn read_vector(&mut self, n: u32, size: VectorSize) -> Result<Xmm, Miss> {
        if !Self::in_memory(n) {
            return Ok(self.cpu.xmm[usize::from(self.register(n) & 15)]);
        }
        let w = match size {
            VectorSize::Word => Width::Word,
            VectorSize::Dword => Width::Dword,
            VectorSize::Qword => Width::Qword,
            VectorSize::Xmm | VectorSize::XmmAligned => {
                let linear = self.linear(n, 16, false)?;
                if size == VectorSize::XmmAligned && linear & 15 != 0 {
                    return Err(Miss);
                }
                let at = self.readable(linear, 16)?;
                return Ok(Xmm(self.cpu.ram.load::<[u8; 16]>(at)));
            }
        };
        Ok(Xmm::from_halves(self.read(n, w)?, 0))
    }
    #[inline(always)]
    fn write_vector(&mut self, n: u32, size: VectorSize, value: Xmm) -> Result<(), Miss> {
        if !Self::in_memory(n) {
            let slot = &mut self.cpu.xmm[usize::from(self.register(n) & 15)];
            values::merge_vector(slot, size, value);
            return Ok(());
        }
        let w = match size {
            VectorSize::Word => Width::Word,
            VectorSize::Dword => Width::Dword,
            VectorSize::Qword => Width::Qword,
            VectorSize::Xmm | VectorSize::XmmAligned => {
                let linear = self.linear(n, 16, true)?;
                if size == VectorSize::XmmAligned && linear & 15 != 0 {
                    return Err(Miss);
                }
                let at = self.writable(linear, 16)?;
                self.cpu.ram.store::<[u8; 16]>(at, value.0);
                return Ok(());
            }
        };
        self.write(n, w, value.low() & w.mask())
    }
    #[inline(always)]
    fn vector(&mut self, _: &'static str, op: fn(Xmm, Xmm) -> Xmm, a: &Xmm, b: &Xmm) -> Xmm {
        op(*a, *b)
    }
    #[inline(always)]
    fn vector_imm(
        &mut self,
        _: &'static str,
        op: fn(Xmm, Xmm, u8) -> Xmm,
        a: &Xmm,
        b: &Xmm,
    ) -> Xmm {
        op(*a, *b, self.op.imm as u8)
    }
    #[inline(always)]
    fn float(&mut self, _: &'static str, op: FloatRule, a: &Xmm, b: &Xmm) -> Result<Xmm, Miss> {
        op(*a, *b, Control::Quick(self.cpu.mxcsr)).map_err(|_| Miss)
    }
    #[inline(always)]
    fn float_imm(
        &mut self,
        _: &'static str,
        op: FloatImmRule,
        a: &Xmm,
        b: &Xmm,
    ) -> Result<Xmm, Miss> {
        op(*a, *b, self.op.imm as u8, Control::Quick(self.cpu.mxcsr)).map_err(|_| Miss)
    }
    #[inline(always)]
    fn mmx(&mut self, _: &'static str, op: fn(u64, u64) -> u64, a: &Xmm, b: &Xmm) -> Xmm {
        Xmm::from_halves(op(a.low(), b.low()), 0)
    }
    #[inline(always)]
    fn begin_mmx(&mut self) -> Step<Self> {
        self.x87_ready()
    }
    #[inline(always)]
    fn end_mmx(&mut self) {
        self.cpu.x87.enter_mmx();
    }
    #[inline(always)]
    fn vector_low(&mut self, w: Width, a: &Xmm) -> u64 {
        a.low() & w.mask()
    }
    #[inline(always)]
    fn vector_from(&mut self, _: Width, a: &u64) -> Xmm {
        Xmm::from_halves(*a, 0)
    }
    #[inline(always)]
    fn set_flags_from(&mut self, a: &Xmm) {
        self.cpu.lazy.set_rflags(values::compare_flags(self.cpu.lazy.known, a.low()));
    }

    #[inline(always)]
    fn is_256(&self) -> bool {
        B::IS_256
    }
    #[inline(always)]
    fn read_wide(&mut self, n: u32, alignment: Alignment) -> Result<Ymm, Miss> {
        if !Self::in_memory(n) {
            let register = usize::from(self.register(n) & 15);
            return Ok(Ymm([self.cpu.xmm[register], self.cpu.ymm_high[register]]));
        }
        let size = if B::IS_256 { 32 } else { 16 };
        let linear = self.linear(n, size, false)?;
        if alignment == Alignment::Natural && linear & (size - 1) != 0 {
            return Err(Miss);
        }
        let at = self.readable(linear, size)?;
        let low = Xmm(self.cpu.ram.load::<[u8; 16]>(at));
        let high = if B::IS_256 { Xmm(self.cpu.ram.load::<[u8; 16]>(at + 16)) } else { Xmm::ZERO };
        Ok(Ymm([low, high]))
    }
    #[inline(always)]
    fn write_wide(&mut self, n: u32, alignment: Alignment, value: Ymm) -> Step<Self> {
        if !Self::in_memory(n) {
            let register = usize::from(self.register(n) & 15);
            self.cpu.xmm[register] = value.low();
            self.cpu.ymm_high[register] = if B::IS_256 { value.high() } else { Xmm::ZERO };
            return Ok(());
        }
        let size = if B::IS_256 { 32 } else { 16 };
        let linear = self.linear(n, size, true)?;
        if alignment == Alignment::Natural && linear & (size - 1) != 0 {
            return Err(Miss);
        }
        let at = self.writable(linear, size)?;
        self.cpu.ram.store::<[u8; 16]>(at, value.low().0);
        if B::IS_256 {
            self.cpu.ram.store::<[u8; 16]>(at + 16, value.high().0);
        }
        Ok(())
    }
    #[inline(always)]
    fn low_lane(&mut self, a: &Ymm) -> Xmm {
        a.low()
    }
    #[inline(always)]
    fn high_lane(&mut self, a: &Ymm) -> Xmm {
        a.high()
    }
    #[inline(always)]
    fn join_lanes(&mut self, low: &Xmm, high: &Xmm) -> Ymm {
        Ymm([*low, *high])
    }
    #[inline(always)]
    fn widen(&mut self, a: &Xmm) -> Ymm {
        Ymm::from_low(*a)
    }
    #[inline(always)]
    fn lanes(&mut self, _: &'static str, op: fn(Xmm, Xmm) -> Xmm, a: &Ymm, b: &Ymm) -> Ymm {
        let high = if B::IS_256 { op(a.high(), b.high()) } else { Xmm::ZERO };
        Ymm([op(a.low(), b.low()), high])
    }
    #[inline(always)]
    fn lanes_imm(&mut self, _: &'static str, op: fn(Xmm, Xmm, u8) -> Xmm, a: &Ymm, b: &Ymm) -> Ymm {
        let imm = self.op.imm as u8;
        let high = if B::IS_256 { op(a.high(), b.high(), imm) } else { Xmm::ZERO };
        Ymm([op(a.low(), b.low(), imm), high])
    }
    #[inline(always)]
    fn across(&mut self, _: &'static str, op: fn(Ymm, Ymm, u8) -> Ymm, a: &Ymm, b: &Ymm) -> Ymm {
        op(*a, *b, self.op.imm as u8)
    }
    #[inline(always)]
    fn float_lanes(
        &mut self,
        name: &'static str,
        op: FloatRule,
        a: &Ymm,
        b: &Ymm,
    ) -> Result<Ymm, Miss> {
        let low = self.float(name, op, &a.low(), &b.low())?;
        let high = if B::IS_256 { self.float(name, op, &a.high(), &b.high())? } else { Xmm::ZERO };
        Ok(Ymm([low, high]))
    }
    #[inline(always)]
    fn float_lanes_imm(
        &mut self,
        name: &'static str,
        op: FloatImmRule,
        a: &Ymm,
        b: &Ymm,
    ) -> Result<Ymm, Miss> {
        let low = self.float_imm(name, op, &a.low(), &b.low())?;
        let high =
            if B::IS_256 { self.float_imm(name, op, &a.high(), &b.high())? } else { Xmm::ZERO };
        Ok(Ymm([low, high]))
    }

    #[inline(always)]
    fn x87_available(&mut self) -> Step<Self> {
        if self.cpu.mode.contains(Mode::X87) { Ok(()) } else { Err(Miss) }
    }
    #[inline(always)]
    fn x87_ready(&mut self) -> Step<Self> {
        let ready = self.cpu.mode.contains(Mode::X87) && !self.cpu.x87.exception_pending();
        if ready { Ok(()) } else { Err(Miss) }
    }
    #[inline(always)]
    fn st_number(&mut self) -> u64 {
        u64::from((self.op.a | self.op.b) & 7)
    }
    #[inline(always)]
    fn x87(&mut self, step: X87Step, operand: &u64) {
        (step.run)(&mut self.cpu.x87, *operand);
        self.note_x87(step.opcode);
    }
    #[inline(always)]
    fn x87_compare(&mut self, step: X87Compare, operand: &u64) {
        let bits = (step.run)(&mut self.cpu.x87, *operand);
        self.cpu.lazy.set_rflags(values::compare_flags(self.cpu.lazy.known, bits));
        self.note_x87(step.opcode);
    }
    #[inline(always)]
    fn x87_wide(
        &mut self,
        _: &'static str,
        opcode: u16,
        run: fn(&mut X87, u64, u16),
    ) -> Step<Self> {
        let linear = self.linear(0, 10, false)?;
        let at = self.readable(linear, 10)?;
        let low = self.cpu.load_scalar(at, Width::Qword);
        let high = self.cpu.load_scalar(at + 8, Width::Word);
        run(&mut self.cpu.x87, low, high as u16);
        self.note_x87(opcode);
        Ok(())
    }
    #[inline(always)]
    fn x87_store(
        &mut self,
        _: &'static str,
        opcode: u16,
        format: Format,
        pops: Pops,
    ) -> Step<Self> {
        let bytes = if format.is_wide() { 10 } else { format.width().bytes() };
        let linear = self.linear(0, bytes, true)?;
        let at = self.writable(linear, bytes)?;
        if !store_x87(self.cpu, at, format, pops) {
            return Err(Miss);
        }
        self.note_x87(opcode);
        Ok(())
    }
    #[inline(always)]
    fn x87_word(&mut self, _: &'static str, word: fn(&X87) -> u16) -> u64 {
        u64::from(word(&self.cpu.x87))
    }
    #[inline(always)]
    fn x87_set_control(&mut self, word: &u64) {
        self.cpu.x87.set_control(*word as u16);
    }
}

impl<A: Place, B: Place, M: Model, const FLAGS: bool> Fast<'_, A, B, M, FLAGS> {
    /// Notes an x87 instruction in FOP, FIP and FDP; the immediate is the ModRM byte of its memory
    /// operand.
    #[inline(always)]
    fn note_x87(&mut self, opcode: u16) {
        let op = self.op;
        let operand = if opcode & 0xc0 == 0xc0 {
            u16::from((op.a | op.b) & 7)
        } else {
            self.cpu.x87.data_pointer = self.effective_address();
            let seg = Seg::DATA[usize::from(op.seg % 6)];
            self.cpu.x87.data_selector = self.cpu.segment(seg).selector;
            op.imm as u16
        };
        let rip = self.cpu.r[RIP].wrapping_add(u64::from(op.next) - u64::from(op.len));
        self.cpu.x87.opcode = opcode | operand;
        self.cpu.x87.instruction_pointer = rip;
        self.cpu.x87.instruction_selector = self.cpu.segment(Seg::Cs).selector;
    }
}

/// Stores ST(0) to the backing and pops; false, with nothing done, if an exception forbids. Not
/// inlined: its local variables must not stand in a handler's frame.
#[inline(never)]
fn store_x87(cpu: &mut Vcpu, at: usize, format: Format, pops: Pops) -> bool {
    let store = cpu.x87.prepare_store(format);
    if store.allowed {
        cpu.store_scalar(at, format.width(), store.low);
        if format.is_wide() {
            cpu.store_scalar(at + 8, Width::Word, u64::from(store.high));
        }
        cpu.x87.finish_store(&store, pops);
    }
    store.allowed
}

/// The bank that the fast path uses must be one of these.
const _: () = assert!(Bank::Slow as usize > Bank::User as usize);
