//! Chips, as each tells of itself.

use super::Scene;
use crate::text::{Line, Style};
use cutaway_machine::{ChipState, Reading};

/// The chip of that name in the machine's list.
pub(super) fn lines(scene: &Scene<'_>, name: &str) -> Vec<Line> {
    let chips = scene.machine.chips();
    let Some(chip) = chips.into_iter().find(|chip| chip.name == name) else {
        return vec![Line::default().and(Style::Bad, format!("the machine has no {name}"))];
    };
    let before = scene.chips_before.map(ChipState::views).unwrap_or_default();
    let before = before.into_iter().find(|chip| chip.name == name);
    let before = before.map(|chip| chip.readings).unwrap_or_default();
    let width = chip.readings.iter().map(|reading| reading.name.chars().count()).max();
    let width = width.unwrap_or_default();
    let line = |reading: &Reading| {
        let known = before.iter().find(|old| old.name == reading.name);
        let changed = known.is_some_and(|old| old.value != reading.value);
        let name = format!("{:<width$}", reading.name);
        Line::default().and(Style::Name, name + "  ").value(&*reading.value, changed)
    };
    chip.readings.iter().map(line).collect()
}
