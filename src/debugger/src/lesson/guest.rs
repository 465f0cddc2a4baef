//! The machines that lessons run on.

use super::{GuestKind, Head};
use crate::explorer::Explorer;
use crate::symbols::Symbols;
use cutaway_isa::{Assembly, CodeSize, assemble};
use cutaway_machine::{Boot, Config, CpuModel, Machine, Model, Paging};
use cutaway_replay::TimeMachine;

/// The teaching kernel in its ROM.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<'a> {
    /// The ROM: BIOS and kernel.
    pub rom: &'a [u8],
    /// The kernel's names, as `nm` lists them.
    pub symbols: &'a str,
    /// The kernel as a paravirtual guest, a multiboot image.
    pub paravirtual: &'a [u8],
    /// The kernel with a hypervisor among its tasks, a multiboot image.
    pub host: &'a [u8],
    /// Its names.
    pub host_symbols: &'a str,
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
    match head.guest {
        GuestKind::TeachingKernel => named(explorer(head, &Boot::Rom(kernel.rom))?, kernel.symbols),
        GuestKind::HostKernel => {
            let boot = Boot::Kernel { image: kernel.host, initrd: None, cmdline: "" };
            named(explorer(head, &boot)?, kernel.host_symbols)
        }
        GuestKind::ParavirtualKernel => {
            let image = kernel.paravirtual;
            explorer(head, &Boot::Kernel { image, initrd: None, cmdline: "" })
        }
        GuestKind::Code => of_code(head, &head.code),
    }
}

/// The machine with names for its addresses.
fn named(mut explorer: Explorer, symbols: &str) -> Result<Explorer, String> {
    explorer.set_symbols(Symbols::parse(symbols).map_err(|error| error.to_string())?);
    Ok(explorer)
}

/// A machine with code at f000:0000, which reset jumps to.
pub(super) fn of_code(head: &Head, source: &str) -> Result<Explorer, String> {
    let assembly = Assembly { size: CodeSize::Bits16, origin: 0 };
    let code = assemble(source, assembly).map_err(|error| error.to_string())?.bytes;
    if code.len() > RESET_VECTOR {
        return Err(format!("the code has {} bytes; there is room for {RESET_VECTOR}", code.len()));
    }
    // What is not code halts.
    let mut image = vec![HLT; ROM_BYTES];
    image[..code.len()].copy_from_slice(&code);
    image[RESET_VECTOR..RESET_VECTOR + JUMP.len()].copy_from_slice(&JUMP);
    explorer(head, &Boot::Rom(&image))
}

fn explorer(head: &Head, boot: &Boot<'_>) -> Result<Explorer, String> {
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
    let config = Config { memory_bytes, model: model.transpose()?, paging, ..Config::new(cpu) };
    let machine = Machine::new(config, boot).map_err(|error| error.to_string())?;
    let run = TimeMachine::live(machine, BUDGET).map_err(|error| error.to_string())?;
    Ok(Explorer::new(run, true))
}
