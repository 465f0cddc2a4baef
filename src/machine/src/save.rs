//! All state of a machine as data, and a machine out of it.
//!
//! The state of CPU and chips is in sections; the bytes of memory are kept beside them by whoever
//! saves (a file, a checkpoint). What is in the sections is not trusted: a state that no machine
//! can have been in is refused, or runs like any other machine with odd contents.

use crate::board::Board;
use crate::memory_map::{self, capacity};
use crate::{Config, CpuModel, Devices, Machine, MachineError, OnReset};
use cutaway_cpu::{CpuState, Translations, Vcpu};
use cutaway_memory::{Backing, DirtyFor, MemoryError, PAGE_BITS, PAGE_SIZE};
use cutaway_state::{PageHashes, Section, State, StateError, StateHash, StateHasher};
use cutaway_vmm::{Model, Options, Paging};
use serde::{Deserialize, Serialize};

/// The section with the state of SVM, of a CPU that has it.
const SVM: &str = "cpu0-svm";
/// Sections that the guest cannot see; they are not in the hash.
const TRANSLATIONS: &str = "cpu0-translations";
const TOUCHED: &str = "memory-touched";
/// What a monitor keeps of its guest; shadow page tables are in the monitor's memory, which is hashed.
const MONITOR: &str = "monitor";
/// How it virtualizes the guest.
const MODEL: &str = "model";
/// What a guest sees of KVM's interface, if it has it.
const KVM: &str = "kvm";
/// Its ends of interrupts, if the guest has a local APIC too.
const PV_EOI: &str = "kvm-eoi";
/// Devices beyond those of every PC, if there are any.
const DEVICES: &str = "devices";
/// No run gets so far in a thousand years; arithmetic beyond it would overflow.
const MAX_TICKS: u64 = 1 << 62;

/// Why a state does not become a machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// A section is missing or damaged.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is no memory for it.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// Its configuration is impossible.
    #[error("the state is of an impossible machine")]
    Machine(#[from] MachineError),
    /// It has a CPU that this program does not know.
    #[error("the state is of a machine with CPU '{name}', which this program does not know")]
    Cpu {
        /// The CPU model.
        name: String,
    },
    /// It does not hold together.
    #[error("the state is damaged: {what}")]
    Unfit {
        /// What does not fit.
        what: &'static str,
    },
}

/// The section "machine": the configuration, and the size of the ROM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Configuration {
    memory_bytes: u64,
    cpu: String,
    ips: u64,
    rtc_start: i64,
    debug_exit: Option<u16>,
    rng_seed: Option<[u8; 32]>,
    cpu_seed: u64,
    on_reset: OnReset,
    rom_bytes: Option<u64>,
}

impl Configuration {
    fn of(config: &Config, rom_bytes: Option<u64>) -> Self {
        let Config {
            memory_bytes,
            cpu,
            ips,
            rtc_start,
            debug_exit,
            rng_seed,
            cpu_seed,
            on_reset,
            ..
        } = *config;
        let cpu = cpu.name().to_owned();
        Self {
            memory_bytes,
            cpu,
            ips,
            rtc_start,
            debug_exit,
            rng_seed,
            cpu_seed,
            on_reset,
            rom_bytes,
        }
    }

    fn read(state: &State) -> Result<Self, RestoreError> {
        let this: Self = state.section("machine")?.decode(1)?;
        this.config(None, devices(state)?)?.check()?;
        let is_rom = |bytes: u64| {
            (PAGE_SIZE..=crate::boot::MAX_ROM_BYTES).contains(&bytes)
                && bytes.is_multiple_of(PAGE_SIZE)
        };
        if !this.rom_bytes.is_none_or(is_rom) {
            return Err(RestoreError::Unfit { what: "the size of the ROM" });
        }
        Ok(this)
    }

    fn config(&self, monitor: Option<Monitor>, devices: Devices) -> Result<Config, RestoreError> {
        let Self { memory_bytes, ips, rtc_start, debug_exit, rng_seed, cpu_seed, on_reset, .. } =
            *self;
        let Some(cpu) = CpuModel::by_name(&self.cpu) else {
            return Err(RestoreError::Cpu { name: self.cpu.clone() });
        };
        Ok(Config {
            memory_bytes,
            cpu,
            ips,
            rtc_start,
            debug_exit,
            rng_seed,
            cpu_seed,
            on_reset,
            model: monitor.map(|monitor| monitor.options.model),
            umip: monitor.is_some_and(|monitor| monitor.options.umip),
            paging: monitor.map_or(Paging::default(), |monitor| monitor.options.paging),
            kvm: monitor.is_some_and(|monitor| monitor.kvm),
            devices,
        })
    }
}

/// How the machine's guest is virtualized, and what it is given beside.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Monitor {
    options: Options,
    kvm: bool,
}

impl Monitor {
    fn of(machine: &Machine) -> Option<Self> {
        machine.vm().map(|vm| Self { options: vm.options(), kvm: vm.kvm().is_some() })
    }

    fn read(state: &State) -> Result<Option<Self>, RestoreError> {
        let Ok(section) = state.section(MODEL) else { return Ok(None) };
        let options: Options = section.decode(2)?;
        let kvm = state.section(KVM).is_ok();
        if kvm && options.model != Model::Hardware {
            return Err(MachineError::NoKvm.into());
        }
        Ok(Some(Self { options, kvm }))
    }
}

/// The devices of a state's machine beyond those of every PC.
fn devices(state: &State) -> Result<Devices, StateError> {
    match state.section(DEVICES) {
        Ok(section) => section.decode(1),
        Err(_) => Ok(Devices::NONE),
    }
}

/// Bytes of memory, RAM and ROM, that belong to a state.
pub fn memory_len(state: &State) -> Result<u64, RestoreError> {
    let configuration = Configuration::read(state)?;
    let config = configuration.config(Monitor::read(state)?, devices(state)?)?;
    Ok(capacity(config.sizes(), configuration.rom_bytes))
}

/// Runs of pages that were ever written: first page and count, ascending.
fn runs(pages: impl Iterator<Item = usize>) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for page in pages.map(|offset| (offset >> PAGE_BITS) as u64) {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == page => *count += 1,
            _ => runs.push((page, 1)),
        }
    }
    runs
}

impl Machine {
    /// The sections that a guest can see the contents of.
    fn visible_sections(&self) -> Result<Vec<Section>, StateError> {
        let configuration = Configuration::of(self.config(), self.rom_bytes());
        let mut sections = vec![
            Section::encode("machine", 1, &configuration)?,
            Section::encode("cpu0", 1, &self.vcpu().save())?,
        ];
        if self.config().cpu.has_svm() {
            sections.push(Section::encode(SVM, 1, self.vcpu().svm())?);
        }
        if self.config().devices != Devices::NONE {
            sections.push(Section::encode(DEVICES, 1, &self.config().devices)?);
        }
        sections.extend(self.board().sections()?);
        if let Some(vm) = self.vm() {
            sections.push(Section::encode(MODEL, 2, &vm.options())?);
            if let Some(kvm) = vm.kvm() {
                sections.push(Section::encode(KVM, 1, &kvm.state())?);
                if let Some(eoi) = kvm.eoi() {
                    sections.push(Section::encode(PV_EOI, 1, &eoi)?);
                }
            }
        }
        Ok(sections)
    }

    /// All state but the bytes of memory: CPU, chips, and which pages of memory count.
    pub fn save(&self) -> Result<State, StateError> {
        let mut state = State::new();
        for section in self.visible_sections()? {
            state.add(section)?;
        }
        state.add(Section::encode(TRANSLATIONS, 1, &self.vcpu().translations())?)?;
        if let Some(vm) = self.vm() {
            state.add(Section::encode(MONITOR, 1, &vm.save())?)?;
        }
        state.add(Section::encode(TOUCHED, 1, &runs(self.memory().touched_pages()))?)?;
        Ok(state)
    }

    /// A machine in this state. The backing holds its [`memory_len`] bytes of memory.
    pub fn restore(state: &State, backing: Backing) -> Result<Self, RestoreError> {
        let configuration = Configuration::read(state)?;
        let config = configuration.config(Monitor::read(state)?, devices(state)?)?;
        let (sizes, rom_bytes) = (config.sizes(), configuration.rom_bytes);
        if backing.len() as u64 != capacity(sizes, rom_bytes) {
            return Err(RestoreError::Unfit { what: "the size of the memory" });
        }
        let mut memory = memory_map::of_backing(sizes, rom_bytes, backing)?;
        let touched: Vec<(u64, u64)> = state.section(TOUCHED)?.decode(1)?;
        let end = memory.backing().len() as u64 >> PAGE_BITS;
        let mut free = 0;
        for (first, count) in touched {
            if first < free || count > end || first > end - count {
                return Err(RestoreError::Unfit { what: "the list of pages" });
            }
            free = first + count;
            (first..free).for_each(|page| memory.mark_dirty((page << PAGE_BITS) as usize));
        }
        let (vcpu, board) = (Vcpu::new(config.cpu), Board::new(&config, memory));
        let mut machine = Self::of_parts(config, vcpu, board, rom_bytes);
        machine.load(state)?;
        Ok(machine)
    }

    /// Whether the state is of a machine configured as this one.
    pub(crate) fn is_like(&self, state: &State) -> Result<bool, RestoreError> {
        Ok(Configuration::read(state)? == Configuration::of(self.config(), self.rom_bytes())
            && Monitor::read(state)? == Monitor::of(self)
            && devices(state)? == self.config().devices)
    }

    /// Puts the machine into a state of its own, or of one configured alike. The bytes of memory
    /// must be put back first ([`Self::write_page`]). After an error the machine is of no use.
    pub fn load(&mut self, state: &State) -> Result<(), RestoreError> {
        if !self.is_like(state)? {
            return Err(RestoreError::Unfit { what: "it is of another machine" });
        }
        let mut cpu: CpuState = state.section("cpu0")?.decode(1)?;
        if cpu.ticks > MAX_TICKS || cpu.skipped > cpu.ticks {
            return Err(RestoreError::Unfit { what: "the count of ticks" });
        }
        if self.config().cpu.has_svm() {
            cpu.svm = state.section(SVM)?.decode(1)?;
            if !cpu.svm.is_sound() {
                return Err(RestoreError::Unfit { what: "the state of SVM" });
            }
        }
        let translations: Translations = state.section(TRANSLATIONS)?.decode(1)?;
        let (vcpu, board) = self.parts();
        board.load(state, cpu.ticks)?;
        let fits = vcpu.restore(board, &cpu, &translations);
        fits.ok_or(RestoreError::Unfit { what: "the translations of the CPU" })?;
        if let Some((vm, memory)) = self.vm_and_memory() {
            let saved = state.section(MONITOR)?.decode(1)?;
            let guest = cpu.svm.guest.as_ref();
            vm.load(saved, guest, memory)
                .ok_or(RestoreError::Unfit { what: "the monitor's state" })?;
            if let Some(kvm) = vm.kvm() {
                let has_eoi = kvm.eoi().is_some();
                vm.load_kvm(state.section(KVM)?.decode(1)?);
                if has_eoi {
                    vm.load_pv_eoi(state.section(PV_EOI)?.decode(1)?);
                }
            }
        }
        Ok(())
    }

    /// Replaces a page of memory, ROM included, from outside the guest.
    ///
    /// # Panics
    /// If the offset is that of no page of the backing.
    pub fn write_page(&mut self, offset: usize, bytes: &[u8; PAGE_SIZE as usize]) {
        let memory = self.parts().1.memory_mut();
        memory.mark_dirty(offset);
        memory.backing().write(offset, bytes);
    }

    /// The hash of everything a guest can see. Equal machines have equal hashes, on every host. It
    /// costs as much as memory was written since the last time.
    pub fn state_hash(&mut self) -> Result<StateHash, StateError> {
        let mut hasher = StateHasher::new();
        for section in self.visible_sections()? {
            hasher.section(&section);
        }
        let mut hashes = std::mem::take(self.page_hashes());
        let (vcpu, board) = self.parts();
        let memory = board.memory_mut();
        if hashes.is_empty() {
            hashes = PageHashes::new(memory.backing().len() >> PAGE_BITS);
        }
        let mut page = [0; PAGE_SIZE as usize];
        for offset in memory.dirty_pages(DirtyFor::Hash) {
            memory.backing().read(offset, &mut page);
            hashes.set(offset >> PAGE_BITS, &page);
        }
        memory.clear_dirty(DirtyFor::Hash);
        vcpu.protect_memory();
        hashes.hash_into(&mut hasher);
        *self.page_hashes() = hashes;
        Ok(hasher.finish())
    }

    /// The pages written since the last call, or since the machine was made.
    pub fn take_dirty_pages(&mut self) -> Vec<usize> {
        let (vcpu, board) = self.parts();
        let memory = board.memory_mut();
        let pages = memory.dirty_pages(DirtyFor::Checkpoint).collect();
        memory.clear_dirty(DirtyFor::Checkpoint);
        vcpu.protect_memory();
        pages
    }
}

#[cfg(test)]
mod tests;
