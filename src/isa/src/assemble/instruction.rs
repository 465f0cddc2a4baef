//! One instruction: which opcodes take its operands, and which of their encodings is shortest.

use iced_x86::{
    Code, CodeSize as BuiltSize, Encoder, Instruction as Built, MandatoryPrefix, OpCodeInfo,
    OpCodeOperandKind as Want, OpKind, Register,
};

use super::address::place;
use super::error::{AssembleCause, At};
use super::expression::Scope;
use super::form::{Op, What, put, put_hidden, takes, visible};
use super::implied::readings;
use super::names::{Prefixes, size_word};
use super::operand::{Distance, Operand, OperandKind};
use super::table::Entry;
use crate::decode::{CodeSize, decode};

#[derive(Clone, Debug)]
pub(super) struct Instruction {
    pub(super) column: usize,
    /// In lower case.
    pub(super) name: String,
    pub(super) prefixes: Prefixes,
    pub(super) operands: Vec<Operand>,
    pub(super) entry: &'static Entry,
}

/// The bytes of an instruction.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    /// The bytes depend on the address of the instruction.
    pub(super) anchored: bool,
}

/// An opcode and the reading of the operands that it takes.
struct Candidate<'a> {
    code: Code,
    info: &'static OpCodeInfo,
    ops: &'a [Op],
}

/// Code sizes in the order of [`CodeSize`].
const SIZES: [u32; 3] = [16, 32, 64];

impl Instruction {
    /// Whether it has the same operands everywhere and always.
    pub(super) fn is_constant(&self) -> bool {
        self.operands.iter().all(|operand| match &operand.kind {
            OperandKind::Register(_) => true,
            OperandKind::Immediate(value) => value.is_constant(),
            OperandKind::FarPointer(a, b) => a.is_constant() && b.is_constant(),
            OperandKind::Memory(address) => address.expression.is_constant(),
        })
    }

    /// Steps to work its operands out.
    pub(super) fn steps(&self) -> usize {
        let steps = self.operands.iter().map(|operand| match &operand.kind {
            OperandKind::Register(_) => 0,
            OperandKind::Immediate(value) => value.len(),
            OperandKind::FarPointer(a, b) => a.len() + b.len(),
            OperandKind::Memory(address) => address.expression.len(),
        });
        steps.sum()
    }

    /// The shortest encoding of at least `least` bytes, or the longest one.
    pub(super) fn encode(
        &self,
        scope: &Scope<'_>,
        size: CodeSize,
        least: usize,
    ) -> Result<Encoded, At> {
        let bits = size.bits();
        if let Some(wrong) = self
            .prefixes
            .address_size
            .filter(|other| matches!((bits, other), (16 | 32, 64) | (64, 16)))
        {
            let cause = self.encoding(&format!("{bits}-bit code has no addresses of {wrong} bits"));
            return Err((self.column, cause));
        }
        let mut ops = self.resolve(scope, bits)?;
        if let Some(immediate) = self.entry.immediate {
            ops.push(Op::immediate(immediate.into(), self.column));
        }
        let readings = readings(&self.name, &ops, bits, &self.prefixes, self.column);
        let address_bits = self.prefixes.address_size.or(readings.address_size).unwrap_or(bits);
        let find = |lists: &'_ [Vec<Op>]| -> Vec<(Code, usize)> {
            let all = lists.iter().enumerate();
            all.flat_map(|(n, ops)| self.codes(ops, bits, address_bits).map(move |c| (c, n)))
                .collect()
        };
        let mut lists = &readings.first;
        let mut found = find(lists);
        if found.is_empty() {
            lists = &readings.then;
            found = find(lists);
        }
        let mut candidates: Vec<Candidate<'_>> = found
            .into_iter()
            .map(|(code, n)| Candidate { code, info: code.op_code(), ops: &lists[n] })
            .collect();
        if candidates.is_empty() {
            return Err((self.column, self.no_form(&readings.first, bits)));
        }
        self.settle_memory_size(&mut candidates)?;
        let others = self.settle_operand_size(&mut candidates, bits)?;
        let result = self.shortest(&candidates, scope.here, size, address_bits, least);
        // A number that only the other operand size holds: the disassembler writes it so.
        let range = matches!(result, Err((_, AssembleCause::Range { .. })));
        if range && self.name == "push" && !others.is_empty() {
            return self.shortest(&others, scope.here, size, address_bits, least).or(result);
        }
        result
    }

    fn encoding(&self, reason: &str) -> AssembleCause {
        AssembleCause::Encoding { name: self.name.clone(), reason: reason.to_owned() }
    }

    fn resolve(&self, scope: &Scope<'_>, bits: u32) -> Result<Vec<Op>, At> {
        let address_bits = self.prefixes.address_size.unwrap_or(bits);
        let resolve = |operand: &Operand| {
            let what = match &operand.kind {
                OperandKind::Register(register) => What::Register(*register),
                OperandKind::Immediate(value) => {
                    let value = value.value(scope)?;
                    // What is not known yet is taken for near, so that jumps start short.
                    let number = if value.unknown { scope.here.into() } else { value.number };
                    let small = value.unknown && !self.entry.branches;
                    What::Immediate(if small { 0 } else { number }, value.section != 0)
                }
                OperandKind::FarPointer(selector, offset) => {
                    What::Far(selector.value(scope)?.number, offset.value(scope)?.number)
                }
                OperandKind::Memory(address) => {
                    let mut value = address.expression.value(scope)?;
                    if value.unknown {
                        value.number = scope.here.into();
                    }
                    let place = place(address, &value, bits, address_bits)
                        .map_err(|cause| (operand.column, cause))?;
                    What::Memory(place)
                }
            };
            Ok(Op { column: operand.column, words: operand.words, what })
        };
        self.operands.iter().map(resolve).collect()
    }

    /// The opcodes that take the operands.
    fn codes<'a>(
        &'a self,
        ops: &'a [Op],
        bits: u32,
        address_bits: u32,
    ) -> impl Iterator<Item = Code> + 'a {
        self.entry.codes.iter().copied().filter(move |code| {
            let info = code.op_code();
            let address = info.address_size();
            // Elsewhere an operand says the address size, or the name: jecxz.
            let open = self.name.starts_with('j')
                || ops.iter().any(|op| matches!(op.what, What::Register(_) | What::Memory(_)));
            exists(info, bits)
                && (address == 0 || address == address_bits || open)
                && takes(*code, ops, bits)
                // An address gets all its 64 bits, unless a size says otherwise.
                && !(*code == Code::Mov_rm64_imm32 && is_address_in_register(ops))
                // This opcode without a prefix is NOP.
                && !(bits == 64 && *code == Code::Xchg_r32_EAX && both_eax(ops))
        })
    }

    /// Why no opcode takes the operands.
    fn no_form(&self, lists: &[Vec<Op>], bits: u32) -> AssembleCause {
        let fits = |other: &u32| {
            lists.iter().any(|ops| {
                let mut codes = self.entry.codes.iter();
                codes.any(|code| exists(code.op_code(), *other) && takes(*code, ops, *other))
            })
        };
        let others: Vec<u32> =
            SIZES.into_iter().filter(|other| *other != bits).filter(fits).collect();
        let infos = || self.entry.codes.iter().map(|code| code.op_code());
        let here = infos().any(|info| exists(info, bits));
        let only = |what: String, others: &[u32]| {
            let others: Vec<String> = others.iter().map(|bits| format!("{bits}-bit")).collect();
            let others = format!("{} code", others.join(" and "));
            AssembleCause::CodeSize { what, bits, others }
        };
        if !here {
            let others: Vec<u32> =
                SIZES.into_iter().filter(|bits| infos().any(|info| exists(info, *bits))).collect();
            return only(self.name.clone(), &others);
        }
        if !others.is_empty() {
            return only(format!("{} with these operands", self.name), &others);
        }
        let mut forms: Vec<String> = Vec::new();
        for info in infos().filter(|info| exists(info, bits)) {
            let form = info.instruction_string().to_ascii_lowercase();
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        let more = forms.len().saturating_sub(6);
        forms.truncate(6);
        if more > 0 {
            forms.push(format!("and {more} more"));
        }
        AssembleCause::Operands { name: self.name.clone(), forms }
    }

    /// A memory operand without a size must leave no choice.
    fn settle_memory_size(&self, candidates: &mut Vec<Candidate<'_>>) -> Result<(), At> {
        let Some(memory) = self.operands.iter().find(|operand| {
            matches!(operand.kind, OperandKind::Memory(_)) && operand.words.size.is_none()
        }) else {
            return Ok(());
        };
        let size_of = |candidate: &Candidate<'_>| candidate.info.memory_size().size();
        // The size of an immediate is as good: mov [ebx], dword 5.
        let immediate = self.operands.iter().find_map(|operand| match operand.kind {
            OperandKind::Immediate(_) => operand.words.size,
            _ => None,
        });
        if let Some(size) = immediate
            && candidates.iter().any(|candidate| size_of(candidate) == size as usize)
        {
            candidates.retain(|candidate| size_of(candidate) == size as usize);
        }
        let far = memory.words.distance == Some(Distance::Far);
        let by_code_size = far
            || matches!(
                self.name.as_str(),
                "call" | "jmp" | "fldenv" | "fstenv" | "fnstenv" | "fsave" | "fnsave" | "frstor"
            );
        let by_prefix = self.prefixes.operand_size.is_some();
        if by_code_size || by_prefix {
            return Ok(());
        }
        if matches!(self.name.as_str(), "cvtsi2ss" | "cvtsi2sd" | "vcvtsi2ss" | "vcvtsi2sd") {
            candidates.retain(|candidate| size_of(candidate) != 8);
        }
        let mut sizes: Vec<usize> = candidates.iter().map(size_of).collect();
        sizes.sort_unstable();
        sizes.dedup();
        if sizes.len() <= 1 {
            return Ok(());
        }
        let words = sizes.into_iter().filter_map(size_word).collect();
        Err((memory.column, AssembleCause::SizeOpen(words)))
    }

    /// Where the operands leave the operand size open, that of the code segment or of a prefix.
    /// The candidates that the code segment alone has ruled out are given back.
    fn settle_operand_size<'a>(
        &self,
        candidates: &mut Vec<Candidate<'a>>,
        bits: u32,
    ) -> Result<Vec<Candidate<'a>>, At> {
        let size = |candidate: &Candidate<'_>| candidate.info.operand_size();
        if let Some(asked) = self.prefixes.operand_size {
            candidates.retain(|candidate| size(candidate) == asked);
            if candidates.is_empty() {
                let cause = self.encoding(&format!("it has no operand size of {asked} bits"));
                return Err((self.column, cause));
            }
            return Ok(Vec::new());
        }
        let wide = |candidate: &Candidate<'_>| {
            candidate.info.default_op_size64() || candidate.info.force_op_size64()
        };
        let far = self.operands.iter().any(|operand| operand.words.distance == Some(Distance::Far));
        let usual = match bits {
            64 if far => 64,
            64 if candidates.iter().any(wide) => 64,
            64 => 32,
            bits => bits,
        };
        let is_usual =
            |candidate: &Candidate<'_>| matches!(size(candidate), 0) || size(candidate) == usual;
        // Registers and sizes have been compared: what differs now is open.
        let open = |candidate: &Candidate<'_>| !self.says_size(candidate);
        if !candidates.iter().any(|candidate| is_usual(candidate) && open(candidate)) {
            return Ok(Vec::new());
        }
        let (kept, others) = std::mem::take(candidates)
            .into_iter()
            .partition(|candidate| is_usual(candidate) || !open(candidate));
        *candidates = kept;
        Ok(others)
    }

    /// Whether an operand says how large the operands are.
    fn says_size(&self, candidate: &Candidate<'_>) -> bool {
        candidate.ops.iter().any(|op| {
            let register = op.as_register();
            let general = register.is_some_and(|register| {
                register.is_gpr16() || register.is_gpr32() || register.is_gpr64()
            });
            general || op.words.size.is_some()
        })
    }

    /// The best encoding of all candidates.
    fn shortest(
        &self,
        candidates: &[Candidate<'_>],
        here: u64,
        size: CodeSize,
        address_bits: u32,
        least: usize,
    ) -> Result<Encoded, At> {
        let mut best: Option<Encoded> = None;
        let mut error = None;
        let mut encoder = Encoder::new(size.bits());
        for candidate in candidates {
            match self.build(candidate, &mut encoder, here, size, address_bits) {
                Ok(encoded) => {
                    let better = best.as_ref().is_none_or(|best| {
                        let (new, old) = (encoded.bytes.len(), best.bytes.len());
                        let tie = new == old && extends(candidate.info);
                        if old < least { new > old } else { (new < old || tie) && new >= least }
                    });
                    if better {
                        best = Some(encoded);
                    }
                }
                // The last opcode is the one with the most room.
                Err(new) => error = Some(new),
            }
        }
        let none = || (self.column, self.encoding("no form of it fits"));
        best.ok_or_else(|| error.unwrap_or_else(none))
    }

    fn build(
        &self,
        candidate: &Candidate<'_>,
        encoder: &mut Encoder,
        here: u64,
        size: CodeSize,
        address_bits: u32,
    ) -> Result<Encoded, At> {
        let mut built = Built::default();
        built.set_code(candidate.code);
        built.set_code_size(match size {
            CodeSize::Bits16 => BuiltSize::Code16,
            CodeSize::Bits32 => BuiltSize::Code32,
            CodeSize::Bits64 => BuiltSize::Code64,
        });
        for (want, op) in visible(candidate.info).zip(candidate.ops) {
            put(&mut built, want, op).map_err(|cause| (op.column, cause))?;
        }
        put_hidden(&mut built, candidate.info, address_bits);
        let prefixes = &self.prefixes;
        built.set_has_lock_prefix(prefixes.lock);
        built.set_has_rep_prefix(prefixes.rep);
        built.set_has_repne_prefix(prefixes.repne);
        if let Some(segment) = prefixes.segment {
            built.set_segment_prefix(segment);
        }
        let result = encoder.encode(&built, here);
        let mut bytes = encoder.take_buffer();
        if let Err(error) = result {
            return Err((self.column, self.refused(candidate, here, &error.to_string())));
        }
        order_prefixes(&mut bytes, prefixes, candidate.info);
        if decode(size, &bytes, here).is_err() {
            let reason = if prefixes.lock {
                "it does not take lock, or not with these operands"
            } else {
                "there is no such instruction"
            };
            return Err((self.column, self.encoding(reason)));
        }
        let near = |kind: OpKind| {
            matches!(kind, OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
        };
        let anchored = (0..built.op_count()).any(|n| near(built.op_kind(n)))
            || matches!(built.memory_base(), Register::RIP | Register::EIP);
        Ok(Encoded { bytes, anchored })
    }

    /// What the encoder did not like, in our words where it is a distance.
    fn refused(&self, candidate: &Candidate<'_>, here: u64, reason: &str) -> AssembleCause {
        let target = candidate.ops.iter().find_map(|op| match op.what {
            What::Immediate(number, _) => Some(number),
            What::Memory(place) if place.base == Register::RIP => Some(place.displacement.into()),
            _ => None,
        });
        if let Some(target) = target
            && (self.entry.branches || reason.contains("RIP"))
        {
            let distance = target - i128::from(here);
            let value = format!("the distance of {distance} bytes");
            let short = format!("{:?}", candidate.code).contains("rel8");
            let place = if short { "a short jump" } else { "32 bits" };
            return AssembleCause::Range { value, place: place.to_owned() };
        }
        if reason.contains("Displacement must fit") {
            let text = "the displacement is too long for its field";
            return AssembleCause::Address(text.to_owned());
        }
        let reason = reason.split_once(": ").map_or(reason, |(_, reason)| reason);
        self.encoding(reason)
    }
}

/// Whether the opcode takes a byte that it extends: of two equally short ones NASM takes that.
fn extends(info: &OpCodeInfo) -> bool {
    let kinds = info.op_kinds();
    kinds.iter().any(|want| matches!(want, Want::imm8sex16 | Want::imm8sex32 | Want::imm8sex64))
}

fn is_address_in_register(ops: &[Op]) -> bool {
    matches!(ops, [to, Op { what: What::Immediate(_, true), words, .. }]
        if to.as_register().is_some() && words.size.is_none())
}

fn both_eax(ops: &[Op]) -> bool {
    ops.iter().all(|op| op.as_register() == Some(Register::EAX))
}

/// Whether the opcode exists in code of that size, and the decoder knows it there.
fn exists(info: &OpCodeInfo, bits: u32) -> bool {
    let decoded = match bits {
        16 => info.amd_decoder16(),
        32 => info.amd_decoder32(),
        _ => info.amd_decoder64(),
    };
    // The decoder makes this of REX.W, though AMD's CPUs do not.
    let adapted = bits == 64 && info.code() == Code::Call_m1664;
    info.is_available_in_mode(bits) && (decoded || adapted)
}

/// Prefixes in NASM's order: repetition, lock, segment, operand size, address size, and last those
/// that belong to the opcode.
fn order_prefixes(bytes: &mut [u8], prefixes: &Prefixes, info: &OpCodeInfo) {
    let is_prefix = |byte: &u8| crate::length::PREFIXES.contains(byte);
    let count = bytes.iter().take_while(|byte| is_prefix(byte)).count();
    let repeat = if prefixes.rep { 0xf3 } else { 0xf2 };
    let repeats = prefixes.rep || prefixes.repne;
    bytes[..count].sort_by_key(|byte| match byte {
        0xf2 | 0xf3 if repeats && *byte == repeat => 0,
        0xf0 => 1,
        0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 => 2,
        0x66 if info.mandatory_prefix() != MandatoryPrefix::P66 => 3,
        0x67 => 4,
        _ => 5,
    });
}
