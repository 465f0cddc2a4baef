//! From options to a machine with something to start in it.

use std::time::{SystemTime, UNIX_EPOCH};

use cutaway::host::{FileUse, read_file};
use cutaway::{
    Boot, BootError, Config, CpuModel, CpuNameError, FIRMWARE, Machine, MachineError, Model,
    OnReset, Paging,
};

use crate::args::GuestArgs;
use crate::device;
use crate::exit::BAD_INPUT;
use crate::failure::Failure;
use crate::quantity::RtcStart;

/// The CPU model of a name.
pub(crate) fn cpu_model(name: &str) -> Result<CpuModel, Failure> {
    CpuModel::parse(name).map_err(|error| {
        let names: Vec<_> = CpuModel::names().collect();
        match error {
            CpuNameError::Model(name) => {
                let what = format!("unknown CPU model '{name}'");
                Failure::new(BAD_INPUT, what, format!("there are {}", names.join(", ")))
            }
            CpuNameError::Feature(name) => {
                let what = format!("unknown CPU feature '{name}'");
                Failure::new(BAD_INPUT, what, "there are +svm, -svm, +apic and -apic".to_owned())
            }
            CpuNameError::NoLongMode(name) => {
                let what = format!("CPU model '{name}' cannot have svm");
                Failure::new(BAD_INPUT, what, "the 64-bit models can".to_owned())
            }
            CpuNameError::NoMsr(name) => {
                let what = format!("CPU model '{name}' cannot have apic");
                Failure::new(BAD_INPUT, what, "all later models can".to_owned())
            }
        }
    })
}

/// The model of virtualization of a name.
fn model(name: &str) -> Result<Model, Failure> {
    Model::by_name(name).ok_or_else(|| {
        let names = Model::ALL.map(Model::name);
        let what = format!("unknown model '{name}'");
        Failure::new(BAD_INPUT, what, format!("there are {}", names.join(", ")))
    })
}

fn config(args: &GuestArgs) -> Result<Config, Failure> {
    let cpu = cpu_model(&args.cpu)?;
    let rtc_start = match args.rtc {
        RtcStart::At(seconds) => seconds,
        RtcStart::Now => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(now.as_secs()).unwrap_or_default()
        }
    };
    let on_reset = if args.no_reboot { OnReset::Stop } else { OnReset::Restart };
    let model = args.model.as_deref().map(model).transpose()?;
    let paging = args.paging.as_deref().and_then(Paging::by_name);
    if paging.is_some() && model != Some(Model::Hardware) {
        let what = "--paging chooses between the tables of hardware assistance";
        return Err(Failure::new(BAD_INPUT, what, "give --model hardware, or leave --paging out"));
    }
    let (memory_bytes, cpu_seed, ips) = (args.memory, args.cpu_seed, args.ips);
    Ok(Config {
        memory_bytes,
        ips,
        rtc_start,
        cpu_seed,
        on_reset,
        model,
        umip: args.umip,
        paging: paging.unwrap_or_default(),
        kvm: args.kvm,
        devices: device::parse(&args.device)?,
        ..Config::new(cpu)
    })
}

/// The machine, with what it starts in it.
pub(crate) fn boot(args: &GuestArgs) -> Result<Machine, Failure> {
    let config = config(args)?;
    if args.kernel.is_none()
        && let Some(option) =
            [args.initrd.as_ref().map(|_| "--initrd"), args.append.as_ref().map(|_| "--append")]
                .into_iter()
                .flatten()
                .next()
    {
        let what = format!("{option} is for a kernel, and there is none");
        return Err(Failure::new(BAD_INPUT, what, "--kernel FILE gives one"));
    }
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
    } else if let Some(model) = config.model {
        let image = crate::vm::kernel_for(Some(model));
        Machine::new(config, &Boot::Kernel { image, initrd: None, cmdline: "" })
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
