//! The picture: sequences that paint a terminal of any state as the model.

use alacritty_terminal::grid::{Cursor, Dimensions, Grid, Row};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{CharsetIndex, StandardCharset};

use super::model::{Model, Saved, Size, as_line, line_number};
use super::pen::Pen;
use super::query::cursor_style;
use super::{palette, reset};

/// Most bytes of history in a picture: what a terminal draws within a few milliseconds.
const HISTORY_BYTES_MAX: usize = 256 * 1024;

/// A run of so many blanks is jumped over instead of written.
const JUMP_MIN: usize = 6;

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
    painter.tabs(&model.shadow.tabs);
    let shown = model.shown();
    if model.alternate() {
        painter.hidden_primary(model, history);
    }
    let grid = model.grid();
    painter.saved_cursor(grid, &grid.saved_cursor, model.shadow.saved[shown]);
    painter.lines(grid, history);
    painter.place(model);
    painter.modes(model);
    painter.end(model);
    painter.out
}

pub(super) struct Painter {
    pub(super) out: Vec<u8>,
    pen: Pen,
    /// Which of G0 to G3 hold line drawing in the terminal, and which is in use.
    drawing: [bool; 4],
    charset: CharsetIndex,
    /// The size of the model's screen.
    screen: Size,
    viewer: Size,
    /// First line that is painted: not 0 only in a viewer that is too low for the cursor.
    top: usize,
    /// The terminal will get the stream: it needs all that the stream's meaning hangs on.
    follows: bool,
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
    fn width(&self) -> usize {
        self.screen.columns.min(self.viewer.columns)
    }

    /// Lines that are painted.
    fn height(&self) -> usize {
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
    fn hidden_primary(&mut self, model: &mut Model, history: usize) {
        let by = model.shadow.alternate_by;
        let saved = model.shadow.saved[0];
        let keys = model.shadow.keys[0].clone();
        let parked = model.shadow.parked.clone();
        let top = std::mem::take(&mut self.top);
        model.with_primary(|primary| {
            if by != 1049
                && let Some(parked) = &parked
            {
                self.saved_cursor(primary, parked, saved);
            }
            self.lines(primary, history);
            let at = if by == 1049 { saved } else { Saved::default() };
            self.cursor(primary, &primary.cursor, at, 0);
        });
        self.keys(&keys);
        put!(self.out, "\x1b[?{by}h");
        if saved.origin {
            self.out.extend_from_slice(b"\x1b[?6l");
        }
        self.top = top;
        self.plain();
        self.out.extend_from_slice(b"\x1b[H\x1b[J");
    }

    /// Has the terminal save `cursor` as its own. Comes before anything is painted in this
    /// screen: a cursor that waits to wrap is made by writing into the last column.
    fn saved_cursor(&mut self, grid: &Grid<Cell>, cursor: &Cursor<Cell>, rest: Saved) {
        if *cursor == Cursor::default() && rest == Saved::default() {
            self.out.extend_from_slice(b"\x1b7");
            return;
        }
        self.cursor(grid, cursor, rest, 0);
        self.out.extend_from_slice(b"\x1b7");
        if rest.origin {
            self.out.extend_from_slice(b"\x1b[?6l");
        }
        self.plain();
        self.out.extend_from_slice(b"\x1b[H\x1b[J");
    }

    /// The lines of the screen from the top left, above them up to `limit` lines of history.
    fn lines(&mut self, grid: &Grid<Cell>, limit: usize) {
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
        let mut column = 0;
        let mut guarded = false;
        while column < end {
            let cell = &row[Column(column)];
            let blanks = row[Column(column)..Column(end)].iter().take_while(|cell| plain_blank(cell)).count();
            let taken = if blanks > 0 { blanks } else { 1 + usize::from(cell.flags.contains(Flags::WIDE_CHAR)) };
            if guarded && joined && column + taken >= end {
                guarded = false;
                put!(self.out, "\x1b[?7h\x1b[{}G", column + 1);
            }
            if blanks == 0 {
                column += self.cell(row, column, end);
                // Terminals do not agree on how wide this is. What follows is written on as
                // the program wrote it; should it become longer than the line, it must not
                // wrap before its end.
                if !guarded && uncertain(cell) {
                    guarded = true;
                    self.out.extend_from_slice(b"\x1b[?7l");
                }
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
            // The next begins with a wide character that has no room in the last column.
            if joined {
                put!(self.out, "\x1b[{}G", width);
            }
        }
        joined
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

    fn character(&mut self, cell: &Cell) {
        let mut buffer = [0; 4];
        self.out.extend_from_slice(cell.c.encode_utf8(&mut buffer).as_bytes());
        for mark in cell.zerowidth().into_iter().flatten() {
            self.out.extend_from_slice(mark.encode_utf8(&mut buffer).as_bytes());
        }
    }

    /// Puts the cursor where it is, with its pen and charsets. `origin` is the first line
    /// that positions count from.
    fn cursor(&mut self, grid: &Grid<Cell>, cursor: &Cursor<Cell>, rest: Saved, origin: usize) {
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
        put!(self.out, "\x1b[{};{}H", line.saturating_sub(origin) + 1, at + 1);
        // A cursor that waits behind the last column gets there by writing in it.
        if cursor.input_needs_wrap && self.viewer.columns == self.screen.columns {
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

    fn home(&mut self) {
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
        let mut top = 0;
        // Also in a higher terminal: there the screen's last line is not the last.
        if !self.clipped() && region != (0..self.viewer.rows) {
            put!(self.out, "\x1b[{};{}r", region.start + 1, region.end);
            top = if origin { region.start } else { 0 };
        }
        let rest = Saved { charset: model.shadow.charset, origin: origin && !self.clipped() };
        self.cursor(grid, &grid.cursor, rest, top);
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
fn uncertain(cell: &Cell) -> bool {
    let accent = |mark: &char| ('\u{300}'..='\u{36f}').contains(mark);
    cell.c >= '\u{1f000}' || cell.zerowidth().is_some_and(|marks| !marks.iter().all(accent))
}
