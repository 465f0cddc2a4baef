//! Memory balloons and disks: by Debian's drivers and by the teaching kernel's, recorded, and on their way
//! between guests.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;

use cutaway::machine::{BalloonSize, Devices, GuestPages, Host, Options, Share};
use cutaway::{BALLOON_KERNEL, Boot, CharSink, Config, Input, Machine, Model, OnReset, Stop};
use cutaway_tests::dialogue::{PROMPT, TICKS};
use cutaway_tests::guest::{Guest, usual_config};
use cutaway_tests::initramfs;
use cutaway_tests::repeat::repeat;
use cutaway_tests::skip::{newest_cloud_kernel, passed, readable, skipped};

const MIB: u64 = 1 << 20;
/// Five minutes of guest time.
const BOOT_TICKS: u64 = 300_000_000_000;
const COMMAND_TICKS: u64 = 60_000_000_000;
/// The prompt of Debian's busybox.
const SHELL_PROMPT: &str = "# \x1b[6n";
/// Linux's drivers, in the order in which they are loaded.
const MODULES: [&str; 5] = [
    "virtio/virtio_ring.ko",
    "virtio/virtio.ko",
    "virtio/virtio_mmio.ko",
    "virtio/virtio_balloon.ko",
    "block/virtio_blk.ko",
];
/// Mounts what is needed, and loads the drivers.
const SETUP: &str = "mount -t devtmpfs d /dev; mount -t proc p /proc; mount -t sysfs s /sys; \
    for m in virtio_ring virtio virtio_mmio virtio_balloon virtio_blk; do insmod /$m.ko; done; \
    echo READY=$((6*7))";
const BOTH: Devices = Devices { balloon: true, disk_bytes: 8 * MIB, disk_empty: false };

fn recording(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("cutaway-virtio-{}-{name}.cut", std::process::id()))
}

/// A machine of the teaching kernel that has a driver for the balloon.
fn teaching(options: Option<Options>) -> Guest {
    let devices = Devices { balloon: true, ..Devices::NONE };
    let config =
        Config { memory_bytes: 16 * MIB, devices, on_reset: OnReset::Stop, ..usual_config() };
    let boot = Boot::Kernel { image: BALLOON_KERNEL, initrd: None, cmdline: "" };
    Guest::new(config.virtualized(options), &boot)
}

fn size(machine: &Machine) -> BalloonSize {
    machine.balloon().expect("its driver is at work")
}

/// Lets a guest go on until its balloon is as large as the host wants it.
fn settle(machine: &mut Machine) {
    let limit = machine.ticks() + 10_000_000_000;
    while size(machine).actual != size(machine).wanted {
        assert!(machine.ticks() < limit, "{:?}", size(machine));
        machine.run_until(machine.ticks() + 5_000_000);
    }
}

#[test]
fn a_balloon_takes_pages_and_gives_them_back_under_every_model() {
    // Trap-and-emulate and paravirtualization take ports of the kernel that have no driver.
    let ported = |way: &Options| matches!(way.model, Model::Trap | Model::Para);
    let others = Options::ALL.into_iter().filter(|way| !ported(way)).map(Some);
    for way in others.chain([None]) {
        let name = way.map_or("none".to_owned(), |way| way.name().replace(", ", "-"));
        let path = recording(&name);
        let mut guest = teaching(way);
        guest.record(&path);
        guest.wait_for(PROMPT, TICKS);
        let touched = |guest: &Guest| guest.machine.memory().touched_pages().count();
        guest.machine.input(&Input::Balloon(700));
        settle(&mut guest.machine);
        guest.type_line("balloon");
        let answer = guest.wait_for(PROMPT, TICKS);
        assert!(answer.contains("700 frames in the balloon, the host wants 700"), "{answer}");
        let full = touched(&guest);
        guest.machine.input(&Input::Balloon(200));
        settle(&mut guest.machine);
        guest.type_line("run null");
        guest.wait_for(PROMPT, TICKS);
        assert!(full < 400, "{name}: pages in the balloon count no more: {full}");
        guest.finish_recording();
        let (end, hash) = (guest.machine.ticks(), guest.fingerprint().1);
        repeat(&path, end, &hash);
        passed(&format!("a balloon, recorded and repeated, model {name}"));
    }
}

/// A guest that sleeps is in the state in which a run up to there leaves it, whatever its devices did meanwhile.
#[test]
fn a_sleeping_guest_knows_what_its_devices_did() {
    let others =
        Options::ALL.into_iter().filter(|way| !matches!(way.model, Model::Trap | Model::Para));
    for way in others.map(Some).chain([None]) {
        let mut guest = teaching(way);
        guest.wait_for(PROMPT, TICKS);
        guest.machine.input(&Input::Balloon(300));
        let image = cutaway::machine::Image::of(&guest.machine).expect("it can be kept");
        let mut other = image.machine().expect("it can be made");
        let end = guest.machine.ticks() + 2_000_000_000;
        let mut slept = 0;
        while guest.machine.ticks() < end {
            let limit = guest.machine.ticks() + 1_000_000;
            if matches!(guest.machine.run_until_idle(limit), Stop::Idle) {
                guest.machine.sleep();
                slept += 1;
            }
            other.run_until(guest.machine.ticks());
            let saved =
                [&guest.machine, &other].map(|machine| machine.save().expect("it can be saved"));
            assert!(saved[0] == saved[1], "{way:?} at tick {}", guest.machine.ticks());
        }
        assert!(slept > 100 && size(&guest.machine).actual == 300, "{way:?}: {slept}");
    }
    passed("what devices do while a guest sleeps");
}

#[test]
fn memory_moves_from_one_guest_to_another() {
    let mut host = Host::new();
    for name in ["a", "b"] {
        let mut guest = teaching(Some(Options::of(Model::Hardware)));
        guest.wait_for(PROMPT, TICKS);
        host.add(name, guest.machine, Share::default());
    }
    let run = |host: &mut Host| {
        let end = host.now() + 2_000_000_000;
        while host.now() < end && host.step().is_some() {}
    };
    let sizes = |host: &Host| [0, 1].map(|of| size(host.guests()[of].machine()).actual);
    assert!(host.move_memory(0, 1, 4 * MIB).is_err(), "b has all that it can have");
    host.set_balloon(1, 8 * MIB).expect("b has a balloon");
    run(&mut host);
    assert_eq!(sizes(&host), [0, 2048], "b does with 8 MiB");
    host.move_memory(0, 1, 4 * MIB).expect("there is room");
    assert_eq!(host.pages_moving(), 1024);
    assert!(host.move_memory(0, 1, 5 * MIB).is_err(), "half of the room is spoken for");
    run(&mut host);
    assert_eq!((sizes(&host), host.pages_moving()), ([1024, 1024], 0));

    // Two moves from one giver, of which each has to give its own.
    host.move_memory(1, 0, 2 * MIB).expect("there is room");
    host.move_memory(1, 0, MIB).expect("there is room");
    run(&mut host);
    assert_eq!((sizes(&host), host.pages_moving()), ([256, 1792], 0));

    let before = host.snapshot(1).expect("it runs");
    host.move_memory(1, 0, MIB).expect("there is room");
    host.revert(1, &before).expect("it is its own");
    assert_eq!(host.pages_moving(), 0, "who has gone back has nothing on the way");
    passed("4 MiB move from one guest to another");
}

/// The cloud kernel with its drivers, at the shell's prompt, the drivers loaded.
fn linux(
    what: &str,
    options: Option<Options>,
    (memory_bytes, devices): (u64, Devices),
) -> Option<Guest> {
    if cfg!(debug_assertions) {
        skipped(what, "run the tests with --release");
        return None;
    }
    let Some(kernel) = newest_cloud_kernel() else {
        skipped(what, "install linux-image-cloud-amd64, and make /boot/vmlinuz-* readable");
        return None;
    };
    let version = kernel.file_name()?.to_str()?.strip_prefix("vmlinuz-")?.to_owned();
    let busybox = readable("/bin/busybox", what, "install busybox-static")?;
    let drivers = Path::new("/lib/modules").join(version).join("kernel/drivers");
    let mut files = Vec::new();
    for module in MODULES {
        let path = readable(drivers.join(module), what, "install linux-image-cloud-amd64")?;
        let name = path.file_name()?.to_str()?.to_owned();
        files.push((name, bytes_of(&path)));
    }
    let initrd = initramfs::busybox_and(&bytes_of(&busybox), &files);
    let config = Config { memory_bytes, devices, ..usual_config() };
    let cmdline = "console=ttyS0 rdinit=/bin/sh";
    let kernel = bytes_of(&kernel);
    let boot = Boot::Kernel { image: &kernel, initrd: Some(&initrd), cmdline };
    let mut guest = Guest::new(config.virtualized(options), &boot);
    guest.wait_for(SHELL_PROMPT, BOOT_TICKS);
    guest.type_line(SETUP);
    guest.wait_for("READY=42", COMMAND_TICKS);
    guest.wait_for(SHELL_PROMPT, COMMAND_TICKS);
    Some(guest)
}

fn bytes_of(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn answer(guest: &mut Guest, command: &str) -> String {
    guest.type_line(command);
    guest.wait_for(SHELL_PROMPT, COMMAND_TICKS)
}

/// Free memory in KiB, as `free` says.
fn free(guest: &mut Guest) -> u64 {
    let answer = answer(guest, "grep MemFree /proc/meminfo");
    let number = answer.split_whitespace().filter_map(|word| word.parse().ok()).next();
    number.unwrap_or_else(|| panic!("no number in {answer}"))
}

#[test]
fn linux_swaps_to_the_disk_and_gives_memory_to_the_balloon() {
    for way in [None, Some(Options::of(Model::Hardware))] {
        let name = way.map_or("none".to_owned(), |way| way.name().to_owned());
        let what = format!("Debian's virtio drivers, model {name}");
        let Some(mut guest) = linux(&what, way, (192 * MIB, BOTH)) else { return };
        let path = recording(&format!("linux-{name}"));
        guest.record(&path);
        let sum = answer(
            &mut guest,
            "dd if=/dev/urandom of=/tmp/a bs=1M count=7; cat /tmp/a > /dev/vda; md5sum /tmp/a; \
             echo 3 > /proc/sys/vm/drop_caches; head -c 7340032 /dev/vda | md5sum",
        );
        let sums: Vec<_> = sum.split_whitespace().filter(|word| word.len() == 32).collect();
        assert!(sums.len() == 2 && sums[0] == sums[1], "what was written is read again:\n{sum}");
        let swap = answer(&mut guest, "rm /tmp/a; mkswap /dev/vda; swapon /dev/vda; free");
        assert!(swap.contains("8188"), "KiB of swap in:\n{swap}");

        let before = free(&mut guest);
        guest.machine.input(&Input::Balloon(16 << 10));
        settle(&mut guest.machine);
        let inflated = free(&mut guest);
        assert!(before.abs_diff(inflated + (64 << 10)) < 4096, "{before} to {inflated} KiB");
        guest.machine.input(&Input::Balloon(0));
        settle(&mut guest.machine);
        assert!(before.abs_diff(free(&mut guest)) < 4096);
        guest.finish_recording();
        let (end, hash) = (guest.machine.ticks(), guest.fingerprint().1);
        repeat(&path, end, &hash);
        passed(&what);
    }
}

/// What a guest prints; clones share it.
#[derive(Clone, Default)]
struct Output(Rc<RefCell<Vec<u8>>>);

impl CharSink for Output {
    fn put(&mut self, byte: u8) {
        self.0.borrow_mut().push(byte);
    }
}

#[test]
fn a_disk_moves_from_one_partition_to_another() {
    let what = "a disk on its way between two Debian kernels";
    let Some(mut giver) = linux(what, None, (192 * MIB, BOTH)) else { return };
    let drive = Devices { disk_empty: true, ..BOTH };
    let Some(mut taker) = linux(what, None, (192 * MIB, drive)) else { return };
    answer(&mut giver, "echo from the other side > /dev/vda");
    let before = answer(&mut taker, "cat /sys/block/vda/size");
    assert!(before.lines().any(|line| line == "0"), "an empty drive:\n{before}");

    let output = Output::default();
    taker.machine.attach_serial(0, Box::new(output.clone()));
    let mut host = Host::new();
    let [from, to] = [("giver", giver.machine), ("taker", taker.machine)]
        .map(|(name, machine)| host.add(name, machine, Share { shares: 1, cap: Some(50) }));
    assert!(host.move_disk(to, from).is_err(), "there is none to take");
    host.move_disk(from, to).expect("it fits");
    assert!(host.move_disk(from, to).is_err(), "it is gone");
    let taker = host.guest_mut(to).expect("it is there").machine_mut();
    taker.serial_input(
        0,
        b"sleep 1; cat /sys/block/vda/size; head -n 1 /dev/vda; echo END=$((6*7))\r",
    );
    host.wake(to);
    let text = || String::from_utf8_lossy(&output.0.borrow()).into_owned();
    let limit = host.now() + COMMAND_TICKS;
    while !text().contains("END=42") {
        assert!(host.now() < limit && host.step().is_some(), "no answer:\n{}", text());
    }
    assert!(
        text().contains("\n16384\r\n") && text().contains("\nfrom the other side"),
        "{}",
        text()
    );
    passed(what);
}

/// What a guest of 96 MiB does on a host with 40 MiB: it writes as much into memory, and pages to its disk.
const FILL: &[u8] = b"mkswap /dev/vda; swapon /dev/vda; mount -t tmpfs -o size=200M t /tmp; i=0; \
    while [ $i -lt 12 ]; do dd if=/dev/urandom of=/tmp/$i bs=1M count=8; i=$((i+1)); sleep 1; done; \
    echo END=$((6*7))\r";

/// The host's books at its end.
fn filled(what: &str, balloon: bool) -> Option<GuestPages> {
    let devices = Devices { balloon, disk_bytes: 128 * MIB, disk_empty: false };
    let way = Some(Options::of(Model::Hardware));
    let mut guest = linux(what, way, (96 * MIB, devices))?;
    let output = Output::default();
    guest.machine.attach_serial(0, Box::new(output.clone()));
    guest.machine.serial_input(0, FILL);
    let mut host = Host::new();
    host.add("linux", guest.machine, Share::default());
    host.set_memory(40 * MIB);
    while !String::from_utf8_lossy(&output.0.borrow()).contains("END=42") {
        assert!(host.now() < COMMAND_TICKS, "no end in {} ticks", host.now());
        host.step();
    }
    host.memory().and_then(|memory| memory.guests().first().copied())
}

#[test]
fn a_page_is_paged_twice_unless_a_balloon_asks_the_guest_first() {
    let what = "double paging";
    let books = thread::scope(|scope| {
        let threads = [false, true].map(|balloon| scope.spawn(move || filled(what, balloon)));
        threads.map(|thread| thread.join().expect("the guest comes to its end"))
    });
    let [Some(without), Some(with)] = books else { return };
    let text =
        |it: GuestPages| format!("{} pages read in, {} of them twice", it.read_in, it.paged_twice);
    assert!(without.paged_twice > 1000, "{}", text(without));
    assert!(with.balloon > 1000 && with.read_in * 2 < without.read_in, "{}", text(with));
    assert!(with.paged_twice * 10 < without.paged_twice, "{}", text(with));
    passed(&format!("{what}: {}; with a balloon: {}", text(without), text(with)));
}
