//! Binary translation: the guest's kernel code, block by block, into code that can run in ring 1.
//!
//! Most instructions are copied as they stand. Those that would trap or misbehave outside ring 0 become
//! sequences that act on the virtual CPU, or calls of the monitor. Branches lead from translation to
//! translation: direct ones are *chained* when both ends are there, indirect ones look their target up in a
//! table. A call of the monitor is UD2.
//!
//! Translations hold for the linear address and the frames that the code was read from; pages with
//! translated code are guarded against writes, and what a change of page tables may have moved is checked
//! again. An instruction that often traps because it writes to guarded pages is translated anew as a call-out,
//! which costs less.
//!
//! Source: Adams and Agesen, "A Comparison of Software and Hardware Techniques for x86 Virtualization"
//! (2006), §3, "Software VMM".

mod block;
mod emit;
mod rewrite;
mod window;

pub use block::Kind;
pub(crate) use block::{Block, Call, Item};
pub(crate) use window::{ALIAS_PAGE, WINDOW_BYTES, variable};

use cutaway_cpu::System;
use cutaway_isa::{CodeSize, Instruction, decode};
use cutaway_memory::{GuestMemory, PAGE_SIZE, PageKind};
use emit::Code;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use window::{CACHE, CACHE_END, TABLE, TABLE_ENTRIES};

/// The most instructions of a block.
const BLOCK_MAX: usize = 24;
/// More than the translation of a block can have.
const ROOM: u32 = 4096;
/// So many traps, and an instruction becomes a call-out.
const TRAPS: u8 = 8;

/// What was translated, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranslationCounts {
    /// Blocks.
    pub blocks: u64,
    /// Instructions, by [`Kind`].
    pub instructions: [u64; 4],
    /// Direct branches that were made to lead from block to block.
    pub chained: u64,
    /// Indirect branches whose target was not in the table.
    pub lookups: u64,
    /// Blocks dropped because the guest changed its code.
    pub dropped: u64,
    /// Instructions translated anew because they trapped often.
    pub adapted: u64,
    /// Times that everything was dropped: the cache was full, or the window had to move.
    pub flushes: u64,
}

/// Part of a block beside its translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// The guest's address of the instruction; none where an indirect branch leads on.
    pub guest: Option<u64>,
    /// How it was translated.
    pub kind: Kind,
    /// Linear address of the translation.
    pub cache: u64,
    /// The translation.
    pub bytes: Vec<u8>,
}

/// Where execution in the cache stands, in the guest's terms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// The guest's EIP.
    pub(crate) guest: u32,
    pub(crate) is_start: bool,
    pub(crate) in_shadow: bool,
    pub(crate) call: Option<Call>,
}

/// The translation cache of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Translator {
    /// Linear address of the window.
    window: Option<u32>,
    /// Where the window's memory begins, as an offset of the backing.
    memory: u64,
    /// Where the next translation goes.
    next: u32,
    /// The translations in use, by the guest's address.
    entries: BTreeMap<u32, u32>,
    /// All that lie in the cache, by their own address.
    blocks: BTreeMap<u32, Block>,
    /// Blocks in use by the frames of their code.
    by_frame: BTreeMap<u64, BTreeSet<u32>>,
    /// Linear pages of translated code, and their frames.
    pages: BTreeMap<u32, u64>,
    traps: BTreeMap<u32, u8>,
    adapted: BTreeSet<u32>,
    /// Raised when `pages` grows.
    pub(crate) generation: u64,
    pub(crate) counts: TranslationCounts,
}

impl Translator {
    /// An empty one, whose window's memory begins at this offset of the backing.
    pub(crate) fn new(memory: u64) -> Self {
        Self {
            window: None,
            memory,
            next: CACHE,
            entries: BTreeMap::new(),
            blocks: BTreeMap::new(),
            by_frame: BTreeMap::new(),
            pages: BTreeMap::new(),
            traps: BTreeMap::new(),
            adapted: BTreeSet::new(),
            generation: 0,
            counts: TranslationCounts::default(),
        }
    }

    /// Whether it holds together: what it says of itself comes out of a file.
    pub(crate) fn fits(&self, memory: u64) -> bool {
        let window = self.window.unwrap_or_default();
        let inside = |at: u32| at.wrapping_sub(window) < CACHE_END;
        self.memory == memory
            && u64::from(window) % WINDOW_BYTES == 0
            && (CACHE..=CACHE_END).contains(&self.next)
            && self.blocks.iter().all(|(&at, block)| inside(at) && block.bytes <= ROOM)
            && self.entries.values().all(|at| self.blocks.contains_key(at))
            && self.blocks.values().flat_map(|block| &block.items).all(|item| match item.call {
                Some(Call::Chain { place, .. }) => place.wrapping_sub(window) <= CACHE_END - 4,
                _ => true,
            })
    }

    /// Linear address of the window, if it has a place.
    pub(crate) fn window(&self) -> Option<u32> {
        self.window
    }

    /// Makes sure that the window lies where the guest has nothing. Returns whether it moved, or
    /// nothing if there is no place for it.
    pub(crate) fn settle(&mut self, memory: &mut GuestMemory, guest: &System) -> Option<bool> {
        if let Some(window) = self.window
            && window::is_free(memory, guest, u64::from(window))
        {
            return Some(false);
        }
        self.window = Some(window::find(memory, guest)?);
        self.flush(memory);
        Some(true)
    }

    /// Drops everything.
    pub(crate) fn flush(&mut self, memory: &mut GuestMemory) {
        self.entries.clear();
        self.blocks.clear();
        self.by_frame.clear();
        self.pages.clear();
        self.next = CACHE;
        self.counts.flushes += 1;
        for index in 0..TABLE_ENTRIES {
            // An address with other low bits, which no lookup here has.
            self.write(memory, TABLE + index * 8, &(index ^ 1).wrapping_neg().to_le_bytes());
        }
        let Some(window) = self.window else { return };
        let start = window + CACHE;
        let block = rewrite::indirect(start, window);
        self.put(memory, start, block.0, block.1);
    }

    /// Bytes into the window.
    fn write(&self, memory: &mut GuestMemory, offset: u32, bytes: &[u8]) {
        let at = (self.memory + u64::from(offset)) as usize;
        memory.mark_dirty(at);
        memory.mark_dirty(at + bytes.len() - 1);
        memory.backing().write(at, bytes);
    }

    /// The offset of an address in its block, and that of the instruction's translation it is in.
    pub(crate) fn offset(&self, at: u32) -> Option<(u32, u32)> {
        let (&start, block) = self.blocks.range(..=at).next_back()?;
        Some((at - start, block.item(at - start)?.at))
    }

    /// A variable of the window.
    pub(crate) fn variable(&self, memory: &GuestMemory, variable: u32) -> u32 {
        memory.backing().load((self.memory + u64::from(variable)) as usize)
    }

    pub(crate) fn set_variable(&self, memory: &mut GuestMemory, variable: u32, value: u32) {
        self.write(memory, variable, &value.to_le_bytes());
    }

    fn put(&mut self, memory: &mut GuestMemory, at: u32, bytes: Vec<u8>, block: Block) {
        let offset = at.wrapping_sub(self.window.unwrap_or_default());
        self.write(memory, offset, &bytes);
        self.next = (offset + bytes.len() as u32).next_multiple_of(16);
        self.blocks.insert(at, block);
    }

    /// Where the translation of the code at a guest's address is, if there is one.
    pub(crate) fn entry(&self, guest: u32) -> Option<u32> {
        self.entries.get(&guest).copied()
    }

    /// Translates the code at a guest's address, which can be fetched. Returns where it is, and what
    /// frames have to be guarded; nothing if there is no instruction whole.
    pub(crate) fn translate(
        &mut self,
        memory: &mut GuestMemory,
        guest: &System,
        address: u32,
    ) -> Option<(u32, Vec<u64>)> {
        let window = self.window?;
        if self.next + ROOM > CACHE_END {
            self.flush(memory);
        }
        let (instructions, frames) = self.read(memory, guest, address)?;
        let start = window + self.next;
        let mut code = Code::new(start);
        let mut rewriter = rewrite::Rewriter::new(&mut code, window);
        for instruction in &instructions {
            let forced = self.adapted.contains(&(instruction.ip() as u32));
            let bytes = bytes_of(memory, guest, instruction);
            let kind = rewriter.instruction(instruction, &bytes, forced);
            self.counts.instructions[kind as usize] += 1;
        }
        let items = rewriter.finish();
        let guest_bytes = instructions.iter().map(|of| of.len() as u32).sum();
        let bytes = code.bytes.len() as u32;
        let guarded: Vec<u64> = frames.values().copied().collect();
        let frames_of = [guarded[0], *guarded.last().unwrap_or(&guarded[0])];
        let block =
            Block { guest: address, guest_bytes, bytes, frames: frames_of, items, stale: false };
        self.put(memory, start, code.bytes, block);
        self.entries.insert(address, start);
        for (&page, &frame) in &frames {
            self.by_frame.entry(frame).or_default().insert(start);
            if self.pages.insert(page, frame) != Some(frame) {
                self.generation += 1;
            }
        }
        self.counts.blocks += 1;
        Some((start, guarded))
    }

    /// The instructions of a block, and the frames that they lie in.
    fn read(
        &self,
        memory: &GuestMemory,
        guest: &System,
        address: u32,
    ) -> Option<(Vec<Instruction>, BTreeMap<u32, u64>)> {
        let mut frames = BTreeMap::new();
        let mut bytes = Vec::new();
        // Two pages at most, and no more than a block can need.
        let end = u64::from(address).next_multiple_of(PAGE_SIZE) + PAGE_SIZE;
        let limit = end.min(u64::from(address) + (BLOCK_MAX * cutaway_isa::MAX_LENGTH) as u64);
        for linear in u64::from(address)..limit.min(1 << 32) {
            let Some(physical) = guest.physical_of(memory, linear) else { break };
            if memory.page(physical) == PageKind::Device {
                break;
            }
            let mut byte = [0];
            memory.read(physical, &mut byte);
            bytes.push(byte[0]);
        }
        let mut instructions = Vec::new();
        let mut at = 0;
        while instructions.len() < BLOCK_MAX {
            let ip = address.wrapping_add(at as u32);
            let Ok(instruction) = decode(CodeSize::Bits32, &bytes[at..], u64::from(ip)) else {
                break;
            };
            at += instruction.len();
            instructions.push(instruction);
            if rewrite::ends_block(&instruction, self.adapted.contains(&ip)) {
                break;
            }
        }
        if instructions.is_empty() {
            return None;
        }
        for linear in [address, address.wrapping_add(at as u32 - 1)] {
            let physical = guest.physical_of(memory, u64::from(linear))?;
            let (PageKind::Ram(frame) | PageKind::Rom(frame)) = memory.page(physical) else {
                return None;
            };
            frames.insert(linear & !0xfff, frame as u64);
        }
        Some((instructions, frames))
    }

    /// Where in the guest an address of the cache is.
    pub(crate) fn position(&self, memory: &GuestMemory, at: u32) -> Option<Position> {
        let (&start, block) = self.blocks.range(..=at).next_back()?;
        let offset = at - start;
        if offset >= block.bytes {
            return None;
        }
        if offset == 0 && block.stale {
            let call = Some(Call::Continue);
            return Some(Position { guest: block.guest, is_start: true, in_shadow: false, call });
        }
        let item: &Item = block.item(offset)?;
        let exact = item.at == offset;
        let guest = match item.guest {
            Some(guest) => guest,
            None => self.variable(memory, variable::TARGET),
        };
        Some(Position {
            guest,
            is_start: exact && item.is_start,
            in_shadow: item.in_shadow,
            call: item.call.filter(|_| exact),
        })
    }

    /// Makes a direct branch lead to a translation.
    pub(crate) fn chain(&mut self, memory: &mut GuestMemory, place: u32, target: u32) -> u64 {
        let offset = place.wrapping_sub(self.window.unwrap_or_default());
        self.write(memory, offset, &target.wrapping_sub(place + 4).to_le_bytes());
        self.counts.chained += 1;
        self.memory + u64::from(offset)
    }

    /// Puts a translation into the table for indirect branches.
    pub(crate) fn remember(&mut self, memory: &mut GuestMemory, guest: u32, target: u32) {
        let offset = TABLE + (guest & 0xffff) * 8;
        self.write(memory, offset, &guest.wrapping_neg().to_le_bytes());
        self.write(memory, offset + 4, &target.to_le_bytes());
        self.counts.lookups += 1;
    }

    /// Whether a frame holds translated code.
    pub(crate) fn has_code(&self, frame: u64) -> bool {
        self.by_frame.contains_key(&frame)
    }

    /// The guest wrote into a frame: drops the blocks it touched. Returns the places in the backing
    /// that changed for it.
    pub(crate) fn written(&mut self, memory: &mut GuestMemory, offset: u64, len: u64) -> Vec<u64> {
        let frame = offset & !(PAGE_SIZE - 1);
        let Some(starts) = self.by_frame.get(&frame).cloned() else { return Vec::new() };
        let (first, last) = (offset & 0xfff, (offset & 0xfff) + len.max(1) - 1);
        let mut changed = Vec::new();
        for start in starts {
            let Some(block) = self.blocks.get(&start) else { continue };
            let begin = u64::from(block.guest & 0xfff);
            let end = begin + u64::from(block.guest_bytes);
            // A block of two pages begins in its first frame.
            let within = if frame == block.frames[0] {
                first < end && begin <= last
            } else {
                end > PAGE_SIZE && first < end - PAGE_SIZE
            };
            if within {
                changed.push(self.drop_block(memory, start));
                self.counts.dropped += 1;
            }
        }
        changed
    }

    /// Takes a block out of use: who still enters it calls the monitor.
    fn drop_block(&mut self, memory: &mut GuestMemory, start: u32) -> u64 {
        let offset = start.wrapping_sub(self.window.unwrap_or_default());
        self.write(memory, offset, &[0x0f, 0x0b]);
        if let Some(block) = self.blocks.get_mut(&start) {
            block.stale = true;
            let (guest, frames) = (block.guest, block.frames);
            if self.entries.get(&guest) == Some(&start) {
                self.entries.remove(&guest);
            }
            for frame in frames {
                if let Some(starts) = self.by_frame.get_mut(&frame) {
                    starts.remove(&start);
                    if starts.is_empty() {
                        self.by_frame.remove(&frame);
                    }
                }
            }
        }
        self.memory + u64::from(offset)
    }

    /// An instruction in the cache trapped because of what it writes to. Returns the place in the backing that
    /// changed, if it is to be translated anew.
    pub(crate) fn trapped(&mut self, memory: &mut GuestMemory, at: u32, guest: u32) -> Option<u64> {
        let traps = self.traps.entry(guest).or_default();
        *traps = traps.saturating_add(1);
        if *traps < TRAPS || !self.adapted.insert(guest) {
            return None;
        }
        self.counts.adapted += 1;
        let (&start, _) = self.blocks.range(..=at).next_back()?;
        Some(self.drop_block(memory, start))
    }

    /// Whether the instruction at a guest's address became a call-out because it trapped.
    pub(crate) fn is_adapted(&self, guest: u32) -> bool {
        self.adapted.contains(&guest)
    }

    /// Whether all pages of translated code are where they were.
    pub(crate) fn is_in_place(&self, memory: &GuestMemory, guest: &System) -> bool {
        self.pages.iter().all(|(&page, &frame)| {
            let physical = guest.physical_of(memory, u64::from(page));
            physical.is_some_and(|physical| match memory.page(physical) {
                PageKind::Ram(offset) | PageKind::Rom(offset) => offset as u64 == frame,
                PageKind::Device => false,
            })
        })
    }

    /// Whether a range of linear addresses has translated code, or the window.
    pub(crate) fn concerns(&self, start: u64, bytes: u64) -> bool {
        let end = start.saturating_add(bytes).min(1 << 32);
        let start = start.min(u64::from(u32::MAX));
        let window = self.window.map(u64::from);
        let has_window = window.is_some_and(|at| start < at + WINDOW_BYTES && at < end);
        let pages = start as u32..=(end.max(start + 1) - 1) as u32;
        has_window || self.pages.range(pages).next().is_some()
    }

    /// The block that holds a guest's address, or begins there: what each of its instructions became.
    pub(crate) fn translation_of(&self, memory: &GuestMemory, guest: u32) -> Vec<Translated> {
        let holds = |block: &&Block| guest.wrapping_sub(block.guest) < block.guest_bytes;
        let started = self.entries.range(..=guest).rev().take(BLOCK_MAX);
        let mut started = started.filter_map(|(_, &at)| Some((at, self.blocks.get(&at)?)));
        let Some((start, block)) = started.find(|(_, block)| holds(block)) else {
            return Vec::new();
        };
        let ends = block.items.iter().skip(1).map(|item| item.at).chain([block.bytes]);
        let parts = block.items.iter().zip(ends).map(|(item, end)| {
            let offset = start.wrapping_sub(self.window.unwrap_or_default()) + item.at;
            let mut bytes = vec![0; (end - item.at) as usize];
            memory.backing().read((self.memory + u64::from(offset)) as usize, &mut bytes);
            let (guest, cache) = (item.guest.map(u64::from), u64::from(start + item.at));
            Translated { guest, kind: item.kind, cache, bytes }
        });
        parts.collect()
    }
}

/// The bytes of an instruction in guest memory.
fn bytes_of(memory: &GuestMemory, guest: &System, instruction: &Instruction) -> Vec<u8> {
    let byte = |linear: u64| {
        let mut byte = [0];
        memory.read(guest.physical_of(memory, linear & 0xffff_ffff)?, &mut byte);
        Some(byte[0])
    };
    let start = instruction.ip();
    (start..start + instruction.len() as u64).map_while(byte).collect()
}
