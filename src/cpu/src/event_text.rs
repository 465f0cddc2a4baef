//! Events as text, one a line.

use crate::Event;
use crate::svm::exit_name;
use std::fmt;

/// `<tick> <class> <what happened>`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupt { at, vector, error_code, source, cs, rip, cr2 } => {
                let name = match vector.mnemonic() {
                    Some(name) if *source != "external" => format!(" {name}"),
                    _ => String::new(),
                };
                let vector = vector.0;
                write!(
                    f,
                    "{at:>12} int   {source}{name} vector {vector:#04x} at {cs:04x}:{rip:016x}"
                )?;
                if let Some(code) = error_code {
                    write!(f, " error code {code:#06x}")?;
                }
                if let Some(cr2) = cr2 {
                    write!(f, " CR2 {cr2:016x}")?;
                }
                Ok(())
            }
            Self::Port { at, write, port, width, value } => {
                let digits = 2 * width.bytes() as usize;
                let (direction, arrow) = if *write { ("out", "<-") } else { ("in ", "->") };
                write!(f, "{at:>12} io    {direction} {port:04x} {arrow} {value:0digits$x}")
            }
            Self::PageWalk { at, linear, physical, write, fetch } => {
                let access = match (write, fetch) {
                    (true, _) => "write",
                    (_, true) => "fetch",
                    _ => "read",
                };
                write!(f, "{at:>12} mmu   {linear:016x} -> {physical:010x} ({access})")
            }
            Self::Mode { at, cr0, cr3, cr4, efer } => write!(
                f,
                "{at:>12} mmu   CR0 {cr0:08x} CR3 {cr3:016x} CR4 {cr4:08x} EFER {efer:04x}"
            ),
            Self::World { at, vmcb, exit } => {
                let what = exit
                    .map_or("VMRUN".to_owned(), |exit| format!("#VMEXIT by {}", exit_name(exit)));
                write!(f, "{at:>12} svm   {what}, VMCB {vmcb:010x}")
            }
            Self::Access { at, write, linear, size, value } => {
                let digits = 2 * *size as usize;
                let (direction, arrow) = if *write { ("write", "<-") } else { ("read ", "->") };
                write!(f, "{at:>12} mem   {direction} {linear:016x} {arrow} {value:0digits$x}")
            }
            Self::Instruction { at, cs, rip, text } => {
                write!(f, "{at:>12} exec  {cs:04x}:{rip:016x} {text}")
            }
        }
    }
}

impl Event {
    /// Ticks before it.
    #[must_use]
    pub fn at(&self) -> u64 {
        match *self {
            Self::Interrupt { at, .. }
            | Self::Port { at, .. }
            | Self::PageWalk { at, .. }
            | Self::Mode { at, .. }
            | Self::World { at, .. }
            | Self::Access { at, .. }
            | Self::Instruction { at, .. } => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_isa::{Vector, Width};

    #[test]
    fn a_line_tells_what_happened() {
        let port = Event::Port { at: 7, write: true, port: 0x3f8, width: Width::Byte, value: 0x41 };
        let fault = Event::Interrupt {
            at: 9,
            vector: Vector::PF,
            error_code: Some(2),
            source: "exception",
            cs: 8,
            rip: 0x1234,
            cr2: Some(0x5678),
        };
        let left = Event::World { at: 8, vmcb: 0x136000, exit: Some(0x7b) };
        assert_eq!(left.to_string(), "           8 svm   #VMEXIT by VMEXIT_IOIO, VMCB 0000136000");
        assert_eq!(port.to_string(), "           7 io    out 03f8 <- 41");
        assert_eq!(
            fault.to_string(),
            "           9 int   exception #PF vector 0x0e at 0008:0000000000001234 \
             error code 0x0002 CR2 0000000000005678"
        );
    }
}
