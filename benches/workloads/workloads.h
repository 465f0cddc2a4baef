/*
 * The guest workloads: what each file offers to the table in main.c.
 *
 * A workload is a function of its iteration count alone: no time, no
 * randomness, no input. It returns a checksum over what it computed, so that a
 * wrong result anywhere (native, emulated) is seen, and so that the compiler
 * cannot drop the work.
 */
#ifndef WORKLOADS_H
#define WORKLOADS_H

#include <stdint.h>

/* integer.c */
uint64_t run_sieve(uint64_t iterations);
void prepare_crc32(void);
uint64_t run_crc32(uint64_t iterations);
uint64_t run_quicksort(uint64_t iterations);
uint64_t run_sha256(uint64_t iterations);
uint64_t run_calls(uint64_t iterations);
uint64_t run_muldiv(uint64_t iterations);
uint64_t run_bytecode(uint64_t iterations);

/* float.c */
uint64_t run_matrix(uint64_t iterations);
uint64_t run_nbody(uint64_t iterations);
uint64_t run_mandelbrot(uint64_t iterations);
uint64_t run_x87(uint64_t iterations);
uint64_t run_sse2(uint64_t iterations);

/* memory.c */
void prepare_strings(void);
uint64_t run_strings(uint64_t iterations);
void prepare_rep(void);
uint64_t run_rep(uint64_t iterations);
void prepare_chase(void);
uint64_t run_chase(uint64_t iterations);
void finish_chase(void);
void prepare_smc(void);
uint64_t run_smc(uint64_t iterations);

/* kernel.c */
uint64_t run_syscalls(uint64_t iterations);
uint64_t run_fork(uint64_t iterations);
uint64_t run_faults(uint64_t iterations);
uint64_t run_pipe(uint64_t iterations);

/* Ends the program (or the guest) with "@error WHAT" on standard output. */
_Noreturn void fail(const char *what);

/* One step of the checksum: order matters, every bit of VALUE counts. */
static inline uint64_t mix(uint64_t hash, uint64_t value)
{
    hash ^= value;
    hash *= 0x9e3779b97f4a7c15;
    return hash << 29 | hash >> 35;
}

/* Fills of buffers: a 64-bit xorshift generator, the same everywhere. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

#endif
