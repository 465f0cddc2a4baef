//! The world of a vCPU that is fuzzed: RAM, a ROM, and devices that answer with a hash of where
//! they were asked. All that the vCPU did to it can be compared.

use cutaway::cpu::{Bus, Pins};
use cutaway::isa::{Vector, Width};
use cutaway::memory::{DirtyFor, GuestMemory};

/// RAM from address 0 on, in bytes.
pub const RAM_BYTES: u64 = 0x4_0000;
/// The ROM begins where RAM ends.
pub const ROM_BYTES: u64 = 0x2000;

/// What was done to a device: kind, place, value, tick.
pub type Access = (char, u64, u64, u64);

/// Memory and devices.
pub struct World {
    memory: GuestMemory,
    /// What the pins show throughout.
    pub pins: Pins,
    /// Accesses to devices, with their ticks.
    pub accesses: Vec<Access>,
}

impl World {
    /// RAM and ROM with these contents.
    ///
    /// # Panics
    /// If the host has no memory left.
    #[must_use]
    pub fn new(ram: &[u8], rom: &[u8], pins: Pins) -> Self {
        let mut memory = GuestMemory::new(RAM_BYTES + ROM_BYTES).expect("the host has 300 KiB");
        memory.add_ram(0, RAM_BYTES).expect("the map is empty");
        memory.add_rom(RAM_BYTES, rom).expect("nothing lies behind RAM");
        memory.write(0, ram);
        memory.clear_dirty(DirtyFor::Checkpoint);
        Self { memory, pins, accesses: Vec::new() }
    }

    /// All bytes of RAM and ROM.
    #[must_use]
    pub fn contents(&self) -> Vec<u8> {
        let mut bytes = vec![0; (RAM_BYTES + ROM_BYTES) as usize];
        self.memory.read(0, &mut bytes);
        bytes
    }

    /// Pages written.
    #[must_use]
    pub fn dirty(&self) -> Vec<usize> {
        self.memory.dirty_pages(DirtyFor::Checkpoint).collect()
    }
}

fn hash(value: u64) -> u64 {
    crate::Noise::new(value).next()
}

impl Bus for World {
    fn memory(&mut self) -> &mut GuestMemory {
        &mut self.memory
    }

    fn port_read(&mut self, port: u16, width: Width, at: u64) -> u32 {
        self.accesses.push(('i', u64::from(port), u64::from(width.bits()), at));
        hash(u64::from(port)) as u32 & width.mask() as u32
    }

    fn port_write(&mut self, port: u16, _: Width, value: u32, at: u64) {
        self.accesses.push(('o', u64::from(port), u64::from(value), at));
    }

    fn mmio_read(&mut self, address: u64, width: Width, at: u64) -> u64 {
        self.accesses.push(('r', address, u64::from(width.bits()), at));
        hash(address) & width.mask()
    }

    fn mmio_write(&mut self, address: u64, _: Width, value: u64, at: u64) {
        self.accesses.push(('w', address, value, at));
    }

    fn pins(&self) -> Pins {
        self.pins
    }

    fn acknowledge(&mut self, at: u64) -> Vector {
        self.accesses.push(('a', 0, 0, at));
        Vector(0x20)
    }

    fn stop_at(&self) -> u64 {
        u64::MAX
    }
}
