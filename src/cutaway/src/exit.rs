//! Exit codes of the program, and what it says when a guest has ended.

use cutaway::Stop;
use cutaway::cpu::Unimplemented;
use cutaway::host::End;

/// The guest ended by itself, or the person left.
pub(crate) const DONE: u8 = 0;
/// The host failed: output could not be written.
pub(crate) const HOST_FAILED: u8 = 1;
/// The command line, a file or the machine asked for is no good.
pub(crate) const BAD_INPUT: u8 = 2;
/// Triple fault.
pub(crate) const SHUTDOWN: u8 = 3;
/// The guest uses what Cutaway lacks.
pub(crate) const UNIMPLEMENTED: u8 = 4;
/// `--max-instructions` was reached.
pub(crate) const INSTRUCTION_LIMIT: u8 = 5;

/// A replay differs from its recording, or two recordings differ.
pub(crate) const DIFFERS: u8 = 6;

/// Exit codes and their meaning, for `--help`.
pub(crate) const CODES: &[(&str, &str)] = &[
    ("0", "the guest switched off, halted for good or reset, or Ctrl-A X"),
    ("1", "the host failed: output or log could not be written; a test or a command failed"),
    ("2", "bad input: an option, a file, too little memory"),
    ("3", "the guest caused a triple fault"),
    ("4", "the guest uses something that is not implemented"),
    ("5", "--max-instructions was reached"),
    ("6", "a replay differs from its recording, or two recordings differ"),
    ("2V+1", "the guest wrote V to the debug exit at port 0xF4"),
    ("128+N", "signal N ended the program"),
];

/// How the program ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) code: u8,
    /// One sentence for standard error; nothing where the person knows.
    pub(crate) message: Option<String>,
    /// Whether the state of the CPU is worth showing.
    pub(crate) show_state: bool,
}

/// The ending that belongs to the end of a session.
pub(crate) fn ending(end: &End) -> Ending {
    let (code, message, show_state) = match end {
        End::Left => (DONE, None, false),
        End::Signal(signal) => (u8::try_from(128 + signal).unwrap_or(255), None, false),
        End::InstructionLimit => {
            (INSTRUCTION_LIMIT, Some("the instruction limit was reached".to_owned()), false)
        }
        End::Stop(stop) => of_stop(stop),
    };
    Ending { code, message, show_state }
}

fn of_stop(stop: &Stop) -> (u8, Option<String>, bool) {
    let (code, message, show_state) = match stop {
        Stop::PowerOff => (DONE, "the guest switched the machine off".to_owned(), false),
        Stop::Reset => (DONE, "the guest asked for a reset".to_owned(), false),
        Stop::Halted => {
            let text = "the guest halted with interrupts off: nothing can wake it";
            (DONE, text.to_owned(), false)
        }
        Stop::Limit | Stop::Idle => {
            let text = "the guest waits for input, and there is no more";
            (DONE, text.to_owned(), false)
        }
        Stop::DebugExit(code) => return (*code, None, false),
        Stop::Shutdown => (SHUTDOWN, "the guest caused a triple fault".to_owned(), true),
        Stop::Exception(_) | Stop::Breakpoint | Stop::Watchpoint(_) | Stop::Port(_) => {
            (DONE, format!("the machine stopped for a debugger ({stop:?})"), true)
        }
        Stop::Unimplemented(missing) => (UNIMPLEMENTED, what_is_missing(missing), true),
    };
    (code, Some(message), show_state)
}

/// Mnemonic, place and bytes of what is not implemented.
fn what_is_missing(missing: &Unimplemented) -> String {
    let Unimplemented { what, cs, rip, bytes } = missing;
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("not implemented: {what} at {cs:04x}:{rip:016x}, bytes {}", bytes.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_exit_gives_the_code_that_qemu_gives() {
        assert_eq!(ending(&End::Stop(Stop::DebugExit(0x21))).code, 0x21);
    }

    #[test]
    fn a_triple_fault_shows_the_state() {
        let ending = ending(&End::Stop(Stop::Shutdown));
        assert_eq!((ending.code, ending.show_state), (SHUTDOWN, true));
    }

    #[test]
    fn a_signal_gives_the_code_that_a_shell_gives() {
        assert_eq!(ending(&End::Signal(15)).code, 143);
    }
}
