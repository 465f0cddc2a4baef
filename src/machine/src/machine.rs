//! The machine: one CPU, the board around it, and the loop that lets guest time pass.
//!
//! The loop gives the CPU the ticks up to the next deadline as its budget, lets happen what is
//! due, and skips to the deadline while the CPU is halted. The vCPU itself skips the ticks that a
//! port access takes. Whatever comes from outside enters between two instructions, at a tick that
//! can be recorded.
//!
//! Not modelled: more than one CPU; S1 to S4 sleep.

use crate::board::{Board, EventSink};
use crate::boot::{self, Boot};
use crate::chips::Request;
use crate::config::{Config, MachineError, OnReset};
use crate::post;
use crate::stats::{ExitCounts, Stats};
use cutaway_cpu::{Bus, Exit, TraceClasses, Unimplemented, Vcpu};
use cutaway_devices::CharSink;
use cutaway_isa::Vector;
use cutaway_memory::{GuestMemory, PAGE_SIZE};
use cutaway_state::{Section, StateError, StateHash, StateHasher};

/// Why [`Machine::run_until`] returned.
#[derive(Debug)]
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
    /// An exception that was chosen to be intercepted, before its delivery.
    Exception(Vector),
    /// The guest used what is not implemented.
    Unimplemented(Box<Unimplemented>),
}

/// Something that enters the machine from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    has_rom: bool,
    input_log: Option<Box<dyn InputLog>>,
    exits: ExitCounts,
}

impl Machine {
    /// A machine with something to start in it, just switched on.
    pub fn new(config: Config, boot: &Boot<'_>) -> Result<Self, MachineError> {
        config.check()?;
        let circumstances = boot::Circumstances {
            memory_bytes: config.memory_bytes,
            long_mode: config.cpu.has_long_mode(),
            rng_seed: config.rng_seed,
        };
        let (mut memory, entry) = boot::load(boot, &circumstances)?;
        let mut vcpu = Vcpu::new(config.cpu);
        let mut cpu = vcpu.save();
        cpu.random = config.cpu_seed;
        entry.apply(&mut cpu, &mut memory);
        vcpu.load(&cpu);
        let mut board = Board::new(&config, memory);
        let has_rom = matches!(boot, Boot::Rom(_));
        if !has_rom {
            board.initialize_chips(&post::WRITES);
        }
        Ok(Self { config, vcpu, board, has_rom, input_log: None, exits: ExitCounts::default() })
    }

    /// Runs until the tick count is `limit`, or something else ends the run earlier. If the last
    /// instruction accesses a port, its bus cycle ends behind the limit.
    pub fn run_until(&mut self, limit: u64) -> Stop {
        loop {
            self.board.advance(self.ticks());
            if let Some(stop) = self.board.take_request().and_then(|r| self.serve(r)) {
                self.flush_output();
                return stop;
            }
            if self.ticks() >= limit {
                return Stop::Limit;
            }
            let until = self.board.stop_at().min(limit);
            match self.vcpu.run(&mut self.board, until.saturating_sub(self.vcpu.ticks())) {
                Exit::Budget => self.exits.budget += 1,
                Exit::Halt => {
                    self.exits.halt += 1;
                    if let Some(stop) = self.idle(limit) {
                        self.flush_output();
                        return stop;
                    }
                }
                exit => {
                    self.exits.other += 1;
                    self.flush_output();
                    return stop_of(exit);
                }
            }
        }
    }

    /// Lets time pass while the CPU is halted.
    fn idle(&mut self, limit: u64) -> Option<Stop> {
        if !self.vcpu.can_wake() {
            return Some(Stop::Halted);
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
        let restarts = self.has_rom && self.config.on_reset == OnReset::Restart;
        match request {
            Request::PowerOff => return Some(Stop::PowerOff),
            Request::Exit(code) => return Some(Stop::DebugExit(code)),
            Request::ResetCpu | Request::ResetBoard if !restarts => return Some(Stop::Reset),
            Request::ResetCpu => {}
            Request::ResetBoard => {
                self.board.touch(self.vcpu.ticks(), |chips, now, _| chips.reset(now));
            }
        }
        self.vcpu.reset();
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
        self.board.touch(at, |chips, now, _| match input {
            Input::Serial { port, bytes } => chips.send_to_com(*port, bytes, now),
            Input::Key(scan_codes) => chips.send_key(scan_codes, now),
            Input::PowerButton => chips.press_power_button(now),
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

    /// What the machine did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counts = self.board.counts();
        Stats {
            instructions: self.vcpu.retired(),
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

    /// CPU and bus, for those who look through the CPU's eyes (translate an address, step).
    pub fn vcpu_and_bus(&mut self) -> (&mut Vcpu, &mut dyn Bus) {
        (&mut self.vcpu, &mut self.board)
    }

    /// The machine's configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The state of CPU and chips; guest memory is not in it.
    pub fn sections(&self) -> Result<Vec<Section>, StateError> {
        let c = &self.config;
        let configuration = (c.memory_bytes, c.cpu.name(), c.ips, c.debug_exit, self.has_rom);
        let mut sections = vec![
            Section::encode("machine", 1, &configuration)?,
            Section::encode("cpu0", 1, &self.vcpu.save())?,
        ];
        sections.extend(self.board.chips().sections()?);
        Ok(sections)
    }

    /// The hash of everything a guest can see. Equal machines have equal hashes, on every host.
    pub fn state_hash(&self) -> Result<StateHash, StateError> {
        let mut hasher = StateHasher::new();
        for section in self.sections()? {
            hasher.section(&section);
        }
        let memory = self.memory();
        let mut page = vec![0; PAGE_SIZE as usize];
        for offset in memory.touched_pages() {
            memory.backing().read(offset, &mut page);
            hasher.page(offset as u64, &page);
        }
        Ok(hasher.finish())
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
        Exit::Exception(exception) => Stop::Exception(exception.vector),
        Exit::Budget | Exit::Halt => unreachable!("the event loop goes on after these"),
    }
}

#[cfg(test)]
mod noise_tests;
#[cfg(test)]
mod tests;
