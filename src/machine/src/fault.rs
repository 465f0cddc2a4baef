//! Faults that a test puts into a machine. They enter as inputs do, at a tick, and are recorded.

use crate::Machine;
use cutaway_cpu::gpr;
use cutaway_devices::{Ctx, GuestTime, OPEN_BUS, PortDevice};
use serde::{Deserialize, Serialize};

/// Interrupt request lines of the board.
const LINES: usize = 16;
/// How long a line that a fault raises stays up.
const PULSE_NS: u64 = 1_000_000;

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Fault {
    /// A bit of RAM flips. Elsewhere nothing happens.
    FlipBit {
        /// Guest-physical address.
        address: u64,
        /// Bit of the byte, 0 to 7.
        bit: u8,
    },
    /// A bit of a register flips.
    FlipRegister {
        /// RAX to R15 as encoded, 16 for RIP.
        register: u8,
        /// Bit, 0 to 63.
        bit: u8,
    },
    /// An interrupt that no device asked for: the line goes up for a millisecond.
    AddInterrupt {
        /// IRQ 0 to 15.
        irq: u8,
    },
    /// The next request on a line is lost: it does not go up before the device has taken its
    /// request back and asked again.
    DropInterrupt {
        /// IRQ 0 to 15.
        irq: u8,
    },
    /// What a device asks for on a line is not seen for so long.
    DelayDevice {
        /// IRQ 0 to 15.
        irq: u8,
        /// Nanoseconds of guest time, from now.
        ns: u64,
    },
}

impl Machine {
    /// Lets a fault happen now.
    pub(crate) fn suffer(&mut self, fault: &Fault) {
        let at = self.ticks();
        match *fault {
            Fault::FlipBit { address, bit } => {
                if self.memory().is_ram(address, 1) {
                    let mut byte = [0];
                    self.memory().read(address, &mut byte);
                    self.write_memory(address, &[byte[0] ^ 1 << (bit & 7)]);
                }
            }
            Fault::FlipRegister { register, bit } => {
                let (vcpu, board) = self.parts();
                let (mut state, translations) = (vcpu.save(), vcpu.translations());
                let register = state.gpr.get_mut(usize::from(register)).unwrap_or(&mut state.rip);
                *register ^= 1 << (bit & 63);
                // They are the vCPU's own, so they fit.
                let _ = vcpu.restore(board, &state, &translations);
            }
            Fault::AddInterrupt { irq } => {
                self.parts().1.touch(at, |chips, now, _| chips.spoil(now, |f| f.pulse(irq, now)));
            }
            Fault::DropInterrupt { irq } => {
                self.parts().1.touch(at, |chips, now, _| chips.spoil(now, |f| f.drop_next(irq)));
            }
            Fault::DelayDevice { irq, ns } => {
                self.parts()
                    .1
                    .touch(at, |chips, now, _| chips.spoil(now, |f| f.hold(irq, now, ns)));
            }
        }
    }
}

/// The wires between devices and interrupt controllers, where faults sit. Without any, what comes
/// in goes out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IrqWires {
    /// Levels as the devices drive them, a bit a line.
    levels: u16,
    /// Lines whose next rise is lost.
    dropping: u16,
    /// Lines whose request is lost until it is taken back.
    lost: u16,
    held_until: [GuestTime; LINES],
    raised_until: [GuestTime; LINES],
}

impl IrqWires {
    fn bit(line: u8) -> u16 {
        1 << (line & 15)
    }

    /// A device drives a line. Returns the level behind the faults.
    pub(crate) fn drive(&mut self, line: u8, level: bool, now: GuestTime) -> bool {
        let bit = Self::bit(line);
        if !level {
            self.levels &= !bit;
            self.lost &= !bit;
        } else if self.levels & bit == 0 {
            self.levels |= bit;
            if self.dropping & bit != 0 {
                self.dropping &= !bit;
                self.lost |= bit;
            }
        }
        self.level(line, now)
    }

    /// The level of a line behind the faults.
    pub(crate) fn level(&self, line: u8, now: GuestTime) -> bool {
        let (bit, n) = (Self::bit(line), usize::from(line & 15));
        let seen = now >= self.held_until[n] && self.lost & bit == 0;
        now < self.raised_until[n] || self.levels & bit != 0 && seen
    }

    fn pulse(&mut self, line: u8, now: GuestTime) {
        self.raised_until[usize::from(line & 15)] = now.plus_ns(PULSE_NS);
    }

    fn drop_next(&mut self, line: u8) {
        self.dropping |= Self::bit(line);
    }

    fn hold(&mut self, line: u8, now: GuestTime, ns: u64) {
        self.held_until[usize::from(line & 15)] = now.plus_ns(ns);
    }
}

/// No port leads here; only time does.
impl PortDevice for IrqWires {
    fn read(&mut self, _offset: u16, _ctx: &mut Ctx<'_>) -> u8 {
        OPEN_BUS
    }

    fn write(&mut self, _offset: u16, _value: u8, _ctx: &mut Ctx<'_>) {}

    fn next_event(&self, now: GuestTime) -> Option<GuestTime> {
        let all = self.held_until.iter().chain(&self.raised_until);
        all.filter(|at| **at > now && **at < GuestTime::MAX).min().copied()
    }
}

/// The name of a register that a bit can flip in, as [`Fault::FlipRegister`] numbers it.
#[must_use]
pub fn register_number(name: &str) -> Option<u8> {
    let name = name.to_ascii_lowercase();
    let named = [
        ("rax", gpr::RAX),
        ("rcx", gpr::RCX),
        ("rdx", gpr::RDX),
        ("rbx", gpr::RBX),
        ("rsp", gpr::RSP),
        ("rbp", gpr::RBP),
        ("rsi", gpr::RSI),
        ("rdi", gpr::RDI),
        ("rip", 16),
    ];
    if let Some((_, number)) = named.iter().find(|(known, _)| *known == name) {
        return Some(*number as u8);
    }
    let number: u8 = name.strip_prefix('r')?.parse().ok()?;
    (8..16).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> GuestTime {
        GuestTime::from_ns(ns)
    }

    #[test]
    fn without_faults_what_comes_in_goes_out() {
        let mut wires = IrqWires::default();
        assert!(wires.drive(3, true, at(0)));
        assert!(!wires.level(4, at(0)));
        assert!(!wires.drive(3, false, at(1)));
        assert_eq!(wires.next_event(at(1)), None);
    }

    #[test]
    fn the_next_request_is_lost_and_the_one_behind_it_is_not() {
        let mut wires = IrqWires::default();
        wires.drop_next(1);
        assert!(!wires.drive(1, true, at(0)));
        assert!(!wires.drive(1, false, at(1)));
        assert!(wires.drive(1, true, at(2)));
    }

    #[test]
    fn a_held_line_is_seen_when_its_time_has_come() {
        let mut wires = IrqWires::default();
        wires.hold(0, at(10), 90);
        assert!(!wires.drive(0, true, at(20)));
        assert_eq!(wires.next_event(at(20)), Some(at(100)));
        assert!(wires.level(0, at(100)));
    }

    #[test]
    fn an_added_interrupt_ends_by_itself() {
        let mut wires = IrqWires::default();
        wires.pulse(7, at(0));
        assert!(wires.level(7, at(PULSE_NS - 1)) && !wires.level(7, at(PULSE_NS)));
    }
}
