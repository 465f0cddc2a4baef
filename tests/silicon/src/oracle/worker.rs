//! The worker process: everything between its birth and its end happens in a signal handler.
//!
//! From the first case on nothing here may allocate, panic, or use thread-local storage: code
//! under test may have changed FS, and the heap is as the parent left it at the fork.

use std::arch::global_asm;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::context::{self, Segments};
use super::seccomp;
use super::shared::{SLOTS, Shared, WINDOW_OFFSET};
use crate::case::{Case, Length, Outcome, WORDS};
use crate::place::{LDT, LdtEntry, PAGE, PAGES, WINDOW};

// Entry of all signals, the return from it, and the only other system call. The entry clears AC,
// NT and ID, which code under test may have set and a signal does not clear: with AC set the
// handler's own accesses could fault.
global_asm!(
    ".globl cutaway_oracle_entry",
    "cutaway_oracle_entry:",
    "push 2",
    "popfq",
    "jmp {handler}",
    ".globl cutaway_oracle_restorer",
    "cutaway_oracle_restorer:",
    "mov eax, 15",
    "syscall",
    ".globl cutaway_oracle_restorer_end",
    "cutaway_oracle_restorer_end:",
    "ud2",
    ".globl cutaway_oracle_futex",
    "cutaway_oracle_futex:",
    "mov eax, 202",
    "xor r10d, r10d",
    "syscall",
    ".globl cutaway_oracle_futex_end",
    "cutaway_oracle_futex_end:",
    "ret",
    handler = sym on_signal,
);

unsafe extern "C" {
    fn cutaway_oracle_entry();
    fn cutaway_oracle_restorer();
    fn cutaway_oracle_restorer_end();
    /// futex(2) without a timeout.
    fn cutaway_oracle_futex(word: *const u32, operation: i32, value: u32) -> i64;
    fn cutaway_oracle_futex_end();
}

/// The worker's view of the shared memory, for the handler.
static SHARED: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());

/// Which step of the worker's preparation failed; its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Step {
    Parent = 10,
    Map = 11,
    Stack = 12,
    Signals = 13,
    Ldt = 14,
    Filter = 15,
}

/// What the kernel takes for rt_sigaction(2).
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// What the kernel takes for modify_ldt(2).
#[repr(C)]
struct UserDescriptor {
    number: u32,
    base: u32,
    limit: u32,
    flags: u32,
}

const SA_RESTORER: u64 = 0x0400_0000;
const SIGNALS: [i32; 6] =
    [libc::SIGTRAP, libc::SIGSEGV, libc::SIGILL, libc::SIGFPE, libc::SIGBUS, libc::SIGSYS];

/// Turns the process into a worker. Never returns.
///
/// # Safety
/// To be called right after `fork`, in the child. `shared` is a shared mapping of the file
/// `descriptor`, and `stack` one of `stack_size` bytes that nobody else uses.
pub(crate) unsafe fn become_worker(
    shared: *mut Shared,
    descriptor: i32,
    stack: *mut libc::c_void,
    stack_size: usize,
) -> ! {
    SHARED.store(shared, Ordering::Relaxed);
    let prepared = die_with_parent()
        .and_then(|()| map_window(descriptor))
        .and_then(|()| use_stack(stack, stack_size))
        .and_then(|()| catch_signals())
        .and_then(|()| fill_ldt())
        .and_then(|()| {
            let ends: [unsafe extern "C" fn(); 2] =
                [cutaway_oracle_restorer_end, cutaway_oracle_futex_end];
            seccomp::install(ends.map(|end| end as usize as u64)).map_err(|_| Step::Filter)
        });
    if let Err(step) = prepared {
        // SAFETY: takes no pointer.
        unsafe { libc::_exit(step as i32) };
    }
    loop {
        // SAFETY: the signal goes to the handler, which never comes back here: it leaves the
        // context to a case, and the next one finds another context.
        unsafe { std::arch::asm!("int3") };
    }
}

fn die_with_parent() -> Result<(), Step> {
    // SAFETY: passes no pointer.
    let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if result == 0 { Ok(()) } else { Err(Step::Parent) }
}

fn map_window(descriptor: i32) -> Result<(), Step> {
    for page in PAGES {
        let address = (WINDOW + page.offset) as usize as *mut libc::c_void;
        let write = if page.writable { libc::PROT_WRITE } else { 0 };
        let protection = libc::PROT_READ | libc::PROT_EXEC | write;
        let flags = libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE | libc::MAP_POPULATE;
        let offset = (WINDOW_OFFSET + page.offset) as i64;
        // SAFETY: the address was free, or the call fails.
        let mapped =
            unsafe { libc::mmap(address, PAGE as usize, protection, flags, descriptor, offset) };
        if mapped != address {
            return Err(Step::Map);
        }
    }
    Ok(())
}

fn use_stack(stack: *mut libc::c_void, size: usize) -> Result<(), Step> {
    let stack = libc::stack_t { ss_sp: stack, ss_flags: 0, ss_size: size };
    // SAFETY: the memory is this process's alone.
    let result = unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(Step::Stack) }
}

fn catch_signals() -> Result<(), Step> {
    let entry: unsafe extern "C" fn() = cutaway_oracle_entry;
    let restorer: unsafe extern "C" fn() = cutaway_oracle_restorer;
    let flags = libc::SA_SIGINFO as u64 | libc::SA_ONSTACK as u64 | SA_RESTORER;
    let action = KernelAction {
        handler: entry as usize,
        flags,
        restorer: restorer as usize,
        mask: u64::MAX,
    };
    for signal in SIGNALS {
        let none = ptr::null_mut::<KernelAction>();
        // SAFETY: the handler follows the convention of a signal handler.
        let result = unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const action, none, 8_usize)
        };
        if result != 0 {
            return Err(Step::Signals);
        }
    }
    Ok(())
}

fn user_descriptor(number: usize, entry: LdtEntry) -> UserDescriptor {
    let flags = u32::from(entry.big)
        | u32::from(entry.contents) << 1
        | u32::from(entry.closed) << 3
        | u32::from(entry.pages) << 4
        | u32::from(!entry.present) << 5;
    UserDescriptor { number: number as u32, base: entry.base, limit: entry.limit, flags }
}

fn fill_ldt() -> Result<(), Step> {
    const WRITE: i32 = 0x11;
    for (number, entry) in LDT.iter().enumerate() {
        let Some(entry) = *entry else { continue };
        let descriptor = user_descriptor(number, entry);
        let size = size_of::<UserDescriptor>();
        // SAFETY: the kernel reads the structure, and checks what it finds in it.
        let result =
            unsafe { libc::syscall(libc::SYS_modify_ldt, WRITE, &raw const descriptor, size) };
        if result != 0 {
            return Err(Step::Ldt);
        }
    }
    Ok(())
}

/// The handler: `cutaway_oracle_entry` jumps here with the arguments of a signal handler.
extern "C" fn on_signal(
    signal: i32,
    _: *mut libc::siginfo_t,
    signal_context: *mut libc::ucontext_t,
) {
    let segments = Segments::current();
    // SAFETY: `become_worker` stored a mapping that lives as long as the process, of which the
    // handler uses what belongs to the worker; the parent keeps off that, see `Shared`.
    let shared = unsafe { &mut *SHARED.load(Ordering::Relaxed) };
    let mut number = shared.completed.load(Ordering::Relaxed);
    let slot = number as usize % SLOTS;
    if shared.running != 0 {
        let case = &shared.cases[slot];
        // SAFETY: the context is the kernel's.
        if unsafe { is_between_iterations(case, signal, signal_context, shared.iterations) } {
            shared.iterations += 1;
            return;
        }
        let outcome = &mut shared.outcomes[slot];
        // SAFETY: as above.
        outcome.ending = unsafe { context::ending_of(signal_context, signal) };
        let ymm_offset = shared.ymm_offset as usize;
        // SAFETY: as above.
        unsafe { context::store(signal_context, &segments, ymm_offset, &mut outcome.registers) };
        compare(&mut shared.window, &mut shared.shadow, outcome);
        unpatch(&mut shared.window, &shared.filler, case);
        unpatch(&mut shared.shadow, &shared.filler, case);
        shared.running = 0;
        number = number.wrapping_add(1);
        shared.completed.store(number, Ordering::Release);
        if number == shared.submitted.load(Ordering::Acquire) {
            wake(shared.completed.as_ptr());
        }
    }
    loop {
        let submitted = shared.submitted.load(Ordering::Acquire);
        if submitted != number {
            break;
        }
        wait(shared.submitted.as_ptr(), submitted);
    }

    let case = &shared.cases[number as usize % SLOTS];
    patch(&mut shared.window, case);
    patch(&mut shared.shadow, case);
    // SAFETY: the context is the kernel's.
    unsafe { context::load(signal_context, shared.ymm_offset as usize, case) };
    (shared.running, shared.iterations) = (1, 0);
    Segments::load(case);
}

/// Whether a repeated instruction of a case that runs as a whole has iterations left.
///
/// # Safety
/// `signal_context` is what the kernel handed to the signal handler.
unsafe fn is_between_iterations(
    case: &Case,
    signal: i32,
    signal_context: *const libc::ucontext_t,
    iterations: u32,
) -> bool {
    const MOST: u32 = 0x400;
    // SAFETY: as promised by the caller.
    let rip = unsafe { context::rip_of(signal_context) };
    // SAFETY: as promised by the caller.
    let trap = unsafe { context::ending_of(signal_context, signal) }.vector == 1;
    case.length == Length::Whole && trap && rip == case.registers.rip && iterations < MOST
}

fn wake(word: *const u32) {
    // SAFETY: the word is in shared memory.
    unsafe { cutaway_oracle_futex(word, libc::FUTEX_WAKE, 1) };
}

fn wait(word: *const u32, value: u32) {
    // SAFETY: the word is in shared memory.
    unsafe { cutaway_oracle_futex(word, libc::FUTEX_WAIT, value) };
}

/// The patch's range of the window, none if it is not one.
fn range(patch: &crate::case::Patch, window: &[u8]) -> std::ops::Range<usize> {
    let start = (patch.offset as usize).min(window.len());
    start..(start + patch.bytes().len()).min(window.len())
}

fn patch(window: &mut [u8], case: &Case) {
    for patch in case.patches() {
        let range = range(patch, window);
        if let Some(to) = window.get_mut(range.clone()) {
            for (to, from) in to.iter_mut().zip(patch.bytes()) {
                *to = *from;
            }
        }
    }
}

fn unpatch(window: &mut [u8], filler: &[u8], case: &Case) {
    for patch in case.patches() {
        let range = range(patch, window);
        if let (Some(to), Some(from)) = (window.get_mut(range.clone()), filler.get(range)) {
            for (to, from) in to.iter_mut().zip(from) {
                *to = *from;
            }
        }
    }
}

/// Lists the qwords of the window that differ from the shadow, and makes them equal again.
fn compare(window: &mut [u8], shadow: &mut [u8], outcome: &mut Outcome) {
    outcome.count = 0;
    for page in PAGES {
        let start = page.offset as usize;
        let Some(window) = window.get_mut(start..start + PAGE as usize) else { continue };
        let Some(shadow) = shadow.get_mut(start..start + PAGE as usize) else { continue };
        let lines = window.as_chunks_mut::<64>().0.iter_mut();
        for (line, (now, before)) in lines.zip(shadow.as_chunks_mut::<64>().0).enumerate() {
            if now == before {
                continue;
            }
            let words = now.as_chunks_mut::<8>().0.iter_mut().zip(before.as_chunks_mut::<8>().0);
            for (word, (now, before)) in words.enumerate() {
                if *now != *before {
                    if let Some(entry) = outcome.words.get_mut(outcome.count as usize) {
                        let offset = start + 64 * line + 8 * word;
                        *entry = (offset as u64, u64::from_le_bytes(*now));
                    }
                    outcome.count += 1;
                    *now = *before;
                }
            }
        }
    }
    const { assert!(WORDS > 0) };
}
