//! `cutaway run`: from options to a machine, through the session, to the exit code.

use cutaway::CpuModel;
use cutaway::host::CLASSES;

use crate::args::RunArgs;
use crate::device::DEVICE_HELP;
use crate::exit::DONE;
use crate::failure::Failure;
use crate::{guest, session};

/// Runs a guest as asked for; the result is the exit code.
pub(crate) fn run(args: &RunArgs) -> Result<u8, Failure> {
    if args.guest.cpu == "help" {
        return Ok(list_cpus());
    }
    if args.guest.device.iter().any(|device| device == "help") {
        print!("{DEVICE_HELP}");
        return Ok(DONE);
    }
    if args.session.log_classes.as_deref() == Some("help") {
        return Ok(list_classes());
    }
    session::hold(&args.session, guest::boot(&args.guest)?, session::Start::default())
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
