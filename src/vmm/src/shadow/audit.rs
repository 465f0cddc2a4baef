//! Proof that a guest cannot get out: everything the shadow maps, looked at.

use cutaway_memory::{GuestMemory, PAGE_SIZE};

use super::pool::load;
use super::tree::Root;
use super::{Shadow, Window, bit};
use crate::translate::ALIAS_PAGE;

impl Shadow {
    /// Checks that every translation leads into the guest's own memory, that none lets it write to
    /// ROM or to a page under watch, and that the window is for supervisors alone. `Err` says what is wrong.
    pub(crate) fn audit(&self, memory: &GuestMemory) -> Result<(), String> {
        self.roots.values().try_for_each(|root| self.audit_root(memory, root))
    }

    fn audit_root(&self, memory: &GuestMemory, root: &Root) -> Result<(), String> {
        let mut tables: Vec<_> = root.bases().collect();
        while let Some((table, shift, base)) = tables.pop() {
            let of_window = self.window.filter(|window| window.tables.contains(&table));
            for index in 0..512 {
                let entry = load(memory.backing(), table + index * 8);
                let linear = base + (index << shift);
                if entry & bit::P == 0 {
                    continue;
                }
                if shift > 12 {
                    tables.push((entry & bit::ADDRESS, shift - 9, linear));
                    continue;
                }
                let sound = match &of_window {
                    Some(window) => window_leaf(window, linear, entry),
                    None => self.guest_leaf(memory, entry),
                };
                sound.map_err(|what| format!("{linear:#x} leads by {entry:#x} {what}"))?;
            }
        }
        Ok(())
    }

    fn guest_leaf(&self, memory: &GuestMemory, leaf: u64) -> Result<(), &'static str> {
        let frame = leaf & bit::ADDRESS;
        if frame >= memory.mapped_bytes() {
            return Err("out of the guest's memory");
        }
        let protected = memory.is_rom(frame as usize) || self.is_watched(frame);
        if protected && leaf & bit::RW != 0 {
            return Err("to a page that must not be written");
        }
        Ok(())
    }
}

fn window_leaf(window: &Window, linear: u64, leaf: u64) -> Result<(), &'static str> {
    let page = linear.wrapping_sub(window.linear) / PAGE_SIZE;
    let alias = page == u64::from(ALIAS_PAGE);
    if leaf & bit::US != 0 {
        return Err("user code into the window");
    }
    if leaf & bit::RW != 0 && page > 1 && !alias {
        return Err("writes into the translation cache");
    }
    let of = if alias { 0 } else { page };
    if leaf & bit::ADDRESS != window.memory + of * PAGE_SIZE {
        return Err("out of the window");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadow::pool::store;

    /// A shadow of one tree that maps linear page 0 by this entry. The guest has 1 MiB, the monitor what
    /// lies behind.
    fn audited(leaf: u64) -> Result<(), String> {
        const MONITOR: u64 = 0x10_0000;
        let mut memory = GuestMemory::new(0x20_0000).expect("two MiB are to be had");
        memory.add_ram(0, 0xf_0000).expect("it fits");
        memory.add_rom(0xf_0000, &[0; 0x1_0000]).expect("it fits");
        let mut shadow = Shadow::new(MONITOR, 0x20_0000);
        let directory = shadow.pool.take(&mut memory).expect("the pool is fresh");
        let table = shadow.pool.take(&mut memory).expect("the pool is fresh");
        store(&mut memory, directory, table | bit::P | bit::RW);
        store(&mut memory, table, leaf);
        let tables = [directory, table + 0x1000, table + 0x1000, table + 0x1000];
        let key = super::super::tree::Key::default();
        shadow.roots.insert(0, Root { key, top: directory, tables, last_used: 0 });
        shadow.guarded.insert(0x5000);
        shadow.audit(&memory)
    }

    #[test]
    fn what_leads_out_of_the_guest_is_found() {
        assert_eq!(audited(0x4000 | bit::P | bit::RW), Ok(()));
        assert_eq!(audited(0x5000 | bit::P), Ok(()));
        for wrong in [0x10_0000 | bit::P, 0x5000 | bit::P | bit::RW, 0xf_0000 | bit::P | bit::RW] {
            assert!(audited(wrong).is_err(), "{wrong:#x}");
        }
    }
}
