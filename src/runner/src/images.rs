//! The files of a guest: reading them, and making a machine of them.

use crate::case::{Case, Guest};
use cutaway_machine::{Boot, Machine};
use cutaway_replay::{Snapshot, in_full};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// More than any image has.
const MAX_IMAGE: u64 = 1 << 30;

/// Why there is no machine.
#[derive(Debug)]
pub(crate) enum NoMachine {
    /// A file is not there or not for us to read.
    Missing(String),
    /// What is there is no good.
    Bad(String),
}

/// The machine of a case, just switched on or as it was saved.
pub(crate) fn machine(case: &Case, firmware: &[u8]) -> Result<Machine, NoMachine> {
    let boot = |boot: &Boot<'_>| {
        let config = case.config.clone().expect("every guest but a snapshot has one");
        Machine::new(config, boot).map_err(|error| NoMachine::Bad(in_full(&error)))
    };
    match &case.guest {
        Guest::Firmware => boot(&Boot::Rom(firmware)),
        Guest::Rom(path) => boot(&Boot::Rom(&read("the ROM", path)?)),
        Guest::Kernel { image, initrd, cmdline } => {
            let image = read("the kernel", image)?;
            let initrd = initrd.as_ref().map(|path| read("the initrd", path)).transpose()?;
            boot(&Boot::Kernel { image: &image, initrd: initrd.as_deref(), cmdline })
        }
        Guest::Snapshot(path) => {
            open("the snapshot", path)?;
            let machine = Snapshot::open(path).and_then(|snapshot| snapshot.machine());
            machine.map_err(|error| NoMachine::Bad(in_full(&error)))
        }
    }
}

/// A plain file, opened.
fn open(what: &str, path: &Path) -> Result<File, NoMachine> {
    let cannot = |error: std::io::Error| {
        let message = format!("cannot open {what} {}: {error}", path.display());
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::PermissionDenied => NoMachine::Missing(message),
            _ => NoMachine::Bad(message),
        }
    };
    // Asked before opening: to open a pipe can take for ever.
    let about = std::fs::metadata(path).map_err(cannot)?;
    if !about.is_file() {
        return Err(NoMachine::Bad(format!("{what} {} is no file", path.display())));
    }
    File::open(path).map_err(cannot)
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>, NoMachine> {
    let file = open(what, path)?;
    let mut bytes = Vec::new();
    let bad = |why: String| NoMachine::Bad(format!("cannot read {what} {}: {why}", path.display()));
    file.take(MAX_IMAGE + 1).read_to_end(&mut bytes).map_err(|error| bad(error.to_string()))?;
    if bytes.len() as u64 > MAX_IMAGE {
        return Err(bad(format!("it has more than {MAX_IMAGE} bytes")));
    }
    Ok(bytes)
}
