/*
 * Memory: C string functions, REP MOVS and STOS, dependent loads over more
 * than the caches hold, and code that rewrites itself.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "workloads.h"

static void *map_pages(size_t length, int protection)
{
    void *pages = mmap(0, length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        fail("mmap");
    /* Hosts and guests differ in whether they give huge pages unasked. */
    madvise(pages, length, MADV_NOHUGEPAGE);
    return pages;
}

/* The C library's string functions on words, lines and a 4 KiB text. */
#define TEXT_SIZE 4096
static char text[TEXT_SIZE];

void prepare_strings(void)
{
    uint64_t random = 4;

    for (unsigned i = 0; i < TEXT_SIZE - 1; i++) {
        unsigned kind = (unsigned)(next_random(&random) >> 32) % 32;
        text[i] = (char)(kind < 26 ? 'a' + kind : kind == 31 ? '\n' : ' ');
    }
    memcpy(text + TEXT_SIZE - 16, "needle in a hay", 16);
}

uint64_t run_strings(uint64_t iterations)
{
    static char copy[TEXT_SIZE], word[TEXT_SIZE];
    uint64_t hash = 0;

    for (uint64_t round = 0; round < iterations; round++) {
        strcpy(copy, text);
        copy[round % 1000] = '#';
        hash = mix(hash, strlen(copy));
        hash = mix(hash, (uint64_t)(strchr(copy, '#') - copy));
        hash = mix(hash, (uint64_t)(strstr(copy, "needle") - copy));
        hash += strcmp(copy, text) < 0;
        hash += memcmp(copy + 1000, text + 1000, TEXT_SIZE - 1000) == 0;
        for (char *rest = copy, *line; (line = strsep(&rest, "\n"));) {
            size_t length = strcspn(line, " ");
            memcpy(word, line, length);
            word[length] = 0;
            hash = mix(hash, strlen(word) + (strrchr(line, 'e') != 0));
        }
    }
    return hash;
}

/* REP MOVSB, MOVSQ, STOSB, STOSQ over 4 KiB, mostly across a page border: what
 * kernels and C libraries clear and copy pages with. All of it stays in the
 * first-level cache, where hardware is at its fastest. */
#define REP_SIZE 4096
static uint8_t *rep_source, *rep_target;

void prepare_rep(void)
{
    uint64_t random = 5;

    if (!rep_source) {
        rep_source = map_pages(2 * REP_SIZE, PROT_READ | PROT_WRITE);
        rep_target = map_pages(2 * REP_SIZE, PROT_READ | PROT_WRITE);
    }
    for (unsigned i = 0; i < 2 * REP_SIZE; i++) {
        rep_source[i] = (uint8_t)next_random(&random);
        rep_target[i] = 0;
    }
}

#define REP(instruction, target, source, count, value)                           \
    do {                                                                         \
        void *to = (target);                                                     \
        const void *from = (source);                                             \
        uint64_t left = (count);                                                 \
        __asm__ volatile("rep " instruction                                      \
                         : "+D"(to), "+S"(from), "+c"(left) : "a"(value) : "memory"); \
    } while (0)

uint64_t run_rep(uint64_t iterations)
{
    uint64_t hash = 0;

    for (uint64_t round = 0; round < iterations; round++) {
        unsigned offset = (unsigned)(round * 64) & 0xfc0;
        REP("movsb", rep_target + offset, rep_source + 64, REP_SIZE, 0);
        hash = mix(hash, rep_target[offset + (round & 0xfff)]);
        REP("movsq", rep_target, rep_source + offset, REP_SIZE / 8, 0);
        hash = mix(hash, rep_target[round & 0xfff]);
        REP("stosb", rep_target + offset, 0, REP_SIZE, round & 0xff);
        hash = mix(hash, rep_target[offset + REP_SIZE - 1]);
        REP("stosq", rep_target + 128, 0, REP_SIZE / 8, round);
        hash = mix(hash, rep_target[128 + REP_SIZE - 8]);
    }
    return hash;
}

/* One cycle through 1 Mi cache lines in random order: a load waits for a load. */
#define CHASE_LINES (1024 * 1024)

struct line {
    struct line *next;
    uint64_t number;
    uint8_t rest[48];
};
static struct line *lines;

void prepare_chase(void)
{
    uint64_t random = 6;

    lines = map_pages(CHASE_LINES * sizeof *lines, PROT_READ | PROT_WRITE);
    for (uint32_t i = 0; i < CHASE_LINES; i++) {
        lines[i].next = &lines[i];
        lines[i].number = i;
    }
    /* Sattolo's shuffle leaves one cycle through all of them. */
    for (uint32_t i = CHASE_LINES - 1; i > 0; i--) {
        uint32_t j = (uint32_t)(next_random(&random) >> 32) % i;
        struct line *kept = lines[i].next;
        lines[i].next = lines[j].next;
        lines[j].next = kept;
    }
}

uint64_t run_chase(uint64_t iterations)
{
    const struct line *at = lines;

    for (uint64_t round = 0; round < iterations; round++)
        at = at->next;
    return at->number;
}

void finish_chase(void)
{
    munmap(lines, CHASE_LINES * sizeof *lines);
}

/* A function whose immediate operand is rewritten before each call of it. */
static uint8_t *code_page;

void prepare_smc(void)
{
    static const uint8_t FUNCTION[] = {
        0xb8, 0, 0, 0, 0,       /* mov eax, immediate */
        0x05, 0x11, 0x11, 0, 0, /* add eax, 0x1111    */
        0xc3,                   /* ret                */
    };

    if (!code_page)
        code_page = map_pages(4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    memcpy(code_page, FUNCTION, sizeof FUNCTION);
}

uint64_t run_smc(uint64_t iterations)
{
    uint32_t (*function)(void) = (uint32_t(*)(void))(uintptr_t)code_page;
    uint64_t hash = 0;

    for (uint64_t round = 0; round < iterations; round++) {
        uint32_t immediate = (uint32_t)round * 2654435761u;
        __builtin_memcpy(code_page + 1, &immediate, sizeof immediate); /* one MOV */
        __asm__ volatile("" ::: "memory");
        hash = mix(hash, function());
    }
    return hash;
}
