//! A driver in a few lines, against the devices through their registers.
//!
//! Expected values are those of virtio 1.2.

use super::*;
use crate::GuestTime;

/// RAM from 0 on, a medium, and the pages that were given up.
struct Memory {
    ram: Vec<u8>,
    medium: Vec<u8>,
    released: Vec<u64>,
}

impl Memory {
    fn new() -> Self {
        Self { ram: vec![0; 64 << 10], medium: vec![0; 8192], released: Vec::new() }
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        self.ram[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.ram[at], self.ram[at + 1]])
    }
}

impl Dma for Memory {
    fn is_ram(&self, address: u64, len: u64) -> bool {
        address.checked_add(len).is_some_and(|end| end <= self.ram.len() as u64)
    }

    fn read(&mut self, address: u64, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.ram[address as usize..][..bytes.len()]);
    }

    fn write(&mut self, address: u64, bytes: &[u8]) {
        self.put(address, bytes);
    }

    fn release(&mut self, page: u64) {
        self.released.push(page);
    }

    fn read_medium(&mut self, at: u64, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.medium[at as usize..][..bytes.len()]);
    }

    fn write_medium(&mut self, at: u64, bytes: &[u8]) {
        self.medium[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }
}

const DESCRIPTORS: u64 = 0x1000;
const AVAILABLE: u64 = 0x2000;
const USED: u64 = 0x3000;
const NEXT: u16 = 1;
const WRITE: u16 = 2;

/// A driver with a device and one queue of eight descriptors.
struct Driver<D> {
    device: VirtioMmio<D>,
    memory: Memory,
    now: GuestTime,
    available: u16,
}

impl<D: VirtioDevice> Driver<D> {
    /// Follows §3.1.1, "Driver Requirements: Device Initialization".
    fn start(device: D) -> Self {
        let mut device = VirtioMmio::new(device);
        let now = GuestTime::ZERO;
        for (offset, value) in [
            (0x70, 0), // Status
            (0x70, 1),
            (0x70, 3),
            (0x24, 1), // DriverFeaturesSel, DriverFeatures: version 1
            (0x20, 1),
            (0x70, 0xb),
            (0x30, 0), // QueueSel
            (0x38, 8), // QueueNum
            (0x80, DESCRIPTORS as u32),
            (0x90, AVAILABLE as u32),
            (0xa0, USED as u32),
            (0x44, 1), // QueueReady
            (0x70, 0xf),
        ] {
            device.write(offset, value, now);
        }
        assert_eq!(device.read(0x70), 0xf, "the device has accepted the features");
        Self { device, memory: Memory::new(), now, available: 0 }
    }

    fn descriptor(&mut self, index: u16, (address, len): (u64, u32), flags: u16, next: u16) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&address.to_le_bytes());
        bytes[8..12].copy_from_slice(&len.to_le_bytes());
        bytes[12..14].copy_from_slice(&flags.to_le_bytes());
        bytes[14..].copy_from_slice(&next.to_le_bytes());
        self.memory.put(DESCRIPTORS + 16 * u64::from(index), &bytes);
    }

    /// Makes the chain from this descriptor on available, and lets the device do it.
    fn send(&mut self, head: u16) {
        let slot = AVAILABLE + 4 + 2 * u64::from(self.available % 8);
        self.memory.put(slot, &head.to_le_bytes());
        self.available += 1;
        self.memory.put(AVAILABLE + 2, &self.available.to_le_bytes());
        self.device.write(0x50, 0, self.now);
        self.run();
    }

    fn run(&mut self) {
        let mut rounds = 0;
        while let Some(due) = self.device.next_event() {
            self.now = due;
            self.device.advance(due, &mut self.memory);
            rounds += 1;
            assert!(rounds < 100, "it comes to an end");
        }
    }

    fn used(&self) -> u16 {
        self.memory.u16(USED as usize + 2)
    }
}

impl Driver<Block> {
    /// A request with its data at 5000h; the status that it gets.
    fn request(&mut self, kind: u32, sector: u64, len: u32) -> u8 {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&kind.to_le_bytes());
        header[8..].copy_from_slice(&sector.to_le_bytes());
        self.memory.put(0x4000, &header);
        self.memory.put(0x4100, &[0xee]);
        let data = if kind == 1 { NEXT } else { NEXT | WRITE };
        self.descriptor(0, (0x4000, 16), NEXT, 1);
        self.descriptor(1, (0x5000, len), data, 2);
        self.descriptor(2, (0x4100, 1), WRITE, 0);
        self.send(0);
        self.memory.ram[0x4100]
    }
}

#[test]
fn it_says_what_it_is() {
    let device = VirtioMmio::new(Block::new(8192));
    assert_eq!([0, 4, 8].map(|offset| device.read(offset)), [0x7472_6976, 2, 2]);
    assert_eq!(device.read(0x100), 16, "sectors");
    assert_eq!(VirtioMmio::new(Balloon::default()).read(8), 5);
}

#[test]
fn a_driver_without_version_1_is_not_accepted() {
    let mut device = VirtioMmio::new(Block::new(512));
    device.write(0x70, 3, GuestTime::ZERO);
    device.write(0x70, 0xb, GuestTime::ZERO);
    assert_eq!(device.read(0x70), 3, "no FEATURES_OK");
}

#[test]
fn what_is_written_to_the_disk_is_read_again() {
    let mut driver = Driver::start(Block::new(8192));
    driver.memory.ram[0x5000..0x5400].fill(0x5a);
    assert_eq!(driver.request(1, 3, 1024), 0, "OK");
    assert_eq!(driver.memory.medium[3 * 512..][..1024], [0x5a; 1024]);
    assert_eq!(driver.memory.medium[5 * 512], 0);

    driver.memory.ram[0x5000..0x5200].fill(0);
    assert_eq!(driver.request(0, 4, 512), 0);
    assert_eq!(driver.memory.ram[0x5000..0x5200], [0x5a; 512]);
    assert_eq!(driver.used(), 2);
    assert_eq!(driver.memory.u16(USED as usize + 4 + 8 + 4), 513, "bytes written, with the status");
    assert!(driver.device.irq());
    driver.device.write(0x64, 1, driver.now);
    assert!(!driver.device.irq());
}

#[test]
fn beyond_the_end_is_an_error() {
    let mut driver = Driver::start(Block::new(8192));
    for (sector, len) in [(16, 512), (15, 1024), (u64::MAX, 512), (0, 100)] {
        assert_eq!(driver.request(0, sector, len), 1, "{sector}, {len}: IOERR");
    }
    assert_eq!(driver.request(99, 0, 512), 2, "UNSUPP");
    driver.device.change(|disk| disk.set_medium(0));
    assert_eq!(driver.device.read(0x60) & 2, 2, "a change of the configuration");
    assert_eq!(driver.device.read(0x100), 0);
    assert_eq!(driver.request(0, 0, 512), 1, "without a medium");
}

#[test]
fn the_driver_gives_up_the_pages_that_it_names() {
    let mut driver = Driver::start(Balloon::default());
    driver.device.change(|balloon| balloon.want(300));
    assert_eq!(driver.device.read(0x100) | driver.device.read(0x101) << 8, 300);
    for (n, page) in [0x12_u32, 0x345, 0xfff_ffff].into_iter().enumerate() {
        driver.memory.put(0x5000 + 4 * n as u64, &page.to_le_bytes());
    }
    driver.descriptor(0, (0x5000, 12), 0, 0);
    driver.send(0);
    assert_eq!(driver.memory.released, [0x1_2000, 0x34_5000, 0xff_ffff_f000]);
    driver.device.write(0x104, 3, driver.now);
    assert_eq!(driver.device.device().size(), BalloonSize { wanted: 300, actual: 3 });
}

#[test]
fn a_queue_that_makes_no_sense_needs_a_reset() {
    let circle = |driver: &mut Driver<Block>| driver.descriptor(0, (0x5000, 1), NEXT, 0);
    let nowhere = |driver: &mut Driver<Block>| driver.descriptor(0, (u64::MAX, 1), 0, 0);
    let beyond = |driver: &mut Driver<Block>| driver.descriptor(0, (0x5000, 1), NEXT, 8);
    let mixed = |driver: &mut Driver<Block>| {
        driver.descriptor(0, (0x5000, 1), NEXT | WRITE, 1);
        driver.descriptor(1, (0x5000, 1), 0, 0);
    };
    for spoil in [circle, nowhere, beyond, mixed] {
        let mut driver = Driver::start(Block::new(8192));
        spoil(&mut driver);
        driver.send(0);
        assert_eq!(driver.device.read(0x70), 0x4f, "DEVICE_NEEDS_RESET");
        assert_eq!(driver.used(), 0);
        driver.device.write(0x70, 0, driver.now);
        assert_eq!(driver.device.read(0x70), 0);
    }
}

/// Marsaglia's xorshift64: the registers and the queues at random. Nothing may panic, and each round
/// comes to an end.
#[test]
fn any_driver_is_survived() {
    let mut seed = 0x1234_5678_9abc_def0_u64;
    let mut next = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 16) % below
    };
    let mut served = 0;
    for round in 0..2000 {
        let mut driver = Driver::start(Block::new(8192));
        for _ in 0..20 {
            match next(4) {
                0 => {
                    let offset = next(0x80) as u16 * 4;
                    driver.device.write(offset, next(1 << 32) as u32 >> next(32), driver.now);
                }
                1 => {
                    let flags = next(4) as u16;
                    let place = (next(0x1_0100), next(2000) as u32);
                    driver.descriptor(next(8) as u16, place, flags, next(9) as u16);
                }
                2 => {
                    driver.memory.put(AVAILABLE + next(24), &[next(256) as u8]);
                }
                _ => driver.send(next(9) as u16),
            }
            driver.run();
        }
        served += u32::from(driver.used() > 0);
        let saved = postcard::to_stdvec(&driver.device).unwrap();
        let restored: VirtioMmio<Block> = postcard::from_bytes(&saved).unwrap();
        assert_eq!(restored, driver.device, "round {round}");
    }
    assert!(served > 100, "some of it made sense: {served}");
}
