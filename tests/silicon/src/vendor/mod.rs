//! Where a CPU of another vendor or family may answer otherwise than the reference: by the manuals'
//! own words, or as is known of the makes.
//!
//! Cutaway follows the CPU that the vectors are of, a Zen 3. On any other each difference
//! has to be one of these, and is counted under its name; any other is a failure.

mod far_returns;
mod faults;
mod pair;
mod results;

use crate::case::Outcome;
use crate::generate::Generated;
use pair::Pair;

/// A known difference between makes.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// What differs.
    pub what: &'static str,
    /// The manuals' places, and what was measured where they are silent.
    pub source: &'static str,
    /// Makes of our outcome what the other make's is, as far as this difference goes, or takes out
    /// of both what no manual defines.
    apply: fn(&mut Pair<'_>),
}

/// The difference between makes that explains why two normalised outcomes differ, as an index into
/// [`DIFFERENCES`]: the last of those that it takes.
#[must_use]
pub fn explanation(generated: &Generated, silicon: &Outcome, ours: &Outcome) -> Option<usize> {
    let mut pair = Pair { generated, silicon: *silicon, ours: *ours };
    DIFFERENCES.iter().position(|known| {
        (known.apply)(&mut pair);
        pair.same()
    })
}

/// All of them, in the order in which they are tried: what may come with others first.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        what: "x87 pointers without a pending exception",
        source: "AMD APM vol. 5, FXSAVE and FXRSTOR; Intel SDM vol. 1 section 8.1.8",
        apply: results::x87_pointers,
    },
    Difference {
        what: "x87 pointers without a pending exception, in memory",
        source: "AMD APM vol. 5, FXSAVE and FXRSTOR; Intel SDM vol. 1 section 8.1.8",
        apply: results::x87_pointers_in_memory,
    },
    Difference {
        what: "upper 16 bits of x87 pointers",
        source: "Intel SDM vol. 1 section 10.5.1: 64 bits; Zen 3 keeps 48 (measured)",
        apply: results::x87_pointer_width,
    },
    Difference {
        what: "undefined flags",
        source: "Intel SDM vol. 2 and AMD APM vol. 3, the instructions' Flags Affected",
        apply: results::undefined_flags,
    },
    Difference {
        what: "SHLD, SHRD of 16 bits by more than 16",
        source: "Intel SDM vol. 2 and AMD APM vol. 3, SHLD and SHRD: undefined",
        apply: results::double_shift,
    },
    Difference {
        what: "flags of CMPS, SCAS between repetitions",
        source: "Intel SDM vol. 2, REP: restored; Zen 3 keeps the last repetition's (measured)",
        apply: results::repeated_comparison,
    },
    Difference {
        what: "upper halves of RCX, RSI, RDI under 67h",
        source: "Intel SDM vol. 1 section 3.3.7, AMD APM vol. 3 section 1.2.3: unsaid before a repetition",
        apply: results::string_registers,
    },
    Difference {
        what: "TOP behind a store of an MMX register that faults",
        source: "Intel SDM vol. 1 section 9.5.1: 0, faults unsaid; Zen 3 keeps it there (measured)",
        apply: results::mmx_top,
    },
    Difference {
        what: "RCPPS, RSQRTPS and their kin",
        source: "Intel SDM vol. 2 and AMD APM vol. 4: relative error of 1.5 * 2^-12",
        apply: results::estimates,
    },
    Difference {
        what: "LOOPE, LOOPNE with a repeat prefix",
        source: "Intel SDM vol. 2, REP: not for these; Zen 3 takes the condition from it (measured)",
        apply: results::repeated_loop,
    },
    Difference {
        what: "F3h REX.B 90h",
        source: "Intel SDM vol. 2, PAUSE: F3 90; Zen 3 exchanges R8 (measured)",
        apply: results::pause,
    },
    Difference {
        what: "0F 0D of a register",
        source: "Intel SDM vol. 2 appendix A: reserved NOP; AMD APM vol. 3, PREFETCH: #UD",
        apply: results::prefetch_of_register,
    },
    Difference {
        what: "MOVSXD of 16 bits",
        source: "Intel SDM vol. 2, MOVSXD r16, r/m16; Zen 3 reads 32 bits (measured)",
        apply: results::movsxd,
    },
    Difference {
        what: "PUSH, POP of a segment register",
        source: "Intel SDM vol. 2, PUSH: 16 bits of a slot of 32; Zen 3 all of it (measured)",
        apply: results::segment_on_stack,
    },
    Difference {
        what: "ENTER of 32 bits on a 16-bit stack",
        source: "Intel SDM vol. 2 and AMD APM vol. 3, ENTER: unsaid whether SP or ESP is pushed",
        apply: results::enter,
    },
    Difference {
        what: "66h before a near branch in 64-bit code",
        source: "Intel SDM vol. 2, Jcc, JMP, CALL, RET: ignored; AMD APM vol. 3, operand size 16",
        apply: results::near_branch,
    },
    Difference {
        what: "far pointers with REX.W",
        source: "Intel SDM vol. 2, LFS, JMP, CALL: m16:64; AMD APM vol. 3: m16:32",
        apply: results::far_pointer,
    },
    Difference {
        what: "SYSCALL, SYSRET outside 64-bit code",
        source: "Intel SDM vol. 2, SYSCALL and SYSRET: #UD; AMD APM vol. 3",
        apply: faults::fast_system_call,
    },
    Difference {
        what: "LOCK before MOV of CR0",
        source: "AMD APM vol. 3, MOV CRn: CR8; Intel SDM vol. 2, LOCK: #UD",
        apply: faults::locked_cr8,
    },
    Difference {
        what: "LOCK before VERW",
        source: "Intel SDM vol. 2, LOCK: #UD; Zen 3 ignores it (measured)",
        apply: faults::locked_verw,
    },
    Difference {
        what: "no instruction of more than 15 bytes",
        source: "Intel SDM vol. 3A section 6.15, #UD and #GP; AMD APM vol. 2 section 8.2",
        apply: faults::length_limit,
    },
    Difference {
        what: "bytes fetched of no instruction, at a page end",
        source: "Intel SDM vol. 2, UD, and appendix A; AMD APM vol. 3 appendix A",
        apply: faults::fetched_bytes,
    },
    Difference {
        what: "EVEX",
        source: "Intel SDM vol. 1 chapter 15; Zen 3 has no AVX-512 (AMD APM vol. 3, CPUID)",
        apply: faults::evex,
    },
    Difference {
        what: "a near CALL to where no code is",
        source: "Intel SDM vol. 2 and AMD APM vol. 3, CALL: pushed before or after the check",
        apply: faults::call_target,
    },
    Difference {
        what: "accesses around the end of a segment of 4 GiB",
        source: "Intel SDM vol. 3A section 5.3: may or may not fault",
        apply: faults::end_of_segment,
    },
    Difference {
        what: "a canonical address by a segment base",
        source: "Intel SDM vol. 1 section 3.3.7.1: the sum; Zen 3 the offset, too (measured)",
        apply: faults::canonical_offset,
    },
    Difference {
        what: "#AC or #GP of an unaligned XSAVE area",
        source: "Intel SDM vol. 2, FXSAVE, XSAVE, XRSTOR: either",
        apply: faults::unaligned_area,
    },
    Difference {
        what: "order of #AC and other faults of an access",
        source: "Intel SDM vol. 3A section 6.9; AMD APM vol. 2 section 8.5",
        apply: faults::alignment_order,
    },
    Difference {
        what: "#AC of unaligned vector moves",
        source: "Intel SDM vol. 2, MOVUPS, MOVDQU: may or may not be raised",
        apply: faults::unaligned_move,
    },
    Difference {
        what: "#AC of unaligned operands of 16 bytes and more with VEX",
        source: "Intel SDM vol. 3A section 6.15, #AC: up to quadwords; Zen 3 more (measured)",
        apply: faults::unaligned_vex,
    },
    Difference {
        what: "alignment of SHA operands",
        source: "Intel SDM vol. 2, SHA1MSG1 and its kin, type 4: #GP; Zen 3 takes any",
        apply: faults::sha_alignment,
    },
    Difference {
        what: "parts of the XSAVE area that are touched",
        source: "Intel SDM vol. 1 section 13.4 to 13.11; AMD APM vol. 4, XSAVE, XRSTOR",
        apply: faults::xsave_area,
    },
    Difference {
        what: "MASKMOVDQU, MASKMOVQ: bytes that are not chosen",
        source: "Intel SDM vol. 2, MASKMOVDQU: faults are of the implementation; AMD APM vol. 4",
        apply: faults::masked_store,
    },
    Difference {
        what: "BOUND: the lower bound before the upper is read",
        source: "Intel SDM vol. 2 and AMD APM vol. 3, BOUND: no order",
        apply: faults::bound,
    },
    Difference {
        what: "x87 stores with an unmasked exception to where none can be",
        source: "Intel SDM vol. 1 section 8.5 and AMD APM vol. 1 section 6.8: nothing is stored",
        apply: faults::x87_store,
    },
    Difference {
        what: "x87 stores of 80 bits over a page end",
        source: "Intel SDM vol. 3A section 8.1.1: some of several accesses may complete",
        apply: faults::split_store,
    },
    Difference {
        what: "order of the faults of both operands of CMPS, MOVS",
        source: "Intel SDM vol. 2 and AMD APM vol. 3, CMPS and MOVS: no order",
        apply: faults::string_operands,
    },
    Difference {
        what: "elements of VMASKMOV, VPMASKMOV behind the last address of their size",
        source: "Intel SDM vol. 2 and AMD APM vol. 4: unsaid; Zen 3 wraps them, Zen 5 not (measured)",
        apply: faults::masked_move,
    },
    Difference {
        what: "RIP behind INT1",
        source: "Intel SDM vol. 2, INT1: a trap; under a hypervisor that injects #DB it may be a fault's",
        apply: faults::int1,
    },
    Difference {
        what: "order of the checks of RET far, IRET",
        source: "Intel SDM vol. 2 and AMD APM vol. 3, RET and IRET, Operation",
        apply: far_returns::far_return,
    },
    Difference {
        what: "the slots of CS and SS that far returns read",
        source: "Intel SDM vol. 2 and AMD APM vol. 3, RET, Operation: 16 bits, all of it",
        apply: far_returns::far_return_slot,
    },
    Difference {
        what: "far returns from 64-bit code to EIP",
        source: "Intel SDM vol. 2, RET: EIP within the limit; AMD APM vol. 3, RET: RIP",
        apply: far_returns::far_return_to_eip,
    },
];
