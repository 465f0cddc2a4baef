/*
 * Integer code: loops, table look-ups, sorting, hashing, calls, multiply and
 * divide, and an interpreter's indirect jumps.
 */
#include "workloads.h"

/* Sieve of Eratosthenes over 256 Ki bytes: short store loops with a stride. */
#define SIEVE_SIZE (256 * 1024)

uint64_t run_sieve(uint64_t iterations)
{
    static uint8_t composite[SIEVE_SIZE];
    uint64_t hash = 0;

    for (uint64_t round = 0; round < iterations; round++) {
        uint64_t primes = 0;
        for (unsigned i = 0; i < SIEVE_SIZE; i++)
            composite[i] = 0;
        for (unsigned i = 2; i < SIEVE_SIZE; i++) {
            if (composite[i])
                continue;
            primes++;
            for (unsigned j = 2 * i; j < SIEVE_SIZE; j += i)
                composite[j] = 1;
        }
        hash = mix(hash, primes);
    }
    return hash;
}

/* CRC-32 (IEEE 802.3, reflected), a byte a step through a table of 256. */
#define CRC_SIZE (64 * 1024)
static uint32_t crc_table[256];
static uint8_t crc_data[CRC_SIZE];

void prepare_crc32(void)
{
    uint64_t random = 1;

    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        crc_table[i] = crc;
    }
    for (unsigned i = 0; i < CRC_SIZE; i++)
        crc_data[i] = (uint8_t)next_random(&random);
}

uint64_t run_crc32(uint64_t iterations)
{
    uint32_t crc = 0xffffffff;

    for (uint64_t round = 0; round < iterations; round++)
        for (unsigned i = 0; i < CRC_SIZE; i++)
            crc = crc >> 8 ^ crc_table[(uint8_t)crc ^ crc_data[i]];
    return ~crc;
}

/* Quicksort of 16 Ki random words: compares that no predictor foresees. */
#define SORT_LENGTH (16 * 1024)

static void quicksort(uint32_t *first, uint32_t *last)
{
    while (first < last) {
        uint32_t pivot = first[(last - first) / 2];
        uint32_t *low = first, *high = last;
        while (low <= high) {
            while (*low < pivot)
                low++;
            while (*high > pivot)
                high--;
            if (low <= high) {
                uint32_t kept = *low;
                *low++ = *high;
                *high-- = kept;
            }
        }
        quicksort(first, high);
        first = low;
    }
}

uint64_t run_quicksort(uint64_t iterations)
{
    static uint32_t words[SORT_LENGTH];
    uint64_t hash = 0, random = 2;

    for (uint64_t round = 0; round < iterations; round++) {
        for (unsigned i = 0; i < SORT_LENGTH; i++)
            words[i] = (uint32_t)next_random(&random);
        quicksort(words, words + SORT_LENGTH - 1);
        for (unsigned i = 1; i < SORT_LENGTH; i++)
            if (words[i - 1] > words[i])
                fail("quicksort: not sorted");
        hash = mix(hash, words[round % SORT_LENGTH]);
    }
    return hash;
}

/* SHA-256 (FIPS 180-4, section 6.2) of a chain of 64-byte blocks. */
static const uint32_t SHA_K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate_right(uint32_t value, int count)
{
    return value >> count | value << (32 - count);
}

static void sha256_block(uint32_t state[8], const uint32_t message[16])
{
    uint32_t w[64], s[8];

    for (int t = 0; t < 16; t++)
        w[t] = message[t];
    for (int t = 16; t < 64; t++) {
        uint32_t x = w[t - 15], y = w[t - 2];
        w[t] = w[t - 16] + w[t - 7] + (rotate_right(x, 7) ^ rotate_right(x, 18) ^ x >> 3) +
               (rotate_right(y, 17) ^ rotate_right(y, 19) ^ y >> 10);
    }
    for (int i = 0; i < 8; i++)
        s[i] = state[i];
    for (int t = 0; t < 64; t++) {
        uint32_t a = s[0], e = s[4];
        uint32_t t1 = s[7] + (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25)) +
                      ((e & s[5]) ^ (~e & s[6])) + SHA_K[t] + w[t];
        uint32_t t2 = (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22)) +
                      ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        s[7] = s[6], s[6] = s[5], s[5] = e;
        s[4] = s[3] + t1;
        s[3] = s[2], s[2] = s[1], s[1] = a;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

uint64_t run_sha256(uint64_t iterations)
{
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint32_t message[16] = {0x61626380, [15] = 24}; /* "abc", padded */

    for (uint64_t round = 0; round < iterations; round++) {
        sha256_block(state, message);
        /* FIPS 180-4's example: the first block is the digest of "abc". */
        if (round == 0 && (state[0] != 0xba7816bf || state[7] != 0xf20015ad))
            fail("sha256: wrong digest of abc");
        message[round & 15] ^= state[0];
    }
    return (uint64_t)state[0] << 32 | state[7];
}

/* Recursive Fibonacci numbers: calls, returns, pushes, pops, little else. */
__attribute__((noinline, noclone, optimize("no-optimize-sibling-calls"))) static uint64_t
fibonacci(uint64_t n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

uint64_t run_calls(uint64_t iterations)
{
    uint64_t hash = 0;

    for (uint64_t round = 0; round < iterations; round++)
        hash = mix(hash, fibonacci(20 + (round & 3)));
    return hash;
}

/* 64-bit MUL and DIV, with operands of varying length. */
uint64_t run_muldiv(uint64_t iterations)
{
    uint64_t x = 0x0123456789abcdef, sum = 0;

    for (uint64_t round = 0; round < iterations; round++) {
        unsigned __int128 product = (unsigned __int128)x * (x | 0x8000000000000001);
        uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
        uint64_t divisor = (high >> (round & 63)) | 1;
        sum += low / divisor ^ low % divisor;
        sum += (uint64_t)((int64_t)(high ^ sum) / (int64_t)(divisor | 0x10));
        x = x * 6364136223846793005 + 1442695040888963407;
    }
    return sum;
}

/*
 * A bytecode interpreter with threaded dispatch (one indirect jump a step),
 * running a program that sums up lengths of Collatz sequences.
 *
 * An instruction is op | a << 8 | b << 16 | immediate << 24; a and b are
 * registers, the immediate is signed. Jumps are relative to the next one.
 */
enum { MOVE, ADD, ADDI, ANDI, MULI, SHRI, JUMP, JNZ, JLT, HALT };

#define OP(op, a, b, immediate) \
    ((uint32_t)(op) | (a) << 8 | (b) << 16 | (uint32_t)(uint8_t)(immediate) << 24)

/* Without the attribute gcc merges the jumps at the handlers' ends into one. */
__attribute__((noinline, optimize("no-gcse", "no-crossjumping"))) static uint64_t
interpret(const uint32_t *code, uint64_t registers[8])
{
    static const void *const HANDLERS[] = {&&move, &&add,  &&addi, &&andi, &&muli,
                                           &&shri, &&jump, &&jnz,  &&jlt,  &&halt};
    uint32_t op;

#define A registers[op >> 8 & 7]
#define B registers[op >> 16 & 7]
#define IMMEDIATE (int64_t)((int32_t)op >> 24)
#define NEXT          \
    do {              \
        op = *code++; \
        goto *HANDLERS[op & 15]; \
    } while (0)

    NEXT;
move: A = B; NEXT;
add: A += B; NEXT;
addi: A += (uint64_t)IMMEDIATE; NEXT;
andi: A &= (uint64_t)IMMEDIATE; NEXT;
muli: A *= (uint64_t)IMMEDIATE; NEXT;
shri: A >>= IMMEDIATE; NEXT;
jump: code += IMMEDIATE; NEXT;
jnz: if (A) code += IMMEDIATE; NEXT;
jlt: if (A < B) code += IMMEDIATE; NEXT;
halt: return A;
}

uint64_t run_bytecode(uint64_t iterations)
{
    static const uint32_t PROGRAM[] = {
        OP(MOVE, 2, 0, 0),   /*  0: x = n                  */
        OP(MOVE, 4, 2, 0),   /*  1: while x != 1           */
        OP(ANDI, 4, 0, 1),   /*  2:   if x is odd          */
        OP(JNZ, 4, 0, 2),    /*  3:     goto 6             */
        OP(SHRI, 2, 0, 1),   /*  4:   x /= 2               */
        OP(JUMP, 0, 0, 2),   /*  5:   goto 8               */
        OP(MULI, 2, 0, 3),   /*  6:   x = 3 * x            */
        OP(ADDI, 2, 0, 1),   /*  7:         + 1            */
        OP(ADDI, 3, 0, 1),   /*  8:   steps++              */
        OP(MOVE, 4, 2, 0),   /*  9:                        */
        OP(ADDI, 4, 0, -1),  /* 10:                        */
        OP(JNZ, 4, 0, -11),  /* 11:   goto 1               */
        OP(MULI, 5, 0, 31),  /* 12: hash = 31 * hash       */
        OP(ADD, 5, 3, 0),    /* 13:             + steps    */
        OP(ADDI, 0, 0, 1),   /* 14: n++                    */
        OP(JLT, 0, 1, -16),  /* 15: while n < limit goto 0 */
        OP(HALT, 5, 0, 0),   /* 16: return hash            */
    };
    uint64_t registers[8] = {2, iterations + 2};

    return interpret(PROGRAM, registers);
}
