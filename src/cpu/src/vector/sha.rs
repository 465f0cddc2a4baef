//! SHA-1 and SHA-256: rounds and message schedules.
//!
//! Source: Intel SDM vol. 2B, "SHA1RNDS4" and its kin; FIPS 180-4 §4.1, §4.2 and §6. The names of
//! values are theirs. Dword 3 of a register comes first in SHA-1, dword 0 in the schedule of
//! SHA-256.

use super::lanes::{Xmm, join, split};

fn choose(x: u32, y: u32, z: u32) -> u32 {
    x & y ^ !x & z
}

fn majority(x: u32, y: u32, z: u32) -> u32 {
    x & y ^ x & z ^ y & z
}

fn parity(x: u32, y: u32, z: u32) -> u32 {
    x ^ y ^ z
}

/// SHA1RNDS4: four rounds on A B C D in `a`; `b` holds W0 + E, W1, W2, W3. Bits 1:0 of `imm` are
/// the quarter of the 80 rounds.
#[must_use]
pub fn sha1rnds4(a: Xmm, b: Xmm, imm: u8) -> Xmm {
    let (f, k): (fn(u32, u32, u32) -> u32, u32) = match imm & 3 {
        0 => (choose, 0x5a82_7999),
        1 => (parity, 0x6ed9_eba1),
        2 => (majority, 0x8f1b_bcdc),
        _ => (parity, 0xca62_c1d6),
    };
    let [mut d, mut c, mut b_, mut a_] = split::<u32, _>(a);
    let mut e = 0; // it is in the first word already
    for w in split::<u32, _>(b).into_iter().rev() {
        let next = [a_.rotate_left(5), f(b_, c, d), e, k, w].into_iter().fold(0, u32::wrapping_add);
        (a_, b_, c, d, e) = (next, a_, b_.rotate_left(30), c, d);
    }
    join::<u32, _>([d, c, b_, a_])
}

/// SHA1NEXTE: E after four rounds, from A before them in `a`, added to the first word of `b`.
#[must_use]
pub fn sha1nexte(a: Xmm, b: Xmm) -> Xmm {
    let e = split::<u32, _>(a)[3].rotate_left(30);
    let [w3, w2, w1, w0] = split::<u32, _>(b);
    join::<u32, _>([w3, w2, w1, w0.wrapping_add(e)])
}

/// SHA1MSG1: the exclusive or of words two apart, of W0 to W5.
#[must_use]
pub fn sha1msg1(a: Xmm, b: Xmm) -> Xmm {
    let [w3, w2, w1, w0] = split::<u32, _>(a);
    let [_, _, w5, w4] = split::<u32, _>(b);
    join::<u32, _>([w5 ^ w3, w4 ^ w2, w3 ^ w1, w2 ^ w0])
}

/// SHA1MSG2: W16 to W19, `b` holding W12 to W15.
#[must_use]
pub fn sha1msg2(a: Xmm, b: Xmm) -> Xmm {
    let [x3, x2, x1, x0] = split::<u32, _>(a);
    let [w15, w14, w13, _] = split::<u32, _>(b);
    let w16 = (x0 ^ w13).rotate_left(1);
    let w17 = (x1 ^ w14).rotate_left(1);
    let w18 = (x2 ^ w15).rotate_left(1);
    let w19 = (x3 ^ w16).rotate_left(1);
    join::<u32, _>([w19, w18, w17, w16])
}

/// SHA256RNDS2: two rounds on C D G H in `a` and A B E F in `b`, by the words with their
/// constants added in the low half of `wk`. The result is the new A B E F.
#[must_use]
pub fn sha256rnds2(a: Xmm, b: Xmm, wk: Xmm) -> Xmm {
    let [mut h, mut g, mut d, mut c] = split::<u32, _>(a);
    let [mut f, mut e, mut b_, mut a_] = split::<u32, _>(b);
    for wk in &split::<u32, _>(wk)[..2] {
        let sum_e = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let sum_a = a_.rotate_right(2) ^ a_.rotate_right(13) ^ a_.rotate_right(22);
        let t1 = [h, sum_e, choose(e, f, g), *wk].into_iter().fold(0, u32::wrapping_add);
        let t2 = sum_a.wrapping_add(majority(a_, b_, c));
        (h, g, f, e) = (g, f, e, d.wrapping_add(t1));
        (d, c, b_, a_) = (c, b_, a_, t1.wrapping_add(t2));
    }
    join::<u32, _>([f, e, b_, a_])
}

/// SHA256MSG1: each of W0 to W3 plus sigma-0 of the next word.
#[must_use]
pub fn sha256msg1(a: Xmm, b: Xmm) -> Xmm {
    let sigma = |x: u32| x.rotate_right(7) ^ x.rotate_right(18) ^ x >> 3;
    let [w0, w1, w2, w3] = split::<u32, _>(a);
    let [w4, ..] = split::<u32, _>(b);
    join::<u32, _>([
        w0.wrapping_add(sigma(w1)),
        w1.wrapping_add(sigma(w2)),
        w2.wrapping_add(sigma(w3)),
        w3.wrapping_add(sigma(w4)),
    ])
}

/// SHA256MSG2: W16 to W19 from sums in `a` and W14 and W15 in the high half of `b`.
#[must_use]
pub fn sha256msg2(a: Xmm, b: Xmm) -> Xmm {
    let sigma = |x: u32| x.rotate_right(17) ^ x.rotate_right(19) ^ x >> 10;
    let [x0, x1, x2, x3] = split::<u32, _>(a);
    let [_, _, w14, w15] = split::<u32, _>(b);
    let w16 = x0.wrapping_add(sigma(w14));
    let w17 = x1.wrapping_add(sigma(w15));
    let w18 = x2.wrapping_add(sigma(w16));
    let w19 = x3.wrapping_add(sigma(w17));
    join::<u32, _>([w16, w17, w18, w19])
}

#[cfg(test)]
mod tests {
    use super::{sha1msg1, sha1msg2, sha1nexte, sha1rnds4, sha256msg1, sha256msg2, sha256rnds2};
    use crate::vector::{Xmm, paddd, palignr, pxor};

    /// The padded block of the message "abc", as words.
    const ABC: [u32; 16] = [0x6162_6380, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24];

    /// Four words, the first in dword 0.
    fn words(w: &[u32]) -> Xmm {
        (0..4).rev().fold(Xmm::ZERO, |x, i| Xmm::from_u128(x.to_u128() << 32 | u128::from(w[i])))
    }

    fn reversed(w: &[u32]) -> Xmm {
        words(&[w[3], w[2], w[1], w[0]])
    }

    /// FIPS 180-4, SHA-1 of "abc": a9993e36 4706816a ba3e2571 7850c26c 9cd0d89d.
    #[test]
    fn sha1_of_abc() {
        let start = reversed(&[0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476]);
        let e = Xmm::from_u128(0xc3d2_e1f0 << 96);
        let mut w: Vec<Xmm> = (0..4).map(|i| reversed(&ABC[4 * i..])).collect();
        for n in 4..20 {
            let mixed = pxor(sha1msg1(w[n - 4], w[n - 3]), w[n - 2]);
            w.push(sha1msg2(mixed, w[n - 1]));
        }

        let mut abcd = start;
        let mut with_e = paddd(e, w[0]);
        for n in 0..20 {
            let before = abcd;
            abcd = sha1rnds4(abcd, with_e, (n / 5) as u8);
            with_e = sha1nexte(before, if n < 19 { w[n + 1] } else { e });
        }

        let expected = reversed(&[0xa999_3e36, 0x4706_816a, 0xba3e_2571, 0x7850_c26c]);
        assert_eq!(paddd(abcd, start), expected);
        assert_eq!(with_e.to_u128() >> 96, 0x9cd0_d89d);
    }

    /// The first 32 bits of the fractional parts of the cube roots of the first 64 primes
    /// (FIPS 180-4 §4.2.2), worked out.
    fn constants() -> Vec<u32> {
        let is_prime = |n: &u128| (2..*n).all(|d| !n.is_multiple_of(d));
        let cube_root = |n: u128| {
            // Of n * 2^96, by bisection: 2^32 times the root.
            let (mut low, mut high) = (0_u128, 1 << 36);
            while high - low > 1 {
                let middle = (low + high) / 2;
                if middle * middle * middle <= n << 96 { low = middle } else { high = middle }
            }
            low as u32
        };
        (2_u128..).filter(is_prime).take(64).map(cube_root).collect()
    }

    /// FIPS 180-4, SHA-256 of "abc": ba7816bf 8f01cfea 414140de 5dae2223 b00361a3 96177a9c
    /// b410ff61 f20015ad.
    #[test]
    fn sha256_of_abc() {
        let k = constants();
        let abef_start = words(&[0x9b05_688c, 0x510e_527f, 0xbb67_ae85, 0x6a09_e667]);
        let cdgh_start = words(&[0x5be0_cd19, 0x1f83_d9ab, 0xa54f_f53a, 0x3c6e_f372]);
        let mut w: Vec<Xmm> = (0..4).map(|i| words(&ABC[4 * i..])).collect();
        for n in 4..16 {
            let middle = palignr(w[n - 1], w[n - 2], 4);
            let sums = paddd(sha256msg1(w[n - 4], w[n - 3]), middle);
            w.push(sha256msg2(sums, w[n - 1]));
        }

        let (mut abef, mut cdgh) = (abef_start, cdgh_start);
        for n in 0..16 {
            let wk = paddd(w[n], words(&k[4 * n..]));
            for wk in [wk, Xmm::from_halves(wk.high(), 0)] {
                (abef, cdgh) = (sha256rnds2(cdgh, abef, wk), abef);
            }
        }

        let expected = words(&[0x9617_7a9c, 0xb003_61a3, 0x8f01_cfea, 0xba78_16bf]);
        assert_eq!(paddd(abef, abef_start), expected);
        let expected = words(&[0xf200_15ad, 0xb410_ff61, 0x5dae_2223, 0x4141_40de]);
        assert_eq!(paddd(cdgh, cdgh_start), expected);
    }
}
