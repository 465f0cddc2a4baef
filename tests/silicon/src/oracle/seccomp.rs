//! The filter that leaves the worker its own two system calls, by the address they come from.
//!
//! Source: seccomp(2); Linux `include/uapi/linux/seccomp.h`, `struct seccomp_data`.

use std::io;

/// Offset of `instruction_pointer` in `struct seccomp_data`: the address behind the SYSCALL.
const INSTRUCTION_POINTER: u32 = 8;

fn statement(code: u32, value: u32, if_true: u8, if_false: u8) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: if_true, jf: if_false, k: value }
}

/// Installs the filter: calls that return to one of `allowed` pass, all others raise SIGSYS.
/// This cannot be undone.
pub(crate) fn install(allowed: [u64; 2]) -> io::Result<()> {
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let give = libc::BPF_RET | libc::BPF_K;
    let mut program = [
        statement(load, INSTRUCTION_POINTER, 0, 0),
        statement(equal, allowed[0] as u32, 0, 3),
        statement(load, INSTRUCTION_POINTER + 4, 0, 0),
        statement(equal, (allowed[0] >> 32) as u32, 0, 5),
        statement(give, libc::SECCOMP_RET_ALLOW, 0, 0),
        statement(equal, allowed[1] as u32, 0, 3),
        statement(load, INSTRUCTION_POINTER + 4, 0, 0),
        statement(equal, (allowed[1] >> 32) as u32, 0, 1),
        statement(give, libc::SECCOMP_RET_ALLOW, 0, 0),
        statement(give, libc::SECCOMP_RET_TRAP, 0, 0),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: no pointer is passed.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: `filter` and the program it points to outlive the call, which copies them.
    if unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, std::ptr::from_ref(&filter), 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
