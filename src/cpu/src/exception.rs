//! Exceptions as values, and how they reach a handler (`interrupt.rs` builds the frames).
//!
//! Source: Intel SDM vol. 3A §6.5, "Exception Classifications"; §6.15, #DF: table 6-5.

use crate::{Exit, Vcpu};
use cutaway_isa::Vector;

/// An exception on its way to its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Where it goes.
    pub vector: Vector,
    /// The error code, for the vectors that push one.
    pub code: u32,
    /// For #PF: the linear address, for CR2.
    pub address: u64,
}

#[expect(non_snake_case, missing_docs, reason = "the names are the manual's")]
impl Exception {
    const fn plain(vector: Vector) -> Self {
        Self { vector, code: 0, address: 0 }
    }
    const fn coded(vector: Vector, code: u32) -> Self {
        Self { vector, code, address: 0 }
    }
    pub const DE: Self = Self::plain(Vector::DE);
    pub const DB: Self = Self::plain(Vector::DB);
    pub const OF: Self = Self::plain(Vector::OF);
    pub const BR: Self = Self::plain(Vector::BR);
    pub const UD: Self = Self::plain(Vector::UD);
    pub const NM: Self = Self::plain(Vector::NM);
    pub const DF: Self = Self::plain(Vector::DF);
    pub const MF: Self = Self::plain(Vector::MF);
    pub const XM: Self = Self::plain(Vector::XM);
    pub const AC: Self = Self::plain(Vector::AC);
    pub const GP0: Self = Self::coded(Vector::GP, 0);
    pub const SS0: Self = Self::coded(Vector::SS, 0);

    pub fn TS(code: u32) -> Self {
        Self::coded(Vector::TS, code)
    }
    pub fn NP(code: u32) -> Self {
        Self::coded(Vector::NP, code)
    }
    pub fn SS(code: u32) -> Self {
        Self::coded(Vector::SS, code)
    }
    pub fn GP(code: u32) -> Self {
        Self::coded(Vector::GP, code)
    }
    pub fn PF(code: u32, address: u64) -> Self {
        Self { vector: Vector::PF, code, address }
    }
}

/// Why an instruction did not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The architecture raises an exception.
    Exception(Exception),
    /// The instruction has not begun: something has to be looked at first.
    Wait,
    /// `run` has to return; the reason stands in the vCPU.
    Exit,
    /// A guest is entered or left (SVM); how stands in the vCPU.
    World,
}

impl From<Exception> for Fault {
    fn from(exception: Exception) -> Self {
        Self::Exception(exception)
    }
}

/// Contributory and page-fault classes decide about #DF (SDM vol. 3A table 6-4).
#[derive(PartialEq)]
enum Class {
    Benign,
    Contributory,
    PageFault,
}

fn class(vector: Vector) -> Class {
    match vector {
        Vector::DE | Vector::TS | Vector::NP | Vector::SS | Vector::GP => Class::Contributory,
        Vector::PF => Class::PageFault,
        _ => Class::Benign,
    }
}

/// What happens when `second` is raised while `first` is being delivered: the exception to
/// deliver next, or nothing for a triple fault.
fn combine(first: Option<Vector>, second: Exception) -> Option<Exception> {
    let Some(first) = first else { return Some(second) };
    match (first, class(first), class(second.vector)) {
        (Vector::DF, _, Class::Contributory | Class::PageFault) => None,
        (_, Class::Contributory, Class::Contributory)
        | (_, Class::PageFault, Class::Contributory | Class::PageFault) => Some(Exception::DF),
        _ => Some(second),
    }
}

impl Vcpu {
    /// Delivers an exception raised by the instruction at RIP: to its handler, to #DF, or to
    /// shutdown. `Err` carries the exit that `run` returns.
    pub(crate) fn raise(
        &mut self,
        bus: &mut dyn crate::Bus,
        raised: Exception,
    ) -> Result<(), Exit> {
        self.raise_during(bus, None, raised)
    }

    /// `raise`, of an exception met while another was being delivered.
    pub(crate) fn raise_during(
        &mut self,
        bus: &mut dyn crate::Bus,
        mut during: Option<Vector>,
        raised: Exception,
    ) -> Result<(), Exit> {
        let mut next = match combine(during, raised) {
            _ if self.exception_exit(raised).is_some() => raised,
            Some(next) => next,
            None => return self.shut_down(bus),
        };
        loop {
            if let Some(reason) = self.exception_exit(next) {
                return self.leave_guest(bus, reason);
            }
            if next.vector == Vector::PF {
                self.system.cr2 = next.address;
            }
            let intercepted = self.intercepted_exceptions >> next.vector.0 & 1 != 0;
            if self.monitored || intercepted && !self.stops.passes(self.ticks) {
                return Err(Exit::Exception(next));
            }
            self.report_exception(bus, next);
            match self.deliver_exception(bus, next) {
                Ok(()) => {
                    // Counted like an instruction: a handler whose first instruction faults would
                    // otherwise go on for ever inside any budget.
                    self.ticks += 1;
                    return Ok(());
                }
                Err(Fault::World) => return self.switch_world(bus),
                Err(Fault::Exit | Fault::Wait) => return Err(self.take_exit()),
                Err(Fault::Exception(second)) => {
                    if let Some(reason) = self.exception_exit(second) {
                        return self.leave_guest(bus, reason);
                    }
                    if second.vector == Vector::PF {
                        self.system.cr2 = second.address;
                    }
                    during = Some(next.vector).or(during);
                    let Some(combined) = combine(during, second) else {
                        return self.shut_down(bus);
                    };
                    next = combined;
                }
            }
        }
    }

    /// A triple fault.
    fn shut_down(&mut self, bus: &mut dyn crate::Bus) -> Result<(), Exit> {
        let code = crate::svm::exit::SHUTDOWN;
        if self.intercepts(code) {
            let reason = crate::svm::Reason { code, ..Default::default() };
            return self.leave_guest(bus, reason);
        }
        self.activity.shut_down = true;
        Err(Exit::Shutdown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_contributory_exceptions_make_a_double_fault() {
        assert_eq!(combine(Some(Vector::GP), Exception::NP(8)), Some(Exception::DF));
        assert_eq!(combine(Some(Vector::PF), Exception::PF(0, 0)), Some(Exception::DF));
        assert_eq!(combine(Some(Vector::GP), Exception::PF(0, 0)), Some(Exception::PF(0, 0)));
        assert_eq!(combine(Some(Vector::DB), Exception::GP0), Some(Exception::GP0));
        assert_eq!(combine(Some(Vector::DF), Exception::GP0), None);
    }
}
