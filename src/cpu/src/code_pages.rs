//! The pages that instructions are fetched from: linear pages to offsets in the backing.
//!
//! Blocks that follow each other by links are entered without a fetch, those that are looked up are
//! fetched, and which it is depends on how a run is cut into slices. So that it cannot be seen, a
//! page stays known from its first fetch until the guest invalidates it; nothing is evicted by
//! chance. What the guest wrote into a paging structure in the meantime then counts for neither.

use crate::block::Map;

/// Entries of the front.
const RECENT: usize = 256;
/// Pages known at once. A guest that runs code through more than these starts over.
const MAX: usize = 1 << 16;

/// A page that code was fetched from.
#[derive(Clone, Copy, Debug)]
struct Page {
    /// Backing offset of its first byte.
    offset: usize,
    global: bool,
}

/// All known pages, of both privileges.
pub(crate) struct CodePages {
    all: Map<u64, Page>,
    /// Keys of those that are not global.
    local: Vec<u64>,
    /// Copies of some of them, by the low bits of their keys. Key `u64::MAX`: empty.
    recent: Box<[(u64, Page); RECENT]>,
}

const EMPTY: (u64, Page) = (u64::MAX, Page { offset: 0, global: false });

fn key(user: bool, linear: u64) -> u64 {
    linear >> 12 << 1 | u64::from(user)
}

impl CodePages {
    pub(crate) fn new() -> Self {
        Self { all: Map::default(), local: Vec::new(), recent: Box::new([EMPTY; RECENT]) }
    }

    /// The backing offset of code at a linear address, and whether its page is global.
    pub(crate) fn find(&mut self, user: bool, linear: u64) -> Option<(usize, bool)> {
        let key = key(user, linear);
        let recent = &mut self.recent[key as usize % RECENT];
        if recent.0 != key {
            *recent = (key, *self.all.get(&key)?);
        }
        let page = recent.1;
        Some((page.offset + (linear & 0xfff) as usize, page.global))
    }

    /// Whether the page of a linear address is known.
    pub(crate) fn knows(&self, user: bool, linear: u64) -> bool {
        self.all.contains_key(&key(user, linear))
    }

    /// Adds a page. Returns whether others had to go: links to their code are void.
    pub(crate) fn add(&mut self, user: bool, linear: u64, offset: usize, global: bool) -> bool {
        let full = self.all.len() >= MAX;
        if full {
            self.clear();
        }
        let key = key(user, linear);
        self.all.insert(key, Page { offset, global });
        if !global {
            self.local.push(key);
        }
        full
    }

    pub(crate) fn clear(&mut self) {
        if !self.all.is_empty() {
            self.all.clear();
            self.local.clear();
            self.recent.fill(EMPTY);
        }
    }

    /// All known pages, ascending: key, page offset, whether global.
    pub(crate) fn save(&self) -> Vec<(u64, u64, bool)> {
        let pages = self.all.iter().map(|(&key, page)| (key, page.offset as u64, page.global));
        let mut pages: Vec<_> = pages.collect();
        pages.sort_unstable();
        pages
    }

    /// Adds pages, up to as many as there can be.
    pub(crate) fn load(&mut self, pages: &[(u64, u64, bool)]) -> Option<()> {
        if pages.len() > MAX {
            return None;
        }
        for &(key, offset, global) in pages {
            let offset = usize::try_from(offset).ok()?;
            if self.all.insert(key, Page { offset, global }).is_none() && !global {
                self.local.push(key);
            }
        }
        Some(())
    }

    /// Drops the pages that are not global.
    pub(crate) fn clear_local(&mut self) {
        for key in self.local.drain(..) {
            self.all.remove(&key);
            let recent = &mut self.recent[key as usize % RECENT];
            if recent.0 == key {
                *recent = EMPTY;
            }
        }
    }

    /// Drops one linear page. Returns whether it was known.
    pub(crate) fn remove(&mut self, linear: u64) -> bool {
        let mut known = false;
        for key in [key(false, linear), key(true, linear)] {
            let Some(page) = self.all.remove(&key) else { continue };
            known = true;
            if !page.global {
                self.local.retain(|&local| local != key);
            }
            self.recent[key as usize % RECENT] = EMPTY;
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_known_until_it_is_invalidated() {
        let mut pages = CodePages::new();
        for number in 0..2 * RECENT as u64 {
            assert!(!pages.add(false, number << 12, 0x1000 * number as usize, false));
        }

        assert_eq!(pages.find(false, 0x3004), Some((0x3004, false)));
        assert_eq!(pages.find(true, 0x3004), None, "the other privilege");
        assert!(pages.remove(0x3fff));
        assert_eq!(pages.find(false, 0x3004), None);
        assert!(!pages.remove(0x3fff));
        assert_eq!(pages.find(false, 0x4004), Some((0x4004, false)));
    }

    #[test]
    fn global_pages_outlive_the_local_ones() {
        let mut pages = CodePages::new();
        pages.add(false, 0x7000, 0x3000, true);
        pages.add(false, 0x8000, 0x4000, false);
        assert_eq!(pages.find(false, 0x8000), Some((0x4000, false)));

        pages.clear_local();

        assert_eq!(pages.find(false, 0x7000), Some((0x3000, true)));
        assert_eq!(pages.find(false, 0x8000), None);
        pages.clear();
        assert_eq!(pages.find(false, 0x7000), None);
    }

    #[test]
    fn there_is_an_end_to_the_pages() {
        let mut pages = CodePages::new();
        for number in 0..MAX as u64 {
            assert!(!pages.add(true, number << 12, 0, true));
        }

        assert!(pages.add(true, 0xffff_ffff_f000, 0, true));
        assert_eq!(pages.find(true, 0x1000), None);
    }
}
