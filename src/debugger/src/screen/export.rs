//! A drawn screen as text and as SVG, for slides and handouts.
//!
//! Not modelled: colours of the person's terminal; the picture is dark on light.

use super::ScreenError;
use ratatui_core::buffer::{Buffer, Cell};
use ratatui_core::style::{Color, Modifier};
use std::fmt::Write;
use std::path::Path;

/// The size of a character in the picture, in pixels, and where its foot stands.
const CELL: (u32, u32) = (9, 18);
const FOOT: u32 = 14;

/// Writes the screen to a file; its ending says how.
pub(super) fn write(buffer: &Buffer, path: &Path) -> Result<(), ScreenError> {
    let text = match path.extension().and_then(|ending| ending.to_str()) {
        Some("txt") => text(buffer),
        Some("svg") => svg(buffer),
        _ => return Err(ScreenError::Ending(path.to_owned())),
    };
    std::fs::write(path, text).map_err(|error| ScreenError::File(path.to_owned(), error))
}

fn rows(buffer: &Buffer) -> impl Iterator<Item = &[Cell]> {
    buffer.content().chunks(usize::from(buffer.area().width).max(1))
}

/// Each row as a line of text.
pub(super) fn text(buffer: &Buffer) -> String {
    let row = |cells: &[Cell]| {
        let row: String = cells.iter().map(Cell::symbol).collect();
        format!("{}\n", row.trim_end())
    };
    rows(buffer).map(row).collect()
}

/// A picture: a rectangle for what is reversed, a text for each run of one style.
pub(super) fn svg(buffer: &Buffer) -> String {
    let (width, height) =
        (u32::from(buffer.area().width) * CELL.0, u32::from(buffer.area().height) * CELL.1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"15\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fcfcfa\"/>\n"
    );
    for (y, cells) in rows(buffer).enumerate() {
        let mut x = 0;
        while x < cells.len() {
            let first = &cells[x];
            let is_same = |cell: &&Cell| (cell.fg, cell.modifier) == (first.fg, first.modifier);
            let len = cells[x..].iter().take_while(is_same).count();
            let run: String = cells[x..x + len].iter().map(Cell::symbol).collect();
            element(&mut svg, (x as u32, y as u32), len as u32, (first, &run));
            x += len;
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn element(svg: &mut String, (x, y): (u32, u32), len: u32, (cell, run): (&Cell, &str)) {
    let is_reversed = cell.modifier.contains(Modifier::REVERSED);
    let (left, top, width) = (x * CELL.0, y * CELL.1, len * CELL.0);
    let ink = match cell.fg {
        Color::Red => "#b3261e",
        Color::Magenta => "#8a1c8a",
        Color::Cyan => "#00687a",
        _ => "#1c1c1c",
    };
    // Writing to a String does not fail.
    if is_reversed {
        let _ = writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{}\" fill=\"{ink}\"/>",
            CELL.1
        );
    }
    if run.trim().is_empty() {
        return;
    }
    let ink = if is_reversed { "#fcfcfa" } else { ink };
    let bold = if cell.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
    let dim = if cell.modifier.contains(Modifier::DIM) { " fill-opacity=\"0.65\"" } else { "" };
    let line = if cell.modifier.contains(Modifier::UNDERLINED) {
        " text-decoration=\"underline\""
    } else {
        ""
    };
    let _ = writeln!(
        svg,
        "<text x=\"{left}\" y=\"{}\" textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\" \
         xml:space=\"preserve\" fill=\"{ink}\"{bold}{dim}{line}>{}</text>",
        top + FOOT,
        escape(run)
    );
}

/// A text as XML has it. What XML cannot have is a space.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_the_text_escaped_and_the_rows_in_order() {
        let mut buffer = Buffer::with_lines(["a<b & c>d", "second"]);
        buffer[(0, 1)].modifier = Modifier::REVERSED;

        let svg = svg(&buffer);

        assert!(svg.contains("a&lt;b &amp; c&gt;d</text>"), "{svg}");
        assert!(svg.contains("<rect x=\"0\" y=\"18\" width=\"9\" height=\"18\""), "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert_eq!(text(&buffer), "a<b & c>d\nsecond\n");
    }

    #[test]
    fn the_ending_of_the_name_says_what_is_written() {
        let buffer = Buffer::with_lines(["x"]);
        let error = write(&buffer, Path::new("screen.png")).unwrap_err().to_string();
        assert!(error.contains(".txt") && error.contains(".svg"), "{error}");
        let error = write(&buffer, Path::new("/nowhere/at/all/s.txt")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all/s.txt"), "{error}");
    }
}
