//! Coprocessor error logic: how an x87 error becomes IRQ 13 where CR0.NE is 0, as in a PC/AT.
//!
//! Source: Intel 82371AB (PIIX4) datasheet, "CPERR - Coprocessor Error Register" (port F0h) and
//! the pins FERR# and IGNNE#; Intel SDM vol. 1 appendix D, "Guidelines for Writing x87 FPU
//! Exception Handlers". FERR# raises IRQ 13. A write to the port takes the request back and, as
//! long as FERR# stays asserted, asserts IGNNE#: the handler's own x87 instructions run.
//! Time: none passes in it.

use serde::{Deserialize, Serialize};

use crate::{Ctx, OPEN_BUS, PortDevice};

/// The logic between FERR#, IRQ 13 and IGNNE#. Offset 0 is the write-only register.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoprocessorError {
    ferr: bool,
    irq: bool,
    ignne: bool,
}

impl CoprocessorError {
    /// The logic after power-on: no error.
    pub fn new() -> Self {
        Self::default()
    }

    /// The RESET pin.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// The CPU's FERR# pin, `true` for asserted.
    pub fn set_ferr(&mut self, asserted: bool) {
        if asserted && !self.ferr {
            self.irq = true;
        }
        if !asserted {
            self.ignne = false;
        }
        self.ferr = asserted;
    }

    /// The request to input 13 of the interrupt controllers.
    pub fn irq(&self) -> bool {
        self.irq
    }

    /// The CPU's IGNNE# pin, `true` for asserted.
    pub fn ignne(&self) -> bool {
        self.ignne
    }
}

impl PortDevice for CoprocessorError {
    fn read(&mut self, _offset: u16, _ctx: &mut Ctx<'_>) -> u8 {
        OPEN_BUS
    }

    fn write(&mut self, offset: u16, _value: u8, _ctx: &mut Ctx<'_>) {
        if offset == 0 {
            self.irq = false;
            self.ignne = self.ferr;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{self, Bench};

    #[test]
    fn passes_the_device_suite() {
        suite::all(CoprocessorError::new, CoprocessorError::reset, &[0]);
    }

    #[test]
    fn an_error_requests_until_the_register_is_written() {
        let mut logic = Bench::new(CoprocessorError::new());

        logic.chip.set_ferr(true);
        assert!(logic.chip.irq() && !logic.chip.ignne());

        logic.write(0, 0);
        assert!(!logic.chip.irq() && logic.chip.ignne());

        logic.chip.set_ferr(false);
        assert!(!logic.chip.irq() && !logic.chip.ignne());
    }

    #[test]
    fn a_write_without_an_error_does_not_ignore_the_next() {
        let mut logic = Bench::new(CoprocessorError::new());

        logic.write(0, 0);
        assert!(!logic.chip.ignne());

        logic.chip.set_ferr(true);
        assert!(logic.chip.irq() && !logic.chip.ignne());
    }
}
