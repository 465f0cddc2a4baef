//! Debian 12's userland at work: OpenSSL, Python, GCC, xz, perl, awk and the small tools do a
//! fixed piece of work in a booted guest, and what they print is what they print on the host.
//!
//! The guest's files are the host's own, from the packages installed there. Libraries choose code
//! by CPUID, so each CPU model has its own ways through them. Where something is not installed
//! the test says loudly that it was skipped; so it does in a debug build, which would take hours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;

use cutaway::{Boot, Config, CpuModel};
use cutaway_tests::guest::{Guest, cpu_models, usual_config};
use cutaway_tests::skip::{newest_cloud_kernel, passed, skipped};
use cutaway_tests::{debian_root, initramfs::Archive, workspace_root};

const MIB: u64 = 1 << 20;
/// Ticks are nanoseconds at the usual rate: ten minutes of guest time for all of it.
const TICKS: u64 = 600_000_000_000;
/// The packages whose programs the scripts call.
const PACKAGES: &[&str] = &[
    "dash",
    "coreutils",
    "diffutils",
    "sed",
    "grep",
    "gzip",
    "xz-utils",
    "mawk",
    "perl-base",
    "openssl",
    "python3",
    "gcc",
    "binutils",
    "libc6-dev",
];
/// The scripts and what they read, from `tests/userland/`.
const FILES: &[&str] = &[
    "script.sh",
    "data.awk",
    "noise.pl",
    "words.pl",
    "openssl.sh",
    "numbers.py",
    "gcc.sh",
    "program.c",
    "division.c",
];
/// The first process: the work, then nothing for ever.
const INIT: &str = "#!/bin/sh\nmkdir /work\ncd /work\n\
    sh /userland/script.sh /userland </dev/null | cat >/dev/console\nexec sleep 1000000\n";
const FIRST: &str = "== data";
const LAST: &str = "== end";
/// glibc's mathematical functions use fused multiply-add where the CPU has it, which rounds once
/// less. This takes it away from the host's programs.
const WITHOUT_FMA: &str = "glibc.cpu.hwcaps=-AVX,-AVX2,-FMA,-FMA4";

fn folder() -> PathBuf {
    workspace_root().join("tests/userland")
}

fn bytes_of(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A kernel and the root as its initial RAM disk.
struct Files {
    kernel: Vec<u8>,
    initrd: Vec<u8>,
}

/// Made once for all tests; or what is missing.
fn files() -> &'static Result<Files, String> {
    static FILES: OnceLock<Result<Files, String>> = OnceLock::new();
    FILES.get_or_init(|| {
        let kernel = newest_cloud_kernel().ok_or("install linux-image-cloud-amd64")?;
        Ok(Files { kernel: bytes_of(&kernel), initrd: root()? })
    })
}

fn root() -> Result<Vec<u8>, String> {
    let mut archive = Archive::default();
    for folder in ["dev", "tmp", "userland"] {
        archive.folder(folder);
    }
    for (name, major, minor) in
        [("console", 5, 1), ("null", 1, 3), ("zero", 1, 5), ("random", 1, 8), ("urandom", 1, 9)]
    {
        archive.device(&format!("dev/{name}"), major, minor);
    }
    archive.program("init", INIT.as_bytes());
    for name in FILES {
        archive.program(&format!("userland/{name}"), &bytes_of(&folder().join(name)));
    }
    debian_root::add_packages(&mut archive, PACKAGES)?;
    Ok(archive.finish())
}

/// Why nothing can be compared here, if so.
fn obstacle(has_fma: bool) -> Option<&'static str> {
    if cfg!(debug_assertions) {
        return Some("run the tests with --release");
    }
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Some("run the tests on Debian amd64");
    }
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let host_has_fma = cpu.split_ascii_whitespace().any(|flag| flag == "fma");
    (has_fma && !host_has_fma).then_some("run the tests on a CPU with FMA")
}

/// What the script prints on the host, with or without FMA.
fn on_the_host(model: CpuModel, has_fma: bool) -> String {
    let place =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("userland-{}", model.name()));
    // It may be there from an earlier run.
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).expect("the target folder can be written");
    let mut script = Command::new("/bin/sh");
    script.arg(folder().join("script.sh")).arg(folder()).current_dir(&place).env_clear();
    if !has_fma {
        script.env("GLIBC_TUNABLES", WITHOUT_FMA);
    }
    let output = script.output().expect("Debian has /bin/sh");
    std::fs::remove_dir_all(&place).expect("what was made can be removed");
    String::from_utf8(output.stdout).expect("the script prints text")
}

/// A guest that has done the work, and what it printed.
fn in_a_guest(files: &Files, model: CpuModel) -> (Guest, String) {
    let config = Config { memory_bytes: 1024 * MIB, cpu: model, ..usual_config() };
    let cmdline = "console=ttyS0 quiet loglevel=1 panic=-1 rdinit=/init";
    let boot = Boot::Kernel { image: &files.kernel, initrd: Some(&files.initrd), cmdline };
    let mut guest = Guest::new(config, &boot);
    guest.wait_for(FIRST, TICKS);
    let printed = guest.wait_for(LAST, TICKS);
    // The terminal ends a line with two characters.
    (guest, format!("{FIRST}{}{LAST}", printed.replace('\r', "")))
}

/// Line by line, so that the message names the tool.
fn assert_same(model: CpuModel, guest: &str, host: &str) {
    let mut section = "";
    for (number, (in_guest, on_host)) in guest.lines().zip(host.lines()).enumerate() {
        if on_host.starts_with("== ") {
            section = on_host;
        }
        assert_eq!(in_guest, on_host, "{}, {section}, line {}", model.name(), number + 1);
    }
    assert_eq!(guest.lines().count(), host.lines().count(), "{}: lines", model.name());
}

/// The work on the CPU of this name, as often as asked; each time it must be the same machine.
fn userland(name: &str, times: usize) {
    let what = format!("Debian 12's userland on {name}, {times} times, against the host");
    let model = CpuModel::by_name(name).expect("the name is that of a model");
    let has_fma = cutaway::cpu::Vcpu::new(model).cpuid(1, 0)[2] >> 12 & 1 != 0;
    if let Some(remedy) = obstacle(has_fma) {
        return skipped(&what, remedy);
    }
    let files = match files() {
        Ok(files) => files,
        Err(remedy) => return skipped(&what, remedy),
    };
    let host = on_the_host(model, has_fma);
    assert!(host.starts_with(FIRST) && host.trim_end().ends_with(LAST), "on the host:\n{host}");

    let fingerprints: Vec<_> = thread::scope(|scope| {
        let run = || {
            let (mut guest, printed) = in_a_guest(files, model);
            assert_same(model, &printed, &host);
            guest.fingerprint()
        };
        let runs: Vec<_> = (0..times).map(|_| scope.spawn(run)).collect();
        runs.into_iter().map(|run| run.join().expect("the guest does its work")).collect()
    });

    let first = &fingerprints[0];
    assert!(fingerprints.iter().all(|each| each == first), "instructions and state hash differ");
    passed(&format!("{what}: {} lines, {} instructions", host.lines().count(), first.0));
}

/// The oldest CPU that can: no instruction beyond SSE2.
#[test]
fn x86_64_v1_prints_what_the_host_prints() {
    userland("x86-64-v1", 1);
}

/// The usual CPU, twice: the same state at the end.
#[test]
fn x86_64_v2_prints_what_the_host_prints_and_repeats() {
    userland("x86-64-v2", 2);
}

/// CPUs that are newer than the two above.
#[test]
fn newer_cpus_print_what_the_host_prints() {
    let has_long_mode = |model: &CpuModel| model.has_long_mode();
    for model in cpu_models().into_iter().filter(has_long_mode).skip(2) {
        userland(model.name(), 1);
    }
}
