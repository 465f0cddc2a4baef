//! Registers: general ones, segments, x87 and SSE.

use super::Scene;
use crate::mode;
use crate::names::{GPRS, SEGMENTS, segment_kind};
use crate::text::{Line, Style};
use cutaway_cpu::CpuState;
use cutaway_isa::{CodeSize, Rflags};

/// The status and control flags from the left, as manuals draw them.
const FLAGS: [(Rflags, &str); 16] = [
    (Rflags::ID, "ID"),
    (Rflags::VIP, "VIP"),
    (Rflags::VIF, "VIF"),
    (Rflags::AC, "AC"),
    (Rflags::VM, "VM"),
    (Rflags::RF, "RF"),
    (Rflags::NT, "NT"),
    (Rflags::OF, "OF"),
    (Rflags::DF, "DF"),
    (Rflags::IF, "IF"),
    (Rflags::TF, "TF"),
    (Rflags::SF, "SF"),
    (Rflags::ZF, "ZF"),
    (Rflags::AF, "AF"),
    (Rflags::PF, "PF"),
    (Rflags::CF, "CF"),
];

/// General registers in pairs, the instruction pointer, the flags.
pub(super) fn general(scene: &Scene<'_>) -> Vec<Line> {
    let (state, before) = (scene.state, scene.before);
    let long = mode::is_long(state);
    let count = if long { 16 } else { 8 };
    let mut lines = Vec::new();
    let half = count / 2;
    for row in 0..half {
        let mut line = Line::default();
        for n in [row, row + half] {
            let name = register_name(n, long);
            line = line.and(Style::Name, format!("{name:<4}"));
            line = line.value(digits(state.gpr[n], long), state.gpr[n] != before.gpr[n]);
        }
        lines.push(line);
    }
    let name = if long { "RIP " } else { "EIP " };
    let ip = Line::default().and(Style::Name, name).value(digits(state.rip, long), false);
    lines.push(ip.and(Style::Dim, mode::name(state)));
    lines.push(flags(state, before));
    lines
}

fn flags(state: &CpuState, before: &CpuState) -> Line {
    let mut line =
        Line::default().and(Style::Name, "FLAGS ").value(format!("{:08x}", state.rflags), false);
    for (flag, name) in FLAGS {
        let is_set = state.rflags & flag.bits() != 0;
        let changed = (state.rflags ^ before.rflags) & flag.bits() != 0;
        // What is clear is shown small, so that nothing jumps about.
        let text = if is_set { name.to_owned() } else { name.to_ascii_lowercase() };
        let always = Rflags::STATUS | Rflags::IF | Rflags::DF | Rflags::TF;
        if is_set || changed || always.contains(flag) {
            line = line.value(text, changed);
        }
    }
    line.and(Style::Plain, format!("IOPL {}", state.rflags >> 12 & 3))
}

fn register_name(n: usize, long: bool) -> String {
    if long { GPRS[n].to_owned() } else { GPRS[n].replacen('R', "E", 1) }
}

fn digits(value: u64, long: bool) -> String {
    if long { format!("{value:016x}") } else { format!("{:08x}", value as u32) }
}

/// Selectors, bases, limits and what the descriptor caches say.
pub(super) fn segments(scene: &Scene<'_>) -> Vec<Line> {
    let (state, before) = (&scene.state.system, &scene.before.system);
    let mut lines = Vec::new();
    for (name, seg) in SEGMENTS {
        let (now, was) = (&state.segments[seg as usize], &before.segments[seg as usize]);
        let line = Line::default()
            .and(Style::Name, format!("{name:<5}"))
            .value(format!("{:04x}", now.selector), now.selector != was.selector)
            .and(Style::Dim, "base ")
            .value(format!("{:x}", now.base), now.base != was.base)
            .and(Style::Dim, "limit ")
            .value(format!("{:x}", now.limit), now.limit != was.limit)
            .and(Style::Plain, segment_kind(now.attributes));
        lines.push(line);
    }
    let tables = [("GDTR", state.gdtr, before.gdtr), ("IDTR", state.idtr, before.idtr)];
    for (name, now, was) in tables {
        let line = Line::default()
            .and(Style::Name, format!("{name:<10}"))
            .and(Style::Dim, "base ")
            .value(format!("{:x}", now.base), now.base != was.base)
            .and(Style::Dim, "limit ")
            .value(format!("{:x}", now.limit), now.limit != was.limit);
        lines.push(line);
    }
    lines
}

/// The x87 stack from ST(0) on, and its control, status and tag words.
pub(super) fn fpu(scene: &Scene<'_>) -> Vec<Line> {
    let (x87, before) = (&scene.state.x87, &scene.before.x87);
    let words = [
        ("FCW", x87.control(), before.control()),
        ("FSW", x87.status(), before.status()),
        ("FTW", x87.tag_word(), before.tag_word()),
    ];
    let mut line = Line::default();
    for (name, now, was) in words {
        line = line.and(Style::Name, format!("{name} ")).value(format!("{now:04x}"), now != was);
    }
    let mut lines = vec![line.and(Style::Dim, format!("TOP {}", x87.status() >> 11 & 7))];
    for n in 0..8 {
        let (now, was) = (x87.st(n), before.st(n));
        let changed = (now.sign_exponent, now.significand) != (was.sign_exponent, was.significand);
        let digits = format!("{:04x} {:016x}", now.sign_exponent, now.significand);
        let line = Line::default().and(Style::Name, format!("ST{n} ")).value(digits, changed);
        let meaning = if x87.is_empty(n) {
            "empty".to_owned()
        } else {
            about(now.sign_exponent, now.significand)
        };
        lines.push(line.and(Style::Dim, meaning));
    }
    lines
}

/// An 80-bit number in decimal, to the 17 digits that a `f64` can tell apart.
fn about(sign_exponent: u16, significand: u64) -> String {
    let sign = if sign_exponent & 0x8000 != 0 { "-" } else { "" };
    let exponent = i32::from(sign_exponent & 0x7fff);
    match (exponent, significand) {
        (_, 0) => format!("{sign}0"),
        (0x7fff, 0x8000_0000_0000_0000) => format!("{sign}infinity"),
        (0x7fff, _) => "NaN".to_owned(),
        _ => {
            let power = exponent - 16_383 - 63;
            let value = significand as f64 * 2_f64.powi(power);
            if value == 0.0 || value.is_infinite() {
                format!("{sign}{significand:#x} * 2^{power}")
            } else {
                format!("{sign}{value:e}")
            }
        }
    }
}

/// XMM registers, with the upper halves where AVX is on.
pub(super) fn sse(scene: &Scene<'_>) -> Vec<Line> {
    let (state, before) = (scene.state, scene.before);
    let changed = state.mxcsr != before.mxcsr;
    let line = Line::default().and(Style::Name, "MXCSR ");
    let mut lines = vec![line.value(format!("{:08x}", state.mxcsr), changed)];
    let avx = state.system.xcr0 & cutaway_isa::Xcr0::AVX.bits() != 0;
    let count = if mode::code_size(state) == CodeSize::Bits64 { 16 } else { 8 };
    for n in 0..count {
        let (low, high) = (state.xmm[n].to_u128(), state.ymm_high[n].to_u128());
        let (low_was, high_was) = (before.xmm[n].to_u128(), before.ymm_high[n].to_u128());
        let mut line = Line::default();
        if avx {
            line = line.and(Style::Name, format!("YMM{n:<3}"));
            line = line.value(format!("{high:032x}"), high != high_was);
        } else {
            line = line.and(Style::Name, format!("XMM{n:<3}"));
        }
        lines.push(line.value(format!("{low:032x}"), low != low_was));
    }
    lines
}
