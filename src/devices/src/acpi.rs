//! The power management block of the PIIX4 as far as ACPI uses it: PM1 events and control, the PM
//! timer, GPE0, and the SMI command port that switches ACPI on.
//!
//! Source: Intel 82371AB (PIIX4) datasheet, "Power Management I/O Registers"; ACPI Specification,
//! "ACPI Hardware Specification", "PM1 Event Grouping", "Power Management Timer".
//! Time: the PM timer is guest time in clocks of 3.579545 MHz, 24 bits of it; only its interrupt,
//! if enabled, is an event.
//! Not modelled: sleeping states other than S5 (the tables name no other; asking for one does
//! nothing), SMIs and system management mode (0xf1 and 0xf0 to the SMI command port switch ACPI on
//! and off directly), sources of general purpose events, and the registers from offset 0x10 on
//! (clock throttling, device monitors, GPIO), which read as zero.

use serde::{Deserialize, Serialize};

use crate::{Ctx, GuestTime, OPEN_BUS, PortDevice, PowerRequest};

/// Frequency of the PM timer in Hz.
pub const PM_TIMER_HZ: u32 = 3_579_545;

/// Offsets in the block: status and enable of PM1 events, control, timer, status and enable of
/// GPE0.
const PM1_STATUS: u16 = 0x00;
const PM1_ENABLE: u16 = 0x02;
const PM1_CONTROL: u16 = 0x04;
const PM_TIMER: u16 = 0x08;
const GPE0_STATUS: u16 = 0x0c;
const GPE0_ENABLE: u16 = 0x0e;
/// The block is so long; the two ports of the SMI command follow here.
const BLOCK_LENGTH: u16 = 0x40;
const SMI_COMMAND: u16 = 0x40;
const SMI_STATUS: u16 = 0x41;

/// Written to the SMI command port: the value of the FADT's ACPI_ENABLE.
pub const ACPI_ENABLE: u8 = 0xf1;
/// Written to the SMI command port: the value of the FADT's ACPI_DISABLE.
pub const ACPI_DISABLE: u8 = 0xf0;

const TMR: u16 = 0x0001;
const GBL: u16 = 0x0020;
const PWRBTN: u16 = 0x0100;
const RTC: u16 = 0x0400;
const WAK: u16 = 0x8000;
/// BM_STS is the other one.
const STATUS_BITS: u16 = TMR | 0x0010 | GBL | PWRBTN | RTC | WAK;
const ENABLE_BITS: u16 = TMR | GBL | PWRBTN | RTC;

const SCI_EN: u16 = 0x0001;
const SLP_EN: u16 = 0x2000;
/// SCI_EN, BM_RLD, SLP_TYP; GBL_RLS and SLP_EN read as zero.
const CONTROL_BITS: u16 = SCI_EN | 0x0002 | SLP_TYP;
const SLP_TYP: u16 = 0x1c00;
/// SLP_TYP of S5, soft off; shifted as in the register.
const SLP_TYP_SOFT_OFF: u16 = 0x0000;

/// Bits of the timer that can be read.
const TIMER_MASK: u64 = 0xff_ffff;
/// TMR_STS is set each time the timer's highest bit changes.
const TIMER_HALF: u64 = 0x80_0000;

/// The block. Offsets 0 to 0x3f are the registers at the PM base, 0x40 and 0x41 the SMI command
/// and status ports (on a PC 0xb2 and 0xb3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcpiPm {
    /// PM1 status, with TMR_STS as of the timer's clock `settled`.
    status: u16,
    settled: u64,
    enable: u16,
    control: u16,
    gpe0_enable: u16,
    smi_command: u8,
    smi_status: u8,
    request: Option<PowerRequest>,
}

impl AcpiPm {
    /// The block after power-on: ACPI is off.
    pub fn new() -> Self {
        Self::default()
    }

    /// The RESET pin.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// The system control interrupt, on a PC IRQ 9: level, active high.
    pub fn sci(&self, now: GuestTime) -> bool {
        let status = self.status_at(now.clocks(PM_TIMER_HZ));
        self.control & SCI_EN != 0 && status & self.enable & ENABLE_BITS != 0
    }

    /// Somebody presses the power button.
    pub fn press_power_button(&mut self) {
        self.status |= PWRBTN;
    }

    /// Takes the switching off that was asked for.
    pub fn take_request(&mut self) -> Option<PowerRequest> {
        self.request.take()
    }

    fn status_at(&self, clock: u64) -> u16 {
        let toggled = clock / TIMER_HALF != self.settled / TIMER_HALF;
        self.status | if toggled { TMR } else { 0 }
    }

    /// PM1 status: ones written clear their bits.
    fn clear_status(&mut self, bits: u16, clock: u64) {
        self.status = self.status_at(clock) & !bits;
        self.settled = clock;
    }

    fn write_control(&mut self, value: u16) {
        self.control = value & CONTROL_BITS;
        if value & SLP_EN != 0 && value & SLP_TYP == SLP_TYP_SOFT_OFF {
            self.request = Some(PowerRequest::PowerOff);
        }
    }

    fn write_smi_command(&mut self, value: u8) {
        self.smi_command = value;
        match value {
            ACPI_ENABLE => self.control |= SCI_EN,
            ACPI_DISABLE => self.control &= !SCI_EN,
            _ => {}
        }
    }

    /// The 16-bit register that a byte offset lies in.
    fn register(&self, offset: u16, clock: u64) -> u16 {
        match offset & !1 {
            PM1_STATUS => self.status_at(clock) & STATUS_BITS,
            PM1_ENABLE => self.enable,
            PM1_CONTROL => self.control,
            PM_TIMER => (clock & TIMER_MASK) as u16,
            offset if offset == PM_TIMER + 2 => ((clock & TIMER_MASK) >> 16) as u16,
            GPE0_STATUS => 0,
            GPE0_ENABLE => self.gpe0_enable,
            _ => 0,
        }
    }
}

impl PortDevice for AcpiPm {
    fn read(&mut self, offset: u16, ctx: &mut Ctx<'_>) -> u8 {
        match offset {
            SMI_COMMAND => self.smi_command,
            SMI_STATUS => self.smi_status,
            0..BLOCK_LENGTH => {
                let register = self.register(offset, ctx.now.clocks(PM_TIMER_HZ));
                register.to_le_bytes()[usize::from(offset & 1)]
            }
            _ => OPEN_BUS,
        }
    }

    fn write(&mut self, offset: u16, value: u8, ctx: &mut Ctx<'_>) {
        // A byte of a register leaves the other as it is.
        let shift = (offset & 1) * 8;
        let bits = u16::from(value) << shift;
        let with = |old: u16| old & !(0xff << shift) | bits;
        match offset & !1 {
            SMI_COMMAND if offset == SMI_COMMAND => self.write_smi_command(value),
            SMI_COMMAND => self.smi_status = value,
            PM1_STATUS => self.clear_status(bits, ctx.now.clocks(PM_TIMER_HZ)),
            PM1_ENABLE => self.enable = with(self.enable) & ENABLE_BITS,
            PM1_CONTROL => self.write_control(with(self.control)),
            GPE0_ENABLE => self.gpe0_enable = with(self.gpe0_enable),
            _ => {} // the timer is read-only, the rest is not there
        }
    }

    /// The timer's interrupt, if it is enabled and would change the SCI.
    fn next_event(&self, now: GuestTime) -> Option<GuestTime> {
        let waits = self.control & SCI_EN != 0 && self.enable & TMR != 0 && !self.sci(now);
        let half = now.clocks(PM_TIMER_HZ) / TIMER_HALF + 1;
        waits.then(|| GuestTime::at_clock(half * TIMER_HALF, PM_TIMER_HZ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        NS_PER_SECOND,
        suite::{self, Bench},
    };

    fn read_u16(acpi: &mut Bench<AcpiPm>, offset: u16) -> u16 {
        u16::from_le_bytes([acpi.read(offset), acpi.read(offset + 1)])
    }

    fn write_u16(acpi: &mut Bench<AcpiPm>, offset: u16, value: u16) {
        let [low, high] = value.to_le_bytes();
        acpi.write(offset, low);
        acpi.write(offset + 1, high);
    }

    fn timer(acpi: &mut Bench<AcpiPm>) -> u32 {
        u32::from_le_bytes([8, 9, 10, 11].map(|offset| acpi.read(offset)))
    }

    #[test]
    fn passes_the_device_suite() {
        let offsets: Vec<u16> = (0..0x42).collect();
        suite::all(AcpiPm::new, AcpiPm::reset, &offsets);
    }

    #[test]
    fn the_timer_counts_guest_time() {
        let mut acpi = Bench::new(AcpiPm::new());
        acpi.run_ns(NS_PER_SECOND);
        assert_eq!(timer(&mut acpi), 3_579_545);

        acpi.run_ns(4 * NS_PER_SECOND);
        assert_eq!(timer(&mut acpi), 5 * 3_579_545 - 0x100_0000, "24 bits");
        acpi.write(8, 0);
        assert_eq!(timer(&mut acpi), 5 * 3_579_545 - 0x100_0000, "read-only");
    }

    #[test]
    fn smi_command_switches_acpi_on_and_off() {
        let mut acpi = Bench::new(AcpiPm::new());
        assert_eq!(read_u16(&mut acpi, PM1_CONTROL), 0);

        acpi.write(SMI_COMMAND, ACPI_ENABLE);
        assert_eq!(read_u16(&mut acpi, PM1_CONTROL), 0x0001);
        acpi.write(SMI_COMMAND, ACPI_DISABLE);
        assert_eq!(read_u16(&mut acpi, PM1_CONTROL), 0x0000);
    }

    #[test]
    fn soft_off_switches_the_machine_off() {
        let mut acpi = Bench::new(AcpiPm::new());
        write_u16(&mut acpi, PM1_CONTROL, 0x0001);
        assert_eq!(acpi.chip.take_request(), None, "no SLP_EN");
        write_u16(&mut acpi, PM1_CONTROL, 0x2401);
        assert_eq!(acpi.chip.take_request(), None, "SLP_TYP 1 is no soft off");

        write_u16(&mut acpi, PM1_CONTROL, 0x2001);

        assert_eq!(acpi.chip.take_request(), Some(PowerRequest::PowerOff));
        assert_eq!(read_u16(&mut acpi, PM1_CONTROL), 0x0001, "SLP_EN reads as zero");
    }

    #[test]
    fn the_power_button_raises_the_sci_until_it_is_cleared() {
        let mut acpi = Bench::new(AcpiPm::new());
        acpi.write(SMI_COMMAND, ACPI_ENABLE);
        write_u16(&mut acpi, PM1_ENABLE, PWRBTN);

        acpi.chip.press_power_button();
        assert!(acpi.chip.sci(acpi.now));
        assert_eq!(read_u16(&mut acpi, PM1_STATUS), 0x0100);

        write_u16(&mut acpi, PM1_STATUS, 0x0001);
        assert!(acpi.chip.sci(acpi.now), "only ones clear");
        write_u16(&mut acpi, PM1_STATUS, 0x0100);
        assert!(!acpi.chip.sci(acpi.now));
    }

    #[test]
    fn the_sci_needs_sci_en() {
        let mut acpi = Bench::new(AcpiPm::new());
        write_u16(&mut acpi, PM1_ENABLE, PWRBTN);

        acpi.chip.press_power_button();

        assert!(!acpi.chip.sci(acpi.now));
    }

    #[test]
    fn the_timer_interrupts_when_its_highest_bit_changes() {
        let mut acpi = Bench::new(AcpiPm::new());
        acpi.write(SMI_COMMAND, ACPI_ENABLE);
        assert_eq!(acpi.chip.next_event(acpi.now), None, "not enabled");
        write_u16(&mut acpi, PM1_ENABLE, TMR);

        for toggle in 1..4 {
            let event = acpi.chip.next_event(acpi.now).unwrap();
            assert_eq!(event, GuestTime::at_clock(toggle * 0x80_0000, PM_TIMER_HZ));
            assert!(!acpi.chip.sci(GuestTime::from_ns(event.as_ns() - 1)));
            acpi.run_until(event);
            assert!(acpi.chip.sci(acpi.now));
            assert_eq!(acpi.chip.next_event(acpi.now), None, "the SCI is active already");
            write_u16(&mut acpi, PM1_STATUS, TMR);
            assert!(!acpi.chip.sci(acpi.now));
        }
    }

    #[test]
    fn what_is_not_there_reads_as_zero() {
        let mut acpi = Bench::new(AcpiPm::new());
        for offset in 0x10..0x40 {
            acpi.write(offset, 0xff);
            assert_eq!(acpi.read(offset), 0, "offset {offset:#x}");
        }
    }
}
