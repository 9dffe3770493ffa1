//! Cells and the cursor, where the engine leaves something to be done: margins that stop the
//! cursor, wide characters cut apart, lines whose end moves, marks without number.

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::Column;
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::Flags;
use alacritty_terminal::vte::ansi::Handler;
use unicode_width::UnicodeWidthChar;

use super::model::{MARKS_MAX, Model, as_line, line_number, repair, repair_at};

impl Model {
    /// Moves the cursor to a line of the screen, keeping its column.
    pub(super) fn set_line(&mut self, line: usize) {
        let cursor = &mut self.term.grid_mut().cursor;
        cursor.point.line = as_line(line);
        cursor.input_needs_wrap = false;
    }

    /// Moves the cursor to a column, keeping its line.
    pub(super) fn set_column(&mut self, column: usize) {
        let last = self.term.last_column();
        let cursor = &mut self.term.grid_mut().cursor;
        cursor.point.column = Column(column).min(last);
        cursor.input_needs_wrap = false;
    }

    pub(super) fn line(&self) -> usize {
        line_number(self.grid().cursor.point.line)
    }

    pub(super) fn column(&self) -> usize {
        self.grid().cursor.point.column.0
    }

    /// Blanks the halves of wide characters cut apart in the cursor's line left of these
    /// columns.
    pub(super) fn mend<const N: usize>(&mut self, edges: [usize; N]) {
        let line = self.grid().cursor.point.line;
        let row = &mut self.term.grid_mut()[line];
        for edge in edges {
            for column in [edge.checked_sub(1), Some(edge)].into_iter().flatten() {
                repair_at(row, column);
            }
        }
    }

    /// The cursor's line no longer goes on in the next: its end is about to move.
    pub(super) fn end_line(&mut self) {
        let (line, last) = (self.grid().cursor.point.line, self.term.last_column());
        self.term.grid_mut()[line][last].flags.remove(Flags::WRAPLINE);
    }

    /// Any character.
    pub(super) fn print(&mut self, c: char) {
        // Nothing before U+00A0 takes no room.
        if c >= '\u{a0}' && c.width() == Some(0) && self.has_all_marks() {
            return;
        }
        if !self.shadow.reserved && self.grid().cursor.input_needs_wrap {
            self.reserve_history();
        }
        self.term.input(c);
        if self.mode().contains(TermMode::INSERT) {
            let line = self.grid().cursor.point.line;
            repair(&mut self.term.grid_mut()[line]);
        }
    }

    /// Whether the cell that a mark would go to has as many as it may.
    pub(super) fn has_all_marks(&self) -> bool {
        let cursor = &self.grid().cursor;
        let row = &self.grid()[cursor.point.line];
        let mut column = cursor.point.column.0;
        if !cursor.input_needs_wrap {
            column = column.saturating_sub(1);
        }
        if row[Column(column)].flags.contains(Flags::WIDE_CHAR_SPACER) {
            column = column.saturating_sub(1);
        }
        row[Column(column)].zerowidth().is_some_and(|marks| marks.len() >= MARKS_MAX)
    }

    /// More tabs than there are columns change nothing, but would take their time.
    pub(super) fn tabs_at_most(&self, count: u16) -> u16 {
        count.min(u16::try_from(self.term.columns()).unwrap_or(u16::MAX))
    }
}
