//! The board as the CPU's pins reach it: memory, ports, interrupts, and the next deadline.
//!
//! Sources: IBM PC/AT Technical Reference, "I/O Channel"; Intel 82371AB (PIIX4) datasheet.
//! Ports: accesses wider than a byte become one byte access each, lowest port first, as an ISA
//! bus does it. Ports without a chip read as ones and drop what is written.
//! Time: a port access takes as long as a bus cycle, during which the CPU waits. Guests count on
//! it (Linux reads a port to let a microsecond pass), and polling takes fewer instructions.
//! Not modelled: PCI (its configuration ports answer as an empty board's would); in device memory there
//! are virtio devices and APICs alone.

use crate::chips::{Chip, Chips, Request, Sinks, decode};
use crate::config::Config;
use crate::save::RestoreError;
use crate::stats::BoardCounts;
use crate::time::Clock;
use crate::virtio::{self, BoardDma, Reached, Virtio};
use cutaway_cpu::{Bus, Event, Pins, Vcpu};
use cutaway_devices::{Dma, GuestTime, Lapic, OPEN_BUS};
use cutaway_isa::{Vector, Width};
use cutaway_memory::GuestMemory;
use cutaway_state::{Section, State, StateError};
use cutaway_vmm::Vm;
use std::ops::RangeInclusive;

/// How long a port access keeps the ISA bus busy: an 8-bit cycle of six clocks at 8.33 MHz and the
/// recovery time behind it. Chips and drivers rely on it: a 8254 takes a new count with its next
/// clock, 838 ns later at most, and software that polls counts its polls.
const PORT_CYCLE_NS: u64 = 1_000;

/// Takes the events that a CPU reports while it runs.
pub trait EventSink {
    /// One event, in the order in which they happen.
    fn event(&mut self, event: &Event);
}

/// An access to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortAccess {
    /// The port.
    pub port: u16,
    /// How wide.
    pub width: Width,
    /// Whether the guest wrote.
    pub write: bool,
    /// The value.
    pub value: u32,
    /// Ticks before the instruction.
    pub at: u64,
}

/// Everything around the CPU.
pub(crate) struct Board {
    memory: GuestMemory,
    chips: Chips,
    virtio: Virtio,
    /// Where devices have reached into memory, until the CPU is told.
    reached: Vec<Reached>,
    clock: Clock,
    debug_exit: Option<u16>,
    /// The tick of the next event, `u64::MAX` if there is none.
    deadline: u64,
    /// [`PORT_CYCLE_NS`] in ticks.
    port_cycle: u64,
    /// What a chip asked of the machine; the machine takes it.
    request: Option<Request>,
    watched_ports: Vec<RangeInclusive<u16>>,
    port_access: Option<PortAccess>,
    sinks: Sinks,
    events: Option<Box<dyn EventSink>>,
    counts: BoardCounts,
}

impl Board {
    pub(crate) fn new(config: &Config, memory: GuestMemory) -> Self {
        let clock = Clock::new(config.ips);
        let mut board = Self {
            memory,
            chips: Chips::new(config),
            virtio: Virtio::new(&config.devices),
            reached: Vec::new(),
            clock,
            debug_exit: config.debug_exit,
            deadline: u64::MAX,
            port_cycle: clock.ticks(PORT_CYCLE_NS),
            request: None,
            watched_ports: Vec::new(),
            port_access: None,
            sinks: Sinks::unconnected(),
            events: None,
            counts: BoardCounts::default(),
        };
        board.settle();
        board
    }

    /// Writes bytes to ports before the first instruction, in no time.
    pub(crate) fn initialize_chips(&mut self, writes: &[(u16, u8)]) {
        for &(address, value) in writes {
            if let Some(selected) = self.select(address, Width::Byte) {
                self.chips.write(selected, value, GuestTime::ZERO, &mut self.sinks);
            }
        }
        self.settle();
    }

    pub(crate) fn chips(&self) -> &Chips {
        &self.chips
    }

    pub(crate) fn sinks(&mut self) -> &mut Sinks {
        &mut self.sinks
    }

    pub(crate) fn set_events(&mut self, sink: Option<Box<dyn EventSink>>) {
        self.events = sink;
    }

    pub(crate) fn memory_ref(&self) -> &GuestMemory {
        &self.memory
    }

    pub(crate) fn counts(&self) -> &BoardCounts {
        &self.counts
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// The tick of the next event.
    pub(crate) fn deadline(&self) -> Option<u64> {
        (self.deadline != u64::MAX).then_some(self.deadline)
    }

    /// What a chip asked for since the last call.
    pub(crate) fn take_request(&mut self) -> Option<Request> {
        self.request.take()
    }

    /// The state of everything but memory.
    pub(crate) fn sections(&self) -> Result<Vec<Section>, StateError> {
        let mut sections = vec![Section::encode("request", 1, &self.request)?];
        sections.extend(self.chips.sections()?);
        sections.extend(self.virtio.sections()?);
        Ok(sections)
    }

    /// Replaces the state of everything but memory as of this tick.
    pub(crate) fn load(&mut self, state: &State, ticks: u64) -> Result<(), RestoreError> {
        self.request = state.section("request")?.decode(1)?;
        self.port_access = None;
        self.reached.clear();
        self.chips.load(state, self.now(ticks))?;
        if !self.virtio.load(state, self.now(ticks))? {
            return Err(RestoreError::Unfit { what: "the virtio devices" });
        }
        self.settle();
        Ok(())
    }

    pub(crate) fn memory_mut(&mut self) -> &mut GuestMemory {
        &mut self.memory
    }

    /// Notes accesses to these ports, for [`Self::take_port_access`]; the CPU then returns.
    pub(crate) fn watch_ports(&mut self, ports: &[RangeInclusive<u16>]) {
        self.watched_ports = ports.to_vec();
        self.port_access = None;
    }

    /// The access to a watched port since the last call.
    pub(crate) fn take_port_access(&mut self) -> Option<PortAccess> {
        self.port_access.take()
    }

    #[inline]
    fn note_port(&mut self, port: u16, width: Width, write: bool, value: u32, at: u64) {
        let last = port.saturating_add(width.bytes() as u16 - 1);
        let mut watched = self.watched_ports.iter();
        if watched.any(|ports| *ports.start() <= last && port <= *ports.end()) {
            self.port_access = Some(PortAccess { port, width, write, value, at });
        }
    }

    /// Lets happen what is due at this tick.
    pub(crate) fn advance(&mut self, ticks: u64) {
        if ticks >= self.deadline {
            self.counts.deadlines += 1;
            self.advance_to(self.now(ticks));
            self.settle();
        }
    }

    /// Lets happen what is due, in the order of time.
    fn advance_to(&mut self, now: GuestTime) {
        while let Some(at) = self.virtio.next_event().filter(|at| *at <= now) {
            self.chips.advance(at, &mut self.sinks);
            let (memory, reached) = (&mut self.memory, &mut self.reached);
            self.virtio.advance(at, &mut BoardDma { memory, reached });
            self.wire_virtio(at);
        }
        self.chips.advance(now, &mut self.sinks);
    }

    fn wire_virtio(&mut self, now: GuestTime) {
        for (line, level) in self.virtio.lines() {
            self.chips.set_line(line, level, now);
        }
    }

    /// The virtio devices.
    pub(crate) fn virtio(&self) -> &Virtio {
        &self.virtio
    }

    /// Changes virtio devices from outside.
    pub(crate) fn change_virtio<R>(
        &mut self,
        ticks: u64,
        change: impl FnOnce(&mut Virtio, &mut BoardDma<'_>) -> R,
    ) -> R {
        let (memory, reached) = (&mut self.memory, &mut self.reached);
        let result = change(&mut self.virtio, &mut BoardDma { memory, reached });
        self.wire_virtio(self.now(ticks));
        self.settle();
        result
    }

    /// Writes RAM as a device would.
    pub(crate) fn write_memory(&mut self, address: u64, bytes: &[u8]) {
        let (memory, reached) = (&mut self.memory, &mut self.reached);
        BoardDma { memory, reached }.write(address, bytes);
    }

    /// Tells CPU and monitor where devices have reached into memory.
    #[inline]
    pub(crate) fn tell_reached(&mut self, vcpu: &mut Vcpu, vm: Option<&mut Vm>) {
        if !self.reached.is_empty() {
            let reached = std::mem::take(&mut self.reached);
            virtio::tell(&reached, vcpu, vm, &mut self.memory);
        }
    }

    /// Touches the chips from outside the CPU: inputs, reset.
    pub(crate) fn touch<R>(
        &mut self,
        ticks: u64,
        change: impl FnOnce(&mut Chips, GuestTime, &mut Sinks) -> R,
    ) -> R {
        let now = self.now(ticks);
        let result = change(&mut self.chips, now, &mut self.sinks);
        self.settle();
        result
    }

    fn now(&self, ticks: u64) -> GuestTime {
        GuestTime::from_ns(self.clock.ns(ticks))
    }

    /// Works out the deadline again.
    fn settle(&mut self) {
        let next = self.chips.next_event().into_iter().chain(self.virtio.next_event()).min();
        self.deadline = next.map_or(u64::MAX, |at| self.clock.ticks(at.as_ns()));
    }

    /// The chip that answers to this byte of an access of `width`, and the register's offset.
    fn select(&self, address: u16, width: Width) -> Option<(Chip, u16)> {
        let selected = decode(address, self.debug_exit)?;
        // Wider accesses that cover CF9h are the PCI bridge's, whose address register lies
        // there (PIIX4 datasheet, "Reset Control Register").
        let is_wide = width != Width::Byte;
        (!(is_wide && selected.0 == Chip::ResetControl)).then_some(selected)
    }
}

impl Bus for Board {
    fn memory(&mut self) -> &mut GuestMemory {
        &mut self.memory
    }

    fn port_read(&mut self, port: u16, width: Width, at: u64) -> u32 {
        self.counts.port_reads += 1;
        let now = self.now(at);
        let mut value = 0;
        for byte in 0..width.bytes() as u16 {
            let part = match self.select(port.wrapping_add(byte), width) {
                Some(selected) => self.chips.read(selected, now, &mut self.sinks),
                None => OPEN_BUS,
            };
            value |= u32::from(part).unbounded_shl(8 * u32::from(byte));
        }
        self.settle();
        self.note_port(port, width, false, value, at);
        value
    }

    fn port_write(&mut self, port: u16, width: Width, value: u32, at: u64) {
        self.counts.port_writes += 1;
        let now = self.now(at);
        for (byte, part) in (0..width.bytes() as u16).zip(value.to_le_bytes()) {
            if let Some(selected) = self.select(port.wrapping_add(byte), width) {
                let request = self.chips.write(selected, part, now, &mut self.sinks);
                self.request = self.request.or(request);
            }
        }
        self.settle();
        self.note_port(port, width, true, value, at);
    }

    fn mmio_read(&mut self, address: u64, width: Width, at: u64) -> u64 {
        self.counts.mmio_reads += 1;
        match Virtio::decode(address) {
            Some(selected) => self.virtio.read(selected, width),
            None => {
                let value = self.chips.read_memory(address, width, self.now(at));
                self.settle();
                value.unwrap_or(width.mask())
            }
        }
    }

    fn mmio_write(&mut self, address: u64, width: Width, value: u64, at: u64) {
        self.counts.mmio_writes += 1;
        if let Some(selected) = Virtio::decode(address) {
            let now = self.now(at);
            self.virtio.write(selected, width, value, now);
            self.wire_virtio(now);
        } else {
            self.chips.write_memory(address, width, value, self.now(at));
        }
        self.settle();
    }

    fn pins(&self) -> Pins {
        Pins {
            intr: self.chips.intr(),
            nmi: self.chips.apics().nmi(),
            a20_masked: !self.chips.a20(),
            ignne: self.chips.ignne(),
            task_priority: self.chips.apics().task_priority(),
        }
    }

    fn set_ferr(&mut self, asserted: bool, at: u64) {
        let now = self.now(at);
        self.chips.set_ferr(asserted, now);
    }

    fn acknowledge(&mut self, at: u64) -> Vector {
        self.counts.interrupts += 1;
        let vector = self.chips.acknowledge(self.now(at));
        self.settle();
        Vector(vector)
    }

    fn nmi_seen(&mut self) {
        self.chips.nmi_seen();
    }

    fn set_apic_base(&mut self, value: u64, at: u64) {
        let now = self.now(at);
        self.chips.touch_apics(now, |apics| apics.set_base(value, now));
        self.settle();
    }

    fn end_may_wait(&self) -> bool {
        self.chips.apics().local().is_some_and(Lapic::end_may_wait)
    }

    fn is_interrupt_requested(&self) -> bool {
        self.chips.apics().local().is_some_and(Lapic::has_request)
    }

    fn end_of_interrupt(&mut self, at: u64) {
        let now = self.now(at);
        self.chips.touch_apics(now, |apics| apics.end_of_interrupt(now));
        self.settle();
    }

    fn set_task_priority(&mut self, priority: u8, at: u64) {
        let now = self.now(at);
        self.chips.touch_apics(now, |apics| apics.set_task_priority(priority, now));
        self.settle();
    }

    fn console(&mut self, byte: u8) {
        self.sinks.com[0].put(byte);
    }

    fn stop_at(&self) -> u64 {
        let stops = self.request.is_some() || self.port_access.is_some();
        if stops { 0 } else { self.deadline }
    }

    fn port_wait(&self) -> u64 {
        self.port_cycle
    }

    fn trace(&mut self, event: &Event) {
        if let Some(sink) = &mut self.events {
            sink.event(event);
        }
    }
}

#[cfg(test)]
mod apic_tests;
#[cfg(test)]
mod tests;
