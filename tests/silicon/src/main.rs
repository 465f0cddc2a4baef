//! first light
use cutaway_cpu::CpuModel;
use cutaway_silicon::*;
use generate::{Generator, forms};
use emulator::{Emulator, Path};
use case::Outcome;
use iced_x86::FlowControl;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let count: u64 = args.get(1).map_or(50, |a| a.parse().unwrap());
    let bits: u32 = args.get(2).map_or(0, |a| a.parse().unwrap());
    let only = args.get(3).cloned().unwrap_or_default();
    let mut oracle = oracle::Oracle::new().unwrap();
    let model = CpuModel::X86_64V2;
    let mut emulator = Emulator::new(model).unwrap();
    let (mut bad_forms, mut total) = (0, 0);
    let t0 = std::time::Instant::now();
    for form in forms::all() {
        if bits != 0 && form.size.bits() != bits { continue; }
        if !form.name().to_lowercase().contains(&only.to_lowercase()) { continue; }
        if form.op_code().encoding() != iced_x86::EncodingKind::Legacy { continue; }
        if !forms::host_has(form.code) { continue; }
        let g = Generator::new(form);
        let made: Vec<_> = (0..count).filter_map(|i| g.generate(i)).collect();
        if made.len() < count as usize { println!("{}: {} cases only", form.label(), made.len()); }
        let mut bad = 0; let mut out = vec![]; let mut first = None;
        for batch in made.chunks(128) {
            let cases: Vec<_> = batch.iter().map(|g| g.case).collect();
            oracle.start_batch(&cases);
            let mut emu = vec![];
            for g in batch {
                let mut o = Outcome::LOST;
                emulator.run(&g.case, Path::Trap, &mut o);
                let i = &g.encoding.instruction;
                let mut p = Outcome::LOST;
                let plain = i.flow_control() == FlowControl::Next;
                emulator.run(&g.case, Path::Block { count: if plain {2} else {1} }, &mut p);
                emu.push((o, p));
            }
            oracle.finish(&mut out).unwrap();
            for ((g, s), (e, _f)) in batch.iter().zip(&mut out).zip(&mut emu) {
                total += 1;
                for y in &mut s.registers.ymm { y[2] = 0; y[3] = 0; }
                compare::normalise(&g.case, form.code, s);
                compare::normalise(&g.case, form.code, e);
                if std::env::var_os("DUMP").is_some() {
                    let b = &g.case.registers; let a = &s.registers;
                    let regs = |g: &[u64;16]| g.iter().map(|x| format!("{x:x}")).collect::<Vec<_>>().join(",");
                    println!("DUMP {} | {} | {:x} | {} | {:x} | {:x} | {} | {:x} | {}", form.label(), compare::disassemble(&g.case), s.ending.vector, regs(&b.gpr), b.rflags, s.ending.address, regs(&a.gpr), a.rflags, compare::same(s,e));
                }
                if !compare::same(s, e) {
                    bad += 1;
                    if first.is_none() { first = Some((*g, *s, *e)); }
                }
            }
        }
        if bad > 0 {
            bad_forms += 1;
            let (g, s, e) = first.unwrap();
            println!("{}: {bad} of {} differ; {}", form.label(), made.len(), compare::disassemble(&g.case));
            for [n, a, b] in compare::differences(&s, &e) { println!("      {n}: silicon {a}  cutaway {b}"); }
        }
    }
    println!("{bad_forms} bad forms, {total} cases, {} lost, {:?}", oracle.lost(), t0.elapsed());
}
