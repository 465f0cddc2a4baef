//! Debian 12's own kernels, unmodified, to a shell on the serial console; the installer to its
//! first screen; the cloud kernel through power-off and reboot.
//!
//! The kernels come from Debian's packages and are not in the tree. Where one is not installed its
//! test says loudly that it was skipped. So it does in a debug build, which would take an hour.

use std::path::{Path, PathBuf};
use std::thread;

use cutaway::machine::{Options, Paging, Reason};
use cutaway::replay::{Recording, Snapshot, SnapshotOptions, TimeMachine, save};
use cutaway::{Boot, Config, CpuModel, Model, Stop};
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
    let (faults, walks) = (vm.exits().of(Reason::ShadowFault), vm.walk_counts());
    let (misses, read) = (walks.fills, walks.references + walks.nested_references);
    println!("{faults} shadow page faults, {misses} TLB misses, {read} table entries read");
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
