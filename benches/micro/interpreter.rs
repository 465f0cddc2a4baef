//! The interpreter's hot paths one by one: dispatch, memory, calls, flags, repeated strings, system
//! instructions. `cargo bench -p cutaway-benches`.
#![expect(missing_docs, reason = "criterion_group! makes a function without")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[path = "../../src/cpu/tests/bench/mod.rs"]
mod bench;

use bench::Bench;

/// Loops of 64-bit code that end with HLT: name, bytes, instructions retired.
#[rustfmt::skip] // one row a loop
const LOOPS: [(&str, &[u8], u64); 6] = [
    // mov ecx, 100000; again: dec ecx; jnz again; hlt
    ("dispatch", &[0xb9, 0xa0, 0x86, 1, 0, 0xff, 0xc9, 0x75, 0xfc, 0xf4], 200_002),
    // … add [0x5000], ecx; mov eax, [0x5000]; …
    ("memory", &[0xb9, 0xa0, 0x86, 1, 0, 0x01, 0x0c, 0x25, 0, 0x50, 0, 0, 0x8b, 0x04, 0x25, 0, 0x50,
                 0, 0, 0xff, 0xc9, 0x75, 0xee, 0xf4], 400_002),
    // … call f; dec ecx; jnz again; hlt; f: ret
    ("call and return", &[0xb9, 0xa0, 0x86, 1, 0, 0xe8, 5, 0, 0, 0, 0xff, 0xc9, 0x75, 0xf7, 0xf4, 0xc3],
                 400_002),
    // … ror eax, 7; adc eax, ecx; …
    ("rotate and carry", &[0xb9, 0xa0, 0x86, 1, 0, 0xc1, 0xc8, 7, 0x11, 0xc8, 0xff, 0xc9, 0x75, 0xf7,
                 0xf4], 400_002),
    // mov ecx, 100000; mov edi, 0x100000; rep stosb; hlt
    ("rep stosb", &[0xb9, 0xa0, 0x86, 1, 0, 0xbf, 0, 0, 0x10, 0, 0xf3, 0xaa, 0xf4], 100_003),
    // … cli; …: an instruction of the complete interpreter
    ("system", &[0xb9, 0xa0, 0x86, 1, 0, 0xfa, 0xff, 0xc9, 0x75, 0xfb, 0xf4], 300_002),
];

fn interpreter(c: &mut Criterion) {
    let mut group = c.benchmark_group("interpreter");
    for (name, code, instructions) in LOOPS {
        group.throughput(Throughput::Elements(instructions));
        let mut machine = Bench::long(code);
        group.bench_function(name, |b| {
            b.iter(|| {
                machine.edit(|_| {});
                machine.run_to_halt().ticks
            });
        });
        machine.edit(|s| s.ticks = 0);
        assert_eq!(machine.run_to_halt().ticks, instructions, "{name}");
    }
    group.finish();
}

criterion_group!(benches, interpreter);
criterion_main!(benches);
