//! A virtual machine as data.

use std::collections::BTreeSet;

use cutaway_cpu::svm::{Guest, Space as SvmSpace};
use cutaway_cpu::{System, Translations, World};
use cutaway_memory::{GuestMemory, Space};
use serde::{Deserialize, Serialize};

use crate::exits::Exits;
use crate::kernel::Resume;
use crate::model::Model;
use crate::nested::NestedTables;
use crate::paging::{Paging, Parked, is_entered_with};
use crate::para::Shared;
use crate::shadow::Shadow;
use crate::translate::Translator;
use crate::vm::Vm;

/// A [`Vm`] as data.
#[derive(Serialize, Deserialize)]
pub struct SavedVm {
    model: Model,
    system: System,
    translations: Translations,
    shadow: Shadow,
    translator: Translator,
    resume: Option<Resume>,
    checked: BTreeSet<(u64, u64)>,
    has_run: bool,
    shared: Option<Shared>,
    space: SvmSpace,
    nested: NestedTables,
    pub(crate) parked: Option<Parked>,
    window: bool,
    reinject: u64,
    prepared: bool,
    flush: bool,
    exits: Exits,
    call_outs: Exits,
}

impl Vm {
    /// All of it, but the monitor's memory.
    #[must_use]
    pub fn save(&self) -> SavedVm {
        SavedVm {
            model: self.model,
            system: self.world.system.clone(),
            translations: self.world.translations(),
            shadow: self.shadow.clone(),
            translator: self.translator.clone(),
            resume: self.resume,
            checked: self.checked.clone(),
            has_run: self.has_run,
            shared: self.shared,
            space: self.world.space(),
            nested: self.nested.clone(),
            parked: self.parked.clone(),
            window: self.window,
            reinject: self.reinject,
            prepared: self.prepared,
            flush: self.flush,
            exits: self.exits,
            call_outs: self.call_outs,
        }
    }

    /// Puts it back; `guest` is what the CPU has of a guest in its guest mode. `None` if the data does not hold together; the machine is then of no use.
    pub fn load(
        &mut self,
        saved: SavedVm,
        guest: Option<&Guest>,
        memory: &mut GuestMemory,
    ) -> Option<()> {
        let (start, end) = self.layout.shadow;
        let fits = saved.model == self.model
            && saved.shadow.fits(start, end)
            && saved.translator.fits(self.layout.window)
            && saved.nested.fits(start, end)
            && self.fits_guest(&saved, guest);
        if !fits {
            return None;
        }
        self.world = World::new(saved.system);
        self.world.monitored = self.model != Model::Hardware;
        memory.select(self.physical);
        let fits = self.world.set_translations(&saved.translations, memory);
        memory.select(Space::FIRST);
        self.shadow = saved.shadow;
        self.translator = saved.translator;
        self.resume = saved.resume;
        self.checked = saved.checked;
        self.has_run = saved.has_run;
        self.shared = saved.shared;
        self.world.set_space(saved.space);
        self.nested = saved.nested;
        self.parked = saved.parked;
        self.window = saved.window;
        self.reinject = saved.reinject;
        self.prepared = saved.prepared;
        self.flush = saved.flush;
        self.exits = saved.exits;
        self.call_outs = saved.call_outs;
        fits
    }

    /// Whether what the CPU has of a guest, or what is parked, is what this monitor would have entered:
    /// with other tables or intercepts it would be out of its hands.
    fn fits_guest(&self, saved: &SavedVm, guest: Option<&Guest>) -> bool {
        let hardware = self.model == Model::Hardware;
        let nested = hardware && self.paging == Paging::Nested;
        let shadow = hardware && self.paging == Paging::Shadow;
        let own = |guest: &Guest| is_entered_with(guest, &self.layout.svm, self.paging);
        let walked = |guest: &Guest| guest.nested.map(|tables| tables.cr3);
        let parked = saved.parked.as_ref().map(Parked::guest);
        parked.is_none_or(|guest| shadow && own(guest) && walked(guest).is_none())
            && guest.is_none_or(|guest| {
                nested && own(guest) && walked(guest).is_some_and(|cr3| saved.nested.is_root(cr3))
            })
    }
}
