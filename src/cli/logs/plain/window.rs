//! The rows that can still be rewritten.

use std::collections::VecDeque;

use unicode_width::UnicodeWidthChar;

use super::{MAX_CELLS, MAX_ROWS};

/// Combining marks kept in one row: what writing systems need, not what a joker sends.
const MAX_MARKS: usize = 2 * MAX_CELLS;
/// The second cell of a wide character.
const WIDE: char = '\0';

/// One row of letters.
#[derive(Debug, Default)]
struct Row {
    cells: Vec<char>,
    /// Combining marks and the cell each belongs to, in order.
    marks: Vec<(usize, char)>,
    /// The line goes on in the next row.
    goes_on: bool,
}

impl Row {
    fn print(&self, out: &mut Vec<u8>) {
        let end = match self.goes_on {
            true => self.cells.len(),
            false => self.cells.iter().rposition(|c| *c != ' ').map_or(0, |last| last + 1),
        };
        let mut marks = self.marks.iter().peekable();
        for (at, c) in self.cells[..end].iter().enumerate() {
            let letter = (*c != WIDE).then_some(*c);
            let own = std::iter::from_fn(|| marks.next_if(|(cell, _)| *cell <= at)).map(|(_, mark)| *mark);
            for c in letter.into_iter().chain(own) {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        if !self.goes_on {
            out.push(b'\n');
        }
    }

    fn is_blank(&self) -> bool {
        self.cells.iter().all(|c| *c == ' ')
    }

    /// Takes away what would be left of wide characters cut at `at`, and the marks of
    /// cells from `at` to `end`.
    fn cut(&mut self, at: usize, end: usize) {
        for edge in [at, end] {
            if self.cells.get(edge) == Some(&WIDE) && edge > 0 {
                self.cells[edge - 1] = ' ';
                self.cells[edge] = ' ';
            }
        }
        self.marks.retain(|(cell, _)| !(at..end).contains(cell));
    }

    fn fill_to(&mut self, column: usize) {
        if self.cells.len() < column {
            self.cells.resize(column, ' ');
        }
    }
}

/// The last rows, and the cursor in them.
#[derive(Debug)]
pub(super) struct Window {
    rows: VecDeque<Row>,
    height: usize,
    row: usize,
    /// The cursor's cell, below [`MAX_CELLS`] or, after the last one, equal to it.
    pub(super) column: usize,
    saved: (usize, usize),
}

impl Window {
    pub(super) fn new(height: u16) -> Self {
        let height = usize::from(height.clamp(1, MAX_ROWS));
        Window { rows: VecDeque::from([Row::default()]), height, row: 0, column: 0, saved: (0, 0) }
    }

    pub(super) fn height_wanted(&self) -> u16 {
        u16::try_from(self.height).unwrap_or(MAX_ROWS)
    }

    pub(super) fn set_height(&mut self, height: usize, out: &mut Vec<u8>) {
        self.height = height.max(1);
        self.scroll(out);
    }

    /// Prints rows that do not fit any more. The cursor's stays.
    fn scroll(&mut self, out: &mut Vec<u8>) {
        while self.rows.len() > self.height {
            if self.row == 0 {
                // The cursor is at the top: what lies below it is what must go.
                if self.rows.iter().skip(1).all(Row::is_blank) {
                    self.rows.truncate(self.height);
                    return;
                }
                self.row += 1;
            }
            if let Some(row) = self.rows.pop_front() {
                row.print(out);
                self.row -= 1;
                self.saved.0 = self.saved.0.saturating_sub(1);
            }
        }
    }

    pub(super) fn put(&mut self, c: char, out: &mut Vec<u8>) {
        let Some(width) = c.width() else { return };
        if width == 0 {
            let column = self.column;
            let row = &mut self.rows[self.row];
            if column > 0 && row.cells.len() >= column && row.marks.len() < MAX_MARKS {
                let at = row.marks.partition_point(|(cell, _)| *cell < column);
                row.marks.insert(at, (column - 1, c));
            }
            return;
        }
        if self.column + width > MAX_CELLS {
            self.rows[self.row].goes_on = true;
            self.column = 0;
            self.line_feed(out);
        }
        let (start, end) = (self.column, self.column + width);
        let row = &mut self.rows[self.row];
        if row.cells.len() == start {
            // The usual case: at the end of the row.
            row.cells.push(c);
        } else {
            row.fill_to(end);
            row.cut(start, end);
            row.cells[start] = c;
        }
        row.fill_to(end);
        row.cells[start + 1..end].fill(WIDE);
        self.column = end;
    }

    pub(super) fn line_feed(&mut self, out: &mut Vec<u8>) {
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.push_back(Row::default());
            self.scroll(out);
        }
    }

    pub(super) fn left(&mut self, count: usize) {
        self.column = self.column.saturating_sub(count);
    }

    pub(super) fn up(&mut self, count: usize) {
        self.row = self.row.saturating_sub(count);
    }

    pub(super) fn down(&mut self, count: usize) {
        self.row_exists((self.row + count).min(self.height - 1));
    }

    pub(super) fn go_to_row(&mut self, row: usize) {
        self.row_exists(row.min(self.height - 1));
    }

    fn row_exists(&mut self, row: usize) {
        let needed = row + 1;
        while self.rows.len() < needed {
            self.rows.push_back(Row::default());
        }
        self.row = row;
    }

    pub(super) fn save(&mut self) {
        self.saved = (self.row, self.column);
    }

    pub(super) fn restore(&mut self) {
        self.row = self.saved.0.min(self.rows.len() - 1);
        self.column = self.saved.1;
    }

    /// As `CSI n J`: 0 below, 1 above, else all.
    pub(super) fn erase_rows(&mut self, which: usize) {
        let row = self.row;
        let (above, below) = (which != 0, which != 1);
        for (at, line) in self.rows.iter_mut().enumerate() {
            if (at < row && above) || (at > row && below) {
                *line = Row::default();
            }
        }
        self.erase_cells(which);
    }

    /// As `CSI n K`: 0 to the end, 1 from the beginning, else the whole row.
    pub(super) fn erase_cells(&mut self, which: usize) {
        let column = self.column;
        let row = &mut self.rows[self.row];
        match which {
            0 => {
                row.cut(column, usize::MAX);
                row.cells.truncate(column);
                row.goes_on = false;
            }
            1 => self.blank_between(0, column + 1),
            _ => *row = Row::default(),
        }
    }

    pub(super) fn blank(&mut self, count: usize) {
        self.blank_between(self.column, self.column + count);
    }

    fn blank_between(&mut self, start: usize, end: usize) {
        let row = &mut self.rows[self.row];
        let end = end.min(row.cells.len());
        if start < end {
            row.cut(start, end);
            row.cells[start..end].fill(' ');
        }
    }

    pub(super) fn delete(&mut self, count: usize) {
        let start = self.column;
        let row = &mut self.rows[self.row];
        let end = (start + count).min(row.cells.len());
        if start < end {
            row.cut(start, end);
            row.cells.drain(start..end);
            for (cell, _) in row.marks.iter_mut().filter(|(cell, _)| *cell >= end) {
                *cell -= end - start;
            }
        }
    }

    pub(super) fn insert(&mut self, count: usize) {
        let start = self.column;
        let row = &mut self.rows[self.row];
        if start < row.cells.len() {
            row.cut(start, start);
            let count = count.min(MAX_CELLS - start);
            row.cells.splice(start..start, std::iter::repeat_n(' ', count));
            row.cells.truncate(MAX_CELLS);
            for (cell, _) in row.marks.iter_mut().filter(|(cell, _)| *cell >= start) {
                *cell += count;
            }
        }
    }

    /// Lines that [`Window::print_all`] would print.
    pub(super) fn open_lines(&self) -> usize {
        let rows = self.rows.iter().rposition(|row| !row.is_blank()).map_or(0, |last| last + 1);
        self.rows.iter().take(rows.saturating_sub(1)).filter(|row| !row.goes_on).count() + usize::from(rows > 0)
    }

    /// Takes away rows at the top until at most `lines` lines would be printed.
    pub(super) fn drop_above(&mut self, lines: usize) {
        let mut out = Vec::new();
        while self.open_lines() > lines && self.rows.len() > 1 {
            let height = std::mem::replace(&mut self.height, self.rows.len() - 1);
            self.scroll(&mut out);
            self.height = height;
        }
        if lines == 0 {
            self.rows[self.row] = Row::default();
        }
    }

    /// Prints every row and clears it. The cursor stays where it is.
    pub(super) fn take_rows(&mut self, out: &mut Vec<u8>) {
        let (row, column, saved) = (self.row, self.column, self.saved);
        self.print_all(out);
        self.row_exists(row);
        (self.column, self.saved) = (column, saved);
    }

    /// Prints every row that is left, without blank ones at the end.
    pub(super) fn print_all(&mut self, out: &mut Vec<u8>) {
        while self.rows.back().is_some_and(Row::is_blank) {
            self.rows.pop_back();
        }
        if let Some(last) = self.rows.back_mut() {
            last.goes_on = false;
        }
        for row in self.rows.drain(..) {
            row.print(out);
        }
        *self = Window::new(self.height_wanted());
    }
}
