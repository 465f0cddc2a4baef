//! MMX and SSE on the vCPU: which faults they raise, and the state images.
//!
//! What the instructions compute is in `sse_silicon.rs`; expected values here are the SDM's, and
//! those of an AMD Zen 4 where the manual leaves a choice.

mod bench;

use bench::{Bench, CODE};
use cutaway_cpu::float::F80;
use cutaway_cpu::vector::Xmm;
use cutaway_cpu::{CpuState, Exit, gpr};

const DATA: u64 = 0x20_0000;
const IDT: u64 = 0x5000;
const GDT: u64 = 0x4000;
/// Handlers lie 16 bytes apart; each is a HLT.
const HANDLERS: u64 = 0x6000;
const UD: u64 = 6;
const NM: u64 = 7;
const GP: u64 = 13;
const MF: u64 = 16;
const XM: u64 = 19;

const CR0_EM: u64 = 1 << 2;
const CR0_TS: u64 = 1 << 3;
const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const CR4_OSXSAVE: u64 = 1 << 18;

/// A vCPU in 64-bit mode with RDI at `DATA`, whose exceptions end at a HLT of their own.
fn bench(code: &[u8]) -> Bench {
    let mut bench = Bench::long(code);
    bench.bus.memory.write(CODE + code.len() as u64, &[0xf4]);
    bench.bus.memory.write(GDT + 8, &0x00af_9b00_0000_ffff_u64.to_le_bytes());
    for vector in 0..32 {
        let handler = HANDLERS + 16 * vector;
        let gate = handler | 8 << 16 | 0x8e00 << 32;
        bench.bus.memory.write(IDT + 16 * vector, &u128::from(gate).to_le_bytes());
        bench.bus.memory.write(handler, &[0xf4]);
    }
    bench.edit(|s| {
        (s.system.gdtr.base, s.system.gdtr.limit) = (GDT, 0xf);
        (s.system.idtr.base, s.system.idtr.limit) = (IDT, 0x1ff);
        s.gpr[gpr::RDI] = DATA;
        s.x87.initialize();
    });
    bench
}

/// Runs to a HLT: the state there, and the vector of the exception if it is a handler's.
fn run(bench: &mut Bench) -> (CpuState, Option<u64>) {
    assert_eq!(bench.cpu.run(&mut bench.bus, 1000), Exit::Halt);
    let state = bench.cpu.save();
    let vector = state.rip.checked_sub(HANDLERS + 1).map(|offset| offset / 16);
    let vector = vector.filter(|&vector| vector < 32);
    (state, vector)
}

/// The exception of an instruction after a change of the state.
fn exception(code: &[u8], change: impl FnOnce(&mut CpuState)) -> Option<u64> {
    let mut bench = bench(code);
    let mut state = bench.cpu.save();
    change(&mut state);
    bench.cpu.load(&state);
    run(&mut bench).1
}

const ADDPS: &[u8] = &[0x0f, 0x58, 0xc1];
const LDMXCSR: &[u8] = &[0x0f, 0xae, 0x17];
const PADDB_MMX: &[u8] = &[0x0f, 0xfc, 0xc1];
const MOVNTI: &[u8] = &[0x0f, 0xc3, 0x07];
const FXSAVE64: &[u8] = &[0x48, 0x0f, 0xae, 0x07];
const FXRSTOR64: &[u8] = &[0x48, 0x0f, 0xae, 0x0f];

/// SDM vol. 3A table 13-1 for MMX, vol. 2A table 2-21 and its neighbours for SSE.
#[test]
fn control_registers_decide_whether_there_is_mmx_and_sse() {
    let no_change = |_: &mut CpuState| {};
    let em = |s: &mut CpuState| s.system.cr0 |= CR0_EM;
    let ts = |s: &mut CpuState| s.system.cr0 |= CR0_TS;
    let em_ts = |s: &mut CpuState| s.system.cr0 |= CR0_EM | CR0_TS;
    let no_osfxsr = |s: &mut CpuState| s.system.cr4 &= !CR4_OSFXSR;

    for code in [ADDPS, LDMXCSR] {
        assert_eq!(exception(code, em), Some(UD));
        assert_eq!(exception(code, ts), Some(NM));
        assert_eq!(exception(code, em_ts), Some(UD));
        assert_eq!(exception(code, no_osfxsr), Some(UD));
    }
    assert_eq!(exception(ADDPS, no_change), None);
    assert_eq!(exception(PADDB_MMX, em), Some(UD));
    assert_eq!(exception(PADDB_MMX, ts), Some(NM));
    assert_eq!(exception(PADDB_MMX, no_osfxsr), None);
    assert_eq!(exception(FXSAVE64, em), Some(NM));
    assert_eq!(exception(FXSAVE64, ts), Some(NM));
    assert_eq!(exception(MOVNTI, em_ts), None, "an integer store");
}

#[test]
fn sixteen_byte_operands_must_be_aligned_but_for_movups() {
    let misaligned = |s: &mut CpuState| s.gpr[gpr::RDI] = DATA + 8;
    let across_pages = |s: &mut CpuState| s.gpr[gpr::RDI] = DATA + 0xff8;

    assert_eq!(exception(&[0x0f, 0x28, 0x07], misaligned), Some(GP), "movaps xmm0, [rdi]");
    assert_eq!(exception(&[0x0f, 0x29, 0x07], misaligned), Some(GP), "movaps [rdi], xmm0");
    assert_eq!(exception(&[0x66, 0x0f, 0xfc, 0x07], misaligned), Some(GP), "paddb xmm0, [rdi]");
    assert_eq!(exception(FXSAVE64, misaligned), Some(GP));
    assert_eq!(exception(&[0x0f, 0x10, 0x07], across_pages), None, "movups xmm0, [rdi]");
    assert_eq!(exception(&[0xf2, 0x0f, 0x58, 0x07], across_pages), None, "addsd xmm0, [rdi]");
    let pcmpistri = [0x66, 0x0f, 0x3a, 0x63, 0x07, 0];
    assert_eq!(exception(&pcmpistri, misaligned), None, "pcmpistri xmm0, [rdi], 0");
}

#[test]
fn an_unmasked_exception_leaves_its_flag_and_no_result() {
    let mut bench = bench(&[0xf2, 0x0f, 0x5e, 0xc1]); // divsd xmm0, xmm1
    let one = Xmm::from_halves(1.0_f64.to_bits(), 7);
    let mut state = bench.cpu.save();
    state.mxcsr = 0x1d80;
    state.xmm[0] = one;
    bench.cpu.load(&state);

    let (after, vector) = run(&mut bench);

    assert_eq!(vector, Some(XM));
    assert_eq!(after.mxcsr, 0x1d84, "ZE");
    assert_eq!(after.xmm[0], one);
}

#[test]
fn an_unmasked_exception_is_ud_without_osxmmexcpt() {
    let sqrtsd = [0xf2, 0x0f, 0x51, 0xc1];
    let invalid = |s: &mut CpuState| {
        s.mxcsr = 0x1f00;
        s.xmm[1] = Xmm::from_halves((-1.0_f64).to_bits(), 0);
        s.system.cr4 &= !CR4_OSXMMEXCPT;
    };

    assert_eq!(exception(&sqrtsd, invalid), Some(UD));
}

#[test]
fn reserved_bits_of_mxcsr_are_refused() {
    let mut bench = bench(LDMXCSR);
    bench.bus.memory.write(DATA, &0x0001_1f80_u32.to_le_bytes());
    let (after, vector) = run(&mut bench);
    assert_eq!((after.mxcsr, vector), (0x1f80, Some(GP)));

    let mut bench = self::bench(LDMXCSR);
    bench.bus.memory.write(DATA, &0xffff_u32.to_le_bytes());
    let (after, vector) = run(&mut bench);
    assert_eq!((after.mxcsr, vector), (0xffff, None));
}

#[test]
fn mmx_takes_the_x87_registers_and_emms_gives_them_back() {
    let mut bench = bench(&[0x0f, 0x6f, 0x07, 0x0f, 0x7f, 0x07]); // movq mm0, [rdi]; movq [rdi], mm0
    bench.bus.memory.write(DATA, &0x1122_3344_5566_7788_u64.to_le_bytes());
    bench.edit(|s| {
        s.gpr[gpr::RDI] = DATA;
        s.x87.set_top(5);
    });
    let (after, vector) = run(&mut bench);
    assert_eq!(vector, None);
    assert_eq!(after.x87.st(0), F80::new(0xffff, 0x1122_3344_5566_7788));
    assert_eq!((after.x87.top(), after.x87.abridged_tags()), (0, 0xff));

    let mut bench = self::bench(&[0x0f, 0x6f, 0x07, 0x0f, 0x77]); // movq mm0, [rdi]; emms
    let (after, _) = run(&mut bench);
    assert_eq!(after.x87.abridged_tags(), 0);
}

#[test]
fn mmx_reports_a_waiting_x87_exception() {
    let pending = |s: &mut CpuState| {
        s.x87.set_control(0x037e);
        s.x87.raise(1);
    };

    assert_eq!(exception(PADDB_MMX, pending), Some(MF));
    assert_eq!(exception(&[0x0f, 0x77], pending), Some(MF), "emms");
    assert_eq!(exception(ADDPS, pending), None);
}

#[test]
fn fxsave_lays_the_state_out_as_the_manual_says() {
    let mut bench = bench(FXSAVE64);
    bench.bus.memory.write(DATA, &[0xcc; 512]);
    let mut state = bench.cpu.save();
    state.x87.push(F80::new(0x3fff, 1 << 63));
    state.mxcsr = 0x1fa1;
    state.xmm[15] = Xmm::from_u128(0x15);
    bench.cpu.load(&state);

    run(&mut bench);

    let mut image = [0; 512];
    bench.bus.memory.read(DATA, &mut image);
    assert_eq!(image[..5], [0x7f, 0x03, 0x00, 0x38, 0x80], "FCW, FSW with TOP 7, one register");
    assert_eq!(image[24..32], [0xa1, 0x1f, 0, 0, 0xff, 0xff, 0, 0], "MXCSR and its mask");
    assert_eq!(image[32..42], [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f], "ST(0)");
    assert_eq!(image[400], 0x15, "XMM15");
    assert!(image[416..].iter().all(|&byte| byte == 0xcc), "not written");
}

#[test]
fn fxrstor_brings_back_what_fxsave_wrote() {
    let code = [FXSAVE64, &[0x0f, 0x57, 0xc0, 0xdb, 0xe3], FXRSTOR64].concat(); // xorps; fninit
    let mut bench = bench(&code);
    let mut state = bench.cpu.save();
    state.xmm[0] = Xmm::from_u128(0x1234);
    state.x87.push(F80::new(0x4000, 1 << 63));
    bench.cpu.load(&state);

    let (after, _) = run(&mut bench);

    assert_eq!(after.xmm[0], Xmm::from_u128(0x1234));
    assert_eq!(after.x87.st(0), F80::new(0x4000, 1 << 63));
}

#[test]
fn fxrstor_refuses_reserved_bits_of_mxcsr_and_changes_nothing() {
    let mut bench = bench(FXRSTOR64);
    bench.bus.memory.write(DATA + 24, &[0, 0, 1, 0]);
    bench.bus.memory.write(DATA + 160, &[9]);

    let (after, vector) = run(&mut bench);

    assert_eq!(vector, Some(GP));
    assert_eq!((after.mxcsr, after.xmm[0]), (0x1f80, Xmm::ZERO));
}

/// SDM vol. 1 §13.7, "Operation of XSAVE", §13.8, "Operation of XRSTOR".
#[test]
fn xsave_and_xrstor_handle_the_components_asked_for() {
    // xsave64 [rdi]; xorps xmm0, xmm0; xrstor64 [rdi]
    let code = [0x48, 0x0f, 0xae, 0x27, 0x0f, 0x57, 0xc0, 0x48, 0x0f, 0xae, 0x2f];
    let enable = |s: &mut CpuState| {
        s.system.cr4 |= CR4_OSXSAVE;
        s.system.xcr0 = 3;
        s.gpr[gpr::RAX] = 2;
        s.xmm[0] = Xmm::from_u128(0x77);
        s.mxcsr = 0x1fa0;
    };
    let mut bench = bench(&code);
    bench.bus.memory.write(DATA, &[0xcc; 32]);
    let mut state = bench.cpu.save();
    enable(&mut state);
    bench.cpu.load(&state);

    let (after, vector) = run(&mut bench);

    let mut image = [0; 576];
    bench.bus.memory.read(DATA, &mut image);
    assert_eq!(vector, None);
    assert_eq!(image[512], 2, "XSTATE_BV");
    assert_eq!((image[0], image[24]), (0xcc, 0xa0), "x87 was not asked for, MXCSR was");
    assert_eq!(after.xmm[0], Xmm::from_u128(0x77));

    assert_eq!(exception(&code, |_| {}), Some(UD), "without OSXSAVE");
    assert_eq!(exception(&code, |s| (enable(s), s.gpr[gpr::RDI] += 16).0), Some(GP));
}

#[test]
fn xrstor_initialises_components_that_are_absent() {
    let mut bench = bench(&[0x48, 0x0f, 0xae, 0x2f]);
    bench.bus.memory.write(DATA + 24, &0x1f80_u32.to_le_bytes());
    let mut state = bench.cpu.save();
    state.system.cr4 |= CR4_OSXSAVE;
    state.system.xcr0 = 3;
    state.gpr[gpr::RAX] = 3;
    state.xmm[3] = Xmm::from_u128(3);
    state.x87.push(F80::new(0x3fff, 1 << 63));
    bench.cpu.load(&state);

    let (after, vector) = run(&mut bench);

    assert_eq!(vector, None);
    assert_eq!(after.xmm[3], Xmm::ZERO);
    assert_eq!((after.x87.control(), after.x87.abridged_tags()), (0x037f, 0));
}

#[test]
fn xcr0_keeps_x87_and_takes_no_unknown_component() {
    let xsetbv = [0x0f, 0x01, 0xd1];
    let with = |value: u64| {
        move |s: &mut CpuState| {
            s.system.cr4 |= CR4_OSXSAVE;
            s.gpr[gpr::RAX] = value;
            (s.gpr[gpr::RCX], s.gpr[gpr::RDX]) = (0, 0);
        }
    };

    assert_eq!(exception(&xsetbv, with(3)), None);
    assert_eq!(exception(&xsetbv, with(2)), Some(GP));
    assert_eq!(exception(&xsetbv, with(7)), None);
    assert_eq!(exception(&xsetbv, with(5)), Some(GP), "YMM registers without XMM registers");
    assert_eq!(exception(&xsetbv, with(0xf)), Some(GP));
    assert_eq!(exception(&xsetbv, |s| s.gpr[gpr::RAX] = 3), Some(UD), "without OSXSAVE");
}

#[test]
fn masked_stores_write_chosen_bytes_only() {
    let mut bench = bench(&[0x66, 0x0f, 0xf7, 0xc1]); // maskmovdqu xmm0, xmm1
    bench.bus.memory.write(DATA, &[0xcc; 16]);
    let mut state = bench.cpu.save();
    state.xmm[0] = Xmm([7; 16]);
    state.xmm[1] = Xmm::from_u128(0x80_0000_7f80);
    bench.cpu.load(&state);

    run(&mut bench);

    let mut bytes = [0; 6];
    bench.bus.memory.read(DATA, &mut bytes);
    assert_eq!(bytes, [7, 0xcc, 0xcc, 0xcc, 7, 0xcc]);
}
