//! The complete interpreter: the [`Target`] that runs any instruction with any operand and raises
//! every fault. It is the reference; `fast.rs` hands over to it whatever it does not do itself.

use crate::access::is_canonical;
use crate::exception::{Exception, Fault};
use crate::flags::{Cc, Flags};
use crate::float::x87_operand::Format;
use crate::float::x87_stack::Pops;
use crate::float::{Control, SimdException, X87};
use crate::meaning;
use crate::paging::Access;
use crate::state::Seg;
use crate::target::{
    Alignment, Bin, Cmp, FloatImmRule, FloatRule, Flow, Rule, Step, Target, VectorSize, X87Compare,
    X87Step,
};
use crate::vcpu::Mode;
use crate::vector::{Xmm, Ymm};
use crate::{Bus, Vcpu, values};
use cutaway_isa::{Code, Cr0, Cr4, Instruction, OpKind, Register, Rflags, Width};

/// Runs one instruction completely.
pub(crate) type ExecFn = fn(&mut Exec<'_>) -> Result<(), Fault>;

/// One instruction being run.
///
/// On entry `cpu.rip` is the instruction's own; [`Exec::next`] is the next one's. The instruction
/// leaves in `next` where execution goes on; RIP changes only when it has succeeded.
pub(crate) struct Exec<'a> {
    pub(crate) cpu: &'a mut Vcpu,
    pub(crate) bus: &'a mut dyn Bus,
    pub(crate) instruction: &'a Instruction,
    /// RIP of the next instruction.
    pub(crate) next: u64,
}

/// Where an integer register lies: slot, and how far its low bit is from bit 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GprPlace {
    pub(crate) slot: usize,
    pub(crate) shift: u32,
    pub(crate) width: Width,
}

/// The slot of a general-purpose register.
pub(crate) fn gpr_place(register: Register) -> Option<GprPlace> {
    let number = |first: Register| register as usize - first as usize;
    let place = |slot, shift, width| Some(GprPlace { slot, shift, width });
    if register.is_gpr8() {
        // iced's order: AL CL DL BL AH CH DH BH SPL BPL SIL DIL R8L …
        return match number(Register::AL) {
            n @ 0..=3 => place(n, 0, Width::Byte),
            n @ 4..=7 => place(n - 4, 8, Width::Byte),
            n => place(n - 4, 0, Width::Byte),
        };
    }
    if register.is_gpr16() {
        return place(number(Register::AX), 0, Width::Word);
    }
    if register.is_gpr32() {
        return place(number(Register::EAX), 0, Width::Dword);
    }
    if register.is_gpr64() {
        return place(number(Register::RAX), 0, Width::Qword);
    }
    None
}

/// The segment that a register names.
#[must_use]
pub fn seg_of(register: Register) -> Option<Seg> {
    Some(match register {
        Register::ES => Seg::Es,
        Register::CS => Seg::Cs,
        Register::SS => Seg::Ss,
        Register::DS => Seg::Ds,
        Register::FS => Seg::Fs,
        Register::GS => Seg::Gs,
        _ => return None,
    })
}

/// Width of the address of implied string operands, if the instruction has them.
pub(crate) fn implied_width(i: &Instruction) -> Option<Width> {
    (0..i.op_count()).find_map(|n| match i.op_kind(n) {
        OpKind::MemorySegSI | OpKind::MemorySegDI | OpKind::MemoryESDI => Some(Width::Word),
        OpKind::MemorySegESI | OpKind::MemorySegEDI | OpKind::MemoryESEDI => Some(Width::Dword),
        OpKind::MemorySegRSI | OpKind::MemorySegRDI | OpKind::MemoryESRDI => Some(Width::Qword),
        _ => None,
    })
}

/// Width of the address of an instruction's memory operand or implied string operands.
pub(crate) fn address_width(i: &Instruction) -> Width {
    if let Some(width) = implied_width(i) {
        return width;
    }
    let base = i.memory_base();
    // a vector of indices has no say in it
    let index = if i.is_vsib() { Register::None } else { i.memory_index() };
    match if base == Register::None { index } else { base } {
        Register::EIP => Width::Dword,
        Register::RIP => Width::Qword,
        Register::None => match i.memory_displ_size() {
            2 => Width::Word,
            4 => Width::Dword,
            _ => Width::Qword,
        },
        register => gpr_place(register).map_or(Width::Qword, |place| place.width),
    }
}

/// VEX.L of an instruction: whether a vector operand has 256 bits.
pub(crate) fn is_256(i: &Instruction) -> bool {
    i.memory_size().size() == 32
        || (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Register && i.op_register(n).is_ymm())
}

impl Exec<'_> {
    /// The immediate operand, sign-extended from its encoded size to 64 bits.
    fn immediate(&self, n: u32) -> Option<u64> {
        let instruction = self.instruction;
        Some(match instruction.op_kind(n) {
            OpKind::Immediate8 => u64::from(instruction.immediate8()),
            OpKind::Immediate8_2nd => u64::from(instruction.immediate8_2nd()),
            OpKind::Immediate16 => u64::from(instruction.immediate16()),
            OpKind::Immediate32 => u64::from(instruction.immediate32()),
            OpKind::Immediate64 => instruction.immediate64(),
            OpKind::Immediate8to16 => instruction.immediate8to16() as u64,
            OpKind::Immediate8to32 => instruction.immediate8to32() as u64,
            OpKind::Immediate8to64 => instruction.immediate8to64() as u64,
            OpKind::Immediate32to64 => instruction.immediate32to64() as u64,
            _ => return None,
        })
    }

    /// The value of an address register at its full width.
    fn address_register(&self, register: Register) -> u64 {
        match gpr_place(register) {
            Some(place) => self.cpu.r[place.slot] & place.width.mask(),
            None => 0,
        }
    }

    /// The effective address, cut to the address size.
    pub(crate) fn offset(&self) -> u64 {
        let i = self.instruction;
        if i.is_ip_rel_memory_operand() {
            // The decoder reckoned from the IP that it was given, which was 0.
            let from_next = i.memory_displacement64().wrapping_sub(i.next_ip());
            let w = if i.memory_base() == Register::EIP { Width::Dword } else { Width::Qword };
            return self.cpu.rip.wrapping_add(i.len() as u64).wrapping_add(from_next) & w.mask();
        }
        let base = self.address_register(i.memory_base());
        let index = self.address_register(i.memory_index());
        let scaled = index.wrapping_mul(u64::from(i.memory_index_scale()));
        let sum = base.wrapping_add(scaled).wrapping_add(i.memory_displacement64());
        sum & self.address_width().mask()
    }

    /// Whether operand `n` lies in memory at its effective address or at an implied one.
    pub(crate) fn operand_in_memory(&self, n: u32) -> bool {
        self.instruction.op_kind(n) == OpKind::Memory
    }

    /// The fault of an unmasked floating-point exception: #XM, or #UD without OSXMMEXCPT.
    pub(crate) fn simd_fault(&self) -> Fault {
        let enabled = self.cpu.system.cr4 & Cr4::OSXMMEXCPT.bits() != 0;
        if enabled { Exception::XM } else { Exception::UD }.into()
    }

    /// #GP(0) or #UD unless the CPL is 0.
    pub(crate) fn require_cpl0(&self) -> Result<(), Fault> {
        if self.cpu.cpl() == 0 { Ok(()) } else { Err(Exception::GP0.into()) }
    }

    /// Stops with the name of what is missing.
    pub(crate) fn unimplemented(&mut self, what: &str) -> Fault {
        self.cpu.stop_unimplemented(what, Some(self.instruction))
    }

    fn vector_place(&self, n: u32) -> VectorPlace {
        let register = self.instruction.op_register(n);
        if self.instruction.op_kind(n) != OpKind::Register {
            VectorPlace::Memory
        } else if register.is_mm() {
            VectorPlace::Mmx(register as usize - Register::MM0 as usize)
        } else {
            VectorPlace::Xmm(register.number() & 15) // or a YMM register
        }
    }

    /// #GP(0) for a misaligned operand that must be aligned; before any other check of its address
    /// (measured on Zen 3: #GP through SS too).
    pub(crate) fn require_alignment(&self, size: u64) -> Result<(), Fault> {
        let base = self.cpu.windows[self.segment() as usize].base;
        let linear = base.wrapping_add(self.offset());
        if linear & (size - 1) == 0 { Ok(()) } else { Err(Exception::GP0.into()) }
    }

    /// The linear address of the memory operand for `size` bytes.
    pub(crate) fn operand_linear(&mut self, size: u64, access: Access) -> Result<u64, Fault> {
        let (seg, offset) = (self.segment(), self.offset());
        self.cpu.linear(seg, offset, size, access)
    }

    /// Writes a whole YMM register operand, whatever VEX.L is.
    pub(crate) fn write_register(&mut self, n: u32, value: Ymm) {
        let number = self.instruction.op_register(n).number() & 15;
        (self.cpu.xmm[number], self.cpu.ymm_high[number]) = (value.low(), value.high());
    }

    /// The linear address of a memory operand of 16 or 32 bytes, as VEX.L says.
    fn wide_linear(&mut self, alignment: Alignment, access: Access) -> Result<u64, Fault> {
        let size = if is_256(self.instruction) { 32 } else { 16 };
        if alignment == Alignment::Natural {
            self.require_alignment(size)?;
        }
        let linear = self.operand_linear(size, access)?;
        // #AC looks at 16 bytes, whatever the size (measured on Zen 3).
        self.cpu.check_alignment(linear, 16)?;
        Ok(linear)
    }

    /// A floating-point operation on two 128-bit lanes. Their exceptions are one set: an unmasked
    /// one of the operands in either lane hides those of results in both.
    fn two_lanes(
        &mut self,
        op: impl Fn(usize, Control<'_>) -> Result<Xmm, SimdException>,
    ) -> Result<Ymm, Fault> {
        let mut lanes = self.cpu.mxcsr.collecting();
        let results = [0, 1].map(|lane| op(lane, Control::Full(&mut lanes)));
        self.cpu.mxcsr.raise(lanes.raised()).map_err(|_| self.simd_fault())?;
        // what is unmasked here was unmasked there
        let [low, high] = results.map(|lane| lane.map_err(|_| self.simd_fault()));
        Ok(Ymm([low?, high?]))
    }

    /// Reads 16 bytes at a linear address; no fault comes between the halves.
    pub(crate) fn read_xmm(&mut self, linear: u64) -> Result<Xmm, Fault> {
        let user = self.cpu.is_user();
        let upper = self.cpu.wrap(linear.wrapping_add(8));
        let low = self.cpu.read_linear(self.bus, linear, Width::Qword, user)?;
        let high = self.cpu.read_linear(self.bus, upper, Width::Qword, user)?;
        Ok(Xmm::from_halves(low, high))
    }

    /// Writes 16 bytes at a linear address, all or nothing.
    pub(crate) fn write_xmm(&mut self, linear: u64, value: Xmm) -> Result<(), Fault> {
        let user = self.cpu.is_user();
        self.cpu.probe_linear(self.bus, linear, 16, Access::Write, user)?;
        let upper = self.cpu.wrap(linear.wrapping_add(8));
        self.cpu.write_linear(self.bus, linear, Width::Qword, value.low(), user)?;
        self.cpu.write_linear(self.bus, upper, Width::Qword, value.high(), user)
    }
}

enum VectorPlace {
    Memory,
    Mmx(usize),
    Xmm(usize),
}

impl Target for Exec<'_> {
    type Value = u64;
    type Vector = Xmm;
    type Wide = Ymm;
    type Cond = bool;
    type Status = Rflags;
    type Fault = Fault;
    type Next = ();

    fn constant(&mut self, w: Width, value: u64) -> u64 {
        value & w.mask()
    }
    #[inline(always)]
    fn bin(&mut self, op: Bin, w: Width, a: &u64, b: &u64) -> u64 {
        values::bin(op, w, *a, *b)
    }
    fn not(&mut self, w: Width, a: &u64) -> u64 {
        !a & w.mask()
    }
    fn resize(&mut self, _: Width, to: Width, a: &u64) -> u64 {
        a & to.mask()
    }
    fn sign_extend(&mut self, from: Width, to: Width, a: &u64) -> u64 {
        from.sign_extend(*a) & to.mask()
    }
    #[inline(always)]
    fn compare(&mut self, cmp: Cmp, _: Width, a: &u64, b: &u64) -> bool {
        values::compare(cmp, *a, *b)
    }
    fn select(&mut self, c: &bool, _: Width, yes: &u64, no: &u64) -> u64 {
        if *c { *yes } else { *no }
    }
    fn truth(&mut self, _: Width, c: &bool) -> u64 {
        u64::from(*c)
    }
    fn rule(&mut self, _: &'static str, rule: Rule, w: Width, a: &u64, b: &u64) -> (u64, Rflags) {
        rule(w, *a, *b, self.cpu.lazy.rflags())
    }

    fn read(&mut self, n: u32, w: Width) -> Result<u64, Fault> {
        match self.instruction.op_kind(n) {
            OpKind::Register => {
                let register = self.instruction.op_register(n);
                if let Some(place) = gpr_place(register) {
                    return Ok(self.cpu.r[place.slot] >> place.shift & w.mask());
                }
                match seg_of(register) {
                    Some(seg) => Ok(u64::from(self.cpu.segment(seg).selector)),
                    None => Err(self.unimplemented("integer access to this register")),
                }
            }
            OpKind::Memory => {
                let (seg, offset) = (self.segment(), self.offset());
                self.cpu.read_segment(self.bus, seg, offset, w)
            }
            _ => match self.immediate(n) {
                Some(value) => Ok(value & w.mask()),
                None => Err(self.unimplemented("operand kind")),
            },
        }
    }

    fn modify(&mut self, n: u32, w: Width) -> Result<u64, Fault> {
        if self.operand_in_memory(n) {
            let (seg, offset) = (self.segment(), self.offset());
            // An unreadable writable segment does not exist; write rights imply read rights.
            self.cpu.probe_write(self.bus, seg, offset, w.bytes())?;
        }
        self.read(n, w)
    }

    fn write(&mut self, n: u32, w: Width, value: u64) -> Result<(), Fault> {
        if self.operand_in_memory(n) {
            let (seg, offset) = (self.segment(), self.offset());
            return self.cpu.write_segment(self.bus, seg, offset, w, value);
        }
        let Some(place) = gpr_place(self.instruction.op_register(n)) else {
            return Err(self.unimplemented("integer access to this register"));
        };
        self.cpu.put_gpr(place.slot, place.shift, w, value);
        Ok(())
    }

    fn is_memory(&self, n: u32) -> bool {
        self.operand_in_memory(n)
    }

    fn effective_address(&mut self) -> u64 {
        self.offset()
    }

    fn address_width(&self) -> Width {
        address_width(self.instruction)
    }

    fn segment(&self) -> Seg {
        seg_of(self.instruction.memory_segment()).unwrap_or(Seg::Ds)
    }

    fn gpr(&mut self, number: usize, w: Width) -> u64 {
        self.cpu.r[number] & w.mask()
    }
    fn set_gpr(&mut self, number: usize, w: Width, value: u64) {
        self.cpu.put_gpr(number, 0, w, value);
    }
    fn ah(&mut self) -> u64 {
        self.cpu.r[0] >> 8 & 0xff
    }
    fn set_ah(&mut self, value: u64) {
        self.cpu.put_gpr(0, 8, Width::Byte, value);
    }

    fn load(&mut self, seg: Seg, w: Width, offset: &u64) -> Result<u64, Fault> {
        self.cpu.read_segment(self.bus, seg, *offset, w)
    }
    fn store(&mut self, seg: Seg, w: Width, offset: &u64, value: u64) -> Result<(), Fault> {
        self.cpu.write_segment(self.bus, seg, *offset, w, value)
    }
    fn stack_width(&self) -> Width {
        self.cpu.stack_width()
    }

    fn set_flags(&mut self, flags: Flags<u64>) {
        self.cpu.lazy.set(flags);
    }
    fn set_flags_if(&mut self, c: &bool, flags: Flags<u64>) {
        if *c {
            self.cpu.lazy.set(flags);
        }
    }
    fn set_status(&mut self, status: Rflags) {
        self.cpu.lazy.set_rflags(status);
    }
    fn condition(&mut self, cc: Cc) -> bool {
        self.cpu.lazy.condition(cc)
    }
    fn carry(&mut self, _: Width) -> u64 {
        u64::from(self.cpu.lazy.cf())
    }
    fn string_step(&mut self, w: Width, address: Width) -> u64 {
        let down = self.cpu.lazy.known.contains(Rflags::DF);
        if down { w.bytes().wrapping_neg() & address.mask() } else { w.bytes() }
    }

    fn divide(
        &mut self,
        signed: bool,
        w: Width,
        high: &u64,
        low: &u64,
        by: &u64,
    ) -> Result<(u64, u64), Fault> {
        values::divide(signed, w, *high, *low, *by).ok_or(Exception::DE.into())
    }

    fn branch_if(&mut self, c: &bool, w: Width) -> Flow<Self> {
        if *c { self.branch(w) } else { Ok(()) }
    }
    fn loop_branch(&mut self, c: &bool, counter: Width, count: u64, w: Width) -> Flow<Self> {
        self.branch_if(c, w)?;
        self.set_gpr(crate::state::gpr::RCX, counter, count);
        Ok(())
    }
    fn branch(&mut self, w: Width) -> Flow<Self> {
        let target = self.near_target(w);
        self.check_target(w, &target)?;
        self.next = target;
        Ok(())
    }
    fn call(&mut self, w: Width) -> Flow<Self> {
        let target = self.near_target(w);
        self.check_call(w, &target)?;
        let return_to = self.next & w.mask();
        self.cpu.push(self.bus, w, return_to)?;
        self.next = target;
        Ok(())
    }
    fn jump(&mut self, w: Width, offset: &u64) -> Flow<Self> {
        self.next = *offset & w.mask();
        Ok(())
    }
    fn next_rip(&mut self, w: Width) -> u64 {
        self.next & w.mask()
    }
    fn check_call(&mut self, w: Width, offset: &u64) -> Step<Self> {
        let stack = self.cpu.stack_width();
        let top = self.cpu.r[crate::state::gpr::RSP].wrapping_sub(w.bytes()) & stack.mask();
        self.cpu.probe_write(self.bus, Seg::Ss, top, w.bytes())?;
        self.check_target(w, offset)
    }
    fn check_target(&mut self, w: Width, offset: &u64) -> Step<Self> {
        let offset = offset & w.mask();
        let ok = if self.cpu.is_64_bit() {
            is_canonical(offset)
        } else {
            offset <= u64::from(self.cpu.segment(Seg::Cs).limit)
        };
        if ok { Ok(()) } else { Err(Exception::GP0.into()) }
    }

    fn read_vector(&mut self, n: u32, size: VectorSize) -> Result<Xmm, Fault> {
        match self.vector_place(n) {
            VectorPlace::Mmx(n) => Ok(Xmm::from_halves(self.cpu.x87.mmx(n), 0)),
            VectorPlace::Xmm(n) => Ok(self.cpu.xmm[n]),
            VectorPlace::Memory => {
                let w = match size {
                    VectorSize::Word => Width::Word,
                    VectorSize::Dword => Width::Dword,
                    VectorSize::Qword => Width::Qword,
                    VectorSize::Xmm | VectorSize::XmmAligned => {
                        if size == VectorSize::XmmAligned {
                            self.require_alignment(16)?;
                        }
                        let linear = self.operand_linear(16, Access::Read)?;
                        self.cpu.check_alignment(linear, 16)?;
                        return self.read_xmm(linear);
                    }
                };
                Ok(Xmm::from_halves(self.read(n, w)?, 0))
            }
        }
    }

    fn write_vector(&mut self, n: u32, size: VectorSize, value: Xmm) -> Result<(), Fault> {
        match self.vector_place(n) {
            VectorPlace::Mmx(n) => self.cpu.x87.set_mmx(n, value.low()),
            VectorPlace::Xmm(n) => {
                values::merge_vector(&mut self.cpu.xmm[n], size, value);
            }
            VectorPlace::Memory => {
                let (w, value) = match size {
                    VectorSize::Word => (Width::Word, value.low()),
                    VectorSize::Dword => (Width::Dword, value.low()),
                    VectorSize::Qword => (Width::Qword, value.low()),
                    VectorSize::Xmm | VectorSize::XmmAligned => {
                        if size == VectorSize::XmmAligned {
                            self.require_alignment(16)?;
                        }
                        let linear = self.operand_linear(16, Access::Write)?;
                        self.cpu.check_alignment(linear, 16)?;
                        return self.write_xmm(linear, value);
                    }
                };
                return self.write(n, w, value & w.mask());
            }
        }
        Ok(())
    }

    fn vector(&mut self, _: &'static str, op: fn(Xmm, Xmm) -> Xmm, a: &Xmm, b: &Xmm) -> Xmm {
        op(*a, *b)
    }
    fn vector_imm(
        &mut self,
        _: &'static str,
        op: fn(Xmm, Xmm, u8) -> Xmm,
        a: &Xmm,
        b: &Xmm,
    ) -> Xmm {
        op(*a, *b, self.instruction.immediate8())
    }
    fn float(&mut self, _: &'static str, op: FloatRule, a: &Xmm, b: &Xmm) -> Result<Xmm, Fault> {
        op(*a, *b, Control::Full(&mut self.cpu.mxcsr)).map_err(|_| self.simd_fault())
    }
    fn float_imm(
        &mut self,
        _: &'static str,
        op: FloatImmRule,
        a: &Xmm,
        b: &Xmm,
    ) -> Result<Xmm, Fault> {
        let imm = self.instruction.immediate8();
        op(*a, *b, imm, Control::Full(&mut self.cpu.mxcsr)).map_err(|_| self.simd_fault())
    }
    fn mmx(&mut self, _: &'static str, op: fn(u64, u64) -> u64, a: &Xmm, b: &Xmm) -> Xmm {
        Xmm::from_halves(op(a.low(), b.low()), 0)
    }
    fn begin_mmx(&mut self) -> Step<Self> {
        if self.cpu.system.cr0 & Cr0::EM.bits() != 0 {
            return Err(Exception::UD.into());
        }
        self.x87_ready()
    }
    fn end_mmx(&mut self) {
        self.cpu.x87.enter_mmx();
    }
    fn vector_low(&mut self, w: Width, a: &Xmm) -> u64 {
        a.low() & w.mask()
    }
    fn vector_from(&mut self, _: Width, a: &u64) -> Xmm {
        Xmm::from_halves(*a, 0)
    }
    fn set_flags_from(&mut self, a: &Xmm) {
        self.cpu.lazy.set_rflags(values::compare_flags(self.cpu.lazy.known, a.low()));
    }

    fn is_256(&self) -> bool {
        is_256(self.instruction)
    }
    fn read_wide(&mut self, n: u32, alignment: Alignment) -> Result<Ymm, Fault> {
        if let VectorPlace::Xmm(n) = self.vector_place(n) {
            return Ok(Ymm([self.cpu.xmm[n], self.cpu.ymm_high[n]]));
        }
        let is_256 = self.is_256();
        let linear = self.wide_linear(alignment, Access::Read)?;
        let low = self.read_xmm(linear)?;
        if !is_256 {
            return Ok(Ymm::from_low(low));
        }
        let upper = self.cpu.wrap(linear.wrapping_add(16));
        Ok(Ymm([low, self.read_xmm(upper)?]))
    }
    fn write_wide(&mut self, n: u32, alignment: Alignment, value: Ymm) -> Step<Self> {
        let is_256 = self.is_256();
        if let VectorPlace::Xmm(n) = self.vector_place(n) {
            self.cpu.xmm[n] = value.low();
            self.cpu.ymm_high[n] = if is_256 { value.high() } else { Xmm::ZERO };
            return Ok(());
        }
        let linear = self.wide_linear(alignment, Access::Write)?;
        if !is_256 {
            return self.write_xmm(linear, value.low());
        }
        let user = self.cpu.is_user();
        self.cpu.probe_linear(self.bus, linear, 32, Access::Write, user)?;
        let upper = self.cpu.wrap(linear.wrapping_add(16));
        self.write_xmm(linear, value.low())?;
        self.write_xmm(upper, value.high())
    }
    fn low_lane(&mut self, a: &Ymm) -> Xmm {
        a.low()
    }
    fn high_lane(&mut self, a: &Ymm) -> Xmm {
        a.high()
    }
    fn join_lanes(&mut self, low: &Xmm, high: &Xmm) -> Ymm {
        Ymm([*low, *high])
    }
    fn widen(&mut self, a: &Xmm) -> Ymm {
        Ymm::from_low(*a)
    }
    fn lanes(&mut self, _: &'static str, op: fn(Xmm, Xmm) -> Xmm, a: &Ymm, b: &Ymm) -> Ymm {
        Ymm([op(a.low(), b.low()), op(a.high(), b.high())])
    }
    fn lanes_imm(&mut self, _: &'static str, op: fn(Xmm, Xmm, u8) -> Xmm, a: &Ymm, b: &Ymm) -> Ymm {
        let imm = self.instruction.immediate8();
        Ymm([op(a.low(), b.low(), imm), op(a.high(), b.high(), imm)])
    }
    fn across(&mut self, _: &'static str, op: fn(Ymm, Ymm, u8) -> Ymm, a: &Ymm, b: &Ymm) -> Ymm {
        op(*a, *b, self.instruction.immediate8())
    }
    fn float_lanes(
        &mut self,
        name: &'static str,
        op: FloatRule,
        a: &Ymm,
        b: &Ymm,
    ) -> Result<Ymm, Fault> {
        if !self.is_256() {
            return Ok(Ymm::from_low(self.float(name, op, &a.low(), &b.low())?));
        }
        self.two_lanes(|lane, control| op(a.0[lane], b.0[lane], control))
    }
    fn float_lanes_imm(
        &mut self,
        name: &'static str,
        op: FloatImmRule,
        a: &Ymm,
        b: &Ymm,
    ) -> Result<Ymm, Fault> {
        if !self.is_256() {
            return Ok(Ymm::from_low(self.float_imm(name, op, &a.low(), &b.low())?));
        }
        let imm = self.instruction.immediate8();
        self.two_lanes(|lane, control| op(a.0[lane], b.0[lane], imm, control))
    }

    fn x87_available(&mut self) -> Step<Self> {
        let blocked = Cr0::EM.union(Cr0::TS).bits();
        if self.cpu.system.cr0 & blocked != 0 { Err(Exception::NM.into()) } else { Ok(()) }
    }
    fn x87_ready(&mut self) -> Step<Self> {
        self.x87_available()?;
        self.x87_pending()
    }
    fn st_number(&mut self) -> u64 {
        u64::from(meaning::st_number(self.instruction))
    }
    fn x87(&mut self, step: X87Step, operand: &u64) {
        (step.run)(&mut self.cpu.x87, *operand);
        self.note_x87(step.opcode);
    }
    fn x87_compare(&mut self, step: X87Compare, operand: &u64) {
        let bits = (step.run)(&mut self.cpu.x87, *operand);
        self.cpu.lazy.set_rflags(values::compare_flags(self.cpu.lazy.known, bits));
        self.note_x87(step.opcode);
    }
    fn x87_wide(
        &mut self,
        _: &'static str,
        opcode: u16,
        run: fn(&mut X87, u64, u16),
    ) -> Step<Self> {
        let (seg, offset) = (self.segment(), self.offset());
        let behind = offset.wrapping_add(8) & self.address_width().mask();
        let low = self.cpu.read_segment(self.bus, seg, offset, Width::Qword)?;
        let high = self.cpu.read_segment(self.bus, seg, behind, Width::Word)?;
        run(&mut self.cpu.x87, low, high as u16);
        self.note_x87(opcode);
        Ok(())
    }
    fn x87_store(
        &mut self,
        _: &'static str,
        opcode: u16,
        format: Format,
        pops: Pops,
    ) -> Step<Self> {
        let (seg, offset, w) = (self.segment(), self.offset(), format.width());
        let behind = offset.wrapping_add(8) & self.address_width().mask();
        self.cpu.probe_write(self.bus, seg, offset, w.bytes())?;
        if format.is_wide() {
            self.cpu.probe_write(self.bus, seg, behind, 2)?;
        }
        let store = self.cpu.x87.prepare_store(format);
        if store.allowed {
            self.cpu.write_segment(self.bus, seg, offset, w, store.low & w.mask())?;
            if format.is_wide() {
                let high = u64::from(store.high);
                self.cpu.write_segment(self.bus, seg, behind, Width::Word, high)?;
            }
        }
        self.cpu.x87.finish_store(&store, pops);
        self.note_x87(opcode);
        Ok(())
    }
    fn x87_word(&mut self, _: &'static str, word: fn(&X87) -> u16) -> u64 {
        u64::from(word(&self.cpu.x87))
    }
    fn x87_set_control(&mut self, word: &u64) {
        self.cpu.x87.set_control(*word as u16);
    }
}

impl Exec<'_> {
    /// #MF if an unmasked x87 exception waits.
    pub(crate) fn x87_pending(&mut self) -> Result<(), Fault> {
        if !self.cpu.x87.exception_pending() {
            return Ok(());
        }
        if self.cpu.system.cr0 & Cr0::NE.bits() != 0 {
            return Err(Exception::MF.into());
        }
        self.cpu.report_x87_error(self.bus)
    }

    /// Notes the instruction in FOP, FIP and FDP. `opcode` is as in [`X87Step`].
    pub(crate) fn note_x87(&mut self, opcode: u16) {
        let (offset, seg) = (self.offset(), self.segment());
        let selector = |cpu: &Vcpu, seg| cpu.segment(seg).selector;
        let operand = if opcode & 0xc0 == 0xc0 {
            meaning::st_number(self.instruction)
        } else {
            self.cpu.x87.data_pointer = offset;
            self.cpu.x87.data_selector = selector(self.cpu, seg);
            meaning::memory_modrm(self.instruction)
        };
        self.cpu.x87.opcode = opcode | u16::from(operand);
        self.cpu.x87.instruction_pointer = self.cpu.rip;
        self.cpu.x87.instruction_selector = selector(self.cpu, Seg::Cs);
    }

    /// The target of a near branch with an encoded displacement.
    fn near_target(&self, w: Width) -> u64 {
        let i = self.instruction;
        let displacement = w.sign_extend(i.near_branch_target().wrapping_sub(i.next_ip()));
        self.next.wrapping_add(displacement) & w.mask()
    }
}

impl Vcpu {
    /// An x87 error waits and CR0.NE is 0: FERR# goes out, and the CPU stands still in front of the
    /// instruction until an interrupt comes, unless IGNNE# lets it go on (Intel SDM vol. 3A §9.2.2,
    /// "Setting the Processor for x87 FPU Software Emulation"; vol. 1 appendix D).
    fn report_x87_error(&mut self, bus: &mut dyn Bus) -> Result<(), Fault> {
        if !self.activity.ferr {
            self.activity.ferr = true;
            bus.set_ferr(true, self.ticks);
            self.after_device(bus);
        }
        if self.pins.ignne {
            return Ok(());
        }
        let code = crate::svm::exit::FERR_FREEZE;
        if self.intercepts(code) {
            return Err(self.vmexit(crate::svm::Reason { code, ..Default::default() }));
        }
        self.activity.halted = true;
        self.attention = true;
        Err(Fault::Wait)
    }

    /// Takes FERR# back once no error waits any more.
    #[inline]
    pub(crate) fn settle_ferr(&mut self, bus: &mut dyn Bus) {
        if self.activity.ferr && !self.x87.exception_pending() {
            self.activity.ferr = false;
            bus.set_ferr(false, self.ticks);
            self.after_device(bus);
        }
    }

    /// Writes the low `w` bits of a register: 32-bit writes clear the upper half.
    #[inline(always)]
    pub(crate) fn put_gpr(&mut self, slot: usize, shift: u32, w: Width, value: u64) {
        let register = &mut self.r[slot & 255];
        *register = match w {
            Width::Byte | Width::Word => {
                *register & !(w.mask() << shift) | (value & w.mask()) << shift
            }
            Width::Dword => value & 0xffff_ffff,
            Width::Qword => value,
        };
    }

    /// Width of the stack pointer.
    pub(crate) fn stack_width(&self) -> Width {
        if self.mode.contains(Mode::BITS_64) {
            Width::Qword
        } else if self.mode.contains(Mode::STACK_32) {
            Width::Dword
        } else {
            Width::Word
        }
    }

    /// Pushes one value; RSP changes only if the store succeeds.
    pub(crate) fn push(&mut self, bus: &mut dyn Bus, w: Width, value: u64) -> Result<(), Fault> {
        let stack = self.stack_width();
        let top = self.r[crate::state::gpr::RSP].wrapping_sub(w.bytes()) & stack.mask();
        self.write_segment(bus, Seg::Ss, top, w, value)?;
        self.put_gpr(crate::state::gpr::RSP, 0, stack, top);
        Ok(())
    }

    /// Reads the value `at` bytes above the top of the stack.
    pub(crate) fn peek(&mut self, bus: &mut dyn Bus, w: Width, at: u64) -> Result<u64, Fault> {
        let top = self.r[crate::state::gpr::RSP].wrapping_add(at) & self.stack_width().mask();
        self.read_segment(bus, Seg::Ss, top, w)
    }

    /// Takes `bytes` off the stack.
    pub(crate) fn release(&mut self, bytes: u64) {
        let stack = self.stack_width();
        let top = self.r[crate::state::gpr::RSP].wrapping_add(bytes) & stack.mask();
        self.put_gpr(crate::state::gpr::RSP, 0, stack, top);
    }

    /// Puts an [`crate::Exit::Unimplemented`] in place.
    pub(crate) fn stop_unimplemented(&mut self, what: &str, at: Option<&Instruction>) -> Fault {
        let text = match at {
            Some(i) if i.code() != Code::INVALID => cutaway_isa::disassemble(i),
            _ => String::new(),
        };
        let what = if text.is_empty() { what.to_owned() } else { format!("{what}: {text}") };
        self.exit = Some(crate::Exit::Unimplemented(Box::new(crate::Unimplemented {
            what,
            cs: self.segment(Seg::Cs).selector,
            rip: self.rip,
            bytes: Vec::new(),
        })));
        Fault::Exit
    }
}

#[cfg(test)]
mod tests {
    use super::address_width;
    use cutaway_isa::CodeSize::{Bits32, Bits64};
    use cutaway_isa::{Width, decode};

    /// SDM vol. 2A §2.3.12, "Vector SIB (VSIB) Memory Addressing": without a base register the
    /// address is as wide as the address size says.
    #[test]
    fn a_gather_without_base_has_the_width_of_the_address_size() {
        // vpgatherdd xmm0, [xmm1*4 + 0x100], xmm2, with a prefix 67h before it
        let bytes = [0x67, 0xc4, 0xe2, 0x69, 0x90, 0x04, 0x8d, 0, 1, 0, 0];
        let width = |size, bytes| decode(size, bytes, 0).map(|i| address_width(&i));

        assert_eq!(width(Bits32, &bytes[1..]), Ok(Width::Dword));
        assert_eq!(width(Bits64, &bytes[1..]), Ok(Width::Qword));
        assert_eq!(width(Bits64, &bytes), Ok(Width::Dword));
    }
}
