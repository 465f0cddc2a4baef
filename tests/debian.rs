//! Debian 12's own kernels, unmodified, to a shell on the serial console; the installer to its
//! first screen; the cloud kernel through power-off and reboot.
//!
//! The kernels come from Debian's packages and are not in the tree. Where one is not installed its
//! test says loudly that it was skipped. So it does in a debug build, which would take an hour.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;

use cutaway::machine::{Host, Options, Paging, Reason, Share};
use cutaway::replay::{Recording, Snapshot, SnapshotOptions, TimeMachine, save};
use cutaway::{Boot, CharSink, Config, CpuModel, Machine, Model, Stop};
use cutaway_tests::guest::{Guest, usual_config};
use cutaway_tests::initramfs;
use cutaway_tests::skip::{newest_cloud_kernel, passed, readable, skipped};

const MIB: u64 = 1 << 20;
/// Ticks are nanoseconds at the usual rate: five minutes of guest time.
const BOOT_TICKS: u64 = 300_000_000_000;
/// What a command may take.
const COMMAND_TICKS: u64 = 60_000_000_000;
/// The prompt of Debian's busybox: it then asks the terminal where its cursor is.
const PROMPT: &str = "# \x1b[6n";
/// The command line of the shell boots.
const SHELL: &str = "console=ttyS0 rdinit=/bin/sh";
/// What the shell has to answer. The last line marks the end.
const COMMANDS: &str = "mount -t devtmpfs d /dev; mount -t proc p /proc; uname -a; \
    cat /proc/cpuinfo; ls /; dd if=/dev/zero bs=1M count=16 | md5sum; echo DONE=$((6*7))";
/// `dd if=/dev/zero bs=1M count=16 | md5sum` on any machine.
const ZEROS_MD5: &str = "2c7ab85a893283e98c931e9511add182";

/// A kernel and its initial RAM disk.
struct Files {
    kernel: Vec<u8>,
    initrd: Vec<u8>,
}

impl Files {
    fn boot<'a>(&'a self, cmdline: &'a str) -> Boot<'a> {
        Boot::Kernel { image: &self.kernel, initrd: Some(&self.initrd), cmdline }
    }
}

fn too_slow(what: &str) -> bool {
    if cfg!(debug_assertions) {
        skipped(what, "run the tests with --release");
    }
    cfg!(debug_assertions)
}

fn installer_files(architecture: &str, what: &str) -> Option<Files> {
    if too_slow(what) {
        return None;
    }
    let folder = format!(
        "/usr/lib/debian-installer/images/12/{architecture}/text/debian-installer/{architecture}"
    );
    let remedy = format!("install debian-installer-12-netboot-{architecture}");
    let kernel = readable(Path::new(&folder).join("linux"), what, &remedy)?;
    let initrd = readable(Path::new(&folder).join("initrd.gz"), what, &remedy)?;
    Some(Files { kernel: bytes_of(&kernel), initrd: bytes_of(&initrd) })
}

fn bytes_of(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The newest cloud kernel installed, with busybox around it.
fn cloud_files(what: &str) -> Option<Files> {
    if too_slow(what) {
        return None;
    }
    let Some(kernel) = newest_cloud_kernel() else {
        skipped(what, "install linux-image-cloud-amd64, and make /boot/vmlinuz-* readable");
        return None;
    };
    let busybox = readable("/bin/busybox", what, "install busybox-static")?;
    let initrd = initramfs::busybox(&bytes_of(&busybox));
    Some(Files { kernel: bytes_of(&kernel), initrd })
}

fn config() -> Config {
    Config { memory_bytes: 512 * MIB, ..usual_config() }
}

fn at_prompt(files: &Files) -> Guest {
    let mut guest = Guest::new(config(), &files.boot(SHELL));
    guest.wait_for(PROMPT, BOOT_TICKS);
    guest
}

/// What is done with a guest at its prompt.
type Dialogue<'a> = Box<dyn FnOnce(&mut Guest) + Send + 'a>;

/// Boots twice side by side, without input; both must be the same machine at the prompt. Then
/// each goes on with a dialogue of its own.
fn boot_twice(files: &Files, dialogues: [Dialogue<'_>; 2]) {
    let go = |dialogue: Dialogue<'_>| {
        let mut guest = at_prompt(files);
        let fingerprint = guest.fingerprint();
        dialogue(&mut guest);
        fingerprint
    };
    let [first, second] = thread::scope(|scope| {
        let threads = dialogues.map(|dialogue| scope.spawn(move || go(dialogue)));
        threads.map(|thread| thread.join().expect("the boot and its dialogue succeed"))
    });
    assert_eq!(first, second, "instructions and state hash at the prompt");
}

/// The dialogue of the issue; `machine` is what `uname -m` gives.
fn answers(guest: &mut Guest, machine: &str) {
    guest.type_line(COMMANDS);
    let answer = guest.wait_for("DONE=42", COMMAND_TICKS);
    for expected in [machine, "GNU/Linux", "model name", "proc", ZEROS_MD5] {
        assert!(answer.contains(expected), "{expected:?} is missing in:\n{answer}");
    }
    guest.wait_for(PROMPT, COMMAND_TICKS);
}

/// A recording whose file goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("cutaway-debian-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// The run again, with every hash checked; to so many instructions or to the end.
    fn replay(&self, start: Option<&Path>, count: u64) -> TimeMachine {
        let recording = Recording::open(&self.0).expect("the run can be saved and read back");
        let run = match start {
            None => TimeMachine::open(recording, 0),
            Some(path) => TimeMachine::open_at(
                recording,
                &Snapshot::open(path).expect("the run can be saved and read back"),
                0,
            ),
        };
        let mut run = run.expect("the run can be saved and read back");
        run.go_forwards_only();
        run.set_verify(true);
        run.goto(count).unwrap_or_else(|error| panic!("{error}"));
        run
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Boots, talks and records; then half of it is replayed, saved, and the rest replayed from the
/// snapshot, with all hashes on the way.
fn installer_shell(architecture: &str, machine: &str) {
    let what = format!("Debian 12 installer kernel {architecture} to a shell, and its replay");
    let Some(files) = installer_files(architecture, &what) else { return };
    let recording = Scratch::new(&format!("{architecture}.cut"));
    let snapshot = Scratch::new(&format!("{architecture}.snap"));
    let mut guest = Guest::new(config(), &files.boot(SHELL));
    guest.record(&recording.0);

    guest.wait_for(PROMPT, BOOT_TICKS);
    answers(&mut guest, machine);
    guest.finish_recording();

    let (end, hash) = guest.fingerprint();
    drop(guest);
    let opened = Recording::open(&recording.0).expect("the run can be saved and read back");
    let (hashes, start) = (opened.journal.hashes(), opened.start.hash());
    let journal = opened.journal_bytes().expect("the run can be saved and read back");
    drop(opened);
    let half = recording.replay(None, end / 2);
    let parent = Some(half.parent(start));
    let mut half = half.into_machine();
    save(&mut half, &snapshot.0, &SnapshotOptions { compress: false, parent })
        .expect("the run can be saved and read back");
    drop(half);
    let mut rest = recording.replay(Some(&snapshot.0), u64::MAX);
    let state = rest.state_hash().expect("the run can be saved and read back");
    assert_eq!((rest.count(), format!("{state:#}")), (end, hash));
    assert!(journal < 200 * 1024, "a journal of {journal} bytes");

    passed(&format!("{what}: {end} instructions, {hashes} hashes, journal of {journal} bytes"));
}

#[test]
fn amd64_installer_kernel_reaches_a_shell_that_answers() {
    installer_shell("amd64", "x86_64");
}

#[test]
fn i386_installer_kernel_reaches_a_shell_that_answers() {
    installer_shell("i386", "i686");
}

/// The same kernels in a virtual machine on the emulated CPU.
fn virtual_machine(architecture: &str, machine: &str, options: Options) {
    let what = format!("Debian 12 installer kernel {architecture}, model {}", options.name());
    let Some(files) = installer_files(architecture, &what) else { return };
    let mut guest = Guest::new(config().virtualized(Some(options)), &files.boot(SHELL));
    guest.wait_for(PROMPT, BOOT_TICKS);
    answers(&mut guest, machine);
    let vm = guest.machine.vm().expect("it runs by a model");
    vm.audit(guest.machine.memory()).expect("the guest has nothing but its own");
    let (traps, calls) = (vm.exits().total(), vm.call_outs().total());
    let instructions = guest.machine.instructions();
    passed(&format!("{what}: {instructions} instructions, {traps} traps, {calls} call-outs"));
    // For docs/virtualization.md.
    for (name, exits) in [("traps", vm.exits()), ("call-outs", vm.call_outs())] {
        let of = |reason: Reason| (exits.of(reason) > 0).then(|| (reason.name(), exits.of(reason)));
        println!("{name}: {:?}", Reason::ALL.into_iter().filter_map(of).collect::<Vec<_>>());
    }
    println!("{:?}\n{:?}\n{:?}", vm.walk_counts(), vm.shadow_counts(), vm.translation_counts());
}

#[test]
fn i386_installer_kernel_runs_by_binary_translation() {
    virtual_machine("i386", "i686", Options::of(Model::Translate));
}

#[test]
fn i386_installer_kernel_runs_by_hardware_assistance() {
    virtual_machine("i386", "i686", Options::of(Model::Hardware));
}

#[test]
fn amd64_installer_kernel_runs_by_hardware_assistance() {
    virtual_machine("amd64", "x86_64", Options::of(Model::Hardware));
}

/// Hardware assistance as it first was.
const SHADOW: Options = Options { paging: Paging::Shadow, ..Options::of(Model::Hardware) };

#[test]
fn i386_installer_kernel_runs_on_shadow_page_tables() {
    virtual_machine("i386", "i686", SHADOW);
}

#[test]
fn amd64_installer_kernel_runs_on_shadow_page_tables() {
    virtual_machine("amd64", "x86_64", SHADOW);
}

/// What came out of a serial port of a guest that is not driven by a script.
#[derive(Clone, Default)]
struct Output(Rc<RefCell<Vec<u8>>>);

impl CharSink for Output {
    fn put(&mut self, byte: u8) {
        self.0.borrow_mut().push(byte);
    }
}

impl Output {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

/// Jiffies of the steal column in the first line of the last /proc/stat that a text has: user, nice,
/// system, idle, iowait, irq, softirq, steal (Linux, Documentation/filesystems/proc.rst).
fn steal_jiffies(text: &str) -> Option<u64> {
    let line = text.lines().rev().find(|line| line.starts_with("cpu  "))?;
    line.split_whitespace().nth(8)?.parse().ok()
}

/// KVM's clock and steal time, as Linux finds and uses them: alone, then beside a guest that never
/// rests.
fn kvm_guest(architecture: &str) {
    let what = format!("Debian 12 installer kernel {architecture} with KVM's interface");
    let Some(files) = installer_files(architecture, &what) else { return };
    let config = Config { model: Some(Model::Hardware), kvm: true, ..config() };
    let mut guest = Guest::new(config, &files.boot(SHELL));
    let boot = guest.wait_for(PROMPT, BOOT_TICKS);
    let said = "kvm-clock: Using msrs 4b564d01 and 4b564d00";
    assert!(boot.contains(said), "{said:?} is missing in:\n{boot}");
    guest.type_line(
        "mount -t proc p /proc; mount -t sysfs s /sys; \
         cat /sys/devices/system/clocksource/clocksource0/current_clocksource; \
         grep 'cpu  ' /proc/stat; echo END=$((6*7))",
    );
    let answer = guest.wait_for("END=42", COMMAND_TICKS);
    assert!(answer.lines().any(|line| line == "kvm-clock"), "the clock source in:\n{answer}");
    assert_eq!(steal_jiffies(&answer), Some(0), "nobody else was there:\n{answer}");
    guest.wait_for(PROMPT, COMMAND_TICKS);

    let mut host = Host::new();
    let output = Output::default();
    let mut machine = guest.machine;
    machine.attach_serial(0, Box::new(output.clone()));
    machine.serial_input(
        0,
        b"i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done; \
          grep 'cpu  ' /proc/stat; cat /proc/uptime; echo END=$((6*7))\r",
    );
    let number = host.add("linux", machine, Share::default());
    let mut image = [0xf4; 4096];
    image[0xff0..0xff2].copy_from_slice(&[0xeb, 0xfe]); // JMP to itself
    let busy = Config { memory_bytes: MIB, ..usual_config() };
    let busy = Machine::new(busy, &Boot::Rom(&image)).expect("a ROM makes a machine");
    host.add("busy", busy, Share::default());
    while !output.text().contains("END=42") {
        assert!(host.now() < COMMAND_TICKS, "no answer:\n{}", output.text());
        host.step();
    }
    // A jiffy of the columns is 10 ms, and a tick is a nanosecond.
    let stolen = host.guests()[number].stolen() / 10_000_000;
    let seen = steal_jiffies(&output.text()).expect("the guest has shown its /proc/stat");
    assert!(stolen > 10, "{stolen} jiffies stolen");
    assert!(
        seen.abs_diff(stolen) <= 2 + stolen / 20,
        "{seen} of {stolen} jiffies:\n{}",
        output.text()
    );
    passed(&format!("{what}: it saw {seen} of {stolen} jiffies that a neighbour took"));
}

/// What /proc/interrupts counts in its line of this name, the last one in a text.
fn interrupts(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().rev().find(|line| line.trim_start().starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Linux on local APIC and I/O APIC: interrupts come through them, and nothing complains.
fn apic_guest(architecture: &str, cpu: &str, options: Option<Options>) {
    let by = options.map_or("no monitor", |options| options.name());
    let what = format!("Debian 12 installer kernel {architecture} on {cpu}, {by}");
    let Some(files) = installer_files(architecture, &what) else { return };
    let cpu = CpuModel::by_name(cpu).expect("a CPU with an APIC");
    let config = Config { cpu, ..config() }.virtualized(options);
    let mut guest = Guest::new(config, &files.boot(SHELL));
    let boot = guest.wait_for(PROMPT, BOOT_TICKS);
    for expected in [
        "IOAPIC[0]: apic_id 1, version 17, address 0xfec00000, GSI 0-23",
        "Switch to symmetric I/O mode setup",
        "..TIMER: vector=0x30 apic1=0 pin1=2",
        "ACPI: Using IOAPIC for interrupt routing",
    ] {
        assert!(boot.contains(expected), "{expected:?} is missing in:\n{boot}");
    }
    for wrong in ["purious", "APIC error", "timer not connected", "not functional"] {
        assert!(!boot.contains(wrong), "{wrong:?} in:\n{boot}");
    }
    guest.type_line(
        "mount -t proc p /proc; cat /proc/interrupts; sleep 1; cat /proc/interrupts; \
         echo END=$((6*7))",
    );
    let answer = guest.wait_for("END=42", COMMAND_TICKS);
    let is_line = |line: &&str, end: &str| line.contains("IO-APIC") && line.ends_with(end);
    for end in ["2-edge      timer", "4-edge      ttyS0", "9-fasteoi   acpi"] {
        assert!(answer.lines().any(|line| is_line(&line, end)), "{end:?} in:\n{answer}");
    }
    for name in ["SPU:", "ERR:"] {
        assert_eq!(interrupts(&answer, name), Some(0), "{name} in:\n{answer}");
    }
    let half = answer.find("CPU0").map_or(0, |at| at + 4);
    let half = half + answer[half..].find("CPU0").expect("the list comes twice");
    let [before, after] = [&answer[..half], &answer[half..]].map(|part| interrupts(part, "LOC:"));
    let (before, after) = (before.unwrap_or(0), after.unwrap_or(0));
    assert!(before > 100 && after > before, "LOC: {before}, {after} in:\n{answer}");
    guest.wait_for(PROMPT, COMMAND_TICKS);
    if let Some(vm) = guest.machine.vm() {
        vm.audit(guest.machine.memory()).expect("the guest has nothing but its own");
    }
    let (instructions, hash) = guest.fingerprint();
    passed(&format!("{what}: {instructions} instructions, {after} LOC, {}", &hash[..8]));
}

#[test]
fn amd64_kernel_uses_the_apics() {
    apic_guest("amd64", "x86-64-v2,+apic", None);
}

#[test]
fn i386_kernel_uses_the_apics() {
    apic_guest("i386", "max,+apic", None);
}

#[test]
fn i386_kernel_uses_the_apics_by_binary_translation() {
    apic_guest("i386", "x86-64-v2,+apic", Some(Options::of(Model::Translate)));
}

#[test]
fn amd64_kernel_uses_the_apics_by_hardware_assistance() {
    apic_guest("amd64", "max,+apic", Some(Options::of(Model::Hardware)));
}

#[test]
fn amd64_kernel_uses_the_apics_on_shadow_page_tables() {
    apic_guest("amd64", "x86-64-v2,+apic", Some(SHADOW));
}

/// A run on the APICs that is recorded repeats, from the start and from a snapshot in its middle.
#[test]
fn a_recorded_run_on_the_apics_repeats() {
    let what = "Debian 12 installer kernel amd64 on the APICs with KVM's interface, recorded";
    let Some(files) = installer_files("amd64", what) else { return };
    let cpu = CpuModel::by_name("x86-64-v2,+apic").expect("a CPU with an APIC");
    let config = Config { cpu, model: Some(Model::Hardware), kvm: true, ..config() };
    let recording = Scratch::new("apic.cut");
    let snapshot = Scratch::new("apic.snap");
    let mut guest = Guest::new(config, &files.boot(SHELL));
    guest.record(&recording.0);
    guest.wait_for(PROMPT, BOOT_TICKS);
    guest.finish_recording();
    let (end, hash) = guest.fingerprint();
    drop(guest);

    let start = Recording::open(&recording.0).expect("it was written just now").start.hash();
    let half = recording.replay(None, end / 2);
    let parent = Some(half.parent(start));
    save(&mut half.into_machine(), &snapshot.0, &SnapshotOptions { compress: false, parent })
        .expect("the run can be saved and read back");
    let mut rest = recording.replay(Some(&snapshot.0), u64::MAX);
    let state = rest.state_hash().expect("the run can be saved and read back");

    assert_eq!((rest.count(), format!("{state:#}")), (end, hash));
    passed(&format!("{what}: {end} instructions"));
}

/// PV EOI: the guest ends most interrupts without leaving for it.
#[test]
fn amd64_kernel_skips_eois_by_kvm() {
    let what = "Debian 12 installer kernel amd64 with and without PV EOI";
    let Some(files) = installer_files("amd64", what) else { return };
    let cpu = CpuModel::by_name("x86-64-v2,+apic").expect("a CPU with an APIC");
    let boot = |kvm: bool| {
        let config = Config { cpu, model: Some(Model::Hardware), kvm, ..config() };
        let mut guest = Guest::new(config, &files.boot(SHELL));
        guest.wait_for(PROMPT, BOOT_TICKS);
        answers(&mut guest, "x86_64");
        let stats = guest.machine.stats();
        let exits = guest.machine.vm().expect("it runs by a model").exits();
        (exits.of(Reason::DeviceMemory), exits.total(), stats.mmio_writes, stats.interrupts)
    };
    let [without, with] = thread::scope(|scope| {
        let threads = [false, true].map(|kvm| scope.spawn(move || boot(kvm)));
        threads.map(|thread| thread.join().expect("the boot and its dialogue succeed"))
    });
    passed(&format!(
        "{what}: (device memory exits, exits, device memory writes, interrupts) {without:?}, {with:?}"
    ));
    // Each interrupt wants an EOI, and the timer a new count for most.
    assert!(with.0 + with.3 / 2 < without.0, "device memory exits: {} and {}", without.0, with.0);
}

#[test]
fn amd64_kernel_uses_the_kvm_clock_and_sees_stolen_time() {
    kvm_guest("amd64");
}

#[test]
fn i386_kernel_uses_the_kvm_clock_and_sees_stolen_time() {
    kvm_guest("i386");
}

fn installer_screen(architecture: &str) {
    let what = format!("Debian 12 installer {architecture} to its first screen");
    let Some(files) = installer_files(architecture, &what) else { return };
    let config = Config { memory_bytes: 1024 * MIB, ..usual_config() };
    let mut guest = Guest::new(config, &files.boot("priority=critical console=ttyS0"));

    guest.wait_for("Select a language", BOOT_TICKS);

    passed(&what);
}

#[test]
fn amd64_installer_reaches_its_first_screen() {
    installer_screen("amd64");
}

#[test]
fn i386_installer_reaches_its_first_screen() {
    installer_screen("i386");
}

/// Memtest86+ through its first tests: a kernel of another making, with its own drivers.
fn memtest(file: &str, cpu: &str) {
    let what = format!("memtest86+ ({file}) on {cpu}");
    if too_slow(&what) {
        return;
    }
    let Some(path) = readable(Path::new("/boot").join(file), &what, "install memtest86+") else {
        return;
    };
    let cpu = CpuModel::by_name(cpu).expect("a CPU model");
    let config = Config { memory_bytes: 8 * MIB, ..Config::new(cpu) };
    let image = bytes_of(&path);
    let boot = Boot::Kernel { image: &image, initrd: None, cmdline: "console=ttyS0,115200" };
    let mut guest = Guest::new(config, &boot);

    // Its ninth test: those before have gone over all memory.
    guest.wait_for("#9  [", COMMAND_TICKS);

    let output = guest.output();
    let errors: Vec<_> =
        output.split("Errors: ").skip(1).filter_map(|rest| rest.chars().next()).collect();
    assert!(!errors.is_empty() && errors.iter().all(|digit| *digit == '0'), "{}", guest.tail());
    passed(&what);
}

#[test]
fn memtest86_plus_finds_no_error() {
    memtest("memtest86+x64.bin", "x86-64-v2");
    memtest("memtest86+ia32.bin", "pentium3");
}

/// Bytes of memory that this process shares with nobody.
fn private_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with("Private_Dirty:"));
    let kib = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.sum::<u64>() * 1024
}

#[test]
fn a_hundred_clones_of_a_booted_guest_run_in_one_process() {
    let what = "100 clones of the booted cloud kernel";
    let Some(files) = cloud_files(what) else { return };
    if private_bytes() == 0 {
        skipped(what, "run it on Linux, which says what memory is shared");
        return;
    }
    let snapshot = Scratch::new("clones.snap");
    let config = Config { memory_bytes: 256 * MIB, ..usual_config() };
    let mut first = Guest::new(config, &files.boot(SHELL));
    first.wait_for(PROMPT, BOOT_TICKS);
    save(&mut first.machine, &snapshot.0, &SnapshotOptions::default()).unwrap();
    drop(first);

    let opened = Snapshot::open(&snapshot.0).unwrap();
    let before = private_bytes();
    let mut clones: Vec<_> = (0..100).map(|_| Guest::of(opened.machine().unwrap())).collect();
    let each = private_bytes().saturating_sub(before) / 100;
    assert!(each <= 8 * MIB, "a clone takes {each} bytes before it runs");

    for (n, clone) in clones.iter_mut().enumerate() {
        clone.type_line(&format!("echo clone $(({n}*7)) is well"));
    }
    for (n, clone) in clones.iter_mut().enumerate() {
        clone.wait_for(&format!("\nclone {} is well", n * 7), COMMAND_TICKS);
    }
    passed(&format!("{what}: {} KiB each before it runs", each / 1024));
}

#[test]
fn cloud_kernel_reaches_a_shell_powers_off_and_reboots() {
    let what = "Debian 12 cloud kernel to a shell, poweroff -f and reboot -f";
    let Some(files) = cloud_files(what) else { return };

    let power_off = |guest: &mut Guest| {
        answers(guest, "x86_64");
        guest.type_line("poweroff -f");
        let stop = guest.wait_for_stop(COMMAND_TICKS);
        assert!(matches!(stop, Stop::PowerOff | Stop::Halted), "{stop:?}; {}", guest.tail());
    };
    let reboot = |guest: &mut Guest| {
        guest.type_line("reboot -f");
        let stop = guest.wait_for_stop(COMMAND_TICKS);
        assert!(matches!(stop, Stop::Reset), "{stop:?}; {}", guest.tail());
    };
    boot_twice(&files, [Box::new(power_off), Box::new(reboot)]);

    passed(what);
}
