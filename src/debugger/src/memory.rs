//! Guest memory as a debugger reads it: ROM and RAM, never a device, which an access could change.

use cutaway_cpu::CpuState;
use cutaway_memory::{GuestMemory, PAGE_SIZE, PageKind};

/// How addresses are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// Through the page tables as they are now.
    Linear,
    /// On the bus.
    Physical,
}

/// A part of a range within one page: its physical address, its place in the range, its length.
struct Part {
    physical: u64,
    at: usize,
    len: usize,
}

/// The parts of a range, page by page, up to the first that leads nowhere.
fn parts(
    memory: &GuestMemory,
    state: &CpuState,
    space: Space,
    address: u64,
    len: usize,
) -> impl Iterator<Item = Part> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == len {
            return None;
        }
        // What goes on at address 0 is not looked at: nobody means that.
        let here = address.checked_add(at as u64)?;
        let physical = match space {
            Space::Linear => state.physical_of(memory, here)?,
            Space::Physical => here,
        };
        let rest_of_page = (PAGE_SIZE - physical % PAGE_SIZE) as usize;
        let part = Part { physical, at, len: rest_of_page.min(len - at) };
        at += part.len;
        Some(part)
    })
}

/// Reads bytes: how many, up to the first that is no memory.
pub(crate) fn read(
    memory: &GuestMemory,
    state: &CpuState,
    space: Space,
    address: u64,
    bytes: &mut [u8],
) -> usize {
    let mut done = 0;
    for Part { physical, at, len } in parts(memory, state, space, address, bytes.len()) {
        if memory.page(physical) == PageKind::Device {
            break;
        }
        memory.read(physical, &mut bytes[at..at + len]);
        done = at + len;
    }
    done
}

/// The physical addresses of a range that is RAM throughout, with a byte each; nothing if it is
/// not.
pub(crate) fn ram_bytes(
    memory: &GuestMemory,
    state: &CpuState,
    space: Space,
    address: u64,
    bytes: &[u8],
) -> Option<Vec<(u64, u8)>> {
    let mut found = Vec::with_capacity(bytes.len());
    for Part { physical, at, len } in parts(memory, state, space, address, bytes.len()) {
        if !matches!(memory.page(physical), PageKind::Ram(_)) {
            return None;
        }
        found.extend((physical..).zip(bytes[at..at + len].iter().copied()));
    }
    (found.len() == bytes.len()).then_some(found)
}

/// Lines of 16 bytes with their address, as `xp` shows them.
pub(crate) fn hex_dump(address: u64, bytes: &[u8]) -> String {
    let mut text = String::new();
    for (n, line) in bytes.chunks(16).enumerate() {
        let address = address.wrapping_add(n as u64 * 16);
        let hex: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let printable = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        let plain: String = line.iter().map(printable).collect();
        text.push_str(&format!("{address:012x}  {:<47}  {plain}\n", hex.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RAM in the first 4 KiB, ROM in the next, then nothing.
    fn memory() -> GuestMemory {
        let mut memory = GuestMemory::new(0x2000).unwrap();
        memory.add_ram(0, 0x1000).unwrap();
        memory.add_rom(0x1000, &[0xaa; 0x1000]).unwrap();
        memory
    }

    #[test]
    fn reading_stops_where_memory_ends() {
        let (memory, state) = (memory(), CpuState::reset(0));
        let mut bytes = [0; 16];

        assert_eq!(read(&memory, &state, Space::Physical, 0x1ff8, &mut bytes), 8);
        assert_eq!(bytes[..8], [0xaa; 8]);
        assert_eq!(read(&memory, &state, Space::Linear, 0x2000, &mut bytes), 0);
        assert_eq!(read(&memory, &state, Space::Linear, u64::MAX, &mut bytes), 0);
        assert_eq!(read(&memory, &state, Space::Physical, u64::MAX - 3, &mut bytes), 0);
    }

    #[test]
    fn only_a_range_that_is_all_ram_can_be_written() {
        let (memory, state) = (memory(), CpuState::reset(0));
        let ram = |address| ram_bytes(&memory, &state, Space::Linear, address, &[1, 2]);

        assert_eq!(ram(0xffe), Some(vec![(0xffe, 1), (0xfff, 2)]));
        assert_eq!(ram(0xfff), None);
        assert_eq!(ram(0x3000), None);
    }

    #[test]
    fn a_dump_shows_sixteen_bytes_a_line() {
        let text = hex_dump(0x7c00, b"\x00ABCDEFGHIJKLMNOP");

        let lines: Vec<_> = text.lines().collect();
        let first =
            "000000007c00  00 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f  .ABCDEFGHIJKLMNO";
        assert_eq!(lines[0], first);
        assert!(lines[1].starts_with("000000007c10  50 "));
    }
}
