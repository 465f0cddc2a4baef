//! The interpreter's side: the same case on a [`Vcpu`] in the same place.
//!
//! The vCPU is in long mode at CPL 3 with Linux's GDT, so that 16- and 32-bit code runs in
//! compatibility mode as it does in the oracle. Exceptions are intercepted rather than delivered;
//! software interrupts go through an IDT like Linux's to handlers that are never run.

use cutaway_cpu::float::FxsavePointers;
use cutaway_cpu::vector::Xmm;
use cutaway_cpu::{Bus, CpuModel, CpuState, Exit, Pins, Seg, Segment, TableRegister, Vcpu};
use cutaway_isa::{Vector, Width};
use cutaway_memory::{DirtyFor, GuestMemory, MemoryError, PageKind};

use crate::case::{Case, Ending, Length, Outcome, Registers, ending, seg};
use crate::place::{self, GDT, GDT_LIMIT, LDT, LDTR, LdtEntry, PAGE, PAGES, TSS, WINDOW};
use crate::place::{WINDOW_SIZE, filler};

const TF: u64 = 1 << 8;

/// Physical addresses. The window is mapped here.
const PHYSICAL_WINDOW: u64 = 0x1_0000;
/// Tables, the TSS and the handlers' stack, one page each: mapped for the supervisor at
/// [`SYSTEM`] in this order.
const PHYSICAL_SYSTEM: u64 = 0x2_0000;
const PML4: u64 = 0x1000;
/// Linear address of the system pages, in the kernel's half.
const SYSTEM: u64 = 0xffff_ff80_0000_0000;
const GDT_PAGE: u64 = 0;
const LDT_PAGE: u64 = 1;
const IDT_PAGE: u64 = 2;
const TSS_PAGE: u64 = 3;
const STACK_PAGE: u64 = 4;
const SYSTEM_PAGES: u64 = 5;
const MEMORY: u64 = 0x3_0000;
/// Handlers are not there; these addresses only tell the vector.
const HANDLERS: u64 = SYSTEM + 0x10_0000;
/// Vectors whose gates Linux lets user code call: #BP, #OF, INT 80h.
const OPEN_GATES: [u64; 3] = [3, 4, 0x80];

/// How the vCPU is to run a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// With TF set, as the oracle runs it: the complete path, an instruction at a time.
    Trap,
    /// Without TF, as a block: the fast handlers where there are such.
    Block {
        /// Instructions of the block: the instruction under test, and the jump behind it unless
        /// it is itself the block's end.
        count: u64,
    },
}

struct Window {
    memory: GuestMemory,
}

impl Bus for Window {
    fn memory(&mut self) -> &mut GuestMemory {
        &mut self.memory
    }
    fn port_read(&mut self, _: u16, width: Width, _: u64) -> u32 {
        width.mask() as u32
    }
    fn port_write(&mut self, _: u16, _: Width, _: u32, _: u64) {}
    fn mmio_read(&mut self, _: u64, width: Width, _: u64) -> u64 {
        width.mask()
    }
    fn mmio_write(&mut self, _: u64, _: Width, _: u64, _: u64) {}
    fn pins(&self) -> Pins {
        Pins::default()
    }
    fn acknowledge(&mut self, _: u64) -> Vector {
        Vector(0xff)
    }
    fn stop_at(&self) -> u64 {
        u64::MAX
    }
}

/// A vCPU with the window.
pub struct Emulator {
    cpu: Vcpu,
    bus: Window,
    /// Offset of the window in the backing.
    window: usize,
    /// What the window should hold: filler, and the running case's patches.
    shadow: Vec<u8>,
    filler: Vec<u8>,
    /// State with all system registers as they are in a Linux process.
    start: CpuState,
    /// What the interpreter said when it had no such instruction.
    pub unimplemented: String,
}

impl Emulator {
    /// A vCPU of this model.
    pub fn new(model: CpuModel) -> Result<Self, MemoryError> {
        let mut memory = GuestMemory::new(MEMORY)?;
        memory.add_ram(0, MEMORY)?;
        let filler: Vec<u8> = (0..WINDOW_SIZE).map(filler).collect();
        memory.write(PHYSICAL_WINDOW, &filler);
        map(&mut memory);
        write_tables(&mut memory);
        let PageKind::Ram(window) = memory.page(PHYSICAL_WINDOW) else {
            unreachable!("the window was added as RAM")
        };
        let mut cpu = Vcpu::new(model);
        cpu.set_intercepted_exceptions(u32::MAX);
        let start = system_state(cpu.save());
        let (bus, shadow) = (Window { memory }, filler.clone());
        Ok(Self { cpu, bus, window, shadow, filler, start, unimplemented: String::new() })
    }

    /// Runs one case.
    pub fn run(&mut self, case: &Case, path: Path, outcome: &mut Outcome) {
        for patch in case.patches() {
            let at = patch.offset as usize;
            self.shadow[at..at + patch.bytes().len()].copy_from_slice(patch.bytes());
            self.bus.memory.write(PHYSICAL_WINDOW + u64::from(patch.offset), patch.bytes());
        }
        self.prepare(&case.registers);
        if path == Path::Trap {
            self.start.rflags |= TF;
        } else {
            self.start.rflags &= !TF;
        }
        self.cpu.load(&self.start);
        self.bus.memory.clear_dirty(DirtyFor::Checkpoint);

        let ending = self.run_to_end(case, path);

        let state = self.cpu.save();
        self.store(&state, ending, outcome);
        self.compare(outcome);
        for patch in case.patches() {
            let at = patch.offset as usize;
            let filler = &self.filler[at..at + patch.bytes().len()];
            self.shadow[at..at + filler.len()].copy_from_slice(filler);
            self.bus.memory.write(PHYSICAL_WINDOW + u64::from(patch.offset), filler);
        }
    }

    fn run_to_end(&mut self, case: &Case, path: Path) -> Ending {
        const MOST_ITERATIONS: u32 = 0x400;
        let budget = match path {
            Path::Trap => 1,
            Path::Block { count } => count,
        };
        let (mut iterations, mut waited) = (0, false);
        loop {
            let exit = self.cpu.run(&mut self.bus, budget);
            let plain = |vector| Ending { vector, error: 0, address: 0 };
            let ending = match exit {
                Exit::Exception(e) => {
                    Ending { vector: e.vector.0.into(), error: e.code, address: e.address }
                }
                Exit::Budget if self.cpu.cpl() == 0 => plain(self.leave_handler()),
                // The trap waits for the instruction behind a load of SS.
                Exit::Budget if path == Path::Trap && !waited => {
                    waited = true;
                    continue;
                }
                Exit::Budget => plain(1),
                Exit::Halt | Exit::Shutdown => plain(ending::STOPPED),
                Exit::Breakpoint | Exit::Watchpoint(_) | Exit::VmExit => {
                    unreachable!("nobody set any")
                }
                Exit::Unimplemented(what) => {
                    self.unimplemented = what.what;
                    plain(ending::UNIMPLEMENTED)
                }
            };
            let again = path == Path::Trap
                && case.length == Length::Whole
                && ending.vector == 1
                && iterations < MOST_ITERATIONS
                && self.cpu.save().rip == case.registers.rip;
            if !again {
                return ending;
            }
            (iterations, waited) = (iterations + 1, false);
        }
    }

    /// After a software interrupt: takes the interrupted state from the handler's frame, as a
    /// Linux handler does. Returns the vector.
    fn leave_handler(&mut self) -> u32 {
        let mut state = self.cpu.save();
        let mut frame = [0; 40];
        let at = state.gpr[4].wrapping_sub(SYSTEM).wrapping_add(PHYSICAL_SYSTEM);
        self.bus.memory.read(at, &mut frame);
        let words = frame.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let words: Vec<u64> = words.collect();
        let vector = state.rip.wrapping_sub(HANDLERS) >> 4;
        state.rip = words[0];
        state.system.segments[Seg::Cs as usize].selector = words[1] as u16;
        state.rflags = words[2];
        state.gpr[4] = words[3];
        state.system.segments[Seg::Ss as usize].selector = words[4] as u16;
        self.cpu.load(&state);
        if vector == 0x80 { ending::SYSTEM_CALL } else { vector as u32 }
    }

    fn prepare(&mut self, registers: &Registers) {
        let state = &mut self.start;
        state.gpr = registers.gpr;
        state.rip = registers.rip;
        state.rflags = registers.rflags | 0x202;
        for (n, &selector) in registers.selectors.iter().enumerate() {
            state.system.segments[n] = segment(selector);
        }
        for (n, &base) in registers.bases.iter().enumerate() {
            let segment = &mut state.system.segments[seg::FS + n];
            if segment.selector & !3 == 0 {
                segment.base = base;
            }
        }
        let mut image = [0; 512];
        image[..24].copy_from_slice(&registers.x87);
        for (n, st) in registers.st.iter().enumerate() {
            image[32 + 16 * n..48 + 16 * n].copy_from_slice(st);
        }
        state.x87.read_fxsave(&image, FxsavePointers::Wide);
        state.mxcsr = registers.mxcsr as u32;
        for (n, ymm) in registers.ymm.iter().enumerate() {
            state.xmm[n] = Xmm::from_halves(ymm[0], ymm[1]);
            state.ymm_high[n] = Xmm::from_halves(ymm[2], ymm[3]);
        }
    }

    fn store(&self, state: &CpuState, ending: Ending, outcome: &mut Outcome) {
        outcome.ending = ending;
        let registers = &mut outcome.registers;
        registers.gpr = state.gpr;
        registers.rip = state.rip;
        registers.rflags = state.rflags;
        for (n, selector) in registers.selectors.iter_mut().enumerate() {
            *selector = state.system.segments[n].selector;
        }
        registers.zero = 0;
        registers.bases = [seg::FS, seg::GS].map(|n| state.system.segments[n].base);
        let mut image = [0; 512];
        state.x87.write_fxsave(&mut image, FxsavePointers::Wide);
        registers.x87.copy_from_slice(&image[..24]);
        for (n, st) in registers.st.iter_mut().enumerate() {
            st.copy_from_slice(&image[32 + 16 * n..48 + 16 * n]);
        }
        registers.mxcsr = state.mxcsr.into();
        for (n, ymm) in registers.ymm.iter_mut().enumerate() {
            (ymm[0], ymm[1]) = (state.xmm[n].low(), state.xmm[n].high());
            (ymm[2], ymm[3]) = (state.ymm_high[n].low(), state.ymm_high[n].high());
        }
    }

    /// Lists the qwords of the window that changed, and changes them back.
    fn compare(&mut self, outcome: &mut Outcome) {
        outcome.count = 0;
        for page in PAGES {
            let at = self.window + page.offset as usize;
            if !self.bus.memory.is_dirty(at) {
                continue;
            }
            let mut now = [0; PAGE as usize];
            self.bus.memory.backing().read(at, &mut now);
            let start = page.offset as usize;
            let before = &self.shadow[start..start + PAGE as usize];
            if now == before {
                continue;
            }
            let words = now.as_chunks::<8>().0.iter().zip(before.as_chunks::<8>().0);
            for (n, (now, before)) in words.enumerate() {
                if now != before {
                    if let Some(entry) = outcome.words.get_mut(outcome.count as usize) {
                        *entry = ((start + 8 * n) as u64, u64::from_le_bytes(*now));
                    }
                    outcome.count += 1;
                }
            }
            let before = self.shadow[start..start + PAGE as usize].to_vec();
            self.bus.memory.write(PHYSICAL_WINDOW + page.offset, &before);
        }
    }
}

/// The segment register after a load of this selector.
fn segment(selector: u16) -> Segment {
    let Some(descriptor) = place::descriptor(selector) else { return Segment::null(selector) };
    let attributes = (descriptor >> 40 & 0xf0ff) as u16;
    let raw = (descriptor & 0xffff | descriptor >> 32 & 0xf_0000) as u32;
    let limit = if attributes & 0x8000 == 0 { raw } else { raw << 12 | 0xfff };
    Segment { selector, attributes, limit, base: place::base(selector) }
}

/// Page tables: the window for the user, the system pages for the supervisor.
fn map(memory: &mut GuestMemory) {
    const PRESENT: u64 = 1;
    const WRITABLE: u64 = 2;
    const USER: u64 = 4;
    // As Linux has them once used, so that no case changes a table.
    const USED: u64 = 0x60;
    let mut next = PML4 + PAGE;
    let mut put = |memory: &mut GuestMemory, linear: u64, physical: u64, access: u64| {
        let mut table = PML4;
        for level in [39, 30, 21] {
            let at = table + 8 * (linear >> level & 0x1ff);
            let mut entry = [0; 8];
            memory.read(at, &mut entry);
            table = u64::from_le_bytes(entry) & !0xfff;
            if table == 0 {
                table = next;
                next += PAGE;
                let entry = table | USED | USER | WRITABLE | PRESENT;
                memory.write(at, &entry.to_le_bytes());
            }
        }
        let entry = physical | USED | access | PRESENT;
        memory.write(table + 8 * (linear >> 12 & 0x1ff), &entry.to_le_bytes());
    };
    for page in PAGES {
        let access = if page.writable { USER | WRITABLE } else { USER };
        put(memory, WINDOW + page.offset, PHYSICAL_WINDOW + page.offset, access);
    }
    for page in 0..SYSTEM_PAGES {
        put(memory, SYSTEM + page * PAGE, PHYSICAL_SYSTEM + page * PAGE, WRITABLE);
    }
}

fn write_tables(memory: &mut GuestMemory) {
    let page = |n: u64| PHYSICAL_SYSTEM + n * PAGE;
    for (n, entry) in GDT.iter().enumerate() {
        memory.write(page(GDT_PAGE) + 8 * n as u64, &entry.to_le_bytes());
    }
    let last = page(GDT_PAGE) + u64::from(GDT_LIMIT) - 7;
    memory.write(last, &place::CPU_NUMBER.to_le_bytes());
    for (n, entry) in LDT.iter().enumerate() {
        let entry = entry.map_or(0, LdtEntry::descriptor);
        memory.write(page(LDT_PAGE) + 8 * n as u64, &entry.to_le_bytes());
    }
    for vector in 0..256 {
        let dpl = if OPEN_GATES.contains(&vector) { 3 } else { 0 };
        let offset = HANDLERS + 16 * vector;
        let low = offset & 0xffff | 0x10 << 16 | (0x8e | dpl << 5) << 40;
        let low = low | (offset >> 16 & 0xffff) << 48;
        memory.write(page(IDT_PAGE) + 16 * vector, &low.to_le_bytes());
        memory.write(page(IDT_PAGE) + 16 * vector + 8, &(offset >> 32).to_le_bytes());
    }
    // RSP0, and an I/O permission bitmap behind the limit.
    let top = SYSTEM + (STACK_PAGE + 1) * PAGE;
    memory.write(page(TSS_PAGE) + 4, &top.to_le_bytes());
    memory.write(page(TSS_PAGE) + 0x66, &0xffff_u16.to_le_bytes());
}

/// System registers as in a Linux process.
fn system_state(mut state: CpuState) -> CpuState {
    let system = &mut state.system;
    system.cr0 = 0x8005_0033;
    system.cr3 = PML4;
    // PSE PAE MCE PGE OSFXSR OSXMMEXCPT FSGSBASE OSXSAVE; what the model lacks is not used.
    system.cr4 = 0x5_06f0;
    system.efer = 0xd01;
    system.xcr0 = 7;
    let at = |page: u64| SYSTEM + page * PAGE;
    system.gdtr = TableRegister { base: at(GDT_PAGE), limit: GDT_LIMIT };
    system.idtr = TableRegister { base: at(IDT_PAGE), limit: 0xfff };
    system.segments[Seg::Ldtr as usize] = Segment {
        selector: LDTR,
        attributes: 0x82,
        limit: 8 * LDT.len() as u32 - 1,
        base: at(LDT_PAGE),
    };
    system.segments[Seg::Tr as usize] =
        Segment { selector: TSS, attributes: 0x8b, limit: 0x206f, base: at(TSS_PAGE) };
    state
}
