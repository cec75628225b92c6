//! Tables with aligned columns, at most [`WIDTH`] wide.

use std::fmt::Write as _;

use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// No line is longer, in columns of a terminal.
pub(super) const WIDTH: usize = 120;
/// Between two columns.
const GAP: usize = 2;

/// One cell.
#[derive(Clone)]
pub(super) struct Cell {
    text: String,
    style: Style,
    right: bool,
}

impl Cell {
    /// Text, flush left.
    pub(super) fn left(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new(), right: false }
    }

    /// A number, flush right.
    pub(super) fn right(text: impl Into<String>) -> Self {
        Self { right: true, ..Self::left(text) }
    }

    pub(super) fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }

    fn write(&self, width: usize, last: bool, out: &mut String) {
        let text = cut(&self.text, width);
        let space = " ".repeat(width.saturating_sub(text.width()));
        if self.right {
            out.push_str(&space);
        }
        if !text.is_empty() {
            let _ = write!(out, "{}{text}{}", self.style.render(), self.style.render_reset());
        }
        if !self.right && !last {
            out.push_str(&space);
        }
    }
}

/// Rows of cells; a row may be shorter than others.
pub(super) struct Table {
    indent: usize,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) const fn new(indent: usize) -> Self {
        Self { indent, rows: Vec::new() }
    }

    /// Adds a row of headings, dim.
    pub(super) fn head(mut self, cells: Vec<Cell>) -> Self {
        self.rows.push(cells.into_iter().map(|cell| cell.styled(Style::new().dimmed())).collect());
        self
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Writes every row; the last column gives way when a line would be too long.
    pub(super) fn write(&self, out: &mut String) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.text.width().max(*width);
            }
        }
        if let Some((last, before)) = widths.split_last_mut() {
            let taken = self.indent + before.iter().map(|width| width + GAP).sum::<usize>();
            *last = (*last).min(WIDTH.saturating_sub(taken).max(8));
        }
        for row in &self.rows {
            out.push_str(&" ".repeat(self.indent));
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if at > 0 {
                    out.push_str(&" ".repeat(GAP));
                }
                cell.write(*width, at + 1 == row.len(), out);
            }
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
        }
    }
}

/// The text in at most so many columns.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut taken = 1;
    for char in text.chars() {
        taken += char.width().unwrap_or_default();
        if taken > width {
            break;
        }
        shown.push(char);
    }
    shown + "…"
}

/// A bar of so many columns for a share.
pub(super) fn bar(share: f64, columns: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
    // What is there is seen, however little it is.
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    let mut bar = "█".repeat(eighths / 8);
    if eighths % 8 > 0 {
        bar.push(EIGHTHS[eighths % 8]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_a_terminal_shows() {
        let mut table = Table::new(1).head(vec![Cell::left("name"), Cell::right("n")]);
        table.row(vec![Cell::left("日本"), Cell::right("10"), Cell::left("x".repeat(200))]);
        let mut out = String::new();
        table.write(&mut out);
        let plain = anstream::adapter::strip_str(&out).to_string();
        let lines: Vec<_> = plain.lines().collect();
        assert_eq!(lines[0], " name   n");
        assert!(lines[1].starts_with(" 日本  10  xxx") && lines[1].ends_with("x…"), "{}", lines[1]);
        assert_eq!(lines[1].width(), WIDTH);
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!([bar(0.0, 4), bar(1e-9, 4), bar(0.5, 4), bar(1.0, 4)], ["", "▏", "██", "████"]);
        assert_eq!([bar(0.3, 4), bar(f64::NAN, 4), bar(7.0, 4)], ["█▎", "", "████"]);
    }
}
