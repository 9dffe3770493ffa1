//! A screen with its history as rows that can be read and painted one by one: for who
//! scrolls back and searches in a copy of a session's screen.

use std::fmt;
use std::ops::Range;

use alacritty_terminal::grid::{Dimensions, Row};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};

use super::model::{Model, as_line};
use super::pen::Pen;
use super::{Screen, outer_size};

/// One row as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowText {
    /// Its characters, without what is blank at the end.
    pub text: String,
    /// The column of each character of `text`.
    pub columns: Vec<usize>,
    /// The next row goes on with the same line.
    pub continues: bool,
}

/// All rows of a screen: of its history, and of what it shows.
pub struct Rows(Model);

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rows").field(&self.count()).finish()
    }
}

impl Screen {
    /// What it shows and has kept, for reading.
    pub fn into_rows(self) -> Rows {
        Rows(self.engine.into_model())
    }
}

impl Rows {
    /// How many there are, without blank ones at the end.
    pub fn count(&self) -> usize {
        let grid = self.0.grid();
        let used = |line: &usize| grid[as_line(*line)][..].iter().any(|cell| cell.c != ' ' || cell.extra.is_some());
        let shown = (0..grid.screen_lines()).rev().find(used).map_or(0, |line| line + 1);
        grid.history_size() + shown
    }

    /// The row at `index`, counted from the oldest.
    pub fn text(&self, index: usize) -> RowText {
        let Some(row) = self.at(index) else { return RowText::default() };
        let mut found = RowText { continues: continues(row), ..RowText::default() };
        let mut end = (0, 0);
        for (column, cell) in row[..].iter().enumerate() {
            if cell.flags.intersects(Flags::WIDE_CHAR_SPACER | Flags::LEADING_WIDE_CHAR_SPACER) {
                continue;
            }
            for c in std::iter::once(&cell.c).chain(cell.zerowidth().into_iter().flatten()) {
                found.text.push(*c);
                found.columns.push(column);
            }
            if cell.c != ' ' {
                end = (found.text.len(), found.columns.len());
            }
        }
        if !found.continues {
            found.text.truncate(end.0);
            found.columns.truncate(end.1);
        }
        found
    }

    /// The first `columns` columns of the row at `index` as escape sequences for a blank
    /// line, those in `marked` with text and background exchanged.
    pub fn paint(&self, index: usize, columns: usize, marked: &[Range<usize>]) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(row) = self.at(index) else { return out };
        let columns = columns.min(row.len());
        let end = row[..Column(columns)].iter().rposition(|cell| *cell != Cell::default()).map_or(0, |last| last + 1);
        let end = marked.iter().fold(end, |end, marked| end.max(marked.end.min(columns)));
        let mut pen = Pen::default();
        for (column, cell) in row[..Column(end)].iter().enumerate() {
            if cell.flags.contains(Flags::WIDE_CHAR_SPACER) {
                continue;
            }
            // Half of a wide character has no place at the edge.
            let whole = !cell.flags.contains(Flags::WIDE_CHAR) || column + 1 < columns;
            let mut painted = cell.clone();
            if marked.iter().any(|marked| marked.contains(&column)) {
                painted.flags.toggle(Flags::INVERSE);
            }
            pen.change(&mut out, &painted);
            let mut buffer = [0; 4];
            let c = if whole && !cell.c.is_control() { cell.c } else { ' ' };
            out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            for mark in cell.zerowidth().into_iter().flatten().filter(|_| whole) {
                out.extend_from_slice(mark.encode_utf8(&mut buffer).as_bytes());
            }
        }
        pen.reset(&mut out);
        out
    }

    /// Columns and rows of the screen.
    pub fn size(&self) -> (u16, u16) {
        outer_size(&self.0)
    }

    fn at(&self, index: usize) -> Option<&Row<Cell>> {
        let grid = self.0.grid();
        let from_top = i32::try_from(index).ok()?;
        let line = Line(grid.topmost_line().0.checked_add(from_top)?);
        (line <= grid.bottommost_line()).then(|| &grid[line])
    }
}

fn continues(row: &Row<Cell>) -> bool {
    row[Column(row.len() - 1)].flags.contains(Flags::WRAPLINE)
}
