//! Virtio devices: the transport by memory-mapped registers ([`VirtioMmio`]), the split virtqueue, and the
//! devices behind it.
//!
//! Source: OASIS, "Virtual I/O Device (VIRTIO) Version 1.2".
//! Time: a request that the driver has announced is done when the device's own delay is over, one
//! after the other; until then memory is left alone. [`VirtioMmio::next_event`] says when.
//! Not modelled: the legacy interface, packed queues, indirect descriptors, event indices, shared
//! memory regions.

mod balloon;
mod block;
mod mmio;
mod queue;
#[cfg(test)]
mod tests;

pub use balloon::{Balloon, BalloonSize};
pub use block::{Block, SECTOR};
pub use mmio::VirtioMmio;
pub use queue::{Chain, Segment};

use crate::Reading;

/// What a device reaches of the machine as a bus master, at guest-physical addresses.
pub trait Dma {
    /// Whether all of this is RAM.
    fn is_ram(&self, address: u64, len: u64) -> bool;

    /// Reads RAM.
    fn read(&mut self, address: u64, bytes: &mut [u8]);

    /// Writes RAM.
    fn write(&mut self, address: u64, bytes: &[u8]);

    /// The guest gives up the page at this address: it holds zeros from now on.
    fn release(&mut self, page: u64);

    /// Reads the medium of the machine's disk, from this byte on; it is there.
    fn read_medium(&mut self, at: u64, bytes: &mut [u8]);

    /// Writes the medium of the machine's disk.
    fn write_medium(&mut self, at: u64, bytes: &[u8]);
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Bytes that the device has written into the chain.
    pub written: u32,
    /// How long it is busy with it, in nanoseconds. What a request costs the host takes time of the guest.
    pub ns: u64,
}

/// A device behind [`VirtioMmio`].
pub trait VirtioDevice {
    /// The device's number (virtio 1.2 §5, "Device Types").
    const ID: u32;
    /// How many queues it has.
    const QUEUES: usize;
    /// What it offers beyond `VIRTIO_F_VERSION_1`.
    const FEATURES: u64;
    /// How long it takes to come to a request, in nanoseconds; not zero.
    const DELAY_NS: u64;

    /// The driver starts anew.
    fn reset(&mut self);

    /// Reads a byte of the configuration; zero beyond its end.
    fn config(&self, offset: usize) -> u8;

    /// Writes a byte of the configuration.
    fn set_config(&mut self, offset: usize, value: u8) {
        let _ = (offset, value);
    }

    /// What it shows of itself beside the registers of every device.
    fn inspect(&self) -> Vec<Reading>;

    /// Does a request of a queue.
    fn serve(&mut self, queue: usize, chain: &Chain, dma: &mut dyn Dma) -> Served;
}
