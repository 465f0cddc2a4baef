//! `cutaway vm host`: several guests on one CPU.

use std::fmt::Write;

use cutaway::machine::{Host, Share, Slice};
use cutaway::{Boot, Config, CpuModel, Machine, Model, OnReset};

use super::table::kernel_for;
use crate::args::VmHostArgs;
use crate::exit::{BAD_INPUT, DONE, HOST_FAILED};
use crate::failure::Failure;
use crate::quantity::parse_memory;
use crate::stats::grouped;

/// Columns of the chart of who had the CPU.
const COLUMNS: usize = 64;

/// A guest as it was asked for.
struct Spec {
    name: String,
    model: Option<Model>,
    share: Share,
    memory: u64,
    kernel: Option<String>,
}

fn bad(what: String) -> Failure {
    Failure::new(
        BAD_INPUT,
        what,
        "a guest is name=N,model=M,shares=S,cap=PERCENT,memory=SIZE,kernel=FILE",
    )
}

impl Spec {
    fn parse(text: &str, number: usize) -> Result<Self, Failure> {
        let mut spec = Self {
            name: format!("guest{}", number + 1),
            model: None,
            share: Share::default(),
            memory: 64 << 20,
            kernel: None,
        };
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let Some((key, value)) = word.split_once('=') else {
                return Err(bad(format!("'{word}' in a guest is no key=value")));
            };
            let unfit = || bad(format!("'{value}' is no value for {key}"));
            match key {
                "name" => spec.name = value.to_owned(),
                "model" if value == "none" => spec.model = None,
                "model" => spec.model = Some(Model::by_name(value).ok_or_else(unfit)?),
                "shares" => {
                    let shares = value.parse().ok().filter(|shares| (1..=10_000).contains(shares));
                    spec.share.shares = shares.ok_or_else(unfit)?;
                }
                "cap" => {
                    let cap = value.parse().ok().filter(|cap| (1..=100).contains(cap));
                    spec.share.cap = Some(cap.ok_or_else(unfit)?);
                }
                "memory" => spec.memory = parse_memory(value).map_err(|_| unfit())?,
                "kernel" => spec.kernel = Some(value.to_owned()),
                _ => return Err(bad(format!("a guest has no '{key}'"))),
            }
        }
        Ok(spec)
    }

    fn machine(&self) -> Result<Machine, Failure> {
        let cpu = CpuModel::by_name("x86-64-v2").expect("this model is always there");
        let (memory_bytes, model) = (self.memory, self.model);
        let config = Config { memory_bytes, model, on_reset: OnReset::Stop, ..Config::new(cpu) };
        let read;
        let image = match &self.kernel {
            Some(path) => {
                read = std::fs::read(path).map_err(|error| bad(format!("{path}: {error}")))?;
                read.as_slice()
            }
            None => kernel_for(self.model),
        };
        let cmdline = "console=ttyS0";
        let boot = Boot::Kernel { image, initrd: None, cmdline };
        Machine::new(config, &boot).map_err(|error| bad(format!("{}: {error}", self.name)))
    }
}

/// Runs the guests as asked for; the result is the exit code.
pub(super) fn host(args: &VmHostArgs) -> Result<u8, Failure> {
    let mut host = Host::new();
    for (number, text) in args.guest.iter().enumerate() {
        let spec = Spec::parse(text, number)?;
        host.add(&spec.name, spec.machine()?, spec.share);
    }
    let mut slices = Vec::new();
    while host.now() < args.max_instructions
        && let Some(slice) = host.step()
    {
        slices.push(slice);
    }
    print!("{}", chart(&host, &slices));
    print!("{}", shares(&mut host)?);
    Ok(DONE)
}

/// Who had the CPU when: a row a guest, a column a stretch of time.
fn chart(host: &Host, slices: &[Slice]) -> String {
    let mut text = String::new();
    let width = host.now().div_ceil(COLUMNS as u64).max(1);
    for (number, guest) in host.guests().iter().enumerate() {
        let mut had = [0_u64; COLUMNS];
        for slice in slices.iter().filter(|slice| slice.guest == Some(number)) {
            let column = (slice.at / width) as usize;
            had[column.min(COLUMNS - 1)] += slice.ticks;
        }
        // Nothing, some, about half, most of a stretch.
        let mark = |ticks: u64| match ticks * 4 / width {
            0 if ticks == 0 => ' ',
            0 => '.',
            1 | 2 => '+',
            _ => '#',
        };
        let row: String = had.into_iter().map(mark).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<12} |{row}|", guest.name());
    }
    let _ = writeln!(text, "{:<12} |a column is {} ticks\n", "", grouped(width));
    text
}

fn shares(host: &mut Host) -> Result<String, Failure> {
    let mut text = String::from(
        "guest         shares  cap         CPU ticks   part      stolen ticks  state hash\n",
    );
    let now = host.now();
    for number in 0..host.guests().len() {
        let Some(guest) = host.guest_mut(number) else { continue };
        let hash = guest.machine_mut().state_hash();
        let hash =
            hash.map_err(|error| Failure::of(HOST_FAILED, &error, "report this as a defect"))?;
        let hash = format!("{hash:#}");
        let share = guest.share();
        let cap = share.cap.map_or("-".to_owned(), |cap| format!("{cap} %"));
        let part = guest.used() as f64 * 100.0 / now.max(1) as f64;
        let (used, stolen) = (grouped(guest.used()), grouped(guest.stolen()));
        let ended = guest.ended().map(|stop| format!("  ended: {stop:?}")).unwrap_or_default();
        let _ = writeln!(
            text,
            "{:<12} {:>7} {cap:>5} {used:>17} {part:>5.1} % {stolen:>16}  {}{ended}",
            guest.name(),
            share.shares,
            &hash[..16],
        );
    }
    Ok(text)
}
