//! Small programs on the vCPU: the same outcome whole, in slices and step by step.

mod bench;

use bench::Bench;
use cutaway_cpu::{Exit, gpr};

/// mov ecx, 1000; xor eax, eax; again: add eax, ecx; dec ecx; jnz again; hlt
const SUM_LONG: &[u8] =
    &[0xb9, 0xe8, 3, 0, 0, 0x31, 0xc0, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xfa, 0xf4];

#[test]
fn a_loop_sums_and_counts_its_instructions() {
    for mut bench in [Bench::long(SUM_LONG), Bench::protected(SUM_LONG)] {
        let state = bench.run_to_halt();

        assert_eq!(state.gpr[gpr::RAX], 500_500);
        assert_eq!(state.ticks, 2 + 3 * 1000 + 1);
    }
}

#[test]
fn any_budget_gives_the_same_end() {
    for slice in [1, 2, 3, 7, 100, 1001] {
        let mut bench = Bench::long(SUM_LONG);
        let mut left = 0;
        loop {
            let before = bench.cpu.ticks();
            match bench.cpu.run(&mut bench.bus, slice) {
                Exit::Budget => assert_eq!(bench.cpu.ticks() - before, slice, "exactly the budget"),
                Exit::Halt => break,
                other => panic!("{other:?}"),
            }
            left += 1;
        }
        assert!(left >= 3000 / slice);
        assert_eq!(bench.cpu.save().gpr[gpr::RAX], 500_500);
        assert_eq!(bench.cpu.ticks(), 3003);
    }
}

/// A program that rewrites the immediate of an instruction further on in the same block:
/// mov byte [rip + 1], 7; mov al, 1; hlt
#[test]
fn a_store_into_the_running_block_takes_effect_at_once() {
    let mut bench = Bench::long(&[0xc6, 0x05, 1, 0, 0, 0, 7, 0xb0, 1, 0xf4]);

    let state = bench.run_to_halt();

    assert_eq!(state.gpr[gpr::RAX], 7);
}

/// push/pop, call/ret, and memory operands:
/// call f; hlt; f: push 5; pop rax; mov [0x5000], rax; add qword [0x5000], 3; mov rbx, [0x5000]; ret
#[test]
fn calls_and_memory_work() {
    let code = [
        0xe8, 1, 0, 0, 0, 0xf4, 0x6a, 5, 0x58, 0x48, 0x89, 0x04, 0x25, 0, 0x50, 0, 0, 0x48, 0x83,
        0x04, 0x25, 0, 0x50, 0, 0, 3, 0x48, 0x8b, 0x1c, 0x25, 0, 0x50, 0, 0, 0xc3,
    ];
    let mut bench = Bench::long(&code);

    let state = bench.run_to_halt();

    assert_eq!((state.gpr[gpr::RBX], state.gpr[gpr::RSP]), (8, bench::STACK));
    assert_eq!(state.ticks, 8);
}

/// mov cx, 5; mov di, 0x3000; mov al, 0x41; rep stosb; out 0x80, al; hlt
#[test]
fn repeated_strings_count_each_iteration() {
    let code = [0xb9, 5, 0, 0xbf, 0, 0x30, 0xb0, 0x41, 0xf3, 0xaa, 0xe6, 0x80, 0xf4];
    let mut bench = Bench::real(&code);

    let state = bench.run_to_halt();

    let mut bytes = [0; 6];
    bench.bus.memory.read(0x3000, &mut bytes);
    assert_eq!(&bytes, b"AAAAA\0");
    assert_eq!(state.gpr[gpr::RDI], 0x3005);
    assert_eq!(bench.bus.written, [(0x80, 0x41, 8)], "the OUT is the ninth instruction");
}

/// The chain of handlers must not grow the host's stack: a million iterations of a loop run in a
/// thread with little of it.
#[test]
fn the_chain_does_not_grow_the_stack() {
    // mov ecx, 3000000; again: dec ecx; jnz again; hlt
    let code = [0xb9, 0xc0, 0xc6, 0x2d, 0, 0xff, 0xc9, 0x75, 0xfc, 0xf4];
    let run = move || Bench::long(&code).run_to_halt().ticks;
    let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(run).unwrap();

    assert_eq!(thread.join().unwrap(), 6_000_002);
}

/// Single steps through NOPs in real mode: the instruction and the #DB behind it take a tick
/// each, and a budget of one covers one of them.
#[test]
fn a_trap_behind_the_last_instruction_waits_for_the_next_budget() {
    let mut bench = Bench::real(&[0x90; 16]);
    bench.bus.memory.write(4, &[0x00, 0x20, 0, 0]);
    bench.bus.memory.write(0x2000, &[0xcf]); // iret
    bench.edit(|s| (s.rip, s.gpr[4], s.rflags) = (0x1000, 0x9000, 0x102));
    let mut places = Vec::new();

    for ticks in 1..=6 {
        assert_eq!(bench.cpu.run(&mut bench.bus, 1), Exit::Budget);
        assert_eq!(bench.cpu.ticks(), ticks, "exactly the budget");
        places.push(bench.cpu.save().rip);
    }

    assert_eq!(places, [0x1001, 0x2000, 0x1001, 0x1002, 0x2000, 0x1002]);
}

/// A line that stays up, through a gate that leaves IF alone: the next interrupt comes before the
/// handler's first instruction, each takes a tick, and slices change nothing.
#[test]
fn interrupts_without_end_use_up_any_budget() {
    let run = |slice: u64| {
        let mut bench = Bench::protected(&[0x90; 16]);
        let gate = [0x04, 0x00, 0x08, 0, 0, 0x8f, 0x01, 0]; // a trap gate to CODE + 4
        bench.bus.memory.write(0x3000 + 8 * 0x20, &gate);
        bench.bus.memory.write(0x4008, &[0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0]);
        bench.bus.intr = true;
        bench.edit(|s| {
            s.rflags = 0x202;
            (s.system.idtr.base, s.system.gdtr.base) = (0x3000, 0x4000);
        });
        while bench.cpu.ticks() < 100 {
            assert_eq!(bench.cpu.run(&mut bench.bus, slice), Exit::Budget);
        }
        bench.cpu.save()
    };

    let whole = run(100);

    assert_eq!((whole.ticks, whole.rip), (100, 0x1_0004));
    assert_eq!(whole.gpr[gpr::RSP], 0x9_0000 - 100 * 12, "a frame each");
    assert_eq!(run(1), whole);
    assert_eq!(run(10), whole);
}
