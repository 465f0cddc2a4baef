//! The machine: one CPU, the board around it, and the loop that lets guest time pass.
//!
//! The loop gives the CPU the ticks up to the next deadline as its budget, lets happen what is
//! due, and skips to the deadline while the CPU is halted. The vCPU itself skips the ticks that a
//! port access takes. Whatever comes from outside enters between two instructions, at a tick that
//! can be recorded.
//!
//! Not modelled: more than one CPU; S1 to S4 sleep.

use crate::acpi::Described;
use crate::board::{Board, EventSink, PortAccess};
use crate::boot::{self, Boot};
use crate::chips::{ChipState, ChipView, Request};
use crate::config::{Config, MachineError, OnReset};
use crate::fault::Fault;
use crate::post;
use crate::stats::{ExitCounts, Stats};
use cutaway_cpu::{Bus, Exit, Pins, Touch, TraceClasses, Unimplemented, Vcpu};
use cutaway_devices::{BalloonSize, CharSink, GuestTime};
use cutaway_isa::Vector;
use cutaway_memory::{GuestMemory, PAGE_SIZE};
use cutaway_state::PageHashes;
use cutaway_vmm::{Kvm, Vm};
use serde::{Deserialize, Serialize};

/// Deadlines of chips that pass in one sleep, if none of them wakes the CPU.
const DEADLINES: u32 = 100;

/// Why [`Machine::run_until`] returned.
#[derive(Clone, Debug)]
pub enum Stop {
    /// The tick limit is reached.
    Limit,
    /// The guest waits in HLT for an interrupt, and only an input from outside can bring one.
    /// Returned instead of [`Stop::Limit`] when there is no limit (`u64::MAX`).
    Idle,
    /// HLT with interrupts off: nothing will ever wake the guest.
    Halted,
    /// The guest switched the machine off.
    PowerOff,
    /// The guest asked for a reset, and the machine does not restart by itself.
    Reset,
    /// The guest wrote to the debug exit port; the exit code it asked for.
    DebugExit(u8),
    /// Triple fault.
    Shutdown,
    /// The next instruction is at a breakpoint.
    Breakpoint,
    /// The last instruction touched a watchpoint.
    Watchpoint(Touch),
    /// The last instruction accessed a watched port.
    Port(PortAccess),
    /// An exception that was chosen to be intercepted, before its delivery.
    Exception(Vector),
    /// The guest used what is not implemented.
    Unimplemented(Box<Unimplemented>),
}

/// Something that enters the machine from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Input {
    /// Characters on the line into a serial port, 0 for COM1.
    Serial {
        /// The port.
        port: usize,
        /// The characters.
        bytes: Vec<u8>,
    },
    /// Scan codes of set 2 from the keyboard.
    Key(Vec<u8>),
    /// The power button.
    PowerButton,
    /// Something goes wrong.
    Fault(Fault),
    /// The host took so many ticks from a guest that can see it ([`Config::kvm`]).
    Stolen(u64),
    /// The host wants a balloon of so many pages of 4 KiB.
    Balloon(u32),
    /// The disk gets a medium with these contents, in place of what it has, if it fits; without
    /// bytes it is taken out.
    Disk(Vec<u8>),
    /// A host of several guests holds pages of this one by nested tables, at these guest-physical
    /// addresses: the guest may read the same, and does without the unused until it needs them.
    Hold {
        /// Pages that others have the same contents of.
        same: Vec<u64>,
        /// Pages that are taken.
        unused: Vec<u64>,
    },
}

/// Takes down all inputs, so that they can be given again.
pub trait InputLog {
    /// An input that enters at this tick, before the next instruction.
    fn record(&mut self, at: u64, input: &Input);
}

/// A PC.
pub struct Machine {
    config: Config,
    vcpu: Vcpu,
    board: Board,
    /// The monitor that runs the guest, if there is one.
    vm: Option<Vm>,
    rom_bytes: Option<u64>,
    page_hashes: PageHashes,
    input_log: Option<Box<dyn InputLog>>,
    exits: ExitCounts,
    /// Whether a halted CPU ends a run instead of letting time pass.
    yields: bool,
}

impl Machine {
    /// A machine with something to start in it, just switched on.
    pub fn new(config: Config, boot: &Boot<'_>) -> Result<Self, MachineError> {
        config.check()?;
        let config = config.with_what_the_model_needs()?;
        let circumstances = boot::Circumstances {
            sizes: config.sizes(),
            long_mode: config.cpu.has_long_mode(),
            rng_seed: config.rng_seed,
            described: Described { devices: config.devices, apics: config.cpu.has_apic() },
        };
        let (mut memory, entry) = boot::load(boot, &circumstances)?;
        let mut vcpu = Vcpu::new(config.cpu);
        let mut cpu = vcpu.save();
        cpu.random = config.cpu_seed;
        entry.apply(&mut cpu, &mut memory);
        vcpu.load(&cpu);
        let mut board = Board::new(&config, memory);
        let rom_bytes = match boot {
            Boot::Rom(image) => Some(image.len() as u64),
            Boot::Kernel { .. } => None,
        };
        if rom_bytes.is_none() {
            board.initialize_chips(&post::WRITES);
        }
        Ok(Self::of_parts(config, vcpu, board, rom_bytes))
    }

    pub(crate) fn of_parts(
        config: Config,
        vcpu: Vcpu,
        mut board: Board,
        rom_bytes: Option<u64>,
    ) -> Self {
        let options = config.virtualization();
        let mut vm = options.map(|options| Vm::new(options, board.memory_mut(), &vcpu));
        if let Some(vm) = vm.as_mut().filter(|_| config.kvm) {
            let kvm = Kvm::new(config.ips, config.rtc_start);
            vm.offer_kvm(if config.cpu.has_apic() { kvm.with_pv_eoi() } else { kvm });
        }
        let page_hashes = PageHashes::default();
        let exits = ExitCounts::default();
        let (input_log, yields) = (None, false);
        Self { config, vcpu, board, vm, rom_bytes, page_hashes, input_log, exits, yields }
    }

    /// Runs until the tick count is `limit`, or something else ends the run earlier. If the last
    /// instruction accesses a port, its bus cycle ends behind the limit.
    pub fn run_until(&mut self, limit: u64) -> Stop {
        loop {
            self.board.advance(self.ticks());
            self.board.tell_reached(&mut self.vcpu, self.vm.as_mut());
            if let Some(stop) = self.board.take_request().and_then(|r| self.serve(r)) {
                self.flush_output();
                return stop;
            }
            if let Some(access) = self.board.take_port_access() {
                return Stop::Port(access);
            }
            if self.ticks() >= limit {
                return Stop::Limit;
            }
            let until = self.board.stop_at().min(limit);
            let budget = until.saturating_sub(self.vcpu.ticks());
            let exit = match &mut self.vm {
                Some(vm) => vm.run(&mut self.vcpu, &mut self.board, budget),
                None => self.vcpu.run(&mut self.board, budget),
            };
            match exit {
                Exit::Budget => self.exits.budget += 1,
                Exit::Halt => {
                    self.exits.halt += 1;
                    if let Some(stop) = self.idle(limit) {
                        // Who yields goes on; its transmitter is not to be empty before its time.
                        if !(self.yields && matches!(stop, Stop::Idle)) {
                            self.flush_output();
                        }
                        return stop;
                    }
                }
                // Only a monitor outside asks for it; the machine goes on in the host.
                Exit::VmExit => self.exits.other += 1,
                Exit::Breakpoint => return Stop::Breakpoint,
                Exit::Watchpoint(touch) => return Stop::Watchpoint(touch),
                Exit::Exception(exception) => return Stop::Exception(exception.vector),
                exit => {
                    self.exits.other += 1;
                    self.flush_output();
                    return stop_of(exit);
                }
            }
        }
    }

    /// As [`Self::run_until`], but returns with [`Stop::Idle`] where the CPU halts: for who has
    /// other guests to run meanwhile. [`Self::sleep`] goes on from there.
    pub fn run_until_idle(&mut self, limit: u64) -> Stop {
        self.yields = true;
        let stop = self.run_until(limit);
        self.yields = false;
        stop
    }

    /// Lets time pass while the CPU is halted, up to where a chip may wake it; the ticks that takes, or
    /// nothing if only an input can wake the guest. What a chip does alone meanwhile needs no CPU.
    pub fn sleep(&mut self) -> Option<u64> {
        let from = self.ticks();
        for round in 0..DEADLINES {
            let Some(until) = self.board.deadline() else {
                // Time that has passed already has to pass for the host too.
                return (round > 0).then(|| self.ticks() - from);
            };
            self.vcpu.skip_ticks(until.saturating_sub(self.vcpu.ticks()));
            // The state is the one that a run up to there leaves.
            self.board.advance(self.ticks());
            self.board.tell_reached(&mut self.vcpu, self.vm.as_mut());
            let pins = Bus::pins(&self.board);
            if pins.intr || pins.nmi || self.board.stop_at() == 0 {
                break;
            }
        }
        Some(self.ticks() - from)
    }

    /// Lets time pass while the CPU is halted.
    fn idle(&mut self, limit: u64) -> Option<Stop> {
        if !self.vcpu.can_wake() {
            return Some(Stop::Halted);
        }
        if self.yields {
            return Some(Stop::Idle);
        }
        let until = self.board.stop_at().min(limit);
        if until == u64::MAX {
            return Some(Stop::Idle);
        }
        self.vcpu.skip_ticks(until.saturating_sub(self.vcpu.ticks()));
        None
    }

    /// Does what a chip asked for; what it cannot do ends the run.
    fn serve(&mut self, request: Request) -> Option<Stop> {
        let restarts = self.rom_bytes.is_some() && self.config.on_reset == OnReset::Restart;
        match request {
            Request::PowerOff => return Some(Stop::PowerOff),
            Request::Exit(code) => return Some(Stop::DebugExit(code)),
            Request::ResetCpu | Request::ResetBoard if !restarts => return Some(Stop::Reset),
            Request::ResetCpu => {
                self.board.touch(self.vcpu.ticks(), |chips, now, _| chips.init(now));
            }
            Request::ResetBoard => {
                self.board.touch(self.vcpu.ticks(), |chips, now, _| chips.reset(now));
                self.board.change_virtio(self.vcpu.ticks(), |virtio, _| virtio.reset());
            }
        }
        self.vcpu.reset();
        self.vm.iter_mut().for_each(Vm::reset_kvm);
        self.board.touch(self.vcpu.ticks(), |chips, now, _| chips.set_ferr(false, now));
        None
    }

    /// Ticks since power-on: instructions retired, and ticks skipped in HLT or in bus cycles.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.vcpu.ticks()
    }

    /// Guest time since power-on in nanoseconds.
    #[must_use]
    pub fn guest_ns(&self) -> u64 {
        self.board.clock().ns(self.ticks())
    }

    /// The first tick at which guest time is at least `ns`.
    #[must_use]
    pub fn ticks_of_ns(&self, ns: u64) -> u64 {
        self.board.clock().ticks(ns)
    }

    /// Whether the CPU waits in HLT.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.vcpu.save().activity.halted
    }

    /// The tick at which a chip acts by itself next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.board.deadline()
    }

    /// Gives the machine an input. It enters now, before the next instruction.
    pub fn input(&mut self, input: &Input) {
        let at = self.ticks();
        if let Some(log) = &mut self.input_log {
            log.record(at, input);
        }
        match input {
            Input::Fault(fault) => return self.suffer(fault),
            Input::Stolen(ticks) => {
                if let Some(vm) = &mut self.vm {
                    vm.steal(&mut self.vcpu, self.board.memory_mut(), *ticks);
                }
                return;
            }
            Input::Balloon(pages) => {
                return self.board.change_virtio(at, |virtio, _| virtio.want_balloon(*pages));
            }
            Input::Disk(contents) => {
                return self.board.change_virtio(at, |virtio, dma| {
                    virtio.change_disk(contents, dma);
                });
            }
            Input::Hold { same, unused } => {
                // Without nested tables there is nothing to hold a page by.
                if let Some(vm) = self.vm.as_mut().filter(|vm| vm.has_nested_tables()) {
                    vm.hold_pages(&mut self.vcpu, self.board.memory_mut(), (same, unused));
                }
                return;
            }
            _ => {}
        }
        self.board.touch(at, |chips, now, _| match input {
            Input::Serial { port, bytes } => chips.send_to_com(*port, bytes, now),
            Input::Key(scan_codes) => chips.send_key(scan_codes, now),
            Input::PowerButton => chips.press_power_button(now),
            Input::Fault(_)
            | Input::Stolen(_)
            | Input::Balloon(_)
            | Input::Disk(_)
            | Input::Hold { .. } => {}
        });
    }

    /// Characters for a serial port, 0 for COM1. They arrive at the pace of the line.
    pub fn serial_input(&mut self, port: usize, bytes: &[u8]) {
        self.input(&Input::Serial { port, bytes: bytes.to_vec() });
    }

    /// Characters for a serial port that have not reached its UART yet.
    #[must_use]
    pub fn serial_waiting(&self, port: usize) -> usize {
        self.board.chips().waiting_for_com(port)
    }

    /// Notes all inputs from now on.
    pub fn set_input_log(&mut self, log: Option<Box<dyn InputLog>>) {
        self.input_log = log;
    }

    /// Connects a serial port (0 for COM1) to the outside; there are four.
    pub fn attach_serial(&mut self, port: usize, sink: Box<dyn CharSink>) {
        if let Some(place) = self.board.sinks().com.get_mut(port) {
            *place = sink;
        }
    }

    /// Connects the debug consoles, ports E9h and 402h, to the outside.
    pub fn attach_debug_console(&mut self, sink: Box<dyn CharSink>) {
        self.board.sinks().debug = sink;
    }

    /// Brings out the characters that serial ports still hold. A run that ends for good has done
    /// it already; after [`Stop::Limit`] it is for the caller, if the machine shall not go on.
    pub fn flush_output(&mut self) {
        self.board.touch(self.vcpu.ticks(), |chips, now, sinks| chips.flush(now, sinks));
    }

    /// Reports these classes of events to `sink` from now on.
    pub fn set_trace(&mut self, classes: TraceClasses, sink: Option<Box<dyn EventSink>>) {
        self.vcpu.set_trace(classes);
        self.board.set_events(sink);
    }

    /// Instructions retired so far.
    #[must_use]
    pub fn instructions(&self) -> u64 {
        self.vcpu.retired()
    }

    /// What the machine did so far; it counts the pages that were touched.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counts = self.board.counts();
        Stats {
            instructions: self.instructions(),
            ticks: self.ticks(),
            guest_ns: self.guest_ns(),
            exits_budget: self.exits.budget,
            exits_halt: self.exits.halt,
            exits_other: self.exits.other,
            interrupts: counts.interrupts,
            deadlines: counts.deadlines,
            port_reads: counts.port_reads,
            port_writes: counts.port_writes,
            mmio_reads: counts.mmio_reads,
            mmio_writes: counts.mmio_writes,
            touched_bytes: self.board.memory_ref().touched_pages().count() as u64 * PAGE_SIZE,
        }
    }

    /// The chips that can be looked into, with what each shows of itself now.
    #[must_use]
    pub fn chips(&self) -> Vec<ChipView> {
        self.chip_state().views()
    }

    /// The chips at this instant, to be looked at when the machine has gone on.
    #[must_use]
    pub fn chip_state(&self) -> ChipState {
        let (chips, virtio) = (self.board.chips().clone(), self.board.virtio().clone());
        ChipState { chips, virtio, now: GuestTime::from_ns(self.guest_ns()) }
    }

    /// The balloon of a guest whose driver is at work.
    #[must_use]
    pub fn balloon(&self) -> Option<BalloonSize> {
        self.board.virtio().balloon()
    }

    /// What is on the disk's medium; empty if there is none.
    #[must_use]
    pub fn disk_contents(&self) -> Vec<u8> {
        let (bytes, _) = self.board.virtio().disk().unwrap_or_default();
        let mut contents = vec![0; bytes as usize];
        let memory = self.board.memory_ref();
        memory.backing().read(memory.mapped_bytes() as usize, &mut contents);
        contents
    }

    /// The most bytes that a medium of the disk can have; zero if there is no disk.
    #[must_use]
    pub fn disk_room(&self) -> u64 {
        self.board.virtio().disk().map_or(0, |(_, room)| room)
    }

    /// The last code that the guest wrote to the POST port, 80h.
    #[must_use]
    pub fn post_code(&self) -> u8 {
        self.board.chips().post_code()
    }

    /// The CPU.
    #[must_use]
    pub fn vcpu(&self) -> &Vcpu {
        &self.vcpu
    }

    /// The CPU, to change it. What is changed so is in no input log.
    pub fn vcpu_mut(&mut self) -> &mut Vcpu {
        &mut self.vcpu
    }

    /// Guest memory.
    #[must_use]
    pub fn memory(&self) -> &GuestMemory {
        self.board.memory_ref()
    }

    /// The input pins of the CPU, as the board drives them now.
    #[must_use]
    pub fn pins(&self) -> Pins {
        Bus::pins(&self.board)
    }

    /// The monitor that runs the guest by [`Config::model`].
    #[must_use]
    pub fn vm(&self) -> Option<&Vm> {
        self.vm.as_ref()
    }

    /// Writes RAM from outside, as a device would; CPU and monitor take notice.
    pub(crate) fn write_memory(&mut self, address: u64, bytes: &[u8]) {
        self.board.write_memory(address, bytes);
        self.board.tell_reached(&mut self.vcpu, self.vm.as_mut());
    }

    pub(crate) fn vm_and_memory(&mut self) -> Option<(&mut Vm, &mut GuestMemory)> {
        self.vm.as_mut().map(|vm| (vm, self.board.memory_mut()))
    }

    pub(crate) fn parts(&mut self) -> (&mut Vcpu, &mut Board) {
        (&mut self.vcpu, &mut self.board)
    }

    pub(crate) fn board(&self) -> &Board {
        &self.board
    }

    pub(crate) fn rom_bytes(&self) -> Option<u64> {
        self.rom_bytes
    }

    pub(crate) fn page_hashes(&mut self) -> &mut PageHashes {
        &mut self.page_hashes
    }

    /// CPU and bus, for those who look through the CPU's eyes (translate an address, step).
    pub fn vcpu_and_bus(&mut self) -> (&mut Vcpu, &mut dyn Bus) {
        (&mut self.vcpu, &mut self.board)
    }

    /// The machine's configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("config", &self.config)
            .field("ticks", &self.ticks())
            .finish_non_exhaustive()
    }
}

fn stop_of(exit: Exit) -> Stop {
    match exit {
        Exit::Shutdown => Stop::Shutdown,
        Exit::Unimplemented(what) => Stop::Unimplemented(what),
        _ => unreachable!("the event loop has its own way with the others"),
    }
}

#[cfg(test)]
mod noise_tests;
#[cfg(test)]
mod tests;
