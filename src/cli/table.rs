//! Tables: columns for people at a terminal, tab-separated lines for everything else.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Output;

/// What stands between two columns.
const GAP: usize = 2;
/// A column that gives way to others keeps this width.
const MIN_WIDTH: usize = 8;

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    right: bool,
    gives_way: bool,
    optional: bool,
}

impl Column {
    /// A column that is always shown whole.
    pub const fn new(title: &'static str) -> Self {
        Column { title, right: false, gives_way: false, optional: false }
    }

    /// Numbers: aligned at the right.
    #[must_use]
    pub const fn right(self) -> Self {
        Column { right: true, ..self }
    }

    /// Cut when the terminal is too narrow.
    #[must_use]
    pub const fn gives_way(self) -> Self {
        Column { gives_way: true, ..self }
    }

    /// Left out at a terminal when no row has anything in it.
    #[must_use]
    pub const fn optional(self) -> Self {
        Column { optional: true, ..self }
    }
}

/// One cell.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text with a style, which is used at terminals with colours.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Cell { text: plain(&text.into()), style }
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell { text: plain(&text.to_string()), style: Style::new() }
    }
}

/// Rows below column titles.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: &[Column]) -> Self {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row: a cell for each column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The table as the output wants it: titles, columns and colours at a terminal, else
    /// whole cells with tabs between them and no titles.
    pub fn render(&self, output: &Output) -> String {
        if output.terminal { self.columns(output.width(), output.colour) } else { self.tabs() }
    }

    fn tabs(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(|c| c.text.as_str()).collect();
            text.push_str(&cells.join("\t"));
            text.push('\n');
        }
        text
    }

    fn columns(&self, width: usize, colour: bool) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let longest = |n: usize| self.rows.iter().filter_map(|r| r.get(n)).map(|c| c.text.width()).max().unwrap_or(0);
        let shown: Vec<(usize, Column)> =
            self.columns.iter().copied().enumerate().filter(|(n, c)| !c.optional || longest(*n) > 0).collect();
        let mut widths: Vec<usize> = shown.iter().map(|(n, c)| longest(*n).max(c.title.width())).collect();
        let gaps = GAP * shown.len().saturating_sub(1);
        let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
        while over > 0 {
            // The widest of those that give way is cut down to the next widest, or as far as needed.
            let open = |n: usize, w: usize| shown[n].1.gives_way && w > MIN_WIDTH;
            let Some(widest) = (0..widths.len()).filter(|n| open(*n, widths[*n])).max_by_key(|n| widths[*n]) else {
                break;
            };
            let next = (0..widths.len()).filter(|n| *n != widest && open(*n, widths[*n])).map(|n| widths[n]).max();
            let floor = next.filter(|w| *w < widths[widest]).unwrap_or(MIN_WIDTH).max(MIN_WIDTH);
            let cut = over.min((widths[widest] - floor).max(1));
            widths[widest] -= cut;
            over -= cut;
        }
        let mut text = String::new();
        let title = if colour { Style::new().bold() } else { Style::new() };
        let titles = shown.iter().map(|(_, c)| Cell { text: c.title.into(), style: title });
        line(&mut text, titles.zip(&shown).map(|(cell, (_, c))| (cell, c.right)), &widths, width);
        for row in &self.rows {
            let cells = shown.iter().map(|(n, c)| {
                let cell = row.get(*n).cloned().unwrap_or_default();
                (Cell { style: if colour { cell.style } else { Style::new() }, ..cell }, c.right)
            });
            line(&mut text, cells, &widths, width);
        }
        text
    }
}

/// One line, cut at the terminal's width.
fn line(text: &mut String, cells: impl Iterator<Item = (Cell, bool)>, widths: &[usize], width: usize) {
    let mut used = 0;
    let mut blanks = 0;
    for ((cell, right), own) in cells.zip(widths) {
        let own = (*own).min(width.saturating_sub(used + blanks));
        let content = cut(&cell.text, own);
        let pad = own - content.width().min(own);
        let (before, after) = if right { (pad, 0) } else { (0, pad) };
        if !content.is_empty() {
            // Blanks are only written before something: no line ends with them.
            text.extend(std::iter::repeat_n(' ', blanks + before));
            text.push_str(&format!("{}{content}{}", cell.style.render(), cell.style.render_reset()));
            used += blanks + before + content.width();
            blanks = after + GAP;
        } else {
            blanks += own + GAP;
        }
    }
    text.push('\n');
}

/// At most `width` columns of the text, with an ellipsis where something is missing.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = match width.checked_sub(1) {
        Some(left) => left,
        None => return String::new(),
    };
    let mut short = String::new();
    for c in text.chars() {
        match left.checked_sub(c.width().unwrap_or(0)) {
            Some(rest) => left = rest,
            None => break,
        }
        short.push(c);
    }
    short.push('…');
    short
}

/// The text without anything that could move a terminal's cursor or split a line.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// As [`plain`], for text of several lines.
pub fn plain_lines(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&[
            Column::new("ID").right(),
            Column::new("TITLE").gives_way(),
            Column::new("LABELS").optional(),
            Column::new("REASON").gives_way(),
        ]);
        let red = Style::new().fg_color(Some(anstyle::AnsiColor::Red.into()));
        table.row(vec![1.into(), "Fix the login of the web client".into(), "".into(), "all 4 slots are taken".into()]);
        table.row(vec![42.into(), Cell::styled("日本語のタイトル", red), "".into(), "".into()]);
        table
    }

    #[test]
    fn wide_enough_shows_everything_and_no_blanks_at_the_end() {
        assert_eq!(
            sample().columns(80, false),
            concat!(
                "ID  TITLE                            REASON\n",
                " 1  Fix the login of the web client  all 4 slots are taken\n",
                "42  日本語のタイトル\n"
            )
        );
    }

    #[test]
    fn every_width_holds() {
        for width in 0..80 {
            for line in sample().columns(width, false).lines() {
                assert!(line.width() <= width, "{width}: {line:?}");
            }
        }
        // The widest gives way first.
        assert_eq!(
            sample().columns(50, false).lines().nth(1),
            Some(" 1  Fix the login of the w…  all 4 slots are taken")
        );
    }

    #[test]
    fn tabs_are_whole_and_cells_cannot_break_lines() {
        let mut table = Table::new(&[Column::new("A"), Column::new("B").optional()]);
        table.row(vec!["x\ty\n\u{1b}[2J".into(), "".into()]);
        assert_eq!(table.tabs(), "x y  [2J\t\n");
    }

    #[test]
    fn what_is_said_may_have_lines_but_moves_nothing() {
        assert_eq!(plain_lines("a\n\u{1b}[2Jb\r\u{9b}c\u{7}"), "a\n [2Jb  c ");
    }

    #[test]
    fn colours_only_where_wanted() {
        assert!(!sample().columns(80, false).contains('\u{1b}'));
        let coloured = sample().columns(80, true);
        assert!(coloured.contains("\u{1b}[31m日本語のタイトル\u{1b}[0m"), "{coloured:?}");
    }

    #[test]
    fn cutting_counts_columns() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(cut("abc", 1), "…");
    }
}
