//! Numbers for cases: a generator of its own, so that cases never depend on a library's version,
//! and draws weighted to the edges.

/// SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators").
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// Starts at a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `count`, which is not zero.
    #[inline]
    pub fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(count)) >> 64) as u64
    }

    /// True in `percent` of 100 draws.
    #[inline]
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of a list.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// An integer of so many bits, often at an edge: around 0, the sign bits, all ones, single
    /// bits, small numbers.
    pub fn integer(&mut self, bits: u32) -> u64 {
        let mask = u64::MAX >> (64 - bits);
        let roll = self.bits();
        let value = match roll & 15 {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => 1 << (bits - 1),
            4 => (1 << (bits - 1)) - 1,
            5 => (roll >> 8) & 0xff,
            6 => (roll >> 8 & 0x3f).wrapping_sub(0x20),
            7 => 1 << (roll >> 8 & 63),
            8 => u64::MAX << (roll >> 8 & 63),
            9 => {
                // Edges of the narrower widths.
                let at = [7, 8, 15, 16, 31, 32][(roll >> 8) as usize % 6];
                (1_u64 << at).wrapping_sub(roll >> 16 & 3).wrapping_add(1)
            }
            10 => (roll >> 8 & 0xff) * 0x0101_0101_0101_0101,
            11 => {
                // Decimal digits, for BCD.
                let digits = self.bits();
                (0..16).fold(0, |all, n| (all << 4) | ((digits >> (4 * n) & 15) % 10))
            }
            _ => self.bits(),
        };
        value & mask
    }

    /// A single-precision number, often at an edge.
    pub fn f32(&mut self) -> u32 {
        let roll = self.bits();
        let (sign, low) = ((roll >> 63) as u32, (roll >> 16) as u32);
        let value = match roll & 31 {
            0 => 0,
            1 => 1,
            2 => 0x007f_ffff,
            3 => low & 0x007f_ffff,
            4 => 0x0080_0000 | low & 3,
            5 => 0x7f80_0000,
            6 => 0x7fc0_0000 | low & 0x003f_ffff,
            7 => 0x7f80_0001 | low & 0x003f_ffff,
            8 => 0x7f7f_ffff,
            9 | 10 => 0x3f80_0000,
            11 => 0x3f80_0000 | 1 << (low % 23),
            // Around the borders of integers.
            12 => {
                [0x4f00_0000, 0x4eff_ffff, 0x5f00_0000, 0x5eff_ffff, 0x4f80_0000][low as usize % 5]
            }
            13 => 0x3f00_0000 | low & 1 << 22,
            // Integers and halves.
            14..=17 => ((low & 0xffff) as f32 / 2.0).to_bits(),
            18 => 0x3f7f_ffff,
            // Near the ends of the exponents.
            19 => (low % 24 + 1) << 23 | low & 0x7f_ffff,
            20 => (254 - low % 24) << 23 | low & 0x7f_ffff,
            _ if roll & 64 == 0 => (low % 64 + 95) << 23 | (roll >> 32) as u32 & 0x7f_ffff,
            _ => low & 0x7fff_ffff,
        };
        value & 0x7fff_ffff | sign << 31
    }

    /// A double-precision number, often at an edge.
    pub fn f64(&mut self) -> u64 {
        const FRACTION: u64 = (1 << 52) - 1;
        let roll = self.bits();
        let low = self.bits();
        let value = match roll & 31 {
            0 => 0,
            1 => 1,
            2 => FRACTION,
            3 => low & FRACTION,
            4 => 1 << 52 | low & 3,
            5 => 0x7ff << 52,
            6 => 0xfff << 51 | low & FRACTION >> 1,
            7 => 0x7ff << 52 | 1 | low & FRACTION >> 1,
            8 => 0x7fef_ffff_ffff_ffff,
            9 | 10 => 0x3ff << 52,
            11 => 0x3ff << 52 | 1 << (low % 52),
            12 => [
                0x41e0_0000_0000_0000,
                0x41df_ffff_ffc0_0000,
                0x43e0_0000_0000_0000,
                0x43df_ffff_ffff_ffff,
                0x41ef_ffff_ffe0_0000,
                0x40e0_0000_0000_0000,
            ][low as usize % 6],
            13 => 0x3fe << 52 | low & 1 << 51,
            14..=17 => ((low & 0xffff) as f64 / 2.0).to_bits(),
            18 => 0x3fef_ffff_ffff_ffff,
            19 => (low % 54 + 1) << 52 | self.bits() & FRACTION,
            20 => (2046 - low % 54) << 52 | self.bits() & FRACTION,
            // Around the range of single precision.
            21 => (0x3ff - 126 - low % 30 + 4) << 52 | self.bits() & FRACTION,
            22 => (0x3ff + 127 - low % 4) << 52 | self.bits() & FRACTION,
            // Exact in single precision.
            23 => f64::from(f32::from_bits(low as u32 & 0x7f7f_ffff)).to_bits(),
            _ if roll & 64 == 0 => (low % 128 + 0x3bf) << 52 | self.bits() & FRACTION,
            _ => low,
        };
        value & !(1 << 63) | roll & 1 << 63
    }

    /// An 80-bit number: ten bytes, often at an edge, with the encodings that are none.
    pub fn f80(&mut self) -> [u8; 10] {
        const INTEGER: u64 = 1 << 63;
        let roll = self.bits();
        let low = self.bits();
        let (exponent, significand) = match roll & 31 {
            0 => (0, 0),
            1 => (0, 1),
            2 => (0, low >> 1),
            3 => (0, low | INTEGER), // pseudo-denormal
            4 => (1, INTEGER | low & 3),
            5 => (0x7fff, INTEGER),
            6 => (0x7fff, 3 << 62 | low >> 2),
            7 => (0x7fff, INTEGER | 1 | low >> 2),
            8 => (0x7ffe, u64::MAX),
            9 => (0x7fff, low >> 1), // pseudo-NaN or pseudo-infinity
            10 => (low as u16 & 0x7fff, self.bits() >> 1), // unnormal
            11 | 12 => (0x3fff, INTEGER),
            13 => (0x3fff, INTEGER | 1 << (low & 63)),
            14 => (0x3fff - 1 - (low & 63) as u16, INTEGER | self.bits()),
            15..=17 => {
                let integer = (low & 0xffff) | 1;
                let shift = integer.leading_zeros();
                (0x3fff + 63 - shift as u16 - (low >> 60 & 1) as u16, integer << shift)
            }
            18 => {
                (0x403d + (low & 3) as u16, INTEGER | self.bits() & (u64::MAX << (low >> 8 & 63)))
            }
            19 => (0x401d + (low & 3) as u16, INTEGER | self.bits()),
            20 => (0x3fff - 1022 - (low % 60) as u16 + 4, INTEGER | self.bits()),
            21 => (0x3fff + 1023 - (low & 1) as u16, INTEGER | self.bits()),
            22 => (0x3fff - 126 - (low % 30) as u16 + 4, INTEGER | self.bits()),
            23 => (0x3fff + 127 - (low & 1) as u16, INTEGER | self.bits()),
            24 => (0x3fff - 16382 + (low % 70) as u16, INTEGER | self.bits()),
            // Exact in double precision.
            25 => (0x3fff + (low & 63) as u16 - 32, INTEGER | self.bits() & !0x7ff),
            _ if roll & 64 == 0 => (0x3fff + (low & 127) as u16 - 64, INTEGER | self.bits()),
            _ => (low as u16 & 0x7fff, INTEGER | self.bits()),
        };
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&significand.to_le_bytes());
        let sign = (roll >> 63) as u16;
        bytes[8..].copy_from_slice(&(exponent & 0x7fff | sign << 15).to_le_bytes());
        bytes
    }

    /// A qword of lanes of this kind.
    pub fn lanes(&mut self, lanes: Lanes) -> u64 {
        match lanes {
            Lanes::Bytes => (0..8).fold(0, |all, _| all << 8 | self.integer(8)),
            Lanes::Words => (0..4).fold(0, |all, _| all << 16 | self.integer(16)),
            Lanes::Dwords => self.integer(32) << 32 | self.integer(32),
            Lanes::Qwords => self.integer(64),
            Lanes::F32 => u64::from(self.f32()) << 32 | u64::from(self.f32()),
            Lanes::F64 => self.f64(),
            Lanes::F16 => (0..4).fold(0, |all, _| all << 16 | u64::from(self.f16())),
            Lanes::Noise => self.bits(),
        }
    }

    /// A half-precision number, often at an edge.
    fn f16(&mut self) -> u16 {
        let roll = self.bits() as u16;
        match roll & 7 {
            0 => self.pick(&[0, 0x8000, 1, 0x03ff, 0x0400, 0x7bff, 0x7c00, 0xfc00, 0x3c00]),
            1 => 0x7c00 | roll >> 6,
            2 => roll >> 6,
            _ => self.bits() as u16,
        }
    }
}

/// What the lanes of a vector are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Lanes {
    Bytes,
    Words,
    Dwords,
    Qwords,
    F16,
    F32,
    F64,
    Noise,
}

impl Lanes {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Bytes,
        Self::Words,
        Self::Dwords,
        Self::Qwords,
        Self::F16,
        Self::F32,
        Self::F64,
        Self::Noise,
    ];
}

/// The finalizer of SplitMix64: a permutation in which each bit changes all others.
#[must_use]
pub const fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
