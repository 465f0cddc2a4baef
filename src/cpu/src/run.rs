//! The outer loop: [`Vcpu::run`].
//!
//! Between blocks it looks at interrupts, traps and the budget; it enters the chain of fast
//! handlers, and runs one instruction at a time where the chain cannot go: what a handler gave
//! up, the tail of a budget, single steps, interrupt shadows.

use crate::block::UNLINKED;
use crate::exception::{Exception, Fault};
use crate::exec::Exec;
use crate::fast::{self, Stop};
use crate::interrupt::{Delivery, Source};
use crate::paging::{Access, Translation};
use crate::svm::exit;
use crate::tlb::Fill;
use crate::translate::exec_of;
use crate::vcpu::{Mode, RIP, TraceClasses};
use crate::{Bus, Event, Exit, Vcpu};
use cutaway_isa::{
    DecodeError, Dr6, FlowControl, Instruction, MAX_LENGTH, Rflags, Vector, decode, disassemble,
};
use cutaway_memory::PageKind;

/// How the outer loop goes on.
enum Next {
    /// From the top.
    Again,
    /// Into the chain at this operation, which has been charged.
    Chain(u32),
}

/// An instruction out of memory.
struct Fetched {
    instruction: Instruction,
    len: usize,
    /// Bytes of it came from a device.
    from_device: bool,
}

impl Vcpu {
    /// Executes at most `budget` instructions; each iteration of a repeated string instruction and
    /// each delivery of an exception or interrupt counts as one. Returns why it stopped;
    /// [`Vcpu::ticks`] says exactly when.
    pub fn run(&mut self, bus: &mut dyn Bus, budget: u64) -> Exit {
        self.take_up_memory(bus);
        self.limit = self.ticks.saturating_add(budget).min(bus.stop_at());
        self.look_at_pins(bus);
        self.settle_space();
        self.attention = true;
        if self.activity.shut_down {
            return Exit::Shutdown;
        }
        loop {
            match self.advance(bus) {
                Ok(Next::Again) => {}
                Ok(Next::Chain(first)) => {
                    if let Err(exit) = self.chain(bus, first) {
                        return exit;
                    }
                }
                Err(exit) => return exit,
            }
        }
    }

    /// What is due between two instructions, then the way on.
    fn advance(&mut self, bus: &mut dyn Bus) -> Result<Next, Exit> {
        if self.attention
            && let Some(touch) = self.stops.touch.take()
        {
            return Err(Exit::Watchpoint(touch));
        }
        if self.limit <= self.ticks {
            return Err(Exit::Budget);
        }
        if self.attention && self.attend(bus)? {
            return Ok(Next::Again);
        }
        if self.must_step() {
            self.step(bus)?;
            return Ok(Next::Again);
        }
        let first = match self.find_block(bus) {
            Ok(Some(first)) => first,
            Ok(None) => {
                self.step(bus)?;
                return Ok(Next::Again);
            }
            Err(Fault::Exception(e)) => {
                self.raise(bus, e)?;
                return Ok(Next::Again);
            }
            Err(Fault::World) => {
                self.switch_world(bus)?;
                return Ok(Next::Again);
            }
            Err(Fault::Exit | Fault::Wait) => return Err(self.take_exit()),
        };
        let count = i64::from(self.blocks.op(first).left);
        let left = self.budget_left();
        if left < count || self.crosses_limit(first) {
            self.step_through(bus, first)?;
            return Ok(Next::Again);
        }
        self.left = left - count;
        self.r[RIP] = self.rip;
        Ok(Next::Chain(first))
    }

    fn budget_left(&self) -> i64 {
        i64::try_from(self.limit.saturating_sub(self.ticks)).unwrap_or(i64::MAX)
    }

    /// Interrupts, NMI, debug traps, halt: SDM vol. 3A §6.9, table 6-2, in its order. Returns
    /// whether one was delivered, which took a tick; there may be more to look at.
    fn attend(&mut self, bus: &mut dyn Bus) -> Result<bool, Exit> {
        self.attention = false;
        if self.svm.guest.is_some() && self.inject(bus)? {
            return Ok(true);
        }
        let mut trap = std::mem::take(&mut self.activity.debug_trap);
        if !self.svm.gif {
            // Breakpoints are dropped, single steps are not (AMD APM vol. 2 §15.17).
            trap &= Dr6::BS.bits();
        }
        if trap != 0 && self.activity.ss_shadow {
            self.activity.debug_trap = trap;
        } else if trap != 0 {
            self.system.dr6 |= trap;
            self.attention = true;
            return self.raise(bus, Exception::DB).map(|()| true);
        }
        let shadow = self.activity.sti_shadow || self.activity.ss_shadow;
        if shadow || self.lazy.known.contains(Rflags::TF) {
            self.attention = true;
        }
        let nmi = self.activity.nmi_pending && !self.activity.nmi_blocked;
        if nmi && !self.activity.ss_shadow && self.svm.gif {
            if self.intercepts(exit::NMI) {
                return self.leave(bus, exit::NMI).map(|()| true);
            }
            self.activity.nmi_pending = false;
            self.activity.nmi_blocked = true;
            self.attention = true;
            return self.external(bus, Vector::NMI, "nmi").map(|()| true);
        }
        if self.pins.intr && self.physical_interrupts_open() && !shadow {
            if self.intercepts(exit::INTR) {
                return self.leave(bus, exit::INTR).map(|()| true);
            }
            let vector = bus.acknowledge(self.ticks);
            self.limit = self.limit.min(bus.stop_at());
            self.look_at_pins(bus);
            // The next one may already be waiting.
            self.attention = true;
            return self.external(bus, vector, "external").map(|()| true);
        }
        if self.svm.guest.is_some() && !shadow && self.attend_virtual(bus)? {
            return Ok(true);
        }
        if self.activity.halted {
            self.attention = true;
            return Err(Exit::Halt);
        }
        Ok(false)
    }

    /// IRET ends the blocking of NMIs; one that waited comes before the next instruction.
    pub(crate) fn unblock_nmi(&mut self) {
        self.activity.nmi_blocked = false;
        self.attention |= self.activity.nmi_pending;
    }

    pub(crate) fn external(
        &mut self,
        bus: &mut dyn Bus,
        vector: Vector,
        source: &'static str,
    ) -> Result<(), Exit> {
        if self.traces(TraceClasses::INT) {
            self.report(bus, vector, None, source, None);
        }
        let d = Delivery {
            vector,
            source: Source::External,
            error_code: None,
            rip: self.rip,
            resume: self.lazy.known.contains(Rflags::RF),
        };
        match self.deliver(bus, d) {
            Ok(()) => {
                // Counted as in `raise`: a line that stays up would interrupt for ever, where its
                // gate leaves IF alone.
                self.ticks += 1;
                Ok(())
            }
            Err(Fault::Exception(e)) => self.raise(bus, e),
            Err(Fault::World) => self.switch_world(bus),
            Err(Fault::Exit | Fault::Wait) => Err(self.take_exit()),
        }
    }

    /// Whether instructions must be run one at a time.
    fn must_step(&self) -> bool {
        let flags = self.lazy.known;
        flags.intersects(Rflags::TF | Rflags::RF)
            || self.activity.sti_shadow
            || self.activity.ss_shadow
            || self.system.dr7 & 0xff != 0
            || self.traces(TraceClasses::EXEC)
    }

    /// The linear address of an instruction fetch, with the limit check of its first byte.
    fn fetch_address(&self, offset: u64) -> Result<u64, Fault> {
        let cs = self.segment(crate::state::Seg::Cs);
        if self.is_64_bit() {
            if crate::access::is_canonical(offset) {
                Ok(offset)
            } else {
                Err(Exception::GP0.into())
            }
        } else if offset > u64::from(cs.limit) {
            Err(Exception::GP0.into())
        } else {
            Ok(cs.base.wrapping_add(offset) & 0xffff_ffff)
        }
    }

    /// Translates for a fetch; the backing offset where the page is memory, else the physical
    /// address.
    fn fetch(&mut self, bus: &mut dyn Bus, linear: u64) -> Result<Result<usize, u64>, Fault> {
        let user = self.is_user();
        if let Some((offset, global)) = self.tlb.fetch(user, linear) {
            self.note_code(user, global);
            return Ok(Ok(offset));
        }
        let found = self.walk(bus, linear, Access::Fetch, user)?;
        let physical = self.physical(found.physical);
        if self.traces(TraceClasses::MMU) {
            let (write, fetch) = (false, true);
            bus.trace(&Event::PageWalk { at: self.ticks, linear, physical, write, fetch });
        }
        Ok(match bus.memory().page(physical) {
            PageKind::Ram(offset) | PageKind::Rom(offset) => {
                let Translation { global, page_bits, .. } = found;
                let fill = Fill { offset, writable: false, told: true, global, page_bits };
                self.svm_work.counts.fills += 1;
                if self.tlb.fill_fetch(user, linear, fill) {
                    self.blocks.unlink(true);
                    self.restamp();
                }
                self.note_code(user, global);
                Ok(offset + (linear & 0xfff) as usize)
            }
            PageKind::Device => Err(physical),
        })
    }

    /// Supervisor code outside global pages ends the time in which its links outlive CR3.
    fn note_code(&mut self, user: bool, global: bool) {
        if self.global_code && !user && !global {
            self.global_code = false;
            self.restamp();
        }
    }

    fn find_block(&mut self, bus: &mut dyn Bus) -> Result<Option<u32>, Fault> {
        if let Some(first) = self.blocks.jump(self.rip, self.stamp)
            && !self.blocks.is_gone(first)
        {
            return Ok(Some(first));
        }
        let linear = self.fetch_address(self.rip)?;
        let Ok(backing) = self.fetch(bus, linear)? else { return Ok(None) };
        let first = self.block(backing);
        if let Some(first) = first.filter(|_| self.stamp & UNLINKED == 0) {
            self.blocks.set_jump(self.rip, self.stamp, first);
        }
        Ok(first)
    }

    /// In code with a limit: whether the block reaches beyond it.
    fn crosses_limit(&self, first: u32) -> bool {
        if !self.mode.contains(Mode::LIMITED) {
            return false;
        }
        let count = u32::from(self.blocks.op(first).left);
        let end = self.rip + u64::from(self.blocks.op(first + count - 1).next);
        end > u64::from(self.segment(crate::state::Seg::Cs).limit) + 1
    }

    /// Runs the chain until something has to be looked at.
    fn chain(&mut self, bus: &mut dyn Bus, mut first: u32) -> Result<(), Exit> {
        loop {
            match fast::run(self, first) {
                Stop::Slow => {
                    let index = self.blocks.index_of(self.at);
                    match self.slow(bus, index)? {
                        Some(next) => first = next,
                        None => return Ok(()),
                    }
                }
                Stop::Link { links, which } => {
                    self.ticks = self.limit_minus_left();
                    // The next page must not be walked before what is due at the limit.
                    if self.attention || self.left <= 0 || self.stamp & UNLINKED != 0 {
                        return Ok(());
                    }
                    let stamp = self.stamp;
                    let Ok(Some(next)) = self.find_block_again(bus) else { return Ok(()) };
                    // Decoding may have emptied the arena, and the links with it.
                    if self.stamp == stamp {
                        self.blocks.set_link(links, which, stamp, next);
                    }
                    match self.enter_block(next) {
                        Some(next) => first = next,
                        None => return Ok(()),
                    }
                }
                Stop::Indirect => {
                    self.ticks = self.limit_minus_left();
                    return Ok(());
                }
            }
        }
    }

    fn limit_minus_left(&self) -> u64 {
        self.limit - self.left.max(0) as u64
    }

    /// `find_block` for the middle of the chain: a fault is left for `advance` to meet again.
    fn find_block_again(&mut self, bus: &mut dyn Bus) -> Result<Option<u32>, ()> {
        match self.find_block(bus) {
            Ok(first) => Ok(first),
            Err(_) => {
                self.exit = None;
                self.svm_work.world = None;
                Err(())
            }
        }
    }

    /// Charges a block and enters it, if the budget covers it.
    fn enter_block(&mut self, first: u32) -> Option<u32> {
        let count = i64::from(self.blocks.op(first).left);
        if self.left < count || self.must_step() {
            return None;
        }
        self.left -= count;
        self.r[RIP] = self.rip;
        Some(first)
    }

    /// Runs the operation that the chain stopped at. Returns the operation to go on with, if
    /// nothing happened that needs looking at.
    fn slow(&mut self, bus: &mut dyn Bus, index: u32) -> Result<Option<u32>, Exit> {
        let op = *self.blocks.op(index);
        let stamp = self.stamp;
        self.rip = self.r[RIP].wrapping_add(u64::from(op.next) - u64::from(op.len));
        if !self.is_64_bit() {
            self.rip &= 0xffff_ffff;
        }
        self.ticks = self.limit - (self.left + i64::from(op.left)).max(0) as u64;
        let cold = self.blocks.cold(index);
        let (instruction, run) = (cold.instruction, cold.run);
        let straight = self.rip.wrapping_add(u64::from(op.len));
        let completed = self.execute(bus, &instruction, run, usize::from(op.len))?;
        let undisturbed =
            completed && self.rip == straight && self.stamp == stamp && !self.attention;
        if !undisturbed || op.left == 1 && !self.goes_on(index) {
            return Ok(None);
        }
        // What is left after the instructions of this block that are still to come.
        self.left = self.budget_left() - i64::from(op.left - 1);
        Ok((self.left >= 0).then_some(index + 1))
    }

    /// Whether another operation stands behind the last instruction of a block.
    fn goes_on(&self, index: u32) -> bool {
        self.blocks.follows(index)
    }

    /// Runs one instruction completely, delivers what it raises and counts it. Returns whether
    /// it completed.
    fn execute(
        &mut self,
        bus: &mut dyn Bus,
        instruction: &Instruction,
        run: crate::exec::ExecFn,
        len: usize,
    ) -> Result<bool, Exit> {
        let next = self.rip.wrapping_add(len as u64);
        let next = if self.is_64_bit() { next } else { next & 0xffff_ffff };
        if self.svm.guest.is_some() {
            return self.execute_in_guest(bus, instruction, run, next);
        }
        self.complete(bus, instruction, run, next)
    }

    /// `execute`, after what only a guest has to be asked.
    pub(crate) fn complete(
        &mut self,
        bus: &mut dyn Bus,
        instruction: &Instruction,
        run: crate::exec::ExecFn,
        next: u64,
    ) -> Result<bool, Exit> {
        let mut exec = Exec { cpu: &mut *self, bus: &mut *bus, instruction, next };
        match run(&mut exec) {
            Ok(()) => {
                let next = exec.next;
                self.rip = next;
                self.settle_ferr(bus);
                self.ticks += 1;
                Ok(true)
            }
            Err(Fault::Exception(e)) => {
                self.activity.sti_shadow = false;
                self.activity.ss_shadow = false;
                self.raise(bus, e).map(|()| false)
            }
            Err(Fault::World) => self.switch_world(bus).map(|()| false),
            Err(Fault::Wait) => Ok(false),
            Err(Fault::Exit) => Err(self.take_exit()),
        }
    }

    /// The instructions of a block one by one, as far as the budget reaches.
    fn step_through(&mut self, bus: &mut dyn Bus, first: u32) -> Result<(), Exit> {
        let count = u32::from(self.blocks.op(first).left);
        let stamp = self.stamp;
        for index in first..first + count {
            if self.limit <= self.ticks {
                return Ok(());
            }
            let len = usize::from(self.blocks.op(index).len);
            if self.check_fetch_limit(len).is_err() {
                return self.raise(bus, Exception::GP0);
            }
            let cold = self.blocks.cold(index);
            let (instruction, run) = (cold.instruction, cold.run);
            let straight = self.rip.wrapping_add(len as u64);
            let completed = self.execute(bus, &instruction, run, len)?;
            if !completed || self.rip != straight || self.stamp != stamp || self.attention {
                return Ok(());
            }
        }
        Ok(())
    }

    /// All bytes of an instruction must lie inside the code segment.
    fn check_fetch_limit(&self, len: usize) -> Result<(), Fault> {
        let limit = u64::from(self.segment(crate::state::Seg::Cs).limit);
        let outside = !self.is_64_bit() && self.rip + len as u64 > limit + 1;
        if outside { Err(Exception::GP0.into()) } else { Ok(()) }
    }

    /// Runs the instruction at RIP with all that single steps and breakpoints need.
    fn step(&mut self, bus: &mut dyn Bus) -> Result<(), Exit> {
        let flags = self.lazy.known;
        let shadowed = self.activity.sti_shadow || self.activity.ss_shadow;
        let mut alone = false;
        if let Ok(linear) = self.fetch_address(self.rip) {
            alone = self.stops.is_place(linear as usize);
            if alone && self.stops.meets(linear, self.ticks) {
                return Err(Exit::Breakpoint);
            }
        }
        if !flags.contains(Rflags::RF) && self.meets_breakpoint() {
            return self.raise(bus, Exception::DB);
        }
        let Fetched { instruction, len, from_device } = match self.fetch_instruction(bus) {
            Ok(found) => found,
            Err(Fault::Exception(e)) => return self.raise(bus, e),
            Err(Fault::World) => return self.switch_world(bus),
            Err(Fault::Exit | Fault::Wait) => return Err(self.take_exit()),
        };
        if self.traces(TraceClasses::EXEC) {
            let cs = self.segment(crate::state::Seg::Cs).selector;
            let (at, rip) = (self.ticks, self.rip);
            let mut shown = instruction;
            shown.set_ip(rip);
            bus.trace(&Event::Instruction { at, cs, rip, text: disassemble(&shown) });
        }
        if shadowed {
            // The shadow covers this instruction only.
            self.activity.sti_shadow = false;
            self.activity.ss_shadow = false;
            self.attention = true;
        }
        let run = exec_of(self, &instruction);
        let limit = self.limit;
        if from_device || alone {
            // A repeated instruction is fetched, and stopped at, for each iteration, wherever
            // slices end.
            self.limit = limit.min(self.ticks + 1);
        }
        self.svm_work.shadowed = shadowed;
        let completed = self.execute(bus, &instruction, run, len);
        self.svm_work.shadowed = false;
        self.limit = limit.min(bus.stop_at());
        if completed? {
            // RF lasts for one instruction, unless that was IRET or POPF setting it.
            if flags.contains(Rflags::RF) && self.lazy.known.contains(Rflags::RF) {
                let now = self.lazy.rflags().difference(Rflags::RF);
                self.lazy.set_rflags(now);
            }
            // A software interrupt clears TF; the first trap is that behind its handler.
            // INTO with OF clear is no interrupt.
            let interrupts = instruction.flow_control() == FlowControl::Interrupt
                && !self.lazy.known.contains(Rflags::TF);
            if flags.contains(Rflags::TF) && !interrupts {
                self.activity.debug_trap |= Dr6::BS.bits();
                self.attention = true;
            }
        }
        Ok(())
    }

    /// Whether an enabled instruction breakpoint lies at CS:RIP; puts it into DR6.
    fn meets_breakpoint(&mut self) -> bool {
        let Ok(linear) = self.fetch_address(self.rip) else { return false };
        if !self.svm.gif {
            return false;
        }
        let mut met = 0;
        for n in 0..4 {
            let enabled = self.system.dr7 >> (2 * n) & 3 != 0;
            let execution = self.system.dr7 >> (16 + 4 * n) & 3 == 0;
            if enabled && execution && self.system.dr[n as usize] == linear {
                met |= 1 << n;
            }
        }
        self.system.dr6 |= met;
        met != 0
    }

    /// Reads and decodes the instruction at RIP, which may lie across pages and in devices. An
    /// undecodable one comes back as the default instruction.
    fn fetch_instruction(&mut self, bus: &mut dyn Bus) -> Result<Fetched, Fault> {
        let mut from_device = false;
        let mut bytes = [0; MAX_LENGTH];
        let mut have = 0;
        loop {
            // Fetch up to a page end, decode, and go on only if bytes are missing.
            let offset = self.rip.wrapping_add(have as u64);
            let linear = self.fetch_address(offset)?;
            let room = (0x1000 - (linear & 0xfff)) as usize;
            let count = room.min(MAX_LENGTH - have).min(self.bytes_to_limit(offset));
            let part = &mut bytes[have..have + count];
            match self.fetch(bus, linear)? {
                Ok(backing) => self.ram.read(backing, part),
                Err(physical) => {
                    from_device = true;
                    for (n, byte) in part.iter_mut().enumerate() {
                        *byte = bus.mmio_read(
                            physical + n as u64,
                            cutaway_isa::Width::Byte,
                            self.ticks,
                        ) as u8;
                    }
                    self.after_device(bus);
                }
            }
            have += count;
            match decode(self.mode.code_size(), &bytes[..have], 0) {
                Ok(instruction) => {
                    return Ok(Fetched { instruction, len: instruction.len(), from_device });
                }
                Err(DecodeError::NeedsMore) if have < MAX_LENGTH => {}
                Err(DecodeError::NeedsMore | DecodeError::TooLong) => {
                    return Err(Exception::GP0.into());
                }
                Err(DecodeError::Invalid) => {
                    return Ok(Fetched {
                        instruction: Instruction::default(),
                        len: 1,
                        from_device,
                    });
                }
            }
        }
    }

    fn bytes_to_limit(&self, offset: u64) -> usize {
        if self.is_64_bit() {
            return 15;
        }
        let limit = u64::from(self.segment(crate::state::Seg::Cs).limit);
        (limit + 1 - offset).min(15) as usize
    }
}
