//! Text between sequences. Most output is ASCII and line ends: that goes past the parser, and
//! into a row as far as it reaches at once.

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{Handler, StandardCharset};

use super::Screen;
use super::feed::{REPLACEMENT, unfinished_character};
use super::model::Model;

/// Less ASCII than this in a row is no run: letters between marks and ideographs.
const RUN: usize = 4;

impl Screen {
    /// Gives the engine what stands between two sequences, to its end.
    pub(super) fn print(&mut self, text: &[u8]) {
        let mut rest = text;
        while !rest.is_empty() {
            // The parser may be in the middle of something, and alone knows of what.
            let plain = if self.feed.midway { 0 } else { self.model.print_plain(rest) };
            let other = if self.feed.midway { rest.len() } else { other_than_plain(&rest[plain..]) };
            let (_, from) = rest.split_at(plain);
            let (other, after) = from.split_at(other);
            // The start of a character is none when something else follows: the parser would
            // wait for more of it.
            let (other, broken) = other.split_at(other.len() - unfinished_character(other));
            self.parser.advance(&mut self.model, other);
            if !broken.is_empty() {
                self.parser.advance(&mut self.model, REPLACEMENT.as_bytes());
            }
            rest = after;
        }
    }
}

impl Model {
    /// Takes what is plain at the start of `text`; how many bytes those are.
    fn print_plain(&mut self, text: &[u8]) -> usize {
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
fn other_than_plain(text: &[u8]) -> usize {
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
