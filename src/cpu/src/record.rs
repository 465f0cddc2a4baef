//! The recorder: a meaning as text, step by step.
//!
//! It runs the very meaning that the interpreters run, so what it says cannot drift from what
//! they do. Values are names of temporaries or operands; each effect is one line. It also notes
//! a fault that could come after a change, which the order rule of meanings forbids.

use crate::flags::{Cc, Flags};
use crate::float::X87;
use crate::float::x87_operand::Format;
use crate::float::x87_stack::Pops;
use crate::state::Seg;
use crate::target::{
    Alignment, Bin, Cmp, FloatImmRule, FloatRule, Flow, Rule, Step, Target, VectorSize, X87Compare,
    X87Step,
};
use crate::vector::{Xmm, Ymm};
use cutaway_isa::{Instruction, OpKind, Register, Width};
use std::convert::Infallible;

/// What a meaning reads, computes and writes.
#[derive(Clone, Debug)]
pub struct Record {
    instruction: Instruction,
    stack: Width,
    lines: Vec<String>,
    temporaries: usize,
    changed: bool,
    late_fault: bool,
}

const GPR: [[&str; 16]; 4] = [
    [
        "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b",
        "r13b", "r14b", "r15b",
    ],
    [
        "ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8w", "r9w", "r10w", "r11w", "r12w",
        "r13w", "r14w", "r15w",
    ],
    [
        "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d",
        "r12d", "r13d", "r14d", "r15d",
    ],
    [
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15",
    ],
];

/// Records what an instruction does, or nothing if it is a plain function on the vCPU.
/// `stack` is the width of the stack pointer.
#[must_use]
pub fn record(instruction: &Instruction, stack: Width) -> Option<Record> {
    let row = crate::table::row(instruction.code())?;
    let mut record = Record {
        instruction: *instruction,
        stack,
        lines: Vec::new(),
        temporaries: 0,
        changed: false,
        late_fault: false,
    };
    row.record?(&mut record);
    Some(record)
}

impl Record {
    /// The steps, one a line.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Whether something that can fault came after a change of state: a defect of the meaning.
    #[must_use]
    pub fn has_late_fault(&self) -> bool {
        self.late_fault
    }

    fn temporary(&mut self, text: String) -> String {
        self.temporaries += 1;
        let name = format!("t{}", self.temporaries);
        self.lines.push(format!("{name} := {text}"));
        name
    }

    fn may_fault(&mut self) {
        self.late_fault |= self.changed;
    }

    fn effect(&mut self, line: String) {
        self.changed = true;
        self.lines.push(line);
    }

    fn operand(&self, n: u32, w: Width) -> String {
        let i = &self.instruction;
        if n >= i.op_count() {
            return format!("operand {n}");
        }
        match i.op_kind(n) {
            OpKind::Register => {
                let register = i.op_register(n);
                let fits = register.size() == w.bytes() as usize || !register.is_gpr();
                if fits {
                    format!("{register:?}").to_lowercase()
                } else {
                    let full = crate::exec::gpr_place(register).map_or(0, |place| place.slot);
                    GPR[w as usize][full & 15].to_owned()
                }
            }
            OpKind::Memory => self.memory_text(),
            OpKind::Immediate8
            | OpKind::Immediate8_2nd
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64 => {
                format!("{:#x}", i.immediate(n) & w.mask())
            }
            _ => format!("operand {n}"),
        }
    }

    fn address_text(&self) -> String {
        let i = &self.instruction;
        let mut parts = Vec::new();
        if i.memory_base() != Register::None {
            parts.push(format!("{:?}", i.memory_base()).to_lowercase());
        }
        if i.memory_index() != Register::None {
            parts.push(format!("{:?}*{}", i.memory_index(), i.memory_index_scale()).to_lowercase());
        }
        if i.memory_displacement64() != 0 || parts.is_empty() {
            parts.push(format!("{:#x}", i.memory_displacement64()));
        }
        parts.join(" + ")
    }

    fn memory_text(&self) -> String {
        format!("{}:[{}]", self.segment_text(self.segment()), self.address_text())
    }

    /// How much of memory a vector operand takes.
    fn length_text(&self, alignment: Alignment) -> String {
        let bits = if crate::exec::is_256(&self.instruction) { 256 } else { 128 };
        match alignment {
            Alignment::Any => format!("{bits} bits"),
            Alignment::Natural => format!("{bits} bits, aligned"),
        }
    }

    fn segment_text(&self, seg: Seg) -> String {
        format!("{seg:?}").to_lowercase()
    }

    fn flags_text(flags: &Flags<String>) -> String {
        match flags {
            Flags::Add { a, b, sum, w } => {
                format!("CF OF SF ZF AF PF from {a} + {b} = {sum} ({w:?})")
            }
            Flags::Sub { a, b, difference, w } => {
                format!("CF OF SF ZF AF PF from {a} - {b} = {difference} ({w:?})")
            }
            Flags::Logic { result, .. } => format!("CF := 0; OF := 0; SF ZF PF from {result}"),
            Flags::Inc { result, .. } => format!("OF SF ZF AF PF from the increment to {result}"),
            Flags::Dec { result, .. } => format!("OF SF ZF AF PF from the decrement to {result}"),
            Flags::Rol { result, .. } => format!("CF := bit 0 of {result}; OF := CF xor its sign"),
            Flags::Ror { result, .. } => {
                format!("CF := sign of {result}; OF := its two top bits differ")
            }
            Flags::Carry { carry } => format!("CF := {carry}"),
            Flags::Product { significant } => {
                format!("CF := {significant}; OF := {significant}")
            }
            Flags::Quotient => "SF := 0; ZF := 0; PF := 0; AF := 1".to_owned(),
            Flags::Shl { a, count, result, .. } => {
                format!("CF := last bit out of {a} << {count}; OF SF ZF PF from {result}")
            }
            Flags::Shr { a, count, result, .. } | Flags::Sar { a, count, result, .. } => {
                format!("CF := last bit out of {a} >> {count}; OF SF ZF PF from {result}")
            }
        }
    }
}

impl Target for Record {
    type Value = String;
    type Vector = String;
    type Wide = String;
    type Cond = String;
    type Status = String;
    type Fault = Infallible;
    type Next = ();

    fn constant(&mut self, w: Width, value: u64) -> String {
        format!("{:#x}", value & w.mask())
    }
    fn bin(&mut self, op: Bin, _: Width, a: &String, b: &String) -> String {
        let sign = match op {
            Bin::Add => "+",
            Bin::Sub => "-",
            Bin::And => "and",
            Bin::Or => "or",
            Bin::Xor => "xor",
            Bin::Mul => "*",
            Bin::MulHighUnsigned => "*high unsigned*",
            Bin::MulHighSigned => "*high signed*",
            Bin::Shl => "<<",
            Bin::Shr => ">>",
            Bin::Sar => ">>signed",
            Bin::Rol => "rol",
            Bin::Ror => "ror",
        };
        self.temporary(format!("{a} {sign} {b}"))
    }
    fn not(&mut self, _: Width, a: &String) -> String {
        self.temporary(format!("not {a}"))
    }
    fn resize(&mut self, from: Width, to: Width, a: &String) -> String {
        if to >= from {
            a.clone()
        } else {
            self.temporary(format!("low {} bits of {a}", to.bits()))
        }
    }
    fn sign_extend(&mut self, from: Width, to: Width, a: &String) -> String {
        self.temporary(format!("{a} sign-extended from {} to {} bits", from.bits(), to.bits()))
    }
    fn compare(&mut self, cmp: Cmp, _: Width, a: &String, b: &String) -> String {
        let sign = match cmp {
            Cmp::Eq => "=",
            Cmp::Ne => "/=",
            Cmp::Below => "<",
        };
        format!("({a} {sign} {b})")
    }
    fn select(&mut self, c: &String, _: Width, yes: &String, no: &String) -> String {
        self.temporary(format!("if {c} then {yes} else {no}"))
    }
    fn truth(&mut self, _: Width, c: &String) -> String {
        self.temporary(format!("1 if {c} else 0"))
    }
    fn rule(
        &mut self,
        name: &'static str,
        _: Rule,
        _: Width,
        a: &String,
        b: &String,
    ) -> (String, String) {
        let value = self.temporary(format!("{name}({a}, {b}, flags)"));
        (value, format!("flags := flags of {name}"))
    }

    fn read(&mut self, n: u32, w: Width) -> Result<String, Infallible> {
        let text = self.operand(n, w);
        if self.is_memory(n) {
            self.may_fault();
            return Ok(self.temporary(text));
        }
        let register =
            n < self.instruction.op_count() && self.instruction.op_kind(n) == OpKind::Register;
        Ok(if register { self.temporary(text) } else { text })
    }
    fn modify(&mut self, n: u32, w: Width) -> Result<String, Infallible> {
        self.read(n, w)
    }
    fn write(&mut self, n: u32, w: Width, value: String) -> Step<Self> {
        let place = self.operand(n, w);
        self.effect(format!("{place} := {value}"));
        Ok(())
    }
    fn is_memory(&self, n: u32) -> bool {
        n < self.instruction.op_count() && self.instruction.op_kind(n) == OpKind::Memory
    }
    fn effective_address(&mut self) -> String {
        let text = self.address_text();
        self.temporary(text)
    }
    fn address_width(&self) -> Width {
        crate::exec::address_width(&self.instruction)
    }
    fn segment(&self) -> Seg {
        crate::exec::seg_of(self.instruction.memory_segment()).unwrap_or(Seg::Ds)
    }
    fn gpr(&mut self, number: usize, w: Width) -> String {
        self.temporary(GPR[w as usize][number & 15].to_owned())
    }
    fn set_gpr(&mut self, number: usize, w: Width, value: String) {
        self.effect(format!("{} := {value}", GPR[w as usize][number & 15]));
    }
    fn ah(&mut self) -> String {
        self.temporary("ah".to_owned())
    }
    fn set_ah(&mut self, value: String) {
        self.effect(format!("ah := {value}"));
    }
    fn load(&mut self, seg: Seg, w: Width, offset: &String) -> Result<String, Infallible> {
        self.may_fault();
        let seg = self.segment_text(seg);
        Ok(self.temporary(format!("{} bits at {seg}:[{offset}]", w.bits())))
    }
    fn store(&mut self, seg: Seg, w: Width, offset: &String, value: String) -> Step<Self> {
        self.may_fault();
        let seg = self.segment_text(seg);
        self.effect(format!("{} bits at {seg}:[{offset}] := {value}", w.bits()));
        Ok(())
    }
    fn stack_width(&self) -> Width {
        self.stack
    }
    fn set_flags(&mut self, flags: Flags<String>) {
        self.effect(Self::flags_text(&flags));
    }
    fn set_flags_if(&mut self, c: &String, flags: Flags<String>) {
        self.effect(format!("if {c}: {}", Self::flags_text(&flags)));
    }
    fn set_status(&mut self, status: String) {
        self.effect(status);
    }
    fn condition(&mut self, cc: Cc) -> String {
        let text = match cc {
            Cc::O => "OF",
            Cc::No => "not OF",
            Cc::B => "CF",
            Cc::Ae => "not CF",
            Cc::E => "ZF",
            Cc::Ne => "not ZF",
            Cc::Be => "CF or ZF",
            Cc::A => "not (CF or ZF)",
            Cc::S => "SF",
            Cc::Ns => "not SF",
            Cc::P => "PF",
            Cc::Np => "not PF",
            Cc::L => "SF /= OF",
            Cc::Ge => "SF = OF",
            Cc::Le => "ZF or SF /= OF",
            Cc::G => "not ZF and SF = OF",
        };
        text.to_owned()
    }
    fn carry(&mut self, _: Width) -> String {
        "CF".to_owned()
    }
    fn string_step(&mut self, w: Width, _: Width) -> String {
        format!("(if DF then -{0} else {0})", w.bytes())
    }
    fn divide(
        &mut self,
        signed: bool,
        _: Width,
        high: &String,
        low: &String,
        by: &String,
    ) -> Result<(String, String), Infallible> {
        self.may_fault();
        let kind = if signed { "signed" } else { "unsigned" };
        self.lines.push(format!("#DE if {by} = 0 or the quotient does not fit"));
        let quotient = self.temporary(format!("{high}:{low} / {by} ({kind})"));
        let remainder = self.temporary(format!("{high}:{low} mod {by} ({kind})"));
        Ok((quotient, remainder))
    }
    fn branch_if(&mut self, c: &String, _: Width) -> Flow<Self> {
        self.effect(format!("if {c}: rip := {:#x}", self.instruction.near_branch_target()));
        Ok(())
    }
    fn loop_branch(&mut self, c: &String, counter: Width, count: String, w: Width) -> Flow<Self> {
        self.set_gpr(crate::state::gpr::RCX, counter, count);
        self.branch_if(c, w)
    }
    fn branch(&mut self, _: Width) -> Flow<Self> {
        self.effect(format!("rip := {:#x}", self.instruction.near_branch_target()));
        Ok(())
    }
    fn call(&mut self, w: Width) -> Flow<Self> {
        let next = self.next_rip(w);
        self.effect(format!("push {next}"));
        self.branch(w)
    }
    fn jump(&mut self, _: Width, offset: &String) -> Flow<Self> {
        self.effect(format!("rip := {offset}"));
        Ok(())
    }
    fn next_rip(&mut self, _: Width) -> String {
        format!("{:#x}", self.instruction.next_ip())
    }
    fn check_target(&mut self, _: Width, offset: &String) -> Step<Self> {
        self.may_fault();
        self.lines.push(format!("#GP(0) unless {offset} lies in the code segment"));
        Ok(())
    }
    fn read_vector(&mut self, n: u32, size: VectorSize) -> Result<String, Infallible> {
        if self.is_memory(n) {
            self.may_fault();
            let text = format!("{} ({size:?})", self.memory_text());
            return Ok(self.temporary(text));
        }
        Ok(self.operand(n, Width::Qword))
    }
    fn write_vector(&mut self, n: u32, size: VectorSize, value: String) -> Step<Self> {
        let place = self.operand(n, Width::Qword);
        self.effect(format!("{place} ({size:?}) := {value}"));
        Ok(())
    }
    fn vector(
        &mut self,
        name: &'static str,
        _: fn(Xmm, Xmm) -> Xmm,
        a: &String,
        b: &String,
    ) -> String {
        self.temporary(format!("{name}({a}, {b})"))
    }
    fn vector_imm(
        &mut self,
        name: &'static str,
        _: fn(Xmm, Xmm, u8) -> Xmm,
        a: &String,
        b: &String,
    ) -> String {
        let imm = self.instruction.immediate8();
        self.temporary(format!("{name}({a}, {b}, {imm:#x})"))
    }
    fn float(
        &mut self,
        name: &'static str,
        _: FloatRule,
        a: &String,
        b: &String,
    ) -> Result<String, Infallible> {
        self.may_fault();
        Ok(self.temporary(format!("{name}({a}, {b}, mxcsr), or #XM")))
    }
    fn float_imm(
        &mut self,
        name: &'static str,
        _: FloatImmRule,
        a: &String,
        b: &String,
    ) -> Result<String, Infallible> {
        self.may_fault();
        let imm = self.instruction.immediate8();
        Ok(self.temporary(format!("{name}({a}, {b}, {imm:#x}, mxcsr), or #XM")))
    }
    fn mmx(
        &mut self,
        name: &'static str,
        _: fn(u64, u64) -> u64,
        a: &String,
        b: &String,
    ) -> String {
        self.temporary(format!("{name}({a}, {b})"))
    }
    fn begin_mmx(&mut self) -> Step<Self> {
        self.may_fault();
        self.lines.push("#UD, #NM or #MF unless MMX can be used".to_owned());
        Ok(())
    }
    fn end_mmx(&mut self) {
        self.effect("x87: TOP := 0, all registers in use".to_owned());
    }
    fn vector_low(&mut self, w: Width, a: &String) -> String {
        self.temporary(format!("low {} bits of {a}", w.bits()))
    }
    fn vector_from(&mut self, _: Width, a: &String) -> String {
        a.clone()
    }
    fn set_flags_from(&mut self, a: &String) {
        self.effect(format!("ZF PF CF from {a}; OF := 0; SF := 0; AF := 0"));
    }
    fn is_256(&self) -> bool {
        crate::exec::is_256(&self.instruction)
    }
    fn read_wide(&mut self, n: u32, alignment: Alignment) -> Result<String, Infallible> {
        if self.is_memory(n) {
            self.may_fault();
            let text = format!("{} ({})", self.memory_text(), self.length_text(alignment));
            return Ok(self.temporary(text));
        }
        Ok(self.operand(n, Width::Qword))
    }
    fn write_wide(&mut self, n: u32, alignment: Alignment, value: String) -> Step<Self> {
        let place = self.operand(n, Width::Qword);
        if self.is_memory(n) {
            let length = self.length_text(alignment);
            self.effect(format!("{place} ({length}) := {value}"));
        } else {
            self.effect(format!("{place} := {value}, zero above"));
        }
        Ok(())
    }
    fn low_lane(&mut self, a: &String) -> String {
        self.temporary(format!("low 128 bits of {a}"))
    }
    fn high_lane(&mut self, a: &String) -> String {
        self.temporary(format!("high 128 bits of {a}"))
    }
    fn join_lanes(&mut self, low: &String, high: &String) -> String {
        self.temporary(format!("{high}:{low}"))
    }
    fn widen(&mut self, a: &String) -> String {
        a.clone()
    }
    fn lanes(
        &mut self,
        name: &'static str,
        op: fn(Xmm, Xmm) -> Xmm,
        a: &String,
        b: &String,
    ) -> String {
        self.vector(name, op, a, b)
    }
    fn lanes_imm(
        &mut self,
        name: &'static str,
        op: fn(Xmm, Xmm, u8) -> Xmm,
        a: &String,
        b: &String,
    ) -> String {
        self.vector_imm(name, op, a, b)
    }
    fn across(
        &mut self,
        name: &'static str,
        _: fn(Ymm, Ymm, u8) -> Ymm,
        a: &String,
        b: &String,
    ) -> String {
        let imm = self.instruction.immediate8();
        self.temporary(format!("{name}({a}, {b}, {imm:#x})"))
    }
    fn float_lanes(
        &mut self,
        name: &'static str,
        op: FloatRule,
        a: &String,
        b: &String,
    ) -> Result<String, Infallible> {
        self.float(name, op, a, b)
    }
    fn float_lanes_imm(
        &mut self,
        name: &'static str,
        op: FloatImmRule,
        a: &String,
        b: &String,
    ) -> Result<String, Infallible> {
        self.float_imm(name, op, a, b)
    }
    fn x87_available(&mut self) -> Step<Self> {
        self.may_fault();
        Ok(())
    }
    fn x87_ready(&mut self) -> Step<Self> {
        self.may_fault();
        Ok(())
    }
    fn st_number(&mut self) -> String {
        format!("{}", crate::meaning::st_number(&self.instruction))
    }
    fn x87(&mut self, step: X87Step, operand: &String) {
        self.effect(format!("x87 := {}(x87, {operand})", step.name));
    }
    fn x87_compare(&mut self, step: X87Compare, operand: &String) {
        self.effect(format!("ZF PF CF x87 := {}(x87, {operand}); OF SF AF := 0", step.name));
    }
    fn x87_wide(&mut self, name: &'static str, _: u16, _: fn(&mut X87, u64, u16)) -> Step<Self> {
        self.may_fault();
        let value = self.memory_text();
        let value = self.temporary(format!("{value} (10 bytes)"));
        self.effect(format!("x87 := {name}(x87, {value})"));
        Ok(())
    }
    fn x87_store(&mut self, name: &'static str, _: u16, format: Format, _: Pops) -> Step<Self> {
        self.may_fault();
        let place = self.operand(0, format.width());
        self.effect(format!("{place} x87 := {name}(x87)"));
        Ok(())
    }
    fn x87_word(&mut self, name: &'static str, _: fn(&X87) -> u16) -> String {
        self.temporary(format!("x87 {name}"))
    }
    fn x87_set_control(&mut self, word: &String) {
        self.effect(format!("x87 control word := {word}"));
    }
}
