//! Predictions against what then happens, for every implemented instruction.

use super::*;
use cutaway_cpu::{CpuModel, CpuState, Event, Seg, TraceClasses, is_implemented};
use cutaway_isa::{Code, CodeSize, Mnemonic};
use cutaway_machine::{EventSink, Stop};
use cutaway_memory::{GuestMemory, PageKind};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Accesses and exceptions of one instruction, as the machine reports them.
#[derive(Default)]
struct Seen {
    read: BTreeSet<u64>,
    written: BTreeSet<u64>,
}

struct Sink(Rc<RefCell<Seen>>);

impl EventSink for Sink {
    fn event(&mut self, event: &Event) {
        if let Event::Access { write, linear, size, .. } = *event {
            let mut seen = self.0.borrow_mut();
            let set = if write { &mut seen.written } else { &mut seen.read };
            set.extend((0..size).map(|n| linear.wrapping_add(n)));
        }
    }
}

/// Numbers without a pattern, the same in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// One way to begin an instruction: prefixes, escape bytes or VEX, and the opcode.
fn beginnings(size: CodeSize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let rex: &[&[u8]] = if size == CodeSize::Bits64 { &[&[], &[0x48]] } else { &[&[]] };
    for opcode in 0..=255 {
        for prefix in [&[][..], &[0x66], &[0xf3], &[0xf2], &[0x67], &[0x66, 0xf2]] {
            for rex in rex {
                for map in [&[][..], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]] {
                    all.push([prefix, rex, map, &[opcode]].concat());
                }
            }
        }
        for last in 0..16 {
            // W, L and pp; vvvv is none or register 2
            let last = (last & 8) << 4 | last & 7;
            for map in 1..=3 {
                all.push(vec![0xc4, 0xe0 | map, last | 0x78, opcode]);
                all.push(vec![0xc4, 0xe0 | map, last | 0x68, opcode]);
            }
        }
    }
    all
}

/// Registers with addresses in memory, or small numbers.
fn registers(noise: &mut Noise, state: &mut CpuState) {
    for value in &mut state.gpr {
        *value = match noise.below(4) {
            0 => noise.below(0x100),
            1 => 0x2_0000 + noise.below(0x1000),
            2 => 0x8000 + noise.below(0x6000),
            _ => 0x2_0000 + (noise.below(0x1000) & !63),
        };
    }
    state.gpr[4] = BARE_STACK - 8 * noise.below(16);
    state.rflags = 2 | noise.next() & 0xcd5;
    state.x87.set_control(0x37f);
    state.mxcsr = 0x1f80;
    for n in 0..16 {
        let lane =
            |noise: &mut Noise| u128::from(noise.below(0x800)) << 64 | u128::from(noise.next());
        state.xmm[n] = cutaway_cpu::vector::Xmm::from_u128(lane(noise));
        state.ymm_high[n] = cutaway_cpu::vector::Xmm::from_u128(lane(noise));
    }
}

/// Instructions that read descriptor tables, the TSS or a gate, or push a frame.
fn uses_tables(instruction: &Instruction) -> bool {
    let loads_segment =
        instruction.op_count() > 0 && instruction.op0_register().is_segment_register();
    let name = format!("{:?}", instruction.mnemonic()).to_lowercase();
    let names = [
        "int", "int1", "int3", "into", "iret", "iretd", "iretq", "retf", "lds", "les", "lfs",
        "lgs", "lss", "lldt", "ltr", "lar", "lsl", "verr", "verw", "bound",
    ];
    loads_segment || names.contains(&name.as_str())
}

/// What the operands say is read and written; what may and what must be.
struct Expected {
    may_read: BTreeSet<u64>,
    must_read: BTreeSet<u64>,
    may_write: BTreeSet<u64>,
    must_write: BTreeSet<u64>,
}

fn expected(operands: &[Operand], memory: &GuestMemory, top: u64) -> Expected {
    let mut all = Expected {
        may_read: BTreeSet::new(),
        must_read: BTreeSet::new(),
        may_write: BTreeSet::new(),
        must_write: BTreeSet::new(),
    };
    for operand in operands {
        let Place::Memory(place) = &operand.place else { continue };
        let linear = (0..place.size).map(|n| place.linear.wrapping_add(n) & top);
        // The machine's pages lie at their linear addresses. What goes to a device is not traced.
        let (mut readable, mut writable) = (BTreeSet::new(), BTreeSet::new());
        for at in linear {
            match memory.page(at) {
                PageKind::Ram(_) => writable.insert(at) && readable.insert(at),
                PageKind::Rom(_) => readable.insert(at),
                PageKind::Device => false,
            };
        }
        let must = !operand.access.conditional;
        if operand.access.reads {
            all.may_read.extend(&readable);
            all.must_read.extend(readable.iter().filter(|_| must));
        }
        if operand.access.writes {
            all.may_write.extend(&writable);
            all.must_write.extend(writable.iter().filter(|_| must));
        }
    }
    all
}

/// Runs one instruction on a machine and compares; a line where prediction and truth differ.
fn check(machine: &mut Machine, instruction: &Instruction) -> Result<(), String> {
    let explanation = explain(machine).map_err(|error| error.to_string())?;
    let sentence = &explanation.sentence;
    let holes = ["  ", "{", " ,", " ;", " :"].iter().any(|hole| sentence.contains(hole));
    if holes || sentence.ends_with(' ') {
        return Err(format!("a hole in '{sentence}'"));
    }
    if explanation.steps.is_empty() || explanation.anatomy.is_empty() {
        return Err("no steps or no parts".to_owned());
    }
    let seen = Rc::new(RefCell::new(Seen::default()));
    machine.set_trace(TraceClasses::MEM, Some(Box::new(Sink(seen.clone()))));
    machine.vcpu_mut().set_intercepted_exceptions(!0);
    let stop = machine.run_until(machine.ticks() + 1);
    machine.set_trace(TraceClasses::empty(), None);
    let raised = match stop {
        Stop::Exception(vector) => Some(vector),
        Stop::Unimplemented(_) => return Ok(()),
        _ => None,
    };
    let predicted = explanation.exception.as_ref().map(|predicted| predicted.vector);
    if raised != predicted {
        return Err(format!("raised {raised:?}, predicted {predicted:?}"));
    }
    if let Some(predicted) = &explanation.exception {
        return if predicted.why.is_empty() { Err("no reason".to_owned()) } else { Ok(()) };
    }
    let seen = seen.borrow();
    let touched = |write: bool| -> BTreeSet<u64> {
        let accesses = explanation.dry_run.touched.iter().filter(|touched| touched.write == write);
        accesses
            .flat_map(|touched| (0..touched.size).map(|n| touched.linear.wrapping_add(n)))
            .collect()
    };
    if touched(false) != seen.read || touched(true) != seen.written {
        return Err("the dry run touched other bytes".to_owned());
    }
    let top = if machine.vcpu().is_64_bit() { u64::MAX } else { 0xffff_ffff };
    let told = expected(&explanation.operands, machine.memory(), top);
    let tables = uses_tables(instruction);
    let mut wrong = Vec::new();
    let mut compare =
        |what: &str, may: &BTreeSet<u64>, must: &BTreeSet<u64>, seen: &BTreeSet<u64>| {
            let surplus: Vec<_> =
                seen.difference(may).filter(|_| !tables).map(|at| format!("{at:x}")).collect();
            let missing: Vec<_> = must.difference(seen).map(|at| format!("{at:x}")).collect();
            if !surplus.is_empty() {
                wrong.push(format!(
                    "{what} but not told: {}..{}",
                    surplus[0],
                    surplus[surplus.len() - 1]
                ));
            }
            if !missing.is_empty() {
                wrong.push(format!(
                    "told but not {what}: {}..{}",
                    missing[0],
                    missing[missing.len() - 1]
                ));
            }
        };
    compare("read", &told.may_read, &told.must_read, &seen.read);
    compare("written", &told.may_write, &told.must_write, &seen.written);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// Runs of one code in one mode.
const CASES: u32 = 6;

#[test]
fn predictions_are_what_happens() {
    let mut noise = Noise(0x5eed_0003);
    println!("seed {:#x}", noise.0);
    let mut tried: BTreeSet<Code> = BTreeSet::new();
    let mut wrong: BTreeMap<Mnemonic, (u32, String)> = BTreeMap::new();
    for size in [CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64] {
        let mut machine = bare_machine(CpuModel::Max, size, &[]).expect("there is memory");
        let mut cases: BTreeMap<Code, u32> = BTreeMap::new();
        let start = machine.vcpu().save();
        for beginning in beginnings(size) {
            for modrm in 0..88 {
                // all registers, then memory in all its forms
                let modrm = if modrm < 64 { modrm | 0xc0 } else { noise.below(0xc0) as u8 };
                let mut bytes = beginning.clone();
                bytes.push(modrm);
                bytes.extend((0..10).map(|_| noise.next() as u8));
                let Ok(instruction) = decode(size, &bytes, BARE_ORIGIN) else { continue };
                let code = instruction.code();
                let count = cases.entry(code).or_default();
                let enough = *count >= CASES || modrm >= 0xc0 && *count >= CASES / 2;
                if !is_implemented(code) || enough {
                    continue;
                }
                *count += 1;
                tried.insert(code);
                let mut state = start.clone();
                registers(&mut noise, &mut state);
                state.ticks = machine.ticks();
                let (vcpu, bus) = machine.vcpu_and_bus();
                bus.memory().write(BARE_ORIGIN, &bytes);
                vcpu.load(&state);
                if let Err(what) = check(&mut machine, &instruction) {
                    let shown = &bytes[..instruction.len()];
                    let text = disassemble(&instruction);
                    let text = format!("{size:?} {text} [{shown:02x?}]: {what}");
                    let entry = wrong.entry(instruction.mnemonic()).or_insert((0, text));
                    entry.0 += 1;
                }
            }
        }
    }
    // The decoder takes them for their forms without REX.W, and UD0 without ModRM, as AMD's do.
    let not_decoded = [
        Code::Lss_r64_m1664,
        Code::Lfs_r64_m1664,
        Code::Lgs_r64_m1664,
        Code::Ud0_r16_rm16,
        Code::Ud0_r32_rm32,
        Code::Ud0_r64_rm64,
    ];
    let implemented =
        Code::values().filter(|code| is_implemented(*code) && !not_decoded.contains(code));
    let missing: Vec<Code> = implemented.filter(|code| !tried.contains(code)).collect();
    println!("{} codes tried; not: {missing:?}", tried.len());
    for (mnemonic, (count, first)) in &wrong {
        println!("{mnemonic:?} {count}: {first}");
    }
    assert!(wrong.is_empty(), "{} mnemonics differ", wrong.len());
    assert!(missing.is_empty(), "{} codes were not tried", missing.len());
}

/// A machine in 32-bit mode at CPL 3 with a GDT, an IDT and a TSS, about to run `bytes`.
fn user_machine(bytes: &[u8]) -> Machine {
    let mut machine =
        bare_machine(CpuModel::Max, CodeSize::Bits32, bytes).expect("there is memory");
    let (vcpu, bus) = machine.vcpu_and_bus();
    let memory = bus.memory();
    // GDT at 9000h: code and data of level 0 at 8 and 16, of level 3 at 24 and 32
    let descriptors: [u64; 5] = [
        0,
        0x00cf_9b00_0000_ffff,
        0x00cf_9300_0000_ffff,
        0x00cf_fb00_0000_ffff,
        0x00cf_f300_0000_ffff,
    ];
    for (n, descriptor) in descriptors.iter().enumerate() {
        memory.write(0x9000 + 8 * n as u64, &descriptor.to_le_bytes());
    }
    // IDT at a000h: gate 30h may be called from level 3, gates 31h and 13 may not
    let gate =
        |target: u64, flags: u64| target & 0xffff | 8 << 16 | flags << 40 | (target >> 16) << 48;
    memory.write(0xa000 + 0x30 * 8, &gate(0x1_2345, 0xee).to_le_bytes());
    memory.write(0xa000 + 0x31 * 8, &gate(0x1_2345, 0x8f).to_le_bytes());
    memory.write(0xa000 + 13 * 8, &gate(0x1_5000, 0x8e).to_le_bytes());
    // TSS at b000h: SS0:ESP0 = 10h:6800h
    memory.write(0xb004, &0x6800_u32.to_le_bytes());
    memory.write(0xb008, &0x10_u32.to_le_bytes());
    let mut state = vcpu.save();
    state.gpr = [0x11; 16];
    state.gpr[4] = 0x5ff0;
    state.rflags = 0x202;
    let segment = |selector: u16, attributes: u16| cutaway_cpu::Segment {
        selector,
        attributes,
        limit: u32::MAX,
        base: 0,
    };
    state.system.gdtr = cutaway_cpu::TableRegister { base: 0x9000, limit: 39 };
    state.system.idtr = cutaway_cpu::TableRegister { base: 0xa000, limit: 0x7ff };
    for seg in [Seg::Es, Seg::Ss, Seg::Ds, Seg::Fs, Seg::Gs] {
        state.system.segments[seg as usize] = segment(0x23, 0xc0f3);
    }
    state.system.segments[Seg::Cs as usize] = segment(0x1b, 0xc0fb);
    state.system.segments[Seg::Tr as usize] =
        cutaway_cpu::Segment { selector: 0x28, attributes: 0x8b, limit: 0x67, base: 0xb000 };
    vcpu.load(&state);
    machine
}

/// SDM vol. 3A §6.12.1, figure 6-4: SS, ESP, EFLAGS, CS and EIP on the stack of the TSS.
#[test]
fn a_delivery_is_drawn_as_it_happens() {
    let mut machine = user_machine(&[0xcd, 0x30]);

    let way = delivery(&machine, cutaway_isa::Vector(0x30), None, Source::Software);
    let explanation = explain(&machine).expect("there is memory");

    let frame: Vec<_> = way.frame.iter().map(|slot| (slot.name, slot.linear, slot.value)).collect();
    let expected = [
        ("SS", 0x67fc, 0x23),
        ("ESP", 0x67f8, 0x5ff0),
        ("flags", 0x67f4, 0x202),
        ("CS", 0x67f0, 0x1b),
        ("IP", 0x67ec, BARE_ORIGIN + 2),
    ];
    assert_eq!(frame, expected);
    assert_eq!((way.handler, way.stack_pointer), (Some((8, 0x1_2345)), 0x67ec));
    // and so it happens
    machine.run_until(machine.ticks() + 1);
    let state = machine.vcpu().save();
    assert_eq!((state.rip, state.gpr[4]), (0x1_2345, 0x67ec));
    let writes: BTreeMap<u64, u64> = explanation
        .dry_run
        .touched
        .iter()
        .filter(|touched| touched.write)
        .map(|touched| (touched.linear, touched.value))
        .collect();
    for (_, linear, value) in expected {
        assert_eq!(writes.get(&linear), Some(&value), "{linear:#x}");
    }
    assert!(way.lines().iter().any(|line| line.starts_with("stack") && line.contains("0x6800")));
}

#[test]
fn a_gate_of_an_inner_level_refuses_a_software_interrupt() {
    let machine = user_machine(&[0xcd, 0x31]);

    let way = delivery(&machine, cutaway_isa::Vector(0x31), None, Source::Software);
    let predicted = explain(&machine).expect("there is memory").exception.expect("#GP comes");

    assert_eq!(way.handler, None);
    assert!(way.lines().last().is_some_and(|line| line.contains("CPL 3 > DPL 0")), "{way:?}");
    // error code: IDT entry 31h
    assert_eq!(predicted.name, "#GP(0x18a)");
    assert!(predicted.why.contains("DPL 0"), "{}", predicted.why);
}

#[test]
#[rustfmt::skip] // one row per case
fn exceptions_are_told_with_the_check_that_fails() {
    let rows: [(&[u8], &str, &str); 8] = [
        (&[0xfa],                         "#GP(0)", "CPL 3 > IOPL 0"),
        (&[0xf4],                         "#GP(0)", "takes CPL 0"),
        (&[0x0f, 0x20, 0xc0],             "#GP(0)", "takes CPL 0"),
        (&[0xf7, 0xf1, 0x90],             "#DE",    "does not fit"),
        (&[0x0f, 0x0b],                   "#UD",    "what the instruction is for"),
        (&[0x0f, 0x04],                   "#UD",    "no such instruction"),
        (&[0xb8, 0x08, 0, 0, 0],          "",       ""),
        (&[0xcd, 0x50],                   "#NP",    ""),
    ];
    for (bytes, name, why) in rows {
        let machine = user_machine(bytes);
        let explanation = explain(&machine).expect("there is memory");
        match explanation.exception {
            None => assert_eq!(name, "", "{bytes:x?}"),
            Some(predicted) => {
                let is_right = predicted.name.starts_with(name) || name == "#NP" && predicted.name.starts_with("#GP");
                assert!(is_right && !name.is_empty(), "{bytes:x?}: {predicted:?}");
                assert!(predicted.why.contains(why), "{bytes:x?}: {predicted:?}");
            }
        }
    }
}

/// The walk of 4-level paging ends at a PDE that is not present: 40_0000h is the third 2 MiB.
#[test]
fn an_operand_says_where_its_translation_stops() {
    // mov eax, [0x40000000], beyond the GiB that is mapped
    let bytes = [0x8b, 0x04, 0x25, 0, 0, 0, 0x40];
    let machine = bare_machine(CpuModel::Max, CodeSize::Bits64, &bytes).expect("there is memory");

    let explanation = explain(&machine).expect("there is memory");

    let predicted = explanation.exception.as_ref().expect("#PF comes");
    assert_eq!((predicted.name.as_str(), predicted.address), ("#PF(0)", Some(0x4000_0000)));
    assert!(predicted.why.contains("PDPTE at 0x2008"), "{}", predicted.why);
    let text = explanation.operands[1].text();
    assert!(text.contains("not present: PDPTE at 0x2008 = 0x0000000000000000"), "{text}");
}

/// The example of the manual's index arithmetic, with numbers by hand.
#[test]
fn an_operand_is_resolved_step_by_step() {
    // mov [ebx+4*esi+8], ecx
    let bytes = [0x89, 0x4c, 0xb3, 0x08];
    let mut machine =
        bare_machine(CpuModel::Max, CodeSize::Bits32, &bytes).expect("there is memory");
    let (vcpu, bus) = machine.vcpu_and_bus();
    bus.memory().write(0x2_1018, &0xdead_beef_u32.to_le_bytes());
    let mut state = vcpu.save();
    (state.gpr[3], state.gpr[6], state.gpr[1]) = (0x1_1000, 4, 0x42);
    state.system.segments[Seg::Ds as usize].base = 0x1_0000;
    vcpu.load(&state);

    let explanation = explain(&machine).expect("there is memory");

    assert_eq!(
        explanation.operands[0].text(),
        "[ebx+esi*4+8] = DS base 0x10000 + 0x11018 = linear 0x21018 = physical 0x21018 (RAM) = \
         0xdeadbeef  (dword, written)"
    );
    assert_eq!(explanation.operands[1].text(), "ecx = 0x42  (read)");
    assert!(explanation.lines().iter().all(|line| line.len() <= 78), "{:?}", explanation.lines());
}

/// SDM vol. 1 §3.4.3.1: what each status flag says, checked by arithmetic of another kind.
#[test]
fn flags_have_their_reasons() {
    let reasons = |bytes: &[u8], eax: u64, ecx: u64| {
        let mut machine =
            bare_machine(CpuModel::Max, CodeSize::Bits32, bytes).expect("there is memory");
        let mut state = machine.vcpu().save();
        (state.gpr[0], state.gpr[1]) = (eax, ecx);
        machine.vcpu_mut().load(&state);
        let explanation = explain(&machine).expect("there is memory");
        let instruction = decode(CodeSize::Bits32, bytes, BARE_ORIGIN).expect("an instruction");
        flags_after(&state, &instruction, &explanation.operands, &explanation.dry_run.after)
    };
    let add = reasons(&[0x01, 0xc8], 0xffff_ffff, 2);
    assert_eq!(add[0], "CF=1: the sum 0x100000001 does not fit in 32 bits");
    assert_eq!(add[3], "ZF=0: the result 0x1 is not zero");
    assert_eq!(add[5], "OF=0: the signed sum 1 fits in 32 bits");
    let cmp = reasons(&[0x39, 0xc8], 5, 5);
    assert_eq!(cmp[0], "CF=0: 0x5 is not less than 0x5, unsigned");
    assert_eq!(cmp[3], "ZF=1: the result is zero");
    let shl = reasons(&[0xc1, 0xe0, 0x20], 5, 5);
    assert_eq!(shl, ["a count of 0 leaves all flags as they are"]);
    let xor = reasons(&[0x31, 0xc0], 5, 5);
    assert_eq!(xor[0], "CF=0: the instruction clears it");
}
