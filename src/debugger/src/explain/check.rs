//! Which exception comes, and by which check.
//!
//! The dry run says that it comes; vector, error code and state say why.
//!
//! Source: Intel SDM vol. 3A §6.13, "Error Code"; §6.15, "Exception and Interrupt Reference".

use super::address::Reach;
use super::dry_run::Ended;
use super::operands::{Operand, Place};
use super::places::MemoryPlace;
use super::subject::Subject;
use super::{Explanation, delivery};
use cutaway_cpu::Exception;
use cutaway_isa::{Cr0, Cr4, FlowControl, Instruction, Mnemonic, OpKind, Vector};

/// An exception that would come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predicted {
    /// Where it goes.
    pub vector: Vector,
    /// The error code, if it has one.
    pub code: Option<u32>,
    /// For #PF: what goes to CR2.
    pub address: Option<u64>,
    /// Its name with the error code: `#GP(0)`.
    pub name: String,
    /// The check that fails, in words.
    pub why: String,
}

/// Instructions for CPL 0 alone.
const PRIVILEGED: &[Mnemonic] = &[
    Mnemonic::Hlt,
    Mnemonic::Lgdt,
    Mnemonic::Lidt,
    Mnemonic::Lldt,
    Mnemonic::Ltr,
    Mnemonic::Lmsw,
    Mnemonic::Clts,
    Mnemonic::Invd,
    Mnemonic::Wbinvd,
    Mnemonic::Invlpg,
    Mnemonic::Rdmsr,
    Mnemonic::Wrmsr,
    Mnemonic::Swapgs,
    Mnemonic::Sysret,
    Mnemonic::Sysretq,
    Mnemonic::Sysexit,
    Mnemonic::Sysexitq,
    Mnemonic::Xsetbv,
    Mnemonic::Xsaves,
    Mnemonic::Xsaves64,
    Mnemonic::Xrstors,
    Mnemonic::Xrstors64,
];
/// Instructions that IOPL guards.
const GUARDED: &[Mnemonic] = &[
    Mnemonic::Cli,
    Mnemonic::Sti,
    Mnemonic::In,
    Mnemonic::Out,
    Mnemonic::Insb,
    Mnemonic::Insw,
    Mnemonic::Insd,
    Mnemonic::Outsb,
    Mnemonic::Outsw,
    Mnemonic::Outsd,
];
/// Instructions that real and virtual-8086 mode do not have.
const PROTECTED_ONLY: &[Mnemonic] = &[
    Mnemonic::Lldt,
    Mnemonic::Sldt,
    Mnemonic::Ltr,
    Mnemonic::Str,
    Mnemonic::Verr,
    Mnemonic::Verw,
    Mnemonic::Lar,
    Mnemonic::Lsl,
    Mnemonic::Arpl,
];

/// The exception of a dry run in words.
pub(super) fn predicted(
    subject: &Subject<'_>,
    instruction: Option<&Instruction>,
    explanation: &Explanation,
) -> Option<Predicted> {
    let Ended::Raised(exception) = explanation.dry_run.ended else { return None };
    let vector = exception.vector;
    let code = vector.has_error_code().then_some(exception.code);
    let address = (vector == Vector::PF).then_some(exception.address);
    let name = match code {
        Some(0) => format!("{}(0)", delivery::vector_name(vector)),
        Some(code) => format!("{}({code:#x})", delivery::vector_name(vector)),
        None => delivery::vector_name(vector),
    };
    let why = match vector {
        Vector::PF => page_fault(subject, &exception),
        Vector::UD => undefined(subject, instruction),
        Vector::GP | Vector::SS | Vector::TS | Vector::NP => {
            protection(subject, instruction, &explanation.operands, &exception)
        }
        _ => other(subject, instruction, &explanation.operands, vector),
    };
    Some(Predicted { vector, code, address, name, why })
}

fn page_fault(subject: &Subject<'_>, exception: &Exception) -> String {
    let (code, linear) = (exception.code, exception.address);
    let reach = match (code >> 4 & 1, code >> 1 & 1) {
        (1, _) => Reach::Fetch,
        (_, 1) => Reach::Write,
        _ => Reach::Read,
    };
    let what = match reach {
        Reach::Fetch => "fetch",
        Reach::Write => "write",
        Reach::Read => "read",
    };
    let user = code & 4 != 0;
    let who = if user { "CPL 3" } else { "the supervisor" };
    let why = match subject.translate(linear, reach, user) {
        Err(obstacle) => obstacle.why,
        Ok(_) if code & 1 == 0 => "an entry of the walk is not present".to_owned(),
        Ok(_) => "the rights of the page do not allow it".to_owned(),
    };
    format!("{what} at {linear:#x} by {who}: {why}")
}

fn undefined(subject: &Subject<'_>, instruction: Option<&Instruction>) -> String {
    let Some(instruction) = instruction else {
        return "there is no such instruction".to_owned();
    };
    let mnemonic = instruction.mnemonic();
    let name = format!("{mnemonic:?}").to_uppercase();
    if matches!(mnemonic, Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2) {
        return "that is what the instruction is for".to_owned();
    }
    let real = !subject.is_protected() || subject.is_virtual_8086();
    if real && PROTECTED_ONLY.contains(&mnemonic) {
        return format!("{name} does not exist in real and virtual-8086 mode");
    }
    let (cr0, cr4) = (subject.state.system.cr0, subject.state.system.cr4);
    let vector = (0..instruction.op_count()).any(|n| {
        let register = instruction.op_register(n);
        instruction.op_kind(n) == OpKind::Register && (register.is_xmm() || register.is_ymm())
    });
    if instruction.encoding() == cutaway_isa::EncodingKind::VEX {
        if real {
            return "instructions with VEX do not exist in real and virtual-8086 mode".to_owned();
        }
        if vector && cr4 & Cr4::OSXSAVE.bits() == 0 {
            return "CR4.OSXSAVE = 0: the system has not switched AVX on".to_owned();
        }
        if vector && subject.state.system.xcr0 & 6 != 6 {
            return "XCR0 does not name SSE and AVX: the system has not switched AVX on".to_owned();
        }
    } else if vector && cr0 & Cr0::EM.bits() != 0 {
        return "CR0.EM = 1: SSE is to be emulated".to_owned();
    } else if vector && cr4 & Cr4::OSFXSR.bits() == 0 {
        return "CR4.OSFXSR = 0: the system has not switched SSE on".to_owned();
    }
    if name.starts_with('X') && cr4 & Cr4::OSXSAVE.bits() == 0 {
        return "CR4.OSXSAVE = 0: the system has not switched XSAVE on".to_owned();
    }
    if name.ends_with("FSBASE") || name.ends_with("GSBASE") {
        return "it takes 64-bit code and CR4.FSGSBASE = 1".to_owned();
    }
    format!("the CPU model {} does not have {name}, or not so in this mode", subject.model.name())
}

/// #GP, #SS, #TS and #NP.
fn protection(
    subject: &Subject<'_>,
    instruction: Option<&Instruction>,
    operands: &[Operand],
    exception: &Exception,
) -> String {
    if exception.code & 0xffff != 0 {
        return selector(subject, exception);
    }
    let name = delivery::vector_name(exception.vector);
    let same = |operand: &Operand| match &operand.place {
        Place::Memory(MemoryPlace { physical: Err(obstacle), .. })
            if obstacle.exception.starts_with(&name) =>
        {
            Some(format!("{}: {}", operand.text, obstacle.why))
        }
        _ => None,
    };
    let Some(instruction) = instruction else {
        return "the bytes cannot be fetched, or are too many for an instruction".to_owned();
    };
    let mnemonic = instruction.mnemonic();
    let cpl = subject.cpl();
    let moves_control = (0..instruction.op_count()).any(|n| {
        let register = instruction.op_register(n);
        instruction.op_kind(n) == OpKind::Register && (register.is_cr() || register.is_dr())
    });
    if cpl > 0 && (PRIVILEGED.contains(&mnemonic) || moves_control) {
        return format!("privilege: CPL {cpl}, and the instruction takes CPL 0");
    }
    let iopl = (subject.state.rflags >> 12 & 3) as u8;
    if GUARDED.contains(&mnemonic) && cpl > iopl {
        return format!("privilege: CPL {cpl} > IOPL {iopl}");
    }
    if subject.is_virtual_8086() && iopl < 3 {
        return format!("virtual-8086 mode with IOPL {iopl} < 3");
    }
    if let Some(why) = operands.iter().find_map(same) {
        return why;
    }
    let wide = operands.iter().find_map(|operand| match &operand.place {
        Place::Memory(place) if place.size >= 16 && place.linear & 15 != 0 => {
            Some((operand.text.clone(), place.linear))
        }
        _ => None,
    });
    if let Some((text, linear)) = wide {
        return format!("{text}: linear {linear:#x} is not aligned");
    }
    if instruction.flow_control() != FlowControl::Next {
        return "the target is null, not canonical or beyond the limit of the code segment"
            .to_owned();
    }
    if moves_control || matches!(mnemonic, Mnemonic::Wrmsr | Mnemonic::Rdmsr | Mnemonic::Xsetbv) {
        return "there is no such register, or it does not take this value".to_owned();
    }
    if let Some(OpKind::Register) = (instruction.op_count() > 0).then(|| instruction.op0_kind())
        && instruction.op0_register().is_segment_register()
    {
        return format!("{:?} does not take a null selector here", instruction.op0_register());
    }
    "a check of the instruction's own fails".to_owned()
}

/// An error code that names a descriptor.
fn selector(subject: &Subject<'_>, exception: &Exception) -> String {
    let code = exception.code;
    let index = code >> 3 & 0x1fff;
    if code & 2 != 0 {
        let what = delivery::gate_state(subject, index as u8);
        return format!("gate {index:#x} of the IDT: {what}");
    }
    let ldt = code & 4 != 0;
    let table = if ldt { "LDT" } else { "GDT" };
    let what = delivery::descriptor_state(subject, (code & 0xfffc) as u16);
    let check = match exception.vector {
        Vector::NP => "not present",
        Vector::SS => "a stack segment that is not present, or an access beyond its limit",
        Vector::TS => "not what a TSS may name here",
        _ => "wrong type, privilege or beyond the table",
    };
    format!("selector {:#x}, entry {index} of the {table} ({what}): {check}", code & 0xfffc)
}

fn other(
    subject: &Subject<'_>,
    instruction: Option<&Instruction>,
    operands: &[Operand],
    vector: Vector,
) -> String {
    let cr0 = subject.state.system.cr0;
    match vector {
        Vector::DE => {
            let divisor = operands.first().and_then(|operand| match &operand.place {
                Place::Register(value) => u64::from_str_radix(value.strip_prefix("0x")?, 16).ok(),
                Place::Memory(place) => place.value.as_deref().map(super::subject::number),
                Place::Immediate(value) => Some(*value),
                Place::Target(_) => None,
            });
            if divisor == Some(0) {
                "the divisor is zero".to_owned()
            } else {
                "the quotient does not fit".to_owned()
            }
        }
        Vector::NM if cr0 & Cr0::TS.bits() != 0 => {
            "CR0.TS = 1: the state of the unit is another task's".to_owned()
        }
        Vector::NM => "CR0.EM = 1: x87 is to be emulated".to_owned(),
        Vector::MF => "an unmasked x87 exception waits".to_owned(),
        Vector::XM => {
            format!("an exception that MXCSR ({:#x}) does not mask", subject.state.mxcsr)
        }
        Vector::AC => "CR0.AM and AC are set, CPL is 3, and the address is misaligned".to_owned(),
        Vector::BR => "the index lies outside the bounds".to_owned(),
        Vector::DB => "a debug condition (INT1, a breakpoint register, TF)".to_owned(),
        Vector::BP | Vector::OF => "that is what the instruction is for".to_owned(),
        _ => format!("{:?}", instruction.map(Instruction::mnemonic)),
    }
}
