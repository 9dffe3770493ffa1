//! A place in what is scrolled through: moving, searching, and the text between two.

use std::ops::Range;

use unicode_width::UnicodeWidthChar;

use crate::screen::{RowText, Rows};

/// A cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub row: usize,
    pub column: usize,
}

impl Place {
    pub(super) fn left(&mut self, document: &Rows) {
        let row = document.text(self.row);
        self.column = row.columns.iter().copied().filter(|column| *column < self.column).max().unwrap_or(0);
    }

    pub(super) fn right(&mut self, document: &Rows) {
        let row = document.text(self.row);
        if let Some(next) = row.columns.iter().copied().find(|column| *column > self.column) {
            self.column = next;
        }
    }

    pub(super) fn end(&mut self, document: &Rows) {
        self.column = document.text(self.row).columns.last().copied().unwrap_or(0);
    }

    pub(super) fn next_word(&mut self, document: &Rows) {
        if let Some(start) = words(&document.text(self.row)).find(|start| *start > self.column) {
            self.column = start;
        } else if self.row + 1 < document.count() {
            *self = Place { row: self.row + 1, column: words(&document.text(self.row + 1)).next().unwrap_or(0) };
        }
    }

    pub(super) fn previous_word(&mut self, document: &Rows) {
        if let Some(start) = words(&document.text(self.row)).filter(|start| *start < self.column).last() {
            self.column = start;
        } else if self.row > 0 {
            *self = Place { row: self.row - 1, column: words(&document.text(self.row - 1)).last().unwrap_or(0) };
        }
    }
}

/// The columns at which words begin.
fn words(row: &RowText) -> impl Iterator<Item = usize> {
    let mut before = ' ';
    row.text.chars().zip(&row.columns).filter_map(move |(c, column)| {
        let begins = before.is_whitespace() && !c.is_whitespace();
        before = c;
        begins.then_some(*column)
    })
}

/// The two in their order.
pub(super) fn ordered(one: Place, other: Place) -> (Place, Place) {
    if one <= other { (one, other) } else { (other, one) }
}

/// The text from one place to the other, both included; a line that goes on in the next row
/// stays one.
pub(super) fn text(document: &Rows, one: Place, other: Place) -> String {
    let (from, to) = ordered(one, other);
    let mut out = String::new();
    for row in from.row..=to.row {
        let RowText { text, columns, continues } = document.text(row);
        let start = if row == from.row { from.column } else { 0 };
        let end = if row == to.row { to.column } else { usize::MAX };
        out.extend(text.chars().zip(&columns).filter(|(_, column)| (start..=end).contains(*column)).map(|(c, _)| c));
        if row < to.row && !continues {
            out.push('\n');
        }
    }
    out
}

/// The last place before `from` where `pattern` begins.
pub(super) fn find_back(document: &Rows, pattern: &str, from: Place) -> Option<Place> {
    (0..=from.row).rev().find_map(|row| {
        let limit = if row == from.row { from.column } else { usize::MAX };
        let column = starts(&document.text(row), pattern).rfind(|column| *column < limit)?;
        Some(Place { row, column })
    })
}

/// The first place after `from` where `pattern` begins.
pub(super) fn find_on(document: &Rows, pattern: &str, from: Place) -> Option<Place> {
    (from.row..document.count()).find_map(|row| {
        let above = |column: &usize| row > from.row || *column > from.column;
        let column = starts(&document.text(row), pattern).find(above)?;
        Some(Place { row, column })
    })
}

/// The columns at which `pattern` begins in a row.
fn starts(row: &RowText, pattern: &str) -> impl DoubleEndedIterator<Item = usize> {
    matches(row, pattern).into_iter().map(|found| found.start)
}

/// The columns in which `pattern` is in a row. Without a capital letter in it, case does not
/// matter.
pub(super) fn matches(row: &RowText, pattern: &str) -> Vec<Range<usize>> {
    let exact = pattern.chars().any(char::is_uppercase);
    let fold = |c: char| if exact { c } else { c.to_lowercase().next().unwrap_or(c) };
    let wanted: Vec<char> = pattern.chars().map(fold).collect();
    let text: Vec<char> = row.text.chars().map(fold).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let found = text.windows(wanted.len()).enumerate().filter(|(_, part)| *part == wanted);
    let columns = |at: usize| {
        let last = at + wanted.len() - 1;
        let width = text[last].width().unwrap_or(0).max(1);
        Some(*row.columns.get(at)?..row.columns.get(last)? + width)
    };
    found.filter_map(|(at, _)| columns(at)).collect()
}
