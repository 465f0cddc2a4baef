//! From guest bytes to blocks of operations.
//!
//! A block ends behind a branch, before an instruction that crosses the page end, or after
//! [`BLOCK_MAX`] instructions. Its last operation, or a pseudo-operation behind it, goes on to the
//! next block by a link.

use crate::Vcpu;
use crate::block::{BLOCK_MAX, Cold};
use crate::exception::{Exception, Fault};
use crate::exec::{Exec, ExecFn, address_width, gpr_place, implied_width, is_256, seg_of};
use crate::fast::{Op, fall, slow};
use crate::liveness::dead_flags;
use crate::meaning::{
    avx_unavailable, is_x87, memory_modrm, needs_avx, needs_sse, sse_unavailable,
};
use crate::shapes::{Addressing, Kind, Shape};
use crate::state::Seg;
use crate::table::{Bound, Row};
use crate::vcpu::{Mode, RIP, ZERO};
use cutaway_isa::{
    Code, DecodeError, EncodingKind, FlowControl, Instruction, MAX_LENGTH, OpKind, Register,
    Stream, Width,
};

/// What runs where the decoder finds no instruction.
fn undefined(_: &mut Exec<'_>) -> Result<(), Fault> {
    Err(Exception::UD.into())
}

/// What runs for instructions that have no row.
fn missing(e: &mut Exec<'_>) -> Result<(), Fault> {
    Err(e.unimplemented("instruction not implemented"))
}

/// The complete interpreter's function for an instruction on this CPU model.
pub(crate) fn exec_of(cpu: &mut Vcpu, instruction: &Instruction) -> ExecFn {
    let bound = cpu.rows.bind(instruction);
    exec_of_bound(cpu, instruction, bound)
}

/// `exec_of` in the current mode.
fn exec_of_bound(cpu: &Vcpu, instruction: &Instruction, bound: Bound) -> ExecFn {
    match bound {
        Bound::Undefined => undefined,
        Bound::Missing => disabled(instruction, cpu.mode).unwrap_or(missing),
        Bound::Row(row) => disabled(instruction, cpu.mode).unwrap_or(row.exec),
    }
}

/// What runs in place of an instruction that the mode does not allow: VEX instructions exist in
/// protected mode only, and vector registers must be enabled.
fn disabled(i: &Instruction, mode: Mode) -> Option<ExecFn> {
    if i.encoding() == EncodingKind::VEX {
        return if mode.contains(Mode::REAL) {
            Some(undefined)
        } else if needs_avx(i) && !mode.contains(Mode::AVX) {
            Some(avx_unavailable)
        } else {
            None
        };
    }
    (needs_sse(i) && !mode.contains(Mode::SSE)).then_some(sse_unavailable)
}

fn kind_of_memory(i: &Instruction, mode: Mode) -> Kind {
    let seg = seg_of(i.memory_segment()).unwrap_or(Seg::Ds);
    let index = i.memory_index();
    let width = address_width(i);
    if i.memory_base() == Register::EIP {
        return Kind::Other;
    }
    if mode.contains(Mode::BITS_64) {
        return match (width, seg) {
            (Width::Qword, Seg::Fs | Seg::Gs) => Kind::Based64,
            (Width::Qword, _) if index == Register::None => Kind::Base64,
            (Width::Qword, _) => Kind::Index64,
            _ => Kind::Other,
        };
    }
    let flat = matches!(seg, Seg::Ds | Seg::Ss | Seg::Es);
    if mode.contains(Mode::FLAT) && flat && width == Width::Dword {
        Kind::Flat32
    } else {
        Kind::Segmented
    }
}

fn kind_of(i: &Instruction, n: u32, mode: Mode) -> Kind {
    if n >= i.op_count() {
        return Kind::Nothing;
    }
    match i.op_kind(n) {
        OpKind::Register => {
            let register = i.op_register(n);
            let is_vector = register.is_xmm() || register.is_ymm();
            let known = gpr_place(register).is_some() || is_vector || register.is_st();
            if known { Kind::Reg } else { Kind::Other }
        }
        OpKind::Memory => kind_of_memory(i, mode),
        OpKind::Immediate8
        | OpKind::Immediate16
        | OpKind::Immediate32
        | OpKind::Immediate64
        | OpKind::Immediate8to16
        | OpKind::Immediate8to32
        | OpKind::Immediate8to64
        | OpKind::Immediate32to64
        | OpKind::Immediate8_2nd => Kind::Imm,
        _ => Kind::Nothing,
    }
}

/// The register field of an operand.
fn register_field(i: &Instruction, n: u32) -> u8 {
    if n >= i.op_count() || i.op_kind(n) != OpKind::Register {
        return 0;
    }
    let register = i.op_register(n);
    if register.is_xmm() || register.is_ymm() {
        return register.number() as u8 & 15;
    }
    if register.is_st() {
        return (register as usize - Register::ST0 as usize) as u8 & 7;
    }
    gpr_place(register)
        .map_or(0, |place| place.slot as u8 | if place.shift == 8 { 0x80 } else { 0 })
}

fn address_slot(register: Register) -> u8 {
    match register {
        Register::None => ZERO as u8,
        Register::RIP | Register::EIP => RIP as u8,
        _ => gpr_place(register).map_or(ZERO as u8, |place| place.slot as u8),
    }
}

/// The immediate operand, sign-extended.
fn immediate(i: &Instruction) -> u64 {
    for n in 0..i.op_count() {
        return match i.op_kind(n) {
            OpKind::Immediate8 => u64::from(i.immediate8()),
            OpKind::Immediate16 => u64::from(i.immediate16()),
            OpKind::Immediate32 => u64::from(i.immediate32()),
            OpKind::Immediate64 => i.immediate64(),
            OpKind::Immediate8to16 => i.immediate8to16() as u64,
            OpKind::Immediate8to32 => i.immediate8to32() as u64,
            OpKind::Immediate8to64 => i.immediate8to64() as u64,
            OpKind::Immediate32to64 => i.immediate32to64() as u64,
            _ => continue,
        };
    }
    0
}

fn is_near_branch(i: &Instruction) -> bool {
    i.op_count() > 0
        && matches!(
            i.op_kind(0),
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
        )
}

/// The segments of implied memory that the flat models may assume.
fn addressing(i: &Instruction, mode: Mode) -> Addressing {
    let based = matches!(seg_of(i.memory_segment()), Some(Seg::Fs | Seg::Gs | Seg::Cs));
    let string = implied_width(i);
    if mode.contains(Mode::BITS_64) {
        return Addressing::Long;
    }
    let narrow = string == Some(Width::Word);
    if mode.contains(Mode::FLAT | Mode::STACK_32) && !based && !narrow {
        Addressing::Flat
    } else {
        Addressing::Windowed
    }
}

/// Whether no handler may run it, whatever its operands.
fn needs_exec(i: &Instruction, mode: Mode) -> bool {
    let string = implied_width(i);
    if string.is_some() && (i.has_rep_prefix() || i.has_repne_prefix()) {
        return true;
    }
    let long = mode.contains(Mode::BITS_64);
    let based = matches!(seg_of(i.memory_segment()), Some(Seg::Fs | Seg::Gs));
    if mode.contains(Mode::PAUSE_EXITS) && i.code() == Code::Pause {
        return true;
    }
    // Strings in 64-bit mode with a segment base or a 67h prefix.
    if long && string.is_some() && (based || string != Some(Width::Qword)) {
        return true;
    }
    // In code with a limit each branch target is checked.
    mode.contains(Mode::LIMITED) && i.flow_control() != FlowControl::Next
}

fn shape(i: &Instruction, mode: Mode, dead_flags: bool) -> Shape {
    let [a, b, c] = [0, 1, 2].map(|n| kind_of(i, n, mode));
    Shape { a, b, c, addressing: addressing(i, mode), dead_flags, is_256: is_256(i) }
}

/// The operation of an instruction, `start` bytes into its block.
fn operation(cpu: &Vcpu, i: &Instruction, start: usize, row: Option<&Row>) -> Op {
    let mode = cpu.mode;
    let next = (start + i.len()) as u16;
    let shape = shape(i, mode, false);
    let mut run = None;
    if let Some(row) = row
        && !needs_exec(i, mode)
        && disabled(i, mode).is_none()
    {
        run = (row.choose)(shape);
    }
    let mut disp = i.memory_displacement64();
    if i.is_ip_rel_memory_operand() {
        disp = disp.wrapping_sub(i.next_ip()).wrapping_add(u64::from(next));
    }
    // A 32-bit displacement outside 64-bit mode wraps, so its sign does not matter.
    let fits = !mode.contains(Mode::BITS_64) || i64::from(disp as i32) as u64 == disp;
    if !fits {
        run = None;
    }
    let mut imm = immediate(i);
    if is_x87(i.code()) && shape.a != Kind::Nothing && shape.a != Kind::Reg {
        imm = u64::from(memory_modrm(i));
    }
    if is_near_branch(i) {
        let width = match i.op_kind(0) {
            OpKind::NearBranch16 => Width::Word,
            OpKind::NearBranch32 => Width::Dword,
            _ => Width::Qword,
        };
        let displacement = width.sign_extend(i.near_branch_target().wrapping_sub(i.next_ip()));
        imm = displacement.wrapping_add(u64::from(next));
    }
    let address = address_width(i);
    Op {
        run: run.unwrap_or(slow),
        imm,
        disp: disp as i32,
        a: register_field(i, 0),
        b: register_field(i, 1),
        c: register_field(i, 2),
        base: address_slot(i.memory_base()),
        index: address_slot(i.memory_index()),
        next,
        scale: i.memory_index_scale().trailing_zeros() as u8,
        seg: seg_of(i.memory_segment()).unwrap_or(Seg::Ds) as u8,
        left: 0,
        len: i.len() as u8,
        address: address as u8,
    }
}

impl Vcpu {
    /// The block at RIP, decoded if need be. `Ok(None)` where no block can be: code outside
    /// RAM and ROM, or an instruction across a page end.
    pub(crate) fn block(&mut self, backing: usize) -> Option<u32> {
        if let Some(first) = self.blocks.find(backing, self.mode) {
            return Some(first);
        }
        if self.stops.is_place(backing) {
            return None;
        }
        if !self.blocks.has_room() {
            self.blocks.clear();
            self.restamp();
        }
        let room = 0x1000 - (backing & 0xfff);
        let mut buffer = [0; BLOCK_MAX * MAX_LENGTH];
        let bytes = &mut buffer[..room.min(BLOCK_MAX * MAX_LENGTH)];
        self.ram.read(backing, bytes);
        let mut stream = Stream::new(self.mode.code_size(), bytes);
        let mut ops = std::mem::take(&mut self.decoding);
        ops.clear();
        let mut at = 0;
        let mut closed = false;
        while ops.len() < BLOCK_MAX && at < bytes.len() {
            if self.stops.is_place(backing + at) {
                break;
            }
            let (instruction, len) = match stream.decode() {
                Ok(instruction) => (instruction, instruction.len()),
                // `step` fetches from the next page, or raises #GP(0).
                Err(DecodeError::NeedsMore | DecodeError::TooLong) => break,
                Err(DecodeError::Invalid) => (Instruction::default(), 1),
            };
            let bound = self.rows.bind(&instruction);
            let run = exec_of_bound(self, &instruction, bound);
            let row = bound.row();
            let mut op = operation(self, &instruction, at, row.as_ref());
            op.len = len as u8;
            op.next = (at + len) as u16;
            at += len;
            closed = row.is_none_or(|row| row.ends_block);
            ops.push((op, Cold { instruction, run }));
            if closed {
                break;
            }
        }
        if ops.is_empty() {
            self.decoding = ops;
            return None;
        }
        let count = ops.len();
        let dead_flags = dead_flags(ops.iter().map(|(_, cold)| &cold.instruction));
        for (n, (op, cold)) in ops.iter_mut().enumerate() {
            op.left = (count - n) as u8;
            if dead_flags >> n & 1 != 0 && op.run as usize != slow as *const () as usize {
                let quiet = shape(&cold.instruction, self.mode, true);
                let row = self.rows.bind(&cold.instruction).row();
                op.run = row.and_then(|row| (row.choose)(quiet)).unwrap_or(op.run);
            }
        }
        let links = self.blocks.new_links();
        if closed {
            let last = &mut ops[count - 1].0;
            if last.run as usize != slow as *const () as usize
                && is_link_user(&ops[count - 1].1.instruction)
            {
                ops[count - 1].0.disp = links;
            }
        } else {
            let last = ops[count - 1].0;
            let pseudo = Op { run: fall, disp: links, left: 0, len: 0, ..last };
            ops.push((pseudo, Cold { instruction: Instruction::default(), run: undefined }));
        }
        let (first, fresh) = self.blocks.insert(backing, at, self.mode, &mut ops);
        self.decoding = ops;
        if fresh {
            self.protections += 1;
            self.tlb.protect(backing & !0xfff);
        }
        Some(first)
    }
}

/// Branches with an encoded target use links; indirect ones have a displacement instead.
fn is_link_user(i: &Instruction) -> bool {
    is_near_branch(i)
}
