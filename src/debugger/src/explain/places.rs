//! The pieces of memory that an instruction's operands are.
//!
//! What an instruction touches is the decoder's table (`isa`, `uses.rs`); where this CPU differs
//! from it, or the table does not say how much, `corrected` has the last word.
//!
//! Source: Intel SDM vol. 2; vol. 1 §3.7, "Operand Addressing".
//! Of a repeated string instruction this is one iteration.

use super::address::{Obstacle, Reach};
use super::delivery::{self, Source};
use super::subject::Subject;
use cutaway_cpu::{Seg, gpr, seg_of};
use cutaway_isa::{
    Instruction, MemoryUse, Mnemonic, OpKind, Register, Rflags, Use, Vector, Width, memory_uses,
};

/// A piece of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlace {
    /// The segment register.
    pub segment: Seg,
    /// Its base.
    pub base: u64,
    /// The offset within the segment.
    pub offset: u64,
    /// Their sum.
    pub linear: u64,
    /// Bytes.
    pub size: u64,
    /// The physical address of the first byte, or what stops the access.
    pub physical: Result<u64, Obstacle>,
    /// RAM, ROM or device memory; empty where nothing is reached.
    pub kind: &'static str,
    /// What is there now, where it is memory.
    pub value: Option<Vec<u8>>,
}

/// Bytes of the largest operand that is one value: a YMM register's.
const LARGEST: u64 = 32;

pub(super) type Named = (bool, (String, Use, MemoryPlace));

/// All pieces of memory, and whether the memory operand names each.
pub(super) fn places(subject: &Subject<'_>, instruction: &Instruction) -> Vec<Named> {
    let has_operand = (0..instruction.op_count()).any(|n| instruction.op_kind(n) == OpKind::Memory);
    let mut found = Vec::new();
    for (n, used) in memory_uses(instruction).into_iter().enumerate() {
        let named = n == 0 && has_operand;
        if !used.access.reads && !used.access.writes {
            continue;
        }
        if used.vector_index_bytes > 0 {
            found.extend(elements(subject, instruction, &used).map(|place| (true, place)));
            continue;
        }
        let Some(seg) = seg_of(used.segment) else { continue };
        let (offset, size, access) = corrected(subject, instruction, &used, named);
        if size == 0 {
            continue;
        }
        if let Some(mask) = mask(instruction) {
            let runs = runs(subject, mask, size);
            found.extend(runs.into_iter().map(|(from, bytes)| {
                let text = format!("bytes {from} to {}", from + bytes - 1);
                let offset = offset.wrapping_add(from) & used.address.mask();
                (named, (text, access, place(subject, seg, offset, bytes, access)))
            }));
            continue;
        }
        let text = use_text(subject, &used, named);
        found.push((named, (text, access, place(subject, seg, offset, size, access))));
    }
    found.extend(more(subject, instruction).into_iter().map(|place| (false, place)));
    found
}

/// What the decoder's table leaves out: the slot that POPA passes over, and the frame of a software
/// interrupt.
fn more(subject: &Subject<'_>, instruction: &Instruction) -> Vec<(String, Use, MemoryPlace)> {
    let vector = match instruction.mnemonic() {
        Mnemonic::Popa | Mnemonic::Popad => {
            let bytes = if instruction.mnemonic() == Mnemonic::Popa { 2 } else { 4 };
            let mask = subject.stack_width().mask();
            let offset = subject.state.gpr[gpr::RSP].wrapping_add(3 * bytes) & mask;
            let access = Use { reads: true, writes: false, conditional: false };
            let place = place(subject, Seg::Ss, offset, bytes, access);
            return vec![("the slot of the stack pointer".to_owned(), access, place)];
        }
        Mnemonic::Int => instruction.immediate8(),
        Mnemonic::Int3 => 3,
        Mnemonic::Into if subject.flag(Rflags::OF) => 4,
        _ => return Vec::new(),
    };
    let way = delivery::of_subject(subject, Vector(vector), None, Source::Software);
    let access = Use { reads: false, writes: true, conditional: false };
    let slots = way.frame.iter().map(|slot| {
        let offset = slot.linear.wrapping_sub(subject.base(Seg::Ss));
        let place = place(subject, Seg::Ss, offset, way.slot_bytes, access);
        (format!("pushed {}", slot.name), access, place)
    });
    slots.collect()
}

/// The register whose top bits choose what of a memory operand is touched, and the bytes of an
/// element.
fn mask(instruction: &Instruction) -> Option<(Register, u64)> {
    Some(match instruction.mnemonic() {
        Mnemonic::Maskmovq | Mnemonic::Maskmovdqu | Mnemonic::Vmaskmovdqu => {
            (instruction.op_register(2), 1)
        }
        Mnemonic::Vmaskmovps | Mnemonic::Vpmaskmovd => (instruction.op_register(1), 4),
        Mnemonic::Vmaskmovpd | Mnemonic::Vpmaskmovq => (instruction.op_register(1), 8),
        _ => return None,
    })
}

/// The stretches of a masked operand that are touched: first byte and count.
fn runs(subject: &Subject<'_>, mask: (Register, u64), size: u64) -> Vec<(u64, u64)> {
    let (register, element) = mask;
    let bytes = vector_bytes(subject, register);
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for from in (0..size).step_by(element as usize) {
        let top = bytes.get((from + element - 1) as usize).copied().unwrap_or(0);
        match runs.last_mut() {
            _ if top & 0x80 == 0 => {}
            Some((start, count)) if *start + *count == from => *count += element,
            _ => runs.push((from, element)),
        }
    }
    runs
}

/// The bytes of an MMX, XMM or YMM register.
fn vector_bytes(subject: &Subject<'_>, register: Register) -> Vec<u8> {
    let number = register.number() & 15;
    if register.is_mm() {
        return subject.state.x87.mmx(number & 7).to_le_bytes().to_vec();
    }
    let low = subject.state.xmm[number].to_u128().to_le_bytes();
    let high = subject.state.ymm_high[number].to_u128().to_le_bytes();
    low.into_iter().chain(high).collect()
}

/// A piece of memory with everything that is known of it.
pub(crate) fn place(
    subject: &Subject<'_>,
    segment: Seg,
    offset: u64,
    size: u64,
    access: Use,
) -> MemoryPlace {
    let reach = if access.writes { Reach::Write } else { Reach::Read };
    let linear = subject.linear(segment, offset);
    let user = subject.cpl() == 3;
    let stopped = if size > LARGEST {
        // Areas are addressed byte by byte and may wrap.
        let last = offset.wrapping_add(size - 1)
            & if subject.is_64_bit() { u64::MAX } else { 0xffff_ffff };
        let ends = [offset, last];
        ends.iter().find_map(|&at| subject.segment_obstacle(segment, at, 1, reach))
    } else {
        subject.segment_obstacle(segment, offset, size, reach)
    };
    let physical = match stopped {
        Some(obstacle) => Err(obstacle),
        None => {
            let last = linear.wrapping_add(size - 1);
            let crosses = (linear ^ last) >> 12 != 0;
            let second =
                if crosses { subject.translate(last & !0xfff, reach, user) } else { Ok(0) };
            subject.translate(linear, reach, user).and_then(|first| second.map(|_| first))
        }
    };
    let kind = physical.as_ref().map_or("", |&physical| subject.kind(physical));
    let is_memory = matches!(kind, "RAM" | "ROM");
    let value = if is_memory { subject.peek(linear, size as usize) } else { None };
    let base = subject.base(segment);
    MemoryPlace { segment, base, offset, linear, size, physical, kind, value }
}

fn is_stack(used: &MemoryUse) -> bool {
    used.segment == Register::SS
        && matches!(used.base, Register::SP | Register::ESP | Register::RSP)
}

/// What an implied place is, in a few characters.
fn use_text(subject: &Subject<'_>, used: &MemoryUse, named: bool) -> String {
    if is_stack(used) && !named {
        let mask = subject.stack_width().mask();
        let sign = subject.stack_width().sign_bit();
        let away = used.displacement & mask;
        let name = ["sp", "esp", "rsp"][subject.stack_width() as usize - 1];
        return match away {
            0 => format!("[{name}]"),
            _ if away & sign != 0 => format!("[{name}-{:#x}]", away.wrapping_neg() & mask),
            _ => format!("[{name}+{away:#x}]"),
        };
    }
    let name = |register: Register| format!("{register:?}").to_lowercase();
    let mut parts = Vec::new();
    if used.base != Register::None {
        parts.push(name(used.base));
    }
    if used.index != Register::None {
        parts.push(name(used.index));
    }
    if used.displacement != 0 || parts.is_empty() {
        parts.push(format!("{:#x}", used.displacement & used.address.mask()));
    }
    format!("{}:[{}]", name(used.segment), parts.join("+"))
}

/// The effective address of a place.
fn offset_of(subject: &Subject<'_>, used: &MemoryUse) -> u64 {
    let base = match used.base {
        Register::RIP | Register::EIP => 0, // the displacement is the whole address
        base => subject.register(base).unwrap_or(0),
    };
    let index = subject.register(used.index).unwrap_or(0);
    let sum = base.wrapping_add(index.wrapping_mul(u64::from(used.scale)));
    sum.wrapping_add(used.displacement) & used.address.mask()
}

/// Offset, size and access as this CPU has them; size 0 for no access.
fn corrected(
    subject: &Subject<'_>,
    instruction: &Instruction,
    used: &MemoryUse,
    named: bool,
) -> (u64, u64, Use) {
    let mut offset = offset_of(subject, used);
    let mut size = used.size as u64;
    let mut access = used.access;
    if !named && used.segment == Register::SS && (is_stack(used) || is_frame(used)) {
        // The stack segment says how wide the stack pointer is, not the code.
        let pointer = if is_stack(used) { gpr::RSP } else { gpr::RBP };
        let mask = subject.stack_width().mask();
        offset = subject.state.gpr[pointer].wrapping_add(used.displacement) & mask;
    }
    let mnemonic = instruction.mnemonic();
    if (instruction.has_rep_prefix() || instruction.has_repne_prefix())
        && let Some(width) = string_width(instruction)
    {
        let counter = subject.state.gpr[gpr::RCX] & used.address.mask();
        size = if counter == 0 { 0 } else { width };
    }
    match mnemonic {
        Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc
            if instruction.op1_kind() == OpKind::Register =>
        {
            let width = Width::of_bytes(used.size).unwrap_or(Width::Dword);
            let number = subject.register(instruction.op1_register()).unwrap_or(0);
            let index = width.sign_extend(number) as i64;
            let away = index.div_euclid(i64::from(width.bits())).wrapping_mul(used.size as i64);
            offset = offset.wrapping_add(away as u64) & used.address.mask();
        }
        // Written in any case, with the old value if the comparison fails.
        Mnemonic::Cmpxchg | Mnemonic::Cmpxchg8b | Mnemonic::Cmpxchg16b => access.writes = true,
        Mnemonic::Maskmovq if size == 0 => size = 8,
        Mnemonic::Maskmovdqu | Mnemonic::Vmaskmovdqu if size == 0 => size = 16,
        // What lies behind the last register is left alone.
        Mnemonic::Fxsave | Mnemonic::Fxsave64 => size = if subject.is_64_bit() { 416 } else { 288 },
        // Read as 32 bits (the register gets 16).
        Mnemonic::Movsxd if size == 2 => size = 4,
        _ if format!("{mnemonic:?}").starts_with("Xsave") => {
            // The header is read; which components are written depends on their contents.
            (size, access) =
                (area_bytes(subject), Use { reads: true, writes: true, conditional: true });
        }
        _ if format!("{mnemonic:?}").starts_with("Xrstor") => {
            (size, access) =
                (area_bytes(subject), Use { reads: true, writes: false, conditional: true });
        }
        _ => {}
    }
    (offset, size, access)
}

/// Bytes of the area of XSAVE, as XCR0 says.
fn area_bytes(subject: &Subject<'_>) -> u64 {
    u64::from(cutaway_isa::Xcr0::from_bits_truncate(subject.state.system.xcr0).area_bytes())
}

/// ENTER reads outer frame pointers at rBP.
fn is_frame(used: &MemoryUse) -> bool {
    matches!(used.base, Register::BP | Register::EBP | Register::RBP)
}

/// Bytes of one element of a string instruction.
fn string_width(instruction: &Instruction) -> Option<u64> {
    let name = format!("{:?}", instruction.mnemonic()).to_lowercase();
    let stems = ["movs", "stos", "lods", "cmps", "scas", "ins", "outs"];
    let ending = stems.iter().find_map(|stem| name.strip_prefix(stem))?;
    Some(match ending {
        "b" => 1,
        "w" => 2,
        "d" => 4,
        "q" => 8,
        _ => return None,
    })
}

/// The elements of a gather whose mask bits are set.
fn elements<'a>(
    subject: &'a Subject<'_>,
    instruction: &'a Instruction,
    used: &'a MemoryUse,
) -> impl Iterator<Item = (String, Use, MemoryPlace)> + 'a {
    let bytes = instruction.memory_size().size().max(4); // of one element
    let vector = |register: Register, from: usize, count: usize| -> u64 {
        let all = vector_bytes(subject, register);
        super::subject::number(&all[from..from + count])
    };
    let mask = instruction.op_register(2);
    let to = instruction.op_register(0);
    let length = |register: Register| if register.is_ymm() { 32 } else { 16 };
    let index_bytes = used.vector_index_bytes;
    let count = (length(to) / bytes).min(length(used.index) / index_bytes);
    (0..count).filter_map(move |n| {
        let chosen = vector(mask, n * bytes, bytes) >> (bytes * 8 - 1) & 1 != 0;
        let raw = vector(used.index, n * index_bytes, index_bytes);
        let index = Width::of_bytes(index_bytes)?.sign_extend(raw);
        let base = subject.register(used.base).unwrap_or(0);
        let sum = base.wrapping_add(index.wrapping_mul(u64::from(used.scale)));
        let offset = sum.wrapping_add(used.displacement) & used.address.mask();
        let seg = seg_of(used.segment)?;
        let access = Use { reads: true, writes: false, conditional: false };
        let place = place(subject, seg, offset, bytes as u64, access);
        chosen.then(|| (format!("element {n}"), access, place))
    })
}

impl MemoryPlace {
    /// One line: segment and offset, linear, physical, value.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{} base {:#x} + {:#x} = linear {:#x}",
            self.segment.name(),
            self.base,
            self.offset,
            self.linear
        );
        match &self.physical {
            Ok(physical) => text.push_str(&format!(" = physical {physical:#x} ({})", self.kind)),
            Err(obstacle) => text.push_str(&format!(": {}, {}", obstacle.exception, obstacle.why)),
        }
        if let Some(value) = &self.value {
            text.push_str(&format!(" = {}", value_text(value)));
        }
        text
    }
}

/// Bytes of memory as a number, or the first of many.
pub(crate) fn value_text(bytes: &[u8]) -> String {
    let digits =
        |bytes: &[u8]| -> String { bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect() };
    if bytes.len() <= 32 {
        return format!("0x{}", digits(bytes));
    }
    let first: Vec<String> = bytes[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} ...", first.join(" "))
}
