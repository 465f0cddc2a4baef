//! Devices that are plugged into a machine, as options name them.

use cutaway::machine::{Devices, MAX_DISK};

use crate::exit::BAD_INPUT;
use crate::failure::Failure;
use crate::quantity::parse_memory;

/// What a device can be.
pub(crate) const DEVICE_HELP: &str = "\
virtio-balloon              memory balloon: pages that the guest gives back to its host
virtio-blk,size=SIZE        empty disk of this size, up to 256M, whose contents are a part of the
                            machine's state: snapshots and recordings hold them
virtio-blk,size=SIZE,empty  the same without a medium; vm host can move one into it
";

fn bad(what: String) -> Failure {
    Failure::new(BAD_INPUT, what, "--device help lists the devices")
}

/// The devices of these texts.
pub(crate) fn parse(texts: &[String]) -> Result<Devices, Failure> {
    let mut devices = Devices::NONE;
    for text in texts {
        let mut words = text.split(',');
        match words.next().unwrap_or_default() {
            "help" => {
                let what = format!("the devices are\n{DEVICE_HELP}");
                return Err(Failure::new(BAD_INPUT, what, "give one of them"));
            }
            "virtio-balloon" => devices.balloon = true,
            "virtio-blk" if devices.disk_bytes > 0 => {
                return Err(bad("a machine has one virtio-blk at most".to_owned()));
            }
            "virtio-blk" => {
                for word in words.by_ref() {
                    match word.split_once('=').unwrap_or((word, "")) {
                        ("size", size) => devices.disk_bytes = disk_bytes(size)?,
                        ("empty", "") => devices.disk_empty = true,
                        _ => return Err(bad(format!("a virtio-blk has no '{word}'"))),
                    }
                }
                if devices.disk_bytes == 0 {
                    return Err(bad("a virtio-blk needs a size, such as size=16M".to_owned()));
                }
            }
            name => return Err(bad(format!("there is no device '{name}'"))),
        }
        if let Some(word) = words.next() {
            return Err(bad(format!("'{text}' has no '{word}'")));
        }
    }
    Ok(devices)
}

/// Bytes of a disk.
pub(crate) fn disk_bytes(size: &str) -> Result<u64, Failure> {
    let fits = |bytes: &u64| (4096..=MAX_DISK).contains(bytes) && bytes.is_multiple_of(4096);
    parse_memory(size).ok().filter(fits).ok_or_else(|| {
        let what = format!("'{size}' is no size of a disk");
        Failure::new(BAD_INPUT, what, "give 4K to 256M, in whole 4 KiB")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(texts: &[&str]) -> Result<Devices, Failure> {
        parse(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn devices_have_names_and_sizes() {
        assert_eq!(parsed(&[]).unwrap(), Devices::NONE);
        let both = parsed(&["virtio-balloon", "virtio-blk,size=1M,empty"]).unwrap();
        assert_eq!(both, Devices { balloon: true, disk_bytes: 1 << 20, disk_empty: true });
        for bad in [
            "",
            "floppy",
            "virtio-blk",
            "virtio-blk,size=1G",
            "virtio-balloon,x",
            "virtio-blk,y",
            "virtio-blk,size=5001k",
        ] {
            assert!(parsed(&[bad]).is_err(), "{bad}");
        }
    }
}
