//! What `--stats` and `--hash` show.

use cutaway::debugger::grouped;
use std::fmt::Write;
use std::time::Duration;

use cutaway::{Machine, Stats};

use crate::exit::HOST_FAILED;
use crate::failure::Failure;

/// Instructions, times, speed, exits by kind, accesses and memory, a line each.
pub(crate) fn text(stats: &Stats, running: Duration) -> String {
    let seconds = running.as_secs_f64();
    let mips = if seconds > 0.0 { stats.instructions as f64 / seconds / 1e6 } else { 0.0 };
    let guest_ms = stats.guest_ns / 1_000_000;
    let halted = stats.ticks.saturating_sub(stats.instructions);
    let halted_percent = halted as f64 * 100.0 / stats.ticks.max(1) as f64;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<21} {value}");
    };
    line("instructions", grouped(stats.instructions));
    line(
        "guest time",
        format!("{}.{:03} s, {halted_percent:.1} % of it halted", guest_ms / 1000, guest_ms % 1000),
    );
    line("running time", format!("{seconds:.3} s"));
    line("speed", format!("{mips:.1} MIPS"));
    for (name, count) in stats.counters() {
        line(name, grouped(count));
    }
    line("memory touched", format!("{:.1} MiB", stats.touched_bytes as f64 / 1_048_576.0));
    text
}

/// The count of instructions and the hash of all state.
pub(crate) fn hash(machine: &mut Machine) -> Result<String, Failure> {
    let instructions = machine.instructions();
    let failed = |error| Failure::of(HOST_FAILED, &error, "report this as a defect");
    let hash = machine.state_hash().map_err(failed)?;
    Ok(format!("{:<21} {instructions}\n{:<21} {hash:#}\n", "instructions", "state hash"))
}
