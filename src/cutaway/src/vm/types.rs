//! `cutaway vm types`: one small guest under hypervisors of type 0, 1 and 2.
//!
//! Type 0: a partition, a machine of its own with a fixed part of the CPU. Type 1: a monitor on the
//! physical machine (`src/vmm`, AMD SVM). Type 2: a task of a host kernel (test-roms/kernel/host.asm).
//! In each another runs that never gives up the CPU.

use cutaway::debugger::explorer::Explorer;
use cutaway::machine::{Host, Options, Reason, Share};
use cutaway::{
    Boot, Config, CpuModel, HOST_KERNEL, HOST_KERNEL_SYMBOLS, Machine, Model, OnReset, SMALL_GUEST,
    Stop, TEACHING_KERNEL,
};

use super::table::{Kept, PROMPT};
use crate::debug::explorer_of_host;
use crate::exit::BAD_INPUT;
use crate::failure::Failure;
use cutaway::debugger::grouped;

/// The part of the CPU that a partition has, in percent, and its neighbour.
const PARTITION: u32 = 50;
/// Ticks that any of this may take.
const LIMIT: u64 = 5_000_000_000;
const SLICE: u64 = 1_000_000;
/// EXITCODE in the VMCB, and its value for a port (AMD APM vol. 2 appendices B and C).
const EXITCODE: u64 = 0x70;
const EXIT_IOIO: u64 = 0x7b;
/// Port exits that are looked at one instruction at a time.
const LOOKED_AT: usize = 20;
const GUEST_MODE: &str = ", guest mode";
const HOST_MODE: &str = ", host mode";

fn failed(what: &str) -> Failure {
    Failure::new(BAD_INPUT, what.to_owned(), "report this as a defect")
}

fn machine(cpu: &str, image: &[u8], model: Option<Model>) -> Result<(Machine, Kept), Failure> {
    let cpu = CpuModel::by_name(cpu).expect("this model is always there");
    let config = Config { on_reset: OnReset::Stop, memory_bytes: 64 << 20, ..Config::new(cpu) };
    let config = config.virtualized(model.map(Options::of));
    let boot = Boot::Kernel { image, initrd: None, cmdline: "" };
    let mut machine = Machine::new(config, &boot).map_err(|error| failed(&error.to_string()))?;
    let kept = Kept::default();
    machine.attach_serial(0, Box::new(kept.clone()));
    Ok((machine, kept))
}

/// Runs until the console has `text`, and forgets what it has.
fn wait_for(machine: &mut Machine, kept: &Kept, text: &str) -> Result<String, Failure> {
    let limit = machine.ticks() + LIMIT;
    while machine.ticks() < limit {
        machine.run_until(machine.ticks() + SLICE);
        machine.flush_output();
        let shown = kept.text();
        if shown.contains(text) {
            kept.clear();
            return Ok(shown);
        }
    }
    Err(failed(&format!("'{text}' does not come: {:?}", kept.text())))
}

/// Types at the prompt, and waits for the next one.
fn command(machine: &mut Machine, kept: &Kept, line: &str) -> Result<String, Failure> {
    machine.serial_input(0, format!("{line}\r").as_bytes());
    wait_for(machine, kept, PROMPT)
}

/// A row of the table.
struct Row {
    name: &'static str,
    owner: &'static str,
    guest: String,
    monitor: String,
    exits: u64,
    work: u64,
    part: f64,
    ticks: u64,
}

/// Where the CPU is; `world` is guest or host mode, where there are both.
fn place(machine: &Machine, world: &str) -> String {
    let mode = if machine.vcpu().is_protected() { "protected mode" } else { "real mode" };
    format!("ring {}, {mode}{world}", machine.vcpu().cpl())
}

/// What a guest on the physical machine's own scheduler did, and what the guest itself executed.
struct Alone {
    row: Row,
    instructions: u64,
    /// Ports written, without the console's.
    ports: u64,
}

/// Types 0 and 1: on the physical machine, with a neighbour.
fn on_the_machine(model: Option<Model>, share: Share) -> Result<Alone, Failure> {
    let (mut guest, _) = machine("x86-64-v2", SMALL_GUEST, model)?;
    let printed = Kept::default();
    guest.attach_debug_console(Box::new(printed.clone()));
    let (mut other, kept) = machine("x86-64-v2", TEACHING_KERNEL, model)?;
    wait_for(&mut other, &kept, PROMPT)?;
    command(&mut other, &kept, "spawn spin")?;
    let mut host = Host::new();
    host.add("guest", guest, share);
    host.add("other", other, share);
    let world = if model == Some(Model::Hardware) { GUEST_MODE } else { "" };
    let mut at = None;
    while host.guests()[0].ended().is_none() {
        if host.now() > LIMIT || host.step().is_none() {
            return Err(failed("the guest does not end"));
        }
        let tenant = &host.guests()[0];
        if tenant.used() > 0 && at.is_none() {
            at = Some(place(tenant.machine(), world));
        }
    }
    let tenant = &host.guests()[0];
    if !matches!(tenant.ended(), Some(Stop::Halted)) {
        return Err(failed(&format!("the guest ended by {:?}", tenant.ended())));
    }
    let (machine, ports) = (tenant.machine(), tenant.machine().stats().port_writes);
    let exits = machine.vm().map_or(0, |vm| vm.exits().of(Reason::Port));
    // What of the CPU neither guest had, for each exit.
    let others = host.now() - host.guests().iter().map(|tenant| tenant.used()).sum::<u64>();
    let row = Row {
        name: if model.is_some() { "1" } else { "0" },
        owner: if model.is_some() { "the monitor" } else { "the partition, its part" },
        guest: at.unwrap_or_default(),
        monitor: if model.is_some() { "below the CPU, host mode" } else { "none" }.to_owned(),
        exits: exits.checked_div(ports).unwrap_or(0),
        work: others.checked_div(exits).unwrap_or(0),
        part: tenant.used() as f64 / host.now() as f64,
        ticks: host.now(),
    };
    let ports = ports - printed.text().len() as u64;
    Ok(Alone { row, instructions: machine.instructions(), ports })
}

/// Type 2: a task of the host kernel, beside a program that spins. It executes what it does elsewhere,
/// but for the characters of the hypervisor's name.
fn in_the_host(instructions: u64, ports: u64) -> Result<Row, Failure> {
    let (mut host, kept) = machine("max,+svm", HOST_KERNEL, None)?;
    wait_for(&mut host, &kept, PROMPT)?;
    command(&mut host, &kept, "spawn spin")?;
    let begun = host.ticks();
    host.serial_input(0, b"vm\r");
    let (mut guest, mut monitor, mut work) = (String::new(), String::new(), Vec::new());
    let mut inside: Option<u64> = None;
    let mut left = None;
    while work.len() < LOOKED_AT {
        if host.ticks() > begun + LIMIT {
            return Err(failed("the guest of the host kernel makes no port access"));
        }
        host.run_until(host.ticks() + 1);
        let now = host.vcpu().svm().guest.as_ref().map(|guest| guest.vmcb);
        match (inside, now) {
            (None, Some(_)) => {
                guest = place(&host, GUEST_MODE);
                if let Some(since) = left.take() {
                    work.push(host.instructions() - since);
                }
            }
            (Some(vmcb), None) => {
                monitor = place(&host, HOST_MODE);
                let mut code = [0; 8];
                host.memory().read(vmcb + EXITCODE, &mut code);
                left = (u64::from_le_bytes(code) == EXIT_IOIO).then(|| host.instructions());
            }
            _ => {}
        }
        inside = now;
    }
    let printed = wait_for(&mut host, &kept, "guest has halted for ever")?;
    let lines = printed.lines().filter_map(|line| line.split("guest: ").nth(1));
    let ports = ports + lines.map(|line| line.len() as u64 + 1).sum::<u64>();
    let ticks = host.ticks() - begun;
    let counts = command(&mut host, &kept, "vmstat")?;
    let exits = counts.split(" port ").nth(1).and_then(|rest| rest.split(',').next());
    let exits: u64 = exits.and_then(|count| count.parse().ok()).unwrap_or(0);
    work.sort_unstable();
    Ok(Row {
        name: "2",
        owner: "the host kernel",
        guest,
        monitor: format!("{monitor}, a task"),
        exits: exits.checked_div(ports).unwrap_or(0),
        work: work[work.len() / 2],
        part: instructions as f64 / ticks as f64,
        ticks,
    })
}

/// The table.
pub(super) fn types() -> Result<String, Failure> {
    let share = Share { shares: 1, cap: Some(PARTITION) };
    let zero = on_the_machine(None, share)?;
    let one = on_the_machine(Some(Model::Hardware), Share::default())?;
    let two = in_the_host(zero.instructions, zero.ports)?;
    let mut text = String::from(
        "| type | who owns the CPU | guest | VMM | exits a port access | VMM's instructions | part of the CPU | in ticks |\n\
         |---|---|---|---|---:|---:|---:|---:|\n",
    );
    for row in [zero.row, one.row, two] {
        text += &format!(
            "| {} | {} | {} | {} | {} | {} | {:.1} % | {} |\n",
            row.name,
            row.owner,
            row.guest,
            row.monitor,
            row.exits,
            row.work,
            row.part * 100.0,
            grouped(row.ticks)
        );
    }
    Ok(text)
}

/// The three, at their start, to be stepped through: each is a machine of its own, and they take turns.
/// The host kernel has begun, and a program spins beside its virtual machine.
pub(super) fn explorer() -> Result<Explorer, Failure> {
    let (zero, _) = machine("x86-64-v2", SMALL_GUEST, None)?;
    let (one, _) = machine("x86-64-v2", SMALL_GUEST, Some(Model::Hardware))?;
    let (mut two, kept) = machine("max,+svm", HOST_KERNEL, None)?;
    wait_for(&mut two, &kept, PROMPT)?;
    command(&mut two, &kept, "spawn spin")?;
    command(&mut two, &kept, "vm")?;
    let limit = two.ticks() + LIMIT;
    while two.vcpu().svm().guest.is_none() && two.ticks() < limit {
        two.run_until(two.ticks() + 1_000);
    }
    let mut host = Host::new();
    for (name, machine) in [("type-0", zero), ("type-1", one), ("type-2", two)] {
        host.add(name, machine, Share::default());
    }
    explorer_of_host(host, &["", "", HOST_KERNEL_SYMBOLS], super::BUDGET)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One #VMEXIT a port access where there is a monitor (AMD APM vol. 2 15.10), whose instructions
    /// only type 2 has in the guest's own CPU; the cap of type 0 is kept.
    #[test]
    fn types_differ_in_who_runs_where() {
        let table = types().unwrap_or_else(|failure| panic!("{failure:?}"));
        let rows = table.lines().skip(2).map(|row| row.split('|').map(str::trim).collect());
        let rows: Vec<Vec<&str>> = rows.collect();
        let exits: Vec<_> = rows.iter().map(|row| row[5]).collect();
        assert_eq!(exits, ["0", "1", "1"], "{table}");
        let work: Vec<u64> = rows.iter().filter_map(|row| row[6].parse().ok()).collect();
        assert!(work.len() == 3 && work[..2] == [0, 0] && work[2] > 0, "{table}");
        assert_eq!(rows[0][7], format!("{PARTITION}.0 %"), "{table}");
        assert!(rows.iter().all(|row| row[3].starts_with("ring 0")), "{table}");
    }
}
