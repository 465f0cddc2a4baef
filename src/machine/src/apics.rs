//! The local APIC of the CPU and the board's I/O APIC, with the bus between them.
//!
//! A board has both exactly if its CPU has the feature. The interrupt lines reach the I/O APIC beside
//! the 8259A pair, whose INTR is on the local APIC's LINT0.
//!
//! Sources: Intel SDM vol. 3A, "Advanced Programmable Interrupt Controller (APIC)"; Intel 82371AB
//! (PIIX4) datasheet, "Interrupt Controller"; MultiProcessor Specification 1.4 §3.6.2.2, "Virtual Wire
//! Mode".
//! Not modelled: LINT1 (nothing is on it), INTR on an input of the I/O APIC.

use cutaway_devices::{
    Ctx, GuestTime, IOAPIC_BASE, IOAPIC_BYTES, IOAPIC_PINS, IoApic, LAPIC_BYTES, Lapic,
    LapicOutput, OPEN_BUS, PortDevice,
};
use cutaway_isa::Width;
use cutaway_state::{Section, State, StateError};

use crate::chips::ChipView;
use crate::wiring::irq;

/// The two chips; without the CPU's feature they are not there and nobody reaches them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Apics {
    is_there: bool,
    local: Lapic,
    io: IoApic,
}

impl Apics {
    /// The chips after power-on, or their absence.
    pub(crate) fn new(is_there: bool) -> Self {
        Self { is_there, local: Lapic::new(), io: IoApic::new() }
    }

    /// Whether the CPU has the feature.
    pub(crate) fn are_there(&self) -> bool {
        self.is_there
    }

    pub(crate) fn reset(&mut self) {
        self.local.reset();
        self.io.reset();
    }

    /// INIT of the CPU.
    pub(crate) fn init(&mut self) {
        self.local.reset();
    }

    /// The chip that answers to this address, and the register's offset.
    fn select(&self, address: u64) -> Option<(Selected, u16)> {
        let within = |base: u64, bytes: u64| {
            address.checked_sub(base).filter(|offset| *offset < bytes).map(|offset| offset as u16)
        };
        if !self.is_there {
            return None;
        }
        let local = self.local.address().and_then(|base| within(base, LAPIC_BYTES));
        let io = || within(IOAPIC_BASE, IOAPIC_BYTES).map(|offset| (Selected::Io, offset));
        local.map(|offset| (Selected::Local, offset)).or_else(io)
    }

    /// Reads device memory; none if it is not these chips'. A register has 16 bytes of which the first
    /// four count: the others read as zeros.
    pub(crate) fn read(&mut self, address: u64, width: Width, now: GuestTime) -> Option<u64> {
        let (chip, offset) = self.select(address)?;
        let (register, byte) = (offset & !0xf, u32::from(offset & 0xf));
        let value = match chip {
            Selected::Local => self.local.read(register, now),
            Selected::Io => self.io.read(register),
        };
        Some(u64::from(value).unbounded_shr(8 * byte) & width.mask())
    }

    /// Writes device memory; whether it is these chips'. Only a whole register can be written (SDM,
    /// "Local APIC Register Address Map": anything else is undefined).
    pub(crate) fn write(&mut self, address: u64, width: Width, value: u64, now: GuestTime) -> bool {
        let Some((chip, offset)) = self.select(address) else { return false };
        if width != Width::Dword || !offset.is_multiple_of(16) {
            return true;
        }
        match chip {
            Selected::Local => {
                let output = self.local.write(offset, value as u32, now);
                self.tell_end(output, now);
            }
            Selected::Io => {
                self.io.write(offset, value as u32);
                self.deliver(now);
            }
        }
        true
    }

    /// IA32_APIC_BASE has been written.
    pub(crate) fn set_base(&mut self, value: u64, now: GuestTime) {
        self.local.set_base(value);
        self.deliver(now);
    }

    /// CR8 has been written.
    pub(crate) fn set_task_priority(&mut self, priority: u8, now: GuestTime) {
        self.local.set_task_priority(priority, now);
    }

    /// CR8, if there is a local APIC.
    pub(crate) fn task_priority(&self) -> Option<u8> {
        self.is_there.then(|| self.local.task_priority())
    }

    /// Drives an interrupt request line. The timer's is on input 2, where the pair's cascade is not
    /// needed.
    pub(crate) fn set_irq(&mut self, line: u8, level: bool, now: GuestTime) {
        if line == irq::CASCADE {
            return;
        }
        self.io.set_input(if line == irq::PIT { irq::PIT_GSI } else { line }, level);
        self.deliver(now);
    }

    /// Drives LINT0.
    pub(crate) fn set_pic(&mut self, intr: bool, now: GuestTime) {
        if self.is_there {
            self.local.set_lint(0, intr, now);
        }
    }

    /// INTR of the CPU, with that of the 8259A pair.
    pub(crate) fn intr(&self, pic: bool) -> bool {
        if !self.is_there {
            return pic;
        }
        pic && self.local.takes_extint() || self.local.intr()
    }

    /// NMI of the CPU.
    pub(crate) fn nmi(&self) -> bool {
        self.is_there && self.local.nmi()
    }

    pub(crate) fn nmi_seen(&mut self) {
        self.local.nmi_seen();
    }

    /// INTA, if it is not the 8259A pair's.
    pub(crate) fn acknowledge(&mut self, pic: bool, now: GuestTime) -> Option<u8> {
        let is_local = self.is_there && self.local.is_there();
        (is_local && !(pic && self.local.takes_extint())).then(|| self.local.acknowledge(now))
    }

    /// The local APIC, if there is one.
    pub(crate) fn local(&self) -> Option<&Lapic> {
        self.is_there.then_some(&self.local)
    }

    /// EOI, as if its register had been written.
    pub(crate) fn end_of_interrupt(&mut self, now: GuestTime) {
        let output = self.local.end_of_interrupt(now);
        self.tell_end(output, now);
    }

    pub(crate) fn inspect(&self, now: GuestTime) -> Vec<ChipView> {
        if !self.is_there {
            return Vec::new();
        }
        let view = |name: &str, readings| ChipView { name: name.to_owned(), readings };
        vec![view("lapic", self.local.inspect(now)), view("ioapic", self.io.inspect())]
    }

    pub(crate) fn sections(&self) -> Result<Vec<Section>, StateError> {
        if !self.is_there {
            return Ok(Vec::new());
        }
        Ok(vec![Section::encode("lapic", 1, &self.local)?, Section::encode("ioapic", 1, &self.io)?])
    }

    pub(crate) fn load(&mut self, state: &State) -> Result<(), StateError> {
        if self.is_there {
            self.local = state.section("lapic")?.decode(1)?;
            self.io = state.section("ioapic")?.decode(1)?;
        }
        Ok(())
    }

    /// What an access has asked of the I/O APIC; the local one may also take now what it did not before.
    fn tell_end(&mut self, output: Option<LapicOutput>, now: GuestTime) {
        if let Some(LapicOutput::EndOfInterrupt(vector)) = output {
            self.io.end_of_interrupt(vector);
        }
        self.deliver(now);
    }

    /// The bus between them: each input's message once, in the order of the inputs.
    fn deliver(&mut self, now: GuestTime) {
        for pin in 0..IOAPIC_PINS {
            if let Some(message) = self.io.message(pin) {
                let accepted = self.local.accept(&message, now);
                self.io.sent(pin, accepted);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Selected {
    Local,
    Io,
}

/// No ports, but events: those of the local APIC's timer.
impl PortDevice for Apics {
    fn read(&mut self, _offset: u16, _ctx: &mut Ctx<'_>) -> u8 {
        OPEN_BUS
    }

    fn write(&mut self, _offset: u16, _value: u8, _ctx: &mut Ctx<'_>) {}

    fn next_event(&self, now: GuestTime) -> Option<GuestTime> {
        if self.is_there { self.local.next_event(now) } else { None }
    }

    fn advance(&mut self, ctx: &mut Ctx<'_>) {
        if self.is_there {
            self.local.advance(ctx.now);
        }
    }
}
