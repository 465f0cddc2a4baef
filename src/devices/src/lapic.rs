//! The local APIC of a processor, in xAPIC mode: it takes interrupts from the APIC bus, from its own
//! timer and from its two pins, and gives the processor the one of the highest priority.
//!
//! Source: Intel SDM vol. 3A, "Advanced Programmable Interrupt Controller (APIC)": "Local APIC",
//! "Interrupt Command Register (ICR)", "Handling Interrupts", "Spurious Interrupt".
//! Time: the timer's count is worked out from guest time ([`LAPIC_HZ`]). While its interrupt waits in
//! the IRR a further zero changes nothing and is no event: so there is one event at most for each
//! interrupt that the processor takes.
//! Power-on is as firmware leaves it behind: LINT0 takes the 8259A's interrupts (ExtINT), LINT1 NMI.
//! In the silicon both are masked; nothing would reach a processor whose firmware knows no APIC.
//! Not modelled: other processors (what is sent to them is lost), x2APIC, the TSC deadline, the
//! suppression of EOI broadcasts, SMI, remote reads; INIT and start-up of the own processor. Thermal,
//! performance and error interrupts but "illegal vector" have no cause here.
//! Unverified: an ExtINT goes before a vector of the APIC's own.

#[cfg(test)]
mod tests;
mod timer;

use serde::{Deserialize, Serialize};

use crate::GuestTime;
use crate::apic_bus::{ApicMessage, DeliveryMode, Destination};
use crate::inspect::{Reading, level};
use timer::Timer;

/// Clock of the timer in Hz, before its divider: a bus clock of 100 MHz.
pub const LAPIC_HZ: u32 = 100_000_000;
/// Where IA32_APIC_BASE puts the registers at power-on.
pub const LAPIC_BASE: u64 = 0xfee0_0000;
/// Bytes that the registers take.
pub const LAPIC_BYTES: u64 = 0x1000;

/// IA32_APIC_BASE: this is the bootstrap processor.
const BASE_BSP: u64 = 1 << 8;
/// IA32_APIC_BASE: the local APIC is there.
const BASE_ENABLE: u64 = 1 << 11;
const BASE_ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Offsets of the registers. Each has 16 bytes, of which the first four count.
const ID: u16 = 0x20;
const VERSION: u16 = 0x30;
const TPR: u16 = 0x80;
const APR: u16 = 0x90;
const PPR: u16 = 0xa0;
const EOI: u16 = 0xb0;
const RRD: u16 = 0xc0;
const LDR: u16 = 0xd0;
const DFR: u16 = 0xe0;
const SVR: u16 = 0xf0;
const ISR: u16 = 0x100;
const TMR: u16 = 0x180;
const IRR: u16 = 0x200;
const ESR: u16 = 0x280;
const ICR_LOW: u16 = 0x300;
const ICR_HIGH: u16 = 0x310;
const LVT_FIRST: u16 = 0x320;
const LVT_LAST: u16 = 0x370;
const INITIAL_COUNT: u16 = 0x380;
const CURRENT_COUNT: u16 = 0x390;
const DIVIDE: u16 = 0x3e0;

/// Version 14h, six entries in the local vector table.
const VERSION_VALUE: u32 = 5 << 16 | 0x14;
/// SVR bit 8: the APIC is enabled by software.
const SVR_ENABLED: u32 = 1 << 8;
/// Vector, enable, focus processor checking.
const SVR_WRITABLE: u32 = 0x3ff;
const ESR_SEND_ILLEGAL: u32 = 1 << 5;
const ESR_RECEIVED_ILLEGAL: u32 = 1 << 6;
const ESR_ILLEGAL_REGISTER: u32 = 1 << 7;
/// Vectors below are the processor's own.
const FIRST_VECTOR: u8 = 16;

/// Places in the local vector table, in the order of the registers.
const TIMER: usize = 0;
const LINT: [usize; 2] = [3, 4];
const ERROR: usize = 5;
const LVT_MASKED: u32 = 1 << 16;
const LVT_PERIODIC: u32 = 1 << 17;
const LVT_LEVEL: u32 = 1 << 15;
const LVT_REMOTE_IRR: u32 = 1 << 14;
/// Bits of each entry that can be written.
const LVT_WRITABLE: [u32; 6] = [0x3_00ff, 0x1_07ff, 0x1_07ff, 0x1_a7ff, 0x1_a7ff, 0x1_00ff];
const LVT_NAMES: [&str; 6] =
    ["LVT timer", "LVT thermal", "LVT performance", "LVT LINT0", "LVT LINT1", "LVT error"];

/// ICR bits that can be written: not the delivery status.
const ICR_WRITABLE: u32 = 0x000c_cfff;
const ICR_LOGICAL: u32 = 1 << 11;
/// Destination shorthands, bits 19:18.
const TO_SELF: u32 = 1;
const TO_ALL: u32 = 2;
const TO_OTHERS: u32 = 3;

/// What a write asks of the rest of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LapicOutput {
    /// The end of a level-triggered interrupt, to be told to the I/O APICs.
    EndOfInterrupt(u8),
}

/// One bit for each of the 256 vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Vectors([u32; 8]);

impl Vectors {
    fn has(&self, vector: u8) -> bool {
        self.0[usize::from(vector >> 5)] >> (vector & 31) & 1 != 0
    }

    fn set(&mut self, vector: u8, value: bool) {
        let (word, bit) = (&mut self.0[usize::from(vector >> 5)], 1 << (vector & 31));
        *word = if value { *word | bit } else { *word & !bit };
    }

    fn highest(&self) -> Option<u8> {
        let (number, word) = self.0.iter().enumerate().rev().find(|(_, word)| **word != 0)?;
        Some((number as u32 * 32 + word.ilog2()) as u8)
    }

    fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    fn list(&self) -> String {
        let set = (0..=255).filter(|vector| self.has(*vector));
        let set: Vec<_> = set.map(|vector| format!("{vector:02x}")).collect();
        if set.is_empty() { "none".to_owned() } else { set.join(" ") }
    }
}

/// The chip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lapic {
    /// IA32_APIC_BASE, as the processor has it.
    base: u64,
    id: u8,
    tpr: u8,
    /// LDR bits 31:24.
    ldr: u8,
    /// DFR bits 31:28: fh flat, 0 cluster.
    dfr: u8,
    svr: u32,
    isr: Vectors,
    tmr: Vectors,
    irr: Vectors,
    /// What ESR reads, and the errors since it was written last.
    esr: u32,
    errors: u32,
    icr: [u32; 2],
    lvt: [u32; 6],
    timer: Timer,
    /// The levels of the pins LINT0 and LINT1.
    lint: [bool; 2],
    /// NMI to the processor, which has not seen it.
    nmi: bool,
}

impl Default for Lapic {
    fn default() -> Self {
        Self::new()
    }
}

impl Lapic {
    /// The chip of the bootstrap processor after power-on, as firmware leaves it behind.
    #[must_use]
    pub fn new() -> Self {
        let mut lvt = [LVT_MASKED; 6];
        lvt[LINT[0]] = 0x700;
        lvt[LINT[1]] = 0x400;
        Self {
            base: LAPIC_BASE | BASE_ENABLE | BASE_BSP,
            id: 0,
            tpr: 0,
            ldr: 0,
            dfr: 0xf,
            svr: 0xff,
            isr: Vectors::default(),
            tmr: Vectors::default(),
            irr: Vectors::default(),
            esr: 0,
            errors: 0,
            icr: [0; 2],
            lvt,
            timer: Timer::default(),
            lint: [false; 2],
            nmi: false,
        }
    }

    /// Back to power-on, the pins at the levels they have.
    pub fn reset(&mut self) {
        *self = Self { lint: self.lint, ..Self::new() };
    }

    /// IA32_APIC_BASE has been written. An APIC that is disabled by it forgets all but the value.
    pub fn set_base(&mut self, value: u64) {
        let was_there = self.is_there();
        if was_there && value & BASE_ENABLE == 0 {
            // Enabled again it is as after power-on (SDM, "Enabling or Disabling the Local APIC").
            self.reset();
        }
        self.base = value;
    }

    /// Where the registers are, if the APIC is there.
    #[must_use]
    pub fn address(&self) -> Option<u64> {
        self.is_there().then_some(self.base & BASE_ADDRESS)
    }

    /// Whether the processor has it: IA32_APIC_BASE bit 11.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.base & BASE_ENABLE != 0
    }

    /// Whether it takes interrupts by vector.
    fn is_enabled(&self) -> bool {
        self.is_there() && self.svr & SVR_ENABLED != 0
    }

    /// Reads the register at an offset.
    pub fn read(&mut self, offset: u16, now: GuestTime) -> u32 {
        self.settle(now);
        match offset {
            ID => u32::from(self.id) << 24,
            VERSION => VERSION_VALUE,
            TPR => u32::from(self.tpr),
            APR => u32::from(self.apr()),
            PPR => u32::from(self.ppr()),
            EOI | RRD => 0,
            LDR => u32::from(self.ldr) << 24,
            DFR => u32::from(self.dfr) << 28 | 0x0fff_ffff,
            SVR => self.svr,
            _ if let Some(word) = word(offset, ISR) => self.isr.0[word],
            _ if let Some(word) = word(offset, TMR) => self.tmr.0[word],
            _ if let Some(word) = word(offset, IRR) => self.irr.0[word],
            ESR => self.esr,
            ICR_LOW => self.icr[0],
            ICR_HIGH => self.icr[1],
            _ if let Some(place) = lvt_place(offset) => self.lvt[place],
            INITIAL_COUNT => self.timer.initial(),
            CURRENT_COUNT => self.timer.current(self.is_periodic(), now),
            DIVIDE => self.timer.divide().into(),
            _ => {
                self.note_error(ESR_ILLEGAL_REGISTER);
                0
            }
        }
    }

    /// Writes the register at an offset.
    pub fn write(&mut self, offset: u16, value: u32, now: GuestTime) -> Option<LapicOutput> {
        self.settle(now);
        match offset {
            ID => self.id = (value >> 24) as u8,
            TPR => self.tpr = value as u8,
            EOI => return self.end_of_interrupt(now),
            LDR => self.ldr = (value >> 24) as u8,
            DFR => self.dfr = (value >> 28) as u8,
            SVR => self.write_svr(value),
            ESR => self.esr = std::mem::take(&mut self.errors),
            ICR_LOW => {
                self.icr[0] = value & ICR_WRITABLE;
                self.send();
            }
            ICR_HIGH => self.icr[1] = value & 0xff00_0000,
            _ if let Some(place) = lvt_place(offset) => self.write_lvt(place, value),
            INITIAL_COUNT => self.timer.start(value, now),
            DIVIDE => self.timer.set_divide(value as u8, self.is_periodic(), now),
            // Registers that are read alone.
            VERSION | APR | PPR | RRD | CURRENT_COUNT | ISR..ESR => {}
            _ => self.note_error(ESR_ILLEGAL_REGISTER),
        }
        None
    }

    /// The end of the interrupt of the highest vector in service, as a write to the EOI register.
    pub fn end_of_interrupt(&mut self, now: GuestTime) -> Option<LapicOutput> {
        self.settle(now);
        let vector = self.isr.highest()?;
        self.isr.set(vector, false);
        if !self.tmr.has(vector) {
            return None;
        }
        for place in LINT {
            if self.lvt[place] & LVT_LEVEL != 0 && self.lvt[place] as u8 == vector {
                self.lvt[place] &= !LVT_REMOTE_IRR;
            }
        }
        self.sense_lint();
        Some(LapicOutput::EndOfInterrupt(vector))
    }

    /// A message on the APIC bus; whether it was accepted. One that is for somebody else is not.
    pub fn accept(&mut self, message: &ApicMessage, now: GuestTime) -> bool {
        self.settle(now);
        self.is_there() && self.is_addressed(message.destination) && self.take(message)
    }

    /// Drives the pin LINT0 or LINT1.
    pub fn set_lint(&mut self, pin: usize, high: bool, now: GuestTime) {
        self.settle(now);
        let rises = high && !self.lint[pin];
        self.lint[pin] = high;
        let entry = self.lvt[LINT[pin]];
        if !self.is_there() || entry & LVT_MASKED != 0 {
            return;
        }
        match DeliveryMode::of(entry) {
            DeliveryMode::Nmi => self.nmi |= rises,
            DeliveryMode::Fixed if entry & LVT_LEVEL == 0 && rises => {
                self.request(entry as u8, false);
            }
            _ => self.sense_lint(),
        }
    }

    /// Whether an 8259A on LINT0 reaches the processor.
    #[must_use]
    pub fn takes_extint(&self) -> bool {
        let entry = self.lvt[LINT[0]];
        let open = entry & LVT_MASKED == 0 && DeliveryMode::of(entry) == DeliveryMode::ExtInt;
        !self.is_there() || open
    }

    /// Whether a vector of its own waits for the processor.
    #[must_use]
    pub fn intr(&self) -> bool {
        self.deliverable().is_some()
    }

    /// NMI of the processor, until it has seen it.
    #[must_use]
    pub fn nmi(&self) -> bool {
        self.nmi
    }

    /// The processor has seen the NMI. Another one is another edge.
    pub fn nmi_seen(&mut self) {
        self.nmi = false;
    }

    /// The processor takes the interrupt: the vector, which is in service now, or the spurious one.
    pub fn acknowledge(&mut self, now: GuestTime) -> u8 {
        self.settle(now);
        let Some(vector) = self.deliverable() else { return self.svr as u8 };
        self.irr.set(vector, false);
        self.isr.set(vector, true);
        vector
    }

    /// CR8 of the processor: bits 7:4 of the TPR.
    #[must_use]
    pub fn task_priority(&self) -> u8 {
        self.tpr >> 4
    }

    /// CR8 has been written.
    pub fn set_task_priority(&mut self, priority: u8, now: GuestTime) {
        self.settle(now);
        self.tpr = priority << 4;
    }

    /// Whether an interrupt waits in the IRR, deliverable or not.
    #[must_use]
    pub fn has_request(&self) -> bool {
        self.irr.highest().is_some()
    }

    /// Whether the one interrupt in service is edge triggered and its end would let nothing else in: then
    /// nobody notices when it comes late.
    #[must_use]
    pub fn end_may_wait(&self) -> bool {
        let edge = |vector| !self.tmr.has(vector);
        !self.has_request() && self.isr.count() == 1 && self.isr.highest().is_some_and(edge)
    }

    /// The instant after `now` at which the timer's interrupt comes to wait.
    #[must_use]
    pub fn next_event(&self, now: GuestTime) -> Option<GuestTime> {
        if !self.is_timer_heard() {
            return None;
        }
        self.timer.next_zero(self.is_periodic(), now)
    }

    /// Brings the chip to `now`.
    pub fn advance(&mut self, now: GuestTime) {
        if self.is_timer_heard() {
            self.settle(now);
        }
    }

    /// The registers at an instant. Lists of vectors are hexadecimal.
    #[must_use]
    pub fn inspect(&self, now: GuestTime) -> Vec<Reading> {
        let state = match (self.is_there(), self.is_enabled()) {
            (false, _) => "not there: IA32_APIC_BASE bit 11 is 0",
            (true, false) => "disabled by SVR bit 8",
            (true, true) => "enabled",
        };
        let next = |vector: Option<u8>| vector.map_or("none".to_owned(), |v| format!("{v:02x}"));
        let lint = self.lint.map(level);
        let mut readings = vec![
            Reading::new("state", format!("{state}, at {:08x}", self.base & BASE_ADDRESS)),
            Reading::new("ID", format!("{:02x}", self.id)),
            Reading::new("TPR, PPR", format!("{:02x}, {:02x}", self.tpr, self.ppr())),
            Reading::new("IRR", self.irr.list()),
            Reading::new("ISR", self.isr.list()),
            Reading::new("TMR", self.tmr.list()),
            Reading::new("next", next(self.deliverable())),
            Reading::new("LDR, DFR", format!("{:02x}, {:x}", self.ldr, self.dfr)),
            Reading::new("SVR", format!("{:03x}", self.svr)),
            Reading::new("ESR", format!("{:02x}", self.esr)),
            Reading::new("ICR", format!("{:08x} {:08x}", self.icr[1], self.icr[0])),
            Reading::new("LINT0, LINT1", format!("{}, {}", lint[0], lint[1])),
        ];
        for (name, entry) in LVT_NAMES.into_iter().zip(self.lvt) {
            let mask = if entry & LVT_MASKED != 0 { "masked" } else { "open" };
            let mode = DeliveryMode::of(entry).name();
            readings.push(Reading::new(name, format!("{entry:05x} {mode}, {mask}")));
        }
        let (timer, periodic) = (&self.timer, self.is_periodic());
        let count = timer.current(periodic, now);
        let mode = if periodic { "periodic" } else { "one-shot" };
        let text = format!("{count} of {}, {mode}, by {}", timer.initial(), timer.divisor());
        readings.push(Reading::new("timer", text));
        readings
    }
}

impl Lapic {
    /// Takes in the timer's zeros up to now.
    fn settle(&mut self, now: GuestTime) {
        let heard = self.is_timer_heard();
        if self.timer.settle(self.is_periodic(), now) && heard {
            self.request(self.lvt[TIMER] as u8, false);
        }
    }

    fn is_periodic(&self) -> bool {
        self.lvt[TIMER] & LVT_PERIODIC != 0
    }

    /// Whether a zero of the timer would change anything but the count.
    fn is_timer_heard(&self) -> bool {
        let vector = self.lvt[TIMER] as u8;
        let waits = if vector < FIRST_VECTOR {
            self.errors & ESR_RECEIVED_ILLEGAL != 0
        } else {
            self.irr.has(vector)
        };
        self.is_enabled() && self.lvt[TIMER] & LVT_MASKED == 0 && !waits
    }

    /// An interrupt comes to wait.
    fn request(&mut self, vector: u8, level: bool) {
        if !self.is_enabled() {
            return;
        }
        if vector < FIRST_VECTOR {
            return self.note_error(ESR_RECEIVED_ILLEGAL);
        }
        self.irr.set(vector, true);
        self.tmr.set(vector, level);
    }

    /// An error interrupt comes with the first error of a kind.
    fn note_error(&mut self, error: u32) {
        let is_new = self.errors & error == 0;
        self.errors |= error;
        let entry = self.lvt[ERROR];
        let vector = entry as u8;
        if is_new && entry & LVT_MASKED == 0 && self.is_enabled() && vector >= FIRST_VECTOR {
            self.irr.set(vector, true);
            self.tmr.set(vector, false);
        }
    }

    /// A level-sensitive pin requests as long as it is high and nothing is under way.
    fn sense_lint(&mut self) {
        for (pin, place) in LINT.into_iter().enumerate() {
            let entry = self.lvt[place];
            let fixed = DeliveryMode::of(entry) == DeliveryMode::Fixed;
            let open = entry & (LVT_MASKED | LVT_LEVEL | LVT_REMOTE_IRR) == LVT_LEVEL;
            if self.lint[pin] && fixed && open && self.is_enabled() {
                self.lvt[place] |= LVT_REMOTE_IRR;
                self.request(entry as u8, true);
            }
        }
    }

    /// The vector that the processor would get: one of a class above the processor's priority.
    fn deliverable(&self) -> Option<u8> {
        let vector = self.irr.highest().filter(|_| self.is_enabled())?;
        (vector >> 4 > self.ppr() >> 4).then_some(vector)
    }

    /// Processor priority (SDM, "Task and Processor Priorities").
    fn ppr(&self) -> u8 {
        let in_service = self.isr.highest().unwrap_or(0) & 0xf0;
        if self.tpr & 0xf0 >= in_service { self.tpr } else { in_service }
    }

    /// Arbitration priority (SDM, "Arbitration Priority Register").
    fn apr(&self) -> u8 {
        let class = |vector: Option<u8>| vector.unwrap_or(0) & 0xf0;
        let (requested, in_service) = (class(self.irr.highest()), class(self.isr.highest()));
        let task = self.tpr & 0xf0;
        if task >= requested && task > in_service {
            self.tpr
        } else {
            (task & in_service).max(requested)
        }
    }

    fn write_svr(&mut self, value: u32) {
        self.svr = value & SVR_WRITABLE;
        if self.svr & SVR_ENABLED == 0 {
            self.lvt.iter_mut().for_each(|entry| *entry |= LVT_MASKED);
        }
        self.sense_lint();
    }

    fn write_lvt(&mut self, place: usize, value: u32) {
        let kept = self.lvt[place] & LVT_REMOTE_IRR;
        let masked = if self.svr & SVR_ENABLED == 0 { LVT_MASKED } else { 0 };
        let value = value & LVT_WRITABLE[place] | masked;
        self.lvt[place] = value | if value & LVT_LEVEL != 0 { kept } else { 0 };
        self.sense_lint();
    }

    /// Sends what is in the ICR. Only this processor can be reached.
    fn send(&mut self) {
        let [low, high] = self.icr;
        let (vector, mode) = (low as u8, DeliveryMode::of(low));
        let to_self = match low >> 18 & 3 {
            TO_SELF | TO_ALL => true,
            TO_OTHERS => false,
            _ => {
                let logical = low & ICR_LOGICAL != 0;
                self.is_addressed(Destination::of(logical, (high >> 24) as u8))
            }
        };
        let by_vector = matches!(mode, DeliveryMode::Fixed | DeliveryMode::LowestPriority);
        if by_vector && vector < FIRST_VECTOR {
            return self.note_error(ESR_SEND_ILLEGAL);
        }
        if to_self {
            let destination = Destination::Physical(self.id);
            // IPIs are edge triggered; levels are for INIT alone.
            self.take(&ApicMessage { vector, mode, level: false, destination });
        }
    }

    /// Does what a message to this processor asks for; whether it could be accepted.
    fn take(&mut self, message: &ApicMessage) -> bool {
        match message.mode {
            DeliveryMode::Fixed | DeliveryMode::LowestPriority => {
                self.request(message.vector, message.level);
                self.is_enabled()
            }
            DeliveryMode::Nmi => {
                self.nmi = true;
                true
            }
            _ => false,
        }
    }

    fn is_addressed(&self, destination: Destination) -> bool {
        match destination {
            Destination::Physical(id) => id == 0xff || id == self.id,
            Destination::Logical(0xff) => true,
            Destination::Logical(mask) if self.dfr == 0xf => mask & self.ldr != 0,
            Destination::Logical(mask) => {
                let cluster = mask >> 4 == 0xf || mask >> 4 == self.ldr >> 4;
                cluster && mask & self.ldr & 0xf != 0
            }
        }
    }
}

/// The word of a register of 256 bits at an offset.
fn word(offset: u16, first: u16) -> Option<usize> {
    let place = usize::from(offset.checked_sub(first)? / 0x10);
    (offset.is_multiple_of(0x10) && place < 8).then_some(place)
}

/// The entry of the local vector table at an offset.
fn lvt_place(offset: u16) -> Option<usize> {
    let inside = (LVT_FIRST..=LVT_LAST).contains(&offset) && offset.is_multiple_of(0x10);
    inside.then(|| usize::from(offset - LVT_FIRST) / 0x10)
}
