//! The parent's side: starts workers, feeds them, and replaces those that die or hang.

use std::io;
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::shared::{SLOTS, Shared};
use super::worker;
use crate::case::{Case, Outcome};
use crate::place::{WINDOW_SIZE, filler};

/// Why there is no oracle.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// The CPU or the kernel lacks something.
    #[error("this host has no {0}")]
    Missing(&'static str),
    /// A system call failed.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The worker could not prepare itself.
    #[error("the worker process stopped with status {0}")]
    Worker(i32),
}

fn failed(what: &'static str) -> OracleError {
    OracleError::System { what, source: io::Error::last_os_error() }
}

/// A worker that makes no progress for so long has hung. Generous, since hosts are busy.
const PATIENCE: Duration = Duration::from_secs(4);
const WORKER_STACK: usize = 0x2_0000;

/// The host's CPU, ready to run cases.
pub struct Oracle {
    shared: *mut Shared,
    descriptor: i32,
    stack: *mut libc::c_void,
    worker: i32,
    lost: u64,
    /// How the last worker ended, as wait(2) tells it.
    status: i32,
    /// Number of the first case of the batch under way.
    first: u32,
}

impl Oracle {
    /// Most cases of one batch.
    pub const BATCH: usize = SLOTS;

    /// Starts a worker.
    pub fn new() -> Result<Self, OracleError> {
        const FSGSBASE: u64 = 1 << 1;
        // SAFETY: takes no pointer.
        let capabilities = unsafe { libc::getauxval(libc::AT_HWCAP2) };
        if capabilities & FSGSBASE == 0 {
            return Err(OracleError::Missing("FSGSBASE"));
        }
        if !std::arch::is_x86_feature_detected!("avx") {
            return Err(OracleError::Missing("AVX"));
        }
        // SAFETY: the name is a C string.
        let descriptor = unsafe { libc::memfd_create(c"oracle".as_ptr(), libc::MFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(failed("make a memory file"));
        }
        let size = size_of::<Shared>();
        // SAFETY: takes no pointer.
        if unsafe { libc::ftruncate(descriptor, size as i64) } != 0 {
            return Err(failed("size the memory file"));
        }
        let shared = map(size, libc::MAP_SHARED, descriptor)?.cast::<Shared>();
        let stack = map(WORKER_STACK, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)?;
        let mut oracle =
            Self { shared, descriptor, stack, worker: 0, lost: 0, status: 0, first: 0 };
        // SAFETY: the mapping is new, zeroed and large enough; zero is valid in all fields.
        let shared = unsafe { &mut *shared };
        for offset in 0..WINDOW_SIZE {
            shared.filler[offset as usize] = filler(offset);
        }
        shared.window = shared.filler;
        shared.shadow = shared.filler;
        // Component 2 of the XSAVE area: where its standard format has the upper YMM halves.
        shared.ymm_offset = std::arch::x86_64::__cpuid_count(0xd, 2).ebx;
        oracle.start()?;
        Ok(oracle)
    }

    /// Cases lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Hands a batch over. The outcomes are to be had from [`Oracle::finish`], and only then may
    /// the next batch follow.
    pub fn start_batch(&mut self, cases: &[Case]) {
        assert!(cases.len() <= SLOTS, "a batch fits in the ring");
        // SAFETY: no batch is under way, so the worker waits and reads none of the slots.
        let shared = unsafe { &mut *self.shared };
        let first = shared.submitted.load(Ordering::Relaxed);
        self.first = first;
        for (n, case) in cases.iter().enumerate() {
            shared.cases[(first as usize + n) % SLOTS] = *case;
        }
        shared.submitted.store(first.wrapping_add(cases.len() as u32), Ordering::Release);
        futex(shared.submitted.as_ptr(), libc::FUTEX_WAKE, 1, None);
    }

    /// Waits for the outcomes of the last batch, in its order.
    pub fn finish(&mut self, outcomes: &mut Vec<Outcome>) -> Result<(), OracleError> {
        outcomes.clear();
        // SAFETY: only atomic fields are touched before the batch is complete.
        let submitted = unsafe { &(*self.shared).submitted }.load(Ordering::Relaxed);
        // SAFETY: as above.
        let completed = unsafe { &(*self.shared).completed };
        let mut seen = completed.load(Ordering::Acquire);
        let mut since = Instant::now();
        while seen != submitted {
            futex(completed.as_ptr(), libc::FUTEX_WAIT, seen, Some(Duration::from_millis(20)));
            let now = completed.load(Ordering::Acquire);
            let stuck = now == seen && since.elapsed() > PATIENCE;
            if stuck || now == seen && self.is_dead() {
                self.replace_worker(now)?;
            }
            let now = completed.load(Ordering::Acquire);
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
        // SAFETY: the worker waits, so the outcomes belong to the parent.
        let shared = unsafe { &*self.shared };
        let count = submitted.wrapping_sub(self.first) as usize;
        let first = self.first as usize;
        outcomes.extend((0..count).map(|n| shared.outcomes[(first + n) % SLOTS]));
        Ok(())
    }

    /// Runs cases one batch after the other.
    pub fn run(&mut self, cases: &[Case]) -> Result<Vec<Outcome>, OracleError> {
        let (mut all, mut part) = (Vec::with_capacity(cases.len()), Vec::new());
        for batch in cases.chunks(SLOTS) {
            self.start_batch(batch);
            self.finish(&mut part)?;
            all.append(&mut part);
        }
        Ok(all)
    }

    fn start(&mut self) -> Result<(), OracleError> {
        // SAFETY: the child calls nothing but what is safe after a fork, and never returns.
        let worker = unsafe { libc::fork() };
        if worker == 0 {
            // SAFETY: this is the child; the mappings are as `become_worker` wants them.
            unsafe { worker::become_worker(self.shared, self.descriptor, self.stack, WORKER_STACK) }
        }
        if worker < 0 {
            return Err(failed("start a worker process"));
        }
        self.worker = worker;
        Ok(())
    }

    /// Whether the worker has ended.
    fn is_dead(&mut self) -> bool {
        if self.worker == 0 {
            return true;
        }
        let mut status = 0;
        // SAFETY: the status outlives the call.
        let ended = unsafe { libc::waitpid(self.worker, &raw mut status, libc::WNOHANG) } != 0;
        if ended {
            (self.worker, self.status) = (0, status);
        }
        ended
    }

    /// Ends the worker, calls its case lost and starts another.
    fn replace_worker(&mut self, completed: u32) -> Result<(), OracleError> {
        self.stop();
        self.lost += 1;
        if self.lost > 10_000 {
            return Err(OracleError::Worker(self.status));
        }
        // SAFETY: the worker has ended.
        let shared = unsafe { &mut *self.shared };
        if shared.running == 0 {
            // It never came as far as a case: another one would fare no better.
            return Err(OracleError::Worker(self.status));
        }
        shared.outcomes[completed as usize % SLOTS] = Outcome::LOST;
        shared.window = shared.filler;
        shared.shadow = shared.filler;
        shared.running = 0;
        shared.completed.store(completed.wrapping_add(1), Ordering::Release);
        self.start()
    }

    fn stop(&mut self) {
        if self.worker == 0 {
            return;
        }
        // SAFETY: takes no pointer; the process is this oracle's own child.
        unsafe { libc::kill(self.worker, libc::SIGKILL) };
        // SAFETY: a null status is allowed.
        unsafe { libc::waitpid(self.worker, ptr::null_mut(), 0) };
        self.worker = 0;
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.stop();
        // SAFETY: nobody uses the mappings and the file any more.
        unsafe {
            libc::munmap(self.shared.cast(), size_of::<Shared>());
            libc::munmap(self.stack, WORKER_STACK);
            libc::close(self.descriptor);
        }
    }
}

fn map(size: usize, flags: i32, descriptor: i32) -> Result<*mut libc::c_void, OracleError> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the kernel chooses a free address.
    let mapped = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, descriptor, 0) };
    if mapped == libc::MAP_FAILED { Err(failed("map shared memory")) } else { Ok(mapped) }
}

fn futex(word: *const u32, operation: i32, value: u32, timeout: Option<Duration>) {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: i64::from(timeout.subsec_nanos()),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word is in shared memory, the timeout outlives the call. That it fails when the
    // word has changed meanwhile is what it is for.
    unsafe { libc::syscall(libc::SYS_futex, word, operation, value, timeout) };
}
