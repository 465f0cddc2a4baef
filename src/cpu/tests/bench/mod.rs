//! A vCPU with RAM and nothing else, for tests.
#![allow(dead_code, reason = "each test program uses its part")]

use cutaway_cpu::{Bus, CpuModel, CpuState, Exit, Pins, Seg, Segment, Vcpu};
use cutaway_isa::{Vector, Width};
use cutaway_memory::GuestMemory;

/// RAM, ports that remember what was written, no interrupts.
pub(crate) struct RamBus {
    pub(crate) memory: GuestMemory,
    pub(crate) written: Vec<(u16, u32, u64)>,
    pub(crate) intr: bool,
}

impl Bus for RamBus {
    fn memory(&mut self) -> &mut GuestMemory {
        &mut self.memory
    }
    fn port_read(&mut self, _: u16, w: Width, _: u64) -> u32 {
        w.mask() as u32
    }
    fn port_write(&mut self, port: u16, _: Width, value: u32, at: u64) {
        self.written.push((port, value, at));
    }
    fn mmio_read(&mut self, _: u64, w: Width, _: u64) -> u64 {
        w.mask()
    }
    fn mmio_write(&mut self, _: u64, _: Width, _: u64, _: u64) {}
    fn pins(&self) -> Pins {
        Pins { intr: self.intr, ..Pins::default() }
    }
    fn acknowledge(&mut self, _: u64) -> Vector {
        Vector(0x20)
    }
    fn stop_at(&self) -> u64 {
        u64::MAX
    }
}

/// Where test code lies.
pub(crate) const CODE: u64 = 0x1_0000;
/// Top of the test stack.
pub(crate) const STACK: u64 = 0x9_0000;

pub(crate) struct Bench {
    pub(crate) cpu: Vcpu,
    pub(crate) bus: RamBus,
}

impl Bench {
    fn new(code: &[u8]) -> Self {
        Self::of(CpuModel::Max, code)
    }

    fn of(model: CpuModel, code: &[u8]) -> Self {
        let mut memory = GuestMemory::new(16 << 20).expect("the host has 16 MiB");
        memory.add_ram(0, 16 << 20).expect("the map is empty");
        memory.write(CODE, code);
        let cpu = Vcpu::new(model);
        Self { cpu, bus: RamBus { memory, written: Vec::new(), intr: false } }
    }

    /// 64-bit mode, CPL 0, the first GiB identity-mapped.
    pub(crate) fn long(code: &[u8]) -> Self {
        Self::long_of(CpuModel::Max, code)
    }

    /// `long`, on another model.
    pub(crate) fn long_of(model: CpuModel, code: &[u8]) -> Self {
        let mut bench = Self::of(model, code);
        bench.bus.memory.write(0x1000, &0x2003_u64.to_le_bytes());
        bench.bus.memory.write(0x2000, &0x83_u64.to_le_bytes());
        bench.edit(|s| {
            s.system.cr0 = 0x8000_0033;
            s.system.cr3 = 0x1000;
            s.system.cr4 = 0x620;
            s.system.efer = 0xd00;
            s.system.segments[Seg::Cs as usize] =
                Segment { selector: 8, attributes: 0xa09b, limit: u32::MAX, base: 0 };
        });
        bench
    }

    /// 32-bit protected mode with flat segments, CPL 0, no paging.
    pub(crate) fn protected(code: &[u8]) -> Self {
        let mut bench = Self::new(code);
        bench.edit(|s| {
            s.system.cr0 = 0x33;
            s.system.cr4 = 0x600;
            let data = Segment { selector: 16, attributes: 0xc093, limit: u32::MAX, base: 0 };
            for seg in [Seg::Ss, Seg::Ds, Seg::Es] {
                s.system.segments[seg as usize] = data;
            }
            s.system.segments[Seg::Cs as usize] =
                Segment { selector: 8, attributes: 0xc09b, ..data };
        });
        bench
    }

    /// Real mode, all segments at 0.
    pub(crate) fn real(code: &[u8]) -> Self {
        let mut bench = Self::new(code);
        bench.bus.memory.write(0x1000, code);
        bench.edit(|s| {
            s.system.segments[Seg::Cs as usize].base = 0;
            s.system.segments[Seg::Cs as usize].selector = 0;
            s.rip = 0x1000;
            s.gpr[4] = 0x9000;
        });
        bench
    }

    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut CpuState)) {
        let mut state = self.cpu.save();
        state.rip = CODE;
        state.gpr[4] = STACK;
        change(&mut state);
        self.cpu.load(&state);
    }

    /// Runs until HLT (or something worse) and returns the state there.
    pub(crate) fn run_to_halt(&mut self) -> CpuState {
        let exit = self.cpu.run(&mut self.bus, 100_000_000);
        assert_eq!(exit, Exit::Halt, "the program ends with HLT");
        self.cpu.save()
    }
}
