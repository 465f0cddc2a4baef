//! The stepping screen: a machine and its past as panes, moved about in by keys.
//!
//! Nearly every key is a line of the command language, so that screen, prompt and scripts do the
//! same. [`Screen`] knows no terminal: keys go in, a buffer of characters comes out;
//! [`run`] ties it to one.
//!
//! Not modelled: more than one layout at a time on one machine; wide characters of the guest.

mod draw;
mod entry;
mod export;
mod keys;
mod layout;
mod terminal;
mod view;

pub use terminal::run;
pub use view::View;

use crate::command::{Answer, execute};
use crate::explorer::Explorer;
use crate::pane::Pane;
use crate::text::{Line, Style};
use crossterm::event::{KeyEvent, MouseButton, MouseEvent, MouseEventKind};
use cutaway_replay::in_full;
use entry::{Entry, Typed};
use keys::{Act, Amount, Turn};
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use view::{Mode, Popup};

/// What only the screen understands: name, words, what it does.
const COMMANDS: [(&str, &str, &str); 3] = [
    ("layout", "[NAME | add PANE | remove PANE]", "which panes show"),
    ("export", "FILE.txt|FILE.svg", "the screen as text or as a picture"),
    ("keys", "", "what the keys do"),
];

/// Why something of the screen could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScreenError {
    /// A file of no known kind.
    #[error("{0} ends neither in .txt nor in .svg, which say what to write")]
    Ending(PathBuf),
    /// A file that cannot be written.
    #[error("cannot write {0}")]
    File(PathBuf, #[source] std::io::Error),
    /// A command that failed.
    #[error("{0}")]
    Asked(String),
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The person goes on.
    On,
    /// Everything is to be drawn anew.
    Redraw,
    /// The person wants to leave.
    Quit,
}

/// A machine and its past, with how they are looked at.
#[derive(Debug)]
pub struct Screen {
    explorer: Explorer,
    view: Rc<RefCell<View>>,
}

impl Screen {
    /// A screen of so many columns and rows.
    #[must_use]
    pub fn new(explorer: Explorer, (width, height): (u16, u16), colour: bool) -> Self {
        let view = View::new(Rect::new(0, 0, width, height), colour);
        Self { explorer, view: Rc::new(RefCell::new(view)) }
    }

    /// How it is looked at, for whoever draws while the machine runs.
    #[must_use]
    pub fn view(&self) -> Rc<RefCell<View>> {
        self.view.clone()
    }

    /// The machine and its past.
    pub fn explorer_mut(&mut self) -> &mut Explorer {
        &mut self.explorer
    }

    /// The terminal has another size now.
    pub fn resize(&mut self, width: u16, height: u16) {
        self.view.borrow_mut().area = Rect::new(0, 0, width, height);
    }

    /// The screen as characters, and where the cursor stands if it is seen.
    #[must_use]
    pub fn draw(&self) -> (Buffer, Option<(u16, u16)>) {
        let view = self.view.borrow();
        let mut buffer = Buffer::empty(view.area);
        let cursor = view.draw(&self.explorer, &mut buffer);
        (buffer, cursor)
    }

    /// Writes what is seen to a file that ends in `.txt` or `.svg`.
    pub fn export(&self, path: &Path) -> Result<(), ScreenError> {
        export::write(&self.draw().0, path)
    }

    /// Does what a key says.
    pub fn key(&mut self, key: KeyEvent) -> Next {
        let mode = std::mem::take(&mut self.view.borrow_mut().mode);
        match mode {
            Mode::Panes => self.pane_key(key),
            Mode::Command(mut entry) => {
                let history = self.view.borrow().history.clone();
                match entry.key(key, &history) {
                    Typed::Done(line) => {
                        entry::remember(&mut self.view.borrow_mut().history, &line);
                        return self.line(&line);
                    }
                    Typed::Left => self.view.borrow_mut().hint(),
                    typed => self.view.borrow_mut().typing(Mode::Command(entry), &typed),
                }
                Next::On
            }
            Mode::Search(mut entry) => {
                match entry.key(key, &[]) {
                    Typed::Done(text) => {
                        self.view.borrow_mut().searched = text;
                        self.find(Turn::On);
                        self.view.borrow_mut().mode = Mode::Found;
                    }
                    Typed::Left => self.view.borrow_mut().hint(),
                    _ => self.view.borrow_mut().mode = Mode::Search(entry),
                }
                Next::On
            }
            // Behind a search n and N go on with it; every other key means what it always does.
            Mode::Found => match key.code {
                crossterm::event::KeyCode::Char(c @ ('n' | 'N')) => {
                    self.find(if c == 'n' { Turn::On } else { Turn::Back });
                    self.view.borrow_mut().mode = Mode::Found;
                    Next::On
                }
                _ => self.pane_key(key),
            },
            Mode::Popup(popup) => {
                self.view.borrow_mut().popup_key(popup, key);
                Next::On
            }
        }
    }

    fn pane_key(&mut self, key: KeyEvent) -> Next {
        let Some(act) = keys::act(key) else {
            let name = keys::name((key.code, key.modifiers));
            self.view.borrow_mut().say(format!("{name} is no key here; ? lists the keys"), true);
            return Next::On;
        };
        match act {
            Act::Command(line) => return self.line(line),
            Act::Prompt(text) => self.view.borrow_mut().mode = Mode::Command(Entry::new(text)),
            Act::Search => self.view.borrow_mut().mode = Mode::Search(Entry::default()),
            Act::Found(turn) => self.find(turn),
            Act::ToggleBreakpoint => return self.toggle_breakpoint(),
            Act::Cursor(command) => {
                let at = self.view.borrow().code_address(&self.explorer);
                return self.line(&format!("{command} {at:#x}"));
            }
            Act::Scrub(turn) => {
                let (count, furthest) = (self.explorer.count(), self.explorer.furthest());
                let step = (furthest / 20).max(1);
                let to = match turn {
                    Turn::On => count.saturating_add(step).min(furthest),
                    Turn::Back => count.saturating_sub(step),
                };
                return self.line(&format!("goto {to}"));
            }
            Act::Scroll(turn, amount) => self.scroll(turn, amount),
            Act::Redraw => return Next::Redraw,
            act => self.view.borrow_mut().look(act),
        }
        Next::On
    }

    /// Scrolls the pane in focus. Memory has no beginning: its address moves.
    fn scroll(&mut self, turn: Turn, amount: Amount) {
        let mut view = self.view.borrow_mut();
        let rows = match amount {
            Amount::Line => 1,
            Amount::Page => view.focused_rows(&self.explorer).max(1),
        };
        if view.focused() == Pane::Memory {
            let bytes = rows as u64 * 16;
            let at = self.explorer.memory_at;
            self.explorer.memory_at = match turn {
                Turn::On => at.saturating_add(bytes),
                Turn::Back => at.saturating_sub(bytes),
            };
        } else {
            view.scroll(&self.explorer, turn, rows);
        }
    }

    fn find(&mut self, turn: Turn) {
        self.view.borrow_mut().find(&self.explorer, turn);
    }

    fn toggle_breakpoint(&mut self) -> Next {
        let at = self.view.borrow().code_address(&self.explorer);
        let here = self.explorer.points().iter().find(|point| point.breakpoint() == Some(at));
        let line = match here {
            Some(point) => format!("delete {}", point.number),
            None => format!("break {at:#x}"),
        };
        self.line(&line)
    }

    /// Does what the mouse says: the wheel scrolls, a click goes along the timeline or to a pane.
    pub fn mouse(&mut self, mouse: MouseEvent) -> Next {
        let at = (mouse.column, mouse.row);
        let is_popup = matches!(self.view.borrow().mode, Mode::Popup(_));
        match mouse.kind {
            MouseEventKind::ScrollDown | MouseEventKind::ScrollUp => {
                let is_down = mouse.kind == MouseEventKind::ScrollDown;
                let turn = if is_down { Turn::On } else { Turn::Back };
                if is_popup {
                    self.view.borrow_mut().scroll_popup(turn, 3);
                } else {
                    self.view.borrow_mut().focus_at(&self.explorer, at);
                    (0..3).for_each(|_| self.scroll(turn, Amount::Line));
                }
            }
            MouseEventKind::Down(MouseButton::Left) | MouseEventKind::Drag(MouseButton::Left) => {
                let count = self.view.borrow().timeline_at(&self.explorer, at);
                if let Some(count) = count.filter(|_| !is_popup) {
                    return self.line(&format!("goto {count}"));
                }
                if !is_popup {
                    self.view.borrow_mut().focus_at(&self.explorer, at);
                }
            }
            _ => {}
        }
        Next::On
    }

    /// Does what a line of the command language says, and shows what came of it.
    pub fn line(&mut self, line: &str) -> Next {
        match self.execute(line) {
            Ok(answer) if answer.quit => Next::Quit,
            Ok(answer) => {
                self.view.borrow_mut().answer(line, answer);
                Next::On
            }
            Err(error) => {
                self.view.borrow_mut().say(in_full(&error), true);
                Next::On
            }
        }
    }

    /// The same without showing it: an error is the caller's.
    pub fn execute(&mut self, line: &str) -> Result<Answer, ScreenError> {
        let (name, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        match (name, words.as_slice()) {
            ("layout", words) => {
                let text = self.view.borrow_mut().layout(words).map_err(ScreenError::Asked)?;
                return Ok(Answer { lines: vec![Line::of(text)], ..Answer::default() });
            }
            ("export", [_, ..]) => {
                self.export(Path::new(rest.trim()))?;
                let text = format!("written to {}", rest.trim());
                return Ok(Answer { lines: vec![Line::of(text)], ..Answer::default() });
            }
            ("export", []) => {
                let text = "export lacks a word: export FILE.txt or FILE.svg";
                return Err(ScreenError::Asked(text.to_owned()));
            }
            ("keys", _) => return Ok(Answer { lines: view::help(), ..Answer::default() }),
            ("help", [name]) if COMMANDS.iter().any(|(known, ..)| known == name) => {
                let all = COMMANDS.iter().filter(|(known, ..)| known == name);
                return Ok(Answer { lines: all.map(about).collect(), ..Answer::default() });
            }
            _ => {}
        }
        self.view.borrow_mut().begin();
        let answer = execute(&mut self.explorer, line);
        self.view.borrow_mut().end();
        let mut answer = answer.map_err(|error| ScreenError::Asked(in_full(&error)))?;
        if name == "help" && words.is_empty() {
            answer.lines.pop(); // what an empty line does at the prompt
            answer.lines.extend(COMMANDS.iter().map(about));
        }
        Ok(answer)
    }
}

/// A command of the screen, as help has it.
fn about((name, words, about): &(&str, &str, &str)) -> Line {
    let usage = format!("  {:<36} ", format!("{name} {words}").trim_end());
    Line::default().and(Style::Name, usage).and(Style::Plain, *about)
}

impl Popup {
    fn new(title: &str, lines: Vec<Line>) -> Self {
        Self { title: title.to_owned(), lines, top: 0 }
    }
}

#[cfg(test)]
mod tests;
