//! How an interrupt or exception gets to its handler, step by step.
//!
//! Source: Intel SDM vol. 3A §6.12, "Exception and Interrupt Handling"; §6.14, "Exception and
//! Interrupt Handling in 64-bit Mode"; vol. 3A §20.1.4, "Interrupt and Exception Handling" (real
//! mode).
//! Not modelled: the steps of a task switch, VME's redirection; a double fault on the way.

use super::descriptor::Descriptor;
pub(super) use super::descriptor::descriptor_state;
use super::subject::Subject;
use crate::mode;
use cutaway_cpu::Seg;
use cutaway_isa::{Rflags, Vector, decode};
use cutaway_machine::Machine;

/// What brings an interrupt about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// INT n, INT3, INTO: the gate's DPL is checked.
    Software,
    /// A pin of the CPU.
    External,
    /// An exception.
    Exception,
}

/// A slot of the frame that is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What is pushed.
    pub name: &'static str,
    /// Where: the linear address.
    pub linear: u64,
    /// What is stored.
    pub value: u64,
}

/// A step on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryStep {
    /// Its name: `vector`, `gate`, `privilege`, `target`, `stack`, `frame`, `flags`, `handler`.
    pub name: &'static str,
    /// What happens.
    pub text: String,
}

/// The way of an interrupt or exception.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The steps in their order; the last one is the handler, or what stops it.
    pub steps: Vec<DeliveryStep>,
    /// What is pushed, first slot first.
    pub frame: Vec<Slot>,
    /// Bytes of a slot.
    pub slot_bytes: u64,
    /// CS and RIP of the handler; nothing where a check stops it.
    pub handler: Option<(u16, u64)>,
    /// The stack pointer behind the frame.
    pub stack_pointer: u64,
}

/// A vector's name.
pub(super) fn vector_name(vector: Vector) -> String {
    vector.mnemonic().map_or_else(|| format!("vector {:#x}", vector.0), str::to_owned)
}

/// A gate of the IDT in words.
pub(super) fn gate_state(subject: &Subject<'_>, vector: u8) -> String {
    let bytes = if mode::is_long(&subject.state) { 16 } else { 8 };
    let at = u64::from(vector) * bytes;
    let table = subject.state.system.idtr;
    if at + bytes - 1 > u64::from(table.limit) {
        return format!("beyond the limit {:#x}", table.limit);
    }
    match subject.peek_number(table.base.wrapping_add(at), 8) {
        Some(raw) => Descriptor(raw).text(),
        None => "not mapped".to_owned(),
    }
}

/// How a machine would deliver a vector now.
///
/// `error_code` is pushed where it is given. A fault pushes the address of the next instruction to
/// run, software interrupts that of the instruction behind it.
#[must_use]
pub fn delivery(
    machine: &Machine,
    vector: Vector,
    error_code: Option<u32>,
    source: Source,
) -> Delivery {
    of_subject(&Subject::of(machine), vector, error_code, source)
}

/// [`delivery`] to a subject.
pub(super) fn of_subject(
    subject: &Subject<'_>,
    vector: Vector,
    error_code: Option<u32>,
    source: Source,
) -> Delivery {
    let mut way = Way::new(subject, vector, error_code, source);
    let done = if !subject.is_protected() {
        way.real()
    } else if mode::is_long(&subject.state) {
        way.long()
    } else {
        way.protected()
    };
    if let Err(why) = done {
        way.step("stopped", why);
    }
    way.delivery
}

struct Way<'a> {
    subject: &'a Subject<'a>,
    vector: Vector,
    error_code: Option<u32>,
    source: Source,
    /// The RIP to push.
    rip: u64,
    delivery: Delivery,
}

/// A stack to push on.
struct Stack {
    base: u64,
    pointer: u64,
    mask: u64,
}

impl<'a> Way<'a> {
    fn new(
        subject: &'a Subject<'a>,
        vector: Vector,
        error_code: Option<u32>,
        source: Source,
    ) -> Self {
        let mut rip = subject.state.rip;
        let size = mode::code_size(&subject.state);
        if source == Source::Software
            && let Some(bytes) = subject.peek(mode::pc(&subject.state), 15)
            && let Ok(instruction) = decode(size, &bytes, rip)
        {
            rip = instruction.next_ip();
        }
        let (steps, frame) = (Vec::new(), Vec::new());
        let delivery = Delivery { steps, frame, slot_bytes: 0, handler: None, stack_pointer: 0 };
        let mut way = Self { subject, vector, error_code, source, rip, delivery };
        let what = match source {
            Source::Software => "a software interrupt",
            Source::External => "an external interrupt",
            Source::Exception => "an exception",
        };
        way.step("vector", format!("{:#x}, {}: {what}", vector.0, vector_name(vector)));
        way
    }

    fn step(&mut self, name: &'static str, text: String) {
        self.delivery.steps.push(DeliveryStep { name, text });
    }

    /// The error code that names the gate.
    fn gate_error(&self) -> u32 {
        u32::from(self.vector.0) << 3 | 2 | u32::from(self.source != Source::Software)
    }

    fn real(&mut self) -> Result<(), String> {
        let at = u64::from(self.vector.0) * 4;
        let table = self.subject.state.system.idtr;
        if at + 3 > u64::from(table.limit) {
            return Err(format!("#GP: the vector lies beyond the IVT's limit {:#x}", table.limit));
        }
        let linear = table.base.wrapping_add(at);
        let entry = self.subject.peek_number(linear, 4).unwrap_or(0);
        let (cs, ip) = ((entry >> 16) as u16, entry & 0xffff);
        self.step("gate", format!("IVT entry at {linear:#x} = {entry:#010x}: {cs:04x}:{ip:04x}"));
        let state = &self.subject.state;
        let stack = self.current_stack(0xffff);
        let values = [
            ("FLAGS", state.rflags),
            ("CS", u64::from(self.subject.segment(Seg::Cs).selector)),
            ("IP", self.rip),
        ];
        self.push(&stack, 2, &values);
        self.step("flags", "IF, TF and AC are cleared".to_owned());
        self.arrive(cs, ip);
        Ok(())
    }

    fn current_stack(&self, mask: u64) -> Stack {
        let mask = if self.subject.is_64_bit() {
            u64::MAX
        } else if mask == 0xffff {
            self.subject.stack_width().mask()
        } else {
            mask
        };
        let base = self.subject.base(Seg::Ss);
        Stack { base, pointer: self.subject.state.gpr[cutaway_cpu::gpr::RSP] & mask, mask }
    }

    /// The gate's entry: its first eight bytes, checked.
    fn gate(&mut self, bytes: u64) -> Result<(Descriptor, u64), String> {
        let at = u64::from(self.vector.0) * bytes;
        let table = self.subject.state.system.idtr;
        let error = self.gate_error();
        if at + bytes - 1 > u64::from(table.limit) {
            let limit = table.limit;
            return Err(format!(
                "#GP({error:#x}): the gate lies beyond the IDT's limit {limit:#x}"
            ));
        }
        let linear = table.base.wrapping_add(at);
        let Some(raw) = self.subject.peek_number(linear, 8) else {
            return Err(format!("#PF: the gate at {linear:#x} is not mapped"));
        };
        let gate = Descriptor(raw);
        let (selector, mut offset) = gate.target();
        let mut ist = String::new();
        if bytes == 16 {
            let upper = self.subject.peek_number(linear.wrapping_add(8), 4).unwrap_or(0);
            offset |= upper << 32;
            ist = format!(", IST {}", raw >> 32 & 7);
        }
        let what = gate.text();
        self.step(
            "gate",
            format!("IDT entry at {linear:#x} = {raw:#018x}: {what}, target {selector:#06x}:{offset:#x}{ist}"),
        );
        let known: &[u8] = if bytes == 16 { &[14, 15] } else { &[5, 6, 7, 14, 15] };
        if !gate.is_system() || !known.contains(&gate.kind()) {
            return Err(format!("#GP({error:#x}): that is no gate for interrupts"));
        }
        let cpl = self.subject.cpl();
        if self.source == Source::Software {
            let dpl = gate.dpl();
            let fits = if dpl >= cpl { "allowed" } else { "refused" };
            self.step("privilege", format!("CPL {cpl} <= DPL {dpl} of the gate? {fits}"));
            if dpl < cpl {
                return Err(format!("#GP({error:#x}): CPL {cpl} > DPL {dpl} of the gate"));
            }
        } else {
            self.step(
                "privilege",
                "the gate's DPL is not asked: it is no software interrupt".to_owned(),
            );
        }
        if !gate.is_present() {
            return Err(format!("#NP({error:#x}): the gate is not present"));
        }
        Ok((gate, offset))
    }

    /// The code segment of the gate: its descriptor, and the CPL there.
    fn target(&mut self, selector: u16, long: bool) -> Result<(Descriptor, u8), String> {
        let ext = u32::from(self.source != Source::Software);
        if selector & 0xfffc == 0 {
            return Err(format!("#GP({ext:#x}): the gate's selector is null"));
        }
        let error = u32::from(selector & 0xfffc) | ext;
        let Some((linear, code)) = self.subject.descriptor(selector) else {
            return Err(format!("#GP({error:#x}): the selector lies beyond its table"));
        };
        let cpl = self.subject.cpl();
        let (text, segment) = (code.text(), code.segment(selector));
        self.step("target", format!("descriptor at {linear:#x} = {:#018x}: {text}", code.0));
        let fits_mode = !long || segment.is_long() && !segment.is_big();
        if !segment.is_code() || segment.dpl() > cpl || !fits_mode {
            return Err(format!("#GP({error:#x}): it must be code of DPL <= CPL {cpl}"));
        }
        if !segment.is_present() {
            return Err(format!("#NP({error:#x}): the code segment is not present"));
        }
        let inner = !segment.is_conforming() && segment.dpl() < cpl;
        let new = if inner { segment.dpl() } else { cpl };
        let what = if inner { "an inner level: the stack is switched" } else { "the same level" };
        self.step("privilege", format!("from CPL {cpl} to CPL {new}, {what}"));
        Ok((code, new))
    }

    fn protected(&mut self) -> Result<(), String> {
        let (gate, offset) = self.gate(8)?;
        let (selector, _) = gate.target();
        if gate.kind() == 5 {
            self.step("target", format!("the task of the TSS that selector {selector:#06x} names"));
            return Err("a task switch: its steps are not drawn here".to_owned());
        }
        let (bytes, mask) = if gate.kind() >= 8 { (4, 0xffff_ffff) } else { (2, 0xffff) };
        let (code, new) = self.target(selector, false)?;
        let offset = offset & mask;
        if offset > u64::from(code.segment(selector).limit) {
            return Err("#GP: the offset lies beyond the limit of the code segment".to_owned());
        }
        let from_v86 = self.subject.is_virtual_8086();
        let mut values = Vec::new();
        let stack = if new < self.subject.cpl() {
            if from_v86 {
                for (name, seg) in
                    [("GS", Seg::Gs), ("FS", Seg::Fs), ("DS", Seg::Ds), ("ES", Seg::Es)]
                {
                    values.push((name, u64::from(self.subject.segment(seg).selector)));
                }
            }
            let old = self.subject.segment(Seg::Ss).selector;
            let pointer = self.subject.state.gpr[cutaway_cpu::gpr::RSP];
            values.extend([("SS", u64::from(old)), ("ESP", pointer & mask)]);
            self.stack_from_tss(new)?
        } else {
            self.current_stack(0xffff)
        };
        values.extend(self.common_values(mask));
        self.push(&stack, bytes, &values);
        self.clear_flags(gate);
        self.arrive(selector & 0xfffc | u16::from(new), offset);
        Ok(())
    }

    /// Flags, CS, RIP and the error code.
    fn common_values(&self, mask: u64) -> Vec<(&'static str, u64)> {
        let is_trap = matches!(self.vector, Vector::DB | Vector::DF);
        let mut flags = self.subject.state.rflags;
        if self.source == Source::Exception && !is_trap {
            flags |= Rflags::RF.bits();
        } else {
            flags &= !Rflags::RF.bits();
        }
        let cs = u64::from(self.subject.segment(Seg::Cs).selector);
        let mut values = vec![("flags", flags & mask), ("CS", cs), ("IP", self.rip & mask)];
        values.extend(self.error_code.map(|code| ("error code", u64::from(code))));
        values
    }

    /// The stack of an inner level from the TSS.
    fn stack_from_tss(&mut self, level: u8) -> Result<Stack, String> {
        let tss = *self.subject.segment(Seg::Tr);
        let wide = tss.attributes & 8 != 0;
        let level = u64::from(level);
        let (at, bytes) = if wide { (4 + 8 * level, 4) } else { (2 + 4 * level, 2) };
        if at + bytes + 1 > u64::from(tss.limit) {
            return Err("#TS: the TSS is too short".to_owned());
        }
        let linear = tss.base.wrapping_add(at);
        let pointer = self.subject.peek_number(linear, bytes as usize).unwrap_or(0);
        let selector = self.subject.peek_number(linear + bytes, 2).unwrap_or(0) as u16;
        let Some((_, descriptor)) = self.subject.descriptor(selector) else {
            return Err(format!("#TS: no descriptor for the stack selector {selector:#06x}"));
        };
        let segment = descriptor.segment(selector);
        let mask = if segment.is_big() { 0xffff_ffff } else { 0xffff };
        self.step(
            "stack",
            format!(
                "SS{level}:ESP{level} from the TSS at {linear:#x}: {selector:#06x}:{pointer:#x}, {}",
                descriptor.text()
            ),
        );
        Ok(Stack { base: segment.base, pointer: pointer & mask, mask })
    }

    fn long(&mut self) -> Result<(), String> {
        let (gate, offset) = self.gate(16)?;
        let (selector, _) = gate.target();
        let (_, new) = self.target(selector, true)?;
        let ist = gate.0 >> 32 & 7;
        let old = self.subject.state.gpr[cutaway_cpu::gpr::RSP];
        let tss = *self.subject.segment(Seg::Tr);
        let (name, at) = if ist != 0 {
            (format!("IST{ist}"), Some(0x24 + 8 * (ist - 1)))
        } else if new < self.subject.cpl() {
            (format!("RSP{new}"), Some(4 + 8 * u64::from(new)))
        } else {
            ("RSP".to_owned(), None)
        };
        let pointer = match at {
            Some(at) => {
                if at + 7 > u64::from(tss.limit) {
                    return Err("#TS: the TSS is too short".to_owned());
                }
                let linear = tss.base.wrapping_add(at);
                let pointer = self.subject.peek_number(linear, 8).unwrap_or(0);
                self.step("stack", format!("{name} from the TSS at {linear:#x}: {pointer:#x}"));
                pointer
            }
            None => old,
        };
        let aligned = pointer & !15;
        self.step("stack", format!("aligned to 16 bytes: {aligned:#x}"));
        let stack = Stack { base: 0, pointer: aligned, mask: u64::MAX };
        let ss = u64::from(self.subject.segment(Seg::Ss).selector);
        let mut values = vec![("SS", ss), ("RSP", old)];
        values.extend(self.common_values(u64::MAX));
        self.push(&stack, 8, &values);
        self.clear_flags(gate);
        self.arrive(selector & 0xfffc | u16::from(new), offset);
        Ok(())
    }

    fn push(&mut self, stack: &Stack, bytes: u64, values: &[(&'static str, u64)]) {
        let mut pointer = stack.pointer;
        for &(name, value) in values {
            pointer = pointer.wrapping_sub(bytes) & stack.mask;
            let linear = stack.base.wrapping_add(pointer);
            let linear = if stack.mask == u64::MAX { linear } else { linear & 0xffff_ffff };
            let value = value & (u64::MAX >> (64 - 8 * bytes));
            self.delivery.frame.push(Slot { name, linear, value });
            self.step("frame", format!("{name} = {value:#x} at {linear:#x}"));
        }
        self.delivery.slot_bytes = bytes;
        self.delivery.stack_pointer = pointer;
    }

    fn clear_flags(&mut self, gate: Descriptor) {
        let interrupt = gate.kind() & 1 == 0;
        let text = if interrupt {
            "an interrupt gate: IF is cleared; TF, NT and RF too"
        } else {
            "a trap gate: IF stays; TF, NT and RF are cleared"
        };
        self.step("flags", text.to_owned());
    }

    fn arrive(&mut self, cs: u16, rip: u64) {
        self.delivery.handler = Some((cs, rip));
        self.step("handler", format!("goes on at {cs:#06x}:{rip:#x}"));
    }
}

impl Delivery {
    /// The way as lines of text.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.steps.iter().map(|step| format!("{:<10} {}", step.name, step.text)).collect()
    }
}
