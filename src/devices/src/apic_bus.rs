//! The messages that I/O APIC and local APICs send each other.
//!
//! Source: Intel SDM vol. 3A, "Advanced Programmable Interrupt Controller (APIC)", "Interrupt Command
//! Register (ICR)", "Determining IPI Destination".

/// What is to be done at the destination; the numbers are those of the registers' bits 10:8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryMode {
    /// The vector of the message.
    Fixed,
    /// The same, to one of the destinations.
    LowestPriority,
    /// A system management interrupt.
    Smi,
    /// A non-maskable interrupt.
    Nmi,
    /// INIT.
    Init,
    /// Start-up of a processor that waits behind INIT.
    StartUp,
    /// The vector comes from an 8259A.
    ExtInt,
    /// Bits 10:8 of 011.
    Reserved,
}

impl DeliveryMode {
    /// The mode in bits 10:8 of a register.
    #[must_use]
    pub fn of(register: u32) -> Self {
        match register >> 8 & 7 {
            0 => Self::Fixed,
            1 => Self::LowestPriority,
            2 => Self::Smi,
            4 => Self::Nmi,
            5 => Self::Init,
            6 => Self::StartUp,
            7 => Self::ExtInt,
            _ => Self::Reserved,
        }
    }

    /// What it is called in the manual.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::LowestPriority => "lowest priority",
            Self::Smi => "SMI",
            Self::Nmi => "NMI",
            Self::Init => "INIT",
            Self::StartUp => "start-up",
            Self::ExtInt => "ExtINT",
            Self::Reserved => "reserved",
        }
    }
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The local APIC of this ID; FFh is all.
    Physical(u8),
    /// Those whose logical destination register fits.
    Logical(u8),
}

impl Destination {
    /// From a destination mode bit, which is set for a logical one, and the destination.
    pub(crate) fn of(logical: bool, destination: u8) -> Self {
        if logical { Self::Logical(destination) } else { Self::Physical(destination) }
    }
}

/// A message on the APIC bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApicMessage {
    /// The vector, where the mode has one.
    pub vector: u8,
    /// What is to be done.
    pub mode: DeliveryMode,
    /// Level triggered: its end is told to the I/O APICs.
    pub level: bool,
    /// By whom.
    pub destination: Destination,
}
