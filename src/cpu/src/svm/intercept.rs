//! What a guest's instructions are intercepted for, and what the #VMEXIT then tells.
//!
//! Source: AMD APM vol. 2 §15.8, "Decode Assists"; §15.9, "Instruction Intercepts" (table 15-7 says
//! which exceptions come first); §15.10, "IOIO Intercepts"; §15.11, "MSR Intercepts".

use super::{Reason, exit, vintr};
use crate::exec::Exec;
use crate::state::{Seg, gpr};
use crate::target::Target;
use crate::task::Switch;
use crate::{Bus, Exit, Vcpu};
use cutaway_isa::{
    Code, CodeSize, Cr0, Cr4, Instruction, Mnemonic, Register, Rflags, Vector, Width,
};

/// EXITINFO1 of an access to a control register: the instruction was MOV.
const BY_MOV: u64 = 1 << 63;

/// What has to hold before an intercept counts; else the instruction raises its exception.
enum First {
    /// Nothing.
    Nothing,
    /// CPL 0.
    Cpl0,
    /// Protected mode and CPL 0.
    ProtectedCpl0,
    /// SVM is on, protected mode and CPL 0.
    Svm,
    /// CPL 0, if this bit of CR4 is set.
    Cpl0If(Cr4),
    /// CPL 0, unless this bit of CR4 is set.
    Cpl0Unless(Cr4),
}

use First::{Cpl0, Cpl0If, Cpl0Unless, Nothing, ProtectedCpl0};

/// The intercepts that need no more than this.
fn plain(mnemonic: Mnemonic) -> Option<(u64, First)> {
    Some(match mnemonic {
        Mnemonic::Sidt => (exit::IDTR_READ, Cpl0If(Cr4::UMIP)),
        Mnemonic::Sgdt => (exit::GDTR_READ, Cpl0If(Cr4::UMIP)),
        Mnemonic::Sldt => (exit::LDTR_READ, Cpl0If(Cr4::UMIP)),
        Mnemonic::Str => (exit::TR_READ, Cpl0If(Cr4::UMIP)),
        Mnemonic::Lidt => (exit::IDTR_WRITE, Cpl0),
        Mnemonic::Lgdt => (exit::GDTR_WRITE, Cpl0),
        Mnemonic::Lldt => (exit::LDTR_WRITE, ProtectedCpl0),
        Mnemonic::Ltr => (exit::TR_WRITE, ProtectedCpl0),
        Mnemonic::Rdtsc => (exit::RDTSC, Cpl0If(Cr4::TSD)),
        Mnemonic::Rdtscp => (exit::RDTSCP, Cpl0If(Cr4::TSD)),
        Mnemonic::Rdpmc => (exit::RDPMC, Cpl0Unless(Cr4::PCE)),
        Mnemonic::Pushf | Mnemonic::Pushfd | Mnemonic::Pushfq => (exit::PUSHF, Nothing),
        Mnemonic::Popf | Mnemonic::Popfd | Mnemonic::Popfq => (exit::POPF, Nothing),
        Mnemonic::Cpuid => (exit::CPUID, Nothing),
        Mnemonic::Rsm => (exit::RSM, Nothing),
        Mnemonic::Iret | Mnemonic::Iretd | Mnemonic::Iretq => (exit::IRET, Nothing),
        Mnemonic::Invd => (exit::INVD, Cpl0),
        Mnemonic::Wbinvd => (exit::WBINVD, Cpl0),
        Mnemonic::Pause => (exit::PAUSE, Nothing),
        Mnemonic::Hlt => (exit::HLT, Cpl0),
        Mnemonic::Vmrun => (exit::VMRUN, First::Svm),
        Mnemonic::Vmload => (exit::VMLOAD, First::Svm),
        Mnemonic::Vmsave => (exit::VMSAVE, First::Svm),
        Mnemonic::Stgi => (exit::STGI, First::Svm),
        Mnemonic::Clgi => (exit::CLGI, First::Svm),
        Mnemonic::Invlpga => (exit::INVLPGA, First::Svm),
        Mnemonic::Vmmcall => (exit::VMMCALL, Nothing),
        _ => return None,
    })
}

/// The number of a general register, as encoded.
fn gpr_number(register: Register) -> u64 {
    register.number() as u64 & 15
}

impl Vcpu {
    /// Executes an instruction of the guest, or leaves the guest before it.
    pub(crate) fn execute_in_guest(
        &mut self,
        bus: &mut dyn Bus,
        instruction: &Instruction,
        run: crate::exec::ExecFn,
        next: u64,
    ) -> Result<bool, Exit> {
        self.svm_work.instruction = Some((instruction.code(), next));
        let done = match self.instruction_exit(bus, instruction, next) {
            Some(reason) => self.leave_guest(bus, reason).map(|()| false),
            None => self.complete(bus, instruction, run, next),
        };
        self.svm_work.instruction = None;
        done
    }

    /// Leaves the guest between two instructions.
    pub(crate) fn leave(&mut self, bus: &mut dyn Bus, code: u64) -> Result<(), Exit> {
        self.leave_guest(bus, Reason { code, ..Reason::default() })
    }

    /// A virtual interrupt that is due: its intercept, or its delivery (§15.21.4). Returns whether
    /// there was one.
    pub(crate) fn attend_virtual(&mut self, bus: &mut dyn Bus) -> Result<bool, Exit> {
        let Some(vector) = self.virtual_interrupt() else { return Ok(false) };
        self.attention = true;
        if self.intercepts(exit::VINTR) {
            return self.leave(bus, exit::VINTR).map(|()| true);
        }
        if let Some(guest) = &mut self.svm.guest {
            guest.v_intr &= !vintr::V_IRQ;
        }
        self.external(bus, Vector(vector), "virtual").map(|()| true)
    }

    /// A task switch that is intercepted (§15.14.1, "Task Switch Intercept").
    pub(crate) fn task_switch_exit(&self, selector: u16, why: Switch) -> Option<Reason> {
        let code = self.when(exit::TASK_SWITCH)?;
        let event = self.svm_work.delivering;
        let resume = u64::from(self.lazy.known.contains(Rflags::RF)) << 48;
        let info2 = match why {
            Switch::Return => 1 << 36,
            Switch::Jump => 1 << 38,
            Switch::Call if event & super::event::EV != 0 => 1 << 44 | event >> 32,
            Switch::Call => 0,
        };
        Some(Reason {
            code,
            info1: u64::from(selector),
            info2: info2 | resume,
            ..Reason::default()
        })
    }

    /// Why the guest is left before this instruction; none if it runs. Only asked in a guest.
    pub(crate) fn instruction_exit(
        &mut self,
        bus: &mut dyn Bus,
        i: &Instruction,
        next: u64,
    ) -> Option<Reason> {
        let mnemonic = i.mnemonic();
        let defined = self.rows.bind(i).row().is_some() || mnemonic == Mnemonic::Rsm;
        if !defined {
            return None;
        }
        if let Some((code, first)) = plain(mnemonic) {
            let info1 = if mnemonic == Mnemonic::Invlpga { self.r[gpr::RAX] } else { 0 };
            let exits = self.intercepts(code) && self.comes_first(&first, mnemonic);
            return exits.then_some(Reason { code, info1, nrip: next, ..Reason::default() });
        }
        let reason = |code, info1| Reason { code, info1, nrip: next, ..Reason::default() };
        match i.code() {
            Code::Mov_r32_cr | Code::Mov_r64_cr | Code::Mov_cr_r32 | Code::Mov_cr_r64 => {
                self.cr_exit(i).map(|(code, info1)| reason(code, info1))
            }
            Code::Mov_r32_dr | Code::Mov_r64_dr | Code::Mov_dr_r32 | Code::Mov_dr_r64 => {
                self.dr_exit(i).map(|(code, info1)| reason(code, info1))
            }
            Code::Clts if self.cpl() == 0 => self.when(exit::CR_WRITE).map(|code| reason(code, 0)),
            Code::Lmsw_rm16 | Code::Lmsw_r32m16 | Code::Lmsw_r64m16 if self.cpl() == 0 => {
                let code = self.when(exit::CR_WRITE).or(self.when(exit::CR0_SEL_WRITE));
                code.map(|code| reason(code, 0))
            }
            Code::Smsw_rm16 | Code::Smsw_r32m16 | Code::Smsw_r64m16 => {
                let umip = self.comes_first(&Cpl0If(Cr4::UMIP), mnemonic);
                self.when(exit::CR_READ).filter(|_| umip).map(|code| reason(code, 0))
            }
            Code::Int_imm8 => {
                self.when(exit::SWINT).map(|code| reason(code, u64::from(i.immediate8())))
            }
            Code::Int3 => self.when(exit::EXCEPTION + 3).map(|code| reason(code, 0)),
            Code::Into if self.lazy.of() => {
                self.when(exit::EXCEPTION + 4).map(|code| reason(code, 0))
            }
            Code::Int1 => {
                let code = self.when(exit::ICEBP).or(self.when(exit::EXCEPTION + 1));
                code.map(|code| reason(code, 0))
            }
            Code::Invlpg_m if self.cpl() == 0 => {
                let linear = self.invlpg_address(bus, i, next);
                self.when(exit::INVLPG).map(|code| reason(code, linear))
            }
            Code::Rdmsr | Code::Wrmsr if self.cpl() == 0 => {
                let write = i.code() == Code::Wrmsr;
                let exits = self.intercepts(exit::MSR) && self.msr_intercepted(bus, write);
                exits.then_some(reason(exit::MSR, u64::from(write)))
            }
            Code::Xsetbv if self.system.cr4 & Cr4::OSXSAVE.bits() != 0 => {
                self.when(exit::XSETBV).map(|code| reason(code, 0))
            }
            _ => None,
        }
    }

    /// The code if it is intercepted.
    fn when(&self, code: u64) -> Option<u64> {
        self.intercepts(code).then_some(code)
    }

    fn comes_first(&self, first: &First, mnemonic: Mnemonic) -> bool {
        let protected = self.is_protected() && !self.is_virtual_8086();
        let cpl0 = self.cpl() == 0;
        match first {
            // SLDT and STR do not exist outside protected mode.
            First::Cpl0If(bit) => {
                let exists = protected || !matches!(mnemonic, Mnemonic::Sldt | Mnemonic::Str);
                exists && (cpl0 || self.system.cr4 & bit.bits() == 0)
            }
            First::Cpl0Unless(bit) => cpl0 || self.system.cr4 & bit.bits() != 0,
            First::Nothing => true,
            First::Cpl0 => cpl0,
            First::ProtectedCpl0 => protected && cpl0,
            First::Svm => self.check_svm().is_ok(),
        }
    }

    /// MOV from and to control registers.
    fn cr_exit(&self, i: &Instruction) -> Option<(u64, u64)> {
        let writes = matches!(i.code(), Code::Mov_cr_r32 | Code::Mov_cr_r64);
        let (control, general) = if writes { (0, 1) } else { (1, 0) };
        let n = i.op_register(control) as u64 - Register::CR0 as u64;
        if self.cpl() != 0 || !matches!(n, 0 | 2 | 3 | 4 | 8) {
            return None;
        }
        let number = gpr_number(i.op_register(general));
        let value = self.r[number as usize];
        let value = if self.is_64_bit() { value } else { value & 0xffff_ffff };
        if writes && !self.is_cr_value(n, value) {
            return None;
        }
        let code = self.when(if writes { exit::CR_WRITE } else { exit::CR_READ } + n);
        let tested = (Cr0::TS | Cr0::MP).bits();
        let changes = (value ^ self.system.cr0) & !tested != 0;
        let selective = self.when(exit::CR0_SEL_WRITE).filter(|_| writes && n == 0 && changes);
        code.or(selective).map(|code| (code, BY_MOV | number))
    }

    /// Whether a control register takes a value; else #GP(0) comes before the intercept.
    fn is_cr_value(&self, n: u64, value: u64) -> bool {
        match n {
            0 => {
                let new = Cr0::from_bits_retain(value);
                let without_pe = new.contains(Cr0::PG) && !new.contains(Cr0::PE);
                let cache = new.contains(Cr0::NW) && !new.contains(Cr0::CD);
                value >> 32 == 0 && !without_pe && !cache
            }
            3 => !self.is_long_mode() || value >> crate::paging::PHYSICAL_BITS == 0,
            4 => {
                let pae = value & Cr4::PAE.bits() != 0;
                value & !self.model.cr4_bits() == 0 && (!self.is_long_mode() || pae)
            }
            8 => value < 16,
            _ => true,
        }
    }

    /// MOV from and to debug registers.
    fn dr_exit(&self, i: &Instruction) -> Option<(u64, u64)> {
        let writes = matches!(i.code(), Code::Mov_dr_r32 | Code::Mov_dr_r64);
        let (debug, general) = if writes { (0, 1) } else { (1, 0) };
        let n = i.op_register(debug) as u64 - Register::DR0 as u64;
        let extensions = self.system.cr4 & Cr4::DE.bits() != 0;
        let n = if matches!(n, 4 | 5) && !extensions { n + 2 } else { n };
        let detected = self.system.dr7 & 1 << 13 != 0;
        if self.cpl() != 0 || detected || !matches!(n, 0..=3 | 6 | 7) {
            return None;
        }
        let code = if writes { exit::DR_WRITE } else { exit::DR_READ } + n;
        self.when(code).map(|code| (code, gpr_number(i.op_register(general))))
    }

    fn invlpg_address(&mut self, bus: &mut dyn Bus, i: &Instruction, next: u64) -> u64 {
        let e = Exec { cpu: self, bus, instruction: i, next };
        let (seg, offset) = (e.segment(), e.offset());
        let linear = e.cpu.windows[seg as usize].base.wrapping_add(offset);
        if e.cpu.is_64_bit() { linear } else { linear & 0xffff_ffff }
    }

    /// Whether the MSR permission map has an access intercepted. MSRs that it does not cover
    /// always are.
    fn msr_intercepted(&self, bus: &mut dyn Bus, write: bool) -> bool {
        let number = self.r[gpr::RCX] as u32;
        let Some(guest) = &self.svm.guest else { return false };
        let first = match number {
            0..0x2000 => 0,
            0xc000_0000..0xc000_2000 => 0x2000,
            0xc001_0000..0xc001_2000 => 0x4000,
            _ => return true,
        };
        let bit = 2 * u64::from(first + (number & 0x1fff)) + u64::from(write);
        is_set(bus, guest.msrpm, bit)
    }
}

/// A bit of a permission map.
fn is_set(bus: &mut dyn Bus, map: u64, bit: u64) -> bool {
    let mut byte = [0];
    bus.memory().read(map + bit / 8, &mut byte);
    byte[0] >> (bit % 8) & 1 != 0
}

/// Why the guest is left before an access to ports that the CPU would let it do (§15.10.2,
/// "IN and OUT Behavior"; §15.10.3 has the bits of EXITINFO1).
pub(crate) fn port_info(e: &mut Exec<'_>, port: u16, w: Width) -> Option<Reason> {
    let iopm = e.cpu.svm.guest.as_ref()?.iopm;
    if !e.cpu.intercepts(exit::IOIO) {
        return None;
    }
    let ports = u64::from(port)..u64::from(port) + w.bytes();
    if !ports.into_iter().any(|bit| is_set(e.bus, iopm, bit)) {
        return None;
    }
    let i = e.instruction;
    let string = matches!(
        i.mnemonic(),
        Mnemonic::Insb
            | Mnemonic::Insw
            | Mnemonic::Insd
            | Mnemonic::Outsb
            | Mnemonic::Outsw
            | Mnemonic::Outsd
    );
    let reads =
        matches!(i.mnemonic(), Mnemonic::In | Mnemonic::Insb | Mnemonic::Insw | Mnemonic::Insd);
    let default = match e.cpu.code_size() {
        CodeSize::Bits64 => Width::Qword,
        CodeSize::Bits32 => Width::Dword,
        CodeSize::Bits16 => Width::Word,
    };
    let address = match if string { e.address_width() } else { default } {
        Width::Qword => 1 << 9,
        Width::Dword => 1 << 8,
        _ => 1 << 7,
    };
    // As encoded; INS writes to ES whatever the prefix.
    let seg = match (string, reads) {
        (true, true) => Seg::Es as u64,
        (true, false) => e.segment() as u64,
        _ => 0,
    };
    let repeats = string && (i.has_rep_prefix() || i.has_repne_prefix());
    let info1 = u64::from(reads)
        | u64::from(string) << 2
        | u64::from(repeats) << 3
        | w.bytes() << 4
        | address
        | seg << 10
        | u64::from(port) << 16;
    let next = e.next;
    Some(Reason { code: exit::IOIO, info1, info2: next, nrip: next, with_bytes: false })
}
