//! Running the guest's kernel by translation: into the cache and out of it again.

use cutaway_cpu::{Bus, Exception, Exit, Probe, Seg, Vcpu};
use cutaway_isa::{Cr0, Efer, Rflags, Vector};

use crate::deprivilege;
use crate::exits::Reason;
use crate::translate::{Call, Position, variable};
use crate::vm::{Next, Vm};

/// IF, as the variable of flags counts it.
const IF: u32 = 0x200;

/// Where execution in the cache was left, while the virtual CPU stands at `guest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Resume {
    pub(crate) guest: u32,
    pub(crate) cache: u32,
    /// No place to deliver interrupts at: in the middle of a sequence, or behind STI.
    pub(crate) busy: bool,
}

impl Vm {
    /// Whether the guest's code is of a kind that is translated: its kernel's, with flat segments.
    pub(crate) fn is_translatable(vcpu: &Vcpu) -> bool {
        let system = vcpu.system();
        let flat = |seg: Seg| {
            let segment = &system.segments[seg as usize];
            segment.base == 0 && segment.limit == u32::MAX && segment.is_big()
        };
        vcpu.cpl() == 0
            && system.cr0 & Cr0::PE.bits() != 0
            && system.efer & Efer::LMA.bits() == 0
            && flat(Seg::Cs)
            && flat(Seg::Ss)
            && system.segments[Seg::Ss as usize].is_writable()
            && !system.segments[Seg::Ss as usize].is_expand_down()
    }

    /// Where execution stands in the cache, if the virtual CPU is still where it was left.
    pub(crate) fn resume(&self, vcpu: &Vcpu) -> Option<Resume> {
        self.resume.filter(|resume| u64::from(resume.guest) == vcpu.rip())
    }

    /// The translation of the code that the guest is at; `Err` if the instruction has to be
    /// emulated, which raises what is wrong with it.
    fn entry(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus) -> Result<u32, Reason> {
        let guest = vcpu.rip() as u32;
        if let Some(entry) = self.translator.entry(guest) {
            return Ok(entry);
        }
        let linear = u64::from(guest);
        let walk =
            vcpu.probe(bus, linear, Probe::Fetch, false).map_err(|_| Reason::GuestPageFault)?;
        let memory = bus.memory();
        self.shadow.watch_walk(memory, &mut self.world, &walk, linear);
        let flushes = self.translator.counts.flushes;
        let made = self.translator.translate(memory, vcpu.system(), guest);
        let (entry, frames) = made.ok_or(Reason::Interpreted)?;
        if self.translator.counts.flushes != flushes {
            vcpu.drop_code();
        }
        for frame in frames {
            self.shadow.guard(memory, &mut self.world, frame);
        }
        Ok(entry)
    }

    /// Makes the window and the cache fit the guest's present page tables.
    fn settle_cache(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus) -> Option<()> {
        let memory = bus.memory();
        let moved = self.translator.settle(memory, vcpu.system())?;
        if moved {
            let linear = u64::from(self.translator.window()?);
            self.shadow.set_window(linear, self.layout.window);
            self.resume = None;
            vcpu.drop_code();
        }
        let changed = self.shadow.take_remapped();
        let concerned =
            changed.iter().any(|&(start, bytes)| self.translator.concerns(start, bytes));
        let root = (self.shadow.current(), self.translator.generation);
        if concerned || !self.checked.contains(&root) {
            if !self.translator.is_in_place(memory, vcpu.system()) {
                self.translator.flush(memory);
                self.resume = None;
                vcpu.drop_code();
            }
            self.checked.retain(|&(_, generation)| generation == self.translator.generation);
            self.checked.insert((self.shadow.current(), self.translator.generation));
        }
        Some(())
    }

    /// Runs the guest's kernel out of the cache. What has to be done next, or why the run ends.
    pub(crate) fn run_translated(
        &mut self,
        vcpu: &mut Vcpu,
        bus: &mut dyn Bus,
        budget: u64,
    ) -> Result<Option<Next>, Exit> {
        self.world.system = deprivilege::project(vcpu.system(), 0, self.umip);
        self.shadow.activate(bus.memory(), vcpu.system(), &mut self.world);
        if self.settle_cache(vcpu, bus).is_none() {
            return Ok(Some(Next::Emulate(Reason::Interpreted, None)));
        }
        let cache = match self.resume(vcpu) {
            Some(resume) => resume.cache,
            None => match self.entry(vcpu, bus) {
                Ok(entry) => entry,
                Err(reason) => return Ok(Some(Next::Emulate(reason, None))),
            },
        };
        let pins = bus.pins();
        let memory = bus.memory();
        // Moving the window, or running out of memory, drops the tree.
        self.shadow.activate(memory, vcpu.system(), &mut self.world);
        let open = vcpu.rflags() & Rflags::IF.bits() != 0;
        let flags = if open { 0 } else { IF.wrapping_neg() };
        if self.translator.variable(memory, variable::FLAGS) != flags {
            self.translator.set_variable(memory, variable::FLAGS, flags);
        }
        let iopl = (vcpu.rflags() & Rflags::IOPL.bits()) as u32;
        if self.translator.variable(memory, variable::IOPL) != iopl {
            self.translator.set_variable(memory, variable::IOPL, iopl);
        }
        // An interrupt waits: whatever sets IF has to be noticed.
        self.shadow.open_window(memory, &mut self.world, open || !pins.intr);
        self.world.rflags = deprivilege::project_rflags(vcpu.rflags(), vcpu.cpl());
        vcpu.set_rip(u64::from(cache));
        self.has_run = true;
        vcpu.exchange(&mut self.world);
        let exit = self.run_physical(vcpu, bus, false, budget);
        let memory = bus.memory();
        let open = self.translator.variable(memory, variable::FLAGS) == 0;
        let mut rflags = deprivilege::reflect_rflags(self.world.rflags, vcpu.rflags());
        rflags = rflags & !Rflags::IF.bits() | if open { Rflags::IF.bits() } else { 0 };
        let iopl = u64::from(self.translator.variable(memory, variable::IOPL));
        rflags = rflags & !Rflags::IOPL.bits() | iopl & Rflags::IOPL.bits();
        self.world.rflags = rflags;
        deprivilege::reflect(&mut self.world.system, vcpu.system());
        let cache = vcpu.rip() as u32;
        vcpu.exchange(&mut self.world);
        let Some(position) = self.translator.position(memory, cache) else {
            // Only a damaged snapshot leads here.
            vcpu.set_rip(u64::from(cache));
            self.resume = None;
            return Ok(Some(Next::Emulate(Reason::Interpreted, None)));
        };
        vcpu.set_rip(u64::from(position.guest));
        let busy = !position.is_start || position.in_shadow;
        self.resume = Some(Resume { guest: position.guest, cache, busy });
        match exit {
            Exit::Exception(exception) => {
                Ok(self.left_cache(vcpu, bus, exception, position, cache))
            }
            Exit::Budget => Ok(None),
            exit => Err(exit),
        }
    }

    /// The CPU raised an exception in the cache, or called the monitor.
    fn left_cache(
        &mut self,
        vcpu: &mut Vcpu,
        bus: &mut dyn Bus,
        exception: Exception,
        position: Position,
        cache: u32,
    ) -> Option<Next> {
        if exception.vector == Vector::UD
            && let Some(call) = position.call
        {
            return self.called(vcpu, bus, call);
        }
        let window = u64::from(self.translator.window().unwrap_or_default());
        let in_window = exception.address.wrapping_sub(window) < 0x1000;
        if exception.vector == Vector::PF && in_window {
            // CLI, STI or POPF while an interrupt waits. POPF has saved EAX.
            let memory = bus.memory();
            let (offset, item) = self.translator.offset(cache)?;
            if offset > item {
                let eax = self.translator.variable(memory, variable::EAX);
                vcpu.set_gpr(0, u64::from(eax));
            }
            self.resume = None;
            return Some(Next::Emulate(Reason::InterruptFlag, None));
        }
        let next = self.trapped(vcpu, bus, exception);
        if let Some(Next::Emulate(reason, at)) = &next {
            self.resume = None;
            if *reason == Reason::TableWrite
                && at.is_some()
                && let Some(changed) = self.translator.trapped(bus.memory(), cache, position.guest)
            {
                vcpu.memory_written(changed as usize, 2);
            }
        }
        next
    }

    /// A translation called the monitor.
    fn called(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus, call: Call) -> Option<Next> {
        self.resume = None;
        match call {
            Call::Emulate => return Some(Next::CallOut),
            Call::Continue => {}
            Call::Chain { place, .. } => {
                let generation = self.translator.counts.flushes;
                if let Ok(entry) = self.entry(vcpu, bus)
                    && self.translator.counts.flushes == generation
                {
                    let changed = self.translator.chain(bus.memory(), place, entry);
                    for n in 0..4 {
                        vcpu.memory_written(changed as usize + n, 1);
                    }
                }
            }
            Call::Lookup => {
                let guest = vcpu.rip() as u32;
                if let Ok(entry) = self.entry(vcpu, bus) {
                    self.translator.remember(bus.memory(), guest, entry);
                }
            }
        }
        None
    }
}
