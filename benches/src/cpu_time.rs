//! CPU time of another process, as the operating system accounts it.
//!
//! Source: Linux `clock_getcpuclockid(3)` for the process with all its threads, in nanoseconds;
//! `proc_pid_stat(5)`, fields 16 and 17, for children it has waited for, in ticks of 10 ms. (Only
//! the native `fork` and `pipe` workloads have children.) Other systems: refused.

use std::io;
use std::time::Duration;

/// Reads the CPU time a process has used so far, threads and waited-for children included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTime {
    process: u32,
}

impl CpuTime {
    /// The clock of the process with this id.
    pub(crate) fn of(process: u32) -> Self {
        Self { process }
    }

    /// User and system time so far. Fails when the process is gone and reaped.
    #[cfg(target_os = "linux")]
    pub(crate) fn now(self) -> io::Result<Duration> {
        use nix::time::{clock_getcpuclockid, clock_gettime};
        use nix::unistd::Pid;

        let pid = i32::try_from(self.process).map_err(io::Error::other)?;
        let own: Duration = clock_gettime(clock_getcpuclockid(Pid::from_raw(pid))?)?.into();
        Ok(own + self.children()?)
    }

    /// Other systems account differently; none is supported yet.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn now(self) -> io::Result<Duration> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "CPU time is read on Linux only"))
    }

    /// The most memory the process ever had resident, in KiB, if the system says so.
    pub(crate) fn peak_resident_kib(self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    }

    #[cfg(target_os = "linux")]
    fn children(self) -> io::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process))?;
        children_in(&stat).ok_or_else(|| io::Error::other("cannot understand /proc/PID/stat"))
    }
}

/// cutime + cstime of a `/proc/PID/stat` line. The second field, the program's name in brackets,
/// may hold spaces and brackets itself, so fields are counted from the last bracket.
#[cfg(target_os = "linux")]
fn children_in(stat: &str) -> Option<Duration> {
    const CUTIME: usize = 16;
    const TICK_MS: u64 = 10; // 1000 / USER_HZ, which is 100 on each architecture we run on

    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(CUTIME - 3);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * TICK_MS))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{CpuTime, children_in};
    use std::time::Duration;

    #[test]
    fn children_are_counted_after_a_name_with_brackets() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194304 100 0 0 0 7 8 12 30 20 0 1 0 5 6";

        assert_eq!(children_in(stat), Some(Duration::from_millis(420)));
    }

    #[test]
    fn cpu_time_of_this_process_moves_on() {
        let clock = CpuTime::of(std::process::id());
        let before = clock.now().unwrap();

        let mut product = 1_u64;
        while clock.now().unwrap() == before {
            product = std::hint::black_box(product.wrapping_mul(3));
        }

        assert!(clock.now().unwrap() > before);
    }
}
