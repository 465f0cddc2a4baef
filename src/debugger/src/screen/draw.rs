//! The screen as characters: panes with their titles, timeline, status, message, popup.
//!
//! Shapes and marks say everything; bold, dim, reverse and three of the terminal's own colours only
//! stress it, so that light and dark terminals and those without colour show the same.

use super::layout::{LEAST, Place};
use super::view::{BELOW, Mode, Popup, View};
use crate::explorer::Explorer;
use crate::pane::{self, Pane};
use crate::text::{Line, Span, Style};
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Style as Look};

/// Rows of text in a popup.
pub(super) fn popup_rows(area: Rect) -> usize {
    usize::from(area.height.saturating_sub(BELOW + 2))
}

impl View {
    /// Draws everything; the result is where the cursor stands, if it is seen.
    pub fn draw(&self, explorer: &Explorer, buffer: &mut Buffer) -> Option<(u16, u16)> {
        let area = self.area.intersection(*buffer.area());
        if area.width < LEAST.0 || area.height < LEAST.1 {
            let text = format!(
                "{}x{} is too small: {}x{} is needed",
                area.width, area.height, LEAST.0, LEAST.1
            );
            put(buffer, (area.x, area.y), area.width, &text, Look::new());
            return None;
        }
        let places = self.places(explorer);
        for place in &places {
            self.pane(explorer, place, buffer);
        }
        let bottom = area.bottom();
        self.timeline(explorer, bottom - 3, places.len(), buffer);
        let kind = if explorer.is_live() { "live" } else { "recording" };
        let width = usize::from(area.width);
        let room = width.saturating_sub(kind.len() + 1);
        let status = format!("{:<room$} {kind}", cut(&explorer.place_within(room), room));
        put(buffer, (0, bottom - 2), area.width, &status, Look::new().reversed());
        if let Mode::Popup(popup) = &self.mode {
            self.popup(popup, buffer);
        }
        self.message(bottom - 1, buffer)
    }

    /// The look of a piece of text.
    fn looks(&self, style: Style) -> Look {
        let coloured = |look: Look, colour| if self.colour { look.fg(colour) } else { look };
        match style {
            Style::Plain => Look::new(),
            Style::Dim => Look::new().dim(),
            Style::Name => Look::new().bold(),
            Style::Current => coloured(Look::new().bold(), Color::Cyan),
            Style::Changed => coloured(Look::new().bold(), Color::Magenta),
            Style::Bad => coloured(Look::new().bold(), Color::Red),
        }
    }

    fn pane(&self, explorer: &Explorer, place: &Place, buffer: &mut Buffer) {
        let shown = self.shown[place.index];
        let (area, height) = (place.area, usize::from(place.area.height.saturating_sub(1)));
        let (lines, top, len) = if shown.pane == Pane::Code {
            self.code(explorer, height)
        } else {
            // What could go on for ever is asked for as much as is seen.
            let lines = self.lines(explorer, shown.pane, height + shown.rows);
            let top = self.top(shown.pane, lines.len(), height);
            let len = lines.len();
            (lines, top, len)
        };
        let more = if len > height && !super::layout::grows(shown.pane) {
            format!(" {}-{} of {len} ", top + 1, (top + height).min(len))
        } else {
            String::new()
        };
        self.title(place, shown.pane.name(), &more, buffer);
        for (n, line) in lines.iter().skip(top).take(height).enumerate() {
            let y = area.y + 1 + n as u16;
            self.line(line, (area.x, y, area.width), shown.columns, buffer);
        }
        if area.x > 0 {
            for y in area.y..area.bottom() {
                put(buffer, (area.x - 1, y), 1, "│", Look::new().dim());
            }
        }
    }

    fn title(&self, place: &Place, name: &str, more: &str, buffer: &mut Buffer) {
        let has_focus = place.index == self.focus;
        let (rule, look) =
            if has_focus { ("═", Look::new().bold()) } else { ("─", Look::new().dim()) };
        let width = usize::from(place.area.width);
        let head = if has_focus { format!("{rule}[{name}]") } else { format!("{rule} {name} ") };
        let used = head.chars().count() + more.chars().count();
        let text = format!("{head}{}{more}", rule.repeat(width.saturating_sub(used)));
        put(buffer, (place.area.x, place.area.y), place.area.width, &text, look);
    }

    /// The code with its cursor in sight.
    fn code(&self, explorer: &Explorer, height: usize) -> (Vec<Line>, usize, usize) {
        let (above, all) = self.listing(explorer, height + self.cursor.max(0) as usize);
        let mut lines: Vec<_> = all.into_iter().map(|(_, line)| line).collect();
        let at = (above as isize + self.cursor).clamp(0, lines.len() as isize - 1).max(0) as usize;
        if self.cursor != 0
            && let Some(line) = lines.get_mut(at)
            && let Some(first) = line.spans.first_mut()
        {
            first.text.replace_range(..1, ">");
            line.spans.iter_mut().for_each(|span| span.style = Style::Name);
        }
        let rest = above.saturating_sub(pane::above(height));
        let top = rest.min(at).max((at + 1).saturating_sub(height));
        let len = lines.len();
        (lines, top, len)
    }

    /// A line, from a column on, cut off at the pane's border with a mark.
    fn line(&self, line: &Line, (x, y, width): (u16, u16, u16), skip: usize, buffer: &mut Buffer) {
        let mut column = 0;
        let wanted = self.searched.to_lowercase();
        let width = usize::from(width);
        for Span { text, style } in &line.spans {
            for c in text.chars() {
                let at = column;
                column += 1;
                if at < skip || at - skip >= width {
                    continue;
                }
                let x = x + (at - skip) as u16;
                let c = if c.is_control() { ' ' } else { c };
                put(buffer, (x, y), 1, c.encode_utf8(&mut [0; 4]), self.looks(*style));
            }
        }
        if column > skip + width && width > 0 {
            put(buffer, (x + width as u16 - 1, y), 1, "…", Look::new());
        }
        if matches!(self.mode, Mode::Found) && !wanted.is_empty() {
            let text: String = line.spans.iter().map(|span| span.text.to_lowercase()).collect();
            for (start, hit) in text.match_indices(&wanted) {
                let first = text[..start].chars().count();
                let shown = (first..first + hit.chars().count())
                    .filter(|at| (skip..skip + width).contains(at));
                for at in shown {
                    let area = Rect::new(x + (at - skip) as u16, y, 1, 1);
                    buffer.set_style(area, Look::new().underlined().bold());
                }
            }
        }
    }

    /// Layout, then the run from its first instruction to the furthest known, and where this is.
    fn timeline(&self, explorer: &Explorer, y: u16, visible: usize, buffer: &mut Buffer) {
        let (start, width) = self.timeline_span(explorer);
        let hidden = self.shown.len() - visible.min(self.shown.len());
        let more = match (self.zoomed, hidden) {
            (true, _) => " zoomed".to_owned(),
            (_, 0) => String::new(),
            (_, n) => format!(" +{n}"),
        };
        put(buffer, (0, y), start, &format!("{}{more}", self.layout), Look::new().bold());
        put(buffer, (start - 1, y), 1, "├", Look::new());
        let (count, furthest) = (explorer.count(), explorer.furthest().max(1));
        let here = (u128::from(count) * u128::from(width - 1) / u128::from(furthest)) as u16;
        for n in 0..width {
            let (mark, look) = match n {
                n if n == here.min(width - 1) => ("┃", Look::new().bold()),
                n if n < here => ("━", Look::new()),
                _ => ("─", Look::new().dim()),
            };
            put(buffer, (start + n, y), 1, mark, look);
        }
        let end = format!("┤ {}", explorer.furthest());
        put(buffer, (start + width, y), self.area.width - start - width, &end, Look::new());
    }

    /// The first column of the timeline and how many it has.
    fn timeline_span(&self, explorer: &Explorer) -> (u16, u16) {
        const LAYOUT: u16 = 19;
        let number = explorer.furthest().to_string().len() as u16;
        (LAYOUT, self.area.width.saturating_sub(LAYOUT + number + 2).max(1))
    }

    /// The count of instructions at a place of the timeline.
    pub(super) fn timeline_at(&self, explorer: &Explorer, (x, y): (u16, u16)) -> Option<u64> {
        let (start, width) = self.timeline_span(explorer);
        if y + BELOW != self.area.height || x < start || x >= start + width || width < 2 {
            return None;
        }
        let part = u128::from(x - start) * u128::from(explorer.furthest());
        Some((part / u128::from(width - 1)) as u64)
    }

    fn message(&self, y: u16, buffer: &mut Buffer) -> Option<(u16, u16)> {
        let width = self.area.width;
        let entry = match &self.mode {
            Mode::Command(entry) => Some((":", entry)),
            Mode::Search(entry) => Some(("/", entry)),
            _ => None,
        };
        let Some((sign, entry)) = entry else {
            let running = Line::default().and(Style::Current, "running; any key stops it");
            let line = if self.running { &running } else { &self.message };
            self.line(line, (0, y, width), 0, buffer);
            return None;
        };
        // The message stands over the status while something is typed.
        if self.message.width() > 0 {
            put(buffer, (0, y - 1), width, &" ".repeat(usize::from(width)), Look::reset());
            self.line(&self.message, (0, y - 1, width), 0, buffer);
        }
        let room = usize::from(width).saturating_sub(3);
        let skip = entry.cursor().saturating_sub(room);
        let text: String = entry.text().chars().skip(skip).collect();
        put(buffer, (0, y), width, &format!("{sign}{text}"), Look::new());
        Some((1 + (entry.cursor() - skip) as u16, y))
    }

    fn popup(&self, popup: &Popup, buffer: &mut Buffer) {
        let widest = popup.lines.iter().map(Line::width).max().unwrap_or_default();
        let title = format!("[{}]", popup.title);
        let width = widest.max(title.chars().count() + 2).max(44).saturating_add(4);
        let width = width.min(usize::from(self.area.width)) as u16;
        let rows = popup.lines.len().min(popup_rows(self.area));
        let (height, inner) = (rows as u16 + 2, usize::from(width) - 2);
        let (x, y) = ((self.area.width - width) / 2, (self.area.height - BELOW - height) / 2);
        let look = Look::new().bold();
        let title = cut(&title, inner.saturating_sub(1));
        let rest = "═".repeat(inner.saturating_sub(1 + title.chars().count()));
        put(buffer, (x, y), width, &format!("╔═{title}{rest}╗"), look);
        for n in 0..rows {
            let y = y + 1 + n as u16;
            put(buffer, (x, y), width, &" ".repeat(usize::from(width)), Look::reset());
            put(buffer, (x, y), 1, "║", look);
            put(buffer, (x + width - 1, y), 1, "║", look);
            if let Some(line) = popup.lines.get(popup.top + n) {
                self.line(line, (x + 1, y, inner as u16), 0, buffer);
            }
        }
        let (first, all) = (popup.top + 1, popup.lines.len());
        let foot = if all > rows {
            format!(" {first}-{} of {all}; arrows scroll, Esc closes ", popup.top + rows)
        } else {
            " Esc closes ".to_owned()
        };
        let foot = cut(&foot, inner);
        let rest = "═".repeat(inner.saturating_sub(foot.chars().count()));
        put(buffer, (x, y + height - 1), width, &format!("╚{rest}{foot}╝"), look);
    }
}

/// A text of at most so many characters.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Writes a text into at most so many cells, as far as they are on the screen.
fn put(buffer: &mut Buffer, (x, y): (u16, u16), width: u16, text: &str, look: Look) {
    let area = *buffer.area();
    if x >= area.right() || y >= area.bottom() {
        return;
    }
    buffer.set_stringn(x, y, text, usize::from(width), look);
}
