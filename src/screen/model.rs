//! The engine and its shadow: the state the engine keeps, and the state it keeps to
//! itself or does not keep, in one place.
//!
//! `handler.rs` is the way output takes into both.

use std::collections::BTreeSet;
use std::mem;
use std::ops::Range;
use std::time::Instant;

use alacritty_terminal::event::VoidListener;
use alacritty_terminal::grid::{Cursor, Dimensions, Grid, Row};
use alacritty_terminal::index::{Column, Line, Point};
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::term::{Config, Osc52, Term, TermMode};
use alacritty_terminal::vte::ansi::{CharsetIndex, CursorStyle, Rgb};

use super::keys::KeyModes;
use super::query::mode_flag;

/// Bytes of a window title that are kept; longer ones are cut.
pub(super) const TITLE_MAX: usize = 1024;
/// Titles a program may put on the stack.
pub(super) const TITLES_MAX: usize = 16;
/// Combining marks kept for a cell: enough for any script, and a bound for a cell that
/// is given a million.
pub(super) const MARKS_MAX: usize = 16;
/// Private modes we know nothing about that are remembered as set.
pub(super) const UNKNOWN_MODES_MAX: usize = 64;

/// Bytes of calls to the user that wait to be taken: one read of the keeper's has no more
/// that anybody could follow.
const CALLS_MAX: usize = 16 * 1024;
pub(super) const BELL: &[u8] = b"\x07";

/// The engine asks the storage for this many lines at a time when history grows.
const ENGINE_STEP: usize = 1000;

/// Marks of a line that goes on in the next; in its last column.
const WRAPS: Flags = Flags::WRAPLINE.union(Flags::LEADING_WIDE_CHAR_SPACER);

/// Width and height in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub columns: usize,
    pub rows: usize,
}

impl Dimensions for Size {
    fn total_lines(&self) -> usize {
        self.rows
    }
    fn screen_lines(&self) -> usize {
        self.rows
    }
    fn columns(&self) -> usize {
        self.columns
    }
}

/// What DECSC keeps and the engine does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Saved {
    pub charset: CharsetIndex,
    pub origin: bool,
}

/// What the primary screen was like when the alternate one was entered.
#[derive(Clone, Debug)]
pub(super) struct Hidden {
    /// By which of the modes 47, 1047 and 1049 it was.
    pub by: u16,
    /// Its saved cursor; the engine overwrites its own.
    pub saved_cursor: Cursor<Cell>,
    /// Region and tab stops. We have them once, but some terminals for each screen: those
    /// go back to these.
    pub region: Range<usize>,
    pub tabs: Vec<bool>,
}

/// State the engine keeps private or does not keep.
#[derive(Debug, Default)]
pub(super) struct Shadow {
    /// Scroll region, from 0, end excluded.
    pub region: Range<usize>,
    /// For each column whether it is a tab stop.
    pub tabs: Vec<bool>,
    /// The last character printed, and where that left the cursor.
    pub printed: Option<(char, Point)>,
    /// Which of G0 to G3 is in use.
    pub charset: CharsetIndex,
    /// Kitty keyboard modes of the primary and the alternate screen.
    pub keys: [KeyModes; 2],
    /// XTMODKEYS 4.
    pub modify_other_keys: u8,
    /// As given; `None` is the terminal's own.
    pub cursor_style: Option<CursorStyle>,
    /// Mode 12, when a program has said something about it.
    pub cursor_blink: Option<bool>,
    /// Modes whose default differs between terminals (1007, 1042), when a program has
    /// said something about them.
    pub alternate_scroll: Option<bool>,
    pub urgency: Option<bool>,
    /// Private modes that are set and not known here.
    pub modes: BTreeSet<u16>,
    /// Window title and the stack of them.
    pub title: Option<String>,
    pub titles: Vec<Option<String>>,
    /// The rest of the saved cursors of primary and alternate screen.
    pub saved: [Saved; 2],
    /// What was left when the alternate screen was entered, while it is shown.
    pub hidden: Option<Hidden>,
    /// Since when a synchronized frame (mode 2026) is open.
    pub frame: Option<Instant>,
    /// The bell was rung, or a notification sent.
    pub rang: bool,
    /// What is for the user and in no picture: bells, notifications, what is copied.
    pub calls: Vec<u8>,
    /// Bytes of links made since they were last counted.
    pub link_bytes: usize,
    /// New links are refused: those on the screen and in history take up their share.
    pub links_full: bool,
    /// The first lines of history have their room.
    pub reserved: bool,
}

impl Shadow {
    fn new(size: Size) -> Self {
        Shadow { region: 0..size.rows, tabs: default_tabs(size.columns), ..Shadow::default() }
    }

    /// Notes a call to the user, as many as there is room for.
    pub(super) fn call(&mut self, call: &[u8], rings: bool) {
        self.rang |= rings;
        // One bell is as good as several.
        if self.calls.len() + call.len() <= CALLS_MAX && !(call == BELL && self.calls.ends_with(BELL)) {
            self.calls.extend_from_slice(call);
        }
    }
}

/// A stop every eight columns.
fn default_tabs(columns: usize) -> Vec<bool> {
    (0..columns).map(|column| column % 8 == 0).collect()
}

/// Tab stops after a change of width: as they were, and in new columns the usual ones.
fn refitted(stops: &[bool], columns: usize) -> Vec<bool> {
    let usual = default_tabs(columns).into_iter().enumerate();
    usual.map(|(column, stop)| stops.get(column).copied().unwrap_or(stop)).collect()
}

/// The engine with its shadow.
pub(super) struct Model {
    pub(super) term: Term<VoidListener>,
    pub(super) shadow: Shadow,
    history_bytes: u64,
}

impl Model {
    pub(super) fn new(size: Size, history_bytes: u64) -> Self {
        let config = config(history_limit(history_bytes, size.columns));
        Model { term: Term::new(config, &size, VoidListener), shadow: Shadow::new(size), history_bytes }
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.term.columns(), self.term.screen_lines())
    }

    /// The screen that is shown.
    pub(super) fn grid(&self) -> &Grid<Cell> {
        self.term.grid()
    }

    /// Most lines of history of the screen that is shown.
    pub(super) fn history_limit(&self) -> usize {
        if self.alternate() { 0 } else { history_limit(self.history_bytes, self.term.columns()) }
    }

    /// The flags the engine keeps.
    pub(super) fn mode(&self) -> TermMode {
        *self.term.mode()
    }

    /// Whether the alternate screen is shown.
    pub(super) fn alternate(&self) -> bool {
        self.mode().contains(TermMode::ALT_SCREEN)
    }

    /// Index into what is kept per screen.
    pub(super) fn shown(&self) -> usize {
        usize::from(self.alternate())
    }

    pub(super) fn region(&self) -> Range<usize> {
        self.shadow.region.clone()
    }

    pub(super) fn keys(&self) -> &KeyModes {
        &self.shadow.keys[self.shown()]
    }

    pub(super) fn modify_other_keys(&self) -> u8 {
        self.shadow.modify_other_keys
    }

    pub(super) fn cursor_style(&self) -> Option<CursorStyle> {
        self.shadow.cursor_style
    }

    /// A colour that a program has set.
    pub(super) fn colour(&self, index: usize) -> Option<Rgb> {
        self.term.colors()[index]
    }

    /// Line and column, from 1, as reports give them.
    pub(super) fn reported_cursor(&self) -> (usize, usize) {
        let point = self.grid().cursor.point;
        let top = if self.mode().contains(TermMode::ORIGIN) { self.shadow.region.start } else { 0 };
        (line_number(point.line).saturating_sub(top) + 1, point.column.0 + 1)
    }

    /// Whether a mode is set; `None` when it is not known here.
    pub(super) fn mode_state(&self, private: bool, number: u16) -> Option<bool> {
        if let Some(flag) = mode_flag(private, number) {
            return Some(self.mode().contains(flag));
        }
        match (private, number) {
            (true, 12) => Some(
                self.shadow.cursor_blink.unwrap_or_else(|| self.cursor_style().is_some_and(|style| style.blinking)),
            ),
            (true, 2026) => Some(self.shadow.frame.is_some()),
            (true, number) => self.shadow.modes.contains(&number).then_some(true),
            _ => None,
        }
    }

    /// Shows `look` the primary screen with its history, also while it is hidden behind the
    /// alternate one.
    pub(super) fn with_primary<R>(&mut self, look: impl FnOnce(&mut Grid<Cell>) -> R) -> R {
        if !self.alternate() {
            return look(self.term.grid_mut());
        }
        // The engine gives access to the shown screen only, and clears the alternate screen
        // when it is swapped in: so that is taken out first.
        let alternate = mem::replace(self.term.grid_mut(), Grid::new(1, 2, 0));
        self.term.swap_alt();
        let seen = look(self.term.grid_mut());
        self.term.swap_alt();
        *self.term.grid_mut() = alternate;
        seen
    }

    /// Changes the size. History is refitted to its share of memory.
    pub(super) fn resize(&mut self, size: Size) {
        let (columns, _) = self.size();
        if line_number(self.grid().cursor.point.line) >= size.rows {
            self.reserve_history();
        }
        self.term.resize(size);
        if columns != size.columns {
            self.term.set_options(config(history_limit(self.history_bytes, size.columns)));
            self.shadow.tabs = refitted(&self.shadow.tabs, size.columns);
        }
        self.shadow.region = 0..size.rows;
        if let Some(hidden) = &mut self.shadow.hidden {
            hidden.tabs = refitted(&hidden.tabs, size.columns);
            hidden.region = 0..size.rows;
        }
        self.settle(size);
        // The engine adds rows in the same steps as history: given back while there is none.
        let spare = self.with_primary(|grid| {
            let spare = grid.history_size() == 0;
            if spare {
                grid.truncate();
            }
            spare
        });
        self.shadow.reserved &= !spare;
    }

    /// Repairs what the engine's resize leaves behind: cursors that wait to wrap away from
    /// the edge, wide characters cut in half, marks of wrapping in the middle of lines.
    fn settle(&mut self, size: Size) {
        fn repair_all(grid: &mut Grid<Cell>) {
            for line in grid.topmost_line().0..=grid.bottommost_line().0 {
                let row = &mut grid[Line(line)];
                repair(row);
                for column in (0..row.len() - 1).map(Column) {
                    if row[column].flags.intersects(WRAPS) {
                        row[column].flags.remove(WRAPS);
                    }
                }
            }
        }
        let (last_line, last) = (as_line(size.rows - 1), Column(size.columns - 1));
        let inside = |cursor: &mut Cursor<Cell>| {
            cursor.point.line = cursor.point.line.clamp(Line(0), last_line);
            cursor.point.column = cursor.point.column.min(last);
            cursor.input_needs_wrap &= cursor.point.column == last;
        };
        let repair_grid = |grid: &mut Grid<Cell>| {
            repair_all(grid);
            inside(&mut grid.cursor);
            inside(&mut grid.saved_cursor);
        };
        repair_grid(self.term.grid_mut());
        if self.alternate() {
            let cursor = self.with_primary(|grid| {
                repair_grid(grid);
                grid.cursor.clone()
            });
            match &mut self.shadow.hidden {
                // The two are one, and the text has taken it along.
                Some(hidden) if hidden.by == 1049 => hidden.saved_cursor = cursor,
                Some(hidden) => inside(&mut hidden.saved_cursor),
                None => {}
            }
        }
    }

    /// Makes room for the first lines of history, so many that the engine's steps of
    /// [`ENGINE_STEP`] lines end at the limit. Without this, a single line scrolled off
    /// would cost [`ENGINE_STEP`] lines, and wide screens more than their share.
    pub(super) fn reserve_history(&mut self) {
        if self.shadow.reserved || self.alternate() {
            return;
        }
        self.shadow.reserved = true;
        let (columns, rows) = self.size();
        let limit = history_limit(self.history_bytes, columns);
        let first = match limit % ENGINE_STEP {
            0 => limit.min(ENGINE_STEP),
            rest => rest,
        };
        let grid = self.term.grid_mut();
        if grid.history_size() != 0 || first == 0 {
            return;
        }
        // Made too high and cut down: the lines below stay as spare ones.
        let mut roomy = Grid::new(rows + first, columns, limit);
        roomy.resize(false, rows, columns);
        for line in (0..rows).map(as_line) {
            mem::swap(&mut roomy[line], &mut grid[line]);
        }
        roomy.cursor = grid.cursor.clone();
        roomy.saved_cursor = grid.saved_cursor.clone();
        *grid = roomy;
    }

    /// To be called when history was thrown away; `lines` it had. Beyond a step the engine
    /// gives the room back.
    pub(super) fn history_cleared(&mut self, lines: usize) {
        let (columns, _) = self.size();
        if lines > history_limit(self.history_bytes, columns) % ENGINE_STEP {
            self.shadow.reserved = false;
        }
    }

    /// Forgets what programs did. Room that was made for history stays.
    pub(super) fn reset_shadow(&mut self) {
        let (columns, rows) = self.size();
        let Shadow { reserved, rang, .. } = self.shadow;
        let calls = mem::take(&mut self.shadow.calls);
        self.shadow = Shadow { reserved, rang, calls, ..Shadow::new(Size { columns, rows }) };
    }

    /// DECSTR.
    pub(super) fn soft_reset(&mut self) {
        use alacritty_terminal::vte::ansi::{Attr, Handler, NamedMode, NamedPrivateMode as Private};
        let at = self.grid().cursor.point;
        for mode in [Private::Origin, Private::CursorKeys] {
            self.unset_private_mode(mode.into());
        }
        for mode in [Private::ShowCursor, Private::LineWrap] {
            self.set_private_mode(mode.into());
        }
        self.unset_mode(NamedMode::Insert.into());
        self.unset_keypad_application_mode();
        self.terminal_attribute(Attr::Reset);
        self.set_scrolling_region(1, None);
        self.set_active_charset(CharsetIndex::G0);
        let shown = self.shown();
        self.shadow.saved[shown] = Saved::default();
        let grid = self.term.grid_mut();
        grid.cursor.charsets = Default::default();
        grid.saved_cursor = Cursor::default();
        grid.cursor.point = at;
    }
}

/// The engine's settings. It answers nothing (we do), so that what costs memory without
/// bound in it (kitty stack, titles, clipboard) stays off.
fn config(scrolling_history: usize) -> Config {
    Config { scrolling_history, osc52: Osc52::Disabled, kitty_keyboard: false, ..Config::default() }
}

/// How many lines of history fit into `bytes`.
fn history_limit(bytes: u64, columns: usize) -> usize {
    let line = columns * mem::size_of::<Cell>() + mem::size_of::<Row<Cell>>();
    usize::try_from(bytes).unwrap_or(usize::MAX) / line
}

/// The engine's number of a line on the screen.
pub(super) fn as_line(line: usize) -> Line {
    Line(i32::try_from(line).unwrap_or(i32::MAX))
}

/// The line on the screen from the engine's number; 0 for lines of history.
pub(super) fn line_number(line: Line) -> usize {
    usize::try_from(line.0).unwrap_or(0)
}

/// Blanks halves of wide characters whose other half is gone.
pub(super) fn repair(row: &mut Row<Cell>) {
    for column in 0..row.len() {
        repair_at(row, column);
    }
}

/// Blanks what stands in `column` if it is half of a wide character without the other.
pub(super) fn repair_at(row: &mut Row<Cell>, column: usize) {
    let wide =
        |row: &Row<Cell>, column: usize, flag: Flags| column < row.len() && row[Column(column)].flags.contains(flag);
    if wide(row, column, Flags::WIDE_CHAR) && !wide(row, column + 1, Flags::WIDE_CHAR_SPACER) {
        row[Column(column)].clear_wide();
    }
    if wide(row, column, Flags::WIDE_CHAR_SPACER) && !(column > 0 && wide(row, column - 1, Flags::WIDE_CHAR)) {
        row[Column(column)].flags.remove(Flags::WIDE_CHAR_SPACER);
    }
}
