//! The tables of the text report: comfy-table without borders, at most [`WIDTH`] columns wide.

use anstyle::{AnsiColor, Color as AnsiStyleColor, Effects, Style};
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row, Table as Layout,
    presets,
};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Most terminal columns of a line.
pub(super) const WIDTH: u16 = 120;
const GAP: u16 = 2;

pub(super) fn left(text: impl Into<String>) -> Cell {
    Cell::new(text.into())
}

pub(super) fn right(text: impl Into<String>) -> Cell {
    Cell::new(text.into()).set_alignment(CellAlignment::Right)
}

/// The cell in this style.
pub(super) fn styled(cell: Cell, style: Style) -> Cell {
    let cell = match style.get_fg_color() {
        Some(AnsiStyleColor::Ansi(color)) => cell.fg(table_color(color)),
        Some(AnsiStyleColor::Ansi256(_) | AnsiStyleColor::Rgb(_)) | None => cell,
    };
    let attributes = [(Effects::BOLD, Attribute::Bold), (Effects::DIMMED, Attribute::Dim)];
    let set = attributes.into_iter().filter(|(effect, _)| style.get_effects().contains(*effect));
    set.fold(cell, |cell, (_, attribute)| cell.add_attribute(attribute))
}

/// The same terminal color: comfy-table calls the normal ones dark.
const fn table_color(color: AnsiColor) -> Color {
    match color {
        AnsiColor::Red => Color::DarkRed,
        AnsiColor::Green => Color::DarkGreen,
        AnsiColor::Yellow => Color::DarkYellow,
        AnsiColor::Blue => Color::DarkBlue,
        _ => Color::Reset,
    }
}

/// A table that is written at an indent.
pub(super) struct Table {
    indent: u16,
    layout: Layout,
}

impl Table {
    pub(super) fn new(indent: u16) -> Self {
        let mut layout = Layout::new();
        layout.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        // Styles are always written; the caller strips them where they do not belong.
        layout.set_width(WIDTH).force_no_tty().enforce_styling();
        Self { indent, layout }
    }

    /// A table with a row of dimmed headings.
    pub(super) fn with_head(indent: u16, head: impl IntoIterator<Item = Cell>) -> Self {
        let mut table = Self::new(indent);
        table.layout.set_header(head.into_iter().map(|cell| styled(cell, Style::new().dimmed())));
        table
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row = Row::from(cells.into_iter().collect::<Vec<_>>());
        self.layout.add_row(std::mem::take(row.max_height(1)));
    }

    /// Writes the table. The last column is cut when a line would be too long.
    pub(super) fn write(mut self, out: &mut String) {
        let last = self.layout.column_count().saturating_sub(1);
        for (at, column) in self.layout.column_iter_mut().enumerate() {
            column.set_padding((if at == 0 { self.indent } else { GAP }, 0));
            if at < last {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        for line in self.layout.lines() {
            out.push_str(&trimmed(&line));
            out.push('\n');
        }
    }
}

/// The line without trailing spaces. comfy-table fills a styled cell before it ends the style, so that the spaces come before the
/// trailing escape sequences.
fn trimmed(line: &str) -> String {
    let line = line.trim_end();
    let is_parameter = |byte: u8| byte.is_ascii_digit() || byte == b';';
    let sequence = line.strip_suffix('m').and_then(|text| text.rsplit_once("\u{1b}["));
    match sequence {
        Some((text, parameters)) if parameters.bytes().all(is_parameter) => {
            trimmed(text) + &line[text.len()..]
        }
        Some(_) | None => line.to_owned(),
    }
}

/// The text in at most `width` terminal columns.
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

/// A bar that is `columns` terminal columns long for a share of 1.
pub(super) fn bar(share: f64, columns: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
    // A share above 0 is visible, however small it is.
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
    fn columns_are_aligned_by_their_width_on_a_terminal() {
        let mut table = Table::with_head(1, [left("name"), right("n")]);
        table.row([left("日本"), right("10"), left("x".repeat(200))]);
        let mut out = String::new();
        table.write(&mut out);
        let plain = anstream::adapter::strip_str(&out).to_string();
        let lines: Vec<_> = plain.lines().collect();
        assert_eq!(lines[0], " name   n");
        assert!(lines[1].starts_with(" 日本  10  xxx") && lines[1].ends_with("x…"), "{}", lines[1]);
        assert_eq!(lines[1].width(), usize::from(WIDTH));
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!([bar(0.0, 4), bar(1e-9, 4), bar(0.5, 4), bar(1.0, 4)], ["", "▏", "██", "████"]);
        assert_eq!([bar(0.3, 4), bar(f64::NAN, 4), bar(7.0, 4)], ["█▎", "", "████"]);
    }
}
