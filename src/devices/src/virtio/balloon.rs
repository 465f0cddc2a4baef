//! The memory balloon: pages that the guest gives back to its host.
//!
//! The host says how many pages it wants, the driver takes as many from its own system and tells
//! which: *inflating* the balloon. *Deflating* it, the driver takes them back.
//!
//! Source: virtio 1.2 §5.5, "Traditional Memory Balloon Device".
//! Not modelled: statistics, free page hinting and reporting.

use serde::{Deserialize, Serialize};

use super::queue::Chain;
use super::{Dma, Served, VirtioDevice};
use crate::Reading;

/// Pages of the balloon have 4 KiB, whatever the guest's have.
const PAGE_BITS: u32 = 12;
/// `VIRTIO_BALLOON_F_DEFLATE_ON_OOM`: the guest may take pages before it has to end a program.
const DEFLATE_ON_OOM: u64 = 1 << 2;
/// The queue that inflates; the other one deflates.
const INFLATE: usize = 0;
/// How long it takes to take a page.
const PAGE_NS: u64 = 1_000;
/// Page numbers that are read at a time.
const PART: usize = 256;
/// The most page numbers of one request. Linux sends 256.
const MOST: usize = 16 << 10;

/// How large a balloon is, in pages of 4 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalloonSize {
    /// What the host wants.
    pub wanted: u32,
    /// What the driver says it is.
    pub actual: u32,
}

/// The balloon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balloon {
    size: BalloonSize,
}

impl Balloon {
    /// Its size.
    #[must_use]
    pub fn size(&self) -> BalloonSize {
        self.size
    }

    /// The host wants so many pages from now on.
    pub fn want(&mut self, pages: u32) {
        self.size.wanted = pages;
    }
}

impl VirtioDevice for Balloon {
    const ID: u32 = 5;
    const QUEUES: usize = 2;
    const FEATURES: u64 = DEFLATE_ON_OOM;
    const DELAY_NS: u64 = 10_000;

    /// What the host wants stays.
    fn reset(&mut self) {
        self.size.actual = 0;
    }

    /// `num_pages` and `actual`.
    fn config(&self, offset: usize) -> u8 {
        let BalloonSize { wanted, actual } = self.size;
        let bytes = (u64::from(actual) << 32 | u64::from(wanted)).to_le_bytes();
        bytes.get(offset).copied().unwrap_or(0)
    }

    fn set_config(&mut self, offset: usize, value: u8) {
        let mut bytes = self.size.actual.to_le_bytes();
        if let Some(byte) = offset.checked_sub(4).and_then(|at| bytes.get_mut(at)) {
            *byte = value;
            self.size.actual = u32::from_le_bytes(bytes);
        }
    }

    fn inspect(&self) -> Vec<Reading> {
        let BalloonSize { wanted, actual } = self.size;
        let pages = |pages| format!("{pages} pages");
        vec![Reading::new("num_pages", pages(wanted)), Reading::new("actual", pages(actual))]
    }

    /// The numbers of pages, 32 bits each.
    fn serve(&mut self, queue: usize, chain: &Chain, dma: &mut dyn Dma) -> Served {
        if queue != INFLATE {
            // A page that is taken back is there as soon as the guest touches it.
            return Served::default();
        }
        let mut left = MOST;
        for segment in &chain.readable {
            let mut at = 0;
            while at + 4 <= u64::from(segment.len) && left > 0 {
                let mut bytes = [0; 4 * PART];
                let count = ((u64::from(segment.len) - at) / 4).min(PART as u64) as usize;
                let count = count.min(left);
                dma.read(segment.address + at, &mut bytes[..4 * count]);
                for number in bytes[..4 * count].chunks_exact(4) {
                    let number = u32::from_le_bytes([number[0], number[1], number[2], number[3]]);
                    dma.release(u64::from(number) << PAGE_BITS);
                }
                at += 4 * count as u64;
                left -= count;
            }
        }
        Served { written: 0, ns: (MOST - left) as u64 * PAGE_NS }
    }
}
