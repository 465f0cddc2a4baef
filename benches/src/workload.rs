//! The table of guest workloads: what is run, how often, and how it is grouped.
//!
//! The programs themselves are in `workloads/*.c`; their order and names here are the table's in
//! `workloads/main.c`. Iteration counts make a workload take 0.05 to 0.4 s natively, so that an
//! interpreter needs seconds; `rep` is shorter, since emulators differ most in it.

/// Which mean a workload belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Unprivileged code only: the CPU's engine decides.
    User,
    /// REP MOVS and STOS: left out of the means, because one ratio in the thousands would drown
    /// the others.
    Rep,
    /// Mostly the guest kernel's code: privilege changes, page tables, exceptions.
    Kernel,
}

/// One guest workload.
#[derive(Debug)]
pub(crate) struct Workload {
    /// Its name in `workloads/main.c`.
    pub(crate) name: &'static str,
    /// What the table of results calls it.
    pub(crate) title: &'static str,
    /// Iterations at `--scale 1`.
    pub(crate) iterations: u64,
    /// The mean it belongs to.
    pub(crate) group: Group,
}

impl Workload {
    /// Iterations at `scale`, at least one.
    pub(crate) fn scaled(&self, scale: f64) -> u64 {
        ((self.iterations as f64 * scale).round() as u64).max(1)
    }
}

/// All workloads, in the order they run and are reported.
#[rustfmt::skip] // one row per workload
pub(crate) const WORKLOADS: &[Workload] = &[
    row("sieve", "sieve", 200, Group::User),
    row("crc32", "table CRC-32", 1_000, Group::User),
    row("quicksort", "quicksort", 150, Group::User),
    row("sha256", "SHA-256 in C", 400_000, Group::User),
    row("calls", "calls (recursive Fibonacci)", 2_000, Group::User),
    row("muldiv", "64-bit multiply and divide", 20_000_000, Group::User),
    row("bytecode", "bytecode interpreter (indirect jumps)", 100_000, Group::User),
    row("matrix", "matrix product, double", 600, Group::User),
    row("nbody", "n-body, double", 1_000_000, Group::User),
    row("mandelbrot", "Mandelbrot, float", 600, Group::User),
    row("x87", "x87 long double", 2_000_000, Group::User),
    row("sse2", "packed integer SSE2", 100_000, Group::User),
    row("strings", "string functions", 10_000, Group::User),
    row("rep", "REP MOVS / STOS", 100_000, Group::Rep),
    row("chase", "pointer chase over 64 MiB", 750_000, Group::User),
    row("smc", "self-modifying code", 250_000, Group::User),
    row("syscalls", "system calls", 1_000_000, Group::Kernel),
    row("fork", "fork + exit", 2_000, Group::Kernel),
    row("faults", "page faults", 400, Group::Kernel),
    row("pipe", "pipe ping-pong", 30_000, Group::Kernel),
];

const fn row(name: &'static str, title: &'static str, iterations: u64, group: Group) -> Workload {
    Workload { name, title, iterations, group }
}

/// The built workloads, a static x86-64 Linux program (see `workloads/build.sh`).
pub(crate) const PROGRAM: &[u8] = include_bytes!("../workloads/workloads.elf");

/// What the program is asked to run: `name:iterations,name:iterations`.
pub(crate) fn specification(chosen: &[&Workload], scale: f64) -> String {
    let items: Vec<String> =
        chosen.iter().map(|w| format!("{}:{}", w.name, w.scaled(scale))).collect();
    items.join(",")
}

#[cfg(test)]
mod tests {
    use super::{Group, WORKLOADS, specification};

    #[test]
    fn specification_scales_each_count_and_never_gives_zero() {
        let chosen = [&WORKLOADS[0], &WORKLOADS[1]];

        assert_eq!(specification(&chosen, 1.0), "sieve:200,crc32:1000");
        assert_eq!(specification(&chosen, 0.001), "sieve:1,crc32:1");
    }

    /// The kernel cuts its command line at 2,048 bytes on x86 (`COMMAND_LINE_SIZE`).
    #[test]
    fn the_longest_specification_fits_a_kernel_command_line() {
        let all: Vec<_> = WORKLOADS.iter().collect();

        assert!(specification(&all, 1000.0).len() < 1500);
    }

    #[test]
    fn only_rep_is_outside_the_means() {
        let outside: Vec<_> =
            WORKLOADS.iter().filter(|w| w.group == Group::Rep).map(|w| w.name).collect();

        assert_eq!(outside, ["rep"]);
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn the_built_program_knows_exactly_these_names() {
        let program = crate::contestant::ProgramFile::temporary().unwrap();
        let output = std::process::Command::new(program.path()).arg("list").output().unwrap();

        let names: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();

        assert_eq!(names, WORKLOADS.iter().map(|w| w.name).collect::<Vec<_>>());
    }
}
