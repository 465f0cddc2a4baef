//! The machines that lessons run on.

use super::{GuestKind, Head};
use crate::explorer::Explorer;
use crate::symbols::Symbols;
use cutaway_isa::{Assembly, CodeSize, assemble};
use cutaway_machine::{Boot, Config, CpuModel, Devices, Host, Machine, Model, Paging, Share};
use cutaway_replay::TimeMachine;

/// The teaching kernel in its ROM.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<'a> {
    /// The ROM: BIOS and kernel.
    pub rom: &'a [u8],
    /// The kernel alone, a multiboot image.
    pub image: &'a [u8],
    /// The kernel's names, as `nm` lists them.
    pub symbols: &'a str,
    /// The kernel as a paravirtual guest, a multiboot image.
    pub paravirtual: &'a [u8],
    /// The kernel with a hypervisor among its tasks, a multiboot image.
    pub host: &'a [u8],
    /// Its names.
    pub host_symbols: &'a str,
    /// The kernel with a driver for a memory balloon, a multiboot image.
    pub balloon: &'a [u8],
    /// Its names.
    pub balloon_symbols: &'a str,
    /// Its guest alone, a multiboot image.
    pub small: &'a [u8],
}

/// Bytes of a ROM made of code; it ends at the reset vector.
const ROM_BYTES: usize = 0x1_0000;
const RESET_VECTOR: usize = 0xfff0;
/// JMP from f000:fff0 to f000:0000.
const JUMP: [u8; 3] = [0xe9, 0x0d, 0x00];
/// Bytes of checkpoints.
const BUDGET: usize = 256 << 20;
const HLT: u8 = 0xf4;

/// The machine of a lesson at reset.
pub(super) fn of_lesson(head: &Head, kernel: &Kernel<'_>) -> Result<Explorer, String> {
    if head.guest == GuestKind::Several {
        return of_several(head, kernel);
    }
    let (machine, names) = machine(head, head.guest, kernel)?;
    let mut explorer = live(machine)?;
    explorer.set_symbols(symbols(names)?);
    Ok(explorer)
}

/// Several guests on one CPU.
fn of_several(head: &Head, kernel: &Kernel<'_>) -> Result<Explorer, String> {
    let (mut host, mut names) = (Host::new(), Vec::new());
    for member in &head.guests {
        let of = Head { model: member.model.clone(), cpu: member.cpu.clone(), ..head.clone() };
        let (machine, text) = machine(&of, member.guest, kernel)?;
        host.add(&member.name, machine, Share { shares: member.shares, cap: member.cap });
        names.push(symbols(text)?);
    }
    if let Some(kib) = head.host_memory {
        host.set_memory(kib.checked_mul(1 << 10).ok_or("too much memory")?);
    }
    Explorer::of_host(host, names, BUDGET).map_err(|error| error.to_string())
}

fn symbols(text: &str) -> Result<Symbols, String> {
    Symbols::parse(text).map_err(|error| error.to_string())
}

fn live(machine: Machine) -> Result<Explorer, String> {
    let run = TimeMachine::live(machine, BUDGET).map_err(|error| error.to_string())?;
    Ok(Explorer::new(run, true))
}

/// A machine with this in it, and the names of its addresses.
fn machine<'a>(
    head: &Head,
    kind: GuestKind,
    kernel: &Kernel<'a>,
) -> Result<(Machine, &'a str), String> {
    let multiboot = |image| Boot::Kernel { image, initrd: None, cmdline: "" };
    let code;
    let (boot, names) = match kind {
        GuestKind::TeachingKernel if head.guest == GuestKind::Several => {
            (multiboot(kernel.image), kernel.symbols)
        }
        GuestKind::TeachingKernel => (Boot::Rom(kernel.rom), kernel.symbols),
        GuestKind::ParavirtualKernel => (multiboot(kernel.paravirtual), ""),
        GuestKind::HostKernel => (multiboot(kernel.host), kernel.host_symbols),
        GuestKind::BalloonKernel => (multiboot(kernel.balloon), kernel.balloon_symbols),
        GuestKind::SmallGuest => (multiboot(kernel.small), ""),
        GuestKind::Code => {
            code = rom_of(&head.code)?;
            (Boot::Rom(&code), "")
        }
        GuestKind::Several => return Err("one of several guests is none of its own".to_owned()),
    };
    let balloon = kind == GuestKind::BalloonKernel;
    let devices = Devices { balloon, ..Devices::NONE };
    Ok((with(head, devices, &boot)?, names))
}

/// A machine with code at f000:0000, which reset jumps to.
pub(super) fn of_code(head: &Head, source: &str) -> Result<Explorer, String> {
    live(with(head, Devices::NONE, &Boot::Rom(&rom_of(source)?))?)
}

/// A ROM with code at f000:0000, and a jump there at the reset vector.
fn rom_of(source: &str) -> Result<Vec<u8>, String> {
    let assembly = Assembly { size: CodeSize::Bits16, origin: 0 };
    let code = assemble(source, assembly).map_err(|error| error.to_string())?.bytes;
    if code.len() > RESET_VECTOR {
        return Err(format!("the code has {} bytes; there is room for {RESET_VECTOR}", code.len()));
    }
    // What is not code halts.
    let mut image = vec![HLT; ROM_BYTES];
    image[..code.len()].copy_from_slice(&code);
    image[RESET_VECTOR..RESET_VECTOR + JUMP.len()].copy_from_slice(&JUMP);
    Ok(image)
}

fn with(head: &Head, devices: Devices, boot: &Boot<'_>) -> Result<Machine, String> {
    let cpu = CpuModel::parse(&head.cpu).map_err(|error| error.to_string())?;
    let memory_bytes = head.memory.checked_mul(1 << 20).ok_or("too much memory")?;
    let model = head
        .model
        .as_deref()
        .map(|name| Model::by_name(name).ok_or_else(|| format!("there is no model {name}")));
    let paging = match head.paging.as_deref() {
        Some(name) => Paging::by_name(name).ok_or_else(|| format!("there is no paging {name}"))?,
        None => Paging::default(),
    };
    let model = model.transpose()?;
    let config = Config { memory_bytes, model, paging, devices, ..Config::new(cpu) };
    Machine::new(config, boot).map_err(|error| error.to_string())
}
