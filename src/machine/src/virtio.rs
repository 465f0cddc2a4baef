//! The virtio devices of the board: where their registers lie, their interrupt lines, and the way to
//! memory.
//!
//! Each has a page of device memory at [`BASE`] and the next, and drives an interrupt line by levels: who
//! uses the 8259A pair sets bits 10 and 11 of ELCR (ports 4D0h and 4D1h), as Linux does by ACPI. The DSDT names them with `_HID` LNRO0005, which is what Linux looks for.

use crate::config::Devices;
use crate::wiring::irq;
use cutaway_cpu::Vcpu;
use cutaway_devices::{Balloon, BalloonSize, Block, Dma, GuestTime, Reading, SECTOR, VirtioMmio};
use cutaway_isa::Width;
use cutaway_memory::{GuestMemory, PAGE_SIZE, PageKind};
use cutaway_state::{Section, State, StateError};
use cutaway_vmm::{Touched, Vm};

/// The registers of the first device; the next one's follow a page further on.
pub(crate) const BASE: u64 = 0xfeb0_0000;
/// Bytes of registers.
pub(crate) const REGISTERS: u64 = 0x200;
/// Where the configuration begins, which is read by bytes.
const CONFIG: u16 = 0x100;

/// A place for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Balloon,
    Disk,
}

impl Slot {
    pub(crate) const ALL: [Self; 2] = [Self::Balloon, Self::Disk];

    /// Whether a machine with these devices has it.
    pub(crate) fn is_there(self, devices: &Devices) -> bool {
        match self {
            Self::Balloon => devices.balloon,
            Self::Disk => devices.disk_bytes > 0,
        }
    }

    /// Where its registers lie.
    pub(crate) fn base(self) -> u64 {
        BASE + self as u64 * PAGE_SIZE
    }

    /// Its interrupt line.
    pub(crate) fn irq(self) -> u8 {
        irq::VIRTIO[self as usize]
    }

    fn name(self) -> &'static str {
        ["balloon", "disk"][self as usize]
    }

    fn section(self) -> &'static str {
        ["virtio-balloon", "virtio-blk"][self as usize]
    }
}

/// Where a device reached into memory.
pub(crate) struct Reached {
    /// Guest-physical address.
    address: u64,
    len: u64,
    how: Touched,
}

/// The devices that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Virtio {
    balloon: Option<VirtioMmio<Balloon>>,
    disk: Option<VirtioMmio<Block>>,
    /// The most bytes that a medium of the disk can have.
    room: u64,
}

impl Virtio {
    pub(crate) fn new(devices: &Devices) -> Self {
        let Devices { balloon, disk_bytes, disk_empty } = *devices;
        let medium = if disk_empty { 0 } else { disk_bytes };
        Self {
            balloon: balloon.then(|| VirtioMmio::new(Balloon::default())),
            disk: (disk_bytes > 0).then(|| VirtioMmio::new(Block::new(medium))),
            room: disk_bytes,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.balloon.iter_mut().for_each(VirtioMmio::reset);
        self.disk.iter_mut().for_each(VirtioMmio::reset);
    }

    /// The device at an address of device memory, and the register's offset.
    pub(crate) fn decode(address: u64) -> Option<(Slot, u16)> {
        let inside = |slot: &Slot| (slot.base()..slot.base() + REGISTERS).contains(&address);
        let slot = Slot::ALL.into_iter().find(inside)?;
        Some((slot, (address - slot.base()) as u16))
    }

    /// Reads registers. Only a whole one answers; the configuration has bytes.
    pub(crate) fn read(&self, (slot, offset): (Slot, u16), width: Width) -> u64 {
        let read = |offset| match slot {
            Slot::Balloon => self.balloon.as_ref().map(|device| device.read(offset)),
            Slot::Disk => self.disk.as_ref().map(|device| device.read(offset)),
        };
        if offset < CONFIG {
            let whole = width == Width::Dword && offset % 4 == 0;
            return read(offset).map_or(width.mask(), |value| if whole { value.into() } else { 0 });
        }
        let bytes = (0..width.bytes() as u16).map(|byte| read(offset + byte).unwrap_or(0xff) as u8);
        bytes.rev().fold(0, |value, byte| value << 8 | u64::from(byte))
    }

    /// Writes registers.
    pub(crate) fn write(
        &mut self,
        (slot, offset): (Slot, u16),
        width: Width,
        value: u64,
        now: GuestTime,
    ) {
        let mut write = |offset, value| match slot {
            Slot::Balloon => self.balloon.iter_mut().for_each(|it| it.write(offset, value, now)),
            Slot::Disk => self.disk.iter_mut().for_each(|it| it.write(offset, value, now)),
        };
        if offset >= CONFIG {
            for (byte, at) in
                value.to_le_bytes().into_iter().zip(offset..).take(width.bytes() as usize)
            {
                write(at, byte.into());
            }
        } else if width == Width::Dword && offset % 4 == 0 {
            write(offset, value as u32);
        }
    }

    /// When the next request is done.
    pub(crate) fn next_event(&self) -> Option<GuestTime> {
        let balloon = self.balloon.as_ref().and_then(VirtioMmio::next_event);
        let disk = self.disk.as_ref().and_then(VirtioMmio::next_event);
        balloon.into_iter().chain(disk).min()
    }

    /// Does the requests that are due.
    pub(crate) fn advance(&mut self, now: GuestTime, dma: &mut BoardDma<'_>) {
        self.balloon.iter_mut().for_each(|device| device.advance(now, dma));
        self.disk.iter_mut().for_each(|device| device.advance(now, dma));
    }

    /// The interrupt lines and their levels.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u8, bool)> {
        let balloon = self.balloon.as_ref().map(|it| (Slot::Balloon.irq(), it.irq()));
        let disk = self.disk.as_ref().map(|it| (Slot::Disk.irq(), it.irq()));
        balloon.into_iter().chain(disk)
    }

    /// The size of the balloon, if a driver blows it up, or let it be blown up.
    pub(crate) fn balloon(&self) -> Option<BalloonSize> {
        self.balloon.as_ref().filter(|device| device.is_driven()).map(|it| it.device().size())
    }

    /// Wants a balloon of so many pages.
    pub(crate) fn want_balloon(&mut self, pages: u32) {
        self.balloon.iter_mut().for_each(|it| it.change(|balloon| balloon.want(pages)));
    }

    /// Bytes of the disk's medium, if there is a disk, and the most that it can have.
    pub(crate) fn disk(&self) -> Option<(u64, u64)> {
        self.disk.as_ref().map(|device| (device.device().medium(), self.room))
    }

    /// Gives the disk a medium with these contents, if it fits; without contents it has none.
    pub(crate) fn change_disk(&mut self, contents: &[u8], dma: &mut BoardDma<'_>) {
        let (bytes, room) = (contents.len() as u64, self.room);
        let Some(disk) = self.disk.as_mut() else { return };
        if bytes <= room && bytes.is_multiple_of(SECTOR) {
            // What was there before is gone.
            dma.clear_medium(room);
            dma.write_medium(0, contents);
            disk.change(|disk| disk.set_medium(bytes));
        }
    }

    /// Devices by name, with what each shows of itself.
    pub(crate) fn inspect(&self) -> Vec<(&'static str, Vec<Reading>)> {
        let mut views = Vec::new();
        if let Some(device) = &self.balloon {
            views.push((Slot::Balloon.name(), device.inspect()));
        }
        if let Some(device) = &self.disk {
            views.push((Slot::Disk.name(), device.inspect()));
        }
        views
    }

    pub(crate) fn sections(&self) -> Result<Vec<Section>, StateError> {
        let balloon = self.balloon.as_ref();
        let balloon = balloon.map(|it| Section::encode(Slot::Balloon.section(), 1, it));
        let disk = self.disk.as_ref().map(|it| Section::encode(Slot::Disk.section(), 1, it));
        balloon.into_iter().chain(disk).collect()
    }

    /// Replaces the state of every device that is there, as of `now`; `Ok(false)` if it does not hold
    /// together.
    pub(crate) fn load(&mut self, state: &State, now: GuestTime) -> Result<bool, StateError> {
        let mut sound = true;
        if let Some(device) = &mut self.balloon {
            *device = state.section(Slot::Balloon.section())?.decode(1)?;
            sound &= device.is_sound(now);
        }
        if let Some(device) = &mut self.disk {
            *device = state.section(Slot::Disk.section())?.decode(1)?;
            let medium = device.device().medium();
            sound &= device.is_sound(now) && medium <= self.room && medium.is_multiple_of(SECTOR);
        }
        Ok(sound)
    }
}

/// Memory as the devices reach it, and the medium of the disk, which lies behind all that the guest can
/// address.
pub(crate) struct BoardDma<'a> {
    pub(crate) memory: &'a mut GuestMemory,
    pub(crate) reached: &'a mut Vec<Reached>,
}

impl BoardDma<'_> {
    fn note(&mut self, address: u64, len: u64, how: Touched) {
        self.reached.push(Reached { address, len, how });
    }

    /// Makes zeros of so many bytes of the medium, as if nobody had written to them.
    fn clear_medium(&mut self, len: u64) {
        let (start, end) = (self.medium(0), self.medium(len));
        let written = self.memory.touched_pages().filter(|page| (start..end).contains(page));
        let written: Vec<_> = written.collect();
        written.into_iter().for_each(|page| self.memory.release(page));
    }

    /// Where bytes of the medium are in the backing.
    fn medium(&self, at: u64) -> usize {
        (self.memory.mapped_bytes() + at) as usize
    }
}

impl Dma for BoardDma<'_> {
    fn is_ram(&self, address: u64, len: u64) -> bool {
        self.memory.is_ram(address, len)
    }

    fn read(&mut self, address: u64, bytes: &mut [u8]) {
        self.memory.read(address, bytes);
        self.note(address, bytes.len() as u64, Touched::Read);
    }

    fn write(&mut self, address: u64, bytes: &[u8]) {
        self.memory.write(address, bytes);
        self.note(address, bytes.len() as u64, Touched::Written);
    }

    fn release(&mut self, page: u64) {
        if let PageKind::Ram(offset) = self.memory.page(page) {
            self.memory.release(offset);
            self.note(page, PAGE_SIZE, Touched::Released);
        }
    }

    fn read_medium(&mut self, at: u64, bytes: &mut [u8]) {
        self.memory.backing().read(self.medium(at), bytes);
    }

    fn write_medium(&mut self, at: u64, bytes: &[u8]) {
        let (start, end) = (self.medium(at), self.medium(at) + bytes.len());
        for page in (start >> 12)..end.div_ceil(PAGE_SIZE as usize) {
            self.memory.mark_dirty(page << 12);
        }
        self.memory.backing().write(start, bytes);
    }
}

/// Tells CPU and monitor where devices have reached into memory.
pub(crate) fn tell(
    reached: &[Reached],
    vcpu: &mut Vcpu,
    mut vm: Option<&mut Vm>,
    memory: &mut GuestMemory,
) {
    for &Reached { address, len, how } in reached {
        let mut at = address;
        while at < address + len {
            let part = (address + len - at).min(PAGE_SIZE - at % PAGE_SIZE);
            if let PageKind::Ram(page) = memory.page(at) {
                if how != Touched::Read {
                    vcpu.memory_written(page + (at % PAGE_SIZE) as usize, part);
                }
                if let Some(vm) = vm.as_deref_mut() {
                    vm.memory_touched(vcpu, memory, (at, part), how);
                }
            }
            at += part;
        }
    }
    if reached.iter().any(|reached| reached.how == Touched::Released) {
        vcpu.protect_memory();
        if let Some(vm) = vm {
            vm.forget_translations(vcpu);
        }
    }
}
