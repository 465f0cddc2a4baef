//! The block device: a disk of sectors of 512 bytes.
//!
//! The medium can be taken out and put in while the guest runs; its capacity is zero without one.
//!
//! Source: virtio 1.2 §5.2, "Block Device".
//! Not modelled: discard, write zeroes, zones, more than one queue. The medium has no cache, so a
//! flush has nothing to do.

use serde::{Deserialize, Serialize};

use super::queue::Chain;
use super::{Dma, Served, VirtioDevice};
use crate::Reading;

/// Bytes of a sector.
pub const SECTOR: u64 = 512;
/// `VIRTIO_BLK_F_SEG_MAX`, `VIRTIO_BLK_F_FLUSH`.
const SEG_MAX: u64 = 1 << 2;
const FLUSH: u64 = 1 << 9;
/// Segments of data in a request at most; a header and a status go with them.
const SEGMENTS: u32 = 126;
/// Request types.
const TYPE_IN: u32 = 0;
const TYPE_OUT: u32 = 1;
const TYPE_FLUSH: u32 = 4;
const TYPE_GET_ID: u32 = 8;
/// What became of a request.
const OK: u8 = 0;
const IOERR: u8 = 1;
const UNSUPP: u8 = 2;
const HEADER_BYTES: u64 = 16;
const ID: [u8; 20] = *b"cutaway scratch disk";
/// Bytes that go over the bus in a nanosecond.
const BYTES_PER_NS: u64 = 4;
/// The most bytes of a request, which bounds the work of one.
const MOST: u64 = 16 << 20;
/// Bytes that are copied at a time.
const PART: usize = 4096;

/// The disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Bytes of the medium, a multiple of [`SECTOR`]; zero without one.
    medium: u64,
}

impl Block {
    /// With a medium of so many bytes.
    #[must_use]
    pub fn new(medium: u64) -> Self {
        Self { medium }
    }

    /// Bytes of the medium.
    #[must_use]
    pub fn medium(&self) -> u64 {
        self.medium
    }

    /// Another medium, or none, which has no bytes.
    pub fn set_medium(&mut self, bytes: u64) {
        self.medium = bytes;
    }

    /// Does the request with this header; the result is its status, and the bytes it has written before
    /// that.
    fn transfer(&self, header: [u8; 16], chain: &Chain, dma: &mut dyn Dma) -> (u8, u32) {
        let [t0, t1, t2, t3, _, _, _, _, sector @ ..] = header;
        let kind = u32::from_le_bytes([t0, t1, t2, t3]);
        let bytes = match kind {
            TYPE_OUT => chain.readable_bytes() - HEADER_BYTES,
            _ => chain.writable_bytes() - 1,
        };
        let start = u64::from_le_bytes(sector).checked_mul(SECTOR);
        let end = start.and_then(|start| start.checked_add(bytes));
        let fits = end.is_some_and(|end| end <= self.medium)
            && bytes <= MOST
            && bytes.is_multiple_of(SECTOR);
        match kind {
            TYPE_IN | TYPE_OUT if !fits => (IOERR, 0),
            TYPE_IN => {
                let start = start.unwrap_or_default();
                let mut at = start;
                each_part(&chain.writable, 0, bytes, |address, len| {
                    let part = &mut [0; PART][..len];
                    dma.read_medium(at, part);
                    dma.write(address, part);
                    at += len as u64;
                });
                (OK, bytes as u32)
            }
            TYPE_OUT => {
                let mut at = start.unwrap_or_default();
                each_part(&chain.readable, HEADER_BYTES, bytes, |address, len| {
                    let part = &mut [0; PART][..len];
                    dma.read(address, part);
                    dma.write_medium(at, part);
                    at += len as u64;
                });
                (OK, 0)
            }
            TYPE_FLUSH => (OK, 0),
            TYPE_GET_ID => {
                let count = bytes.min(ID.len() as u64);
                let mut done = 0;
                each_part(&chain.writable, 0, count, |address, len| {
                    dma.write(address, &ID[done..done + len]);
                    done += len;
                });
                (OK, count as u32)
            }
            _ => (UNSUPP, 0),
        }
    }
}

/// Calls with address and length of each part, of `len` bytes of these segments behind the first `skip`.
fn each_part(
    segments: &[super::queue::Segment],
    mut skip: u64,
    mut len: u64,
    mut each: impl FnMut(u64, usize),
) {
    for segment in segments {
        let mut at = skip.min(segment.len.into());
        skip -= at;
        while at < u64::from(segment.len) && len > 0 {
            let part = (u64::from(segment.len) - at).min(len).min(PART as u64);
            each(segment.address + at, part as usize);
            at += part;
            len -= part;
        }
    }
}

impl VirtioDevice for Block {
    const ID: u32 = 2;
    const QUEUES: usize = 1;
    const FEATURES: u64 = SEG_MAX | FLUSH;
    const DELAY_NS: u64 = 50_000;

    fn reset(&mut self) {}

    /// `capacity` in sectors, `size_max`, `seg_max`.
    fn config(&self, offset: usize) -> u8 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(self.medium / SECTOR).to_le_bytes());
        bytes[12..].copy_from_slice(&SEGMENTS.to_le_bytes());
        bytes.get(offset).copied().unwrap_or(0)
    }

    fn inspect(&self) -> Vec<Reading> {
        vec![Reading::new("capacity", format!("{} sectors", self.medium / SECTOR))]
    }

    fn serve(&mut self, _queue: usize, chain: &Chain, dma: &mut dyn Dma) -> Served {
        // The last byte that the device can write takes the status.
        let Some(last) = chain.writable.last().filter(|last| last.len > 0) else {
            return Served::default();
        };
        let mut header = [0; HEADER_BYTES as usize];
        let (status, written) = match chain.read(dma, &mut header) as u64 {
            HEADER_BYTES => self.transfer(header, chain, dma),
            _ => (IOERR, 0),
        };
        dma.write(last.address + u64::from(last.len) - 1, &[status]);
        let bytes = chain.readable_bytes() + chain.writable_bytes();
        Served { written: written + 1, ns: bytes.min(MOST) / BYTES_PER_NS }
    }
}
