//! Two worlds on one vCPU: what changes when a monitor switches between a guest's view of the CPU
//! and the state in which the CPU really runs it.
//!
//! General, x87 and vector registers, RIP and the count of ticks are the same in both, and stay where they
//! are; decoded code is kept too, since it is known by its place in the backing. System registers,
//! RFLAGS and the TLB are exchanged.

use crate::exception::{Exception, Fault};
use crate::paging::{Access, Translation};
use crate::state::System;
use crate::svm::Space;
use crate::tlb::{Tlb, Translations};
use crate::vcpu::Generations;
use crate::{Bus, Vcpu};
use cutaway_isa::Rflags;
use cutaway_memory::{GuestMemory, PageKind};

/// The system state of a vCPU that is not the one it runs with now.
pub struct World {
    /// System registers.
    pub system: System,
    /// RFLAGS.
    pub rflags: u64,
    /// In this world every exception leaves [`Vcpu::run`] with [`crate::Exit::Exception`] before
    /// its delivery, and no interrupt comes.
    pub monitored: bool,
    tlb: Tlb,
    /// Whose translations these are.
    space: Space,
    generations: Generations,
}

/// Where a linear address leads in the page tables of the present world, and by which entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Physical address of the byte.
    pub physical: u64,
    /// The entries allow CPL 3.
    pub user: bool,
    /// The entries allow writing.
    pub writable: bool,
    /// An entry forbids execution.
    pub no_execute: bool,
    /// The leaf's D bit is set.
    pub dirty: bool,
    /// Physical addresses of the entries read, root first, with log2 of the bytes that one entry
    /// of that level covers.
    entries: [(u64, u32); 4],
    depth: usize,
}

impl Walk {
    /// The entries read, root first: their physical addresses, and log2 of what each covers.
    #[must_use]
    pub fn entries(&self) -> &[(u64, u32)] {
        &self.entries[..self.depth]
    }
}

/// An access that is asked about, not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A read of data.
    Read,
    /// A write of data.
    Write,
    /// A fetch of an instruction.
    Fetch,
}

impl World {
    /// A world with these system registers and no translations.
    #[must_use]
    pub fn new(system: System) -> Self {
        let (tlb, space, generations) = (Tlb::new(), Space::Host, Generations::default());
        Self { system, rflags: 2, monitored: false, tlb, space, generations }
    }

    /// What it knows of page tables.
    #[must_use]
    pub fn translations(&self) -> Translations {
        self.tlb.save()
    }

    /// Replaces what it knows of page tables. `None`, and nothing known, if that does not fit the
    /// memory.
    pub fn set_translations(&mut self, saved: &Translations, memory: &GuestMemory) -> Option<()> {
        self.generations = Generations::default();
        self.tlb.load(saved, memory)
    }

    /// Whose translations it has.
    #[must_use]
    pub fn space(&self) -> Space {
        self.space
    }

    /// Says whose translations [`Self::set_translations`] gave it.
    pub fn set_space(&mut self, space: Space) {
        self.space = space;
    }

    /// Forgets all translations.
    pub fn flush(&mut self) {
        self.tlb.flush();
        self.generations = Generations::default();
    }

    /// Forgets the translation of a page.
    pub fn invalidate(&mut self, linear: u64) {
        if self.tlb.invalidate(linear) {
            self.generations = Generations::default();
        }
    }
}

impl Vcpu {
    /// Goes over into another world, which takes the present one in. Whoever wrote guest memory
    /// meanwhile has called [`Self::memory_written`].
    pub fn exchange(&mut self, world: &mut World) {
        let rflags = self.lazy.rflags().bits();
        std::mem::swap(&mut self.system, &mut world.system);
        std::mem::swap(&mut self.tlb, &mut world.tlb);
        std::mem::swap(&mut self.monitored, &mut world.monitored);
        std::mem::swap(&mut self.svm.space, &mut world.space);
        self.lazy.set_rflags(Rflags::from_bits_truncate(world.rflags) | Rflags::ONE);
        world.rflags = rflags;
        self.exchange_generations(&mut world.generations);
        self.watch_pages_again();
        self.attention = true;
        self.settle();
    }

    /// Sets where the next instruction is: an offset in CS.
    pub fn set_rip(&mut self, rip: u64) {
        self.rip = rip;
    }

    /// Sets a general register, by its number in encodings.
    pub fn set_gpr(&mut self, number: usize, value: u64) {
        self.r[number & 15] = value;
    }

    /// Sets RFLAGS.
    pub fn load_rflags(&mut self, rflags: u64) {
        self.lazy.set_rflags(Rflags::from_bits_truncate(rflags) | Rflags::ONE);
        self.attention = true;
    }

    /// Sets or ends the interrupt shadow of STI.
    pub fn set_interrupt_shadow(&mut self, on: bool) {
        (self.activity.sti_shadow, self.activity.ss_shadow) = (on, false);
        self.attention = true;
    }

    /// Takes up what was changed by [`Self::system_mut`], page tables included: drops all
    /// translations and loads the PDPTEs of PAE paging.
    pub fn forget_translations(&mut self, bus: &mut dyn Bus) {
        self.settle();
        self.flush_translations(true);
        let pae = self.system.cr4 & cutaway_isa::Cr4::PAE.bits() != 0;
        if self.paging_enabled() && pae && !self.is_long_mode() {
            // Nothing that the guest could load is refused here again.
            let _ = self.load_pdptes(bus, self.system.cr3);
        }
        self.settle();
    }

    /// Counts an instruction that somebody else has carried out.
    pub fn retire(&mut self) {
        self.ticks += 1;
    }

    /// Sets IF.
    pub fn set_interrupt_flag(&mut self, on: bool) {
        let flags = self.lazy.rflags().with(Rflags::IF, on);
        self.lazy.set_rflags(flags);
        self.attention = true;
    }

    /// As HLT.
    pub fn halt(&mut self) {
        self.activity.halted = true;
        self.attention = true;
    }

    /// As MOV to CR3; `Err` is the exception that it would raise.
    pub fn load_cr3(&mut self, bus: &mut dyn Bus, value: u64) -> Result<(), Exception> {
        match self.write_cr3(bus, value) {
            Ok(()) => Ok(()),
            Err(Fault::Exception(exception)) => Err(exception),
            Err(Fault::Exit | Fault::Wait | Fault::World) => {
                unreachable!("a load raises exceptions alone")
            }
        }
    }

    /// RFLAGS.
    #[must_use]
    pub fn rflags(&self) -> u64 {
        self.lazy.rflags().bits()
    }

    /// The state between instructions that no register shows.
    #[must_use]
    pub fn activity(&self) -> &crate::Activity {
        &self.activity
    }

    /// System registers, to change them; [`Self::settle_system`] has to follow.
    pub fn system_mut(&mut self) -> &mut System {
        &mut self.system
    }

    /// Takes up what was changed by [`Self::system_mut`]; translations stay.
    pub fn settle_system(&mut self) {
        self.settle();
    }

    /// Tells of a write to guest memory by somebody else, at an offset of the backing, within a
    /// page.
    pub fn memory_written(&mut self, offset: usize, size: u64) {
        self.written(offset, size);
    }

    /// Walks the page tables of the present world as an access would, and sets A and D as it
    /// would; `Err` is the #PF that it would raise. Nothing is kept in the TLB.
    pub fn probe(
        &mut self,
        bus: &mut dyn Bus,
        linear: u64,
        probe: Probe,
        user: bool,
    ) -> Result<Walk, Exception> {
        let access = match probe {
            Probe::Read => Access::Read,
            Probe::Write => Access::Write,
            Probe::Fetch => Access::Fetch,
        };
        match self.walk(bus, linear, access, user) {
            Ok(found) => Ok(self.walk_of(&found)),
            Err(Fault::Exception(exception)) => Err(exception),
            Err(Fault::Exit | Fault::Wait | Fault::World) => {
                unreachable!("a walk raises exceptions alone")
            }
        }
    }

    fn walk_of(&self, found: &Translation) -> Walk {
        Walk {
            physical: self.physical(found.physical),
            user: found.user,
            writable: found.rights_writable,
            no_execute: found.no_execute,
            dirty: found.dirty,
            entries: found.entries,
            depth: found.depth,
        }
    }

    /// The bytes at the next instruction, as far as the page tables lead there, without touching
    /// anything.
    #[must_use]
    pub fn code_bytes(&self, memory: &GuestMemory) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(cutaway_isa::MAX_LENGTH);
        for n in 0..cutaway_isa::MAX_LENGTH as u64 {
            let linear = self.pc().wrapping_add(n);
            let Some(physical) = self.system.physical_of(memory, linear) else { break };
            if memory.page(physical) == PageKind::Device {
                break;
            }
            let mut byte = [0];
            memory.read(physical, &mut byte);
            bytes.push(byte[0]);
        }
        bytes
    }
}
