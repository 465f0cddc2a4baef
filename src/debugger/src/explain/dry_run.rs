//! The next instruction, really run, on a copy that is thrown away.
//!
//! The engines themselves say so what would happen: which exception, which accesses, which state
//! comes out. Ports and device memory are not reached: reads give ones.
//!
//! Not modelled: translations that the TLB holds although a page table has changed; interrupts that
//! wait (they would come first).

use super::subject::Subject;
use cutaway_cpu::{Bus, CpuState, Event, Exception, Exit, Pins, TraceClasses, Vcpu};
use cutaway_isa::{Vector, Width};
use cutaway_memory::{GuestMemory, MemoryError};

/// Data that was read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Linear address.
    pub linear: u64,
    /// Bytes.
    pub size: u64,
    /// Whether written.
    pub write: bool,
    /// The value.
    pub value: u64,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The instruction, or one iteration of it, is done.
    Done,
    /// It raises an exception.
    Raised(Exception),
    /// It is not implemented.
    Unimplemented(String),
    /// It shuts the CPU down.
    Shutdown,
}

/// What would happen.
#[derive(Clone, Debug)]
pub struct DryRun {
    /// How it ended.
    pub ended: Ended,
    /// The state behind it.
    pub after: CpuState,
    /// All accesses to memory, in their order; none to page tables.
    pub touched: Vec<Touched>,
    /// Ports: number, width and what was written.
    pub ports: Vec<(u16, Width, Option<u32>)>,
}

/// The copy's surroundings.
struct Stage {
    memory: GuestMemory,
    pins: Pins,
    touched: Vec<Touched>,
    ports: Vec<(u16, Width, Option<u32>)>,
}

impl Bus for Stage {
    fn memory(&mut self) -> &mut GuestMemory {
        &mut self.memory
    }
    fn port_read(&mut self, port: u16, width: Width, _: u64) -> u32 {
        self.ports.push((port, width, None));
        width.mask() as u32
    }
    fn port_write(&mut self, port: u16, width: Width, value: u32, _: u64) {
        self.ports.push((port, width, Some(value)));
    }
    fn mmio_read(&mut self, _: u64, width: Width, _: u64) -> u64 {
        width.mask()
    }
    fn mmio_write(&mut self, _: u64, _: Width, _: u64, _: u64) {}
    fn pins(&self) -> Pins {
        self.pins
    }
    fn acknowledge(&mut self, _: u64) -> Vector {
        Vector(0)
    }
    fn stop_at(&self) -> u64 {
        u64::MAX
    }
    fn trace(&mut self, event: &Event) {
        if let Event::Access { write, linear, size, value, .. } = *event {
            self.touched.push(Touched { linear, size, write, value });
        }
    }
}

/// Runs one instruction of a subject on a copy.
pub(crate) fn dry_run(subject: &Subject<'_>) -> Result<DryRun, MemoryError> {
    let memory = subject.memory.throw_away_copy()?;
    let pins = Pins { intr: false, nmi: false, ..subject.pins };
    let mut stage = Stage { memory, pins, touched: Vec::new(), ports: Vec::new() };
    let mut vcpu = Vcpu::new(subject.model);
    let mut state = subject.state.clone();
    if subject.memory.is_of_guest() {
        // The instruction alone, without what its monitor would intercept.
        state.svm.guest = None;
    }
    state.activity.halted = false;
    state.activity.nmi_pending = false;
    state.activity.debug_trap = 0;
    vcpu.load(&state);
    vcpu.set_intercepted_exceptions(!0);
    vcpu.set_trace(TraceClasses::MEM);
    let ended = match vcpu.run(&mut stage, 1) {
        Exit::Exception(exception) => Ended::Raised(exception),
        Exit::Unimplemented(what) => Ended::Unimplemented(what.what),
        Exit::Shutdown => Ended::Shutdown,
        _ => Ended::Done,
    };
    Ok(DryRun { ended, after: vcpu.save(), touched: stage.touched, ports: stage.ports })
}
