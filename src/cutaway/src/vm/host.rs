//! `cutaway vm host`: several guests on one CPU.

use std::fmt::Write;
use std::path::Path;

use cutaway::host::{FileUse, read_file};
use cutaway::machine::{Devices, GuestPages, Host, Share, Slice};
use cutaway::{
    BALLOON_KERNEL, BALLOON_KERNEL_SYMBOLS, Boot, Config, CpuModel, Machine, Model, OnReset,
};

use indicatif::ProgressBar;

use super::actions::Actions;
use super::table::{kernel_for, symbols_for};
use crate::args::VmHostArgs;
use crate::device::disk_bytes;
use crate::exit::{BAD_INPUT, DONE, HOST_FAILED};
use crate::failure::Failure;
use crate::quantity::parse_memory;
use cutaway::debugger::grouped;

/// Columns of the chart of who had the CPU.
const COLUMNS: usize = 64;
/// The least bytes of a host's memory.
const LEAST_MEMORY: u64 = 64 << 10;
/// Ticks between two looks at how far it is.
const TOLD: u64 = 50_000_000;

/// A guest as it was asked for.
struct Spec {
    name: String,
    model: Option<Model>,
    share: Share,
    memory: u64,
    kernel: Option<String>,
    initrd: Option<String>,
    append: String,
    kvm: bool,
    devices: Devices,
}

fn bad(what: String) -> Failure {
    Failure::new(
        BAD_INPUT,
        what,
        "a guest is name=N,model=M,shares=S,cap=PERCENT,memory=SIZE,kernel=FILE,initrd=FILE,\
         append=TEXT,kvm=on,balloon=on,disk=SIZE,drive=SIZE",
    )
}

fn parse_switch(value: &str) -> Option<bool> {
    match value {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

impl Spec {
    fn parse(text: &str, number: usize) -> Result<Self, Failure> {
        let mut spec = Self {
            name: format!("guest{}", number + 1),
            model: None,
            share: Share::default(),
            memory: 64 << 20,
            kernel: None,
            initrd: None,
            append: "console=ttyS0".to_owned(),
            kvm: false,
            devices: Devices::NONE,
        };
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let Some((key, value)) = word.split_once('=') else {
                return Err(bad(format!("'{word}' in a guest is no key=value")));
            };
            let unfit = || bad(format!("'{value}' is no value for {key}"));
            match key {
                "name" => {
                    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                    if value.is_empty() || !value.chars().all(plain) {
                        return Err(bad(format!(
                            "'{}' is no name: letters, digits, -, _ and . make one",
                            value.escape_debug()
                        )));
                    }
                    spec.name = value.to_owned();
                }
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
                "kvm" => spec.kvm = parse_switch(value).ok_or_else(unfit)?,
                "kernel" => spec.kernel = Some(value.to_owned()),
                "initrd" => spec.initrd = Some(value.to_owned()),
                "append" => spec.append = value.to_owned(),
                "balloon" => spec.devices.balloon = parse_switch(value).ok_or_else(unfit)?,
                "disk" | "drive" if spec.devices.disk_bytes > 0 => {
                    return Err(bad("a guest has one disk or drive at most".to_owned()));
                }
                "disk" | "drive" => {
                    spec.devices.disk_bytes = disk_bytes(value)?;
                    spec.devices.disk_empty = key == "drive";
                }
                _ => return Err(bad(format!("a guest has no '{key}'"))),
            }
        }
        Ok(spec)
    }

    /// The names of the kernel's addresses, where they are known.
    fn symbols(&self) -> &'static str {
        match (&self.kernel, self.model) {
            (None, _) if self.devices.balloon => BALLOON_KERNEL_SYMBOLS,
            (None, model) => symbols_for(model),
            (Some(_), _) => "",
        }
    }

    fn machine(&self) -> Result<Machine, Failure> {
        let cpu = CpuModel::by_name("x86-64-v2").expect("this model is always there");
        let config = Config {
            memory_bytes: self.memory,
            model: self.model,
            kvm: self.kvm,
            devices: self.devices,
            on_reset: OnReset::Stop,
            ..Config::new(cpu)
        };
        let read = |what, path: &String| {
            read_file(what, Path::new(path))
                .map_err(|error| Failure::of(BAD_INPUT, &error, "give a file that is there"))
        };
        let kernel = self.kernel.as_ref().map(|path| read(FileUse::Kernel, path)).transpose()?;
        let initrd = self.initrd.as_ref().map(|path| read(FileUse::Initrd, path)).transpose()?;
        if kernel.is_none() && initrd.is_some() {
            return Err(bad("initrd= is for a kernel, and there is none".to_owned()));
        }
        let ported = matches!(self.model, Some(Model::Trap | Model::Para));
        let own = match self.devices.balloon {
            true if ported && kernel.is_none() => {
                let what =
                    format!("{}: this port of the teaching kernel has no balloon", self.name);
                let remedy = "give it another model or none, or leave balloon= out";
                return Err(Failure::new(BAD_INPUT, what, remedy));
            }
            true => BALLOON_KERNEL,
            false => kernel_for(self.model),
        };
        let image = kernel.as_deref().unwrap_or(own);
        let boot = Boot::Kernel { image, initrd: initrd.as_deref(), cmdline: &self.append };
        Machine::new(config, &boot).map_err(|error| bad(format!("{}: {error}", self.name)))
    }
}

/// A host with guests as asked for, and the names of each one's addresses as `nm` lists them.
pub(crate) fn host_of(
    specs: &[String],
    memory: Option<u64>,
) -> Result<(Host, Vec<&'static str>), Failure> {
    let (mut host, mut symbols) = (Host::new(), Vec::new());
    for (number, text) in specs.iter().enumerate() {
        let spec = Spec::parse(text, number)?;
        if host.guests().iter().any(|guest| guest.name() == spec.name) {
            return Err(bad(format!("two guests are called {}", spec.name)));
        }
        host.add(&spec.name, spec.machine()?, spec.share);
        symbols.push(spec.symbols());
    }
    if let Some(bytes) = memory {
        if bytes < LEAST_MEMORY {
            let what = format!("--host-memory: {bytes} bytes are no memory for guests");
            return Err(Failure::new(BAD_INPUT, what, "give 64K or more"));
        }
        host.set_memory(bytes);
    }
    Ok((host, symbols))
}

/// Runs the guests as asked for; the result is the exit code.
pub(super) fn host(args: &VmHostArgs) -> Result<u8, Failure> {
    let (mut host, _) = host_of(&args.guest, args.host_memory)?;
    let mut actions = Actions::of(args)?;
    actions.end_before(args.max_instructions)?;
    let bar = progress();
    let mut chart = Chart::new(args.max_instructions, host.guests().len());
    let mut told = 0;
    while host.now() < args.max_instructions {
        actions.act(&mut host)?;
        let Some(slice) = host.step_before(actions.next().unwrap_or(u64::MAX)) else { break };
        chart.add(&slice);
        if host.now() - told > TOLD {
            told = host.now();
            bar.set_message(format!(
                "{} of {} ticks",
                grouped(told),
                grouped(args.max_instructions)
            ));
        }
    }
    bar.finish_and_clear();
    print!("{}", chart.text(&host));
    print!("{}", actions.text());
    print!("{}", shares(&mut host)?);
    print!("{}", memory(&host));
    print!("{}", balloons(&host));
    Ok(DONE)
}

/// Shown from the first second on, on a terminal.
fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(std::time::Duration::from_secs(1));
    bar
}

/// Who had the CPU when: a row a guest, a column a stretch of time.
struct Chart {
    /// Ticks of a column.
    width: u64,
    had: Vec<[u64; COLUMNS]>,
}

impl Chart {
    fn new(ticks: u64, guests: usize) -> Self {
        Self { width: ticks.div_ceil(COLUMNS as u64).max(1), had: vec![[0; COLUMNS]; guests] }
    }

    fn add(&mut self, slice: &Slice) {
        if let Some(guest) = slice.guest {
            // Clones come while the others run.
            let rows = self.had.len().max(guest + 1);
            self.had.resize(rows, [0; COLUMNS]);
            let row = &mut self.had[guest];
            let column = (slice.at / self.width) as usize;
            row[column.min(COLUMNS - 1)] += slice.ticks;
        }
    }

    fn text(&self, host: &Host) -> String {
        let mut text = String::new();
        // Nothing, some, about half, most of a stretch.
        let mark = |ticks: &u64| match ticks * 4 / self.width {
            0 if *ticks == 0 => ' ',
            0 => '.',
            1 | 2 => '+',
            _ => '#',
        };
        for (guest, had) in
            host.guests().iter().zip(self.had.iter().chain(std::iter::repeat(&[0; COLUMNS])))
        {
            let row: String = had.iter().map(mark).collect();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:<12} |{row}|", guest.name());
        }
        let _ = writeln!(text, "{:<12} |a column is {} ticks\n", "", grouped(self.width));
        text
    }
}

/// How far the guests with balloons came.
fn balloons(host: &Host) -> String {
    let mut text = String::new();
    for guest in host.guests() {
        let Some(size) =
            guest.machine().balloon().filter(|size| size.wanted > 0 || size.actual > 0)
        else {
            continue;
        };
        let (actual, wanted) = (grouped(size.actual.into()), grouped(size.wanted.into()));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "balloon of {}: {actual} of {wanted} pages", guest.name());
    }
    if host.pages_moving() > 0 {
        let _ = writeln!(text, "{} pages have not moved yet", grouped(host.pages_moving()));
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// What is in the host's memory, if it has one of its own.
fn memory(host: &Host) -> String {
    let Some(memory) = host.memory() else { return String::new() };
    let (frames, used) = (memory.frames(), memory.used());
    let mapped: u64 = memory.guests().iter().map(|pages| pages.mapped).sum();
    let (all, frames, used) = (grouped(mapped), grouped(frames), grouped(used));
    let mut text = format!(
        "\nmemory of the host: {all} pages of guests in {used} of {frames} frames\n\
         guest          pages it has    mapped    shared   on disk    copied   read in     twice   balloon\n"
    );
    for (guest, pages) in host.guests().iter().zip(memory.guests()) {
        let has = guest.machine().config().memory_bytes >> 12;
        let GuestPages { mapped, shared, out, copied, read_in, paged_twice, balloon } = *pages;
        let counts = [has, mapped, shared, out, copied, read_in, paged_twice, balloon];
        let [has, mapped, shared, out, copied, read_in, twice, balloon] = counts.map(grouped);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<12} {has:>14} {mapped:>9} {shared:>9} {out:>9} {copied:>9} {read_in:>9} \
             {twice:>9} {balloon:>9}",
            guest.name(),
        );
    }
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
