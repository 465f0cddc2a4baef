//! Noise from a seed: `SplitMix64` (Steele, Lea, Flood 2014), so that a failure repeats.

/// A source of noise.
#[derive(Clone, Debug)]
pub struct Noise(u64);

impl Noise {
    /// The noise of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits.
    #[expect(clippy::should_implement_trait, reason = "an endless source, no iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// So many bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let words = (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes());
        words.take(len).collect()
    }

    /// A number as bugs like it: small, at a border of a width, or anything.
    pub fn edge(&mut self) -> u64 {
        let width = self.below(64);
        match self.below(6) {
            0 => self.below(0x100),
            1 => self.below(0x100).wrapping_neg(),
            2 => (1_u64 << width).wrapping_add(self.below(5)).wrapping_sub(2),
            3 => self.next() >> width,
            _ => self.next(),
        }
    }

    /// Changes some bytes: single ones, fields of four or eight, runs taken from elsewhere, the
    /// length.
    pub fn damage(&mut self, bytes: &mut Vec<u8>, window: usize) {
        for _ in 0..1 + self.below(6) {
            let window = window.min(bytes.len());
            if window < 16 {
                return;
            }
            let at = self.below(window as u64 - 8) as usize;
            match self.below(8) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next() as u8,
                2 | 3 => {
                    let at = at & !3;
                    bytes[at..at + 4].copy_from_slice(&(self.edge() as u32).to_le_bytes());
                }
                4 => bytes[at..at + 8].copy_from_slice(&self.edge().to_le_bytes()),
                5 => bytes[at..at + 2].copy_from_slice(&(self.edge() as u16).to_le_bytes()),
                6 => bytes.copy_within(0..8, at),
                _ if self.once_in(4) => {
                    let len = self.below(2 * bytes.len() as u64) as usize;
                    bytes.resize(len, 0);
                }
                _ => {}
            }
        }
    }
}
