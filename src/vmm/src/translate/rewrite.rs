//! How each instruction of the guest's kernel is translated.

use cutaway_isa::{Instruction, Mnemonic as M, OpKind};

use super::block::{Block, Call, Item, Kind};
use super::emit::{Code, EAX, ECX, EDX};
use super::window::{CACHE, TABLE, variable};
use crate::sensitive::Sensitive;

/// IF, in the variable of flags and in EFLAGS.
const IF: u32 = 0x200;
/// IOPL in EFLAGS.
const IOPL: u32 = 0x3000;

/// What becomes of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Identical,
    Cli,
    Sti,
    Pushf,
    Popf,
    Jump,
    JumpIf,
    /// LOOP, LOOPE, LOOPNE, JECXZ.
    Count,
    Call,
    JumpThrough,
    CallThrough,
    Return,
    CallOut,
}

/// MOV to or from a control, debug or test register.
fn is_system_move(instruction: &Instruction) -> bool {
    let registers = [instruction.op0_register(), instruction.op1_register()];
    registers.iter().any(|r| r.is_cr() || r.is_dr() || r.is_tr())
}

fn plan(instruction: &Instruction) -> Plan {
    let wide = |kind: OpKind| kind == OpKind::NearBranch32;
    match instruction.mnemonic() {
        M::Cli => Plan::Cli,
        M::Sti => Plan::Sti,
        M::Pushfd => Plan::Pushf,
        M::Popfd => Plan::Popf,
        M::Jmp if instruction.is_jmp_near() || instruction.is_jmp_short() => {
            if wide(instruction.op0_kind()) { Plan::Jump } else { Plan::CallOut }
        }
        M::Jmp if instruction.is_jmp_near_indirect() => through(instruction, Plan::JumpThrough),
        M::Call if instruction.is_call_near() => {
            if wide(instruction.op0_kind()) {
                Plan::Call
            } else {
                Plan::CallOut
            }
        }
        M::Call if instruction.is_call_near_indirect() => through(instruction, Plan::CallThrough),
        M::Loop | M::Loope | M::Loopne | M::Jecxz if wide(instruction.op0_kind()) => Plan::Count,
        M::Ret if instruction.stack_pointer_increment() >= 4 => Plan::Return,
        _ if instruction.is_jcc_short_or_near() => {
            if wide(instruction.op0_kind()) {
                Plan::JumpIf
            } else {
                Plan::CallOut
            }
        }
        M::Ret
        | M::Loop
        | M::Loope
        | M::Loopne
        | M::Jecxz
        | M::Jcxz
        | M::Jmp
        | M::Call
        | M::In
        | M::Out
        | M::Insb
        | M::Insw
        | M::Insd
        | M::Outsb
        | M::Outsw
        | M::Outsd
        | M::Hlt
        | M::Clts
        | M::Lmsw
        | M::Lgdt
        | M::Lidt
        | M::Lldt
        | M::Ltr
        | M::Invlpg
        | M::Invpcid
        | M::Invd
        | M::Wbinvd
        | M::Rdmsr
        | M::Wrmsr
        | M::Rdpmc
        | M::Xsetbv
        | M::Clac
        | M::Stac
        | M::Syscall
        | M::Sysret
        | M::Sysenter
        | M::Sysexit
        | M::Lds
        | M::Les
        | M::Lfs
        | M::Lgs
        | M::Lss => Plan::CallOut,
        M::Mov if is_system_move(instruction) => Plan::CallOut,
        _ if Sensitive::of(instruction).is_some_and(Sensitive::is_replaced) => Plan::CallOut,
        _ => Plan::Identical,
    }
}

/// A 32-bit indirect branch; one through 16 bits is left to the monitor.
fn through(instruction: &Instruction, plan: Plan) -> Plan {
    let wide = match instruction.op0_kind() {
        OpKind::Register => instruction.op0_register().size() == 4,
        _ => instruction.memory_size().size() == 4,
    };
    if wide { plan } else { Plan::CallOut }
}

/// Whether nothing can follow an instruction in its block.
pub(super) fn ends_block(instruction: &Instruction, forced: bool) -> bool {
    forced
        || !matches!(
            plan(instruction),
            Plan::Identical | Plan::Cli | Plan::Sti | Plan::Pushf | Plan::Popf
        )
}

/// Writes the translation of a block.
pub(super) struct Rewriter<'a> {
    code: &'a mut Code,
    window: u32,
    items: Vec<Item>,
    /// Calls that wait to be placed: displacement, target.
    exits: Vec<(u32, u32)>,
    after_sti: bool,
    /// Where the block goes on, if it does not end with a branch.
    falls_to: Option<u32>,
}

impl<'a> Rewriter<'a> {
    pub(super) fn new(code: &'a mut Code, window: u32) -> Self {
        let (items, exits) = (Vec::new(), Vec::new());
        Self { code, window, items, exits, after_sti: false, falls_to: None }
    }

    fn variable(&self, variable: u32) -> u32 {
        self.window + variable
    }

    fn item(&mut self, guest: u32, kind: Kind, call: Option<Call>) {
        let at = self.code.here() - self.code.start;
        let in_shadow = std::mem::take(&mut self.after_sti);
        self.items.push(Item { at, guest: Some(guest), kind, is_start: true, in_shadow, call });
    }

    /// A jump to the translation of a guest's address, which is not known yet.
    fn leave_to(&mut self, target: u32) {
        let place = self.code.jump(0);
        self.exits.push((place, target));
    }

    /// Translates an instruction that has these bytes.
    pub(super) fn instruction(
        &mut self,
        instruction: &Instruction,
        bytes: &[u8],
        forced: bool,
    ) -> Kind {
        let guest = instruction.ip() as u32;
        let next = instruction.next_ip32();
        let target = instruction.near_branch_target() as u32;
        self.falls_to = Some(next);
        let plan = if forced { Plan::CallOut } else { plan(instruction) };
        let kind = match plan {
            Plan::Identical => Kind::Identical,
            Plan::Cli | Plan::Sti | Plan::Pushf | Plan::Popf => Kind::Rewritten,
            Plan::CallOut => Kind::CallOut,
            _ => Kind::Branch,
        };
        let call = (plan == Plan::CallOut).then_some(Call::Emulate);
        self.item(guest, kind, call);
        match plan {
            Plan::Identical => self.code.raw(bytes),
            Plan::Cli => {
                self.code.set(self.variable(variable::FLAGS_OFF), IF.wrapping_neg());
            }
            Plan::Sti => {
                self.code.set(self.variable(variable::FLAGS), 0);
                self.after_sti = true;
            }
            Plan::Pushf => self.pushf(),
            Plan::Popf => self.popf(guest),
            Plan::Jump => self.leave_to(target),
            Plan::JumpIf => {
                // The decoder counts the conditions from 1 in the order of their opcodes.
                let condition = instruction.condition_code() as u8 - 1;
                let place = self.code.jump_if(condition, 0);
                self.exits.push((place, target));
                self.item(next, Kind::Branch, None);
                self.leave_to(next);
            }
            Plan::Count => {
                // The short branch goes over the five bytes of the jump behind it.
                let opcode = bytes.iter().copied().find(|b| (0xe0..=0xe3).contains(b));
                self.code.raw(&[opcode.unwrap_or(0xe2), 5]);
                self.item(next, Kind::Branch, None);
                self.leave_to(next);
                self.item(target, Kind::Branch, None);
                self.leave_to(target);
            }
            Plan::Call => {
                self.code.push(next);
                self.item(target, Kind::Branch, None);
                self.leave_to(target);
            }
            Plan::JumpThrough => {
                self.take_target(instruction, bytes);
                self.leave_through();
            }
            Plan::CallThrough => {
                self.take_target(instruction, bytes);
                self.code.push(next);
                self.leave_through();
            }
            Plan::Return => {
                self.code.pop_to(self.variable(variable::TARGET));
                let more = instruction.stack_pointer_increment() as u32 - 4;
                if more > 0 {
                    self.code.release(more);
                }
                self.leave_through();
            }
            Plan::CallOut => self.code.call_monitor(),
        }
        if kind == Kind::Branch || plan == Plan::CallOut {
            self.falls_to = None;
        }
        kind
    }

    /// PUSHFD, then IF and IOPL as the guest has them.
    fn pushf(&mut self) {
        let (eax, ecx) = (self.variable(variable::EAX), self.variable(variable::ECX));
        self.code.raw(&[0x9c]); // pushfd
        self.code.store(eax, EAX);
        self.code.store(ecx, ECX);
        self.code.load(ECX, self.variable(variable::FLAGS));
        self.code.raw(&[0x8b, 0x04, 0x24]); // mov eax, [esp]
        self.code.raw(&[0x8d, 0x04, 0x08]); // lea eax, [eax + ecx]
        self.code.load(ECX, self.variable(variable::IOPL));
        self.code.raw(&[0x8d, 0x04, 0x08]); // lea eax, [eax + ecx]
        self.code.raw(&[0x89, 0x04, 0x24]); // mov [esp], eax
        self.code.load(EAX, eax);
        self.code.load(ECX, ecx);
    }

    /// IOPL and IF out of what POPFD is about to pop; the arithmetic flags used here are then popped
    /// over. Last comes what may trap.
    fn popf(&mut self, guest: u32) {
        // With TF the monitor goes on step by step.
        self.code.raw(&[0xf6, 0x44, 0x24, 0x01, 0x01]); // test byte [esp + 1], TF >> 8
        self.code.raw(&[0x74, 0x02]); // jz behind the call
        self.item(guest, Kind::CallOut, Some(Call::Emulate));
        self.code.call_monitor();
        self.item(guest, Kind::Rewritten, None);
        if let Some(item) = self.items.last_mut() {
            item.is_start = false;
        }
        let eax = self.variable(variable::EAX);
        self.code.store(eax, EAX);
        self.code.raw(&[0x8b, 0x04, 0x24]); // mov eax, [esp]
        self.code.raw(&[0x25]); // and eax, IOPL
        self.code.raw(&IOPL.to_le_bytes());
        self.code.store(self.variable(variable::IOPL), EAX);
        self.code.raw(&[0x8b, 0x04, 0x24]); // mov eax, [esp]
        self.code.raw(&[0x25]); // and eax, IF
        self.code.raw(&IF.to_le_bytes());
        self.code.raw(&[0x2d]); // sub eax, IF
        self.code.raw(&IF.to_le_bytes());
        self.code.store(self.variable(variable::FLAGS), EAX);
        self.code.load(EAX, eax);
        self.code.raw(&[0x9d]); // popfd
        self.after_sti = false;
    }

    /// The target of an indirect branch into its variable. What can fault comes first.
    fn take_target(&mut self, instruction: &Instruction, bytes: &[u8]) {
        let target = self.variable(variable::TARGET);
        if instruction.op0_kind() == OpKind::Register {
            let number = instruction.op0_register().number() as u8;
            return self.code.store(target, number);
        }
        let eax = self.variable(variable::EAX);
        self.code.store(eax, EAX);
        // FF /2 or /4 becomes 8B /0, MOV EAX, of the same operand.
        let opcode = bytes.iter().position(|&byte| byte == 0xff).unwrap_or_default();
        self.code.raw(&bytes[..opcode]);
        self.code.raw(&[0x8b, bytes[opcode + 1] & !0x38]);
        self.code.raw(&bytes[opcode + 2..]);
        self.code.store(target, EAX);
        self.code.load(EAX, eax);
    }

    /// To wherever the variable of targets says.
    fn leave_through(&mut self) {
        let at = self.code.here() - self.code.start;
        let kind = Kind::Branch;
        let (is_start, in_shadow) = (true, false);
        self.items.push(Item { at, guest: None, kind, is_start, in_shadow, call: None });
        self.code.jump(self.window + CACHE);
    }

    /// Ends the block: the calls of the monitor for targets that have no translation yet.
    pub(super) fn finish(mut self) -> Vec<Item> {
        if let Some(next) = self.falls_to {
            self.item(next, Kind::Branch, None);
            self.leave_to(next);
        }
        for (place, target) in std::mem::take(&mut self.exits) {
            let stub = self.code.here();
            self.item(target, Kind::Branch, Some(Call::Chain { target, place }));
            self.code.call_monitor();
            let at = (place - self.code.start) as usize;
            self.code.bytes[at..at + 4]
                .copy_from_slice(&stub.wrapping_sub(place + 4).to_le_bytes());
        }
        self.items
    }
}

/// The shared end of indirect branches: looks the target up and goes there, or calls the monitor.
pub(super) fn indirect(start: u32, window: u32) -> (Vec<u8>, Block) {
    let mut code = Code::new(start);
    let [target, goal] = [variable::TARGET, variable::GOAL].map(|v| window + v);
    let saved = [(variable::EAX, EAX), (variable::ECX, ECX), (variable::EDX, EDX)];
    for (variable, register) in saved {
        code.store(window + variable, register);
    }
    code.load(EAX, target);
    code.raw(&[0x0f, 0xb7, 0xc8]); // movzx ecx, ax
    code.raw(&[0x8d, 0x0c, 0xcd]); // lea ecx, [ecx * 8 + table]
    code.raw(&(window + TABLE).to_le_bytes());
    code.raw(&[0x36, 0x8b, 0x51, 4]); // mov edx, ss:[ecx + 4]
    code.store(goal, EDX);
    code.raw(&[0x36, 0x8b, 0x11]); // mov edx, ss:[ecx]
    code.raw(&[0x8d, 0x0c, 0x02]); // lea ecx, [edx + eax]
    let restore = |code: &mut Code| {
        for (variable, register) in saved {
            code.load(register, window + variable);
        }
    };
    let mut miss = Code::new(0);
    restore(&mut miss);
    miss.call_monitor();
    code.raw(&[0xe3, miss.bytes.len() as u8]); // jecxz over the miss
    restore(&mut code);
    let call = code.here() - start;
    code.call_monitor();
    restore(&mut code);
    code.jump_through(goal);
    let item = |at: u32, is_start: bool, call: Option<Call>| Item {
        at,
        guest: None,
        kind: Kind::Branch,
        is_start,
        in_shadow: false,
        call,
    };
    let bytes = code.bytes.len() as u32;
    let items = vec![
        item(0, true, None),
        // Registers are in use from the first instruction on.
        item(1, false, None),
        item(call, true, Some(Call::Lookup)),
        item(call + 2, false, None),
    ];
    let block =
        Block { guest: 0, guest_bytes: 0, bytes, frames: [u64::MAX; 2], items, stale: false };
    (code.bytes, block)
}
