//! The code cache: guest code decoded once, as blocks of operations.
//!
//! A block lies in one page of the backing and is keyed by where its first byte is and by the
//! [`Mode`]. Each page knows at 64-byte granularity which of its lines hold cached code; a write to
//! such a line drops the blocks that touch it. All operations live in one arena of fixed size
//! that never moves; when it is full, everything is dropped and decoding starts over.
//!
//! A dropped block stays in the arena with a first operation that only leaves the chain, so a
//! link that still leads to it does no harm. Links are void as a whole when translations change:
//! each carries a stamp. Links of supervisor code carry one that outlives a load of CR3 as long as
//! all of that code lies in global pages, so a context switch costs user code its links only.

use crate::exec::ExecFn;
use crate::fast::{Link, Op, gone};
use crate::vcpu::Mode;
use cutaway_isa::Instruction;
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Operations the arena holds.
const ARENA: usize = 256 * 1024;
/// Room that one block may need: its operations and the closing jump.
pub(crate) const BLOCK_MAX: usize = 32;
/// In a stamp: no link and no entry of the jump cache may carry it.
pub(crate) const UNLINKED: u64 = 1 << 63;
/// Entries of the jump cache.
const JUMPS: usize = 4096;

/// The part of an operation that the fast path does not touch.
pub(crate) struct Cold {
    pub(crate) instruction: Instruction,
    /// The complete interpreter's function for it.
    pub(crate) run: ExecFn,
}

/// One entry of the jump cache.
#[derive(Clone, Copy)]
pub(crate) struct Jump {
    pub(crate) rip: u64,
    pub(crate) stamp: u64,
    pub(crate) first: u32,
}

struct Block {
    /// Backing offset of the first byte.
    start: usize,
    bytes: u16,
    mode: Mode,
    /// Index of its first operation.
    first: u32,
}

/// Cheap and fixed: lookups must not depend on a random seed.
#[derive(Default)]
pub(crate) struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }
    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 29;
    }
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}

pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Multiply>>;

/// A page with cached code, now or until recently: code that is rewritten in place comes and goes
/// with every write, and the way of a write to it should not change each time.
#[derive(Default)]
struct Page {
    /// A bit for each 64-byte line with code.
    lines: u64,
    blocks: Vec<Block>,
    /// Writes in a row that found no code at all.
    idle: u8,
}

/// So many writes into a page that held code, and it counts as data.
const IDLE_WRITES: u8 = 32;

/// All cached code of a vCPU.
pub(crate) struct Blocks {
    ops: Vec<Op>,
    cold: Vec<Cold>,
    links: Vec<[Link; 2]>,
    jumps: Box<[Jump; JUMPS]>,
    /// Key: backing offset and mode. Value: index of the first operation.
    index: Map<u64, u32>,
    pages: Map<usize, Page>,
    generation: Generation,
    /// The last generation there was, in any world.
    newest: u64,
    /// The generation in which everything was dropped last.
    cleared: u64,
    /// Blocks decoded so far, for statistics.
    pub(crate) decoded: u64,
}

/// When the translations that links rest on changed last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Generation {
    /// Of any page.
    any: u64,
    /// Of global pages.
    global: u64,
}

fn key(start: usize, mode: Mode) -> u64 {
    (start as u64) << 16 | u64::from(mode.bits())
}

/// The 64-byte lines of a page that a range of it touches.
fn lines(within_page: usize, len: usize) -> u64 {
    let (first, last) = (within_page / 64, (within_page + len.max(1) - 1).min(4095) / 64);
    (u64::MAX >> (63 - last)) & (u64::MAX << first)
}

impl Blocks {
    pub(crate) fn new() -> Self {
        Self {
            ops: Vec::with_capacity(ARENA),
            cold: Vec::with_capacity(ARENA),
            links: Vec::with_capacity(ARENA),
            jumps: Box::new([Jump { rip: 0, stamp: u64::MAX - 1, first: 0 }; JUMPS]),
            index: Map::default(),
            pages: Map::default(),
            generation: Generation::default(),
            newest: 0,
            cleared: 0,
            decoded: 0,
        }
    }

    /// What a link must carry to be followed in this mode now. `global` says that the code lies
    /// in pages that a load of CR3 does not affect.
    pub(crate) fn stamp(&self, mode: Mode, global: bool) -> u64 {
        let generation = if global { self.generation.global } else { self.generation.any };
        // Both count the same generations, so the stamps must tell which of them it is.
        let generation = generation << 17 | u64::from(global) << 16;
        // A branch may cross the limit, so every block is entered through the outer loop.
        let unlinked = if mode.contains(Mode::LIMITED) { UNLINKED } else { 0 };
        unlinked | generation | u64::from(mode.bits())
    }

    /// Voids the links, keeping the blocks: translations changed, of global pages too if `global`.
    pub(crate) fn unlink(&mut self, global: bool) {
        self.newest += 1;
        self.generation.any = self.newest;
        if global {
            self.generation.global = self.newest;
        }
    }

    /// Goes on with the translations of another world. Returns the present generation.
    pub(crate) fn exchange(&mut self, other: Generation) -> Generation {
        let present = std::mem::replace(&mut self.generation, other);
        // The default generation is of a world that was never in, or has forgotten its pages.
        if other.global <= self.cleared {
            self.unlink(true);
        }
        present
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.unlink(true);
        self.cleared = self.newest - 1;
        self.ops.clear();
        self.cold.clear();
        self.links.clear();
        self.index.clear();
        self.pages.clear();
    }

    /// Whether the page of this backing offset holds cached code, or did until recently: writes to
    /// it must be told by [`Self::written`].
    pub(crate) fn has_code(&self, offset: usize) -> bool {
        self.pages.contains_key(&(offset >> 12))
    }

    pub(crate) fn find(&self, start: usize, mode: Mode) -> Option<u32> {
        self.index.get(&key(start, mode)).copied()
    }

    /// Whether another block of the largest size fits.
    pub(crate) fn has_room(&self) -> bool {
        self.ops.len() + BLOCK_MAX + 1 < ARENA && self.links.len() + 1 < ARENA
    }

    /// Adds a block. Returns its first operation and whether `has_code` of its page was false.
    pub(crate) fn insert(
        &mut self,
        start: usize,
        bytes: usize,
        mode: Mode,
        block: &mut Vec<(Op, Cold)>,
    ) -> (u32, bool) {
        let first = self.ops.len() as u32;
        for (op, cold) in block.drain(..) {
            self.ops.push(op);
            self.cold.push(cold);
        }
        self.index.insert(key(start, mode), first);
        let fresh = !self.has_code(start);
        let page = self.pages.entry(start >> 12).or_default();
        page.idle = 0;
        page.lines |= lines(start & 0xfff, bytes);
        page.blocks.push(Block { start, bytes: bytes as u16, mode, first });
        self.decoded += 1;
        (first, fresh)
    }

    /// Room for the two links of a block's last operation.
    pub(crate) fn new_links(&mut self) -> i32 {
        self.links.push([Link::none(), Link::none()]);
        (self.links.len() - 1) as i32
    }

    /// Tells of a write. Returns whether blocks were dropped.
    pub(crate) fn written(&mut self, offset: usize, size: usize) -> bool {
        let Some(page) = self.pages.get_mut(&(offset >> 12)) else { return false };
        let hit = lines(offset & 0xfff, size);
        if page.lines & hit == 0 {
            if page.lines == 0 {
                page.idle += 1;
                if page.idle == IDLE_WRITES {
                    self.pages.remove(&(offset >> 12));
                }
            }
            return false;
        }
        let mut rest = 0;
        let (index, ops) = (&mut self.index, &mut self.ops);
        page.blocks.retain(|block| {
            let own = lines(block.start & 0xfff, usize::from(block.bytes));
            let keeps = own & hit == 0;
            if keeps {
                rest |= own;
            } else {
                index.remove(&key(block.start, block.mode));
                let first = &mut ops[block.first as usize];
                (first.run, first.left) = (gone, 0);
            }
            keeps
        });
        page.lines = rest;
        true
    }

    /// Whether the block at `first` was dropped.
    pub(crate) fn is_gone(&self, first: u32) -> bool {
        self.ops[first as usize].left == 0
    }

    pub(crate) fn op(&self, index: u32) -> &Op {
        &self.ops[index as usize]
    }

    pub(crate) fn cold(&self, index: u32) -> &Cold {
        &self.cold[index as usize]
    }

    /// Whether a pseudo-operation stands behind a block's last instruction.
    pub(crate) fn follows(&self, index: u32) -> bool {
        self.ops.get(index as usize + 1).is_some_and(|op| op.len == 0)
    }

    pub(crate) fn set_link(&self, links: i32, which: usize, stamp: u64, first: u32) {
        let link = &self.links[links as usize][which];
        link.stamp.set(stamp);
        link.first.set(first);
    }

    pub(crate) fn set_jump(&mut self, rip: u64, stamp: u64, first: u32) {
        self.jumps[jump_index(rip)] = Jump { rip, stamp, first };
    }

    #[inline(always)]
    pub(crate) fn jump(&self, rip: u64, stamp: u64) -> Option<u32> {
        let jump = &self.jumps[jump_index(rip)];
        (jump.rip == rip && jump.stamp == stamp).then_some(jump.first)
    }

    #[inline(always)]
    pub(crate) fn ops_start(&self) -> *const Op {
        self.ops.as_ptr()
    }

    #[inline(always)]
    pub(crate) fn links_start(&self) -> *const [Link; 2] {
        self.links.as_ptr()
    }

    /// The index of an operation of the arena.
    pub(crate) fn index_of(&self, op: *const Op) -> u32 {
        ((op as usize - self.ops.as_ptr() as usize) / size_of::<Op>()) as u32
    }
}

#[inline(always)]
fn jump_index(rip: u64) -> usize {
    (rip ^ rip >> 12) as usize & (JUMPS - 1)
}

impl Link {
    fn none() -> Self {
        Self { stamp: Cell::new(u64::MAX - 1), first: Cell::new(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_touches_its_lines() {
        assert_eq!(lines(0, 1), 1);
        assert_eq!(lines(63, 2), 3);
        assert_eq!(lines(4095, 1), 1 << 63);
        assert_eq!(lines(0, 4096), u64::MAX);
    }
}
