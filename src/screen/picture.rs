//! The picture: sequences that paint a terminal of any state as the model.

use std::ops::Range;

use alacritty_terminal::grid::{Cursor, Grid};
use alacritty_terminal::index::Column;
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{CharsetIndex, StandardCharset};

use super::lines::uncertain;
use super::model::{Hidden, Model, Saved, Size, line_number};
use super::pen::Pen;
use super::query::cursor_style;
use super::{palette, reset};

/// Modes that are only set or not, with what sets them. Wrapping, insert mode and the
/// cursor's visibility have their place in the order of painting.
const MODES: [(TermMode, &[u8]); 10] = [
    (TermMode::APP_CURSOR, b"\x1b[?1h"),
    (TermMode::APP_KEYPAD, b"\x1b="),
    (TermMode::LINE_FEED_NEW_LINE, b"\x1b[20h"),
    (TermMode::MOUSE_REPORT_CLICK, b"\x1b[?1000h"),
    (TermMode::MOUSE_DRAG, b"\x1b[?1002h"),
    (TermMode::MOUSE_MOTION, b"\x1b[?1003h"),
    (TermMode::UTF8_MOUSE, b"\x1b[?1005h"),
    (TermMode::SGR_MOUSE, b"\x1b[?1006h"),
    (TermMode::FOCUS_IN_OUT, b"\x1b[?1004h"),
    (TermMode::BRACKETED_PASTE, b"\x1b[?2004h"),
];

/// Paints `model` for a terminal of size `viewer`, with up to `history` lines of what has
/// scrolled off. With `follows` the terminal will get the stream from here on; without it
/// only other pictures.
pub(super) fn picture(model: &mut Model, viewer: Size, history: usize, follows: bool) -> Vec<u8> {
    let mut painter = Painter::new(model, viewer, follows);
    reset::start(&mut painter.out);
    if let Some(hidden) = model.shadow.hidden.clone() {
        painter.hidden_primary(model, &hidden, history);
    }
    painter.tabs(&model.shadow.tabs);
    let grid = model.grid();
    painter.lines(grid, history);
    painter.saved_cursor(grid, &grid.saved_cursor, model.shadow.saved[model.shown()]);
    painter.place(model);
    painter.modes(model);
    painter.end(model);
    painter.out
}

/// How the cursor gets into its line.
#[derive(Clone, Copy)]
enum Way {
    /// By its number, counted from this line on.
    Number(usize),
    /// From where the saved cursor is: in origin mode there is no number for lines outside of
    /// the region, where only a restored cursor gets.
    Restored { line: usize },
}

pub(super) struct Painter {
    pub out: Vec<u8>,
    pub pen: Pen,
    /// Which of G0 to G3 hold line drawing in the terminal, and which is in use.
    drawing: [bool; 4],
    charset: CharsetIndex,
    /// The size of the model's screen.
    pub screen: Size,
    pub viewer: Size,
    /// First line that is painted: not 0 only in a viewer that is too low for the cursor.
    pub top: usize,
    /// The terminal will get the stream: it needs all that the stream's meaning hangs on.
    pub follows: bool,
}

impl Painter {
    pub(super) fn new(model: &Model, viewer: Size, follows: bool) -> Self {
        let (columns, rows) = model.size();
        let screen = Size { columns, rows };
        let cursor = line_number(model.grid().cursor.point.line);
        Painter {
            out: Vec::with_capacity(16 * 1024),
            pen: Pen::default(),
            drawing: [false; 4],
            charset: CharsetIndex::G0,
            screen,
            viewer,
            top: (cursor + 1).saturating_sub(viewer.rows),
            follows,
        }
    }

    fn clipped(&self) -> bool {
        self.viewer.columns < self.screen.columns || self.viewer.rows < self.screen.rows
    }

    /// Columns that are painted.
    pub(super) fn width(&self) -> usize {
        self.screen.columns.min(self.viewer.columns)
    }

    /// Lines that are painted.
    pub(super) fn height(&self) -> usize {
        self.screen.rows.min(self.viewer.rows)
    }

    /// Sets every stop anew, also in columns only the viewer has: there is no sequence for
    /// "as they were" that all terminals know.
    fn tabs(&mut self, stops: &[bool]) {
        self.out.extend_from_slice(b"\x1b[3g");
        for column in 0..self.viewer.columns {
            if stops.get(column).copied().unwrap_or(column % 8 == 0) {
                put!(self.out, "\x1b[{}G\x1bH", column + 1);
            }
        }
        self.home();
    }

    /// The screen behind the alternate one, its history, cursor and keyboard modes; then
    /// the switch.
    fn hidden_primary(&mut self, model: &mut Model, hidden: &Hidden, history: usize) {
        let saved = model.shadow.saved[0];
        let keys = model.shadow.keys[0].clone();
        let top = std::mem::take(&mut self.top);
        self.tabs(&hidden.tabs);
        model.with_primary(|primary| {
            self.lines(primary, history);
            if hidden.by != 1049 {
                self.saved_cursor(primary, &hidden.saved_cursor, saved);
            }
            self.region(&hidden.region);
            let at = if hidden.by == 1049 { saved } else { Saved::default() };
            let origin = if at.origin { hidden.region.start } else { 0 };
            self.cursor(primary, &primary.cursor, at, Way::Number(origin), false);
        });
        self.keys(&keys);
        put!(self.out, "\x1b[?{}h", hidden.by);
        if saved.origin {
            self.out.extend_from_slice(b"\x1b[?6l");
        }
        self.top = top;
        self.plain();
        self.out.extend_from_slice(b"\x1b[r\x1b[H\x1b[J");
    }

    /// Has the terminal save `cursor` as its own. Comes after the lines: in some terminals
    /// what is saved scrolls along with them.
    fn saved_cursor(&mut self, grid: &Grid<Cell>, cursor: &Cursor<Cell>, rest: Saved) {
        self.cursor(grid, cursor, rest, Way::Number(0), false);
        self.out.extend_from_slice(b"\x1b7");
        if rest.origin {
            self.out.extend_from_slice(b"\x1b[?6l");
        }
        self.plain();
    }

    /// Also in a higher terminal: there the screen's last line is not the last.
    fn region(&mut self, region: &Range<usize>) {
        if !self.clipped() && *region != (0..self.viewer.rows) {
            put!(self.out, "\x1b[{};{}r", region.start + 1, region.end);
        }
    }

    /// Puts the cursor where it is, with its pen and charsets. `flows` says that it stands
    /// behind what was printed last.
    fn cursor(&mut self, grid: &Grid<Cell>, cursor: &Cursor<Cell>, rest: Saved, way: Way, flows: bool) {
        if rest.origin {
            self.out.extend_from_slice(b"\x1b[?6h");
        }
        let line = line_number(cursor.point.line).saturating_sub(self.top);
        let column = cursor.point.column.0.min(self.width() - 1);
        let row = &grid[cursor.point.line];
        let mut at = column;
        if cursor.input_needs_wrap && row[Column(at)].flags.contains(Flags::WIDE_CHAR_SPACER) {
            at = at.saturating_sub(1);
        }
        let cut = row[Column(at)].flags.contains(Flags::WIDE_CHAR_SPACER);
        if flows && !cut && row[..Column(at)].iter().any(uncertain) {
            // Text goes on behind text, also where the terminal has other widths.
            self.go(way, line, 0);
            self.cells(row, at, false, false, false);
        } else {
            self.go(way, line, at);
        }
        // A cursor that waits behind the last column gets there by writing in it. One that is
        // saved may be in a line that is not painted.
        let painted = (self.top..self.top + self.height()).contains(&line_number(cursor.point.line));
        if cursor.input_needs_wrap && painted && self.viewer.columns == self.screen.columns {
            let cell = &row[Column(at)];
            self.pen.change(&mut self.out, cell);
            if cell.c.is_control() || (at == column && cell.flags.contains(Flags::WIDE_CHAR)) {
                self.out.push(b' ');
            } else {
                self.character(cell);
            }
        }
        self.pen.change(&mut self.out, &cursor.template);
        for (index, charset) in [CharsetIndex::G0, CharsetIndex::G1, CharsetIndex::G2, CharsetIndex::G3]
            .into_iter()
            .map(|index| (index, cursor.charsets[index]))
        {
            self.designate(index, charset == StandardCharset::SpecialCharacterAndLineDrawing);
        }
        self.shift(rest.charset);
    }

    fn go(&mut self, way: Way, line: usize, column: usize) {
        match way {
            Way::Number(first) => put!(self.out, "\x1b[{};{}H", line.saturating_sub(first) + 1, column + 1),
            Way::Restored { line: from } => {
                self.out.extend_from_slice(b"\x1b8");
                self.out.extend_from_slice(reset::PLAIN_PEN);
                match line.abs_diff(from) {
                    0 => {}
                    lines => put!(self.out, "\x1b[{lines}{}", if line < from { 'A' } else { 'B' }),
                }
                put!(self.out, "\x1b[{}G", column + 1);
            }
        }
    }

    /// Pen and charsets as painting needs them.
    fn plain(&mut self) {
        self.pen.reset(&mut self.out);
        for index in [CharsetIndex::G0, CharsetIndex::G1, CharsetIndex::G2, CharsetIndex::G3] {
            self.designate(index, false);
        }
        self.shift(CharsetIndex::G0);
    }

    fn designate(&mut self, index: CharsetIndex, drawing: bool) {
        if self.drawing[index as usize] != drawing {
            self.drawing[index as usize] = drawing;
            let into = b"()*+"[index as usize];
            self.out.extend_from_slice(&[0x1b, into, if drawing { b'0' } else { b'B' }]);
        }
    }

    fn shift(&mut self, index: CharsetIndex) {
        if self.charset != index {
            self.charset = index;
            // The engine knows G0 and G1 only.
            self.out.push(if index == CharsetIndex::G1 { 0x0e } else { 0x0f });
        }
    }

    fn keys(&mut self, keys: &super::keys::KeyModes) {
        let Some((base, pushed)) = keys.entries().split_first() else { return };
        if *base != 0 {
            put!(self.out, "\x1b[={base};1u");
        }
        for flags in pushed {
            put!(self.out, "\x1b[>{flags}u");
        }
    }

    pub(super) fn home(&mut self) {
        self.out.extend_from_slice(b"\x1b[H");
    }

    /// Where the next output goes: region, cursor, pen, charsets.
    pub(super) fn place(&mut self, model: &Model) {
        let grid = model.grid();
        if !self.follows {
            self.plain();
            let line = line_number(grid.cursor.point.line).saturating_sub(self.top);
            let column = grid.cursor.point.column.0.min(self.width() - 1);
            put!(self.out, "\x1b[{};{}H", line + 1, column + 1);
            return;
        }
        let origin = model.mode().contains(TermMode::ORIGIN);
        let region = model.region();
        self.region(&region);
        let origin = origin && !self.clipped();
        let rest = Saved { charset: model.shadow.charset, origin };
        let beyond = |cursor: &Cursor<Cell>| {
            let line = line_number(cursor.point.line);
            (!region.contains(&line)).then_some(line < region.start)
        };
        let outside = origin && beyond(&grid.cursor).is_some();
        // No margin is between the two.
        let near = model.shadow.saved[model.shown()].origin && beyond(&grid.saved_cursor) == beyond(&grid.cursor);
        let way = if outside && near {
            Way::Restored { line: line_number(grid.saved_cursor.point.line) }
        } else {
            Way::Number(if origin { region.start } else { 0 })
        };
        let flows = model.shadow.printed.is_some_and(|(_, at)| at == grid.cursor.point);
        self.cursor(grid, &grid.cursor, rest, way, flows);
    }

    /// What is neither cells nor place: modes, colours, title.
    pub(super) fn modes(&mut self, model: &Model) {
        let mode = model.mode();
        let shadow = &model.shadow;
        for (_, set) in MODES.iter().filter(|(flag, _)| mode.contains(*flag)) {
            self.out.extend_from_slice(set);
        }
        if self.follows && !mode.contains(TermMode::LINE_WRAP) {
            self.out.extend_from_slice(b"\x1b[?7l");
        }
        if self.follows && mode.contains(TermMode::INSERT) {
            self.out.extend_from_slice(b"\x1b[4h");
        }
        let told = [(1007, shadow.alternate_scroll), (1042, shadow.urgency)];
        for (number, on) in told.into_iter().filter_map(|(number, on)| Some((number, on?))) {
            put!(self.out, "\x1b[?{number}{}", if on { 'h' } else { 'l' });
        }
        for number in &shadow.modes {
            put!(self.out, "\x1b[?{number}h");
        }
        self.keys(model.keys());
        if shadow.modify_other_keys > 0 {
            put!(self.out, "\x1b[>4;{}m", shadow.modify_other_keys);
        }
        match cursor_style(model) {
            0 => {}
            style => put!(self.out, "\x1b[{style} q"),
        }
        if let Some(on) = shadow.cursor_blink {
            put!(self.out, "\x1b[?12{}", if on { 'h' } else { 'l' });
        }
        self.colours(model);
        if let Some(title) = &shadow.title {
            put!(self.out, "\x1b]2;{title}\x1b\\");
        }
    }

    /// Shows the cursor and what was painted.
    pub(super) fn end(&mut self, model: &Model) {
        let visible = model.mode().contains(TermMode::SHOW_CURSOR);
        let within = model.grid().cursor.point.column.0 < self.width();
        if visible && within {
            self.out.extend_from_slice(b"\x1b[?25h");
        }
        // A frame the program has not ended stays open: its end is still to come.
        if !self.follows || model.shadow.frame.is_none() {
            self.out.extend_from_slice(reset::FRAME_END);
        }
    }

    /// Colours that the program has set.
    fn colours(&mut self, model: &Model) {
        let named = [(palette::FOREGROUND, 10), (palette::BACKGROUND, 11), (palette::CURSOR, 12)];
        let prefixes = (0..256).map(|index| (index, format!("4;{index}")));
        let prefixes = prefixes.chain(named.map(|(index, code)| (index, code.to_string())));
        for (index, prefix) in prefixes {
            if let Some(colour) = model.colour(index) {
                put!(self.out, "\x1b]{prefix};rgb:{:02x}/{:02x}/{:02x}\x1b\\", colour.r, colour.g, colour.b);
            }
        }
    }
}
