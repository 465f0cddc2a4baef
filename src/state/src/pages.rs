//! Hashes of memory by page, so that hashing a machine again costs what changed in between.
//!
//! A page of 4 KiB has a 128-bit XXH3 hash, 64 pages have one hash of theirs, and the hash of all
//! state takes in those of the groups. XXH3 is fast and no cryptographic hash: equal states have
//! equal hashes, and different ones differ but for an accident; nobody is kept from making two
//! states with one hash on purpose.

use crate::StateHasher;
use twox_hash::XxHash3_128;

/// Pages whose hashes are hashed together.
const GROUP: usize = 64;

/// The hash of each page of a memory; 0 for a page of zeros.
#[derive(Clone, Debug, Default)]
pub struct PageHashes {
    pages: Vec<u128>,
    groups: Vec<u128>,
    /// Groups with pages that changed since `groups` was worked out.
    stale: Vec<bool>,
}

impl PageHashes {
    /// A memory of zeros with this many pages.
    #[must_use]
    pub fn new(pages: usize) -> Self {
        let groups = pages.div_ceil(GROUP);
        Self { pages: vec![0; groups * GROUP], groups: vec![0; groups], stale: vec![false; groups] }
    }

    /// Whether there is no page at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// The page of this number holds these bytes now.
    ///
    /// # Panics
    /// If there is no such page.
    pub fn set(&mut self, page: usize, bytes: &[u8]) {
        let is_zero = bytes.iter().fold(0, |all, byte| all | byte) == 0;
        let hash = if is_zero { 0 } else { XxHash3_128::oneshot(bytes) };
        if self.pages[page] != hash {
            self.pages[page] = hash;
            self.stale[page / GROUP] = true;
        }
    }

    /// Takes all pages in; pages of zeros leave no mark.
    pub fn hash_into(&mut self, hasher: &mut StateHasher) {
        for (group, pages) in self.pages.chunks_exact(GROUP).enumerate() {
            if std::mem::take(&mut self.stale[group]) {
                let mut bytes = [0; GROUP * 16];
                for (part, hash) in bytes.chunks_exact_mut(16).zip(pages) {
                    part.copy_from_slice(&hash.to_le_bytes());
                }
                let is_zero = pages.iter().all(|&hash| hash == 0);
                self.groups[group] = if is_zero { 0 } else { XxHash3_128::oneshot(&bytes) };
            }
        }
        for (group, &hash) in self.groups.iter().enumerate() {
            if hash != 0 {
                hasher.pages(group as u64, hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StateHash;

    fn hash(pages: &mut PageHashes) -> StateHash {
        let mut hasher = StateHasher::new();
        pages.hash_into(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn pages_of_zeros_leave_no_mark() {
        let mut cleared = PageHashes::new(200);
        let untouched = hash(&mut cleared.clone());
        cleared.set(130, &[1; 4096]);
        assert_ne!(hash(&mut cleared), untouched);

        cleared.set(130, &[0; 4096]);

        assert_eq!(hash(&mut cleared), untouched);
    }

    #[test]
    fn the_place_of_a_page_counts() {
        let at = |page| {
            let mut pages = PageHashes::new(200);
            pages.set(page, &[1; 4096]);
            hash(&mut pages)
        };

        assert_ne!(at(3), at(4));
        assert_ne!(at(3), at(67));
    }

    #[test]
    fn the_way_to_a_memory_does_not_count() {
        let mut one = PageHashes::new(200);
        let mut other = PageHashes::new(200);
        one.set(7, &[7; 4096]);
        one.set(199, &[9; 4096]);
        other.set(199, &[9; 4096]);
        hash(&mut other);
        other.set(7, &[1; 4096]);
        hash(&mut other);
        other.set(7, &[7; 4096]);

        assert_eq!(hash(&mut one), hash(&mut other));
    }

    /// XXH3 of nothing with seed 0, from its specification: hashes mean the same in every build.
    #[test]
    fn the_hash_of_nothing_is_xxh3s() {
        assert_eq!(XxHash3_128::oneshot(b""), 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
    }
}
