//! Text between sequences. Most output is ASCII and line ends: that goes past the parser, and
//! into a row as far as it reaches at once.

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{Handler, StandardCharset};

use super::model::Model;

/// Less ASCII than this in a row is no run: letters between marks and ideographs.
const RUN: usize = 4;

impl Model {
    /// Takes what is plain at the start of `text`; how many bytes those are.
    pub(super) fn print_plain(&mut self, text: &[u8]) -> usize {
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            at += match byte {
                b'\r' => {
                    self.carriage_return();
                    1
                }
                b'\n' => {
                    self.linefeed();
                    1
                }
                b' '..=b'~' => match self.print_run(&text[at..]) {
                    0 => break,
                    length => length,
                },
                _ => break,
            };
        }
        at
    }

    /// Where the part of plain `text` begins that makes the screen what it is afterwards: what
    /// comes before scrolls out of history.
    pub(super) fn first_that_matters(&self, text: &[u8]) -> usize {
        let (_, rows) = self.size();
        if self.region() != (0..rows) {
            return 0;
        }
        // So many lines bring the cursor to the last, and all that was there before out.
        let lines = self.history_limit() + 2 * rows;
        let ends = memchr::memrchr_iter(b'\n', text).skip(lines);
        // Beginning with a return of the cursor the column is known, and with a character in
        // it the last one.
        let mut starts = ends.filter(|end| *end > 0 && text[end - 1] == b'\r').map(|end| end - 1);
        let start = starts.next().unwrap_or(0);
        if text[start..].iter().any(|byte| *byte >= b' ') { start } else { 0 }
    }

    /// Prints ASCII characters that neither wrap nor shift nor hit half of a wide one: the same
    /// as the engine does, without asking each time for what cannot be. Returns how many.
    fn print_run(&mut self, text: &[u8]) -> usize {
        let (shifts, charset) = (self.mode().contains(TermMode::INSERT), self.shadow.charset);
        let last = self.term.last_column();
        let grid = self.term.grid_mut();
        let cursor = &grid.cursor;
        let from = cursor.point;
        if shifts || cursor.input_needs_wrap || cursor.charsets[charset] != StandardCharset::Ascii {
            return 0;
        }
        let Cell { fg, bg, flags, ref extra, .. } = cursor.template;
        let extra = extra.clone();
        let room = last.0.saturating_sub(from.column.0).min(text.len());
        let run = text[..room].iter().position(|byte| !is_plain(byte)).unwrap_or(room);
        // No more than that: what a row was asked for counts as printed.
        let cells = &mut grid[from.line][from.column..from.column + run];
        let halves = Flags::WIDE_CHAR | Flags::WIDE_CHAR_SPACER;
        let printed = cells.iter().position(|cell| cell.flags.intersects(halves)).unwrap_or(run);
        for (cell, byte) in cells[..printed].iter_mut().zip(text) {
            *cell = Cell { c: char::from(*byte), fg, bg, flags, extra: extra.clone() };
        }
        let cursor = &mut grid.cursor;
        cursor.point.column += printed;
        if let Some(byte) = text[..printed].last() {
            self.shadow.printed = Some((char::from(*byte), cursor.point));
        }
        printed
    }
}

/// How much of `text`, which does not begin with what is plain, the parser is to get: up to
/// the next run, and at least over the edge of a row.
pub(super) fn other_than_plain(text: &[u8]) -> usize {
    let mut run = 0;
    for (at, byte) in text.iter().enumerate().skip(2) {
        run = if is_plain(byte) { run + 1 } else { 0 };
        if run == RUN {
            return at + 1 - RUN;
        }
    }
    text.len()
}

fn is_plain(byte: &u8) -> bool {
    (b' '..=b'~').contains(byte)
}
