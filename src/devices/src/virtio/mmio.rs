//! The transport by memory-mapped registers.
//!
//! Source: virtio 1.2 §4.2, "Virtio Over MMIO"; §2.1, "Device Status Field".

use serde::{Deserialize, Serialize};

use super::queue::{MAX_SIZE, Queue};
use super::{Dma, VirtioDevice};
use crate::{GuestTime, NS_PER_SECOND, Reading};

/// "virt".
const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
/// "CTWY": the vendor is to be told apart by nothing but this.
const VENDOR: u32 = u32::from_le_bytes(*b"CTWY");
const VERSION_1: u64 = 1 << 32;

/// Registers (virtio 1.2 table 4.1, "MMIO Device Register Layout").
mod register {
    pub(super) const MAGIC_VALUE: u16 = 0x000;
    pub(super) const VERSION: u16 = 0x004;
    pub(super) const DEVICE_ID: u16 = 0x008;
    pub(super) const VENDOR_ID: u16 = 0x00c;
    pub(super) const DEVICE_FEATURES: u16 = 0x010;
    pub(super) const DEVICE_FEATURES_SEL: u16 = 0x014;
    pub(super) const DRIVER_FEATURES: u16 = 0x020;
    pub(super) const DRIVER_FEATURES_SEL: u16 = 0x024;
    pub(super) const QUEUE_SEL: u16 = 0x030;
    pub(super) const QUEUE_NUM_MAX: u16 = 0x034;
    pub(super) const QUEUE_NUM: u16 = 0x038;
    pub(super) const QUEUE_READY: u16 = 0x044;
    pub(super) const QUEUE_NOTIFY: u16 = 0x050;
    pub(super) const INTERRUPT_STATUS: u16 = 0x060;
    pub(super) const INTERRUPT_ACK: u16 = 0x064;
    pub(super) const STATUS: u16 = 0x070;
    pub(super) const QUEUE_DESC_LOW: u16 = 0x080;
    pub(super) const QUEUE_DEVICE_HIGH: u16 = 0x0a4;
    pub(super) const SHM_LEN_LOW: u16 = 0x0b0;
    pub(super) const SHM_BASE_HIGH: u16 = 0x0bc;
    pub(super) const CONFIG_GENERATION: u16 = 0x0fc;
    pub(super) const CONFIG: u16 = 0x100;
}

/// Bits of the status (virtio 1.2 §2.1).
const FEATURES_OK: u8 = 8;
const DRIVER_OK: u8 = 4;
const NEEDS_RESET: u8 = 64;
/// Bits of the interrupt status.
const USED_BUFFER: u8 = 1;
const CONFIG_CHANGE: u8 = 2;

/// A virtio device with its registers, 512 bytes of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtioMmio<D> {
    device: D,
    status: u8,
    interrupt: u8,
    /// Which halves of the features, and which queue, are selected.
    device_features_sel: u32,
    driver_features_sel: u32,
    queue_sel: u32,
    driver_features: u64,
    config_generation: u32,
    queues: Vec<Queue>,
    /// When the next request is done, if the driver has announced one.
    due: Option<GuestTime>,
    /// Until when the device is busy with what it has done.
    busy: GuestTime,
    /// Queues in which there may be requests, a bit each.
    announced: u32,
}

impl<D: VirtioDevice> VirtioMmio<D> {
    /// The device after power-on.
    pub fn new(device: D) -> Self {
        Self {
            device,
            status: 0,
            interrupt: 0,
            device_features_sel: 0,
            driver_features_sel: 0,
            queue_sel: 0,
            driver_features: 0,
            config_generation: 0,
            queues: vec![Queue::default(); D::QUEUES],
            due: None,
            busy: GuestTime::ZERO,
            announced: 0,
        }
    }

    /// Whether it is one that can have been saved at `now`.
    #[must_use]
    pub fn is_sound(&self, now: GuestTime) -> bool {
        // What is due is done before any instruction much later.
        let late = |due: &GuestTime| due.plus_ns(NS_PER_SECOND) < now;
        self.queues.len() == D::QUEUES && !self.due.as_ref().is_some_and(late)
    }

    /// RESET, or the driver starts anew. The configuration's generation goes on.
    pub fn reset(&mut self) {
        self.device.reset();
        self.status = 0;
        self.interrupt = 0;
        self.device_features_sel = 0;
        self.driver_features_sel = 0;
        self.queue_sel = 0;
        self.driver_features = 0;
        self.queues.fill(Queue::default());
        self.due = None;
        self.announced = 0;
    }

    /// The device behind the registers.
    #[must_use]
    pub fn device(&self) -> &D {
        &self.device
    }

    /// Changes the device from outside, and tells the driver that its configuration has changed.
    pub fn change(&mut self, change: impl FnOnce(&mut D)) {
        change(&mut self.device);
        self.config_generation = self.config_generation.wrapping_add(1);
        if self.status & DRIVER_OK != 0 {
            self.interrupt |= CONFIG_CHANGE;
        }
    }

    /// Whether a driver uses it.
    #[must_use]
    pub fn is_driven(&self) -> bool {
        self.status & (DRIVER_OK | FEATURES_OK | NEEDS_RESET) == DRIVER_OK | FEATURES_OK
    }

    /// The level of its interrupt line.
    #[must_use]
    pub fn irq(&self) -> bool {
        self.interrupt != 0
    }

    /// When the next request is done.
    #[must_use]
    pub fn next_event(&self) -> Option<GuestTime> {
        self.due
    }

    /// Reads 32 bits of a register, or a byte of the configuration.
    #[must_use]
    pub fn read(&self, offset: u16) -> u32 {
        let queue = self.queues.get(self.queue_sel as usize);
        match offset {
            register::MAGIC_VALUE => MAGIC,
            register::VERSION => VERSION,
            register::DEVICE_ID => D::ID,
            register::VENDOR_ID => VENDOR,
            register::DEVICE_FEATURES => half(D::FEATURES | VERSION_1, self.device_features_sel),
            register::QUEUE_NUM_MAX => queue.map_or(0, |_| u32::from(MAX_SIZE)),
            register::QUEUE_READY => queue.is_some_and(|queue| queue.ready).into(),
            register::INTERRUPT_STATUS => self.interrupt.into(),
            register::STATUS => self.status.into(),
            // There is no shared memory: length and base of any region read as ones.
            register::SHM_LEN_LOW..=register::SHM_BASE_HIGH => u32::MAX,
            register::CONFIG_GENERATION => self.config_generation,
            _ if offset >= register::CONFIG => {
                self.device.config(usize::from(offset - register::CONFIG)).into()
            }
            _ => 0,
        }
    }

    /// Writes 32 bits of a register, or a byte of the configuration.
    pub fn write(&mut self, offset: u16, value: u32, now: GuestTime) {
        match offset {
            register::DEVICE_FEATURES_SEL => self.device_features_sel = value,
            register::DRIVER_FEATURES_SEL => self.driver_features_sel = value,
            register::DRIVER_FEATURES if self.status & FEATURES_OK == 0 => {
                let shift = 32 * self.driver_features_sel.min(2);
                let part = u64::from(u32::MAX).unbounded_shl(shift);
                let value = u64::from(value).unbounded_shl(shift);
                self.driver_features = self.driver_features & !part | value;
            }
            register::QUEUE_SEL => self.queue_sel = value,
            register::QUEUE_NOTIFY => self.announce(value, now),
            register::INTERRUPT_ACK => self.interrupt &= !(value as u8),
            register::STATUS => self.set_status(value as u8),
            _ if offset >= register::CONFIG => {
                self.device.set_config(usize::from(offset - register::CONFIG), value as u8);
            }
            _ => self.set_queue(offset, value),
        }
    }

    fn set_queue(&mut self, offset: u16, value: u32) {
        let Some(queue) = self.queues.get_mut(self.queue_sel as usize) else { return };
        match offset {
            register::QUEUE_READY => queue.set_ready(value & 1 != 0),
            // A queue in use stays as it is.
            _ if queue.ready => {}
            register::QUEUE_NUM => queue.size = value.min(u32::from(u16::MAX)) as u16,
            register::QUEUE_DESC_LOW..=register::QUEUE_DEVICE_HIGH => {
                // Low and high dword of each of three areas, 16 bytes apart.
                let from = offset - register::QUEUE_DESC_LOW;
                let area = &mut queue.areas[usize::from(from / 16)];
                match from % 16 {
                    0 => *area = *area & !0xffff_ffff | u64::from(value),
                    4 => *area = *area & 0xffff_ffff | u64::from(value) << 32,
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn set_status(&mut self, value: u8) {
        if value == 0 {
            return self.reset();
        }
        let mut value = value & !NEEDS_RESET | self.status & NEEDS_RESET;
        // What the device does not offer, or a driver without version 1, it does not accept.
        let offered = D::FEATURES | VERSION_1;
        let agreed = self.driver_features & !offered == 0 && self.driver_features & VERSION_1 != 0;
        if self.status & FEATURES_OK == 0 && !agreed {
            value &= !FEATURES_OK;
        }
        self.status = value;
    }

    fn announce(&mut self, queue: u32, now: GuestTime) {
        if queue < D::QUEUES as u32 && self.is_driven() {
            self.announced |= 1 << queue;
            self.due.get_or_insert(now.max(self.busy).plus_ns(D::DELAY_NS));
        }
    }

    /// Does the request that is due, if one is.
    pub fn advance(&mut self, now: GuestTime, dma: &mut dyn Dma) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.due = None;
        while self.announced != 0 {
            // A damaged snapshot may announce queues that there are not.
            let number = self.announced.trailing_zeros() as usize;
            let Some(queue) = self.queues.get_mut(number) else {
                self.announced = 0;
                return;
            };
            let Ok(chain) = queue.take(dma) else { return self.break_down() };
            let Some(chain) = chain else {
                self.announced &= !(1 << number);
                continue;
            };
            let served = self.device.serve(number, &chain, dma);
            self.busy = now.plus_ns(served.ns);
            if queue.give_back(dma, &chain, served.written) {
                self.interrupt |= USED_BUFFER;
            }
            if !queue.has_more(dma) {
                self.announced &= !(1 << number);
            }
            break;
        }
        if self.announced != 0 {
            self.due = Some(self.busy.plus_ns(D::DELAY_NS));
        }
    }

    /// The driver has made an error that it has to mend by a reset.
    fn break_down(&mut self) {
        self.status |= NEEDS_RESET;
        self.interrupt |= CONFIG_CHANGE;
        self.announced = 0;
    }

    /// Registers for a person.
    #[must_use]
    pub fn inspect(&self) -> Vec<Reading> {
        let status = [
            (1, "ACKNOWLEDGE"),
            (2, "DRIVER"),
            (DRIVER_OK, "DRIVER_OK"),
            (FEATURES_OK, "FEATURES_OK"),
            (NEEDS_RESET, "DEVICE_NEEDS_RESET"),
            (128, "FAILED"),
        ];
        let interrupt = [(USED_BUFFER, "used buffer"), (CONFIG_CHANGE, "configuration change")];
        let mut readings = vec![
            Reading::bits("Status", self.status, &status),
            Reading::bits("InterruptStatus", self.interrupt, &interrupt),
            Reading::new("DriverFeatures", format!("{:016x}", self.driver_features)),
        ];
        for (number, queue) in self.queues.iter().enumerate() {
            let [descriptors, driver, device] = queue.areas;
            let state = if queue.ready { "ready" } else { "not ready" };
            let text =
                format!("{state}, {} at {descriptors:x}, {driver:x}, {device:x}", queue.size);
            readings.push(Reading::new(format!("queue {number}"), text));
        }
        readings.extend(self.device.inspect());
        readings
    }
}

fn half(features: u64, select: u32) -> u32 {
    features.unbounded_shr(32 * select.min(2)) as u32
}
