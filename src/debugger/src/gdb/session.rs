//! The machine as gdbstub's target: registers, memory, and what gdb wants it to do.
//!
//! What changes the machine enters as inputs do, bit by bit ([`Fault::FlipBit`],
//! [`Fault::FlipRegister`]), so that it is part of the run's history: going back before it and
//! forwards again does it again. A recording cannot be changed.

use super::description;
use super::packets::{MAX_PACKET, address_and_length};
use super::registers::{Architecture, Entry, Layout, Reg};
use super::run::Order;
use crate::memory::{self, Space};
use crate::mode;
use cutaway_machine::{Fault, Input, Stops, Watch};
use cutaway_replay::{ReplayError, TimeMachine};
use gdbstub::arch::{Arch, RegId, Registers};
use gdbstub::common::Signal;
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::reverse_exec::{
    ReverseCont, ReverseContOps, ReverseStep, ReverseStepOps,
};
use gdbstub::target::ext::base::single_register_access::{
    SingleRegisterAccess, SingleRegisterAccessOps,
};
use gdbstub::target::ext::base::singlethread::{
    SingleThreadBase, SingleThreadResume, SingleThreadResumeOps, SingleThreadSingleStep,
    SingleThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::{BreakpointsOps, WatchKind};
use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps};
use gdbstub::target::ext::target_description_xml_override::{
    TargetDescriptionXmlOverride, TargetDescriptionXmlOverrideOps,
};
use gdbstub::target::{Target, TargetError, TargetResult};
use std::num::NonZeroUsize;

/// EFAULT, EINVAL and EROFS, as gdb's error numbers.
const BAD_ADDRESS: u8 = 14;
const INVALID: u8 = 22;
const READ_ONLY: u8 = 30;
/// RIP, as [`Fault::FlipRegister`] numbers it.
const RIP: u8 = 16;

/// x86 as gdbstub wants it told; the rest is in [`Layout`].
pub(crate) enum X86 {}

impl Arch for X86 {
    type Usize = u64;
    type Registers = File;
    type BreakpointKind = usize;
    type RegId = Number;
}

/// All registers, as the packet `g` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct File(Vec<u8>);

impl Registers for File {
    type ProgramCounter = u64;

    fn pc(&self) -> u64 {
        0 // gdbstub does not ask
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        self.0.iter().for_each(|byte| write_byte(Some(*byte)));
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.0 = bytes.to_vec();
        Ok(())
    }
}

/// gdb's number of a register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number(usize);

impl RegId for Number {
    fn from_raw_id(id: usize) -> Option<(Self, Option<NonZeroUsize>)> {
        Some((Self(id), None))
    }
}

/// A session: the machine and what gdb asked for.
pub(crate) struct Session<'a> {
    pub(crate) time_machine: &'a mut TimeMachine,
    /// Whether the machine can be changed.
    pub(crate) live: bool,
    pub(crate) layout: Layout,
    xml: String,
    pub(crate) software: Vec<u64>,
    pub(crate) hardware: Vec<u64>,
    pub(crate) watches: Vec<(Watch, WatchKind)>,
    pub(crate) ports: Vec<std::ops::RangeInclusive<u16>>,
    /// A bit a vector.
    pub(crate) exceptions: u32,
    /// What the machine stops at now.
    pub(crate) applied: Stops,
    /// How addresses of gdb's are meant.
    space: Space,
    /// What gdb waits for.
    pub(crate) order: Order,
    /// Instructions retired at the furthest instant that is known of a live machine.
    pub(crate) furthest: u64,
    /// Where the machine stopped for good, and what was said then.
    pub(crate) ended: Option<(u64, String, Signal)>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        time_machine: &'a mut TimeMachine,
        live: bool,
        architecture: Option<Architecture>,
    ) -> Self {
        let vcpu = time_machine.machine().vcpu();
        let usual =
            if vcpu.model().has_long_mode() { Architecture::X86_64 } else { Architecture::I386 };
        let layout = Layout::of(vcpu, architecture.unwrap_or(usual));
        let architecture = match mode::gdb_architecture(&vcpu.save()) {
            // Its registers are not in the description.
            "i386:x86-64" if layout.architecture == Architecture::I386 => "i386",
            architecture => architecture,
        };
        let xml = description::xml(&layout, architecture);
        let furthest = time_machine.count();
        Self {
            time_machine,
            live,
            layout,
            xml,
            software: Vec::new(),
            hardware: Vec::new(),
            watches: Vec::new(),
            ports: Vec::new(),
            exceptions: 0,
            applied: Stops::default(),
            space: Space::Linear,
            order: Order::None,
            furthest,
            ended: None,
        }
    }

    /// The answer to a packet that gdbstub does not get to see.
    pub(crate) fn answer(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        // QEMU's physical memory mode: `maintenance packet Qqemu.PhyMemMode:1`.
        if body == b"qqemu.PhyMemMode" {
            return Some(if self.space == Space::Physical { b"1" } else { b"0" }.to_vec());
        }
        if let Some(on) = body.strip_prefix(b"Qqemu.PhyMemMode:") {
            self.space = if on == b"0" { Space::Linear } else { Space::Physical };
            return Some(b"OK".to_vec());
        }
        let changes = matches!(body.first(), Some(b'M' | b'X' | b'P' | b'G'));
        if changes && !self.live {
            return Some(b"E.a recording cannot be changed".to_vec());
        }
        if body.first() == Some(&b'P') && !self.is_changeable(body.get(1..)?) {
            let what = "E.only general registers and the instruction pointer can be changed";
            return Some(what.into());
        }
        // gdbstub would answer in more than one packet's length, or add beyond the last address.
        if let Some((address, len)) = body.strip_prefix(b"m").and_then(address_and_length) {
            let most = MAX_PACKET as u64 / 2;
            if len > most || address.checked_add(len).is_none() {
                return Some(format!("E{BAD_ADDRESS:02x}").into());
            }
        }
        None
    }

    /// Whether the register of `NUMBER=VALUE` can be changed.
    fn is_changeable(&self, text: &[u8]) -> bool {
        let number = text.split(|byte| *byte == b'=').next().unwrap_or_default();
        let number = std::str::from_utf8(number).ok();
        let number = number.and_then(|text| usize::from_str_radix(text, 16).ok());
        let entry = number.and_then(|number| self.layout.entries().nth(number));
        entry.is_some_and(|entry| matches!(entry.reg, Reg::Gpr(_) | Reg::Pc | Reg::Ip))
    }

    /// Something has entered the machine here: what came after is forgotten.
    pub(crate) fn forget_future(&mut self) {
        self.furthest = self.time_machine.count();
        let here = self.time_machine.machine().ticks();
        self.ended.take_if(|(at, ..)| *at > here);
    }

    /// What the machine should stop at.
    pub(crate) fn stops(&self) -> Stops {
        let breakpoints = self.software.iter().chain(&self.hardware).copied().collect();
        let watches = self.watches.iter().map(|(watch, _)| *watch).collect();
        Stops { breakpoints, watches, ports: self.ports.clone(), exceptions: self.exceptions }
    }

    fn change_register(&mut self, entry: Entry, bytes: &[u8]) -> TargetResult<(), Self> {
        if !self.live {
            return Err(TargetError::Errno(READ_ONLY));
        }
        if bytes.len() != entry.bits as usize / 8 {
            return Err(TargetError::Errno(INVALID));
        }
        let state = self.time_machine.machine().vcpu().save();
        let value = bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let (register, before, after) = match entry.reg {
            Reg::Gpr(number) => {
                let high = if entry.bits == 32 { !0xffff_ffff } else { 0 };
                (number as u8, state.gpr[number], state.gpr[number] & high | value)
            }
            Reg::Pc => (RIP, state.rip, mode::offset_of_linear(&state, value)),
            Reg::Ip => (RIP, state.rip, value),
            _ => return Err(TargetError::Errno(INVALID)),
        };
        for bit in (0..64_u8).filter(|bit| (before ^ after) >> bit & 1 != 0) {
            self.time_machine.input(&Input::Fault(Fault::FlipRegister { register, bit }));
            self.forget_future();
        }
        Ok(())
    }
}

impl Target for Session<'_> {
    type Arch = X86;
    type Error = ReplayError;

    fn base_ops(&mut self) -> BaseOps<'_, X86, ReplayError> {
        BaseOps::SingleThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }

    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }

    fn support_target_description_xml_override(
        &mut self,
    ) -> Option<TargetDescriptionXmlOverrideOps<'_, Self>> {
        Some(self)
    }

    fn use_fork_stop_reason(&self) -> bool {
        false
    }

    fn use_vfork_stop_reason(&self) -> bool {
        false
    }

    fn use_vforkdone_stop_reason(&self) -> bool {
        false
    }
}

impl SingleThreadBase for Session<'_> {
    fn read_registers(&mut self, registers: &mut File) -> TargetResult<(), Self> {
        let state = self.time_machine.machine().vcpu().save();
        registers.0 = self.layout.entries().flat_map(|entry| entry.bytes(&state)).collect();
        Ok(())
    }

    fn write_registers(&mut self, registers: &File) -> TargetResult<(), Self> {
        let state = self.time_machine.machine().vcpu().save();
        let mut rest = registers.0.as_slice();
        let mut changes = Vec::new();
        for entry in self.layout.entries() {
            let before = entry.bytes(&state);
            let Some((bytes, behind)) = rest.split_at_checked(before.len()) else { break };
            rest = behind;
            if bytes != before {
                changes.push((*entry, bytes.to_vec()));
            }
        }
        changes.into_iter().try_for_each(|(entry, bytes)| self.change_register(entry, &bytes))
    }

    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, (), Self>> {
        Some(self)
    }

    fn read_addrs(&mut self, start: u64, data: &mut [u8]) -> TargetResult<usize, Self> {
        let machine = self.time_machine.machine();
        let state = machine.vcpu().save();
        match memory::read(machine.memory(), &state, self.space, start, data) {
            0 => Err(TargetError::Errno(BAD_ADDRESS)),
            count => Ok(count),
        }
    }

    fn write_addrs(&mut self, start: u64, data: &[u8]) -> TargetResult<(), Self> {
        if !self.live {
            return Err(TargetError::Errno(READ_ONLY));
        }
        let machine = self.time_machine.machine();
        let state = machine.vcpu().save();
        let bytes = memory::ram_bytes(machine.memory(), &state, self.space, start, data);
        for (address, byte) in bytes.ok_or(TargetError::Errno(BAD_ADDRESS))? {
            let mut before = [0];
            self.time_machine.machine().memory().read(address, &mut before);
            for bit in (0..8_u8).filter(|bit| (before[0] ^ byte) >> bit & 1 != 0) {
                self.time_machine.input(&Input::Fault(Fault::FlipBit { address, bit }));
                self.forget_future();
            }
        }
        Ok(())
    }

    fn support_resume(&mut self) -> Option<SingleThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl SingleRegisterAccess<()> for Session<'_> {
    fn read_register(
        &mut self,
        (): (),
        Number(number): Number,
        buffer: &mut [u8],
    ) -> TargetResult<usize, Self> {
        let entry = self.layout.entries().nth(number).ok_or(TargetError::Errno(INVALID))?;
        let bytes = entry.bytes(&self.time_machine.machine().vcpu().save());
        let place = buffer.get_mut(..bytes.len()).ok_or(TargetError::Errno(INVALID))?;
        place.copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn write_register(
        &mut self,
        (): (),
        Number(number): Number,
        bytes: &[u8],
    ) -> TargetResult<(), Self> {
        let entry = self.layout.entries().nth(number).ok_or(TargetError::Errno(INVALID))?;
        self.change_register(*entry, bytes)
    }
}

impl SingleThreadResume for Session<'_> {
    fn resume(&mut self, _signal: Option<Signal>) -> Result<(), ReplayError> {
        self.order = Order::Continue { passes: true };
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<SingleThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_reverse_step(&mut self) -> Option<ReverseStepOps<'_, (), Self>> {
        Some(self)
    }

    fn support_reverse_cont(&mut self) -> Option<ReverseContOps<'_, (), Self>> {
        Some(self)
    }
}

impl SingleThreadSingleStep for Session<'_> {
    fn step(&mut self, _signal: Option<Signal>) -> Result<(), ReplayError> {
        self.order = Order::Step { until: self.time_machine.count().saturating_add(1) };
        Ok(())
    }
}

impl ReverseStep<()> for Session<'_> {
    fn reverse_step(&mut self, (): ()) -> Result<(), ReplayError> {
        self.order = Order::StepBack;
        Ok(())
    }
}

impl ReverseCont<()> for Session<'_> {
    fn reverse_cont(&mut self) -> Result<(), ReplayError> {
        self.order = Order::ContinueBack;
        Ok(())
    }
}

impl MonitorCmd for Session<'_> {
    fn handle_monitor_cmd(
        &mut self,
        command: &[u8],
        mut out: ConsoleOutput<'_>,
    ) -> Result<(), ReplayError> {
        let answer = self.monitor(&String::from_utf8_lossy(command));
        // gdb takes packets of the size it was told of; a byte is two digits.
        for part in answer.as_bytes().chunks(MAX_PACKET / 4) {
            out.write_raw(part);
            out.flush();
        }
        Ok(())
    }
}

impl TargetDescriptionXmlOverride for Session<'_> {
    fn target_description_xml(
        &self,
        annex: &[u8],
        offset: u64,
        length: usize,
        buffer: &mut [u8],
    ) -> TargetResult<usize, Self> {
        if annex != b"target.xml" {
            return Err(TargetError::NonFatal);
        }
        let rest = usize::try_from(offset).ok().and_then(|at| self.xml.as_bytes().get(at..));
        let rest = rest.unwrap_or_default();
        // Escaped bytes take two; half the packet is always enough.
        let count = rest.len().min(length).min(buffer.len()).min(MAX_PACKET / 2);
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}
