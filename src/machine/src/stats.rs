//! Counters of what a machine did. They are for people; nothing in the guest depends on them.

/// What the board counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BoardCounts {
    pub(crate) port_reads: u64,
    pub(crate) port_writes: u64,
    pub(crate) mmio_reads: u64,
    pub(crate) mmio_writes: u64,
    pub(crate) interrupts: u64,
    pub(crate) deadlines: u64,
}

/// Why the vCPU came back to the event loop, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExitCounts {
    pub(crate) budget: u64,
    pub(crate) halt: u64,
    pub(crate) other: u64,
}

/// What a machine did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Instructions retired; a repetition of a string instruction counts as one.
    pub instructions: u64,
    /// Instructions, and ticks skipped while halted or in bus cycles.
    pub ticks: u64,
    /// Guest time in nanoseconds.
    pub guest_ns: u64,
    /// Times the vCPU returned because its budget was used up: a deadline, a limit or a request.
    pub exits_budget: u64,
    /// Times it halted.
    pub exits_halt: u64,
    /// Times it returned for any other reason.
    pub exits_other: u64,
    /// External interrupts taken.
    pub interrupts: u64,
    /// Times that a deadline of a chip was reached.
    pub deadlines: u64,
    /// Port accesses.
    pub port_reads: u64,
    /// Port accesses.
    pub port_writes: u64,
    /// Accesses to device memory.
    pub mmio_reads: u64,
    /// Accesses to device memory.
    pub mmio_writes: u64,
    /// Bytes of RAM and ROM that were ever written, in whole pages.
    pub touched_bytes: u64,
}

impl Stats {
    /// The counters of exits and accesses with their names, in the order to show them.
    #[must_use]
    pub fn counters(&self) -> [(&'static str, u64); 9] {
        [
            ("exits: budget", self.exits_budget),
            ("exits: halt", self.exits_halt),
            ("exits: other", self.exits_other),
            ("interrupts", self.interrupts),
            ("deadlines", self.deadlines),
            ("port reads", self.port_reads),
            ("port writes", self.port_writes),
            ("device memory reads", self.mmio_reads),
            ("device memory writes", self.mmio_writes),
        ]
    }
}
