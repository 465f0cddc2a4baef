//! The arithmetic against silicon: rows captured from a processor, checked on every host.
//!
//! A row of `vectors/x80.txt` is one x87 instruction as an AMD Zen 4 (EPYC, family 25, model 17)
//! ran it: `name control ST(0) ST(1) memory | status ST(0) ST(1) memory`, all hexadecimal, with
//! 80-bit numbers as sign and exponent, then significand; memory is `-` where none is involved.
//! Before each, C0 to C3 are set. `status` is what the status word holds of exceptions and codes.
//! Basic operations must agree in each bit, transcendental ones but for one unit of the last
//! place and C1 (the processor's results are not always the correctly rounded ones).

use super::x80_compare::{QuietNans, compare, examine};
use super::x80_remainder::{Quotient, remainder};
use super::{Context, F80, Rounding};
use super::{x80_arith as arith, x80_convert as convert, x80_exp_log as exp_log};
use super::{x80_scale as scale, x80_trig as trig};

const ROWS: &str = include_str!("vectors/x80.txt");
const ALL_CODES: u16 = 0x4700;
const C1: u16 = 0x0200;
const C2: u16 = 0x0400;

/// What an instruction starts from and what it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    status: u16,
    st: [F80; 2],
    memory: [u8; 10],
}

/// What decides whether an unmasked exception undoes an instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Arithmetic,
    Load,
    Store,
    Transcendental,
}

fn number(text: &str) -> F80 {
    let (high, low) = text.split_at(4);
    F80::new(u16::from_str_radix(high, 16).unwrap(), u64::from_str_radix(low, 16).unwrap())
}

fn memory(text: &str) -> [u8; 10] {
    let mut bytes = [0; 10];
    if text != "-" {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[18 - 2 * i..20 - 2 * i], 16).unwrap();
        }
    }
    bytes
}

fn word(text: &str) -> u16 {
    u16::from_str_radix(text, 16).unwrap()
}

fn low<const N: usize>(memory: [u8; 10]) -> [u8; N] {
    memory[..N].try_into().unwrap()
}

/// Runs one instruction by name.
fn run(name: &str, c: &mut Context, given: State) -> (Kind, State) {
    use Kind::{Arithmetic, Load, Store, Transcendental};
    let [a, b] = given.st;
    let m = given.memory;
    let one = |kind, value| (kind, State { st: [value, b], ..given });
    let load = |value| (Load, State { st: [value, a], ..given });
    let store = |bytes: &[u8], st| {
        let mut memory = m;
        memory[..bytes.len()].copy_from_slice(bytes);
        (Store, State { memory, st, ..given })
    };
    let popped = |value| (Transcendental, State { st: [value, F80::ZERO], ..given });
    let pushed = |value, above, out_of_range: bool| {
        let st = if out_of_range { [a, b] } else { [above, value] };
        (Transcendental, State { st, ..given })
    };
    match name {
        "fadd" => one(Arithmetic, arith::add(c, a, b)),
        "fsub" => one(Arithmetic, arith::sub(c, a, b)),
        "fsubr" => one(Arithmetic, arith::sub(c, b, a)),
        "fmul" => one(Arithmetic, arith::mul(c, a, b)),
        "fdiv" => one(Arithmetic, arith::div(c, a, b)),
        "fdivr" => one(Arithmetic, arith::div(c, b, a)),
        "fsqrt" => one(Arithmetic, arith::sqrt(c, a)),
        "frndint" => one(Arithmetic, scale::round_to_integer(c, a)),
        "fscale" => one(Arithmetic, scale::scale(c, a, b)),
        "fprem" => one(Arithmetic, remainder(c, a, b, Quotient::Truncated)),
        "fprem1" => one(Arithmetic, remainder(c, a, b, Quotient::Nearest)),
        "fxtract" => {
            let (significand, exponent) = scale::extract(c, a);
            (Arithmetic, State { st: [significand, exponent], ..given })
        }
        "fcom" => {
            compare(c, a, b, QuietNans::Invalid);
            one(Arithmetic, a)
        }
        "fucom" => {
            compare(c, a, b, QuietNans::Allowed);
            one(Arithmetic, a)
        }
        "ftst" => {
            compare(c, a, F80::ZERO, QuietNans::Invalid);
            one(Arithmetic, a)
        }
        "fxam" => {
            (c.status, c.replaces) = (examine(a, false), ALL_CODES);
            one(Arithmetic, a)
        }
        "fldm32" => load(convert::from_f32(c, u32::from_le_bytes(low(m)))),
        "fldm64" => load(convert::from_f64(c, u64::from_le_bytes(low(m)))),
        "fildm16" => load(convert::from_integer(i16::from_le_bytes(low(m)).into())),
        "fildm32" => load(convert::from_integer(i32::from_le_bytes(low(m)).into())),
        "fildm64" => load(convert::from_integer(i64::from_le_bytes(low(m)))),
        "fbld" => load(convert::from_bcd(m)),
        "fstm32" => store(&convert::to_f32(c, a).to_le_bytes(), [a, b]),
        "fstm64" => store(&convert::to_f64(c, a).to_le_bytes(), [a, b]),
        "fistm16" | "fistm32" | "fistpm64" | "fisttpm16" | "fisttpm64" => {
            let bits: usize = name[name.len() - 2..].parse().unwrap();
            let (mode, st) = match name {
                _ if name.starts_with("fistt") => (Rounding::Zero, [b, F80::ZERO]),
                "fistpm64" => (c.rounding(), [b, F80::ZERO]),
                _ => (c.rounding(), [a, b]),
            };
            let value = convert::to_integer(c, a, bits as u32, mode);
            store(&value.to_le_bytes()[..bits / 8], st)
        }
        "fbstp" => store(&convert::to_bcd(c, a), [b, F80::ZERO]),
        "f2xm1" => one(Transcendental, exp_log::exp2_minus_1(c, a)),
        "fyl2x" => popped(exp_log::y_log2_x(c, a, b)),
        "fyl2xp1" => popped(exp_log::y_log2_x_plus_1(c, a, b)),
        "fpatan" => popped(trig::arctan(c, b, a)),
        "fsin" => one(Transcendental, trig::sin(c, a)),
        "fcos" => one(Transcendental, trig::cos(c, a)),
        "fsincos" => {
            let (sin, cos) = trig::sin_cos(c, a);
            pushed(sin, cos, c.status & C2 != 0)
        }
        "fptan" => {
            let (tangent, one) = trig::tan(c, a);
            pushed(tangent, one, c.status & C2 != 0)
        }
        _ => panic!("unknown instruction {name}"),
    }
}

/// Whether two results of a transcendental instruction are at most a unit apart.
fn is_near(a: F80, b: F80) -> bool {
    let place = |x: F80| i128::from(x.exponent()) << 63 | i128::from(x.significand & !(1 << 63));
    a.is_negative() == b.is_negative() && (place(a) - place(b)).abs() <= 1
}

#[test]
fn every_row_agrees_with_silicon() {
    let (mut rows, mut inexact) = (0, 0);
    for line in ROWS.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').filter(|field| *field != "|").collect();
        let state = |status, at: usize| State {
            status,
            st: [number(fields[at]), number(fields[at + 1])],
            memory: memory(fields[at + 2]),
        };
        let (name, control) = (fields[0], word(fields[1]));
        let given = state(ALL_CODES, 2);
        let expected = state(word(fields[5]), 6);

        let mut context = Context::new(control);
        let (kind, mut result) = run(name, &mut context, given);
        let undone = match kind {
            Kind::Load => context.status & !control & 1 != 0,
            Kind::Store => context.blocks_store(),
            Kind::Arithmetic | Kind::Transcendental => context.blocks_result(),
        };
        if undone {
            result = given;
        }
        result.status = given.status & !context.replaces | context.status;

        rows += 1;
        if kind == Kind::Transcendental && result != expected {
            inexact += 1;
            assert!(is_near(result.st[0], expected.st[0]), "{line}\n{result:x?}");
            assert!(is_near(result.st[1], expected.st[1]), "{line}\n{result:x?}");
            assert_eq!(result.status & !C1, expected.status & !C1, "{line}\n{result:x?}");
        } else {
            assert_eq!(result, expected, "{line}");
        }
    }
    assert!(rows > 3000, "{rows} rows");
    assert!(inexact * 100 < rows, "{inexact} of {rows} rows differ in the last place or C1");
}
