//! A virtual machine: one guest, run on the vCPU by a model.

use cutaway_cpu::svm::{WalkCounts, event};
use cutaway_cpu::{Bus, Exception, Exit, Pins, Seg, System, Vcpu, World};
use cutaway_isa::{Cr0, Efer, Rflags, Vector};
use cutaway_memory::{GuestMemory, Space};
use std::collections::BTreeSet;

use crate::deprivilege;
use crate::emulate::instruction_at;
use crate::exits::{Exits, Reason};
use crate::kernel::Resume;
use crate::kvm::Kvm;
use crate::model::{Model, Options};
use crate::nested::NestedTables;
use crate::paging::{Paging, Parked};
use crate::para::{Shared, VMMCALL};
use crate::physical::{Layout, PhysicalBus};
use crate::shadow::{Shadow, ShadowCounts, Verdict};
use crate::translate::{Translated, TranslationCounts, Translator};

/// DR6.BS: a single step.
pub(crate) const DR6_BS: u64 = 1 << 14;

/// One guest under a monitor.
pub struct Vm {
    pub(crate) model: Model,
    pub(crate) physical: Space,
    pub(crate) layout: Layout,
    /// The physical world while the vCPU shows the guest's, which is between runs.
    pub(crate) world: World,
    pub(crate) shadow: Shadow,
    pub(crate) translator: Translator,
    pub(crate) resume: Option<Resume>,
    /// Trees of the shadow in which translated code was found in its place, with the generation of
    /// code that was looked at.
    pub(crate) checked: BTreeSet<(u64, u64)>,
    pub(crate) umip: bool,
    pub(crate) paging: Paging,
    /// The guest between runs, on shadow page tables in the CPU's guest mode.
    pub(crate) parked: Option<Parked>,
    /// What a paravirtual guest shares with the monitor.
    pub(crate) shared: Option<Shared>,
    pub(crate) nested: NestedTables,
    /// An interrupt waits for the guest to let it in.
    pub(crate) window: bool,
    /// An event, as EVENTINJ has it, that is to be delivered again.
    pub(crate) reinject: u64,
    /// The VMCB's constant part is written.
    pub(crate) prepared: bool,
    /// The next VMRUN has to drop translations.
    pub(crate) flush: bool,
    /// Code of the guest ran on the physical CPU.
    pub(crate) has_run: bool,
    /// What the guest sees of KVM's interface, if it has it.
    pub(crate) kvm: Option<Kvm>,
    pub(crate) exits: Exits,
    pub(crate) call_outs: Exits,
    /// For people alone; no part of the state.
    walks: WalkCounts,
}

/// How a run goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    /// Directly.
    Direct,
    /// Directly for one instruction, since nothing can be delivered here.
    Step,
    /// By emulating an instruction that trapped; it writes to a watched page at this offset of the
    /// backing.
    Emulate(Reason, Option<u64>),
    /// By emulating an instruction that a translation calls the monitor for.
    CallOut,
    /// By doing what the guest asks the monitor for.
    Hypercall,
    /// By delivering the trap behind an instruction that ran directly with TF.
    SingleStep,
}

impl Vm {
    /// A guest that has not run. The last [`crate::MONITOR_BYTES`] of the memory's backing are the
    /// monitor's: the guest's own space of addresses does not reach them.
    pub fn new(options: Options, memory: &mut GuestMemory, vcpu: &Vcpu) -> Self {
        let Options { model, umip, paging } = options;
        let physical = memory.add_physical_space();
        let layout = Layout::of(memory);
        let mut world = World::new(vcpu.system().clone());
        world.monitored = model != Model::Hardware;
        Self {
            model,
            physical,
            layout,
            world,
            shadow: Shadow::new(layout.shadow.0, layout.shadow.1),
            translator: Translator::new(layout.window),
            resume: None,
            checked: BTreeSet::new(),
            umip,
            paging,
            parked: None,
            shared: None,
            nested: NestedTables::new(layout.shadow.0, layout.shadow.1),
            window: false,
            reinject: 0,
            prepared: false,
            flush: false,
            has_run: false,
            kvm: None,
            exits: Exits::default(),
            call_outs: Exits::default(),
            walks: WalkCounts::default(),
        }
    }

    /// By which model it runs.
    #[must_use]
    pub fn model(&self) -> Model {
        self.model
    }

    /// What it was made with.
    #[must_use]
    pub fn options(&self) -> Options {
        Options { model: self.model, umip: self.umip, paging: self.paging }
    }

    /// Why the guest trapped so far.
    #[must_use]
    pub fn exits(&self) -> &Exits {
        &self.exits
    }

    /// What translations called the monitor for so far.
    #[must_use]
    pub fn call_outs(&self) -> &Exits {
        &self.call_outs
    }

    /// What the CPU did of address translation while the guest's code ran on it, since the machine was
    /// made or restored.
    #[must_use]
    pub fn walk_counts(&self) -> WalkCounts {
        self.walks
    }

    /// Lets the vCPU run what it has in the physical world.
    pub(crate) fn run_physical(
        &mut self,
        vcpu: &mut Vcpu,
        bus: &mut dyn Bus,
        interrupts: bool,
        budget: u64,
    ) -> Exit {
        let before = vcpu.walk_counts();
        bus.memory().select(self.physical);
        let exit = vcpu.run(&mut PhysicalBus { guest: bus, interrupts }, budget);
        bus.memory().select(Space::FIRST);
        self.walks += vcpu.walk_counts().since(before);
        exit
    }

    /// What the shadow page tables did so far.
    #[must_use]
    pub fn shadow_counts(&self) -> &ShadowCounts {
        &self.shadow.counts
    }

    /// What was translated so far.
    #[must_use]
    pub fn translation_counts(&self) -> &TranslationCounts {
        &self.translator.counts
    }

    /// What became of the block that holds the guest's instruction at this linear address; nothing
    /// if it is not translated.
    #[must_use]
    pub fn translation_of(&self, memory: &GuestMemory, guest: u64) -> Vec<Translated> {
        match u32::try_from(guest) {
            Ok(guest) if self.model == Model::Translate => {
                self.translator.translation_of(memory, guest)
            }
            _ => Vec::new(),
        }
    }

    /// The entries of nested tables that lead from a guest-physical address on, root first, with where they
    /// are in physical memory, as far as they are there.
    #[must_use]
    pub fn nested_walk(&self, memory: &GuestMemory, address: u64) -> Vec<(u64, u64)> {
        self.nested.walk(memory, address)
    }

    /// The same for shadow page tables and a linear address.
    #[must_use]
    pub fn shadow_walk(&self, memory: &GuestMemory, linear: u64) -> Vec<(u64, u64)> {
        self.shadow.walk(memory, linear)
    }

    /// The system registers that the CPU really has while the guest runs directly.
    #[must_use]
    pub fn physical_system(&self) -> &System {
        &self.world.system
    }

    /// Checks that the guest cannot get out: whatever the physical CPU would let it reach is its own,
    /// and it has no privilege. `Err` says what is wrong.
    pub fn audit(&self, memory: &GuestMemory) -> Result<(), String> {
        if self.model == Model::Hardware && self.paging == Paging::Nested {
            return self.nested.audit(memory, memory.mapped_bytes());
        }
        let system = &self.world.system;
        let ring = system.segments[Seg::Cs as usize].selector & 3;
        let counted = self.exits.total() + self.call_outs.total() > 0;
        if self.model != Model::Hardware && counted && self.has_run {
            let deprivileged = ring != 0 && system.gdtr.limit == 0 && system.idtr.limit == 0;
            if !deprivileged {
                return Err(format!("the guest has run in ring {ring}"));
            }
        }
        // Where a guest ran that waits, in the CPU's guest mode, is the monitor's tables alone.
        let paged = system.cr0 & Cr0::PG.bits() != 0 && system.efer & Efer::NXE.bits() != 0;
        if self.parked.is_some() && !(paged && self.shadow.is_root(system.cr3)) {
            return Err(format!("the guest has run with CR3 {:#x}", system.cr3));
        }
        self.shadow.audit(memory)
    }

    /// Lets the guest execute at most `budget` instructions, as [`Vcpu::run`] does without a
    /// monitor. An emulated instruction counts like any other; the monitor's work takes no time.
    pub fn run(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus, budget: u64) -> Exit {
        let limit = vcpu.ticks().saturating_add(budget);
        if self.model == Model::Hardware {
            return self.run_hardware(vcpu, bus, limit);
        }
        let mut trapped = None;
        loop {
            let left = limit.min(bus.stop_at()).saturating_sub(vcpu.ticks());
            let next = trapped.take().unwrap_or_else(|| self.due(vcpu, bus.pins()));
            if left == 0 {
                return Exit::Budget;
            }
            let went = match next {
                Next::Direct => self.run_on(vcpu, bus, left),
                Next::Step => self.run_on(vcpu, bus, 1),
                Next::Emulate(reason, written) => {
                    // A halted guest waits; it has not left.
                    if !vcpu.activity().halted || reason != Reason::Interpreted {
                        self.exits.count(reason);
                    }
                    let went = self.emulate(vcpu, bus, written);
                    if reason == Reason::Interrupt {
                        self.acknowledge(bus, vcpu.ticks());
                    }
                    went
                }
                Next::SingleStep => {
                    self.exits.count(Reason::Exception);
                    vcpu.system_mut().dr6 |= DR6_BS;
                    let debug = event::V | event::EXCEPTION << 8 | u64::from(Vector::DB.0);
                    vcpu.inject_event(bus, debug).map(|()| None)
                }
                Next::Hypercall => {
                    self.exits.count(Reason::Hypercall);
                    self.hypercall(vcpu, bus);
                    Ok(None)
                }
                Next::CallOut => {
                    let instruction = instruction_at(vcpu, bus.memory());
                    let reason = match &instruction {
                        _ if self.translator.is_adapted(vcpu.rip() as u32) => Reason::TableWrite,
                        Some(instruction) => Reason::of(instruction),
                        None => Reason::Exception,
                    };
                    self.call_outs.count(reason);
                    self.emulate(vcpu, bus, None)
                }
            };
            match went {
                Ok(next) => trapped = next,
                Err(exit) => return exit,
            }
        }
    }

    pub(crate) fn count(&mut self, reason: Reason) {
        self.exits.count(reason);
    }

    /// What has to be emulated before the guest can run on.
    pub(crate) fn due(&self, vcpu: &Vcpu, pins: Pins) -> Next {
        let activity = vcpu.activity();
        let resume = self.resume(vcpu);
        let waits = pins.intr && vcpu.rflags() & Rflags::IF.bits() != 0;
        if resume.is_some_and(|resume| resume.busy) {
            return if waits { Next::Step } else { Next::Direct };
        }
        let busy = activity.halted || activity.shut_down || activity.debug_trap != 0;
        let shadow = activity.sti_shadow || activity.ss_shadow;
        if waits && !shadow {
            return Next::Emulate(Reason::Interrupt, None);
        }
        let projectable = deprivilege::is_projectable(vcpu.system(), vcpu.rflags(), vcpu.cpl());
        if busy || activity.nmi_pending || shadow || pins.a20_masked || !projectable {
            return Next::Emulate(Reason::Interpreted, None);
        }
        Next::Direct
    }

    /// Lets the guest's code run on the physical CPU until it traps or the budget is spent.
    fn run_on(
        &mut self,
        vcpu: &mut Vcpu,
        bus: &mut dyn Bus,
        budget: u64,
    ) -> Result<Option<Next>, Exit> {
        if self.model == Model::Translate && vcpu.cpl() == 0 {
            if !Self::is_translatable(vcpu) {
                return Ok(Some(Next::Emulate(Reason::Interpreted, None)));
            }
            // The guest's own code, where breakpoints are, does not run: they are looked for before
            // each of its instructions.
            let busy = self.resume(vcpu).is_some_and(|resume| resume.busy);
            let budget = match vcpu.at_breakpoint() {
                Some(true) if !busy => return Err(Exit::Breakpoint),
                Some(_) => 1,
                None => budget,
            };
            return self.run_translated(vcpu, bus, budget);
        }
        self.share(vcpu, bus);
        let exit = self.run_directly(vcpu, bus, budget);
        self.take_shared(vcpu, bus.memory());
        match exit {
            Exit::Exception(exception) => Ok(self.trapped(vcpu, bus, exception)),
            Exit::Budget => Ok(None),
            exit => Err(exit),
        }
    }

    /// Lets the guest's own code run, deprivileged.
    fn run_directly(&mut self, vcpu: &mut Vcpu, bus: &mut dyn Bus, budget: u64) -> Exit {
        self.world.system = deprivilege::project(vcpu.system(), vcpu.cpl(), self.umip);
        self.world.rflags = deprivilege::project_rflags(vcpu.rflags(), vcpu.cpl());
        self.shadow.activate(bus.memory(), vcpu.system(), &mut self.world);
        self.has_run = true;
        vcpu.exchange(&mut self.world);
        let exit = self.run_physical(vcpu, bus, false, budget);
        // In `world` is the guest's state now, in the vCPU the physical one.
        self.world.rflags = deprivilege::reflect_rflags(self.world.rflags, vcpu.rflags());
        deprivilege::reflect(&mut self.world.system, vcpu.system());
        vcpu.exchange(&mut self.world);
        exit
    }

    /// Code that ran directly raised an exception. What has to be emulated for it, if anything.
    pub(crate) fn trapped(
        &mut self,
        vcpu: &mut Vcpu,
        bus: &mut dyn Bus,
        fault: Exception,
    ) -> Option<Next> {
        if fault.vector == Vector::PF {
            return match self.shadow.fault(vcpu, bus, &mut self.world, fault) {
                Verdict::Filled => {
                    self.exits.count(Reason::ShadowFault);
                    None
                }
                Verdict::Emulate(reason) => Some(Next::Emulate(reason, None)),
                Verdict::Write(reason, at) => Some(Next::Emulate(reason, Some(at))),
            };
        }
        if self.model == Model::Para
            && fault.vector == Vector::UD
            && vcpu.cpl() == 0
            && vcpu.code_bytes(bus.memory()).starts_with(&VMMCALL)
        {
            return Some(Next::Hypercall);
        }
        // What POPF of user code has set. Breakpoint registers are not in use where code runs directly.
        if fault.vector == Vector::DB {
            return Some(Next::SingleStep);
        }
        let instruction = instruction_at(vcpu, bus.memory());
        let reason = instruction.as_ref().map_or(Reason::Exception, Reason::of);
        Some(Next::Emulate(reason, None))
    }
}
