//! A machine at one instant, kept in memory: to go back to, and to make more machines like it.
//!
//! Only pages that were ever written are copied. The file formats of snapshots are the crate replay's;
//! it maps a file copy-on-write instead.

use crate::{Machine, RestoreError, memory_len};
use cutaway_memory::{Backing, PAGE_SIZE};
use cutaway_state::State;
use std::collections::BTreeSet;

/// A machine at one instant.
#[derive(Debug)]
pub struct Image {
    state: State,
    /// All memory, with zeros where nothing was ever written.
    backing: Backing,
    /// Offsets of the pages that were.
    pages: Vec<usize>,
}

/// Copies whole pages.
fn copy(from: &Backing, to: &Backing, pages: &[usize]) {
    let mut page = [0; PAGE_SIZE as usize];
    for offset in pages {
        from.read(*offset, &mut page);
        to.write(*offset, &page);
    }
}

impl Image {
    /// The machine as it is now.
    pub fn of(machine: &Machine) -> Result<Self, RestoreError> {
        let state = machine.save()?;
        let memory = machine.memory();
        let backing = Backing::new(memory.backing().len())?;
        let pages: Vec<_> = memory.touched_pages().collect();
        copy(memory.backing(), &backing, &pages);
        Ok(Self { state, backing, pages })
    }

    /// Another machine in this state. It has no one who takes its output yet.
    pub fn machine(&self) -> Result<Machine, RestoreError> {
        let backing = Backing::new(self.backing.len())?;
        copy(&self.backing, &backing, &self.pages);
        Machine::restore(&self.state, backing)
    }

    /// The same, out of the image's own memory.
    pub fn into_machine(self) -> Result<Machine, RestoreError> {
        Machine::restore(&self.state, self.backing)
    }

    /// Bytes of memory that were copied.
    #[must_use]
    pub fn copied_bytes(&self) -> u64 {
        self.pages.len() as u64 * PAGE_SIZE
    }
}

impl Machine {
    /// Goes back to an image of itself, or of a machine configured alike. What takes its output
    /// stays. A machine that the image does not fit is left as it is; no log of inputs knows of it.
    pub fn revert(&mut self, image: &Image) -> Result<(), RestoreError> {
        let fits = self.is_like(&image.state)?
            && memory_len(&image.state)? == self.memory().backing().len() as u64;
        if !fits {
            return Err(RestoreError::Unfit { what: "it is of another machine" });
        }
        let touched: BTreeSet<_> =
            self.memory().touched_pages().chain(image.pages.iter().copied()).collect();
        let (mut now, mut then) = ([0; PAGE_SIZE as usize], [0; PAGE_SIZE as usize]);
        for offset in touched {
            self.memory().backing().read(offset, &mut now);
            image.backing.read(offset, &mut then);
            if now != then {
                self.write_page(offset, &then);
            }
        }
        self.load(&image.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Boot, Config, CpuModel};

    /// Counts in memory, lets the timer interrupt it, and talks to COM1, for ever.
    fn machine(memory_bytes: u64) -> Machine {
        let image = include_bytes!("../../../test-roms/bin/pic.bin");
        let cpu = CpuModel::by_name("x86-64-v2").unwrap();
        Machine::new(Config { memory_bytes, ..Config::new(cpu) }, &Boot::Rom(image)).unwrap()
    }

    #[test]
    fn what_goes_back_goes_on_as_before() {
        let mut machine = machine(2 << 20);
        machine.run_until(10_000);
        let (image, then) = (Image::of(&machine).unwrap(), machine.state_hash().unwrap());
        machine.run_until(300_000);
        let later = machine.state_hash().unwrap();

        for _ in 0..2 {
            machine.revert(&image).unwrap();
            assert_eq!(machine.state_hash().unwrap(), then);
            machine.run_until(300_000);
            assert_eq!(machine.state_hash().unwrap(), later);
        }
        for mut other in [image.machine().unwrap(), image.into_machine().unwrap()] {
            assert_eq!(other.state_hash().unwrap(), then);
            other.run_until(300_000);
            assert_eq!(other.state_hash().unwrap(), later);
        }
    }

    #[test]
    fn an_image_of_another_machine_is_refused_and_nothing_changes() {
        let (mut one, mut other) = (machine(2 << 20), machine(3 << 20));
        other.run_until(10_000);
        let before = other.state_hash().unwrap();

        one.run_until(20_000);
        let error = other.revert(&Image::of(&one).unwrap()).unwrap_err();

        assert_eq!(error.to_string(), "the state is damaged: it is of another machine");
        assert_eq!(other.state_hash().unwrap(), before);
    }
}
