//! What the vCPU sees of the machine around it: memory, ports, device memory and pins.

use cutaway_isa::{Vector, Width};
use cutaway_memory::GuestMemory;

/// The machine as the vCPU's pins and address lines reach it.
///
/// `at` is always the exact tick count (instructions retired plus ticks skipped in HLT) before
/// the accessing instruction: guest time is computed from it and from nothing else.
pub trait Bus {
    /// RAM and ROM. Device pages are those it calls [`cutaway_memory::PageKind::Device`].
    fn memory(&mut self) -> &mut GuestMemory;

    /// Port read of 1, 2 or 4 bytes. What nobody drives reads as ones.
    fn port_read(&mut self, port: u16, width: Width, at: u64) -> u32;

    /// Port write of 1, 2 or 4 bytes.
    fn port_write(&mut self, port: u16, width: Width, value: u32, at: u64);

    /// Read of 1 to 8 bytes of device memory, never across a page border.
    fn mmio_read(&mut self, address: u64, width: Width, at: u64) -> u64;

    /// Write of 1 to 8 bytes of device memory, never across a page border.
    fn mmio_write(&mut self, address: u64, width: Width, value: u64, at: u64);

    /// The level of the input pins now. Looked at on entry to `run` and after each instruction
    /// that reached a device.
    fn pins(&self) -> Pins;

    /// INTA: the vector of the interrupt that the vCPU takes now.
    fn acknowledge(&mut self, at: u64) -> Vector;

    /// The tick count at which `run` must return at the latest: the next deadline. Asked again
    /// after each instruction that reached a device; a value in the past stops at once.
    fn stop_at(&self) -> u64;

    /// Ticks that a port access takes beyond its instruction: the wait states of the bus.
    fn port_wait(&self) -> u64 {
        0
    }

    /// FERR# changes: an x87 error waits (or no longer waits) while CR0.NE is 0. What it does to
    /// the pins is looked at behind the call.
    fn set_ferr(&mut self, asserted: bool, at: u64) {
        let _ = (asserted, at);
    }

    /// The vCPU has seen NMI rise, and will take one NMI for it. A source that is no level lets it fall.
    fn nmi_seen(&mut self) {}

    /// IA32_APIC_BASE of a CPU with a local APIC has been written. What it does to the pins is looked
    /// at behind the call.
    fn set_apic_base(&mut self, value: u64, at: u64) {
        let _ = (value, at);
    }

    /// CR8 of a CPU with a local APIC has been written, to a value of 0 to 15: bits 7:4 of the TPR.
    fn set_task_priority(&mut self, priority: u8, at: u64) {
        let _ = (priority, at);
    }

    /// Whether the one interrupt in service in the local APIC is edge triggered and its end would let
    /// nothing else in.
    fn end_may_wait(&self) -> bool {
        false
    }

    /// Whether an interrupt waits in the local APIC, deliverable or not.
    fn is_interrupt_requested(&self) -> bool {
        false
    }

    /// EOI to the local APIC by who stands in for the CPU.
    fn end_of_interrupt(&mut self, at: u64) {
        let _ = at;
    }

    /// A character for the console of a guest that asks its monitor to print it.
    fn console(&mut self, byte: u8) {
        let _ = byte;
    }

    /// An event of a class that [`crate::Vcpu::set_trace`] asked for.
    fn trace(&mut self, event: &Event) {
        let _ = event;
    }
}

/// Input pins of the vCPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// INTR: an unmasked interrupt request waits.
    pub intr: bool,
    /// NMI. An edge is what counts: the vCPU takes one NMI for each rise that it sees.
    pub nmi: bool,
    /// A20M# is asserted: physical address bit 20 is forced to zero.
    pub a20_masked: bool,
    /// IGNNE# is asserted: x87 instructions run although an error waits and CR0.NE is 0.
    pub ignne: bool,
    /// Bits 7:4 of the TPR, if there is a local APIC: CR8 shows them.
    pub task_priority: Option<u8>,
}

/// What the vCPU reports while it runs, for logs and classrooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An exception or interrupt is delivered.
    Interrupt {
        /// Ticks before it.
        at: u64,
        /// Where it goes.
        vector: Vector,
        /// The error code pushed, if the exception has one.
        error_code: Option<u32>,
        /// `"exception"`, `"external"`, `"software"`, `"nmi"`; of a guest under SVM also `"virtual"` and
        /// `"injected"`.
        source: &'static str,
        /// CS selector at the time.
        cs: u16,
        /// The RIP that is pushed.
        rip: u64,
        /// CR2 for #PF.
        cr2: Option<u64>,
    },
    /// A port was read or written.
    Port {
        /// Ticks before it.
        at: u64,
        /// Whether the guest wrote.
        write: bool,
        /// The port.
        port: u16,
        /// How wide.
        width: Width,
        /// The value.
        value: u32,
    },
    /// A page walk filled a translation.
    PageWalk {
        /// Ticks before it.
        at: u64,
        /// The linear address.
        linear: u64,
        /// What it leads to.
        physical: u64,
        /// Whether for a write.
        write: bool,
        /// Whether for an instruction fetch.
        fetch: bool,
    },
    /// A control register, EFER or the privilege mode changed: translations are flushed.
    Mode {
        /// Ticks before it.
        at: u64,
        /// CR0.
        cr0: u64,
        /// CR3.
        cr3: u64,
        /// CR4.
        cr4: u64,
        /// EFER.
        efer: u64,
    },
    /// A hypervisor in the machine let its guest run, or has the CPU again (AMD APM vol. 2 §15.5,
    /// §15.6).
    World {
        /// Ticks before it.
        at: u64,
        /// Physical address of the VMCB.
        vmcb: u64,
        /// EXITCODE of a #VMEXIT; nothing of VMRUN.
        exit: Option<u64>,
    },
    /// Data in RAM or ROM was read or is about to be written.
    Access {
        /// Ticks before it.
        at: u64,
        /// Whether a write.
        write: bool,
        /// The linear address.
        linear: u64,
        /// Bytes, 1 to 8: wider accesses and those across pages come in parts.
        size: u64,
        /// The value.
        value: u64,
    },
    /// An instruction is about to run.
    Instruction {
        /// Ticks before it.
        at: u64,
        /// CS selector.
        cs: u16,
        /// RIP.
        rip: u64,
        /// The instruction in NASM syntax.
        text: String,
    },
}
