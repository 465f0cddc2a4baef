//! The chips of the board and the wires between them.
//!
//! Sources: IBM PC/AT Technical Reference, for the wiring; each chip has its datasheet in
//! `cutaway-devices`.
//! Time: a chip acts by itself only at its next event. The events of all chips are kept here,
//! each worked out again whenever its chip was touched.
//! Not modelled: NMI sources (parity and I/O channel check never fail), DMA, a mouse.

use crate::apics::Apics;
use crate::com_port::ComPort;
use crate::config::Config;
use crate::fault::IrqWires;
use crate::memory_map::{high_memory_bytes, low_memory_end};
use crate::virtio::Virtio;
use crate::wiring::{irq, port};
use cutaway_devices::{
    AcpiPm, CharSink, CoprocessorError, Ctx, DebugConsole, DebugExit, GuestTime, Kbc, PicPair, Pit,
    Port61, Port92, PortDevice, PostCode, PowerRequest, Reading, ResetControl, Rtc, Unconnected,
};
use cutaway_isa::Width;
use cutaway_state::{Section, State, StateError};
use serde::{Deserialize, Serialize};

/// A chip, as the address decoder selects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chip {
    Com(usize),
    Pit,
    Rtc,
    Kbc,
    Pm,
    Pic,
    SystemControlA,
    SystemControlB,
    PostCode,
    CoprocessorError,
    DebugConsole,
    FirmwareConsole,
    DebugExit,
    ResetControl,
    IrqWires,
    Apics,
}

/// The chips that can have events, at their places in [`Chips::events`].
const TIMED: [Chip; 10] = [
    Chip::Com(0),
    Chip::Com(1),
    Chip::Com(2),
    Chip::Com(3),
    Chip::Pit,
    Chip::Rtc,
    Chip::Kbc,
    Chip::Pm,
    Chip::IrqWires,
    Chip::Apics,
];

/// The chip behind a port, and the offset of its register.
pub(crate) fn decode(address: u16, debug_exit: Option<u16>) -> Option<(Chip, u16)> {
    if let Some(base) = debug_exit
        && (base..=base.saturating_add(3)).contains(&address)
    {
        return Some((Chip::DebugExit, address - base));
    }
    Some(match address {
        0x20..=0x21 => (Chip::Pic, address - port::PIC_MASTER),
        0xa0..=0xa1 => (Chip::Pic, address - port::PIC_SLAVE + 2),
        0x4d0..=0x4d1 => (Chip::Pic, address - port::ELCR + 4),
        0x40..=0x43 => (Chip::Pit, address - port::PIT),
        port::KBC_DATA | port::KBC_COMMAND => (Chip::Kbc, address - port::KBC_DATA),
        port::SYSTEM_CONTROL_B => (Chip::SystemControlB, 0),
        0x70..=0x71 => (Chip::Rtc, address - port::RTC),
        port::POST_CODE => (Chip::PostCode, 0),
        port::SYSTEM_CONTROL_A => (Chip::SystemControlA, 0),
        port::COPROCESSOR_ERROR => (Chip::CoprocessorError, 0),
        // The PM chip's SMI_CMD and the status byte beside it follow its block.
        0xb2..=0xb3 => (Chip::Pm, address - port::SMI_CMD + port::PM_BYTES),
        0x600..=0x63f => (Chip::Pm, address - port::PM),
        port::DEBUG_CONSOLE => (Chip::DebugConsole, 0),
        port::FIRMWARE_CONSOLE => (Chip::FirmwareConsole, 0),
        port::RESET_CONTROL => (Chip::ResetControl, 0),
        _ => {
            let com = port::COM.iter().position(|base| address & !7 == *base)?;
            (Chip::Com(com), address & 7)
        }
    })
}

/// Where the characters go that the chips send out.
pub(crate) struct Sinks {
    pub(crate) com: [Box<dyn CharSink>; 4],
    pub(crate) debug: Box<dyn CharSink>,
    nowhere: Unconnected,
}

impl Sinks {
    pub(crate) fn unconnected() -> Self {
        let nothing = || Box::new(Unconnected) as Box<dyn CharSink>;
        let com = [nothing(), nothing(), nothing(), nothing()];
        Self { com, debug: nothing(), nowhere: Unconnected }
    }

    fn of(&mut self, chip: Chip) -> &mut dyn CharSink {
        match chip {
            Chip::Com(number) => &mut *self.com[number],
            Chip::DebugConsole | Chip::FirmwareConsole => &mut *self.debug,
            _ => &mut self.nowhere,
        }
    }
}

/// A chip and what it shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChipView {
    /// `pic`, `pit`, `rtc`, `kbc`, `com1` to `com4`; `lapic`, `ioapic`, `balloon`, `disk` if they are there.
    pub name: String,
    /// Its registers, pins and buffers.
    pub readings: Vec<Reading>,
}

/// All chips at an instant, to be looked at later.
#[derive(Clone, Debug)]
pub struct ChipState {
    pub(crate) chips: Chips,
    pub(crate) virtio: Virtio,
    pub(crate) now: GuestTime,
}

impl ChipState {
    /// Chips by name, with what each showed of itself at that instant.
    #[must_use]
    pub fn views(&self) -> Vec<ChipView> {
        let virtio = self.virtio.inspect().into_iter();
        let virtio = virtio.map(|(name, readings)| ChipView { name: name.to_owned(), readings });
        self.chips.inspect(self.now).into_iter().chain(virtio).collect()
    }
}

/// What a chip wants of the whole machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// INIT: the CPU alone starts anew, as the keyboard controller and port 92h do it.
    ResetCpu,
    /// RESET: the CPU and all chips.
    ResetBoard,
    PowerOff,
    Exit(u8),
}

/// All chips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chips {
    pic: PicPair,
    pit: Pit,
    rtc: Rtc,
    com: [ComPort; 4],
    kbc: Kbc,
    system_control_a: Port92,
    system_control_b: Port61,
    post_code: PostCode,
    coprocessor_error: CoprocessorError,
    debug_console: DebugConsole,
    firmware_console: DebugConsole,
    debug_exit: DebugExit,
    reset_control: ResetControl,
    pm: AcpiPm,
    irq_wires: IrqWires,
    apics: Apics,
    /// The next event of each of [`TIMED`].
    events: [Option<GuestTime>; TIMED.len()],
}

impl Chips {
    /// The chips after power-on.
    pub(crate) fn new(config: &Config) -> Self {
        let mut rtc = Rtc::new(config.rtc_start);
        let bytes = config.memory_bytes;
        rtc.set_memory_size(low_memory_end(bytes), high_memory_bytes(bytes));
        let mut chips = Self {
            pic: PicPair::new(),
            pit: Pit::new(),
            rtc,
            com: std::array::from_fn(|_| ComPort::new()),
            kbc: Kbc::new(),
            system_control_a: Port92::new(),
            system_control_b: Port61::new(),
            post_code: PostCode::new(),
            coprocessor_error: CoprocessorError::new(),
            debug_console: DebugConsole::new(),
            firmware_console: DebugConsole::new(),
            debug_exit: DebugExit::new(),
            reset_control: ResetControl::new(),
            pm: AcpiPm::new(),
            irq_wires: IrqWires::default(),
            apics: Apics::new(config.cpu.has_apic()),
            events: [None; TIMED.len()],
        };
        chips.wire_all(GuestTime::ZERO);
        chips
    }

    /// The RESET line: everything but the clock, the CMOS and what comes from outside.
    pub(crate) fn reset(&mut self, now: GuestTime) {
        self.pic.reset();
        self.pit.reset();
        self.rtc.reset(now);
        self.com.iter_mut().for_each(ComPort::reset);
        self.kbc.reset();
        self.system_control_a.reset();
        self.system_control_b.reset();
        self.coprocessor_error.reset();
        self.reset_control.reset();
        self.pm.reset();
        self.apics.reset();
        self.wire_all(now);
    }

    /// INIT of the CPU, which its local APIC hears too.
    pub(crate) fn init(&mut self, now: GuestTime) {
        self.apics.init();
        self.wire(Chip::Apics, now);
    }

    /// Reads a chip's register.
    pub(crate) fn read(
        &mut self,
        (chip, offset): (Chip, u16),
        now: GuestTime,
        sinks: &mut Sinks,
    ) -> u8 {
        if chip == Chip::SystemControlB {
            self.system_control_b.set_timer_2_out(self.pit.out(2, now));
        }
        let mut ctx = Ctx { now, chars: sinks.of(chip) };
        let value = self.device(chip).read(offset, &mut ctx);
        self.wire(chip, now);
        value
    }

    /// Writes a chip's register; the chip may ask something of the machine.
    pub(crate) fn write(
        &mut self,
        (chip, offset): (Chip, u16),
        value: u8,
        now: GuestTime,
        sinks: &mut Sinks,
    ) -> Option<Request> {
        let mut ctx = Ctx { now, chars: sinks.of(chip) };
        self.device(chip).write(offset, value, &mut ctx);
        self.wire(chip, now);
        self.take_request(chip)
    }

    /// Reads device memory, where a chip drives it.
    pub(crate) fn read_memory(
        &mut self,
        address: u64,
        width: Width,
        now: GuestTime,
    ) -> Option<u64> {
        let value = self.apics.read(address, width, now)?;
        self.wire(Chip::Apics, now);
        Some(value)
    }

    /// Writes device memory.
    pub(crate) fn write_memory(&mut self, address: u64, width: Width, value: u64, now: GuestTime) {
        if self.apics.write(address, width, value, now) {
            self.wire(Chip::Apics, now);
        }
    }

    /// The CPU's APICs.
    pub(crate) fn apics(&self) -> &Apics {
        &self.apics
    }

    /// The CPU has seen the NMI of its local APIC.
    pub(crate) fn nmi_seen(&mut self) {
        self.apics.nmi_seen();
    }

    /// Lets the CPU touch its local APIC from inside.
    pub(crate) fn touch_apics(&mut self, now: GuestTime, change: impl FnOnce(&mut Apics)) {
        change(&mut self.apics);
        self.wire(Chip::Apics, now);
    }

    /// Lets all events up to `now` happen, each at its time.
    pub(crate) fn advance(&mut self, now: GuestTime, sinks: &mut Sinks) {
        while let Some((at, chip)) = self.earliest().filter(|(at, _)| *at <= now) {
            let mut ctx = Ctx { now: at, chars: sinks.of(chip) };
            self.device(chip).advance(&mut ctx);
            self.wire(chip, at);
        }
    }

    /// When the next chip acts by itself.
    pub(crate) fn next_event(&self) -> Option<GuestTime> {
        self.events.iter().flatten().min().copied()
    }

    fn earliest(&self) -> Option<(GuestTime, Chip)> {
        let timed = self.events.iter().zip(TIMED);
        timed.filter_map(|(at, chip)| Some(((*at)?, chip))).min_by_key(|(at, _)| *at)
    }

    /// INTR of the CPU.
    pub(crate) fn intr(&self) -> bool {
        self.apics.intr(self.pic.intr())
    }

    /// The CPU's FERR# pin.
    pub(crate) fn set_ferr(&mut self, asserted: bool, now: GuestTime) {
        self.coprocessor_error.set_ferr(asserted);
        self.wire(Chip::CoprocessorError, now);
    }

    /// IGNNE# of the CPU.
    pub(crate) fn ignne(&self) -> bool {
        self.coprocessor_error.ignne()
    }

    /// The A20 gate: either of two chips opens it.
    pub(crate) fn a20(&self) -> bool {
        self.kbc.a20() || self.system_control_a.a20()
    }

    /// INTA.
    pub(crate) fn acknowledge(&mut self, now: GuestTime) -> u8 {
        if let Some(vector) = self.apics.acknowledge(self.pic.intr(), now) {
            self.wire(Chip::Apics, now);
            return vector;
        }
        let vector = self.pic.acknowledge();
        self.wire(Chip::Pic, now);
        vector
    }

    /// Characters arrive at a serial port.
    pub(crate) fn send_to_com(&mut self, number: usize, bytes: &[u8], now: GuestTime) {
        if let Some(com) = self.com.get_mut(number) {
            com.send(bytes, now);
            self.wire(Chip::Com(number), now);
        }
    }

    /// Characters for a serial port that the guest has not got yet.
    pub(crate) fn waiting_for_com(&self, number: usize) -> usize {
        self.com.get(number).map_or(0, ComPort::waiting)
    }

    /// The keyboard sends scan codes of set 2.
    pub(crate) fn send_key(&mut self, scan_codes: &[u8], now: GuestTime) {
        self.kbc.key(scan_codes, now);
        self.wire(Chip::Kbc, now);
    }

    /// Somebody presses the power button.
    pub(crate) fn press_power_button(&mut self, now: GuestTime) {
        self.pm.press_power_button();
        self.wire(Chip::Pm, now);
    }

    /// Brings out what the serial ports still hold.
    pub(crate) fn flush(&mut self, now: GuestTime, sinks: &mut Sinks) {
        for number in 0..self.com.len() {
            let chip = Chip::Com(number);
            self.com[number].flush(&mut Ctx { now, chars: sinks.of(chip) });
            self.wire(chip, now);
        }
    }

    /// Chips by name, with what each shows of itself.
    pub(crate) fn inspect(&self, now: GuestTime) -> Vec<ChipView> {
        let view = |name: &str, readings| ChipView { name: name.to_owned(), readings };
        let mut views = vec![
            view("pic", self.pic.inspect()),
            view("pit", self.pit.inspect(now)),
            view("rtc", self.rtc.inspect(now)),
            view("kbc", self.kbc.inspect(now)),
        ];
        for (number, com) in self.com.iter().enumerate() {
            views.push(view(&format!("com{}", number + 1), com.inspect()));
        }
        views.extend(self.apics.inspect(now));
        views
    }

    /// The value last written to the POST port.
    pub(crate) fn post_code(&self) -> u8 {
        self.post_code.code()
    }

    fn device(&mut self, chip: Chip) -> &mut dyn PortDevice {
        match chip {
            Chip::Com(number) => &mut self.com[number],
            Chip::Pit => &mut self.pit,
            Chip::Rtc => &mut self.rtc,
            Chip::Kbc => &mut self.kbc,
            Chip::Pm => &mut self.pm,
            Chip::Pic => &mut self.pic,
            Chip::SystemControlA => &mut self.system_control_a,
            Chip::SystemControlB => &mut self.system_control_b,
            Chip::PostCode => &mut self.post_code,
            Chip::CoprocessorError => &mut self.coprocessor_error,
            Chip::DebugConsole => &mut self.debug_console,
            Chip::FirmwareConsole => &mut self.firmware_console,
            Chip::DebugExit => &mut self.debug_exit,
            Chip::ResetControl => &mut self.reset_control,
            Chip::IrqWires => &mut self.irq_wires,
            Chip::Apics => &mut self.apics,
        }
    }

    /// Drives an interrupt request line.
    pub(crate) fn set_line(&mut self, line: u8, level: bool, now: GuestTime) {
        let level = self.irq_wires.drive(line, level, now);
        self.reach_controllers(line, level, now);
    }

    /// A line's level at the interrupt controllers.
    fn reach_controllers(&mut self, line: u8, level: bool, now: GuestTime) {
        self.pic.set_irq(line, level);
        if self.apics.are_there() {
            self.apics.set_irq(line, level, now);
            self.wire(Chip::Pic, now);
        }
    }

    /// Puts a fault into the interrupt wires.
    pub(crate) fn spoil(&mut self, now: GuestTime, fault: impl FnOnce(&mut IrqWires)) {
        fault(&mut self.irq_wires);
        self.wire(Chip::IrqWires, now);
    }

    /// Copies a chip's outputs to where they lead, and works out its next event.
    fn wire(&mut self, chip: Chip, now: GuestTime) {
        match chip {
            Chip::Com(number) => {
                // Two ports share a line; on a PC's ISA bus the higher level wins.
                let level = self.com[number].irq() || self.com[number ^ 2].irq();
                self.set_line(irq::COM[number], level, now);
            }
            Chip::Pit => {
                let level = self.pit.out(0, now);
                self.set_line(irq::PIT, level, now);
            }
            Chip::Rtc => {
                let level = self.rtc.irq(now);
                self.set_line(irq::RTC, level, now);
            }
            Chip::Kbc => {
                self.set_line(irq::KEYBOARD, self.kbc.irq1(), now);
                self.set_line(irq::MOUSE, self.kbc.irq12(), now);
            }
            Chip::Pm => {
                let level = self.pm.sci(now);
                self.set_line(irq::SCI, level, now);
            }
            Chip::CoprocessorError => {
                self.set_line(irq::COPROCESSOR, self.coprocessor_error.irq(), now);
            }
            Chip::SystemControlB => {
                self.pit.set_gate(2, self.system_control_b.gate_2(), now);
                self.wire(Chip::Pit, now);
            }
            Chip::IrqWires => {
                for line in 0..16 {
                    self.reach_controllers(line, self.irq_wires.level(line, now), now);
                }
            }
            Chip::Pic => {
                self.apics.set_pic(self.pic.intr(), now);
                self.wire(Chip::Apics, now);
            }
            _ => {}
        }
        if let Some(place) = TIMED.iter().position(|timed| *timed == chip) {
            self.events[place] = self.device(chip).next_event(now);
        }
    }

    fn wire_all(&mut self, now: GuestTime) {
        TIMED.iter().for_each(|chip| self.wire(*chip, now));
        self.wire(Chip::SystemControlB, now);
        self.wire(Chip::CoprocessorError, now);
    }

    fn take_request(&mut self, chip: Chip) -> Option<Request> {
        let (request, reset) = match chip {
            Chip::Kbc => (self.kbc.take_request(), Request::ResetCpu),
            Chip::SystemControlA => (self.system_control_a.take_request(), Request::ResetCpu),
            Chip::ResetControl => (self.reset_control.take_request(), Request::ResetBoard),
            Chip::DebugExit => (self.debug_exit.take_request(), Request::ResetBoard),
            Chip::Pm => (self.pm.take_request(), Request::ResetBoard),
            _ => return None,
        };
        Some(match request? {
            PowerRequest::Reset => reset,
            PowerRequest::PowerOff => Request::PowerOff,
            PowerRequest::Exit(code) => Request::Exit(code),
        })
    }

    /// Replaces the state of every chip as of `now`.
    pub(crate) fn load(&mut self, state: &State, now: GuestTime) -> Result<(), StateError> {
        self.pic = state.section("pic")?.decode(1)?;
        self.pit = state.section("pit")?.decode(1)?;
        self.rtc = state.section("rtc")?.decode(1)?;
        self.com = state.section("com")?.decode(1)?;
        self.kbc = state.section("kbc")?.decode(1)?;
        self.system_control_a = state.section("port92")?.decode(1)?;
        self.system_control_b = state.section("port61")?.decode(1)?;
        self.post_code = state.section("post")?.decode(1)?;
        self.coprocessor_error = state.section("coprocessor-error")?.decode(1)?;
        self.debug_console = state.section("debug-console")?.decode(1)?;
        self.firmware_console = state.section("firmware-console")?.decode(1)?;
        self.debug_exit = state.section("debug-exit")?.decode(1)?;
        self.reset_control = state.section("reset-control")?.decode(1)?;
        self.pm = state.section("acpi-pm")?.decode(1)?;
        self.irq_wires = state.section("irq-wires")?.decode(1)?;
        self.apics.load(state)?;
        for (place, chip) in TIMED.into_iter().enumerate() {
            self.events[place] = self.device(chip).next_event(now);
        }
        Ok(())
    }

    /// The state of every chip. What follows from it is left out: the events.
    pub(crate) fn sections(&self) -> Result<Vec<Section>, StateError> {
        let mut sections = vec![
            Section::encode("pic", 1, &self.pic)?,
            Section::encode("pit", 1, &self.pit)?,
            Section::encode("rtc", 1, &self.rtc)?,
            Section::encode("com", 1, &self.com)?,
            Section::encode("kbc", 1, &self.kbc)?,
            Section::encode("port92", 1, &self.system_control_a)?,
            Section::encode("port61", 1, &self.system_control_b)?,
            Section::encode("post", 1, &self.post_code)?,
            Section::encode("coprocessor-error", 1, &self.coprocessor_error)?,
            Section::encode("debug-console", 1, &self.debug_console)?,
            Section::encode("firmware-console", 1, &self.firmware_console)?,
            Section::encode("debug-exit", 1, &self.debug_exit)?,
            Section::encode("reset-control", 1, &self.reset_control)?,
            Section::encode("acpi-pm", 1, &self.pm)?,
            Section::encode("irq-wires", 1, &self.irq_wires)?,
        ];
        sections.extend(self.apics.sections()?);
        Ok(sections)
    }
}
