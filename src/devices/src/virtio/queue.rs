//! The split virtqueue: descriptors, what the driver has made available, what the device has used.
//!
//! Source: virtio 1.2 §2.7, "Split Virtqueues".

use serde::{Deserialize, Serialize};

use super::Dma;

/// The most descriptors that a queue can have.
pub(super) const MAX_SIZE: u16 = 256;
/// `VIRTQ_DESC_F_NEXT`, `VIRTQ_DESC_F_WRITE`.
const NEXT: u16 = 1;
const WRITE: u16 = 2;
/// `VIRTQ_AVAIL_F_NO_INTERRUPT`.
const NO_INTERRUPT: u16 = 1;
const DESCRIPTOR_BYTES: u64 = 16;

/// A queue as the driver has set it up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Queue {
    /// Descriptors: a power of two.
    pub(super) size: u16,
    pub(super) ready: bool,
    /// Where the descriptor area, the driver area and the device area lie.
    pub(super) areas: [u64; 3],
    /// The place in the driver's ring that is looked at next.
    next_available: u16,
    next_used: u16,
}

/// The driver has set a queue up in a way that no device can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// A piece of memory that belongs to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub(super) address: u64,
    pub(super) len: u32,
}

/// A request: what the device reads, then what it writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    head: u16,
    pub(super) readable: Vec<Segment>,
    pub(super) writable: Vec<Segment>,
}

impl Chain {
    /// Reads the first bytes of what the device reads, as many as there are.
    pub(super) fn read(&self, dma: &mut dyn Dma, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        for segment in &self.readable {
            let part = (segment.len as usize).min(bytes.len() - done);
            dma.read(segment.address, &mut bytes[done..done + part]);
            done += part;
        }
        done
    }

    /// Bytes that the device reads.
    pub(super) fn readable_bytes(&self) -> u64 {
        self.readable.iter().map(|segment| u64::from(segment.len)).sum()
    }

    /// Bytes that the device writes.
    pub(super) fn writable_bytes(&self) -> u64 {
        self.writable.iter().map(|segment| u64::from(segment.len)).sum()
    }
}

fn read_u16(dma: &mut dyn Dma, address: u64) -> u16 {
    let mut bytes = [0; 2];
    dma.read(address, &mut bytes);
    u16::from_le_bytes(bytes)
}

impl Queue {
    /// Begins anew, or stops.
    pub(super) fn set_ready(&mut self, ready: bool) {
        if ready && !self.ready {
            (self.next_available, self.next_used) = (0, 0);
        }
        self.ready = ready;
    }

    /// Whether its three areas are RAM.
    pub(super) fn is_sound(&self, dma: &dyn Dma) -> bool {
        let size = u64::from(self.size);
        let [descriptors, driver, device] = self.areas;
        size.is_power_of_two()
            && self.size <= MAX_SIZE
            && descriptors.is_multiple_of(16)
            && driver.is_multiple_of(2)
            && device.is_multiple_of(4)
            && dma.is_ram(descriptors, size * DESCRIPTOR_BYTES)
            && dma.is_ram(driver, 6 + 2 * size)
            && dma.is_ram(device, 6 + 8 * size)
    }

    /// Whether the driver has made available what was not taken yet.
    pub(super) fn has_more(&self, dma: &mut dyn Dma) -> bool {
        self.ready && self.is_sound(dma) && read_u16(dma, self.areas[1] + 2) != self.next_available
    }

    /// Takes the next request, if there is one.
    pub(super) fn take(&mut self, dma: &mut dyn Dma) -> Result<Option<Chain>, Broken> {
        if !self.ready {
            return Ok(None);
        }
        if !self.is_sound(dma) {
            return Err(Broken);
        }
        let waiting = read_u16(dma, self.areas[1] + 2).wrapping_sub(self.next_available);
        if waiting == 0 {
            return Ok(None);
        }
        if waiting > self.size {
            return Err(Broken);
        }
        let slot = u64::from(self.next_available % self.size);
        let head = read_u16(dma, self.areas[1] + 4 + 2 * slot);
        let chain = self.follow(dma, head)?;
        self.next_available = self.next_available.wrapping_add(1);
        Ok(Some(chain))
    }

    /// Follows a chain of descriptors from its head.
    fn follow(&self, dma: &mut dyn Dma, head: u16) -> Result<Chain, Broken> {
        let mut chain = Chain { head, ..Chain::default() };
        let mut index = head;
        // A chain without an end leads in a circle: it cannot have more descriptors than there are.
        for _ in 0..self.size {
            if index >= self.size {
                return Err(Broken);
            }
            let mut bytes = [0; DESCRIPTOR_BYTES as usize];
            dma.read(self.areas[0] + u64::from(index) * DESCRIPTOR_BYTES, &mut bytes);
            let [a0, a1, a2, a3, a4, a5, a6, a7, l0, l1, l2, l3, f0, f1, n0, n1] = bytes;
            let address = u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]);
            let len = u32::from_le_bytes([l0, l1, l2, l3]);
            let flags = u16::from_le_bytes([f0, f1]);
            if len > 0 && !dma.is_ram(address, u64::from(len)) {
                return Err(Broken);
            }
            if flags & WRITE != 0 {
                chain.writable.push(Segment { address, len });
            } else if chain.writable.is_empty() {
                chain.readable.push(Segment { address, len });
            } else {
                return Err(Broken);
            }
            if flags & NEXT == 0 {
                return Ok(chain);
            }
            index = u16::from_le_bytes([n0, n1]);
        }
        Err(Broken)
    }

    /// Gives a request back. Returns whether the driver wants an interrupt for it.
    pub(super) fn give_back(&mut self, dma: &mut dyn Dma, chain: &Chain, written: u32) -> bool {
        let [_, driver, device] = self.areas;
        let at = device + 4 + 8 * u64::from(self.next_used % self.size);
        dma.write(at, &u32::from(chain.head).to_le_bytes());
        dma.write(at + 4, &written.to_le_bytes());
        self.next_used = self.next_used.wrapping_add(1);
        dma.write(device + 2, &self.next_used.to_le_bytes());
        read_u16(dma, driver) & NO_INTERRUPT == 0
    }
}
