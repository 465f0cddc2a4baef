//! Breakpoints and watchpoints as gdb sets and takes them. Software and hardware breakpoints are
//! the same to the machine, which nothing is written into; gdb is told back which it was.

use super::session::Session;
use cutaway_machine::Watch;
use gdbstub::target::TargetResult;
use gdbstub::target::ext::breakpoints::{
    Breakpoints, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps, SwBreakpoint,
    SwBreakpointOps, WatchKind,
};

/// More of one kind than a person sets; bounds what a client can ask for.
const MAX_STOPS: usize = 1024;

impl Breakpoints for Session<'_> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

/// Adds, unless it is there; returns whether it is now.
fn add<T: PartialEq>(list: &mut Vec<T>, new: T) -> bool {
    let known = list.contains(&new);
    if !known && list.len() < MAX_STOPS {
        list.push(new);
        return true;
    }
    known
}

/// Removes; returns whether it was there.
fn remove<T: PartialEq>(list: &mut Vec<T>, gone: &T) -> bool {
    let before = list.len();
    list.retain(|one| one != gone);
    list.len() < before
}

impl SwBreakpoint for Session<'_> {
    fn add_sw_breakpoint(&mut self, address: u64, _kind: usize) -> TargetResult<bool, Self> {
        Ok(add(&mut self.software, address))
    }

    fn remove_sw_breakpoint(&mut self, address: u64, _kind: usize) -> TargetResult<bool, Self> {
        Ok(remove(&mut self.software, &address))
    }
}

impl HwBreakpoint for Session<'_> {
    fn add_hw_breakpoint(&mut self, address: u64, _kind: usize) -> TargetResult<bool, Self> {
        Ok(add(&mut self.hardware, address))
    }

    fn remove_hw_breakpoint(&mut self, address: u64, _kind: usize) -> TargetResult<bool, Self> {
        Ok(remove(&mut self.hardware, &address))
    }
}

/// The watch of a watchpoint; its addresses are linear.
fn watch(start: u64, len: u64, kind: WatchKind) -> (Watch, WatchKind) {
    let (reads, writes) = match kind {
        WatchKind::Read => (true, false),
        WatchKind::Write => (false, true),
        WatchKind::ReadWrite => (true, true),
    };
    (Watch { start, len, physical: false, reads, writes }, kind)
}

impl HwWatchpoint for Session<'_> {
    fn add_hw_watchpoint(
        &mut self,
        start: u64,
        len: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        Ok(add(&mut self.watches, watch(start, len, kind)))
    }

    fn remove_hw_watchpoint(
        &mut self,
        start: u64,
        len: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        Ok(remove(&mut self.watches, &watch(start, len, kind)))
    }
}
