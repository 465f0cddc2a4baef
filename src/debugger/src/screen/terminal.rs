//! The stepping screen on a terminal: events in, characters out.
//!
//! Time: while the machine runs, the screen is drawn every 33 ms of the host's, but drawing takes
//! at most a twentieth of the time. Raw mode and its end are the caller's.

use super::{Next, Screen};
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyEventKind};
use crossterm::queue;
use crossterm::style::{Attribute, Color as Ink, Print, SetAttribute, SetForegroundColor};
use crossterm::terminal::{self, Clear, ClearType};
use ratatui_core::buffer::{Buffer, Cell};
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier};
use std::cell::RefCell;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Time between two pictures of a running machine.
const FRAME: Duration = Duration::from_millis(33);
/// The part of the time that drawing may take.
const SHARE: u32 = 20;
/// How long to wait for a key before looking whether the program is asked to end.
const WAIT: Duration = Duration::from_millis(100);

/// What the terminal shows, so that only what differs is written.
struct Paper {
    shown: Buffer,
}

impl Paper {
    fn new() -> Self {
        Self { shown: Buffer::empty(Rect::ZERO) }
    }

    /// Makes the terminal show this.
    fn show(&mut self, buffer: Buffer, cursor: Option<(u16, u16)>) -> io::Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        queue!(out, Hide)?;
        if self.shown.area() != buffer.area() {
            queue!(out, SetAttribute(Attribute::Reset), Clear(ClearType::All))?;
            self.shown = Buffer::empty(*buffer.area());
        }
        let mut next = None;
        let mut look = None;
        for (x, y, cell) in self.shown.diff_iter(&buffer) {
            if next != Some((x, y)) {
                queue!(out, MoveTo(x, y))?;
            }
            if look != Some((cell.fg, cell.modifier)) {
                set_look(&mut out, cell)?;
                look = Some((cell.fg, cell.modifier));
            }
            queue!(out, Print(cell.symbol()))?;
            next = Some((x + 1, y));
        }
        queue!(out, SetAttribute(Attribute::Reset))?;
        if let Some((x, y)) = cursor {
            queue!(out, MoveTo(x, y), Show)?;
        }
        self.shown = buffer;
        out.flush()
    }
}

fn set_look(out: &mut impl Write, cell: &Cell) -> io::Result<()> {
    queue!(out, SetAttribute(Attribute::Reset))?;
    let attributes = [
        (Modifier::BOLD, Attribute::Bold),
        (Modifier::DIM, Attribute::Dim),
        (Modifier::UNDERLINED, Attribute::Underlined),
        (Modifier::REVERSED, Attribute::Reverse),
    ];
    for (modifier, attribute) in attributes {
        if cell.modifier.contains(modifier) {
            queue!(out, SetAttribute(attribute))?;
        }
    }
    let ink = match cell.fg {
        Color::Red => Ink::DarkRed,
        Color::Magenta => Ink::DarkMagenta,
        Color::Cyan => Ink::DarkCyan,
        _ => return Ok(()),
    };
    queue!(out, SetForegroundColor(ink))
}

/// Shows a screen and does what keys and mouse say, until the person leaves or `ends` says that
/// the program is to end. The terminal is in raw mode and shows its other screen.
pub fn run(screen: &mut Screen, ends: impl Fn() -> bool + 'static) -> io::Result<()> {
    let paper = Rc::new(RefCell::new(Paper::new()));
    let ends = Rc::new(ends);
    watch(screen, &paper, ends.clone());
    let (width, height) = terminal::size()?;
    screen.resize(width, height);
    while !ends() {
        let (buffer, cursor) = screen.draw();
        paper.borrow_mut().show(buffer, cursor)?;
        if !event::poll(WAIT)? {
            continue;
        }
        let next = match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => screen.key(key),
            Event::Mouse(mouse) => screen.mouse(mouse),
            Event::Resize(width, height) => {
                screen.resize(width, height);
                Next::Redraw
            }
            _ => Next::On,
        };
        match next {
            Next::On => {}
            Next::Redraw => *paper.borrow_mut() = Paper::new(),
            Next::Quit => break,
        }
    }
    Ok(())
}

/// Draws while the machine runs, and stops it at a key.
fn watch(screen: &mut Screen, paper: &Rc<RefCell<Paper>>, ends: Rc<impl Fn() -> bool + 'static>) {
    let (view, paper) = (screen.view(), paper.clone());
    let mut due = Instant::now();
    screen.explorer_mut().set_between(move |explorer| {
        if ends() {
            return ControlFlow::Break(());
        }
        if let Ok(true) = event::poll(Duration::ZERO) {
            match event::read() {
                Ok(Event::Resize(width, height)) => {
                    view.borrow_mut().area = Rect::new(0, 0, width, height);
                }
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    return ControlFlow::Break(());
                }
                _ => {}
            }
        }
        let begun = Instant::now();
        if begun >= due {
            let view = view.borrow();
            let mut buffer = Buffer::empty(view.area);
            let cursor = view.draw(explorer, &mut buffer);
            // A terminal that is gone ends the loop that waits for keys.
            let _ = paper.borrow_mut().show(buffer, cursor);
            let now = Instant::now();
            due = now + FRAME.max((now - begun) * SHARE);
        }
        ControlFlow::Continue(())
    });
}
