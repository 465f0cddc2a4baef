//! The physical machine: the monitor's part of memory, and the bus as the CPU sees it while the
//! guest's code runs directly.

use cutaway_cpu::{Bus, Event, Pins};
use cutaway_isa::{Vector, Width};
use cutaway_memory::GuestMemory;

use crate::hardware::Pages;

/// Memory that belongs to the monitor. It lies at the end of the physical machine's memory,
/// which is the backing from offset 0 on; no guest-physical address leads there.
pub const MONITOR_BYTES: u64 = 16 << 20;

/// What lies where in the monitor's memory, as offsets of the backing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Shadow page tables.
    pub(crate) shadow: (u64, u64),
    /// The window of the translator.
    pub(crate) window: u64,
    /// What hardware assistance needs.
    pub(crate) svm: Pages,
}

impl Layout {
    /// In a memory whose end is the monitor's.
    pub(crate) fn of(memory: &GuestMemory) -> Self {
        let start = (memory.backing().len() as u64).saturating_sub(MONITOR_BYTES);
        let svm = Pages::at(start + (12 << 20));
        Self { shadow: (start, start + (8 << 20)), window: start + (8 << 20), svm }
    }
}

/// The bus of the physical machine. Ports and device memory are the guest's virtual ones: code that
/// runs directly never reaches them, since every access traps; neither does an interrupt reach it.
pub(crate) struct PhysicalBus<'a> {
    /// Whether interrupts of virtual devices are on the physical pin, to make the guest leave for
    /// the monitor.
    pub(crate) interrupts: bool,
    pub(crate) guest: &'a mut dyn Bus,
}

impl Bus for PhysicalBus<'_> {
    fn memory(&mut self) -> &mut GuestMemory {
        self.guest.memory()
    }

    fn port_read(&mut self, _port: u16, width: Width, _at: u64) -> u32 {
        width.mask() as u32
    }

    fn port_write(&mut self, _port: u16, _width: Width, _value: u32, _at: u64) {}

    fn mmio_read(&mut self, _address: u64, width: Width, _at: u64) -> u64 {
        width.mask()
    }

    fn mmio_write(&mut self, _address: u64, _width: Width, _value: u64, _at: u64) {}

    fn pins(&self) -> Pins {
        let pins = self.guest.pins();
        Pins { intr: pins.intr && self.interrupts, ignne: pins.ignne, ..Pins::default() }
    }

    /// An interrupt makes the guest leave before it is acknowledged; only a damaged snapshot's guest
    /// takes it here.
    fn acknowledge(&mut self, at: u64) -> Vector {
        self.guest.acknowledge(at)
    }

    fn stop_at(&self) -> u64 {
        self.guest.stop_at()
    }

    fn set_ferr(&mut self, asserted: bool, at: u64) {
        self.guest.set_ferr(asserted, at);
    }

    fn console(&mut self, byte: u8) {
        self.guest.console(byte);
    }

    fn trace(&mut self, event: &Event) {
        self.guest.trace(event);
    }
}
