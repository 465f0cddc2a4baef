//! Where a debugger wants the vCPU to stop: breakpoints, watchpoints, exceptions.
//!
//! The guest cannot notice any of it: no tick, no A or D bit and no translation differs from a run
//! without stops. The debug registers are the guest's own and have nothing to do with it.
//!
//! A breakpoint makes the one instruction at it run alone, and with it every instruction at the
//! same place of any other page, so that no address has to be translated beforehand. A watchpoint
//! takes the translations of its pages out of the fast path (see `tlb.rs`).

use crate::{Bus, Event, TraceClasses, Vcpu};
use cutaway_memory::{GuestMemory, PAGE_SIZE, PageKind};
use std::ops::Range;

/// A range of bytes to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// First address.
    pub start: u64,
    /// Length in bytes; an empty range is never touched.
    pub len: u64,
    /// Whether `start` is a physical address. Else it is a linear one, in whatever address space.
    pub physical: bool,
    /// Reads count. Fetches of instructions never do.
    pub reads: bool,
    /// Writes count; by physical address also those of A and D bits.
    pub writes: bool,
}

/// An access that touched a [`Watch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The linear address, or the physical one where the CPU itself accessed a page table.
    pub address: u64,
    /// Bytes accessed.
    pub size: u64,
    /// Whether it was a write.
    pub write: bool,
    /// The offset of the instruction in CS.
    pub rip: u64,
    /// Ticks before the instruction.
    pub at: u64,
}

/// A watch with the physical address worked out.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// Linear addresses; none for a physical watch.
    linear: Range<u64>,
    /// Offsets in the backing; none for a linear watch.
    backing: Range<usize>,
    reads: bool,
    writes: bool,
}

fn overlap<T: Ord + Copy>(range: &Range<T>, first: T, end: T) -> bool {
    range.start < end && first < range.end
}

impl Watched {
    #[cfg(test)]
    pub(crate) fn linear(linear: Range<u64>) -> Self {
        Self { linear, backing: 0..0, reads: true, writes: true }
    }

    /// Whether a translation of this linear page to this page of the backing concerns it.
    pub(crate) fn is_on(&self, page: u64, offset: usize) -> bool {
        overlap(&self.linear, page, page.saturating_add(PAGE_SIZE))
            || overlap(&self.backing, offset, offset + PAGE_SIZE as usize)
    }

    fn is_touched(&self, linear: Option<u64>, backing: usize, size: u64, write: bool) -> bool {
        let kind = if write { self.writes } else { self.reads };
        let by_linear = linear.is_some_and(|at| overlap(&self.linear, at, at.saturating_add(size)));
        kind && (by_linear || overlap(&self.backing, backing, backing + size as usize))
    }
}

/// What a vCPU has been asked to stop at.
#[derive(Default)]
pub(crate) struct Stops {
    /// Linear addresses of instructions.
    breakpoints: Vec<u64>,
    /// The places within a page where breakpoints are, a bit each. Empty without breakpoints.
    places: Vec<u64>,
    watched: Vec<Watched>,
    /// At this tick breakpoints and exceptions do not stop: the debugger goes on from there.
    passed: Option<u64>,
    pub(crate) touch: Option<Touch>,
}

impl Stops {
    /// Whether an instruction at this place of its page has to run alone.
    #[inline(always)]
    pub(crate) fn is_place(&self, address: usize) -> bool {
        let place = address & 0xfff;
        self.places.get(place / 64).is_some_and(|bits| bits >> (place % 64) & 1 != 0)
    }

    /// Whether the instruction at a linear address must not begin.
    pub(crate) fn meets(&self, linear: u64, tick: u64) -> bool {
        self.breakpoints.contains(&linear) && self.passed != Some(tick)
    }

    /// Whether the debugger goes on from this tick.
    pub(crate) fn passes(&self, tick: u64) -> bool {
        self.passed == Some(tick)
    }
}

impl Vcpu {
    /// Stops with [`crate::Exit::Breakpoint`] before the instruction at each of these linear
    /// addresses. Replaces the earlier ones.
    pub fn set_breakpoints(&mut self, linear: &[u64]) {
        self.stops.breakpoints = linear.to_vec();
        self.stops.places.clear();
        if !linear.is_empty() {
            self.stops.places.resize(PAGE_SIZE as usize / 64, 0);
        }
        for &address in linear {
            let place = (address & 0xfff) as usize;
            self.stops.places[place / 64] |= 1 << (place % 64);
        }
        // Blocks end before such places from now on.
        self.blocks.clear();
        self.restamp();
    }

    /// Stops with [`crate::Exit::Watchpoint`] behind each instruction that touches one of these.
    /// Replaces the earlier ones. What of a physical range is not memory is not watched.
    pub fn set_watches(&mut self, watches: &[Watch], memory: &GuestMemory) {
        let mut watched = Vec::new();
        for watch in watches {
            let Watch { reads, writes, .. } = *watch;
            let mut add =
                |linear, backing| watched.push(Watched { linear, backing, reads, writes });
            let range = watch.start..watch.start.saturating_add(watch.len);
            if watch.physical {
                backing_ranges(memory, &range).for_each(|backing| add(0..0, backing));
            } else {
                add(range, 0..0);
            }
        }
        self.stops.watched = watched;
        self.stops.touch = None;
        self.watch_pages();
    }

    /// Takes the pages out of the fast path whose accesses somebody wants to see.
    pub(crate) fn watch_pages(&mut self) {
        let all = self.traces(TraceClasses::MEM);
        self.tlb.watch(self.stops.watched.clone(), all);
    }

    /// After another TLB has come in: what is watched may have changed since it was there.
    pub(crate) fn watch_pages_again(&mut self) {
        let wanted = !self.stops.watched.is_empty() || self.traces(TraceClasses::MEM);
        if wanted || self.tlb.is_watching() {
            self.watch_pages();
        }
    }

    /// Whether there is any breakpoint, and whether one stops before the next instruction.
    #[must_use]
    pub fn at_breakpoint(&self) -> Option<bool> {
        let any = !self.stops.breakpoints.is_empty();
        any.then(|| self.stops.meets(self.pc(), self.ticks))
    }

    /// Goes on from here: breakpoints and intercepted exceptions do not stop at this tick.
    pub fn pass_stops(&mut self) {
        self.stops.passed = Some(self.ticks);
    }

    /// Notes a data access outside the fast path: reports it, if asked to, and looks whether it
    /// touches a watch. `linear` is missing for the CPU's own accesses to page tables.
    #[inline]
    pub(crate) fn note_touch(
        &mut self,
        bus: &mut dyn Bus,
        linear: Option<u64>,
        backing: usize,
        (size, value): (u64, u64),
        write: bool,
    ) {
        if self.traces(TraceClasses::MEM)
            && let Some(linear) = linear
        {
            bus.trace(&Event::Access { at: self.ticks, write, linear, size, value });
        }
        if self.stops.watched.is_empty() || self.stops.touch.is_some() {
            return;
        }
        let touched =
            self.stops.watched.iter().any(|watch| watch.is_touched(linear, backing, size, write));
        if touched {
            let address = linear.unwrap_or(backing as u64);
            let (rip, at) = (self.rip, self.ticks);
            self.stops.touch = Some(Touch { address, size, write, rip, at });
            self.attention = true;
        }
    }
}

/// The parts of a physical range that are memory, as offsets in the backing; as many as regions.
fn backing_ranges(memory: &GuestMemory, range: &Range<u64>) -> impl Iterator<Item = Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let end = (at & !(PAGE_SIZE - 1)).saturating_add(PAGE_SIZE).min(range.end);
        if let PageKind::Ram(page) | PageKind::Rom(page) = memory.page(at) {
            let start = page + (at % PAGE_SIZE) as usize;
            let part = start..start + (end - at) as usize;
            match found.last_mut() {
                Some(last) if last.end == part.start => last.end = part.end,
                _ => found.push(part),
            }
            at = end;
        } else {
            // Nothing is watched outside memory: on to the next region.
            let next = memory.ram().map(|(start, _)| start).find(|&start| start > at);
            at = next.unwrap_or(range.end).max(end);
        }
    }
    found.into_iter()
}
