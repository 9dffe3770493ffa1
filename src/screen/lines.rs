//! The lines of a picture: cells with their pens, and which lines are one.

use alacritty_terminal::grid::{Dimensions, Grid, Row};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};

use super::model::{as_line, line_number};
use super::pen::Pen;
use super::picture::Painter;

/// Most bytes of history in a picture: what a terminal draws within a few milliseconds.
const HISTORY_BYTES_MAX: usize = 256 * 1024;

/// A run of so many blanks is jumped over instead of written.
const JUMP_MIN: usize = 6;

impl Painter {
    /// The lines of the screen from the top left, above them up to `limit` lines of history.
    pub(super) fn lines(&mut self, grid: &Grid<Cell>, limit: usize) {
        self.home();
        let above = self.history(grid, limit);
        let last = self.top + self.height();
        // Blank lines at the end need no painting.
        let painted_above = |line| above > 0 || line > self.top;
        let needed = |line: &usize| {
            occupied(&grid[as_line(*line)]) > 0 || (painted_above(*line) && self.continues(grid, as_line(*line)))
        };
        let end = (self.top..last).rev().find(needed).map_or(self.top, |line| line + 1);
        for line in self.top..end {
            let first = line == self.top && above == 0;
            let joined = self.row(grid, as_line(line), !first, line + 1 < end);
            if !joined && line + 1 < end {
                self.new_line();
            }
        }
        self.pen.reset(&mut self.out);
        // History that has not left the screen yet.
        let scrolled = (above + (end - self.top).max(1)).saturating_sub(self.viewer.rows);
        if above > scrolled {
            put!(self.out, "\x1b[{};1H", self.viewer.rows);
            self.out.extend(std::iter::repeat_n(b'\n', above - scrolled));
        }
    }

    /// Each painted line by itself, as it goes into a blank one.
    pub(super) fn separate_lines(&mut self, grid: &Grid<Cell>) -> Vec<Vec<u8>> {
        let lines = self.top..self.top + self.height();
        lines
            .map(|line| {
                let start = self.out.len();
                self.row(grid, as_line(line), false, false);
                self.pen.reset(&mut self.out);
                self.out.split_off(start)
            })
            .collect()
    }

    /// Up to `limit` lines of history; returns how many.
    fn history(&mut self, grid: &Grid<Cell>, limit: usize) -> usize {
        let mut lines = Vec::new();
        let mut bytes = 0;
        // Newest first, until the room is used up.
        for line in (1..=limit.min(grid.history_size())).map(|back| as_line(0) - back) {
            let start = self.out.len();
            // Clipped lines of the screen are missing in between.
            let more = self.top == 0 || line < Line(-1);
            let joined = self.row(grid, line, true, more);
            self.pen.reset(&mut self.out);
            if !joined {
                self.new_line();
            }
            let painted = self.out.split_off(start);
            bytes += painted.len();
            if bytes > HISTORY_BYTES_MAX {
                break;
            }
            lines.push(painted);
        }
        for line in lines.iter().rev() {
            self.out.extend_from_slice(line);
        }
        lines.len()
    }

    fn new_line(&mut self) {
        if self.pen.colours_blanks() {
            self.pen.reset(&mut self.out);
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// Whether a line goes on in the next, and the terminal can be told so.
    fn joined(&self, grid: &Grid<Cell>, line: Line) -> bool {
        let row = &grid[line];
        row[Column(row.len() - 1)].flags.contains(Flags::WRAPLINE)
            && !uncertain_end(row)
            && self.viewer.columns == self.screen.columns
    }

    /// Whether a line is what the one above goes on in.
    fn continues(&self, grid: &Grid<Cell>, line: Line) -> bool {
        line > grid.topmost_line() && self.joined(grid, line - 1i32)
    }

    /// One line from the first column on; `above` and `below` say whether the lines around
    /// it are painted too. Returns whether it goes on in the line below, so that the
    /// terminal itself joins the two when it becomes wider.
    fn row(&mut self, grid: &Grid<Cell>, line: Line, above: bool, below: bool) -> bool {
        let row = &grid[line];
        let joined = below && self.joined(grid, line);
        let continues = above && self.continues(grid, line);
        let width = self.width();
        let mut end = occupied(row).min(width);
        if joined {
            // It must reach the edge. A wide character that wraps leaves the last column
            // as it was by itself.
            let last = &row[Column(row.len() - 1)];
            let first = &grid[line + 1i32][Column(0)];
            let left_over = last.flags.contains(Flags::LEADING_WIDE_CHAR_SPACER)
                && first.flags.contains(Flags::WIDE_CHAR)
                && Pen::of(first) == Pen::of(last);
            end = if left_over { width - 1 } else { width };
        }
        // Its first character, be it a blank, makes the terminal wrap; and if it scrolls then,
        // it may fill the new line with the background of that character.
        let filled = continues && row[Column(0)].bg != Cell::default().bg;
        if continues {
            end = if filled { width } else { end.max(1) };
        }
        self.cells(row, end, joined, continues, filled);
        joined
    }

    /// The cells of a line up to `end`.
    ///
    /// Terminals do not agree on how wide some characters are. What follows them is written
    /// on as the program wrote it; should the line become longer than it is here, it must not
    /// wrap before its end.
    pub(super) fn cells(&mut self, row: &Row<Cell>, end: usize, joined: bool, continues: bool, filled: bool) {
        let mut column = 0;
        // The first characters make the terminal wrap.
        let mut opens = continues;
        let (mut unsure, mut guarded, mut adrift) = (false, false, false);
        while column < end {
            let cell = &row[Column(column)];
            let blanks = row[Column(column)..Column(end)].iter().take_while(|cell| plain_blank(cell)).count();
            let taken = if blanks > 0 { blanks } else { 1 + usize::from(cell.flags.contains(Flags::WIDE_CHAR)) };
            let last = joined && column + taken >= end;
            if guarded && last {
                guarded = false;
                put!(self.out, "\x1b[?7h\x1b[{}G", column + 1);
            }
            let now = blanks == 0 && uncertain(cell);
            opens &= now;
            unsure |= now;
            adrift = now && last;
            // In front of such characters, not behind the first: they may belong together.
            if unsure && !guarded && !opens && !last {
                guarded = true;
                self.out.extend_from_slice(b"\x1b[?7l");
            }
            if blanks == 0 {
                column += self.cell(row, column, end);
                continue;
            }
            self.pen.reset(&mut self.out);
            // A jump does not make the terminal wrap, nor wait to.
            let jump = blanks >= JUMP_MIN && column + blanks < end && !(continues && column == 0) && !filled;
            if jump {
                put!(self.out, "\x1b[{blanks}C");
            } else {
                self.out.extend(std::iter::repeat_n(b' ', blanks));
            }
            column += blanks;
        }
        if guarded {
            self.out.extend_from_slice(b"\x1b[?7h");
        }
        // The next begins with a wide character that has no room in the last column.
        if adrift {
            put!(self.out, "\x1b[{}G", row.len());
        }
    }

    /// Writes the cell in `column`; returns how many columns it takes.
    fn cell(&mut self, row: &Row<Cell>, column: usize, end: usize) -> usize {
        let cell = &row[Column(column)];
        self.pen.change(&mut self.out, cell);
        let wide = cell.flags.contains(Flags::WIDE_CHAR);
        let whole = column + 1 < end && row[Column(column + 1)].flags.contains(Flags::WIDE_CHAR_SPACER);
        if (wide && !whole) || cell.flags.contains(Flags::WIDE_CHAR_SPACER) || cell.c.is_control() {
            self.out.push(b' ');
            return 1;
        }
        self.character(cell);
        if wide { 2 } else { 1 }
    }

    pub(super) fn character(&mut self, cell: &Cell) {
        let mut buffer = [0; 4];
        self.out.extend_from_slice(cell.c.encode_utf8(&mut buffer).as_bytes());
        for mark in cell.zerowidth().into_iter().flatten() {
            self.out.extend_from_slice(mark.encode_utf8(&mut buffer).as_bytes());
        }
    }
}

/// A cell as erasing with the plain pen leaves it.
fn plain_blank(cell: &Cell) -> bool {
    const LAYOUT: Flags = Flags::WRAPLINE.union(Flags::LEADING_WIDE_CHAR_SPACER);
    let default = Cell::default();
    cell.c == ' '
        && cell.extra.is_none()
        && cell.fg == default.fg
        && cell.bg == default.bg
        && LAYOUT.contains(cell.flags)
}

/// The line below the last that holds something, and below the cursor.
pub(super) fn below(grid: &mut Grid<Cell>) -> usize {
    let last = (0..grid.screen_lines()).rev().find(|line| occupied(&grid[as_line(*line)]) > 0);
    last.map_or(0, |line| line + 1).max(line_number(grid.cursor.point.line) + 1)
}

/// Columns up to the last that holds something.
fn occupied(row: &Row<Cell>) -> usize {
    row[..].iter().rposition(|cell| !plain_blank(cell)).map_or(0, |last| last + 1)
}

/// Whether a line ends in something terminals differ about: such a line is not joined with
/// the next, as it might wrap too early or not at all.
pub(super) fn uncertain_end(row: &Row<Cell>) -> bool {
    let (last, before) = (&row[Column(row.len() - 1)], &row[Column(row.len() - 2)]);
    uncertain(if last.flags.contains(Flags::WIDE_CHAR_SPACER) { before } else { last })
}

/// Whether terminals differ in how many columns they give this: emoji, and what is put
/// together by joiners and selectors.
pub(super) fn uncertain(cell: &Cell) -> bool {
    let accent = |mark: &char| ('\u{300}'..='\u{36f}').contains(mark);
    cell.c >= '\u{1f000}' || cell.zerowidth().is_some_and(|marks| !marks.iter().all(accent))
}
