//! Which panes a screen has, and where each lies.
//!
//! A layout is a list of panes, the most important first. It becomes one to three columns, as many
//! as the width bears; what does not fit is left out from the end, but never the pane that has the
//! focus. Each pane has a line for its title.

use crate::pane::Pane;
use ratatui_core::layout::Rect;

/// The smallest screen.
pub(super) const LEAST: (u16, u16) = (80, 24);
/// Columns that a third, and a second column of panes need in all.
const THREE_COLUMNS: u16 = 174;
const TWO_COLUMNS: u16 = 112;

/// The layouts that there are.
#[rustfmt::skip] // one row per layout
const LAYOUTS: [(&str, &[Pane]); 7] = [
    ("cpu",        &[Pane::Code, Pane::Registers, Pane::Stack, Pane::Segments, Pane::Explain, Pane::Log, Pane::Console, Pane::Control, Pane::Memory]),
    ("paging",     &[Pane::Code, Pane::Paging, Pane::Registers, Pane::Control, Pane::Memory, Pane::Log, Pane::Gdt, Pane::Stack]),
    ("interrupts", &[Pane::Code, Pane::Pic, Pane::Log, Pane::Stack, Pane::Registers, Pane::Idt, Pane::Pit, Pane::Tss]),
    ("devices",    &[Pane::Console, Pane::Uart, Pane::Code, Pane::Log, Pane::Pic, Pane::Pit, Pane::Rtc, Pane::Keyboard]),
    ("vm",         &[Pane::Code, Pane::Vm, Pane::Privilege, Pane::Translation, Pane::Registers, Pane::Console, Pane::Grid, Pane::Log, Pane::Stack]),
    ("host",       &[Pane::Guests, Pane::Privilege, Pane::Code, Pane::Console, Pane::Registers, Pane::Log, Pane::Vm, Pane::Stack]),
    ("full",       &[Pane::Code, Pane::Registers, Pane::Stack, Pane::Explain, Pane::Segments, Pane::Control, Pane::Paging, Pane::Log, Pane::Console, Pane::Pic, Pane::Pit, Pane::Memory,
                     Pane::Gdt, Pane::Idt, Pane::Tss, Pane::Uart, Pane::Rtc, Pane::Keyboard, Pane::Fpu, Pane::Sse, Pane::Ldt]),
];

/// The names of the layouts, in the order of the keys.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    LAYOUTS.iter().map(|(name, _)| *name)
}

/// The panes of a layout and its full name, by the beginning of its name.
pub(super) fn by_name(name: &str) -> Option<(&'static str, &'static [Pane])> {
    let mut found = LAYOUTS.iter().filter(|(known, _)| known.starts_with(name));
    let first = found.next().filter(|_| !name.is_empty())?;
    found.next().is_none().then_some(*first)
}

/// The layout so many places behind one of this name.
pub(super) fn beside(name: &str, step: usize) -> &'static str {
    let at = LAYOUTS.iter().position(|(known, _)| *known == name).unwrap_or_default();
    LAYOUTS[(at + step) % LAYOUTS.len()].0
}

/// The number of layouts.
pub(super) const COUNT: usize = LAYOUTS.len();

/// How much room a pane needs.
struct Shape {
    /// Rows without its title that it must have.
    least: u16,
    /// Columns below which it may lie beside another one; 0 if it never does.
    narrow: u16,
    /// Whether it makes use of any number of rows.
    grows: bool,
}

fn shape(pane: Pane) -> Shape {
    let (least, narrow, grows) = match pane {
        Pane::Code => (6, 0, true),
        Pane::Registers => (6, 0, false),
        Pane::Stack => (4, 23, true),
        Pane::Pic => (7, 0, false),
        Pane::Memory => (3, 0, true),
        Pane::Console | Pane::Log => (4, 0, true),
        Pane::Ldt => (1, 0, false),
        Pane::Guests => (9, 0, false),
        Pane::Gdt | Pane::Tss => (3, 0, false),
        _ => (4, 0, false),
    };
    Shape { least, narrow, grows }
}

/// Whether a pane shows any number of rows, so that its content has no length.
pub(super) fn grows(pane: Pane) -> bool {
    shape(pane).grows
}

/// A pane's place: its index in the layout, its columns, its title's row and those below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) area: Rect,
}

/// A row of a column: one pane, or two side by side.
struct Slot {
    panes: Vec<usize>,
    least: u16,
    want: u16,
    grows: bool,
    rows: u16,
}

/// Places for the panes of a layout. `wanted` has the rows that each could fill.
pub(super) fn arrange(panes: &[Pane], focus: usize, wanted: &[usize], area: Rect) -> Vec<Place> {
    let mut candidates: Vec<usize> = (0..panes.len()).collect();
    loop {
        let places = place(panes, &candidates, wanted, area);
        let has_focus = places.iter().any(|place| place.index == focus);
        if has_focus || !candidates.contains(&focus) || candidates.len() <= 1 {
            return places;
        }
        // Room for the pane in focus: the last of those that have some goes.
        let shown = |index: &usize| places.iter().any(|place| place.index == *index);
        candidates.retain(|index| shown(index) || *index == focus);
        let last = candidates.iter().rposition(|index| *index != focus);
        last.map(|last| candidates.remove(last));
    }
}

fn place(panes: &[Pane], candidates: &[usize], wanted: &[usize], area: Rect) -> Vec<Place> {
    let count = match area.width {
        THREE_COLUMNS.. => 3,
        TWO_COLUMNS.. => 2,
        _ => 1,
    };
    let width = (area.width + 1) / count;
    let mut columns: Vec<Vec<Slot>> = (0..count).map(|_| Vec::new()).collect();
    for index in candidates {
        put(&mut columns, panes, *index, wanted, (width, area.height));
    }
    let mut places = Vec::new();
    for (n, slots) in columns.iter_mut().enumerate() {
        share(slots, area.height);
        let x = area.x + n as u16 * width;
        let right = if n + 1 == usize::from(count) { area.right() } else { x + width - 1 };
        let mut y = area.y;
        for slot in slots {
            let mut left = x;
            for (at, index) in slot.panes.iter().enumerate() {
                let narrow = shape(panes[*index]).narrow;
                let end = match (at, slot.panes.len()) {
                    (0, 2) => right.saturating_sub(shape(panes[slot.panes[1]]).narrow + 1),
                    (1, _) => (left + narrow).max(right),
                    _ => right,
                };
                let area = Rect::new(left, y, end.saturating_sub(left), slot.rows);
                places.push(Place { index: *index, area });
                left = end + 1;
            }
            y += slot.rows;
        }
    }
    places
}

/// Puts a pane beside another one if it is narrow, or into the emptiest column; else nowhere.
fn put(
    columns: &mut [Vec<Slot>],
    panes: &[Pane],
    index: usize,
    wanted: &[usize],
    (width, height): (u16, u16),
) {
    const BESIDE: u16 = 54;
    let shape = shape(panes[index]);
    let want = wanted.get(index).map_or(0, |rows| u16::try_from(*rows).unwrap_or(u16::MAX));
    let want = want.max(shape.least).saturating_add(1);
    if shape.narrow > 0 && width > BESIDE + shape.narrow {
        let mut slots = columns.iter_mut().flatten();
        let beside =
            |slot: &&mut Slot| slot.panes.len() == 1 && panes[slot.panes[0]] == Pane::Registers;
        if let Some(slot) = slots.find(beside) {
            slot.panes.push(index);
            return;
        }
    }
    let used = |slots: &Vec<Slot>| slots.iter().map(|slot| slot.least).sum::<u16>();
    let emptiest = columns.iter_mut().min_by_key(|slots| used(slots));
    if let Some(slots) = emptiest.filter(|slots| used(slots) + shape.least < height) {
        let (least, grows) = (shape.least + 1, shape.grows);
        slots.push(Slot { panes: vec![index], least, want, grows, rows: least });
    }
}

/// Gives each slot of a column its rows: first what its content needs, then the rest to those that
/// make use of any.
fn share(slots: &mut [Slot], height: u16) {
    let mut left = height.saturating_sub(slots.iter().map(|slot| slot.rows).sum());
    while left > 0 {
        let before = left;
        for slot in slots.iter_mut().filter(|slot| !slot.grows) {
            if left > 0 && slot.rows < slot.want {
                slot.rows += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    let growing = slots.iter().filter(|slot| slot.grows).count();
    while left > 0 && growing > 0 {
        for slot in slots.iter_mut().filter(|slot| slot.grows) {
            if left > 0 {
                slot.rows += 1;
                left -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_found_by_the_beginning_of_their_names() {
        assert_eq!(by_name("int").unwrap().0, "interrupts");
        assert!(by_name("").is_none() && by_name("lunch").is_none());
        assert_eq!(beside("full", 1), "cpu");
        assert_eq!(beside("cpu", COUNT - 1), "full");
    }

    /// At every size each place lies inside, none covers another, and the focus is seen.
    #[test]
    fn places_lie_inside_and_apart() {
        for (name, panes) in LAYOUTS {
            let wanted = vec![9; panes.len()];
            for (width, height) in [(80, 21), (81, 22), (111, 30), (120, 37), (173, 50), (250, 77)]
            {
                for focus in 0..panes.len() {
                    let area = Rect::new(0, 0, width, height);
                    let places = arrange(panes, focus, &wanted, area);
                    let has_focus = places.iter().any(|place| place.index == focus);
                    assert!(has_focus, "{name} at {width}x{height}: {}", panes[focus].name());
                    for (n, one) in places.iter().enumerate() {
                        assert_eq!(one.area.intersection(area), one.area, "{name} {width}");
                        assert!(one.area.width >= 20 && one.area.height >= 2, "{one:?}");
                        let others = &places[n + 1..];
                        assert!(others.iter().all(|other| !other.area.intersects(one.area)));
                    }
                }
            }
        }
    }

    #[test]
    fn a_bigger_screen_shows_more() {
        let (_, panes) = by_name("full").unwrap();
        let shown = |width, height| {
            arrange(panes, 0, &vec![8; panes.len()], Rect::new(0, 0, width, height)).len()
        };

        assert!(shown(80, 21) >= 3);
        assert!(shown(80, 21) < shown(120, 37) && shown(120, 37) < shown(200, 57));
    }
}
