//! The memory of a host whose guests together believe to have more.
//!
//! Now and then the host looks at what its guests have mapped. Pages that were not written lately and
//! have the same contents share one frame, until somebody writes (copy-on-write). When memory runs
//! short, guests with a balloon are asked for pages, which know best what they can do without. If that is
//! not enough, pages that were not used lately go to the host's disk, until they are needed. Sharing and
//! taking work by nested page tables; a guest without them keeps what it has touched, but for its balloon.
//!
//! The guests notice nothing but time that the host does not charge them.
//!
//! Source: C. A. Waldspurger, "Memory Resource Management in VMware ESX Server" (2002), §3, "Reclamation
//! Mechanisms", and §4, "Sharing Memory".

use std::collections::BTreeMap;
use std::mem;

use cutaway_memory::{GuestMemory, PAGE_SIZE, PageKind};
use cutaway_state::StateHash;
use cutaway_vmm::{Resident, Vm};

use crate::{Input, Machine};

/// The most percent of its memory that a guest is asked for.
const LARGEST_BALLOON: u64 = 65;
/// Pages that a guest is asked for at least.
const WORTH_ASKING: u32 = 64;
/// Ticks between two looks.
const INTERVAL: u64 = 20_000_000;

/// A guest's pages at the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestPages {
    /// Pages that it has mapped.
    pub mapped: u64,
    /// Of these, pages that share their frame.
    pub shared: u64,
    /// Pages on the host's disk.
    pub out: u64,
    /// Shared pages that it has written to so far, and got a copy of.
    pub copied: u64,
    /// Pages that it needed back from the disk so far.
    pub read_in: u64,
    /// Of these, pages that were read in for nothing but to be written to the guest's own disk.
    pub paged_twice: u64,
    /// Pages that it has given up, in its balloon.
    pub balloon: u64,
}

/// The host's memory.
#[derive(Clone, Debug)]
pub struct PhysicalMemory {
    frames: u64,
    used: u64,
    looked: u64,
    guests: Vec<GuestPages>,
}

/// A page of a guest, by the guest's number.
#[derive(Clone, Copy, Debug)]
struct Page {
    guest: usize,
    page: Resident,
}

impl PhysicalMemory {
    /// Of so many bytes. The first look is an interval away.
    pub(crate) fn new(bytes: u64, now: u64) -> Self {
        Self { frames: bytes / PAGE_SIZE, used: 0, looked: now, guests: Vec::new() }
    }

    /// Frames that there are.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Frames in use after the last look. More than there are if guests without nested tables have
    /// more.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Each guest's pages.
    #[must_use]
    pub fn guests(&self) -> &[GuestPages] {
        &self.guests
    }

    /// Whether it is time for a look.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        now - self.looked >= INTERVAL
    }

    /// Looks at the guests' pages, shares what is the same, and takes what is too much.
    pub(crate) fn balance<'a>(
        &mut self,
        now: u64,
        machines: impl Iterator<Item = &'a mut Machine>,
    ) {
        self.looked = now;
        let mut machines: Vec<_> = machines.collect();
        self.guests = vec![GuestPages::default(); machines.len()];
        let (mut pages, mut wired) = (Vec::new(), 0);
        for (guest, machine) in machines.iter().enumerate() {
            match machine.vm().filter(|vm| vm.has_nested_tables()) {
                Some(vm) => {
                    let resident = vm.resident(machine.memory());
                    pages.extend(resident.into_iter().map(|page| Page { guest, page }));
                }
                None => {
                    let memory = machine.memory();
                    let own = |page: &usize| (*page as u64) < memory.mapped_bytes();
                    self.guests[guest].mapped =
                        memory.touched_pages().take_while(own).count() as u64;
                    wired += self.guests[guest].mapped;
                }
            }
        }
        let groups = groups(&machines, &pages);
        let mut same = vec![Vec::new(); machines.len()];
        let mut private: Vec<Page> = pages.iter().copied().filter(|of| !is_still(of)).collect();
        let mut shared = 0;
        for group in groups.into_values() {
            if let [alone] = group.as_slice() {
                private.push(*alone);
                continue;
            }
            shared += 1;
            for of in group {
                self.guests[of.guest].shared += 1;
                if !of.page.shared {
                    same[of.guest].push(of.page.address);
                }
            }
        }
        let used = wired + shared + private.len() as u64;
        let mut unused = victims(private, used.saturating_sub(self.frames), machines.len());
        self.used = used;
        for of in &pages {
            self.guests[of.guest].mapped += 1;
        }
        for (guest, machine) in machines.iter_mut().enumerate() {
            let books = &mut self.guests[guest];
            books.balloon = machine.balloon().map_or(0, |size| size.actual.into());
            if !machine.vm().is_some_and(Vm::has_nested_tables) {
                continue;
            }
            books.mapped -= unused[guest].len() as u64;
            self.used -= unused[guest].len() as u64;
            let (same, unused) = (mem::take(&mut same[guest]), mem::take(&mut unused[guest]));
            // An input, so that repeating the guest repeats what its host did to it.
            machine.input(&Input::Hold { same, unused });
            if let Some(vm) = machine.vm() {
                let counts = vm.held_counts();
                books.out = vm.pages_out();
                (books.copied, books.read_in) = (counts.copied, counts.read_in);
                books.paged_twice = counts.paged_twice;
            }
        }
    }
}

impl PhysicalMemory {
    /// Asks guests with balloons for pages when memory runs short, and lets them have some back when there
    /// is plenty. The result is who was asked.
    pub(crate) fn blow_balloons<'a>(
        &self,
        machines: impl Iterator<Item = (usize, &'a mut Machine)>,
    ) -> Vec<usize> {
        let sized = |(number, machine): (usize, &'a mut Machine)| {
            machine.balloon().map(|size| (number, machine, size))
        };
        let machines: Vec<_> = machines.filter_map(sized).collect();
        let (short, plenty) = (self.frames / 8 * 7, self.frames / 4 * 3);
        let count = machines.len().max(1) as u64;
        let more = self.used.saturating_sub(short) / count;
        let less = plenty.saturating_sub(self.used) / count;
        let mut asked = Vec::new();
        for (number, machine, size) in machines {
            let most = machine.config().memory_bytes / PAGE_SIZE * LARGEST_BALLOON / 100;
            let wanted = (u64::from(size.actual) + more).saturating_sub(less).min(most) as u32;
            if wanted.abs_diff(size.wanted) >= WORTH_ASKING || wanted == 0 && size.wanted > 0 {
                machine.input(&Input::Balloon(wanted));
                asked.push(number);
            }
        }
        asked
    }
}

/// Whether a page has not been written lately, so that sharing it is worth it.
fn is_still(of: &Page) -> bool {
    of.page.shared || !of.page.dirty
}

/// The pages that were not written lately, by contents.
fn groups(machines: &[&mut Machine], pages: &[Page]) -> BTreeMap<StateHash, Vec<Page>> {
    let mut groups: BTreeMap<StateHash, Vec<Page>> = BTreeMap::new();
    for of in pages.iter().filter(|of| is_still(of)) {
        let hash = hash(machines[of.guest].memory(), of.page.address);
        groups.entry(hash).or_default().push(*of);
    }
    groups
}

fn hash(memory: &GuestMemory, address: u64) -> StateHash {
    let mut bytes = [0; PAGE_SIZE as usize];
    if let PageKind::Ram(offset) | PageKind::Rom(offset) = memory.page(address) {
        memory.backing().read(offset, &mut bytes);
    }
    StateHash::of(&bytes)
}

/// So many pages to be taken, by guest: those first that were not used lately, one guest's after the
/// other's.
fn victims(mut pages: Vec<Page>, count: u64, guests: usize) -> Vec<Vec<u64>> {
    let mut victims = vec![Vec::new(); guests];
    pages.sort_by_key(|of| (of.page.accessed, of.page.address, of.guest));
    for of in pages.into_iter().take(count as usize) {
        victims[of.guest].push(of.page.address);
    }
    victims
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_goes_first_and_the_guests_share_the_loss() {
        let page = |guest, address, accessed| {
            let page = Resident { address, accessed, dirty: false, shared: false };
            Page { guest, page }
        };
        let pages = vec![
            page(0, 0x1000, true),
            page(0, 0x2000, false),
            page(1, 0x2000, false),
            page(1, 0x3000, false),
        ];
        assert_eq!(victims(pages.clone(), 2, 2), [vec![0x2000], vec![0x2000]]);
        assert_eq!(victims(pages.clone(), 4, 2), [vec![0x2000, 0x1000], vec![0x2000, 0x3000]]);
        assert_eq!(victims(pages, 0, 2), [vec![], vec![]]);
    }
}
