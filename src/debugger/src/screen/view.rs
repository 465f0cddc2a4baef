//! How a machine is looked at: layout, focus, how far each pane is scrolled, what is open.

use super::entry::{Entry, Typed};
use super::keys::{self, Act, Turn};
use super::layout::{self, Place, arrange};
use crate::command::Answer;
use crate::explorer::Explorer;
use crate::mode;
use crate::pane::{self, Pane};
use crate::text::{Line, Style};
use crossterm::event::{KeyCode, KeyEvent};
use ratatui_core::layout::{Position, Rect};

/// Rows below the panes: timeline, status, message.
pub(super) const BELOW: u16 = 3;
/// Rows that are asked of a pane that could show any number, when it is searched.
const SEARCHED_ROWS: usize = 2_000;
/// What the message line says when there is nothing else to say.
const HINT: &str = "? keys   : command   s step   h back   c continue   [ ] layout   q quit";

/// The same in the layout for several guests.
const HOST_HINT: &str =
    "? keys   : command   o slice on   O back   w other guest   s step   h back   q quit";

/// What is open.
#[derive(Clone, Debug, Default)]
pub(super) enum Mode {
    #[default]
    Panes,
    Command(Entry),
    Search(Entry),
    /// Something was searched for.
    Found,
    Popup(Popup),
}

/// Lines over the panes.
#[derive(Clone, Debug)]
pub(super) struct Popup {
    pub(super) title: String,
    pub(super) lines: Vec<Line>,
    pub(super) top: usize,
}

/// A pane of the layout and how far it is scrolled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) pane: Pane,
    /// Rows from where it rests: downwards, but backwards for what rests at its end.
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// How a machine is looked at.
#[derive(Clone, Debug)]
pub struct View {
    pub(super) area: Rect,
    pub(super) colour: bool,
    pub(super) layout: &'static str,
    pub(super) shown: Vec<Shown>,
    pub(super) focus: usize,
    pub(super) zoomed: bool,
    /// Instructions from the next one to the cursor of the code.
    pub(super) cursor: isize,
    pub(super) mode: Mode,
    pub(super) message: Line,
    pub(super) history: Vec<String>,
    pub(super) searched: String,
    pub(super) running: bool,
}

impl View {
    pub(super) fn new(area: Rect, colour: bool) -> Self {
        let (layout, panes) = layout::by_name("cpu").expect("it is in the table");
        Self {
            area,
            colour,
            layout,
            shown: shown(panes),
            focus: 0,
            zoomed: false,
            cursor: 0,
            mode: Mode::Panes,
            message: Line::default().and(Style::Dim, HINT),
            history: Vec::new(),
            searched: String::new(),
            running: false,
        }
    }

    /// The pane in focus.
    pub(super) fn focused(&self) -> Pane {
        self.shown[self.focus].pane
    }

    pub(super) fn say(&mut self, text: impl Into<String>, bad: bool) {
        let style = if bad { Style::Bad } else { Style::Plain };
        self.message = Line::default().and(style, text);
    }

    pub(super) fn hint(&mut self) {
        let hint = if self.layout == "host" { HOST_HINT } else { HINT };
        self.message = Line::default().and(Style::Dim, hint);
    }

    /// A command begins, which may take long.
    pub(super) fn begin(&mut self) {
        self.running = true;
    }

    pub(super) fn end(&mut self) {
        self.running = false;
    }

    /// What the command line says to a key.
    pub(super) fn typing(&mut self, mode: Mode, typed: &Typed) {
        self.mode = mode;
        if let Typed::Choices(names) = typed {
            if names.is_empty() {
                self.say("nothing begins so", true);
            } else {
                self.say(names.join("  "), false);
            }
        } else {
            self.message = Line::default();
        }
    }

    /// Shows what came of a command: a line below, more in a popup.
    pub(super) fn answer(&mut self, line: &str, answer: Answer) {
        if answer.moved {
            self.cursor = 0;
            // The status line says where; what is left to say is why it ended there.
            let sentence = answer.lines.into_iter().next();
            match sentence.filter(|line| line.spans.iter().all(|span| span.style == Style::Name)) {
                Some(sentence) => self.say(sentence.to_string(), false),
                None => self.hint(),
            }
            return;
        }
        let pane = match line.split_whitespace().next() {
            Some("x") => Some(Pane::Memory),
            Some("walk") => Some(Pane::Paging),
            _ => None,
        };
        if let Some(index) = self.shown.iter().position(|shown| Some(shown.pane) == pane) {
            self.focus = index;
            self.say(format!("the pane {} has it", self.focused().name()), false);
            return;
        }
        match answer.lines.as_slice() {
            [] => self.say("done", false),
            [one] if one.width() <= usize::from(self.area.width) => self.message = one.clone(),
            _ => self.mode = Mode::Popup(Popup::new(line, answer.lines)),
        }
    }

    /// What a key does that changes nothing but the look.
    pub(super) fn look(&mut self, act: Act) {
        let count = self.shown.len();
        match act {
            Act::Focus(Turn::On) => self.focus = (self.focus + 1) % count,
            Act::Focus(Turn::Back) => self.focus = (self.focus + count - 1) % count,
            Act::Layout(turn) => {
                let step = if turn == Turn::On { 1 } else { layout::COUNT - 1 };
                let name = layout::beside(self.layout, step);
                if let Ok(text) = self.layout(&[name]) {
                    self.say(text, false);
                }
            }
            Act::Sideways(turn) => {
                let columns = &mut self.shown[self.focus].columns;
                *columns = match turn {
                    Turn::On => (*columns + 8).min(400),
                    Turn::Back => columns.saturating_sub(8),
                };
            }
            Act::Zoom => self.zoomed = !self.zoomed,
            Act::Help => self.mode = Mode::Popup(Popup::new("keys", help())),
            Act::Hint => self.say("nothing runs; q quits", false),
            _ => {
                self.zoomed = false;
                self.cursor = 0;
                self.hint();
            }
        }
    }

    /// `:layout` with its words; a sentence on what is shown now.
    pub(super) fn layout(&mut self, words: &[&str]) -> Result<String, String> {
        let pane_of = |name: &str| {
            let all: Vec<_> = Pane::all().map(Pane::name).collect();
            let wrong = || format!("'{name}' is no pane; there are {}", all.join(", "));
            Pane::by_name(name).ok_or_else(wrong)
        };
        match words {
            [] => {}
            ["add", name] => {
                let pane = pane_of(name)?;
                match self.shown.iter().position(|shown| shown.pane == pane) {
                    Some(index) => self.focus = index,
                    None => {
                        self.shown.push(Shown { pane, rows: 0, columns: 0 });
                        self.focus = self.shown.len() - 1;
                    }
                }
            }
            ["remove", name] => {
                let pane = pane_of(name)?;
                let index = self.shown.iter().position(|shown| shown.pane == pane);
                let index = index.ok_or_else(|| format!("{} is not shown", pane.name()))?;
                if self.shown.len() == 1 {
                    return Err("this is the last pane; add another one first".to_owned());
                }
                self.shown.remove(index);
                self.focus = 0;
            }
            [name] => {
                let Some((name, panes)) = layout::by_name(name) else {
                    let all: Vec<_> = layout::names().collect();
                    let all = all.join(", ");
                    return Err(format!("'{name}' is no layout; there are {all}, add, remove"));
                };
                (self.layout, self.shown, self.focus) = (name, shown(panes), 0);
                self.zoomed = false;
                self.hint();
            }
            _ => return Err("give `layout NAME`, `layout add PANE`, `layout remove PANE`".into()),
        }
        let panes: Vec<_> = self.shown.iter().map(|shown| shown.pane.name()).collect();
        Ok(format!("{}: {}", self.layout, panes.join(", ")))
    }

    /// Where the panes lie.
    pub(super) fn places(&self, explorer: &Explorer) -> Vec<Place> {
        let area = Rect { height: self.area.height.saturating_sub(BELOW), ..self.area };
        if self.zoomed {
            return vec![Place { index: self.focus, area }];
        }
        let panes: Vec<_> = self.shown.iter().map(|shown| shown.pane).collect();
        let wanted: Vec<_> = explorer.with_scene(|scene| {
            let rows =
                |pane: &Pane| if layout::grows(*pane) { 0 } else { pane.lines(scene, 16).len() };
            panes.iter().map(rows).collect()
        });
        arrange(&panes, self.focus, &wanted, area)
    }

    /// Rows of the pane in focus, without its title.
    pub(super) fn focused_rows(&self, explorer: &Explorer) -> usize {
        let places = self.places(explorer);
        let place = places.iter().find(|place| place.index == self.focus);
        place.map_or(0, |place| usize::from(place.area.height.saturating_sub(1)))
    }

    /// All lines of a pane that there are, or so many.
    pub(super) fn lines(&self, explorer: &Explorer, pane: Pane, rows: usize) -> Vec<Line> {
        explorer.show(pane, rows)
    }

    /// Scrolls the pane in focus, or moves the cursor of the code.
    pub(super) fn scroll(&mut self, explorer: &Explorer, turn: Turn, rows: usize) {
        let height = self.focused_rows(explorer);
        let pane = self.focused();
        if pane == Pane::Code {
            let rows = rows as isize;
            let to = if turn == Turn::On { self.cursor + rows } else { self.cursor - rows };
            let (above, _) = self.listing(explorer, to.max(0) as usize + 1);
            self.cursor = to.clamp(-(above as isize), 400);
            return;
        }
        let rests_at_end = matches!(pane, Pane::Console | Pane::Log);
        let scrolled = &mut self.shown[self.focus].rows;
        let is_on = (turn == Turn::On) != rests_at_end;
        let to = if is_on { *scrolled + rows } else { scrolled.saturating_sub(rows) };
        let all = explorer.show(pane, to + height).len();
        *scrolled = to.min(all.saturating_sub(height));
    }

    /// The instructions that lead to the next one, and from that on so many: how many lead there.
    pub(super) fn listing(&self, explorer: &Explorer, below: usize) -> (usize, Vec<(u64, Line)>) {
        const ABOVE: usize = 40;
        let pc = mode::pc(explorer.state());
        let all = explorer.with_scene(|scene| pane::listing(scene, ABOVE, below));
        let above = all.iter().position(|(at, _)| *at == pc).unwrap_or_default();
        (above, all)
    }

    /// The linear address at the cursor of the code.
    pub(super) fn code_address(&self, explorer: &Explorer) -> u64 {
        let (above, all) = self.listing(explorer, self.cursor.max(0) as usize + 1);
        let index = (above as isize + self.cursor).clamp(0, all.len() as isize - 1);
        all.get(index as usize).map_or_else(|| mode::pc(explorer.state()), |(at, _)| *at)
    }

    /// Gives the focus to the pane at a place of the screen.
    pub(super) fn focus_at(&mut self, explorer: &Explorer, (x, y): (u16, u16)) {
        let places = self.places(explorer);
        let at = Position { x, y };
        if let Some(place) = places.iter().find(|place| place.area.contains(at)) {
            self.focus = place.index;
        }
    }

    /// Goes on with a search in the pane in focus.
    pub(super) fn find(&mut self, explorer: &Explorer, turn: Turn) {
        if self.searched.is_empty() {
            self.say("nothing is searched for; / does", true);
            return;
        }
        let wanted = self.searched.to_lowercase();
        let (pane, height) = (self.focused(), self.focused_rows(explorer));
        let has = |line: &Line| line.to_string().to_lowercase().contains(&wanted);
        let (lines, here) = if pane == Pane::Code {
            let (above, all) = self.listing(explorer, 400);
            let lines: Vec<_> = all.into_iter().map(|(_, line)| line).collect();
            (lines, above as isize + self.cursor)
        } else {
            let lines = self.lines(explorer, pane, SEARCHED_ROWS);
            (lines.clone(), self.top(pane, lines.len(), height) as isize)
        };
        let len = lines.len();
        let hits: Vec<usize> = (0..len).filter(|n| has(&lines[*n])).collect();
        let next = match turn {
            Turn::On => hits.iter().find(|n| **n as isize > here).or(hits.first()),
            Turn::Back => hits.iter().rev().find(|n| (**n as isize) < here).or(hits.last()),
        };
        let Some(&line) = next else {
            self.say(format!("the pane {} has no '{}'", pane.name(), self.searched), true);
            return;
        };
        match pane {
            Pane::Code => self.cursor += line as isize - here,
            Pane::Console | Pane::Log => {
                self.shown[self.focus].rows = len.saturating_sub(height).saturating_sub(line);
            }
            _ => self.shown[self.focus].rows = line,
        }
        let text =
            format!("line {} of {len}, {} lines have it; n and N go on", line + 1, hits.len());
        self.say(text, false);
    }

    /// The first line of a pane's that is seen, of so many.
    pub(super) fn top(&self, pane: Pane, len: usize, height: usize) -> usize {
        let scrolled = self.shown.iter().find(|shown| shown.pane == pane).map_or(0, |s| s.rows);
        let last = len.saturating_sub(height);
        match pane {
            Pane::Console | Pane::Log => last.saturating_sub(scrolled),
            // What was searched for may be at the end.
            _ => scrolled.min(len.saturating_sub(1)),
        }
    }

    pub(super) fn popup_key(&mut self, popup: Popup, key: KeyEvent) {
        let page = usize::from(self.area.height).saturating_sub(8).max(1);
        self.mode = Mode::Popup(popup);
        match key.code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | '?' | ' ') => {
                self.mode = Mode::Panes;
                self.hint();
            }
            KeyCode::Down | KeyCode::Char('j') => self.scroll_popup(Turn::On, 1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll_popup(Turn::Back, 1),
            KeyCode::PageDown => self.scroll_popup(Turn::On, page),
            KeyCode::PageUp => self.scroll_popup(Turn::Back, page),
            KeyCode::Home => self.scroll_popup(Turn::Back, usize::MAX / 2),
            KeyCode::End => self.scroll_popup(Turn::On, usize::MAX / 2),
            _ => self.say("Esc closes this; arrows and PageUp, PageDown scroll", false),
        }
    }

    pub(super) fn scroll_popup(&mut self, turn: Turn, rows: usize) {
        let height = super::draw::popup_rows(self.area);
        if let Mode::Popup(popup) = &mut self.mode {
            let last = popup.lines.len().saturating_sub(height);
            popup.top = match turn {
                Turn::On => (popup.top + rows).min(last),
                Turn::Back => popup.top.saturating_sub(rows),
            };
        }
    }
}

fn shown(panes: &[Pane]) -> Vec<Shown> {
    panes.iter().map(|pane| Shown { pane: *pane, rows: 0, columns: 0 }).collect()
}

/// What the keys do, a line each.
pub(super) fn help() -> Vec<Line> {
    let line = |binding: &keys::Binding| {
        let names: Vec<_> = binding.keys.iter().map(|key| keys::name(*key)).collect();
        let names = format!("  {:<16} ", names.join(" "));
        Line::default().and(Style::Name, names).and(Style::Plain, binding.about)
    };
    let mut lines: Vec<_> = keys::BINDINGS.iter().map(line).collect();
    lines.push(Line::of(
        "  The mouse: a click goes to a pane or along the timeline; the wheel scrolls.",
    ));
    lines.push(Line::of("  While the machine runs, any key stops it."));
    lines
}
