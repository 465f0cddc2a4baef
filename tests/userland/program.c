/* Arithmetic of every kind a C compiler has for x86, with results that must not depend on the
 * optimisation level, nor on which of the clones of a function the CPU chooses. */
#include <emmintrin.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The best of these that the CPU has runs. */
#define CLONES __attribute__((noinline, target_clones("avx2", "sse4.2", "default")))
#define N 4096

static uint64_t seed = 88172645463325252u;

static uint64_t next(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static double a[N], b[N], c[N];
static float f[N], g[N];
static int32_t x[N], y[N];
static int16_t w[N], v[N];
static uint8_t p[N], q[N];

static uint64_t hash(const void *data, size_t size) {
    const unsigned char *bytes = data;
    uint64_t h = 14695981039346656037u;
    while (size--) h = (h ^ *bytes++) * 1099511628211u;
    return h;
}
#define SHOW(array) printf("%s %016" PRIx64 "\n", #array, hash(array, sizeof array))

static void fill(void) {
    for (int i = 0; i < N; i++) {
        a[i] = (double)(int64_t)next() / (1 << 20);
        b[i] = (double)(next() >> 12) / 3.0 + 1.0;
        f[i] = (float)(int32_t)next() / 77.0f;
        g[i] = (float)(next() >> 40) + 0.25f;
        x[i] = (int32_t)next();
        y[i] = (int32_t)(next() >> 33) + 1;
        w[i] = (int16_t)next();
        v[i] = (int16_t)(next() >> 5);
        p[i] = (uint8_t)next();
        q[i] = (uint8_t)(next() >> 9);
    }
}

CLONES static void doubles(void) {
    for (int i = 0; i < N; i++) c[i] = (a[i] * b[i] - a[i] / b[i]) + sqrt(b[i]);
}
CLONES static void floats(void) {
    for (int i = 0; i < N; i++) f[i] = f[i] * g[i] < 1e9f ? f[i] + g[i] : f[i] / g[i];
}
CLONES static void integers(void) {
    for (int i = 0; i < N; i++) x[i] = (x[i] * y[i] >> (i & 15)) + abs(x[i]) % 1000;
}
CLONES static void shorts(void) {
    for (int i = 0; i < N; i++) w[i] = (int16_t)(w[i] * v[i] >> 16) + (w[i] > v[i] ? w[i] : v[i]);
}
CLONES static void bytes(void) {
    for (int i = 0; i < N; i++) p[i] = (uint8_t)((p[i] + q[i] + 1) / 2 ^ (p[i] < q[i] ? 7 : 9));
}
CLONES static void conversions(void) {
    for (int i = 0; i < N; i++) {
        a[i] = x[i] + (double)f[i] + (double)(uint32_t)y[i];
        y[i] = (int32_t)(g[i] * 3.7f);
        b[i] = floor(b[i] / 7) + rint(c[i] / 1e9);
    }
}
CLONES static int64_t sums(void) {
    int64_t sum = 0;
    for (int i = 0; i < N; i++) sum += (int64_t)x[i] * y[i] + abs(p[i] - q[i]) + (w[i] & v[i]);
    return sum;
}
CLONES static int bits(void) {
    int count = 0;
    for (int i = 0; i < N; i++) {
        uint64_t word = (uint64_t)(uint32_t)x[i] << 32 | (uint32_t)y[i] | 1;
        count += __builtin_popcountll(word) + __builtin_ctzll(word) - __builtin_clzll(word);
        count ^= (int)(__builtin_bswap64(word) >> 40);
    }
    return count;
}

static void intrinsics(void) {
    __m128i sum = _mm_setzero_si128(), all = _mm_setzero_si128();
    for (int i = 0; i < N; i += 16) {
        __m128i s = _mm_loadu_si128((const __m128i *)(p + i));
        __m128i t = _mm_loadu_si128((const __m128i *)(q + i));
        sum = _mm_add_epi64(sum, _mm_sad_epu8(s, t));
        all = _mm_xor_si128(all, _mm_unpacklo_epi8(_mm_subs_epu8(s, t), _mm_avg_epu8(s, t)));
        all = _mm_shuffle_epi32(_mm_madd_epi16(all, _mm_packus_epi16(s, t)), 0x1b);
    }
    uint64_t out[4];
    _mm_storeu_si128((__m128i *)out, sum);
    _mm_storeu_si128((__m128i *)(out + 2), all);
    printf("intrinsics %" PRIu64 " %016" PRIx64 " %016" PRIx64 "\n", out[0] + out[1], out[2], out[3]);
    __m128d d = _mm_set_pd(2.0, 3.0), e = _mm_sqrt_pd(d);
    e = _mm_add_sd(_mm_shuffle_pd(e, d, 1), _mm_cmplt_pd(e, d));
    printf("mask %d, %d\n", _mm_movemask_pd(e), _mm_cvttsd_si32(_mm_mul_pd(d, d)));
}

/* 80-bit arithmetic; functions shown to no more digits than any unit gets right. */
static void extended(void) {
    long double sum = 0, product = 1;
    for (int i = 1; i <= 20000; i++) {
        sum += 1.0L / i;
        product = fmodl(product * (i + 0.5L), 1e15L) + sqrtl(i);
    }
    printf("extended %.21Lg %.21Lg %La\n", sum, product, sum);
    printf("functions %.15Lg %.15Lg %.15Lg %.15Lg %.15Lg\n", sinl(sum), expl(sum), logl(product),
           powl(sum, 1.5L), atan2l(sum, product));
    printf("rounded %Lg %ld %lld\n", rintl(2.5L), lrintl(sum * 1e10L), llroundl(-0.5L));
    printf("limits %La %La %La\n", LDBL_MIN, LDBL_MAX, LDBL_EPSILON);
    volatile long double tiny = LDBL_MIN;
    printf("denormal %La %d\n", tiny / 4096, isnormal(tiny / 4096));
}

static void wide(void) {
    unsigned __int128 n = 1;
    for (int i = 1; i < 60; i++) n = n * (i + 12345678901234567u) + n / i % 1000003;
    printf("wide %016" PRIx64 "%016" PRIx64 "\n", (uint64_t)(n >> 64), (uint64_t)n);
    int64_t s = INT64_MIN;
    int overflowed = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t r;
        overflowed += __builtin_mul_overflow((int64_t)next() >> (i % 60), s >> (i % 50), &r);
        overflowed += __builtin_add_overflow(r, (int64_t)next(), &s);
    }
    printf("overflowed %d, %" PRId64 "\n", overflowed, s);
}

static int compare(const void *l, const void *r) {
    double d = *(const double *)l - *(const double *)r;
    return (d > 0) - (d < 0);
}

int main(void) {
    fill();
    doubles(), floats(), integers(), shorts(), bytes();
    SHOW(c), SHOW(f), SHOW(x), SHOW(w), SHOW(p);
    conversions();
    SHOW(a), SHOW(y), SHOW(b);
    printf("sums %" PRId64 ", bits %d\n", sums(), bits());
    intrinsics();
    extended();
    wide();
    qsort(a, N, sizeof a[0], compare);
    SHOW(a);
    char text[64];
    uint64_t h = 0;
    for (int i = 0; i < N; i += 16) {
        snprintf(text, sizeof text, "%.*e", i % 20, c[i]);
        h = h * 31 + hash(text, strlen(text));
        double back = strtod(text, NULL);
        h ^= hash(&back, sizeof back);
    }
    printf("printed %016" PRIx64 "\n", h);
    volatile double nan = NAN, inf = INFINITY;
    printf("compare %d %d %d %d, %f\n", nan < 1, nan != nan, inf > DBL_MAX, nan >= nan, inf - 1);
    return 0;
}
