//! x87 instructions on the vCPU: operands, exceptions, last-instruction pointers.
//!
//! What the instructions compute is tested beside `src/float`; expected values here are the SDM's
//! and those of an AMD Zen 4.

mod bench;

use bench::{Bench, CODE};
use cutaway_cpu::float::F80;
use cutaway_cpu::{CpuState, Exit};

/// Where operands lie.
const DATA: u64 = 0x5000;

fn word(bench: &mut Bench, at: u64) -> u16 {
    let mut bytes = [0; 2];
    bench.bus.memory.read(at, &mut bytes);
    u16::from_le_bytes(bytes)
}

/// Runs in 64-bit and in 32-bit mode, where DATA is addressed alike, whole and step by step.
fn run_all(code: &[u8], data: &[u8]) -> Vec<(CpuState, [u8; 32])> {
    let mut ends = Vec::new();
    for long in [true, false] {
        for slice in [1, 1_000_000] {
            let mut bench = if long { Bench::long(code) } else { Bench::protected(code) };
            bench.bus.memory.write(DATA, data);
            bench.edit(|s| s.gpr[3] = DATA);
            loop {
                match bench.cpu.run(&mut bench.bus, slice) {
                    Exit::Budget => {}
                    Exit::Halt => break,
                    other => panic!("{other:?}"),
                }
            }
            let mut memory = [0; 32];
            bench.bus.memory.read(DATA, &mut memory);
            ends.push((bench.cpu.save(), memory));
        }
    }
    ends
}

/// fninit; fld qword [rbx]; fmul qword [rbx + 8]; fadd st0; fld1; fsubp; fstp qword [rbx + 16];
/// fnstsw ax; hlt
#[test]
fn arithmetic_reads_and_writes_memory() {
    let code = [
        0xdb, 0xe3, 0xdd, 0x03, 0xdc, 0x4b, 0x08, 0xd8, 0xc0, 0xd9, 0xe8, 0xde, 0xe9, 0xdd, 0x5b,
        0x10, 0xdf, 0xe0, 0xf4,
    ];
    let data: Vec<u8> = [1.5_f64, 4.25].iter().flat_map(|x| x.to_le_bytes()).collect();

    for (state, memory) in run_all(&code, &data) {
        assert_eq!(memory[16..24], 11.75_f64.to_le_bytes(), "2 * (1.5 * 4.25) - 1");
        assert_eq!(state.gpr[0] as u16, 0, "status word: exact, TOP is 0");
        assert_eq!(state.x87.tag_word(), 0xffff, "the stack is empty again");
    }
}

/// fninit; fldpi; fld st0; fstp tword [rbx]; fistp dword [rbx + 12]; fild word [rbx + 12];
/// fbstp tword [rbx + 16]; hlt
#[test]
fn wide_and_integer_operands_work() {
    let code = [
        0xdb, 0xe3, 0xd9, 0xeb, 0xd9, 0xc0, 0xdb, 0x3b, 0xdb, 0x5b, 0x0c, 0xdf, 0x43, 0x0c, 0xdf,
        0x73, 0x10, 0xf4,
    ];

    for (_, memory) in run_all(&code, &[0; 32]) {
        let pi = F80::new(0x4000, 0xc90f_daa2_2168_c235);
        assert_eq!(memory[..10], pi.to_bytes(), "FSTP m80");
        assert_eq!(memory[12..16], [3, 0, 0, 0], "FISTP m32");
        assert_eq!(memory[16..26], [3, 0, 0, 0, 0, 0, 0, 0, 0, 0], "FBSTP");
    }
}

/// fninit; fld1; fldz; fcomi st1; fcmovb st1; fstp dword [rbx]; hlt
#[test]
fn comparison_to_flags_steers_conditional_move() {
    let code = [0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xee, 0xdb, 0xf1, 0xda, 0xc1, 0xd9, 0x1b, 0xf4];

    for (state, memory) in run_all(&code, &[0; 4]) {
        assert_eq!(memory[..4], 1.0_f32.to_le_bytes(), "0 < 1, so 1 is moved");
        assert_eq!(state.rflags & 0x8d5, 0x01, "CF");
    }
}

/// fninit; fld dword [rbx]; fnop; fnstenv [rbx + 4]: FIP is that of FNOP, FDP that of FLD.
#[test]
fn last_instruction_pointers_are_kept() {
    let code = [0xdb, 0xe3, 0xd9, 0x03, 0xd9, 0xd0, 0xd9, 0x73, 0x04, 0xf4];

    for (state, memory) in run_all(&code, &[0; 32]) {
        let dword = |at: usize| u32::from_le_bytes(memory[at..at + 4].try_into().unwrap());
        assert_eq!(dword(4 + 12), CODE as u32 + 4, "FIP");
        assert_eq!(dword(4 + 16), 0x01d0_0008, "FOP of FNOP and CS");
        assert_eq!(dword(4 + 20), DATA as u32, "FDP");
        assert_eq!(state.x87.control() & 0x3f, 0x3f, "FNSTENV masks all");
    }
}

/// fninit; fld dword [rbx + rcx*4 + 0x10]: FOP has mod 01 and r/m 100.
#[test]
fn opcode_register_holds_the_modrm_byte() {
    let code = [0xdb, 0xe3, 0xd9, 0x44, 0x8b, 0x10, 0xf4];

    for (state, _) in run_all(&code, &[0; 32]) {
        assert_eq!((state.x87.opcode, state.x87.data_pointer), (0x144, DATA + 0x10));
    }
}

/// An unmasked division by zero faults at the next waiting instruction, with RIP at it.
/// fninit; fldcw [rbx]; fld1; fldz; fdivp; mov al, 7; fnstsw [rbx + 2]; fld1; hlt
#[test]
fn unmasked_exception_faults_at_the_next_waiting_instruction() {
    let code = [
        0xdb, 0xe3, 0xd9, 0x2b, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0xb0, 7, 0xdd, 0x7b, 0x02,
        0xd9, 0xe8, 0xf4,
    ];
    for mut bench in [Bench::long(&code), Bench::protected(&code)] {
        bench.bus.memory.write(DATA, &[0x7b, 0x03]);
        bench.edit(|s| s.gpr[3] = DATA);
        bench.cpu.set_intercepted_exceptions(1 << 16);

        let exit = bench.cpu.run(&mut bench.bus, 1000);

        assert!(matches!(exit, Exit::Exception(e) if e.vector.0 == 16), "{exit:?}");
        let state = bench.cpu.save();
        assert_eq!((state.rip, state.gpr[0] & 0xff), (CODE + 15, 7), "at the second FLD1");
        assert_eq!(word(&mut bench, DATA + 2), 0xb084, "FNSTSW does not wait: ZE, ES, B, TOP 6");
        assert_eq!(state.x87.opcode, 0x6f9, "FOP is the FDIVP");
    }
}

/// CR0.TS and CR0.EM make x87 instructions #NM; WAIT looks at MP and TS only.
#[test]
fn cr0_makes_instructions_unavailable() {
    let rows = [
        (0x33 | 8, &[0xd9, 0xe8, 0xf4][..], true), // TS: fld1
        (0x33 | 4, &[0xdb, 0xe3, 0xf4], true),     // EM: fninit
        (0x33 | 4, &[0x9b, 0xf4], false),          // EM: wait
        (0x33 | 8, &[0x9b, 0xf4], true),           // MP and TS: wait
        (0x31 | 8, &[0x9b, 0xf4], false),          // TS alone: wait
        (0x33, &[0xd9, 0xe8, 0xf4], false),
    ];
    for (cr0, code, faults) in rows {
        let mut bench = Bench::protected(code);
        bench.edit(|s| s.system.cr0 = cr0);
        bench.cpu.set_intercepted_exceptions(1 << 7);

        let exit = bench.cpu.run(&mut bench.bus, 1000);

        let fault = matches!(exit, Exit::Exception(e) if e.vector.0 == 7);
        assert_eq!(fault, faults, "CR0 {cr0:#x}, code {code:x?}: {exit:?}");
    }
}

/// fninit; fldcw [0x3000]; fld1; fldz; fdivp; fnsave [0x3010] (16-bit); hlt, in real mode: the
/// image has linear pointers.
#[test]
fn real_mode_image_has_linear_pointers() {
    let code = [
        0xdb, 0xe3, 0xd9, 0x2e, 0, 0x30, 0xd9, 0xe8, 0xd9, 0x06, 4, 0x30, 0xde, 0xf9, 0xdd, 0x36,
        0x10, 0x30, 0xf4,
    ];
    let mut bench = Bench::real(&code);
    bench.bus.memory.write(0x3000, &[0x7f, 0x03, 0, 0, 0, 0, 0, 0]);

    let state = bench.run_to_halt();

    let words: Vec<u16> = (0..7).map(|i| word(&mut bench, 0x3010 + 2 * i)).collect();
    assert_eq!(words, [0x037f, 0x3804, 0xbfff, 0x100c, 0x06f9, 0x3004, 0], "environment");
    assert_eq!(state.x87.control(), 0x037f, "FNINIT follows");
    assert_eq!(state.x87.tag_word(), 0xffff, "FNINIT follows");
}

/// Each x87 handler must pass on in tail position, as the chain of handlers demands: a loop over
/// all kinds of them runs in a thread with little stack.
#[test]
fn x87_handlers_do_not_grow_the_stack() {
    // fninit; fld1; fldpi; mov ecx, 200000; again: BODY; dec ecx; jnz again; hlt
    let body = [
        0xdd, 0x03, // fld qword [rbx]
        0xd8, 0xc9, // fmul st1
        0xdc, 0x43, 0x08, // fadd qword [rbx + 8]
        0xdd, 0x5b, 0x10, // fstp qword [rbx + 16]
        0xdb, 0x03, // fild dword [rbx]
        0xde, 0xd9, // fcompp
        0xd9, 0xe8, // fld1
        0xd9, 0xc0, // fld st0
        0xdf, 0xf1, // fcomip st1
        0xda, 0xc1, // fcmovb st1
        0xd9, 0xc9, // fxch st1
        0xd9, 0xfa, // fsqrt
        0xd9, 0xfe, // fsin
        0xd9, 0xfd, // fscale
        0xd9, 0xf4, // fxtract
        0xdd, 0xd8, // fstp st0
        0xd9, 0xe5, // fxam
        0xdf, 0xe0, // fnstsw ax
        0xd9, 0x7b, 0x18, // fnstcw [rbx + 24]
        0xd9, 0x6b, 0x18, // fldcw [rbx + 24]
        0xdd, 0xc0, // ffree st0
        0xd9, 0xe8, // fld1
        0xd9, 0xe8, // fld1
    ];
    let mut code = vec![0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xeb, 0xb9, 0x40, 0x0d, 3, 0];
    code.extend(body);
    code.extend([0xff, 0xc9, 0x0f, 0x85]);
    code.extend((-(body.len() as i32) - 8).to_le_bytes());
    code.push(0xf4);
    let run = move || {
        let mut bench = Bench::long(&code);
        bench.edit(|s| s.gpr[3] = DATA);
        bench.run_to_halt().ticks
    };

    let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn(run).unwrap();

    assert_eq!(thread.join().unwrap(), 4 + 200_000 * 25 + 1);
}
