"""Sums, functions, hashes and conversions whose values do not depend on the machine."""

import cmath
import decimal
import fractions
import hashlib
import itertools
import json
import math
import random
import re
import statistics
import struct
import zlib


def digest(values):
    return hashlib.sha256("\n".join(map(repr, values)).encode()).hexdigest()[:32]


rng = random.Random(2026)
data = [rng.uniform(-1e3, 1e3) * 10.0 ** rng.randrange(-8, 8) for _ in range(6000)]
print("random", digest(data), rng.getrandbits(128), rng.gauss(0, 1))
print("sum", repr(sum(data)), repr(math.fsum(data)), repr(sum(x * x for x in data)))
print("harmonic", repr(sum(1.0 / n for n in range(1, 50001))))
print("leibniz", repr(4 * sum((-1.0) ** n / (2 * n + 1) for n in range(25000))))
product = 1.0
for x in data:
    product = math.fmod(product * x + 1.0, 1e6)
print("products", repr(product))
print("statistics", repr(statistics.fmean(data)), repr(statistics.pstdev(data[:500])))

# Every function over its range, edges first.
edges = [0.0, -0.0, 1.0, -1.0, 0.5, math.pi, math.inf, -math.inf, math.nan, 5e-324, 2.2e-308, 1e308]
functions = "sqrt exp expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh \
acosh atanh erf erfc gamma lgamma floor ceil trunc frexp modf ulp cbrt exp2 degrees radians".split()
for name in functions:
    function, values = getattr(math, name), []
    for x in itertools.chain(edges, (n / 19.0 for n in range(-400, 400))):
        try:
            values.append(function(x))
        except (ValueError, OverflowError) as error:
            values.append(str(error))
    print(name, digest(values), values[12 + 450])
for name in "pow atan2 hypot fmod remainder copysign nextafter ldexp".split():
    function, values = getattr(math, name), []
    for x, y in itertools.product(edges + data[:20], edges + data[20:40]):
        try:
            values.append(function(x, int(y) if name == "ldexp" else y))
        except (ValueError, OverflowError) as error:
            values.append(str(error))
    print(name, digest(values), values[-1])
print("complex", digest([cmath.exp(complex(a, b)) * cmath.sqrt(complex(b, a))
                         for a, b in zip(data[:300], data[300:600]) if abs(a) < 300]))

# Conversions both ways: text, bytes, narrower floats.
print("repr", all(float(repr(x)) == x for x in data),
      digest("%.3e %.25g" % (x, x) for x in data[:1500]))
print("hex", digest(x.hex() for x in data[:1500]))
print("ints", digest(int(x * 1000) for x in data), digest(round(x, 2) for x in data))
print("ratio", digest(x.as_integer_ratio() for x in data[:1500]))
singles = struct.pack("<2000f", *data[:2000])
halves = struct.pack("<1500e", *(x % 60000 for x in data[:1500]))
print("singles", hashlib.md5(singles).hexdigest(), digest(struct.unpack("<2000f", singles)))
print("halves", hashlib.md5(halves).hexdigest(), digest(struct.unpack("<1500e", halves)))

# Big integers, fractions, decimals.
big = 3 ** 4000 - 7 ** 1000
print("big", hashlib.sha256(str(big).encode()).hexdigest()[:32], big % (2 ** 127 - 1))
print("pow", pow(0x123456789ABCDEF, 2 ** 521 - 3, 2 ** 521 - 1) % 10 ** 20, math.isqrt(big * big) == abs(big))
print("factorial", sum(map(int, str(math.factorial(1500)))), math.comb(400, 200) % 10 ** 15)
print("fraction", sum(fractions.Fraction(1, n) for n in range(1, 120)))
decimal.getcontext().prec = 120
print("decimal", decimal.Decimal(2).sqrt(), (decimal.Decimal(1) / 7).exp().ln())
pi = decimal.Decimal(0)
for k in range(70):
    term = decimal.Decimal(1) / decimal.Decimal(16) ** k
    pi += term * (decimal.Decimal(4) / (8 * k + 1) - decimal.Decimal(2) / (8 * k + 4)
                  - decimal.Decimal(1) / (8 * k + 5) - decimal.Decimal(1) / (8 * k + 6))
print("pi", pi)

# Hashes, compression, text.
blob = struct.pack("<6000d", *data)
for name in "md5 sha1 sha224 sha256 sha384 sha512 sha3_224 sha3_384 blake2b blake2s".split():
    print(name, hashlib.new(name, blob).hexdigest())
print("pbkdf2", hashlib.pbkdf2_hmac("sha512", b"password", b"salt", 300).hex())
print("scrypt", hashlib.scrypt(b"password", salt=b"salt", n=256, r=8, p=1, dklen=16).hex())
print("crc", zlib.crc32(blob), zlib.adler32(blob), zlib.decompress(zlib.compress(blob, 6)) == blob)
document = {"data": data[:2000], "nested": [{"n": n, "text": chr(0x3B1 + n % 24) * n} for n in range(60)]}
text = json.dumps(document, sort_keys=True)
print("json", hashlib.sha256(text.encode()).hexdigest()[:32], json.loads(text) == document)
print("regex", len(re.findall(r"(\d)\1+(?=\d*[,\]])", text)), digest(re.split(r"[.,]\s*", text)[:1500]))
print("sorted", digest(sorted(data)), digest(sorted(map(str, data[:4000]))))

# A matrix inverted in floating point, and a sieve.
size = 24
matrix = [[rng.random() for _ in range(size)] + [float(i == j) for j in range(size)] for i in range(size)]
for i in range(size):
    pivot = max(range(i, size), key=lambda r: abs(matrix[r][i]))
    matrix[i], matrix[pivot] = matrix[pivot], matrix[i]
    matrix[i] = [x / matrix[i][i] for x in matrix[i]]
    for r in range(size):
        if r != i:
            factor = matrix[r][i]
            matrix[r] = [x - factor * y for x, y in zip(matrix[r], matrix[i])]
print("inverse", digest(x for row in matrix for x in row[size:]), repr(matrix[3][size + 5]))
sieve = bytearray([1]) * 100000
for n in range(2, 317):
    if sieve[n]:
        sieve[n * n::n] = bytes(len(range(n * n, len(sieve), n)))
print("primes", sum(sieve) - 2)
