//! `cutaway run`: from options to a machine, through the session, to the exit code.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cutaway::cpu::TraceClasses;
use cutaway::host::{
    CLASSES, FileUse, Inbox, Log, Output, OutputError, Pacing, RawTerminal, RecentExceptions,
    Session, Target, crash_report, parse_classes, read_file, read_stdin, watch_signals,
};
use cutaway::{Boot, BootError, Config, CpuModel, FIRMWARE, Machine, MachineError, OnReset};

use crate::args::RunArgs;
use crate::exit::{BAD_INPUT, DONE, HOST_FAILED, ending};
use crate::failure::Failure;
use crate::quantity::RtcStart;
use crate::stats;

/// Runs a guest as asked for; the result is the exit code.
pub(crate) fn run(args: &RunArgs) -> Result<u8, Failure> {
    if args.cpu == "help" {
        return Ok(list_cpus());
    }
    if args.log_classes.as_deref() == Some("help") {
        return Ok(list_classes());
    }
    let config = config(args)?;
    let mut machine = boot(args, config)?;
    let recent = RecentExceptions::default();
    let outputs = connect(args, &mut machine, &recent)?;

    let (end, running) = converse(args, &mut machine, outputs)?;

    let ending = ending(&end);
    if let Some(message) = &ending.message {
        eprintln!("cutaway: {message}");
    }
    if ending.show_state {
        eprint!("{}", crash_report(&machine, &recent));
    }
    if args.stats {
        eprint!("{}", stats::text(&machine.stats(), running));
    }
    if args.hash {
        eprint!("{}", stats::hash(&mut machine)?);
    }
    Ok(ending.code)
}

fn list_cpus() -> u8 {
    CpuModel::names().for_each(|name| println!("{name}"));
    DONE
}

fn list_classes() -> u8 {
    for (name, _, what) in CLASSES {
        println!("{name:<5} {what}");
    }
    DONE
}

fn config(args: &RunArgs) -> Result<Config, Failure> {
    let Some(cpu) = CpuModel::by_name(&args.cpu) else {
        let names: Vec<_> = CpuModel::names().collect();
        let what = format!("unknown CPU model '{}'", args.cpu);
        return Err(Failure::new(BAD_INPUT, what, format!("there are {}", names.join(", "))));
    };
    let rtc_start = match args.rtc {
        RtcStart::At(seconds) => seconds,
        RtcStart::Now => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(now.as_secs()).unwrap_or_default()
        }
    };
    let on_reset = if args.no_reboot { OnReset::Stop } else { OnReset::Restart };
    let (memory_bytes, cpu_seed) = (args.memory, args.cpu_seed);
    Ok(Config { memory_bytes, ips: args.ips, rtc_start, cpu_seed, on_reset, ..Config::new(cpu) })
}

fn boot(args: &RunArgs, config: Config) -> Result<Machine, Failure> {
    let read = |what: FileUse, path: &std::path::Path, remedy: &str| {
        read_file(what, path).map_err(|error| Failure::of(BAD_INPUT, &error, remedy))
    };
    let made = if let Some(path) = &args.kernel {
        let image = read(FileUse::Kernel, path, "give --kernel a bzImage or multiboot file")?;
        let initrd = match &args.initrd {
            Some(path) => Some(read(FileUse::Initrd, path, "give --initrd a file that is there")?),
            None => None,
        };
        let cmdline = args.append.as_deref().unwrap_or_default();
        Machine::new(config, &Boot::Kernel { image: &image, initrd: initrd.as_deref(), cmdline })
    } else if let Some(path) = &args.rom {
        let image = read(FileUse::Rom, path, "give --rom an image that ends at the reset vector")?;
        Machine::new(config, &Boot::Rom(&image))
    } else {
        Machine::new(config, &Boot::Rom(FIRMWARE))
    };
    made.map_err(|error| Failure::of(BAD_INPUT, &error, remedy_of(&error)))
}

/// What to do about a machine that cannot be made.
fn remedy_of(error: &MachineError) -> &'static str {
    match error {
        MachineError::MemorySize { .. } => "choose another size with -m",
        MachineError::Boot(BootError::NotAKernel) => {
            "give --kernel a vmlinuz or a multiboot file, or --rom a ROM image"
        }
        MachineError::Boot(BootError::Truncated { .. } | BootError::Malformed { .. }) => {
            "copy or build the file again"
        }
        MachineError::Boot(BootError::NeedsLongMode) => "--cpu help lists the CPUs",
        MachineError::Boot(
            BootError::TooLittleMemory { .. } | BootError::InitrdDoesNotFit { .. },
        ) => "-m sets its size, such as -m 1G",
        _ => "cutaway run --help says what can be started",
    }
}

fn output_failure(error: &OutputError) -> Failure {
    let code = match error {
        OutputError::Create { .. } => BAD_INPUT,
        OutputError::Write { .. } => HOST_FAILED,
    };
    Failure::of(code, error, "choose a place that can be written")
}

/// Plugs the outputs in; the result is what has to be flushed.
fn connect(
    args: &RunArgs,
    machine: &mut Machine,
    recent: &RecentExceptions,
) -> Result<Vec<Output>, Failure> {
    let mut outputs = Vec::new();
    let mut open = |target: &Target| -> Result<Option<Output>, Failure> {
        let output = match target {
            Target::Stdio => Output::stdout(),
            Target::File(path) => Output::file(path).map_err(|error| output_failure(&error))?,
            Target::None => return Ok(None),
        };
        outputs.push(output.clone());
        Ok(Some(output))
    };
    if let Some(output) = open(&args.serial)? {
        machine.attach_serial(0, Box::new(output));
    }
    if let Some(output) = open(&args.debugcon)? {
        machine.attach_debug_console(Box::new(output));
    }
    let mut log = Log { classes: TraceClasses::empty(), output: None, recent: recent.clone() };
    if let Some(list) = &args.log_classes {
        log.classes = parse_classes(list).map_err(|name| {
            let what = format!("unknown log class '{name}'");
            Failure::new(BAD_INPUT, what, "-d help lists what there is")
        })?;
        let output = match &args.log_file {
            Some(path) => Output::file(path).map_err(|error| output_failure(&error))?,
            None => Output::stderr(),
        };
        outputs.push(output.clone());
        log.output = Some(output);
    }
    machine.set_trace(log.classes | TraceClasses::INT, Some(Box::new(log)));
    Ok(outputs)
}

/// Runs the session with the terminal in raw mode, if the guest has it.
fn converse(
    args: &RunArgs,
    machine: &mut Machine,
    outputs: Vec<Output>,
) -> Result<(cutaway::host::End, Duration), Failure> {
    let host_failed = |error: std::io::Error, what: &str| {
        Failure::new(HOST_FAILED, format!("{what}: {error}"), "try again from another terminal")
    };
    let inbox = Inbox::new();
    watch_signals(&inbox).map_err(|error| host_failed(error, "cannot watch signals"))?;
    let mut terminal = None;
    if args.serial == Target::Stdio {
        terminal = RawTerminal::enter().map_err(|error| host_failed(error, "no raw terminal"))?;
        read_stdin(&inbox).map_err(|error| host_failed(error, "cannot read standard input"))?;
    } else {
        inbox.close();
    }
    let pacing = if args.fast { Pacing::Fast } else { Pacing::WallClock };
    let mut session = Session::new(machine, &inbox, outputs, pacing);
    session.max_instructions = args.max_instructions;
    let end = session.run();
    let running = session.running();
    if terminal.is_some() {
        drop(terminal);
        // The guest may have left the cursor in the middle of a line.
        eprintln!();
    }
    end.map(|end| (end, running)).map_err(|error| output_failure(&error))
}
