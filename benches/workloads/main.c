/*
 * One static program, three ways to start it:
 *
 *   workloads list                prints the names, one a line
 *   workloads NAME:N[,NAME:N...]  runs each workload for N iterations
 *   as /init of a Linux guest     the same, from `bench=NAME:N,...` on the
 *                                 kernel's command line, then resets the PC
 *
 * Marks on standard output tell whoever measures where a workload starts and
 * ends:
 *
 *   @boot                 the program (in a guest: user space) has started
 *   @begin NAME           preparation is over, the work starts
 *   @end NAME CHECKSUM    the work is done (checksum: 16 hex digits)
 *   @done                 all of them are done
 *   @error WHAT           something went wrong, nothing more will come
 *
 * After a mark the program waits until it has left the serial port and then
 * sleeps a moment: the reader takes the emulator's CPU time meanwhile, at
 * leisure, while the guest is idle.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "workloads.h"

/* Long enough for a reader on a busy host to wake up. */
#define PAUSE_NS 10000000

struct workload {
    const char *name;
    uint64_t (*run)(uint64_t iterations);
    void (*prepare)(void);
    void (*finish)(void);
};

static const struct workload TABLE[] = {
    {"sieve", run_sieve, 0, 0},
    {"crc32", run_crc32, prepare_crc32, 0},
    {"quicksort", run_quicksort, 0, 0},
    {"sha256", run_sha256, 0, 0},
    {"calls", run_calls, 0, 0},
    {"muldiv", run_muldiv, 0, 0},
    {"bytecode", run_bytecode, 0, 0},
    {"matrix", run_matrix, 0, 0},
    {"nbody", run_nbody, 0, 0},
    {"mandelbrot", run_mandelbrot, 0, 0},
    {"x87", run_x87, 0, 0},
    {"sse2", run_sse2, 0, 0},
    {"strings", run_strings, prepare_strings, 0},
    {"rep", run_rep, prepare_rep, 0},
    {"chase", run_chase, prepare_chase, finish_chase},
    {"smc", run_smc, prepare_smc, 0},
    {"syscalls", run_syscalls, 0, 0},
    {"fork", run_fork, 0, 0},
    {"faults", run_faults, 0, 0},
    {"pipe", run_pipe, 0, 0},
};

#define TABLE_LENGTH (sizeof TABLE / sizeof TABLE[0])

/* Writes the three parts as one line in one call, so that it arrives whole. */
static void put_line(const char *head, const char *middle, const char *tail)
{
    char line[128] = "";
    strncat(line, head, 15);
    strncat(line, middle, 63);
    strncat(line, tail, 31);
    strcat(line, "\n");
    if (write(STDOUT_FILENO, line, strlen(line)) < 0)
        _exit(2);
}

static void pause_after_mark(void)
{
    tcdrain(STDOUT_FILENO); /* fails at once on a pipe, where nothing is to wait for */
    struct timespec pause = {0, PAUSE_NS};
    nanosleep(&pause, 0);
}

/* Process 1 must not end (the kernel would panic): it resets the machine. */
static _Noreturn void leave(int status)
{
    if (getpid() != 1)
        _exit(status);
    tcdrain(STDOUT_FILENO);
    reboot(RB_AUTOBOOT);
    for (;;)
        pause();
}

_Noreturn void fail(const char *what)
{
    put_line("@error ", what, "");
    leave(2);
}

static void measure(const struct workload *workload, uint64_t iterations)
{
    char checksum[] = " ................";

    if (workload->prepare)
        workload->prepare();
    put_line("@begin ", workload->name, "");
    pause_after_mark();
    uint64_t result = workload->run(iterations);
    for (int digit = 16; digit > 0; digit--, result >>= 4)
        checksum[digit] = "0123456789abcdef"[result & 15];
    put_line("@end ", workload->name, checksum);
    pause_after_mark();
    if (workload->finish)
        workload->finish();
}

/* Runs "NAME:N,NAME:N..."; takes the string apart in place. */
static void run_all(char *specification)
{
    put_line("@boot", "", "");
    pause_after_mark();
    for (char *item = strtok(specification, ","); item; item = strtok(0, ",")) {
        char *colon = strchr(item, ':');
        if (!colon)
            fail("an item is not NAME:ITERATIONS");
        *colon = 0;
        const struct workload *workload = TABLE;
        while (workload < TABLE + TABLE_LENGTH && strcmp(workload->name, item) != 0)
            workload++;
        if (workload == TABLE + TABLE_LENGTH)
            fail("no workload of this name");
        measure(workload, strtoull(colon + 1, 0, 10));
    }
    put_line("@done", "", "");
}

int main(int argc, char **argv)
{
    char *specification = argc > 1 ? argv[1] : 0;

    if (getpid() == 1) {
        /* Linux opens /dev/console for process 1 if the initramfs has it, and
         * hands on parameters it does not know itself in the environment. */
        if (fcntl(STDOUT_FILENO, F_GETFD) < 0)
            for (int fd = open("/dev/console", O_RDWR); fd >= 0 && fd < 2;)
                fd = dup(fd);
        specification = getenv("bench");
    } else if (argc == 2 && strcmp(argv[1], "list") == 0) {
        for (unsigned i = 0; i < TABLE_LENGTH; i++)
            put_line(TABLE[i].name, "", "");
        return 0;
    }
    if (!specification)
        fail("usage: workloads NAME:ITERATIONS[,...]");
    run_all(specification);
    leave(0);
}
