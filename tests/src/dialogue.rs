//! The teaching kernel's self-test: each of its commands with what its answer must say.

use crate::guest::Guest;

/// Ticks are nanoseconds: more than any command needs.
pub const TICKS: u64 = 20_000_000_000;
/// The kernel's prompt.
pub const PROMPT: &str = "cutaway> ";

/// Types a command and checks that its answer contains the words, in this order.
///
/// # Panics
/// If one is missing.
pub fn ask(guest: &mut Guest, command: &str, words: &[&str]) {
    guest.type_line(command);
    for word in words {
        guest.wait_for(word, TICKS);
    }
    guest.wait_for(PROMPT, TICKS);
}

/// The commands, each with what its answer must say, from the first prompt on.
///
/// # Panics
/// If one answers otherwise.
pub fn dialogue(guest: &mut Guest) {
    guest.wait_for("Type help for the commands.", TICKS);
    guest.wait_for(PROMPT, TICKS);
    ask(guest, "help", &["walk       ADDR [PID]", "poweroff"]);
    ask(guest, "tasks", &["shell", "clock", "pulse", "primes      3  sleeping"]);
    ask(guest, "mem", &["page frames up to 00ffffff: 15 used"]);
    ask(guest, "walk 0x40100000 2", &["directory entry 256", "writable, user, accessed, dirty"]);
    ask(guest, "walk 0", &["not mapped: an access would be a page fault"]);
    ask(guest, "fault", &["error code 00000004", "linear address deadbeef", "ended by #PF"]);
    ask(guest, "divide", &["ended by #DE divide error"]);
    ask(guest, "gp", &["ended by #GP general protection"]);
    ask(guest, "breakpoint", &["behind the breakpoint", "exited with code 0"]);
    ask(guest, "syscall", &["CPL of this program: 3", "it took 10 ticks", "exited with code 7"]);
    ask(guest, "run scribble", &["40000000: page protection, write, in user mode"]);
    ask(guest, "run overflow", &["401feffc: page not present, write, in user mode"]);
    ask(guest, "spawn spin", &["task 12 (spin) started"]);
    ask(guest, "echo the shell still answers", &["\nthe shell still answers"]);
    ask(guest, "kill 12", &["task 12 (spin) was killed"]);
    ask(guest, "regs", &["CR0 80010015 PE EM ET WP PG"]);
    ask(guest, "peek 100000", &["00100000  02 b0 ad 1b 02 00 01 00"]);
    ask(guest, "gdt", &["TSS, busy (in TR) DPL 0"]);
    ask(guest, "idt", &["interrupt gate, DPL 3  system call"]);
    ask(guest, "pic", &["IRR 00  ISR 00  IMR ea"]);
    ask(guest, "time", &["2020-01-01"]);
    ask(guest, "ticks", &["timer interrupts since boot, 100 a second"]);
    ask(guest, "ecko\x7f\x7fho edited", &["\nedited"]);
    ask(guest, "nothing", &["no such command; help lists them all"]);
    ask(guest, "mem", &["page frames up to 00ffffff: 15 used"]);
}
