//! Several guests on one CPU: who had it when, what each may have and has had, the host's memory.

use super::Scene;
use crate::explorer::Explorer;
use crate::host::{HostRun, What};
use crate::text::{Line, Style, grouped};
use cutaway_machine::Standing;

/// Columns of the chart.
const COLUMNS: usize = 44;
/// Characters of a guest's name.
const NAME: usize = 10;

pub(super) fn lines(scene: &Scene<'_>) -> Vec<Line> {
    let Some(explorer) = scene.guests else {
        return vec![Line::of("one machine alone (--guest puts several on one CPU)")];
    };
    let Some(run) = explorer.host() else { return Vec::new() };
    let mut lines = chart(run, explorer);
    lines.extend(books(run, explorer));
    lines.extend(memory(run));
    lines
}

fn name(run: &HostRun, guest: usize) -> String {
    run.name(guest).chars().take(NAME).collect()
}

/// What a guest did in a column's stretch of time.
#[derive(Clone, Copy, Default)]
struct Cell {
    ran: u64,
    /// How it stood at the end of the stretch, if that is in the past.
    standing: Option<Standing>,
}

impl Cell {
    fn mark(self, column: u64) -> char {
        match (self.ran, self.standing) {
            (ran, _) if ran * 2 >= column => '#',
            (1.., _) => '+',
            (0, None | Some(Standing::Asleep)) => ' ',
            (0, Some(Standing::Ready)) => '-',
            (0, Some(Standing::Capped)) => '^',
            (0, Some(Standing::Suspended)) => 's',
            (0, Some(Standing::Ended)) => 'x',
        }
    }
}

/// A row a guest; the last column ends at this instant.
fn chart(run: &HostRun, explorer: &Explorer) -> Vec<Line> {
    let (now, column) = (run.now(), run.column());
    let cells = cells(run);
    let head = format!("host at tick {}, {} a column", grouped(now), grouped(column));
    let mut lines = vec![Line::default().and(Style::Name, head)];
    for (guest, row) in cells.iter().enumerate() {
        let mark = if run.has_cpu() == Some(guest) { "=>" } else { "  " };
        let is_seen = explorer.guest() == guest;
        let row: String = row.iter().map(|cell| cell.mark(column)).collect();
        let style = if is_seen { Style::Name } else { Style::Plain };
        let line = Line::default().and(Style::Current, mark);
        let line = line.and(style, format!(" {:<NAME$}", name(run, guest)));
        lines.push(line.and(Style::Plain, format!("|{row}|")));
    }
    let legend = "# runs  + in part  - waits for the CPU  ^ at its cap";
    lines.push(Line::default().and(Style::Dim, legend));
    let legend = "s suspended  x ended  blank: asleep or before the start";
    lines.push(Line::default().and(Style::Dim, legend));
    if let Some((What::Done(text), at)) =
        run.back().map(|(moment, at, _)| (&moment.what, at)).next()
    {
        lines.push(Line::of(format!("at {}: {text}", grouped(at))));
    }
    lines
}

fn cells(run: &HostRun) -> Vec<Vec<Cell>> {
    let (now, column) = (run.now(), run.column());
    let mut cells = vec![vec![Cell::default(); COLUMNS]; run.guests()];
    // Columns are counted from the right; the first ends now.
    let place = |tick: u64| ((now - tick) / column) as usize;
    for (moment, end, stood) in run.back() {
        let newest = place(end.min(now));
        if newest >= COLUMNS {
            break;
        }
        // The stretch of the moment, cut at the borders of columns.
        let mut to = end;
        while to > moment.from {
            let at = ((now - to) / column) as usize;
            let border = now.saturating_sub((at as u64 + 1) * column);
            let from = border.max(moment.from);
            if at >= COLUMNS {
                break;
            }
            for (guest, row) in cells.iter_mut().enumerate() {
                let cell = &mut row[COLUMNS - 1 - at];
                if moment.what == What::Ran(guest) {
                    cell.ran += to - from;
                }
                if cell.standing.is_none() {
                    cell.standing = stood.standing(guest);
                }
            }
            to = from;
        }
    }
    cells
}

/// What each may have, and what it had.
fn books(run: &HostRun, explorer: &Explorer) -> Vec<Line> {
    let head = "   guest      state     share   cap   CPU ticks      stolen";
    let mut lines = vec![Line::default().and(Style::Name, head)];
    for guest in 0..run.guests() {
        let share = run.share(guest);
        let is_seen = explorer.guest() == guest;
        let state = match run.running() {
            Some(running) if running == guest => "running",
            _ => run.standing(guest).name(),
        };
        let text = format!(
            " {:<NAME$} {state:<9} {:>5} {:>5} {:>11} {:>11}",
            name(run, guest),
            share.shares,
            share.cap.map_or("-".to_owned(), |cap| format!("{cap} %")),
            grouped(run.used(guest)),
            grouped(run.stolen(guest)),
        );
        let (mark, style) = if is_seen { ("* ", Style::Name) } else { ("  ", Style::Plain) };
        lines.push(Line::default().and(style, mark).and(style, text));
    }
    lines.push(Line::default().and(Style::Dim, "* the guest that the other panes show"));
    lines
}

/// What is in the host's memory, if it has one of its own.
fn memory(run: &HostRun) -> Vec<Line> {
    let Some(memory) = run.memory() else { return Vec::new() };
    let mapped: u64 = memory.guests().iter().map(|pages| pages.mapped).sum();
    let (used, frames) = (grouped(memory.used()), grouped(memory.frames()));
    let head = format!("memory: {} pages in {used} of {frames} frames", grouped(mapped));
    // There is room for one of the two, and without a balloon copies are what matters.
    let balloons = memory.guests().iter().any(|pages| pages.balloon > 0);
    let last = if balloons { "balloon" } else { " copied" };
    let titles = format!("   guest       has  mapped  shared on disk read in {last}");
    let mut lines =
        vec![Line::default().and(Style::Name, head), Line::default().and(Style::Name, titles)];
    for (guest, pages) in memory.guests().iter().enumerate() {
        let has = run.pages(guest);
        let last = if balloons { pages.balloon } else { pages.copied };
        let counts = [pages.mapped, pages.shared, pages.out, pages.read_in, last];
        let counts: String = counts.iter().map(|count| format!(" {count:>7}")).collect();
        lines.push(Line::of(format!("   {:<NAME$} {has:>4}{counts}", name(run, guest))));
    }
    lines
}
