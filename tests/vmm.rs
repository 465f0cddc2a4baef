//! Guests in virtual machines: the teaching kernel under every model, recordings of it, and guests
//! that try everything privileged to get out.

use cutaway::debugger::explain::encounter;
use cutaway::machine::{Fault, GuestPages, Host, Options, PhysicalMemory, Share};
use cutaway::{
    Boot, Config, CpuModel, HOST_KERNEL, Input, KERNEL_SYMBOLS, Machine, Model, OnReset,
    PARAVIRTUAL_KERNEL, SMALL_GUEST, StateHash, Stop, TEACHING_KERNEL, VIRTUALIZABLE_KERNEL,
};
use cutaway_tests::dialogue::{PROMPT, TICKS, dialogue};
use cutaway_tests::guest::{Guest, usual_config};
use cutaway_tests::intruder;
use cutaway_tests::repeat::repeat;
use cutaway_tests::skip::passed;
use cutaway_tests::workspace_root;

const MIB: u64 = 1 << 20;

fn config(options: Option<Options>) -> Config {
    let config = Config { memory_bytes: 128 * MIB, on_reset: OnReset::Stop, ..usual_config() };
    config.virtualized(options)
}

/// The teaching kernel as a model needs it.
fn kernel(options: Option<Options>) -> Guest {
    let image = match options.map(|options| options.model) {
        Some(Model::Trap) => VIRTUALIZABLE_KERNEL,
        Some(Model::Para) => PARAVIRTUAL_KERNEL,
        _ => TEACHING_KERNEL,
    };
    of_image(options, image)
}

fn of_image(options: Option<Options>, image: &[u8]) -> Guest {
    Guest::new(config(options), &Boot::Kernel { image, initrd: None, cmdline: "" })
}

/// The console without what hangs on time: ticks and switches of tasks, and the registers at the
/// instant of a command.
fn timeless(output: &str) -> Vec<&str> {
    let counted = [
        "0  ready",
        "running",
        "sleeping",
        "timer interrupts since boot",
        "3  ready",
        // The ports have their code at other addresses.
        "interrupt gate",
        "GDTR base",
        "TSS, busy",
        "  00100000  02 b0 ad 1b",
        "page frames free",
        "page frames up to",
        "code, read-only",
        "- 00",
        "  001000",
    ];
    let lines = output.lines().filter(|line| !counted.iter().any(|of| line.contains(of)));
    // The paravirtual kernel keeps the user's flat data segments.
    let registers = ["  E", "  CS", "2020-"];
    lines.filter(|line| !registers.iter().any(|of| line.starts_with(of))).collect()
}

#[test]
fn the_teaching_kernel_answers_as_on_the_bare_machine() {
    let mut bare = kernel(None);
    dialogue(&mut bare);
    for model in Options::ALL {
        let mut guest = kernel(Some(model));
        dialogue(&mut guest);
        let (output, expected) = (guest.output(), bare.output());
        if model.model == Model::Hardware {
            // In guest mode nothing is otherwise than on the bare machine, time included.
            assert_eq!(output, expected, "{}", model.name());
            assert_eq!(guest.machine.instructions(), bare.machine.instructions());
        }
        let (lines, expected) = (timeless(&output), timeless(&expected));
        for (line, expected) in lines.iter().zip(&expected) {
            assert_eq!(line, expected, "{}", model.name());
        }
        assert_eq!(lines.len(), expected.len(), "{}", model.name());
        passed(&format!("teaching kernel, model {}", model.name()));
    }
}

/// What the sensitive instructions of "regs" show of the physical machine (Robin and Irvine 2000,
/// table 1): the selectors are ring 1's, the descriptor tables the monitor's.
#[test]
fn trap_and_emulate_shows_the_physical_machine_through_sensitive_instructions() {
    let mut guest = of_image(Some(Options::of(Model::Trap)), TEACHING_KERNEL);
    guest.wait_for(PROMPT, TICKS);
    guest.type_line("regs");
    let shown = guest.wait_for(PROMPT, TICKS);
    for expected in ["CS 0009", "SS 0011", "TR 0000", "GDTR base ffc00000 limit 0000"] {
        assert!(shown.contains(expected), "{expected} in:\n{shown}");
    }
    passed("teaching kernel, model trap: sensitive instructions misbehave");
}

/// UMIP makes five of them trap; the selectors of CS and SS can still be read.
#[test]
fn umip_makes_the_stores_of_tables_trap() {
    let boot = Boot::Kernel { image: TEACHING_KERNEL, initrd: None, cmdline: "" };
    let mut guest =
        Guest::new(config(Some(Options { umip: true, ..Options::of(Model::Trap) })), &boot);
    guest.wait_for(PROMPT, TICKS);
    guest.type_line("regs");
    let shown = guest.wait_for(PROMPT, TICKS);
    for expected in ["CS 0009", "TR 0028", "limit 002f  IDTR base"] {
        assert!(shown.contains(expected), "{expected} in:\n{shown}");
    }
    let vm = guest.machine.vm().expect("it runs by a model");
    assert_eq!(vm.exits().of(cutaway::machine::Reason::Sensitive), 3, "STR, SGDT, SIDT");
}

/// What test-roms/sensitive.asm shows: in ring 0 of the bare machine, by the Intel SDM's page on each
/// instruction; by trap-and-emulate, where ring 0 is ring 1, the flags are the monitor's, and its
/// descriptor tables are empty (Robin and Irvine 2000, section 3.2); and the same with UMIP, which
/// five of them heed (SDM vol. 3A section 2.5, CR4.UMIP).
#[rustfmt::skip] // one row per line of the ROM
const SENSITIVE: &[(&str, u32, u32, u32)] = &[
    ("SGDT base",       0x600,       0xffc0_0000, 0x600),
    ("SGDT limit",      0x1ff,       0,           0x1ff),
    ("SIDT base",       0x800,       0xffc0_1000, 0x800),
    ("SIDT limit",      0x7ff,       0,           0x7ff),
    ("SLDT",            0x68,        0,           0x68),
    ("STR",             0x58,        0,           0x58),
    ("SMSW",            0x11,        0x31,        0x11), // NE is the monitor's
    ("PUSHF IF",        0,           1,           1),
    ("PUSHF IOPL",      1,           0,           0),
    ("POPF IF",         0,           1,           1),
    ("POPF IOPL",       1,           0,           0),
    ("LAR",             0xc0_9a00,   0,           0),
    ("LSL",             0xffff_ffff, 0,           0),
    ("VERR ZF",         1,           0,           0),
    ("VERW ZF",         1,           0,           0),
    ("PUSH CS",         0x8,         0x9,         0x9),
    ("PUSH SS",         0x10,        0x11,        0x11),
    ("MOV from CS",     0x8,         0x9,         0x9),
    ("MOV from SS",     0x10,        0x11,        0x11),
    // No exception; #GP for an RPL of 1 in ring 0.
    ("POP SS",          0xffff_ffff, 13,          13),
    ("MOV to SS",       0xffff_ffff, 13,          13),
    ("CALL",            0xffff_ffff, 13,          13),
    ("JMP",             0xffff_ffff, 13,          13),
    ("RET",             0xffff_ffff, 13,          13),
    // It always traps, as the IDT is empty.
    ("INT n saves CS",  0x70,        0x70,        0x70),
];

/// What the ROM shows by a model, and its exit status.
fn sensitive(model: Option<Model>, umip: bool) -> (String, u8) {
    let image = std::fs::read(workspace_root().join("test-roms/bin/sensitive.bin"));
    let image = image.expect("the ROM is in the tree");
    let mut guest =
        Guest::new(Config { umip, ..config(model.map(Options::of)) }, &Boot::Rom(&image));
    let Stop::DebugExit(status) = guest.wait_for_stop(TICKS) else { panic!("{}", guest.tail()) };
    (guest.output(), status)
}

#[test]
fn sensitive_instructions_are_right_but_by_trap_and_emulate() {
    type Column = fn(&(&str, u32, u32, u32)) -> u32;
    let (right, trap, umip): (Column, Column, Column) = (|row| row.1, |row| row.2, |row| row.3);
    let runs = [
        ("bare", None, false, right, 33),
        ("trap", Some(Model::Trap), false, trap, 35),
        ("trap and UMIP", Some(Model::Trap), true, umip, 35),
        ("translate", Some(Model::Translate), false, right, 33),
        ("hardware", Some(Model::Hardware), false, right, 33),
    ];
    for (name, model, has_umip, column, status) in runs {
        let shown = sensitive(model, has_umip);
        let line = |row: &(&str, u32, u32, u32)| format!("{} {:08x}\n", row.0, column(row));
        let expected: String = SENSITIVE.iter().map(line).collect();
        assert_eq!(shown, (expected, status), "{name}");
        passed(&format!("sensitive instructions, {name}: {} lines", SENSITIVE.len()));
    }
}

/// What a guest can see of stolen time enters as an input, so it replays; snapshots keep it.
#[test]
fn stolen_time_records_replays_and_is_restored() {
    let path = std::env::temp_dir().join(format!("cutaway-vmm-{}-kvm.cut", std::process::id()));
    let boot = Boot::Kernel { image: TEACHING_KERNEL, initrd: None, cmdline: "" };
    let with_kvm = Config { kvm: true, ..config(Some(Options::of(Model::Hardware))) };
    let mut guest = Guest::new(with_kvm, &boot);
    guest.record(&path);
    guest.wait_for(PROMPT, TICKS);
    let before = guest.fingerprint();
    guest.machine.input(&Input::Stolen(3_000_000));
    assert_ne!(guest.fingerprint(), before, "stolen time is state");
    guest.type_line("syscall");
    guest.wait_for(PROMPT, TICKS);
    guest.finish_recording();
    let (end, hash) = (guest.machine.ticks(), guest.fingerprint());

    repeat(&path, end, &hash.1);

    let without = config(Some(Options::of(Model::Hardware)));
    let other = Machine::new(without, &boot).expect("the kernel can be booted");
    let refused = guest.machine.load(&other.save().expect("the state can be encoded"));
    assert!(refused.is_err(), "a state without KVM's interface is of another machine");
    let trapped = Config { model: Some(Model::Trap), ..guest.machine.config().clone() };
    assert!(Machine::new(trapped, &boot).is_err(), "trap-and-emulate cannot have it");
    passed("record, replay and step back over stolen time");
}

#[test]
fn a_virtual_machine_records_replays_and_steps_back() {
    for model in Options::ALL {
        let name = format!("cutaway-vmm-{}-{}.cut", std::process::id(), model.name());
        let path = std::env::temp_dir().join(name);
        let mut guest = kernel(Some(model));
        guest.record(&path);
        guest.wait_for(PROMPT, TICKS);
        guest.type_line("syscall");
        guest.wait_for(PROMPT, TICKS);
        guest.finish_recording();
        let (end, hash) = (guest.machine.ticks(), guest.fingerprint());

        repeat(&path, end, &hash.1);
        passed(&format!("record, replay and step back, model {}", model.name()));
    }
}

/// A bit of the kernel's code that flips counts at once, translated or not: 100 becomes 36.
#[test]
fn a_bit_that_flips_in_code_counts_under_every_model() {
    // MOV ECX, 100 in do_uptime, behind seven bytes; the ports have it elsewhere.
    let named = KERNEL_SYMBOLS.lines().find_map(|line| line.strip_suffix(" t do_uptime"));
    let at = u64::from_str_radix(named.expect("it has a name"), 16).expect("an address") + 8;
    let ported = |way: &Options| matches!(way.model, Model::Trap | Model::Para);
    let ways = Options::ALL.into_iter().filter(|way| !ported(way)).map(Some);
    for way in ways.chain([None]) {
        let mut guest = kernel(way);
        guest.wait_for(PROMPT, TICKS);
        guest.machine.run_until(5_000_000_000);
        let mut seconds = || {
            guest.type_line("uptime");
            let answer = guest.wait_for(PROMPT, TICKS);
            let number = answer.split_once("up ").and_then(|(_, rest)| rest.split_once('.'));
            let seconds = number.and_then(|(number, _)| number.parse::<u32>().ok());
            let fault = Fault::FlipBit { address: at, bit: 6 };
            guest.machine.input(&Input::Fault(fault));
            seconds.unwrap_or_else(|| panic!("{answer}"))
        };
        let seen = [seconds(), seconds(), seconds()];
        assert_eq!((seen[0], seen[2]), (5, 5), "{way:?}");
        assert!((13..15).contains(&seen[1]), "{way:?}: {seen:?}");
    }
    passed("a bit flips in translated code");
}

/// Instructions of intruders in each model; ten million with CUTAWAY_LONG=1.
fn intruder_instructions() -> u64 {
    if std::env::var_os("CUTAWAY_LONG").is_some() { 10_000_000 } else { 500_000 }
}

/// Whatever a guest does, what the physical CPU lets it reach is its own, and nothing panics.
#[test]
fn intruders_do_not_get_out() {
    for model in Options::ALL {
        let (mut done, mut seed, mut traps, mut encounters) = (0, 0, 0, 0);
        while done < intruder_instructions() {
            seed += 1;
            let image = intruder::image(seed);
            let boot = Boot::Kernel { image: &image, initrd: None, cmdline: "" };
            let config = Config { memory_bytes: 16 * MIB, ..config(Some(model)) };
            let mut machine = Machine::new(config, &boot).expect("the intruder can be booted");
            // One that waits, or counts for long in one place, makes room for the next.
            while machine.instructions() < 100_000 {
                let ended = !matches!(machine.run_until(machine.ticks() + 97), Stop::Limit);
                let vm = machine.vm().expect("the machine has a model");
                if let Err(what) = vm.audit(machine.memory()) {
                    panic!("{}, seed {seed}: {what}", model.name());
                }
                // Nor does whoever looks at it come to grief.
                let told = encounter(&machine).expect("there is memory for a copy");
                encounters += u64::from(told.is_some());
                if ended || machine.ticks() > 1_000_000 {
                    break;
                }
            }
            done += machine.instructions().max(1);
            traps += machine.vm().map_or(0, |vm| vm.exits().total());
        }
        let what = format!("{done} instructions of {seed} intruders, {traps} traps");
        let what = format!("{what}, {encounters} sensitive instructions told of");
        passed(&format!("{what}, model {}", model.name()));
    }
}

/// Four kernels that run for ever: their tasks spin.
fn busy(model: Model) -> Machine {
    let mut guest = kernel(Some(Options::of(model)));
    guest.wait_for(PROMPT, TICKS);
    for _ in 0..2 {
        guest.type_line("spawn spin");
        guest.wait_for(PROMPT, TICKS);
    }
    guest.machine
}

/// Runs the guests until the host has executed so many instructions; the first three's counts and
/// hashes when each has had its own million of them.
fn neighbours(hostile: bool, instructions: u64) -> Vec<(u64, String)> {
    let mut host = Host::new();
    for model in [Model::Trap, Model::Translate, Model::Hardware] {
        host.add(model.name(), busy(model), Share::default());
    }
    if hostile {
        let image = intruder::image(7);
        let boot = Boot::Kernel { image: &image, initrd: None, cmdline: "" };
        let config = Config { memory_bytes: 16 * MIB, ..config(Some(Options::of(Model::Trap))) };
        let machine = Machine::new(config, &boot).expect("the intruder can be booted");
        host.add("hostile", machine, Share::default());
    }
    // A quarter of it each, whether the fourth takes its part or not.
    let part = instructions / 4;
    let mut ends = vec![None; 3];
    while ends.iter().any(Option::is_none) && host.step().is_some() {
        for (number, end) in ends.iter_mut().enumerate() {
            let guest = host.guest_mut(number).expect("there are three");
            if end.is_none() && guest.used() >= part {
                let hash = guest.machine_mut().state_hash().expect("the state can be encoded");
                *end = Some((guest.machine().instructions(), format!("{hash:#}")));
            }
        }
    }
    ends.into_iter().flatten().collect()
}

#[test]
fn a_hostile_neighbour_changes_nothing() {
    let instructions = 1_000_000_000;
    let alone = neighbours(false, instructions);
    assert_eq!(alone.len(), 3, "each has had its part");
    assert_eq!(neighbours(true, instructions), alone);
    passed("three guests beside a hostile one: 10^9 instructions, equal hashes");
}

/// A busy guest of each model: its clone does what it would have done, going back leads to the same
/// end, and its neighbour does not notice.
#[test]
fn clones_and_reverts_change_nobody_else() {
    let hash_at = |host: &mut Host, number: usize, ticks: u64| {
        let until = host.guests()[number].machine().ticks() + ticks;
        while host.guests()[number].machine().ticks() < until && host.step().is_some() {}
        let guest = host.guest_mut(number).expect("the guest is there");
        format!("{:#}", guest.machine_mut().state_hash().expect("the state can be encoded"))
    };
    let mut alone = Host::new();
    alone.add("neighbour", busy(Model::Translate), Share::default());
    let expected = hash_at(&mut alone, 0, 60_000_000);

    for model in [Model::Trap, Model::Translate, Model::Para, Model::Hardware] {
        let mut host = Host::new();
        let neighbour = host.add("neighbour", busy(Model::Translate), Share::default());
        let start = host.guests()[neighbour].machine().ticks();
        let guest = host.add(model.name(), busy(model), Share::default());
        let snapshot = host.snapshot(guest).expect("it can be copied");
        let clone = host.clone_guest(guest, "clone").expect("it can be copied");
        let end = hash_at(&mut host, guest, 10_000_000);
        host.revert(guest, &snapshot).expect("it is the guest's own");
        assert_eq!(hash_at(&mut host, guest, 10_000_000), end, "{}: back", model.name());
        host.revert(clone, &snapshot).expect("it is configured alike");
        assert_eq!(hash_at(&mut host, clone, 10_000_000), end, "{}: clone", model.name());
        let refused = host.revert(neighbour, &snapshot);
        assert_eq!(refused.is_err(), model != Model::Translate, "{}: another's", model.name());
        if model != Model::Translate {
            let done = host.guests()[neighbour].machine().ticks() - start;
            assert_eq!(hash_at(&mut host, neighbour, 60_000_000 - done), expected);
        }
        passed(&format!("clone and revert beside a neighbour, model {}", model.name()));
    }
}

#[test]
fn shares_of_1_2_and_4_give_time_within_2_percent() {
    let mut host = Host::new();
    for shares in [1, 2, 4] {
        host.add("busy", busy(Model::Translate), Share { shares, cap: None });
    }
    while host.now() < 700_000_000 && host.step().is_some() {}
    for (guest, wanted) in host.guests().iter().zip([1.0, 2.0, 4.0]) {
        let got = guest.used() as f64 * 7.0 / host.now() as f64;
        assert!((got / wanted - 1.0).abs() < 0.02, "{got} of {wanted}");
    }
    passed("shares 1:2:4 of three guests");
}

/// Three kernels for a while on a host with so many frames of memory, if there is a limit: what each
/// executed and has in its memory at the end, and the host's books.
fn in_one_memory(frames: Option<u64>) -> (Vec<(u64, StateHash)>, Option<PhysicalMemory>) {
    let mut host = Host::new();
    for command in ["mem", "mem", "spawn spin"] {
        let mut guest = kernel(Some(Options::of(Model::Hardware)));
        guest.wait_for(PROMPT, TICKS);
        guest.type_line(command);
        guest.wait_for(PROMPT, TICKS);
        host.add(command, guest.machine, Share::default());
    }
    if let Some(frames) = frames {
        host.set_memory(frames << 12);
    }
    while host.now() < 300_000_000 && host.step().is_some() {}
    let ends = host.guests().iter().map(|guest| {
        let mut bytes = vec![0; 8 << 20];
        guest.machine().memory().read(0, &mut bytes);
        (guest.machine().instructions(), StateHash::of(&bytes))
    });
    (ends.collect(), host.memory().cloned())
}

#[test]
fn guests_in_one_memory_do_not_notice() {
    let (alone, _) = in_one_memory(None);
    for frames in [1000, 40] {
        let (ends, memory) = in_one_memory(Some(frames));
        assert_eq!(ends, alone, "with {frames} frames");
        let memory = memory.expect("the host has a memory");
        let sum = |of: fn(&GuestPages) -> u64| memory.guests().iter().map(of).sum::<u64>();
        let (mapped, shared) = (sum(|pages| pages.mapped), sum(|pages| pages.shared));
        let (copied, read_in) = (sum(|pages| pages.copied), sum(|pages| pages.read_in));
        assert!(memory.used() < mapped && shared > 0 && copied > 0, "{memory:?}");
        assert!(memory.used() <= frames && (read_in > 0) == (frames == 40), "{memory:?}");
        passed(&format!(
            "three guests in {frames} frames: {mapped} pages in {}, {shared} shared, {copied} \
             copied, {read_in} read in",
            memory.used()
        ));
    }
}

/// The teaching kernel with a hypervisor of type 2, at its prompt.
fn host_kernel(cpu: &str) -> Guest {
    let cpu = CpuModel::by_name(cpu).expect("the name of a CPU model");
    let boot = Boot::Kernel { image: HOST_KERNEL, initrd: None, cmdline: "" };
    let mut guest = Guest::new(Config { cpu, ..config(None) }, &boot);
    guest.wait_for(PROMPT, TICKS);
    guest
}

/// The numbers in the task's line of the list that `tasks` prints: pid, CPL, ticks, switches, times
/// pre-empted. The page directory comes last.
fn task_line(list: &str, name: &str) -> Vec<u64> {
    let line = list.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
    let line = line.unwrap_or_else(|| panic!("{name} in:\n{list}"));
    let words: Vec<_> = line.split_whitespace().collect();
    words[..words.len() - 1].iter().filter_map(|word| word.parse().ok()).collect()
}

/// What the guest prints, as test-roms/kernel/guest.asm does.
fn lines_of_small_guest() -> Vec<String> {
    let rounds = (1..=4).map(|n| format!("counted, round {n}, timer interrupts {}", n - 1));
    std::iter::once("on Cutaway host".to_owned()).chain(rounds).collect()
}

/// A type 2 hypervisor: the guest runs as a task of the host kernel, beside two that never give up
/// the CPU. Each OUT, CPUID and HLT leaves it once (AMD APM vol. 2 15.9, 15.10), and physical interrupts
/// (15.13.1) whenever the host's timer comes.
#[test]
fn a_guest_is_a_task_of_the_host_kernel() {
    let mut ends = Vec::new();
    for _ in 0..2 {
        let mut guest = host_kernel("max,+svm");
        for command in ["spawn spin", "spawn spin", "vm"] {
            guest.type_line(command);
            guest.wait_for(PROMPT, TICKS);
        }
        guest.wait_for("guest: counted, round 2", 10 * TICKS);
        guest.type_line("tasks");
        let tasks = guest.wait_for(PROMPT, TICKS);
        guest.wait_for("guest has halted for ever", 10 * TICKS);
        guest.type_line("vmstat");
        guest.wait_for("VMRUN ", TICKS);
        let counts = guest.wait_for("\r\n", TICKS);
        guest.wait_for("(vmm) exited with code 0", TICKS);
        ends.push((guest.fingerprint(), tasks, counts, guest.output()));
    }
    let (_, tasks, counts, output) = &ends[0];
    let printed: Vec<_> = output.lines().filter_map(|line| line.split("guest: ").nth(1)).collect();
    assert_eq!(printed, lines_of_small_guest());

    let words = counts.split(|c: char| !c.is_ascii_digit());
    let counts: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
    // Beside the console's there are 8 to set up PIC and PIT, and an end of each interrupt.
    let characters = lines_of_small_guest().iter().map(|line| line.len() as u64 + 1).sum::<u64>();
    let &[runs, interrupts, ports, cpuids, halts, others] = &counts[..] else {
        panic!("{counts:?}");
    };
    assert_eq!((ports, cpuids, halts, others), (characters + 8 + 4, 2, 5, 0));
    assert_eq!(runs, interrupts + ports + cpuids + halts);

    let (vmm, spin) = (task_line(tasks, "vmm"), task_line(tasks, "spin"));
    assert_eq!((vmm[1], spin[1]), (0, 3), "CPL in:\n{tasks}");
    assert!(vmm[2] > 0 && spin[2] > 0 && vmm[4] > 0, "ticks and pre-emptions in:\n{tasks}");
    assert!(interrupts >= vmm[2], "{interrupts} interrupts, and in:\n{tasks}");
    assert_eq!(ends[0], ends[1], "two runs");
    passed(&format!(
        "type 2: {runs} VMRUNs; left for {interrupts} interrupts, {ports} ports, {cpuids} CPUID, \
         {halts} HLT"
    ));
}

#[test]
fn the_host_kernel_says_when_there_is_no_svm() {
    for cpu in ["486", "x86-64-v2"] {
        let mut guest = host_kernel(cpu);
        guest.type_line("vm");
        let said = guest.wait_for(PROMPT, TICKS);
        assert!(said.contains("this CPU has no SVM"), "{said}");
    }
}

/// The guest of the host kernel is an image of its own, too.
#[test]
fn the_small_guest_runs_alone_and_by_hardware() {
    assert!(HOST_KERNEL.ends_with(SMALL_GUEST));
    for model in [None, Some(Options::of(Model::Hardware))] {
        let mut guest = of_image(model, SMALL_GUEST);
        assert!(matches!(guest.wait_for_stop(10 * TICKS), Stop::Halted));
        let printed = guest.debug_output();
        let lines: Vec<_> = printed.lines().skip(1).collect();
        assert_eq!(lines, lines_of_small_guest()[1..]);
    }
}

/// What a guest has after so many ticks: instructions, registers, memory.
fn after(options: Option<Options>, seed: u64, ticks: u64) -> (u64, String, StateHash) {
    let image = intruder::image(seed);
    let boot = Boot::Kernel { image: &image, initrd: None, cmdline: "" };
    let config = Config { memory_bytes: 16 * MIB, ..config(options) };
    let mut machine = Machine::new(config, &boot).expect("the intruder can be booted");
    machine.run_until(ticks);
    let state = machine.vcpu().save();
    let system = &state.system;
    let controls = [system.cr0, system.cr2, system.cr3, system.cr4];
    // RF counts for the next instruction alone, which a guest that has shut down does not have.
    let rflags = state.rflags & !(1 << 16);
    let registers = format!("{:x?} {:x} {rflags:x} {controls:x?}", state.gpr, state.rip);
    let mut bytes = vec![0; 16 * MIB as usize];
    machine.memory().read(0, &mut bytes);
    (machine.instructions(), registers, StateHash::of(&bytes))
}

/// Guest mode shows in nothing: whatever an intruder does, it ends as on the bare machine. (Not so number
/// 204, whose REP STOSD writes over itself: an exit in its midst has it fetched anew.)
#[test]
fn intruders_in_guest_mode_do_what_they_do_on_the_bare_machine() {
    const TICKS: u64 = 100_000;
    let all = if std::env::var_os("CUTAWAY_LONG").is_some() { 200 } else { 60 };
    let ways: Vec<_> =
        Options::ALL.into_iter().filter(|options| options.model == Model::Hardware).collect();
    for seed in 1..=all {
        let bare = after(None, seed, TICKS);
        for &way in &ways {
            assert_eq!(after(Some(way), seed, TICKS), bare, "{}, seed {seed}", way.name());
        }
    }
    passed(&format!("{all} intruders in guest mode, with nested paging and on shadow tables"));
}
