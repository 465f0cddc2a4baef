/*
 * Floating point and packed code: scalar SSE2 in double and single precision,
 * x87 at 80 bits, packed integers. Only operations whose results IEEE 754 (and
 * for x87 the hardware) defines to the last bit, so that checksums must agree.
 */
#include <emmintrin.h>

#include "workloads.h"

static uint64_t bits_of(double value)
{
    uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Product of two 64 x 64 matrices, scalar double. */
#define ORDER 64

uint64_t run_matrix(uint64_t iterations)
{
    static double a[ORDER][ORDER], b[ORDER][ORDER], c[ORDER][ORDER];
    uint64_t hash = 0;

    for (int i = 0; i < ORDER; i++)
        for (int j = 0; j < ORDER; j++) {
            a[i][j] = 1.0 / (i + j + 1);
            b[i][j] = (i * 7 + j * 3) % 11 - 5.0;
        }
    for (uint64_t round = 0; round < iterations; round++) {
        for (int i = 0; i < ORDER; i++)
            for (int j = 0; j < ORDER; j++) {
                double sum = 0.0;
                for (int k = 0; k < ORDER; k++)
                    sum += a[i][k] * b[k][j];
                c[i][j] = sum;
            }
        a[round % ORDER][0] += c[0][round % ORDER] * 0x1p-10;
        hash = mix(hash, bits_of(c[round % ORDER][1]));
    }
    return hash;
}

/* Five bodies under their mutual gravity: multiplies, divides, square roots. */
#define BODIES 5

struct body {
    double position[3], velocity[3], mass;
};

static double square_root(double value)
{
    __m128d packed = _mm_set_sd(value);
    return _mm_cvtsd_f64(_mm_sqrt_sd(packed, packed));
}

static void attract(struct body *one, struct body *other, double step)
{
    double delta[3], square = 0.0;

    for (int axis = 0; axis < 3; axis++) {
        delta[axis] = one->position[axis] - other->position[axis];
        square += delta[axis] * delta[axis];
    }
    double pull = step / (square * square_root(square));
    for (int axis = 0; axis < 3; axis++) {
        one->velocity[axis] -= delta[axis] * other->mass * pull;
        other->velocity[axis] += delta[axis] * one->mass * pull;
    }
}

uint64_t run_nbody(uint64_t iterations)
{
    struct body bodies[BODIES];
    const double step = 0x1p-7;
    uint64_t hash = 0;

    for (int i = 0; i < BODIES; i++)
        bodies[i] = (struct body){
            {3.0 * i, 1.0 - i, 0.25 * i}, {0.0, 0.5 * i, 0.125}, 10.0 / (1 + i * i)};
    for (uint64_t round = 0; round < iterations; round++) {
        for (int i = 0; i < BODIES; i++)
            for (int j = i + 1; j < BODIES; j++)
                attract(&bodies[i], &bodies[j], step);
        for (int i = 0; i < BODIES; i++)
            for (int axis = 0; axis < 3; axis++)
                bodies[i].position[axis] += step * bodies[i].velocity[axis];
    }
    for (int i = 0; i < BODIES; i++)
        hash = mix(hash, bits_of(bodies[i].position[0]));
    return hash;
}

/* The Mandelbrot set on a grid of 64 x 64, scalar float; one grid a round. */
uint64_t run_mandelbrot(uint64_t iterations)
{
    uint64_t hash = 0;

    for (uint64_t round = 0; round < iterations; round++)
        for (int row = 0; row < 64; row++)
            for (int column = 0; column < 64; column++) {
                float cr = (float)column * (3.0f / 64) - 2.25f;
                float ci = (float)row * (2.5f / 64) - 1.25f;
                float zr = 0.0f, zi = 0.0f;
                int depth = 0;
                while (depth < 64 && zr * zr + zi * zi < 4.0f) {
                    float next = zr * zr - zi * zi + cr;
                    zi = 2.0f * zr * zi + ci;
                    zr = next;
                    depth++;
                }
                hash = mix(hash, (uint64_t)depth);
            }
    return hash;
}

/* 80-bit x87: a polynomial, a division and FSQRT, at full precision. */
uint64_t run_x87(uint64_t iterations)
{
    static const long double COEFFICIENTS[8] = {1.0L,  -0.5L, 0.25L, 3.0L,
                                                -7.5L, 0.1L,  11.0L, -0.3L};
    long double x = 0.1L, sum = 0.0L;
    uint64_t mantissa;

    for (uint64_t round = 0; round < iterations; round++) {
        long double value = 0.0L, root;
        for (int i = 0; i < 8; i++)
            value = value * x + COEFFICIENTS[i];
        __asm__("fsqrt" : "=t"(root) : "0"(value * value + 1.0L));
        sum = sum * 0.75L + value / root;
        x += 0.0625L;
        if (x > 2.0L)
            x -= 1.9L;
    }
    __builtin_memcpy(&mantissa, &sum, sizeof mantissa);
    return mantissa;
}

/* Packed integers: a blend of two 4 KiB pictures, then a sum of differences. */
#define PIXELS 4096

uint64_t run_sse2(uint64_t iterations)
{
    static _Alignas(16) uint8_t first[PIXELS], second[PIXELS], blended[PIXELS];
    const __m128i zero = _mm_setzero_si128();
    __m128i total = zero;
    uint64_t random = 3, lanes[2];

    for (unsigned i = 0; i < PIXELS; i++) {
        first[i] = (uint8_t)next_random(&random);
        second[i] = (uint8_t)next_random(&random);
    }
    for (uint64_t round = 0; round < iterations; round++) {
        __m128i weight = _mm_set1_epi16((short)(round & 0xff));
        for (unsigned i = 0; i < PIXELS; i += 16) {
            __m128i a = _mm_load_si128((const __m128i *)(first + i));
            __m128i b = _mm_loadu_si128((const __m128i *)(second + i));
            __m128i low = _mm_sub_epi16(_mm_unpacklo_epi8(a, zero), _mm_unpacklo_epi8(b, zero));
            __m128i high = _mm_sub_epi16(_mm_unpackhi_epi8(a, zero), _mm_unpackhi_epi8(b, zero));
            low = _mm_srai_epi16(_mm_mullo_epi16(low, weight), 8);
            high = _mm_srai_epi16(_mm_mullo_epi16(high, weight), 8);
            __m128i mixed = _mm_add_epi8(b, _mm_packs_epi16(low, high));
            __m128i brighter = _mm_cmpgt_epi8(mixed, b);
            mixed = _mm_or_si128(_mm_and_si128(brighter, mixed), _mm_andnot_si128(brighter, b));
            mixed = _mm_max_epu8(mixed, _mm_avg_epu8(a, b));
            _mm_store_si128((__m128i *)(blended + i), mixed);
            total = _mm_add_epi64(total, _mm_sad_epu8(mixed, a));
            total = _mm_xor_si128(total, _mm_shuffle_epi32(_mm_madd_epi16(low, high), 0x4e));
        }
    }
    _mm_storeu_si128((__m128i *)lanes, total);
    return mix(lanes[0], lanes[1]) + blended[PIXELS - 1];
}
