//! Proof that a guest cannot get out: everything the shadow maps, looked at.

use cutaway_memory::{GuestMemory, PAGE_SIZE};

use super::pool::load;
use super::{Root, Shadow, Window, bit};
use crate::translate::ALIAS_PAGE;

impl Shadow {
    /// Checks that every translation leads into the guest's own memory, that none lets it write to
    /// ROM or to a page under watch, and that the window is for supervisors alone. `Err` says what is wrong.
    pub(crate) fn audit(&self, memory: &GuestMemory) -> Result<(), String> {
        self.roots.values().try_for_each(|root| self.audit_root(memory, root))
    }

    fn audit_root(&self, memory: &GuestMemory, root: &Root) -> Result<(), String> {
        for (gib, &directory) in root.tables.iter().enumerate() {
            for index in 0..512 {
                let entry = load(memory.backing(), directory + index * 8);
                if entry & bit::P == 0 {
                    continue;
                }
                let table = entry & bit::ADDRESS;
                let linear = (gib as u64) << 30 | index << 21;
                let of_window = self.window.filter(|window| window.tables.contains(&table));
                for page in 0..512 {
                    let leaf = load(memory.backing(), table + page * 8);
                    if leaf & bit::P == 0 {
                        continue;
                    }
                    let linear = linear | page << 12;
                    let sound = match &of_window {
                        Some(window) => window_leaf(window, linear, leaf),
                        None => self.guest_leaf(memory, leaf),
                    };
                    sound.map_err(|what| format!("{linear:#x} leads by {leaf:#x} {what}"))?;
                }
            }
        }
        Ok(())
    }

    fn guest_leaf(&self, memory: &GuestMemory, leaf: u64) -> Result<(), &'static str> {
        let frame = leaf & bit::ADDRESS;
        if frame >= self.pool.start() {
            return Err("into the monitor's memory");
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
