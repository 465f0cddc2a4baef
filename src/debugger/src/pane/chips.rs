//! Chips, as each tells of itself.

use super::Scene;
use crate::text::{Line, Style};

/// The chip of that name in the machine's list.
pub(super) fn lines(scene: &Scene<'_>, name: &str) -> Vec<Line> {
    let chips = scene.machine.chips();
    let Some(chip) = chips.into_iter().find(|chip| chip.name == name) else {
        return vec![Line::default().and(Style::Bad, format!("the machine has no {name}"))];
    };
    let width = chip.readings.iter().map(|reading| reading.name.chars().count()).max();
    let width = width.unwrap_or_default();
    let line = |name: &str, value: &str| {
        Line::default().and(Style::Name, format!("{name:<width$}  ")).and(Style::Plain, value)
    };
    chip.readings.iter().map(|reading| line(&reading.name, &reading.value)).collect()
}
