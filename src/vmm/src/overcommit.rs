//! What a host with less memory than its guests believe to have can do with a guest's pages, by nested page
//! tables: share what is the same as elsewhere, copied when the guest writes (copy-on-write), and take
//! away what is not used, until it is (host swapping).
//!
//! A page's bytes stay where they are in the guest's own backing; what the guest notices, and what
//! the books of [`Resident`] say, is what it would be with one memory for all.
//!
//! Source: C. A. Waldspurger, "Memory Resource Management in VMware ESX Server" (2002).

use cutaway_cpu::Vcpu;
use cutaway_memory::{GuestMemory, PAGE_SIZE, PageKind};

use crate::Model;
use crate::nested::{HeldCounts, Resident};
use crate::paging::Paging;
use crate::vm::Vm;

/// What a device does to a guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// It reads: the guest writes to its disk.
    Read,
    /// It writes.
    Written,
    /// It takes a page that the guest gives up, which is zeros now.
    Released,
}

impl Vm {
    /// Whether a host can manage the guest's memory: it has nested page tables.
    #[must_use]
    pub fn has_nested_tables(&self) -> bool {
        self.model == Model::Hardware && self.paging == Paging::Nested
    }

    /// The pages that are mapped for the guest now, ascending.
    #[must_use]
    pub fn resident(&self, memory: &GuestMemory) -> Vec<Resident> {
        self.nested.resident(memory)
    }

    /// Lets the guest read pages that are the same as others, takes pages that it does not use, and
    /// begins to watch anew which are used. A write to the first gives the guest a copy of its own, an access
    /// to the second brings them back.
    pub fn hold_pages(
        &mut self,
        vcpu: &mut Vcpu,
        memory: &mut GuestMemory,
        (same, unused): (&[u64], &[u64]),
    ) {
        same.iter().for_each(|&address| self.nested.share(memory, address));
        unused.iter().for_each(|&address| self.nested.evict(memory, address));
        self.nested.forget_accesses(memory);
        self.forget_translations(vcpu);
    }

    /// Takes note of what a device did to some bytes, by guest-physical address, within a page.
    /// [`Self::forget_translations`] has to follow what was released.
    pub fn memory_touched(
        &mut self,
        vcpu: &mut Vcpu,
        memory: &mut GuestMemory,
        (address, len): (u64, u64),
        how: Touched,
    ) {
        if self.has_nested_tables() {
            match how {
                Touched::Released => self.nested.release(memory, address),
                how => self.nested.touch(memory, address, how == Touched::Written),
            }
        }
        if how != Touched::Read
            && let PageKind::Ram(frame) = memory.page(address)
        {
            self.wrote(vcpu, memory, frame as u64 + (address & (PAGE_SIZE - 1)), len);
        }
    }

    /// Lets nobody know of what was mapped before.
    pub fn forget_translations(&mut self, vcpu: &mut Vcpu) {
        if vcpu.svm().guest.is_some() {
            vcpu.flush();
        }
        self.world.flush();
        self.flush = true;
    }

    /// Pages that the host has taken and the guest has not needed since.
    #[must_use]
    pub fn pages_out(&self) -> u64 {
        self.nested.pages_out()
    }

    /// What the guest's accesses did to what was shared and taken.
    #[must_use]
    pub fn held_counts(&self) -> HeldCounts {
        self.nested.held_counts
    }
}
