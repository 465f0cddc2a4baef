/*
 * The kernel's side: system calls, processes, page faults, and switches
 * between two processes. What they cost is mostly the kernel's code and what
 * it does to the CPU: privilege changes, CR3 loads, TLB flushes, exceptions.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workloads.h"

/* The shortest system call there is. (getpid, but the number must not count.) */
uint64_t run_syscalls(uint64_t iterations)
{
    const long expected = syscall(SYS_getpid);

    for (uint64_t round = 0; round < iterations; round++)
        if (syscall(SYS_getpid) != expected)
            fail("getpid changed its mind");
    return iterations;
}

/* fork, exit, wait: page tables copied, faulted on and torn down. */
uint64_t run_fork(uint64_t iterations)
{
    uint64_t hash = 0;

    for (uint64_t round = 0; round < iterations; round++) {
        int status;
        pid_t child = fork();
        if (child == 0)
            _exit((int)(round & 0x7f));
        if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
            fail("fork");
        hash = mix(hash, (uint64_t)WEXITSTATUS(status));
    }
    return hash;
}

/* 1 MiB mapped, a byte written in each of its 256 pages, unmapped. */
#define FAULT_PAGES 256

uint64_t run_faults(uint64_t iterations)
{
    uint64_t hash = 0;

    for (uint64_t round = 0; round < iterations; round++) {
        uint8_t *pages = mmap(0, FAULT_PAGES * 4096, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED)
            fail("mmap");
        madvise(pages, FAULT_PAGES * 4096, MADV_NOHUGEPAGE);
        for (unsigned page = 0; page < FAULT_PAGES; page++)
            pages[page * 4096 + 1] = (uint8_t)(page + round);
        hash = mix(hash, pages[(round % FAULT_PAGES) * 4096 + 1]);
        munmap(pages, FAULT_PAGES * 4096);
    }
    return hash;
}

/* A byte to and fro between two processes on one CPU: two switches a round. */
static void echo(int from, int to)
{
    uint8_t byte;

    while (read(from, &byte, 1) == 1) {
        byte ^= 0x5a;
        if (write(to, &byte, 1) != 1)
            break;
    }
    _exit(0);
}

uint64_t run_pipe(uint64_t iterations)
{
    int request[2], reply[2];
    uint64_t hash = 0;
    cpu_set_t before, one;

    /* The guest has one CPU; natively the pair must not spread over two. */
    sched_getaffinity(0, sizeof before, &before);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    if (pipe(request) < 0 || pipe(reply) < 0)
        fail("pipe");
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        close(request[1]);
        echo(request[0], reply[1]);
    }
    close(request[0]);
    for (uint64_t round = 0; round < iterations; round++) {
        uint8_t byte = (uint8_t)round;
        if (write(request[1], &byte, 1) != 1 || read(reply[0], &byte, 1) != 1)
            fail("pipe ended early");
        hash = mix(hash, byte);
    }
    close(request[1]);
    waitpid(child, 0, 0);
    close(reply[0]);
    close(reply[1]);
    sched_setaffinity(0, sizeof before, &before);
    return hash;
}
